"""Numbers and names as a page shows them."""

from __future__ import annotations

import html
import math
from typing import Any

from backprop.spelling import printable


def escaped(text: Any) -> str:
    """Any text as HTML that shows it: no name is a tag, nothing turns letters around.

    >>> escaped("<b>"), escaped('a"b'), escaped("\\u202e")
    ('&lt;b&gt;', 'a&quot;b', '\\\\u202e')
    """
    return html.escape(printable(str(text), "\n"))


def figure(value: Any, digits: int = 4) -> str:
    """A number in a few digits.

    >>> [figure(v) for v in (0.997214, 12.0, 123456, 1e-5, float("nan"), None)]
    ['0.9972', '12', '1.235e5', '1e-5', 'NaN', '–']
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e5:
        return f"{int(value):,}"
    number, e, power = f"{value:.{digits}g}".partition("e")
    return f"{number}e{int(power)}" if e else number


def duration(seconds: float) -> str:
    """
    >>> [duration(s) for s in (0.0123, 8.24, 75, 3720)]
    ['12 ms', '8.2 s', '1 min 15 s', '1 h 2 min']
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
