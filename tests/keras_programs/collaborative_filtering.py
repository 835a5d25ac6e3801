"""How a user will like a film: the product of what the one likes and what the other is like."""

import numpy as np

USERS, FILMS = 20, 15


def data():
    rng = np.random.default_rng(0)
    likes, traits = rng.normal(size=(USERS, 2)), rng.normal(size=(FILMS, 2))
    seen = rng.permutation(USERS * FILMS)[:240]
    user, film = seen // FILMS, seen % FILMS
    rating = 3 + (likes[user] * traits[film]).sum(-1) + 0.1 * rng.normal(size=len(seen))
    return {"x": [user[:, None], film[:, None]], "y": rating[:, None]}


def build(keras):
    layers = keras.layers
    user = keras.Input((1,), dtype="int32", name="user")
    film = keras.Input((1,), dtype="int32", name="film")
    likes = layers.Embedding(USERS, 4, name="likes")(user)
    traits = layers.Embedding(FILMS, 4, name="traits")(film)
    match = layers.Dot(axes=1)([layers.Flatten()(likes), layers.Flatten()(traits)])
    generous = layers.Reshape((1,))(layers.Embedding(USERS, 1, name="generous")(user))
    popular = layers.Reshape((1,))(layers.Embedding(FILMS, 1, name="popular")(film))
    rating = layers.Add(name="rating")([match, generous, popular])
    model = keras.Model([user, film], rating)
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=40, epochs=12, shuffle=False, verbose=0).history


def use(keras, model):
    """What to show to two users, and which films are alike."""
    films = np.arange(FILMS)[:, None]
    ratings = [model.predict([np.full_like(films, u), films], verbose=0) for u in (0, 7)]
    traits = model.get_layer("traits").get_weights()[0]
    return {"ratings": np.array(ratings), "likeness": traits @ traits.T}


def check(history, used):
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert used["ratings"].shape == (2, FILMS, 1)
