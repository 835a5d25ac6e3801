"""Handwritten digits: 1,797 images of 8 x 8 pixels, written by 13 people.

Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0. The attribution
lies beside the file.
"""

from __future__ import annotations

import numpy as np

from backprop import checks
from backprop.datasets.shipped import unpacked

Array = np.ndarray

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def load_data(test_every: int = 5) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The digits, split by row number into images to train with and images to test with.

    Parameters
    ----------
    test_every : int, default 5
        At least 2. Of each `test_every` rows in the file's order the last is a test row: with 5,
        those whose ``index % 5 == 4``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images as uint8 of shape (n, 8, 8), each pixel the number of inked dots in its 4 x 4 field:
        0 is paper, 16 is ink, so divide by 16 to get numbers from 0 to 1. Labels as uint8 of shape
        (n,), from 0 to 9.

    Raises
    ------
    ValueError
        If `test_every` is no integer of at least 2.
    OSError
        If the file inside the package is missing or is not what was shipped.

    Notes
    -----
    Neighbouring rows come from the same writers, so this split measures how well a model reads
    hands that it knows.

    Examples
    --------
    >>> from backprop.datasets import digits
    >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
    >>> x_train.shape, x_test.shape, x_train.dtype.name, int(x_train.max())
    ((1438, 8, 8), (359, 8, 8), 'uint8', 16)
    >>> y_test[:5].tolist()
    [4, 9, 4, 9, 4]
    """
    checks.integer(test_every, "load_data()", "test_every", least=2)
    table = read()
    x, y = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    test = np.arange(len(y)) % test_every == test_every - 1
    return (x[~test], y[~test]), (x[test], y[test])


def read() -> Array:
    """All rows of the file: 64 pixels and the label, after its checksum has been compared."""
    import io

    text = unpacked("digits.csv.gz", SHA256)
    return np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",")
