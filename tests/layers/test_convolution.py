import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_parity import close, keras_in

from backprop.layer import Context
from backprop.layers import Chain, Conv2D, Softmax


@st.composite
def convolutions(draw, **fixed):
    """A layer and the shape of an input that it accepts."""
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2))) if strides == (1, 1) else (1, 1)
    groups = draw(st.integers(1, 3))
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    options = {
        "filters": groups * draw(st.integers(1, 2)),
        "kernel_size": size,
        "strides": strides,
        "padding": draw(st.sampled_from(["valid", "same"])),
        "dilation_rate": dilation,
        "groups": groups,
        "use_bias": draw(st.booleans()),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    } | fixed
    image = [draw(st.integers(span, span + 3)) for span in spans]
    channels = groups * draw(st.integers(1, 2))
    batch = draw(st.integers(1, 3))
    last = options["data_format"] == "channels_last"
    return options, (batch, *image, channels) if last else (batch, channels, *image)


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_a_convolution_by_hand():
    layer = Conv2D(1, (1, 2))
    x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    layer(x)
    layer.set_weights([np.array([10.0, 1.0]).reshape(1, 2, 1, 1), np.array([0.5])])
    y, cache = layer.forward(x.astype(np.float32))
    dx = layer.backward(np.array([1.0, 2.0], np.float32).reshape(1, 1, 2, 1), cache)

    np.testing.assert_array_equal(y.ravel(), [12.5, 24.5])
    np.testing.assert_array_equal(dx.ravel(), [10.0, 1.0 + 20.0, 2.0])
    np.testing.assert_array_equal(layer.dkernel.ravel(), [1 * 1 + 2 * 2, 1 * 2 + 2 * 4])
    np.testing.assert_array_equal(layer.dbias, [3.0])


def test_same_padding_puts_the_odd_pixel_behind_the_image():
    layer = Conv2D(1, (1, 2), padding="same", kernel_initializer="ones")

    np.testing.assert_array_equal(layer(np.ones((1, 1, 3, 1))).ravel(), [2.0, 2.0, 1.0])


@given(convolutions())
def test_convolution_is_the_sum_over_windows(drawing):
    options, shape = drawing
    layer = Conv2D(**options, bias_initializer="random_normal", dtype="float64")
    x = drawn(shape)
    y = layer(x)
    last = options["data_format"] == "channels_last"
    wanted = reference.conv2d(
        x if last else np.moveaxis(x, 1, -1),
        layer.kernel,
        layer.bias if layer.use_bias else np.zeros(layer.filters),
        layer.strides,
        layer.padding,
        layer.dilation_rate,
        layer.groups,
    )

    np.testing.assert_allclose(
        y, wanted if last else np.moveaxis(wanted, -1, 1), rtol=1e-12, atol=1e-12
    )
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


@given(convolutions(), st.sampled_from([None, "tanh", "softmax"]))
def test_gradients(drawing, activation):
    options, shape = drawing
    assert_gradients(Conv2D(**options, activation=activation), drawn(shape))


@pytest.mark.parametrize(
    "options", [{"kernel_size": (4, 3)}, {"kernel_size": 1}, {"kernel_size": 1, "strides": 2}]
)
def test_gradients_at_the_edges_of_size(options):
    assert_gradients(Conv2D(2, **options), drawn((1, 4, 3, 2)))


def test_strides_and_dilation_work_together():
    layer = Conv2D(2, 2, strides=2, dilation_rate=2, padding="same", dtype="float64")
    x = drawn((2, 6, 5, 1))
    y = layer(x)

    np.testing.assert_allclose(
        y, reference.conv2d(x, layer.kernel, layer.bias, (2, 2), "same", (2, 2), 1), rtol=1e-12
    )
    assert_gradients(layer, x)


def test_a_batch_of_zero_rows_has_zero_gradients():
    layer = Conv2D(2, 3, padding="same", groups=1)
    layer(np.ones((1, 4, 4, 3)))
    layer.dkernel[:] = 7
    y, cache = layer.forward(np.zeros((0, 4, 4, 3), np.float32))
    dx = layer.backward(y, cache)

    assert y.shape == (0, 4, 4, 2) and dx.shape == (0, 4, 4, 3)
    assert not layer.dkernel.any() and not layer.dbias.any()


@given(convolutions())
def test_backward_params_sets_the_gradients_of_backward(drawing):
    options, shape = drawing
    layer = Conv2D(**options)
    layer.build((None, *shape[1:]))
    y, cache = layer.forward(drawn(shape, dtype=np.float32))
    dy = drawn(y.shape, 1, np.float32)
    layer.backward(dy, cache)
    wanted = [p.gradient.copy() for p in layer.arrays()]
    for p in layer.arrays():
        p.gradient[...] = np.nan
    layer.backward_params(dy, cache)

    for p, gradient in zip(layer.arrays(), wanted, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)


def test_inputs_and_output_gradients_stay_as_they_are():
    layer = Conv2D(2, 2, padding="same", activation="relu", groups=2, data_format="channels_first")
    x = drawn((2, 2, 3, 3), dtype=np.float32)
    layer.build((None, 2, 3, 3))
    x.flags.writeable = False
    y, cache = layer.forward(x)
    dy = np.ones_like(y)
    dy.flags.writeable = False

    layer.backward(dy, cache)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype):
    layer = Conv2D(2, 2, activation="sigmoid", dtype=dtype)
    x = drawn((2, 3, 3, 1), dtype=dtype)
    layer(x)
    y, cache = layer.forward(x)

    assert y.dtype == dtype and layer.backward(y, cache).dtype == dtype


def test_an_activity_regularizer_adds_to_the_loss_and_its_gradient():
    chain = Chain([Conv2D(2, 2, activity_regularizer="l2"), Conv2D(1, 1)])
    x = drawn((3, 3, 3, 1))
    assert_gradients(chain, x)
    chain(x)
    penalties = []
    chain.forward(x.astype(np.float32), Context(penalties=penalties))

    np.testing.assert_allclose(penalties, [0.01 * (chain.layers[0](x) ** 2).sum() / 3], rtol=1e-5)


def test_softmax_over_channels_first_works_along_the_last_axis_as_in_keras():
    layer = Conv2D(3, 1, activation="softmax", data_format="channels_first")

    np.testing.assert_allclose(layer(drawn((1, 2, 4, 5))).sum(-1), 1, rtol=1e-6)
    assert isinstance(layer.activation, Softmax)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters to be a positive integer, got 0"),
        (lambda: Conv2D(4, (3, 3, 3)), "kernel_size to be an integer or 2 of them"),
        (lambda: Conv2D(4, 3, strides=0), "strides to be a positive integer"),
        (lambda: Conv2D(4, 3, padding="smae"), "one of 'valid', 'same', got 'smae'"),
        (lambda: Conv2D(4, 3, data_format="NCHW"), "data_format to be one of"),
        (lambda: Conv2D(4, 3, groups=3), "multiple of groups"),
        (lambda: Conv2D(4, 3, groups=2).build((None, 8, 8, 3)), "groups divide and got 3"),
        (lambda: Conv2D(4, 3).build((None, 28, 28)), "add the axis of the channels"),
        (lambda: Conv2D(4, 5).build((None, 3, 8, 1)), "window larger than its input of (3, 8, 1)"),
        (lambda: Conv2D(4, 3).build((None, 8, 8, None)), "shape must be known"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_another_number_of_channels_is_refused():
    layer = Conv2D(4, 3)
    layer(np.ones((1, 8, 8, 3)))

    with pytest.raises(
        ValueError, match=r"expects inputs of .*3 along axis -1 and got \(8, 8, 1\)"
    ):
        layer(np.ones((1, 8, 8, 1)))
    with pytest.raises(ValueError, match="window larger"):
        layer(np.ones((1, 8, 2, 3)))


@settings(max_examples=8)  # JAX compiles each shape anew
@given(convolutions(), st.sampled_from(["float32", "float64"]))
def test_agrees_with_keras(drawing, dtype):
    options, shape = drawing
    options |= {"activation": "elu", "dtype": dtype}
    layer = Conv2D(**options, bias_initializer="random_normal")
    x = drawn(shape, dtype=dtype)
    layer.build((None, *shape[1:]))
    with keras_in(dtype) as keras:
        theirs = keras.layers.Conv2D(**options)
        theirs.build(shape)
        assert [w.shape for w in layer.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    assert wanted.dtype == dtype
    np.testing.assert_allclose(layer(x), wanted, **close(dtype))
