"""Every loss of the library: its values, its gradient, its numbers beside Keras'. CTC, which takes
sequences, is in test_ctc.py, and Circle, which compares samples, in test_circle.py."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from finite_differences import assert_loss_gradient
from hypothesis import given, strategies as st

from backprop import losses
from backprop.gradcheck import gradcheck
from backprop.losses import Loss

ELSEWHERE = {losses.CTC, losses.Circle}
CLASSES = [
    item
    for item in vars(losses).values()
    if inspect.isclass(item) and issubclass(item, Loss) and item not in {Loss, *ELSEWHERE}
]


def away(rng, shape, low, high):
    """Numbers of either sign, none of them near 0."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(low, high, shape)


def apart(rng, shape):
    """Scores of which no two of a row are near one another, nor near 0."""
    return rng.permuted(np.broadcast_to(0.3 * np.arange(shape[-1]) + 0.13, shape), axis=-1)


def probabilities(rng, shape):
    return rng.uniform(0.1, 0.9, shape)  # not normalised: the losses do that


def one_hot(rng, shape):
    return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]


def labels(rng, shape):
    return rng.integers(shape[-1], size=shape[:-1])


def bits(rng, shape):
    return rng.integers(2, size=shape).astype(float)


def around(offset):
    """Targets, and predictions that miss them by `offset`."""

    def draw(rng, shape):
        y_true = rng.standard_normal(shape)
        return y_true, y_true + offset(rng, shape)

    return draw


def both(targets, predictions):
    return lambda rng, shape: (targets(rng, shape), predictions(rng, shape))


def normal(rng, shape):
    return rng.standard_normal(shape)


def margins(rng, shape):
    y_true = rng.choice([-1.0, 1.0], shape)
    return y_true, y_true * (1 - away(rng, shape, 0.1, 2.0))


def margins_of_bits(rng, shape):
    y_true, y_pred = margins(rng, shape)
    return (y_true + 1) / 2, y_pred


def soft_margins(rng, shape):
    y_true = away(rng, shape, 0.5, 2.0)
    return y_true, (1 - away(rng, shape, 0.1, 2.0)) / y_true


def huber_errors(delta):
    def draw(rng, shape):
        inside = rng.random(shape) < 0.5
        size = np.where(inside, rng.uniform(0.1, 0.9, shape), rng.uniform(1.1, 3.0, shape))
        return delta * size * rng.choice([-1.0, 1.0], shape)

    return around(draw)


def positive(rng, shape):
    return rng.uniform(0.2, 3.0, shape)


def percentages(rng, shape):
    y_true = away(rng, shape, 0.5, 2.0)
    return y_true, y_true + away(rng, shape, 0.1, 2.0)


def twice(means, spreads):
    """Twice as many numbers as there are targets."""
    return lambda rng, shape: np.concatenate([means(rng, shape), spreads(rng, shape)], -1)


def three_around(rng, shape):
    """A target at each place, and three predictions that miss it."""
    y_true = rng.standard_normal(shape[:-1])
    return y_true, y_true[..., None] + away(rng, (*shape[:-1], 3), 0.1, 2.0)


# class, arguments, how to draw (y_true, y_pred) of a shape at points where the loss is smooth
CASES: list[tuple[type[Loss], dict[str, Any], Any]] = [
    (losses.MeanSquaredError, {}, both(normal, normal)),
    (losses.MeanAbsoluteError, {}, around(lambda r, s: away(r, s, 0.1, 2.0))),
    (losses.MeanAbsolutePercentageError, {}, percentages),
    (losses.MeanSquaredLogarithmicError, {}, both(positive, positive)),
    (losses.Huber, {}, huber_errors(1.0)),
    (losses.Huber, {"delta": 0.3}, huber_errors(0.3)),
    (losses.LogCosh, {}, both(normal, normal)),
    (losses.CosineSimilarity, {}, both(normal, normal)),
    (losses.CosineSimilarity, {"axis": -2}, both(normal, normal)),
    (losses.KLDivergence, {}, both(probabilities, probabilities)),
    (losses.Poisson, {}, both(positive, positive)),
    (losses.BinaryCrossentropy, {}, both(bits, probabilities)),
    (losses.BinaryCrossentropy, {"from_logits": True}, both(bits, normal)),
    (losses.BinaryCrossentropy, {"label_smoothing": 0.2}, both(bits, probabilities)),
    (losses.BinaryCrossentropy, {"axis": -2}, both(bits, probabilities)),
    (losses.CategoricalCrossentropy, {}, both(one_hot, probabilities)),
    (losses.CategoricalCrossentropy, {}, both(probabilities, probabilities)),
    (losses.CategoricalCrossentropy, {"from_logits": True}, both(one_hot, normal)),
    (losses.CategoricalCrossentropy, {"from_logits": True}, both(probabilities, normal)),
    (losses.CategoricalCrossentropy, {"label_smoothing": 0.2}, both(one_hot, probabilities)),
    (
        losses.CategoricalCrossentropy,
        {"axis": -2, "label_smoothing": 0.1},
        both(one_hot, probabilities),
    ),
    (losses.CategoricalCrossentropy, {"axis": -2, "from_logits": True}, both(one_hot, normal)),
    (losses.SparseCategoricalCrossentropy, {}, both(labels, probabilities)),
    (losses.SparseCategoricalCrossentropy, {"from_logits": True}, both(labels, normal)),
    (losses.SparseCategoricalCrossentropy, {"ignore_class": 1}, both(labels, probabilities)),
    (
        losses.SparseCategoricalCrossentropy,
        {"ignore_class": 0, "from_logits": True},
        both(labels, normal),
    ),
    (losses.Hinge, {}, margins),
    (losses.Hinge, {}, margins_of_bits),
    (losses.Hinge, {}, soft_margins),
    (losses.SquaredHinge, {}, margins),
    (losses.SquaredHinge, {}, soft_margins),
    (losses.CategoricalHinge, {}, both(one_hot, apart)),
    (losses.CategoricalHinge, {}, both(one_hot, lambda r, s: apart(r, s) - 0.77)),
    (losses.BinaryFocalCrossentropy, {}, both(bits, probabilities)),
    (
        losses.BinaryFocalCrossentropy,
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "from_logits": True},
        both(bits, normal),
    ),
    (
        losses.BinaryFocalCrossentropy,
        {"gamma": 0.5, "axis": -2, "label_smoothing": 0.2},
        both(bits, probabilities),
    ),
    (losses.BinaryFocalCrossentropy, {"gamma": 0.0}, both(bits, probabilities)),
    (losses.CategoricalFocalCrossentropy, {}, both(one_hot, probabilities)),
    (losses.CategoricalFocalCrossentropy, {"from_logits": True}, both(one_hot, normal)),
    (
        losses.CategoricalFocalCrossentropy,
        {"alpha": 0.5, "gamma": 0.5, "label_smoothing": 0.2, "axis": -2},
        both(one_hot, probabilities),
    ),
    (losses.CategoricalGeneralizedCrossEntropy, {}, both(labels, probabilities)),
    (losses.CategoricalGeneralizedCrossEntropy, {"q": 0.7}, both(labels, probabilities)),
    (losses.Dice, {"axis": -1}, both(bits, probabilities)),
    (losses.Dice, {}, both(probabilities, probabilities)),
    (losses.Tversky, {"axis": (-1,)}, both(bits, probabilities)),
    (losses.Tversky, {"alpha": 0.3, "beta": 1.5}, both(bits, probabilities)),
    (losses.GaussianNLL, {}, both(normal, twice(normal, normal))),
    (
        losses.GaussianNLL,
        {"full": True, "spread": "variance"},
        both(normal, twice(normal, positive)),
    ),
    (losses.Quantile, {"quantile": 0.3}, around(lambda r, s: away(r, s, 0.1, 2.0))),
    (losses.Quantile, {"quantile": [0.1, 0.5, 0.9]}, three_around),
]
IDS = [f"{cls.__name__}-{kwargs}" for cls, kwargs, _ in CASES]
every_case = pytest.mark.parametrize(("cls", "kwargs", "draw"), CASES, ids=IDS)

shapes = st.tuples(
    st.lists(st.integers(1, 4), min_size=1, max_size=2),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
rules = st.sampled_from(["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"])


def drawn(draw, shape_and_seed):
    leading, k, seed = shape_and_seed
    rng = np.random.default_rng(seed)
    return rng, *draw(rng, (*leading, k))


def test_every_loss_of_the_library_is_certified_here():
    assert {cls for cls, _, _ in CASES} == set(CLASSES)
    assert len(CLASSES) >= 18
    assert {*CLASSES, *ELSEWHERE} == set(losses.REGISTRY.classes.values())


@every_case
@given(where=shapes, reduction=rules, weighted=st.booleans())
def test_gradient_agrees_with_central_differences(cls, kwargs, draw, where, reduction, weighted):
    rng, y_true, y_pred = drawn(draw, where)
    loss = cls(**kwargs, reduction=reduction)
    values = loss.per_sample(y_true, y_pred)
    weights = rng.uniform(0.5, 2.0, values.shape) if weighted else None

    assert_loss_gradient(loss, y_true, y_pred, sample_weight=weights)


@every_case
def test_gradient_passes_on_what_comes_from_above(cls, kwargs, draw):
    rng = np.random.default_rng(0)
    y_true, y_pred = draw(rng, (4, 3))
    loss = cls(**kwargs, reduction="none")
    values, cache = loss.forward(y_true, y_pred)
    dvalues = rng.standard_normal(values.shape)
    weighted = cls(**kwargs, reduction="sum").forward(y_true, y_pred, sample_weight=dvalues)[1]

    np.testing.assert_allclose(
        loss.backward(cache, dvalues), loss_of(cls, kwargs).backward(weighted)
    )


def loss_of(cls, kwargs):
    return cls(**kwargs, reduction="sum")


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient_keep_the_dtype_of_the_prediction(cls, kwargs, draw, dtype):
    y_true, y_pred = draw(np.random.default_rng(0), (4, 3))
    loss = cls(**kwargs)
    y_pred = y_pred.astype(dtype)

    value, cache = loss.forward(y_true, y_pred)

    assert value.dtype == dtype and value.shape == ()
    assert loss.backward(cache).dtype == dtype
    assert loss.per_sample(y_true, y_pred).dtype == dtype
    weighted, cache = loss.forward(y_true, y_pred, sample_weight=np.float64(0.5))
    assert weighted.dtype == dtype and loss.backward(cache).dtype == dtype


@every_case
def test_nothing_is_written_into_inputs_or_cache(cls, kwargs, draw):
    y_true, y_pred = draw(np.random.default_rng(0), (4, 3))
    before = y_true.copy(), y_pred.copy()
    y_true.flags.writeable = y_pred.flags.writeable = False
    loss = cls(**kwargs)

    _, cache = loss.forward(y_true, y_pred)
    first = loss.backward(cache).copy()

    np.testing.assert_array_equal(loss.backward(cache), first)
    np.testing.assert_array_equal(y_true, before[0])
    np.testing.assert_array_equal(y_pred, before[1])


@every_case
def test_an_empty_batch_costs_nothing(cls, kwargs, draw):
    y_true, y_pred = draw(np.random.default_rng(0), (4, 3, 3))
    loss = cls(**kwargs)

    value, cache = loss.forward(y_true[:0], y_pred[:0])

    # one value for a whole batch, of nothing to find and nothing found, is 1 as in Keras
    assert value == float(loss.per_sample(y_true, y_pred).ndim == 0)
    assert loss.backward(cache).shape == y_pred[:0].shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_logits_of_any_size_are_exact(dtype, size):
    z = np.array([[size, 0.0, -size]], dtype)
    eye = np.eye(3)[[0]]
    away_from_label = max(-size, 0) * 2
    for loss, y_true in [
        (losses.CategoricalCrossentropy(from_logits=True), eye),
        (losses.SparseCategoricalCrossentropy(from_logits=True), np.array([0])),
    ]:
        value, cache = loss.forward(y_true, z)
        assert value == away_from_label
        wanted = [[0, 0, 0]] if size > 0 else [[-1, 0, 1]]
        np.testing.assert_array_equal(loss.backward(cache), wanted)

    binary = losses.BinaryCrossentropy(from_logits=True, reduction="sum")
    value, cache = binary.forward(np.array([[1.0], [0.0]]), z[:, :1].repeat(2, 0))
    assert value == 1e4
    np.testing.assert_array_equal(
        binary.backward(cache), [[0.0], [1.0]] if size > 0 else [[-1.0], [0.0]]
    )


EXTREME = [
    case
    for case in CASES
    if case[0] is not losses.Poisson and case[0] is not losses.CategoricalGeneralizedCrossEntropy
]


@pytest.mark.parametrize(
    ("cls", "kwargs", "draw"), EXTREME, ids=[f"{c.__name__}-{k}" for c, k, _ in EXTREME]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_predictions_give_finite_values_without_a_warning(cls, kwargs, draw, dtype):
    y_true, drawn = draw(np.random.default_rng(0), (6, 3))
    probability = not kwargs.get("from_logits") and "entropy" in cls.__name__
    extremes = [0.0, 1e-9, 1.0] if probability else [1e4, -1e4, 0.0]
    y_pred = np.random.default_rng(1).choice(extremes, drawn.shape).astype(dtype)
    y_pred[0] = 0

    loss = cls(**kwargs)
    value, cache = loss.forward(y_true, y_pred)

    assert np.isfinite(value)
    assert np.isfinite(loss.backward(cache)).all()


@pytest.mark.parametrize("cls", [losses.Poisson, losses.CategoricalGeneralizedCrossEntropy])
def test_a_prediction_of_zero_stays_finite(cls):
    y_true = np.array([[1.0, 0.0]]) if cls is losses.Poisson else np.array([1])
    value, cache = cls().forward(y_true, np.zeros((1, 2)))

    assert np.isfinite(value)
    assert np.isfinite(cls().backward(cache)).all()


LOG2 = np.log(2)
BY_HAND = [
    (losses.MeanSquaredError(), [[1.0, 2.0]], [[3.0, 1.0]], 2.5, [[2.0, -1.0]]),
    (losses.MeanAbsoluteError(), [[1.0, 2.0]], [[3.0, 1.0]], 1.5, [[0.5, -0.5]]),
    (losses.MeanAbsolutePercentageError(), [[2.0, -4.0]], [[3.0, -5.0]], 37.5, [[25.0, -12.5]]),
    (losses.MeanSquaredLogarithmicError(), [[0.5]], [[2.0]], LOG2**2, [[2 * LOG2 / 3]]),
    (losses.Huber(), [[0.0, 0.0]], [[0.5, -3.0]], (0.125 + 2.5) / 2, [[0.25, -0.5]]),
    (losses.LogCosh(), [[0.0]], [[np.log(2)]], np.log(1.25), [[0.6]]),
    (losses.CosineSimilarity(), [[2.0, 0.0]], [[3.0, 4.0]], -0.6, [[-0.128, 0.096]]),
    (losses.KLDivergence(), [[0.5, 0.5]], [[0.25, 1.0]], 0.0, [[-2.0, -0.5]]),
    (losses.Poisson(), [[2.0]], [[1.0]], 1.0, [[-1.0]]),
    (losses.BinaryCrossentropy(), [[1.0, 0.0]], [[0.5, 0.5]], LOG2, [[-1.0, 1.0]]),
    (losses.BinaryCrossentropy(from_logits=True), [[1.0]], [[0.0]], LOG2, [[-0.5]]),
    (losses.CategoricalCrossentropy(), [[1.0, 0.0]], [[1.0, 1.0]], LOG2, [[-0.5, 0.5]]),
    (
        losses.CategoricalCrossentropy(from_logits=True),
        [[1.0, 0.0]],
        [[0.0, np.log(3)]],
        2 * LOG2,
        [[-0.75, 0.75]],
    ),
    (losses.SparseCategoricalCrossentropy(), [1], [[3.0, 1.0]], 2 * LOG2, [[0.25, -0.75]]),
    (
        losses.SparseCategoricalCrossentropy(from_logits=True),
        [0],
        [[0.0, np.log(3)]],
        2 * LOG2,
        [[-0.75, 0.75]],
    ),
    (losses.Hinge(), [[1.0, -1.0]], [[0.5, -2.0]], 0.25, [[-0.5, 0.0]]),
    (losses.SquaredHinge(), [[1.0, -1.0]], [[0.5, -2.0]], 0.125, [[-0.5, 0.0]]),
    (losses.CategoricalHinge(), [[0.0, 1.0]], [[2.0, 1.5]], 1.5, [[1.0, -1.0]]),
    (
        losses.BinaryFocalCrossentropy(gamma=1.0),
        [[1.0]],
        [[0.5]],
        LOG2 / 2,
        [[-LOG2 - 1.0]],
    ),
    (
        losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=1.0),
        [[1.0, 0.0]],
        [[0.5, 0.5]],
        LOG2 / 2,
        [[-0.5 * (LOG2 + 1.0), 0.5 * (LOG2 + 1.0)]],
    ),
    (losses.CategoricalGeneralizedCrossEntropy(), [0], [[0.25, 0.75]], 1.0, [[-2.0, 0.0]]),
    (losses.Dice(), [[1.0, 0.0]], [[0.5, 0.5]], 0.5, [[-0.75, 0.25]]),
    (losses.Tversky(1.0, 0.5), [[1.0, 0.0]], [[0.5, 0.5]], 0.6, [[-0.8, 0.16]]),
    (losses.GaussianNLL(), [[1.0]], [[3.0, 2 * LOG2]], LOG2 + 0.5, [[0.5, 0.0]]),
    (losses.Quantile([0.25, 0.75]), [1.0], [[0.0, 3.0]], 0.375, [[-0.125, 0.125]]),
]


@pytest.mark.parametrize("logit", [4.0, 12.0, 15.0, -12.0])
def test_binary_focal_crossentropy_of_large_logits_keeps_the_digits_of_float32(logit):
    loss = losses.BinaryFocalCrossentropy(from_logits=True)
    t, z = np.array([[float(logit > 0)]]), np.array([[logit]])

    (narrow, narrow_dz), (wide, wide_dz) = (
        (value, loss.backward(cache, np.ones_like(value)))
        for value, cache in (loss.forward(t.astype(d), z.astype(d)) for d in ("f4", "f8"))
    )

    assert narrow.dtype == narrow_dz.dtype == np.float32
    np.testing.assert_allclose(narrow, wide, rtol=1e-5)
    np.testing.assert_allclose(narrow_dz, wide_dz, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "value", "dy_pred"), BY_HAND, ids=[repr(c[0]) for c in BY_HAND]
)
def test_value_and_gradient_worked_out_by_hand(loss, y_true, y_pred, value, dy_pred):
    found, cache = loss.forward(np.array(y_true), np.array(y_pred))

    np.testing.assert_allclose(found, value, atol=1e-6)
    np.testing.assert_allclose(loss.backward(cache), dy_pred, atol=2e-6)


def test_every_loss_has_a_value_worked_out_by_hand():
    assert {type(case[0]) for case in BY_HAND} == set(CLASSES)


KINKS = [
    (losses.MeanAbsoluteError(), [[1.0]], [[1.0]], [[0.0]]),
    (losses.MeanAbsolutePercentageError(), [[1.0]], [[1.0]], [[0.0]]),
    (losses.MeanSquaredLogarithmicError(), [[1.0, 1.0]], [[-1.0, 1e-7]], [[0.0, 0.0]]),
    (losses.Hinge(), [[1.0]], [[1.0]], [[0.0]]),
    (losses.CategoricalHinge(), [[1.0, 0.0]], [[2.0, 1.0]], [[0.0, 0.0]]),
    (losses.BinaryCrossentropy(), [[1.0, 1.0]], [[0.0, 1.0]], [[0.0, 0.0]]),
    (losses.CategoricalCrossentropy(), [[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]),
    (losses.SparseCategoricalCrossentropy(), [0], [[0.0, 1.0]], [[0.0, 0.0]]),
    (losses.KLDivergence(), [[0.5, 0.5]], [[-1.0, 2.0]], [[0.0, 0.0]]),
    (losses.CategoricalFocalCrossentropy(), [[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]),
    (losses.Dice(), [[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]),
    (losses.Tversky(), [[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]),
    (losses.GaussianNLL(), [[1.0]], [[1.0, -20.0]], [[0.0, 0.0]]),
    (losses.GaussianNLL("variance"), [[1.0]], [[1.0, -1.0]], [[0.0, 0.0]]),
    (losses.Quantile(0.9), [[1.0]], [[1.0]], [[0.0]]),
]


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "dy_pred"), KINKS)
def test_gradient_at_kinks_and_outside_the_clip_is_zero(loss, y_true, y_pred, dy_pred):
    _, cache = loss.forward(np.array(y_true), np.array(y_pred))

    np.testing.assert_array_equal(loss.backward(cache), dy_pred)


def test_focal_damping_acts_outside_the_clip_where_the_cross_entropy_is_flat():
    loss = losses.BinaryFocalCrossentropy()  # values = f² c with f = 1, f' = -1 and c = log 1e7
    _, cache = loss.forward(np.array([[1.0]]), np.array([[0.0]]))

    np.testing.assert_allclose(loss.backward(cache), [[-2 * np.log(1e7)]])


def test_classes_may_lie_along_any_axis():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 3, 4))
    y = rng.integers(3, size=(2, 4))
    for from_logits, y_pred in [(True, z), (False, np.exp(z))]:
        moved = losses.SparseCategoricalCrossentropy(from_logits, axis=1)
        plain = losses.SparseCategoricalCrossentropy(from_logits)

        value, cache = moved.forward(y, y_pred)
        wanted, plain_cache = plain.forward(y, y_pred.swapaxes(1, 2))

        np.testing.assert_allclose(value, wanted)
        np.testing.assert_allclose(
            moved.backward(cache), plain.backward(plain_cache).swapaxes(1, 2)
        )
        assert_loss_gradient(moved, y, y_pred)


def test_narrow_and_wide_rows_find_the_same_maximum():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((3, 100)) * 50  # beyond 64 classes rows are reduced in another way
    y = rng.integers(60, size=3)
    z[:, 60:] = -1e4
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)

    np.testing.assert_allclose(loss(y, z), loss(y, z[:, :60]), rtol=1e-13)


def test_ignored_labels_count_for_nothing_whatever_was_predicted_there():
    y = np.array([0, 255, 1])
    z = np.array([[0.0, 1.0], [np.nan, np.inf], [2.0, 0.0]])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)

    value, cache = loss.forward(y, z)

    np.testing.assert_allclose(value, loss(y[[0, 2]], z[[0, 2]]))
    dy = loss.backward(cache)
    np.testing.assert_array_equal(dy[1], 0)
    assert np.abs(dy[[0, 2]]).min() > 0


def test_all_labels_ignored_cost_nothing():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)

    value, cache = loss.forward(np.array([-1, -1]), np.full((2, 3), 1 / 3))

    assert value == 0
    np.testing.assert_array_equal(loss.backward(cache), np.zeros((2, 3)))


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_labels_may_be_a_column_or_floats(from_logits):
    y_pred = np.array([[0.2, 0.8], [0.6, 0.4]])
    loss = losses.SparseCategoricalCrossentropy(from_logits)
    wanted = loss(np.array([1, 0]), y_pred)

    for y_true in ([[1], [0]], [1.0, 0.0], [[1.0], [0.0]], [True, False]):
        assert loss(y_true, y_pred) == wanted


def test_log_cosh_is_exact_for_small_errors():
    d = np.array([[1e-3]], np.float32)

    np.testing.assert_allclose(losses.LogCosh()(0 * d, d), 0.5e-6, rtol=1e-3)


def test_torch_finds_the_same_gradients():
    torch = pytest.importorskip("torch", reason="torch is the peer for gradients")
    rng = np.random.default_rng(0)
    shape = (5, 4)
    n = rng.standard_normal(shape)
    p = rng.uniform(0.1, 0.9, shape)
    t = bits(rng, shape)
    y = labels(rng, shape)
    f = torch.nn.functional
    tt, ty = torch.tensor(t), torch.tensor(y)
    smooth = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    pairs = [
        (losses.MeanSquaredError(), t, n, lambda x: f.mse_loss(x, tt)),
        (losses.MeanAbsoluteError(), t, n, lambda x: f.l1_loss(x, tt)),
        (losses.Huber(0.5), t, n, lambda x: f.huber_loss(x, tt, delta=0.5)),
        (losses.BinaryCrossentropy(), t, p, lambda x: f.binary_cross_entropy(x, tt)),
        (
            losses.BinaryCrossentropy(from_logits=True),
            t,
            n,
            lambda x: f.binary_cross_entropy_with_logits(x, tt),
        ),
        (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            y,
            n,
            lambda x: f.cross_entropy(x, ty),
        ),
        (smooth, np.eye(4)[y], n, lambda x: f.cross_entropy(x, ty, label_smoothing=0.1)),
        (
            losses.SparseCategoricalCrossentropy(),
            y,
            p,
            lambda x: f.nll_loss(torch.log(x / x.sum(-1, keepdim=True)), ty),
        ),
        (losses.Poisson(), t, p, lambda x: f.poisson_nll_loss(x, tt, log_input=False, eps=1e-7)),
        (
            losses.CosineSimilarity(),
            n[::-1],
            n,
            lambda x: -f.cosine_similarity(x, torch.tensor(n[::-1].copy())).mean(),
        ),
        (
            losses.GaussianNLL("variance", full=True),
            t[:, :2],
            p,
            lambda x: f.gaussian_nll_loss(x[:, :2], tt[:, :2], x[:, 2:], full=True),
        ),
        (
            losses.GaussianNLL(),
            t[:, :2],
            n,
            lambda x: f.gaussian_nll_loss(x[:, :2], tt[:, :2], torch.exp(x[:, 2:])),
        ),
    ]
    for loss, y_true, y_pred, peer in pairs:
        x = torch.tensor(y_pred, requires_grad=True)
        wanted = peer(x)
        wanted.backward()

        value, cache = loss.forward(y_true, y_pred)

        np.testing.assert_allclose(value, wanted.item(), rtol=1e-9, err_msg=repr(loss))
        np.testing.assert_allclose(
            loss.backward(cache), x.grad.numpy(), rtol=1e-6, atol=1e-12, err_msg=repr(loss)
        )


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.9, 1.0, 2.0])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("p", [1e-5, 1e-9, 1e-12])
def test_a_focal_loss_knows_its_slope_where_nothing_is_foreseen(gamma, from_logits, p):
    loss = losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=from_logits)
    y_pred = np.array([[np.log(p / (1 - p)) if from_logits else p]])

    assert gradcheck(loss, (np.zeros((1, 1)), y_pred))


@pytest.mark.parametrize("gamma", [1e-4, 0.1, 0.5])
@pytest.mark.parametrize("from_logits", [False, True])
def test_a_focal_loss_is_finite_where_its_slope_is_not(gamma, from_logits):
    loss = losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=from_logits)
    far = [-1000.0, -100.0, -87.0, 87.0, 100.0, 1000.0]
    y_pred = np.array([far if from_logits else [0, 1e-45, 1e-38, 1, 1, 1]], np.float32)
    for label in (0.0, 1.0):
        _, cache = loss.forward(np.full_like(y_pred, label), y_pred)

        assert np.isfinite(loss.backward(cache)).all()
