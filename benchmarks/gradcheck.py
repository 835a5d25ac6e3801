"""What the gradient checkers of other libraries find in our planted bugs, and what ours does.

    python benchmarks/gradcheck.py [--quick] [--drawn 1000] [--json FILE] [--plot FILE]
    OPENBLAS_NUM_THREADS=1 python benchmarks/gradcheck.py --costs

    ours          backprop.gradcheck.gradcheck
    torch slow    torch.autograd.gradcheck: the whole Jacobian, through a torch.autograd.Function
    torch fast    the same with fast_mode=True
    jax           jax.test_util.check_grads(modes=["rev"]), through custom_vjp and pure_callback
    autograd      autograd.test_util.check_grads(modes=["rev"]), through a primitive

All get the same function in float64 at the same point, in training mode, from the same buffers and
states of the generators in every run: (parameters, input) → outputs. All options are the defaults.
A peer that is not installed is left out. Four measurements:

    bugs      the mistakes of `backprop.testing.bugs`, each at its fixed input
    correct   the same layers without them, and what is right but written in another way
    drawn     correct layers and losses that Hypothesis draws (tests/gradcheck/correct_layers.py)
    growth    a Dense of 10 to 10 million parameters

An exception says no: of a bug it is a find, of a correct layer a false alarm.

--costs prints processor time alone, in turns, so that a busy machine may be measured on: that of
PyTorch's fast mode over ours for a Dense, and what ours takes for a residual model.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)  # they hold a current OpenBLAS to an older kernel
ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # the checkout; and no module is to be mistaken for this file
sys.path.append(str(ROOT / "tests" / "gradcheck"))

import numpy as np  # noqa: E402 - the environment comes first

from backprop import random  # noqa: E402
from backprop.gradcheck import gradcheck  # noqa: E402
from backprop.gradcheck.point import prepared  # noqa: E402
from backprop.layer import Context  # noqa: E402
from backprop.layers import Dense  # noqa: E402
from backprop.testing.bugs import BANK, KINDS  # noqa: E402

Array = np.ndarray
SHAPES = {  # parameters: (inputs, units) of a Dense, (inputs + 1) · units
    10: (4, 2),
    100: (24, 4),
    1_000: (99, 10),
    10_000: (99, 100),
    100_000: (999, 100),
    1_000_000: (999, 1000),
    10_000_000: (9999, 1000),
}
ROWS = 2
TURNS = 3  # of each Dense, whose best time counts


class Function:
    """A layer or loss as (parameters, x) → y, a vector, with a backward pass, for the peers.

    It does what `backprop.gradcheck.probe` does, but hands on the peer's own arrays: a layer that
    writes into them does so under the peer's eyes.
    """

    def __init__(self, subject: Any, x: Any):
        # the point and the draws of gradcheck(subject, x), so that all look at the same numbers
        sequence = np.random.SeedSequence(0, spawn_key=(1,))
        with random.own_seeds(sequence.spawn(1)[0]):
            self.probe, self.point = prepared(subject, x, None, np.random.default_rng(sequence))
        self.forwards = self.backwards = 0

    def forward(self, args: list[Array]) -> tuple[Array, Any]:
        probe = self.probe
        self.forwards += 1
        for p, value in probe.buffers:
            p.value[...] = value
        for generator, state in probe.generators:
            generator.state = state
        x = probe.x
        for slot, value in zip(probe.slots, args, strict=True):
            if slot.parameter is None:
                x = value
            else:
                slot.parameter.value[...] = value
        if probe.is_loss:
            y, cache = probe.layer.forward(probe.y, x, probe.sample_weight, probe.mask)
            penalties: list = []
        else:
            penalties = []
            ctx = Context(True, probe.mask, penalties=penalties)
            y, cache, _ = probe.layer.propagate(x, ctx)
        flat = np.append(np.ravel(y), sum(penalties)) if penalties else np.array(y).ravel()
        return flat, (cache, np.shape(y), bool(penalties), [np.array(a) for a in args])

    def backward(self, run: Any, v: Array) -> list[Array]:
        cache, shape, penalised, point = run
        for slot, value in zip(self.probe.slots, point, strict=True):
            if slot.parameter is not None:
                slot.parameter.value[...] = value
        if not penalised:
            return self.reverse(cache, v.reshape(shape))
        # the layer counts a penalty once, whatever its output gets; a peer asks for v[-1] times it
        found = self.reverse(cache, v[:-1].reshape(shape))
        penalty = self.reverse(cache, np.zeros(shape))
        return [g + (v[-1] - 1) * p for g, p in zip(found, penalty, strict=True)]

    def reverse(self, cache: Any, dy: Array) -> list[Array]:
        self.backwards += 1
        probe = self.probe
        dx = probe.layer.backward(cache, dy) if probe.is_loss else probe.layer.backward(dy, cache)
        return [
            np.asarray(dx) if slot.parameter is None else np.array(slot.parameter.gradient)
            for slot in probe.slots
        ]


# ------------------------------------------------------------------------------------ the peers

Ask = Callable[[Function], bool]


def torch_peer(fast: bool) -> Ask:
    import torch

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, function, *args):
            y, ctx.run = function.forward([a.detach().numpy() for a in args])
            ctx.function = function
            return torch.from_numpy(y)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, dy):
            found = ctx.function.backward(ctx.run, dy.contiguous().numpy())
            # torch takes no negative strides; what it can take is handed on as it is
            forward = (g if min(g.strides, default=0) >= 0 else g.copy() for g in found)
            return (None, *(torch.from_numpy(g) for g in forward))

    def ask(function: Function) -> bool:
        torch.manual_seed(0)
        args = [torch.tensor(p, requires_grad=True) for p in function.point]
        return torch.autograd.gradcheck(
            lambda *a: Wrapped.apply(function, *a), args, fast_mode=fast, raise_exception=False
        )

    return ask


def jax_peer() -> Ask:
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    # a callback that waits for an array while the only thread waits for it never ends
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    logging.getLogger("jax").setLevel(logging.CRITICAL)  # what a callback raises is a verdict
    from jax.test_util import check_grads

    def ask(function: Function) -> bool:
        point = [jax.numpy.asarray(p) for p in function.point]
        y_shape = jax.ShapeDtypeStruct(function.forward(function.point)[0].shape, np.float64)
        g_shapes = [jax.ShapeDtypeStruct(p.shape, np.float64) for p in point]

        def forward(*args):
            return function.forward([np.asarray(a) for a in args])[0]

        def backward(dy, *args):
            # a callback returns arrays alone: the cache is made again
            _, run = function.forward([np.asarray(a) for a in args])
            return function.backward(run, np.asarray(dy))

        @jax.custom_vjp
        def f(*args):
            return jax.pure_callback(forward, y_shape, *args)

        f.defvjp(
            lambda *args: (f(*args), args),
            lambda args, dy: tuple(jax.pure_callback(backward, g_shapes, dy, *args)),
        )
        check_grads(f, point, order=1, modes=["rev"])
        return True

    return ask


def autograd_peer() -> Ask:
    from autograd.extend import defvjp_argnums, primitive
    from autograd.test_util import check_grads

    def ask(function: Function) -> bool:
        np.random.seed(0)  # where autograd takes its direction from
        last: list[Any] = []

        @primitive
        def f(*args):
            y, run = function.forward(list(args))
            last[:] = [run]
            return y

        def vjp(argnums, y, args, kwargs):
            run = last[0]

            def backward(dy):
                found = function.backward(run, dy)
                return tuple(found[i] for i in argnums)

            return backward

        defvjp_argnums(f, vjp)
        every = tuple(range(len(function.point)))
        check_grads(f, every, modes=["rev"], order=1)(*function.point)
        return True

    return ask


PEERS: dict[str, tuple[str, Callable[[], Ask]]] = {
    "torch slow": ("torch", lambda: torch_peer(fast=False)),
    "torch fast": ("torch", lambda: torch_peer(fast=True)),
    "jax": ("jax", jax_peer),
    "autograd": ("autograd", autograd_peer),
}


@dataclass(frozen=True)
class Result:
    """What one checker said about one case: "pass", "fail" or "inconclusive"."""

    verdict: str
    forwards: int
    backwards: int
    seconds: float


def ours(subject: Any, x: Any) -> Result:
    start = time.perf_counter()
    try:
        report = gradcheck(subject, x)
        found = report.verdict, report.evaluations, report.reversals
    except Exception:
        found = "fail", 0, 0
    return Result(*found, time.perf_counter() - start)


def theirs(ask: Ask, subject: Any, x: Any) -> Result:
    start = time.perf_counter()
    function = None
    try:
        function = Function(subject, x)
        good = not function.point or ask(function)
    except Exception:
        good = False
    seconds = time.perf_counter() - start
    forwards, backwards = (function.forwards, function.backwards) if function else (0, 0)
    return Result("pass" if good else "fail", forwards, backwards, seconds)


Judge = Callable[[Any, Any], Result]


def installed() -> dict[str, Judge]:
    """The checkers by name; a line for each that is not there."""
    found: dict[str, Judge] = {"ours": ours}
    for name, (package, make) in PEERS.items():
        try:
            ask = make()
        except ImportError:
            print(f"{name}: left out, {package} is not installed")
            continue
        found[name] = lambda subject, x, ask=ask: theirs(ask, subject, x)
    return found


# ------------------------------------------------------------------------------------ the cases


def given_to(bug: Any) -> Any:
    return (bug.y_true(), bug.x()) if bug.is_loss else bug.x()


def drawn(n: int) -> list[tuple[str, Any, Any]]:
    """Correct layers and losses with inputs, some of them special: kinks, ties, large, zero."""
    from correct_layers import subjects
    from hypothesis import HealthCheck, Phase, given, settings

    found: list[tuple[str, Any, Any]] = []

    @settings(
        max_examples=n,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(subjects)
    def collect(subject):
        layer, x = subject
        found.append((repr(layer), layer, x))

    collect()
    return found[:n]


def ordinary(subject: Any, x: Any) -> bool:
    """Whether no number stands twice in x, or is far from 1: no ties and hardly a kink."""
    a = np.asarray(x[1] if subject.takes_targets else x)
    return bool(a.dtype.kind == "f" and np.unique(a).size == a.size and 0.1 < np.abs(a).max() < 10)


def over(cases: Any, judges: dict[str, Judge]) -> dict[str, list[Result]]:
    """Every checker on every case, in turns."""
    results: dict[str, list[Result]] = {name: [] for name in judges}
    for make, x in cases:
        for name, judge in judges.items():
            results[name].append(judge(make(), x()))
    return results


def growth(judges: dict[str, Judge], sizes: list[int], limit: float) -> dict[str, list[dict]]:
    """A Dense of more and more parameters, the best of some turns; a checker stops where the next
    would take too long."""
    found: dict[str, list[dict]] = {name: [] for name in judges}
    for size in sizes:
        n, units = SHAPES[size]
        x = np.random.default_rng(0).standard_normal((ROWS, n))
        going = {name: judge for name, judge in judges.items() if expected(found[name]) <= limit}
        best: dict[str, Result] = {}
        for _ in range(TURNS):
            for name, judge in going.items():
                r = judge(Dense(units, "tanh"), x)
                if name not in best or r.seconds < best[name].seconds:
                    best[name] = r
        for name in judges:
            what = vars(best[name]) if name in best else {"stopped": True}
            found[name].append({"parameters": size, **what})
    return found


def costs(judges: dict[str, Judge], sizes: list[int]) -> None:
    """Processor time of PyTorch's fast mode over ours, and passes and time of a residual model."""
    if "torch fast" in judges:
        import torch

        torch.set_num_threads(1)  # threads that wait count as processor time
    for size in sizes if "torch fast" in judges else ():
        n, units = SHAPES[size]
        x = np.random.default_rng(0).standard_normal((ROWS, n))
        seconds: dict[str, list[float]] = {"ours": [], "torch fast": []}
        for _ in range(7):
            for name, times in seconds.items():
                start = time.process_time()
                judges[name](Dense(units, "tanh"), x)
                times.append(time.process_time() - start)
        ratios = [t / o for t, o in zip(seconds["torch fast"], seconds["ours"], strict=True)]
        print(
            f"Dense of {size:,}: ours {1e3 * median(seconds['ours']):.1f} ms of processor time, "
            f"PyTorch's fast mode {median(ratios):.2f} times that ({min(ratios):.2f} to "
            f"{max(ratios):.2f})"
        )
    from benchmarks.gradcheck_floor import residual_model

    model, shape = residual_model(64)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape), rng.integers(0, 10, shape[0])
    start = time.process_time()
    report = gradcheck(model, x, y)
    print(
        f"residual model of {model.count_params():,}: {report.verdict}, {report.evaluations} "
        f"forward passes for {len(report.check.here.gradients)} gradients, at most "
        f"{max(e.evaluations for e in report.entries)} for one, "
        f"{time.process_time() - start:.1f} s of processor time"
    )


def expected(runs: list[dict]) -> float:
    """Seconds of the next run, on ten times as many parameters, if passes go on growing."""
    if len(runs) < 2:
        return 0.0
    if "stopped" in runs[-1]:
        return float("inf")
    return runs[-1]["seconds"] * 10 * max(1.0, runs[-1]["forwards"] / max(1, runs[-2]["forwards"]))


# ------------------------------------------------------------------------------------ the report


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """A Markdown table."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for k, row in enumerate([head, *rows]):
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        yield f"| {' | '.join(cells)} |"
        if not k:
            yield (
                "|"
                + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])])
                + "|"
            )


def show(data: dict[str, Any]) -> None:
    kinds = data["kinds"]
    print(f"\nBugs caught at the fixed input, of {data['bugs']}, by kind:")
    for kind in kinds:
        print(f"    {kind}  {KINDS[kind]}")
    head = ["", *(f"{k} of {n}" for k, n in kinds.items()), "all", "undecided"]
    rows = [
        [
            name,
            *(str(c["caught"][k]) for k in kinds),
            str(sum(c["caught"].values())),
            str(c["bugs_undecided"]),
        ]
        for name, c in data["checkers"].items()
    ]
    print(*table(head, rows), sep="\n")

    print("\nFalse alarms on what is correct (undecided in brackets):")
    head = ["", f"without the bug ({data['correct']})", f"equivalent ({data['equivalent']})"]
    head += [f"drawn ({data['drawn']})", f"ordinary ones of these ({data['ordinary']})"]
    groups = ("correct", "equivalent", "drawn", "ordinary")
    rows = [
        [name, *("{} ({})".format(*c["false_alarms"][g]) for g in groups)]
        for name, c in data["checkers"].items()
    ]
    print(*table(head, rows), sep="\n")

    print("\nCost of a correct layer of the bank, medians; and seconds for all of the above:")
    head = ["", "forward passes", "backward passes", "ms", "s in all"]
    rows = [
        [name, f"{c['forwards']:g}", f"{c['backwards']:g}", f"{c['ms']:.1f}", f"{c['total']:.1f}"]
        for name, c in data["checkers"].items()
    ]
    print(*table(head, rows), sep="\n")

    print(f"\nA Dense with tanh, {ROWS} rows: forward + backward passes, the best time of {TURNS}.")
    print(f"A checker stops (-) where its next run would take more than {data['limit']:g} s.")
    sizes = [f"{r['parameters']:,}" for r in data["growth"]["ours"]]
    rows = [
        [name, *("-" if "stopped" in r else cost(r) for r in runs)]
        for name, runs in data["growth"].items()
    ]
    print(*table(["parameters", *sizes], rows), sep="\n")

    print("\nCaught by another and missed by ours:")
    for bug, by in data["missed_by_ours"].items():
        said = " (undecided by ours)" if bug in data["undecided_by_ours"] else ""
        print(f"    {bug}: {', '.join(by)}{said}")
    if not data["missed_by_ours"]:
        print("    nothing")
    print("\nCaught by ours and by no other:")
    for bug in data["caught_by_ours_alone"]:
        print(f"    {bug}")
    print("\nFalse alarms:")
    for name, c in data["checkers"].items():
        print(f"    {name}: {len(c['false_alarms_at'])}")
        for subject in c["false_alarms_at"][:3]:
            print(f"        {subject}")


def cost(r: dict[str, Any]) -> str:
    mark = "" if r["verdict"] == "pass" else f" {r['verdict']}"
    return f"{r['forwards']} + {r['backwards']}, {r['seconds']:.2g} s{mark}"


def plot(data: dict[str, Any], path: str) -> None:
    """Bugs caught, false alarms, and seconds against parameters, a colour for each checker."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    names = list(data["checkers"])
    colours = dict(
        zip(names, ["#1b6ca8", "#e08e0b", "#f2c46d", "#7a9e48", "#9b9b9b"], strict=False)
    )
    of_correct = data["correct"] + data["equivalent"] + data["drawn"]
    caught = [sum(c["caught"].values()) for c in data["checkers"].values()]
    groups = ("correct", "equivalent", "drawn")
    alarms = [sum(c["false_alarms"][g][0] for g in groups) for c in data["checkers"].values()]

    figure = Figure(figsize=(9.6, 2.9), layout="constrained", dpi=100)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.5])
    for axes, counts, title in (
        (left, caught, f"bugs caught, of {data['bugs']}"),
        (middle, alarms, f"false alarms, of {of_correct}"),
    ):
        bars = axes.barh(names, counts, color=[colours[n] for n in names])
        axes.bar_label(bars, padding=3, fontsize=9)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlim(0, 1.18 * max(*counts, 1))
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(NullLocator())
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    middle.set_yticklabels([])
    for name, runs in data["growth"].items():
        runs = [r for r in runs if "stopped" not in r]
        x, y = [r["parameters"] for r in runs], [r["seconds"] for r in runs]
        width = 2.2 if name == "ours" else 1.4
        right.loglog(x, y, "o-", label=name, color=colours[name], linewidth=width, markersize=4)
        wrong = [r for r in runs if r["verdict"] == "fail"]
        right.loglog(
            [r["parameters"] for r in wrong], [r["seconds"] for r in wrong], "rx", markersize=8
        )
    right.loglog([], [], "rx", label="a false alarm")
    right.set_title("seconds for a Dense, by its parameters", fontsize=10, loc="left")
    right.set_xticks([10.0**k for k in range(1, 8)])
    right.xaxis.set_minor_locator(NullLocator())
    right.legend(fontsize=7, frameon=False)
    right.grid(alpha=0.25)
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few bugs, few cases, few sizes")
    parser.add_argument("--drawn", type=int, default=1000, help="correct cases to draw")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one Dense")
    parser.add_argument("--costs", action="store_true", help="processor time alone")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--plot", help="draw them into this file (.png, .svg)")
    options = parser.parse_args()

    bank = [bug for bug in BANK if type(bug.x()) is not tuple]  # peers are given one array
    bank = bank[::70] if options.quick else bank
    sizes = list(SHAPES)[:1] if options.quick else list(SHAPES)
    number = min(options.drawn, 2) if options.quick else options.drawn

    judges = installed()
    if options.costs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return costs(judges, [10_000, 100_000, 1_000_000])
    packages = ["numpy", *dict.fromkeys(PEERS[n][0] for n in judges if n in PEERS)]
    versions = {"python": platform.python_version()} | {p: version(p) for p in packages}
    print(", ".join(f"{p} {v}" for p, v in versions.items()), f"{os.cpu_count()} cores", sep=", ")

    wrong = [b for b in bank if b.to_be_found]
    right = [b for b in bank if not b.to_be_found]
    correct_makers = {
        (repr(b.make_correct()), str(given_to(b))): (b.make_correct, lambda b=b: given_to(b))
        for b in bank
    }
    cases = drawn(number)
    first = next(iter(correct_makers.values()))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        over([(first[0], first[1])], judges)  # what is loaded at the first call is not counted
        of_bugs = over([(b.make, lambda b=b: given_to(b)) for b in wrong], judges)
        of_correct = over(correct_makers.values(), judges)
        of_equivalent = over([(b.make, lambda b=b: given_to(b)) for b in right], judges)
        of_drawn = over([(lambda s=s: s, lambda x=x: x) for _, s, x in cases], judges)
        grown = growth(judges, sizes, options.limit)

    plain = [ordinary(s, x) for _, s, x in cases]
    checkers: dict[str, Any] = {}
    for name in judges:
        groups = {
            "correct": of_correct[name],
            "equivalent": of_equivalent[name],
            "drawn": of_drawn[name],
            "ordinary": [r for r, o in zip(of_drawn[name], plain, strict=True) if o],
        }
        found = [r.verdict == "fail" for r in of_bugs[name]]
        checkers[name] = {
            "caught": {
                k: sum(f and b.kind == k for f, b in zip(found, wrong, strict=True)) for k in KINDS
            },
            "names": [b.name for f, b in zip(found, wrong, strict=True) if f],
            "bugs_undecided": sum(r.verdict == "inconclusive" for r in of_bugs[name]),
            "false_alarms": {
                g: [sum(r.verdict == v for r in rs) for v in ("fail", "inconclusive")]
                for g, rs in groups.items()
            },
            "false_alarms_at": [
                *(m[0] for m, r in zip(correct_makers, of_correct[name], strict=True) if bad(r)),
                *(b.name for b, r in zip(right, of_equivalent[name], strict=True) if bad(r)),
                *(c[0] for c, r in zip(cases, of_drawn[name], strict=True) if bad(r)),
            ],
            "forwards": median(r.forwards for r in of_correct[name]),
            "backwards": median(r.backwards for r in of_correct[name]),
            "ms": 1e3 * median(r.seconds for r in of_correct[name]),
            "total": sum(
                r.seconds for rs in (of_bugs, of_correct, of_equivalent, of_drawn) for r in rs[name]
            ),
        }
    by_ours = set(checkers["ours"]["names"])
    others = {n: set(c["names"]) for n, c in checkers.items() if n != "ours"}
    data = {
        "versions": versions,
        "bugs": len(wrong),
        "kinds": {k: sum(b.kind == k for b in wrong) for k in KINDS},
        "correct": len(correct_makers),
        "equivalent": len(right),
        "drawn": len(cases),
        "ordinary": sum(plain),
        "limit": options.limit,
        "checkers": checkers,
        "growth": grown,
        "missed_by_ours": {
            b.name: by
            for b in wrong
            if b.name not in by_ours and (by := [n for n, s in others.items() if b.name in s])
        },
        "undecided_by_ours": [
            b.name
            for b, r in zip(wrong, of_bugs["ours"], strict=True)
            if r.verdict == "inconclusive"
        ],
        "caught_by_ours_alone": sorted(by_ours.difference(*others.values())),
    }
    show(data)
    if options.json:
        Path(options.json).write_text(json.dumps(data, indent=1) + "\n")
    if options.plot:
        plot(data, options.plot)


def bad(result: Result) -> bool:
    return result.verdict == "fail"


if __name__ == "__main__":
    main()
