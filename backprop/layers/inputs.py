"""What a model's input looks like."""

from __future__ import annotations

import numpy as np

from backprop.checks import integer
from backprop.defaults import floatx
from backprop.layer import INFERENCE, Layer, Shape


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

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


def Input(
    shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, **others
) -> InputLayer:
    """Declare the shape of a model's input, as the first entry of a `Sequential`.

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
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name, **others)
