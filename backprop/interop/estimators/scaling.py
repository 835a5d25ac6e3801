"""Columns of mean 0 and deviation 1, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray
CONSTANT = 100 * np.finfo(np.float64).eps  # a deviation below this share of the mean is rounding


class Scaling:
    """z = (x - mean) / scale, by column; a column that does not vary is only shifted.

    Parameters
    ----------
    x : (n, columns) array
    weight : (n,) array, optional
        Of the rows.
    what : str
        The argument that `x` is, for the error.

    Attributes
    ----------
    mean, scale : (columns,) array
        In float64: the mean of each column and its deviation, √⟨(x - mean)²⟩.

    Raises
    ------
    ValueError
        If a mean or a deviation is too large for float64.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> scaling = Scaling(x)
    >>> scaling.apply(x)
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> scaling.undo(scaling.apply(x))
    array([[1., 5.],
           [3., 5.]])
    """

    def __init__(self, x: Array, weight: Array | None = None, what: str = "X"):
        x = np.asarray(x, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            self.mean = np.average(x, 0, weight)
            deviation = np.sqrt(np.average(np.square(x - self.mean), 0, weight))
        bad = np.flatnonzero(~np.isfinite(deviation))
        if bad.size:
            raise ValueError(
                f"{what} cannot be standardized: the deviation of column {bad[0]} is too large for "
                f"float64 (largest number {np.abs(x[:, bad[0]]).max():.3g}). Scale it down first, "
                "or say standardize=False"
            )
        self.scale = np.where(deviation > CONSTANT * np.abs(self.mean), deviation, 1.0)

    def apply(self, x: Array) -> Array:
        """z of x, in the dtype of x."""
        z = x - self.mean.astype(x.dtype, copy=False)
        z /= self.scale.astype(x.dtype, copy=False)
        return z

    def undo(self, z: Array) -> Array:
        """x of z, in the dtype of z."""
        x = z * self.scale.astype(z.dtype, copy=False)
        x += self.mean.astype(z.dtype, copy=False)
        return x


def scaled(scaling: Scaling | None, x: Any) -> Any:
    """What the network is given for x."""
    return x if scaling is None else scaling.apply(x)
