"""Small real data that ship inside the package, and readers of larger ones that lie on disk;
nothing is ever downloaded."""

from backprop.absent import face
from backprop.datasets import (
    california_housing,
    cifar10,
    cifar100,
    cmudict,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "california_housing",
    "cifar10",
    "cifar100",
    "cmudict",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]

__getattr__, __dir__ = face(__name__, __all__)
