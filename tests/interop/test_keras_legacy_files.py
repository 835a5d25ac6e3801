"""Files in the layout of Keras 2, `.h5`: their weights are read, in order and by name."""

import json

import numpy as np
import pytest
from graphs_to_save import stir
from keras_parity import keras_in

import backprop as bp
from backprop import layers
from backprop.archive import ModelFileError

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


@pytest.fixture
def keras():
    with keras_in("float32") as found:
        yield found


def nested(library, frozen=False):
    """The same network in either library: wrappers, a model in the model, statistics."""
    L = library.layers
    inner = library.Sequential(
        [library.Input((6, 4)), L.Dense(3), L.BatchNormalization(), L.Dense(3)], name="inner"
    )
    inner.trainable = not frozen
    return library.Sequential(
        [
            library.Input((6, 4)),
            L.Bidirectional(L.LSTM(2, return_sequences=True), name="both"),
            inner,
            L.GRU(3, name="gru"),
            L.Dropout(0.1, name="drop"),
            L.Dense(2, name="head"),
        ]
    )


def joined(library):
    L = library.layers
    a, b = library.Input((3,), name="a"), library.Input((3,), name="b")
    tower = L.Dense(4, name="tower")
    h = L.Concatenate(name="joined")([tower(a), tower(b)])
    return library.Model([a, b], [L.Dense(2, name="first")(h), L.Dense(2, name="second")(h)])


def saved(model, path, whole=True, chunk=None):
    """The file that Keras 2 writes of a model with these layers."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        name(root, "layer_names", [layer.name for layer in model.layers], chunk)
        root.attrs["keras_version"] = b"2.11.0"
        for layer in model.layers:
            group = root.create_group(layer.name)
            arrays = [*layer.trainable_weights, *layer.non_trainable_weights]
            paths = [f"{w.path}:0".removeprefix(f"{model.name}/") for w in arrays]
            name(group, "weight_names", paths, chunk)
            for path, w in zip(paths, arrays, strict=True):
                group[path] = np.asarray(w)


def name(group, attribute, texts, chunk=None):
    texts = [text.encode() for text in texts]
    if chunk is None:
        group.attrs[attribute] = np.array(texts) if texts else np.zeros(0)
        return
    for i in range(0, len(texts), chunk):
        group.attrs[f"{attribute}{i // chunk}"] = np.array(texts[i : i + chunk])


def assert_same(model, weights):
    for ours, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("make", [nested, joined], ids=lambda make: make.__name__)
@pytest.mark.parametrize("by_name", [None, False, True])
def test_weights_come_from_a_whole_model_that_keras_wrote(make, by_name, keras, tmp_path):
    theirs = make(keras)
    theirs.set_weights(stir(make(bp)).get_weights())
    theirs.compile("adam", "mse")
    theirs.save(tmp_path / "m.h5")
    model = make(bp)

    model.load_weights(tmp_path / "m.h5", by_name=by_name)

    assert_same(model, theirs.get_weights())


@pytest.mark.parametrize("frozen_there", [False, True])
@pytest.mark.parametrize("frozen_here", [False, True])
def test_what_was_frozen_does_not_change_which_array_is_which(
    frozen_there, frozen_here, keras, tmp_path
):
    theirs = nested(keras, frozen_there)
    theirs.set_weights(stir(nested(bp)).get_weights())
    theirs.save(tmp_path / "m.h5")
    model = nested(bp, frozen_here)

    model.load_weights(tmp_path / "m.h5")

    assert_same(model, theirs.get_weights())


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".weights.h5"])
def test_weights_come_from_files_of_keras_2(whole, chunk, ending, tmp_path):
    written = stir(nested(bp))
    saved(written, tmp_path / f"m{ending}", whole, chunk)
    model = nested(bp)

    model.load_weights(tmp_path / f"m{ending}")

    assert_same(model, written.get_weights())


def test_by_name_takes_the_layers_of_the_same_name_and_leaves_the_rest(tmp_path):
    written = stir(nested(bp))
    saved(written, tmp_path / "m.h5")
    x = [bp.Input((6, 4)), layers.Dense(3, name="new"), layers.LSTM(3, name="other")]
    model = bp.Sequential([*x, layers.Dense(2, name="head")])
    before = model.get_weights()

    model.load_weights(tmp_path / "m.h5", by_name=True)

    assert_same(model, [*before[:-2], *written.get_weights()[-2:]])


def small(units=2, name="head"):
    return bp.Sequential([bp.Input((3,)), layers.Dense(4), layers.Dense(units, name=name)])


def test_what_does_not_fit_is_an_error_that_changes_nothing(tmp_path):
    saved(stir(small()), tmp_path / "m.h5")
    refused = [
        (bp.Sequential([bp.Input((3,)), layers.Dense(4)]), None, "has 1 layers .* the file has 2"),
        (small(5), None, r"head/kernel \(4, 5\), in the file \(4, 2\) at head/"),
        (small(5), True, r"head/kernel \(4, 5\), in the file"),
        (
            bp.Sequential([bp.Input((3,)), layers.Dense(4, use_bias=False), layers.Dense(2)]),
            None,
            r"has 1 weights, and 'dense.*' in the file has 2",
        ),
    ]
    for model, by_name, message in refused:
        before = model.get_weights()
        with pytest.raises(ValueError, match=rf"m\.h5.*{message}"):
            model.load_weights(tmp_path / "m.h5", by_name=by_name)
        assert_same(model, before)


def test_what_does_not_fit_can_be_left_out(tmp_path):
    written = stir(small())
    saved(written, tmp_path / "m.h5")

    model = small(5)
    before = model.get_weights()
    with pytest.warns(UserWarning, match=r"left out .*head/kernel .*; head/bias"):
        model.load_weights(tmp_path / "m.h5", skip_mismatch=True)
    assert_same(model, [*written.get_weights()[:2], *before[2:]])

    model = bp.Sequential([bp.Input((3,)), layers.Dense(4, use_bias=False, name="head")])
    before = model.get_weights()
    with pytest.warns(UserWarning, match="head has 1 weights, and 'head' in the file has 2"):
        model.load_weights(tmp_path / "m.h5", by_name=True, skip_mismatch=True)
    assert_same(model, before)


def test_by_name_is_for_no_other_file(tmp_path):
    model = small()
    model.save_weights(tmp_path / "m.weights.h5")
    for path in ("m.keras", "m.npz"):
        model.save(tmp_path / path)
    for path in ("m.keras", "m.npz", "m.weights.h5"):
        with pytest.raises(ValueError, match=f"{path}.*by_name is for|by_name is for.*{path}"):
            model.load_weights(tmp_path / path, by_name=True)


def test_objects_to_skip_stay_as_they_are(tmp_path):
    model = stir(small())
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.npz")
    other = small()
    before = other.get_weights()

    other.load_weights(tmp_path / "m.weights.h5", objects_to_skip=[other.layers[1]])

    assert_same(other, [*model.get_weights()[:2], *before[2:]])
    saved(model, tmp_path / "m.h5")
    for path in ("m.npz", "m.h5"):
        with pytest.raises(ValueError, match="objects_to_skip is"):
            other.load_weights(tmp_path / path, objects_to_skip=[])


def test_whole_models_of_keras_2_are_neither_written_nor_read(tmp_path):
    model = small()
    for call in (model.save, bp.models.load_model):
        with pytest.raises(ValueError, match=r"the weights are read, by load_weights\(\)"):
            call(tmp_path / "m.h5")


def test_weights_in_several_files_are_read(keras, tmp_path):
    theirs = joined(keras)
    theirs.set_weights(stir(joined(bp)).get_weights())
    theirs.save_weights(tmp_path / "m.weights.json", max_shard_size=1e-7)
    assert len(list(tmp_path.glob("m_*.weights.h5"))) > 2
    model = joined(bp)

    model.load_weights(tmp_path / "m.weights.json")

    assert_same(model, theirs.get_weights())


def test_a_file_that_another_names_and_that_is_missing_is_named(tmp_path):
    (tmp_path / "m.weights.json").write_text('{"weight_map": {"/a": "gone.weights.h5"}}')
    with pytest.raises(ModelFileError, match=r"m\.weights\.json.*gone\.weights\.h5"):
        small().load_weights(tmp_path / "m.weights.json")


def test_weights_are_written_to_one_file(tmp_path):
    with pytest.raises(ValueError, match="one file"):
        small().save_weights(tmp_path / "m.weights.h5", max_shard_size=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names", [None, [], 3, {"/a": "../m.weights.h5"}, {"/a": "/etc/passwd"}, {"/a": [["x"]]}]
)
def test_only_files_beside_it_are_named_by_another(names, tmp_path):
    (tmp_path / "m.weights.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(ValueError, match=r"m\.weights\.json.*(weight_map|names a file)"):
        small().load_weights(tmp_path / "m.weights.json")


# ---------------------------------------------------------------------- files that lie


def cycle(file):
    file["model_weights/head/again"] = file["model_weights"]


def twice(file):
    file["model_weights/head/bias"] = file["model_weights/head/head/bias:0"]


def nobody(file):
    file["model_weights"].attrs["layer_names"] = np.array([b"nobody", b"head"])


def no_array(file):
    file["model_weights/head"].attrs["weight_names"] = np.array([b"../../x", b"y"])


def doubled(file):
    file["model_weights"].attrs["layer_names"] = np.array([b"head", b"head"])


def numbers(file):
    file["model_weights"].attrs["layer_names"] = np.arange(3)


def one_text(file):
    file["model_weights"].attrs["layer_names"] = "head"


def references(file):
    found = np.array([file.ref] * 2, h5py.ref_dtype)
    file["model_weights"].attrs.create("layer_names", found, dtype=h5py.ref_dtype)


def not_utf8(file):
    file["model_weights"].attrs["layer_names"] = np.array([b"\xff\xfe", b"head"])


def loose(file):
    group = file.create_group("model_weights/top_level_model_weights")
    name(group, "weight_names", ["w"])
    group["w"] = np.ones(3, "f4")


def linked(file):
    del file["model_weights/head/head/bias:0"]
    file["model_weights/head/head/bias:0"] = h5py.ExternalLink("/etc/hostname", "x")


LIES = {
    cycle: "another name",
    twice: "another name",
    nobody: "names a layer 'model_weights/nobody'",
    no_array: "names an array",
    doubled: "names one thing twice",
    numbers: "no list",
    one_text: "is no list",
    references: "no list",
    not_utf8: "decode",
    loose: "of the model itself",
    linked: "is a link",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_file_that_lies_is_one_clear_error(lie, tmp_path):
    saved(stir(small()), tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        lie(file)
    model = small()
    before = model.get_weights()

    with pytest.raises(ValueError, match=rf"m\.h5[\s\S]*({LIES[lie]})"):
        model.load_weights(tmp_path / "m.h5")
    assert_same(model, before)


def test_names_that_would_take_more_memory_than_there_is_are_refused(monkeypatch, tmp_path):
    saved(small(), tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["model_weights"].attrs["layer_names"] = ["x" * 10_000, "head"]
    monkeypatch.setattr("backprop.interop.hdf5.TEXTS", 19_000)

    with pytest.raises(ValueError, match="no list of names"):
        small().load_weights(tmp_path / "m.h5")
