"""What is in a picture and where: a class and a box from one convolutional trunk."""

import numpy as np

SIDE = 12


def data():
    """A square, a cross or a bar, somewhere; the box is middle, height and width in [0, 1]."""
    rng = np.random.default_rng(0)
    count = 96
    kind = rng.integers(3, size=count)
    size, top, left = (
        rng.integers(3, 6, count),
        rng.integers(0, 7, count),
        rng.integers(0, 7, count),
    )
    x = 0.1 * rng.normal(size=(count, SIDE, SIDE, 1))
    for i, (k, s, t, u) in enumerate(zip(kind, size, top, left, strict=True)):
        shape = np.ones((s, s)) if k == 0 else np.zeros((s, s))
        if k == 1:
            shape[s // 2] = shape[:, s // 2] = 1
        if k == 2:
            shape[s // 2] = 1
        x[i, t : t + s, u : u + s, 0] += shape
    box = np.stack([top + size / 2, left + size / 2, size, size], axis=-1) / SIDE
    return {"x": x, "y": {"kind": kind, "box": box}}


def build(keras):
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 1), name="picture")
    h = layers.Conv2D(6, 3, padding="same", activation="relu")(picture)
    h = layers.MaxPooling2D()(h)
    h = layers.Conv2D(8, 3, padding="same", activation="relu")(h)
    trunk = layers.Flatten(name="trunk")(h)
    kind = layers.Dense(3, activation="softmax", name="kind")(trunk)
    box = layers.Dense(16, activation="relu")(trunk)
    box = layers.Dense(4, activation="sigmoid", name="box")(box)
    model = keras.Model(picture, {"kind": kind, "box": box})
    model.compile(
        keras.optimizers.Adam(0.01),
        loss={"kind": "sparse_categorical_crossentropy", "box": "mse"},
        loss_weights={"kind": 1.0, "box": 5.0},
        metrics={"kind": ["accuracy"], "box": ["mae"]},
    )
    return model


def train(keras, model):
    given = data()
    return model.fit(**given, batch_size=24, epochs=8, shuffle=False, verbose=0).history


def use(keras, model):
    """The features of the trunk, and what is seen in some pictures."""
    x = data()["x"][:8]
    trunk = keras.Model(model.input, model.get_layer("trunk").output)
    return {"trunk": trunk.predict(x, verbose=0), **model.predict(x, verbose=0)}


def check(history, used):
    assert history["kind_accuracy"][-1] > 0.8
    assert history["box_mae"][-1] < 0.6 * history["box_mae"][0]
    assert used["kind"].shape == (8, 3) and used["box"].shape == (8, 4)
