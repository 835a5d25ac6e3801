"""Every layer with every kind of argument in a file: ours in Keras, and Keras' here."""

import numpy as np
import pytest
from keras_parity import keras_in
from layer_examples import CATEGORIES, LOOKUPS, arguments
from layers_in_files import WRITTEN

import backprop as bp
from backprop.arguments import defaults_of
from backprop.interop.keras_configs import CALLED, OUR_ARGUMENTS, name_in_keras
from backprop.layer import Layer
from backprop.layers import registry
from backprop.nest import several

h5py = pytest.importorskip("h5py")


def objects(k):
    """What goes into arguments that take an object, by how their names end."""
    return {
        "_initializer": k.initializers.RandomUniform(0.1, 0.4, seed=2),
        "_regularizer": k.regularizers.L1L2(0.01, 0.02),
        "_constraint": k.constraints.MinMaxNorm(0.1, 0.9, rate=0.5, axis=[0]),
    }


FIRST = {"data_format": "channels_first"}
SAME = {"padding": "same"}
GATES = [
    {"activation": "softsign", "use_bias": False, "go_backwards": True},
    {"return_sequences": True, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3},
    {"zero_output_for_mask": True, "return_sequences": True},
]
MORE_GATES = [
    *({**way, "recurrent_activation": "tanh"} for way in GATES),
    {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
]
IMAGES_OF_GATES = [
    {"return_sequences": True, **SAME},
    {"strides": 1, "dilation_rate": 2, **SAME, **FIRST},
]
CONV = [
    {"activation": "silu", "use_bias": False, "dilation_rate": 2, "padding": "same"},
    {"padding": "same", "strides": 2},
]
TRANSPOSED = [{"padding": "same"}, {"padding": "same", "output_padding": 1}]
POOLS = [{"strides": 1, "padding": "same"}, FIRST]
# class: arguments besides those that make the example
VARIED = {
    "AdaptiveAveragePooling2D": [FIRST],
    "AdditiveAttention": [{"use_scale": False, "dropout": 0.3, "seed": 1}],
    "AlphaDropout": [{"noise_shape": (5, 1), "seed": 4}],
    "Attention": [{"dropout": 0.2, "seed": 3}],
    "AveragePooling1D": POOLS,
    "AveragePooling2D": POOLS,
    "AveragePooling3D": POOLS,
    "BatchNormalization": [
        {"momentum": 0.5, "epsilon": 0.1, "center": False},
        {"scale": False, "axis": 1},
    ],
    "Conv1D": [*CONV, {"padding": "causal", "groups": 2}, FIRST],
    "Conv1DTranspose": [*TRANSPOSED, {"activation": "gelu", "use_bias": False, **FIRST}],
    "Conv2D": [*CONV, FIRST],
    "Conv2DTranspose": TRANSPOSED,
    "Conv3D": [*CONV, FIRST],
    "ConvLSTM1D": [*MORE_GATES, *IMAGES_OF_GATES, {"unit_forget_bias": False}],
    "ConvLSTM2D": [*MORE_GATES, *IMAGES_OF_GATES],
    "Cropping2D": [FIRST],
    "Dense": [{"use_bias": False}],
    "DepthwiseConv1D": [*CONV, {"depth_multiplier": 2}, FIRST],
    "DepthwiseConv2D": [*CONV[1:], {"depth_multiplier": 2}, FIRST],
    "Dropout": [{"noise_shape": (None, 1), "seed": 7}],
    "ELU": [{"alpha": 0.4}],
    "Embedding": [{"mask_zero": True}],
    "Flatten": [FIRST],
    "GRU": [*MORE_GATES, {"reset_after": False}],
    "GaussianDropout": [{"seed": 2}],
    "GaussianNoise": [{"seed": 2}],
    "GlobalAveragePooling1D": [{"keepdims": True}, FIRST],
    "GlobalAveragePooling2D": [{"keepdims": True, **FIRST}],
    "GlobalAveragePooling3D": [{"keepdims": True, **FIRST}],
    "GlobalMaxPooling1D": [{"keepdims": True, **FIRST}],
    "GlobalMaxPooling2D": [{"keepdims": True, **FIRST}],
    "GlobalMaxPooling3D": [{"keepdims": True, **FIRST}],
    "GroupNormalization": [{"epsilon": 0.1, "center": False}, {"scale": False}],
    "GroupQueryAttention": [{"use_bias": False, "use_gate": True, "dropout": 0.1, "seed": 1}],
    "LSTM": [*MORE_GATES, {"unit_forget_bias": False}],
    "LayerNormalization": [{"axis": [-1], "epsilon": 0.1, "center": False}, {"scale": False}],
    "LeakyReLU": [{"negative_slope": 0.05}],
    "Masking": [{"mask_value": 0.7}],
    "MaxPooling1D": POOLS,
    "MaxPooling2D": POOLS,
    "MaxPooling3D": POOLS,
    "MultiHeadAttention": [
        {"use_bias": False, "dropout": 0.1, "seed": 1, "output_shape": 5},
        {"attention_axes": (1,), "use_gate": True},
    ],
    "Normalization": [
        {"axis": None, "mean": 0.5, "variance": 2.0},
        {"mean": [0.1] * 6, "variance": [2.0] * 6, "invert": True},
    ],
    "PReLU": [{"shared_axes": [1]}],
    "RMSNormalization": [{"axis": -1, "epsilon": 0.1}],
    "RandomFlip": [{"mode": "horizontal", "seed": 3}],
    "RandomRotation": [{"fill_mode": "constant", "fill_value": 0.3, "interpolation": "nearest"}],
    "RandomTranslation": [{"fill_mode": "wrap", "seed": 1}],
    "RandomZoom": [{"width_factor": (-0.2, 0.3), "fill_mode": "nearest"}],
    "ReLU": [{"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.2}],
    "SeparableConv1D": [*CONV, {"depth_multiplier": 2}],
    "SeparableConv2D": [*CONV[1:], {"depth_multiplier": 2, **FIRST}],
    "SimpleRNN": GATES,
    "Softmax": [{"axis": 1}],
    "SpatialDropout2D": [{**FIRST, "seed": 3}],
    "SpatialDropout3D": [FIRST],
    "UnitNormalization": [{"axis": 1}],
    "UpSampling1D": [{"size": 3}],
    "UpSampling2D": [{"size": (1, 3), "interpolation": "bilinear"}, FIRST],
    "UpSampling3D": [{"size": (2, 1, 3)}, FIRST],
    "ZeroPadding1D": [{"padding": (2, 0)}, FIRST],
    "ZeroPadding2D": [{"padding": ((1, 0), (0, 2))}, FIRST],
    "ZeroPadding3D": [FIRST],
}


# Keras writes these without their activity_regularizer, or not at all with one
LOST = {"ELU", "Identity", "SimpleRNN"}


def furnished(name, k):
    """An object for every argument that takes one."""
    cls = registry.classes[name]
    ours = OUR_ARGUMENTS.get(name, set()) | ({"activity_regularizer"} if name in LOST else set())
    return {
        argument: value
        for argument in defaults_of(cls)
        for end, value in objects(k).items()
        if argument.endswith(end) and argument not in ours
    }


def ways(name):
    if name_in_keras(registry.classes[name]) == name and name not in ("Model", "Sequential"):
        yield lambda k: furnished(name, k)
        for given in VARIED.get(name, ()):
            yield lambda k, given=given: given


CASES = [(name, i) for name in WRITTEN for i, _ in enumerate(ways(name))]


def made(k, name, given):
    """Keras' layer, or ours, of the example with further arguments."""
    if name in CATEGORIES:
        args, x = CATEGORIES[name]
        shape = x.shape
    else:
        args, shape = arguments(name)
    return getattr(k.layers, name)(*args, **given), shape


def holds_layers(name):
    return any(isinstance(a, list | Layer) for a in arguments(name)[0])


def applied(k, layer, name, shape):
    """A model of one layer."""
    if several(shape) or name in CALLED:
        inputs = [k.Input(one[1:]) for one in (shape if several(shape) else (shape,))]
        own = name in CALLED and k is not bp
        return k.Model(inputs, layer(*inputs, *inputs) if own else layer(inputs))
    dtype = "int32" if name in LOOKUPS or name in CATEGORIES else "float32"
    return k.Sequential([k.Input(shape[1:], dtype=dtype), layer])


def numbers(name, shape):
    rng = np.random.default_rng(0)
    if name in LOOKUPS or name in CATEGORIES:
        return rng.integers(0, 7, shape)
    if several(shape):
        return [rng.standard_normal(s).astype("float32") for s in shape]
    return rng.standard_normal(shape).astype("float32")


@pytest.mark.parametrize(("name", "i"), CASES)
def test_a_layer_with_arguments_goes_both_ways(name, i, tmp_path):
    give = list(ways(name))[i]
    with keras_in("float32") as keras:
        ours, shape = made(bp, name, give(bp))
        model = applied(bp, ours, name, shape)
        x = numbers(name, shape)
        expected = model.predict(x, verbose=0)
        model.save(tmp_path / "ours.keras")

        theirs = keras.saving.load_model(tmp_path / "ours.keras")
        theirs.save(tmp_path / "theirs.keras")
        back = bp.models.load_model(tmp_path / "theirs.keras")

        close(theirs.predict(x, verbose=0), expected)
        close(back.predict(x, verbose=0), expected)
        if holds_layers(name):
            return
        same = bp.models.load_model(tmp_path / "ours.keras").layers[-1]
        assert same.get_config() == ours.get_config() | {"dtype": "float32"}
        for argument in give(bp).keys() & furnished(name, bp).keys():
            ours_now, back_now = (getattr(m, argument) for m in (ours, back.layers[-1]))
            assert bp.config.serialize(back_now) == bp.config.serialize(ours_now)
        own, _ = made(keras, name, give(keras))
        other = applied(keras, own, name, shape)
        other.save(tmp_path / "made.keras")
        here = bp.models.load_model(tmp_path / "made.keras")
        close(here.predict(x, verbose=0), other.predict(x, verbose=0))


def close(found, expected):
    for a, b in zip(as_list(found), as_list(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def as_list(y):
    return y if isinstance(y, list | tuple) else [y]
