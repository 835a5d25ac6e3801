"""A file system that strikes at a call of one's choice: it fails, or the process is killed there.

What is written below a folder by Python's own `open` and by `os` is counted, call by call.
"""

import builtins
import errno
import io
import os
from contextlib import contextmanager
from pathlib import Path

ERRNOS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO)
# calls of os that change something, and where their path stands
CALLS = ("open", "mkdir", "chmod", "replace", "rename", "unlink", "remove", "rmdir")


class Calls:
    """Calls below a folder.

    Parameters
    ----------
    folder : path
    at : int, optional
        The number, from 1, of the call that is struck.
    strike : callable
        Called with its path in its place; what it is to write is half written then.
    """

    def __init__(self, folder, at=None, strike=None):
        self.folder, self.at, self.strike = os.path.realpath(folder), at, strike
        self.made = []

    def come(self, name, path, half=lambda: None):
        """A call that is about to be made."""
        self.made.append((name, path))
        if len(self.made) == self.at:
            half()
            self.strike(path)

    def owns(self, path):
        return not isinstance(path, int) and os.path.realpath(path).startswith(self.folder)


def failing(number):
    """Strikes with an error of this number, as the system raises it."""

    def strike(path):
        raise OSError(number, os.strerror(number), *([] if path is None else [os.fspath(path)]))

    return strike


@contextmanager
def watched(calls):
    """Within the block the process works on a file system that counts and strikes."""
    plain = {name: getattr(os, name) for name in (*CALLS, "fsync")}

    class Raw(io.FileIO):
        def write(self, data):
            half = memoryview(data)[: len(data) // 2]
            calls.come("write", None, lambda: super(Raw, self).write(half))
            return super().write(data)

    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **rest):
        if not set(mode) & set("wax+") or not calls.owns(file):
            return plain_open(file, mode, buffering, encoding, errors, newline, **rest)
        if rest.get("opener") is None:
            calls.come("open", file)
        raw = Raw(file, mode.replace("b", ""), **rest)
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def of_path(name):
        def call(path, *args, **kwargs):
            if calls.owns(path):
                calls.come(name, path)
            return plain[name](path, *args, **kwargs)

        return call

    def fsync(handle):
        calls.come("fsync", None)
        return plain["fsync"](handle)

    plain_open, builtins.open = builtins.open, opened
    try:
        for name in CALLS:
            setattr(os, name, of_path(name))
        os.fsync = fsync
        yield calls
    finally:
        builtins.open = plain_open
        for name, call in plain.items():
            setattr(os, name, call)


def temporaries(folder):
    """Files below a folder that were to take the place of others."""
    return [path.name for path in Path(folder).rglob("*.tmp")]
