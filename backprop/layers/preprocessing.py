"""Layers that bring data to a common scale, by numbers that are given or learned from the data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import Numbers, index
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Layer
from backprop.linalg import rows_of
from backprop.tuning import DENSE_NUMBERS

LEAST = 1e-7  # of a standard deviation, as in Keras: what never varies is not divided by 0


def axes_of(value: Any, who: str, name: str) -> tuple[int, ...]:
    if value is None:
        return ()
    axes = value if isinstance(value, list | tuple) else (value,)
    return tuple(index(a, who, name) for a in axes)


class Normalization(Layer):
    """y = (x - mean) / s, where s = max(sqrt(variance), 1e-7); with `invert`, y = mean + x s.

        x, y: (N, ...)    mean, variance: of the lengths of `axis`

    mean and variance are those of the data that `adapt` was given, or arguments: constants, so

        dx = dy / s, and with `invert` dx = dy s

    Parameters
    ----------
    axis : int, tuple of int or None, default -1
        The axes that keep a mean and a variance for each place; over all others they are taken.
        None: one mean and variance for everything.
    mean, variance : float or array_like, optional
        Instead of `adapt`; both or none. They are broadcast to the lengths of `axis`.
    invert : bool, default False
        Undo the normalization.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where one of `mean` and `variance` is given without the other, a variance is negative, or
        they do not fit the input.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Normalization
    >>> norm = Normalization()
    >>> norm.adapt(np.array([[0.0, 7.0], [2.0, 9.0]]))
    >>> norm(np.array([[0.0, 8.0], [4.0, 9.0]]))
    array([[-1.,  0.],
           [ 3.,  1.]], dtype=float32)
    >>> Normalization(mean=3.0, variance=4.0)(np.array([[1.0, 5.0]]))
    array([[-1.,  1.]], dtype=float32)
    """

    axis: Annotated[Any, Convert(axes_of, none=True)] = -1
    mean: Numbers | None = None
    variance: Numbers | None = None
    invert: bool = False

    def __post_init__(self):
        mean, variance = self.mean, self.variance
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization expects mean and variance together, or neither and a call of adapt, "
                f"got mean={mean!r}, variance={variance!r}"
            )
        self.given = mean is not None
        self.given_mean = np.asarray(0.0 if mean is None else mean, np.float64)
        self.given_variance = np.asarray(1.0 if variance is None else variance, np.float64)
        if not (self.given_variance >= 0).all():
            raise ValueError(f"Normalization expects variance not to be negative, got {variance!r}")

    def build(self, input_shape):
        ndim = len(input_shape)
        self.kept = tuple(sorted(self.axis, key=lambda a: a % ndim))
        self.lengths = tuple(input_shape[a] for a in self.axes(ndim))
        if self.given:
            of_data = {"mean": self.given_mean, "variance": self.given_variance}
            self.__dict__ |= {name: self._fitting(value) for name, value in of_data.items()}
        else:
            self.mean = self.buffer("mean", self.lengths, 0.0)
            self.variance = self.buffer("variance", self.lengths, 1.0)
            self.buffer("count", (), 0.0)  # stands in Keras' list of weights, and is 0 there too

    def check_input(self, shape):
        super().check_input(shape)
        if not self.built:
            return
        found = [shape[a] for a in self.axes(len(shape))]
        if any(None not in (m, n) and m != n for m, n in zip(found, self.lengths, strict=True)):
            places = zip(self.kept, self.lengths, strict=True)
            kept = ", ".join(f"{n} along axis {a}" for a, n in places)
            raise ValueError(
                f"{self!r} was built for inputs with {kept}, and got {show_shape(shape[1:])}"
            )

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Which of `ndim` axes keep a mean for each place, in their order."""
        kept = tuple(a % ndim for a in self.kept if -ndim <= a < ndim)
        if len(kept) < len(self.kept) or any(a >= b for a, b in pairwise((0, *kept))):
            advice = (
                "; give x an axis of features, x[:, None], or pass axis=None" if ndim == 1 else ""
            )
            raise ValueError(
                f"{self!r} expects inputs with its axes {self.axis}, each once and beside the "
                f"batch, and got {ndim - 1} axes beside it{advice}"
            )
        return kept

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of the data; what `adapt` was given before is forgotten.

        Parameters
        ----------
        data : array_like, data frame, SciPy sparse matrix, or iterable of batches
            Batches may be pairs of x and y, of which x counts. They are joined in float64.

        Raises
        ------
        ValueError
            Where mean and variance were given to the constructor, the data are empty, not finite
            or of another shape than before.
        """
        if self.given:
            raise ValueError(f"{self!r} was given its mean and variance; leave them out to adapt")
        rows, origin, mean, square = 0, None, np.float64(0.0), np.float64(0.0)
        for x in batches_of(data):
            x = self._places(x)
            n = len(x)
            if not x.size:
                continue
            if origin is None:  # seen from a first value a large mean takes no digits
                origin = x[0]
            with np.errstate(invalid="ignore", over="ignore"):  # reported below
                x = x - origin
                # Chan, Golub, LeVeque, 1979: squares about each mean, and between the means
                apart = x.mean(0) - mean
                square = square + x.var(0) * n + apart * apart * (rows * n / (rows + n))
                mean = mean + apart * (n / (rows + n))
            rows += n
        if origin is None:
            raise ValueError(f"{self!r}.adapt() was given no data")
        if not np.isfinite(square).all():
            raise ValueError(f"{self!r}.adapt() was given data that hold NaN or infinity")
        assert origin is not None  # there was a row
        self.mean = origin + mean
        self.variance = square / rows

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        mean, s = self._beside(self.mean, x), self._beside(self.variance, x)
        s = np.maximum(np.sqrt(s), s.dtype.type(LEAST))
        return (x * s + mean if self.invert else (x - mean) / s), s

    def backward(self, dy, s):
        return dy * s if self.invert else dy / s

    def _places(self, x):
        """x with one row of all that shares a mean: (rows, *lengths)."""
        if not self.built:
            self.build((None, *x.shape[1:]))
        self.check_input(x.shape)
        kept = self.axes(x.ndim)
        x = np.moveaxis(x, kept, range(x.ndim - len(kept), x.ndim))
        return x.reshape(math.prod(x.shape[: x.ndim - len(kept)]), *x.shape[x.ndim - len(kept) :])

    def _fitting(self, value):
        try:
            return np.broadcast_to(value, self.lengths)
        except ValueError:
            raise ValueError(
                f"{self!r} expects mean and variance that broadcast to {self.lengths}, the lengths "
                f"of its axes {self.axis}, and got {value.shape}"
            ) from None

    def _beside(self, value, x):
        """mean or variance in the shape and dtype that goes with x."""
        kept = self.axes(x.ndim)
        shape = [n if i in kept else 1 for i, n in enumerate(x.shape)]
        return np.asarray(value).astype(x.dtype, copy=False).reshape(shape)


class Rescaling(Layer):
    """y = x * scale + offset.

        x, y: (N, ...)    scale, offset: numbers, or arrays that broadcast to a sample

    Both are constants:

        dx = dy * scale

    Parameters
    ----------
    scale, offset : float or array_like
        The offset is 0 unless it is given.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an array does not broadcast to the input.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Rescaling
    >>> Rescaling(1 / 127.5, offset=-1)(np.array([[0, 255]]))
    array([[-1.,  1.]], dtype=float32)
    """

    scale: Numbers
    offset: Numbers = 0.0

    changeable = ("scale", "offset")

    def check_input(self, shape):
        super().check_input(shape)
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            there = shape[1:][len(shape) - 1 - value.ndim :] if value.ndim < len(shape) else None
            if there is None or any(
                n is not None and k not in (1, n) for k, n in zip(value.shape, there, strict=True)
            ):
                raise ValueError(
                    f"{self!r} expects a {name} of shape {value.shape} to broadcast to a sample, "
                    f"and got {show_shape(shape[1:])}"
                )

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        y = x * self.scale.astype(x.dtype)
        y += self.offset.astype(x.dtype)
        return y, None

    def backward(self, dy, cache):
        return dy * self.scale.astype(dy.dtype)


def batches_of(data: Any) -> Iterator[np.ndarray]:
    """Arrays in float64: an array, a nested list of numbers or a data frame as one, a sparse matrix
    in parts of its rows, else one for each batch.
    """
    if hasattr(data, "toarray"):
        rows = data.tocsr()
        step = rows_of(np.broadcast_to(0, rows.shape), DENSE_NUMBERS)
        data = (rows[i : i + step].toarray() for i in range(0, rows.shape[0], step))
    elif hasattr(data, "__array__") or is_nested(data):
        data = [data]
    elif not isinstance(data, Iterable) or isinstance(data, str):
        raise TypeError(
            f"adapt() expects an array or an iterable of batches, got {type(data).__name__}"
        )
    for batch in data:
        x = batch[0] if isinstance(batch, tuple) else batch
        x = np.asarray(x)
        if x.dtype.kind not in "fiub" or not x.ndim:
            raise TypeError(
                f"adapt() expects batches of numbers, got {type(batch).__name__} of dtype {x.dtype}"
            )
        yield x.astype(np.float64, copy=False)


def is_nested(data: Any) -> bool:
    """Whether data are lists of lists of numbers, with no array in them that could be a batch."""
    if not isinstance(data, list):
        return False
    while isinstance(data, list) and data:
        data = data[0]
    return isinstance(data, int | float | np.generic)
