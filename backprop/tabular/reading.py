"""From the bytes of a file to rows of cells and the names of their columns."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from backprop.config import nearest
from backprop.tabular import notation
from backprop.tabular.dates import looks_like_a_date
from backprop.tabular.notation import is_missing, is_plain, looks_like_a_number

ENOUGH = 1_000  # rows show how a table is made
DELIMITERS = "\t;|,"
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


def listing(names: Iterable[Any], most: int = 12) -> str:
    """Names with commas, cut short where there are many."""
    names = [str(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def read_csv(
    path: str | os.PathLike,
    decimal: str | None = None,
    dates: str | None = None,
    known: Sequence[str] = (),
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
    text = decode(unpack(path.read_bytes(), path), path)
    rows, lines, delimiter = parse(text, path)
    if not rows:
        raise ValueError(f"{path} is empty")
    rows[0][0] = re.sub(r"^#\s+(?=\S)", "", rows[0][0])  # NumPy's way to write a row of names
    if len(rows) > 1:
        even_out(rows, lines, delimiter, path)
    named = are_names(rows, known)
    table = Table(str(path), [], rows, named, lines, delimiter, decimal=decimal, dates=dates)
    name_columns(table)
    if not known:
        leave_out_blanks(table)
        leave_out_row_names(table)
    return table


# ---------------------------------------------------------------------------- bytes to text

KINDS = {
    b"PK\x03\x04": "a spreadsheet or archive (.xlsx, .ods, .zip)",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls)",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array (name it .npy)",
}


def unpack(data: bytes, path: Path) -> bytes:
    for head, kind in KINDS.items():
        if data.startswith(head):
            raise ValueError(f"{path} is no CSV file but {kind}: save it as CSV in UTF-8")
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is packed by gzip and damaged: {error}") from error


def decode(data: bytes, path: Path) -> str:
    """The text, with the line ends of all systems made one."""
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = marks.get(data[:2], "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = "\0"
        if encoding != "utf-8-sig" or re.search(r"[\x00-\x08\x0e-\x1a\x7f]", text):
            raise ValueError(
                f"{path} is no CSV file in UTF-8: byte {error.start} is not text; save it as CSV "
                "in UTF-8"
            ) from error
        line = data[: error.start].count(b"\n") + 1
        warnings.warn(
            f"{path} is not in UTF-8 (line {line}): it is read as Windows-1252, so look at its "
            "letters with accents",
            stacklevel=2,
        )
    if "\0" in text:
        raise ValueError(f"{path} is no CSV file: it holds NUL characters")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# ---------------------------------------------------------------------------- text to rows


def parse(text: str, path: Path) -> tuple[list[list[str]], list[int], str]:
    """The rows that are not blank, the line on which each begins, and the delimiter."""
    skipped = 0
    declared = re.match(r"sep=(.)\n", text)  # a line for Excel
    if declared:
        text, skipped = text[declared.end() :], 1
    delimiter = declared[1] if declared else find_delimiter(text)
    if delimiter == " ":
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, lines, bare = [], [], []
    begin = skipped + 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(cells)
                lines.append(begin)
            elif len(cells) > 1:
                bare.append(begin)
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: {misquoted(error, begin, delimiter)}") from error
    inside = [line for line in bare if lines and line < lines[-1]]
    if inside:
        warnings.warn(f"{path}: empty rows are left out: line {listing(inside)}", stacklevel=2)
    return rows, lines, delimiter


def misquoted(error: csv.Error, line: int, delimiter: str) -> str:
    """What is wrong with the row that begins on a line, in our words."""
    said = str(error)
    if "end of data" in said:
        return f"a quotation mark in the row of line {line} is never closed"
    if "field larger" in said:
        return (
            f"a cell in the row of line {line} is too long for one of a table: is a quotation mark "
            "never closed?"
        )
    return (
        f"line {line} has a quotation mark inside a quoted cell, where {delimiter!r} or the end of "
        'the line was expected: write it twice, ""'
    )


def find_delimiter(text: str) -> str:
    """That of tab ; | and comma, in this order, which cuts the first rows into equally many cells,
    since cells may hold commas; else the one that makes most cells of the first row. Blanks, where
    none of them occurs and the lines are numbers between blanks."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return ","
    for delimiter in DELIMITERS:
        widths = set(map(len, sample(text, delimiter, 50)))
        if len(widths) == 1 and widths != {1}:
            return delimiter
    best = max(DELIMITERS, key=lambda d: max(map(len, sample(lines[0], d, 1)), default=0))
    if best in lines[0]:
        return best
    words = [line.split() for line in lines[:50]]
    even = len(set(map(len, words))) == 1
    return " " if even and sum(map(is_plain, words[-1])) > 1 else ","


def sample(text: str, delimiter: str, most: int) -> list[list[str]]:
    """The first rows that are not blank; none where quotation marks do not fit the delimiter."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return list(islice((row for row in reader if any(map(str.strip, row))), most))
    except csv.Error:
        return []


def even_out(rows: list[list[str]], lines: list[int], delimiter: str, path: Path) -> None:
    """Cut empty cells behind the last column; a row of another length is an error."""
    width = len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) > width and not any(row[width:]):
            del row[width:]
        if len(row) == width:
            continue
        count = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
        why = ""
        if len(row) > width and delimiter == ",":
            why = (
                f" ({', '.join(row)[:60]!r}): a cell with a comma in it is put in quotation marks, "
                "and a table with decimal commas has semicolons between its cells"
            )
        raise ValueError(f"{path}: line {line} has {count} where there are {width} columns{why}")


# ---------------------------------------------------------------------------- names of columns


def is_value(cell: str) -> bool:
    return looks_like_a_number(cell) or looks_like_a_date(cell)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether columns are called 0, 1, 2, … for want of names."""
    return list(names) == [str(i) for i in range(len(names))]


def are_names(rows: list[list[str]], known: Sequence[str]) -> bool:
    """Whether the first row names the columns, of which those of an earlier table may be known."""
    if known and is_numbered(known):
        return is_count(rows[0], rows[1:])
    shared = len(set(known) & set(rows[0]))
    return 2 * shared > len(known) > 0 or has_names(rows)


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
    for i, name in enumerate(table.columns):
        if name in table.columns[:i]:
            first = table.columns.index(name) + 1
            raise ValueError(
                f"{table.source} has two columns named {name!r}, number {first} and {i + 1}: "
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
