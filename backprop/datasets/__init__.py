"""Small real data that ship inside the package; nothing is ever downloaded."""

from backprop.datasets import digits

__all__ = ["digits"]
