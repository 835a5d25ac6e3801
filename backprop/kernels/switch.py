"""Which form of a kernel runs: the loop that Numba compiles, or its twin in NumPy."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CHOICES = ("auto", "numba", "numpy")
VARIABLE = "BACKPROP_KERNELS"
ROOM = "backprop.kernels"
COMPILED = f"{ROOM}.compiled"


class Switch:
    """What was asked for, and what runs."""

    def __init__(self):
        self.asked: str | None = None  # None: what the environment says
        self.runs: str | None = None  # None: nobody needed to know yet
        self.failed = ""  # why Numba, which is installed, does not run
        self.must = False  # whether it is an error if Numba does not work
        self.kernels: list[Callable[[], None]] = []  # what forgets which form a kernel takes

    def found(self) -> str:
        """Which form runs; NumPy's, after one warning, where Numba is there and does not work."""
        if self.runs is None:
            asked = self.asked or checked(from_environment(), VARIABLE)
            self.must = asked == "numba"
            self.runs = "numba" if asked != "numpy" and self._has_numba() else "numpy"
        return self.runs

    def _has_numba(self) -> bool:
        if importlib.util.find_spec("numba") is None:
            if self.must:
                raise ImportError('compiled kernels need Numba: pip install "backprop[fast]"')
            return False
        return self.works(lambda: importlib.import_module(f"{COMPILED}.compiler"))

    def loop_of(self, twin: Callable) -> Any:
        """What is compiled in the place of a twin; None where NumPy runs, or the twin is not one of
        this folder."""
        room, _, file = twin.__module__.rpartition(".")
        if self.found() == "numpy" or room != ROOM:
            return None
        self.works(lambda: importlib.import_module(f"{COMPILED}.{file}"))
        return getattr(sys.modules.get(f"{COMPILED}.{file}"), twin.__name__, None)

    def works(self, attempt: Callable[[], Any]) -> bool:
        """Whether Numba did what it was asked to. Where not, and nobody insists on it, NumPy goes
        on from here."""
        try:
            attempt()
        except Exception as error:  # whatever a broken installation or a compiler raises
            if self.must:
                raise
            self.give_up(error)
            return False
        return True

    def give_up(self, error: Exception) -> None:
        """Go on with NumPy, after one warning."""
        self.use("numpy")
        self.failed = f"{type(error).__name__}: {error}"
        warnings.warn(
            "Numba cannot compile the kernels, so NumPy runs in their place, which is slower: "
            f"{self.failed}",
            RuntimeWarning,
            stacklevel=6,
        )

    def use(self, asked: str | None) -> None:
        self.asked, self.runs, self.failed = asked, None, ""
        for forget in self.kernels:
            forget()


SWITCH = Switch()


def from_environment() -> str:
    """What the environment says; "auto", where it says nothing or has the variable empty."""
    return os.environ.get(VARIABLE) or "auto"


def checked(asked: str, who: str) -> str:
    if not isinstance(asked, str) or asked not in CHOICES:
        raise ValueError(f"{who} expects one of {', '.join(map(repr, CHOICES))}, got {asked!r}")
    return asked


def kernels() -> str:
    """Which form of the kernels runs: "numba" where they are compiled, else "numpy".

    Examples
    --------
    >>> import backprop as bp
    >>> bp.config.kernels() in ("numba", "numpy")
    True
    """
    return SWITCH.found()


def set_kernels(kernels: str) -> None:
    """Choose the form of the kernels, for the whole process.

    The environment variable ``BACKPROP_KERNELS`` does the same before the process starts.

    Parameters
    ----------
    kernels : {"auto", "numba", "numpy"}
        "auto" takes Numba where it is installed and works. Numbers may differ between the two in
        their last digits.

    Raises
    ------
    ValueError
        For another value.
    ImportError
        If it is "numba" and Numba is not installed, or cannot be imported.

    Examples
    --------
    >>> import backprop as bp
    >>> before = bp.config.kernels()
    >>> bp.config.set_kernels("numpy")
    >>> bp.config.kernels()
    'numpy'
    >>> bp.config.set_kernels(before)
    """
    before = SWITCH.asked
    SWITCH.use(checked(kernels, "set_kernels()"))
    try:
        SWITCH.found()
    except ImportError:
        SWITCH.use(before)
        raise


def not_compiled(*args):
    """A loop before it is compiled for the first time."""
    raise TypeError


def learned(loop: Any, args: tuple[Any, ...]) -> bool:
    """Whether a loop takes these arguments, for which it is compiled then. Another thread may have
    done that since this one called it."""
    return loop.takes(args) and SWITCH.works(lambda: loop.learn(args))


def kernel(twin: Callable[P, R]) -> Callable[P, R]:
    """A function that runs its loop where that is compiled, else `twin`, what stands below.

    The loop takes arguments of the kinds that it states; all else, such as arrays that are not
    contiguous, goes to the twin. Arguments are given by position.

    Where NumPy runs, the kernel's file has the twin under this name from the first call on: small
    steps that ask the file for it, ``updates.adam(...)``, are spared a call each.
    """
    loop: Any = None
    reference: Any = twin
    home = vars(sys.modules[twin.__module__])
    bare = types.FunctionType(twin.__code__, home, twin.__name__, twin.__defaults__)

    def choose(*args):
        nonlocal run, loop
        loop = SWITCH.loop_of(twin)
        run = twin
        if loop is not None:
            run = loop.dispatcher if loop.known else not_compiled
        elif home.get(twin.__name__) is call:
            home[twin.__name__] = bare
        return call(*args)

    run: Any = choose

    def call(*args: Any) -> Any:
        nonlocal run
        try:
            return run(*args)
        except TypeError:  # of Numba's, where it has not compiled the loop for such arguments
            if loop is None:
                raise
            if learned(loop, args):
                run = loop.dispatcher
                with contextlib.suppress(TypeError):
                    return run(*args)
            return reference(*args)

    def forget() -> None:
        nonlocal run, loop
        run, loop = choose, None
        if home.get(twin.__name__) is bare:
            home[twin.__name__] = call

    SWITCH.kernels.append(forget)
    functools.update_wrapper(bare, twin)
    return functools.update_wrapper(call, twin)  # type: ignore[return-value] - called as the twin is
