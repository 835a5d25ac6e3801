"""Directories of files as batches, each class in a directory of its own, as Keras reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from backprop import checks, random
from backprop.callbacks.console import say
from backprop.checks import as_path
from backprop.utils.batches import Batches, batch_size_and_seed, one_batch

Array = np.ndarray

LABEL_MODES = ("int", "categorical", "binary", None)


class Kind(NamedTuple):
    """What is read: how one is called, and what its files end in."""

    who: str
    one: str
    endings: tuple[str, ...]


class Files(Batches):
    """Batches of files, each of which is read when its batch is asked for.

    What `image_dataset_from_directory` and its like return; `Batches` has the methods.

    Attributes
    ----------
    file_paths : list of str
        In the order in which they are read without shuffling.
    class_names : list of str or None
        In the order of their numbers; None without labels.

    Notes
    -----
    With shuffling each pass has another order, which follows from the seed and the pass' number.
    """

    class_names: list[str] | None = None

    def __init__(
        self,
        file_paths: list[str],
        labels: Array | None,
        read: Callable[[str], Any],
        join: Callable[[list], Any],
        batch_size: int | None,
        shuffle: bool,
        seed: int,
    ):
        super().__init__(np.arange(len(file_paths)), batch_size, shuffle, seed)
        self.file_paths = file_paths
        self.labels = labels
        self.read = read
        self.join = join

    def gather(self, samples: Array) -> Any:
        """What the files of these numbers hold, with their labels where there are any."""
        x = self.join([self.read(self.file_paths[i]) for i in samples])
        return one_batch(x, None if self.labels is None else self.labels[samples])


def files_of(
    kind: Kind,
    directory: Any,
    labels: Any,
    label_mode: str | None,
    class_names: Any,
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    follow_links: bool,
    verbose: bool,
    *,
    read: Callable[[str], Any],
    join: Callable[[list], Any],
) -> Any:
    """The files of a directory as `Files`, or two of them for the subset "both".

    `read` makes an array of a file, and `join` a batch of several. The rest is Keras'.
    """
    who = kind.who
    check_labels(kind, labels, label_mode, class_names)
    check_split(who, validation_split, subset, shuffle, seed)
    batch_size, seed = batch_size_and_seed(batch_size, seed, who)
    if seed is None:
        seed = int(random.spawn().generate_state(1)[0])
    if label_mode is None:
        labels = None
    paths, numbers, names = index(
        kind, as_path(directory, who, "directory"), labels, class_names, follow_links
    )
    if verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        say(f"Found {len(paths)} files{classes}.")
    if label_mode == "binary" and numbers is not None and len(names or ()) != 2:
        raise ValueError(f"{who} with label_mode='binary' expects two classes, got {names}")
    if shuffle:  # once for all passes, so that a part that is split off is no single class
        (order,) = random.keras_orders(seed, len(paths))
        paths = [paths[i] for i in order]
        numbers = None if numbers is None else numbers[order]
    targets = None if numbers is None else encoded(who, numbers, label_mode, len(names or ()))

    made = []
    for part, rows in split(kind, directory, len(paths), validation_split, subset, verbose):
        of_part = None if targets is None else targets[rows]
        shuffled = shuffle and not (subset == "both" and part == "validation")
        made.append(Files(paths[rows], of_part, read, join, batch_size, shuffled, seed))
        made[-1].class_names = names
    return made[0] if len(made) == 1 else tuple(made)


# ------------------------------------------------------------------------------------------ checks


def check_labels(kind: Kind, labels: Any, label_mode: Any, class_names: Any) -> None:
    checks.one_of(label_mode, LABEL_MODES, kind.who, "label_mode")
    if not (labels is None or isinstance(labels, list | tuple)) and not (
        isinstance(labels, str) and labels == "inferred"
    ):
        raise ValueError(
            f"{kind.who} expects labels to be 'inferred', from the names of the directories, None, "
            f"or a list of a number for each {kind.one} file, in the order of their paths, got "
            f"{labels!r}"
        )
    if class_names is not None:
        checks.names(class_names, kind.who, "class_names")
    if class_names is not None and not isinstance(labels, str):
        raise ValueError(
            f"{kind.who} takes class_names with labels='inferred' alone, got labels={labels!r}"
        )


def check_split(who: str, share: Any, subset: Any, shuffle: Any, seed: Any) -> None:
    checks.one_of(subset, ("training", "validation", "both", None), who, "subset")
    if share is not None and (not checks.is_real(share) or not 0 <= share < 1):
        raise ValueError(f"{who} expects validation_split to be between 0 and 1, got {share!r}")
    if bool(share) != bool(subset):
        raise ValueError(
            f"{who} takes validation_split and subset together, got {share!r} and {subset!r}"
        )
    if share and shuffle and seed is None:
        raise ValueError(
            f"{who} needs a seed where it shuffles and splits: without one, the two parts of two "
            "calls would overlap"
        )


# ------------------------------------------------------------------------------------------- files


def index(
    kind: Kind, directory: str, labels: Any, class_names: Any, follow_links: bool
) -> tuple[list[str], Array | None, list[str] | None]:
    """The files, the number or label of each, and the names of the classes."""
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"{kind.who} finds no directory {directory}")
    if isinstance(labels, str):
        names = classes_in(kind.who, directory, class_names)
        found = [walk(directory, name, kind, follow_links) for name in names]
        numbers = np.repeat(np.arange(len(names)), [len(inside) for inside in found])
        return [path for inside in found for path in inside], numbers, names
    paths = walk(directory, "", kind, follow_links)
    if labels is None:
        return paths, None, None
    if len(labels) != len(paths):
        raise ValueError(
            f"{kind.who} expects a label for each of the {len(paths)} files in {directory}, got "
            f"{len(labels)}"
        )
    return paths, np.asarray(labels), [str(label) for label in sorted(set(labels))]


def classes_in(who: str, directory: str, class_names: Any) -> list[str]:
    """The directories of the classes, in alphabetical order or in the one that was said."""
    with os.scandir(directory) as entries:
        there = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if class_names is None:
        return there
    unknown = sorted(set(class_names) - set(there))
    if unknown:
        raise ValueError(
            f"{who} expects class_names to be directories in {directory}, which has "
            f"{', '.join(there)}, got {', '.join(map(repr, unknown))}"
        )
    return list(class_names)


def walk(directory: str, name: str, kind: Kind, follow_links: bool) -> list[str]:
    """The files below a class's directory, by the paths of their directories and then by name."""
    steps = os.walk(os.path.join(directory, name), followlinks=follow_links)
    return [
        os.path.join(root, file)
        for root, _, files in sorted(steps, key=lambda step: step[0])
        for file in sorted(files)
        if file.lower().endswith(kind.endings)
    ]


def split(
    kind: Kind, directory: Any, count: int, share: float | None, subset: str | None, verbose: bool
) -> list[tuple[str, slice]]:
    """The parts that are wanted, and which files each has: the last ones are for validation."""
    at = count - int((share or 0) * count)
    rows = {"training": slice(at), "validation": slice(at, None)}
    wanted = ["training", "validation"] if subset == "both" else [subset or "training"]
    for part in wanted:
        size = len(range(count)[rows[part]])
        if share and verbose:
            say(f"Using {size} files for {part}.")
        if not size:
            which = f"{kind.one} files" if not share else f"{kind.one} files for {part}"
            raise ValueError(
                f"{kind.who} finds no {which} in {directory}"
                + (f": validation_split={share} of {count} files leaves none" if count else "")
                + f"; such files end in {', '.join(kind.endings)}"
            )
    return [(part, rows[part]) for part in wanted]


def encoded(who: str, labels: Array, label_mode: str | None, classes: int) -> Array:
    """The labels as batches have them."""
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"{who} expects labels to be numbers, got {labels.dtype}")
    if label_mode == "binary":
        return labels.astype(np.float32)[:, None]
    if label_mode == "categorical":
        outside = (labels < 0) | (labels >= classes) | (labels % 1 != 0)
        if outside.any():
            raise ValueError(
                f"{who} with label_mode='categorical' expects labels from 0 to {classes - 1}, as "
                f"there are {classes} different ones, got {labels[outside][0]}"
            )
        return np.eye(classes, dtype=np.float32)[labels.astype(np.int64)]
    return labels.astype(np.float32 if labels.dtype.kind == "f" else np.int32)
