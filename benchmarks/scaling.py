"""What a training step takes on several ranks: measured on few, foretold for many.

    python benchmarks/scaling.py [--ranks 2 4] [--rows mlp-digits ...] [--netem] [--plot FILE]
                                 [--rounds 5] [--seconds 0.1] [--json FILE]
    python benchmarks/scaling.py --show FILE [--plot FILE]      # what a file says

It measures collective calls against their size and fits the latency-bandwidth model of
`shared/network.py`: α seconds a message, β a byte. It measures what a step inside `fit` takes where
each rank has its share of a batch for itself, all at once, and which calls a step of all together
makes. From these it says what such a step takes, and measures that too, with the gradient summed
and with `shard_optimizer`.

`--netem` does so between network namespaces as well, as root: links of 1 Gbit/s with 1 ms and of
100 Mbit/s with 5 ms for each packet, made by ``tc netem``, or by a relay where the kernel has none.
Each rank has a namespace of its own there, and all share this machine's cores.

In the end stands what nobody has measured: efficiencies on 8 to 4,096 ranks of networks that are
stated by α and β alone, with what one rank alone computes here at its quickest, and the largest
network like each row for which weak scaling stays above 80 %.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared import jobs, links  # noqa: E402 - the environment comes first
from shared.machine import describe  # noqa: E402
from shared.network import GOOD, Network, Work, fitted, largest, line  # noqa: E402
from shared.rows import ROWS, trained, weights  # noqa: E402

SIZES = (8, 64, 2048, 16_384, 131_072, 1_048_576)
STATED = (
    Network("Ethernet of 1 Gbit/s", 50e-6, 8e-9),
    Network("Ethernet of 10 Gbit/s", 20e-6, 0.8e-9),
    Network("Ethernet of 100 Gbit/s", 10e-6, 0.08e-9),
    Network("InfiniBand of 200 Gbit/s", 2e-6, 0.04e-9),
)
FORETOLD = (8, 64, 512, 4096)
FORMS = {"whole": "summed", "sharded": "sharded"}  # of the optimizer
TRUE = 0.25  # of the measured time, which a prediction may be off
HERE = "this machine"


# ---------------------------------------------------------------------------------- measured


def study(options: argparse.Namespace) -> dict[str, Any]:
    """All that is measured, as it goes into a file."""
    request = {
        "rows": options.rows,
        "sizes": options.sizes,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "sharded": True,
        "line": True,
    }
    found: dict[str, Any] = {"machine": describe(), "alone": jobs.measured(1, request)["rows"]}
    places: list[links.Link | None] = [None, *(links.LINKS if options.netem else ())]
    found["places"] = []
    for link in places:
        made = nullcontext() if link is None else links.hosts(max(options.ranks), link)
        with made as hosts:
            place = {
                "name": HERE if link is None else link.name,
                "means": "" if hosts is None else hosts.means,
                "ranks": {str(n): jobs.measured(n, request, hosts) for n in options.ranks},
            }
        found["places"].append(place)
        show_place(place, found["places"][0])
    return found


def counted(place: dict[str, Any]) -> dict[str, Any]:
    """The jobs by which a place is judged: within this machine those that have a core a rank."""
    cores = len(os.sched_getaffinity(0))
    return {n: job for n, job in place["ranks"].items() if place["means"] or int(n) <= cores}


def network_of(place: dict[str, Any]) -> Network:
    points = [
        (tuple(call), int(n), seconds)
        for n, answer in counted(place).items()
        for call, seconds in answer["calls"]
    ]
    return fitted(place["name"], points)


def beside(here: dict[str, Any]) -> float:
    """Seconds of a step that a rank spends on what a process alone has not to do: it weighs losses
    and hears the others. Of the row that computes least, within this machine."""
    for job in counted(here).values():
        steps = min(job["rows"].values(), key=lambda steps: steps["alone"]["seconds"])
        return max(0.0, steps["whole"]["outside"] - steps["alone"]["seconds"])
    return 0.0


def tested(
    place: dict[str, Any], here: dict[str, Any]
) -> list[tuple[str, int, str, float, float, float]]:
    """Row, ranks, form of the optimizer, a step's seconds as foretold and as measured, and of the
    latter those in calls."""
    network, more, found = network_of(place), beside(here), []
    for n, answer in counted(place).items():
        for row, steps in answer["rows"].items():
            for form in FORMS:
                step, foretold = steps[form], steps["alone"]["seconds"] + more
                foretold += sum(network.seconds(tuple(call), int(n)) for call in step["calls"])
                waited = step["seconds"] - step["outside"]
                found.append((row, int(n), form, foretold, step["seconds"], waited))
    return found


def show_place(place: dict[str, Any], here: dict[str, Any]) -> None:
    means = f" ({place['means']})" if place["means"] else ""
    network = network_of(place)
    print(f"\n{network}{means}")
    print(f"{'':14} {'':6} {'bytes':>10} " + "".join(f"{n:>10} ranks" for n in counted(place)))
    table: dict[tuple[str, int], list[str]] = {}
    for n, answer in counted(place).items():
        for (kind, size), seconds in answer["calls"]:
            ratio = network.seconds((kind, size), int(n)) / seconds
            table.setdefault((kind, size), []).append(f"{1e3 * seconds:9.3f} {ratio:5.2f}")
    for (kind, size), cells in table.items():
        print(f"{kind:14} {'':6} {size:10,} " + " ".join(cells))
    print("ms a call, and the fitted model's time over it\n")
    print(
        f"{'a step':14} {'ranks':>6} {'optimizer':>10} {'foretold':>10} {'measured':>10} "
        f"{'ratio':>6} {'in calls':>9}   ms"
    )
    for row, n, form, foretold, seconds, waited in tested(place, here):
        ratio = foretold / seconds
        mark = "" if abs(ratio - 1) <= TRUE else "  OFF"
        print(
            f"{row:14} {n:6} {FORMS[form]:>10} {1e3 * foretold:10.2f} {1e3 * seconds:10.2f} "
            f"{ratio:6.2f} {waited / seconds:9.0%}{mark}",
            flush=True,
        )


# ---------------------------------------------------------------------------------- foretold


def works(found: dict[str, Any]) -> dict[tuple[str, str], Work]:
    """Each row in each form of the optimizer, with what one rank computes here."""
    answer = next(iter(found["places"][0]["ranks"].values()))["rows"]
    made, more = {}, beside(found["places"][0])
    for name, alone in found["alone"].items():
        size = sum(a.size for a in trained(ROWS[name], weights(ROWS[name])))
        fixed, each = line((int(b), step["least"]) for b, step in alone.items())
        for form in FORMS:
            calls = tuple((kind, bytes) for kind, bytes in answer[name][form]["calls"])
            made[name, form] = Work(name, size, fixed + more, each, calls)
    return made


def show_foretold(found: dict[str, Any]) -> None:
    print("\nforetold, not measured: what one rank computes here, and networks as stated")
    for (name, form), work in works(found).items():
        batch = ROWS[name].batch
        print(
            f"\n{name}, {FORMS[form]}: {work.size:,} numbers, a step of one rank "
            f"{1e3 * work.fixed:.3g} + {1e3 * work.each:.3g} b ms for b rows"
        )
        heads = "".join(f"{n:>7,}" for n in FORETOLD)
        print(
            f"{'efficiency on so many ranks':28} {f'strong, {batch * 8:,} rows':>28} "
            f"{f'weak, {batch} rows a rank':>28}  weak above {GOOD:.0%} up to"
        )
        print(f"{'':28} {heads} {heads}")
        for network in STATED:
            strong = "".join(f"{work.strong(network, n, 8 * batch):7.0%}" for n in FORETOLD)
            weak = "".join(f"{work.weak(network, n, batch):7.0%}" for n in FORETOLD)
            sizes = ", ".join(size_of(work, network, n, batch) for n in FORETOLD)
            print(f"{network.name:28} {strong} {weak}  {sizes}")
    print(f"numbers of the largest network like it, for {', '.join(map(str, FORETOLD))} ranks")


def size_of(work: Work, network: Network, ranks: int, batch: int) -> str:
    """The largest network like a row that scales well."""
    size = largest(lambda size: work.of_size(size).weak(network, ranks, batch))
    return "none" if size == 0 else "any" if size == float("inf") else f"{size:.1e}"


# ---------------------------------------------------------------------------------- the picture


def plot(found: dict[str, Any], file: str) -> None:
    """On the left what was foretold over what was measured; beside it what is only foretold."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, *others) = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    span, here = [], found["places"][0]
    for place, color in zip(found["places"], ("C0", "C1", "C2"), strict=False):
        for form, marker in (("whole", "o"), ("sharded", "s")):
            points = [(m, f) for _, _, how, f, m, _ in tested(place, here) if how == form]
            x, y = zip(*points, strict=True)
            label = place["name"] if form == "whole" else None
            face = color if form == "whole" else "none"
            left.scatter([1e3 * v for v in x], [1e3 * v for v in y], 36, marker=marker,
                         facecolors=face, edgecolors=color, label=label, zorder=3)  # fmt: skip
            span += [1e3 * v for v in (*x, *y)]
    ends = [min(span) / 1.5, max(span) * 1.5]
    left.fill_between(ends, [(1 - TRUE) * e for e in ends], [(1 + TRUE) * e for e in ends],
                      color="0.9", zorder=1)  # fmt: skip
    left.plot(ends, ends, color="0.5", linewidth=1, zorder=2)
    left.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    left.set(xlabel="a step as measured, ms", ylabel="as foretold, ms")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    left.set_title(f"Tested ({TRUE:.0%} in grey)\nfilled: summed, open: sharded", size=10)
    left.legend(fontsize="small", loc="upper left")
    ranks = [2**k for k in range(1, 13)]
    made = works(found)
    name = max((name for name, _ in made), key=lambda name: made[name, "whole"].size)
    batch = ROWS[name].batch
    for axes, kind in zip(others, ("weak", "strong"), strict=True):
        rows = batch if kind == "weak" else 8 * batch
        for network, color in zip(STATED, ("C3", "C4", "C5", "C6"), strict=True):
            for form, style in (("whole", "-"), ("sharded", "--")):
                work = made[name, form]
                values = [getattr(work, kind)(network, n, rows) for n in ranks]
                label = network.name if form == "whole" else None
                axes.plot(ranks, values, style, color=color, linewidth=1.6, label=label)
        axes.axhline(GOOD, color="0.6", linewidth=1, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.set_xticks(ranks[::2], [f"{n:,}" for n in ranks[::2]])
        axes.set(ylim=(0, 1.02), xlabel="ranks", ylabel="efficiency")
        axes.grid(color="0.92", linewidth=0.6)
        what = f"{batch} rows a rank" if kind == "weak" else f"{rows:,} rows in all"
        axes.set_title(f"Foretold: {name}, {what}\nsolid: summed, dashed: sharded", size=10)
    others[1].legend(fontsize="small", loc="upper right")
    figure.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4])
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, default=["mlp-digits", "mlp-mnist", "transformer"]
    )
    parser.add_argument("--netem", action="store_true", help="between slowed namespaces too")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each kind")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a block")
    parser.add_argument("--quick", action="store_true", help="two ranks, one row, little of all")
    parser.add_argument("--json", metavar="FILE", help="write what was measured there")
    parser.add_argument("--show", metavar="FILE", help="measure nothing, read this")
    parser.add_argument("--plot", metavar="FILE", help="draw both parts there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which leaves no namespace behind
    options.sizes = list(SIZES)
    if options.quick:
        options.ranks, options.rows, options.sizes = [2], ["mlp-digits"], [8, 2048, 65_536]
        options.rounds, options.seconds = 2, 0.002
    if options.show:
        found = json.loads(Path(options.show).read_text())
        print(", ".join(f"{k} {v}" for k, v in found["machine"].items()))
        for place in found["places"]:
            show_place(place, found["places"][0])
    else:
        print(", ".join(f"{k} {v}" for k, v in describe().items()))
        found = study(options)
    if options.json:
        Path(options.json).write_text(json.dumps(found))
    show_foretold(found)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
