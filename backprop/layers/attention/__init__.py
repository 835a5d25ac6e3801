"""Attention: every step of a sequence looks at all the others, and knows where it is."""

from backprop.layers.attention.grouped import GroupQueryAttention
from backprop.layers.attention.heads import AttentionInHeads
from backprop.layers.attention.multihead import MultiHeadAttention
from backprop.layers.attention.positions import PositionEmbedding, SinePositionEncoding
from backprop.layers.attention.projection import Projection
from backprop.layers.attention.rotary import RotaryEmbedding
from backprop.layers.attention.unprojected import AdditiveAttention, Attention

__all__ = [
    "AdditiveAttention",
    "Attention",
    "AttentionInHeads",
    "GroupQueryAttention",
    "MultiHeadAttention",
    "PositionEmbedding",
    "Projection",
    "RotaryEmbedding",
    "SinePositionEncoding",
]
