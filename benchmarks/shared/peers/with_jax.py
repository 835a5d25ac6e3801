"""JAX: the whole step as one compiled function that reuses the memory of what it replaces."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shared.peers import Peer, Variants
from shared.peers.jax_layers import Given, chain
from shared.peers.loop import Calls, Loop
from shared.rows import (
    SGD,
    Array,
    Row,
    batches,
    has_softmax,
    questions,
    trained,
    untrained,
    weights,
)


def variants(row: Row, peer: Peer) -> Variants:
    found: Variants = {"jit": lambda: jitted(row)}
    if row.kinds() & {"LSTM", "GRU"}:
        found["jit, unroll 10"] = lambda: jitted(row, unroll=10)
    return found


def predictions(row: Row, peer: Peer) -> Variants:
    found: Variants = {"jit": lambda: answers(row)}
    if row.kinds() & {"LSTM", "GRU"}:
        found["jit, unroll 10"] = lambda: answers(row, unroll=10)
    return found


def answers(row: Row, unroll: int = 1) -> Calls:
    initial = weights(row)
    params = [jnp.asarray(w) for w in trained(row, initial)]
    kept = [jnp.asarray(w) for w in untrained(row, initial)]

    def predict(params, kept, x):
        z = chain(row.layers, x, Given(params, kept, unroll, training=False))
        return jax.nn.softmax(z) if has_softmax(row) else z

    compiled = jax.jit(predict)
    given = [jnp.asarray(x) for x in questions(row)]
    return Calls(lambda x: compiled(params, kept, x), given, wait=jax.block_until_ready)


def loss_of(row: Row, unroll: int):
    """(trained, kept, x, y) → the loss, and what the weights that are not trained become."""

    def loss(trained, kept, x, y):
        given = Given(trained, kept, unroll)
        z = chain(row.layers, x, given)
        if row.loss == "mse":
            value = jnp.mean((z - y) ** 2)
        elif row.loss == "binary":
            value = jnp.mean(jax.nn.softplus(z) - z * y)
        else:
            value = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1))
        return value, given.moved

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


def jitted(row: Row, unroll: int = 1) -> Loop:
    loss, update = loss_of(row, unroll), update_of(row)

    def whole(params, kept, state, x, y):
        (value, kept), grads = jax.value_and_grad(loss, has_aux=True)(params, kept, x, y)
        params, state = update(params, state, grads)
        return params, kept, state, value

    compiled = jax.jit(whole, donate_argnums=(0, 1, 2))
    initial = weights(row)
    params: Any = [jnp.asarray(w) for w in trained(row, initial)]
    kept: Any = [jnp.asarray(w) for w in untrained(row, initial)]
    state: Any = ([jnp.zeros_like(w) for w in params],)
    if not isinstance(row.optimizer, SGD):
        state = (*state, [jnp.zeros_like(w) for w in params], jnp.float32(0))

    def step(x, y):
        nonlocal params, kept, state
        params, kept, state, value = compiled(params, kept, state, x, y)
        return value

    def gradients() -> list[Array]:
        """After the first step, from the mean that the optimizer keeps."""
        how = row.optimizer
        share = -how.lr if isinstance(how, SGD) else 1 - how.beta_1
        return [np.asarray(m) / np.float32(share) for m in state[0]]

    given = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(row)]
    return Loop(step, given, gradients, wait=lambda loss: jax.block_until_ready((params, loss)))
