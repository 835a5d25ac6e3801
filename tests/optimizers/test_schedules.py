"""Schedules against Keras', and OneCycle against PyTorch's."""

import inspect
import json

import numpy as np
import pytest

from backprop.optimizers import schedules

CASES = [
    ("ExponentialDecay", (0.1, 7, 0.8), {}),
    ("ExponentialDecay", (0.1, 7, 0.8), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10], [1.0, 0.5, 0.1]), {}),
    ("PiecewiseConstantDecay", ([4], [0.25, 0.125]), {}),
    ("PolynomialDecay", (0.1, 13), {}),
    ("PolynomialDecay", (0.1, 13, 0.02, 2.0), {}),
    ("PolynomialDecay", (0.1, 7, 0.02, 0.5), {"cycle": True}),
    ("InverseTimeDecay", (0.1, 7, 0.8), {}),
    ("InverseTimeDecay", (0.1, 7, 0.8), {"staircase": True}),
    ("CosineDecay", (0.1, 17), {}),
    ("CosineDecay", (0.1, 17), {"alpha": 0.2}),
    ("CosineDecay", (0.0, 17), {"warmup_target": 0.1, "warmup_steps": 5}),
    ("CosineDecay", (0.02, 17, 0.1), {"warmup_target": 0.1, "warmup_steps": 0}),
    ("CosineDecay", (0.1, 17), {"warmup_steps": 5}),
    ("CosineDecayRestarts", (0.1, 5), {}),
    ("CosineDecayRestarts", (0.1, 5, 1.0, 0.5), {}),
    ("CosineDecayRestarts", (0.1, 5, 1.5, 0.8, 0.1), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_every_schedule_is_that_of_keras(name, args, kwargs):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    ours = getattr(schedules, name)(*args, **kwargs)
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    for step in range(41):
        found = ours(step)
        assert type(found) is float
        # Keras computes in float32, and its cosine has an error of one ulp of the top
        assert found == pytest.approx(float(theirs(step)), rel=2e-6, abs=2e-8)


@pytest.mark.parametrize("cls", list(schedules.registry.classes.values()))
def test_arguments_and_defaults_are_those_of_keras(cls):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    theirs = getattr(keras.optimizers.schedules, cls.__name__, None)
    if theirs is None:
        assert cls in (schedules.OneCycle, schedules.WarmUp)
        return
    ours, theirs = inspect.signature(cls).parameters, inspect.signature(theirs).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def test_every_schedule_is_registered():
    found = {
        cls
        for cls in vars(schedules).values()
        if inspect.isclass(cls)
        and issubclass(cls, schedules.LearningRateSchedule)
        and cls.__call__ is not schedules.LearningRateSchedule.__call__
    }
    assert found == set(schedules.registry.classes.values())


@pytest.mark.parametrize("t_mul", [1.0, 1.5, 2.0, 3.0])
def test_every_restart_begins_at_its_very_step(t_mul):
    """At a restart the value jumps, so a rounding error of the cycle's number would be seen."""
    restarts = schedules.CosineDecayRestarts(1.0, 1024, t_mul, m_mul=0.5)
    begin = 0
    for i in range(9):
        assert restarts(begin) == 0.5**i
        begin += int(1024 * t_mul**i)
        assert restarts(begin - 1) < 0.01 * 0.5**i


@pytest.mark.parametrize(("t_mul", "second"), [(1.3, 23), (1.6, 26)])
def test_a_restart_is_not_lost_to_rounding(t_mul, second):
    restarts = schedules.CosineDecayRestarts(1.0, 10, t_mul, m_mul=0.5)
    assert [round(restarts(step), 6) for step in (10, second)] == [0.5, 0.25]


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_one_cycle_is_that_of_pytorch(anneal, fraction):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.4, 20, pct_start=fraction, anneal_strategy=anneal, cycle_momentum=False,
        div_factor=10.0, final_div_factor=100.0,
    )  # fmt: skip
    ours = schedules.OneCycle(0.4, 20, fraction, 10.0, 100.0, anneal)
    for step in range(20):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step < 19:
            theirs.step()
    assert ours(10_000) == ours(19)


def test_one_cycle_by_hand():
    cycle = schedules.OneCycle(1.0, 21, warmup_fraction=11 / 21, final_divisor=4.0)
    assert cycle(0) == pytest.approx(1 / 25)
    assert cycle(5) == pytest.approx((1 + 1 / 25) / 2)
    assert cycle(10) == pytest.approx(1.0)
    assert cycle(15) == pytest.approx((1 + 1 / 100) / 2)
    assert cycle(20) == cycle(500) == pytest.approx(1 / 100)


def test_a_cycle_of_the_momentum_goes_down_and_back():
    cycle = schedules.OneCycle(0.85, 100, initial_divisor=0.85 / 0.95, final_divisor=1.0)
    assert cycle(0) == pytest.approx(0.95)
    assert cycle(29) == pytest.approx(0.85)
    assert cycle(99) == pytest.approx(0.95)


def test_warm_up_before_a_number_and_before_a_schedule():
    decay = schedules.CosineDecay(0.5, 10)
    by_schedule = schedules.WarmUp(decay, 4, initial_learning_rate=0.1)
    assert [by_schedule(s) for s in (0, 1, 4, 9)] == pytest.approx([0.1, 0.2, 0.5, 0.25])
    keras_like = schedules.CosineDecay(0.1, 10, warmup_target=0.5, warmup_steps=4)
    assert [by_schedule(s) for s in range(20)] == pytest.approx([keras_like(s) for s in range(20)])
    by_number = schedules.WarmUp(0.5, 4)
    assert [by_number(s) for s in (0, 2, 4, 99)] == [0.0, 0.25, 0.5, 0.5]
    assert schedules.WarmUp(0.5, 0)(0) == 0.5


MADE = [getattr(schedules, name)(*args, **kwargs) for name, args, kwargs in CASES] + [
    schedules.OneCycle(0.1, 10),
    schedules.WarmUp(schedules.ExponentialDecay(0.1, 10, 0.5), 4),
]


@pytest.mark.parametrize("schedule", MADE, ids=repr)
def test_a_schedule_is_rebuilt_from_its_config_and_its_repr(schedule):
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert repr(again) == repr(schedule) == repr(eval(repr(schedule), vars(schedules)))
    assert [again(s) for s in range(30)] == [schedule(s) for s in range(30)]


def test_a_schedule_needs_no_name():
    config = {"initial_learning_rate": 0.1, "decay_steps": 10, "name": None}

    made = schedules.deserialize({"class_name": "PolynomialDecay", "config": config})

    assert made.name is None and made(5) == schedules.PolynomialDecay(0.1, 10)(5)
    with pytest.raises(TypeError, match="name"):
        schedules.PolynomialDecay(0.1, 10, name=3)


@pytest.mark.parametrize("schedule", MADE, ids=repr)
def test_an_array_of_steps_is_asked_for_as_a_curve_is_drawn(schedule):
    each = [schedule(step) for step in range(40)]

    np.testing.assert_array_equal(schedule(np.arange(40)), each)
    np.testing.assert_array_equal(schedule(np.linspace(0, 39, 40).reshape(5, 8)).ravel(), each)
    assert schedule([]).shape == (0,)


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_configs_of_keras_are_understood(name, args, kwargs):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    ours = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    again = getattr(schedules, name)(*args, **kwargs)
    assert [ours(s) for s in range(30)] == [again(s) for s in range(30)]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps to be positive"),
        (lambda: schedules.CosineDecay("0.1", 10), TypeError, "initial_learning_rate to be a numb"),
        (lambda: schedules.CosineDecay(np.nan, 10), ValueError, "finite"),
        (lambda: schedules.PolynomialDecay(0.1, -1), ValueError, "got -1"),
        (lambda: schedules.InverseTimeDecay(0.1, 10), TypeError, "decay_rate"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, "one value more"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "that increase"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), ValueError, "at least 1"),
        (lambda: schedules.OneCycle(0.1, 1), ValueError, "total_steps"),
        (lambda: schedules.OneCycle(0.1, 10, anneal="sin"), ValueError, "'cos', 'linear'"),
        (lambda: schedules.WarmUp("fast", 10), TypeError, "learning_rate to be a number"),
        (lambda: schedules.CosineDecay(0.1, decay_step=3), TypeError, "did you mean 'decay_steps'"),
        (lambda: schedules.deserialize({"class_name": "Cosine"}), ValueError, "CosineDecay"),
        (lambda: schedules.LearningRateSchedule()(3), TypeError, "write one that returns a float"),
    ],
)
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
