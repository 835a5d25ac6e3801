"""Shapes and the lengths of axes, among them those at which loops and blocks begin anew."""

from __future__ import annotations

from types import EllipsisType
from typing import Annotated, Any

from backprop.arguments import Convert, checked
from backprop.checks import NotNegative, integer, sequence
from backprop.testing.drawing import (
    USUAL,
    Bounds,
    bounds_for,
    lengthened,
    roles_of,
    st,
)

Strategy = st.SearchStrategy


SEEDS = st.integers(0, 2**16 - 1)


def length_or_bounds(value: Any, who: str, name: str) -> int | tuple[int, int]:
    """A number, or the least and the most of it."""
    expected = "a number, or the least and the most of it"
    if isinstance(value, int):
        return integer(value, who, name)
    found = [integer(n, who, f"each of {name}") for n in sequence(value, who, name, expected)]
    if len(found) != 2 or found[0] > found[1]:
        raise ValueError(f"{who} expects {name} to be {expected}, got {value!r}")
    return found[0], found[1]


Lengths = Annotated[int | tuple[int, int], Convert(length_or_bounds)]


def between(range_: int | tuple[int, int] | list[int]) -> Strategy[int]:
    """A number, or one between two."""
    if isinstance(range_, int):
        return st.just(range_)
    low, high = range_
    return st.integers(low, high)


@checked
def shapes(
    min_dims: NotNegative = 1,
    max_dims: NotNegative = 3,
    *,
    min_side: NotNegative = 1,
    max_side: NotNegative | None = None,
    batch: Lengths | None = None,
) -> Strategy[tuple[int, ...]]:
    """Shapes of inputs: a batch, and axes besides it. Where no bound is given, one axis of a few
    draws is long.

    Parameters
    ----------
    min_dims, max_dims : int
        How many axes, not counting the batch. Defaults: 1 and 3.
    min_side, max_side : int
        How long each is. Default: from 1 to 4, and now and then longer.
    batch : int or pair of int
        How many rows: a number, or the least and the most. Default: as the sides.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import shapes
    >>> find(shapes(min_dims=2), lambda shape: True)
    (1, 1, 1)
    """
    if min_dims > max_dims:
        raise ValueError(f"shapes() expects min_dims <= max_dims, got {min_dims}, {max_dims}")
    most = most_of(max_side, min_side, "shapes()")
    sides = st.lists(st.integers(min_side, most), min_size=min_dims, max_size=max_dims)
    small = st.builds(lambda n, sizes: (n, *sizes), between(batch or (1, USUAL)), sides)
    return some_long(small, bounds_for(batch), (min_side, max_side))


def most_of(given: int | None, least: int, who: str, usual: int = USUAL) -> int:
    """How long the longest of the usual axes is: as given, or as usual."""
    if given is not None and given < least:
        raise ValueError(f"{who} expects min_side <= max_side, got {least}, {given}")
    return max(usual, least) if given is None else given


@st.composite
def some_long(
    draw: Any, small: Strategy[tuple[int, ...]], rows: Bounds, sides: Bounds
) -> tuple[int, ...]:
    """Shapes of which now and then one axis is long: the rows, or what stands behind them."""
    shape = draw(small)
    return lengthened(draw, shape, {axis: sides if axis else rows for axis in range(len(shape))})


@checked
def axes(
    *names: str | int | EllipsisType,
    min_side: NotNegative = 1,
    max_side: NotNegative | None = None,
    batch: Lengths | None = None,
) -> Strategy[tuple[int, ...]]:
    """Shapes whose axes have names: those of one name are equally long in all inputs of a case.

    Parameters
    ----------
    *names : str, int or ...
        The batch first, such as ``axes("batch", "time", "n")``. A number is a length. ``...``
        stands for up to two further axes, which are the same in all inputs.
    min_side, max_side : int
        How long each is, but for the batch; alike for all axes of one name. Default: from 1 to 4,
        and now and then longer.
    batch : int or pair of int
        How many rows: a number, or the least and the most. Default: as the sides.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import axes, together
    >>> both = together(axes("batch", "time", "n"), axes("batch", "n", 2))
    >>> find(both, lambda shapes: shapes[0][2] > 1)
    ((1, 1, 2), (1, 2, 2))
    >>> a, b = find(together(axes("batch", ...), axes("batch", ...)), lambda shapes: True)
    >>> a == b
    True
    """
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | int | EllipsisType):
            raise TypeError(f"axes() expects names, lengths or ..., got {name!r}")
        if isinstance(name, int):
            integer(name, "axes()", "a length", least=0)
    sides = st.integers(min_side, most_of(max_side, min_side, "axes()"))
    roles = roles_of(len(names))
    parts: list[Strategy[tuple[int, ...]]] = []
    for name, role in zip(names, roles, strict=True):
        if isinstance(name, int):
            parts.append(st.just((name,)))
        elif name is ...:
            parts.append(shared(name, st.lists(sides, max_size=2).map(tuple)))
        else:
            rows = role == "rows"
            one = between(batch or (1, USUAL)) if rows else sides
            within = bounds_for(batch) if rows else (min_side, max_side)
            parts.append(shared(name, one_side(one, role, within)))
    return st.tuples(*parts).map(lambda found: sum(found, ()))


@st.composite
def one_side(draw: Any, small: Strategy[int], role: str, within: Bounds) -> tuple[int, ...]:
    """The length of one axis, which now and then is long."""
    return lengthened(draw, (draw(small),), {0: within}, (role,))


def shared(name: Any, strategy: Strategy[Any]) -> Strategy[Any]:
    """One draw for all of a name in a case."""
    return st.shared(strategy, key=("axis", name))
