"""Spelling to pronunciation: a recurrent network reads letters both ways and CTC finds the sounds.

    python docs/examples/spelling_to_sound.py              # a few minutes on one core
    python docs/examples/spelling_to_sound.py --keras      # and the same network in Keras, on JAX

A word has as many phonemes as letters, or fewer, or more: "though" has two, "taxi" five. So every
letter is given two steps, at each of which the network says one of 39 phonemes or nothing, and
`losses.CTC` sums over all ways to place a pronunciation on them. The words are of
`datasets.cmudict`, 10,800 to learn from and 1,200 held out. The script prints the phoneme error
rate: how many phonemes must be changed, left out or put in, per phoneme of the dictionary; and how
many words are not as the dictionary has them. With --keras it trains both from the same weights on
the same batches; only what dropout draws differs.
"""

import argparse
import os
import time
from types import ModuleType
from typing import Any

import numpy as np

import backprop as bp
from backprop.datasets import cmudict

BATCH, STEPS = 72, 16

arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
arguments.add_argument("--epochs", type=int, default=16)
arguments.add_argument("--words", type=int, default=10_800, help="learn from so many only")
arguments.add_argument("--seed", type=int, default=0)
arguments.add_argument("--keras", action="store_true", help="train the same network in Keras too")
options = arguments.parse_args()

(x, y), (x_test, y_test) = cmudict.load_data()
x, y = x[:: len(x) // options.words], y[:: len(y) // options.words]
x, y, x_test, y_test = (a.astype("int32") for a in (x, y, x_test, y_test))


def make(library: ModuleType) -> Any:
    """The network, compiled; the libraries have the same names."""
    layers, steps = library.layers, options.epochs * (len(x) // BATCH)
    model = library.Sequential(
        [
            library.Input((8,), dtype="int32"),
            layers.Embedding(len(cmudict.LETTERS), 64),
            layers.UpSampling1D(2),
            layers.Dropout(0.3),
            layers.Bidirectional(layers.LSTM(128, return_sequences=True)),
            layers.Dropout(0.3),
            layers.Bidirectional(layers.LSTM(128, return_sequences=True)),
            layers.Dropout(0.3),
            layers.Dense(len(cmudict.phonemes())),  # number 0 says nothing
        ]
    )
    rate = library.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 10, warmup_target=5e-3, warmup_steps=steps // 10
    )
    model.compile(library.optimizers.Adam(rate, global_clipnorm=1.0), loss=library.losses.CTC())
    return model


def train(model: Any) -> None:
    rng = np.random.default_rng(options.seed)
    for _ in range(options.epochs):
        for batch in rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH):
            model.train_on_batch(x[batch], y[batch])


def edits(said: list[int], wanted: list[int]) -> int:
    """The least number of phonemes to change, leave out or put in (Levenshtein's distance)."""
    row = list(range(len(wanted) + 1))
    for i, a in enumerate(said, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(wanted, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]


def report(name: str, model: Any) -> None:
    start = time.perf_counter()
    train(model)
    seconds = time.perf_counter() - start
    logits = model.predict(x_test, verbose=0)
    said = bp.utils.ctc_decode(logits, np.full(len(logits), STEPS), "beam_search", beam_width=10)
    pairs = [
        ([p for p in a.tolist() if p > 0], [p for p in b.tolist() if p > 0])
        for a, b in zip(said[0][0], y_test, strict=True)
    ]
    errors = [edits(a, b) for a, b in pairs]
    rate, wrong = sum(errors) / sum(len(b) for _, b in pairs), np.mean(np.array(errors) > 0)
    print(
        f"{name:8s} phoneme error rate {100 * rate:.2f} %, wrong words {100 * wrong:.1f} %, "
        f"trained in {seconds:.0f} s"
    )
    if name == "backprop":
        for i in (10, 320, 500, 730, 1010):
            text = f"{cmudict.spelling(x_test[i]):10s} {cmudict.pronunciation(pairs[i][0]):22s}"
            print(f"    {text} {'' if not errors[i] else cmudict.pronunciation(pairs[i][1])}")


bp.utils.set_random_seed(options.seed)
model = make(bp)
weights = model.get_weights()
report("backprop", model)
if options.keras:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(options.seed)
    theirs = make(keras)
    theirs.set_weights(weights)
    report("Keras", theirs)
