import copy
import json

import numpy as np
import pytest
from finite_differences import assert_gradients
from inputs import drawn
from keras_parity import close, keras_in

import backprop as bp
from backprop.layers import Dense, Embedding, Input, Lambda, TimeDistributed
from backprop.models import Model, Sequential, clone_model
from backprop.testing import axes, layer_laws, sequences, shapes

NO_FILE = {"survives_copy_pickle_config_and_save": "no file holds a function"}
OWN_ERROR = {"a_wrong_rank_or_width_raises_a_clear_error": "it is one of the user's function"}


def square(x):
    return x**2


def square_back(dy, x, y):
    return 2 * x * dy


def scaled(x, scale, shift=0.0):
    return scale * x + shift


def scaled_back(dy, x, y, scale):
    return scale * dy


def outer(ab):
    a, b = ab
    return a[:, :, None] * b[:, None]


def outer_back(dy, ab, y):
    a, b = ab
    return [(dy * b[:, None]).sum(2), (dy * a[:, :, None]).sum(1)]


def halves(x):
    return [x[:, ::2], np.tanh(x)]


def halves_back(dys, x, ys):
    dx = dys[1] * (1 - ys[1] ** 2)
    dx[:, ::2] += dys[0]
    return dx


def mean_of_real(x, mask):
    m = np.ones(x.shape[:2]) if mask is None else mask
    w = m / np.maximum(m.sum(1, keepdims=True), 1)
    return (w[..., None] * x).sum(1)


def mean_of_real_back(dy, x, y, mask):
    m = np.ones(x.shape[:2]) if mask is None else mask
    w = m / np.maximum(m.sum(1, keepdims=True), 1)
    return w[..., None] * dy[:, None]


def no_mask(x, mask):
    return None


test_square = layer_laws(
    lambda: Lambda(square, backward=square_back),
    inputs=shapes(),
    reference=lambda x: x * x,
    expected_failures=NO_FILE,
    profile="quick",
)
test_with_arguments = layer_laws(
    lambda scale: Lambda(scaled, arguments={"scale": scale, "shift": 1}, backward=scaled_back),
    configs={"scale": [2.0, -0.5]},
    inputs=shapes(),
    reference=lambda x, scale: scale * x + 1,
    expected_failures=NO_FILE,
    profile="quick",
)
test_two_inputs = layer_laws(
    lambda: Lambda(outer, backward=outer_back),
    inputs=(axes("batch", "n"), axes("batch", "m")),
    reference=lambda a, b: np.einsum("ni,nj->nij", a, b),
    expected_failures=NO_FILE | OWN_ERROR,
)
test_two_outputs = layer_laws(
    lambda: Lambda(halves, backward=halves_back),
    inputs=shapes(1, 1),
    expected_failures=NO_FILE,
    profile="quick",
)
test_masked = layer_laws(
    lambda: Lambda(mean_of_real, mask=no_mask, backward=mean_of_real_back),
    inputs=sequences(masked=True, allow_empty=True),
    expected_failures=NO_FILE | OWN_ERROR,
)


def test_a_derivative_that_is_wrong_is_seen():
    wrong = Lambda(square, backward=lambda dy, x, y: x * dy)
    report = bp.gradcheck.gradcheck(wrong, drawn((3, 4)))

    assert not report and "2" in str(report.diagnosis)


def test_its_gradients_within_a_model():
    a, b = Input((3,)), Input((2,))
    h = Lambda(outer, backward=outer_back)([Dense(3, "tanh")(a), b])
    model = Model([a, b], TimeDistributed(Dense(2))(h))

    assert_gradients(model, (drawn((4, 3)), drawn((4, 2), 1)))


def test_without_a_backward_it_serves_in_inference_alone_and_before_what_is_trained():
    x, y = drawn((8, 3), dtype=np.float32), drawn((8, 2), 1, dtype=np.float32)
    before = Sequential([Input((3,)), Lambda(lambda x: x / 255), Dense(2)])
    behind = Sequential([Input((3,)), Dense(2), Lambda(np.abs)])
    for model in (before, behind):
        model.compile("sgd", "mse")
    was = behind.get_weights()

    assert np.isfinite(before.fit(x, y, verbose=0).history["loss"]).all()
    assert behind.predict(x, verbose=0).shape == (8, 2) and behind.evaluate(x, y, verbose=0) > 0
    with pytest.raises(
        TypeError, match=r"Lambda\(absolute\) is to pass a gradient back.*backward="
    ):
        behind.fit(x, y, verbose=0)
    for a, b in zip(was, behind.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_trains_where_it_has_one():
    x = drawn((64, 3), dtype=np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]])) ** 2
    model = Sequential([Input((3,)), Dense(1), Lambda(square, backward=square_back)])
    model.compile(bp.optimizers.Adam(0.05), "mse")
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=40, verbose=0)

    assert model.evaluate(x, y, verbose=0) < before / 20


# -------------------------------------------------------------------------------- beside Keras

FUNCTIONS = {
    "elementwise": (lambda x: x**2 + 1, {"output_shape": (2, 3)}),
    "shape": (lambda x: x[:, 1:], {}),
    "arguments": (scaled, {"arguments": {"scale": 3.0}, "output_shape": (2, 3)}),
    "told shape": (lambda x: x.reshape(-1, 6), {"output_shape": (6,)}),
    "shape by function": (lambda x: x[:, :1], {"output_shape": lambda s: (s[0], 1, s[2])}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_keras(name, dtype):
    function, options = FUNCTIONS[name]
    x = drawn((4, 2, 3), dtype=dtype)
    with keras_in(dtype) as keras:
        theirs = keras.layers.Lambda(function, dtype=dtype, **options)
        wanted, shape = np.asarray(theirs(x)), theirs.compute_output_shape((None, 2, 3))
    ours = Lambda(function, dtype=dtype, **options)

    np.testing.assert_allclose(ours(x), wanted, **close(dtype))
    assert ours.compute_output_shape((None, 2, 3)) == tuple(shape)


# -------------------------------------------------------------------------------- shapes, masks


@pytest.mark.parametrize(
    ("function", "shape", "wanted"),
    [
        (lambda x: x.sum(1), (None, None, 3), (None, 3)),
        (lambda x: x.swapaxes(1, 2), (None, None, 3), (None, 3, None)),
        (lambda x: np.concatenate([x, x], 1), (None, None, 3), (None, None, 3)),
        (lambda x: np.log(0 * x) / 0, (None, 4), (None, 4)),
        (lambda x: [x, x[:, 0]], (None, 4), ((None, 4), (None,))),
        (lambda ab: ab[0] + ab[1], ((None, 4), (None, 1)), (None, 4)),
    ],
)
def test_the_shape_is_found_by_trying(function, shape, wanted):
    assert Lambda(function).compute_output_shape(shape) == wanted


def test_a_function_that_cannot_be_tried_is_told_what_to_say():
    with pytest.raises(ValueError, match=r"tried on ones .* Give it output_shape="):
        Lambda(lambda x: x.reshape(-1, 7)).compute_output_shape((None, 3))


def test_several_shapes_may_be_told():
    layer = Lambda(lambda x: [x[:, :1], x], output_shape=[(1,), (3,)])

    assert layer.compute_output_shape((None, 3)) == ((None, 1), (None, 3))
    assert Lambda(lambda x: x, 3).compute_output_shape((5, 3)) == (5, 3)


def test_a_mask_ends_here_or_is_what_mask_says():
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    x = Embedding(7, 5, mask_zero=True)(tokens)
    ends, goes_on = Lambda(square), Lambda(square, mask=lambda x, mask: mask)
    fixed = Lambda(square, mask=[[True, False, True]])

    assert ends.compute_mask(x, tokens != 0) is None
    np.testing.assert_array_equal(goes_on.compute_mask(x, tokens != 0), tokens != 0)
    np.testing.assert_array_equal(fixed.compute_mask(x, None), [[True, False, True]])
    with pytest.warns(UserWarning, match="does not use it"):
        ends(x, mask=tokens != 0)


def test_the_function_is_given_mask_and_training_where_it_names_them():
    seen = []

    def look(x, mask, training):
        seen.append((mask, training))
        return x

    layer = Lambda(look, output_shape=(2, 3))
    layer(np.ones((1, 2, 3)), training=True, mask=np.array([[True, False]]))

    np.testing.assert_array_equal(seen[-1][0], [[True, False]])
    assert seen[-1][1] is True


def test_y_has_the_dtype_of_the_layer_and_memory_of_its_own():
    layer = Lambda(lambda x: x[::-1] if x.ndim else x)
    x = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    y = layer(x)
    y[:] = 7

    assert y.dtype == np.float32 and x[0, 1] == 1
    assert Lambda(lambda x: x > 1)(x).dtype == np.float32
    assert Lambda(lambda x: x * np.float64(2))(x).dtype == np.float32


def test_x_is_not_to_be_written_to():
    def spoil(x):
        x *= 2
        return x

    with pytest.raises(ValueError, match="read-only"):
        Lambda(spoil, output_shape=(3,))(np.ones((2, 3)))


# -------------------------------------------------------------------------------- copies, files


def model_with_a_lambda():
    return Sequential([Input((3,)), Dense(2), Lambda(square, backward=square_back, name="two")])


def test_a_copy_and_a_clone_have_the_function(tmp_path):
    model, x = model_with_a_lambda(), drawn((4, 3), dtype=np.float32)
    twin, clone = copy.deepcopy(model), clone_model(model)
    clone.set_weights(model.get_weights())
    model.save_weights(tmp_path / "two.npz")
    fresh = model_with_a_lambda()
    fresh.load_weights(tmp_path / "two.npz")

    for other in (twin, clone, fresh):
        np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert clone.layers[-1] is not model.layers[-1] and clone.layers[-1].name == "two"


@pytest.mark.parametrize(
    "write",
    [
        lambda model, folder: model.save(folder / "model.npz"),
        lambda model, folder: model.to_json(),
        lambda model, folder: model.get_config(),
        lambda model, folder: model.layers[-1].get_config(),
    ],
)
def test_it_is_never_written(write, tmp_path):
    with pytest.raises(ValueError, match="no file or configuration holds code"):
        write(model_with_a_lambda(), tmp_path)

    assert not list(tmp_path.iterdir())


def test_it_is_never_read():
    model = Sequential([Input((3,)), Dense(2, name="two")])
    config = model.to_json().replace('"class_name": "Dense"', '"class_name": "Lambda"')
    assert "Lambda" in config

    with pytest.raises(ValueError, match="not read from a file"):
        bp.models.model_from_json(config)
    with pytest.raises(ValueError, match="not read from a file"):
        bp.layers.deserialize({"class_name": "Lambda", "config": json.loads("{}")})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lambda(7), "a function of x, got 7"),
        (lambda: Lambda(Dense(3)), "a layer stands by itself"),
        (lambda: Lambda(square, backward=7), "backward(dy, x, y) to be callable"),
        (lambda: Lambda(lambda x: "y")(np.ones((2, 3))), "returned a str as y"),
        (lambda: Lambda(lambda x: None, (3,))(np.ones((2, 3))), "None"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()

    assert message in str(error.value)


def test_a_backward_that_returns_nothing_is_named():
    model = Sequential([Input((3,)), Dense(2), Lambda(square, backward=lambda dy, x, y: None)])
    model.compile("sgd", "mse")

    with pytest.raises(TypeError, match="returned None"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
