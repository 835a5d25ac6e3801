"""Directories of texts as batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.utils.directories import Kind, files_of

KIND = Kind("text_dataset_from_directory()", "text", (".txt",))


@checked
def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of the texts in a directory, read as they are wanted.

    Parameters
    ----------
    directory : str or path-like
        With a directory for each class, in which ``.txt`` files lie at any depth; without classes,
        such files at any depth.
    labels : "inferred", None, or list of numbers
        From the names of the directories; none; or one for each file, in the order of their paths.
    label_mode : {"int", "categorical", "binary", None}
        Labels are int32 of shape (n,), rows of the identity in float32, float32 of shape (n, 1) for
        two classes, or none.
    class_names : list of str, optional
        Which directories, and in which order they are numbered. Default: all, by name.
    batch_size : int or None, default 32
        None yields single texts.
    max_length : int, optional
        Characters after which a text is cut off.
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
    format : {"tf", "grain"}
        Keras' container; both give the same batches, and here both give NumPy arrays.
    verbose : bool, default True
        Say how many files there are.

    Returns
    -------
    Files, or two of them
        Batches x or (x, y), x an array of str, (n,). They can be gone through any number of times;
        `class_names` and `file_paths` are attributes, and `Batches` has the methods, among them
        `map`, `take` and `prefetch`.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    ValueError
        If there is no text, one is no UTF-8, or an argument is none of those above.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from backprop import utils
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("bad", "good"):
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "1.txt").write_text(f"a {name} film")
    >>> texts = utils.text_dataset_from_directory(folder, shuffle=False, verbose=False)
    >>> texts[0]
    (array(['a bad film', 'a good film'], dtype=object), array([0, 1], dtype=int32))
    """
    who = KIND.who
    checks.one_of(format, ("tf", "grain"), who, "format")
    if max_length is not None:
        max_length = checks.integer(max_length, who, "max_length", 0)
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
        read=partial(text, max_length=max_length),
        join=partial(np.array, dtype=object),
    )


def text(path: str, max_length: int | None) -> str:
    """The first characters of a file, as they are."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read(-1 if max_length is None else max_length)
    except UnicodeDecodeError as error:
        raise ValueError(f"{KIND.who} cannot read {path}, it is no UTF-8: {error}") from error
