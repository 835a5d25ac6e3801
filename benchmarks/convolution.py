"""What the ways of computing a convolution gain, and how exact Winograd's is.

    python benchmarks/convolution.py [--quick]

Forward and backward of `Conv2D` in float32, the sides in turns, medians:

    winograd    16 products for four pixels, each thread with a part of the batch: what layers do
    plain       the sums over windows, divided in the same way
    one thread  winograd, with as many threads as BLAS takes for each product

and the largest error of both against float64, relative to the largest output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from shared.machine import describe, unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - behind the change of its environment

from backprop.layers import Conv2D  # noqa: E402
from backprop.layers.convolution import products  # noqa: E402
from backprop.layers.windows import Windows  # noqa: E402
from backprop.parallel import Blas, blas  # noqa: E402

SHAPES = (  # batch, height and width, channels, filters
    (64, 26, 32, 64),
    (32, 32, 64, 64),
    (32, 16, 64, 128),
    (32, 16, 128, 128),
    (32, 8, 256, 256),
)


@contextmanager
def winograd() -> Iterator[None]:
    with blas().held():  # as in a training step
        yield


@contextmanager
def plain() -> Iterator[None]:
    with blas().held(), patch.object(products, "suits_winograd", return_value=False):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    with patch.object(Blas, "threads", 1):
        yield


SIDES = {"winograd": winograd, "plain": plain, "one thread": one_thread}


def step(shape: tuple[int, int, int, int]) -> Callable[[], None]:
    """One forward and one backward pass."""
    n, size, channels, filters = shape
    rng = np.random.default_rng(0)
    layer = Conv2D(filters, 3, padding="same")
    layer.build((None, size, size, channels))
    x = rng.standard_normal((n, size, size, channels), dtype=np.float32)
    dy = rng.standard_normal((n, size, size, filters), dtype=np.float32)

    def run() -> None:
        layer.backward(dy, layer.forward(x)[1])

    return run


def times(shape: tuple[int, int, int, int], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side."""
    run = step(shape)
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            with side():
                run()
                time.sleep(0.05)  # BLAS' threads go to sleep
                for _ in range(3):
                    begin = time.perf_counter()
                    run()
                    taken[name].append(time.perf_counter() - begin)
    return {name: 1e3 * statistics.median(t) for name, t in taken.items()}


def errors(channels: int, filters: int = 64) -> dict[str, float]:
    """The largest error in float32 of each way, over the largest output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 16, channels))
    kernel = rng.standard_normal((3, 3, channels, filters))
    windows = Windows((3, 3), (1, 1), "same")
    exact = products.correlate(x, kernel, windows)
    x, kernel = x.astype(np.float32), kernel.astype(np.float32)
    found = {}
    for name in ("winograd", "plain"):
        with SIDES[name]():
            z = products.correlate(x, kernel, windows)
        found[name] = float(np.abs(z - exact).max() / np.abs(exact).max())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and short: does it run?")
    quick = parser.parse_args().quick

    print(", ".join(f"{k} {v}" for k, v in describe().items()))
    print(f"\n{'batch, size, channels, filters':32}" + "".join(f"{name:>14}" for name in SIDES))
    for shape in [(2, 6, 16, 16)] if quick else SHAPES:
        found = times(shape, 1 if quick else 7)
        ours = found["winograd"]
        cells = (f"{ms:7.2f} {ms / ours:5.2f}x" for ms in found.values())
        print(f"{shape!s:32}" + "".join(cells))
    print("\nlargest error in float32, relative to the largest output")
    for channels in (16, 64) if quick else (16, 64, 128, 256, 512):
        found = errors(channels)
        print(f"{channels:4} channels: " + ", ".join(f"{k} {v:.1e}" for k, v in found.items()))


if __name__ == "__main__":
    main()
