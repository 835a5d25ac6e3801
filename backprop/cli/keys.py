"""`--key`: where the key lies that signs a model file, or with which it must be signed."""

from __future__ import annotations

import argparse

from backprop.cli.usage import UsageError
from backprop.saving import SigningKey

ENVIRONMENT = "env:"


def add_key(parser: argparse.ArgumentParser, what: str, required: bool = False) -> None:
    """Add the option; `what` begins its help."""
    parser.add_argument(
        "--key", metavar="WHERE", required=required, help=f"{what}: a file, or env:NAME"
    )


def key_of(options: argparse.Namespace) -> SigningKey | None:
    """The key that the option names; what was given is not repeated, as it may be the key."""
    where = options.key
    if where is None:
        return None
    try:
        if where.startswith(ENVIRONMENT):
            return SigningKey.from_environment(where.removeprefix(ENVIRONMENT))
        return SigningKey.from_file(where)
    except OSError as error:
        raise UsageError(
            f"--key expects the name of a file with the key, or env:NAME for a variable of the "
            f"environment: {error.strerror}"
        ) from None
    except ValueError as error:
        raise UsageError(f"--key: {error}") from None
