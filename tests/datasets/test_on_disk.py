"""Data sets read from files on disk, in the formats that they come in; beside Keras, which is
given the same files."""

import gzip
import importlib
import json
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from backprop import datasets
from backprop.datasets import arrays
from backprop.datasets.cifar import read_batch
from backprop.datasets.words import as_objects

RNG = np.random.default_rng(0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras' directory of data."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home" / "datasets").mkdir(parents=True)
    return tmp_path / "home" / "datasets"


def same(found, expected):
    for ours, theirs in zip(sum(found, ()), sum(expected, ()), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert ours.tolist() == theirs.tolist()


def keras_load_data(name, files, monkeypatch, *arguments, **options):
    """What Keras makes of the files that are said, by the name that it asks for."""
    pytest.importorskip("keras", reason="parity needs Keras")
    module = importlib.import_module(f"keras.src.datasets.{name}")

    def get_file(*given, fname=None, **_):
        return str(files[fname or given[0]])

    monkeypatch.setattr(module, "get_file", get_file)
    return module.load_data(*arguments, **options)


# ------------------------------------------------------------------------------------------- mnist


def images(n):
    return RNG.integers(0, 255, (n, 28, 28), np.uint8), RNG.integers(0, 9, n).astype(np.uint8)


def idx(array):
    return (
        bytes((0, 0, 8, array.ndim))
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def idx_files(folder, mark="-", packed=True):
    """The four files, and their arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for part, n in (("train", 7), ("t10k", 3)):
        x, y = images(n)
        for stem, kind, array in (("images", "idx3", x), ("labels", "idx1", y)):
            path = folder / f"{part}-{stem}{mark}{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
        parts.append((x, y))
    return parts


def npz(path, save=np.savez, **named):
    save(path, **named)
    return path


def mnist_npz(path, save=np.savez):
    (x_train, y_train), (x_test, y_test) = images(7), images(3)
    return npz(path, save, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("where", ["cache", "absolute", "folder", "here", "under the cache"])
def test_mnist_is_read_from_an_npz_file(cache, tmp_path, monkeypatch, save, where):
    folder = {"cache": cache, "under the cache": cache / "mine"}.get(where, tmp_path)
    folder.mkdir(exist_ok=True)
    file = mnist_npz(folder / "mnist.npz", save)
    given = {
        "cache": (),
        "absolute": (file,),
        "folder": (str(tmp_path),),
        "here": ("mnist.npz",),
        "under the cache": ("mine/mnist.npz",),
    }[where]

    found = datasets.mnist.load_data(*given)

    same(found, keras_load_data("mnist", {"mnist.npz": file}, monkeypatch))
    assert found[0][0].flags.writeable


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mark", "-.")
def test_mnist_is_read_from_idx_files(cache, packed, mark):
    expected = idx_files(cache / "mnist-idx", mark, packed)

    same(datasets.mnist.load_data("mnist-idx"), expected)


def test_fashion_mnist_is_read_where_keras_has_it(cache, monkeypatch):
    expected = idx_files(cache / "fashion-mnist")

    same(datasets.fashion_mnist.load_data(), expected)

    files = {path.name: path for path in (cache / "fashion-mnist").iterdir()}
    same(datasets.fashion_mnist.load_data(), keras_load_data("fashion_mnist", files, monkeypatch))


def test_fashion_mnist_is_read_from_an_npz_file(cache):
    file = mnist_npz(cache / "fashion.npz")

    same(datasets.fashion_mnist.load_data("fashion.npz"), datasets.mnist.load_data(file))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"words", "is no idx file"),
        (idx(np.zeros((2, 28, 28), np.uint8))[:-1], "not as many as its shape"),
        (idx(np.zeros((2, 28, 28), np.uint8)) + b"x", "not as many as its shape"),
        (idx(np.zeros((2, 27, 28), np.uint8)), r"should have the shape \(n, 28, 28\)"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 28, 28), "says that it has"),
        (gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)), mtime=0)[:-9], "is damaged"),
        (idx(np.zeros((7, 28), np.uint8)), "is no idx file of bytes along 3 axes"),
    ],
)
def test_an_idx_file_that_is_wrong_is_refused(cache, content, words):
    idx_files(cache / "mnist")
    (cache / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(content)

    with pytest.raises(ValueError, match=words):
        datasets.mnist.load_data("mnist")


@pytest.mark.parametrize(
    ("count", "match"), [(3, "not as many as its shape"), (10**6, "says that it has 784,000,000")]
)
def test_a_packed_file_that_becomes_too_large_is_not_unpacked(count, match, cache, monkeypatch):
    monkeypatch.setattr(arrays, "LIMIT", 10_000)
    monkeypatch.setattr(arrays, "PIECE", 1000)
    idx_files(cache / "mnist")
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", count, 28, 28)
    path = cache / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(head + bytes(10**8)))
    tracemalloc.start()

    with pytest.raises(ValueError, match=match):
        datasets.mnist.load_data("mnist")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_batch_that_becomes_too_large_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "LIMIT", 10_000)
    (tmp_path / "x").write_bytes(gzip.compress(bytes(10**6)))

    with pytest.raises(ValueError, match="more than 10,000 bytes"):
        arrays.whole(tmp_path / "x")


def written(path, name, content):
    """An `.npz` file in which one member is this one."""
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            if key != name:
                with archive.open(f"{key}.npy", "w") as file:
                    np.lib.format.write_array(file, images(3)[key[0] == "y"])
        if content is not None:
            archive.writestr(f"{name}.npy", content)
    return path


def npy(shape, dtype="|u1", values=b"", fortran=False):
    header = str({"descr": dtype, "fortran_order": fortran, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no array 'x_train'; it has y_train.npy"),
        (b"words", "is damaged"),
        (npy((3, 28, 28)), "not as many as its shape"),
        (npy((3, 28, 28), values=bytes(3 * 28 * 28 + 1)), "not as many as its shape"),
        (npy((2**40, 28, 28)), "says that it has"),
        (npy((3, 27, 28), values=bytes(3 * 27 * 28)), "should have the shape"),
        (npy((3, 28, 28), "<f4", bytes(4 * 3 * 28 * 28)), "dtype of kind u, and has"),
        (npy((3, 28, 28), "|O", b"cos\nsystem\n."), "dtype of kind u, and has"),
        (npy((4, 28, 28), values=bytes(4 * 28 * 28)), "4 samples and 3 labels"),
        (npy("__import__('os')"), "is damaged"),
    ],
)
def test_an_npz_file_that_is_wrong_is_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        datasets.mnist.load_data(written(tmp_path / "x.npz", "x_train", content))


def test_what_is_no_npz_file_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"words")

    with pytest.raises(ValueError, match="can be read"):
        datasets.mnist.load_data(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "name",
    ["mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters", "california_housing"],
)
def test_a_missing_file_is_an_error_that_says_where_it_was_looked_for_and_where_it_is(cache, name):
    with pytest.raises(FileNotFoundError) as caught:
        getattr(datasets, name).load_data()

    assert f"{name}.load_data() downloads nothing" in str(caught.value)
    assert str(cache) in str(caught.value)
    assert "to be had" in str(caught.value) and "https://" in str(caught.value)


# ------------------------------------------------------------------------------------------- cifar


def cifar_dict(n, keys, text=str.encode):
    labels = {key: RNG.integers(0, 9, n).tolist() for key in keys}
    return {
        text(key): value
        for key, value in {
            "data": RNG.integers(0, 255, (n, 3072), np.uint8),
            **labels,
            "filenames": [b"a.png"] * n,
            "batch_label": b"training batch",
        }.items()
    }


def cifar10_files(folder, binary=False):
    folder.mkdir(parents=True)
    found = []
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = cifar_dict(4, ["labels"])
        x, y = batch[b"data"], np.array(batch[b"labels"], np.uint8)
        if binary:
            (folder / f"{name}.bin").write_bytes(np.c_[y, x].tobytes())
        else:
            (folder / name).write_bytes(pickle.dumps(batch, 2))
        found.append((x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), y[:, None]))
    x, y = zip(*found[:5], strict=True)
    return (np.concatenate(x), np.concatenate(y)), found[5]


@pytest.mark.parametrize(
    ("folder", "binary", "given"),
    [
        ("cifar-10-batches-py", False, None),
        ("cifar-10-batches-py-target/cifar-10-batches-py", False, None),
        ("cifar-10-batches-bin", True, None),
        ("mine", False, "mine"),
        ("mine/cifar-10-batches-bin", True, "mine"),
    ],
)
def test_cifar10_is_read(cache, folder, binary, given):
    expected = cifar10_files(cache / folder, binary)

    same(datasets.cifar10.load_data(given), expected)


def test_a_directory_is_no_file_of_a_name(cache):
    (cache / "train").mkdir()

    with pytest.raises(FileNotFoundError, match=r"cifar100\.load_data\(\) downloads nothing"):
        datasets.cifar100.load_data()


@pytest.mark.parametrize("mode", ["fine", "coarse"])
@pytest.mark.parametrize("binary", [False, True])
def test_cifar100_is_read(cache, monkeypatch, mode, binary):
    folder, keys = cache / "cifar-100-python", ["coarse_labels", "fine_labels"]
    folder.mkdir()
    for name in ("train", "test"):
        batch = cifar_dict(5, keys)
        (folder / name).write_bytes(pickle.dumps(batch, 3))
        if binary:
            table = np.c_[batch[b"coarse_labels"], batch[b"fine_labels"], batch[b"data"]]
            (cache / "bin").mkdir(exist_ok=True)
            (cache / "bin" / f"{name}.bin").write_bytes(table.astype(np.uint8).tobytes())

    found = datasets.cifar100.load_data(mode, "bin" if binary else None)

    files = {"cifar-100-python-target": cache}
    same(found, keras_load_data("cifar100", files, monkeypatch, mode))


def test_a_batch_of_cifar_is_the_one_that_keras_reads(tmp_path):
    cifar = pytest.importorskip("keras.src.datasets.cifar", reason="parity needs Keras")
    (tmp_path / "batch").write_bytes(pickle.dumps(cifar_dict(5, ["labels"]), 3))

    x, y = read_batch(tmp_path / "batch", "labels", {"labels": 10})

    x_keras, y_keras = cifar.load_batch(tmp_path / "batch")
    np.testing.assert_array_equal(x, x_keras.transpose(0, 2, 3, 1))
    assert y.tolist() == y_keras


def changed(key, value):
    return pickle.dumps(cifar_dict(4, ["labels"]) | {key: value})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b", pickle.dumps([1]), "should hold a dict"),
        ("b", pickle.dumps({"x": 1}), "has no data, labels; it has x"),
        ("b", changed(b"data", [1]), "should be an array, and is list"),
        ("b", changed(b"data", np.zeros((4, 9), np.uint8)), r"should have the shape \(n, 3072\)"),
        ("b", changed(b"data", np.zeros((4, 3072))), "dtype of kind u"),
        ("b", changed(b"labels", [1, 2, 3]), "should be a list of 4 integers"),
        ("b", changed(b"labels", [1, 2, 3, "x"]), "should be a list of 4 integers"),
        ("b", changed(b"labels", [1, 2, 3, 10]), "labels from 0 to 9, and has 10"),
        ("b", changed(b"labels", print), "it names builtins.print"),
        ("b.bin", bytes(3072), "3073 bytes for each image"),
        ("b.bin", b"", "3073 bytes for each image"),
        ("b.bin", bytes([10]) + bytes(3072), "labels from 0 to 9, and has 10"),
    ],
)
def test_a_batch_of_cifar_that_is_wrong_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ValueError, match=words):
        read_batch(tmp_path / name, "labels", {"labels": 10})


def test_the_label_mode_of_cifar100_is_checked():
    with pytest.raises(ValueError, match="label_mode to be one of 'fine', 'coarse'"):
        datasets.cifar100.load_data("rough")


# ----------------------------------------------------------------------------------- imdb, reuters


def texts(n, seed):
    rng = np.random.default_rng(seed)
    array = np.empty(n, object)
    for i in range(n):
        array[i] = rng.integers(1, 300, 2 + i % 9).tolist()
    return array


@pytest.fixture(scope="module")
def text_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    labels = RNG.integers(0, 2, 30)
    return {
        "imdb.npz": npz(
            folder / "imdb.npz",
            x_train=texts(30, 1),
            y_train=labels,
            x_test=texts(20, 2),
            y_test=labels[:20],
        ),
        "reuters.npz": npz(folder / "reuters.npz", x=texts(30, 3), y=labels),
    }


@pytest.mark.parametrize("name", ["imdb", "reuters"])
@settings(max_examples=60)
@given(
    options=st.fixed_dictionaries(
        {},
        optional={
            "num_words": st.none() | st.integers(0, 320),
            "skip_top": st.integers(0, 200),
            "maxlen": st.none() | st.integers(5, 15),
            "seed": st.integers(0, 99),
            "start_char": st.none() | st.integers(0, 3),
            "oov_char": st.none() | st.integers(0, 3),
            "index_from": st.integers(0, 5),
        },
    )
)
def test_texts_are_those_of_keras(text_files, name, options):
    file = f"{name}.npz"
    with pytest.MonkeyPatch.context() as patch:
        expected = keras_load_data(name, text_files, patch, **options)

    found = getattr(datasets, name).load_data(text_files[file], **options)

    for (x, y), (x_keras, y_keras) in zip(found, expected, strict=True):
        assert x.ndim == 1  # also where all are as long: Keras' array then has two axes
        assert x.tolist() == x_keras.tolist()
        np.testing.assert_array_equal(y, y_keras)


def test_reuters_is_split_as_keras_splits_it(text_files, monkeypatch):
    for share in (0.0, 0.35, 1.0):
        same(
            datasets.reuters.load_data(text_files["reuters.npz"], test_split=share),
            keras_load_data("reuters", text_files, monkeypatch, test_split=share),
        )


def test_no_text_that_is_short_enough_is_an_error(text_files):
    with pytest.raises(ValueError, match="no text of fewer than maxlen=2 words"):
        datasets.imdb.load_data(text_files["imdb.npz"], maxlen=2)


def test_texts_of_numpys_integers_are_texts(tmp_path):
    x = as_objects([[np.uint8(250), np.uint8(9)], [], [np.int64(4), 5], [7]])
    file = npz(tmp_path / "x.npz", x=x, y=np.zeros(4, int))

    (found, _), _ = datasets.reuters.load_data(file, num_words=300, test_split=0.0)

    assert sorted(found) == [[1], [1, 7, 8], [1, 10], [1, 253, 12]]
    assert {type(word) for words in found for word in words} == {int}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([print, [1]], object), "it names builtins.print"),
        (np.array([[1], "x"], object), "text 1 of .* should be a list of integers"),
        (np.array([[1, 2], [True]], object), "text 1 of .* should be a list of integers"),
        (np.array([[1, 2], [1.5]], object), "text 1 of .* should be a list of integers"),
        (np.array([1, 2]), "dtype of kind O, and has"),
    ],
)
def test_texts_that_are_something_else_are_refused(tmp_path, value, words):
    if value.dtype == object:
        value = as_objects(list(value))
    file = npz(tmp_path / "x.npz", x=value, y=np.array([0, 1]))

    with pytest.raises(ValueError, match=words):
        datasets.reuters.load_data(file)


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_the_words_have_ranks(cache, name):
    (cache / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "of": 2}))

    assert getattr(datasets, name).get_word_index() == {"the": 1, "of": 2}


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is no JSON file"), ("[1]", "the rank"), ('{"a": "b"}', "the rank")],
)
def test_words_without_ranks_are_refused(tmp_path, content, words):
    (tmp_path / "w.json").write_text(content)

    with pytest.raises(ValueError, match=words):
        datasets.imdb.get_word_index(tmp_path / "w.json")


def test_the_topics_of_reuters_are_those_of_keras():
    keras = pytest.importorskip("keras", reason="parity needs Keras")

    assert datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


# ------------------------------------------------------------------------------ california housing


@pytest.mark.parametrize("version", ["large", "small"])
@pytest.mark.parametrize("options", [{}, {"test_split": 0.0}, {"test_split": 0.33, "seed": 5}])
def test_california_housing_is_that_of_keras(cache, monkeypatch, version, options):
    file = npz(
        cache / "california_housing.npz", x=RNG.normal(size=(700, 8)), y=RNG.normal(size=700)
    )

    found = datasets.california_housing.load_data(version, **options)

    files = {file.name: file}
    same(found, keras_load_data("california_housing", files, monkeypatch, version, **options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": "medium"}, "version to be one of"),
        ({"test_split": 1.0}, "test_split to be below 1"),
        ({"test_split": -0.1}, "test_split"),
    ],
)
def test_arguments_of_california_housing_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        datasets.california_housing.load_data(**options)
