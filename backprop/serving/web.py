"""The app: four addresses, and what stands before them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from json import dumps
from typing import Any

from backprop.saving import SigningKey
from backprop.serving.answering import CSV, JSON, Answer, GivenUp, LateError, Served
from backprop.serving.limits import Limits
from backprop.serving.loading import load
from backprop.serving.page import page_of
from backprop.serving.refusals import Refusal
from backprop.tabular import Preprocessing

SOON = {"Retry-After": "1"}
SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
SAFE_BYTES = [(name.lower().encode(), value.encode()) for name, value in SAFE.items()]


def app(
    model: Any,
    preprocessing: Preprocessing | None = None,
    *,
    limits: Limits | None = None,
    key: SigningKey | None = None,
    hosts: Sequence[str] | None = None,
) -> Any:
    """An ASGI app that predicts: ``GET /`` is a page to try it, ``GET /schema`` what it takes,
    ``GET /health`` whether it runs, and ``POST /predict`` the prediction.

    It needs the package starlette: ``pip install "backprop[serve]"``; any server of ASGI on asyncio
    runs it.

    Parameters
    ----------
    model : path, Sequential or Model
        A file of `backprop train` or `model.save`, or a model that is built. It must not be trained
        while it is served.
    preprocessing : Preprocessing, optional
        What `serving.load` returns beside a model; a file has its own.
    limits : Limits, optional
        How much a request may ask for. Default: `Limits()`.
    key : SigningKey, optional
        What the file must be signed with.
    hosts : sequence of str, optional
        The names by which a request may call the server (without port); another one is refused with
        421, as a stranger's page that was given this machine's address would send it. Default: any.

    Returns
    -------
    starlette.applications.Starlette

    Raises
    ------
    ImportError
        Without starlette.
    ModelFileError
        For a file that is damaged, no model, or not signed with the key.
    TypeError, ValueError
        For what is no model, a model that is not built or carries states from one request to the
        next, or a preprocessing or a key that does not go with what was given.

    Examples
    --------
    >>> import backprop as bp
    >>> from backprop import serving
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    >>> app = serving.app(model, limits=serving.Limits(rows=1_000))
    >>> sorted(route.path for route in app.routes)
    ['/', '/health', '/predict', '/schema']
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.routing import Route
    except ImportError as error:
        raise ImportError('serving needs starlette: pip install "backprop[serve]"') from error
    desk = Desk(served(model, preprocessing, Limits() if limits is None else limits, key))
    return Starlette(
        routes=[
            Route("/", desk.page, methods=["GET"]),
            Route("/schema", desk.schema, methods=["GET"]),
            Route("/health", desk.health, methods=["GET"]),
            Route("/predict", desk.predict, methods=["POST"]),
        ],
        middleware=[Middleware(Door, hosts=hosts)],
        exception_handlers={Refusal: refused, HTTPException: no_such, Exception: failed},
        lifespan=desk.open,
    )


def served(
    model: Any, preprocessing: Preprocessing | None, limits: Limits, key: SigningKey | None
) -> Served:
    if isinstance(model, str | os.PathLike):
        if preprocessing is not None:
            raise ValueError("app() takes preprocessing with a model; a file has its own")
        model, preprocessing = load(model, key)
    elif key is not None:
        raise ValueError("app() takes a key with a file; a model has no signature")
    if not hasattr(model, "_require_built"):
        raise TypeError(f"app() expects a file or a model, got {type(model).__name__}")
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            f"app() expects preprocessing as serving.load returns it, got "
            f"{type(preprocessing).__name__}"
        )
    if not isinstance(limits, Limits):
        raise TypeError(f"app() expects limits to be a Limits, got {type(limits).__name__}")
    return Served(model, preprocessing, limits)


class Desk:
    """What answers requests: it reads their bodies, and has threads that compute."""

    def __init__(self, served: Served):
        self.served, self.limits = served, served.limits
        self.inside = 0  # requests whose body is read or whose answer is computed
        self.pool: ThreadPoolExecutor | None = None
        self.html, self.policy = page_of(served)

    @asynccontextmanager
    async def open(self, app: Any):
        self.served.stop.clear()
        yield
        self.served.stop.set()
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None

    async def page(self, request: Any) -> Any:
        from starlette.responses import HTMLResponse

        headers = {"Content-Security-Policy": self.policy, "Referrer-Policy": "no-referrer"}
        return HTMLResponse(self.html, headers=headers)

    async def schema(self, request: Any) -> Any:
        return as_response(self.served.schema(), media_type="application/schema+json")

    async def health(self, request: Any) -> Any:
        from backprop import __version__

        name = str(self.served.model.name)
        return as_response({"status": "ok", "model": name, "backprop": __version__})

    async def predict(self, request: Any) -> Any:
        from starlette.responses import Response

        if self.inside >= self.limits.waiting:
            raise Refusal(503, "the server has as much to do as it takes on", headers=SOON)
        self.inside += 1
        try:
            wanted = wanted_type(request.headers.get("accept", ""), self.served)
            media_type = given_type(request.headers)
            body = await self.body(request)
            answer = await self.answer(body, media_type, wanted)
        finally:
            self.inside -= 1
        return Response(answer.body, headers=answer.headers, media_type=answer.media_type)

    async def body(self, request: Any) -> bytes:
        """The body, no longer than the limit, in no more than the time for it."""
        from starlette.requests import ClientDisconnect

        most, seconds = self.limits.bytes, self.limits.seconds
        too_large = Refusal(413, f"a request may have {most:,} bytes: send it in parts")
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and (len(announced) > 18 or int(announced) > most):
            raise too_large
        found = bytearray()
        try:
            async with asyncio.timeout(seconds):
                async for chunk in request.stream():
                    found += chunk
                    if len(found) > most:
                        raise too_large
        except TimeoutError as error:
            raise Refusal(408, f"the body did not arrive within {seconds:g} s") from error
        except ClientDisconnect as error:
            raise Refusal(400, "the body broke off") from error
        return bytes(found)

    async def answer(self, body: bytes, media_type: str, wanted: str) -> Answer:
        """Computed by a thread; of those that are given up, the thread is over soon."""
        seconds = self.limits.seconds
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.limits.at_once, thread_name_prefix="predict")
        given_up = GivenUp(seconds, self.served.stop)
        work = self.pool.submit(self.served.answer, body, media_type, wanted, given_up)
        waited = asyncio.wrap_future(work)
        waited.add_done_callback(lambda future: future.cancelled() or future.exception())  # heard
        late = Refusal(504, f"the prediction takes more than {seconds:g} s: send fewer rows")
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waited)
        except TimeoutError as error:
            if work.cancel():
                raise Refusal(
                    503, f"the server had no time for it within {seconds:g} s", headers=SOON
                ) from error
            raise late from error
        except LateError as error:
            if self.served.stop.is_set():
                raise Refusal(503, "the server goes down", headers=SOON) from error
            raise late from error


def given_type(headers: Any) -> str:
    """JSON or CSV, as the request says what its body is."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise Refusal(
            415, f"a body packed by {coding!r} is not read", headers={"Accept-Encoding": "identity"}
        )
    kind, _, rest = headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in (JSON, CSV):
        said = f"and is said to be {kind!r}" if kind else "which Content-Type has to say"
        raise Refusal(
            415,
            f"the body should be {JSON} or {CSV}, {said}",
            expected=f"Content-Type: {JSON} or {CSV}",
            headers={"Accept-Post": f"{JSON}, {CSV}"},
        )
    charset = rest.lower().partition("charset=")[2].strip(' ";')
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise Refusal(415, f"the body should be in UTF-8, and is said to be in {charset!r}")
    return kind


def wanted_type(accept: str, served: Served) -> str:
    """CSV where that alone is asked for, JSON otherwise."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    if CSV not in kinds or JSON in kinds or "*/*" in kinds:
        return JSON
    if len(served.names) > 1:
        raise Refusal(406, f"the model has {len(served.names)} outputs, which {CSV} cannot hold")
    return CSV


class Door:
    """Lets in who calls the server by one of its names, and says on every answer that it is not to
    be guessed about or kept."""

    def __init__(self, app: Any, hosts: Sequence[str] | None):
        self.app = app
        self.hosts = None if hosts is None else {host.lower().strip("[]") for host in hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *SAFE_BYTES]}
            await send(message)

        if scope["type"] == "http" and self.hosts is not None:
            named = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if host_of(named) not in self.hosts:
                said = Refusal(421, f"this server is not called {host_of(named)[:99]!r}")
                await error_response(said)(scope, receive, safely)
                return
        await self.app(scope, receive, safely)


def host_of(header: str) -> str:
    """The host of a header, without its port.

    >>> host_of("Localhost:8000"), host_of("[::1]:80"), host_of("")
    ('localhost', '::1', '')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


# ---------------------------------------------------------------------------- answers


def as_response(content: Any, status: int = 200, media_type: str = JSON, **options: Any) -> Any:
    """JSON in ASCII, as there are letters, halves of surrogates, that UTF-8 lacks."""
    from starlette.responses import Response

    return Response(dumps(content).encode(), status, media_type=media_type, **options)


def error_response(refusal: Refusal) -> Any:
    return as_response(refusal.to_json(), refusal.status, headers=refusal.headers)


async def refused(request: Any, refusal: Any) -> Any:
    return error_response(refusal)


async def no_such(request: Any, error: Any) -> Any:
    """An address or a method that the server has not."""
    said = {
        404: "there is /, /schema, /health and POST /predict",
        405: "another method is expected",
    }
    message = (
        f"{request.method} {request.url.path[:99]}: {said.get(error.status_code, error.detail)}"
    )
    headers = dict(error.headers or {})
    return error_response(Refusal(error.status_code, message, headers=headers))


async def failed(request: Any, error: Exception) -> Any:
    """A fault of ours: the server logs its traceback, and this answer passes no `Door`."""
    return error_response(Refusal(500, "the server failed, and its log says where", headers=SAFE))
