"""`backprop predict`: a saved model applied to new rows."""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from pathlib import Path
from typing import Any

from backprop.cli.keys import add_key, key_of
from backprop.cli.sources import load_inputs
from backprop.cli.usage import UsageError, exists
from backprop.serving import load
from backprop.tabular import Table, answers

WHAT = "apply a saved model to a CSV or NPZ file"


def add_options(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("model", help="what train saved")
    predict.add_argument("data", help="a .csv, .npz or .npy file; columns are found by their names")
    predict.add_argument(
        "--output", metavar="FILE", default="-", help="a .csv file (default: standard output)"
    )
    add_key(predict, "the key that the model must be signed with")


def run(options: argparse.Namespace) -> int:
    model, prepared = load(options.model, key_of(options))
    exists(options.data)
    check_answer_file(options)
    source = load_inputs(options.data, prepared, model.input_shape)
    if isinstance(source, Table) and prepared is not None and prepared.columns:
        source = prepared.arrange(source)
    x = source if prepared is None else prepared.encode(source)
    if isinstance(source, Table) and prepared is not None:
        for column in prepared.columns:
            for surprise in column.surprises(source):
                warnings.warn(surprise, stacklevel=1)
    write_csv(options.output, *answers(model.predict(x, verbose=0), prepared))
    return 0


def check_answer_file(options: argparse.Namespace) -> None:
    if options.output == "-":
        return
    output = Path(options.output)
    if output.resolve() in (Path(options.model).resolve(), Path(options.data).resolve()):
        raise UsageError(f"--output {options.output} would overwrite what is read")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {str(output.parent)!r} to write {output.name} to")


def write_csv(path: str, header: list[str], rows: list[list[Any]]) -> None:
    if path == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
        return
    instead = ", in place of the file that was there" if Path(path).exists() else ""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"predictions: {path} ({len(rows)} row{'' if len(rows) == 1 else 's'}{instead})")
