"""The settings of the process: the dtype that is meant where none is given, and what is fixed."""

import numpy as np
import pytest

import backprop as bp
from backprop.layers import LSTM, BatchNormalization, Conv1D, Dense, Embedding


@pytest.fixture
def float64():
    bp.config.set_floatx("float64")
    yield
    bp.config.set_floatx("float32")


def test_float32_is_meant_unless_told_otherwise():
    assert bp.config.floatx() == bp.backend.floatx() == "float32"


@pytest.mark.parametrize(
    "layer", [Dense(2), Conv1D(2, 2), LSTM(2), BatchNormalization()], ids=lambda x: type(x).__name__
)
def test_layers_made_in_float64_have_float64_weights(float64, layer):
    y = layer(np.ones((2, 4, 3), np.float32))

    assert {w.dtype for w in layer.weights} == {np.dtype("float64")}
    assert y.dtype == layer.output.dtype == np.float64


def test_models_made_in_float64_compute_in_it(float64):
    model = bp.Sequential([bp.Input((4,), dtype="int32"), Embedding(5, 3), LSTM(2), Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4), int), np.ones((8, 1)), verbose=0)

    assert model.parameters.values.dtype == model.parameters.gradients.dtype == np.float64
    assert model.predict(np.ones((2, 4), int), verbose=0).dtype == np.float64
    assert model.dtype == np.float64


def test_initializers_draws_and_inputs_follow(float64):
    assert bp.initializers.HeNormal()((2, 2)).dtype == np.float64
    assert bp.random.normal((2,)).dtype == np.float64
    assert bp.Variable(1.0).dtype == np.float64
    assert bp.Input((3,)).dtype == np.float64
    assert bp.utils.standardize_dtype() == "float64"


def test_what_exists_and_what_names_its_dtype_keeps_it(float64):
    named = bp.Sequential([bp.Input((3,)), Dense(2)], dtype="float32")
    bp.config.set_floatx("float32")
    before = bp.Sequential([bp.Input((3,)), Dense(2)])
    bp.backend.set_floatx("float64")

    assert named.parameters.values.dtype == before.parameters.values.dtype == np.float32
    assert before.predict(np.ones((1, 3)), verbose=0).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "double precision", None])
def test_no_other_dtype_is_taken(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64'"):
        bp.config.set_floatx(dtype)
    assert bp.config.floatx() == "float32"


def test_what_is_fixed_can_be_read_and_not_changed():
    assert bp.backend.backend() == bp.config.backend() == "numpy"
    assert bp.backend.epsilon() == bp.config.epsilon() == 1e-7
    assert bp.config.image_data_format() == "channels_last"
    bp.config.set_image_data_format("channels_last")
    bp.config.set_epsilon(1e-7)
    with pytest.raises(ValueError, match="data_format='channels_first'"):
        bp.backend.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match="cannot be changed"):
        bp.config.set_epsilon(1e-3)


def test_clearing_the_session_leaves_models_as_they_are():
    model = bp.Sequential([bp.Input((3,)), Dense(2)])
    y = model.predict(np.ones((1, 3)), verbose=0)

    assert bp.backend.clear_session() is None and bp.utils.clear_session(free_memory=False) is None
    np.testing.assert_array_equal(model.predict(np.ones((1, 3)), verbose=0), y)


def test_both_faces_of_config_are_one_module():
    from backprop.config import Configurable, floatx, get_custom_objects

    assert bp.config.floatx is floatx
    assert bp.config.get_custom_objects is get_custom_objects
    assert issubclass(Dense, Configurable)
