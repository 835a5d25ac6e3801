"""Every promise of `docs/promises.md` names tests, and they are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [
    line.strip("|").split("|")
    for line in (ROOT / "docs/promises.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(path):
    """The functions of a file that pytest runs without being told more."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in found if not any("slow" in ast.unparse(d) for d in f.decorator_list)}


@pytest.mark.parametrize(("promise", "tests"), ROWS, ids=[row[0].strip()[:60] for row in ROWS])
def test_the_tests_of_a_promise_are_there(promise, tests):
    named = NAMED.findall(tests)

    assert named, "a promise without a test"
    assert NAMED.sub("", tests).strip(" ,") == ""
    for path, name in named:
        assert name.startswith("test_") and name in functions_of(path), f"{path} has no {name}"


def test_there_are_promises():
    assert len(ROWS) > 30


def test_the_pages_of_the_documentation_know_them():
    assert "\npromises\n" in (ROOT / "docs/index.md").read_text("utf-8")
    assert "docs/promises.md" in (ROOT / "SECURITY.md").read_text("utf-8")
