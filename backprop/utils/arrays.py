"""Whole arrays prepared for training: classes as rows of the identity, unit norms, two halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import checks, random
from backprop.arguments import checked
from backprop.checks import ArrayLike

Array = np.ndarray


@checked
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """y[..., k] = 1 where x[...] = k, else 0.

    Parameters
    ----------
    x : array-like of int, (...) or (..., 1)
        Labels from 0 to ``num_classes - 1``. Floats are accepted where each is a whole number.
    num_classes : int, optional
        Default: the largest label and one.

    Returns
    -------
    ndarray of float64, (..., num_classes)

    Raises
    ------
    TypeError
        If `x` holds no numbers.
    ValueError
        If a label is no whole number, is negative, or is beyond `num_classes`.

    Examples
    --------
    >>> from backprop import utils
    >>> utils.to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    labels = whole_numbers(np.asarray(x))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if labels.size == 0:
            raise ValueError(
                "to_categorical() got no labels; say how many there are by num_classes"
            )
        num_classes = int(labels.max()) + 1
    num_classes = checks.integer(num_classes, "to_categorical()", "num_classes")
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        raise ValueError(
            f"to_categorical() expects labels from 0 to {num_classes - 1} and got "
            f"{labels[wrong][0]}; number the classes from 0 on, or raise num_classes"
        )
    y = np.zeros((labels.size, num_classes))
    y[np.arange(labels.size), labels.ravel()] = 1
    return y.reshape(*labels.shape, num_classes)


def whole_numbers(x: Array) -> Array:
    """`x` as int64, refused where that would change a number."""
    if x.size and x.dtype.kind not in "biuf":
        raise TypeError(
            f"to_categorical() expects integer labels and got an array of dtype {x.dtype}; "
            "np.unique(x, return_inverse=True) numbers names"
        )
    if x.dtype.kind == "f" and not (np.isfinite(x) & (x == np.trunc(x))).all():
        raise ValueError("to_categorical() expects whole numbers as labels and got others")
    return x.astype(np.int64)


@checked
def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> Array:
    """x / ‖x‖ along an axis; vectors of norm 0 stay as they are.

    Parameters
    ----------
    x : array-like
        Integers are taken as float64; floats keep their dtype.
    axis : int, default -1
        Along which the norm is taken. Keras misreads axis 0 as the last one when it divides, and
        turns a vector into a matrix; here the axis is the one named and the shape stays.
    order : float, default 2
        Of the norm, as in `numpy.linalg.norm`: 1, 2, `numpy.inf` ...

    Returns
    -------
    ndarray
        Of the shape of `x`.

    Examples
    --------
    >>> from backprop import utils
    >>> utils.normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"normalize() expects numbers and got an array of dtype {x.dtype}")
    if (
        x.ndim == 0
        or isinstance(axis, bool)
        or not isinstance(axis, int | np.integer)
        or not -x.ndim <= axis < x.ndim
    ):
        raise ValueError(f"normalize() expects an axis of x, {x.ndim} in number, got axis={axis!r}")
    if not checks.is_real(order):
        raise ValueError(f"normalize() expects order to be a number, got {order!r}")
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    if order > 0:
        # the largest entry comes near 1, so that no power overflows; a power of two rounds nothing
        top = np.abs(x).max(axis, keepdims=True, initial=0)
        x = np.ldexp(x, -np.frexp(top)[1])
    norm = np.linalg.norm(x, float(order), axis, keepdims=True)
    return x / np.where(norm == 0, norm.dtype.type(1), norm)


@checked
def split_dataset(
    dataset: Any,
    left_size: int | float | None = None,
    right_size: int | float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The first rows and the last rows of one array, or of several of the same length.

    Parameters
    ----------
    dataset : ndarray, or list or tuple of ndarray
        For example ``(x, y)``.
    left_size, right_size : int or float, optional
        Number of rows, or a fraction of them between 0 and 1, rounded to the nearest row. One of
        them is enough: the other half is the rest. Rows that two sizes leave over are in neither.
    shuffle : bool, default False
        Shuffle the rows first, in the same way in every array.
    seed : int, optional
        Of the shuffle. Default: drawn from what `set_random_seed` was given.
    preferred_backend : str, optional
        Only "numpy".

    Returns
    -------
    left, right
        Each an array, list or tuple, as `dataset` is one: views, or copies where shuffled.

    Raises
    ------
    TypeError
        If `dataset` holds something else than arrays, or a size is no number.
    ValueError
        If the arrays differ in length, or a half would be empty or both together too large.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop import utils
    >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> (x_train, y_train), (x_test, y_test) = utils.split_dataset((x, y), left_size=0.6)
    >>> y_train, y_test
    (array([0, 1, 2]), array([3, 4]))
    """
    checks.one_of(preferred_backend, (None, "numpy"), "split_dataset()", "preferred_backend")
    several = isinstance(dataset, list | tuple)
    arrays = list(dataset) if several else [dataset]
    if not arrays or not all(isinstance(a, np.ndarray) and a.ndim for a in arrays):
        found = ", ".join(type(a).__name__ for a in arrays) or "nothing"
        raise TypeError(
            f"split_dataset() expects an array, or a list or tuple of them, got {found}"
        )
    rows = len(arrays[0])
    if any(len(a) != rows for a in arrays):
        lengths = [len(a) for a in arrays]
        raise ValueError(f"split_dataset() expects arrays of one length, got {lengths}")
    left, right = split_sizes(left_size, right_size, rows)
    if shuffle:
        order = random.generator(seed).permutation(rows)
        arrays = [a[order] for a in arrays]
    halves = [a[:left] for a in arrays], [a[rows - right :] for a in arrays]
    if not several:
        return halves[0][0], halves[1][0]
    return type(dataset)(halves[0]), type(dataset)(halves[1])


def split_sizes(left_size: Any, right_size: Any, rows: int) -> tuple[int, int]:
    """Numbers of rows for two sizes, of which either may be a fraction or missing."""
    left = rows_of(left_size, rows, "left_size")
    right = rows_of(right_size, rows, "right_size")
    if left is None and right is None:
        raise ValueError("split_dataset() needs left_size or right_size, such as left_size=0.8")
    fractions = (
        isinstance(left_size, float | np.floating),
        isinstance(right_size, float | np.floating),
    )
    if all(fractions) and left_size + right_size > 1:
        raise ValueError(
            "split_dataset() expects left_size and right_size, two fractions, to be at most 1 "
            f"together, got {left_size} and {right_size}"
        )
    if left is None:
        left = rows - (right or 0)
    if right is None:
        right = rows - left
    if left < 1 or right < 1 or left + right > rows:
        raise ValueError(
            f"split_dataset() expects two halves of {rows} rows that are not empty, got left_size="
            f"{left_size!r} and right_size={right_size!r}, which makes {left} and {right} rows"
        )
    return left, right


def rows_of(size: Any, rows: int, name: str) -> int | None:
    """One size as a number of rows."""
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | float | np.integer | np.floating):
        raise TypeError(
            f"split_dataset() expects {name} to be a number or a fraction, got {size!r}"
        )
    if isinstance(size, int | np.integer):
        return int(size)
    if not 0 < size < 1:
        raise ValueError(f"split_dataset() expects {name}, a fraction, in (0, 1), got {size!r}")
    return round(float(size) * rows)
