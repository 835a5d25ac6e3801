"""What it costs a step to look whether it is finite.

    python benchmarks/nonfinite.py [--rows mlp-tiny ...] [--rounds 100] [--seconds 0.01]

For each row of `shared/rows.py` it times steps in one process, those of two policies in turns:

    step       `Trainer.train_step`: "warn", the default, looks at the loss alone; "raise" at the
               gradient too, and keeps buffers aside, as "skip" and "stop" do
    fit        a step inside `fit`, of batches that lie in memory, likewise
    restore    what "restore" adds to that: copies of all values every 100 steps, a hundredth each

A number is CPU time in µs a step, the least over the rounds; of "raise" and "restore" it is the
median of the differences from "warn", of rounds in which both come right after each other, first
the one and then the other. Both policies step the same model. Kernels are those of the environment:
BACKPROP_KERNELS=numpy for NumPy alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from operator import sub
from statistics import median

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared.peers.keras_like import batches, compiled  # noqa: E402 - the environment comes first
from shared.rows import ROWS, Row  # noqa: E402

import backprop as bp  # noqa: E402
from backprop.training.data import as_data  # noqa: E402
from backprop.training.policies import read_policy  # noqa: E402

SMALL = ("mlp-tiny", "mlp-digits", "mlp-mnist", "embed-bag")
Block = Callable[[int], None]


def ways(row: Row) -> dict[str, Block]:
    """Each way to take a number of steps, all of one model."""
    x, y = batches(row)[0]
    model = compiled(bp, row)
    trainer = model.trainer
    trainer.prepare(as_data(trainer.reader, x, y, who="train"), "train", training=True)

    def steps(policy: str) -> Block:
        def block(n: int) -> None:
            trainer.on_nonfinite = read_policy(policy)
            for _ in range(n):
                trainer.train_step(x, y)

        return block

    def fit(policy: str) -> Block:
        def block(n: int) -> None:
            trainer.on_nonfinite = read_policy(policy)
            model.fit([(x, y)] * n, verbose=0)

        return block

    def keep(n: int) -> None:
        for _ in range(n):
            trainer._keep()

    found = {f"step, {policy}": steps(policy) for policy in ("warn", "raise")}
    found |= {f"fit, {policy}": fit(policy) for policy in ("warn", "raise")}
    return found | {"restore": keep}


def timed(
    found: dict[str, Block], rounds: int, seconds: float, least_steps: int = 10
) -> dict[str, list[float]]:
    """µs of CPU time a step in each round, the ways taking turns, there and back again."""
    steps = {}
    for name, block in found.items():
        block(3)
        begun = time.perf_counter()
        block(3)
        steps[name] = max(least_steps, round(3 * seconds / (time.perf_counter() - begun)))
    times: dict[str, list[float]] = {name: [] for name in found}
    for i in range(rounds):
        for name, block in list(found.items())[:: -1 if i % 2 else 1]:
            begun = time.process_time()
            block(steps[name])
            times[name].append((time.process_time() - begun) / steps[name] * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=SMALL)
    parser.add_argument("--rounds", type=int, default=100, help="turns of each way")
    parser.add_argument("--seconds", type=float, default=0.01, help="of one turn")
    parser.add_argument("--quick", action="store_true", help="the smallest row, a few turns")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.seconds = ["mlp-tiny"], 3, 0.002
    heads = ("step, warn", "step, raise", "fit, warn", "fit, raise", "restore")
    print(f"{'':12} {'numbers':>9} " + " ".join(f"{head:>16}" for head in heads) + "   µs a step")
    for name in options.rows:
        row = ROWS[name]
        times = timed(ways(row), options.rounds, options.seconds)
        plain = {what: min(times[f"{what}, warn"]) for what in ("step", "fit")}
        more = {
            f"{what}, raise": median(map(sub, times[f"{what}, raise"], times[f"{what}, warn"]))
            for what in plain
        }
        more["restore"] = median(times["restore"]) / read_policy("restore").every
        cells = []
        for head in heads:
            what = "fit" if head == "restore" else head.partition(",")[0]
            if head in more:
                cells.append(f"{more[head]:+9.2f} {more[head] / plain[what]:+6.1%}")
            else:
                cells.append(f"{plain[what]:16.1f}")
        size = compiled(bp, row).parameters.size
        print(f"{name:12} {size:9,} " + " ".join(cells), flush=True)


if __name__ == "__main__":
    main()
