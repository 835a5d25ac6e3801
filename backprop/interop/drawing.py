"""Layers that are drawn on symbolic arrays which another library sees with its axes otherwise.

Layers have the batch in front and, of images, the channels behind. So an array of the other library
is known as a symbolic array of the layers and the order of axes in which it is seen there: where
axes are turned there, the order changes, and nothing is computed. Where they must lie as they are
seen a `Permute` is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.onnx_writing import inverse
from backprop.layer import Layer
from backprop.symbols import Symbol

Array = np.ndarray
Order = tuple[int, ...]


@dataclass(frozen=True)
class Known:
    """An array of the other library's graph.

    Attributes
    ----------
    symbol : Symbol
        What the layers make.
    order : tuple of int
        Axis i of the other library's array is axis order[i] of the symbol.
    lead : int, optional
        Where ONNX has an axis of length one more: that of a recurrent operator's directions.
    """

    symbol: Symbol
    order: Order
    lead: int | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """As the other library has it."""
        return tuple(self.symbol.shape[i] for i in self.order)

    @property
    def ndim(self) -> int:
        return len(self.order)


def as_is(symbol: Symbol) -> Known:
    return Known(symbol, tuple(range(len(symbol.shape))))


class Drawer:
    """Draws layers, and puts weights into them."""

    def __init__(self) -> None:
        self._made: dict[Any, Layer] = {}
        self._held: list[Array] = []

    def refused(self, why: str) -> ValueError:
        """An error that says what is being read, and why there are no layers for it."""
        raise NotImplementedError

    # ----------------------------------------------------------------------- arrays

    def known(self, x: Any) -> Known:
        """An array that the layers make."""
        if not isinstance(x, Known):
            raise self.refused("a constant, or nothing, stands where an array was expected")
        if x.lead is not None:
            raise self.refused("it reads the axis of directions of a recurrent operator")
        return x

    def plain(self, x: Any) -> Symbol:
        """The symbol with its axes as they are seen."""
        x = self.known(x)
        return self.arranged(x, tuple(range(x.ndim)))

    def arranged(self, x: Known, order: Order) -> Symbol:
        """The symbol whose axis i is seen as axis order[i]."""
        axes = tuple(x.order[i] for i in order)
        if axes == tuple(range(x.ndim)):
            return x.symbol
        if axes[0] != 0:
            raise self.refused("it works along the batch, or needs it behind another axis")
        return L.Permute(axes[1:])(x.symbol)

    def on(self, x: Any, layer: Layer) -> Known:
        """What a layer makes that works number by number."""
        x = self.known(x)
        return replace(x, symbol=layer(x.symbol))

    def axis(self, axis: Any, ndim: int) -> int:
        if not isinstance(axis, int) or not -ndim <= axis < ndim:
            raise self.refused(f"it has axis {axis} of {ndim}")
        return axis % ndim

    # ----------------------------------------------------------------------- weights

    def weighted(self, layer: Layer, x: Any, *weights: Array, **options: Any) -> Any:
        """Call a layer, and put weights into it, parameters first and then statistics. Where such
        a layer has these weights already, it is called once more."""
        key = self._key(layer, x, weights)
        if key in self._made:
            return self._made[key](x, **options)
        y = layer(x, **options)
        arrays = layer.arrays()
        if [p.shape for p in arrays] != [w.shape for w in weights]:
            raise self.refused(
                f"its weights have shapes {[w.shape for w in weights]}, and "
                f"{type(layer).__name__} needs {[p.shape for p in arrays]}"
            )
        for p, w in zip(arrays, weights, strict=True):
            if w.dtype.kind != "f":
                raise self.refused(f"its weights are of dtype {w.dtype}")
            p.value[...] = w
        self._made[key] = layer
        self._held += weights  # so that no other array comes to lie there
        return y

    def _key(self, layer: Layer, x: Any, weights: Sequence[Array]) -> Any:
        """What two calls of one layer have in common."""
        lie = tuple((w.__array_interface__["data"][0], w.shape, w.strides) for w in weights)
        return repr(layer), x.shape[1:], lie


def behind(x: Known) -> Order:
    """The order that has the channels of images behind: (N, C, sizes ...) → ..."""
    return (0, *range(2, x.ndim), 1)


def images(symbol: Symbol) -> Known:
    """What has its channels behind, and is seen with them in front."""
    return Known(symbol, inverse((0, *range(2, len(symbol.shape)), 1)))
