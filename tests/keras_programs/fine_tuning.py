"""A trunk from elsewhere: first it holds still while a head learns, then its end learns as well."""

import numpy as np

SIDE = 10


def data():
    rng = np.random.default_rng(0)
    kind = np.arange(36) % 3
    x = 0.2 * rng.normal(size=(36, SIDE, SIDE, 1))
    x[kind == 0, 4:6] += 1
    x[kind == 1, :, 4:6] += 1
    x[kind == 2, 2:8, 2:8] += 1
    return {"x": 100 * x, "y": np.eye(3)[kind]}


def build(keras):
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 1), name="picture")
    h = layers.Conv2D(4, 3, activation="relu", name="low")(picture)
    h = layers.Conv2D(6, 3, activation="relu", name="high")(h)
    trunk = keras.Model(picture, h, name="trunk")
    trunk.trainable = False
    x = keras.Input((SIDE, SIDE, 1), name="x")
    h = layers.Rescaling(1 / 100)(layers.CenterCrop(SIDE, SIDE)(x))
    h = layers.GlobalAveragePooling2D()(trunk(h, training=False))
    model = keras.Model(x, layers.Dense(3, activation="softmax", name="head")(h))
    compile_with(keras, model, 0.05)
    return model


def compile_with(keras, model, rate):
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2, name="top2")],
    )


def train(keras, model):
    options = {"batch_size": 12, "shuffle": False, "verbose": 0}
    first = model.fit(**data(), epochs=4, **options).history
    trunk = model.get_layer("trunk")
    trunk.trainable = True
    for layer in trunk.layers[:-1]:
        layer.trainable = False
    compile_with(keras, model, 0.01)
    then = model.fit(**data(), epochs=4, **options).history
    return {name: [*first[name], *then[name]] for name in first}


def use(keras, model):
    """The features too, of a copy with the same weights."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    x = data()["x"]
    features = model.get_layer("trunk").predict(x / 100, verbose=0)
    counts = [len(model.trainable_variables), len(model.non_trainable_variables)]
    return {"kind": twin.predict(x, verbose=0), "features": features, "counts": np.array(counts)}


def check(history, used):
    assert history["loss"][-1] < history["loss"][0]
    assert used["counts"].tolist() == [4, 2]
