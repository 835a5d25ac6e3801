"""How much a layer multiplies: the products that are added to a sum, of one row of a batch.

They are those of matrix products, convolutions and attention as their formulas have them, at all
places, margins and masked steps among them. What works number by number has none: biases,
activations, gates, normalization, pooling.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from backprop.nest import as_one, as_tuple
from backprop.promises import short_for

Count = int | None  # None where it is not known


def times(*factors: Count) -> Count:
    """The product; None where one of them is free, unless another is 0.

    >>> times(3, 4), times(3, None), times(None, 0)
    (12, None, 0)
    """
    if 0 in factors:
        return 0
    return None if None in factors else prod(f for f in factors if f is not None)


def plus(counts: Iterable[Count]) -> Count:
    """The sum; None where one of them is not known."""
    found = list(counts)
    return None if None in found else sum(c for c in found if c is not None)


@short_for("forward", "propagate")
def no_products(self: Any, input_shape: Any) -> Count:
    """None: it works number by number."""
    return 0


@short_for("forward")
def by_units(self: Any, input_shape: Any) -> Count:
    """Those of x · kernel, over the last axis."""
    return times(*input_shape[1:], self.units)


def by_its(attribute: str) -> Any:
    """The method of a layer that does what the layer does that it has as this attribute."""

    @short_for("forward", "propagate")
    def of_the_inner(self: Any, input_shape: Any) -> Count:
        """Those of the layer within."""
        return getattr(self, attribute).multiply_adds(input_shape)

    return of_the_inner


@short_for("propagate")
def in_a_row(self: Any, input_shape: Any) -> Count:
    """Those of layers, each of which reads what the one before puts out."""
    found = []
    for layer in self.layers:
        found.append(layer.multiply_adds(input_shape))
        input_shape = layer.compute_output_shape(input_shape)
    return plus(found)


@short_for("propagate")
def of_calls(self: Any, input_shape: Any) -> Count:
    """Those of the calls that a graph is made of, for the shapes that it was drawn with."""
    return plus(count for _, count in by_call(self))


def by_call(graph: Any) -> list[tuple[Any, Count]]:
    """The layer of each call of a graph, and what it takes there."""
    wiring, found = graph._wiring, []
    for call in wiring.calls:
        shapes = [None if place is None else wiring.shapes[place] for place in as_tuple(call.reads)]
        found.append((call.layer, call.layer.multiply_adds(as_one(shapes))))
    return found
