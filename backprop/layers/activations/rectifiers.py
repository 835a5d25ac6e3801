"""Activations made of straight pieces: y = x for x > 0, and something smaller on the left."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import NumberFromZero, index, sequence
from backprop.constraints import ConstraintLike
from backprop.counts import no_products
from backprop.initializers import InitializerLike
from backprop.kernels import activations as kernels
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    above,
    negative,
    passed_back,
    step,
    written_over,
)
from backprop.linalg import positive, unbroadcast
from backprop.old_arguments import Renamed
from backprop.promises import short_for
from backprop.regularizers import RegularizerLike


class Linear(Layer):
    """y = x, so dx = dy.

        x, y: (...)

    `y` is `x` itself, not a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Linear
    >>> Linear()(np.array([-1.0, 2.0]))
    array([-1.,  2.], dtype=float32)
    """

    time_local = True

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x, None

    @short_for("forward", "backward")
    def finish(self, z, ctx=INFERENCE, bias=None):
        return z if bias is None else np.add(z, bias, out=z), None

    def backward(self, dy, cache):
        return dy


class ReLU(FromOutput):
    """y = max(x, 0); with all options, with t = threshold and s = negative_slope:

        y = min(x, max_value)    for x > t
        y = s (x - t)            for x ≤ t

        x, y: (...)

    The slope is 1 on the first branch below max_value, 0 above it, and s on the second:

        dx = dy [t < x < max_value] + s dy [x < t]

    At the kinks x = t and x = max_value the slope is 0; it is 1 at x = 0 where s > 0 is the only
    option that is set, as in `LeakyReLU`. For t > 0 the function jumps at t.

    Parameters
    ----------
    max_value : float, optional
        Where y saturates, at least 0. Default: nowhere.
    negative_slope : float, default 0.0
        s, at least 0.
    threshold : float, default 0.0
        t, at least 0.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an option is negative or not a number.

    References
    ----------
    Nair, Hinton: Rectified linear units improve restricted Boltzmann machines, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ReLU
    >>> ReLU(max_value=8, negative_slope=0.5)(np.array([-10.0, -5.0, 0.0, 5.0, 10.0]))
    array([-5. , -2.5,  0. ,  5. ,  8. ], dtype=float32)
    """

    max_value: NumberFromZero | None = None
    negative_slope: NumberFromZero = 0.0
    threshold: NumberFromZero = 0.0

    changeable = ("max_value", "negative_slope", "threshold")

    def __post_init__(self):
        self._leaky = self.negative_slope > 0 and self.threshold == 0 and self.max_value is None
        # elsewhere [t < x < max_value] is to be seen in y
        self._needs_x = self.negative_slope > 0 or self.threshold > 0
        plain = not self._needs_x and self.max_value is None
        self.finishes_parts = plain and type(self).finish is ReLU.finish

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if self.finishes_parts:  # what nearly every network uses, with no call to spare
            y = positive(x)
            return y, y
        y = self.value(x)
        return y, x if self._needs_x else y

    @short_for("forward", "backward", "value", "slope")
    def finish(self, z, ctx=INFERENCE, bias=None):
        if self.finishes_parts:
            return written_over(kernels.relu, z, bias)
        return Layer.finish(self, z, ctx, bias)

    def backward(self, dy, cache):
        if self.finishes_parts:
            return passed_back(kernels.relu_backward, cache, dy, None)
        return dy * self.slope(cache)

    @short_for("forward", "backward", "finish", "value", "slope")
    def backward_finish(self, dy, cache, dbias=None):
        if self.finishes_parts:
            return passed_back(kernels.relu_backward, cache, dy, dbias)
        return Layer.backward_finish(self, dy, cache, dbias)

    def value(self, x):
        if self._leaky:
            return leaky(x, self.negative_slope)
        y = above(x, self.threshold) if self.threshold else positive(x)
        if self.max_value is not None:
            y = y.clip(0, self.max_value)
        if self.negative_slope:
            y += self.negative_slope * negative(x - self.threshold)
        return y

    def slope(self, kept):
        if self._leaky:
            return step(kept >= 0, 1.0, self.negative_slope, kept.dtype)
        rising = kept > self.threshold
        if self.max_value is not None:
            rising &= kept < self.max_value
        if not self.negative_slope:
            return rising
        return rising + step(kept < self.threshold, self.negative_slope, 0.0, kept.dtype)


class LeakyReLU(FromInput):
    """y = x for x ≥ 0, s x for x < 0, where s is negative_slope.

        x, y: (...)

        dx = dy [x ≥ 0] + s dy [x < 0]

    Parameters
    ----------
    negative_slope : float, default 0.3
        s, at least 0, else a ValueError. (The function `activations.leaky_relu` has the default
        0.2, as in Keras.)
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Maas, Hannun, Ng: Rectifier nonlinearities improve neural network acoustic models, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LeakyReLU
    >>> LeakyReLU(0.5)(np.array([-10.0, 0.0, 5.0]))
    array([-5.,  0.,  5.], dtype=float32)
    """

    negative_slope: NumberFromZero = 0.3

    changeable = ("negative_slope",)
    legacy = (Renamed("alpha", "negative_slope"),)

    def value(self, x):
        return leaky(x, self.negative_slope)

    def slope(self, x):
        return step(x >= 0, 1.0, self.negative_slope, x.dtype)


def axes(value: Any, who: str, name: str) -> list[int]:
    """One axis or several, as a list."""
    one = value is not None and not isinstance(value, list | tuple | np.ndarray)
    found = [value] if one else sequence(() if value is None else value, who, name)
    return [index(a, who, name) for a in found]


class PReLU(Layer):
    """y = x for x > 0, alpha x for x ≤ 0, where alpha is learned.

        x, y: (N, ...)    alpha: (...), with 1 along each shared axis

    As y = max(x, 0) + alpha min(x, 0), alpha reaches every sample and every place along a shared
    axis:

        dalpha = Σ_{batch, shared axes} dy min(x, 0)
        dx = dy [x > 0] + alpha dy [x ≤ 0]

    At x = 0 the slope is alpha, so that alpha = 1 is the identity. (In Keras it is 0 there, as that
    of the two rectifiers whose sum it is.)

    Parameters
    ----------
    alpha_initializer : str or Initializer, default "Zeros"
    alpha_regularizer : str or Regularizer, optional
    alpha_constraint : str or Constraint, optional
    shared_axes : int or list of int, optional
        Axes of x, counted with the batch axis 0, along which alpha is one number: ``[1, 2]`` gives
        an image one alpha per channel.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where x has no such axis, or a size along an axis that is not shared is unknown.

    References
    ----------
    He, Zhang, Ren, Sun: Delving deep into rectifiers, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import PReLU
    >>> PReLU("ones")(np.array([[-3.0, 2.0]]))
    array([[-3.,  2.]], dtype=float32)
    """

    alpha_initializer: InitializerLike = "Zeros"
    alpha_regularizer: RegularizerLike = None
    alpha_constraint: ConstraintLike = None
    shared_axes: Annotated[Any, Convert(axes, none=True)] = None

    def build(self, input_shape):
        n = len(input_shape)
        wrong = [axis for axis in self.shared_axes if not (1 <= axis < n or 1 - n <= axis < 0)]
        if wrong:
            raise ValueError(
                f"{self!r} cannot share axis {wrong[0]} of inputs with {n} axes: choose from 1 to "
                f"{n - 1}"
            )
        shared = {axis % n for axis in self.shared_axes}
        self.alpha, self.dalpha = self.declared_param(
            "alpha", [1 if axis in shared else input_shape[axis] for axis in range(1, n)]
        )
        self.input_spec = InputSpec(
            ndim=n, axes={i: input_shape[i] for i in range(1, n) if i not in shared}
        )

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        y = self.alpha * negative(x)
        y += positive(x)
        return y, x

    def backward_params(self, dy, cache):
        x = cache
        self.dalpha = unbroadcast(dy * negative(x), self.alpha.shape)

    def backward(self, dy, cache):
        x = cache
        self.backward_params(dy, x)
        slope = self.alpha * (x <= 0)
        slope += x > 0
        return dy * slope


class ReLU6(FromOutput):
    """y = min(max(x, 0), 6).

        x, y: (...)

        dx = dy [0 < x < 6]

    At both kinks the slope is 0.

    References
    ----------
    Krizhevsky: Convolutional deep belief networks on CIFAR-10, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ReLU6
    >>> ReLU6()(np.array([-1.0, 3.0, 9.0]))
    array([0., 3., 6.], dtype=float32)
    """

    def value(self, x):
        return x.clip(0, 6)

    def slope(self, y):
        return (y > 0) & (y < 6)


def leaky(x, s: float):
    """x for x ≥ 0, s x for x < 0: the larger of the two where s ≤ 1, the smaller where s > 1."""
    if not x.dtype.type(s):  # 0 times infinity is no number
        return positive(x)
    return (np.maximum if s <= 1 else np.minimum)(x, s * x)
