"""Files of each version of the format: what older and newer readers make of them.

``tests/golden/formats/`` has a file for each version, plain and signed, and in ``.safetensors``;
``python tests/test_formats.py`` writes those of a version that is new.
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from backprop import archive
from backprop.archive import ModelFileError
from backprop.interop import safetensors_files
from backprop.saving import SigningKey, sign, verify

FOLDER = Path(__file__).parent / "golden" / "formats"
KEY = SigningKey(b"the key of the golden files")
HEADER = {"answer": [1, 2.5, None, "ü"], "nested": {"a": True, "b": [[]]}}
ARRAYS = {
    **{f"of dtype/{c}": np.arange(3).astype(c) for c in "?bBhHiIqQefd"},
    "weights/0/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "big endian": np.arange(4, dtype=">f8"),
    "number": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
}


def make(version):
    for path in (FOLDER / f"{version}.npz", FOLDER / f"{version}_signed.npz"):
        archive.write(path, "model", HEADER, ARRAYS)
    sign(FOLDER / f"{version}_signed.npz", KEY)


def members(path):
    with zipfile.ZipFile(path) as file:
        return [(i.filename, i.compress_type, file.read(i)) for i in file.infolist()]


def assert_read(path, version, key=None):
    header, arrays = archive.read(path, ("model",), key)
    assert header == {"format": "backprop", "version": version, "kind": "model"} | HEADER
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


VERSIONS = range(1, archive.VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_every_version_is_read(version):
    assert_read(FOLDER / f"{version}.npz", version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_signed_file_of_every_version_is_verified(version, tmp_path):
    path = FOLDER / f"{version}_signed.npz"
    assert_read(path, version, KEY)

    changed = tmp_path / "m.npz"
    changed.write_bytes(path.read_bytes().replace(b"answer", b"ANSWER"))
    with pytest.raises(ModelFileError, match="signature"):
        verify(changed, KEY)


def test_a_change_of_what_is_written_is_a_new_version(tmp_path):
    """Where this fails, the form of a file has changed: older readers may not read it. Make it a
    version of its own, with a step in `archive.UPGRADES` and a golden file, or undo it."""
    archive.write(tmp_path / "m.npz", "model", HEADER, ARRAYS)

    assert members(tmp_path / "m.npz") == members(FOLDER / f"{archive.VERSION}.npz")


@pytest.mark.parametrize("version", range(1, safetensors_files.VERSION + 1))
def test_a_safetensors_file_of_every_version_is_read(version):
    found = safetensors_files.read(FOLDER / f"{version}.safetensors")

    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found[name], array)


def test_a_change_of_what_is_written_to_safetensors_is_a_new_version(tmp_path):
    safetensors_files.write(tmp_path / "m.safetensors", ARRAYS)

    golden = FOLDER / f"{safetensors_files.VERSION}.safetensors"
    assert (tmp_path / "m.safetensors").read_bytes() == golden.read_bytes()


@pytest.fixture
def a_version_later(monkeypatch):
    """The library as it will be when there is a format more, in which an answer is a text."""

    def upgrade(header, arrays):
        renamed = {name.replace("of dtype", "dtype"): a for name, a in arrays.items()}
        return header | {"answer": str(header["answer"])}, renamed

    with monkeypatch.context() as later:
        later.setattr(archive, "UPGRADES", (*archive.UPGRADES, upgrade))
        later.setattr(archive, "VERSION", archive.VERSION + 1)
        yield later


def test_the_next_version_reads_files_of_this_one_and_its_own(a_version_later, tmp_path):
    header, arrays = archive.read(FOLDER / f"{archive.VERSION - 1}.npz", ("model",))
    assert header["answer"] == "[1, 2.5, None, 'ü']"
    assert "dtype/q" in arrays and "of dtype/q" not in arrays

    archive.write(tmp_path / "m.npz", "model", HEADER, ARRAYS)
    header, arrays = archive.read(tmp_path / "m.npz", ("model",))
    assert header["version"] == archive.VERSION
    assert header["answer"] == HEADER["answer"]
    assert "of dtype/q" in arrays


def test_this_version_refuses_files_of_the_next(a_version_later, tmp_path):
    archive.write(tmp_path / "m.npz", "model", HEADER, ARRAYS)
    a_version_later.undo()

    with pytest.raises(ModelFileError, match=r"of a newer backprop, .*upgrade backprop"):
        archive.read(tmp_path / "m.npz", ("model",))


@pytest.mark.parametrize("version", [0, -1, -5, 1.0, "1", True, None, 10**30])
def test_a_version_that_there_is_not_is_refused(version, tmp_path, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(archive, "VERSION", version)
        archive.write(tmp_path / "m.npz", "model", HEADER, ARRAYS)

    with pytest.raises(ModelFileError, match="version"):
        archive.read(tmp_path / "m.npz", ("model",))


def test_what_an_older_reader_may_overlook_needs_no_new_version(tmp_path):
    archive.write(tmp_path / "m.npz", "model", HEADER | {"new": 1}, ARRAYS)

    header, _ = archive.read(tmp_path / "m.npz", ("model",))
    assert header["answer"] == HEADER["answer"]


if __name__ == "__main__":
    new = FOLDER / f"{archive.VERSION}.npz", FOLDER / f"{safetensors_files.VERSION}.safetensors"
    if all(path.exists() for path in new):
        sys.exit("golden files are not made again")
    if not new[0].exists():
        make(archive.VERSION)
    if not new[1].exists():
        safetensors_files.write(new[1], ARRAYS)
