"""What layers that merge several arrays share: how many there may be, and shapes that meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backprop.counts import no_products
from backprop.input_spec import Shape, show_shape
from backprop.layer import INFERENCE, Array, Layer
from backprop.linalg import unbroadcast
from backprop.masks import everywhere, spread
from backprop.nest import several


class Merging(Layer):
    """y = f(x₁, x₂, …), of arrays that have their rows in common."""

    several_inputs = True
    least, most = 1, math.inf  # how many arrays there may be

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def check_input(self, shape):
        self.compute_output_shape(shape)

    def shapes_in(self, input_shape: Any) -> list[Shape]:
        """The shapes of the arrays, if they are as many as can be merged, with as many rows."""
        listed = several(input_shape)
        if not listed or not self.least <= len(input_shape) <= self.most:
            wanted = "arrays" if self.least < self.most else f"{self.least} arrays"
            came = len(input_shape) if listed else "none, or one that stands alone"
            raise ValueError(
                f"{self!r} expects {wanted} in a list, as in layer([a, b]), and got {came}"
            )
        if not all(input_shape):
            raise ValueError(f"{self!r} expects arrays of rows, and got a single number")
        if len({shape[0] for shape in input_shape} - {None}) > 1:
            counts = " and ".join(str(shape[0]) for shape in input_shape)
            raise ValueError(f"{self!r} expects arrays of as many rows, and got {counts}")
        return [tuple(shape) for shape in input_shape]

    def refused(self, shapes: list[Shape], rule: str) -> ValueError:
        """The error for shapes that do not go together."""
        shown = " and ".join(show_shape(shape[1:]) for shape in shapes)
        return ValueError(f"{self!r} cannot merge arrays of shapes {shown}: {rule}")


class Elementwise(Merging):
    """y = f(x₁, x₂, …), number by number.

    Where an array has fewer axes than others, the missing ones are put in behind the batch, and
    where it has a length of 1, it is stretched. It moves all that it was stretched to, so dxᵢ is
    the sum over that.

    A step of y is real where it is so in all xᵢ that have a mask.
    """

    makes_masks = False

    def build(self, input_shape):
        super().build(input_shape)
        # what is stretched along the time would be another array at a single step
        self.time_local = len({(len(shape), *shape[1:2]) for shape in input_shape}) == 1

    def compute_output_shape(self, input_shape):
        shapes = self.shapes_in(input_shape)
        ndim = max(map(len, shapes))
        _, *axes = zip(*(spread(shape, ndim) for shape in shapes), strict=True)
        y = [shapes[0][0]]
        for lengths in axes:
            long = set(lengths) - {1}
            if len(long - {None}) > 1:
                raise self.refused(shapes, "counted from the last axis, lengths are equal or 1")
            y.append(None if None in long else max(long, default=1))
        return tuple(y)

    def compute_mask(self, x, mask=None):
        return None if mask is None else everywhere(mask, [a.shape for a in x])

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE) -> tuple[Array, Any]:
        shapes = [a.shape for a in x]
        if shapes.count(shapes[0]) == len(shapes):  # nothing is stretched
            y, cache = self.merge(x)
            return y, (None, cache)
        ndim = max(map(len, shapes))
        y, cache = self.merge([a.reshape(spread(a.shape, ndim)) for a in x])
        return y, (shapes, cache)

    def backward(self, dy, cache) -> Any:
        shapes, cache = cache
        found = self.split(dy, cache)
        if shapes is not None:
            found = [folded(d, shape) for d, shape in zip(found, shapes, strict=True)]
        return tuple(found)

    def merge(self, x: Sequence[Array], /) -> tuple[Array, Any]:
        """y, and what `split` will need, for arrays with as many axes."""
        raise NotImplementedError

    def split(self, dy: Array, cache: Any, /) -> list[Array]:
        """dxᵢ for each xᵢ, stretched to the shape of y."""
        raise NotImplementedError


def folded(d: Array, shape: Shape) -> Array:
    """The gradient of an array of this shape, summed over what it was stretched to."""
    if d.shape == shape:
        return d
    return unbroadcast(d, spread(shape, d.ndim)).reshape(shape)
