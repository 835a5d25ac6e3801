"""Losses beside exact values where numbers nearly cancel: near targets, and certain predictions."""

import numpy as np
import pytest

from backprop import losses

mpmath = pytest.importorskip("mpmath", reason="exact values are mpmath's")
mp = mpmath.mp.clone()
mp.dps = 60
DTYPES = ["float32", "float64"]
ERRORS = [0.0, 1e-8, 1e-4, 0.03, 0.9, 0.999, 1.001, 3.0, 40.0, 1e4]


def exact(function, *columns):
    rows = zip(*(np.ravel(c).tolist() for c in columns), strict=True)
    return np.array([float(function(*map(mp.mpf, row))) for row in rows])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_log_cosh_of_small_errors_keeps_its_digits(dtype, sign):
    d = sign * np.array(ERRORS, dtype)[:, None]
    loss = losses.LogCosh(reduction="none")

    value, cache = loss.forward(np.zeros_like(d), d)

    rtol = 6 * np.finfo(dtype).eps
    np.testing.assert_allclose(value, exact(lambda x: mp.log(mp.cosh(x)), d), rtol=rtol)
    np.testing.assert_allclose(loss.backward(cache)[:, 0], exact(mp.tanh, d), rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [1e-5, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("ratio", [1e-3, 0.5, 0.999, 1.0, 1.0001, 2.0, 1e4])
def test_the_logarithmic_error_keeps_its_digits_near_the_target(t, ratio, dtype):
    y_true, y_pred = np.array([[t]], dtype), np.array([[t * ratio]], dtype)
    loss = losses.MeanSquaredLogarithmicError(reduction="none")

    value, cache = loss.forward(y_true, y_pred)

    def log_ratio(t, p):
        return mp.log((1 + max(p, mp.mpf(1e-7))) / (1 + max(t, mp.mpf(1e-7))))

    rtol = 12 * np.finfo(dtype).eps
    right = exact(lambda t, p: log_ratio(t, p) ** 2, y_true, y_pred)
    slope = exact(lambda t, p: 2 * log_ratio(t, p) / (1 + p), y_true, y_pred)
    np.testing.assert_allclose(value, right, rtol=rtol)
    if y_pred > 1e-7:
        np.testing.assert_allclose(loss.backward(cache)[:, 0], slope, rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [0.0, 1.0, 0.3])
def test_binary_crossentropy_has_a_slope_however_certain_the_logit_is(t, dtype):
    z = np.array([-80.0, -30, -17, -2, -1e-3, 0, 1e-3, 2, 17, 30, 80], dtype)[:, None]
    loss = losses.BinaryCrossentropy(from_logits=True, reduction="none")
    value, cache = loss.forward(np.full_like(z, t), z)
    t = mp.mpf(float(np.dtype(dtype).type(t)))

    dz = loss.backward(cache)[:, 0]

    right = exact(lambda x: (1 - t) / (1 + mp.exp(-x)) - t / (1 + mp.exp(x)), z)
    cost = exact(lambda x: (1 - t) * mp.log1p(mp.exp(x)) + t * mp.log1p(mp.exp(-x)), z)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(dz, right, rtol=8 * eps, atol=2 * eps if t not in (0, 1) else 0)
    np.testing.assert_allclose(value, cost, rtol=8 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", [0.0, 1.0, 10.0, 18.0, 40.0, 80.0])
@pytest.mark.parametrize("kind", ["sparse", "one-hot", "other axis"])
def test_crossentropy_of_logits_has_a_slope_however_certain_they_are(kind, gap, dtype):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((6, 4)).astype(dtype)
    labels = rng.integers(4, size=6)
    z[np.arange(6), labels] += gap
    y_true, axis = (labels, -1) if kind == "sparse" else (np.eye(4, dtype=dtype)[labels], -1)
    y_pred = z
    if kind == "other axis":
        y_true, y_pred, axis = y_true.T[None], z.T[None], 1
    name = "SparseCategoricalCrossentropy" if kind == "sparse" else "CategoricalCrossentropy"
    loss = getattr(losses, name)(True, reduction="none", axis=axis)

    dz = loss.backward(loss.forward(y_true, y_pred)[1])

    dz = dz if kind != "other axis" else dz[0].T
    for row, label, found in zip(z.tolist(), labels, dz, strict=True):
        e = [mp.exp(mp.mpf(x)) for x in row]
        right = [x / sum(e) for x in e]
        right[label] = -sum(e[i] for i in range(4) if i != label) / sum(e)
        np.testing.assert_allclose(
            found, np.array(right, float), rtol=200 * np.finfo(dtype).eps, atol=0
        )


@pytest.mark.parametrize(
    ("label", "logit", "cost", "slope"),
    [
        (1.0, np.inf, 0.0, 0.0),
        (0.0, -np.inf, 0.0, 0.0),
        (0.0, np.inf, np.inf, 1.0),
        (1.0, -np.inf, np.inf, -1.0),
        (0.5, np.inf, np.inf, 0.5),
        (1.0, np.nan, np.nan, np.nan),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_crossentropy_of_an_infinite_logit_is_its_limit(label, logit, cost, slope, dtype):
    loss = losses.BinaryCrossentropy(from_logits=True)

    value, cache = loss.forward(np.array([[label]], dtype), np.array([[logit]], dtype))

    np.testing.assert_equal(float(value), cost)
    np.testing.assert_allclose(loss.backward(cache), [[slope]])
