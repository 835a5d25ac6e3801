"""MNIST: 70,000 images of 28 x 28 pixels, digits written by hand, from a file on disk.

Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, under CC BY-SA
3.0. `datasets.digits` ships a smaller set of its kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backprop.datasets.arrays import Expected, read_idx, read_npz, same_lengths
from backprop.datasets.cache import find

Array = np.ndarray
Split = tuple[tuple[Array, Array], tuple[Array, Array]]

IMAGES, LABELS = Expected("u", (None, 28, 28)), Expected("ui", (None,))
WHERE = (
    "The file is to be had at "
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz; four files in the idx "
    "format in one directory, such as train-images-idx3-ubyte.gz, do as well"
)
PARTS = ("train", "t10k")


def load_data(path: Any = "mnist.npz") -> Split:
    """The images and their labels, to train with and to test with.

    Parameters
    ----------
    path : str or path-like, default "mnist.npz"
        The `.npz` file, or a directory that has it or the four idx files, packed by gzip or not:
        absolute, or in Keras' directory of data (``~/.keras/datasets``), or in the present one.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images as uint8 of shape (n, 28, 28), 0 is paper and 255 ink; labels as uint8 of shape
        (n,). In the file's order, which has 60,000 and 10,000.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says where one is to be had. Nothing is downloaded.
    ValueError
        If the file is damaged or holds something else.
    """
    names = ("mnist.npz", *idx_names("train-images"))
    found = find("mnist.load_data()", path, names, (), WHERE)
    if found.name not in names[1:]:
        return from_npz(found)
    return from_idx(found.parent)


def idx_names(stem: str) -> tuple[str, ...]:
    """How a file of images, or of labels, may be called: a dot or a hyphen before its kind."""
    kind = "idx3-ubyte" if "images" in stem else "idx1-ubyte"
    return tuple(f"{stem}{mark}{kind}{end}" for mark in "-." for end in (".gz", ""))


def from_npz(path: Path) -> Split:
    expected = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS}
    found = read_npz(path, expected)
    for part in ("train", "test"):
        same_lengths(path, found[f"x_{part}"], found[f"y_{part}"])
    return (found["x_train"], found["y_train"]), (found["x_test"], found["y_test"])


def from_idx(folder: Path) -> Split:
    """The four idx files of a directory."""
    parts = []
    for part in PARTS:
        x = read_idx(find("load_data()", folder, idx_names(f"{part}-images")), IMAGES)
        y = read_idx(find("load_data()", folder, idx_names(f"{part}-labels")), LABELS)
        same_lengths(folder, x, y)
        parts.append((x, y))
    return parts[0], parts[1]
