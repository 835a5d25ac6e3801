"""The checker passes what is right, fails what is wrong, and says where it cannot tell."""

import copy
import warnings

import numpy as np
import pytest
from layer_examples import example

import backprop as bp
from backprop import layers, losses, random, regularizers, seeds
from backprop.gradcheck import gradcheck
from backprop.gradcheck.catalogue import GREY
from backprop.gradcheck.kinks import bracket
from backprop.layer import INFERENCE, Layer
from backprop.layers import (
    LSTM,
    BatchNormalization,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Parallel,
    ReLU,
    Residual,
    Softmax,
)
from backprop.linalg import rows, sum_rows
from backprop.nest import as_tuple
from backprop.testing.bugs import BANK


@pytest.mark.parametrize("name", layers.registry.classes)
def test_every_layer_passes(name):
    layer, x = example(name)

    for training in (True, False):
        report = gradcheck(layer, x, training=training, lattice=name not in GREY)

        assert report, report


@pytest.mark.parametrize("name", layers.registry.classes)
def test_the_subject_and_the_process_are_left_untouched(name):
    layer, x = example(name)
    for fresh in (layer, type(layer).from_config(layer.get_config())):
        before = snapshot(fresh)
        x_before = copy.deepcopy(x)
        children = seeds._process.sequence.n_children_spawned

        gradcheck(fresh, x)

        assert snapshot(fresh) == before
        assert seeds._process.sequence.n_children_spawned == children
        for a, a_before in zip(as_tuple(x), as_tuple(x_before), strict=True):
            np.testing.assert_array_equal(a, a_before)


def snapshot(layer):
    arrays = [
        (p.path, p.value.tobytes(), p.gradient is not None and p.gradient.tobytes())
        for p in layer.arrays()
    ]
    states = [part._rng and str(part._rng.bit_generator.state) for part in layer.walk()]
    return layer.built, layer.dtype, arrays, states


def targets(loss, rng, n=6, k=4):
    name = type(loss).__name__
    if name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy":
        return rng.integers(0, k, n), k
    if name == "Circle":
        return rng.integers(0, 3, n), k
    if name == "GaussianNLL":
        return rng.uniform(0.5, 2, (n, k // 2)), k
    if name == "CTC":
        return np.pad(rng.integers(1, k, (n, 2)), ((0, 0), (0, 1))), k
    if name.startswith("Binary") or name in ("Dice", "Tversky"):
        return rng.integers(0, 2, (n, k)), k
    if "Hinge" in name and name != "CategoricalHinge":
        return rng.choice([-1.0, 1.0], (n, k)), k
    if name.startswith(("Categorical", "KL")):
        return np.eye(k)[rng.integers(0, k, n)] * 0.9 + 0.025, k
    return rng.uniform(0.5, 2, (n, k)), k


@pytest.mark.parametrize("name", losses.REGISTRY.classes)
def test_every_loss_passes_through_a_compiled_model(name):
    random.set_random_seed(1)
    rng = np.random.default_rng(1)
    loss = losses.REGISTRY.classes[name]()
    y, k = targets(loss, rng)
    shape = (5, 5) if name == "CTC" else (5,)
    model = bp.Sequential([bp.Input(shape), Dense(4, "tanh"), Dense(k, "softmax")])
    model.compile("sgd", loss)

    report = gradcheck(model, rng.standard_normal((6, *shape)), y)

    assert report, report


@pytest.mark.parametrize("name", regularizers.registry.classes)
def test_every_regularizer_passes_through_a_compiled_model(name):
    random.set_random_seed(2)
    rng = np.random.default_rng(2)
    make = regularizers.registry.classes[name]
    model = bp.Sequential(
        [
            bp.Input((5,)),
            Dense(4, "tanh", kernel_regularizer=make(), activity_regularizer=regularizers.L2(0.1)),
            Dense(2),
        ]
    )
    model.compile("sgd", "mse")

    report = gradcheck(model, rng.standard_normal((6, 5)), rng.standard_normal((6, 2)))

    assert report, report


def test_a_layer_in_two_places_passes():
    shared = LSTM(6, dropout=0.3, recurrent_dropout=0.2, return_sequences=True)
    block = Residual([Dense(6, "tanh"), Dropout(0.3)])
    model = bp.Sequential([bp.Input((3, 6)), shared, block, shared, Flatten(), Dense(2)])

    report = gradcheck(model, np.random.default_rng(0).standard_normal((4, 3, 6)))

    assert report, report
    assert [e.name for e in report.entries].count("lstm/kernel") == 1


def test_a_network_of_many_kinds_passes_built_or_not():
    rng = np.random.default_rng(0)

    def network():
        return bp.Sequential(
            [
                Conv2D(4, 3, activation="relu"),
                BatchNormalization(),
                layers.MaxPooling2D(2),
                Dropout(0.3),
                Flatten(),
                Parallel([Dense(4, "gelu"), Dense(3, "relu")]),
                Dense(3, "softmax"),
            ]
        )

    x, y = rng.standard_normal((5, 8, 8, 2)), rng.integers(0, 3, 5)
    for training in (True, False):
        model = network()
        assert gradcheck(model, x, training=training)
        assert not model.built
        model.build((None, 8, 8, 2))
        model.compile("adam", "sparse_categorical_crossentropy")

        report = gradcheck(model, x, y, training=training)

        assert report, report


def test_integers_are_skipped_and_said_so():
    model = bp.Sequential([Embedding(9, 4, mask_zero=True), LSTM(3)])
    x = np.array([[1, 2, 0, 0], [3, 4, 5, 1]])

    report = gradcheck(model, x)

    assert report, report
    assert report.skipped[0] == "x: integers have no gradient"
    assert "skipped: x: integers have no gradient" in str(report)


# ------------------------------------------------------------------ planted mistakes


class Right(Layer):
    """y = x · kernel + bias."""

    def __init__(self, units=3):
        self.units = units

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel, self.dkernel = self.param("kernel", shape, "glorot_uniform")
        self.bias, self.dbias = self.param("bias", (self.units,), "zeros")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, ctx=INFERENCE):
        return x @ self.kernel + self.bias, x

    def backward(self, dy, x):
        self.dkernel = rows(x).T @ rows(dy)
        self.dbias = sum_rows(dy)
        return dy @ self.kernel.T


class Transposed(Right):
    """The kernel's gradient is transposed; as wide as it is high, its shape does not tell."""

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dkernel = self.dkernel.T.copy()
        return dx


class Sign(Right):
    def backward(self, dy, x):
        return -super().backward(dy, x)


class Twice(Right):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dkernel = 2 * self.dkernel
        return dx


class LastRow(Right):
    """The bias' gradient of the last row alone, in place of the sum over rows."""

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dbias = dy[-1]
        return dx


class OneEntry(Right):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dkernel[1, 2] += 1e-3
        return dx


class Forgotten(Right):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dkernel = np.zeros_like(self.kernel)
        return dx


class NotANumber(Right):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        self.dbias[0] = np.nan
        return dx


MISTAKES = {
    Transposed: "kernel",
    Sign: "x",
    Twice: "kernel",
    LastRow: "bias",
    OneEntry: "kernel",
    Forgotten: "kernel",
    NotANumber: "bias",
}


def test_the_layer_without_a_mistake_passes():
    assert gradcheck(Right(), np.random.default_rng(0).standard_normal((4, 3)))


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("where", ["alone", "in a model"])
def test_a_planted_mistake_fails_where_it_is(mistake, where):
    x = np.random.default_rng(0).standard_normal((4, 3))
    subject = mistake()
    if where == "in a model":
        subject = bp.Sequential([bp.Input((3,)), Dense(3, "tanh"), subject, Dense(2, "relu")])

    report = gradcheck(subject, x)

    failed = {entry.name.split("/")[-1] for entry in report.entries if entry.verdict == "fail"}
    assert report.verdict == "fail"
    assert not report
    assert MISTAKES[mistake] in failed
    if where == "alone":
        assert failed == {MISTAKES[mistake]}
        assert "FAIL: backward " in str(report)


class NoMean(losses.Loss):
    """Mean squared error whose gradient is that of the sum."""

    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return (d * d).mean(-1), d

    def gradient(self, dvalues, d):
        return 2 * dvalues[..., None] * d


class NoGradient(regularizers.Regularizer):
    """A penalty whose gradient is missing."""

    def __call__(self, x):
        return 0.1 * float((x * x).sum())

    def gradient(self, x):
        return np.zeros_like(x)


def test_a_loss_that_forgets_to_divide_fails():
    model = bp.Sequential([bp.Input((3,)), Dense(2)])
    model.compile("sgd", NoMean())
    rng = np.random.default_rng(0)

    assert (
        gradcheck(model, rng.standard_normal((4, 3)), rng.standard_normal((4, 2))).verdict == "fail"
    )


@pytest.mark.parametrize("place", ["kernel_regularizer", "activity_regularizer"])
def test_a_penalty_without_its_gradient_fails(place):
    model = bp.Sequential([bp.Input((3,)), Dense(2, **{place: NoGradient()})])
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)

    report = gradcheck(model, rng.standard_normal((4, 3)), rng.standard_normal((4, 2)))

    assert {e.name: e.verdict for e in report.entries}["dense/kernel"] == "fail"


# ------------------------------------------------------------------ what is hard to tell


def test_a_gradient_that_is_zero_passes():
    rng = np.random.default_rng(0)

    assert gradcheck(Softmax(), rng.standard_normal((5, 1)))  # over one class: always 1
    assert gradcheck(layers.LayerNormalization(), rng.standard_normal((5, 1)))
    model = bp.Sequential([bp.Input((4,)), Dense(3), BatchNormalization(), Dense(2)])
    report = gradcheck(model, rng.standard_normal((6, 4)))
    assert report, report  # of the first bias, which batch normalization takes away
    assert gradcheck(ReLU(), -1 - rng.random((3, 4)))


class Missing(Layer):
    """A gradient of 1 where it should be 0, and one of 0 where it should be 1."""

    def forward(self, x, ctx=INFERENCE):
        return np.ones_like(x), None

    def backward(self, dy, cache):
        return 1e-6 * dy


def test_a_gradient_that_should_be_zero_fails():
    assert gradcheck(Missing(), np.ones((3, 2))).verdict == "fail"


def test_a_kink_passes_within_the_slopes_on_its_two_sides():
    report = gradcheck(ReLU(), np.zeros((3, 4)))

    assert report, report
    assert "12 outputs at a kink, slopes within those on both sides" in str(report)


class Beyond(ReLU):
    """A slope of 2 at 0, where those on the two sides are 0 and 1."""

    def forward(self, x, ctx=INFERENCE):
        return np.maximum(x, 0), x

    def backward(self, dy, x):
        return dy * ((x > 0) + 2 * (x == 0)).astype(x.dtype)


class AllTies(Layer):
    """The maximum over the last axis, whose gradient goes in full to all that tie."""

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)

    def forward(self, x, ctx=INFERENCE):
        y = x.max(-1, keepdims=True)
        return y, x == y

    def backward(self, dy, winners):
        return dy * winners


class NanAtZero(Layer):
    """|x| whose slope divides by |x|."""

    def forward(self, x, ctx=INFERENCE):
        return np.abs(x), x

    def backward(self, dy, x):
        return dy * x / np.abs(x)


@pytest.mark.parametrize("mistake", [Beyond, AllTies, NanAtZero])
def test_a_mistake_at_a_kink_alone_fails_at_lattice_points(mistake):
    x = np.random.default_rng(0).standard_normal((4, 5))

    report = gradcheck(mistake(), x)

    assert report["all, at lattice points"].verdict == "fail", report
    assert gradcheck(mistake(), x, lattice=False)


def test_a_kink_that_lies_very_near_is_undecided():
    x = np.random.default_rng(0).standard_normal((3, 4))
    for distance in (1e-9, -1e-9, 1e-7, 1e-5):
        x[1, 2] = distance
        assert gradcheck(ReLU(), x).verdict != "fail"
    x[1, 2] = 1e-2
    assert gradcheck(ReLU(), x)


def test_a_mistake_beside_a_kink_still_fails():
    class Wrong(ReLU):
        def backward(self, dy, cache):
            return 3 * super().backward(dy, cache)

    x = np.random.default_rng(0).standard_normal((30, 4))
    x[0, 0] = 0

    assert gradcheck(Wrong(), x).verdict == "fail"


class Single(Layer):
    """y = x, computed in float32."""

    def forward(self, x, ctx=INFERENCE):
        return x.astype(np.float32).astype(x.dtype), None

    def backward(self, dy, cache):
        return dy


class SingleReturned(Single):
    """The same, and returned as float32."""

    def forward(self, x, ctx=INFERENCE):
        return x.astype(np.float32), None


class PartlySingle(Single):
    """y = x + sin(x), the sine in float32."""

    def forward(self, x, ctx=INFERENCE):
        return x + np.sin(x.astype(np.float32)), x

    def backward(self, dy, x):
        return dy * (1 + np.cos(x))


class Half(Single):
    """y = x with three digits."""

    def forward(self, x, ctx=INFERENCE):
        return x.astype(np.float16).astype(x.dtype), None


class Unstable(Single):
    """The mean of squares less the square of the mean: right in float64, with some digits lost."""

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def forward(self, x, ctx=INFERENCE):
        return (x * x).mean(-1) - x.mean(-1) ** 2, x

    def backward(self, dy, x):
        return 2 / x.shape[-1] * dy[..., None] * (x - x.mean(-1, keepdims=True))


@pytest.mark.parametrize("cast", [Single, SingleReturned])
@pytest.mark.parametrize("seed", range(5))
def test_a_forward_pass_in_float32_fails_in_float64(cast, seed):
    report = gradcheck(cast(), np.random.default_rng(seed).standard_normal((5, 4)), seed=seed)

    assert report["y"].verdict == "fail"
    assert "all outputs are float32 numbers" in report["y"].reason
    assert report["x"].verdict != "pass"


@pytest.mark.parametrize("seed", range(5))
def test_a_term_in_float32_leaves_a_forward_pass_undecided(seed):
    report = gradcheck(PartlySingle(), np.random.default_rng(seed).standard_normal((5, 4)))

    assert report.verdict == "inconclusive"
    assert "digits, not the 16 of float64; look for a cast" in report["x"].reason


def test_a_function_of_three_digits_does_not_pass():
    assert not gradcheck(Half(), np.random.default_rng(0).standard_normal((50, 40)))


def test_a_normalization_in_float32_is_not_certified():
    bug = next(b for b in BANK if b.name == "layer-norm-computes-in-single-precision")
    for seed in range(10):
        report = gradcheck(bug.make(), bug.x(), seed=seed)

        assert report.verdict == "fail"
        assert report.check.rounding.units > 1e6
        assert gradcheck(bug.make_correct(), bug.x(), seed=seed)


def test_a_cancellation_in_float64_is_no_cast():
    for mean in (0, 30, 1000):
        report = gradcheck(Unstable(), mean + np.random.default_rng(0).standard_normal((5, 4)))

        assert report["x"].verdict == "pass", report


def test_small_numbers_that_cancel_are_no_cast():
    for size in (1e-2, 1e-3, 1e-4):
        report = gradcheck(layers.TanhShrink(), size * np.random.default_rng(0).random((5, 4)))

        assert "digits" not in str(report), report


def test_outputs_that_float32_holds_are_no_cast():
    assert gradcheck(layers.Threshold(0.25, 0.5), np.random.default_rng(0).random((4, 5)) - 0.5)
    assert gradcheck(ReLU(), -1 - np.random.default_rng(0).random((4, 5)))


class Logarithm(Layer):
    def forward(self, x, ctx=INFERENCE):
        return np.log(x), x

    def backward(self, dy, x):
        return dy / x


def test_a_slope_that_no_step_can_see_is_not_wrong():
    report = gradcheck(Logarithm(), np.array([[8e-273]]), full=True)

    assert report.verdict == "inconclusive"
    assert report["x"].reason == "undecided in 1 of 1 entries: y is not finite a step away"


def test_a_parameter_without_a_number_has_no_gradient_to_miss():
    class Shifted(Layer):
        def build(self, input_shape):
            self.shifts, self.dshifts = self.param("shifts", (0,), "zeros")

        def forward(self, x, ctx=INFERENCE):
            return x + self.shifts.sum(), None

        def backward(self, dy, cache):
            self.dshifts = np.zeros_like(self.shifts)
            return dy

    assert gradcheck(Shifted(), np.random.default_rng(0).normal(size=(3, 2)))


@pytest.mark.parametrize("threshold", [0.0, 0.3])
@pytest.mark.parametrize("shrink", [layers.SoftShrink, layers.HardShrink])
def test_nothing_is_shrunk_without_a_threshold(shrink, threshold):
    x = np.random.default_rng(0).standard_normal((4, 3))

    assert gradcheck(shrink(threshold), x - np.round(x))


@pytest.mark.parametrize("values", [np.zeros((5, 3)), np.random.default_rng(0).random((5, 3))])
def test_a_renormalization_is_checked_as_its_page_says(values):
    report = gradcheck(layers.BatchNormalization(renorm=True), values, training=True)

    assert report, report
    assert "k and s: held constant, as backward says it is" in report.skipped


# ------------------------------------------------------------------ what stands for a mask


@pytest.mark.parametrize("mask_value", [0.0, 0.5, -1.0, 0.1])
@pytest.mark.parametrize("in_front", [False, True])
def test_what_stands_for_a_mask_is_not_moved(mask_value, in_front):
    x = np.random.default_rng(0).standard_normal((3, 4, 2))
    x[0, 2:] = x[2, 3] = mask_value
    masking = layers.Masking(mask_value)

    report = gradcheck(Chain([masking, LSTM(2)]) if in_front else masking, x, full=True)

    assert report, report
    if mask_value != 0.1:  # which is another number in float32, and masks nothing there
        assert "x: 6 of 24 numbers, which stand for a mask" in report.skipped


@pytest.mark.parametrize("numbers", [np.zeros, np.ones])
def test_masking_passes_where_all_or_nothing_is_masked(numbers):
    assert gradcheck(layers.Masking(), numbers((3, 4, 1)))


class MaskingThatDoubles(layers.Masking):
    def backward(self, dy, cache):
        return 2 * super().backward(dy, cache)


def test_a_mistake_beside_what_is_masked_fails_and_is_located():
    x = np.random.default_rng(0).standard_normal((2, 3, 1))
    x[1, 1:] = 0

    report = gradcheck(MaskingThatDoubles(), x)

    assert report.verdict == "fail"
    wrong = {entry.index for entry in report.locate()}
    assert wrong == {(0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 0, 0)}


def test_prelu_passes_at_its_kink():
    x = np.array(
        [[0.1257302210933933], [-0.1321048632913019], [0.6404226504432821], [0.10490011715303971]]
    )
    for values in ("own", "random"):
        for point in (x, np.round(2 * x) / 2, 0 * x):  # none, three and four at the kink
            layer = layers.PReLU(alpha_initializer=bp.initializers.Constant(0.25))

            report = gradcheck(layer, point, seed=0, values=values)

            assert report, report
            assert report["all, at lattice points"].verdict == "pass"


def test_two_that_tie_and_move_alike_are_still_a_kink():
    x = np.ones((1, 2, 4, 1))
    layer = layers.MaxPooling2D((1, 2))
    here = gradcheck(layer, x).check.here
    u = np.random.default_rng(0).standard_normal(x.shape)
    u[0, 0, 1] = u[0, 0, 0] * (1 + 1e-4)

    seen = bracket(here, [u])

    assert seen.kinked == 3
    assert seen.difference <= seen.bound


class Restless(Layer):
    """Noise from a generator that is not the layer's own."""

    def forward(self, x, ctx=INFERENCE):
        return x + np.random.default_rng().standard_normal(x.shape), None

    def backward(self, dy, cache):
        return dy


def test_a_function_that_differs_each_time_is_undecided():
    report = gradcheck(Restless(), np.ones((2, 3)))

    assert report.verdict == "inconclusive"
    assert "another result each time" in str(report)


def test_a_forward_pass_that_is_nan_does_not_pass():
    report = gradcheck(ReLU(), np.full((2, 3), np.nan))

    assert report.verdict == "inconclusive"
    assert "the forward pass gives nan" in str(report)


def test_large_logits_pass():
    model = bp.Sequential([bp.Input((4,)), Dense(3)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    for size in (1e2, 1e4):
        report = gradcheck(model, size * rng.standard_normal((5, 4)), rng.integers(0, 3, 5))

        assert report.verdict != "fail", report


@pytest.mark.parametrize("seed", range(20))
def test_no_seed_gives_a_false_alarm(seed):
    rng = np.random.default_rng(seed)
    random.set_random_seed(seed)
    model = bp.Sequential(
        [
            bp.Input((6,)),
            Dense(16, "relu"),
            BatchNormalization(),
            Dense(16, "leaky_relu"),
            Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")

    report = gradcheck(model, rng.standard_normal((16, 6)), rng.integers(0, 3, 16), seed=seed)

    assert report.verdict != "fail", report


def test_domains_that_a_step_may_leave_give_no_warnings():
    class Logarithm(Layer):
        def forward(self, x, ctx=INFERENCE):
            return np.log(x), x

        def backward(self, dy, x):
            return dy / x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = gradcheck(Logarithm(), np.array([[1e-3, 0.01, 1.0], [2.0, 5e-3, 1e3]]))

    assert report, report


def test_wrong_use_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="has no loss for y: compile it"):
        gradcheck(Dense(2), np.ones((2, 3)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="expects rows to check on"):
        gradcheck(Dense(2), np.ones((0, 3)))
    with pytest.raises(TypeError, match="expects a layer or a model"):
        gradcheck(np.tanh, np.ones((2, 3)))
    dense = Dense(2)
    dense.build((None, 3))
    with pytest.raises(ValueError, match="axis -1"):
        gradcheck(dense, np.ones((2, 4)))
    model = bp.Sequential([bp.Input((3,)), Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="MeanSquaredError expects targets"):
        gradcheck(model, np.ones((2, 3)), np.ones((2, 5)))


def test_the_report_counts_and_aligns():
    report = gradcheck(Chain([Dense(3)]), np.ones((2, 4)))
    lines = str(report).splitlines()

    assert lines[0].startswith("gradient of") and lines[0].endswith("verdict")
    table = lines[:-1]
    assert len(table) == 1 + len(report.entries) == 6  # in float32 and at lattice points, too
    assert lines[-1].startswith(f"pass: 3 gradients, {report.evaluations} forward passes")
    assert {len(line.rsplit("  ", 1)[0]) for line in table} == {len(table[0].rsplit("  ", 1)[0])}
    assert report.evaluations > sum(e.evaluations for e in report.entries)
