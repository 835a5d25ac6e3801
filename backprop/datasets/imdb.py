"""IMDB: 50,000 reviews of films, good or bad, as lists of the ranks of their words, from a file on
disk.

Source: A. Maas, R. Daly, P. Pham, D. Huang, A. Ng and C. Potts (2011), Learning Word Vectors for
Sentiment Analysis, ACL, in Keras' selection.
"""

from __future__ import annotations

from typing import Any

from backprop.datasets.arrays import read_npz, same_lengths
from backprop.datasets.cache import find
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

WHERE = "The file is to be had at https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def load_data(
    path: Any = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Split:
    """The reviews and whether each is good, to train with and to test with.

    Parameters
    ----------
    path : str or path-like, default "imdb.npz"
        The `.npz` file: absolute, or in Keras' directory of data (``~/.keras/datasets``), or in the
        present one.
    num_words : int, optional
        Words of this number and rarer ones are unknown. Default: the rarest word's number.
    skip_top : int, default 0
        Words below this number, the most frequent ones, are unknown.
    maxlen : int, optional
        Leave out reviews that have so many words or more, their beginning among them.
    seed : int, default 113
        Of the order.
    start_char : int, optional, default 1
        Stands before every review; None for nothing.
    oov_char : int, optional, default 2
        Stands for a word that is unknown; None leaves such words out.
    index_from : int, optional, default 3
        Added to the rank of each word.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Reviews as an array of lists of int, and labels as int64, 1 for good. In the order that
        Keras draws from the seed.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says where one is to be had. Nothing is downloaded.
    ValueError
        If the file is damaged or holds something else, or no review is short enough. Its lists are
        pickled, and read without running anything.
    """
    check_arguments("imdb.load_data()", num_words, skip_top, maxlen)
    found = find("imdb.load_data()", path, ("imdb.npz",), (), WHERE + "imdb.npz")
    expected = {"x_train": TEXTS, "y_train": LABELS, "x_test": TEXTS, "y_test": LABELS}
    arrays = read_npz(found, expected)
    orders = keras_orders(seed, len(arrays["x_train"]), len(arrays["x_test"]))
    texts, labels, counts = [], [], []
    for part, order in zip(("train", "test"), orders, strict=True):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        same_lengths(found, x, y)
        check_texts(x, found)
        x, y = short(started(x[order], start_char, index_from), y[order], maxlen)
        texts += x
        labels.append(y)
        counts.append(len(x))
    x = as_objects(known(texts, num_words, skip_top, oov_char))
    return (x[: counts[0]], labels[0]), (x[counts[0] :], labels[1])


def get_word_index(path: Any = "imdb_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1 for the most frequent one; `load_data` adds `index_from`.

    Parameters
    ----------
    path : str or path-like, default "imdb_word_index.json"
        As in `load_data`.

    Raises
    ------
    FileNotFoundError, ValueError
        As in `load_data`.
    """
    name = "imdb_word_index.json"
    return read_word_index(find("imdb.get_word_index()", path, (name,), (), WHERE + name))
