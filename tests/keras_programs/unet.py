"""Which places of a noisy picture belong to a disc: down, up, and shortcuts from side to side."""

import numpy as np

SIDE = 16


def data():
    rng = np.random.default_rng(0)
    i, j = np.mgrid[:SIDE, :SIDE]
    middle, radius = rng.uniform(3, 13, (32, 2, 1, 1)), rng.uniform(2, 5, (32, 1, 1))
    inside = (i - middle[:, 0]) ** 2 + (j - middle[:, 1]) ** 2 < radius**2
    x = inside + 0.7 * rng.normal(size=inside.shape)
    return {"x": x[..., None], "y": inside[..., None].astype("float32")}


def build(keras):
    layers = keras.layers

    def block(x, filters):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization()(x))

    picture = keras.Input((None, None, 1))
    wide = block(picture, 4)
    half = block(layers.MaxPooling2D()(wide), 6)
    quarter = block(layers.MaxPooling2D()(half), 8)
    up = layers.Conv2DTranspose(6, 2, strides=2)(quarter)
    up = block(layers.Concatenate()([up, half]), 6)
    up = layers.UpSampling2D()(up)
    up = block(layers.Concatenate()([up, wide]), 4)
    inside = layers.Conv2D(1, 1, activation="sigmoid", name="inside")(up)
    model = keras.Model(picture, inside, name="unet")
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", metrics=["binary_accuracy"])
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=8, epochs=6, shuffle=False, verbose=0).history


def use(keras, model):
    """Pictures of another size than those that it has learned from."""
    x = np.concatenate([data()["x"][:4], data()["x"][4:8]], axis=2)
    return {"inside": model.predict(x, verbose=0)}


def check(history, used):
    assert history["binary_accuracy"][-1] > 0.93
    assert used["inside"].shape == (4, SIDE, 2 * SIDE, 1)
