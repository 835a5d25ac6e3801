"""Updates of optimizers, with what stands around each: decay, clipping, a moving average."""

import numpy as np

from backprop.kernels.compiled.compiler import (
    EXACT,
    Flag,
    Kind,
    Number,
    Vector,
    given,
    inlined,
    loop,
    optional,
)

Share = Kind(0, ("float64",))  # of a mean: in float32, 1 - 0.999 would have lost three digits
AROUND = (Number, Number, Number, optional(Vector), Share)


@inlined
def shares(beta, w):
    """beta and 1 - beta, in the dtype of w."""
    return w.dtype.type(beta), w.dtype.type(1 - beta)


@inlined
def clipped(g, limit):
    """NaN stays NaN, as everywhere below."""
    g = -limit if g < -limit else g
    return limit if g > limit else g


@inlined
def larger(a, b):
    return a if a >= b or a != a else b


@inlined
def decayed(w, decay):
    return w - decay * w if decay != 0 else w  # infinity stays where nothing decays


@inlined
def put(w, average, i, value, keep, new):
    """The new value, and the average that follows it."""
    w[i] = value
    if average is not None:
        average[i] = keep * average[i] + new * value if keep != 0 else value


# ------------------------------------------------------------------------------ along the gradient


@loop(Vector, given(Vector), optional(Vector), Vector, Number, Number, Flag, *AROUND, flags=EXACT)
def sgd(w, g, v, t, rate, momentum, nesterov, factor, limit, decay, average, ema):
    keep, new = shares(ema, w)
    for i in range(w.size):
        d = rate * clipped(factor * g[i], limit)
        x = decayed(w[i], decay)
        if v is None:
            x -= d
        else:
            v[i] = momentum * v[i] - d
            x += momentum * v[i] - d if nesterov else v[i]
        put(w, average, i, x, keep, new)


@loop(Vector, given(Vector), Vector, Vector, Vector, Share, Share, Number, *AROUND, flags=EXACT)
def lion(w, g, m, s, t, b1, b2, rate, factor, limit, decay, average, ema):
    one, minus = w.dtype.type(1), w.dtype.type(-1)
    (b1, new_1), (b2, new_2), (keep, new) = shares(b1, w), shares(b2, w), shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        d = b1 * m[i] + new_1 * x
        sign = one if d > 0 else (minus if d < 0 else d)
        m[i] = b2 * m[i] + new_2 * x
        put(w, average, i, decayed(w[i], decay) - rate * sign, keep, new)


# ----------------------------------------------------------------- divided by the size of gradients

FOUR = (Number,) * 4


@loop(Vector, given(Vector), Vector, Vector, optional(Vector), Vector, *FOUR, *AROUND, flags=EXACT)
def adam(w, g, m, v, hat, t, b1, b2, shift, rate, factor, limit, decay, average, ema):
    keep, new = shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        m[i] = b1 * m[i] + x
        v[i] = b2 * v[i] + x * x
        square = v[i]
        if hat is not None:
            hat[i] = square = larger(hat[i], square)
        x = decayed(w[i], decay) - rate * (m[i] / (np.sqrt(square) + shift))
        put(w, average, i, x, keep, new)


@loop(
    Vector,
    given(Vector),
    Vector,
    Vector,
    Vector,
    Share,
    Number,
    Number,
    Number,
    *AROUND,
    flags=EXACT,
)
def adamax(w, g, m, u, t, b1, b2, epsilon, rate, factor, limit, decay, average, ema):
    (b1, new_1), (keep, new) = shares(b1, w), shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        m[i] = b1 * m[i] + new_1 * x
        u[i] = larger(b2 * u[i], abs(x))
        x = decayed(w[i], decay) - rate * (m[i] / (u[i] + epsilon))
        put(w, average, i, x, keep, new)


@loop(
    *(Vector, given(Vector), Vector, Vector, Vector, Vector),
    *(Share, Share, Number, Number, Number),
    *AROUND,
    flags=EXACT,
)
def nadam(w, g, m, v, s, t, b1, b2, shift, ratio, rate, factor, limit, decay, average, ema):
    (b1, new_1), (b2, new_2), (keep, new) = shares(b1, w), shares(b2, w), shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        m[i] = b1 * m[i] + new_1 * x
        v[i] = b2 * v[i] + new_2 * (x * x)
        x = decayed(w[i], decay) - rate * ((ratio * m[i] + x) / (np.sqrt(v[i]) + shift))
        put(w, average, i, x, keep, new)


@loop(
    *(Vector, given(Vector), Vector, Vector, Vector),
    *(Share, Number, Number, Number, Number, Number, Number),
    *AROUND,
    flags=EXACT,
)
def schedule_free(
    w, g, z, v, t, b2, of_z, keep, of_new, scale, epsilon, rate, factor, limit, decay, average, ema
):
    (b2, new_2), (stays, new) = shares(b2, w), shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        v[i] = b2 * v[i] + new_2 * (x * x)
        value = keep * (decayed(w[i], decay) - of_z * z[i])
        z[i] -= rate * (x / (scale * np.sqrt(v[i]) + epsilon))
        put(w, average, i, value + of_new * z[i], stays, new)


@loop(
    *(Vector, given(Vector), Vector, optional(Vector), optional(Vector), Vector),
    *(Share, Number, Number, Number),
    *AROUND,
    flags=EXACT,
)
def rmsprop(w, g, v, b, a, t, rho, momentum, epsilon, rate, factor, limit, decay, average, ema):
    (rho, rest), (keep, new) = shares(rho, w), shares(ema, w)
    zero = w.dtype.type(0)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        v[i] = rho * v[i] + rest * (x * x)
        square = v[i]
        if a is not None:
            a[i] = rho * a[i] + rest * x
            square = larger(square - a[i] * a[i], zero)
        d = rate * (x / np.sqrt(square + epsilon))
        if b is not None:
            b[i] = d = momentum * b[i] + d
        put(w, average, i, decayed(w[i], decay) - d, keep, new)


@loop(Vector, given(Vector), Vector, Vector, Number, Number, *AROUND, flags=EXACT)
def adagrad(w, g, a, t, epsilon, rate, factor, limit, decay, average, ema):
    keep, new = shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        a[i] += x * x
        x = decayed(w[i], decay) - rate * (x / np.sqrt(a[i] + epsilon))
        put(w, average, i, x, keep, new)


@loop(
    *(Vector, given(Vector), Vector, Vector, Vector, Vector),
    *(Share, Number, Number),
    *AROUND,
    flags=EXACT,
)
def adadelta(w, g, v, s, d, t, rho, epsilon, rate, factor, limit, decay, average, ema):
    (rho, rest), (keep, new) = shares(rho, w), shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        v[i] = rho * v[i] + rest * (x * x)
        x *= np.sqrt((s[i] + epsilon) / (v[i] + epsilon))
        s[i] = rho * s[i] + rest * (x * x)
        put(w, average, i, decayed(w[i], decay) - rate * x, keep, new)


@inlined
def raised(x, p):
    return np.sqrt(x) if p == 0.5 else x**p


@loop(
    *(Vector, given(Vector), Vector, Vector, Vector, Vector),
    *(Number, Number, Number, Number, Number),
    *AROUND,
    flags=EXACT,
)
def ftrl(w, g, n, z, s, t, p, l1, shrinkage, steep, lr, factor, limit, decay, average, ema):
    keep, new = shares(ema, w)
    for i in range(w.size):
        x = clipped(factor * g[i], limit)
        value = decayed(w[i], decay)
        was = raised(n[i], p)
        n[i] += x * x
        root = raised(n[i], p)
        z[i] += x + ((was - root) / lr + shrinkage) * value
        below = root / lr + steep
        if below != 0:
            value = (clipped(z[i], l1) - z[i]) / below
        put(w, average, i, value, keep, new)
