"""A whole `fit` gives Keras' numbers: from the same weights, in the same order of batches."""

import numpy as np
import pytest
from keras_runs import assert_close, needs_engine, runs_of_keras

import backprop as bp

# run with both libraries: the same script, the Keras way
SCRIPT = """
def build(k, case, dtype):
    L = k.layers
    reg = k.regularizers.L2(0.01)
    stacks = {
        "classifier": [L.Dense(16, activation="relu", kernel_regularizer=reg), L.Dense(3,
        activation="softmax")], "logits": [L.Dense(8, activation="tanh", activity_regularizer="l2"),
        L.Dense(3)], "regression": [L.Dense(8, activation="gelu", kernel_constraint="max_norm"),
        L.Dense(1)], "binary": [L.BatchNormalization(), L.Dense(8, activation="swish"), L.Dense(1,
        activation="sigmoid")], "frozen": [L.Dense(8, activation="elu", trainable=False),
        L.Dense(1)],
    }
    return k.Sequential([L.Input((5,)), *stacks[case]])


def compile_it(k, model, case):
    O, M, S = k.optimizers, k.losses, k.optimizers.schedules
    if case == "classifier":
        model.compile(O.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    elif case == "logits":
        model.compile(
            O.SGD(S.ExponentialDecay(0.1, 10, 0.9), momentum=0.9, nesterov=True),
            M.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            metrics=["accuracy"],
        )
    elif case == "regression":
        model.compile(O.RMSprop(0.01, clipnorm=1.0), "mse", metrics=["mae"])
    elif case == "binary":
        model.compile(O.AdamW(0.01), "binary_crossentropy", metrics=["accuracy"],
        weighted_metrics=["accuracy"])
    else:
        model.compile(O.SGD(0.05, global_clipnorm=0.5), "huber", metrics=["mse"], loss_weights=0.5)


def targets(np, case, x):
    score = x @ np.arange(1.0, 6.0)
    if case == "classifier":
        return np.digitize(score, [-3.0, 3.0])
    if case == "logits":
        return np.eye(3)[np.digitize(score, [-3.0, 3.0])]
    if case == "binary":
        return (score > 0).astype("float64")
    return np.sin(score)


def run(k, np, case, dtype, weights):
    x = np.random.default_rng(1).normal(size=(50, 5)).astype(dtype)
    y = targets(np, case, x).astype("int64" if case == "classifier" else dtype)
    model = build(k, case, dtype)
    if weights is not None:
        model.set_weights([np.asarray(w, dtype) for w in weights])
    start = [w.tolist() for w in model.get_weights()]
    compile_it(k, model, case)
    extra = {}
    if case in ("classifier", "binary"):
        extra["class_weight"] = {0: 0.5, 1: 2.0}
    if case == "regression":
        extra["sample_weight"] = np.linspace(0.1, 2.0, 50).astype(dtype)
    history = model.fit(
        x, y, batch_size=16, epochs=4, shuffle=False, verbose=0, validation_data=(x[:20], y[:20]),
        **extra
    )
    return {
        "start": start,
        "weights": [np.asarray(w).tolist() for w in model.get_weights()],
        "history": {name: [float(v) for v in values] for name, values in history.history.items()},
        "evaluate": {name: float(v) for name, v in model.evaluate(x, y, verbose=0,
        return_dict=True).items()}, "predict": np.asarray(model.predict(x, verbose=0)).tolist(),
    }
"""

CASES = ["classifier", "logits", "regression", "binary", "frozen"]


class InFloat64:
    """`backprop` as a script written for Keras sees it, with models of float64."""

    def __getattr__(self, name):
        return getattr(bp, name)

    @staticmethod
    def Sequential(layers):
        return bp.Sequential(layers, dtype="float64")


@pytest.fixture(scope="module")
def by_keras(tmp_path_factory):
    return runs_of_keras(SCRIPT, CASES, tmp_path_factory.mktemp("keras") / "runs.json")


@needs_engine
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_fit_gives_the_numbers_of_keras(by_keras, case, dtype):
    scope: dict = {}
    exec(SCRIPT, scope)
    theirs = by_keras[f"{case} {dtype}"]
    library = bp if dtype == "float32" else InFloat64()

    ours = scope["run"](library, np, case, dtype, theirs["start"])

    tol = 2e-5 if dtype == "float32" else 1e-6
    assert ours["history"].keys() == theirs["history"].keys()
    for name, values in theirs["history"].items():
        assert_close(ours["history"][name], values, tol, name)
    for mine, other in zip(ours["weights"], theirs["weights"], strict=True):
        assert_close(mine, other, tol, "weights")
    for name, value in theirs["evaluate"].items():
        assert_close(ours["evaluate"][name], value, tol, name)
    assert_close(ours["predict"], theirs["predict"], tol, "predictions")
