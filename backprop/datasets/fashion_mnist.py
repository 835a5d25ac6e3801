"""Fashion-MNIST: 70,000 images of 28 x 28 pixels, of ten kinds of clothes, from files on disk.

Source: H. Xiao, K. Rasul and R. Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747, Zalando SE, under
the MIT licence. The kinds are, from 0: T-shirt or top, trouser, pullover, dress, coat, sandal,
shirt, sneaker, bag, ankle boot.
"""

from __future__ import annotations

from typing import Any

from backprop.datasets.cache import find
from backprop.datasets.mnist import Split, from_idx, from_npz, idx_names

WHERE = (
    "The four files, such as train-images-idx3-ubyte.gz, are to be had at "
    "https://github.com/zalandoresearch/fashion-mnist"
)


def load_data(path: Any = None) -> Split:
    """The images and their labels, to train with and to test with.

    Parameters
    ----------
    path : str or path-like, optional
        A directory that has the four idx files, packed by gzip or not, or an `.npz` file of arrays
        x_train, y_train, x_test and y_test: absolute, or in Keras' directory of data, or in the
        present one. Default: where Keras has them, ``~/.keras/datasets/fashion-mnist``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images as uint8 of shape (n, 28, 28), 0 is the background; labels as uint8 of shape (n,). In
        the files' order, which have 60,000 and 10,000.

    Raises
    ------
    FileNotFoundError
        If a file is missing; it says where it is to be had. Nothing is downloaded.
    ValueError
        If a file is damaged or holds something else.
    """
    names = idx_names("train-images")
    found = find("fashion_mnist.load_data()", path, names, ("fashion-mnist",), WHERE)
    return from_idx(found.parent) if found.name in names else from_npz(found)
