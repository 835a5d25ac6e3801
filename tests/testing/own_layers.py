"""How each of our layers and losses is put to the laws: what makes it, what it takes, what is known
about it.

A class may have several rows. A class of the registries without a row fails `test_own_layers.py`.
"""

import numpy as np
import reference
from hypothesis import strategies as st

from backprop import layers as L
from backprop import losses
from backprop.testing import (
    LAWS,
    arrays,
    images,
    paddings,
    pairs,
    sequences,
    shapes,
    strides,
    tokens,
)

FEATURES = shapes(min_dims=1, max_dims=3)
ROWS = shapes(min_dims=1, max_dims=1)
KINKED = {"tags": ["piecewise"]}
MEAN = {"reduction": ["sum_over_batch_size", "sum", "none", "mean_with_sample_weight"]}


def elementwise(make, f=None, **options):
    return {"layer": make, "inputs": FEATURES, "reference": f} | options


def overflows(why):
    return {"expected_failures": {"extreme_input_gives_finite_results": why}}


KINKS = "slopes_at_kinks_are_subgradients"
# at x = 0 the slope of PReLU, and of ReLU with options, is 0: that of the two rectifiers that they
# sum, as in Keras; so whether it lies between those on its sides depends on the case
BUT_FOR_KINKS = [law.__name__ for law in LAWS["v1"] if law.__name__ != KINKS]


def breaks_at_zero(why, make, shape):
    """A row that says that backward at 0 is not between the slopes on the two sides, and why."""
    return {
        "layer": make,
        "inputs": np.zeros(shape),
        "tags": ["piecewise"],
        "laws": [KINKS],
        "expected_failures": {KINKS: why},
    }


# -------------------------------------------------------------------------------- activations

ACTIVATIONS = {
    "Activation": [
        {
            "layer": L.Activation,
            "configs": {"activation": ["relu", "softmax", "tanh"]},
            "inputs": FEATURES,
            "tags": ["piecewise"],
        }
    ],
    "CELU": [elementwise(L.CELU, configs={"alpha": [0.5, 1.0, 2.0]})],
    "ELU": [elementwise(L.ELU, configs={"alpha": [0.5, 1.0, 2.0]}, **KINKED)],
    "Exponential": [elementwise(L.Exponential, np.exp, **overflows("exp(10,000) is too large"))],
    "GELU": [elementwise(L.GELU, configs={"approximate": [False, True]})],
    "GLU": [
        {"layer": L.GLU, "inputs": arrays(st.tuples(st.integers(1, 3), st.sampled_from([2, 4])))}
    ],
    "HardShrink": [elementwise(L.HardShrink, **KINKED)],
    "HardSiLU": [elementwise(L.HardSiLU, **KINKED)],
    "HardSigmoid": [elementwise(L.HardSigmoid, **KINKED)],
    "HardTanh": [elementwise(L.HardTanh, lambda x: np.clip(x, -1, 1), **KINKED)],
    "LeakyReLU": [elementwise(L.LeakyReLU, configs={"negative_slope": [0.1, 0.3]}, **KINKED)],
    "Linear": [elementwise(L.Linear, lambda x: x)],
    "LogSigmoid": [elementwise(L.LogSigmoid, lambda x: -np.log(1 + np.exp(-x)))],
    "LogSoftmax": [elementwise(L.LogSoftmax)],
    "Mish": [elementwise(L.Mish, lambda x: x * np.tanh(np.log(1 + np.exp(x))))],
    "PReLU": [
        elementwise(L.PReLU, **KINKED, laws=BUT_FOR_KINKS),
        {
            "layer": lambda axes: L.PReLU(shared_axes=axes, alpha_initializer="ones"),
            "configs": {"axes": [[1], [2], [1, 2]]},
            "inputs": shapes(3, 3),
            "tags": ["piecewise"],
            "laws": BUT_FOR_KINKS,
        },
    ],
    "ReLU": [
        elementwise(L.ReLU, lambda x: np.maximum(x, 0), **KINKED),
        elementwise(
            L.ReLU,
            configs={"max_value": [None, 1.5], "negative_slope": [0.25], "threshold": [0.0, 0.5]},
            **KINKED,
            laws=BUT_FOR_KINKS,
        ),
        elementwise(L.ReLU, configs={"max_value": [None, 1.5], "threshold": [0.0, 0.5]}, **KINKED),
    ],
    "ReLU6": [elementwise(L.ReLU6, lambda x: np.clip(x, 0, 6), **KINKED)],
    "SELU": [elementwise(L.SELU, **KINKED)],
    "SiLU": [elementwise(L.SiLU, lambda x: x / (1 + np.exp(-x)))],
    "Sigmoid": [elementwise(L.Sigmoid, reference.sigmoid)],
    "SoftShrink": [elementwise(L.SoftShrink, **KINKED)],
    "Softmax": [
        elementwise(L.Softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
        {
            "layer": L.Softmax,
            "configs": {"axis": [1, -1, (1, 2)]},
            "inputs": sequences(masked=True, allow_empty=True),
        },
    ],
    "Softplus": [elementwise(L.Softplus, lambda x: np.log(1 + np.exp(x)))],
    "Softsign": [elementwise(L.Softsign, lambda x: x / (1 + np.abs(x)))],
    "SparsePlus": [elementwise(L.SparsePlus)],
    "SparseSigmoid": [elementwise(L.SparseSigmoid, **KINKED)],
    "Sparsemax": [elementwise(L.Sparsemax, **KINKED)],
    "Squareplus": [elementwise(L.Squareplus, lambda x, b=4: (x + np.sqrt(x * x + b)) / 2)],
    "Tanh": [elementwise(L.Tanh, np.tanh)],
    "TanhShrink": [elementwise(L.TanhShrink, lambda x: x - np.tanh(x))],
    "Threshold": [elementwise(lambda: L.Threshold(0.5, 2.0), **KINKED)],
}

# -------------------------------------------------------------------------------- layers


def dense(x, kernel, bias=None):
    return reference.dense(x, kernel, np.zeros(kernel.shape[1]) if bias is None else bias)


def conv2d(x, layer, kernel, bias=None):
    bias = np.zeros(layer.filters) if bias is None else bias
    x = x if layer.data_format == "channels_last" else np.moveaxis(x, 1, -1)
    y = reference.conv2d(
        x, kernel, bias, layer.strides, layer.padding, layer.dilation_rate, layer.groups
    )
    return y if layer.data_format == "channels_last" else np.moveaxis(y, -1, 1)


def pooled_by(of_window):
    def pool(x, layer):
        x = x if layer.data_format == "channels_last" else np.moveaxis(x, 1, -1)
        y = reference.pool2d(x, layer.pool_size, layer.strides, layer.padding, of_window)
        return y if layer.data_format == "channels_last" else np.moveaxis(y, -1, 1)

    return pool


def windows(make, of_window, tags=()):
    configs = {
        "pool_size": [1, 2, 3, (2, 3)],
        "strides": st.none() | strides(dims=2),
        "padding": paddings(),
        "data_format": ["channels_last", "channels_first"],
    }
    return {
        "layer": make,
        "configs": configs,
        "inputs": lambda config: images(3, 6, (1, 2), data_format=config["data_format"]),
        "reference": pooled_by(of_window),
        "tags": tags,
    }


def recurrent(make, naive, **more):
    """A plain row with a naive loop to compare with, and one with every option."""
    options = {
        "units": [1, 2, 3],
        "return_sequences": [False, True],
        "go_backwards": [False, True],
        "use_bias": [False, True],
        "activation": ["tanh", "softsign"],
    }

    def loop(x, layer, kernel, recurrent_kernel, bias, mask):
        y = naive(x, kernel, recurrent_kernel, bias, mask, layer.go_backwards)
        return y if layer.return_sequences else y[:, -1]

    plain = {name: options[name] for name in ("units", "return_sequences", "go_backwards")}
    masked = sequences(steps=(1, 4), batch=(1, 3), masked=True, allow_empty=True)
    stateful = {"units": 2, "return_sequences": [False, True], "stateful": True}
    return [
        {"layer": make, "configs": plain, "inputs": masked, "reference": loop},
        {"layer": make, "configs": options | more, "inputs": masked},
        {
            "layer": make,
            "configs": {"units": 2, "dropout": [0.3], "recurrent_dropout": [0.0, 0.3]},
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stochastic"],
        },
        {
            "layer": make,
            "configs": stateful,
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stateful"],
        },
    ]


def batch_norm(x, layer, training, mask, moving_mean, moving_variance):
    """y, and what a pass leaves in the moving statistics, channel by channel."""
    mean, variance = moving_mean.copy(), moving_variance.copy()
    y = np.zeros(x.shape)
    real = np.ones(x.shape, bool) if mask is None else np.ones(x.shape, bool) & mask[:, :, None]
    for c in range(x.shape[layer.axis]):
        here = np.moveaxis(x, layer.axis, 0)[c]
        if training:
            numbers = here[np.moveaxis(real, layer.axis, 0)[c]]
            mu = sum(numbers) / max(len(numbers), 1)
            var = sum((v - mu) ** 2 for v in numbers) / max(len(numbers), 1)
            mean[c] += (1 - layer.momentum) * (mu - moving_mean[c])
            variance[c] += (1 - layer.momentum) * (var - moving_variance[c])
        else:
            mu, var = moving_mean[c], moving_variance[c]
        gamma = layer.gamma[c] if layer.scale else 1
        beta = layer.beta[c] if layer.center else 0
        out = gamma * (here - mu) / np.sqrt(var + layer.epsilon) + beta
        np.moveaxis(y, layer.axis, 0)[c] = out
    return y, {"moving_mean": mean, "moving_variance": variance}


def attention(x, layer, mask):
    weights = layer.get_weights()
    return reference.self_attention(x, *weights, mask, layer.use_causal_mask)


LAYERS = {
    "Dense": [
        {
            "layer": L.Dense,
            "configs": {"units": st.integers(1, 4), "use_bias": [True, False]},
            "inputs": FEATURES,
            "reference": dense,
        },
        {
            "layer": lambda activation: L.Dense(3, activation),
            "configs": {"activation": ["relu", "tanh", "softmax"]},
            "inputs": ROWS,
            "tags": ["piecewise"],
        },
    ],
    "Conv2D": [
        {
            "layer": lambda groups, filters, **config: L.Conv2D(
                groups * filters, groups=groups, **config
            ),
            "configs": {
                "groups": [1, 2],
                "filters": [1, 2],
                "kernel_size": [1, 2, 3, (2, 3), (3, 1)],
                "strides": strides(2, dims=2),
                "padding": paddings(),
                "use_bias": [True, False],
                "data_format": ["channels_last", "channels_first"],
            },
            "inputs": lambda config: images(
                3, 5, 2 * config["groups"], data_format=config["data_format"]
            ),
            "reference": conv2d,
        },
        {
            "layer": L.Conv2D,
            "configs": {
                "filters": [1, 2],
                "kernel_size": [2, (1, 2)],
                "dilation_rate": [2, (1, 2)],
                "padding": paddings(),
                "activation": ["tanh", "relu"],
            },
            "inputs": images(3, 5),
            "tags": ["piecewise"],
        },
    ],
    "MaxPooling2D": [windows(L.MaxPooling2D, max, tags=["piecewise"])],
    "AveragePooling2D": [windows(L.AveragePooling2D, lambda window: sum(window) / len(window))],
    "GlobalAveragePooling1D": [
        {
            "layer": L.GlobalAveragePooling1D,
            "configs": {"keepdims": [False, True]},
            "inputs": sequences(masked=True, allow_empty=True),
        },
        {
            "layer": L.GlobalAveragePooling1D,
            "configs": {"data_format": "channels_first"},
            "inputs": shapes(2, 2),
        },
    ],
    "GlobalAveragePooling2D": [
        {
            "layer": L.GlobalAveragePooling2D,
            "configs": {"keepdims": [False, True], "data_format": [None, "channels_first"]},
            "inputs": images(),
        }
    ],
    "GlobalMaxPooling2D": [
        {
            "layer": L.GlobalMaxPooling2D,
            "configs": {"keepdims": [False, True], "data_format": [None, "channels_first"]},
            "inputs": images(),
            "tags": ["piecewise"],
        }
    ],
    "BatchNormalization": [
        {
            "layer": L.BatchNormalization,
            "configs": {"center": [True, False], "scale": [True, False], "epsilon": [1e-3, 1e-5]},
            "inputs": FEATURES,
            "tags": ["couples_rows"],
            "reference": batch_norm,
        },
        {
            "layer": L.BatchNormalization,
            "configs": {"axis": [1, 2, -1], "momentum": [0.5, 0.99]},
            "inputs": sequences(masked=True, allow_empty=True, batch=(1, 4)),
            "tags": ["couples_rows"],
            "reference": batch_norm,
        },
    ],
    "LayerNormalization": [
        {
            "layer": L.LayerNormalization,
            "configs": {
                "center": [True, False],
                "scale": [True, False],
                "rms_scaling": [False, True],
            },
            "inputs": FEATURES,
        },
        {
            "layer": L.LayerNormalization,
            "configs": {"axis": [1, -1, (1, 2), [2, 1]], "epsilon": [1e-3, 1e-6]},
            "inputs": shapes(2, 3),
        },
        {
            "layer": L.LayerNormalization,
            "inputs": FEATURES,
            "reference": lambda x, layer, gamma, beta: reference.layer_norm(
                x, gamma, beta, layer.epsilon
            ),
        },
    ],
    "Dropout": [
        {
            "layer": L.Dropout,
            "configs": {"rate": [0.2, 0.5, 0.8], "seed": [None, 3]},
            "inputs": FEATURES,
            "tags": ["stochastic"],
        },
        {
            "layer": L.Dropout,
            "configs": {"rate": 0.5, "noise_shape": [(None, 1, None), (1, None, None)]},
            "inputs": shapes(2, 2),
            "tags": ["stochastic"],
        },
    ],
    "Embedding": [
        {
            "layer": L.Embedding,
            "configs": {"input_dim": 5, "output_dim": [1, 3], "mask_zero": [False, True]},
            "inputs": tokens(5, masked=True),
            "tags": ["integer_input"],
            "reference": lambda x, embeddings: np.array(
                [[embeddings[i] for i in row] for row in x]
            ),
        }
    ],
    "Masking": [
        {
            "layer": L.Masking,
            "configs": {"mask_value": [0.0, 0.5]},
            "inputs": sequences(features=(1, 2)),
            "tags": ["piecewise"],
            "laws": BUT_FOR_KINKS,
        },
        breaks_at_zero("what is replaced by 0 has no influence", L.Masking, (2, 3, 2)),
    ],
    "Flatten": [
        {
            "layer": L.Flatten,
            "configs": {"data_format": [None, "channels_first"]},
            "inputs": shapes(0, 3),
        }
    ],
    "Reshape": [
        {
            "layer": L.Reshape,
            "configs": {"target_shape": [(6,), (3, 2), (-1,), (2, -1), (1, 6, 1)]},
            "inputs": [(2, 6), (3, 2, 3), (1, 3, 2)],
        }
    ],
    "Permute": [
        {
            "layer": L.Permute,
            "configs": {"dims": [(1, 2), (2, 1)]},
            "inputs": shapes(2, 2),
            "reference": lambda x, dims: np.transpose(x, (0, *dims)),
        },
        {"layer": lambda: L.Permute((3, 1, 2)), "inputs": shapes(3, 3)},
    ],
    "RepeatVector": [
        {
            "layer": L.RepeatVector,
            "configs": {"n": st.integers(1, 3)},
            "inputs": ROWS,
            "reference": lambda x, n: np.stack([x] * n, 1),
        }
    ],
    "SimpleRNN": recurrent(L.SimpleRNN, reference.simple_rnn),
    "LSTM": recurrent(L.LSTM, reference.lstm),
    "GRU": recurrent(L.GRU, reference.gru, reset_after=[True, False]),
    "MultiHeadAttention": [
        {
            "layer": L.MultiHeadAttention,
            "configs": {
                "num_heads": [1, 2],
                "key_dim": [1, 2],
                "value_dim": [None, 1, 3],
                "output_shape": [None, 2],
                "use_causal_mask": [False, True],
            },
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": attention,
        },
        {
            "layer": lambda: L.MultiHeadAttention(2, 2, dropout=0.4, use_bias=False),
            "inputs": sequences(steps=(2, 4), masked=True),
            "tags": ["stochastic"],
        },
    ],
}

# -------------------------------------------------------------------------------- containers


def two_places():
    """One layer in two places: its gradient is the sum over both."""
    shared = L.Dense(3, "tanh")
    return L.Chain([L.Dense(3), shared, shared])


CONTAINERS = {
    "Chain": [
        {
            "layer": lambda: L.Chain([L.Dense(3, "tanh"), L.LayerNormalization(), L.Dense(2)]),
            "inputs": FEATURES,
        },
        {"layer": two_places, "inputs": ROWS},
        {
            "layer": lambda: L.Chain([L.Dense(2, activity_regularizer="l2"), L.ReLU(), L.Dense(1)]),
            "inputs": ROWS,
            "tags": ["piecewise"],
        },
        {
            "layer": lambda: L.Chain(
                [L.Masking(), L.LSTM(2, return_sequences=True), L.GlobalAveragePooling1D()]
            ),
            "inputs": sequences(steps=(1, 3)),
            "tags": ["piecewise"],
        },
        {
            "layer": lambda: L.Chain([L.Embedding(4, 2, mask_zero=True), L.GRU(2), L.Dropout(0.5)]),
            "inputs": tokens(4),
            "tags": ["integer_input", "stochastic"],
        },
        {
            "layer": lambda: L.Chain(
                [L.Conv2D(2, 2), L.BatchNormalization(), L.Flatten(), L.Dense(2)]
            ),
            "inputs": images(2, 4),
            "tags": ["couples_rows"],
        },
    ],
    "Residual": [
        {
            "layer": lambda activation: L.Residual(
                [L.Dense(3, "tanh"), L.Dense(2)], L.Dense(2), activation
            ),
            "configs": {"activation": [None, "relu"]},
            "inputs": FEATURES,
            "tags": ["piecewise"],
        },
        {"layer": lambda: L.Residual([L.LayerNormalization(), L.Tanh()]), "inputs": FEATURES},
    ],
    "Parallel": [
        {
            "layer": lambda join: L.Parallel(
                [L.Dense(2, "tanh"), [L.Dense(3), L.Dense(2)], L.Dense(2)], join
            ),
            "configs": {"join": ["concat", "add", "multiply", "average", "maximum"]},
            "inputs": FEATURES,
            "tags": ["piecewise"],
        },
        {"layer": lambda: L.Parallel([L.Dense(2), L.Dense(3)], axis=-1), "inputs": ROWS},
    ],
    "InputLayer": [
        {
            "layer": lambda: L.InputLayer((3,)),
            "inputs": arrays(st.tuples(st.integers(1, 3), st.just(3))),
            "reference": lambda x: x,
            "expected_failures": {
                "survives_copy_pickle_config_and_save": "a model of an Input alone has no layers"
            },
        }
    ],
}

# -------------------------------------------------------------------------------- losses


def loss(make, y_true="numbers", y_pred="numbers", *, shape=None, tags=(), configs=None):
    return {
        "layer": make,
        "configs": MEAN | (configs or {}),
        "inputs": pairs(y_true, y_pred, shape),
        "tags": tags,
    }


MATRICES = shapes(2, 2, min_side=2)
SMOOTH = {"label_smoothing": [0.0, 0.2]}


def along_axes(make, y_true, y_pred="numbers", **configs):
    """The same along another axis than the last, where masks would have other shapes."""
    configs = MEAN | {"axis": [-1, 1]} | configs
    return {
        "layer": make,
        "configs": configs,
        "inputs": pairs(y_true, y_pred, MATRICES, weighted=False),
    }


LOSSES = {
    "MeanSquaredError": [
        loss(losses.MeanSquaredError),
        {
            "layer": losses.MeanSquaredError,
            "inputs": pairs(weighted=False),
            "reference": lambda y_true, y_pred: np.mean((y_true - y_pred) ** 2),
        },
    ],
    "MeanAbsoluteError": [loss(losses.MeanAbsoluteError, tags=["piecewise"])],
    "MeanAbsolutePercentageError": [
        loss(losses.MeanAbsolutePercentageError, "positive", tags=["piecewise"])
    ],
    "MeanSquaredLogarithmicError": [
        loss(losses.MeanSquaredLogarithmicError, "positive", "positive")
    ],
    "Huber": [loss(losses.Huber, configs={"delta": [0.3, 1.0]})],
    "LogCosh": [loss(losses.LogCosh)],
    "CosineSimilarity": [
        # 10 million times steeper where a norm is below 1e-7
        loss(losses.CosineSimilarity, shape=shapes(1, 2, min_side=2), **KINKED),
        along_axes(losses.CosineSimilarity, "numbers") | KINKED,
    ],
    "BinaryCrossentropy": [
        loss(losses.BinaryCrossentropy, "binary", "probabilities", configs=SMOOTH),
        loss(losses.BinaryCrossentropy, "probabilities", configs={"from_logits": True} | SMOOTH),
        along_axes(losses.BinaryCrossentropy, "binary", "probabilities", **SMOOTH),
    ],
    "BinaryFocalCrossentropy": [
        loss(
            losses.BinaryFocalCrossentropy,
            "binary",
            "probabilities",
            configs={"gamma": [0.5, 2.0], "apply_class_balancing": [False, True]} | SMOOTH,
        ),
        loss(losses.BinaryFocalCrossentropy, "probabilities", configs={"from_logits": True}),
        along_axes(losses.BinaryFocalCrossentropy, "binary", "probabilities"),
    ],
    "CategoricalCrossentropy": [
        loss(
            losses.CategoricalCrossentropy,
            "one_hot",
            "distributions",
            configs={"label_smoothing": [0.0, 0.2]},
        ),
        loss(
            losses.CategoricalCrossentropy,
            "one_hot",
            configs={"from_logits": True, "label_smoothing": [0.0, 0.2]},
        ),
    ],
    "CategoricalFocalCrossentropy": [
        loss(
            losses.CategoricalFocalCrossentropy,
            "one_hot",
            "distributions",
            configs={"gamma": [0.5, 2.0]},
        ),
        loss(losses.CategoricalFocalCrossentropy, "one_hot", configs={"from_logits": True}),
    ],
    "SparseCategoricalCrossentropy": [
        loss(losses.SparseCategoricalCrossentropy, "labels", "distributions"),
        loss(
            losses.SparseCategoricalCrossentropy,
            "labels",
            configs={"from_logits": True, "ignore_class": [None, 0]},
        ),
    ],
    "CategoricalGeneralizedCrossEntropy": [
        loss(
            losses.CategoricalGeneralizedCrossEntropy,
            "labels",
            "distributions",
            configs={"q": [0.3, 0.7]},
        )
    ],
    "Hinge": [
        loss(losses.Hinge, "signs", tags=["piecewise"]),
        loss(losses.Hinge, "binary", tags=["piecewise"]),
    ],
    "SquaredHinge": [loss(losses.SquaredHinge, "signs")],
    "CategoricalHinge": [loss(losses.CategoricalHinge, "one_hot", tags=["piecewise"])],
    "KLDivergence": [loss(losses.KLDivergence, "probabilities", "distributions")],
    "Poisson": [loss(losses.Poisson, "positive", "positive")],
}

TABLE = ACTIVATIONS | LAYERS | CONTAINERS | LOSSES
