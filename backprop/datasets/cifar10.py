"""CIFAR-10: 60,000 coloured images of 32 x 32 pixels, of ten kinds of things, from files on disk.

Source: A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, University of
Toronto. The kinds are, from 0: airplane, automobile, bird, cat, deer, dog, frog, horse, ship,
truck.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.datasets.cache import find
from backprop.datasets.cifar import ARCHIVE, read_batch
from backprop.datasets.mnist import Split

TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
WHERE = ARCHIVE.format("cifar-10-python.tar.gz")


def load_data(path: Any = None) -> Split:
    """The images and their labels, to train with and to test with.

    Parameters
    ----------
    path : str or path-like, optional
        A directory that has the files of the Python version (``data_batch_1`` to ``5`` and
        ``test_batch``) or of the binary one (``data_batch_1.bin`` and so on): absolute, or in
        Keras' directory of data, or in the present one. Default: where Keras has them, in
        ``~/.keras/datasets``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images as uint8 of shape (n, 32, 32, 3), red, green and blue from 0 to 255; labels as uint8
        of shape (n, 1). In the files' order, which have 50,000 and 10,000.

    Raises
    ------
    FileNotFoundError
        If a file is missing; it says where it is to be had. Nothing is downloaded.
    ValueError
        If a file is damaged or holds something else. The Python version's are pickles, which are
        read without running anything.
    """
    names = tuple(f"{TRAIN[0]}{end}" for end in ("", ".bin"))
    within = tuple(f"{folder}/{name}" for folder in FOLDERS for name in names)
    targets = tuple(f"{folder}-target" for folder in FOLDERS)
    first = find("cifar10.load_data()", path, (*names, *within), targets, WHERE)
    parts = []
    for stems in (TRAIN, ("test_batch",)):
        files = [
            find("cifar10.load_data()", first.parent, (stem + first.suffix,), (), WHERE)
            for stem in stems
        ]
        x, y = zip(*(read_batch(file, "labels", {"labels": 10}) for file in files), strict=True)
        parts.append((np.concatenate(x), np.concatenate(y).astype(np.uint8)[:, None]))
    return parts[0], parts[1]
