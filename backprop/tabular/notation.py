"""How a column writes its numbers: decimal mark, thousands separator, unit.

``1,234`` is 1234 in one file and 1.234 in another. A single cell cannot say which, a column often
can (``1,234,567`` has thousands, ``0,5`` has decimals), then the table's other columns, then the
delimiter: a file with commas between its cells writes no decimal commas. What stays open is an
error that shows the cell, never a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MISSING = {
    *("na", "n/a", "n.a.", "#n/a", "<na>", "nan", "-nan", "nat", "null", "nil", "none", "missing"),
    *("?", "-", "--", "–", "—", ".", "...", "#div/0!", "#value!", "#ref!", "#num!"),
}
SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "’": "'"})
CURRENCY = "$€£¥₹₽₩₺₴₪฿₫₦₱¢"
NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?P<before>[A-Z]{{0,3}}[{CURRENCY}]|[A-Z]{{3}}(?=[ 0-9]))? ?(?P<inner>[-+]?)"
    r"(?P<body>[0-9][0-9 .,']*|[.,][0-9]+)(?P<exponent>[eE][-+]?[0-9]+)?"
    rf" ?(?P<after>[%‰{CURRENCY}]|[A-Za-zµ°Ω²³]+(?:/[A-Za-z²³]+)?)?"
)
# units that need not stand in every cell to be recognised
SYMBOLS = re.compile(rf"[%‰]|[A-Z]{{0,3}}[{CURRENCY}]|[A-Z]{{3}}")


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a number that is not known: empty, ``NA``, ``nan``, ``?`` …"""
    return not cell or (len(cell) <= 8 and cell.lower() in MISSING)


def is_plain(cell: str) -> bool:
    """Whether a cell is a number as Python and most files write it."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python's own spelling, nobody else's


@dataclass(frozen=True)
class Parts:
    """A cell that looks like a number: its sign, digits with marks, exponent, and unit."""

    sign: str
    body: str
    exponent: str
    unit: str


def split(cell: str) -> Parts | None:
    """The parts of a cell that looks like a number, None for any other."""
    cell = cell.translate(SPACES)
    debt = cell.startswith("(") and cell.endswith(")")  # how accountants write -5
    match = NUMBER.fullmatch(cell[1:-1] if debt else cell)
    if match is None or (match["sign"] and match["inner"]) or (debt and match["sign"]):
        return None
    if match["before"] and match["after"]:
        return None
    sign = "-" if debt else match["sign"] or match["inner"]
    unit = match["before"] or match["after"] or ""
    return Parts(sign, match["body"].strip(), match["exponent"] or "", unit)


def looks_like_a_number(cell: str) -> bool:
    return is_plain(cell) or split(cell) is not None


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : {".", ","}
    thousands : {"", ",", ".", " ", "'"}
    unit : str
        What stands before or behind each number: ``"%"``, ``"$"``, ``"kg"``.

    Examples
    --------
    >>> Notation().read("3.5"), Notation(",", ".").read("1.234,5")
    (3.5, 1234.5)
    >>> Notation(thousands=",").read("12,34") is None
    True
    >>> Notation(unit="%").read("12 %")
    12.0
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    @classmethod
    def from_json(cls, data: Any) -> Notation:
        made = cls(**data)
        known = made.decimal in DECIMALS and made.thousands in THOUSANDS
        if not known or made.decimal == made.thousands or not isinstance(made.unit, str):
            raise ValueError(f"a notation is described by {data!r}")
        return made

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        d = re.escape(self.decimal)
        plain = rf"[0-9]+(?:{d}[0-9]*)?|{d}[0-9]+"
        if not self.thousands:
            return re.compile(plain)
        t = re.escape(self.thousands)
        pair = rf"(?:{t}[0-9]{{2}})*|(?:{t}[0-9]{{3}})*" if self.thousands == "," else ""
        groups = rf"(?:{pair or f'(?:{t}[0-9]{{3}})*'}){t}[0-9]{{3}}"
        return re.compile(rf"{plain}|[1-9][0-9]{{0,2}}{groups}(?:{d}[0-9]*)?")

    def takes(self, body: str) -> bool:
        return self.pattern.fullmatch(body) is not None

    def value(self, parts: Parts) -> float:
        digits = parts.body.replace(self.thousands, "") if self.thousands else parts.body
        return float(parts.sign + digits.replace(self.decimal, ".") + parts.exponent)

    def read(self, cell: str) -> float | None:
        """The number that a cell holds, None where it holds none in this notation."""
        if self.decimal == "." and not self.unit and is_plain(cell):
            return float(cell)
        parts = split(cell)
        if parts is None or parts.unit != self.unit or not self.takes(parts.body):
            return None
        return self.value(parts)

    def write(self, value: float) -> str:
        """A cell that holds a number in this notation.

        >>> Notation(",", unit="%").write(12.5)
        '12,5%'
        """
        digits = repr(float(value)).removesuffix(".0").replace(".", self.decimal)
        behind = digits + self.unit
        return behind if self.read(behind) == value else self.unit + digits

    def __str__(self) -> str:
        """What is not plain about it, in words; empty where nothing is."""
        said = []
        if self.decimal == ",":
            said.append("decimal commas")
        if self.thousands:
            example = f"1{self.thousands}234"
            said.append(f"thousands separated as in {example!r}")
        if self.unit:
            said.append(f"the unit {self.unit!r}")
        return " and ".join(said)


DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'")
NOTATIONS = [Notation(d, t) for t in THOUSANDS for d in DECIMALS if d != t]  # the plainest first


class AmbiguousError(ValueError):
    """The cells can be read in two ways, and nothing tells which."""


def evidence(cells: Iterable[str]) -> str | None:
    """The decimal mark that a column's numbers must have: the same in all ways to read them."""
    bodies = [parts.body for parts in map(split, cells) if parts]
    marked = [body for body in bodies if "," in body or "." in body]
    if not marked or 2 * len(bodies) <= sum(not is_missing(cell) for cell in cells):
        return None
    marks = {n.decimal for n in NOTATIONS if all(map(n.takes, marked))}
    return marks.pop() if len(marks) == 1 else None


def find_unit(found: Sequence[Parts], others: int) -> str | None:
    """The unit that the numbers share; None where they have no common one.

    A symbol (%, a currency) or none at all is theirs if more than half of all cells have it;
    letters, which may also tell `12a` from `12b`, only if all have the same.
    """
    unit, count = Counter(parts.unit for parts in found).most_common(1)[0]
    if not unit or SYMBOLS.fullmatch(unit):
        return unit if 2 * count > len(found) + others else None
    return unit if count == len(found) and not others else None


def find(cells: Sequence[str], decimal: str | None = None, delimiter: str = ",") -> Notation | None:
    """How a column's numbers are written; None where most of its cells are no numbers.

    Parameters
    ----------
    cells : sequence of str
        Missing ones do not count.
    decimal : {".", ","}, optional
        The table's decimal mark, which decides where the column does not.
    delimiter : str
        Of the file.

    Raises
    ------
    AmbiguousError
        Where two ways to read all of the cells give different numbers.
    """
    cells = [cell for cell in cells if not is_missing(cell)]
    if decimal != "," and cells and all(map(is_plain, cells)):
        return Notation()
    found = [parts for parts in map(split, cells) if parts]
    unit = find_unit(found, len(cells) - len(found)) if found else None
    if unit is None:
        return None
    bodies = [parts for parts in found if parts.unit == unit]
    ways = [n for n in NOTATIONS if all(n.takes(parts.body) for parts in bodies)]
    if not ways:
        # most of the cells decide, and those that they outvote are found when they are read
        ways = [max(NOTATIONS, key=lambda n: sum(n.takes(parts.body) for parts in bodies))]
        if 2 * sum(ways[0].takes(parts.body) for parts in bodies) <= len(cells):
            return None
    return choose(ways, bodies, decimal, delimiter, unit)


def choose(
    ways: list[Notation], bodies: list[Parts], decimal: str | None, delimiter: str, unit: str
) -> Notation:
    """Of several ways to read all numbers the one that column, table or delimiter speaks for."""
    first = ways[0]
    odd = next(
        (p for p in bodies for n in ways[1:] if n.takes(p.body) and n.value(p) != first.value(p)),
        None,
    )
    if odd is not None:
        if decimal is None and delimiter != "," and "," in odd.body:
            values = sorted({n.value(odd) for n in ways}, reverse=True)
            raise AmbiguousError(
                f"{odd.body!r} may be {values[0]:.12g} or {values[-1]:.12g}: say --decimal , "
                "or --decimal ."
            )
        mark = decimal or "."
        first = next((n for n in ways if n.decimal == mark), first)
    return Notation(first.decimal, first.thousands, unit)
