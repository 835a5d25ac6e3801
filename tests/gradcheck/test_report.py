"""A closer look: locating, diagnosing, options of the check, and how a report is shown."""

import json
import pickle
import re
from functools import partial

import numpy as np
import pytest
from gradcheck.unusual_cases import Function, along
from inputs import normal
from small_layers import Scale

import backprop as bp
from backprop import losses
from backprop.gradcheck import gradcheck
from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.measured import measured
from backprop.gradcheck.noise import deviation
from backprop.layer import INFERENCE, Layer
from backprop.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    MultiHeadAttention,
    ReLU,
)
from backprop.testing.bugs import find


class WrongEntries(Dense):
    """Some entries of the kernel's gradient are off by a thousandth."""

    entries = ((7, 5),)

    def _set_gradients(self, x, dz):
        super()._set_gradients(x, dz)
        for entry in self.entries:
            self.dkernel[entry] += 1e-3


# ------------------------------------------------------------------------------- the budget


def test_a_large_dense_layer_takes_ten_forward_passes():
    report = gradcheck(Dense(512), normal(8, 784))

    assert report, report
    assert report.evaluations <= 10
    assert 0 < report["kernel"].floor < 1e-6 * np.abs(report["kernel"].analytic)
    assert f"{report['kernel'].floor:.2e}" in str(report)


@pytest.mark.parametrize("make", [lambda n: Dense(n, "tanh"), lambda n: GRU(n)])
def test_the_passes_do_not_grow_with_the_parameters(make):
    shape = (3, 5) if isinstance(make(1), Dense) else (3, 4, 5)

    few, many = (gradcheck(make(n), normal(*shape)).evaluations for n in (2, 64))

    assert many <= few + 12


def test_a_direction_of_many_numbers_starts_with_a_short_step():
    report = gradcheck(Dense(100, "tanh"), normal(2, 3000))

    assert report, report
    assert report["kernel"].evaluations <= 13  # 9, and one more step where BLAS rounds otherwise


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_rounding_is_not_measured_where_every_slope_agrees_at_once(n):
    report = gradcheck(Dense(n, "tanh"), normal(2, 300))

    assert report, report
    assert report.shared == 1
    assert report.evaluations <= 40
    assert report.reversals == 3  # in float64, in float32, at lattice points


def test_rounding_is_that_of_the_point_and_not_of_the_lattice():
    loss = losses.MeanSquaredLogarithmicError()
    y_true, y_pred = 0.5 + np.abs(normal(2, 6, 4))

    check = gradcheck(loss, (y_true, y_pred)).check
    lattice = check.here.probe.with_targets(np.round(y_true))
    there = measured(lattice, lattice.run(check.here.point), check.here.v, check.here.rng)
    other = Comparison(there, check.rounding)
    other.along(there.alone(0, np.ones(y_pred.shape)))
    other.rounding.measure()

    assert check.rounding.measured
    assert check.rounding.sigma < 1e-14 * check.here.terms


def test_a_gradient_of_three_digits_fails_in_float32_for_any_seed():
    failed = [gradcheck(HalfInSingle(), normal(4, 5), seed=s).verdict == "fail" for s in range(20)]

    assert sum(failed) >= 18


# ------------------------------------------------------------------------------- a closer look


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_a_single_wrong_entry_of_3072_is_located_in_under_100_passes(activation):
    report = gradcheck(WrongEntries(48, activation), normal(4, 64))

    found = report.locate()

    assert [e.index for e in found] == [(7, 5)]
    assert found.complete and found.evaluations < 100
    assert found[0].analytic - found[0].numeric == pytest.approx(1e-3, rel=1e-3)


def test_several_wrong_entries_are_located():
    class Four(WrongEntries):
        entries = ((7, 5), (8, 5), (0, 0), (63, 47))

    found = gradcheck(Four(48), normal(4, 64)).locate("kernel")

    assert sorted(e.index for e in found) == sorted(Four.entries)


def test_a_located_gradient_that_is_all_wrong_stops_at_its_limit():
    report = gradcheck(find("dense-kernel-gradient-has-the-opposite-sign").make(), normal(5, 4))

    found = report.locate(limit=3)

    assert len(found) == 3 and not found.complete
    assert "and there are more" in str(found)


@pytest.mark.parametrize(
    "name, words",
    {
        "dense-kernel-gradient-is-transposed": "transposed: axes 0 and 1 are swapped",
        "dense-kernel-gradient-has-the-opposite-sign": "the sign is wrong",
        "dense-bias-gradient-is-averaged": "as if 1/N stood there once too often",
        "dense-bias-gradient-is-assigned-row-by-row": "not summed over the batch: only the last",
        "softmax-keeps-only-the-diagonal": "only the diagonal counts",
        "softmax-lets-samples-leak": "samples leak into each other",
        "squared-error-forgets-the-two": "missing a factor 2",
        "tanh-squares-the-upstream-gradient": "square of the upstream gradient",
        "exponential-ignores-the-upstream-gradient": "does not depend on the upstream gradient",
        "batch-norm-takes-the-mean-for-a-constant": "the path through the mean over it is lost",
        "tanh-passes-back-in-single-precision": "single precision",
    }.items(),
)
def test_a_mistake_is_said_to_look_like_what_it_is(name, words):
    bug = find(name)
    x = (bug.y_true(), bug.x()) if bug.is_loss else bug.x()

    report = gradcheck(bug.make(), x)

    assert words in (report.diagnosis or ""), report
    assert f"looks like: {report.diagnosis}" in str(report)


def test_what_looks_like_nothing_is_not_guessed_at():
    class Odd(Dense):
        def _set_gradients(self, x, dz):
            super()._set_gradients(x, dz)
            self.dkernel = self.dkernel * np.sin(1 + np.arange(12.0)).reshape(4, 3)

    report = gradcheck(Odd(3), normal(5, 4))

    assert report.verdict == "fail"
    assert report.diagnosis is None


class Shift(Layer):
    """y[t] = x[t - 1], whose gradient stays where it is."""

    def forward(self, x, ctx=INFERENCE):
        return np.roll(x, 1, axis=1), None

    def backward(self, dy, cache):
        return dy


def test_a_shift_by_one_is_seen():
    assert "shifted by one along axis 1" in (gradcheck(Shift(), normal(2, 5, 3)).diagnosis or "")


# ------------------------------------------------------------------------------- options


@pytest.mark.parametrize("layer", [Dense(3, "tanh"), BatchNormalization(), Dropout(0.3)], ids=repr)
def test_every_entry_is_differenced_on_demand(layer):
    report = gradcheck(layer, normal(4, 5), full=True)

    assert report, report
    assert report["x"].method == "every entry"


def test_entries_of_an_input_are_moved_many_at_a_time_where_samples_are_alone():
    alone, together = (
        gradcheck(layer, normal(4, 50), full=True)["x"].evaluations
        for layer in (Dense(3, "tanh"), BatchNormalization())
    )

    assert alone < 40 < 1000 < together


def test_the_worst_entry_is_named():
    report = gradcheck(WrongEntries(12), normal(4, 8), full=True)

    assert "1 of 96 entries are wrong; entry (7, 5)" in report["kernel"].reason


@pytest.mark.parametrize("shape", [(1, 1), (9, 11)])  # a few entries one by one, many at once
@pytest.mark.parametrize(
    ("f", "slope", "at"),
    [
        (np.sqrt, lambda x: 0.5 / np.sqrt(x), 0.003),
        (np.log, lambda x: 1 / x, 0.003),
        (lambda x: np.exp(300 * x), lambda x: 300 * np.exp(300 * x), 0.1),
    ],
)
def test_every_entry_is_differenced_with_steps_of_its_own_scale(f, slope, at, shape):
    x = np.full(shape, at)

    assert gradcheck(Function(f, partial(along, slope)), x, full=True)
    wrong = gradcheck(Function(f, lambda dy, x: 1.001 * along(slope, dy, x)), x, full=True)

    assert f"of {x.size} entries are wrong" in wrong["x"].reason


def test_own_values_stand_still_at_lattice_points():
    class Noting(Layer):
        def build(self, input_shape):
            self.w, self.dw = self.param("w", (3,), "ones")

        def forward(self, x, ctx=INFERENCE):
            seen.append(self.w.copy())
            return np.abs(x) * self.w, x

        def backward(self, dy, x):
            self.dw = (dy * np.abs(x)).sum(0)
            return dy * np.sign(x) * self.w

    for values, stands in (("own", True), ("random", False)):
        layer, seen = Noting(dtype="float64"), []
        layer.build((None, 3))
        layer.w[:] = 0.3, 0.7, 0.9

        report = gradcheck(layer, np.random.default_rng(0).normal(size=(4, 3)), values=values)

        last = seen[-1]
        assert report["all, at lattice points"].verdict == "pass"
        assert np.allclose(last, (0.3, 0.7, 0.9), atol=0.05) == stands


def test_what_fails_at_lattice_points_says_where_that_is():
    layer = Function(np.abs, lambda dy, x: dy * np.where(x == 0, 9.0, np.sign(x)))

    report = str(gradcheck(layer, np.random.default_rng(0).normal(size=(4, 3))))

    assert "lattice points: x and parameters at multiples of 1/2, unless lattice=False" in report


def test_figures_that_disagree_are_printed_with_the_digits_that_do():
    layer = Function(np.sin, lambda dy, x: (1 + 1e-7) * dy * np.cos(x))

    report = gradcheck(layer, np.random.default_rng(0).normal(size=(4, 3)))

    said = re.search("backward says (.*), differences say (.*)", report["x"].reason)
    assert said and said[1] != said[2]


@pytest.mark.parametrize("full", [False, True])
def test_a_stateful_layer_need_not_be_built(full):
    x = np.random.default_rng(0).normal(size=(2, 3, 2))

    assert gradcheck(LSTM(2, stateful=True), x, full=full)
    assert gradcheck(Chain([Dense(3), GRU(2, stateful=True)]), x, full=full)


def test_a_complex_step_is_believed_where_it_agrees():
    report = gradcheck(Dense(3, "tanh"), normal(4, 5), complex_step=True)
    plain = gradcheck(Dense(3, "tanh"), normal(4, 5))

    assert report and report["kernel"].method == "complex step"
    assert report["kernel"].bound < plain["kernel"].bound


class Magnitude(Layer):
    """y = |x|, through which a complex step goes silently wrong."""

    def forward(self, x, ctx=INFERENCE):
        return np.abs(x) + 0 * x, x

    def backward(self, dy, x):
        return dy * np.sign(x)


def test_a_complex_step_that_disagrees_is_not_believed():
    report = gradcheck(Magnitude(), normal(4, 5), complex_step=True)

    assert report, report
    assert any(reason.startswith("complex step of x: it disagrees") for reason in report.skipped)


def test_a_loss_is_checked_on_its_own_with_weights():
    y, weights = normal(4, 3), np.array([1.0, 2.0, 0.5, 3.0])
    for reduction in ("sum_over_batch_size", "none"):
        loss = losses.MeanSquaredError(reduction=reduction)
        assert gradcheck(loss, (y, y + 1.3)) and gradcheck(loss, (y, 2 * y + 1, weights))

    with pytest.raises(ValueError, match="expects \\(y_true, y_pred\\)"):
        gradcheck(losses.MeanSquaredError(), y)


def test_a_mask_changes_what_is_checked():
    mask = np.array([[True, True, False], [True, True, True]])

    report = gradcheck(LSTM(3), normal(2, 3, 4), mask=mask)

    assert report, report
    assert not report.check.here.gradients[-1][0, 2].any()


def test_tol_only_loosens_and_is_echoed():
    wrong = WrongEntries(12)
    x = normal(4, 8)

    loose = gradcheck(wrong, x, tol=1e-1)

    assert gradcheck(wrong, x).verdict == "fail"
    assert loose and "bounds were loosened to 0.1" in str(loose)
    assert gradcheck(Dense(3), x, tol=1e-300)
    with pytest.raises(ValueError, match="positive share"):
        gradcheck(Dense(3), x, tol=0)


def test_a_time_limit_leaves_the_rest_undecided():
    report = gradcheck(Conv2D(8, 3), normal(4, 12, 12, 3), time_limit=1e-9)

    assert report.verdict == "inconclusive"
    assert "undecided because of the time limit" in str(report)
    with pytest.raises(ValueError, match="time limit passed before anything was looked at"):
        report.locate("kernel")
    with pytest.raises(ValueError, match="positive number of seconds"):
        gradcheck(ReLU(), normal(2, 2), time_limit=0)


class OnesHideIt(Scale):
    """y = gamma x, with a gradient that forgets gamma, which begins as 1."""

    def backward(self, dy, x):
        super().backward(dy, x)
        return dy


def test_parameters_get_random_values_and_those_of_a_model_are_kept():
    x = normal(3, 4)
    assert gradcheck(OnesHideIt(), x).verdict == "fail"
    assert gradcheck(OnesHideIt(), x, values="own")
    model = bp.Sequential([bp.Input((4,)), OnesHideIt()])
    assert gradcheck(model, x)
    assert gradcheck(model, x, values="random").verdict == "fail"
    with pytest.raises(ValueError, match="values must be"):
        gradcheck(OnesHideIt(), x, values="mine")


class WidensToDouble(Layer):
    def forward(self, x, ctx=INFERENCE):
        return np.tanh(x), x

    def backward(self, dy, x):
        return dy * (1 - np.tanh(x.astype(np.float64)) ** 2)


class HalfInSingle(Layer):
    """y = tanh(x), right in float64, with half the digits that float32 could have."""

    def forward(self, x, ctx=INFERENCE):
        return np.tanh(x), np.tanh(x)

    def backward(self, dy, y):
        slope = 1 - y * y
        return dy * (slope if y.dtype == np.float64 else slope.astype(np.float16).astype(y.dtype))


def test_float32_is_held_to_float64():
    x = normal(4, 5)

    assert "float32 into float64" in str(gradcheck(WidensToDouble(), x))
    assert "the subject computes in float64" in str(gradcheck(Dense(2, dtype="float64"), x))
    assert "units in the last place, of 64" in str(gradcheck(HalfInSingle(), x))


# ------------------------------------------------------------------------------- shown


def test_a_report_is_json_html_and_survives_a_pickle():
    report = gradcheck(find("dense-kernel-gradient-is-transposed").make(), normal(5, 4))

    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    again = pickle.loads(pickle.dumps(report))

    assert data["verdict"] == "fail" and data["diagnosis"] == report.diagnosis
    assert [e["name"] for e in data["entries"]] == [e.name for e in report.entries]
    assert "<table>" in report._repr_html_() and "FAIL" in report._repr_html_()
    assert str(again) == str(report)
    with pytest.raises(ValueError, match="lost its subject"):
        again.locate()
    with pytest.raises(KeyError, match="no gradient named 'krnel'"):
        report["krnel"]


def test_a_report_says_at_which_scale_it_looked():
    near, far = (gradcheck(Dense(3), size * normal(4, 5)) for size in (1.0, 1000.0))

    assert near["x"].step == pytest.approx(2.0**-6, rel=0.3)
    assert far["x"].step < 1e-2 * near["x"].step
    assert near["kernel"].step == pytest.approx(far["kernel"].step)
    assert f"{near['x'].step:.1e}" in str(near)
    assert near["all, in float32"].step == 0


def test_a_report_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need backprop[plot]")
    path = tmp_path / "check.png"

    gradcheck(WrongEntries(12), normal(4, 8)).plot(path)

    assert path.read_bytes().startswith(b"\x89PNG")


def test_noise_is_measured_under_a_curve():
    rng = np.random.default_rng(0)
    t = np.arange(7)
    found = [deviation(1e3 + 5 * t + 0.1 * t * t + rng.standard_normal(7)) for _ in range(200)]

    assert 0.5 < np.median(found) < 2
    assert deviation(np.full(7, 3.0)) == 0


@pytest.mark.parametrize("activation", [None, "tanh", "softplus", "relu"])
def test_an_error_of_twice_the_floor_in_one_entry_is_found(activation):
    for seed in range(10):
        at = (seed % 6, seed % 5)
        layer = Hidden(5, activation)
        layer.build((None, 6))
        right = gradcheck(layer, normal(4, 6), seed=seed)["kernel"]
        layer.error, layer.at = 2 * right.floor, at

        wrong = gradcheck(layer, normal(4, 6), seed=seed)["kernel"]

        assert right.verdict == "pass" and wrong.verdict == "fail"
        assert right.floor < 1e-5


@pytest.mark.parametrize("seed", [67, 91])
def test_an_error_in_a_gradient_of_zero_is_no_kink_of_outputs_that_are_small(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 4, 3))
    bp.utils.set_random_seed(seed)
    layer = HiddenInKeys(2, 2)
    layer.build((None, 4, 3))
    right = gradcheck(layer, x, seed=seed, lattice=False)
    (name,) = [e.name for e in right.entries if e.name.endswith("key/bias")]
    layer.error = 2 * right[name].floor

    wrong = gradcheck(layer, x, seed=seed, lattice=False)

    assert right[name].verdict == "pass" and wrong[name].verdict == "fail", wrong


class HiddenInKeys(MultiHeadAttention):
    """Attention that may hide an error in the keys' bias, whose gradient is 0 up to rounding."""

    error = 0.0

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.key.dbias[0, 0] += self.error
        return dx


class Hidden(Dense):
    """A Dense that may hide an error in one entry of its kernel's gradient."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if hasattr(self, "error"):
            self.dkernel[self.at] += self.error
        return dx
