"""Faster ways to what a layer does: they hold for a subclass until it does that otherwise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backprop.layer import INFERENCE, Layer
from backprop.layers import LSTM, Conv2D, Dense, Linear, ReLU, Sigmoid, Softmax, Tanh
from backprop.layers.activations import registry
from backprop.losses import SparseCategoricalCrossentropy
from backprop.promises import short_for

RNG = np.random.default_rng(0)
FAST = (Linear, ReLU, Sigmoid, Tanh)


def doubling(base):
    """An activation with a forward and a backward of its own."""

    class Doubled(base):
        def forward(self, x, ctx=INFERENCE):
            y, cache = super().forward(x, ctx)
            return 2 * y, cache

        def backward(self, dy, cache):
            return 2 * super().backward(dy, cache)

    return Doubled


def same(base):
    return type("Same", (base,), {})


@pytest.mark.parametrize("name", sorted(set(registry.names) - {"threshold"}))
def test_finish_is_forward_over_z(name):
    activation = registry.names[name]()
    z = RNG.normal(size=(2, 3, 4))
    activation.build((None, 3, 4))
    y, cache = activation.forward(z.copy())
    dy = RNG.normal(size=y.shape)

    found, kept = activation.finish(z.copy())

    assert_array_equal(found, y)
    assert_array_equal(activation.backward(dy, kept), activation.backward(dy, cache))


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("name", sorted(set(registry.names) - {"threshold", "glu"}))
def test_finish_takes_the_bias_too_and_its_way_back_sums_what_that_gets(name, shape):
    activation = registry.names[name]()
    z, dy, bias = (RNG.normal(size=s) for s in (shape, shape, shape[-1:]))
    activation.build((None, *shape[1:]))
    y, cache = activation.forward(z + bias)
    dz, dbias = activation.backward(dy, cache), np.full(shape[-1], np.nan)

    found, kept = activation.finish(z, INFERENCE, bias)

    assert_allclose(found, y, rtol=1e-12, atol=1e-14)
    assert_allclose(activation.backward_finish(dy, kept, dbias), dz, rtol=1e-12, atol=1e-14)
    assert_allclose(dbias, dz.reshape(-1, 4).sum(0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("base", FAST)
def test_the_way_back_of_finish_takes_arrays_of_any_strides(base):
    z, dy = (RNG.normal(size=(4, 3, 2)).transpose(1, 2, 0) for _ in range(2))
    activation, dbias = base(), np.empty(4)
    y, cache = activation.forward(z.copy())

    found, kept = activation.finish(z.copy(order="K"), INFERENCE, np.zeros(4))

    assert_allclose(found, y)
    assert_allclose(activation.backward_finish(dy, kept, dbias), activation.backward(dy, cache))
    assert_allclose(dbias, activation.backward(dy, cache).sum((0, 1)))


@pytest.mark.parametrize("base", FAST)
def test_finish_needs_no_second_array(base):
    z = RNG.normal(size=(3, 4))

    y, _ = base().finish(z)

    assert y is z


AROUND = {
    "dense": (lambda a: Dense(3, a, bias_initializer="ones"), (5, 4)),
    "conv": (lambda a: Conv2D(3, 2, activation=a, bias_initializer="ones"), (2, 5, 5, 3)),
    "channels first": (
        lambda a: Conv2D(3, 2, activation=a, data_format="channels_first"),
        (2, 3, 5, 5),
    ),
    "lstm": (lambda a: LSTM(3, activation=a), (2, 6, 4)),
    "gates": (lambda a: LSTM(3, recurrent_activation=a), (2, 6, 4)),
}


def passes(make, activation, x):
    """y and dx of a layer around an activation, and its weights' gradients."""
    layer = make(activation)
    layer.build((None, *x.shape[1:]))
    for i, p in enumerate(layer.arrays()):
        p.value[...] = np.random.default_rng(i).normal(size=p.shape)
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)
    return [y, dx, *(p.gradient.copy() for p in layer.arrays())]


class Plainly(Layer):
    """Another activation, by nothing but its forward and backward."""

    def __init__(self, activation):
        super().__init__()
        self.activation = activation

    def forward(self, x, ctx=INFERENCE):
        return self.activation.forward(x, ctx)

    def backward(self, dy, cache):
        return self.activation.backward(dy, cache)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("base", FAST)
def test_an_activation_with_a_forward_of_its_own_runs_it(around, base):
    make, shape = AROUND[around]
    x = RNG.normal(size=shape)
    kind = doubling(base)

    plain = passes(make, Plainly(kind()), x)
    for found, wanted in zip(passes(make, kind(), x), plain, strict=True):
        assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("base", FAST)
def test_a_subclass_that_changes_nothing_keeps_the_fast_way(around, base):
    make, shape = AROUND[around]
    x = RNG.normal(size=shape)
    kind = same(base)

    assert kind.finish is base.finish
    assert kind.backward_finish is base.backward_finish
    for found, wanted in zip(passes(make, kind(), x), passes(make, base(), x), strict=True):
        assert_array_equal(found, wanted)


@pytest.mark.parametrize("method", ["forward", "backward", "value", "slope"])
def test_what_a_shortcut_is_short_for_is_read_from_its_mark(method):
    kind = type("Own", (ReLU,), {method: getattr(ReLU, method)})

    assert kind.finish is Layer.finish
    assert kind.backward_finish is Layer.backward_finish
    assert not kind().finishes_parts
    assert ReLU().finishes_parts


def test_a_mixin_counts_like_the_class_itself():
    class Mixin:
        def forward(self, x, ctx=INFERENCE):
            return -x, None

    class Mixed(Mixin, ReLU):
        pass

    class Below(Mixed):
        pass

    assert Mixed.finish is Below.finish is Layer.finish


def test_a_subclass_may_write_both():
    class Own(ReLU):
        def forward(self, x, ctx=INFERENCE):
            return self.finish(x.copy(), ctx)

        @short_for("forward")
        def finish(self, z, ctx=INFERENCE, bias=None):
            z += 1
            return z, z

    class Below(Own):
        def forward(self, x, ctx=INFERENCE):
            return x, x

    assert_array_equal(Own().finish(np.zeros(2))[0], [1, 1])
    assert Below.finish is Layer.finish
    assert not Own().finishes_parts


def test_the_end_in_a_softmax_is_that_of_the_methods():
    class Own(Dense):
        def backward(self, dy, cache):
            return super().backward(dy, cache)

    assert Dense(2, "softmax").ends_in_softmax
    assert same(Dense)(2, same(Softmax)()).ends_in_softmax
    assert not Own(2, "softmax").ends_in_softmax
    assert not Dense(2, doubling(Softmax)()).ends_in_softmax


@pytest.mark.parametrize("method", ["values", "gradient", "valid", "weigh", "forward", "backward"])
def test_the_shorter_way_of_a_loss_is_that_of_its_methods(method):
    inherited = getattr(SparseCategoricalCrossentropy, method)
    kind = type("Own", (SparseCategoricalCrossentropy,), {method: inherited})

    assert kind().after_softmax() is None
    assert same(SparseCategoricalCrossentropy)().after_softmax() is not None
