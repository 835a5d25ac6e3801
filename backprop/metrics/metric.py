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

        def result(self):
            return self.cast(self.top)
"""

from __future__ import annotations

import functools
import inspect
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop import initializers
from backprop.absent import explain_attribute
from backprop.arguments import Convert, argument, defaults_of
from backprop.bounds import reckon
from backprop.checks import Name, array
from backprop.config import Configurable
from backprop.construction import named
from backprop.losses.axes import leading, same_rank
from backprop.losses.functions import options_of
from backprop.masks import flags
from backprop.registry import FAMILIES
from backprop.spelling import nearest, snake_case

Array = np.ndarray
# what a config of a MeanMetricWrapper may name; the package, which knows them all, fills it
FUNCTIONS: dict[str, Callable] = {}


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
        """
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


# ---------------------------------------------------------------------------- weights


def apply_mask(sample_weight: Any, mask: Any) -> Array | None:
    """A mask as weights: 1 at a real step, 0 at padding, times the sample weights.

    Parameters
    ----------
    sample_weight : array_like, (n,) or (n, ...), optional
    mask : array_like of bool, (n, ...), optional

    Examples
    --------
    >>> apply_mask([2.0, 3.0], [[True, False], [True, True]])
    array([[2., 0.],
           [3., 3.]])
    """
    if mask is None:
        return None if sample_weight is None else np.asarray(sample_weight)
    m = flags(mask, "apply_mask").astype(np.float64)
    if sample_weight is None:
        return m
    m, w = same_rank(m, np.asarray(sample_weight, np.float64))
    return leading(m, w.shape) * leading(w, m.shape)


def samplewise(
    values: Array, sample_weight: Any, reduce: Callable, who: str
) -> tuple[Array, Array]:
    """Weighted values (n,) and their weights (n,): all axes but the first are reduced, as in Keras.

    Values of higher rank than the weights are reduced to their rank first, so that weights (n,)
    weigh samples. Weights of shape () weigh the batch as one value.
    """
    values, w = same_rank(values.astype(np.float64), array(sample_weight, who, "sample_weight"))
    rank = w.ndim
    if values.ndim > rank:
        values = reduce(values, axis=tuple(range(rank, values.ndim)))
    try:
        w = np.broadcast_to(w, values.shape)
    except ValueError:
        raise ValueError(
            f"{who} has values of shape {values.shape} and got sample_weight of shape "
            f"{np.shape(sample_weight)}; give one weight a sample, (n,), or one a value"
        ) from None
    values = values * w
    if rank > 1:
        values, w = (reduce(a, axis=tuple(range(1, a.ndim))) for a in (values, w))
    return values, w


def spread_weights(sample_weight: Any, shape: tuple[int, ...], who: str) -> Array | None:
    """A weight for each of the predictions of a shape, whose first axes are those of the weights.

    Weights (n,) weigh rows even where a row has n entries, and nothing else.
    """
    if sample_weight is None:
        return None
    given = array(sample_weight, who, "sample_weight")
    w = given
    if w.ndim == len(shape) + 1 and w.shape[-1] == 1:
        w = w[..., 0]
    w = leading(w, shape)
    if w.size != 1 and (
        w.ndim != len(shape) or any(m not in (1, n) for m, n in zip(w.shape, shape, strict=True))
    ):
        raise ValueError(
            f"{who} has predictions of shape {shape} and got sample_weight of shape "
            f"{given.shape}; give one weight a sample, (n,), or one a prediction"
        )
    return np.broadcast_to(w.reshape(()) if w.size == 1 else w, shape)


# ---------------------------------------------------------------------------- reductions


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
        values = np.asarray(values)
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
        values = np.asarray(values)
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
            cls.of = staticmethod(of)
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


def align(y_true: Any, y_pred: Any, who: str) -> tuple[Array, Array]:
    """Both as arrays of one rank that broadcast to y_pred's shape."""
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    if y_true.ndim != y_pred.ndim or any(
        m != n and 1 not in (m, n) for m, n in zip(y_true.shape, y_pred.shape, strict=True)
    ):
        raise ValueError(
            f"{who} expects y_true and y_pred of one shape, got {y_true.shape} and {y_pred.shape}; "
            "for integer labels of several classes take the sparse metric"
        )
    return y_true, y_pred
