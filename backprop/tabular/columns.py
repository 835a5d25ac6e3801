"""How a column becomes numbers: learned from the training rows, applied to any."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from backprop.tabular.cells import CellError, explain, find_reader, read_cells
from backprop.tabular.dates import Form
from backprop.tabular.notation import Notation, is_missing
from backprop.tabular.reading import Table, listing

Array = np.ndarray
MOST_LEVELS = 50  # of a column of text in a small table
LARGEST = np.finfo(np.float32).max


@dataclass
class Column:
    """An input column, by its name.

    `encode` gives its columns of the network's input, `notes` says what was decided about it, and
    `surprises` what a table to predict holds that training did not.
    """

    name: str

    @staticmethod
    def learn(table: Table, name: str, training: Array) -> Column:
        """What most cells of the training rows are decides: numbers, dates or text."""
        cells = table.column(name)
        reader = find_reader(table, name, [cells[i] for i in training])
        if reader is None:
            return Texts.of(table, name, training)
        values = read_cells(table, name, reader)
        seen, gaps = values[training], bool(np.isnan(values).any())
        if isinstance(reader, Notation):
            return Numbers.of(name, reader, seen, gaps)
        return Dates.of(name, reader, seen, gaps)

    @staticmethod
    def from_json(data: Any) -> Column:
        """What `to_json` gave; anything else is a ValueError."""
        try:
            rest = dict(data if "kind" in data else of_the_first_version(data))
            column = KINDS[rest.pop("kind")].restore(rest)
            sound = isinstance(column.name, str) and column.is_sound()
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a column is described by {data!r}") from error
        if not sound:
            raise ValueError(f"a column is described by {data!r}")
        return column

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Column:
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        kind = next(kind for kind, cls in KINDS.items() if isinstance(self, cls))
        return {"kind": kind, **asdict(self)}

    # each kind of column writes the four that follow

    def is_sound(self) -> bool:
        """Whether the fields are of the right kind, after a file was read."""
        raise NotImplementedError

    def encode(self, table: Table) -> Array:
        """(rows, width), float64."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """What a report says of how the column is read."""
        raise NotImplementedError

    def surprises(self, table: Table) -> list[str]:
        """What a table to predict on has that the training's had not."""
        raise NotImplementedError


@dataclass
class Texts(Column):
    """A text becomes one of its known `levels` as a row of zeros and a one, and a text that
    training never saw, only zeros. An empty cell is a text too."""

    levels: list[str]
    odd: str = ""  # why it was not taken for numbers, where that could have been meant

    @classmethod
    def of(cls, table: Table, name: str, training: Array) -> Texts:
        cells = table.column(name)
        levels = sorted({cells[i] for i in training})
        odd = explain(table, name)
        if len(levels) > max(MOST_LEVELS, len(training) // 4):
            raise ValueError(
                f"{table.source}: column {name!r} has {len(levels)} different texts in "
                f"{len(training)} training rows, too many to learn from{odd and f' ({odd})'}: "
                f"leave it out with --ignore {name!r}"
            )
        return cls(name, levels, odd)

    def is_sound(self) -> bool:
        return is_list_of(self.levels, str) and isinstance(self.odd, str)

    def encode(self, table: Table) -> Array:
        place = {level: i for i, level in enumerate(self.levels)}
        found = np.array([place.get(cell, -1) for cell in table.column(self.name)])
        return (found[:, None] == np.arange(len(self.levels))).astype(np.float64)

    def notes(self) -> list[str]:
        return [f"column {self.name!r} is taken for text: {self.odd}"] if self.odd else []

    def strangers(self, table: Table) -> list[str]:
        """The texts of the table that training never saw."""
        return sorted(set(table.column(self.name)) - set(self.levels))

    def surprises(self, table: Table) -> list[str]:
        strangers = self.strangers(table)
        if not strangers:
            return []
        return [
            f"column {self.name!r} has texts that training never saw, which count as none of "
            f"those it knows: {listing(strangers)}"
        ]


@dataclass
class Gaps(Column):
    """Cells that may be missing: `median` stands in for them, and where training had some, a
    column of 0 and 1 marks them (`marked`)."""

    median: float | None = None
    marked: bool = False
    empty: str = ""  # how many there were, in words
    holds = ""  # what stands before the reader's description of itself

    reader: Any = None  # a `Notation` or a `Form`

    def fill_in(self, seen: Array, gaps: bool) -> None:
        """Learn from the values of the training rows, NaN where one is missing."""
        missing = np.isnan(seen)
        self.median = float(np.median(seen[~missing]))
        self.marked = bool(missing.any())
        if gaps:
            self.empty = f"{missing.sum():,} of {len(seen):,} training rows"

    def is_sound(self) -> bool:
        return (
            (self.median is None or numbers(self.median, 1.0))
            and isinstance(self.marked, bool)
            and isinstance(self.empty, str)
        )

    def filled(self, table: Table) -> tuple[Array, Array]:
        """The values with the median where one is missing, and where that is."""
        values = read_cells(table, self.name, self.reader)
        gaps = np.isnan(values)
        if gaps.any():
            if self.median is None:
                row = int(gaps.argmax())
                raise CellError(
                    f"{table.source}: column {self.name!r} has no value in {table.place(row)}, "
                    "and the model was saved without one to put there: mend or remove the row",
                    *(self.name, row, "a value"),
                )
            values[gaps] = self.median
        return values, gaps

    def marks(self, gaps: Array) -> list[Array]:
        return [gaps[:, None].astype(np.float64)] if self.marked else []

    def in_words(self, value: float) -> str:
        return f"{value:.6g}"

    def notes(self) -> list[str]:
        how = str(self.reader)
        said = [f"column {self.name!r} holds {self.holds}{how}"] if how else []
        if self.empty:
            marked = ", and a column of 0 and 1 marks them" if self.marked else ""
            assert self.median is not None
            said.append(
                f"column {self.name!r} is empty in {self.empty}: its median "
                f"{self.in_words(self.median)} stands there{marked}"
            )
        return said

    def surprises(self, table: Table) -> list[str]:
        missing = [i for i, cell in enumerate(table.column(self.name)) if is_missing(cell)]
        if self.marked or self.median is None or not missing:
            return []
        where = table.place(missing[0]) + (" and others" if len(missing) > 1 else "")
        return [
            f"column {self.name!r} has no value in {where}, and had one in every row of training: "
            f"its median {self.in_words(self.median)} stands there"
        ]


@dataclass
class Numbers(Gaps):
    """A number is standardised: (v - mean) / deviation."""

    holds = "numbers with "

    mean: float = 0.0
    deviation: float = 1.0
    reader: Notation = field(default_factory=Notation)

    @classmethod
    def of(cls, name: str, reader: Notation, seen: Array, gaps: bool) -> Numbers:
        mean, deviation = moments(seen[~np.isnan(seen)])
        column = cls(name, reader=reader, mean=float(mean), deviation=float(deviation))
        column.fill_in(seen, gaps)
        return column

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Numbers:
        read: dict[str, Any] = {**data, "reader": Notation.from_json(data.get("reader", {}))}
        return cls(**read)

    def is_sound(self) -> bool:
        scalar = isinstance(self.mean, int | float) and isinstance(self.deviation, int | float)
        return super().is_sound() and scalar and numbers(self.mean, self.deviation)

    def encode(self, table: Table) -> Array:
        values, gaps = self.filled(table)
        with np.errstate(over="ignore"):
            y = (values - self.mean) / self.deviation
        large = ~(np.abs(y) < LARGEST)
        if large.any():
            row = int(large.argmax())
            raise CellError(
                f"{table.source}: column {self.name!r} is too large to compute with in "
                f"{table.place(row)}: give it in larger units",
                *(self.name, row, "a number that float32 can hold"),
            )
        return np.concatenate([y[:, None], *self.marks(gaps)], axis=1)


@dataclass
class Dates(Gaps):
    """A moment becomes its day, its place in the year and in the day, and its weekday; each of
    them is standardised."""

    mean: list[float] = field(default_factory=list)
    deviation: list[float] = field(default_factory=list)
    reader: Form = field(default_factory=lambda: Form("ymd", False))

    @classmethod
    def of(cls, name: str, reader: Form, seen: Array, gaps: bool) -> Dates:
        mean, deviation = moments(reader.features(seen[~np.isnan(seen)]), 0)
        column = cls(name, reader=reader, mean=mean.tolist(), deviation=deviation.tolist())
        column.fill_in(seen, gaps)
        return column

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Dates:
        read: dict[str, Any] = {**data, "reader": Form.from_json(data["reader"])}
        return cls(**read)

    def is_sound(self) -> bool:
        return (
            super().is_sound()
            and np.shape(self.mean) == np.shape(self.deviation) == (self.reader.width,)
            and numbers(self.mean, self.deviation)
        )

    def in_words(self, value: float) -> str:
        return self.reader.write(value)

    def encode(self, table: Table) -> Array:
        moment, gaps = self.filled(table)
        y = (self.reader.features(moment) - self.mean) / self.deviation
        return np.concatenate([y, *self.marks(gaps)], axis=1)


KINDS: dict[str, Any] = {"number": Numbers, "date": Dates, "text": Texts}


def of_the_first_version(data: dict[str, Any]) -> dict[str, Any]:
    """What a model says that was saved before columns had kinds: text is what has levels."""
    texts = data["levels"] is not None
    kept = {"levels"} if texts else {"mean", "deviation"}
    rest = {key: data[key] for key in data if key not in {"levels", "mean", "deviation"} - kept}
    return {"kind": "text" if texts else "number", **rest}


# ---------------------------------------------------------------------------- numbers


def moments(x: Array, axis: int | None = None) -> tuple[Array, Array]:
    """Mean and deviation along an axis, in float64; the deviation is 1 where the numbers are all
    the same."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = x.mean(axis, dtype=np.float64), x.std(axis, dtype=np.float64)
    # rounding leaves equal numbers a tiny deviation that standardising would blow up
    flat = deviation <= 1e-12 * np.abs(mean)
    return in_range(mean, "the mean of the data"), in_range(
        np.where(flat, 1.0, deviation), "the data"
    )


def in_range(x: Array, what: str) -> Array:
    """`x`, unless it is larger than float32 can hold."""
    if not (np.abs(x) < LARGEST).all():
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
