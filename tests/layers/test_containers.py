import copy
import json
import pickle

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import drawn

from backprop import layers
from backprop.layer import INFERENCE, PREDICT, TRAINING, Context, Layer
from backprop.layers import (
    BatchNormalization,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    InputLayer,
    LayerNormalization,
    MaxPooling2D,
    Parallel,
    PReLU,
    ReLU,
    Reshape,
    Residual,
)
from backprop.layers.branches import JOINS
from backprop.linalg import sum_rows
from backprop.random import set_random_seed
from backprop.vector import ParameterVector


def built(layer, width=3):
    layer.build((None, width))
    return layer


class Mean(Layer):
    """y = the mean over the real steps: a layer that needs the mask."""

    def forward(self, x, ctx=INFERENCE):
        w = np.ones(x.shape[:2], x.dtype) if ctx.mask is None else ctx.mask.astype(x.dtype)
        w = (w / w.sum(1, keepdims=True))[:, :, None]
        return (x * w).sum(1), w

    def backward(self, dy, w):
        return dy[:, None] * w

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])

    def compute_mask(self, x, mask):
        return None


class Block(Layer):
    """y = gamma * inner(x): a layer with a parameter of its own and a layer inside."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.gamma, self.dgamma = self.param("gamma", (1,), "ones")

    def forward(self, x, ctx=INFERENCE):
        z, cache = self.inner.forward(x, ctx)
        return self.gamma * z, (z, cache)

    def backward(self, dy, cache):
        z, inner = cache
        self.dgamma = sum_rows((dy * z).reshape(-1, 1))
        return self.inner.backward(self.gamma * dy, inner)


# ------------------------------------------------------------------------------------------- values


def test_a_chain_by_hand():
    chain = built(Chain([Dense(1, use_bias=False), Dense(1, use_bias=False)]), 1)
    chain.set_weights([[[2.0]], [[5.0]]])
    y, caches = chain.forward(np.array([[3.0]], np.float32))
    dx = chain.backward(np.array([[1.0]], np.float32), caches)

    assert (y, dx) == (30, 10)
    assert [p.gradient.item() for p in chain.arrays()] == [15, 6]


def test_a_residual_by_hand():
    layer = built(Residual([Dense(1, use_bias=False)]), 1)
    layer.set_weights([[[2.0]]])
    y, cache = layer.forward(np.array([[3.0]], np.float32))

    assert (y, layer.backward(np.array([[1.0]], np.float32), cache)) == (9, 3)


@pytest.mark.parametrize(
    ("join", "wanted"),
    [
        ("concat", [[1, 5, 2, 3]]),
        ("add", [[3, 8]]),
        ("average", [[1.5, 4]]),
        ("multiply", [[2, 15]]),
        ("maximum", [[2, 5]]),
    ],
)
def test_joins_by_hand(join, wanted):
    branches = [
        Dense(2, bias_initializer=Fixed(b), kernel_initializer="zeros") for b in ([1, 5], [2, 3])
    ]

    np.testing.assert_array_equal(Parallel(branches, join)(np.ones((1, 4))), wanted)


class Fixed:
    def __init__(self, values):
        self.values = values

    def __call__(self, shape, dtype, rng):
        return np.array(self.values, dtype)


# ---------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("join", JOINS)
@given(count=st.integers(1, 4), batch=st.integers(1, 4))
def test_gradients_of_parallel(join, count, batch):
    branches = [
        [Dense(2, "tanh")],
        Dense(2),
        Residual([Dense(3, "tanh")], [Dense(3)]),
        Dense(2, "gelu"),
    ]
    if join != "concat":
        branches[2] = Dense(2, "sigmoid")

    assert_gradients(Parallel(branches[:count], join), drawn((batch, 3)))


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_gradients_of_concat_along_any_axis(axis):
    branches = [Dense(2), Dense(2, "tanh")]

    assert_gradients(Parallel(branches, axis=axis), drawn((2, 3, 2, 4)))


def test_maximum_gives_a_tie_to_the_first_branch():
    layer = Parallel([ReLU(), ReLU()], "maximum")
    layer.build((None, 2))
    _, cache = layer.forward(np.ones((1, 2), np.float32))

    np.testing.assert_array_equal(layer.backward(np.array([[3.0, 4.0]]), cache), [[3, 4]])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Residual([Dense(3, "tanh"), Dense(4)]),
        lambda: Residual(Dense(2), shortcut=Dense(2), activation="tanh"),
        lambda: Residual(
            [Dense(2), BatchNormalization()], [Dense(2), BatchNormalization()], PReLU()
        ),
        lambda: Residual(Residual(Residual([Dense(4, "elu")]))),
        lambda: Chain([Dense(3), Dropout(0.5), Chain([Dense(3, "tanh"), Residual(Dropout(0.3))])]),
        lambda: Chain(
            [Parallel([Chain([Dense(2)]), Parallel([Dense(1), Dense(1)])], "multiply"), Dense(1)]
        ),
        lambda: Chain(
            [
                Residual([Dense(4, "tanh", activity_regularizer="l2")]),
                Dense(2, activity_regularizer="l1"),
            ]
        ),
        lambda: Residual(Dense(4, activity_regularizer="l2"), Dense(4, activity_regularizer="l1")),
        lambda: Chain([]),
        lambda: Chain([Chain([]), Dense(2)]),
        lambda: Parallel([Chain([]), Dense(4)], "add"),
    ],
)
def test_gradients_of_nested_containers(make, training):
    assert_gradients(make(), drawn((3, 4)), training=training)


def test_gradients_of_a_small_convolutional_network():
    set_random_seed(0)  # differences need weights that are not near a kink
    chain = Chain(
        [
            Conv2D(3, 3, padding="same"),
            BatchNormalization(),
            ReLU(),
            Residual([Conv2D(3, 3, padding="same")]),
            MaxPooling2D(),
            Flatten(),
            Dense(2),
        ]
    )

    assert_gradients(chain, drawn((3, 4, 4, 2)))


# ---------------------------------------------------------------------- one layer in several places


def a_dense():
    return Dense(3, "tanh")


def twice_in_a_chain():
    d = a_dense()
    return Chain([d, LayerNormalization(), d, Dense(2)])


def thrice_in_a_row():
    d = a_dense()
    return Chain([d, d, d])


def nested():
    d = a_dense()
    return Chain([d, Chain([Dense(3), Residual([d])]), d])


def inside_before_outside():
    d = a_dense()
    return Chain([Residual([d]), Chain([Chain([d])]), d])


def a_container_twice():
    block = Residual([a_dense(), LayerNormalization()])
    return Chain([block, Dense(3), block])


def a_container_and_its_part():
    d = a_dense()
    block = Chain([d, Dense(3)])
    return Chain([block, d, block])


def in_both_branches():
    d = a_dense()
    return Parallel([d, Chain([Dense(3), d])], "multiply")


def as_its_own_shortcut():
    d = a_dense()
    return Residual(d, shortcut=[d, d], activation="tanh")


def in_nested_branches():
    d = a_dense()
    return Chain([d, Parallel([Parallel([d, Dense(3)], "add"), [d, d]]), Dense(2)])


def an_activation_with_parameters():
    p = PReLU()
    return Chain([Dense(3, p), Dense(3, p), p])


def a_part_of_a_layer_with_parameters():
    d = a_dense()
    return Chain([d, Block(d), Block(d)])


def with_a_penalty():
    d = Dense(3, "tanh", activity_regularizer="l2")
    return Chain([d, Dense(3), d])


def normalizations():
    norm = BatchNormalization()
    return Chain([Dense(3), norm, Dense(3, "tanh"), norm])


SHARING = [
    twice_in_a_chain,
    thrice_in_a_row,
    nested,
    inside_before_outside,
    a_container_twice,
    a_container_and_its_part,
    in_both_branches,
    as_its_own_shortcut,
    in_nested_branches,
    an_activation_with_parameters,
    a_part_of_a_layer_with_parameters,
    with_a_penalty,
    normalizations,
]


@pytest.mark.parametrize("make", SHARING)
def test_gradients_of_a_layer_in_several_places_are_the_sum(make):
    assert_gradients(make(), drawn((4, 3)))


@pytest.mark.parametrize("make", SHARING)
def test_a_second_backward_pass_adds_nothing(make):
    layer = built(make())
    x = drawn((4, 3), dtype=np.float32)
    gradients = []
    for _ in range(2):
        y, cache = layer.forward(x)
        layer.backward(y, cache)
        gradients.append([p.gradient.copy() for p in layer.arrays() if p.gradient is not None])

    for first, second in zip(*gradients, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("make", SHARING)
def test_backward_params_sets_the_gradients_of_backward(make):
    layer = built(make())
    y, cache = layer.forward(drawn((4, 3), dtype=np.float32))
    layer.backward(y, cache)
    trained = [p for p in layer.arrays() if p.gradient is not None]
    wanted = [p.gradient.copy() for p in trained]
    for p in trained:
        p.gradient[...] = 99
    layer.backward_params(y, cache)

    for p, gradient in zip(trained, wanted, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)


@pytest.mark.parametrize("make", SHARING)
def test_every_array_is_listed_once_and_belongs_to_a_built_layer(make):
    layer = built(make())
    arrays = layer.arrays()

    assert (
        len({id(p.value) for p in arrays}) == len(arrays) == len(ParameterVector(arrays).parameters)
    )
    assert all(part.built for part in layer.walk())


@pytest.mark.parametrize("make", SHARING)
def test_the_flat_vector_is_what_every_place_reads(make):
    layer = built(make())
    vector = ParameterVector(p for p in layer.arrays() if p.gradient is not None)
    x = drawn((4, 3), dtype=np.float32)
    vector.values[:] = 0

    np.testing.assert_array_equal(layer(x), layer(x * 0))  # without kernels no input matters
    y, cache = layer.forward(x)
    vector.gradients[:] = np.nan
    layer.backward(y, cache)
    assert np.isfinite(vector.gradients).all()


@pytest.mark.parametrize("make", SHARING)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_whole_and_their_own(make, copied):
    layer = built(make())
    vector = ParameterVector(p for p in layer.arrays() if p.gradient is not None)
    vector.values[:] = np.linspace(0.1, 0.9, vector.size)  # no unit is dead, whatever was drawn
    x = drawn((4, 3), dtype=np.float32)
    y = layer(x)
    twin = copied(layer)

    np.testing.assert_array_equal(twin(x), y)
    ParameterVector(p for p in twin.arrays() if p.gradient is not None).values[:] *= 1.5
    np.testing.assert_array_equal(layer(x), y)
    assert (twin(x) != y).any()
    vector.values[:] = 0
    assert (twin(x) != layer(x)).any()
    assert_gradients(twin, drawn((4, 3)))


@pytest.mark.parametrize("make", SHARING)
def test_freezing_reaches_every_place(make):
    layer = built(make())
    layer.trainable = False
    before = layer.get_weights()
    x = drawn((4, 3), dtype=np.float32)

    np.testing.assert_array_equal(layer(x, training=True), layer(x))  # no batch statistics either
    for w, was in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(w, was)
    assert layer.trainable_weights == []


@pytest.mark.parametrize("make", SHARING)
def test_a_double_of_a_shared_layer_computes_in_double(make):
    layer = built(make()).astype("float64")
    y, cache = layer.forward(drawn((4, 3)))

    assert y.dtype == layer.backward(y, cache).dtype == np.float64
    assert {p.value.dtype for p in layer.arrays()} == {np.dtype("float64")}


@pytest.mark.parametrize("make", SHARING)
def test_sharing_survives_the_configuration(make):
    layer = make()
    config = json.loads(json.dumps(layers.serialize(layer)))
    built(layer)
    twin = built(layers.deserialize(config, {"Block": Block}))

    assert twin.count_params() == layer.count_params()
    twin.set_weights(layer.get_weights())
    x = drawn((4, 3))
    np.testing.assert_array_equal(twin(x), layer(x))


# ----------------------------------------------------------------------------------------- replicas


@pytest.mark.parametrize("make", SHARING)
def test_a_replica_shares_the_values_and_has_gradients_of_its_own(make):
    layer = built(make())
    twin = layer.replica()
    a, b = drawn((4, 3), 0, np.float32), drawn((2, 3), 1, np.float32)
    (ya, cache_a), (yb, cache_b) = layer.forward(a), twin.forward(b)
    layer.backward(ya, cache_a)
    alone = [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
    twin.backward(yb, cache_b)

    for p, gradient in zip(
        (p for p in layer.arrays() if p.gradient is not None), alone, strict=True
    ):
        np.testing.assert_array_equal(p.gradient, gradient)
    layer.add_gradients(twin)
    together = [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
    yb, cache_b = layer.forward(b)
    layer.backward(yb, cache_b)
    for p, first, both in zip(
        (p for p in layer.arrays() if p.gradient is not None), alone, together, strict=True
    ):
        np.testing.assert_allclose(both, first + p.gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", SHARING)
def test_a_replica_follows_the_values_wherever_they_move(make):
    layer = built(make())
    twin = layer.replica()
    x = drawn((4, 3), dtype=np.float32)
    vector = ParameterVector(p for p in layer.arrays() if p.gradient is not None)
    vector.values[:] *= 2

    np.testing.assert_array_equal(twin(x), layer(x))
    layer.set_weights([w + 1 for w in layer.get_weights()])
    np.testing.assert_array_equal(twin(x), layer(x))


def test_a_replica_is_frozen_with_its_layer():
    layer = built(Chain([Dense(3), BatchNormalization()]))
    twin = layer.replica()
    layer.trainable = False
    before = layer.get_weights()
    twin.forward(drawn((4, 3), dtype=np.float32), TRAINING)

    for w, was in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(w, was)


# --------------------------------------------------------------------------- freezing, names, dtype


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: Chain([Dense(2), Dense(3)], **k),
        lambda **k: Residual([Dense(3)], [Dense(3)], PReLU(), **k),
        lambda **k: Parallel([Dense(2), [Dense(3), PReLU()]], **k),
        lambda **k: Dense(2, PReLU(), **k),
    ],
)
def test_trainable_false_reaches_everything_inside(make):
    layer = built(make(trainable=False))

    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == len(layer.weights)
    twin = built(layers.deserialize(layers.serialize(layer)))
    assert twin.trainable_weights == []
    layer.trainable = True
    assert len(layer.trainable_weights) == len(layer.weights)


def test_a_part_may_be_frozen_alone_and_the_configuration_keeps_it():
    chain = Chain([Dense(2), Dense(3)])
    chain.layers[0].trainable = False
    built(chain)
    twin = built(layers.deserialize(layers.serialize(chain)))

    assert len(chain.trainable_weights) == len(twin.trainable_weights) == 2
    assert chain.get_config()["layers"][0]["config"]["trainable"] is False


def test_names_are_unique_within_a_chain():
    chain = Chain([Dense(1), Dense(1), ReLU(), Dense(1)])

    assert [layer.name for layer in chain.layers] == ["dense", "dense_1", "re_lu", "dense_2"]
    with pytest.raises(ValueError, match="already has a layer named 'a'"):
        Chain([Dense(1, name="a"), Dense(1, name="a")])


def test_a_chain_of_float64_computes_in_float64_throughout():
    chain = Chain(
        [
            Residual([Dense(3, "relu")]),
            Parallel([Dense(2), [Dense(1), ReLU()]]),
            BatchNormalization(),
        ],
        dtype="float64",
    )
    y = chain(drawn((4, 3)))

    assert y.dtype == np.float64
    assert {w.dtype for w in chain.weights} == {np.dtype("float64")}


def test_a_layer_of_another_dtype_is_refused():
    chain = Chain([Dense(2), Dense(2, dtype="float32")], dtype="float64")

    with pytest.raises(ValueError, match=r"in layer 1 of chain: .*choose one dtype"):
        chain.build((None, 3))


# ------------------------------------------------------------------------------------------- errors


def test_errors_say_in_which_layer_they_happened():
    with pytest.raises(
        ValueError,
        match=r"in layer 1 of chain: Conv2D\(2, 3\), given \(4,\): .*3 axes besides",
    ):
        Chain([Dense(4), Conv2D(2, 3)]).build((None, 4))
    with pytest.raises(
        ValueError, match=r"in layer 0 of chain: .*: in layer 1 of chain: Reshape\(\(5,\)\)"
    ):
        Chain([Chain([Dense(4), Reshape((5,))])]).build((None, 4))


class Broken(Layer):
    def forward(self, x, ctx=INFERENCE):
        raise self.kind("no")

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind


def test_errors_of_a_forward_pass_are_located_past_penalties_and_repeated_layers():
    relu = ReLU(activity_regularizer="l2")
    chain = built(Chain([relu, relu, Broken(ValueError)]))
    with pytest.raises(
        ValueError, match=r"in layer 2 of chain: Broken\(ValueError\), given \(3,\) float32: no"
    ):
        chain(np.ones((2, 3)))

    chain = built(Chain([relu, relu, Broken(KeyError)]))
    with pytest.raises(KeyError) as error:
        chain(np.ones((2, 3)))
    assert "in layer 2 of chain" in error.value.__notes__[0]


def test_errors_in_a_branch_say_in_which():
    with pytest.raises(ValueError, match=r"in branch 1 of parallel: Conv2D\(2, 3\), given \(4,\)"):
        Parallel([Dense(2), Conv2D(2, 3)]).build((None, 4))
    layer = built(Parallel([Dense(2), Broken(ValueError)]))
    with pytest.raises(ValueError, match="in branch 1 of parallel: Broken"):
        layer(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chain([Dense(2), "relu"]), "made of layers and got str 'relu'"),
        (lambda: Chain([Dense(2), np.tanh]), "becomes a layer by Activation('relu')"),
        (lambda: Chain(Dense(2)), "expects a list of layers, got Dense"),
        (lambda: Chain([Dense(2), Input((3,))]), "Input goes to the front"),
        (lambda: Parallel([]), "at least one branch"),
        (lambda: Parallel([Dense(2)], "sum"), "join to be one of 'concat', 'add'"),
        (
            lambda: built(Parallel([Dense(2), Dense(3)], "add")),
            "cannot add branches of shapes (2,) and (3,)",
        ),
        (
            lambda: built(Parallel([Dense(2), [Dense(2), Reshape((2, 1))]])),
            "cannot concat branches of shapes (2,) and (2, 1)",
        ),
        (lambda: built(Parallel([Dense(2)], axis=0)), "not the batch"),
        (lambda: built(Parallel([Dense(2)], axis=2)), "axis"),
        (lambda: built(Residual([Dense(2)])), "cannot add branches of shapes (2,) and (3,)"),
        (lambda: Residual([Dense(2), 3]), "made of layers and got int 3"),
        (lambda: Chain([Dense(2)]).forward(np.ones((1, 3))), "build"),
        (lambda: Parallel([Dense(2)]).forward(np.ones((1, 3))), "build"),
        (lambda: Residual(Dense(3)).forward(np.ones((1, 3))), "build"),
        (lambda: Input(), "Input expects a shape"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()

    assert message in str(error.value)


def test_a_layer_used_before_it_is_built_says_so():
    with pytest.raises(AttributeError, match=r"Dense has no 'kernel' yet.*build\(input_shape\)"):
        Dense(2).forward(np.ones((1, 3)))


def test_a_layer_that_is_appended_to_a_built_chain_runs():
    chain = built(Chain([Dense(2)]))
    kernel = chain.layers[0].kernel.copy()
    chain.append(Dense(5))
    with pytest.raises(ValueError, match="not built"):
        chain.forward(np.ones((1, 3)))

    assert chain(np.ones((1, 3))).shape == (1, 5)
    np.testing.assert_array_equal(chain.layers[0].kernel, kernel)


def test_a_failed_build_leaves_the_chain_unbuilt_and_a_second_one_succeeds():
    chain = Chain([Dense(4), Reshape((2, 2)), Dense(3), Reshape((2, 5))])
    with pytest.raises(ValueError, match="in layer 3"):
        chain.build((None, 3))

    assert not any(layer.built for layer in [chain, *chain.layers])
    assert Chain(chain.layers[:3])(np.ones((1, 5))).shape == (1, 2, 3)


# -------------------------------------------------------------------------------------------- masks


MASK = np.array([[True, True, False], [True, False, False]])


def test_a_mask_goes_through_layers_that_keep_it_and_ends_where_time_ends():
    x = drawn((2, 3, 4))
    chain = Chain(
        [
            Dense(3, "tanh"),
            Dropout(0.5),
            Residual([Dense(3)]),
            LayerNormalization(),
            Mean(),
            Dense(2),
        ]
    )
    y = chain(x, mask=MASK)
    x[~MASK] = 7

    np.testing.assert_allclose(chain(x, mask=MASK), y)
    assert_gradients(chain, x, mask=MASK)
    assert (chain(x) != y).any()
    assert chain.compute_mask(x, MASK) is None


def test_masks_reach_the_branches_and_nested_chains():
    x = drawn((2, 3, 4))
    layer = Parallel([Mean(), Chain([Dense(4), Chain([Mean()])])])
    y = layer(x, mask=MASK)
    x[~MASK] = 7

    np.testing.assert_allclose(layer(x, mask=MASK), y)
    assert layer.compute_mask(x, MASK) is None


def test_a_mask_that_a_layer_makes_reaches_the_layers_behind_it():
    chain = Chain([Embedding(5, 2, mask_zero=True), Dense(3), Mean()])
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    y = chain(ids)

    np.testing.assert_allclose(y[1], chain(ids[1:, :1])[0], rtol=2e-5)
    inner = Chain([Chain([Embedding(5, 2, mask_zero=True)]), Mean()])
    np.testing.assert_allclose(inner(ids)[1], inner(ids[1:, :1])[0], rtol=2e-5)


def test_branches_join_their_masks():
    layer = Parallel([Dense(2), Chain([Dense(2)])], "add")
    x = drawn((2, 3, 4))
    layer(x)

    np.testing.assert_array_equal(layer.compute_mask(x, MASK), MASK)
    assert layer.compute_mask(x, None) is None


# ------------------------------------------------------------------------- caches, inference, input


def test_in_inference_a_container_keeps_no_cache():
    chain = built(Chain([Dense(3), Residual([Dense(3)]), Parallel([Dense(1), Dense(2)])]))
    _, caches = chain.forward(drawn((2, 3), dtype=np.float32), PREDICT)

    assert caches == []
    (branches, _), _ = chain.layers[1].forward(drawn((2, 3), dtype=np.float32), PREDICT)[1]
    assert branches == [None, None]


@pytest.mark.parametrize("make", SHARING)
def test_a_layer_may_run_twice_before_it_is_reversed(make):
    layer = built(make())
    a, b = drawn((4, 3), 0, np.float32), drawn((2, 3), 1, np.float32)
    (ya, cache_a), (yb, cache_b) = layer.forward(a), layer.forward(b)
    dx = layer.backward(ya, cache_a)
    layer.backward(yb, cache_b)
    _, again = layer.forward(a)

    np.testing.assert_array_equal(layer.backward(ya, again), dx)


@pytest.mark.parametrize("make", SHARING)
def test_inputs_stay_as_they_are(make):
    layer = built(make())
    x = drawn((4, 3), dtype=np.float32)
    x.flags.writeable = False
    for ctx in (INFERENCE, TRAINING):
        y, cache = layer.forward(x, ctx)
        y.flags.writeable = False
        layer.backward(y, cache)


def test_an_input_declares_the_shape():
    chain = Chain([Input((3,)), Dense(2)])

    assert chain.declared_shape == (None, 3)
    assert len(chain.layers) == 1
    assert Chain([Dense(2, input_shape=(3,))]).declared_shape == (None, 3)
    assert Chain([Chain([Dense(2, input_dim=3)])]).declared_shape == (None, 3)
    twin = layers.deserialize(layers.serialize(chain))
    assert twin.declared_shape == (None, 3) and len(twin.layers) == 1
    assert isinstance(Input((3,)).layer, InputLayer)


@pytest.mark.parametrize("make", SHARING)
def test_zero_rows(make):
    layer = built(make())
    penalties = []
    y, cache = layer.forward(np.zeros((0, 3), np.float32), Context(penalties=penalties))

    assert layer.backward(y, cache).shape == (0, 3)
    assert not any(p.gradient.any() for p in layer.arrays() if p.gradient is not None)
    assert not any(penalties)
