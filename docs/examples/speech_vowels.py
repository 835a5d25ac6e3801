"""Who speaks? A recurrent network reads a vowel and names one of nine men.

    python docs/examples/speech_vowels.py
    python docs/examples/speech_vowels.py --keras

Nine men said /ae/: 270 utterances to learn from and 370 for the test, 7 to 29 steps of 12 cepstral
coefficients. These are the Japanese vowels of M. Kudo, J. Toyama and M. Shimbo (1999, CC BY 4.0).
They come in the wheel of aeon (``pip install aeon``, or without what it needs itself: ``pip install
--no-deps aeon``), of which only two text files are read. Utterances are padded with zeros behind,
which a mask hides: both directions of the network start at a real step.

It prints the accuracy on the test utterances, for three seeds. With --keras the same network is
trained by Keras too, from the same weights and in the same order of batches. It takes a quarter of
a minute.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import backprop as bp

EPOCHS, BATCH, UNITS, SPEAKERS = 60, 30, 32, 9


def utterances(part):
    """x: (utterances, 29 steps, 12 channels), and who spoke; "TRAIN" or "TEST" of aeon's files."""
    package = importlib.util.find_spec("aeon")  # found, not imported
    if package is None or package.origin is None:
        sys.exit("the data come with aeon: pip install --no-deps aeon")
    folder = Path(package.origin).parent / "datasets" / "data" / "JapaneseVowels"
    text = (folder / f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8")
    lines = [line.split(":") for line in text[text.index("@data") :].splitlines()[1:]]
    signals = [np.array([c.split(",") for c in channels], "float32").T for *channels, _ in lines]
    x = bp.utils.pad_sequences(signals, maxlen=29, dtype="float32", padding="post")
    return x, np.array([int(line[-1]) - 1 for line in lines])


def network(library):
    """The same lines for both libraries."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((29, 12)),
            layers.Masking(0.0),
            layers.Bidirectional(layers.LSTM(UNITS)),
            layers.Dense(SPEAKERS, activation="softmax"),
        ]
    )


def trained(library, weights, x, y, orders):
    """A network that starts from these weights and goes through the batches in these orders."""
    model = network(library)
    model.set_weights(weights)
    model.compile(library.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    for order in orders:
        for rows in np.split(order, len(order) // BATCH):
            model.train_on_batch(x[rows], y[rows])
    return model


def accuracy(model, x, y):
    return np.mean(model.predict(x, verbose=0).argmax(-1) == y)


(x, y), (x_test, y_test) = utterances("TRAIN"), utterances("TEST")
peers = [bp]
if "--keras" in sys.argv:
    import keras

    peers.append(keras)

found = []
for seed in range(3):
    bp.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    weights = network(bp).get_weights()
    orders = [rng.permutation(len(x)) for _ in range(EPOCHS)]
    models = [trained(library, weights, x, y, orders) for library in peers]
    found.append([accuracy(model, x_test, y_test) for model in models])
for name, values in zip(("backprop", "Keras"), np.transpose(found), strict=False):
    each = ", ".join(f"{value:.4f}" for value in values)
    print(f"{name}: test accuracy {np.mean(values):.4f} ({each})")
