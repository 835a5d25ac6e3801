"""Inputs and target of a network together: what is saved beside its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from backprop.tabular.cells import explain, find_reader, read_numbers
from backprop.tabular.columns import (
    Column,
    in_range,
    is_list_of,
    moments,
    numbers,
)
from backprop.tabular.notation import Notation, is_missing
from backprop.tabular.reading import Table, is_numbered

Array = np.ndarray
MOST_CLASSES = 20  # whole numbers with more different values are quantities


@dataclass
class Preprocessing:
    """From the rows of a table (or an array) to a network's input, and from its output to answers.

    Attributes
    ----------
    columns : list of Column
        Empty for arrays, which are standardised as a whole or feature by feature.
    target : str
    order : list of str
        All columns of the training table, the target among them, as they stood there.
    named : bool
        Whether that table named them; else they are numbered.
    classes : list, optional
        Of a classification, in the order of the output.
    mean, deviation : float
        Of the target of a regression.
    array_mean, array_deviation : float or list of float
        Of arrays.
    """

    columns: list[Column] = field(default_factory=list)
    target: str = ""
    order: list[str] = field(default_factory=list)
    named: bool = True
    classes: list[Any] | None = None
    mean: float = 0.0
    deviation: float = 1.0
    array_mean: Any = 0.0
    array_deviation: Any = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, data: Any) -> Preprocessing:
        """What `to_json` gave; anything else is a ValueError."""
        try:
            columns = [Column.from_json(column) for column in data["columns"]]
            # the first versions did not say so, and took no row of numbers for names
            named = {"named": not is_numbered(data["order"])}
            made = cls(**named | data | {"columns": columns})
        except (TypeError, KeyError) as error:
            raise ValueError(f"the file's preprocessing is damaged: {error}") from error
        if not (
            isinstance(made.target, str)
            and is_list_of(made.order, str)
            and isinstance(made.named, bool)
            and (made.classes is None or is_list_of(made.classes, str | int | float))
            and numbers(made.mean, made.deviation)
            and numbers(made.array_mean, made.array_deviation)
        ):
            raise ValueError("the file's preprocessing is damaged")
        return made

    def learn_columns(self, table: Table, names: Sequence[str], training: Array) -> list[str]:
        """Learn how columns become numbers; returns what was decided, a line each."""
        notes = []
        self.order, self.named = table.columns, table.named
        for name in names:
            cells = table.column(name)
            if all(is_missing(cells[i]) for i in training):
                notes.append(f"column {name!r} is empty in all training rows: left out")
                continue
            self.columns.append(Column.learn(table, name, training))
            notes += self.columns[-1].notes()
        if not self.columns:
            raise ValueError(f"{table.source} has no column to learn from beside {self.target!r}")
        return notes

    def encode(self, source: Table | Array) -> Array:
        """The network's input, float32."""
        if isinstance(source, Table):
            if not self.columns:
                raise ValueError(f"the model was trained on arrays, and {source.source} is a table")
            source = self.arrange(source)
            return np.concatenate([c.encode(source) for c in self.columns], axis=1).astype(
                np.float32
            )
        if self.columns:
            raise ValueError(
                "the model was trained on a table with named columns, and the data are arrays"
            )
        mean = np.asarray(self.array_mean)
        if mean.shape not in ((), source.shape[1:]):
            raise ValueError(
                f"the model expects rows of {mean.size} numbers and got an array of shape "
                f"{source.shape}"
            )
        if source.dtype.itemsize <= 2 and not mean.ndim:  # images: float32 has all that they hold
            source = source.astype(np.float32)
            source -= mean.astype(np.float32)
            source /= np.float32(self.array_deviation)
            return source
        x = (source.astype(np.float64) - mean) / np.asarray(self.array_deviation)
        return in_range(x, "the data").astype(np.float32)

    def arrange(self, table: Table) -> Table:
        """The table, with the columns that the model wants."""
        without = [name for name in self.order if name != self.target]
        if not table.named and len(table.columns) == len(without) < len(self.order):
            # numbered columns, and the target is left out: the numbers are those of training
            table = Table(table.source, without, table.rows, named=False)
        table.require([column.name for column in self.columns])
        return table

    def encode_target(self, target: list | Array) -> Array:
        """Class numbers, or standardised quantities."""
        if self.classes is None:
            y = (np.asarray(target, np.float64) - self.mean) / self.deviation
            return in_range(y, f"target {self.target!r}").astype(np.float32)
        place = {label: i for i, label in enumerate(self.classes)}
        return np.array([place[plain(label)] for label in target], np.int64)

    def learn_target(self, target: list | Array, training: Array, task: str, name: str) -> None:
        """Learn what classes or a quantity need."""
        self.target = name
        if choose_task(target, task, name) == "regression":
            mean, deviation = moments(np.asarray(target, np.float64)[training])
            self.mean, self.deviation = float(mean), float(deviation)
            return
        values = [plain(v) for v in target]
        if len({values[i] for i in training}) < 2:
            raise ValueError(
                f"target {name!r} has only one class in the {len(training)} training rows: give "
                "more rows, or hold out fewer"
            )
        self.classes = sorted(set(values))

    def decode(self, output: Array) -> list[Any]:
        """The answers: a class for each row, or a quantity in the units of the data."""
        if self.classes is None:
            return (
                output.astype(np.float64).reshape(len(output)) * self.deviation + self.mean
            ).tolist()
        return [self.classes[i] for i in output.argmax(-1)]


def read_target(table: Table, name: str, task: str) -> tuple[list[str] | Array, list[str]]:
    """The cells of a table's target, and what was decided about them: numbers where most are some,
    and text otherwise."""
    cells = table.column(name)
    if "" in cells:
        raise ValueError(
            f"{table.source}: target {name!r} has an empty cell in {table.place(cells.index(''))}: "
            "a row without its answer teaches nothing, remove it"
        )
    reader = find_reader(table, name, cells)
    if isinstance(reader, Notation):
        how = str(reader)
        notes = [f"target {name!r} holds numbers with {how}"] if how else []
        return read_numbers(table, name), notes
    different, odd = len(set(cells)), explain(table, name)
    if reader is not None and (task == "regression" or different > MOST_CLASSES):
        raise ValueError(
            f"{table.source}: target {name!r} holds {reader.what}, such as {cells[0]!r}: write "
            "what is to be predicted as a number, such as days since a first one"
        )
    if task == "regression":
        raise ValueError(
            f"{table.source}: target {name!r} is text: regression needs numbers"
            f"{odd and f', and {odd}'}"
        )
    if odd and different > MOST_CLASSES:
        raise ValueError(f"{table.source}: target {name!r} is taken for text: {odd}")
    return cells, [f"target {name!r} is taken for text: {odd}"] if odd else []


def choose_task(target: list | Array, task: str, name: str) -> str:
    """`"classification"` or `"regression"`: as asked for, or what the target looks like.

    Text is classes, and so are whole numbers of few different values; anything else is a quantity.
    """
    values = [plain(v) for v in target]
    text = any(isinstance(v, str) for v in values)
    different = set(values)
    if not text and not all(math.isfinite(v) for v in different):
        raise ValueError(f"target {name!r} holds NaN or infinity")
    if task == "auto":
        whole = not text and all(float(v).is_integer() for v in different)
        few = whole and len(different) <= min(MOST_CLASSES, len(values) // 2)
        task = "classification" if text or few else "regression"
    if task == "regression":
        if text:
            raise ValueError(f"target {name!r} is text: regression needs numbers")
        return task
    if len(different) < 2:
        raise ValueError(
            f"target {name!r} has only one class, {values[0]!r}: there is nothing to tell apart"
        )
    if len(different) > max(MOST_CLASSES, len(values) // 2):
        raise ValueError(
            f"target {name!r} has {len(different)} different "
            f"{'texts' if text else 'values'} in {len(values)} rows, too many for classes"
            + ("" if text else ": say --task regression")
        )
    return task


def hold_out(
    target: list | Array, share: float, seed: int, classes: bool = False
) -> tuple[Array, Array]:
    """The numbers of the rows to train with and of those to test with.

    Evenly spread rows of the table sorted by target, in random order where targets are equal: so
    each class, and each range of a quantity, has its share of the test rows. A class of few rows
    keeps at least one to train with (`classes`).
    """
    n = len(target)
    count = round(n * share)
    rng = np.random.default_rng(seed)
    if not 0 < count < n:
        raise ValueError(
            f"{n} row{' is' if n == 1 else 's are'} too few to hold out {share:g} of them and "
            "train with the rest"
        )
    shuffled = rng.permutation(n)
    place = np.unique(np.asarray(target), return_inverse=True)[1].reshape(n)
    by_target = shuffled[np.argsort(place[shuffled], kind="stable")]
    chosen = by_target[((np.arange(count) + rng.random()) * (n / count)).astype(int)]
    test = np.zeros(n, bool)
    test[chosen] = True
    if classes:
        left = np.bincount(place[~test], minlength=place.max() + 1)
        for missing in np.flatnonzero(left == 0):
            test[np.flatnonzero(place == missing)[0]] = False
    if not test.any():
        raise ValueError(f"{n} rows are too few: each is the only one of its class")
    return np.flatnonzero(~test), np.flatnonzero(test)


def plain(value: Any) -> Any:
    """A class label as JSON holds it: text, or a whole number as int."""
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def learn_array(x: Array, training: Array) -> tuple[Any, Any]:
    """Mean and deviation of training rows: by feature for (rows, features), of everything for
    images and sequences."""
    mean, deviation = moments(x[training], 0 if x.ndim == 2 else None)
    return mean.tolist(), deviation.tolist()
