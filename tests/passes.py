"""What is asked of the passes of many layers: they only read what they are given, keep its dtype,
and set the same gradients with dx and without."""

import numpy as np
import reference

from backprop.layer import INFERENCE


def passes_that_only_read(layer, x):
    """y and dx, of a pass forth that may not write into x and one back that may not into dy."""
    x.flags.writeable = False
    y, cache = layer.forward(x)
    y.flags.writeable = False
    dx = layer.backward(y, cache)
    assert y.dtype == dx.dtype == x.dtype and dx.shape == x.shape
    return y, dx


def assert_gradients_alone(layer, x, ctx=INFERENCE):
    """`backward_params` sets what `backward` sets."""
    y, cache = layer.forward(x, ctx)
    dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    layer.backward(dy, cache)
    wanted = [p.gradient.copy() for p in layer.arrays()]
    for p in layer.arrays():
        p.gradient[...] = np.nan
    layer.backward_params(dy, cache)

    for p, gradient in zip(layer.arrays(), wanted, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)


def assert_pools(layer, x, windows_of, of_window):
    """y is what `of_window` says of each of the windows of an image of these sizes."""
    last = layer.data_format == "channels_last"
    image = x if last else np.moveaxis(x, 1, -1)
    wanted = reference.pool(image, windows_of(image.shape[1:-1]), of_window)
    y = layer(x)

    np.testing.assert_allclose(
        y, wanted if last else np.moveaxis(wanted, -1, 1), rtol=1e-12, atol=1e-12
    )
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *y.shape[1:])
