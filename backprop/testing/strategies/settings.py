"""Configurations, and the settings that stand in many of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.arguments import checked
from backprop.checks import Positive
from backprop.testing.drawing import (
    st,
)
from backprop.testing.strategies.sizes import Strategy


def paddings() -> Strategy[str]:
    """``"valid"`` and ``"same"``."""
    return st.sampled_from(("valid", "same"))


@checked
def strides(highest: Positive = 3, dims: Positive | None = None) -> Strategy[Any]:
    """Strides from 1 up: a number, or with `dims` also one an axis, most of them different.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import strides
    >>> find(strides(dims=2), lambda s: isinstance(s, tuple) and s[0] != s[1])
    (1, 2)
    """
    one = st.integers(1, highest)
    return one if dims is None else one | st.tuples(*[one] * dims)


def configurations(**arguments: Any) -> Strategy[dict[str, Any]]:
    """Arguments of a constructor, each drawn by itself.

    Parameters
    ----------
    **arguments
        A strategy; a list, of which one is drawn; anything else is what it is.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import configurations, strides
    >>> find(configurations(units=[1, 2], stride=strides(), bias=True), lambda c: c["units"] > 1)
    {'units': 2, 'stride': 1, 'bias': True}
    """
    return st.fixed_dictionaries({name: drawn(value) for name, value in arguments.items()})


def drawn(value: Any) -> Strategy[Any]:
    if isinstance(value, Strategy):
        return value
    if isinstance(value, list) and not value:
        raise ValueError("configurations() expects a list with something to draw from, got []")
    return st.sampled_from(value) if isinstance(value, list) else st.just(value)


def as_configurations(configs: Any) -> Strategy[dict[str, Any]]:
    if configs is None:
        return st.just({})
    return configurations(**configs) if isinstance(configs, Mapping) else configs
