"""Central differences along random directions, in float64: the plain check that certifies
derivatives in these tests."""

from __future__ import annotations

import copy

import numpy as np

from backprop.layer import Context, Layer
from backprop.nest import as_tuple, each

Array = np.ndarray


def assert_gradients(layer: Layer, x: Array, *, training=True, mask=None, seed=0, tol=1e-6):
    """The layer's dx and every parameter's gradient agree with central differences of <v, y> +
    penalties.

    A layer that is not built yet is built in float64. Random draws are repeated for every
    evaluation, buffers are put back. Of several inputs, tuples, each is moved that is of floats,
    and of several outputs each has a v.
    """
    x = each(np.asarray, x)
    layer = in_float64(layer, x)
    rng = np.random.default_rng(seed)
    x = each(lambda a: a if a.dtype.kind in "iub" and kept(layer) else a.astype(np.float64), x)
    randomise(layer, rng)
    saved = snapshot(layer)

    def run(value=x):
        restore(saved)
        ctx = Context(training, mask, penalties=[])
        y, cache = layer.forward(value, ctx)
        return y, cache, sum(ctx.penalties)

    y, cache, _ = run()
    v = each(lambda a: rng.standard_normal(a.shape), y)
    dx = layer.backward(v, cache)
    values = [p for p in layer.arrays() if p.gradient is not None]
    gradients = [p.gradient.copy() for p in values]

    def objective(value=x):
        y, _, penalty = run(value)
        return sum((v * y).sum() for v, y in pairs(v, y)) + penalty

    for i, (a, da) in enumerate(pairs(x, dx)):
        if a is None or a.dtype.kind != "f" or not a.size:
            continue

        def at(t, u, i=i, a=a):
            return objective(
                a + t * u if type(x) is not tuple else (*x[:i], a + t * u, *x[i + 1 :])
            )

        assert_slope(at, da, rng, tol, f"dx{i or ''} of {layer!r}")
    for i, p in enumerate(values):

        def moved(t, u, i=i):
            before = saved[0][i]
            saved[0][i] = before + t * u
            try:
                return objective()
            finally:
                saved[0][i] = before

        assert_slope(moved, gradients[i], rng, tol, f"d{p.path} of {layer!r}")
    restore(saved)


def assert_loss_gradient(loss, y_true, y_pred, *, sample_weight=None, seed=0, tol=1e-6):
    """dy_pred of a loss agrees with central differences of its value."""
    y_pred = np.asarray(y_pred, np.float64)
    _, cache = loss.forward(y_true, y_pred, sample_weight)
    dy = loss.backward(cache)
    rng = np.random.default_rng(seed)

    def value(t, u):
        return np.sum(loss.forward(y_true, y_pred + t * u, sample_weight)[0])

    assert_slope(value, dy, rng, tol, f"dy_pred of {loss!r}")


def assert_slope(f, gradient, rng, tol, what, directions=3):
    """(f(h, u) - f(-h, u)) / 2h = <gradient, u> along random directions u, within tol of the terms'
    size."""
    for _ in range(directions):
        u = rng.choice([-1.0, 1.0], gradient.shape) * rng.uniform(0.5, 1.5, gradient.shape)
        wanted = float((gradient * u).sum())
        scale = float(np.abs(gradient * u).sum()) + 1e-3
        errors = []
        for h in (1e-3, 1e-4, 1e-5):  # fourth order: curvature does not decide
            slope = (8 * (f(h, u) - f(-h, u)) - (f(2 * h, u) - f(-2 * h, u))) / (12 * h)
            errors.append(abs(slope - wanted) / scale)
            if errors[-1] < tol:
                break
        else:
            raise AssertionError(f"{what}: off by {min(errors):.1e} of its size {scale:.3g}")


def in_float64(layer: Layer, x: Array) -> Layer:
    layer = copy.deepcopy(layer)
    if layer.built:
        return layer.astype("float64")
    layer.dtype = np.dtype("float64")
    layer.build(each(lambda a: (None, *a.shape[1:]), x))
    return layer


def kept(layer: Layer) -> bool:
    """Whether integers and booleans go in as they are."""
    return bool(layer.integer_input) or layer.several_inputs


def pairs(a, b):
    return zip(as_tuple(a), as_tuple(b), strict=True)


def randomise(layer: Layer, rng) -> None:
    """Generic values: at gamma = 1 or bias = 0 mistakes are invisible."""
    for p in layer.arrays():
        if p.gradient is not None:
            p.value[...] += 0.3 * rng.standard_normal(p.shape)


def snapshot(layer: Layer):
    """What passes read and move, by kind: parameters; buffers, and what the layer carries from call
    to call; generators. And copies of what is in them."""
    parameters = [p for p in layer.arrays() if p.gradient is not None]
    buffers = [*(p for p in layer.arrays() if p.gradient is None), *layer.states_kept()]
    generators = [part.rng.bit_generator for part in layer.walk()]
    values = [p.value.copy() for p in parameters]
    moved = [p.value.copy() for p in buffers]
    return values, moved, [g.state for g in generators], (parameters, buffers, generators)


def restore(saved) -> None:
    values, moved, states, (parameters, buffers, generators) = saved
    for p, value in zip((*parameters, *buffers), (*values, *moved), strict=True):
        p.value[...] = value
    for generator, state in zip(generators, states, strict=True):
        generator.state = state
