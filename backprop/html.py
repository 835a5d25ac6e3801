"""Tables as a notebook shows them: what a ``_repr_html_`` returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite

WIDTH, HEIGHT, MARGIN = 120, 24, 2  # of a curve, in pixels
MOST_POINTS = 200


class Html(str):
    """A text that is HTML already, and is not escaped."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of texts; what would be code in them is text.

    >>> table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def cells(texts: Iterable[str], tag: str) -> str:
    return "".join(
        f"<{tag}>{text if isinstance(text, Html) else escape(text)}</{tag}>" for text in texts
    )


def paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def curve(values: Sequence[float]) -> Html:
    """A line through numbers, as high as a line of text; empty for less than two that are finite.

    >>> curve([3.0, 1.0, 2.0]).partition("points=")[2]
    '"2.0,2.0 60.0,22.0 118.0,12.0"/></svg>'
    """
    step = max(1, len(values) // MOST_POINTS)
    known = [(i, v) for i, v in enumerate(values) if i % step == 0 and isfinite(v)]
    low, high = min((v for _, v in known), default=0.0), max((v for _, v in known), default=0.0)
    if len(known) < 2 or not isfinite(high - low):
        return Html("")
    across = (WIDTH - 2 * MARGIN) / (len(values) - 1)
    up = (HEIGHT - 2 * MARGIN) / (high - low or 1.0)
    points = " ".join(
        f"{MARGIN + across * i:.1f},{HEIGHT - MARGIN - up * (v - low):.1f}" for i, v in known
    )
    size = f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="its curve"'
    line = f'<polyline fill="none" stroke="currentColor" points="{points}"/>'
    return Html(f"<svg {size}>{line}</svg>")
