"""What a user gives, as numeric arrays of a model's dtype and rank; what cannot be is an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.defaults import floatx
from backprop.layer import Array


def is_sparse(x: Any) -> bool:
    """Whether `x` is a SciPy sparse matrix or array, without importing SciPy."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") or hasattr(x, "to_numpy") or is_sparse(x)


def numbers(x: Any, name: str) -> Any:
    """`x` as an array of real numbers, or a CSR matrix; anything else is an error that names it."""
    if is_sparse(x):
        x = x.tocsr()
        if x.ndim != 2:
            raise ValueError(
                f"{name} expected a sparse matrix of two axes, got one of shape {x.shape}"
            )
    elif not isinstance(x, np.memmap):
        x = as_array(x, name)
    if x.dtype.kind == "O":
        x = from_objects(x, name)
    if x.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} expected real numbers and got an array of dtype {x.dtype}; "
            "encode it as numbers first"
        )
    if x.ndim == 0:
        raise ValueError(
            f"{name} expected an array with a row per sample and got the single number {x}"
        )
    return x


def as_array(x: Any, name: str) -> Array:
    """`x` as a plain ndarray of any dtype."""
    if hasattr(x, "mask") and hasattr(x, "filled") and np.any(x.mask):  # of numpy.ma
        raise ValueError(
            f"{name} is a masked array with {np.count_nonzero(x.mask)} masked entries, which have "
            "no value: fill them first"
        )
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"{name} is ragged: its entries have different lengths; pad them first"
        ) from error
    except (TypeError, RuntimeError) as error:  # such as a tensor that still requires a gradient
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def from_objects(x: Array, name: str) -> Array:
    """An array of Python's numbers as one of float64; None becomes NaN."""
    try:
        return x.astype(np.float64)
    except (TypeError, ValueError):
        kind = next((type(v).__name__ for v in x.flat if not is_number(v)), "numbers and others")
    if kind in ("NAType", "NaTType"):
        raise ValueError(f"{name} has missing values ({kind}): fill or drop such rows first")
    raise TypeError(
        f"{name} expected numbers and got an array of objects ({kind}); "
        "encode them as numbers first"
    )


def is_number(v: Any) -> bool:
    try:
        float(v)
    except (TypeError, ValueError):
        return False
    return not isinstance(v, str)


def check_finite(x: Any, name: str) -> None:
    """Raise where NaN or infinity is in the data; says in which row it is first."""
    values = x.data if is_sparse(x) else x
    if values.dtype.kind != "f" or not values.size:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        # one pass without a temporary; a sum may overflow where no entry is infinite
        if np.isfinite(values.sum()):
            return
    finite = np.isfinite(values)
    if finite.all():
        return
    first = tuple(np.argwhere(~finite)[0])
    what = "NaN" if np.isnan(values[first]) else "infinity"
    row = np.searchsorted(x.indptr, first[0], side="right") - 1 if is_sparse(x) else first[0]
    count = np.size(finite) - np.count_nonzero(finite)
    raise ValueError(
        f"{name} holds {what}, first in row {row} ({count} values are not finite): "
        "clean the data first"
    )


class Reader:
    """Turns what a user gives into what a model takes: dtype, rank, finiteness.

    Parameters
    ----------
    model : Chain
    loss : Loss, optional
        Checks the targets.
    """

    def __init__(self, model: Any, loss: Any = None):
        self.model = model
        self.loss = loss
        self.forget()

    def x(self, x: Any, whole: bool = True) -> Any:
        """The inputs, of the model's dtype and rank. A whole memory map is left as it is."""
        x = numbers(x, "x")
        x = self.fit_rank(x)
        if isinstance(x, np.memmap) and whole:
            return x
        if self.model.integer_input:
            check_finite(x, "x")
            self.model.check_values(x.data if is_sparse(x) else x)
            return x
        return self.cast(x, "x")

    def cast(self, x: Any, name: str) -> Any:
        """Finite numbers in the model's dtype, and still finite there."""
        check_finite(x, name)
        dtype = self.model.dtype or np.dtype(floatx())
        if x.dtype == dtype:
            return x
        with np.errstate(over="ignore"):
            y = np.ascontiguousarray(x, dtype) if isinstance(x, np.ndarray) else x.astype(dtype)
        if x.dtype.kind == "f" and x.dtype.itemsize > dtype.itemsize:
            try:
                check_finite(y, name)
            except ValueError:
                raise ValueError(
                    f"{name} holds numbers beyond the range of {dtype}: scale the data, or give "
                    "the model dtype='float64'"
                ) from None
        return y

    def fit_rank(self, x: Any) -> Any:
        """A missing or additional last axis of length one, added or taken as Keras does."""
        declared = self.model.build_shape or self.model.declared_shape
        if is_sparse(x):
            return x
        if declared is None:
            return x[:, None] if x.ndim == 1 and not self.model.integer_input else x
        if x.ndim == len(declared) - 1 and declared[-1] == 1:
            return x[..., None]
        if x.ndim == len(declared) + 1 and x.shape[-1] == 1:
            return x[..., 0]
        return x

    def y(self, y: Any, whole: bool = True) -> Array | None:
        """The targets: integers stay what they are, other numbers get the model's dtype."""
        if y is None:
            return None
        y = numbers(y, "y")
        if isinstance(y, np.memmap) and whole:
            return y
        if is_sparse(y):
            y = y.toarray()  # type: ignore[attr-defined]
        return self.cast(y, "y") if y.dtype.kind == "f" else y

    def weight(self, w: Any, n: int, name: str = "sample_weight") -> Array | None:
        if w is None:
            return None
        w = self.cast(numbers(w, name), name)
        if len(w) != n:
            raise ValueError(f"{name} has {len(w)} rows where x has {n}")
        return w

    def dense(self, x: Any) -> Any:
        """A batch as the first layer takes it: sparse only where that layer multiplies."""
        return x.toarray() if is_sparse(x) and not self.model.sparse_input else x

    def check(self, x: Any, y: Any) -> None:
        """Raise unless a batch fits the model, which is built, and its targets fit the loss."""
        if x.shape[1:] != self._checked:
            self.model.check_input(x.shape)
            self._output_shape = self.model.compute_output_shape((None, *x.shape[1:]))
            self._checked = x.shape[1:]
        if y is not None and self.loss is not None:
            self.loss.check(y, self._output_shape)

    def forget(self) -> None:
        """Take note that the model may have changed."""
        self._checked = None
