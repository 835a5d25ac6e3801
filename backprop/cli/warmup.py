"""`backprop warmup`: every loop compiled now, and not while the first model is trained."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import tempfile
from importlib import util
from pathlib import Path
from time import monotonic
from typing import Any

from backprop.cli.usage import UsageError, show_progress
from backprop.kernels.switch import COMPILED, VARIABLE

WHAT = "compile all kernels now, for containers and read-only installations"
DTYPES = ("float32", "float64")


def add_options(warmup: argparse.ArgumentParser) -> None:
    warmup.add_argument(
        "--dtype",
        nargs="+",
        choices=DTYPES,
        default=list(DTYPES),
        help="what models compute in (default: both)",
    )


def run(options: argparse.Namespace) -> int:
    started, place = monotonic(), folder()
    before = size(place)
    found = loops()
    todo = [(loop, form) for loop in found for form in loop.usual() if form[0] in options.dtype]
    for done, (loop, form) in enumerate(todo):
        show_progress(done, len(todo), f"{loop.dispatcher.__name__}, {form[0]}")
        loop.compile(form)
    show_progress(None, 0, "")
    read = sum(loop.cache_hits for loop in found)
    print(
        f"loops: {len(found)}, for {' and '.join(options.dtype)}; forms: {len(todo)}, of which "
        f"{read} were there; {monotonic() - started:.1f} s\n"
        f"kept in {place}: {size(place):.1f} MB, {size(place) - before:.1f} of them new"
    )
    if os.environ.get(VARIABLE) == "numpy":
        print(f"{VARIABLE}=numpy: as long as that is set, they do not run")
    return 0


def folder() -> Path:
    """Where compiled loops are kept; an error where there can be none."""
    if util.find_spec("numba") is None:
        raise UsageError(
            "Numba is not installed, and without it there is nothing to compile, as NumPy runs: "
            'pip install "backprop[fast]"'
        )
    try:
        importlib.import_module(f"{COMPILED}.compiler")
        place: Path = importlib.import_module(f"{COMPILED}.cache").folder()
    except Exception as error:  # whatever a broken installation raises
        raise UsageError(
            f"Numba is installed and does not work: {type(error).__name__}: {error}"
        ) from error
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written to ({error.strerror}): set NUMBA_CACHE_DIR to a folder "
            "that can, here and where the models run, or run this as a user who can write there"
        ) from error
    return place


def loops() -> list[Any]:
    """All loops of the library."""
    package = importlib.import_module(COMPILED)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{COMPILED}.{module.name}")
    return list(importlib.import_module(f"{COMPILED}.compiler").LOOPS)


def size(place: Path) -> float:
    """MB of compiled loops."""
    return sum(file.stat().st_size for file in place.glob("*.nb?")) / 1e6
