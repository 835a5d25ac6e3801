"""What it costs training to be looked into by `GradientFlow` and `ActivationStatistics`.

    python benchmarks/looks.py [--rows mlp-tiny ...] [--rounds 15] [--seconds 0.2]

For each row of `shared/rows.py` and each callback, steps inside `fit` of batches in memory, in one
process, three ways in turns:

    alone    without the callback
    hooks    with it, and no step is looked at
    looks    with it, and every step is looked at

`hooks` is what a step costs more that is not looked at, `look` what one costs that is, as shares of
a step; `in all` is what training costs more at the default interval, in the long run: hooks + look
/ 200. Times are CPU times, the least of the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared.peers.keras_like import batches, compiled  # noqa: E402 - the environment comes first
from shared.rows import ROWS  # noqa: E402

import backprop as bp  # noqa: E402
from backprop.callbacks import ActivationStatistics, GradientFlow  # noqa: E402
from backprop.callbacks.looks import EVERY  # noqa: E402

SMALL = ("mlp-tiny", "mlp-digits", "mlp-mnist", "cnn-mnist", "lstm", "transformer", "embed-bag")
BOTH = (GradientFlow, ActivationStatistics)


def never(cls: type) -> Any:
    """The callback, with all that it does at a step that is not looked at."""

    class Idle(cls):
        def forget(self) -> None:
            super().forget()
            self._next = 10**9

    return Idle()


def ways(row: Any, cls: type) -> dict[str, Callable[[int], float]]:
    """Each way to take a number of steps, all of one model; CPU seconds a step."""
    batch = batches(row)[0]
    model = compiled(bp, row)

    def way(callbacks: Callable[[], list]) -> Callable[[int], float]:
        def block(n: int) -> float:
            told = callbacks()
            begun = time.process_time()
            model.fit([batch] * n, verbose=0, callbacks=told)
            return (time.process_time() - begun) / n

        return block

    return {
        "alone": way(lambda: []),
        "hooks": way(lambda: [never(cls)]),
        "looks": way(lambda: [cls(every=1)]),
    }


def timed(found: dict[str, Callable[[int], float]], rounds: int, seconds: float) -> dict:
    """Seconds of CPU time a step in each round, the ways taking turns, there and back again."""
    steps = max(5, round(seconds / min(found["alone"](3) for _ in range(2))))
    times: dict[str, list[float]] = {name: [] for name in found}
    for i in range(rounds):
        for name, block in list(found.items())[:: -1 if i % 2 else 1]:
            times[name].append(block(steps))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=SMALL)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one turn")
    parser.add_argument("--quick", action="store_true", help="the smallest row, a few turns")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.seconds = ["mlp-tiny"], 3, 0.01
    heads = ("step", "hooks", "look", "in all")
    print(f"{'':12} {'':20} " + " ".join(f"{head:>9}" for head in heads))
    for name in options.rows:
        for cls in BOTH:
            times = timed(ways(ROWS[name], cls), options.rounds, options.seconds)
            step, hooks, look = (min(times[kind]) for kind in ("alone", "hooks", "looks"))
            hooks, look = hooks / step - 1, look / step - 1
            share = hooks + look / EVERY
            print(
                f"{name:12} {cls.__name__:20} {step * 1e6:7.0f}µs {hooks:9.2%} {look:9.1%} "
                f"{share:9.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
