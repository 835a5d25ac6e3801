"""`backprop verify`: whether a model file was signed with a key, and is as it was."""

from __future__ import annotations

import argparse
import sys

from backprop import saving
from backprop.cli.keys import add_key, key_of
from backprop.cli.usage import exists

WHAT = "tell whether a saved model is signed with a key"


def add_options(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("model", help="an .npz, .keras or .h5 file")
    add_key(verify, "the key that it must be signed with", required=True)


def run(options: argparse.Namespace) -> int:
    exists(options.model)
    key = key_of(options)
    try:
        saving.verify(options.model, key)  # type: ignore[arg-type] - the option is required
    except saving.ModelFileError as error:
        print(f"backprop: {error}", file=sys.stderr)
        return 1
    print(f"{options.model} is signed with this key, and as it was signed")
    return 0
