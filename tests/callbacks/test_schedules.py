"""LearningRateScheduler and ReduceLROnPlateau, against Keras' own on the same logs."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop.callbacks import LearningRateScheduler, ReduceLROnPlateau


class Logged:
    """The learning rate at the end of every epoch."""

    def __init__(self):
        self.rates = []

    def set_model(self, model):
        self.model = model

    def set_params(self, params):
        pass

    def on_train_begin(self, logs=None):
        pass

    on_train_end = on_train_begin

    def on_epoch_begin(self, epoch, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append((self.model.optimizer.learning_rate, logs.get("learning_rate")))


def rates(fake_model, callback, values, name="val_loss"):
    logged, model = Logged(), fake_model(learning_rate=0.1)
    model.train([callback, logged], [{name: value} for value in values])
    return logged.rates


@given(
    values=st.lists(st.sampled_from([0.5, 0.9, 1.0, 1.00005, 1.1]), min_size=1, max_size=20),
    factor=st.sampled_from([0.1, 0.5, 0.9]),
    patience=st.integers(0, 3),
    mode=st.sampled_from(["min", "max", "auto"]),
    min_delta=st.sampled_from([1e-4, 0.0, 0.2]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.01, 0.05]),
)
def test_the_rate_falls_where_keras_lets_it_fall(
    fake_model, values, factor, patience, mode, min_delta, cooldown, min_lr
):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    options = {
        "factor": factor,
        "patience": patience,
        "mode": mode,
        "min_delta": min_delta,
        "cooldown": cooldown,
        "min_lr": min_lr,
    }

    assert rates(fake_model, ReduceLROnPlateau(**options), values) == rates(
        fake_model, keras.callbacks.ReduceLROnPlateau(**options), values
    )


def test_a_reduction_by_hand(fake_model):
    found = rates(fake_model, ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.04), [1.0] * 8)

    # epoch 0 is the best; 1 and 2 are no better, nor 3 and 4, then the smallest rate is reached
    assert [rate for rate, _ in found] == [0.1, 0.1, 0.05, 0.05, 0.04, 0.04, 0.04, 0.04]
    assert [logged for _, logged in found] == [0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.04, 0.04]


def test_nothing_is_counted_while_it_cools_down(fake_model):
    plateau = ReduceLROnPlateau(factor=0.5, patience=1, cooldown=3)
    found = rates(fake_model, plateau, [1.0] * 8)

    # reduced after epoch 1; epochs 2 and 3 cool down, and with 4, the last of the three, counting
    # begins anew
    assert [rate for rate, _ in found] == [0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125]


def test_a_plateau_without_its_monitor_is_warned_of_once(fake_model):
    with pytest.warns(UserWarning, match="Available: loss, learning_rate") as caught:
        found = rates(fake_model, ReduceLROnPlateau(patience=0), [1.0, 1.0, 1.0], "loss")

    assert len(caught) == 1
    assert [rate for rate, _ in found] == [0.1] * 3


def test_a_reduction_is_announced(fake_model, capsys):
    rates(fake_model, ReduceLROnPlateau(factor=0.5, patience=1, verbose=1), [1.0, 1.0])

    assert capsys.readouterr().out == (
        "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.05.\n"
    )


@pytest.mark.parametrize("name", ["patience", "cooldown", "min_lr"])
def test_what_would_be_negative_is_an_error(name):
    with pytest.raises(ValueError, match=f"expects {name} of at least 0 and got -1"):
        ReduceLROnPlateau(**{name: -1})


@pytest.mark.parametrize("factor", [1.0, 1.5, -0.1])
def test_a_factor_that_does_not_reduce_is_an_error(factor):
    with pytest.raises(ValueError, match="ReduceLROnPlateau expects a factor"):
        ReduceLROnPlateau(factor=factor)


SCHEDULES = {
    "of two arguments": lambda epoch, lr: lr * 0.5 if epoch else lr,
    "of one argument": lambda epoch: 0.1 / (1 + epoch),
    "returning NumPy's float": lambda epoch, lr: np.float64(lr * 0.9),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_sets_the_rate_that_keras_sets(fake_model, kind):
    keras = pytest.importorskip("keras", reason="compares with Keras")

    ours = rates(fake_model, LearningRateScheduler(SCHEDULES[kind]), [1.0] * 4)

    assert ours == rates(
        fake_model, keras.callbacks.LearningRateScheduler(SCHEDULES[kind]), [1.0] * 4
    )
    assert ours[3][0] == ours[3][1] < 0.1


def test_an_error_inside_a_schedule_of_two_arguments_is_not_hidden(fake_model):
    def wrong(epoch, lr):
        return lr + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        rates(fake_model, LearningRateScheduler(wrong), [1.0])


@pytest.mark.parametrize(
    ("value", "kind", "match"),
    [
        ("0.1", TypeError, "must return a float and returned '0.1'"),
        (None, TypeError, "must return a float and returned None"),
        (float("nan"), ValueError, "returned nan"),
        (-1.0, ValueError, "returned -1.0"),
    ],
)
def test_a_schedule_that_returns_no_rate_is_an_error(fake_model, value, kind, match):
    with pytest.raises(kind, match=match):
        rates(fake_model, LearningRateScheduler(lambda epoch, lr: value), [1.0])


def test_a_schedule_that_cannot_be_called_is_an_error():
    with pytest.raises(
        TypeError, match=r"expects schedule, a function of \(epoch, learning_rate\)"
    ):
        LearningRateScheduler(0.1)


def test_a_schedule_announces_its_rates(fake_model, capsys):
    rates(fake_model, LearningRateScheduler(lambda epoch: 0.5, verbose=1), [1.0, 1.0])

    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1: LearningRateScheduler setting learning rate to 0.5.",
        "Epoch 2: LearningRateScheduler setting learning rate to 0.5.",
    ]
