"""Whole models in files: which class, how it was built and compiled, and all its numbers."""

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backprop import archive, checks
from backprop.archive import describing
from backprop.bounds import at_most
from backprop.config import (
    custom_object_scope,
    serialize,
)
from backprop.layer import Layer
from backprop.old_arguments import levels_up
from backprop.random import own_seeds
from backprop.run_state import (
    model_state,
    set_model_state,
)
from backprop.saving.compiled import compile_config, in_keras, model_of, recompile
from backprop.signing import SigningKey, check_key


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
    check_model(model, "save_model()")
    if extra is not None:
        checks.mapping(extra, "save_model()", "extra")
    if zipped is not None and not checks.flag(zipped, "save_model()", "zipped"):
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
        if compiled["without_weight_decay"]:
            warnings.warn(
                "a file of Keras does not say which weights are left out of the weight decay: call "
                "exclude_from_weight_decay() after loading it",
                stacklevel=4,
            )
        if compiled["on_nonfinite"]["policy"] != "warn":
            warnings.warn(
                "a file of Keras does not say what happens to a step that is not finite: give "
                "compile() on_nonfinite after loading it",
                stacklevel=4,
            )
    keras_files.write_model(model, path, in_keras(compiled), extra, key)


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
    checks.flag(compile, "load_model()", "compile")
    if custom_objects is not None:
        checks.mapping(custom_objects, "load_model()", "custom_objects")
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
        custom_object_scope(custom_objects),
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
    with describing(filepath), custom_object_scope(custom_objects), at_most(size):
        model = model_of(config)
        if compile and compiled:
            recompile(model, compiled)
        keras_files.read_weights(model, contents, optimizer=compile)
    return model, extra


def check_model(model: Any, who: str) -> None:
    if not isinstance(model, Layer):
        raise TypeError(
            f"{who} expects model to be a Sequential or a Model, got {reprlib.repr(model)}"
        )


def refuse_overwriting(
    filepath: str | os.PathLike, overwrite: bool, endings: tuple[str, ...]
) -> Path:
    path = archive.known_path(filepath, endings)
    if not checks.flag(overwrite, "saving", "overwrite") and path.exists():
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to save in")
    return path
