"""Laws for what is no layer: regularizers, constraints, initializers, metrics, optimizers.

A law takes a `Trial`, of which it makes as many fresh objects as it needs, and returns if it holds,
else raises `Broken` with what was seen, as the laws of layers do. A `Kind` is a family with its
laws. Trials are not drawn by Hypothesis but by a seed, the small ones first.
"""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from backprop.arguments import parameters_of
from backprop.config import custom_object_scope
from backprop.random import own_seeds
from backprop.registry import FAMILIES
from backprop.testing.examining import LawBroken, cause_of, judged
from backprop.testing.kit import as_test
from backprop.testing.laws.law import Law, why_not
from backprop.testing.plan import PROFILES, known
from backprop.testing.probes import another
from backprop.testing.report import SKIPPED, LawReport, LawResult, broken_by, guilty_line
from backprop.testing.results import Broken, DoesNotApply, farthest, largest

Array = np.ndarray
Function = TypeVar("Function", bound=Callable)


@dataclass(frozen=True)
class Trial:
    """What a law is tried on.

    Attributes
    ----------
    kind : Kind
    make : function
        Makes a fresh object; arguments replace those that it has otherwise.
    seed, number : int
        Of what is drawn; and which trial it is, from 0.
    tags : set of str
    reference : function or None
    given : mapping
        What else the author says, such as shapes.
    """

    kind: Kind
    make: Callable[..., Any]
    seed: int
    number: int
    tags: frozenset[str] = frozenset()
    reference: Callable | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def rng(self, stream: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])

    @property
    def shape(self) -> tuple[int, ...]:
        """One of the shapes that were given, in turns."""
        shapes = self.given["shapes"]
        return tuple(shapes[self.number % len(shapes)])

    def array(self, stream: int = 0, dtype: Any = np.float64, scale: float | None = None) -> Array:
        """Numbers of both signs, of a size or in turns of 1, 30 and 1/1000; as float32 has them
        too."""
        scale = (1.0, 30.0, 1e-3)[self.number % 3] if scale is None else scale
        w = scale * self.rng(stream).standard_normal(self.shape)
        return np.asarray(w, np.float32).astype(dtype)


@dataclass(frozen=True)
class Kind:
    """A family of objects, its laws, and what an author may say.

    Attributes
    ----------
    name, family : str
        Such as "metric" and "metrics".
    base : type
    laws : tuple of functions
    tags : mapping of str to str
    given : mapping
        What else an author may say, and what is taken where he does not.
    results : function
        (object, trial) → what a fresh object computes, arrays.
    """

    name: str
    family: str
    base: type
    laws: tuple[Law, ...]
    tags: Mapping[str, str]
    given: Mapping[str, Any]
    results: Callable[[Any, Trial], Sequence[Any]]


@dataclass(frozen=True)
class Plan:
    """What is to be checked."""

    kind: Kind
    make: Callable[..., Any]
    label: str
    laws: tuple[Law, ...]
    tags: frozenset[str]
    expected: Mapping[str, str]
    reference: Callable | None
    given: Mapping[str, Any]
    profile: str


def understood(
    kind: Kind,
    subject: Any,
    *,
    reference: Callable | None,
    tags: Iterable[str],
    expected_failures: Mapping[str, str] | None,
    laws: Iterable[str] | None,
    profile: str | None,
    **given: Any,
) -> Plan:
    """The options as a plan; a misspelt one is an error that names the nearest."""
    tags = frozenset([tags] if isinstance(tags, str) else tags)
    for tag in sorted(tags):
        known("tag", tag, kind.tags)
    by_name = {law.__name__: law for law in kind.laws}
    wanted = list(by_name) if laws is None else [laws] if isinstance(laws, str) else list(laws)
    expected = dict(expected_failures or {})
    for name in [*wanted, *expected]:
        known("law", name, by_name)
    profile = profile or os.environ.get("BACKPROP_LAWS_PROFILE") or "default"
    known("profile", profile, PROFILES)
    make = maker(subject, kind)
    chosen = tuple(by_name[name] for name in wanted)
    return Plan(kind, make, repr(make()), chosen, tags, expected, reference, given, profile)


COMMON = {"reference": None, "tags": (), "expected_failures": None, "laws": None, "profile": None}


def with_defaults(kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, and what was not."""
    usual = COMMON | dict(kind.given)
    for name in options:
        known("option", name, usual)
    return usual | dict(options)


def listing(kind: Kind) -> Callable[[Function], Function]:
    """Decorate a function that hands its ``**options`` to `check` or `collect`: `help` lists them,
    with what is taken where nothing is said."""
    usual = COMMON | dict(kind.given)

    def decorate(function: Function) -> Function:
        plain = inspect.signature(function)
        own = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
            for name, value in usual.items()
            if name not in plain.parameters
        ]
        vars(function)["__signature__"] = plain.replace(parameters=[*own, *more])
        return function

    return decorate


def maker(subject: Any, kind: Kind) -> Callable[..., Any]:
    """A function that makes fresh objects, with other arguments if it is given some."""
    if not isinstance(subject, kind.base):
        if not callable(subject):
            raise TypeError(f"expected a {kind.name}, or what makes one, got {subject!r}")
        return subject

    def make(**arguments: Any) -> Any:
        if not arguments:
            return copy.deepcopy(subject)
        return type(subject).from_config(subject.get_config() | arguments)

    return make


def check(kind: Kind, subject: Any, seed: int, options: Mapping[str, Any]) -> LawReport:
    """Every law of a kind for an object."""
    plan = understood(kind, subject, **with_defaults(kind, options))
    results = [examine(law, plan, seed)[0] for law in plan.laws]
    return LawReport(plan.label, f"of a {kind.name}", plan.profile, results)


def collect(kind: Kind, subject: Any, options: Mapping[str, Any]) -> Any:
    """A pytest function with one id a law."""
    plan = understood(kind, subject, **with_defaults(kind, options))
    by_name = {law.__name__: law for law in plan.laws}
    doc = f"The laws of a {kind.name} for {plan.label}."
    return as_test(subject, list(by_name), lambda law: examine(by_name[law], plan, 0), doc)


def examine(law: Law, plan: Plan, seed: int) -> tuple[LawResult, Exception | None]:
    """Try a law, until a trial breaks it."""
    name = law.__name__
    if (reason := why_not(law, plan.tags, plan.reference)) is not None:
        return LawResult(name, SKIPPED, reason=reason), None
    counts, reasons = {"cases": 0, "undecided": 0, "unseen": 0}, []
    error: Exception | None = None
    began = time.perf_counter()
    trials = PROFILES[plan.profile]
    if plan.profile != "quick":  # each trial has one of the shapes
        trials = max(trials, len(plan.given.get("shapes", ())))
    for number in range(trials):
        drawn = seed + number, number
        trial = Trial(plan.kind, plan.make, *drawn, plan.tags, plan.reference, plan.given)
        try:
            with own_seeds(trial.seed):
                law(trial)
            counts["cases"] += 1
        except DoesNotApply as reason:
            reasons.append(str(reason))
        except Exception as found:
            counts["cases"] += 1
            error = LawBroken(explain(law, plan, found, trial))
            error.__cause__ = cause_of(found)
            break
    seconds = time.perf_counter() - began
    return judged(law, plan, counts, reasons, error, seconds)


def explain(law: Law, plan: Plan, error: Exception, trial: Trial) -> str:
    """What was seen, and how to see it again."""
    lines = broken_by(plan.label, law).splitlines()
    if isinstance(error, Broken):
        lines.append(str(error))
    else:
        lines += [f"{type(error).__name__}: {error}", *guilty_line(error)]
    again = f"check_{plan.kind.name}(..., laws=[{law.__name__!r}], seed={trial.seed})"
    return "\n".join([*lines, "", f"To see it again: {again}"])


# -------------------------------------------------------------------------------- comparing


def must_be(got: Any, wanted: Any, what: str, tolerance: float = 1e-9, floor: float = 1.0) -> None:
    """Raise unless two arrays or numbers agree, up to the tolerance of the largest number."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.shape != wanted.shape:
        raise Broken(f"{what} has shape {got.shape} where {wanted.shape} is right")
    if found := farthest(got, wanted, tolerance * (largest(wanted) + floor)):
        raise Broken(f"{what} is {found}")


def must_be_like(got: Any, w: Array, what: str) -> None:
    """Raise unless an array has the shape and dtype of another, and memory of its own."""
    if not isinstance(got, np.ndarray):
        raise Broken(f"{what} is {type(got).__name__}, where an array is to be returned")
    if got.shape != w.shape or got.dtype != w.dtype:
        raise Broken(f"{what} is {got.dtype} {got.shape}, where w is {w.dtype} {w.shape}")
    if got.size and np.shares_memory(got, w):
        raise Broken(f"{what} shares its memory with w: return a new array")


def locked(a: Any) -> Any:
    """A copy that cannot be written to; None stays None."""
    if a is None:
        return None
    a = np.array(a)
    a.flags.writeable = False
    return a


def layouts(w: Array) -> Iterator[tuple[str, Array]]:
    """The same numbers, lying otherwise in memory."""
    yield "in Fortran's order", np.asfortranarray(w)
    wide = np.repeat(w[..., None], 2, axis=-1)
    yield "with gaps", wide[..., 0]


# -------------------------------------------------------------------------------- copies


def twins(made: Any) -> Iterator[tuple[str, Any]]:
    """What ought to do the same as an object, with what it has seen."""
    yield "a copy", copy.copy(made)
    yield "a deep copy", copy.deepcopy(made)
    if "<locals>" not in type(made).__qualname__:
        # Python does not pickle a class that is defined inside a function
        yield "an unpickled one", pickle.loads(pickle.dumps(made))


def anew(made: Any, family: str) -> Iterator[tuple[str, Any]]:
    """What ought to do the same as an object that has seen nothing."""
    cls, registry = type(made), FAMILIES[family]
    ours = registry.classes.values()
    with custom_object_scope({} if cls in ours else {cls.__name__: cls}):
        yield "one from its configuration", cls.from_config(through_json(made.get_config()))
        yield "one that was written", registry.deserialize(through_json(registry.serialize(made)))


def through_json(config: Any) -> Any:
    return json.loads(json.dumps(config))


# -------------------------------------------------------------------------------- arguments


def an_argument_that_is_set_counts(trial: Trial) -> None:
    """Each argument is in the configuration, and one that is assigned to later counts as if it had
    been given.

    Catches an argument that `get_config` leaves out, and a number that is derived from one when the
    object is made. It looks at numbers and bools that are no arguments of the base class; another
    value need not change a result, and may be refused.
    """
    values = own_arguments(trial.make(), trial.kind.base)
    if not values:
        raise DoesNotApply("none of its own arguments is a number")
    names = list(values)
    for k in {(2 * trial.number + i) % len(names) for i in (0, 1)}:  # two a trial, in turns
        name, value = names[k], values[names[k]]
        if (other := another(value)) == value:
            continue  # infinity
        made = trial.make()
        try:
            given = type(made).from_config(made.get_config() | {name: other})
            unused = sizes(given)
            wanted = trial.kind.results(given, trial)
        except Exception:
            continue  # it is refused, or does not fit what is computed with
        must_hold(given, name, other, f"made with {name}={other!r}")
        _, read = next(anew(given, trial.kind.family))
        must_hold(read, name, other, f"made with {name}={other!r} and written")
        must_compute(trial, read, wanted, f"made with {name}={other!r} and written")
        try:
            setattr(made, name, other)
        except Exception:
            continue  # it says so
        must_hold(made, name, other, f"after {name} = {other!r}")
        if sizes(made) == unused:  # else it is one of those that decide how large its arrays are
            must_compute(trial, made, wanted, f"after {name} = {other!r}")


def own_arguments(made: Any, base: type) -> dict[str, Any]:
    """The numbers among its arguments, without those of the base class."""
    names = parameters_of(type(made)).keys() - parameters_of(base).keys()
    values = {name: getattr(made, name, None) for name in sorted(names)}
    return {name: v for name, v in values.items() if isinstance(v, bool | int | float)}


def sizes(made: Any) -> list[tuple[int, ...]]:
    """The shapes of the arrays that a constructor made."""
    return [a.shape for a in vars(made).values() if isinstance(a, np.ndarray)]


def must_hold(made: Any, name: str, value: Any, when: str) -> None:
    config = made.get_config()
    if name not in config:
        raise Broken(f"{when}, its configuration has no {name!r}")
    if config[name] != value:
        raise Broken(f"{when}, its configuration says {name}={config[name]!r}")


def must_compute(trial: Trial, made: Any, wanted: Sequence[Any], when: str) -> None:
    for got, right in zip(trial.kind.results(made, trial), wanted, strict=True):
        must_be(got, right, f"{when}, the result", 1e-12)
