"""Which tone is heard: the spectrogram is a layer of the model, and is not trained."""

import numpy as np

LENGTH, RATE = 512, 4000


def data():
    rng = np.random.default_rng(0)
    kind = np.arange(24) % 3
    hertz = np.array([300.0, 700.0, 1300.0])[kind] + rng.uniform(-40, 40, 24)
    t = np.arange(LENGTH) / RATE
    x = np.sin(2 * np.pi * hertz[:, None] * t + rng.uniform(0, 6, (24, 1)))
    return {"x": (x + 0.3 * rng.normal(size=x.shape))[..., None], "y": kind}


def build(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((LENGTH, 1)),
            layers.STFTSpectrogram(
                "log",
                frame_length=64,
                frame_step=32,
                fft_length=64,
                expand_dims=True,
                trainable=False,
            ),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adamax(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=8, epochs=8, shuffle=False, verbose=0).history


def use(keras, model):
    spectrogram = model.layers[0]
    x = data()["x"]
    return {"seen": np.array(spectrogram(x)), "heard": model.predict(x, verbose=0)}


def check(history, used):
    assert used["seen"].shape == (24, 15, 33, 1)
    assert history["loss"][-1] < history["loss"][0]
