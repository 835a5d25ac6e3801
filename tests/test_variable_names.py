"""Names and paths of variables beside Keras: of models, layers within layers, optimizers."""

import copy
import pickle

import pytest
from keras_parity import keras_in

import backprop


def images(k):
    n = k.layers
    layers = [n.Conv2D(4, 3), n.BatchNormalization(), n.Conv2D(4, 3, use_bias=False), n.Flatten()]
    return k.Sequential([k.Input((8, 8, 3)), *layers, n.Dense(3), n.Dense(2, name="out")])


def sequences(k):
    n = k.layers
    return k.Sequential(
        [
            k.Input((5,)),
            n.Embedding(7, 4),
            n.LSTM(3, return_sequences=True),
            n.Bidirectional(n.GRU(3, return_sequences=True)),
            n.SimpleRNN(2, return_sequences=True),
            n.TimeDistributed(n.Dense(2)),
            n.RNN([n.LSTMCell(3), n.GRUCell(2)]),
        ],
        name="reader",
    )


def graph(k):
    n = k.layers
    a, b = k.Input((6, 4)), k.Input((6, 4))
    h = n.LayerNormalization()(n.Add()([a, n.MultiHeadAttention(2, 2)(a, b)]))
    within = k.Sequential([k.Input((6, 4)), n.Dense(3, name="a"), n.Dense(4, name="b")])
    h = within(within(h))
    h = n.SeparableConv1D(3, 2)(n.Bidirectional(n.LSTM(2, return_sequences=True))(h))
    h = n.Bidirectional(n.LSTM(2, name="last"))(h)
    return k.Model([a, b], n.Dense(2, name="y")(h), name="net")


def nested(k):
    n = k.layers
    inner = k.Sequential([n.Dense(3), n.PReLU()], name="inner")
    built = k.Sequential([k.Input((3,)), n.Dense(4, name="first")], name="built")
    return k.Sequential([k.Input((2,)), inner, built, n.Dense(1, name="last")], name="outer")


MODELS = [images, sequences, graph, nested]


def names_of(variables, attribute="path"):
    return [getattr(v, attribute) for v in variables if "seed_generator" not in v.path]


def beside(make):
    """The model of this library, and of Keras."""
    with keras_in("float32") as keras:
        keras.backend.clear_session()
        yield make(keras)
    yield make(backprop)


@pytest.mark.parametrize("make", MODELS)
def test_paths_of_variables_are_those_of_keras(make):
    theirs, ours = beside(make)

    for group in ("variables", "trainable_variables", "non_trainable_variables", "weights"):
        for attribute in ("path", "name"):
            found = names_of(getattr(ours, group), attribute)
            assert found == names_of(getattr(theirs, group), attribute)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Muon", "Lamb", "Ftrl", "ScheduleFreeAdamW"])
@pytest.mark.parametrize("make", MODELS)
def test_paths_of_what_an_optimizer_remembers_are_those_of_keras(make, name):
    found = []
    for model, k in zip(beside(make), ("keras", "backprop"), strict=True):
        module = pytest.importorskip(k)
        optimizer = getattr(module.optimizers, name)(name="it")
        optimizer.build(model.trainable_variables)
        found.append([names_of(optimizer.variables, a) for a in ("path", "name")])

    assert found[0] == found[1]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_the_same_paths(make, how):
    model = make(backprop)
    twin = how(model)
    paths = names_of(model.variables)
    model.name = "another"

    assert names_of(twin.variables) == paths


def test_a_layer_that_was_built_before_keeps_its_path():
    dense = backprop.layers.Dense(3)
    dense.build((None, 2))
    model = backprop.Sequential([backprop.Input((2,)), dense, backprop.layers.Dense(1)])

    assert [w.path for w in model.weights][::2] == ["dense/kernel", "sequential/dense_1/kernel"]
