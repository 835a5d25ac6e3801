"""What can be wrong with a ``.safetensors`` file, by the way in which it is made up."""

import json
import time
import tracemalloc

import numpy as np
import pytest

import backprop as bp
from backprop.archive import ModelFileError
from backprop.interop import safetensors_files

MiB = 2**20


def entry(begin, end, shape=None, dtype="F32"):
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def written(path, header, rest=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + rest)
    return path


def assert_refused(path, match):
    """One clear error, at once and in little memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ModelFileError, match=rf"(?s){path.name}.*{match}") as caught:
            safetensors_files.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\x1b" not in str(caught.value)
    assert time.process_time() - start < 1
    assert peak < MiB + 3 * path.stat().st_size


HUGE = 2**40
A = entry(0, 8)
ATTACKS = {
    "arrays that overlap": ({"a": A, "b": entry(4, 12)}, 12, "overlap"),
    "two arrays in one place": ({"a": A, "b": A}, 8, "overlap"),
    "a gap between arrays": ({"a": A, "b": entry(12, 16)}, 16, "gap"),
    "a gap at the beginning": ({"a": entry(4, 12)}, 12, "gap"),
    "bytes that belong to no array": ({"a": A}, 9, "9 are there"),
    "an array that is cut off": ({"a": A}, 7, "7 are there"),
    "an array behind the end": ({"a": entry(HUGE, HUGE + 8)}, 8, "gap"),
    "a huge array": ({"a": entry(0, HUGE)}, 8, "8 are there"),
    "a shape that overflows": ({"a": entry(0, 8, [2**32, 2**32])}, 8, "needs"),
    "a shape that is too large for its bytes": ({"a": entry(0, 8, [10**12])}, 8, "needs"),
    "a number that is too large to be one": ({"a": entry(0, 8, [10**30])}, 8, "shape"),
    "a zero that hides a huge axis": ({"a": entry(0, 8, [0, 10**12])}, 8, "needs 0"),
    "a negative axis": ({"a": entry(0, 8, [-2, -1])}, 8, "shape"),
    "an axis that is no whole number": ({"a": entry(0, 8, [2.0])}, 8, "shape"),
    "an axis that is True": ({"a": entry(0, 4, [True])}, 4, "shape"),
    "a thousand axes": ({"a": entry(0, 4, [1] * 1000)}, 4, "shape"),
    "a place that ends before it begins": ({"a": entry(8, 0, [])}, 8, "needs"),
    "a negative place": ({"a": entry(-8, 0)}, 8, "lies at"),
    "three places": ({"a": A | {"data_offsets": [0, 4, 8]}}, 8, "lies at"),
    "an array of objects": ({"a": entry(0, 8, [1], "O")}, 8, "dtype 'O'"),
    "a dtype that is a list": ({"a": entry(0, 8, [1], ["F32"])}, 8, "dtype"),
    "a dtype of eight bits that NumPy has not": ({"a": entry(0, 8, [8], "F8_E4M3")}, 8, "F8_E4M3"),
    "no dtype": ({"a": {"shape": [], "data_offsets": [0, 4]}}, 4, "describes"),
    "one key more": ({"a": A | {"file": "/etc/passwd"}}, 8, "describes"),
    "an entry that is a text": ({"a": "../../etc/passwd"}, 8, "describes"),
    "metadata that are a list": ({"__metadata__": [], "a": A}, 8, "__metadata__"),
    "metadata of numbers": ({"__metadata__": {"x": 1}, "a": A}, 8, "__metadata__"),
    "a name that steers a terminal": ({"\x1b[2Jowned": entry(0, 8, [1])}, 8, "x1b.*owned.*needs"),
    "a list": (b"[]", 0, "no file of safetensors"),
    "a header that begins with a space": (b' {"a": 1}', 0, "no file of safetensors"),
    "one name twice": (b'{"a": {}, "a": {}}', 0, "a name twice"),
    "one key of an entry twice": (b'{"a": {"shape": [], "shape": [9]}}', 0, "a name twice"),
    "a header that is no JSON": (b'{"a": }', 0, "Expecting"),
    "a header that is no text": (b'{"\xff\xff": 1}', 0, "damaged"),
    "lists in lists without end": (b'{"a": ' + b"[" * 200_000, 0, "damaged"),
    "a number of a million digits": (b'{"a": ' + b"9" * 10**6 + b"}", 0, "digits"),
    "another version": ({"__metadata__": {"format": "backprop", "version": "2"}}, 0, "upgrade"),
    "a version that there is not": (
        {"__metadata__": {"format": "backprop", "version": "-1"}},
        0,
        "there is not",
    ),
    "no checksum where there must be one": (
        {"__metadata__": {"format": "backprop", "version": "1"}, "a": A},
        8,
        "checksum",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_header_is_held_to_the_file(attack, tmp_path):
    header, size, match = ATTACKS[attack]

    assert_refused(written(tmp_path / "m.safetensors", header, bytes(size)), match)


@pytest.mark.parametrize("length", [0, 1, 100, 2**31, 2**63 - 1, 2**64 - 1])
def test_the_length_of_the_header_is_held_to_the_file(length, tmp_path):
    path = written(tmp_path / "m.safetensors", {"a": A}, bytes(8), length)

    assert_refused(path, "header would have|no file of safetensors|Unterminated|damaged|Expecting")


def test_a_header_without_end_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    with open(path, "wb") as file:  # a hole: it takes no room on the disk
        file.write((2**30).to_bytes(8, "little") + b"{")
        file.truncate(2**30 + 8)

    assert_refused(path, "at most 16,777,216 are taken")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    model, path = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]), tmp_path / "m.safetensors"
    model.save_weights(path)
    contents = path.read_bytes()

    for size in range(len(contents)):
        path.write_bytes(contents[:size])
        with pytest.raises(ModelFileError, match=r"m\.safetensors"):
            model.load_weights(path)


def test_a_flipped_bit_never_changes_what_is_read(tmp_path):
    path, rng = tmp_path / "m.safetensors", np.random.default_rng(0)
    saved = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2).astype("f4")}
    safetensors_files.write(path, saved)
    contents, refused = path.read_bytes(), 0
    bits = range(0, 8 * len(contents), 3)  # of each byte some, of eight that are there

    for bit in bits:
        changed = bytearray(contents)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = safetensors_files.read(path)
        except ModelFileError:
            refused += 1
        else:
            assert list(found.values()) and all(
                a.tobytes() == b.tobytes()
                for a, b in zip(found.values(), saved.values(), strict=True)
            )
    assert refused > 0.9 * len(bits)


def test_another_format_under_this_name_is_refused(tmp_path):
    model, path = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]), tmp_path / "m.safetensors"
    model.save(tmp_path / "m.npz")
    for contents in (b"", b"PK", (tmp_path / "m.npz").read_bytes(), b"\x89HDF\r\n\x1a\n" * 20):
        path.write_bytes(contents)
        assert_refused(path, "")
