"""Laws of what has no exception: no number is one, and no size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backprop.gradcheck.probe import built_in
from backprop.nest import as_tuple, each_shape, shapes
from backprop.testing.case import Case, OfInputs, Subject
from backprop.testing.exceptions import FINER, Look, off_lattice, special_inputs, special_parameters
from backprop.testing.laws.gradients import certified
from backprop.testing.laws.law import asks_for_bounds
from backprop.testing.laws.shapes import must_take_all_integers
from backprop.testing.probes import anew, moves_of, settings_of
from backprop.testing.results import (
    Broken,
    DoesNotApply,
    Results,
    Undecided,
    copies,
    farthest,
    largest,
    must_agree,
    named,
)

ASKED = 8  # times that `gradcheck` is asked for a case, and as often for its parameters


@asks_for_bounds
def no_number_is_an_exception(case: Case) -> None:
    """Every gradient is the derivative of the forward pass wherever numbers are special: on grids,
    far out, next to kinks, where predictions are exact, where parameters are 0 or 1.

    Catches a shortcut for x = 0, a threshold that is off by a trifle or that lies at a thousand,
    and what is wrong at 1/4 alone: a number that is drawn is none of these.
    """
    if not case.floats and not case.subject().parameters:
        raise DoesNotApply("it has neither numbers as inputs nor parameters")
    if case.empty:
        raise DoesNotApply("an empty input has no gradients")
    subject = case.subject()
    found = list(special_inputs(case))
    asked = 0
    for k in case.rng(34).permutation(len(found)):
        what, at = found[k]
        asked += must_be_no_exception(subject, at, f"where x is {what}")
        if asked == ASKED:
            break
    for what in special_parameters(subject):
        asked += must_be_no_exception(subject, case, f"where {what}")
        if asked >= 2 * ASKED:
            break


def must_be_no_exception(subject: Subject, case: Case, where: str) -> bool:
    """Raise if gradients look wrong and are; whether that took a closer look."""
    piecewise = "piecewise" in case.tags
    if piecewise:
        case = off_lattice(case)
    with np.errstate(all="ignore"):
        try:
            look = Look(subject, case)
            if piecewise and look.finite and look.kinked:
                look = Look(subject, case, FINER)
            hole = not piecewise and look.is_a_hole
            if not hole and (not look.looks_wrong or (piecewise and look.kinked)):
                return False
            alone = not hole and look.is_alone()
            rounded = not alone and look.is_rounding(moves_of(subject, case, look.v)())
        except Exception:  # whatever a layer says to numbers that it does not expect
            return False
    if hole:
        raise Broken(f"{where}, y is another one than on both sides, where it is the same")
    if alone:
        raise Broken(f"{where}, gradients are others than on both sides, and there is no kink")
    if rounded:
        return True
    try:
        certified(OfInputs(subject.layer, case), case.x, case, "own")
    except Broken as error:
        raise Broken(f"{where}\n{error}") from None
    except Undecided:
        pass
    return True


def no_size_is_an_exception(case: Case) -> None:
    """Every gradient is the derivative of the forward pass at every size: with seven rows as with
    six, nine columns wide as eight, at the eleventh step as at the tenth.

    Catches what is left over of a block, and a loop that ends one too early at one size. Each
    length from 5 to 36 is tried along each axis that may be that long, and some longer ones; and of
    arguments that count something, such as `units`, other numbers up to 130. Where
    rows depend on each other and nothing is drawn, a batch that is given several times over either
    always has the y of the batch, and leaves the same in the buffers, or as a rule it does not.
    """
    if case.empty:
        raise DoesNotApply("an empty input has no gradients")
    subject = case.subject()
    size = ", ".join(str(a.shape) for a in case.floats)
    # what is drawn for a batch depends on how many rows it has, and now and then it is the same
    if "couples_rows" in case.tags and not {"stateful", "stochastic"} & case.tags:
        must_be_no_exception_of_rows(subject, case)
    must_be_no_exception(subject, case, f"of size {size}")
    must_be_no_exception_of_settings(subject, case)
    if not subject.parameters:
        return
    y, cache = subject.forward()
    dy = case.dy(y)
    subject.backward(dy, cache)
    wanted = subject.gradients()
    subject.poison_gradients()
    subject.layer.backward_params(dy, cache)
    must_agree(
        subject.gradients(),
        wanted,
        "by backward_params",
        moved=moves_of(subject, case, dy),
    )


OTHERWISE = 0.25  # of the cases: how many are tried with another number of units, heads, steps
LENGTHS = (2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 130)
MOST = 100_000  # numbers of y


def must_be_no_exception_of_settings(subject: Subject, case: Case) -> None:
    """Raise if gradients are wrong where an argument that counts something is another number."""
    rng = case.rng(40)
    if case.is_loss or rng.random() > OTHERWISE:
        return
    counts = [name for name, v in settings_of(subject.layer) if type(v) is int and v > 0]
    if not counts:
        return
    name, n = str(rng.choice(counts)), int(rng.choice(LENGTHS))
    try:
        twin = anew(subject.layer, {name: n})
        y = each_shape(math.prod, twin.compute_output_shape(shapes(case.x)))
        if sum(as_tuple(y)) > MOST:
            return
        other = Subject(case, layer=built_in(twin, case.batch_shape, subject.dtype))
        other.leave_special_values()
        result, cache = other.forward()
        other.backward(case.dy(result), cache)
    except Exception:  # a number that goes with no such input, or with no other argument
        return
    must_be_no_exception(other, case, f"with {name}={n}")
    try:
        must_take_all_integers(replace(case, make=lambda: anew(subject.layer, {name: n})))
    except Broken as error:
        raise Broken(f"with {name}={n}, {error}") from None


TIMES = (1, 2, 3, 4, 5, 8, 16)  # that a batch is given over


def must_be_no_exception_of_rows(subject: Subject, case: Case) -> None:
    """Raise if statistics of a batch are those of the batch given over for most sizes, and not for
    some."""
    rows = np.arange(min(case.rows, 3))
    if len(rows) < 2 or case.is_loss:  # whose values are of rows, or one of all
        return
    found: dict[int, Results] = {}
    for times in TIMES:
        batch = replace(case.take(np.tile(rows, times)), training=True)
        y, _ = subject.forward(batch)
        y = {name: a[: len(rows)] for name, a in copies(named("y", y)).items()}
        found[len(rows) * times] = y | subject.buffers_now()
    wanted = found[len(rows) * TIMES[-1]]
    odd = {n: differs(got, wanted) for n, got in found.items()}
    others = [n for n, what in odd.items() if what]
    if 0 < len(others) <= len(TIMES) // 3:
        raise Broken(
            f"of rows that are given several times over, {odd[others[0]]} where there are "
            f"{others[0]} of them, and otherwise never"
        )


def differs(got: Results, wanted: Results) -> str:
    """What is another result, or nothing."""
    for name, a in got.items():
        if farthest(a, wanted[name], 1e-7 * (largest(wanted[name]) + 1e-3)):
            return f"{name} is another"
    return ""
