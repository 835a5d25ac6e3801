"""Layers with vocabularies in files: those that Keras wrote with TensorFlow, and our own."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import backprop as bp
from backprop import layers

pytest.importorskip("h5py")
GOLDEN = Path(__file__).parent.parent / "golden" / "keras_files"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


def predicted(model, given):
    x = [np.array(one) for one in given] if len(model.inputs) > 1 else np.array(given)
    y = model.predict(x, verbose=0)
    return y if isinstance(y, list) else [y]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_keras_has_learned_comes_with_the_file(name, tmp_path):
    given, outputs = EXPECTED[name]["given"], EXPECTED[name]["outputs"]
    model = bp.models.load_model(GOLDEN / f"{name}.keras")
    model.save(tmp_path / "again.keras")
    again = bp.models.load_model(tmp_path / "again.keras")

    for one in (model, again):
        for found, expected in zip(predicted(one, given), outputs, strict=True):
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_a_vocabulary_is_written_into_the_configuration(tmp_path):
    lookup = layers.StringLookup(output_mode="tf_idf")
    lookup.adapt([["b", "a"], ["b", "c"]])
    model = bp.Sequential([bp.Input((2,), dtype="string"), lookup, layers.Dense(2)])
    model.save(tmp_path / "m.keras")

    with zipfile.ZipFile(tmp_path / "m.keras") as zipped:
        config = json.loads(zipped.read("config.json"))

    found = config["config"]["layers"][1]["config"]
    assert found["vocabulary"] == lookup.get_vocabulary()
    assert len(found["idf_weights"]) == 4
    x = [["a", "b"], ["c", "q"]]
    back = bp.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(predicted(back, x)[0], predicted(model, x)[0])


def with_members(path, **changes):
    with zipfile.ZipFile(GOLDEN / "weighed.keras") as zipped:
        found = {name: zipped.read(name) for name in zipped.namelist()}
    with zipfile.ZipFile(path, "w") as zipped:
        for name, contents in (found | changes).items():
            zipped.writestr(name, contents)
    return path


WORDS = "assets/layers/string_lookup/vocabulary.txt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({WORDS: b"\xff\xfe"}, "decode"),
        ({WORDS: b"[UNK]\na\na\nb"}, "repeats|twice|once"),
        ({WORDS: b"[UNK]\na\nb"}, "weights|idf"),
        ({WORDS: b"[UNK]\na\nb\nc\nd\ne"}, "weights|idf"),
        ({"assets/layers/dense/vocabulary.txt": b"a"}, "no such layer"),
        ({"assets/layers/string_lookup_9/vocabulary.txt": b"a"}, "no such layer"),
        ({"assets/../../vocabulary.txt": b"a"}, "no use for"),
        ({"assets/layers/string_lookup/other.txt": b"a"}, "no use for"),
    ],
)
def test_vocabularies_are_read_without_trust(changes, message, tmp_path):
    path = with_members(tmp_path / "m.keras", **changes)
    with pytest.raises(ValueError, match=rf"m\.keras[\s\S]*({message})"):
        bp.models.load_model(path)
