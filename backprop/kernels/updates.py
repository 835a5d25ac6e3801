"""How optimizers change values, in one pass over all vectors.

The formulas are those of the classes in `backprop.optimizers`. Vectors: (n,), with s and t to work
in; a slot that an optimizer does not keep is None. What every optimizer may do besides stands
around each update, and is told by the five last arguments of all kernels here, an `Around`:

    g ← clip(factor g, ±limit)                      1 and infinity: as it is
    w ← w - decay w
    w ← update(w, g)
    average ← ema average + (1 - ema) w             None: there is none
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop.kernels.switch import kernel

Array = np.ndarray
Around = tuple[float, float, float, Array | None, float]  # factor, limit, decay, average, ema

NOTHING: Around = (1.0, math.inf, 0.0, None, 0.0)


def before(w: Array, g: Array, t: Array, factor: float, limit: float, decay: float) -> Array:
    """Let w decay; returns the gradient as the update is to take it."""
    if decay:
        shrink(w, t, decay)
    if factor != 1:
        g = g * factor
    return g if limit == math.inf else np.clip(g, -limit, limit)


def shrink(w: Array, t: Array, decay: float) -> None:
    """w ← w - decay w; not w *= 1 - decay, as in float32 the rounding of 1 - decay is a part of a
    small decay, and the same for all."""
    np.multiply(w, decay, out=t)
    w -= t


def after(w: Array, t: Array, average: Array | None, ema: float) -> None:
    """Move the average; to w itself where ema is 0."""
    if average is None:
        return
    if ema:
        follow(average, w, ema, t)
    else:
        average[...] = w


def follow(mean: Array, g: Array, beta: float, scratch: Array) -> None:
    """mean ← beta mean + (1 - beta) g."""
    mean *= beta
    np.multiply(g, 1 - beta, out=scratch)
    mean += scratch


def follow_squares(mean: Array, g: Array, beta: float, scratch: Array) -> None:
    """mean ← beta mean + (1 - beta) g²."""
    np.multiply(g, g, out=scratch)
    scratch *= 1 - beta
    mean *= beta
    mean += scratch


# ------------------------------------------------------------------------------ along the gradient


@kernel
def sgd(
    w: Array,
    g: Array,
    v: Array | None,
    t: Array,
    rate: float,
    momentum: float,
    nesterov: bool,
    *around: Any,
) -> None:
    """V ← momentum V - rate g        w ← w + V, or without V: w ← w - rate g

    With `nesterov`: w ← w + momentum V - rate g."""
    g = before(w, g, t, *around[:3])
    np.multiply(g, rate, out=t)
    if v is None:
        w -= t
    else:
        v *= momentum
        v -= t
        if nesterov:
            w -= t
            np.multiply(v, momentum, out=t)
            w += t
        else:
            w += v
    after(w, t, *around[3:])


@kernel
def lion(
    w: Array,
    g: Array,
    m: Array,
    s: Array,
    t: Array,
    b1: float,
    b2: float,
    rate: float,
    *around: Any,
) -> None:
    """w ← w - rate sign(b1 M + (1 - b1) g)        M ← b2 M + (1 - b2) g"""
    g = before(w, g, t, *around[:3])
    np.multiply(m, b1, out=s)
    np.multiply(g, 1 - b1, out=t)
    s += t
    np.sign(s, out=t)  # in place it is 15x slower: NumPy's loop is not vectorised then
    t *= rate
    w -= t
    follow(m, g, b2, t)
    after(w, t, *around[3:])


# ----------------------------------------------------------------- divided by the size of gradients


@kernel
def adam(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    hat: Array | None,
    t: Array,
    b1: float,
    b2: float,
    shift: float,
    rate: float,
    *around: Any,
) -> None:
    """M ← b1 M + g        V ← b2 V + g²        w ← w - rate M / (sqrt(V) + shift)

    With `hat` its root: hat ← max(hat, V)."""
    g = before(w, g, t, *around[:3])
    m *= b1
    m += g
    np.multiply(g, g, out=t)
    v *= b2
    v += t
    if hat is not None:
        v = np.maximum(hat, v, out=hat)
    np.sqrt(v, out=t)
    t += shift
    np.divide(m, t, out=t)
    t *= rate
    w -= t
    after(w, t, *around[3:])


@kernel
def adamax(
    w: Array,
    g: Array,
    m: Array,
    u: Array,
    t: Array,
    b1: float,
    b2: float,
    epsilon: float,
    rate: float,
    *around: Any,
) -> None:
    """M ← b1 M + (1 - b1) g        u ← max(b2 u, |g|)        w ← w - rate M / (u + epsilon)"""
    g = before(w, g, t, *around[:3])
    follow(m, g, b1, t)
    u *= b2
    np.abs(g, out=t)
    np.maximum(u, t, out=u)
    np.add(u, epsilon, out=t)
    np.divide(m, t, out=t)
    t *= rate
    w -= t
    after(w, t, *around[3:])


@kernel
def nadam(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    s: Array,
    t: Array,
    b1: float,
    b2: float,
    shift: float,
    ratio: float,
    rate: float,
    *around: Any,
) -> None:
    """M ← b1 M + (1 - b1) g        V ← b2 V + (1 - b2) g²

    w ← w - rate (ratio M + g) / (sqrt(V) + shift)"""
    g = before(w, g, t, *around[:3])
    follow(m, g, b1, t)
    follow_squares(v, g, b2, t)
    np.sqrt(v, out=s)
    s += shift
    np.multiply(m, ratio, out=t)
    t += g
    t /= s
    t *= rate
    w -= t
    after(w, t, *around[3:])


@kernel
def schedule_free(
    w: Array,
    g: Array,
    z: Array,
    v: Array,
    t: Array,
    b2: float,
    of_z: float,
    keep: float,
    of_new: float,
    scale: float,
    epsilon: float,
    rate: float,
    *around: Any,
) -> None:
    """V ← b2 V + (1 - b2) g²        z' = z - rate g / (scale sqrt(V) + epsilon)

    w ← keep (w - of_z z) + of_new z'        z ← z'"""
    g = before(w, g, t, *around[:3])
    np.multiply(z, of_z, out=t)
    w -= t
    w *= keep
    follow_squares(v, g, b2, t)
    np.sqrt(v, out=t)
    t *= scale
    t += epsilon
    np.divide(g, t, out=t)
    t *= rate
    z -= t
    np.multiply(z, of_new, out=t)
    w += t
    after(w, t, *around[3:])


@kernel
def rmsprop(
    w: Array,
    g: Array,
    v: Array,
    b: Array | None,
    a: Array | None,
    t: Array,
    rho: float,
    momentum: float,
    epsilon: float,
    rate: float,
    *around: Any,
) -> None:
    """V ← rho V + (1 - rho) g²        d = rate g / sqrt(V + epsilon)        w ← w - d

    With b: b ← momentum b + d, and w ← w - b. With a: a ← rho a + (1 - rho) g, and V - a² for V."""
    g = before(w, g, t, *around[:3])
    follow_squares(v, g, rho, t)
    if a is None:
        np.add(v, epsilon, out=t)
    else:
        follow(a, g, rho, t)
        np.multiply(a, a, out=t)
        np.subtract(v, t, out=t)
        np.maximum(t, 0, out=t)  # rounding makes the variance of equal gradients negative
        t += epsilon
    np.sqrt(t, out=t)
    np.divide(g, t, out=t)
    t *= rate
    if b is None:
        w -= t
    else:
        b *= momentum
        b += t
        w -= b
    after(w, t, *around[3:])


@kernel
def adagrad(
    w: Array,
    g: Array,
    a: Array,
    t: Array,
    epsilon: float,
    rate: float,
    *around: Any,
) -> None:
    """a ← a + g²        w ← w - rate g / sqrt(a + epsilon)"""
    g = before(w, g, t, *around[:3])
    np.multiply(g, g, out=t)
    a += t
    np.add(a, epsilon, out=t)
    np.sqrt(t, out=t)
    np.divide(g, t, out=t)
    t *= rate
    w -= t
    after(w, t, *around[3:])


@kernel
def adadelta(
    w: Array,
    g: Array,
    v: Array,
    s: Array,
    d: Array,
    t: Array,
    rho: float,
    epsilon: float,
    rate: float,
    *around: Any,
) -> None:
    """V ← rho V + (1 - rho) g²        d = g sqrt((s + epsilon) / (V + epsilon))

    w ← w - rate d        s ← rho s + (1 - rho) d²,  with d to work in, too"""
    g = before(w, g, t, *around[:3])
    follow_squares(v, g, rho, t)
    np.add(s, epsilon, out=d)
    np.add(v, epsilon, out=t)
    d /= t
    np.sqrt(d, out=d)
    d *= g
    follow_squares(s, d, rho, t)
    d *= rate
    w -= d
    after(w, t, *around[3:])


@kernel
def ftrl(
    w: Array,
    g: Array,
    n: Array,
    z: Array,
    s: Array,
    t: Array,
    p: float,
    l1: float,
    shrinkage: float,
    steep: float,
    lr: float,
    *around: Any,
) -> None:
    """n' = n + g²        z ← z + g + (shrinkage - (n'^p - n^p) / lr) w        n ← n'

    w ← (clip(z, ±l1) - z) / (n^p / lr + steep), where that is not divided by 0"""
    g = before(w, g, t, *around[:3])
    raised(n, p, s)
    np.multiply(g, g, out=t)
    n += t
    raised(n, p, t)
    s -= t
    s /= lr
    if shrinkage:
        s += shrinkage
    s *= w
    z += g
    z += s
    t /= lr
    t += steep
    np.clip(z, -l1, l1, out=s)
    s -= z
    np.divide(s, t, out=w, where=t != 0)
    after(w, t, *around[3:])


def raised(x: Array, p: float, out: Array) -> None:
    """out = x^p; the root takes a tenth of the time of a power."""
    if p == 0.5:
        np.sqrt(x, out=out)
    else:
        np.power(x, p, out=out)
