"""Arithmetic with a constant: what ``x + 2``, ``1 / x`` and the like stand for."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.counts import Count, no_products, times
from backprop.input_spec import Shape, show_shape
from backprop.layer import INFERENCE, Array, InputSpec, Layer
from backprop.layers.activations import Linear
from backprop.linalg import unbroadcast
from backprop.masks import only_real
from backprop.nest import is_nest, leaves, packed
from backprop.promises import short_for


def constant(value: Any, who: str, name: str, good: Any = np.isfinite, kind: str = "") -> Any:
    """A finite number, or an array of such, that is `good`; whole numbers stay whole."""
    try:
        found = np.asarray(value)
    except ValueError:
        found = np.asarray(None)
    if found.dtype.kind not in "iuf" or not (np.isfinite(found) & good(found)).all():
        raise ValueError(
            f"{who} expects {name} to be a finite number{kind}, or an array of such, got {value!r}"
        )
    return found if found.ndim else found.item()


Constant = Annotated[Any, Convert(constant)]
NotZero = Annotated[Any, Convert(constant, good=lambda c: c != 0, kind=" that is not 0")]
AboveZero = Annotated[Any, Convert(constant, good=lambda c: c > 0, kind=" above 0")]


class WithConstant(Layer):
    """y = f(x, c), number by number, as NumPy broadcasts x and c.

        x: (N, ...)    c: a number, or an array that leaves the batch as it is    y: (N, ...)

    c is no parameter. Where x is stretched to the shape of c, dx is the sum over that.
    """

    makes_masks = False
    value: Constant

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        self.time_local = self.shape_beside(input_shape)[1:2] == (1,)

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def shape_beside(self, shape: Shape) -> Shape:
        """That of c, with axes of length 1 in front."""
        return (1,) * (len(shape) - np.ndim(self.value)) + np.shape(self.value)

    def compute_output_shape(self, input_shape):
        c = self.shape_beside(input_shape)
        if len(c) > len(input_shape) or not all(
            k == 1 or (i and n in (1, k, None))
            for i, (n, k) in enumerate(zip(input_shape, c, strict=True))
        ):
            raise ValueError(
                f"{self!r} has a constant of shape {np.shape(self.value)}, which does not meet "
                f"inputs of {show_shape(input_shape[1:])}: counted from the last axis, lengths are "
                "equal or 1, and the batch is left as it is"
            )
        return tuple(n if k == 1 else k for n, k in zip(input_shape, c, strict=True))

    def compute_mask(self, x, mask=None):
        if mask is None:
            return None
        return np.broadcast_to(mask, self.compute_output_shape(x.shape)[: mask.ndim])

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        c = self.value
        if type(c) is np.ndarray and x.dtype.kind == "f":
            c = c.astype(x.dtype, copy=False)
        y, cache = self.apply(x, c)
        return y, (x.shape, cache)

    def backward(self, dy, cache):
        shape, cache = cache
        return unbroadcast(self.reverse(dy, cache), shape)

    def apply(self, x: Array, c: Any, /) -> tuple[Array, Any]:
        """y, and what `reverse` will need."""
        raise NotImplementedError

    def reverse(self, dy: Array, cache: Any, /) -> Array:
        """dx, stretched to the shape of y."""
        raise NotImplementedError


class WithPoles(WithConstant):
    """y = f(x, c), which may be infinite for a finite x: a masked x counts as 1, and has no dx."""

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(only_real(x, ctx.mask, 1), ctx)
        return y, (cache, ctx.mask)

    def backward(self, dy, cache):
        cache, mask = cache
        return only_real(super().backward(dy, cache), mask)


class AddConstant(WithConstant):
    """y = x + c, so dx = dy.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If c is not finite, or is no shape that x can be added to without changing the batch.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.layers.AddConstant(0.5)(np.array([[1.0, 2.0]]))
    array([[1.5, 2.5]], dtype=float32)
    >>> (bp.Input((2,)) + [0.5, 1.0]).layer
    AddConstant([0.5, 1.0])
    """

    def apply(self, x, c):
        return x + c, None

    def reverse(self, dy, cache):
        return dy


class SubtractFrom(WithConstant):
    """y = c - x, so dx = -dy.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SubtractFrom
    >>> SubtractFrom(1.0)(np.array([[0.25, 2.0]]))
    array([[ 0.75, -1.  ]], dtype=float32)
    """

    def apply(self, x, c):
        return c - x, None

    def reverse(self, dy, cache):
        return -dy


class MultiplyBy(WithConstant):
    """y = c x, number by number, so dx = c dy.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MultiplyBy
    >>> MultiplyBy(0.5)(np.array([[1.0, 2.0]]))
    array([[0.5, 1. ]], dtype=float32)
    """

    def apply(self, x, c):
        return c * x, c

    def reverse(self, dy, c):
        return c * dy


class DivideBy(WithConstant):
    """y = x / c, number by number, so dx = dy / c.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    Parameters
    ----------
    value : float or array_like
        c, without a 0.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If there is a 0 in c.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import DivideBy
    >>> DivideBy(4.0)(np.array([[1.0, 2.0]]))
    array([[0.25, 0.5 ]], dtype=float32)
    """

    value: NotZero

    def apply(self, x, c):
        return x / c, c

    def reverse(self, dy, c):
        return dy / c


class DivideInto(WithPoles):
    """y = c / x, number by number.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    The slope of c x⁻¹ is -c x⁻² = -y / x:

        dx = -dy y / x

    Where x is 0, y is infinite or NaN, as in NumPy.

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import DivideInto
    >>> DivideInto(1.0)(np.array([[0.5, 4.0]]))
    array([[2.  , 0.25]], dtype=float32)
    """

    def apply(self, x, c):
        y = c / x
        return y, (x, y)

    def reverse(self, dy, cache):
        x, y = cache
        return -dy * y / x


class RaiseTo(WithPoles):
    """y = xᶜ, number by number.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    dx = dy c xᶜ⁻¹, and 0 where c is 0, also at x = 0.

    Where x is negative and c is not whole, y is NaN, as in NumPy.

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RaiseTo
    >>> RaiseTo(2)(np.array([[3.0, -1.0]]))
    array([[9., 1.]], dtype=float32)
    """

    def apply(self, x, c):
        return x**c, (x, c)

    def reverse(self, dy, cache):
        x, c = cache
        return dy * c * x ** (c - (c != 0))  # an exponent of -1 would make 0 · ∞ of c = 0


class PowerOf(WithPoles):
    """y = cˣ, number by number, for a c above 0.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    As cˣ is exp(x ln c), dx = dy y ln c.

    Parameters
    ----------
    value : float or array_like
        c.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If there is a number in c that is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import PowerOf
    >>> PowerOf(2.0)(np.array([[3.0, -1.0]]))
    array([[8. , 0.5]], dtype=float32)
    """

    value: AboveZero

    def apply(self, x, c):
        y = c**x
        return y, (y, np.log(c, dtype=y.dtype))

    def reverse(self, dy, cache):
        y, log_c = cache
        return dy * y * log_c


class Remainder(WithConstant):
    """y = x - c floor(x / c), number by number: what is left of x, with the sign of c.

        x, y: (N, ...)    c: a number or an array, which NumPy broadcasts

    The floor is constant between the multiples of c, where y jumps, so dx = dy.

    Parameters
    ----------
    value : float or array_like
        c, without a 0.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Remainder
    >>> Remainder(2.0)(np.array([[3.5, -0.5]]))
    array([[1.5, 1.5]], dtype=float32)
    """

    value: NotZero

    def apply(self, x, c):
        return np.remainder(x, c), None

    def reverse(self, dy, cache):
        return dy


class MatmulConstant(Layer):
    """y = x C, or C x where it comes first, with a matrix C that is no parameter.

        x: (N, ..., K)    C: (K, J)    y: (N, ..., J)
        first:    C: (I, K)    x: (N, ..., K, J)    y: (N, ..., I, J)

    dx = dy Cᵀ, and dx = Cᵀ dy where C comes first.

    Parameters
    ----------
    value : array_like of shape (K, J)
        C.
    first : bool, default False
        Whether C stands before x.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If C is no matrix, or x does not meet it.

    Notes
    -----
    Where C comes first it mixes the axis before the last: if that is the time, a mask ends here.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.layers.MatmulConstant([[1.0], [2.0]])(np.array([[3.0, 4.0]]))
    array([[11.]], dtype=float32)
    >>> (bp.Input((5, 2)) @ np.ones((2, 3))).shape
    (None, 5, 3)
    """

    value: Constant
    first: bool = False

    makes_masks = False

    def __post_init__(self):
        if np.ndim(self.value) != 2:
            raise ValueError(
                f"MatmulConstant expects value to be a matrix, got shape {np.shape(self.value)}"
            )
        axis, length = (-2, 1) if self.first else (-1, 0)
        self.input_spec = InputSpec(
            min_ndim=3 if self.first else 2, axes={axis: np.shape(self.value)[length]}
        )

    def build(self, input_shape):
        self.time_local = not self.first or len(input_shape) > 3

    def compute_output_shape(self, input_shape):
        rows, columns = np.shape(self.value)
        if self.first:
            return (*input_shape[:-2], rows, input_shape[-1])
        return (*input_shape[:-1], columns)

    def compute_mask(self, x, mask=None):
        return mask if mask is None or self.obeys_mask(x, mask) else None

    def obeys_mask(self, x, mask):
        return mask.ndim < x.ndim - self.first

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        y = self.compute_output_shape(input_shape)
        return times(*y[1:], input_shape[-2 if self.first else -1])

    def forward(self, x, ctx=INFERENCE):
        c = np.asarray(self.value, x.dtype if x.dtype.kind == "f" else None)
        return (c @ x if self.first else x @ c), c

    def backward(self, dy, c):
        return c.T @ dy if self.first else dy @ c.T


class Absolute(Layer):
    """y = |x|, number by number.

        x, y: (N, ...)

    dx = dy sign(x), which is 0 at x = 0.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Absolute
    >>> Absolute()(np.array([[-3.0, 2.0]]))
    array([[3., 2.]], dtype=float32)
    """

    time_local = True

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return np.abs(x), x

    def backward(self, dy, x):
        return dy * np.sign(x)


class Identity(Linear):
    """y = x, so dx = dy: a layer that stands where nothing is to be done.

        x, y: (...)

    `y` is `x` itself, not a copy; a mask goes on. Lists and dicts of arrays come back as they are
    built, each array by itself.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Identity
    >>> Identity()(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.]], dtype=float32)
    """

    def __call__(self, inputs, *others, **named):
        found = leaves(inputs)
        if is_nest(inputs) and all(hasattr(leaf, "shape") for leaf in found):
            return packed(inputs, [super(Identity, self).__call__(leaf, **named) for leaf in found])
        return super().__call__(inputs, *others, **named)
