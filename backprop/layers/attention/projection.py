"""The dense maps of attention: from features to heads, and back."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY

from backprop.layer import INFERENCE
from backprop.layers.kernels import KernelAndBias
from backprop.linalg import gradients_of_affine, product_of_rows


class Projection(KernelAndBias):
    """y = x · kernel + bias, where · sums over the last axes of x, as many as `sizes_in` has.

        x: (N, T, *sizes_in)    kernel: (*sizes_in, *sizes_out)    bias: sizes_out
        y: (N, T, *sizes_out)

    With those axes flattened it is a `Dense`, and so are its gradients:

        dkernel = xᵀ dy        dbias = Σ_rows dy        dx = dy kernelᵀ

    Parameters
    ----------
    sizes_in, sizes_out : tuple of int
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`
    """

    sizes_in: tuple[int, ...]
    sizes_out: tuple[int, ...]
    _: KW_ONLY
    use_bias: bool = True

    def build(self, input_shape):
        self.kernel, self.dkernel = self.declared_param("kernel", (*self.sizes_in, *self.sizes_out))
        if self.use_bias:
            self.bias, self.dbias = self.declared_param("bias", self.sizes_out)

    def forward(self, x, ctx=INFERENCE):
        y = flat(x, self.sizes_in) @ self.matrix
        if self.use_bias:
            y += self.bias.ravel()
        return y.reshape(*x.shape[:2], *self.sizes_out), x

    def backward(self, dy, cache):
        x, dy = cache, flat(dy, self.sizes_out)
        self.set_gradients(flat(x, self.sizes_in), dy)
        return (dy @ self.matrix.T).reshape(x.shape)

    def set_gradients(self, x, dy) -> None:
        """From the rows of x and dy."""
        dkernel = self.dkernel.reshape(self.matrix.shape)  # a view
        if self.use_bias:
            gradients_of_affine(x, dy, dkernel, self.dbias.reshape(-1))
        else:
            product_of_rows(x, dy, out=dkernel)

    @property
    def matrix(self):
        """The kernel as (features in, features out): a view."""
        return self.kernel.reshape(math.prod(self.sizes_in), math.prod(self.sizes_out))


def flat(x, sizes):
    """(N, T, *sizes) → (N T, their product)."""
    return x.reshape(x.shape[0] * x.shape[1], math.prod(sizes))
