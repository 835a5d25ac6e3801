"""`backprop summary`: the layers of a saved model, and what it predicts from what."""

from __future__ import annotations

import argparse
import json

from backprop.cli.keys import add_key, key_of
from backprop.serving import load

WHAT = "show the layers of a saved model"


def add_options(summary: argparse.ArgumentParser) -> None:
    summary.add_argument("model")
    add_key(summary, "the key that it must be signed with")


def run(options: argparse.Namespace) -> int:
    model, prepared = load(options.model, key_of(options))
    model.summary()
    if prepared is not None:
        kind = f"classes {json.dumps(prepared.classes)}" if prepared.classes else "a quantity"
        print(f"predicts {prepared.target!r}: {kind}")
        if prepared.columns:
            print(f"from {', '.join(column.name for column in prepared.columns)}")
        for column in prepared.columns:
            for note in column.notes():
                print(f"note: {note}")
    return 0
