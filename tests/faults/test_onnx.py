"""What can be wrong with a file of ONNX, by the way in which it is made up."""

import time
import tracemalloc

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L
from backprop.archive import ModelFileError
from backprop.interop import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")

MiB = 2**20


@pytest.fixture
def proto():
    return to_onnx(
        bp.Sequential([bp.Input((6, 6, 2)), L.Conv2D(3, 3), L.Flatten(), L.Dense(2, "relu")])
    )


def assert_refused(proto, path, match):
    """One clear error, at once and in little memory."""
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ModelFileError, match=rf"(?s){path.name}.*({match})") as caught:
            from_onnx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not set("\x1b\x07") & set(str(caught.value))
    assert time.process_time() - start < 1
    assert peak < 4 * MiB + 3 * path.stat().st_size


def external(proto):
    """The arrays are somewhere else, as large models have them; or so it says."""
    tensor = proto.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_in_silence(proto):
    proto.graph.initializer[0].external_data.add(key="location", value="../../secret")


def external_in_an_attribute(proto):
    node = proto.graph.node.add(op_type="Constant", output=["c"])
    tensor = onnx.TensorProto(dims=[1], data_type=1, data_location=1)
    node.attribute.add(name="value", type=4, t=tensor)


def huge(proto):
    proto.graph.initializer[0].dims[:] = [2**31, 2**31]


def huge_and_empty(proto):
    proto.graph.initializer[0].dims[:] = [0, 2**62]


def negative(proto):
    proto.graph.initializer[0].dims[:] = [-3, -18]


def many_axes(proto):
    proto.graph.initializer[0].dims[:] = [1] * 10_000


def of_texts(proto):
    proto.graph.initializer[0].data_type = onnx.TensorProto.STRING


def of_another_dtype(proto):
    proto.graph.initializer[0].data_type = onnx.TensorProto.DOUBLE


def a_loop(proto):
    node = proto.graph.node.add(op_type="Loop", input=["input"], output=["loop"])
    node.attribute.add(name="body", type=5, g=onnx.GraphProto(name="body"))


def a_python_operator(proto):
    proto.graph.node.add(op_type="PyOp", domain="ai.onnx.contrib", input=["input"], output=["z"])


def functions(proto):
    proto.functions.add(name="Conv", domain="")


def training(proto):
    proto.training_info.add()


def a_circle(proto):
    node = proto.graph.node[1]
    node.input[0] = proto.graph.node[-1].output[0]


def itself(proto):
    node = proto.graph.node[1]
    node.input[0] = node.output[0]


def one_name_twice(proto):
    proto.graph.node[2].output[0] = proto.graph.node[1].output[0]


def a_constant_twice(proto):
    proto.graph.initializer.append(proto.graph.initializer[0])


def no_output(proto):
    proto.graph.output[0].name = "elsewhere"


def nothing_in(proto):
    del proto.graph.input[:]


def of_the_future(proto):
    proto.opset_import[0].version = 10**6


def too_many_nodes(proto):
    for i in range(2**14 + 1):
        proto.graph.node.add(op_type="Relu", input=["input"], output=[f"r{i}"])


def too_many_inputs(proto):
    for i in range(5000):
        proto.graph.input.append(onnx.helper.make_tensor_value_info(f"i{i}", 1, [None, 1]))


def too_many_outputs(proto):
    node = proto.graph.node.add(op_type="Split", input=["input"])
    node.output.extend(f"s{i}" for i in range(2**15))


def a_huge_row(proto):
    """The matrix that a mean stands for would have so many numbers."""
    proto.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 2**40
    proto.graph.node[0].CopyFrom(
        onnx.helper.make_node("ReduceMean", ["input"], list(proto.graph.node[0].output), axes=[3])
    )


def a_table_of_others(proto):
    """A PReLU's slope that is shared would have as many numbers as the input."""
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 2), "f4"), "s"))
    proto.graph.node[0].CopyFrom(
        onnx.helper.make_node("PRelu", ["input", "s"], list(proto.graph.node[0].output))
    )


def escapes(proto):
    proto.graph.node[1].op_type = "\x1b]0;owned\x07"


def a_long_name(proto):
    proto.graph.node[1].op_type = "x" * 10**6


ATTACKS = {
    external: "lies in another file",
    external_in_silence: "lies in another file",
    external_in_an_attribute: "lies in another file",
    huge: "has 6 numbers|has 54 numbers|has 96 numbers|numbers",
    huge_and_empty: "numbers",
    negative: "has shape",
    many_axes: "has shape",
    of_texts: "dtype number 8",
    of_another_dtype: "numbers",
    a_loop: "of a kind that is not read",
    a_python_operator: "ai.onnx.contrib",
    functions: "functions",
    training: "steps of training",
    a_circle: "nothing before it makes",
    itself: "nothing before it makes",
    one_name_twice: "one name to two arrays",
    a_constant_twice: "one name to two arrays",
    no_output: "'elsewhere' is made by nothing",
    nothing_in: "no inputs|nothing before it makes",
    of_the_future: "versions 7 to",
    too_many_nodes: "arrays, more than",
    too_many_outputs: "arrays, more than",
    too_many_inputs: "5,001 inputs, more than 512",
    a_huge_row: "to reckon out",
    a_table_of_others: "more than there are weights|at most",
    escapes: "owned",
    a_long_name: "is not read",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_made_up_graph_is_one_clear_error(attack, proto, tmp_path):
    attack(proto)

    assert_refused(proto, tmp_path / "m.onnx", ATTACKS[attack])


def test_what_is_no_graph_is_one_clear_error(tmp_path):
    deep = onnx.ModelProto()
    inner = deep.graph.node.add().attribute.add()
    for _ in range(150):  # graphs in graphs
        inner = inner.g.node.add().attribute.add()
    for contents in (b"", b"PK\x03\x04" * 9, bytes(1000), b"\xff" * 1000, deep.SerializeToString()):
        assert_refused(contents, tmp_path / "m.onnx", "")


def test_a_file_cut_off_anywhere_is_refused(proto, tmp_path):
    contents = proto.SerializeToString()

    for size in range(0, len(contents) - 1, 37):
        (tmp_path / "m.onnx").write_bytes(contents[:size])
        with pytest.raises(ModelFileError, match=r"m\.onnx"):
            from_onnx(tmp_path / "m.onnx")
