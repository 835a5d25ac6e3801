"""Rows of a table, for a model that was trained on one."""

from __future__ import annotations

import math
from typing import Any

from backprop.serving.limits import Limits
from backprop.serving.questions import SOURCE, Question, held_in, rows_in, shown, table_of, too_many
from backprop.serving.refusals import Refusal
from backprop.tabular import CellError, Column, Dates, Numbers, Preprocessing, Table, Texts

SHOWN_LEVELS = 5
MOST_NUMBERS = 1 << 24  # of all rows for the network: a text is as many as its column has values


class JsonTable(Table):
    """A table whose rows came as JSON."""

    def place(self, row: int) -> str:
        return f"rows[{row}]"


class TableReader:
    """Reads rows by the names of their columns, as `backprop predict` does.

    Parameters
    ----------
    prepared : Preprocessing
        With columns.
    width : int
        How many numbers a row is for the network.
    limits : Limits
    """

    def __init__(self, prepared: Preprocessing, width: int, limits: Limits):
        self.prepared, self.limits = prepared, limits
        self.most = max(MOST_NUMBERS // width, 1)
        self.names = [column.name for column in prepared.columns]
        self.without_target = [name for name in prepared.order if name != prepared.target]

    def from_json(self, data: Any) -> Question:
        rows = rows_in(held_in(data, "rows"), "rows", self.limits)
        cells = [
            [cell_of(column, self.value(row, column.name, i), i) for column in self.columns]
            for i, row in enumerate(rows)
        ]
        return self.question(JsonTable(SOURCE, self.names, cells), [])

    def from_csv(self, text: str) -> Question:
        warnings: list[str] = []
        prepared = self.prepared
        table = table_of(text, self.limits, warnings, known=prepared.order, named=prepared.named)
        try:
            table = prepared.arrange(table)
        except ValueError as error:
            missing = next((name for name in self.names if name not in table.columns), None)
            raise Refusal(422, str(error), column=missing, expected="this column") from error
        return self.question(table, warnings)

    def question(self, table: Table, warnings: list[str]) -> Question:
        if len(table.rows) > self.most:
            raise too_many(self.most)
        try:
            x = self.prepared.encode(table)
        except CellError as error:
            raise Refusal(
                422, str(error), column=error.column, row=error.row, expected=error.expected
            ) from error
        for column in self.columns:
            warnings += column.surprises(table)
        return Question(x, len(table.rows), warnings)

    @property
    def columns(self) -> list[Column]:
        return self.prepared.columns

    def value(self, row: Any, name: str, i: int) -> Any:
        """What a row, an object or a list in the order of the table, holds of a column."""
        if isinstance(row, dict) and name in row:
            return row[name]
        if isinstance(row, list) and len(row) == len(self.without_target):
            return row[self.without_target.index(name)]
        if isinstance(row, dict):
            raise Refusal(
                422,
                f"rows[{i}] has no column {name!r}: null stands for a value that is missing",
                column=name,
                row=i,
                expected=expected(self.column(name)),
            )
        raise Refusal(
            422,
            f"rows[{i}] should be an object by columns, or a list of {len(self.without_target)} "
            f"values, and is {shown(row)}",
            row=i,
            expected=f"an object with {', '.join(map(repr, self.names[:SHOWN_LEVELS]))}",
        )

    def column(self, name: str) -> Column:
        return self.columns[self.names.index(name)]

    # ------------------------------------------------------------------ what it says of itself

    def schema(self) -> dict[str, Any]:
        row = {
            "type": "object",
            "properties": {column.name: schema_of(column) for column in self.columns},
            "required": self.names,
        }
        rows = {"type": "array", "minItems": 1, "maxItems": self.limits.rows, "items": row}
        return {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}

    def example(self) -> Any:
        return {"rows": [{column.name: usual(column) for column in self.columns}]}


def cell_of(column: Column, value: Any, i: int) -> str:
    """The cell of a table that says what a value of JSON says."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(column, Numbers) and isinstance(value, int | float) and value is not True:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if value is not False and math.isfinite(number):
            return column.reader.write(number)
    raise Refusal(
        422,
        f"column {column.name!r} expects {expected(column)}, and rows[{i}] has {shown(value)}",
        column=column.name,
        row=i,
        expected=expected(column),
    )


def expected(column: Column) -> str:
    """What a column takes, in words."""
    if isinstance(column, Numbers):
        how = str(column.reader)
        return f"a number, or a text with {how}" if how else "a number"
    if isinstance(column, Dates):
        return f"a text: {column.reader.what}, such as {usual(column)!r}"
    assert isinstance(column, Texts)
    some = ", ".join(map(repr, column.levels[:SHOWN_LEVELS]))
    more = ", ..." if len(column.levels) > SHOWN_LEVELS else ""
    return f"a text, such as {some}{more}" if some else "a text"


def usual(column: Column) -> Any:
    """A value that the column may have."""
    if isinstance(column, Numbers):
        value = column.mean if column.median is None else column.median
        return float(f"{value:.6g}")
    if isinstance(column, Dates):
        return written(column)
    assert isinstance(column, Texts)
    return column.levels[0] if column.levels else ""


def written(column: Dates) -> str:
    """The column's median as its cells are written."""
    iso = column.reader.write(column.median or 0.0)
    date, _, time = iso.partition(" ") if column.reader.order else ("", "", iso)
    parts = dict(zip("ymd", date.split("-"), strict=False))
    mark = {"dmy": ".", "mdy": "/"}.get(column.reader.order, "-")
    date = mark.join(parts[part] for part in column.reader.order)
    return " ".join(filter(None, (date, time)))


def schema_of(column: Column) -> dict[str, Any]:
    if isinstance(column, Numbers):
        return {"type": ["number", "string", "null"], "description": expected(column)}
    if isinstance(column, Dates):
        return {"type": ["string", "null"], "description": expected(column)}
    assert isinstance(column, Texts)
    known = {"examples": column.levels}  # another text is none of these, and no error
    return {"type": ["string", "null"], "description": "a text", **known}
