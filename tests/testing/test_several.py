"""The laws of layers of several inputs and outputs, and of those that add to the loss."""

import numpy as np
import pytest
from hypothesis import find, given
from several_layers import Bilinear, Chosen, Divergence

from backprop.layer import INFERENCE, Layer
from backprop.layers import GlobalAveragePooling1D, MultiHeadAttention
from backprop.testing import (
    LawBroken,
    arrays,
    axes,
    check_law,
    check_layer,
    layer_laws,
    numbers,
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


class Uneven(Layer):
    """y = a b, and the loss grows by the mean of a² over rows: the order counts in it alone."""

    call_inputs = ("a", "b")
    penalises = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        if ctx.penalties is not None:
            ctx.penalties.append((a * a).sum() / max(len(a), 1))
        return a * b, x

    def backward(self, dy, x):
        a, b = x
        return dy * b + 2 * a / max(len(a), 1), dy * a


def test_the_order_of_inputs_may_count_in_the_loss_alone():
    laws = ["the_order_of_inputs_counts", "gradients_match_finite_differences"]
    report = check_layer(Uneven, (SAME, SAME), laws=laws)

    assert report, report


def test_what_is_added_unasked_is_told_apart_from_a_wrong_gradient():
    class OnlyAsked(Uneven):
        def forward(self, x, ctx=INFERENCE):
            return super().forward(x, ctx)[0], (x, ctx.penalties is not None)

        def backward(self, dy, cache):
            (a, b), asked = cache
            da, db = super().backward(dy, (a, b))
            return (da if asked else dy * b), db

    report = check_layer(OnlyAsked, (SAME, SAME), laws=["an_addition_to_the_loss_is_asked_for"])

    assert not report
    assert "whether or not that was asked for" in " ".join(str(report).split())


def test_rows_of_padding_alone_and_queries_without_a_key_are_let_off():
    mask = np.array([[False, False], [True, False]])
    x = numbers((2, 2, 3))

    check_law("what_weighs_nothing_does_not_count", GlobalAveragePooling1D(), x, mask=mask)
    check_law(
        "what_weighs_nothing_does_not_count",
        MultiHeadAttention(1, 2),
        (x, x.copy()),
        mask=(None, mask),
    )
