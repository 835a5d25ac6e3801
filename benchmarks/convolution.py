"""What the ways of computing a convolution gain, and how exact Winograd's is.

    python benchmarks/convolution.py [--quick]

Forward and backward of `Conv2D` in float32, the sides in turns, medians:

    winograd    Winograd's products, each thread with a part of the batch: what layers do
    plain       the sums over windows, divided in the same way
    one thread  winograd, with as many threads as BLAS takes for each product

then a training step of networks with our threads, and with BLAS' alone; and the largest error of
both ways against float64, relative to the largest output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from unittest.mock import patch

from shared.machine import describe, unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - behind the change of its environment
from shared.peers.keras_like import compiled  # noqa: E402
from shared.rows import ROWS  # noqa: E402

import backprop  # noqa: E402
from backprop.layers import Conv2D  # noqa: E402
from backprop.layers.convolution import products  # noqa: E402
from backprop.layers.convolution.border import Convolutional  # noqa: E402
from backprop.layers.windows import Windows  # noqa: E402
from backprop.parallel import Blas, blas  # noqa: E402
from backprop.training.memory import keep_freed_memory  # noqa: E402

Shape = tuple[int, int, int, int, int]
Sides = dict[str, tuple[Callable[[], AbstractContextManager], Callable[[], object]]]

SHAPES: tuple[Shape, ...] = (  # batch, height and width, channels, filters, size of the kernel
    (64, 26, 32, 64, 3),
    (32, 32, 64, 64, 3),
    (32, 16, 64, 128, 3),
    (32, 16, 128, 128, 3),
    (32, 8, 256, 256, 3),
    (32, 28, 32, 64, 5),
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


@contextmanager
def blas_alone() -> Iterator[None]:
    """A product has all threads of BLAS, and no layer has any."""
    with one_thread(), patch.object(Convolutional, "divides_batches", False):
        yield


SIDES = {"winograd": winograd, "plain": plain, "one thread": one_thread}


def step(shape: Shape) -> Callable[[], None]:
    """One forward and one backward pass."""
    n, size, channels, filters, kernel_size = shape
    rng = np.random.default_rng(0)
    layer = Conv2D(filters, kernel_size, padding="same")
    layer.build((None, size, size, channels))
    x = rng.standard_normal((n, size, size, channels), dtype=np.float32)
    dy = rng.standard_normal((n, size, size, filters), dtype=np.float32)

    def run() -> None:
        layer.backward(dy, layer.forward(x)[1])

    return run


def times(sides: Sides, rounds: int) -> dict[str, float]:
    """Median milliseconds of what each side does."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (side, run) in sides.items():
            with side():
                run()
                time.sleep(0.05)  # BLAS' threads go to sleep
                run()
                for _ in range(5):
                    begin = time.perf_counter()
                    run()
                    taken[name].append(time.perf_counter() - begin)
    return {name: 1e3 * statistics.median(t) for name, t in taken.items()}


def network(name: str, batch: int | None = None) -> Sides:
    """Its training step with our threads, and with BLAS' alone."""
    row = ROWS[name]
    n = batch or row.batch
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *row.input_shape), dtype=np.float32)
    y = rng.integers(0, 10, n)
    found: Sides = {}
    for title, side in (("our threads", nullcontext), ("BLAS' threads", blas_alone)):
        with side():
            model = compiled(backprop, row, logits=True)
            found[title] = side, partial(model.train_on_batch, x, y)
            model.train_on_batch(x, y)  # which finds out who has threads
    return found


def errors(size: tuple[int, ...], channels: int, filters: int = 64) -> dict[str, float]:
    """The largest error in float32 of each way, over the largest output."""
    rng = np.random.default_rng(0)
    sizes = (32, 16, 16) if len(size) == 2 else (8, 12, 12, 12)
    x = rng.standard_normal((*sizes, channels))
    kernel = rng.standard_normal((*size, channels, filters))
    windows = Windows(size, (1,) * len(size), "same")
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
    rounds = 1 if quick else 7
    keep_freed_memory()  # as a training step does

    print(", ".join(f"{k} {v}" for k, v in describe().items()))
    print(f"\n{'batch, size, channels, filters, kernel':40}" + "".join(f"{s:>14}" for s in SIDES))
    for shape in [(20, 12, 16, 16, 3)] if quick else SHAPES:
        run = step(shape)
        found = times({name: (side, run) for name, side in SIDES.items()}, rounds)
        ours = found["winograd"]
        cells = (f"{ms:7.2f} {ms / ours:5.2f}x" for ms in found.values())
        print(f"{shape!s:40}" + "".join(cells))
    print("\na training step")
    for name in ("cnn-mnist", "cnn-cifar"):
        found = times(network(name, 2 if quick else None), rounds)
        print(f"{name:12}" + ", ".join(f"{side} {ms:.1f} ms" for side, ms in found.items()))
    print("\nlargest error in float32, relative to the largest output")
    for size in ((3, 3), (5, 5), (3, 3, 3), (5, 5, 5)):
        for channels in (32,) if quick else (16, 64, 512) if len(size) == 2 else (16, 64):
            found = errors(size, channels)
            cells = ", ".join(f"{k} {v:.1e}" for k, v in found.items())
            print(f"{' x '.join(map(str, size)):9}, {channels:4} channels: {cells}")


if __name__ == "__main__":
    main()
