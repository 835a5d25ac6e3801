"""What the fast forms of the activations gain over the obvious ones.

    python benchmarks/activations.py

Each pair computes the same numbers, which is checked first. The sides take turns; the ratio is that
of the medians, obvious over fast. One thread: element by element NumPy uses no more.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout that this file lies in, installed or not
if os.environ.pop("OPENBLAS_CORETYPE", None):  # the machine's own kernel, not a prescribed one
    os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy as np  # noqa: E402
import scipy  # noqa: E402
import threadpoolctl  # noqa: E402
from scipy.special import erf, expit  # noqa: E402

from backprop.layer import PREDICT  # noqa: E402
from backprop.layers import GELU, LeakyReLU, Mish, ReLU, Softplus  # noqa: E402
from backprop.layers.activations.elementwise import step  # noqa: E402
from backprop.linalg import positive, sigmoid, softmax  # noqa: E402

SHAPES = [(32, 10), (32, 128), (256, 512), (64, 28, 28, 16)]


def assign(dy, y):
    """dx of a rectifier by assignment through a mask."""
    dx = dy.copy()
    dx[y <= 0] = 0
    return dx


def softmax_as_defined(x):
    """The softmax by reductions along the last axis."""
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p


def mish_as_defined(x):
    """Mish and its slope from softplus, tanh and sigmoid."""
    t = np.tanh(np.log1p(np.exp(-np.abs(x))) + positive(x))
    return x * t, t + x * (1 - t * t) * sigmoid(x)


def pairs(x, dy) -> dict[str, tuple[Callable, Callable]]:
    """What is compared: name → (obvious, fast)."""
    y = positive(x)
    relu, leaky, gelu, tanh_gelu = ReLU(), LeakyReLU(0.3), GELU(), GELU(approximate=True)
    mish, softplus = Mish(), Softplus()
    root = np.sqrt(x.dtype.type(2))
    return {
        "max(x, 0): scalar 0 / as chosen": (lambda: np.maximum(x, 0), lambda: positive(x)),
        "max(x, 0): zeros array / as chosen": (
            lambda: np.maximum(x, np.zeros(x.shape, x.dtype)),
            lambda: positive(x),
        ),
        "relu's dx: assign / multiply by mask": (
            lambda: assign(dy, y),
            lambda: relu.backward(dy, y),
        ),
        "relu's dx: where / multiply by mask": (
            lambda: np.where(y > 0, dy, x.dtype.type(0)),
            lambda: relu.backward(dy, y),
        ),
        "leaky relu: where / maximum": (
            lambda: np.where(x >= 0, x, 0.3 * x),
            lambda: leaky.forward(x)[0],
        ),
        "leaky slope: where / arithmetic": (
            lambda: np.where(x >= 0, x.dtype.type(1), x.dtype.type(0.3)),
            lambda: step(x >= 0, 1.0, 0.3, x.dtype),
        ),
        "sigmoid: expit / as computed": (lambda: expit(x), lambda: sigmoid(x)),
        "softplus: logaddexp / log1p": (
            lambda: np.logaddexp(x, x.dtype.type(0)),
            lambda: softplus.forward(x)[0],
        ),
        "gelu: erf / as chosen": (
            lambda: 0.5 * x * (1 + erf(x / root)),
            lambda: gelu.forward(x, PREDICT)[0],
        ),
        "gelu: exact / approximate": (
            lambda: gelu.forward(x, PREDICT)[0],
            lambda: tanh_gelu.forward(x, PREDICT)[0],
        ),
        "softmax: reductions / columns, ones": (
            lambda: softmax_as_defined(x),
            lambda: softmax(x),
        ),
        "mish and slope: as defined / one exp": (
            lambda: mish_as_defined(x),
            lambda: mish.forward(x),
        ),
    }


def medians(sides: tuple[Callable, Callable], turns: int) -> tuple[float, float]:
    """Median seconds a call of each side, in turns of about 2 ms."""
    start = perf_counter()
    for side in sides:
        side()
    calls = max(1, int(4e-3 / (perf_counter() - start)))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for side, mine in zip(sides, times, strict=True):
            start = perf_counter()
            for _ in range(calls):
                side()
            mine.append((perf_counter() - start) / calls)
    return median(times[0]), median(times[1])


def machine() -> str:
    blas = [info for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"]
    kernels = ", ".join(f"{b['internal_api']} {b['version']} {b['architecture']}" for b in blas)
    return (
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}; "
        f"1 thread of {os.cpu_count()}; BLAS (not used here): {kernels}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a turn: does it run?")
    turns = 1 if parser.parse_args().quick else 15
    print(machine())
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        print(f"\n{dtype:40s}" + "".join(f"{'x'.join(map(str, s)):>18s}" for s in SHAPES))
        arrays = [(2 * rng.standard_normal((2, *shape))).astype(dtype) for shape in SHAPES]
        columns = [pairs(x, dy) for x, dy in arrays]
        for name in columns[0]:
            row = ""
            for column in columns:
                obvious, fast = column[name]
                if "approximate" not in name:
                    np.testing.assert_allclose(fast(), obvious(), rtol=1e-4, atol=1e-6)
                a, b = medians(column[name], turns)
                row += f"{1e6 * b:8.1f} µs {a / b:6.2f}x"
            print(f"{name:40s}{row}")


if __name__ == "__main__":
    main()
