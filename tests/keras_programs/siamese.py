"""Whether two noisy pictures show the same: one tower looks at both, a distance compares."""

import numpy as np

KINDS, SIDE = 4, 6


def pictures(rng, count):
    shapes = np.random.default_rng(0).choice([0.0, 1.0], (KINDS, SIDE, SIDE))
    kind = rng.integers(KINDS, size=count)
    return shapes[kind] + 0.2 * rng.normal(size=(count, SIDE, SIDE)), kind


def data():
    rng = np.random.default_rng(1)
    (left, a), (right, b) = pictures(rng, 120), pictures(rng, 120)
    same = rng.random(120) < 0.5
    right[same] = left[same] + 0.2 * rng.normal(size=(same.sum(), SIDE, SIDE))
    b[same] = a[same]
    return {"x": {"left": left, "right": right}, "y": (a == b).astype("float32")[:, None]}


def build(keras):
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE))
    h = layers.Dense(24, activation="relu")(layers.Flatten()(picture))
    tower = keras.Model(picture, layers.Dense(8)(h), name="tower")
    left, right = keras.Input((SIDE, SIDE), name="left"), keras.Input((SIDE, SIDE), name="right")
    apart = layers.Subtract()([tower(left), tower(right)])
    squared = layers.Multiply()([apart, apart])
    same = layers.Dense(1, activation="sigmoid", name="same")(squared)
    model = keras.Model([left, right], same)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def train(keras, model):
    given = data()
    held_out = {name: x[100:] for name, x in given["x"].items()}, given["y"][100:]
    return model.fit(
        {name: x[:100] for name, x in given["x"].items()},
        given["y"][:100],
        batch_size=20,
        epochs=20,
        shuffle=False,
        validation_data=held_out,
        verbose=0,
    ).history


def use(keras, model):
    """Where the tower puts pictures, by itself: the distances between them."""
    some, _ = pictures(np.random.default_rng(2), 12)
    places = model.get_layer("tower").predict(some, verbose=0)
    return {"distances": ((places[:, None] - places) ** 2).sum(-1)}


def check(history, used):
    assert history["accuracy"][-1] > 0.9
    assert history["val_accuracy"][-1] > 0.7
    assert (used["distances"] >= 0).all()
