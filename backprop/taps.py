"""Listening to what goes through a layer: a method that tells, while somebody listens.

A tap stands in the layer's own `__dict__` and so in front of its class' method. It hands on what it
is given and what the method returns, both as they are, so that listening changes no number; when
the last listener is gone, so is the tap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Listener = Callable[[Any, tuple, Any], None]  # the layer, the arguments, what was returned


class Tap:
    """A method of one layer, and who listens to its calls."""

    def __init__(self, layer: Any, name: str):
        self.layer, self.name = layer, name
        self.own = layer.__dict__.get(name)  # a method that a user has put there
        self.method = getattr(layer, name)
        self.listeners: list[Listener] = []

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        found = self.method(*arguments, **options)
        for listener in self.listeners:
            listener(self.layer, arguments, found)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"listeners": []}  # nobody listens to a copy


def listen(layer: Any, name: str, listener: Listener) -> None:
    """Have a listener told of each call of a method of this layer, until `leave`."""
    tap = layer.__dict__.get(name)
    if not isinstance(tap, Tap):
        tap = layer.__dict__[name] = Tap(layer, name)
    tap.listeners.append(listener)


def leave(layer: Any, name: str, listener: Listener) -> None:
    """Tell a listener nothing any more; one that is not there is no error."""
    tap = layer.__dict__.get(name)
    if not isinstance(tap, Tap):
        return
    tap.listeners = [other for other in tap.listeners if other != listener]
    if not tap.listeners:
        if tap.own is None:
            del layer.__dict__[name]
        else:
            layer.__dict__[name] = tap.own
