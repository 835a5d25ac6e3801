"""What `train` learns from: the digits or a file, as rows to train on and rows held out."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import numpy as np

from backprop import tabular
from backprop.cli.sources import Source, load_source
from backprop.cli.usage import UsageError
from backprop.tabular import Preprocessing, Table

Array = np.ndarray
RARE = 5  # rows of a class that can hardly be learned


@dataclass
class Task:
    """Data that are ready for a network: rows to train on, rows held out, how answers are read."""

    x: Array
    y: Array
    training: Array  # numbers of rows
    held_out: Array
    prepared: Preprocessing
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> int:
        return len(self.prepared.classes or ())

    @property
    def held(self) -> tuple[Array, Array]:
        return self.x[self.held_out], self.y[self.held_out]

    def describe(self) -> str:
        target = self.prepared.target
        what = f"{self.classes} classes" if self.classes else f"regression of {target!r}"
        return f"{len(self.training):,} rows to train on, {len(self.held_out):,} held out, {what}"


def load_digits() -> Task:
    """The digits in their own split: every fifth row is held out."""
    from backprop.datasets import digits

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    prepared = Preprocessing(target="digit", classes=list(range(10)), array_deviation=16.0)
    x = prepared.encode(np.concatenate([x_train, x_test])[..., None])
    y = np.concatenate([y_train, y_test]).astype(np.int64)
    n = len(x_train)
    return Task(x, y, np.arange(n), np.arange(n, len(x)), prepared)


def load_task(options: argparse.Namespace) -> Task:
    source = load_source(options)
    task = tabular.choose_task(source.y, options.task or "auto", source.target)
    training, held_out = split(source, options, task)
    prepared = Preprocessing()
    prepared.learn_target(source.y, training, task, source.target)
    notes = [*source.notes, *about_classes(prepared, source, options)]
    ignored = options.ignore or []
    if isinstance(source.x, Table):
        source.x.require(ignored)
        wanted = [c for c in source.x.columns if c != source.target and c not in ignored]
        notes += prepared.learn_columns(source.x, wanted, training)
    elif ignored:
        raise UsageError("--ignore is for the columns of a table")
    else:
        prepared.array_mean, prepared.array_deviation = tabular.learn_array(source.x, training)
    return Task(
        prepared.encode(source.x),
        prepared.encode_target(source.y),
        training,
        held_out,
        prepared,
        notes,
    )


def split(source: Source, options: argparse.Namespace, task: str) -> tuple[Array, Array]:
    """The numbers of the rows to train with and of those held out: the source's own, or drawn."""
    if source.training_rows is None:
        share = 0.2 if options.held_out is None else options.held_out
        return tabular.hold_out(source.y, share, options.seed, classes=task == "classification")
    if options.held_out is not None:
        raise UsageError(f"{options.data} has held-out rows of its own: leave --held-out out")
    n = source.training_rows
    return np.arange(n), np.arange(n, len(source.y))


def about_classes(
    prepared: Preprocessing, source: Source, options: argparse.Namespace
) -> list[str]:
    """What may be surprising about the classes: that there are any, and how rare some are."""
    classes, notes = prepared.classes, []
    if classes is None:
        return []
    if (options.task or "auto") == "auto" and len(classes) > 2 and isinstance(classes[0], int):
        notes.append(
            f"the {len(classes)} different whole numbers of {prepared.target!r} are taken for "
            "classes: say --task regression if they are a quantity"
        )
    counts = np.bincount(prepared.encode_target(source.y), minlength=len(classes))
    rare = [f"{label!r} ({n})" for label, n in zip(classes, counts, strict=True) if n < RARE]
    if rare:
        notes.append(
            f"classes of fewer than {RARE} rows can hardly be learned: {tabular.listing(rare)}"
        )
    return notes
