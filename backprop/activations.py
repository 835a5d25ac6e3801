"""Activations as functions: `activations.relu(x)`, and everything by name.

Each is the forward pass of the layer that carries its derivation (`layers.ReLU` for `relu` ...). A
function takes arrays or nested lists and returns an array of the dtype of x; what is not a
floating-point array becomes float32. Given as ``activation=activations.relu`` to a layer, it runs
as that layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backprop.absent import face
from backprop.config import custom_object_scope
from backprop.config import deserialize as object_of
from backprop.config import serialize as config_of
from backprop.layer import INFERENCE, Array, Layer
from backprop.layers.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    Sparsemax,
    SparsePlus,
    SparseSigmoid,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
    registry,
)
from backprop.registry import registered_name


def run(layer: Layer, x: Any) -> Array:
    """The layer's y for x, in the dtype of x."""
    if not isinstance(x, np.ndarray | np.generic) or x.dtype.kind != "f":
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise TypeError(
                f"{type(layer).__name__} expected numbers and got an array of dtype {x.dtype}"
            )
        x = x.astype(np.float32)
    layer.__dict__["dtype"] = x.dtype  # whatever it is
    # not a call, which takes the first axis for the batch
    return np.asarray(layer.forward(np.asarray(x), INFERENCE)[0])


def celu(x, alpha=1.0) -> Array:
    """x for x > 0, alpha (exp(x / alpha) - 1) for x ≤ 0: see `layers.CELU`.

    Parameters
    ----------
    x : array_like
    alpha : float, default 1.0
        Above 0.

    Examples
    --------
    >>> celu([-1.0, 2.0]).round(4)
    array([-0.6321,  2.    ], dtype=float32)
    """
    return run(CELU(alpha), x)


def elu(x, alpha=1.0) -> Array:
    """x for x > 0, alpha (exp(x) - 1) for x ≤ 0: see `layers.ELU`.

    Parameters
    ----------
    x : array_like
    alpha : float, default 1.0
        At least 0.

    Examples
    --------
    >>> elu([-1.0, 2.0], alpha=2.0).round(4)
    array([-1.2642,  2.    ], dtype=float32)
    """
    return run(ELU(alpha), x)


def exponential(x) -> Array:
    """exp(x): see `layers.Exponential`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> exponential([0, 1]).round(4)
    array([1.    , 2.7183], dtype=float32)
    """
    return run(Exponential(), x)


def gelu(x, approximate=False) -> Array:
    """x Φ(x), with the normal distribution's cumulative function Φ: see `layers.GELU`.

    Parameters
    ----------
    x : array_like
    approximate : bool, default False
        Use the tanh that is close to Φ.

    Examples
    --------
    >>> gelu([-1.0, 1.0]).round(4)
    array([-0.1587,  0.8413], dtype=float32)
    """
    return run(GELU(approximate), x)


def glu(x, axis: Any = -1) -> Array:
    """a sigmoid(b), where a and b are the halves of x along `axis`: see `layers.GLU`.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
        Of even length.

    Examples
    --------
    >>> glu([2.0, 4.0, 0.0, 0.0])
    array([1., 2.], dtype=float32)
    """
    return run(GLU(axis), x)


def hard_shrink(x, threshold=0.5) -> Array:
    """x where |x| > threshold, else 0: see `layers.HardShrink`.

    Parameters
    ----------
    x : array_like
    threshold : float, default 0.5
        At least 0.

    Examples
    --------
    >>> hard_shrink([-1.0, 0.25, 1.0])
    array([-1.,  0.,  1.], dtype=float32)
    """
    return run(HardShrink(threshold), x)


def hard_sigmoid(x) -> Array:
    """x / 6 + 1/2 within [0, 1]: see `layers.HardSigmoid`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> hard_sigmoid([-4.0, 0.0, 1.5])
    array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return run(HardSigmoid(), x)


def hard_silu(x) -> Array:
    """x times `hard_sigmoid` of x: see `layers.HardSiLU`. Also named `hard_swish`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> hard_silu([1.5, 4.0])
    array([1.125, 4.   ], dtype=float32)
    """
    return run(HardSiLU(), x)


def hard_tanh(x) -> Array:
    """x within [-1, 1]: see `layers.HardTanh`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> hard_tanh([-2.0, 0.5, 3.0])
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return run(HardTanh(), x)


def leaky_relu(x, negative_slope=0.2) -> Array:
    """x for x ≥ 0, negative_slope x for x < 0: see `layers.LeakyReLU`.

    Parameters
    ----------
    x : array_like
    negative_slope : float, default 0.2
        At least 0. (The layer's default is 0.3, as in Keras.)

    Examples
    --------
    >>> leaky_relu([-10.0, 5.0])
    array([-2.,  5.], dtype=float32)
    """
    return run(LeakyReLU(negative_slope), x)


def linear(x) -> Array:
    """x: see `layers.Linear`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> linear([-1.0, 2.0])
    array([-1.,  2.], dtype=float32)
    """
    return run(Linear(), x)


def log_sigmoid(x) -> Array:
    """log(sigmoid(x)): see `layers.LogSigmoid`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> log_sigmoid([-1.0, 1.0]).round(4)
    array([-1.3133, -0.3133], dtype=float32)
    """
    return run(LogSigmoid(), x)


def log_softmax(x, axis: Any = -1) -> Array:
    """x - log Σ exp(x), the sum along `axis`: see `layers.LogSoftmax`.

    Parameters
    ----------
    x : array_like
    axis : int or tuple of int, default -1

    Examples
    --------
    >>> log_softmax([0.0, 0.0]).round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """
    return run(LogSoftmax(axis), x)


def mish(x) -> Array:
    """x tanh(log(1 + exp(x))): see `layers.Mish`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> mish([-1.0, 1.0]).round(4)
    array([-0.3034,  0.8651], dtype=float32)
    """
    return run(Mish(), x)


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0) -> Array:
    """max(x, 0): see `layers.ReLU` for what the options make of it.

    Parameters
    ----------
    x : array_like
    negative_slope : float, default 0.0
        At least 0.
    max_value : float, optional
        At least 0.
    threshold : float, default 0.0
        At least 0.

    Examples
    --------
    >>> relu([-10.0, 5.0, 10.0], negative_slope=0.5, max_value=8.0)
    array([-5.,  5.,  8.], dtype=float32)
    """
    return run(ReLU(max_value, negative_slope, threshold), x)


def relu6(x) -> Array:
    """min(max(x, 0), 6): see `layers.ReLU6`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> relu6([-1.0, 3.0, 9.0])
    array([0., 3., 6.], dtype=float32)
    """
    return run(ReLU6(), x)


def selu(x) -> Array:
    """λ x for x > 0, λ α (exp(x) - 1) for x ≤ 0, with fixed λ and α: see `layers.SELU`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> selu([-1.0, 2.0]).round(4)
    array([-1.1113,  2.1014], dtype=float32)
    """
    return run(SELU(), x)


def sigmoid(x) -> Array:
    """1 / (1 + exp(-x)): see `layers.Sigmoid`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> sigmoid([-1.0, 0.0, 1.0]).round(4)
    array([0.2689, 0.5   , 0.7311], dtype=float32)
    """
    return run(Sigmoid(), x)


def silu(x) -> Array:
    """x sigmoid(x): see `layers.SiLU`. Also named `swish`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> silu([-1.0, 1.0]).round(4)
    array([-0.2689,  0.7311], dtype=float32)
    """
    return run(SiLU(), x)


def soft_shrink(x, threshold=0.5) -> Array:
    """x moved towards 0 by `threshold`, and 0 where it would cross: see `layers.SoftShrink`.

    Parameters
    ----------
    x : array_like
    threshold : float, default 0.5
        At least 0.

    Examples
    --------
    >>> soft_shrink([-1.0, 0.25, 1.0])
    array([-0.5,  0. ,  0.5], dtype=float32)
    """
    return run(SoftShrink(threshold), x)


def softmax(x, axis: Any = -1) -> Array:
    """exp(x) / Σ exp(x), the sum along `axis`: see `layers.Softmax`.

    Parameters
    ----------
    x : array_like
    axis : int or tuple of int, default -1

    Examples
    --------
    >>> softmax([1.0, 2.0, 1.0]).round(4)
    array([0.2119, 0.5761, 0.2119], dtype=float32)
    """
    return run(Softmax(axis), x)


def softplus(x) -> Array:
    """log(1 + exp(x)): see `layers.Softplus`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> softplus([-1.0, 1.0]).round(4)
    array([0.3133, 1.3133], dtype=float32)
    """
    return run(Softplus(), x)


def softsign(x) -> Array:
    """x / (1 + |x|): see `layers.Softsign`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> softsign([-1.0, 3.0])
    array([-0.5 ,  0.75], dtype=float32)
    """
    return run(Softsign(), x)


def sparse_plus(x) -> Array:
    """0 for x ≤ -1, (x + 1)² / 4 between, x for x ≥ 1: see `layers.SparsePlus`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> sparse_plus([-2.0, 0.0, 3.0])
    array([0.  , 0.25, 3.  ], dtype=float32)
    """
    return run(SparsePlus(), x)


def sparse_sigmoid(x) -> Array:
    """(x + 1) / 2 within [0, 1]: see `layers.SparseSigmoid`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> sparse_sigmoid([-2.0, 0.5, 2.0])
    array([0.  , 0.75, 1.  ], dtype=float32)
    """
    return run(SparseSigmoid(), x)


def sparsemax(x, axis: Any = -1) -> Array:
    """The nearest point of the simplex, with exact zeros: see `layers.Sparsemax`.

    Parameters
    ----------
    x : array_like
    axis : int, default -1

    Examples
    --------
    >>> sparsemax([1.0, 0.5, -1.0])
    array([0.75, 0.25, 0.  ], dtype=float32)
    """
    return run(Sparsemax(axis), x)


def squareplus(x, b=4) -> Array:
    """(x + sqrt(x² + b)) / 2: see `layers.Squareplus`.

    Parameters
    ----------
    x : array_like
    b : float, default 4
        Above 0.

    Examples
    --------
    >>> squareplus([0.0, 1.5])
    array([1., 2.], dtype=float32)
    """
    return run(Squareplus(b), x)


def tanh(x) -> Array:
    """tanh(x): see `layers.Tanh`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> tanh([-1.0, 0.0]).round(4)
    array([-0.7616,  0.    ], dtype=float32)
    """
    return run(Tanh(), x)


def tanh_shrink(x) -> Array:
    """x - tanh(x): see `layers.TanhShrink`.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> tanh_shrink([-1.0, 1.0]).round(4)
    array([-0.2384,  0.2384], dtype=float32)
    """
    return run(TanhShrink(), x)


def threshold(x, threshold, default_value) -> Array:
    """x where x > threshold, else `default_value`: see `layers.Threshold`.

    Parameters
    ----------
    x : array_like
    threshold, default_value : float

    Examples
    --------
    >>> threshold([0.0, 1.0, 3.0], 1.0, -2.0)
    array([-2., -2.,  3.], dtype=float32)
    """
    return run(Threshold(threshold, default_value), x)


hard_swish = hard_silu
swish = silu

FUNCTIONS: dict[str, Callable[..., Array]] = {name: globals()[name] for name in registry.names}
for _name, _function in FUNCTIONS.items():
    # what layer_of reads; an alias is the same function, and finds the same layer
    _function.__dict__["layer"] = registry.names[_name]


def get(identifier) -> Callable[..., Any]:
    """The activation that an identifier means.

    Parameters
    ----------
    identifier : str, function, Layer, dict or None
        A name, a config, or the activation itself. None is `linear`.

    Returns
    -------
    callable
        A function of this module for a name; a layer for a layer or its config.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest known one.
    TypeError
        For what is no activation.

    Examples
    --------
    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        found = registry.lookup(identifier)
        if found is registry.names.get(identifier):
            return FUNCTIONS[identifier]
        return found() if isinstance(found, type) else found  # of the user's
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise TypeError(
        f"activation got {identifier!r}; pass a name, a function of backprop.activations or a layer"
    )


def serialize(activation) -> Any:
    """The name or config from which `get` makes the activation again.

    Parameters
    ----------
    activation : function or Layer

    Raises
    ------
    ValueError
        For a function that is not of this module and not registered.

    Examples
    --------
    >>> serialize(relu)
    'relu'
    """
    if isinstance(activation, Layer):
        return config_of(activation)
    name = registered_name(activation)
    if name is None:
        name = next((known for known, f in FUNCTIONS.items() if f is activation), None)
    if name is None:
        raise ValueError(
            f"the activation {activation!r} has no name from which it could be made again: write "
            "it as a Layer and decorate that with @backprop.saving.register_keras_serializable()"
        )
    return name


def deserialize(config, custom_objects=None) -> Any:
    """The activation that `serialize` described.

    Parameters
    ----------
    config : str or dict
    custom_objects : dict, optional
        Activations of one's own, by name.

    Examples
    --------
    >>> deserialize("gelu") is gelu
    True
    """
    with custom_object_scope(custom_objects or {}):
        if isinstance(config, Mapping):
            # Keras writes a function of the user's as {"class_name": "function", "config": name}
            config = (
                config["config"] if config.get("class_name") == "function" else object_of(config)
            )
        return get(config)


__getattr__ = face(__name__)
