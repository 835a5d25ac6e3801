"""Accuracy on the digits, beside Keras: the same perceptron, five seeds each.

    python benchmarks/digits.py [--epochs 40] [--seeds 5] [--engine torch]

A 64-128-64-10 perceptron (ReLU, softmax cross-entropy, Adam, batch 32) on the 1,438 training
digits; the accuracy is that on the 359 digits held out. Each seed decides the initial weights and
the order of the batches.
"""

from __future__ import annotations

import argparse
import importlib
import os
from typing import Any

import numpy as np

import backprop

NAMES = ("backprop", "keras")


def accuracy(library: Any, seed: int, epochs: int) -> float:
    """Train with one of the libraries; the script is the same for both."""
    (x, y), (x_test, y_test) = backprop.datasets.digits.load_data()
    library.utils.set_random_seed(seed)
    dense = library.layers.Dense
    hidden = [dense(128, activation="relu"), dense(64, activation="relu")]
    model = library.Sequential(
        [
            library.Input((8, 8)),
            library.layers.Flatten(),
            *hidden,
            dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 16, y, epochs=epochs, verbose=0)
    return model.evaluate(x_test / 16, y_test, verbose=0)[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--libraries", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--engine", default="torch", help="of Keras: torch or jax")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.engine

    for name in options.libraries:
        try:
            library = importlib.import_module(name)
        except ImportError as error:
            print(f"{name:9} left out: {error}")
            continue
        found = [accuracy(library, seed, options.epochs) for seed in range(options.seeds)]
        each = " ".join(f"{100 * a:.1f}" for a in found)
        error = np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        print(f"{name:9} {each}   mean {100 * np.mean(found):.2f} ± {100 * error:.2f} %")


if __name__ == "__main__":
    main()
