"""Activations as functions: `activations.relu(x)`, and everything by name.

Each is the forward pass of the layer that carries its derivation (`layers.ReLU` for `relu` ...),
and takes the arguments that the layer declares. A function takes arrays or nested lists and returns
an array of the dtype of x; what is not a floating-point array becomes float32. Given as
``activation=activations.relu`` to a layer, it runs as that layer; called on a symbolic array, it is
a call of that layer.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, cleandoc
from typing import Any

import numpy as np

from backprop.absent import face
from backprop.arguments import EMPTY, parameters_of
from backprop.checks import array_like
from backprop.config import custom_object_scope, deserialize as object_of, serialize as config_of
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
from backprop.symbols import Symbol


def run(layer: Layer, x: Any) -> Any:
    """The layer's y for x, in the dtype of x; of a symbolic array, a symbolic one."""
    if isinstance(x, Symbol):
        return layer(x)
    if not isinstance(x, np.ndarray | np.generic) or x.dtype.kind != "f":
        x = array_like(x, type(layer).__name__, "x")
        if x.dtype.kind not in "fiub":
            raise TypeError(
                f"{type(layer).__name__} expected numbers and got an array of dtype {x.dtype}"
            )
        x = x.astype(np.float32)
    layer.check_input(x.shape)
    layer.compute_output_shape(x.shape)  # where x does not suit, it says so too
    layer.__dict__["dtype"] = x.dtype  # whatever it is
    # not a call, which takes the first axis for the batch
    return np.asarray(layer.forward(np.asarray(x), INFERENCE)[0])


def function_of(name: str, cls: type[Layer], **first: Any) -> Callable[..., Array]:
    """The forward pass of a layer as a function of x and of the layer's own arguments; those in
    `first` come first, with these defaults."""
    parameters = parameters_of(cls)
    own = {n: p.default for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    order = {"x": EMPTY} | first | {n: default for n, default in own.items() if n not in first}
    signature = Signature(
        [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, default=d) for n, d in order.items()],
        return_annotation=Array,
    )

    def function(*args, **kwargs):
        try:
            given = first | signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(
                f"{name}{signature.replace(return_annotation=EMPTY)}: {error}"
            ) from None
        x = given.pop("x")
        return run(cls(**given), x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc_of(cls)
    vars(function)["__signature__"] = signature
    return function


def doc_of(cls: type[Layer]) -> str:
    """What the docstring of a layer says of its formula and its own arguments, for a function."""
    text = cleandoc(cls.__doc__ or "")
    formula = text.partition("\n\n")[0].replace("\n", " ").partition(";")[0].rstrip(".")
    arguments = text.partition("Parameters\n----------\n")[2].partition("**kwargs")[0].rstrip()
    lines = [f"{formula}: see `layers.{cls.__name__}`.", "", "Parameters", "----------"]
    return "\n".join([*lines, "x : array_like", *filter(None, [arguments])])


celu = function_of("celu", CELU)
elu = function_of("elu", ELU)
exponential = function_of("exponential", Exponential)
gelu = function_of("gelu", GELU)
glu = function_of("glu", GLU)
hard_shrink = function_of("hard_shrink", HardShrink)
hard_sigmoid = function_of("hard_sigmoid", HardSigmoid)
hard_silu = hard_swish = function_of("hard_silu", HardSiLU)
hard_tanh = function_of("hard_tanh", HardTanh)
leaky_relu = function_of("leaky_relu", LeakyReLU, negative_slope=0.2)  # the layer has 0.3
linear = function_of("linear", Linear)
log_sigmoid = function_of("log_sigmoid", LogSigmoid)
log_softmax = function_of("log_softmax", LogSoftmax)
mish = function_of("mish", Mish)
relu = function_of("relu", ReLU, negative_slope=0.0, max_value=None, threshold=0.0)
relu6 = function_of("relu6", ReLU6)
selu = function_of("selu", SELU)
sigmoid = function_of("sigmoid", Sigmoid)
silu = swish = function_of("silu", SiLU)
soft_shrink = function_of("soft_shrink", SoftShrink)
softmax = function_of("softmax", Softmax)
softplus = function_of("softplus", Softplus)
softsign = function_of("softsign", Softsign)
sparse_plus = function_of("sparse_plus", SparsePlus)
sparse_sigmoid = function_of("sparse_sigmoid", SparseSigmoid)
sparsemax = function_of("sparsemax", Sparsemax)
squareplus = function_of("squareplus", Squareplus)
tanh = function_of("tanh", Tanh)
tanh_shrink = function_of("tanh_shrink", TanhShrink)
threshold = function_of("threshold", Threshold)

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
    with custom_object_scope(custom_objects):
        if isinstance(config, Mapping):
            # Keras writes a function of the user's as {"class_name": "function", "config": name}
            if not isinstance(config.get("class_name"), str):
                raise ValueError(
                    f"a config of an activation needs 'class_name', got {reprlib.repr(config)}"
                )
            config = config["config"] if config["class_name"] == "function" else object_of(config)
        return get(config)


__getattr__ = face(__name__, ())[0]
