"""Numbers that were read from an optimizer, with the habits of Keras' variables.

`optimizer.learning_rate` is a float and `optimizer.iterations` an int, whatever is done with them;
both also know where they were read, so that ``optimizer.learning_rate.assign(0.01)`` sets it there,
and ``.numpy()`` returns them as NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Reading:
    """A number, and the attribute of an object that it was read from."""

    owner: Any
    name: str

    def assign(self, value: Any) -> Any:
        """Set the attribute; returns what it is then."""
        setattr(self.owner, self.name, value)
        return getattr(self.owner, self.name)

    def assign_add(self, value: Any) -> Any:
        """Add to the attribute; returns what it is then."""
        return self.assign(getattr(self.owner, self.name) + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the attribute; returns what it is then."""
        return self.assign(getattr(self.owner, self.name) - value)

    def numpy(self) -> Any:
        """As a number of NumPy's: float64 or int64."""
        return np.asarray(self)[()]

    @property
    def value(self) -> Any:
        """As a number of Python's."""
        return next(t for t in (float, int) if isinstance(self, t))(self)  # type: ignore[call-overload]

    def __reduce__(self):
        return type(self.value), (self.value,)  # a copy belongs to nobody


class Rate(Reading, float):
    """A float that was read.

    Examples
    --------
    >>> from backprop.optimizers import SGD
    >>> optimizer = SGD(0.1)
    >>> optimizer.learning_rate.assign(0.05)
    0.05
    >>> optimizer
    SGD(0.05)
    """


class Count(Reading, int):
    """An int that was read."""


def reading(kind: type, value: Any, owner: Any, name: str) -> Any:
    """`value` as a `Rate` or a `Count`."""
    found = kind(value)
    found.owner, found.name = owner, name
    return found
