"""The laws of what is no layer find the mistakes that are planted in it, and say what they saw."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from backprop.metrics import MeanSquaredError, Metric
from backprop.optimizers import SGD
from backprop.regularizers import L2, Regularizer
from backprop.testing import (
    LawBroken,
    check_constraint,
    check_initializer,
    check_metric,
    check_optimizer,
    check_regularizer,
    metric_laws,
    regularizer_laws,
    selftest,
)
from backprop.testing.objects.bugs import MISTAKES
from backprop.testing.objects.functions import CONSTRAINT, REGULARIZER
from backprop.testing.objects.initializers import INITIALIZER
from backprop.testing.objects.metrics import METRIC
from backprop.testing.objects.optimizers import OPTIMIZER
from backprop.testing.objects.trial import COMMON

ROOT = Path(__file__).resolve().parents[2]
KINDS = [REGULARIZER, CONSTRAINT, INITIALIZER, METRIC, OPTIMIZER]
CHECKS = [check_regularizer, check_constraint, check_initializer, check_metric, check_optimizer]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_a_planted_mistake_is_found(mistake):
    assert selftest.laws_that_find(mistake)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_law_of_a_kind_finds_some_mistake(kind):
    mistakes = [mistake for mistake in MISTAKES if mistake.kind == kind.name]
    laws = [law.__name__ for law in kind.laws]

    found = [law for law in laws if any(selftest.laws_that_find(one, laws=law) for one in mistakes)]

    assert len(mistakes) >= 5
    assert set(laws) - set(found) <= {"float32_agrees"}


def test_mistakes_have_names_and_say_what_is_wrong():
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 50
    assert all(m.wrong.endswith(".") and 15 < len(m.wrong) < 160 for m in MISTAKES)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_law_is_stated_in_its_first_lines_and_on_the_page(kind):
    page = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    for law in kind.laws:
        statement, _, rest = (law.__doc__ or "").partition("\n\n")
        assert statement.strip().endswith(".")
        assert len(rest.split()) > 5, law.__name__
        assert f"`{law.__name__}`" in page, law.__name__
    assert all(f'`"{tag}"`' in page or f"`{tag}`" in page for tag in kind.tags)


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_all_checks_take_the_same_options(check):
    assert {*COMMON, "seed"} <= set(inspect.signature(check).parameters)


class Halves(Regularizer):
    def __call__(self, w):
        return float(np.sum(w**2))

    def gradient(self, w):
        return w.copy()


def test_a_report_counts_and_a_failure_says_how_to_see_it_again():
    report = check_regularizer(Halves)

    assert not report
    assert report.counts["held"] == 7 and report.counts["broken"] == 1
    (failure,) = report.failures
    assert failure.law == "gradient_is_the_slope_of_the_penalty"
    assert "missing a factor 2" in failure.reason
    assert re.search(
        r"check_regularizer\(\.\.\., laws=\['gradient_is_the_s\w+'\], seed=0\)", str(report)
    )


def test_a_failure_that_is_expected_has_to_fail():
    law = "gradient_is_the_slope_of_the_penalty"

    assert check_regularizer(Halves, expected_failures={law: "it is half"})
    assert not check_regularizer(L2, expected_failures={law: "it is not"})


def test_the_pytest_functions_raise_what_was_found():
    test = regularizer_laws(Halves)

    test("w_is_left_alone")
    with pytest.raises(LawBroken, match="differences say"):
        test("gradient_is_the_slope_of_the_penalty")
    with pytest.raises(pytest.skip.Exception, match="no reference"):
        test("agrees_with_the_reference")


def test_what_is_misspelt_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match="signed"):
        check_regularizer(L2, tags=["singed"])
    with pytest.raises(ValueError, match="w_is_left_alone"):
        check_regularizer(L2, laws=["w_is_left_alon"])
    with pytest.raises(ValueError, match="reference"):
        metric_laws(MeanSquaredError, refrence=None)
    with pytest.raises(TypeError, match="expected a regularizer"):
        check_regularizer("l2")


def test_a_metric_that_is_written_as_the_guide_says_keeps_the_laws():
    class Bias(Metric):
        def __post_init__(self):
            self.total, self.count = self.add_variable(), self.add_variable()

        def update_state(self, y_true, y_pred, sample_weight=None):
            d = np.subtract(y_pred, y_true, dtype=np.float64)
            self.total += d.sum()
            self.count += d.size

        def result(self):
            return self.cast(self.total / self.count) if self.count else 0.0

    ignored = dict.fromkeys(
        ("weight_0_leaves_a_row_out", "weights_of_1_change_nothing"), "it has no weights"
    )
    assert check_metric(Bias, expected_failures=ignored)


class Table(Metric):
    """The share of labels that are right, by a table whose size an argument decides."""

    classes: int = 3

    def __post_init__(self):
        self.table = self.add_variable((self.classes, self.classes))

    def update_state(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_true)) if sample_weight is None else sample_weight
        np.add.at(self.table, (y_true.astype(int), y_pred.astype(int)), w)

    def result(self):
        return np.array(self.table) / max(self.table.sum(), 1)


def test_an_argument_that_decides_the_size_of_an_array_need_not_count_later():
    def labels(rng, n):
        return rng.integers(0, 3, n), rng.integers(0, 3, n)

    assert check_metric(Table, labels)


class Fixed(Halves):
    """Its factor cannot be set once it is made."""

    def __init__(self, factor=1.0):
        self.__dict__["factor"] = factor

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be set")

    def __call__(self, w):
        return 0.5 * self.factor * super().__call__(w)

    def gradient(self, w):
        return w * w.dtype.type(self.factor)


def test_an_argument_may_refuse_to_be_set():
    assert check_regularizer(Fixed, laws=["an_argument_that_is_set_counts"]).counts["held"] == 1


def test_a_largest_number_that_is_not_merged_is_found_and_may_be_said():
    class Largest(Metric):
        def __post_init__(self):
            self.top = self.add_variable()

        def update_state(self, y_true, y_pred):
            self.top = max(float(self.top), float(np.max(np.abs(y_pred), initial=0)))

        def result(self):
            return self.cast(self.top)

    law = "merged_parts_are_the_whole"

    assert [failure.law for failure in check_metric(Largest).failures] == [law]
    assert check_metric(Largest, expected_failures={law: "it is used by one process"})


def test_the_same_seed_tries_the_same():
    one, two = (check_optimizer(SGD(0.1), seed=3, profile="quick") for _ in range(2))

    assert one.counts == two.counts
    assert one.counts["cases"] == 3 * one.counts["held"]
