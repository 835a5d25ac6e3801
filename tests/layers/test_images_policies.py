import numpy as np
import pytest
from drawn_images import FORMATS, assert_held_gradients, pictures
from keras_parity import keras_in

import backprop as bp
from backprop import Sequential
from backprop.layers import (
    AugMix,
    AutoContrast,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MixUp,
    Pipeline,
    RandAugment,
    RandomBrightness,
    RandomColorJitter,
    RandomContrast,
    RandomFlip,
    RandomHue,
    RandomRotation,
    RandomSaturation,
    Rescaling,
)

NAMES = (
    *("random_shear", "random_translation", "random_rotation", "random_brightness"),
    *("random_color_degeneration", "random_contrast", "random_sharpness"),
    *("random_posterization", "solarization", "auto_contrast", "equalization"),
)
STEPS = {"RandomPosterization", "Equalization"}


def kinds(layer):
    return [type(change).__name__ for change in layer.changes]


def jitter(**options):
    factors = {"brightness_factor": 0.2, "contrast_factor": (0.3, 0.3), "hue_factor": 0.4}
    return RandomColorJitter(**factors | {"saturation_factor": 0.8} | options)


# -------------------------------------------------------------------------------- jitter


def test_jitter_is_its_layers_one_after_the_other():
    x = pictures((4, 5, 3, 3), (0, 1)).astype(np.float32)
    layer = jitter(value_range=(0, 1), seed=3)
    drawn = layer.draw(x)
    y, _ = layer.change(x, drawn)

    wanted = x
    for part, (_, numbers) in zip(
        (
            RandomBrightness(0.2, (0, 1)),
            RandomContrast(0.3, (0, 1)),
            RandomSaturation(0.8, (0, 1)),
            RandomHue(0.4, (0, 1)),
        ),
        drawn,
        strict=True,
    ):
        wanted, _ = part.change(wanted, numbers)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(jitter(value_range=(0, 1), seed=3)(x), y)


@pytest.mark.parametrize("data_format", FORMATS)
def test_jitter_agrees_with_keras_layer_by_layer(data_format):
    x = pictures((4, 5, 3, 3), (0, 1), data_format).astype(np.float32)
    layer = jitter(value_range=(0, 1), data_format=data_format, seed=1)
    drawn = layer.draw(x)
    y, _ = layer.change(x, drawn)
    names = "rgb_delta", "contrast_factor", "factor", "factor"
    with keras_in("float32") as keras:
        more = {"value_range": (0, 1), "data_format": data_format}
        makers = (getattr(keras.layers, kind) for kind in kinds(layer))
        wanted = x.copy()
        for make, name, (_, numbers) in zip(makers, names, drawn, strict=True):
            numbers = np.asarray(numbers, np.float32)
            wanted = np.asarray(make(0.5, **more).transform_images(wanted, {name: numbers}))

    np.testing.assert_allclose(y, wanted, rtol=2e-5, atol=2e-6)


def test_what_has_no_factor_is_left_out():
    x = pictures((2, 3, 3, 5))

    assert kinds(RandomColorJitter(contrast_factor=0.2)) == ["RandomContrast"]
    np.testing.assert_array_equal(RandomColorJitter()(x), x.astype(np.float32))
    assert RandomColorJitter(brightness_factor=0.5)(x).shape == x.shape  # five channels
    with pytest.raises(ValueError, match="expects images of 3 channels"):
        RandomColorJitter(hue_factor=0.5)(x)


# -------------------------------------------------------------------------------- policies


def test_a_policy_makes_the_changes_of_keras_as_strong_as_it_says():
    layer = RandAugment((0, 1), factor=0.4, interpolation="nearest")
    mix, few = AugMix(factor=0.3), AugMix(all_ops=False)

    shear, translation, rotation, brightness, *_ = layer.changes
    assert shear.x_factor == shear.y_factor == (0.0, 0.4)
    assert translation.height_factor == rotation.factor == brightness.factor == (0.0, 0.4)
    assert rotation.interpolation == "nearest" and brightness.value_range == (0, 1)
    assert layer.changes[7].factor == (1, 3) and layer.changes[8].threshold_factor == (0.0, 0.4)
    assert len(layer.changes) == len(mix.changes) == 11 and len(few.changes) == 7
    assert set(kinds(mix)) == set(kinds(layer)) > set(kinds(few))


@pytest.mark.parametrize("policy", [RandAugment, AugMix])
def test_the_seed_decides_and_calls_differ(policy):
    x = pictures((3, 8, 8, 3)).astype(np.float32)
    one, two = policy(seed=5), policy(seed=5)
    first = one(x)

    np.testing.assert_array_equal(first, two(x))
    assert any((one(x) != first).any() for _ in range(3))
    np.testing.assert_array_equal(one(x, training=False), x)


def test_the_changes_are_chosen_evenly():
    x = np.zeros((1, 2, 2, 3))
    layer, mix = RandAugment(num_ops=3, seed=0), AugMix(seed=0)
    chosen = [i for _ in range(600) for i, _ in layer.draw(x)]
    shares, weights, chains = zip(*(mix.draw(x) for _ in range(300)), strict=True)
    of_mix = [i for three in chains for chain in three for i, _ in chain]

    assert (abs(np.bincount(chosen, minlength=11) / 1800 - 1 / 11) < 0.025).all()
    assert (abs(np.bincount(of_mix, minlength=11) / 2700 - 1 / 12) < 0.02).all()
    np.testing.assert_allclose(np.sum(shares, 1), 1)
    assert abs(np.mean(weights) - 0.5) < 0.05


@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_through_each_change(data_format):
    layer = RandAugment((-3, 3), factor=0.5, data_format=data_format, seed=0)
    x = pictures((3, 5, 4, 3), (-3, 3), data_format)

    for i, kind in enumerate(kinds(layer)):
        if kind in STEPS:
            continue
        for j in (i, 8, 3):
            layer.__dict__["draw"] = lambda x, i=i, j=j: [(k, layer.drawn_by(k, x)) for k in (i, j)]
            assert_held_gradients(layer, x, seed=i)


@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_of_mixed_chains(data_format):
    layer = AugMix((-2.5, 2.5), data_format=data_format, seed=0)
    smooth = [i for i, kind in enumerate(kinds(layer)) if kind not in STEPS]

    def draw(x):
        chains = [
            [(i, layer.drawn_by(i, x)) for i in layer.rng.choice(smooth, n)] for n in range(3)
        ]
        return layer.rng.dirichlet([1.0] * 3), layer.rng.beta(1.0, 1.0), chains

    layer.__dict__["draw"] = draw
    for seed in range(4):
        assert_held_gradients(layer, pictures((3, 5, 4, 3), (-3, 3), data_format, seed), seed=seed)


@pytest.mark.parametrize("policy", [RandAugment, AugMix])
def test_masks_are_moved_with_the_images(policy):
    x = pictures((4, 8, 8, 3)).astype(np.float32)
    masks = (x[..., :1] > 128).astype(np.int64)
    y = policy(seed=2)({"images": x, "segmentation_masks": masks})
    layer = policy(seed=2)
    move = layer.draw(layer.cast(x))
    wanted = layer.change_masks(masks, move)

    np.testing.assert_array_equal(y["segmentation_masks"], wanted)
    assert wanted.shape == masks.shape
    if policy is RandAugment:
        assert set(np.unique(wanted)) <= {0, 1}


# -------------------------------------------------------------------------------- Keras


def ours_of(name, drawn):
    """What a layer here would have drawn, of what Keras' has."""
    if drawn is None:
        return ()
    drawn = {k: np.asarray(v, np.float64) for k, v in drawn.items() if k != "input_shape"}
    n = len(next(iter(drawn.values())))
    maps = np.tile(np.eye(2, 3), (n, 1, 1))
    if name == "random_shear":
        maps[:, 0, 1], maps[:, 1, 0] = drawn["shear_factor"][:, 1], drawn["shear_factor"][:, 0]
        return maps
    if name == "random_translation":
        maps[:, 1, 2], maps[:, 0, 2] = -drawn["translations"].T
        return maps
    if name == "random_rotation":
        x, y = np.split(drawn["rotation_matrix"][:, :6], 2, axis=1)
        return np.stack([y[:, [1, 0, 2]], x[:, [1, 0, 2]]], 1)
    if name == "solarization":
        return tuple(drawn[k].ravel() / 255 for k in ("additions", "thresholds"))
    if name == "random_posterization":
        return 8 - drawn["shift_factor"].astype(int)
    shape = (n, 1, 1, 1) if name in ("random_brightness", "random_contrast") else (n,)
    return next(iter(drawn.values())).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_randaugment_agrees_with_keras(seed):
    x = pictures((3, 8, 7, 3), (0, 255), seed=seed).astype(np.float32)
    with keras_in("float32") as keras, np.errstate(all="ignore"):
        theirs = keras.layers.RandAugment(num_ops=3, seed=seed)
        lighten = theirs.random_brightness.transform_images
        # which under NumPy writes into the images, also where it is not chosen
        theirs.random_brightness.transform_images = lambda x, t: lighten(x.copy(), t)
        t = theirs.get_random_transformation(x, training=True)
        chosen = np.asarray(t["layer_idxes"]).tolist()
        if 10 in chosen:  # which Keras does for the batch as one image
            x = x[:1]
            t = theirs.get_random_transformation(x, training=True) | {"layer_idxes": chosen}
        wanted = np.asarray(theirs.transform_images(x, t))
        assert tuple(theirs._AUGMENT_LAYERS) == NAMES
        drawn = [(i, ours_of(NAMES[i], t["transforms"][NAMES[i]])) for i in chosen]
    y, _ = RandAugment(num_ops=3, seed=seed).change(x, drawn)

    # a number between two steps or at the threshold may fall on the other side of it
    assert (abs(y - wanted) > 2e-2).mean() <= 0.01, [NAMES[i] for i in chosen]


@pytest.mark.parametrize("seed", range(6))
def test_augmix_agrees_with_keras(seed):
    x = pictures((1, 8, 7, 3), (0, 255), seed=seed).astype(np.float32)
    layer = AugMix(seed=seed)
    with keras_in("float32") as keras:
        theirs = keras.layers.AugMix(seed=seed)
        names = theirs._augment_layers
        t = theirs.get_random_transformation(x, training=True)
        wanted = np.asarray(theirs.transform_images(x, t))
        chains = [
            [
                (
                    names.index(step["layer_name"]),
                    ours_of(step["layer_name"], step["transformation"]),
                )
                for step in chain
            ]
            for chain in t["chain_transforms"]
        ]
        shares, w = np.asarray(t["chain_mixing_weights"]), float(t["weight_sample"])
    y, _ = layer.change(x, (shares, w, chains))

    assert [snake(kind) for kind in kinds(layer)] == names
    assert (abs(y - wanted) > 2e-2).mean() <= 0.01


def snake(kind):
    return bp.spelling.snake_case(kind)


# -------------------------------------------------------------------------------- pipeline


def test_a_pipeline_is_its_layers_one_after_the_other():
    x = pictures((4, 6, 5, 3)).astype(np.float32)
    pipeline = Pipeline([RandomFlip(seed=1), RandomRotation(0.2, seed=2), Rescaling(1 / 255)])
    parts = RandomFlip(seed=1), RandomRotation(0.2, seed=2), Rescaling(1 / 255)
    wanted = x
    for part in parts:
        wanted = part(wanted)

    np.testing.assert_allclose(pipeline(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(pipeline(x, training=False), x / 255, rtol=1e-6)
    assert pipeline(x[0]).shape == x[0].shape
    assert [type(layer).__name__ for layer in pipeline.layers] == [
        *("RandomFlip", "RandomRotation", "Rescaling")
    ]


def test_a_pipeline_of_a_dict():
    x = pictures((4, 6, 5, 3)).astype(np.float32)
    data = {"images": x, "labels": np.eye(4), "segmentation_masks": x[..., :1]}
    pipeline = Pipeline([RandomFlip(seed=1), MixUp(seed=2)])
    y = pipeline(data)

    wanted = MixUp(seed=2)(RandomFlip(seed=1)(data))
    for name, array in wanted.items():
        np.testing.assert_array_equal(y[name], array)
    np.testing.assert_array_equal(pipeline(data, training=False)["labels"], np.eye(4))


def test_a_pipeline_trains_unless_it_is_told_otherwise():
    pipeline = Pipeline([Dropout(0.5, seed=0)])

    assert (pipeline(np.ones((5, 8))) == 0).any()
    np.testing.assert_array_equal(pipeline(np.ones((5, 8)), training=False), 1)


def test_a_drawn_pipeline_does_as_the_model_does():
    x = pictures((4, 6, 5, 3), (0, 1)).astype(np.float32)
    image = Input((6, 5, 3))
    model = bp.Model(image, Pipeline([RandomFlip(seed=1), Dropout(0.5, seed=1)])(image))

    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    np.testing.assert_array_equal(model(x, training=False), x)
    assert (model(x, training=True) == 0).any() and (model(x) == 0).any()


def test_a_pipeline_inside_a_model_and_its_gradient():
    x = pictures((8, 6, 5, 3), (0, 1)).astype(np.float32)
    pipeline = Pipeline([RandomContrast(0.3, (0, 1)), AutoContrast((0, 1))])
    model = Sequential([Input((6, 5, 3)), Conv2D(3, 3), pipeline, Flatten(), Dense(1)])
    model.compile("sgd", "mse")

    model.fit(x, np.ones(8), epochs=1, verbose=0)
    assert model.predict(x, verbose=0).shape == (8, 1)


# -------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "layer",
    [jitter(value_range=(0, 1), seed=4), RandAugment((0, 1), 3, seed=4), AugMix((0, 1), seed=4)],
    ids=lambda layer: type(layer).__name__,
)
def test_saved_with_a_model_and_in_a_configuration_as_keras_has_it(layer, tmp_path):
    x = pictures((4, 6, 5, 3), (0, 1)).astype(np.float32)
    model = Sequential([Input((6, 5, 3)), layer, Flatten(), Dense(1)])
    model.save(tmp_path / "model.npz")
    again = bp.saving.load_model(tmp_path / "model.npz")
    twin = type(layer).from_config(layer.get_config())

    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_array_equal(twin(x), type(layer).from_config(layer.get_config())(x))
    with keras_in("float32") as keras:
        make = getattr(keras.layers, type(layer).__name__)
        own = {k: v for k, v in layer.get_config().items() if k in make().get_config()}
        theirs = make.from_config(own).get_config()
    theirs.pop("dtype")
    back = type(layer).from_config(theirs)
    for name in theirs:
        assert getattr(back, name) == getattr(layer, name), name


def test_a_pipeline_is_saved_and_made_again(tmp_path):
    x = pictures((4, 6, 5, 3), (0, 1)).astype(np.float32)
    pipeline = Pipeline([AutoContrast((0, 1)), RandomFlip(seed=3)], name="prepare")
    twin = Pipeline.from_config(pipeline.get_config())
    model = Sequential([Input((6, 5, 3)), pipeline, Flatten(), Dense(1)])
    model.save(tmp_path / "model.npz")

    assert twin.name == "prepare" and len(twin.layers) == 2
    np.testing.assert_array_equal(twin(x, training=False), pipeline(x, training=False))
    again = bp.saving.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomColorJitter(hue_factor=2), "hue_factor to lie between 0 and 1, got 2"),
        (lambda: RandomColorJitter(brightness_factor=-3), "brightness_factor to lie between -1"),
        (lambda: RandAugment(factor=1.5), "RandAugment expects factor to lie between 0 and 1"),
        (lambda: RandAugment(interpolation="cubic"), "interpolation to be one of"),
        (lambda: AugMix(num_chains=0), "num_chains to be a positive integer, got 0"),
        (lambda: AugMix(alpha=0), "alpha to be a finite number above 0, got 0"),
        (lambda: RandAugment()(np.ones((1, 4, 4, 2))), "expects images of 1 or 3 channels"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_a_pipeline_is_made_of_layers():
    with pytest.raises(TypeError, match="Pipeline"):
        Pipeline([3])
