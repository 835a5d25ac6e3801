"""The blocks of well-known networks, written with the layers and certified as wholes."""

import numpy as np
import pytest
from inputs import normal

from backprop import Sequential, random
from backprop.gradcheck import gradcheck
from backprop.layers import (
    AveragePooling2D,
    BatchNormalization,
    Chain,
    Conv2D,
    Cropping2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    UpSampling2D,
    ZeroPadding2D,
)
from backprop.optimizers import Adam


def certified(block, x, shape):
    """The block builds, y has this shape, and every gradient is certified, in training."""
    block.build((None, *x.shape[1:]))
    report = gradcheck(block, x, training=True)

    assert block.compute_output_shape(x.shape) == shape
    assert report, report


@pytest.mark.parametrize(("filters", "strides"), [(3, 1), (4, 2)])
def test_a_block_of_resnet_with_a_projection_where_the_shape_changes(filters, strides):
    """He et al. 2015, figure 2: y = relu(f(x) + W x)."""
    project = [Conv2D(filters, 1, strides, use_bias=False), BatchNormalization()]
    block = Residual(
        [
            Conv2D(filters, 3, strides, padding="same", use_bias=False),
            BatchNormalization(),
            ReLU(),
            Conv2D(filters, 3, padding="same", use_bias=False),
            BatchNormalization(),
        ],
        shortcut=None if strides == 1 else project,
        activation="relu",
    )
    size = -(-6 // strides)

    certified(block, normal(2, 6, 6, 3), (2, size, size, filters))


def test_a_bottleneck_of_resnet():
    """He et al. 2015, figure 5: 1 x 1, 3 x 3, 1 x 1."""
    block = Residual(
        [
            Conv2D(2, 1, activation="relu"),
            Conv2D(2, 3, padding="same", activation="relu"),
            Conv2D(6, 1),
        ],
        shortcut=Conv2D(6, 1),
        activation="relu",
    )

    certified(block, normal(2, 5, 4, 3), (2, 5, 4, 6))


def test_a_module_of_inception():
    """Szegedy et al. 2014, figure 2b: four branches side by side, joined along the channels."""
    block = Parallel(
        [
            Conv2D(2, 1, activation="relu"),
            [Conv2D(2, 1, activation="relu"), Conv2D(3, 3, padding="same", activation="relu")],
            [Conv2D(1, 1, activation="relu"), Conv2D(2, 5, padding="same", activation="relu")],
            [MaxPooling2D(3, 1, padding="same"), Conv2D(2, 1, activation="relu")],
        ]
    )

    certified(block, normal(2, 5, 6, 3), (2, 5, 6, 2 + 3 + 2 + 2))


def unet(depth, filters=2):
    """Down, the smaller network, up again, and the shortcut beside them joined on."""
    around = [Conv2D(filters, 3, padding="same", activation="relu")]
    if not depth:
        return Chain(around)
    below = [MaxPooling2D(2), unet(depth - 1, 2 * filters), UpSampling2D(2)]
    return Chain(
        [
            *around,
            Parallel([[], below]),
            Conv2D(filters, 3, padding="same", activation="relu"),
        ]
    )


def test_a_unet_is_a_block_inside_of_itself():
    """Ronneberger, Fischer, Brox 2015, with "same" padding."""
    certified(unet(depth=2), normal(2, 8, 4, 1), (2, 8, 4, 2))


def test_a_level_of_the_original_unet_crops_its_shortcut():
    """There convolutions are "valid", so what comes up is smaller than what it is joined to."""
    up = [MaxPooling2D(2), Conv2D(3, 3, activation="relu"), UpSampling2D(2, None, "bilinear")]
    block = Chain([Parallel([Cropping2D(2), up]), Conv2D(2, 3, activation="relu")])

    certified(block, normal(2, 10, 8, 2), (2, 4, 2, 2))


@pytest.mark.parametrize("join", ["concat", "add", "multiply", "average", "maximum"])
def test_branches_of_images_join_in_every_way(join):
    block = Parallel(
        [
            [Conv2D(2, 3, padding="same"), AveragePooling2D(2)],
            [ZeroPadding2D(1), Conv2D(2, 4, strides=2)],
        ],
        join,
    )

    certified(block, normal(2, 6, 4, 3), (2, 3, 2, 4 if join == "concat" else 2))


def autoencoder():
    return [
        Input((8, 8, 1)),
        Conv2D(4, 3, padding="same", activation="tanh"),
        MaxPooling2D(2),
        Conv2D(2, 3, padding="same", activation="tanh"),
        MaxPooling2D(2),
        Flatten(),
        Dense(6),
        Dense(8, activation="tanh"),
        Reshape((2, 2, 2)),
        UpSampling2D(2),
        Conv2D(4, 3, padding="same", activation="tanh"),
        UpSampling2D(2),
        Conv2D(1, 3, padding="same"),
    ]


def test_an_autoencoder_gives_back_the_shape():
    certified(Chain(autoencoder()[1:]), normal(2, 8, 8, 1), (2, 8, 8, 1))


def test_an_autoencoder_learns():
    random.set_random_seed(0)
    model = Sequential(autoencoder())
    model.compile(Adam(0.01), "mse")
    places = np.arange(8.0)
    x = np.stack([np.outer(np.sin(a * places), np.cos(places / a)) for a in (1, 2, 3, 4)])
    first = model.evaluate(x[..., None], x[..., None], verbose=0)
    model.fit(x[..., None], x[..., None], epochs=100, batch_size=2, verbose=0)

    assert model.evaluate(x[..., None], x[..., None], verbose=0) < 0.5 * first


def test_a_small_resnet_is_a_sequential_model():
    def stage(filters, strides):
        return Residual(
            [
                Conv2D(filters, 3, strides, padding="same"),
                ReLU(),
                Conv2D(filters, 3, padding="same"),
            ],
            Conv2D(filters, 1, strides),
            "relu",
        )

    model = Sequential(
        [Input((8, 8, 2)), stage(3, 1), stage(4, 2), GlobalAveragePooling2D(), Dense(3, "softmax")]
    )

    assert model.output_shape == (None, 3)
    assert gradcheck(model, normal(2, 8, 8, 2))
