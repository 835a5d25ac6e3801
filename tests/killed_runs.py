"""Runs that are killed (-9) at moments drawn by chance, and started again until they end.

Every run is a child that a warm process forks. It is killed at a time, wherever it is then, or at
one of its calls that change a file, in the middle of what it writes. After each kill every file of
the library must be whole; the end must be, bit for bit, that of the run that nobody killed:
weights, states of layers, optimizer, history, callbacks, and every file that it has left.

    python tests/killed_runs.py 2000            so many kills, of all kinds of runs
    python tests/killed_runs.py 2000 7 graph    with the seed 7, of one kind

It prints what it has found as JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from faulty_files import Calls, temporaries, watched

import backprop as bp
from backprop import callbacks as C, layers as L
from backprop.archive import ModelFileError, read
from backprop.callbacks.state import collect

EPOCHS, BATCH = 5, 5
DEPTH = 6  # kills of one run at most
SECONDS = 60.0  # after which a child counts as one that hangs
RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] + 0.1 * RNG.normal(size=(22, 1))).astype("float32")
IMAGES = RNG.uniform(size=(22, 6, 6, 1)).astype("float32")
TOKENS = RNG.integers(1, 9, (20, 3))

# ------------------------------------------------------------------ kinds of runs


class Counts(C.Callback):
    """A callback of one's own."""

    remembers = ("batches", "losses")

    def on_train_begin(self, logs=None):
        self.batches, self.losses = 0, np.zeros(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.losses = np.append(self.losses, logs["loss"])


class Numbered(bp.utils.PyDataset):
    """Batches by number, in an order that it changes itself after each epoch."""

    def __init__(self):
        super().__init__()
        self.rng, self.order = np.random.default_rng(5), np.arange(20)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        rows = self.order[5 * i : 5 * i + 5]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.rng.shuffle(self.order)


class Again:
    """Batches that can be read from the beginning again, and are not counted."""

    def __iter__(self):
        return ((X[i : i + 3], Y[i : i + 3]) for i in range(0, 21, 3))


def forever():
    rng = np.random.default_rng(3)
    while True:
        rows = rng.permutation(22)[:BATCH]
        yield X[rows], Y[rows]


class OwnStep(bp.Sequential):
    """Writes its step anew, and keeps a metric by itself."""

    def train_step(self, data):
        logs = super().train_step(data)
        self.seen.update_state(logs["loss"])
        return {**logs, "seen": self.seen.result()}


def sequential(*layers, shape=(4,), optimizer="adam", of=bp.Sequential, **compiled):
    model = of([bp.Input(shape), *layers])
    model.compile(optimizer, **{"loss": "mse"} | compiled)
    return model


def dropout(folder):
    optimizer = bp.optimizers.Adam(0.02, use_ema=True, ema_overwrite_frequency=3)
    layers = L.Dense(6, "tanh"), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(1)
    model = sequential(*layers, optimizer=optimizer, metrics=["mae"])
    given = [
        C.CSVLogger(folder / "log.csv"),
        C.ModelCheckpoint(folder / "best.npz", save_best_only=True),
        C.EarlyStopping(patience=2, restore_best_weights=True),
        Counts(),
    ]
    return model, (X, Y), {"validation_split": 0.2}, given, 2


def normalized(folder):
    rate = bp.optimizers.schedules.CosineDecay(0.05, 12, warmup_steps=3, warmup_target=0.1)
    layers = L.Dense(6, "relu"), L.BatchNormalization(), L.AlphaDropout(0.2), L.Dense(1)
    model = sequential(*layers, optimizer=bp.optimizers.SGD(rate, 0.9, nesterov=True))
    given = [
        C.CSVLogger(folder / "log.csv", append=True),
        C.ModelCheckpoint(folder / "m-{epoch}-{batch}.npz", save_freq=3, save_weights_only=True),
    ]
    return model, (X, Y), {"validation_split": 0.2, "validation_freq": 2}, given, 3


def stateful(folder):
    layers = L.LSTM(3, stateful=True, dropout=0.2, recurrent_dropout=0.2), L.Dense(1)
    model = bp.Sequential([bp.Input(batch_shape=(5, 2, 2)), *layers])
    model.compile("rmsprop", "mse")
    given = [
        C.ReduceLROnPlateau("loss", patience=1, factor=0.5),
        C.ModelCheckpoint(folder / "best.npz", "loss", save_best_only=True, save_freq=2),
        C.CSVLogger(folder / "log.csv"),
    ]
    return model, (X[:20].reshape(20, 2, 2), Y[:20]), {"shuffle": False}, given, 1


def graph(folder):
    a, b = bp.Input((4,), name="a"), bp.Input((2,), name="b")
    h = L.Dropout(0.2)(L.Dense(5, "gelu")(L.Concatenate()([a, b])))
    outputs = [L.Dense(1, name="u")(h), L.Dense(2, "softmax", name="v")(h)]
    model = bp.Model([a, b], outputs)
    losses = ["mse", "sparse_categorical_crossentropy"]
    model.compile(bp.optimizers.AdamW(0.02), losses, metrics=[["mae"], ["accuracy"]])
    given = [
        C.LearningRateScheduler(lambda epoch, lr: 0.8 * lr),
        C.ModelCheckpoint(folder / "m-{epoch}.npz", max_to_keep=2),
        C.CSVLogger(folder / "log.csv"),
        C.EarlyStopping("u_loss", patience=9, restore_best_weights=True),
    ]
    y = [Y, (Y[:, 0] > 0).astype(int)]
    return model, ([X, X[:, :2]], y), {"shuffle": "batch"}, given, 2


def swapped(folder):
    optimizer = bp.optimizers.Lamb(0.02, use_ema=True)
    model = sequential(L.Dense(4, "tanh"), L.Dense(1), optimizer=optimizer)
    given = [
        C.SwapEMAWeights(swap_on_epoch=True),
        C.ModelCheckpoint(folder / "best.npz", save_best_only=True),
        C.CSVLogger(folder / "log.csv"),
    ]
    return model, (X, Y), {"validation_split": 0.2}, given, "epoch"


def pictures(folder):
    layers = [
        *(L.RandomFlip(), L.RandomRotation(0.1), L.Conv2D(2, 3), L.SpatialDropout2D(0.2)),
        *(L.BatchNormalization(), L.Flatten(), L.Dense(1)),
    ]
    model = sequential(*layers, shape=(6, 6, 1), optimizer="muon")
    given = [
        C.CSVLogger(folder / "log.csv"),
        C.ModelCheckpoint(folder / "m-{epoch}-{loss:.4f}.npz", max_to_keep=1),
    ]
    return model, (IMAGES, Y), {}, given, 2


def text(folder):
    layers = L.Embedding(9, 3, mask_zero=True), L.GRU(3, dropout=0.1), L.Dense(1)
    model = sequential(*layers, shape=(3,), optimizer="adafactor")
    batches = [(TOKENS[i : i + 5], Y[i : i + 5]) for i in range(0, 20, 5)]
    return model, (batches,), {}, [C.CSVLogger(folder / "log.csv")], 3


def own_order(folder):
    model = sequential(L.Dense(4, "tanh"), L.Dropout(0.2), L.Dense(1), of=OwnStep)
    model.seen = bp.metrics.Mean(name="seen")
    return model, (Numbered(),), {}, [C.CSVLogger(folder / "log.csv"), Counts()], 3


def again(folder):
    model = sequential(L.Dense(4, "tanh"), L.Dense(1), optimizer="nadam")
    return model, (Again(),), {"steps_per_epoch": 2}, [C.CSVLogger(folder / "log.csv")], 1


def generator(folder):
    model = sequential(L.Dense(4, "tanh"), L.Dropout(0.2), L.Dense(1), optimizer="lion")
    return model, (forever(),), {"steps_per_epoch": 4}, [C.CSVLogger(folder / "log.csv")], 3


def shards(folder):
    for name, a in (("x", X), ("y", Y)):
        (folder / name).mkdir(exist_ok=True)
        for i in range(0, len(a), 6):
            path = folder / name / f"{i}.npy"
            if not path.exists():  # by the run that was killed
                np.save(folder / "part.npy", a[i : i + 6])
                os.rename(folder / "part.npy", path)
    data = bp.data.NpyDataset(folder / "x", folder / "y", batch_size=BATCH, buffer_size=7)
    model = sequential(L.Dense(4, "tanh"), L.Dropout(0.2), L.Dense(1), optimizer="adam")
    options = {"validation_data": bp.data.NpyDataset(folder / "x", folder / "y")}
    return model, (data,), options, [C.CSVLogger(folder / "log.csv")], 2


class Slower(C.Callback):
    """Forgets in an interruption what it has counted."""

    def on_train_begin(self, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.model.optimizer.learning_rate = 0.1 / self.steps


def forgetful(folder):
    model = sequential(L.Dense(1))
    return model, (X, Y), {}, [Slower()], 2


KINDS = {
    kind.__name__: kind
    for kind in (
        *(dropout, normalized, stateful, graph, swapped, pictures, text),
        *(own_order, again, generator, shards),
    )
}


PLANTED = {"forgetful": forgetful}  # which must be found to end otherwise


def run(name, folder):
    """What a user's script does: the same from its first line, however often it is started."""
    warnings.filterwarnings("ignore", message=".*data ended after.*")
    os.chdir(folder)
    folder = Path()
    bp.backend.clear_session()
    bp.utils.set_random_seed(1)
    model, data, options, given, save_freq = (KINDS | PLANTED)[name](folder)
    options = {"epochs": EPOCHS, "verbose": 0} | options
    if len(data) == 2:
        options["batch_size"] = BATCH
    given.append(C.BackupAndRestore(folder / "backup", save_freq, delete_checkpoint=False))
    history = model.fit(*data, callbacks=given, **options)
    states, arrays = collect(given)
    end = {
        "weights": model.get_weights(),
        "states of layers": [p.value for p in model.states_kept()],
        "optimizer": model.optimizer.get_state(),
        "generators": [layer._rng and layer._rng.bit_generator.state for layer in model.walk()],
        "history": (history.epoch, history.history),
        "callbacks": (states, arrays),
    }
    (folder / "end.part").write_bytes(pickle.dumps(end))
    os.rename(folder / "end.part", folder / "end.pickle")


# ------------------------------------------------------------------ children, and how they end


def child(name, folder, calls=None):
    """The process of a run that has just begun."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        if calls is None:
            run(name, folder)
        else:
            with watched(calls):
                run(name, folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(pid):
    """Wait for a child; how it ended: 0, its error, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def alarmed(pid, seconds):
    """Kill a child after a time."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(min(left, 0.002))
    os.kill(pid, signal.SIGKILL)


def kill_self(path):
    os.kill(os.getpid(), signal.SIGKILL)


class Whole:
    """A kind of run that nobody kills: what it takes, and how it ends."""

    def __init__(self, name, folder):
        warm = folder / "warm"
        warm.mkdir()
        run(name, warm)  # here, so that no child compiles or imports what another has
        shutil.rmtree(warm)
        begun = time.monotonic()
        if ended(child(name, folder)):
            raise RuntimeError(f"{name} does not run")
        self.seconds = time.monotonic() - begun
        self.end = left(folder)
        self.calls = self.count(name, folder / "counted")

    def count(self, name, folder):
        """How many calls change a file."""
        folder.mkdir()
        pid = os.fork()
        if not pid:
            calls = Calls(folder)
            with watched(calls):
                run(name, folder)
            (folder / "calls").write_text(str(len(calls.made)))
            os._exit(0)
        ended(pid)
        return int((folder / "calls").read_text())


def left(folder):
    """What a run has left: how it ended, and the bytes of its files, but for the backup's."""
    files = {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith("end.")
    }
    return {"files": files} | pickle.loads((folder / "end.pickle").read_bytes())


def differing(one, other):
    """The parts in which two ends differ, in a bit."""
    return [key for key in one if bits(one[key]) != bits(other[key])]


def bits(value):
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: bits(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [bits(v) for v in value]
    if isinstance(value, float):
        return value.hex()
    return value


def unreadable(folder):
    """The files of the library below a folder that are not whole."""
    found = []
    for path in folder.rglob("*.npz"):
        try:
            read(path, ("model", "weights", "checkpoint"))
        except (OSError, ModelFileError) as error:
            found.append(f"{path.name}: {error}")
    return found


def chain(name, whole, folder, rng, kills):
    """A run that is killed again and again, and ends; how often, and what went wrong."""
    faults, count = [], 0
    for _ in range(kills):
        if rng.random() < 0.5:
            pid = child(name, folder)
            alarmed(pid, rng.uniform(0, whole.seconds))
        else:
            at = rng.randint(1, whole.calls)
            pid = child(name, folder, Calls(folder, at, kill_self))
            alarmed(pid, SECONDS)
        code = ended(pid)
        faults += unreadable(folder)
        if code != -signal.SIGKILL:
            faults += [f"ended by {code}"] * (code != 0)
            break
        count += 1
    pid = child(name, folder)
    alarmed(pid, SECONDS)
    if code := ended(pid):
        return count, [*faults, f"resumed, it ended by {code}"]
    faults += [f"another end: {what}" for what in differing(whole.end, left(folder))]
    faults += [f"left behind: {what}" for what in temporaries(folder)]
    return count, faults


def main(kills=200, seed=0, *names):
    rng, count, found = random.Random(int(seed)), 0, []
    names = names or tuple(KINDS)
    by_kind = dict.fromkeys(names, 0)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # fsync is dear elsewhere
    with tempfile.TemporaryDirectory(dir=memory) as place:
        place = Path(place)
        wholes = {}
        for name in names:
            (place / name).mkdir()
            wholes[name] = Whole(name, place / name)
        while count < int(kills):
            for name in names:
                depth = min(rng.randint(1, DEPTH), int(kills) - count)
                if depth:
                    folder = Path(tempfile.mkdtemp(dir=place))
                    more, faults = chain(name, wholes[name], folder, rng, depth)
                    count += more
                    by_kind[name] += more
                    found += [f"{name}: {fault}" for fault in faults]
                    shutil.rmtree(folder)
    seconds = sum(os.times()[:4])
    print(json.dumps({"kills": count, "by kind": by_kind, "faults": found, "cpu": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
