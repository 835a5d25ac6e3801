"""Graphs of ONNX as models: the networks of `to_onnx` come back, and others' do what they say."""

import numpy as np
import pytest
from onnx_networks import NETWORKS, chain, network, numbers, predicted

import backprop as bp
from backprop import layers as L
from backprop.archive import ModelFileError
from backprop.interop import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

# positions that are learnt are constants of an addition there
CONSTANTS = {"transformer": 48}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_with_its_numbers_and_its_weights(name, tmp_path):
    model, x = network(name)
    to_onnx(model, tmp_path / "m.onnx")

    other = from_onnx(tmp_path / "m.onnx")

    for found, wanted in zip(predicted(other, x), predicted(model, x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert other.count_params() == model.count_params() - CONSTANTS.get(name, 0)
    assert other.input_names == [name for name in other.input_names if name]


@pytest.mark.parametrize("name", ["residual", "lstm", "attention", "two towers"])
def test_what_came_back_learns_as_the_network_does(name, tmp_path):
    model, x = network(name)
    to_onnx(model, tmp_path / "m.onnx")
    other = from_onnx(tmp_path / "m.onnx")
    y = [np.ones_like(a) for a in predicted(model, x)]
    losses = []

    for one in (model, other):
        one.compile(bp.optimizers.SGD(0.05), ["mse"] * len(y))
        losses.append([one.train_on_batch(list(x), y) for _ in range(2)])

    first, second = (np.array([np.ravel(step)[0] for step in one]) for one in losses)
    np.testing.assert_allclose(second, first, rtol=1e-4)
    assert second[1] < second[0]


def test_what_came_back_is_saved_and_goes_out_again(tmp_path):
    model, x = network("lenet")
    first = to_onnx(model, tmp_path / "m.onnx")
    other = from_onnx(tmp_path / "m.onnx")

    other.save(tmp_path / "m.npz")
    same = bp.models.load_model(tmp_path / "m.npz")
    again = to_onnx(same)

    np.testing.assert_array_equal(predicted(same, x)[0], predicted(other, x)[0])
    assert [n.op_type for n in again.graph.node] == [n.op_type for n in first.graph.node]


def test_layers_are_those_that_a_user_would_have_written(tmp_path):
    model = chain(
        L.Conv2D(3, 3, padding="same", activation="relu"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(2),
        shape=(6, 6, 2),
    )
    to_onnx(model, tmp_path / "m.onnx")

    found = [type(layer).__name__ for layer in from_onnx(tmp_path / "m.onnx").layers]

    assert found == ["InputLayer", "Conv2D", "ReLU", "MaxPooling2D", "Flatten", "Dense"]


def test_a_layer_that_is_called_twice_is_one(tmp_path):
    model, _ = network("two towers")
    to_onnx(model, tmp_path / "m.onnx")

    other = from_onnx(tmp_path / "m.onnx")

    assert len(other.get_weights()) == len(model.get_weights())


def test_layers_that_begin_alike_are_two(tmp_path):
    model = chain(*(L.Dense(3, kernel_initializer="ones") for _ in range(2)), shape=(3,))
    to_onnx(model, tmp_path / "m.onnx")

    other = from_onnx(tmp_path / "m.onnx")

    assert len(other.get_weights()) == 4


# ------------------------------------------------------------------------------ others' graphs


def graph(path, nodes, constants, x=("batch", 3, 8, 8), opset=17, kind=1):
    """A file of somebody else's."""
    given = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    made = helper.make_graph(
        [helper.make_node(op, i, o, **a) for op, i, o, a in nodes],
        "theirs",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info("y", 1, None)],
        given,
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])
    proto.ir_version = 8
    path.write_bytes(proto.SerializeToString())
    return path


W = numbers(4, 3, 3, 3)
M, B = numbers(3, 4), numbers(4)
GRAPHS = {
    "pads on both sides": (
        [
            ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
            ("Relu", ["a"], ["b"], {}),
            (
                "MaxPool",
                ["b"],
                ["y"],
                {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
            ),
        ],
        {"w": W},
        (2, 3, 8, 8),
    ),
    "an average that counts zeros": (
        [
            (
                "AveragePool",
                ["x"],
                ["y"],
                {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
            )
        ],
        {},
        (2, 3, 8, 8),
    ),
    "a transposed convolution with pads": (
        [("ConvTranspose", ["x", "w"], ["y"], {"pads": [1, 0, 0, 1], "strides": [2, 3]})],
        {"w": numbers(3, 2, 3, 3)},
        (2, 3, 5, 4),
    ),
    "gemm": (
        [("Gemm", ["x", "w", "b"], ["y"], {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"w": M.T.copy(), "b": B},
        (2, 3),
    ),
    "a bias in front": (
        [("MatMul", ["x", "w"], ["a"], {}), ("Add", ["b", "a"], ["y"], {})],
        {"w": M, "b": B},
        (2, 3),
    ),
    "a bias that two read": (
        [
            ("MatMul", ["x", "w"], ["a"], {}),
            ("Add", ["a", "b"], ["c"], {}),
            ("Mul", ["a", "c"], ["y"], {}),
        ],
        {"w": M, "b": B},
        (2, 3),
    ),
    "clip": (
        [("Clip", ["x", "low", "high"], ["y"], {})],
        {"low": np.float32(-0.3), "high": np.float32(0.7)},
        (4, 3),
    ),
    "gelu as PyTorch writes it": (
        [
            ("Div", ["x", "r"], ["a"], {}),
            ("Erf", ["a"], ["e"], {}),
            ("Add", ["e", "one"], ["f"], {}),
            ("Mul", ["x", "f"], ["g"], {}),
            ("Mul", ["g", "h"], ["y"], {}),
        ],
        {"r": np.float32(2**0.5), "one": np.float32(1), "h": np.float32(0.5)},
        (4, 3),
    ),
    "slices, squeezed": (
        [
            ("Slice", ["x", "s", "e", "a", "t"], ["b"], {}),
            ("Squeeze", ["b", "q"], ["y"], {}),
        ],
        {
            "s": np.array([1, 7]),
            "e": np.array([2, -(2**62)]),
            "a": np.array([1, 2]),
            "t": np.array([1, -2]),
            "q": np.array([1]),
        },
        (2, 3, 8),
    ),
    "a shape that is reckoned": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
            ("Unsqueeze", ["n", "axis"], ["m"], {}),
            ("Concat", ["m", "rest"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["y"], {}),
        ],
        {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])},
        (2, 3, 4),
    ),
    "split and joined": (
        [
            ("Split", ["x"], ["a", "b"], {"axis": 1}),
            ("Concat", ["b", "a"], ["y"], {"axis": -1}),
        ],
        {},
        (2, 6),
    ),
    "a mean over the last axis": (
        [
            ("ReduceMean", ["x"], ["m"], {"axes": [-1], "keepdims": 1}),
            ("Sub", ["x", "m"], ["y"], {}),
        ],
        {},
        (2, 3, 4),
    ),
    "grouped": (
        [("Conv", ["x", "w", "b"], ["y"], {"group": 3, "auto_pad": "SAME_UPPER"})],
        {"w": numbers(6, 1, 3, 3), "b": numbers(6)},
        (2, 3, 5, 5),
    ),
    "a state that is given": (
        [
            ("Shape", ["x"], ["s"], {"start": 0, "end": 1}),
            ("Concat", ["one", "s", "five"], ["t"], {"axis": 0}),
            ("ConstantOfShape", ["t"], ["h"], {}),
            ("Transpose", ["x"], ["a"], {"perm": [1, 0, 2]}),
            ("GRU", ["a", "w", "r", "b", "", "h"], ["all", ""], {"hidden_size": 5}),
            ("Squeeze", ["all", "axis"], ["c"], {}),
            ("Transpose", ["c"], ["y"], {"perm": [1, 0, 2]}),
        ],
        {
            "one": np.array([1]),
            "five": np.array([5]),
            "axis": np.array([1]),
            "w": numbers(1, 15, 4),
            "r": numbers(1, 15, 5),
            "b": numbers(1, 30),
        },
        (2, 6, 4),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_of_others_does_what_onnxruntime_does(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    nodes, constants, shape = GRAPHS[name]
    path = graph(tmp_path / "m.onnx", nodes, constants, ("batch", *shape[1:]))
    x = numbers(*shape)

    y = from_onnx(path).predict(x, verbose=0)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    np.testing.assert_allclose(y, session.run(["y"], {"x": x})[0], rtol=1e-5, atol=1e-5)


def test_numbers_that_stand_one_by_one_are_read(tmp_path):
    path = tmp_path / "m.onnx"
    graph(path, [("MatMul", ["x", "w"], ["y"], {})], {"w": M}, ("batch", 3))
    proto = onnx.load(path)
    for kind, field in ((1, "float_data"), (11, "double_data"), (10, "int32_data")):
        tensor = onnx.TensorProto(name="w", dims=[3, 4], data_type=kind)
        values = M.astype(np.float16).view(np.uint16) if kind == 10 else M
        getattr(tensor, field).extend(values.reshape(-1).tolist())
        proto.graph.initializer[0].CopyFrom(tensor)
        path.write_bytes(proto.SerializeToString())

        [kernel] = from_onnx(path).get_weights()

        np.testing.assert_allclose(kernel, M, rtol=1e-3 if kind == 10 else 0)


ONE = np.float32(1)
REFUSED = {
    "an operator without a layer": ([("Sin", ["x"], ["y"], {})], {}, "operator 'Sin' is not read"),
    "a product over the batch": (
        [("Transpose", ["x"], ["a"], {"perm": [1, 0]}), ("MatMul", ["a", "w"], ["y"], {})],
        {"w": numbers(2, 3)},
        "MatMul .*along the batch",
    ),
    "a softmax over the batch": ([("Softmax", ["x"], ["y"], {"axis": 0})], {}, "over the batch"),
    "a reshape of the batch": (
        [("Reshape", ["x", "s"], ["y"], {})],
        {"s": np.array([-1, 1])},
        "does not leave the batch",
    ),
    "an error function alone": ([("Erf", ["x"], ["y"], {})], {}, "part of GELU"),
    "lengths of sequences": (
        [
            ("Unsqueeze", ["x", "a"], ["b"], {}),
            ("RNN", ["b", "w", "r", "", "l"], ["y"], {"hidden_size": 2}),
        ],
        {
            "a": np.array([2]),
            "w": numbers(1, 2, 1),
            "r": numbers(1, 2, 2),
            "l": np.array([1], np.int32),
        },
        "lengths of sequences",
    ),
    "an exponent that is computed": (
        [("Pow", ["x", "x"], ["y"], {})],
        {},
        "exponent is no constant",
    ),
    "a constant that goes out": ([("Relu", ["x"], ["a"], {})], {"y": ONE}, "'y' is a constant"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_layer_is_named(name, tmp_path):
    nodes, constants, match = REFUSED[name]
    path = graph(tmp_path / "m.onnx", nodes, constants, ("batch", 3))

    with pytest.raises(ModelFileError, match=rf"m\.onnx.*{match}"):
        from_onnx(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.onnx"):
        from_onnx(tmp_path / "m.npz")
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "m.onnx")
