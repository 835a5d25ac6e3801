"""Every law for anyone's layer, by one line.

    test_scale = layer_laws(lambda: Scale(), inputs=shapes(min_dims=1, max_dims=3))

is a pytest function with one id a law. `check_layer` does the same without pytest and returns a
report; `check_law` tries one law on one case, which is what a failure prints to be pasted.
"""

from __future__ import annotations

import copy
import inspect
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import checks
from backprop.gradcheck.point import inputs_of, masks_of
from backprop.gradcheck.probe import takes_integers
from backprop.layer import Layer
from backprop.nest import several
from backprop.random import own_seeds
from backprop.spelling import nearest
from backprop.testing.case import Broken, Case, DoesNotApply, NotSeen, Undecided, numbers
from backprop.testing.drawing import (
    AXES,
    FOCI,
    MAIN_FOCI,
    Focus,
    HypothesisException,
    focused,
    hypothesis,
    kind_for,
    lengthened,
    reset_focus,
    st,
)
from backprop.testing.laws import V1, V2, V3, V4, Law, why_not
from backprop.testing.report import (
    BROKEN,
    EXPECTED,
    HELD,
    SKIPPED,
    SURPRISE,
    LawReport,
    LawResult,
    broken_by,
    explain,
)
from backprop.testing.strategies import (
    SEEDS,
    Several,
    Strategy,
    as_configurations,
    as_strategy,
    is_shape,
    pairs,
    shapes,
    some_long,
    together,
)

LAWS: Mapping[str, tuple[Law, ...]] = {"v1": V1, "v2": V2, "v3": V3, "v4": V4}

TAGS = {
    "per_sample": "rows are independent, and the law that says so may not be skipped",
    "couples_rows": "rows depend on each other, as in batch normalization",
    "stochastic": "training draws random numbers",
    "integer_input": "x holds integers, which have no derivative",
    "piecewise": "the function has kinks or jumps, at which one slope is as good as another",
    "stateful": "a call leaves something behind for the next one, and the batch has a fixed size",
    "constant_buffers": "its buffers are constants, and training may not move them",
    "symmetric": "inputs of one shape may be exchanged, and y is the same",
}

# cases a law; the derivatives get twice as many
PROFILES = {"quick": 3, "default": 10, "thorough": 100}
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
# inputs of each length; twice as many where a gradient may be 0 for most of its numbers
SWEEPING = {"quick": 0, "default": 2, "thorough": 6}
TWICE = ("gradients_match_finite_differences", "slopes_at_kinks_are_subgradients")


class LawBroken(AssertionError):
    """A law does not hold; the message has the smallest case and how to see it again."""


@dataclass(frozen=True)
class Plan:
    """What is to be checked, with all options understood."""

    make: Callable[..., Any]
    inputs: Any
    configs: Strategy[dict[str, Any]]
    reference: Callable | None
    tags: frozenset[str]
    expected: Mapping[str, str]
    laws: tuple[Law, ...]
    version: str
    examples: int
    profile: str
    label: str


def layer_laws(
    layer: Any,
    inputs: Any = None,
    *,
    configs: Any = None,
    reference: Callable | None = None,
    tags: Iterable[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    laws: str | Iterable[str] = "v4",
    profile: str | None = None,
) -> Any:
    """A pytest function that checks every law for a layer, a loss or a container: one id a law.

    Parameters
    ----------
    layer : function, class or Layer
        Makes a fresh layer that is not built. It is called with what `configs` draws.
    inputs : strategy, tuple of strategies, list, function or array, optional
        What the layer takes: a strategy of shapes with the batch, of arrays, or of pairs of x and a
        mask; for a loss of `(y_true, y_pred)`, with `sample_weight` and mask behind it if you like.
        For a layer of several inputs a tuple with one for each, None where one is not given (see
        `together`); `axes` says which lengths they have in common. A list is drawn from. A function
        of the configuration returns any of these. Default: what
        the layer's `input_spec` says, else shapes of one to three axes besides the batch.
    configs : dict or strategy of dicts, optional
        Arguments for `layer`: a strategy, a list to draw from, or a value for each.
    reference : function, optional
        A naive forward pass, ``reference(x, ...)``, for a loss ``reference(y_true, y_pred, ...)``.
        What else its signature names is handed over: parameters and buffers by their names, drawn
        arguments, `mask`, `sample_weight`, `training`, `layer`. Of a layer with buffers it may
        return a pair: y, and a dict of what the pass leaves in them.
    tags : iterable of str
        ``"per_sample"``, ``"couples_rows"``, ``"stochastic"``, ``"integer_input"``,
        ``"piecewise"``, ``"stateful"``, ``"constant_buffers"``, ``"symmetric"``: see
        `backprop.testing.TAGS`.
    expected_failures : mapping of str to str, optional
        Laws that do not hold, and why. They have to fail: one that holds is an error, so that the
        list stays true.
    laws : str or iterable of str, default "v4"
        The set of laws, which never changes under its name; or the names of some. ``"v2"`` is
        ``"v1"`` and the laws of several inputs and outputs and of additions to the loss, ``"v3"``
        these and those of what training runs, of threads and of many calls, ``"v4"`` these and
        those of exceptions: special numbers, single sizes.
    profile : {"quick", "default", "thorough"}, optional
        How many cases to try. Default: the environment variable ``BACKPROP_LAWS_PROFILE``, else
        "default".

    Returns
    -------
    function
        Assign it to a name that begins with ``test``.

    Raises
    ------
    ValueError
        For a tag, law, set or profile that there is not.
    TypeError
        If `layer` is neither a layer nor callable, or needs arguments that `configs` does not draw.

    Examples
    --------
    >>> from backprop.layers import Dense
    >>> from backprop.testing import layer_laws, shapes
    >>> test_dense = layer_laws(Dense, inputs=shapes(1, 2), configs={"units": [1, 3]})
    >>> test_dense("rows_are_independent")
    """
    plan = understood(layer, inputs, configs, reference, tags, expected_failures, laws, profile)
    by_name = {law.__name__: law for law in plan.laws}
    doc = f"The laws {plan.version} of {plan.label}."
    return as_test(layer, list(by_name), lambda law: examine(by_name[law], plan), doc)


def as_test(
    subject: Any,
    laws: list[str],
    examined: Callable[[str], tuple[LawResult, Exception | None]],
    doc: str,
) -> Any:
    """A pytest function with one id a law, of what examines one."""
    import pytest

    def test(law: str) -> None:
        __tracebackhide__ = True
        result, error = examined(law)
        if result.outcome == SKIPPED:
            pytest.skip(result.reason)
        if result.outcome == EXPECTED:
            pytest.xfail(result.reason)
        if error is not None:
            raise error

    test.__name__ = test.__qualname__ = "test_layer_laws"
    test.__doc__ = doc
    if hasattr(subject, "__code__"):
        test.place_as = subject  # type: ignore[attr-defined]  # pytest then says where the line is and not where this file is
    return pytest.mark.parametrize("law", laws)(test)


def check_layer(
    layer: Any,
    inputs: Any = None,
    *,
    configs: Any = None,
    reference: Callable | None = None,
    tags: Iterable[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    laws: str | Iterable[str] = "v4",
    profile: str | None = None,
    seed: int = 0,
) -> LawReport:
    """Check every law for a layer, a loss or a container, without pytest.

    Parameters
    ----------
    layer : Layer, function or class
        A layer is copied and not touched. One that is built is checked on inputs of its own shape.
    inputs, configs, reference, tags, expected_failures, laws, profile
        As in `layer_laws`.
    seed : int, default 0
        Of the drawn cases: the same seed tries the same ones.

    Returns
    -------
    LawReport
        True in a condition if no law is broken that was not expected to be; it counts, and printing
        it shows all.

    Examples
    --------
    >>> from backprop.layers import Dense
    >>> from backprop.testing import check_layer, shapes
    >>> report = check_layer(Dense(2), shapes(1, 1), laws=["rows_are_independent"], profile="quick")
    >>> bool(report), report.counts["held"], report.counts["cases"]
    (True, 1, 3)
    """
    plan = understood(layer, inputs, configs, reference, tags, expected_failures, laws, profile)
    seed = checks.integer(seed, "check_layer()", "seed", least=0)
    results = [examine(law, plan, seed=seed)[0] for law in plan.laws]
    return LawReport(plan.label, plan.version, plan.profile, results)


def check_law(
    law: str,
    layer: Any,
    x: Any = None,
    *,
    y_true: Any = None,
    y_pred: Any = None,
    sample_weight: Any = None,
    mask: Any = None,
    training: bool = True,
    seed: int = 0,
    tags: Iterable[str] = (),
    reference: Callable | None = None,
) -> None:
    """Try one law on one case: what the message of a broken law says to paste.

    Parameters
    ----------
    law : str
    layer : Layer or function that makes one
    x : array
        With the batch; for a loss `y_true` and `y_pred`.
    y_true, y_pred, sample_weight : array, optional
    mask : array of bool, optional
    training : bool, default True
    seed : int, default 0
        Of the weights and of dy.
    tags, reference
        As in `layer_laws`.

    Raises
    ------
    LawBroken
        If it does not hold.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense
    >>> from backprop.testing import check_law
    >>> check_law("backward_is_linear_in_dy", Dense(2), np.ones((4, 3)))
    """
    (found,) = laws_named([law])[1]

    def array(a: Any) -> Any:
        return None if a is None else np.asarray(a)

    make = maker(layer)
    x = inputs_of(make(), y_pred if x is None else x)
    case = Case(
        make,
        x,
        mask=masks_of(layer, mask, x),
        y_true=array(y_true),
        sample_weight=array(sample_weight),
        training=training,
        seed=seed,
        tags=frozenset(tags),
        reference=reference,
    )
    try:
        with tried_with(seed):
            found(case)
    except (DoesNotApply, NotSeen, Undecided):
        return
    except Exception as error:
        raise LawBroken(explain(found, case, error)) from cause_of(error)


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
    for axis in AXES if wanted else ():
        search(attempt_all, law, plan, seed, False, wanted, f"sweep {axis}", sweeps(plan, axis))


def foci_of(law: str, plan: Plan) -> list[tuple[Focus, int]]:
    """Where else to look, and at how many cases."""
    wanted = FURTHER[plan.profile]
    if law in TWICE:
        return [(focus, wanted) for focus in FOCI if wanted]
    return [(focus, wanted) for focus in MAIN_FOCI if wanted and law in LOOK_FURTHER]


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
    """Cases of one configuration in which an axis has each of the lengths, as far as it may."""
    config = draw(plan.configs)
    found = []
    for tried, n in enumerate(SWEPT):
        focus = Focus(axis, (n,), exact=True)
        with focused(focus):
            case = draw(cases(plan, config))
        if focus.seen:
            found.append((focus, case))
        elif tried >= TRIES and not found:
            break  # it has no such axis, or one of a given length
    return found


@st.composite
def cases(draw: Any, plan: Plan, given_config: dict[str, Any] | None = None) -> Case:
    """Cases of a plan: a configuration, unless there is one, an input, a mode and a seed."""
    reset_focus()
    config: dict[str, Any] = draw(plan.configs) if given_config is None else given_config
    layer = plan.make(**config)
    if not isinstance(layer, Layer):
        raise TypeError(f"{plan.label} made {layer!r}, which is no layer")
    inputs = plan.inputs
    if callable(inputs) and not isinstance(inputs, Strategy):
        inputs = inputs(config)
    given = draw(default_inputs(layer) if inputs is None else as_strategy(inputs))
    # of several inputs some hold numbers
    tags = plan.tags | ({"integer_input"} if layer.integer_input is True else set())
    return Case(
        lambda: plan.make(**config),
        **arrays_of(given, layer, draw),
        training=draw(st.booleans()),
        seed=draw(SEEDS),
        tags=frozenset(tags),
        reference=plan.reference,
        config=config,
        guessed=inputs is None,
    )


def arrays_of(given: Any, layer: Layer, draw: Any) -> dict[str, Any]:
    """What was drawn, as the arrays of a case."""
    if layer.takes_targets:
        if not isinstance(given, tuple) or not 2 <= len(given) <= 4 or is_shape(given):
            raise TypeError(
                f"{layer!r} is a loss: inputs has to draw (y_true, y_pred), with sample_weight and "
                f"mask behind it if you like, and drew {given!r}"
            )
        names = ("y_true", "x", "sample_weight", "mask")
        return {n: None if a is None else np.asarray(a) for n, a in zip(names, given, strict=False)}
    if not isinstance(given, Several):
        x, mask = input_of(given, layer, 0, draw)
        return {"x": x, "mask": mask}
    x, mask = zip(*[input_of(one, layer, k, draw) for k, one in enumerate(given)], strict=True)
    return {"x": x, "mask": mask if any(m is not None for m in mask) else None}


def input_of(given: Any, layer: Layer, k: int, draw: Any) -> tuple[Any, Any]:
    """What was drawn for the k-th input, as an array and its mask."""
    if given is None:
        return None, None
    if is_shape(given):
        if takes_integers(layer, k):
            raise TypeError(
                f"{layer!r} takes integers: give inputs=tokens(vocabulary), as shapes become real "
                "numbers"
            )
        # the same seed is other numbers for each input: Hypothesis likes 0
        return numbers(given, kind_for(draw), draw(SEEDS) + 2**16 * k), None
    x, mask = given if isinstance(given, tuple) else (given, None)
    x = np.asarray(x)
    if x.dtype.kind == "f":
        x = x.astype(np.float64, copy=False)
    return x, None if mask is None else np.asarray(mask, bool)


def default_inputs(layer: Layer) -> Strategy[Any]:
    """What suits a layer, as far as it says so itself."""
    if layer.takes_targets:
        return pairs()
    whole = layer.integer_input
    if any(whole) if isinstance(whole, tuple) else whole:
        raise TypeError(f"{layer!r} takes integers: give inputs=tokens(vocabulary)")
    shape: Any = layer.build_shape or layer.declared_shape
    if several(shape):
        return together(*map(of_shape, shape))
    if shape is not None:
        return of_shape(shape)
    if layer.several_inputs:
        raise TypeError(
            f"{layer!r} takes several inputs: say what to draw for each, such as "
            "inputs=(shapes(1, 1), shapes(1, 1)), or axes(...) where they have lengths in common"
        )
    spec = layer.input_spec
    if spec is not None and spec.ndim is not None:
        usual = shapes(spec.ndim - 1, spec.ndim - 1, max_side=6, batch=(1, 4))
        return some_long(usual, (1, None), (1, None))
    least = 2 if spec is None or spec.min_ndim is None else spec.min_ndim
    most = 4 if spec is None or spec.max_ndim is None else spec.max_ndim
    return shapes(max(least - 1, 1), max(most - 1, least - 1, 1))


@st.composite
def of_shape(draw: Any, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shapes of any number of rows where that is free, and of any length of what else is."""
    sizes = tuple([draw(st.integers(1, 4)) if n is None else n for n in shape])
    return lengthened(draw, sizes, {axis: (1, None) for axis, n in enumerate(shape) if n is None})


# -------------------------------------------------------------------------------- options


def understood(
    layer: Any,
    inputs: Any,
    configs: Any,
    reference: Callable | None,
    tags: Iterable[str],
    expected_failures: Mapping[str, str] | None,
    laws: str | Iterable[str],
    profile: str | None,
) -> Plan:
    """The options as a plan; a misspelt one is an error that names the nearest."""
    tags = frozenset([tags] if isinstance(tags, str) else tags)
    for tag in sorted(tags):
        known("tag", tag, TAGS)
    if {"per_sample", "couples_rows"} <= tags:
        raise ValueError("the tags 'per_sample' and 'couples_rows' contradict each other")
    version, wanted = laws_named(laws)
    expected = dict(expected_failures or {})
    for name in expected:
        known("law", name, [law.__name__ for law in wanted])
    profile = profile or os.environ.get("BACKPROP_LAWS_PROFILE") or "default"
    known("profile", profile, PROFILES)
    make = maker(layer)
    if configs is None and not isinstance(layer, Layer):
        missing = required(layer)
        if missing:
            raise TypeError(
                f"{label_of(layer)} takes {', '.join(missing)}: say what to draw for it, "
                f"configs={{{missing[0]!r}: ...}}"
            )
    return Plan(
        make,
        inputs,
        as_configurations(configs),
        reference,
        tags,
        expected,
        wanted,
        version,
        PROFILES[profile],
        profile,
        label_of(layer),
    )


def laws_named(laws: str | Iterable[str]) -> tuple[str, tuple[Law, ...]]:
    if isinstance(laws, str):
        known("set of laws", laws, LAWS)
        return laws, LAWS[laws]
    by_name = {law.__name__: law for version in LAWS.values() for law in version}
    laws = list(laws)
    for name in laws:
        known("law", name, by_name)
    return "chosen", tuple(by_name[name] for name in laws)


def known(what: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        raise ValueError(
            f"there is no {what} {name!r}{nearest(name, names)}; there are {', '.join(names)}"
        )


def maker(layer: Any) -> Callable[..., Any]:
    """A function that makes fresh layers."""
    if isinstance(layer, Layer):
        return lambda: copy.deepcopy(layer)
    if callable(layer):
        return layer
    raise TypeError(f"expected a layer, or a function or class that makes one, got {layer!r}")


def required(factory: Callable) -> list[str]:
    """The arguments that a factory cannot do without."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def label_of(layer: Any) -> str:
    """A name for a factory: that of what it makes, if it needs no arguments."""
    if isinstance(layer, Layer):
        return repr(layer)
    if not required(layer):
        try:
            return repr(layer())
        except Exception:  # the laws will say
            pass
    name = getattr(layer, "__qualname__", repr(layer))
    code = getattr(layer, "__code__", None)
    return f"{name} of {layer.__module__}" + (f", line {code.co_firstlineno}" if code else "")


def cause_of(error: Exception) -> Exception | None:
    """What raised, where it was not a law that found something."""
    return error.__cause__ if isinstance(error, Broken) else error  # type: ignore[return-value]
