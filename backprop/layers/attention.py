"""Attention: every step of a sequence looks at all the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop.checks import fraction, integer
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import softmax, sum_rows


class MultiHeadAttention(Layer):
    """y = concat_h(softmax(q kᵀ / √key_dim) v) · output + bias: self-attention in several heads.

        x: (N, T, d)    q, k: (N, heads, T, key_dim)    v, o: (N, heads, T, value_dim)
        p: (N, heads, T, T)    y: (N, T, d_out)

        q = x query + bias        k = x key + bias        v = x value + bias
        s = q kᵀ / √key_dim        p = softmax(s), over the keys        o = p v

    With do = dy outputᵀ, o = p v is a product and softmax has its derivative row by row:

        dv = pᵀ do        dp = do vᵀ        ds = p (dp - Σ_keys dp p)
        dq = ds k / √key_dim        dk = dsᵀ q / √key_dim

    x went three ways, and came back on all of them:

        dx = dq queryᵀ + dk keyᵀ + dv valueᵀ        dquery = xᵀ dq, and so for key and value

    In training, dropout multiplies p by a random 0 or 1 / (1 - dropout), and dp likewise.

    No query sees a masked key, nor, with a causal mask, a key after it: p is 0 there, and ds.

    Parameters
    ----------
    num_heads : int
    key_dim : int
        Size of each head's q and k.
    value_dim : int, optional
        Size of each head's v. Default: `key_dim`.
    dropout : float, default 0.0
        Fraction of p that is dropped in training.
    use_bias : bool, default True
    output_shape : int or tuple of int, optional
        Shape of y behind (N, T). Default: d.
    attention_axes : int, optional
        Only 1, the time.
    kernel_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, bias_constraint : str or Constraint, optional
    seed : int, optional
    use_causal_mask : bool, default False
        Whether a step sees only itself and the steps before. An argument of the call in Keras.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a value outside of what is said above.
    TypeError
        When called on several arrays: query, key and value are one array here, ``layer(x)``.

    Notes
    -----
    The weights are Keras' in shape and order: query (d, heads, key_dim), its bias (heads,
    key_dim), key, value, output (heads, value_dim, d_out) and its bias.

    A masked step as a query sees no key. What it gives is as meaningless as it is, and as in Keras:
    without dropout p is 1 / T for all its keys, with dropout it is 0.

    References
    ----------
    Vaswani et al.: Attention is all you need, 2017, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MultiHeadAttention
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(np.zeros((1, 5, 8))).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | tuple[int, ...] | None = None,
        attention_axes: int | tuple[int, ...] | None = None,
        *,  # Keras has arguments here that this class has not
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        seed: int | None = None,
        use_causal_mask: bool = False,
        **kwargs,
    ):
        who = "MultiHeadAttention"
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.num_heads = integer(num_heads, who, "num_heads")
        self.key_dim = integer(key_dim, who, "key_dim")
        self.value_dim = self.key_dim if value_dim is None else integer(value_dim, who, "value_dim")
        self.dropout = fraction(dropout, who, "dropout")
        self.use_bias = use_bias
        self.output_shape: tuple[int, ...] | None = None
        if output_shape is not None:
            sizes = output_shape if isinstance(output_shape, list | tuple) else [output_shape]
            self.output_shape = tuple(integer(n, who, "each of output_shape") for n in sizes)
        if attention_axes not in (None, 1, -2, (1,), [1], (-2,), [-2]):
            raise ValueError(
                f"{who} attends along the time, axis 1 of (batch, time, features); attention_axes "
                f"is {attention_axes!r}"
            )
        self.attention_axes = attention_axes
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.seed = seed
        self.use_causal_mask = use_causal_mask
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        self.check_input(input_shape)
        d, heads = input_shape[-1], self.num_heads
        self.query = self._projection((d,), (heads, self.key_dim), "query")
        self.key = self._projection((d,), (heads, self.key_dim), "key")
        self.value = self._projection((d,), (heads, self.value_dim), "value")
        sizes_out = self.output_shape or (d,)
        self.output = self._projection((heads, self.value_dim), sizes_out, "attention_output")
        for projection in (self.query, self.key, self.value, self.output):
            projection.build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={-1: d})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], *(self.output_shape or input_shape[2:]))

    def forward(self, x, ctx=INFERENCE):
        q, k, v = (f.forward(x)[0].swapaxes(1, 2) for f in (self.query, self.key, self.value))
        q = q * self._scale(x)
        visible = self._visible(x, ctx)
        p = self._attend(q @ k.swapaxes(-1, -2), visible)
        drop = self._draw(p, ctx)
        o = ((p if drop is None else p * drop) @ v).swapaxes(1, 2)
        y, _ = self.output.forward(o)
        return y, (x, q, k, v, p, visible, drop, o)

    def backward(self, dy, cache):
        x, q, k, v, p, visible, drop, o = cache
        do = self.output.backward(dy, o).swapaxes(1, 2)
        dv = (p if drop is None else p * drop).swapaxes(-1, -2) @ do
        dp = do @ v.swapaxes(-1, -2)
        if drop is not None:
            dp *= drop
        ds = p * (dp - (dp * p).sum(-1, keepdims=True))
        if visible is not None:
            ds *= visible
        dq = ds @ k * self._scale(x)
        dk = ds.swapaxes(-1, -2) @ q  # q has the scale already
        dx = self.query.backward(dq.swapaxes(1, 2), x)
        dx += self.key.backward(dk.swapaxes(1, 2), x)
        dx += self.value.backward(dv.swapaxes(1, 2), x)
        return dx

    def _scale(self, x):
        return x.dtype.type(self.key_dim**-0.5)

    def _attend(self, s, visible):
        """softmax(s) over the visible keys, 0 at the others."""
        if visible is None:
            return softmax(s)
        # not -inf: where no key is visible, the largest s is subtracted from itself
        p = softmax(np.where(visible, s, np.finfo(s.dtype).min / 2))
        if self.dropout:
            p *= visible
        return p

    def _visible(self, x, ctx):
        """Which query may see which key: (N or 1, 1, T, T), or None where all do."""
        steps = x.shape[1]
        visible = np.tri(steps, dtype=bool)[None, None] if self.use_causal_mask else None
        if ctx.mask is not None:
            real = np.asarray(ctx.mask, bool)
            if real.shape != x.shape[:2]:
                raise ValueError(
                    f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, got "
                    f"{real.shape}"
                )
            pairs = real[:, None, :, None] & real[:, None, None, :]
            visible = pairs if visible is None else visible & pairs
        return visible

    def _draw(self, p, ctx):
        """What multiplies p: 0 or 1 / (1 - dropout)."""
        if not ctx.training or not self.dropout:
            return None
        kept = (self.rng.random(p.shape) >= self.dropout).astype(p.dtype)
        if self.dropout < 1:  # at 1 nothing is left that could be scaled up
            kept /= p.dtype.type(1 - self.dropout)
        return kept

    def _projection(self, sizes_in, sizes_out, name):
        return Projection(
            sizes_in,
            sizes_out,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            name=f"{self.name}/{name}",  # as in Keras' paths
            dtype=self.dtype,
            trainable=self.trainable,
        )

    def __call__(self, x, training: bool = False, mask=None):
        if not isinstance(training, bool | np.bool_):
            raise TypeError(
                f"{self!r} takes one array, which is query, key and value at once: layer(x), with "
                "training and mask"
            )
        return super().__call__(x, training, mask)


class Projection(Layer):
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
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.
    """

    def __init__(
        self,
        sizes_in: tuple[int, ...],
        sizes_out: tuple[int, ...],
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sizes_in = tuple(sizes_in)
        self.sizes_out = tuple(sizes_out)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint

    def build(self, input_shape):
        self.kernel, self.dkernel = self.param(
            "kernel",
            (*self.sizes_in, *self.sizes_out),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias, self.dbias = self.param(
                "bias",
                self.sizes_out,
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def forward(self, x, ctx=INFERENCE):
        y = self._flat(x, self.sizes_in) @ self._matrix()
        if self.use_bias:
            y += self.bias.ravel()
        return y.reshape(*x.shape[:2], *self.sizes_out), x

    def backward(self, dy, cache):
        x = cache
        flat = self._flat(dy, self.sizes_out)
        self.dkernel = (self._flat(x, self.sizes_in).T @ flat).reshape(self.kernel.shape)
        if self.use_bias:
            self.dbias = sum_rows(flat).reshape(self.sizes_out)
        return (flat @ self._matrix().T).reshape(x.shape)

    def _flat(self, x, sizes):
        return x.reshape(x.shape[0] * x.shape[1], math.prod(sizes))

    def _matrix(self):
        return self.kernel.reshape(math.prod(self.sizes_in), math.prod(self.sizes_out))
