"""Inputs that go together, as many rows in each; and what may be written in place of a strategy."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.testing.drawing import (
    st,
)
from backprop.testing.strategies.inputs import is_shape
from backprop.testing.strategies.sizes import Strategy


class Several(tuple):
    """What was drawn for each of several inputs."""


@st.composite
def together(draw: Any, *inputs: Any) -> Several:
    """The inputs of a layer that takes several, with one number of rows: what a tuple of strategies
    stands for.

    Parameters
    ----------
    *inputs : strategy, list, array or None
        One for each input, as for a layer of one; None is one that is not given. The first says how
        many rows there are: those of the others are repeated, or left off, to as many.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import shapes, together
    >>> a, b = find(together(shapes(1, 1), shapes(2, 2)), lambda drawn: drawn[0][0] == 3)
    >>> a, b
    ((3, 1), (3, 1, 1))
    """
    found = [None if one is None else draw(as_strategy(one)) for one in inputs]
    n = rows_of(found[0])
    return Several([None if one is None else with_rows(one, n) for one in found])


def rows_of(drawn: Any) -> int:
    """How many rows a shape, an array or a pair of array and mask has."""
    if is_shape(drawn):
        return drawn[0]
    if np.ndim(drawn[0] if isinstance(drawn, tuple) else drawn) == 0:
        raise TypeError(f"together() expects inputs that have rows, got {drawn!r}")
    return len(drawn[0]) if isinstance(drawn, tuple) else len(drawn)


def with_rows(drawn: Any, n: int) -> Any:
    """The same with n rows."""
    if is_shape(drawn):
        return (n, *drawn[1:])
    if isinstance(drawn, tuple):
        return tuple([None if a is None else with_rows(a, n) for a in drawn])
    a = np.asarray(drawn)
    return a if len(a) == n else a[np.arange(n) % len(a)]


def as_strategy(inputs: Any) -> Strategy[Any]:
    """A strategy, a list of inputs, a tuple of strategies for several inputs, or one input → a
    strategy of inputs."""
    if isinstance(inputs, Strategy):
        return inputs
    if isinstance(inputs, tuple) and any(isinstance(one, Strategy) for one in inputs):
        return together(*inputs)
    return st.sampled_from(inputs) if isinstance(inputs, list) else st.just(inputs)
