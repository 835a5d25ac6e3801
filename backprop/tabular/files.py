"""From the bytes of a file to text, and from text to rows of cells."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from backprop.datasets.arrays import some
from backprop.spelling import printable
from backprop.tabular.notation import is_plain

Tell = Callable[[str], None]
DELIMITERS = "\t;|,"
LIMIT = 1 << 28  # bytes that are unpacked, of a file that would take more when it is read

KINDS = {
    b"PK\x03\x04": "a spreadsheet or archive (.xlsx, .ods, .zip)",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls)",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array (name it .npy)",
}


def warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def listing(names: Iterable[Any], most: int = 12) -> str:
    """Names with commas, cut short where there are many."""
    names = [printable(str(name)) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def contents(path: Path) -> bytes:
    """All of a file; of a pipe or a device, which may have no end, no more than a table may be."""
    if path.is_file() or not path.exists():
        return path.read_bytes()
    with open(path, "rb", buffering=0) as file:
        data = bytes(some(file, LIMIT + 1))
    if len(data) > LIMIT:
        raise ValueError(f"{path} is no file and has more than {LIMIT:,} bytes: make it a file")
    return data


def unpack(data: bytes, path: Path) -> bytes:
    for head, kind in KINDS.items():
        if data.startswith(head):
            raise ValueError(f"{path} is no CSV file but {kind}: save it as CSV in UTF-8")
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        file: Any = gzip.GzipFile(fileobj=io.BytesIO(data))
        found = bytes(some(file, LIMIT + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is packed by gzip and damaged: {error}") from error
    if len(found) > LIMIT:
        raise ValueError(
            f"{path} is packed by gzip and holds more than {LIMIT:,} bytes: unpack it, if you know "
            "whom it comes from"
        )
    return found


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
    return plain_lines(text, path)


def plain_lines(text: str, source: Path | str) -> str:
    """The text with the line ends of all systems made one; NUL characters are an error."""
    if "\0" in text:
        raise ValueError(f"{source} is no CSV file: it holds NUL characters")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# ---------------------------------------------------------------------------- text to rows


class TooManyRowsError(ValueError):
    """A table has more rows than were asked for."""


def parse(
    text: str, source: str, most: int | None = None, tell: Tell = warn
) -> tuple[list[list[str]], list[int], str]:
    """The rows that are not blank, the line on which each begins, and the delimiter.

    More rows than `most` are an error; `tell` is given what was left out.
    """
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
                if most is not None and len(rows) > most:
                    raise TooManyRowsError(f"{source} has more than {most:,} rows")
            elif len(cells) > 1:
                bare.append(begin)
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{source}: {misquoted(error, begin, delimiter)}") from error
    inside = [line for line in bare if lines and line < lines[-1]]
    if inside:
        tell(f"{source}: empty rows are left out: line {listing(inside)}")
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


def even_out(rows: list[list[str]], lines: list[int], delimiter: str, source: str) -> None:
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
        raise ValueError(f"{source}: line {line} has {count} where there are {width} columns{why}")
