"""Products of matrices and remainders between symbolic arrays, nests through Identity, and what
inputs and containers say of themselves."""

import numpy as np
import pytest
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layers import (
    Dense,
    Graph,
    Identity,
    Input,
    InputLayer,
    Matmul,
    MatmulConstant,
    Remainder,
    Softmax,
)
from backprop.models import Model, Sequential


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


C, B = drawn((4, 2), 7), drawn((5, 3), 8)
OPERATORS = {
    "a @ b": ("lambda x: x[0] @ x[1]", ((2, 3, 4), (2, 4, 5))),
    "stretched": ("lambda x: x[0] @ x[1]", ((2, 3, 3, 4), (2, 1, 4, 5))),
    "a @ C": (f"lambda x: x[0] @ np.array({C.tolist()}, x[0].dtype)", ((2, 3, 4),)),
    "B @ a": (f"lambda x: np.array({B.tolist()}, x[0].dtype) @ x[0]", ((2, 3, 4),)),
    "a % c": ("lambda x: x[0] % 0.75", ((2, 3, 4),)),
    "a % -c": ("lambda x: x[0] % -0.75", ((2, 3, 4),)),
}


def model_of(name):
    expression, shapes = OPERATORS[name]
    x = [Input(shape[1:], dtype="float64") for shape in shapes]
    return Model(x, eval(expression)(x), name="operator"), [
        drawn(s, i) for i, s in enumerate(shapes)
    ]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operators_agree_with_keras(name, dtype):
    expression, shapes = OPERATORS[name]
    x = [drawn(s, i, dtype) for i, s in enumerate(shapes)]
    ours = [Input(s[1:], dtype=dtype) for s in shapes]
    made = eval(expression)(ours).layer
    made.adopt_dtype(np.dtype(dtype))
    with keras_in(dtype) as keras:
        if name == "B @ a":  # NumPy asks Keras' symbolic arrays for numbers
            wanted = B.astype(dtype) @ x[0]
        else:
            theirs = [keras.Input(s[1:], dtype=dtype) for s in shapes]
            wanted = keras.Model(theirs, eval(expression)(theirs))(x)

    y = type(made).from_config(made.get_config() | {"dtype": dtype})(x if len(x) > 1 else x[0])
    np.testing.assert_allclose(y, np.asarray(wanted), **close(dtype))


@needs_keras_on_jax
def test_gradients_of_operators_are_those_of_keras(tmp_path):
    asked = {n: (e, model_of(n)[1]) for n, (e, _) in OPERATORS.items()}
    found = run_in_keras(asked, tmp_path)
    for name in OPERATORS:
        model, x = model_of(name)
        layer = model.layers[-1].astype("float64")
        x = tuple(x) if len(x) > 1 else x[0]
        layer(list(x) if type(x) is tuple else x)
        y, cache = layer.forward(x)
        dx = layer.backward(gradient_from_above(y), cache)

        np.testing.assert_allclose(y, found[f"{name} float64 y"], **close("float64"))
        for i, d in enumerate(dx if type(dx) is tuple else (dx,)):
            np.testing.assert_allclose(d, found[f"{name} float64 dx{i}"], rtol=1e-6, atol=1e-10)


def test_attention_by_hand_is_certified_and_saved(tmp_path):
    q, v = Input((3, 4)), Input((5, 4))
    keys = bp.layers.Permute((2, 1))(Dense(4)(v))
    model = Model([q, v], bp.layers.Softmax()(Dense(4)(q) @ keys / 2.0) @ v)
    x = [drawn((2, 3, 4), 0, np.float32), drawn((2, 5, 4), 1, np.float32)]
    model.save(tmp_path / "model.npz")
    read = bp.models.load_model(tmp_path / "model.npz")

    assert gradcheck(model, tuple(x))
    np.testing.assert_array_equal(read.predict(x, verbose=0), model.predict(x, verbose=0))


def test_masked_steps_of_the_second_factor_count_as_nothing():
    a, b = np.ones((1, 2, 3), np.float32), np.array([[[1.0], [2.0], [np.nan]]], np.float32)
    masks = np.array([[True, False]]), np.array([[True, True, False]])
    y = Matmul()([a, b], mask=list(masks))

    np.testing.assert_array_equal(y, [[[3.0], [3.0]]])
    np.testing.assert_array_equal(Matmul().compute_mask((a, b), masks), masks[0])


@pytest.mark.parametrize(
    "operate",
    [
        lambda x: x > 0,
        lambda x: x <= 0,
        lambda x: x // 2,
        lambda x: 2 // x,
        lambda x: round(x),
        lambda x: ~x,
        lambda x: x & x,
    ],
)
def test_what_moves_in_steps_is_no_layer(operate):
    with pytest.raises(TypeError, match="moves in steps, so that no gradient goes through it"):
        operate(Input((3,), name="x"))


@pytest.mark.parametrize(
    ("operate", "message"),
    [
        (lambda: Input((3,)) % Input((3,)), "a number, or an array of such"),
        (lambda: 2 % Input((3,)), "a number, or an array of such"),
        (lambda: Input((3,)) @ Input((3,)), "has a matrix for each row"),
        (lambda: Input((2, 3)) @ Input((2, 3)), "has 3 columns, the second 2 rows"),
        (lambda: Input((2, 2, 3)) @ Input((3, 3, 2)), "lengths are equal or 1"),
        (lambda: Input((3,)) @ np.ones(3), "value to be a matrix, got shape (3,)"),
        (lambda: Input((3,)) @ np.ones((4, 2)), "4 along axis -1"),
        (lambda: np.ones((4, 2)) @ Input((3,)), "at least 2 axes besides the batch"),
        (lambda: Input((3,)) % 0, "that is not 0"),
        (lambda: Matmul()([np.ones((2, 3, 4))]), "expects 2 arrays in a list"),
    ],
)
def test_what_does_not_meet_is_named(operate, message):
    with pytest.raises((TypeError, ValueError)) as error:
        operate()

    assert message in str(error.value)


def test_operators_show_their_layers():
    x = Input((3, 4))

    assert isinstance((x % 2).layer, Remainder) and isinstance((x @ C).layer, MatmulConstant)
    assert isinstance((x @ Input((4, 5))).layer, Matmul)
    assert (B @ x).layer.first and (B @ x).shape == (None, 5, 4)


# -------------------------------------------------------------------------------- Identity, inputs


def test_lists_and_dicts_go_through_identity_as_they_are():
    a, b = Input((3,)), Input((2,))
    found = Identity()({"u": a, "v": [b, a]})
    model = Model([a, b], found)
    y = model.predict([np.ones((2, 3)), np.zeros((2, 2))], verbose=0)
    eager = Identity()([np.ones((1, 2)), (np.zeros((1, 3)),)])

    assert {k: np.shape(v) for k, v in y.items() if k == "u"} == {"u": (2, 3)}
    assert [v.shape for v in y["v"]] == [(2, 2), (2, 3)]
    assert eager[0].shape == (1, 2) and eager[1][0].shape == (1, 3)
    np.testing.assert_array_equal(Identity()([[1.0, 2.0]]), [[1.0, 2.0]])  # rows, as ever


def test_an_input_layer_takes_what_a_symbolic_array_is():
    x = Input((3, 4), batch_size=2, dtype="int32")
    layer = InputLayer(input_tensor=x)

    assert layer.batch_shape == (2, 3, 4) and layer.dtype == np.int32 and layer.integer_input
    assert Sequential([InputLayer(input_tensor=Input((3,))), Dense(2)]).output_shape == (None, 2)
    with pytest.raises(ValueError, match="leave it out"):
        InputLayer((5,), input_tensor=x)
    with pytest.raises(ValueError, match="leave it out"):
        InputLayer(dtype="float32", input_tensor=x)
    with pytest.raises(ValueError, match="got ndarray"):
        InputLayer(input_tensor=np.ones(3))


def test_an_input_layer_is_built():
    assert InputLayer((3,)).built and Model(x := Input((3,)), Dense(1)(x)).layers[0].built


@pytest.mark.parametrize("kind", [Model, Graph, Sequential])
def test_a_container_takes_no_penalty_silently(kind):
    x = Input((3,))
    layers = [x, Dense(1)]
    made = kind(layers) if kind is Sequential else kind(x, layers[1](x))
    made.activity_regularizer = "l2"  # as part of another one

    assert isinstance(made.activity_regularizer, bp.regularizers.L2)
    outer = Model(x, made(x))
    with pytest.raises(AttributeError, match="has been called or compiled, and a penalty"):
        made.activity_regularizer = None
    outer.compile("sgd", "mse")
    y = outer.predict(np.ones((2, 3)), verbose=0)
    assert outer.evaluate(np.ones((2, 3)), y, verbose=0) == pytest.approx(0.01 * y[0, 0] ** 2)
    with pytest.raises(AttributeError, match="give activity_regularizer= to its last layer"):
        outer.activity_regularizer = "l2"


def test_a_model_that_is_trained_has_no_penalty_of_its_own():
    model = Sequential([Input((3,)), Dense(1)])
    model.activity_regularizer = "l2"

    with pytest.raises(ValueError, match="give activity_regularizer= to its last layer"):
        model.compile("sgd", "mse")
    assert not model.compiled


@pytest.mark.parametrize("axis", [None, 1.0, (), (1, None), "last"])
def test_a_softmax_names_an_axis_that_is_none(axis):
    with pytest.raises(ValueError, match="axis to be an axis beside the batch, or several, got"):
        Softmax(axis)
