"""Graphs saved, loaded, copied, cloned."""

import copy
import json
import pickle

import numpy as np
import pytest
from graphs_to_save import GRAPHS, as_drawn, nested, predictions, rows, shared, stir

import backprop as bp
from backprop import archive, layers

graphs = pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)


def assert_alike(twin, model):
    for a, b in zip(predictions(twin), predictions(model), strict=True):
        np.testing.assert_array_equal(a, b)


def saved_and_loaded(model, path, **options):
    model.save(path / "model.npz")
    return bp.models.load_model(path / "model.npz", **options)


class Square(bp.Model):
    """A model whose constructor draws."""

    def __init__(self, units=3, **options):
        x = bp.Input((units,), name="x")
        super().__init__(x, layers.Dense(units, name="dense")(x), **options)
        self.units = units


class Named(bp.Model):
    """A model with an argument besides."""

    def __init__(self, inputs, outputs, classes=2, trainable=True, name=None):
        super().__init__(inputs, outputs, trainable=trainable, name=name)
        self.classes = classes


class Twice(layers.Layer):
    def forward(self, x, ctx=None):
        return 2 * x, None

    def backward(self, dy, cache):
        return 2 * dy


OWN = {"Square": Square, "Named": Named, "Twice": Twice}


# ---------------------------------------------------------------------- files


@graphs
def test_a_graph_from_a_file_is_the_graph(make, tmp_path):
    model = stir(make())
    twin = saved_and_loaded(model, tmp_path)

    assert_alike(twin, model)
    assert twin.get_config() == model.get_config()
    assert [layer.trainable for layer in twin.layers] == [la.trainable for la in model.layers]


@graphs
def test_a_graph_goes_on_training_from_a_file_bit_for_bit(make, tmp_path):
    model = make()
    x = as_drawn(model, rows(model))
    y = model.predict(x, verbose=0)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    twin = saved_and_loaded(model, tmp_path)

    assert twin.fit(x, y, verbose=0).history == model.fit(x, y, verbose=0).history


@graphs
def test_weights_go_to_a_graph_of_the_same_layers(make, tmp_path):
    model, twin = stir(make()), make()
    model.save_weights(tmp_path / "model.npz")
    twin.load_weights(tmp_path / "model.npz")

    assert_alike(twin, model)


@graphs
def test_json_describes_a_graph(make):
    model = stir(make())
    twin = bp.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())

    assert_alike(twin, model)
    assert twin.to_json() == model.to_json()


@graphs
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deep", "byte"]
)
def test_a_copied_graph_has_memory_of_its_own(make, copied):
    model = stir(make())
    twin = copied(model)

    assert_alike(twin, model)
    twin.parameters.values[:] = 0
    assert model.parameters.values.any()


@graphs
def test_a_graph_in_another_precision_computes_the_same(make):
    model = stir(make())
    twin = model.astype("float64")

    for a, b in zip(predictions(twin), predictions(model), strict=True):
        assert a.dtype == "float64" or a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_a_stateful_layer_carries_stays_with_a_copy():
    x = bp.Input(batch_shape=(4, 5, 3))
    model = bp.Model(x, layers.LSTM(4, stateful=True)(x))
    model.predict(rows(model)[0], verbose=0)
    twin = copy.deepcopy(model)

    assert_alike(twin, model)


def test_a_graph_of_1000_layers_is_saved_and_copied(tmp_path):
    x = y = bp.Input((2,))
    for _ in range(500):
        y = layers.Add()([layers.Activation("tanh")(y), x])
    model = bp.Model(x, y)

    for twin in (
        saved_and_loaded(model, tmp_path),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        bp.models.clone_model(model),
    ):
        assert_alike(twin, model)


# ---------------------------------------------------------------------- classes of one's own


def test_a_model_whose_constructor_draws_is_made_by_its_arguments(tmp_path):
    model = Square(5, name="own")
    twin = saved_and_loaded(model, tmp_path, custom_objects=OWN)

    assert type(twin) is Square
    assert twin.units == 5
    assert model.get_config().keys() == {"units", "trainable", "name"}
    assert_alike(twin, model)


def test_a_model_with_an_argument_besides_keeps_it(tmp_path):
    x = bp.Input((3,))
    model = Named(x, Twice()(layers.Dense(2)(x)), classes=7)
    twin = saved_and_loaded(model, tmp_path, custom_objects=OWN)

    assert type(twin) is Named
    assert twin.classes == 7
    assert_alike(twin, model)


@pytest.mark.parametrize("function", [None, lambda la: type(la).from_config(la.get_config())])
def test_a_clone_is_of_the_class_and_needs_no_registration(function):
    model = Square(4)
    model.seen = bp.metrics.Mean(name="seen")
    model.first = model.get_layer("dense")
    twin = bp.models.clone_model(model, clone_function=function)

    assert type(twin) is Square
    assert twin.first is twin.get_layer("dense") is not model.first
    assert twin.seen is not model.seen
    assert twin.get_config() == model.get_config()


# ---------------------------------------------------------------------- clones


@graphs
@pytest.mark.parametrize(
    "function", [None, lambda la: type(la).from_config(la.get_config())], ids=["default", "own"]
)
def test_a_clone_of_a_graph_has_fresh_values(make, function):
    model = make()
    model.compile("adam", "mse")
    twin = bp.models.clone_model(model, clone_function=function)

    assert twin.compiled
    assert not {id(p) for p in twin.arrays()} & {id(p) for p in model.arrays()}
    twin.set_weights(model.get_weights())
    assert_alike(twin, model)
    assert twin.get_config() == model.get_config()


def test_a_clone_begins_with_the_arrays_that_it_is_given():
    model = stir(shared())
    x = bp.Input((3,), name="x")
    h = layers.Dense(3, name="before")(x)
    twin = bp.models.clone_model(model, input_tensors=[x, h])
    twin.set_weights(model.get_weights())

    assert twin.inputs[0] is x
    assert "before" not in [layer.name for layer in twin.layers]
    for a, b in zip(twin.predict(rows(model), verbose=0), predictions(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_of_a_chain_begins_with_an_input_of_ones_own():
    model = bp.Sequential([bp.Input((3,)), layers.Dense(2)])
    twin = bp.models.clone_model(model, input_tensors=[bp.Input((3,), name="mine")])

    assert twin.inputs[0].name == "mine"
    with pytest.raises(ValueError, match="begins with what Input"):
        bp.models.clone_model(model, input_tensors=[3])


def test_a_call_function_puts_layers_between():
    def halved(layer, x, **options):
        y = layer(x, **options)
        return layers.Rescaling(0.5)(y) if layer.name == "box" else y

    model = stir(shared())
    twin = bp.models.clone_model(model, call_function=halved)
    for layer in model.layers:
        twin.get_layer(layer.name).set_weights(layer.get_weights())
    expected = predictions(model)
    found = predictions(twin)

    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1] / 2)
    with pytest.raises(ValueError, match="call_function is for a Model"):
        bp.models.clone_model(bp.Sequential([layers.Dense(2)]), call_function=halved)


def test_models_within_are_cloned_layer_by_layer_if_asked():
    met = []

    def noted(layer):
        met.append(layer.name)
        return type(layer).from_config(layer.get_config())

    bp.models.clone_model(nested(), clone_function=noted)
    outside = list(met)
    met.clear()
    twin = bp.models.clone_model(nested(), clone_function=noted, recursive=True)

    assert "tower" in outside
    assert "tower" not in met
    assert len(met) > len(outside)
    assert twin.get_layer("tower").name == "tower"


def test_functions_that_return_no_layers_are_refused():
    with pytest.raises(TypeError, match="clone_function returns a layer, and returned None"):
        bp.models.clone_model(shared(), clone_function=lambda layer: None)
    with pytest.raises(TypeError, match="call_function returned None"):
        bp.models.clone_model(shared(), call_function=lambda layer, x: None)
    with pytest.raises(ValueError, match="has 2 inputs, a, b, and got one Symbol"):
        bp.models.clone_model(shared(), input_tensors=bp.Input((3,)))


# ---------------------------------------------------------------------- configurations that lie


def spoilt(change):
    config = json.loads(shared().to_json())
    change(config["config"])
    return json.dumps(config)


LIES = {
    "a call reads what is made later": (
        lambda c: c["calls"][0].__setitem__(1, 4),
        "speaks of array 4 where there are 2 so far",
    ),
    "a call reads itself": (
        lambda c: c["calls"][0].__setitem__(1, c["calls"][0][2]),
        "speaks of array 2 where there are 2 so far",
    ),
    "a layer out of range": (
        lambda c: c["calls"][0].__setitem__(0, 99),
        "speaks of layer 99 where there are 6",
    ),
    "a negative number": (
        lambda c: c["calls"][0].__setitem__(1, -1),
        "speaks of array -1",
    ),
    "a number that is text": (
        lambda c: c["calls"][0].__setitem__(1, "0"),
        "speaks of array '0'",
    ),
    "true for a number": (
        lambda c: c["calls"][0].__setitem__(0, True),
        "speaks of layer True",
    ),
    "no array where one belongs": (
        lambda c: c["calls"][0].__setitem__(1, None),
        "speaks of array None",
    ),
    "an output out of range": (
        lambda c: c["outputs"].__setitem__(0, 77),
        "speaks of array 77",
    ),
    "an input that is no input": (
        lambda c: c.update(inputs=[5, 1], calls=c["calls"][:1], outputs=[2]),
        "where an InputLayer belongs",
    ),
    "one input twice": (
        lambda c: c["inputs"].__setitem__(0, c["inputs"][1]),
        "has one input twice",
    ),
    "an input that a call uses": (
        lambda c: c["calls"][0].__setitem__(0, c["inputs"][0]),
        "which is an input",
    ),
    "a call that is none": (
        lambda c: c["calls"].__setitem__(0, [1]),
        r"lists calls as \[layer, reads, writes, training\]",
    ),
    "arrays written twice": (
        lambda c: c["calls"][1].__setitem__(2, c["calls"][0][2]),
        "the arrays that it writes are the next ones",
    ),
    "more arrays than the layer puts out": (
        lambda c: c.__setitem__("calls", [[2, 0, [2, 3], None]]) or c.__setitem__("outputs", [2]),
        "puts out 2 arrays, and it puts out 1",
    ),
    "a training that is none": (
        lambda c: c["calls"][0].__setitem__(3, "yes"),
        "training is true, false or null",
    ),
    "two layers of one name": (
        lambda c: c["layers"][-1]["config"].__setitem__("name", c["layers"][-2]["config"]["name"]),
        "already has a layer named",
    ),
    "several arrays for a layer of one": (
        lambda c: c["calls"][0].__setitem__(1, [0, 1]),
        "takes one|one input",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_configuration_that_lies_is_one_clear_error(lie):
    change, message = LIES[lie]
    text = spoilt(change)

    with pytest.raises((ValueError, TypeError), match=message):
        bp.models.model_from_json(text)


@pytest.mark.parametrize("key", ["layers", "inputs", "outputs", "calls"])
@pytest.mark.parametrize("value", [None, 3, "x", {}, [[]], [None]])
def test_a_file_that_lies_names_itself(key, value, tmp_path):
    def change(header):
        header["model"]["config"][key] = value

    path = tmp_path / "model.npz"
    shared().save(path)
    rewritten(path, change)

    with pytest.raises(ValueError, match=r"model\.npz"):
        bp.models.load_model(path)


def rewritten(path, change):
    """Change the header of a model file, with a manifest that fits."""
    header, arrays = archive.read(path, ("model",))
    change(header)
    archive.write(path, "model", header, arrays)


def test_nothing_is_made_before_the_calls_of_a_configuration_are_known(monkeypatch):
    text = spoilt(lambda c: c["calls"][-1].__setitem__(1, 50))
    made = []
    monkeypatch.setattr(layers.Dense, "build", lambda self, shape: made.append(self))

    with pytest.raises(ValueError, match="speaks of array 50"):
        bp.models.model_from_json(text)
    assert not made


def test_a_graph_keeps_its_dtype_whatever_the_default_is_by_then(tmp_path):
    bp.config.set_floatx("float64")
    x = bp.Input((3,))
    within = bp.Sequential([bp.Input((3,)), bp.layers.Dense(3)])
    h = bp.Model(x, bp.layers.Dense(3)(x))(within(bp.layers.Residual([bp.layers.Dense(3)])(x)))
    model = bp.Model(x, bp.layers.Dense(2)(h))
    bp.config.set_floatx("float32")
    given = np.random.default_rng(0).normal(size=(2, 3))

    twin = saved_and_loaded(model, tmp_path)
    described = bp.models.model_from_json(model.to_json())
    cloned = bp.models.clone_model(model)

    np.testing.assert_array_equal(twin(given), model(given))
    for one in (model, twin, described, cloned):
        assert one(given).dtype == one.input.dtype == np.float64
