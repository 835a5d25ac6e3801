"""Cells, stacks of them, and RNN, which repeats them over time."""

import copy

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import normal
from keras_parity import keras_in

import backprop as bp
from backprop.checks import Positive
from backprop.layer import INFERENCE, Context
from backprop.layers import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)
from backprop.layers.recurrent import Cell
from backprop.linalg import sum_rows
from backprop.nest import as_one, as_tuple

HOLES = np.array([[True, True, False, False], [False, True, False, True], [False] * 4])
PAIRS = {LSTM: LSTMCell, GRU: GRUCell, SimpleRNN: SimpleRNNCell}
CELLS = {
    "lstm": lambda **rates: LSTMCell(2, **rates),
    "gru": lambda **rates: GRUCell(2, **rates),
    "gru resetting before": lambda **rates: GRUCell(2, reset_after=False, **rates),
    "simple": lambda **rates: SimpleRNNCell(2, **rates),
    "without bias": lambda **rates: LSTMCell(3, use_bias=False, activation="softsign", **rates),
    "softmax": lambda **rates: GRUCell(3, activation="softmax", use_bias=False, **rates),
    "stack": lambda **rates: StackedRNNCells([LSTMCell(2, **rates), GRUCell(3, **rates)]),
}


class Leaky(Cell):
    """s = decay s₋ + x, r = max(r₋, s) and y = scale [s r]: two states, and y is neither."""

    units: Positive

    def __post_init__(self):
        self.state_size = (self.units, self.units)
        self.output_size = 2 * self.units

    def build(self, input_shape):
        self.decay, self.ddecay = self.param("decay", (self.units,), "ones")
        self.scale, self.dscale = self.param("scale", (2 * self.units,), "ones")

    def forward(self, x, ctx=INFERENCE):
        x, s, r = x
        s_new = self.decay * s + x
        grows = s_new > r
        r_new = np.where(grows, s_new, r)
        both = np.concatenate([s_new, r_new], axis=-1)
        return (self.scale * both, s_new, r_new), (s, both, grows)

    def backward(self, dy, cache):
        (dy, ds, dr), (s, both, grows) = dy, cache
        self.dscale = sum_rows(dy * both)
        of_s, of_r = np.split(self.scale * dy, 2, axis=-1)
        dr = dr + of_r
        ds = ds + of_s + np.where(grows, dr, 0)
        self.ddecay = sum_rows(ds * s)
        return ds, self.decay * ds, np.where(grows, 0, dr)


CELLS["own"] = lambda **rates: Leaky(2)


def in_float64(layer, x, seed=0):
    """Built, with generic weights."""
    layer.dtype = np.dtype("float64")
    layer.build((None, *x.shape[1:]))
    rng = np.random.default_rng(seed)
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.weights])
    return layer


def starts(layer, x, seed=7):
    shapes = layer.state_shapes(x.shape)
    return [normal(*shape, seed=seed + i) for i, shape in enumerate(shapes)]


# ---------------------------------------------------------------------------------- cells


def test_an_lstm_cell_by_hand():
    cell = LSTMCell(1, activation=None, recurrent_activation=None, dtype="float64")
    cell.build(((None, 1), (None, 1), (None, 1)))
    # i = x, f = 3, g = h₋, o = 2
    cell.set_weights([[[1.0, 0, 0, 0]], [[0, 0, 1.0, 0]], [0, 3.0, 0, 2.0]])
    x, h, c = np.array([[5.0]]), np.array([[7.0]]), np.array([[11.0]])

    (y, *states), cache = cell.forward((x, h, c))
    dx, dh, dc = cell.backward((np.array([[1.0]]), np.array([[2.0]]), np.array([[4.0]])), cache)

    # c = 3·11 + 5·7 = 68, h = 2·68; dh = 1 + 2 comes to dc = 4 + 3·2 = 10, di = 70, df = 110
    assert [float(a.item()) for a in (y, *states)] == [136, 136, 68]
    assert [float(a.item()) for a in (dx, dh, dc)] == [70, 50, 30]
    np.testing.assert_array_equal(cell.dbias, [70, 110, 50, 3 * 68])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dropped", [False, True])
def test_gradients_of_a_step(name, dropped):
    rates = {"dropout": 0.3, "recurrent_dropout": 0.4} if dropped else {}
    cell = CELLS[name](**rates)
    cell.dtype = np.dtype("float64")
    shapes = [(4, 2), *((4, size) for size in cell.sizes)]
    cell.build(tuple((None, *shape[1:]) for shape in shapes))
    inputs = tuple(normal(*shape, seed=i) for i, shape in enumerate(shapes))

    assert_gradients(cell, inputs)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_cell_is_called_on_a_step_and_states(kind):
    cell = PAIRS[kind](3)
    x = normal(2, 4).astype("float32")

    y, states = cell(x, cell.get_initial_state(2))
    again, after = cell(x, states)

    assert isinstance(states, list) and len(states) == len(cell.state_size)
    np.testing.assert_array_equal(y, states[0])
    layer = kind(3)
    layer.build((None, 2, 4))
    layer.set_weights(cell.get_weights())
    np.testing.assert_allclose(again, layer(np.stack([x, x], axis=1)), rtol=1e-5, atol=1e-6)
    assert cell.compute_output_shape((None, 4)) == ((None, 3),) * (1 + len(after))


def test_states_of_a_stack_are_lists():
    cells = StackedRNNCells([LSTMCell(2), GRUCell(3)])
    assert (cells.state_size, cells.output_size) == ([[2, 2], [3]], 3)

    y, states = cells(np.ones((4, 5)), cells.get_initial_state(4))

    assert [[s.shape for s in its] for its in states] == [[(4, 2), (4, 2)], [(4, 3)]]
    np.testing.assert_array_equal(y, states[1][0])


def test_dropout_is_drawn_once_for_a_sequence():
    x = np.ones((50, 6, 1))
    cell = SimpleRNNCell(1, activation=None, kernel_initializer="ones", dropout=0.5)
    layer = RNN(cell, return_sequences=True)
    layer.build(x.shape)
    cell.recurrent_kernel[...] = 0

    y = layer(x, training=True)

    assert set(np.unique(y)) == {0, 2}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    np.testing.assert_array_equal(layer(x), 1)


# ---------------------------------------------------------------------------------- over time


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.integers(0, 3)), draw(st.integers(0, 4)), 2
    mask = rng.random(shape[:2]) < 0.6 if draw(st.booleans()) else None
    names = ("return_sequences", "go_backwards", "return_state", "zero_output_for_mask")
    return rng.standard_normal(shape), mask, {name: draw(st.booleans()) for name in names}


@pytest.mark.parametrize("name", CELLS)
@given(case=cases(), given_states=st.booleans(), dropped=st.booleans())
def test_gradients(name, case, given_states, dropped):
    x, mask, options = case
    rates = {"dropout": 0.3, "recurrent_dropout": 0.4} if dropped else {}
    layer = RNN(CELLS[name](**rates), **options, dtype="float64")
    layer.build((None, *x.shape[1:]))
    inputs = (x, *starts(layer, x)) if given_states else (x,)

    assert_gradients(layer, as_one(inputs), mask=mask)


@pytest.mark.parametrize("kind", PAIRS)
@given(case=cases(), dropped=st.booleans(), use_bias=st.booleans())
def test_a_cell_over_time_is_the_layer(kind, case, dropped, use_bias):
    x, mask, options = case
    rates = {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 5} if dropped else {}
    layer = in_float64(kind(3, use_bias=use_bias, **options, **rates), x)
    repeated = RNN(PAIRS[kind](3, use_bias=use_bias, **rates), **options, dtype="float64")
    repeated.build((None, *x.shape[1:]))
    repeated.set_weights(layer.get_weights())
    inputs = (x, *starts(layer, x))
    found = []

    for one in (layer, repeated):
        y, cache = one.forward(inputs, Context(True, mask))
        shapes = [a.shape for a in (y if layer.return_state else [y])]
        dy = tuple(normal(*shape, seed=i) for i, shape in enumerate(shapes))
        dx = one.backward(dy if layer.return_state else dy[0], cache)
        gradients = (p.gradient.copy() for p in one.arrays())
        found.append((*as_tuple(y), *as_tuple(dx), *gradients))

    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def naive(cell, x, states, mask, backwards):
    """All y and the last states of a cell, one sequence at a time."""
    ys, last = [], []
    for n in range(len(x)):
        now, y, each = [s[n : n + 1] for s in states], None, []
        for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
            if mask is None or mask[n, t]:
                (y, *now), _ = cell.forward((x[n : n + 1, t], *now))
            each.append(y)
        ys.append(np.concatenate(each))
        last.append(now)
    return np.stack(ys), [np.concatenate(parts) for parts in zip(*last, strict=True)]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backwards", [False, True])
def test_values_are_the_cells(name, backwards):
    x, mask = normal(3, 4, 2), np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1] * 4], bool)
    layer = RNN(CELLS[name](), return_sequences=True, return_state=True, go_backwards=backwards)
    in_float64(layer, x)
    first = starts(layer, x)

    y, *states = layer.forward((x, *first), Context(mask=mask))[0]

    wanted, last = naive(layer.cell, x, first, mask, backwards)
    for a, b in zip((y, *states), (wanted, *last), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_masked_step_of_a_cell_of_ones_own_repeats_y():
    layer = RNN(Leaky(1), return_sequences=True)
    x = np.array([[[1.0], [5.0], [2.0]]])

    y = layer(x, mask=np.array([[False, False, True]]))
    held = layer(x, mask=np.array([[True, False, True]]))

    np.testing.assert_array_equal(y[0], [[0, 0], [0, 0], [2, 2]])
    np.testing.assert_array_equal(held[0], [[1, 1], [1, 1], [3, 3]])


@pytest.mark.parametrize("name", CELLS)
def test_a_stateful_layer_goes_on_where_it_stopped(name):
    x = normal(2, 6, 2)
    whole = in_float64(RNN(CELLS[name](), return_sequences=True), x)
    parts = RNN(CELLS[name](), return_sequences=True, stateful=True, dtype="float64")
    parts.build(x.shape)
    parts.set_weights(whole.get_weights())

    halves = [parts(x[:, :3]), parts(x[:, 3:])]
    kept = parts.states
    parts.reset_state()

    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole(x), rtol=1e-12)
    assert [s.shape for s in kept] == parts.state_shapes(x.shape)
    np.testing.assert_array_equal(parts(x[:, :3]), halves[0])


@pytest.mark.parametrize("name", CELLS)
def test_a_few_steps_at_a_time_are_the_sequence(name):
    x = normal(2, 5, 2)
    layer = in_float64(RNN(CELLS[name](), return_sequences=True), x)
    assert layer.can_step

    first, memory = layer.step(x[:, :2], None)
    second, _ = layer.step(x[:, 2:], memory)

    np.testing.assert_allclose(np.concatenate([first, second], axis=1), layer(x), rtol=1e-12)


def test_a_cell_in_two_places_of_a_stack_has_the_sum_of_its_gradients():
    cell = SimpleRNNCell(2)
    layer = RNN(StackedRNNCells([cell, cell]), dtype="float64")
    x = normal(3, 4, 2)
    layer.build((None, 4, 2))

    assert_gradients(layer, x)

    assert len(layer.weights) == 3


@pytest.mark.parametrize("name", CELLS)
def test_a_copy_and_its_configuration_say_the_same(name):
    x = normal(2, 3, 2)
    layer = in_float64(RNN(CELLS[name](), return_sequences=True), x)

    with bp.saving.custom_object_scope({"Leaky": Leaky}):
        again = RNN.from_config(layer.get_config())
    again.build((None, 3, 2))
    again.set_weights(layer.get_weights())
    twin = copy.deepcopy(layer)

    np.testing.assert_array_equal(again(x), layer(x))
    np.testing.assert_array_equal(twin(x), layer(x))
    assert repr(again) == repr(layer)


def test_a_saved_model_says_the_same(tmp_path):
    x = normal(4, 5, 3).astype("float32")
    model = bp.Sequential([bp.Input((5, 3)), RNN([LSTMCell(2), GRUCell(3)])])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 3)), verbose=0)
    model.save(tmp_path / "m.npz")

    again = bp.models.load_model(tmp_path / "m.npz")

    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


# ---------------------------------------------------------------------------------- border


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: RNN(LSTM(3)), TypeError, r"RNN expects a cell, such as LSTMCell\(8\)"),
        (lambda: RNN(3), TypeError, "a class that extends"),
        (lambda: RNN([]), ValueError, "at least one of cells"),
        (lambda: StackedRNNCells([LSTM(3)]), TypeError, "expects a list of cells"),
        (lambda: RNN(Cell()), ValueError, "needs the state_size of its cell"),
        (lambda: RNN(GRUCell(2, activity_regularizer="l2")), ValueError, "to RNN, and not to"),
        (lambda: RNN(GRUCell(2))(np.ones((2, 3))), ValueError, r"of shape \(time, ...\)"),
        (lambda: GRUCell(2)(np.ones((2, 3))), ValueError, "of 1 array of shape"),
        (
            lambda: RNN([LSTMCell(2), GRUCell(3)])(np.ones((2, 3, 1)), np.ones((2, 2))),
            ValueError,
            r"of 3 arrays of shape \(None, 2\) and \(None, 3\), got \(None, 2\)",
        ),
        (lambda: LSTMCell(2, activation=bp.layers.PReLU())(np.ones((1, 2)), np.ones((1, 2))),
         ValueError, "of 2 arrays"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_cell_that_breaks_its_promise_is_named():
    class Short(SimpleRNNCell):
        def advance(self, x, ctx, drawn):
            y, cache = super().advance(x, ctx, drawn)
            return y[0], cache

    class Alone(SimpleRNNCell):
        def backward(self, dy, cache):
            return super().backward(dy, cache)[0]

    with pytest.raises(TypeError, match=r"Short.*made 1 output"):
        RNN(Short(2))(np.ones((1, 2, 3)))
    layer = RNN(Alone(2))
    layer.build((None, 2, 3))
    y, cache = layer.forward(np.ones((1, 2, 3), "float32"))
    with pytest.raises(TypeError, match=r"Alone.*return a tuple with dx"):
        layer.backward(y, cache)


# ---------------------------------------------------------------------------------- Keras

PEERS = {
    "LSTMCell": lambda L: L.LSTMCell(2),
    "GRUCell": lambda L: L.GRUCell(2),
    "GRUCell before": lambda L: L.GRUCell(2, reset_after=False),
    "SimpleRNNCell": lambda L: L.SimpleRNNCell(2),
    "stack": lambda L: L.StackedRNNCells([L.LSTMCell(2), L.GRUCell(3)]),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_cells_over_time_are_keras(name, backwards, sequences):
    x = normal(3, 4, 2).astype("float32")
    options = {"return_sequences": sequences, "go_backwards": backwards, "return_state": True}
    layer = RNN(PEERS[name](bp.layers), **options)
    layer.build((None, *x.shape[1:]))
    weights = [normal(*w.shape, seed=i) for i, w in enumerate(layer.weights)]
    layer.set_weights(weights)
    first = [s.astype("float32") for s in starts(layer, x)]
    with keras_in("float32") as keras:
        peer = keras.layers.RNN(PEERS[name](keras.layers), **options)
        peer.build(x.shape)
        peer.set_weights(weights)
        nested = layer.cell.as_states(first)
        for mask in (None, HOLES[:, :4]):
            wanted = peer(x, initial_state=nested, mask=mask)
            found = layer(x, initial_state=nested, mask=mask)

            assert len(found) == len(wanted)
            for a, b in zip(bp.nest.leaves(found), bp.nest.leaves(wanted), strict=True):
                np.testing.assert_allclose(a, np.asarray(b), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", PEERS)
def test_a_step_is_keras(name):
    x = normal(3, 2).astype("float32")
    cell = PEERS[name](bp.layers)
    states = cell.get_initial_state(3)
    cell(x, states)
    weights = [normal(*w.shape, seed=i) for i, w in enumerate(cell.weights)]
    cell.set_weights(weights)
    with keras_in("float32") as keras:
        peer = PEERS[name](keras.layers)
        peer.build(x.shape)
        peer.set_weights(weights)
        wanted = peer(x, peer(x, peer.get_initial_state(batch_size=3))[1])
        found = cell(x, cell(x, states)[1])

        assert [w.path.rpartition("/")[2] for w in cell.weights] == [
            w.path.rpartition("/")[2] for w in peer.weights
        ]
        for a, b in zip(bp.nest.leaves(found), bp.nest.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=2e-5, atol=2e-6)
