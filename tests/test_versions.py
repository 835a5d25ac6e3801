"""`bp.show_versions()`: what a report of a problem needs."""

import platform
import re

import numpy as np
import pytest

import backprop as bp
from backprop import versions
from backprop.kernels.switch import SWITCH, VARIABLE


@pytest.fixture(autouse=True)
def as_if_new(monkeypatch):
    """A switch that nobody asked yet, and that afterwards is as it was."""
    before = SWITCH.asked
    monkeypatch.delenv(VARIABLE, raising=False)
    SWITCH.use(None)
    yield
    SWITCH.use(before)


def without_numba(monkeypatch):
    find = versions.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "numba" else find(name, *a)
    )


def test_the_versions_are_printed_a_line_each(capsys):
    bp.show_versions()

    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["backprop"] == bp.__version__
    assert lines["Python"] == platform.python_version()
    assert lines["numpy"] == np.__version__
    assert re.search(r"\w+ kernel, \d+ threads?, .*", lines["BLAS"])
    assert int(lines["threads"]) >= 1


def test_an_extra_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(versions, "DISTRIBUTIONS", ("numpy", "a-package-that-nobody-has"))

    assert versions.versions()["a-package-that-nobody-has"] == "not installed"


def test_what_numba_compiled_is_counted():
    pytest.importorskip("numba", reason="compiles the kernels")

    found = versions.versions()

    assert found["kernels"] == "numba: Numba is installed"
    assert re.search(r"\d+ forms of loops, \d+\.\d MB", found["compiled"])


def test_without_numba_it_says_how_to_get_it(monkeypatch):
    without_numba(monkeypatch)

    found = versions.versions()

    assert found["kernels"] == 'numpy: Numba is not installed: pip install "backprop[fast]"'
    assert "compiled" not in found


def test_who_chose_the_kernels_is_told(monkeypatch):
    monkeypatch.setenv(VARIABLE, "numpy")
    assert versions.kernels() == "numpy: by BACKPROP_KERNELS=numpy"

    bp.config.set_kernels("numpy")
    assert versions.kernels() == "numpy: by set_kernels('numpy')"


def test_numba_that_is_asked_for_and_missing_is_no_error_of_the_report(monkeypatch):
    without_numba(monkeypatch)
    monkeypatch.setenv(VARIABLE, "numba")

    assert versions.kernels().startswith("none: by BACKPROP_KERNELS=numba: ImportError: ")


def test_a_word_that_is_no_choice_is_told_as_it_stands(monkeypatch):
    monkeypatch.setenv(VARIABLE, "fast")

    assert versions.kernels().startswith("none: by BACKPROP_KERNELS=fast: ValueError: ")


def test_why_numba_does_not_work_is_told():
    with pytest.warns(RuntimeWarning, match="Numba cannot compile"):
        SWITCH.give_up(OSError("no compiler"))

    assert versions.kernels() == "numpy: Numba does not work here: OSError: no compiler"

    bp.config.set_kernels("numpy")  # whoever chooses anew is not told of it any more
    assert versions.kernels() == "numpy: by set_kernels('numpy')"


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (["SSE42", "AVX2", "AVX512_SKX"], "AVX-512"),
        (["X86_V3", "X86_V4"], "AVX-512"),
        (["SSE42", "AVX2"], "AVX2"),
        (["NEON", "ASIMD"], "ASIMD"),
        ([], "no instructions for several numbers at once"),
    ],
)
def test_the_class_of_the_processor_is_the_newest_that_it_has(monkeypatch, found, name):
    extensions = {"SIMD Extensions": {"baseline": found[:1], "found": found[1:]}}
    monkeypatch.setattr(np, "show_config", lambda mode: extensions)

    assert versions.instructions() == name
