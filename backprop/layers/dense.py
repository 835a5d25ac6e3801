"""The fully connected layer."""

from __future__ import annotations

from backprop.checks import Positive
from backprop.counts import by_units
from backprop.layer import INFERENCE, InputSpec
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.kernels import KernelAndBias
from backprop.linalg import affine, product_of_rows, sum_rows
from backprop.old_arguments import NOT_QUANTIZED
from backprop.promises import short_for


class Dense(KernelAndBias):
    """y = activation(x · kernel + bias), over the last axis.

        x: (..., n)    kernel: (n, units)    bias: (units,)    y: (..., units)

    With dz = dL/dz behind the activation, z = x · kernel + bias, and rows standing for all the
    leading axes, each kernel[i, j] carries x[:, i] to z[:, j], each bias[j] reaches every row:

        dkernel = xᵀ dz        dbias = Σ_rows dz        dx = dz kernelᵀ

    Parameters
    ----------
    units : int
        Size of the output's last axis.
    activation : str, function or Layer, optional
        Default: none.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where `units` is not a positive integer, or an input's last axis is not what the layer was
        built for.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense
    >>> Dense(2, kernel_initializer="ones")(np.array([[1.0, 2.0, 3.0]]))
    array([[6., 6.]], dtype=float32)
    """

    units: Positive
    activation: ActivationLike = None
    use_bias: bool = True

    sparse_input = True
    changeable = ("activation",)
    legacy = NOT_QUANTIZED
    input_spec = InputSpec(min_ndim=2)
    bias = dbias = None

    def build(self, input_shape):
        self.kernel, self.dkernel = self.declared_param("kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.bias, self.dbias = self.declared_param("bias", (self.units,))
        build_activation(self.activation, (*input_shape[:-1], self.units))
        # a subclass with a forward of its own may couple time steps
        self.time_local = type(self).forward is Dense.forward and self.activation.time_local
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return self.activation.compute_output_shape((*input_shape[:-1], self.units))

    def obeys_mask(self, x, mask):
        return self.activation.obeys_mask(x, mask)

    multiply_adds = by_units

    def forward(self, x, ctx=INFERENCE):
        y, a = self.activation.finish(affine(x, self.kernel), ctx, self.bias)
        return y, (x, a)

    def backward(self, dy, cache):
        x, a = cache
        return self.backward_linear(self.activation.backward_finish(dy, a, self.dbias), x)

    def backward_params(self, dy, cache):
        x, a = cache
        self._set_gradients(x, self.activation.backward_finish(dy, a, self.dbias))

    def backward_linear(self, dz, x):
        """dL/dz → dL/dx, where z = x · kernel; sets dkernel."""
        self._set_gradients(x, dz)
        return affine(dz, self.kernel.T)

    def _set_gradients(self, x, dz) -> None:
        """The kernel's; that of the bias comes with dz."""
        product_of_rows(x, dz, out=self.dkernel)

    @property
    @short_for("forward", "backward", "backward_params")
    def ends_in_softmax(self):
        return self.activation.ends_in_softmax

    def backward_logits(self, dz, cache, *, dx=True):
        if self.dbias is not None:
            sum_rows(dz, self.dbias)
        return self.backward_linear(dz, cache[0]) if dx else self._set_gradients(cache[0], dz)

    def advice(self, shape) -> str:
        return "; add Flatten() before it" if len(shape) > 2 else ""
