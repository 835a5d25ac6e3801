"""Text and categories to numbers, before a model: a vocabulary, and what is looked up in it."""

from backprop.layers.text.lookup import IntegerLookup, StringLookup
from backprop.layers.text.vectorization import TextVectorization

__all__ = ["IntegerLookup", "StringLookup", "TextVectorization"]
