"""California housing: 20,640 districts of the census of 1990, and what houses cost there, from a
file on disk.

Source: R. Pace and R. Barry (1997), Sparse Spatial Autoregressions, Statistics & Probability
Letters 33, StatLib. The columns are: longitude, latitude, the houses' median age in years, rooms,
bedrooms, people, households, and median income in 10,000 dollars.
"""

from __future__ import annotations

from typing import Any

from backprop import checks
from backprop.datasets.arrays import Expected, read_npz, same_lengths
from backprop.datasets.cache import find
from backprop.datasets.mnist import Split
from backprop.random import keras_orders

SMALL = 600  # rows
WHERE = (
    "The file is to be had at "
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/california_housing.npz"
)


def load_data(
    version: str = "large",
    path: Any = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Split:
    """The districts and the median value of their houses, to train with and to test with.

    Parameters
    ----------
    version : {"large", "small"}
        All districts, or the first 600.
    path : str or path-like, default "california_housing.npz"
        The `.npz` file: absolute, or in Keras' directory of data (``~/.keras/datasets``), or in the
        present one.
    test_split : float, default 0.2
        The share to test with, from 0 to below 1.
    seed : int, default 113
        Of the order.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        The columns as float of shape (n, 8), and values in dollars of shape (n,). In the order that
        Keras draws from the seed.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says where one is to be had. Nothing is downloaded.
    ValueError
        If an argument is out of its range, or the file is damaged or holds something else.
    """
    who = "california_housing.load_data()"
    checks.one_of(version, ("large", "small"), who, "version")
    share = checks.fraction(test_split, who, "test_split")
    if share == 1:
        raise ValueError(f"{who} expects test_split to be below 1: nothing is left to train with")
    found = find(who, path, ("california_housing.npz",), (), WHERE)
    arrays = read_npz(found, {"x": Expected("fiu", (None, 8)), "y": Expected("fiu", (None,))})
    x, y = arrays["x"], arrays["y"]
    same_lengths(found, x, y)
    if version == "small":
        x, y = x[:SMALL], y[:SMALL]
    (order,) = keras_orders(seed, len(x))
    x, y = x[order], y[order]
    at = int(len(x) * (1 - share))
    return (x[:at], y[:at]), (x[at:], y[at:])
