"""Runs saved by `Trainer.save_state` or a backup, and gone on with: where, on what, and with what
words."""

import threading
import warnings

import numpy as np
import pytest

import backprop as bp
from backprop import archive, environment
from backprop.callbacks import BackupAndRestore, Callback, CSVLogger, EarlyStopping
from backprop.layers import LSTM, BatchNormalization, Dense, Dropout

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


def make(optimizer="adam", metrics=("mae",), units=4):
    bp.utils.set_random_seed(0)
    layers = Dense(units, "tanh"), BatchNormalization(), Dropout(0.3), Dense(1)
    model = bp.Sequential([bp.Input((3,)), *layers])
    model.compile(optimizer, "mse", metrics=list(metrics))
    return model


def fit(model, *callbacks, data=(X, Y), **options):
    options = {"epochs": 4, "verbose": 0} | options
    if len(data) == 2:
        options |= {"batch_size": 5}
    return model.fit(*data, callbacks=[*callbacks], **options)


class Saves(Callback):
    """Saves after so many steps, in the way that a user would."""

    runs_last = True

    def __init__(self, path, steps):
        self.path, self.left = path, steps

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.model.trainer.save_state(self.path)

    def on_train_batch_end(self, batch, logs=None):
        self.count()

    def on_epoch_end(self, epoch, logs=None):
        self.count()


class Stops(Callback):
    """Ends the run, as a machine may, before an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise ZeroDivisionError


def end(model):
    return model.get_weights(), model.optimizer.get_state(), model.history.history


# ------------------------------------------------------------------ save_state, restore_state


@pytest.mark.parametrize("steps", [2, 5, 8, 10])
def test_a_state_saved_at_any_step_is_gone_on_with_bit_for_bit(steps, tmp_path):
    whole, stop = make(), EarlyStopping("loss", patience=9, restore_best_weights=True)
    fit(whole, stop, Saves(tmp_path / "run.npz", steps))

    resumed, again = make(), EarlyStopping("loss", patience=9, restore_best_weights=True)
    place = resumed.trainer.restore_state(tmp_path / "run.npz")
    history = fit(resumed, Saves(tmp_path / "more.npz", 0), again)

    assert place == divmod(steps, 5)  # four batches and the end of the epoch, which is step 0
    assert history.epoch == [0, 1, 2, 3]
    np.testing.assert_equal(end(resumed), end(whole))
    np.testing.assert_equal(again.get_state(), stop.get_state())


def test_what_is_restored_is_in_the_model_at_once(tmp_path):
    model = make()
    fit(model)
    model.trainer.save_state(tmp_path / "run.npz")

    other = make()
    assert other.trainer.restore_state(tmp_path / "run.npz") == (4, 0)

    np.testing.assert_equal(other.get_weights(), model.get_weights())
    np.testing.assert_equal(other.optimizer.get_state(), model.optimizer.get_state())


def test_a_finished_run_goes_on_for_more_epochs(tmp_path):
    whole = make()
    fit(whole, epochs=6)
    half = make()
    fit(half, epochs=3)
    half.trainer.save_state(tmp_path / "run.npz")

    resumed = make()
    resumed.trainer.restore_state(tmp_path / "run.npz")

    assert fit(resumed, epochs=6).epoch == [*range(6)]
    np.testing.assert_equal(end(resumed), end(whole))


def test_a_restored_state_is_for_one_run(tmp_path):
    model = make()
    fit(model, epochs=2)
    model.trainer.save_state(tmp_path / "run.npz")
    model.trainer.restore_state(tmp_path / "run.npz")

    assert fit(model, epochs=3).epoch == [0, 1, 2]
    assert fit(model, epochs=2).epoch == [0, 1]


def test_a_backup_that_is_there_goes_before_a_state_that_was_restored(tmp_path):
    early = make()
    fit(early, epochs=1)
    early.trainer.save_state(tmp_path / "run.npz")
    with pytest.raises(ZeroDivisionError):
        fit(make(), BackupAndRestore(tmp_path / "backup"), Stops(3))
    whole = make()
    fit(whole)

    resumed = make()
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, BackupAndRestore(tmp_path / "backup"))

    np.testing.assert_equal(end(resumed), end(whole))


def test_states_of_layers_go_on_too(tmp_path):
    def stateful():
        bp.utils.set_random_seed(0)
        lstm = LSTM(2, stateful=True, recurrent_dropout=0.2)
        model = bp.Sequential([bp.Input(batch_shape=(5, 1, 3)), lstm, Dense(1)])
        model.compile("rmsprop", "mse")
        return model

    data, whole = (X[:, None], Y), stateful()
    fit(whole, Saves(tmp_path / "run.npz", 7), data=data, shuffle=False)

    resumed = stateful()
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, Saves(tmp_path / "more.npz", 0), data=data, shuffle=False)

    np.testing.assert_equal(end(resumed), end(whole))
    for a, b in zip(resumed.states_kept(), whole.states_kept(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_a_state_of_another_model_changes_nothing(tmp_path):
    other = make(units=5)
    fit(other)
    other.trainer.save_state(tmp_path / "run.npz")
    model = make()
    before = model.get_weights()

    with pytest.raises(archive.ModelFileError, match=r"run\.npz.*weights of"):
        model.trainer.restore_state(tmp_path / "run.npz")

    np.testing.assert_equal(model.get_weights(), before)
    assert fit(model, epochs=1).epoch == [0]


def test_a_state_of_other_metrics_is_an_error_of_the_next_fit(tmp_path):
    other = make(metrics=["mse"])
    fit(other)
    other.trainer.save_state(tmp_path / "run.npz")
    model = make()
    model.trainer.restore_state(tmp_path / "run.npz")

    with pytest.raises(archive.ModelFileError, match=r"run\.npz.*metrics"):
        fit(model)

    assert fit(model, epochs=1).epoch == [0]


def two_ends(metrics):
    x = bp.Input((3,))
    model = bp.Model(x, [Dense(1, name="a")(x), Dense(1, name="b")(x)])
    model.compile("adam", "mse", metrics=metrics)
    return model, (X, [Y, Y])


def one_end(metrics):
    return make(metrics=metrics[0]), (X, Y)


@pytest.mark.parametrize("compiled", [one_end, two_ends])
def test_a_state_of_before_the_first_batch_is_gone_on_with_by_a_model_that_has_chosen_its_metrics(
    compiled, tmp_path
):
    """It has no names of metrics yet, and no callback has counted anything."""
    model, data = compiled([["mae"], ["mae"]])
    model.trainer.save_state(tmp_path / "s.npz")
    seed = model.trainer.seed

    other, _ = compiled([["mae"], ["mae"]])
    fit(other, data=data)
    assert other.trainer.restore_state(tmp_path / "s.npz") == (0, 0)
    fit(other, EarlyStopping("loss", patience=9), data=data)
    model.trainer.seed = seed
    fit(model, data=data)
    np.testing.assert_equal(end(other), end(model))

    for others in ([[], []], [["mae", "mse"], ["mse"]]):
        third, _ = compiled(others)
        third.trainer.restore_state(tmp_path / "s.npz")
        with pytest.raises(archive.ModelFileError, match="compile it as it was"):
            fit(third, data=data)
        assert third.history is None or not third.history.history


def test_a_model_that_is_not_built_has_no_state_to_save(tmp_path):
    model = bp.Sequential([Dense(1)])
    model.compile("adam", "mse")

    with pytest.raises(ValueError, match="not built"):
        model.trainer.save_state(tmp_path / "run.npz")


def test_a_state_is_not_saved_in_the_middle_of_an_evaluation(tmp_path):
    class Within(Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.trainer.save_state(tmp_path / "run.npz")

    with pytest.raises(RuntimeError, match="in the middle of an evaluation"):
        fit(make(), Within(), validation_split=0.2)


def test_another_thread_neither_saves_nor_restores_a_run_that_goes_on(tmp_path):
    errors = []

    def attempt(call):
        try:
            call(tmp_path / "run.npz")
        except RuntimeError as error:
            errors.append(str(error))

    class Beside(Callback):
        def on_train_batch_end(self, batch, logs=None):
            trainer = self.model.trainer
            trainer.save_state(tmp_path / "run.npz")
            for call in (trainer.save_state, trainer.restore_state):
                thread = threading.Thread(target=attempt, args=[call])
                thread.start()
                thread.join()
            attempt(trainer.restore_state)

    fit(make(), Beside(), epochs=1, steps_per_epoch=1)

    assert len(errors) == 3
    assert "a step of another thread" in errors[0]
    assert "while a run of it goes on in another thread" in errors[1]
    assert "while a run of it goes on around this call" in errors[2]


# ------------------------------------------------------------------ steps of a model's own


class Doubles(bp.Sequential):
    """Its metrics are chosen at its first step."""

    def train_step(self, data):
        logs = super().train_step(data)
        return logs | {"twice": 2 * logs["loss"]}


class Keeps(bp.Sequential):
    """Says what it finds, and keeps a metric whose sums are made at the first batch."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.score = bp.metrics.R2Score(name="score")
        self.mean = bp.metrics.Mean(name="mean")

    def train_step(self, data):
        x, y = data
        logs = super().train_step(data)
        self.score.update_state(y, self(x, training=False))
        self.mean.update_state(logs["loss"])
        return {"half": logs["loss"] / 2, "score": self.score.result(), "m": self.mean.result()}


def of_own_step(cls, policy="warn"):
    bp.utils.set_random_seed(0)
    model = cls([bp.Input((3,)), Dense(4, "tanh"), Dropout(0.3), Dense(1)])
    model.compile("adam", "mse", metrics=["mae"], on_nonfinite=policy)
    return model


@pytest.mark.parametrize("policy", ["warn", "skip"])
@pytest.mark.parametrize("cls", [Doubles, Keeps])
@pytest.mark.parametrize("steps", [1, 3, 4, 5, 9])
def test_a_run_of_steps_of_ones_own_goes_on_in_a_fresh_process_bit_for_bit(
    cls, policy, steps, tmp_path
):
    options = {"validation_split": 0.25, "batch_size": 4}
    whole = of_own_step(cls, policy)
    fit(whole, Saves(tmp_path / "run.npz", steps), **options)

    resumed = of_own_step(cls, policy)
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, Saves(tmp_path / "more.npz", 0), **options)

    np.testing.assert_equal(end(resumed), end(whole))


@pytest.mark.parametrize("cls", [Doubles, Keeps])
def test_a_run_of_steps_of_ones_own_begins_anew_in_the_same_process(cls, tmp_path):
    model = of_own_step(cls)

    class First(Callback):
        def on_train_begin(self, logs=None):
            self.model.trainer.save_state(tmp_path / "run.npz")

    fit(model, First())
    wanted = model.history.history, model.get_weights()
    model.trainer.restore_state(tmp_path / "run.npz")
    fit(model)

    np.testing.assert_equal((model.history.history, model.get_weights()), wanted)


def test_other_metrics_for_steps_of_ones_own_are_an_error_of_the_next_fit(tmp_path):
    model = of_own_step(Doubles)
    fit(model)
    model.trainer.save_state(tmp_path / "run.npz")
    for metrics in ([], ["mae", "mse"]):
        other = of_own_step(Doubles)
        other.compile("adam", "mse", metrics=metrics)
        other.trainer.restore_state(tmp_path / "run.npz")

        with pytest.raises(archive.ModelFileError, match=r"run\.npz.*metrics"):
            fit(other)


# ------------------------------------------------------------------ the first backup


def test_a_run_that_dies_at_its_first_epochs_end_has_logged_it_once(tmp_path):
    class Dies(Callback):
        runs_last = 1

        def on_epoch_end(self, epoch, logs=None):
            raise ZeroDivisionError

    def log():
        return CSVLogger(tmp_path / "log.csv", append=True)

    (tmp_path / "log.csv").write_text("epoch,loss,mae\n7,0.5,0.5\n")
    with pytest.raises(ZeroDivisionError):
        fit(make(), log(), BackupAndRestore(tmp_path / "backup"), Dies())
    fit(make(), log(), BackupAndRestore(tmp_path / "backup"))

    rows = (tmp_path / "log.csv").read_text().split()
    assert [row.partition(",")[0] for row in rows] == ["epoch", "7", "0", "1", "2", "3"]


def test_an_error_in_the_first_epoch_leaves_no_backup(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fit(make(), BackupAndRestore(tmp_path / "backup"), Stops(0))

    assert not (tmp_path / "backup").exists()


# ------------------------------------------------------------------ data with an order of their own


class Shuffles(bp.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.rng, self.order = np.random.default_rng(1), np.arange(20)
        self.said = []

    def __len__(self):
        return 4

    def __getitem__(self, i):
        rows = self.order[5 * i : 5 * i + 5]
        return X[rows], Y[rows]

    def on_epoch_begin(self):
        self.said.append("begin")

    def on_epoch_end(self):
        self.said.append("end")
        self.rng.shuffle(self.order)


class Stream:
    """Batches that are not counted, five in a pass."""

    def __iter__(self):
        return ((X[i : i + 4], Y[i : i + 4]) for i in range(0, 20, 4))


def endless(most=50):
    rng = np.random.default_rng(2)
    for _ in range(most):
        rows = rng.permutation(20)[:5]
        yield X[rows], Y[rows]


def windows():
    """Five batches, in another order in each pass."""
    return bp.utils.timeseries_dataset_from_array(X[:, 0], Y, 3, batch_size=4, shuffle=True, seed=1)


ORDERS = {
    "an order of its own, whole": (windows, {}),
    "an order of its own, by steps": (windows, {"steps_per_epoch": 2}),
    "an order of its own to validate on": (
        windows,
        {"validation_data": windows, "validation_steps": 2, "validation_freq": 2},
    ),
    "by number, shuffled by itself": (Shuffles, {}),
    "a list": (lambda: [(X[i : i + 5], Y[i : i + 5]) for i in range(0, 20, 5)], {}),
    "a stream, by steps": (Stream, {"steps_per_epoch": 2}),
    "a stream, whole": (Stream, {}),
    "a generator": (endless, {"steps_per_epoch": 3}),
    "an iterator": (lambda: map(tuple, endless()), {"steps_per_epoch": 3}),
    "a generator to validate on": (
        lambda: Stream(),
        {"validation_data": endless, "validation_steps": 2, "validation_freq": 2},
    ),
}


@pytest.mark.filterwarnings("ignore:the data ended after 1 of 2 steps")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("steps", [1, 4, 6, 9])
def test_data_go_on_where_they_were_read_to(order, steps, tmp_path):
    source, options = ORDERS[order]

    def given():
        made = options.get("validation_data")
        return options | ({} if made is None else {"validation_data": made()})

    whole = make()
    fit(whole, Saves(tmp_path / "run.npz", steps), data=[source()], **given())

    resumed = make()
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, Saves(tmp_path / "more.npz", 0), data=[source()], **given())

    np.testing.assert_equal(end(resumed), end(whole))


def test_data_that_this_process_has_read_are_not_told_of_their_epochs_again(tmp_path):
    whole = make()
    fit(whole, data=[Shuffles()])
    data = Shuffles()
    with pytest.raises(ZeroDivisionError):
        fit(make(), BackupAndRestore(tmp_path / "backup"), Stops(2), data=[data])
    resumed = make()
    fit(resumed, BackupAndRestore(tmp_path / "backup"), data=[data])

    assert data.said == ["begin", "end"] * 4
    np.testing.assert_equal(end(resumed), end(whole))


def test_a_generator_that_was_read_before_is_warned_of(tmp_path):
    data = endless()
    with pytest.raises(ZeroDivisionError):
        fit(make(), BackupAndRestore(tmp_path / "b"), Stops(2), data=[data], steps_per_epoch=3)

    with pytest.warns(UserWarning, match="an iterator that was read before") as caught:
        fit(make(), BackupAndRestore(tmp_path / "b"), data=[data], steps_per_epoch=3)

    assert len(caught) == 1


def test_a_file_cannot_have_data_read_without_end(tmp_path):
    fit(make(), Saves(tmp_path / "run.npz", 5), data=[endless()], steps_per_epoch=3)
    header, arrays = archive.read(tmp_path / "run.npz", ("checkpoint",))
    header["run"]["given"] = [10**15, 10**15]
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(tmp_path / "run.npz", "checkpoint", header, arrays)

    model = make()
    model.trainer.restore_state(tmp_path / "run.npz")
    assert fit(model, data=[endless()], steps_per_epoch=3).epoch == [0, 1, 2, 3]


# ------------------------------------------------------------------ on another machine


def test_a_run_that_goes_on_where_it_began_is_not_warned_of(tmp_path):
    fit(make(), Saves(tmp_path / "run.npz", 3))
    header, _ = archive.read(tmp_path / "run.npz", ("checkpoint",))

    assert header["environment"] == environment.environment() | {"ranks": "1"}
    assert {"processor", "NumPy", "build of NumPy", "BLAS", "kernels", "threads"} < set(
        header["environment"]
    )
    model = make()
    model.trainer.restore_state(tmp_path / "run.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, Saves(tmp_path / "more.npz", 0))


def test_what_differs_from_the_machine_of_a_run_is_said_once(tmp_path, monkeypatch):
    here = environment.environment()
    there = here | {"BLAS": "openblas 0.1, Haswell kernel", "threads": "64"}
    with pytest.raises(ZeroDivisionError), monkeypatch.context() as patch:
        patch.setattr("backprop.run_state.environment", lambda: there)
        fit(make(), BackupAndRestore(tmp_path / "backup"), Stops(2))

    with pytest.warns(UserWarning, match="may not end in the same bits") as caught:
        fit(make(), BackupAndRestore(tmp_path / "backup", 1))

    (warning,) = [str(w.message) for w in caught]
    assert "BLAS: 'openblas 0.1, Haswell kernel' then" in warning
    assert f"threads: '64' then, {here['threads']!r} now" in warning
    assert "NumPy" not in warning


@pytest.mark.parametrize("saved", [3, {"threads": 2}, ["threads"]])
def test_an_environment_that_is_none_is_damage(saved, tmp_path):
    model = make()
    fit(model)
    model.trainer.save_state(tmp_path / "run.npz")
    header, arrays = archive.read(tmp_path / "run.npz", ("checkpoint",))
    header["environment"] = saved
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(tmp_path / "run.npz", "checkpoint", header, arrays)

    model.trainer.restore_state(tmp_path / "run.npz")
    with pytest.raises(archive.ModelFileError, match="its environment is"):
        fit(model)


def test_lbfgs_says_that_it_does_not_go_on_bit_for_bit(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fit(make(bp.optimizers.LBFGS()), BackupAndRestore(tmp_path / "backup"), Stops(2))

    with pytest.warns(UserWarning, match="LBFGS learns the curvature anew"):
        fit(make(bp.optimizers.LBFGS()), BackupAndRestore(tmp_path / "backup"))


# ------------------------------------------------------------------ what callbacks change


class Changes(Callback):
    """Changes something at the beginning of an epoch, and at that of a later one something else."""

    def __init__(self, *changes):
        self.changes = dict(zip((1, 3), changes, strict=False))

    def on_epoch_begin(self, epoch, logs=None):
        if epoch in self.changes:
            self.changes[epoch](self.model)


def freeze(layer, trainable=False):
    return lambda model: setattr(model.layers[layer], "trainable", trainable)


def assign(owner, name, value):
    def change(model):
        setattr(model.optimizer if owner is None else model.layers[owner], name, value)

    return change


CHANGES = {
    "a layer is frozen": [freeze(0)],
    "a layer is frozen and thawed": [freeze(0), freeze(0, True)],
    "all are frozen but one": [lambda model: [freeze(i)(model) for i in range(3)]],
    "a rate of dropout": [assign(2, "rate", 0.6), assign(2, "rate", 0.1)],
    "a momentum": [assign(None, "momentum", 0.5)],
    "a norm to clip to": [assign(None, "clipnorm", 0.1), assign(None, "clipnorm", None)],
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("steps", [3, 7, 10, 12, 16, 18])
def test_what_callbacks_have_changed_is_changed_when_a_run_goes_on(name, steps, tmp_path):
    sgd = bp.optimizers.SGD
    whole = make(sgd(0.05, momentum=0.9))
    fit(whole, Changes(*CHANGES[name]), Saves(tmp_path / "run.npz", steps))

    resumed = make(sgd(0.05, momentum=0.9))
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, Changes(*CHANGES[name]), Saves(tmp_path / "more.npz", 0))

    np.testing.assert_equal(end(resumed), end(whole))


class FreezesAt(Callback):
    def __init__(self, step):
        self.step, self.then = step, None

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step:
            self.model.layers[0].trainable = False
            self.then = self.model.layers[0].get_weights()


@pytest.mark.parametrize("steps", [3, 7, 8, 10])
def test_a_layer_that_is_frozen_in_an_epoch_is_so_from_the_next_step_on(steps, tmp_path):
    whole, freezes = make(), FreezesAt(6)
    fit(whole, freezes, Saves(tmp_path / "run.npz", steps))

    resumed = make()
    resumed.trainer.restore_state(tmp_path / "run.npz")
    fit(resumed, FreezesAt(6), Saves(tmp_path / "more.npz", 0))

    np.testing.assert_equal(whole.layers[0].get_weights(), freezes.then)
    np.testing.assert_equal(end(resumed), end(whole))


def test_what_the_user_sets_for_the_run_that_goes_on_stays(tmp_path):
    fit(make(), Changes(freeze(0)), Saves(tmp_path / "run.npz", 10))
    model = make()
    model.layers[2].rate = 0.1
    model.trainer.restore_state(tmp_path / "run.npz")
    fit(model)

    assert model.layers[2].rate == 0.1 and not model.layers[0].trainable


@pytest.mark.parametrize(
    "found",
    [
        3,
        {"more": {}},
        {"trainable": [True]},
        {"trainable": 5 * [1]},
        {"arguments": [{"rate": 0.5}]},
        {"arguments": {"3": 0.5}},
        {"arguments": {"99": {"rate": 0.5}}},
        {"arguments": {"3": {"rate": "0.5"}}},
        {"arguments": {"3": {"rate": 10**9}}},
        {"arguments": {"3": {"rate": 2.0}}},
        {"arguments": {"3": {"rate": 0.5}, "1": {"units": 9}}},
        {"arguments": {"3": {"nothing": 0.5}}},
        {"arguments": {"3": {"forward": None}}},
    ],
)
def test_changes_that_cannot_be_made_change_nothing(found, tmp_path):
    fit(make(), Saves(tmp_path / "run.npz", 10))
    header, arrays = archive.read(tmp_path / "run.npz", ("checkpoint",))
    header["run"]["changed"] = found
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(tmp_path / "run.npz", "checkpoint", header, arrays)
    model = make()
    before = model.get_config()
    model.trainer.restore_state(tmp_path / "run.npz")

    with pytest.raises(archive.ModelFileError, match=r"run\.npz.*changed"):
        fit(model)

    assert model.get_config() == before
    assert all(layer.trainable for layer in model.walk())
