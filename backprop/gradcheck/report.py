"""What a gradient check found."""

from __future__ import annotations

import html
import math
import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.diagnosis import diagnose
from backprop.gradcheck.entry import Entry
from backprop.gradcheck.lattice import NAME as LATTICE
from backprop.gradcheck.locate import Located, locate
from backprop.gradcheck.pictures import COLOURS, draw
from backprop.html import cells, paragraphs

VERDICTS = ("fail", "inconclusive", "pass")  # the worst first


@dataclass(frozen=True)
class Report:
    """The verdict on every input and parameter; true in a condition if all passed.

    Attributes
    ----------
    subject : str
    entries : list of Entry
    skipped : list of str
        What was not checked, and why.
    evaluations, reversals : int
        Forward and backward passes spent in all.
    shared : int
        Forward passes among them that were spent once for the whole check: the point itself and,
        where it had to be measured, the noise.
    noise : float
        The deviation of the function by rounding: measured, or the least there can be.
    seed : int
    tol : float or None
        What the caller loosened the bound to, as a share of the gradient's size.
    values : {"random", "own"}
        Whether parameters were moved to random values.
    """

    subject: str
    entries: list[Entry]
    skipped: list[str]
    evaluations: int
    reversals: int = 0
    shared: int = 0
    noise: float = 0.0
    seed: int = 0
    tol: float | None = None
    values: str = "random"
    check: Comparison | None = field(default=None, repr=False, compare=False)  # to look closer

    @property
    def verdict(self) -> str:
        """The worst of the entries': ``"fail"``, ``"inconclusive"`` or ``"pass"``."""
        found = {entry.verdict for entry in self.entries}
        return next((v for v in VERDICTS if v in found), "pass")

    def __bool__(self) -> bool:
        return self.verdict == "pass"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"check": None}  # a pickle holds what was found, not the subject

    def __getitem__(self, name: str) -> Entry:
        """The entry of a name, or of the end of one: ``report["kernel"]``."""
        for entry in self.entries:
            if entry.name == name or entry.name.endswith(f"/{name}"):
                return entry
        raise KeyError(f"no gradient named {name!r}; there are {[e.name for e in self.entries]}")

    @property
    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.verdict == "fail"]

    @property
    def diagnosis(self) -> str | None:
        """What the mistake looks like, where that is sure enough; None otherwise. Worked out when
        it is first asked for."""
        known = self.__dict__.get("_diagnosis", "")
        if known == "":
            known = None
            if self.failed and self.check is not None:
                known = diagnose(self.failed, self.check)
            self.__dict__["_diagnosis"] = known
        return known

    def locate(
        self, name: str | None = None, *, limit: int = 16, evaluations: int = 1000
    ) -> Located:
        """Find the wrong entries of a gradient, by bisection.

        Parameters
        ----------
        name : str, optional
            Of an input or parameter. Default: the first that failed.
        limit : int, default 16
            Stop when so many wrong entries are found.
        evaluations : int, default 1000
            Forward passes to spend at most.

        Returns
        -------
        Located
            A list of wrong entries, with what backward and differences say about each.
        """
        compare = self.closer_look()
        if name is None:
            if not self.failed:
                raise ValueError("every gradient passed: name the one to look at")
            name = self.failed[0].name
        return locate(compare.probe.index(self[name].name), compare, limit, evaluations)

    def closer_look(self) -> Comparison:
        """What can be looked at more closely: the point, and what was measured there."""
        if self.check is not None:
            return self.check
        if not self.evaluations:
            raise ValueError("the time limit passed before anything was looked at: give it more")
        raise ValueError("a report that was pickled has lost its subject: run gradcheck again")

    def to_json(self) -> dict[str, Any]:
        """Everything but the subject itself, as `json.dumps` takes it: NaN and infinity as None."""

        def plain(value: Any) -> Any:
            if isinstance(value, float) and not math.isfinite(value):
                return None
            return list(value) if isinstance(value, tuple) else value

        entries = [
            {k: plain(v) for k, v in asdict(e).items()}
            | {"difference": plain(e.difference), "floor": plain(e.floor)}
            for e in self.entries
        ]
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "diagnosis": self.diagnosis,
            "entries": entries,
            "skipped": list(self.skipped),
            "evaluations": self.evaluations,
            "reversals": self.reversals,
            "shared": self.shared,
            "noise": plain(self.noise),
            "seed": self.seed,
            "tol": self.tol,
            "values": self.values,
        }

    def plot(self, path: str | os.PathLike) -> None:
        """Draw analytic against numeric, and the error by entry, for each gradient.

        Parameters
        ----------
        path : path
            A .png, .svg or .pdf file.

        Raises
        ------
        ImportError
            Without matplotlib: install ``backprop[plot]``.
        """
        draw(self.entries, self.closer_look().rounding, self.subject[:100], path)

    def rows(self) -> list[list[str]]:
        return [
            [
                e.name,
                str(e.shape),
                f"{e.difference:.2e}",
                f"{e.bound:.2e}",
                f"{e.floor:.2e}",
                f"{e.step:.1e}" if e.step else "-",
                str(e.evaluations),
            ]
            for e in self.entries
        ]

    def notes(self) -> list[str]:
        """What stands below the table."""
        found = [f"looks like: {self.diagnosis}"] if self.diagnosis else []
        if any(e.name == LATTICE for e in self.failed):
            moved = "x" if self.values == "own" else "x and parameters"
            found.append(f"lattice points: {moved} at multiples of 1/2, unless lattice=False")
        found += [f"skipped: {reason}" for reason in self.skipped]
        if self.tol is not None:
            found.append(f"tol: bounds were loosened to {self.tol:g} of each gradient's size")
        return found

    def summary(self) -> str:
        n = sum(not e.name.startswith("all, ") and e.method != "float32" for e in self.entries)
        count = f"{n} gradient{'' if n == 1 else 's'}"
        return (
            f"{shout(self.verdict)}: {count}, {self.evaluations} forward passes "
            f"({self.shared} of them shared)"
        )

    def __str__(self) -> str:
        table = [HEAD, *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
        lines = []
        for row, end in zip(table, ["verdict", *map(ending, self.entries)], strict=True):
            cells = [f"{row[0]:{widths[0]}}"]
            cells += [f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([*cells, end]))
        return "\n".join([*lines, *self.notes(), self.summary()])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{cells(row, 'td')}<td style='color:{COLOURS[e.verdict]}'>"
            f"{html.escape(ending(e))}</td></tr>"
            for row, e in zip(self.rows(), self.entries, strict=True)
        )
        return (
            f"<p><code>{html.escape(self.subject)}</code></p><table><thead><tr>"
            f"{cells([*HEAD, 'verdict'], 'th')}</tr></thead><tbody>{rows}</tbody></table>"
            f"{paragraphs([*self.notes(), self.summary()])}"
        )


HEAD = ["gradient of", "shape", "|difference|", "bound", "floor", "step", "forwards"]


def shout(verdict: str) -> str:
    return "FAIL" if verdict == "fail" else verdict


def ending(entry: Entry) -> str:
    return shout(entry.verdict) + (f": {entry.reason}" if entry.reason else "")


def loosened(entry: Entry, tol: float) -> Entry:
    """The entry under a bound that the caller loosened."""
    bound = max(entry.bound, tol * max(entry.size, abs(entry.numeric)))
    if entry.verdict != "pass" and entry.difference <= bound and math.isfinite(bound):
        return replace(entry, verdict="pass", reason="within tol", bound=bound)
    return replace(entry, bound=bound) if math.isfinite(bound) else entry
