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

from typing import Annotated, Any

import numpy as np

from backprop.absent import face
from backprop.arguments import Convert
from backprop.config import Registry
from backprop.initializers.constants import Constant, FromFunction, Identity, Ones, Values, Zeros
from backprop.initializers.draws import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from backprop.initializers.initializer import Initializer, real
from backprop.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)
from backprop.initializers.stft import STFT

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "deserialize",
    "get",
    "serialize",
]

Array = np.ndarray

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


__getattr__, __dir__ = face(__name__, __all__)
