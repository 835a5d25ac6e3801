"""Weights alone in files, for a model that is there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backprop import archive, checks
from backprop.run_state import (
    check_weights,
    path_of,
    weight_names,
    weights_and_states,
)
from backprop.saving.models import check_model, refuse_overwriting
from backprop.signing import SigningKey, check_key

Array = np.ndarray


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
    check_model(model, "save_weights()")
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
    check_model(model, "load_weights()")
    checks.flag(skip_mismatch, "load_weights()", "skip_mismatch")
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
