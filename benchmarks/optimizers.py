"""What the forms that the optimizers' updates are written in gain over the obvious ones.

    python benchmarks/optimizers.py [--quick]

Float32 vectors of several sizes, the sides in turns, medians:

    adam    the update as the paper writes it, with temporaries, over `Adam.step`, which keeps the
            moments as sums (M = m / (1 - beta_1), V = v / (1 - beta_2)) and allocates nothing
    lion    `np.sign` in place over `np.sign` into another vector
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from backprop.layers import Dense
from backprop.optimizers import Adam
from backprop.vector import ParameterVector

WIDTHS = (10, 100, 1000)


def textbook_adam(w, g) -> Callable[[], None]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0

    def step() -> None:
        nonlocal m, v, t
        t += 1
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        rate = 0.001 * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
        w[...] -= rate * m / (np.sqrt(v) + 1e-7)

    return step


def adam(width: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """The textbook's step and the library's, on equal vectors; five steps agree."""
    layer = Dense(width)
    layer.build((None, width))
    vector = ParameterVector(layer.arrays())
    vector.gradients[:] = np.random.default_rng(0).standard_normal(vector.size)
    w, optimizer = vector.values.copy(), Adam()
    optimizer.build(vector)
    sides = textbook_adam(w, vector.gradients.copy()), lambda: optimizer.step(vector)
    for _ in range(5):
        for side in sides:
            side()
    np.testing.assert_allclose(vector.values, w, rtol=1e-5, atol=1e-6)
    return sides


def lion(width: int) -> tuple[Callable[[], None], Callable[[], None]]:
    s = np.random.default_rng(0).standard_normal(width * width).astype(np.float32)
    same, other = s.copy(), np.empty_like(s)
    return lambda: np.sign(same, out=same), lambda: np.sign(s, out=other)


def medians(sides: tuple[Callable, Callable], turns: int) -> list[float]:
    """Median microseconds a call of each side."""
    times: list[list[float]] = [[], []]
    for _ in range(turns):
        for side, mine in zip(sides, times, strict=True):
            start = time.perf_counter()
            for _ in range(5):
                side()
            mine.append((time.perf_counter() - start) / 5)
    return [statistics.median(t) * 1e6 for t in times]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a turn: does it run?")
    turns = 1 if parser.parse_args().quick else 40
    print(f"NumPy {np.__version__}, element by element: one thread, no BLAS")
    for name, make in (("adam", adam), ("lion's sign", lion)):
        for width in WIDTHS:
            obvious, ours = medians(make(width), turns)
            print(
                f"{name:12} {width * width:>9,} numbers: obvious {obvious:9.1f} µs, "
                f"ours {ours:9.1f} µs, {obvious / ours:5.2f}x"
            )


if __name__ == "__main__":
    main()
