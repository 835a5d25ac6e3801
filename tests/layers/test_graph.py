"""Back-propagation in a graph: what goes where, what is summed, and what is not computed."""

import copy
import pickle
import sys
import weakref

import numpy as np
import pytest
from hypothesis import strategies as st

import backprop as bp
from backprop.context import INFERENCE, PREDICT, TRAINING, Context
from backprop.gradcheck import gradcheck
from backprop.layer import Layer
from backprop.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    BatchNormalization,
    Chain,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    LayerNormalization,
    Masking,
    Multiply,
    Subtract,
)
from backprop.models import Model
from backprop.testing import layer_laws

# ---------------------------------------------------------------------- layers that tell


class Told(Layer):
    """y = x; keeps what it was given, and gives dy itself back."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.contexts, self.dys, self.reversed = [], [], 0

    def forward(self, x, ctx=INFERENCE):
        self.contexts.append(ctx)
        return x, None

    def backward(self, dy, cache):
        self.reversed += 1
        self.dys.append((dy, dy.copy()))
        return dy


class Scaled(Layer):
    """y = c x, with a count of how often each half of the backward pass is asked for."""

    def build(self, input_shape):
        self.c, self.dc = self.param("c", (), "ones")
        self.with_dx = self.without = 0

    def forward(self, x, ctx=INFERENCE):
        return self.c * x, x

    def backward(self, dy, cache):
        self.with_dx += 1
        self.dc[...] = (dy * cache).sum()
        return self.c * dy

    def backward_params(self, dy, cache):
        self.without += 1
        self.dc[...] = (dy * cache).sum()


class Split(Layer):
    """(y, z) = (2x, 3x); keeps dy and dz."""

    def compute_output_shape(self, input_shape):
        return input_shape, input_shape

    def forward(self, x, ctx=INFERENCE):
        return (2 * x, 3 * x), None

    def backward(self, dy, cache):
        self.came = dy
        return 2 * dy[0] + 3 * dy[1]


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture(autouse=True)
def double():
    bp.config.set_floatx("float64")
    yield
    bp.config.set_floatx("float32")


def passes(graph, x, dy=None, ctx=TRAINING):
    """y and dx, for a dy of ones unless told otherwise."""
    y, caches, _ = graph.propagate(x, ctx)
    ones = tuple(map(np.ones_like, y)) if isinstance(y, tuple) else np.ones_like(y)
    return y, graph.backward(ones if dy is None else dy, caches)


# ---------------------------------------------------------------------- laws


def siamese():
    x, z = Input((3,)), Input((3,))
    tower = Dense(3, "tanh")
    apart = Subtract()([tower(x), tower(z)])
    return Graph([x, z], [Multiply()([apart, apart, x]), LayerNormalization()(apart)])


rows = st.tuples(st.integers(1, 4), st.just(3))
test_graph = layer_laws(siamese, inputs=(rows, rows))


# ---------------------------------------------------------------------- values and gradients


def test_a_fork_and_a_join_worked_out_by_hand():
    """h = 3x, y = h (h - x) = 6x², so dy/dx = 12x; dL/dkernel = Σ x dh, with dh = 2h - x = 5x."""
    x = Input((1,))
    dense = Dense(1, use_bias=False, kernel_initializer="ones")
    h = dense(x)
    graph = Graph(x, Multiply()([h, Subtract()([h, x])]))
    dense.kernel[...] = 3

    y, dx = passes(graph, np.array([[1.0], [2.0]]))

    np.testing.assert_allclose(y, [[6], [24]])
    np.testing.assert_allclose(dx, [[12], [24]])
    np.testing.assert_allclose(dense.dkernel, [[5 + 20]])


def test_a_sum_at_a_fork_is_in_an_array_of_the_graph():
    told, again = Told(), Told()
    x = Input((3,))
    h = Dense(3)(x)
    graph = Graph(x, Add()([told(h), again(h), h]))

    passes(graph, drawn((2, 3)))

    for dy, before in told.dys + again.dys:
        np.testing.assert_array_equal(dy, before)


def test_the_gradient_that_a_loss_gives_is_not_written_to():
    x = Input((3,))
    h = Told()(x)
    graph = Graph(x, [h, Told()(h), x])
    dy = tuple(np.ones((2, 3)) for _ in range(3))

    _, dx = passes(graph, drawn((2, 3)), dy)

    np.testing.assert_array_equal(dx, np.full((2, 3), 3.0))
    np.testing.assert_array_equal(dy, np.ones((3, 2, 3)))


def test_gradients_of_a_shared_layer_are_summed_over_its_places():
    shared, first, second = (Dense(3, "tanh") for _ in range(3))
    x, z = Input((3,)), Input((3,))
    graph = Graph([x, z], Add()([shared(shared(x)), shared(z)]))
    weights = [drawn((3, 3)), drawn((3,))]
    shared.set_weights(weights)
    third = Dense(3, "tanh")
    apart = Graph([x, z], Add()([second(first(x)), third(z)]))
    for layer in (first, second, third):
        layer.set_weights(weights)
    given = drawn((4, 3), 1), drawn((4, 3), 2)

    y, dx = passes(graph, given)
    y_apart, dx_apart = passes(apart, given)

    np.testing.assert_allclose(y, y_apart)
    np.testing.assert_allclose(dx, dx_apart)
    np.testing.assert_allclose(shared.dkernel, first.dkernel + second.dkernel + third.dkernel)
    np.testing.assert_allclose(shared.dbias, first.dbias + second.dbias + third.dbias)


def test_a_layer_may_stand_outside_and_within_a_model_within():
    x, inner = Input((3,)), Input((3,))
    shared = Dense(3, "tanh")
    part = Model(inner, Add()([inner, shared(inner)]))
    graph = Graph(x, Add()([shared(part(x)), part(shared(x))]))

    assert len(graph.weights) == 2
    assert gradcheck(graph, drawn((4, 3)))


def test_every_output_has_its_own_way_back():
    x, z = Input((3,)), Input((4,))
    a = Dense(2, "tanh")(x)
    b = Dense(2, "sigmoid")(Concatenate()([a, z]))
    graph = Graph([x, z], {"b": b, "a": a, "x": x, "b again": b})

    assert gradcheck(graph, (drawn((4, 3)), drawn((4, 4), 1)))


def test_a_graph_may_be_nothing_at_all():
    x = Input((3,))
    graph = Graph(x, x)
    given = drawn((2, 3))

    y, dx = passes(graph, given)

    np.testing.assert_array_equal(y, given)
    np.testing.assert_array_equal(dx, np.ones((2, 3)))


def test_lists_and_dicts_come_out_as_they_were_drawn():
    x, z = Input((3,), name="x"), Input((3,), name="z")
    graph = Graph({"left": x, "rest": [z]}, {"sum": Add()([x, z]), "parts": (x, [z])})
    a, b = drawn((2, 3)), drawn((2, 3), 1)

    y = graph({"left": a, "rest": [b]})
    by_name = graph({"z": b, "x": a})

    np.testing.assert_array_equal(y["sum"], a + b)
    np.testing.assert_array_equal(y["parts"][0], a)
    np.testing.assert_array_equal(y["parts"][1][0], b)
    assert isinstance(y["parts"], tuple)
    np.testing.assert_array_equal(by_name["sum"], y["sum"])


# ---------------------------------------------------------------------- what nobody used


def test_an_output_that_nobody_used_has_a_gradient_of_zeros():
    split = Split()
    x = Input((3,))
    _, z = split(x)
    graph = Graph(x, z)

    _, dx = passes(graph, drawn((2, 3)))

    dy, dz = split.came
    np.testing.assert_array_equal(dx, np.full((2, 3), 3.0))
    np.testing.assert_array_equal(dy, np.zeros((2, 3)))
    assert dy.dtype == dz.dtype and dy.strides == (0, 0)  # it takes no memory


def test_an_output_without_a_loss_gives_no_gradients():
    x = Input((3,))
    one, other = Dense(2), Dense(2)
    graph = Graph(x, [one(x), other(x)])
    passes(graph, drawn((2, 3)))  # leaves gradients in both

    _, dx = passes(graph, drawn((2, 3)), (np.ones((2, 2)), None))

    np.testing.assert_array_equal(other.dkernel, 0)
    assert one.dkernel.any()
    np.testing.assert_allclose(dx, np.ones((2, 2)) @ one.kernel.T)


def test_an_input_without_a_gradient_gets_zeros():
    x, z = Input((3,)), Input((3,))
    graph = Graph([x, z], [Dense(2)(x), Dense(2)(z)])

    _, (dx, dz) = passes(graph, (drawn((2, 3)), drawn((2, 3))), (np.ones((2, 2)), None))

    assert dx.any()
    np.testing.assert_array_equal(dz, np.zeros((2, 3)))


# ---------------------------------------------------------------------- what is not computed


def test_no_dx_is_computed_at_the_roots():
    x, z = Input((3,)), Input((3,))
    told, first, root, last = Told(), Scaled(), Scaled(), Scaled()
    graph = Graph([x, z], last(Add()([first(told(x)), root(z)])))

    _, caches, _ = graph.propagate((drawn((2, 3)), drawn((2, 3), 1)), TRAINING)
    graph.backward_params(np.ones((2, 3)), caches)

    assert (last.with_dx, last.without) == (1, 0)
    assert (first.with_dx, first.without) == (0, 1)
    assert (root.with_dx, root.without) == (0, 1)
    assert told.reversed == 0


def test_dx_of_the_inputs_is_computed_where_it_is_asked_for():
    x, z = Input((3,)), Input((3,))
    told, first, root = Told(), Scaled(), Scaled()
    graph = Graph([x, z], Add()([first(told(x)), root(z)]))

    passes(graph, (drawn((2, 3)), drawn((2, 3), 1)))

    assert (first.with_dx, root.with_dx, told.reversed) == (1, 1, 1)


def test_values_are_dropped_after_their_last_use_in_inference():
    alive = []

    class Counts(Layer):
        def forward(self, x, ctx=INFERENCE):
            alive.append(sum(ref() is not None for ref in made))
            y = x + 1
            made.append(weakref.ref(y))
            return y, None

        def backward(self, dy, cache):
            return dy

    x = Input((3,))
    h = Counts()(x)
    kept = h
    for _ in range(6):
        h = Counts()(h)
    graph = Graph(x, Add()([h, kept]))
    made: list = []
    graph(drawn((2, 3)))  # the first pass looks at what comes out
    alive, made = [], []

    graph.forward(drawn((2, 3)), PREDICT)

    assert max(alive) <= 3  # the one that is read at the end, and two of those on the way
    assert sum(ref() is not None for ref in made) == 0


# ---------------------------------------------------------------------- masks


def test_masks_go_along_the_edges():
    tokens, numbers = Input((4,), dtype="int32"), Input((4, 3))

    class Both(Told):
        several_inputs = True

        def compute_output_shape(self, input_shape):
            return input_shape[1]

        def forward(self, x, ctx=INFERENCE):
            super().forward(x, ctx)
            return x[1], None

        def backward(self, dy, cache):
            return None, dy

        def compute_mask(self, x, mask):
            return mask and mask[1]

    left, right = Told(), Told()
    both = Both()
    embedded = left(Embedding(5, 2, mask_zero=True)(tokens))
    graph = Graph([tokens, numbers], right(both([embedded, numbers])))
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])

    graph((ids, drawn((2, 4, 3))))

    np.testing.assert_array_equal(left.contexts[-1].mask, ids != 0)
    mask, none = both.contexts[-1].mask
    np.testing.assert_array_equal(mask, ids != 0)
    assert none is None
    assert right.contexts[-1].mask is None


def test_a_mask_of_each_input_is_given_with_the_call():
    x, z = Input((2, 3)), Input((2, 3))
    left, right = Told(), Told()
    graph = Graph([x, z], [left(x), right(z)])
    mask = np.array([[True, False]])

    graph([drawn((1, 2, 3)), drawn((1, 2, 3))], mask=[None, mask])

    assert left.contexts[-1].mask is None
    np.testing.assert_array_equal(right.contexts[-1].mask, mask)


def test_what_is_not_finite_at_masked_steps_reaches_nothing():
    x = Input((3, 2))
    h = Masking(mask_value=-1.0)(x)
    graph = Graph(x, LSTM(2)(Dense(2)(h)))
    given = drawn((2, 3, 2))
    given[:, 2] = -1.0
    wanted = graph(given)

    mask = np.ones((2, 3), bool)
    mask[:, 2] = False
    given[:, 2] = np.nan

    np.testing.assert_array_equal(graph(given, mask=mask), wanted)


def test_what_is_not_finite_where_a_mask_begins_reaches_nothing():
    x = Input((3,), dtype="int32")
    embedding = Embedding(4, 2, mask_zero=True)
    graph = Graph(x, Told()(embedding(x)))
    embedding.embeddings[0] = np.inf

    y = graph(np.array([[1, 2, 0], [3, 0, 0]]))

    np.testing.assert_array_equal(np.isfinite(y).all(-1), np.ones((2, 3), bool))


# ---------------------------------------------------------------------- training and penalties


def test_a_call_may_say_whether_it_is_in_training():
    x = Input((50,))
    always, never = Dropout(0.5), BatchNormalization()
    graph = Graph(x, [always(x, training=True), never(x, training=False)])
    given = drawn((4, 50))

    dropped, _ = graph(given)
    trained = graph.forward(given, TRAINING)[0][1]

    assert (dropped == 0).any()
    np.testing.assert_allclose(trained, given / np.sqrt(1 + never.epsilon))
    assert [call.training for call in graph._wiring.calls] == [True, False]
    again = Graph.from_config(graph.get_config())
    assert (again(given)[0] == 0).any()


def test_a_penalty_on_an_activity_counts_for_each_call():
    x = Input((3,))
    shared = Dense(3, activity_regularizer="l2")
    graph = Graph(x, Add()([shared(shared(x)), x]))
    given = drawn((4, 3))
    ctx = Context(training=True, penalties=[])

    graph.propagate(given, ctx)

    h = given @ shared.kernel
    wanted = [0.01 * (a**2).sum() / 4 for a in (h, h @ shared.kernel)]
    np.testing.assert_allclose(ctx.penalties, wanted)
    assert gradcheck(graph, given)


def test_a_penalty_on_the_activity_of_several_outputs_counts_for_each():
    x = Input((4, 3))
    graph = Graph(x, GRU(2, return_sequences=True, return_state=True, activity_regularizer="l2")(x))
    given = drawn((2, 4, 3))
    ctx = Context(training=True, penalties=[])

    (sequence, state), _, _ = graph.propagate(given, ctx)

    np.testing.assert_allclose(ctx.penalties, [0.01 * (a**2).sum() / 2 for a in (sequence, state)])
    assert gradcheck(graph, given)


@pytest.mark.parametrize("on", ["the layer within", "the graph"])
def test_a_penalty_of_a_graph_within_counts_for_each_of_its_calls(on):
    x, z = Input((3,)), Input((3,))
    dense = Dense(3, activity_regularizer="l2" if on == "the layer within" else None)
    within = Graph(x, [dense(x), Dense(2)(x)])
    if on == "the graph":
        within.activity_regularizer = bp.regularizers.L2()
    (a, _), (b, narrow) = within(x), within(z)  # an output that nobody reads is penalised too
    graph = Graph([x, z], [Add()([a, b]), narrow])
    given = drawn((4, 3)), drawn((4, 3), seed=1)
    ctx = Context(training=True, penalties=[])

    graph.propagate(given, ctx)

    outputs = [y[: 1 if on == "the layer within" else 2] for y in map(within, given)]
    wanted = sum(0.01 * (a**2).sum() / 4 for y in outputs for a in y)
    np.testing.assert_allclose(sum(ctx.penalties), wanted)
    assert gradcheck(graph, given)


def test_a_penalty_has_a_gradient_though_nobody_uses_the_output():
    x = Input((3,))
    penalised, other = Dense(2, activity_regularizer="l2"), Dense(2)
    graph = Graph(x, [penalised(x), other(x)])
    given = drawn((4, 3))
    ctx = Context(training=True, penalties=[])

    _, caches, _ = graph.propagate(given, ctx)
    graph.backward_params((None, np.ones((4, 2))), caches)

    np.testing.assert_allclose(penalised.dkernel, given.T @ (0.02 * (given @ penalised.kernel)) / 4)


def test_integers_are_looked_up_and_computed_with():
    x = Input((2,), dtype="int32")
    table, dense = Embedding(5, 3), Dense(3)
    graph = Graph(x, [table(x), dense(x)])
    ids = np.array([[1, 2], [4, 4]])

    looked_up, computed = graph(ids)

    np.testing.assert_array_equal(looked_up, table.embeddings[ids])
    np.testing.assert_allclose(computed, ids @ dense.kernel)
    assert computed.dtype == np.float64
    _, dx = passes(graph, ids)
    np.testing.assert_array_equal(dx, np.zeros((2, 2)))  # integers have no derivative


# ---------------------------------------------------------------------- layers that keep something


def test_a_stateful_layer_goes_on_from_its_first_call_in_a_pass():
    x, z = Input(batch_shape=(2, 3, 2)), Input(batch_shape=(2, 3, 2))
    lstm = LSTM(2, stateful=True)
    graph = Graph([x, z], [lstm(x), lstm(z)])
    a, b = drawn((2, 3, 2)), drawn((2, 3, 2), 1)

    found = graph([a, b])

    lstm.reset_state()
    np.testing.assert_array_equal(found[0], lstm(a))
    np.testing.assert_array_equal(found[1], lstm(b))


def test_moving_averages_take_every_call_of_a_pass():
    x, z = Input((2,)), Input((2,))
    norm = BatchNormalization(momentum=0.5)
    graph = Graph([x, z], [norm(x), norm(z)])
    a, b = drawn((8, 2)), drawn((8, 2), 1)

    graph.forward((a, b), TRAINING)

    np.testing.assert_allclose(norm.moving_mean, (a.mean(0) / 2 + b.mean(0)) / 2)


def test_a_dropout_draws_anew_at_each_of_its_places():
    x = Input((50,))
    dropout = Dropout(0.5)
    graph = Graph(x, [dropout(x), dropout(x)])

    one, other = graph.forward(np.ones((4, 50)), TRAINING)[0]

    assert (one != other).any()


# ---------------------------------------------------------------------- copies


def forked():
    x, z = Input((3,), name="x"), Input((3,), name="z")
    shared = Dense(3, "tanh")
    a, b = Split()(shared(x))
    return Graph([x, z], [Add()([a, shared(z)]), LayerNormalization()(b)])


def test_a_replica_shares_the_values_and_has_gradients_of_its_own():
    graph = forked()
    twin = graph.replica()
    given = drawn((4, 3)), drawn((4, 3), 1)
    y, _ = passes(graph, given)
    alone = [p.gradient.copy() for p in graph.arrays()]

    y_twin, _ = passes(twin, (given[1], given[0]))
    for p in graph.arrays():
        p.value[...] += 0.1
    y_of_both, dx_of_both = passes(twin, given)

    assert (y[0] != y_twin[0]).any()
    for p, gradient in zip(graph.arrays(), alone, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)
    np.testing.assert_array_equal(y_of_both, passes(graph, given)[0])
    np.testing.assert_array_equal(dx_of_both, passes(graph, given)[1])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))])
def test_copies_compute_the_same_and_share_nothing(again):
    graph = Graph(x := Input((3,)), Concatenate()([Dense(2, "tanh")(x), x]))
    given = drawn((4, 3))
    y, dx = passes(graph, given)

    twin = again(graph)
    for p in graph.arrays():
        p.value[...] = 0

    y_twin, dx_twin = passes(twin, given)
    np.testing.assert_array_equal(y, y_twin)
    np.testing.assert_array_equal(dx, dx_twin)
    assert [symbol.shape for end in twin.symbols() for symbol in end] == [(None, 3), (None, 5)]


def test_a_graph_of_three_thousand_layers_is_not_too_deep():
    x = h = Input((2,))
    for i in range(3000):
        h = Add()([h, x]) if i % 10 == 0 else Activation("tanh")(h)
    assert sys.getrecursionlimit() < 3000
    graph = Graph(x, Dense(2)(h))
    given = drawn((1, 2))
    y, dx = passes(graph, given)

    copies = (
        copy.deepcopy(graph),
        pickle.loads(pickle.dumps(graph)),
        Graph(*graph.symbols()),
        graph.replica(),
    )

    for twin in copies:
        y_twin, dx_twin = passes(twin, given)
        np.testing.assert_array_equal(y, y_twin)
        np.testing.assert_array_equal(dx, dx_twin)
    again = Graph.from_config(graph.get_config())
    assert len(again.layers) == len(graph.layers) == 3002


def test_a_chain_is_the_graph_in_which_each_layer_reads_the_one_before():
    layers = [Dense(4, "tanh"), LayerNormalization(), Dropout(0.0), Dense(2, "softmax")]
    x = Input((3,))
    h = x
    for layer in layers:
        h = layer(h)
    graph, chain = Graph(x, h), Chain(layers)
    chain.build((None, 3))
    given = drawn((5, 3))
    dy = drawn((5, 2), 1)

    y, dx = passes(graph, given, dy)
    in_graph = [p.gradient.copy() for p in graph.arrays()]
    y_chain, dx_chain = passes(chain, given, dy)

    np.testing.assert_array_equal(y, y_chain)
    np.testing.assert_array_equal(dx, dx_chain)
    for p, gradient in zip(chain.arrays(), in_graph, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)
    assert graph.ends_in_softmax and chain.ends_in_softmax


# ---------------------------------------------------------------------- what goes wrong within


def test_an_error_within_names_the_layer_and_what_it_was_given():
    class Fails(Layer):
        def forward(self, x, ctx=INFERENCE):
            raise ValueError("no")

        def backward(self, dy, cache):
            return dy

    x = Input((3,))
    graph = Graph(x, Fails(name="fails")(Dense(2)(x)), name="outer")

    with pytest.raises(
        ValueError, match=r"in layer 2 of outer: Fails\(.*\), given \(2,\) float64: no"
    ):
        graph(drawn((4, 3)))


def test_a_dx_of_another_shape_is_found_at_the_first_pass_back():
    class Wrong(Layer):
        def forward(self, x, ctx=INFERENCE):
            return x, None

        def backward(self, dy, cache):
            return dy.sum(-1)

    x = Input((3,))
    graph = Graph(x, Wrong()(Dense(3)(x)))

    with pytest.raises(ValueError, match="Wrong"):
        passes(graph, drawn((4, 3)))


def test_a_softmax_that_another_layer_reads_is_not_fused():
    x = Input((3,))
    p, q = Dense(2, "softmax")(x), Dense(2, "softmax")(x)

    assert Graph(x, [p, q]).ends_in_softmax == (True, True)
    assert Graph(x, [p, Add()([p, q])]).ends_in_softmax == (False, False)
    assert Graph(x, [p, p, x]).ends_in_softmax == (False, False, False)
