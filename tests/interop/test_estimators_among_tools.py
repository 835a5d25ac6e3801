"""Networks where estimators of scikit-learn go: pipelines, searches, tables, engines of joblib."""

import contextlib

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from backprop.interop import BackpropClassifier, BackpropRegressor, BackpropTransformer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.05,
    "max_iter": 25,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def table():
    """Houses, of which the price rests on the size and the town."""
    rng = np.random.default_rng(0)
    size, town = rng.uniform(30, 200, 200), rng.choice(["Ulm", "Rom", "Oslo"], 200)
    price = 2000 * size * np.where(town == "Rom", 2.0, 1.0)
    return pd.DataFrame({"size": size, "town": town}), pd.Series(price, name="price")


def houses(regressor):
    columns = [("numbers", StandardScaler(), ["size"]), ("towns", OneHotEncoder(), ["town"])]
    return make_pipeline(ColumnTransformer(columns), regressor)


def test_a_pipeline_of_columns_ends_in_a_network(table):
    x, y = table
    model = houses(BackpropRegressor(solver="lbfgs", random_state=0))

    assert model.fit(x, y).score(x, y) > 0.99


def test_targets_may_be_transformed(table):
    x, y = table
    network = BackpropRegressor(solver="lbfgs", random_state=0)
    model = TransformedTargetRegressor(houses(network), func=np.log, inverse_func=np.exp)

    assert model.fit(x, y).score(x, y) > 0.99


def test_words_go_in_as_sparse_rows():
    texts = ["good film", "bad film", "good play", "bad play", "good", "bad"] * 4
    model = make_pipeline(TfidfVectorizer(), BackpropClassifier(**QUICK))

    assert model.fit(texts, [1, 0] * 12).score(texts, [1, 0] * 12) == 1


@pytest.mark.parametrize(
    "engine", [None, "threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_a_search_finds_the_better_network_with_any_engine(engine, iris):
    grid = {"hidden_layer_sizes": [(1,), (8,)], "alpha": [1e-4, 100.0]}
    search = GridSearchCV(BackpropClassifier(**QUICK), grid, cv=3, n_jobs=engine and 2)

    with joblib.parallel_config(engine) if engine else contextlib.nullcontext():
        search.fit(*iris)

    assert search.best_params_ == {"hidden_layer_sizes": (8,), "alpha": 1e-4}
    assert search.best_score_ > 0.9
    alone = cross_val_score(BackpropClassifier(**QUICK), *iris, cv=3)
    assert search.best_score_ == alone.mean()


def test_a_network_is_calibrated(iris):
    model = CalibratedClassifierCV(BackpropClassifier(**QUICK), cv=3).fit(*iris)

    assert model.score(*iris) > 0.9


def test_scores_of_a_hinge_are_calibrated(iris):
    network = BackpropClassifier(loss="categorical_hinge", **QUICK)

    p = CalibratedClassifierCV(network, cv=3).fit(*iris).predict_proba(iris[0])

    np.testing.assert_allclose(p.sum(1), 1)


def test_predictions_of_folds_are_put_together(iris):
    p = cross_val_predict(BackpropClassifier(**QUICK), *iris, cv=3, method="predict_proba")

    assert (p.argmax(1) == iris[1]).mean() > 0.9


def test_a_code_goes_before_a_classifier(iris):
    coder = BackpropTransformer(n_components=3, max_iter=60, random_state=0)
    model = make_pipeline(coder, LogisticRegression(max_iter=1000)).fit(*iris)

    assert model.score(*iris) > 0.85
    coder.set_output(transform="pandas")
    assert list(coder.fit_transform(iris[0]).columns) == [
        f"backproptransformer{i}" for i in range(3)
    ]


def test_columns_are_known_by_name(iris):
    x = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    model = BackpropClassifier(**QUICK).fit(x, iris[1])

    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x[["b", "a", "c", "d"]])
    assert permutation_importance(model, x, iris[1], n_repeats=1).importances_mean.argmax() in (
        2,
        3,
    )


def test_columns_of_polars_are_columns(iris):
    polars = pytest.importorskip("polars")
    x = polars.DataFrame(iris[0], schema=["a", "b", "c", "d"])
    y = polars.Series("kind", np.array(["x", "y", "z"])[iris[1]])

    model = BackpropClassifier(**QUICK).fit(x, y)

    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    expected = BackpropClassifier(**QUICK).fit(*iris).predict(iris[0])
    np.testing.assert_array_equal(model.predict(x), np.array(["x", "y", "z"])[expected])


def test_a_clone_has_the_parameters_and_nothing_learnt(iris):
    model = BackpropClassifier(**QUICK).fit(*iris)

    copy = clone(model)

    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "model_")
    assert copy.set_params(alpha=1.0).alpha == 1.0


def test_a_search_runs_on_a_dask_cluster(iris):
    distributed = pytest.importorskip("dask.distributed")
    grid = {"alpha": [1e-4, 100.0]}
    search = GridSearchCV(BackpropClassifier(**QUICK), grid, cv=3)
    cluster = {"n_workers": 1, "threads_per_worker": 2, "processes": False}

    with (
        distributed.Client(**cluster, dashboard_address=None),
        joblib.parallel_config("dask"),
    ):
        search.fit(*iris)

    assert search.best_params_ == {"alpha": 1e-4}
    alone = cross_val_score(BackpropClassifier(**QUICK), *iris, cv=3)
    assert search.best_score_ == alone.mean()


@pytest.mark.slow
def test_a_search_runs_on_a_dask_cluster_of_processes(iris):
    distributed = pytest.importorskip("dask.distributed")
    search = GridSearchCV(BackpropClassifier(**QUICK), {"alpha": [1e-4, 100.0]}, cv=3)
    cluster = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}

    with (
        distributed.Client(**cluster, dashboard_address=None),
        joblib.parallel_config("dask"),
    ):
        search.fit(*iris)

    alone = cross_val_score(BackpropClassifier(**QUICK), *iris, cv=3)
    assert search.best_score_ == alone.mean()
