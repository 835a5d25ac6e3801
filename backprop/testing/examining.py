"""One law, tried on the cases of a plan: usual ones, and each kind that is seldom drawn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.random import own_seeds
from backprop.testing.case import Case
from backprop.testing.drawing import (
    ALL,
    AXES,
    BEYOND_BITS,
    FOCI,
    MAIN_FOCI,
    Focus,
    HypothesisException,
    focused,
    hypothesis,
    st,
)
from backprop.testing.drawn_cases import cases
from backprop.testing.laws import Law, why_not
from backprop.testing.plan import Plan
from backprop.testing.report import (
    BROKEN,
    EXPECTED,
    HELD,
    SKIPPED,
    SURPRISE,
    LawResult,
    broken_by,
    explain,
)
from backprop.testing.results import Broken, DoesNotApply, NotSeen, Undecided
from backprop.testing.strategies.sizes import Strategy

# cases more with each long axis and with numbers of each scale, for the laws that meet them
FURTHER = {"quick": 0, "default": 1, "thorough": 5}
TRIES = 3  # draws for one that has what is asked for
LOOK_FURTHER = (
    "float32_agrees_with_float64",
    "agrees_with_the_reference",
    "backward_is_linear_in_dy",
    "params_only_backward_agrees",
    "memory_layout_does_not_matter",
    "rows_are_independent",
)
SIGHTS = 5  # cases, none of which shows what some case has to show
IN_SOME = ("every_input_counts", "the_order_of_inputs_counts", "same_seed_same_result")
IN_FEW = ("two_threads_do_not_meet", "the_fortieth_call_is_like_the_first")  # each is many passes
# each is tried in many ways
BY_HALVES = ("no_number_is_an_exception", "nothing_is_remembered")
SWEEPS = "no_size_is_an_exception"
# lengths of an axis; those below are drawn anyway
SWEPT = (*range(5, 37), 40, 48, 63, 64, 65, 96, 100, 127, 128, 129)
# some numbers of rows that are more than a block, or than a thousand
SWEPT_ROWS = (*SWEPT, 257, 513, 1025)
# inputs of each length; twice as many where a gradient may be 0 for most of its numbers
SWEEPING = {"quick": 0, "default": 2, "thorough": 6}
TWICE = ("gradients_match_finite_differences", "slopes_at_kinks_are_subgradients")


class LawBroken(AssertionError):
    """A law does not hold; the message has the smallest case and how to see it again."""


# -------------------------------------------------------------------------------- one law


def examine(
    law: Law, plan: Plan, seed: int | None = None, *, shrink: bool = True
) -> tuple[LawResult, Exception | None]:
    """Try a law on drawn cases; the smallest that breaks it is in the error, or, without `shrink`,
    the first, which takes a fraction of the time."""
    name = law.__name__
    if (reason := why_not(law, plan.tags, plan.reference)) is not None:
        return LawResult(name, SKIPPED, reason=reason), None
    counts = {"cases": 0, "undecided": 0, "unseen": 0}
    reasons: list[str] = []
    broken: list[tuple[Case, Exception]] = []

    def attempt(case: Case) -> None:
        if not broken:
            counts["cases"] += 1
        try:
            with tried_with(case.seed):
                law(case)
        except DoesNotApply as reason:
            counts["cases"] -= not broken
            reasons.append(str(reason))
        except Undecided as reason:
            counts["undecided"] += not broken
            reasons.append(str(reason))
        except NotSeen as reason:
            counts["cases"] -= not broken
            counts["unseen"] += not broken
            reasons.insert(0, str(reason))
        except HypothesisException:
            raise
        except Exception as error:
            broken.append((case, error))
            raise LawBroken(str(error)) from cause_of(error)

    began = time.perf_counter()
    error: Exception | None = None
    try:
        search(attempt, law, plan, seed, shrink)
        if name == SWEEPS:
            sweep(attempt, law, plan, seed, shrink, broken)
        for focus, wanted in foci_of(law.__name__, plan):
            search_in_focus(attempt, law, plan, seed, shrink, focus, wanted, broken)
    except Exception:
        # Hypothesis ends on the smallest case; or on one that breaks the law only now and then
        if not broken:
            raise
        case, found = broken[-1]
        error = LawBroken(explain(law, case, found))
        error.__cause__ = cause_of(found)
    seconds = time.perf_counter() - began
    return judged(law, plan, counts, reasons, error, seconds)


@contextmanager
def tried_with(seed: int) -> Iterator[None]:
    """The seeds of a case; exp of a large number may overflow on the way to a right result, and a
    constant row has no deviation: neither need warn, for laws look at what comes out."""
    with own_seeds(seed), np.errstate(all="ignore"):
        yield


def judged(
    law: Law,
    plan: Any,
    counts: dict[str, int],
    reasons: list[str],
    error: Exception | None,
    seconds: float,
) -> tuple[LawResult, Exception | None]:
    name, decided = law.__name__, counts["cases"] - counts["undecided"]
    if error is None and not decided and counts["unseen"] >= SIGHTS:
        usual = Counter(reasons).most_common(1)[0][0]
        error = LawBroken(f"{broken_by(plan.label, law)}{usual}, in all cases tried")
    elif error is None and not decided:
        text = f"in no case: {reasons[0]}" if reasons else "no case was drawn"
        if not counts["undecided"] and not (
            "per_sample" in plan.tags and name == "rows_are_independent"
        ):
            return LawResult(name, SKIPPED, reason=text, seconds=seconds), None
        error = LawBroken(f"{plan.label}: the law {name} could be decided {text}")
    expected = plan.expected.get(name)
    if expected is None:
        outcome, reason = (HELD, "") if error is None else (BROKEN, str(error))
    elif error is None:
        outcome = SURPRISE
        reason = (
            f"{plan.label} keeps the law {name}, which expected_failures says it breaks "
            f"({expected}): take it off the list"
        )
        error = LawBroken(reason)
    else:
        outcome, reason, error = EXPECTED, expected, None
    return LawResult(name, outcome, counts["cases"], counts["undecided"], reason, seconds), error


def search(
    attempt: Callable[[Any], None],
    law: Law,
    plan: Plan,
    seed: int | None,
    shrink: bool,
    examples: int | None = None,
    what: str = "",
    drawn: Strategy[Any] | None = None,
) -> None:
    """Let Hypothesis draw cases until one breaks the law, and shrink it."""
    phase = hypothesis.Phase
    phases = (phase.explicit, phase.reuse, phase.generate)
    options: dict[str, Any] = {}
    if seed is not None:  # no file, and the same cases each time
        options = {"database": None, "derandomize": False}
    run = hypothesis.given(cases(plan) if drawn is None else drawn)(attempt)
    run = hypothesis.settings(
        max_examples=examples or examples_for(law.__name__, plan.examples),
        deadline=None,
        phases=(*phases, phase.shrink) if shrink else phases,
        suppress_health_check=list(hypothesis.HealthCheck),  # type: ignore[arg-type]
        report_multiple_bugs=False,
        print_blob=False,
        **options,
    )(run)
    if seed is not None:
        run = hypothesis.seed(f"{seed} {what}" if what else seed)(run)
    # as Hypothesis' own plugin does for parametrised tests: each has failures of its own in the
    # database, and with `derandomize` draws of its own; the key spares reading our source each time
    key = f"{plan.label} {law.__name__} {what}".strip().encode()
    run.hypothesis.inner_test._hypothesis_internal_add_digest = key  # type: ignore[attr-defined]
    run._hypothesis_internal_database_key = key  # type: ignore[attr-defined]
    run()


def search_in_focus(
    attempt: Callable[[Case], None],
    law: Law,
    plan: Plan,
    seed: int | None,
    shrink: bool,
    focus: Focus,
    wanted: int,
    broken: list[Any],
) -> None:
    """Search among cases with a long axis or numbers of another scale; others are passed over
    until one breaks the law and is to be made smaller."""
    found = 0

    def attempt_in_focus(case: Case) -> None:
        nonlocal found
        if not broken and (not focus.seen or found >= wanted):
            return
        found += 1
        attempt(case)

    with focused(focus):
        examples = 1 + TRIES * wanted  # the first of Hypothesis is the smallest there is
        search(attempt_in_focus, law, plan, seed, shrink, examples, str(focus))


def sweep(
    attempt: Callable[[Case], None],
    law: Law,
    plan: Plan,
    seed: int | None,
    shrink: bool,
    broken: list[Any],
) -> None:
    """Try a law with each length of each axis that may be long; one that breaks it is looked for
    once more among others of that length, which shrink."""

    def attempt_all(swept: list[tuple[Focus, Case]]) -> None:
        for focus, case in swept:
            try:
                attempt(case)
            except LawBroken:
                if shrink:
                    looser = replace(focus, exact=False)
                    search_in_focus(attempt, law, plan, seed, True, looser, 2 * SIGHTS, broken)
                raise

    wanted = SWEEPING[plan.profile] * (2 if "piecewise" in plan.tags else 1)
    for axis in (*AXES, ALL) if wanted else ():
        search(attempt_all, law, plan, seed, False, wanted, f"sweep {axis}", sweeps(plan, axis))


def foci_of(law: str, plan: Plan) -> list[tuple[Focus, int]]:
    """Where else to look, and at how many cases."""
    wanted = FURTHER[plan.profile]
    if law in TWICE:
        return [(focus, wanted) for focus in FOCI if wanted]
    foci = (*MAIN_FOCI, *BEYOND_BITS) if law == "agrees_with_the_reference" else MAIN_FOCI
    return [(focus, wanted) for focus in foci if wanted and law in LOOK_FURTHER]


def examples_for(law: str, examples: int) -> int:
    """How many cases a law is tried on."""
    if law in IN_SOME:
        return max(examples, 2 * SIGHTS)
    if law == SWEEPS:
        return 2 * examples
    if law in BY_HALVES:
        return -(-examples // 2)
    if law in IN_FEW:
        return max(2 * examples // 5, 2)
    return 2 * examples if law in TWICE else examples


@st.composite
def sweeps(draw: Any, plan: Plan, axis: str) -> list[tuple[Focus, Case]]:
    """Cases of one configuration in which an axis has each of the lengths, as far as it may; or one
    in which all axes are long."""
    config = draw(plan.configs)
    found = []
    lengths = {"rows": SWEPT_ROWS, ALL: (2,)}.get(axis, SWEPT)
    for tried, n in enumerate(lengths):
        focus = Focus(axis, (n,), exact=True)
        with focused(focus):
            case = draw(cases(plan, config))
        if focus.seen:
            found.append((focus, case))
        elif tried >= TRIES and not found:
            break  # it has no such axis, or one of a given length
    return found


def cause_of(error: Exception) -> Exception | None:
    """What raised, where it was not a law that found something."""
    return error.__cause__ if isinstance(error, Broken) else error  # type: ignore[return-value]
