import numpy as np
import pytest
from convolution_cases import AXES, RANDOM_BIAS, convolutions, make, naive
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import drawn
from passes import assert_gradients_alone

from backprop import layers
from backprop.layer import Context
from backprop.layers import (
    Chain,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    Softmax,
)
from backprop.layers.convolution import products, transposed

NAMES = pytest.mark.parametrize("name", AXES)


def small(name, **options):
    """A layer of that name with a window of two pixels, and an input for it, channels last."""
    filters = {} if name.startswith("Depthwise") else {"filters": 2}
    layer = make(name, filters | {"kernel_size": 2} | options)
    return layer, drawn((2, *range(4, 4 + AXES[name]), 2))


# ------------------------------------------------------------------------------------------ by hand


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


def test_a_causal_convolution_by_hand():
    layer = Conv1D(1, 2, padding="causal", use_bias=False)
    x = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    layer(x)
    layer.set_weights([np.array([10.0, 1.0]).reshape(2, 1, 1)])
    y, cache = layer.forward(x.astype(np.float32))
    dx = layer.backward(np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 3, 1), cache)

    np.testing.assert_array_equal(y.ravel(), [1.0, 10 * 1 + 2.0, 10 * 2 + 4.0])
    np.testing.assert_array_equal(dx.ravel(), [1 + 10 * 2, 2 + 10 * 3, 3.0])
    np.testing.assert_array_equal(layer.dkernel.ravel(), [2 * 1 + 3 * 2, 1 * 1 + 2 * 2 + 3 * 4])


def test_a_transposed_convolution_by_hand():
    layer = Conv1DTranspose(1, 3, strides=2)
    x = np.array([1.0, 2.0]).reshape(1, 2, 1)
    layer(x)
    layer.set_weights([np.array([100.0, 10.0, 1.0]).reshape(3, 1, 1), np.array([0.5])])
    y, cache = layer.forward(x.astype(np.float32))
    dx = layer.backward(np.arange(1.0, 6.0, dtype=np.float32).reshape(1, 5, 1), cache)

    np.testing.assert_array_equal(y.ravel() - 0.5, [100, 10, 1 + 200, 20, 2])
    np.testing.assert_array_equal(dx.ravel(), [123, 345])
    np.testing.assert_array_equal(layer.dkernel.ravel(), [1 + 2 * 3, 2 + 2 * 4, 3 + 2 * 5])
    np.testing.assert_array_equal(layer.dbias, [15.0])


def test_a_depthwise_convolution_by_hand():
    layer = DepthwiseConv1D(2, depth_multiplier=2)
    x = np.array([[[1.0, 10.0], [2.0, 20.0]]])
    layer(x)
    kernel = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])  # (k, C, M)
    layer.set_weights([kernel, np.zeros(4)])
    y, cache = layer.forward(x.astype(np.float32))
    dx = layer.backward(np.array([[[1.0, 10.0, 100.0, 1000.0]]], np.float32), cache)

    np.testing.assert_array_equal(y.ravel(), [1 + 10, 2 + 12, 30 + 140, 40 + 160])
    np.testing.assert_array_equal(dx, [[[1 + 20, 300 + 4000], [5 + 60, 700 + 8000]]])
    np.testing.assert_array_equal(
        layer.dkernel, [[[1, 10], [1000, 10000]], [[2, 20], [2000, 20000]]]
    )
    np.testing.assert_array_equal(layer.dbias, [1, 10, 100, 1000])


def test_a_separable_convolution_by_hand():
    layer = SeparableConv1D(1, 2)
    x = np.array([[[1.0, 10.0], [2.0, 20.0]]])
    layer(x)
    depthwise = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])  # h = [1 + 6, 20 + 80]
    layer.set_weights([depthwise, np.array([[[5.0], [6.0]]]), np.array([0.5])])
    y, cache = layer.forward(x.astype(np.float32))
    dx = layer.backward(np.array([[[2.0]]], np.float32), cache)

    np.testing.assert_array_equal(y, [[[5 * 7 + 6 * 100 + 0.5]]])
    np.testing.assert_array_equal(layer.dpointwise_kernel.ravel(), [2 * 7, 2 * 100])
    np.testing.assert_array_equal(layer.ddepthwise_kernel[..., 0], [[10, 120], [20, 240]])
    np.testing.assert_array_equal(dx, [[[10 * 1, 12 * 2], [10 * 3, 12 * 4]]])


def test_same_padding_puts_the_odd_pixel_behind_the_image():
    layer = Conv2D(1, (1, 2), padding="same", kernel_initializer="ones")

    np.testing.assert_array_equal(layer(np.ones((1, 1, 3, 1))).ravel(), [2.0, 2.0, 1.0])


def test_a_causal_convolution_does_not_see_the_future():
    layer = Conv1D(3, 3, padding="causal", dilation_rate=2)
    x = drawn((1, 8, 2))
    y = layer(x)
    x[:, 5:] = 0

    np.testing.assert_array_equal(layer(x)[:, :5], y[:, :5])


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_transposed_convolution_is_the_input_gradient_of_an_ordinary_one(padding):
    conv = Conv2D(3, (3, 2), strides=(2, 3), padding=padding, use_bias=False, dtype="float64")
    image = drawn((2, 8, 9, 4)) if padding == "same" else drawn((2, 7, 9, 4))
    conv.build(image.shape)
    z, cache = conv.forward(image)
    dz = drawn(z.shape)
    options = {"strides": (2, 3), "padding": padding, "use_bias": False, "dtype": "float64"}
    back = Conv2DTranspose(4, (3, 2), **options)
    back.build(dz.shape)
    back.set_weights(conv.get_weights())

    np.testing.assert_allclose(back(dz), conv.backward(dz, cache), rtol=1e-12, atol=1e-12)


def test_one_axis_of_length_one_makes_no_difference():
    options = {"padding": "same", "strides": 2, "groups": 2, "dtype": "float64"}
    line, plane = Conv1D(4, 3, **options), Conv2D(4, (1, 3), **options)
    x = drawn((2, 5, 2))
    line.build(x.shape)
    plane.build((2, 1, 5, 2))
    plane.set_weights([w[None] if w.ndim == 3 else w for w in line.get_weights()])

    np.testing.assert_allclose(plane(x[:, None])[:, 0], line(x), rtol=1e-12)


# ------------------------------------------------------------------------------- values, gradients


@given(convolutions())
def test_convolutions_are_the_sums_over_windows(drawing):
    name, options, shape = drawing
    layer = make(name, options, **RANDOM_BIAS, dtype="float64")
    x = drawn(shape)
    y = layer(x)

    np.testing.assert_allclose(y, naive(x, layer), rtol=1e-12, atol=1e-12)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


@given(convolutions(), st.sampled_from([None, "tanh", "softmax"]))
def test_gradients(drawing, activation):
    name, options, shape = drawing
    assert_gradients(make(name, options, activation=activation), drawn(shape))


@NAMES
@pytest.mark.parametrize("kernel", ["one pixel", "as large as the input"])
@pytest.mark.parametrize("strides", [1, 2])
def test_gradients_at_the_edges_of_size(name, kernel, strides):
    size = 1 if kernel == "one pixel" else tuple(range(4, 4 + AXES[name]))
    layer, x = small(name, kernel_size=size, strides=strides)
    assert_gradients(layer, x)


@NAMES
def test_a_batch_of_zero_rows_has_zero_gradients(name):
    more = {"depth_multiplier": 3} if name.startswith(("Depth", "Sep")) else {}
    layer, x = small(name, padding="same", **more)
    layer(x)
    for p in layer.arrays():
        p.gradient[...] = 7
    y, cache = layer.forward(np.zeros((0, *x.shape[1:]), np.float32))
    dx = layer.backward(y, cache)

    assert y.shape == layer.compute_output_shape((0, *x.shape[1:])) and dx.shape == (
        0,
        *x.shape[1:],
    )
    assert not any(p.gradient.any() for p in layer.arrays())


@given(convolutions())
def test_backward_params_sets_the_gradients_of_backward(drawing):
    name, options, shape = drawing
    layer = make(name, options)
    layer.build((None, *shape[1:]))

    assert_gradients_alone(layer, drawn(shape, dtype=np.float32))


@NAMES
def test_the_first_layer_never_computes_dx(name, monkeypatch):
    layer, x = small(name)
    layer(x)
    y, cache = layer.forward(x.astype(np.float32))
    called = []

    def watch(module, function):
        original = getattr(module, function)

        def run(*args):
            called.append(function)
            return original(*args)

        monkeypatch.setattr(module, function, run)

    if name.endswith("Transpose"):
        watch(transposed, "correlate")
    else:
        watch(products, "input_gradient")

    layer.backward_params(y, cache)
    assert called == []
    layer.backward(y, cache)
    assert len(called) == 1


@NAMES
def test_inputs_and_output_gradients_stay_as_they_are(name):
    layer, x = small(name, padding="same", activation="relu", data_format="channels_first")
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1), np.float32)
    layer.build(x.shape)
    x.flags.writeable = False
    y, cache = layer.forward(x)
    dy = np.ones_like(y)
    dy.flags.writeable = False

    layer.backward(dy, cache)


@NAMES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(name, dtype):
    layer, x = small(name, activation="sigmoid", dtype=dtype)
    layer(x)
    y, cache = layer.forward(x.astype(dtype))

    assert y.dtype == dtype and layer.backward(y, cache).dtype == dtype
    assert {p.gradient.dtype for p in layer.arrays()} == {np.dtype(dtype)}


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


# ---------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("cls", "arrays"),
    [
        (Conv3D, {"kernel": "kernel", "bias": "bias"}),
        (Conv3DTranspose, {"kernel": "kernel", "bias": "bias"}),
        (Conv2DTranspose, {"kernel": "kernel", "bias": "bias"}),
        (DepthwiseConv2D, {"depthwise": "kernel", "bias": "bias"}),
        (
            SeparableConv2D,
            {"depthwise": "depthwise_kernel", "pointwise": "pointwise_kernel", "bias": "bias"},
        ),
    ],
)
def test_each_array_has_arguments_of_its_own(cls, arrays):
    filters = {} if cls is DepthwiseConv2D else {"filters": 2}
    options = {"initializer": "ones", "regularizer": "l2", "constraint": "non_neg"}
    for chosen in arrays:
        given = {f"{name}_initializer": "zeros" for name in arrays}
        given |= {f"{chosen}_{option}": value for option, value in options.items()}
        layer = cls(**filters, kernel_size=2, **given)
        layer.build((None, *(5,) * layer.axes, 2))

        assert [p.name for p in layer.arrays()] == list(arrays.values())
        for p in layer.arrays():
            here = p.name == arrays[chosen]
            assert (p.value == here).all()
            assert (p.regularizer is not None) == (p.constraint is not None) == here


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("Convolution1D", "Conv1D"),
        ("Convolution2D", "Conv2D"),
        ("Convolution3D", "Conv3D"),
        ("Convolution1DTranspose", "Conv1DTranspose"),
        ("Convolution2DTranspose", "Conv2DTranspose"),
        ("Convolution3DTranspose", "Conv3DTranspose"),
        ("SeparableConvolution1D", "SeparableConv1D"),
        ("SeparableConvolution2D", "SeparableConv2D"),
    ],
)
def test_the_other_names_of_keras_are_there(short, name):
    assert getattr(layers, short) is getattr(layers, name)


def test_the_repr_is_the_constructor_call():
    assert repr(Conv3D(4, 3, strides=(1, 1, 1))) == "Conv3D(4, 3)"
    assert repr(DepthwiseConv2D(3, strides=2)) == "DepthwiseConv2D(3, strides=2)"
    assert repr(Conv1DTranspose(4, 3, 2, output_padding=1)) == (
        "Conv1DTranspose(4, 3, strides=2, output_padding=1)"
    )


def test_an_argument_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="no argument 'kernel_initializer'"):
        DepthwiseConv2D(3, kernel_initializer="ones")
    with pytest.raises(TypeError, match="no argument 'groups'"):
        Conv2DTranspose(3, 3, groups=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters to be a positive integer, got 0"),
        (lambda: Conv2D(4, (3, 3, 3)), "kernel_size to be an integer or 2 of them"),
        (lambda: Conv1D(4, (3, 3)), "kernel_size to be an integer or 1 of them"),
        (lambda: Conv2D(4, 3, strides=0), "strides to be a positive integer"),
        (lambda: Conv2D(4, 3, padding="smae"), "one of 'valid', 'same', got 'smae'"),
        (lambda: Conv2D(4, 3, padding="causal"), "one of 'valid', 'same', got 'causal'"),
        (lambda: Conv1D(4, 3, padding="full"), "one of 'valid', 'same', 'causal', got 'full'"),
        (lambda: Conv2D(4, 3, data_format="NCHW"), "data_format to be one of"),
        (lambda: Conv2D(4, 3, groups=3), "multiple of groups"),
        (lambda: Conv2D(4, 3, groups=2).build((None, 8, 8, 3)), "groups divide and got 3"),
        (lambda: Conv3D(4, 3, groups=2).build((None, 8, 8, 8, 3)), "groups divide and got 3"),
        (lambda: Conv2D(4, 3).build((None, 28, 28)), "add the axis of the channels"),
        (lambda: Conv1D(4, 3).build((None, 28)), "add the axis of the channels"),
        (lambda: Conv2D(4, 5).build((None, 3, 8, 1)), "window larger than its input of (3, 8, 1)"),
        (
            lambda: Conv1D(4, 3, dilation_rate=2).build((None, 4, 1)),
            "window larger than its input of (4, 1)",
        ),
        (lambda: SeparableConv1D(4, 5).build((None, 4, 1)), "window larger than its input"),
        (lambda: Conv2D(4, 1).build((None, 0, 8, 1)), "input of (0, 8, 1), which is empty"),
        (
            lambda: Conv2D(4, 1, padding="same").build((None, 8, 0, 1)),
            "input of (8, 0, 1), which is empty",
        ),
        (lambda: Conv2D(4, 3).build((None, 8, 8, None)), "shape must be known"),
        (lambda: DepthwiseConv2D(3).build((None, 8, 8, None)), "shape must be known"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier to be a positive"),
        (lambda: SeparableConv2D(4, 3, depth_multiplier=1.5), "depth_multiplier to be a positive"),
        (lambda: Conv2DTranspose(4, 3, output_padding=1), "output_padding to be less than strides"),
        (
            lambda: Conv2DTranspose(4, 3, 2, output_padding=-1),
            "output_padding to be an integer that is not negative, got -1",
        ),
        (
            lambda: Conv2DTranspose(4, 3, 2, output_padding=(1, 1, 1)),
            "output_padding to be an integer or 2 of them",
        ),
        (
            lambda: Conv1DTranspose(1, 2, padding="same", output_padding=0).build((None, 1, 3)),
            "an output without pixels for its input of (1, 3); take a larger output_padding",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


@NAMES
def test_strides_and_dilation_do_not_go_together_as_in_keras(name):
    with pytest.raises(ValueError, match=rf"{name} expects strides or dilation_rate to be 1"):
        small(name, strides=2, dilation_rate=2)


def test_another_number_of_channels_is_refused():
    layer = Conv2D(4, 3)
    layer(np.ones((1, 8, 8, 3)))

    with pytest.raises(
        ValueError, match=r"expects inputs of .*3 along axis -1 and got \(8, 8, 1\)"
    ):
        layer(np.ones((1, 8, 8, 1)))
    with pytest.raises(ValueError, match="window larger"):
        layer(np.ones((1, 8, 2, 3)))
