"""What networks learn as estimators: classes, labels, quantities, codes, of rows of any kind."""

import numpy as np
import pytest
import scipy.sparse
from rows_of_classes import KINDS, features, labels
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.decomposition import PCA

import backprop as bp
from backprop.interop import BackpropClassifier, BackpropRegressor, BackpropTransformer
from backprop.interop.estimators.scaling import Scaling

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (10,), "random_state": 0}
ALL = (BackpropClassifier, BackpropRegressor, BackpropTransformer)


@pytest.fixture
def rows():
    return features()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --------------------------------------------------------------------- targets


@pytest.mark.parametrize("kind", KINDS)
def test_classes_of_every_kind_are_learnt(kind, rows):
    y = labels(rows, kind)

    model = BackpropClassifier(solver="lbfgs", alpha=0.01, **SMALL).fit(rows, y)

    np.testing.assert_array_equal(model.predict(rows), y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [None, "mse"])  # of logits, of probabilities
def test_scores_and_probabilities_are_of_one_network(kind, loss, rows):
    model = BackpropClassifier(max_iter=30, loss=loss, **SMALL).fit(rows, labels(rows, kind))

    scores, p = model.decision_function(rows), model.predict_proba(rows)

    if kind == "one class":
        assert (p == 1).all()
        return
    several = kind == "multioutput"
    logs = model.predict_log_proba(rows)
    for log, q in zip(logs if several else [logs], p if several else [p], strict=True):
        np.testing.assert_allclose(log, np.log(q), atol=1e-12)
    shares = softmax if kind in ("multiclass", "multioutput") else lambda z, axis: expit(z)
    p = p[:, 1] if kind == "binary" else p
    for z, q in zip(scores if several else [scores], p if several else [p], strict=True):
        np.testing.assert_allclose(shares(z, -1), q, atol=1e-12)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
        "kl_divergence",
        "categorical_hinge",
        "squared_hinge",
        "mse",
        bp.losses.CategoricalCrossentropy(label_smoothing=0.1),
        bp.losses.CategoricalCrossentropy(label_smoothing=0.1, from_logits=True),
    ],
)
def test_any_loss_of_classes_trains(loss, kind, rows):
    y = labels(rows, kind)

    model = BackpropClassifier(loss=loss, learning_rate_init=0.03, max_iter=100, **SMALL)

    assert model.fit(rows, y).score(rows, y) > 0.93
    assert hasattr(model, "predict_proba") == ("hinge" not in str(loss))


@pytest.mark.parametrize(
    ("loss", "kind"), [("binary_crossentropy", "multiclass"), ("kl_divergence", "multilabel")]
)
def test_a_loss_of_another_kind_is_refused(loss, kind, rows):
    with pytest.raises(ValueError, match=f"loss='{loss}' is for"):
        BackpropClassifier(loss=loss).fit(rows, labels(rows, kind))


def test_the_absolute_error_finds_the_median_and_poissons_loss_the_mean(rng):
    x, y = np.zeros((99, 1)), rng.gamma(1.0, 50.0, 99).astype(float)
    settings = {"hidden_layer_sizes": (), "alpha": 0, "random_state": 0}

    median = BackpropRegressor(
        loss="absolute_error", max_iter=500, learning_rate_init=0.01, **settings
    ).fit(x, y)
    mean = BackpropRegressor(loss="poisson", solver="lbfgs", **settings).fit(x, y)

    np.testing.assert_allclose(median.predict(x[:1]), np.median(y), rtol=0.03)
    np.testing.assert_allclose(mean.predict(x[:1]), y.mean(), rtol=1e-4)


def test_several_quantities_of_any_size_are_learnt_at_once(rows):
    y = np.c_[1e6 + 1e3 * rows[:, 0], 1e-3 * rows[:, 1]]

    model = BackpropRegressor(solver="lbfgs", **SMALL).fit(rows, y)

    assert model.score(rows, y) > 0.999
    assert model.predict(rows).shape == (120, 2)


def test_a_linear_code_keeps_what_principal_components_keep(rng):
    x = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(80, 5))
    settings = {"hidden_layer_sizes": (), "alpha": 0, "max_iter": 500, "random_state": 0}
    coder = BackpropTransformer(n_components=2, solver="lbfgs", tol=1e-8, **settings)
    coder.fit(x)

    z = coder.scaling_.apply(x)
    pca = PCA(2).fit(z)
    lost = np.square(z - pca.inverse_transform(pca.transform(z))).mean()
    assert -coder.score(x) == pytest.approx(lost, rel=1e-3)
    back = coder.inverse_transform(coder.transform(x))
    assert np.square(coder.scaling_.apply(back) - z).mean() == pytest.approx(lost, rel=1e-3)


# --------------------------------------------------------------------- rows


@pytest.mark.parametrize("cls", ALL)
def test_sparse_rows_are_as_dense_ones(cls, rows):
    x = np.where(rows > 0.3, rows, 0)
    model = cls(max_iter=5, standardize=cls is BackpropTransformer, **SMALL)
    y = labels(rows, "multilabel")[:, 0]
    ask = "transform" if cls is BackpropTransformer else "predict"

    dense = clone(model).fit(x, y)
    sparse = clone(model).fit(scipy.sparse.csr_array(x), y)

    assert scipy.sparse.issparse(x) is False
    np.testing.assert_allclose(
        getattr(sparse, ask)(x), getattr(dense, ask)(x), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        getattr(dense, ask)(scipy.sparse.csc_matrix(x)), getattr(dense, ask)(x), atol=1e-12
    )


def test_sparse_columns_are_not_standardized(rows):
    x = scipy.sparse.csr_array(rows)

    assert BackpropClassifier(max_iter=2).fit(x, rows[:, 0] > 0).scaling_ is None


def test_class_weights_are_weights_of_rows(rows):
    y = labels(rows, "multiclass")
    settings = SMALL | {"max_iter": 10}
    w = np.where(y == 9, 5.0, 1.0)

    by_class = BackpropClassifier(class_weight={9: 5.0}, **settings).fit(rows, y)
    by_row = BackpropClassifier(**settings).fit(rows, y, sample_weight=w)
    both = BackpropClassifier(class_weight={9: 5.0}, **settings).fit(rows, y, 1 / w)
    none = BackpropClassifier(**settings).fit(rows, y)

    np.testing.assert_array_equal(by_class.coefs_[0], by_row.coefs_[0])
    np.testing.assert_allclose(both.coefs_[0], none.coefs_[0])
    assert not np.allclose(by_class.coefs_[0], none.coefs_[0])


def test_the_loss_is_a_mean_over_weights(rows):
    y, w = rows[:, 0] + rows[:, 1], np.arange(120.0)
    model = BackpropRegressor(solver="sgd", alpha=0, max_iter=3, **SMALL)

    one, ten = (clone(model).fit(rows, y, sample_weight=k * w) for k in (1, 10))

    np.testing.assert_allclose(one.coefs_[0], ten.coefs_[0])
    z = (y - np.average(y, weights=w)) / one.target_scaling_.scale
    still = clone(model).set_params(learning_rate_init=1e-12).fit(rows, y, sample_weight=w)
    found = (still.predict(rows) - np.average(y, weights=w)) / still.target_scaling_.scale
    assert still.loss_ == pytest.approx(np.average((found - z) ** 2, weights=w) / 2, rel=1e-6)


def test_columns_are_scaled_by_the_rows_that_are_trained_on(rows):
    x = np.c_[rows * [1, 10, 100, 1000] + 5, np.full(120, 0.1)]
    w = np.arange(120.0)

    scaling = Scaling(x, w)

    z = scaling.apply(x)
    np.testing.assert_allclose(np.average(z, 0, w), 0, atol=1e-12)
    np.testing.assert_allclose(np.average(z**2, 0, w)[:4], 1)
    np.testing.assert_allclose(z[:, 4], 0, atol=1e-15)  # a column that does not vary
    np.testing.assert_allclose(scaling.undo(z), x)
    assert scaling.apply(x.astype("float32")).dtype == np.float32


def test_columns_too_large_to_be_scaled_are_named():
    x = np.array([[1.0, 1e308], [2.0, -1e308]])

    with pytest.raises(ValueError, match="X cannot be standardized: the deviation of column 1"):
        BackpropRegressor().fit(x, [0.0, 1.0])
