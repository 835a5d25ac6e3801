"""The numbers behind the pictures of classifiers are scikit-learn's."""

import numpy as np
import pytest

from backprop import diagnostics

peer = pytest.importorskip("sklearn.metrics")
calibration = pytest.importorskip("sklearn.calibration")
CASES = {
    "distinct scores": lambda rng: (rng.integers(0, 2, 200), rng.random(200)),
    "ties": lambda rng: (rng.integers(0, 2, 300), rng.integers(0, 12, 300) / 12),
    "float32": lambda rng: (rng.integers(0, 2, 99), rng.random(99).astype(np.float32)),
    "rare": lambda rng: (np.arange(400) % 100 == 3, rng.normal(size=400)),
    "two rows": lambda rng: ([1, 0], [0.5, 0.5]),
    "perfect": lambda rng: ([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9]),
    "hopeless": lambda rng: ([1, 1, 0], [0.1, 0.2, 0.3]),
    "a single threshold": lambda rng: ([1, 0, 1, 0], np.ones(4)),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param](np.random.default_rng(3))


@pytest.mark.parametrize("name", ["roc_curve", "precision_recall_curve"])
def test_curves_are_those_of_scikit_learn(name, case):
    ours, theirs = getattr(diagnostics, name)(*case), getattr(peer, name)(*case)

    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)


@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
def test_areas_are_those_of_scikit_learn(name, case):
    assert getattr(diagnostics, name)(*case) == pytest.approx(getattr(peer, name)(*case), rel=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n_bins", [1, 5, 17])
def test_calibration_is_that_of_scikit_learn(strategy, n_bins):
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 300), np.append(rng.random(297), [0.0, 1.0, 0.2])

    ours = diagnostics.calibration_curve(y, p, n_bins=n_bins, strategy=strategy)
    theirs = calibration.calibration_curve(y, p, n_bins=n_bins, strategy=strategy)

    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_confusion_matrix_is_that_of_scikit_learn(normalize, classes):
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, classes, 100), rng.integers(0, classes, 100)

    ours = diagnostics.confusion_matrix(y, p, normalize=normalize)

    np.testing.assert_allclose(ours, peer.confusion_matrix(y, p, normalize=normalize), rtol=1e-12)


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        ([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]),
        ([[1, 0], [0, 1], [0, 1]], [0, 1, 0]),
        ([0.0, 1.0, 1.0], [0.1, 0.7, 0.5]),
        ([[0], [1], [1]], [[0.1], [0.7], [0.5]]),
        (np.array([0, 1, 1], np.uint8), np.array([False, True, False])),
    ],
)
def test_classes_come_as_numbers_one_hot_rows_or_probabilities(y_true, y_pred):
    assert diagnostics.confusion_matrix(y_true, y_pred).tolist() == [[1, 0], [1, 1]]


def test_a_single_class_has_a_matrix():
    assert diagnostics.confusion_matrix([0, 0], [0, 0]).tolist() == [[2]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda d: d.confusion_matrix([0, 3], [0, 1], n_classes=3),
            "row 1 of y_true is of class 3",
        ),
        (
            lambda d: d.confusion_matrix([0, 1], [7, 1], n_classes=3),
            "row 0 of y_pred is of class 7",
        ),
        (lambda d: d.confusion_matrix([0, 1], [0]), "got 1 and 2"),
        (lambda d: d.confusion_matrix([0, -1], [0, 1]), "class numbers 0, 1, ..., got -1"),
        (lambda d: d.confusion_matrix([0, 0.5], [0, 1]), "got 0.5"),
        (lambda d: d.confusion_matrix(["a", "b"], [0, 1]), "return_inverse"),
        (lambda d: d.confusion_matrix([0, 1], ["a", "b"]), "y_pred to be class numbers"),
        (lambda d: d.confusion_matrix([0, 1], [0.5, 1.5]), "from 0.5 to 1.5"),
        (lambda d: d.confusion_matrix([[1, 1]], [0]), "one-hot rows"),
        (lambda d: d.confusion_matrix([], []), r"got \(0,\)"),
        (lambda d: d.confusion_matrix([0], [0], normalize="rows"), "normalize to be one of"),
        (lambda d: d.roc_curve([1, 1], [0.1, 0.2]), "rows of class 1 and of class 0.*all 2 are"),
        (lambda d: d.precision_recall_curve([0, 0], [0.1, 0.2]), "has rows of class 1, and all 2"),
        (lambda d: d.roc_curve([0, 1], [0.1, np.nan]), "finite: row 1 is nan"),
        (lambda d: d.roc_curve([0, 2], [0.1, 0.3]), "knows 2 classes, 0 to 1, and row 1"),
        (lambda d: d.roc_curve([0, 1], [[0.1, 0.2], [0.3, 0.4]]), "one against the rest"),
        (lambda d: d.roc_curve([0, 1], ["a", "b"]), "y_score to be numbers"),
        (lambda d: d.calibration_curve([0, 1], [0.1, 1.2]), "from 0.1 to 1.2; of logits take"),
        (lambda d: d.calibration_curve([0, 1], [0.1, 0.2], n_bins=0), "n_bins"),
        (lambda d: d.calibration_curve([0, 1], [0.1, 0.2], strategy="even"), "strategy"),
    ],
)
def test_what_does_not_fit_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call(diagnostics)
