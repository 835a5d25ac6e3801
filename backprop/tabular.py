"""Tables of numbers and text, prepared for a network: what `backprop train data.csv` does before it trains.

Everything that is learned from the data (means, deviations, the texts of a column, the classes) is learned from the training rows
alone and kept with the model, so that `backprop predict` does the same to new rows.
"""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backprop.config import nearest

Array = np.ndarray
MOST_CLASSES = 20  # whole numbers with more different values are quantities


@dataclass
class Table:
    """Rows of text, by column."""

    source: str
    columns: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        i = self.index(name)
        return [row[i] for row in self.rows]

    def index(self, name: str) -> int:
        if name not in self.columns:
            raise ValueError(f"{self.source} has no column {name!r}{nearest(name, self.columns)}; it has {', '.join(self.columns)}")
        return self.columns.index(name)


def read_csv(path: str | os.PathLike) -> Table:
    """Read a CSV file; the first row names the columns, unless all of it is numbers (then they are "0", "1", …)."""
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a UTF-8 text file (byte {error.start})") from error
    lines = text.splitlines()
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if any(map(str.strip, row))]
    if not rows:
        raise ValueError(f"{path} is empty")
    if all(is_number(cell) for cell in rows[0]):
        columns = [str(i) for i in range(len(rows[0]))]
    else:
        columns = rows.pop(0)
        if len(set(columns)) < len(columns):
            twice = next(c for c in columns if columns.count(c) > 1)
            raise ValueError(f"{path} has two columns named {twice!r}")
    if not rows:
        raise ValueError(f"{path} has a row of names and no row of data")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise ValueError(f"{path}: data row {number} has {len(row)} cells where there are {len(columns)} columns")
    return Table(str(path), columns, rows)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass
class Column:
    """How one input column becomes numbers.

    A number is standardised, (v - mean) / deviation; a text becomes one of its known `levels` as a row of zeros and a one,
    and a text that training never saw, only zeros.
    """

    name: str
    levels: list[str] | None = None
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def learn(cls, table: Table, name: str, training: Array) -> Column:
        cells = table.column(name)
        numeric = [is_number(cell) for cell in cells]
        if 2 * sum(numeric) < len(cells):
            levels = sorted({cells[i] for i in training})
            if len(levels) > max(50, len(training) // 4):
                raise ValueError(
                    f"column {name!r} has {len(levels)} different texts in {len(training)} training rows, too many to "
                    f"learn from: leave it out with --ignore {name!r}"
                )
            return cls(name, levels)
        values = parse_numbers(table, name)[training]
        return cls(name, None, float(values.mean()), float(values.std()) or 1.0)

    @property
    def width(self) -> int:
        return 1 if self.levels is None else len(self.levels)

    def encode(self, table: Table) -> Array:
        if self.levels is None:
            return ((parse_numbers(table, self.name) - self.mean) / self.deviation)[:, None]
        place = {level: i for i, level in enumerate(self.levels)}
        found = np.array([place.get(cell, -1) for cell in table.column(self.name)])
        return (found[:, None] == np.arange(len(self.levels))).astype(np.float64)


def parse_numbers(table: Table, name: str) -> Array:
    """A column of numbers; a cell that is none is an error that says where."""
    values = np.empty(len(table.rows))
    for i, cell in enumerate(table.column(name)):
        if not is_number(cell):
            what = f"the text {cell!r}" if cell else "an empty cell"
            raise ValueError(f"{table.source}: column {name!r} holds numbers, but data row {i + 1} has {what}")
        values[i] = float(cell)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values))) + 1
        raise ValueError(f"{table.source}: column {name!r} has {table.column(name)[row - 1]} in data row {row}")
    return values


@dataclass
class Preprocessing:
    """From the rows of a table (or an array) to a network's input, and from its output to answers.

    Attributes
    ----------
    columns : list of Column
        Empty for arrays, which are standardised as a whole or feature by feature.
    target : str
    classes : list, optional
        Of a classification, in the order of the output.
    mean, deviation : list
        Of the target of a regression.
    array_mean, array_deviation : list
        Of arrays.
    """

    columns: list[Column] = field(default_factory=list)
    target: str = ""
    classes: list[Any] | None = None
    mean: float = 0.0
    deviation: float = 1.0
    array_mean: Any = 0.0
    array_deviation: Any = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocessing:
        return cls(**data | {"columns": [Column(**column) for column in data["columns"]]})

    def encode(self, source: Table | Array) -> Array:
        """The network's input."""
        if isinstance(source, Table):
            if not self.columns:
                raise ValueError(f"the model was trained on arrays, and {source.source} is a table")
            return np.concatenate([c.encode(source) for c in self.columns], axis=1).astype(np.float32)
        if self.columns:
            raise ValueError("the model was trained on a table with named columns, and the data are arrays")
        x = (source - np.asarray(self.array_mean)) / np.asarray(self.array_deviation)
        return x.astype(np.float32)

    def encode_target(self, target: list | Array) -> Array:
        """Class numbers, or standardised quantities."""
        if self.classes is None:
            return ((np.asarray(target, np.float64) - self.mean) / self.deviation).astype(np.float32)
        place = {label: i for i, label in enumerate(self.classes)}
        return np.array([place[plain(label)] for label in target], np.int64)

    def learn_target(self, target: list | Array, training: Array, task: str, name: str) -> None:
        """Decide between classes and a quantity, and learn what either needs."""
        self.target = name
        values = [plain(v) for v in target]
        text = any(isinstance(v, str) for v in values)
        if task == "auto":
            whole = not text and all(float(v).is_integer() for v in values)
            few = whole and len(set(values)) <= MOST_CLASSES
            task = "classification" if text or few else "regression"
        if task == "regression":
            if text:
                raise ValueError(f"target {name!r} is text: regression needs numbers")
            chosen = np.asarray(target, np.float64)[training]
            self.mean, self.deviation = float(chosen.mean()), float(chosen.std()) or 1.0
            return
        self.classes = sorted(set(values))
        if len(self.classes) < 2:
            raise ValueError(f"target {name!r} has only one class, {self.classes[0]!r}: there is nothing to tell apart")

    def decode(self, output: Array) -> list[Any]:
        """The answers: a class for each row, or a quantity in the units of the data."""
        if self.classes is None:
            return (output.reshape(len(output)) * self.deviation + self.mean).tolist()
        return [self.classes[i] for i in output.argmax(-1)]


def plain(value: Any) -> Any:
    """A class label as JSON holds it: text, or a whole number as int."""
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def learn_array(x: Array, training: Array) -> tuple[Any, Any]:
    """Mean and deviation of training rows: by feature for (rows, features), of everything for images and sequences."""
    rows = x[training].astype(np.float64)
    axis = 0 if x.ndim == 2 else None
    mean, deviation = rows.mean(axis), rows.std(axis)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return np.asarray(mean).tolist(), np.asarray(deviation).tolist()
