"""Sentences of one language in another: a transformer's encoder reads, its decoder attends to what
was read and to what it has said so far."""

import numpy as np

from keras_programs.own_layers import positions

PADDING, START, END, WORDS = 0, 1, 2, 8
TOKENS, LENGTH, WIDTH = WORDS + 3, 5, 24


def data():
    """The other language has a word for each word, and says the last one first."""
    rng = np.random.default_rng(0)
    count = 240
    lengths = rng.integers(2, LENGTH, size=count)
    source, told, said = np.zeros((3, count, LENGTH), int)
    word_for = rng.permutation(WORDS)
    for i, n in enumerate(lengths):
        words = rng.integers(WORDS, size=n)
        answer = word_for[words[::-1]] + 3
        source[i, :n] = words + 3
        told[i, : n + 1] = [START, *answer]
        said[i, : n + 1] = [*answer, END]
    real = (said != PADDING).astype("float32")
    return {"x": {"source": source, "told": told}, "y": said, "sample_weight": real}


def build(keras):
    layers = keras.layers

    def embedded(tokens):
        x = layers.Embedding(TOKENS, WIDTH, mask_zero=True)(tokens)
        return positions(keras)(LENGTH)(x)

    def attended(x, *others, **options):
        query = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, WIDTH // 2)(query, *(others or (query,)), **options)
        return layers.Add()([x, y])

    def thought_about(x):
        y = layers.Dense(2 * WIDTH, activation="relu")(layers.LayerNormalization()(x))
        return layers.Add()([x, layers.Dense(WIDTH)(y)])

    source = keras.Input((LENGTH,), dtype="int32", name="source")
    told = keras.Input((LENGTH,), dtype="int32", name="told")
    read = layers.LayerNormalization()(thought_about(attended(embedded(source))))
    x = attended(embedded(told), use_causal_mask=True)
    x = thought_about(attended(x, read))
    said = layers.Dense(TOKENS, name="said")(layers.LayerNormalization()(x))
    model = keras.Model([source, told], said)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=48, epochs=20, shuffle=False, verbose=0).history


def use(keras, model):
    """Translations, word by word."""
    given = data()
    source, wanted = given["x"]["source"][:40], given["y"][:40]
    told = np.zeros_like(source)
    told[:, 0] = START
    for t in range(LENGTH):
        logits = model.predict({"source": source, "told": told}, verbose=0)
        if t + 1 < LENGTH:
            told[:, t + 1] = logits[:, t].argmax(-1)
    said = logits.argmax(-1)
    return {"right": np.array((said == wanted)[wanted != PADDING].mean())}


def check(history, used):
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert used["right"] > 0.7
