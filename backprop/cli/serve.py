"""`backprop serve`: a saved model behind HTTP."""

from __future__ import annotations

import argparse
from dataclasses import fields

from backprop import serving
from backprop.cli.keys import add_key, key_of
from backprop.cli.usage import UsageError, exists
from backprop.serving import server

WHAT = "serve the predictions of a saved model over HTTP"
LIMITS = {
    "bytes": "of a request's body",
    "rows": "of a request",
    "seconds": "for a body to arrive, and for its prediction",
    "at_once": "requests that are computed at the same time",
    "waiting": "requests that are taken on",
}


def add_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("model", help="what train saved")
    serve.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1, this machine alone")
    serve.add_argument("--port", type=int, default=8000, help="default 8000; 0 for any free one")
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which requests may call the server; may be repeated",
    )
    for field in fields(serving.Limits):
        shown = f"{field.default:,}".removesuffix(".0")
        serve.add_argument(
            f"--max-{field.name.replace('_', '-')}",
            type=float if field.name == "seconds" else int,
            metavar="N",
            default=field.default,
            help=f"{LIMITS[field.name]} (default {shown})",
        )
    add_key(serve, "the key that the model must be signed with")


def run(options: argparse.Namespace) -> int:
    exists(options.model)
    if not 0 <= options.port < 1 << 16:
        raise UsageError(f"--port expects a number from 0 to 65535, got {options.port}")
    limits = serving.Limits(**{name: getattr(options, f"max_{name}") for name in LIMITS})
    names = server.names_of(options.host, options.allow_host)
    app = serving.app(options.model, limits=limits, key=key_of(options), hosts=names)
    try:
        listener = server.listening(options.host, options.port)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen on {options.host}:{options.port}: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
    said = f"serving {options.model} on {server.address_of(listener)} (Ctrl-C ends it)"
    server.serve(app, listener, ready=lambda: print(said, flush=True))
    print("stopped")
    return 0
