"""Attacks that are known of other loaders of models, one by one, on ours."""

import base64
import io
import json
import marshal
import pickle
import time
import zipfile

import numpy as np
import pytest

import backprop as bp
from backprop import archive
from backprop.archive import ModelFileError

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


def refused(path, match=None, **arguments):
    with pytest.raises(ModelFileError, match=match) as caught:
        bp.models.load_model(path, **arguments)
    assert path.name in str(caught.value)


CODE = base64.b64encode(marshal.dumps((lambda x: ran(x)).__code__)).decode()


@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_the_byte_code_of_a_lambda_is_not_run(ending, tmp_path):
    function = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None}}
    layer = item("Lambda", function=function)
    path = tmp_path / f"m{ending}"
    if ending == ".npz":
        native(path, layer)
    else:
        layer["module"] = "keras.layers"
        with_config(path, lambda config: config["config"]["layers"].append(layer))

    refused(path)


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

    refused(
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

    refused(path)


def test_what_is_registered_and_no_kind_of_the_library_is_not_made(tmp_path):
    path = native(tmp_path / "m.npz", item("Exporter", path="x"))

    refused(path, "no kind|no layer", custom_objects={"Exporter": Exporter})
    named = item("Exporter", None, path="x") | {"registered_name": "Exporter"}
    refused(
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

    refused(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", path.name]


@pytest.mark.parametrize("ending", [".npz", ".keras"])
def test_a_name_that_is_there_twice_is_refused(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    small().save(path)
    with zipfile.ZipFile(path, "a") as file:
        name = file.namelist()[0]
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr(name, b"x")

    refused(path, "same name")


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
    refused(path)
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
    refused(native(tmp_path / "m.npz", layer))
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
    refused(native(tmp_path / "m.npz", layer, shape=shape), "numbers|at most")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("units", [10**10, 10**13])
def test_a_configuration_without_weights_is_bounded_too(units):
    config = item("Sequential", "models", layers=[item("InputLayer", shape=[1])])
    config["config"]["layers"].append(item("Dense", units=units))

    with pytest.raises(ModelFileError, match=r"json_string.*numbers"):
        bp.models.model_from_json(json.dumps(config))
    with pytest.raises(ValueError, match="numbers"):
        bp.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("text", ["{", "[]", "5", '"x"', "{}", "[" * 100_000, '{"class_name": []}'])
def test_json_that_describes_no_model_is_one_clear_error(text):
    with pytest.raises(ModelFileError, match="json_string"):
        bp.models.model_from_json(text)


@pytest.mark.parametrize("safe_mode", [False, None, 0, ""])
def test_there_is_no_unsafe_mode(safe_mode, tmp_path):
    path = tmp_path / "m.npz"
    small().save(path)

    with pytest.raises(ValueError, match="safe_mode"):
        bp.models.load_model(path, safe_mode=safe_mode)


@pytest.mark.parametrize("value", [False, None])
def test_a_configuration_cannot_switch_safety_off(value, tmp_path):
    def change(config):
        config["safe_mode"] = value
        config["config"]["safe_mode"] = value
        config["config"]["layers"].append(item("Popen", "subprocess", args="true"))

    refused(with_config(tmp_path / "m.keras", change))


class Bomb:
    def __reduce__(self):
        return ran, ("from a pickle",)


def test_pickled_arrays_are_not_unpickled(tmp_path):
    path = tmp_path / "m.npz"
    array = np.empty(1, object)
    array[0] = Bomb()
    np.savez(path, header=np.array(["x"]), a=array)

    refused(path)
    model = small()
    with pytest.raises(ModelFileError):
        model.load_weights(path)

    path.write_bytes(pickle.dumps(Bomb()))
    refused(path)


def test_pickled_arrays_of_datasets_are_read_and_not_run(tmp_path):
    from backprop.datasets import imdb

    array = np.empty(1, object)
    array[0] = Bomb()
    np.savez(tmp_path / "imdb.npz", x_train=array, y_train=[0], x_test=array, y_test=[0])

    with pytest.raises(ValueError, match=r"names .*ran, and only arrays"):
        imdb.load_data(tmp_path / "imdb.npz")


def test_numpys_advice_to_trust_a_file_is_not_passed_on(tmp_path):
    from backprop.datasets.arrays import Expected, read_npz

    long = archive.npy_head("|u1", (1,) * 6000)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", long + b"x")

    with pytest.raises(ValueError, match=r"x\.npz is damaged: its head is too long") as caught:
        read_npz(tmp_path / "x.npz", {"x": Expected("u", (None,))})
    assert "allow_pickle" not in str(caught.value)


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


def test_an_array_of_objects_in_a_configuration_is_refused(tmp_path):
    array = {"class_name": "__array__", "config": {"value": [1], "dtype": "object"}}

    refused(native(tmp_path / "m.npz", item("Dense", units=2, bias_initializer=array)), "dtype")


def test_a_file_that_ends_in_another_format_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    for ending in (".npz", ".keras"):
        path = tmp_path / f"m{ending}"
        for contents in (b"", b"PK", buffer.getvalue(), b"\x89HDF\r\n\x1a\n" + bytes(100)):
            path.write_bytes(contents)
            refused(path)
