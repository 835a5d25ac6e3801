"""What cases hold besides small, generic ones: parameters of the other sign, upstream gradients as
losses and masks send them, long axes and numbers of another scale."""

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings, strategies as st
from small_layers import Scale

from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers import Dense, Embedding
from backprop.linalg import sum_rows
from backprop.testing import (
    arrays,
    axes,
    check_law,
    check_layer,
    images,
    label_sequences,
    numbers,
    pairs,
    sequences,
    shapes,
    together,
    tokens,
)
from backprop.testing.case import MOODS, Case, Subject
from backprop.testing.drawing import MAIN_FOCI, SCALES, Focus, focused, reset_focus

X = np.random.default_rng(0).standard_normal((5, 4))


def broken(layer, inputs, **options):
    return {r.law for r in check_layer(layer, inputs, **options).results if r.outcome == "broken"}


# -------------------------------------------------------------------------------- parameters


class AbsoluteScale(Scale):
    """dx takes |gamma|."""

    def backward(self, dy, x):
        super().backward(dy, x)
        return np.abs(self.gamma) * dy


class ClippedScale(Scale):
    """dx takes gamma within [-2, 2]."""

    def backward(self, dy, x):
        super().backward(dy, x)
        return np.clip(self.gamma, -2, 2) * dy


class Logarithm(Layer):
    """y = x log sigma + gamma x: sigma has one sign, gamma has both."""

    def build(self, input_shape):
        self.sigma, self.dsigma = self.param("sigma", input_shape[-1:], "ones")
        self.gamma, self.dgamma = self.param("gamma", input_shape[-1:], "ones")
        self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        if (self.sigma <= 0).any():
            raise ValueError("Logarithm expects a positive sigma")
        return x * np.log(self.sigma) + self.gamma * x, x

    def backward(self, dy, x):
        self.dsigma = sum_rows(dy * x) / self.sigma
        self.dgamma = sum_rows(dy * x)
        return dy * (np.log(self.sigma) + self.gamma)


class AbsoluteInLogarithm(Logarithm):
    """dx takes |gamma|."""

    def backward(self, dy, x):
        super().backward(dy, x)
        return dy * (np.log(self.sigma) + np.abs(self.gamma))


class Root(Logarithm):
    """y = x √sigma, which is NaN for a negative sigma."""

    def forward(self, x, ctx=INFERENCE):
        return x * np.sqrt(self.sigma) + self.gamma * x, x

    def backward(self, dy, x):
        self.dsigma = sum_rows(dy * x) / (2 * np.sqrt(self.sigma))
        self.dgamma = sum_rows(dy * x)
        return dy * (np.sqrt(self.sigma) + self.gamma)


@pytest.mark.parametrize("seed", range(5))
def test_a_gradient_that_is_right_for_one_sign_alone_is_found(seed):
    assert gradcheck(Scale(), X, seed=seed)
    assert gradcheck(AbsoluteScale(), X, seed=seed).verdict == "fail"
    assert gradcheck(AbsoluteInLogarithm(), X, seed=seed).verdict == "fail"
    assert "gradients_match_finite_differences" in broken(AbsoluteScale, shapes(), seed=seed)


def test_a_gradient_that_is_right_for_small_parameters_alone_is_found():
    assert "gradients_match_finite_differences" in broken(ClippedScale, shapes())


@pytest.mark.parametrize("layer", [Logarithm, Root])
def test_a_parameter_that_has_but_one_sign_keeps_it(layer):
    for seed in range(5):
        assert gradcheck(layer(), X, seed=seed)
    assert not broken(layer, shapes())


def drawn_parameters(make, seeds=range(60)):
    cases = [Case(make, X, seed=seed) for seed in seeds]
    return np.concatenate([case.subject().parameters[0].value.ravel() for case in cases])


def test_parameters_are_of_both_signs_large_tiny_and_0():
    gamma = drawn_parameters(Scale)

    assert (gamma < 0).mean() > 0.2
    assert (np.abs(gamma) > 2.5).any()
    assert (np.abs(gamma[gamma != 0]) < 0.01).any()
    assert (gamma == 0).any() and (gamma == 1).any()
    assert len(MOODS) == 6


@pytest.mark.parametrize(
    "constraint, holds",
    [
        ("non_neg", lambda w: (w >= 0).all() and (w > 0).any()),
        ("unit_norm", lambda w: np.allclose(np.linalg.norm(w, axis=0), 1)),
        ("max_norm", lambda w: (np.linalg.norm(w, axis=0) < 2.0001).all()),
    ],
)
def test_parameters_stay_within_their_constraint(constraint, holds):
    for seed in range(20):
        case = Case(lambda: Dense(3, kernel_constraint=constraint), X, seed=seed)
        kernel, fresh = (Subject(case, generic=g).parameters[0].value for g in (True, False))

        assert holds(kernel) or np.array_equal(kernel, fresh)


# -------------------------------------------------------------------------------- dy


class ShortcutFor(Scale):
    """dx is wrong by a factor for upstream gradients of some kind."""

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        return dx * (1.5 if dy.size and self.meets(dy) else 1.0)

    def meets(self, dy):
        raise NotImplementedError


class OfRowsOfZeros(ShortcutFor):
    def meets(self, dy):
        rows = dy.reshape(len(dy), -1).any(1)
        return rows.any() and not rows.all()


class OfTheLastStepAlone(ShortcutFor):
    def meets(self, dy):
        return dy.ndim > 2 and dy.shape[1] > 1 and dy[:, -1].any() and not dy[:, :-1].any()


class OfOnes(ShortcutFor):
    def meets(self, dy):
        return (dy == dy.flat[0]).all() and dy.flat[0] == 1


class OfOneNumber(ShortcutFor):
    def meets(self, dy):
        return dy.size > 1 and np.count_nonzero(dy) == 1


class OfTheBroadcast(ShortcutFor):
    def meets(self, dy):
        return dy.ndim > 1 and dy.shape[1] > 1 and dy.strides[1] == 0 and dy.strides[0] != 0


class OfTheHuge(ShortcutFor):
    def meets(self, dy):
        return np.abs(dy).max() > 1e20


class OfTheTiny(ShortcutFor):
    def meets(self, dy):
        return 0 < np.abs(dy).max() < 1e-20


class InPlaceOnTheBroadcast(Scale):
    """dy is multiplied where it lies, if it is broadcast along the first axis."""

    def backward(self, dy, x):
        if dy.ndim > 1 and dy.strides[0] == 0:
            dy *= 1
        return super().backward(dy, x)


@pytest.mark.parametrize("layer", [*ShortcutFor.__subclasses__(), InPlaceOnTheBroadcast])
def test_a_shortcut_for_some_upstream_gradients_is_found(layer):
    assert broken(layer, shapes(1, 3), laws=["backward_is_linear_in_dy"])


# -------------------------------------------------------------------------------- sizes


class WrongBeyond(Scale):
    """dx is wrong by a factor beyond so many numbers along an axis."""

    def __init__(self, length, axis, **kwargs):
        super().__init__(**kwargs)
        self.length, self.axis = length, axis

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        if self.axis < dx.ndim:
            np.moveaxis(dx, self.axis, 0)[self.length :] *= 1.5
        return dx


@pytest.mark.parametrize("length", [8, 32, 64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_mistake_that_begins_further_out_is_found(length, axis):
    found = check_layer(
        lambda: WrongBeyond(length, axis), shapes(2, 2), laws=["gradients_match_finite_differences"]
    )
    (result,) = found.results

    assert result.outcome == "broken"
    shape = result.reason.partition("float64 (")[2].partition(")")[0]
    long = sorted(map(int, shape.split(", ")))[-1]
    assert length < long <= length + 2


class Overflows(Layer):
    """y = log(1 + eˣ), of which dx is clipped beyond 30."""

    def forward(self, x, ctx=INFERENCE):
        return np.logaddexp(0, x), x

    def backward(self, dy, x):
        return dy * np.where(x > 30, 0.9, 1 / (1 + np.exp(-x)))


class ForgetsWhatIsTiny(Layer):
    """y = x² + x, of which dx is 0 for tiny x."""

    def forward(self, x, ctx=INFERENCE):
        return x * x + x, x

    def backward(self, dy, x):
        return dy * np.where(np.abs(x) < 1e-3, 0, 2 * x + 1)


@pytest.mark.parametrize("layer", [Overflows, ForgetsWhatIsTiny])
def test_a_mistake_at_numbers_of_another_scale_is_found(layer):
    assert broken(layer, shapes(), laws=["gradients_match_finite_differences"])


def afresh(strategy):
    """A strategy as for a new case."""
    return st.builds(reset_focus).flatmap(lambda _: strategy)


FREE = {
    "shapes": shapes(),
    "arrays": arrays().map(np.shape),
    "images": images().map(np.shape),
    "sequences": sequences().map(np.shape),
    "tokens": tokens(9).map(np.shape),
    "pairs": pairs().map(lambda drawn: drawn[1].shape),
    "labels": pairs("labels").map(lambda drawn: drawn[1].shape),
    "label_sequences": label_sequences().map(lambda drawn: drawn[1].shape),
    "axes": axes("batch", "t", "n"),
}


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("role", ["rows", "last"])
def test_an_axis_without_bounds_is_long_now_and_then(name, role):
    axis = 0 if role == "rows" else -1

    seldom = settings(max_examples=20_000, phases=[Phase.generate])  # four in a thousand
    assert 100 < find(FREE[name], lambda shape: shape[axis] > 100, settings=seldom)[axis] < 260
    with focused(Focus(role, (65,))):
        shape = find(afresh(FREE[name]), lambda shape: 65 in shape)
    assert shape[axis] == 65 and sum(n > 6 for n in shape) == 1


BOUNDED = {
    "shapes": shapes(1, 3, max_side=4, batch=(1, 4)),
    "arrays": arrays((2, 3), low=0.0, high=1.0).map(np.shape),
    "images": images(1, 4, 2, batch=2).map(np.shape),
    "sequences": sequences((1, 4), 2, batch=(1, 3)).map(np.shape),
    "tokens": tokens(9, (2, 3)).map(np.shape),
    "pairs": pairs(shape=(4, 2)).map(lambda drawn: drawn[1].shape),
    "label_sequences": label_sequences(3, (2, 4), batch=2).map(lambda drawn: drawn[1].shape),
    "axes": axes("batch", "t", 3, max_side=4, batch=(1, 4)),
}


@pytest.mark.parametrize("focus", [None, *MAIN_FOCI], ids=str)
@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_kept(name, focus):
    @settings(max_examples=10, database=None)
    @given(BOUNDED[name])
    def drawn(shape):
        assert max(shape) <= 4

    if focus is None:
        drawn()
        return
    with focused(focus):
        drawn()


@pytest.mark.parametrize("kind", SCALES)
def test_numbers_keep_their_bounds_in_every_kind(kind):
    x = numbers((40, 3), kind, seed=1, low=0.5, high=2.0)

    assert x.min() >= 0.5 and x.max() <= 2.0


def test_numbers_are_of_other_scales():
    size = {kind: np.abs(numbers((50, 4), kind, 3)) for kind in SCALES}

    assert size["large"].max() > 20
    assert size["tiny"].max() < 0.01
    of_columns = size["columns"].max(0)
    assert of_columns.max() > 10 * of_columns.min()
    assert np.ptp(size["constant"]) == 0
    assert len(np.unique(size["repeated"])) < 100


def test_several_inputs_have_one_long_axis_in_common():
    both = together(axes("batch", "t", "n"), axes("batch", "s", "n"))
    with focused(Focus("last", (65,))):
        a, b = find(afresh(both), lambda shapes: shapes[0][2] == 65)

    assert a[2] == b[2] == 65 and max(*a[:2], *b[:2]) <= 4


class OneTableFor256(Embedding):
    """Tokens of 256 and more pay into the row of what is left of them in eight bits."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dembeddings[:256] += self.dembeddings[256:512]
        self.dembeddings[256:512] = 0
        return dx


def test_an_index_in_eight_bits_is_found_in_a_large_vocabulary():
    assert broken(lambda: OneTableFor256(1000, 2), tokens(1000))
    assert not broken(lambda: Embedding(1000, 2), tokens(1000))


def test_what_is_found_is_shown_by_the_smallest_case():
    reason = (
        check_layer(
            lambda: WrongBeyond(32, 0), shapes(), laws=["gradients_match_finite_differences"]
        )
        .failures[0]
        .reason
    )

    assert "float64 (33, 1)" in reason
    with pytest.raises(AssertionError, match="gradients_match"):
        check_law("gradients_match_finite_differences", WrongBeyond(32, 0), np.ones((33, 1)))
