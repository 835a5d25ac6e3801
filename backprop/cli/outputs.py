"""The files that `train` writes: a model, and a picture of its learning curve."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path

from backprop import archive
from backprop.cli.usage import UsageError

PICTURES = (".png", ".svg", ".pdf")


def output_paths(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where to write, checked before an hour is spent on training.

    A model may take the place of a model, and a learning curve that of a learning curve; other
    files are never overwritten.
    """
    from backprop.diagnostics import is_ours

    name = "digits" if options.data is None else Path(options.data).name.split(".")[0] or "model"
    output = archive.npz_path(options.output or f"{name}.npz")
    if (
        not options.output
        and options.data is not None
        and output.resolve() == Path(options.data).resolve()
    ):
        output = output.with_name(f"{name}_model.npz")
    picture = Path(options.picture) if options.picture else output.with_suffix(".png")
    if not options.picture and picture.exists() and not is_ours(picture):
        picture = picture.with_name(f"{picture.stem}_curve.png")
    if picture.suffix not in PICTURES:
        raise UsageError(
            f"--picture expects a name that ends in {', '.join(PICTURES)}, got {str(picture)!r}"
        )
    for path in (output, picture):
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {str(path.parent)!r} to write {path.name} to")
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder, and a file is to be written")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"the folder {str(path.parent)!r} cannot be written to")
    if output.exists() and not archive.is_ours(output):
        raise UsageError(
            f"{str(output)!r} exists and is no model of backprop: choose another name with --output"
        )
    if picture.exists() and not is_ours(picture):
        raise UsageError(
            f"{str(picture)!r} exists and is no learning curve of backprop: choose another name "
            "with --picture"
        )
    return output, picture


def replaced(*paths: Path) -> list[str]:
    """What will be overwritten, a line each."""
    return [
        f"{path} of {datetime.fromtimestamp(path.stat().st_mtime):%Y-%m-%d %H:%M} will be replaced"
        for path in paths
        if path.exists()
    ]


def draw(history: dict[str, list[float]], path: Path, title: str) -> None:
    from backprop.diagnostics import learning_curve

    try:
        learning_curve(history, path, title)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"learning curve: {path}")
