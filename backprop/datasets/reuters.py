"""Reuters: 11,228 newswires about 46 topics, as lists of the ranks of their words, from a file on
disk.

Source: Reuters-21578, D. Lewis (1997), UCI Machine Learning Repository,
https://doi.org/10.24432/C52G6M, in Keras' selection.
"""

from __future__ import annotations

from typing import Any

from backprop.checks import fraction
from backprop.datasets.arrays import read_npz, same_lengths
from backprop.datasets.cache import find
from backprop.datasets.imdb import WHERE
from backprop.datasets.mnist import Split
from backprop.datasets.words import (
    LABELS,
    TEXTS,
    as_objects,
    check_arguments,
    check_texts,
    known,
    read_word_index,
    short,
    started,
)
from backprop.random import keras_orders

TOPICS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship
    cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin
    strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem
    dlr gas silver wpi hog lead
"""


def load_data(
    path: Any = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Split:
    """The newswires and the topic of each, to train with and to test with.

    Parameters
    ----------
    path : str or path-like, default "reuters.npz"
        The `.npz` file: absolute, or in Keras' directory of data (``~/.keras/datasets``), or in the
        present one.
    num_words : int, optional
        Words of this number and rarer ones are unknown. Default: the rarest word's number.
    skip_top : int, default 0
        Words below this number, the most frequent ones, are unknown.
    maxlen : int, optional
        Leave out newswires that have so many words or more, their beginning among them.
    test_split : float, default 0.2
        The share to test with, from 0 to 1.
    seed : int, default 113
        Of the order.
    start_char : int, optional, default 1
        Stands before every newswire; None for nothing.
    oov_char : int, optional, default 2
        Stands for a word that is unknown; None leaves such words out.
    index_from : int, optional, default 3
        Added to the rank of each word.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Newswires as an array of lists of int, and labels as int64, numbers in `get_label_names()`.
        In the order that Keras draws from the seed.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says where one is to be had. Nothing is downloaded.
    ValueError
        If the file is damaged or holds something else, or no newswire is short enough. Its lists
        are pickled, and read without running anything.
    """
    who = "reuters.load_data()"
    check_arguments(who, num_words, skip_top, maxlen)
    share = fraction(test_split, who, "test_split")
    found = find(who, path, ("reuters.npz",), (), WHERE + "reuters.npz")
    arrays = read_npz(found, {"x": TEXTS, "y": LABELS})
    same_lengths(found, arrays["x"], arrays["y"])
    check_texts(arrays["x"], found)
    (order,) = keras_orders(seed, len(arrays["x"]))
    texts = started(arrays["x"][order], start_char, index_from)
    texts, y = short(texts, arrays["y"][order], maxlen)
    x = as_objects(known(texts, num_words, skip_top, oov_char))
    at = int(len(x) * (1 - share))
    return (x[:at], y[:at]), (x[at:], y[at:])


def get_word_index(path: Any = "reuters_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1 for the most frequent one; `load_data` adds `index_from`.

    Parameters
    ----------
    path : str or path-like, default "reuters_word_index.json"
        As in `load_data`.

    Raises
    ------
    FileNotFoundError, ValueError
        As in `load_data`.
    """
    name = "reuters_word_index.json"
    return read_word_index(find("reuters.get_word_index()", path, (name,), (), WHERE + name))


def get_label_names() -> tuple[str, ...]:
    """The topics, in the order of their numbers.

    Examples
    --------
    >>> from backprop.datasets import reuters
    >>> reuters.get_label_names()[:3], len(reuters.get_label_names())
    (('cocoa', 'grain', 'veg-oil'), 46)
    """
    return tuple(TOPICS.split())
