"""Models and weights in one file: JSON and arrays, no pickle, classes from an allow-list.

The native format is ``.npz``; ``.keras`` and ``.weights.h5`` are Keras' own, and in
``.safetensors`` Hugging Face and the users of PyTorch pass weights on (`backprop.interop`).

A model file holds the configuration, the weights and buffers, the generators, how the model was
compiled and the optimizer's variables; not what stateful layers carry on, which belongs to a run.
Classes are found by name among the library's own and those registered or passed in
`custom_objects`; nothing is imported by name and no code in the file can run.
"""

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backprop import archive, checks, signing
from backprop.absent import face
from backprop.archive import ModelFileError, describing
from backprop.atomic import replacing
from backprop.bounds import at_most
from backprop.config import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    register_keras_serializable,
    serialize,
)
from backprop.old_arguments import levels_up
from backprop.random import own_seeds
from backprop.registry import FAMILIES, known_as, registered_name, users_own
from backprop.run_state import (
    check_weights,
    model_state,
    path_of,
    set_model_state,
    weight_names,
    weights_and_states,
)
from backprop.signing import SigningKey, check_key
from backprop.training.hooks import is_model
from backprop.training.outputs import given_losses, given_metrics

__all__ = [
    "CustomObjectScope",
    "ModelFileError",
    "SigningKey",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "sign",
    "verify",
]

CustomObjectScope = custom_object_scope
Array = np.ndarray


def save_model(
    model: Any,
    filepath: str | os.PathLike,
    overwrite: bool = True,
    zipped: bool | None = None,
    *,
    extra: Mapping[str, Any] | None = None,
    include_optimizer: bool = True,
    save_format: str | None = None,
    key: SigningKey | None = None,
) -> None:
    """Write a model to one file.

    The file is there as a whole or, where anything fails, as it was before.

    Parameters
    ----------
    model : Sequential or Model
    filepath : path
        Ends in ``.npz``, or in ``.keras`` for a file that Keras opens (which needs the extra
        `interop`, and does not hold the generators of dropout and the like).
    overwrite : bool, default True
        Without it an existing file is an error.
    zipped : bool, optional
        False, Keras' directory of files, is not offered.
    extra : mapping, optional
        Kept in the file beside the model, such as how inputs were prepared. JSON can hold it.
    include_optimizer, save_format
        Keras' arguments of older formats, which change nothing, here and there; a warning says so.
    key : SigningKey, optional
        Signs the file, so that `load_model` with the same key takes it, and nothing else.

    Raises
    ------
    FileExistsError
        The file exists and `overwrite` is False.
    OSError
        The file cannot be written.
    TypeError
        An argument of a layer, an optimizer or a metric cannot be written.
    ValueError
        The model is not built, a function in it has no name, the file's name has another ending, or
        something in the model is unknown to Keras, whose file it is to be.

    Examples
    --------
    >>> import os, tempfile
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     model.save(path)
    ...     bp.models.load_model(path)
    Sequential([InputLayer([2]), Dense(1)], dtype='float32')
    """
    if zipped is False:
        raise ValueError("zipped=False, a directory of files, is not offered: a model is one file")
    if not checks.flag(include_optimizer, "save()", "include_optimizer"):
        warn_of_old(
            "include_optimizer", False, "load_model(compile=False) leaves the optimizer out"
        )
    if save_format is not None:
        warn_of_old("save_format", save_format, "the name of the file says it")
    check_key(key)
    path = refuse_overwriting(filepath, overwrite, archive.MODEL_FILES)
    if not model.built:
        raise ValueError(
            f"{model.name} is not built yet, so there are no weights to save: give it an Input or "
            "fit it"
        )
    if path.suffix == ".keras":
        write_keras_model(model, path, extra, key)
        return
    header, arrays = model_state(model)
    header["model"] = serialize(model)
    header["compile"] = compile_config(model)
    header["extra"] = dict(extra or {})
    archive.write(path, "model", header, arrays, key)


def warn_of_old(argument: str, value: Any, instead: str) -> None:
    warnings.warn(f"save() ignores {argument}={value!r}: {instead}", stacklevel=levels_up())


def write_keras_model(
    model: Any, path: Path, extra: Mapping[str, Any] | None, key: SigningKey | None
) -> None:
    from backprop.interop import keras_files

    compiled = compile_config(model)
    if compiled is not None:
        if compiled.pop("without_weight_decay"):
            warnings.warn(
                "a file of Keras does not say which weights are left out of the weight decay: call "
                "exclude_from_weight_decay() after loading it",
                stacklevel=4,
            )
        if compiled.pop("on_nonfinite")["policy"] != "warn":
            warnings.warn(
                "a file of Keras does not say what happens to a step that is not finite: give "
                "compile() on_nonfinite after loading it",
                stacklevel=4,
            )
        del compiled["seed"]
        compiled |= {"run_eagerly": False, "steps_per_execution": 1, "jit_compile": "auto"}
    keras_files.write_model(model, path, compiled, extra, key)


def compile_config(model: Any) -> dict[str, Any] | None:
    """How a model was compiled: what `load_model` compiles it with."""
    trainer = model.trainer
    if trainer is None or trainer.loss is None:
        return None
    plain, weighted = (given_metrics(trainer.metrics, weighted) for weighted in (False, True))
    loss, loss_weights = given_losses(trainer)
    excluded = [i for i, p in enumerate(trainable(model)) if trainer.optimizer._excludes(p)]
    return {
        "optimizer": serialize(trainer.optimizer),
        "without_weight_decay": excluded,  # by number, however they were chosen
        "loss": serialize(loss),
        "metrics": serialize(plain),
        "weighted_metrics": serialize(weighted),
        "loss_weights": loss_weights,
        "on_nonfinite": trainer.on_nonfinite.get_config(),
        "seed": trainer.seed,
    }


def trainable(model: Any) -> list[Any]:
    """The model's parameters in order, without its buffers."""
    return [p for p in model.arrays() if p.gradient is not None]


def load_model(
    filepath: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    key: SigningKey | None = None,
) -> Any:
    """Read what `save_model` wrote.

    Parameters
    ----------
    filepath : path
        An ``.npz`` file, or a ``.keras`` file of this library or of Keras.
    custom_objects : mapping of str to class or function, optional
        Classes and functions of one's own that the file names.
    compile : bool, default True
        Also restore loss, optimizer and metrics, so that training goes on bit for bit.
    safe_mode : bool, default True
        Changes nothing: no file can run code, and one that holds code is refused either way.
    key : SigningKey, optional
        The file must have been signed with it: one that was not is refused. Without a key
        signatures are not looked at.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ModelFileError
        The file is damaged, is no model, names a class that is not known, or is not signed with
        the key. A ValueError.
    """
    checks.flag(safe_mode, "load_model()", "safe_mode")
    return read_model(filepath, custom_objects, compile, key)[0]


def read_model(
    filepath: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    key: SigningKey | None = None,
) -> tuple[Any, dict[str, Any]]:
    """The model of a file, and what was kept beside it as `extra`."""
    if archive.known_path(filepath, archive.MODEL_FILES).suffix == ".keras":
        return read_keras_model(filepath, custom_objects, compile, key)
    header, arrays = archive.read(filepath, ("model",), key)
    size = sum(a.size for name, a in arrays.items() if name.startswith("weights/"))
    # nothing is taken from the process' seeds: the generators come from the file
    with (
        describing(filepath),
        custom_object_scope(custom_objects or {}),
        at_most(size),
        own_seeds(0),
    ):
        model = model_of(header["model"])
        if compile and header["compile"]:
            recompile(model, header["compile"])
        set_model_state(model, header, arrays)
        return model, dict(header["extra"])


def read_keras_model(
    filepath: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None,
    compile: bool,
    key: SigningKey | None,
) -> tuple[Any, dict[str, Any]]:
    from backprop.interop import keras_files

    path = archive.existing(filepath)
    config, compiled, contents, extra = keras_files.read_model(path, key)
    size = len(contents) // 4  # so many numbers of float32, at the most
    with describing(filepath), custom_object_scope(custom_objects or {}), at_most(size):
        model = model_of(config)
        if compile and compiled:
            recompile(model, compiled)
        keras_files.read_weights(model, contents, optimizer=compile)
    return model, extra


def model_of(config: Any) -> Any:
    model = deserialize(config)
    if not is_model(model):
        raise ValueError(f"it holds {reprlib.repr(model)}, which is no model")
    return model


def described(config: Any) -> Any:
    """The model that a description alone makes, one of ours or one of Keras, which may say how it
    was compiled."""
    from backprop.interop.keras_configs import from_keras, is_keras

    if not is_keras(config):
        return model_of(config)
    model, compiled = model_of(from_keras(config)), from_keras(config.get("compile_config"))
    if compiled:
        recompile(model, compiled)
    return model


def recompile(model: Any, settings: Mapping[str, Any]) -> None:
    """Compile as `compile_config` says."""
    plain, weighted = (deserialize(settings.get(k)) or () for k in ("metrics", "weighted_metrics"))
    model.compile(
        optimizer=deserialize(settings["optimizer"]),
        loss=deserialize(settings["loss"]),
        metrics=plain,
        weighted_metrics=weighted,
        loss_weights=settings.get("loss_weights"),
        on_nonfinite=settings.get("on_nonfinite", "warn"),
    )
    parameters = trainable(model)
    excluded = [parameters[i] for i in settings.get("without_weight_decay", ())]
    if excluded:
        model.optimizer.exclude_from_weight_decay(excluded)
    if "seed" in settings:  # Keras' own configuration has none
        model.trainer.seed = whole(settings["seed"])


def whole(seed: Any) -> int:
    if type(seed) is not int or seed < 0:
        raise ValueError(f"its seed is {seed!r}")
    return seed


def save_weights(
    model: Any,
    filepath: str | os.PathLike,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    *,
    names: Mapping[str, Any] | None = None,
    key: SigningKey | None = None,
) -> None:
    """Write the weights and buffers of a model to one file.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    filepath : path
        Ends in ``.npz``, in ``.weights.h5`` for a file of Keras, or in ``.safetensors``.
    overwrite : bool, default True
        Without it an existing file is an error.
    max_shard_size : None
        Keras' argument for several files, which `load_weights` reads and nothing here writes.
    names : mapping of str to str or (str, tuple of int), optional
        For ``.safetensors`` files, where a weight is called after the layers that it stands in,
        ``"dense/kernel"``: the names that others know some of them by, and the order in which
        they have its axes, ``{"dense/kernel": ("0.weight", (1, 0)), "dense/bias": "0.bias"}``.
    key : SigningKey, optional
        Signs the file. A ``.safetensors`` file has no place for a signature.

    Raises
    ------
    FileExistsError
        The file exists and `overwrite` is False.
    OSError
        The file cannot be written.
    ValueError
        The model is not built, the file's name has another ending, or `names` or `key` is not for
        such a file.

    Examples
    --------
    >>> import os, tempfile
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(3)])
    >>> names = {"dense/kernel": ("0.weight", (1, 0)), "dense/bias": "0.bias"}  # PyTorch's
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "linear.safetensors")
    ...     model.save_weights(path, names=names)
    ...     model.load_weights(path, names=names)
    """
    check_key(key)
    if max_shard_size is not None:
        raise ValueError(
            "max_shard_size is not offered: weights are written to one file. load_weights() reads "
            "those that Keras wrote to several"
        )
    path = refuse_overwriting(filepath, overwrite, archive.WEIGHT_FILES)
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so there are no weights to save")
    check_names(path, names, key)
    if path.suffix == archive.SAFETENSORS:
        from backprop.interop import safetensors_files

        safetensors_files.write_weights(model, path, names)
        return
    if path.suffix == ".h5":
        from backprop.interop import keras_files

        keras_files.write_weights(model, path, key)
        return
    arrays = {f"weights/{name}": p.value for name, p in weight_names(model).items()}
    archive.write(path, "weights", {}, arrays, key)


def check_names(path: Path, names: Mapping[str, Any] | None, key: SigningKey | None) -> None:
    """Raise unless what was given is for a file of this kind."""
    safetensors = path.suffix == archive.SAFETENSORS
    if names is not None and not safetensors:
        raise ValueError(f"names is for {archive.SAFETENSORS} files, got {str(path)!r}")
    if key is not None and safetensors:
        raise ValueError(
            f"a {archive.SAFETENSORS} file has no place for a signature, and a key was given: "
            f"{str(path)!r}"
        )


def load_weights(
    model: Any,
    filepath: str | os.PathLike,
    skip_mismatch: bool = False,
    *,
    by_name: bool | None = None,
    objects_to_skip: Sequence[Any] | None = None,
    names: Mapping[str, Any] | None = None,
    key: SigningKey | None = None,
) -> None:
    """Read weights into a model of the same layers; nothing changes unless all of it fits.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    filepath : path
        Of `save_weights`, `save_model` or a checkpoint; a ``.weights.h5``, ``.weights.json`` or
        ``.keras`` file of Keras, or an ``.h5`` file of Keras 2, of weights or a whole model; or a
        ``.safetensors`` file, of float64, float32, float16 or bfloat16.
    skip_mismatch : bool, default False
        Take what fits, with a warning that names the rest. Weights meet in their order, or by the
        names of their layers where there are more in the one than in the other; in
        ``.safetensors`` files always by their names.
    by_name : bool, optional
        For ``.h5`` files of Keras 2: True for the layers whose names are in the file, which leaves
        the others as they are. Default: all layers with weights, in their order.
    objects_to_skip : sequence of Layer, optional
        For ``.weights.h5`` files: layers that are left as they are.
    names : mapping of str to str or (str, tuple of int), optional
        For ``.safetensors`` files: what weights are called in the file, as in `save_weights`.
    key : SigningKey, optional
        The file must have been signed with it: one that was not is refused. Without a key
        signatures are not looked at.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ValueError
        The file is damaged, holds no weights or is not signed with the key, they are not those of
        the model, or `by_name`, `objects_to_skip` or `names` is for other files.
    """
    if not model.built:
        raise ValueError(
            f"{model.name} is not built yet: give it an Input or build((None, ...)) before loading "
            "weights"
        )
    path = archive.known_path(filepath, archive.READABLE_WEIGHTS)
    if objects_to_skip is not None and not path.name.endswith((".weights.h5", ".weights.json")):
        raise ValueError(f"objects_to_skip is for .weights.h5 files, got {str(filepath)!r}")
    check_names(path, names, key)
    if by_name is not None and path.suffix in (".npz", archive.SAFETENSORS):
        raise ValueError(f"by_name is for .h5 files of Keras 2, got {str(filepath)!r}")
    if path.suffix == archive.SAFETENSORS:
        from backprop.interop import safetensors_files

        path = archive.existing(path)
        warn_left_out(safetensors_files.load_weights(model, path, skip_mismatch, names))
        return
    if path.suffix != ".npz":
        from backprop.interop import keras_files

        left_out = keras_files.load_weights(
            model, archive.existing(path), skip_mismatch, by_name, objects_to_skip, key
        )
        warn_left_out(left_out)
        return
    _, arrays = archive.read(filepath, ("weights", "model", "checkpoint"), key)
    given, _ = weights_and_states(model, arrays)
    if not skip_mismatch:
        with archive.faults_named(filepath):
            check_weights(model, given)
    pairs, left_out = matched(model, given)
    with np.errstate(
        over="ignore"
    ):  # float64 that float32 cannot hold is infinite there, as it was said to be
        values = [a.astype(p.value.dtype) for p, a in pairs]
    for (p, _), value in zip(pairs, values, strict=True):
        p.value[...] = value
    warn_left_out(left_out)


def warn_left_out(left_out: list[str]) -> None:
    if left_out:
        warnings.warn(
            f"load_weights() left out what does not fit: {'; '.join(left_out)}", stacklevel=4
        )


def matched(model: Any, given: Mapping[str, Array]) -> tuple[list[tuple[Any, Array]], list[str]]:
    """The model's parameters with the arrays for them, and what has no partner."""
    wanted = weight_names(model)
    if len(given) == len(wanted):
        partners = dict(zip(wanted, given.values(), strict=True))
    else:
        by_path = {path_of(name): a for name, a in given.items()}
        partners = {name: by_path.get(p.path) for name, p in wanted.items()}
    pairs, left_out = [], []
    for name, p in wanted.items():
        a = partners[name]
        if a is not None and a.shape == p.shape:
            pairs.append((p, a))
        else:
            left_out.append(
                f"{p.path} {p.shape}, in the file {'nothing' if a is None else a.shape}"
            )
    return pairs, left_out


def sign(filepath: str | os.PathLike, key: SigningKey) -> None:
    """Sign a file that is there, or sign it anew: model, weights or checkpoint.

    Parameters
    ----------
    filepath : path
        An ``.npz``, ``.keras`` or ``.h5`` file. It is replaced as a whole.
    key : SigningKey

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read or written.
    ModelFileError
        It is none of these.
    """
    check_key(key, needed=True)
    path = archive.existing(filepath)
    with archive.faults_named(path):
        contents = signing.unsigned(path.read_bytes())
        with replacing(path, lambda file: signing.unsigned(file.read()) == contents) as file:
            file.write(contents)
            signing.seal(file, key)


def verify(filepath: str | os.PathLike, key: SigningKey) -> None:
    """Raise unless a file was signed with the key, and not a bit of it changed since.

    To read a file that others may change at any time, give the key to `load_model`: what it reads
    is what it verified.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ModelFileError
        It is not signed, or not with this key.
    """
    check_key(key, needed=True)
    path = archive.existing(filepath)
    with archive.faults_named(path):
        signing.contents_of(path, key)


def refuse_overwriting(
    filepath: str | os.PathLike, overwrite: bool, endings: tuple[str, ...]
) -> Path:
    path = archive.known_path(filepath, endings)
    if not checks.flag(overwrite, "saving", "overwrite") and path.exists():
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to save in")
    return path


def serialize_keras_object(obj: Any) -> Any:
    """An object's configuration, as JSON can hold it."""
    return serialize(obj)


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object of a configuration. `safe_mode` changes nothing: none can run code."""
    checks.flag(safe_mode, "deserialize_keras_object()", "safe_mode")
    with custom_object_scope(custom_objects or {}):
        return deserialize(config)


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function was registered; its own name if it was not."""
    return registered_name(obj) or obj.__name__


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects=None
) -> Any:
    """The class or function of a name: of `custom_objects`, registered, of the library, of
    `module_objects`; or None."""
    with custom_object_scope(custom_objects or {}):
        found = known_as(name)
    families = (family.names for family in FAMILIES.values())
    for known in (*families, module_objects or {}) if found is None else ():
        if name in known:
            return known[name]
    return found or users_own(name)


__getattr__, __dir__ = face(__name__, __all__)
