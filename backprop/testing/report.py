"""What the laws found: an outcome for each, counts, and for a failure how to see it again."""

from __future__ import annotations

import json
import re
import textwrap
import traceback
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from backprop.html import paragraphs, table
from backprop.registry import FAMILIES
from backprop.testing.advice import advice
from backprop.testing.case import Case
from backprop.testing.made_numbers import call_for
from backprop.testing.results import Broken, parts

SHORT = 40  # numbers that are written out; of more the call that draws them is shown
HOME = Path(__file__).resolve().parent.parent  # our own files; those of families hold layers

HELD, BROKEN, EXPECTED, SKIPPED, SURPRISE = (
    "held",
    "broken",
    "broken as expected",
    "skipped",
    "held unexpectedly",
)


@dataclass(frozen=True)
class LawResult:
    """What became of one law.

    Attributes
    ----------
    law : str
    outcome : {"held", "broken", "broken as expected", "skipped", "held unexpectedly"}
    cases : int
        On how many cases it was tried; those that it did not apply to are not counted.
    undecided : int
        How many of them were too ill-conditioned to tell.
    reason : str
        Why it was skipped or expected to fail, or the whole message of the failure.
    seconds : float
    """

    law: str
    outcome: str
    cases: int = 0
    undecided: int = 0
    reason: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.outcome not in (BROKEN, SURPRISE)


@dataclass(frozen=True)
class LawReport:
    """What became of all laws; true in a condition if none is broken that was not expected to be.

    Attributes
    ----------
    subject : str
    laws : str
        The set, such as ``"v1"``.
    profile : str
    results : list of LawResult
    """

    subject: str
    laws: str
    profile: str
    results: list[LawResult] = field(default_factory=list)

    def __bool__(self) -> bool:
        return all(result.good for result in self.results)

    @property
    def counts(self) -> dict[str, int]:
        """How many laws had which outcome; and how many cases were run, and were undecided."""
        found = {
            o: sum(r.outcome == o for r in self.results)
            for o in (HELD, BROKEN, EXPECTED, SKIPPED, SURPRISE)
        }
        return found | {
            "cases": sum(r.cases for r in self.results),
            "undecided": sum(r.undecided for r in self.results),
        }

    @property
    def seconds(self) -> float:
        """What all laws together took."""
        return sum(result.seconds for result in self.results)

    @property
    def failures(self) -> list[LawResult]:
        return [result for result in self.results if not result.good]

    def to_json(self) -> str:
        """Everything, as a JSON object."""
        results = [vars(result) for result in self.results]
        return json.dumps(
            {
                "subject": self.subject,
                "laws": self.laws,
                "profile": self.profile,
                "passed": bool(self),
                "counts": self.counts,
                "results": results,
            }
        )

    def __str__(self) -> str:
        rows = self.rows()
        width = max((len(law) for law, *_ in rows), default=0)
        said = [f"{law:{width}}  {outcome}: {note}" for law, outcome, note in rows]
        told = (f"\n{reason}" for reason in self.told())
        return "\n".join([self.title(), *said, self.summary(), *told])

    def _repr_html_(self) -> str:
        reasons = "".join(f"<pre>{escape(reason)}</pre>" for reason in self.told())
        found = table(["law", "outcome", ""], self.rows())
        return paragraphs([self.title()]) + found + paragraphs([self.summary()]) + reasons

    def title(self) -> str:
        return f"laws {self.laws} for {self.subject}, profile {self.profile!r}"

    def rows(self) -> list[list[str]]:
        """Of each law its name, its outcome, and on how many cases, or why."""
        found = []
        for r in self.results:
            note = f"{r.cases} cases" if r.outcome == HELD else r.reason.partition("\n")[0]
            note += f", {r.undecided} undecided" if r.undecided else ""
            found.append([r.law, r.outcome, note])
        return found

    def summary(self) -> str:
        """How many laws had which outcome, on how many cases, in one line."""
        c = self.counts
        said = ", ".join(f"{c[o]} {o}" for o in (HELD, BROKEN, EXPECTED, SKIPPED, SURPRISE))
        cases = f"{c['cases']} cases, {c['undecided']} undecided"
        return f"{said}; {cases}; {self.seconds:.1f} s"

    def told(self) -> list[str]:
        """The messages of the failures; an error that breaks several laws once, with their
        number."""
        first: dict[str, str] = {}
        more: Counter[str] = Counter()
        for r in self.failures:
            paragraphs = r.reason.split("\n\n")
            seen = re.sub(r"\d+", "#", paragraphs[min(2, len(paragraphs) - 1)])
            more[seen] += seen in first
            first.setdefault(seen, r.reason)
        others = {
            seen: f"\n\nThe same breaks {n} more of the laws." for seen, n in more.items() if n
        }
        return [reason + others.get(seen, "") for seen, reason in first.items()]


# -------------------------------------------------------------------------------- a failure


def explain(law: Any, case: Case, error: BaseException) -> str:
    """The message of a broken law: what it says, what was seen, where, and how to see it again."""
    layer = shown(case)
    lines = broken_by(layer, law).splitlines()
    if isinstance(error, Broken):
        lines += [*str(error).splitlines(), ""]
    else:
        lines += [f"{type(error).__name__}: {error}", *guilty_line(error), ""]
    for sentence in advice(law.__name__, case, error):
        end = "" if sentence.endswith("?") else "."
        lines += [*textwrap.wrap(f"Likely cause: {sentence}{end}", 100), ""]
    lines += ["The smallest case that was found:", ""]
    lines += [f"    {name:14} {value}" for name, value in described(case, layer).items()]
    lines += [
        "",
        "To see it again:",
        "",
        *(f"    {line}".rstrip() for line in reproducer(law, case).splitlines()),
    ]
    return "\n".join(lines)


def broken_by(layer: str, law: Any) -> str:
    """Who breaks which law, and what that says."""
    statement = " ".join((law.__doc__ or "").partition("\n\n")[0].split())
    return "\n".join([f"{layer} breaks the law {law.__name__}", "", *wrap(statement), "", ""])


def wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="    ", subsequent_indent="    ")


def guilty_line(error: BaseException) -> list[str]:
    """The line of the layer that raised: the last one that is neither NumPy's nor of what runs
    it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if of_a_layer(f.filename)]
    if not frames:
        return []
    last = frames[-1]
    return [f"    in {last.name}, {last.filename}:{last.lineno}", f"        {last.line}"]


def of_a_layer(file: str) -> bool:
    """Whether a layer may be written in a file."""
    if "/numpy/" in file or "/hypothesis/" in file or file.startswith("<"):
        return False
    path = Path(file).resolve()
    return not path.is_relative_to(HOME) or path.relative_to(HOME).parts[0] in ("layers", "losses")


def shown(case: Case) -> str:
    try:
        return repr(case.make())
    except Exception as error:
        return f"the factory (which raised {type(error).__name__})"


def described(case: Case, layer: str) -> dict[str, str]:
    found = {"layer": layer}
    if case.config:
        found["configuration"] = ", ".join(f"{k}={v!r}" for k, v in case.config.items())
    names = {"y_true": case.y_true, "y_pred" if case.is_loss else "x": case.x}
    names |= {"sample_weight": case.sample_weight, "mask": case.mask}
    arrays = {name: a for whole, a in names.items() for name, a in parts(whole, a).items()}
    found |= {name: f"{a.dtype} {a.shape}" for name, a in arrays.items() if a is not None}
    if not case.is_loss:
        found["training"] = str(case.training)
    return found | {"seed": str(case.seed)}


def reproducer(law: Any, case: Case) -> str:
    """Python that runs the law on the case."""
    imports, expression = constructor(case)
    arguments = {"x": case.x, "mask": case.mask}
    if case.is_loss:
        arguments = {"y_true": case.y_true, "y_pred": case.x} | {
            "sample_weight": case.sample_weight,
            "mask": case.mask,
        }
    short = 0 if getattr(law, "asks_for_bounds", False) else SHORT
    given = {name: literal(a, short) for name, a in arguments.items() if a is not None}
    drawn = ", numbers" if any("numbers(" in text for text in given.values()) else ""
    imports = sorted([f"from backprop.testing import check_law{drawn}", *imports])
    lines = ["import numpy as np", "", *imports, ""]
    lines += [f"{name} = {text}" for name, text in given.items()]
    options = [f"{name}={name}" for name in given] + [
        f"training={case.training}",
        f"seed={case.seed}",
    ]
    if case.tags:
        options.append(f"tags={tuple(sorted(case.tags))!r}")
    if case.reference is not None and law.__name__ == "agrees_with_the_reference":
        name = getattr(case.reference, "__name__", "<lambda>")
        options.append("reference=reference")
        if "<" in name:
            lines.append("reference = ...  # the function that you gave")
        else:
            lines.insert(2, f"from {case.reference.__module__} import {name} as reference")
    if not expression:
        lines.append("layer = ...  # what your factory makes")
        expression = "layer"
    return "\n".join([*lines, f"check_law({law.__name__!r}, {expression}, {', '.join(options)})"])


def literal(a: Any, short: int = SHORT) -> str:
    """An array, or several, as Python, to the last digit; a longer one by the call that made it."""
    if type(a) is tuple:
        items = ["None" if one is None else literal(one, short) for one in a]
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    if a.size > short and (call := call_for(a)):
        return call
    dtype = "" if a.dtype in (np.float64, np.int64, bool) and a.size else f', dtype="{a.dtype}"'
    if not a.size:
        return f"np.zeros({a.shape}{dtype})"
    return f"np.array({a.tolist()}{dtype})"


def constructor(case: Case) -> tuple[list[str], str]:
    """The imports that a layer's constructor call needs, and the call; no call where its text does
    not make it."""
    try:
        layer = case.make()
        text = repr(layer)
        known = {
            cls.__name__: cls for family in FAMILIES.values() for cls in family.classes.values()
        }
        known |= {type(part).__name__: type(part) for part in layer.walk()}
        names = [
            name for name in dict.fromkeys(re.findall(r"\b([A-Za-z_]\w*)\(", text)) if name in known
        ]
        if any("<locals>" in known[name].__qualname__ for name in names):
            return [], ""
        namespace = {name: known[name] for name in names}
        if repr(eval(text, {"__builtins__": {}}, namespace)) != text:
            return [], ""
    except Exception:
        return [], ""
    return [f"from {home(cls)} import {name}" for name, cls in namespace.items()], text


def home(cls: type) -> str:
    """The module that a user imports a class from."""
    package = ".".join(cls.__module__.split(".")[:2])
    family = FAMILIES.get(package.removeprefix("backprop."))
    return package if family and cls in family.classes.values() else cls.__module__
