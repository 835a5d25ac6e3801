"""A row's arithmetic as a loop of NumPy calls on flat vectors, with nothing in between."""

from __future__ import annotations

import numpy as np

from shared.peers import NotOffered, Peer, Variants, require
from shared.peers.loop import Loop
from shared.rows import SGD, Array, Row, batches, weights


def variants(row: Row, peer: Peer) -> Variants:
    require(row, "Dense")
    if row.loss == "binary":
        raise NotOffered("written for cross-entropy and the squared error")
    return {"loop": lambda: by_hand(row)}


def split(vector: Array, like: list[Array]) -> list[Array]:
    """Views of a vector in the shapes of `like`."""
    ends = np.cumsum([w.size for w in like])[:-1]
    return [a.reshape(w.shape) for a, w in zip(np.split(vector, ends), like, strict=True)]


def by_hand(row: Row) -> Loop:
    start = weights(row)
    values = np.concatenate([w.ravel() for w in start])
    gradients, m, work = (np.zeros_like(values) for _ in range(3))
    v = None if isinstance(row.optimizer, SGD) else np.zeros_like(values)
    params, grads = split(values, start), split(gradients, start)
    kernels, biases, dkernels, dbiases = params[::2], params[1::2], grads[::2], grads[1::2]
    del start
    every, ones = np.arange(row.batch), np.ones(row.batch, np.float32)
    n = len(kernels)
    count = 0

    def update() -> None:
        nonlocal count
        how = row.optimizer
        count += 1
        if isinstance(how, SGD):
            np.multiply(gradients, how.lr, out=work)
            np.multiply(m, how.momentum, out=m)
            np.subtract(m, work, out=m)
            np.add(values, m, out=values)
            return
        assert v is not None
        np.subtract(gradients, m, out=work)
        np.multiply(work, 1 - how.beta_1, out=work)
        np.add(m, work, out=m)
        np.multiply(gradients, gradients, out=work)
        np.subtract(work, v, out=work)
        np.multiply(work, 1 - how.beta_2, out=work)
        np.add(v, work, out=v)
        np.sqrt(v, out=work)
        np.add(work, how.epsilon, out=work)
        np.divide(m, work, out=work)
        rate = how.lr * (1 - how.beta_2**count) ** 0.5 / (1 - how.beta_1**count)
        np.multiply(work, rate, out=work)
        np.subtract(values, work, out=values)

    def step(x: Array, y: Array) -> float:
        inputs = []
        for i in range(n):
            inputs.append(x)
            x = x @ kernels[i]
            x += biases[i]
            if i < n - 1:
                np.maximum(x, 0, out=x)
        if row.loss == "mse":
            x -= y
            loss = float(np.vdot(x, x)) / x.size
            x *= 2 / x.size
        else:
            x -= x.max(1, keepdims=True)
            np.exp(x, out=x)
            x /= x.sum(1, keepdims=True)
            loss = float(-np.log(x[every, y]).mean())
            x[every, y] -= 1
            x *= 1 / row.batch
        for i in reversed(range(n)):
            h = inputs.pop()
            np.matmul(h.T, x, out=dkernels[i])
            np.matmul(ones, x, out=dbiases[i])
            if i:
                x = x @ kernels[i].T
                x *= h > 0
        update()
        return loss

    return Loop(step, batches(row), lambda: grads)
