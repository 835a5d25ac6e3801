"""What is wrong with a graph is said where it is drawn or called: who, what was expected, what
came, and what to do."""

import copy
import re

import numpy as np
import pytest

from backprop import Input, Model, Sequential
from backprop.layers import Add, Concatenate, Dense, Dot, Graph, MultiHeadAttention

X = "<Symbol x, shape (None, 3), float32>"
Z = "<Symbol z, shape (None, 3), float32>"


def ends():
    """Two inputs, and a layer on each."""
    x, z = Input((3,), name="x"), Input((3,), name="z")
    return x, z, Dense(2, name="y")(x), Dense(2, name="w")(z)


def pair():
    x, z, y, w = ends()
    return Model([x, z], Add()([y, w]), name="pair")


def says(error, message):
    """The whole message, in which `...` stands for anything."""
    parts = [re.escape(part) for part in message.split("...")]
    return pytest.raises(error, match=f"^{'.*'.join(parts)}$")


# ---------------------------------------------------------------------- drawn


def test_an_output_depends_on_what_is_no_input():
    x, _, y, w = ends()

    with says(
        ValueError,
        f"Model is not connected: <Symbol add, shape (None, 2), float32> depends on {Z}, which is "
        f"none of the inputs [{X}]. Make it one, or take outputs that depend on these",
    ):
        Model(x, Add()([y, w]))


def test_outputs_of_another_model_depend_on_its_inputs():
    x, z, y, _ = ends()
    other = Model(x, y)

    with says(
        ValueError,
        f"Model is not connected: <Symbol y, shape (None, 2), float32> depends on {X}, which is "
        f"none of the inputs [{Z}]. Make it one, or take outputs that depend on these",
    ):
        Model(z, other.output)


def test_inputs_that_were_not_named_are_told_apart():
    mine, other = Input((2,)), Input((2,))

    with says(ValueError, "...is none of the inputs [...], though one has this name. Make it..."):
        Model(mine, Dense(2)(other))


def test_no_output_depends_on_an_input():
    x, z, y, _ = ends()

    with says(
        ValueError,
        f"Model has an input that is not used: no output depends on {Z}. Leave it out, or connect "
        "it",
    ):
        Model([x, z], y)


def test_one_input_is_given_twice():
    x, _, y, _ = ends()

    with says(
        ValueError,
        f"Model was given the input {X} twice: give it once, and call as many layers on it as you "
        "like",
    ):
        Model([x, {"again": x}], y)


@pytest.mark.parametrize(
    ("inputs", "outputs", "got"),
    [
        ("x", Dense(2), "outputs ... got Dense(2)"),
        ("x", np.zeros(2), "outputs ... got array([0., 0.])"),
        (Dense(2), "y", "inputs ... got Dense(2)"),
        ((3,), "y", "inputs ... got 3"),
    ],
)
def test_ends_that_are_not_symbolic(inputs, outputs, got):
    x, _, y, _ = ends()
    name, got = got.split(" ... ")

    with says(
        TypeError,
        f"Model expects {name} to be what Input() or the call of a layer returned, or lists and "
        f"dicts of such, and {got}",
    ):
        Model(x if isinstance(inputs, str) else inputs, y if isinstance(outputs, str) else outputs)


def test_no_outputs_at_all():
    with says(
        ValueError,
        "Model expects outputs, at least one: what Input() or the call of a layer returned, and "
        "got []",
    ):
        Model(Input((3,)), [])


def test_two_layers_of_one_name():
    x = Input((3,), name="x")
    a, b = Input((2,), name="q"), Input((2,), name="q")

    with says(ValueError, "Model already has a layer named 'a'; names are unique"):
        Model(x, Dense(2, name="a")(Dense(2, name="a")(x)))
    with says(ValueError, "Model already has a layer named 'x'; names are unique"):
        Model(x, Dense(2, name="x")(x))
    with says(ValueError, "Graph already has a layer named 'q'; names are unique"):
        Graph([a, b], Add()([a, b]))


def test_layers_of_two_dtypes():
    x = Input((3,))

    with says(
        ValueError,
        "...has layers of float32 and float64: choose one dtype for the whole model",
    ):
        Model(x, Dense(2, dtype="float64")(Dense(2, dtype="float32")(x)))


def test_a_cycle_can_only_be_written_by_hand():
    x, _, y, _ = ends()
    config = Model(x, y).get_config()
    config["calls"][0][1] = 1  # reads what it writes

    with says(
        ValueError,
        "a configuration of Model speaks of array 1 where there are 1 so far: each call reads what "
        "the inputs are or earlier calls gave",
    ):
        Model.from_config(config)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("outputs", 7, "a configuration of Model speaks of array 7 where there are 2 so far..."),
        ("inputs", 9, "a configuration of Model speaks of layer 9 where there are 2 so far..."),
        ("inputs", 1, "a configuration of Model calls layer 1, which is an input"),
        ("calls", [[-1, 0, 1, None]], "a configuration of Model speaks of layer -1 where..."),
        ("calls", [[1, True, 1, None]], "a configuration of Model speaks of array True where..."),
    ],
)
def test_a_configuration_speaks_of_what_is_not_there(key, value, message):
    x, _, y, _ = ends()
    config = copy.deepcopy(Model(x, y).get_config())
    config[key] = value

    with says(ValueError, message):
        Model.from_config(config)


def test_an_input_without_a_shape():
    with says(ValueError, "Input expects a shape, such as Input(shape=(784,))"):
        Input()


def test_a_model_written_with_call():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(2)

        def call(self, x):
            return self.dense(x)

    with says(
        TypeError,
        "Net.call would be ignored: Keras differentiates it, and here each layer derives its own "
        "gradient. Draw what it does, Model(inputs, outputs), or write a Layer with forward(self, "
        "x, ctx) and backward(self, dy, cache)",
    ):
        Net()


@pytest.mark.parametrize("given", [(), (None, None), (Input((2,)),)])
def test_a_model_of_nothing(given):
    end = "outputs" if given and given[0] is not None else "inputs"

    with says(
        TypeError,
        f"Model was given no {end}: call layers on what Input() returns, and make Model(inputs, "
        "outputs) of it, or Sequential(layers) of a chain; a subclass draws its layers and then "
        "calls super().__init__(inputs, outputs)",
    ):
        Model(*given)


def test_a_subclass_that_draws_nothing():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(2)

    with says(TypeError, "Net was given no inputs..."):
        Net()


def test_layers_of_a_model_are_those_that_were_drawn():
    with says(AttributeError, "the layers of pair are those that were drawn..."):
        pair().layers = []


def test_a_layer_that_a_model_does_not_have():
    with says(ValueError, "pair has no layer 'yy'; it has x, z, y, w, add"):
        pair().get_layer("yy")


# ---------------------------------------------------------------------- layers called on symbols


def test_symbolic_arrays_and_others_together():
    x, _, y, _ = ends()
    message = (
        "{} was called on symbolic arrays and others together: an array that changes is an Input, "
        "and one that is always the same belongs into a layer of your own, or is added or "
        "multiplied as in x + array"
    )

    with says(TypeError, message.format("Add()")):
        Add()([y, np.ones((4, 2))])
    with says(TypeError, message.format("MultiHeadAttention(1, 2)")):
        MultiHeadAttention(1, 2)(Input((3, 4)), np.ones((2, 3, 4)))
    with says(TypeError, message.format("<Model pair: x, z -> add>")):
        pair()([x, np.ones((2, 3))])


def test_shapes_that_do_not_merge():
    x, _, y, _ = ends()

    with says(
        ValueError,
        "Add() cannot merge arrays of shapes (2,) and (3,): counted from the last axis, lengths "
        "are equal or 1",
    ):
        Add()([y, x])
    with says(ValueError, "Add() cannot merge arrays of shapes (2,) and (3,): ..."):
        y + x
    with says(
        ValueError,
        "Concatenate() cannot merge arrays of shapes (3, 4) and (2, 4): they may differ along axis "
        "-1 alone",
    ):
        Concatenate()([Input((3, 4)), Input((2, 4))])
    with says(
        ValueError,
        "Dot(1) cannot merge arrays of shapes (2,) and (3,): they have 2 along axis 1 and 3 along "
        "axis 1",
    ):
        Dot(axes=1)([y, x])


def test_several_inputs_for_a_layer_of_one():
    x, z, _, _ = ends()

    with says(
        ValueError,
        "Dense(2) has one input and got 2: join them by a layer first, such as Concatenate() or "
        "Add()",
    ):
        Dense(2)([x, z])


def test_several_inputs_that_are_no_list():
    x, z, _, _ = ends()

    with says(
        TypeError,
        "Add() is called on inputs in a list; then comes training, True or False, and got Symbol",
    ):
        Add()(x, z)


def test_a_shape_that_a_layer_does_not_know():
    x, _, _, _ = ends()
    dense = Dense(2)
    dense(x)

    with says(ValueError, "Dense(2) expects inputs of ...3... and got (4,)..."):
        dense(Input((4,)))


# ---------------------------------------------------------------------- what symbols are not


NO_NUMBERS = "<Symbol y, shape (None, 2), float32> holds no numbers yet"


@pytest.mark.parametrize(
    "function",
    [np.exp, np.asarray, np.sum, lambda y: np.concatenate([y, y]), lambda y: np.ones(2) > y],
)
def test_functions_of_numpy(function):
    *_, y, _ = ends()

    with says(
        TypeError,
        f"{NO_NUMBERS}, and NumPy was asked for them: call layers on it, use + - * / and slices, "
        "or give a layer of your own forward and backward",
    ):
        function(y)


def test_operators_of_numpy_are_those_of_symbols():
    x, _, y, _ = ends()
    c = np.array([1.0, 2.0], "float32")

    model = Model(x, [c + y, y + c, np.subtract(c, y), c / y, np.multiply(y, c)])

    given = np.ones((4, 3))
    value = Model(x, y)(given)
    for found, wanted in zip(
        model(given), [c + value, value + c, c - value, c / value, value * c], strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_symbol_is_neither_true_nor_false():
    *_, y, _ = ends()

    with says(TypeError, f"{NO_NUMBERS}, so it is neither true nor false"):
        assert y


def test_a_symbol_has_no_items():
    *_, y, _ = ends()

    with says(TypeError, f"{NO_NUMBERS}: take slices of it, such as x[:, 0]"):
        list(y)
    with says(TypeError, f"{NO_NUMBERS}: take slices of it, such as x[:, 0]"):
        _h, _c = y


# ---------------------------------------------------------------------- called on arrays


A = np.ones((2, 3))


@pytest.mark.parametrize("use", ["call", "predict", "fit"])
@pytest.mark.parametrize(
    ("given", "got"),
    [
        (A, "got one ndarray: give a list in this order, or a dict by these names"),
        ([A, A, A], "got 3: give a list in this order, or a dict by these names"),
        ({"x": A, "zz": A}, "got 'zz'"),
        ({"x": A}, "got none for z"),
    ],
)
def test_wrong_number_or_names_of_arrays(use, given, got):
    model = pair()
    model.compile("sgd", "mse")
    uses = {
        "call": model,
        "predict": model.predict,
        "fit": lambda x: model.fit(x, np.ones((2, 2)), verbose=0),
    }

    with says(ValueError, f"...pair has 2 inputs, x, z, and {got}"):
        uses[use](given)


def test_arrays_of_wrong_shapes():
    with says(ValueError, "pair expects its input 'z' to be of shape (3,) and got (4,)"):
        pair()([A, np.ones((2, 4))])
    with says(
        ValueError,
        "pair expects its input 'x' to be of shape (3,) and got (), which is a single sample: give "
        "x[np.newaxis]",
    ):
        pair()([np.ones(3), np.ones(3)])


def test_inputs_of_different_numbers_of_rows():
    with says(
        ValueError, "pair expects a row of each input for each sample, and got [2, 3] of x, z"
    ):
        pair()([A, np.ones((3, 3))])


def test_arrays_that_are_no_list():
    with says(
        TypeError,
        "<Model pair: x, z -> add> is called on inputs in a list; then comes training, True or "
        "False, and got ndarray",
    ):
        pair()(A, A)


def test_a_model_of_two_inputs_in_a_chain():
    with pytest.raises(ValueError, match=r"pair has 2 input"):
        Sequential([pair(), Dense(1)])(A)


def test_an_error_leaves_nothing_half_drawn():
    x, _, y, w = ends()
    with pytest.raises(ValueError, match="not connected"):
        Model(x, Add()([y, w]))

    model = Model(x, y)

    assert [layer.name for layer in model.layers] == ["x", "y"]
    assert model(A).shape == (2, 2)
