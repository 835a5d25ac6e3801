"""Layers that listen: spectrograms of signals."""

from __future__ import annotations

from backprop.layers.audio.mel import MelSpectrogram
from backprop.layers.audio.stft import STFTSpectrogram

__all__ = ["MelSpectrogram", "STFTSpectrogram"]
