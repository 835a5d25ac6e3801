"""What it costs a step to look whether it is finite.

    python benchmarks/nonfinite.py [--rows mlp-tiny ...] [--rounds 60] [--seconds 0.02]

For each row of `shared/rows.py` it times `Trainer.train_step` in one process, in turns:

    warn      the default: the loss alone is looked at
    raise     the gradient too, and buffers are kept aside, as with "skip" and "stop"
    restore   the same as `fit` takes it, which keeps copies of all values every 100 steps

and, of "warn" and "raise", a step inside `fit`, of batches that are in memory. A number is CPU time,
in µs a step, the least over the rounds; behind it is how much more that is than with "warn". Kernels
are those of the environment: BACKPROP_KERNELS=numpy for NumPy alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from shared.machine import unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - the environment comes first
from shared.peers.keras_like import batches, compiled  # noqa: E402
from shared.rows import ROWS, Row  # noqa: E402

import backprop as bp  # noqa: E402
from backprop.training.data import as_data  # noqa: E402
from backprop.training.guarded import read_policy  # noqa: E402

SMALL = ("mlp-tiny", "mlp-digits", "mlp-mnist", "embed-bag", "cnn-mnist")
Block = Callable[[int], None]


def ways(row: Row) -> dict[str, Block]:
    """Each way to take a number of steps, of a model of its own."""
    found: dict[str, Block] = {}
    x, y = batches(row)[0]
    for policy in ("warn", "raise", "restore"):
        model = compiled(bp, row)
        trainer = model.trainer
        trainer.on_nonfinite = read_policy(policy)
        trainer.prepare(as_data(trainer.reader, x, y, who="train"), "train", training=True)
        step = trainer._stepper("train_step") if policy == "restore" else trainer.train_step
        found[policy] = steps_of(step, x, y)
        if policy != "restore":
            found[f"fit, {policy}"] = epochs_of(model, x, y)
    return found


def steps_of(step: Callable, x: np.ndarray, y: np.ndarray) -> Block:
    def block(n: int) -> None:
        for _ in range(n):
            step(x, y, None)

    return block


def epochs_of(model: bp.Model, x: np.ndarray, y: np.ndarray) -> Block:
    def block(n: int) -> None:
        model.fit([(x, y)] * n, verbose=0)

    return block


def least(found: dict[str, Block], rounds: int, seconds: float) -> dict[str, float]:
    """µs of CPU time a step, the ways taking turns."""
    steps = {}
    for name, block in found.items():
        block(3)
        begun = time.perf_counter()
        block(3)
        steps[name] = max(3, round(3 * seconds / (time.perf_counter() - begun)))
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, block in found.items():
            begun = time.process_time()
            block(steps[name])
            times[name].append((time.process_time() - begun) / steps[name] * 1e6)
    return {name: min(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=SMALL)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each way")
    parser.add_argument("--seconds", type=float, default=0.02, help="of one turn")
    parser.add_argument("--quick", action="store_true", help="the smallest row, a few turns")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.seconds = ["mlp-tiny"], 3, 0.002
    heads = ("warn", "raise", "restore", "fit, warn", "fit, raise")
    print(f"{'':12} {'numbers':>9} " + " ".join(f"{head:>16}" for head in heads) + "   µs a step")
    for name in options.rows:
        row = ROWS[name]
        times = least(ways(row), options.rounds, options.seconds)
        cells = []
        for head in heads:
            plain = times["fit, warn" if head.startswith("fit") else "warn"]
            more = "" if head.endswith("warn") else f"{times[head] / plain - 1:+.1%}"
            cells.append(f"{times[head]:9.1f} {more:>6}")
        size = compiled(bp, row).parameters.size
        print(f"{name:12} {size:9,} " + " ".join(cells), flush=True)


if __name__ == "__main__":
    main()
