"""Runs that are killed and started again: every callback goes on as if nothing had happened."""

import os
import warnings

import numpy as np
import pytest
from events import scalars
from pages_of_runs import Page

import backprop as bp
from backprop import archive, callbacks
from backprop.callbacks import (
    ActivationStatistics,
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    GradientFlow,
    History,
    HTMLReport,
    LambdaCallback,
    LearningRateFinder,
    LearningRateScheduler,
    ModelCheckpoint,
    MonitorCallback,
    ProgbarLogger,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = (X[:, :1] - 0.5 * X[:, 1:2] + 0.1 * RNG.normal(size=(50, 1))).astype(np.float32)
BATCHES, EPOCHS = 5, 6


class Killed(Exception):
    pass


class KillAt(Callback):
    """Ends a run, as a machine may, at the n-th call of a hook; stands before all others."""

    def __init__(self, hook, n):
        self.left = n
        setattr(self, hook, self.count)

    def count(self, *args, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed


class Rough(Callback):
    """Moves the weights at the start of each epoch, so that losses rise and fall."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch in (2, 3, 5):
            self.model.set_weights([w + 0.3 * epoch for w in self.model.get_weights()])


class CountsBatches(Callback):
    """By the names of its attributes."""

    remembers = ("batches", "losses")

    def on_train_begin(self, logs=None):
        self.batches, self.losses = 0, np.zeros(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.losses = np.append(self.losses, logs["loss"])


class CountsEpochs(Callback):
    """By two methods."""

    def on_train_begin(self, logs=None):
        self.found = {}

    def on_epoch_end(self, epoch, logs=None):
        self.found[epoch] = logs["loss"]

    def get_state(self):
        return {"epochs": list(self.found), "losses": np.array([*self.found.values()])}

    def set_state(self, state):
        self.found = dict(zip(state["epochs"], state["losses"].tolist(), strict=True))


def counting_lambda(folder):
    seen = []
    return LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]),
        get_state=lambda: {"seen": seen},
        set_state=lambda state: seen.__setitem__(slice(None), state["seen"]),
    )


def tensorboard(folder):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    return TensorBoard(folder, histogram_freq=1)


KINDS = {
    "ActivationStatistics": lambda folder: ActivationStatistics(),
    "CSVLogger": lambda folder: CSVLogger(folder / "log.csv"),
    "CSVLogger, appended": lambda folder: CSVLogger(folder / "log.csv", append=True),
    "EarlyStopping": lambda folder: EarlyStopping(patience=2),
    "EarlyStopping, best": lambda folder: EarlyStopping(patience=9, restore_best_weights=True),
    "EarlyStopping, later": lambda folder: EarlyStopping(start_from_epoch=2, baseline=0.1),
    "GradientFlow": lambda folder: GradientFlow(every=2),
    "History": lambda folder: History(),
    "HTMLReport": lambda folder: HTMLReport(folder / "report.html"),
    "LambdaCallback": counting_lambda,
    "LearningRateScheduler": lambda folder: LearningRateScheduler(lambda epoch, lr: 0.9 * lr),
    "ModelCheckpoint": lambda folder: ModelCheckpoint(folder / "m-{epoch}.npz"),
    "ModelCheckpoint, best": lambda folder: ModelCheckpoint(
        folder / "m-{epoch}.npz", save_best_only=True
    ),
    "ModelCheckpoint, batches": lambda folder: ModelCheckpoint(
        folder / "m-{epoch}-{batch}.npz", save_freq=4, save_weights_only=True
    ),
    "ModelCheckpoint, best batches": lambda folder: ModelCheckpoint(
        folder / "m-{epoch}-{batch}.npz", "loss", save_best_only=True, save_freq=3
    ),
    "ProgbarLogger": lambda folder: ProgbarLogger(),
    "ReduceLROnPlateau": lambda folder: ReduceLROnPlateau(patience=1, factor=0.5),
    "ReduceLROnPlateau, cooling": lambda folder: ReduceLROnPlateau(
        patience=1, factor=0.5, cooldown=2
    ),
    "SwapEMAWeights": lambda folder: SwapEMAWeights(),
    "SwapEMAWeights, at ends": lambda folder: SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda folder: tensorboard(folder / "logs"),
    "TerminateOnNaN": lambda folder: TerminateOnNaN(),
    "by attributes": lambda folder: CountsBatches(),
    "by methods": lambda folder: CountsEpochs(),
}
NO_RUN_OF_THEIR_OWN = {
    *(Callback, CallbackList, MonitorCallback, BackupAndRestore),
    LearningRateFinder,  # whose run is put back, and not gone on with
}


def test_every_callback_of_the_library_is_killed_here():
    known = [getattr(callbacks, name) for name in callbacks.__all__]
    classes = {c for c in known if isinstance(c, type) and issubclass(c, Callback)}

    assert {c.__name__ for c in classes - NO_RUN_OF_THEIR_OWN} <= {
        kind.partition(",")[0] for kind in KINDS
    }


def make():
    bp.utils.set_random_seed(1)
    model = bp.Sequential(
        [
            bp.Input((4,)),
            bp.layers.Dense(8, "tanh"),
            bp.layers.Dropout(0.2),
            bp.layers.Dense(1),
        ]
    )
    model.compile(bp.optimizers.SGD(0.05, momentum=0.5, use_ema=True), "mse", metrics=["mae"])
    return model


def run(model, given, **options):
    options = {"validation_split": 0.2, "batch_size": 8, "verbose": 0, "epochs": EPOCHS} | options
    return model.fit(X, Y, callbacks=given, **options)


def files(folder):
    """The logs as text, the models as arrays; of TensorBoard's files what was written last of each
    tag and step."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if os.path.isdir(folder / name):
            found[name] = {part.name: scalars(part) for part in (folder / name).iterdir()}
            continue
        if name.endswith(".html"):  # the numbers of a page; the times on it are those of each run
            found[name] = Page(folder / name).history() | {"seconds": None}
        elif name.endswith(".npz"):
            with np.load(folder / name) as file:
                found[name] = {member: file[member] for member in file}
        else:
            found[name] = (folder / name).read_text()
    return found


def timeless(state):
    """A state without the seconds that its epochs took."""
    if isinstance(rows := state.get("rows"), list):
        return {**state, "rows": [row | {"seconds": 0} for row in rows]}
    return state


def end_of(model, callback, folder):
    return {
        "weights": model.get_weights(),
        "optimizer": model.optimizer.get_state(),
        "state": timeless(callback.get_state()),
        "history": model.history.history,
        "files": files(folder),
    }


KILLS = [
    ("on_train_batch_end", 7),
    ("on_train_batch_end", 14),
    ("on_train_batch_begin", 26),
    ("on_epoch_end", 3),
    ("on_epoch_begin", 5),
    ("on_test_begin", 4),
    ("on_train_end", 1),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("save_freq", ["epoch", 3])
@pytest.mark.parametrize("backup_first", [True, False])
def test_a_killed_run_ends_as_one_that_was_not(kind, save_freq, backup_first, tmp_path):
    (tmp_path / "whole").mkdir()
    callback, model = KINDS[kind](tmp_path / "whole"), make()
    run(model, [Rough(), callback])
    wanted = end_of(model, callback, tmp_path / "whole")
    for i, (hook, n) in enumerate(KILLS):
        folder = tmp_path / str(i)
        folder.mkdir()

        def given(*kill, folder=folder):
            backup = BackupAndRestore(tmp_path / "backup", save_freq)
            ours = KINDS[kind](folder)
            both = [backup, ours] if backup_first else [ours, backup]
            return [*kill, Rough(), *both], ours

        was_killed = True
        try:
            run(make(), given(KillAt(hook, n))[0])
            was_killed = False  # EarlyStopping came first
        except Killed:
            pass
        if was_killed:
            model = make()
            cbs, callback = given()
            # what Rough does to the weights it would do again in an epoch that begins again
            cbs[0].on_epoch_begin = once_an_epoch(cbs[0], model)
            run(model, cbs)

            np.testing.assert_equal(end_of(model, callback, folder), wanted, f"{hook} {n}")
        assert not os.path.exists(tmp_path / "backup")


def once_an_epoch(rough, model):
    """Not in an epoch that goes on in its middle."""

    def on_epoch_begin(epoch, logs=None):
        if model.trainer.step == 0:
            Rough.on_epoch_begin(rough, epoch)

    return on_epoch_begin


def killed(tmp_path, given, n=14, **options):
    """A run with these callbacks, ended in its third epoch; the folder of its backup."""
    folder = tmp_path / "backup"
    with pytest.raises(Killed):
        run(make(), [KillAt("on_train_batch_end", n), *given, BackupAndRestore(folder)], **options)
    return folder


def test_a_callback_that_runs_last_is_restored_by_a_backup_before_it(tmp_path):
    class Late(CountsBatches):
        runs_last = True

    folder = killed(tmp_path, [Late()])
    late = Late()
    run(make(), [BackupAndRestore(folder), late])

    assert late.batches == BATCHES * EPOCHS


def test_callbacks_of_one_class_are_told_apart_by_their_order(tmp_path):
    folder = killed(tmp_path, [EarlyStopping("loss", patience=9), EarlyStopping(patience=8)])
    first, second = EarlyStopping("loss", patience=9), EarlyStopping(patience=8)
    history = run(make(), [first, BackupAndRestore(folder), second]).history

    assert first.best == min(history["loss"])
    assert second.best == min(history["val_loss"])


def test_a_backup_of_another_monitor_is_refused_and_nothing_changes(tmp_path):
    folder = killed(tmp_path, [EarlyStopping("loss", patience=9), CountsBatches()])
    model, counts = make(), CountsBatches()
    before, stop = model.get_weights(), EarlyStopping("val_loss", patience=9)

    with pytest.raises(ValueError, match=r"watched 'loss'.*'val_loss'.*delete the backup"):
        run(model, [counts, stop, BackupAndRestore(folder)])

    assert counts.batches == 0
    assert stop.best is None
    np.testing.assert_equal(model.get_weights(), before)
    assert model.optimizer.iterations == 0


def test_a_backup_of_another_model_leaves_the_callbacks_as_they_were(tmp_path):
    folder = killed(tmp_path, [CountsBatches()])
    model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(1)])
    model.compile(bp.optimizers.SGD(0.05, momentum=0.5, use_ema=True), "mse", metrics=["mae"])
    counts = CountsBatches()

    with pytest.raises(ValueError, match="weights of"):
        run(model, [counts, BackupAndRestore(folder)])

    assert counts.batches == 0


def test_other_callbacks_than_before_are_named_in_a_warning(tmp_path):
    folder = killed(tmp_path, [CountsBatches(), EarlyStopping(patience=9), CountsBatches()])

    with pytest.warns(
        UserWarning,
        match="CountsBatches number 2 is gone, .*EarlyStopping is gone.*; CSVLogger is new",
    ) as caught:
        run(make(), [CSVLogger(tmp_path / "log.csv"), CountsBatches(), BackupAndRestore(folder)])

    assert len(caught) == 1


def test_the_order_of_callbacks_of_other_classes_does_not_matter(tmp_path):
    folder = killed(tmp_path, [CountsBatches(), EarlyStopping(patience=9)])
    counts, stop = CountsBatches(), EarlyStopping(patience=9)
    run(make(), [stop, BackupAndRestore(folder), TerminateOnNaN(), counts])

    assert counts.batches == BATCHES * EPOCHS
    assert stop.wait + stop.best_epoch == EPOCHS - 1


@pytest.mark.parametrize("state", [{"seen": {1, 2}}, {"seen": [object()]}, {3: "a"}])
def test_a_state_that_no_file_can_hold_is_an_error_before_training(state, tmp_path):
    wrong = LambdaCallback(get_state=lambda: state)
    model = make()

    with pytest.raises(TypeError, match=r"state of a callback holds numbers.*LambdaCallback"):
        run(model, [wrong, BackupAndRestore(tmp_path / "b")])

    assert model.optimizer.iterations == 0


def test_a_state_is_given_back_as_it_was(tmp_path):
    state = {
        "number": np.float32(0.5),
        "nothing": None,
        "nan": float("nan"),
        "nested": {"list": [1, (2, "three")], "arrays": [np.arange(3), np.float64([[0.1]])]},
    }
    found = []
    callbacks = (
        LambdaCallback(get_state=lambda: state),
        LambdaCallback(get_state=lambda: state, set_state=found.append),
    )
    folder = killed(tmp_path, callbacks[:1])
    run(make(), [callbacks[1], BackupAndRestore(folder)])

    wanted = state | {"nested": state["nested"] | {"list": [1, [2, "three"]]}}
    np.testing.assert_equal(found, [wanted])
    assert found[0]["nested"]["arrays"][0].dtype == np.arange(3).dtype


def test_more_patience_goes_on_with_a_run_that_was_stopped(tmp_path):
    def given(patience):
        backup = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
        return [Rough(), backup, EarlyStopping(patience=patience)]

    first = run(make(), given(1))
    again = run(make(), given(1))
    more = run(make(), given(9))

    assert again.epoch == first.epoch == list(range(len(first.epoch)))
    assert 0 < len(first.epoch) < len(more.epoch)
    assert more.epoch == list(range(EPOCHS))


def test_a_log_that_was_cut_short_is_not_gone_on_with(tmp_path):
    folder = killed(tmp_path, [CSVLogger(tmp_path / "log.csv")])
    (tmp_path / "log.csv").write_text("epoch,loss\r\n0,1.0\r\n")

    with pytest.raises(ValueError, match="had 2 rows at the last backup and has 1"):
        run(make(), [CSVLogger(tmp_path / "log.csv"), BackupAndRestore(folder)])

    assert (tmp_path / "log.csv").read_text() == "epoch,loss\n0,1.0\n"


def test_a_log_that_gained_columns_after_the_backup_is_whole(tmp_path):
    def given():
        later = LambdaCallback(
            on_epoch_end=lambda e, logs: logs.update({"x": 1.0} if e > 1 else {})
        )
        return [later, CSVLogger(tmp_path / "log.csv")]

    run(make(), given())
    wanted = (tmp_path / "log.csv").read_text()
    folder = tmp_path / "backup"
    backup = BackupAndRestore(
        folder, 4
    )  # the last one is of the middle of epoch 2, which then ends
    with pytest.raises(Killed):
        run(make(), [KillAt("on_train_batch_end", 16), *given(), backup])
    run(make(), [*given(), BackupAndRestore(folder, 4)])

    assert (tmp_path / "log.csv").read_text() == wanted


def test_an_older_backup_restores_the_history_and_says_what_it_lacks(tmp_path):
    folder = killed(tmp_path, [EarlyStopping(patience=9)])
    path = folder / "latest.npz"
    header, arrays = archive.read(path, ("checkpoint",))
    (history,) = [s["state"]["history"] for s in header.pop("callbacks") if s["class"] == "History"]
    header["run"]["history"] = history
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(path, "checkpoint", header, arrays)

    with pytest.warns(UserWarning, match="EarlyStopping is new, and begins to count now"):
        model = make()
        run(model, [EarlyStopping(patience=9), BackupAndRestore(folder)])

    assert len(model.history.history["loss"]) == EPOCHS


@pytest.mark.parametrize("states", [3, ["a"], [{"class": "EarlyStopping"}], [{"state": {}}]])
def test_damaged_states_are_a_damaged_backup(states, tmp_path):
    folder = killed(tmp_path, [])
    path = folder / "latest.npz"
    header, arrays = archive.read(path, ("checkpoint",))
    header["callbacks"] = states
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(path, "checkpoint", header, arrays)

    with pytest.raises(ValueError, match="states of the callbacks are damaged"):
        run(make(), [BackupAndRestore(folder)])


def test_an_idle_callback_has_no_state():
    assert Callback().get_state() == {}
    with pytest.raises(ValueError, match="TerminateOnNaN remembers nothing and was given count"):
        TerminateOnNaN().set_state({"count": 1})


def test_callbacks_in_a_list_of_their_own_are_restored_too(tmp_path):
    folder = killed(tmp_path, [CallbackList([CountsBatches()])])
    counts = CountsBatches()
    run(make(), CallbackList([BackupAndRestore(folder), counts]))

    assert counts.batches == BATCHES * EPOCHS


def test_a_stop_before_the_first_batch_is_not_taken_for_a_finished_run(tmp_path):
    stop = LambdaCallback(on_train_begin=lambda logs: setattr(model, "stop_training", True))
    model = make()
    history = run(model, [stop, BackupAndRestore(tmp_path / "b")])

    assert history.epoch == [0]


# ------------------------------------------------------------------ runs that ended in an exception

# as in Keras, these go on where files are, or where the user's functions are
GO_ON = {
    "LambdaCallback",
    "CSVLogger, appended",
    "ModelCheckpoint, best",
    "ModelCheckpoint, best batches",
}
FAILS = [
    *((kind, "on_test_batch_end", 3) for kind in KINDS),
    ("SwapEMAWeights", "on_train_batch_end", 9),
    ("SwapEMAWeights, at ends", "on_train_batch_end", 9),
    ("SwapEMAWeights, at ends", "on_epoch_end", 2),
]


@pytest.mark.parametrize(("kind", "hook", "n"), FAILS)
def test_a_callback_of_a_run_that_failed_gives_back_and_begins_anew(kind, hook, n, tmp_path):
    def folder(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    used = KINDS[kind](folder("failed"))
    failed, alone = make(), make()
    with pytest.raises(Killed):
        run(failed, [Rough(), KillAt(hook, n), used])
    with pytest.raises(Killed):
        run(alone, [Rough(), KillAt(hook, n)])
    if not kind.startswith(("LearningRate", "ReduceLR")):  # whose effect on the model is meant
        for found, expected in zip(failed.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)
    if kind in GO_ON:
        return
    again, whole = make(), make()
    run(again, [Rough(), used])
    fresh = KINDS[kind](folder("fresh"))
    run(whole, [Rough(), fresh])

    given = ((again, "failed"), (whole, "fresh"))
    ends = [end_of(model, fresh, tmp_path / name) for model, name in given]
    ends[0]["state"] = timeless(used.get_state())
    if isinstance(used, History):  # as in Keras, one object gathers several runs
        del ends[0]["state"], ends[1]["state"], ends[0]["history"], ends[1]["history"]
    np.testing.assert_equal(*ends)


@pytest.mark.parametrize("cls", ["ProgbarLogger", "TensorBoard"])
def test_an_evaluation_after_a_run_that_failed_is_shown_as_one(cls, tmp_path, capsys):
    if cls == "TensorBoard":
        pytest.importorskip("tensorboardX")
        used = TensorBoard(tmp_path)
    else:
        used = ProgbarLogger()
    model = make()
    with pytest.raises(Killed):
        run(model, [KillAt("on_train_batch_end", 4), used], verbose=2)
    assert not getattr(used, "_writers", {})
    capsys.readouterr()
    model.evaluate(X, Y, verbose=2, callbacks=[used])

    if cls == "ProgbarLogger":
        assert "loss" in capsys.readouterr().out


class Diverges(Callback):
    """Weights that become NaN in the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            self.model.parameters.values[0] = np.nan


@pytest.mark.filterwarnings("ignore:the loss became")
def test_a_backup_of_weights_that_are_nan_takes_no_place(tmp_path, capsys):
    model = make()
    run(model, [Diverges(), BackupAndRestore(tmp_path / "b", delete_checkpoint=False)])

    assert capsys.readouterr().out.count("keeps the last backup") == 1

    model.trainer.restore_state(tmp_path / "b" / "latest.npz")
    assert model.trainer.epoch == 2
    assert np.isfinite(model.parameters.values).all()


def test_moments_that_are_infinite_take_no_backups_place(tmp_path, capsys):
    """A gradient whose square overflows leaves finite weights beside an infinite moment."""

    def fit(y, *more):
        bp.utils.set_random_seed(0)
        model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(3, "tanh"), bp.layers.Dense(1)])
        model.compile("adam", "mse")
        backup = BackupAndRestore(tmp_path / "backup")
        model.fit(X, y, epochs=4, verbose=0, callbacks=[*more, backup])
        return model

    bad = Y.copy()
    bad[7] = 1e25
    said = pytest.warns(RuntimeWarning, match="the loss became inf")
    with np.errstate(over="ignore"), said, pytest.raises(Killed):
        fit(bad, KillAt("on_epoch_begin", 3))

    assert "what the optimizer remembers" in capsys.readouterr().out
    assert fit(Y).history.epoch == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_several_that_swap_averages_do_it_once(count, swap_on_epoch):
    def end(n):
        model = make()
        seen = []
        look = LambdaCallback(
            on_test_begin=lambda logs: seen.append(model.get_weights()),
            on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()),
        )
        run(model, [*(SwapEMAWeights(swap_on_epoch) for _ in range(n)), look])
        return model.get_weights(), model.history.history, seen

    np.testing.assert_equal(end(count), end(1))


def test_an_evaluation_leaves_averages_that_an_epochs_end_has_put_in_place():
    model, swap = make(), SwapEMAWeights(swap_on_epoch=True)
    seen = []

    def within(*_, logs=None):
        averages = model.get_weights()
        model.evaluate(X, Y, verbose=0, callbacks=[swap])
        model.predict(X, verbose=0, callbacks=[SwapEMAWeights()])
        seen.append((model.get_weights(), averages))

    run(model, [swap, LambdaCallback(on_epoch_end=within, on_test_batch_end=within)])

    assert len(seen) > EPOCHS
    for found, averages in seen:
        np.testing.assert_equal(found, averages)


COUNTING = [kind for kind in KINDS if kind not in ("LambdaCallback", "by attributes", "by methods")]
NO_COUNT = ("x", None, -3, 1.5, True, 10**40, [1, "a"], {"a": "b"}, [[1, 2], "x"], [[0.5]])


@pytest.mark.parametrize("kind", COUNTING)
def test_a_state_of_another_kind_is_refused_or_gone_on_with(kind, tmp_path):
    """Whatever a file says that a callback has counted: no raw error, then or later."""
    (tmp_path / "first").mkdir()
    folder = killed(tmp_path, [KINDS[kind](tmp_path / "first")])
    header, arrays = archive.read(folder / "latest.npz", ("checkpoint",))
    for name in ("format", "version", "kind"):
        del header[name]
    cls = kind.partition(",")[0]
    states = next((e["state"] for e in header["callbacks"] if e["class"] == cls), {})
    for name, value in [(name, value) for name in states for value in NO_COUNT]:
        before, states[name] = states[name], value
        folder.mkdir(exist_ok=True)
        archive.write(folder / "latest.npz", "checkpoint", header, arrays)
        states[name] = before
        model, ours = make(), KINDS[kind](tmp_path / "first")
        mine = model.get_weights()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(model, [ours, BackupAndRestore(folder)], epochs=3)
        except archive.ModelFileError as error:
            assert "the backup is not one of" in str(error)
            np.testing.assert_equal(model.get_weights(), mine)


@pytest.mark.parametrize("error", [KeyError, ZeroDivisionError, AttributeError])
def test_a_callback_that_cannot_take_its_state_leaves_all_others_as_they_were(error, tmp_path):
    class Picky(CountsBatches):
        def set_state(self, state):
            if state["batches"]:
                raise error("picky")
            super().set_state(state)

    folder = killed(tmp_path, [EarlyStopping(patience=9), Picky()])
    stop, model = EarlyStopping(patience=9), make()

    with pytest.raises(archive.ModelFileError, match=f"not one of .*{error.__name__}"):
        run(model, [stop, Picky(), BackupAndRestore(folder)])

    assert stop.best is None and stop.wait == 0
