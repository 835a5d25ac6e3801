"""What a model's input looks like."""

from __future__ import annotations

import numpy as np

from backprop.checks import integer
from backprop.defaults import floatx
from backprop.layer import INFERENCE, Layer, Shape
from backprop.symbols import Call, Symbol


class InputLayer(Layer):
    """y = x: says what a model's input looks like, and computes nothing.

    Made by `Input`. A `Sequential` reads the shape from it and does not count it among its layers.
    """

    fixed = ("shape", "batch_size", "dtype", "batch_shape", "input_shape")

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        batch_shape=None,
        name=None,
        *,
        input_shape=None,
    ):
        super().__init__(name=name)
        shape = input_shape if shape is None else shape  # Keras 2's name of it
        if batch_shape is not None:
            batch_size, *shape = batch_shape
        if shape is None:
            raise ValueError("Input expects a shape, such as Input(shape=(784,))")
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        for n in shape:
            if n is not None:
                integer(n, "Input", "every axis of its shape", 0)
        self.batch_shape = (batch_size, *shape)
        self.declared_shape = self.batch_shape
        known = np.dtype(floatx() if dtype is None else dtype)
        self.__dict__["dtype"] = known
        self.integer_input = known.kind in "iub"

    @property
    def shape(self) -> Shape:
        """With the batch axis."""
        return self.batch_shape

    def adopt_dtype(self, dtype):
        if not self.integer_input and self._arguments.get("dtype") is None:
            self.__dict__["dtype"] = dtype

    def symbol(self) -> Symbol:
        """What it stands for; one for all calls."""
        if not self._drawn:
            call = Call(self)
            self.__dict__["_drawn"] = (call.gives(self.batch_shape, self.dtype),)
        return self._drawn[0]

    def _first_drawn(self) -> Symbol:
        return self.symbol()  # without a call, and without an input shape

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


class AsFloat(Layer):
    """y = x as numbers of the layer's dtype. Integers have no derivative.

    A `Graph` puts it where an input of integers goes to a layer that multiplies as well as to one
    that looks things up.
    """

    integer_input = True
    time_local = True

    def forward(self, x, ctx=INFERENCE):
        return x.astype(self.dtype or floatx()), None

    def backward(self, dy, cache):
        return np.zeros_like(dy)


def Input(shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, **others) -> Symbol:
    """What will go into a model: a symbolic array to call layers on, for `Model`, or the first
    entry of a `Sequential`, which takes its shape.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch axis.
    batch_size : int, optional
        Shown in the summary; any batch size is accepted.
    dtype : str, optional
        ``"int32"`` and the like say that the model takes integers.
    batch_shape : tuple, optional
        Shape with the batch axis, instead of `shape`.
    name : str, optional
    **others
        Keras' further arguments mean nothing here, and the error says what to do instead.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]).output_shape
    (None, 2)
    >>> x = bp.Input((3,))
    >>> bp.Model(x, bp.layers.Dense(2)(x)).output_shape
    (None, 2)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name, **others).symbol()
