"""Image files beside Keras, which reads and writes them by Pillow too."""

import io

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import utils
from backprop.utils.images import COLOUR_MODES, RESAMPLING

keras = pytest.importorskip("keras", reason="parity needs Keras")
images = pytest.importorskip("PIL.Image", reason="images are read by Pillow")

LAYOUTS = st.sampled_from([None, "channels_last", "channels_first"])


def png(x):
    """A file in memory that holds an array of bytes, or of 16 bits."""
    file = io.BytesIO()
    images.fromarray(x).save(file, "png")
    return file


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 2, st.sampled_from([1, 3, 4])),
    layout=LAYOUTS,
    scale=st.booleans(),
    dtype=st.sampled_from([None, "float32", "float64"]),
    top=st.sampled_from([1.0, 200.0, 3000.0]),
    seed=st.integers(0, 9),
)
def test_an_array_becomes_the_image_that_keras_makes(shape, layout, scale, dtype, top, seed):
    x = np.random.default_rng(seed).uniform(0, 250 if shape[-1] > 1 else top, shape)
    if layout == "channels_first":
        x = x.transpose(2, 0, 1)

    ours = utils.array_to_img(x, layout, scale, dtype)

    theirs = keras.utils.array_to_img(x, layout, scale, dtype)
    assert (ours.mode, ours.size, ours.tobytes()) == (theirs.mode, theirs.size, theirs.tobytes())


@given(
    shape=st.sampled_from([(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)]),
    layout=LAYOUTS,
    dtype=st.sampled_from([None, "uint8", "float64"]),
)
def test_an_image_becomes_the_array_that_keras_makes(shape, layout, dtype):
    image = np.random.default_rng(0).integers(0, 255, shape)

    ours = utils.img_to_array(image, layout, dtype)

    theirs = keras.utils.img_to_array(image, layout, dtype)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype


@given(
    shape=st.tuples(*[st.integers(1, 20)] * 2, st.sampled_from([3, 4])),
    mode=st.sampled_from(list(COLOUR_MODES)),
    size=st.none() | st.tuples(*[st.integers(1, 20)] * 2),
    interpolation=st.sampled_from(RESAMPLING),
    keep=st.booleans(),
)
def test_a_file_is_read_as_keras_reads_it(shape, mode, size, interpolation, keep):
    file = png(np.random.default_rng(1).integers(0, 255, shape, np.uint8))

    try:
        theirs = keras.utils.load_img(file, mode, size, interpolation, keep)
    except ValueError as error:  # Pillow finds no pixel in the box
        with pytest.raises(ValueError, match=str(error)):
            utils.load_img(file, mode, size, interpolation, keep)
        return

    ours = utils.load_img(file, mode, size, interpolation, keep)
    assert (ours.mode, ours.size, ours.tobytes()) == (theirs.mode, theirs.size, theirs.tobytes())


def test_grayscale_of_16_bits_keeps_them():
    image = utils.load_img(png(np.array([[0, 1000], [40000, 65535]], np.uint16)), "grayscale")

    assert utils.img_to_array(image)[..., 0].tolist() == [[0, 1000], [40000, 65535]]


@pytest.mark.parametrize("kind", [str, bytes, None])
def test_an_image_goes_into_a_file_and_out_again(tmp_path, kind):
    x = np.random.default_rng(2).integers(0, 255, (6, 7, 3)).astype(np.float32)
    path = tmp_path / "x.png"

    utils.save_img(path, x, scale=False)

    given = path if kind is None else str(path) if kind is str else bytes(path)
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(given)), x)


def test_the_ending_says_the_format_and_jpg_is_jpeg(tmp_path):
    x = np.zeros((8, 8, 4))
    x[..., 0] = 1

    with pytest.warns(UserWarning, match="alpha"):
        utils.save_img(tmp_path / "x.JPG", x, quality=95)

    with images.open(tmp_path / "x.JPG") as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: utils.load_img(3), TypeError, "path of a file"),
        (lambda: utils.load_img("no such file"), FileNotFoundError, "no such file"),
        (lambda: utils.load_img(io.BytesIO(b"words")), OSError, "no whole picture"),
        (lambda: utils.load_img(png(EYE), "cmyk"), ValueError, "color_mode to be one of"),
        (
            lambda: utils.load_img(png(EYE), target_size=(2, 2), interpolation="x"),
            ValueError,
            "one of",
        ),
        (lambda: utils.load_img(png(EYE), target_size=(2,)), ValueError, "target_size"),
        (lambda: utils.array_to_img(np.ones((2, 2))), ValueError, "three axes"),
        (lambda: utils.array_to_img(np.ones((2, 2, 2))), ValueError, "got 2"),
        (lambda: utils.array_to_img(np.ones((2, 2, 1)), "channels"), ValueError, "data_format"),
        (lambda: utils.img_to_array(np.ones(3)), ValueError, "axes"),
    ],
)
def test_what_is_wrong_is_said(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_without_pillow_an_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)

    with pytest.raises(ImportError, match=r'pip install "backprop\[images\]"'):
        utils.load_img("x.png")


EYE = np.eye(4, dtype=np.uint8)


def test_a_format_that_nobody_knows_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot write 'nope': say 'png' or 'jpg'"):
        utils.save_img(tmp_path / "x.nope", np.zeros((2, 2, 3)))
