"""What all commands share: their parser, errors that a user can mend, a bar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from backprop.spelling import nearest


class UsageError(Exception):
    """What the user can mend; its text is the line that they see."""


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known option or command."""

    def error(self, message: str):
        if message.startswith("unrecognized arguments: "):
            known = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
            message += nearest(message.split()[2].partition("=")[0], known)
        elif message.startswith("argument COMMAND: invalid choice: "):
            given = message.split("'")[1]
            known = next(list(a.choices or ()) for a in self._actions if a.metavar == "COMMAND")
            message = f"unknown command {given!r}{nearest(given, known)}"
        self.exit(2, f"backprop: {message} (see {self.prog} --help)\n")


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    """The parser of one command, whose options are still to be added."""
    made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    made.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    made.set_defaults(run=run, parser=made)
    return made


def show_progress(done: int | None, total: int, name: str) -> None:
    """A bar on a terminal, nothing elsewhere; None takes it away."""
    if not sys.stderr.isatty():
        return
    if done is None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return
    bar = ("=" * (24 * done // total)).ljust(24, ".")
    print(f"\r\x1b[K{bar} {done}/{total} {name[:48]}", end="", file=sys.stderr, flush=True)


def exists(path: str) -> None:
    if not Path(path).exists():
        folder = Path(path).parent
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        raise UsageError(f"no file {path!r}{nearest(Path(path).name, names)}")
