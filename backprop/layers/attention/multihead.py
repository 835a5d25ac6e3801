"""Attention where each head has a query, a key and a value of its own."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Positive, integer
from backprop.layers.attention.heads import AttentionInHeads


def sizes(value: Any, who: str, name: str) -> tuple[int, ...]:
    several = value if isinstance(value, list | tuple) else [value]
    return tuple(integer(n, who, f"each of {name}") for n in several)


def the_time(value: Any, who: str, name: str) -> Any:
    known = (None, 1, -2, (1,), [1], (-2,), [-2])
    if isinstance(value, np.ndarray) or value not in known:
        raise ValueError(
            f"{who} attends along the time, axis 1 of (batch, time, features); {name} is {value!r}"
        )
    return value


class MultiHeadAttention(AttentionInHeads):
    """y = concat_h(softmax(q kᵀ / √key_dim) v) · output + bias: each step of one sequence looks at
    all of another, or of its own, in several heads.

        query: (N, T, d)    value, key: (N, S, d_value), (N, S, d_key)    y: (N, T, d_out)
        q: (N, heads, T, key_dim)    k: (N, heads, S, key_dim)    v: (N, heads, S, value_dim)
        o: (N, heads, T, value_dim)    p: (N, heads, T, S)

        q = query · Q + bias        k = key · K + bias        v = value · V + bias
        s = q kᵀ / √key_dim        p = softmax(s), over the keys        o = p v

    With do = dy outputᵀ, o = p v is a product and softmax has its derivative row by row:

        dv = pᵀ do        dp = do vᵀ        ds = p (dp - Σ_keys dp p)
        dq = ds k / √key_dim        dk = dsᵀ q / √key_dim

    Where p is an output too, what comes back to it is added to dp. Each of the three arrays went
    one way, and gets back what came along it:

        dquery = dq Qᵀ        dkey = dk Kᵀ        dvalue = dv Vᵀ
        dQ = queryᵀ dq        dK = keyᵀ dk        dV = valueᵀ dv

    Without a key the value goes both ways, so dvalue = dk Kᵀ + dv Vᵀ. In self-attention there is
    one array x, which goes all three, and dx is the sum of all.

    In training, dropout multiplies p by a random 0 or 1 / (1 - dropout), and dp likewise.

    No query sees a masked key, nor, with a causal mask, a key after it, nor what an attention mask
    forbids: p is 0 there, and ds.

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
        Whether a query sees only the keys up to its own place. The call may say it, as in Keras.
    rotary : bool or RotaryEmbedding, default False
        Turn q and k by their positions; in self-attention alone.
    return_attention_scores : bool, default False
        Whether p, before dropout, is a second output. The call may say it, as in Keras.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For a value outside of what is said above, and for arrays that do not go together.

    Notes
    -----
    It is called as in Keras: ``layer(query, value, key=None, attention_mask=None)`` and, with what
    may be said of the masks, `query_mask`, `value_mask` and `key_mask` (N, T) or (N, S).
    `attention_mask` is (N, T, S) or (N, heads, T, S), or broadcasts to it: who may see whom. All of
    them must agree, and y has the mask of the query. ``layer(x)`` is self-attention, as is
    ``layer(x, x)``: one product projects x. In `forward` x is an array or the tuple ``(query,
    value, key, attention_mask)``, None for what is not given.

    The weights are Keras' in shape and order: query (d, heads, key_dim), its bias (heads,
    key_dim), key, gate if there is one, value, output (heads, value_dim, d_out) and its bias.

    A masked step as a query sees no key. What it gives is as meaningless as it is, and as in Keras:
    without dropout p is 1 / S for all its keys, with dropout it is 0.

    Step by step, the keys and values of another sequence are computed once, see `remember`.

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
    >>> layer = MultiHeadAttention(num_heads=2, key_dim=4)
    >>> y, p = layer(np.zeros((1, 5, 8)), np.zeros((1, 7, 3)), return_attention_scores=True)
    >>> y.shape, p.shape
    ((1, 5, 8), (1, 2, 5, 7))
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
