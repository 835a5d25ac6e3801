"""A law is a function of one case: it returns if it holds, else raises `Broken` with what was seen.

    @needs(couples_rows="rows may depend on each other")
    def rows_are_independent(case): ...

says that the law is silent about layers with that tag, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Law = Callable[[Any], None]  # of a `Case`; of what is no layer, of a `Trial`


def needs(
    *, tag: str | None = None, reference: bool = False, **without: str
) -> Callable[[Law], Law]:
    """Say when a law applies: only with a tag, only with a reference, not with the tags named by
    keyword."""

    def decorate(law: Law) -> Law:
        law.needs = (tag, reference, without)  # type: ignore[attr-defined]
        return law

    return decorate


def asks_for_bounds(law: Law) -> Law:
    """Say that a law asks between what the numbers of x were drawn: it is shown on the call that
    made these, as an array of digits does not tell."""
    law.asks_for_bounds = True  # type: ignore[attr-defined]
    return law


def why_not(law: Law, tags: Iterable[str], reference: Any) -> str | None:
    """Why a law does not apply to what has these tags, or None if it does."""
    tag, wants_reference, without = getattr(law, "needs", (None, False, {}))
    if tag is not None and tag not in tags:
        return f"for layers with the tag {tag!r}"
    if wants_reference and reference is None:
        return "no reference= was given"
    return next((f"tag {t!r}: {reason}" for t, reason in without.items() if t in tags), None)
