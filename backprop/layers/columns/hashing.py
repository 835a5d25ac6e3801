"""Categories to a fixed number of bins, without a vocabulary: by their hashes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Positive
from backprop.defaults import floatx
from backprop.hashes import crossed, hashed
from backprop.layer import Shape
from backprop.layers.columns.column import Column, as_array, categories
from backprop.layers.columns.rows import MODES, encoded
from backprop.nest import as_tuple, several, shapes

HASH_KEY = 0xDECAFCAFFE  # TensorFlow's, at which a cross begins


def pair_of_salts(value: Any, who: str, name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int | np.integer) else value
    if (
        not isinstance(pair, list | tuple)
        or len(pair) != 2
        or not all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in pair)
    ):
        raise ValueError(f"{who} expects {name} to be an integer or two of them, got {value!r}")
    return int(pair[0]), int(pair[1])


Salt = Annotated[Any, Convert(pair_of_salts)]


class Hashing(Column):
    """y = hash(x) mod num_bins; with a mask value 0 for it, and 1 + hash(x) mod (num_bins - 1).

        x: (...) of strings or integers    y: (...) of int, or rows of `num_bins` as `output_mode`

    So categories need no vocabulary, but two of them may share a bin. The hash is Fingerprint64 of
    FarmHash, and with a salt SipHash-2-4; an integer is hashed as its decimal digits. The numbers
    are those of Keras, which calls TensorFlow for them. A category has no derivative; for the sake
    of the containers dx is 0, of the shape of x.

    Parameters
    ----------
    num_bins : int
    mask_value : str or int, optional
        What is in bin 0, alone.
    salt : int or pair of int, optional
        The key of SipHash; one integer stands for both. Other salts give other bins.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        The bins, or rows: as in `CategoryEncoding`.
    sparse : bool, default False
        Whether a call by itself gives rows as a SciPy CSR array.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an argument is out of its range, or `sparse` comes with "int".

    Examples
    --------
    >>> from backprop.layers import Hashing
    >>> Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
    [[1], [0], [1], [1], [2]]
    >>> Hashing(num_bins=3, mask_value="")([["A"], ["B"], [""], ["C"], ["D"]]).tolist()
    [[1], [1], [0], [2], [2]]
    """

    num_bins: Positive
    mask_value: str | int | None = None
    salt: Salt | None = None
    output_mode: Annotated[str, checks.choice(*MODES)] = "int"
    sparse: bool = False

    def __post_init__(self):
        refuse_sparse_numbers(self)

    @property
    def depth(self):
        return self.num_bins

    def rows_of(self, x):
        x = categories(x, type(self).__name__)
        masked = self.mask_value is not None and self.num_bins > 1
        bins = (hashed(x, self.salt) % np.uint64(self.num_bins - masked)).astype(np.int64)
        if masked:
            bins = np.where(x == of_its_kind(self.mask_value, x), 0, bins + 1)
        return encoded(bins, self.output_mode, self.num_bins, self.dtype or floatx())


def of_its_kind(value: Any, x: Any) -> Any:
    """A mask value as it can be compared to x."""
    return value.encode() if x.dtype.kind == "S" and isinstance(value, str) else value


def refuse_sparse_numbers(layer: Any) -> None:
    if layer.sparse and layer.output_mode == "int":
        raise ValueError(
            f"{type(layer).__name__} expects another output_mode than 'int' with sparse=True"
        )


class HashedCrossing(Column):
    """y = hash(x₁, x₂, ...) mod num_bins: a number for what several features are together.

        x₁, x₂, ...: (N,) or (N, 1), strings or integers    y: of int as x, or (N, num_bins)

    Two features may say together what neither says alone, and a table of all their combinations
    would be large. The numbers are Keras', which calls TensorFlow for them: hashes of strings, and
    integers as they are, are joined from the first feature to the last. Categories have no
    derivative; for the sake of the containers dx is 0.

    Parameters
    ----------
    num_bins : int
    output_mode : {"int", "one_hot"}
    sparse : bool, default False
        Whether a call by itself gives rows as a SciPy CSR array.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where there are fewer than two features, or they differ in shape.
    TypeError
        Where a feature has fractions.

    Examples
    --------
    >>> from backprop.layers import HashedCrossing
    >>> city, day = ["A", "B", "A", "B", "A"], [101, 101, 101, 102, 102]
    >>> HashedCrossing(num_bins=5)((city, day))
    array([1, 4, 1, 1, 3])
    """

    num_bins: Positive
    output_mode: Annotated[str, checks.choice("int", "one_hot")] = "int"
    sparse: bool = False

    several_inputs = True

    def __post_init__(self):
        refuse_sparse_numbers(self)

    @property
    def depth(self):
        return self.num_bins

    def gather(self, *inputs, mask=None, **named):
        if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
            inputs = (tuple(map(as_array, inputs[0])),)
        return super(Column, self).gather(*inputs, mask=mask, **named)

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(self._one_shape(input_shape))

    def check_input(self, shape):
        self._one_shape(shape)

    def compute_mask(self, x, mask=None):
        return None

    def rows_of(self, x):
        self._one_shape(shapes(x))
        features = as_tuple(x)
        found = np.full(features[0].size, HASH_KEY, np.uint64)
        for feature in features:
            found = crossed(found, self._words(feature).ravel())
        bins = (found % np.uint64(self.num_bins)).astype(np.int64).reshape(features[0].shape)
        return encoded(bins, self.output_mode, self.num_bins, self.dtype or floatx())

    def _words(self, x):
        """A feature as numbers of 64 bits."""
        if x.dtype.kind in "fb":
            raise TypeError(f"{self!r} expects strings or integers, and got an array of {x.dtype}")
        x = categories(x, type(self).__name__)
        return x.astype(np.uint64) if x.dtype.kind in "iu" else hashed(x)

    def _one_shape(self, shape: Any) -> Shape:
        """The shape that all features share."""
        if not several(shape) or len(shape) < 2:
            raise ValueError(f"{self!r} expects two or more features in a list, and got one")
        first = tuple(shape[0])
        if any(tuple(other) != first for other in shape[1:]) or first[1:] not in ((), (1,)):
            raise ValueError(
                f"{self!r} expects features of one shape, (N,) or (N, 1), and got "
                f"{', '.join(str(tuple(s)) for s in shape)}"
            )
        return first
