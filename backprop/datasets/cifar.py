"""The files of CIFAR-10 and CIFAR-100: pickles, which are read and not run, or plain bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backprop.datasets.arrays import LIMIT, Expected, whole
from backprop.datasets.pickles import read_pickle
from backprop.spelling import printable

Array = np.ndarray

PIXELS = 3 * 32 * 32
DATA = Expected("u", (None, PIXELS))
ARCHIVE = (
    "The files are to be had, packed, at https://www.cs.toronto.edu/~kriz/{}: "
    "utils.get_file(origin=the path of the archive, extract=True) unpacks it; those of the binary "
    "version do as well"
)


def read_batch(path: Path, key: str, kinds: dict[str, int]) -> tuple[Array, Array]:
    """The images and the labels of one file.

    Parameters
    ----------
    path : Path
        One that ends in ``.bin`` is plain bytes, another one a pickle.
    key : str
        Which labels are wanted.
    kinds : dict of str to int
        The names of all labels, in the order in which they stand before the pixels of each image in
        plain bytes, and the number of classes of each.

    Returns
    -------
    x, y : ndarray of uint8, (n, 32, 32, 3); ndarray of int64, (n,)
    """
    read = read_bytes if path.suffix == ".bin" else read_python
    x, y = read(path, key, tuple(kinds))
    if y.size and not 0 <= y.min() <= y.max() < kinds[key]:
        raise ValueError(f"{path} should have labels from 0 to {kinds[key] - 1}, and has {y.max()}")
    return np.ascontiguousarray(x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), y


def read_bytes(path: Path, key: str, kinds: tuple[str, ...]) -> tuple[Array, Array]:
    """Each image is its labels and its pixels, a byte each."""
    data = whole(path)
    length = len(kinds) + PIXELS
    if not data or len(data) % length:
        raise ValueError(f"{path} should hold {length} bytes for each image, and holds {len(data)}")
    table = np.frombuffer(data, np.uint8).reshape(-1, length)
    return table[:, len(kinds) :], table[:, kinds.index(key)].astype(np.int64)


def read_python(path: Path, key: str, kinds: tuple[str, ...]) -> tuple[Array, Array]:
    """A dict that has the pixels of all images under ``data``."""
    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path} is not read: it has more than {LIMIT:,} bytes")
    found = read_pickle(path.read_bytes(), str(path))
    if not isinstance(found, dict):
        raise ValueError(f"{path} should hold a dict, and holds {type(found).__name__}")
    found = {text(name): value for name, value in found.items()}
    missing = {"data", key} - found.keys()
    if missing:
        known = printable(", ".join(found))
        raise ValueError(f"{path} has no {', '.join(sorted(missing))}; it has {known}")
    x, y = found["data"], found[key]
    if not isinstance(x, np.ndarray):
        raise ValueError(f"data of {path} should be an array, and is {type(x).__name__}")
    DATA.check(x.dtype, x.shape, f"data of {path}")
    if not isinstance(y, list) or len(y) != len(x) or not all(map(fits, y)):
        raise ValueError(f"{key} of {path} should be a list of {len(x)} integers")
    return x, np.array(y, np.int64)


def fits(label: Any) -> bool:
    return type(label) is int and -(2**63) <= label < 2**63


def text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
