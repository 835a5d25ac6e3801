"""One module for each library: how it builds a row and trains it.

A module has `variants(row, peer)`, the ways to train a row with that library, each a function that
makes a `Variant`. A library that is missing raises ImportError there; one that cannot do a row
raises `NotOffered`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.rows import Array, Row


class Variant(Protocol):
    """One way to train a row, from the initial weights of `rows.weights`."""

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        """The first steps: their losses, and the gradients of the first, in the order and shapes of
        those `rows.weights` that are trained."""
        ...

    def run(self, steps: int) -> tuple[float, int]:
        """Go on for about that many steps: seconds, and the steps that were done. The last one is
        finished when this returns."""
        ...


Variants = dict[str, Callable[[], Variant]]


class NotOffered(Exception):
    """A library cannot train a row: the reason."""


def require(row: Row, *kinds: str) -> None:
    """Refuse a row that has layers of other kinds than these."""
    missing = sorted(row.kinds() - set(kinds))
    if missing:
        raise NotOffered(f"no such layer: {', '.join(missing)}")


@dataclass(frozen=True)
class Peer:
    """A library in a process of its own.

    Attributes
    ----------
    engine : str, optional
        Of Keras.
    tolerance : float
        How far, relatively, its first losses may lie from ours. PyTorch's Adam adds epsilon after v
        is corrected, ours and Keras' before, so that its first steps are longer where a gradient is
        about as small as epsilon; an epsilon for each of them would have it compile anew.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    engine: str | None = None
    tolerance: float = 2e-4

    def variants(self, row: Row) -> Variants:
        module = importlib.import_module(f"shared.peers.{self.module}")
        return module.variants(row, self)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("backprop", "keras_like", ("numpy",)),
        Peer("by-hand", "by_hand", ("numpy",)),
        Peer("torch", "with_torch", ("torch",)),
        Peer("torch.compile", "with_torch", ("torch",), tolerance=3e-2),
        Peer("jax", "with_jax", ("jax", "jaxlib")),
        Peer("keras-torch", "keras_like", ("keras", "torch"), "torch"),
        Peer("keras-jax", "keras_like", ("keras", "jax"), "jax"),
        Peer("keras-tensorflow", "keras_like", ("keras", "tensorflow"), "tensorflow"),
        Peer("sklearn", "with_sklearn", ("scikit-learn",)),
        Peer("autograd", "with_autograd", ("autograd",)),
    )
}
