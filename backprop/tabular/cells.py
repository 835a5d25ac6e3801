"""The cells of a column as numbers or moments: what reads them, and what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from backprop.tabular import dates, notation
from backprop.tabular.dates import Form, looks_like_a_date
from backprop.tabular.notation import AmbiguousError, Notation, is_missing, looks_like_a_number
from backprop.tabular.reading import Table

Array = np.ndarray


class CellError(ValueError):
    """A cell that its column cannot read.

    Attributes
    ----------
    column : str
    row : int
        Counted from 0.
    expected : str
        What the column holds, in words.
    """

    def __init__(self, message: str, column: str, row: int, expected: str):
        super().__init__(message)
        self.column, self.row, self.expected = column, row, expected


class Reader(Protocol):
    """What reads the cells of a column: a `Notation` or a `Form`."""

    def read(self, cell: str) -> float | None: ...


def find_reader(table: Table, name: str, seen: Sequence[str]) -> Notation | Form | None:
    """What reads a column, most of whose seen cells are numbers or dates; None for text.

    How the cells are written is found from all of them.
    """
    cells = table.column(name)
    try:
        for found in (
            notation.find(cells, table.mark, table.delimiter),
            dates.find(cells, table.dates),
        ):
            if found is not None:
                held = [cell for cell in seen if not is_missing(cell)]
                count = sum(found.read(cell) is not None for cell in held)
                if 2 * count > len(held):
                    return found
    except AmbiguousError as error:
        raise AmbiguousError(f"{table.source}: column {name!r}: {error}") from error
    return None


def read_cells(table: Table, name: str, reader: Reader) -> Array:
    """A column's values, NaN where one is missing; any other cell is an error that says where."""
    values = np.empty(len(table.rows))
    for i, cell in enumerate(table.column(name)):
        value = np.nan if is_missing(cell) else reader.read(cell)
        if value is None:
            what = "numbers" if isinstance(reader, Notation) else "dates"
            how = f" with {reader}" if isinstance(reader, Notation) and str(reader) else ""
            raise CellError(
                f"{table.source}: column {name!r} holds {what}{how}, but {table.place(i)} has "
                f"the text {cell!r}; mend or remove the row",
                *(name, i, f"{what}{how}"),
            )
        values[i] = value
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise CellError(
            f"{table.source}: column {name!r} has {table.column(name)[row]} in "
            f"{table.place(row)}; mend or remove the row",
            *(name, row, "finite numbers"),
        )
    return values


def read_numbers(table: Table, name: str) -> Array:
    """A column that must hold a number in every row."""
    cells = table.column(name)
    reader = find_reader(table, name, cells)
    values = read_cells(table, name, reader if isinstance(reader, Notation) else Notation())
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        what = f"has {cells[row]}" if cells[row] else "has an empty cell"
        raise CellError(
            f"{table.source}: column {name!r} {what} in {table.place(row)}; mend or remove the row",
            *(name, row, "numbers"),
        )
    return values


def explain(table: Table, name: str) -> str:
    """Why a column is taken for text, where many of its cells look like numbers or dates; else
    empty."""
    cells = table.column(name)
    held = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    for what, looks in (("numbers", looks_like_a_number), ("dates", looks_like_a_date)):
        found = [looks(cells[i]) for i in held]
        if not any(found) or 4 * sum(found) < len(held):
            continue
        if not all(found):
            i = held[found.index(False)]
            return f"{sum(found):,} cells are {what}, but {cells[i]!r} in {table.place(i)} is none"
        return units_differ(table, cells)
    return ""


def units_differ(table: Table, cells: list[str]) -> str:
    """Two cells whose numbers have different units, in words; empty where there are none."""
    units: dict[str, int] = {}
    for i, cell in enumerate(cells):
        if parts := notation.split(cell):
            units.setdefault(parts.unit, i)
    if len(units) > 1:
        (_, i), (_, k) = list(units.items())[:2]
        return (
            f"its numbers have different units, {cells[i]!r} in {table.place(i)} and {cells[k]!r} "
            f"in {table.place(k)}"
        )
    return ""
