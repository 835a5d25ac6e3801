"""Small tables, beside scikit-learn: `backprop train` with its defaults on the same rows.

    python benchmarks/tables.py [--seeds 8] [--tables iris diabetes]

Each seed draws a fifth of the rows to hold out, and decides both networks. Ours is the default of
the command line; scikit-learn's is `MLPClassifier` or `MLPRegressor` with its defaults, on columns
(and targets of a regression) of mean 0 and deviation 1. The tables are those that scikit-learn
ships, and one of 4,000 houses made up here. Of classes the wrong rows are counted, of quantities R2
is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import re
import tempfile
import warnings
from typing import Any

import numpy as np

from backprop import cli, tabular

Array = np.ndarray


def houses(n: int = 4_000) -> tuple[Array, Array]:
    """Prices that depend on income, rooms, age and the distance to two cities, with noise."""
    rng = np.random.default_rng(5)
    latitude = rng.uniform(32, 42, n)
    longitude = -124 + (42 - latitude) * 0.9 + rng.normal(0, 1.2, n)
    income, age, rooms = rng.gamma(4, 1, n), rng.uniform(1, 52, n), rng.gamma(9, 0.6, n)
    south = np.hypot(latitude - 34, longitude + 118)
    north = np.hypot(latitude - 37.8, longitude + 122.4)
    price = 0.45 * income + 1.6 * np.exp(-np.minimum(south, north)) + 0.004 * age
    price += 0.017 * rooms * np.minimum(income, 6) + rng.normal(0, 0.35, n)
    return np.c_[income, age, rooms, latitude, longitude], price


def load(name: str) -> tuple[Array, Array]:
    if name == "houses":
        return houses()
    from sklearn import datasets

    loaders: dict[str, Any] = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
    }
    return loaders[name](return_X_y=True)


CLASSES = ("iris", "wine", "cancer")
TABLES = (*CLASSES, "diabetes", "houses")


def ours(path: str, task: str, seed: int) -> float:
    """Wrong rows, or R2, as the command line prints it."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        arguments = ["train", path, "--target", "target", "--task", task, "--seed", str(seed)]
        arguments += ["--output", f"{path}.npz", "--quiet"]  # all that is written lies beside it
        assert cli.main(arguments) in (0, 1), printed.getvalue()
    pattern = r"\((\d+) of \d+ wrong\)" if task == "classification" else r"R2 (-?[\d.]+)"
    found = re.search(pattern, printed.getvalue())
    assert found is not None, printed.getvalue()
    return float(found[1])


def theirs(x: Array, y: Array, task: str, seed: int) -> float:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    classes = task == "classification"
    training, held_out = tabular.hold_out(y, 0.2, seed, classes=classes)
    x = (x - x[training].mean(0)) / x[training].std(0)
    if classes:
        model: Any = MLPClassifier(random_state=seed).fit(x[training], y[training])
        return float((model.predict(x[held_out]) != y[held_out]).sum())
    y = (y - y[training].mean()) / y[training].std()
    model = MLPRegressor(random_state=seed).fit(x[training], y[training])
    return model.score(x[held_out], y[held_out])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that scikit-learn has not converged after 200 epochs

    with tempfile.TemporaryDirectory() as folder:
        for name in options.tables:
            x, y = load(name)
            path = os.path.join(folder, f"{name}.csv")
            with open(path, "w", newline="") as file:
                head = [*(f"x{i}" for i in range(x.shape[1])), "target"]
                csv.writer(file).writerows([head, *np.c_[x, y].tolist()])
            task = "classification" if name in CLASSES else "regression"
            sides = {
                "backprop train": [ours(path, task, seed) for seed in range(options.seeds)],
                "scikit-learn": [theirs(x, y, task, seed) for seed in range(options.seeds)],
            }
            held = round(len(y) / 5)
            what = f"wrong of {held}" if name in CLASSES else f"R2 of {held} rows"
            for side, found in sides.items():
                each = " ".join(f"{value:.3g}" for value in found)
                print(f"{name:9} {what:16} {side:15} mean {np.mean(found):.3f}   {each}")


if __name__ == "__main__":
    main()
