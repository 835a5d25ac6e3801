"""CIFAR-100: 60,000 coloured images of 32 x 32 pixels, of 100 kinds of things in 20 groups, from
files on disk.

Source: A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, University of
Toronto.
"""

from __future__ import annotations

from typing import Any

from backprop import checks
from backprop.datasets.cache import find
from backprop.datasets.cifar import ARCHIVE, read_batch
from backprop.datasets.mnist import Split

KINDS = {"coarse_labels": 20, "fine_labels": 100}
WHERE = ARCHIVE.format("cifar-100-python.tar.gz")


def load_data(label_mode: str = "fine", path: Any = None) -> Split:
    """The images and their labels, to train with and to test with.

    Parameters
    ----------
    label_mode : {"fine", "coarse"}
        The 100 kinds, or the 20 groups.
    path : str or path-like, optional
        A directory that has the files of the Python version (``train`` and ``test``) or of the
        binary one (``train.bin`` and ``test.bin``): absolute, or in Keras' directory of data, or in
        the present one. Default: where Keras has them, in ``~/.keras/datasets``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images as uint8 of shape (n, 32, 32, 3), red, green and blue from 0 to 255; labels as int64
        of shape (n, 1). In the files' order, which have 50,000 and 10,000.

    Raises
    ------
    FileNotFoundError
        If a file is missing; it says where it is to be had. Nothing is downloaded.
    ValueError
        If `label_mode` is another, or a file is damaged or holds something else. The Python
        version's are pickles, which are read without running anything.
    """
    who = "cifar100.load_data()"
    key = f"{checks.one_of(label_mode, ('fine', 'coarse'), who, 'label_mode')}_labels"
    names = ("cifar-100-python/train", "cifar-100-binary/train.bin", "train", "train.bin")
    first = find(who, path, names, ("cifar-100-python-target", "cifar-100-python"), WHERE)
    parts = []
    for stem in ("train", "test"):
        file = find(who, first.parent, (stem + first.suffix,), (), WHERE)
        x, y = read_batch(file, key, KINDS)
        parts.append((x, y[:, None]))
    return parts[0], parts[1]
