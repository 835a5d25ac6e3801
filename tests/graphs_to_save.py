"""Graphs of every kind that a file must hold, made anew by each call."""

import numpy as np

import backprop as bp
from backprop import layers
from backprop.nest import leaves, packed


def shared():
    """One tower for two inputs, two outputs."""
    a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    tower = layers.Dense(4, "tanh", name="tower")
    h = layers.Concatenate()([tower(a), tower(b)])
    outputs = [layers.Dense(2, name="scores")(h), layers.Dense(1, name="box")(h)]
    return bp.Model([a, b], outputs, name="shared")


def nested():
    """Models in a model, each in two places; dicts and lists go in and out."""
    tower = bp.Sequential(
        [bp.Input((3,)), layers.Dense(4, "relu"), layers.BatchNormalization()], name="tower"
    )
    x = bp.Input((4,))
    inner = bp.Model(x, layers.Add()([layers.Dense(4)(x), x]), name="inner")
    a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    outputs = {"s": layers.Dense(2)(inner(tower(a))), "t": [inner(tower(b))]}
    return bp.Model({"a": a, "b": b}, outputs, name="outer")


def recursive():
    """One layer twice in a row, and skips."""
    x = bp.Input((4,))
    again = layers.Dense(4, "tanh")
    h = again(again(x))
    return bp.Model(x, layers.Multiply()([again(h), x]))


def calls_in_training():
    x = bp.Input((6,))
    h = layers.GaussianNoise(0.1)(x, training=False)
    return bp.Model(x, layers.Dense(3)(layers.BatchNormalization()(h, training=True)))


def frozen():
    model = shared()
    model.get_layer("tower").trainable = False
    return model


def looked_up():
    """Integers and masks."""
    a = bp.Input((5,), dtype="int32", name="words")
    h = layers.LSTM(3, return_sequences=True)(layers.Embedding(9, 4, mask_zero=True)(a))
    return bp.Model(a, layers.Dense(2)(h))


def states():
    """Several outputs of one layer."""
    a = bp.Input((5, 3))
    y, h, c = layers.LSTM(4, return_state=True, return_sequences=True)(a)
    z = layers.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    return bp.Model(a, [z, h])


def attention():
    query, value = bp.Input((5, 4), name="query"), bp.Input((6, 4), name="value")
    y = layers.MultiHeadAttention(2, 2)(query, value, use_causal_mask=True)
    return bp.Model([query, value], layers.LayerNormalization()(y))


def straight_through():
    """An input that is an output too."""
    x = bp.Input((3,))
    return bp.Model(x, [x, layers.Dense(2)(x)])


def images():
    x = bp.Input((8, 8, 2))
    down = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    up = layers.UpSampling2D()(layers.MaxPooling2D()(down))
    joined = layers.Concatenate()([up, down])
    return bp.Model(x, layers.Conv2D(1, 1)(joined), name="small_u")


GRAPHS = [
    shared,
    nested,
    recursive,
    calls_in_training,
    frozen,
    looked_up,
    states,
    attention,
    straight_through,
    images,
]


def rows(model, n=4):
    """Data for the inputs of a model, as a list."""
    rng = np.random.default_rng(0)
    shapes = [(n, *symbol.shape[1:]) for symbol in model.inputs]
    return [
        rng.integers(0, 3, shape) if symbol.dtype.kind == "i" else rng.normal(size=shape)
        for symbol, shape in zip(model.inputs, shapes, strict=True)
    ]


def predictions(model, given=None):
    """The outputs for `rows`, one after the other."""
    return leaves(model.predict(as_drawn(model, given or rows(model)), verbose=0))


def as_drawn(model, given):
    """Data for the inputs in the lists and dicts that the model was drawn with."""
    return packed(model.drawn[0], given)


def stir(model, seed=0):
    """Give every weight, those that begin at 0 or 1 too, a value of its own."""
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    return model
