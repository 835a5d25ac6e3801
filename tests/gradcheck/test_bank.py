"""The bank of planted mistakes against the gradient check alone, at each bug's fixed input."""

import pytest

from backprop.gradcheck import gradcheck
from backprop.testing.bugs import BANK


def verdict_of(bug):
    x = (bug.y_true(), bug.x()) if bug.is_loss else bug.x()
    try:
        return gradcheck(bug.make(), x).verdict
    except TypeError as error:  # what is no array, or no tuple of them, has no verdict
        assert "return" in str(error)
        return "fail"


def test_nine_in_ten_of_what_values_can_show_are_found():
    visible = [bug for bug in BANK if bug.to_be_found and bug.kind in "VT"]

    missed = [bug.name for bug in visible if verdict_of(bug) != "fail"]

    assert len(missed) <= 0.1 * len(visible), missed


@pytest.mark.parametrize("bug", [b for b in BANK if not b.to_be_found], ids=lambda b: b.name)
def test_what_is_no_mistake_does_not_fail(bug):
    assert verdict_of(bug) != "fail"
