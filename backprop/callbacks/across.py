"""What a callback does where its run is on several ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backprop.callbacks.callback import Callback


def across(callback: Callback) -> Any:
    """The ranks on which the run of a callback's model is; None in a run of one process."""
    return getattr(getattr(callback.model, "trainer", None), "across", None)


def by_main(callback: Callback, work: Callable[[], Any]) -> Any:
    """What some work on files finds: on several ranks the first of them does it for all."""
    ranks = across(callback)
    return work() if ranks is None else ranks.on_main(work)


def saving(callback: Callback, work: Callable[[], Any]) -> Any:
    """What saving the state of the run returns: on several ranks the first of them does it."""
    ranks = across(callback)
    return work() if ranks is None else ranks.saving(work)
