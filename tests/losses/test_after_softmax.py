"""The loss of a softmax's output with both derivatives in one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backprop as bp
from backprop.layers import Chain, Dense, Softmax
from backprop.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy

RNG = np.random.default_rng(0)


def two_ways(loss, z, y, **weights):
    """The value and dL/dz through the softmax's own derivative, and by the shorter way."""
    softmax = Softmax()
    p, cache = softmax.forward(z)
    value, kept = loss.forward(y, p, **weights)
    long = value, softmax.backward(loss.backward(kept), cache)
    value, kept = loss.after_softmax().forward(y, p, **weights)
    return long, (value, loss.after_softmax().backward(kept))


@pytest.mark.parametrize("shape", [(7, 3), (5, 1000), (4, 6, 5), (1, 2), (0, 3)])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1])
def test_the_shorter_way_agrees_with_the_longer_one(shape, reduction, smoothing):
    z, y = RNG.normal(size=shape) * 3, RNG.integers(0, shape[-1], shape[:-1])
    w = RNG.random(shape[0])
    loss = SparseCategoricalCrossentropy(reduction=reduction)
    if smoothing is not None:
        y = np.eye(shape[-1])[y]
        loss = CategoricalCrossentropy(label_smoothing=smoothing, reduction=reduction)
    for weights in ({}, {"sample_weight": w}):
        (a, da), (b, db) = two_ways(loss, z, y, **weights)
        assert_allclose(b, a, rtol=1e-12)
        assert_allclose(db, da, rtol=1e-9, atol=1e-15)


def test_outside_of_the_clip_the_value_is_flat_both_ways():
    z, y = np.array([[0.0, 40.0], [40.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 1])
    for loss, labels in (
        (SparseCategoricalCrossentropy(), y),
        (CategoricalCrossentropy(), np.eye(2)[y]),
    ):
        (a, da), (b, db) = two_ways(loss, z, labels)
        assert_allclose(b, a, rtol=1e-12)
        assert_allclose(db, da, atol=1e-16)
        assert (db[:2] == 0).all() and (db[2] != 0).all()


def test_only_a_loss_that_knows_it_offers_the_shorter_way():
    class Doubled(SparseCategoricalCrossentropy):
        def values(self, y_true, y_pred):
            values, cache = super().values(y_true, y_pred)
            return 2 * values, cache

        def gradient(self, dvalues, cache):
            return 2 * super().gradient(dvalues, cache)

    assert SparseCategoricalCrossentropy().after_softmax() is not None
    assert SparseCategoricalCrossentropy(from_logits=True).after_softmax() is None
    assert SparseCategoricalCrossentropy(ignore_class=0).after_softmax() is None
    assert Doubled().after_softmax() is None
    assert CategoricalCrossentropy().after_softmax() is not None
    assert CategoricalCrossentropy(from_logits=True).after_softmax() is None
    assert bp.losses.KLDivergence().after_softmax() is None


class OwnSoftmax(Softmax):
    """Not known to have the derivative of a softmax: takes the longer way."""

    def backward(self, dy, cache):
        return super().backward(dy, cache)


@pytest.mark.parametrize(
    "layers",
    [
        lambda head: [Dense(4, "relu"), Dense(3, head)],
        lambda head: [Dense(4, "relu"), Dense(3), head],
        lambda head: [Dense(3, head)],
        lambda head: [Dense(4, "tanh"), Chain([Dense(3, head)])],
    ],
)
def test_a_model_has_the_same_gradients_either_way(layers):
    x, y = RNG.normal(size=(6, 5)), RNG.integers(0, 3, 6)
    found = []
    for head in (Softmax(), OwnSoftmax()):
        bp.utils.set_random_seed(3)
        model = bp.Sequential([bp.Input((5,)), *layers(head)], dtype="float64")
        assert model.ends_in_softmax == (type(head) is Softmax)
        model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        logs = model.train_on_batch(x, y)
        found.append((logs, model.parameters.gradients.copy()))
    assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-15)
    assert found[0][0] == pytest.approx(found[1][0])


def test_a_first_layer_that_ends_in_softmax_sets_its_gradients():
    layer = Dense(3, "softmax")
    x, dz = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=(4, 3)).astype(np.float32)
    layer(x)
    _, cache = layer.forward(x)
    assert layer.backward_logits(dz, cache, dx=False) is None
    assert_allclose(layer.dkernel, x.T @ dz, rtol=1e-6)
    assert_allclose(layer.backward_logits(dz, cache), dz @ layer.kernel.T, rtol=1e-6)
