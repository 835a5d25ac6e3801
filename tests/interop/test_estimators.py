"""Networks as estimators of scikit-learn: how they are fitted, and by what."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from rows_of_classes import features, labels
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import check_estimator

import backprop as bp
from backprop.interop import BackpropClassifier, BackpropRegressor, BackpropTransformer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (10,), "random_state": 0}
ALL = (BackpropClassifier, BackpropRegressor, BackpropTransformer)


@pytest.fixture
def rows():
    return features()


# --------------------------------------------------------------------- what scikit-learn asks


@pytest.mark.parametrize(
    "estimator",
    [
        BackpropClassifier(hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.02),
        BackpropRegressor(hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.02),
        BackpropTransformer(hidden_layer_sizes=(5,), max_iter=20),
        pytest.param(BackpropClassifier(solver="lbfgs", alpha=1.0), marks=pytest.mark.slow),
        pytest.param(BackpropRegressor(solver="lbfgs"), marks=pytest.mark.slow),
        pytest.param(BackpropTransformer(solver="lbfgs", max_iter=3), marks=pytest.mark.slow),
        pytest.param(BackpropClassifier(), marks=pytest.mark.slow),
        pytest.param(BackpropRegressor(), marks=pytest.mark.slow),
        pytest.param(BackpropTransformer(), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_the_checks_of_scikit_learn_pass(estimator):
    failing = {}  # with the solver of the defaults none is expected to fail
    if estimator.solver == "lbfgs":
        rounding = "up to 200 line searches carry the rounding of another order of sums to 1e-6"
        failing = {
            "check_sample_weight_equivalence_on_dense_data": rounding,
            "check_sample_weight_equivalence_on_sparse_data": rounding,
        }

    check_estimator(estimator, expected_failed_checks=failing, on_skip=None)


def test_every_parameter_is_documented():
    for cls in ALL:
        parameters = cls.__doc__.partition("Attributes\n")[0]

        assert [name for name in cls().get_params() if name not in parameters] == []


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_unscaled_columns_are_told_apart_better_than_by_scikit_learns_perceptron(load):
    x, y = load(return_X_y=True)
    train, test = np.arange(len(y)) % 3 != 0, np.arange(len(y)) % 3 == 0

    ours, theirs = (
        np.mean(
            [cls(random_state=i).fit(x[train], y[train]).score(x[test], y[test]) for i in (0, 1)]
        )
        for cls in (BackpropClassifier, MLPClassifier)
    )

    assert ours > 0.96
    assert ours > theirs


# --------------------------------------------------------------------- one step, and many


def test_a_step_is_the_one_that_was_worked_out_by_hand():
    x, y = np.array([[0.6, 0.8, 0.7]]), np.array([0])
    kernels = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0]]), np.array([[0.1], [0.2]])
    biases = np.array([0.1, 0.1]), np.array([1.0])
    model = BackpropClassifier(
        2,
        "logistic",
        solver="sgd",
        learning_rate_init=0.1,
        momentum=0,
        alpha=0.1,
        standardize=False,
    )
    model.partial_fit(x, y, classes=[0, 1])
    model.model_.set_weights([kernels[0], biases[0], kernels[1], biases[1]])

    model.partial_fit(x, y)

    h = expit(x @ kernels[0] + biases[0])
    dz = expit(h @ kernels[1] + biases[1]) - y  # of -log(1 - p)
    dh = dz @ kernels[1].T * h * (1 - h)
    np.testing.assert_allclose(model.coefs_[1], kernels[1] - 0.1 * (h.T @ dz + 0.1 * kernels[1]))
    np.testing.assert_allclose(model.coefs_[0], kernels[0] - 0.1 * (x.T @ dh + 0.1 * kernels[0]))
    np.testing.assert_allclose(model.intercepts_[0], biases[0] - 0.1 * dh[0])
    np.testing.assert_allclose(model.intercepts_[1], biases[1] - 0.1 * dz[0])


@pytest.mark.parametrize("cls", ALL)
def test_passes_are_a_fit(cls, rows):
    y = labels(rows, "multilabel").astype(float)
    settings = SMALL | {"batch_size": 50, "n_iter_no_change": np.inf}
    whole = cls(max_iter=4, **settings).fit(rows, y)

    passes = cls(**settings)
    for _ in range(4):
        passes.partial_fit(rows, y)

    np.testing.assert_array_equal(whole.coefs_[0], passes.coefs_[0])
    assert whole.loss_curve_ == passes.loss_curve_
    assert (whole.n_iter_, passes.n_iter_, passes.t_) == (4, 1, 480)


def test_warm_start_goes_on_and_another_fit_begins_anew(rows):
    y = labels(rows, "binary")
    cold = BackpropClassifier(max_iter=5, **SMALL).fit(rows, y)
    warm = BackpropClassifier(max_iter=5, warm_start=True, **SMALL).fit(rows, y)
    before = warm.loss_

    cold.fit(rows, y)
    warm.fit(rows, y)

    assert cold.loss_ == before
    assert warm.loss_ < before
    assert (len(cold.loss_curve_), len(warm.loss_curve_)) == (5, 10)


def test_a_pickled_one_goes_on_as_the_one_that_was_kept(rows):
    y = labels(rows, "multiclass")
    kept = BackpropClassifier(max_iter=5, dropout=0.2, **SMALL).fit(rows, y)

    read = pickle.loads(pickle.dumps(kept))

    np.testing.assert_array_equal(read.predict_proba(rows), kept.predict_proba(rows))
    np.testing.assert_array_equal(
        read.partial_fit(rows, y).coefs_[0], kept.partial_fit(rows, y).coefs_[0]
    )


def test_a_seed_decides_everything_and_moves_no_other(rows):
    y = labels(rows, "binary")
    settings = {"dropout": 0.3, "early_stopping": True, "batch_size": 20, "max_iter": 5}
    bp.utils.set_random_seed(3)
    free = bp.random.normal((2,))
    bp.utils.set_random_seed(3)

    one, two, other = (
        BackpropClassifier(random_state=i, **settings).fit(rows, y) for i in (1, 1, 2)
    )

    np.testing.assert_array_equal(bp.random.normal((2,)), free)
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


# --------------------------------------------------------------------- the end of a run


def test_early_stopping_keeps_the_best_epoch(rows):
    y = labels(rows, "binary")
    noisy = np.where(np.arange(120) % 4 == 0, "yes", y)
    held = {}

    class Remember(bp.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            held[epoch] = self.model.get_weights()

    model = BackpropClassifier(
        early_stopping=True,
        validation_fraction=0.3,
        learning_rate_init=0.1,
        callbacks=[Remember()],
        **SMALL,
    ).fit(rows, noisy)

    best = int(np.argmax(model.validation_scores_))
    assert model.n_iter_ == len(held) < model.max_iter
    assert best < model.n_iter_ - 1
    assert model.best_validation_score_ == model.validation_scores_[best]
    for kept, then in zip(model.model_.get_weights(), held[best], strict=True):
        np.testing.assert_array_equal(kept, then)


def test_an_end_by_max_iter_is_told(rows):
    with pytest.warns(ConvergenceWarning, match="has not converged after 2 iterations"):
        BackpropRegressor(max_iter=2).fit(rows, rows[:, 0])


def test_an_interrupted_fit_can_be_used(rows):
    class Stop(bp.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    model = BackpropClassifier(callbacks=[Stop()], **SMALL)

    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, rows[:, 0] > 0)

    assert len(model.loss_curve_) >= 2
    assert model.predict(rows).dtype == bool


def test_a_fit_that_fails_leaves_the_last_one(rows):
    y = labels(rows, "binary")
    model = BackpropClassifier(max_iter=5, **SMALL).fit(rows, y)
    before = model.predict_proba(rows)

    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(rows > 2, np.nan, rows), y)
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(rows, rows[:, 0])

    np.testing.assert_array_equal(model.predict_proba(rows), before)


def test_a_run_that_has_nothing_to_do_is_a_fit(rows):
    model = BackpropRegressor(solver="lbfgs", tol=1e9, **SMALL).fit(rows, rows[:, 0])

    assert model.n_iter_ == 0
    assert model.loss_ > 0


# --------------------------------------------------------------------- networks of one's own


def build(n_features, n_outputs, activation, width=4, end=None):
    return bp.Sequential(
        [
            bp.layers.Input((n_features,)),
            bp.layers.Dense(width, activation=activation),
            bp.layers.Dense(n_outputs, activation=end),
        ]
    )


def test_a_builder_is_given_what_it_asks_for(rows):
    model = BackpropClassifier(
        model=build, model_params={"width": 7}, activation="tanh", max_iter=3, random_state=0
    ).fit(rows, labels(rows, "multiclass"))

    hidden, end = model.model_.layers[-2:]
    assert (hidden.units, type(hidden.activation).__name__, end.units) == (7, "Tanh", 3)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_network_may_end_in_logits_or_in_probabilities(kind, rows):
    y = labels(rows, kind)
    end = "softmax" if kind == "multiclass" else "sigmoid"
    settings = {"model": build, "max_iter": 50, "learning_rate_init": 0.02, "random_state": 0}

    logits, p = (
        BackpropClassifier(model_params={"end": e}, **settings).fit(rows, y) for e in (None, end)
    )

    np.testing.assert_allclose(logits.predict_proba(rows), p.predict_proba(rows), atol=2e-3)


def test_two_classes_may_have_two_units(rows):
    y = labels(rows, "binary")

    def two(n_features):
        return build(n_features, 2, "relu", end="softmax")

    model = BackpropClassifier(model=two, learning_rate_init=0.05, random_state=0).fit(rows, y)

    assert model.score(rows, y) > 0.95
    assert model.decision_function(rows).shape == (120,)


def test_a_model_is_copied_with_fresh_weights(rows):
    drawn = build(4, 1, "relu")
    before = drawn.get_weights()

    model = BackpropRegressor(model=drawn, max_iter=3, random_state=0).fit(rows, rows[:, 0])

    assert model.model_ is not drawn
    for kept, then in zip(drawn.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, then)


def test_an_encoder_and_a_decoder_may_be_given(rows):
    def both(n_features):
        return build(n_features, 3, "tanh"), build(3, n_features, "tanh")

    coder = BackpropTransformer(model=both, max_iter=3, random_state=0).fit(rows)

    assert coder.transform(rows).shape == (120, 3)
    assert list(coder.get_feature_names_out()) == [f"backproptransformer{i}" for i in range(3)]


def test_a_solver_is_copied(rows):
    solver = bp.optimizers.RMSprop(0.01)

    model = BackpropRegressor(solver=solver, max_iter=3, **SMALL).fit(rows, rows[:, 0])

    assert model.model_.optimizer is not solver
    assert (solver.iterations, model.model_.optimizer.iterations) == (0, 3)


def compiled(n_features, n_outputs):
    model = build(n_features, n_outputs, "relu")
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"hidden_layer_sizes": (3, 0)}, ValueError, "hidden_layer_sizes"),
        ({"alpha": -1}, ValueError, "alpha"),
        ({"dropout": 1.0}, ValueError, "dropout from 0 to below 1, got 1.0"),
        ({"momentum": 2}, ValueError, "momentum from 0 to 1"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"batch_size": "big"}, ValueError, "batch_size"),
        ({"standardize": "yes"}, (TypeError, ValueError), "standardize"),
        ({"solver": 3}, TypeError, "solver to be a name or an Optimizer"),
        ({"solver": "adan"}, ValueError, "adan"),
        ({"activation": "rele"}, ValueError, "rele"),
        ({"learning_rate": "adaptive"}, ValueError, "is for solver='sgd'"),
        ({"model_params": {"width": 2}}, ValueError, "model_params are arguments of model="),
        ({"model": 3}, TypeError, "expects model= to be a function"),
        ({"model": lambda: 3}, TypeError, "must be a Sequential or a Model, got 3"),
        ({"model": compiled}, ValueError, "is compiled already"),
        ({"model": compiled, "alpha": 1.0}, ValueError, "let it take an argument alpha"),
        ({"model": lambda: build(4, 2, "relu")}, ValueError, "let the function take n_outputs"),
    ],
)
def test_a_wrong_parameter_is_named(parameters, error, words, rows):
    with pytest.raises(error, match=words):
        BackpropRegressor(**parameters).fit(rows, rows[:, 0])


def test_what_partial_fit_cannot_do_is_refused(rows):
    y = labels(rows, "multiclass")
    model = BackpropClassifier(**SMALL)

    with pytest.raises(ValueError, match=r"partial_fit\(X, y, classes="):
        model.partial_fit(rows, y)
    with pytest.raises(ValueError, match="classes are"):
        model.partial_fit(rows, y, classes=[3, 5])
    model.partial_fit(rows, y, classes=[3, 5, 9])
    with pytest.raises(ValueError, match="classes are"):
        model.partial_fit(rows[:1], [4])
    with pytest.raises(ValueError, match="not those of the first call"):
        model.partial_fit(rows, y, classes=[3, 5, 9, 11])
    with pytest.raises(ValueError, match="'balanced'"):
        model.set_params(class_weight="balanced").partial_fit(rows, y)
    assert not hasattr(BackpropClassifier(solver="lbfgs"), "partial_fit")


# --------------------------------------------------------------------- threads, and imports


def test_fits_in_several_threads_are_those_of_one(rows):
    y = labels(rows, "multiclass")
    models = [BackpropClassifier(max_iter=20, random_state=i, dropout=0.1) for i in range(4)]
    alone = [clone(m).fit(rows, y).predict_proba(rows) for m in models]

    threads = [threading.Thread(target=m.fit, args=(rows, y)) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for model, expected in zip(models, alone, strict=True):
        np.testing.assert_array_equal(model.predict_proba(rows), expected)


def test_one_estimator_answers_several_threads(rows):
    x, y = load_iris(return_X_y=True)
    model = BackpropClassifier(max_iter=5, random_state=0).fit(x, y)
    expected = [model.predict_proba(x[i::5]) for i in range(5)]
    found = {}

    def ask(i):
        for _ in range(20):
            found[i] = model.predict_proba(x[i::5])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for i, p in enumerate(expected):
        np.testing.assert_array_equal(found[i], p)


def test_scikit_learn_is_imported_when_it_is_used_and_asked_for_where_it_is_absent():
    script = """
import sys
import backprop.interop
assert "BackpropClassifier" in dir(backprop.interop)
assert "sklearn" not in sys.modules
sys.modules["sklearn"] = None
try:
    backprop.interop.BackpropClassifier
except ImportError as error:
    assert 'pip install "backprop[sklearn]"' in str(error), error
else:
    raise AssertionError("no word about scikit-learn")
"""

    subprocess.run([sys.executable, "-c", script], check=True)
