"""`Sequential`: building, stacking, views, copies, configuration, and the Keras-shaped face."""

import copy
import gc
import json
import pickle

import numpy as np
import pytest
from keras_parity import keras_in

import backprop as bp
from backprop.layers import BatchNormalization, Dense, Dropout, Flatten, Residual


def small(**options):
    return bp.Sequential([bp.Input((3,)), Dense(4, "tanh"), Dense(2)], **options)


def assert_views(model):
    """Every trainable array lies in the model's vectors, in order."""
    vector = model.parameters
    together = np.concatenate([p.value.ravel() for p in vector.parameters])
    np.testing.assert_array_equal(vector.values, together)
    for p in vector.parameters:
        assert np.shares_memory(p.value, vector.values)
        assert np.shares_memory(p.gradient, vector.gradients)
    vector.values[:] = 0.5
    vector.gradients[:] = 0.25
    for layer in model.layers:
        for name, (parameter, kind) in layer._arrays.items():
            if layer._parameters[parameter].gradient is not None:
                assert (getattr(layer, name) == (0.5 if kind == "value" else 0.25)).all()


def test_all_values_are_one_vector():
    model = small()

    assert model.parameters.values.shape == (3 * 4 + 4 + 4 * 2 + 2,)
    assert len(model.parameters.segments()) == 1
    assert_views(model)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_views_of_their_own(duplicate):
    model = small()
    x = np.ones((2, 3), np.float32)
    before = model.predict(x, verbose=0)

    twin = duplicate(model)
    assert_views(twin)

    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    assert not np.shares_memory(twin.parameters.values, model.parameters.values)


def test_a_compiled_copy_trains_alone():
    x, y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)
    model = small()
    model.compile("adam", "mse")
    model.fit(x, y, epochs=1, verbose=0)
    before = model.get_weights()

    twin = copy.deepcopy(model)
    twin.fit(x, y, epochs=3, verbose=0)

    for mine, kept, theirs in zip(model.get_weights(), before, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, kept)
        assert not np.array_equal(mine, theirs)


def test_freezing_leaves_one_segment_for_each_stretch():
    model = bp.Sequential([bp.Input((3,)), Dense(4), Dense(4), Dense(2)])
    model.layers[1].trainable = False
    model.parameters.refresh()
    frozen = model.layers[1].get_weights()
    model.compile("sgd", "mse")

    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)

    assert [s.size for s in model.parameters.segments()] == [16, 10]
    for now, then in zip(model.layers[1].get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(now, then)
    assert_views(model)


def test_adding_a_layer_keeps_the_values_of_the_others():
    model = small()
    before = model.get_weights()

    model.add(Dense(5))

    assert model.output_shape == (None, 5)
    for now, then in zip(model.get_weights()[:4], before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert_views(model)


def test_a_layer_that_does_not_fit_is_not_added():
    model = small()
    with pytest.raises(ValueError, match="in layer 2 of sequential: Conv2D"):
        model.add(bp.layers.Conv2D(3, 3))

    assert len(model.layers) == 2
    assert model.predict(np.ones((1, 3)), verbose=0).shape == (1, 2)


def test_pop_takes_the_last_layer_off():
    model = small()

    assert model.pop() is not None
    assert model.output_shape == (None, 4)
    assert len(model.weights) == 2
    assert_views(model)


def test_two_models_share_a_layer():
    encoder = Dense(4, "tanh")
    auto = bp.Sequential([bp.Input((6,)), encoder, Dense(6)])
    auto.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(16, 6))
    auto.fit(x, x, verbose=0)
    classifier = bp.Sequential([bp.Input((6,)), encoder, Dense(1)])
    classifier.compile("adam", "mse")

    classifier.fit(x, x[:, :1], verbose=0)
    before = encoder.kernel.copy()
    auto.fit(x, x, verbose=0)

    assert encoder.kernel is auto.layers[0].kernel is classifier.layers[0].kernel
    assert not np.array_equal(encoder.kernel, before)
    assert len(classifier.parameters.segments()) == 1
    assert [s.size for s in auto.parameters.segments()] == [28, 30]


def test_models_nest():
    encoder = bp.Sequential([bp.Input((6,)), Dense(4, "tanh"), Dense(2)])
    decoder = bp.Sequential([bp.Input((2,)), Dense(4, "tanh"), Dense(6)])
    auto = bp.Sequential([encoder, decoder])
    x = np.random.default_rng(0).normal(size=(32, 6))
    auto.compile("adam", "mse")

    history = auto.fit(x, x, epochs=5, verbose=0).history["loss"]

    assert history[-1] < history[0]
    assert len(auto.parameters.segments()) == 1
    assert len(encoder.parameters.segments()) == 1
    np.testing.assert_allclose(
        decoder.predict(encoder.predict(x, verbose=0), verbose=0),
        auto.predict(x, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_layer_in_two_places_trains():
    shared = Dense(6, "tanh")
    model = bp.Sequential([bp.Input((6,)), shared, Residual([shared]), Dense(1)])
    x = np.random.default_rng(0).normal(size=(64, 6))
    model.compile("adam", "mse")

    history = model.fit(x, x[:, :1] * x[:, 1:2], epochs=5, verbose=0).history["loss"]

    assert history[-1] < history[0]
    assert model.count_params() == 6 * 6 + 6 + 6 + 1


def test_names_are_unique_and_keras():
    model = bp.Sequential(
        [Dense(2), Dense(2), BatchNormalization(), Dense(2), Dense(2, name="head")]
    )

    assert [layer.name for layer in model.layers] == [
        "dense",
        "dense_1",
        "batch_normalization",
        "dense_2",
        "head",
    ]
    assert model.get_layer("head") is model.layers[4]
    assert model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match="no layer 'hed'; did you mean 'head'"):
        model.get_layer("hed")
    with pytest.raises(ValueError, match="already has a layer named 'head'"):
        model.add(Dense(3, name="head"))


def test_config_round_trip():
    model = bp.Sequential(
        [
            bp.Input((4,)),
            Dense(3, "relu", kernel_regularizer=bp.regularizers.L2(0.1)),
            Residual([Dense(3)]),
            Dropout(0.1),
        ],
        name="net",
    )

    twin = bp.Sequential.from_config(json.loads(json.dumps(model.get_config())))

    assert repr(twin.layers) == repr(model.layers)
    assert twin.name == "net"
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]
    assert repr(bp.models.model_from_json(model.to_json()).layers) == repr(model.layers)
    assert repr(bp.models.clone_model(model).layers) == repr(model.layers)


def test_the_model_is_built_by_the_first_data():
    model = bp.Sequential([Flatten(), Dense(2)])
    with pytest.raises(ValueError, match="no weights yet"):
        model.count_params()
    with pytest.raises(ValueError, match="not built"):
        _ = model.output_shape

    assert model.predict(np.zeros((5, 2, 3)), verbose=0).shape == (5, 2)
    assert model.input_shape == (None, 2, 3)


def test_input_shape_of_the_first_layer_builds():
    assert bp.Sequential([Dense(3, input_shape=(5,))]).built
    assert bp.Sequential([Dense(3, input_dim=5), Dense(1)]).output_shape == (None, 1)


def test_float64_is_float64_throughout():
    model = small(dtype="float64")

    assert model.predict(np.ones((1, 3), np.float32), verbose=0).dtype == np.float64
    assert model.parameters.values.dtype == np.float64


def test_set_weights_changes_nothing_unless_all_fit():
    model = small()
    before = model.get_weights()
    with pytest.raises(ValueError, match="dense/bias has shape"):
        model.set_weights([np.ones((3, 4)), np.ones(5), np.ones((4, 2)), np.ones(2)])
    with pytest.raises(ValueError, match="has 4 weights and got 1"):
        model.set_weights([np.ones((3, 4))])

    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_gradient_of_another_shape_is_refused():
    layer = Dense(3)
    layer.build((None, 2))
    with pytest.raises(ValueError, match=r"dbias has shape \(3,\) and was given \(5, 3\)"):
        layer.dbias = np.ones((5, 3))


def test_the_summary_counts_parameters():
    lines = []
    model = bp.Sequential([bp.Input((4,)), BatchNormalization(), Dense(3, name="head")])
    model.layers[1].trainable = False

    model.summary(print_fn=lines.append, show_trainable=True)

    text = "\n".join(lines)
    assert "head (Dense)" in text and "(None, 3)" in text
    assert "Total params: 31" in text
    assert "Trainable params: 8" in text
    assert "Non-trainable params: 23" in text


def test_a_keras_script_runs():
    keras = bp
    model = keras.Sequential()
    model.add(keras.Input(shape=(8,)))
    model.add(keras.layers.Dense(16, activation="relu", kernel_initializer="he_normal"))
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate=keras.optimizers.schedules.CosineDecay(0.01, 100)
        ),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(k=2)],
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8)), keras.utils.to_categorical(rng.integers(0, 3, 64), 3)

    history = model.fit(
        x,
        y,
        epochs=3,
        verbose=0,
        validation_split=0.25,
        callbacks=[keras.callbacks.EarlyStopping(patience=5)],
    )

    names = {"loss", "accuracy", "top_k_categorical_accuracy"}
    assert set(history.history) == names | {f"val_{name}" for name in names}


def test_what_keras_has_and_we_do_not_says_so():
    with pytest.raises(TypeError, match="rename call to forward"):

        class KerasLayer(bp.Layer):
            def call(self, inputs):
                return inputs

        KerasLayer()
    with pytest.raises(AttributeError, match="did you mean 'layers'"):
        _ = bp.layrs


def test_a_misspelt_argument_names_the_nearest():
    with pytest.raises(TypeError, match=r"Dense\(\) has no argument 'unit'; did you mean 'units'"):
        Dense(unit=3)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        Dense(3, activation="rellu")


def test_integers_are_kept_only_for_a_layer_that_takes_them():
    tokens = np.array([[1, 2], [3, 0]])
    dense = bp.Sequential([bp.Input((2,), dtype="int32"), Dense(1)])
    embedding = bp.Sequential(
        [bp.Input((2,), dtype="int32"), bp.layers.Reshape((2,)), bp.layers.Embedding(4, 3)]
    )

    assert dense.predict(tokens, verbose=0).dtype == np.float32
    assert embedding.predict(tokens, verbose=0).shape == (2, 2, 3)


def test_a_name_that_is_set_is_in_the_configuration():
    layer = Dense(2)
    layer.name = "head"

    assert Dense.from_config(layer.get_config()).name == "head"


def test_an_activation_cannot_bring_a_penalty_that_nobody_would_apply():
    penalised = bp.layers.ReLU(activity_regularizer="l2")
    with pytest.raises(ValueError, match="give it to the layer around the activation"):
        Dense(2, activation=penalised)


@pytest.mark.parametrize("argument", [{"dtype": "int32"}, {"name": "x"}, {"optional": True}])
def test_an_input_spec_refuses_what_it_would_ignore(argument):
    with pytest.raises(ValueError, match="says nothing here"):
        bp.InputSpec(ndim=2, **argument)


# ------------------------------------------------------------------ clones


def compiled(optimizer=None, layers=None, cls=bp.Sequential, **options):
    bp.utils.set_random_seed(0)
    layers = layers or [bp.layers.Dense(4, "tanh"), bp.layers.Dense(1)]
    model = cls([bp.Input((3,)), *layers])
    model.compile(optimizer or bp.optimizers.Adam(0.1), "mse", **options)
    return model


ROWS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
SUMS = ROWS.sum(1, keepdims=True)


def test_a_clone_is_compiled_alike_and_begins_anew():
    model = compiled(
        metrics=["mae", bp.metrics.MeanSquaredError(name="own")],
        weighted_metrics=["mse"],
        loss_weights=2.0,
    )
    model.fit(ROWS, SUMS, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.05
    twin = bp.models.clone_model(model)

    assert twin.optimizer.learning_rate == 0.05
    assert twin.optimizer.iterations == 0
    assert twin.optimizer is not model.optimizer
    assert repr(twin.loss) == repr(model.loss)
    twin.set_weights(model.get_weights())
    assert twin.evaluate(ROWS, SUMS, verbose=0) == model.evaluate(ROWS, SUMS, verbose=0)
    before = model.get_weights()
    twin.fit(ROWS, SUMS, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_trains_as_a_model_that_is_compiled_anew():
    model = compiled(bp.optimizers.SGD(0.1, momentum=0.9))
    start = model.get_weights()
    expected = model.fit(ROWS, SUMS, epochs=3, shuffle=False, verbose=0).history
    twin = bp.models.clone_model(model)
    twin.set_weights(start)

    assert twin.fit(ROWS, SUMS, epochs=3, shuffle=False, verbose=0).history == expected


@pytest.mark.parametrize(
    "rate", [lambda step: 0.1 / (1 + step), bp.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)]
)
def test_a_clone_keeps_a_schedule(rate):
    twin = bp.models.clone_model(compiled(bp.optimizers.SGD(rate)))
    twin.fit(ROWS, SUMS, epochs=3, verbose=0)

    assert twin.optimizer.learning_rate == pytest.approx(float(rate(3)))


def test_a_clone_needs_no_registration_of_own_classes():
    class Twice(bp.layers.Layer):
        def forward(self, x, ctx=None):
            return 2 * x, None

        def backward(self, dy, cache):
            return 2 * dy

    class Own(bp.losses.MeanSquaredError):
        pass

    layers = [Twice(), bp.layers.Residual([Twice()]), bp.layers.Dense(1)]
    model = compiled(layers=layers, metrics=[lambda a, b: np.abs(a - b).mean(-1)])
    model.compile("sgd", Own())
    twin = bp.models.clone_model(model)

    assert isinstance(twin.layers[0], Twice)
    assert twin.layers[0] is not model.layers[0]
    assert isinstance(twin.loss, Own)


@pytest.mark.parametrize(
    "function", [None, lambda layer: type(layer).from_config(layer.get_config())]
)
def test_a_layer_in_two_places_stays_one_in_a_clone(function):
    shared = bp.layers.Dense(3, "tanh")
    model = compiled(layers=[shared, bp.layers.Dropout(0.1), shared, bp.layers.Dense(1)])
    twin = bp.models.clone_model(model, clone_function=function)

    assert twin.layers[0] is twin.layers[2] is not shared
    assert twin.count_params() == model.count_params()
    assert twin.compiled


def test_what_an_optimizer_does_not_decay_stays_so_in_a_clone():
    model = compiled(bp.optimizers.AdamW(0.1))
    model.optimizer.exclude_from_weight_decay([model.layers[0].bias])
    twin = bp.models.clone_model(model)

    assert [twin.optimizer._excludes(p) for p in twin.parameters.parameters] == [
        *(False, True),
        *(False, False),
    ]


@pytest.mark.parametrize(
    "function", [None, lambda layer: type(layer).from_config(layer.get_config())]
)
def test_a_clone_is_of_the_models_class_whatever_its_constructor(function):
    class Net(bp.Sequential):
        def __init__(self, width=4):
            super().__init__([bp.Input((3,)), bp.layers.Dense(width), bp.layers.Dense(1)])
            self.first = self.layers[0]
            self.seen = bp.metrics.Mean(name="seen")

        def train_step(self, data):
            self.seen.update_state([1.0])
            return super().train_step(data) | {"seen": self.seen.result()}

    model = Net(5)
    model.compile("sgd", "mse")
    model.fit(ROWS, SUMS, verbose=0)
    twin = bp.models.clone_model(model, clone_function=function)

    assert type(twin) is Net
    assert twin.count_params() == model.count_params()
    assert twin.first is twin.layers[0] is not model.first
    assert twin.seen is not model.seen
    assert twin.seen.result() == 0
    assert twin.fit(ROWS, SUMS, verbose=0).history["seen"] == [1.0]


def test_a_clone_of_what_is_not_compiled_or_not_built_is_neither():
    assert not bp.models.clone_model(small()).compiled
    unbuilt = bp.Sequential([bp.layers.Dense(1)])
    unbuilt.compile("adam", "mse")
    twin = bp.models.clone_model(unbuilt)

    assert twin.compiled
    assert not twin.built
    assert twin.fit(ROWS, SUMS, verbose=0).history["loss"]
    assert not bp.Sequential.from_config(compiled().get_config()).compiled


def test_frozen_layers_stay_frozen_in_a_clone():
    model = compiled()
    model.layers[0].trainable = False

    assert [layer.trainable for layer in bp.models.clone_model(model).layers] == [False, True]


# ------------------------------------------------------------- what Keras' users look up in a model


def test_layers_describe_what_goes_in_and_comes_out():
    model = bp.Sequential([bp.Input((4, 6)), Flatten(), Dense(3, name="h"), bp.layers.ReLU()])

    described = [(layer.input.shape, layer.output.shape) for layer in model.layers]

    assert described == [((None, 4, 6), (None, 24)), ((None, 24), (None, 3)), ((None, 3),) * 2]
    assert model.get_layer("h").output_shape == (None, 3)
    assert model.layers[-1].input_shape == (None, 3)
    assert model.get_layer("h").output.ndim == 2 and model.get_layer("h").output.name == "h"


@pytest.mark.parametrize("first", [[], [bp.Input((3,))]])
def test_what_a_layer_puts_out_goes_on_with_the_model_when_it_grows(first):
    model = bp.Sequential([*first, Dense(4, name="h")])
    x = np.ones((2, 3), "float32")
    model(x)
    before = model.get_layer("h").output

    model.add(Dense(2))
    model(x)
    features = bp.Model(model.input, before)

    assert before is model.get_layer("h").output
    np.testing.assert_array_equal(features(x), model.layers[0](x))


def twin_by_file(model, folder):
    model.save(folder / "model.npz")
    return bp.saving.load_model(folder / "model.npz")


TWINS = {
    "itself": lambda model, folder: model,
    "loaded": twin_by_file,
    "pickled": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "copied": lambda model, folder: copy.deepcopy(model),
    "cloned": lambda model, folder: bp.models.clone_model(model),
}


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("graph", [False, True])
def test_features_are_drawn_from_any_copy_of_a_model(graph, twin, tmp_path):
    layers = [bp.Input((3,)), Dense(4, "tanh", name="h"), Dense(2)]
    model = bp.Sequential(layers)
    if graph:
        model = bp.Model(layers[0], layers[2](layers[1](layers[0])))
    _ = model.get_layer("h").output  # the copies must not lead back to this one
    again = TWINS[twin](model, tmp_path)
    x = np.ones((2, 3), "float32")

    features = bp.Model(again.input, again.get_layer("h").output)

    np.testing.assert_allclose(features(x), again.get_layer("h")(x), rtol=1e-6)


@pytest.mark.parametrize("end", ["input", "output", "inputs", "outputs"])
def test_a_model_that_is_not_built_says_so_when_asked_for_its_ends(end):
    with pytest.raises(AttributeError, match=f"it has no {end}: give it an Input, call it on data"):
        getattr(bp.Sequential([Dense(2)]), end)


def test_two_graphs_that_share_layers_are_trained_in_turns_as_if_alone():
    """Each step is SGD's, with momentum of the model that takes it; a layer that is frozen in
    between stays for both."""
    x = bp.Input((3,))
    shared, left, right = Dense(4, "tanh", name="shared"), Dense(2), Dense(1)
    h = shared(x)
    models = bp.Model(x, left(h)), bp.Model(x, right(h))
    given = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    speed = [np.zeros((3, 4), "float32") for _ in models]
    for model in models:
        model.compile(bp.optimizers.SGD(0.1, momentum=0.9), "mse")

    for i in (0, 1, 0, 0, 1):
        y = given[:, : 2 - i]
        gradient = models[i].gradients(given, y)["shared"]["kernel"]
        speed[i] = 0.9 * speed[i] - 0.1 * gradient
        wanted = shared.kernel + speed[i]
        models[i].train_on_batch(given, y)
        np.testing.assert_allclose(shared.kernel, wanted, rtol=1e-4, atol=1e-6)

    shared.trainable = False
    kernel, other = shared.kernel.copy(), right.kernel.copy()
    for model, width in zip(models, (2, 1), strict=True):
        model.compile("adam", "mse")
        model.fit(given, given[:, :width], verbose=0)
    np.testing.assert_array_equal(shared.kernel, kernel)
    assert (right.kernel != other).any()


def test_what_a_layer_puts_out_outlives_its_model():
    x = bp.Input((3,))
    model = copy.deepcopy(bp.Model(x, Dense(2)(Dense(4, name="h")(x))))
    layer = model.get_layer("h")
    del model
    gc.collect()

    alone = bp.Model(layer.input, layer.output)

    assert alone(np.ones((2, 3))).shape == (2, 4)


def test_the_first_call_of_a_shared_layer_is_what_it_puts_out():
    a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    shared = Dense(2, name="shared")
    model = copy.deepcopy(bp.Model([a, b], bp.layers.Add()([shared(b), shared(a)])))

    assert [read.name for read in model.get_layer("shared").output.call.reads] == ["b"]


def test_a_model_describes_its_input_and_output():
    model = small(dtype="float64")

    assert model.inputs == [model.input] and model.outputs == [model.output]
    assert (model.input.shape, model.output.shape) == ((None, 3), (None, 2))
    assert model.input.dtype == model.output.dtype == np.float64
    assert model.layers[0].compute_dtype == model.layers[0].variable_dtype == "float64"


def test_an_input_says_its_shape_and_dtype():
    assert bp.Input((5,)).shape == (None, 5) and bp.Input((5,)).dtype == np.float32
    assert bp.Input((None,), batch_size=3, dtype="int32").shape == (3, None)
    assert bp.Input((None,), dtype="int32").dtype == np.int32
    assert bp.layers.InputLayer(input_shape=(5,)).shape == (None, 5)


@pytest.mark.parametrize("again", [lambda m: m, copy.deepcopy, bp.models.clone_model])
def test_a_model_is_drawn_from_the_ends_of_its_input_layer(again):
    x = bp.Input((3,))
    model = again(bp.Model(x, Dense(2)(Dense(4)(x))))
    first, hidden, _ = model.layers
    data = np.ones((2, 3), np.float32)

    assert first.input is first.output is model.input
    twin = bp.Model(model.layers[0].output, model.layers[-1].output)
    np.testing.assert_array_equal(twin(data), model(data))
    assert bp.Model(first.input, hidden.output)(data).shape == (2, 4)


@pytest.mark.parametrize("name", ["input", "output", "input_shape", "output_shape"])
def test_a_layer_that_is_not_built_has_neither(name):
    layer = Dense(2)

    assert not hasattr(layer, name)
    with pytest.raises(AttributeError, match=f"Dense has no '{name}' yet: it is not built"):
        getattr(layer, name)


def test_an_author_may_use_those_names_for_something_else():
    class Remembers(bp.Layer):
        def build(self, input_shape):
            self.output_shape = "mine"

        def forward(self, x, ctx=bp.INFERENCE):
            self.input = x
            return x, None

    layer = Remembers()
    y = layer(np.ones((2, 3)))

    assert layer.output_shape == "mine" and layer.input is y


def test_a_layer_called_on_an_output_continues_from_there():
    model = small()

    head = Dense(2)(model.layers[0].output)

    assert bp.Model(model.input, head).output_shape == (None, 2)
    with pytest.raises(ValueError, match="is not connected"):
        bp.Model(bp.Input((3,)), head)


def test_layers_take_their_input_by_keras_name():
    x = np.ones((2, 4, 3), np.float32)

    assert Dense(2)(inputs=x).shape == (2, 4, 2)
    assert small()(inputs=x[:, 0]).shape == (2, 2)
    assert bp.layers.GRU(5)(sequences=x).shape == (2, 5)
    assert bp.layers.Bidirectional(bp.layers.LSTM(5))(sequences=x).shape == (2, 10)
    assert bp.layers.MultiHeadAttention(1, 2)(query=x).shape == x.shape


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.pop(),
        lambda layers: layers.append(Dense(1)),
        lambda layers: layers.__setitem__(-1, Dense(1)),
        lambda layers: layers.clear(),
        lambda layers: layers.insert(0, Dense(1)),
        lambda layers: layers.sort(),
    ],
)
def test_a_change_of_the_list_of_layers_is_refused_and_changes_nothing(change):
    model = small()

    with pytest.raises(TypeError, match=r"changed by add\(\) and pop\(\)"):
        change(model.layers)
    with pytest.raises(AttributeError, match=r"changed by add\(\) and pop\(\)"):
        model.layers = []
    assert model(np.ones((1, 3))).shape == (1, 2) and len(model.layers) == 2


def test_the_list_of_layers_is_a_list_to_everyone_else():
    model = small()

    assert model.layers == [model.layers[0], model.layers[1]] and isinstance(model.layers, list)
    assert (
        type(copy.deepcopy(model.layers)) is type(pickle.loads(pickle.dumps(model.layers))) is list
    )
    features = bp.Sequential(model.layers[:-1])
    assert features(np.ones((1, 3))).shape == (1, 4)
    assert len([*model.layers, Dense(1)]) == 3


def test_how_a_model_was_compiled_and_built_goes_into_another_one():
    model = small()
    model.compile(bp.optimizers.SGD(0.25), "mae", metrics=["mse"], loss_weights=0.5)
    other = bp.Sequential.from_config(model.get_config())

    other.compile_from_config(json.loads(json.dumps(model.get_compile_config())))

    assert other.optimizer.learning_rate == 0.25 and isinstance(other.loss, type(model.loss))
    assert other.evaluate(np.ones((2, 3)), np.ones((2, 2)), verbose=0, return_dict=True).keys() == {
        "loss",
        "mse",
    }
    assert small().get_compile_config() is None
    layer = Dense(7)
    layer.build_from_config(model.layers[0].get_build_config())
    assert layer.kernel.shape == (3, 7) and Dense(1).get_build_config() is None


def test_a_configuration_of_keras_compiles_a_model():
    with keras_in("float32") as keras:
        peer = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        peer.compile(keras.optimizers.RMSprop(0.125, rho=0.5), "mse", metrics=["mae"])
        config = peer.get_compile_config()
    model = small()

    model.compile_from_config(config)

    assert (model.optimizer.learning_rate, model.optimizer.rho) == (0.125, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [("run_eagerly", True, False), ("jit_compile", False, True), ("steps_per_execution", 1, 8)],
)
def test_settings_of_keras_engines_have_one_value(name, value, other):
    model = small()
    setattr(model, name, value)

    assert getattr(model, name) == value
    with pytest.raises(ValueError, match=f"{name} is {value} here: "):
        setattr(model, name, other)


@pytest.mark.parametrize("shape", [{"input_shape": 5}, {"input_shape": (5,)}, {"input_dim": 5}])
def test_a_first_layer_takes_the_shape_of_a_sample(shape):
    assert bp.Sequential([Dense(3, **shape)]).input_shape == (None, 5)


@pytest.mark.parametrize("family", ["losses", "metrics", "optimizers", "initializers"])
def test_a_name_is_a_configuration_too(family):
    name = {"losses": "mse", "metrics": "mae", "optimizers": "sgd", "initializers": "zeros"}[family]
    module = getattr(bp, family)

    assert type(module.deserialize(name)) is type(module.get(name))


def test_an_input_of_an_unknown_dtype_says_so():
    with pytest.raises(ValueError, match="'string' or the like, got 'strin'"):
        bp.Input((2,), dtype="strin")


def test_a_graph_that_is_called_takes_a_column_without_its_axis():
    column = bp.Input((1,))
    model = bp.Model(column, Dense(2)(column))

    np.testing.assert_array_equal(model(np.ones(3)), model(np.ones((3, 1))))


@pytest.mark.parametrize("shape", [(5,), (4, 6, 2)])
def test_one_sample_in_the_place_of_a_batch_is_recognised(shape):
    model = bp.Sequential([bp.Input(shape), Dense(3)])
    x = np.ones((4, *shape))

    with pytest.raises(ValueError, match=r"single sample: give x\[np.newaxis\]"):
        model.predict(x[0], verbose=0)
    assert model.predict(x[0][None], verbose=0).shape == (1, *shape[:-1], 3)
    with pytest.raises(ValueError) as error:
        model.predict(np.ones((4, *shape[:-1], 7)), verbose=0)
    assert "single sample" not in str(error.value)


@pytest.mark.parametrize("layer", [Dense(3), bp.Sequential([bp.Input((5,)), Dense(3)])])
def test_a_call_on_several_arrays_says_that_there_is_one_input(layer):
    layer.build((None, 5))
    x = np.ones((2, 5))

    with pytest.raises(ValueError, match="list of 2 arrays, which stands for several inputs"):
        layer([np.ones((4, 2)), np.ones((4, 2))])
    assert layer([x[0], x[1]]).shape == (2, 3)  # rows of a batch


def test_the_summary_of_a_graph_says_what_each_layer_reads():
    x, z = bp.Input((3,), name="x"), bp.Input((3,), name="z")
    tower = bp.layers.Dense(4, name="tower")
    inner = bp.Model(x, tower(x), name="inner")
    y, h = bp.layers.GRU(2, return_state=True, name="gru")(bp.layers.Reshape((3, 1), name="r")(z))
    joined = bp.layers.Concatenate(name="join")([inner(x), inner(z), h, y])
    model = bp.Model([x, z], [joined, h], name="two")
    lines = []
    model.summary(print_fn=lines.append, show_trainable=True)
    (text,) = lines

    assert text.startswith('Model: "two"')
    rows = [line.split() for line in text.splitlines()]
    assert ["x", "(InputLayer)", "(None,", "3)", "0", "-", "Y", "0"] in rows
    assert ["inner", "(Model)", "(None,", "4)", "16", "x[0][0]", "Y", "24"] in rows
    assert ["z[0][0]"] in rows
    assert "[(None, 2), (None, 2)]" in text
    at = rows.index(next(row for row in rows if row[:1] == ["join"]))
    assert rows[at][-3:] == ["inner[0][0]", "Y", "0"]
    assert rows[at + 1 : at + 4] == [["inner[1][0]"], ["gru[0][1]"], ["gru[0][0]"]]
    model.summary(print_fn=lines.append, expand_nested=True, layer_range=("inner", "join"))
    assert "  tower (Dense)" in lines[1]
    assert "z (InputLayer)" not in lines[1]


def test_a_call_takes_a_last_axis_of_length_1_that_is_missing_or_too_many_as_fit_does():
    one, three = bp.Input((1,), name="one"), bp.Input((3,), name="three")
    y = bp.layers.Dense(2)(bp.layers.Concatenate()([one, three]))
    graph = bp.Model({"one": one, "three": three}, y)
    chain = bp.Sequential([bp.Input((1,)), bp.layers.Dense(2)])
    x, more = np.arange(4.0), np.ones((4, 3))

    np.testing.assert_array_equal(chain(x), chain.predict(x, verbose=0))
    np.testing.assert_array_equal(chain(x[:, None, None]), chain(x[:, None]))
    np.testing.assert_array_equal(
        graph({"one": x, "three": more[..., None]}), graph({"one": x[:, None], "three": more})
    )
    with pytest.raises(ValueError, match=r"three' to be of shape \(3,\) and got \(\)"):
        graph({"one": x, "three": x})
