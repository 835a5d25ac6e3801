"""What an optimizer remembers, as Keras' variables: with a name, and assigned to where it is kept.

`optimizer.variables` makes them when it is asked. Each knows how its numbers are read and put back,
since an optimizer may keep them in another form: Adam has sums where Keras has means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from backprop.variable import Variable

Array = np.ndarray
Remembered = tuple[str, Callable[[], Array], Callable[[Array], None]]  # name, read, put


class Shown(Variable):
    """A variable of an optimizer.

    It has the habits of a weight's `Variable`: `name`, `path`, `numpy`, `assign`, and arithmetic.
    What is assigned is what the next step goes on from.

    Examples
    --------
    >>> from backprop.optimizers import SGD
    >>> optimizer = SGD(0.5, momentum=0.9)
    >>> optimizer.build([np.ones(2)])
    >>> [v.path for v in optimizer.variables]
    ['sgd/iteration', 'sgd/learning_rate', 'sgd/variable_momentum']
    >>> optimizer.variables[2].assign([1.0, 2.0])
    <Variable path=sgd/variable_momentum, shape=(2,), dtype=float64, value=[1. 2.]>
    """

    _path = ""
    _read: Callable[[], Array]
    _put: Callable[[Array], None]
    _trainable = False

    @classmethod
    def showing(cls, owner: str, name: str, read: Callable, put: Callable) -> Shown:
        self = np.array(read()).view(cls)
        self._name, self._path, self._read, self._put = name, f"{owner}/{name}", read, put
        return self

    @property
    def path(self) -> str:
        return self._path

    def _plain(self) -> Array:
        return np.asarray(self._read())

    def assign(self, value: Any) -> Shown:
        value = np.asarray(value)
        if value.shape != self.shape:
            raise ValueError(f"{self.path} has shape {self.shape} and was given {value.shape}")
        self._put(value)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        numbers = self.numpy()
        numbers[key] = value
        self.assign(numbers)


def number(owner: Any, attribute: str, dtype: Any) -> tuple[Callable[[], Array], Callable]:
    """How a number that is an attribute is read and put back."""

    def read() -> Array:
        return np.array(getattr(owner, attribute), dtype)

    def put(value: Array) -> None:
        setattr(owner, attribute, value.astype(dtype).item())

    return read, put


def labels(entries: Iterable[Any]) -> Iterator[str]:
    """The paths of parameters, as parts of names; none twice."""
    seen: dict[str, int] = {}
    for entry in entries:
        label = entry.full_path.replace("/", "_") or "variable"
        n = seen[label] = seen.get(label, -1) + 1
        yield f"{label}_{n}" if n else label
