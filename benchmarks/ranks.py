"""Two ranks with a thread each, beside one process with two threads and PyTorch's way to do it.

    python benchmarks/ranks.py [--rows mlp-tiny ...] [--ranks 2] [--turns 3] [--rounds 3]
                               [--seconds 0.1] [--no-torch]

For each row of `train_step.py`, at the same batch of all ranks, a step inside `fit`:

    threads    one process with as many BLAS threads as there are ranks
    ranks      `MPI()`, a thread each; behind it the share of the step that is spent in its
               collective calls, with the waiting for the slower rank
    DDP        DistributedDataParallel on gloo, in PyTorch's eager loop, likewise

Jobs take turns. A ratio is another's time over that of the ranks, above 1 where these are faster;
the median of the turns', with the least and the most.
"""

from __future__ import annotations

import argparse
import importlib.util
from statistics import median
from typing import Any

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared import jobs  # noqa: E402 - the environment comes first
from shared.machine import describe, version  # noqa: E402
from shared.rows import ROWS  # noqa: E402

Times = dict[str, dict[str, float]]  # row → side → seconds


def turn(options: argparse.Namespace, torch: bool) -> Times:
    """One job of each side."""
    request = {
        **{"rows": options.rows, "sizes": [], "sharded": False, "line": False},
        **{"rounds": options.rounds, "seconds": options.seconds, "ranks": options.ranks},
    }
    threads = jobs.measured(1, request, threads=options.ranks)["rows"]
    ranks = jobs.measured(options.ranks, request)["rows"]
    found: Times = {}
    for name in options.rows:
        (alone,), step = threads[name].values(), ranks[name]["whole"]
        calls = step["seconds"] - step["outside"]
        found[name] = {"threads": alone["seconds"], "ranks": step["seconds"], "calls": calls}
    if torch:
        for name, seconds in jobs.of_torch(request).items():
            found[name]["DDP"] = seconds
    return found


def ratio(turns: list[Times], name: str, side: str) -> str:
    if side not in turns[0][name]:
        return f"{'-':>18}"
    found = [times[name][side] / times[name]["ranks"] for times in turns]
    return f"{median(found):5.2f} ({min(found):.2f}-{max(found):.2f})".rjust(18)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3, help="jobs of each side")
    parser.add_argument("--rounds", type=int, default=3, help="blocks of a job")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a block")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the smallest row, once")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.turns, options.rounds, options.seconds = ["mlp-tiny"], 1, 1, 0.002
    torch = not options.no_torch and importlib.util.find_spec("torch") is not None

    machine: dict[str, Any] = describe()
    machine["torch"] = version("torch") if torch else "absent"
    print(", ".join(f"{k} {v}" for k, v in machine.items()))
    turns: list[Times] = []
    for number in range(1, options.turns + 1):
        turns.append(turn(options, torch))
        show(options.rows, turns, f"{number} of {options.turns} turns")


def show(rows: list[str], turns: list[Times], title: str) -> None:
    heads = f"{'threads over it':>18} {'DDP over it':>18}"
    print(f"\n{title:14} {'ranks, ms':>10} {'in calls':>9} {heads}")
    for name in rows:
        seconds = median(times[name]["ranks"] for times in turns)
        share = median(times[name]["calls"] / times[name]["ranks"] for times in turns)
        beside = " ".join(ratio(turns, name, side) for side in ("threads", "DDP"))
        print(f"{name:14} {1e3 * seconds:10.3f} {share:9.0%} {beside}", flush=True)


if __name__ == "__main__":
    main()
