"""Layers that change images or encode columns and sounds, beside Keras on NumPy: what they make of
the draw that Keras has made, where they draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from drawn_images import FORMATS, both, pictures
from hypothesis import strategies as st
from keras_parity import keras_in

from backprop import layers
from differential.harness import Compare, Draw, dtypes, generator, options, seeds

share = st.floats(0.05, 0.95)
RANGES = [(0, 1), (0, 255)]


def picture(draw: Draw, value_range):
    data_format = draw(st.sampled_from(FORMATS))
    shape = (*draw(st.tuples(st.integers(1, 3), st.integers(4, 7), st.integers(4, 7))), 3)
    return pictures(shape, value_range, data_format, draw(seeds)), data_format


def scaled(found, wanted, value_range):
    """Bytes as fractions: an error of one rounding is one of the range."""
    return found / value_range[1], wanted / value_range[1]


# ---------------------------------------------------------------------------- on Keras' draw


def flat(name: str, dtype=None) -> Callable:
    return lambda t, n: np.asarray(t[name], dtype).ravel()


def of_blur(t, n):
    sigma = np.tile(np.asarray(t["blur_factor"], np.float64), (n, 1))
    return np.asarray(t["should_apply_blur"]), sigma


def of_solarization(t, n):
    return tuple(np.asarray(t[name]).ravel() / 255 for name in ("additions", "thresholds"))


def of_mixture(t, n):
    return np.asarray(t["permutation_order"]), np.asarray(t["mix_weight"]).ravel()


factor = {"factor": st.floats(0.1, 0.9)}
DRAWN: dict[str, tuple[Callable, dict[str, Any]]] = {
    "RandomHue": (flat("factor"), factor),
    "RandomSaturation": (flat("factor"), factor),
    "RandomColorDegeneration": (flat("factor"), factor),
    "RandomGrayscale": (lambda t, n: np.asarray(t).ravel(), factor),
    "RandomInvert": (flat("apply_inversion"), factor),
    "RandomSharpness": (flat("factor", np.float64), factor),
    "RandomPosterization": (
        lambda t, n: 8 - np.asarray(t["shift_factor"]).astype(int),
        {"factor": st.integers(1, 8)},
    ),
    "RandomGaussianBlur": (of_blur, {"kernel_size": st.sampled_from([3, 5]), "sigma": share}),
    "Solarization": (of_solarization, {"addition_factor": share, "threshold_factor": share}),
    "MixUp": (of_mixture, {"alpha": share}),
}
WITHOUT_RANGE = {"RandomGrayscale", "MixUp"}


def drawn(name: str) -> Compare:
    drawn_of, strategies = DRAWN[name]

    def compare(draw: Draw):
        value_range = draw(st.sampled_from(RANGES))
        x, data_format = picture(draw, value_range)
        given = options(draw, strategies) | {"data_format": data_format, "seed": draw(seeds)}
        if name not in WITHOUT_RANGE:
            given["value_range"] = value_range
        dtype, n = draw(dtypes), len(x)
        y, wanted = both(getattr(layers, name), x, lambda t: drawn_of(t, n), dtype, **given)
        yield dtype, *scaled(y, wanted, value_range)

    return compare


# ---------------------------------------------------------------------------- nothing to draw

side = st.integers(1, 9)
sides = {"height": side, "width": side}
SIZES: dict[str, dict[str, Any]] = {
    "CenterCrop": sides,
    "Resizing": {
        **sides,
        "interpolation": st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos3"]),
        "antialias": st.booleans(),
    },
}
TONES: dict[str, dict[str, Any]] = {
    "AutoContrast": {},
    "Equalization": {"bins": st.sampled_from([16, 256])},
    "ContrastLimitedAdaptiveHistogramEqualization": {
        "clip_limit": st.floats(0, 5),
        "tile_grid_size": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    },
}


def undrawn(name: str, strategies: dict[str, Any], with_range: bool) -> Compare:
    def compare(draw: Draw):
        value_range = draw(st.sampled_from(RANGES))
        x, data_format = picture(draw, value_range)
        given = options(draw, strategies) | {"data_format": data_format, "dtype": draw(dtypes)}
        if with_range:  # Keras takes channels for the last axis, and a batch for one image
            x, data_format = pictures((1, 7, 6, 3), value_range, seed=draw(seeds)), None
            given |= {"value_range": value_range, "data_format": None}
        x = x.astype(given["dtype"])
        found = getattr(layers, name)(**given)(x, training=True)
        with keras_in(given["dtype"]) as keras:
            wanted = np.asarray(getattr(keras.layers, name)(**given)(x, training=True))
        # Keras has parts of the tones in float32, whatever the dtype
        yield "float32" if with_range else given["dtype"], *scaled(found, wanted, value_range)

    return compare


# ---------------------------------------------------------------------------- columns, and sounds

# sounds in float32 alone: there Keras has its triangles of frequencies in float64 too


def encoded(name: str, strategies: dict[str, Any], values: Callable, most: int = 4) -> Compare:
    def compare(draw: Draw):
        given = options(draw, strategies)
        shape = draw(st.tuples(st.integers(1, 4), st.integers(max(1, most - 10), most)))
        x = values(generator(draw), shape)
        found = getattr(layers, name)(**given)(x)
        with keras_in("float32") as keras:
            yield "float32", found, np.asarray(getattr(keras.layers, name)(**given)(x))

    return compare


modes = st.sampled_from(["one_hot", "multi_hot", "count"])
COMPARE: dict[str, Compare] = {
    **{name: drawn(name) for name in DRAWN},
    **{name: undrawn(name, strategies, False) for name, strategies in SIZES.items()},
    **{name: undrawn(name, strategies, True) for name, strategies in TONES.items()},
    "CategoryEncoding": encoded(
        "CategoryEncoding",
        {"num_tokens": 5, "output_mode": st.sampled_from(["multi_hot", "count"])},
        lambda rng, shape: rng.integers(5, size=shape),
    ),
    "Discretization": encoded(
        "Discretization",
        {
            "bin_boundaries": st.lists(st.integers(-5, 5), min_size=1, max_size=5, unique=True).map(
                lambda found: [n / 4 for n in sorted(found)]
            ),
            "output_mode": st.just("int") | modes,
        },
        lambda rng, shape: rng.standard_normal(shape).round(1).astype("float32"),
    ),
    "MelSpectrogram": encoded(
        "MelSpectrogram",
        {
            "fft_length": st.sampled_from([12, 16]),
            "sequence_stride": st.integers(3, 8),
            "num_mel_bins": st.integers(2, 5),
            "sampling_rate": 1000,
            "max_freq": st.none() | st.just(400.0),
            "power_to_db": st.booleans(),
            "mag_exp": st.sampled_from([1.0, 2.0]),
        },
        lambda rng, shape: rng.standard_normal(shape).astype("float32"),
        most=40,
    ),
}
