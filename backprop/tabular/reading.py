"""A table of text: rows of cells, and the names of their columns."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backprop.spelling import nearest
from backprop.tabular import notation
from backprop.tabular.dates import looks_like_a_date
from backprop.tabular.files import (
    Tell,
    TooManyRowsError,
    contents,
    decode,
    even_out,
    listing,
    parse,
    unpack,
    warn,
)
from backprop.tabular.notation import is_missing, looks_like_a_number

ENOUGH = 1_000  # rows show how a table is made
UNNAMED = re.compile(r"(Unnamed: \d+)?")  # what pandas calls a column without a name


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
    lines : list of int
        On which line of the file each row begins, from 1.
    delimiter : str
        What stands between the cells.
    decimal : {".", ","}, optional
        The decimal mark, where it was given.
    dates : {"dmy", "mdy", "ymd"}, optional
        The order of day, month and year, where it was given.
    notes : list of str
        What was decided about the file that its owner may want to know.
    """

    source: str
    columns: list[str]
    rows: list[list[str]]
    named: bool = True
    lines: list[int] = field(default_factory=list)
    delimiter: str = ","
    decimal: str | None = None
    dates: str | None = None
    notes: list[str] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        i = self.index(name)
        return [row[i] for row in self.rows]

    def index(self, name: str) -> int:
        self.require([name])
        return self.columns.index(name)

    def place(self, row: int) -> str:
        """Where a row, counted from 0, stands in the file."""
        return f"line {self.lines[row] if self.lines else row + 1 + self.named}"

    @cached_property
    def mark(self) -> str | None:
        """The decimal mark: the given one, or that of the columns which leave no doubt."""
        columns = list(zip(*self.rows, strict=True))
        if self.decimal or not any("," in cell for cells in columns for cell in cells):
            return self.decimal
        marks = {notation.evidence(cells) for cells in columns} - {None}
        return marks.pop() if len(marks) == 1 else None

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

    def drop(self, places: Iterable[int]) -> None:
        """Take columns out of the table."""
        gone = set(places)
        self.columns = [name for i, name in enumerate(self.columns) if i not in gone]
        self.rows = [[cell for i, cell in enumerate(row) if i not in gone] for row in self.rows]


def read_csv(
    path: str | os.PathLike,
    decimal: str | None = None,
    dates: str | None = None,
    known: Sequence[str] = (),
    named: bool = True,
) -> Table:
    """Read a table with commas, semicolons, tabs or bars between its cells.

    The first row names the columns, unless it looks like the others: unless it has a number in
    every column that otherwise holds numbers, or texts that its columns repeat. A first row of
    0, 1, 2, … is one of names, as pandas writes them for an array.

    Parameters
    ----------
    path : path
        In UTF-8, in UTF-16 with its mark, or in Windows-1252, which is warned of; it may be packed
        by gzip.
    decimal : {".", ","}, optional
    dates : {"dmy", "mdy", "ymd"}, optional
    known : sequence of str
        The columns of the table that a model was trained on: a first row that holds them is one of
        names, and no column is left out.
    named : bool
        Whether that table had a row of names.

    Raises
    ------
    ValueError
        The file is no table; the text says where and why.
    OSError
        It cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and a CSV file was expected")
    text = decode(unpack(contents(path), path), path)
    return as_table(text, str(path), known, named, decimal=decimal, dates=dates)


def as_table(
    text: str,
    source: str,
    known: Sequence[str] = (),
    named: bool = True,
    *,
    decimal: str | None = None,
    dates: str | None = None,
    most: int | None = None,
    tell: Tell = warn,
) -> Table:
    """The table that a text with plain line ends is, as `read_csv` reads one from a file.

    `most` rows may be in it, and `tell` is given what was left out of it.
    """
    rows, lines, delimiter = parse(text, source, None if most is None else most + 1, tell)
    if not rows:
        raise ValueError(f"{source} is empty")
    rows[0][0] = re.sub(r"^#\s+(?=\S)", "", rows[0][0])  # NumPy's way to write a row of names
    if len(rows) > 1:
        even_out(rows, lines, delimiter, source)
    found = are_names(rows, known, named) if known else has_names(rows)
    table = Table(source, [], rows, found, lines, delimiter, decimal=decimal, dates=dates)
    name_columns(table)
    if most is not None and len(table.rows) > most:
        raise TooManyRowsError(f"{source} has more than {most:,} rows")
    if not known:
        leave_out_blanks(table)
        leave_out_row_names(table)
    return table


def is_value(cell: str) -> bool:
    return looks_like_a_number(cell) or looks_like_a_date(cell)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether columns are called 0, 1, 2, … for want of names."""
    return list(names) == [str(i) for i in range(len(names))]


def are_names(rows: list[list[str]], known: Sequence[str], named: bool) -> bool:
    """Whether the first row names the columns, where those of an earlier table are known."""
    if not named:
        return is_count(rows[0], rows[1:])
    shared = set(known) & set(rows[0])
    return 2 * len(shared) > len(known) or set(rows[0]) == shared or has_names(rows)


def has_names(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns."""
    first, rest = rows[0], rows[1:ENOUGH]
    if is_count(first, rest):
        return True
    if not rest:
        return not all(map(is_value, first))
    columns = list(zip(*rest, strict=True))
    held = [[cell for cell in cells if not is_missing(cell)] for cells in columns]
    counted = [i for i, h in enumerate(held) if h and 2 * sum(map(is_value, h)) > len(h)]
    if counted:
        heads = [first[i] for i in counted if not is_missing(first[i])]
        return not heads or not all(map(is_value, heads))
    return not any(cell and cell in column for cell, column in zip(first, columns, strict=True))


def is_count(first: list[str], rest: list[list[str]]) -> bool:
    """Whether a first row counts the columns, and is no row of data.

    0, 1, 2, … is what pandas writes for an array, behind the empty name of its index or before a
    name or two. Two numbers, or numbers from 1 or from a year, must differ from what stands below
    in how they are written, or stand beside names.
    """
    places = [i for i, cell in enumerate(first) if cell.isascii() and cell.isdigit()]
    numbers = [int(first[i]) for i in places]
    if len(numbers) < 2 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return False
    if rest and rest[0] == [str(numbers[-1] + 1 + i) for i in range(len(rest[0]))]:
        return False  # numbers that go on in the next row are data
    names = [i for i, cell in enumerate(first) if i not in places and (i or cell)]
    for i in names:
        if not first[i] or is_value(first[i]) or any(row[i] == first[i] for row in rest):
            return False
    if numbers[0] == 0 and len(numbers) > 2:
        return True
    other = bool(names) or any(all("." in row[i] for row in rest) for i in places)
    return bool(rest) and other and (numbers[0] in (0, 1) or 1900 <= numbers[0] <= 2100)


def name_columns(table: Table) -> None:
    """Take the names from the first row, or number the columns where it holds data."""
    width = len(table.rows[0])
    table.columns = [str(i) for i in range(width)]
    if not table.named:
        table.notes.append(
            f"{table.source} has no row of names: its columns are called 0 to {width - 1}"
        )
        return
    names = table.rows.pop(0)
    table.lines.pop(0)
    if not table.rows:
        raise ValueError(f"{table.source} has a row of names and no row of data")
    table.columns = [name or f"column {i}" for i, name in enumerate(names, start=1)]
    met: dict[str, int] = {}
    for i, name in enumerate(table.columns, start=1):
        if met.setdefault(name, i) < i:
            raise ValueError(
                f"{table.source} has two columns named {name!r}, number {met[name]} and {i}: "
                "rename one of them"
            )
    if names[-2:] == [str(width - 2), str(width - 1)]:
        table.notes.append(f"the first row of {table.source}, {listing(names, 3)}, names columns")


def leave_out_blanks(table: Table) -> None:
    """A column without name and cells is a delimiter too many at the end of each line."""
    blank = f"column {len(table.columns)}"
    if table.named and table.columns[-1] == blank and not any(row[-1] for row in table.rows):
        table.drop([len(table.columns) - 1])


def leave_out_row_names(table: Table) -> None:
    """A first column without a name whose cells are all different numbers the rows, or names them:
    pandas and R write one, and there is nothing to learn from it."""
    name = table.columns[0]
    if not table.named or len(table.columns) < 2:
        return
    if name != "column 1" and not (name and UNNAMED.fullmatch(name)):
        return
    cells = table.column(name)
    whole = all(cell.isdigit() for cell in cells)
    if len(set(cells)) < len(cells) or not (whole or not any(map(is_value, cells))):
        return
    table.drop([0])
    what = "numbers" if whole else "names"
    table.notes.append(
        f"the first column of {table.source} has no name and {what} the rows: left out"
    )
