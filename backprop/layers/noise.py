"""Layers that disturb what passes through them in training, and do nothing otherwise."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Fraction, fraction, integer, sequence
from backprop.counts import no_products
from backprop.defaults import FloatDtype
from backprop.initializers.draws import Seed
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.windows import DataFormat
from backprop.regularizers import L1L2


class Multiplied(Layer, kw_only=True):
    """y = x * k in training, for a random k that its subclasses draw: then dx = dy * k."""

    rate: Fraction

    time_local = True
    changeable = ("rate",)

    def draw(self, x):
        """k, of a shape that broadcasts to that of x."""
        raise TypeError(f"{type(self).__name__} has no draw(self, x): write one that returns k")

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or self.rate == 0:
            return x, None
        k = self.draw(x)
        return x * k, k

    def backward(self, dy, k):
        return dy if k is None else dy * k

    def dropped(self, shape, dtype):
        """0 with probability `rate`, else 1 / (1 - rate)."""
        kept = self.rng.random(shape, np.float32) >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 0.0
        return np.multiply(kept, scale, dtype=dtype)


class Dropout(Multiplied):
    """y = x * k, where k = 1 / (1 - rate) with probability 1 - rate, else 0: so the mean of y is x.

        x, y: (N, ...)    k: (N, ...), or noise_shape

    In training each entry draws its own k, which is a constant to the derivative:

        dx = dy * k

    In inference y = x.

    Parameters
    ----------
    rate : float
        Probability that an entry is dropped, from 0 to 1.
    noise_shape : tuple of int or None, optional
        Shape of k, where entries are to be dropped together: 1 along an axis that shares one draw,
        None for the input's length.
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to 1, or `noise_shape` does not fit the input.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: a simple way to prevent
    neural networks from overfitting, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dropout
    >>> drop = Dropout(0.5, seed=0)
    >>> drop(np.ones((1, 4)), training=True)
    array([[2., 2., 2., 0.]], dtype=float32)
    >>> drop(np.ones((1, 4)))
    array([[1., 1., 1., 1.]], dtype=float32)
    """

    rate: Fraction = argument()
    noise_shape: NoiseShape = None
    seed: Seed = None

    def check_input(self, shape):
        super().check_input(shape)
        check_noise_shape(self, self.noise_shape, shape)

    def draw(self, x):
        return self.dropped(noise_shape_for(x.shape, self.noise_shape), x.dtype)


class SpatialDropout1D(Multiplied):
    """y = x * k, where k drops a channel at all steps of a sequence, or keeps it at all.

        x, y: (N, T, C)    k: (N, 1, C), 1 / (1 - rate) with probability 1 - rate, else 0

    Neighbouring steps are alike, so dropping single ones takes little away. In training, with the k
    of the forward pass,

        dx = dy * k

    In inference y = x.

    Parameters
    ----------
    rate : float
        Probability that a channel is dropped, from 0 to 1.
    seed, name, dtype, **kwargs : as in `Dropout`; `name` and `dtype` may be given by position

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to 1, or the input has not two axes besides the batch.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler: Efficient object localization using convolutional
    networks, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SpatialDropout1D
    >>> SpatialDropout1D(0.5, seed=0)(np.ones((1, 2, 4)), training=True)
    array([[[2., 2., 2., 0.],
            [2., 2., 2., 0.]]], dtype=float32)
    """

    rate: Fraction = argument()
    seed: Seed = None
    name: Any = argument(default=None)
    dtype: FloatDtype = argument(default=None)

    input_spec = InputSpec(ndim=3)

    def draw(self, x):
        return self.dropped((len(x), 1, x.shape[2]), x.dtype)


class SpatialDropout(Multiplied):
    """What `SpatialDropout2D` and `SpatialDropout3D` have in common; `axes` counts those of an
    image."""

    rate: Fraction = argument()
    data_format: DataFormat = None
    seed: Seed = None
    name: Any = argument(default=None)
    dtype: FloatDtype = argument(default=None)

    input_spec = InputSpec(ndim=4)

    axes = 2

    def draw(self, x):
        ones = (1,) * self.axes
        first = self.data_format == "channels_first"
        shape = (len(x), x.shape[1], *ones) if first else (len(x), *ones, x.shape[-1])
        return self.dropped(shape, x.dtype)


class SpatialDropout2D(SpatialDropout):
    """y = x * k, where k drops a channel of an image as a whole, or keeps it as a whole.

        x, y: (N, H, W, C)    k: (N, 1, 1, C), 1 / (1 - rate) with probability 1 - rate, else 0

    In training dx = dy * k, with the k of the forward pass; in inference y = x.

    Parameters
    ----------
    rate, seed, name, dtype, **kwargs : as in `SpatialDropout1D`
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to 1, or the input has not three axes besides the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SpatialDropout2D
    >>> SpatialDropout2D(0.5, seed=0)(np.ones((1, 1, 2, 4)), training=True)
    array([[[[2., 2., 2., 0.],
             [2., 2., 2., 0.]]]], dtype=float32)
    """


class SpatialDropout3D(SpatialDropout):
    """y = x * k, where k drops a channel of a volume as a whole, or keeps it as a whole.

        x, y: (N, D, H, W, C)    k: (N, 1, 1, 1, C), 1 / (1 - rate) or 0 as in `Dropout`

    In training dx = dy * k, with the k of the forward pass; in inference y = x.

    Parameters
    ----------
    rate, data_format, seed, name, dtype, **kwargs : as in `SpatialDropout2D`

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to 1, or the input has not four axes besides the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SpatialDropout3D
    >>> SpatialDropout3D(0.5, seed=0)(np.ones((1, 1, 1, 1, 4)), training=True)
    array([[[[[2., 2., 2., 0.]]]]], dtype=float32)
    """

    axes = 3
    input_spec = InputSpec(ndim=5)


class GaussianDropout(Multiplied):
    """y = x * k, where k is normal with mean 1 and variance rate / (1 - rate): that of `Dropout`.

        x, y, k: (N, ...)

    In training dx = dy * k, with the k of the forward pass; in inference y = x.

    Parameters
    ----------
    rate : float
        From 0 to below 1, where the variance would be infinite.
    seed, **kwargs : as in `Dropout`

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to below 1.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: a simple way to prevent
    neural networks from overfitting, 2014, section 10.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GaussianDropout
    >>> y = GaussianDropout(0.5, seed=0)(np.ones((100, 100)), training=True)
    >>> bool(abs(y.mean() - 1) < 0.03), bool(abs(y.std() - 1) < 0.03)
    (True, True)
    """

    rate: BelowOne = argument()
    seed: Seed = None

    def draw(self, x):
        k = self.rng.standard_normal(x.shape, np.float32).astype(x.dtype, copy=False)
        k *= math.sqrt(self.rate / (1 - self.rate))
        k += 1
        return k


class GaussianNoise(Layer):
    """y = x + stddev * e, where each entry draws its own e, normal with mean 0 and variance 1.

        x, y: (...)

    In training, and in inference y = x. The noise does not depend on x, so in both

        dx = dy

    Parameters
    ----------
    stddev : float
        Standard deviation of the noise, from 0 to 1.
    seed, **kwargs : as in `Dropout`

    Raises
    ------
    ValueError
        Where `stddev` is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GaussianNoise
    >>> y = GaussianNoise(0.1, seed=0)(np.ones((100, 100)), training=True)
    >>> bool(abs(y.mean() - 1) < 0.003), bool(abs(y.std() - 0.1) < 0.003)
    (True, True)
    """

    stddev: Fraction
    seed: Seed = None

    changeable = ("stddev",)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or self.stddev == 0:
            return x, None
        y = self.rng.standard_normal(x.shape, np.float32).astype(x.dtype, copy=False)
        y *= self.stddev
        y += x
        return y, None

    def backward(self, dy, cache):
        return dy


class AlphaDropout(Layer):
    """y = a (x k + s (1 - k)) + b, where k is 1 with probability 1 - rate, else 0.

        x, y: (N, ...)    k: (N, ...), or noise_shape

    What is dropped becomes s = -1.758, where `SELU` ends to the left. a and b give x of mean 0 and
    variance 1 back its mean and variance (the derivation page has the steps):

        a = ((1 - rate) (1 + rate s²))^(-1/2)        b = -a s rate

    In training, with k a constant to the derivative,

        dx = a dy * k

    In inference y = x.

    Parameters
    ----------
    rate : float
        Probability that an entry is dropped, from 0 to below 1.
    noise_shape, seed, **kwargs : as in `Dropout`

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to below 1, or `noise_shape` does not fit the input.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AlphaDropout
    >>> x = np.random.default_rng(0).normal(size=(100, 100))
    >>> y = AlphaDropout(0.5, seed=0)(x, training=True)
    >>> bool(abs(y.mean()) < 0.03), bool(abs(y.std() - 1) < 0.03)
    (True, True)
    """

    rate: BelowOne
    noise_shape: NoiseShape = None
    seed: Seed = None

    changeable = ("rate",)

    def check_input(self, shape):
        super().check_input(shape)
        check_noise_shape(self, self.noise_shape, shape)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or self.rate == 0:
            return x, None
        a = ((1 - self.rate) * (1 + self.rate * SATURATED**2)) ** -0.5
        b = -a * SATURATED * self.rate
        shape = noise_shape_for(x.shape, self.noise_shape)
        k = (self.rng.random(shape, np.float32) >= self.rate).astype(x.dtype)
        k *= a  # of what is kept; where it is 0, y = a s + b
        y = x * k
        y += np.where(k == 0, x.dtype.type(a * SATURATED + b), x.dtype.type(b))
        return y, k

    def backward(self, dy, k):
        return dy if k is None else dy * k


class ActivityRegularization(Layer):
    """y = x, and the loss grows by (l1 Σ |x| + l2 Σ x²) / batch size.

        x, y: (N, ...)

        dx = dy + (l1 sign(x) + 2 l2 x) / batch size

    The penalty is the layer's `activity_regularizer`, which containers apply.

    Parameters
    ----------
    l1, l2 : float, default 0
        Finite and not negative, else a ValueError.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> from backprop.layers import ActivityRegularization
    >>> ActivityRegularization(l2=0.5).activity_regularizer
    L1L2(l2=0.5)
    """

    decides = ("activity_regularizer",)

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs):
        super().__init__(activity_regularizer=L1L2(l1=l1, l2=l2), **kwargs)

    @property
    def l1(self) -> float:
        return self.activity_regularizer.l1

    @l1.setter
    def l1(self, l1: float) -> None:
        self.activity_regularizer.l1 = l1

    @property
    def l2(self) -> float:
        return self.activity_regularizer.l2

    @l2.setter
    def l2(self, l2: float) -> None:
        self.activity_regularizer.l2 = l2

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


SATURATED = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946  # of SELU


def below_one(value, who: str, name: str) -> float:
    value = fraction(value, who, name)
    if value == 1:
        raise ValueError(f"{who} expects {name} to be below 1, where nothing would be left, got 1")
    return value


def noise_shape_of(value, who: str, name: str):
    sizes = sequence(value, who, name, "a tuple with an entry for each axis")
    return tuple(None if n is None else integer(n, who, name) for n in sizes)


BelowOne = Annotated[float, Convert(below_one)]
NoiseShape = Annotated[Any, Convert(noise_shape_of)]


def check_noise_shape(layer: Layer, noise_shape, shape) -> None:
    noise = shape if noise_shape is None else noise_shape
    if len(noise) != len(shape) or any(
        None not in (k, n) and k not in (1, n) for k, n in zip(noise, shape, strict=True)
    ):
        raise ValueError(
            f"{layer!r} expects noise_shape to be, along each axis, 1, None or the input's "
            f"length, and got an input of {show_shape(shape[1:])}"
        )


def noise_shape_for(shape, noise_shape):
    """The shape of what is drawn for an input."""
    if noise_shape is None:
        return shape
    return tuple(n if k is None else k for k, n in zip(noise_shape, shape, strict=True))
