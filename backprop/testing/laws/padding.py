"""What stands at masked steps moves nothing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.context import Context
from backprop.masks import beside, only_real
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.probes import moves_of
from backprop.testing.results import Broken, DoesNotApply, Results, copies, must_agree, named

Array = np.ndarray

SIZES = (1.0, 30.0)  # how large the other padding is
BEHIND = 3  # steps of it


def must_ignore_padding(case: Case) -> None:
    """Raise if other numbers at the masked steps of x move y or dx at a real step, the gradient of
    a parameter, a buffer or what is added to the loss.

    What is not finite there containers put away. A row that is masked as a whole stays as it is, as
    there is nothing that its result could be made of; and as a query may see the first key alone,
    or a few, of several inputs not all of these are masked, and flags among them are set.
    """
    if type(case.x) is tuple and case.mask is not None:
        if longest(case.x) > shortest(case.mask) + 1:
            raise DoesNotApply("a step of one input may see none of another")
        x = each(lambda a: np.ones_like(a) if a.dtype == bool else a, case.x)
        mask = tuple([among_real_steps(m) for m in as_tuple(case.mask)])
        case = replace(case, x=x, mask=mask)
    pairs = list(zip(as_tuple(case.x), as_tuple(case.mask), strict=False))
    if not any(hides(mask, a) for a, mask in pairs):
        raise DoesNotApply("none of its numbers are masked")
    subject = case.subject()
    wanted, dy = at_real_steps(subject, case)
    for k, size in enumerate(SIZES):
        rng = case.rng(36 + k)
        other = [padded(a, mask, size, rng) for a, mask in pairs]
        x = tuple(other) + case.x[len(other) :] if type(case.x) is tuple else other[0]
        must_agree(
            at_real_steps(subject, case.with_x(x), dy)[0],
            wanted,
            "with other numbers at masked steps",
            moved=lambda: dict.fromkeys(wanted, 0.0) | moves_of(subject, case, dy)(),
        )
    must_end_before_padding(subject, case)
    must_bear_a_row_of_padding(subject, case)


def must_bear_a_row_of_padding(subject: Subject, case: Case) -> None:
    """Raise if something is not finite where a row has no real step, and is where it has."""
    if type(case.x) is tuple:
        return
    none = case.mask.copy()
    none[:1] = False
    if all(np.isfinite(a).all() for a in subject.results(case).values()):
        for name, a in subject.results(replace(case, mask=none)).items():
            if not np.isfinite(a).all():
                raise Broken(f"{name} is not finite where all steps of a row are masked")


def must_end_before_padding(subject: Subject, case: Case) -> None:
    """Raise if more masked steps behind a sequence move anything: how much padding there is in a
    batch is the longest row's affair."""
    x, mask = case.x, case.mask
    if type(x) is tuple or mask.ndim != 2 or x.shape[:2] != mask.shape or "stateful" in case.tags:
        return
    still = "stochastic" in case.tags  # what is drawn for more steps is other
    at = replace(case, mask=with_a_real_step(mask), training=case.training and not still)
    more = case.rng(38).uniform(-1, 1, (len(x), BEHIND, *x.shape[2:])).astype(x.dtype)
    longer = replace(
        at,
        x=np.concatenate([x, more], 1),
        mask=np.concatenate([at.mask, np.zeros((len(x), BEHIND), bool)], 1),
    )
    try:
        y, longer_y = (subject.forward(one)[0] for one in (at, longer))
        left, longer_left = (subject.layer.compute_mask(one.x, one.mask) for one in (at, longer))
    except Exception:  # a length that it was not built for
        return
    if type(y) is tuple or np.shape(y)[:1] != np.shape(longer_y)[:1]:
        return
    if left is None and np.shape(y) != np.shape(longer_y):
        return  # nobody says which of its steps are real
    here, there = (slice(None),) * 2 if left is None else (left, longer_left)
    dy, longer_dy = real(case.dy(y), left), np.zeros(np.shape(longer_y))
    longer_dy[there] = dy[here]
    wanted, _ = at_real_steps(subject, at, dy)
    got, _ = at_real_steps(subject, longer, longer_dy)
    wanted["y"], got["y"] = wanted["y"][here], got["y"][there]
    if "dx" in got:
        got["dx"] = got["dx"][:, : x.shape[1]]

    def moved() -> dict[str, float]:
        return dict.fromkeys(wanted, 0.0) | moves_of(subject, at, dy)()

    must_agree(got, wanted, "with more padding behind", moved=moved)


def with_a_real_step(mask: Array | None) -> Array | None:
    """The mask of a sequence whose first step is real."""
    if mask is None or mask.ndim < 2:
        return mask
    return mask | (np.arange(mask.shape[1]) == 0).reshape(-1, *[1] * (mask.ndim - 2))


def among_real_steps(mask: Array | None) -> Array | None:
    """The mask of a sequence whose first and last step are real, and one of any two neighbours:
    so that a query which sees its neighbourhood alone sees a key that is real."""
    mask = with_a_real_step(mask)
    if mask is None or mask.ndim < 2:
        return mask
    mask = mask.copy()
    mask[:, -1:] = True
    for t in range(1, mask.shape[1]):
        mask[:, t] |= ~mask[:, t - 1]
    return mask


def longest(x: Any) -> int:
    """Of several inputs, the largest number of steps."""
    return max(a.shape[1] for a in x if a is not None and a.ndim > 2)


def shortest(masks: Any) -> int:
    return min(m.shape[1] for m in masks if m is not None and m.ndim > 1)


def hides(mask: Array | None, a: Array | None) -> bool:
    """Whether an input holds numbers with a derivative that are masked."""
    if mask is None or a is None or a.dtype.kind != "f" or mask.shape != a.shape[: mask.ndim]:
        return False
    return bool((some_real(mask) & ~mask).any())


def some_real(mask: Array) -> Array:
    """Which rows are not masked as a whole."""
    return np.logical_or.reduce(mask, tuple(range(1, mask.ndim)), keepdims=True)


def padded(a: Any, mask: Array | None, size: float, rng: np.random.Generator) -> Any:
    """An input with other numbers where it is masked."""
    if mask is None or not hides(mask, a):
        return a
    stays = beside(mask | ~some_real(mask), a.ndim)
    return np.where(stays, a, size * rng.uniform(-1, 1, a.shape))


def at_real_steps(subject: Subject, case: Case, dy: Any = None) -> tuple[Results, Any]:
    """What a pass computes at real steps, and the dy that it was reversed with: 0 at others."""
    subject.rewind()
    x, mask = subject.given(subject.cast(case.x), case.x), subject.given(case.mask, case.x)
    penalties: list = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        y, cache, left = subject.layer.propagate(
            x, Context(case.training, mask, penalties=penalties)
        )
    if any("was passed an input with a mask" in str(one.message) for one in said):
        raise DoesNotApply("it says that it does not use the mask")
    if type(left) is tuple and any(m is not None for m in left):
        # what has no mask beside one that has, such as scores, may tell of masked steps
        left = tuple(
            [np.zeros(len(a), bool) if m is None else m for a, m in zip(y, left, strict=True)]
        )
    dy = real(case.dy(y), left) if dy is None else dy
    dx = real(subject.backward(dy, cache), mask)
    added = {"what is added to the loss": np.asarray(sum(map(float, penalties)))}
    found = copies(named("y", real(y, left))) | subject.reversed(dx) | subject.buffers_now()
    return found | added, dy


def real(arrays: Any, masks: Any) -> Any:
    """An array, or each of several, with zeros at masked steps."""
    if type(arrays) is not tuple:
        return arrays if masks is None else only_real(np.asarray(arrays), masks)
    masks = masks if type(masks) is tuple else (masks,) * len(arrays)
    masks = (*masks, *(None,) * (len(arrays) - len(masks)))
    return tuple([a if a is None else real(a, m) for a, m in zip(arrays, masks, strict=True)])
