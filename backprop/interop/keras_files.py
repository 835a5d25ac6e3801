"""Keras' own files: ``.keras``, a model, and ``.weights.h5``, its weights.

A ``.keras`` file is a zip of three members: ``config.json``, ``metadata.json`` and
``model.weights.h5``. Keras opens what is written here, and the other way round. Nothing in a file
is trusted: members are stored as they are and never unpacked to a path, classes come from the
library's own names and the caller's, no code is read.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from backprop import archive
from backprop.config import serialize
from backprop.defaults import float_dtype, floatx
from backprop.interop import keras_weights
from backprop.interop.keras_configs import from_keras, is_input, item, to_keras
from backprop.interop.keras_weights import hdf5

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# the oldest Keras that reads files as they are written here
KERAS_VERSION = "3.8.0"


def write_model(model: Any, path: Any, compiled: Mapping[str, Any] | None) -> None:
    """Write a model as Keras does.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    path : path
        Ends in ``.keras``.
    compiled : mapping or None
        How the model was compiled: optimizer, loss, metrics, as configurations.

    Raises
    ------
    ValueError
        Something in the model is unknown to Keras, by name.
    ImportError
        h5py is not installed.
    """
    dtype = (model.dtype or float_dtype(floatx())).name
    config = to_keras(serialize(model), dtype, model)
    layers = config["config"]["layers"]
    if not any(is_input(layer) for layer in layers[:1]):
        shape = {"batch_shape": list(model.input_shape)}
        kind = {"dtype": "int32" if model.integer_input else dtype}
        layers.insert(0, item("keras.layers", "InputLayer", shape | kind))
    if compiled is not None:
        config["compile_config"] = to_keras(dict(compiled), dtype)
    metadata = {"keras_version": KERAS_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    members = {
        METADATA: archive.as_json(metadata).encode(),
        CONFIG: archive.as_json(config).encode(),
        WEIGHTS: keras_weights.as_bytes(model),
    }
    with archive.replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        for name, contents in members.items():
            zipped.writestr(name, contents)


def read_model(path: Any) -> tuple[Any, Mapping[str, Any] | None, bytes]:
    """The configuration of a model as `deserialize` takes it, how it was compiled, and the contents
    of its weights' file."""
    with damage_named(path), open(path, "rb") as file, zipfile.ZipFile(file) as zipped:
        members = read_members(zipped, os.fstat(file.fileno()).st_size)
        config = json.loads(members[CONFIG].decode())
        if not isinstance(config, dict):
            raise ValueError("it holds no configuration")
        compiled = config.get("compile_config")
        return from_keras(config), compiled and from_keras(compiled), members[WEIGHTS]


def read_members(zipped: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    infos = {info.filename: info for info in zipped.infolist()}
    if len(infos) != len(zipped.infolist()):
        raise ValueError("two members have the same name")
    strangers = sorted(set(infos) - {CONFIG, METADATA, WEIGHTS})
    if strangers:
        raise ValueError(f"it holds {strangers[0]!r}, which a model of layers here has no use for")
    if not {CONFIG, WEIGHTS} <= set(infos):
        raise ValueError(f"it has no {CONFIG} or no {WEIGHTS}, so it is no model of Keras")
    for info in infos.values():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            raise ValueError(f"its member {info.filename!r} is compressed: Keras stores members")
    return {name: zipped.read(name) for name in (CONFIG, WEIGHTS)}


def read_weights(model: Any, contents: bytes, *, optimizer: bool) -> None:
    """Put weights, and what the optimizer remembered, into a model of the same layers; nothing
    changes unless all of it fits."""
    with opened(contents) as found:
        matched, strangers = keras_weights.pairs(model, found.weights())
        if strangers:
            raise ValueError(f"its weights are not those of {model.name}: {'; '.join(strangers)}")
        remembered = found.optimizer() if optimizer else {}
        if remembered and model.trainer is not None:
            model.trainer.optimizer.build(model.parameters)
            model.trainer.optimizer.load_own_variables(remembered)
        keras_weights.take(matched)


def read_matching_weights(model: Any, contents: bytes) -> list[str]:
    """Put what fits into a model; returns what did not."""
    with opened(contents) as found:
        matched, strangers = keras_weights.pairs(model, found.weights())
        keras_weights.take(matched)
    return strangers


def weights_of(path: Any) -> bytes:
    """The HDF5 of a ``.weights.h5`` or of a ``.keras`` file."""
    return read_model(path)[2] if path.suffix == ".keras" else path.read_bytes()


def write_weights(model: Any, path: Any) -> None:
    """Write the weights of a model, and what its optimizer remembers, as Keras does."""
    contents = keras_weights.as_bytes(model)
    with archive.replacing(path) as file:
        file.write(contents)


@contextmanager
def opened(contents: bytes) -> Iterator[keras_weights.Found]:
    """The arrays of an HDF5 file."""
    try:
        with hdf5().File(io.BytesIO(contents), "r") as file:
            yield keras_weights.Found(file)
    except (OSError, KeyError, RuntimeError) as error:  # what h5py raises for damage
        raise ValueError(f"its HDF5 is damaged: {error}") from error


@contextmanager
def damage_named(path: Any) -> Iterator[None]:
    """Every fault of a file as a ValueError that names it."""
    try:
        yield
    except (*archive.DAMAGE, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is damaged or no file of Keras: {error}") from error
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error
