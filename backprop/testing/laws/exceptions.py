"""Laws of what has no exception: no number is one, and no size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backprop.testing.case import Broken, Case, DoesNotApply, OfInputs, Subject, Undecided, must_agree
from backprop.testing.exceptions import is_alone, special_inputs, special_parameters, suspect
from backprop.testing.laws.gradients import certified
from backprop.testing.probes import moves_of


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
    for what, at in special_inputs(case):
        must_be_no_exception(subject, at, f"where x is {what}")
    for what in special_parameters(subject):
        must_be_no_exception(subject, case, f"where {what}")


def must_be_no_exception(subject: Subject, case: Case, where: str) -> None:
    """Raise if gradients look wrong and are."""
    try:
        if not suspect(subject, case):
            return
        alone = is_alone(subject, case)
    except Exception:  # whatever a layer says to numbers that it does not expect
        return
    if alone and "piecewise" not in case.tags:
        raise Broken(f"{where}, gradients are others than on both sides, and there is no kink")
    try:
        certified(OfInputs(subject.layer, case), case.x, case, "own")
    except Broken as error:
        raise Broken(f"{where}\n{error}") from None
    except Undecided:
        return


def no_size_is_an_exception(case: Case) -> None:
    """Every gradient is the derivative of the forward pass at every size: with seven rows as with
    six, nine columns wide as eight, at the eleventh step as at the tenth.

    Catches what is left over of a block, and a loop that ends one too early at one size. Each
    length from 5 to 36 is tried along each axis that may be that long, and some longer ones.
    """
    if case.empty:
        raise DoesNotApply("an empty input has no gradients")
    subject = case.subject()
    size = ", ".join(str(a.shape) for a in case.floats)
    must_be_no_exception(subject, case, f"of size {size}")
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
