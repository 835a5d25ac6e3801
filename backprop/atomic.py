"""Files written whole or not at all: to a temporary one beside them, which takes their place."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

TEMPORARY = re.compile(r"\.backprop-[0-9a-f]{16}\.tmp")
DAY = 24 * 60 * 60  # seconds


@contextmanager
def replacing(
    path: str | os.PathLike, is_whole: Callable[[BinaryIO], bool] | None = None
) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at `path` when the block ends; where
    anything fails, what was there before is still there.

    Where `path` is a symbolic link, the file that it leads to is replaced. Nobody can read the new
    one, while it is written, who could not read the old one. What killed writers left in the folder
    is removed first.

    Parameters
    ----------
    path : path
    is_whole : callable, optional
        Given the file as it can be read again, once it is on the disk: whether that is what was
        written. Without it the new file takes the old one's place unseen.

    Raises
    ------
    OSError
        There is a folder, a device or a pipe; the file cannot be written, or is not whole. The
        error names `path`, where a link leads, and says what is there now.
    """
    target = Path(os.path.realpath(path))
    check_is_file(target)
    sweep(target.parent)
    mode = target.stat().st_mode & 0o777 if target.exists() else None
    kept = "nothing was written" if mode is None else "the file that was there is untouched"
    with (
        named_as(target, kept),
        temporary_file(target, 0o666 if mode is None else mode) as file,
    ):
        yield file
        file.flush()
        os.fsync(file.fileno())
        if is_whole is not None and not is_whole(reread(file)):
            raise OSError(errno.EIO, "What was read back is not what was written")
        file.close()
        if mode is not None:
            os.chmod(file.name, mode)
        os.replace(file.name, target)
    with named_as(target, "the new file is in its place, and a power cut might undo that"):
        sync_folder(target.parent)


def check_is_file(target: Path) -> None:
    """Raise where there is what no file may take the place of: a folder, a device, a pipe."""
    try:
        mode = target.stat().st_mode
    except OSError:  # there is nothing, or nothing can be written either, which says more
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory; name a file", str(target))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "A device or a pipe is there; name a file", str(target))


def reread(file: BinaryIO) -> BinaryIO:
    """The file from its beginning, from the disk and not from the system's memory where that can be
    asked for."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    file.seek(0)
    return file


@contextmanager
def temporary_file(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file beside another, which is gone after the block and locked until then.

    Its name is its own, so that neither a second writer nor what a crash left is in the way. The
    lock tells `sweep` that somebody is writing: it ends with the process that holds it.
    """
    while True:
        temporary = target.with_name(f".backprop-{os.urandom(8).hex()}.tmp")
        try:
            with (
                open(temporary, "x+b", opener=lambda name, how: os.open(name, how, mode)) as file,
                locked(file.fileno()),
            ):
                if fcntl is None or os.fstat(file.fileno()).st_nlink:
                    yield file
                    return
                # else it was swept between its making and its lock
        finally:
            with suppress(OSError):  # it is in its place; or the next writer sweeps it
                temporary.unlink()


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Hold the lock of an open file, also after it was closed; without locks there is nothing."""
    if fcntl is None:
        yield
        return
    held = os.dup(handle)
    try:
        with suppress(OSError):  # a file system without locks: the age of a file has to do
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def sweep(folder: Path) -> None:
    """Remove temporary files whose writers are gone; where no lock tells, those a day old."""
    with suppress(OSError):  # a folder that cannot be listed may be written to
        for entry in os.scandir(folder):
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # of somebody else, or swept by another process
                    sweep_one(entry)


def sweep_one(entry: os.DirEntry) -> None:
    if fcntl is not None:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(entry.path)
            return
        except BlockingIOError:  # it is being written, whatever the clocks say
            return
        except OSError:
            pass  # a file system without locks
        finally:
            os.close(handle)
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY:
        os.unlink(entry.path)


@contextmanager
def named_as(target: Path, now: str) -> Iterator[None]:
    """Let errors of the system name a file, and not the temporary one that is to take its place,
    and say what is there now."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or TEMPORARY.fullmatch(Path(os.fsdecode(error.filename)).name)
        if error.errno is None or not (ours or error.filename == str(target.parent)):
            raise
        raise OSError(error.errno, f"{error.strerror}; {now}", str(target)) from error


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    if os.name == "nt" or (folder.is_dir() and not os.access(folder, os.R_OK)):
        return  # it cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def sync(handle: int) -> None:
    """Make what was written last through a power cut, where that is known to what it is."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
