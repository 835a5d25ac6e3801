"""Sequences of one length, of `utils`."""

from backprop.absent import face
from backprop.utils import pad_sequences

__all__ = ["pad_sequences"]

__getattr__, __dir__ = face(__name__, __all__)
