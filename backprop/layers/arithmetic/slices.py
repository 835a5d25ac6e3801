"""A part of an array, cut out by basic slicing: what ``x[:, 0]`` stands for."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Layer

WHOLE = slice(None)


def entries(index: Any, who: str, name: str) -> tuple[Any, ...]:
    """What stands between the brackets: integers, slices, ``None`` and ``...``."""
    try:
        found = tuple([entry(part.strip()) for part in index.strip().rstrip(",").split(",")])
        if found.count(...) > 1:
            raise ValueError
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{who} expects {name} as it stands between brackets, such as ':, 0' or '..., 1:3', "
            f"got {index!r}"
        ) from None
    return found


def entry(part: str) -> Any:
    if part == "...":
        return ...
    if part == "None":
        return None
    ends = [int(end) if end.strip() else None for end in part.split(":")]
    if len(ends) > 3 or ends == [None]:
        raise ValueError
    return slice(*ends) if len(ends) > 1 else ends[0]


def written(index: Any) -> str:
    """An index as `Slice` takes it.

    Examples
    --------
    >>> import numpy as np
    >>> written(np.s_[:, -1, None]), written(np.s_[..., 1:3, ::2])
    (':, -1, None', '..., 1:3, ::2')
    """
    return ", ".join(map(written_entry, index if isinstance(index, tuple) else (index,)))


def written_entry(item: Any) -> str:
    if item is ... or item is None:
        return "..." if item is ... else "None"
    if not isinstance(item, slice):
        return str(whole(item, item))
    ends = (item.start, item.stop) if item.step is None else (item.start, item.stop, item.step)
    return ":".join("" if end is None else str(whole(end, item)) for end in ends)


def whole(number: Any, item: Any) -> int:
    """A whole number that stands in an index."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise TypeError(
            "a part of a symbolic array is cut out by integers, slices, None and ..., such as "
            f"x[:, 0] or x[..., 1:3], and got {item!r}; what picks by arrays is a layer of your own"
        )
    return int(number)


class Slice(Layer):
    """y = x[index], by integers, slices, new axes and ``...``.

        x: (N, ...)    y: (N, ...), as NumPy has it

    Each number of y is one of x, and no two are the same one. So dx is dy at the places that were
    cut out, and 0 elsewhere.

    A mask is cut along. Where an integer takes one step out of the time, the mask ends, with a
    warning if that step is masked in a row.

    Parameters
    ----------
    index : str
        As it stands between brackets: ``":, 0"`` for ``x[:, 0]``, ``"..., 1:3"``,
        ``":, -1, None"``. The batch is the first axis, and is taken whole.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is no such index, takes a part of the batch, or an axis or place that x has not.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.layers.Slice(":, 1:")(np.array([[1.0, 2.0, 3.0]]))
    array([[2., 3.]], dtype=float32)
    >>> bp.Input((4, 3))[:, -1, None].layer
    Slice(':, -1, None')
    """

    makes_masks = False
    index: Annotated[Any, Convert(entries)]

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        self.time_local = self.expanded(len(input_shape))[1:2] == (WHOLE,) and len(input_shape) > 2

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def expanded(self, ndim: int) -> tuple[Any, ...]:
        """The index with an entry for each of `ndim` axes, and None for each new one."""
        missing = ndim - sum(item is not None and item is not ... for item in self.index)
        place = self.index.index(...) if ... in self.index else len(self.index)
        found = (*self.index[:place], *[WHOLE] * missing, *self.index[place + 1 :])
        if missing < 0 or found[0] != WHOLE:
            raise ValueError(
                f"{self!r} got inputs with {ndim - 1} axes beside the batch: it may have an entry "
                "for each, behind ':' or '...' for the batch"
            )
        return found

    def compute_output_shape(self, input_shape):
        y, axes = [], iter(input_shape)
        for item in self.expanded(len(input_shape)):
            if item is None:
                y.append(1)
                continue
            n = next(axes)
            if isinstance(item, slice):
                y.append(None if n is None else len(range(*item.indices(n))))
            elif n is not None and not -n <= item < n:
                raise ValueError(
                    f"{self!r} takes number {item} along an axis of {n}, and got inputs of "
                    f"{show_shape(input_shape[1:])}"
                )
        return tuple(y)

    def of_mask(self, x: Array, mask: Array) -> Array:
        """The mask, cut along its own axes."""
        found, axes = [], 0
        for item in self.expanded(x.ndim):
            if axes == mask.ndim:
                break
            found.append(item)
            axes += item is not None
        return mask[tuple(found)]

    def obeys_mask(self, x, mask):
        found = self.of_mask(x, mask)
        return found.ndim > 1 or mask.ndim == 1 or bool(found.all())

    def compute_mask(self, x, mask=None):
        if mask is None:
            return None
        found = self.of_mask(x, mask)
        return found if found.ndim > 1 or mask.ndim == 1 else None

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x[self.index], x.shape

    def backward(self, dy, shape):
        dx = np.zeros(shape, dy.dtype)
        dx[self.index] = dy
        return dx
