"""One step of training, in microseconds, beside the libraries that train on a CPU.

    python benchmarks/train_step.py [--rows mlp-digits ...] [--peers backprop jax ...] [--quick]
                                    [--json FILE] [--plot FILE]

A step is forward pass, loss, backward pass and update, in float32, of a batch that lies in memory.
The rows are in `shared/rows.py`, what layers they have in `shared/layers.py`, how each library
trains them in `shared/peers/`. Each library has a process of its own with the same number of
threads on the same cores; short blocks of steps take turns, and each number is a median over the
blocks. Before anything is timed, every library must show the losses of the first steps and the
gradients of the first that ours shows.

    step    ours is `Trainer.train_step`, which `fit` calls for each batch; the ratio is to the
            fastest loop that a user of another library would write
    batch   `train_on_batch`, beside Keras'
    fit     a step inside `fit`, shuffled and with all that an epoch does, beside Keras'

`by-hand` is a perceptron's arithmetic as NumPy calls with nothing in between: what the library
adds to it shows, and it counts as no peer. Every ratio is the other's time over ours: above 1 we
are faster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from shared.machine import describe, limit_threads, unset_blas_limits

unset_blas_limits()

from shared import rows  # noqa: E402 - the environment comes first
from shared.agreement import allowed, compare  # noqa: E402
from shared.peers import PEERS  # noqa: E402
from shared.worker import Block, Failure, Process, interleave  # noqa: E402

OURS, BY_HAND = "backprop", "by-hand"
VERIFIED = 5  # steps whose losses are compared
COLORS = [f"C{i}" for i in range(10)]


@dataclass
class Result:
    """What one run found of one row."""

    row: rows.Row
    blocks: dict[tuple[str, str], list[Block]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # what did other work, and is not timed
    agreement: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def times(self, key: tuple[str, str]) -> list[float]:
        return [block.each for block in self.blocks[key]]

    def median(self, key: tuple[str, str]) -> float:
        return statistics.median(self.times(key))

    def least(self, key: tuple[str, str]) -> float:
        return min(self.times(key))

    def fastest(self, keys: list[tuple[str, str]]) -> tuple[str, str] | None:
        return min(keys, key=self.median, default=None)

    def ratio(self, other: tuple[str, str] | None, ours: str) -> tuple[float, float, float] | None:
        """Quartiles of the other's time over ours, round by round: what slows a whole round down
        falls out. The median comes first."""
        if other is None or (OURS, ours) not in self.blocks:
            return None
        pairs = zip(self.times(other), self.times((OURS, ours)), strict=True)
        low, middle, high = quartiles([a / b for a, b in pairs])
        return middle, low, high

    def loops(self, *names: str) -> list[tuple[str, str]]:
        """What users of other libraries write as a loop of their own."""
        return [
            key
            for key in self.blocks
            if key[0] not in (OURS, BY_HAND)
            and not key[0].startswith("keras")
            and (not names or key[0] in names)
        ]

    def of_keras(self, variant: str) -> list[tuple[str, str]]:
        return [key for key in self.blocks if key[0].startswith("keras") and key[1] == variant]

    def claims(self) -> dict[str, tuple[tuple[str, str] | None, str]]:
        """Each ratio's name, whom it is taken to, and which way of ours."""
        return {
            "step": (self.fastest([*self.loops(), *self.of_keras("train_on_batch")]), "train_step"),
            "by hand": (self.fastest([k for k in self.blocks if k[0] == BY_HAND]), "train_step"),
            "torch": (self.fastest(self.loops("torch")), "train_step"),
            "batch": (self.fastest(self.of_keras("train_on_batch")), "train_on_batch"),
            "fit": (self.fastest(self.of_keras("fit")), "fit"),
        }


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def verify(row: rows.Row, processes: dict[str, Process], result: Result) -> dict:
    """Let each peer do its first steps, and keep those whose losses and gradients are ours."""
    sides, ours = {}, None
    for name, process in processes.items():
        try:
            variants = process.ask("open", row)
        except Failure as failure:
            result.absent[name] = str(failure)
            continue
        for variant in variants:
            try:
                found = process.ask("first", variant, VERIFIED)
            except Failure as failure:
                result.absent[f"{name}, {variant}"] = str(failure)
                continue
            ours = ours or found
            loss, gradient = result.agreement[name, variant] = compare(found, ours)
            most = allowed(row, PEERS[name])
            if loss < most[0] and gradient < most[1]:
                sides[name, variant] = process, variant
            else:
                result.refused[f"{name}, {variant}"] = (
                    f"losses {found[0]} where ours are {ours[0]}: apart by {loss:.1e} (allowed "
                    f"{most[0]:.0e}), gradients by {gradient:.1e} (allowed {most[1]:.0e})"
                )
    return sides


def measure(
    row: rows.Row, processes: dict[str, Process], seconds: float, rounds: int, least: int
) -> Result:
    result = Result(row)
    sides = verify(row, processes, result)
    result.blocks = interleave(sides, seconds, rounds, least)
    return result


def show(result: Result) -> None:
    """The row's table: every way of every peer, in microseconds, the fastest first."""
    print(f"\n{result.row.name}: {result.row}", flush=True)
    ours = next((v for n, v in result.blocks if n == OURS), None)
    print(f"    {'µs a step':48} {'median':>10}   {'quartiles':>19}   {'least':>9}   x ours")
    for key in sorted(result.blocks, key=result.median):
        low, middle, high = (1e6 * q for q in quartiles(result.times(key)))
        name = ", ".join(key)
        ratio = result.ratio(key, ours) if ours else None
        print(
            f"    {name:48} {middle:10,.1f}   {low:8,.1f} - {high:8,.1f}   "
            f"{1e6 * result.least(key):9,.1f}" + (f"   {ratio[0]:6.2f}" if ratio else "")
        )
    for name, why in result.absent.items():
        print(f"    {name:48} absent: {why}")
    for name, why in result.refused.items():
        print(f"    {name:48} REFUSED, it does other work: {why}")
    if not result.blocks:
        return
    loss, gradient = (max(part) for part in zip(*result.agreement.values(), strict=True))
    print(
        f"    largest differences: losses of {VERIFIED} steps {loss:.1e}, gradients {gradient:.1e}"
        f"; a peer at rest used {100 * idle_share(result):.1f} % of a core at most",
        flush=True,
    )


def idle_share(result: Result) -> float:
    """The busiest peer's CPU seconds while others ran, as a share of those others' seconds."""
    everyone = sum(block.seconds for found in result.blocks.values() for block in found)
    shares = []
    for name in {name for name, _ in result.blocks}:
        own = [block for (n, _), found in result.blocks.items() if n == name for block in found]
        others = everyone - sum(block.seconds for block in own)
        shares.append(sum(block.idle for block in own) / others if others else 0.0)
    return max(shares)


def summary(results: list[Result]) -> None:
    """One line for each row: the ratios that the claims are about."""
    print("\nratios: the other's time over ours (quartiles, and of the least blocks)")
    for result in results:
        parts = []
        for claim, (other, ours) in result.claims().items():
            ratio = result.ratio(other, ours)
            if ratio and other:
                middle, low, high = ratio
                least = result.least(other) / result.least((OURS, ours))
                parts.append(
                    f"{claim} {middle:.2f} ({low:.2f}-{high:.2f}, least {least:.2f}) to {other[0]}"
                )
        print(f"    {result.row.name:14}" + (";  ".join(parts) or "nobody else"))
        if (OURS, "train_step, logits") in result.blocks:
            ratio = result.ratio((OURS, "train_step, logits"), "train_step")
            assert ratio
            print(f"    {'':14}ours from logits takes {ratio[0]:.2f} of the time with softmax")


def as_json(results: list[Result], about: dict[str, str]) -> dict[str, Any]:
    found = {}
    for result in results:
        ratios = {}
        for claim, (other, ours) in result.claims().items():
            ratio = result.ratio(other, ours)
            if ratio and other:
                ratios[claim] = dict(zip(("median", "low", "high"), ratio, strict=True))
                ratios[claim]["least"] = result.least(other) / result.least((OURS, ours))
                ratios[claim] |= {"peer": other[0], "variant": other[1], "ours": ours}
        found[result.row.name] = {
            "row": str(result.row),
            "microseconds": {
                ": ".join(key): {
                    "median": 1e6 * result.median(key),
                    "blocks": [round(1e6 * t, 3) for t in result.times(key)],
                }
                for key in result.blocks
            },
            "ratios": ratios,
            "absent": result.absent,
            "refused": result.refused,
        }
    return {"machine": about, "rows": found}


def plot(results: list[Result], file: str, about: dict[str, str]) -> None:
    """A line for each row, and on it a mark for each peer: its fastest way's time over ours."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [n for n in PEERS if n != OURS and any(n == k[0] for r in results for k in r.blocks)]
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.34 * len(results)), layout="constrained")
    axes.axvline(1, color="black", linewidth=1)
    for name, mark, color in zip(names, "osD^v<>PX*", COLORS, strict=False):
        found = []
        for i, result in enumerate(results):
            best = result.fastest([k for k in result.blocks if k[0] == name and k[1] != "fit"])
            ratio = result.ratio(best, "train_step")
            if ratio:
                found.append((ratio[0], i))
        if found:  # a peer that has no way but `fit` has no mark
            x, y = zip(*found, strict=True)
            axes.scatter(x, y, 40, color=color, marker=mark, alpha=0.85, label=name, zorder=2)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(results)), [r.row.name for r in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.grid(color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        "time of a step over ours (right of the line we are faster)\n"
        f"{about['processor']}, {about['threads']} threads"
    )
    figure.legend(loc="outside upper center", fontsize="small", ncols=5)
    figure.savefig(file, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", default=list(rows.ROWS), choices=rows.ROWS)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--rounds", type=int, default=25, help="blocks of each side")
    parser.add_argument("--seconds", type=float, default=0.04, help="of one block")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="short blocks of small batches: does it run?"
    )
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios there")
    options = parser.parse_args()
    chosen, least = [rows.ROWS[name] for name in options.rows], 5
    if options.quick:
        chosen, least = [row.small() for row in chosen], 1
        options.rounds, options.seconds = 2, 0.002

    limit_threads(options.threads)
    peers = dict.fromkeys([OURS, *options.peers])  # ours is what the others are compared with
    distributions = dict.fromkeys(d for name in peers for d in PEERS[name].distributions)
    started = time.time()
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in peers:
            processes[name] = Process(name, options.threads)
            stack.callback(processes[name].close)
        about = describe(distributions) | {"threads": str(options.threads)}
        about["blas"] = processes[OURS].ask("blas")
        print(", ".join(f"{name} {value}" for name, value in about.items()))
        print(f"medians of {options.rounds} blocks of about {options.seconds} s, interleaved")
        results = []
        for row in chosen:
            results.append(measure(row, processes, options.seconds, options.rounds, least))
            show(results[-1])
            if options.json:  # after each row: a run that is cut short leaves what it found
                with open(options.json, "w") as file:
                    json.dump(as_json(results, about), file, indent=1)
    summary(results)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{time.time() - started:.0f} s in all{load} (of which this run is about 1)")
    if options.plot:
        plot(results, options.plot, about)
    if any(result.refused for result in results):
        raise SystemExit("not every peer does the same work: see REFUSED above")


if __name__ == "__main__":
    main()
