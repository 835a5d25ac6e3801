"""Numbers to bins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import NumberAboveZero, Positive
from backprop.defaults import floatx
from backprop.layers.columns.column import Column
from backprop.layers.columns.hashing import refuse_sparse_numbers
from backprop.layers.columns.rows import MODES, encoded
from backprop.layers.preprocessing import batches_of

Array = np.ndarray
CHUNK = 1 << 20  # numbers that are sorted at once


def in_order(value: Any, who: str, name: str) -> tuple[float, ...]:
    found = checks.array(value, who, name)
    if found.ndim != 1 or np.isnan(found).any() or (np.diff(found) < 0).any():
        raise ValueError(f"{who} expects {name} to be a list of numbers that grow, got {value!r}")
    return tuple(found.tolist())


class Discretization(Column):
    """y = how many of the boundaries are at or below x: the number of the bin that x is in.

        x: (...)    boundaries: (B,)    y: (...) of int, or rows of B + 1 as `output_mode`

    Bin 0 is (-inf, b₁), bin k is [b_k, b_{k+1}), the last one [b_B, inf). y is constant wherever it
    has a derivative: dx is 0.

    `adapt` takes quantiles of the data for boundaries, so that bins hold about as many numbers
    each. Data need not fit in memory: of every million numbers a sketch is kept, of 1 / epsilon of
    them and how many each stands for, and between these the rank is taken to be linear. Of data
    that come as one array the boundaries are Keras', number for number; batches give the same as
    if they were one array, up to a million numbers. The rank of a boundary is off by less than
    epsilon of the data. (Keras merges the sketches of batches one by one, and with every merge
    boundaries of small batches wander off; there a boundary that should have a tenth of the data
    below it may have a quarter.)

    Parameters
    ----------
    bin_boundaries : list of float, optional
        Instead of `adapt`.
    num_bins : int, optional
        How many bins `adapt` makes. One of the two is given.
    epsilon : float, default 0.01
        How exact quantiles are; smaller is better and larger.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        The bins, or rows: as in `CategoryEncoding`.
    sparse : bool, default False
        Whether a call by itself gives rows as a SciPy CSR array.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where both or none of `bin_boundaries` and `num_bins` are given, boundaries do not grow, or
        nothing was adapted to.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Discretization
    >>> x = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])
    >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])(x)
    array([[0, 2, 3, 1],
           [1, 3, 2, 1]])
    >>> layer = Discretization(num_bins=4)
    >>> layer.adapt(x)
    >>> layer(x)
    array([[0, 2, 3, 2],
           [1, 3, 3, 1]])
    """

    bin_boundaries: Annotated[Any, Convert(in_order)] = None
    num_bins: Positive | None = None
    epsilon: NumberAboveZero = 0.01
    output_mode: Annotated[str, checks.choice(*MODES)] = "int"
    sparse: bool = False

    integer_input = False
    string_input = False
    fixed = ("bin_boundaries", "num_bins", "output_mode")  # what it learned goes with them

    def __post_init__(self):
        if (self.bin_boundaries is None) == (self.num_bins is None):
            raise ValueError(
                "Discretization expects bin_boundaries, or num_bins and a call of adapt, and one "
                f"of the two; got bin_boundaries={self.bin_boundaries!r} and "
                f"num_bins={self.num_bins!r}"
            )
        refuse_sparse_numbers(self)

    @property
    def given(self) -> bool:
        """Whether the boundaries came with the constructor."""
        return self.num_bins is None

    @property
    def depth(self):
        return len(self._known()) + 1

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Set the boundaries to quantiles of the data; what was learned before is forgotten.

        Parameters
        ----------
        data : array_like, data frame, SciPy sparse matrix, or iterable of batches
            Batches may be pairs of x and y, of which x counts.
        steps : int, optional
            How many batches to take. Default: all.

        Raises
        ------
        ValueError
            Where boundaries were given to the constructor, the data are empty or hold NaN.
        """
        if self.num_bins is None:
            raise ValueError(f"{self!r} was given its boundaries; give num_bins instead to adapt")
        sketches = [sketched(x, self.epsilon) for x in self._chunks(data, steps)]
        if not sketches:
            raise ValueError(f"{self!r}.adapt() was given no data")
        joined = np.concatenate(sketches, axis=1)
        sketch = compressed(joined[:, np.argsort(joined[0])], self.epsilon)
        boundaries = tuple(compressed(sketch, 1 / self.num_bins)[0, :-1].tolist())
        counted = self.in_a_model and self.output_mode != "int"
        if counted and len(boundaries) != len(self._known()):
            raise ValueError(
                f"{self!r} gives rows of {self.depth}, for which it is built, and adapt() would "
                f"make them {len(boundaries) + 1}: make a new layer"
            )
        self.__dict__["bin_boundaries"] = boundaries

    def _chunks(self, data: Any, steps: int | None) -> Iterator[Array]:
        """The numbers of all batches, in as few arrays as memory allows."""
        found, size = [], 0
        for batch in islice(batches_of(data), steps):
            x = batch.astype(np.float32).ravel()
            if np.isnan(x).any():
                raise ValueError(f"{self!r}.adapt() was given data that hold NaN")
            found.append(x)
            size += x.size
            if size >= CHUNK:
                yield np.concatenate(found)
                found, size = [], 0
        if size:
            yield np.concatenate(found)

    def rows_of(self, x):
        known = np.asarray(self._known(), x.dtype)
        bins = np.searchsorted(known, x, side="right")
        return encoded(bins, self.output_mode, len(known) + 1, self.dtype or floatx())

    def _known(self) -> tuple[float, ...]:
        if self.bin_boundaries is None:
            raise ValueError(
                f"{self!r} has no boundaries yet: call adapt(data), or pass bin_boundaries"
            )
        return self.bin_boundaries

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, and the boundaries as they are now."""
        config = super().get_config()
        if self.bin_boundaries is not None:
            config["bin_boundaries"] = list(self.bin_boundaries)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build a layer from what `get_config` returned."""
        config = dict(config)
        learned = config.pop("bin_boundaries", None) if config.get("num_bins") is not None else None
        layer = super().from_config(config, custom_objects)
        if learned is not None:
            layer.__dict__["bin_boundaries"] = in_order(learned, cls.__name__, "bin_boundaries")
        return layer


def sketched(x: Array, epsilon: float) -> Array:
    """At most about 1 / epsilon of the numbers, in order, and how many each stands for: (2, n)."""
    step = max(x.size * epsilon, 1)
    kept = np.sort(x)[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def compressed(sketch: Array, epsilon: float) -> Array:
    """A sketch of 1 / epsilon values, between which it is linear in how many numbers are below."""
    if sketch.shape[1] * epsilon < 1:
        return sketch
    below = sketch[1].cumsum()
    share = below / below[-1]
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    values = np.interp(wanted, share, sketch[0])
    weights = np.diff(np.interp(wanted, share, below), prepend=0)
    return np.stack([values, weights]).astype(np.float32)
