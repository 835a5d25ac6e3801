"""The circle loss, whose values depend on all samples of a batch: beside a loop, finite differences
and Keras."""

import numpy as np
import pytest
import reference
from finite_differences import assert_loss_gradient
from hypothesis import given, strategies as st
from keras_parity import close, keras_in

import backprop as bp
from backprop import losses
from backprop.losses import Circle

seeds = st.integers(0, 2**16)
options = st.fixed_dictionaries(
    {
        "gamma": st.sampled_from([1.0, 16.0, 80.0]),
        "margin": st.sampled_from([0.4, 0.1, 0.7]),
        "remove_diagonal": st.booleans(),
    }
)
reductions = st.sampled_from(["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])


def embeddings(seed, dtype="float64", n=6, d=3, classes=3):
    rng = np.random.default_rng(seed)
    p = rng.standard_normal((n, d))
    return rng.integers(classes, size=n), (p / np.linalg.norm(p, axis=1)[:, None]).astype(dtype)


def mild(seed):
    """Labels and embeddings of which no two are alike, where the loss has a kink; or None."""
    y, p = embeddings(seed)
    near = np.abs(p @ p.T) > 0.999
    np.fill_diagonal(near, False)
    return None if near.any() else (y, p)


@given(seed=seeds, options=options)
def test_values_are_those_of_a_loop(seed, options):
    y, p = embeddings(seed)

    found = Circle(**options, reduction="none")(y, p)

    np.testing.assert_allclose(found, reference.circle(y, p, **options), rtol=1e-10, atol=1e-300)


@given(seed=seeds, options=options, reduction=reductions, weighted=st.booleans())
def test_gradient_agrees_with_central_differences(seed, options, reduction, weighted):
    drawn = mild(seed)
    if drawn is None:
        return
    y, p = drawn
    w = np.random.default_rng(seed).uniform(0.5, 2, len(y)) if weighted else None
    p = 0.95 * p  # off the kink that a sample has with itself

    assert_loss_gradient(Circle(**options, reduction=reduction), y, p, sample_weight=w, tol=1e-5)


@given(seed=seeds, options=options, reduction=reductions, weighted=st.booleans())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_those_of_keras(dtype, seed, options, reduction, weighted):
    y, p = embeddings(seed, dtype)
    w = np.random.default_rng(seed).uniform(0.5, 2, len(y)).astype(dtype) if weighted else None

    found = Circle(**options, reduction=reduction)(y, p, w)

    with keras_in(dtype) as keras, np.errstate(all="ignore"):
        peer = keras.losses.Circle(**options, reduction=reduction, dtype=dtype)
        wanted = np.asarray(peer(y, p, sample_weight=w))
    scale = 40 if dtype == "float32" else 1  # exponents of 80 times a cosine have errors of 1e-5
    tolerance = {k: v * scale for k, v in close(dtype).items()}
    np.testing.assert_allclose(found, wanted, **tolerance)


@pytest.mark.parametrize("remove_diagonal", [True, False])
def test_the_function_takes_references_as_that_of_keras(remove_diagonal):
    (y, p), (labels, others) = embeddings(0), embeddings(1, n=9)
    given = (y, p, labels, others, remove_diagonal, 10.0, 0.3)

    found = losses.circle(*given)

    with keras_in("float64") as keras:
        np.testing.assert_allclose(found, np.asarray(keras.losses.circle(*given)), rtol=1e-9)
    with pytest.raises(ValueError, match=r"ref_embeddings of shape \(9, 3\)"):
        losses.circle(y, p, labels, others[:5])


def test_a_value_worked_out_by_hand():
    # u is 0 with oneself and one's twin, 1 with the others; gamma = 1, m = 0.4: a = -0.16 for the
    # twin; b = 0.4 * -0.4 = -0.16 for each of two others
    y, p = np.array([0, 1, 0, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])

    found = Circle(gamma=1.0)(y, p)

    assert found == pytest.approx(np.log1p(np.exp(-0.16) * 2 * np.exp(-0.16)), rel=1e-12)


@pytest.mark.parametrize("y", [[0, 1, 2, 3], [5, 5, 5, 5], [0]])
def test_a_batch_without_pairs_costs_nothing(y):
    _, p = embeddings(0, n=len(y))
    loss = Circle()

    value, cache = loss.forward(np.array(y), p)

    assert value == 0
    np.testing.assert_array_equal(loss.backward(cache), np.zeros_like(p))


def test_a_mean_is_over_the_samples_that_cost_something():
    y, p = np.array([0, 0, 1]), embeddings(0, n=3)[1]  # the third has no other of its class
    values = Circle(reduction="none")(y, p)

    assert values[2] == 0
    assert Circle()(y, p) == pytest.approx(values.sum() / 2)


def test_masked_samples_are_in_no_pair():
    y, p = embeddings(3, n=8, classes=2)
    real = np.array([True] * 5 + [False] * 3)
    p[5] = np.nan
    loss = Circle(gamma=8.0)

    value, cache = loss.forward(y, p, mask=real)

    assert value == pytest.approx(loss(y[:5], p[:5]), rel=1e-12)
    dy = loss.backward(cache)
    np.testing.assert_array_equal(dy[5:], 0)
    wanted = loss.backward(loss.forward(y[:5], p[:5])[1])
    np.testing.assert_allclose(dy[:5], wanted, rtol=1e-10, atol=1e-14)


def test_collapsed_embeddings_are_finite():
    p = np.tile([[0.6, 0.8]], (4, 1)).astype("float32")
    loss = Circle()

    value, cache = loss.forward(np.array([0, 0, 1, 1]), p)

    assert np.isfinite(value) and np.isfinite(loss.backward(cache)).all()


@pytest.mark.parametrize(
    ("y_true", "y_pred", "words"),
    [
        (np.eye(3), np.eye(3), "of one-hot labels take"),
        (np.arange(3), np.ones((3, 2, 2)), "an embedding for each sample"),
        (np.arange(2), np.eye(3), "class numbers of shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(y_true, y_pred, words):
    with pytest.raises(ValueError, match=words):
        Circle()(y_true, y_pred)


def test_labels_that_are_no_whole_numbers_are_refused_before_training():
    with pytest.raises(ValueError, match=r"whole numbers as labels and got 0\.5"):
        Circle().check(np.array([0.0, 0.5]), (None, 3))


def test_an_epoch_of_training_brings_classes_together():
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=120)
    x = np.eye(3)[y] + 0.6 * rng.standard_normal((120, 3))
    model = bp.Sequential([bp.layers.Dense(8, "tanh"), bp.layers.Dense(2)])
    model.add(bp.layers.UnitNormalization())
    model.compile("adam", bp.losses.Circle(gamma=16.0))

    history = model.fit(x, y, epochs=30, batch_size=40, verbose=0).history["loss"]

    assert history[-1] < 0.95 * history[0]
