"""One module for each library: how it builds a row, trains it and predicts by it.

A module has `variants(row, peer)`, the ways to train a row with that library, and
`predictions(row, peer)`, the ways to ask it, each a function that makes a `Variant`. A library that
is missing raises ImportError there; one that cannot do a row raises `NotOffered`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.rows import Array, Row


class Variant(Protocol):
    """One way to train a row, from the initial weights of `rows.weights`, or to predict by it."""

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        """The first steps: their losses, and the gradients of the first, in the order and shapes of
        those `rows.weights` that are trained. Or no losses, and what was predicted."""
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
    arithmetic : str
        By whom it multiplies: an entry of `instructions.ARITHMETIC`.
    engine : str, optional
        Of Keras.
    kernels : str, optional
        The form of ours that runs, if it is not for the environment to say.
    works : tuple of str
        Which of its methods there are.
    tolerance : float
        How far, relatively, its first losses may lie from ours. PyTorch's Adam adds epsilon after v
        is corrected, ours and Keras' before, so that its first steps are longer where a gradient is
        about as small as epsilon; an epsilon for each of them would have it compile anew.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    arithmetic: str
    engine: str | None = None
    kernels: str | None = None
    tolerance: float = 2e-4
    works: tuple[str, ...] = ("variants", "predictions")

    def prepare(self) -> None:
        """Call it in its process before anything of the library is imported."""
        if self.kernels:
            os.environ["BACKPROP_KERNELS"] = self.kernels

    def variants(self, row: Row) -> Variants:
        module = importlib.import_module(f"shared.peers.{self.module}")
        return module.variants(row, self)

    def predictions(self, row: Row) -> Variants:
        module = importlib.import_module(f"shared.peers.{self.module}")
        return module.predictions(row, self)


OURS, PLAIN, BY_HAND = "backprop", "backprop-numpy", "by-hand"
TRAINING = ("variants",)

PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "keras_like", ("numpy", "numba"), "backprop"),
        Peer(PLAIN, "keras_like", ("numpy",), "backprop", kernels="numpy"),
        Peer(BY_HAND, "by_hand", ("numpy",), "numpy", works=TRAINING),
        Peer("torch", "with_torch", ("torch",), "torch"),
        Peer("torch.compile", "with_torch", ("torch",), "torch", tolerance=3e-2),
        Peer("jax", "with_jax", ("jax", "jaxlib"), "jax"),
        Peer("keras-torch", "keras_like", ("keras", "torch"), "torch", "torch"),
        Peer("keras-jax", "keras_like", ("keras", "jax"), "jax", "jax"),
        Peer("keras-tensorflow", "keras_like", ("keras", "tensorflow"), "tensorflow", "tensorflow"),
        Peer("sklearn", "with_sklearn", ("scikit-learn",), "numpy", works=TRAINING),
        Peer("autograd", "with_autograd", ("autograd",), "numpy", works=TRAINING),
        Peer(
            "onnxruntime",
            "with_onnx",
            ("onnxruntime", "onnx", "onnxscript"),
            "onnxruntime",
            works=("predictions",),
        ),
    )
}


def peers_for(work: str) -> list[str]:
    """The names of those that do it."""
    return [name for name, peer in PEERS.items() if work in peer.works]
