"""Attention where several heads share a key and a value."""

from __future__ import annotations

from backprop.checks import Positive
from backprop.layers.attention.heads import AttentionInHeads


class GroupQueryAttention(AttentionInHeads):
    """y = concat_h(softmax(q_h k_gᵀ / √head_dim) v_g) · output + bias, with g = ⌊h / queries⌋.

        query, y: (N, T, d)    value: (N, S, d_value)    key: (N, S, d_key)
        q, o: (N, groups, queries, T, head_dim)    k, v: (N, groups, 1, S, head_dim)
        p: (N, groups, queries, T, S)

    The heads lie in groups of queries = num_query_heads / num_key_value_heads, and each group has
    one key and one value. Within a head all is as in `MultiHeadAttention`; a key and a value serve
    all queries of their group, and collect from all of them:

        dq = ds k / √head_dim        dk = Σ_queries dsᵀ q / √head_dim        dv = Σ_queries pᵀ do

    With as many groups as heads it is `MultiHeadAttention`, with a single one multi-query
    attention. What generation has to remember is smaller by the factor `queries`.

    Parameters
    ----------
    head_dim : int
        Size of each head's q, k and v.
    num_query_heads : int
    num_key_value_heads : int
        The number of groups; divides `num_query_heads`.
    dropout, use_bias, sliding_window, flash_attention, use_gate, seed, use_causal_mask, rotary
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer
    activity_regularizer, kernel_constraint, bias_constraint, return_attention_scores, **kwargs
        As in `MultiHeadAttention`.

    Raises
    ------
    ValueError
        For a value outside of what is said above, where the groups do not divide the heads, and
        for arrays that do not go together.

    Notes
    -----
    The weights are Keras' in shape and order: query (d, num_query_heads, head_dim), its bias, key
    (d, num_key_value_heads, head_dim) and its bias, gate if there is one, value, output.

    Calls, masks and steps are what they are in `MultiHeadAttention`.

    References
    ----------
    Ainslie et al.: GQA: Training generalized multi-query transformer models from multi-head
    checkpoints, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GroupQueryAttention
    >>> layer = GroupQueryAttention(head_dim=4, num_query_heads=6, num_key_value_heads=2)
    >>> y, p = layer(np.zeros((1, 5, 8)), return_attention_scores=True)
    >>> y.shape, p.shape, layer.key.kernel.shape
    ((1, 5, 8), (1, 6, 5, 5), (8, 2, 4))
    """

    head_dim: Positive
    num_query_heads: Positive
    num_key_value_heads: Positive

    def split(self):
        heads, groups = self.num_query_heads, self.num_key_value_heads
        if heads % groups:
            raise ValueError(
                f"{type(self).__name__} expects num_key_value_heads to divide num_query_heads, so "
                f"that each key serves as many queries, got {groups} and {heads}"
            )
        return heads, groups, (self.head_dim, self.head_dim)
