"""What most metrics are: a sum or a mean of something over the samples."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from backprop.arguments import argument, defaults_of
from backprop.checks import Name, array_like
from backprop.construction import named
from backprop.losses.functions import options_of
from backprop.metrics.metric import Metric
from backprop.metrics.weighing import samplewise
from backprop.registry import FAMILIES
from backprop.spelling import nearest, snake_case

Array = np.ndarray

# what a config of a MeanMetricWrapper may name; the package, which knows them all, fills it
FUNCTIONS: dict[str, Callable] = {}


class NameFirst(Metric, kw_only=True, by_position=True):
    """A metric whose arguments end in the order of nearly all of Keras': name, dtype."""

    name: Name = argument(default=None)


class Sum(NameFirst):
    """result = Σ w_i v_i.

    Parameters
    ----------
    name : str, default "sum"
    dtype : str, optional
        Of the result.

    Examples
    --------
    >>> m = Sum()
    >>> m.update_state([1, 3, 5, 7])
    >>> m.update_state([10, 20], sample_weight=[1, 0])
    >>> m.result()
    26.0
    """

    name: Name = "sum"  # by position for type checkers too

    def __post_init__(self):
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add an array of values, each times its weight."""
        values = array_like(values, f"{type(self).__name__}()", "values")
        if sample_weight is not None:
            values, _ = samplewise(values, sample_weight, np.sum, repr(self))
        self.total += values.sum(dtype=np.float64)

    def result(self) -> Any:
        """The sum so far."""
        return self.cast(self.total)


class Mean(NameFirst):
    """result = Σ w_i v_i / Σ w_i, or 0 where the weights sum to 0.

    Where values have more axes than one, the v_i are their means over the others.

    Parameters
    ----------
    name : str, default "mean"
    dtype : str, optional
        Of the result.

    Examples
    --------
    >>> m = Mean()
    >>> m.update_state([1, 3, 5, 7])
    >>> m.result()
    4.0
    >>> m.reset_state()
    >>> m([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    2.0
    """

    name: Name = "mean"  # by position for type checkers too

    def __post_init__(self):
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values, (n, ...), with weights of shape (n,), of the values' shape, or in between."""
        values = array_like(values, f"{type(self).__name__}()", "values")
        if values.dtype.kind not in "biuf":
            raise TypeError(f"{self!r} expects values to be numbers, got dtype {values.dtype}")
        total, count = self.total, self.count  # assigning to the attributes costs a look-up
        if sample_weight is None:
            inner = values.size // len(values) if values.ndim > 1 and len(values) else 1
            total += np.add.reduce(values, axis=None, dtype=np.float64) / inner
            count += len(values) if values.ndim else 1
            return
        values, w = samplewise(values, sample_weight, np.mean, repr(self))
        total += values.sum()
        count += w.sum()

    def result(self) -> Any:
        """The mean so far."""
        return self.cast(self.total / self.count if self.count else 0.0)


class MeanMetricWrapper(Mean):
    """result = Σ w_i fn(y_true, y_pred)_i / Σ w_i.

    Parameters
    ----------
    fn : callable
        ``fn(y_true, y_pred, **kwargs)`` → values, (n, ...). Also the name of one of this package's
        functions.
    name : str, optional
        Default: "mean_metric_wrapper".
    dtype : str, optional
        Of the result.
    **kwargs
        Handed on to `fn`.

    Raises
    ------
    TypeError
        When `fn` has no such argument.

    Examples
    --------
    >>> def largest_error(y_true, y_pred):
    ...     return abs(y_true - y_pred).max(-1)
    >>> import numpy as np
    >>> m = MeanMetricWrapper(largest_error, name="largest")
    >>> m(np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]))
    3.0
    """

    def __new__(cls, *args, **kwargs):
        if cls.__init__ is not MeanMetricWrapper.__init__:
            return super().__new__(cls, *args, **kwargs)
        # what is not an argument of the constructor is fn's, and checked against fn's arguments in
        # __init__
        known = defaults_of(cls)
        self = super().__new__(cls, *args, **{k: v for k, v in kwargs.items() if k in known})
        self._arguments |= kwargs
        return self

    def __init__(
        self,
        fn: Callable | str,
        name: str | None = None,
        dtype=None,
        **kwargs,
    ):
        super().__init__(name=name, dtype=dtype)
        known = named(function_named, fn, type(self).__name__, "fn") if isinstance(fn, str) else fn
        self.fn = known
        if not callable(self.fn):
            raise TypeError(
                f"MeanMetricWrapper expects fn(y_true, y_pred) to be callable, got {fn!r}"
            )
        check_arguments(self.fn, kwargs)
        self.fn_kwargs = kwargs

    # a mean of values becomes one of pairs of targets and outputs
    def update_state(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add a batch: targets and outputs, (n, ...), and weights that suit the values of `fn`."""
        if not self.labels_known:
            self.check_labels(y_true, y_pred, sample_weight)
        super().update_state(self.fn(y_true, y_pred, **self.fn_kwargs), sample_weight)

    def check_labels(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Raise where a label can be none."""

    def __repr__(self) -> str:
        known = defaults_of(type(self))
        extra = [f", {k}={v!r}" for k, v in self._arguments.items() if k not in known]
        return f"{super().__repr__()[:-1]}{''.join(extra)})"


class MeanOf(MeanMetricWrapper):
    """The mean of what a function of the library makes of targets and outputs.

    A subclass says which, ``of=``, and declares the arguments that the function takes besides. The
    metric is called as the function is.
    """

    of: ClassVar[Any]
    fn_kwargs: ClassVar[dict[str, Any]] = {}
    direction = "up"

    def __init_subclass__(cls, *, of: Callable[..., Any] | None = None, **kwargs):
        super().__init_subclass__(**kwargs)
        if of is not None:
            cls.of = staticmethod(inspect.unwrap(of))  # its arguments have been checked once
            if "name" not in vars(cls):
                cls.name = snake_case(of.__name__)

    def __init__(self, name: str | None = None, dtype=None):
        Mean.__init__(self, name=name, dtype=dtype)

    def fn(self, y_true: Any, y_pred: Any) -> Array:
        return self.of(y_true, y_pred, **{n: getattr(self, n) for n in taken_besides(self.of)})


@functools.cache
def taken_besides(function: Callable[..., Array]) -> tuple[str, ...]:
    """What a function of y_true and y_pred takes besides."""
    return tuple(inspect.signature(function).parameters)[2:]


class MeanLoss(MeanOf):
    """The mean of a loss' values, which takes what the metric and the loss both declare."""

    direction = "down"

    def __post_init__(self):
        options = {n: getattr(self, n) for n in options_of(self.of) if hasattr(self, n)}
        self.loss = self.of(**options)
        self.fn = self.loss.per_sample

    def check_labels(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = self.loss.as_arrays(y_true, y_pred)
        self.loss.check_labels(y_true, y_pred.shape)


def check_arguments(fn: Callable, kwargs: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # a function of C code tells nothing
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in kwargs:
        if name not in parameters:
            raise TypeError(
                f"{getattr(fn, '__name__', fn)}() has no argument {name!r}"
                f"{nearest(name, parameters)}; it takes {', '.join(parameters)}"
            )


def function_named(name: str) -> Callable:
    """The metric function that a config names."""
    found = FAMILIES["metrics"].users(name) or FUNCTIONS.get(name)
    if found is None:
        raise ValueError(
            f"unknown metric function {name!r}{nearest(name, FUNCTIONS)}; "
            f"known: {', '.join(sorted(FUNCTIONS))}"
        )
    return found
