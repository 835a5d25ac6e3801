"""Callbacks in a real `fit`."""

import csv
import itertools
import os
import warnings

import numpy as np
import pytest

import backprop as bp
from backprop.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TerminateOnNaN,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = (X[:, :1] - 0.5 * X[:, 1:2] + 0.1 * RNG.normal(size=(50, 1))).astype(np.float32)


def make(optimizer="adam", dropout=0.3, learning_rate=None):
    bp.utils.set_random_seed(1)
    model = bp.Sequential(
        [
            bp.Input((4,)),
            bp.layers.Dense(8, "tanh"),
            bp.layers.Dropout(dropout),
            bp.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    if learning_rate is not None:
        model.optimizer.learning_rate = learning_rate
    return model


def fit(model, callbacks=(), epochs=3, **options):
    options = {"validation_split": 0.2, "batch_size": 8, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **options)


class Order(Callback):
    """Notes every hook."""

    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_") and not name.startswith("on_batch"):
            return lambda *a, **k: self.seen.append((name, *(v for v in a if isinstance(v, int))))
        return super().__getattribute__(name)


def test_the_hooks_of_a_fit_come_in_keras_order():
    order = Order()
    fit(make(), [order], epochs=2, batch_size=20)

    assert [k for k, _ in itertools.groupby(order.seen)] == [
        ("on_train_begin",),
        *[
            event
            for epoch in range(2)
            for event in [
                ("on_epoch_begin", epoch),
                *[(f"on_train_batch_{end}", b) for b in range(2) for end in ("begin", "end")],
                ("on_test_begin",),
                ("on_test_batch_begin", 0),
                ("on_test_batch_end", 0),
                ("on_test_end",),
                ("on_epoch_end", epoch),
            ]
        ],
        ("on_train_end",),
    ]


def test_evaluate_and_predict_call_their_hooks():
    model, order = make(), Order()
    model.evaluate(X, Y, batch_size=25, verbose=0, callbacks=[order])
    model.predict(X, batch_size=50, verbose=0, callbacks=[order])

    assert [name for name, *_ in order.seen] == [
        "on_test_begin",
        *["on_test_batch_begin", "on_test_batch_end"] * 2,
        "on_test_end",
        "on_predict_begin",
        "on_predict_batch_begin",
        "on_predict_batch_end",
        "on_predict_end",
    ]


def test_fit_returns_the_history():
    model = make()
    history = fit(model)

    assert isinstance(history, History)
    assert history is model.history
    assert history.epoch == [0, 1, 2]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert history.params == {"epochs": 3, "steps": 5, "verbose": 0}


def test_a_users_callback_stops_the_run_at_the_end_of_an_epoch():
    class StopAfter(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.stop_training = True

    model = make()

    assert fit(model, [StopAfter()], epochs=9).epoch == [0, 1]
    assert fit(model, epochs=2).epoch == [0, 1]  # and the next run is not stopped


def test_a_users_callback_stops_the_run_after_a_batch():
    class StopAtOnce(Callback):
        def on_train_batch_end(self, batch, logs=None):
            batches.append((batch, sorted(logs)))
            self.model.stop_training = True

    batches = []
    history = fit(make(), [StopAtOnce()], epochs=9)

    assert batches == [(0, ["loss", "mae"])]
    assert history.epoch == [0]


def test_early_stopping_restores_the_best_weights():
    model = make(learning_rate=0.3, dropout=0.0)
    weights = []
    stop = EarlyStopping(patience=2, restore_best_weights=True)
    noted = bp.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(model.get_weights())
    )
    history = fit(model, [stop, noted], epochs=60)

    best = int(np.argmin(history.history["val_loss"]))
    assert len(history.epoch) == best + 3 < 60
    for restored, then in zip(model.get_weights(), weights[best], strict=True):
        np.testing.assert_array_equal(restored, then)


def test_the_restored_weights_can_be_trained_without_changing_the_kept_ones():
    model = make()
    stop = EarlyStopping(patience=9, restore_best_weights=True)
    fit(model, [stop])
    kept = [w.copy() for w in stop.best_weights]
    fit(model)

    for now, then in zip(stop.best_weights, kept, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not np.array_equal(model.get_weights()[0], kept[0])


def test_auto_mode_knows_the_metrics_of_a_model():
    model = make()
    stop = EarlyStopping("val_mae", patience=9)
    history = fit(model, [stop])

    assert stop.best == min(history.history["val_mae"])


def test_a_model_checkpoint_saves_models_that_load(tmp_path):
    model = make()
    history = fit(model, [ModelCheckpoint(tmp_path / "m-{epoch:02d}-{val_loss:.2f}.npz")])

    losses = history.history["val_loss"]
    names = sorted(os.listdir(tmp_path))
    assert names == [f"m-{i + 1:02d}-{loss:.2f}.npz" for i, loss in enumerate(losses)]
    loaded = bp.models.load_model(tmp_path / names[-1])
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_model_checkpoint_saves_weights_that_load(tmp_path):
    model = make()
    path = tmp_path / "best.npz"
    fit(model, [ModelCheckpoint(path, save_weights_only=True)])
    other = make()
    other.load_weights(path)

    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_scheduler_sets_the_rates_and_logs_them():
    history = fit(make(), [LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))])

    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)


def test_a_plateau_reduces_the_rate():
    model = make(learning_rate=0.1)
    history = fit(model, [ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)])

    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.1, 0.05], rtol=1e-6)
    assert model.optimizer.learning_rate == pytest.approx(0.025)


@pytest.mark.parametrize(
    "callback",
    [
        LearningRateScheduler(lambda epoch, lr: lr),
        ReduceLROnPlateau("loss"),
        bp.callbacks.LambdaCallback(
            on_train_begin=lambda logs: setattr(owner.optimizer, "learning_rate", 0.5)
        ),
    ],
    ids=["scheduler", "plateau", "function"],
)
@pytest.mark.parametrize("optimizer", [bp.optimizers.SGD, bp.optimizers.Adam])
def test_a_callback_that_would_discard_a_schedule_is_an_error_before_training(callback, optimizer):
    global owner
    schedule = bp.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = owner = make(optimizer(schedule))
    before = model.get_weights()

    with pytest.raises(TypeError, match="has a schedule for its learning_rate"):
        fit(model, [callback])

    assert model.optimizer.iterations == 0
    assert model.optimizer.learning_rate == 0.1
    np.testing.assert_equal(model.get_weights(), before)


def test_a_callback_may_set_another_schedule():
    model = make("sgd")
    later = bp.optimizers.schedules.InverseTimeDecay(0.1, 5, 1.0)
    fit(
        model,
        [
            bp.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: setattr(model.optimizer, "learning_rate", later)
            )
        ],
    )

    assert model.optimizer.learning_rate == 0.1 / 4  # after 15 steps


@pytest.mark.parametrize(
    "callback", [LearningRateScheduler(lambda e: 0.1), ReduceLROnPlateau("loss")]
)
def test_an_optimizer_without_a_rate_is_an_error_before_training(callback):
    model = make("lbfgs", dropout=0.0)
    before = model.get_weights()

    with pytest.raises(AttributeError, match="LBFGS has no learning_rate"):
        fit(model, [callback], batch_size=None)

    np.testing.assert_equal(model.get_weights(), before)


def test_a_csv_log_has_what_the_history_has(tmp_path):
    history = fit(make(), [CSVLogger(tmp_path / "log.csv")])
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))

    for name, values in history.history.items():
        assert [float(row[name]) for row in rows] == values


def test_a_nan_ends_the_run(capsys):
    model = make("sgd", learning_rate=1e25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the trainer says which tensor it was
        history = fit(model, [TerminateOnNaN()], epochs=5)

    assert len(history.epoch) == 1
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_a_pipe_gets_a_line_an_epoch(capsys):
    fit(make(), epochs=2, verbose="auto")

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert [part.split(":")[0] for part in lines[0].split(" - ")[4:]] == [
        "loss",
        "mae",
        "val_loss",
        "val_mae",
    ]


@pytest.mark.parametrize("frequency", [2, [2, 5]])
def test_a_validation_that_is_not_due_is_no_missing_monitor(frequency, tmp_path):
    stop, plateau = EarlyStopping(patience=9), ReduceLROnPlateau()
    best = ModelCheckpoint(tmp_path / "m-{epoch}-{val_loss:.4f}.npz", save_best_only=True)
    log = CSVLogger(tmp_path / "log.csv")
    history = fit(make(), [stop, plateau, best, log], epochs=6, validation_freq=frequency).history

    found = history["val_loss"]
    assert len(found) == (3 if frequency == 2 else 2)
    assert stop.best == best.best == min(found)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = [row["val_loss"] for row in csv.DictReader(file)]
    assert [float(v) for v in rows if v != "NA"] == found
    assert len(rows) == 6


@pytest.mark.parametrize("cls", [EarlyStopping, ReduceLROnPlateau])
def test_a_misspelt_monitor_is_named_when_validation_comes(cls):
    callback = cls("val_mea", mode="min")

    with pytest.warns(UserWarning, match="'val_mea', .* did you mean 'val_mae'"):
        fit(make(), [callback], epochs=2, validation_freq=2)


def test_the_log_of_a_run_without_validation_has_no_columns_for_one(tmp_path):
    fit(make(), [CSVLogger(tmp_path / "log.csv")], epochs=1, validation_split=0.0)

    assert (tmp_path / "log.csv").read_text().splitlines()[0] == "epoch,loss,mae"


def test_the_best_among_batches_is_the_best_of_the_validation(tmp_path):
    model, path = make(dropout=0.0), tmp_path / "best.npz"

    def worsen(epoch, logs):
        if epoch == 2:
            model.set_weights([w + 3 for w in model.get_weights()])

    with pytest.warns(UserWarning, match="compared at the end of the epoch instead"):
        history = fit(
            model,
            [
                bp.callbacks.LambdaCallback(on_epoch_begin=worsen),
                ModelCheckpoint(path, save_best_only=True, save_freq=4),
            ],
            epochs=5,
        ).history

    loaded = bp.models.load_model(path)
    found, _ = loaded.evaluate(X[40:], Y[40:], verbose=0)
    assert found == pytest.approx(min(history["val_loss"]), rel=1e-5)


# ---------------------------------------------------------------------------------------- resuming


class Interrupted(Exception):
    pass


class Begun(Callback):
    """Notes the epochs that a run begins."""

    def __init__(self):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)


class InterruptAt(Callback):
    """Fails after some number of batches, as a machine might."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def assert_same_model(a, b):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert a.optimizer.iterations == b.optimizer.iterations


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3, 5, 7])
@pytest.mark.parametrize("batches", [6, 10, 13, 20])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, save_freq, batches):
    whole = make()
    expected = fit(whole, epochs=5)
    with pytest.raises(Interrupted):
        fit(make(), [BackupAndRestore(tmp_path / "b", save_freq), InterruptAt(batches)], epochs=5)
    resumed, begun = make(), Begun()  # a new process
    history = fit(resumed, [BackupAndRestore(tmp_path / "b", save_freq), begun], epochs=5)

    frequency = 5 if save_freq == "epoch" else save_freq  # an epoch has 5 batches
    done = (batches - 1) // frequency * frequency
    # a backup after an epoch's last batch and before its validation goes on with the validation
    first = done // 5 if save_freq == "epoch" else max(done - 1, 0) // 5
    assert_same_model(resumed, whole)
    assert begun.epochs == list(range(first, 5))
    assert history.history == expected.history
    assert history.epoch == expected.epoch
    assert not os.path.exists(tmp_path / "b")


def test_what_other_callbacks_did_at_the_end_of_the_epoch_is_backed_up(tmp_path):
    def callbacks(*more):
        # the plateau comes after the backup in the list
        plateau = ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1e9)
        return [*more, plateau]

    whole = make()
    fit(whole, callbacks(), epochs=4)
    with pytest.raises(Interrupted):
        fit(make(), callbacks(BackupAndRestore(tmp_path / "b"), InterruptAt(11)), epochs=4)
    seen = []
    note = bp.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(note.model.optimizer.learning_rate)
    )
    fit(make(), callbacks(BackupAndRestore(tmp_path / "b"), note), epochs=4)

    # epochs 0 and 1 are done: 0.001 for the best one, halved after the next
    np.testing.assert_allclose(seen[0], 0.0005, rtol=1e-6)


def test_a_run_that_is_stopped_between_epochs_goes_on_with_the_next(tmp_path):
    class InterruptBefore(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Interrupted

    with pytest.raises(Interrupted):
        fit(make(), [BackupAndRestore(tmp_path / "b"), InterruptBefore()], epochs=5)
    begun = Begun()
    fit(make(), [BackupAndRestore(tmp_path / "b"), begun], epochs=5)

    assert begun.epochs == [2, 3, 4]


def test_a_damaged_backup_is_replaced_by_the_one_before(tmp_path):
    folder = tmp_path / "b"
    with pytest.raises(Interrupted):
        fit(
            make(),
            [BackupAndRestore(folder, double_checkpoint=True), InterruptAt(16)],
            epochs=5,
        )
    assert sorted(os.listdir(folder)) == ["latest.npz", "previous.npz"]
    with open(folder / "latest.npz", "r+b") as file:
        file.truncate(500)
    begun = Begun()
    fit(make(), [BackupAndRestore(folder, double_checkpoint=True), begun], epochs=5)

    assert begun.epochs == [2, 3, 4]


def test_a_backup_that_was_only_put_aside_is_found(tmp_path):
    folder = tmp_path / "b"
    with pytest.raises(Interrupted):
        fit(make(), [BackupAndRestore(folder, double_checkpoint=True), InterruptAt(16)], epochs=5)
    os.remove(folder / "latest.npz")

    begun = Begun()
    fit(make(), [BackupAndRestore(folder), begun], epochs=5)

    assert begun.epochs == [2, 3, 4]


def test_a_damaged_backup_without_another_is_an_error(tmp_path):
    folder = tmp_path / "b"
    with pytest.raises(Interrupted):
        fit(make(), [BackupAndRestore(folder), InterruptAt(6)])
    with open(folder / "latest.npz", "r+b") as file:
        file.truncate(500)

    with pytest.raises(ValueError, match="damaged"):
        fit(make(), [BackupAndRestore(folder)])


def test_a_backup_is_kept_if_asked_and_then_nothing_is_left_to_do(tmp_path):
    folder = tmp_path / "b"
    model = make()
    fit(model, [BackupAndRestore(folder, delete_checkpoint=False)])
    again, begun = make(), Begun()
    fit(again, [BackupAndRestore(folder, delete_checkpoint=False), begun])

    assert begun.epochs == []
    assert_same_model(again, model)


def test_other_files_in_the_folder_of_the_backup_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fit(make(), [BackupAndRestore(tmp_path)])

    assert os.listdir(tmp_path) == ["notes.txt"]


# ---------------------------------------------------------------------------------------- averages


def averages_and_weights(model):
    """What the optimizer's averages are: the model has them when they are in place."""
    weights = [w.copy() for w in model.get_weights()]
    model.optimizer.finalize_variable_values(model.parameters)
    averages = model.get_weights()
    model.set_weights(weights)
    return averages, weights


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swapped_averages_change_the_evaluation_and_not_the_training(swap_on_epoch):
    def optimizer():
        return bp.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)

    plain = make(optimizer())
    without = fit(plain)
    swapped = make(optimizer())
    at_end = []
    note = bp.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: at_end.append(averages_and_weights(swapped))
    )
    given = fit(swapped, [SwapEMAWeights(swap_on_epoch), note])

    assert given.history["loss"] == without.history["loss"]
    assert given.history["val_loss"] != without.history["val_loss"]
    assert_same_model(swapped, plain)  # both end with the averages
    for averages, weights in at_end:
        assert np.array_equal(averages[0], weights[0]) == swap_on_epoch
    np.testing.assert_array_equal(swapped.get_weights()[0], at_end[-1][0][0])


def test_a_run_stopped_early_ends_with_the_averages_too():
    model = make(bp.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8))
    averages = []

    def stop(epoch, logs):
        averages.append(averages_and_weights(model)[0])
        model.stop_training = True

    fit(model, [SwapEMAWeights(True), bp.callbacks.LambdaCallback(on_epoch_end=stop)], epochs=9)

    assert len(averages) == 1
    np.testing.assert_array_equal(model.get_weights()[0], averages[0][0])


def test_an_optimizer_without_averages_is_an_error_before_training():
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match="use_ema=True, and the model has Adam"):
        fit(model, [SwapEMAWeights()])

    np.testing.assert_array_equal(model.get_weights()[0], before[0])
