"""A loop of one's own: the weights of several epochs are averaged at the end, by hand."""

import numpy as np


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 5))
    y = np.tanh(x @ rng.normal(size=(5, 2))) + 0.1 * rng.normal(size=(96, 2))
    return {"x": x, "y": y, "sample_weight": rng.uniform(0.5, 1.5, 96)}


def build(keras):
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(8, activation="swish"), keras.layers.Dense(2)]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "mse",
        metrics=["mae"],
        weighted_metrics=[keras.metrics.MeanSquaredError(name="weighted")],
    )
    return model


def train(keras, model):
    given = data()
    told = {"loss": [], "mae": [], "rate": []}
    mean = keras.metrics.Mean(name="mean_loss")
    sums = [np.zeros(tuple(v.shape)) for v in model.trainable_variables]
    for epoch in range(8):
        mean.reset_state()
        model.reset_metrics()
        for i in range(0, 96, 24):
            batch = {name: a[i : i + 24] for name, a in given.items()}
            logs = model.train_on_batch(**batch, return_dict=True)
            mean.update_state(logs["loss"])
        told["loss"].append(float(mean.result()))
        told["mae"].append(float(logs["mae"]))
        told["rate"].append(float(model.optimizer.learning_rate))
        model.optimizer.learning_rate = 0.1 if epoch % 2 else 0.02
        sums = [s + v.numpy() for s, v in zip(sums, model.trainable_variables, strict=True)]
    for variable, total in zip(model.trainable_variables, sums, strict=True):
        variable.assign(total / 8)
    return told


def use(keras, model):
    given = data()
    loss = model.test_on_batch(**given, return_dict=True)
    return {"y": model.predict_on_batch(given["x"])} | {k: np.array(v) for k, v in loss.items()}


def check(history, used):
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert used["loss"] < history["loss"][0]
