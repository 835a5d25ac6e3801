"""Keras on JAX as a peer for gradients: a script of its own, as an engine is chosen once for a
process."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

needs_keras_on_jax = pytest.mark.skipif(
    find_spec("keras") is None or find_spec("jax") is None, reason="Keras on JAX is not installed"
)

SCRIPT = """
import json, sys
import jax, keras, numpy as np
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # without TensorFlow it is float32
found, cases = {}, json.loads(sys.argv[1])
with np.load(sys.argv[2]) as given:
    for dtype in ("float32", "float64"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        for name, (expression, inputs) in cases.items():
            x = [given[f"{name} x{i}"].astype(dtype) for i in range(inputs)]
            run = eval(expression)
            y, back = jax.vjp(lambda *x: run(list(x)), *map(jax.numpy.asarray, x))
            found[f"{name} {dtype} y"] = y
            dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype)
            for i, dx in enumerate(back(jax.numpy.asarray(dy))):
                found[f"{name} {dtype} dx{i}"] = dx
np.savez(sys.argv[3], **found)
"""


def gradient_from_above(y):
    """The dy with which the script goes back."""
    return np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)


def run_in_keras(cases, folder):
    """y and every dx of Keras' layers.

    Parameters
    ----------
    cases : dict of str to (str, list of ndarray)
        An expression in `keras` that makes a layer, or a function of a list of arrays; and these.
    folder : Path

    Returns
    -------
    dict
        By ``"name float32 y"`` and ``"name float32 dx0"``, and so on.
    """
    given = {f"{name} x{i}": x for name, (_, xs) in cases.items() for i, x in enumerate(xs)}
    np.savez(folder / "given.npz", **given)
    asked = {name: (expression, len(xs)) for name, (expression, xs) in cases.items()}
    files = [str(folder / "given.npz"), str(folder / "found.npz")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(asked), *files],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(files[1]) as found:
        return dict(found)
