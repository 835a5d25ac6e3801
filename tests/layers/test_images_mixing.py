import numpy as np
import pytest
from drawn_images import DTYPES, FORMATS, assert_held_gradients, both, pictures
from keras_parity import close, keras_in

from backprop import Sequential
from backprop.layers import CutMix, Dense, Flatten, Input, MixUp

BOTH = pytest.mark.parametrize("make", [MixUp, CutMix])


def held(layer, drawn):
    """The layer, with its draw decided."""
    layer.__dict__["draw"] = lambda x: drawn
    return layer


# -------------------------------------------------------------------------------- by hand


def test_mixup_by_hand():
    x = np.array([0.0, 10.0, 100.0]).reshape(3, 1, 1, 1)
    layer = held(MixUp(dtype="float64"), (np.array([1, 2, 0]), np.array([0.5, 0.1, 1.0])))
    y = layer({"images": x, "labels": np.eye(3)})

    np.testing.assert_allclose(y["images"].ravel(), [5, 91, 100])
    np.testing.assert_allclose(y["labels"], [[0.5, 0.5, 0], [0, 0.1, 0.9], [0, 0, 1]])


@pytest.mark.parametrize("data_format", FORMATS)
def test_cutmix_puts_a_box_of_the_other_image(data_format):
    x = np.ones((50, 12, 16, 3)) * np.arange(50)[:, None, None, None]
    x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    layer = CutMix(seed=0, data_format=data_format)
    order, inside, w = layer.draw(x)
    y = np.moveaxis(layer.change(x, (order, inside, w))[0], layer.channel_axis, -1)

    for n in range(50):
        other = y[n, ..., 0] == order[n]
        if order[n] == n or not other.any():
            continue
        rows, columns = (np.flatnonzero(other.any(a)) for a in (1, 0))
        box = np.ix_(np.arange(rows[0], rows[-1] + 1), np.arange(columns[0], columns[-1] + 1))
        assert other[box].all() and other.sum() == other[box].size
        assert abs(len(rows) - 12 * np.sqrt(1 - w[n])) <= 1
        assert abs(len(columns) - 16 * np.sqrt(1 - w[n])) <= 1
        assert ((y[n] == order[n]) | (y[n] == n)).all()


# -------------------------------------------------------------------------------- both of them


@BOTH
@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_with_the_draw_held(make, data_format):
    for seed in range(5):
        layer = make(0.9, data_format=data_format, seed=seed)
        assert_held_gradients(layer, pictures((5, 4, 3, 2), (-1, 1), data_format, seed))


@BOTH
def test_labels_are_mixed_as_much_as_images(make):
    n, x = 64, np.ones((64, 32, 32, 1)) * np.arange(64)[:, None, None, None]
    layer = make(1.0, seed=3)
    y = layer({"images": x, "labels": np.eye(n), "name": "kept"}, training=True)
    shown = np.array([(y["images"][i] == i).mean() for i in range(n)])

    assert y["name"] == "kept" and y["labels"].dtype == np.float32
    np.testing.assert_allclose(y["labels"].sum(1), 1, rtol=1e-6)
    if make is MixUp:
        np.testing.assert_allclose(y["images"][:, 0, 0, 0], y["labels"] @ np.arange(n), rtol=1e-5)
    else:
        np.testing.assert_allclose(np.diag(y["labels"]), shown, atol=0.08)


@BOTH
def test_masks_follow_the_images(make):
    x = pictures((6, 5, 4, 1), (0, 1)).astype(np.float32)
    y = make(1.0, seed=1)({"images": x, "segmentation_masks": x[..., 0]}, training=True)

    np.testing.assert_allclose(y["segmentation_masks"], y["images"][..., 0], rtol=1e-6)
    assert (y["images"] != x).any()


@BOTH
def test_inference_one_image_and_numbers_for_labels(make):
    x, labels = pictures((4, 5, 4, 3)).astype(np.float32), np.eye(4)
    layer = make(seed=0)
    left = layer({"images": x, "labels": labels}, training=False)
    numbers = layer({"images": x, "labels": np.array([0.0, 1.0, 2.0, 4.0])}, training=True)

    np.testing.assert_array_equal(left["images"], x)
    np.testing.assert_array_equal(left["labels"], labels)
    np.testing.assert_allclose(layer(x[0]), x[0], rtol=1e-6)  # there is no other
    assert numbers["labels"].shape == (4,)
    with pytest.raises(ValueError, match="integers that name classes have no mixture"):
        layer({"images": x, "labels": np.arange(4)})


@BOTH
def test_inside_a_model_images_alone_are_mixed(make):
    x = pictures((8, 4, 4, 1), (0, 1)).astype(np.float32)
    model = Sequential([Input((4, 4, 1)), make(1.0, seed=0), Flatten(), Dense(1)])
    model.compile("sgd", "mse")

    model.fit(x, np.ones(8), epochs=1, verbose=0)
    assert model.layers[0](x, training=True).shape == x.shape
    np.testing.assert_array_equal(model.layers[0](x, training=False), x)


def test_the_draws_are_those_of_the_beta_distribution():
    x = np.zeros((20_000, 1, 1, 1))

    for alpha in (0.2, 1.0, 5.0):
        order, w = MixUp(alpha, seed=0).draw(x)
        assert sorted(order) == list(range(20_000))
        assert abs(w.mean() - 0.5) < 0.01 and abs(w.var() - 1 / (4 * (2 * alpha + 1))) < 0.005
    w = CutMix((1.0, 1.0), seed=0).draw(x)[2]
    assert abs(w.mean() - 0.5) < 0.01 and abs(w.var() - 1 / 12) < 0.005


# -------------------------------------------------------------------------------- Keras


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data_format", FORMATS)
def test_images_and_labels_agree_with_keras(make, dtype, data_format):
    x, labels = pictures((5, 6, 4, 3), (0, 1), data_format), np.eye(5).astype(dtype)

    def drawn_of(t):
        order, w = np.asarray(t["permutation_order"]), np.asarray(t["mix_weight"]).ravel()
        if make is MixUp:
            return order, w
        inside = np.asarray(t["batch_masks"])
        return order, inside[:, :1] if data_format == "channels_first" else inside[..., :1], w

    y, wanted = both(make, x, drawn_of, dtype, data_format=data_format, seed=2)
    np.testing.assert_allclose(y, wanted, **close(dtype))
    with keras_in(dtype) as keras:
        theirs = getattr(keras.layers, make.__name__)(data_format=data_format, dtype=dtype, seed=2)
        t = theirs.get_random_transformation(x.astype(dtype), training=True)
        wanted = np.asarray(theirs.transform_labels(labels, t))
        drawn = drawn_of(t)
    mixed = make(dtype=dtype).change_labels(labels, drawn)
    np.testing.assert_allclose(mixed, wanted, **close(dtype))


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixUp(0), "MixUp expects alpha to be a finite number above 0, got 0"),
        (lambda: CutMix(1.5), "CutMix expects factor to lie between 0 and 1, got 1.5"),
        (lambda: CutMix("all"), "factor to be a number or a pair of them, got 'all'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)
