"""How much of a training step is the library's, and how much NumPy's.

    python benchmarks/overhead.py [--rows mlp-tiny ...] [--rounds 40] [--seconds 0.02] [--growth]

For each row of `shared/rows.py` it times two things in one process, in turns:

    library    `Trainer.train_step`, what `fit` calls for each batch
    by hand    the same step as a row of NumPy calls: no classes, no checks, nothing in between

The difference is the library's own share: what a step spends outside the NumPy calls that it cannot
do without. It is below 0 where the loop's calls, plain as they are, are not the best there are.

With `--growth` it prints how a step grows with the batch and with the number of layers; where the
growth is linear, the time a row of the batch and the time a layer come to rest. And it prints what
the same layers cost more where they are drawn as a `Model` instead of being listed in a
`Sequential`.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

from shared.machine import blas, unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - the environment comes first
from shared.agreement import allowed, compare  # noqa: E402
from shared.peers import PEERS, Variant  # noqa: E402
from shared.rows import ROWS, Row, perceptron  # noqa: E402

BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
DEPTHS = (2, 5, 10, 20, 50, 100, 200)


def sides(row: Row) -> dict[str, Variant]:
    """The library, as a user writes the row and with logits, and the loop; checked to agree."""
    made = dict(PEERS["backprop"].variants(row))
    found = {"by hand": PEERS["by-hand"].variants(row)["loop"]()}
    for name in ("train_step", "train_step, logits"):
        if name in made:
            found[name] = made[name]()
    first = {name: side.first(3) for name, side in found.items()}
    for name in list(found)[1:]:
        loss, gradient = compare(first[name], first["by hand"])
        most = allowed(row, PEERS["by-hand"])
        assert loss < most[0] and gradient < most[1], (row.name, name, loss, gradient)
    return found


def medians(found: dict[str, Variant], rounds: int, seconds: float) -> dict[str, float]:
    """Microseconds a step, the sides taking turns."""
    steps = {}
    for name, side in found.items():
        side.run(3)
        took, done = side.run(3)
        steps[name] = max(1, round(seconds * done / took))
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, side in found.items():
            took, done = side.run(steps[name])
            times[name].append(took / done * 1e6)
    return {name: statistics.median(each) for name, each in times.items()}


def shares(names: list[str], rounds: int, seconds: float) -> None:
    print(f"{'':14} {'by hand':>10} {'library':>10} {'its own':>9} {'share':>7}   µs a step")
    for name in names:
        found = medians(sides(ROWS[name]), rounds, seconds)
        hand = found.pop("by hand")
        for way, library in found.items():
            label = name if way == "train_step" else f"{name}, logits"
            own = library - hand
            print(
                f"{label:22} {hand:10.1f} {library:10.1f} {own:9.1f} {own / hand:7.0%}", flush=True
            )


def growth(rounds: int, seconds: float, quick: bool) -> None:
    """A step's time by the rows of its batch and by the layers of its network."""

    def library(*rows: Row) -> list[float]:
        found = {}
        for row in rows:
            found[str(row.graph)] = step = dict(PEERS["backprop"].variants(row))["train_step"]()
            step.first(1)
        return list(medians(found, rounds, seconds).values())

    print(f"\n{'batch':>8} {'µs a step':>11} {'µs a row':>10}   784-512-512-10")
    for batch in BATCHES[:2] if quick else BATCHES:
        (each,) = library(replace(ROWS["mlp-mnist"], batch=batch))
        print(f"{batch:8} {each:11.1f} {each / batch:10.2f}", flush=True)
    print(
        f"\n{'layers':>8} {'µs a step':>11} {'µs a layer':>10} {'as Model':>11} "
        f"{'more a layer':>12}   64 units each, batch 32"
    )
    for depth in DEPTHS[:2] if quick else DEPTHS:
        row = perceptron(f"{depth} layers", (64,) * depth + (10,), 32, 1)
        listed, drawn = library(row, replace(row, graph=True))
        print(
            f"{depth:8} {listed:11.1f} {listed / depth:10.2f} {drawn:11.1f} "
            f"{(drawn - listed) / depth:12.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    perceptrons = [name for name, row in ROWS.items() if row.kinds() == {"Dense"}]
    parser.add_argument("--rows", nargs="+", choices=perceptrons, default=perceptrons)
    parser.add_argument("--rounds", type=int, default=40, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=0.02, help="of one turn")
    parser.add_argument("--growth", action="store_true", help="by batch and by layers too")
    parser.add_argument("--quick", action="store_true", help="the small rows, a few turns")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.seconds = ["mlp-tiny", "mlp-digits"], 3, 0.002

    print(f"NumPy {np.__version__}, {blas()}; medians of {options.rounds} turns")
    shares(options.rows, options.rounds, options.seconds)
    if options.growth:
        growth(options.rounds, options.seconds, options.quick)


if __name__ == "__main__":
    main()
