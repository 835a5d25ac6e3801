"""Layers of a table's columns. What Keras and TensorFlow make of the same data stands here as
literals, as a machine need not have TensorFlow."""

import json

import numpy as np
import pytest
from keras_parity import keras_in

from backprop.hashes import fingerprints, hashed, keyed
from backprop.layers import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    deserialize,
    serialize,
)
from backprop.layers.columns.rows import Rows, row_ends

TEXTS = np.array(
    ["a", "b", "abc", "", "é", "a long text that has more than thirty-two bytes in it", "x" * 70]
)
NUMBERS = np.array([0, 1, -5, 101, 2**31 - 1, 7, 12345678])
LETTERS = np.array(["A", "B", "A", "B", "A", "q", "é"])

# ------------------------------------------------------------------------------------------ hashes

BYTES = bytes((i * 37 + 11) % 256 for i in range(300))
# by TensorFlow 2.21, of the first bytes of BYTES: how many, tf.raw_ops.Fingerprint, and
# tf.strings.to_hash_bucket_strong(key=[123, -456]) of 2**63 - 1 buckets
HASHES = [
    (0, 0x9AE16A3B2F90404F, 4751507944081487622),
    (1, 0x4271B80E2915C76A, 8288735847615246274),
    (2, 0xAE88B935147A3473, 7778334361878756132),
    (3, 0x373A2B2A12E0C581, 6999544902140722226),
    (4, 0xCC1E778137AE6D69, 461198845009192067),
    (7, 0x960838FBC6D9C975, 8717032231009642605),
    (8, 0x7D507025ED4EECFD, 1579125670834515938),
    (9, 0xDAEBBBB958304DDE, 8753873808267756765),
    (15, 0x834F200CFA7ED95F, 5484300523820814247),
    (16, 0xD836480326A974D6, 8728139295995143951),
    (17, 0x5CDED6CB65C9DAC6, 3979060460969209129),
    (31, 0x52A467E87C92D522, 3856864255554751971),
    (32, 0xA03300E1B2BE6DA7, 5664741317081704719),
    (33, 0x839154CA67815696, 1394782611986863561),
    (48, 0x698F96261BC531D3, 5681338505549697081),
    (63, 0x7CF64A4BD1B2B67E, 4477311027982547014),
    (64, 0x000F03EAC52D3535, 847316346685845785),
    (65, 0xFB360C5023F60DB6, 5943717829325312166),
    (100, 0x094BB5559BBB1375, 2188008361463610971),
    (127, 0xD70E348FCBF64D04, 4932867790476998155),
    (128, 0x33EF435F17AF1739, 4297231076373940078),
    (129, 0xC30A81B637D2E4DD, 5476761331306800784),
    (192, 0xE277D6AD7892DD23, 7888246281079348941),
    (193, 0x63BCAA15A48F8FE3, 683991654682155912),
    (300, 0x70118FE7A7F708B5, 8150004981464641875),
]


def test_fingerprints_are_those_of_tensorflow():
    found = fingerprints([BYTES[:n] for n, _, _ in HASHES])

    assert found.tolist() == [fingerprint for _, fingerprint, _ in HASHES]


def test_hashes_with_a_key_are_those_of_tensorflow():
    found = keyed([BYTES[:n] for n, _, _ in HASHES], (123, -456)) % np.uint64(2**63 - 1)

    assert found.tolist() == [strong for _, _, strong in HASHES]


def test_siphash_gives_the_vectors_of_its_authors():
    key = 0x0706050403020100, 0x0F0E0D0C0B0A0908

    found = keyed([bytes(range(n)) for n in (0, 1, 2, 8, 15)], key)

    assert [hex(h) for h in found.tolist()] == [
        "0x726fdb47dd0e0e31",
        "0x74f839c593dc67fd",
        "0xd6c8009d9a94f5a",
        "0x93f5f5799a932462",
        "0xa129ca6149be45e5",
    ]


def test_entries_are_hashed_alike_however_they_are_kept():
    texts = np.array([["ab", "c"], ["ab", "é"]])
    objects = texts.astype(object)
    objects[0, 0] = b"ab"

    assert (hashed(texts) == hashed(objects)).all()
    assert (hashed(texts) == hashed(np.char.encode(texts, "utf-8"))).all()
    assert (hashed(np.array([10, -3])) == hashed(np.array(["10", "-3"]))).all()


def test_a_hash_of_many_is_that_of_each():
    texts = [f"{i:o}" * (i % 40) for i in range(500)]

    together = fingerprints([t.encode() for t in texts])

    assert together.tolist() == [int(fingerprints([t.encode()])[0]) for t in texts]


# ----------------------------------------------------------------------------------------- Hashing


@pytest.mark.parametrize(
    ("options", "x", "expected"),
    [
        ({}, TEXTS, [939, 822, 385, 263, 25, 25, 745]),
        ({}, NUMBERS, [735, 849, 816, 653, 757, 88, 362]),
        ({"salt": 133}, TEXTS, [997, 824, 823, 907, 118, 718, 919]),
        ({"salt": (133, -7)}, NUMBERS, [49, 356, 675, 228, 295, 744, 506]),
        ({"num_bins": 10, "mask_value": "b"}, TEXTS, [4, 0, 9, 6, 8, 2, 4]),
        ({"num_bins": 10, "mask_value": ""}, TEXTS, [4, 2, 9, 0, 8, 2, 4]),
        ({"num_bins": 10, "mask_value": 101}, NUMBERS, [2, 1, 1, 0, 9, 8, 4]),
        ({"num_bins": 1, "mask_value": "b"}, TEXTS, [0] * 7),
        ({}, np.array([1.5, 2.0, -3.7]), [849, 759, 699]),
        ({}, np.array([True, False]), [570, 757]),
    ],
)
def test_hashing_gives_the_bins_of_keras(options, x, expected):
    layer = Hashing(**{"num_bins": 1000, **options})

    assert layer(x).tolist() == expected
    assert layer(x.tolist()).tolist() == expected


@pytest.mark.parametrize("kind", [object, "S"])
def test_bytes_are_hashed_as_the_strings_that_they_are(kind):
    texts = np.array(["a", "b", "abc"])

    assert Hashing(10, mask_value="b")(texts.astype(kind)).tolist() == [4, 0, 9]


# ---------------------------------------------------------------------------------- HashedCrossing


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((LETTERS, NUMBERS), [675, 470, 404, 754, 319, 238, 963]),
        ((LETTERS, NUMBERS, TEXTS), [116, 440, 868, 191, 28, 324, 664]),
        ((NUMBERS, NUMBERS), [304, 641, 869, 13, 54, 634, 920]),
    ],
)
def test_crosses_are_those_of_keras(features, expected):
    layer = HashedCrossing(1000)

    assert layer(features).tolist() == expected
    assert layer([f[:, None].tolist() for f in features])[:, 0].tolist() == expected


def test_a_cross_has_the_shape_of_its_features():
    single, row, column = ("a", 3), (["a", "b"], [3, 4]), ([["a"], ["b"]], [[3], [4]])

    assert HashedCrossing(5)(row).tolist() == [1, 0]
    assert HashedCrossing(5)(column).tolist() == [[1], [0]]
    assert HashedCrossing(5)(single) == 1
    expected = [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert HashedCrossing(5, output_mode="one_hot")(row).tolist() == expected
    assert HashedCrossing(5, output_mode="one_hot")(column).tolist() == expected
    assert HashedCrossing(5, "one_hot", sparse=True)(row).toarray().tolist() == expected


# -------------------------------------------------------------------------------------------- rows

IDS = [
    (np.array(1), 0),
    (np.array([0, 1, 1]), 1),
    (np.array([1]), 1),
    (np.array([[0], [2]]), 2),
    (np.array([[0, 1, 1], [2, 2, 2]]), 2),
    (np.array([[[0, 1], [1, 1]], [[2, 0], [0, 2]]]), 3),
    (np.array([[[0], [1]]]), 3),
]


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize(("x", "rank"), IDS)
def test_rows_are_those_of_keras(mode, x, rank):
    with keras_in("float32") as keras:
        theirs = keras.layers.CategoryEncoding(3, output_mode=mode)
        shape, expected = theirs.compute_output_shape(x.shape), np.asarray(theirs(x))

    y = CategoryEncoding(3, output_mode=mode)(x)

    assert y.shape == shape
    assert y.dtype == np.float32
    if mode == "one_hot" or rank < 3:  # else Keras sums over axis 1, unlike its docs and its shape
        assert (y == expected.reshape(shape)).all()
    else:
        assert (y == np.stack([CategoryEncoding(3, output_mode=mode)(part) for part in x])).all()


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize(
    "x", [np.array(1.0), np.array([0, 1.5, 9]), np.array([[0], [2.5]]), np.array([[0, 1], [2, -2]])]
)
def test_bins_are_those_of_keras(mode, x):
    with keras_in("float32") as keras:
        theirs = keras.layers.Discretization([0.0, 1.0, 2.0], output_mode=mode)
        expected = np.asarray(theirs(x.astype(np.float32)))
    if mode == "one_hot" and not x.ndim:
        expected = expected[0]  # where Keras leaves an axis of length 1, unlike the shape it says

    y = Discretization([0.0, 1.0, 2.0], output_mode=mode)(x)

    assert y.shape == expected.shape
    assert (y == expected).all()


def test_weights_are_counted_instead_of_one():
    layer = CategoryEncoding(3, output_mode="count")
    weights = np.array([[0.5, 1, 2], [1, 1, 4]])

    y = layer(np.array([[0, 1, 1], [2, 2, 0]]), count_weights=weights)

    assert y.tolist() == [[0.5, 3.0, 0.0], [4.0, 0.0, 2.0]]  # Keras'
    assert layer([0, 1, 1], count_weights=weights[0]).tolist() == [0.5, 3.0, 0.0]


def test_weights_have_a_derivative():
    layer = CategoryEncoding(3, output_mode="count", dtype="float64")
    ids, weights = np.array([[0, 1, 1], [2, 2, 0]]), np.array([[0.5, 1, 2], [1, 1, 4]])
    dy = np.array([[1.0, 2, 3], [4, 5, 6]])

    _, cache = layer.forward((ids, weights))
    dx, dweights = layer.backward(dy, cache)

    assert (dx == 0).all()
    assert dweights.tolist() == [[1, 2, 2], [6, 6, 4]]


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_sparse_rows_are_the_dense_ones(mode):
    x = np.array([[0], [2]]) if mode == "one_hot" else np.array([[0, 1, 1], [2, 2, 0]])

    for make in (CategoryEncoding, Hashing):
        dense = make(3, output_mode=mode)(x)
        assert (make(3, output_mode=mode, sparse=True)(x).toarray() == dense).all()


# ---------------------------------------------------------------------------------- Discretization


def batches(*sizes):
    rng = np.random.default_rng(4)
    return [rng.normal(size=(n, 2)).astype(np.float32) for n in sizes]


def boundaries_of_keras(given, epsilon, bins):
    discretization = pytest.importorskip("keras.src.layers.preprocessing.discretization")
    sketch = np.empty((2, 0), np.float32)
    for batch in given:  # its adapt asks for TensorFlow
        found = discretization.summarize(batch.astype("float32"), epsilon)
        sketch = discretization.merge_summaries(found, sketch, epsilon)
    return discretization.get_bin_boundaries(sketch, bins).tolist()


@pytest.mark.parametrize("bins", [2, 4, 7])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
@pytest.mark.parametrize("sizes", [(2,), (40,), (500,), (3000,), (1, 1, 1), (2, 1)])
def test_boundaries_are_those_of_keras(sizes, epsilon, bins):
    layer = Discretization(num_bins=bins, epsilon=epsilon)

    layer.adapt(iter(batches(*sizes)))

    expected = boundaries_of_keras(batches(*sizes), epsilon, bins)
    assert layer.bin_boundaries == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("chunk", [500, 5000, 1 << 20])
@pytest.mark.parametrize("size", [7, 1000])
def test_boundaries_of_much_data_are_off_by_less_than_epsilon(size, chunk, monkeypatch):
    monkeypatch.setattr("backprop.layers.columns.discretization.CHUNK", chunk)
    data = np.random.default_rng(0).permutation(50_000) / 50_000
    layer = Discretization(num_bins=10, epsilon=0.01)

    layer.adapt(data[i : i + size, None] for i in range(0, len(data), size))

    assert np.abs(np.array(layer.bin_boundaries) - np.arange(1, 10) / 10).max() < 0.01


def test_batches_give_the_boundaries_of_one_array():
    whole, parts = (Discretization(num_bins=7) for _ in range(2))

    whole.adapt(np.concatenate(batches(300, 20, 500)))
    parts.adapt(iter(batches(300, 20, 500)))

    assert parts.bin_boundaries == whole.bin_boundaries


def test_it_learns_from_arrays_frames_and_pairs_alike():
    pandas = pytest.importorskip("pandas")
    x = batches(50)[0]
    found = []
    for data in (x, x.tolist(), pandas.DataFrame(x), [(x, None)], iter([x])):
        layer = Discretization(num_bins=5)
        layer.adapt(data)
        found.append(layer.bin_boundaries)

    assert found == [found[0]] * 5


def test_steps_end_an_endless_stream():
    layer = Discretization(num_bins=2)

    layer.adapt((np.array([[0.0], [i]]) for i in iter(int, 1)), steps=3)

    assert layer.bin_boundaries == (0.0,)


# ------------------------------------------------------------------------------ errors, and configs


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: Hashing(0), ValueError, "num_bins to be a positive integer"),
        (lambda: Hashing(3, salt=(1, 2, 3)), ValueError, "salt to be an integer or two"),
        (lambda: Hashing(3, salt="x"), ValueError, "salt to be an integer or two"),
        (lambda: Hashing(3, sparse=True), ValueError, "another output_mode than 'int'"),
        (lambda: Hashing(3, output_mode="tf_idf"), ValueError, "output_mode to be one of"),
        (lambda: Hashing(3)(["a", None]), TypeError, "expects strings"),
        (lambda: Hashing(3)([np.nan]), ValueError, "got NaN"),
        (lambda: HashedCrossing(3)([["a", "b"]]), ValueError, "two or more features"),
        (lambda: HashedCrossing(3)([["a", "b"], [1]]), ValueError, "features of one shape"),
        (lambda: HashedCrossing(3)([["a"], [0.5]]), TypeError, "expects strings or integers"),
        (lambda: HashedCrossing(3, output_mode="count"), ValueError, "output_mode to be one of"),
        (
            lambda: Hashing(3, output_mode="one_hot", sparse=True)([["a", "b"]]),
            ValueError,
            "sparse=True makes one row after the other",
        ),
        (lambda: CategoryEncoding(0), ValueError, "num_tokens to be a positive integer"),
        (lambda: CategoryEncoding(), ValueError, "expects num_tokens, how many integers"),
        (lambda: CategoryEncoding(3, output_mode="int"), ValueError, "output_mode to be one of"),
        (lambda: CategoryEncoding(3)([[0, 3]]), ValueError, "from 0 to 2 and got 0 to 3"),
        (lambda: CategoryEncoding(3)([[0, -1]]), ValueError, "got -1 to 0"),
        (lambda: CategoryEncoding(3)([[0.5]]), TypeError, "expects integers"),
        (lambda: CategoryEncoding(3)(["a"]), TypeError, "expects integers"),
        (
            lambda: CategoryEncoding(3)([[1]], count_weights=[[1.0]]),
            ValueError,
            "count_weights with output_mode='count' alone",
        ),
        (lambda: Discretization(), ValueError, "bin_boundaries, or num_bins"),
        (lambda: Discretization([1.0], num_bins=2), ValueError, "one of the two"),
        (lambda: Discretization([2.0, 1.0]), ValueError, "numbers that grow"),
        (lambda: Discretization(num_bins=0), ValueError, "num_bins to be a positive integer"),
        (lambda: Discretization(num_bins=2)([1.0]), ValueError, "no boundaries yet: call adapt"),
        (lambda: Discretization([1.0]).adapt([[1.0]]), ValueError, "was given its boundaries"),
        (lambda: Discretization(num_bins=2).adapt([]), ValueError, "no data"),
        (lambda: Discretization(num_bins=2).adapt([[np.nan]]), ValueError, "hold NaN"),
        (lambda: Discretization([1.0])(["a"]), TypeError, "expected numbers"),
    ],
)
def test_what_is_wrong_is_said(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()


@pytest.mark.parametrize(
    "layer",
    [
        Hashing(7, mask_value="", salt=(3, 4), output_mode="count"),
        HashedCrossing(7, output_mode="one_hot", sparse=True),
        CategoryEncoding(7, output_mode="count"),
        Discretization([1.0, 2.5], output_mode="one_hot"),
    ],
)
def test_a_configuration_brings_it_back(layer):
    twin = deserialize(json.loads(json.dumps(serialize(layer))))

    assert twin.get_config() == layer.get_config()


def test_learned_boundaries_are_in_the_configuration():
    layer = Discretization(num_bins=4)
    layer.adapt(batches(50)[0])

    twin = deserialize(json.loads(json.dumps(serialize(layer))))

    assert twin.bin_boundaries == layer.bin_boundaries
    twin.adapt(batches(60)[0])
    assert twin.bin_boundaries != layer.bin_boundaries


# ---------------------------------------------------------------------------- one way and another


@pytest.mark.parametrize("key", [None, (3, 4)])
@pytest.mark.parametrize("kind", ["U", "S"])
def test_strings_are_hashed_the_same_as_arrays_of_characters_and_as_objects(kind, key):
    x = np.array(["", "a", "word", "a\0b", "seventeen letters", "x" * 70, "word"]).astype(kind)

    np.testing.assert_array_equal(hashed(x, key), hashed(x.astype(object), key))
    np.testing.assert_array_equal(hashed(x[::-2], key), hashed(x[::-2].astype(object), key))
    assert hashed(x[:0], key).shape == (0,)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(4, 5), (7,), (0, 3), (2, 3, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_the_same_by_way_of_both_forms(mode, shape, weighted):
    rng = np.random.default_rng(0)
    numbers = rng.integers(-2, 6, shape)
    weights = rng.random(numbers.size) if weighted else None
    rows = Rows(numbers.ravel(), row_ends(shape, mode), mode, 6, "float32", weights)

    dense, sparse = rows.toarray(), rows.tocsr()

    assert dense.dtype == sparse.dtype == np.float32
    np.testing.assert_allclose(dense, sparse.toarray(), rtol=1e-6)
