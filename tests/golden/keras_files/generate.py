"""Writes the files beside it, by Keras with TensorFlow: its layers of strings need it.

python tests/golden/keras_files/generate.py
"""

import json
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
L = keras.layers


def adapted(layer, data):
    layer.adapt(np.array(data))
    return layer


def strings():
    """A vocabulary in a model in a model, and one that was given."""
    x = keras.Input((1,), dtype="string")
    seen = adapted(L.StringLookup(output_mode="one_hot"), ["b", "a", "b", "c d", "ß"])
    inner = keras.Model(x, L.Dense(2)(seen(x)))
    y = keras.Input((1,), dtype="string")
    given = L.StringLookup(vocabulary=["a", "b"], num_oov_indices=2, output_mode="count")
    return keras.Model(y, [inner(y), L.Dense(2)(given(y))])


def weighed():
    layer = adapted(L.StringLookup(output_mode="tf_idf"), [["b", "a"], ["b", "c d"]])
    return keras.Sequential([keras.Input((2,), dtype="string"), layer, L.Dense(2)])


def integers():
    layer = adapted(L.IntegerLookup(mask_token=0), [5, 7, 7, 9])
    return keras.Sequential([keras.Input((2,), dtype="int64"), layer, L.Embedding(9, 2)])


def texts():
    layer = adapted(L.TextVectorization(output_sequence_length=4, ngrams=2), ["a b c", "b b."])
    return keras.Sequential([keras.Input((1,), dtype="string"), layer, L.Embedding(9, 2)])


def weighed_texts():
    layer = adapted(L.TextVectorization(output_mode="tf_idf"), ["a b c", "b b."])
    return keras.Sequential([keras.Input((), dtype="string"), layer, L.Dense(2)])


def numbers():
    values = np.random.default_rng(0).normal(2, 3, (50, 3))
    bins = adapted(L.Discretization(num_bins=4, output_mode="int"), values)
    return keras.Sequential([keras.Input((3,)), adapted(L.Normalization(), values), bins])


def hashes():
    layers = [L.Hashing(5, salt=3), L.CategoryEncoding(5, "count")]
    return keras.Sequential([keras.Input((2,), dtype="string"), *layers])


def crosses():
    a, b = keras.Input((1,), dtype="string"), keras.Input((1,), dtype="string")
    return keras.Model([a, b], L.HashedCrossing(5, output_mode="one_hot")((a, b)))


GIVEN = {
    "strings": [["a"], ["b"], ["nobody"], ["ß"]],
    "weighed": [["b", "a"], ["c d", "nobody"]],
    "integers": [[5, 7], [0, 3]],
    "texts": [["A b, c"], ["b nobody"]],
    "weighed_texts": ["a b b", "c nobody"],
    "numbers": [[1.5, 2.5, -3.0], [9.0, 0.0, 2.0]],
    "hashes": [["a", "b"], ["b", "b"]],
    "crosses": [[["a"], ["b"]], [["x"], ["y"]]],
}

if __name__ == "__main__":
    import tensorflow as tf  # not above: tests collect this file, and have no TensorFlow

    expected = {}
    for name, given in GIVEN.items():
        keras.utils.set_random_seed(1)
        model = globals()[name]()
        model.save(HERE / f"{name}.keras")
        several = name == "crosses"
        x = [tf.constant(one) for one in given] if several else tf.constant(given)
        y = model(x)
        y = y if isinstance(y, list) else [y]
        expected[name] = {"given": given, "outputs": [np.asarray(one).tolist() for one in y]}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False))
