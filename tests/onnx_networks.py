"""Networks that are carried to ONNX and back, with weights of chance and what goes in."""

import numpy as np
from layer_examples import example

import backprop as bp
from backprop import layers as L

IDS = np.array([[1, 2, 3, 0, 0, 0], [1, 2, 3, 4, 5, 6], [5, 0, 0, 0, 0, 0]], np.int32)


def chain(*layers, shape, name="chain"):
    return bp.Sequential([bp.Input(shape), *layers], name=name)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def perceptron():
    return chain(L.Dense(8, "relu"), L.Dropout(0.5), L.Dense(3, "softmax"), shape=(5,))


def every_bend():
    names = "elu selu sigmoid tanh softsign softplus hard_sigmoid silu gelu mish leaky_relu relu6"
    x = bp.Input((6,))
    towers = [L.Dense(4, name_)(x) for name_ in names.split()]
    return bp.Model(x, L.Dense(2)(L.Concatenate()(towers)))


def lenet():
    return chain(
        L.Conv2D(4, 3, padding="same", activation="relu"),
        L.MaxPooling2D(2),
        L.Conv2D(5, 3, activation="tanh"),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(3),
        shape=(10, 12, 2),
    )


def channels_in_front():
    return chain(
        L.Conv2D(4, 3, strides=2, padding="same", data_format="channels_first"),
        L.BatchNormalization(axis=1),
        L.ReLU(),
        L.GlobalMaxPooling2D(data_format="channels_first"),
        shape=(2, 9, 8),
    )


def residual():
    x = bp.Input((8, 8, 3))
    h = L.Conv2D(4, 1)(x)
    for _ in range(2):
        g = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(h)))
        h = L.Add()([h, L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(g))])
    return bp.Model(x, L.Dense(2, "softmax")(L.GlobalAveragePooling2D()(h)))


def mobile():
    return chain(
        L.ZeroPadding2D(1),
        L.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="relu6"),
        L.SeparableConv2D(4, 3, padding="same"),
        L.Cropping2D(1),
        L.GlobalAveragePooling2D(),
        shape=(9, 9, 2),
    )


def u_net():
    x = bp.Input((8, 8, 2))
    a = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    b = L.Conv2D(4, 3, padding="same", activation="relu")(L.MaxPooling2D()(a))
    c = L.Conv2DTranspose(3, 3, strides=2, padding="same")(b)
    up = L.UpSampling2D(2)(b)
    return bp.Model(x, L.Conv2D(1, 1, activation="sigmoid")(L.Concatenate()([a, c, up])))


def waves():
    return chain(
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        L.MaxPooling1D(2),
        L.Conv1D(4, 2, groups=2),
        L.GlobalAveragePooling1D(),
        L.Dense(2),
        shape=(12, 2),
    )


def volumes():
    return chain(
        L.Conv3D(3, 2, activation="relu"), L.MaxPooling3D(2), L.Flatten(), shape=(5, 5, 5, 2)
    )


def normalized():
    return chain(
        L.LayerNormalization(),
        L.Dense(6),
        L.BatchNormalization(scale=False),
        L.RMSNormalization(),
        L.UnitNormalization(),
        L.Rescaling(2.0, 0.5),
        shape=(5, 4),
    )


def lstm():
    return chain(L.LSTM(4, return_sequences=True), L.LSTM(3), L.Dense(2), shape=(6, 3))


def gru():
    return chain(L.GRU(4, return_sequences=True), L.GRU(3, reset_after=False), shape=(None, 3))


def simple_recurrent():
    return chain(L.SimpleRNN(4, "relu"), L.Dense(2, "softmax"), shape=(6, 3))


def both_directions():
    return chain(
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.Bidirectional(L.GRU(2), merge_mode="sum"),
        shape=(5, 3),
    )


def words():
    return chain(L.Embedding(9, 4), L.Conv1D(3, 2), L.GlobalMaxPooling1D(), shape=(6,))


def masked_words():
    return chain(
        L.Embedding(9, 4, mask_zero=True),
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.GRU(3),
        L.Dense(2),
        shape=(6,),
    )


def attention():
    x = bp.Input((6, 8))
    h = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)]))
    h = L.Add()([h, L.Dense(8)(L.Dense(16, "gelu")(h))])
    return bp.Model(x, L.GlobalAveragePooling1D()(h))


def transformer():
    return chain(
        L.Embedding(9, 8),
        L.PositionEmbedding(6),
        L.TransformerBlock(12, 2, use_causal_mask=True),
        L.TransformerBlock(12, 2, normalize_first=True),
        L.Dense(9),
        shape=(6,),
    )


def two_towers():
    a, b = bp.Input((4,), name="a"), bp.Input((4,), name="b")
    tower = bp.Sequential([bp.Input((4,)), L.Dense(5, "relu"), L.Dense(3)])
    u, v = tower(a), tower(b)
    return bp.Model([a, b], [L.Dot(1)([u, v]), L.Dense(2, name="second")(L.Subtract()([u, v]))])


def arithmetic():
    x = bp.Input((6, 4))
    y = L.Multiply()([x, L.Dense(4, "sigmoid")(x)])
    y = L.Average()([y, 1.0 - x, x / 2.0])
    y = L.Maximum()([y, L.Minimum()([x * 0.5, x + 1.0])])
    return bp.Model(x, L.Flatten()(y[:, 1:4] - 0.25))


def shapes():
    return chain(
        L.Reshape((4, 3, 2)),
        L.Permute((3, 1, 2)),
        L.Reshape((2, -1)),
        L.Flatten(),
        L.Dense(3),
        L.RepeatVector(2),
        shape=(24,),
    )


def steps():
    return chain(L.TimeDistributed(L.Dense(3, "relu")), L.PReLU(), L.LSTM(2), shape=(5, 4))


NETWORKS = {
    "perceptron": (perceptron, (numbers(5, 5),)),
    "every bend": (every_bend, (numbers(5, 6),)),
    "lenet": (lenet, (numbers(2, 10, 12, 2),)),
    "channels in front": (channels_in_front, (numbers(2, 2, 9, 8),)),
    "residual": (residual, (numbers(2, 8, 8, 3),)),
    "mobile": (mobile, (numbers(2, 9, 9, 2),)),
    "u-net": (u_net, (numbers(2, 8, 8, 2),)),
    "waves": (waves, (numbers(2, 12, 2),)),
    "volumes": (volumes, (numbers(2, 5, 5, 5, 2),)),
    "normalized": (normalized, (numbers(3, 5, 4),)),
    "lstm": (lstm, (numbers(3, 6, 3),)),
    "gru": (gru, (numbers(3, 6, 3),)),
    "simple recurrent": (simple_recurrent, (numbers(3, 6, 3),)),
    "both directions": (both_directions, (numbers(3, 5, 3),)),
    "words": (words, (IDS,)),
    "masked words": (masked_words, (IDS,)),
    "attention": (attention, (numbers(2, 6, 8),)),
    "transformer": (transformer, (IDS,)),
    "two towers": (two_towers, (numbers(3, 4), numbers(3, 4, seed=1))),
    "arithmetic": (arithmetic, (numbers(3, 6, 4),)),
    "shapes": (shapes, (numbers(3, 24),)),
    "steps": (steps, (numbers(3, 5, 4),)),
}


def network(name):
    """A network with weights of chance, statistics too, and what goes in."""
    make, x = NETWORKS[name]
    bp.utils.set_random_seed(0)
    model = make()
    rng = np.random.default_rng(1)
    for p in model.arrays():
        noise = 0.3 * rng.standard_normal(p.shape)
        p.value[...] += np.abs(noise) if "variance" in p.name else noise
    return model, x


def predicted(model, x):
    found = model.predict(list(x) if len(x) > 1 else x[0], verbose=0)
    return found if isinstance(found, list) else [found]


def alone(name):
    """A layer as a model, and its input."""
    layer, x = example(name)
    x = x if isinstance(x, tuple) else (x,)
    x = tuple(a.astype(np.int32 if a.dtype.kind == "i" else np.float32) for a in x)
    given = [bp.Input(a.shape[1:], dtype=a.dtype.name) for a in x]
    return bp.Model(given, layer(given if len(given) > 1 else given[0])), x
