"""What every layer that changes images does with what a call gives it."""

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L
from backprop.layers.images.base import ImageLayer

IMAGES = [
    L.RandomFlip(seed=1),
    L.RandomTranslation(0.3, 0.4, seed=1),
    L.RandomRotation(0.3, seed=1),
    L.RandomZoom(0.5, 0.4, seed=1),
    L.RandomShear(0.8, 0.5, seed=1),
    L.RandomPerspective((1.0, 1.0), seed=1),
    L.RandomElasticTransform((1.0, 1.0), (1.0, 1.0), value_range=(-9, 9), seed=1),
    L.RandomErasing((1.0, 1.0), (0.2, 0.4), 0.5, seed=1),
    L.RandomContrast(0.5, (-9.0, 9.0), seed=1),
    L.RandomBrightness(0.3, (-9.0, 9.0), seed=1),
]
SIZES = [L.Resizing(3, 8), L.CenterCrop(3, 4), L.RandomCrop(3, 4, seed=1)]
ALL = [*IMAGES, *SIZES]
FORMATS = ["channels_last", "channels_first"]


def each(layers):
    return pytest.mark.parametrize("layer", layers, ids=[type(layer).__name__ for layer in layers])


def fresh(layer, **other):
    return type(layer).from_config(layer.get_config() | other)


def pictures(shape=(4, 6, 5, 2), dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


class Twice(ImageLayer):
    """Twice the image, with labels and masks that say so."""

    def draw(self, x):
        return np.full(len(x), 2.0)

    def change(self, x, drawn):
        return 2 * x, drawn

    def reverse(self, dy, kept):
        return 2 * dy

    def change_labels(self, labels, drawn):
        return labels * drawn


@each(IMAGES)
def test_a_call_alone_changes_images_and_inference_does_not(layer):
    x = pictures()

    assert (fresh(layer)(x) != x).any()
    np.testing.assert_array_equal(fresh(layer)(x), fresh(layer)(x, training=True))
    np.testing.assert_array_equal(fresh(layer)(x, training=False), x)
    np.testing.assert_array_equal(fresh(layer)(x, False), x)


@each(ALL)
@pytest.mark.parametrize("data_format", FORMATS)
def test_one_image_is_a_batch_of_one(layer, data_format):
    x = pictures()[0] if data_format == "channels_last" else np.moveaxis(pictures()[0], -1, 0)
    y = fresh(layer, data_format=data_format)(x)

    assert y.ndim == 3
    np.testing.assert_array_equal(y, fresh(layer, data_format=data_format)(x[None])[0])
    np.testing.assert_array_equal(y, fresh(layer, data_format=data_format)(x.tolist()))


@each(ALL)
def test_bytes_become_floats(layer):
    x = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
    y = fresh(layer)(x)

    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, fresh(layer)(x.astype(np.float32)))


@each(ALL)
@pytest.mark.parametrize("data_format", FORMATS)
def test_channels_first_moves_the_axis_alone(layer, data_format):
    x = pictures()
    if layer.get_config().get("fill_value", 0) is None:
        layer = fresh(layer, fill_value=0.0)
    last = fresh(layer)(x)
    first = fresh(layer, data_format="channels_first")(np.moveaxis(x, -1, 1))

    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last, rtol=1e-5, atol=1e-6)


@each(ALL)
def test_a_dict_is_changed_by_one_draw(layer):
    x = pictures()
    labels, marks = np.eye(4), np.arange(120).reshape(4, 6, 5, 1)
    data = {"images": x, "labels": labels, "segmentation_masks": marks, "names": list("abcd")}
    found = fresh(layer)(data)

    assert list(data) == list(found) and data["images"] is x
    np.testing.assert_array_equal(found["images"], fresh(layer)(x))
    np.testing.assert_array_equal(found["labels"], labels)
    assert found["names"] == list("abcd")
    assert found["segmentation_masks"].dtype == marks.dtype
    assert set(found["segmentation_masks"].ravel()) <= set(marks.ravel())


@each([layer for layer in ALL if "interpolation" in layer.get_config()])
def test_masks_are_moved_as_the_images_are_by_the_nearest_pixel(layer):
    marks = np.random.default_rng(0).integers(0, 9, (4, 6, 5, 1))
    data = {"images": marks.astype(np.float32), "segmentation_masks": marks}
    y = fresh(layer, interpolation="nearest")(data)
    blended = fresh(layer)(data)

    np.testing.assert_array_equal(y["images"], y["segmentation_masks"])
    np.testing.assert_array_equal(blended["segmentation_masks"], y["segmentation_masks"])
    flat = fresh(layer)(data | {"segmentation_masks": marks[..., 0]})["segmentation_masks"]
    np.testing.assert_array_equal(flat, y["segmentation_masks"][..., 0])


@each(IMAGES)
def test_a_dict_in_inference_is_as_it_was(layer):
    data = {"images": pictures(), "segmentation_masks": np.ones((4, 6, 5, 1), np.int8)}
    found = fresh(layer)(data, training=False)

    for name in data:
        np.testing.assert_array_equal(found[name], data[name])
        np.testing.assert_array_equal(fresh(layer)(data, False)[name], data[name])


def test_a_drawing_takes_images_alone():
    with pytest.raises(TypeError, match="dicts of arrays; call it on the symbolic images alone"):
        L.RandomFlip()({"images": bp.Input((4, 4, 1))})


def test_a_dict_of_one_image_loses_no_axis():
    data = {
        "images": pictures()[0],
        "labels": np.array([1.0, 0.0]),
        "segmentation_masks": np.ones((6, 5), np.uint8),
    }
    found = L.RandomRotation(0.2)(data)

    assert {name: a.shape for name, a in found.items()} == {
        "images": (6, 5, 2),
        "labels": (2,),
        "segmentation_masks": (6, 5),
    }


def test_labels_are_changed_by_the_layer_that_says_so():
    data = {"images": pictures(), "labels": np.arange(4)}

    np.testing.assert_array_equal(Twice()(data)["labels"], [0, 2, 4, 6])
    np.testing.assert_array_equal(Twice()(data, training=False)["labels"], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"labels": 1}, "called on a dict without 'images'; it has ['labels']"),
        ({"images": pictures(), "labels": [1.0]}, "'labels' for each of 4 images"),
        (
            {"images": pictures(), "segmentation_masks": np.ones((4, 5, 6))},
            "of the height and width of the images, whose shape is (6, 5, 2), got (5, 6)",
        ),
        ({"images": pictures(), "bounding_boxes": {}}, "does not know what their numbers mean"),
        ({"images": np.ones((2, 2))}, "3 axes besides the batch"),
    ],
)
def test_a_bad_dict_is_an_error_that_says_so(data, message):
    with pytest.raises(ValueError) as error:
        L.RandomFlip()(data)

    assert message in str(error.value)


@each(ALL)
def test_in_a_model_images_are_changed_in_training_alone(layer):
    x = pictures()
    model = bp.Sequential([bp.Input((6, 5, 2)), fresh(layer), L.Flatten(), L.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 2)), epochs=1, verbose=0)
    once = model.predict(x, verbose=0)

    np.testing.assert_array_equal(model.predict(x, verbose=0), once)
    np.testing.assert_allclose(model(x, training=False), once, rtol=1e-5, atol=1e-6)


@each(ALL)
def test_a_model_with_it_is_saved_and_copied(layer, tmp_path):
    inputs = bp.Input((6, 5, 2))
    model = bp.Model(inputs, L.GlobalAveragePooling2D()(fresh(layer)(inputs)))
    model.save(tmp_path / "m.npz")
    again = bp.saving.load_model(tmp_path / "m.npz")

    assert again.layers[1].get_config() == model.layers[1].get_config()
    assert repr(again.layers[1]) == repr(model.layers[1])
    x = pictures()
    np.testing.assert_array_equal(again(x, training=True), model(x, training=True))


@each(IMAGES)
def test_the_seed_decides(layer):
    x = pictures((8, 6, 5, 2))

    np.testing.assert_array_equal(fresh(layer, seed=3)(x), fresh(layer, seed=3)(x))
    assert (fresh(layer, seed=3)(x) != fresh(layer, seed=4)(x)).any()
    bp.utils.set_random_seed(5)
    one = fresh(layer, seed=None)(x)
    bp.utils.set_random_seed(5)
    np.testing.assert_array_equal(fresh(layer, seed=None)(x), one)
