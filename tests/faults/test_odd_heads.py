"""Data that are made up with a purpose: heads of arrays, pickles, names and pictures."""

import io
import json
import pickle
import time
import zipfile
import zlib

import numpy as np
import pytest

import backprop as bp
from backprop import utils
from backprop.archive import ModelFileError
from backprop.datasets import arrays, cifar, imdb, pickles


def headed(shape, dtype="'|u1'"):
    """A `.npy` file of no values whose head says a shape, as text."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "shape",
    [
        "(0, 9223372036854775807, 9223372036854775807)",
        "(" + "1, " * 33 + ")",
        "(" + "1," * 3000 + ")",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_shape_that_no_array_has_is_one_short_error(shape, packed, tmp_path):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x.npy", headed(shape))
    else:
        path.write_bytes(headed(shape))

    with pytest.raises(ValueError, match=r"a\.np.*no array of shape") as caught:
        arrays.read_any(path, "fiu")
    assert len(str(caught.value)) < 1000


def test_what_an_error_quotes_of_an_archive_of_data_is_cut(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x" * 60_000 + ".npy", b"no array")

    with pytest.raises(ValueError) as caught:
        arrays.read_any(path, "f")
    assert len(str(caught.value)) < 1100


def test_marks_without_end_are_not_counted():
    start = time.process_time()
    with pytest.raises(ValueError, match="it is not read: its values are nested 256 deep"):
        pickles.read_pickle(b"(" * 10**6 + b".", "it")
    assert time.process_time() - start < 0.1


def test_a_list_that_stands_in_a_pickle_again_and_again_is_not_read_so_often(tmp_path):
    texts = np.empty(1000, object)
    texts[:] = [[1, 2] * 1000] * 1000  # of 6 kB
    y = np.zeros(1000, np.int64)
    np.savez(tmp_path / "imdb.npz", x_train=texts, y_train=y, x_test=texts, y_test=y)

    with pytest.raises(ValueError, match=r"imdb\.npz is not read: its lists .* again and again"):
        imdb.load_data(tmp_path / "imdb.npz")


@pytest.mark.parametrize("label", [10**30, -(10**30), -1, 10])
def test_a_label_that_is_none_of_cifar_is_an_error(label, tmp_path):
    batch = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [label]}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol=2))

    with pytest.raises(ValueError, match=r"batch should"):
        cifar.read_batch(tmp_path / "batch", "labels", {"labels": 10})


@pytest.mark.parametrize(
    "names",
    [["a" * 100_000 + ".weights.h5"], [f"{i}.weights.h5" for i in range(50_000)]],
    ids=["long", "many"],
)
def test_shards_are_few_and_have_names(names, tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"/": names}}))
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])

    with pytest.raises(ModelFileError, match=r"m\.weights\.json.*more than 4,096 files"):
        model.load_weights(path)


def test_a_picture_that_is_none_is_one_clear_error(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    whole = io.BytesIO()
    pillow.fromarray(np.zeros((9, 9, 3), np.uint8)).save(whole, "png")
    contents = whole.getvalue()
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + contents[24:29]
    huge = contents[:12] + head + zlib.crc32(head).to_bytes(4, "big") + contents[33:]
    for i, found in enumerate((b"", b"GIF89a", contents[:45], huge, b"II*\0" + b"\xff" * 100)):
        path = tmp_path / f"{i}.png"
        path.write_bytes(found)

        with pytest.raises(OSError, match=rf"load_img\(\) finds no whole picture.*{i}\.png"):
            utils.load_img(path)
