"""The command line: train, predict, serve, check and so on, each in a file of its own.

A wrong option, file or table is one line on stderr and exit status 2, never a traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from backprop.cli import check, predict, serve, sign, summary, train, verify, warmup
from backprop.cli.usage import Parser, UsageError, add_command
from backprop.spelling import printable

COMMANDS = {
    "train": train,
    "predict": predict,
    "serve": serve,
    "check": check,
    "summary": summary,
    "sign": sign,
    "verify": verify,
    "warmup": warmup,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status.

    0: done; for `check` all gradients passed. 1: a gradient failed, or a file is not signed as
    `verify` was to find it. 3: a gradient is undecided.
    2: wrong usage or unusable data, with a line on stderr that says what. 130: interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = False
    try:
        parser = build_parser()
        if not arguments:
            parser.print_help(sys.stderr)
            return 2
        options, rest = parser.parse_known_args(arguments)
        if rest:
            options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
        debug = options.debug
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.showwarning = show_warning
            return options.run(options)
    except KeyboardInterrupt:
        print("backprop: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            raise
        print(f"backprop: {one_line(error)}", file=sys.stderr)
        return 2


def one_line(error: Exception) -> str:
    text = printable(" ".join(str(error).split()))
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {text}"
    if isinstance(error, UsageError | ValueError | TypeError | OSError | ImportError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning is one line too."""
    print(f"backprop: warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def build_parser() -> Parser:
    from backprop import __version__

    parser = Parser(
        prog="backprop", description="Train neural networks, and certify their gradients."
    )
    parser.add_argument("--version", action="version", version=f"backprop {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    for name, module in COMMANDS.items():
        module.add_options(add_command(commands, name, module.run, module.WHAT))
    return parser
