"""What `layer.weights` hands out: an array of the model with its name.

In the layers' own code a parameter is a plain array. Who asks a layer for its weights gets the same
memory as a `Variable`: it knows what it is called, is assigned to as in Keras, and is an ndarray
for everything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import checks, config, initializers

Array = np.ndarray

WHO = "Variable()"


class Variable(np.ndarray):
    """An array with a name: a weight of a layer, or one that stands alone.

    Arithmetic, slices, copies and pickles of it are plain arrays; a slice is a view. Writing into
    it, by `assign` or ``w[...] = value``, writes into the model.

    Parameters
    ----------
    initializer : array_like, str, Initializer or callable
        The values, or what makes them for `shape`.
    shape : tuple of int, optional
        With an initializer that is no array.
    dtype : str or dtype, optional
        Default: that of an array; of other values `config.floatx()`, "int32" of whole numbers and
        "bool" of truth values.
    trainable : bool, default True
        A note for one's own loop. Whether `fit` trains a layer's weight is said by the layer.
    name : str, default "variable"

    Attributes
    ----------
    name, path : str
        ``"kernel"``, and with the layer's name before it: ``"dense/kernel"``.
    value : ndarray
        The numbers now, as a copy, which further training does not change.
    constraint : Constraint or None
        An optimizer applies it after each step. That of a variable which stands alone may be set
        before the optimizer is built.
    regularizer : Regularizer or None

    Raises
    ------
    ValueError
        Where an initializer is given without a shape, an assignment has another shape, or `name`
        or `dtype` is none.
    TypeError
        Where values are no real numbers, or `trainable` is neither True nor False.

    Examples
    --------
    >>> import backprop as bp
    >>> layer = bp.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> kernel, bias = layer.weights
    >>> bias.name, bias.path, bias.shape
    ('bias', 'dense/bias', (2,))
    >>> bias.assign([1, 2])
    <Variable path=dense/bias, shape=(2,), dtype=float32, value=[1. 2.]>
    >>> layer.bias + 1, type(bias + 1).__name__
    (array([2., 3.], dtype=float32), 'ndarray')
    >>> bp.Variable(0.0, name="seen").assign_add(3).numpy()
    array(3., dtype=float32)
    """

    _parameter: Any = None  # the layer's record of the array, None where it stands alone
    _layer: Any = None  # kept alive: the record knows it by a weak reference
    _name = "variable"
    _trainable = True
    _constraint: Any = None

    def __new__(
        cls,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        *,
        name: str = "variable",
    ):
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"a Variable's name is a string without '/', got {name!r}")
        self = values(initializer, shape, dtype).view(cls)
        self._name, self._trainable = name, checks.flag(trainable, WHO, "trainable")
        return self

    @classmethod
    def of(cls, parameter: Any) -> Variable:
        """The array of a layer's parameter or buffer, with its name."""
        self = parameter.value.view(cls)
        self._parameter, self._layer = parameter, parameter.layer
        return self

    def _plain(self) -> Array:
        """The array in the model's memory, also where another model has taken the layer over."""
        return self.view(np.ndarray) if self._parameter is None else self._parameter.value

    @property
    def name(self) -> str:
        return self._name if self._parameter is None else self._parameter.name

    @property
    def path(self) -> str:
        return self._name if self._parameter is None else self._parameter.full_path

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change it."""
        return self._trainable if self._parameter is None else self._parameter.trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if self._parameter is not None:
            raise AttributeError(
                f"{self.path} is frozen with its layer: write layer.trainable = {trainable}"
            )
        self._trainable = checks.flag(trainable, self.path, "trainable")

    @property
    def constraint(self) -> Any:
        return self._constraint if self._parameter is None else self._parameter.constraint

    @constraint.setter
    def constraint(self, constraint: Any) -> None:
        if self._parameter is not None:
            raise AttributeError(
                f"{self.path} is constrained by its layer: write {self.name}_constraint= there"
            )
        if constraint is not None and not callable(constraint):
            raise ValueError(
                f"{self.path} expects a constraint to be a function of the array, such as "
                f"constraints.NonNeg(), got {constraint!r}"
            )
        self._constraint = constraint

    @property
    def regularizer(self) -> Any:
        return self._parameter and self._parameter.regularizer

    @property
    def value(self) -> Array:
        return self.numpy()

    def numpy(self) -> Array:
        """The numbers now, as a copy."""
        return self._plain().copy()

    def assign(self, value: Any) -> Variable:
        """Set all numbers; the shape must be exactly the variable's."""
        value, mine = checks.real(value, self.path, "value"), self._plain()
        if value.shape != mine.shape:
            raise ValueError(f"{self.path} has shape {mine.shape} and was given {value.shape}")
        mine[...] = value
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the numbers, an array of the variable's shape or one number to all."""
        return self.assign(self._plain() + self._spread(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the numbers."""
        return self.assign(self._plain() - self._spread(value))

    def _spread(self, value: Any) -> Array:
        value, shape = checks.real(plain(value), self.path, "value"), self.shape
        try:
            return np.broadcast_to(value, shape)
        except ValueError:
            raise ValueError(f"{self.path} has shape {shape} and was given {value.shape}") from None

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        if out:
            kwargs["out"] = plain(out)
        found = getattr(ufunc, method)(*plain(inputs), **plain(kwargs))
        return out[0] if len(out) == 1 else found

    def __array_function__(self, func, types, args, kwargs):
        return func(*plain(args), **plain(kwargs))

    def __repr__(self) -> str:
        mine = self._plain()
        return f"<Variable path={self.path}, shape={mine.shape}, dtype={mine.dtype}, value={mine}>"

    __str__ = __repr__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] - by identity, as in Keras


def record(item: Any) -> Any:
    """What a layer keeps of the array that a variable shows: whoever must know an array again asks
    for it, as each look at `layer.weights` makes new variables. Anything else is itself."""
    known = item._parameter if isinstance(item, Variable) else None
    return item if known is None else known


def values(initializer: Any, shape: tuple[int, ...] | None, dtype: Any) -> Array:
    """An array of a variable's own."""
    dtype = dtype_of(dtype)
    if not callable(initializer) and not isinstance(initializer, str):
        given = checks.real(initializer, WHO, "initializer")
        if dtype is None and not isinstance(initializer, np.ndarray):
            dtype = {"b": "bool", "i": "int32"}.get(given.dtype.kind, config.floatx())
        return np.array(given, dtype)
    if shape is None:
        raise ValueError(f"a Variable made by {initializer!r} needs a shape")
    shape = checks.sizes(shape, WHO, "shape")
    made = initializers.get(initializer)(shape, dtype=dtype or config.floatx())
    return np.array(made, dtype or config.floatx())


def dtype_of(dtype: Any) -> Any:
    """A dtype of real numbers or truth values; None is left to the values."""
    if dtype is None:
        return None
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "fiub":
        raise ValueError(f"{WHO} expects dtype to be one of numbers, 'float32', got {dtype!r}")
    return found


def plain(item: Any) -> Any:
    """The same without variables: arrays in their place, in tuples, lists and dicts too."""
    if isinstance(item, Variable):
        return item._plain()
    if isinstance(item, list | tuple) and type(item) in (list, tuple):
        return type(item)(map(plain, item))
    return {k: plain(v) for k, v in item.items()} if type(item) is dict else item


def on_the_array(name: str) -> Any:
    """A method of ndarray, carried out by the array in the model's memory."""
    method = getattr(np.ndarray, name)

    def call(self, *args, **kwargs):
        return method(self._plain(), *plain(args), **plain(kwargs))

    call.__name__ = name
    return call


# view is what the class itself is made with; the rest of what ndarray has gives plain arrays
SPECIAL = "bool contains copy deepcopy float format getitem int iter reduce reduce_ex setitem"
for _name in (
    *(n for n in dir(np.ndarray) if not n.startswith("_") and n not in ("view", "dtype")),
    *(f"__{n}__" for n in SPECIAL.split()),
):
    if callable(getattr(np.ndarray, _name)):
        setattr(Variable, _name, on_the_array(_name))
for _name in ("T", "mT", "real", "imag", "flat"):
    setattr(Variable, _name, property(lambda self, n=_name: getattr(self._plain(), n)))
