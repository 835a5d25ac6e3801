"""Configurations: every argument as it is now, and names that mean what their family needs."""

import ast
import copy
import dataclasses
import functools
import inspect
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from configurables import build_alike, classes, does, fresh, in_use

import backprop as bp
from backprop import (
    constraints,
    initializers,
    losses,
    metrics,
    optimizers,
    registry,
    regularizers,
)
from backprop.arguments import defaults_of
from backprop.config import Configurable, called, custom_object_scope, serialize
from backprop.layer import INFERENCE, Layer
from backprop.layers import (
    GRU,
    LSTM,
    Activation,
    ActivityRegularization,
    BatchNormalization,
    Bidirectional,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    LeakyReLU,
    MaxPooling2D,
    MultiHeadAttention,
    Parallel,
    ReLU,
    Residual,
    SpectralNormalization,
    TimeDistributed,
    TransformerBlock,
)

VALUES = [
    *(True, False, 0, 1, 2, 3, 0.25, 0.75, 2.5, None, (1,), (2,), (2, 1), (0.1, 0.4)),
    *("relu", "tanh", "zeros", "l2", "non_neg", "same", "channels_first", "float64", "sum", "add"),
    *("nearest", "wrap", "horizontal", "normal", "fan_out", "rows", "columns", "max", "ave"),
]


@functools.cache
def other_values(family, cls, name, count=2):
    """Values of an argument that the constructor takes and that are not the one it has."""
    item = fresh(family, cls)
    names = defaults_of(cls)
    now = serialize(item._arguments.get(name, names[name]))
    found = []
    for value in VALUES:
        try:
            called(cls, item._arguments | {name: value})
        except (ValueError, TypeError, IndexError, AttributeError, OSError):
            continue
        if serialize(value) != now:
            found.append(value)
    return found[:count]


@pytest.mark.filterwarnings("ignore:R2Score.*too few to adjust")
@pytest.mark.parametrize("make", [fresh, in_use])
@pytest.mark.parametrize(
    ("family", "cls"), [pytest.param(f, c, id=f"{f}.{c.__name__}") for f, c in classes()]
)
def test_every_argument_says_what_it_is_or_refuses(family, cls, make):
    for name in defaults_of(cls).keys() - {"name", "trainable", *make(family, cls).unsaved}:
        for value in other_values(family, cls, name):
            item = make(family, cls)
            try:
                setattr(item, name, value)
            except AttributeError as error:
                assert name in str(error), error
                continue
            config = item.get_config()
            # a callback's function has no name that a file could hold
            twin = (
                item if family == "callbacks" else cls.from_config(json.loads(json.dumps(config)))
            )

            same_as_before = config[name] == make(family, cls).get_config()[name]
            in_pairs = name in getattr(cls, "said_in_pairs", ())
            is_made_of_it = isinstance(config[name], dict) or in_pairs
            assert config[name] == serialize(value) or same_as_before or is_made_of_it, name
            assert twin.get_config() == config, name
            try:
                if family == "layers":
                    build_alike(item, twin)
                expected = does(family, twin)
            except (ValueError, TypeError, IndexError):
                continue  # what the new value means is an error either way
            for a, b in zip(does(family, item), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=f"{name}={value!r}")


@pytest.mark.parametrize(
    ("family", "cls"), [pytest.param(f, c, id=f"{f}.{c.__name__}") for f, c in classes()]
)
def test_a_configuration_has_every_argument(family, cls):
    item = fresh(family, cls)

    config = item.get_config()

    assert config.keys() == defaults_of(cls).keys() - set(item.unsaved)
    for name in config.keys() - {"input_shape"}:  # which is that of a built layer, as in Keras
        getattr(item, name)


def test_the_configuration_says_defaults_too():
    assert ReLU().get_config() == {
        "max_value": None,
        "negative_slope": 0.0,
        "threshold": 0.0,
        "activity_regularizer": None,
        "trainable": True,
        "dtype": None,
        "name": "re_lu",
        "input_shape": None,
        "input_dim": None,
    }


@pytest.mark.parametrize(
    ("item", "name", "value"),
    [
        (Dropout(0.9), "rate", 0.0),
        (LeakyReLU(0.3), "negative_slope", 0.5),
        (BatchNormalization(), "momentum", 0.5),
        (losses.BinaryCrossentropy(), "label_smoothing", 0.2),
        (losses.Huber(), "delta", 2.0),
        (optimizers.SGD(0.1, momentum=0.9), "nesterov", True),
        (optimizers.Adam(), "beta_1", 0.5),
        (optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), "decay_rate", 0.9),
        (regularizers.L2(0.1), "l2", 0.2),
        (constraints.MaxNorm(2), "max_value", 3),
        (initializers.RandomNormal(), "stddev", 0.5),
        (metrics.BinaryAccuracy(), "threshold", 0.7),
        (bp.callbacks.EarlyStopping(), "patience", 7),
    ],
    ids=repr,
)
def test_a_changed_attribute_reaches_configuration_repr_and_copies(item, name, value):
    setattr(item, name, value)

    assert item.get_config()[name] == value
    assert f"{value}" in repr(item)
    for twin in (
        type(item).from_config(item.get_config()),
        copy.deepcopy(item),
        pickle.loads(pickle.dumps(item)),
    ):
        assert getattr(twin, name) == value
        assert repr(twin) == repr(item)


def test_a_saved_model_has_what_was_changed(tmp_path):
    model = bp.Sequential([bp.Input((4,)), Dropout(0.9), Dense(3, "leaky_relu"), Dense(1)])
    model.layers[0].rate = 0.0
    model.layers[1].activation.negative_slope = 0.7
    x = np.random.default_rng(0).normal(size=(3, 4))
    y = model(x, training=True)

    model.save(tmp_path / "m.npz")
    loaded = bp.models.load_model(tmp_path / "m.npz")

    assert loaded.layers[0].rate == 0.0
    np.testing.assert_array_equal(loaded(x, training=True), y)
    assert bp.models.clone_model(model).layers[1].activation.negative_slope == 0.7


def test_what_is_derived_from_an_argument_follows_it():
    relu = ReLU()
    relu.negative_slope = 0.5

    np.testing.assert_array_equal(relu(np.array([-2.0, 2.0])), [-1.0, 2.0])


def test_an_assignment_refuses_what_the_constructor_refuses_and_changes_nothing():
    layer = Dropout(0.5)

    with pytest.raises(ValueError, match="rate to be a number from 0 to 1"):
        layer.rate = 1.5
    assert (layer.rate, layer.get_config()["rate"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("layer", "shape", "name", "value"),
    [
        (Dense(3), (4,), "units", 5),
        (Dense(3), (4,), "use_bias", False),
        (Dense(3), (4,), "kernel_initializer", "zeros"),
        (Dense(3), (4,), "activity_regularizer", "l2"),
        (Conv2D(2, 3), (8, 8, 1), "strides", 2),
        (MaxPooling2D(), (8, 8, 1), "pool_size", 4),
        (Embedding(5, 2), (3,), "mask_zero", True),
        (LSTM(2), (3, 2), "return_sequences", True),
        (MultiHeadAttention(2, 2), (3, 4), "num_heads", 4),
        (Bidirectional(GRU(2)), (3, 2), "merge_mode", "sum"),
    ],
    ids=lambda v: repr(v) if isinstance(v, Layer) else None,
)
def test_what_a_layer_was_built_with_refuses_to_change(layer, shape, name, value):
    layer.build((None, *shape))
    before = layer.get_config()

    with pytest.raises(AttributeError, match=rf"{name} of .* is fixed once it is .*from_config"):
        setattr(layer, name, value)
    assert layer.get_config() == before


def test_before_it_is_built_a_layer_may_still_become_another():
    layer = Dense(3)
    layer.units = 5
    layer.activation = "relu"

    assert repr(layer) == "Dense(5, activation='relu')"
    assert layer(-np.ones((2, 4))).shape == (2, 5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(Dense(3, "softmax"), (4,)), (Conv2D(2, 3, activation="relu"), (5, 5, 1))],
    ids=repr,
)
def test_the_activation_of_a_built_layer_can_be_taken_off(layer, shape):
    x = np.random.default_rng(0).normal(size=(2, *shape))
    layer(x)
    layer.activation = "linear"
    twin = type(layer).from_config(layer.get_config())
    twin.build((None, *shape))
    twin.set_weights(layer.get_weights())

    np.testing.assert_array_equal(layer(x), twin(x))
    assert twin.get_config()["activation"] == "linear"


@pytest.mark.parametrize("activation", ["glu", bp.layers.PReLU(), bp.layers.Softmax(axis=1)])
def test_an_activation_that_would_change_more_than_numbers_is_refused(activation):
    layer = Dense(4, "tanh")
    layer.build((None, 3, 2))

    with pytest.raises(AttributeError, match=r"activation of .* is fixed"):
        layer.activation = activation
    assert repr(layer) == "Dense(4, activation='tanh')"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda part: part,
        TimeDistributed,
        lambda part: Residual([part]),
        lambda part: Parallel([part, Dense(2)]),
        lambda part: Chain([Chain([part])]),
    ],
)
def test_what_is_changed_inside_of_a_wrapper_is_in_its_configuration(wrap):
    part = Dropout(0.5)
    whole = wrap(part)
    part.rate = 0.25

    twin = type(whole).from_config(whole.get_config())

    assert [p.rate for p in twin.walk() if isinstance(p, Dropout)] == [0.25]


def test_wrappers_with_a_kernel_follow_their_layer():
    whole = SpectralNormalization(Dense(2, LeakyReLU(0.1)))
    whole.layer.activation.negative_slope = 0.5
    whole.power_iterations = 3

    assert repr(whole) == "SpectralNormalization(Dense(2, activation=LeakyReLU(0.5)), " + (
        "power_iterations=3)"
    )


def test_a_direction_may_change_what_it_drops_and_nothing_else():
    layer = Bidirectional(LSTM(2, dropout=0.5))
    layer.forward_layer.dropout = 0.25

    twin = Bidirectional.from_config(layer.get_config())

    assert (twin.forward_layer.dropout, twin.backward_layer.dropout) == (0.25, 0.5)
    assert [p.name for p in twin.sublayers()] == [p.name for p in layer.sublayers()]
    with pytest.raises(AttributeError, match="go_backwards"):
        layer.forward_layer.go_backwards = True


def test_what_a_block_has_made_is_not_changed_behind_its_back():
    block = TransformerBlock(4, 2, dropout=0.5)
    block.build((None, 3, 4))

    for part in block.walk():
        if isinstance(part, Dropout | MultiHeadAttention):
            with pytest.raises(AttributeError, match="is fixed once it is made"):
                setattr(part, "rate" if isinstance(part, Dropout) else "dropout", 0.0)


def test_a_penalty_on_activity_follows_its_layer():
    model = bp.Sequential([bp.Input((2,)), ActivityRegularization(l2=0.5), Dense(1)])
    model.compile("sgd", "mse")
    model.layers[1].set_weights([np.zeros((2, 1)), np.zeros(1)])
    x, y = np.ones((1, 2)), np.zeros((1, 1))
    before = model.evaluate(x, y, verbose=0)
    model.layers[0].l2 = 0.25

    assert (before, model.evaluate(x, y, verbose=0)) == (1.0, 0.5)
    assert model.layers[0].get_config()["l2"] == 0.25


def test_arguments_that_exclude_each_other_do_so_later_too():
    optimizer = optimizers.Adam(clipnorm=1.0)

    with pytest.raises(ValueError, match="at most one of clipnorm"):
        optimizer.clipvalue = 1.0
    assert repr(optimizer) == "Adam(clipnorm=1.0)"


def test_a_changed_mode_counts_from_the_next_epoch():
    callback = bp.callbacks.EarlyStopping("loss")
    callback.set_model(None)
    assert callback.is_improvement(1.0, 2.0)
    callback.mode = "max"

    assert callback.is_improvement(2.0, 1.0)


def test_a_change_takes_no_seed_from_the_process():
    bp.utils.set_random_seed(0)
    expected = Dense(2)(np.ones((1, 3)))
    bp.utils.set_random_seed(0)
    Dropout(0.5).rate = 0.25

    np.testing.assert_array_equal(Dense(2)(np.ones((1, 3))), expected)


# ------------------------------------------------------------------ classes of the user's


class Scaled(Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def forward(self, x, ctx=INFERENCE):
        return x * self.factor, None

    def backward(self, dy, cache):
        return dy * self.factor


class Keeps(Scaled):
    """Keeps its argument nowhere under its name."""

    def __init__(self, power=3, **kwargs):
        super().__init__(**kwargs)
        self.p = power


class AsInKeras(Scaled):
    def get_config(self):
        config = super().get_config()
        config.update({"factor": self.factor})
        return config


class Checked(Layer):
    """Its argument is a property."""

    def __init__(self, rate):
        self.rate = rate

    @property
    def rate(self):
        return self._rate / 100

    @rate.setter
    def rate(self, rate):
        self._rate = 100 * rate


class Wider(Dense):
    """The attribute of its argument's name is something else."""

    def __init__(self, units=3, times=2, **kwargs):
        super().__init__(units * times, **kwargs)
        self.times = times


@dataclasses.dataclass(eq=False)
class Limit(constraints.Constraint):
    low: float = 0.0

    def __call__(self, w):
        return np.maximum(w, self.low)


@pytest.mark.parametrize(
    ("item", "name", "value"),
    [
        (Scaled(), "factor", 5.0),
        (AsInKeras(), "factor", 5.0),
        (Checked(0.5), "rate", 0.25),
        (Keeps(), "power", 4),
        (Wider(), "times", 3),
        (Limit(), "low", 1.0),
    ],
    ids=lambda v: type(v).__name__,
)
def test_an_argument_of_the_users_class_is_followed(item, name, value):
    before = item.get_config()
    setattr(item, name, value)

    assert before[name] == defaults_of(type(item)).get(name, 0.5) or name == "rate"
    assert item.get_config()[name] == value
    assert type(item).from_config(item.get_config()).get_config() == item.get_config()


def test_where_an_attribute_is_no_argument_what_was_given_counts():
    layer = Wider(3)

    assert (layer.units, layer.get_config()["units"]) == (6, 3)
    assert Wider.from_config(layer.get_config()).units == 6


def test_an_argument_that_was_not_kept_can_be_read():
    assert Keeps(5).power == 5
    assert Keeps().power == 3


def test_an_array_of_a_layer_under_the_name_of_an_argument_is_no_argument():
    class Gain(Layer):
        def __init__(self, gain=1.5):
            self.start = gain

        def build(self, input_shape):
            self.gain, self.dgain = self.param("gain", (), initializers.Constant(self.start))

    layer = Gain()
    layer.build((None, 2))

    assert layer.get_config() == {"gain": 1.5}


def test_a_model_of_the_users_is_made_from_its_own_arguments():
    class Net(bp.Sequential):
        def __init__(self, width=4):
            super().__init__([Dense(width), Dense(1)])

    twin = Net.from_config(Net(5).get_config())

    assert (twin.get_config(), twin.layers[0].units) == ({"width": 5}, 5)


def test_a_frozen_layer_without_such_an_argument_comes_back_frozen():
    class Plain(Layer):
        def __init__(self, k=1):
            self.k = k

    layer = Plain()
    layer.trainable = False

    assert not Plain.from_config(layer.get_config()).trainable


# ------------------------------------------------------------------ names


def test_a_name_that_nobody_chose_gives_way():
    twins = [Dense.from_config(Dense(2).get_config()) for _ in range(2)]
    chosen = [Dense.from_config(Dense(2, name="head").get_config()) for _ in range(2)]

    assert [layer.name for layer in bp.Sequential(twins).layers] == ["dense", "dense_1"]
    with pytest.raises(ValueError, match="already has a layer named 'head'"):
        bp.Sequential(chosen)


def test_names_of_a_model_survive_and_repr_stays_the_constructor_call():
    model = bp.Sequential([bp.Input((2,)), Dense(3), Dense(3), ReLU(name="end")])
    twin = bp.Sequential.from_config(model.get_config())

    assert [layer.name for layer in twin.layers] == ["dense", "dense_1", "end"]
    assert repr(twin.layers[1]) == "Dense(3)"


def test_a_copy_in_another_dtype_says_so():
    layer = Dense(2)
    layer.build((None, 3))

    assert layer.astype("float64").get_config()["dtype"] == "float64"
    assert layer.get_config()["dtype"] is None
    with pytest.raises(AttributeError, match="astype"):
        layer.dtype = "float64"


def mse(y_true, y_pred):
    return np.full(len(y_true), 7.0)


class Steep(losses.Loss):
    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return 100 * (d * d).sum(-1), d

    def gradient(self, dvalues, d):
        return 200 * dvalues[..., None] * d


class Triple(Scaled):
    def __init__(self, **kwargs):
        super().__init__(3.0, **kwargs)


def compiled(**options):
    model = bp.Sequential([bp.Input((2,)), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mse"], **options)
    return model


def test_a_metric_under_the_name_of_a_loss_is_a_metric_alone():
    with custom_object_scope({"mse": mse}):
        model = compiled()
        assert repr(losses.get("mse")) == "MeanSquaredError()"

    logs = model.evaluate(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert logs == [1.0, 7.0]


def test_a_loss_under_the_name_of_a_metric_is_a_loss_alone():
    with custom_object_scope({"mse": Steep}):
        model = compiled()

    assert model.evaluate(np.ones((2, 2)), np.ones((2, 1)), verbose=0) == [100.0, 1.0]


def test_a_layer_under_the_name_of_an_activation_is_that_activation():
    with custom_object_scope({"relu": Triple}):
        layer = Dense(1, "relu", kernel_initializer="ones")

    assert layer(-np.ones((1, 2))).tolist() == [[-6.0]]
    with custom_object_scope({"Triple": Triple}):
        assert type(Dense.from_config(layer.get_config()).activation) is Triple
    assert type(Dense(1, "relu").activation) is ReLU


@pytest.mark.parametrize(
    ("name", "own", "get", "expected"),
    [
        ("l2", lambda w: 0.0, regularizers.get, "FromFunction"),
        ("zeros", lambda shape, dtype=None: np.ones(shape), initializers.get, "FromFunction"),
        ("accuracy", mse, lambda n: metrics.resolve(n, (None, 1), (None, 1)), "MeanMetricWrapper"),
        ("adam", type("Mine", (optimizers.SGD,), {}), optimizers.get, "Mine"),
        ("adam", mse, optimizers.get, "Adam"),
        ("l2", Steep, regularizers.get, "L2"),
        ("non_neg", mse, constraints.get, "NonNeg"),
    ],
)
def test_each_family_takes_what_it_can_use(name, own, get, expected):
    with custom_object_scope({name: own}):
        assert type(get(name)).__name__ == expected


def test_a_function_as_an_activation_is_refused_by_name():
    with (
        custom_object_scope({"relu": lambda x: x}),
        pytest.raises(TypeError, match="whose derivative is not known"),
    ):
        Dense(1, "relu")


@pytest.fixture
def registrations(monkeypatch):
    """Those of a test, which end with it."""
    with monkeypatch.context() as patch:
        for names in ("_custom_objects", "_registered"):
            patch.setattr(registry, names, {})
        yield patch


@pytest.mark.usefixtures("registrations")
def test_a_registration_never_takes_a_name_of_the_library(tmp_path):
    register = bp.saving.register_keras_serializable
    own = register(name="Dense")(type("Own", (Scaled,), {"__module__": __name__}))
    register(name="mse")(mse)
    model = bp.Sequential([bp.Input((2,)), own(4.0), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=[mse])
    x, y = np.ones((2, 2)), np.zeros((2, 1))
    assert type(metrics.get("mse")).__name__ == "MeanSquaredError"

    model.save(tmp_path / "m.npz")
    loaded = bp.models.load_model(tmp_path / "m.npz")

    assert loaded.evaluate(x, y, verbose=0) == [64.0, 7.0]
    assert type(loaded.layers[0]) is own


class Flatten(Scaled):
    """A user's class with a name of the library, which no file may take for it."""


def test_a_users_class_is_never_mistaken_for_that_of_the_library(tmp_path):
    model = bp.Sequential([bp.Input((2,)), Flatten(5.0)])
    model.compile("sgd", "mae", metrics=[mse])
    model.save(tmp_path / "m.npz")

    for known, missing in (({}, "layer 'Flatten'"), ({"Flatten": Flatten}, "function 'mse'")):
        with pytest.raises(ValueError, match=f"unknown {missing}. If it is your own") as caught:
            bp.models.load_model(tmp_path / "m.npz", custom_objects=known)
        assert "custom_objects={" in str(caught.value)
        assert "register_keras_serializable" in str(caught.value)
        assert len(str(caught.value)) < 350
    loaded = bp.models.load_model(
        tmp_path / "m.npz", custom_objects={"Flatten": Flatten, "mse": mse}
    )
    assert loaded.predict(np.ones((1, 2)), verbose=0).tolist() == [[5.0, 5.0]]


def test_a_file_of_a_class_registered_elsewhere_takes_it_from_custom_objects(
    tmp_path, registrations
):
    cls = bp.saving.register_keras_serializable("there")(
        type("Own", (Scaled,), {"__module__": __name__})
    )
    bp.Sequential([bp.Input((2,)), cls(5.0)]).save(tmp_path / "m.npz")
    registrations.undo()

    loaded = bp.models.load_model(tmp_path / "m.npz", custom_objects={"Own": cls})

    assert loaded.layers[0].factor == 5.0


def test_a_misspelt_class_of_a_configuration_is_told_the_nearest():
    with pytest.raises(ValueError, match="unknown layer 'Dence'; did you mean 'Dense'"):
        bp.layers.deserialize({"class_name": "Dence", "config": {}})


def test_a_configuration_of_few_arguments_is_enough():
    layer = bp.layers.deserialize({"class_name": "Dense", "config": {"units": 3}})

    assert repr(layer) == "Dense(3)"
    assert repr(Activation.from_config({"activation": "relu"})) == "Activation('relu')"


def test_a_class_that_only_joins_others_has_the_constructors_of_all():
    class Wide(Configurable, kw_only=True):
        width: int = 2

        def __post_init__(self):
            self.area = self.width**2

    class Named(Configurable, kw_only=True):
        label: str = "none"

    class Joined(Named, Wide):
        pass

    made = Joined(width=3, label="three")

    assert (made.label, made.width, made.area) == ("three", 3, 9)
    assert Joined().area == 4


# ------------------------------------------------------------------ arguments that do nothing

PACKAGE = Path(bp.__file__).parent
MEANT_FOR_ENGINES = {"attention_axes", "unroll", "use_cudnn"}  # and say so


def unread(sources):
    """Arguments of constructors that nothing reads, as ``Class.argument``."""
    trees = [ast.parse(text) for text in sources]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    loads = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    # a property that is assigned to may do something with it
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef)]
    loads |= {
        f.name
        for f in functions
        if any(ast.unparse(d) == f"{f.name}.setter" for d in f.decorator_list)
    }
    for cls in (n for n in nodes if isinstance(n, ast.ClassDef)):
        for init in (n for n in cls.body if getattr(n, "name", None) == "__init__"):
            inside = [n for statement in init.body for n in ast.walk(statement)]
            used = {n.id for n in inside if isinstance(n, ast.Name)}
            stored = [
                s
                for s in init.body
                if isinstance(s, ast.Assign)
                and isinstance(s.targets[0], ast.Attribute)
                and isinstance(s.value, ast.Name)
                and s.targets[0].attr == s.value.id
            ]
            elsewhere = [n for s in init.body if s not in stored for n in ast.walk(s)]
            passed = {n.id for n in elsewhere if isinstance(n, ast.Name)}
            for argument in [*init.args.args[1:], *init.args.kwonlyargs]:
                name = argument.arg
                if name not in used or (name not in passed and name not in loads):
                    yield f"{cls.name}.{name}"


def test_no_constructor_accepts_an_argument_and_ignores_it():
    sources = [path.read_text() for path in PACKAGE.rglob("*.py")]

    found = [name for name in unread(sources) if name.split(".")[1] not in MEANT_FOR_ENGINES]

    assert found == []


def test_the_search_for_ignored_arguments_can_find_one():
    source = inspect.cleandoc(
        """
        class Layer:
            def __init__(self, used, stored, dropped):
                self.stored = stored
                print(used)
        """
    )

    assert list(unread([source])) == ["Layer.stored", "Layer.dropped"]
