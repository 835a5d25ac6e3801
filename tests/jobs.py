"""Models, data and runs for jobs of several ranks.

``python jobs.py NAME ARGUMENTS`` runs one of the functions below, or of `job_cases`, in each rank;
`job` starts it.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from uuid import uuid4

import numpy as np
import pytest

MPIEXEC = Path(sys.executable).with_name("mpiexec")
HAVE = {"mpi4py": importlib.util.find_spec("mpi4py") is not None, "mpiexec": MPIEXEC.exists()}
MISSING = [name for name, there in HAVE.items() if not there]
needs_mpi = pytest.mark.skipif(
    bool(MISSING),
    reason=f"no {' and no '.join(MISSING)} here: pip install backprop[mpi] mpich",
)
ROOT = Path(__file__).resolve().parent.parent
LIMIT = 120  # seconds in which a job has to end, where 10 are promised: others use the machine too
HANGS = 400  # seconds after which a job is killed
# ranks that wait leave the cores to the others: there are more ranks than cores
YIELDING = {"MPIR_CVAR_POLLS_BEFORE_YIELD": "1", "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}
LOOPBACK = {"HYDRA_IFACE": "lo"} if sys.platform == "linux" else {}


@contextmanager
def started(ranks, name, *arguments):
    """A function of this file on some ranks, of which none is left after the block."""
    mark = uuid4().hex
    process = subprocess.Popen(
        [
            *([MPIEXEC, "-n", str(ranks)] if ranks else []),
            *(sys.executable, __file__, name, *map(str, arguments)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}
        | {"OPENBLAS_NUM_THREADS": "1", "JOB_OF_TESTS": mark}
        | YIELDING
        | LOOPBACK,
        preexec_fn=default_signals,
    )
    watch = Timer(HANGS, end, [process, mark])
    watch.start()
    try:
        yield process
        process.wait()
        until = time.monotonic() + LIMIT
        while members(mark) and time.monotonic() < until:
            time.sleep(0.05)
        assert not members(mark), "the job has left processes behind"
    finally:
        watch.cancel()
        end(process, mark)
        process.stdout.close()
        process.wait()


def members(mark):
    """The processes of a job, where the system shows their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it is gone
            if f"JOB_OF_TESTS={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def end(process, mark):
    process.kill()
    for number in members(mark):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def job(ranks, name, *arguments):
    """Run a function of this file on some ranks: what came out, the exit code, and how many seconds
    it took from the moment at which something went wrong, or the beginning."""
    begin = time.time()
    with started(ranks, name, *arguments) as process:
        out, _ = process.communicate()
        seconds = time.time()
    for line in out.splitlines():
        if line.startswith("wrong at "):
            begin = float(line.split()[-1])
            print(f"{seconds - begin:.1f} s until the job was over, of 10 that are promised")
    return out, process.returncode, seconds - begin


def default_signals():
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ---------------------------------------------------------------------------- models and their data


def perceptron():
    import backprop as bp
    from backprop.layers import Dense

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(90, 8)), rng.integers(0, 3, 90)
    model = bp.Sequential(
        [
            bp.Input((8,)),
            Dense(16, "tanh", kernel_regularizer="l2", kernel_constraint="max_norm"),
            Dense(3, "softmax"),
        ]
    )
    model.compile(bp.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, x, y, rng.uniform(0.5, 2, 90)


def convnet():
    import backprop as bp
    from backprop.layers import BatchNormalization, Conv2D, Dense, Flatten, MaxPooling2D

    rng = np.random.default_rng(2)
    x, y = rng.normal(5, 1, size=(50, 6, 6, 2)), rng.integers(0, 3, 50)
    model = bp.Sequential(
        [
            bp.Input((6, 6, 2)),
            Conv2D(4, 3, padding="same", use_bias=False),
            BatchNormalization(momentum=0.9),
            MaxPooling2D(2),
            Conv2D(4, 2, activation="relu"),
            BatchNormalization(renorm=True, momentum=0.9),
            Flatten(),
            Dense(3),
        ]
    )
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        bp.optimizers.SGD(0.02, momentum=0.9, global_clipnorm=1.0), loss, metrics=["accuracy"]
    )
    return model, x, y, None


def lstm():
    import backprop as bp
    from backprop.layers import LSTM, BatchNormalization, Dense, Embedding

    rng = np.random.default_rng(3)
    x, y = rng.integers(1, 9, (40, 7)), rng.normal(size=(40, 7, 2))
    x[np.arange(7) >= rng.integers(1, 8, 40)[:, None]] = 0
    model = bp.Sequential(
        [
            bp.Input((7,), dtype="int32"),
            Embedding(9, 5, mask_zero=True),
            LSTM(6, return_sequences=True),
            BatchNormalization(),
            Dense(2),
        ]
    )
    model.compile(bp.optimizers.RMSprop(0.005, clipnorm=0.5), "mse", weighted_metrics=["mae"])
    return model, x, y, rng.uniform(0, 2, 40)


def transformer():
    import backprop as bp
    from backprop.layers import Dense, GlobalAveragePooling1D, TransformerBlock

    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(44, 5, 8)), rng.normal(size=(44, 1))
    model = bp.Sequential(
        [
            bp.Input((5, 8)),
            TransformerBlock(16, 2),
            GlobalAveragePooling1D(),
            Dense(1),
        ]
    )
    optimizer = bp.optimizers.AdamW(0.003, weight_decay=0.01, gradient_accumulation_steps=3)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, "huber", metrics=["r2_score"])
    return model, x, y, None


def graph():
    import backprop as bp
    from backprop.layers import Dense

    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 6))
    y = {"a": rng.normal(size=(60, 1)), "b": rng.integers(0, 3, 60)}
    given = bp.Input((6,))
    h = Dense(8, "relu")(given)
    a, b = Dense(1, name="a")(h), Dense(3, "softmax", name="b")(h)
    model = bp.Model(given, {"a": a, "b": b})
    weighted = bp.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    model.compile(
        bp.optimizers.Lamb(0.01, use_ema=True, ema_overwrite_frequency=7),
        {"a": bp.losses.MeanAbsoluteError(reduction="sum"), "b": weighted},
        metrics={"b": ["accuracy"]},
        loss_weights={"a": 0.1, "b": 1.0},
    )
    return model, x, y, rng.uniform(0, 3, 60)


MODELS = {f.__name__: f for f in (perceptron, convnet, lstm, transformer, graph)}


def agreement(folder, *options):
    """50 steps of each model in both dtypes, and the weights of each rank in a file."""
    import backprop as bp
    from backprop.distributed import MPI

    strategy = MPI(shard_optimizer="shard" in options)
    for dtype in ("float64", "float32"):
        bp.config.set_floatx(dtype)
        for name, make in MODELS.items():
            bp.utils.set_random_seed(strategy.rank)  # rank 0's weights and seed count
            model, x, y, w = make()
            steps = -(-int(len(x) * 0.8) // 13)
            history = model.fit(
                *(x, y),
                sample_weight=w,
                batch_size=13,
                epochs=-(-50 // steps),
                validation_split=0.2,
                verbose=0,
                strategy=strategy,
            )
            write(f"{folder}/{name}-{dtype}-{strategy.rank}.npz", model, history)


def write(path, model, history):
    state = [a for a in model.optimizer.get_state().values() if a.ndim]
    np.savez(
        path,
        weights=np.concatenate([np.ravel(a) for a in model.get_weights()]),
        logs=np.array([history.history[k][-1] for k in sorted(history.history)]),
        state=np.concatenate([np.ravel(a) for a in state]),
    )


def read(path):
    with np.load(path) as file:
        return dict(file)


# ---------------------------------------------------------------------------- what may happen


def small(*layers, **settings):
    """A model, its data and what happens in it at a given batch."""
    import backprop as bp

    bp.config.set_floatx("float64")
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 4)), rng.normal(size=(24, 1))
    dense = [bp.layers.Dense(n) for n in (5, 1)]
    model = bp.Sequential([bp.Input((4,)), dense[0], *layers, dense[1]])
    model.compile(**{"optimizer": bp.optimizers.Adam(0.01), "loss": "mse"} | settings)
    return model, x, y


def at(number, work):
    """A callback that does something behind so many batches of a run."""
    import backprop as bp

    class At(bp.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.left = number

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                work()

    return At()


def failing(kind, folder=""):
    """Rank 1 fails, or goes, in the middle of a run or before it, or is alone in something."""
    import backprop as bp
    from backprop.distributed import MPI, failure

    strategy = MPI()
    model, x, y = small(on_nonfinite="skip" if kind == "policies" and strategy.rank else "warn")
    alone = strategy.rank == 0
    if kind in ("data", "policies", "saves", "callbacks"):
        failure.PATIENCE = HANGS  # all ranks have the error, however late one of them comes to it

    def fail():
        if strategy.rank == 1:
            print(f"wrong at {time.time()}", flush=True)
            if kind in ("raises", "first epoch"):
                raise ZeroDivisionError("this is rank 1's")
            if kind == "killed":
                os.kill(os.getpid(), 9)
            sys.exit(0)

    if kind == "early":
        fail()
    if kind == "data" and strategy.rank == 1:
        x = x[::-1]
    callbacks = [at(2 if kind == "first epoch" else 5, fail)] if kind in WITHIN else []
    if kind == "first epoch" or (kind == "callbacks" and alone):
        callbacks.append(bp.callbacks.BackupAndRestore(f"{folder}/backup"))
    if kind == "saves" and alone:
        callbacks.append(at(5, lambda: model.trainer.save_state(f"{folder}/run.npz")))
    model.fit(*(x, y), batch_size=8, epochs=4, verbose=0, callbacks=callbacks, strategy=strategy)
    if kind == "afterwards" and strategy.rank == 1:
        print(f"wrong at {time.time()}", flush=True)
        raise ZeroDivisionError("this is rank 1's")
    model.evaluate(x, y, verbose=0)


WITHIN = ("raises", "killed", "exits", "first epoch")


def going_on(folder, kill="", dropout="", *options):
    """A run that is backed up in the middle of epochs, and may end in one."""
    import backprop as bp
    from backprop.distributed import MPI

    strategy = MPI(shard_optimizer="shard" in options)
    layers = [bp.layers.Dropout(0.5)] if dropout else []
    optimizer = bp.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    model, x, y = small(*layers, optimizer=optimizer, metrics=["mae", "r2_score"])

    def work():
        if strategy.rank == 1:
            os.kill(os.getpid(), 9)

    callbacks = [
        bp.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=10.0, patience=2, factor=0.5),
        bp.callbacks.CSVLogger(f"{folder}/log.csv"),
        bp.callbacks.BackupAndRestore(f"{folder}/backup", save_freq=5, key=key()),
        bp.callbacks.ModelCheckpoint(f"{folder}/model-{{epoch}}.npz", max_to_keep=2),
    ]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = model.fit(
            *(x, y),
            batch_size=6,
            epochs=5,
            verbose=2,
            callbacks=[*callbacks, *([at(int(kill), work)] if kill else [])],
            strategy=strategy,
        )
    print(*(f"warned: {one.message}\n" for one in said), sep="", end="", flush=True)
    write(f"{folder}/{strategy.rank}.npz", model, history)


def key():
    from backprop.signing import SigningKey

    return SigningKey(b"of the tests of jobs, 32 bytes or more")


def by_hand(folder):
    """A state that a callback saves in the middle of a run, and a run that goes on from it."""
    import backprop as bp
    from backprop.distributed import MPI

    strategy, path = MPI(shard_optimizer=True), f"{folder}/run.npz"
    for what in ("whole", "rest"):
        model, x, y = small(metrics=["mae"], optimizer=bp.optimizers.Adam(0.01))
        save = at(6, lambda m=model: m.trainer.save_state(path))
        if what == "rest":
            bp.utils.set_random_seed(5)
            assert model.trainer.restore_state(path) == (1, 2)
        history = model.fit(
            *(x, y),
            batch_size=6,
            epochs=2,
            verbose=0,
            callbacks=[bp.callbacks.EarlyStopping(monitor="loss"), *[save] * (what == "whole")],
            strategy=strategy,
        )
        write(f"{folder}/{what}-{strategy.rank}.npz", model, history)


def interrupted(folder):
    """A run that goes on until it is told to stop."""
    import backprop as bp
    from backprop.distributed import MPI

    strategy = MPI()
    model, x, y = small()

    def tell():
        if strategy.rank == 0:
            print("running", flush=True)

    backup = bp.callbacks.BackupAndRestore(f"{folder}/backup")
    model.fit(
        *(x, y),
        epochs=10**9,
        batch_size=24,
        verbose=0,
        callbacks=[backup, at(20, tell)],
        strategy=strategy,
    )
    print("the script goes on, and should not")


def reported(folder):
    """A run that each rank would write a page about."""
    import backprop as bp
    from backprop.distributed import MPI

    strategy = MPI()
    model, x, y = normalized()
    page = bp.callbacks.HTMLReport(f"{folder}/report-of-{strategy.rank}.html")
    model.fit(*(x, y), epochs=3, batch_size=8, verbose=0, callbacks=[page], strategy=strategy)
    print(len(page.rows), getattr(page.certificate, "verdict", "none"), flush=True)


def normalized():
    """`small` with batch normalization. The gradient of a bias before it is noise, of which Adam
    would make steps."""
    import backprop as bp

    norm = bp.layers.BatchNormalization()
    return small(norm, optimizer=bp.optimizers.SGD(0.1, 0.9), metrics=["r2_score"])


def uneven(folder):
    """Batches of fewer rows than ranks, and data of which each rank has its own share."""
    from backprop.distributed import MPI

    rank = MPI().rank
    model, x, y = normalized()
    history = model.fit(
        *(x[:7], y[:7]),
        batch_size=3,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(x[7:9], y[7:9]),
        strategy=MPI(),
    )
    write(f"{folder}/few-{rank}.npz", model, history)

    def batches():
        for rows in SHARES[rank]:
            yield x[rows], y[rows]

    model, *_ = normalized()
    history = model.fit(batches(), verbose=0, strategy=MPI(data="sharded"))
    write(f"{folder}/own-{rank}.npz", model, history)


def from_files(folder):
    """Runs on files: all ranks on all rows, each on its own, and on fewer rows than ranks."""
    import backprop as bp
    from backprop.distributed import MPI

    rank, size = MPI().rank, MPI().size
    every = bp.data.NpyDataset(f"{folder}/x", f"{folder}/y", batch_size=5, buffer_size=8)
    few = bp.data.NpyDataset(f"{folder}/few.npy", f"{folder}/few_y.npy", batch_size=5)
    seen = []
    for name, data, strategy in [
        ("every", every, MPI()),
        ("own", every.shard(size, rank), MPI(data="sharded")),
        ("again", every.shard(size, rank), MPI(data="sharded")),
        ("few", few.shard(size, rank), MPI(data="sharded")),
    ]:
        model, *_ = small()
        history = model.fit(data, epochs=3, verbose=0, validation_data=data, strategy=strategy)
        write(f"{folder}/{name}-{rank}.npz", model, history)
        seed = model.trainer.seed
        seen.append([y for epoch in range(3) for _, y in data.batches(epoch, 0, seed)])
    own = np.concatenate([np.ravel(y) for y in seen[1]])
    np.save(f"{folder}/rows-{rank}.npy", own)


# rows of the batches of each rank, some of which have more than others
SHARES = [[[0, 1, 2], [3, 4], [5]], [[6, 7]], [[8]], [[9], [10, 11]]]


if __name__ == "__main__":
    sys.modules["jobs"] = sys.modules["__main__"]  # which the cases import
    work = globals().get(sys.argv[1]) or getattr(import_module("job_cases"), sys.argv[1])
    work(*sys.argv[2:])
