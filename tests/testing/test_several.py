"""The laws of layers of several inputs and outputs, and of those that add to the loss."""

import numpy as np
import pytest
from hypothesis import find, given
from several_layers import Bilinear, Chosen, Divergence

from backprop.testing import (
    LawBroken,
    arrays,
    axes,
    check_law,
    check_layer,
    layer_laws,
    sequences,
    shapes,
    together,
    tokens,
)


def bilinear(a, b, kernel, bias):
    y = np.zeros((len(a), len(kernel)))
    for r, u, i, j in np.ndindex(*y.shape, a.shape[1], b.shape[1]):
        y[r, u] += a[r, i] * kernel[u, i, j] * b[r, j]
    return y + bias


SAME = axes("batch", "n")
FLAGS = arrays(SAME).map(lambda a: a > 0)
OVERFLOWS = {"extreme_input_gives_finite_results": "exp(10,000) is infinite"}

test_bilinear = layer_laws(
    Bilinear,
    inputs=(shapes(1, 1), shapes(1, 1)),
    configs={"units": [1, 3]},
    reference=bilinear,
    tags=["per_sample"],
)
test_chosen = layer_laws(Chosen, inputs=(SAME, SAME, FLAGS), tags=["piecewise"])
test_chosen_from_one = layer_laws(Chosen, inputs=(SAME, None, FLAGS), tags=["piecewise"])
test_divergence = layer_laws(Divergence, inputs=(SAME, SAME), expected_failures=OVERFLOWS)


# ---------------------------------------------------------------------------------- what is drawn


@given(together(shapes(1, 1), sequences(masked=True), tokens(5), None, np.zeros((7, 2))))
def test_inputs_that_are_drawn_together_have_as_many_rows(drawn):
    a, sequence, t, none, b = drawn
    x, mask = sequence if isinstance(sequence, tuple) else (sequence, None)

    assert none is None
    assert len(x) == len(t) == len(b) == a[0]
    assert mask is None or len(mask) == a[0]


@given(
    together(axes("batch", "t", ..., 3), arrays(axes("batch", ..., "n")), axes("rows", "n", "t"))
)
def test_axes_of_one_name_are_equally_long(drawn):
    (n, t, *more, three), b, (rows, last, again) = drawn

    assert three == 3 and (n, *more, last) == b.shape and (rows, t) == (n, again)


def test_axes_are_of_the_lengths_that_were_asked_for():
    assert find(axes("batch", "n", min_side=3, batch=2), lambda shape: True) == (2, 3)
    assert find(axes("batch", "n", max_side=9), lambda shape: shape[1] > 8) == (1, 9)


def test_inputs_may_come_in_different_numbers():
    two, three = together(SAME, SAME), together(SAME, SAME, FLAGS)
    report = check_layer(Chosen, two | three, tags=["piecewise"], profile="quick")

    assert report, report


def test_a_layer_of_several_inputs_says_what_to_draw():
    with pytest.raises(TypeError, match=r"takes several inputs.*inputs=\(shapes"):
        check_layer(Divergence)


def test_a_failure_names_the_input_and_can_be_pasted():
    class Wrong(Divergence):
        def backward(self, dy, x):
            dmean, dlog_var = super().backward(dy, x)
            return dmean, 0 * dlog_var

    with pytest.raises(LawBroken) as error:
        check_law("gradients_match_finite_differences", Wrong(), (np.ones((2, 3)),) * 2)
    said = str(error.value)
    assert "looks like: log_var: backward leaves it 0" in said
    assert "x[1]           float64 (2, 3)" in said
    assert "x = (np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]), np.array(" in said
