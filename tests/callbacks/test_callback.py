"""Callback and CallbackList: which hooks are called, when, with what."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import backprop as bp
import backprop.callbacks
from backprop.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    ProgbarLogger,
)

HOOKS = [name for name in vars(Callback) if name.startswith("on_")]
BATCH_HOOKS = [name for name in HOOKS if "_batch_" in name and name.count("_") == 3]
OLD_HOOKS = ["on_batch_begin", "on_batch_end"]


def recording(name, seen):
    """A callback that overrides one hook."""
    return type("Recording", (Callback,), {name: lambda self, *a, **k: seen.append((name, a, k))})()


@pytest.mark.parametrize("name", BATCH_HOOKS)
def test_a_batch_hook_reaches_the_callbacks_that_override_it(name):
    seen = []
    run = CallbackList([Callback(), recording(name, seen)])
    for hook in BATCH_HOOKS:
        getattr(run, hook)(3, {"loss": 1.0})

    assert seen == [(name, (3,), {"logs": {"loss": 1.0}})]
    assert [hook for hook in BATCH_HOOKS if run.listens_to(hook)] == [name]


@pytest.mark.parametrize("name", OLD_HOOKS)
def test_the_older_names_of_the_batch_hooks_are_called_in_training(name):
    seen = []
    run = CallbackList([recording(name, seen)])
    for hook in BATCH_HOOKS:
        getattr(run, hook)(1)

    assert seen == [(name, (1,), {"logs": {}})]


@pytest.mark.parametrize("name", [h for h in HOOKS if h not in BATCH_HOOKS and h not in OLD_HOOKS])
def test_the_other_hooks_reach_the_callbacks(name):
    seen = []
    run = CallbackList([recording(name, seen)])
    others = {"on_train_interrupt": (2, 5), "on_exception": (ValueError(),)}
    of_epochs = (2, {"loss": 1.0}) if "epoch" in name else ({"loss": 1.0},)
    arguments = others.get(name, of_epochs)
    getattr(run, name)(*arguments)

    assert seen == [(name, arguments, {})]


def test_an_idle_callback_is_never_called_and_its_logs_are_never_computed():
    class Idle(Callback):
        def __getattribute__(self, name):
            calls.append(name)
            return super().__getattribute__(name)

    calls = []
    run = CallbackList([Idle()])
    calls.clear()
    for name in BATCH_HOOKS:
        getattr(run, name)(0, lambda: pytest.fail("logs were computed"))

    assert calls == []


def test_logs_that_are_a_function_are_computed_once_for_all():
    computed, seen = [], []
    run = CallbackList([LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs))] * 2)
    run.on_train_batch_end(0, lambda: computed.append(1) or {"loss": 2.0})

    assert computed == [1]
    assert seen == [{"loss": 2.0}] * 2


def test_an_override_of_a_lazy_hook_is_given_a_dictionary():
    class Bar(ProgbarLogger):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs)

    seen = []
    CallbackList([Bar()]).on_train_batch_end(0, lambda: {"loss": 2.0})

    assert seen == [{"loss": 2.0}]


def test_logs_become_sorted_python_floats_and_arrays_stay():
    seen = []
    run = CallbackList([LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))])
    per_class = np.array([0.5, 0.7])
    run.on_epoch_end(0, {"loss": np.float32(0.5), "iou": per_class, "a": {"n": np.array(2)}})

    (logs,) = seen
    assert list(logs) == ["n", "iou", "loss"]
    assert [type(logs[k]) for k in ("n", "loss")] == [float, float]
    assert logs["iou"] is per_class


def test_what_a_callback_adds_to_the_logs_the_next_ones_and_the_history_see():
    def add(epoch, logs):
        logs["extra"] = 7.0

    given = {"loss": 1.0}
    run = CallbackList([LambdaCallback(on_epoch_end=add)], add_history=True)
    run.on_epoch_end(0, given)

    assert run.history.history == {"loss": [1.0], "extra": [7.0]}
    assert given == {"loss": 1.0}


def test_history_and_progress_bar_are_added_once_and_last():
    mine = History()
    run = CallbackList([mine, [[Callback()]]], add_history=True, add_progbar=True)

    assert [type(c) for c in run.callbacks] == [History, Callback, ProgbarLogger]
    assert run.history is mine


def test_a_history_starts_its_epochs_anew_and_keeps_its_values(fake_model):
    history, model = History(), fake_model()
    model.train([history], [{"loss": 3.0}, {"loss": 2.0}])
    model.train([history], [{"loss": 1.0}])

    assert history.history == {"loss": [3.0, 2.0, 1.0]}
    assert history.epoch == [0]
    assert model.history is history


def test_params_and_model_reach_every_callback_those_appended_later_too(fake_model):
    model, first, later = fake_model(), Callback(), Callback()
    run = CallbackList([first], model=model, epochs=3, verbose=0)
    run.append(later)

    assert [c.model for c in (first, later, run)] == [model] * 3
    assert later.params == {"epochs": 3, "verbose": 0}


def test_an_appended_callback_hears_batches():
    seen = []
    run = CallbackList()
    run.append(recording("on_train_batch_end", seen))
    run.on_train_batch_end(0)

    assert len(seen) == 1


def test_a_callback_may_give_itself_a_batch_hook_when_training_begins():
    class Late(Callback):
        def on_train_begin(self, logs=None):
            self.on_train_batch_end = lambda batch, logs=None: seen.append(batch)

    seen = []
    run = CallbackList([Late()])
    run.on_train_begin()
    run.on_train_batch_end(5)

    assert seen == [5]


def test_a_list_of_callbacks_is_a_callback():
    seen = []
    inner = CallbackList([recording("on_train_batch_end", seen)], add_history=True)
    run = CallbackList([inner])
    run.on_train_batch_end(0, lambda: {"loss": 1.0})
    run.on_epoch_end(0, {"loss": 1.0})

    assert seen == [("on_train_batch_end", (0,), {"logs": {"loss": 1.0}})]
    assert inner.history.epoch == [0]


def test_a_subclass_without_super_init_works(fake_model):
    class Mine(Callback):
        def __init__(self):
            self.value = 1

    mine = Mine()
    CallbackList([mine], model=fake_model(), epochs=1)

    assert mine.params == {"epochs": 1}


def test_a_class_in_place_of_an_object_is_named():
    with pytest.raises(TypeError, match=r"got the class EarlyStopping; write EarlyStopping\(\)"):
        CallbackList([EarlyStopping])


def test_a_function_in_place_of_a_callback_is_an_error():
    with pytest.raises(TypeError, match="LambdaCallback"):
        CallbackList([print])


def test_a_misspelt_argument_names_the_nearest():
    with pytest.raises(TypeError, match="did you mean 'patience'"):
        EarlyStopping(patence=3)


def test_the_batch_hooks_are_called_as_keras_calls_them(fake_model):
    keras = pytest.importorskip("keras", reason="compares with Keras")

    def calls_of(base, run_class):
        class Mine(base):
            pass

        seen = []
        for hook in HOOKS:
            if hook in OLD_HOOKS:
                continue
            setattr(Mine, hook, lambda self, *a, _hook=hook, **k: seen.append((_hook, a, k)))
        run = run_class([Mine()], model=fake_model(), epochs=1, steps=1, verbose=0)
        run.on_train_begin()
        run.on_epoch_begin(0)
        run.on_train_batch_begin(0)
        run.on_train_batch_end(0, {"loss": 2.0, "accuracy": np.float32(0.5)})
        run.on_test_begin()
        run.on_test_batch_begin(0)
        run.on_test_batch_end(0, {"loss": 1.0})
        run.on_test_end({"loss": 1.0})
        run.on_epoch_end(0, {"loss": 2.0, "val_loss": 1.0})
        run.on_train_end({"loss": 2.0})
        run.on_predict_begin()
        run.on_predict_batch_begin(0)
        run.on_predict_batch_end(0)
        run.on_predict_end()
        return seen

    ours = calls_of(Callback, CallbackList)
    theirs = calls_of(keras.callbacks.Callback, keras.callbacks.CallbackList)

    assert ours == theirs
    assert len(ours) == 14


def test_a_callback_and_its_model_can_be_copied_after_a_run_with_functions():
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse")
    stop, late = EarlyStopping("loss"), Callback()
    late.runs_last = True
    unpicklable = LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[stop, late, unpicklable])

    for one in (model, stop, late):
        assert type(pickle.loads(pickle.dumps(one))) is type(copy.deepcopy(one)) is type(one)


OURS = {
    *("ActivationStatistics", "GradientFlow", "HTMLReport", "LearningRateFinder", "MonitorCallback")
}
KERAS = {
    name
    for name in backprop.callbacks.__all__
    if name not in OURS | {"Progbar", "ReduceLROnPlateau"}  # that takes old names too
}


FURTHER = {
    "BackupAndRestore": [("key", None)],
    "ModelCheckpoint": [("max_to_keep", None), ("key", None)],
}


@pytest.mark.parametrize("name", sorted(KERAS))
def test_arguments_and_defaults_are_those_of_keras(name):
    keras = pytest.importorskip("keras", reason="compares with Keras")

    def arguments(cls):
        return [(p.name, p.default) for p in inspect.signature(cls).parameters.values()]

    theirs = arguments(getattr(keras.callbacks, name))
    assert arguments(getattr(backprop.callbacks, name)) == theirs + FURTHER.get(name, [])


class Fails(Callback):
    """Raises in its turn of on_exception."""

    def __init__(self, error):
        self.error = error

    def on_exception(self, error):
        raise self.error


class Notes(Callback):
    def __init__(self):
        self.heard = []

    def on_exception(self, error):
        self.heard.append(error)


def test_every_callback_hears_of_an_exception_and_the_first_one_is_raised():
    first, last = Notes(), Notes()
    fail = LambdaCallback(on_train_batch_end=lambda batch, logs: 1 / 0)
    given = [first, Fails(OSError("the disk is full")), Fails(KeyboardInterrupt()), fail, last]
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ZeroDivisionError) as caught:
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=given)

    assert first.heard == last.heard == [caught.value]
    assert caught.value.__notes__ == [
        "then Fails.on_exception raised OSError: the disk is full",
        "then Fails.on_exception raised KeyboardInterrupt: ",
    ]
    assert not model.trainer._turn.taken
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
