"""Activations that couple the values along an axis: softmax, its logarithm, its sparse relative."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.kernels import activations as kernels
from backprop.layer import INFERENCE, Array, Context, Layer
from backprop.layers.activations.elementwise import passed_back, written_over
from backprop.linalg import log_softmax, softmax, softmax_backward
from backprop.masks import beside, fits, flags, mixes
from backprop.promises import short_for


def one_or_several(axis: Any, who: str, name: str) -> Any:
    """An axis, or several as a tuple; a list of one is that one."""
    several = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if not several or not all(isinstance(a, int | np.integer) for a in several):
        raise ValueError(
            f"{who} expects {name} to be an axis beside the batch, or several, got {axis!r}"
        )
    return several[0] if len(several) == 1 else several


class AlongAxis(Layer):
    """y along `axis` depends on all of x along that axis; the base of the softmax family."""

    axis: Annotated[Any, Convert(one_or_several)] = -1

    def __post_init__(self):
        self.time_local = self.axis == -1

    def check_input(self, shape):
        super().check_input(shape)
        n = len(shape)
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        if n and len({axis % n for axis in axes}) < len(axes):
            raise ValueError(f"{self!r} names an axis of inputs of {show_shape(shape[1:])} twice")
        for axis in axes:
            if not -n <= axis < n:
                raise ValueError(
                    f"{self!r} has no axis {axis} in inputs of {show_shape(shape[1:])}"
                )

    def obeys_mask(self, x, mask):
        return not mixes(self.axis, x.ndim, mask)

    def total(self, d: Array) -> Array:
        """Σ over the axis, which stays with length one."""
        return d.sum(self.axis, keepdims=True)


class Softmax(AlongAxis):
    """y = exp(x) / Σ exp(x), the sum along `axis`.

        x, y: (...)

    Every x raises its own y and lowers all y by way of the sum: dy_i/dx_j = y_i ([i = j] - y_j), so

        dx = y (dy - Σ y dy)

    The largest x is subtracted first, which changes nothing but that no exponent is positive.

    A mask of steps, (batch, time), counts where `axis` contains the time axis 1: a masked step gets
    the probability 0, and where all are masked all get 0. Along other axes a masked step is a
    softmax of its own and concerns no real step. A mask of single entries, of the shape of x or
    broadcast to it as in Keras, counts along every axis.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        Several axes are taken together, as one long axis.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where x has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Softmax
    >>> Softmax()(np.array([1.0, 2.0, 1.0])).round(4)
    array([0.2119, 0.5761, 0.2119], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx: Context = INFERENCE):
        mask = self.entries(x, ctx)
        if mask is None and self.axis == -1:
            return written_over(kernels.softmax, x.copy(), None)
        y = softmax(x, self.axis) if mask is None else masked_softmax(x, mask, self.axis)
        return y, y

    @short_for("forward", "backward")
    def finish(self, z, ctx=INFERENCE, bias=None):
        if self.axis != -1 or ctx.mask is not None:
            return Layer.finish(self, z, ctx, bias)
        return written_over(kernels.softmax, z, bias)

    def backward(self, dy, cache):
        y = cache
        if self.axis == -1:
            return passed_back(kernels.softmax_backward, y, dy, None)
        return softmax_backward(dy, y, self.axis)

    @short_for("forward", "backward", "finish")
    def backward_finish(self, dy, cache, dbias=None):
        if self.axis != -1:
            return Layer.backward_finish(self, dy, cache, dbias)
        return passed_back(kernels.softmax_backward, cache, dy, dbias)

    @property
    @short_for("forward", "backward", "backward_params")
    def ends_in_softmax(self):
        return self.axis == -1

    def backward_logits(self, dz, cache, *, dx=True):
        return dz

    def obeys_mask(self, x, mask):
        return True

    def fit_mask(self, mask, shape):
        """As in Keras a mask may broadcast to x; one of steps has all of x's first axes."""
        given = flags(mask, repr(self))
        steps = given.ndim > 1 and given.shape == tuple(shape[: given.ndim])
        if steps or not fits(given.shape, shape[len(shape) - given.ndim :]):
            return super().fit_mask(given, shape)
        return np.broadcast_to(given, shape)

    def entries(self, x: Array, ctx: Context) -> Array | None:
        """The mask beside x, where the softmax runs along one of its axes."""
        mask = ctx.mask
        if mask is None or not mixes(self.axis, x.ndim, mask):
            return None
        if not fits(mask.shape, x.shape[: mask.ndim]):
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, or of shape "
                f"{x.shape}, got {mask.shape}"
            )
        return beside(mask, x.ndim)


class LogSoftmax(AlongAxis):
    """y = x - log Σ exp(x), the sum along `axis`.

        x, y: (...)

    The derivative of the second term is the softmax, which is exp(y):

        dx = dy - exp(y) Σ dy

    Parameters
    ----------
    axis : as in `Softmax`, and so are the errors
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LogSoftmax
    >>> LogSoftmax()(np.array([0.0, 0.0, 1e4])).round(4)
    array([-10000., -10000.,      0.], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        y = log_softmax(x, self.axis)
        return y, y

    def backward(self, dy, cache):
        y = cache
        return dy - np.exp(y) * self.total(dy)


class Sparsemax(AlongAxis):
    """y = max(x - τ, 0), with the τ for which y sums to 1 along `axis`.

        x, y: (...)

    It is the point of the simplex that is nearest to x.

    The support, where y > 0, are the k largest x. With x sorted from above, k is the largest number
    for which

        1 + k x[k] > x[1] + … + x[k]

    On the support Σ (x - τ) = 1, so that τ = (Σ_support x - 1) / k, of which every x there moves
    1 / k; off the support nothing moves anything:

        dx = [y > 0] (dy - Σ_support dy / k)

    Parameters
    ----------
    axis : int, default -1
        One alone; the errors are those of `Softmax`.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Martins, Astudillo: From softmax to sparsemax, 2016, algorithm 1 and equation 8. (In
    Keras up to 3.15 the values of two and more do not sum to 1: keras-team/keras issue 23425.)

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Sparsemax
    >>> Sparsemax()(np.array([1.0, 0.5, -1.0]))
    array([0.75, 0.25, 0.  ], dtype=float32)
    """

    def __post_init__(self):
        if isinstance(self.axis, tuple):
            raise ValueError(f"{self!r} runs along one axis, got {self.axis}")

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        z = np.moveaxis(x, self.axis, -1)
        z = z - z.max(-1, keepdims=True)  # τ moves along, and the sums below lose no digits
        falling = -np.sort(-z, -1)
        above = falling.cumsum(-1) - 1
        ranks = np.arange(1, z.shape[-1] + 1, dtype=z.dtype)
        k = (ranks * falling > above).sum(-1, keepdims=True)
        tau = np.take_along_axis(above, k - 1, -1) / k.astype(z.dtype)
        z -= tau
        y = np.ascontiguousarray(np.moveaxis(z.clip(0, np.inf), -1, self.axis))
        return y, y

    def backward(self, dy, cache):
        y = cache
        support = y > 0
        dx = dy * support
        dx -= support * (self.total(dx) / self.total(support).astype(dx.dtype))
        return dx


def masked_softmax(x: Array, mask: Array, axis) -> Array:
    """The softmax over what the mask leaves; 0 elsewhere, and where it leaves nothing."""
    z = np.where(mask, x, -np.inf)
    top = z.max(axis, keepdims=True)
    top[top == -np.inf] = 0
    p = np.exp(z - top)
    total = p.sum(axis, keepdims=True)
    total[total == 0] = 1
    p /= total
    return p
