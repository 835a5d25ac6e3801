"""Programs for Keras run here, only the import changed, and give the same numbers."""

import functools
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_parity import close
from keras_programs import NAMES, own_layers, program

import backprop as bp

needs_keras = pytest.mark.skipif(
    not (importlib.util.find_spec("jax") and importlib.util.find_spec("keras")),
    reason="Keras trains only with an engine: install jax",
)


@pytest.fixture
def dtype(request):
    bp.config.set_floatx(request.param)
    yield request.param
    bp.config.set_floatx("float32")


@pytest.fixture(scope="module")
def by_keras(tmp_path_factory):
    """What Keras makes of all programs, as a function of the dtype."""
    return functools.cache(lambda dtype: run_by_keras(tmp_path_factory.mktemp("keras"), dtype))


def run_by_keras(folder, dtype):
    path, tests = folder / "programs.pickle", Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "keras_programs.by_keras", dtype, str(path)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
        | {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"},  # else it takes float64 for float32
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return pickle.loads(path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_program_does_what_its_author_wants(name):
    script = program(name)
    bp.utils.set_random_seed(0)
    model = script.build(bp)

    history = script.train(bp, model)

    script.check(history, script.use(bp, model))


@pytest.mark.parametrize("name", NAMES)
def test_program_goes_on_from_a_file(name, tmp_path):
    script = program(name)
    model = script.build(bp)
    model.train_on_batch(**script.data())
    model.save(tmp_path / "model.npz")

    own = {"Divergence": own_layers.Divergence}
    again = bp.models.load_model(tmp_path / "model.npz", custom_objects=own)

    assert_same(script.use(bp, model), script.use(bp, again))
    ours, theirs = (bp.nest.leaves(m.train_on_batch(**script.data())) for m in (model, again))
    np.testing.assert_array_equal(np.hstack(ours), np.hstack(theirs))


@needs_keras
@pytest.mark.parametrize(
    # compiling all of it again in float32 takes JAX a minute
    "dtype",
    [pytest.param("float32", marks=pytest.mark.slow), "float64"],
    indirect=True,
)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_keras(by_keras, name, dtype):
    theirs, script = by_keras(dtype)[name], program(name)
    model = script.build(bp)
    model.set_weights(theirs["start"])
    given = script.data()
    y = bp.nest.leaves(model.predict(given["x"], verbose=0))

    logs = model.train_on_batch(**given, return_dict=True)

    for found, wanted in zip(y, theirs["y"], strict=True):
        real = ... if name != "translation" else given["sample_weight"] > 0  # padding says nothing
        np.testing.assert_allclose(found[real], wanted[real], **close(dtype))
    assert logs["loss"] == pytest.approx(theirs["loss"], rel=close(dtype)["rtol"])
    gradients = [p.gradient for p in model.arrays() if p.trainable]
    assert_all_near(gradients, theirs["gradients"], close(dtype)["rtol"])


@needs_keras
@pytest.mark.parametrize("dtype", ["float64"], indirect=True)
@pytest.mark.parametrize("name", NAMES)
def test_training_and_use_give_the_numbers_of_keras(by_keras, name, dtype):
    theirs, script = by_keras(dtype)[name], program(name)
    model = script.build(bp)
    model.set_weights(theirs["start"])

    history = script.train(bp, model)

    assert history.keys() == theirs["history"].keys()
    assert_same(history, theirs["history"], rtol=1e-5)
    assert_same(script.use(bp, model), theirs["used"], rtol=1e-5)
    assert_all_near(model.get_weights(), theirs["end"], 1e-5)


def assert_same(found, wanted, rtol=1e-7):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert_near(np.asarray(found[name]), values, rtol, name)


def assert_all_near(found, wanted, rtol):
    """Some are 0 but for rounding, such as the gradient of the bias of keys: what is a thousandth
    of the largest is measured by that."""
    floor = 1e-3 * max(np.abs(w).max() for w in wanted)
    for f, w in zip(found, wanted, strict=True):
        assert_near(f, w, rtol, floor=floor)


def assert_near(found, wanted, rtol, name="", floor=0.0):
    """Near, measured by the array's largest number: what is nearly 0 among others may be off by as
    much as these are."""
    size = max(np.abs(wanted).max(), floor)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * size + 1e-12, err_msg=name)
