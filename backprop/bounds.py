"""What a configuration may ask for that a stranger may have written: how deep, many and much.

Whoever reads one, from a file, from JSON or by `from_config`, does it within these bounds. They are
far beyond what anybody draws, so that honest ones never meet them. A copy of what is there already,
as of a model that is cloned, is not bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

DEPTH = 256  # of lists and dicts in each other: some sixty models, or wrappers
LAYERS = 2**14  # and objects that belong to them
NUMBERS = 2**31  # of weights, where a configuration comes without them
TABLES = 2**20  # numbers that layers may reckon out when they are made, beside weights
SUMS = 2**21  # numbers that metrics may keep
METRICS = 2**10  # and how many they may be
# the most that layers may ask for which no weight or shape shows
WORK = {
    "power_iterations": 2**10,
    "height": 2**16,
    "width": 2**16,
    "output_sequence_length": 2**24,
    "num_oov_indices": 2**16,
    "ngrams": 2**6,
}
PLAIN = (int, float, str, type(None))
SHARED = "shared_object_id"
WEIGHTS_OF_A_FILE = "there are weights for it"
NO_WEIGHTS = "are made where no file holds them"


class Allowance:
    """How many numbers may still be made: weights, tables, sums; and why not more weights."""

    def __init__(self, weights: int, which: str):
        self.left = {"weights": weights, "layers": TABLES, "metrics": SUMS}
        self.which = which


_allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)
_ours: ContextVar[bool] = ContextVar("ours", default=False)


@contextmanager
def at_most(numbers: int, which: str = WEIGHTS_OF_A_FILE) -> Iterator[None]:
    """Within the block layers can make no more weights than so many numbers, as many as a file
    holds that is being read: what a file declares is an error before it is memory. `which` ends the
    error: why not more than these. A block within one that leaves less changes nothing."""
    outer = _allowance.get()
    if outer is not None and outer.left["weights"] <= numbers:
        yield
        return
    token = _allowance.set(Allowance(numbers, which))
    try:
        yield
    finally:
        _allowance.reset(token)


def spend(numbers: int, what: str) -> None:
    """Take so many weights from the allowance, if there is one; `what` begins the error."""
    allowance = _allowance.get()
    if allowance is not None:
        allowance.left["weights"] -= numbers
        if allowance.left["weights"] < 0:
            raise ValueError(f"{what} of {numbers:,} numbers, more than {allowance.which}")


def allowed() -> bool:
    """Whether a block goes on in which no more than a number of weights may be made."""
    return _allowance.get() is not None


def reckon(numbers: int, what: str, kind: str = "layers") -> None:
    """Take so many numbers from what layers may reckon out from the sizes that a configuration
    declares, such as where windows lie, or from what metrics may keep; `what` begins the error."""
    allowance = _allowance.get()
    if allowance is not None:
        allowance.left[kind] -= numbers
        if allowance.left[kind] < 0:
            most = {"layers": TABLES, "metrics": SUMS}[kind]
            raise ValueError(
                f"{what} takes {numbers:,} numbers to reckon out, and the {kind} of a file have "
                f"{most:,} in all"
            )


def bounded(config: Any) -> AbstractContextManager[None]:
    """A block in which a configuration is read, which is looked at before."""
    if _ours.get():
        return nullcontext()
    check_extent(config)
    check_work(config)
    # a file's own allowance may be larger
    return nullcontext() if _allowance.get() else at_most(NUMBERS, NO_WEIGHTS)


@contextmanager
def unbounded() -> Iterator[None]:
    """Within the block configurations are read of what is there already."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def check_extent(config: Any) -> None:
    """Raise where layers stand in layers so deep, or are so many, that nobody drew it: a layer that
    stands in two places is two, and so is all that is in it."""
    counts: dict[str, int] = {}  # of what is referred to

    def extent(one: Any, depth: int) -> int:
        if depth > DEPTH:
            raise ValueError(f"its configuration is nested {DEPTH} deep")
        name = one.get("class_name") if isinstance(one, Mapping) else None
        if name == "__shared__":
            return counts.get(repr(parts_of(one)), 1)
        found = (name is not None) + sum(extent(part, depth + 1) for part in parts_of(one))
        if found > LAYERS:
            raise ValueError(f"its configuration has more than {LAYERS:,} layers")
        if isinstance(one, Mapping) and SHARED in one:
            counts[repr([{SHARED: one[SHARED]}])] = found
        return found

    extent(config, 0)


def check_work(config: Any) -> None:
    """Raise where a layer is to take more memory or time than one needs."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        waiting += parts_of(one)
        for name, most in WORK.items() if isinstance(one, Mapping) else ():
            value = one.get(name)
            if isinstance(value, int | float) and not value <= most:
                raise ValueError(
                    f"it has {name}={value}, and from a file at most {most:,} is taken: build the "
                    "model in code and load its weights"
                )


def check_metrics(config: Any) -> None:
    """Raise where there are more metrics than a run needs: each takes time, by whatever name."""
    count, waiting = 0, [config]
    while waiting:
        one = waiting.pop()
        if is_nested(one) and not (isinstance(one, Mapping) and "class_name" in one):
            waiting += one.values() if isinstance(one, Mapping) else one
        elif one is not None:
            count += 1
    if count > METRICS:
        raise ValueError(f"it has {count:,} metrics, and from a file at most {METRICS:,} are taken")


def parts_of(config: Any) -> list[Any]:
    values = config.values() if isinstance(config, Mapping) else config
    nested = is_nested(config)
    # numbers first, of which lists have a million
    return [v for v in values if not isinstance(v, PLAIN) and is_nested(v)] if nested else []


def is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)
