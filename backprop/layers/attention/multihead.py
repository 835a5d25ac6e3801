"""Attention where each head has a query, a key and a value of its own."""

from __future__ import annotations

from typing import Any

from backprop.checks import integer
from backprop.layers.attention.heads import SelfAttention
from backprop.layers.attention.rotary import RotaryEmbedding


class MultiHeadAttention(SelfAttention):
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
    sliding_window : int, optional
        A query sees only the keys less than so many steps away. Default: all.
    flash_attention : bool, optional
        True is refused: it names a kernel of Keras' engines.
    kernel_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, bias_constraint : str or Constraint, optional
    use_gate : bool, default False
        Multiply o by sigmoid(x gate + bias).
    seed : int, optional
    use_causal_mask : bool, default False
        Whether a step sees only itself and the steps before. An argument of the call in Keras.
    rotary : bool or RotaryEmbedding, default False
        Turn q and k by their positions.
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
    key_dim), key, gate if there is one, value, output (heads, value_dim, d_out) and its bias.

    ``layer(x, return_attention_scores=True)`` returns y and p.

    A masked step as a query sees no key. What it gives is as meaningless as it is, and as in Keras:
    without dropout p is 1 / T for all its keys, with dropout it is 0.

    References
    ----------
    Vaswani et al.: Attention is all you need, 2017, section 3.2. The gate: Qiu et al.: Gated
    attention for large language models, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MultiHeadAttention
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(np.zeros((1, 5, 8))).shape
    (1, 5, 8)
    """

    changeable = ("dropout", "sliding_window", "use_causal_mask")

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | tuple[int, ...] | None = None,
        attention_axes: int | tuple[int, ...] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        use_causal_mask: bool = False,
        rotary: bool | RotaryEmbedding = False,
        **kwargs,
    ):
        who = "MultiHeadAttention"
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.num_heads = self.heads = self.groups = integer(num_heads, who, "num_heads")
        self.key_dim = integer(key_dim, who, "key_dim")
        self.value_dim = self.key_dim if value_dim is None else integer(value_dim, who, "value_dim")
        self.sizes = self.key_dim, self.value_dim
        self.output_shape: tuple[int, ...] | None = None
        if output_shape is not None:
            sizes = output_shape if isinstance(output_shape, list | tuple) else [output_shape]
            self.output_shape = tuple(integer(n, who, "each of output_shape") for n in sizes)
        self.sizes_out = self.output_shape
        if attention_axes not in (None, 1, -2, (1,), [1], (-2,), [-2]):
            raise ValueError(
                f"{who} attends along the time, axis 1 of (batch, time, features); attention_axes "
                f"is {attention_axes!r}"
            )
        self.attention_axes = attention_axes
        self.options = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        self.configure(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed, use_causal_mask,
            rotary,
        )  # fmt: skip
