"""What a law sees: arrays by name, whether they agree, and how a law ends that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray


# "y", "dx", and for each parameter the gradient; of several "y[0]", "y[1]", "dx of query", ...
Results = dict[str, Array]


TOLERANCE = 1e-9  # in float64, of the largest number: two ways to sum differ by less


class Broken(AssertionError):
    """A law does not hold for a case: what was seen."""


class DoesNotApply(Exception):
    """A law says nothing about a case, and why."""


class NotSeen(Exception):
    """A case does not show what some case has to show, and what that is."""


class Undecided(Exception):
    """A case was too ill-conditioned to tell, and why."""


def parts(name: str, arrays: Any) -> dict[str, Any]:
    """An array by a name, or each of several by the name and its place."""
    if type(arrays) is not tuple:
        return {name: arrays}
    return {f"{name}[{k}]": a for k, a in enumerate(arrays) if a is not None}


def named(name: str, arrays: Any) -> Results:
    """`parts` as arrays, whatever they were."""
    return {name: np.asarray(a) for name, a in parts(name, arrays).items()}


def copies(results: Results) -> Results:
    return {name: np.array(a) for name, a in results.items()}


def unique(names: Iterable[str]) -> list[str]:
    """The names, with a number behind those that are there more than once."""
    names = list(names)
    return [n if names.count(n) == 1 else f"{n} #{i}" for i, n in enumerate(names)]


def must_agree(
    got: Results,
    wanted: Results,
    when: str,
    tolerance: float = TOLERANCE,
    floor: float = 1.0,
    moved: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Raise unless all results agree, up to the tolerance of the largest number and, where the two
    sum in another order, to eight times what `moved` says that rounding does to each."""
    moves: Mapping[str, float] = {}
    for name, w in wanted.items():
        g = got[name]
        if g.shape != w.shape:
            raise Broken(f"{when}, {name} has shape {g.shape} where it was {w.shape}")
        allowed = tolerance * (largest(w) + floor)
        if moved is not None and g.size and farthest(g, w, allowed):
            moves = moves or moved()  # which takes passes, and is seldom asked for
            allowed += 8 * moves[name]
        if g.size and (found := farthest(g, w, allowed)):
            raise Broken(f"{when}, {name} differs: {found}")


def farthest(got: Array, wanted: Array, allowed: Any) -> str | None:
    """Where two arrays differ most, in words, if they differ by more than is allowed."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.dtype.kind == "U":
        wrong = got != wanted
        return f"{got[wrong][0]!r} where {wanted[wrong][0]!r} is right" if wrong.any() else None
    with np.errstate(all="ignore"):
        error = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
        error = np.where(got == wanted, 0, error)  # equal infinities
    error = np.where(np.isnan(got) & np.isnan(wanted), 0, error)
    error = np.where(np.isnan(error), np.inf, error)
    if not error.size or (error <= allowed).all():
        return None
    at = np.unravel_index(np.argmax(error), error.shape)
    place = f", at {tuple(map(int, at))}" if at else ""
    return f"{float(got[at])!r} where {float(wanted[at])!r} is right{place}"


def largest(a: Array) -> float:
    """The largest magnitude among the finite numbers; that of strings is 0."""
    if np.asarray(a).dtype.kind == "U":
        return 0.0
    a = np.abs(np.asarray(a, np.float64))
    return float(np.max(a, initial=0.0, where=np.isfinite(a)))
