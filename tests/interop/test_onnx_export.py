"""Models as files of ONNX: onnxruntime, which knows nothing of layers, gives their numbers."""

import os

import numpy as np
import pytest
from layer_examples import DRAWN
from onnx_networks import IDS, NETWORKS, alone, chain, network, numbers, predicted

import backprop as bp
from backprop import layers as L
from backprop.interop import to_onnx
from backprop.interop.live.table import carried

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(proto, x):
    """What onnxruntime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, x, strict=True)))


def assert_equal(proto, model, x):
    for found, wanted in zip(run(proto, x), predicted(model, x), strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_the_numbers_of_a_network(name):
    model, x = network(name)

    assert_equal(to_onnx(model), model, x)


@pytest.mark.parametrize("opset", [17, 22])
@pytest.mark.parametrize("name", [name for name in carried() if name not in DRAWN])
def test_each_layer_that_the_table_names_has_its_numbers_in_onnx(name, opset):
    model, x = alone(name)

    assert_equal(to_onnx(model, opset=opset), model, x)


@pytest.mark.parametrize("length", [6, None])
@pytest.mark.parametrize(
    "layers",
    [
        [L.LSTM(3, return_sequences=True), L.Dense(2), L.GlobalAveragePooling1D()],
        [L.GRU(3, reset_after=False, return_sequences=True, zero_output_for_mask=True)],
        [L.GRU(3, go_backwards=True)],
        [L.SimpleRNN(3, "relu", return_sequences=True), L.LayerNormalization(), L.SimpleRNN(2)],
        [L.Bidirectional(L.LSTM(3, return_sequences=True), "sum"), L.GlobalAveragePooling1D()],
        [L.MultiHeadAttention(2, 3), L.GlobalAveragePooling1D()],
        [L.TransformerBlock(8, 2, num_key_value_heads=1, use_causal_mask=True), L.LSTM(2)],
        [L.PositionEmbedding(6), L.Dropout(0.3), L.Residual([L.Dense(4)]), L.LSTM(3)],
        [L.TimeDistributed(L.Dense(3)), L.LSTM(2, recurrent_activation="hard_sigmoid")],
        [L.LSTM(2, activation="hard_sigmoid"), L.ReLU()],
        [L.MultiHeadAttention(2, 3, use_causal_mask=True, sliding_window=2), L.LSTM(2)],
    ],
)
def test_padding_behind_a_sequence_moves_nothing_there_either(layers, length):
    model = chain(
        L.Embedding(9, 4, mask_zero=True),
        *(layer.from_config(layer.get_config()) for layer in layers),
        shape=(length,),
    )

    assert_equal(to_onnx(model), model, (IDS,))


def kinds(proto):
    return [node.op_type for node in proto.graph.node]


def test_axes_are_not_turned_between_convolutions():
    model = chain(
        *(L.Conv2D(3, 3, padding="same", activation="relu") for _ in range(2)),
        L.BatchNormalization(),
        L.MaxPooling2D(),
        L.Conv2D(2, 1),
        L.GlobalAveragePooling2D(),
        shape=(8, 8, 3),
    )

    assert kinds(to_onnx(model)).count("Transpose") == 1


def test_channels_in_front_are_never_turned():
    model, _ = network("channels in front")

    assert "Transpose" not in kinds(to_onnx(model))


def test_the_file_is_what_is_returned(tmp_path):
    model, x = network("lenet")

    proto = to_onnx(model, tmp_path / "m.onnx")

    assert onnx.load(tmp_path / "m.onnx") == proto
    assert_equal(onnx.load(tmp_path / "m.onnx"), model, x)
    assert os.listdir(tmp_path) == ["m.onnx"]


def test_inputs_and_outputs_have_the_names_and_shapes_of_the_model():
    model, _ = network("two towers")

    graph = to_onnx(model).graph

    assert [i.name for i in graph.input] == model.input_names == ["a", "b"]
    assert [o.name for o in graph.output] == model.output_names
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [shape[0].dim_param, shape[1].dim_value] == ["batch", 4]


def test_a_model_of_float64_is_written_in_float32():
    before = bp.config.floatx()
    bp.config.set_floatx("float64")
    try:
        model = chain(L.Dense(3, "tanh"), shape=(4,))
        assert model.dtype == np.float64
        assert_equal(to_onnx(model), model, (numbers(2, 4),))
    finally:
        bp.config.set_floatx(before)


class Own(L.Dense):
    def forward(self, x, ctx=bp.INFERENCE):
        y, cache = super().forward(x, ctx)
        return 2 * y, cache


class OwnChain(L.Chain):
    def propagate(self, x, ctx):
        y, cache, mask = super().propagate(x, ctx)
        return 2 * y, cache, mask


REFUSED = [
    (lambda: [OwnChain([L.Dense(2)])], r"OwnChain.*outside of the library"),
    (lambda: [L.Sparsemax()], r"Sparsemax\(\) \(sparsemax\).*it sorts"),
    (lambda: [Own(2)], r"Own\(2\).*outside of the library"),
    (lambda: [L.Residual([L.Sparsemax()])], r"\(residual/chain/sparsemax\)"),
    (lambda: [L.Reshape((2, 2)), L.RNN(L.GRUCell(2))], "RNN.*a loop of operators"),
    (lambda: [L.Dense(2, "sparsemax")], r"\(dense/sparsemax\)"),
    (lambda: [L.Reshape((2, 2)), L.LSTM(2, "gelu")], "GELU.*no place in ONNX' loops"),
    (
        lambda: [L.Embedding(9, 4, mask_zero=True), L.Conv1D(2, 2)],
        "Conv1D.*a mask comes to it",
    ),
    (
        lambda: [L.Reshape((2, 2)), L.MultiHeadAttention(1, 2, rotary=True)],
        "MultiHeadAttention.*rotary",
    ),
    (lambda: [L.StringLookup(vocabulary=["a"])], "strings"),
]


@pytest.mark.parametrize(("layers", "match"), REFUSED)
def test_what_onnx_cannot_say_is_named_and_nothing_is_written(layers, match, tmp_path):
    first = layers()[0]
    dtype = "string" if isinstance(first, L.StringLookup) else None
    model = bp.Sequential([bp.Input((4,), dtype=dtype), *layers()])

    with pytest.raises(ValueError, match=match):
        to_onnx(model, tmp_path / "m.onnx")

    assert os.listdir(tmp_path) == []


def test_wrong_arguments_are_named(tmp_path):
    model = chain(L.Dense(2), shape=(3,))
    with pytest.raises(ValueError, match=r"\.onnx"):
        to_onnx(model, tmp_path / "m.npz")
    for opset in (16, 99):
        with pytest.raises(ValueError, match="opset"):
            to_onnx(model, opset=opset)
    with pytest.raises(ValueError, match="not built"):
        to_onnx(bp.Sequential([L.Dense(2)]))
    with pytest.raises(FileNotFoundError):
        to_onnx(model, tmp_path / "gone" / "m.onnx")
