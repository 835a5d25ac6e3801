"""Digits said backwards: one LSTM reads them, and where it ends a second one begins, which is told
what it should have said so far. Used, it is told what it said."""

import numpy as np

DIGITS, LENGTH, UNITS = 5, 3, 24
START = DIGITS  # what the decoder is given first


def data():
    """A sequence of digits, and the same backwards."""
    rng = np.random.default_rng(0)
    digits = rng.integers(DIGITS, size=(160, LENGTH))
    answer = digits[:, ::-1]
    told = np.concatenate([np.full((160, 1), START), answer[:, :-1]], axis=1)
    one_hot = np.eye(DIGITS + 1)
    return {"x": [one_hot[digits], one_hot[told]], "y": one_hot[answer][:, :, :DIGITS]}


def build(keras):
    layers = keras.layers
    question = keras.Input((None, DIGITS + 1), name="question")
    told = keras.Input((None, DIGITS + 1), name="told")
    _, h, c = layers.LSTM(UNITS, return_state=True, name="encoder")(question)
    decoder = layers.LSTM(UNITS, return_sequences=True, return_state=True, name="decoder")
    said, _, _ = decoder(told, initial_state=[h, c])
    said = layers.Dense(DIGITS, activation="softmax", name="said")(said)
    model = keras.Model([question, told], said)
    model.compile(keras.optimizers.Adam(0.03), "categorical_crossentropy", metrics=["accuracy"])
    return model


def train(keras, model):
    return model.fit(**data(), batch_size=32, epochs=25, shuffle=False, verbose=0).history


def use(keras, model):
    """Answers, step by step: a model that reads, one that says a digit, made of the same layers."""
    reads = keras.Model(model.inputs[0], model.get_layer("encoder").output[1:])
    told, h, c = keras.Input((None, DIGITS + 1)), keras.Input((UNITS,)), keras.Input((UNITS,))
    said, *after = model.get_layer("decoder")(told, initial_state=[h, c])
    says = keras.Model([told, h, c], [model.get_layer("said")(said), *after])

    question = data()["x"][0][:40]
    states = reads.predict(question, verbose=0)
    last = np.eye(DIGITS + 1)[np.full((len(question), 1), START)]
    digits, probabilities = [], []
    for _ in range(LENGTH):
        p, *states = says.predict([last, *states], verbose=0)
        digits.append(p[:, 0].argmax(-1))
        probabilities.append(p[:, 0])
        last = np.eye(DIGITS + 1)[digits[-1]][:, None]
    wanted = question.argmax(-1)[:, ::-1]
    right = np.mean(np.stack(digits, axis=1) == wanted)
    return {"probabilities": np.stack(probabilities, axis=1), "right": np.array(right)}


def check(history, used):
    assert history["accuracy"][-1] > 0.8
    assert used["right"] > 0.8
