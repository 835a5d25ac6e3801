"""``.safetensors`` files: what is written is read, here and by the package of the format."""

import json

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L
from backprop.archive import ModelFileError
from backprop.interop import safetensors_files


def filled(model, seed=0):
    """The model with other numbers in all its weights."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def wrapped():
    return bp.Sequential(
        [
            bp.Input((6, 4)),
            L.Bidirectional(L.LSTM(2, return_sequences=True)),
            L.BatchNormalization(),
            L.TimeDistributed(L.Dense(3)),
            L.Dense(3),
            L.Parallel([L.Dense(2), L.Dense(2)]),
            L.MultiHeadAttention(2, 2),
        ]
    )


def joined():
    a, b = bp.Input((3,)), bp.Input((3,))
    tower = bp.Sequential([bp.Input((3,)), L.Dense(4), L.Dense(2)])
    return bp.Model([a, b], L.Dense(1)(L.Add()([tower(a), tower(b)])))


def linear():
    return bp.Sequential([bp.Input((3,)), L.Dense(2)])


def in_file(contents):
    """The header of a file's contents."""
    return json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")])


def assert_same(a, b):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [wrapped, joined, linear])
def test_weights_come_back_bit_for_bit(make, dtype, tmp_path):
    before = bp.config.floatx()
    bp.config.set_floatx(dtype)
    try:
        model, other = filled(make()), filled(make(), 1)
    finally:
        bp.config.set_floatx(before)
    odd = [np.nan, -0.0, np.inf][: model.get_weights()[0].size]
    model.arrays()[0].value.reshape(-1)[: len(odd)] = odd

    model.save_weights(tmp_path / "m.safetensors")
    other.load_weights(tmp_path / "m.safetensors")

    assert_same(model, other)


def test_a_name_is_the_way_to_a_weight():
    assert list(safetensors_files.weight_paths(wrapped())) == [
        *(
            f"bidirectional/{way}_lstm/{name}"
            for way in ("forward", "backward")
            for name in ("kernel", "recurrent_kernel", "bias")
        ),
        *(f"batch_normalization/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")),
        *("time_distributed/dense/kernel", "time_distributed/dense/bias"),
        *("dense/kernel", "dense/bias"),
        *("parallel/dense/kernel", "parallel/dense/bias"),
        *("parallel/dense_1/kernel", "parallel/dense_1/bias"),
        *(
            f"multi_head_attention/{part}/{name}"
            for part in ("query", "key", "value", "attention_output")
            for name in ("kernel", "bias")
        ),
    ]


def test_a_shared_layer_has_one_name():
    assert list(safetensors_files.weight_paths(joined())) == [
        *("sequential/dense/kernel", "sequential/dense/bias"),
        *("sequential/dense_1/kernel", "sequential/dense_1/bias"),
        *("dense/kernel", "dense/bias"),
    ]


def test_a_file_says_its_version_and_that_nothing_lies_askew(tmp_path):
    filled(wrapped()).save_weights(tmp_path / "m.safetensors")
    contents = (tmp_path / "m.safetensors").read_bytes()
    header = in_file(contents)

    metadata = header.pop("__metadata__")
    assert metadata["format"] == "backprop" and metadata["version"] == "1"
    assert int.from_bytes(contents[:8], "little") % 8 == 0
    assert all(entry["data_offsets"][0] % 4 == 0 for entry in header.values())


def test_the_same_weights_are_the_same_file(tmp_path):
    for name in ("a", "b"):
        filled(wrapped()).save_weights(tmp_path / f"{name}.safetensors")

    contents = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]


def test_the_package_of_the_format_reads_what_is_written(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = filled(wrapped())
    model.save_weights(tmp_path / "m.safetensors")

    found = safetensors.load_file(tmp_path / "m.safetensors")

    wanted = safetensors_files.weight_paths(model)
    assert found.keys() == wanted.keys()
    for name, p in wanted.items():
        np.testing.assert_array_equal(found[name], p.value)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_what_the_package_of_the_format_writes_is_read(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    kernel = np.random.default_rng(0).normal(size=(3, 2)).astype(dtype)
    arrays = {"dense/kernel": kernel, "dense/bias": np.ones(2, dtype)}
    safetensors.save_file(arrays, tmp_path / "m.safetensors", {"format": "pt"})
    model = linear()

    model.load_weights(tmp_path / "m.safetensors")

    np.testing.assert_array_equal(model.get_weights()[0], kernel.astype(np.float32))


def made(path, arrays, metadata=None):
    """A file as others write it: arrays given as (dtype, shape, bytes)."""
    header, rest = {}, b""
    for name, (dtype, shape, data) in arrays.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(rest), len(rest) + len(data)],
        }
        rest += data
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + rest)
    return path


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.array([1.0, -2.5, 3.0e38, np.inf, -0.0, 2.0**-133], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = made(
        tmp_path / "m.safetensors",
        {"dense/kernel": ("BF16", [3, 2], upper), "dense/bias": ("BF16", [2], upper[:4])},
    )
    model = linear()

    model.load_weights(path)

    expected = (values.view(np.uint32) >> 16 << 16).view(np.float32)
    assert model.get_weights()[0].tobytes() == expected.tobytes()


NAMES = {"dense/kernel": ("0.weight", (1, 0)), "dense/bias": "0.bias"}


def test_names_of_others_are_written_and_read(tmp_path):
    model, other = filled(linear()), linear()
    model.save_weights(tmp_path / "m.safetensors", names=NAMES)

    other.load_weights(tmp_path / "m.safetensors", names=NAMES)

    found = safetensors_files.read(tmp_path / "m.safetensors")
    assert sorted(found) == ["0.bias", "0.weight"]
    np.testing.assert_array_equal(found["0.weight"], model.get_weights()[0].T)
    assert_same(model, other)


def test_axes_that_are_no_exchange_go_there_and_back(tmp_path):
    def make():
        return bp.Sequential([bp.Input((5, 6, 2)), L.Conv2D(3, (2, 4))])

    model, other = filled(make()), make()
    names = {"conv2d/kernel": ("conv.weight", (3, 2, 0, 1))}  # PyTorch's
    model.save_weights(tmp_path / "m.safetensors", names=names)

    other.load_weights(tmp_path / "m.safetensors", names=names)

    assert safetensors_files.read(tmp_path / "m.safetensors")["conv.weight"].shape == (3, 2, 2, 4)
    assert_same(model, other)


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        ({"dense/kernl": "x"}, ValueError, "dense/kernl.*did you mean 'dense/kernel'"),
        ({"dense/kernel": 5}, ValueError, "dense/kernel.*got 5"),
        ({"dense/kernel": ("x", (0, 0))}, ValueError, "order of its axes"),
        ({"dense/kernel": ("x", ("a", "b"))}, ValueError, "order of its axes"),
        ({"dense/kernel": "dense/bias"}, ValueError, "'dense/bias' can be the name of one"),
        ({"dense/kernel": "__metadata__"}, ValueError, "__metadata__"),
        (["x"], TypeError, "names expects a mapping"),
    ],
)
def test_names_that_cannot_be_are_refused(names, error, match, tmp_path):
    model = linear()
    model.save_weights(tmp_path / "m.safetensors")

    for call in (model.save_weights, model.load_weights):
        with pytest.raises(error, match=match):
            call(tmp_path / "m.safetensors", names=names)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"dense/bias": (2,)}, r"dense/kernel \(3, 2\), in the file nothing"),
        ({"dense/kernel": (2, 3), "dense/bias": (2,)}, r"dense/kernel \(3, 2\), .*\(2, 3\)"),
        ({"dense/kernel": (3, 2), "dense/bias": (2,), "x": (1,)}, r"'x' \(1,\), not in sequential"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(arrays, match, tmp_path):
    path, model = tmp_path / "m.safetensors", filled(linear())
    safetensors_files.write(path, {name: np.zeros(s, np.float32) for name, s in arrays.items()})
    before = model.get_weights()

    with pytest.raises(ModelFileError, match=rf"m\.safetensors.*{match}"):
        model.load_weights(path)

    assert all(map(np.array_equal, before, model.get_weights()))
    with pytest.warns(UserWarning, match=match):
        model.load_weights(path, skip_mismatch=True)
    assert not model.get_weights()[1].any()


def test_integers_are_no_weights(tmp_path):
    path = tmp_path / "m.safetensors"
    arrays = {"dense/kernel": np.zeros((3, 2), np.int32), "dense/bias": np.zeros(2, np.float32)}
    safetensors_files.write(path, arrays)

    with pytest.raises(ModelFileError, match=r"dense/kernel \(3, 2\), .*int32"):
        linear().load_weights(path)


def test_what_is_for_other_files_is_refused(tmp_path):
    model, key = linear(), bp.saving.SigningKey(bytes(16))
    model.save_weights(tmp_path / "m.npz")
    for call in (model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match=r"names is for \.safetensors files"):
            call(tmp_path / "m.npz", names=NAMES)
        with pytest.raises(ValueError, match="no place for a signature"):
            call(tmp_path / "m.safetensors", key=key)
    with pytest.raises(ValueError, match=r"by_name is for \.h5"):
        model.load_weights(tmp_path / "m.safetensors", by_name=True)
    with pytest.raises(ValueError, match=r"\.npz and \.weights\.h5"):
        bp.callbacks.ModelCheckpoint(tmp_path / "m.safetensors", save_weights_only=True, key=key)
    with pytest.raises(ValueError, match=r"\.npz and \.keras"):
        model.save(tmp_path / "m.safetensors")


def test_a_checkpoint_of_weights_may_be_such_a_file(tmp_path):
    path, model = tmp_path / "m.safetensors", linear()
    model.compile("sgd", "mse")
    x = np.ones((4, 3), np.float32)

    model.fit(
        x,
        x[:, :2],
        verbose=0,
        callbacks=[bp.callbacks.ModelCheckpoint(path, save_weights_only=True)],
    )

    other = linear()
    other.load_weights(path)
    assert_same(model, other)
