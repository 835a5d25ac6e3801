"""What `backprop/tuning.py` says of its numbers is so."""

import re
from pathlib import Path

import pytest

from backprop import tuning

ROOT = Path(__file__).resolve().parent.parent
TEXT = Path(tuning.__file__).read_text()
NAMES = [name for name in vars(tuning) if name.isupper()]


def test_the_scripts_that_it_names_are_there():
    named = set(re.findall(r"\w+\.py", TEXT))

    assert "convolution.py" in named
    assert {n for n in named if not (ROOT / "benchmarks" / n).exists()} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_number_is_used_in_one_file_or_more(name):
    used = re.compile(rf"\b{name}\b")

    assert [p for p in (ROOT / "backprop").rglob("*.py") if used.search(p.read_text())][1:]


@pytest.mark.parametrize("name", NAMES)
def test_a_number_stands_under_its_unit(name):
    comment = re.search(rf"((?:# .*\n)+){name} = ", TEXT)

    assert comment, f"{name} has no comment"
    assert re.match(
        r"# (numbers|products|rows|steps|channels|pixels|bytes|tiles|images|times|of them)",
        comment[1],
    )
