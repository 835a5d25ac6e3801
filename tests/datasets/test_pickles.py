"""Pickles read as data: what they describe comes out, and what they would do is not done."""

import math
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from backprop.datasets.pickles import STEPS, read_pickle

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(value=PLAIN, protocol=st.integers(2, 5))
def test_plain_values_are_what_pickle_makes_of_them(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol), "it") == value


@given(words=st.lists(st.integers(0, 2**16 - 1) | st.none(), max_size=30))
def test_long_runs_of_numbers_are_what_pickle_makes_of_them(words):
    texts = [words * 900, [0x4B, 0x4D4B, 0x2E] * 900]  # whose bytes are instructions too

    assert read_pickle(pickle.dumps(texts, 2), "it") == texts


@pytest.mark.parametrize("run", [b"K", b"M\x01", b"K\x01K", b"K\x01M\x02"])
def test_a_run_of_numbers_that_is_cut_off_is_damage(run):
    with pytest.raises(ValueError, match="it is damaged"):
        read_pickle(b"\x80\x02](" + run, "it")


@given(
    array=hnp.arrays(
        st.sampled_from(["u1", "<i4", ">i2", "<f8", ">f4", "?"]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    protocol=st.integers(2, 5),
    order=st.sampled_from("CF"),
)
def test_arrays_are_what_pickle_makes_of_them(array, protocol, order):
    given = {"data": np.asarray(array, order=order), "again": array}

    found = read_pickle(pickle.dumps(given, protocol), "it")

    for name in given:
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_lists_are_read(protocol):
    array = np.empty(3, object)
    array[:] = [[1, 300], [], [70_000, -5, 2**40]]

    found = read_pickle(pickle.dumps(array, protocol), "it")

    assert found.dtype == object and found.tolist() == array.tolist()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_of_numpy_are_read(protocol):
    numbers = [np.int64(7), np.int64(-7), np.float32(1.5), np.bool_(True), np.uint8(3)]

    found = read_pickle(pickle.dumps(numbers, protocol), "it")

    assert found == numbers and [type(n) for n in found] == [type(n) for n in numbers]


def test_an_array_that_stands_in_two_places_is_read():
    array = np.arange(3)

    found = read_pickle(pickle.dumps([array, array]), "it")

    assert [a.tolist() for a in found] == [[0, 1, 2]] * 2


def test_strings_of_python_2_are_bytes():
    # {'labels': [6, 9], 'data': array([[1, 2]], uint8)}, as Python 2 wrote CIFAR's files
    data = (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\teU\x04dataq\x04cnumpy.core.multiarray\n"
        b"_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x01K\x02\x86"
        b"cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T\x02\x00\x00\x00\x01\x02tbu."
    )

    found = read_pickle(data, "it")

    assert found[b"labels"] == [6, 9]
    assert found[b"data"].tolist() == [[1, 2]] and found[b"data"].dtype == np.uint8


# --------------------------------------------------------------------------------- what is refused


class Evil:
    """A pickle that runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", [lambda e: e, lambda e: {"data": e}, lambda e: [[e]]])
def test_what_a_pickle_would_do_is_not_done(tmp_path, protocol, place):
    data = pickle.dumps(place(Evil(tmp_path / "made")), protocol)

    # the name comes first but in the oldest protocols, whose strings are not read either
    with pytest.raises(
        ValueError, match=r"it is not read: it (names .*\.mkdir|has the instruction)"
    ):
        read_pickle(data, "it")

    assert os.listdir(tmp_path) == []
    pickle.loads(data)  # and it would have been done
    assert os.listdir(tmp_path) == ["made"]


NDARRAY = b"cnumpy\nndarray\n"
HOSTILE = {
    "eval": b"cbuiltins\neval\n(U\x011tR.",
    "an instance": b"(U\x011ios\nsystem\n.",
    "an object": b"(cos\nsystem\nU\x011o.",
    "a new object": b"cnumpy\nndarray\n)\x81.",
    "an extension": b"\x82\x01.",
    "a persistent name": b"Pname\n.",
    "a buffer": b"\x97.",
    "a dotted name": b"\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
    "a dtype called as a class": b"cnumpy\ndtype\n(U\x02u1tR.",
    "an array made directly": NDARRAY + b"(J\xff\xff\xff\x7ftR.",
    "a larger array": b"cnumpy.core.multiarray\n_reconstruct\n("
    + NDARRAY
    + b"(J\xff\xff\xff\x7ftU\x01btR.",
    "another codec": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
    "a state of a name": b"cnumpy\nndarray\n}b.",
    "a state of a list": b"]}b.",
    "a number longer than its dtype": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n"
    b"(U\x02u1K\x00K\x01tRC\x02abtR.",
    "an object of a dtype": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n"
    b"(U\x02O8K\x00K\x01tRNtR.",
    "fields": b"cnumpy\ndtype\n(U\x02V8K\x00K\x01tR.",
    "strings": b"cnumpy\ndtype\n(U\x02S9K\x00K\x01tR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_other_programs_are_refused(name):
    with pytest.raises(ValueError, match=r"it is (not read|damaged)"):
        read_pickle(HOSTILE[name], "it")


DAMAGED = {
    "nothing": b"",
    "no end": b"K\x01",
    "an end too early": b".",
    "something left": b"K\x01K\x02.",
    "a mark left": b"(K\x01.",
    "a name alone": NDARRAY + b".",
    "a huge length": b"\x8e" + struct.pack("<Q", 2**62) + b".",
    "a negative length": b"T\xff\xff\xff\xff.",
    "an unknown place": b"h\x05.",
    "an append to a number": b"K\x01K\x02a.",
    "a number as a key": b"}K\x01K\x02s.",
    "a key without a value": b"}(U\x01au.",
    "bytes that are no text": b"X\x01\x00\x00\x00\xff.",
    "too few for a tuple": b"K\x01\x87.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_said(name):
    with pytest.raises(ValueError, match=r"^it is damaged"):
        read_pickle(DAMAGED[name], "it")


def test_a_far_place_in_memory_takes_none():
    assert read_pickle(b"K\x07r\xff\xff\xff\xff.", "it") == 7


def array_pickle(shape, values, dtype=b"u1"):
    """An array of a shape and of values that need not belong together."""
    sizes = b"".join(b"J" + struct.pack("<i", n) for n in shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(K\x00tU\x01btR(K\x01(" + sizes
        + b"tcnumpy\ndtype\n(U\x02" + dtype + b"K\x00K\x01tR\x89" + values + b"tb."
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(2, 2), (2**31 - 1,) * 2, (-1,), (-1, -3), ()])
@pytest.mark.parametrize(
    ("dtype", "values"), [(b"u1", b"U\x03abc"), (b"O8", b"](K\x01K\x02K\x03e")]
)
def test_an_array_has_the_values_that_are_there_and_no_others(shape, dtype, values):
    assert read_pickle(array_pickle((3,), values, dtype), "it").size == 3

    assert math.prod(shape) != 3 or min(shape) < 0
    with pytest.raises(ValueError, match="damaged"):
        read_pickle(array_pickle(shape, values, dtype), "it")


def test_an_empty_array_may_have_no_shape_that_numpy_cannot_hold():
    with pytest.raises(ValueError, match="damaged"):
        read_pickle(array_pickle((2**31 - 1,) * 3 + (0,), b"U\x00", b"f8"), "it")


VALID = pickle.dumps({"data": np.arange(12).reshape(3, 4), "labels": [1, 2, 3], "x": b"y"}, 2)


@given(
    cut=st.integers(0, len(VALID)),
    changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=4),
)
def test_whatever_the_bytes_are_there_is_a_value_or_a_value_error(cut, changes):
    data = bytearray(VALID)
    for place, byte in changes:
        data[place] = byte

    try:
        read_pickle(bytes(data[:cut]), "it")
    except ValueError as error:
        assert str(error).startswith("it is ")


@given(st.lists(st.sampled_from(sorted(STEPS) + list(b"KM.\x00\x01")), max_size=40).map(bytes))
def test_any_program_ends_in_a_value_or_a_value_error(program):
    try:
        read_pickle(program + b".", "it")
    except ValueError as error:
        assert str(error).startswith("it is ")
