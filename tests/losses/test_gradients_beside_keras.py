"""Gradients of the losses whose derivation has more than one step, beside JAX' by Keras."""

import numpy as np
from keras_gradients import needs_keras_on_jax, run_in_keras
from keras_parity import close

from backprop import losses

RNG = np.random.default_rng(0)
PREDICTIONS = RNG.uniform(0.05, 0.95, (3, 4, 2))
DRAWN = (RNG.random((3, 4, 2)) > 0.5).astype(float)
POINTS = RNG.standard_normal((6, 3))
POINTS /= 1.1 * np.linalg.norm(POINTS, axis=1)[:, None]
LABELS = np.array([0.0, 1, 0, 2, 1, 0])
CASES = {  # name → a call of the loss, and whether it takes regions
    "Dice": ("Dice(reduction='none', axis=(1, 2))", DRAWN, PREDICTIONS),
    "Dice of a batch": ("Dice()", DRAWN, PREDICTIONS),
    "Tversky": ("Tversky(0.3, 0.8, reduction='none', axis=(1, 2))", DRAWN, PREDICTIONS),
    "Circle": ("Circle(gamma=8.0, margin=0.3)", LABELS, POINTS),
    "Circle with oneself": ("Circle(gamma=80.0, remove_diagonal=False)", LABELS, POINTS),
}


@needs_keras_on_jax
def test_gradients_are_those_of_jax(tmp_path):
    asked = {
        name: (
            f"(lambda x: jax.numpy.atleast_1d(keras.losses.{call[:-1]}"
            f"{', ' if '=' in call or '(0' in call else ''}dtype=dtype)(x[0], x[1])))",
            [y_true, y_pred],
        )
        for name, (call, y_true, y_pred) in CASES.items()
    }
    found = run_in_keras(asked, tmp_path)

    for name, (call, y_true, y_pred) in CASES.items():
        for dtype in ("float32", "float64"):
            loss = eval(f"losses.{call}", {"losses": losses})
            y, p = y_true.astype(dtype), y_pred.astype(dtype)
            value, cache = loss.forward(y, p)
            dvalues = np.cos(np.arange(np.size(value))).reshape(np.shape(value)).astype(dtype)
            tolerance = close(dtype)
            if "80" in call and dtype == "float32":  # exponents of 80 have errors of 1e-5
                tolerance = {"rtol": 1e-3, "atol": 1e-4}
            key = f"{name} {dtype}"
            np.testing.assert_allclose(
                np.atleast_1d(value), found[f"{key} y"], **tolerance, err_msg=key
            )
            np.testing.assert_allclose(
                loss.backward(cache, dvalues), found[f"{key} dx1"], **tolerance, err_msg=key
            )
