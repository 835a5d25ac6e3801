"""What a model's input looks like."""

from __future__ import annotations

import numpy as np

from backprop.checks import integer, sequence
from backprop.counts import no_products
from backprop.defaults import floatx
from backprop.layer import INFERENCE, Layer, Shape
from backprop.layer_arrays import sizes_of
from backprop.old_arguments import Only, Renamed
from backprop.symbols import Call, Symbol


def dtype_of(given) -> np.dtype:
    """The dtype of an input, which "string" is as well."""
    try:
        text = isinstance(given, str) and given == "string"
        found = np.dtype("U" if text else floatx() if given is None else given)
        if found.kind not in "biufU":
            raise TypeError
        return found
    except (TypeError, ValueError):
        raise ValueError(
            f"Input expects dtype to be 'float32', 'int32', 'string' or the like, got {given!r}"
        ) from None


class InputLayer(Layer):
    """y = x: says what a model's input looks like, and computes nothing.

    Made by `Input`. A `Sequential` reads the shape from it and does not count it among its layers.
    """

    fixed = ("shape", "batch_size", "dtype", "batch_shape", "input_shape", "input_tensor")
    unsaved = ("input_tensor",)  # what it says is kept in the place of the arguments
    legacy = (
        Renamed("batch_input_shape", "batch_shape"),
        Only("optional", (False,)),
        Only("ragged", (None, False)),
        Only("sparse", (None, False)),
    )

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        batch_shape=None,
        name=None,
        *,
        input_shape=None,
        input_tensor=None,
    ):
        super().__init__(name=name)
        if input_shape is not None:
            input_shape = sizes_of(input_shape, "Input", "input_shape")
        shape = input_shape if shape is None else shape  # Keras 2's name of it
        if input_tensor is not None:
            check_tensor(input_tensor, shape, batch_size, dtype, batch_shape)
            shape, batch_shape, dtype = None, input_tensor.shape, input_tensor.dtype.name
            self._arguments |= {"batch_shape": batch_shape, "dtype": dtype}
            self._arguments.pop("input_tensor")
        if batch_shape is not None:
            sizes = sequence(batch_shape, "Input", "batch_shape", "a tuple that begins with a size")
            if not sizes:
                raise ValueError("Input expects batch_shape to begin with the batch's size, got ()")
            batch_size, *behind = sizes
            if shape is not None and list(shape) != behind:
                raise ValueError(
                    f"Input expects shape or batch_shape, got shape={shape!r} and "
                    f"batch_shape={batch_shape!r}"
                )
            shape = behind
        if shape is None:
            raise ValueError("Input expects a shape, such as Input(shape=(784,))")
        shape = sizes_of(shape, "Input", "its shape")
        if batch_size is not None:
            batch_size = integer(batch_size, "Input", "batch_size")
        self.batch_shape = (batch_size, *shape)
        self.declared_shape = self.batch_shape
        known = dtype_of(dtype)
        self.__dict__["dtype"] = known
        self.integer_input = known.kind in "iubU"
        self.string_input = known.kind == "U"
        self.build_shape, self.built = self.batch_shape, True

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

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


def check_tensor(given, shape, batch_size, dtype, batch_shape) -> None:
    """Raise unless it is a symbolic array, and nothing that is said beside it is otherwise."""
    if not isinstance(given, Symbol):
        raise ValueError(
            f"InputLayer expects input_tensor to be what Input() or a layer's call gives, got "
            f"{type(given).__name__}"
        )
    said = {
        "shape": (shape, given.shape[1:]),
        "batch_size": (batch_size, given.shape[0]),
        "batch_shape": (batch_shape, given.shape),
        "dtype": (dtype, given.dtype),
    }
    for name, (told, is_so) in said.items():
        if told is not None and (np.dtype(told) if name == "dtype" else told) != is_so:
            raise ValueError(f"InputLayer got {name}={told!r} beside {given!r}: leave it out")


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


def Input(
    shape=None,
    batch_size=None,
    dtype=None,
    sparse=None,
    ragged=None,
    batch_shape=None,
    name=None,
    tensor=None,
    optional=False,
    **others,
) -> Symbol:
    """What will go into a model: a symbolic array to call layers on, for `Model`, or the first
    entry of a `Sequential`, which takes its shape.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch axis.
    batch_size : int, optional
        Shown in the summary; any batch size is accepted.
    dtype : str, optional
        ``"int32"`` and the like say that the model takes integers, ``"string"`` that it takes
        strings.
    sparse, ragged, optional : False, optional
        Keras' arguments for what is not here; another value is a TypeError, which says what to do
        instead.
    batch_shape : tuple, optional
        Shape with the batch axis, instead of `shape`.
    name : str, optional
    tensor : Symbol, optional
        A symbolic array whose shape and dtype it takes, instead of all these.
    **others
        Older names of `InputLayer`.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]).output_shape
    (None, 2)
    >>> x = bp.Input((3,))
    >>> bp.Model(x, bp.layers.Dense(2)(x)).output_shape
    (None, 2)
    """
    others |= {"sparse": sparse, "ragged": ragged, "optional": optional, "input_tensor": tensor}
    return InputLayer(shape, batch_size, dtype, batch_shape, name, **others).symbol()
