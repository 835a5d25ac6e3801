"""Normalization layers: numbers that belong together get mean 0 and variance 1, or length 1, and
then a scale and a shift that are learned."""

from __future__ import annotations

from backprop.layers.normalization.batch import BatchNormalization
from backprop.layers.normalization.group import GroupNormalization
from backprop.layers.normalization.layer import LayerNormalization
from backprop.layers.normalization.rms import RMSNormalization
from backprop.layers.normalization.spectral import SpectralNormalization
from backprop.layers.normalization.unit import UnitNormalization

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SpectralNormalization",
    "UnitNormalization",
]
