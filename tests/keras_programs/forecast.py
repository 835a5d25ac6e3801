"""What comes next in two series, from windows of the past, against saying the last value again."""

import numpy as np

PAST, AHEAD = 12, 3


def windows(series):
    starts = np.arange(0, len(series) - PAST - AHEAD)
    x = np.stack([series[i : i + PAST] for i in starts])
    return x, series[starts + PAST + AHEAD - 1, :1]


def data():
    t = np.arange(155.0)
    series = np.stack([np.sin(t / 6) + 0.3 * np.cos(t / 2), np.cos(t / 6)], axis=-1)
    x, y = windows((series - series.mean(0)) / series.std(0))
    return {"x": x, "y": y}


def build(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((PAST, 2)),
            layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh"),
            layers.Bidirectional(layers.GRU(5)),
            layers.Dense(1),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(
        0.001, 60, alpha=0.1, warmup_target=0.03, warmup_steps=8
    )
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        keras.losses.Huber(delta=0.5),
        metrics=[
            "mae",
            "mse",
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.R2Score(name="r2"),
            keras.metrics.LogCoshError(name="logcosh"),
        ],
    )
    return model


def train(keras, model):
    given = data()
    x, y = given["x"], given["y"]
    return model.fit(
        x[:100],
        y[:100],
        batch_size=20,
        epochs=10,
        shuffle=False,
        validation_data=(x[100:], y[100:]),
        validation_freq=2,
        verbose=0,
    ).history


def use(keras, model):
    given = data()
    x, y = given["x"][100:], given["y"][100:]
    p = model.predict(x, batch_size=20, verbose=0)
    naive = np.abs(x[:, -1, :1] - y).mean()
    return {"forecast": p, "gain": 1 - np.abs(p - y).mean() / naive}


def check(history, used):
    assert len(history["val_loss"]) == 5
    assert used["gain"] > 0.3
