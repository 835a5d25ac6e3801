"""Programs that Keras runs in a process of its own.

Keras needs an engine to train, and the backend is chosen when Keras is imported.
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

ENGINES = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
needs_engine = pytest.mark.skipif(
    not (ENGINES and importlib.util.find_spec("keras")),
    reason="Keras trains only with an engine: install jax or torch",
)

KERAS = """
import json, os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras, numpy as np
{script}
results = {{}}
for dtype in {dtypes}:
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    for case in {cases}:
        keras.utils.set_random_seed(0)
        results[f"{{case}} {{dtype}}"] = run(keras, np, case, dtype, None)
json.dump(results, open(sys.argv[2], "w"))
"""


def runs_of_keras(script, cases, path, dtypes=("float32", "float64")):
    """What `run(k, np, case, dtype, weights)` of a script returns in Keras, of each case in each
    of the dtypes, by ``"case dtype"``."""
    program = KERAS.format(script=script, cases=list(cases), dtypes=dtypes)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, ENGINES[0], str(path)],
        env=os.environ | {"JAX_ENABLE_X64": "1"},  # without it JAX computes float64 in float32
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


def assert_close(ours, theirs, tol, what):
    """Within `tol` of the largest entry: Keras' torch engine holds some constants in float32."""
    size = max(np.abs(theirs).max(), 1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tol * size, err_msg=what)
