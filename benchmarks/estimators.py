"""Networks as estimators, beside scikit-learn's perceptrons, each with its defaults.

    python benchmarks/estimators.py [--seeds 5] [--tables iris digits] [--folds 4]

Each seed draws the folds of a cross-validation and decides both networks; every row is held out
once. The columns are as the tables have them, and once more with mean 0 and deviation 1 for both.
Of classes the accuracy is printed, of a quantity R2: means over the seeds and their range. A ratio
is scikit-learn's processor time of all fits over ours, both with one thread, in turns, fit by fit.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

from shared.machine import describe, limit_threads, unset_blas_limits

unset_blas_limits()
limit_threads(1)

import numpy as np  # noqa: E402 - the environment comes first
from sklearn import datasets  # noqa: E402
from sklearn.model_selection import KFold, StratifiedKFold  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from backprop.interop import BackpropClassifier, BackpropRegressor  # noqa: E402

TABLES: dict[str, Any] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
QUANTITIES = ("diabetes",)
Array = np.ndarray


def fit(cls: Any, x: Array, y: Array, seed: int) -> tuple[Any, float]:
    """A fitted estimator and the processor time that it took."""
    began = time.process_time()
    model = cls(random_state=seed).fit(x, y)
    return model, time.process_time() - began


def compare(name: str, scaled: bool, seeds: int, folds: int) -> None:
    x, y = TABLES[name](return_X_y=True)
    quantity = name in QUANTITIES
    split = KFold if quantity else StratifiedKFold
    ours, theirs = (
        (BackpropRegressor, MLPRegressor) if quantity else (BackpropClassifier, MLPClassifier)
    )
    scores: dict[Any, list[float]] = {ours: [], theirs: []}
    times = {ours: 0.0, theirs: 0.0}
    for seed in range(seeds):
        found: dict[Any, list[float]] = {ours: [], theirs: []}
        parts = split(folds, shuffle=True, random_state=seed).split(x, y)
        for i, (train, test) in enumerate(parts):
            a, b = x[train], x[test]
            if scaled:
                scaler = StandardScaler().fit(a)
                a, b = scaler.transform(a), scaler.transform(b)
            for cls in (ours, theirs) if i % 2 else (theirs, ours):
                model, took = fit(cls, a, y[train], seed)
                times[cls] += took
                found[cls].append(model.score(b, y[test]))
        for cls, values in found.items():
            scores[cls].append(float(np.mean(values)))
    columns = "scaled" if scaled else "as they are"
    told = "   ".join(
        f"{what} {np.mean(s):.4f} ({min(s):.3f} to {max(s):.3f})"
        for what, s in (("ours", scores[ours]), ("scikit-learn", scores[theirs]))
    )
    each = 1000 * times[ours] / (seeds * folds)
    ratio = times[theirs] / times[ours]
    print(f"{name:9} {columns:12} {told}   {each:.0f} ms a fit, ratio {ratio:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that a run has not converged after 200 epochs
    for key, value in describe(["scikit-learn"]).items():
        print(f"{key}: {value}")
    BackpropClassifier(max_iter=2).fit(np.eye(4), [0, 1, 0, 1])  # what is loaded once is not timed
    for name in options.tables:
        for scaled in (False, True):
            compare(name, scaled, options.seeds, options.folds)


if __name__ == "__main__":
    main()
