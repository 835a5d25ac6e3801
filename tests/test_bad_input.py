"""Bad input is an error at the border, with who, what was expected, what came and what to do.

After each error the model is what it was: weights, buffers, moments, generators, metrics and
history; and it can be trained.
"""

import copy
import traceback

import numpy as np
import pytest

import backprop as bp
from backprop.layers import (
    LSTM,
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 1)).astype(np.float32)
LABELS = np.arange(12) % 2
IMAGES = RNG.normal(size=(12, 5, 5)).astype(np.float32)
TOKENS = RNG.integers(1, 6, size=(12, 4))


def hidden():
    return [Dense(4, "tanh"), BatchNormalization(), Dropout(0.3)]


# a model of each kind, and data that it takes
KINDS = {
    "regression": lambda: ([*hidden(), Dense(1)], "mse", ["mae"], X, Y),
    "sparse": lambda: (
        [*hidden(), Dense(2, "softmax")],
        "sparse_categorical_crossentropy",
        ["accuracy"],
        X,
        LABELS,
    ),
    "one-hot": lambda: (
        [*hidden(), Dense(2, "softmax")],
        "categorical_crossentropy",
        ["accuracy"],
        X,
        np.eye(2)[LABELS],
    ),
    "binary": lambda: (
        [*hidden(), Dense(1, "sigmoid")],
        "binary_crossentropy",
        ["accuracy"],
        X,
        LABELS,
    ),
    "tokens": lambda: (
        [Embedding(6, 3), Flatten(), *hidden(), Dense(1)],
        "mse",
        None,
        TOKENS,
        Y,
    ),
}


def make(kind="regression", declared=True, trained=True):
    """A compiled model and data that it takes; if `trained`, with moments and a history."""
    layers, loss, metrics, x, y = KINDS[kind]()
    model = bp.Sequential([bp.Input(x.shape[1:]), *layers] if declared else layers)
    model.compile("adam", loss, metrics=metrics)
    if trained:
        model.fit(x, y, epochs=1, verbose=0)
    return model, x, y


def snapshot(model):
    """Everything about a model that an error must leave alone, as NumPy can compare it."""
    trainer = model.trainer
    state = {"history": copy.deepcopy(model.history and model.history.history)}
    state["generators"] = [
        layer._rng and copy.deepcopy(layer._rng.bit_generator.state) for layer in model.walk()
    ]
    if model.built:
        state["weights"] = model.get_weights()
    if trainer is not None:
        state["results"] = trainer.results()
        state["iterations"] = trainer.optimizer.iterations
        if trainer.optimizer.built:
            state["moments"] = copy.deepcopy(trainer.optimizer.get_state())
    return state


def assert_as_it_was(model, before):
    np.testing.assert_equal(snapshot(model), before)


def assert_trainable(model, x, y):
    before = model.get_weights() if model.built else None
    history = model.fit(x, y, epochs=1, verbose=0)

    assert np.isfinite(history.history["loss"]).all()
    if before is not None:
        assert any(
            not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)
        )


def raised_here(error):
    """Whether an error comes from a line of this library, and not from inside another."""
    return "backprop" in traceback.extract_tb(error.__traceback__)[-1].filename


def replaced(array, row, value):
    array = np.array(array, np.float64 if isinstance(value, float) else None)
    array[row] = value
    return array


def fit(x=X, y=Y, **options):
    size = {"batch_size": 4} if hasattr(x, "shape") else {}
    return lambda model: model.fit(x, y, **({"verbose": 0} | size | options))


def fit_batches(*batches, **options):
    return lambda model: model.fit(iter(batches), verbose=0, **options)


def ragged(rows):
    return [[1.0, 2.0, 3.0]] * (rows - 1) + [[1.0, 2.0]]


DATA = {
    # ------------------------------------------------------------------ the shape of x
    "a rank too many": (
        "regression",
        fit(X[:, None]),
        ValueError,
        "inputs of shape (3,) and got (1, 3); add Flatten()",
    ),
    "a rank too few": ("regression", fit(X[:, 0]), ValueError, "inputs of shape (3,) and got ()"),
    "too narrow": ("regression", fit(X[:, :2]), ValueError, "inputs of shape (3,) and got (2,)"),
    "too narrow a validation": (
        "regression",
        fit(validation_data=(X[:, :2], Y)),
        ValueError,
        "validation_data: sequential was built for inputs of shape (3,) and got (2,)",
    ),
    "a single number": ("regression", fit(3.0), TypeError, "fit() expects x to be an array"),
    "no rows": (
        "regression",
        fit(X[:0], Y[:0]),
        ValueError,
        "fit() got no rows: x has shape (0, 3)",
    ),
    "an empty list": ("regression", fit([], []), ValueError, "fit() got no rows"),
    "no rows to validate": (
        "regression",
        fit(validation_data=(X[:0], Y[:0])),
        ValueError,
        "validation_data: fit() got no rows",
    ),
    "a ragged list": ("regression", fit(ragged(12)), ValueError, "x is ragged"),
    "ragged targets": (
        "regression",
        fit(y=ragged(12)),
        ValueError,
        "y is ragged: its entries have different lengths; pad",
    ),
    "fewer targets": ("regression", fit(y=Y[:5]), ValueError, "x has 12 rows and y has 5"),
    "fewer weights": (
        "regression",
        fit(sample_weight=np.ones(5)),
        ValueError,
        "sample_weight has 5 rows where x has 12",
    ),
    "weights of another shape": (
        "regression",
        fit(sample_weight=np.ones((12, 7))),
        ValueError,
        "give one weight a sample, (n,)",
    ),
    # ------------------------------------------------------------------ what x holds
    "text": (
        "regression",
        fit(np.full((12, 3), "a")),
        TypeError,
        "x expected real numbers and got an array of dtype <U1",
    ),
    "text in a list": (
        "regression",
        fit([["a", 1, 2]] * 12),
        TypeError,
        "x expected real numbers and got an array of dtype",
    ),
    "text among objects": (
        "regression",
        fit(np.array([[1, 2, "c"]] * 12, object)),
        TypeError,
        "x expected numbers and got an array of objects (str)",
    ),
    "text as targets": (
        "sparse",
        fit(y=["a", "b"] * 6),
        TypeError,
        "y expected real numbers and got an array of dtype <U1",
    ),
    "complex numbers": (
        "regression",
        fit(X.astype(complex)),
        TypeError,
        "expected real numbers and got an array of dtype complex",
    ),
    "dates": (
        "regression",
        fit(X.astype("M8[s]")),
        TypeError,
        "x expected real numbers and got an array of dtype datetime64",
    ),
    "None": (
        "regression",
        fit(np.array([[1, 2, None]] * 12, object)),
        ValueError,
        "x holds NaN, first in row 0 (12 values",
    ),
    "a NaN": (
        "regression",
        fit(replaced(X, 7, np.nan)),
        ValueError,
        "x holds NaN, first in row 7 (3 values",
    ),
    "an infinity": (
        "regression",
        fit(replaced(X, 7, -np.inf)),
        ValueError,
        "x holds infinity, first in row 7",
    ),
    "NaN targets": (
        "regression",
        fit(y=replaced(Y, 2, np.nan)),
        ValueError,
        "y holds NaN, first in row 2",
    ),
    "NaN weights": (
        "regression",
        fit(sample_weight=np.full(12, np.nan)),
        ValueError,
        "sample_weight holds NaN",
    ),
    "a NaN to validate": (
        "regression",
        fit(validation_data=(replaced(X, 11, np.nan), Y)),
        ValueError,
        "validation_data: x holds NaN, first in row 11",
    ),
    "beyond float32": (
        "regression",
        fit(X.astype("f8") * 1e300),
        ValueError,
        "x holds numbers beyond the range of float32",
    ),
    "targets beyond float32": (
        "regression",
        fit(y=Y.astype("f8") * 1e300),
        ValueError,
        "y holds numbers beyond the range of float32",
    ),
    "masked entries": (
        "regression",
        fit(np.ma.masked_array(X, X > 1)),
        ValueError,
        "x is a masked array with",
    ),
    "a structured array": (
        "regression",
        fit(np.zeros(12, [("a", "f4")])),
        TypeError,
        "x expected real numbers and got an array of dtype [('a'",
    ),
    "a path": (
        "regression",
        fit("data.csv"),
        TypeError,
        "fit() expects x to be an array, a sparse matrix",
    ),
    "a dict": (
        "regression",
        fit({"input": X}),
        TypeError,
        "x is a dict of 'input', which stands for several inputs, and a Sequential has one",
    ),
    "a function": (
        "regression",
        fit(lambda: 0, None),
        TypeError,
        "an iterable of batches, got function",
    ),
    "no x": ("regression", fit(None), ValueError, "fit() needs x"),
    "no y": (
        "regression",
        fit(y=None),
        ValueError,
        "fit() needs y: give it beside x, or batches of (x, y)",
    ),
    "a token too large": (
        "tokens",
        fit(replaced(TOKENS, 11, 6)),
        ValueError,
        "expects integers from 0 to 5 and got 1 to 6",
    ),
    "a negative token": (
        "tokens",
        fit(replaced(TOKENS, 11, -1)),
        ValueError,
        "expects integers from 0 to 5 and got -1 to",
    ),
    "half a token": (
        "tokens",
        fit(replaced(TOKENS, 11, 0.5)),
        ValueError,
        "expects integers and got 0.5",
    ),
    # ------------------------------------------------------------------ targets and the loss
    "a label too large": (
        "sparse",
        fit(y=replaced(LABELS, 11, 7)),
        ValueError,
        "labels from 0 to 1 for 2 classes and got 7",
    ),
    "a negative label": (
        "sparse",
        fit(y=replaced(LABELS, 11, -1)),
        ValueError,
        "labels from 0 to 1 for 2 classes and got -1",
    ),
    "half a label": (
        "sparse",
        fit(y=replaced(LABELS, 11, 0.5)),
        ValueError,
        "whole numbers as labels and got 0.5",
    ),
    "a label too large to validate": (
        "sparse",
        fit(y=LABELS, validation_data=(X, replaced(LABELS, 11, 7))),
        ValueError,
        "validation_data: SparseCategoricalCrossentropy expects labels from 0 to 1",
    ),
    "a label too large in the split": (
        "sparse",
        fit(y=replaced(LABELS, 11, 7), validation_split=0.25),
        ValueError,
        "labels from 0 to 1 for 2 classes and got 7",
    ),
    "labels of two for one unit": (
        "binary",
        fit(y=LABELS + 1),
        ValueError,
        "expects labels from 0 to 1 and got 1 to 2",
    ),
    "class numbers for one-hot": (
        "one-hot",
        fit(y=LABELS),
        ValueError,
        "expects one-hot labels of shape (any, 2) and got class numbers of shape (12,); use Sparse",
    ),
    "one-hot for class numbers": (
        "sparse",
        fit(y=np.eye(2)[LABELS]),
        ValueError,
        "got one-hot labels of shape (12, 2); use CategoricalCrossentropy",
    ),
    "too wide targets": (
        "regression",
        fit(y=np.zeros((12, 2))),
        ValueError,
        "targets of the outputs' shape (any, 1) and got (12, 2)",
    ),
    # ------------------------------------------------------------------ weights
    "both kinds of weights": (
        "sparse",
        fit(y=LABELS, class_weight={0: 1.0}, sample_weight=np.ones(12)),
        ValueError,
        "give class_weight or sample_weight, not both",
    ),
    "a list of class weights": (
        "sparse",
        fit(y=LABELS, class_weight=[1.0, 2.0]),
        TypeError,
        "{0: 1.0, 1: 5.0}, or 'balanced', got [1.0, 2.0]; write dict(enumerate(class_weight))",
    ),
    "a class' name": (
        "sparse",
        fit(y=LABELS, class_weight={"cat": 1.0}),
        ValueError,
        "class numbers as keys, as they stand in y, got 'cat'",
    ),
    "a weight of text": (
        "sparse",
        fit(y=LABELS, class_weight={0: "a"}),
        ValueError,
        "a number for class 0, got 'a'",
    ),
    # ------------------------------------------------------------------ iterables of batches
    "an iterable of nothing": ("regression", fit_batches(), ValueError, "x yielded no batch"),
    "a list of nothing to validate": (
        "regression",
        fit(validation_data=iter([])),
        ValueError,
        "validation_data: x yielded no batch",
    ),
    "batches without targets": (
        "regression",
        fit_batches(X, X),
        ValueError,
        "batch 1 of x: y is missing: yield (x, y)",
    ),
    "batches of four": (
        "regression",
        fit_batches((X, Y, Y, Y)),
        ValueError,
        "a batch is x, (x,), (x, y) or",
    ),
    "a dict as a batch": (
        "regression",
        fit_batches({"x": X}),
        TypeError,
        "batch 1 of x: x is a dict of 'x', which stands for several inputs",
    ),
    "a batch of fewer targets": (
        "regression",
        fit_batches((X, Y[:3])),
        ValueError,
        "batch 1 of x: x has 12 rows and y has 3",
    ),
    "an empty batch": (
        "regression",
        fit_batches((X[:0], Y[:0])),
        ValueError,
        "batch 1 of x: x has no rows",
    ),
    "a batch with a NaN": (
        "regression",
        fit_batches((replaced(X, 7, np.nan), Y)),
        ValueError,
        "batch 1 of x: x holds NaN",
    ),
    "a batch too narrow": (
        "regression",
        fit_batches((X[:, :2], Y)),
        ValueError,
        "inputs of shape (3,) and got (2,)",
    ),
    "y beside batches": (
        "regression",
        lambda m: m.fit(iter([(X, Y)]), Y),
        ValueError,
        "y must come with the batches",
    ),
    "a size of batches beside batches": (
        "regression",
        fit_batches((X, Y), batch_size=4),
        ValueError,
        "batch_size=4 and x is an iterable of batches, which have a size already",
    ),
    "a split of batches": (
        "regression",
        fit_batches((X, Y), validation_split=0.5),
        ValueError,
        "validation_split needs arrays",
    ),
    "an iterator to validate twice": (
        "regression",
        fit(validation_data=iter([(X, Y)]), epochs=2),
        ValueError,
        "validation_data is an iterator, which can be read once, and is wanted 2 times",
    ),
    "validation without targets": (
        "regression",
        fit(validation_data=X),
        ValueError,
        "expected (x, y), (x, y, sample_weight)",
    ),
    "validation with None": ("regression", fit(validation_data=(X,)), ValueError, "y is missing"),
    # ------------------------------------------------------------------ callbacks
    "a callback's class": (
        "regression",
        fit(callbacks=[bp.callbacks.EarlyStopping]),
        TypeError,
        "the class EarlyStopping; write EarlyStopping()",
    ),
    "a function as a callback": (
        "regression",
        fit(callbacks=[print]),
        TypeError,
        "wrap a function in LambdaCallback",
    ),
    # ------------------------------------------------------------------ other calls
    "evaluate too narrow": (
        "regression",
        lambda m: m.evaluate(X[:, :2], Y),
        ValueError,
        "(3,) and got (2,)",
    ),
    "evaluate no y": ("regression", lambda m: m.evaluate(X), ValueError, "evaluate() needs y"),
    "predict too narrow": (
        "regression",
        lambda m: m.predict(X[:, :2]),
        ValueError,
        "(3,) and got (2,)",
    ),
    "predict text": (
        "regression",
        lambda m: m.predict([["a"] * 3]),
        TypeError,
        "x expected real numbers",
    ),
    "predict nothing": (
        "regression",
        lambda m: m.predict(iter([])),
        ValueError,
        "x yielded no batch",
    ),
    "predict_on_batch too narrow": (
        "regression",
        lambda m: m.predict_on_batch(X[:, :2]),
        ValueError,
        "(3,) and got (2,)",
    ),
    "predict_on_batch a number": (
        "regression",
        lambda m: m.predict_on_batch(3),
        ValueError,
        "got the single number 3",
    ),
    "train_on_batch too narrow": (
        "regression",
        lambda m: m.train_on_batch(X[:, :2], Y),
        ValueError,
        "(3,) and got (2,)",
    ),
    "train_on_batch no rows": (
        "regression",
        lambda m: m.train_on_batch(X[:0], Y[:0]),
        ValueError,
        "train_on_batch() got no rows",
    ),
    "train_on_batch no y": (
        "regression",
        lambda m: m.train_on_batch(X),
        ValueError,
        "train_on_batch() needs y",
    ),
    "train_on_batch a number": (
        "regression",
        lambda m: m.train_on_batch(3, 3),
        ValueError,
        "got the single number 3",
    ),
    "test_on_batch fewer targets": (
        "regression",
        lambda m: m.test_on_batch(X, Y[:3]),
        ValueError,
        "x has 12 rows and y has 3",
    ),
}


@pytest.mark.parametrize("kind, call, error, message", DATA.values(), ids=DATA)
def test_bad_data_leave_the_model_as_it_was(kind, call, error, message):
    model, x, y = make(kind)
    before = snapshot(model)

    with pytest.raises(error) as caught:
        call(model)

    assert message in str(caught.value)
    assert raised_here(caught.value)
    assert_as_it_was(model, before)
    assert_trainable(model, x, y)


@pytest.mark.parametrize("kind, call, error, message", DATA.values(), ids=DATA)
def test_bad_data_leave_an_unbuilt_model_unbuilt_or_cleanly_built(kind, call, error, message):
    model, x, y = make(kind, declared=False, trained=False)
    try:
        call(model)
    except (ValueError, TypeError) as caught:
        assert raised_here(caught)
    else:  # what is wrong for a width that is declared may be right for one that is not
        assert "(3,) and got" in message
        return

    assert all(layer.built == bool(layer._parameters) for layer in model.layers[:1])
    assert model.trainer.optimizer.iterations == 0
    if not model.built or model.build_shape == (None, *x.shape[1:]):
        assert_trainable(model, x, y)


OPTIONS = {
    "batch_size": [0, -1, 2.5, "4", True],
    "epochs": [-1, 1.5, "2", None],
    "initial_epoch": [-1, 0.5],
    "steps_per_epoch": [0, -1, 1.5],
    "validation_steps": [0, -1],
    "validation_batch_size": [0, -1, 2.5],
    "validation_freq": [0, -1, 1.5, "a", [0]],
    "validation_split": [1.5, -0.1, np.nan, "a", True],
    "verbose": [7, -1, "loud", None],
}


@pytest.mark.parametrize("name, value", [(n, v) for n, values in OPTIONS.items() for v in values])
def test_a_bad_option_leaves_the_model_as_it_was(name, value):
    model, x, y = make()
    before = snapshot(model)
    validation = (
        {"validation_data": (X, Y)} if name in ("validation_freq", "validation_steps") else {}
    )

    with pytest.raises(ValueError, match=rf"fit\(\) expects {name} to be .*, got") as caught:
        model.fit(x, y, **({"verbose": 0} | validation | {name: value}))

    assert repr(value if not isinstance(value, list) or not value else value[0]) in str(
        caught.value
    )
    assert_as_it_was(model, before)
    assert_trainable(model, x, y)


@pytest.mark.parametrize("share", [1.0, 0.95])
def test_a_split_must_leave_rows_on_both_sides(share):
    model, x, y = make()
    with pytest.raises(ValueError, match=r"leaves 0 to train on and 12 to validate on"):
        model.fit(x, y, validation_split=share, verbose=0)


@pytest.mark.parametrize("call", ["evaluate", "predict"])
@pytest.mark.parametrize("name, value", [("batch_size", 0), ("steps", 0), ("verbose", 9)])
def test_a_bad_option_names_the_call(call, name, value):
    model, x, y = make()
    data = (x, y) if call == "evaluate" else (x,)
    with pytest.raises(ValueError, match=rf"{call}\(\) expects {name} to be"):
        getattr(model, call)(*data, **({"verbose": 0} | {name: value}))


# ------------------------------------------------------------------ names


NAMES = {
    "optimizer": (
        lambda m: m.compile("adm", "mse"),
        "unknown optimizer 'adm'; did you mean 'adam'?",
    ),
    "loss": (
        lambda m: m.compile("adam", "sparse_categorical_crossentrop"),
        "'sparse_categorical_crossentrop'; did you mean 'sparse_categorical_crossentropy'?",
    ),
    "metric": (
        lambda m: m.compile("adam", "mse", metrics=["acuracy"]),
        "unknown metric 'acuracy'; did you mean 'accuracy'?",
    ),
    "activation": (
        lambda m: m.add(Dense(3, "rellu")),
        "unknown activation 'rellu'; did you mean 'relu'?",
    ),
    "initializer": (
        lambda m: m.add(Dense(3, kernel_initializer="glorot_unifrm")),
        "unknown initializer 'glorot_unifrm'; did you mean 'glorot_uniform'?",
    ),
    "regularizer": (
        lambda m: m.add(Dense(3, kernel_regularizer="l1_l3")),
        "unknown regularizer 'l1_l3'; did you mean 'l1_l2'?",
    ),
    "constraint": (
        lambda m: m.add(Dense(3, kernel_constraint="maxnorm")),
        "unknown constraint 'maxnorm'; did you mean 'max_norm'?",
    ),
    "argument of a layer": (
        lambda m: m.add(Dense(3, activaton="relu")),
        "Dense() has no argument 'activaton'; did you mean 'activation'?",
    ),
    "argument of an optimizer": (
        lambda m: m.compile(bp.optimizers.Adam(learning_rat=0.1), "mse"),
        "Adam() has no argument 'learning_rat'; did you mean 'learning_rate'?",
    ),
    "layer": (lambda m: m.get_layer("dens"), "has no layer 'dens'; did you mean 'dense'?"),
}


@pytest.mark.parametrize("call, message", NAMES.values(), ids=NAMES)
def test_an_unknown_name_comes_with_the_nearest_that_is_known(call, message):
    model, x, y = make()
    before = snapshot(model)

    with pytest.raises((ValueError, TypeError)) as caught:
        call(model)

    assert message in str(caught.value)
    assert len(model.layers) == 4
    assert_as_it_was(model, before)
    assert_trainable(model, x, y)


COMPILE = {
    "a number as optimizer": (
        {"optimizer": 3},
        TypeError,
        "an optimizer is a name, a config or an Optimizer, got 3",
    ),
    "a number as loss": ({"loss": 3}, TypeError, "a loss is a name"),
    "two losses": (
        {"loss": ["mse", "mae"]},
        TypeError,
        "one output, so compile() takes one loss, got ['mse', 'mae']",
    ),
    "a loss for each name": (
        {"loss": {"out": "mse"}},
        TypeError,
        "one output, so compile() takes one loss, got {'out'",
    ),
    "a loss that is not one number": (
        {"loss": bp.losses.MeanSquaredError(reduction="none")},
        ValueError,
        "a loss that is one number, got MeanSquaredError('none'): choose reduction='sum",
    ),
    "a name as metrics": (
        {"metrics": "accuracy"},
        TypeError,
        "metrics to be a list, such as ['accuracy'], got 'accuracy'",
    ),
    "a dict as metrics": ({"metrics": {"a": "mse"}}, TypeError, "metrics to be a list"),
    "a number as a metric": (
        {"metrics": [3]},
        TypeError,
        "a metric is a name, a Metric or a function",
    ),
    "None as a metric": (
        {"metrics": [None]},
        ValueError,
        "a metric is a name, a Metric or a function",
    ),
    "text as loss_weights": (
        {"loss_weights": "a"},
        ValueError,
        "a number as loss_weights, got 'a'; metrics are given by name: metrics=",
    ),
    "two loss_weights": (
        {"loss_weights": [1.0, 2.0]},
        TypeError,
        "takes one loss_weights, got [1.0, 2.0]",
    ),
    "Keras' graph": ({"jit_compile": True}, ValueError, "there is nothing to compile here"),
}


@pytest.mark.parametrize("options, error, message", COMPILE.values(), ids=COMPILE)
def test_a_bad_compile_leaves_the_compiled_model_as_it_was(options, error, message):
    model, x, y = make()
    before, trainer = snapshot(model), model.trainer

    with pytest.raises(error) as caught:
        model.compile(**({"optimizer": "adam", "loss": "mse"} | options))

    assert message in str(caught.value)
    assert model.trainer is trainer
    assert_as_it_was(model, before)
    assert_trainable(model, x, y)


def test_a_metric_that_does_not_fit_is_an_error_before_the_first_step():
    model = bp.Sequential([bp.Input((3,)), Dense(2)])
    model.compile("adam", "mse", metrics=["sparse_categorical_accuracy"])
    before = model.get_weights()

    with pytest.raises(ValueError, match="expects integer labels"):
        model.fit(X, np.zeros((12, 2)), verbose=0)

    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert model.optimizer.iterations == 0


# ------------------------------------------------------------------ in the wrong order


@pytest.mark.parametrize(
    "call, arguments",
    [
        ("fit", (X, Y)),
        ("evaluate", (X, Y)),
        ("train_on_batch", (X, Y)),
        ("test_on_batch", (X, Y)),
        ("reset_metrics", ()),
    ],
)
def test_compile_comes_first(call, arguments):
    model = bp.Sequential([Dense(1)])
    with pytest.raises(RuntimeError, match=rf"{call}\(\) needs compile\(\) first: model.compile"):
        getattr(model, call)(*arguments)

    assert not model.built


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_a_loss_comes_first(call):
    model = bp.Sequential([Dense(1)])
    model.compile("adam")
    with pytest.raises(RuntimeError, match=rf"{call}\(\) needs a loss: compile\(loss='mse'\)"):
        getattr(model, call)(X, Y)

    assert not model.built


UNBUILT = {
    "a layer's array": (lambda: Dense(3).kernel, AttributeError),
    "a layer's weights": (lambda: Dense(3).set_weights([X]), ValueError),
    "a layer's size": (lambda: Dense(3).count_params(), ValueError),
    "Dense": (lambda: Dense(3).forward(X), AttributeError),
    "LSTM": (lambda: LSTM(3).forward(X[None]), AttributeError),
    "Conv2D": (lambda: Conv2D(3, 3).forward(IMAGES[..., None]), AttributeError),
    "BatchNormalization": (lambda: BatchNormalization().forward(X), AttributeError),
    "Embedding": (lambda: Embedding(6, 3).forward(TOKENS), AttributeError),
    "a model": (lambda: bp.Sequential([Dense(2)]).forward(X), ValueError),
    "a model's vector": (lambda: bp.Sequential([Dense(2)]).parameters, ValueError),
    "a model's file": (lambda: bp.Sequential([Dense(2)]).save("model.npz"), ValueError),
}


@pytest.mark.parametrize("call, error", UNBUILT.values(), ids=UNBUILT)
def test_what_is_not_built_says_so(call, error):
    with pytest.raises(
        error, match=r"(not built|has no weights yet).*(call it on|build\(|give it an Input)"
    ):
        call()


@pytest.mark.parametrize("model", [bp.Sequential(), bp.Sequential([bp.Input((3,))])], ids=repr)
def test_a_model_without_layers_says_so(model):
    model.compile("adam", "mse")
    for call in (lambda: model.fit(X, X, verbose=0), lambda: model.predict(X, verbose=0)):
        with pytest.raises(ValueError, match=r"has no layers: add\(\) some first"):
            call()


@pytest.mark.parametrize("shape", [(-3,), "abc", (2.5,), (3, "a")])
def test_an_input_must_have_a_shape(shape):
    with pytest.raises(
        ValueError, match=r"Input expects (every axis of )?its shape to be .*integer"
    ):
        bp.Input(shape)


# ------------------------------------------------------------------ further in


def test_a_width_that_only_a_later_layer_knows_is_checked_before_training():
    model = bp.Sequential([Activation("relu"), Dropout(0.5), Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    before = snapshot(model)

    with pytest.raises(ValueError, match=r"in layer 2 of sequential: Dense\(1\), given \(2,\)"):
        model.fit(X[:, :2], Y, verbose=0)

    assert_as_it_was(model, before)


@pytest.mark.parametrize("kind", ["regression", "sparse"])
def test_images_for_a_perceptron_hint_at_flatten(kind):
    model, _, y = make(kind, declared=False, trained=False)
    with pytest.raises(ValueError, match=r"got .*\(12,( 1)?\).*Flatten"):
        model.fit(IMAGES, y, verbose=0)


@pytest.mark.parametrize(
    "batch, message",
    [
        ((X[:, :2], Y), r"inputs of shape \(3,\) and got \(2,\)"),
        ((X, np.zeros((12, 2))), r"targets of the outputs' shape \(any, 1\) and got \(12, 2\)"),
        ((X * np.nan, Y), "x holds NaN"),
        ((X,), "y is missing"),
        ((X[:0], Y[:0]), "x has no rows"),
    ],
)
def test_a_bad_batch_in_the_middle_is_named_and_not_trained_on(batch, message):
    model, *_ = make(trained=False)
    clean, *_ = make(trained=False)
    clean.set_weights(model.get_weights())

    with pytest.raises(ValueError, match=f"batch 3 of x: .*{message}"):
        model.fit(iter([(X, Y), (X, Y), batch, (X, Y)]), verbose=0)

    assert model.optimizer.iterations == 2
    assert_trainable(model, X, Y)


def test_an_iterator_that_ends_early_ends_the_run_with_a_warning():
    model, *_ = make(trained=False)
    with pytest.warns(UserWarning, match="x ended after 2 of 5 epochs") as caught:
        history = model.fit(iter([(X, Y)] * 4), epochs=5, steps_per_epoch=2, verbose=0)

    assert len(caught) == 1
    assert history.epoch == [0, 1]
    assert_trainable(model, X, Y)


def test_an_epoch_that_is_too_short_is_warned_of():
    model, *_ = make(trained=False)
    with pytest.warns(UserWarning, match="the data ended after 1 of 2 steps"):
        model.fit(X, Y, epochs=1, steps_per_epoch=2, verbose=0)


def test_an_exception_in_a_callback_leaves_the_model_usable():
    class Fail(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise OSError("the disk is full")

    model, x, y = make()
    with pytest.raises(OSError, match="the disk is full"):
        model.fit(x, y, verbose=0, callbacks=[Fail()])

    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    assert_trainable(model, x, y)


# ------------------------------------------------------------------ frames, sparse, memory maps


def test_frames_with_text_or_missing_values_are_errors():
    pd = pytest.importorskip("pandas", reason="reads data frames")
    model, *_ = make()
    before = snapshot(model)
    frame = pd.DataFrame(X, columns=list("abc"))

    for column, error, message in [
        (["x"] * 12, TypeError, r"an array of objects \(str\)"),
        ([1.0, None] * 6, ValueError, "x holds NaN, first in row 1"),
        (pd.array([1, None] * 6, dtype="Int64"), ValueError, r"x has missing values \(NAType\)"),
        (pd.to_datetime(["2020-01-01"] * 12), TypeError, "x expected numbers"),
    ]:
        with pytest.raises(error, match=message):
            model.fit(frame.assign(a=column), Y, verbose=0)
    assert_as_it_was(model, before)


def test_a_nan_in_a_sparse_matrix_is_found_in_its_row():
    from scipy.sparse import csr_array

    model, x, y = make()
    before = snapshot(model)
    sparse = np.where(X > 0, X, 0)
    sparse[7, 1] = np.nan

    with pytest.raises(ValueError, match="x holds NaN, first in row 7"):
        model.fit(csr_array(sparse), y, verbose=0)
    assert_as_it_was(model, before)
    assert_trainable(model, x, y)


@pytest.mark.parametrize("which", ["x", "y"])
def test_a_nan_in_a_memory_map_is_found_when_it_is_read(tmp_path, which):
    model, x, y = make()
    arrays = {"x": X.copy(), "y": Y.copy()}
    arrays[which][9] = np.nan
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    with pytest.raises(
        ValueError, match=rf"in a batch of rows \[8, 9, 10, 11\]: {which} holds NaN, first in row 1"
    ):
        model.fit(arrays["x"], arrays["y"], batch_size=4, shuffle=False, verbose=0)
    assert_trainable(model, x, y)


def test_a_label_in_a_memory_map_is_checked_when_it_is_read(tmp_path):
    model, *_ = make("sparse")
    np.save(tmp_path / "y.npy", replaced(LABELS, 9, 5))
    y = np.load(tmp_path / "y.npy", mmap_mode="r")

    with pytest.raises(
        ValueError, match=r"rows \[8, 9, 10, 11\].*labels from 0 to 1 for 2 classes and got 5"
    ):
        model.fit(X, y, batch_size=4, shuffle=False, verbose=0)


def test_a_failed_build_leaves_all_layers_unbuilt():
    model = bp.Sequential([Dense(4), LSTM(3), Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"in layer 1 of sequential: LSTM\(3\), given \(4,\)"):
        model.fit(X, Y, verbose=0)

    assert [layer.built for layer in model.walk()] == [False] * len(list(model.walk()))
    assert model.weights == []
    assert_trainable(model, IMAGES, Y)


def test_a_build_without_a_shape_says_so():
    with pytest.raises(ValueError, match="sequential does not know its input's shape"):
        bp.Sequential([Dense(1)]).build()
    declared = bp.Sequential([Dense(1, input_shape=(3,))])
    declared.build()

    assert declared.count_params() == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bp.layers.Rescaling("a"), "Rescaling expects scale to be numbers, got 'a'"),
        (lambda: bp.layers.Masking("a"), "Masking expects mask_value to be a number, got 'a'"),
        (lambda: bp.callbacks.EarlyStopping(patience="a"), "patience of at least 0 and got 'a'"),
        (lambda: bp.optimizers.Adam().apply_gradients([]), "adam got no pairs of gradient and"),
    ],
)
def test_what_is_no_number_or_nothing_is_named_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_vocabulary_of_words_is_none_of_integers():
    with pytest.raises(TypeError, match="expects a vocabulary of integers, got 'a' among them"):
        bp.layers.IntegerLookup(vocabulary=["a"])
    assert bp.layers.IntegerLookup(vocabulary=["-7", "3"])([[3, -7]]).tolist() == [[2, 1]]


@pytest.mark.parametrize("layer", [bp.layers.StringLookup, bp.layers.IntegerLookup])
def test_nothing_to_adapt_to_is_an_error_that_says_so(layer):
    with pytest.raises(ValueError, match="found no tokens in"):
        layer().adapt(np.empty((0, 2), "U1" if layer is bp.layers.StringLookup else int))


@pytest.mark.parametrize("kind", ["U1", int])
def test_labels_that_come_with_batches_are_not_learned(kind):
    layer = {int: bp.layers.IntegerLookup, "U1": bp.layers.StringLookup}[kind]
    x = np.array([["1", "2"], ["2", "3"], ["2", "2"]]).astype(kind)
    one, other = layer(), layer()
    one.adapt(x)
    other.adapt((x[i : i + 1], np.array([[9]]).astype(kind)) for i in range(3))

    assert one.get_vocabulary() == other.get_vocabulary()
