"""States of recurrent layers: where they start, where they are kept, how gradients pass them."""

import copy
import pickle

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import normal, with_weights

import backprop as bp
from backprop import parallel
from backprop.layer import TRAINING, Context, Layer
from backprop.layers import (
    GRU,
    LSTM,
    Bidirectional,
    ConvLSTM1D,
    Dense,
    SimpleRNN,
    TimeDistributed,
)
from backprop.layers.recurrent import beside
from backprop.layers.recurrent.products import Product
from backprop.testing import masks

KINDS = [LSTM, GRU, SimpleRNN]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_where_it_stopped(kind):
    x = np.random.default_rng(0).standard_normal((2, 6, 3))
    whole = with_weights(kind(4, return_sequences=True, dtype="float64"), x)
    parts = kind(4, return_sequences=True, stateful=True, dtype="float64")
    parts.build(x.shape)
    parts.set_weights(whole.get_weights())

    halves = [parts(x[:, :3]), parts(x[:, 3:])]
    parts.reset_state()
    again = parts(x[:, :3])

    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole(x), rtol=1e-13)
    np.testing.assert_array_equal(again, halves[0])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_from_a_state_that_was_kept(kind):
    x = np.random.default_rng(0).standard_normal((2, 3, 3))
    layer = kind(2, stateful=True, dtype="float64")
    layer(x)
    carry = layer.carry.copy()
    assert carry.any()

    assert_gradients(layer, x)

    np.testing.assert_array_equal(layer.carry, carry)


def test_a_stateful_layer_wants_batches_of_one_size():
    layer = LSTM(2, stateful=True)
    with pytest.raises(ValueError, match="size of the batch must be known"):
        layer.build((None, 3, 2))
    assert not layer.built
    layer(np.zeros((4, 3, 2)))
    with pytest.raises(ValueError, match="keeps the states of 4 sequences and got a batch of 5"):
        layer(np.zeros((5, 3, 2)))


def test_the_state_is_part_of_a_copy():
    layer = LSTM(2, stateful=True)
    layer(np.ones((1, 3, 2)))
    twin = copy.deepcopy(layer)
    layer.reset_states()

    assert twin.carry.any()
    assert not layer.carry.any()


def test_states_are_kept_as_in_keras():
    keras = pytest.importorskip("keras", reason="Keras is not installed: no peer to compare with")
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    layer, peer = LSTM(2, stateful=True), keras.layers.LSTM(2, stateful=True)
    layer.build(x.shape)
    peer.build(x.shape)
    peer.set_weights([p.value for p in layer.arrays() if p.gradient is not None])

    for _ in range(3):
        np.testing.assert_allclose(layer(x), peer(x), rtol=2e-5, atol=1e-6)  # near 0 too


# ---------------------------------------------------------------------------------- given states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stateful", [False, True])
def test_a_layer_starts_from_the_state_that_it_is_given(kind, stateful):
    x = normal(2, 6, 3)
    whole = with_weights(kind(4, return_sequences=True, dtype="float64"), x)
    kept = kind(4, return_sequences=True, stateful=True, dtype="float64")
    kept.build(x.shape)
    kept.set_weights(whole.get_weights())
    kept(x[:, :4])
    layer = kept if stateful else whole

    y = layer(x[:, 4:], initial_state=list(kept.carry.copy()))

    np.testing.assert_allclose(y, whole(x)[:, 4:], rtol=1e-13)


def test_a_single_state_needs_no_list():
    layer = with_weights(GRU(3, dtype="float64"), normal(2, 1, 2))
    start = normal(2, 3)

    y = layer(normal(2, 1, 2), initial_state=start)

    np.testing.assert_array_equal(y, layer(normal(2, 1, 2), initial_state=[start]))
    assert not np.allclose(y, layer(normal(2, 1, 2)))


def test_a_state_that_does_not_fit_is_refused():
    layer, x = LSTM(3), normal(2, 1, 2)
    with pytest.raises(ValueError, match=r"2 arrays of shape \(None, 3\), got \(None, 3\)"):
        layer(x, initial_state=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"of shape \(2, 3\), got \(1, 3\), \(1, 3\)"):
        layer(x, initial_state=[np.zeros((1, 3))] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_one_by_one_are_the_whole_sequence(kind):
    x = normal(2, 5, 3)
    layer = with_weights(kind(4, return_sequences=True, dtype="float64"), x)
    memory, found = None, []
    for part in (x[:, :1], x[:, 1:4], x[:, 4:]):
        y, memory = layer.step(part, memory)
        found.append(y)

    np.testing.assert_allclose(np.concatenate(found, 1), layer(x), rtol=1e-13)
    assert layer.can_step
    assert not kind(4).can_step
    assert not kind(4, return_sequences=True, go_backwards=True).can_step


# ---------------------------------------------------------------------------------- through time


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_backpropagation_is_that_of_its_definition(kind):
    """Batch by batch from kept states: the gradient of the second half with its first state as a
    constant, and nothing of it in the first half.
    """
    x, v = normal(2, 8, 3), normal(2, 3, seed=1)
    layer = kind(3, stateful=True, dtype="float64")
    layer.build(x.shape)
    rng = np.random.default_rng(2)
    for p in layer.arrays():
        if p.gradient is not None:
            p.value[...] = 0.7 * rng.standard_normal(p.shape)
    layer(x[:, :4])
    start = [state.copy() for state in layer.carry]
    _, cache = layer.forward(x[:, 4:], TRAINING)
    layer.backward(v, cache)

    trained = [p for p in layer.arrays() if p.gradient is not None]
    for p in trained:
        for at in [tuple(n // 2 for n in p.shape), (0,) * p.value.ndim]:
            before, slopes = p.value[at], []
            for t in (1e-5, -1e-5):
                p.value[at] = before + t
                slopes.append((layer(x[:, 4:], initial_state=start) * v).sum())
            p.value[at] = before
            slope = (slopes[0] - slopes[1]) / 2e-5
            assert p.gradient[at] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_a_stateful_model_learns_what_lies_further_back_than_a_batch():
    """The target is the input of three steps ago; batches are of two steps."""
    bp.utils.set_random_seed(0)
    x = np.random.default_rng(0).choice([-1.0, 1.0], (16, 200, 1))
    y = np.roll(x, 3, axis=1)
    losses = []
    for stateful in (False, True):
        model = bp.Sequential(
            [
                bp.Input(batch_shape=(16, 2, 1)),
                SimpleRNN(16, return_sequences=True, stateful=stateful),
                Dense(1),
            ]
        )
        model.compile(bp.optimizers.Adam(0.01), "mse")
        for _ in range(4):
            model.layers[0].reset_states()
            found = [
                model.train_on_batch(x[:, t : t + 2], y[:, t : t + 2]) for t in range(4, 200, 2)
            ]
        losses.append(np.mean(found[-20:]))

    assert losses[0] > 0.8  # nothing to be known: the variance is 1
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_two_threads_give_the_same(kind, reset_after, dropout, monkeypatch):
    more = {"reset_after": reset_after} if kind is GRU else {}
    x, v, mask = normal(3, 47, 5), normal(3, 4, seed=1), normal(3, 47) > -1
    layer = with_weights(
        kind(4, dropout=dropout, recurrent_dropout=dropout, dtype="float64", **more), x
    )
    layer.take_seeds()
    twin = copy.deepcopy(layer)
    y, cache = layer.forward(x, Context(training=True, mask=mask))
    dx = layer.backward(v, cache)
    used = []
    monkeypatch.setattr(beside, "LARGE_LOOP", 0)
    monkeypatch.setattr(parallel, "pays", lambda: used.append(1) or True)

    y_beside, cache = twin.forward(x, Context(training=True, mask=mask))
    dx_beside = twin.backward(v, cache)

    assert len(used) == 2
    np.testing.assert_array_equal(y_beside, y)
    np.testing.assert_array_equal(dx_beside, dx)
    for p, q in zip(layer.arrays(), twin.arrays(), strict=True):
        np.testing.assert_allclose(q.gradient, p.gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("owner", "method"), [(Product, "forward"), (LSTM, "advance")])
def test_an_error_beside_the_loop_forwards_is_raised(owner, method, monkeypatch):
    layer = with_weights(LSTM(4), normal(2, 50, 3))
    monkeypatch.setattr(beside, "LARGE_LOOP", 0)
    monkeypatch.setattr(parallel, "pays", lambda: True)
    monkeypatch.setattr(LSTM, "has_loop", lambda *args: False)
    monkeypatch.setattr(owner, method, lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        layer.forward(np.ones((2, 50, 3), np.float32))


def test_an_error_beside_the_loop_is_raised(monkeypatch):
    layer = with_weights(LSTM(4), normal(2, 50, 3))
    monkeypatch.setattr(LSTM, "has_loop", lambda *args: False)
    y, cache = layer.forward(np.ones((2, 50, 3), np.float32))
    monkeypatch.setattr(beside, "LARGE_LOOP", 0)
    monkeypatch.setattr(parallel, "pays", lambda: True)
    monkeypatch.setattr(LSTM, "reverse", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        layer.backward(y, cache)


# ---------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_a_mask_is_a_shorter_sequence(kind, data):
    """Right and left padding, holes, all masked, none masked, one step, one sequence: what is left
    of each sequence gives the last output.
    """
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 5)))
    mask = data.draw(masks(shape, allow_empty=True))
    x = normal(*shape, 2)
    layer = with_weights(kind(3, dtype="float64"), x)

    y = layer(x, mask=mask)

    for n in range(len(x)):
        alone = layer(x[n : n + 1, mask[n]]) if mask[n].any() else np.zeros((1, 3))
        np.testing.assert_allclose(y[n], alone[0], rtol=1e-12, atol=1e-14)
    assert_gradients(kind(2), x, mask=mask)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_outputs_can_be_zeros(kind):
    x, mask = normal(2, 3, 2), np.array([[True, False, True], [False, True, True]])
    layer = with_weights(
        kind(3, return_sequences=True, zero_output_for_mask=True, dtype="float64"), x
    )
    held = kind(3, return_sequences=True, dtype="float64")
    held.build(x.shape)
    held.set_weights(layer.get_weights())

    y = layer(x, mask=mask)

    assert not y[~mask].any()
    np.testing.assert_array_equal(y[mask], held(x, mask=mask)[mask])
    assert_gradients(kind(3, return_sequences=True, zero_output_for_mask=True), x, mask=mask)


@pytest.mark.parametrize("mask", ["none", "all", "right", "left"])
@pytest.mark.parametrize("kind", KINDS)
def test_masked_sequences_are_keras(kind, mask):
    keras = pytest.importorskip("keras", reason="Keras is not installed: no peer to compare with")
    x = normal(2, 4, 3).astype("float32")
    padded = np.array([[True, True, True, True], [True, True, False, False]])
    found = {
        "none": np.ones((2, 4), bool),
        "all": np.zeros((2, 4), bool),
        "right": padded,
        "left": padded[:, ::-1],
    }[mask]
    for options in ({}, {"return_sequences": True}, {"go_backwards": True}):
        layer = with_weights(kind(3, **options), x)
        peer = getattr(keras.layers, kind.__name__)(3, **options)
        peer.build(x.shape)
        peer.set_weights(layer.get_weights())

        wanted = np.asarray(peer(x, mask=found))
        np.testing.assert_allclose(layer(x, mask=found), wanted, rtol=2e-5, atol=2e-6)


def test_a_batch_of_another_size_is_named_in_a_model():
    model = bp.Sequential([bp.Input(batch_shape=(4, 3, 2)), LSTM(2, stateful=True), Dense(1)])
    model.compile("sgd", "mse")

    with pytest.raises(ValueError, match=r"keeps the states of 4 sequences and got a batch of 3"):
        model.train_on_batch(np.zeros((3, 3, 2)), np.zeros((3, 1)))


# ------------------------------------------------------------------- states are no weights


def stacked(kind, batch, stateful=True):
    """A model of one recurrent layer, alone, in both directions, over images, or nested."""
    sequence = (3, 2)
    if kind == "ConvLSTM1D":
        sequence, layer = (3, 4, 2), ConvLSTM1D(2, 2, stateful=stateful)
    elif kind == "Bidirectional":
        layer = Bidirectional(LSTM(2, stateful=stateful))
    elif kind == "TimeDistributed":
        sequence, layer = (2, 3, 2), TimeDistributed(GRU(2, stateful=stateful))
    elif kind == "nested":
        layer = bp.Sequential([LSTM(2, return_sequences=True, stateful=stateful), GRU(2)])
    else:
        layer = getattr(bp.layers, kind)(2, stateful=stateful)
    return bp.Sequential([bp.Input(batch_shape=(batch, *sequence)), layer, Dense(1)])


STATEFUL = ["LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "Bidirectional", "TimeDistributed", "nested"]


@pytest.mark.parametrize("kind", STATEFUL)
def test_states_are_no_weights(kind):
    kept, plain = stacked(kind, 4), stacked(kind, 4, stateful=False)

    assert len(kept.states_kept()) > len(plain.states_kept()) == 0
    assert kept.count_params() == plain.count_params()
    assert len(kept.weights) == len(plain.weights) == len(kept.get_weights())
    assert kept.non_trainable_weights == []
    assert [p.path for p in kept.arrays()] == [p.path for p in plain.arrays()]


@pytest.mark.parametrize("kind", STATEFUL)
@pytest.mark.parametrize(
    ("theirs", "mine"), [((8, True), (1, True)), ((8, True), (1, False)), ((1, False), (8, True))]
)
def test_weights_fit_whatever_the_batches_and_states_are(kind, theirs, mine, tmp_path):
    one, other = stacked(kind, *theirs), stacked(kind, *mine)
    one(np.ones(one.input_shape))
    before = [p.value.copy() for p in other.states_kept()]

    other.set_weights([w + 1 for w in one.get_weights()])
    one.save_weights(tmp_path / "w.npz")
    other.load_weights(tmp_path / "w.npz")

    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for p, value in zip(other.states_kept(), before, strict=True):
        np.testing.assert_array_equal(p.value, value)


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_saved_model_starts_from_zeros(kind, tmp_path):
    model = stacked(kind, 4)
    model(np.ones(model.input_shape))
    model.save(tmp_path / "m.npz")
    loaded = bp.models.load_model(tmp_path / "m.npz")

    assert all(p.value.any() for p in model.states_kept())
    assert len(loaded.states_kept()) == len(model.states_kept())
    assert not any(p.value.any() for p in loaded.states_kept())


@pytest.mark.parametrize("kind", STATEFUL)
def test_the_states_of_a_model_are_reset_at_once(kind):
    model = stacked(kind, 4)
    x = np.ones(model.input_shape)
    first, then = model(x), model(x)
    model.reset_states()

    assert not np.array_equal(first, then)
    np.testing.assert_array_equal(model(x), first)


def test_the_states_of_a_layer_are_those_of_keras():
    keras = pytest.importorskip("keras", reason="Keras is not installed: no peer to compare with")
    x = normal(3, 4, 2).astype("float32")
    for make in (
        lambda k: k.layers.LSTM(2, stateful=True),
        lambda k: k.layers.GRU(2, stateful=True),
        lambda k: k.layers.Bidirectional(k.layers.LSTM(2, stateful=True)),
    ):
        ours, theirs = make(bp), make(keras)
        ours.build(x.shape)
        theirs.build(x.shape)
        theirs.set_weights(ours.get_weights())
        ours(x)
        theirs(x)

        assert len(ours.states) == len(theirs.states)
        for mine, its in zip(ours.states, theirs.states, strict=True):
            np.testing.assert_allclose(mine, np.asarray(its.value), rtol=2e-5, atol=1e-6)


class Counter(Layer):
    """y = x; counts the calls from 1."""

    def build(self, input_shape):
        self.calls = self.state("calls", (), 1.0)
        self.kernel, self.dkernel = self.param("kernel", (2,))

    def forward(self, x, ctx=None):
        self.calls = self.calls + 1
        return x.copy(), None

    def backward(self, dy, cache):
        self.dkernel = np.zeros(2)
        return dy


def test_a_state_of_ones_own_is_filled_copied_and_shared():
    layer = Counter(dtype="float32")
    for _ in range(3):
        layer(np.zeros((1, 2)))
    twin, wide, replica = copy.deepcopy(layer), layer.astype("float64"), layer.replica()
    thawed = pickle.loads(pickle.dumps(layer))
    replica(np.zeros((1, 2)))

    assert layer.calls == replica.calls == 5
    assert twin.calls == wide.calls == thawed.calls == 4
    assert wide.calls.dtype == wide.states_kept()[0].value.dtype == np.float64
    assert len(layer.weights) == 1
    layer.reset_state()
    assert layer.calls == replica.calls == 1
    assert twin.calls == 4
    with pytest.raises(ValueError, match=r"calls has shape \(\) and was given \(3,\)"):
        layer.calls = np.zeros(3)
    with pytest.raises(ValueError, match="already has an array named 'calls'"):
        layer.state("calls", (2,))


def test_a_state_of_unknown_size_is_refused_by_name():
    with pytest.raises(ValueError, match="cannot size 'kept'"):
        Counter().state("kept", (None, 3))
