"""Where text goes: a terminal, a notebook, or a pipe, and what each can show."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from backprop.defaults import is_interactive_logging_enabled
from backprop.spelling import printable

# a front end draws every \r update that it is sent, across a network at times
NOTEBOOK_INTERVAL = 0.25


def is_terminal(stream: Any) -> bool:
    """Whether a line written to `stream` can be rewritten with a carriage return, on a terminal."""
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # no such method, or a closed file
        return False


def is_live(stream: Any) -> bool:
    """Whether a line that was written can be written anew: on a terminal and in a notebook, unless
    what is written goes to a logger."""
    return is_interactive_logging_enabled() and (is_terminal(stream) or is_notebook(stream))


def is_notebook(stream: Any) -> bool:
    """Whether `stream` is the output of a notebook's cell, by the class of the stream."""
    return type(stream).__module__.partition(".")[0] == "ipykernel"


def has_cells() -> bool:
    """Whether this process is the kernel of a notebook, by the IPython that it has imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def columns(stream: Any) -> int | None:
    """Width of the terminal behind `stream`, None where there is no such limit."""
    try:
        return (
            os.get_terminal_size(stream.fileno()).columns or 80
        )  # a terminal of unknown size says 0
    except (AttributeError, ValueError, OSError):
        return None


def can_show(stream: Any, text: str) -> bool:
    """Whether the encoding of `stream` has all the characters of `text`."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Voice:
    """Whether this process writes: of a job of several, one does."""

    muted = False


VOICE = Voice()


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush; characters that the stream's encoding lacks become question marks, and what
    would steer a terminal, as in the name of a metric, is written as its number.

    Where interactive logging is disabled, the text goes to the logger of the package instead.
    """
    if VOICE.muted:
        return
    text = printable(text, kept="\r\n\t")
    if not is_interactive_logging_enabled():
        import logging  # here, as few programs need it

        logging.getLogger("backprop").info(text.strip("\n"))
        return
    if stream is None:  # a program without a console has no stdout
        return
    if not can_show(stream, text):
        text = text.encode("ascii", "replace").decode("ascii")
    stream.write(text)
    stream.flush()


def say(message: str, after_bar: bool = False) -> None:
    """Print a line to stdout, or log it.

    Parameters
    ----------
    message : str
    after_bar : bool, default False
        Whether an unfinished progress bar may stand in the line; a terminal then gets a new line
        first. A notebook's bar stands by itself.
    """
    own_line = is_notebook(sys.stdout) and has_cells()
    new_line = "\n" if after_bar and is_live(sys.stdout) and not own_line else ""
    write(sys.stdout, new_line + message + "\n")
