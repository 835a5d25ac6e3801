"""Layers of several inputs and outputs, and those that add to the loss."""

import numpy as np
import pytest
from several_layers import Bilinear, Chosen, Divergence

import backprop as bp
from backprop import cli, layers
from backprop.gradcheck import gradcheck

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((5, 4)), RNG.standard_normal((5, 3))
FLAGS = RNG.random((5, 4)) < 0.5


def names(report):
    return [e.name for e in report.entries if not e.name.startswith("all, ")]


@pytest.mark.parametrize("x", [(A, B), [A, B], (A.astype(np.float32), B), (A.tolist(), B)])
def test_each_input_has_an_entry_by_its_name(x):
    report = gradcheck(Bilinear(2), x, full=True, complex_step=True)

    assert report, report
    assert names(report) == ["bilinear/kernel", "bilinear/bias", "a", "b"]


def test_inputs_without_names_are_numbered():
    class Any(Bilinear):
        call_inputs = ("inputs",)
        several_inputs = True

    assert names(gradcheck(Any(2), (A, B)))[-2:] == ["input 0", "input 1"]


def test_an_input_of_a_graph_has_the_name_that_it_was_given():
    a, b = bp.Input((4,), name="left"), bp.Input((3,), name="right")
    y = layers.Dense(2)(b)
    outputs = [layers.Dense(3, "tanh")(a), y, y]

    for model in (bp.Model([a, b], outputs), bp.Model({"left": a, "right": b}, outputs)):
        report = gradcheck(model, {"right": B, "left": A})

        assert report, report
        assert names(report)[-2:] == ["left", "right"]
    assert gradcheck(bp.Model([a, b], outputs), [A, B])


def two_headed():
    a, b = bp.Input((4,), name="a"), bp.Input((3,), name="b")
    h = layers.Concatenate()([layers.Dense(3, "tanh")(a), b])
    heads = [layers.Dense(2, "softmax", name="p")(h), layers.Dense(1, name="q")(h)]
    return bp.Model([a, b], heads)


@pytest.mark.parametrize(
    "y", [[np.eye(2)[[0, 1, 1, 0, 1]], A[:, :1]], {"q": A[:, :1], "p": np.eye(2)[[0, 1, 1, 0, 1]]}]
)
def test_a_model_of_several_losses_is_certified_with_all_of_them(y):
    model = two_headed()
    model.compile(loss=["categorical_crossentropy", "mse"], loss_weights=[1.0, 0.5])

    report = gradcheck(model, [A, B], y)

    assert report, report
    assert report.entries[0].numeric != gradcheck(model, [A, B]).entries[0].numeric


def test_an_output_without_a_loss_moves_nothing():
    model = two_headed()
    model.compile(loss={"q": "mse"})

    report = gradcheck(model, [A, B], {"q": A[:, :1]})

    assert report, report
    assert report["p/kernel"].analytic == 0 and report["q/kernel"].analytic != 0


def test_numbers_of_a_graph_that_stand_for_a_mask_stand_still():
    x, other = bp.Input((3, 2), name="x"), bp.Input((4,), name="other")
    h = layers.LSTM(4)(layers.Masking()(x))
    sequence = RNG.standard_normal((5, 3, 2))
    sequence[0, 2] = 0

    report = gradcheck(bp.Model([x, other], layers.Add()([h, other])), [sequence, A])

    assert report, report
    assert "x: 2 of 30 numbers, which stand for a mask" in report.skipped


@pytest.mark.parametrize(
    "x, skipped",
    [
        ((A, A[::-1], FLAGS), "chosen: flags have no gradient"),
        ((A, A[::-1], FLAGS.astype(int)), "chosen: integers have no gradient"),
        ((A, None, FLAGS), "chosen: flags have no gradient"),
        ((A, A[::-1]), None),
        ((A,), None),
    ],
)
def test_what_has_no_slope_and_what_is_not_given_is_left_out(x, skipped):
    report = gradcheck(Chosen(), x)

    assert report, report
    assert "chosen" not in names(report)
    assert ("b" in names(report)) == (len(x) > 1 and x[1] is not None)
    assert skipped is None or skipped in report.skipped


def swapped(da, db):
    return db, da


def forgotten(da, db):
    return da, None


def a_factor(da, db):
    return da, 2 * db


@pytest.mark.parametrize(
    "spoil, failed, looks",
    [
        (swapped, ["a", "b"], "a: it is the gradient of b"),
        (forgotten, ["b"], "b: backward leaves it 0"),
        (a_factor, ["b"], "b: a factor 2 too many"),
    ],
)
def test_a_wrong_gradient_is_told_by_the_name_of_its_input(spoil, failed, looks):
    class Wrong(Bilinear):
        def backward(self, dy, x):
            return spoil(*super().backward(dy, x))

    report = gradcheck(Wrong(2), (A, A[::-1]))

    assert [e.name for e in report.failed] == failed
    assert report.diagnosis.startswith(looks)
    found = report.locate(failed[-1])
    assert found.name == failed[-1] and found[0].index == (0, 0)


@pytest.mark.parametrize("returned", [list, lambda dx: dx[:1], lambda dx: dx[0]])
def test_what_is_no_tuple_of_all_dx_is_an_error(returned):
    class Wrong(Bilinear):
        def backward(self, dy, x):
            return returned(super().backward(dy, x))

    with pytest.raises(TypeError, match="a tuple with dx, or None, for each of its 2 inputs"):
        gradcheck(Wrong(2), (A, B))


def test_an_output_whose_gradient_is_ignored_is_seen():
    class Wrong(Chosen):
        def backward(self, dy, cache):
            return super().backward((dy[0], 0 * dy[1]), cache)

    assert [e.name for e in gradcheck(Wrong(), (A, B[:, :1] + A, FLAGS)).failed] == ["a"]


def test_at_a_kink_the_output_is_named():
    class Wrong(Chosen):
        def backward(self, dy, cache):
            (a, *rest), total = cache, dy[1][:, None]
            return (super().backward(dy, cache)[0] - 3 * total * (a == 0), *rest)[:1]

    (entry,) = gradcheck(Wrong(), (A,)).failed

    assert "a: at a kink backward says" in entry.reason and "for output 1 (" in entry.reason


def test_masks_are_a_tuple_of_one_for_each_input():
    class Summed(layers.Layer):
        call_inputs = ("a", "b")

        def compute_output_shape(self, input_shape):
            return input_shape[0]

        def forward(self, x, ctx):
            a, b = x
            return a + (b if ctx.mask[1] is None else b * ctx.mask[1][:, :, None]), ctx.mask

        def backward(self, dy, mask):
            return dy, dy if mask[1] is None else dy * mask[1][:, :, None]

    x = RNG.standard_normal((2, 3, 4, 5))
    flags = [[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert gradcheck(Summed(), tuple(x), mask=(None, flags))
    assert gradcheck(Summed(), tuple(x), mask=(flags,))
    for mask in (flags[0], np.array(flags), (None, None, flags)):
        with pytest.raises((TypeError, ValueError), match="mask"):
            gradcheck(Summed(), tuple(x), mask=mask)


def test_the_command_takes_an_input_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["check", "several_layers:Bilinear", "--config", "units=3"]

    assert cli.main([*given, "--input", "5,4", "--input", "5,3"]) == 0
    assert cli.main([*given, "--input", "5,4"]) == 2
    assert "\na " in capsys.readouterr().out


# ------------------------------------------------------------------------ additions to the loss


def test_what_a_layer_adds_to_the_loss_is_certified():
    for training in (True, False):
        report = gradcheck(Divergence(), (A, A[::-1] / 2), training=training)

        assert report, report


@pytest.mark.parametrize("wrong", [0, 1], ids=["mean", "log_var"])
@pytest.mark.parametrize("factor", [0.0, 2.0, -1.0])
def test_a_wrong_gradient_of_what_is_added_is_seen(wrong, factor):
    class Wrong(Divergence):
        def backward(self, dy, x):
            right, zero = super().backward(dy, x), super().backward(0 * dy, x)
            return tuple([right[k] + (factor - 1) * zero[k] * (k == wrong) for k in range(2)])

    report = gradcheck(Wrong(), (A, A[::-1] / 2))

    assert [e.name for e in report.failed] == [("mean", "log_var")[wrong]]
