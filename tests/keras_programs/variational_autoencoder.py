"""Pictures from two numbers: an encoder says where a picture may be, a decoder draws what is there.

The chance is an input, the noise; how far the encoder's distribution is from the standard one is
added to the loss by a layer.
"""

import numpy as np

from keras_programs.own_layers import divergence

SIDE, LATENT = 8, 2


def data():
    """Bars of soft edges, at some height and of some slope."""
    rng = np.random.default_rng(0)
    height, slope = rng.uniform(2, 5, (96, 1, 1)), rng.uniform(-0.5, 0.5, (96, 1, 1))
    i, j = np.mgrid[:SIDE, :SIDE]
    x = np.exp(-((i - height - slope * (j - 3.5)) ** 2))
    return {"x": [x, rng.normal(size=(96, LATENT))], "y": x}


def build(keras):
    layers = keras.layers
    picture, noise = keras.Input((SIDE, SIDE), name="picture"), keras.Input((LATENT,), name="noise")
    h = layers.Dense(24, activation="relu")(layers.Flatten()(picture))
    mean, log_var = layers.Dense(LATENT, name="mean")(h), layers.Dense(LATENT, name="log_var")(h)
    mean = divergence(keras)(0.005, name="divergence")(mean, log_var)
    place = mean + layers.Activation("exponential")(0.5 * log_var) * noise
    decoder = keras.Sequential(
        [
            keras.Input((LATENT,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(SIDE * SIDE, activation="sigmoid"),
            layers.Reshape((SIDE, SIDE)),
        ],
        name="decoder",
    )
    model = keras.Model([picture, noise], decoder(place))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=16, epochs=30, shuffle=False, verbose=0).history


def use(keras, model):
    """Places of some pictures, and pictures of some places."""
    encoder = keras.Model(model.inputs[0], model.get_layer("mean").output)
    some = np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    return {
        "places": encoder.predict(data()["x"][0][:6], verbose=0),
        "pictures": model.get_layer("decoder").predict(some, verbose=0),
    }


def check(history, used):
    assert history["loss"][-1] < 0.4 * history["loss"][0]
    assert used["pictures"].shape == (3, SIDE, SIDE)
