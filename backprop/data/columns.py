"""Which columns are x, y and the weights, and how a batch is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.data.table import Table

Array = np.ndarray


def names_in(who: str, **arguments: Any) -> list[str]:
    """The columns that arguments name: one, a list of some side by side, or a dict of such."""
    need_x(who, arguments["x"])
    return [name for key, given in arguments.items() for name in named(given, who, key)]


def need_x(who: str, x: Any) -> None:
    if x is None:
        raise TypeError(f"{who} needs x: what the inputs are")


def named(given: Any, who: str, argument: str) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given and all(isinstance(name, str) for name in given):
        return given
    if isinstance(given, Mapping) and given:
        ones = given.values()
        if not any(one is None or isinstance(one, Mapping) for one in ones):
            return [name for one in ones for name in named(one, who, argument)]
    raise TypeError(
        f"{who} expects {argument} to be the name of a column, a list of names, which stand side "
        f"by side, or a dict of these by the names of several inputs or outputs, got {given!r}"
    )


class Columns:
    """Arrays that are made of columns.

    Parameters
    ----------
    table : Table
    x, y, sample_weight : str, list of str, dict or None
        As `RowDataset` takes them.
    who : str
        For error messages.

    Attributes
    ----------
    arrays : list of (tuple of int, dtype, list of str)
        Of each array the shape of a row, the dtype, and the columns that it is made of.
    row_bytes : int
        What a row takes in memory.
    """

    def __init__(self, table: Table, x: Any, y: Any, sample_weight: Any, who: str):
        names_in(who, x=x, y=y, sample_weight=sample_weight)
        self.table, self.who = table, who
        self.arrays: list[tuple[tuple[int, ...], np.dtype, list[str]]] = []
        self.roles = [
            self.role(given, name)
            for name, given in (("x", x), ("y", y), ("sample_weight", sample_weight))
        ]
        if sample_weight is not None and y is None:
            raise ValueError(f"{who} weighs targets by sample_weight, and y is missing")
        self.row_bytes = sum(
            dtype.itemsize * int(np.prod(shape)) for shape, dtype, _ in self.arrays
        )

    def role(self, given: Any, argument: str) -> Any:
        """The number of the array, or a dict of such; None where nothing is given."""
        if isinstance(given, Mapping):
            return {key: self.role(one, f"{argument}[{key!r}]") for key, one in given.items()}
        if given is None:
            return None
        names = [given] if isinstance(given, str) else given
        for name in names:
            if name not in self.table.columns:
                known = ", ".join(map(repr, self.table.columns)) or "none"
                raise ValueError(f"{self.who} found no column {name!r} for {argument}: {known}")
        dtypes, shapes = zip(*(self.table.columns[name] for name in names), strict=True)
        shape = shapes[0]
        if isinstance(given, list):
            for name, one in zip(names, shapes, strict=True):
                if len(one) > 1:
                    raise ValueError(
                        f"{self.who} puts the columns of a list side by side, and {name!r} has "
                        f"rows of shape {one}: name it alone, or in a dict of several inputs"
                    )
            shape = (sum(one[0] if one else 1 for one in shapes),)
        self.arrays.append((shape, np.result_type(*dtypes), names))
        return len(self.arrays) - 1

    def empty(self, rows: int) -> list[Array]:
        """Room for so many rows of each array."""
        return [np.empty((rows, *shape), dtype) for shape, dtype, _ in self.arrays]

    def read(self, ranges: list[tuple[int, int]]) -> list[Array]:
        """Some ranges of rows, one behind the other."""
        rows = sum(b - a for a, b in ranges)
        found = self.empty(rows)
        at = 0
        for part in self.table.parts(ranges):
            end = at + len(part[self.arrays[0][2][0]])
            for array, (_, _, names) in zip(found, self.arrays, strict=True):
                place(array[at:end], [self.checked(part, name, end - at) for name in names])
            at = end
        if at != rows:
            raise ValueError(f"{self.who} asked for {rows} rows, and {at} were read")
        return found

    def checked(self, part: dict[str, Array], name: str, rows: int) -> Array:
        """A column of what was read, as it was announced."""
        found, (dtype, shape) = part[name], self.table.columns[name]
        if found.shape != (rows, *shape) or found.dtype != dtype:
            raise ValueError(
                f"{self.who} expects {rows} rows of {name!r} to have shape {(rows, *shape)} and "
                f"dtype {dtype}, and read {found.shape} and {found.dtype}"
            )
        return found

    def packed(self, arrays: list[Array]) -> Any:
        """A batch as `fit` takes it: x, (x, y) or (x, y, sample_weight)."""
        x, y, w = (pick(role, arrays) for role in self.roles)
        if y is None:
            return (x,)
        return (x, y) if w is None else (x, y, w)


def place(into: Array, columns: list[Array]) -> None:
    """Write columns side by side."""
    if len(columns) == 1 and columns[0].shape == into.shape:
        into[...] = columns[0]
        return
    at = 0
    for column in columns:
        width = 1 if column.ndim == 1 else column.shape[1]
        into[:, at : at + width] = column.reshape(-1, width)
        at += width


def pick(role: Any, arrays: list[Array]) -> Any:
    if isinstance(role, dict):
        return {key: pick(one, arrays) for key, one in role.items()}
    return None if role is None else arrays[role]
