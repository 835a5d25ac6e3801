"""Activations beside exact values: near 0, in the tails, at infinity, in float32 and float64."""

import numpy as np
import pytest

from backprop import activations
from backprop.layer import Context
from backprop.layers.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    SparsePlus,
    SparseSigmoid,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
)

mpmath = pytest.importorskip("mpmath", reason="exact values are mpmath's")
mp = mpmath.mp.clone()
mp.dps = 80

BACKWARD = Context(backward=True)
INF = np.inf
DTYPES = ["float32", "float64"]


def sigmoid(x):
    return 1 / (1 + mp.exp(-x)) if x > -1e5 else mp.mpf(0)


def bend(x, alpha, inner=1):
    return x if x > 0 else alpha * mp.expm1(x / inner)


def normal(x):
    return mp.ncdf(x) if abs(x) < 300 else mp.mpf(int(x > 0))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 1e5 else x


LAMBDA, ALPHA = mp.mpf(SELU.scale), mp.mpf(SELU.alpha)
SMOOTH = [  # layer, f, f'
    (Sigmoid(), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    (Tanh(), mp.tanh, lambda x: mp.sech(min(abs(x), mp.mpf(1e5))) ** 2),
    (LogSigmoid(), lambda x: -softplus(-x), lambda x: sigmoid(-x)),
    (Softplus(), softplus, sigmoid),
    (Softsign(), lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    (
        SiLU(),
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    ),
    (
        GELU(),
        lambda x: x * normal(x),
        lambda x: normal(x) + (x * mp.npdf(x) if abs(x) < 300 else 0),
    ),
    (
        GELU(approximate=True),
        lambda x: x * sigmoid(twice_u(x)),
        lambda x: sigmoid(twice_u(x)) * (1 + x * sigmoid(-twice_u(x)) * slope_of_twice_u(x)),
    ),
    (
        Mish(),
        lambda x: x * mp.tanh(softplus(x)),
        lambda x: mp.tanh(softplus(x)) + x * sigmoid(x) * mp.sech(min(softplus(x), 1e5)) ** 2,
    ),
    (ELU(), lambda x: bend(x, 1), lambda x: mp.exp(min(x, 0))),
    (ELU(0.5), lambda x: bend(x, 0.5), lambda x: mp.mpf(1) if x > 0 else mp.exp(x) / 2),
    (
        SELU(),
        lambda x: LAMBDA * bend(x, ALPHA),
        lambda x: LAMBDA if x > 0 else LAMBDA * ALPHA * mp.exp(x),
    ),
    (CELU(2.0), lambda x: bend(x, 2, 2), lambda x: mp.exp(min(x, 0) / 2)),
    (Exponential(), mp.exp, mp.exp),
    (TanhShrink(), lambda x: x - mp.tanh(x), lambda x: mp.tanh(x) ** 2),
    (
        Squareplus(),
        lambda x: max(x, 0) + 2 / (mp.hypot(x, 2) + abs(x)),
        lambda x: (max(x, 0) + 2 / (mp.hypot(x, 2) + abs(x))) / mp.hypot(x, 2),
    ),
    (
        HardSigmoid(),
        lambda x: min(max(x / 6 + mp.mpf(1) / 2, 0), 1),
        lambda x: mp.mpf(int(abs(x) < 3)) / 6,
    ),
    (
        HardSiLU(),
        lambda x: x * min(max(x / 6 + mp.mpf(1) / 2, 0), 1),
        lambda x: x / 3 + mp.mpf(1) / 2 if abs(x) < 3 else mp.mpf(int(x > 0)),
    ),
    (
        SparsePlus(),
        lambda x: (x + 1) ** 2 / 4 if abs(x) < 1 else max(x, 0),
        lambda x: (min(max(x, -1), 1) + 1) / 2,
    ),
]
FROM_Y = (Sigmoid, Tanh)  # their slopes know of x what y, rounded to the last place of 1, knows


def twice_u(x):
    return mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3)


def slope_of_twice_u(x):
    return mp.sqrt(8 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x * x)


def in_dtype(layer, dtype):
    twin = type(layer).from_config(layer.get_config())
    twin.dtype = np.dtype(dtype)
    return twin


def values_and_slopes(layer, x):
    twin = in_dtype(layer, x.dtype)
    twin.build((None, x.size))
    y, cache = twin.forward(x[None], BACKWARD)
    return y[0], twin.backward(np.ones_like(y), cache)[0] * np.ones_like(x)


def points(dtype):
    """From the smallest numbers to the largest, and more of them where activations bend."""
    info = np.finfo(dtype)
    steps = 10.0 ** np.arange(-8, 3, 0.37)
    few = [info.smallest_subnormal * 9, info.tiny, 1e-30, 5e-6, 1e30, 0.01, 0.9, 2.9, 2.999, 17, 45]
    x = np.concatenate([steps, few, [float(info.max) / 4]]).astype(dtype)
    return np.concatenate([-x, x])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "f", "df"), SMOOTH, ids=[repr(case[0]) for case in SMOOTH])
def test_values_and_slopes_have_the_digits_that_their_conditioning_leaves(layer, f, df, dtype):
    x = points(dtype)
    info = np.finfo(dtype)

    found = dict(zip(("value", "slope"), values_and_slopes(layer, x), strict=True))

    for name, exact in (("value", f), ("slope", df)):
        for xi, got in zip(x, found[name], strict=True):
            z = mp.mpf(float(xi))
            right = mp.mpf(exact(z))
            if abs(right) > info.max:
                assert np.isinf(got)
                continue
            # what a last place of x makes of y; and of the subnormal numbers the last digit
            moved = max(abs(exact(z * (1 + s * mp.mpf(float(info.eps)))) - right) for s in (-1, 1))
            few = 6 * (moved + info.eps * abs(right)) + 2 * float(info.tiny) * info.eps * 64
            if name == "slope" and isinstance(layer, FROM_Y):
                few += info.eps
            assert abs(mp.mpf(float(got)) - right) <= few, (name, xi, got, float(right))


# f and f' at -∞ and at ∞
LIMITS = [
    (Sigmoid(), (0, 0), (1, 0)),
    (Tanh(), (-1, 0), (1, 0)),
    (LogSigmoid(), (-INF, 1), (0, 0)),
    (Softplus(), (0, 0), (INF, 1)),
    (Softsign(), (-1, 0), (1, 0)),
    (SiLU(), (0, 0), (INF, 1)),
    (GELU(), (0, 0), (INF, 1)),
    (GELU(approximate=True), (0, 0), (INF, 1)),
    (Mish(), (0, 0), (INF, 1)),
    (ELU(), (-1, 0), (INF, 1)),
    (ELU(0.0), (0, 0), (INF, 1)),
    (SELU(), (-SELU.scale * SELU.alpha, 0), (INF, SELU.scale)),
    (CELU(2.0), (-2, 0), (INF, 1)),
    (Exponential(), (0, 0), (INF, INF)),
    (TanhShrink(), (-INF, 1), (INF, 1)),
    (Squareplus(), (0, 0), (INF, 1)),
    (Squareplus(0.25), (0, 0), (INF, 1)),
    (HardSigmoid(), (0, 0), (1, 0)),
    (HardSiLU(), (0, 0), (INF, 1)),
    (HardTanh(), (-1, 0), (1, 0)),
    (SparsePlus(), (0, 0), (INF, 1)),
    (SparseSigmoid(), (0, 0), (1, 0)),
    (SoftShrink(), (-INF, 1), (INF, 1)),
    (SoftShrink(0.0), (-INF, 1), (INF, 1)),
    (HardShrink(), (-INF, 1), (INF, 1)),
    (HardShrink(0.0), (-INF, 1), (INF, 1)),
    (Threshold(1.0, -2.0), (-2, 0), (INF, 1)),
    (Threshold(-1.0, 0.0), (0, 0), (INF, 1)),
    (LeakyReLU(), (-INF, 0.3), (INF, 1)),
    (LeakyReLU(0.0), (0, 0), (INF, 1)),
    (LeakyReLU(2.0), (-INF, 2), (INF, 1)),
    (PReLU("ones"), (-INF, 1), (INF, 1)),
    (ReLU6(), (0, 0), (6, 0)),
    (ReLU(), (0, 0), (INF, 1)),
    (ReLU(4.0), (0, 0), (4, 0)),
    (ReLU(negative_slope=0.5), (-INF, 0.5), (INF, 1)),
    (ReLU(4.0, 0.5), (-INF, 0.5), (4, 0)),
    (ReLU(4.0, 0.0, 1.0), (0, 0), (4, 0)),
    (ReLU(4.0, 0.5, 1.0), (-INF, 0.5), (4, 0)),
    (ReLU(None, 0.5, 1.0), (-INF, 0.5), (INF, 1)),
    (ReLU(threshold=1.0), (0, 0), (INF, 1)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "left", "right"), LIMITS, ids=[repr(c[0]) for c in LIMITS])
def test_at_infinity_stands_the_limit(layer, left, right, dtype):
    for size in (1, 9000):  # pieces are cut out in another way where arrays are large
        x = np.repeat(np.array([-INF, INF], dtype), size)

        y, slope = values_and_slopes(layer, x)

        np.testing.assert_allclose(y[::size], [left[0], right[0]], rtol=1e-6)
        np.testing.assert_allclose(slope[::size], [left[1], right[1]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer", [c[0] for c in LIMITS], ids=repr)
def test_what_is_no_number_goes_through_and_its_neighbours_stay(layer, dtype):
    x = np.array([0.75, np.nan, -0.75], dtype)
    expected, _ = values_and_slopes(layer, x[[0, 2]])

    y, _ = values_and_slopes(layer, x)

    assert np.isnan(y[1])
    np.testing.assert_array_equal(y[[0, 2]], expected)


@pytest.mark.parametrize(
    ("call", "y"),
    [
        (lambda x: activations.relu(x, 0.5, 4.0, 1.0), [-INF, 4]),
        (lambda x: activations.relu(x, max_value=4.0, threshold=1.0), [0, 4]),
        (lambda x: activations.threshold(x, 1.0, -2.0), [-2, INF]),
        (lambda x: activations.leaky_relu(x, 0.0), [0, INF]),
        (activations.soft_shrink, [-INF, INF]),
        (activations.hard_shrink, [-INF, INF]),
        (activations.tanh_shrink, [-INF, INF]),
        (activations.softsign, [-1, 1]),
        (activations.silu, [0, INF]),
        (activations.hard_silu, [0, INF]),
        (activations.mish, [0, INF]),
        (activations.gelu, [0, INF]),
    ],
)
def test_functions_have_the_limits_too(call, y):
    assert call([-INF, INF]).tolist() == y


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gate_that_is_nearly_shut_lets_infinity_through(dtype):
    x = np.array([[INF, -INF, 3.0, 3.0, -30.0, -60.0, -INF, INF]], dtype)
    layer = in_dtype(GLU(), dtype)

    y, cache = layer.forward(x, BACKWARD)
    dx = layer.backward(np.ones_like(y), cache)

    assert y[0].tolist() == [INF, -INF, 0, 3]
    assert dx[0, :2].tolist() == pytest.approx([np.exp(-30.0), np.exp(-60.0)], rel=1e-6)
    assert dx[0, 4:].tolist() == [INF, -INF, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", [1.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_softmax_passes_small_differences_on_where_one_entry_is_nearly_all(axis, gap, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5))
    x[:, 1, 2] += 2 * gap  # the first of its row, of its column and of both
    dy = (1e3 * rng.standard_normal(x.shape)).astype(dtype)
    layer = in_dtype(Softmax(axis), dtype)
    y, cache = layer.forward(x.astype(dtype))
    axes = axis if isinstance(axis, tuple) else (axis,)
    length = np.prod([x.shape[a] for a in axes])

    dx = layer.backward(dy, cache)

    # Σ_j y_i y_j (dy_i - dy_j): no two large numbers are subtracted that are not those given
    def line(a):
        return np.moveaxis(a, axes, range(-len(axes), 0)).reshape(-1, length)

    p, d = (line(a.astype(np.float64)) for a in (y, dy))
    pairs = p[:, :, None] * p[:, None, :] * (d[:, :, None] - d[:, None, :])
    np.testing.assert_allclose(
        line(dx),
        pairs.sum(-1),
        rtol=200 * np.finfo(dtype).eps,
        atol=200 * np.finfo(dtype).eps * np.abs(pairs).sum(-1).min(),
    )


def test_log_softmax_of_minus_infinity_is_minus_infinity():
    layer = LogSoftmax()
    y, cache = layer.forward(np.array([[-INF, 0.0, 0.0]]))

    dx = layer.backward(np.array([[0.0, 1.0, 0.0]]), cache)

    assert y.tolist() == [[-INF, -np.log(2), -np.log(2)]]
    assert dx.tolist() == [[0, 0.5, -0.5]]
