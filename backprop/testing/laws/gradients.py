"""Laws of the backward pass: it is the derivative of forward, linear in dy, set and repeatable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from backprop.gradcheck import gradcheck
from backprop.gradcheck.probe import mask_of
from backprop.layer import Layer
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, OfInputs
from backprop.testing.laws.law import needs
from backprop.testing.probes import moves_of, penalises, takes_dvalues
from backprop.testing.results import (
    Broken,
    DoesNotApply,
    Results,
    Undecided,
    farthest,
    largest,
    must_agree,
)

Array = np.ndarray
MASKED = 0.3  # of the sequences without a mask: how many are given one too
OF_TERMS = 2.0**-48  # of the largest term: what rounding leaves of several that cancel


def gradients_match_finite_differences(case: Case) -> None:
    """Every gradient is the derivative of the forward pass, as far as differences can tell.

    The law that most mistakes in a derivation break: a factor, a sign, a transposed product, a sum
    over the wrong axis, a path that was forgotten. `gradcheck` certifies dx and all parameters in
    float64, in training and in inference, under the mask and the weights of the case. A `piecewise`
    layer is checked beside its kinks, which have a law of their own. Of a `stochastic` one some
    numbers are 0: what was dropped and what was 0 before look alike in y. To a sequence without a
    mask now and then one is given.
    """
    rng = case.rng(4)

    def with_zeros(x: Array) -> Array:
        if not x.min(initial=0) < 0 < x.max(initial=0):
            return x
        return np.where(rng.random(x.shape) < 0.25, 0, x)

    if "stochastic" in case.tags and "piecewise" not in case.tags:
        case = case.changed(with_zeros)
    case = off_kinks(case)
    certify(case)
    if "stochastic" in case.tags and not case.training:
        certify(replace(case, training=True))  # where the draws are
    if case.mask is None and not case.is_loss and rng.random() < MASKED:
        mask = each(lambda a: mask_for(a, rng), case.x)
        masked = replace(case, mask=mask)  # which comes with any sequence
        if any(m is not None for m in as_tuple(mask)) and runs(masked):
            certify(masked)


def mask_for(x: Array, rng: np.random.Generator) -> Array | None:
    """A mask of a sequence whose first step is real; None for what is none."""
    if x.ndim != 3 or x.dtype.kind != "f":
        return None
    mask = rng.random(x.shape[:2]) < 0.7
    mask[:, :1] = True
    return mask


def runs(case: Case) -> bool:
    """Whether a pass takes what a case has, such as a mask of these axes."""
    try:
        case.subject().forward()
    except Exception:
        return False
    return True


@needs(tag="piecewise")
def slopes_at_kinks_are_subgradients(case: Case) -> None:
    """At a kink, the derivative lies between the slopes on its two sides, output by output.

    At ties and thresholds differences see two slopes. An implementation may choose one, or one in
    between, but a max-pooling that pays dy to all that tie, or a threshold that is slightly off,
    leaves the interval. `gradcheck` looks at both sides, at multiples of 1/2.
    """
    if not case.floats:
        raise DoesNotApply("integers have no slope")

    def at_kinks(x: Array) -> Array:
        if x.min(initial=0.0) >= 0 and x.max(initial=0.0) <= 1:
            return x  # rounded, probabilities would reach 0 and 1, where they may not go further
        return np.round(2 * x) / 2

    there = case.changed(at_kinks)
    if type(case.x) is not tuple and not case.is_loss:
        mask = mask_of(there.subject().layer, there.x)
        if mask is not None and not mask.all():
            raise DoesNotApply("some numbers stand for a mask there, at which y jumps")
    certify(there)


def off_kinks(case: Case) -> Case:
    """The case beside the kinks of a `piecewise` layer: off the multiples of 1/2, by a little."""
    rng = case.rng(3)

    def beside(x: Array) -> Array:
        return x + 0.02 * (rng.uniform(0.5, 1.0, x.shape) * (0.5 - np.mod(2 * x, 1)))

    return case.changed(beside) if "piecewise" in case.tags else case


def certify(case: Case) -> None:
    """Raise unless the gradients of a case are right."""
    subject = case.subject()
    values = "random" if subject.mood == "moved" else "own"  # what is tiny or 0 would not stay so
    try:
        certified(OfInputs(subject.layer, case), case.x, case, values)
    except (Broken, DoesNotApply, Undecided):
        raise
    except Exception as error:
        if values == "own" and subject.computable():
            raise Undecided(f"a step from these parameters leaves the domain: {error}") from error
        raise


def certified(layer: Layer, x: Any, case: Case, values: str = "random") -> None:
    """Raise unless the gradients of a layer that was made for a case are right."""
    if case.empty:
        raise DoesNotApply("an empty input has no gradients")
    report = gradcheck(
        layer, x, seed=case.seed, training=case.training, values=values, lattice=False
    )
    if report.verdict.lower() == "fail":
        looks, table = getattr(report, "diagnosis", None), str(report)
        raise Broken(f"{table}\nlooks like: {looks}" if looks and looks not in table else table)
    if report.verdict.lower() == "inconclusive":
        raise Undecided(str(report))


def backward_is_linear_in_dy(case: Case) -> None:
    """backward(a u + b v) = a backward(u) + b backward(v), whatever the size of a and b.

    The chain rule is linear. Catches an upstream gradient that is squared, clipped, normalised or
    ignored: mistakes that a check with dy = 1 cannot see. Then u is what losses and masks really
    send: zeros but for a row, a step or one number, or zeros there alone; ones; what is broadcast
    along an axis. A shortcut for such a dy has to give what the long way gives. Penalties on
    activity add what does not depend on dy.
    """
    subject = case.subject()
    if subject.layer.takes_targets and not takes_dvalues(subject.layer):
        raise DoesNotApply("the loss' backward takes no upstream gradient")
    subject.defined()
    y, cache = subject.forward()

    def backward(dy: Any) -> Results:
        return subject.reversed(subject.backward(dy, cache))

    u, v = case.dy(y, 7), case.dy(y, 8)
    rest = backward(mixed(0.0, u, 0.0, v))
    penalised = penalises(subject.layer)
    for name, a in rest.items() if not penalised else ():
        if np.any(a):
            raise Broken(f"dy = 0 gives {name} with {largest(a):.6g} in it")
    of_u, of_v = backward(u), backward(v)

    size = max([1.0, *map(largest, case.floats)])

    def must_add_up(a: float, u: Any, of_u: Results, b: float, where: str = "") -> None:
        dy = mixed(a, u, b, v)
        parts, moved = ((a, of_u), (b, of_v)), moves_of(subject, case, dy)
        must_be_sum(backward(dy), rest, *parts, size, moved, where)

    for a, b in ((1.0, 2.0**20), (-3.0, 2.0**-20)):
        must_add_up(a, u, of_u, b)
    for what, special in special_upstreams(y, case.rng(9)):
        must_add_up(1.0, special, backward(special), 1.0, f", where u is {what}")
    if penalised or any(np.asarray(a).dtype.kind != "f" for a in as_tuple(y)):
        return  # what is not in proportion to dy, and integers, would be lost beside it
    for b in (2.0**100, 2.0**-100):
        for name, g in backward(mixed(0.0, u, b, v)).items():
            if found := farthest(g / b, of_v[name], 1e-10 * (largest(of_v[name]) + 1e-3)):
                raise Broken(
                    f"{name} of {b:g} v, divided by {b:g}, is {found}, as {name} of v says"
                )


def must_be_sum(
    got: Results,
    rest: Results,
    first: tuple[float, Results],
    second: tuple[float, Results],
    size: float,
    moved: Callable[[], Mapping[str, float]],
    where: str = "",
) -> None:
    """Raise unless what is got is a times the one and b times the other, but for the rest that is
    there without dy, and what `moved` says that rounding does to each.

    A gradient that is 0, such as that of a bias which a softmax takes out again, is what rounding
    left of terms as large as the other gradients, times a number of x, of that `size` at most.
    """
    (a, of_u), (b, of_v) = first, second
    parts = {n: (a * (of_u[n] - rest[n]), b * (of_v[n] - rest[n])) for n in got}
    terms = max((largest(part) for both in parts.values() for part in both), default=0.0)
    for name, g in got.items():
        part_u, part_v = parts[name]
        scale = largest(part_u) + largest(part_v) + largest(of_u[name]) + (abs(a) + abs(b)) * 1e-3
        allowed = 1e-10 * scale + OF_TERMS * terms * size
        if farthest(g - rest[name], part_u + part_v, allowed):
            # what is left of a cancellation is as inexact as its terms
            allowed += 8 * moved()[name]
        if found := farthest(g - rest[name], part_u + part_v, allowed):
            raise Broken(
                f"{name} of {a:g} u + {b:g} v is {found}, as {name} of u and of v say{where}"
            )


def mixed(a: float, u: Any, b: float, v: Any) -> Any:
    """a u + b v, or that of each of several."""
    if type(u) is not tuple:
        return np.asarray(a * u + b * v).astype(u.dtype)
    return tuple([mixed(a, p, b, q) for p, q in zip(u, v, strict=True)])


def special_upstreams(y: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """What losses and masks send back besides generic numbers, and what it is.

    Of several outputs all get the same kind.
    """
    arrays = [np.asarray(a) for a in as_tuple(y)]
    found = [list(special_upstreams_of(a, rng)) for a in arrays if a.size]
    for kinds in zip_longest(*found):
        known = iter(kinds)
        whats = [one[0] for one in kinds if one is not None]
        dy = []
        for a in arrays:
            one = next(known) if a.size else None
            dy.append(np.zeros_like(a) if one is None else one[1])
        yield whats[0], tuple(dy) if type(y) is tuple else dy[0]


def special_upstreams_of(y: Array, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    generic = rng.choice([-1.0, 1.0], y.shape) * rng.uniform(0.5, 1.5, y.shape)
    generic = generic.astype(y.dtype)
    yield "-0", np.full_like(y, -0.0)
    yield "1", np.ones_like(y)
    yield "one number everywhere", np.broadcast_to(y.dtype.type(0.75), y.shape)
    for at in sorted({0, int(rng.integers(y.size)), y.size - 1}):
        one = np.zeros_like(y)
        one.reshape(-1)[at] = 1.0
        yield "0 but for one number", one
    for axis, n in enumerate(y.shape):
        yield (
            f"broadcast along axis {axis}",
            np.broadcast_to(np.take(generic, [0], axis), y.shape),
        )
        if n < 2:
            continue
        here = (slice(None),) * axis
        for at in (0, n - 1):
            lone, gone = np.zeros_like(y), generic.copy()
            lone[(*here, at)] = generic[(*here, at)]
            gone[(*here, at)] = 0.0
            yield f"0 but at {at} along axis {axis}", lone
            yield f"0 at {at} along axis {axis}", gone


def backward_sets_and_can_be_repeated(case: Case) -> None:
    """backward sets every entry of every gradient, and doing it again with the same cache gives the
    same.

    Catches `+=` on a gradient, one that is left as it was, and a cache that the first pass used up.
    """
    subject = case.subject()
    y, cache = subject.forward()
    dy = case.dy(y)
    first = subject.reversed(subject.backward(dy, cache))
    subject.poison_gradients()
    second = subject.reversed(subject.backward(dy, cache))
    for name, a in second.items():
        if np.isnan(a).any() and not np.isnan(first[name]).any():
            kind = "adds to" if np.isnan(a).all() else "leaves a part of"
            raise Broken(
                f"backward {kind} {name}, where it has to set it: what was there before shows"
            )
    must_agree(second, first, "the second time")


def params_only_backward_agrees(case: Case) -> None:
    """`backward_params` sets the gradients that `backward` sets.

    Catches the shortcut for a model's first layer that was changed in only one of the two places.
    """
    subject = case.subject()
    if not subject.parameters:
        raise DoesNotApply("it has no parameters")
    y, cache = subject.forward()
    dy = case.dy(y)
    subject.backward(dy, cache)
    wanted = subject.gradients()
    subject.poison_gradients()
    subject.layer.backward_params(dy, cache)
    must_agree(subject.gradients(), wanted, "by backward_params")
