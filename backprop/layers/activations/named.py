"""Activations by name, function or object: what `activation=` of a layer may be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np

from backprop import config
from backprop.arguments import Convert
from backprop.counts import no_products
from backprop.layer import INFERENCE, Layer, Shape
from backprop.layers.activations.exponentials import CELU, ELU, SELU, Exponential
from backprop.layers.activations.gated import GELU, GLU, HardSiLU, Mish, SiLU
from backprop.layers.activations.rectifiers import LeakyReLU, Linear, ReLU, ReLU6
from backprop.layers.activations.shrinking import HardShrink, SoftShrink, TanhShrink
from backprop.layers.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    LogSigmoid,
    Sigmoid,
    Softsign,
    SparseSigmoid,
    Tanh,
)
from backprop.layers.activations.smooth import Softplus, SparsePlus, Squareplus
from backprop.layers.activations.softmax import LogSoftmax, Softmax, Sparsemax
from backprop.promises import kept
from backprop.registry import is_foreign


def threshold_needs_arguments() -> Layer:
    raise ValueError(
        "'threshold' has no default arguments; pass layers.Threshold(threshold, default_value)"
    )


ONE_WORD = (
    CELU, ELU, Exponential, GELU, GLU, Linear, Mish, ReLU, ReLU6, SELU, Sigmoid, SiLU,
    Softmax, Softplus, Softsign, Sparsemax, Squareplus, Tanh,
)  # fmt: skip
registry = config.Registry(
    "activations",
    aliases={
        **{cls.__name__.lower(): cls for cls in ONE_WORD},
        "hard_shrink": HardShrink,
        "hard_sigmoid": HardSigmoid,
        "hard_silu": HardSiLU,
        "hard_swish": HardSiLU,
        "hard_tanh": HardTanh,
        "log_sigmoid": LogSigmoid,
        "log_softmax": LogSoftmax,
        "soft_shrink": SoftShrink,
        "sparse_plus": SparsePlus,
        "sparse_sigmoid": SparseSigmoid,
        "swish": SiLU,
        "tanh_shrink": TanhShrink,
        "leaky_relu": partial(LeakyReLU, 0.2),  # the layer has 0.3, as in Keras
        "threshold": threshold_needs_arguments,
    },
    kin="layers",
    inputs=(1,),
)


def layer_of(identifier: Any) -> Any:
    """The layer that runs an activation.

    Parameters
    ----------
    identifier : str, function, Layer, dict or None
        A name of `backprop.activations`, a function from there, a layer (which is used as it is,
        with its weights), or the config of one.

    Returns
    -------
    Layer or None
        A fresh layer for a name, function or config. None for None.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest known one; for a layer with an activity_regularizer.
    TypeError
        For a function whose derivative nobody wrote.

    Examples
    --------
    >>> layer_of("relu")
    ReLU()
    >>> layer_of("leaky_relu")
    LeakyReLU(0.2)
    """
    if isinstance(identifier, Layer) and identifier.activity_regularizer is not None:
        raise ValueError(
            f"activation got {identifier!r}, whose activity_regularizer nobody would apply: "
            "give it to the layer around the activation, which penalises the same output"
        )
    if identifier is None or isinstance(identifier, Layer):
        return identifier
    found: Any = identifier
    if isinstance(found, Mapping):
        # Keras writes a function of the user's as {"class_name": "function", "config": name}
        own = found.get("class_name") == "function"
        found = found.get("config") if own else config.deserialize(found)
    if isinstance(found, str):
        make = registry.lookup(found)
        found = make() if isinstance(make, type) or make is registry.names.get(found) else make
    if not isinstance(found, Layer) and callable(getattr(found, "layer", None)):
        found = found.layer()  # a function of backprop.activations carries the maker of its layer
    if not isinstance(found, Layer):
        raise TypeError(f"activation got {show_refused(found)}")
    return found


ActivationLike = Annotated[
    Any, Convert(lambda value, who, name: layer_of("linear" if value is None else value), none=True)
]


def build_activation(activation: Layer, shape: Shape, *, within: str = "") -> None:
    """Build the activation of a layer for z of this shape; one of the user's is tried, since the
    layer around it would be blamed for what it does. Where a layer is named, y must have z's shape
    to go on within it."""
    activation.build(shape)
    if within and tuple(activation.compute_output_shape(shape)) != tuple(shape):
        raise ValueError(f"{within} needs an activation that keeps the shape, got {activation!r}")
    if is_foreign(type(activation)):
        z = np.zeros(
            [2, *(1 if n is None else n for n in shape[1:])], activation.dtype or np.float32
        )
        with np.errstate(all="ignore"):
            kept(activation, z, activation.forward(z, INFERENCE))


def show_refused(found: Any) -> str:
    """What came instead of an activation, and what to do about it."""
    name = getattr(found, "__name__", repr(found))
    if isinstance(found, type) and issubclass(found, Layer):
        return f"the class {name}; pass an object of it, {name}(...)"
    if not callable(found):
        return f"{found!r}; pass a name, a function of backprop.activations or a layer"
    ours = f"pass the name {name!r} for the built-in one, or " if name in registry.names else ""
    return (
        f"the function {name!r}, whose derivative is not known, as there is no automatic "
        f"differentiation here: {ours}write a Layer with forward(self, x, ctx) and "
        "backward(self, dy, cache), and pass an object of it"
    )


class Activation(Layer):
    """y = f(x), for an activation f given by name, function or layer.

        x: (...)    y: (...), as f has it

        dx = f'(dy): what the activation's own layer passes back

    Parameters
    ----------
    activation : str, function or Layer
        A name of `backprop.activations`, a function from there, or a layer. None is linear.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For an unknown name, with the nearest known one.
    TypeError
        For a function whose derivative nobody wrote.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Activation
    >>> Activation("relu")(np.array([-3.0, 2.0]))
    array([0., 2.], dtype=float32)
    """

    activation: Annotated[
        Any,
        Convert(lambda value, who, name: layer_of("linear" if value is None else value), none=True),
    ]

    changeable = ("activation",)

    def build(self, input_shape):
        build_activation(self.activation, input_shape)
        self.time_local = self.activation.time_local

    def compute_output_shape(self, input_shape):
        return self.activation.compute_output_shape(input_shape)

    def obeys_mask(self, x, mask):
        return self.activation.obeys_mask(x, mask)

    def fit_mask(self, mask, shape):
        return self.activation.fit_mask(mask, shape)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return self.activation.forward(x, ctx)

    def backward(self, dy, cache):
        return self.activation.backward(dy, cache)

    def backward_params(self, dy, cache):
        self.activation.backward_params(dy, cache)
