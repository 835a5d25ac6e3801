import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, settings, strategies as st
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in
from passes import passes_that_only_read

import backprop as bp
from backprop import initializers
from backprop.layers import Dense, GlobalAveragePooling1D, Input, MelSpectrogram, STFTSpectrogram

MODES = ["log", "magnitude", "psd", "real", "imag", "angle", "stft"]
SMALL = {"fft_length": 16, "sequence_stride": 5, "num_mel_bins": 4, "sampling_rate": 1000}


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def moved(layer, shape):
    """With kernels that are no Fourier transform any more, and so without angles at a jump."""
    layer.build((None, *shape[1:]))
    for seed, p in enumerate(layer.arrays()):
        p.value[...] += 0.3 * drawn(p.shape, seed)
    return layer


# ------------------------------------------------------------------------------------ initializer


def test_the_kernels_are_a_fourier_transform():
    x = drawn(8)
    r, i = (initializers.STFT(side, None)((8, 1, 5), "float64")[:, 0] for side in ("real", "imag"))

    np.testing.assert_allclose(x @ r + 1j * (x @ i), np.fft.rfft(x), atol=1e-12)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", ["hann", "blackman", None, [1.0, 2.0, 3.0, 2.0, 1.0]])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("periodic", [False, True])
def test_the_kernels_are_those_of_keras(side, window, scaling, periodic):
    with keras_in("float64") as keras:
        given = window if window is None or isinstance(window, str) else np.array(window)
        theirs = keras.initializers.STFT(side, given, scaling, periodic)((5, 1, 9), "float64")
    ours = initializers.STFT(side, window, scaling, periodic)((5, 1, 9), "float64")

    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-6, atol=1e-12)


def test_it_has_the_names_of_keras_and_a_configuration():
    assert initializers.STFTInitializer is initializers.stft is initializers.STFT
    made = initializers.get({"class_name": "STFT", "config": {"side": "imag", "window": "hann"}})
    assert repr(made) == "STFT('imag')"
    assert initializers.get("STFTInitializer").side == "real"


# ------------------------------------------------------------------------------------------- stft


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=6)
@given(
    st.integers(4, 9),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
    st.sampled_from(["valid", "same"]),
    st.sampled_from(["channels_last", "channels_first"]),
    st.integers(1, 3),
)
def test_spectrograms_agree_with_keras(mode, dtype, length, step, expand, padding, form, channels):
    shape = (2, 17, channels) if form == "channels_last" else (2, channels, 17)
    options = {"mode": mode, "frame_length": length, "frame_step": step, "expand_dims": expand}
    options |= {"padding": padding, "data_format": form, "dtype": dtype}
    x = drawn(shape, dtype=dtype)
    ours = moved(STFTSpectrogram(**options), shape)
    y = ours(x)
    with keras_in(dtype) as keras:
        theirs = keras.layers.STFTSpectrogram(**options)
        theirs.build(shape)
        assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
        theirs.set_weights(ours.get_weights())
        wanted = np.asarray(theirs(x))

    assert ours.compute_output_shape(shape) == y.shape == wanted.shape
    apart = abs(y - wanted)
    if mode == "angle":
        apart = np.minimum(apart, 2 * np.pi - apart)
    close_by = close(dtype)
    assert (apart <= 10 * close_by["atol"] + close_by["rtol"] * np.maximum(abs(wanted), 1)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["channels_last", "channels_first"])
def test_gradients_of_spectrograms(mode, form):
    for expand in (False, True):
        for padding in ("valid", "same"):
            layer = STFTSpectrogram(
                mode, 6, 4, padding=padding, expand_dims=expand, data_format=form
            )
            assert_gradients(layer, drawn((2, 17, 2) if form == "channels_last" else (2, 2, 17)))


@needs_keras_on_jax
def test_gradients_of_spectrograms_are_those_of_keras(tmp_path):
    asked, ours = {}, {}
    for mode in MODES:
        layer = moved(STFTSpectrogram(mode, 6, 4, dtype="float64"), (2, 17, 2))
        x = drawn((2, 17, 2))
        ours[mode] = layer, x
        made = f"keras.layers.STFTSpectrogram({mode!r}, 6, 4)"
        run = (
            "(lambda layer: (layer.build((2, 17, 2)), lambda x: layer.stateless_call("
            "x[1:], [], x[0])[0])[1])"
        )
        asked[mode] = f"{run}({made})", [x, *layer.get_weights()]
    found = run_in_keras(asked, tmp_path)
    for mode, (layer, x) in ours.items():
        y, cache = layer.forward(x)
        dx = layer.backward(gradient_from_above(y), cache)

        np.testing.assert_allclose(y, found[f"{mode} float64 y"], rtol=1e-6, atol=1e-9)
        for i, d in enumerate([dx, *(p.gradient for p in layer.arrays())]):
            np.testing.assert_allclose(d, found[f"{mode} float64 dx{i}"], rtol=1e-6, atol=1e-8)


def test_silence_has_finite_numbers_and_gradients():
    for mode in MODES:
        layer = STFTSpectrogram(mode, 6)
        layer.build((None, 12, 1))
        y, cache = layer.forward(np.zeros((1, 12, 1), np.float32))
        dx = layer.backward(np.ones_like(y), cache)

        assert np.isfinite(y).all() and np.isfinite(dx).all()
        assert not np.isnan(layer.arrays()[0].gradient).any()


@pytest.mark.parametrize(
    "make", [lambda: STFTSpectrogram("psd", 6), lambda: MelSpectrogram(**SMALL)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(make, dtype):
    layer = make()
    layer.adopt_dtype(np.dtype(dtype))
    x = drawn((2, 17, 2) if isinstance(layer, STFTSpectrogram) else (2, 17), dtype=dtype)
    layer(x)
    y, dx = passes_that_only_read(layer, x)

    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape
    assert layer(x[:0]).shape == (0, *y.shape[1:])


def test_a_network_learns_a_pitch_by_its_own_kernels():
    t = np.arange(64)
    pitch = np.random.default_rng(0).uniform(0.05, 0.45, 200)
    x = np.sin(2 * np.pi * pitch[:, None] * t)[..., None].astype(np.float32)
    model = bp.Sequential(
        [Input((64, 1)), STFTSpectrogram("log", 16), GlobalAveragePooling1D(), Dense(1)]
    )
    model.compile(bp.optimizers.Adam(0.02), "mse")
    before = model.evaluate(x, pitch, verbose=0)
    model.fit(x, pitch, epochs=30, verbose=0)

    assert model.evaluate(x, pitch, verbose=0) < before / 20


# -------------------------------------------------------------------------------------------- mel

MELS = {
    "decibels": {},
    "powers": {"power_to_db": False},
    "magnitudes": {"mag_exp": 1.0},
    "short frames": {"sequence_length": 10, "window": "hamming"},
    "no window": {"window": None, "top_db": 5.0},
    "own window": {"window": np.arange(16.0) + 1, "ref_power": 3.0, "mag_exp": 1.5},
    "odd": {"fft_length": 15, "max_freq": 400, "min_freq": 10.0},
}


@pytest.mark.parametrize("name", MELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mel_spectrograms_agree_with_keras(name, dtype):
    """As far as float32 goes, in which Keras has the triangles in float64 too."""
    options = SMALL | MELS[name] | {"dtype": dtype}
    x = drawn((2, 33), dtype=dtype)
    with keras_in(dtype) as keras:
        theirs = keras.layers.MelSpectrogram(**options)
        wanted, one = np.asarray(theirs(x)), np.asarray(theirs(x[0]))
    ours = MelSpectrogram(**options)

    np.testing.assert_allclose(ours(x), wanted, rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(ours(x[0]), one, rtol=2e-5, atol=1e-4)
    assert ours.compute_output_shape((None, 33)) == (None, *wanted.shape[1:])


@pytest.mark.parametrize("name", MELS)
def test_gradients_of_mel_spectrograms(name):
    for samples in (33, 7):  # the signal's mirror image is longer than the signal
        assert_gradients(MelSpectrogram(**SMALL | MELS[name]), drawn((2, samples)))


@needs_keras_on_jax
def test_gradients_of_mel_spectrograms_are_those_of_keras(tmp_path):
    asked, x = {}, drawn((2, 33))
    for name, options in MELS.items():
        if "own" not in name:
            given = ", ".join(f"{k}={v!r}" for k, v in (SMALL | options).items())
            asked[name] = (
                f"(lambda layer: lambda x: layer(x[0]))(keras.layers.MelSpectrogram({given}))",
                [x],
            )
    found = run_in_keras(asked, tmp_path)
    for name in asked:
        layer = MelSpectrogram(**SMALL | MELS[name], dtype="float64")
        layer(x)
        y, cache = layer.forward(x)
        dx = layer.backward(gradient_from_above(y), cache)

        np.testing.assert_allclose(y, found[f"{name} float64 y"], rtol=2e-5, atol=1e-4)
        scale = abs(dx).max()
        np.testing.assert_allclose(dx, found[f"{name} float64 dx0"], rtol=2e-5, atol=2e-5 * scale)


def test_the_number_of_frames_is_the_one_that_comes_out():
    for samples in range(10, 30):
        for stride in (3, 5, 8):
            layer = MelSpectrogram(8, stride, num_mel_bins=3, sampling_rate=1000)
            x = np.ones((1, samples))

            assert layer(x).shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: STFTSpectrogram("loud"), "mode to be one of"),
        (
            lambda: STFTSpectrogram(frame_length=8, frame_step=9),
            "at most frame_length, got 9 and 8",
        ),
        (lambda: STFTSpectrogram(frame_length=8, fft_length=7), "at least frame_length, got 7"),
        (lambda: STFTSpectrogram(window="hanning window"), "scipy.signal.get_window knows"),
        (lambda: STFTSpectrogram(scaling="loud"), "scaling to be one of"),
        (lambda: STFTSpectrogram(padding="causal"), "padding to be one of"),
        (lambda: STFTSpectrogram(frame_length=8)(np.ones((1, 7, 1))), "a frame longer than"),
        (lambda: STFTSpectrogram(frame_length=8)(np.ones((1, 7))), "2 axes besides the batch"),
        (lambda: STFTSpectrogram(frame_length=8, window=[1.0])(np.ones((1, 9, 1))), "frames of 8"),
        (lambda: initializers.STFT("left"), "side to be one of"),
        (lambda: initializers.STFT()((3, 4)), "was asked for shape (3, 4)"),
        (lambda: MelSpectrogram(16, sequence_length=17), "at most fft_length, got 17 and 16"),
        (lambda: MelSpectrogram(window="blackman"), "'hann', 'hamming', an array or None"),
        (lambda: MelSpectrogram(16, window=[1.0, 2.0]), "a window of 16 numbers"),
        (lambda: MelSpectrogram(num_mel_bins=0), "num_mel_bins to be a positive integer"),
        (lambda: MelSpectrogram(min_freq=900, max_freq=800), "max_freq to be above min_freq"),
        (lambda: MelSpectrogram(16)(np.ones((1, 1))), "two samples at least"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_masks_of_samples_end_here():
    for layer, x in (
        (STFTSpectrogram(frame_length=4), np.ones((2, 9, 1))),
        (MelSpectrogram(**SMALL), np.ones((2, 9))),
    ):
        layer(x)
        mask = np.ones(x.shape[:2], bool)

        assert layer.compute_mask(x, mask) is None and not layer.obeys_mask(x, mask)
        assert layer.compute_mask(x, mask[:, 0]).shape == (2,)
