"""Graphs in Keras' own files: it opens ours, we open its, and nothing is trusted."""

import json
import zipfile

import numpy as np
import pytest
from graphs_to_save import GRAPHS, as_drawn, predictions, rows, shared, stir
from keras_parity import keras_in

import backprop as bp
from backprop import layers
from backprop.nest import leaves

pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer",
    "ignore:When providing `inputs` as a dict",
)


@pytest.fixture
def keras():
    with keras_in("float32") as found:
        yield found


def arithmetic():
    x, c = bp.Input((5, 3), name="x"), np.array([1.0, 2.0, 3.0])
    numbers = [x - 1, 1 - x, x / 2, 2 / (x + 9), x**2, 2**x, -x, abs(x), 3 * x, 1 + x, x - c, x * c]
    arrays = [x / (x * x + 1), x - x * 2, x[:, 0] + c, x[:, 1:-1:2, ...], x[:, None, -1]]
    return bp.Model(x, numbers + arrays)


def cells():
    x = bp.Input((5, 3))
    y, h = layers.GRU(4, return_state=True)(x)
    stacked = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)]))
    both = layers.Bidirectional(layers.RNN(layers.GRUCell(4)))
    return bp.Model(x, [stacked(x), layers.GRU(4)(x, initial_state=h), both(x), y])


def attentions():
    q, v = bp.Input((4, 3)), bp.Input((5, 3))
    return bp.Model(
        [q, v],
        [
            layers.GroupQueryAttention(2, 2, 1)(q, v),
            layers.MultiHeadAttention(2, 3)(q, v, key=v, use_causal_mask=True),
            layers.MultiHeadAttention(2, 3, use_gate=True)(q),
            layers.AdditiveAttention()([q, v]),
            layers.Attention(use_scale=True)([q, v, v], use_causal_mask=True),
        ],
    )


def graph_in_a_wrapper_in_a_chain():
    x = bp.Input((3,))
    twice = layers.Dense(3)
    inner = bp.Model(x, twice(twice(x)), name="inner")
    chain = [bp.Input((5, 3)), layers.TimeDistributed(inner), layers.GlobalAveragePooling1D()]
    y = bp.Input((5, 3))
    return bp.Model(y, bp.Sequential(chain)(y))


def chain_of_a_graph():
    x = bp.Input((3,))
    inner = bp.Model(x, layers.Add()([layers.Dense(3)(x), x]), name="inner")
    return bp.Sequential([bp.Input((3,)), inner, layers.Dense(2)])


def several_outputs_of_which_one_is_used():
    x, a = bp.Input((3,)), bp.Input((3,), name="a")
    inner = bp.Model(x, [layers.Dense(3)(x), layers.Dense(2)(x)])
    p, q = inner(a)
    again, _ = inner(p)
    return bp.Model({"a": a}, {"u": q, "v": {"w": again}})


ALL = [
    *GRAPHS,
    *(arithmetic, cells, attentions, graph_in_a_wrapper_in_a_chain, chain_of_a_graph),
    several_outputs_of_which_one_is_used,
]
everywhere = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


def assert_close(found, expected):
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=2e-5, atol=2e-5)


@everywhere
def test_keras_opens_each_graph_and_gives_it_back(make, keras, tmp_path):
    model = stir(make())
    x = as_drawn(model, rows(model))
    model.save(tmp_path / "ours.keras")

    theirs = keras.saving.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    back = bp.models.load_model(tmp_path / "theirs.keras")
    same = bp.models.load_model(tmp_path / "ours.keras")

    expected = predictions(model)
    assert_close(theirs(x), expected)
    assert_close(predictions(back), expected)
    for a, b in zip(predictions(same), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [symbol.name for symbol in model.inputs] == [t.name for t in theirs.inputs]


@everywhere
def test_weights_stand_in_keras_order_and_places(make, keras, tmp_path):
    model = stir(make())
    model.save(tmp_path / "m.keras")
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    theirs.set_weights(stir(model, seed=1).get_weights())
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    expected = predictions(model)

    stir(model, seed=2).load_weights(tmp_path / "theirs.weights.h5")

    assert_close(predictions(model), expected)
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_close(theirs(as_drawn(model, rows(model))), expected)


@pytest.mark.parametrize("make", [shared, cells, attentions], ids=lambda make: make.__name__)
def test_the_optimizer_of_a_graph_goes_on_where_it_was(make, keras, tmp_path):
    model = make()
    x = as_drawn(model, rows(model))
    y = model.predict(x, verbose=0)
    model.compile("adam", "mae")
    model.fit(x, [a + 1 for a in y], verbose=0)
    model.save(tmp_path / "ours.keras")

    theirs = keras.saving.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    back = bp.models.load_model(tmp_path / "theirs.keras")

    for ours, other in zip(model.optimizer.variables, back.optimizer.variables, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6)
    assert back.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


def of_keras(keras):
    """A model that Keras makes: functions, operators, masks, calls with options."""
    L = keras.layers
    words, x = keras.Input((5,), dtype="int32", name="words"), keras.Input((4,), name="x")
    h = L.Embedding(9, 4, mask_zero=True)(words)
    y, _, _ = L.LSTM(4, return_sequences=True, return_state=True)(h)
    z = L.LSTM(4)(y)
    wide = L.Dense(4, activation="relu")
    a = L.add([wide(x), wide(z) * 0.5])
    b = L.Dropout(0.5)(L.concatenate([a, x]), training=False)
    outputs = {"first": L.Dense(2, name="first")(b), "second": L.Dense(1)(a - x)}
    return keras.Model(inputs=[words, x], outputs=outputs)


def test_a_model_of_keras_is_read(keras, tmp_path):
    theirs = of_keras(keras)
    theirs.save(tmp_path / "m.keras")

    ours = bp.models.load_model(tmp_path / "m.keras")
    again = bp.models.clone_model(ours)
    theirs.save_weights(tmp_path / "m.weights.h5")
    again.load_weights(tmp_path / "m.weights.h5")

    given = rows(ours)
    expected = theirs.predict(given, verbose=0)
    found = ours.predict(given, verbose=0)
    assert found.keys() == expected.keys()
    assert_close(found, expected)
    assert_close(again.predict(given, verbose=0), expected)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_a_graph_of_keras_does_and_we_do_not_is_named(keras, tmp_path):
    x = keras.Input((4,))
    keras.Model(x, keras.ops.sin(x)).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"m\.keras.*operation Sin of ops\.numpy"):
        bp.models.load_model(tmp_path / "m.keras")

    x = keras.Input((4, 2))
    mask = keras.Input((4,), dtype="bool")
    keras.Model([x, mask], keras.layers.LSTM(3)(x, mask=mask)).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="is called with mask="):
        bp.models.load_model(tmp_path / "m.keras")


def test_what_keras_has_not_is_refused(tmp_path):
    def write(model):
        model.save(tmp_path / "m.keras")

    x = bp.Input((4, 3))
    with pytest.raises(ValueError, match=r"MultiHeadAttention .*it stands in a Model"):
        write(bp.Sequential([x, layers.MultiHeadAttention(2, 2)]))
    with pytest.raises(ValueError, match=r"AddConstant .*no layer but an operator"):
        write(bp.Sequential([x, layers.AddConstant(2)]))
    tower = layers.Dense(3)
    inner = bp.Model(x, tower(x))
    with pytest.raises(ValueError, match="holds a layer once"):
        write(bp.Model(x, tower(inner(x))))
    assert not (tmp_path / "m.keras").exists()


def test_operations_that_nobody_reads_are_left_out_at_once(keras, tmp_path):
    shared().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as zipped:
        found = {name: zipped.read(name) for name in zipped.namelist()}
    config = json.loads(found["config.json"])
    before = "a"
    for i in range(3000):
        name = f"more_{i}"
        made = {"class_name": "Add", "config": {"name": name}, "module": "keras.src.ops.numpy"}
        calls = node(history(before, 0, 0), 1.0)
        config["config"]["layers"].append(made | {"name": name, "inbound_nodes": calls})
        before = name
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as zipped:
        for name, contents in (found | {"config.json": json.dumps(config)}).items():
            zipped.writestr(name, contents)

    assert len(bp.models.load_model(tmp_path / "m.keras").layers) == len(shared().layers)


# ---------------------------------------------------------------------- files that lie


def history(*of):
    return {"class_name": "__keras_tensor__", "config": {"shape": [1], "keras_history": list(of)}}


def node(*args, **kwargs):
    return [{"args": list(args), "kwargs": kwargs}]


def places_without_end(config):
    """Each layer reads the last of thousands of arrays of the one before."""
    before = history("a", 0, 0)
    for i in range(30):
        name = f"more_{i}"
        found = {"class_name": "Identity", "config": {"name": name}, "module": "keras.layers"}
        config["layers"].append(found | {"name": name, "inbound_nodes": node(before)})
        before = history(name, 0, 4095)


LIES = {
    "arrays without end": (places_without_end, "more than 65,536 arrays"),
    "a cycle": (
        lambda c: c["layers"][2].update(inbound_nodes=node(history("box", 0, 0))),
        "has a cycle, or a part that is not connected",
    ),
    "a call of what there is not": (
        lambda c: c["layers"][2].update(inbound_nodes=node(history("nobody", 0, 0))),
        "has a cycle, or a part that is not connected",
    ),
    "a place that there is not": (
        lambda c: c["layers"][-1].update(inbound_nodes=node(history("concatenate", 0, 7))),
        "puts out",
    ),
    "a history that is none": (
        lambda c: c["layers"][2].update(inbound_nodes=node(history("a", -1, 0))),
        "speaks of an array",
    ),
    "an array among more than there can be": (
        lambda c: c["layers"][2].update(inbound_nodes=node(history("a", 0, 10**9))),
        "speaks of an array",
    ),
    "an end among more than there can be": (
        lambda c: c.update(output_layers=[["box", 0, 10**9]]),
        "output_layers of its graph are",
    ),
    "a layer that is a function": (
        lambda c: c["layers"][-1].update(class_name="function", config="relu"),
        "is no layer",
    ),
    "a call without arrays": (
        lambda c: c["layers"][2].update(inbound_nodes=node()),
        "with 0 arguments",
    ),
    "too many arguments": (
        lambda c: c["layers"][-1].update(inbound_nodes=node(*[history("concatenate", 0, 0)] * 3)),
        "with 3 arguments",
    ),
    "a number for an array": (
        lambda c: c["layers"][2].update(inbound_nodes=node(3)),
        "is called on 3",
    ),
    "an option of another layer": (
        lambda c: c["layers"][-1].update(inbound_nodes=node(history("a", 0, 0), causal=True)),
        "is called with causal=True",
    ),
    "a call of Keras 2": (
        lambda c: c["layers"][2].update(inbound_nodes=[[["a", 0, 0, {}]]]),
        "which is not of Keras 3",
    ),
    "calls that are no list": (
        lambda c: c["layers"][2].update(inbound_nodes=7),
        "are no list",
    ),
    "two layers of one name": (lambda c: c["layers"][2].update(name="a"), "one by one"),
    "an input that is none": (
        lambda c: c.update(input_layers=[["concatenate", 0, 0], ["b", 0, 0]]),
        "cycle|InputLayer belongs|is an input",
    ),
    "an output that is none": (
        lambda c: c.update(output_layers=[["nobody", 0, 0]]),
        "which no call gives",
    ),
    "ends that are none": (lambda c: c.update(output_layers=[]), "output_layers of its graph are"),
    "ends that are a number": (lambda c: c.update(input_layers=3), "input_layers of its graph are"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_graph_that_lies_is_one_clear_error(lie, tmp_path):
    change, message = LIES[lie]
    path = tmp_path / "m.keras"
    shared().save(path)
    with zipfile.ZipFile(path) as zipped:
        found = {name: zipped.read(name) for name in zipped.namelist()}
    config = json.loads(found["config.json"])
    change(config["config"])
    with zipfile.ZipFile(path, "w") as zipped:
        for name, contents in (found | {"config.json": json.dumps(config)}).items():
            zipped.writestr(name, contents)

    with pytest.raises(ValueError, match=rf"m\.keras[\s\S]*({message})"):
        bp.models.load_model(path)


@pytest.mark.parametrize("weighted", [False, True])
def test_integers_without_weights_are_written_without(weighted, keras, tmp_path):
    x, w = bp.Input((3,), dtype="int64"), bp.Input((3,))
    encoding = layers.CategoryEncoding(6, output_mode="count")
    model = bp.Model([x, w], [encoding(x, count_weights=w) if weighted else encoding(x), w * 1])
    data = [np.array([[1, 2, 2]]), np.array([[1.0, 2.0, 3.0]], "float32")]
    model.save(tmp_path / "m.keras")

    expected = predictions_of(model, data)
    assert_close(predictions_of(bp.models.load_model(tmp_path / "m.keras"), data), expected)
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    theirs.save(tmp_path / "theirs.keras")
    assert_close(predictions_of(bp.models.load_model(tmp_path / "theirs.keras"), data), expected)


def predictions_of(model, data):
    return leaves(model.predict(data, verbose=0))
