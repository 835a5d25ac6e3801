"""The files of a data set: found, watched for changes, and read with errors that name them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backprop.spelling import excerpt

NUMBERS = re.compile(r"(\d+)")


class DataFile:
    """A file that is to stay as it was when it was found.

    Parameters
    ----------
    path : str
    faults : tuple of exception classes
        What its format raises for a file that is damaged.
    """

    def __init__(self, path: str, faults: tuple[type[Exception], ...]):
        self.path, self.faults = path, faults
        self.stamp = self.stamped()

    def stamped(self) -> tuple[int, int]:
        """What changes with the file: its size, and when it was written."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            gone = "there is no such file" if not hasattr(self, "stamp") else "the file is gone"
            raise FileNotFoundError(f"{self.path}: {gone}") from None
        return found.st_size, found.st_mtime_ns

    @contextmanager
    def reading(self) -> Iterator[list[str]]:
        """Read the file in a block, which is the same file before and after it. The block is given
        a list, to whose end it writes what it reads next.

        Raises
        ------
        FileNotFoundError
            The file is gone.
        RuntimeError
            It has changed since the data set was made.
        OSError
            It is damaged.
        """
        self.check()
        what = ["what is in it"]
        try:
            yield what
        except (*self.faults, UnicodeDecodeError) as error:  # of a column's name
            self.check()  # whoever writes to it is to blame for what is found there
            raise OSError(f"{self.path}: {what[-1]} cannot be read: {excerpt(error)}") from error
        self.check()

    def check(self) -> None:
        """Raise where it is no longer the file that was found."""
        if self.stamped() != self.stamp:
            raise RuntimeError(
                f"{self.path} has changed since the data set was made, so that an epoch would be "
                "made of two: leave files alone that are read, and make the data set anew"
            )


def rows_named(a: int, b: int) -> str:
    return f"row {a}" if b == a + 1 else f"rows {a} to {b - 1}"


def find(
    given: Any, who: str, name: str, endings: tuple[str, ...], faults: tuple[type[Exception], ...]
) -> list[DataFile]:
    """The files that `given` names: one, several, or all in a folder, in the order of the numbers
    in their names.

    Raises
    ------
    TypeError
        It is no path and no list of paths.
    FileNotFoundError
        There is no such file, or there is none in the folder.
    """
    several = isinstance(given, list | tuple)
    if not all(isinstance(one, str | os.PathLike) for one in (given if several else [given])):
        raise TypeError(f"{who} expects {name} to be a path or a list of paths, got {given!r}")
    if several:
        found = [os.fspath(one) for one in given]
    elif Path(given).is_dir():
        inside = [p for p in Path(given).iterdir() if p.suffix in endings and p.name[0] not in "._"]
        found = [str(p) for p in sorted(inside, key=lambda p: by_number(p.name))]
    else:
        found = [os.fspath(given)]
    if not found:
        kinds = " or ".join(f"*{ending}" for ending in endings)
        raise FileNotFoundError(f"{who} found no file {kinds} in {name}={str(given)!r}")
    return [DataFile(path, faults) for path in found]


def by_number(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``part-10`` behind ``part-9``."""
    parts = NUMBERS.split(name)
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]


def numeric(dtype: Any, path: str, name: str) -> np.dtype:
    """A dtype of real numbers, in the byte order of this machine; an error for others."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        raise not_numeric(path, name, "strings" if dtype.kind in "SUT" else f"dtype {dtype}")
    return dtype.newbyteorder("=")


def not_numeric(path: str, name: str, kind: str) -> TypeError:
    return TypeError(
        f"{path}: {name!r} has {kind}, and data sets read real numbers: encode it as such first"
    )


def row_count_of(path: str, counts: dict[str, int]) -> int:
    """How many rows the columns of a file, or of a data set, have: as many each."""
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise ValueError(
                f"{path}: {first!r} has {counts[first]} rows and {name!r} has {count}; they must "
                "have a row for each sample"
            )
    return counts[first]
