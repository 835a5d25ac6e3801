"""Where callbacks save, and when: arguments that are checked before a run begins."""

from __future__ import annotations

import errno
import os
import re
from string import Formatter
from typing import Annotated, Any

from backprop.arguments import Convert
from backprop.checks import as_path


def save_frequency(value: Any, who: str, name: str) -> str | int:
    if isinstance(value, str) and value == "epoch":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{who} expects save_freq='epoch' or a number of batches and got {value!r}"
        )
    return value


def path(given: Any, who: str, name: str, kind: str) -> str:
    """A path as text; of a file or a folder that is named."""
    given = as_path(given, who, name)
    if not given:
        raise ValueError(f"{who} expects {name}, the path of a {kind}, and got an empty one")
    return given


def pattern(given: Any, who: str, name: str) -> str:
    """A path whose fields in braces are names of numbers, with a format that numbers have."""
    found = path(given, who, name, "file")
    try:
        fields = [field for field in Formatter().parse(found) if field[1] is not None]
        for _, field, form, conversion in fields:
            if not str(field).isidentifier() or conversion not in (None, "s", "r", "a"):
                raise ValueError
            number = 1 if field in ("epoch", "batch") else 1.0
            format(number if conversion is None else str(number), form or "")
    except ValueError:
        raise ValueError(
            f"{who} expects {name} to be a path with fields such as {{epoch:02d}} or "
            f"{{val_loss:.2f}}, got {found!r}"
        ) from None
    return found


def check_writable(path: str, who: str, name: str) -> None:
    """Raise where there is a folder in a file's place, or a file in a folder's, or where the system
    has no such names."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"{who} got {name}={path!r}, which is a folder: name a file")
    above = os.path.dirname(path)
    while above and not os.path.lexists(above):
        above = os.path.dirname(above)
    if above and not os.path.isdir(above):
        raise NotADirectoryError(f"{who} got {name}={path!r}, and {above!r} is a file")
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            why = f"{who} cannot write to {name}: {error.strerror}"
            raise OSError(error.errno, why, path) from None


SaveFrequency = Annotated[str | int, Convert(save_frequency, none=True)]
FilePath = Annotated[str | os.PathLike, Convert(pattern, none=True)]
FolderPath = Annotated[str | os.PathLike, Convert(path, none=True, kind="folder")]


def fields_of(pattern: str) -> set[str]:
    """The names of the fields in braces."""
    fields = (field for _, field, *_ in Formatter().parse(pattern) if field is not None)
    return {re.split(r"[.\[]", field)[0] for field in fields}


def is_plain(value: Any) -> bool:
    """Whether a value in a name leads to no other folder."""
    return isinstance(value, int | float) or (
        isinstance(value, str) and not re.search(r"[/\\]|\.\.", value)
    )
