"""From the body of a request to what a model is asked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from backprop.serving.limits import Limits
from backprop.serving.refusals import Refusal
from backprop.spelling import nearest, printable
from backprop.tabular import Table, TooManyRowsError, as_table, plain_lines

SOURCE = "the request"
SHOWN = 60  # letters of a value that an error shows


@dataclass
class Question:
    """What is asked: `rows` rows `x`, as `model.predict` takes them, and what is odd about them."""

    x: Any
    rows: int
    warnings: list[str] = field(default_factory=list)


class Reader(Protocol):
    """What makes a question of a body; one for models of tables, one for models of arrays."""

    limits: Limits

    def from_json(self, data: Any) -> Question: ...

    def from_csv(self, text: str) -> Question: ...

    def schema(self) -> dict[str, Any]: ...

    def example(self) -> Any: ...


def parse_json(body: bytes) -> Any:
    """What a body of JSON says; the parts of the language that have no one meaning are refused."""
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=no_constant, object_pairs_hook=no_doubles
        )
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not in UTF-8: byte {error.start} is not text") from error
    except json.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    except RecursionError as error:
        raise Refusal(400, "the body is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise Refusal(400, f"the body has a number that is too long: {error}") from error


def no_constant(name: str) -> NoReturn:
    raise Refusal(400, f"{name} is no JSON: null stands for a value that is missing")


def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Refusal(400, f"an object of the body has {shown(twice)} twice", column=twice)
    return found


def text_of(body: bytes) -> str:
    """The text of a CSV body, with plain line ends."""
    try:
        return plain_lines(body.decode("utf-8-sig"), SOURCE)
    except UnicodeDecodeError as error:
        raise Refusal(
            400, f"the body is no CSV in UTF-8: byte {error.start} is not text"
        ) from error
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def table_of(text: str, limits: Limits, warnings: list[str], **options: Any) -> Table:
    """The table of a CSV body."""
    try:
        return as_table(text, SOURCE, most=limits.rows, tell=warnings.append, **options)
    except TooManyRowsError as error:
        raise too_many(limits.rows) from error
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def held_in(data: Any, key: str) -> Any:
    """What an object holds under a key, alone; a list is taken for it."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict) or key not in data:
        known = list(data) if isinstance(data, dict) else []
        hint = next((n for name in known[:20] if (n := nearest(name, [key]))), "")
        raise Refusal(
            422,
            f'the body should be {{"{key}": ...}}, and is {shown(data)}{hint}',
            expected=f"an object with {key!r}",
        )
    others = [name for name in data if name != key]
    if others:
        raise Refusal(422, f"the body has {shown(others[0])} beside {key!r}: leave it out")
    return data[key]


def rows_in(value: Any, what: str, limits: Limits, column: str | None = None) -> list:
    """A list of rows, of which there is one at least, and not too many."""
    if not isinstance(value, list) or not value:
        raise Refusal(
            422,
            f"{what} should be a list of rows, and is {shown(value)}",
            column=column,
            expected="a list of at least one row",
        )
    if len(value) > limits.rows:
        raise too_many(limits.rows)
    return value


def too_many(most: int) -> Refusal:
    return Refusal(413, f"a request may have {most:,} rows: send them in parts")


def shown(value: Any) -> str:
    """A value as JSON has it, cut short."""
    if isinstance(value, list | dict) and len(value):
        kind = "a list of" if isinstance(value, list) else "an object of"
        return f"{kind} {len(value):,} entr{'y' if len(value) == 1 else 'ies'}"
    said = json.dumps(value, ensure_ascii=False)
    return printable(said if len(said) <= SHOWN else said[: SHOWN - 3] + "...")
