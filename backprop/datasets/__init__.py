"""Small real data that ship inside the package; nothing is ever downloaded."""

from backprop.datasets import cmudict, digits

__all__ = ["cmudict", "digits"]
