"""Optimizers step by step against Keras; what they remember against freezing, saving, copying."""

import copy
import inspect
import json
import pickle
import tracemalloc

import numpy as np
import pytest

from backprop import optimizers
from backprop.layer import Layer
from backprop.optimizers import SGD, Adam, AdamW, Ftrl, Lion, Nadam, Optimizer, RMSprop, schedules
from backprop.vector import ParameterVector

# of Keras' own variables, on NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CLASSES = [
    cls
    for cls in vars(optimizers).values()
    if inspect.isclass(cls) and issubclass(cls, Optimizer) and cls is not Optimizer
]
STEPPING = [cls for cls in CLASSES if not cls.full_batch]
VARIANTS = [(cls.__name__, {}) for cls in STEPPING] + [
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "rho": 0.8, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 1e-2}),
    ("Adadelta", {"rho": 0.8, "epsilon": 1e-3}),
    ("Adamax", {"beta_1": 0.5, "beta_2": 0.8}),
    ("Nadam", {"beta_1": 0.5, "epsilon": 1e-2}),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.8}),
    ("Ftrl", {"learning_rate_power": -0.8, "initial_accumulator_value": 0.0, "beta": 0.5}),
    (
        "Ftrl",
        {
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.1,
        },
    ),
    ("Adafactor", {"beta_2_decay": -0.5, "epsilon_1": 1e-3, "clip_threshold": 0.7}),
    ("Adafactor", {"relative_step": False, "epsilon_2": 0.8}),
    ("Lamb", {"beta_1": 0.5, "beta_2": 0.8, "epsilon": 1e-3}),
    ("LARS", {"momentum": 0.5, "trust_coefficient": 0.1}),
    ("Muon", {"nesterov": False, "rms_rate": None, "ns_steps": 3, "adam_lr_ratio": 0.5}),
    ("Muon", {"momentum": 0.5, "adam_weight_decay": None, "adam_beta_2": 0.9, "muon_a": 3.0}),
    ("ScheduleFreeAdamW", {"beta_1": 0.6, "beta_2": 0.9, "warmup_steps": 7}),
]
NOT_OF_KERAS = {"LARS"}
OF_KERAS = [case for case in VARIANTS if case[0] not in NOT_OF_KERAS]
NAMES_OF_KERAS = sorted({name for name, _ in OF_KERAS})
OPTIONS = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.9},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_overwrite_frequency": 3,
        "clipnorm": 0.5,
        "weight_decay": 0.05,
    },
]
SHAPES = [(3, 2), (2,), (2, 1, 2), ()]


def named(case):
    name, arguments = case
    return "-".join([name, *(f"{k}={v}" for k, v in arguments.items())])


class Values(Layer):
    """Parameters of given values and nothing else."""

    def __init__(self, values, **kwargs):
        super().__init__(dtype=values[0].dtype, **kwargs)
        self.values = values
        for i, value in enumerate(values):
            self.param(["kernel", "bias"][i] if i < 2 else f"more_{i}", value.shape, value.copy())


def vector(*layers):
    found = ParameterVector([p for layer in layers for p in layer.arrays()])
    found.layers = layers  # a parameter alone does not keep its layer, nor its path
    return found


def random(shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [np.array(rng.normal(size=shape), dtype) for shape in shapes]


def gradients(step, shapes=SHAPES, dtype="float64"):
    return random(shapes, dtype, seed=1000 + step)


def set_gradients(parameters, grads):
    for p, g in zip(parameters.parameters, grads, strict=True):
        p.gradient[...] = g


def close(found, expected, tolerance=1e-6):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.fixture
def keras(monkeypatch):
    """Keras on its NumPy backend, which takes float64 for float32 unless it is told otherwise."""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    from keras.src.backend.common import dtypes

    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield keras
    keras.config.set_floatx(before)


def keras_variables(keras, values):
    return [keras.Variable(v, dtype=v.dtype.name) for v in values]


def numbers(variables):
    return [np.asarray(v.numpy()) for v in variables]


def follow_keras(keras, name, arguments, dtype, tolerance, steps=20):
    """Steps on one flat vector against Keras' steps on a list of variables."""
    arguments = {"learning_rate": 0.05, **arguments}
    values = random(SHAPES, dtype)
    theirs = getattr(keras.optimizers, name)(**arguments)
    variables = keras_variables(keras, values)
    ours = getattr(optimizers, name)(**arguments)
    parameters = vector(Values(values[:2]), Values(values[2:]))
    assert len(parameters.segments()) == 1

    for step in range(steps):
        grads = gradients(step, dtype=dtype)
        theirs.apply(grads, variables)
        set_gradients(parameters, grads)
        ours.step(parameters)

        close([p.value for p in parameters.parameters], numbers(variables), tolerance)
        assert ours.iterations == int(theirs.iterations)
    theirs.finalize_variable_values(variables)
    ours.finalize_variable_values(parameters)
    close([p.value for p in parameters.parameters], numbers(variables), tolerance)


@pytest.mark.parametrize("case", OF_KERAS, ids=named)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 2e-5)])
def test_twenty_steps_are_those_of_keras(keras, case, dtype, tolerance):
    follow_keras(keras, *case, dtype, tolerance)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o))
@pytest.mark.parametrize("name", NAMES_OF_KERAS)
def test_every_option_of_every_optimizer_is_that_of_keras(keras, name, options):
    follow_keras(keras, name, options, "float64", 1e-6, steps=9)


@pytest.mark.parametrize("steps", [None, 2])
def test_a_schedule_is_given_the_number_of_steps_as_in_keras(keras, steps):
    values = random(SHAPES)
    ours = Adam(schedules.ExponentialDecay(0.1, 3, 0.5), gradient_accumulation_steps=steps)
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    theirs = keras.optimizers.Adam(decay, gradient_accumulation_steps=steps)
    variables = keras_variables(keras, values)
    for step in range(8):
        assert ours.learning_rate == pytest.approx(float(theirs.learning_rate), rel=1e-6)
        theirs.apply(gradients(step), variables)
        ours.apply(gradients(step), values)

    close(values, numbers(variables))


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm", "clipvalue"])
@pytest.mark.parametrize("cls", STEPPING)
def test_a_list_of_arrays_and_a_vector_take_the_same_steps(cls, clip):
    options = {"weight_decay": 0.1, clip: 0.3, "use_ema": True}
    arrays = random(SHAPES)
    parameters = vector(Values(arrays))
    of_list, of_vector = cls(0.05, **options), cls(0.05, **options)
    for step in range(5):
        assert of_list.apply_gradients(zip(gradients(step), arrays, strict=True)) == step + 1
        set_gradients(parameters, gradients(step))
        of_vector.step(parameters)

    close(arrays, [p.value for p in parameters.parameters], 1e-12)


def test_an_array_that_is_not_contiguous_is_changed_in_place():
    base = np.arange(12.0).reshape(3, 4)
    column = base[:, 1:3]
    SGD(1.0).apply([np.ones((3, 2))], [column])
    np.testing.assert_array_equal(base[0], [0, 0, 1, 3])


def test_the_arrays_of_a_model_may_be_given_to_apply():
    layer = Values(random(SHAPES))
    parameters = vector(layer)
    before = [w.copy() for w in layer.weights]
    optimizer = SGD(0.5, momentum=0.9)
    optimizer.build(parameters)
    optimizer.apply(gradients(0), layer.trainable_variables)
    optimizer.apply(gradients(0))

    close([b - w for b, w in zip(before, layer.weights, strict=True)],
          [0.5 * 2.9 * g for g in gradients(0)])  # fmt: skip


@pytest.mark.parametrize("case", VARIANTS, ids=named)
def test_gradients_are_left_as_they_are(case):
    name, arguments = case
    parameters = vector(Values(random(SHAPES)))
    for options in [{}, *OPTIONS]:
        set_gradients(parameters, gradients(0))
        getattr(optimizers, name)(0.05, **{**arguments, **options}).step(parameters)
        close([p.gradient for p in parameters.parameters], gradients(0), 0)


@pytest.mark.parametrize("case", VARIANTS, ids=named)
def test_a_step_allocates_no_vector(case):
    name, arguments = case
    parameters = vector(Values([np.zeros(100_000)]))
    parameters.gradients[:] = np.random.default_rng(0).normal(size=100_000)
    optimizer = getattr(optimizers, name)(0.01, weight_decay=0.01, **{
        k: v for k, v in arguments.items() if k != "weight_decay"})  # fmt: skip
    optimizer.step(parameters)
    tracemalloc.start()
    optimizer.step(parameters)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


# ------------------------------------------------------------------------ freezing and rebuilding


@pytest.mark.parametrize("case", OF_KERAS, ids=named)
def test_freezing_layers_midway_keeps_what_is_remembered_of_the_others(keras, case):
    name, arguments = case
    values = random([(2, 3), (3,), (3, 2), (2,), (4,)])
    layers = [Values(values[:2]), Values(values[2:4]), Values(values[4:])]
    parameters = vector(*layers)
    variables = keras_variables(keras, values)
    ours = getattr(optimizers, name)(0.05, **arguments)
    theirs = getattr(keras.optimizers, name)(0.05, **arguments)
    theirs.build(variables)
    grads = [gradients(s, [v.shape for v in values]) for s in range(12)]
    for step in range(12):
        frozen = {4: [1], 6: [0, 2], 8: [0], 10: []}.get(step)
        if frozen is not None:
            for i, layer in enumerate(layers):
                layer.trainable = i not in frozen
            parameters.refresh()
        free = [i for i, p in enumerate(parameters.parameters) if p.trainable]
        theirs.apply([grads[step][i] for i in free], [variables[i] for i in free])
        set_gradients(parameters, grads[step])
        ours.step(parameters)

        close([p.value for p in parameters.parameters], numbers(variables))


def test_frozen_parameters_keep_their_values_under_decay_and_averages():
    layers = [Values(random(SHAPES)), Values(random(SHAPES, seed=1))]
    parameters = vector(*layers)
    optimizer = AdamW(0.1, use_ema=True, ema_overwrite_frequency=2)
    set_gradients(parameters, gradients(0) + gradients(1))
    optimizer.step(parameters)
    layers[0].trainable = False
    parameters.refresh()
    before = layers[0].get_weights()
    for _ in range(3):
        optimizer.step(parameters)
    optimizer.finalize_variable_values(parameters)

    close(layers[0].get_weights(), before, 0)


def test_a_model_that_grows_keeps_what_is_remembered_of_its_layers():
    first, second, alone = (Values(random(SHAPES)) for _ in range(3))
    small, reference = vector(first), vector(alone)
    growing, steady = Adam(0.1), Adam(0.1)
    for step in range(8):
        if step == 4:
            small = vector(second, first)
        set_gradients(small, gradients(step) * (len(small.parameters) // len(SHAPES)))
        set_gradients(reference, gradients(step))
        growing.step(small)
        steady.step(reference)

    close(first.get_weights(), alone.get_weights(), 0)


def test_parameters_that_another_model_moves_are_followed():
    first, second, alone = (Values(random(SHAPES)) for _ in range(3))
    parameters, reference = vector(first), vector(alone)
    moved, steady = Adam(0.1, clipnorm=0.5), Adam(0.1, clipnorm=0.5)
    for step in range(6):
        if step == 3:
            other = vector(second, first)
            assert np.shares_memory(other.values, first.weights[0])
        set_gradients(parameters, gradients(step))
        set_gradients(reference, gradients(step))
        moved.step(parameters)
        steady.step(reference)

    close(first.get_weights(), alone.get_weights(), 0)


def test_an_optimizer_refuses_the_parameters_of_another_model():
    optimizer = Adam()
    optimizer.step(vector(Values(random(SHAPES))))
    with pytest.raises(ValueError, match="built for other parameters"):
        optimizer.step(vector(Values(random(SHAPES))))
    with pytest.raises(ValueError, match=r"without the variable of shape \(3, 2\)"):
        optimizer.apply(gradients(0), random(SHAPES))


def test_constraints_hold_after_every_step():
    class Positive(Layer):
        def __init__(self):
            super().__init__()
            self.w, self.dw = self.param("w", (3,), "ones", constraint="non_neg")
            self.v, self.dv = self.param("v", (3,), "ones")

    layer = Positive()
    parameters = vector(layer)
    parameters.gradients[:] = 2
    SGD(1.0).step(parameters)

    np.testing.assert_array_equal(layer.w, [0, 0, 0])
    np.testing.assert_array_equal(layer.v, [-1, -1, -1])


# ------------------------------------------------------------------------------------- the options


def test_exclusions_from_weight_decay_are_those_of_keras(keras):
    values = random(SHAPES)
    variables = [
        keras.Variable(v, dtype="float64", name=n)
        for v, n in zip(values, ["kernel", "bias", "more_2", "more_3"], strict=True)
    ]
    layer = Values(values)
    parameters = vector(layer)
    theirs, ours = keras.optimizers.AdamW(0.1), AdamW(0.1)
    theirs.exclude_from_weight_decay(var_list=variables[2:3], var_names=["bias"])
    ours.exclude_from_weight_decay(var_list=layer.weights[2:3], var_names=["bias"])
    for step in range(5):
        theirs.apply(gradients(step), variables)
        set_gradients(parameters, gradients(step))
        ours.step(parameters)

    close(layer.get_weights(), numbers(variables), 1e-7)


def test_a_parameter_is_excluded_by_its_path_or_by_itself():
    layers = [Values(random(SHAPES), name="one"), Values(random(SHAPES), name="two")]
    parameters = vector(*layers)
    before = [layer.get_weights() for layer in layers]
    optimizer = SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(layers[1].arrays()[1:2], ["one/bias", "more"])
    optimizer.step(parameters)

    halved = [[True, False, False, False], [True, False, False, False]]
    for layer, old, halves in zip(layers, before, halved, strict=True):
        close(
            layer.get_weights(), [w * (0.5 if h else 1) for w, h in zip(old, halves, strict=True)]
        )


def test_exclusions_that_fit_nothing_are_errors():
    optimizer = AdamW()
    optimizer.exclude_from_weight_decay([np.zeros(3)])
    with pytest.raises(ValueError, match="not among those it optimizes"):
        optimizer.step(vector(Values(random(SHAPES))))
    optimizer = AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match="plain arrays have none"):
        optimizer.apply(gradients(0), random(SHAPES))


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_clipping_stands_gradients_whose_squares_overflow(clip):
    w = [np.zeros(4, np.float32), np.zeros(2, np.float32)]
    g = [np.full(4, 1e30, np.float32), np.zeros(2, np.float32)]
    SGD(1.0, **{clip: 1.0}).apply(g, w)
    np.testing.assert_allclose(w[0], -0.5, rtol=1e-6)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_clipping_leaves_short_gradients_alone(clip):
    w = [np.zeros(2), np.zeros(2)]
    SGD(1.0, **{clip: 5.1}).apply([np.array([0.0, 3.0]), np.array([4.0, 0.0])], w)
    np.testing.assert_array_equal(w, [[0, -3], [-4, 0]])


def test_centered_rmsprop_stands_large_equal_gradients():
    w = np.zeros(3, np.float32)
    optimizer = RMSprop(rho=0.95, centered=True)
    for _ in range(500):
        optimizer.apply([np.full(3, 12345.678, np.float32)], [w])
    assert np.isfinite(w).all()


@pytest.mark.parametrize("cls", STEPPING)
def test_any_hyperparameter_may_be_a_schedule(cls):
    """A schedule gives the steps that setting the number before each step gives."""
    signature = inspect.signature(cls).parameters
    names = {"learning_rate", "weight_decay"} | ({"momentum", "beta_1", "beta_2", "rho", "epsilon"}
                                                 & set(signature))  # fmt: skip
    moving = {name: schedules.PolynomialDecay(0.1, 10, 0.9) for name in names}
    scheduled = cls(**moving)
    by_hand = cls(**{name: schedule(0) for name, schedule in moving.items()})
    a, b = random(SHAPES), random(SHAPES)
    for step in range(8):
        for name, schedule in moving.items():
            setattr(by_hand, name, schedule(step))
            assert getattr(scheduled, name) == schedule(step)
        scheduled.apply(gradients(step), a)
        by_hand.apply(gradients(step), b)

    close(a, b, 1e-12)
    assert not np.allclose(a[0], random(SHAPES)[0])


def test_adam_with_moving_betas_follows_the_textbook():
    beta_1, beta_2 = (lambda step: 0.5 + 0.04 * step), (lambda step: 0.9 + 0.01 * step)
    w, m, v = (random([(5,)])[0], np.zeros(5), np.zeros(5))
    ours = [w.copy()]
    optimizer = Adam(0.1, beta_1, beta_2)
    for step in range(8):
        (g,) = gradients(step, [(5,)])
        optimizer.apply([g], ours)
        b1, b2 = beta_1(step), beta_2(step)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        a = 0.1 * np.sqrt(1 - b2 ** (step + 1)) / (1 - b1 ** (step + 1))
        w = w - a * m / (np.sqrt(v) + 1e-7)

        close(ours, [w], 1e-12)


def test_a_function_of_the_step_or_of_nothing_is_a_schedule():
    optimizer = SGD(lambda step: 1.0 / (step + 1), momentum=lambda: 0.25)
    assert (optimizer.learning_rate, optimizer.momentum) == (1.0, 0.25)
    optimizer.iterations = 3
    assert optimizer.learning_rate == 0.25


# ------------------------------------------------------------------------------------------- state


def run(optimizer, parameters, steps):
    for step in steps:
        set_gradients(parameters, gradients(step))
        optimizer.step(parameters)


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("case", VARIANTS, ids=named)
def test_a_saved_state_goes_on_bit_for_bit(case, options):
    name, arguments = case
    arguments = {**arguments, **options, "learning_rate": 0.05}
    layer = Values(random(SHAPES))
    parameters = vector(layer)
    optimizer = getattr(optimizers, name)(**arguments)
    run(optimizer, parameters, range(7))
    optimizer.learning_rate = 0.03
    state = {key: np.array(value) for key, value in optimizer.get_state().items()}
    copies = [
        type(optimizer).from_config(json.loads(json.dumps(optimizer.get_config()))),
        pickle.loads(pickle.dumps(optimizer)),
        copy.deepcopy(optimizer),
    ]
    copies[0].set_state(state)
    late = type(optimizer)(**arguments)
    twins = [vector(Values(layer.get_weights())) for _ in range(4)]
    run(late, vector(Values(random(SHAPES))), range(2))
    late = type(optimizer)(**arguments)
    late.build(twins[3])
    late.set_state(state)
    run(optimizer, parameters, range(7, 14))

    for other, twin in zip([*copies, late], twins, strict=True):
        run(other, twin, range(7, 14))
        np.testing.assert_array_equal(twin.values, parameters.values)
        assert other.iterations == optimizer.iterations


def test_a_state_of_moving_betas_goes_on_bit_for_bit():
    def make():
        return Adam(0.1, beta_1=lambda step: 0.5 + 0.02 * step)

    first, layer = make(), Values(random(SHAPES))
    parameters = vector(layer)
    run(first, parameters, range(5))
    twin, second = vector(Values(layer.get_weights())), make()
    second.set_state(first.get_state())
    run(first, parameters, range(5, 10))
    run(second, twin, range(5, 10))

    np.testing.assert_array_equal(twin.values, parameters.values)


@pytest.mark.parametrize("options", [{}, OPTIONS[-1]], ids=["plain", "averaged"])
@pytest.mark.parametrize("case", OF_KERAS, ids=named)
def test_the_variables_are_those_of_keras_and_go_both_ways(keras, case, options):
    name, arguments = case
    arguments = {"learning_rate": 0.05, **arguments, **options}
    values = random(SHAPES)
    variables = keras_variables(keras, values)
    parameters = vector(Values(values))
    theirs = getattr(keras.optimizers, name)(**arguments)
    ours = getattr(optimizers, name)(**arguments)
    for step in range(5):
        theirs.apply(gradients(step), variables)
    run(ours, parameters, range(5))
    their_store, our_store = {}, {}
    theirs.save_own_variables(their_store)
    ours.save_own_variables(our_store)

    assert their_store.keys() == our_store.keys()
    for key, theirs_saved in their_store.items():
        np.testing.assert_allclose(our_store[key], theirs_saved, rtol=1e-6, atol=1e-12)
    again = getattr(optimizers, name)(**arguments)
    again.load_own_variables(their_store)
    twin = vector(Values([p.value for p in parameters.parameters]))
    run(again, twin, range(5, 10))
    for step in range(5, 10):
        theirs.apply(gradients(step), variables)
    close([p.value for p in twin.parameters], numbers(variables))


def test_a_state_that_does_not_fit_changes_nothing():
    parameters = vector(Values(random(SHAPES)))
    optimizer = Adam(0.1)
    run(optimizer, parameters, range(3))
    before = optimizer.get_state()
    short = {**before, "momentum": before["momentum"][:-1], "steps": np.array(99)}
    for wrong in (short, SGD(momentum=0.9).get_state(), {"0": np.array(3)}):
        with pytest.raises(ValueError, match="adam"):
            optimizer.set_state(wrong)
    late = Adam(0.1)
    late.set_state(short)
    with pytest.raises(ValueError, match="momentum"):
        late.step(parameters)

    for name, value in optimizer.get_state().items():
        np.testing.assert_array_equal(value, before[name])


def test_nadams_product_is_part_of_its_state():
    optimizer = Nadam()
    optimizer.apply(gradients(0), random(SHAPES))
    assert optimizer.get_state()["u_product"] == pytest.approx(0.9 * (1 - 0.5 * 0.96))
    assert optimizer.variables[-1] == optimizer.u_product


# ------------------------------------------------------------------------ names, configs and errors


def test_every_optimizer_is_registered_and_none_is_forgotten():
    assert set(optimizers.registry.classes.values()) == set(CLASSES)
    for cls in CLASSES:
        for name in (cls.__name__, cls.__name__.lower()):
            assert type(optimizers.get(name)) is cls
        assert cls.__doc__ and "Examples" in cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_an_optimizer_is_rebuilt_from_its_config_and_its_repr(cls):
    optimizer = cls(name="mine") if cls.full_batch else cls(0.125, name="mine", clipnorm=2)
    config = json.loads(json.dumps(optimizers.serialize(optimizer)))
    again = optimizers.get(config)
    assert type(again) is cls
    assert again.get_config() == optimizer.get_config()
    assert repr(eval(repr(optimizer), vars(optimizers))) == repr(optimizer)


def test_the_config_of_a_schedule_and_of_a_changed_learning_rate():
    optimizer = AdamW(schedules.CosineDecay(0.1, 100), beta_1=schedules.WarmUp(0.9, 10, 0.5))
    again = optimizers.get(json.loads(json.dumps(optimizers.serialize(optimizer))))
    again.iterations = optimizer.iterations = 5
    assert again.learning_rate == optimizer.learning_rate
    assert again.beta_1 == optimizer.beta_1 == 0.7
    other = AdamW(0.1)
    other.learning_rate = 0.25
    assert other.get_config()["learning_rate"] == 0.25


@pytest.mark.parametrize("name", NAMES_OF_KERAS)
def test_configs_of_keras_are_understood(keras, name):
    decay = keras.optimizers.schedules.ExponentialDecay(0.25, 10, 0.5)
    theirs = getattr(keras.optimizers, name)(decay, weight_decay=0.5, clipnorm=1.0)
    ours = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert type(ours).__name__ == name
    assert (ours.learning_rate, ours.weight_decay, ours.clipnorm) == (0.25, 0.5, 1.0)
    assert ours.name == theirs.name


def test_a_user_writes_an_optimizer_in_a_few_lines():
    class SignMomentum(Optimizer):
        def slots(self):
            return [("momentum",)]

        def update(self, w, g, lr, m, t):
            m *= 0.5
            m += g
            np.sign(m, out=t)
            t *= lr
            w -= t

    w = [np.zeros(2)]
    optimizer = SignMomentum(0.5, weight_decay=0.1)
    for sign in (1.0, -0.4):
        optimizer.apply([np.array([sign, -sign])], w)
    np.testing.assert_allclose(w[0], [-0.5 * 0.95 - 0.5, 0.5 * 0.95 + 0.5])
    config = optimizers.serialize(optimizer)
    again = optimizers.deserialize(config, {"SignMomentum": SignMomentum})
    assert isinstance(again, SignMomentum) and again.weight_decay == 0.1


def test_a_user_writes_an_optimizer_that_sees_each_parameter_alone():
    class RowwiseAdagrad(Optimizer):
        by_parameter = True

        def slots(self):
            return [("rows",)]

        def slot_shape(self, slot, entry):
            return entry.shape[:1] if len(entry.shape) == 2 else None

        def update(self, w, g, lr, *work):
            *rows, t = work
            np.multiply(g, lr, out=t)
            for a in rows:  # only a matrix has them
                a += (g * g).mean(1)
                t /= np.sqrt(a)[:, None]
            w -= t

    layer = Values([np.zeros((2, 3)), np.zeros(2), np.zeros(0)])
    parameters = vector(layer)
    set_gradients(parameters, [np.array([[3.0, 3, 3], [-5, -5, -5]]), np.array([2.0, 4]), []])
    optimizer = RowwiseAdagrad(1.0, global_clipnorm=1e9)
    for _ in range(2):
        optimizer.step(parameters)

    steps = 1 + 1 / np.sqrt(2)
    close(
        layer.get_weights()[:2],
        [np.array([[-steps] * 3, [steps] * 3]), np.array([-4.0, -8])],
        1e-12,
    )
    assert [v.shape for v in optimizer.variables[2:]] == [(2,)]
    again = RowwiseAdagrad(1.0)
    again.build(parameters)
    again.set_state(optimizer.get_state())
    np.testing.assert_array_equal(again.variables[2], [18, 50])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Adam("fast"), ValueError, "unknown schedule 'fast'"),
        (lambda: Adam("0.1"), TypeError, "learning_rate to be a number, .*, got '0.1'"),
        (lambda: Ftrl(learning_rate_power=1.0), ValueError, r"to be in \(-inf, 0\], got 1.0"),
        (lambda: Adam(True), TypeError, "learning_rate to be a number"),
        (lambda: Adam(None), TypeError, "learning_rate to be a number"),
        (lambda: Adam(np.nan), ValueError, r"learning_rate to be in \[0, inf\)"),
        (lambda: Adam(beta_1=1.0), ValueError, r"Adam expects beta_1 to be in \[0, 1\), got 1.0"),
        (lambda: SGD(momentum=-0.1), ValueError, "momentum"),
        (lambda: Lion(beta_1=0.0), ValueError, r"\(0, 1\]"),
        (lambda: SGD(clipnorm=0), ValueError, "clipnorm"),
        (lambda: SGD(clipnorm=1, clipvalue=1), ValueError, "at most one of"),
        (lambda: SGD(loss_scale_factor=2.0), ValueError, "leave it out"),
        (lambda: SGD(gradient_accumulation_steps=1), ValueError, "at least 2"),
        (lambda: SGD(ema_overwrite_frequency=0), ValueError, "ema_overwrite_frequency"),
        (lambda: SGD(ema_momentum=1.5), ValueError, "ema_momentum"),
        (lambda: AdamW(weight_decay=None), ValueError, "use Adam"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), ValueError, "initial_accum"),
        (lambda: SGD(learning_rat=0.1), TypeError, "did you mean 'learning_rate'"),
        (lambda: optimizers.get("adm"), ValueError, "did you mean 'adam'"),
        (lambda: optimizers.get(3), TypeError, "an optimizer is a name"),
        (lambda: SGD().apply([np.ones(2)]), ValueError, "knows no variables"),
        (lambda: SGD().apply([None], [np.ones(2)]), ValueError, "no gradient"),
        (lambda: SGD().apply([np.ones(3)], [np.ones(2)]), ValueError, r"shape \(3,\)"),
        (lambda: SGD().apply([np.ones(3)] * 2, [np.ones(2)]), ValueError, "2 gradients for 1"),
        (lambda: SGD().apply([1.0], [1.0]), TypeError, "got float"),
        (lambda: SGD().apply([np.ones(2)], [np.arange(2)]), TypeError, "dtype int64"),
        (lambda: Optimizer(0.1).apply([np.ones(2)], [np.ones(2)]), TypeError, "write one"),
    ],
)
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_optimizer_written_for_keras_is_told_what_to_write():
    with pytest.raises(TypeError, match=r"write update\(self, w, g, lr"):

        class Mine(Optimizer):
            def update_step(self, gradient, variable, learning_rate):
                pass


def test_a_missing_gradient_leaves_its_variable_alone_and_warns():
    w = [np.ones(2), np.ones(2)]
    with pytest.warns(UserWarning, match="1 of 2 variables"):
        SGD(1.0).apply([np.ones(2), None], w)
    np.testing.assert_array_equal(w, [[0, 0], [1, 1]])
