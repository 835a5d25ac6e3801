"""Inputs of losses: predictions and targets that belong to them, with weights and masks."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from backprop.arguments import checked
from backprop.checks import choice
from backprop.testing.drawing import (
    SCALES,
    USUAL,
    bounds_for,
    kind_for,
    lengthened,
    st,
)
from backprop.testing.made_numbers import numbers
from backprop.testing.strategies.inputs import Shape, lengths_of, masks
from backprop.testing.strategies.sizes import SEEDS, Lengths, Strategy, between, shapes

Array = np.ndarray


TARGETS = ("numbers", "positive", "probabilities", "binary", "signs", "one_hot", "labels")
PREDICTIONS = ("numbers", "positive", "probabilities", "distributions")


@checked
@st.composite
def pairs(
    draw: Any,
    y_true: Annotated[str, choice(*TARGETS)] = "numbers",
    y_pred: Annotated[str, choice(*PREDICTIONS)] = "numbers",
    shape: Shape = None,
    *,
    weighted: bool = True,
    classes: Lengths | None = None,
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


@checked
@st.composite
def label_sequences(
    draw: Any,
    steps: Lengths | None = None,
    classes: Lengths | None = None,
    *,
    batch: Lengths | None = None,
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
