"""What `layer.weights` hands out: names, assignment, and the model's own memory."""

import copy
import pickle

import numpy as np
import pytest
from keras_parity import keras_in

import backprop as bp
from backprop.layers import LSTM, BatchNormalization, Bidirectional, Dense, Residual
from backprop.variable import Variable


def model():
    return bp.Sequential([bp.Input((3,)), Dense(4, "tanh", name="hidden"), Dense(2)])


def kernel():
    network = model()
    return network, network.weights[0]


def test_weights_have_names_and_paths():
    network = model()

    assert [w.name for w in network.weights] == ["kernel", "bias", "kernel", "bias"]
    assert [w.path for w in network.variables] == [
        "sequential/hidden/kernel", "sequential/hidden/bias",
        "sequential/dense/kernel", "sequential/dense/bias",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "layer",
    [
        Dense(2),
        BatchNormalization(),
        LSTM(2, return_sequences=True),
        Bidirectional(LSTM(2, return_sequences=True)),
        bp.layers.MultiHeadAttention(2, 3),
        bp.layers.Conv1D(2, 2),
        bp.layers.SeparableConv1D(2, 2),
        bp.layers.LayerNormalization(),
        bp.layers.PReLU(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_names_are_those_of_keras(layer):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    x = np.ones((1, 4, 3), np.float32)
    layer(x)
    peer = getattr(keras.layers, type(layer).__name__)
    if isinstance(layer, Bidirectional):
        peer = peer(keras.layers.LSTM(2, return_sequences=True))
    else:
        arguments = {k: v for k, v in layer._arguments.items() if k != "name"}
        peer = peer(**arguments)
    peer.build(*[x.shape] * (2 if isinstance(layer, bp.layers.MultiHeadAttention) else 1))

    assert [w.name for w in layer.weights] == [w.name for w in peer.weights]


def test_trainable_is_the_layers_word():
    network = model()
    network.layers[0].trainable = False

    assert [w.trainable for w in network.weights] == [False, False, True, True]
    assert [w.path for w in network.non_trainable_weights] == [
        "sequential/hidden/kernel", "sequential/hidden/bias",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match=r"layer\.trainable = True"):
        network.weights[0].trainable = True


def test_regularizer_and_constraint_are_those_of_the_layer():
    layer = Dense(2, kernel_regularizer="l2", bias_constraint="non_neg")
    layer.build((None, 3))

    weight, bias = layer.weights
    assert isinstance(weight.regularizer, bp.regularizers.L2) and weight.constraint is None
    assert isinstance(bias.constraint, bp.constraints.NonNeg) and bias.regularizer is None


def test_assigning_writes_into_the_models_vector():
    network, w = kernel()

    w.assign(np.ones((3, 4)))
    w.assign_add(np.full((3, 4), 2))
    w.assign_sub(0.5)

    np.testing.assert_array_equal(network.parameters.values[:12], 2.5)
    np.testing.assert_array_equal(network.layers[0].kernel, 2.5)


def test_writing_into_parts_writes_into_the_model():
    network, w = kernel()

    w[...] = 0
    w[0] = 1
    w[1][:] = 2  # a slice is a view
    w += 1
    np.multiply(w, 2, out=w)

    expected = np.repeat([[4.0], [6.0], [2.0]], 4, axis=1)
    np.testing.assert_array_equal(network.layers[0].kernel, expected)
    assert isinstance(w, Variable)


@pytest.mark.parametrize("value", [1.0, np.ones(12), np.ones((4, 3)), np.ones((1, 4))])
def test_an_assignment_of_another_shape_is_refused_and_changes_nothing(value):
    network, w = kernel()
    before = network.parameters.values.copy()

    with pytest.raises(ValueError, match=r"hidden/kernel has shape \(3, 4\) and was given"):
        w.assign(value)
    np.testing.assert_array_equal(network.parameters.values, before)


def test_a_sum_of_another_shape_is_refused_and_changes_nothing():
    network, w = kernel()
    before = network.parameters.values.copy()

    for change in (w.assign_add, w.assign_sub):
        with pytest.raises(ValueError, match=r"kernel has shape \(3, 4\) and was given \(3,\)"):
            change(np.ones(3))
    np.testing.assert_array_equal(network.parameters.values, before)
    np.testing.assert_array_equal(w.numpy() + 1, w.assign_add(np.ones(4)).numpy())


def test_numpy_and_value_are_copies_that_training_does_not_change():
    network, w = kernel()
    before, value = w.numpy(), w.value
    network.compile("sgd", "mse")
    network.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)

    assert type(before) is type(value) is np.ndarray
    np.testing.assert_array_equal(before, value)
    assert not np.array_equal(before, w)


RESULTS = {
    "sum": lambda w: w + 1,
    "product": lambda w: w.T @ w,
    "negative": lambda w: -w,
    "comparison": lambda w: w > 0,
    "slice": lambda w: w[0],
    "transpose": lambda w: w.T,
    "reshape": lambda w: w.reshape(-1),
    "copy": lambda w: w.copy(),
    "astype": lambda w: w.astype("float64"),
    "mean along an axis": lambda w: w.mean(axis=0),
    "concatenate": lambda w: np.concatenate([w, w]),
    "stack": lambda w: np.stack((w, w)),
    "where": lambda w: np.where(w > 0, w, 0),
    "zeros_like": lambda w: np.zeros_like(w),
    "svd": lambda w: np.linalg.svd(w)[0],
    "einsum": lambda w: np.einsum("ij,ij->i", w, w),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda w: pickle.loads(pickle.dumps(w)),
    "first row": lambda w: next(iter(w)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_computed_from_a_variable_is_a_plain_array(name):
    _, w = kernel()
    plain = w.numpy()

    found = RESULTS[name](w)

    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, RESULTS[name](plain))


def test_a_number_of_a_variable_is_a_number():
    _, w = kernel()

    assert type(w.sum()) is type(np.mean(w)) is np.float32
    assert float(w[0, 0]) == w.tolist()[0][0]
    assert f"{w[0, 0]:.1f}" == f"{w.numpy()[0, 0]:.1f}"


def test_a_variable_follows_its_layer_into_another_model():
    encoder = Dense(4)
    encoder.build((None, 3))
    w = encoder.weights[0]
    network = bp.Sequential([bp.Input((3,)), encoder])

    w.assign(np.ones((3, 4)))

    np.testing.assert_array_equal(network.parameters.values[:12], 1)
    network.parameters.values[:] = 2
    assert w.numpy().tolist() == (w * 1).tolist() == w[:].tolist() == [[2.0] * 4] * 3


def test_a_variable_keeps_its_layer_alive():
    w = bp.Sequential([bp.Input((3,)), Dense(2, name="only")]).weights[0]

    assert w.path == "only/kernel" and w.trainable


def test_layers_keep_plain_arrays():
    network, w = kernel()
    network.layers[0].kernel = w * 2

    assert type(network.layers[0].kernel) is np.ndarray
    assert all(type(p.value) is np.ndarray for p in network.arrays())
    assert all(type(array) is np.ndarray for array in network.get_weights())


def test_weights_of_weights_go_from_one_model_into_another():
    first, second = model(), model()

    second.set_weights(first.weights)

    np.testing.assert_array_equal(first.parameters.values, second.parameters.values)
    assert not np.shares_memory(first.parameters.values, second.parameters.values)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion"])
def test_optimizers_know_a_variable_again(name):
    first, second = model(), model()
    second.set_weights(first.get_weights())
    ours, theirs = getattr(bp.optimizers, name)(0.1), getattr(bp.optimizers, name)(0.1)
    arrays = [p.value for p in second.arrays()]
    rng = np.random.default_rng(0)

    for _ in range(4):
        gradients = [rng.standard_normal(a.shape) for a in arrays]
        ours.apply_gradients(zip(gradients, first.trainable_variables, strict=True))
        theirs.apply(gradients, arrays)

    np.testing.assert_array_equal(first.parameters.values, second.parameters.values)


def test_an_optimizer_that_fit_a_model_goes_on_with_its_variables():
    network = model()
    network.compile("adam", "mse")
    network.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    before = network.parameters.values.copy()

    network.optimizer.apply([np.ones(w.shape) for w in network.weights], network.weights)

    assert network.optimizer.iterations == 2
    assert (network.parameters.values != before).all()


def test_variables_are_excluded_from_weight_decay_and_constrained():
    network = bp.Sequential([bp.Input((3,)), Dense(2, kernel_constraint="non_neg", use_bias=True)])
    network.set_weights([np.ones((3, 2)), np.ones(2)])
    kernel, bias = network.trainable_weights
    optimizer = bp.optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[bias])

    optimizer.apply([np.full((3, 2), 2.0), np.zeros(2)], network.trainable_weights)

    np.testing.assert_array_equal(kernel, 0)
    np.testing.assert_array_equal(bias, 1)


def test_an_own_variable_can_be_optimized():
    w = bp.Variable([3.0, 4.0])
    optimizer = bp.optimizers.SGD(0.5, momentum=0.5)

    for _ in range(2):
        optimizer.apply([np.ones(2)], [w])

    np.testing.assert_allclose(w, [1.75, 2.75])


def test_containers_hand_out_the_variables_of_their_layers():
    block = Residual([Dense(3, name="inner")])
    block.build((None, 3))

    assert [w.path for w in block.weights] == [
        "residual/chain/inner/kernel", "residual/chain/inner/bias",
    ]  # fmt: skip


def test_a_variable_of_ones_own():
    seen = bp.Variable(0, dtype="int64", trainable=False, name="seen")
    seen.assign_add(3)
    table = bp.Variable("ones", shape=(2, 2), name="table")

    assert (seen.numpy(), seen.path, seen.trainable) == (3, "seen", False)
    assert (table.dtype, table.numpy().tolist()) == (np.float32, [[1, 1], [1, 1]])
    assert bp.Variable(lambda shape, dtype=None: np.zeros(shape), shape=(3,)).shape == (3,)
    assert bp.Variable(np.zeros(2)).dtype == np.float64
    with pytest.raises(ValueError, match="needs a shape"):
        bp.Variable("ones")


@pytest.mark.parametrize("value", [3, [1, 2], True, 1.5, [1, 2.5], np.float64(2), np.int64(2)])
def test_the_dtype_of_a_variable_is_that_of_keras(value):
    with keras_in("float32") as keras:
        wanted = keras.Variable(value).dtype

    assert bp.Variable(value).dtype == wanted


def test_an_own_variable_does_not_share_the_array_that_it_was_made_of():
    array = np.zeros(2)

    bp.Variable(array).assign([1, 1])

    assert not array.any()


def test_repr_says_what_it_is():
    _, w = kernel()

    path = "sequential/hidden/kernel"
    assert repr(w).startswith(f"<Variable path={path}, shape=(3, 4), dtype=float32, value=[[")
    assert str(w) == repr(w)


@pytest.mark.parametrize("name", ["a/b", 3, None])
def test_a_name_is_a_string_without_a_slash(name):
    with pytest.raises(ValueError, match="a string without '/'"):
        bp.Variable(1.0, name=name)


def test_a_variable_is_the_same_object_wherever_it_is_asked_for():
    network, w = kernel()
    again = pickle.loads(pickle.dumps(network))

    assert w is network.layers[0].weights[0] is network.trainable_variables[0]
    assert again.weights[0] is not w
    known = network.weights
    assert all(a is b for a, b in zip(known, network.variables, strict=True))
    larger = bp.Sequential([bp.Input((3,)), network.layers[0]])  # moves the values
    larger.compile("sgd", "mse")
    larger.fit(np.ones((4, 3)), np.ones((4, 4)), verbose=0)
    assert np.shares_memory(larger.weights[0], network.layers[0].kernel)
    np.testing.assert_array_equal(w.numpy(), larger.weights[0])
