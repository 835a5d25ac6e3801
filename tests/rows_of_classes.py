"""Rows of features, and what may be said of them: targets of every kind."""

import numpy as np

KINDS = ("binary", "one class", "multiclass", "multilabel", "multioutput")


def features():
    """120 rows that are told apart by the signs of the first three columns."""
    return np.random.default_rng(0).normal(size=(120, 4))


def labels(x, kind):
    """Labels of a kind."""
    a, b, c = (x[:, i] > 0 for i in range(3))
    return {
        "binary": np.array(["no", "yes"])[a.astype(int)],
        "one class": np.zeros(len(x), int),
        "multiclass": np.array([3, 5, 9])[a.astype(int) + b],
        "multilabel": np.c_[a, b, c].astype(int),
        "multioutput": np.c_[np.array(["x", "y", "z"])[a.astype(int) + b], np.where(c, "u", "v")],
    }[kind]
