"""The convolutions beside Keras': arguments, weights, values and gradients."""

import inspect

import numpy as np
import pytest
from convolution_cases import AXES, RANDOM_BIAS, convolutions, make
from hypothesis import given, settings, strategies as st
from inputs import drawn
from keras_parity import close, keras_in

from backprop import layers


@pytest.mark.parametrize("name", AXES)
def test_arguments_and_defaults_are_those_of_keras(name):
    with keras_in("float32") as keras:
        theirs = by_position(getattr(keras.layers, name))

    assert by_position(getattr(layers, name)) == theirs


def by_position(cls):
    """The arguments of a constructor in order, with their defaults."""
    found = inspect.signature(cls).parameters.values()
    return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]


def beside_keras(keras, name, options, shape, dtype):
    """Our layer and theirs, with the same weights."""
    ours = make(name, options, **RANDOM_BIAS, dtype=dtype)
    ours.build((None, *shape[1:]))
    theirs = getattr(keras.layers, name)(**options, dtype=dtype)
    theirs.build(shape)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert ours.compute_output_shape((None, *shape[1:])) == tuple(
        theirs.compute_output_shape((None, *shape[1:]))
    )
    theirs.set_weights(ours.get_weights())
    return ours, theirs


@pytest.mark.parametrize("name", AXES)
@settings(max_examples=8)  # JAX compiles each shape anew
@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_agrees_with_keras(name, data, dtype):
    _, options, shape = data.draw(convolutions((name,)))
    options |= {"activation": "elu"}
    x = drawn(shape, dtype=dtype)
    with keras_in(dtype) as keras:
        ours, theirs = beside_keras(keras, name, options, shape, dtype)
        wanted = np.asarray(theirs(x))

    assert wanted.dtype == dtype
    np.testing.assert_allclose(ours(x), wanted, **close(dtype))


@pytest.mark.parametrize("name", AXES)
@settings(max_examples=4)
@given(st.data())
def test_gradients_are_those_of_keras(name, data):
    """Keras' y is a straight line along any change of x, or of one array: its slope is a
    difference, exactly.
    """
    _, options, shape = data.draw(convolutions((name,)))
    x, dx_along = drawn(shape), drawn(shape, 1)
    with keras_in("float64") as keras:
        ours, theirs = beside_keras(keras, name, options, shape, "float64")
        y, cache = ours.forward(x)
        dy = drawn(y.shape, 2)
        dx = ours.backward(dy, cache)
        at_x = np.asarray(theirs(x))
        slopes = [(dy * (np.asarray(theirs(x + dx_along)) - at_x)).sum()]
        found = [(dx * dx_along).sum()]
        for i, p in enumerate(ours.arrays()):
            along = drawn(p.shape, 3 + i)
            weights = ours.get_weights()
            weights[i] += along
            theirs.set_weights(weights)
            slopes.append((dy * (np.asarray(theirs(x)) - at_x)).sum())
            found.append((p.gradient * along).sum())

    np.testing.assert_allclose(found, slopes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_sizes_and_crops_are_those_of_keras(size, stride):
    x = drawn((1, 3, 1), dtype=np.float32)
    for padding in ("valid", "same"):
        for output_padding in (None, *range(stride)):
            options = {"filters": 1, "kernel_size": size, "strides": stride, "padding": padding}
            options["output_padding"] = output_padding
            with keras_in("float32") as keras:
                ours, theirs = beside_keras(keras, "Conv1DTranspose", options, x.shape, "float32")
                wanted = np.asarray(theirs(x))
            np.testing.assert_allclose(ours(x), wanted, **close("float32"))
