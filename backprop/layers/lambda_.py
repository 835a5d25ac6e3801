"""A function of the user's as a layer."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from backprop import masks
from backprop.defaults import floatx
from backprop.layer import INFERENCE, Context, Layer
from backprop.nest import as_tuple, each, each_shape, several

Array = np.ndarray


class Lambda(Layer):
    """y = function(x), and dx = backward(dy, x, y), where it is given.

        x: (N, ...), or a list of such    y: (N, ...), as the function makes it    dy, dx: as y, x

    Nothing is derived: the derivative is the author's, and `gradcheck` certifies it as any layer's.
    With L the loss, y' the derivative of y at x, and dy = dL/dy, `backward` is to return

        dx[i] = Σ_j dy[j] y'[j, i]

    Without it the layer serves where no gradient has to go through it: in inference, and in
    training before the first layer that has weights.

    Parameters
    ----------
    function : callable
        ``function(x)``, of an array, or of a list of them where the layer is called on a list; it
        returns an array or a list. Where it has arguments `mask` and `training` it is given them.
    output_shape : tuple of int or callable, optional
        Shape of y without the batch, a list of such for several outputs, or a function of the
        input's whole shape that returns the whole shape. Default: found by running the function on
        ones.
    mask : callable or array_like, optional
        ``mask(x, mask)`` returns the mask of y; an array is the mask of every y. Default: a mask
        ends here.
    arguments : dict, optional
        Further arguments of the function, by name.
    backward : callable, optional
        ``backward(dy, x, y)`` returns dx: an array, or for several inputs a list with an array or
        None for each. Of `arguments`, `mask` and `training` it is given those that it names.
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        Where `function` or `backward` cannot be called; and when a gradient is to go through a
        function without `backward`.
    ValueError
        When the shape of y cannot be found by trying; and when the layer is to be written to a
        file or to a configuration. No file holds code.

    Notes
    -----
    x is of the layer's dtype, of integers too, and is not to be written to; y and dx are cast to
    it. The layer has no weights: a function that closes over another layer does not train it.
    `copy.deepcopy` and `clone_model` copy it with its function, and `save_weights` leaves it out.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck import gradcheck
    >>> from backprop.layers import Lambda
    >>> square = Lambda(lambda x: x**2, backward=lambda dy, x, y: 2 * x * dy)
    >>> square(np.array([[3.0, -1.0]]))
    array([[9., 1.]], dtype=float32)
    >>> bool(gradcheck(square, np.array([[3.0, -1.0]])))
    True
    """

    several_inputs = True  # where it is called on a list
    fixed = ("function", "output_shape", "mask", "arguments", "backward")

    def __init__(
        self,
        function: Callable,
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        backward: Callable | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not callable(function) or isinstance(function, Layer | type):
            raise TypeError(
                f"Lambda expects a function of x, got {function!r}; a layer stands by itself"
            )
        if backward is not None and not callable(backward):
            raise TypeError(f"Lambda expects backward(dy, x, y) to be callable, got {backward!r}")
        self.function = function
        self.mask = mask
        self.arguments = dict(arguments or {})
        self._shape_told = output_shape
        self._way_back = backward

    def compute_output_shape(self, input_shape):
        told = self._shape_told
        if callable(told):
            return each_shape(tuple, told(input_shape))
        if told is None:
            return self._shape_by_trying(input_shape)
        batch = (input_shape[0] if several(input_shape) else input_shape)[0]
        if several(told):
            return tuple([(batch, *one) for one in told])
        return (batch, *told) if isinstance(told, tuple | list) else (batch, told)

    def compute_mask(self, x, mask=None):
        found = self.mask(as_given(x), as_given(mask)) if callable(self.mask) else self.mask
        found = tuple(found) if isinstance(found, list) and several_masks(found) else found
        return None if found is None else each(lambda m: masks.flags(m, repr(self)), found)

    def obeys_mask(self, x, mask):
        return self.mask is not None or "mask" in names_of(self.function)

    def forward(self, x, ctx=INFERENCE):
        x = each(to_read, x)
        y = self._run(x, ctx)
        return y, (x, y, ctx)

    def backward(self, dy, cache):
        if self._way_back is None:
            raise TypeError(
                f"{self!r} is to pass a gradient back and does not know how: give it "
                "backward=, a function (dy, x, y) that returns dx, or put it before the first "
                "layer that is trained"
            )
        x, y, ctx = cache
        given = as_given(each(to_read, dy)), as_given(x), as_given(each(to_read, y))
        dx = self._way_back(*given, **self._named(self._way_back, ctx, names_of(self._way_back)))
        like = as_tuple(x)[0].dtype
        return each(lambda d: owned(d, like), tuple(dx) if type(x) is tuple else dx)

    def backward_params(self, dy, cache):
        """There are none."""

    def get_config(self) -> NoReturn:
        raise ValueError(
            f"{self!r} cannot be written: it holds a function, and no file or configuration holds "
            "code. Write a layer of your own, with forward and backward, whose name a file can "
            "hold, see docs/write_a_layer.md; or save the weights alone, by save_weights()"
        )

    @classmethod
    def from_config(cls, config, custom_objects=None) -> NoReturn:
        raise ValueError(
            "a Lambda is not read from a file or a configuration: it would have to hold code, and "
            "nothing that is read here is run. Build the model in Python and load its weights"
        )

    # ---------------------------------------------------------------------------- the function

    def _run(self, x: Any, ctx: Context) -> Any:
        """y for arrays, as the library has it."""
        named = self.arguments | self._named(self.function, ctx, {"mask", "training"})
        y = self.function(as_given(x), **named)
        like = as_tuple(x)[0].dtype
        return each(lambda a: owned(a, like), tuple(y) if isinstance(y, list | tuple) else y)

    def _named(self, function: Callable, ctx: Context, asked: set[str]) -> dict[str, Any]:
        """Of what goes with a call, that which is asked for and the function names."""
        known = self.arguments | {"mask": as_given(ctx.mask), "training": ctx.training}
        wanted = asked & names_of(function)
        return {name: value for name, value in known.items() if name in wanted}

    def _shape_by_trying(self, input_shape: Any) -> Any:
        """The shape of y for ones; a size that follows a free one of x is free."""
        one = self._shape_for(input_shape, 2)
        if not any(n is None for s in given_shapes(input_shape) for n in s):
            return one
        other = self._shape_for(input_shape, 3)
        found = [
            tuple([a if a == b else None for a, b in zip(s, t, strict=True)])
            for s, t in zip(given_shapes(one), given_shapes(other), strict=True)
        ]
        return tuple(found) if several(one) else found[0]

    def _shape_for(self, input_shape: Any, free: int) -> Any:
        def ones(shape):
            sizes = [free if n is None else n for n in shape]
            return to_read(np.ones(sizes, self.dtype or floatx()))

        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                y = self._run(each_shape(ones, input_shape), INFERENCE)
        except Exception as error:
            raise ValueError(
                f"{self!r} was tried on ones in the place of {input_shape}, to find the shape of "
                f"its output, and failed: {error}. Give it output_shape=, without the batch"
            ) from error
        return each(np.shape, y)


def as_given(x: Any) -> Any:
    """Several arrays as the user's functions get them: a list."""
    return list(x) if type(x) is tuple else x


def given_shapes(shape: Any) -> tuple:
    return tuple([s for s in shape if s is not None]) if several(shape) else (shape,)


def several_masks(found: list) -> bool:
    return any(m is None or np.ndim(m) for m in found)


def to_read(x: Array) -> Array:
    """x, to read: the function of a user may not know that others go on using it."""
    x = x.view()
    x.flags.writeable = False
    return x


def owned(a: Any, dtype: Any) -> Any:
    """What a function of the user's returned, as an array of this dtype that one may write to."""
    if not isinstance(a, np.ndarray | np.generic | float | int):
        return a  # the first call says what is wrong with it
    a = np.asarray(a, dtype)
    return a if a.flags.writeable else a.copy()


def names_of(function: Callable) -> set[str]:
    """The arguments of a function that can be given by name."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of C code tells nothing
        return set()
    return {p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
