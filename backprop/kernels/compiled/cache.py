"""Where compiled loops are kept, so that an installation compiles each of them once."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.misc.appdirs import AppDirs

HERE = Path(__file__).parent
SHARED = ("compiler", "maths", "pointers")


@functools.cache
def folder() -> Path:
    """Where ``NUMBA_CACHE_DIR`` says; else beside the package, where that is kept already or can be
    written to; else in the user's own cache."""
    asked = os.environ.get("NUMBA_CACHE_DIR")
    if asked:
        return Path(asked) / "backprop"
    beside = HERE / "__pycache__"
    if (beside / "kernels").exists() or os.access(beside if beside.exists() else HERE, os.W_OK):
        return beside / "kernels"
    return Path(AppDirs("backprop", False).user_cache_dir) / "kernels"


@functools.cache
def digest(file: str) -> str:
    """Of all that a loop of this file is made from: it has what it calls within, and calls nothing
    of another file but of these."""
    found = hashlib.sha256()
    for part in (Path(file), *(HERE / f"{name}.py" for name in SHARED)):
        found.update(part.read_bytes())
    return found.hexdigest()


class Locator:
    """What Numba asks where results lie and what they depend on."""

    def __init__(self, function, file):
        self._py_file = file
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function, file):
        return cls(function, file)

    def get_cache_path(self):
        return str(folder())

    def get_source_stamp(self):
        return digest(self._py_file)

    def get_disambiguator(self):
        return str(self._line)

    def ensure_cache_path(self):
        """`alone` has made it."""


class Implementation(CompileResultCacheImpl):
    """How one result becomes a file."""

    _locator_classes = [Locator]  # noqa: RUF012 - Numba's own form


class Cache(FunctionCache):
    """Numba's cache of one function, for several processes at once. A folder that cannot be written
    to is only read, and a file that is damaged is written anew."""

    _impl_class = Implementation

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError), alone(folder()):
            super().save_overload(sig, data)

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever a damaged file makes of itself
            with contextlib.suppress(OSError):
                self.flush()
            return None


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """One process at a time: two that add to one index would each lose what the other added."""
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as file:
        with contextlib.suppress(ImportError, OSError):  # Windows, some network drives
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
