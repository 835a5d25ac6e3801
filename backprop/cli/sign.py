"""`backprop sign`: a signature at the end of a model file."""

from __future__ import annotations

import argparse

from backprop import saving
from backprop.cli.keys import add_key, key_of
from backprop.cli.usage import exists

WHAT = "sign a saved model"


def add_options(sign: argparse.ArgumentParser) -> None:
    sign.add_argument("model", help="an .npz, .keras or .h5 file, which is replaced")
    add_key(sign, "the key to sign with", required=True)


def run(options: argparse.Namespace) -> int:
    exists(options.model)
    saving.sign(options.model, key_of(options))  # type: ignore[arg-type] - the option is required
    print(f"{options.model} is signed")
    return 0
