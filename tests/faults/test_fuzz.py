"""Real files of every format, damaged and edited by chance: each is read, or a clear error.

``FUZZ=2000 pytest tests/faults/test_fuzz.py`` makes so many of each format, `pytest -m slow` makes
20,000, as ``python -m tests.hostile_files 20000`` does. With ``python -m tests.guided_fuzz`` it is
coverage that chooses them.
"""

import os
import signal

import hostile_files
import pytest

COUNT = int(os.environ.get("FUZZ", "150"))
KINDS = (
    *("model", "graph", "weights", "checkpoint", "state", "space", "prepared", "json"),
    *("safetensors", "onnx"),
    *("keras", "keras_graph", "h5", "legacy", "shards", "hdf5_rows"),
    *("csv", "csv_gz", "npz", "arrays", "npy", "idx", "idx_gz", "pickle", "imdb", "word_index"),
    "npy_rows",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return folder, hostile_files.formats(folder)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timer")
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_does_more_than_be_read_or_be_refused(kind, written):
    folder, formats = written
    if kind not in formats:
        pytest.skip("h5py or onnx is not installed")

    found = hostile_files.failures(kind, formats[kind], range(COUNT), folder)

    assert not found, "\n".join(found[:20])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timer")
@pytest.mark.parametrize("kind", KINDS)
def test_20000_files_do_no_more(kind, written):
    folder, formats = written
    if kind not in formats:
        pytest.skip("h5py or onnx is not installed")

    found = hostile_files.failures(kind, formats[kind], range(20_000), folder)

    assert not found, "\n".join(found[:20])


def test_every_format_is_tried(written):
    assert set(written[1]) <= set(KINDS)
