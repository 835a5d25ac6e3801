"""The same learning curve in less time: epochs and seconds to an accuracy, on real data.

    python benchmarks/convergence.py [--mnist DIR] [--peers backprop keras-jax sklearn] [--quick]
                                     [--json FILE]

A perceptron (ReLU, softmax cross-entropy, Adam) on the digits that come with the library, and on
MNIST where DIR holds its four IDX files (packed or not). All start from the same weights and see
the same batches in the same order: the samples are shuffled once, and each epoch takes them as they
lie. Each library trains in a process of its own, one after the other, several runs in turns.

    epochs, seconds    until the accuracy on the test images reaches the target; seconds of training
                       alone (no evaluation), from the first step on, compilation included
    each               the median epoch, in milliseconds, and how many times ours it takes
    apart              the relative difference of the mean loss from ours, in the first epoch and
                       at most: rounding makes two runs of one algorithm drift apart
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from shared.machine import describe, limit_threads, unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - the environment comes first
from shared.peers import PEERS  # noqa: E402
from shared.rows import Array, Row, perceptron  # noqa: E402

OURS = "backprop"
NAMES = (OURS, "keras-jax", "keras-torch", "sklearn")
# the network, the accuracy to reach and the epochs to try
TASKS = {
    "digits": (perceptron("digits", (64, 128, 64, 10), 32, 1), 0.965, 40),
    "mnist": (perceptron("mnist", (784, 512, 512, 10), 128, 1), 0.98, 10),
}
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
Data = tuple[Array, Array, Array, Array]


def read_idx(folder: Path, name: str) -> Array:
    """One of MNIST's files: two zeros, the type 8, the number of axes, their lengths, the bytes."""
    found = [p for p in sorted(folder.glob(f"{name}[-.]ubyte*")) if p.suffix in ("", ".gz")]
    if not found:
        raise SystemExit(f"--mnist expects {name}-ubyte or {name}-ubyte.gz in {folder}")
    raw = found[0].read_bytes()
    raw = gzip.decompress(raw) if found[0].suffix == ".gz" else raw
    kind, axes = struct.unpack(">HBB", raw[:4])[1:]
    if kind != 8:
        raise SystemExit(f"{found[0]} should be an IDX file of bytes and has type {kind}")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def load(task: str, mnist: str) -> Data:
    """Images from 0 to 1 in rows, and labels: to train with, shuffled once, and to test with."""
    if task == "digits":
        from backprop.datasets import digits

        (x, y), (x_test, y_test) = digits.load_data()
        top = 16
    else:
        x, y, x_test, y_test = (read_idx(Path(mnist), name) for name in FILES)
        top = 255
    order = np.random.default_rng(0).permutation(len(x))
    x, x_test = ((a.reshape(len(a), -1) / np.float32(top)) for a in (x[order], x_test))
    return x, y[order].astype(np.int64), x_test, y_test.astype(np.int64)


def accuracy(weights: list[Array], x: Array, y: Array) -> float:
    """Share of right answers of a perceptron with these weights."""
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        if i < len(weights) - 2:
            x = np.maximum(x, 0)
    return float((x.argmax(-1) == y).mean())


class Curve:
    """What an epoch took and where it ended, epoch by epoch."""

    def __init__(self, x: Array, y: Array):
        self.x, self.y = x, y
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.started = 0.0

    def begin(self) -> None:
        self.started = time.perf_counter()

    def end(self, loss: float, weights: Any) -> None:
        """`weights` is called after the clock has stopped."""
        self.seconds.append(time.perf_counter() - self.started)
        self.losses.append(float(loss))
        self.accuracies.append(accuracy(weights(), self.x, self.y))


def train_keras_like(library: Any, row: Row, data: Data, epochs: int) -> Curve:
    from shared.peers.keras_like import compiled

    x, y, *test = data
    curve, model = Curve(*test), compiled(library, row)

    class Record(library.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            curve.begin()

        def on_epoch_end(self, epoch, logs=None):
            curve.end(logs["loss"], model.get_weights)

    model.fit(
        x,
        y,
        batch_size=row.batch,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[Record()],
    )
    return curve


def train_sklearn(row: Row, data: Data, epochs: int) -> Curve:
    from shared.peers.with_sklearn import ready

    x, y, *test = data
    curve, model = Curve(*test), ready(row, x[: row.batch], y[: row.batch])

    def weights() -> list[Array]:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [part for pair in pairs for part in pair]

    for _ in range(epochs):
        curve.begin()
        model.partial_fit(x, y)  # one epoch, in batches
        curve.end(model.loss_, weights)
    return curve


def child(name: str, task: str, mnist: str, epochs: int) -> None:
    """Train, and print the curve as JSON. `main` runs this in an interpreter of its own."""
    warnings.simplefilter("ignore")
    row, data = TASKS[task][0], load(task, mnist)
    if name == "sklearn":
        curve = train_sklearn(row, data, epochs)
    elif name == OURS:
        import backprop

        curve = train_keras_like(backprop, row, data, epochs)
    else:
        PEERS[name].variants(row)  # chooses the engine and its threads
        import keras

        curve = train_keras_like(keras, row, data, epochs)
    print(json.dumps({k: v for k, v in vars(curve).items() if isinstance(v, list)}))


def run(name: str, task: str, mnist: str, epochs: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, task, mnist, str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"absent": lines[-1][:120]}
    return json.loads(done.stdout.splitlines()[-1])


def middle(runs: list[dict[str, Any]], epoch: int) -> float:
    """Median seconds of the first `epoch` epochs."""
    return statistics.median(sum(found["seconds"][:epoch]) for found in runs)


def report(task: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    row, target, _ = TASKS[task]
    print(f"\n{task}: {row}; to an accuracy of {100 * target:g} %")
    print(
        f"{'':14}{'epochs':>8}{'seconds':>10}{'each, ms':>10}{'x ours':>8}{'apart':>9}"
        f"{'at most':>9}{'best %':>8}"
    )
    ours = runs[OURS][0]
    our_each = statistics.median(t for found in runs[OURS] for t in found["seconds"])
    for name, found in runs.items():
        if "absent" in found[0]:
            print(f"{name:14}absent: {found[0]['absent']}")
            continue
        curve = found[0]
        reached = next((i for i, a in enumerate(curve["accuracies"], 1) if a >= target), None)
        each = statistics.median(t for f in found for t in f["seconds"])
        apart = [abs(a - b) / abs(b) for a, b in zip(curve["losses"], ours["losses"], strict=True)]
        seconds = f"{middle(found, reached):10.3f}" if reached else f"{'-':>10}"
        print(
            f"{name:14}{reached or 'never':>8}{seconds}{1e3 * each:10.1f}{each / our_each:8.2f}"
            f"{apart[0]:9.1e}{max(apart):9.1e}{100 * max(curve['accuracies']):8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", metavar="DIR", help="where MNIST's four files are")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="default: all that have data")
    parser.add_argument("--peers", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--runs", type=int, default=3, help="of each side, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two epochs, once: does it run?")
    parser.add_argument("--json", metavar="FILE", help="write all curves there")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, task, mnist, epochs = options.child
        child(name, task, mnist, int(epochs))
        return
    tasks = options.tasks or ["digits", *(["mnist"] if options.mnist else [])]
    if "mnist" in tasks and not options.mnist:
        parser.error("--tasks mnist needs --mnist DIR")

    limit_threads(options.threads)
    peers = dict.fromkeys([OURS, *options.peers])
    distributions = dict.fromkeys(d for name in peers for d in PEERS[name].distributions)
    print(", ".join(f"{name} {value}" for name, value in describe(distributions).items()))
    everything = {}
    for task in tasks:
        epochs = 2 if options.quick else TASKS[task][2]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
        for _ in range(1 if options.quick else options.runs):
            for name, found in runs.items():
                found.append(run(name, task, options.mnist or "", epochs))
        if "absent" in runs[OURS][0]:
            raise SystemExit(f"{OURS} failed: {runs[OURS][0]['absent']}")
        report(task, runs)
        everything[task] = runs
    if options.json:
        with open(options.json, "w") as file:
            json.dump(everything, file, indent=1)


if __name__ == "__main__":
    main()
