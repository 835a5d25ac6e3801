"""A transformer's block whose every product is an equation, trained with a warm start."""

import numpy as np

STEPS, WIDTH, HEADS = 6, 12, 3


def data():
    """Where in the sequence the marked step is."""
    rng = np.random.default_rng(0)
    x, y = 0.3 * rng.normal(size=(48, STEPS, WIDTH)), rng.integers(STEPS, size=48)
    x[np.arange(48), y, :4] += 1
    x += np.eye(STEPS, WIDTH)[::-1]
    return {"x": x, "y": y}


def build(keras):
    layers = keras.layers
    x = keras.Input((STEPS, WIDTH), name="x")
    split = {"output_shape": (STEPS, HEADS, WIDTH // HEADS), "bias_axes": "de"}
    values = layers.EinsumDense("abc,cde->abde", **split, name="values")(x)
    joined = layers.EinsumDense("abde,dec->abc", (STEPS, WIDTH), bias_axes="c", name="joined")
    h = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, joined(values)]))
    seen = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, use_bias=False)(h, h)
    h = layers.LayerNormalization(epsilon=1e-6)(h + seen)
    wide = layers.EinsumDense(
        "...x,xy->...y", 16, bias_axes="y", activation="gelu", kernel_initializer="he_normal"
    )(h)
    h = h + layers.EinsumDense("...x,xy->...y", WIDTH, bias_axes="y")(wide)
    where = layers.Dense(STEPS, activation="softmax", name="where")(layers.Flatten()(h))
    model = keras.Model(x, where)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.PolynomialDecay(0.02, 40, 0.002, power=2.0), weight_decay=0.01
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
    )
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=12, epochs=8, shuffle=False, verbose=0).history


def use(keras, model):
    x = data()["x"]
    inside = keras.Model(model.inputs, model.get_layer("values").output)
    return {"where": model.predict(x, verbose=0), "values": inside.predict(x[:2], verbose=0)}


def check(history, used):
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert used["values"].shape == (2, STEPS, HEADS, WIDTH // HEADS)
