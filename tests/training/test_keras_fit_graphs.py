"""A whole `fit` of a model with several inputs and outputs gives Keras' numbers and names."""

import functools

import numpy as np
import pytest
from keras_runs import ENGINES, assert_close, needs_engine, runs_of_keras

import backprop as bp

# run with both libraries: the same script, the Keras way
SCRIPT = '''
def trunk(k):
    """Two inputs that meet."""
    L = k.layers
    user, place = L.Input((4,), name="user"), L.Input((3,), name="place")
    h = L.Concatenate()([L.Dense(5, activation="tanh")(user), L.Dense(3)(place)])
    return user, place, L.Dense(6, activation="relu")(h)


def build(k, case):
    L = k.layers
    if case == "masked":
        words, user = L.Input((5,), dtype="int32", name="words"), L.Input((4,), name="user")
        h = L.LSTM(6, return_sequences=True)(L.Embedding(9, 4, mask_zero=True)(words))
        tags = L.Dense(3, activation="softmax", name="tags")(h)
        age = L.Dense(1, name="age")(L.Dense(5, activation="tanh")(user))
        return k.Model([words, user], [tags, age])
    user, place, h = trunk(k)
    score = L.Dense(1, name="score")(h)
    kind = L.Dense(3, activation="softmax", name="kind")(h)
    if case == "regularized":
        h = L.Dense(4, activation="tanh", kernel_regularizer="l2", activity_regularizer="l2")(h)
        score = L.Dense(1, name="score", bias_regularizer="l1")(h)
    outputs = {
        "dicts": {"b": kind, "a": score},
        "nested": [kind, [score, kind]],
        "tuple": (kind, score),
        "one": [score],
    }.get(case, [score, kind])
    inputs = {"second": place, "first": user} if case == "dicts" else [user, place]
    return k.Model(inputs, outputs)


OPTIONS = {
    "lists": {"loss": ["mse", "sparse_categorical_crossentropy"], "loss_weights": [0.5, 2.0],
              "metrics": [["mae", "mse"], "accuracy"], "weighted_metrics": [["mae"], []]},
    "names": {"loss": {"kind": "sparse_categorical_crossentropy", "score": "huber"},
              "loss_weights": {"kind": 0.3, "score": 1.5},
              "metrics": {"kind": ["accuracy"]}, "weighted_metrics": {"kind": ["accuracy"]}},
    "one_loss": {"loss": "mse", "metrics": [["mae"], ["mae"]]},
    "no_loss": {"loss": ["mse", None], "metrics": {"kind": "accuracy", "score": ["mae"]}},
    "dicts": {"loss": {"a": "mse", "b": "sparse_categorical_crossentropy"},
              "loss_weights": {"a": 0.5, "b": 1.0}, "metrics": {"b": ["accuracy"], "a": ["mae"]}},
    "nested": {"loss": ["sparse_categorical_crossentropy", ["mse", "mse"]],
               "metrics": ["accuracy", ["mae", "mse"]]},
    "tuple": {"loss": ("sparse_categorical_crossentropy", "mse"), "metrics": [["accuracy"], []]},
    "one": {"loss": ["mse"], "metrics": ["mae"]},
    "regularized": {"loss": ["mse", "sparse_categorical_crossentropy"]},
    "masked": {"loss": {"tags": "sparse_categorical_crossentropy", "age": "mse"},
               "metrics": {"tags": ["accuracy"], "age": ["mae"]},
               "weighted_metrics": {"age": ["mae"]}},
    "batches": {"loss": ["mse", "sparse_categorical_crossentropy"],
                "metrics": [[], ["accuracy"]]},
}


def data(np, case, dtype):
    rng = np.random.default_rng(1)
    n = 48
    user, place = rng.normal(size=(n, 4)).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)
    score = np.sin(user.sum(1) - place.sum(1))[:, None].astype(dtype)
    kind = rng.integers(0, 3, n)
    w, v = (np.linspace(*ends, n).astype(dtype) for ends in ((0.1, 2.0), (1.0, 0.2)))
    x, y, weight = [user, place], [score, kind], None
    if case == "names":
        x, y = {"place": place, "user": user}, {"kind": kind, "score": score}
    elif case == "lists":
        weight = [w, v]
    elif case == "one_loss":
        y = [score, np.eye(3)[kind].astype(dtype)]
    elif case == "dicts":
        x, y = {"first": user, "second": place}, {"a": score, "b": kind}
        weight = {"a": w, "b": v}  # Keras takes a dict of weights where the outputs are one alone
    elif case == "nested":
        y = [kind, [score, np.eye(3)[kind].astype(dtype)]]
    elif case == "tuple":
        x, y = (user, place), (kind, score)
    elif case == "one":
        y = score
    elif case == "masked":
        words = rng.integers(1, 9, (n, 5))
        words[np.arange(5) >= rng.integers(1, 6, n)[:, None]] = 0
        x, y = [words, user], [rng.integers(0, 3, (n, 5)), score]
    return x, y, weight


def batches(np, x, y):
    while True:
        for i in range(0, 48, 16):
            rows = slice(i, i + 16)
            yield tuple(a[rows] for a in x), tuple(a[rows] for a in y)


def shown(y):
    if isinstance(y, dict):
        return {name: shown(y[name]) for name in sorted(y)}
    return [shown(a) for a in y] if isinstance(y, (list, tuple)) else y.tolist()


def run(k, np, case, dtype, weights):
    model = build(k, case)
    if weights is not None:
        model.set_weights([np.asarray(w, dtype) for w in weights])
    start = [w.tolist() for w in model.get_weights()]
    model.compile(k.optimizers.SGD(0.1, momentum=0.9), **OPTIONS[case])
    x, y, w = data(np, case, dtype)
    if case == "batches":
        history = model.fit(batches(np, x, y), epochs=3, steps_per_epoch=3, verbose=0)
    else:
        validation = {"validation_split": 0.25}
        if case in ("lists", "dicts"):
            validation = {"validation_data": (x, y) if w is None else (x, y, w)}
        history = model.fit(
            x, y, sample_weight=w, batch_size=16, epochs=3, shuffle=False, verbose=0, **validation
        )
    named = model.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True)
    listed = model.evaluate(x, y, sample_weight=w, verbose=0)
    return {
        "start": start,
        "weights": [np.asarray(w).tolist() for w in model.get_weights()],
        "history": {name: [float(v) for v in values] for name, values in history.history.items()},
        "evaluate": {name: float(v) for name, v in named.items()},
        "listed": [float(v) for v in (listed if isinstance(listed, list) else [listed])],
        "predict": shown(model.predict(x, verbose=0)),
        "on_batch": {
            name: float(v)
            for name, v in model.train_on_batch(x, y, sample_weight=w, return_dict=True).items()
        },
        "after": [np.asarray(w).tolist() for w in model.get_weights()],
    }
'''
scope: dict = {}
exec(SCRIPT, scope)
# of these Keras' engines give other numbers than each other; ours are those on torch
ON_TORCH = () if ENGINES[:1] == ["torch"] else ("masked", "regularized")
CASES = [case for case in scope["OPTIONS"] if case not in ON_TORCH]


@pytest.fixture(scope="module")
def by_keras(tmp_path_factory):
    """What Keras makes of all cases, as a function of the dtype."""
    path = tmp_path_factory.mktemp("keras") / "several.json"
    return functools.cache(lambda dtype: runs_of_keras(SCRIPT, CASES, path, [dtype]))


@needs_engine
@pytest.mark.parametrize(
    # compiling all of it again in float32 takes JAX a minute
    "dtype",
    [pytest.param("float32", marks=pytest.mark.slow), "float64"],
)
@pytest.mark.parametrize("case", CASES)
def test_fit_gives_the_numbers_of_keras(by_keras, case, dtype):
    theirs = by_keras(dtype)[f"{case} {dtype}"]
    before = bp.config.floatx()
    bp.config.set_floatx(dtype)
    try:
        ours = scope["run"](bp, np, case, dtype, theirs["start"])
    finally:
        bp.config.set_floatx(before)

    tol = 2e-5 if dtype == "float32" else 2e-6
    for kind in ("history", "evaluate", "on_batch"):
        assert ours[kind].keys() == theirs[kind].keys()
        for name, values in theirs[kind].items():
            assert_close(ours[kind][name], values, tol, f"{kind} {name}")
    assert_close(ours["listed"], theirs["listed"], tol, "evaluate's list")
    for kind in ("weights", "after"):
        for mine, other in zip(ours[kind], theirs[kind], strict=True):
            assert_close(mine, other, tol, kind)
    assert_alike(ours["predict"], theirs["predict"], tol)


def assert_alike(ours, theirs, tol):
    """Predictions in the same lists and dicts."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), list(theirs.values())
    try:
        assert_close(ours, theirs, tol, "predictions")
    except ValueError:  # of several shapes
        for mine, other in zip(ours, theirs, strict=True):
            assert_alike(mine, other, tol)
