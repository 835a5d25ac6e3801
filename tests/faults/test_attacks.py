"""Attacks that are known of other loaders of models, one by one, on ours."""

import base64
import gzip
import io
import json
import marshal
import os
import pickle
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import backprop as bp
from backprop import archive, bounds, cli, run_state
from backprop.archive import ModelFileError
from backprop.datasets import arrays
from backprop.npy import npy_head
from backprop.tabular import files, read_csv

RAN = []  # what a file has made to run


def ran(*args, **kwargs):
    RAN.append(args)


class Exporter:
    """A class of the user's own that is no layer."""

    def __init__(self, path):
        ran(path)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()
    yield
    assert RAN == []


def item(class_name, module="layers", **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def native(path, *layers, shape=(3,)):
    """A native file of a chain of layers, without weights."""
    inputs = item("InputLayer", shape=list(shape))
    model = item("Sequential", "models", layers=[inputs, *layers])
    header = {"model": model, "generators": [None] * (1 + len(layers)), "compile": None}
    archive.write(path, "model", header | {"extra": {}}, {})
    return path


def small():
    return bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])


def with_config(path, change):
    """A file of Keras whose configuration was changed."""
    small().save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, contents in members.items():
            file.writestr(name, contents)
    return path


def assert_refused(path, match=None, **arguments):
    with pytest.raises(ModelFileError, match=match) as caught:
        bp.models.load_model(path, **arguments)
    assert path.name in str(caught.value)


CODE = base64.b64encode(marshal.dumps((lambda x: ran(x)).__code__)).decode()


@pytest.mark.parametrize("safe_mode", [True, False])
@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_the_byte_code_of_a_lambda_is_not_run(ending, safe_mode, tmp_path):
    function = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None}}
    layer = item("Lambda", function=function)
    path = tmp_path / f"m{ending}"
    if ending == ".npz":
        native(path, layer)
    else:
        layer["module"] = "keras.layers"
        with_config(path, lambda config: config["config"]["layers"].append(layer))

    assert_refused(path, safe_mode=safe_mode)


@pytest.mark.parametrize("name", ["os.system", "builtins.exec", "ran", "print", "eval"])
@pytest.mark.parametrize("kind", ["Lambda", "Activation"])
def test_a_function_is_not_imported_by_its_name(name, kind, tmp_path):
    module, _, function = name.rpartition(".")
    reference = {
        "module": module or __name__,
        "class_name": "function",
        "config": function,
        "registered_name": function,
    }
    argument = {"Lambda": "function", "Activation": "activation"}[kind]

    assert_refused(
        native(tmp_path / "m.npz", item(kind, **{argument: reference})),
        "unknown|is not read from a file",
    )


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", "Popen"),
        ("builtins", "exec"),
        ("os", "system"),
        ("backprop.utils.files", "get_file"),
        ("keras.src.utils.file_utils", "get_file"),
        ("backprop.archive", "write"),
        ("numpy", "fromfile"),
        (__name__, "Exporter"),
    ],
)
@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_no_module_is_imported_for_a_file(module, name, ending, tmp_path):
    stranger = item(name, module, path="x", args=["true"])
    path = tmp_path / f"m{ending}"
    if ending == ".npz":
        native(path, stranger)
    else:
        with_config(path, lambda config: config["config"]["layers"].append(stranger))

    assert_refused(path)


def test_what_is_registered_and_no_kind_of_the_library_is_not_made(tmp_path):
    path = native(tmp_path / "m.npz", item("Exporter", path="x"))

    assert_refused(path, "no kind|no layer", custom_objects={"Exporter": Exporter})
    named = item("Exporter", None, path="x") | {"registered_name": "Exporter"}
    assert_refused(
        native(path, item("Dense", units=2, kernel_initializer=named)),
        "no layer",
        custom_objects={"Exporter": Exporter},
    )


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "C:\\x", "a\\..\\x"])
@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_names_in_an_archive_are_no_paths(name, ending, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / f"m{ending}"
    small().save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name + ".npy", b"x")

    assert_refused(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", path.name]


@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_a_name_that_is_there_twice_is_assert_refused(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    small().save(path)
    with zipfile.ZipFile(path, "a") as file:
        name = file.namelist()[0]
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr(name, b"x")

    assert_refused(path, "same name")


@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_a_bomb_is_not_unpacked(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    small().save(path)
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, b"\0" * 50_000_000)

    start = time.process_time()
    assert_refused(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "layer",
    [
        item("Dense", units=10**12),
        item("Embedding", input_dim=10**9, output_dim=10**9),
        item("Dense", units=10**6),
        item("SpectralNormalization", layer=item("Dense", units=2), power_iterations=10**30),
    ],
)
def test_what_a_file_declares_is_not_allocated_before_it_is_there(layer, tmp_path):
    start = time.process_time()
    assert_refused(native(tmp_path / "m.npz", layer))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (item("MaxPooling1D"), (10**9, 1)),
        (item("AveragePooling2D", pool_size=2), (10**9, 10**9, 1)),
        (item("AdaptiveMaxPooling1D", output_size=10**9), (8, 1)),
        (item("AdaptiveAveragePooling1D", output_size=7), (10**9, 1)),
        (item("MelSpectrogram", fft_length=10**9), (16,)),
        (item("MelSpectrogram", num_mel_bins=10**9), (16,)),
        (item("Resizing", height=10**9, width=10**9), (8, 8, 1)),
        (item("CenterCrop", height=10**5, width=10**5), (8, 8, 1)),
        (item("UpSampling2D", size=10**9), (8, 8, 1)),
        (item("ZeroPadding2D", padding=10**9), (8, 8, 1)),
        (item("ZeroPadding3D", padding=10**4), (8, 8, 8, 1)),
        (item("RepeatVector", n=10**12), (8,)),
        (item("CategoryEncoding", num_tokens=10**12), (8,)),
        (item("StringLookup", vocabulary=["a"], num_oov_indices=10**9), (8,)),
        (item("TextVectorization", vocabulary=["a"], ngrams=10**9), (8,)),
    ],
)
def test_what_follows_from_a_declared_shape_is_bounded(layer, shape, tmp_path):
    start = time.process_time()
    assert_refused(native(tmp_path / "m.npz", layer, shape=shape), "numbers|at most")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("units", [10**10, 10**13])
def test_a_configuration_without_weights_is_bounded_too(units):
    config = item("Sequential", "models", layers=[item("InputLayer", shape=[1])])
    config["config"]["layers"].append(item("Dense", units=units))

    with pytest.raises(ModelFileError, match=r"json_string.*numbers"):
        bp.models.model_from_json(json.dumps(config))
    with pytest.raises(ValueError, match="numbers"):
        bp.saving.deserialize_keras_object(config)

    config |= {"module": "keras"}
    with pytest.raises(ModelFileError, match=r"json_string.*numbers"):
        bp.models.model_from_json(json.dumps(config))


@pytest.mark.parametrize(
    "class_name", ["Lambda", "__lambda__", "Popen", "system", "TorchModuleWrapper"]
)
@pytest.mark.parametrize("module", ["keras.layers", "subprocess", "os"])
def test_the_json_of_keras_brings_no_code_either(class_name, module):
    layer = item(class_name, module, function=CODE, args="true")
    for outer in ("keras", "keras.src.models.sequential", None):  # said by the layers alone
        begin = item("InputLayer", "keras.layers", batch_shape=[None, 3])
        config = item("Sequential", outer, layers=[begin, layer])
        with pytest.raises(
            ModelFileError, match=r"json_string.*(unknown (class|layer)|holds code)"
        ):
            bp.models.model_from_json(json.dumps(config))


@pytest.mark.parametrize("levels", [200, 10_000])
def test_the_json_of_keras_is_no_deeper_than_ours(levels):
    layer = '{"module": "keras.layers", "class_name": "ReLU", "config": {}}'
    begin = '{"module": "keras", "class_name": "Sequential", "config": {"layers": ['

    with pytest.raises(ModelFileError, match=r"json_string.*(nested 256 deep|recursion depth)"):
        bp.models.model_from_json(begin * levels + layer + "]}}" * levels)


def laughs(levels):
    """A layer of layers, each of which stands twice in the next."""
    layer = item("ReLU") | {"shared_object_id": 0}
    for i in range(levels):
        again = {"class_name": "__shared__", "config": {"shared_object_id": i}}
        layer = item("Chain", layers=[layer, again]) | {"shared_object_id": i + 1}
    return layer


def nested(levels):
    layer = item("ReLU")
    for _ in range(levels):
        layer = item("Chain", layers=[layer])
    return layer


WAYS = {
    "model_from_json": lambda config: bp.models.model_from_json(json.dumps(config)),
    "deserialize_keras_object": bp.saving.deserialize_keras_object,
    "from_config": lambda config: bp.Sequential.from_config(config["config"]),
    "from_config of keywords": lambda config: bp.Sequential.from_config(config=config["config"]),
}
TURNS = item("SpectralNormalization", layer=item("Dense", units=2), power_iterations=10**30)
TOO_MUCH = [
    (nested(200), "nested 256 deep"),
    (laughs(40), "more than 16,384 layers"),
    (item("Chain", layers=[item("ReLU")] * 20_000), "more than 16,384 layers"),
    (TURNS, "at most 1,024"),
    (item("MelSpectrogram", fft_length=10**9), "numbers"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("layer", "match"),
    [
        *TOO_MUCH,
        (item("Dense", units=10**11), "numbers"),
        (item("AdaptiveMaxPooling1D", output_size=10**9), "numbers"),
    ],
)
def test_a_configuration_asks_for_no_more_however_it_is_read(way, layer, match):
    shape = [8, 1] if "Pooling" in layer["class_name"] else [8]
    config = item("Sequential", "models", layers=[item("InputLayer", shape=shape), layer])

    start = time.process_time()
    with pytest.raises(ValueError, match=match):
        WAYS[way](config)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(("layer", "match"), TOO_MUCH)
def test_a_layer_alone_asks_for_no_more(layer, match):
    with pytest.raises(ValueError, match=match):
        bp.layers.deserialize(layer)
    with pytest.raises(ValueError, match=match):
        getattr(bp.layers, layer["class_name"]).from_config(layer["config"])


@pytest.mark.parametrize(
    "metrics",
    [
        ["mae"] * 20_000,
        [{"a": ["mae"] * 10_000}, ["mae"] * 10_000],
        [item("AUC", "metrics", num_thresholds=10**12)],
        [item("AUC", "metrics", num_thresholds=2**14)] * 100,
        [item("MeanIoU", "metrics", num_classes=10**9)],
        [item("MeanIoU", "metrics", num_classes=1000)] * 3,
    ],
)
def test_what_metrics_keep_is_bounded(metrics, tmp_path):
    model = small()
    model.compile("sgd", "mse")
    settings = model.get_compile_config() | {"metrics": metrics}
    header = {"model": bp.saving.serialize_keras_object(model), "generators": [None] * 3}
    kernel, bias = model.get_weights()
    arrays = {"weights/0/dense/kernel": kernel, "weights/1/dense/bias": bias}
    path = tmp_path / "m.npz"
    archive.write(path, "model", header | {"compile": settings, "extra": {}}, arrays)

    start = time.process_time()
    bounds = "the metrics of a file have|to be at most|20,000 metrics, .* at most 1,024"
    assert_refused(path, bounds)
    for config in metrics[:1]:
        bp.models.load_model(path, compile=False)
        if len(metrics) == 1:
            with pytest.raises(ValueError, match=bounds):
                bp.metrics.deserialize(config)
    assert time.process_time() - start < 1


def test_a_model_that_is_there_is_cloned_whatever_its_size(monkeypatch):
    model = small()
    for name, most in {"LAYERS": 1, "DEPTH": 1, "NUMBERS": 1}.items():
        monkeypatch.setattr(bounds, name, most)
        with pytest.raises(ValueError, match=r"more than|nested 1 deep"):
            bp.Sequential.from_config(model.get_config())

    assert bp.models.clone_model(model).count_params() == model.count_params()


@pytest.mark.parametrize("text", ["{", "[]", "5", '"x"', "{}", "[" * 100_000, '{"class_name": []}'])
def test_json_that_describes_no_model_is_one_clear_error(text):
    with pytest.raises(ModelFileError, match="json_string"):
        bp.models.model_from_json(text)


def test_there_is_no_unsafe_mode(tmp_path):
    path, model = tmp_path / "m.npz", small()
    model.save(path)

    same = bp.models.load_model(path, safe_mode=False)

    assert all(map(np.array_equal, same.get_weights(), model.get_weights()))
    for other in (None, ""):
        with pytest.raises(
            TypeError, match=r"load_model\(\) expects safe_mode to be True or False"
        ):
            bp.models.load_model(path, safe_mode=other)
    for class_name, module in [("Popen", "subprocess"), ("system", "os"), ("Lambda", "layers")]:
        assert_refused(native(path, item(class_name, module, function="ran")), safe_mode=False)


@pytest.mark.parametrize("value", [False, None])
def test_a_configuration_cannot_switch_safety_off(value, tmp_path):
    def change(config):
        config["safe_mode"] = value
        config["config"]["safe_mode"] = value
        config["config"]["layers"].append(item("Popen", "subprocess", args="true"))

    assert_refused(with_config(tmp_path / "m.keras", change))


class Bomb:
    def __reduce__(self):
        return ran, ("from a pickle",)


def test_pickled_arrays_are_not_unpickled(tmp_path):
    path = tmp_path / "m.npz"
    array = np.empty(1, object)
    array[0] = Bomb()
    np.savez(path, header=np.array(["x"]), a=array)

    assert_refused(path)
    model = small()
    with pytest.raises(ModelFileError):
        model.load_weights(path)

    path.write_bytes(pickle.dumps(Bomb()))
    assert_refused(path)


def test_pickled_arrays_of_datasets_are_read_and_not_run(tmp_path):
    from backprop.datasets import imdb

    array = np.empty(1, object)
    array[0] = Bomb()
    np.savez(tmp_path / "imdb.npz", x_train=array, y_train=[0], x_test=array, y_test=[0])

    with pytest.raises(ValueError, match=r"names .*ran, and only arrays"):
        imdb.load_data(tmp_path / "imdb.npz")


def test_numpys_advice_to_trust_a_file_is_not_passed_on(tmp_path):
    from backprop.datasets.arrays import Expected, read_npz

    long = npy_head("|u1", (1,) * 6000)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", long + b"x")

    with pytest.raises(ValueError, match=r"x\.npz is damaged: its head is too long") as caught:
        read_npz(tmp_path / "x.npz", {"x": Expected("u", (None,))})
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize("kind", ["npz", "keras", "weights", "state", "data", "archive"])
def test_a_name_in_a_zip_file_that_is_no_text_is_damage(kind, tmp_path, monkeypatch):
    """Python's `zipfile` decodes all names when it opens a file, and says nothing of the file."""
    from backprop.datasets.arrays import read_any

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    model, path = small(), tmp_path / "m.weights.npz"
    model.compile("sgd", "mse")

    def zipped(path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.txt", "a")

    if kind in ("keras", "archive"):
        path = path.with_name("m.keras" if kind == "keras" else "m.zip")
    write, read = {
        "npz": (model.save, bp.models.load_model),
        "keras": (model.save, bp.models.load_model),
        "weights": (model.save_weights, model.load_weights),
        "state": (model.trainer.save_state, model.trainer.restore_state),
        "data": (lambda path: np.savez(path, x=np.ones(3)), lambda path: read_any(path, "f")),
        "archive": (zipped, lambda path: bp.utils.get_file(origin=path, extract=True)),
    }[kind]
    write(path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")  # of the directory: its flags say UTF-8, its name is none
    data[entry + 8 : entry + 10] = (0x800).to_bytes(2, "little")
    data[entry + 46] = 0xF7
    path.write_bytes(data)

    with pytest.raises(ValueError, match="'utf-8' codec can't decode") as caught:
        read(path)
    assert path.name in str(caught.value) and type(caught.value) is not UnicodeDecodeError


def npy(dtype, shape, values=b""):
    return npy_head(dtype, shape) + values


@pytest.mark.parametrize(
    ("name", "contents", "match"),
    [
        ("a.npy", npy("|O", (1,), pickle.dumps(Bomb())), "objects of Python"),
        ("a.npy", npy("<f4", (10**12,), b"1234"), "not as many"),
        ("a.npy", npy("<f4", (-1,), b"1234"), "not as many"),
        ("a.npy", npy("<U0", (10**12,)), "dtype"),
        ("a.npy", npy("|V8", (1,), bytes(8)), "dtype"),
        ("a.npy", pickle.dumps(Bomb()), "damaged"),
        ("a.npz", pickle.dumps(Bomb()), "no .npz file"),
        ("a.csv", pickle.dumps(Bomb()), "no CSV file"),
    ],
)
@pytest.mark.parametrize("command", ["train", "predict"])
def test_the_command_line_reads_data_without_trust(
    command, name, contents, match, tmp_path, capsys
):
    small().save(tmp_path / "m.npz")
    path = tmp_path / name
    path.write_bytes(contents)
    before = {"train": [], "predict": [str(tmp_path / "m.npz")]}[command]

    assert cli.main([command, *before, str(path), *(["--target", "y"] if not before else [])]) == 2

    shown = capsys.readouterr().err
    assert re.fullmatch(rf"backprop: .*{name}.*{match}.*\n|backprop: .*{match}.*{name}.*\n", shown)
    assert "allow_pickle" not in shown


@pytest.mark.parametrize("name", ["a.npz", "a.csv"])
def test_data_that_would_fill_the_memory_are_not_unpacked(name, tmp_path, monkeypatch):
    path = tmp_path / name
    if name == "a.npz":
        monkeypatch.setattr(arrays, "LIMIT", 10**6)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x.npy", npy("|u1", (2 * 10**6,)) + bytes(2 * 10**6))
    else:
        monkeypatch.setattr(files, "LIMIT", 10**6)
        path.write_bytes(gzip.compress(b"a,b\n" * 10**6))
    read = {"a.npz": lambda: arrays.read_any(path, "fiubU"), "a.csv": lambda: read_csv(path)}

    with pytest.raises(ValueError, match=rf"{name}.*more than 1,000,000 bytes"):
        read[name]()


def test_arrays_beyond_number_are_not_read(tmp_path):
    path = tmp_path / "many.npz"
    with zipfile.ZipFile(path, "w") as file:
        for k in range(arrays.ARRAYS + 1):
            file.writestr(f"{k}.npy", b"")

    with pytest.raises(ValueError, match=r"many\.npz is not read: it holds 4,097 arrays"):
        arrays.read_any(path, "f")


def test_external_data_in_hdf5_are_not_opened(tmp_path):
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(6, np.float32).tobytes())
    model = small()
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (3, 2), "f4", external=[(str(secret), 0, 24)])
    before = model.get_weights()

    with pytest.raises(ModelFileError, match=r"m\.weights\.h5.*lies in another file"):
        model.load_weights(tmp_path / "m.weights.h5")
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize("link", ["soft", "external", "itself"])
def test_links_in_hdf5_are_not_followed(link, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "m.weights.h5"
    small().save_weights(path)
    with h5py.File(path, "a") as file:
        group = file["layers/dense"]
        if link == "itself":
            group["again"] = group
        else:
            other = {"soft": h5py.SoftLink("/layers"), "external": h5py.ExternalLink("x.h5", "/")}
            group["other"] = other[link]

    with pytest.raises(ModelFileError, match=r"m\.weights\.h5.*link"):
        small().load_weights(path)


def end_of_texts(contents, block):
    """Where the room that is left in a block of texts is counted."""
    at = block + 16
    while contents[at] or contents[at + 1]:
        at += 16 + -(-int.from_bytes(contents[at + 8 : at + 16], "little") // 8) * 8
    return at + 8


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda b: (end_of_texts(b, b.find(b"GCOL")), 0), id="room of no bytes"),
        pytest.param(lambda b: (b.find(b"GCOL") + 24, 2**64 - 16), id="a text that goes back"),
        pytest.param(lambda b: (b.find(b"GCOL") + 24, 2**40), id="a text beyond the file"),
    ],
)
def test_texts_in_hdf5_come_to_an_end(change, tmp_path):
    """HDF5 itself goes on for ever, and no signal stops it: so it is a process of its own."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["dense", "softmax"]
        for name in file.attrs["layer_names"]:
            file.create_group(name).attrs["weight_names"] = []
    contents = bytearray(path.read_bytes())
    at, value = change(contents)
    contents[at : at + 8] = value.to_bytes(8, "little")
    path.write_bytes(contents)
    read = (
        "import sys, backprop as bp\n"
        "model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])\n"
        "try: model.load_weights(sys.argv[1])\n"
        "except bp.saving.ModelFileError as error: print(error)"
    )

    done = subprocess.run(
        [sys.executable, "-c", read, str(path)],
        timeout=120,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(bp.__file__).parent.parent)},
    )
    assert "m.h5': its texts are damaged" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["../other.weights.h5", "/etc/passwd", "a/b.weights.h5", "x.npz"])
def test_shards_lie_beside_the_file_that_names_them(name, tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"/": [name]}}))

    with pytest.raises(ModelFileError, match=r"m\.weights\.json.*beside it"):
        small().load_weights(path)


def test_a_name_in_a_file_does_not_steer_the_terminal(tmp_path, capsys):
    name = "\x1b]0;owned\x07\x1b[2J\u202ex"
    path = native(tmp_path / "m.npz", item("ReLU", name=name))
    bp.models.load_model(path).summary()
    assert "owned" in (shown := capsys.readouterr().out)
    assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown

    with pytest.raises(ModelFileError) as caught:
        bp.models.load_model(native(path, item(name)))
    assert "\\x1b" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("0", np.array(-1)),
        ("0", np.array(2**60)),
        ("1", np.array(np.nan)),
        ("2", np.full((3, 2), np.nan, np.float32)),
        ("3", np.full((3, 2), np.inf, np.float32)),
        ("3", np.full((3, 2), 1e300)),
        ("3", np.ones((2, 3), np.float32)),
        ("3", np.ones((3, 2), bool)),
        ("3", np.full((3, 2), b"x")),
    ],
)
def test_an_optimizer_of_keras_is_as_sound_as_one_of_ours(place, value, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "m.keras"
    model = small()
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        del file[f"optimizer/vars/{place}"]
        file[f"optimizer/vars/{place}"] = value
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as file:
        for name, contents in members.items():
            file.writestr(name, contents)

    assert_refused(path)


@pytest.mark.parametrize("generators", [1.5, True, "ab", {"a": 1}, [1.5] * 3, [[]] * 3, [{}] * 3])
def test_generators_that_are_none_change_nothing_of_a_run(generators, tmp_path):
    model = small()
    model.compile("sgd", "mse")
    run_state.save_checkpoint(model, tmp_path / "good.npz", 0, 0)
    header, saved = archive.read(tmp_path / "good.npz", ("checkpoint",))
    body = {k: v for k, v in header.items() if k not in ("format", "version", "kind")}
    path = tmp_path / "m.npz"
    archive.write(path, "checkpoint", body | {"generators": generators}, saved)
    undone = []

    with pytest.raises(ModelFileError, match=r"m\.npz.*generator"):
        run_state.load_checkpoint(model, path, lambda *counted: lambda: undone.append(counted))

    assert len(undone) == 1


STEERING = "\x1b]0;owned\x07\x1b[2J\u202ex"


def test_what_data_say_does_not_steer_the_terminal(tmp_path, capsys):
    from backprop.datasets import cifar, pickles

    batch = tmp_path / "batch"
    batch.write_bytes(pickle.dumps({STEERING: 1}))
    table = tmp_path / "t.csv"
    table.write_text(f"a,{STEERING}\n1,2\n3,4\n", "utf-8")
    errors = []
    for read in (
        lambda: pickles.read_pickle(b"c\x1b]0;owned\x07\nsystem\n.", "it"),
        lambda: cifar.read_batch(batch, "labels", {"labels": 10}),
        lambda: read_csv(table).require(["b"]),
    ):
        with pytest.raises(ValueError, match="owned") as caught:
            read()
        errors.append(str(caught.value))
    for target in ("b", STEERING):
        cli.main(["train", str(table), "--target", target, "--output", str(tmp_path / "m.npz")])
    shown = capsys.readouterr()
    for text in (*errors, shown.err):
        assert "owned" in text
        assert not set("\x1b\x07\u202e") & set(text)


def test_an_array_of_objects_in_a_configuration_is_assert_refused(tmp_path):
    array = {"class_name": "__array__", "config": {"value": [1], "dtype": "object"}}

    assert_refused(
        native(tmp_path / "m.npz", item("Dense", units=2, bias_initializer=array)), "dtype"
    )


def test_a_file_that_ends_in_another_format_is_assert_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    for ending in (".npz", ".keras"):
        path = tmp_path / f"m{ending}"
        for contents in (b"", b"PK", buffer.getvalue(), b"\x89HDF\r\n\x1a\n" + bytes(100)):
            path.write_bytes(contents)
            assert_refused(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="the system has no such device")
def test_a_table_without_end_is_not_read_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("backprop.tabular.files.LIMIT", 1 << 20)
    (tmp_path / "t.csv").symlink_to("/dev/zero")

    with pytest.raises(ValueError, match=r"t\.csv is no file and has more than 1,048,576 bytes"):
        read_csv(tmp_path / "t.csv")
