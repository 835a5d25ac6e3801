import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, settings, strategies as st
from inputs import drawn
from keras_parity import close, keras_in

from backprop import layers
from backprop.layers import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

PADDING = {1: ZeroPadding1D, 2: ZeroPadding2D, 3: ZeroPadding3D}
CROPPING = {1: Cropping1D, 2: Cropping2D, 3: Cropping3D}
SAMPLING = {1: UpSampling1D, 2: UpSampling2D, 3: UpSampling3D}
ALL = [*PADDING.values(), *CROPPING.values(), *SAMPLING.values()]
PAIRS = st.tuples(st.integers(0, 2), st.integers(0, 2))


def shape_for(layer, batch=2):
    """As channels_first counts: small, and large enough to be cropped."""
    return (batch, 4, 3, 5, 6)[: layer.input_spec.ndim]


def by_channels_last(layer, x, naive):
    if layer.data_format == "channels_last":
        return naive(x)
    return np.moveaxis(naive(np.moveaxis(x, 1, -1)), -1, 1)


def adjoint(f, x, dy):
    """dx of a linear f: what each entry of x alone moves, times dy."""
    basis = np.eye(x[0].size, dtype=x.dtype).reshape(-1, *x.shape[1:])
    moves = f(basis).reshape(len(basis), -1)
    return (dy.reshape(len(dy), -1) @ moves.T).reshape(x.shape)


def test_by_hand():
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)

    np.testing.assert_array_equal(
        ZeroPadding2D((1, 0))(x)[0, :, :, 0], [[0, 0], [1, 2], [3, 4], [0, 0]]
    )
    np.testing.assert_array_equal(Cropping2D(((0, 1), (1, 0)))(x)[0, :, :, 0], [[2]])
    np.testing.assert_array_equal(UpSampling2D((1, 2))(x)[0, :, :, 0], [[1, 1, 2, 2], [3, 3, 4, 4]])
    np.testing.assert_array_equal(
        UpSampling2D((1, 2), interpolation="bilinear")(x)[0, :, :, 0],
        [[1, 1.25, 1.75, 2], [3, 3.25, 3.75, 4]],
    )
    np.testing.assert_array_equal(ZeroPadding1D(1)(x[0])[0, :, 0], [0, 1, 2, 0])
    np.testing.assert_array_equal(Cropping1D((1, 0))(x[0])[:, 0, 0], [2, 4])
    np.testing.assert_array_equal(UpSampling1D(2)(x[0])[0, :, 0], [1, 1, 2, 2])


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@given(data=st.data())
def test_padding_and_cropping_agree_with_the_loops(dims, data_format, data):
    sides = data.draw(st.tuples(*[PAIRS] * dims))
    argument = sides[0] if dims == 1 else sides
    options = {"data_format": data_format, "dtype": "float64"}
    x = drawn((2, 5, 6, 5, 6)[: dims + 2])
    pad = PADDING[dims](argument, **options)
    if dims == 1:
        del options["data_format"]
    crop = CROPPING[dims](argument, **options)

    np.testing.assert_array_equal(
        pad(x), by_channels_last(pad, x, lambda x: reference.padded(x, sides))
    )
    np.testing.assert_array_equal(
        crop(x), by_channels_last(crop, x, lambda x: reference.cropped(x, sides))
    )
    assert_gradients(pad, x)
    assert_gradients(crop, x)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@given(data=st.data())
def test_upsampling_agrees_with_the_loops(dims, data_format, data):
    size = data.draw(st.tuples(*[st.integers(1, 3)] * dims))
    x = drawn((2, *data.draw(st.tuples(*[st.integers(1, 3)] * dims)), 2))
    options = {"data_format": data_format} if dims > 1 else {}
    layer = SAMPLING[dims](size[0] if dims == 1 else size, **options, dtype="float64")

    np.testing.assert_array_equal(
        layer(x), by_channels_last(layer, x, lambda x: reference.repeated(x, size))
    )
    assert_gradients(layer, x)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@given(st.tuples(st.integers(1, 4), st.integers(1, 5)), st.tuples(*[st.integers(1, 4)] * 2))
def test_bilinear_interpolation_agrees_with_the_loops(data_format, size, sides):
    layer = UpSampling2D(size, data_format, "bilinear", dtype="float64")
    x = drawn((2, *sides, 3) if data_format == "channels_last" else (2, 3, *sides))
    wanted = by_channels_last(layer, x, lambda x: reference.bilinear(x, size))

    np.testing.assert_allclose(layer(x), wanted, rtol=1e-13, atol=1e-13)
    assert_gradients(layer, x)


def test_bilinear_interpolation_keeps_a_plane_but_for_the_border():
    x = np.arange(6.0)[:, None] + 10 * np.arange(5.0)
    y = UpSampling2D(3, interpolation="bilinear", dtype="float64")(x[None, ..., None])[0, :, :, 0]
    rows = (np.arange(18) + 0.5) / 3 - 0.5
    columns = (np.arange(15) + 0.5) / 3 - 0.5

    np.testing.assert_allclose(
        y, np.clip(rows, 0, 5)[:, None] + 10 * np.clip(columns, 0, 4), atol=1e-13
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([(1, 0), (0, 3)], ((1, 0), (0, 3))),
        ((np.int64(1), [0, 2]), ((1, 1), (0, 2))),
    ],
)
def test_sides_may_be_written_in_short(written, meant):
    assert ZeroPadding2D(written).padding == Cropping2D(written).cropping == meant


def test_along_one_axis_two_numbers_are_the_two_ends():
    assert ZeroPadding1D((1, 2)).padding == Cropping1D((1, 2)).cropping == (1, 2)
    assert ZeroPadding3D((1, 2, 0)).padding == ((1, 1), (2, 2), (0, 0))


def test_cropping_undoes_padding():
    x = drawn((2, 3, 4, 2), dtype=np.float32)

    np.testing.assert_array_equal(
        Cropping2D(((1, 2), (0, 3)))(ZeroPadding2D(((1, 2), (0, 3)))(x)), x
    )


@pytest.mark.parametrize("layer", ALL)
def test_zero_rows_and_one(layer):
    for batch in (0, 1):
        shape = shape_for(layer(), batch)
        y, cache = layer().forward(np.zeros(shape, np.float32))

        assert layer().backward(y, cache).shape == shape
        assert layer().compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


@pytest.mark.parametrize("layer", [*(cls() for cls in ALL), UpSampling2D(2, None, "bilinear")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(layer, dtype):
    x = drawn(shape_for(layer), dtype=dtype)
    x.flags.writeable = False
    y, cache = layer.forward(x)
    y.flags.writeable = False
    dx = layer.backward(y, cache)

    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape


@pytest.mark.parametrize("layer", ALL)
def test_images_have_no_mask_and_steps_keep_theirs(layer):
    found = layer().compute_mask(None, np.ones((2, 4), bool))

    assert layer.changes_mask and layer().compute_mask(None, None) is None
    assert found is None if layer.places > 1 else found.all()


def test_an_unknown_length_stays_unknown():
    assert ZeroPadding2D(1).compute_output_shape((None, None, 4, 3)) == (None, None, 6, 3)
    assert Cropping2D(1).compute_output_shape((None, None, 4, 3)) == (None, None, 2, 3)
    assert UpSampling2D(2).compute_output_shape((None, None, 4, 3)) == (None, None, 8, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ZeroPadding2D(-1), "ZeroPadding2D expects padding to be an integer that is not"),
        (lambda: ZeroPadding2D((1, 2, 3)), "an integer, or 2 entries that are integers or pairs"),
        (lambda: ZeroPadding1D((1, 2, 3)), "expects padding to be an integer or a pair of them"),
        (lambda: Cropping3D(((1, 2), (1, 2), (1, 2, 3))), "Cropping3D expects cropping to be an"),
        (lambda: Cropping1D(1.5), "Cropping1D expects cropping to be an integer or a pair"),
        (lambda: Cropping1D(2).build((None, 4, 1)), "Cropping1D(2) leaves nothing of (4,) along"),
        (lambda: Cropping2D(((0, 3), (0, 0))).build((None, 3, 3, 1)), "leaves nothing of (3, 3)"),
        (
            lambda: Cropping2D(1, "channels_first").build((None, 8, 2, 8)),
            "leaves nothing of (2, 8) along an axis; crop less",
        ),
        (lambda: UpSampling2D(0), "UpSampling2D expects size to be a positive integer, got 0"),
        (lambda: UpSampling1D((2, 2)), "UpSampling1D expects size to be an integer or 1 of them"),
        (lambda: UpSampling2D(interpolation="area"), "to be one of 'bilinear', 'nearest', 'bic"),
        (lambda: UpSampling2D()(np.ones((1, 28, 28))), "3 axes besides the batch and got (28, 28)"),
        (lambda: ZeroPadding3D(data_format="NDHWC"), "data_format to be one of"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


KERAS = [
    ("ZeroPadding1D", {"padding": (1, 2)}),
    ("ZeroPadding1D", {"data_format": "channels_first"}),
    ("ZeroPadding2D", {}),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 1)), "data_format": "channels_first"}),
    ("ZeroPadding2D", {"padding": (0, 2)}),
    ("ZeroPadding3D", {"padding": (1, 0, 2)}),
    ("ZeroPadding3D", {"data_format": "channels_first"}),
    ("Cropping1D", {}),
    ("Cropping1D", {"cropping": (0, 2)}),
    ("Cropping2D", {}),
    ("Cropping2D", {"cropping": ((1, 0), (1, 2))}),
    ("Cropping2D", {"cropping": 1, "data_format": "channels_first"}),
    ("Cropping3D", {}),
    ("Cropping3D", {"cropping": ((0, 1), (1, 1), (2, 0)), "data_format": "channels_first"}),
    ("UpSampling1D", {}),
    ("UpSampling1D", {"size": 3}),
    ("UpSampling2D", {}),
    ("UpSampling2D", {"size": (1, 3), "data_format": "channels_first"}),
    ("UpSampling2D", {"interpolation": "bilinear"}),
    ("UpSampling2D", {"size": (3, 4), "interpolation": "Bilinear"}),
    (
        "UpSampling2D",
        {"size": (5, 1), "interpolation": "bilinear", "data_format": "channels_first"},
    ),
    ("UpSampling3D", {}),
    ("UpSampling3D", {"size": (1, 2, 3), "data_format": "channels_first"}),
]


@pytest.mark.parametrize(("name", "options"), KERAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_keras_forward_and_backward(name, options, dtype):
    layer = getattr(layers, name)(**options, dtype=dtype)
    x = drawn((2, 4, 5, 6, 4)[: layer.input_spec.ndim], dtype=dtype)
    y, cache = layer.forward(x)
    dy = drawn(y.shape, 1, dtype)
    with keras_in(dtype) as keras:
        theirs = getattr(keras.layers, name)(**options, dtype=dtype)
        wanted = np.asarray(theirs(x))
        dx = adjoint(lambda x: np.asarray(theirs(x)), x, dy)

    assert wanted.dtype == dtype
    np.testing.assert_allclose(y, wanted, **close(dtype))
    np.testing.assert_allclose(layer.backward(dy, cache), dx, **close(dtype))


@settings(max_examples=6)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.sampled_from(["bilinear", "bicubic", "lanczos3", "lanczos5"]),
)
def test_interpolation_agrees_with_keras(size, sides, interpolation):
    x = drawn((2, *sides, 2))
    options = {"size": size, "interpolation": interpolation, "dtype": "float64"}
    with keras_in("float64") as keras:
        wanted = np.asarray(keras.layers.UpSampling2D(**options)(x))

    np.testing.assert_allclose(UpSampling2D(**options)(x), wanted, **close("float64"))
