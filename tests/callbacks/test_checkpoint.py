"""ModelCheckpoint: which files are written, when; against Keras' own on the same logs."""

import os
import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st

import backprop as bp
from backprop.callbacks import (
    BackupAndRestore,
    CallbackList,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
)


def run_of(callback, model, epochs, batches):
    """Play a run of `epochs` (their logs) with as many batches each."""
    callback.set_model(model)
    callback.set_params({"epochs": len(epochs), "steps": batches, "verbose": 0})
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch, {})
        for batch in range(batches):
            callback.on_train_batch_end(batch, {"loss": 1.0 / (batch + 1)})
        callback.on_epoch_end(epoch, dict(logs))
    callback.on_train_end({})
    return [(kind, os.path.basename(path)) for kind, path in model.saved]


@given(
    values=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=8),
    best_only=st.booleans(),
    weights_only=st.booleans(),
    mode=st.sampled_from(["min", "max", "auto"]),
    save_freq=st.sampled_from(["epoch", 1, 2, 5]),
    threshold=st.sampled_from([None, 0.7]),
)
def test_the_files_are_those_that_keras_saves(
    tmp_path_factory, fake_model, values, best_only, weights_only, mode, save_freq, threshold
):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    # Keras cannot monitor before its first epoch has ended, and knows val_loss only then
    monitor = "val_loss" if save_freq == "epoch" else "loss"
    if save_freq != "epoch" and best_only:
        best_only = False
    folder = tmp_path_factory.mktemp("runs")
    batch = "" if save_freq == "epoch" else "-{batch}"
    keras_suffix = ".weights.h5" if weights_only else ".keras"
    options = {
        "monitor": monitor,
        "save_best_only": best_only,
        "save_weights_only": weights_only,
        "mode": mode,
        "save_freq": save_freq,
        "initial_value_threshold": threshold,
    }
    epochs = [{"loss": 1.0, "val_loss": value} for value in values]
    value = "{val_loss:.2f}" if save_freq == "epoch" else "{loss:.2f}"

    def saved(cls, suffix):
        path = folder / ("m-{epoch:02d}" + batch + "-" + value + suffix)
        files = run_of(cls(path, **options), fake_model(), epochs, 3)
        return [(kind, name.removesuffix(suffix)) for kind, name in files]

    ours = saved(ModelCheckpoint, ".npz")

    assert ours == saved(keras.callbacks.ModelCheckpoint, keras_suffix)
    assert ours or best_only or save_freq == 5


def test_names_are_filled_from_epoch_and_logs(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "new" / "m-{epoch:02d}-{val_loss:.2f}.npz")
    saved = run_of(callback, fake_model(), [{"val_loss": 0.125}, {"val_loss": 2}], 0)

    assert saved == [("model", "m-01-0.12.npz"), ("model", "m-02-2.00.npz")]
    assert sorted(os.listdir(tmp_path / "new")) == ["m-01-0.12.npz", "m-02-2.00.npz"]


def test_the_best_may_be_found_among_batches(tmp_path, fake_model):
    callback = ModelCheckpoint(
        tmp_path / "m-{epoch}-{batch}.npz", monitor="loss", save_best_only=True, save_freq=2
    )

    # batches 2, 4, 6 of 3 an epoch: 1/2, 1/1, 1/3
    assert run_of(callback, fake_model(), [{}, {}], 3) == [
        ("model", "m-1-2.npz"),
        ("model", "m-2-3.npz"),
    ]


def test_the_logs_of_a_batch_are_computed_only_when_one_is_saved(tmp_path, fake_model):
    computed = []
    callback = ModelCheckpoint(tmp_path / "m.npz", save_freq=3)
    run = CallbackList([callback], model=fake_model())
    for batch in range(7):
        run.on_train_batch_end(batch, lambda: computed.append(1) or {"loss": 1.0})

    assert len(computed) == 2


def test_without_the_monitor_every_model_is_saved_and_that_is_said_once(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", save_best_only=True)
    with pytest.warns(UserWarning, match="monitors 'val_loss', which is not in the logs") as caught:
        saved = run_of(callback, fake_model(), [{"loss": 1.0}, {"loss": 2.0}], 0)

    assert len(caught) == 1
    assert len(saved) == 2


def test_it_says_what_it_does(tmp_path, fake_model, capsys):
    callback = ModelCheckpoint(tmp_path / "m.npz", "loss", verbose=1, save_best_only=True)
    run_of(callback, fake_model(), [{"loss": 1.0}, {"loss": 2.0}, {"loss": 0.5}], 0)

    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: loss improved from None to 1.00000, saving model to {tmp_path}/m.npz",
        "Epoch 2: loss did not improve from 1.00000",
        f"Epoch 3: loss improved from 1.00000 to 0.50000, saving model to {tmp_path}/m.npz",
    ]


def test_a_name_with_an_unknown_field_says_what_there_is(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "{val_los}.npz")

    with pytest.raises(KeyError, match=r"did you mean 'val_loss'.*there is epoch, val_loss"):
        run_of(callback, fake_model(), [{"val_loss": 1.0}], 0)


def test_a_folder_in_the_place_of_a_file_with_fields_is_an_error(tmp_path, fake_model):
    os.mkdir(tmp_path / "1.npz")

    with pytest.raises(IsADirectoryError, match="name a file"):
        run_of(ModelCheckpoint(tmp_path / "{epoch}.npz"), fake_model(), [{"loss": 1.0}], 0)


def test_a_file_of_another_kind_is_an_error_before_training():
    with pytest.raises(ValueError, match=r"got 'best.h5': name it 'best.npz'"):
        ModelCheckpoint("best.h5")


@pytest.mark.parametrize("cls", [ModelCheckpoint, BackupAndRestore])
@pytest.mark.parametrize("save_freq", ["batch", 0, -1, 2.5, True, False])
def test_save_freq_is_an_epoch_or_a_number_of_batches(cls, save_freq):
    with pytest.raises(ValueError, match=f"{cls.__name__} expects save_freq"):
        cls("somewhere.npz", save_freq=save_freq)


@pytest.mark.parametrize("cls", [ModelCheckpoint, BackupAndRestore])
def test_an_empty_path_is_an_error(cls):
    with pytest.raises(ValueError, match="got an empty one"):
        cls("")


# ---------------------------------------------------------------------- the best, and nothing else


@pytest.mark.parametrize("save_freq", [1, 2, 3, 4])
@pytest.mark.parametrize("monitor", ["val_loss", "val_mse", "mine"])
def test_the_best_of_what_batches_lack_is_found_at_the_ends_of_epochs(
    save_freq, monitor, tmp_path, fake_model
):
    callback = ModelCheckpoint(
        tmp_path / "m-{epoch}-{batch}.npz",
        monitor,
        save_best_only=True,
        save_freq=save_freq,
        mode="min",
    )
    values = [0.5, 0.2, 0.4, 0.1, 3.0]
    with pytest.warns(UserWarning, match=f"'{monitor}', which the logs of a batch lack") as caught:
        saved = run_of(callback, fake_model(), [{monitor: v} for v in values], 3)

    assert len(caught) == 1
    batch = {1: [3, 3, 3], 2: [2, 3, 3], 3: [3, 3, 3], 4: [None, 1, 3]}[save_freq]
    epochs = zip((1, 2, 4), batch, strict=True)
    assert saved == [("model", f"m-{e}-{b}.npz") for e, b in epochs if b is not None]
    assert callback.best == 0.1


def test_a_metric_of_the_training_is_compared_among_batches_without_a_word(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "m.npz", "loss", save_best_only=True, save_freq=1)

    assert len(run_of(callback, fake_model(), [{}, {}], 3)) == 3  # of the first epoch


@pytest.mark.parametrize(
    "values", [[1.0, None, 0.5, None, None, 2.0], [float("nan"), None, 1.0, float("nan"), 0.5]]
)
@pytest.mark.parametrize("threshold", [None, 0.7])
def test_an_epoch_without_the_monitor_never_takes_the_place_of_the_best(
    values, threshold, tmp_path, fake_model
):
    callback = ModelCheckpoint(
        tmp_path / "m-{epoch}.npz", save_best_only=True, initial_value_threshold=threshold
    )
    logs = [{"loss": 1.0} if v is None else {"loss": 1.0, "val_loss": v} for v in values]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = [name for _, name in run_of(callback, fake_model(), logs, 0)]

    best = None if threshold is None else threshold
    wanted = []
    for epoch, value in enumerate(values, start=1):
        if value is not None and (best is None or best != best or value < best):
            best = value
            wanted.append(f"m-{epoch}.npz")
    assert saved == wanted


def test_a_monitor_that_is_an_array_is_said_to_be_none(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", "iou", save_best_only=True, mode="max")
    with pytest.warns(UserWarning, match=r"'iou', which is an array of shape \(2,\)"):
        saved = run_of(callback, fake_model(), [{"iou": np.ones(2)}] * 2, 0)

    assert len(saved) == 2


@pytest.mark.parametrize(
    "pattern",
    ["{loss:02d}", "{epoch:zz}", "{loss!q}", "{}", "{0}", "{epoch.real}", "{epoch", "{loss[0]}"],
)
def test_a_pattern_that_no_number_fits_is_an_error_at_once(pattern):
    with pytest.raises(ValueError, match=r"filepath to be a path with fields such as {epoch:02d}"):
        ModelCheckpoint(pattern + ".npz")


def test_a_name_that_cannot_be_made_says_of_what(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "{iou:.2f}{epoch!r:>3}.npz")
    with pytest.raises(ValueError, match=r"cannot make a name of .*epoch=1, iou=array"):
        run_of(callback, fake_model(), [{"iou": np.ones(2)}], 0)


def test_a_place_that_cannot_hold_the_file_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "m.npz").mkdir()

    with pytest.raises(NotADirectoryError, match=r"filepath=.*file' is a file"):
        ModelCheckpoint(tmp_path / "file" / "new" / "m.npz")
    with pytest.raises(IsADirectoryError, match=r"filepath=.*which is a folder: name a file"):
        ModelCheckpoint(tmp_path / "m.npz")
    with pytest.raises(NotADirectoryError, match="backup_dir"):
        BackupAndRestore(tmp_path / "file")


@pytest.mark.parametrize("cls", [ModelCheckpoint, EarlyStopping, ReduceLROnPlateau])
def test_a_name_that_auto_does_not_know_is_an_error_before_training(cls, tmp_path, fake_model):
    options = {"filepath": tmp_path / "m.npz", "save_best_only": True}
    callback = cls(monitor="val_los", **(options if cls is ModelCheckpoint else {}))
    callback.set_model(fake_model())

    with pytest.raises(ValueError, match=r"whether less or more 'val_los'.*did you mean 'loss'"):
        callback.on_train_begin()


def test_a_checkpoint_of_every_epoch_needs_no_monitor(tmp_path, fake_model):
    callback = ModelCheckpoint(tmp_path / "m.npz", monitor="whatever")

    assert len(run_of(callback, fake_model(), [{"loss": 1.0}] * 2, 0)) == 2


# ------------------------------------------------------------------ the last files alone


class Model:
    """Writes files, and says of what."""

    def save(self, path):
        with open(path, "w") as file:
            file.write(path)


def kept(callback, epochs, folder):
    callback.set_model(Model())
    callback.on_train_begin()
    for epoch in epochs:
        callback.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1)})
    return sorted(os.listdir(folder))


def test_the_last_files_are_kept_and_no_others(tmp_path):
    (tmp_path / "m-0.npz").write_text("of another run")
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", max_to_keep=2)

    assert kept(callback, range(1), tmp_path) == ["m-0.npz", "m-1.npz"]
    assert kept(callback, range(5), tmp_path) == ["m-0.npz", "m-4.npz", "m-5.npz"]


def test_a_file_that_is_saved_again_counts_once_and_one_that_is_gone_is_no_error(tmp_path):
    callback = ModelCheckpoint(tmp_path / "m-{loss:.0f}.npz", max_to_keep=1)
    assert kept(callback, [0, 0, 0], tmp_path) == ["m-1.npz"]

    (tmp_path / "m-1.npz").unlink()
    callback.on_epoch_end(9, {"loss": 7.0})

    assert os.listdir(tmp_path) == ["m-7.npz"]


def test_the_old_file_stays_where_the_new_one_cannot_be_written(tmp_path):
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", max_to_keep=1)
    kept(callback, [0], tmp_path)

    def fails(path):
        raise OSError(28, "No space left on device", path)

    callback.model.save = fails
    with pytest.raises(OSError, match="No space left"):
        callback.on_epoch_end(1, {})

    assert os.listdir(tmp_path) == ["m-1.npz"]


def test_one_name_cannot_be_several_files():
    with pytest.raises(
        ValueError, match=r"'m.npz' is one name: put a field in it, such as \{epoch"
    ):
        ModelCheckpoint("m.npz", max_to_keep=3)
    with pytest.raises(ValueError, match="max_to_keep"):
        ModelCheckpoint("m-{epoch}.npz", max_to_keep=0)


def test_what_is_kept_goes_on_after_an_interruption_in_another_folder_too(tmp_path):
    first = ModelCheckpoint(tmp_path / "a" / "m-{epoch}-{loss:.2f}.npz", max_to_keep=2)
    (tmp_path / "a").mkdir()
    kept(first, range(3), tmp_path / "a")
    os.rename(tmp_path / "a", tmp_path / "b")

    again = ModelCheckpoint(tmp_path / "b" / "m-{epoch}-{loss:.2f}.npz", max_to_keep=2)
    again.set_model(Model())
    again.on_train_begin()
    again.set_state(first.get_state())
    again.on_epoch_end(3, {"loss": 0.25})

    assert sorted(os.listdir(tmp_path / "b")) == ["m-3-0.33.npz", "m-4-0.25.npz"]


@pytest.mark.parametrize(
    "claimed",
    [
        *(3, [3], [{}], [{"epoch": 1, "loss": 2}], [{"epoch": [1]}]),
        *([{"epoch": "../../mine"}], [{"epoch": "/mine"}], [{"epoch": ".."}], [{"epoch": "a\\b"}]),
    ],
)
def test_a_backup_cannot_have_other_files_deleted(claimed, tmp_path):
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", max_to_keep=1)

    with pytest.raises(ValueError, match="files that are kept"):
        callback.set_state({**callback.get_state(), "_kept": claimed})

    assert callback.get_state()["_kept"] == []


def test_a_backup_of_before_files_were_counted_goes_on(tmp_path):
    callback = ModelCheckpoint(tmp_path / "m-{epoch}.npz", max_to_keep=1)
    state = callback.get_state()
    del state["_kept"]

    callback.set_state(state)

    assert kept(callback, range(2), tmp_path) == ["m-2.npz"]


@pytest.mark.parametrize("make", [ModelCheckpoint, BackupAndRestore])
def test_what_a_killed_writer_left_is_swept_at_the_start(make, tmp_path, fake_model):
    left = tmp_path / ".backprop-0123456789abcdef.tmp"
    left.write_bytes(b"half")

    if make is ModelCheckpoint:
        callback = make(tmp_path / "m.npz")
        callback.set_model(fake_model)
        callback.on_train_begin()
    else:
        model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[make(tmp_path)])

    assert not left.exists()


def test_a_relative_path_is_of_the_folder_in_which_the_run_began(tmp_path, monkeypatch):
    """A run that changes its folder saves where it saved before, and deletes nothing elsewhere."""
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        folder.mkdir()
    (other / "2.npz").write_bytes(b"mine")
    monkeypatch.chdir(home)
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse")
    leave = bp.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.chdir(other))

    model.fit(
        np.ones((4, 2)),
        np.ones(4),
        epochs=4,
        verbose=0,
        callbacks=[ModelCheckpoint("{epoch}.npz", max_to_keep=2), leave],
    )

    assert sorted(os.listdir(home)) == ["3.npz", "4.npz"]
    assert os.listdir(other) == ["2.npz"]
    assert (other / "2.npz").read_bytes() == b"mine"


def test_a_name_that_no_system_has_is_found_at_once():
    with pytest.raises(OSError, match="ModelCheckpoint cannot write to filepath"):
        ModelCheckpoint("a" * 5000 + ".npz")
