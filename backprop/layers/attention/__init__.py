"""Attention: every step of a sequence looks at all the others, and knows where it is."""

from backprop.layers.attention.grouped import GroupQueryAttention
from backprop.layers.attention.heads import AttentionInHeads
from backprop.layers.attention.multihead import MultiHeadAttention
from backprop.layers.attention.positions import PositionEmbedding, SinePositionEncoding
from backprop.layers.attention.projection import Projection
from backprop.layers.attention.rotary import RotaryEmbedding

__all__ = [
    "AttentionInHeads",
    "GroupQueryAttention",
    "MultiHeadAttention",
    "PositionEmbedding",
    "Projection",
    "RotaryEmbedding",
    "SinePositionEncoding",
]
