"""Networks that learn, and networks that were broken on purpose, each with how it is broken."""

import numpy as np

import backprop as bp
from backprop.initializers import Constant, RandomNormal
from backprop.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    LayerNormalization,
    MaxPooling2D,
    Reshape,
    Residual,
    SimpleRNN,
    TransformerBlock,
)
from backprop.optimizers import SGD, Adam, RMSprop

ROWS = 256


def table(columns=16, seed=0):
    """Scaled columns, and three classes that follow from them."""
    x = np.random.default_rng(seed).normal(size=(ROWS, columns)).astype("float32")
    return x, np.digitize(x[:, 0] * x[:, 1] + x[:, 2], (-0.5, 0.5))


def values(columns=16):
    x, _ = table(columns)
    return x, np.tanh(x[:, :1] - x[:, 1:2])


def pictures():
    (x, y), _ = bp.datasets.digits.load_data()
    return x[:ROWS].reshape(-1, 8, 8, 1).astype("float32") / 16, y[:ROWS]


def sequences(steps=24, columns=4):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, steps, columns)).astype("float32")
    return x, (x[:, -4:, 0].sum(1) > 0).astype(int)


def words(steps=20):
    x = np.random.default_rng(0).integers(0, 50, (ROWS, steps))
    return x, (x[:, :5] < 15).any(1).astype(int)


def chain(
    shape,
    *layers,
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
    integers=None,
    dtype=None,
):
    model = bp.Sequential([bp.Input(shape, dtype=integers), *layers], dtype=dtype)
    model.compile(optimizer, loss)
    return model


def classifier(*layers, classes=3, shape=(16,), **options):
    return chain(shape, *layers, Dense(classes, "softmax", name="out"), **options)


# ------------------------------------------------------------------------------------------- sound


def deep_and_residual():
    blocks = [Residual([Dense(16, "relu"), Dense(16)]) for _ in range(10)]
    return classifier(Dense(16), *blocks, LayerNormalization()), table()


def autoencoder():
    x, _ = pictures()
    model = chain(
        (8, 8, 1),
        *(Flatten(), Dense(32, "relu"), Dense(8, "tanh"), Dense(32, "relu")),
        *(Dense(64, "sigmoid"), Reshape((8, 8, 1))),
        loss="binary_crossentropy",
    )
    return model, (x, x)


def several_outputs():
    a, b = bp.Input((16,), name="a"), bp.Input((4,), name="b")
    h = Dense(16, "relu")(Concatenate()([a, b]))
    k = Add()([h, Dense(16, "tanh")(h)])
    ends = [Dense(3, "softmax", name="kind")(k), Dense(1, name="size")(h), Dense(2, name="idle")(k)]
    model = bp.Model([a, b], ends)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    x, y = table()
    return model, ([x, x[:, :4]], {"kind": y, "size": x[:, :1]})


def nested():
    inner = bp.Sequential([bp.Input((16,)), Dense(16, "relu"), Dense(8)], name="inner")
    return classifier(inner, Activation("relu")), table()


def frozen():
    model = classifier(Dense(16, "relu", trainable=False), Dense(16, "relu"))
    return model, table()


def masked():
    model = classifier(
        *(Embedding(50, 8, mask_zero=True), LSTM(16)),
        classes=2,
        shape=(20,),
        integers="int32",
    )
    x, y = words()
    x[:, 12:] = 0
    return model, (x, y)


def two_towers():
    shared = Dense(8, "relu", name="shared")
    a, b = bp.Input((16,)), bp.Input((16,))
    model = bp.Model([a, b], Dense(1, "sigmoid")(Concatenate()([shared(a), shared(b)])))
    model.compile("adam", "binary_crossentropy")
    x, y = table()
    return model, ([x, x[::-1].copy()], (y > 1).astype(int))


SOUND = {
    "dense": lambda: (classifier(Dense(32, "relu"), Dense(32, "relu")), table()),
    "dense with SGD": lambda: (
        classifier(Dense(32, "tanh"), Dense(32, "tanh"), optimizer=SGD(0.1, momentum=0.9)),
        table(),
    ),
    "dense in float64": lambda: (
        chain((16,), Dense(32, "gelu"), Dense(1), loss="mse", dtype="float64"),
        values(),
    ),
    "two sigmoids": lambda: (
        classifier(Dense(16, "sigmoid"), Dense(16, "sigmoid"), optimizer=RMSprop(0.005)),
        table(),
    ),
    "linear regression": lambda: (chain((16,), Dense(1), optimizer="sgd", loss="mse"), values()),
    "penalties and dropout": lambda: (
        classifier(
            *(Dense(32, "relu", kernel_regularizer="l2"), Dropout(0.3), Dense(32, "elu")),
            optimizer=Adam(0.003, clipnorm=1),
        ),
        table(),
    ),
    "convolutions": lambda: (
        classifier(
            *(Conv2D(8, 3, activation="relu"), MaxPooling2D(), Conv2D(16, 2, activation="relu")),
            *(Flatten(), Dense(32, "relu")),
            classes=10,
            shape=(8, 8, 1),
        ),
        pictures(),
    ),
    "batch normalization": lambda: (
        classifier(
            *(Conv2D(8, 3, use_bias=False), BatchNormalization(), Activation("relu")),
            *(Conv2D(8, 3), BatchNormalization(), Activation("relu"), GlobalAveragePooling2D()),
            classes=10,
            shape=(8, 8, 1),
            optimizer=SGD(0.1, momentum=0.9),
        ),
        pictures(),
    ),
    "large inputs, normalised": lambda: (
        classifier(BatchNormalization(), Dense(16, "relu")),
        (table()[0] * 100 + 300, table()[1]),
    ),
    "deep and residual": deep_and_residual,
    "deep ReLUs": lambda: (
        classifier(*(Dense(32, "relu", kernel_initializer="he_normal") for _ in range(8))),
        table(),
    ),
    "LSTM": lambda: (classifier(LSTM(16), classes=2, shape=(24, 4)), sequences()),
    "GRU both ways": lambda: (
        classifier(Bidirectional(GRU(8)), classes=2, shape=(24, 4)),
        sequences(),
    ),
    "SimpleRNN": lambda: (
        classifier(SimpleRNN(16, return_sequences=True), SimpleRNN(16), classes=2, shape=(24, 4)),
        sequences(),
    ),
    "masked words": masked,
    "transformer": lambda: (
        classifier(
            *(Embedding(50, 16), TransformerBlock(32, 2), TransformerBlock(32, 2)),
            GlobalAveragePooling1D(),
            classes=2,
            shape=(20,),
            integers="int32",
        ),
        words(),
    ),
    "Conv1D": lambda: (
        classifier(
            Conv1D(16, 5, activation="relu"), GlobalAveragePooling1D(), classes=2, shape=(24, 4)
        ),
        sequences(),
    ),
    "autoencoder": autoencoder,
    "several outputs": several_outputs,
    "a model within": nested,
    "frozen": frozen,
    "a layer in two places": two_towers,
    "gradients accumulated": lambda: (
        classifier(Dense(32, "relu"), optimizer=Adam(gradient_accumulation_steps=4)),
        table(),
    ),
    "begun with zeros": lambda: (
        classifier(Dense(32, "relu"), Dense(3, kernel_initializer="zeros")),
        table(),
    ),
}


# ------------------------------------------------------------------------------------------ broken


def stack(count, units, activation, initializer="glorot_uniform", **options):
    layers = [
        Dense(units, activation, kernel_initializer=initializer, name=f"hidden_{i}")
        for i in range(count)
    ]
    return classifier(*layers, **options)


def one_saturated():
    layers = [Dense(32, "tanh", name=f"hidden_{i}") for i in range(3)]
    layers[1].kernel_initializer = RandomNormal(stddev=30.0)
    return classifier(*layers, optimizer=SGD(0.01)), table()


def recurrent(initializer, **options):
    layer = SimpleRNN(16, recurrent_initializer=initializer, name="loop", **options)
    return classifier(layer, classes=2, shape=(60, 4), optimizer=SGD(1e-4)), sequences(60)


# how it is broken, what GradientFlow and ActivationStatistics say of it, and where it begins
BROKEN = {
    "sigmoids one behind the other": (
        lambda: (stack(12, 32, "sigmoid"), table()),
        r"gradient vanishes .* hidden_\d+ \(Dense, Sigmoid\).* relu or gelu in place of Sigmoid",
        None,
    ),
    "a start that is too large": (
        lambda: (
            stack(8, 64, "relu", RandomNormal(stddev=1.0), optimizer=SGD(0.01)),
            table(),
        ),
        r"network explodes: what out .* root mean square of \d.*e\+05.* initialisation",
        r"explode before anything is learnt, beginning at hidden_0 .* initialisation",
    ),
    "a start that is too small": (
        lambda: (stack(8, 32, "tanh", RandomNormal(stddev=0.005), optimizer="sgd"), table()),
        r"gradient vanishes .* hidden_\d .* helps: He or Glorot",
        r"signal vanishes: .* hidden_1 .* He or Glorot",
    ),
    "ReLUs behind a negative bias": (
        lambda: (
            classifier(
                Dense(32, "relu", name="first"),
                Dense(32, "relu", bias_initializer=Constant(-20.0), name="second"),
            ),
            table(),
        ),
        r"dead at second \(Dense, ReLU\) and what is before it: .* exactly 0",
        r"32 of 32 units of second \(Dense, ReLU\) are dead: .* helps: He",
    ),
    "ReLUs that a large rate has killed": (
        lambda: (stack(3, 32, "relu", "he_normal", optimizer=SGD(30.0)), table()),
        r"rate is too large: .* after step 0 had changed its weights by .* smaller rate",
        r"units of hidden_\d \(Dense, ReLU\) are dead: .* helps: a smaller learning rate|explode",
    ),
    "a saturated tanh": (
        one_saturated,
        None,
        r"hidden_1 \(Dense, Tanh\) is saturated: \d+ % .* helps: a smaller initialisation",
    ),
    "a state that explodes": (
        lambda: recurrent(bp.initializers.Orthogonal(gain=1.6), activation="linear"),
        r"network explodes: what out",
        r"state of loop \(SimpleRNN.* explodes over time: .* 60 time steps",
    ),
    "a recurrent layer that forgets": (
        lambda: recurrent(bp.initializers.Orthogonal(gain=0.3)),
        r"vanishes over the time steps of loop .* LSTM or GRU",
        None,
    ),
    "inputs that are not scaled": (
        lambda: (
            chain((16,), Dense(32, "relu"), Dense(1), optimizer=SGD(0.01), loss="mse"),
            (values()[0] * 200, values()[1]),
        ),
        r"inputs that dense\w* is given have a root mean square of [12]\d\d",
        r"inputs are not scaled: what dense\w* is given .*Normalization",
    ),
    "a rate that is too large": (
        lambda: (
            chain((16,), Dense(32, "tanh"), Dense(1), optimizer=SGD(3.0), loss="mse"),
            values(),
        ),
        r"learning rate is too large: .* 0.001 is usual",
        r"(explode, beginning at|saturated).* helps: a smaller learning rate",
    ),
    "a rate that is too large for Adam": (
        lambda: (stack(3, 32, "gelu", optimizer=Adam(1.0)), table()),
        r"learning rate is too large: .* had changed its weights by .* smaller rate",
        r"explode, beginning at hidden_0 .* smaller learning rate",
    ),
    "zeros": (
        lambda: (stack(2, 16, "tanh", "zeros"), table()),
        r"units of hidden_0 .* are copies of each other",
        None,
    ),
    "equal units": (
        lambda: (stack(2, 16, "tanh", Constant(0.1)), table()),
        r"units of hidden_0 \(Dense, Tanh\) are copies of each other: .* random initialisation",
        None,
    ),
}
