"""Directories of sounds as batches."""

from __future__ import annotations

import warnings
from functools import partial
from math import gcd
from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.utils.directories import Kind, files_of

Array = np.ndarray

KIND = Kind("audio_dataset_from_directory()", "audio", (".wav",))


@checked
def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches of the sounds in a directory, read as they are wanted.

    Parameters
    ----------
    directory : str or path-like
        With a directory for each class, in which ``.wav`` files lie at any depth; without classes,
        such files at any depth.
    labels : "inferred", None, or list of numbers
        From the names of the directories; none; or one for each file, in the order of their paths.
    label_mode : {"int", "categorical", "binary", None}
        Labels are int32 of shape (n,), rows of the identity in float32, float32 of shape (n, 1) for
        two classes, or none.
    class_names : list of str, optional
        Which directories, and in which order they are numbered. Default: all, by name.
    batch_size : int or None, default 32
        None yields single sounds.
    sampling_rate : int, optional
        Samples a second, to which every sound is brought. Default: those of the file.
    output_sequence_length : int, optional
        Samples that every sound has, at the rate that is asked for: it is cut off, or filled up
        with silence. Default: as many as the longest of its batch.
    ragged : False
        TensorFlow's ragged arrays do not exist here.
    shuffle : bool, default True
        Otherwise the files are read in the order of their paths.
    seed : int, optional
        Of the order. Default: drawn from what `set_random_seed` was given.
    validation_split : float, optional
        The share, from the end of the (shuffled) files, that is for validation.
    subset : {"training", "validation", "both"}, optional
        Which part is wanted, where there is a split; "both" gives two.
    follow_links : bool, default False
        Whether links to directories are followed.
    verbose : bool, default True
        Say how many files there are.

    Returns
    -------
    Files, or two of them
        Batches x or (x, y), x of float32 from -1 to 1, (n, samples, channels). They can be gone
        through any number of times, and `fit`, `evaluate` and `predict` take them. `class_names`
        and `file_paths` are attributes; `Batches` has the methods, among them `map`, `take` and
        `prefetch`.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    ValueError
        If there is no sound, a file is none, those of a batch have different channels, or an
        argument is none of those above.

    Notes
    -----
    Samples of 8, 16, 24 and 32 bits are divided by the largest of their kind; TensorFlow reads 16
    alone. Another rate is reached by `scipy.signal.resample_poly`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from scipy.io import wavfile
    >>> from backprop import utils
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> wavfile.write(folder / "a.wav", 8000, np.array([0, 16384, -32768], np.int16))
    >>> sounds = utils.audio_dataset_from_directory(folder, labels=None, verbose=False)
    >>> sounds[0].ravel().tolist(), sounds[0].shape
    ([0.0, 0.5, -1.0], (1, 3, 1))
    """
    who = KIND.who
    if ragged:
        raise ValueError(
            f"{who} has no ragged arrays: leave ragged out, the sounds of a batch are then filled "
            "up to the longest"
        )
    length, rate = (
        None if value is None else checks.integer(value, who, name)
        for name, value in (
            ("output_sequence_length", output_sequence_length),
            ("sampling_rate", sampling_rate),
        )
    )
    return files_of(
        KIND,
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        read=partial(sound, rate=rate),
        join=partial(filled, length=length),
    )


def sound(path: str, rate: int | None) -> Array:
    """The samples of a file from -1 to 1, (samples, channels), at some rate."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that are no samples
            own, x = wavfile.read(path)
    except Exception as error:  # whatever SciPy's reader raises where a file is damaged
        if isinstance(error, OSError):
            raise
        raise ValueError(f"{KIND.who} cannot read {path}, it is no WAV file: {error}") from error
    x = x[:, None] if x.ndim == 1 else x
    if x.dtype == np.uint8:
        x = (x.astype(np.float32) - 128) / 128
    elif x.dtype.kind == "i":
        x = x / np.float64(2 ** (8 * x.dtype.itemsize - 1))
    if rate is not None and rate != own:
        from scipy.signal import resample_poly

        common = gcd(rate, own)
        x = resample_poly(x, rate // common, own // common, axis=0)
    return x.astype(np.float32)


def filled(sounds: list[Array], length: int | None) -> Array:
    """The sounds as one array, cut off or filled up with silence."""
    channels = {x.shape[1] for x in sounds}
    if len(channels) > 1:
        raise ValueError(
            f"{KIND.who} has sounds of {' and '.join(map(str, sorted(channels)))} channels in one "
            "batch: give them as many, or batch_size=None"
        )
    steps = max(len(x) for x in sounds) if length is None else length
    y = np.zeros((len(sounds), steps, *channels), np.float32)
    for row, x in zip(y, sounds, strict=True):
        row[: len(x)] = x[:steps]
    return y
