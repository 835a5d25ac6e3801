"""What is drawn for the laws of our own regularizers, constraints, initializers, metrics and
optimizers: for each class of a registry some rows, arguments of `check_...`."""

import math

import numpy as np

from backprop import constraints, initializers, metrics, optimizers, regularizers
from backprop.testing.objects import MATRICES

# ----------------------------------------------------------------------------------- regularizers


def orthogonal(w):
    w = [row / max(math.hypot(*row), 1e-300) for row in w]
    pairs = [abs(sum(a * b for a, b in zip(u, v))) for i, u in enumerate(w) for v in w[:i]]  # noqa: B905
    return 0.5 * sum(pairs) / max(len(pairs), 1)


REGULARIZERS = {
    "L1": [{"regularizer": regularizers.L1(0.3), "reference": lambda w: 0.3 * np.abs(w).sum()}],
    "L2": [{"regularizer": regularizers.L2(0.3), "reference": lambda w: 0.3 * (w * w).sum()}],
    "L1L2": [
        {
            "regularizer": regularizers.L1L2(0.1, 0.2),
            "reference": lambda w: sum(0.1 * abs(v) + 0.2 * v * v for v in w.flat),
        },
        {"regularizer": regularizers.L1L2(l2=0.2), "reference": lambda w: 0.2 * (w * w).sum()},
    ],
    "OrthogonalRegularizer": [
        {
            "regularizer": regularizers.OrthogonalRegularizer(0.5),
            "reference": orthogonal,
            "shapes": MATRICES,
        },
        {
            "regularizer": regularizers.OrthogonalRegularizer(0.5, "columns"),
            "reference": lambda w: orthogonal(w.T),
            "shapes": MATRICES,
        },
    ],
}

# ------------------------------------------------------------------------------------ constraints


def norms(w, axis=0):
    return np.sqrt((w * w).sum(axis))


CONSTRAINTS = {
    "NonNeg": [
        {
            "constraint": constraints.NonNeg,
            "fits": lambda w: w >= 0,
            "reference": lambda w: np.where(w > 0, w, 0),
        }
    ],
    "MaxNorm": [
        {"constraint": constraints.MaxNorm(1.5), "fits": lambda w: norms(w) <= 1.5 + 1e-6},
        {
            "constraint": constraints.MaxNorm(1.5, axis=(0, 1)),
            "fits": lambda w: norms(w, (0, 1)) <= 1.5 + 1e-6,
            "shapes": [shape for shape in MATRICES if shape != (1, 1)],
        },
    ],
    "UnitNorm": [
        {"constraint": constraints.UnitNorm, "fits": lambda w: np.isclose(norms(w), 1, 1e-3)}
    ],
    "MinMaxNorm": [
        {
            "constraint": constraints.MinMaxNorm(0.5, 1.0),
            "fits": lambda w: (norms(w) >= 0.499) & (norms(w) <= 1 + 1e-6),
        },
        {"constraint": constraints.MinMaxNorm(0.5, 1.0, rate=0.3), "tags": ["gradual"]},
    ],
}

# ----------------------------------------------------------------------------------- initializers


def fans(shape):
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def spread(scale, which):
    """Standard deviation, and the limit of a uniform distribution that has it."""

    def std(shape):
        n, m = fans(shape)
        return math.sqrt(scale / {"in": n, "out": m, "both": (n + m) / 2}[which])

    return {"mean": 0.0, "std": std}


def within(said):
    std = said["std"]
    return said | {
        "low": lambda shape: -math.sqrt(3) * std(shape),
        "high": lambda shape: math.sqrt(3) * std(shape),
    }


def longest_side(shape):
    return math.sqrt(1 / max(math.prod(shape[:-1]), shape[-1]))


CONSTANT = {"tags": ["constant"]}
SMALL_MATRICES = [(4, 5), (1, 1), (0, 3), (3, 2)]
INITIALIZERS = {
    "Zeros": [{"initializer": initializers.Zeros, "mean": 0, "low": 0, "high": 0, **CONSTANT}],
    "Ones": [{"initializer": initializers.Ones, "low": 1, "high": 1, **CONSTANT}],
    "Constant": [{"initializer": initializers.Constant(0.5), "low": 0.5, "high": 0.5, **CONSTANT}],
    "Identity": [
        {
            "initializer": initializers.Identity(2.0),
            "reference": lambda shape, rng: 2 * np.eye(*shape),
            "small": SMALL_MATRICES,
            "shapes": [(30, 40)],
            **CONSTANT,
        }
    ],
    "STFT": [{"initializer": initializers.STFT(), "small": [(8, 1, 5), (4, 1, 3)], **CONSTANT}],
    "RandomNormal": [{"initializer": initializers.RandomNormal(0.5, 2.0), "mean": 0.5, "std": 2.0}],
    "RandomUniform": [
        {
            "initializer": initializers.RandomUniform(-1.0, 3.0),
            "mean": 1.0,
            "std": 4 / math.sqrt(12),
            "low": -1.0,
            "high": 3.0,
        }
    ],
    "TruncatedNormal": [
        {
            "initializer": initializers.TruncatedNormal(0.5, 2.0),
            "mean": 0.5,
            "std": 2 * initializers.draws.TRUNCATED_STDDEV,
            "low": -3.5,
            "high": 4.5,
        }
    ],
    "Orthogonal": [
        {
            "initializer": initializers.Orthogonal,
            "std": longest_side,
            "shapes": [(60, 40), (30, 50), (3, 3, 8, 20)],
            "small": [*SMALL_MATRICES[:2], (3, 2), (2, 3, 4)],
        }
    ],
    "VarianceScaling": [
        {"initializer": initializers.VarianceScaling(2.0, mode, distribution), **spread(2.0, of)}
        for mode, of in (("fan_in", "in"), ("fan_out", "out"), ("fan_avg", "both"))
        for distribution in ("uniform", "truncated_normal", "untruncated_normal")
    ],
    "GlorotUniform": [{"initializer": initializers.GlorotUniform, **within(spread(1, "both"))}],
    "GlorotNormal": [{"initializer": initializers.GlorotNormal, **spread(1, "both")}],
    "HeUniform": [{"initializer": initializers.HeUniform, **within(spread(2, "in"))}],
    "HeNormal": [{"initializer": initializers.HeNormal, **spread(2, "in")}],
    "LecunUniform": [{"initializer": initializers.LecunUniform, **within(spread(1, "in"))}],
    "LecunNormal": [{"initializer": initializers.LecunNormal, **spread(1, "in")}],
}

# ---------------------------------------------------------------------------------------- metrics


def numbers(rng, n):
    return rng.standard_normal((n, 3)), rng.standard_normal((n, 3))


def positive(rng, n):
    return rng.uniform(0.1, 3, (n, 3)), rng.uniform(0.1, 3, (n, 3))


def distributions(rng, n):
    t, p = rng.uniform(0.05, 1, (2, n, 3))
    return t / t.sum(-1, keepdims=True), p / p.sum(-1, keepdims=True)


def binary(rng, n):
    return rng.integers(0, 2, (n, 1)), rng.uniform(0.02, 0.98, (n, 1))


def signs(rng, n):
    return rng.choice([-1.0, 1.0], (n, 3)), rng.standard_normal((n, 3))


def one_hot(rng, n):
    _, p = distributions(rng, n)
    return np.eye(3)[rng.integers(0, 3, n)], p


def labels(rng, n):
    return rng.integers(0, 3, n), distributions(rng, n)[1]


def many_hot(rng, n):
    return rng.integers(0, 2, (n, 3)), rng.uniform(0.02, 0.98, (n, 3))


def classes(rng, n):
    return rng.integers(0, 3, n), rng.integers(0, 3, n)


def values(rng, n):
    return (rng.standard_normal(n),)


def mean(of, axis=None):
    return lambda t, p: float(np.mean([of(a, b) for a, b in zip(t, p, strict=True)]))


def squared(t, p):
    return float(np.mean((t - p) ** 2))


def row(metric, inputs=numbers, **options):
    return {"metric": metric, "inputs": inputs, **options}


M = metrics
THREE = {"num_classes": 3}
METRICS = {
    "Mean": [row(M.Mean, values, reference=np.mean)],
    "Sum": [row(M.Sum, values, reference=np.sum)],
    "MeanMetricWrapper": [row(M.MeanMetricWrapper("mean_squared_error"), reference=squared)],
    "MeanSquaredError": [row(M.MeanSquaredError, reference=squared)],
    "RootMeanSquaredError": [
        row(M.RootMeanSquaredError, reference=lambda t, p: math.sqrt(squared(t, p)))
    ],
    "MeanAbsoluteError": [
        row(M.MeanAbsoluteError, reference=lambda t, p: float(np.mean(np.abs(t - p))))
    ],
    "MeanAbsolutePercentageError": [row(M.MeanAbsolutePercentageError, positive)],
    "MeanSquaredLogarithmicError": [row(M.MeanSquaredLogarithmicError, positive)],
    "LogCoshError": [row(M.LogCoshError)],
    "CosineSimilarity": [row(M.CosineSimilarity)],
    "R2Score": [row(M.R2Score)],
    "ConcordanceCorrelation": [row(M.ConcordanceCorrelation)],
    "PearsonCorrelation": [row(M.PearsonCorrelation, tags=["undefined"])],
    "Poisson": [row(M.Poisson, positive)],
    "KLDivergence": [row(M.KLDivergence, distributions)],
    "BinaryCrossentropy": [row(M.BinaryCrossentropy, many_hot)],
    "CategoricalCrossentropy": [row(M.CategoricalCrossentropy, one_hot)],
    "SparseCategoricalCrossentropy": [
        row(
            M.SparseCategoricalCrossentropy,
            labels,
            reference=lambda t, p: float(np.mean([-math.log(q[k]) for k, q in zip(t, p)])),  # noqa: B905
        )
    ],
    "Hinge": [row(M.Hinge, signs)],
    "SquaredHinge": [row(M.SquaredHinge, signs)],
    "CategoricalHinge": [row(M.CategoricalHinge, one_hot)],
    "Accuracy": [row(M.Accuracy, classes, reference=lambda t, p: float(np.mean(t == p)))],
    "BinaryAccuracy": [
        row(M.BinaryAccuracy, binary, reference=lambda t, p: float(np.mean(t == (p > 0.5))))
    ],
    "CategoricalAccuracy": [row(M.CategoricalAccuracy, one_hot)],
    "SparseCategoricalAccuracy": [
        row(
            M.SparseCategoricalAccuracy,
            labels,
            reference=lambda t, p: float(np.mean(t == p.argmax(-1))),
        )
    ],
    "TopKCategoricalAccuracy": [row(M.TopKCategoricalAccuracy(2), one_hot)],
    "SparseTopKCategoricalAccuracy": [row(M.SparseTopKCategoricalAccuracy(2), labels)],
    "TruePositives": [row(M.TruePositives, binary)],
    "TrueNegatives": [row(M.TrueNegatives, binary)],
    "FalsePositives": [row(M.FalsePositives, binary)],
    "FalseNegatives": [row(M.FalseNegatives([0.3, 0.6]), binary)],
    "Precision": [row(M.Precision, binary), row(M.Precision(top_k=1), one_hot)],
    "Recall": [row(M.Recall, many_hot)],
    "F1Score": [row(M.F1Score, one_hot), row(M.F1Score(average="macro"), one_hot)],
    "FBetaScore": [row(M.FBetaScore(average="weighted", beta=2.0), one_hot)],
    "AUC": [row(M.AUC, binary), row(M.AUC(multi_label=True, num_labels=3), many_hot)],
    "PrecisionAtRecall": [row(M.PrecisionAtRecall(0.5), binary)],
    "RecallAtPrecision": [row(M.RecallAtPrecision(0.5), binary)],
    "SensitivityAtSpecificity": [row(M.SensitivityAtSpecificity(0.5), binary)],
    "SpecificityAtSensitivity": [row(M.SpecificityAtSensitivity(0.5), binary)],
    "ConfusionMatrix": [row(M.ConfusionMatrix(3), labels), row(M.ConfusionMatrix(3), classes)],
    "IoU": [row(M.IoU(3, target_class_ids=[0, 2]), classes)],
    "BinaryIoU": [row(M.BinaryIoU(), binary)],
    "MeanIoU": [row(M.MeanIoU(3), classes)],
    "OneHotIoU": [row(M.OneHotIoU(3, target_class_ids=[1]), one_hot)],
    "OneHotMeanIoU": [row(M.OneHotMeanIoU(3), one_hot)],
}

# ------------------------------------------------------------------------------------- optimizers


def sgd(momentum=0.0, nesterov=False):
    def steps(w, gradients, lr=0.05):
        v = 0
        for g in gradients:
            v = momentum * v - lr * g
            w = w + (momentum * v - lr * g if nesterov else v)
            yield w

    return steps


def adam(w, gradients, lr=0.02, b1=0.9, b2=0.999, decay=0.0):
    m = s = 0
    for t, g in enumerate(gradients, 1):
        w = w - lr * decay * w
        m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g * g
        rate = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
        w = w - rate * m / (np.sqrt(s) + 1e-7)
        yield w


def rmsprop(w, gradients, lr=0.02, rho=0.9):
    s = 0
    for g in gradients:
        s = rho * s + (1 - rho) * g * g
        w = w - lr * g / np.sqrt(s + 1e-7)
        yield w


def adagrad(w, gradients, lr=0.05):
    s = 0.1
    for g in gradients:
        s = s + g * g
        w = w - lr * g / np.sqrt(s + 1e-7)
        yield w


def adadelta(w, gradients, lr=1.0, rho=0.95):
    s = moved = 0
    for g in gradients:
        s = rho * s + (1 - rho) * g * g
        step = np.sqrt(moved + 1e-7) / np.sqrt(s + 1e-7) * g
        moved = rho * moved + (1 - rho) * step * step
        w = w - lr * step
        yield w


def adamax(w, gradients, lr=0.02, b1=0.9, b2=0.999):
    m = u = 0
    for t, g in enumerate(gradients, 1):
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g))
        w = w - lr / (1 - b1**t) * m / (u + 1e-7)
        yield w


def lion(w, gradients, lr=0.01, b1=0.9, b2=0.99):
    m = 0
    for g in gradients:
        w = w - lr * np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
        yield w


O = optimizers
OPTIMIZERS = {
    "SGD": [
        {"optimizer": O.SGD(0.05), "reference": sgd()},
        {"optimizer": O.SGD(0.05, momentum=0.8), "reference": sgd(0.8)},
        {"optimizer": O.SGD(0.05, momentum=0.8, nesterov=True), "reference": sgd(0.8, True)},
    ],
    "RMSprop": [
        {"optimizer": O.RMSprop(0.02), "reference": rmsprop},
        {"optimizer": O.RMSprop(0.02, momentum=0.5, centered=True)},
    ],
    "Adam": [{"optimizer": O.Adam(0.02), "reference": adam}, {"optimizer": O.Adam(amsgrad=True)}],
    "AdamW": [
        {
            "optimizer": O.AdamW(0.02, weight_decay=0.1),
            "reference": lambda w, gradients: adam(w, gradients, decay=0.1),
        }
    ],
    "Adagrad": [{"optimizer": O.Adagrad(0.05), "reference": adagrad}],
    "Adadelta": [{"optimizer": O.Adadelta(1.0), "reference": adadelta}],
    "Adamax": [{"optimizer": O.Adamax(0.02), "reference": adamax}],
    "Nadam": [{"optimizer": O.Nadam(0.02)}],
    "Lion": [{"optimizer": O.Lion(0.01), "reference": lion}],
    # what it has gathered, and not where it stands, decides where it goes
    "Ftrl": [{"optimizer": O.Ftrl(0.05), "tags": ["restless"]}],
    "Adafactor": [{"optimizer": O.Adafactor(0.05)}],
    "Lamb": [{"optimizer": O.Lamb(0.02)}],
    "LARS": [{"optimizer": O.LARS(0.05, trust_coefficient=0.2)}],
    "Muon": [{"optimizer": O.Muon(0.02, adam_weight_decay=0.0), "tags": ["own_decay"]}],
    "ScheduleFreeAdamW": [{"optimizer": O.ScheduleFreeAdamW(0.02), "tags": ["own_decay"]}],
}
TAKES_NO_STEPS = ["LBFGS"]  # all data at once

ALL = {
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
    "initializer": INITIALIZERS,
    "metric": METRICS,
    "optimizer": OPTIMIZERS,
}
