"""What the fast forms of an embedding and of the mean over its steps gain over the obvious ones.

    python benchmarks/embedding.py

Batches of 64 sequences of 200 tokens, 64 numbers to a token, float32, for a small and a large
vocabulary: the numbers of the row `embed-bag` in `train_step.py`. Each pair computes the same,
which is checked first. The sides take turns; the ratio is that of the medians, obvious over fast.
The last two lines are what one layer for both would gain: the mean as one sparse product, whose
gradient needs no array with a row for each token.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from shared.machine import HOLD_BACK, describe  # noqa: E402

if any(os.environ.pop(name, None) for name in HOLD_BACK):  # the machine's own kernel
    os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy as np  # noqa: E402
from scipy.sparse import csc_array, csr_array  # noqa: E402

from backprop.layers import Embedding, GlobalAveragePooling1D  # noqa: E402
from backprop.linalg import rows  # noqa: E402

N, T, D = 64, 200, 64


def pairs(vocabulary: int) -> dict[str, tuple[Callable, Callable]]:
    """What is compared: name → (obvious, fast)."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, vocabulary, (N, T))
    embedding, pooling = Embedding(vocabulary, D), GlobalAveragePooling1D()
    embedding.build((None, T))
    table, gradient = embedding.embeddings, embedding.dembeddings
    y, cache = embedding.forward(ids)
    dy = rng.standard_normal((N, D), dtype=np.float32)
    steps = np.repeat(dy[:, None] / np.float32(T), T, axis=1)

    def ours():
        embedding.backward_params(steps, cache)
        return gradient

    def added_up():
        d = np.zeros_like(table)
        np.add.at(d, ids, steps)
        return d

    def public():
        places = csc_array(
            (np.ones(N * T, np.float32), ids.ravel(), np.arange(N * T + 1)),
            shape=(vocabulary, N * T),
        )
        embedding.dembeddings = places @ rows(steps)
        return gradient

    def sorted_first():
        order = ids.ravel().argsort(kind="stable")
        tokens = ids.ravel()[order]
        first = np.flatnonzero(np.diff(tokens, prepend=-1))
        d = np.zeros_like(table)
        d[tokens[first]] = np.add.reduceat(rows(steps)[order], first)
        return d

    def apart():
        return pooling.forward(embedding.forward(ids)[0])[0]

    def apart_back():
        dx = pooling.backward(dy, (1 / T, y.shape))
        embedding.backward_params(dx, cache)
        return gradient

    shares, ends = np.full(N * T, 1 / T, np.float32), np.arange(0, N * T + 1, T)

    def as_one():
        return csr_array((shares, ids.ravel(), ends), shape=(N, vocabulary)) @ table

    def as_one_back():
        places = csc_array((shares, ids.ravel(), ends), shape=(vocabulary, N))
        embedding.dembeddings = places @ dy
        return gradient

    return {
        "lookup: table[ids] / take": (lambda: table[ids], lambda: embedding.forward(ids)[0]),
        "mean: mean(1) / product with ones": (lambda: y.mean(1), lambda: pooling.forward(y)[0]),
        "both": (lambda: table[ids].mean(1), apart),
        "gradient: add.at / sparse product": (added_up, ours),
        "gradient: sorted sums / sparse product": (sorted_first, ours),
        "gradient: product, copy / added in place": (public, ours),
        "both layers / one sparse product": (apart, as_one),
        "both gradients / one sparse product": (apart_back, as_one_back),
    }


def medians(sides: tuple[Callable, Callable], turns: int) -> tuple[float, float]:
    """Median seconds a call of each side, in turns of a few calls."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for side, mine in zip(sides, times, strict=True):
            start = perf_counter()
            for _ in range(5):
                side()
            mine.append((perf_counter() - start) / 5)
    return median(times[0]), median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a turn: does it run?")
    turns = 1 if parser.parse_args().quick else 25
    print("\n".join(f"{name:10s} {value}" for name, value in describe(["scipy"]).items()))
    vocabularies = (100, 20_000)
    print(f"\n{'tokens of a vocabulary of':40s}" + "".join(f"{v:>18,d}" for v in vocabularies))
    columns = [pairs(v) for v in vocabularies]
    for name in columns[0]:
        row = ""
        for column in columns:
            obvious, fast = column[name]
            np.testing.assert_allclose(fast(), obvious(), rtol=1e-3, atol=1e-5)
            a, b = medians(column[name], turns)
            row += f"{1e6 * b:8.0f} µs {a / b:6.2f}x"
        print(f"{name:40s}{row}")


if __name__ == "__main__":
    main()
