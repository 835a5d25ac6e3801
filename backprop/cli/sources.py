"""What may be trained on and predicted: CSV files, and arrays in .npz and .npy files."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backprop.cli.usage import UsageError, exists
from backprop.datasets.arrays import read_any
from backprop.spelling import nearest
from backprop.tabular import (
    Preprocessing,
    Table,
    is_numbered,
    listing,
    read_csv,
    read_numbers,
    read_target,
)

Array = np.ndarray
ARRAYS = (".npz", ".npy")
# what people call inputs and targets
INPUTS = ("x", "data", "images", "features", "inputs", "input", "arr_0")
TARGETS = ("y", "target", "targets", "label", "labels", "classes", "arr_1")
TRAIN, TEST, OTHER = "train", "test", "val"
PARTS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST} | dict.fromkeys(
    ("val", "valid", "validation", "dev"), OTHER
)
SPLIT = re.compile(
    r"(?P<a>PART)_(?P<role>.+)|(?P<name>.+)_(?P<b>PART)".replace("PART", "|".join(PARTS)), re.I
)


@dataclass
class Source:
    """Inputs and targets of a file.

    Attributes
    ----------
    x : Table or ndarray
    y : ndarray or list of str
    target : str
        What the targets are called.
    training_rows : int, optional
        The file's own split: so many rows are to be trained with, those behind them held out.
    notes : list of str
        What was decided about the file.
    """

    x: Table | Array
    y: Array | list
    target: str
    training_rows: int | None = None
    notes: list[str] = field(default_factory=list)


def load_source(options: argparse.Namespace) -> Source:
    """What the file of a `train` command holds."""
    path = options.data
    exists(path)
    if path.endswith(ARRAYS):
        arrays = read_arrays(path)
        if options.decimal or options.dates:
            raise UsageError("--decimal and --dates are for CSV files")
        if (only := lone_table(path, arrays)) is None:
            return load_arrays(path, arrays, options.target)
        table = only
    else:
        table = read_csv(path, options.decimal, options.dates)
    if options.target is None:
        why = "" if table.named else " (columns are numbered, for the file does not name them)"
        raise UsageError(
            f"say which column to predict: --target, one of {listing(table.columns)}{why}"
        )
    y, how = read_target(table, options.target, options.task or "auto")
    return Source(table, y, options.target, notes=[*table.notes, *how])


# ---------------------------------------------------------------------------- arrays


def split_name(name: str) -> tuple[str, str | None]:
    """``"x_train"`` or ``"train_x"`` → ``("x", "train")``, ``"x"`` → ``("x", None)``."""
    found = SPLIT.fullmatch(name)
    if found is None:
        return name.lower(), None
    role = found["role"] or found["name"]
    return role.lower(), PARTS[(found["a"] or found["b"]).lower()]


def find(arrays: Mapping[str, Array], roles: tuple[str, ...], part: str | None) -> str | None:
    """The array that plays one of the roles in a part, the likeliest role first."""
    names = {split_name(name): name for name in arrays}
    return next((names[role, part] for role in roles if (role, part) in names), None)


def load_arrays(path: str, arrays: Mapping[str, Array], target: str | None) -> Source:
    """Inputs and targets among arrays: ``x`` and ``y``, or by part, as in MNIST's file."""
    y_name = find_target(path, arrays, target)
    role, part = split_name(y_name)
    x, y = pair(path, arrays, y_name)
    other = next((p for p in (TEST, OTHER) if find(arrays, (role,), p)), None)
    if part != TRAIN or other is None:
        return Source(x, y, role if part else y_name)
    x_test, y_test = pair(path, arrays, find(arrays, (role,), other) or "")
    if x.shape[1:] != x_test.shape[1:]:
        raise UsageError(
            f"{path}: rows to train on have shape {x.shape[1:]}, those held out {x_test.shape[1:]}"
        )
    unused = [name for name in arrays if split_name(name)[1] not in (TRAIN, other)]
    notes = [f"arrays left out: {listing(unused)}"] if unused else []
    return Source(np.concatenate([x, x_test]), np.concatenate([y, y_test]), role, len(x), notes)


def find_target(path: str, arrays: Mapping[str, Array], target: str | None) -> str:
    """The name of the array of targets, that of the rows to train on where there are parts."""
    if target is not None and target in arrays:
        return target
    roles = TARGETS if target is None else (target.lower(),)
    found = find(arrays, roles, None) or find(arrays, roles, TRAIN)
    if found is None:
        name = target or TARGETS[0]
        raise UsageError(
            f"{path} has no array {name!r}{nearest(name, arrays)}; it has {listing(arrays)}: "
            "choose with --target"
        )
    return found


def pair(path: str, arrays: Mapping[str, Array], y_name: str) -> tuple[Array, Array]:
    """The inputs that belong to an array of targets, and the targets."""
    part = split_name(y_name)[1]
    others = {n: a for n, a in arrays.items() if n != y_name and split_name(n)[1] == part}
    x_name = find(others, INPUTS, part) or (next(iter(others)) if len(others) == 1 else None)
    if x_name is None:
        raise UsageError(
            f"{path} should have one array beside {y_name!r}, or one named 'x'; it has "
            f"{listing(others) or 'none'}"
        )
    x, y = arrays[x_name], plain_targets(arrays[y_name])
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
        raise UsageError(
            f"{path}: {x_name!r} has shape {x.shape} and {y_name!r} {arrays[y_name].shape}; "
            "expected (n, ...) and (n,)"
        )
    if not x.size:
        raise UsageError(f"{path}: {x_name!r} of shape {x.shape} is empty")
    return as_numbers(path, x_name, x), y


def plain_targets(y: Array) -> Array:
    """(n,) where the targets are (n, 1), or one-hot rows."""
    if y.ndim != 2 or y.dtype.kind == "U":
        return y
    if y.shape[1] == 1:
        return y[:, 0]
    one_hot = y.size and np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()
    return y.argmax(1) if one_hot else y


def lone_table(path: str, arrays: Mapping[str, Array]) -> Table | None:
    """A file's only array as a table, where it has rows and columns of numbers."""
    if len(arrays) != 1:
        return None
    (array,) = arrays.values()
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiub":
        return None
    rows = [list(map(str, row)) for row in array.tolist()]
    columns = [str(i) for i in range(array.shape[1])]
    return Table(path, columns, rows, named=False, lines=list(range(1, len(rows) + 1)))


def as_numbers(path: str, name: str, x: Array) -> Array:
    if x.dtype.kind not in "fiub":
        raise UsageError(f"{path}: {name!r} has dtype {x.dtype}, and numbers were expected")
    if not np.isfinite(x).all():
        raise UsageError(f"{path}: {name!r} holds NaN or infinity")
    return x


def read_arrays(path: str) -> dict[str, Array]:
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder, and an {Path(path).suffix} file was expected")
    return read_any(Path(path), "fiubU")


# ---------------------------------------------------------------------------- inputs to predict


def load_inputs(path: str, prepared: Preprocessing | None, shape: tuple) -> Table | Array:
    """A table for a model that was trained on one, and an array of the model's shape otherwise.

    `prepared` is the model's preprocessing, None where it has none.
    """
    exists(path)
    prepared = prepared if prepared is not None and prepared.columns else None
    if path.endswith(ARRAYS):
        arrays = read_arrays(path)
        table = lone_table(path, arrays)
        if table is not None and prepared is not None and is_numbered(prepared.order):
            return table
        x = rows_to_predict(path, arrays)
    else:
        if prepared is not None:
            return read_csv(path, known=prepared.order, named=prepared.named)
        table = read_csv(path, decimal=".")
        x = np.stack([read_numbers(table, c) for c in table.columns], axis=1)
    fits = None not in shape[1:] and x[:1].size == np.prod(shape[1:])
    return x.reshape(len(x), *shape[1:]) if fits else x


def rows_to_predict(path: str, arrays: Mapping[str, Array]) -> Array:
    """The inputs of a file: those to test with, where it has parts."""
    wanted = [find(arrays, INPUTS, part) for part in (None, TEST, OTHER, TRAIN)]
    name = next((n for n in wanted if n is not None), next(iter(arrays), None))
    if name is None or not arrays[name].ndim:
        raise UsageError(f"{path} holds no array of rows")
    if split_name(name)[1] is not None:
        warnings.warn(f"{path}: the rows of {name!r} are predicted", stacklevel=2)
    return as_numbers(path, name, arrays[name])
