"""Layers that change images, beside Keras' and beside differences, with the draw held."""

import numpy as np
from finite_differences import assert_slope
from keras_parity import keras_in

FORMATS = ["channels_last", "channels_first"]
DTYPES = ["float32", "float64"]


def pictures(shape=(3, 5, 4, 3), value_range=(0, 255), data_format="channels_last", seed=0):
    low, high = value_range
    x = np.random.default_rng(seed).uniform(low, high, shape)
    return np.moveaxis(x, -1, 1).copy() if data_format == "channels_first" else x


def both(ours, x, drawn_of, dtype, **arguments):
    """y here and in Keras, by the draw that Keras makes."""
    x = x.astype(dtype)
    with keras_in(dtype) as keras:
        theirs = getattr(keras.layers, ours.__name__)(dtype=dtype, **arguments)
        transformation = theirs.get_random_transformation(x, training=True)
        wanted = np.asarray(theirs.transform_images(x.copy(), transformation))
        drawn = drawn_of(transformation)
    layer = ours(dtype=dtype, **arguments)
    before = x.copy()
    y, _ = layer.change(x, drawn)
    np.testing.assert_array_equal(x, before)
    assert y.dtype == x.dtype
    return y, wanted


def assert_held_gradients(layer, x, tol=1e-6, seed=0):
    """`reverse` is the derivative of `change` for one draw, along random directions."""
    x = np.asarray(x, np.float64)
    drawn = layer.draw(x)
    rng = np.random.default_rng(seed)
    y, kept = layer.change(x, drawn)
    v = rng.standard_normal(y.shape)
    dx = layer.reverse(v, kept)

    def f(t, u):
        return (v * layer.change(x + t * u, drawn)[0]).sum()

    assert dx.shape == x.shape and dx.dtype == x.dtype
    assert_slope(f, dx, rng, tol, f"dx of {layer!r}")
