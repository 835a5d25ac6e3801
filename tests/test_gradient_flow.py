"""Gradients neither vanish nor explode on their way through fifty layers, if these start well.

Two norms are looked at: |dL/dkernel|, which an optimizer sees, and |dL/dz|, what reaches a layer
from above. The first is the product of the second with the layer's input, so in a network whose
signals shrink on the way up as gradients do on the way down, it is equally small everywhere; the
second shows that the way is at fault.
"""

import numpy as np
import pytest

import backprop as bp
from backprop.initializers import RandomNormal
from backprop.layers import Dense

WIDTH, BATCH = 100, 64
SEEDS = range(5)
STARTS = [
    ("tanh", "glorot_uniform"),
    ("tanh", "glorot_normal"),
    ("relu", "he_uniform"),
    ("relu", "he_normal"),
]


def gradient_norms(activation, initializer, seed, depth=50, dtype="float32"):
    """|dL/dkernel| and |dL/dz| of every layer of a network at its start, for random data."""
    bp.utils.set_random_seed(seed)
    layers = [Dense(WIDTH, activation, kernel_initializer=initializer) for _ in range(depth)]
    model = bp.Sequential([bp.Input((WIDTH,)), *layers], dtype=dtype)
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, BATCH, WIDTH)).astype(dtype)
    caches = []
    for layer in layers:
        x, cache = layer.forward(x, bp.layer.TRAINING)
        caches.append(cache)
    loss = bp.losses.MeanSquaredError()
    dy = loss.backward(loss.forward(y, x)[1])
    flow = []
    for layer, (_, a) in zip(reversed(layers), reversed(caches), strict=True):
        flow.append(np.linalg.norm(layer.activation.backward(dy, a)))
        dy = layer.backward(dy, (_, a))
    assert model.built
    return np.array([np.linalg.norm(layer.dkernel) for layer in layers]), np.array(flow[::-1])


def first_to_last(norms):
    return norms[0] / norms[-1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation, initializer", STARTS)
def test_the_first_layer_learns_as_fast_as_the_last(activation, initializer, seed):
    kernels, flow = gradient_norms(activation, initializer, seed)

    assert 1 / 30 < first_to_last(kernels) < 30
    assert 1 / 30 < first_to_last(flow) < 30


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_small_weights_let_gradients_vanish(activation, seed):
    # in float64: in float32 nothing at all would arrive
    kernels, flow = gradient_norms(activation, RandomNormal(stddev=0.01), seed, dtype="float64")

    # a layer takes a factor of stddev * sqrt(width) = 0.1 or more
    assert 0 < first_to_last(flow) < 1e-40
    assert kernels.max() < 1e-40


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_large_weights_let_gradients_explode(seed):
    kernels, flow = gradient_norms("relu", RandomNormal(stddev=1.0), seed, dtype="float64")
    started_well, _ = gradient_norms("relu", "he_normal", seed, dtype="float64")

    # a layer gives a factor of sqrt(width / 2) = 7
    assert first_to_last(flow) > 1e30
    assert kernels.min() > 1e30 * started_well.max()


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_large_weights_let_gradients_explode_through_tanh_too(seed):
    kernels, flow = gradient_norms("tanh", RandomNormal(stddev=1.0), seed)

    # most units are saturated, but those that are not give a factor of 10 a layer
    assert first_to_last(kernels) > 1e6
    assert first_to_last(flow) > 1e6


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_glorot_is_too_small_for_relu(seed):
    """A ReLU loses half of what it is given: He's factor of two makes up for it."""
    _, flow = gradient_norms("relu", "glorot_normal", seed)

    assert first_to_last(flow) < 1e-4
