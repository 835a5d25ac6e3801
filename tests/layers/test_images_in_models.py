"""What changes colours and mixes images, inside a model, in a dict, as bytes, and in Keras'
configurations."""

import numpy as np
import pytest
from drawn_images import pictures
from keras_parity import keras_in

import backprop as bp
from backprop import Model, Sequential
from backprop.layers import (
    AugMix,
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Conv2D,
    CutMix,
    Dense,
    Equalization,
    Flatten,
    Input,
    MixUp,
    RandAugment,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
    RandomSharpness,
    Solarization,
)

ALWAYS = [
    AutoContrast(),
    Equalization(bins=200),
    ContrastLimitedAdaptiveHistogramEqualization(clip_limit=3.0, tile_grid_size=(2, 3)),
]
MIXING = [MixUp(0.7, seed=1), CutMix((0.2, 0.9), seed=1)]
LAYERS = [
    RandomHue(0.6, seed=1),
    RandomSaturation(0.8, seed=1),
    RandomColorJitter((0, 255), 0.1, 0.2, (0.3, 0.6), 0.1, seed=1),
    RandomColorDegeneration(0.7, seed=1),
    RandomGrayscale(0.8, seed=1),
    RandomInvert((0.9, 1.0), seed=1),
    RandomPosterization(3, seed=1),
    RandomSharpness((0.6, 0.9), seed=1),
    RandomGaussianBlur((0.9, 1.0), (3, 5), (0.5, 0.8), seed=1),
    Solarization(0.1, (0.2, 0.4), seed=1),
    RandAugment(num_ops=4, seed=3),
    AugMix(num_chains=2, chain_depth=4, seed=1),
    *MIXING,
    *ALWAYS,
]
EACH = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


def fresh(layer):
    return type(layer).from_config(layer.get_config())


@EACH
def test_a_model_trains_through_it_and_predicts_without_it(layer, tmp_path):
    x = pictures((12, 8, 7, 3)).astype(np.float32)
    layers = [Conv2D(3, 3, padding="same"), fresh(layer), Flatten(), Dense(2, "softmax")]
    model = Sequential([Input((8, 7, 3)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    inside = model.layers[0](x)
    left = model.layers[1](inside, training=False)

    model.fit(x, np.arange(12) % 2, epochs=2, batch_size=5, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()
    assert np.array_equal(left, inside) == (type(layer) not in map(type, ALWAYS))
    model.save(tmp_path / "model.npz")
    again = bp.saving.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.layers[1].get_config() == model.layers[1].get_config()


@EACH
def test_a_drawn_model_holds_it(layer):
    x = pictures((3, 8, 7, 3)).astype(np.float32)
    image = Input((8, 7, 3))
    model = Model(image, fresh(layer)(image))

    np.testing.assert_array_equal(model(x, training=True), fresh(layer)(x, training=True))
    np.testing.assert_array_equal(model.predict(x, verbose=0), fresh(layer)(x, training=False))


@EACH
def test_bytes_lists_and_single_images(layer):
    x = pictures((3, 8, 7, 3)).astype(np.uint8)
    y = fresh(layer)(x)

    assert y.dtype == np.float32 and y.min() >= -1e-3 and y.max() <= 255.001
    np.testing.assert_array_equal(fresh(layer)(x.astype(np.float32)), y)
    one = fresh(layer)(x[0])
    assert one.shape == x[0].shape
    np.testing.assert_array_equal(fresh(layer)(x[:1])[0], one)
    np.testing.assert_array_equal(fresh(layer)(x[0].tolist()), one)


@EACH
def test_what_belongs_to_the_images_is_kept_where_no_pixel_moves(layer):
    x = pictures((3, 8, 7, 3))
    masks, labels = (
        (x[..., :1] > 99).astype(np.int64),
        np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]),
    )
    data = {"images": x, "labels": labels, "segmentation_masks": masks, "id": 7}
    y = fresh(layer)(data)

    np.testing.assert_array_equal(y["images"], fresh(layer)(x))
    assert y["id"] == 7 and data["images"] is x and y["labels"].shape == labels.shape
    if type(layer) not in map(type, MIXING):
        np.testing.assert_array_equal(y["labels"], labels)
    if not isinstance(layer, MixUp | CutMix | RandAugment | AugMix):
        np.testing.assert_array_equal(y["segmentation_masks"], masks)


@EACH
def test_configurations_are_those_of_keras(layer):
    """Of Keras' configuration a layer is made that has the same arguments, and the other way
    round."""
    ours = layer.get_config()
    with keras_in("float32") as keras:
        make = getattr(keras.layers, type(layer).__name__)
        known = make(**({"factor": 1} if "factor" in ours else {})).get_config()
        theirs = make.from_config({k: v for k, v in ours.items() if k in known}).get_config()
    assert theirs.keys() <= ours.keys()
    theirs.pop("dtype")
    back = type(layer).from_config(theirs)
    for name in theirs.keys() - {"data_format"}:
        assert getattr(back, name) == getattr(layer, name), name
