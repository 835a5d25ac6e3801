"""Textures by blocks that look at several sizes at once, with a second classifier half way."""

import numpy as np

SIDE = 12


def data():
    """Stripes down, across, or a board of both."""
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=60)
    period, start = rng.uniform(2.5, 5, (60, 1, 1)), rng.uniform(0, 6, (60, 1, 1))
    i, j = np.mgrid[:SIDE, :SIDE]
    down, across = (np.sin(2 * np.pi * (k + start) / period) for k in (i, j))
    x = np.choose(kind[:, None, None], [down, across, down * across])
    x = x + 0.3 * rng.normal(size=x.shape)
    return {"x": x[..., None], "y": [kind, kind]}


def build(keras):
    layers = keras.layers

    def conv(x, filters, size):
        return layers.Conv2D(filters, size, padding="same", activation="relu")(x)

    def block(x, filters):
        ways = [
            conv(x, filters, 1),
            conv(conv(x, filters, 1), filters, 3),
            conv(conv(x, filters, 1), filters, 5),
            conv(layers.MaxPooling2D(3, strides=1, padding="same")(x), filters, 1),
        ]
        return layers.Concatenate(axis=-1)(ways)

    def classifier(x, name):
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(3, activation="softmax", name=name)(x)

    picture = keras.Input((SIDE, SIDE, 1))
    first = block(picture, 3)
    second = block(layers.MaxPooling2D()(first), 3)
    joined = layers.Add()([second, layers.AveragePooling2D(2)(first)])
    model = keras.Model(picture, [classifier(joined, "kind"), classifier(first, "early")])
    model.compile(
        keras.optimizers.Adam(0.03),
        loss=["sparse_categorical_crossentropy", "sparse_categorical_crossentropy"],
        loss_weights=[1.0, 0.3],
        metrics=[["accuracy"], ["accuracy"]],
    )
    return model


def train(keras, model):
    given = data()
    return model.fit(**given, batch_size=20, epochs=16, shuffle=False, verbose=0).history


def use(keras, model):
    """The classifier at the end alone."""
    last = keras.Model(model.inputs, model.outputs[0])
    return {"kind": last.predict(data()["x"][:10], verbose=0)}


def check(history, used):
    assert history["kind_accuracy"][-1] > 0.8
    assert np.allclose(used["kind"].sum(-1), 1, atol=1e-5)
