"""What it costs training to be looked into by `GradientFlow` and `ActivationStatistics`.

    python benchmarks/looks.py [--rows mlp-tiny ...] [--rounds 15] [--seconds 0.2]

For each row of `shared/rows.py` and each callback, as shares of a step inside `fit` of batches in
memory, all in one process:

    hook     what a step costs more that is not looked at: the call behind it, timed by itself, as
             it is less than a step scatters by
    look     what a step costs more that is looked at: steps that all are beside steps without the
             callback, in turns
    in all   what training costs more at the default interval, in the long run: hook + look / 200

Times are CPU times, the least of the rounds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared.peers.keras_like import batches, compiled  # noqa: E402 - the environment comes first
from shared.rows import ROWS  # noqa: E402

import backprop as bp  # noqa: E402
from backprop.callbacks import ActivationStatistics, CallbackList, GradientFlow  # noqa: E402
from backprop.callbacks.looks import EVERY  # noqa: E402

SMALL = ("mlp-tiny", "mlp-digits", "mlp-mnist", "cnn-mnist", "lstm", "transformer", "embed-bag")
CALLS = 20_000


def hook(cls: type, model: Any, rounds: int) -> float:
    """CPU seconds of the call behind a step that is not looked at, less those of an empty list."""

    def told(callbacks: list) -> float:
        run = CallbackList(callbacks, model=model)
        run.on_train_begin()
        for callback in callbacks:
            callback._next = 10**12
        begun = time.process_time()
        for _ in range(CALLS):
            run.on_train_batch_end(0, dict)
        return (time.process_time() - begun) / CALLS

    return min(told([cls()]) for _ in range(rounds)) - min(told([]) for _ in range(rounds))


def ways(model: Any, batch: Any, cls: type) -> dict[str, Callable[[int], float]]:
    """Each way to take a number of steps; CPU seconds a step."""

    def way(callbacks: Callable[[], list]) -> Callable[[int], float]:
        def block(n: int) -> float:
            told = callbacks()
            begun = time.process_time()
            model.fit([batch] * n, verbose=0, callbacks=told)
            return (time.process_time() - begun) / n

        return block

    return {"alone": way(lambda: []), "looks": way(lambda: [cls(every=1)])}


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
    heads = ("step", "hook", "look", "in all")
    print(f"{'':12} {'':20} " + " ".join(f"{head:>9}" for head in heads))
    warnings.simplefilter("ignore")  # untrained networks on noise may be worth a sentence
    for name in options.rows:
        batch, model = batches(ROWS[name])[0], compiled(bp, ROWS[name])
        for cls in (GradientFlow, ActivationStatistics):
            times = timed(ways(model, batch, cls), options.rounds, options.seconds)
            step, looks = (min(times[kind]) for kind in ("alone", "looks"))
            told, look = hook(cls, model, options.rounds) / step, looks / step - 1
            print(
                f"{name:12} {cls.__name__:20} {step * 1e6:7.0f}µs {told:9.2%} {look:9.1%} "
                f"{told + look / EVERY:9.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
