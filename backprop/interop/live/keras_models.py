"""Models of Keras 3, in memory, as models of this library, and the other way.

Both ways lead through Keras' own format: it says what a layer is, how the model was compiled, and
where each array lies, moments of the optimizer and vocabularies among them. Before it is written,
every layer is looked at by itself, so that one error names all that cannot be converted.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backprop import losses, metrics, optimizers
from backprop.config import custom_object_scope, deserialize, serialize
from backprop.defaults import float_dtype, floatx
from backprop.interop import keras_configs, keras_files
from backprop.interop.keras_calls import called, ends_in
from backprop.interop.keras_graphs import entries_of, is_graph
from backprop.interop.keras_operators import without_operations
from backprop.models.base import BaseModel
from backprop.nest import leaves
from backprop.random import own_seeds
from backprop.saving import load_model
from backprop.saving.compiled import compile_config, in_keras

Faults = Iterator[tuple[str, str]]  # the place of a layer, and why it cannot be converted

OWN_CALL = "its class has a call() of its own: Sequential and functional models are converted"
CODE = "it is code of Keras: draw what it does with layers, or write a layer here"
BY_SHAPE = {"accuracy", "acc", "crossentropy", "ce"}  # metrics that compile chooses
NEED_TENSORFLOW = {
    *("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"),
}
SETTINGS = ("optimizer", "loss", "metrics", "weighted_metrics")


def from_keras(
    model: Any,
    *,
    compile: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """A model of Keras as one of this library: the same layers, weights and settings.

    Parameters
    ----------
    model : keras.Sequential or keras.Model
        Sequential or functional, and built. It stays as it is.
    compile : bool, default True
        Also take over optimizer, with what it remembers, loss, metrics and the loss' weights, so
        that training goes on where it was.
    custom_objects : mapping of str to class or function, optional
        Classes and functions of this library that stand for the user's own of the same names.

    Returns
    -------
    Sequential or Model
        Its outputs are those of `model` to 1e-5. Generators, of dropout and the like, begin anew.

    Raises
    ------
    TypeError
        It is no model of Keras.
    ValueError
        It is not built, or cannot be converted: the error names every layer and setting, and why,
        and nothing was made.
    ImportError
        keras, or h5py, is not installed: ``pip install "backprop[keras]"``.

    Examples
    --------
    >>> import keras  # doctest: +SKIP
    >>> from backprop.interop import from_keras
    >>> theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])  # doctest: +SKIP
    >>> ours = from_keras(theirs)  # doctest: +SKIP
    >>> ours.layers[-1].units, ours.count_params()  # doctest: +SKIP
    (2, 8)
    """
    keras = package()
    if not isinstance(model, keras.Model):
        raise TypeError(f"from_keras() expects a model of Keras, got {type(model).__name__}")
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so it has no weights: give it an Input")
    with custom_object_scope(custom_objects), own_seeds(0):
        refuse(model.name, "to this library", [*faults_of_keras(keras, model, compile)])
    with exchanged() as path:
        model.save(path)
        made = load_model(path, custom_objects, compile=compile)
    if compile and made.optimizer is not None:
        decays = model.optimizer._use_weight_decay
        pairs = zip(in_training(made), model.trainable_variables, strict=True)
        excluded = [p for p, variable in pairs if not decays(variable)]
        if excluded:
            made.optimizer.exclude_from_weight_decay(excluded)
    return made


def to_keras(
    model: Any,
    *,
    compile: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """A model of this library as one of Keras: the same layers, weights and settings.

    Parameters
    ----------
    model : Sequential or Model
        Built. It stays as it is.
    compile : bool, default True
        Also take over optimizer, with what it remembers, loss, metrics and the loss' weights.
    custom_objects : mapping of str to class or function, optional
        Keras' classes and functions that stand for the user's own of the same names.

    Returns
    -------
    keras.Sequential or keras.Model
        Its outputs are those of `model` to 1e-5.

    Warns
    -----
    UserWarning
        ``compile(on_nonfinite=...)`` is not "warn", the default: Keras has nothing like it.

    Raises
    ------
    TypeError
        It is no model of this library.
    ValueError
        It is not built, or Keras has not what is in it: the error names every layer, and why, and
        nothing was made.
    ImportError
        keras, or h5py, is not installed: ``pip install "backprop[keras]"``.

    Examples
    --------
    >>> import backprop as bp
    >>> from backprop.interop import to_keras
    >>> ours = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2, "relu")])
    >>> to_keras(ours).count_params()  # doctest: +SKIP
    8
    """
    keras = package()
    if not isinstance(model, BaseModel):
        raise TypeError(f"to_keras() expects a model of this library, got {type(model).__name__}")
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so it has no weights: give it an Input")
    dtype = (model.dtype or float_dtype(floatx())).name
    compiled = compile_config(model) if compile else None
    counterparts = Counterparts(keras, dtype, custom_objects or {})
    refuse(model.name, "to Keras", [*counterparts.faults(model, compiled)])
    if compiled is not None and compiled["on_nonfinite"]["policy"] != "warn":
        warnings.warn("Keras has no on_nonfinite: it takes every step", stacklevel=2)
    with exchanged() as path:
        try:
            keras_files.write_model(model, path, in_keras(compiled))
        except keras_configs.NotInKeras as error:  # what a layer alone does not show
            refuse(model.name, "to Keras", [(model.name, error.reason)])
        made = keras.saving.load_model(path, custom_objects, compile=compile)
    if compiled is not None and compiled["without_weight_decay"]:
        pairs = zip(in_training(model), made.trainable_variables, strict=True)
        excluded = [variable for p, variable in pairs if model.optimizer._excludes(p)]
        made.optimizer.exclude_from_weight_decay(excluded)
    return made


def package() -> Any:
    """The package keras, which the extra `keras` brings."""
    try:
        import h5py  # noqa: F401 - the files need it, and a name that is not there is said here
        import keras
    except ImportError as error:
        raise ImportError(
            'models of Keras are converted by keras: pip install "backprop[keras]", and '
            f"KERAS_BACKEND names the engine where it is not TensorFlow ({error})"
        ) from error
    return keras


@contextmanager
def exchanged() -> Iterator[Path]:
    """A file that one library writes and the other reads.

    Keras knows the parts of a file by their addresses, and one that a collected layer has left
    makes two layers the same: nothing is collected meanwhile.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "model.keras"
    finally:
        if collects:
            gc.enable()


def refuse(name: str, where: str, faults: list[tuple[str, str]]) -> None:
    if faults:
        lines = "\n".join(f"  {at}: {why}" for at, why in faults)
        raise ValueError(f"{name} cannot be converted {where}:\n{lines}")


def in_training(model: Any) -> list[Any]:
    """The parameters that are trained, in the order that Keras has them in too."""
    return [p for p in model.arrays() if p.trainable]


# ----------------------------------------------------------------------------------- Keras' → ours


def faults_of_keras(keras: Any, model: Any, compile: bool) -> Faults:
    """What of a model of Keras has no counterpart here."""
    config: Any = None
    try:
        with warnings.catch_warnings(action="ignore"):  # of code, which is refused here
            config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    except Exception as error:  # a user's get_config raises anything
        yield from faults_of_configs(keras, model, error)
    if config is not None:
        yield from faults_in(config, "")
    settings = (config or {}).get("compile_config") if compile else None
    for name in SETTINGS if settings else ():
        reason = fault_of(lambda name=name: settled(name, (settings or {}).get(name)))
        if reason:
            yield f"compile({name}=...)", reason


def settled(name: str, value: Any) -> None:
    """Try whether a setting is known here; a name is looked up in its family."""
    found = {"optimizer": optimizers.get, "loss": losses.get}.get(name, metrics.get)
    for one in leaves(deserialize(keras_configs.from_keras(value))):
        if isinstance(one, str) and one not in BY_SHAPE:
            found(one)


def faults_of_configs(keras: Any, model: Any, error: Exception) -> Faults:
    """The layers that say nothing of themselves."""
    found = False
    for layer in model.layers:
        reason = fault_of(lambda layer=layer: keras.saving.serialize_keras_object(layer))
        if reason:
            found = True
            yield layer.name, f"its configuration cannot be read: {reason}"
    if not found:
        yield model.name, f"its configuration cannot be read: {error}"


def faults_in(config: Mapping[str, Any], at: str) -> Faults:
    """What in the configuration of a model of Keras is not known here, layer by layer."""
    inner = config["config"]
    if not isinstance(inner, Mapping) or "layers" not in inner:
        yield at or str(inner.get("name", config["class_name"])), OWN_CALL
        return
    entries, given = inner["layers"], [[] for _ in inner["layers"]]
    if "input_layers" in inner:
        goals = {name for name, *_ in ends_in(inner["output_layers"], "output_layers")}
        entries, given = entries_of(inner, goals)
    for i, (entry, calls) in enumerate(zip(entries, given, strict=True)):
        name = str(entry["config"].get("name") or entry["class_name"])
        here = f"{at}/{name}".lstrip("/")
        if "layers" in entry["config"]:
            yield from faults_in(entry, here)
            continue
        reason = fault_of(lambda e=entry, c=calls, i=i, n=name: translated(e, c, i, n))
        if reason:
            yield here, reason


def translated(entry: Mapping[str, Any], calls: list, i: int, name: str) -> None:
    """Make a layer from its configuration, and read its calls."""
    if entry["class_name"] == "Lambda":
        raise ValueError(CODE)
    plain, arguments = without_operations(entry, calls)
    layer = keras_configs.from_keras(plain)
    for number, call in enumerate(arguments):
        called(layer, i, name, number, *call)
    deserialize(layer)


def fault_of(attempt: Callable[[], Any]) -> str | None:
    """What goes wrong with something, if anything does."""
    try:
        attempt()
    except Exception as error:  # constructors that were given anything at all raise anything at all
        return getattr(error, "reason", None) or str(error) or type(error).__name__
    return None


# ----------------------------------------------------------------------------------- ours → Keras'


class Counterparts:
    """What of a model of this library Keras has.

    Parameters
    ----------
    keras : module
    dtype : str
        Of the model.
    custom : mapping
        Keras' classes that stand for the user's own.
    """

    def __init__(self, keras: Any, dtype: str, custom: Mapping[str, Any]):
        self.keras, self.dtype, self.custom = keras, dtype, custom

    def faults(self, model: Any, compiled: Mapping[str, Any] | None) -> Faults:
        own = fault_of(lambda: self.look_up({**serialize(model), "module": None}))
        if own:
            yield model.name, own
        yield from self.faults_within(model, "")
        for name in SETTINGS if compiled else ():
            reason = fault_of(lambda name=name: self.known((compiled or {})[name], None, False))
            if reason:
                yield f"compile({name}=...)", reason

    def faults_within(self, model: Any, at: str) -> Faults:
        graph = is_graph(model)
        for layer in model._wiring.layers if graph else model.layers:
            here = f"{at}/{layer.name}".lstrip("/")
            if is_graph(layer) or type(layer).__name__ in ("Chain", "Sequential"):
                yield from self.faults_within(layer, here)
                continue
            reason = fault_of(lambda layer=layer: self.known(serialize(layer), layer, graph))
            if reason:
                yield here, reason

    def known(self, config: Any, made: Any, called: bool) -> None:
        """Raise unless Keras has what a configuration says."""
        waiting = [keras_configs.to_keras(config, self.dtype, made, called)]
        while waiting:
            found = waiting.pop()
            if isinstance(found, Mapping):
                self.look_up(found)
                waiting += found.values()
            elif isinstance(found, list | tuple):
                waiting += found

    def look_up(self, found: Mapping[str, Any]) -> None:
        """Raise unless Keras has a class."""
        name, registered = found.get("class_name"), found.get("registered_name")
        if name in NEED_TENSORFLOW and importlib.util.find_spec("tensorflow") is None:
            raise ValueError(f"{name}: Keras needs TensorFlow for it, which is not installed")
        name = found["config"] if name == "function" else name
        known = self.keras.saving.get_registered_object
        if registered is None or found.get("module") is not None or name in self.custom:
            return
        if known(registered, self.custom) is None:
            raise ValueError(
                f"{name}: it is your own: hand over what Keras has of that name, "
                f"custom_objects={{{name!r}: ...}}, or register it there as {registered!r}"
            )
