"""What IMDB and Reuters have in common: texts as lists of the ranks of their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backprop import checks
from backprop.datasets.arrays import LIMIT, Expected

Array = np.ndarray

TEXTS, LABELS = Expected("O", (None,)), Expected("iu", (None,))


def check_texts(x: Array, path: Path) -> None:
    """Raise unless the texts are lists of integers; those of NumPy become Python's."""
    for i, words in enumerate(x):
        kinds = set(map(type, words)) if type(words) is list else {None}
        if kinds <= {int}:
            continue
        if bool in kinds or not all(k and issubclass(k, int | np.integer) for k in kinds):
            raise ValueError(f"text {i} of {path} should be a list of integers")
        x[i] = list(map(int, words))


def started(x: Array, start_char: int | None, index_from: int | None) -> list[list[int]]:
    """The texts with their words moved up, behind a beginning."""
    first = [] if start_char is None else [start_char]
    up = index_from or 0
    return [first + [w + up for w in words] for words in x]


def short(x: list, y: Any, maxlen: int | None) -> tuple[list, Any]:
    """The texts that have fewer than `maxlen` words, with their labels."""
    if not maxlen:
        return x, y
    kept = [i for i, words in enumerate(x) if len(words) < maxlen]
    if not kept:
        raise ValueError(
            f"load_data() has no text of fewer than maxlen={maxlen} words: give a larger one"
        )
    return [x[i] for i in kept], y[kept]


def known(
    x: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None
) -> list[list[int]]:
    """The texts with words that are too rare or too frequent replaced, or left out.

    Where `num_words` is not said it is the rarest word's number, so that this one is replaced, as
    Keras has it.
    """
    if not num_words:
        num_words = max((max(words) for words in x if words), default=0)
    if oov_char is None:
        return [[w for w in words if skip_top <= w < num_words] for words in x]
    return [[w if skip_top <= w < num_words else oov_char for w in words] for words in x]


def as_objects(x: list[list[int]]) -> Array:
    """The texts as an array of lists."""
    array = np.empty(len(x), object)
    for i, words in enumerate(x):
        array[i] = words
    return array


def check_arguments(who: str, num_words: Any, skip_top: Any, maxlen: Any) -> None:
    for name, value in (("num_words", num_words), ("maxlen", maxlen)):
        if value is not None:
            checks.integer(value, who, name, 0)
    checks.integer(skip_top, who, "skip_top", 0)


def read_word_index(path: Path) -> dict[str, int]:
    """The rank of each word, from 1 on, from a JSON file."""
    import json

    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path} is not read: it has more than {LIMIT:,} bytes")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if not isinstance(found, dict) or not all(type(rank) is int for rank in found.values()):
        raise ValueError(f"{path} should hold the rank of each word, as one JSON object")
    return found
