"""Configurations, ours and Keras': the same names and values, in two spellings.

Keras writes every argument, names the module of each object, and wraps the dtype in a policy. Ours
are written with what differs from the defaults, since the defaults are the same. What Keras has
never heard of is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.arguments import defaults_of
from backprop.config import serialize
from backprop.interop.keras_graphs import GRAPHS, functional, graph_of, operation
from backprop.registry import FAMILIES
from backprop.spelling import snake_case

NO_SUCH = "Keras has none"
OPERATOR = "in Keras it is no layer but an operator"
# classes of ours that a file of Keras cannot name, and why
OURS = {
    "Absolute": OPERATOR,
    "AddConstant": OPERATOR,
    "ConfusionMatrix": NO_SUCH,
    "Divide": OPERATOR,
    "DivideBy": OPERATOR,
    "DivideInto": OPERATOR,
    "LBFGS": NO_SUCH,
    "MultiplyBy": OPERATOR,
    "OneCycle": NO_SUCH,
    "Parallel": NO_SUCH,
    "PositionEmbedding": NO_SUCH,
    "PowerOf": OPERATOR,
    "RaiseTo": OPERATOR,
    "Residual": NO_SUCH,
    "RotaryEmbedding": NO_SUCH,
    "SinePositionEncoding": NO_SUCH,
    "Slice": OPERATOR,
    "SpectralNormalization": "in inference Keras' does not divide by the norm, so it is another",
    "SubtractFrom": OPERATOR,
    "TransformerBlock": NO_SUCH,
    "TransformerDecoder": NO_SUCH,
    "WarmUp": NO_SUCH,
}
# layers that in Keras take several inputs, always
CALLED = ("GroupQueryAttention", "MultiHeadAttention")
TWO_INPUTS = "in Keras it takes two inputs, so it stands in a Model, which calls it on both"
# arguments of ours that Keras' classes do not have
OUR_ARGUMENTS = {
    "CTC": {"zero_infinity"},
    "Cropping1D": {"data_format"},
    "GroupQueryAttention": {"rotary"},
    "LayerNormalization": {"rms_scaling"},
    "MultiHeadAttention": {"rotary"},
    **{f"SpatialDropout{d}D": {"activity_regularizer", "trainable"} for d in (1, 2, 3)},
}
# what Keras' classes take and ours do not, with the values that change nothing
THEIR_ARGUMENTS = {
    "bounding_box_format": (None,),
    "data_format": (None, "channels_last"),
    "gptq_unpacked_column_size": (None,),
    "input_axes": (None,),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "loss_scale_factor": (None,),
    "optional": (False,),
    "output_axes": (None,),
    "quantization_config": (None,),
    "quantization_mode": (None,),
    "ragged": (None, False),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
    "sparse": (None, False),
    "synchronized": (False,),
    "unroll": (False,),
}
# activations that are layers in Keras too; the others are its functions
ACTIVATION_LAYERS = {"Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"}


def name_in_keras(cls: type) -> str:
    """The class of Keras that stands for one of ours: its namesake, as a rule."""
    if cls.__name__ == "Chain":
        return "Sequential"
    if cls.__name__ in ("Model", "Graph"):
        return "Functional"  # whose name is no public one
    if cls.__module__.startswith("backprop.layers.activations"):
        return cls.__name__ if cls.__name__ in ACTIVATION_LAYERS else "Activation"
    return cls.__name__


# --------------------------------------------------------------------------------- ours → Keras'


def to_keras(value: Any, dtype: str, made: Any = None, called: bool = False) -> Any:
    """A configuration of ours as Keras reads it.

    Parameters
    ----------
    value
        The configuration, or what is in one.
    dtype : str
        Of the model.
    made : optional
        What it is the configuration of, as far as graphs are in it.
    called : bool, default False
        Whether it is in a graph, which gives it all its inputs and options.

    Raises
    ------
    ValueError
        It names what Keras does not know.
    """
    if isinstance(value, list):
        items = made if isinstance(made, list) and len(made) == len(value) else [None] * len(value)
        return [to_keras(v, dtype, item, called) for v, item in zip(value, items, strict=True)]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {k: to_keras(v, dtype) for k, v in value.items()}
    name, config = value["class_name"], value.get("config") or {}
    if name == "__array__":
        return {"class_name": "__numpy__", "config": config}
    known = operation(name, config) if called else None
    if known is not None:
        return known
    family = value.get("module")
    cls = FAMILIES[family].classes.get(name) if family in FAMILIES else None
    if cls is None or value.get("registered_name") or name in OURS:
        raise ValueError(refusal(name))
    if name in CALLED and not called:
        raise ValueError(refusal(name, TWO_INPUTS))
    options = cls.call_options if called and family == "layers" else ()
    given = {k: v for k, v in config.items() if not is_default(cls, k, v) and k not in options}
    for argument in given.keys() & OUR_ARGUMENTS.get(name, set()):
        raise ValueError(refusal(f"{name}({argument}={given[argument]!r})"))
    graph = name in ("Model", "Graph")
    kept = {k: to_keras(v, dtype, part_of(made, k), graph) for k, v in given.items()}
    if graph:
        found = functional(made, kept | {"dtype": dtype})
        return item("keras.src.models.functional", "Functional", found, "Functional")
    if family == "layers":
        kept = layer_config(cls, kept, dtype)
    if name in ("Sequential", "Chain"):
        kept = {"name": config.get("name") or "sequential"} | kept | {"dtype": dtype}
        kept.pop("build_shape", None)
        return item("keras", "Sequential", kept)
    return item(f"keras.{family}", name_in_keras(cls), kept)


def part_of(made: Any, argument: str) -> Any:
    """What an argument of an object is now; of a chain's layers, its Input among them."""
    return getattr(made, "_entries" if argument == "layers" else argument, None) or getattr(
        made, argument, None
    )


def item(
    module: str, name: str, config: Mapping[str, Any], registered: str | None = None
) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def is_default(cls: type, argument: str, value: Any) -> bool:
    default = defaults_of(cls).get(argument, value is not None)
    return not isinstance(default, type) and serialize(default) == value


def layer_config(cls: type, config: dict[str, Any], dtype: str) -> dict[str, Any]:
    own = defaults_of(cls)
    if cls.__name__ == "InputLayer":
        return config
    for argument in ("input_shape", "input_dim"):  # of every layer; an Embedding's is its own
        if list(own).index(argument) > list(own).index("trainable"):
            config.pop(argument, None)
    if name_in_keras(cls) == "Activation" != cls.__name__:
        arguments = sorted(config.keys() - {"name", "trainable", "dtype"})
        if arguments:
            raise ValueError(refusal(f"{cls.__name__}({arguments[0]}={config[arguments[0]]!r})"))
        config = {"activation": function_name(cls)} | config
    return config | {"dtype": dtype}


def function_name(cls: type) -> str:
    """`SiLU` → `silu`, `HardTanh` → `hard_tanh`: Keras' function for an activation."""
    return snake_case(cls.__name__.replace("SiLU", "Silu").replace("ReLU", "Relu"))


def refusal(name: str, reason: str | None = None) -> str:
    if name == "__shared__":
        return (
            "a file of Keras holds a layer once, in a Model in several places, in a Sequential or "
            "in two models not: save the model as .npz"
        )
    reason = reason or OURS.get(name, NO_SUCH)
    return f"{name} cannot be written to a file of Keras ({reason}): save the model as .npz"


# --------------------------------------------------------------------------------- Keras' → ours


def from_keras(value: Any) -> Any:
    """A configuration of Keras as ours is read.

    Raises
    ------
    ValueError
        It holds code, or another precision.
    """
    if isinstance(value, list):
        return [from_keras(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {k: from_keras(v) for k, v in value.items()}
    name, config = value["class_name"], value.get("config")
    if name == "function":
        return config  # its name
    if name == "DTypePolicy":
        return precision(config)
    if name in ("__numpy__", "__tensor__"):
        return {"class_name": "__array__", "config": config}
    if name in ("Lambda", "__lambda__"):
        raise ValueError("it holds code (a Lambda), which no file may bring")
    if name == "SpectralNormalization":
        raise ValueError(f"it has a {name}, which is another layer in Keras than here")
    if not isinstance(config, Mapping):
        raise ValueError(f"it describes {name} by {config!r}")
    if "input_layers" in config:
        found = graph_of(config, from_keras)
        if name in GRAPHS:
            return {"class_name": "Model", "module": "models", "config": found}
        return {"class_name": name, "module": module_of(value), "config": found}
    if name == "Functional":
        raise ValueError("it describes a graph and not where its inputs are")
    config = {k: from_keras(v) for k, v in config.items() if not is_harmless(k, v)}
    if name == "Sequential":
        shape = config.pop("build_input_shape", None)
        if shape and not any(is_input(layer) for layer in config.get("layers") or ()):
            config["build_shape"] = shape
    if is_input(value) and str(config.get("dtype")).startswith("float"):
        del config["dtype"]
    return {"class_name": name, "module": module_of(value), "config": config}


def is_input(layer: Any) -> bool:
    return isinstance(layer, Mapping) and layer.get("class_name") == "InputLayer"


def is_harmless(argument: str, value: Any) -> bool:
    """Whether an argument that our classes do not have changes nothing."""
    return any(value is v or value == v for v in THEIR_ARGUMENTS.get(argument, ()))


def module_of(value: Mapping[str, Any]) -> str | None:
    if value.get("registered_name") and ">" in str(value["registered_name"]):
        return None
    module = str(value.get("module") or "")
    return "models" if module == "keras" else module.removeprefix("keras.") or None


def precision(policy: Any) -> str:
    """The dtype of a policy: one for all that a layer computes."""
    name = policy.get("name") if isinstance(policy, Mapping) else None
    if name not in ("float32", "float64"):
        raise ValueError(f"its dtype policy is {name!r}, and here everything is float32 or float64")
    return name
