"""The process that `backprop serve` is: a socket, uvicorn, and an end at SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = ("127.0.0.1", "::1")  # what a machine calls itself
ANYWHERE = ("0.0.0.0", "::", "")
GRACE = 5  # seconds for requests that are being answered when the server is told to stop


def names_of(host: str, others: Sequence[str] = ()) -> list[str] | None:
    """What a server at a host may be called; None, anything, where it listens at all addresses."""
    if host in ANYWHERE and not others:
        return None
    return ["localhost", *NUMBERS, host, *others]


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises OSError where that cannot be."""
    family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    app: Any,
    listener: socket.socket,
    ready: Callable[[], object] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM, or until `stop` is set; those that are being
    answered are finished first.

    `ready` is called once requests are answered. Signals are for the main thread alone.
    """
    with listener:
        _serve(app, listener, ready, stop)


def _serve(
    app: Any,
    listener: socket.socket,
    ready: Callable[[], object] | None,
    stop: threading.Event | None,
) -> None:
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError('serving needs uvicorn: pip install "backprop[serve]"') from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if ready is not None:
                ready()

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or (stop is not None and stop.is_set())

    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE,
    )
    # uvicorn hands a signal on once it has stopped: to these, for which the work is done
    main = threading.current_thread() is threading.main_thread()
    ours = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.signal(number, lambda *_: None) for number in ours}
    try:
        Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
