"""What the docstring of a class says of it: the formula, the shapes, the way back."""

from __future__ import annotations

import inspect
import re

GRADIENT = re.compile(r"(?:^|\s{2,})d[^\W\d]\w*[₋ᵢ]?(?:\[[^\]]*\])?,? .*?\+?=|\bd[^\W\d]\w* = ")


def described(cls: type) -> list[str]:
    """The paragraphs of a docstring in front of its first heading, of the class or the nearest that
    it is made from."""
    for base in cls.__mro__:
        doc = base.__dict__.get("__doc__")
        if doc and base is not object:
            text = re.split(r"\n\w[\w ]*\n-{3,}\n", inspect.cleandoc(doc))[0]
            return [part for part in text.split("\n\n") if part.strip()]
    return []


def formula(cls: type) -> str:
    """The first paragraph, on one line."""
    found = described(cls)
    return " ".join(found[0].split()) if found else ""


def shapes(cls: type) -> list[str]:
    """The lines that say which array has which shape."""
    for part in described(cls)[1:]:
        if part.startswith("    ") and re.search(r"\w: .*\(|\w: ", part.split("\n")[0]):
            return [line.strip() for line in part.split("\n")]
    return []


def way_back(cls: type) -> list[str]:
    """The lines of the derivation that say what a gradient is."""
    said = shapes(cls)
    found = []
    for part in described(cls)[1:]:
        lines = [line for line in part.split("\n") if line.startswith("    ")]
        if any(GRADIENT.search(line) for line in lines):
            found += [line.strip() for line in lines if line.strip() not in said]
    if found:
        return found
    return [" ".join(part.split()) for part in described(cls)[1:] if re.search(r"\bd[xy]\b", part)]
