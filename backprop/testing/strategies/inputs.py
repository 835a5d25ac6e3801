"""Inputs of layers: arrays, images, sequences, tokens, and masks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, checked
from backprop.checks import NotNegative, Number, Positive, choice, one_of, sequence, sizes
from backprop.testing.drawing import (
    SCALES,
    bounds_for,
    kind_for,
    lengthened,
    st,
)
from backprop.testing.made_numbers import KINDS_OF_NUMBERS, numbers
from backprop.testing.strategies.sizes import SEEDS, Lengths, Strategy, between, most_of, shapes

Array = np.ndarray


def kinds_from(value: Any, who: str, name: str) -> tuple[str, ...]:
    """Kinds of numbers, as a tuple of their names."""
    found = sequence(value, who, name, "a tuple of kinds of numbers")
    return tuple([one_of(kind, tuple(KINDS_OF_NUMBERS), who, f"each of {name}") for kind in found])


def shape_or_strategy(value: Any, who: str, name: str) -> tuple[int, ...] | Strategy[Any]:
    return value if isinstance(value, Strategy) else sizes(value, who, name)


def two_sizes(value: Any, who: str, name: str) -> tuple[int, ...]:
    found = sizes(value, who, name)
    if len(found) != 2:
        raise ValueError(f"{who} expects {name} to be two integers, got {value!r}")
    return found


Kinds = Annotated[tuple[str, ...], Convert(kinds_from)]
Shape = Annotated[Any, Convert(shape_or_strategy)]
DataFormat = Annotated[str | None, choice("channels_last", "channels_first", None)]
TwoSizes = Annotated[tuple[int, ...], Convert(two_sizes)]


def is_shape(given: Any) -> bool:
    return isinstance(given, tuple) and all(isinstance(n, int | np.integer) for n in given)


@checked
@st.composite
def arrays(
    draw: Any,
    shape: Shape = None,
    *,
    kinds: Kinds | None = None,
    low: Number | None = None,
    high: Number | None = None,
) -> Array:
    """Arrays of numbers.

    Parameters
    ----------
    shape : tuple of int or strategy, optional
        With the batch. Default: `shapes()`.
    kinds : tuple of str
        See `numbers`. Default: ``"generic"`` and ``"lattice"``, and now and then another; within
        bounds none of another scale.
    low, high : float, optional
        Bounds of the numbers. Default: none.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import arrays
    >>> find(arrays((2, 3), low=0.0), lambda x: (x > 1).any()).shape
    (2, 3)
    """
    shape = (
        draw(shapes()) if shape is None else draw(shape) if isinstance(shape, Strategy) else shape
    )
    scales = SCALES if low is None and high is None else ("repeated",)
    return numbers(tuple(shape), kind_for(draw, kinds, scales), draw(SEEDS), low, high)


@checked
@st.composite
def images(
    draw: Any,
    min_side: NotNegative = 1,
    max_side: NotNegative | None = None,
    channels: Lengths | None = None,
    *,
    batch: Lengths | None = None,
    data_format: DataFormat = "channels_last",
    kinds: Kinds | None = None,
) -> Array:
    """Images (N, H, W, C), H and W drawn one by one: most are not square.

    Parameters
    ----------
    min_side, max_side : int
        Bounds of H and W. Default: from 1 to 6, and now and then longer.
    channels, batch : int or pair of int
        C and N, or their bounds. Default: from 1 to 3, and now and then more.
    data_format : {"channels_last", "channels_first"}, optional
        None is "channels_last".
    kinds : tuple of str
        See `numbers`. Default: as of `arrays`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import images
    >>> find(images(min_side=3), lambda x: True).shape
    (1, 3, 3, 1)
    """
    n, c = draw(between(batch or (1, 3))), draw(between(channels or (1, 3)))
    side = st.integers(min_side, most_of(max_side, min_side, "images()", 6))
    high = (min_side, max_side)
    bounds = {"n": bounds_for(batch), "h": high, "w": high, "c": bounds_for(channels)}
    sizes = {"n": n, "h": draw(side), "w": draw(side), "c": c}
    order = "nchw" if data_format == "channels_first" else "nhwc"
    shape = tuple([sizes[name] for name in order])
    shape = lengthened(draw, shape, {axis: bounds[name] for axis, name in enumerate(order)})
    return numbers(shape, kind_for(draw, kinds), draw(SEEDS))


@checked
@st.composite
def sequences(
    draw: Any,
    steps: Lengths | None = None,
    features: Lengths | None = None,
    *,
    batch: Lengths | None = None,
    masked: bool = False,
    allow_empty: bool = False,
    kinds: Kinds | None = None,
) -> Any:
    """Sequences (N, T, F); with `masked`, `(x, mask)`, where the mask may be None.

    Parameters
    ----------
    steps, features, batch : int or pair of int
        T, F and N, or their bounds. Default: up to 5, 3 and 3, and now and then more.
    masked : bool, default False
    allow_empty : bool, default False
        Whether all steps of a sequence may be masked.
    kinds : tuple of str
        See `numbers`. Default: as of `arrays`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import sequences
    >>> x, mask = find(sequences(steps=4, masked=True), lambda case: case[1] is not None)
    >>> x.shape, mask.shape
    ((1, 4, 1), (1, 4))
    """
    shape = lengths_of(draw, (batch, steps, features), (3, 5, 3))
    x = numbers(shape, kind_for(draw, kinds), draw(SEEDS))
    if not masked:
        return x
    return x, draw(st.none() | masks(shape[:2], allow_empty=allow_empty))


def lengths_of(
    draw: Any, bounds: Sequence[int | tuple[int, int] | None], usual: Sequence[int]
) -> tuple[int, ...]:
    """A length within each of the bounds, up to what is usual where there is none; then one may be
    long."""
    small = [draw(between(b or (1, most))) for b, most in zip(bounds, usual, strict=True)]
    return lengthened(draw, tuple(small), {k: bounds_for(b) for k, b in enumerate(bounds)})


@checked
@st.composite
def tokens(
    draw: Any,
    vocabulary: Positive,
    shape: Shape = None,
    *,
    masked: bool = False,
) -> Any:
    """Integers (N, T) below `vocabulary`, some of them several times; half the time rows end in
    zeros, as padding does.

    Parameters
    ----------
    vocabulary : int
    shape : tuple of int or strategy, optional
        Default: up to three sequences of up to five, and now and then more.
    masked : bool, default False
        Draw `(x, mask)`, where the mask may be None.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import tokens
    >>> find(tokens(9, (1, 3)), lambda x: True)
    array([[7, 5, 7]])
    """
    if shape is None:
        shape = lengths_of(draw, (None, None), (3, 5))
    shape = tuple(draw(shape) if isinstance(shape, Strategy) else shape)
    rng = np.random.default_rng(draw(SEEDS))
    x = rng.integers(0, vocabulary, shape)
    if x.size > 1:
        x.reshape(-1)[-1] = x.reshape(-1)[0]
    if x.ndim == 2 and x.shape[1] > 1 and draw(st.booleans()):
        # what an Embedding with mask_zero takes for padding; the first token is left as it is
        x[np.arange(x.shape[1]) > rng.integers(0, x.shape[1], (len(x), 1))] = 0
    return (x, draw(st.none() | masks(shape[:2]))) if masked else x


@checked
@st.composite
def masks(draw: Any, shape: TwoSizes, *, allow_empty: bool = False) -> Array:
    """Masks (N, T), True at a real step: all real, padded behind, padded in front, or with holes.

    Parameters
    ----------
    shape : pair of int
    allow_empty : bool, default False
        Whether a sequence may have no real step.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import masks
    >>> find(masks((2, 3)), lambda mask: not mask.all()).shape
    (2, 3)
    """
    n, steps = shape
    rng = np.random.default_rng(draw(SEEDS))
    kind = draw(st.sampled_from(("real", "behind", "in front", "holes")))
    lengths = rng.integers(0 if allow_empty else min(1, steps), steps + 1, (n, 1))
    behind = np.arange(steps) < lengths
    if kind == "behind":
        return behind
    if kind == "in front":
        return behind[:, ::-1].copy()
    mask = np.ones((n, steps), bool) if kind == "real" else rng.random((n, steps)) < 0.6
    if steps and not allow_empty:
        mask[:, rng.integers(steps)] |= ~mask.any(1)
    return mask
