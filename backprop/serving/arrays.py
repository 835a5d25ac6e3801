"""Arrays, for a model without a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.serving.limits import Limits
from backprop.serving.questions import SOURCE, Question, held_in, rows_in, shown, table_of
from backprop.serving.refusals import Refusal
from backprop.tabular import CellError, Preprocessing, listing, read_numbers
from backprop.training.ends import Ends

Array = np.ndarray
LARGEST = float(np.finfo(np.float32).max)
KINDS = {"f": "a number", "i": "a whole number", "b": "true or false", "U": "a text"}
TYPES = {"f": "number", "i": "integer", "b": "boolean", "U": "string"}
LONGEST_EXAMPLE = 2_000  # numbers


@dataclass(frozen=True)
class Place:
    """An input of a model: its name, the shape of its rows, and the kind of what they hold, "f"
    for numbers, "i" for whole ones, "b" for truth, "U" for texts."""

    name: str
    shape: tuple[int | None, ...]
    kind: str

    def array(self, value: Any, limits: Limits) -> Array:
        """(rows, *shape) of lists in lists."""
        rows = rows_in(value, f"input {self.name!r}", limits, self.name)
        sizes = self.sizes(rows[0])
        flat: list = []
        for i, row in enumerate(rows):
            self.flatten(row, sizes, i, (), flat)
        dtype: Any = {"f": np.float64, "i": np.int64, "b": np.bool_, "U": object}[self.kind]
        return np.array(flat, dtype).reshape(len(rows), *sizes)

    def sizes(self, row: Any) -> tuple[int, ...]:
        """The shape of the first row, with which the others must agree where it is free."""
        found = []
        for size in self.shape:
            inside = len(row) if isinstance(row, list) else 0
            found.append(inside if size is None else size)
            row = row[0] if inside else None
        return tuple(found)

    def flatten(
        self, value: Any, sizes: tuple[int, ...], i: int, way: tuple[int, ...], flat: list
    ) -> None:
        """Append the values of a row, in order, each of them checked."""
        if not sizes:
            flat.append(self.checked(value, i, way))
            return
        if not isinstance(value, list) or len(value) != sizes[0]:
            free = i and self.shape[len(way)] is None
            why = ": rows of one request are equally long, so pad them" if free else ""
            raise self.refused(value, i, way, f"a list of {sizes[0]} entries{why}")
        if not sizes[1:]:
            flat += [self.checked(one, i, (*way, k)) for k, one in enumerate(value)]
            return
        for k, part in enumerate(value):
            self.flatten(part, sizes[1:], i, (*way, k), flat)

    def checked(self, value: Any, i: int, way: tuple[int, ...]) -> Any:
        kind = type(value)
        if self.kind == "f" and kind is float and -LARGEST <= value <= LARGEST:
            return value
        if self.kind in "fi" and kind is int and abs(value) < 2**63:
            return value
        if self.kind == "i" and kind is float and value.is_integer() and abs(value) < 2**63:
            return int(value)
        if (self.kind == "b" and kind is bool) or (self.kind == "U" and kind is str):
            return value
        number = kind in (int, float) and self.kind in "fi"
        small = " that float32 can hold" if number and self.kind == "f" else ""
        raise self.refused(value, i, way, KINDS[self.kind] + small)

    def refused(self, value: Any, i: int, way: tuple[int, ...], wanted: str) -> Refusal:
        where = "".join(f"[{k}]" for k in (i, *way))
        return Refusal(
            422,
            f"input {self.name!r} expects {wanted} at {where}, and has {shown(value)}",
            column=self.name,
            row=i,
            expected=wanted,
        )

    # ------------------------------------------------------------------ what it says of itself

    def schema(self, most: int) -> dict[str, Any]:
        inner: dict[str, Any] = {"type": TYPES[self.kind]}
        for size in reversed(self.shape):
            held = {} if size is None else {"minItems": size, "maxItems": size}
            inner = {"type": "array", **held, "items": inner}
        return {"type": "array", "minItems": 1, "maxItems": most, "items": inner}

    def example(self) -> Any:
        sizes = [1 if size is None else size for size in self.shape]
        if math.prod(sizes) > LONGEST_EXAMPLE:
            return []
        value: Any = {"f": 0.0, "i": 0, "b": False, "U": "text"}[self.kind]
        return np.full((1, *sizes), value, object if self.kind == "U" else None).tolist()


class ArrayReader:
    """Reads arrays by the names of the model's inputs.

    Parameters
    ----------
    ends : Ends
        The model's inputs.
    symbols : list of Symbol
        Their shapes and dtypes.
    prepared : Preprocessing, optional
        Without columns: how arrays are standardised.
    limits : Limits
    """

    def __init__(self, ends: Ends, symbols: list, prepared: Preprocessing | None, limits: Limits):
        self.ends, self.prepared, self.limits = ends, prepared, limits
        names = ends.names if len(set(ends.names)) == len(ends.names) else ends.places
        self.places = [
            Place(name, tuple(symbol.shape[1:]), kind_of(symbol.dtype))
            for name, symbol in zip(names, symbols, strict=True)
        ]

    def from_json(self, data: Any) -> Question:
        given = held_in(data, "inputs")
        names = [place.name for place in self.places]
        if not isinstance(given, dict) and len(names) == 1:
            given = {names[0]: given}
        wanted = f"an object with {', '.join(map(repr, names))}"
        if not isinstance(given, dict) or set(given) != set(names):
            has = f"has {listing(given)}" if isinstance(given, dict) else f"is {shown(given)}"
            raise Refusal(422, f"inputs should be {wanted}, and {has}", expected=wanted)
        arrays = [place.array(given[place.name], self.limits) for place in self.places]
        for place, array in zip(self.places, arrays, strict=True):
            if len(array) != len(arrays[0]):
                raise Refusal(
                    422,
                    f"input {place.name!r} has {len(array)} rows, and {names[0]!r} has "
                    f"{len(arrays[0])}",
                    column=place.name,
                    expected=f"{len(arrays[0])} rows",
                )
        return self.question(arrays, [])

    def from_csv(self, text: str) -> Question:
        place = self.places[0]
        if len(self.places) > 1 or place.kind not in "fi" or None in place.shape:
            raise Refusal(
                415,
                "this model takes no CSV, but JSON: a table has one array of rows of a known size",
                headers={"Accept-Post": "application/json"},
            )
        warnings: list[str] = []
        table = table_of(text, self.limits, warnings, decimal=".")
        wanted = math.prod(size or 0 for size in place.shape)
        if len(table.columns) != wanted:
            raise Refusal(
                422,
                f"{SOURCE} has {len(table.columns)} columns, and the model takes rows of shape "
                f"{place.shape}",
                expected=f"{wanted} columns",
            )
        try:
            x = np.stack([read_numbers(table, name) for name in table.columns], axis=1)
        except CellError as error:
            raise Refusal(
                422, str(error), column=error.column, row=error.row, expected=error.expected
            ) from error
        return self.question([x.reshape(len(x), *place.shape)], warnings)

    def question(self, arrays: list[Array], warnings: list[str]) -> Question:
        x = arrays[0] if len(arrays) == 1 else self.ends.arranged(tuple(arrays))
        if self.prepared is not None:
            try:
                x = self.prepared.encode(arrays[0])
            except ValueError as error:
                raise Refusal(422, str(error), column=self.places[0].name) from error
        return Question(x, len(arrays[0]), warnings)

    # ------------------------------------------------------------------ what it says of itself

    def schema(self) -> dict[str, Any]:
        inputs = {place.name: place.schema(self.limits.rows) for place in self.places}
        held: dict[str, Any] = {
            "type": "object",
            "properties": inputs,
            "required": list(inputs),
            "additionalProperties": False,
        }
        if len(inputs) == 1:
            held = self.places[0].schema(self.limits.rows)
        return {"type": "object", "properties": {"inputs": held}, "required": ["inputs"]}

    def example(self) -> Any:
        found = {place.name: place.example() for place in self.places}
        return {"inputs": next(iter(found.values())) if len(found) == 1 else found}


def kind_of(dtype: Any) -> str:
    if str(dtype) == "string":
        return "U"
    kind = np.dtype(dtype).kind
    return {"u": "i"}.get(kind, kind)
