"""Names that are nearly right, and names made of other names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

LONGEST = 200  # letters of a name that is compared with others
MOST = 1_000  # names that one is compared with


def printable(text: str, kept: str = "") -> str:
    """Text as a terminal may show it: what moves its cursor, changes its colours or turns letters
    around is written as its number, but for the characters in `kept`.

    Examples
    --------
    >>> printable("\x1b[31mred"), printable("é 猫 \u202e")
    ('\\\\x1b[31mred', 'é 猫 \\\\u202e')
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def excerpt(error: Exception, longest: int = 200) -> str:
    """What an error says, on one line, without the most of what it quotes of a file.

    Examples
    --------
    >>> excerpt(ValueError("no number: " + 300 * "7"), longest=15)
    'no number: 7777 ...'
    """
    text = str(error).strip()
    return printable(text[:longest]) + " ..." * (len(text) > longest)


def nearest(name: Any, known: Iterable[str]) -> str:
    """`"; did you mean 'relu'?"`, or nothing where no known name is near.

    Near is a name of which this one is the beginning, the initials or several of the words, and one
    from which it differs by a slip of the pen: in a third of its letters, three at most, whatever
    capitals and underscores there are.

    Examples
    --------
    >>> nearest("precision", ["poisson"]), nearest("lr", ["learning_rate"])
    ('', "; did you mean 'learning_rate'?")
    """
    name = str(name)
    if len(name) > LONGEST:
        return ""
    short = (k for k in islice(known, MOST) if len(k) <= LONGEST)
    ranked = [(unlike(name, k), slips(name, k), k) for k in short]
    found = min(ranked, default=(1.0, 0, ""))
    return f"; did you mean {found[2]!r}?" if found[0] < 1 else ""


def unlike(name: str, known: str) -> float:
    """How far a name is from a known one: 0 is the same, 1 and more are others."""
    words, other_words = ([w for w in n.lower().split("_") if w] for n in (name, known))
    a, b = "".join(words), "".join(other_words)
    if a == b:
        return 0.0
    slip = slips(a, b) / (1 + min(max(len(a), len(b)) // 3, 3))
    if len(a) < 4 and len(a) == len(b) and sorted(a) != sorted(b):
        slip = 1.0  # three letters with another one are another name: auc, acc
    digits, letters = (
        [sorted(filter(kind, n)) for n in (a, b)] for kind in (str.isdigit, str.isalpha)
    )
    if digits[0] != digits[1] and letters[0] != letters[1]:
        slip = 1.0  # so are f1 and r2
    if slip < 1:
        return slip
    initials = len(a) > 1 and a == "".join(w[0] for w in other_words)
    long = min(len(a), len(b)) > 2 or bool(digits[0])  # f1 begins as few names do
    beginning = long and (b.startswith(a) or a.startswith(b))
    several = len(words) > 1 and set(words) <= set(other_words)
    if not (initials or beginning or several):
        return 1.0
    return 1 - 0.2 / (1 + abs(len(a) - len(b)))


def slips(a: str, b: str) -> int:
    """Letters to insert, drop, change, or swap with the next one, to make `b` of `a`."""
    rows = [list(range(len(b) + 1))]
    for i, c in enumerate(a, start=1):
        row = [i]
        for j, d in enumerate(b, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (c != d))
            if i > 1 and j > 1 and c == b[j - 2] and a[i - 2] == d:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def snake_case(name: str) -> str:
    """`BatchNormalization` → `batch_normalization`, `Conv2D` → `conv2d`, as Keras names layers."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
