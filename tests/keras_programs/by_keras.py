"""What Keras makes of the programs: `python -m keras_programs.by_keras DTYPE FILE` writes it down.

The backend is chosen when Keras is imported, and tests have it compute with NumPy's, which does
not train: so this is a process of its own, with `KERAS_BACKEND=jax` and `JAX_ENABLE_X64=1`.
"""

from __future__ import annotations

import inspect
import pickle
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from keras_parity import keras_in

from keras_programs import NAMES, program


def results(keras: Any, name: str, *, fit: bool) -> dict[str, Any]:
    """Weights at the start; outputs, loss and gradients with them; and what became of them."""
    script = program(name)
    model = script.build(keras)
    found = {"start": model.get_weights(), **derivatives(model, script.data())}
    if fit:
        found["history"] = {k: np.array(v) for k, v in script.train(keras, model).items()}
        found["used"] = script.use(keras, model)
        found["end"] = model.get_weights()
    return found


def derivatives(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """y in inference, the loss of a step of training, and dL/dw of all weights."""
    import jax

    x, y, w = given["x"], given["y"], given.get("sample_weight")
    model._symbolic_build(data_batch=(x, y, w))  # the loss and the metrics, as `fit` does first
    others, metrics, optimizer = (
        [v.value for v in variables]
        for variables in (
            model.non_trainable_variables,
            model.metrics_variables,
            model.optimizer.variables,
        )
    )

    def loss(weights):
        return model.compute_loss_and_updates(
            weights, others, metrics, x, y, w, training=True, optimizer_variables=optimizer
        )

    @jax.jit
    def all_at_once(weights):
        (value, _), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        return value, gradients, model.stateless_call(weights, others, x, training=False)[0]

    value, gradients, y_pred = all_at_once([v.value for v in model.trainable_variables])
    return {
        "y": [np.asarray(a) for a in jax.tree.leaves(y_pred)],
        "loss": float(value),
        "gradients": [np.asarray(d) for d in gradients],
    }


def without_float32(keras: Any) -> Any:
    """Attention by Keras' other way, of two: JAX' own has a softmax of float32 in all dtypes."""
    cls = keras.layers.MultiHeadAttention
    original = cls._compute_attention

    def exact(*given, **named):
        call = inspect.signature(original).bind(*given, **named)
        call.arguments["return_attention_scores"] = True
        return original(*call.args, **call.kwargs)

    return mock.patch.object(cls, "_compute_attention", exact)


def draws_of_numpy(keras: Any) -> Any:
    """First weights from NumPy: JAX compiles a function for each shape that it draws."""
    rng = np.random.default_rng(0)

    def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        drawn = rng.uniform(minval, maxval, shape)
        return keras.ops.convert_to_tensor(drawn, dtype or keras.config.floatx())

    return mock.patch.object(keras.src.backend.random, "uniform", uniform)


def main(dtype: str, path: str) -> None:
    with keras_in(dtype) as keras, without_float32(keras), draws_of_numpy(keras):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        found = {name: results(keras, name, fit=dtype == "float64") for name in NAMES}
    Path(path).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
