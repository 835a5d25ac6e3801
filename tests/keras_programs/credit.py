"""Who pays back, from columns as they come: scaled, in bins, and as categories of a few numbers."""

import numpy as np


def data():
    rng = np.random.default_rng(0)
    count = 160
    income, age = rng.gamma(4.0, 10.0, count), rng.uniform(18, 70, count)
    owns = np.stack([rng.integers(4, size=count), rng.integers(4, size=count)], axis=-1)
    score = 0.05 * (income - 40) + (owns == 3).any(-1) - 0.002 * (age - 45) ** 2
    x = {"income": income[:, None], "age": age[:, None], "owns": owns}
    return {"x": x, "y": (score > 0).astype("float32")[:, None]}


def build(keras):
    layers = keras.layers
    income, age = keras.Input((1,), name="income"), keras.Input((1,), name="age")
    owns = keras.Input((2,), dtype="int32", name="owns")
    scale = layers.Normalization(axis=None)
    scale.adapt(data()["x"]["income"])
    decade = layers.Discretization([20.0, 30.0, 40.0, 50.0, 60.0], output_mode="one_hot")(age)
    things = layers.CategoryEncoding(4, output_mode="multi_hot")(owns)
    h = layers.Concatenate()([scale(income), decade, things])
    h = layers.Dense(8, activation="elu", kernel_regularizer=keras.regularizers.L2(1e-3))(h)
    pays = layers.Dense(1, name="pays")(h)
    model = keras.Model({"income": income, "age": age, "owns": owns}, pays)
    model.compile(
        keras.optimizers.Nadam(0.02),
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.02),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
    )
    return model


def train(keras, model):
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)
    return model.fit(
        **data(), batch_size=32, epochs=10, shuffle=False, callbacks=[halve], verbose=0
    ).history


def use(keras, model):
    """What an income is worth, for somebody of forty who owns nothing."""
    income = np.linspace(5.0, 95.0, 7)[:, None]
    row = {"age": np.full((7, 1), 40.0), "owns": np.zeros((7, 2), "int32")}
    return {"pays": model.predict({"income": income, **row}, verbose=0)}


def check(history, used):
    assert history["accuracy"][-1] > 0.8
    assert used["pays"][-1] > used["pays"][0]
