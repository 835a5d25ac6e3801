"""Masks in graphs of ONNX: lengths of sequences come back as what makes masks here."""

import numpy as np
import pytest
from onnx_networks import chain, numbers, predicted

import backprop as bp
from backprop import layers as L
from backprop.archive import ModelFileError
from backprop.interop import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

WORDS = np.array([[3, 1, 4, 0, 0, 0], [1, 5, 2, 6, 5, 3], [2, 0, 0, 0, 0, 0]], np.int32)
OVER_WORDS = [
    [L.LSTM(3, return_sequences=True), L.Dense(2), L.GlobalAveragePooling1D()],
    [L.GRU(3, reset_after=False, return_sequences=True, zero_output_for_mask=True)],
    [L.GRU(3, go_backwards=True)],
    [L.SimpleRNN(3, "relu", return_sequences=True), L.LayerNormalization(), L.SimpleRNN(2)],
    [L.Bidirectional(L.LSTM(3, return_sequences=True), "sum"), L.GlobalAveragePooling1D()],
    [L.Bidirectional(L.GRU(3, return_sequences=True)), L.Bidirectional(L.LSTM(2)), L.Dense(2)],
    [L.Dropout(0.3), L.Residual([L.Dense(4)]), L.LSTM(3)],
    [L.GlobalAveragePooling1D(keepdims=True)],
]


@pytest.mark.parametrize("length", [6, None])
@pytest.mark.parametrize("layers", OVER_WORDS, ids=str)
def test_masks_come_back_as_lengths_of_sequences(layers, length, tmp_path):
    given = [layer.from_config(layer.get_config()) for layer in layers]
    model = chain(L.Embedding(9, 4, mask_zero=True), *given, shape=(length,))
    to_onnx(model, tmp_path / "m.onnx")

    other = from_onnx(tmp_path / "m.onnx")

    for words in (WORDS, WORDS[:1, :4]) if length is None else (WORDS,):
        for found, wanted in zip(predicted(other, [words]), predicted(model, [words]), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert other.layers[1].mask_zero and other.count_params() == model.count_params()


def test_what_masking_masks_comes_back(tmp_path):
    layers = [L.Dense(4), L.LSTM(4, return_sequences=True), L.GRU(3)]
    model = bp.Sequential([bp.Input((5, 3)), L.Masking(0.5), *layers])
    x = numbers(3, 5, 3)
    x[0, 3:], x[1, 1:] = 0.5, 0.5
    to_onnx(model, tmp_path / "m.onnx")

    other = from_onnx(tmp_path / "m.onnx")

    np.testing.assert_allclose(other.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    kinds = [type(layer).__name__ for layer in other.layers]
    assert kinds == ["InputLayer", "Masking", "Dense", "LSTM", "GRU"]
    assert not other.layers[3].return_state


def without_lengths(proto, keep):
    """The graph with recurrent operators, but `keep` of them, that know no lengths."""
    known = [node for node in proto.graph.node if node.op_type in ("LSTM", "GRU")]
    for node in known[keep:]:
        node.input[4] = ""
    return proto


@pytest.mark.parametrize(
    ("layers", "change", "match"),
    [
        ([L.MultiHeadAttention(2, 3)], None, "of masks"),
        ([L.LSTM(3, return_sequences=True), L.GRU(2)], 1, "other masks"),
        ([L.GRU(3)], 0, "other masks"),
    ],
)
def test_masks_that_layers_would_take_otherwise_are_refused(layers, change, match, tmp_path):
    model = chain(L.Embedding(9, 4, mask_zero=True), *layers, shape=(6,))
    proto = to_onnx(model)
    if change is not None:
        proto = without_lengths(proto, change)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())

    with pytest.raises(ModelFileError, match=match):
        from_onnx(tmp_path / "m.onnx")


def test_a_mask_that_comes_to_a_layer_which_the_graph_did_not_mean_is_refused(tmp_path):
    model = chain(L.Embedding(9, 4, mask_zero=True), L.LSTM(3, return_sequences=True), shape=(6,))
    proto = to_onnx(model)
    softmax = helper.make_node("Softmax", [proto.graph.output[0].name], ["p"], axis=1)
    proto.graph.node.append(softmax)
    proto.graph.output[0].name = "p"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())

    with pytest.raises(ModelFileError, match="a mask, of which its graph knows nothing"):
        from_onnx(tmp_path / "m.onnx")


def test_lengths_that_are_given_are_refused(tmp_path):
    model = chain(L.Embedding(9, 4, mask_zero=True), L.GRU(3), shape=(6,))
    proto = to_onnx(model)
    [node] = [node for node in proto.graph.node if node.op_type == "GRU"]
    node.input[4] = "lengths"
    proto.graph.initializer.append(numpy_helper.from_array(np.full(3, 2, np.int32), "lengths"))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())

    with pytest.raises(ModelFileError, match="not those of a mask"):
        from_onnx(tmp_path / "m.onnx")
