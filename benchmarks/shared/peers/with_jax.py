"""JAX: the whole step as one compiled function that reuses the memory of what it replaces."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shared.peers import Peer, Variants
from shared.peers.loop import Loop
from shared.rows import SGD, Array, Row, batches, weights


def variants(row: Row, peer: Peer) -> Variants:
    return {"jit": lambda: jitted(row)}


def loss_of(row: Row):
    def loss(params, x, y):
        given = iter(params)
        for layer in row.layers:
            x = x @ next(given) + next(given)
            if layer.activation == "relu":
                x = jax.nn.relu(x)
        if row.loss == "mse":
            return jnp.mean((x - y) ** 2)
        picked = jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], -1)
        return -jnp.mean(picked)

    return loss


def update_of(row: Row):
    """(params, state, gradients) → params, state; the state is a list of tuples of arrays."""
    how = row.optimizer
    if isinstance(how, SGD):

        def sgd(params, state, grads):
            (v,) = state
            v = [how.momentum * v - how.lr * g for v, g in zip(v, grads, strict=True)]
            return [p + v for p, v in zip(params, v, strict=True)], (v,)

        return sgd

    def adam(params, state, grads):
        m, v, t = state
        t = t + 1
        m = [how.beta_1 * m + (1 - how.beta_1) * g for m, g in zip(m, grads, strict=True)]
        v = [how.beta_2 * v + (1 - how.beta_2) * g * g for v, g in zip(v, grads, strict=True)]
        lr = how.lr * jnp.sqrt(1 - how.beta_2**t) / (1 - how.beta_1**t)
        moved = [
            p - lr * m / (jnp.sqrt(v) + how.epsilon) for p, m, v in zip(params, m, v, strict=True)
        ]
        return moved, (m, v, t)

    return adam


def jitted(row: Row) -> Loop:
    loss, update = loss_of(row), update_of(row)

    def whole(params, state, x, y):
        value, grads = jax.value_and_grad(loss)(params, x, y)
        params, state = update(params, state, grads)
        return params, state, value

    compiled = jax.jit(whole, donate_argnums=(0, 1))
    params: Any = [jnp.asarray(w) for w in weights(row)]
    state: Any = ([jnp.zeros_like(w) for w in params],)
    if not isinstance(row.optimizer, SGD):
        state = (*state, [jnp.zeros_like(w) for w in params], jnp.float32(0))

    def step(x, y):
        nonlocal params, state
        params, state, value = compiled(params, state, x, y)
        return value

    def gradients() -> list[Array]:
        """After the first step, from the mean that the optimizer keeps."""
        how = row.optimizer
        share = -how.lr if isinstance(how, SGD) else 1 - how.beta_1
        return [np.asarray(m) / np.float32(share) for m in state[0]]

    given = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(row)]
    return Loop(step, given, gradients, wait=lambda loss: jax.block_until_ready((params, loss)))
