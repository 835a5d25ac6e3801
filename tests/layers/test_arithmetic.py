"""Arithmetic with constants, slices, and the operators between symbolic arrays that stand for
them."""

import pickle

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close

import backprop as bp
from backprop import layers
from backprop.gradcheck import gradcheck
from backprop.layer import Context
from backprop.layers import (
    LSTM,
    Absolute,
    Add,
    AddConstant,
    Dense,
    Divide,
    DivideBy,
    DivideInto,
    Embedding,
    Graph,
    Identity,
    Input,
    Masking,
    Multiply,
    MultiplyBy,
    PowerOf,
    RaiseTo,
    Slice,
    Subtract,
    SubtractFrom,
)


def drawn(function, *shapes):
    """What a function makes of symbolic arrays, as a layer in float64."""
    inputs = [Input(shape[1:]) for shape in shapes]
    return Graph(inputs if len(inputs) > 1 else inputs[0], function(*inputs)).astype("float64")


def numbers(*shape, seed=0):
    """Numbers away from 0."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)


# -------------------------------------------------------------------------------------- constants

MATRIX = [[1.5, -2.0, 0.5]]
OF_CONSTANTS = {
    "x + 2": lambda x: x + 2,
    "2.5 + x": lambda x: 2.5 + x,
    "x + row": lambda x: x + MATRIX[0],
    "array + x": lambda x: np.array(MATRIX) + x,
    "x - 2": lambda x: x - 2,
    "x - row": lambda x: x - np.array([1.5, -2.0, 0.5]),
    "2 - x": lambda x: 2 - x,
    "-x": lambda x: -x,
    "3 * x": lambda x: 3 * x,
    "x * row": lambda x: x * np.array([1.5, -2.0, 0.5]),
    "x / 3": lambda x: x / 3,
    "x / row": lambda x: x / np.array([1.5, -2.0, 0.5]),
    "3 / x": lambda x: 3 / x,
    "row / x": lambda x: np.array([1.5, -2.0, 0.5]) / x,
    "x ** 2": lambda x: x**2,
    "x ** -1": lambda x: x**-1,
    "x ** row": lambda x: x ** np.array([0.0, 1.0, 3.0]),
    "2 ** x": lambda x: 2**x,
    "row ** x": lambda x: np.array([0.5, 1.0, 3.0]) ** x,
    "abs(x)": abs,
    "all of it": lambda x: 1 - 2 * (x + 1) ** 2 / (x * x + 3),
    "a numpy number": lambda x: np.float32(2.5) * x,
}


@pytest.mark.parametrize("name", OF_CONSTANTS)
def test_arithmetic_with_constants_is_numpy(name):
    x = numbers(2, 4, 3)
    layer = drawn(OF_CONSTANTS[name], x.shape)

    np.testing.assert_allclose(layer(x), OF_CONSTANTS[name](x), rtol=1e-14)
    assert_gradients(layer, x)


@pytest.mark.parametrize("name", OF_CONSTANTS)
def test_float32_stays_float32(name):
    x = numbers(2, 4, 3).astype("float32")
    layer = Graph(symbol := Input((4, 3)), OF_CONSTANTS[name](symbol))
    y, cache = layer.forward(x)

    assert y.dtype == layer.backward(y, cache).dtype == np.float32


@given(data=st.data())
def test_a_constant_of_any_shape_that_meets(data):
    x = numbers(2, *data.draw(st.lists(st.sampled_from([1, 3]), max_size=3)))
    c = numbers(*data.draw(st.lists(st.sampled_from([1, 3]), max_size=x.ndim - 1)), seed=1)
    layer = AddConstant(c)
    layer.build((None, *x.shape[1:]))

    assert layer.compute_output_shape(x.shape) == (x + c).shape
    np.testing.assert_array_equal(layer.astype("float64").forward(x)[0], x + c)
    for cls in (AddConstant, SubtractFrom, MultiplyBy, DivideBy, DivideInto):
        assert_gradients(cls(c), x)


def test_a_power_of_0_has_slope_0_at_0_too():
    layer = RaiseTo([0, 1, 2])
    layer.build((None, 3))
    y, cache = layer.forward(np.zeros((1, 3)))

    np.testing.assert_array_equal(y, [[1, 0, 0]])
    np.testing.assert_array_equal(layer.backward(np.ones((1, 3)), cache), [[0, 1, 0]])


def test_the_slope_of_an_absolute_value_is_0_at_0():
    _, x = Absolute().forward(np.array([[-2.0, 0.0, 2.0]]))

    assert Absolute().backward(np.array([[3.0, 3.0, 3.0]]), x).tolist() == [[-3, 0, 3]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AddConstant("a"), "AddConstant expects value to be a finite number, or an array"),
        (lambda: AddConstant(np.nan), "expects value to be a finite number"),
        (lambda: AddConstant([[1, 2], [3]]), "expects value to be a finite number"),
        (lambda: DivideBy([1, 0]), "DivideBy expects value to be a finite number that is not 0"),
        (lambda: PowerOf(-2), "PowerOf expects value to be a finite number above 0"),
        (
            lambda: Input((3,)) + MATRIX[0][:2],
            r"constant of shape \(2,\).*not meet inputs of \(3,\)",
        ),
        (lambda: Input((3,)) + np.ones((4, 3)), "the batch is left as it is"),
        (lambda: Input((3,)) + np.ones((1, 1, 3)), "does not meet"),
        (lambda: Input((3,)) / 0, "is not 0"),
        (lambda: Input((3,)) - "a", "x - c expects c to be a finite number"),
    ],
)
def test_constants_that_do_not_fit_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_power_of_two_symbolic_arrays_is_told():
    with pytest.raises(TypeError, match="a number for the other"):
        Input((3,)) ** Input((3,))


# ----------------------------------------------------------------------------------------- slices

SLICES = {
    ":, 0": np.s_[:, 0],
    ":, -1": np.s_[:, -1],
    "..., 1:3": np.s_[..., 1:3],
    ":, -1, None": np.s_[:, -1, None],
    ":, ::-2, 1": np.s_[:, ::-2, 1],
    ":": np.s_[:],
    "...": np.s_[...],
    ":, None, ..., 0": np.s_[:, None, ..., 0],
    ":, 1:1": np.s_[:, 1:1],
    ":, :, :, None": np.s_[:, :, :, None],
    ":, np": np.s_[:, np.int64(2)],
}


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_is_numpys(name):
    x = numbers(2, 5, 4)
    layer = drawn(lambda x: x[SLICES[name]], x.shape)

    np.testing.assert_array_equal(layer(x), x[SLICES[name]])
    assert layer.compute_output_shape((None, 5, 4)) == (None, *x[SLICES[name]].shape[1:])
    if layer(x).size:
        assert_gradients(layer, x)


def test_an_index_is_written_as_between_brackets():
    x = Input((5, 4))

    assert repr(x[:, 1:-1:2, None, ...].layer) == "Slice(':, 1:-1:2, None, ...')"
    assert Slice(" : ,1 , ... ,").index == np.s_[:, 1, ...]


def test_lengths_that_are_free_stay_free():
    x = Input((None, 4))

    assert [x[:, 0].shape, x[:, 1:].shape, x[:, None].shape, x[..., -2:].shape] == [
        (None, 4),
        (None, None, 4),
        (None, 1, None, 4),
        (None, None, 2),
    ]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Slice("a"), ValueError, "Slice expects index as it stands between brackets"),
        (lambda: Slice(""), ValueError, "as it stands between brackets"),
        (lambda: Slice("..., ..."), ValueError, "as it stands between brackets"),
        (lambda: Slice(3), ValueError, "as it stands between brackets"),
        (lambda: Slice(":, 1:2:3:4"), ValueError, "as it stands between brackets"),
        (lambda: Input((3,))[0], ValueError, "behind ':' or '...' for the batch"),
        (lambda: Input((3,))[1:], ValueError, "for the batch"),
        (lambda: Input((3,))[None], ValueError, "for the batch"),
        (lambda: Input((3,))[:, 0, 0], ValueError, "1 axes beside the batch"),
        (lambda: Input((3,))[:, 3], ValueError, r"takes number 3 along an axis of 3"),
        (lambda: Input((3,))[:, -4], ValueError, r"takes number -4 along an axis of 3"),
        (lambda: Input((3,))[:, [0, 1]], TypeError, "cut out by integers, slices"),
        (lambda: Input((3,))[:, True], TypeError, "cut out by integers, slices"),
        (lambda: Input((3,))[:, 0.5], TypeError, "cut out by integers, slices"),
    ],
)
def test_what_is_no_slice_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_columns_of_integers_can_be_looked_up():
    x = Input((3,), dtype="int32")
    model = bp.Model(x, Embedding(5, 2)(x[:, 0]) + Embedding(9, 2)(x[:, 2] + 1))
    ids = np.array([[4, 0, 7], [1, 0, 2]])
    first, second = (layer.embeddings for layer in model.layers if isinstance(layer, Embedding))

    np.testing.assert_allclose(model(ids), first[[4, 1]] + second[[8, 3]])


# ------------------------------------------------------------------------------------------ masks

MASK = np.array([[True, True, False], [True, False, False]])


def mask_of(layer, mask, x=None):
    x = numbers(2, 3, 4) if x is None else x
    layer.build((None, *x.shape[1:]))
    return layer.propagate(x, Context(mask=mask))[2]


@pytest.mark.parametrize("layer", [Identity(), AddConstant(2), Absolute(), RaiseTo(2)])
def test_arithmetic_leaves_a_mask_as_it_is(layer):
    np.testing.assert_array_equal(mask_of(layer, MASK), MASK)


def test_the_mask_of_a_stretched_array_is_stretched():
    found = mask_of(AddConstant(np.ones((3, 1))), MASK[:, 1:2], numbers(2, 1, 4))

    np.testing.assert_array_equal(found, np.repeat(MASK[:, 1:2], 3, 1))


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (":, 1:", MASK[:, 1:]),
        (":, ::-1", MASK[:, ::-1]),
        ("..., 0", MASK),
        ("..., None", MASK),
        (":, None", MASK[:, None]),
        (":, 0", None),
        (":, 0, None", None),
    ],
)
def test_a_mask_is_cut_along(index, wanted):
    found = mask_of(Slice(index), MASK)

    assert (found is None) == (wanted is None)
    if wanted is not None:
        np.testing.assert_array_equal(found, wanted)


def test_a_step_that_is_masked_ends_the_mask_with_a_warning():
    with pytest.warns(UserWarning, match=r"Slice\(':, 1'\).* with a mask and does not use it"):
        assert mask_of(Slice(":, 1"), MASK) is None


def test_rows_that_are_masked_stay_so():
    rows = np.array([True, False])

    np.testing.assert_array_equal(mask_of(Slice(":, 1"), rows), rows)


def test_words_of_sentences_have_the_mask_of_the_sentences():
    x, mask = numbers(2, 3, 2, 4), np.stack([MASK, MASK], -1)

    np.testing.assert_array_equal(mask_of(Slice(":, :, 1"), mask, x), MASK)


# -------------------------------------------------------------------------------------- operators


@pytest.mark.parametrize(
    ("operate", "cls"),
    [
        (lambda a, b: a + b, Add),
        (lambda a, b: a - b, Subtract),
        (lambda a, b: a * b, Multiply),
        (lambda a, b: a / b, Divide),
    ],
)
def test_operators_between_symbolic_arrays_are_layers(operate, cls):
    shapes = (2, 3, 4), (2, 3, 1)
    layer = drawn(operate, *shapes)
    a, b = numbers(*shapes[0]), numbers(*shapes[1], seed=1)

    np.testing.assert_array_equal(layer([a, b]), operate(a, b))
    assert any(type(part) is cls for part in layer.layers)


def test_a_vector_meets_a_sequence_as_in_the_layers_of_keras():
    """Behind the batch, where NumPy would put it in front."""
    y = Input((4,)) + Input((3, 4))

    assert y.shape == (None, 3, 4)


def test_a_network_with_operators_is_saved_and_copied(tmp_path):
    x = Input((5, 4))
    h = LSTM(3, return_sequences=True)(Masking()(x))
    model = bp.Model(x, Dense(2)((1 - h[:, -1]) * h[:, 0] / 2 + [0.5, 1, 2]))
    model.save(tmp_path / "model.npz")
    twins = [
        bp.saving.load_model(tmp_path / "model.npz"),
        pickle.loads(pickle.dumps(model)),
    ]
    data = numbers(3, 5, 4)

    for twin in twins:
        np.testing.assert_array_equal(twin.predict(data), model.predict(data))


@pytest.mark.parametrize(
    "layer",
    [
        AddConstant(2),
        MultiplyBy([1.0, 2.0]),
        RaiseTo(np.array([1.0, 2.0])),
        Slice(":, 1:"),
        Identity(),
    ],
)
def test_a_layer_is_what_its_configuration_says(layer):
    twin = layers.deserialize(layers.serialize(layer))
    x = numbers(2, 2)

    np.testing.assert_array_equal(twin(x), layer(x))
    assert repr(twin) == repr(layer)


# ------------------------------------------------------------------------------------------ Keras

X = numbers(3, 4, 5)
POSITIVE = np.abs(X)
CASES = {
    "add": ("lambda x: x[0] + 2", lambda x: x + 2, X),
    "from": ("lambda x: 1 - x[0]", lambda x: 1 - x, X),
    "times": ("lambda x: keras.ops.multiply(x[0], -3.0)", lambda x: x * -3, X),
    "by": ("lambda x: x[0] / 7", lambda x: x / 7, X),
    "into": ("lambda x: 7 / x[0]", lambda x: 7 / x, X),
    "cube": ("lambda x: keras.ops.power(x[0], 3.0)", lambda x: x**3, X),
    "root": ("lambda x: keras.ops.power(x[0], 0.5)", lambda x: x**0.5, POSITIVE),
    "power of 2": ("lambda x: keras.ops.power(2.0, x[0])", lambda x: 2**x, X),
    "absolute": ("lambda x: keras.ops.absolute(x[0])", abs, X),
    "one step": ("lambda x: x[0][:, -1, None]", lambda x: x[:, -1, None], X),
    "features": ("lambda x: x[0][..., 1:3]", lambda x: x[..., 1:3], X),
    "identity": ("lambda x: keras.layers.Identity()(x[0])", lambda x: Identity()(x), X),
}


@pytest.fixture(scope="module")
def keras_found(tmp_path_factory):
    asked = {name: (expression, [x]) for name, (expression, _, x) in CASES.items()}
    return run_in_keras(asked, tmp_path_factory.mktemp("keras"))


@needs_keras_on_jax
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_y_and_dx_are_keras(keras_found, name, dtype):
    _, function, x = CASES[name]
    layer, x = drawn(function, x.shape).astype(dtype), x.astype(dtype)
    y, cache = layer.forward(x)
    dx = layer.backward(gradient_from_above(y), cache)

    np.testing.assert_allclose(y, keras_found[f"{name} {dtype} y"], **close(dtype))
    np.testing.assert_allclose(dx, keras_found[f"{name} {dtype} dx0"], **close(dtype))


@pytest.mark.parametrize("layer", [RaiseTo(2.5), PowerOf(2.0), DivideInto(1.5)], ids=repr)
def test_a_masked_step_that_counts_as_1_has_no_gradient(layer):
    x, mask = np.random.default_rng(0).uniform(0.5, 2, (2, 5, 3)), np.arange(5) < [[5], [3]]

    assert gradcheck(layer, x, mask=mask)


def test_a_masked_divisor_has_no_gradient():
    a, b = np.random.default_rng(0).uniform(0.5, 2, (2, 2, 5, 3))
    mask = np.arange(5) < [[5], [3]]

    for masks in ((None, mask), (mask, mask)):
        assert gradcheck(Divide(), (a, b), mask=masks)
    assert gradcheck(Divide(), (a, b[:, :1]), mask=(mask, mask[:, :1]))
