"""Variance scaling: w[i] ~ a distribution of variance scale / n, where n counts fans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from backprop import checks, random
from backprop.arguments import Convert, argument
from backprop.checks import NumberAboveZero, choice
from backprop.initializers.draws import TRUNCATED_STDDEV, RandomInitializer, Seed

Array = np.ndarray


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
    shape = checks.sizes(shape, "compute_fans()", "shape")
    if input_axes is not None and output_axes is not None:
        for name, given in (("input_axes", input_axes), ("output_axes", output_axes)):
            for axis in checks.sequence(given, "compute_fans()", name):
                checks.axis_of(axis, len(shape), "compute_fans()", f"each of {name}")
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
