"""A file is written whole or not at all, and nothing in one is believed."""

import io
import json
import os
import pickle
import re
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from backprop import archive
from backprop.npy import MAGIC, npy_head

HEADER = {"answer": [1, 2.5, None, "ü"], "nested": {"a": True}}
ARRAYS = {
    "weights/0/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "weights/1/dense/bias": np.ones(3),
    "optimizer/steps": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.npz"


@pytest.fixture
def good(path):
    archive.write(path, "model", HEADER, ARRAYS)
    return path.read_bytes()


def assert_same(found, wanted=ARRAYS):
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def rewritten(good: bytes, change) -> bytes:
    """The file with its members changed: `change` is given and returns a list of (name, bytes)."""
    with zipfile.ZipFile(io.BytesIO(good)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, data in change(members):
            new.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def with_header(good: bytes, change, arrays=None) -> bytes:
    """The file with another header, whose checksum is right; `change` alters the parsed JSON."""

    def changed(members):
        text = members[0][1][128:].decode()
        new = change(json.loads(text))
        data = new if isinstance(new, bytes) else json.dumps(new).encode()
        head = npy_head("|u1", (len(data),))
        return [("header.npy", head + data), *(members[1:] if arrays is None else arrays)]

    return rewritten(good, changed)


def refused(path, data: bytes, match: str | None = None):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=match) as caught:
        archive.read(path, ("model",))
    assert str(path) in str(caught.value)


# ------------------------------------------------------------------ writing


def test_header_and_arrays_come_back(path, good):
    header, arrays = archive.read(path, ("weights", "model"))

    assert header == {"format": "backprop", "version": 1, "kind": "model", **HEADER}
    assert_same(arrays)


@given(
    st.dictionaries(
        st.text("abc/_1é ", min_size=1, max_size=8).map(
            lambda s: "x" + re.sub("/+", "/", s.strip("/ "))
        ),
        hnp.arrays(
            st.sampled_from(
                [np.float32, np.float64, np.int64, np.uint8, np.bool_, np.dtype(">f4")]
            ),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), JSON),
)
def test_any_arrays_and_any_json_come_back(tmp_path_factory, arrays, extra):
    path = tmp_path_factory.mktemp("any") / "any.npz"
    archive.write(path, "weights", {"extra": extra}, arrays)

    header, found = archive.read(path, ("weights",))

    assert header["extra"] == extra
    assert_same(found, arrays)


def test_numpy_opens_the_file(path, good):
    with np.load(path) as file:
        assert set(file.files) == {"header", *ARRAYS}
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file[name], array)
        assert json.loads(bytes(file["header"]))["kind"] == "model"


def test_the_head_of_an_array_is_numpys_own(tmp_path):
    for array in (*ARRAYS.values(), np.zeros((1,) * 20, np.int16), np.zeros((2, 3, 4), ">i8")):
        out = io.BytesIO(npy_head(array.dtype.str, array.shape) + bytes(array.nbytes))
        found = np.load(out, allow_pickle=False)
        assert found.dtype == array.dtype and found.shape == array.shape
        assert len(npy_head(array.dtype.str, array.shape)) % 64 == 0


def test_the_same_contents_make_the_same_file(tmp_path, path, good):
    archive.write(tmp_path / "again.npz", "model", HEADER, ARRAYS)

    assert (tmp_path / "again.npz").read_bytes() == good


def test_arrays_in_any_memory_order_come_back(path):
    arrays = {
        "t": np.arange(6.0).reshape(2, 3).T,
        "s": np.arange(10)[::3],
        "o": np.array(2.5, ">f8"),
    }
    archive.write(path, "model", {}, arrays)

    assert_same(archive.read(path, ("model",))[1], arrays)


@pytest.mark.parametrize("breaking", ["replace", "fsync", "write"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, good, monkeypatch, breaking):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    target = zipfile._ZipWriteFile if breaking == "write" else os
    monkeypatch.setattr(target, breaking, fail)
    with pytest.raises(OSError, match="No space left"):
        archive.write(path, "model", {}, {"other": np.zeros(1000)})
    monkeypatch.undo()

    assert path.read_bytes() == good
    assert os.listdir(path.parent) == [path.name]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(path, good, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        archive.write(path, "model", {}, {})

    assert path.read_bytes() == good
    assert os.listdir(path.parent) == [path.name]


def test_file_and_folder_are_synced_before_and_after_the_rename(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (done.append("sync"), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))

    archive.write(path, "model", {}, {})

    assert done == ["sync", "rename", "sync"]


def test_permissions_and_links_are_kept(tmp_path, path, good):
    path.chmod(0o600)
    link = tmp_path / "link.npz"
    link.symlink_to(path)

    archive.write(link, "weights", {}, {})

    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert archive.read(path, ("weights",))[1] == {}


def test_what_json_cannot_hold_is_named(path, good):
    with pytest.raises(TypeError, match=r"cannot save model.layers\[1\].seed = \{1, 2\} \(set\)"):
        archive.write(path, "model", {"model": {"layers": [{}, {"seed": {1, 2}}]}}, {})
    with pytest.raises(TypeError, match=r"cannot save extra.array"):
        archive.write(path, "model", {"extra": {"array": np.zeros(2)}}, {})

    assert path.read_bytes() == good


@pytest.mark.parametrize(
    "name", ["header", "../up", "a/../b", "/root", "back\\slash", "nul\0", "a//b", "a/", "."]
)
def test_a_name_that_could_be_a_path_is_not_written(path, name):
    with pytest.raises(ValueError, match="cannot be saved: rename the layer"):
        archive.write(path, "model", {}, {name: np.zeros(2)})


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array(["text"]), np.zeros(2, complex), np.zeros(2, "i4,f4")]
)
def test_an_array_of_anything_but_numbers_is_not_written(path, array):
    with pytest.raises(TypeError, match="is of dtype"):
        archive.write(path, "model", {}, {"a": array})

    assert not path.exists()


# ------------------------------------------------------------------ finding the file


def test_a_missing_file_names_its_neighbour(path, good):
    with pytest.raises(FileNotFoundError, match=r"did you mean 'file.npz'"):
        archive.read(path.with_name("fiel.npz"), ("model",))
    with pytest.raises(FileNotFoundError):
        archive.read(path.parent / "no" / "such.npz", ("model",))


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match="is a folder"):
        archive.read(tmp_path / "folder.npz", ("model",))


@pytest.mark.parametrize("name", ["model.h5", "model", "model.npz.bak", ""])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.npz"):
        archive.read(tmp_path / name, ("model",))
    with pytest.raises(ValueError, match=r"\.npz"):
        archive.write(tmp_path / name, "model", {}, {})


def test_another_kind_is_refused(path, good):
    with pytest.raises(
        ValueError, match="it holds a 'model' and a 'weights' or a 'checkpoint' was"
    ):
        archive.read(path, ("weights", "checkpoint"))


# ------------------------------------------------------------------ files that lie


def test_foreign_files_are_refused(path):
    refused(path, b"", "damaged or no file of backprop")
    refused(path, b"PK\x03\x04 and nothing more", "damaged or no file of backprop")
    refused(path, bytes(range(256)) * 20, "damaged or no file of backprop")
    refused(path, pickle.dumps({"a": 1}), "damaged or no file of backprop")
    np.savez(path, x=np.zeros(3))
    refused(path, path.read_bytes(), "it has no header")
    np.savez(path, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    refused(path, path.read_bytes(), "no file of backprop")
    np.savez_compressed(path, x=np.zeros(3))
    refused(path, path.read_bytes(), "compressed")


def test_compressed_members_are_refused(path, good):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.npy", npy_head("|u1", (10**8,)) + bytes(10**7))

    refused(path, bomb.getvalue(), "larger than the file")
    with (
        zipfile.ZipFile(io.BytesIO(good)) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(path, path.read_bytes(), "compressed")


def test_pickled_objects_are_refused_unread(path, good):
    class Bomb:
        def __reduce__(self):
            return (os.abort, ())

    objects = io.BytesIO()
    np.save(objects, np.array([1, "a"], object), allow_pickle=True)
    data = rewritten(good, lambda members: [*members, ("evil.npy", objects.getvalue())])
    refused(path, data, "not those of its manifest")
    body = pickle.dumps(np.array([Bomb()], object))
    data = with_header(
        good,
        lambda h: h | {"manifest": {"evil": ["|O", [1], zlib.crc32(body)]}},
        [("evil.npy", objects.getvalue())],
    )
    refused(path, data, r"dtype '\|O'")
    text = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    head = MAGIC + struct.pack("<H", 118) + text.ljust(117) + b"\n"
    data = with_header(
        good,
        lambda h: h | {"manifest": {"evil": ["<f8", [1], zlib.crc32(b"12345678")]}},
        [("evil.npy", head + b"12345678")],
    )
    refused(path, data, "not what its manifest says")


def test_duplicate_members_are_refused(path, good):
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = rewritten(good, lambda members: [*members, members[1]])

    refused(path, data, "two members have the same name")


def test_members_without_a_place_in_the_manifest_are_refused(path, good):
    refused(
        path, rewritten(good, lambda m: [*m, ("more.npy", m[1][1])]), "not those of its manifest"
    )
    refused(path, rewritten(good, lambda m: m[:-1]), "not those of its manifest")
    refused(path, rewritten(good, lambda m: [*m, ("script.py", b"import os")]), "not those of its")


def test_swapped_arrays_of_one_shape_are_refused(path):
    archive.write(path, "model", {}, {"a": np.zeros(3), "b": np.ones(3)})
    swap = {"a.npy": "b.npy", "b.npy": "a.npy"}
    data = rewritten(
        path.read_bytes(), lambda m: [(swap.get(name, name), body) for name, body in m]
    )

    refused(path, data, "the checksum does not agree")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\up", "a\n"])
def test_names_like_paths_are_refused(path, good, name):
    array = np.zeros(2)
    body = npy_head("<f8", (2,)) + array.tobytes()
    entry = ["<f8", [2], zlib.crc32(array.tobytes())]
    data = with_header(good, lambda h: h | {"manifest": {name: entry}}, [(f"{name}.npy", body)])

    refused(path, data)


ENTRIES = [
    ["<f8", [10**12], 0],
    ["<f8", [10**400], 0],
    ["<f8", [0, 2**63], 0],
    ["<f8", [0, 2**62, 2**62], 0],
    ["<f8", [-1], 0],
    ["<f8", [2.0], 0],
    ["<f8", [True, 2], 0],
    ["<f8", "2", 0],
    ["<f8", None, 0],
    ["<f8", [1] * 40 + [2], 0],
    ["<f8", [2], "0"],
    ["<f8", [2], 0.0],
    ["<f8", [2]],
    ["f8", [2], 0],
    ["(1000000000000,)f8", [2], 0],
    ["f8,O", [2], 0],
    ["O", [2], 0],
    [["<f8"], [2], 0],
    [None, [2], 0],
    "entry",
    None,
    {},
    [],
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_what_a_manifest_declares_is_not_believed(path, good, entry):
    body = npy_head("<f8", (2,)) + bytes(16)
    data = with_header(good, lambda h: h | {"manifest": {"a": entry}}, [("a.npy", body)])

    refused(path, data)


def test_nothing_is_allocated_for_a_shape_that_the_file_does_not_hold(path, good, monkeypatch):
    def allocate(shape, dtype):
        raise AssertionError(f"allocated {shape}")

    monkeypatch.setattr(np, "empty", allocate)
    size = (10**5, 10**5)
    body = npy_head("<f8", size) + bytes(80)
    data = with_header(
        good, lambda h: h | {"manifest": {"a": ["<f8", list(size), 0]}}, [("a.npy", body)]
    )

    refused(path, data, "has 208 bytes and its shape")


def test_nothing_is_allocated_for_arrays_unless_every_checksum_agrees(small, monkeypatch):
    def allocate(shape, dtype):
        raise AssertionError(f"allocated {shape}")

    path, data = small
    place = data.rindex(b"flags.npy", 0, data.index(b"PK\x01\x02")) + 9 + 20 + 128  # the last array
    monkeypatch.setattr(np, "empty", allocate)

    refused(path, flip(data, place, 0), "'flags' is damaged: the checksum does not agree")


HEADERS = [
    b"",
    b"not json",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a": ' * 100_000,
    b"[]",
    b"null",
    b'"text"',
    b"1" * 5000,
    b"{}",
]


@pytest.mark.parametrize("text", HEADERS, ids=lambda t: str(t[:9]))
def test_a_header_that_is_no_json_object_is_refused(path, good, text):
    refused(path, with_header(good, lambda h: text))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "pickle"},
        {"format": ["backprop"]},
        {"version": 2},
        {"version": "1"},
        {"version": True},
        {"version": None},
        {"kind": "checkpoint"},
        {"kind": ["model"]},
        {"kind": {}},
        {"manifest": []},
        {"manifest": None},
        {"manifest": {}},
        {"manifest": "weights"},
    ],
    ids=str,
)
def test_a_header_of_wrong_types_is_refused(path, good, change):
    refused(path, with_header(good, lambda h: h | change))


def test_a_newer_version_says_to_upgrade(path, good):
    refused(path, with_header(good, lambda h: h | {"version": 2}), "upgrade")


def test_encrypted_members_are_refused(path, good):
    data = bytearray(good)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(magic)
        data[start + offset] |= 1

    refused(path, bytes(data))


# ------------------------------------------------------------------ any damage


def same_or_refused(path, data: bytes):
    """Damage is an error, or where it hit bytes that mean nothing, what was written is read."""
    path.write_bytes(data)
    try:
        header, arrays = archive.read(path, ("model",))
    except ValueError:
        return
    assert header == {"format": "backprop", "version": 1, "kind": "model", **HEADER}
    assert_same(arrays)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.npz"
    archive.write(path, "model", HEADER, ARRAYS)
    return path, path.read_bytes()


def test_a_file_cut_off_anywhere_is_refused(small):
    path, data = small
    for n in range(0, len(data), 7):
        refused(path, data[:n])
    refused(path, data[:-1])


def test_a_flipped_bit_in_an_array_or_the_header_is_refused(small):
    path, data = small
    for member in ("header.npy", *(f"{name}.npy" for name in ARRAYS)):
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            info = file.getinfo(member)
        start = info.header_offset + 30 + len(member.encode()) + 20  # 20: the zip64 field
        assert data[start : start + 6] == b"\x93NUMPY"
        for place in (0, 7, 60, info.file_size - 1):
            refused(path, flip(data, start + place, 3))


def flip(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def test_a_flipped_byte_anywhere_is_harmless_or_refused(small):
    path, data = small
    for place in range(len(data)):
        same_or_refused(path, flip(data, place, place % 8))


@given(st.data())
def test_any_damage_is_harmless_or_refused(small, data):
    path, good = small
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "repeat"]))
        place = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        if kind == "set":
            new = data.draw(st.binary(min_size=1, max_size=8))
            damaged[place : place + len(new)] = new
        elif kind == "cut":
            del damaged[place : place + data.draw(st.integers(1, 200))]
        elif kind == "insert":
            damaged[place:place] = data.draw(st.binary(min_size=1, max_size=50))
        else:
            damaged[place:place] = damaged[place : place + 100]

    same_or_refused(path, bytes(damaged))


@given(st.sampled_from(["format", "version", "kind", "manifest"]), JSON)
def test_any_json_in_the_header_is_harmless_or_refused(small, key, value):
    path, good = small
    same_or_refused(path, with_header(good, lambda h: h | {key: value}))


@given(st.sampled_from(list(ARRAYS)), st.integers(0, 2), JSON)
def test_any_json_in_the_manifest_is_harmless_or_refused(small, name, place, value):
    path, good = small

    def change(header):
        header["manifest"][name][place] = value
        return header

    same_or_refused(path, with_header(good, change))


def test_is_ours_tells_models_from_data(tmp_path, path, good):
    assert archive.is_ours(path)
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    np.savez(tmp_path / "head.npz", header=np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("data.npz", "head.npz", "text.npz", "missing.npz"):
        assert not archive.is_ours(tmp_path / name)
