"""Files of models of every kind: the same next steps in either library. Of their outputs
test_keras_live.py takes care, where the same files are written and read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import models_of_both as both
import numpy as np
import pytest
from keras_runs import ENGINES, needs_engine

import backprop as bp

pytest.importorskip("h5py")

TESTS = Path(__file__).parent.parent
# the part of Keras: it opens ours and goes on, it makes its own, and writes both
SCRIPT = """
import json, sys, numpy as np, keras, models_of_both as both
from keras_parity import nothing_collected
folder, wanted, found = sys.argv[1], json.loads(sys.argv[2]), {}
for name, make, way in both.cases(keras):
    if name not in wanted:
        continue
    with nothing_collected():
        ours = keras.saving.load_model(f"{folder}/{name}.keras")
    found[f"{name} opened"] = both.predicted(np, name, ours)
    found[f"{name} continued"] = both.trained(np, name, ours)
    ours.save(f"{folder}/{name} continued.keras")
    found[f"{name} continued further"] = both.trained(np, name, ours)
    made = both.stirred(np, make(keras))
    made.compile(**way)
    both.trained(np, name, made)
    made.save(f"{folder}/{name} made.keras")
    found[f"{name} made"] = both.predicted(np, name, made)
    found[f"{name} made further"] = both.trained(np, name, made)
    keras.utils.clear_session()
np.savez(f"{folder}/found.npz", **found)
"""
NAMES = [name for name, _, _ in both.cases(bp)]
# JAX compiles each model anew, which takes minutes for all of them
ON_TORCH = ENGINES[:1] == ["torch"]
TRAINED = [
    *(name for name in NAMES if ON_TORCH or name in both.OPTIMIZERS),
    *("wide_and_deep", "chains_in_chains", "translation", "shared"),
]
TRAINED = [name for name in dict.fromkeys(TRAINED) if not (ON_TORCH and name == both.TORCH_ERRS)]
training = pytest.mark.parametrize("name", TRAINED)


def assert_close(a, b, what):
    size = max(np.abs(b).max(), 1)
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * size, err_msg=what)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of ours after some steps, of Keras after some more, and what both computed."""
    folder, ours = tmp_path_factory.mktemp("both"), {}
    for name, make, way in both.cases(bp):
        if name in TRAINED:
            model = both.stirred(np, make(bp))
            model.compile(**way)
            both.trained(np, name, model)
            model.save(folder / f"{name}.keras")
            ours[f"{name} opened"] = both.predicted(np, name, model)
            ours[f"{name} continued"] = both.trained(np, name, model)
    np.savez(folder / "ours.npz", **ours)
    paths = {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), json.dumps(TRAINED)],
        env=os.environ | {"KERAS_BACKEND": ENGINES[0], "JAX_ENABLE_X64": "1"} | paths,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@needs_engine
@training
def test_keras_goes_on_with_our_next_steps(name, folder):
    with np.load(folder / "ours.npz") as ours, np.load(folder / "found.npz") as theirs:
        for what in ("opened", "continued"):
            assert_close(ours[f"{name} {what}"], theirs[f"{name} {what}"], what)


@needs_engine
@training
@pytest.mark.parametrize("file", ["continued", "made"])
def test_we_go_on_with_the_next_steps_of_keras(name, file, folder):
    model = bp.models.load_model(folder / f"{name} {file}.keras")

    with np.load(folder / "found.npz") as theirs:
        assert_close(both.trained(np, name, model), theirs[f"{name} {file} further"], file)
