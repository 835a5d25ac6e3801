"""Attention where each head has a query, a key and a value of its own."""

from __future__ import annotations

from typing import Annotated, Any

from backprop.arguments import Convert, argument
from backprop.checks import Positive, integer
from backprop.layers.attention.heads import AttentionInHeads


def sizes(value: Any, who: str, name: str) -> tuple[int, ...]:
    several = value if isinstance(value, list | tuple) else [value]
    return tuple(integer(n, who, f"each of {name}") for n in several)


def the_time(value: Any, who: str, name: str) -> Any:
    if value not in (None, 1, -2, (1,), [1], (-2,), [-2]):
        raise ValueError(
            f"{who} attends along the time, axis 1 of (batch, time, features); {name} is {value!r}"
        )
    return value


class MultiHeadAttention(AttentionInHeads):
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
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer
    activity_regularizer, kernel_constraint, bias_constraint
        As in `Dense`, of each of the kernels and biases.
    use_gate : bool, default False
        Multiply o by sigmoid(x gate + bias).
    seed : int, optional
    use_causal_mask : bool, default False
        Whether a step sees only itself and the steps before. An argument of the call in Keras.
    rotary : bool or RotaryEmbedding, default False
        Turn q and k by their positions.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

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

    num_heads: Positive
    key_dim: Positive
    value_dim: Positive | None = None
    output_shape: Annotated[Any, Convert(sizes)] = argument(default=None, after="use_bias")
    attention_axes: Annotated[Any, Convert(the_time)] = argument(default=None, after="output_shape")

    def __post_init__(self):
        self.value_dim = self.sizes[1]

    def split(self):
        return self.num_heads, self.num_heads, (self.key_dim, self.value_dim or self.key_dim)

    @property
    def sizes_out(self):
        return self.output_shape
