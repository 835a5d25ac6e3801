"""Models and weights in one ``.npz`` file: JSON and arrays, no pickle, classes from an allow-list.

A model file holds the configuration, the weights and buffers, the generators, how the model was compiled and the optimizer's
variables. Classes are found by name among the library's own and those registered or passed in `custom_objects`; nothing is
imported by name and no code in the file can run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from backprop import archive
from backprop.config import (
    FAMILIES,
    custom_object_scope,
    deserialize,
    get_custom_objects,
    register_keras_serializable,
    registered_name,
    serialize,
)
from backprop.training.checkpoint import check_weights, model_state, set_model_state, weight_names

__all__ = [
    "CustomObjectScope",
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
]

CustomObjectScope = custom_object_scope


def save_model(
    model: Any,
    filepath: str | os.PathLike,
    overwrite: bool = True,
    zipped: bool | None = None,
    *,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model to one file.

    Parameters
    ----------
    model : Sequential
    filepath : path
        Ends in ``.npz``.
    overwrite : bool, default True
        Without it an existing file is an error.
    zipped : bool, optional
        False, Keras' directory of files, is not offered.
    extra : mapping, optional
        Kept in the file beside the model, such as how inputs were prepared. JSON can hold it.

    Raises
    ------
    FileExistsError
        The file exists and `overwrite` is False.
    ValueError
        The model is not built, or the name does not end in ``.npz``.

    Examples
    --------
    >>> import os, tempfile
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     model.save(path)
    ...     bp.models.load_model(path)
    Sequential([InputLayer([2]), Dense(1)], name='sequential', dtype='float32')
    """
    if zipped is False:
        raise ValueError("zipped=False, a directory of files, is not offered: a model is one .npz file")
    refuse_overwriting(filepath, overwrite)
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so there are no weights to save: give it an Input or fit it")
    header, arrays = model_state(model)
    header["model"] = serialize(model)
    header["compile"] = compile_config(model.trainer)
    header["extra"] = dict(extra or {})
    archive.write(filepath, "model", header, arrays)


def compile_config(trainer: Any) -> dict[str, Any] | None:
    if trainer is None or trainer.loss is None:
        return None
    plain, weighted = ([m for m, is_weighted in trainer.metrics.wanted if is_weighted is w] for w in (False, True))
    return {
        "optimizer": serialize(trainer.optimizer),
        "loss": serialize(trainer.loss),
        "metrics": serialize(plain),
        "weighted_metrics": serialize(weighted),
        "loss_weights": trainer.loss_weight,
        "seed": trainer.seed,
    }


def load_model(
    filepath: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Read what `save_model` wrote.

    Parameters
    ----------
    filepath : path
    custom_objects : mapping of str to class, optional
        Classes of one's own that the file names.
    compile : bool, default True
        Also restore loss, optimizer and metrics, so that training goes on.
    safe_mode : bool, default True
        There is no unsafe mode: no file can run code.

    Raises
    ------
    FileNotFoundError
    ValueError
        The file is damaged, is no model, or names a class that is not known.
    """
    if not safe_mode:
        raise ValueError("safe_mode=False is not offered: no file of backprop can run code")
    header, arrays = archive.read(filepath, ("model",))
    with custom_object_scope(custom_objects or {}):
        model = deserialize(header["model"])
        settings = header.get("compile")
        if compile and settings:
            model.compile(
                optimizer=deserialize(settings["optimizer"]),
                loss=deserialize(settings["loss"]),
                metrics=deserialize(settings["metrics"]),
                weighted_metrics=deserialize(settings["weighted_metrics"]),
                loss_weights=settings["loss_weights"],
            )
            model.trainer.seed = settings["seed"]
    set_model_state(model, header, arrays)
    return model


def save_weights(model: Any, filepath: str | os.PathLike, overwrite: bool = True) -> None:
    """Write the weights and buffers of a model to one ``.npz`` file."""
    refuse_overwriting(filepath, overwrite)
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so there are no weights to save")
    arrays = {f"weights/{name}": p.value for name, p in weight_names(model).items()}
    archive.write(filepath, "weights", {}, arrays)


def load_weights(model: Any, filepath: str | os.PathLike, skip_mismatch: bool = False) -> None:
    """Read weights into a model of the same layers; nothing changes unless all of it fits.

    Parameters
    ----------
    model : Sequential
        Built.
    filepath : path
        Of `save_weights`, `save_model` or a checkpoint.
    skip_mismatch : bool, default False
        Leave out the weights whose shapes differ, with a warning that names them.
    """
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give it an Input or build((None, ...)) before loading weights")
    _, arrays = archive.read(filepath, ("weights", "model", "checkpoint"))
    given = {name: a for name, a in arrays.items() if name.startswith("weights/")}
    if not skip_mismatch:
        check_weights(model, given)
    elif len(given) != len(model.arrays()):
        raise ValueError(f"{str(filepath)!r} holds {len(given)} weights where {model.name} has {len(model.arrays())}")
    skipped = []
    for p, value in zip(model.arrays(), given.values(), strict=True):
        if p.shape == value.shape:
            p.value[...] = value
        else:
            skipped.append(f"{p.path} {p.shape}, in the file {value.shape}")
    if skipped:
        warnings.warn(f"load_weights() left out weights of other shapes: {'; '.join(skipped)}", stacklevel=3)


def refuse_overwriting(filepath: str | os.PathLike, overwrite: bool) -> None:
    path = archive.npz_path(filepath)
    if not overwrite and path.exists():
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to save in")


def serialize_keras_object(obj: Any) -> Any:
    """An object's configuration, as JSON can hold it."""
    return serialize(obj)


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """The object of a configuration."""
    if not safe_mode:
        raise ValueError("safe_mode=False is not offered: no configuration can run code")
    with custom_object_scope(custom_objects or {}):
        return deserialize(config)


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function was registered; its own name if it was not."""
    return registered_name(obj) or obj.__name__


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None, module_objects=None) -> Any:
    """The class or function of a name: of `custom_objects`, registered, of the library, of `module_objects`; or None."""
    for known in (custom_objects or {}, get_custom_objects(), *(f.names for f in FAMILIES.values()), module_objects or {}):
        if name in known:
            return known[name]
    return None
