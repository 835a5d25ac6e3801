"""Layers that are right and unusual keep the laws, and a slip is told by what it comes from."""

import numpy as np
import pytest
import scipy.linalg
from testing.held_out_again.embeddings import PaddedEmbedding

from backprop import layers as L
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.losses import Loss
from backprop.testing import (
    arrays,
    axes,
    check_law,
    check_layer,
    numbers,
    pairs,
    selftest,
    shapes,
    tokens,
)

FLOAT32, DIGITS = "float32_agrees_with_float64", "shape_and_dtype_are_as_declared"
SEEDS, BUFFERS = "same_seed_same_result", "training_moves_buffers_alike"
LINEAR, ROWS, EXTREME = (
    "backward_is_linear_in_dy",
    "rows_are_independent",
    "extreme_input_gives_finite_results",
)


class Elementwise(Layer):
    """y = x + 10⁶; the derivative is 1."""

    def forward(self, x, ctx=INFERENCE):
        return x + x.dtype.type(1e6), x

    def backward(self, dy, x):
        return dy.copy()


class Power(Elementwise):
    """y = x¹⁰."""

    def forward(self, x, ctx=INFERENCE):
        return x**10, x

    def backward(self, dy, x):
        return 10 * x**9 * dy


class Logistic(Elementwise):
    """Twenty steps of z ← 3.9 z (1 - z) from sigmoid(x): chaos."""

    def forward(self, x, ctx=INFERENCE):
        z = 0.5 * (1 + np.tanh(0.5 * x))
        d = z * (1 - z)
        for _ in range(20):
            d = d * (x.dtype.type(3.9) * (1 - 2 * z))
            z = x.dtype.type(3.9) * z * (1 - z)
        return z, d

    def backward(self, dy, d):
        return dy * d


class ByHilbert(Layer):
    """y = x A⁻¹ with the Hilbert matrix, which is kept, or made when it is needed."""

    keeps: bool = True

    def build(self, input_shape):
        self._a = scipy.linalg.hilbert(input_shape[-1]) if self.keeps else None
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def solved(self, x):
        a = scipy.linalg.hilbert(x.shape[1]) if self._a is None else self._a
        return np.linalg.solve(a.astype(x.dtype), x.T).T

    def forward(self, x, ctx=INFERENCE):
        return self.solved(x), None

    def backward(self, dy, cache):
        return self.solved(dy)


class Inverse(Layer):
    """y = (x xᵀ + I)⁻¹ 1 for each sample, which LAPACK refuses where float32 cannot hold it."""

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3)

    def compute_output_shape(self, input_shape):
        return input_shape[:2]

    def forward(self, x, ctx=INFERENCE):
        a = x @ x.swapaxes(1, 2) + np.eye(x.shape[1], dtype=x.dtype)
        y = np.linalg.solve(a, np.ones((*x.shape[:2], 1), x.dtype))[..., 0]
        return y, (x, a, y)

    def backward(self, dy, cache):
        x, a, y = cache
        da = -np.linalg.solve(a, dy[..., None]) * y[:, None]
        return (da + da.swapaxes(1, 2)) @ x


class Noise(Layer):
    """y = x + sigma n in training."""

    sigma: float = 0.0
    seed: int | None = None

    def forward(self, x, ctx=INFERENCE):
        noise = self.sigma * self.rng.standard_normal(x.shape) if ctx.training else 0
        return x + np.asarray(noise, x.dtype), None

    def backward(self, dy, cache):
        return dy.copy()


class NeverDraws(Noise):
    def forward(self, x, ctx=INFERENCE):
        return x.copy(), None


class Normalized(Layer):
    """(x - mean) / deviation, summed from the other end where there is one row: as BLAS sums a
    row in another order than those of a matrix. Where a row is constant, rounding is all of y."""

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=2)

    def forward(self, x, ctx=INFERENCE):
        order = slice(None, None, -1 if len(x) == 1 else 1)
        mean = np.add.accumulate(x[:, order], axis=1)[:, -1:] / x.dtype.type(x.shape[1])
        d = x - mean
        r = 1 / np.sqrt((d * d).mean(1, keepdims=True))
        return d * r, (d * r, r)

    def backward(self, dy, cache):
        y, r = cache
        return r * (dy - dy.mean(1, keepdims=True) - y * (dy * y).mean(1, keepdims=True))


class Little(Layer):
    """y = a + 10⁻¹² b."""

    call_inputs = ("a", "b")

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        return x[0] + x[1] * x[1].dtype.type(1e-12), None

    def backward(self, dy, cache):
        return dy.copy(), dy * dy.dtype.type(1e-12)


class Some(Loss):
    """Squares of the rows whose first target is positive."""

    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return (d * d).mean(-1), d

    def gradient(self, dvalues, d):
        return 2 * dvalues[..., None] * d / d.shape[-1]

    def valid(self, y_true):
        return y_true[..., 0] > 0


def nearly_constant(x):
    """Rows of one number each, which a third does not divide."""
    return np.repeat(x[:, :1], x.shape[1], axis=1) + np.array([0.0, 1e-16, 3e-16])


ROW = shapes(1, 1)
DRAWS = {"tags": ["stochastic"]}
COUPLED = {"tags": ["couples_rows"]}
PADDING = {"vocabulary": [9], "units": [1, 3], "padding": [0, 2]}
REDUCTIONS = {"reduction": ["sum_over_batch_size", "sum", "none", "mean"]}
RIGHT = [
    (Elementwise, shapes(1, 2), [DIGITS], {}),
    (Power, shapes(1, 2), [DIGITS, EXTREME, FLOAT32], {}),
    (Logistic, shapes(1, 2), [FLOAT32], {}),
    (ByHilbert, shapes(1, 1, min_side=4, max_side=10), [FLOAT32], {}),
    (lambda: ByHilbert(False), shapes(1, 1, min_side=6, max_side=6), [FLOAT32], {}),
    (Inverse, shapes(2, 2), [EXTREME], {}),
    (Noise, shapes(1, 2), [SEEDS], DRAWS),
    (Noise, shapes(1, 2), [SEEDS], DRAWS | {"configs": {"sigma": [0.0, 0.5]}}),
    (L.Dropout, shapes(1, 2), [SEEDS], DRAWS | {"configs": {"rate": [0, 1e-6, 0.5, 1.0]}}),
    (lambda: L.GaussianNoise(0.0), shapes(1, 2), [SEEDS], DRAWS),
    (lambda: L.Chain([L.Dense(2), L.Dropout(0.0)]), ROW, [SEEDS], DRAWS),
    (lambda: L.BatchNormalization(momentum=1.0), shapes(1, 2), [BUFFERS], COUPLED),
    (lambda: L.BatchNormalization(momentum=0.0), shapes(1, 2), [BUFFERS], COUPLED),
    (lambda: L.LayerNormalization(epsilon=0.0), shapes(1, 2, min_side=2), [LINEAR, ROWS], {}),
    (Normalized, arrays(axes("batch", 3)).map(nearly_constant), [ROWS], {}),
    (lambda: L.RMSNormalization(epsilon=1e-8), shapes(1, 3), [FLOAT32], {}),
    (L.LayerNormalization, arrays(ROW).map(lambda x: 1000 + x), [FLOAT32, LINEAR, ROWS], {}),
    (Little, (axes("batch", "n"), axes("batch", "n")), ["every_input_counts"], {}),
    (PaddedEmbedding, tokens(9), ["no_size_is_an_exception"], {"configs": PADDING}),
    (Some, pairs("numbers", "numbers"), [ROWS], {"configs": REDUCTIONS}),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("layer", "inputs", "laws", "options"), RIGHT)
def test_what_is_right_and_unusual_keeps_the_laws(layer, inputs, laws, options, seed):
    report = check_layer(layer, inputs, laws=laws, seed=seed, **options)

    assert report, str(report)


@pytest.mark.parametrize("seed", [51, 135, 228, 519])
def test_two_numbers_that_are_nearly_equal_may_lose_the_digits_of_their_mean(seed):
    x = numbers((1, 2, 1), "generic", seed)

    check_law(FLOAT32, L.LayerNormalization(1, epsilon=1e-6), x=x, training=False)


def test_a_gradient_that_is_rounding_alone_is_no_exception():
    x = numbers((1, 1), "generic", 0), numbers((1, 1), "generic", 65753)

    check_law("no_number_is_an_exception", L.Dot(1, normalize=True), x=x, training=False, seed=1)


def test_a_layer_that_draws_in_no_configuration_is_no_stochastic_one():
    report = check_layer(NeverDraws, shapes(1, 2), laws=[SEEDS], tags=["stochastic"])

    assert "and it is that of inference, in all cases tried" in str(report)


# -------------------------------------------------------------------------------- likely causes


class Scaled(Layer):
    """y = w x; each slip changes one line of it."""

    def build(self, input_shape):
        self.w, self.dw = self.param("w", input_shape[-1:])
        self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        return x * self.w, x

    def backward(self, dy, x):
        self.dw = (dy * x).reshape(-1, x.shape[-1]).sum(0)
        return dy * self.w


class WritesIntoX(Scaled):
    def forward(self, x, ctx=INFERENCE):
        before = x.copy()
        x *= self.w
        return x, before


class WritesIntoDy(Scaled):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        dy *= self.w
        return dx


class KeepsItsInput(Scaled):
    def forward(self, x, ctx=INFERENCE):
        self.seen = x
        return x * self.w, None

    def backward(self, dy, cache):
        return super().backward(dy, self.seen)


class MisspellsItsGradient(Scaled):
    def backward(self, dy, x):
        self.dW = (dy * x).sum(0)
        return dy * self.w


class Adds(Scaled):
    def backward(self, dy, x):
        self.dw += (dy * x).reshape(-1, x.shape[-1]).sum(0)
        return dy * self.w


class KeepsATable(Layer):
    def build(self, input_shape):
        self.table = np.linspace(0, 1, input_shape[-1])

    def forward(self, x, ctx=INFERENCE):
        return x * self.table, None

    def backward(self, dy, cache):
        return dy * self.table


class TakesSequences(Layer):
    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])

    def forward(self, x, ctx=INFERENCE):
        return x.sum(axis=1, where=np.ones((*x.shape[:2], 1), bool)), x.shape[1]

    def backward(self, dy, steps):
        return np.repeat(dy[:, None], steps, 1)


class Flattens(Layer):
    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def forward(self, x, ctx=INFERENCE):
        return x.reshape(len(x), -1).sum(1), x.shape

    def backward(self, dy, shape):
        return np.broadcast_to(dy.reshape(-1, *[1] * (len(shape) - 1)), shape)


class Rectifies(Layer):
    def forward(self, x, ctx=INFERENCE):
        return np.maximum(x, 0), x >= 0

    def backward(self, dy, positive):
        return dy * (2 * positive - (positive & False)) / 2


SLIPS = [
    (WritesIntoX, ROWS, "forward writes into x"),
    (WritesIntoDy, LINEAR, "backward writes into dy"),
    (KeepsItsInput, "two_forwards_do_not_interfere", "forward keeps something on the layer"),
    (MisspellsItsGradient, "gradients_match_finite_differences", "did you mean 'dw'?"),
    (Adds, LINEAR, "backward adds to dw"),
    (KeepsATable, DIGITS, "self.table of KeepsATable is float64 in a layer of float32"),
    (lambda: Noise(1.0), ROWS, "if that is meant, say so: tags=['stochastic']"),
    (L.BatchNormalization, ROWS, "tags=['couples_rows']"),
    (Flattens, "a_batch_of_one_and_of_none_works", "math.prod(x.shape[1:])"),
    (TakesSequences, LINEAR, "inputs=shapes(2"),
]


@pytest.mark.parametrize(("layer", "law", "words"), SLIPS)
def test_a_broken_law_says_what_it_is_likely_to_come_from(layer, law, words):
    report = check_layer(layer, laws=[law], profile="default")

    said = " ".join(str(report).split())
    assert not report
    assert "Likely cause: " in said and words in said
    assert len(report.failures[0].reason.splitlines()) < 50  # one screen


def test_an_error_that_breaks_many_laws_is_told_once():
    report = check_layer(TakesSequences, laws=[LINEAR, ROWS, DIGITS])

    assert str(report).count("The smallest case") == 1
    assert "The same breaks 2 more of the laws." in str(report)


class Longer(Scaled):
    """Right for short x alone."""

    def backward(self, dy, x):
        return super().backward(dy, x) * (1 if x.size < 100 else 2)


def test_a_long_input_is_shown_by_the_call_that_draws_it():
    report = check_layer(Longer, shapes(1, 1, min_side=60, max_side=60), laws=[ROWS])

    said = report.failures[0].reason
    assert "from backprop.testing import check_law, numbers" in said
    call = next(line for line in said.splitlines() if "x = numbers(" in line)
    x = eval(call.partition("= ")[2], {"numbers": numbers})
    with pytest.raises(AssertionError, match=ROWS):
        check_law(ROWS, Longer(), x=x, training=False, seed=0)


def waves(shape, dtype=None):
    return np.full(shape, 1j)


def test_complex_initial_values_are_refused():
    class Complex(Scaled):
        def build(self, input_shape):
            self.w, self.dw = self.param("w", input_shape[-1:], waves)

    with pytest.raises(TypeError, match="the real part and the imaginary part"):
        Complex()(np.ones((2, 3)))


def test_a_subclass_that_forgets_the_build_of_its_base_is_told():
    class Forgets(Scaled):
        def build(self, input_shape):
            self.b, self.db = self.param("b", input_shape[-1:])

    with pytest.raises(AttributeError, match=r"call super\(\).build\(input_shape\)"):
        Forgets()(np.ones((2, 3)))


def test_what_ships_is_put_to_the_laws_by_one_command(capsys):
    status = selftest.main(["--alarms", "Dense", "--profile", "quick"])

    assert status == 0 and "0 false alarms" in capsys.readouterr().out
