"""Laws of the values: float32 gives what float64 gives, a naive forward pass agrees, and what is
finite stays so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backprop.nest import as_tuple, each
from backprop.testing.case import Broken, Case, DoesNotApply, farthest, largest, named, parts
from backprop.testing.laws.law import needs
from backprop.testing.probes import asked_for, extremes, rounding

Array = np.ndarray

EPS32 = float(np.finfo(np.float32).eps)
ULPS = 64  # of float32, that a correct layer may be off; they stay below 7, mistakes begin at 1,000
TOLERANCE_OF_A_LOOP = 1e-8


def float32_agrees_with_float64(case: Case) -> None:
    """float32 gives what float64 gives at the same numbers, up to some units in the last place.

    Catches what is exact in theory and wrong in float32: a difference of large sums, an epsilon
    that vanishes, a detour through float16. How far rounding may go is measured on the layer
    itself, by moving all its numbers by a unit in the last place.
    """
    narrow, wide = case.subject(np.float32), case.subject()
    if "stochastic" in case.tags:
        case = replace(case, training=False)  # a generator draws other numbers in another dtype
    case = case.changed(lambda x: x.astype(np.float32).astype(np.float64))
    narrow.adopt(wide)
    wide.adopt(narrow)
    dy = each(lambda d: d.astype(np.float32), case.dy(wide.forward(case)[0]))
    wanted = wide.results(case, each(lambda d: d.astype(np.float64), dy))
    got = narrow.results(case, dy)
    scatter = rounding(narrow, case, dy, got)
    given = max(largest(a) for a in as_tuple(case.x) if a is not None)
    upstream = max(map(largest, as_tuple(dy)))
    for name, w in wanted.items():
        # what is small because large numbers cancelled in it is as inexact as they are
        terms = given if name.startswith("y") else upstream
        allowed = EPS32 * (ULPS * largest(w) + 8 * terms) + 8 * scatter[name]
        if found := farthest(got[name], w, allowed):
            unit = EPS32 * max(largest(w), 1e-30)
            raise Broken(
                f"in float32, {name} is {found}: {largest(got[name] - w) / unit:.0f} units in the "
                f"last place, of which rounding explains {allowed / unit:.0f}"
            )


@needs(reference=True)
def agrees_with_the_reference(case: Case) -> None:
    """The forward pass gives what a naive one gives.

    Differences only tell that backward belongs to forward; where both are wrong in the same way
    they agree. The reference is called with x (a loss' with y_true and y_pred) and, by name,
    whatever else its signature asks for, as it was before the pass. If it returns y and a dict of
    buffers, these are what the pass has to leave behind: which way a moving average moves only a
    second opinion knows. Numbers of both signs are tried as all negative too: a margin of zeros
    then beats every one of them.
    """
    compare_with_reference(case)
    if any((x < 0).any() and (x > 0).any() for x in case.floats):
        compare_with_reference(case.changed(lambda x: -np.abs(x)))


def compare_with_reference(case: Case) -> None:
    assert case.reference is not None
    subject = case.subject()
    known: dict[str, Any] = {p.name: p.value.copy() for p in subject.arrays}
    y = each(np.array, subject.forward()[0])
    left = {p.name: p.value.copy() for p in subject.buffers}
    known |= dict(case.config)
    known |= {
        "mask": case.mask,
        "training": case.training,
        "sample_weight": case.sample_weight,
        "layer": subject.layer,
    }
    x = subject.cast(case.x)
    subject.rewind()
    given = [case.y_true, x] if case.is_loss else list(as_tuple(x))
    answer = case.reference(*given, **asked_for(case.reference, len(given), known))
    pair = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)
    wanted, buffers = answer if pair else (answer, {})
    said = parts("y", tuple(wanted) if type(y) is tuple else wanted)
    for name, a in parts("y", y).items():
        if name not in said:
            raise Broken(f"there is a {name}, and the reference returns {len(said)} outputs")
        must_be_as_the_reference_says(name, a, said[name])
    for name, value in buffers.items():
        if name not in left:
            raise TypeError(
                f"the reference returns a buffer {name!r}, and the layer has "
                f"{', '.join(left) or 'none'}"
            )
        must_be_as_the_reference_says(f"after the pass, {name}", left[name], value)


def must_be_as_the_reference_says(name: str, got: Array, wanted: Any) -> None:
    wanted = np.asarray(wanted)
    if got.shape != wanted.shape:
        raise Broken(f"{name} has shape {got.shape} and the reference's {wanted.shape}")
    if found := farthest(got, wanted, TOLERANCE_OF_A_LOOP * (1 + largest(wanted))):
        raise Broken(f"{name} is {found}, as the reference says")


@needs(integer_input="integers are not cast")
def extreme_input_gives_finite_results(case: Case) -> None:
    """Where x is 0, all equal or as large as 10,000, y and all gradients are finite.

    Catches exp that overflows, 0 / 0 of a norm or a variance, log 0, and infinity times 0 in a
    backward pass. Numbers in [0, 1] are taken for probabilities, and positive ones stay so.
    """
    if not case.floats or case.empty:
        raise DoesNotApply("there are no numbers to be extreme")
    subject = case.subject(np.float32)
    for what, there in extremes(case):
        y, cache = subject.forward(there)
        dx = subject.of_inputs(subject.backward(case.dy(y), cache))
        for name, a in (named("y", y) | dx | subject.gradients()).items():
            if not np.isfinite(a).all():
                wrong = np.asarray(a)[~np.isfinite(a)].flat[0]
                raise Broken(f"where x is {what}, {name} holds {wrong}, in float32")
