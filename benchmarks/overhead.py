"""How much of a training step is the library's, and how much NumPy's.

    python benchmarks/overhead.py [--steps 200] [--rounds 60]

For a 64-128-10 perceptron (batch 32, ReLU, softmax cross-entropy, Adam, float32) it times two
things, in turns:

    library    `Trainer.train_step`, what `fit` calls for each batch
    by hand    the same step as a row of NumPy calls: no classes, no checks, nothing in between

The difference is the library's own share: what a step spends outside the NumPy calls that it cannot
do without.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from shared.machine import blas, unset_blas_limits

unset_blas_limits()

import numpy as np  # noqa: E402 - the environment comes first

Array = np.ndarray
BATCH, N, HIDDEN, CLASSES = 32, 64, 128, 10


def library(x: Array, y: Array) -> tuple[Callable[[], float], list[Array]]:
    """A step through the public API, and the weights it starts from."""
    import backprop as bp
    from backprop.training.data import as_data

    bp.utils.set_random_seed(0)
    dense = bp.layers.Dense
    model = bp.Sequential([bp.Input((N,)), dense(HIDDEN, "relu"), dense(CLASSES, "softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    trainer = model.trainer
    assert trainer is not None
    trainer.prepare(as_data(trainer.reader, x, y, who="overhead"), "overhead", training=True)
    return lambda: float(trainer.train_step(x, y)[0]), model.get_weights()


def by_hand(x: Array, y: Array, weights: list[Array]) -> Callable[[], float]:
    """The same step as NumPy calls on one vector of values and one of gradients."""
    values = np.concatenate([w.ravel() for w in weights])
    gradients, m, v, t = (np.zeros_like(values) for _ in range(4))
    ends = np.cumsum([w.size for w in weights])[:-1]
    w1, b1, w2, b2 = (
        a.reshape(w.shape) for a, w in zip(np.split(values, ends), weights, strict=True)
    )
    dw1, db1, dw2, db2 = (
        a.reshape(w.shape) for a, w in zip(np.split(gradients, ends), weights, strict=True)
    )
    rows, ones = np.arange(BATCH), np.ones(BATCH, np.float32)
    step = 0

    def train() -> float:
        nonlocal step, t
        z = x @ w1
        z += b1
        h = np.maximum(z, 0, out=z)
        p = h @ w2
        p += b2
        p -= p.max(1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(1, keepdims=True)
        picked = p[rows, y]
        loss = -np.log(picked).mean()
        p[rows, y] -= 1
        p *= 1 / BATCH
        np.matmul(h.T, p, out=dw2)
        np.matmul(ones, p, out=db2)
        dz = p @ w2.T
        dz *= h > 0
        np.matmul(x.T, dz, out=dw1)
        np.matmul(ones, dz, out=db1)
        step += 1
        np.subtract(gradients, m, out=t)
        t *= 0.1
        np.add(m, t, out=m)
        np.multiply(gradients, gradients, out=t)
        np.subtract(t, v, out=t)
        t *= 0.001
        np.add(v, t, out=v)
        np.sqrt(v, out=t)
        np.add(t, 1e-7, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, 0.001 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step), out=t)
        np.subtract(values, t, out=values)
        return float(loss)

    return train


def seconds(step: Callable[[], float], steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200, help="in one turn")
    parser.add_argument("--rounds", type=int, default=60, help="turns of each side")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, N), np.float32), rng.integers(0, CLASSES, BATCH)
    ours, weights = library(x, y)
    theirs = by_hand(x, y, weights)
    for step in range(5):  # the two compute the same thing
        a, b = ours(), theirs()
        assert abs(a - b) < 1e-5 * abs(b), f"step {step}: losses {a} and {b}"

    turns = [
        (seconds(ours, options.steps), seconds(theirs, options.steps))
        for _ in range(options.rounds)
    ]
    library_us, hand_us = (statistics.median(side) * 1e6 for side in zip(*turns, strict=True))
    print(f"NumPy {np.__version__}, {blas()}")
    print(
        f"median of {options.rounds} turns of {options.steps} steps, {N}-{HIDDEN}-{CLASSES}, batch "
        f"{BATCH}, Adam, float32"
    )
    print(f"library       {library_us:7.1f} µs a step")
    print(f"by hand       {hand_us:7.1f} µs a step")
    print(
        f"library's own {library_us - hand_us:7.1f} µs a step, "
        f"{(library_us - hand_us) / hand_us:.2f} of the NumPy calls"
    )


if __name__ == "__main__":
    main()
