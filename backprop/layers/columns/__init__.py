"""Columns of a table: numbers to bins, categories to one-hot rows, keys to hashes."""

from backprop.layers.columns.category_encoding import CategoryEncoding
from backprop.layers.columns.discretization import Discretization
from backprop.layers.columns.hashing import HashedCrossing, Hashing

__all__ = ["CategoryEncoding", "Discretization", "HashedCrossing", "Hashing"]
