"""The files that `train` writes: a model, a picture of its learning curve, a page about the run."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path

from backprop import archive
from backprop.cli.usage import UsageError

PICTURES, PAGES = (".png", ".svg", ".pdf"), (".html", ".htm")


def output_paths(options: argparse.Namespace) -> tuple[Path, Path, Path | None]:
    """Where to write model, picture and page, checked before an hour is spent on training.

    A model may take the place of a model, a learning curve that of a learning curve, and a report
    that of a report; other files are never overwritten. There is no page where none is wanted.
    """
    from backprop.callbacks import html_report
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
    page = report_path(options.report, output)
    if page is not None and page.suffix not in PAGES:
        raise UsageError(
            f"--report expects a name that ends in {', '.join(PAGES)}, or none, got {str(page)!r}"
        )
    if picture.suffix not in PICTURES:
        raise UsageError(
            f"--picture expects a name that ends in {', '.join(PICTURES)}, got {str(picture)!r}"
        )
    for path in filter(None, (output, picture, page)):
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
    if page is not None and page.exists() and not html_report.is_ours(page):
        raise UsageError(
            f"{str(page)!r} exists and is no report of backprop: choose another name with --report"
        )
    return output, picture, page


def report_path(given: str | None, output: Path) -> Path | None:
    """The page that is asked for, or the model's name with .html, or another one where somebody
    else's page is there."""
    from backprop.callbacks import html_report

    if given is not None:
        return None if given == "none" else Path(given)
    page = output.with_suffix(".html")
    if page.exists() and not html_report.is_ours(page):
        page = page.with_name(f"{page.stem}_report.html")
    return page


def replaced(*paths: Path | None) -> list[str]:
    """What will be overwritten, a line each."""
    return [
        f"{path} of {datetime.fromtimestamp(path.stat().st_mtime):%Y-%m-%d %H:%M} will be replaced"
        for path in paths
        if path is not None and path.exists()
    ]


def draw(history: dict[str, list[float]], path: Path, title: str) -> None:
    from backprop.diagnostics import learning_curve

    try:
        learning_curve(history, path, title)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"learning curve: {path}")
