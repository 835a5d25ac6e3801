"""The page that teaches how to write a layer: each of its one-line tests is run, law by law."""

import contextlib
import io
import re
import sys
import types
from pathlib import Path

import pytest

from backprop.testing import LAWS, LawBroken

PAGE = Path(__file__).resolve().parents[2] / "docs" / "write_a_layer.md"
TEXT = PAGE.read_text(encoding="utf-8")
TESTS = re.findall(r"^(test_\w+) = layer_laws\(", TEXT, re.M)
LAW_NAMES = [law.__name__ for law in LAWS["v4"]]


@pytest.fixture(scope="module")
def page():
    """The page's code as a module: classes have to be found in one to be pickled."""
    module = types.ModuleType("my_layers")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setitem(sys.modules, "my_layers", module)
        patch.setenv("BACKPROP_LAWS_PROFILE", "quick")
        for code in re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S):
            exec(compile(code, str(PAGE), "exec"), module.__dict__)
        yield module


def test_every_step_of_the_page_has_its_line():
    classes = re.findall(r"^class \w+\(", TEXT, re.M)

    slips = {"class Slip(", "class Exchanged(", "class Untold("} & set(classes)  # shown to go wrong
    assert len(TESTS) == len(classes) - len(slips) + 1  # the last one has a reference as well


@pytest.mark.parametrize("law", LAW_NAMES)
@pytest.mark.parametrize("name", [name for name in TESTS if name != "test_averaged"])
def test_a_layer_of_the_page_keeps_the_law(page, name, law):
    getattr(page, name)(law)


def test_the_mistake_of_the_page_is_found_and_printed_as_the_page_says(page):
    with pytest.raises(LawBroken) as caught:
        page.test_averaged("gradients_match_finite_differences")

    printed = str(caught.value)
    shown = re.search(r"^```text\n(Averaged.*?)\n```$", TEXT, re.M | re.S)[1]
    from_there = "The smallest case that was found:"
    assert shown.partition("\n")[0] == printed.partition("\n")[0]
    assert shown[shown.index(from_there) :] == printed[printed.index(from_there) :]
    looks_like = re.search(r"^looks like: .+$", shown, re.M)[0]
    assert looks_like in printed and "FAIL: backward says" in printed


def test_the_traps_name_laws_that_there_are():
    table = TEXT[TEXT.index("## The traps") :]
    cells = [line.strip("| ").split(" | ")[-1] for line in table.splitlines() if "| " in line][1:]
    named = [name for cell in cells for name in cell.split(", ")]

    assert len(named) >= 8
    assert [name for name in named if name not in LAW_NAMES] == []


def test_the_page_says_how_many_laws_there_are():
    numbers = re.findall(r"(\d+) tests", TEXT)

    assert numbers == [str(len(LAW_NAMES))]
