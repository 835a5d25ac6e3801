"""A file system that fails at any call, with any error: the last checkpoint stays whole, and the
error names the file that the user asked for."""

import errno
import os
import shutil

import numpy as np
import pytest
from faulty_files import ERRNOS, Calls, failing, temporaries, watched

import backprop as bp
from backprop import archive, atomic, callbacks
from backprop.layers import Dense, Dropout

X = np.random.default_rng(0).normal(size=(12, 3))


def small(units=2):
    return bp.Sequential([bp.Input((3,)), Dense(units)])


def keras_file(path):
    pytest.importorskip("h5py", reason="writes a file of Keras")
    small().save(path)


def keras_weights(path):
    pytest.importorskip("h5py", reason="writes a file of Keras")
    small().save_weights(path)


def checkpoint(path):
    model = small()
    model.compile("adam", "mse")
    model.trainer.save_state(path)


SAVES = {
    "m.npz": lambda path: small().save(path),
    "w.npz": lambda path: small().save_weights(path),
    "w.safetensors": lambda path: small().save_weights(path),
    "run.npz": checkpoint,
    "m.keras": keras_file,
    "m.weights.h5": keras_weights,
}


def calls_of(save, path):
    with watched(Calls(path.parent)) as calls:
        save(path)
    return [name for name, _ in calls.made]


@pytest.mark.parametrize("name", SAVES)
def test_a_save_that_fails_anywhere_leaves_the_old_file_and_names_it(name, tmp_path):
    path, save = tmp_path / name, SAVES[name]
    save(path)
    made, before = calls_of(save, path), path.read_bytes()
    replaced = made.index("replace") + 1

    assert {"open", "write", "fsync", "replace"} <= set(made)
    for at in range(1, len(made) + 1):
        for number in ERRNOS:
            if made[at - 1] == "unlink":  # of what has been renamed already
                continue
            before = path.read_bytes()
            with pytest.raises(OSError) as caught, watched(Calls(tmp_path, at, failing(number))):
                save(path)

            assert caught.value.errno == number
            assert caught.value.filename == str(path)
            assert caught.value.filename2 is None
            assert ("is untouched" in str(caught.value)) is (at <= replaced)
            assert path.read_bytes() == before or at > replaced
            assert os.listdir(tmp_path) == [name]


def test_the_first_save_that_fails_says_that_nothing_was_written(tmp_path):
    path = tmp_path / "m.npz"

    calls = Calls(tmp_path, 3, failing(errno.ENOSPC))
    said = r"No space left on device; nothing was written: '.*m.npz'"
    with pytest.raises(OSError, match=said), watched(calls):
        small().save(path)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["m.npz", "m.keras", "m.weights.h5", "w.safetensors"])
def test_what_cannot_be_read_back_does_not_take_the_place_of_what_was_there(
    name, tmp_path, monkeypatch
):
    path, save = tmp_path / name, SAVES[name]
    save(path)
    before = path.read_bytes()

    def fades(handle):  # a disk that forgets what it has said is on it
        size = os.fstat(handle).st_size
        os.pwrite(handle, bytes(255 - b for b in os.pread(handle, 8, size // 2)), size // 2)

    monkeypatch.setattr(os, "fsync", fades)
    with pytest.raises(OSError, match=r"read back is not what was written; .*untouched") as caught:
        save(path)

    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
    assert path.read_bytes() == before
    assert temporaries(tmp_path) == []


def test_a_limit_of_the_system_is_an_error_that_names_the_file(tmp_path):
    resource = pytest.importorskip("resource", reason="there are no such limits here")
    path = tmp_path / "m.npz"
    small().save(path)
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        with pytest.raises(OSError) as caught:
            small(10_000).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.npz"]


def test_a_folder_that_vanishes_is_said(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()

    said = r"nothing was written: '.*gone/run.npz'"
    with (
        pytest.raises(FileNotFoundError, match=said),
        atomic.replacing(folder / "run.npz") as file,
    ):
        file.write(b"half")
        shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match=said):
        checkpoint(folder / "run.npz")

    assert not folder.exists()


def fit(folder, double):
    bp.backend.clear_session()  # as in a process of its own: layers have the same names
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((3,)), Dense(3, "tanh"), Dropout(0.3), Dense(1)])
    model.compile("adam", "mse")
    backup = callbacks.BackupAndRestore(
        folder / "backup", 2, double_checkpoint=double, delete_checkpoint=False
    )
    last = callbacks.ModelCheckpoint(folder / "m-{epoch}.npz", max_to_keep=1)
    log = callbacks.CSVLogger(folder / "log.csv")
    model.fit(X, X[:, :1], 4, 2, 0, callbacks=[log, last, backup])
    return model


def left(folder, model):
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    weights = b"".join(w.tobytes() for w in model.get_weights())
    return {**files, "weights": weights, "history": model.history.history}


def others(found, wanted):
    """The names of what is there in one and not, or otherwise, in the other."""
    return [name for name in found | wanted if found.get(name) != wanted.get(name)]


def fails_anywhere(tmp_path, double, errnos):
    """A run that fails at each call, and is started again."""
    whole, counted = tmp_path / "whole", tmp_path / "counted"
    wanted = left(whole, fit(whole, double))
    with watched(Calls(counted)) as calls:
        fit(counted, double)
    names = {"log.csv", "m-1.npz", "m-2.npz", "latest.npz", "previous.npz", "backup", "counted"}
    for at, (name, _) in enumerate(calls.made, 1):
        for number in errnos(at):
            if (name, number) == ("remove", errno.ENOENT):
                continue  # what is gone already need not be deleted
            folder = tmp_path / "counted"
            shutil.rmtree(folder)
            try:
                with watched(Calls(folder, at, failing(number))):
                    model = fit(folder, double)
            except OSError as error:
                assert error.errno == number, (at, name)
                assert os.path.basename(error.filename) in names, (at, name, error)
                for path in folder.rglob("*.npz"):
                    archive.read(path, ("model", "checkpoint"))
                model = fit(folder, double)
            else:
                # of what has been renamed already; or the folder is there
                assert name in ("unlink", "mkdir"), (at, name)
            assert others(left(folder, model), wanted) == [], (at, name, number)
    return calls.made


def test_a_run_that_fails_at_any_call_ends_the_same_when_it_is_started_again(tmp_path):
    made = fails_anywhere(tmp_path, True, lambda at: [ERRNOS[at % len(ERRNOS)]])

    assert {"open", "write", "fsync", "replace", "remove", "mkdir"} <= {name for name, _ in made}


@pytest.mark.slow
@pytest.mark.parametrize("double", [False, True])
def test_a_run_that_fails_with_any_error_at_any_call_ends_the_same(double, tmp_path):
    made = fails_anywhere(tmp_path, double, lambda at: ERRNOS)

    assert {"open", "write", "fsync", "replace"} <= {name for name, _ in made}
