"""One step of training, in microseconds, beside the libraries that train on a CPU.

    python benchmarks/train_step.py [--rows mlp-digits ...] [--peers torch jax ...] [--quick]
                                    [--isa avx2] [--repeat 3] [--json FILE] [--plot FILE]
    python benchmarks/train_step.py --show FILE ...     # what several files say together

A step is forward pass, loss, backward pass and update, in float32, of a batch that lies in memory.
The rows are in `shared/rows.py`, what layers they have in `shared/layers.py`, how each library
trains them in `shared/peers/`. Each library has a process of its own with the same number of
threads on the same cores; short blocks of steps take turns, and each number is a median over the
blocks. Before anything is timed, every library must show the losses of the first steps and the
gradients of the first that ours shows.

    step    ours is `Trainer.train_step`, which `fit` calls for each batch; the ratio is to the
            fastest loop that a user of another library would write
    NumPy alone    ours without compiled kernels, in a process of its own
    batch   `train_on_batch`, beside Keras'
    fit     a step inside `fit`, shuffled and with all that an epoch does, beside Keras'

`by-hand` is a perceptron's arithmetic as NumPy calls with nothing in between: what the library
adds to it shows, and it counts as no peer. Every ratio is the other's time over ours: above 1 we
are faster. The mean over the rows is the geometric one of the ratios "step".

`--isa avx2` holds every library to what CPUs without AVX-512 have; what each computes with, and how
fast it multiplies then, is printed in front. `--repeat` starts all processes anew for each run.
"""

from __future__ import annotations

from shared.machine import processor, unset_blas_limits

unset_blas_limits()

from shared import study  # noqa: E402 - the environment comes first
from shared.peers import BY_HAND, OURS, PEERS, PLAIN  # noqa: E402
from shared.results import ALONE, Claims, Result  # noqa: E402
from shared.rows import ROWS  # noqa: E402
from shared.study import Study  # noqa: E402

VERIFIED = 5  # steps whose losses are compared
COLORS = [f"C{i}" for i in range(10)]


def claims(result: Result) -> Claims:
    """Each ratio's name, whom it is taken to, and which way of ours."""
    fastest = result.fastest
    loops = [*result.loops(), *result.of_keras("train_on_batch")]
    return {
        "step": (fastest(loops), "train_step"),
        ALONE: (fastest(result.of(PLAIN)), "train_step"),
        "by hand": (fastest(result.of(BY_HAND)), "train_step"),
        "torch": (fastest(result.of("torch")), "train_step"),
        "logits": (fastest([s for s in result.of(OURS) if "logits" in s[1]]), "train_step"),
        "batch": (fastest(result.of_keras("train_on_batch")), "train_on_batch"),
        "fit": (fastest(result.of_keras("fit")), "fit"),
    }


def plot(results: list[Result], file: str, threads: int) -> None:
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
        f"{processor()}, {threads} threads"
    )
    figure.legend(loc="outside upper center", fontsize="small", ncols=5)
    figure.savefig(file, dpi=90)


STUDY = Study("variants", "µs a step", ("losses", "gradients"), VERIFIED, 5, "step", claims)


def main() -> None:
    parser = study.parser(STUDY, __doc__)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios of the last run there")
    options = parser.parse_args()
    results = study.run(STUDY, [ROWS[name] for name in options.rows], options)
    if options.plot:
        plot(results, options.plot, options.threads)


if __name__ == "__main__":
    main()
