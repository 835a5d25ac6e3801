"""Bounding boxes go with their images: by hand, with the pixels in them, and beside Keras."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from keras_parity import keras_in

import backprop as bp
from backprop import layers as L
from backprop.layers.images.boxes import FORMATS, edges, written

KINDS = {"fill_mode": "constant", "bounding_box_format": "yxyx"}
MOVING = [
    L.RandomFlip("horizontal", bounding_box_format="yxyx"),
    L.RandomFlip("vertical", bounding_box_format="yxyx"),
    L.RandomFlip(bounding_box_format="yxyx"),
    L.RandomTranslation(0.2, 0.3, **KINDS),
    L.RandomRotation(0.5, **KINDS),
    L.RandomZoom(0.5, 0.4, **KINDS),
    L.RandomShear(0.3, 0.2, **KINDS),
    L.RandomPerspective((1.0, 1.0), 0.5, bounding_box_format="yxyx"),
    L.Resizing(35, 80, bounding_box_format="yxyx"),
    L.Resizing(60, 50, crop_to_aspect_ratio=True, bounding_box_format="yxyx"),
    L.Resizing(60, 50, pad_to_aspect_ratio=True, bounding_box_format="yxyx"),
    L.CenterCrop(30, 45, bounding_box_format="yxyx"),
    L.CenterCrop(70, 45, bounding_box_format="yxyx"),
    L.RandomCrop(30, 45, bounding_box_format="yxyx"),
    L.RandomCrop(70, 45, bounding_box_format="yxyx"),
]


def each(layers):
    return pytest.mark.parametrize("layer", layers, ids=[repr(layer) for layer in layers])


def fresh(layer, **other):
    return type(layer).from_config(layer.get_config() | other)


def around(mark):
    """The box around what is marked in an image."""
    rows, columns = np.flatnonzero(mark.any(1)), np.flatnonzero(mark.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


@each(MOVING)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_box_is_around_the_pixels_that_were_in_it(layer, data_format):
    bp.utils.set_random_seed(0)
    rng, n = np.random.default_rng(0), 40
    first = rng.integers([5, 5], [25, 35], (n, 2))
    boxes = np.concatenate([first, first + rng.integers(6, 15, (n, 2))], 1)
    marks = np.zeros((n, 50, 60), np.uint8)
    for mark, (top, left, bottom, right) in zip(marks, boxes, strict=True):
        mark[top:bottom, left:right] = 1
    images = np.zeros((n, 50, 60, 1) if data_format == "channels_last" else (n, 1, 50, 60))
    found = fresh(layer, data_format=data_format)(
        {
            "images": images,
            "segmentation_masks": marks,
            "bounding_boxes": {"boxes": boxes[:, None], "labels": np.ones((n, 1), int)},
        }
    )
    moved, labels = found["bounding_boxes"]["boxes"][:, 0], found["bounding_boxes"]["labels"][:, 0]
    seen = found["segmentation_masks"].any((1, 2))

    assert seen.sum() > n / 2
    assert (labels[seen] == 1).all()
    for mark, box in zip(found["segmentation_masks"][seen], moved[seen], strict=True):
        assert np.abs(around(mark) - box).max() <= 2, (around(mark), box)


def test_a_flip_by_hand_in_three_formats():
    data = {"images": np.ones((1, 10, 20, 1)), "bounding_boxes": {"labels": np.array([[5]])}}
    for form, given_box, wanted in (
        ("xyxy", [2, 3, 7, 5], [13, 3, 18, 5]),
        ("center_yxhw", [4, 5, 2, 6], [4, 15, 2, 6]),
        ("rel_xywh", [0.1, 0.2, 0.3, 0.5], [0.6, 0.2, 0.3, 0.5]),
    ):
        layer = L.RandomFlip("horizontal", bounding_box_format=form)
        boxes = np.array([[given_box]], float)
        found, _ = layer.change_boxes(
            boxes, np.array([[5]]), np.array([True]), data["images"], data["images"]
        )

        np.testing.assert_allclose(found[0, 0], wanted)


def test_a_box_outside_of_the_image_has_the_label_of_none():
    layer = L.CenterCrop(4, 4, bounding_box_format="xyxy")
    boxes = [[0, 0, 2, 2], [2, 2, 5, 9], [-1, -1, -1, -1], [4, 4, 4, 6]]
    found = layer(
        {
            "images": np.ones((8, 8, 1)),
            "bounding_boxes": {"boxes": boxes, "labels": [1, 2, 3, 4], "crowd": True},
        }
    )["bounding_boxes"]

    assert found["labels"].tolist() == [-1, 2, -1, -1]
    assert found["boxes"][1:3].tolist() == [[0, 0, 3, 4], [-1] * 4]
    assert found["crowd"] is True
    hot = np.eye(4)[None]
    hots = layer.change_boxes(
        np.array([boxes]), hot, ((2, 4), (2, 4)), np.ones((1, 8, 8, 1)), np.ones((1, 4, 4, 1))
    )[1]
    assert hots[0, :2].tolist() == [[-1] * 4, [0, 1, 0, 0]]


def test_lists_of_different_lengths_are_filled_up():
    data = {
        "images": np.ones((3, 4, 4, 1)),
        "bounding_boxes": {
            "boxes": [[[0, 0, 1, 1]], [], [[1, 1, 2, 2], [0, 0, 4, 4]]],
            "labels": [[1], [], [2, 3]],
        },
    }
    found = L.Resizing(8, 8, bounding_box_format="xyxy")(data)["bounding_boxes"]

    assert found["labels"].tolist() == [[1, -1], [-1, -1], [2, 3]]
    assert found["boxes"][2].tolist() == [[2, 2, 4, 4], [0, 0, 8, 8]]
    assert found["boxes"].dtype == np.float32


@each([L.RandomBrightness(0.2), L.RandomContrast(0.2), L.RandomErasing(0.5)])
def test_where_no_pixel_moves_boxes_stay(layer):
    boxes = {"boxes": np.array([[[0, 0, 1, 1]]]), "labels": np.array([[1]])}
    found = layer({"images": np.ones((1, 4, 4, 1)), "bounding_boxes": boxes})["bounding_boxes"]

    np.testing.assert_array_equal(found["boxes"], boxes["boxes"])


def test_in_inference_boxes_of_random_layers_stay_and_those_of_sizes_move():
    boxes = {"boxes": np.array([[[0.0, 0, 2, 2]]]), "labels": np.array([[1]])}
    data = {"images": np.ones((1, 4, 4, 1)), "bounding_boxes": boxes}
    form = {"bounding_box_format": "xyxy"}

    for layer, box in (
        (L.RandomFlip(**form), [0, 0, 2, 2]),
        (L.Resizing(2, 8, **form), [0, 0, 4, 1]),
    ):
        found = layer(data, training=False)["bounding_boxes"]["boxes"]
        assert found.tolist() == [[box]]


def test_mixed_images_have_the_boxes_of_both():
    boxes, labels = np.arange(24.0).reshape(2, 3, 4), np.arange(6).reshape(2, 3)
    layer = L.MixUp(seed=0)
    data = {"images": np.ones((2, 4, 4, 1)), "bounding_boxes": {"boxes": boxes, "labels": labels}}
    found = layer(data)["bounding_boxes"]
    other = found["labels"][:, 3] // 3

    assert found["boxes"].shape == (2, 6, 4) and sorted(other) == [0, 1]
    np.testing.assert_array_equal(found["labels"], np.concatenate([labels, labels[other]], 1))
    np.testing.assert_array_equal(found["boxes"], np.concatenate([boxes, boxes[other]], 1))


def test_policies_move_boxes_as_their_layers_do():
    form = {"bounding_box_format": "xyxy"}
    boxes = {"boxes": np.array([[[2.0, 3, 9, 8]]] * 8), "labels": np.ones((8, 1), int)}
    marks = np.zeros((8, 16, 14), np.uint8)
    marks[:, 3:8, 2:9] = 1
    data = {"images": np.ones((8, 16, 14, 3)), "bounding_boxes": boxes, "segmentation_masks": marks}
    jitter, mixed = L.RandomColorJitter((0, 1), 0.2, 0.2, 0.2, 0.2), L.AugMix((0, 1))
    for layer in (jitter, mixed):
        np.testing.assert_array_equal(layer(data)["bounding_boxes"]["boxes"], boxes["boxes"])
    moved = 0
    for seed in range(20):
        found = L.RandAugment((0, 1), 3, 0.4, seed=seed, **form)(data)
        for mark, (left, top, right, bottom) in zip(
            found["segmentation_masks"], found["bounding_boxes"]["boxes"][:, 0], strict=True
        ):
            inner = mark[
                max(int(top) - 1, 0) : int(bottom) + 2, max(int(left) - 1, 0) : int(right) + 2
            ]
            moved += [left, top, right, bottom] != [2, 3, 9, 8]
            assert inner.any() and inner.mean() > 0.2
    assert moved > 20


def test_a_pipeline_resizes_boxes_on_the_way():
    form = {"bounding_box_format": "rel_xyxy"}
    data = {
        "images": np.ones((4, 4, 1)),
        "bounding_boxes": {"boxes": [[0.0, 0.0, 0.5, 1.0]], "labels": [1]},
    }
    found = L.Pipeline([L.Resizing(8, 6, **form), L.CenterCrop(8, 3, **form)])(data)

    assert found["bounding_boxes"]["boxes"].tolist() == [[0, 0, np.float32(2 / 3), 1]]


@pytest.mark.parametrize(
    ("layer", "boxes", "message"),
    [
        (L.RandomFlip(), {"boxes": [], "labels": []}, "make it with bounding_box_format='xyxy'"),
        (L.RandomElasticTransform(), {}, "does not move bounding boxes"),
        (L.CutMix(), {}, "does not move bounding boxes"),
        (L.RandomErasing(), [1], "a dict with 'boxes' and 'labels', got list"),
        (L.RandomErasing(), {"boxes": 1}, "a dict with 'boxes' and 'labels', got ['boxes']"),
        (
            L.RandomErasing(),
            {"boxes": np.ones((2, 4)), "labels": np.ones((2, 1))},
            "boxes (N, M, 4) and labels (N, M)",
        ),
        (
            L.RandomErasing(),
            {"boxes": np.ones((3, 1, 4)), "labels": np.ones((3, 1))},
            "'boxes' for each of 2 images, got an array of shape (3, 1, 4)",
        ),
    ],
)
def test_bad_boxes_are_errors_that_say_so(layer, boxes, message):
    with pytest.raises(ValueError) as error:
        layer({"images": np.ones((2, 4, 4, 1)), "bounding_boxes": boxes})

    assert message in str(error.value)


def test_another_format_is_an_error():
    with pytest.raises(ValueError, match="bounding_box_format to be one of 'xyxy', 'yxyx'"):
        L.RandomFlip(bounding_box_format="xxyy")


# -------------------------------------------------------------------------------- Keras


@given(st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.integers(0, 99))
def test_formats_are_those_of_keras(source, target, seed):
    boxes = np.random.default_rng(seed).uniform(0.1, 9, (2, 3, 4)).astype(np.float32)
    with keras_in("float32") as keras:
        wanted = keras.utils.bounding_boxes.convert_format(
            boxes, source=source, target=target, height=7, width=5
        )
    size = np.array([7, 5])
    found = written(*edges(boxes, source, size), target, size)

    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("RandomFlip", ("horizontal",), {"seed": 1}),
        ("RandomTranslation", (0.3, 0.4), {"seed": 1}),
        ("Resizing", (9, 5), {}),
        # of other sizes Keras rounds what is cut off, or added, to whole pixels of y
        ("Resizing", (24, 24), {"crop_to_aspect_ratio": True}),
        ("Resizing", (28, 28), {"pad_to_aspect_ratio": True}),
        ("CenterCrop", (8, 6), {}),
        ("CenterCrop", (16, 6), {}),
    ],
)
def test_boxes_agree_with_keras(name, arguments, options, form):
    size, rng = np.array([12, 14]), np.random.default_rng(0)
    first = rng.uniform(0, 8, (3, 4, 2))
    boxes = written(first, first + rng.uniform(1, 6, (3, 4, 2)), form, size).astype(np.float32)
    labels, x = rng.integers(0, 9, (3, 4)), np.ones((3, 12, 14, 1), np.float32)
    options = options | {"bounding_box_format": form}
    with keras_in("float32") as keras:
        theirs = getattr(keras.layers, name)(*arguments, **options)
        drawn = theirs.get_random_transformation({"images": x}, training=True)
        made = {"boxes": keras.ops.convert_to_tensor(boxes), "labels": keras.ops.array(labels)}
        wanted = theirs.transform_bounding_boxes(made, drawn or {"input_shape": x.shape})
    mine = getattr(L, name)(*arguments, **options)
    plan = mine.plan(x, True)
    if name == "RandomFlip":
        plan = np.asarray(drawn["flips"]).ravel()
    if name == "RandomTranslation":
        plan[:, :, 2] = -np.asarray(drawn["translations"])[:, ::-1]
    found, kept = mine.change_boxes(boxes, labels, plan, x, mine.change(x, plan)[0])

    np.testing.assert_allclose(found, wanted["boxes"], rtol=2e-5, atol=1e-5)
    np.testing.assert_array_equal(kept, wanted["labels"])


@pytest.mark.parametrize("number", [1, 3, 5])
def test_numbers_of_boxes_agree_with_keras(number):
    boxes = np.arange(24.0).reshape(2, 3, 4).astype(np.float32)
    labels, x = np.arange(6).reshape(2, 3), np.ones((2, 4, 4, 1), np.float32)
    with keras_in("float32") as keras:
        theirs = keras.layers.MaxNumBoundingBoxes(number, -2)
        made = {"boxes": keras.ops.array(boxes), "labels": keras.ops.array(labels)}
        wanted = theirs.transform_bounding_boxes(made, None)
    for training in (True, False):
        found = L.MaxNumBoundingBoxes(number, -2)(
            {"images": x, "bounding_boxes": {"boxes": boxes, "labels": labels}}, training=training
        )["bounding_boxes"]

        np.testing.assert_array_equal(found["boxes"], wanted["boxes"])
        np.testing.assert_array_equal(found["labels"], wanted["labels"])


def test_the_format_is_saved_with_a_model(tmp_path):
    model = bp.Sequential([bp.Input((4, 4, 1)), L.RandomFlip(bounding_box_format="XYWH")])
    model.save(tmp_path / "m.npz")

    assert bp.saving.load_model(tmp_path / "m.npz").layers[0].bounding_box_format == "xywh"
