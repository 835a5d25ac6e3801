"""EarlyStopping against Keras' own, on the same logs, and its parts."""

import math

import pytest
from hypothesis import given, strategies as st

from backprop.callbacks import EarlyStopping

values = st.lists(
    st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.1, 2.0, math.inf]), min_size=1, max_size=15
)


def logs(losses, name="val_loss"):
    return [{name: value} for value in losses]


@given(
    values=values,
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0, 0.1, -0.5]),
    mode=st.sampled_from(["min", "max", "auto"]),
    baseline=st.sampled_from([None, 0.95, 1.5]),
    restore=st.booleans(),
    start=st.integers(0, 3),
)
def test_it_stops_and_restores_where_keras_does(
    fake_model, values, patience, min_delta, mode, baseline, restore, start
):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    options = {
        "patience": patience,
        "min_delta": min_delta,
        "mode": mode,
        "baseline": baseline,
        "restore_best_weights": restore,
        "start_from_epoch": start,
    }

    def outcome(callback, model):
        last = model.train([callback], logs(values))
        return last, model.stop_training, callback.stopped_epoch, callback.best, list(model.value)

    from_us = outcome(EarlyStopping(**options), fake_model())
    from_keras = outcome(keras.callbacks.EarlyStopping(**options), fake_model())

    assert from_us == from_keras


def test_the_best_weights_are_copies(fake_model):
    model = fake_model()
    callback = EarlyStopping(patience=5, restore_best_weights=True)
    model.train([callback], logs([2.0, 1.0, 3.0]))
    assert list(model.value) == [1.0] * 3

    model.value += 10
    assert list(callback.best_weights[0]) == [1.0] * 3


def test_one_object_serves_two_runs(fake_model):
    model, callback = fake_model(), EarlyStopping(patience=1)
    first = model.train([callback], logs([1.0, 2.0, 3.0]))
    second = model.train([callback], logs([9.0, 8.0, 9.0, 9.0]))

    assert (first, second) == (1, 2)


def test_a_number_after_nan_is_an_improvement(fake_model):
    model, callback = fake_model(), EarlyStopping(patience=2, restore_best_weights=True)
    model.train([callback], logs([math.nan, 1.0, 2.0, 3.0, 4.0]))

    assert callback.best == 1.0
    assert list(model.value) == [1.0] * 3


def test_only_nan_stops_when_the_patience_is_used_up(fake_model):
    assert fake_model().train([EarlyStopping(patience=2)], logs([math.nan] * 9)) == 2


@pytest.mark.parametrize(
    ("monitor", "better"),
    [
        ("loss", "less"),
        ("val_loss", "less"),
        ("accuracy", "more"),
        ("val_sparse_categorical_accuracy", "more"),
        ("val_mse", "less"),
        ("auc_1", "more"),
        ("r2_score", "more"),
        ("mean_io_u", "more"),
    ],
)
def test_auto_knows_what_is_better(fake_model, monitor, better):
    model, callback = fake_model(), EarlyStopping(monitor, patience=9)
    model.train([callback], logs([1.0, 2.0, 0.5], monitor))

    assert callback.best == {"less": 0.5, "more": 2.0}[better]


def test_auto_asks_the_metric_of_that_name_first(fake_model, fake_metric):
    class CategoricalAccuracy(fake_metric):
        pass

    said = fake_model(metrics=[fake_metric("mse", "up")])
    by_class = fake_model(metrics=[CategoricalAccuracy("top")])
    first, second = EarlyStopping("val_mse", patience=9), EarlyStopping("val_top", patience=9)
    said.train([first], logs([1.0, 2.0], "val_mse"))
    by_class.train([second], logs([1.0, 2.0], "val_top"))

    assert (first.best, second.best) == (2.0, 2.0)


def test_auto_does_not_guess(fake_model):
    with pytest.raises(ValueError, match="'my_number' is better; say mode='min' or mode='max'"):
        fake_model().train([EarlyStopping("my_number")], logs([1.0], "my_number"))


def test_a_missing_monitor_is_warned_of_once_in_a_run(fake_model):
    model = fake_model()
    callback = EarlyStopping(patience=0)
    for _ in range(2):
        with pytest.warns(UserWarning, match="pass validation_data .* Available: loss") as caught:
            last = model.train([callback], logs([1.0, 2.0, 3.0], "loss"))

        assert len(caught) == 1
        assert last == 2  # and nothing is stopped


def test_it_says_what_it_does(fake_model, capsys):
    callback = EarlyStopping(patience=1, verbose=1, restore_best_weights=True)
    fake_model().train([callback], logs([1.0, 2.0, 3.0]))

    assert capsys.readouterr().out == (
        "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


@pytest.mark.parametrize("wrong", [{"mode": "minimum"}, {"patience": -1}, {"start_from_epoch": -1}])
def test_wrong_options_are_errors(wrong):
    with pytest.raises(ValueError, match="EarlyStopping expects"):
        EarlyStopping(**wrong)


def test_its_repr_is_the_constructor_call():
    assert repr(EarlyStopping(monitor="loss", patience=2)) == "EarlyStopping('loss', patience=2)"
    assert EarlyStopping.from_config(EarlyStopping(patience=2).get_config()).patience == 2
