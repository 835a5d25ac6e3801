"""What a comparison with Keras is, how it is drawn, and the record of what came of it.

A comparison is a generator: it draws a case, runs it here and in Keras, and yields
``(dtype, found, wanted)`` for each array that both have made.

    def softmax(draw):
        x = draw(arrays)
        yield "float64", activations.softmax(x), keras.activations.softmax(x)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

TOLERANCE = {"float64": 1e-6, "float32": 2e-5}
TINY = 0.1  # where no entry is as large, the difference is taken to be relative to this

Draw = Callable[[st.SearchStrategy], Any]
Compare = Callable[[Draw], Iterable[tuple[str, Any, Any]]]

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**16)


@dataclass(frozen=True)
class Family:
    """What is compared of one module.

    Parameters
    ----------
    title : str
        Of its table.
    names : set of str
        All that the module offers: found there, not listed.
    compare : mapping of str to Compare
    apart : mapping of str to str
        Why the others are not compared.
    draws : (int, int)
        How many a test and a table take.
    shrinks : bool
        Whether a failure is worth the time of looking for a smaller one.
    """

    title: str
    names: set[str]
    compare: Mapping[str, Compare]
    apart: Mapping[str, str] = field(default_factory=dict)
    draws: tuple[int, int] = (4, 100)
    shrinks: bool = True

    def run(self, name: str, record: Record, many: bool = False) -> None:
        """Draw cases of one name, and compare."""

        @settings(
            max_examples=self.draws[many],
            phases=[Phase.generate] + [Phase.shrink] * self.shrinks,
            suppress_health_check=list(HealthCheck),
            deadline=None,
            database=None,
        )
        @given(st.data())
        def compare(data):
            with np.errstate(all="ignore"):  # Keras divides by 0 and overflows on its way
                for dtype, found, wanted in self.compare[name](data.draw):
                    record.compared(self.title, name, dtype, found, wanted)
            record.drawn(self.title, name)

        compare()


class Record:
    """How often each name was drawn, and the largest difference that was found, by dtype."""

    def __init__(self):
        self.draws: dict[tuple[str, str], int] = {}
        self.largest: dict[tuple[str, str], dict[str, float]] = {}

    def drawn(self, title: str, name: str) -> None:
        self.draws[title, name] = self.draws.get((title, name), 0) + 1

    def compared(self, title: str, name: str, dtype: str, found: Any, wanted: Any) -> None:
        """Fail where the arrays are further from each other than they may be."""
        d = difference(found, wanted)
        assert d <= TOLERANCE[dtype], (
            f"{name} in {dtype} is {d:.2e} from Keras, where {TOLERANCE[dtype]:.0e} is allowed\n"
            f"here: {np.ravel(found)[:9]} ...\nKeras: {np.ravel(wanted)[:9]} ..."
        )
        largest = self.largest.setdefault((title, name), {})
        largest[dtype] = max(largest.get(dtype, 0.0), d)


def difference(found: Any, wanted: Any) -> float:
    """max |found - wanted| / max |wanted|. What is not finite has to be the same in both."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape, f"shape {found.shape} here, {wanted.shape} in Keras"
    known = np.isfinite(wanted)
    np.testing.assert_array_equal(np.where(known, 0, found), np.where(known, 0, wanted))
    if not known.any():
        return 0.0
    size = max(np.abs(wanted[known]).max(), TINY)
    return float(np.abs(found[known] - wanted[known]).max() / size)


def options(draw: Draw, strategies: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each argument; what is no strategy stands for itself."""
    return {
        name: draw(value) if isinstance(value, st.SearchStrategy) else value
        for name, value in strategies.items()
    }


def generator(draw: Draw) -> np.random.Generator:
    return np.random.default_rng(draw(seeds))
