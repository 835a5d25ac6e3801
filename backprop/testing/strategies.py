"""What laws are tried on: Hypothesis strategies of inputs and configurations that shrink to the
smallest that fails.

Hypothesis draws shapes, kinds and seeds; the numbers themselves are a function of those (see
`numbers`). That is a hundred times faster than drawing each number, and generic numbers are what a
derivative is to be checked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import EllipsisType
from typing import Any

import numpy as np

from backprop.testing.case import numbers
from backprop.testing.drawing import (
    SCALES,
    USUAL,
    Bounds,
    bounds_for,
    kind_for,
    lengthened,
    roles_of,
    st,
)

Array = np.ndarray
Strategy = st.SearchStrategy
SEEDS = st.integers(0, 2**16 - 1)

TARGETS = ("numbers", "positive", "probabilities", "binary", "signs", "one_hot", "labels")
PREDICTIONS = ("numbers", "positive", "probabilities", "distributions")


def between(range_: int | tuple[int, int] | list[int]) -> Strategy[int]:
    """A number, or one between two."""
    if isinstance(range_, int):
        return st.just(range_)
    low, high = range_
    return st.integers(low, high)


def shapes(
    min_dims: int = 1,
    max_dims: int = 3,
    *,
    min_side: int = 1,
    max_side: int | None = None,
    batch: int | tuple[int, int] | None = None,
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
    most = most_of(max_side, min_side)
    if not 0 <= min_dims <= max_dims or not 0 <= min_side <= most:
        raise ValueError(
            "shapes() expects 0 <= min_dims <= max_dims and 0 <= min_side <= max_side, got "
            f"{min_dims}, {max_dims}, {min_side}, {max_side}"
        )
    sides = st.lists(st.integers(min_side, most), min_size=min_dims, max_size=max_dims)
    small = st.builds(lambda n, sizes: (n, *sizes), between(batch or (1, USUAL)), sides)
    return some_long(small, bounds_for(batch), (min_side, max_side))


def most_of(given: int | None, least: int, usual: int = USUAL) -> int:
    """How long the longest of the usual axes is: as given, or as usual."""
    return max(usual, least) if given is None else given


@st.composite
def some_long(
    draw: Any, small: Strategy[tuple[int, ...]], rows: Bounds, sides: Bounds
) -> tuple[int, ...]:
    """Shapes of which now and then one axis is long: the rows, or what stands behind them."""
    shape = draw(small)
    return lengthened(draw, shape, {axis: sides if axis else rows for axis in range(len(shape))})


def axes(
    *names: str | int | EllipsisType,
    min_side: int = 1,
    max_side: int | None = None,
    batch: int | tuple[int, int] | None = None,
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
    sides = st.integers(min_side, most_of(max_side, min_side))
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
    return len(drawn[0]) if isinstance(drawn, tuple) else len(drawn)


def with_rows(drawn: Any, n: int) -> Any:
    """The same with n rows."""
    if is_shape(drawn):
        return (n, *drawn[1:])
    if isinstance(drawn, tuple):
        return tuple([None if a is None else with_rows(a, n) for a in drawn])
    a = np.asarray(drawn)
    return a if len(a) == n else a[np.arange(n) % len(a)]


def is_shape(given: Any) -> bool:
    return isinstance(given, tuple) and all(isinstance(n, int | np.integer) for n in given)


@st.composite
def arrays(
    draw: Any,
    shape: Any = None,
    *,
    kinds: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
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


@st.composite
def images(
    draw: Any,
    min_side: int = 1,
    max_side: int | None = None,
    channels: int | tuple[int, int] | None = None,
    *,
    batch: int | tuple[int, int] | None = None,
    data_format: str = "channels_last",
    kinds: tuple[str, ...] | None = None,
) -> Array:
    """Images (N, H, W, C), H and W drawn one by one: most are not square.

    Parameters
    ----------
    min_side, max_side : int
        Bounds of H and W. Default: from 1 to 6, and now and then longer.
    channels, batch : int or pair of int
        C and N, or their bounds. Default: from 1 to 3, and now and then more.
    data_format : {"channels_last", "channels_first"}
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
    side = st.integers(min_side, most_of(max_side, min_side, 6))
    high = (min_side, max_side)
    bounds = {"n": bounds_for(batch), "h": high, "w": high, "c": bounds_for(channels)}
    sizes = {"n": n, "h": draw(side), "w": draw(side), "c": c}
    order = "nchw" if data_format == "channels_first" else "nhwc"
    shape = tuple([sizes[name] for name in order])
    shape = lengthened(draw, shape, {axis: bounds[name] for axis, name in enumerate(order)})
    return numbers(shape, kind_for(draw, kinds), draw(SEEDS))


@st.composite
def sequences(
    draw: Any,
    steps: int | tuple[int, int] | None = None,
    features: int | tuple[int, int] | None = None,
    *,
    batch: int | tuple[int, int] | None = None,
    masked: bool = False,
    allow_empty: bool = False,
    kinds: tuple[str, ...] | None = None,
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


@st.composite
def tokens(
    draw: Any,
    vocabulary: int,
    shape: Any = None,
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


@st.composite
def masks(draw: Any, shape: tuple[int, ...], *, allow_empty: bool = False) -> Array:
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


def paddings() -> Strategy[str]:
    """``"valid"`` and ``"same"``."""
    return st.sampled_from(("valid", "same"))


def strides(highest: int = 3, dims: int | None = None) -> Strategy[Any]:
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
    return st.sampled_from(value) if isinstance(value, list) else st.just(value)


@st.composite
def pairs(
    draw: Any,
    y_true: str = "numbers",
    y_pred: str = "numbers",
    shape: Any = None,
    *,
    weighted: bool = True,
    classes: int | tuple[int, int] | None = None,
) -> Any:
    """`(y_true, y_pred)` for a loss, or `(y_true, y_pred, sample_weight, mask)`.

    Parameters
    ----------
    y_true : str, default "numbers"
        One of ``"numbers"``, ``"positive"``, ``"probabilities"``, ``"binary"`` (0 and 1),
        ``"signs"`` (-1 and 1), ``"one_hot"``, ``"labels"`` (integers; one axis less).
    y_pred : str, default "numbers"
        One of ``"numbers"`` (logits too), ``"positive"``, ``"probabilities"``, ``"distributions"``
        (they sum to 1).
    shape : tuple of int or strategy, optional
        Of `y_pred`. Default: up to two axes besides the batch, and now and then a long one.
    weighted : bool, default True
        Whether to draw weights and masks too.
    classes : int or pair of int
        For labels: the length of the last axis, or its bounds. Default: from 2 to 4, and now and
        then more.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import pairs
    >>> y_true, y_pred, weights, mask = find(pairs("labels"), lambda pair: len(pair[0]) > 1)
    >>> y_true.shape, y_pred.shape
    ((2,), (2, 2))
    """
    if y_true not in TARGETS or y_pred not in PREDICTIONS:
        raise ValueError(
            f"pairs() expects y_true of {', '.join(TARGETS)} and y_pred of "
            f"{', '.join(PREDICTIONS)}; got {y_true!r}, {y_pred!r}"
        )
    choose = y_true in ("one_hot", "labels")
    if shape is None:
        small = shapes(0 if choose else 1, 1 if choose else 2, max_side=USUAL, batch=(1, USUAL))
        if choose:
            small = st.builds(lambda s, k: (*s, k), small, between(classes or (2, 4)))
        shape = draw(small)
        within = {axis: bounds_for(None) for axis in range(len(shape))}
        if choose:
            within[len(shape) - 1] = bounds_for(classes, 2)
        shape = lengthened(draw, shape, within)
    shape = tuple(draw(shape) if isinstance(shape, Strategy) else shape)
    seed = draw(SEEDS)
    scales = SCALES if y_pred == "numbers" else ()
    p = predictions(shape, y_pred, kind_for(draw, scales=scales), seed)
    t = targets(shape, y_true, seed + 1)
    if not weighted:
        return t, p
    return t, p, *draw(weights_and_masks(t.shape if y_true == "labels" else shape[:-1], seed + 2))


@st.composite
def label_sequences(
    draw: Any,
    steps: int | tuple[int, int] | None = None,
    classes: int | tuple[int, int] | None = None,
    *,
    batch: int | tuple[int, int] | None = None,
    weighted: bool = True,
    spellable: bool = True,
) -> Any:
    """`(y_true, y_pred)` for `CTC`, or `(y_true, y_pred, sample_weight, mask)`: the labels of each
    sequence, some of them repeated, zeros behind them, and steps enough to spell them.

    Parameters
    ----------
    steps, classes, batch : int or pair of int
        t, k and n of `y_pred`, or their bounds. Class 0 is the blank.
    weighted : bool, default True
        Whether to draw weights for samples and masks for steps too.
    spellable : bool, default True
        Whether every sequence has steps enough for its labels.

    Examples
    --------
    >>> from hypothesis import find
    >>> from backprop.testing import label_sequences
    >>> y_true, y_pred, weights, mask = find(label_sequences(), lambda drawn: True)
    >>> y_true.tolist(), y_pred.shape
    ([[1, 0]], (1, 1, 2))
    """
    n, t, k = lengths_of(draw, (batch, steps, classes), (3, 5, 4))
    k = max(k, 2)  # the blank, and something to spell
    seed = draw(SEEDS)
    rng = np.random.default_rng(seed)
    mask = draw(st.none() | masks((n, t))) if weighted else None
    rooms = np.full(n, t) if mask is None else mask.sum(1)
    spelt = []
    for i, room in enumerate(rooms if spellable else rng.integers(1, 2 * t + 1, n)):
        labels = list(rng.integers(1, k, rng.integers(i == 0, room + 1)))
        while len(labels) + sum(a == b for a, b in pairwise(labels)) > room:
            labels.pop()  # a blank between equal ones takes a step
        spelt.append(labels)
    # the first row is padded, so that a column more is a mistake
    y_true = np.zeros((n, max(len(spelt[0]) + 1, *map(len, spelt))), np.int64)
    for row, labels in zip(y_true, spelt, strict=True):
        row[: len(labels)] = labels
    y_pred = numbers((n, t, k), kind_for(draw), seed + 1)
    if not weighted:
        return y_true, y_pred
    return y_true, y_pred, rng.uniform(0.5, 2.0, n) if draw(st.booleans()) else None, mask


def predictions(shape: tuple[int, ...], kind: str, numbers_kind: str, seed: int) -> Array:
    """Predictions; those that live in (0, 1) stay off its ends, where losses clip them."""
    if kind == "numbers":
        return numbers(shape, numbers_kind, seed)
    if kind == "positive":
        return numbers(shape, "generic", seed, low=0.0)
    p = numbers(shape, "generic", seed, low=0.0, high=1.0)
    return p if kind == "probabilities" else p / p.sum(-1, keepdims=True)


def targets(shape: tuple[int, ...], kind: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if kind == "numbers":
        return numbers(shape, "generic", seed)
    if kind == "positive":
        return numbers(shape, "generic", seed, low=0.0)
    if kind == "probabilities":
        return numbers(shape, "generic", seed, low=0.0, high=1.0)
    if kind == "binary":
        return rng.integers(0, 2, shape).astype(np.float64)
    if kind == "signs":
        return rng.choice([-1.0, 1.0], shape)
    labels = rng.integers(0, shape[-1], shape[:-1])
    return labels if kind == "labels" else np.eye(shape[-1])[labels]


@st.composite
def weights_and_masks(draw: Any, shape: tuple[int, ...], seed: int) -> tuple[Any, Any]:
    """Weights for samples or for values or none, and a mask or none; something always counts."""
    rng = np.random.default_rng(seed)
    weights = {
        "none": None,
        "samples": rng.uniform(0.5, 2.0, shape[:1]),
        "values": rng.uniform(0.5, 2.0, shape),
    }[draw(st.sampled_from(("none", "samples", "values")))]
    mask = rng.random(shape) < 0.7 if draw(st.booleans()) else None
    if mask is not None and mask.size:
        mask.reshape(-1)[0] = True
    return weights, mask


def as_strategy(inputs: Any) -> Strategy[Any]:
    """A strategy, a list of inputs, a tuple of strategies for several inputs, or one input → a
    strategy of inputs."""
    if isinstance(inputs, Strategy):
        return inputs
    if isinstance(inputs, tuple) and any(isinstance(one, Strategy) for one in inputs):
        return together(*inputs)
    return st.sampled_from(inputs) if isinstance(inputs, list) else st.just(inputs)


def as_configurations(configs: Any) -> Strategy[dict[str, Any]]:
    if configs is None:
        return st.just({})
    return configurations(**configs) if isinstance(configs, Mapping) else configs
