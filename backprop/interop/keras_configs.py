"""Configurations, ours and Keras': the same names and values, in two spellings.

Keras writes every argument, names the module of each object, and wraps the dtype in a policy. So
does what is written here, but for arguments that Keras has never heard of: where they have their
defaults they are left out, else they are refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backprop.arguments import defaults_of
from backprop.config import serialize
from backprop.interop.keras_graphs import GRAPHS, functional, graph_of, is_graph
from backprop.interop.keras_operators import operation
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
    "GaussianNLL": NO_SUCH,
    "LARS": NO_SUCH,
    "LBFGS": NO_SUCH,
    "Matmul": OPERATOR,
    "MatmulConstant": OPERATOR,
    "MultiplyBy": OPERATOR,
    "OneCycle": NO_SUCH,
    "Parallel": NO_SUCH,
    "PositionEmbedding": NO_SUCH,
    "PowerOf": OPERATOR,
    "Quantile": NO_SUCH,
    "RaiseTo": OPERATOR,
    "Remainder": OPERATOR,
    "Residual": NO_SUCH,
    "RotaryEmbedding": NO_SUCH,
    "SinePositionEncoding": NO_SUCH,
    "Slice": OPERATOR,
    "SpectralNormalization": "in inference Keras' does not divide by the norm, so it is another",
    "SubtractFrom": OPERATOR,
    "TransformerBlock": NO_SUCH,
    "TransformerDecoder": NO_SUCH,
    "Unembedding": NO_SUCH,
    "WarmUp": NO_SUCH,
}
LARGEST = 2**32  # numbers in an input of known size
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
    "Pipeline": {"activity_regularizer", "dtype", "trainable"},
    "Discretization": {"activity_regularizer", "trainable"},
    **{f"SpatialDropout{d}D": {"activity_regularizer", "trainable"} for d in (1, 2, 3)},
}
# what not all of Keras' layers take, and all of ours
NOT_OF_ALL = {"activity_regularizer", "trainable"}
# what all of our layers take, and not all of Keras'
OF_ALL_OF_OURS = {"activity_regularizer", "input_dim", "input_shape"}
# what Keras' classes take and ours do not, with the values that change nothing
THEIR_ARGUMENTS = {
    "bounding_box_format": (None,),
    "data_format": (None, "channels_last"),
    "gptq_unpacked_column_size": (None,),
    "input_axes": (None,),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "loss_scale_factor": (None,),
    "oov_method": ("floormod",),
    "optional": (False,),
    "output_axes": (None,),
    "quantization_config": (None,),
    "quantization_mode": (None,),
    "ragged": (None, False),
    "salt": (None,),
    "sparse": (None, False),
    "synchronized": (False,),
    "unroll": (False,),
}
# layers of Keras whose dtype is that of integers where they put out numbers of categories
CATEGORIES = {"CategoryEncoding", "Discretization", "HashedCrossing", "Hashing"}
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
    if value.get("registered_name"):
        return users_own(value, dtype, made)
    family = value.get("module")
    cls = FAMILIES[family].classes.get(name) if family in FAMILIES else None
    if cls is None or name in OURS:
        raise refusal(name)
    if name in CALLED and not called:
        raise refusal(name, TWO_INPUTS)
    given = given_to(cls, config, called and family == "layers")
    graph = name in ("Model", "Graph")
    kept = {k: to_keras(v, dtype, part_of(made, k), graph) for k, v in given.items()}
    if graph:
        found = functional(made, kept | {"dtype": dtype})
        return item("keras.src.models.functional", "Functional", found, "Functional")
    if family == "layers":
        kept = layer_config(cls, kept, dtype)
    if "dtype" in OUR_ARGUMENTS.get(name, ()):
        kept.pop("dtype")
    if name in ("Sequential", "Chain"):
        kept = {"name": config.get("name") or "sequential"} | kept | {"dtype": dtype}
        kept.pop("build_shape", None)
        return item("keras", "Sequential", kept)
    return item(f"keras.{family}", name_in_keras(cls), kept)


def users_own(value: Mapping[str, Any], dtype: str, made: Any) -> dict[str, Any]:
    """An object of a class that the user wrote, which Keras knows where it is given a class of that
    name; only what every layer of ours takes is left out where it says nothing."""
    graph = is_graph(made)
    kept = {
        k: to_keras(v, dtype, part_of(made, k), graph)
        for k, v in value["config"].items()
        if k not in OF_ALL_OF_OURS or v is not None
    }
    if graph:
        kept = functional(made, kept | {"dtype": dtype})
    elif value["module"] in ("layers", "models"):
        kept = {k: v for k, v in kept.items() if k != "build_shape"} | {"dtype": dtype}
    return item(None, value["class_name"], kept, value["registered_name"])


def given_to(cls: type, config: Mapping[str, Any], called: bool) -> dict[str, Any]:
    """The arguments of an object that Keras' class takes too; of one that has another class there,
    and of an Input, whose shape has two spellings, those alone that are no defaults."""
    ours = OUR_ARGUMENTS.get(cls.__name__, set())
    options = getattr(cls, "call_options", ())  # arguments of calls there
    whole = name_in_keras(cls) == cls.__name__ != "InputLayer"
    found = {}
    for argument, value in config.items():
        if is_default(cls, argument, value):
            if not whole or argument in ours or argument in options or argument in NOT_OF_ALL:
                continue
        elif argument in ours:
            raise refusal(f"{cls.__name__}({argument}={value!r})")
        if not (called and argument in options):
            found[argument] = value
    return found


def part_of(made: Any, argument: str) -> Any:
    """What an argument of an object is now; of a chain's layers, its Input among them."""
    entries = getattr(made, "_entries", None) if argument == "layers" else None
    return getattr(made, argument, None) if entries is None else entries


def item(
    module: str | None, name: str, config: Mapping[str, Any], registered: str | None = None
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
            raise refusal(f"{cls.__name__}({arguments[0]}={config[arguments[0]]!r})")
        config = {"activation": function_name(cls)} | config
    if cls.__name__ in CATEGORIES and config.get("output_mode", "int") == "int":
        return config | {"dtype": "int64"}
    return config | {"dtype": dtype}


def function_name(cls: type) -> str:
    """`SiLU` → `silu`, `HardTanh` → `hard_tanh`: Keras' function for an activation."""
    return snake_case(cls.__name__.replace("SiLU", "Silu").replace("ReLU", "Relu"))


class NotInKeras(ValueError):
    """Something of ours that Keras does not know.

    Attributes
    ----------
    reason : str
        Why, without a word of files.
    """

    def __init__(self, text: str, reason: str):
        super().__init__(f"{text}: save the model as .npz")
        self.reason = reason


def refusal(name: str, reason: str | None = None) -> NotInKeras:
    if name == "__shared__":
        once = "a layer once, in a Model in several places, in a Sequential or in two models not"
        return NotInKeras(f"a file of Keras holds {once}", f"Keras' format holds {once}")
    reason = reason or OURS.get(name, NO_SUCH)
    return NotInKeras(
        f"{name} cannot be written to a file of Keras ({reason})", f"{name}: {reason}"
    )


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
    if not isinstance(name, str):
        raise ValueError(f"its class_name is {name!r}")
    if name == "function":
        if not isinstance(config, str):
            raise ValueError(f"it names a function by {config!r}")
        return config
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
        return named(value) | {"config": found}
    if name == "Functional":
        raise ValueError("it describes a graph and not where its inputs are")
    if name in CATEGORIES and "int" in str(dtype_of(config)):
        config = {k: v for k, v in config.items() if k != "dtype"}
    config = {k: from_keras(v) for k, v in config.items() if not is_harmless(k, v)}
    config.pop("vocabulary_size", None)  # what Keras says of a vocabulary, beside it
    if name == "Sequential":
        shape = config.pop("build_input_shape", None)
        if shape and not any(is_input(layer) for layer in config.get("layers") or ()):
            config["build_shape"] = shape
    if is_input(value):
        if str(config.get("dtype")).startswith("float"):
            del config["dtype"]
        sizes = [n for n in config.get("batch_shape") or () if type(n) is int]
        if math.prod(sizes) > LARGEST:
            raise ValueError(f"it has an Input of shape {config['batch_shape']}")
    return named(value) | {"config": config}


def is_keras(value: Any) -> bool:
    """Whether the configuration of a model was written by Keras, which says so of the model or,
    where its class is a user's, of the layers."""
    if not isinstance(value, Mapping):
        return False
    config = value.get("config")
    layers = config.get("layers") if isinstance(config, Mapping) else None
    first = next(iter(layers), None) if isinstance(layers, list) else None
    parts = [v for v in (value, first) if isinstance(v, Mapping)]
    return any(str(v.get("module")).partition(".")[0] == "keras" for v in parts)


def named(value: Mapping[str, Any]) -> dict[str, Any]:
    """Which class it is: by its name, and where a user has registered it, under which."""
    found = {"class_name": value["class_name"], "module": module_of(value)}
    registered = value.get("registered_name")
    return found | {"registered_name": registered} if is_users(registered) else found


def is_input(layer: Any) -> bool:
    return isinstance(layer, Mapping) and layer.get("class_name") == "InputLayer"


def is_harmless(argument: str, value: Any) -> bool:
    """Whether an argument that our classes do not have changes nothing."""
    return any(value is v or value == v for v in THEIR_ARGUMENTS.get(argument, ()))


def is_users(registered: Any) -> bool:
    """Whether a class was registered by a user: Keras' own bear their names, or none."""
    return isinstance(registered, str) and ">" in registered


def module_of(value: Mapping[str, Any]) -> str | None:
    if is_users(value.get("registered_name")):
        return None
    module = str(value.get("module") or "")
    if module.startswith("keras.src.backend."):  # an engine's own, such as torch's Adam
        return "optimizers"
    return "models" if module == "keras" else module.removeprefix("keras.") or None


def dtype_of(config: Any) -> Any:
    """The name of a layer's dtype, which a policy may be around."""
    dtype = config.get("dtype") if isinstance(config, Mapping) else None
    policy = dtype.get("config") if isinstance(dtype, Mapping) else None
    return policy.get("name") if isinstance(policy, Mapping) else dtype


def precision(policy: Any) -> str:
    """The dtype of a policy: one for all that a layer computes."""
    name = policy.get("name") if isinstance(policy, Mapping) else None
    if name not in ("float32", "float64"):
        raise ValueError(f"its dtype policy is {name!r}, and here everything is float32 or float64")
    return name
