"""The files of `gradcheck` know each other in one direction, that of the package's docstring."""

import ast
import importlib
import re
from pathlib import Path

import pytest

PACKAGE = "backprop.gradcheck"
DOC = importlib.import_module(PACKAGE).__doc__
FOLDER = Path(importlib.import_module(PACKAGE).__file__).parent

# a line of names, each two spaces away from what is said of it; names on one line are equals
LINES = [re.split(", ", line) for line in re.findall(r"^    ([a-z][a-z, ]*?)  ", DOC, re.M)]
LEVELS = {name: level for level, names in enumerate(LINES) for name in names}


def imported_by(source):
    """The package's files that a source imports anywhere, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                yield name.removeprefix(f"{PACKAGE}.").partition(".")[0]


def higher(name, source):
    return [i for i in imported_by(source) if LEVELS[i] >= LEVELS[name]]


def test_every_file_has_its_line():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}

    assert set(LEVELS) == files


@pytest.mark.parametrize("name", LEVELS)
def test_a_file_imports_only_what_stands_above_it(name):
    assert higher(name, (FOLDER / f"{name}.py").read_text()) == []


def test_an_import_from_below_is_found():
    inside = "def f():\n    from backprop.gradcheck.engine import gradcheck"

    assert higher("kinks", inside) == ["engine"]
    assert higher("locate", "from backprop.gradcheck import pictures") == ["pictures"]
    assert higher("engine", "from backprop.gradcheck import slopes") == []
