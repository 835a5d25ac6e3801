"""The page to try a model: a form made of its columns, without anything from elsewhere."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from html import escape
from pathlib import Path

from backprop.serving.answering import Served
from backprop.serving.columns import TableReader, expected, usual
from backprop.tabular import Column, Numbers, Texts

FILES = Path(__file__).parent / "files"
MOST_CHOICES = 100  # levels of a column that are listed


def page_of(served: Served) -> tuple[str, str]:
    """The page, and the policy of its contents: its own style and script, and nothing else."""
    style, script = (
        (FILES / name).read_text(encoding="utf-8").strip() for name in ("style.css", "script.js")
    )
    reader, prepared = served.reader, served.prepared
    name = str(served.model.name)
    what = "Predictions"
    if prepared is not None:
        what = f"Predicts {prepared.target}"
        if prepared.classes is not None:
            what += f", one of {len(prepared.classes)} classes"
    by_columns = isinstance(reader, TableReader)
    fields = [field(i, column) for i, column in enumerate(reader.columns)] if by_columns else []
    example = json.dumps(reader.example())
    parts = {
        "title": escape(name),
        "what": escape(what),
        "fields": "\n".join(fields),
        "form": "" if by_columns else " hidden",
        "kind": "text/csv" if by_columns else "application/json",
        "about": "CSV, with a first row of names" if by_columns else "JSON",
        "body": escape(csv_example(reader) if by_columns else example),
        "style": style,
        "script": script,
    }
    html = (FILES / "page.html").read_text(encoding="utf-8")
    pieces = html.split("@@")  # text, name, text, name, ..., so that no part is searched for names
    filled = "".join(parts[p] if i % 2 else p for i, p in enumerate(pieces))
    policy = (
        f"default-src 'none'; style-src {hash_of(style)}; script-src {hash_of(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return filled, policy


def hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def field(i: int, column: Column) -> str:
    """A label and what is filled in; the script sends what has a name, under it."""
    name = escape(column.name)
    attributes = f'id="f{i}" data-column="{name}" aria-describedby="h{i}"'
    value = escape(usual_cell(column))
    if isinstance(column, Texts) and len(column.levels) <= MOST_CHOICES:
        options = "".join(
            f'<option value="{escape(level)}">{escape(level) or "(empty)"}</option>'
            for level in column.levels
        )
        control = f"<select {attributes}>{options}</select>"
    else:
        control = f'<input {attributes} value="{value}" autocomplete="off" spellcheck="false">'
    plain = isinstance(column, Texts) or (isinstance(column, Numbers) and not str(column.reader))
    hint = "" if plain else escape(expected(column))
    return (
        f'<div class="field"><label for="f{i}">{name}</label>{control}'
        f'<small id="h{i}">{hint}</small></div>'
    )


def usual_cell(column: Column) -> str:
    return column.reader.write(usual(column)) if isinstance(column, Numbers) else usual(column)


def csv_example(reader: TableReader) -> str:
    text = io.StringIO()
    rows = [reader.names, map(usual_cell, reader.columns)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
