"""Small real data that ship inside the package; nothing is ever downloaded."""

from backprop.absent import face
from backprop.datasets import cmudict, digits

__all__ = ["cmudict", "digits"]

__getattr__ = face(__name__)
