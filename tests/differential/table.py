"""The table of docs/beside_keras.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from differential.harness import Family, Record

PAGE = Path(__file__).parents[2] / "docs/beside_keras.md"
BEGIN, END = "<!-- begin: written by the run -->", "<!-- end -->"


def written(page: str, families: Iterable[Family], record: Record) -> str:
    """The page with the tables of a run."""
    before, _, rest = page.partition(BEGIN)
    tables = "\n".join(line for family in families for line in table(family, record))
    return f"{before}{BEGIN}\n\n{tables}\n{END}{rest.partition(END)[2]}"


def table(family: Family, record: Record) -> list[str]:
    lines = [f"## {family.title}", "", "| | draws | float32 | float64 |", "|---|---|---|---|"]
    for name in sorted(family.compare):
        largest = record.largest.get((family.title, name), {})
        cells = [shown(largest.get(dtype)) for dtype in ("float32", "float64")]
        lines.append(f"| `{name}` | {record.draws[family.title, name]} | {' | '.join(cells)} |")
    for name, reason in sorted(family.apart.items()):
        lines.append(f"| `{name}` | {reason} | | |")
    return [*lines, ""]


def shown(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.0e}" if difference else "0"


def named(page: str) -> dict[str, set[str]]:
    """The names in each table of a page."""
    found = {}
    tables = page.partition(BEGIN)[2].partition(END)[0]
    for title, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", tables, re.MULTILINE):
        found[title] = set(re.findall(r"^\| `(\w+)`", body, re.MULTILINE))
    return found
