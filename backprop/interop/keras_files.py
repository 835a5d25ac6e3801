"""Keras' own files: ``.keras``, a model, and ``.weights.h5``, its weights.

A ``.keras`` file is a zip of three members: ``config.json``, ``metadata.json`` and
``model.weights.h5``. Keras opens what is written here, and the other way round. Nothing in a file
is trusted: members are stored as they are and never unpacked to a path, classes come from the
library's own names and the caller's, no code is read.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backprop import archive, signing
from backprop.atomic import replacing
from backprop.config import serialize
from backprop.defaults import float_dtype, floatx
from backprop.interop import keras_assets, keras_legacy, keras_weights
from backprop.interop.hdf5 import opened
from backprop.interop.keras_configs import from_keras, is_input, item, to_keras
from backprop.signing import SigningKey, seal

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
OURS = "backprop"  # the entry of the metadata for what is kept beside a model
# the oldest Keras that reads files as they are written here
KERAS_VERSION = "3.8.0"
SHARD = ".weights.h5"
SHARDS, LONGEST = 4096, 200  # that one file may name, and letters of a name
NOT_BY_NAME = (
    "by_name is for files in the layout of Keras 2 (.h5): here weights have their places by the "
    "order of the layers, and skip_mismatch=True takes those that fit"
)


def write_model(
    model: Any,
    path: Any,
    compiled: Mapping[str, Any] | None,
    extra: Mapping[str, Any] | None = None,
    key: SigningKey | None = None,
) -> None:
    """Write a model as Keras does.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    path : path
        Ends in ``.keras``.
    compiled : mapping or None
        How the model was compiled: optimizer, loss, metrics, as configurations.
    extra : mapping, optional
        What is kept beside it, among the metadata, where Keras has no eye for it.
    key : SigningKey, optional
        Signs the file.

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
    saved = time.strftime("%Y-%m-%d@%H:%M:%S")
    metadata: dict[str, Any] = {"keras_version": KERAS_VERSION, "date_saved": saved}
    if extra:
        metadata[OURS] = dict(extra)
    members = {
        METADATA: archive.as_json(metadata).encode(),
        CONFIG: archive.as_json(config).encode(),
        WEIGHTS: keras_weights.as_bytes(model),
    }
    with replacing(path, archive.is_whole) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
            for name, contents in members.items():
                zipped.writestr(name, contents)
        seal(file, key)


def read_model(
    path: Any, key: SigningKey | None = None
) -> tuple[Any, Mapping[str, Any] | None, bytes, dict[str, Any]]:
    """The configuration of a model as `deserialize` takes it, how it was compiled, the contents of
    its weights' file, and what was kept beside it; of a file that was signed with the key, if there
    is one."""
    with archive.faults_named(path, "Keras"):
        members = contents_of_archive(path, key)
        config = json.loads(members[CONFIG].decode())
        if not isinstance(config, dict):
            raise ValueError("it holds no configuration")
        words = keras_assets.vocabularies(members)
        if words:
            with opened(members[WEIGHTS]) as found:
                idf = keras_assets.weights_of_tokens(found.datasets)
            keras_assets.supplied(config, words, idf)
        compiled = config.get("compile_config")
        extra = json.loads(members.get(METADATA, b"{}").decode()).get(OURS, {})
        with archive.describing(path):  # a configuration may be anything
            ours, compiled = from_keras(config), compiled and from_keras(compiled)
        return ours, compiled, members[WEIGHTS], dict(extra)


def contents_of_archive(path: Any, key: SigningKey | None) -> dict[str, bytes]:
    with signing.opened(path, key) as file, zipfile.ZipFile(file) as zipped:
        return read_members(zipped, file.seek(0, os.SEEK_END))


def read_members(zipped: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    infos = {info.filename: info for info in zipped.infolist()}
    if len(infos) != len(zipped.infolist()):
        raise ValueError("two members have the same name")
    words = {name for name in infos if keras_assets.NAME.fullmatch(name)}
    strangers = sorted(set(infos) - {CONFIG, METADATA, WEIGHTS} - words)
    if strangers:
        raise ValueError(f"it holds {strangers[0]!r}, which a model of layers here has no use for")
    if not {CONFIG, WEIGHTS} <= set(infos):
        raise ValueError(f"it has no {CONFIG} or no {WEIGHTS}, so it is no model of Keras")
    for info in infos.values():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"its member {info.filename!r} is compressed: Keras stores members")
    if sum(info.file_size for info in infos.values()) > size:
        raise ValueError("its members are larger than the file")
    return {name: zipped.read(name) for name in infos}


def read_weights(model: Any, contents: bytes, *, optimizer: bool) -> None:
    """Put weights, and what the optimizer remembered, into a model of the same layers; nothing
    changes unless all of it fits."""
    with opened(contents) as found:
        matched = all_of(model, *keras_weights.pairs(model, keras_weights.weights_in(found)))
        if optimizer and model.trainer is not None and "optimizer/vars/0" in found.datasets:
            model.trainer.optimizer.build(model.parameters)
            keras_weights.take_up(model.trainer.optimizer, found)
        keras_weights.take(matched)


def load_weights(
    model: Any,
    path: Path,
    skip_mismatch: bool,
    by_name: bool | None = None,
    skipped: Sequence[Any] | None = None,
    key: SigningKey | None = None,
) -> list[str]:
    """Put the weights of a file into a model; what was left out, as text.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    path : Path
        Of a ``.weights.h5``, ``.weights.json``, ``.keras`` or ``.h5`` file.
    skip_mismatch : bool
        Whether what does not fit is left out instead of an error.
    by_name : bool, optional
        In the layout of Keras 2, whether layers meet by their names. In no other.
    skipped : sequence of Layer, optional
        Layers that are left as they are. Not in the layout of Keras 2.
    key : SigningKey, optional
        The file must have been signed with it.
    """
    left = [p for layer in skipped or () for p in layer.arrays()]
    with archive.faults_named(path, "Keras"), opened(*contents_of(path, key)) as found:
        if keras_legacy.root_of(found) is not None:
            if skipped is not None:
                raise ValueError("objects_to_skip is not for the layout of Keras 2")
            way = keras_legacy.by_name if by_name else keras_legacy.in_order
            matched, left_out = way(model, keras_legacy.Layers(found), skip_mismatch)
        else:
            if by_name is not None:
                raise ValueError(NOT_BY_NAME)
            matched, left_out = keras_weights.pairs(model, keras_weights.weights_in(found), left)
            if not skip_mismatch:
                all_of(model, matched, left_out)
        keras_weights.take(matched)
    return left_out


def all_of(model: Any, matched: list[Any], left_out: list[str]) -> list[Any]:
    """What was matched, if it is all there is."""
    if left_out:
        raise ValueError(f"its weights are not those of {model.name}: {'; '.join(left_out)}")
    return matched


def contents_of(path: Path, key: SigningKey | None) -> list[bytes]:
    """The HDF5 that a file holds, is, or names."""
    if path.suffix == ".keras":
        return [contents_of_archive(path, key)[WEIGHTS]]
    if path.suffix == ".json":
        if key is not None:
            raise ValueError("weights in several files are not signed, and a key was given")
        return [archive.existing(shard).read_bytes() for shard in shards(path)]
    return [signing.contents_of(path, key)]


def shards(path: Path) -> list[Path]:
    """The files, beside it, that a ``.weights.json`` names."""
    known = json.loads(path.read_text("utf-8"))
    names = known.get("weight_map") if isinstance(known, dict) else None
    if not isinstance(names, dict):
        raise ValueError("it has no weight_map")
    found: dict[str, None] = {}
    for value in names.values():
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name in found:
                continue
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(SHARD):
                raise ValueError(f"it names a file {name!r}, where one beside it was expected")
            if len(name) > LONGEST or len(found) == SHARDS:
                raise ValueError(f"it names more than {SHARDS:,} files, or one by a whole text")
            found[name] = None
    return [path.with_name(name) for name in found]


def write_weights(model: Any, path: Any, key: SigningKey | None = None) -> None:
    """Write the weights of a model, and what its optimizer remembers, as Keras does."""
    contents = keras_weights.as_bytes(model)
    with replacing(path, lambda file: signing.unsigned(file.read()) == contents) as file:
        file.write(contents)
        seal(file, key)
