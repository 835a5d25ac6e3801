"""Whether an error says what the library has to say, and not what Python or NumPy happened to."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from pathlib import Path

import backprop

HOME = str(Path(backprop.__file__).parent)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came from, and so on, as a traceback shows them."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def raised_by(error: BaseException) -> str:
    """The line that an error comes from, of the library; of others nothing."""
    at = error.__traceback__
    assert at is not None
    while at.tb_next is not None:
        at = at.tb_next
    file = at.tb_frame.f_code.co_filename
    return linecache.getline(file, at.tb_lineno).strip() if file.startswith(HOME) else ""


def others_words(error: BaseException) -> str:
    """What an error repeats of an error that no ``raise`` of the library made; else nothing."""
    said = str(error)
    for one in chain(error):
        if str(one) and str(one) in said and not raised_by(one).startswith("raise"):
            return str(one)
    return ""
