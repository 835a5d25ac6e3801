"""Symbolic arrays: what will be there when a network runs.

`Input()` gives one, and a layer that is called on one gives what it will put out: its shape, its
dtype, and the call that makes it. Nothing is computed. `Model(inputs, outputs)` follows the calls
back from its outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop.input_spec import Shape
from backprop.nest import as_tuple, several

OPERATORS: dict[str, Callable[..., Any]] = {}
"""The layers that operators between symbolic arrays stand for; the rooms of layers put them in."""

made = itertools.count()


@dataclass(eq=False)
class Call:
    """A call of a layer on symbolic arrays.

    Attributes
    ----------
    layer : Layer
    inputs : Symbol or tuple of Symbol or None
        What it was called on; an empty tuple for an `Input`.
    training : bool, optional
        What the call said of it. Default: what the model that holds it runs in.
    number : int
        A call has a higher number than those that made its inputs.
    outputs : Symbol or tuple of Symbol
        What comes out.
    """

    layer: Any
    inputs: Any = ()
    training: bool | None = None
    number: int = field(default_factory=lambda: next(made))
    outputs: Any = field(default=(), init=False)

    @property
    def reads(self) -> list[Symbol]:
        """The symbolic arrays that it was called on."""
        return [symbol for symbol in as_tuple(self.inputs) if symbol is not None]

    def gives(self, shape: Any, dtype: Any) -> Any:
        """The symbolic arrays of these shapes and dtypes, or the one, that come out."""
        if several(shape):
            dtypes = dtype if type(dtype) is tuple else (dtype,) * len(shape)
            pairs = zip(shape, dtypes, strict=True)
            found = [Symbol(self, s, kind, i) for i, (s, kind) in enumerate(pairs)]
            self.outputs = tuple(found)
        else:
            self.outputs = Symbol(self, shape, dtype)
        return self.outputs


class Symbol:
    """An array that is not there yet.

    Attributes
    ----------
    shape : tuple
        With the batch axis; None where a size is free.
    dtype : dtype
    name : str
        Of the layer that will make it.

    Examples
    --------
    >>> import backprop as bp
    >>> x = bp.Input((3,), name="x")
    >>> x
    <Symbol x, shape (None, 3), float32>
    >>> bp.layers.Dense(2)(x).shape
    (None, 2)
    """

    __slots__ = ("call", "dtype", "index", "shape")

    def __init__(self, call: Call, shape: Shape, dtype: Any, index: int = 0):
        self.call = call
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.index = index

    @property
    def layer(self) -> Any:
        return self.call.layer

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        part = f" output {self.index}," if self.index else ","
        kind = "string" if self.dtype.kind == "U" else self.dtype
        return f"<Symbol {self.name}{part} shape {self.shape}, {kind}>"

    def __array__(self, *args, **kwargs):
        raise TypeError(
            f"{self!r} holds no numbers yet, and NumPy was asked for them: call layers on it, use "
            "+ - * / and slices, or give a layer of your own forward and backward"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """`array + symbol` and the like, which are functions of NumPy's."""
        operator = OPERATORS.get(ufunc.__name__)
        if operator is None or method != "__call__" or options:
            return self.__array__()
        return operator(*inputs)

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} holds no numbers yet, so it is neither true nor false")

    def __iter__(self):
        raise TypeError(f"{self!r} holds no numbers yet: take slices of it, such as x[:, 0]")

    def __getitem__(self, index: Any) -> Any:
        return OPERATORS["getitem"](self, index)

    def __add__(self, other: Any) -> Any:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return OPERATORS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return OPERATORS["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return OPERATORS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return OPERATORS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return OPERATORS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return OPERATORS["divide"](other, self)

    def __pow__(self, other: Any) -> Any:
        return OPERATORS["power"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return OPERATORS["power"](other, self)

    def __mod__(self, other: Any) -> Any:
        return OPERATORS["remainder"](self, other)

    def __rmod__(self, other: Any) -> Any:
        return OPERATORS["remainder"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return OPERATORS["matmul"](other, self)

    def __neg__(self) -> Any:
        return OPERATORS["negative"](self)

    def __abs__(self) -> Any:
        return OPERATORS["absolute"](self)


def step_function(written: str) -> Callable[..., Any]:
    """An operator whose result moves in steps, and has no derivative to train by."""

    def refuse(symbol: Symbol, *others: Any) -> Any:
        raise TypeError(
            f"{written} of {symbol!r} moves in steps, so that no gradient goes through it, and is "
            f"no layer here: in inference, Lambda(lambda x: {written})(x) computes it"
        )

    return refuse


for name, written in {
    "lt": "x < c", "le": "x <= c", "gt": "x > c", "ge": "x >= c",
    "floordiv": "x // c", "rfloordiv": "c // x", "round": "np.round(x)", "invert": "~x",
    "and": "x & y", "rand": "x & y", "or": "x | y", "ror": "x | y", "xor": "x ^ y", "rxor": "x ^ y",
}.items():  # fmt: skip
    setattr(Symbol, f"__{name}__", step_function(written))
