"""Graphs that nobody has drawn by hand: their values, their gradients, and their copies."""

import copy
import pickle
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from drawings import drawn, recipe
from hypothesis import given, settings, strategies as st
from keras_parity import close, keras_in

import backprop as bp
from backprop.context import PREDICT
from backprop.gradcheck import gradcheck
from backprop.nest import as_one, as_tuple


@st.composite
def recipes(draw):
    return recipe(lambda options: draw(st.sampled_from(options)))


def by_seed(seed):
    rng = np.random.default_rng(seed)
    return recipe(lambda options: options[rng.integers(len(options))])


def evaluated(symbol, known, within):
    """The array that a symbolic one stands for, and its mask: what the layer gives for what the
    symbolic arrays stand for that it was called on."""
    if symbol not in known:
        reads = as_tuple(symbol.call.inputs)
        x, masks = zip(*(evaluated(read, known, within) for read in reads), strict=True)
        mask = None if all(m is None for m in masks) else as_one(masks)
        y, mask = applied(symbol.layer, as_one(x), mask, within)
        outputs = as_tuple(symbol.call.outputs)
        masks = mask if isinstance(mask, tuple) else (mask,) * len(outputs)
        known |= dict(zip(outputs, zip(as_tuple(y), masks, strict=True), strict=True))
    return known[symbol]


def applied(layer, x, mask, within):
    if id(layer) in within:
        end, goals = within[id(layer)]
        known = {end: (x, mask)}
        y, masks = zip(*(evaluated(goal, known, within) for goal in goals), strict=True)
        return y, masks
    if isinstance(layer, bp.Sequential):
        for part in layer.layers:
            x, mask = applied(part, x, mask, within)
        return x, mask
    y, _, mask = layer.propagate(x, PREDICT.with_mask(mask))
    return y, mask


def in_general(model, rng):
    """Generic weights, and arrays for the inputs."""
    weights = [rng.normal(size=w.shape) for w in model.weights]
    for i, w in enumerate(model.weights):
        if "variance" in w.path:
            weights[i] = np.abs(weights[i]) + 0.5
    model.set_weights(weights)
    return [rng.normal(size=(4, *symbol.shape[1:])) for symbol in model.inputs]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs") / "model.npz"


@pytest.fixture(autouse=True, scope="module")
def double():
    bp.config.set_floatx("float64")
    yield
    bp.config.set_floatx("float32")


def tied(x):
    """Arrays as a user gives them: one is no list."""
    return x if len(x) > 1 else x[0]


@settings(max_examples=100)
@given(recipes())
def test_prediction_is_what_the_drawing_says(recipe):
    drawing = drawn(bp, recipe)
    x = in_general(drawing.model, np.random.default_rng(0))

    y = drawing.model.predict(tied(x), verbose=0)

    assert_as_drawn(y, drawing, [(a, None) for a in x])


@pytest.mark.filterwarnings("ignore:.*was passed an input with a mask")
@settings(max_examples=60)
@given(recipes())
def test_masks_go_along_as_the_drawing_says(recipe):
    drawing = drawn(bp, recipe)
    rng = np.random.default_rng(0)
    x = in_general(drawing.model, rng)
    masks = [None if a.ndim < 3 else np.arange(a.shape[1]) < [[1], [2], [3], [1]] for a in x]
    masks = [None if rng.random() < 0.2 else m for m in masks]

    y = drawing.model(tied(x), mask=tied(masks))

    assert_as_drawn(y, drawing, zip(x, masks, strict=True))


def assert_as_drawn(y, drawing, given):
    known = dict(zip(drawing.inputs, given, strict=True))
    for found, symbol in zip(y if isinstance(y, list) else [y], drawing.outputs, strict=True):
        assert found.shape[1:] == symbol.shape[1:]
        wanted, _ = evaluated(symbol, known, drawing.within)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@settings(max_examples=100)
@given(recipes(), st.booleans())
def test_every_gradient_is_certified(recipe, training):
    model = drawn(bp, recipe).model
    x = in_general(model, np.random.default_rng(0))

    report = gradcheck(model, as_one(x), training=training)

    assert report, report
    learned = [p for p in model.arrays() if p.gradient is not None]
    checked = [entry for entry in report.entries if entry.name != "all, in float32"]
    assert len(checked) == len(learned) + len(x)


@settings(max_examples=40)
@given(recipes())
def test_copies_and_files_give_the_same(path, recipe):
    model = drawn(bp, recipe).model
    x = tied(in_general(model, np.random.default_rng(0)))
    wanted = bp.nest.leaves(model.predict(x, verbose=0))
    model.save(path)
    cloned = bp.models.clone_model(model)
    cloned.set_weights(model.get_weights())

    for again in (
        bp.models.load_model(path),
        cloned,
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        bp.Model(model.input, model.output),
    ):
        assert [w.path for w in again.weights] == [w.path for w in model.weights]
        for found, y in zip(bp.nest.leaves(again.predict(x, verbose=0)), wanted, strict=True):
            np.testing.assert_array_equal(found, y)


@pytest.mark.parametrize("seed", range(60))
def test_weights_and_outputs_are_those_of_keras(seed):
    ours = drawn(bp, by_seed(seed)).model
    x = in_general(ours, np.random.default_rng(0))
    with keras_in("float64") as keras, in_float64(keras):
        theirs = drawn(keras, by_seed(seed)).model
        theirs.set_weights(ours.get_weights())
        wanted = theirs(tied(x))

    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert names(ours) == names(theirs)
    found = bp.nest.leaves(ours.predict(tied(x), verbose=0))
    for y, y_of_keras in zip(found, bp.nest.leaves(wanted), strict=True):
        np.testing.assert_allclose(y, np.asarray(y_of_keras), **close("float64"))


@contextmanager
def in_float64(keras):
    """Keras' own settings, which `keras_in` leaves alone."""
    with mock.patch.object(keras.src.backend.config, "_FLOATX", "float64"):
        keras.config.set_dtype_policy("float64")
        yield
    keras.config.set_dtype_policy("float32")


def names(model):
    """In the order of the weights; Keras numbers what has no name as the process goes on."""
    return [layer.name for layer in model.layers if layer.name.startswith(("node", "input"))]
