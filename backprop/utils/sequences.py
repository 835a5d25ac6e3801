"""Sequences prepared for training: ragged ones padded, long ones cut into windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.utils.batches import Batches, batch_size_and_seed, one_batch

Array = np.ndarray


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Sequences of different lengths as one array, filled up with `value`.

    Parameters
    ----------
    sequences : list of array-like, each (steps,) or (steps, ...)
    maxlen : int, optional
        Length of every row. Default: that of the longest sequence.
    dtype : dtype, default "int32"
        Of the result. The default cuts fractions off; pass "float32" for measurements.
    padding, truncating : {"pre", "post"}, default "pre"
        The end at which short sequences are filled and long ones are cut.
    value : number or str, default 0.0
        What the rows are filled with.

    Returns
    -------
    ndarray of `dtype`, (len(sequences), maxlen, ...)

    Raises
    ------
    TypeError
        If `sequences` is no list of sequences.
    ValueError
        If samples differ in shape, or an argument has another value than those above.

    Examples
    --------
    >>> from backprop import utils
    >>> utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    checks.one_of(padding, ("pre", "post"), "pad_sequences()", "padding")
    checks.one_of(truncating, ("pre", "post"), "pad_sequences()", "truncating")
    try:
        dtype = np.dtype(dtype)
    except (TypeError, ValueError):
        raise TypeError(
            f"pad_sequences() expects dtype to be that of an array, got {dtype!r}"
        ) from None
    if isinstance(value, str) and dtype.kind not in "OUS":
        raise ValueError(
            f"pad_sequences() cannot fill an array of {dtype} with {value!r}; "
            "for strings pass dtype=object"
        )
    lengths = lengths_of(sequences)
    if maxlen is None:
        if not lengths:
            raise ValueError("pad_sequences() got no sequences; say how long rows are by maxlen")
        maxlen = max(lengths)
    else:
        maxlen = checks.integer(maxlen, "pad_sequences()", "maxlen")
    filled = [np.asarray(s) for s in sequences if len(s)]
    shape = filled[0].shape[1:] if filled else ()
    try:
        y = np.full((len(lengths), maxlen, *shape), value, dtype)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"pad_sequences() cannot fill an array of {dtype} with value={value!r}"
        ) from None
    for i, s in enumerate(sequences):
        kept = min(lengths[i], maxlen)
        try:
            part = np.asarray(s[lengths[i] - kept :] if truncating == "pre" else s[:kept], dtype)
        except (TypeError, ValueError):
            raise ValueError(
                f"pad_sequences() expects sequences of dtype {dtype}, and number {i} is another"
            ) from None
        if kept and part.shape[1:] != shape:
            raise ValueError(
                f"pad_sequences() expects samples of one shape: sequence {i} has steps of shape "
                f"{part.shape[1:]}, the first that is not empty has {shape}"
            )
        if kept:
            y[i, slice(maxlen - kept, None) if padding == "pre" else slice(kept)] = part
    return y


def lengths_of(sequences: Any) -> list[int]:
    """The length of each sequence."""
    if not hasattr(sequences, "__len__") or (
        isinstance(sequences, np.ndarray) and not sequences.ndim
    ):
        kind = type(sequences).__name__
        raise TypeError(f"pad_sequences() expects a list of sequences, got {kind}; use list(...)")
    lengths = []
    for i, s in enumerate(sequences):
        if not hasattr(s, "__len__"):
            raise TypeError(f"pad_sequences() expects a list of sequences, its entry {i} is {s!r}")
        lengths.append(len(s))
    return lengths


@checked
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Windows:
    """x[k, t] = data[start_index + k * sequence_stride + t * sampling_rate], in batches.

    The target of a window is `targets` at the index of the window's first step.

    Parameters
    ----------
    data : array-like, (time, ...)
        Memory maps stay on disk: a batch reads what it needs.
    targets : array-like, (time, ...), or None
        None makes batches of windows alone, rather than pairs.
    sequence_length : int
        Steps in a window.
    sequence_stride : int, default 1
        Steps between the starts of two windows.
    sampling_rate : int, default 1
        Steps between two steps of a window.
    batch_size : int or None, default 128
        The last batch may be smaller. None yields single windows.
    shuffle : bool, default False
        Draw the windows in a new order in every pass. Otherwise they come in order of time.
    seed : int, optional
        Of the order: pass number n of a given seed is always the same. Default: drawn from what
        `set_random_seed` was given.
    start_index, end_index : int, optional
        Use ``data[start_index:end_index]`` only. `end_index` must be less than the length of
        `data`, as in Keras; None means its end.
    format : {"tf", "grain"}
        Keras' container; both give the same windows, and here both give NumPy arrays.

    Returns
    -------
    Windows
        An iterable of batches that can be passed through any number of times. It has a length, and
        ``windows[i]`` is a batch.

    Raises
    ------
    TypeError
        If `data` or `targets` is no array.
    ValueError
        If an argument is out of its range or not one window fits into the data.

    Examples
    --------
    The ten values before each one, to foretell it:

    >>> import numpy as np
    >>> from backprop import utils
    >>> series = np.arange(100.0)
    >>> windows = utils.timeseries_dataset_from_array(series[:-10], series[10:], 10)
    >>> len(windows), windows.count
    (1, 81)
    >>> x, y = next(iter(windows))
    >>> x.shape, x[0], y[0]
    ((81, 10), array([0., 1., 2., 3., 4., 5., 6., 7., 8., 9.]), np.float64(10.0))
    """
    who = "timeseries_dataset_from_array()"
    data = array_of(data, who, "data")
    steps = len(data)
    checks.one_of(format, ("tf", "grain"), who, "format")
    start, end = bounds(start_index, end_index, steps, who)
    length = checks.integer(sequence_length, who, "sequence_length")
    stride = checks.integer(sequence_stride, who, "sequence_stride")
    rate = checks.integer(sampling_rate, who, "sampling_rate")
    for name, value in (("sequence_stride", stride), ("sampling_rate", rate)):
        if value >= steps:
            raise ValueError(f"{who} expects {name} to be less than the {steps} steps, got {value}")
    batch_size, seed = batch_size_and_seed(batch_size, seed, who)
    count = end - start - (length - 1) * rate
    if targets is not None:
        targets = array_of(targets, who, "targets")[start:end]
        count = min(count, len(targets))
    if count < 1:
        have = f"{end - start} steps" + ("" if targets is None else f" and {len(targets)} targets")
        raise ValueError(
            f"{who} expects data for at least one window of sequence_length={length} steps at "
            f"sampling_rate={rate}, which spans {(length - 1) * rate + 1} steps, and got {have}"
        )
    starts = np.arange(0, count, stride)
    return Windows(data[start:end], targets, starts, length, rate, batch_size, shuffle, seed)


def array_of(x: Any, who: str, name: str) -> Array:
    """`x` as an array with an axis of time."""
    x = checks.array_like(x, who, name)
    if x.ndim == 0 or x.dtype.kind == "O":
        raise TypeError(
            f"{who} expects {name} to be an array whose first axis is time, "
            f"got {x.ndim} axes of {x.dtype}"
        )
    return x


def bounds(start: int | None, end: int | None, steps: int, who: str) -> tuple[int, int]:
    """The part of the data that is used."""
    for name, value, least in (("start_index", start, 0), ("end_index", end, 1)):
        if value is not None and checks.integer(value, who, name, least) >= steps:
            raise ValueError(f"{who} expects {name} to be less than the {steps} steps, got {value}")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"{who} expects end_index to be above start_index={start}, got {end}")
    return start or 0, steps if end is None else end


class Windows(Batches):
    """Batches of windows of a series; every pass over it starts anew.

    Each batch is gathered when it is asked for, so that all windows together take no more memory
    than the series. `timeseries_dataset_from_array` makes it. ``windows[i]`` is batch number i of
    the pass to come, ``windows[a:b]`` are some of the batches, as `take` and `skip` give them.
    `Batches` has the methods.

    Attributes
    ----------
    count : int
        Number of windows; ``len(windows)`` is the number of batches.
    passes : int
        How many times it was gone through; with `shuffle` it chooses the order of the next pass.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop import utils
    >>> windows = utils.timeseries_dataset_from_array(np.arange(9), None, 3, batch_size=2)
    >>> len(windows), windows[0].tolist()
    (4, [[0, 1, 2], [1, 2, 3]])
    >>> [batch.tolist() for batch in windows.skip(3)]
    [[[6, 7, 8]]]
    """

    def __init__(
        self,
        data: Array,
        targets: Array | None,
        starts: Array,
        length: int,
        rate: int,
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
    ):
        super().__init__(starts, batch_size, shuffle, seed)
        self.data = data
        self.targets = targets
        self.length = length
        self.rate = rate

    def gather(self, samples: Array) -> Any:
        """The windows that begin at `samples`, with their targets where there are any."""
        span = (self.length - 1) * self.rate + 1
        every = np.lib.stride_tricks.sliding_window_view(self.data, span, axis=0)
        every = np.moveaxis(every, -1, 1)[:, :: self.rate]  # (start, step, ...): still no copy
        x = every[samples]  # a list of indices copies
        return one_batch(x, None if self.targets is None else self.targets[samples])
