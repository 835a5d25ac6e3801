import gzip
import re
from importlib.resources import files

import numpy as np
import pytest

from backprop.datasets import cmudict


def test_words_are_12000_of_3_to_8_letters_each_once_in_the_order_of_the_alphabet():
    words = [word for word, _ in cmudict.read()]

    assert len(words) == 12_000
    assert words == sorted(set(words))
    assert all(re.fullmatch("[a-z]{3,8}", word) for word in words)


def test_every_phoneme_occurs_and_no_other():
    said = {p for _, phonemes in cmudict.read() for p in phonemes}

    assert said == set(cmudict.phonemes(stress=True)) - {""}
    assert {p.rstrip("012") for p in said} == set(cmudict.phonemes()) - {""}


@pytest.mark.parametrize("stress", [False, True])
def test_numbers_are_those_of_the_letters_and_phonemes_in_the_file(stress):
    (x_train, y_train), (x_test, y_test) = cmudict.load_data(test_every=4, stress=stress)
    words = cmudict.read()

    for x, y, (word, said) in zip(
        [*x_train, *x_test],
        [*y_train, *y_test],
        [w for i, w in enumerate(words) if i % 4 != 3] + words[3::4],
        strict=True,
    ):
        wanted = said if stress else [p.rstrip("012") for p in said]
        assert (cmudict.spelling(x), cmudict.pronunciation(y, stress)) == (word, " ".join(wanted))


def test_rows_are_filled_up_at_the_end_with_0():
    (x, y), _ = cmudict.load_data()

    for a in (x, y):
        assert (np.diff((a != 0).astype(int), axis=1) <= 0).all()
        assert a.dtype == np.uint8
        assert (a[:, -1] != 0).any()
    assert (x.max(), y.max()) == (26, 39)


@pytest.mark.parametrize("value", [1, 0, 2.0, True, "5"])
def test_a_wrong_test_every_is_refused(value):
    with pytest.raises(ValueError, match=r"load_data\(\) expects test_every"):
        cmudict.load_data(value)


def test_every_call_returns_arrays_of_its_own():
    cmudict.load_data()[0][0][:] = 99

    assert cmudict.load_data()[0][0].max() == 26


def test_a_damaged_file_is_refused(monkeypatch):
    monkeypatch.setattr(cmudict, "SHA256", "0" * 64)

    with pytest.raises(OSError, match=r"cmudict.*damaged.*install backprop again"):
        cmudict.load_data()


def test_the_lines_are_the_dictionarys_and_the_rule_chooses_them():
    """The package cmudict holds the dictionary; where it is not installed there is nothing to
    compare with."""
    source = pytest.importorskip("cmudict", reason="needs the package cmudict")
    found: dict[str, list] = {}
    for line in source.dict_string().splitlines():
        entry, _, remark = line.partition("#")
        word, *said = entry.split()
        found.setdefault(re.sub(r"\(\d+\)$", "", word), []).append(None if remark else said)

    words = [w for w in sorted(found) if re.fullmatch("[a-z]{3,8}", w)]
    words = [w for w in words if len(found[w]) == 1 and found[w][0]]

    chosen = [words[(2 * i + 1) * len(words) // 24_000] for i in range(12_000)]
    assert cmudict.read() == [(w, found[w][0]) for w in chosen]


def test_the_licence_lies_beside_the_file():
    folder = files("backprop.datasets").joinpath("data")
    text = folder.joinpath("cmudict.txt").read_text()

    assert all(
        phrase in text
        for phrase in (
            "Copyright (C) 1993-2015 Carnegie Mellon University",
            "Redistributions in binary form must reproduce",
            "github.com/cmusphinx/cmudict",
        )
    )
    packed = folder.joinpath("cmudict.dict.gz").read_bytes()
    assert len(packed) < 100_000
    assert gzip.decompress(packed).count(b"\n") == 12_000
