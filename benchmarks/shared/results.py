"""What a run found of a row, side by side, and what several runs found of all rows.

A side is (library, its way), for instance ("jax", "jit"). A ratio is another side's time over ours:
above 1 we are faster.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.agreement import allowed, compare
from shared.peers import BY_HAND, OURS, PEERS, PLAIN
from shared.rows import Row
from shared.worker import Block, Failure, Process, interleave

Side = tuple[str, str]
Claims = dict[
    str, tuple[Side | None, str]
]  # a ratio's name, whom it is taken to, which way of ours
Found = dict[str, Any]  # of one run and one row, as JSON has it

ALONE = "NumPy alone"  # the ratio of our own path without compiled kernels


@dataclass
class Result:
    """What one run found of one row."""

    row: Row
    blocks: dict[Side, list[Block]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # what did other work, and is not timed
    agreement: dict[Side, tuple[float, float]] = field(default_factory=dict)

    def times(self, side: Side) -> list[float]:
        return [block.each for block in self.blocks[side]]

    def median(self, side: Side) -> float:
        return statistics.median(self.times(side))

    def least(self, side: Side) -> float:
        return min(self.times(side))

    def fastest(self, sides: Iterable[Side]) -> Side | None:
        return min(sides, key=self.median, default=None)

    def ratio(self, other: Side | None, ours: str) -> tuple[float, float, float] | None:
        """Quartiles of the other's time over ours, round by round: what slows a whole round down
        falls out. The median comes first."""
        if other is None or (OURS, ours) not in self.blocks:
            return None
        pairs = zip(self.times(other), self.times((OURS, ours)), strict=True)
        low, middle, high = quartiles([a / b for a, b in pairs])
        return middle, low, high

    def of(self, *libraries: str) -> list[Side]:
        return [side for side in self.blocks if side[0] in libraries]

    def loops(self) -> list[Side]:
        """What users of other libraries write themselves."""
        mine = OURS, PLAIN, BY_HAND
        return [s for s in self.blocks if s[0] not in mine and not s[0].startswith("keras")]

    def of_keras(self, *ways: str) -> list[Side]:
        return [s for s in self.blocks if s[0].startswith("keras") and s[1] in ways]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


# ------------------------------------------------------------------------------------- measuring


def verify(
    work: str, row: Row, processes: dict[str, Process], result: Result, steps: int
) -> dict[Side, tuple[Process, str]]:
    """Let each peer show what it does first, and keep those that do what ours does."""
    sides, ours = {}, None
    for name, process in processes.items():
        try:
            variants = process.ask("open", work, row)
        except Failure as failure:
            result.absent[name] = str(failure)
            continue
        for variant in variants:
            try:
                found = process.ask("first", variant, steps)
            except Failure as failure:
                result.absent[f"{name}, {variant}"] = str(failure)
                continue
            ours = ours or found
            numbers, arrays = result.agreement[name, variant] = compare(found, ours)
            most = allowed(row, PEERS[name])
            if numbers < most[0] and arrays < most[1]:
                sides[name, variant] = process, variant
            else:
                result.refused[f"{name}, {variant}"] = (
                    f"losses {found[0]} where ours are {ours[0]}: apart by {numbers:.1e} (allowed "
                    f"{most[0]:.0e}), arrays by {arrays:.1e} (allowed {most[1]:.0e})"
                )
    return sides


def measure(
    work: str,
    row: Row,
    processes: dict[str, Process],
    steps: int,
    seconds: float,
    rounds: int,
    least: int,
) -> Result:
    """Verify, then time blocks of the sides in turns."""
    result = Result(row)
    sides = verify(work, row, processes, result, steps)
    result.blocks = interleave(sides, seconds, rounds, least)
    return result


def idle_share(result: Result) -> float:
    """The busiest peer's CPU seconds while others ran, as a share of those others' seconds."""
    everyone = sum(block.seconds for found in result.blocks.values() for block in found)
    shares = []
    for name in {name for name, _ in result.blocks}:
        own = [block for (n, _), found in result.blocks.items() if n == name for block in found]
        others = everyone - sum(block.seconds for block in own)
        shares.append(sum(block.idle for block in own) / others if others else 0.0)
    return max(shares)


# --------------------------------------------------------------------------------------- showing


def show(result: Result, what: str, compared: tuple[str, str]) -> None:
    """The row's table: every way of every peer, in microseconds, the fastest first."""
    print(f"\n{result.row.name}: {result.row}", flush=True)
    ours = next((v for n, v in result.blocks if n == OURS), None)
    print(f"    {what:48} {'median':>10}   {'quartiles':>19}   {'least':>9}   x ours")
    for side in sorted(result.blocks, key=result.median):
        low, middle, high = (1e6 * q for q in quartiles(result.times(side)))
        ratio = result.ratio(side, ours) if ours else None
        print(
            f"    {', '.join(side):48} {middle:10,.1f}   {low:8,.1f} - {high:8,.1f}   "
            f"{1e6 * result.least(side):9,.1f}" + (f"   {ratio[0]:6.2f}" if ratio else "")
        )
    for name, why in result.absent.items():
        print(f"    {name:48} absent: {why}")
    for name, why in result.refused.items():
        print(f"    {name:48} REFUSED, it does other work: {why}")
    if not result.blocks:
        return
    most = (max(part) for part in zip(*result.agreement.values(), strict=True))
    far = ", ".join(f"{name} {n:.1e}" for name, n in zip(compared, most, strict=True) if name)
    print(
        f"    largest differences: {far}; a peer at rest used {100 * idle_share(result):.1f} % of "
        "a core at most",
        flush=True,
    )


def as_json(result: Result, claims: Claims) -> Found:
    ratios = {}
    for claim, (other, ours) in claims.items():
        ratio = result.ratio(other, ours)
        if ratio and other:
            ratios[claim] = dict(zip(("median", "low", "high"), ratio, strict=True))
            ratios[claim]["least"] = result.least(other) / result.least((OURS, ours))
            ratios[claim] |= {"peer": other[0], "variant": other[1], "ours": ours}
    return {
        "row": str(result.row),
        "microseconds": {
            ": ".join(side): {
                "median": 1e6 * result.median(side),
                "blocks": [round(1e6 * t, 3) for t in result.times(side)],
            }
            for side in result.blocks
        },
        "ratios": ratios,
        "absent": result.absent,
        "refused": result.refused,
    }


class Record:
    """What all runs found, row by row; `rows` has the median of the runs.

    Parameters
    ----------
    main : str
        The ratio that the geometric mean is taken of.
    about : dict
        The machine, and what each library computes with.
    """

    def __init__(self, main: str, about: dict[str, str]):
        self.main = main
        self.about = about
        self.runs: dict[str, list[Found]] = {}

    def add(self, name: str, found: Found) -> None:
        self.runs.setdefault(name, []).append(found)

    def rows(self) -> dict[str, Found]:
        return {name: middle(runs) for name, runs in self.runs.items()}

    def write(self, file: str) -> None:
        with open(file, "w") as stream:
            found = {"machine": self.about, "rows": self.rows(), "runs": self.runs}
            json.dump(found, stream, indent=1)

    @classmethod
    def read(cls, main: str, files: list[str]) -> Record:
        """The runs of several files together: rows that were measured one by one, or again."""
        record = cls(main, {})
        for file in files:
            with open(file) as stream:
                found = json.load(stream)
            record.about = record.about or found["machine"]
            for name, runs in found["runs"].items():
                for run in runs:
                    record.add(name, run)
        return record

    def summary(self, what: str) -> None:
        """One line for each row, the mean of all, and the further ratios."""
        rows = self.rows()
        count = max(len(runs) for runs in self.runs.values())
        of = f"medians of {count} runs, the lowest and highest" if count > 1 else "quartiles"
        print(f"\nratios: the other's time over ours ({of})")
        print(f"    {'':20}{what:>12}{'NumPy alone':>13}{'x ours':>8}{'':5}fastest other")
        for name, row in rows.items():
            main, plain = row["ratios"].get(self.main), row["ratios"].get(ALONE)
            line = f"    {name:20}{row['ours']:12,.1f}" if "ours" in row else f"    {name:32}"
            if plain:
                line += f"{plain['microseconds']:13,.1f}{plain['median']:8.2f}"
            else:
                line += f"{'':21}"
            mark = " BELOW" if main and main["median"] < 1 else ""
            print(f"{line}{'':5}{described(main) + mark if main else 'nobody else'}")
        found = {
            n: r["ratios"][self.main]["median"] for n, r in rows.items() if self.main in r["ratios"]
        }
        if found:
            mean = math.exp(statistics.fmean(map(math.log, found.values())))
            below = [name for name, ratio in found.items() if ratio < 1]
            print(
                f"    geometric mean of {len(found)} rows: {mean:.2f}; below 1: "
                f"{', '.join(below) or 'none'}"
            )
        for name, row in rows.items():
            others = {c: r for c, r in row["ratios"].items() if c not in (self.main, ALONE)}
            if others:
                print(
                    f"    {name:20}" + ";  ".join(f"{c} {described(r)}" for c, r in others.items())
                )


def described(ratio: Found) -> str:
    return (
        f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f}, least "
        f"{ratio['least']:.2f}) to {ratio['peer']}, {ratio['variant']}"
    )


def middle(runs: list[Found]) -> Found:
    """The median of several runs: of each ratio, and of our time."""
    found: Found = {"row": runs[-1]["row"], "ratios": {}}
    for claim in runs[-1]["ratios"]:
        each = [run["ratios"][claim] for run in runs if claim in run["ratios"]]
        each.sort(key=lambda ratio: ratio["median"])
        one = found["ratios"][claim] = dict(each[(len(each) - 1) // 2])
        if len(each) > 1:
            one["median"] = statistics.median(ratio["median"] for ratio in each)
            one["low"], one["high"] = each[0]["median"], each[-1]["median"]
            one["least"] = statistics.median(ratio["least"] for ratio in each)
        one["microseconds"] = time_of(runs, f"{one['peer']}: {one['variant']}")
        found.setdefault("ours", time_of(runs, f"{OURS}: {one['ours']}"))
    for what in ("absent", "refused"):
        found[what] = {name: why for run in runs for name, why in run[what].items()}
    return found


def time_of(runs: list[Found], side: str) -> float:
    times = [run["microseconds"].get(side) for run in runs]
    return statistics.median(found["median"] for found in times if found)
