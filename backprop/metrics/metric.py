"""result = Σ w_i v_i / Σ w_i over everything seen since the last reset: metrics are streams.

A metric holds a few running sums. `update_state` adds a batch to them, `result` reads them,
`reset_state` sets them to zero. The sums are float64 whatever the model's dtype, so that a stream
of a million batches loses nothing.

The author of a metric writes `update_state` and `result`:

    class Largest(Metric):
        def __init__(self, name="largest", dtype=None):
            super().__init__(dtype, name)
            self.top = self.add_variable()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top = max(self.top, np.max(y_pred))

        def merge(self, state):
            self.top = max(self.top, *state)

        def result(self):
            return self.cast(self.top)
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop import initializers
from backprop.absent import explain_attribute
from backprop.arguments import Convert
from backprop.bounds import reckon
from backprop.checks import Name
from backprop.config import Configurable
from backprop.spelling import nearest, snake_case

Array = np.ndarray


class Variable(np.ndarray):
    """An array that a metric resets: NumPy's, with a name and the methods of Keras' variables."""

    name: str | None = None  # of an array that was made of one, None
    trainable = False
    constraint = regularizer = None
    _metric: Any = None  # a weak reference

    @property
    def path(self) -> str | None:
        """Its name, behind that of its metric: ``"mean/total"``."""
        metric = self._metric and self._metric()
        return self.name if metric is None else f"{metric.name}/{self.name}"

    @property
    def value(self) -> Array:
        """The numbers now, as a copy."""
        return self.numpy()

    def numpy(self) -> Array:
        """A copy of the values."""
        return np.array(self)

    def assign(self, value: Any) -> Variable:
        """Set all elements."""
        self[...] = value
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to all elements."""
        self[...] += value
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from all elements."""
        self[...] -= value
        return self


def dtype_of(value: Any, who: str, name: str) -> np.dtype:
    """A dtype of real numbers."""
    try:
        found = np.dtype(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.kind not in "biuf":
        raise ValueError(f"{who} expects {name} to be that of numbers, 'float32', got {value!r}")
    return found


ResultDtype = Annotated[Any, Convert(dtype_of)]


class Metric(Configurable, kw_only=True, by_position=True):
    """A number that is computed over a stream of batches: the base of all metrics.

    A subclass writes `update_state(y_true, y_pred, sample_weight=None)` and `result()`, and makes
    its running sums in `__init__` with `add_variable`.

    Parameters
    ----------
    dtype : str, optional
        Of the result. Default: a Python float, or a float64 array.
    name : str, optional
        What the result is called in logs. Default: the class' name in snake case.

    Examples
    --------
    >>> import numpy as np
    >>> class Positives(Metric):
    ...     def __init__(self, name="positives"):
    ...         super().__init__(name=name)
    ...         self.count = self.add_variable()
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.count += np.sum(y_pred > 0)
    ...     def result(self):
    ...         return self.cast(self.count)
    >>> m = Positives()
    >>> m.update_state(None, np.array([1.0, -1.0]))
    >>> m.update_state(None, np.array([2.0, 3.0]))
    >>> m.result()
    3.0
    """

    dtype: ResultDtype = None
    name: Name = None

    _variables: ClassVar[list[Variable]]
    # of an interrupted run, for variables that the first batch makes
    _awaited: Sequence[Array] = ()
    direction = None  # "up" or "down": which way is better, where that is known
    labels_known = False  # set in a model whose loss looks at labels, so that no step does it twice

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls, *args, **kwargs)
        # here and not in __init__, so that a subclass may leave super().__init__() out
        self.__dict__ |= {"_variables": [], "name": snake_case(cls.__name__)}
        return self

    # ------------------------------------------------------------------ what the author of a metric
    # writes

    def update_state(self, *args, **kwargs) -> None:
        """Add a batch: ``update_state(y_true, y_pred, sample_weight=None)``."""
        raise TypeError(
            f"{type(self).__name__} has no update_state(self, y_true, y_pred, sample_weight=None): "
            "write one that adds a batch to the metric's variables"
        )

    def result(self) -> Any:
        """The metric over everything seen since the last reset."""
        raise TypeError(
            f"{type(self).__name__} has no result(self): write one that returns a number"
        )

    # ------------------------------------------------------------------ what the author uses

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype=None,
        name: str | None = None,
    ) -> Variable:
        """Make a running sum: zeroed by `reset_state`, copied into by assigning to its attribute.

        Parameters
        ----------
        shape : tuple of int, default ()
        initializer : str or Initializer, default "zeros"
        dtype : str, default float64
        name : str, optional
            Shown in errors, and the `name` of what is returned.
        """
        reckon(math.prod(shape), f"{self!r}", "metrics")
        make = initializers.get("zeros" if initializer is None else initializer)
        value = np.array(make(tuple(shape), dtype=np.dtype(dtype or np.float64)))
        if value.shape != tuple(shape):
            raise ValueError(
                f"{self!r} asked for {name or 'a variable'} {tuple(shape)}, got {value.shape}"
            )
        if self._awaited:
            found, *self._awaited = self._awaited
            if found.shape != value.shape:
                raise ValueError(
                    f"{self!r} goes on in an interrupted run in which its {name or 'variable'} had "
                    f"shape {found.shape}, and it has {value.shape}"
                )
            value[...] = found
        variable = value.view(Variable)
        variable.name, variable._metric = name or "variable", weakref.ref(self)
        self._variables.append(variable)
        return variable

    add_weight = add_variable

    def cast(self, value: Any) -> Any:
        """A result in the metric's dtype; without one, a number becomes a Python float."""
        value = np.array(value, self.dtype or np.float64)
        if value.ndim:
            return value
        return float(value) if self.dtype is None else value[()]

    # ------------------------------------------------------------------ what everyone gets

    def reset_state(self) -> None:
        """Forget everything seen."""
        for variable in self.variables:
            variable[...] = 0

    def merge(self, state: Sequence[Array]) -> None:
        """Add what another such metric has seen.

        Parameters
        ----------
        state : list of ndarray
            Its `variables`, which are added to these. A metric whose variables are no sums
            overrides it: to be used by several processes, one of a user's own has to.

        Raises
        ------
        ValueError
            If it makes its variables with its first rows, and one of the two has seen none.
        """
        if len(state) != len(self.variables):
            raise ValueError(
                f"{self!r} has {len(self.variables)} variables and was given {len(state)} to add: "
                "one that makes them with its first rows is merged once it has seen some"
            )
        for variable, other in zip(self.variables, state, strict=True):
            variable += other

    @property
    def variables(self) -> list[Array]:
        """The running sums, those of metrics in this metric's attributes included."""
        found: list[Array] = [*self._variables]
        for value in self.__dict__.values():
            for part in value if isinstance(value, list | tuple) else (value,):
                if isinstance(part, Metric):
                    found += part.variables
        return found

    def __call__(self, *args, **kwargs) -> Any:
        """`update_state`, then `result`."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __getattr__(self, name: str) -> Any:
        """What is missing: what to write instead, where Keras has it."""
        if hasattr(type(self), name):
            return object.__getattribute__(self, name)  # a property's own error, once more
        found = explain_attribute(self, name)
        why = f": {found}" if found else nearest(name, (n for n in dir(self) if n[0] != "_"))
        raise AttributeError(f"{type(self).__name__} has no {name!r}{why}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self.__dict__.get(name)
        if isinstance(target, Variable) and value is not target:
            if np.shape(value) != target.shape:
                raise ValueError(
                    f"{self!r}.{name} has shape {target.shape} and was given {np.shape(value)}"
                )
            target[...] = value
            return
        super().__setattr__(name, value)
