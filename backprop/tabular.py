"""Tables of numbers and text, prepared for a network: what `backprop train data.csv` does first.

Everything that is learned from the data (means, deviations, which columns are text and which texts
they hold) is learned from the training rows alone and kept with the model, so that `backprop
predict` does the same to new rows. What a column is called decides where it goes; its place in the
file does not matter.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backprop.config import nearest

Array = np.ndarray
MOST_CLASSES = 20  # whole numbers with more different values are quantities
MOST_LEVELS = 50  # of a column of text in a small table


@dataclass
class Table:
    """Rows of text, by column.

    Attributes
    ----------
    source : str
        The file's name, for errors.
    columns : list of str
        Their names: ``"0"``, ``"1"``, … where the file has none.
    rows : list of list of str
    named : bool
        Whether the file names its columns.
    """

    source: str
    columns: list[str]
    rows: list[list[str]]
    named: bool = True

    def column(self, name: str) -> list[str]:
        i = self.index(name)
        return [row[i] for row in self.rows]

    def index(self, name: str) -> int:
        self.require([name])
        return self.columns.index(name)

    def require(self, names: Sequence[str]) -> None:
        """Raise unless the table has all these columns."""
        missing = [name for name in names if name not in self.columns]
        if not missing:
            return
        what = f"columns {listing(missing)}"
        if len(missing) == 1:
            what = f"column {missing[0]!r}{nearest(missing[0], self.columns)}"
        why = "" if self.named else " (its first row holds data, so its columns are numbered)"
        raise ValueError(f"{self.source} has no {what}; it has {listing(self.columns)}{why}")


def listing(names: Iterable[Any], most: int = 12) -> str:
    """Names with commas, cut short where there are many."""
    names = [str(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def read_csv(path: str | os.PathLike) -> Table:
    """Read a table with commas, semicolons or tabs between its cells.

    The first row names the columns, unless it looks like the others: unless it has a number in
    every column that otherwise holds numbers.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and a CSV file was expected")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no CSV file in UTF-8: byte {error.start} is not text; save it as CSV in "
            "UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} is no CSV file: it holds NUL characters")
    rows = parse(text, path)
    if not rows:
        raise ValueError(f"{path} is empty")
    named = has_names(rows)
    columns = [str(i) for i in range(len(rows[0]))]
    if named:
        columns = [name or f"column {i}" for i, name in enumerate(rows.pop(0), start=1)]
        twice = next((c for i, c in enumerate(columns) if c in columns[:i]), None)
        if twice is not None:
            raise ValueError(f"{path} has two columns named {twice!r}: rename one of them")
    if not rows:
        raise ValueError(f"{path} has a row of names and no row of data")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise ValueError(
                f"{path}: data row {number} has {len(row)} cells where there are {len(columns)} "
                "columns"
            )
    return Table(str(path), columns, rows, named)


def parse(text: str, path: Path) -> list[list[str]]:
    """The rows that are not blank, split at that of , ; and tab which makes most cells of the
    first."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    return [[cell.strip() for cell in row] for row in found if any(map(str.strip, row))]


def has_names(rows: list[list[str]]) -> bool:
    first, rest = rows[0], rows[1:]
    if not rest:
        return not all(map(is_number, first))
    width = min(map(len, rows))
    numbers = [i for i in range(width) if 2 * sum(is_number(row[i]) for row in rest) > len(rest)]
    return not numbers or not all(is_number(first[i]) for i in numbers)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python's own spelling, nobody else's


@dataclass
class Column:
    """How one input column becomes numbers.

    A number is standardised, (v - mean) / deviation; a text becomes one of its known `levels` as a
    row of zeros and a one, and a text that training never saw, only zeros.
    """

    name: str
    levels: list[str] | None = None
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def learn(cls, table: Table, name: str, training: Array) -> Column:
        """From the training rows alone, most of whose cells decide between numbers and text."""
        cells = table.column(name)
        seen = [cells[i] for i in training]
        if 2 * sum(map(is_number, seen)) <= len(seen):
            levels = sorted(set(seen))
            if len(levels) > max(MOST_LEVELS, len(seen) // 4):
                raise ValueError(
                    f"column {name!r} has {len(levels)} different texts in {len(seen)} training "
                    f"rows, too many to learn from: leave it out with --ignore {name!r}"
                )
            return cls(name, levels)
        mean, deviation = moments(parse_numbers(table, name)[training])
        return cls(name, None, float(mean), float(deviation))

    @classmethod
    def from_json(cls, data: Any) -> Column:
        column = cls(**data)
        texts = column.levels is None or is_list_of(column.levels, str)
        if (
            not isinstance(column.name, str)
            or not texts
            or not numbers(column.mean, column.deviation)
        ):
            raise ValueError(f"a column is described by {data!r}")
        return column

    @property
    def width(self) -> int:
        return 1 if self.levels is None else len(self.levels)

    def encode(self, table: Table) -> Array:
        """(rows, width), float64."""
        if self.levels is None:
            with np.errstate(over="ignore"):
                y = (parse_numbers(table, self.name) - self.mean) / self.deviation
            return in_range(y[:, None], f"{table.source}: column {self.name!r}")
        place = {level: i for i, level in enumerate(self.levels)}
        found = np.array([place.get(cell, -1) for cell in table.column(self.name)])
        return (found[:, None] == np.arange(len(self.levels))).astype(np.float64)

    def strangers(self, table: Table) -> list[str]:
        """The texts of the table that training never saw."""
        if self.levels is None:
            return []
        return sorted(set(table.column(self.name)) - set(self.levels))


def parse_numbers(table: Table, name: str) -> Array:
    """A column of numbers; a cell that is none is an error that says where."""
    values = np.empty(len(table.rows))
    for i, cell in enumerate(table.column(name)):
        if not is_number(cell):
            what = f"the text {cell!r}" if cell else "an empty cell"
            raise ValueError(
                f"{table.source}: column {name!r} holds numbers, but data row {i + 1} has {what}; "
                "mend or remove the row"
            )
        values[i] = float(cell)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values))) + 1
        raise ValueError(
            f"{table.source}: column {name!r} has {table.column(name)[row - 1]} in data row {row}; "
            "mend or remove the row"
        )
    return values


def moments(x: Array, axis: int | None = None) -> tuple[Array, Array]:
    """Mean and deviation along an axis; the deviation is 1 where the numbers are all the same."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = x.mean(axis), x.std(axis)
    # rounding leaves equal numbers a tiny deviation that standardising would blow up
    flat = deviation <= 1e-12 * np.abs(mean)
    return in_range(mean, "the mean of the data"), in_range(
        np.where(flat, 1.0, deviation), "the data"
    )


def in_range(x: Array, what: str) -> Array:
    """`x`, unless it is larger than float32 can hold."""
    if not (np.abs(x) < np.finfo(np.float32).max).all():
        raise ValueError(f"{what} is too large to compute with: give it in larger units")
    return x


def is_list_of(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, kind) for v in value)


def numbers(mean: Any, deviation: Any) -> bool:
    """Whether both are finite numbers (or lists of them) and the second is positive."""
    try:
        mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    except (ValueError, TypeError):
        return False
    return bool(np.isfinite(mean).all() and np.isfinite(deviation).all() and (deviation > 0).all())


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
    classes: list[Any] | None = None
    mean: float = 0.0
    deviation: float = 1.0
    array_mean: Any = 0.0
    array_deviation: Any = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Preprocessing:
        """What `to_json` gave; anything else is a ValueError."""
        try:
            made = cls(
                **data | {"columns": [Column.from_json(column) for column in data["columns"]]}
            )
        except (TypeError, KeyError) as error:
            raise ValueError(f"the file's preprocessing is damaged: {error}") from error
        if not (
            isinstance(made.target, str)
            and is_list_of(made.order, str)
            and (made.classes is None or is_list_of(made.classes, str | int | float))
            and numbers(made.mean, made.deviation)
            and numbers(made.array_mean, made.array_deviation)
        ):
            raise ValueError("the file's preprocessing is damaged")
        return made

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
        try:
            x = (source - np.asarray(self.array_mean)) / np.asarray(self.array_deviation)
        except ValueError:
            x = np.zeros((0, 0))
        if x.shape != source.shape:
            raise ValueError(
                f"the model expects rows of {np.size(self.array_mean)} numbers and got an array of "
                f"shape {source.shape}"
            )
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
        """Decide between classes and a quantity, and learn what either needs."""
        self.target = name
        values = [plain(v) for v in target]
        text = any(isinstance(v, str) for v in values)
        classes = sorted(set(values))
        if not text and not all(math.isfinite(v) for v in values):
            raise ValueError(f"target {name!r} holds NaN or infinity")
        if task == "auto":
            whole = not text and all(float(v).is_integer() for v in values)
            few = whole and len(classes) <= min(MOST_CLASSES, len(values) // 2)
            task = "classification" if text or few else "regression"
        if task == "regression":
            if text:
                raise ValueError(f"target {name!r} is text: regression needs numbers")
            mean, deviation = moments(np.asarray(target, np.float64)[training])
            self.mean, self.deviation = float(mean), float(deviation)
            return
        if len(classes) < 2:
            raise ValueError(
                f"target {name!r} has only one class, {classes[0]!r}: there is nothing to tell "
                "apart"
            )
        if len(classes) > max(MOST_CLASSES, len(values) // 2):
            raise ValueError(
                f"target {name!r} has {len(classes)} different values in {len(values)} rows, too "
                "many for classes" + ("" if text else ": say --task regression")
            )
        if len({values[i] for i in training}) < 2:
            raise ValueError(
                f"target {name!r} has only one class in the {len(training)} training rows: give "
                "more rows, or hold out fewer"
            )
        self.classes = classes

    def decode(self, output: Array) -> list[Any]:
        """The answers: a class for each row, or a quantity in the units of the data."""
        if self.classes is None:
            return (
                output.astype(np.float64).reshape(len(output)) * self.deviation + self.mean
            ).tolist()
        return [self.classes[i] for i in output.argmax(-1)]


def hold_out(target: list | Array, share: float, seed: int) -> tuple[Array, Array]:
    """The numbers of the rows to train with and of those to test with.

    Evenly spread rows of the table sorted by target, in random order where targets are equal: so
    each class, and each range of a quantity, has its share of the test rows.
    """
    n = len(target)
    count = round(n * share)
    rng = np.random.default_rng(seed)
    if not 0 < count < n:
        raise ValueError(
            f"{n} rows are too few to hold out {share:g} of them and train with the rest"
        )
    shuffled = rng.permutation(n)
    place = np.unique(np.asarray(target), return_inverse=True)[1].reshape(n)
    by_target = shuffled[np.argsort(place[shuffled], kind="stable")]
    chosen = by_target[((np.arange(count) + rng.random()) * (n / count)).astype(int)]
    test = np.zeros(n, bool)
    test[chosen] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def plain(value: Any) -> Any:
    """A class label as JSON holds it: text, or a whole number as int."""
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def learn_array(x: Array, training: Array) -> tuple[Any, Any]:
    """Mean and deviation of training rows: by feature for (rows, features), of everything for
    images and sequences."""
    mean, deviation = moments(x[training].astype(np.float64), 0 if x.ndim == 2 else None)
    return mean.tolist(), deviation.tolist()
