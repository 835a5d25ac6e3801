"""What a model can be asked: gradients by name and with respect to the inputs, activations."""

import numpy as np
import pytest

import backprop as bp
from backprop.layer import INFERENCE, Layer
from backprop.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Parallel,
    Residual,
    TransformerBlock,
)
from backprop.models.insight import left_as_it_was


class Sum(Layer):
    """y = a + b."""

    several_inputs = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        return x[0] + x[1], None

    def backward(self, dy, cache):
        return dy, dy


class Split(Layer):
    """a, b: the halves of x."""

    def compute_output_shape(self, input_shape):
        half = (*input_shape[:-1], input_shape[-1] // 2)
        return half, half

    def forward(self, x, ctx=INFERENCE):
        return tuple(np.split(x, 2, axis=-1)), None

    def backward(self, dy, cache):
        return np.concatenate(dy, axis=-1)


def chain():
    bp.utils.set_random_seed(0)
    return bp.Sequential(
        [
            Input((5,)),
            Dense(6, "tanh", kernel_regularizer="l2", activity_regularizer="l2"),
            BatchNormalization(),
            Dropout(0.3),
            Residual([Dense(6, "sigmoid")]),
            Dense(3, "softmax"),
        ],
        dtype="float64",
    )


def forked():
    """Two inputs, a layer in two places, a fork."""
    bp.config.set_floatx("float64")
    bp.utils.set_random_seed(0)
    try:
        a, b = Input((5,), name="a"), Input((5,), name="b")
        tower = Dense(4, "tanh", name="tower", activity_regularizer="l2", bias_regularizer="l2")
        h = Sum()([tower(a), tower(b)])
        y = Dense(3, "softmax", name="class")(Sum()([h, BatchNormalization()(h)]))
        return bp.Model([a, b], y)
    finally:
        bp.config.set_floatx("float32")


def data(model, rows=7):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(rows, 5)) for _ in model.inputs]
    return x if len(x) > 1 else x[0], rng.integers(0, 3, rows), rng.uniform(0.5, 2, rows)


def moved(model, seed=1):
    """The model with other values than it was made with."""
    rng = np.random.default_rng(seed)
    for p in model.arrays():
        p.value[...] += rng.uniform(0.1, 0.4, p.shape)
    return model


def slope(f, array, u, h=1e-5):
    """The change of f as the array moves along u."""
    before = array.copy()
    array[...] = before + h * u
    above = f()
    array[...] = before - h * u
    below = f()
    array[...] = before
    return (above - below) / (2 * h)


def assert_slopes(f, pairs):
    """Each gradient is the slope of f along a random direction."""
    rng = np.random.default_rng(5)
    for name, array, gradient in pairs:
        u = rng.normal(size=array.shape)
        np.testing.assert_allclose(
            (gradient * u).sum(), slope(f, array, u), 1e-6, 1e-8, err_msg=name
        )


def weights_of(model, found):
    return [
        (f"{layer.name}/{name}", layer_array(layer, name), gradient)
        for layer in model.layers
        for name, gradient in found.get(layer.name, {}).items()
    ]


def layer_array(layer, path):
    """The array of a layer, or of one within it, by its path."""
    *within, name = path.split("/")
    found = [part for part in layer.walk() if not within or part.name == within[0]]
    return found[0]._parameters[name].value


@pytest.mark.parametrize("make", [chain, forked])
def test_gradients_are_the_slopes_of_what_evaluate_says(make):
    model = moved(make())
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y, w = data(model)

    def loss():
        return model.evaluate(x, y, sample_weight=w, batch_size=7, verbose=0)

    assert_slopes(loss, weights_of(model, model.gradients(x, y, w)))
    dx = model.gradients(x, y, w, wrt="inputs")
    x, dx = (v if isinstance(v, list) else [v] for v in (x, dx))
    inputs = list(zip(model.inputs, x, dx, strict=True))
    x = x if len(x) > 1 else x[0]
    assert_slopes(loss, [(symbol.name, array, d) for symbol, array, d in inputs])


def test_gradients_of_several_losses_are_the_slopes_of_their_sum():
    bp.config.set_floatx("float64")
    try:
        x = Input((5,))
        h = Dense(4, "tanh", name="trunk", kernel_regularizer="l2")(x)
        outputs = {"class": Dense(3, "softmax", name="class")(h), "size": Dense(1, name="size")(h)}
        model = moved(bp.Model(x, outputs | {"seen": h}))
    finally:
        bp.config.set_floatx("float32")
    losses = {"class": "sparse_categorical_crossentropy", "size": "mse"}
    model.compile("adam", losses, loss_weights={"class": 2.0, "size": 0.5})
    rows, classes, w = data(model)
    y = {"class": classes, "size": rows[:, :1].copy()}
    weights = {"class": w, "size": w[::-1].copy()}

    def loss():
        logs = model.evaluate(rows, y, 7, sample_weight=weights, verbose=0, return_dict=True)
        return logs["loss"]

    assert_slopes(loss, weights_of(model, model.gradients(rows, y, weights)))
    dx = model.gradients(rows, y, weights, wrt="inputs")
    assert_slopes(loss, [("x", rows, dx)])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [chain, forked])
def test_gradients_of_dy_are_the_slopes_of_the_outputs_alone(make, training):
    model = moved(make())
    x, _, _ = data(model)
    dy = np.array([0.5, -2.0, 1.0])
    found = {
        wrt: model.gradients(x, dy=dy, training=training, wrt=wrt) for wrt in ("weights", "inputs")
    }

    def weighed():
        with left_as_it_was(model):
            return (dy * model(x, training=training)).sum()

    assert_slopes(weighed, weights_of(model, found["weights"]))
    arrays, dx = (v if isinstance(v, list) else [v] for v in (x, found["inputs"]))
    names = [symbol.name for symbol in model.inputs]
    assert_slopes(weighed, zip(names, arrays, dx, strict=True))


def test_in_training_it_is_what_a_step_descends_on():
    model = moved(chain())
    model.compile(bp.optimizers.SGD(0.1), "sparse_categorical_crossentropy", loss_weights=2.0)
    x, y, w = data(model)
    found = model.gradients(x, y, w, training=True)
    before = {name: array.copy() for name, array, _ in weights_of(model, found)}
    model.train_on_batch(x, y, w)

    for name, array, gradient in weights_of(model, found):
        np.testing.assert_allclose((before[name] - array) / 0.1, gradient, 1e-7, err_msg=name)


def test_several_outputs_have_a_dy_each():
    x = Input((4,))
    a, b = Split()(Dense(6, "tanh", name="both")(x))
    model = bp.Model(x, {"a": Dense(2, name="first")(a), "b": Dense(3, name="second")(b)})
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    both = model.gradients(rows, dy={"a": 1.0, "b": [1.0, 2.0, 3.0]})
    first = model.gradients(rows, dy={"a": 1.0, "b": None})
    second = model.gradients(rows, dy={"first": None, "second": [1.0, 2.0, 3.0]})

    np.testing.assert_allclose(first["first"]["bias"], [5, 5])
    np.testing.assert_array_equal(first["second"]["kernel"], 0)
    for layer, arrays in both.items():
        for name, gradient in arrays.items():
            np.testing.assert_allclose(
                first[layer][name] + second[layer][name], gradient, 1e-5, 1e-6, err_msg=name
            )


def test_a_saliency_map_is_the_slope_of_one_unit():
    model = bp.Sequential([Input((2, 3)), Flatten(), Dense(4, name="dense")])
    x = np.ones((2, 2, 3), "float32")
    dx = model.gradients(x, dy=np.eye(4)[2], wrt="inputs")

    kernel = model.get_layer("dense").kernel
    np.testing.assert_allclose(dx, np.broadcast_to(kernel[:, 2].reshape(2, 3), x.shape))


def test_arrays_of_layers_within_go_by_their_path():
    layers = [
        Embedding(9, 6),
        Bidirectional(GRU(3, return_sequences=True)),
        TransformerBlock(8, 2),
        Parallel([Dense(2), Dense(3)]),
        bp.Sequential([Dense(2)], name="inner"),
    ]
    model = bp.Sequential([Input((4,), dtype="int32"), *layers])
    found = model.gradients(np.ones((2, 4), int), dy=1.0)

    assert list(found) == [layer.name for layer in model.layers]
    assert list(found["inner"]) == ["dense/kernel", "dense/bias"]
    assert set(found["bidirectional"]) >= {"forward_gru/kernel", "backward_gru/kernel"}
    count = sum(p.gradient is not None for p in model.arrays())
    assert sum(map(len, found.values())) == count


def test_frozen_layers_have_gradients_and_buffers_none():
    model = chain()
    model.layers[0].trainable = False
    found = model.gradients(np.ones((2, 5)), dy=1.0)

    assert set(found["dense"]) == {"kernel", "bias"}
    assert set(found["batch_normalization"]) == {"gamma", "beta"}


# ------------------------------------------------------------------------------------- activations


def test_activations_are_what_the_layers_put_out():
    model = moved(chain())
    x, _, _ = data(model)
    found = model.activations(x)

    h = x
    for layer in model.layers:
        h = layer(h)
        np.testing.assert_allclose(found[layer.name], h, err_msg=layer.name)
    assert list(found) == [layer.name for layer in model.layers]


def test_a_layer_in_two_places_has_a_list():
    model = moved(forked())
    x, _, _ = data(model)
    tower = model.get_layer("tower")
    found = model.activations(x)

    assert isinstance(found["tower"], list)
    for seen, given in zip(found["tower"], x, strict=True):
        np.testing.assert_array_equal(seen, tower(given))
    assert set(found) == {layer.name for layer in model.layers} - {"a", "b"}
    np.testing.assert_array_equal(found["class"], model(x))


def test_a_layer_of_several_outputs_has_a_tuple():
    x = Input((4,))
    a, b = Split(name="split")(x)
    model = bp.Model(x, Sum()([a, b]))
    found = model.activations(np.arange(8.0).reshape(2, 4))

    assert isinstance(found["split"], tuple)
    assert [one.tolist() for one in found["split"]] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


def test_activations_of_some_layers():
    model = chain()
    x, _, _ = data(model)
    everything = model.activations(x)

    for wanted in ("dense_1", model.layers[-1], ["dense_1"], [model.layers[-1]]):
        found = model.activations(x, wanted)
        assert list(found) == ["dense_1"]
        np.testing.assert_array_equal(found["dense_1"], everything["dense_1"])
    assert list(model.activations(x, ["dropout", "dense"])) == ["dropout", "dense"]


def test_activations_of_padded_sequences_are_masked():
    model = bp.Sequential([Input((None,)), Embedding(5, 3, mask_zero=True), LSTM(2, name="lstm")])

    padded = model.activations(np.array([[1, 2, 0, 0]]))["lstm"]
    np.testing.assert_allclose(padded, model.activations(np.array([[1, 2]]))["lstm"], 1e-6)


# -------------------------------------------------------------------------------- left as it was


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(training):
    model = bp.Sequential(
        [
            Input((4, 3), batch_size=2),
            LSTM(3, return_sequences=True, stateful=True),
            Dropout(0.5),
            BatchNormalization(),
            Flatten(),
            Dense(1),
        ]
    )
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 3)).astype("float32"), np.ones((2, 1), "float32")
    model.train_on_batch(x, y)
    before = everything_of(model)

    first = model.gradients(x, y, training=training)
    model.gradients(x, dy=1.0, training=training, wrt="inputs")
    model.activations(x)
    again = model.gradients(x, y, training=training)

    for name, value in everything_of(model).items():
        np.testing.assert_equal(value, before[name], err_msg=name)
    np.testing.assert_equal(first, again)


def everything_of(model):
    """All that decides how training goes on, and the gradients."""
    layers = list(model.walk())
    return {
        "values": [p.value.copy() for layer in layers for p in layer._parameters.values()],
        "gradients": model.parameters.gradients.copy(),
        "generators": [layer.rng.bit_generator.state for layer in layers],
        "optimizer": {k: np.copy(v) for k, v in model.optimizer.get_state().items()},
        "seen": model.get_metrics_result(),
        "output": model.layers[-1].output,
        "within": [layer._within and layer._within() for layer in layers],
    }


def test_nothing_that_is_made_later_draws_other_numbers():
    drawn = []
    for asked in (False, True):
        x = Input((5,))
        model = bp.Model(x, Dense(2)(Dropout(0.5)(x)))
        bp.utils.set_random_seed(0)
        if asked:
            model.gradients(np.ones((3, 5)), dy=1.0, training=True)
            model.activations(np.ones((3, 5)))
        drawn.append(bp.random.normal((3,)))

    np.testing.assert_array_equal(*drawn)


def test_an_error_within_leaves_it_as_it_was_too():
    model = chain()
    x, _, _ = data(model)
    model.gradients(x, dy=1.0)
    before = [p.value.copy() for p in model.arrays()]
    with pytest.raises(ValueError, match=r"dy of the shape of the output dense_1, \(7, 3\)"):
        model.gradients(x, dy=np.ones(4), training=True)

    np.testing.assert_equal([p.value for p in model.arrays()], before)
    np.testing.assert_array_equal(model.parameters.gradients, 0)


def test_what_is_returned_is_the_users():
    model = bp.Sequential([Input((3,)), Dense(2, name="dense")])
    x = np.ones((4, 3), "float32")
    found = model.gradients(x, dy=1.0)
    model.activations(x)["dense"][...] = 7
    model.gradients(x, dy=1.0, wrt="inputs")[...] = 7
    model.gradients(x, dy=2.0)

    np.testing.assert_array_equal(found["dense"]["bias"], [4, 4])


def test_a_model_is_built_for_what_it_sees():
    model = bp.Sequential([Dense(2, name="dense")])

    assert model.gradients(np.ones((4, 3)), dy=1.0)["dense"]["kernel"].shape == (3, 2)
    assert bp.Sequential([Dense(2)]).activations(np.ones((4, 3)))["dense"].shape == (4, 2)


# ------------------------------------------------------------------------------------------ errors


def test_what_cannot_be_answered_is_said():
    model = bp.Sequential([Input((3,)), Dense(2, name="dense")])
    x, y = np.ones((4, 3)), np.ones((4, 2))
    with pytest.raises(RuntimeError, match=r"needs compile\(\) first.*or give dy"):
        model.gradients(x, y)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"takes the targets y.*or dy.*; got neither"):
        model.gradients(x)
    with pytest.raises(ValueError, match="got both"):
        model.gradients(x, y, dy=1.0)
    with pytest.raises(ValueError, match="sample_weight with y"):
        model.gradients(x, sample_weight=np.ones(4), dy=1.0)
    with pytest.raises(ValueError, match="wrt"):
        model.gradients(x, y, wrt="input")
    with pytest.raises(ValueError, match=r"no layer 'dens'.*did you mean 'dense'"):
        model.activations(x, "dens")
    with pytest.raises(ValueError, match="is no layer of"):
        model.activations(x, Dense(2))
    with pytest.raises(ValueError, match=r"expects inputs of|was built for inputs"):
        model.activations(np.ones((4, 5)))


def test_there_is_no_derivative_with_respect_to_integers():
    model = bp.Sequential([Input((4,), dtype="int32"), Embedding(9, 6), Flatten(), Dense(2)])
    x = np.ones((2, 4), int)
    with pytest.raises(ValueError, match=r"takes integers.*Model\(embedding\.output"):
        model.gradients(x, dy=1.0, wrt="inputs")

    behind = bp.Model(model.layers[0].output, model.output)
    dx = behind.gradients(model.activations(x)["embedding"], dy=1.0, wrt="inputs")
    assert dx.shape == (2, 4, 6) and dx.any()


def test_an_input_of_integers_beside_others_has_none():
    ids, x = Input((), dtype="int32", name="ids"), Input((3,), name="x")
    model = bp.Model([ids, x], Sum()([Embedding(5, 3)(ids), x]))
    dx = model.gradients([np.array([1, 2]), np.ones((2, 3))], dy=2.0, wrt="inputs")

    assert dx[0] is None
    np.testing.assert_array_equal(dx[1], np.full((2, 3), 2.0))
