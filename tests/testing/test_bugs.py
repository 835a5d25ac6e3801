"""The bank of planted mistakes, and the proof that the checker and the laws find them."""

import ast
import functools
import inspect
import pickle
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import likely_laws
import numpy as np
import pytest

from backprop.layer import Layer
from backprop.testing import selftest
from backprop.testing.bugs import BANK, INPUTS, KINDS, VERDICTS, bugs, find
from backprop.testing.bugs.bank import slug
from backprop.testing.bugs.page import escaped, page
from backprop.testing.case import Case
from backprop.testing.plan import LAWS

ROOT = Path(__file__).resolve().parent.parent.parent
WRONG = bugs()
RIGHT = [bug for bug in BANK if not bug.to_be_found]
NAMES = [law.__name__ for law in LAWS["v4"]]


def each(some):
    return pytest.mark.parametrize("bug", some, ids=[bug.name for bug in some])


# ----------------------------------------------------------------------------------------- the bank


def test_the_bank_is_as_large_as_promised():
    assert len(WRONG) >= 90
    assert len({bug.layer for bug in WRONG}) >= 20
    assert len(RIGHT) >= 5
    assert {bug.kind for bug in WRONG} == set(KINDS)


def test_no_two_bugs_have_one_name():
    names = [bug.name for bug in BANK]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name) for name in names)


@functools.cache
def lines_of_classes(module):
    """How many lines each class of a file has, with its decorators; the file is parsed once."""
    classes = [n for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.ClassDef)]
    return {n.name: n.end_lineno + 1 - (n.decorator_list or [n])[0].lineno for n in classes}


@each(BANK)
def test_a_bug_says_what_is_known_about_it(bug):
    assert bug.kind in KINDS and bug.inputs in INPUTS and bug.verdict in VERDICTS
    assert bug.wrong.endswith(".") and 15 < len(bug.wrong) < 160
    assert issubclass(bug.broken, bug.layer) and issubclass(bug.layer, Layer)
    assert not bug.layer.__module__.startswith("backprop.testing")
    assert bug.is_loss == (bug.y_true is not None)
    assert set(bug.spared) <= set(NAMES)
    assert all(re.fullmatch(r"\S+ \d+", source) for source in bug.source.split(", ") if source)
    assert lines_of_classes(inspect.getmodule(bug.broken))[bug.broken.__name__] <= 40


@each(BANK)
def test_a_bug_can_be_pickled_and_made_afresh(bug):
    one, two = bug.make(), bug.make()

    assert one is not two and not one.built
    assert type(pickle.loads(pickle.dumps(one))) is type(one)
    assert type(bug.make_correct()) is (bug.layer if bug.inside is None else type(one))


def test_layers_that_a_bug_takes_are_not_shared():
    bug = find("parallel-swaps-its-branches")

    assert bug.make().branches[0] is not bug.make().branches[0]


def test_bugs_are_filtered():
    from backprop.layers import Dense

    assert {bug.kind for bug in bugs(kinds="VT")} == {"V", "T"}
    assert {bug.family for bug in bugs(family="pooling", verdict=None)} == {"pooling"}
    assert {bug.layer for bug in bugs(layer=Dense)} == {Dense}
    assert all(bug.verdict == "choice" for bug in bugs(verdict="choice"))
    assert len(bugs(verdict=None)) == len(BANK)


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'max-pool-pays-all-ties'"):
        find("max-pool-pays-all-tie")


def test_a_name_is_made_of_the_words_of_the_class():
    assert slug("DenseForgetsTheBias") == "dense-forgets-the-bias"
    assert slug("Relu6PassesWhatItClipped") == "relu6-passes-what-it-clipped"


def test_the_bank_loads_without_hypothesis_and_pytest():
    code = """
        import sys
        sys.modules["hypothesis"] = sys.modules["pytest"] = None
        from backprop.testing.bugs import BANK
        from backprop.testing.bugs.page import page
        assert len(BANK) > 90 and page()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)


def test_the_page_is_in_step_with_the_bank():
    written = (ROOT / "docs" / "bugs.md").read_text(encoding="utf-8")

    assert written == page(), "run: python -m backprop.testing.bugs > docs/bugs.md"


def test_the_page_has_a_row_for_every_bug():
    text = page()

    assert all(f"| {escaped(bug.name)} |" in text for bug in BANK)


# ------------------------------------------------------------------------------ what is no mistake


def pass_through(layer, bug):
    """y, dx and all gradients at the bug's fixed input, with values that are not special."""
    x = bug.x()
    case = Case(lambda: layer, x, y_true=None if bug.y_true is None else bug.y_true())
    return case.subject().results()


@each(bugs(verdict="equivalent"))
def test_what_is_equivalent_computes_the_same(bug):
    got, wanted = pass_through(bug.make(), bug), pass_through(bug.make_correct(), bug)

    for (name, a), b in zip(got.items(), wanted.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=name)


AT_A_KINK = {
    "relu-has-slope-one-at-zero": [[0.0, 1.0]],
    "leaky-relu-has-slope-zero-at-zero": [[0.0, 1.0]],
    "maximum-pays-the-first-of-a-tie": [[0.0, 1.0, 0.0]],
    "max-pool-lets-the-last-tie-win": np.ones((1, 2, 2, 1)),
}


@each(bugs(verdict="choice"))
def test_another_choice_at_a_kink_differs_there(bug):
    """So a layer's own tests can hold the documented one; the laws accept both."""
    x = np.array(AT_A_KINK[bug.name])

    def dx(layer):
        layer.build((None, *x.shape[1:]))
        y, cache = layer.forward(x)
        return layer.backward(np.ones_like(y), cache)

    assert not np.array_equal(dx(bug.make()), dx(bug.make_correct()))


@each(RIGHT)
def test_what_is_right_passes(bug):
    assert selftest.alone(bug) == "pass"
    assert selftest.broken_laws(bug, "quick") == ()


# ------------------------------------------------------------------------------ what is to be found


def test_what_is_known_of_mistakes_is_of_those_that_there_are():
    found_by = likely_laws.found_by()

    assert set(found_by) <= {bug.name for bug in WRONG}
    assert set(found_by.values()) <= set(NAMES)


@each(WRONG)
def test_a_mistake_is_found(bug):
    if selftest.alone(bug) in ("pass", "inconclusive"):
        laws = likely_laws.most_likely_first(bug)

        assert selftest.broken_laws(bug, laws=laws, first=True), f"survives: {bug.wrong}"


@each(BANK)
def test_the_fixed_input_is_no_trap(bug):
    """gradcheck passes the layer without the mistake there."""
    assert selftest.alone(bug, correct=True) == "pass"


@each([bug for bug in BANK if bug.spared])
def test_a_spared_law_is_broken_without_the_mistake_too(bug):
    results = selftest.tried(bug, list(bug.spared), correct=True).results

    kept = [result.law for result in results if result.outcome != "broken"]
    assert kept == [], f"{bug.layer.__name__} keeps {kept} now: spare {bug.name} no longer"


@pytest.mark.slow
@each(BANK)
def test_the_laws_decide_without_the_checkers_fixed_input(bug):
    assert bool(selftest.broken_laws(bug, "default")) == bug.to_be_found


@pytest.mark.slow
@each(WRONG)
def test_the_laws_pass_the_layer_without_the_mistake(bug):
    assert selftest.broken_laws(bug, "default", correct=True) == ()


# ------------------------------------------------------------------------------------- the selftest


def test_the_selftest_prints_who_finds_whom(capsys):
    names = ["dropout-drops-in-inference", "dropout-keeps-its-mask-by-shape"]
    status = selftest.main([*names, "--profile", "quick"])

    text = capsys.readouterr().out
    assert status == 0
    assert re.search(r"dropout-drops-in-inference +L .*inference_is_deterministic", text)
    assert "2 mistakes in 1 layers and losses: 2 caught by the laws" in text


def report_where_no_law_is_broken(capsys, monkeypatch):
    monkeypatch.setattr(selftest, "broken_laws", lambda *args, **options: ())
    assert selftest.main(["tanh-forgets-the-square"]) == 1
    return capsys.readouterr().out


def test_a_survivor_is_named_and_fails_the_selftest(capsys, monkeypatch):
    monkeypatch.setattr(selftest, "alone", lambda bug, correct=False: "inconclusive")
    text = report_where_no_law_is_broken(capsys, monkeypatch)

    assert "SURVIVES" in text and "not as it should be: tanh-forgets-the-square" in text


def test_a_mistake_that_only_the_checker_finds_has_escaped_the_laws(capsys, monkeypatch):
    text = report_where_no_law_is_broken(capsys, monkeypatch)

    assert "SURVIVES" in text and "0 caught by the laws, 1 by gradcheck alone" in text


def test_the_seed_decides_what_the_laws_draw(capsys, monkeypatch):
    seeds = []

    def broken_laws(*args, seed, **options):
        seeds.append(seed)
        return ("rows_are_independent",)

    monkeypatch.setattr(selftest, "broken_laws", broken_laws)

    selftest.main(["tanh-forgets-the-square", "--seed", "2"])

    assert seeds == [2]


def test_a_false_alarm_fails_the_selftest(capsys, monkeypatch):
    monkeypatch.setattr(selftest, "broken_laws", lambda *args, **options: ("rows_are_independent",))

    status = selftest.main(["tanh-factors-its-slope"])

    assert status == 1
    assert "FALSE ALARM" in capsys.readouterr().out


def test_the_selftest_can_examine_the_correct_layers(capsys):
    names = ["tanh-forgets-the-square", "squared-error-forgets-the-two"]

    status = selftest.main([*names, "--correct", "--profile", "quick"])

    assert status == 0
    assert "2 layers without their mistake, 0 false alarms" in capsys.readouterr().out


def test_the_selftest_keeps_warnings_to_itself():
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert selftest.broken_laws(
            find("softmax-does-not-subtract-the-maximum"),
            "quick",
            laws=["extreme_input_gives_finite_results"],
        )
