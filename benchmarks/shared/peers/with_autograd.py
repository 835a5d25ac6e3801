"""autograd: NumPy's own calls, differentiated as they run; the update is written by hand."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from shared.peers import Peer, Variants, require
from shared.peers.autograd_layers import KINDS, chain
from shared.peers.loop import Loop
from shared.rows import SGD, Array, Row, batches, weights


def variants(row: Row, peer: Peer) -> Variants:
    require(row, *KINDS)
    return {"value_and_grad": lambda: taped(row)}


def taped(row: Row) -> Loop:
    params = weights(row)
    m, v, t = ([np.zeros_like(p) for p in params] for _ in range(3))
    count, last = 0, []

    def loss(params, x, y):
        z = chain(row.layers, x, iter(params))
        if row.loss == "mse":
            return anp.mean((z - y) ** 2)
        if row.loss == "binary":
            return anp.mean(anp.logaddexp(0, z) - z * y)
        z = anp.reshape(z, (-1, z.shape[-1]))
        z = z - anp.max(z, axis=1, keepdims=True)
        picked = z[anp.arange(len(z)), y.ravel()]
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - picked)

    differentiated = value_and_grad(loss)

    def step(x: Array, y: Array) -> float:
        nonlocal last, count
        value, last = differentiated(params, x, y)
        count += 1
        how = row.optimizer
        if isinstance(how, SGD):
            for p, g, velocity in zip(params, last, m, strict=True):
                velocity *= how.momentum
                velocity -= how.lr * g
                p += velocity
            return value
        rate = how.lr * (1 - how.beta_2**count) ** 0.5 / (1 - how.beta_1**count)
        for p, g, mean, square, work in zip(params, last, m, v, t, strict=True):
            mean *= how.beta_1
            np.multiply(g, 1 - how.beta_1, out=work)
            mean += work
            square *= how.beta_2
            np.multiply(g, g, out=work)
            work *= 1 - how.beta_2
            square += work
            np.sqrt(square, out=work)
            work += how.epsilon
            np.divide(mean, work, out=work)
            work *= rate
            p -= work
        return value

    return Loop(step, batches(row), lambda: [np.asarray(g) for g in last])
