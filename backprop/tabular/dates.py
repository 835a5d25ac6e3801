"""How a column writes dates and times, and the numbers that are made of them.

A date becomes its day, counted from 2000-01-01, its place in the year as sine and cosine, so that
December is beside January, and its weekday as seven columns of 0 and 1; a time becomes its place in
the day as sine and cosine. A column of times alone has the last two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from backprop.tabular.notation import AmbiguousError, is_missing

Array = np.ndarray
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
LONG = "january february march april may june july august september october november december"
NAMES = {n: i for i, n in enumerate(MONTHS, 1)} | {n: i for i, n in enumerate(LONG.split(), 1)}
DATE = r"(?P<a>\d{1,4}|[A-Za-z]{3,9})(?:(?P<mark>[-/.])|\.? )(?P<b>\d{1,2}|[A-Za-z]{3,9})"
DATE += r"(?:(?(mark)(?P=mark)|[,.]? )(?P<c>\d{1,2}|\d{4}))?"
TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>[.,]\d+)?)?"
TIME += r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
ZONE = r" ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})"
CELL = re.compile(rf"(?:{DATE})?(?:(?:(?<=\d)[T ])?,? ?{TIME}(?:{ZONE})?)?")
ORDERS = ("ymd", "dmy", "mdy", "ym")
ORIGIN = datetime(2000, 1, 1)
DAY = 86400.0


def looks_like_a_date(cell: str) -> bool:
    """Whether a cell is a date, a time, or both, in any order of day and month."""
    return any(read(cell, order) is not None for order in ("", *ORDERS))


def match(cell: str) -> re.Match[str] | None:
    found = CELL.fullmatch(cell) if any(map(str.isdigit, cell)) else None
    return found if found and (found["a"] or found["hour"]) else None


def day(found: re.Match[str], order: str) -> tuple[int, int, int] | None:
    """Year, month and day of a date whose numbers stand in an order; None where they cannot."""
    parts = dict(zip(order, (found["a"], found["b"], found["c"]), strict=False))
    if (found["c"] is None) != (order == "ym"):
        return None
    words = [parts["y"], parts["m"], parts.get("d", "1")]
    year, month, date = words
    if not year.isdigit() or not date.isdigit() or len(date) > 2:
        return None
    if month.isdigit():
        short = len(year) == 2 and found["mark"] in ("/", ".")
    else:
        short = len(year) == 2
    if not (len(year) == 4 or (short and order[-1] == "y")):
        return None
    number = int(month) if month.isdigit() and len(month) <= 2 else NAMES.get(month.lower(), 0)
    century = 0 if len(year) == 4 else (2000 if int(year) < 70 else 1900)  # as POSIX has it
    return century + int(year), number, int(date)


def clock(found: re.Match[str]) -> timedelta | None:
    """The time of day, None where there can be none; midnight without one."""
    if not found["hour"]:
        return timedelta()
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (found["half"] in "pP")
    if hour > 23 or minute > 59 or second > 59:
        return None
    part = float("0" + (found["part"] or ".0").replace(",", "."))
    return timedelta(hours=hour, minutes=minute, seconds=second + part)


@lru_cache(maxsize=1 << 16)  # dates repeat themselves
def read(cell: str, order: str) -> float | None:
    """Seconds since 2000-01-01, by UTC where the cell names a zone; None where it is no date.

    `order` is that of year, month and day; empty for times without a date, which count from
    midnight.
    """
    found = match(cell)
    if found is None or bool(found["a"]) != bool(order):
        return None
    time = clock(found)
    date = day(found, order) if order else (2000, 1, 1)
    if time is None or date is None:
        return None
    try:
        moment = datetime(*date) + time
    except (ValueError, OverflowError):
        return None
    if found["zone"] and found["zone"] not in ("Z", "UTC"):
        digits = found["zone"].replace(":", "")
        shift = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:]))
        moment -= shift if digits[0] == "+" else -shift
    return (moment - ORIGIN).total_seconds()


@dataclass(frozen=True)
class Form:
    """How a column's dates are written.

    Attributes
    ----------
    order : {"ymd", "dmy", "mdy", "ym", ""}
        Of year, month and day; empty for times alone.
    timed : bool
        Whether some cells have a time of day.
    """

    order: str
    timed: bool

    @classmethod
    def from_json(cls, data: Any) -> Form:
        made = cls(**data)
        if made.order not in ("", *ORDERS) or not isinstance(made.timed, bool):
            raise ValueError(f"dates are described by {data!r}")
        return made

    def read(self, cell: str) -> float | None:
        return read(cell, self.order)

    def features(self, seconds: Array) -> Array:
        """(rows, features), float64: what the network sees of moments in seconds."""
        days = np.floor(seconds / DAY)
        found = []
        if self.order:
            year = 2 * np.pi * days / 365.2425
            weekday = (days.astype(np.int64) + 5) % 7  # 2000-01-01 was a Saturday; 0 is Monday
            found += [days[:, None], np.sin(year)[:, None], np.cos(year)[:, None]]
            found.append(np.equal(weekday[:, None], np.arange(7)).astype(np.float64))
        if self.timed:
            angle = 2 * np.pi * (seconds / DAY - days)
            found += [np.sin(angle)[:, None], np.cos(angle)[:, None]]
        return np.concatenate(found, axis=1)

    def write(self, seconds: float) -> str:
        """A moment, as ISO 8601 writes it."""
        moment = ORIGIN + timedelta(seconds=seconds)
        if not self.order:
            return f"{moment:%H:%M}"
        return f"{moment:%Y-%m-%d %H:%M}" if self.timed else f"{moment:%Y-%m-%d}"

    @property
    def width(self) -> int:
        return 10 * bool(self.order) + 2 * self.timed

    @property
    def what(self) -> str:
        """What the cells are, in words."""
        names = {"": "times", "dmy": "dates, day before month", "mdy": "dates, month before day"}
        return names.get(self.order, "dates")

    def __str__(self) -> str:
        made = ["the day, its place in the year, the weekday"] if self.order else []
        made += ["the place in the day"] if self.timed else []
        return f"{self.what}: the network sees {' and '.join(made)}"


def find(cells: Sequence[str], order: str | None = None) -> Form | None:
    """How a column's dates are written; None where most of its cells are none.

    Raises
    ------
    AmbiguousError
        Where day and month can be told apart in no cell.
    """
    cells = [cell for cell in cells if not is_missing(cell)]
    orders = ("", *ORDERS) if order is None else ("", "ymd", "ym", order)
    # a look at some spares columns of text, and orders that read none, the rest
    some = cells[:: len(cells) // 100 + 1]
    orders = [o for o in orders if any(read(cell, o) is not None for cell in some)]
    if not orders:
        return None
    read_by = {o: [read(cell, o) for cell in cells] for o in orders}
    counts = {o: sum(v is not None for v in values) for o, values in read_by.items()}
    best = max(orders, key=lambda o: counts[o])
    if 2 * counts[best] <= len(cells):
        return None
    if best == "dmy" and counts.get("mdy") == counts["dmy"] and read_by["mdy"] != read_by["dmy"]:
        pairs = zip(cells, read_by["dmy"], read_by["mdy"], strict=True)
        cell = next(cell for cell, a, b in pairs if a != b)
        if "." not in cell:  # points stand between day, month and year, in this order
            raise AmbiguousError(
                f"{cell!r} may have the day or the month first: say --dates dmy or --dates mdy"
            )
    timed = not best or any(":" in cell for cell in cells)
    return Form(best, timed)
