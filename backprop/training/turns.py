"""One run of a model at a time: whose turn it is to count its loss and its metrics."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Door:
    """Between asking and taking; it is held for no longer."""

    lock = threading.Lock()


def forget() -> None:
    """In a forked process nobody holds it, whoever did at that moment."""
    Door.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)


class Turn:
    """Which thread runs a model."""

    _process = 0  # a forked one has none of the threads, and runs by itself

    def __init__(self) -> None:
        self._thread: int | None = None

    def __getstate__(self) -> dict[str, None]:
        return {"_thread": None}  # a copy runs by itself

    @property
    def taken(self) -> bool:
        """Whether a run goes on, in this thread or another."""
        return self._thread is not None and self._process == os.getpid()

    @property
    def elsewhere(self) -> bool:
        """Whether a run goes on in another thread."""
        return self.taken and self._thread != threading.get_ident()

    def take(self) -> bool:
        """Take it, if nobody has it."""
        with Door.lock:
            if self.taken:
                return False
            self._thread, self._process = threading.get_ident(), os.getpid()
            return True

    def check(self, who: str, model: str) -> None:
        """Raise what `held` would, before anything is changed for a run that is refused."""
        if self.taken:
            raise self.refusal(who, model)

    def give_back(self) -> None:
        self._thread = None

    @contextmanager
    def held(self, who: str, model: str) -> Iterator[None]:
        """The turn for a block.

        Raises
        ------
        RuntimeError
            If a run of the model goes on.
        """
        if not self.take():
            raise self.refusal(who, model)
        try:
            yield
        finally:
            self.give_back()

    def refusal(self, who: str, model: str) -> RuntimeError:
        where = "in another thread" if self.elsewhere else "around this call"
        return RuntimeError(
            f"{who} would change {model} while a run of it goes on {where}: wait for its end, or "
            "train a copy, models.clone_model(model)"
        )
