"""Initial values of parameters: w[i] ~ a distribution whose variance depends on the array's fans.

A signal keeps its scale through a deep network when each weight has variance `scale / n`, where `n`
counts the terms of the sum that the weight takes part in: `fan_in` on the way forward, `fan_out` on
the way back. The variance scaling family (Glorot, He, LeCun) are choices of `scale` and `n`.

Draws are made in float64 and then cast, so that a float32 and a float64 model of the same seed
start from the same numbers, up to rounding. For the same integer seed the numbers are those of
Keras' NumPy backend.

The snake-case names (`initializers.glorot_uniform`) are the classes themselves, as in Keras.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from backprop import checks, random
from backprop.absent import face
from backprop.arguments import Convert, argument
from backprop.checks import Number, NumberAboveZero, NumberFromZero, choice, where
from backprop.config import Configurable, Registry
from backprop.defaults import floatx

Array = np.ndarray

# standard deviation of a standard normal variable that is cut off at two of its standard deviations
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configurable):
    """w = f(shape): the base of all initializers.

    A subclass writes `__call__(self, shape, dtype=None, rng=None)`. One written for Keras, without
    `rng`, works too.

    Examples
    --------
    >>> import numpy as np
    >>> class Halves(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype)
    >>> Halves()((2,), dtype="float32", rng=np.random.default_rng(0))
    array([0.5, 0.5], dtype=float32)
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = accepting_rng(cls.__call__)

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        """Make an array.

        Parameters
        ----------
        shape : tuple of int
        dtype : str or dtype, default `config.floatx`
        rng : numpy.random.Generator, optional
            Where to draw from when the initializer has no seed of its own. Default: a generator of
            its own, which `backprop.utils.set_random_seed` makes reproducible.

        Returns
        -------
        ndarray
            Fresh, of the given shape and dtype.
        """
        raise TypeError(
            f"{type(self).__name__} has no __call__(self, shape, dtype=None, rng=None): write one"
        )

    def clone(self) -> Any:
        """Another one like it."""
        return type(self).from_config(self.get_config())


def accepting_rng(call: Callable) -> Callable:
    """`call`, or, where it has no `rng`, a function that takes one and leaves it unused."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a function of C code tells nothing
        parameters = ()
    if any(p.name == "rng" or p.kind is p.VAR_KEYWORD for p in parameters):
        return call

    @functools.wraps(call)
    def wrapper(*args, rng=None, **kwargs):
        return call(*args, **kwargs)

    return wrapper


def made(
    initializer: Any, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator, name: str
) -> Array:
    """What an initializer, or its name, makes for a parameter, if it is real and of its shape."""
    value = real(get(initializer)(shape, dtype=dtype, rng=rng), initializer, dtype)
    if value.shape != shape:
        raise ValueError(
            f"{initializer!r} made an array of shape {value.shape} for {name!r} {shape}"
        )
    return value


def real(value: Any, who: Any, dtype: Any) -> Array:
    """What an initializer made, in a dtype, unless half of it would be lost there."""
    value = np.asarray(value, order="C")  # 0-d stays 0-d
    if value.dtype.kind == "c":
        raise TypeError(
            f"the initializer {who!r} made complex numbers, and a parameter holds real ones: "
            "declare two parameters, the real part and the imaginary part"
        )
    return value.astype(float_or(dtype), copy=False)


def float_or(dtype) -> np.dtype:
    return np.dtype(floatx() if dtype is None else dtype)


# ---------------------------------------------------------------------------- constants


class Zeros(Initializer):
    """w = 0.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.zeros(shape, float_or(dtype))


class Ones(Initializer):
    """w = 1.

    Examples
    --------
    >>> Ones()((2,), dtype="float64")
    array([1., 1.])
    """

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.ones(shape, float_or(dtype))


def filling(value: Any, who: str, name: str) -> Any:
    """A number as it is, or an array of some."""
    return value if checks.is_real(value) else checks.array(value, who, name)


class Constant(Initializer):
    """w = value.

    Parameters
    ----------
    value : float or array_like, default 0.0
        An array must broadcast to the shape that is asked for.

    Examples
    --------
    >>> Constant(3)((2,))
    array([3., 3.], dtype=float32)
    """

    value: Annotated[Any, Convert(filling)] = 0.0

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.full(shape, self.value, float_or(dtype))


class Identity(Initializer):
    """w[i, j] = gain where i = j, else 0. For matrices only; they need not be square.

    Parameters
    ----------
    gain : float, default 1.0

    Raises
    ------
    ValueError
        When the shape does not have two axes.

    Examples
    --------
    >>> Identity(gain=2)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    gain: Number = 1.0

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if len(shape) != 2:
            raise ValueError(
                f"{self!r} makes matrices and was asked for shape {tuple(shape)}; "
                "use another initializer there"
            )
        w = np.eye(*shape, dtype=float_or(dtype))
        w *= self.gain
        return w


def entries(value: Any, who: str, name: str) -> Array:
    """An array of numbers in the dtype that it has."""
    try:
        found = np.asarray(value)
    except ValueError:
        found = None
    if found is None or found.dtype.kind not in "biuf":
        raise ValueError(f"{who} expects {name} to be an array of numbers, got {value!r}")
    return found


class Values(Initializer):
    """w = value, whose shape must be exactly the one asked for; what `get` makes of an array."""

    value: Annotated[Any, Convert(entries)]

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if tuple(shape) != self.value.shape:
            raise ValueError(
                f"an array of shape {self.value.shape} was given as initializer "
                f"and shape {tuple(shape)} is needed"
            )
        return real(self.value, self, dtype).copy()


class FromFunction(Initializer):
    """w = fn(shape, dtype), for a function of the user's; what `get` makes of it.

    Parameters
    ----------
    fn : callable
        ``fn(shape, dtype=None)``; where it also has an argument `rng`, it is given the generator.
    """

    fn: Annotated[Callable, where(callable, "{name} to be a function")]

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        w = real(accepting_rng(self.fn)(shape, dtype=dtype, rng=rng), self.fn, dtype)
        if w.shape != tuple(shape):
            raise ValueError(
                f"the initializer {self.fn!r} was asked for shape {tuple(shape)} "
                f"and returned {w.shape}"
            )
        return w.copy()


def known_window(value: Any, who: str, name: str) -> Any:
    """A window as scipy.signal knows it by name, an array, or None."""
    if isinstance(value, str):
        from scipy.signal import get_window  # here, because it takes longer to import than NumPy

        try:
            get_window(value, 1)
        except ValueError as error:
            raise ValueError(
                f"{who} expects {name} to be a name that scipy.signal.get_window knows, such as "
                f"'hann', an array or None, got {value!r}"
            ) from error
        return value
    return None if value is None else checks.array(value, who, name, finite=True)


Window = Annotated[Any, Convert(known_window)]


class STFT(Initializer):
    """w[t, 0, k] = cos(2π t k / n) win[t] / scale, or -sin: a short-time Fourier transform as the
    kernel of a convolution.

        w: (frame, 1, n/2 + 1)    win: (frame,)

    A convolution with the two of them gives the real and the imaginary part of Σ_t x[t] win[t]
    exp(-2πi t k / n) / scale for the frequencies from 0 to half the sampling rate.

    Parameters
    ----------
    side : {'real', 'imag'}, default 'real'
    window : str or array_like, optional
        A name that `scipy.signal.get_window` knows, or the window. Default: 'hann'. None is no
        window, and no scaling.
    scaling : {'density', 'spectrum', None}, default 'density'
        Divide by sqrt(Σ win²), by Σ |win|, or not at all.
    periodic : bool, default False
        Whether the window, by name, is one for a Fourier transform: with the sample behind its last
        it would begin again. A symmetric one otherwise.

    Raises
    ------
    ValueError
        For another side, scaling or window, and a shape without three axes.

    Examples
    --------
    >>> STFT("imag", window=None)((4, 1, 3)).round(3)[:, 0] + 0.0
    array([[ 0.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0.,  0.],
           [ 0.,  1.,  0.]], dtype=float32)
    """

    side: Annotated[str, choice("real", "imag")] = "real"
    window: Window = "hann"
    scaling: Annotated[Any, choice("density", "spectrum", None)] = "density"
    periodic: bool = False

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if len(shape) != 3:
            raise ValueError(
                f"{self!r} makes kernels (frame, 1, frequencies) and was asked for shape "
                f"{tuple(shape)}"
            )
        frame, _, count = shape
        turns = np.arange(frame)[:, None, None] * np.arange(count) / max(2 * (count - 1), 1)
        w = np.cos(2 * np.pi * turns) if self.side == "real" else -np.sin(2 * np.pi * turns)
        if self.window is not None:
            w *= self._scaled_window(frame)[:, None, None]
        return np.broadcast_to(w, shape).astype(float_or(dtype))

    def _scaled_window(self, frame: int) -> Array:
        win = self.window
        if isinstance(win, str):
            from scipy.signal import get_window

            win = get_window(win, frame, self.periodic)
        win = np.asarray(win, np.float64)
        if win.shape != (frame,):
            raise ValueError(f"{self!r} has a window of shape {win.shape} for frames of {frame}")
        if self.scaling == "density":
            return win / np.sqrt((win**2).sum())
        return win / np.abs(win).sum() if self.scaling == "spectrum" else win


# ---------------------------------------------------------------------------- draws


def seed_of(value: Any, who: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{who} expects {name} to be an integer or None, got {value!r}")
    if value < 0:
        raise ValueError(f"{who} expects a {name} that is not negative, got {value!r}")
    return value  # type: ignore[return-value] - one of NumPy stays what it is


Seed = Annotated[int | None, Convert(seed_of)]


class RandomInitializer(Initializer, kw_only=True, by_position=True):
    """w[i] ~ a distribution; the base of the initializers that draw.

    Parameters
    ----------
    seed : int, optional
        With it every call makes the same draw. Without it, draws come from the generator that is
        handed in.
    """

    seed: Seed = None

    def generator(self, rng: np.random.Generator | None) -> np.random.Generator:
        return random.generator(rng if self.seed is None else int(self.seed))

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return self.draw(tuple(shape), self.generator(rng)).astype(float_or(dtype), copy=False)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """A fresh float64 array of the given shape."""
        raise TypeError(
            f"{type(self).__name__} has no draw(self, shape, rng): write one that returns an array"
        )


class RandomNormal(RandomInitializer):
    """w[i] ~ N(mean, stddev²).

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> RandomNormal(stddev=0.1, seed=0)((3,)).round(4)
    array([ 0.0126, -0.0132,  0.064 ], dtype=float32)
    """

    mean: Number = 0.0
    stddev: NumberFromZero = 0.05

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class RandomUniform(RandomInitializer):
    """w[i] ~ U[minval, maxval).

    Parameters
    ----------
    minval, maxval : float, default -0.05 and 0.05
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> RandomUniform(0, 1, seed=0)((3,)).round(4)
    array([0.637 , 0.2698, 0.041 ], dtype=float32)
    """

    minval: Number = -0.05
    maxval: Number = 0.05

    def __post_init__(self):
        if self.minval > self.maxval:
            raise ValueError(
                f"{type(self).__name__} expects minval to be at most maxval, got {self.minval!r} "
                f"and {self.maxval!r}"
            )

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class TruncatedNormal(RandomInitializer):
    """w[i] ~ N(mean, stddev²), drawn again while it is more than two stddev from the mean.

    The numbers' own standard deviation is therefore 0.8796 stddev.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        Before the truncation.
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> bool(abs(TruncatedNormal(stddev=1.0, seed=0)((1000,))).max() < 2)
    True
    """

    mean: Number = 0.0
    stddev: NumberFromZero = 0.05

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        w = random.within_two(shape, rng)
        w *= self.stddev
        w += self.mean
        return w


class Orthogonal(RandomInitializer):
    """w = gain * Q, where QR = A and A[i, j] ~ N(0, 1).

        w: (..., n), of which all leading axes count as one: (m, n)

    Columns are orthonormal where m >= n, rows where m < n. Turning signs so that R's diagonal is
    positive makes Q uniform over the orthogonal matrices; QR alone does not.

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional
        With it every call makes the same draw.

    Raises
    ------
    ValueError
        When the shape has fewer than two axes.

    References
    ----------
    Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks, 2014. Mezzadri, How to generate random matrices from the classical
    compact groups, 2007, for the signs.

    Examples
    --------
    >>> w = Orthogonal(seed=0)((4, 2), dtype="float64")
    >>> abs((w.T @ w).round(6))
    array([[1., 0.],
           [0., 1.]])
    """

    gain: Number = 1.0

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"{self!r} needs at least two axes and was asked for shape {shape}")
        m, n = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(m, n), min(m, n))))
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return np.ascontiguousarray(q if m >= n else q.T).reshape(shape)


# ---------------------------------------------------------------------------- variance scaling


def compute_fans(
    shape: Sequence[int],
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
) -> tuple[int, int]:
    """How many inputs each output is summed from, and how many outputs each input goes to.

    Parameters
    ----------
    shape : tuple of int
        ``(in, out)`` of a matrix, ``(..., in, out)`` of a convolution, whose window multiplies
        both.
    input_axes, output_axes : sequence of int, optional
        Count along these axes instead; both or neither.

    Examples
    --------
    >>> compute_fans((784, 10)), compute_fans((3, 3, 16, 32)), compute_fans((5,))
    ((784, 10), (144, 288), (5, 5))
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        n = math.prod(shape)
        return n, n
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def distribution_of(value: Any, who: str, name: str) -> str:
    value = str(value).lower()
    known = ("truncated_normal", "untruncated_normal", "uniform")
    return checks.one_of({"normal": "truncated_normal"}.get(value, value), known, who, name)


class VarianceScaling(RandomInitializer):
    """w[i] ~ a distribution of mean 0 and variance scale / n, with n from the array's fans.

        truncated_normal      stddev = sqrt(scale / n) after, so that / 0.8796 before the truncation
        at two stddev untruncated_normal    stddev = sqrt(scale / n)
        uniform               over ±sqrt(3 scale / n), since a uniform number over ±a has variance
        a²/3

    Parameters
    ----------
    scale : float, default 1.0
        Positive.
    mode : {'fan_in', 'fan_out', 'fan_avg'}, default 'fan_in'
        What n is; 'fan_avg' is the mean of the two.
    distribution : {'truncated_normal', 'untruncated_normal', 'uniform'}, default 'truncated_normal'
        'normal' is short for the first.
    seed : int, optional
        With it every call makes the same draw.
    input_axes, output_axes : sequence of int, optional
        Axes along which to count the fans, see `compute_fans`; both or neither.

    Examples
    --------
    >>> w = VarianceScaling(2.0, distribution="uniform", seed=0)((600, 200))
    >>> f"{w.var():.4f} {2 / 600:.4f}"
    '0.0033 0.0033'
    """

    scale: NumberAboveZero = 1.0
    mode: Annotated[str, choice("fan_in", "fan_out", "fan_avg")] = "fan_in"
    distribution: Annotated[str, Convert(distribution_of)] = "truncated_normal"
    seed: Seed = argument(default=None)
    input_axes: Any = None
    output_axes: Any = None

    def __post_init__(self):
        if (self.input_axes is None) != (self.output_axes is None):
            raise ValueError(
                f"{type(self).__name__} expects input_axes and output_axes together or not at all"
            )

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        w = random.within_two(shape, rng)
        w *= math.sqrt(variance) / TRUNCATED_STDDEV
        return w


class OfFans(VarianceScaling):
    """A choice of the scale, the fan and the distribution that has a name."""

    decides = ("scale", "mode", "distribution")


class GlorotUniform(OfFans):
    """w[i] ~ U(±sqrt(6 / (fan_in + fan_out))).

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, equation 16.

    Examples
    --------
    >>> bool(abs(GlorotUniform(seed=0)((20, 4))).max() < (6 / 24) ** 0.5)
    True
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(OfFans):
    """w[i] ~ truncated normal of variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    As `GlorotUniform`, equation 12.

    Examples
    --------
    >>> f"{GlorotNormal(seed=0)((100, 300)).std():.2f} {(2 / 400) ** 0.5:.2f}"
    '0.07 0.07'
    """

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(OfFans):
    """w[i] ~ U(±sqrt(6 / fan_in)).

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015, equation 10.

    Examples
    --------
    >>> bool(abs(HeUniform(seed=0)((24, 4))).max() < 0.5)
    True
    """

    scale, mode, distribution = 2.0, "fan_in", "uniform"


class HeNormal(OfFans):
    """w[i] ~ truncated normal of variance 2 / fan_in, which keeps a ReLU network's second moments.

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    As `HeUniform`.

    Examples
    --------
    >>> f"{HeNormal(seed=0)((200, 300)).std():.2f} {(2 / 200) ** 0.5:.2f}"
    '0.10 0.10'
    """

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


class LecunUniform(OfFans):
    """w[i] ~ U(±sqrt(3 / fan_in)).

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.6.

    Examples
    --------
    >>> bool(abs(LecunUniform(seed=0)((12, 4))).max() < 0.5)
    True
    """

    scale, mode, distribution = 1.0, "fan_in", "uniform"


class LecunNormal(OfFans):
    """w[i] ~ truncated normal of variance 1 / fan_in; what SELU networks need.

    Parameters
    ----------
    seed, input_axes, output_axes : as in `VarianceScaling`

    References
    ----------
    As `LecunUniform`. Klambauer et al., Self-normalizing neural networks, 2017.

    Examples
    --------
    >>> f"{LecunNormal(seed=0)((100, 300)).std():.2f} {(1 / 100) ** 0.5:.2f}"
    '0.10 0.10'
    """

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


# ---------------------------------------------------------------------------- names

zeros, ones, constant, identity, stft = Zeros, Ones, Constant, Identity, STFT
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

registry = Registry(
    "initializers",
    [
        Zeros,
        Ones,
        Constant,
        Identity,
        STFT,
        RandomNormal,
        RandomUniform,
        TruncatedNormal,
        Orthogonal,
        VarianceScaling,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
        LecunUniform,
        LecunNormal,
    ],
    {
        "zero": Zeros,
        "one": Ones,
        "normal": RandomNormal,
        "uniform": RandomUniform,
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
        "STFTInitializer": STFT,
    },
    base=Initializer,
    inputs=(1, 2),
)


def get(identifier: Any) -> Any:
    """The initializer for a name, config, class, object, function or array; None stays None.

    Parameters
    ----------
    identifier : str, mapping, type, Initializer, callable or ndarray
        A function is called as ``fn(shape, dtype=dtype)``, and with ``rng=`` where it has such an
        argument. An array is the initial value itself. An unknown name is a ValueError, anything
        else a TypeError.

    Examples
    --------
    >>> get("he_normal")
    HeNormal()
    """
    if isinstance(identifier, np.ndarray):
        return Values(identifier)
    found = registry.get(identifier)
    if found is None or isinstance(found, Initializer):
        return found
    if callable(found):
        return FromFunction(found)
    raise TypeError(
        "an initializer is a name, an Initializer, fn(shape, dtype=None) or an array; "
        f"got {identifier!r}"
    )


def given_or_glorot(value: Any, who: str, name: str) -> Any:
    """An initializer; None is what Keras draws for it, be it a kernel or a bias."""
    return get("glorot_uniform" if value is None else value)


InitializerLike = Annotated[Any, Convert(given_or_glorot)]


serialize, deserialize = registry.functions("initializer")


__getattr__ = face(__name__)
