"""What is set on an optimizer after it was made, what is read from it, and the names it goes by."""

import copy
import json
import pickle

import numpy as np
import pytest

from backprop import optimizers
from backprop.config import custom_object_scope
from backprop.optimizers import LBFGS, SGD, Adam, AdamW, Nadam, RMSprop, schedules

STEPPING = [cls for cls in optimizers.CLASSES if not cls.full_batch]


def stepped(optimizer, w=None, steps=3, seed=0):
    """Arrays after some steps on drawn gradients."""
    rng = np.random.default_rng(seed)
    w = [np.ones(4), np.ones((2, 3))] if w is None else w
    for _ in range(steps):
        optimizer.apply([rng.standard_normal(v.shape) for v in w], w)
    return w


ASSIGNMENTS = {
    "a number": lambda o: setattr(o, "learning_rate", 0.5),
    "assign": lambda o: o.learning_rate.assign(0.5),
    "the older name": lambda o: setattr(o, "lr", 0.5),
    "an array": lambda o: setattr(o, "learning_rate", np.array(0.5)),
}


@pytest.mark.parametrize("how", ASSIGNMENTS)
@pytest.mark.parametrize("schedule", [schedules.ExponentialDecay(0.1, 1, 0.5), lambda step: 0.1])
@pytest.mark.parametrize("cls", STEPPING)
def test_a_number_does_not_discard_a_schedule(cls, schedule, how):
    optimizer = cls(schedule)
    stepped(optimizer)

    with pytest.raises(TypeError, match=r"has a schedule for its learning_rate, which .* discard"):
        ASSIGNMENTS[how](optimizer)

    assert optimizer.learning_rate == schedule(3)


@pytest.mark.parametrize("start", [0.1, schedules.ExponentialDecay(0.1, 1, 0.5)])
def test_a_schedule_may_take_the_place_of_what_was_there(start):
    optimizer = SGD(start)
    optimizer.learning_rate = schedules.InverseTimeDecay(0.4, 1, 1.0)
    stepped(optimizer)

    assert optimizer.learning_rate == 0.1
    assert repr(optimizer) == "SGD(InverseTimeDecay(0.4, 1, 1.0))"


def test_other_schedules_are_not_discarded_either():
    optimizer = SGD(momentum=schedules.WarmUp(0.9, 10), weight_decay=lambda step: 0.1)
    with pytest.raises(TypeError, match=r"a schedule for its momentum, which 0.5 would discard"):
        optimizer.momentum = 0.5
    with pytest.raises(TypeError, match="a schedule for its weight_decay, which None would"):
        optimizer.weight_decay = None
    assert optimizer.momentum == 0


def test_the_state_of_an_optimizer_with_a_schedule_can_be_taken_up():
    one, other = (Adam(schedules.ExponentialDecay(0.1, 1, 0.5)) for _ in range(2))
    w = stepped(one)
    other.build([v.copy() for v in w])
    other.set_state(one.get_state())

    assert other.learning_rate == one.learning_rate == 0.1 / 8


LATER = {
    "momentum": (SGD, {"momentum": 0.0}, {"momentum": 0.9}),
    "no momentum": (SGD, {"momentum": 0.9}, {"momentum": 0.0}),
    "nesterov": (SGD, {"momentum": 0.9}, {"nesterov": True}),
    "momentum of RMSprop": (RMSprop, {}, {"momentum": 0.5}),
    "centered": (RMSprop, {}, {"centered": True}),
    "amsgrad": (Adam, {}, {"amsgrad": True}),
    "no amsgrad": (Adam, {"amsgrad": True}, {"amsgrad": False}),
    "betas": (Adam, {}, {"beta_1": 0.5, "beta_2": 0.9}),
    "epsilon": (Adam, {}, {"epsilon": 0.1}),
    "weight_decay": (Adam, {}, {"weight_decay": 0.1}),
    "clipnorm": (SGD, {}, {"clipnorm": 0.1}),
    "another clip": (SGD, {"clipnorm": 0.1}, {"clipnorm": None, "clipvalue": 0.05}),
    "averages": (SGD, {}, {"use_ema": True, "ema_momentum": 0.5}),
    "overwriting": (SGD, {"use_ema": True}, {"ema_overwrite_frequency": 1}),
    "accumulation": (Adam, {}, {"gradient_accumulation_steps": 2}),
    "no accumulation": (
        Adam,
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": None},
    ),
}


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("whole", [False, True])
def test_an_option_that_is_set_later_holds_from_then_on(kind, whole):
    """As if the slots that it needs had been there, with zeros (an average with the values)."""
    cls, before, after = LATER[kind]
    optimizer, other = cls(0.1, **before), cls(0.1, **(before | after))
    w = stepped(optimizer, steps=2)
    kept = {
        name: optimizer._slots.whole(name) * optimizer.unit(name) for name in optimizer._names()
    }
    for name, value in after.items():
        setattr(optimizer, name, value)
    other.build([v.copy() for v in w])
    other.iterations = optimizer.iterations
    for name in kept.keys() & set(other._names()):
        other._slots.load(name, kept[name] / other.unit(name))
    if whole:  # a run goes on from its state
        optimizer.set_state(optimizer.get_state())
    stepped(optimizer, w, seed=1)
    expected = stepped(other, [e.value for e in other._slots.entries], seed=1)

    for mine, its in zip(w, expected, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12)
    assert optimizer.iterations == other.iterations


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("clipvalue", 1.0, "at most one of .*beside clipnorm=0.5; set that to None first"),
        ("clipnorm", -1.0, "clipnorm to be in"),
        ("momentum", 2, "momentum to be in"),
        ("ema_overwrite_frequency", 0, "ema_overwrite_frequency"),
        ("gradient_accumulation_steps", 1, "gradient_accumulation_steps"),
        ("iterations", -1, "iterations"),
    ],
)
def test_what_is_set_later_is_checked_as_in_the_constructor(name, value, match):
    optimizer = SGD(0.1, clipnorm=0.5)
    before = getattr(optimizer, name)

    with pytest.raises(ValueError, match=match):
        setattr(optimizer, name, value)

    assert getattr(optimizer, name) == before


# ---------------------------------------------------------------------------- habits and old names


def test_the_learning_rate_is_a_float_with_the_habits_of_a_variable():
    optimizer = SGD(0.1)

    assert isinstance(optimizer.learning_rate, float)
    assert optimizer.learning_rate == optimizer.lr == optimizer.learning_rate.value == 0.1
    assert isinstance(optimizer.learning_rate.numpy(), np.floating)
    assert json.dumps({"rate": optimizer.learning_rate}) == '{"rate": 0.1}'
    assert f"{optimizer.learning_rate:.2f} {optimizer.learning_rate}" == "0.10 0.1"
    assert optimizer.learning_rate.assign(0.4) == 0.4
    optimizer.learning_rate.assign_sub(0.15)
    optimizer.learning_rate.assign_add(0.25)
    assert float(optimizer.learning_rate) == 0.5
    assert type(copy.deepcopy(optimizer.learning_rate)) is float
    assert type(pickle.loads(pickle.dumps(optimizer)).get_config()["learning_rate"]) is float
    with pytest.raises(ValueError, match=r"learning_rate to be in \[0, inf\)"):
        optimizer.learning_rate.assign(np.nan)
    assert optimizer.learning_rate == 0.5


def test_the_iterations_are_an_int_with_the_habits_of_a_variable():
    optimizer = Adam(gradient_accumulation_steps=2)
    stepped(optimizer, steps=6)

    assert isinstance(optimizer.iterations, int)
    assert optimizer.iterations == optimizer.iterations.numpy() == optimizer.iterations.value == 3
    assert optimizer.iterations.assign_add(2) == 5
    optimizer.iterations.assign(0)
    assert optimizer.iterations == 0


@pytest.mark.parametrize("cls", [*STEPPING, LBFGS])
def test_names_are_known_in_any_capitals(cls):
    name = cls.__name__
    for spelt in (name, name.upper(), name.lower(), name.swapcase()):
        assert type(optimizers.get(spelt)) is cls
        config = {"class_name": spelt, "config": {}}
        assert type(optimizers.get(config)) is type(optimizers.deserialize(config)) is cls


def test_a_name_of_ones_own_comes_before_capitals():
    class Mine(SGD):
        pass

    with custom_object_scope({"ADAM": Mine}):
        assert type(optimizers.get("ADAM")) is Mine
        assert type(optimizers.get("Adam")) is Adam
    with pytest.raises(ValueError, match=r"unknown optimizer 'ADAMM'; did you mean"):
        optimizers.get("ADAMM")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SGD(lr=0.1), r"SGD\(\) has no argument 'lr': it is called learning_rate"),
        (lambda: Adam(beta1=0.9), "'beta1': it is called beta_1"),
        (lambda: AdamW(betas=(0.9, 0.99)), "'betas': they are called beta_1 and beta_2"),
        (lambda: Nadam(eps=1e-8), "'eps': it is called epsilon"),
        (lambda: RMSprop(alpha=0.9), "'alpha': it is called rho"),
        (lambda: SGD(beta1=0.9), "has no argument 'beta1'.*it takes"),
        (lambda: LBFGS(lr=0.9), "has no argument 'lr'.*it takes"),
        (lambda: SGD(0.1, nesterof=True), "did you mean 'nesterov'"),
    ],
)
def test_retired_and_foreign_arguments_name_what_took_their_place(make, match):
    with pytest.raises(TypeError, match=match):
        make()


def test_the_decay_of_older_scripts_is_ignored_with_a_word():
    with pytest.warns(UserWarning, match="ignores decay=0.0001: a rate that falls is a schedule"):
        assert Adam(0.1, decay=1e-4).learning_rate == 0.1


def test_an_optimizer_of_ones_own_may_have_such_an_argument():
    class Mine(SGD):
        def __init__(self, lr=0.5):
            super().__init__(lr)

    assert Mine(lr=0.25).learning_rate == 0.25
