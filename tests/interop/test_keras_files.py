"""Keras' own files: it opens ours, we open its, training goes on, and nothing is trusted."""

import importlib
import inspect
import io
import json
import re
import zipfile
from unittest import mock

import numpy as np
import pytest
from keras_parity import keras_in
from layer_examples import example

import backprop as bp
from backprop.arguments import defaults_of
from backprop.interop.keras_configs import CALLED, OUR_ARGUMENTS, OURS, name_in_keras
from backprop.layers import registry
from backprop.nest import as_tuple
from backprop.optimizers import registry as optimizers
from backprop.registry import FAMILIES

h5py = pytest.importorskip("h5py")


@pytest.fixture
def keras():
    with keras_in("float32") as found:
        yield found


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(48, 6, 4)).astype("float32"), rng.integers(0, 3, 48)


def network(library, optimizer="adam"):
    """The same network in either library."""
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((6, 4)),
            layers.Conv1D(3, 2, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(3)),
            library.Sequential([layers.Dense(4, activation="tanh"), layers.LayerNormalization()]),
            layers.LSTM(4),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(path, optimizer="adam"):
    x, y = data()
    bp.utils.set_random_seed(0)
    model = network(bp, optimizer)
    model.fit(x, y, verbose=0)
    model.save(path)
    return model


def members(path):
    with zipfile.ZipFile(path) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def rewrite(path, changed, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, contents in changed.items():
            zipped.writestr(name, contents)


def around(layer, x):
    """A model of one layer, which has one input or several."""
    if isinstance(x, tuple) or type(layer).__name__ in CALLED:
        inputs = [bp.Input(a.shape[1:]) for a in as_tuple(x)]
        return bp.Model(inputs, layer(inputs))
    dtype = "int32" if layer.integer_input is True else "float32"
    return bp.Sequential([bp.Input(x.shape[1:], dtype=dtype), layer])


# ------------------------------------------------------------------------------------- both ways


@pytest.mark.parametrize(
    "optimizer", [name for name in sorted(optimizers.classes) if name not in OURS]
)
def test_the_optimizer_goes_on_where_it_was(optimizer, keras, tmp_path):
    x, y = data()
    model = trained(tmp_path / "ours.keras", optimizers.classes[optimizer](0.01))

    theirs = keras.saving.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    back = bp.models.load_model(tmp_path / "theirs.keras")

    assert type(back.optimizer) is type(model.optimizer)
    for ours, other in zip(model.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_allclose(ours, np.asarray(other), rtol=1e-6)
    expected = model.layers[-1].kernel.copy()
    for m in (model, back):
        m.layers[-2].rng.bit_generator.state = np.random.default_rng(1).bit_generator.state
        m.train_on_batch(x, y)
    assert not np.array_equal(model.layers[-1].kernel, expected)
    np.testing.assert_allclose(back.layers[-1].kernel, model.layers[-1].kernel, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # of a new one
def test_weights_files_go_both_ways(keras, tmp_path):
    model, x = trained(tmp_path / "m.keras"), data()[0]
    model.save_weights(tmp_path / "ours.weights.h5")

    theirs = network(keras)
    theirs.load_weights(tmp_path / "ours.weights.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    back = network(bp)
    back.load_weights(tmp_path / "theirs.weights.h5")

    np.testing.assert_allclose(np.asarray(theirs(x)), model.predict(x, verbose=0), atol=1e-6)
    for ours, other in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_a_model_without_an_input_layer_is_built_in_keras_too(keras, tmp_path):
    x = np.ones((2, 3), "float32")
    model = bp.Sequential([bp.layers.Chain([bp.layers.Dense(2, "silu"), bp.layers.SiLU()])])
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")

    theirs = keras.saving.load_model(tmp_path / "m.keras")

    np.testing.assert_allclose(np.asarray(theirs(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "SimpleRNN"])
def test_what_a_stateful_layer_carries_is_in_no_file(kind, keras, tmp_path):
    x = np.ones((4, 5, 3), "float32")
    stateful = getattr(bp.layers, kind)(2, stateful=True)
    model = bp.Sequential([bp.Input((5, 3), batch_size=4), stateful])
    model.compile("adam", "mse")
    model.fit(x, np.ones((4, 2)), batch_size=4, verbose=0)
    model.save(tmp_path / "m.keras")
    model.reset_states()
    expected = model.predict(x, batch_size=4, verbose=0)

    theirs = keras.saving.load_model(tmp_path / "m.keras")
    back = bp.models.load_model(tmp_path / "m.keras")

    found = theirs.predict(x, batch_size=4, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(back.predict(x, batch_size=4, verbose=0), expected)


def test_float64_stays_float64(keras, tmp_path):
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)], dtype="float64")
    model.save(tmp_path / "m.keras")

    back = bp.models.load_model(tmp_path / "m.keras")

    assert back.dtype == np.float64
    np.testing.assert_array_equal(back.get_weights()[0], model.get_weights()[0])


def test_how_a_model_was_compiled_is_kept(tmp_path):
    trained(tmp_path / "m.keras", bp.optimizers.SGD(0.1, momentum=0.9))

    with_it = bp.models.load_model(tmp_path / "m.keras")
    without = bp.models.load_model(tmp_path / "m.keras", compile=False)

    assert sorted(with_it.evaluate(*data(), verbose=0, return_dict=True)) == ["accuracy", "loss"]
    assert with_it.optimizer.momentum == 0.9
    assert without.optimizer is None


def test_an_optimizer_of_an_engine_of_keras_is_the_same_optimizer(tmp_path):
    path = tmp_path / "m.keras"
    trained(path)

    def change(config):
        module = "keras.src.backend.torch.optimizers.torch_adam"
        config["compile_config"]["optimizer"] |= {"module": module, "registered_name": "Adam"}

    broken(path, with_config(change))

    assert type(bp.models.load_model(path).optimizer) is bp.optimizers.Adam


def test_layers_are_found_where_keras_2_had_them(tmp_path):
    model = trained(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        file.move("layers/sequential/layers", "layers/sequential/_layer_checkpoint_dependencies")
        file.move("layers", "_layer_checkpoint_dependencies")
    other = network(bp)

    other.load_weights(tmp_path / "m.weights.h5")

    for ours, was in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, was)


def test_frozen_weights_are_nothing_that_an_optimizer_remembers(tmp_path):
    x, y = data()
    model = network(bp)
    model.layers[0].trainable = False
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")

    back = bp.models.load_model(tmp_path / "m.keras")

    with h5py.File(io.BytesIO(members(tmp_path / "m.keras")["model.weights.h5"])) as file:
        assert len(file["optimizer/vars"]) == 2 + 2 * len(model.trainable_weights)
    for ours, other in zip(model.optimizer.variables, back.optimizer.variables, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6)


def test_a_checkpoint_may_be_a_file_of_keras(keras, tmp_path):
    x, y = data()
    path = str(tmp_path / "at_{epoch}.keras")
    network(bp).fit(x, y, epochs=2, verbose=0, callbacks=[bp.callbacks.ModelCheckpoint(path)])

    assert sorted(p.name for p in tmp_path.iterdir()) == ["at_1.keras", "at_2.keras"]
    assert keras.saving.load_model(tmp_path / "at_2.keras").count_params() > 0


# ------------------------------------------------------------------------------- what has no place


def drawn(library):
    a = library.Input((6, 4), name="a")
    y = library.layers.LSTM(4)(library.layers.Conv1D(3, 2)(a))
    b = library.Input((2,), name="b")
    y = library.layers.Concatenate()([y, b * 2 - 1])
    return library.Model({"a": a, "b": b}, library.layers.Dense(3, name="kind")(y))


def test_a_model_is_read_from_the_json_of_keras(keras):
    model = network(keras, keras.optimizers.SGD(0.125, momentum=0.5))

    twin = bp.models.model_from_json(model.to_json())

    twin.set_weights(model.get_weights())
    x, y = data()
    np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), atol=2e-6)
    assert list(twin.evaluate(x, y, verbose=0, return_dict=True)) == ["accuracy", "loss"]
    assert repr(twin.optimizer) == "SGD(0.125, momentum=0.5)"


def test_a_graph_is_read_from_the_json_of_keras(keras):
    model = drawn(keras)
    x = {"a": data()[0], "b": np.random.default_rng(1).normal(size=(48, 2)).astype("float32")}

    twin = bp.models.model_from_json(model.to_json(indent=1))

    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), atol=2e-6)
    assert repr(bp.models.model_from_json(twin.to_json()).layers) == repr(twin.layers)
    assert twin.optimizer is None


def test_json_of_keras_without_a_shape_and_with_a_class_of_ones_own(keras):
    twin = bp.models.model_from_json(keras.Sequential([keras.layers.Dense(2)]).to_json())
    assert not twin.built and twin.predict(np.ones((2, 3)), verbose=0).shape == (2, 2)

    class Own(keras.Model):
        pass

    a = keras.Input((3,))
    described = Own(a, keras.layers.Dense(2)(a)).to_json()
    with pytest.raises(ValueError, match=r"json_string.*unknown class 'Own'"):
        bp.models.model_from_json(described)


@pytest.mark.parametrize("name", sorted((OURS.keys() & registry.classes.keys()) - {"Divide"}))
def test_layers_that_keras_does_not_know_are_refused_by_name(name, tmp_path):
    model = around(*example(name))

    with pytest.raises(ValueError, match=f"^{name} cannot be written to a file of Keras"):
        model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_arguments_that_keras_does_not_know_are_refused(tmp_path):
    model = bp.Sequential([bp.Input((3,)), bp.layers.LayerNormalization(rms_scaling=True)])
    with pytest.raises(ValueError, match=r"LayerNormalization\(rms_scaling=True\) cannot"):
        model.save(tmp_path / "m.keras")

    model = bp.Sequential([bp.Input((3,)), bp.layers.Threshold(0.1, 0.5)])
    with pytest.raises(ValueError, match=r"Threshold\(.* cannot be written"):
        model.save(tmp_path / "m.keras")

    twice = bp.layers.Dense(3)
    model = bp.Sequential([bp.Input((3,)), twice, twice])
    with pytest.raises(ValueError, match="holds a layer once"):
        model.save(tmp_path / "m.keras")


@pytest.mark.parametrize(
    "family",
    [
        *("constraints", "initializers", "layers", "losses", "metrics"),
        *("optimizers", "optimizers.schedules", "regularizers"),
    ],
)
def test_every_class_is_keras_or_listed(family, keras):
    theirs = importlib.import_module(f"keras.{family}")
    importlib.import_module(f"backprop.{family}")
    for name, cls in FAMILIES[family].classes.items():
        other = getattr(theirs, name_in_keras(cls), None)
        own = {"Sequential": keras.Sequential, "Functional": keras.Model}
        other = own.get(name_in_keras(cls), other) if family == "layers" else other
        assert (other is None) <= (name in OURS), name
        if other is None or name in OURS or name_in_keras(cls) != name:
            continue
        extra = set(defaults_of(cls)) - keras_arguments(other) - {"input_dim", "input_shape"}
        extra -= set(getattr(cls, "call_options", ()))  # in Keras a call is given them
        assert extra == OUR_ARGUMENTS.get(name, set()), name


def keras_arguments(cls):
    found = set()
    for base in cls.__mro__:
        if "__init__" in base.__dict__:
            parameters = inspect.signature(base.__init__).parameters.values()
            found |= {p.name for p in parameters}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found


def test_exclusions_from_the_weight_decay_are_said_to_be_lost(tmp_path):
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    model.compile(bp.optimizers.AdamW(0.1), "mse")
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.warns(UserWarning, match="exclude_from_weight_decay"):
        model.save(tmp_path / "m.keras")


def test_without_h5py_the_extra_is_named(tmp_path):
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    with (
        mock.patch.dict("sys.modules", {"h5py": None}),
        pytest.raises(ImportError, match=r"backprop\[interop\]"),
    ):
        model.save(tmp_path / "m.keras")


def test_other_endings_are_refused_with_those_that_are_known(tmp_path):
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"\.npz and \.keras"):
        model.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"\.npz, \.weights\.h5 and \.safetensors"):
        model.save_weights(tmp_path / "m.h5")
    with pytest.raises(FileNotFoundError, match="no file"):
        bp.models.load_model(tmp_path / "gone.keras")


# --------------------------------------------------------------------------------------- distrust


def broken(path, change):
    """The file with one member changed by a function of its contents."""
    held = members(path)
    rewrite(path, change(held))


def with_config(edit):
    def change(held):
        config = json.loads(held["config.json"])
        edit(config)
        return held | {"config.json": json.dumps(config).encode()}

    return change


def with_weights(edit):
    def change(held):
        buffer = io.BytesIO(held["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            edit(file)
        return held | {"model.weights.h5": buffer.getvalue()}

    return change


def code(config):
    config["config"]["layers"][1] = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    }


def stranger(config):
    config["config"]["layers"][1] |= {"class_name": "system", "module": "os"}


def graph(config):
    config["class_name"] = "Functional"


def half(config):
    config["config"]["layers"][1]["config"]["dtype"] = {
        "class_name": "DTypePolicy",
        "config": {"name": "mixed_float16"},
    }


def huge(config):
    config["config"]["layers"][-1]["config"]["units"] = 10**12


def link(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def elsewhere(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "x")


def compressed(file):
    value = file["layers/dense/vars/0"][()]
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", data=value, compression="gzip")


def hollow(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", shape=(4, 3), chunks=(1, 1), dtype="f4")


def outside(file):
    del file["layers/dense/vars/0"]
    file.create_dataset(
        "layers/dense/vars/0", shape=(4, 3), dtype="f4", external=[("/etc/hostname", 0, 48)]
    )


def other_shape(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = np.zeros((3, 4), "f4")


def text(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = "text"


def missing(file):
    del file["layers/dense"]


def further(file):
    file["layers/dense_7/vars/0"] = np.zeros(3, "f4")


def layer(**changes):
    return with_config(lambda c: c["config"]["layers"][1].update(changes))


def argument(**changes):
    return with_config(lambda c: c["config"]["layers"][1]["config"].update(changes))


def function(config):
    named = {"module": "builtins", "class_name": "function", "config": config}
    return argument(activation=named)


def metric(name, **config):
    found = {"module": "keras.metrics", "class_name": name, "config": config}
    return with_config(lambda c: c["compile_config"].update(metrics=[found]))


def array(**config):
    return argument(kernel_initializer={"class_name": "__numpy__", "config": config})


def deep(config):
    for _ in range(200):
        chain = {"name": "chain", "layers": [config["config"]["layers"][1]]}
        config["config"]["layers"][1] = item_of_keras("Sequential", chain)


def item_of_keras(name, config):
    return {"module": "keras", "class_name": name, "config": config, "registered_name": None}


def remembered(number, value):
    def edit(file):
        del file[f"optimizer/vars/{number}"]
        file[f"optimizer/vars/{number}"] = value

    return with_weights(edit)


def elsewhere_too(file):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4, 3))
    del file["layers/dense/vars/0"]
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def again(file):
    file["layers/dense/again"] = file["layers"]


def twice(file):
    file["layers/dense/vars/7"] = file["layers/dense/vars/0"]


def of_dtype(dtype):
    def edit(file):
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", shape=(4, 3), dtype=dtype)

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (layer(class_name="Popen", module="subprocess"), "unknown class 'Popen'"),
        (layer(module="os", registered_name="mine>Dense"), "unknown class"),
        (layer(module="backprop.cli"), "unknown class"),
        (layer(class_name=["Dense"]), "class_name"),
        (function("eval"), "activation"),
        (function("os.system"), "activation"),
        (function({"class_name": "Lambda", "config": {}}), "names a function by"),
        (argument(activation={"class_name": "__lambda__", "config": {"code": "x"}}), "code"),
        (array(value=[1, 2], dtype="V10000"), "V10000"),
        (array(value=[1, [2]], dtype="object"), "object"),
        (array(value=[1, [2]], dtype="float32"), "inhomogeneous"),
        (argument(filters=float("nan")), "filters"),
        (argument(filters=-3), "filters"),
        (argument(filters=True), "filters"),
        (argument(dtype="complex64"), "dtype"),
        (metric("AUC", num_thresholds=10**9), "compile=False|at most"),
        (metric("MeanIoU", num_classes=10**6), "compile=False|at most"),
        (with_config(deep), "deep"),
        (remembered(0, np.nan), "steps"),
        (remembered(0, -5), "steps"),
        (remembered(1, np.nan), "learning_rate"),
        (remembered(2, np.ones((7, 7))), "shapes"),
        (with_weights(elsewhere_too), "another file"),
        (with_weights(again), "another name"),
        (with_weights(twice), "another name"),
        (with_weights(of_dtype("S3")), "dtype"),
        (with_weights(of_dtype(h5py.ref_dtype)), "dtype"),
        (with_weights(of_dtype(h5py.vlen_dtype("f4"))), "dtype"),
        (with_weights(of_dtype([("a", "f4")])), "dtype"),
        (with_weights(of_dtype("c8")), "dtype"),
        (with_config(code), "code"),
        (with_config(stranger), "system"),
        (with_config(graph), "graph"),
        (with_config(half), "mixed_float16"),
        (with_config(huge), "more"),
        (with_config(lambda c: c.pop("config")), "describes Sequential by None"),
        (with_weights(link), "link"),
        (with_weights(elsewhere), "link"),
        (with_weights(compressed), "compressed"),
        (with_weights(hollow), "compressed or not whole"),
        (with_weights(outside), "another file"),
        (with_weights(other_shape), r"\(3, 4\)"),
        (with_weights(text), "dtype"),
        (with_weights(missing), "nothing"),
        (with_weights(further), "dense_7"),
        (lambda held: held | {"../x": b""}, r"\.\./x"),
        (lambda held: held | {"config.json": b"[" * 100_000}, "damaged"),
        (lambda held: held | {"config.json": b"\xff"}, "damaged"),
        (lambda held: held | {"model.weights.h5": b"nothing" * 10_000}, "HDF5"),
        (lambda held: {"metadata.json": b"{}"}, "config.json"),
    ],
)
def test_a_file_that_nobody_wrote_on_purpose_is_refused(change, message, tmp_path):
    path = tmp_path / "m.keras"
    trained(path)
    broken(path, change)

    with pytest.raises(ValueError, match=message) as error:
        bp.models.load_model(path)
    assert str(path) in str(error.value)


def test_compressed_and_doubled_members_are_refused(tmp_path):
    path = tmp_path / "m.keras"
    trained(path)
    held = members(path)

    rewrite(path, held, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        bp.models.load_model(path)

    rewrite(path, held)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr("config.json", held["config.json"])
    with pytest.raises(ValueError, match="same name"):
        bp.models.load_model(path)


def of_keras_2(model, path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
        group["dense/kernel:0"], group["dense/bias:0"] = model.get_weights()


def damaged(contents, way, rng):
    """With bits turned, cut, or with a stretch of zeros or ones."""
    found, at = bytearray(contents), int(rng.integers(len(contents)))
    if way == 0:
        found[at] ^= 1 << int(rng.integers(8))
    elif way == 1:
        del found[at:]
    else:
        n = min(int(rng.integers(1, 16)), len(found) - at)
        found[at : at + n] = bytes([255 * int(rng.integers(2))]) * n
    return found


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_damage_is_an_error_that_names_the_file_or_nothing_at_all(name, tmp_path):
    path = tmp_path / name
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    if name == "m.h5":
        of_keras_2(model, path)
    else:
        model.save(path) if name == "m.keras" else model.save_weights(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(150):
        path.write_bytes(damaged(whole, trial % 3, rng))
        before = model.get_weights()
        try:
            bp.models.load_model(path) if name == "m.keras" else model.load_weights(path)
        except ValueError as error:
            assert re.search(re.escape(name), str(error))
            for ours, was in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(ours, was)


def test_nothing_changes_where_weights_do_not_fit(tmp_path):
    trained(tmp_path / "m.keras").save_weights(tmp_path / "m.weights.h5")
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    before = model.get_weights()

    with pytest.raises(ValueError, match="are not those of"):
        model.load_weights(tmp_path / "m.weights.h5")

    for ours, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, was)


def test_what_fits_can_be_taken_alone(tmp_path):
    first = bp.Sequential([bp.Input((3,)), bp.layers.Dense(4), bp.layers.Dense(2)])
    second = bp.Sequential([bp.Input((3,)), bp.layers.Dense(4), bp.layers.Dense(5)])
    first.save_weights(tmp_path / "m.weights.h5")
    before = second.layers[1].get_weights()

    with pytest.warns(UserWarning, match=r"dense_1/kernel \(4, 5\), in the file \(4, 2\)"):
        second.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)

    np.testing.assert_array_equal(second.layers[0].kernel, first.layers[0].kernel)
    np.testing.assert_array_equal(second.layers[1].kernel, before[0])


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "m.keras"
    trained(path)
    before = path.read_bytes()

    with mock.patch("os.fsync", side_effect=OSError("full")), pytest.raises(OSError, match="full"):
        trained(path)

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_an_encoding_is_called_without_the_weights_that_it_may_have(tmp_path):
    ids = bp.Input((2,), dtype="int64")
    rare = bp.Input((2,))
    encode, count = bp.layers.CategoryEncoding(3), bp.layers.CategoryEncoding(3, "count")
    model = bp.Model([ids, rare], [encode(ids), count(ids, count_weights=rare)])
    model.save(tmp_path / "m.keras")

    again = bp.models.load_model(tmp_path / "m.keras")

    x = [np.array([[0, 2], [1, 1]]), np.array([[0.5, 2.0], [1.0, 3.0]])]
    for found, wanted in zip(again.predict(x, verbose=0), model.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(found, wanted)


# -------------------------------------------------------------------------- classes of users


class Scaled(bp.layers.Layer):
    """y = s x, with one s for all."""

    start: float = 1.0

    def build(self, input_shape):
        self.scale, self.dscale = self.param("scale", (1,), "ones")
        super().build(input_shape)

    def forward(self, x, ctx=None):
        return self.start * self.scale * x, x

    def backward(self, dy, x):
        self.dscale += self.start * np.sum(dy * x)
        return self.start * self.scale * dy


@bp.saving.register_keras_serializable("tests")
class Watched(bp.Model):
    """A model with steps of its own."""


class Row(bp.Sequential):
    """A chain with steps of its own."""


def test_a_layer_of_ones_own_goes_to_keras_and_comes_back(keras, tmp_path):
    model = bp.Sequential([bp.Input((3,)), Scaled(2.0), bp.layers.Dense(2)])
    model.layers[0].scale[...] = 3.0
    model.save(tmp_path / "m.keras")
    x = np.ones((4, 3), "float32")

    class Theirs(keras.layers.Layer):
        def __init__(self, start, **kwargs):
            super().__init__(**kwargs)
            self.start = start

        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(1,))

        def call(self, x):
            return self.start * self.scale * x

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_config(self):
            return {**super().get_config(), "start": self.start}

    Theirs.__name__ = "Scaled"  # Keras looks for weights under the names of classes
    theirs = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Scaled": Theirs})
    back = bp.models.load_model(tmp_path / "m.keras", custom_objects={"Scaled": Scaled})

    np.testing.assert_allclose(theirs.predict(x, verbose=0), model.predict(x, verbose=0), rtol=2e-5)
    np.testing.assert_array_equal(back.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(ValueError, match=r"unknown class 'Scaled'.*custom_objects"):
        bp.models.load_model(tmp_path / "m.keras")


def test_a_model_of_ones_own_class_is_of_it_again(tmp_path):
    x = bp.Input((3,))
    graph = Watched(x, bp.layers.Dense(2)(x))
    chain = Row([bp.Input((3,)), Scaled(2.0)])
    graph.save(tmp_path / "graph.keras")
    chain.save(tmp_path / "chain.keras")

    again = bp.models.load_model(tmp_path / "graph.keras")  # it is registered
    row = bp.models.load_model(tmp_path / "chain.keras", {"Row": Row, "Scaled": Scaled})

    assert (type(again), type(row)) == (Watched, Row)
    x = np.ones((4, 3), "float32")
    np.testing.assert_array_equal(again.predict(x, verbose=0), graph.predict(x, verbose=0))
    np.testing.assert_array_equal(row.predict(x, verbose=0), chain.predict(x, verbose=0))
