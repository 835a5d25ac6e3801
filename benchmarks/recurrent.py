"""What the arrangement of the loop over time is worth.

    python benchmarks/recurrent.py

Forward and backward of one layer, batch 32, 100 steps, 64 inputs, 128 units, float32, last output
only. The sides take turns and compute the same numbers, which is checked first:

    as it is          the layer
    one thread        the same, without a second thread for the sums over time
    as defined        an LSTM as it stands in a book: rows are sequences, three products a step

The ratio is that of the medians, other over layer.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout that this file lies in, installed or not
given = [os.environ.pop(name, None) for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")]
if any(given):  # the machine's own kernel, not a prescribed one
    os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402

from backprop import Input, Sequential, parallel  # noqa: E402
from backprop.layers import GRU, LSTM  # noqa: E402
from backprop.linalg import sigmoid  # noqa: E402


def lstm_as_defined(layer, x, dy):
    """y, and the three gradients, step by step in the layout of the formulas."""
    kernel, recurrent_kernel, bias = layer.kernel, layer.recurrent_kernel, layer.bias
    h = c = np.zeros((len(x), layer.units), x.dtype)
    steps = []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent_kernel + bias
        zi, zf, zg, zo = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
        before, c = (h, c), f * c + i * g
        h = o * np.tanh(c)
        steps.append((before, i, f, g, o, np.tanh(c)))
    y, dh, dc = h, dy, 0
    dkernel, drecurrent, dbias = (np.zeros_like(w) for w in (kernel, recurrent_kernel, bias))
    for t in reversed(range(x.shape[1])):
        (h, c), i, f, g, o, s = steps[t]
        dc = dc + dh * o * (1 - s * s)
        parts = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g))
        dz = np.concatenate([*parts, dh * s * o * (1 - o)], axis=1)
        dkernel += x[:, t].T @ dz
        drecurrent += h.T @ dz
        dbias += dz.sum(0)
        dh, dc = dz @ recurrent_kernel.T, dc * f
    return y, dkernel, drecurrent, dbias


def of_layer(layer, x, dy):
    y, cache = layer.forward(x)
    layer.backward_params(dy, cache)
    return y, layer.dkernel, layer.drecurrent_kernel, layer.dbias


def on_one_thread(layer, x, dy):
    with mock.patch.object(parallel, "pays", lambda: False):
        return of_layer(layer, x, dy)


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(
        description="What the arrangement of the loop over time is worth."
    )
    parser.add_argument("--quick", action="store_true", help="once, a short loop: does it run?")
    quick = parser.parse_args(argv).quick
    steps, rounds = (6, 1) if quick else (100, 20)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, steps, 64), np.float32)
    dy = rng.standard_normal((32, 128), np.float32)
    blas = threadpoolctl.threadpool_info()[0]
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{blas.get('architecture')} kernels of {blas['internal_api']}, "
        f"{blas['num_threads']} threads"
    )
    print(f"{'layer':6}{'side':14}{'ms':>8}{'ratio':>8}")
    for kind in (LSTM, GRU):
        layer = kind(128)
        model = Sequential([Input(x.shape[1:]), layer])
        model.compile("sgd", "mse")
        model.train_on_batch(x, dy)  # from here on freed memory is kept for the next step
        sides = {"as it is": of_layer, "one thread": on_one_thread}
        if kind is LSTM:
            sides["as defined"] = lstm_as_defined
        wanted = [np.array(a) for a in of_layer(layer, x, dy)]
        for side in sides.values():
            for a, b in zip(side(layer, x, dy), wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                begin = perf_counter()
                side(layer, x, dy)
                times[name].append(perf_counter() - begin)
        first = median(times["as it is"])
        for name, found in times.items():
            print(
                f"{kind.__name__:6}{name:14}{1e3 * median(found):8.2f}{median(found) / first:8.2f}"
            )


if __name__ == "__main__":
    main()
