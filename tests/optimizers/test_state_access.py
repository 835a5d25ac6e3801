"""What an optimizer remembers, looked at and set from outside, as scripts for Keras do it."""

import gc

import numpy as np
import pytest
from keras_parity import keras_in

import backprop as bp
from backprop import optimizers
from backprop.optimizers import SGD, Adam, AdamW, Nadam

OF_KERAS = [c.__name__ for c in optimizers.CLASSES if not c.full_batch and c.__name__ != "LARS"]
X, Y = np.random.default_rng(0).standard_normal((2, 16, 3)).astype("float32")


def model(optimizer):
    bp.utils.set_random_seed(0)
    found = bp.Sequential(
        [bp.Input((3,)), bp.layers.Dense(4, name="a"), bp.layers.Dense(3, name="b")]
    )
    found.compile(optimizer, "mse")
    return found


def trained(optimizer, steps=2):
    found = model(optimizer)
    for _ in range(steps):
        found.train_on_batch(X, Y)
    return found


# ------------------------------------------------------------------------------------ the variables


@pytest.mark.parametrize("name", OF_KERAS)
def test_names_and_shapes_are_those_of_keras_in_their_order(name):
    options = {"use_ema": True, "gradient_accumulation_steps": 2}
    arrays = [np.ones((3, 2)), np.ones(2)]
    ours = getattr(optimizers, name)(0.1, **options)
    ours.build([bp.Variable(a, name=n) for a, n in zip(arrays, ("kernel", "bias"), strict=True)])
    with keras_in("float64") as keras:
        theirs = getattr(keras.optimizers, name)(0.1, **options)
        theirs.build(
            [keras.Variable(a, name=n) for a, n in zip(arrays, ("kernel", "bias"), strict=True)]
        )
        wanted = [(v.name, tuple(v.shape)) for v in theirs.variables]

    found = [(v.name, v.shape) for v in ours.variables]
    assert [shape for _, shape in found] == [shape for _, shape in wanted]
    for (n, _), (keras_name, _) in zip(found, wanted, strict=True):
        # Adafactor's rows and columns bear the variable's own name there; Nadam's product none
        assert n == keras_name or keras_name in ("kernel", "bias") or n == "product"


def test_a_path_begins_with_the_optimizers_name_and_none_comes_twice():
    optimizer = SGD(0.1, momentum=0.9, name="mine")
    optimizer.build([np.ones(2), np.ones(2), bp.Variable(np.ones(2), name="w")])

    assert [v.path for v in optimizer.variables] == [
        "mine/iteration",
        "mine/learning_rate",
        "mine/variable_momentum",
        "mine/variable_1_momentum",
        "mine/w_momentum",
    ]
    found = [v.name for v in trained(Adam()).optimizer.variables]
    assert found[2:4] == ["sequential_a_kernel_momentum", "sequential_a_kernel_velocity"]
    assert len(set(found)) == len(found)


def test_a_schedule_is_no_variable():
    optimizer = SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))

    assert [v.name for v in optimizer.variables] == ["iteration"]


@pytest.mark.parametrize("cls", [SGD, Adam, Nadam])
def test_what_is_assigned_is_what_the_next_step_goes_on_from(cls):
    options = {"momentum": 0.9} if cls is SGD else {}
    one, other = trained(cls(0.1, **options), steps=3), trained(cls(0.1, **options), steps=1)
    other.set_weights(one.get_weights())
    for a, b in zip(other.optimizer.variables, one.optimizer.variables, strict=True):
        assert a.assign(b) is a

    for m in (one, other):
        m.train_on_batch(X, Y)

    assert one.optimizer.iterations == other.optimizer.iterations == 4
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_variable_is_read_anew_and_written_through():
    m = trained(Adam(0.1))
    velocity = m.optimizer.variables[3]
    before = velocity.numpy()
    m.train_on_batch(X, Y)

    assert (velocity.numpy() != before).all()
    velocity[0] = 7.0
    np.testing.assert_allclose(m.optimizer.variables[3].numpy()[0], 7.0, rtol=1e-6)
    velocity.assign_add(np.ones((3, 4)))
    np.testing.assert_allclose(m.optimizer.variables[3].numpy()[0], 8.0, rtol=1e-6)
    np.testing.assert_allclose(velocity + 1, velocity.numpy() + 1)
    assert not velocity.trainable
    with pytest.raises(ValueError, match=r"adam/sequential_a_kernel_velocity has shape \(3, 4\)"):
        velocity.assign(np.ones(3))


def test_iterations_and_learning_rate_are_variables():
    optimizer = SGD(0.1)
    iteration, rate = optimizer.variables

    iteration.assign(5)
    rate.assign(0.25)

    assert (optimizer.iterations, optimizer.learning_rate) == (5, 0.25)
    with pytest.raises(ValueError, match=r"learning_rate to be in \[0, inf\)"):
        rate.assign(np.nan)


# -------------------------------------------------------------------------------------- the weights


@pytest.mark.parametrize("name", [c.__name__ for c in optimizers.CLASSES if not c.full_batch])
def test_weights_are_taken_out_and_put_back(name):
    one, other = (trained(getattr(optimizers, name)(0.1), steps=n) for n in (3, 1))
    other.set_weights(one.get_weights())
    other.optimizer.set_weights(one.optimizer.get_weights())

    for m in (one, other):
        m.train_on_batch(X, Y)

    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_weights_of_keras_are_taken_up():
    arrays, grads = [np.ones((3, 2)), np.ones(2)], [np.full((3, 2), 0.3), np.array([1.0, -2.0])]
    ours = AdamW(0.1)
    ours.build(arrays)
    with keras_in("float64") as keras:
        theirs = keras.optimizers.AdamW(0.1)
        theirs.build([keras.Variable(a, dtype="float64") for a in arrays])
        theirs.apply(grads)
        ours.set_weights([np.asarray(v.numpy()) for v in theirs.variables])

    assert ours.iterations == 1
    np.testing.assert_allclose(ours.variables[2].numpy(), 0.1 * grads[0], rtol=1e-6)


def test_weights_that_do_not_fit_change_nothing():
    optimizer = Adam(0.1)
    with pytest.raises(ValueError, match=r"call build\(model.trainable_variables\) first"):
        optimizer.set_weights([np.array(1)])
    optimizer.build([np.ones(2)])
    optimizer.apply([np.ones(2)])
    weights = optimizer.get_weights()
    for wrong in (weights[:-1], [*weights[:-1], np.ones(3)], [*weights, np.ones(2)]):
        with pytest.raises(ValueError, match="4 variables of shapes"):
            optimizer.set_weights([np.array(9), *wrong[1:]])
    for a, b in zip(optimizer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"learning_rate to be in \[0, inf\)"):
        optimizer.set_weights([np.array(9), np.array(-1.0), *weights[2:]])
    assert optimizer.iterations == 1


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (0, np.array(2.5), "steps"),
        (0, np.array(-1), "steps"),
        (0, np.array(2**60), "steps"),
        (1, np.array(np.nan), "learning_rate, .*not finite"),
        (2, np.full(2, np.nan, np.float32), "variable_momentum, .*not finite"),
        (3, np.full(2, np.inf, np.float32), "variable_velocity, .*not finite"),
        (3, np.full(2, 1e300), "variable_velocity, .*not finite"),  # which float32 cannot hold
        (3, np.ones(2, bool), "variable_velocity, .*not finite"),
        (3, np.array([1, -1e-9], np.float32), "variable_velocity, .*negative"),
    ],
)
def test_numbers_that_no_run_can_go_on_from_change_nothing(place, value, match):
    optimizer = Adam(0.1)
    optimizer.build([np.ones(2, np.float32)])
    optimizer.apply([np.ones(2, np.float32)])
    weights = optimizer.get_weights()
    wrong = [np.array(9), *weights[1:]]
    wrong[place] = value

    with pytest.raises(ValueError, match=match):
        optimizer.set_weights(wrong)

    for a, b in zip(optimizer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cls", optimizers.registry.classes.values(), ids=lambda cls: cls.__name__)
def test_squares_that_are_negative_are_no_state(cls):
    optimizer = cls()
    if optimizer.full_batch:
        return  # it keeps nothing from step to step
    w = np.ones((3, 2), np.float32)
    optimizer.build([w])
    for _ in range(3):
        optimizer.apply([np.float32([[1, -2], [3, -4], [5, -6]])], [w])
    state = optimizer.get_state()
    for name in {name for group in optimizer.slots() for name in group} - {*optimizer.squares}:
        optimizer.set_state(state | {name: -1 - state[name] ** 2})
    for name in optimizer.squares:
        if name in state and state[name].size:  # Muon keeps none for a matrix
            with pytest.raises(ValueError, match=f"{name} of the state of .* is negative"):
                optimizer.set_state(state | {name: -1 - state[name]})


# ------------------------------------------------------------------- building, applying, excluding


def test_a_model_may_be_built_for_by_its_variables():
    m = model(Adam(0.1))
    optimizer = Adam(0.1)
    optimizer.build(m.trainable_variables)
    grads = [np.ones(v.shape) for v in m.trainable_variables]

    optimizer.apply(grads)
    optimizer.apply_gradients(zip(grads, m.trainable_variables, strict=True))

    assert optimizer.iterations == 2
    assert len(optimizer.variables) == 2 + 2 * 4
    with pytest.raises(ValueError, match="3 gradients for 4 variables"):
        optimizer.apply(grads[:3])
    with pytest.raises(ValueError, match="without the variable of shape"):
        optimizer.apply([np.ones(2)], [np.ones(2)])


@pytest.mark.parametrize("use_plain", [False, True])
def test_constraints_of_variables_hold_after_apply(use_plain):
    m = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2, kernel_constraint="non_neg")])
    kernel, bias = m.trainable_variables
    if use_plain:
        m.build()
        kernel, bias = m.layers[0].kernel, m.layers[0].bias
    optimizer = SGD(10.0)
    if use_plain:
        optimizer.build(m.trainable_variables)

    optimizer.apply_gradients([(np.ones((3, 2)), kernel), (np.ones(2), bias)])

    np.testing.assert_array_equal(m.layers[0].kernel, 0)
    np.testing.assert_array_equal(m.layers[0].bias, -10)


def test_a_variable_that_stands_alone_may_have_a_constraint():
    w = bp.Variable(np.ones(3), name="w")
    w.constraint = bp.constraints.NonNeg()
    optimizer = SGD(1.0, momentum=0.9)

    optimizer.apply_gradients([(np.array([0.5, 2.0, -1.0]), w)])

    np.testing.assert_array_equal(w.numpy(), [0.5, 0.0, 2.0])
    assert optimizer.variables[2].name == "w_momentum"
    with pytest.raises(ValueError, match="expects a constraint to be a function"):
        w.constraint = "non_neg"
    kernel = model("sgd").trainable_variables[0]
    with pytest.raises(AttributeError, match="write kernel_constraint= there"):
        kernel.constraint = bp.constraints.NonNeg()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "names", [["bias"], ["b.a", "nothing"], "bias", ["^bias$"], ["kernel|bias"]]
)
def test_names_are_excluded_by_regular_expressions_before_and_after_building(names, when):
    variables = [bp.Variable(np.ones(2), name=n) for n in ("kernel", "bias")]
    optimizer = SGD(1.0, weight_decay=0.5)
    if when == "after":
        optimizer.build(variables)
    optimizer.exclude_from_weight_decay(var_names=names)

    optimizer.apply([np.zeros(2), np.zeros(2)], variables)

    kernel, bias = (float(v[0]) for v in variables)
    assert bias == 1.0
    assert kernel == (1.0 if names == ["kernel|bias"] else 0.5)


def test_a_variable_alone_is_excluded_by_itself():
    kept, decayed = (bp.Variable(np.ones(2), name="w") for _ in range(2))
    optimizer = AdamW(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[kept])

    optimizer.apply([np.zeros(2), np.zeros(2)], [kept, decayed])

    assert (float(kept[0]), float(decayed[0])) == (1.0, 0.5)


@pytest.mark.parametrize(
    "config",
    [{"class_name": c.__name__, "config": {"learning_rate": 0.5}} for c in optimizers.CLASSES[10:]],
    ids=lambda config: config["class_name"],
)
def test_new_names_are_known_to_get_and_compile(config):
    name = config["class_name"]
    assert type(optimizers.get(config)).__name__ == name
    assert type(optimizers.get(name.lower())).__name__ == name
    assert optimizers.get(config).learning_rate == 0.5
    assert type(trained(name).optimizer).__name__ == name


def test_what_is_remembered_outlives_the_model():
    optimizer = trained(Adam(0.1)).optimizer
    gc.collect()
    store = {}

    optimizer.save_own_variables(store)

    again = Adam(0.1)
    m = model(again)
    again.build(m.trainable_variables)
    again.load_own_variables(store)
    assert again.iterations == optimizer.iterations == 2
