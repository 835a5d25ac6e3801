"""How each of our layers and losses is put to the laws: what makes it, what it takes, what is known
about it.

A class may have several rows. A class of the registries without a row fails `test_own_layers.py`.
"""

import numpy as np
import reference
from convolution_cases import naive as naive_convolution, rows as convolution
from hypothesis import strategies as st
from laws_of_colours import COLOURS

from backprop import layers as L, losses
from backprop.testing import (
    LAWS,
    arrays,
    axes,
    images,
    label_sequences,
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
BUT_FOR_KINKS = [law.__name__ for law in LAWS["v4"] if law.__name__ != KINKS]


def breaks_at_zero(why, make, shape):
    """A row that says that backward at 0 is not between the slopes on the two sides, and why."""
    return {
        "layer": make,
        "inputs": np.zeros(shape),
        "tags": ["piecewise"],
        "laws": [KINKS],
        "expected_failures": {KINKS: why},
    }


BOUNDARIES = [-0.5, 0.25, 1.0]


def rows_by_hand(x, num_tokens, output_mode):
    """Rows of 0 and 1, or of counts, for integers."""
    if output_mode == "int":
        return x
    ones = np.array([[float(k == i) for k in range(num_tokens)] for i in x.ravel()])
    ones = ones.reshape(*x.shape, num_tokens)
    if output_mode == "one_hot":
        return ones[..., 0, :] if x.ndim > 1 and x.shape[-1] == 1 else ones
    return ones.sum(-2) if output_mode == "count" else ones.max(-2)


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


def channels_last(x, layer, naive):
    """What a naive version that knows channels-last alone makes of x, in the layer's format."""
    if layer.data_format == "channels_last":
        return naive(x)
    return np.moveaxis(naive(np.moveaxis(x, 1, -1)), -1, 1)


def average(window):
    return sum(window) / len(window)


def cubes(config, dims, min_side, max_side):
    """Sequences, images or volumes."""
    if dims == 2:
        return images(min_side, max_side, (1, 2), data_format=config.get("data_format"))
    return shapes(dims + 1, dims + 1, min_side=min_side, max_side=max_side, batch=(1, 2))


def windows(make, of_window, dims, tags=()):
    def pooled(x, layer):
        def naive(x):
            options = layer.pool_size, layer.strides, layer.padding
            return reference.pool(x, reference.sliding(x.shape[1:-1], *options), of_window)

        return channels_last(x, layer, naive)

    configs = {
        "pool_size": {1: [1, 2, 3], 2: [1, 2, 3, (2, 3)], 3: [1, 2, (1, 2, 2)]}[dims],
        "strides": st.none() | strides(dims=dims),
        "padding": paddings(),
        "data_format": ["channels_last", "channels_first"],
    }
    least, most = {1: (3, 6), 2: (3, 6), 3: (2, 3)}[dims]
    return {
        "layer": make,
        "configs": configs,
        "inputs": lambda config: cubes(config, dims, least, most),
        "reference": pooled,
        "tags": tags,
    }


def masked(make, by, configs=None, least=3, **options):
    """A row of sequences with padding; `by(x, mask, layer)` is the naive version."""

    def naive(x, mask, layer):
        return by(x, np.ones(x.shape[:2], bool) if mask is None else mask, layer)

    return {
        "layer": make,
        "configs": configs or {},
        "inputs": sequences(steps=(least, least + 3), batch=(1, 3), masked=True, allow_empty=True),
        "reference": naive,
    } | options


def masked_windows(make, of_window, **options):
    """With windows that lie at the same places whatever the length of the sequence is."""

    def by(x, mask, layer):
        around = layer.pool_size, layer.strides, layer.padding
        x, mask = (reference.moved_forward(a, mask, *layer.strides) for a in (x, mask))
        return reference.pool_real(x, mask, reference.sliding(x.shape[1:2], *around)[0], of_window)

    valid = {"pool_size": [1, 2, 3], "strides": [None, 1, 2], "padding": "valid"}
    same = {"pool_size": [1, 2], "strides": [None, 1], "padding": "same"}
    return [masked(make, by, configs, **options) for configs in (valid, same)]


def masked_places(make, of_window, **options):
    def by(x, mask, layer):
        return reference.pool_real(x, mask, [range(x.shape[1])], of_window)[:, 0]

    return masked(make, by, least=1, **options)


def masked_convolution(name, **configs):
    """Convolutions of which masked steps are zeros."""

    def by(x, mask, layer):
        x = np.where(mask[:, :, None], x, 0)
        stride = 1 if name.endswith("Transpose") else layer.strides[0]
        return naive_convolution(reference.moved_forward(x, mask, stride), layer)

    layer, size = getattr(L, name), {"kernel_size": [1, 2, 3]}
    return [
        masked(layer, by, size | {"padding": list(layer.paddings)} | configs),
        masked(layer, by, size | {"strides": [2, 3]} | configs),
    ]


def adaptive(make, of_window, dims, tags=()):
    def pooled(x, layer):
        def naive(x):
            places = reference.adaptive(x.shape[1:-1], layer.output_size)
            return reference.pool(x, places, of_window)

        return channels_last(x, layer, naive)

    configs = {
        "output_size": [1, 2, 3, 4] if dims < 3 else [1, 2, (1, 2, 3)],
        "data_format": ["channels_last", "channels_first"],
    }
    return {
        "layer": make,
        "configs": configs,
        "inputs": lambda config: cubes(config, dims, 1, 5 if dims < 3 else 3),
        "reference": pooled,
        "tags": tags,
    }


def all_places(make, of_window, dims, tags=()):
    def pooled(x, layer):
        def naive(x):
            places = [[range(n)] for n in x.shape[1:-1]]
            return reference.pool(x, places, of_window)

        y = channels_last(x, layer, naive)
        return y if layer.keepdims else y.reshape(len(y), -1)

    return {
        "layer": make,
        "configs": {"keepdims": [False, True], "data_format": [None, "channels_first"]},
        "inputs": lambda config: cubes(config, dims, 1, 4 if dims < 3 else 3),
        "reference": pooled,
        "tags": tags,
    }


def resized(make, naive, argument, attribute, dims, values, least=1):
    configs = {argument: values}
    if make not in (L.Cropping1D, L.UpSampling1D):
        configs["data_format"] = ["channels_last", "channels_first"]
    return {
        "layer": make,
        "configs": configs,
        "inputs": lambda config: cubes(config, dims, least, least + (2 if dims < 3 else 1)),
        "reference": lambda x, layer: channels_last(
            x, layer, lambda x: naive(x, getattr(layer, attribute))
        ),
    }


PADDINGS = {
    1: [0, 1, (1, 2), (2, 0)],
    2: [1, (0, 2), ((1, 0), (2, 1))],
    3: [1, (0, 1, 2), ((1, 0), (0, 0), (2, 1))],
}
SIZES = {1: [1, 2, 3], 2: [1, 2, (2, 3)], 3: [2, (1, 2, 3)]}
STATE = shapes(1, 1, min_side=2, max_side=2)


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
    ends = plain | {"units": 2, "return_state": True}

    def ending(x, states, layer, kernel, recurrent_kernel, bias, mask):
        states = [state.copy() for state in states]
        mask = None if mask is None else mask[0]
        y = naive(x, kernel, recurrent_kernel, bias, mask, layer.go_backwards, states)
        return (y if layer.return_sequences else y[:, -1], *states)

    def from_one(x, h, layer, kernel, recurrent_kernel, bias, mask):
        return ending(x, [h], layer, kernel, recurrent_kernel, bias, mask)

    def from_two(x, h, c, layer, kernel, recurrent_kernel, bias, mask):
        return ending(x, [h, c], layer, kernel, recurrent_kernel, bias, mask)

    return [
        {
            "layer": make,
            "configs": ends,
            "inputs": (masked, *[STATE] * make.state_count),
            "reference": from_one if make.state_count == 1 else from_two,
        },
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


def cell(make, count, **more):
    """A row with a step's options, and one with dropout."""
    inputs = (ROWS, *[STATE] * count)
    return [
        {"layer": make, "configs": {"use_bias": [False, True]} | more, "inputs": inputs},
        {
            "layer": make,
            "configs": {"dropout": [0.3], "recurrent_dropout": [0.0, 0.3]} | more,
            "inputs": inputs,
            "tags": ["stochastic"],
        },
    ]


def with_steps_of(axes):
    """x: (N, T, sizes ..., C) of so many axes, and a mask or None."""
    shape = st.tuples(st.integers(1, 2), st.integers(1, 3), *[st.integers(2, 3)] * axes)
    return shape.flatmap(
        lambda s: st.tuples(
            arrays((*s, 2)), st.none() | arrays(s[:2]).map(lambda numbers: numbers > 0)
        )
    )


def films(x, layer, kernel, recurrent_kernel, bias, mask):
    y = reference.conv_lstm(x, kernel, recurrent_kernel, bias, layer, mask)
    return y if layer.return_sequences else y[:, -1]


def conv_lstm(make, axes):
    """A row with a naive loop to compare with, and one with dropout and states that are kept."""
    options = {
        "filters": [1, 2],
        "kernel_size": [1, 2],
        "padding": ["valid", "same"],
        "return_sequences": [False, True],
        "go_backwards": [False, True],
    }
    return [
        {
            "layer": make,
            "configs": options,
            "inputs": with_steps_of(axes),
            "reference": films,
        },
        {
            "layer": make,
            "configs": {
                "filters": 2,
                "kernel_size": 2,
                "strides": [1, 2],
                "activation": ["tanh", "softsign"],
                "use_bias": [False, True],
                "data_format": [None, "channels_first"],
                "return_sequences": [False, True],
                "padding": "same",
            },
            "inputs": with_steps_of(axes),
        },
        {
            "layer": make,
            "configs": {"filters": 1, "kernel_size": 2, "dropout": 0.3, "recurrent_dropout": 0.3},
            "inputs": with_steps_of(axes).map(lambda case: case[0]),
            "tags": ["stochastic"],
        },
        {
            "layer": make,
            "configs": {"filters": 1, "kernel_size": 2, "stateful": True},
            "inputs": with_steps_of(axes).map(lambda case: case[0]),
            "tags": ["stateful"],
        },
    ]


def both_directions(x, layer, mask):
    forward, backward = (part.weights for part in (layer.forward_layer, layer.backward_layer))
    f, b = reference.bidirectional(
        reference.gru, x, forward, backward, mask, layer.return_sequences
    )
    if layer.merge_mode == "concat":
        return np.concatenate([f, b], axis=-1)
    return {"sum": f + b, "ave": (f + b) / 2, "mul": f * b}[layer.merge_mode]


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
            if len(numbers):
                mean[c] += (1 - layer.momentum) * (mu - moving_mean[c])
                variance[c] += (1 - layer.momentum) * (var - moving_variance[c])
        else:
            mu, var = moving_mean[c], moving_variance[c]
        gamma = layer.gamma[c] if layer.scale else 1
        beta = layer.beta[c] if layer.center else 0
        out = gamma * (here - mu) / np.sqrt(var + layer.epsilon) + beta
        np.moveaxis(y, layer.axis, 0)[c] = out
    return y, {"moving_mean": mean, "moving_variance": variance}


def group_norm(x, layer, gamma=None, beta=None):
    x = np.moveaxis(x, layer.axis, -1)
    n = x.shape[-1]
    gamma = np.ones(n) if gamma is None else gamma
    beta = np.zeros(n) if beta is None else beta
    groups = n if layer.groups == -1 else layer.groups
    y = reference.group_norm(x, gamma, beta, layer.epsilon, groups)
    return np.moveaxis(y, -1, layer.axis)


def layer_norm_along_time(x, mask, layer):
    xhat = reference.norm_along_time(x, mask, layer.axis, layer.epsilon, True, layer.rms_scaling)
    return xhat * layer.gamma.reshape(layer.shape)


def rms_along_time(x, mask, layer, scale):
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    xhat = reference.norm_along_time(x, mask, layer.axis, layer.epsilon, False, True)
    return xhat * scale.reshape(layer.shape)


def spectral(x, layer, training, kernel, bias, vector_u):
    """A dense layer of which the kernel is divided by its norm, and u as it is left behind."""
    u = vector_u[0] / np.linalg.norm(vector_u)
    if training:
        sigma, u = reference.power_iteration(kernel, u, layer.power_iterations)
        vector_u = u[None]
    else:
        sigma = np.linalg.norm(kernel @ u)
    return np.tanh(reference.dense(x, kernel / sigma, bias)), {"vector_u": vector_u}


def shared_noise(x, layer, training):
    """Dropout of whole channels, one at a time."""
    if not training:
        return x
    first = getattr(layer, "data_format", None) == "channels_first"
    y = np.moveaxis(x, 1, -1).copy() if first else x.copy()
    kept = layer.rng.random((len(y), y.shape[-1]), np.float32)
    for n, c in np.ndindex(kept.shape):
        y[n, ..., c] *= 0 if kept[n, c] < layer.rate else 1 / (1 - layer.rate)
    return np.moveaxis(y, -1, 1) if first else y


def alpha_dropout(x, layer, training):
    if not training:
        return x
    s, rate = -1.0507009873554805 * 1.6732632423543772, layer.rate
    a = 1 / np.sqrt((1 - rate) * (1 + rate * s**2))
    kept = layer.rng.random(x.shape, np.float32) >= rate
    return a * np.where(kept, x, s) - a * s * rate


def noisy(by):
    """`by(x, e, layer)` for normal e, in training."""

    def noise(x, layer, training):
        if not training:
            return x
        return by(x, layer.rng.standard_normal(x.shape, np.float32).astype(x.dtype), layer)

    return noise


def with_channels_last(naive):
    """A reference for images that have their channels at the end; in inference y = x."""

    def change(x, layer, training):
        if not training:
            return x
        if getattr(layer, "data_format", "channels_last") == "channels_last":
            return naive(x, layer)
        return np.moveaxis(naive(np.moveaxis(x, 1, -1), layer), -1, 1)

    return change


def flip(x, layer):
    y = x.copy()
    for n, draw in enumerate(layer.rng.random(len(x))):
        for i, j in np.ndindex(x.shape[1:3]):
            p = x.shape[1] - 1 - i if "vertical" in layer.mode else i
            q = x.shape[2] - 1 - j if "horizontal" in layer.mode else j
            y[n, i, j] = x[n, p, q] if draw <= 0.5 else x[n, i, j]
    return y


def translation(x, layer):
    v = layer.rng.uniform(*layer.height_factor, len(x)) * x.shape[1]
    h = layer.rng.uniform(*layer.width_factor, len(x)) * x.shape[2]
    return reference.moved(x, lambda n, i, j: (i - v[n], j - h[n]), layer)


def rotation(x, layer):
    t = layer.rng.uniform(*layer.factor, len(x)) * 2 * np.pi
    ci, cj = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2

    def place(n, i, j):
        i, j, cos, sin = i - ci, j - cj, np.cos(t[n]), np.sin(t[n])
        return ci + i * cos + j * sin, cj + j * cos - i * sin

    return reference.moved(x, place, layer)


def zoom(x, layer):
    v = 1 + layer.rng.uniform(*layer.height_factor, len(x))
    h = v if layer.width_factor is None else 1 + layer.rng.uniform(*layer.width_factor, len(x))
    ci, cj = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2
    return reference.moved(x, lambda n, i, j: (ci + v[n] * (i - ci), cj + h[n] * (j - cj)), layer)


def shear(x, layer):
    sign = [-1 if r > 0.5 else 1 for r in layer.rng.random(len(x))]
    v = layer.rng.uniform(*layer.y_factor, len(x)) * sign
    h = layer.rng.uniform(*layer.x_factor, len(x)) * sign
    return reference.moved(x, lambda n, i, j: (i + v[n] * j, j + h[n] * i), layer)


def some(layer, n):
    thresholds = layer.rng.random(n)
    return [t < p for t, p in zip(thresholds, layer.rng.uniform(*layer.factor, n), strict=True)]


class Seen:
    """What the naive loop of a perspective wants to know of it."""

    def __init__(self, layer):
        self.interpolation, self.fill_value = layer.interpolation, layer.fill_value
        self.fill_mode = "constant"


def perspective(x, layer):
    """The homography as the null space of its equations, with pixels and not shares of them."""
    changed = some(layer, len(x))
    moves = layer.rng.uniform(-layer.scale / 2, layer.scale / 2, (len(x), 4, 2))
    y = x.copy()
    for n in np.flatnonzero(changed):
        rows = []
        h, w = max(x.shape[1] - 1, 1), max(x.shape[2] - 1, 1)
        for (p, q), (u, v) in zip([(0, 0), (0, w), (h, 0), (h, w)], moves[n], strict=True):
            i, j = p * (1 + u), q * (1 + v)
            rows.append([i, j, 1, 0, 0, 0, -p * i, -p * j, -p])
            rows.append([0, 0, 0, i, j, 1, -q * i, -q * j, -q])
        m = np.linalg.svd(np.array(rows, np.float64))[2][-1].reshape(3, 3)

        def place(_, i, j, m=m):
            a, b, c = m @ [i, j, 1]
            return np.clip([a / c, b / c], -20, 20)

        y[n] = reference.moved(x[n : n + 1], place, Seen(layer))[0]
    return y


def blurred(noise, sigma):
    """Sums over a square of 6 sigma by 6 sigma pixels, with the weights of a Gaussian."""
    y, reach = np.zeros(noise.shape), int(6 * sigma) // 2
    steps = range(-reach, reach + 1)
    total = sum(np.exp(-(s * s) / (2 * sigma**2)) for s in steps) ** 2
    for i, j in np.ndindex(noise.shape):
        for p in steps:
            for q in steps:
                if 0 <= i + p < noise.shape[0] and 0 <= j + q < noise.shape[1]:
                    weight = np.exp(-(p * p + q * q) / (2 * sigma**2)) / total
                    y[i, j] += weight * noise[i + p, j + q]
    return y


def elastic(x, layer):
    changed = some(layer, len(x))
    s = layer.rng.uniform(*layer.scale)
    noise = layer.rng.normal(size=(len(x), 2, *x.shape[1:3]))
    alpha, sigma = 0.1 * s * max(x.shape[1:3]), 0.05 * s * min(x.shape[1:3])
    y = x.copy()
    for n in np.flatnonzero(changed):
        u, v = [alpha * blurred(sigma * part, sigma) for part in noise[n]]

        def place(_, i, j, u=u, v=v):
            return i + u[i, j], j + v[i, j]

        y[n] = reference.moved(x[n : n + 1], place, layer)[0]
    low, high = layer.value_range
    return np.minimum(np.maximum(y, low), high)


def erasing(x, layer):
    (h, w), y = x.shape[1:3], x.copy()
    lengths = np.sqrt(layer.rng.uniform(*layer.scale, (len(x), 2))) * (h, w)
    starts = layer.rng.random((len(x), 2)) * ((h, w) - lengths)
    for n in np.flatnonzero(some(layer, len(x))):
        for i, j in np.ndindex(h, w):
            end = starts[n] + lengths[n]
            if starts[n, 0] <= i < end[0] and starts[n, 1] <= j < end[1]:
                y[n, i, j] = np.clip(layer.fill_value, *layer.value_range)
    return y


def resizing(x, layer):
    y = []
    for image in x:
        h, w = image.shape[:2]
        window, fill = (0, 0, h, w), layer.fill_value
        if layer.crop_to_aspect_ratio:
            window = reference.in_the_middle(image, layer.height, layer.width)
        if layer.pad_to_aspect_ratio:
            above = (max(h, w * layer.height // layer.width) - h) // 2
            beside = (max(w, h * layer.width // layer.height) - w) // 2
            window = (-above, -beside, h + 2 * above, w + 2 * beside)
        part = reference.framed(image, *window, fill)
        size = layer.height, layer.width, layer.interpolation, layer.antialias
        y.append(reference.sized(part, *size))
    return np.array(y)


def centre(x, layer):
    (h, w), wanted = x.shape[1:3], (layer.height, layer.width)
    if h < wanted[0] or w < wanted[1]:
        return resized_in_the_middle(x, layer)
    top, left = (h - wanted[0]) // 2, (w - wanted[1]) // 2
    return np.array([reference.framed(image, top, left, *wanted) for image in x])


def resized_in_the_middle(x, layer):
    windows = [reference.in_the_middle(image, layer.height, layer.width) for image in x]
    parts = [reference.framed(image, *window) for image, window in zip(x, windows, strict=True)]
    return np.array([reference.sized(part, layer.height, layer.width) for part in parts])


def crop(x, layer):
    (h, w), wanted = x.shape[1:3], (layer.height, layer.width)
    if h > wanted[0] and w > wanted[1]:
        top = layer.rng.integers(h - wanted[0] + 1)
        left = layer.rng.integers(w - wanted[1] + 1)
        return np.array([reference.framed(image, top, left, *wanted) for image in x])
    top, left = reference.in_the_middle(x[0], *wanted)[:2]
    parts = x[:, top : top + wanted[0], left : left + wanted[1]]
    return np.array([reference.sized(part, *wanted) for part in parts])


def as_large(naive, inference=None):
    """A reference for images that get another size; in inference too."""

    def change(x, layer, training):
        made = naive if training or inference is None else inference
        if getattr(layer, "data_format", "channels_last") == "channels_last":
            return made(x, layer)
        return np.moveaxis(made(np.moveaxis(x, 1, -1), layer), -1, 1)

    return change


def contrast(x, layer):
    y = np.zeros(x.shape)
    factors = layer.rng.uniform(1 - layer.factor[0], 1 + layer.factor[1], len(x))
    for n, c in np.ndindex(len(x), x.shape[-1]):
        mean = sum(x[n, :, :, c].ravel()) / x[n, :, :, c].size
        for i, j in np.ndindex(x.shape[1:3]):
            v = (x[n, i, j, c] - mean) * factors[n] + mean
            y[n, i, j, c] = min(max(v, layer.value_range[0]), layer.value_range[1])
    return y


def brightness(x, layer):
    low, high = layer.value_range
    added = layer.rng.uniform(*layer.factor, len(x)) * (high - low)
    return np.array(
        [np.minimum(np.maximum(v + b, low), high) for v, b in zip(x, added, strict=True)]
    )


def augmented(make, naive, tags=(), **configs):
    return {
        "layer": make,
        "configs": configs,
        "inputs": lambda config: images(
            4, 5, data_format=config.get("data_format", "channels_last"), kinds=("generic",)
        ),
        "tags": ["stochastic", *tags],
        "reference": with_channels_last(naive),
    }


FORMATS = ["channels_last", "channels_first"]
BORDERS = {
    "fill_mode": ["reflect", "wrap", "constant", "nearest"],
    "interpolation": ["bilinear", "nearest"],
    "fill_value": [0.0, 1.5],
    "data_format": FORMATS,
}


def attention(x, layer, mask):
    weights, gate = layer.get_weights(), None
    if layer.use_gate:
        gate = [weights.pop(4), weights.pop(4)]
    causal, window, rotary = layer.use_causal_mask, layer.sliding_window, layer.rotary is not None
    return reference.self_attention(x, *weights, mask, causal, window, gate, rotary)


@st.composite
def with_mask(draw, *names):
    """An array whose axes have names, and a mask of its steps or None."""
    x = draw(arrays(axes(*names)))
    seed = draw(st.none() | st.integers(0, 99))
    return x, None if seed is None else np.random.default_rng(seed).random(x.shape[:2]) < 0.7


@st.composite
def some_seen(draw, *names):
    """The same, with a first step that is always real: where all are masked, scores of float64 have
    lost half of their digits, as in Keras."""
    x, mask = draw(with_mask(*names))
    if mask is not None:
        mask[:, 0] = True
    return x, mask


QUERY, VALUE, KEY = with_mask("n", "t", 3), with_mask("n", "s", "v"), with_mask("n", "s", 2)
PAIRS = arrays(axes("n", "t", "s")).map(lambda a: a > 0)


def unprojected(query, value, key=None, *, layer, mask):
    y, p = reference.unprojected_attention(query, value, key, layer=layer, mask=mask)
    return (y, p) if layer.return_attention_scores else y


def learned_positions(x, embeddings):
    return np.array([[v + embeddings[t] for t, v in enumerate(sequence)] for sequence in x])


# shapes of x → equations that take them, the sizes of y, an activation, what the bias has
EQUATIONS = {
    shapes(1, 1): [
        ("ab,bc->ac", 3, "tanh", "c"),
        ("ab,cb->ac", 2, "tanh"),
        ("ab,b->ab", None, "tanh", "b"),
    ],
    shapes(2, 2): [
        ("abc,cd->abd", (None, 2), "tanh", "d"),
        ("abc,bcd->abd", (None, 2), "tanh", "bd"),
        ("abc,dbc->ad", 3, "tanh", "d"),
        ("abc,cd->ad", 3, "tanh"),
        ("abc,bd->acd", (None, 2), "tanh", "cd"),
        ("...c,cd->...d", 2, "tanh", "d"),
        ("ab...,bc->ac...", 2, "tanh", "c"),
    ],
    shapes(3, 3, max_side=3): [
        ("abcd,cde->abe", (None, 2), "tanh", "e"),
        ("abcd,de->acbe", (None, None, 2), "tanh", "b"),
        ("...bc,cd->...bd", (None, 2), "tanh", "b"),
        ("abc...,cde->abde...", (None, 2, 2), "tanh", "d"),
    ],
}


def einsum_dense(x, layer):
    z = reference.einsum(x, layer.kernel, layer.equation)
    return np.tanh(z if layer.bias is None else z + layer.bias)


def unembedding(x, layer):
    table = layer.layer
    y = x @ (table.embeddings.T if table.tie_weights else table.reverse_embeddings)
    cap = table.logit_soft_cap
    return y if cap is None else cap * np.tanh(y / cap)


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
    "EinsumDense": [
        {
            "layer": lambda case: L.EinsumDense(*case, bias_initializer="random_normal"),
            "configs": {"case": EQUATIONS[shape]},
            "inputs": shape,
            "reference": einsum_dense,
        }
        for shape in EQUATIONS
    ]
    + [
        {
            "layer": lambda: L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"),
            "inputs": sequences(masked=True, allow_empty=True),
        }
    ],
    "Conv1D": [*convolution("Conv1D"), *masked_convolution("Conv1D", filters=2)],
    "Conv2D": convolution("Conv2D"),
    "Conv3D": convolution("Conv3D"),
    "Conv1DTranspose": [
        *convolution("Conv1DTranspose"),
        *masked_convolution("Conv1DTranspose", filters=2),
    ],
    "Conv2DTranspose": convolution("Conv2DTranspose"),
    "Conv3DTranspose": convolution("Conv3DTranspose"),
    "DepthwiseConv1D": [
        *convolution("DepthwiseConv1D"),
        *masked_convolution("DepthwiseConv1D", depth_multiplier=2),
    ],
    "DepthwiseConv2D": convolution("DepthwiseConv2D"),
    "SeparableConv1D": [
        *convolution("SeparableConv1D"),
        *masked_convolution("SeparableConv1D", filters=2),
    ],
    "SeparableConv2D": convolution("SeparableConv2D"),
    "MaxPooling1D": [
        windows(L.MaxPooling1D, max, 1, tags=["piecewise"]),
        *masked_windows(L.MaxPooling1D, max, tags=["piecewise"]),
    ],
    "MaxPooling2D": [windows(L.MaxPooling2D, max, 2, tags=["piecewise"])],
    "MaxPooling3D": [windows(L.MaxPooling3D, max, 3, tags=["piecewise"])],
    "AveragePooling1D": [
        windows(L.AveragePooling1D, average, 1),
        *masked_windows(L.AveragePooling1D, average),
    ],
    "AveragePooling2D": [windows(L.AveragePooling2D, average, 2)],
    "AveragePooling3D": [windows(L.AveragePooling3D, average, 3)],
    "AdaptiveMaxPooling1D": [adaptive(L.AdaptiveMaxPooling1D, max, 1, tags=["piecewise"])],
    "AdaptiveMaxPooling2D": [adaptive(L.AdaptiveMaxPooling2D, max, 2, tags=["piecewise"])],
    "AdaptiveMaxPooling3D": [adaptive(L.AdaptiveMaxPooling3D, max, 3, tags=["piecewise"])],
    "AdaptiveAveragePooling1D": [adaptive(L.AdaptiveAveragePooling1D, average, 1)],
    "AdaptiveAveragePooling2D": [adaptive(L.AdaptiveAveragePooling2D, average, 2)],
    "AdaptiveAveragePooling3D": [adaptive(L.AdaptiveAveragePooling3D, average, 3)],
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
    "GlobalAveragePooling2D": [all_places(L.GlobalAveragePooling2D, average, 2)],
    "GlobalAveragePooling3D": [all_places(L.GlobalAveragePooling3D, average, 3)],
    "GlobalMaxPooling1D": [
        all_places(L.GlobalMaxPooling1D, max, 1, tags=["piecewise"]),
        masked_places(L.GlobalMaxPooling1D, max, tags=["piecewise"]),
    ],
    "GlobalMaxPooling2D": [all_places(L.GlobalMaxPooling2D, max, 2, tags=["piecewise"])],
    "GlobalMaxPooling3D": [all_places(L.GlobalMaxPooling3D, max, 3, tags=["piecewise"])],
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
        {  # where its correction is clipped it is the constant that the gradient takes it for
            "layer": lambda: L.BatchNormalization(
                renorm=True, renorm_clipping={"rmin": 1.5, "rmax": 1.5, "dmax": 0.0}
            ),
            "inputs": FEATURES,
            "tags": ["couples_rows"],
        },
        {
            "layer": lambda: L.BatchNormalization(renorm=True),
            "inputs": FEATURES,
            "tags": ["couples_rows"],
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
        masked(
            L.LayerNormalization,
            layer_norm_along_time,
            {"axis": [1, (1, 2)], "center": False, "rms_scaling": [False, True]},
        ),
        {
            "layer": L.LayerNormalization,
            "configs": {"axis": [1, (1, 2)], "rms_scaling": [False, True]},
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
        },
        {
            "layer": L.LayerNormalization,
            "inputs": FEATURES,
            "reference": lambda x, layer, gamma, beta: reference.layer_norm(
                x, gamma, beta, layer.epsilon
            ),
        },
    ],
    "GroupNormalization": [
        {
            "layer": L.GroupNormalization,
            "configs": {
                "groups": [1, 2, -1],
                "center": [True, False],
                "scale": [True, False],
                "epsilon": [1e-3, 1e-5],
            },
            "inputs": shapes(1, 3).map(lambda shape: (*shape[:-1], 2 * shape[-1])),
            "reference": group_norm,
        },
        {
            "layer": L.GroupNormalization,
            "configs": {"groups": [1, 3], "axis": [1, -2]},
            "inputs": st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 3)),
            "reference": group_norm,
        },
        masked(
            L.GroupNormalization,
            lambda x, mask, layer: reference.group_norm(
                x, layer.gamma, layer.beta, layer.epsilon, layer.count, mask
            ),
            {"groups": [1, -1]},
        ),
    ],
    "RMSNormalization": [
        {
            "layer": L.RMSNormalization,
            "configs": {"epsilon": [1e-6, 1e-3]},
            "inputs": arrays(FEATURES, kinds=("generic",)),  # steep at 0, where epsilon is small
            "reference": lambda x, layer, scale: reference.rms_norm(x, scale, layer.epsilon),
        },
        {
            "layer": L.RMSNormalization,
            "configs": {"axis": [1, (1, 2), [2, 1]], "epsilon": 1e-3},
            "inputs": shapes(2, 3),
        },
        {
            "layer": L.RMSNormalization,
            "configs": {"axis": [1, (1, 2)], "epsilon": 1e-3},
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": rms_along_time,
        },
    ],
    "UnitNormalization": [
        {
            "layer": L.UnitNormalization,
            "inputs": arrays(shapes(1, 3, min_side=2), kinds=("generic",)),  # jumps at 0
            "reference": reference.unit_norm,
        },
        {
            "layer": L.UnitNormalization,
            "configs": {"axis": [1, (1, 2), [-1, 1]]},
            "inputs": arrays(shapes(2, 3, min_side=2), kinds=("generic",)),
        },
    ],
    "SpectralNormalization": [
        {
            "layer": lambda units, use_bias: L.SpectralNormalization(
                L.Dense(units, "tanh", use_bias)
            ),
            "configs": {"units": [1, 2, 3], "use_bias": [True, False]},
            "inputs": FEATURES,
        },
        {
            "layer": lambda power_iterations: L.SpectralNormalization(
                L.Dense(3, "tanh"), power_iterations
            ),
            "configs": {"power_iterations": [1, 2]},
            "inputs": shapes(1, 2, min_side=3),
            "reference": spectral,
        },
        {
            "layer": lambda: L.SpectralNormalization(L.Conv2D(2, 2)),
            "inputs": images(2, 4, 2),
        },
        {
            "layer": lambda: L.SpectralNormalization(L.Embedding(5, 3, mask_zero=True)),
            "inputs": tokens(5),
            "tags": ["integer_input"],
        },
    ],
    "Normalization": [
        {
            "layer": L.Normalization,
            "configs": {"axis": [-1, None, 1, (1, 2), [2, 1]], "invert": [False, True]},
            "inputs": shapes(2, 3),
            "tags": ["constant_buffers"],
        },
        {
            "layer": lambda invert: L.Normalization(mean=1.5, variance=4.0, invert=invert),
            "configs": {"invert": [False, True]},
            "inputs": FEATURES,
            "reference": lambda x, invert: x * 2 + 1.5 if invert else (x - 1.5) / 2,
        },
        {
            "layer": lambda: L.Normalization((1, 2), mean=[1.0, -1.0], variance=[0.25, 0.01]),
            "inputs": arrays(st.tuples(st.integers(1, 3), st.integers(1, 3), st.just(2))),
            "reference": lambda x: (x - [1.0, -1.0]) / [0.5, 0.1],
        },
    ],
    "Rescaling": [
        {
            "layer": L.Rescaling,
            "configs": {"scale": [2.0, -0.3], "offset": [0.0, 1.3]},
            "inputs": FEATURES,
            "reference": lambda x, scale, offset: x * scale + offset,
        },
        {
            "layer": lambda: L.Rescaling([0.7, -2.0], offset=[[1.0], [0.5], [0.25]]),
            "inputs": arrays(st.tuples(st.integers(1, 3), st.just(3), st.just(2))),
            "reference": lambda x: x * [0.7, -2.0] + [[1.0], [0.5], [0.25]],
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
            "tags": ["stochastic", "shared_draws"],
        },
    ],
    "SpatialDropout1D": [
        {
            "layer": L.SpatialDropout1D,
            "configs": {"rate": [0.2, 0.6], "seed": [None, 3]},
            "inputs": shapes(2, 2),
            "tags": ["stochastic"],
            "reference": shared_noise,
        }
    ],
    "SpatialDropout2D": [
        {
            "layer": L.SpatialDropout2D,
            "configs": {"rate": [0.2, 0.6], "data_format": FORMATS},
            "inputs": shapes(3, 3),
            "tags": ["stochastic"],
            "reference": shared_noise,
        }
    ],
    "SpatialDropout3D": [
        {
            "layer": L.SpatialDropout3D,
            "configs": {"rate": [0.2, 0.6], "data_format": FORMATS},
            "inputs": shapes(4, 4, max_side=3),
            "tags": ["stochastic"],
            "reference": shared_noise,
        }
    ],
    "GaussianDropout": [
        {
            "layer": L.GaussianDropout,
            "configs": {"rate": [0.2, 0.6], "seed": [None, 3]},
            "inputs": FEATURES,
            "tags": ["stochastic"],
            "reference": noisy(
                lambda x, e, layer: x * (1 + e * np.sqrt(layer.rate / (1 - layer.rate)))
            ),
        }
    ],
    "GaussianNoise": [
        {
            "layer": L.GaussianNoise,
            "configs": {"stddev": [0.2, 1.0], "seed": [None, 3]},
            "inputs": FEATURES,
            "tags": ["stochastic"],
            "reference": noisy(lambda x, e, layer: x + layer.stddev * e),
        }
    ],
    "AlphaDropout": [
        {
            "layer": L.AlphaDropout,
            "configs": {"rate": [0.2, 0.6], "seed": [None, 3]},
            "inputs": FEATURES,
            "tags": ["stochastic"],
            "reference": alpha_dropout,
        },
        {
            "layer": L.AlphaDropout,
            "configs": {"rate": 0.5, "noise_shape": [(None, 1, None), (1, None, None)]},
            "inputs": shapes(2, 2),
            "tags": ["stochastic", "shared_draws"],
        },
    ],
    "ActivityRegularization": [
        {
            "layer": L.ActivityRegularization,
            "configs": {"l1": [0.0, 0.3], "l2": [0.0, 0.2]},
            "inputs": FEATURES,
            "reference": lambda x: x,
        },
        {
            "layer": lambda l1, l2: L.Chain([L.Dense(2), L.ActivityRegularization(l1, l2)]),
            "configs": {"l1": [0.0, 0.3], "l2": [0.0, 0.2]},
            "inputs": ROWS,
            "tags": ["piecewise"],
        },
    ],
    "RandomFlip": [
        augmented(
            L.RandomFlip,
            flip,
            mode=["horizontal_and_vertical", "horizontal", "vertical"],
            data_format=FORMATS,
        )
    ],
    "RandomTranslation": [
        augmented(
            L.RandomTranslation,
            translation,
            height_factor=[0.0, 0.4, (-1.0, -0.5)],
            width_factor=[0.3, (0.5, 1.0)],
            **BORDERS,
        )
    ],
    "RandomRotation": [
        augmented(L.RandomRotation, rotation, factor=[0.2, 1.0, (0.0, 0.3)], **BORDERS)
    ],
    "RandomShear": [
        augmented(
            L.RandomShear,
            shear,
            x_factor=[0.5, (0.2, 0.9)],
            y_factor=[0.0, 0.7, (0.1, 0.3)],
            **BORDERS,
        )
    ],
    "RandomPerspective": [
        augmented(
            L.RandomPerspective,
            perspective,
            factor=[1.0, (0.6, 0.9)],
            scale=[0.4, 0.9],
            interpolation=["bilinear", "nearest"],
            fill_value=[0.0, 1.5],
            data_format=FORMATS,
        )
    ],
    "RandomElasticTransform": [
        augmented(
            L.RandomElasticTransform,
            elastic,
            ["piecewise"],
            factor=[1.0, (0.6, 1.0)],
            scale=[1.0, (0.8, 0.9)],
            value_range=[(-20.0, 20.0), (-1.2, 0.9)],
            fill_mode=["reflect", "wrap", "constant", "nearest", "mirror"],
            fill_value=[0.0, 1.5],
            data_format=FORMATS,
        )
    ],
    "RandomErasing": [
        augmented(
            L.RandomErasing,
            erasing,
            factor=[1.0, (0.5, 0.9)],
            scale=[(0.02, 0.33), (0.5, 1.0), 0.7],
            fill_value=[0.0, 300.0],
            data_format=FORMATS,
        )
    ],
    "Resizing": [
        {
            **augmented(
                L.Resizing,
                None,
                height=[1, 3, 7],
                width=[2, 5],
                interpolation=["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"],
                crop_to_aspect_ratio=[False, True],
                antialias=[False, True],
                data_format=FORMATS,
            ),
            "tags": [],
            "reference": as_large(resizing),
        },
        {
            **augmented(
                L.Resizing,
                None,
                height=[1, 3, 7],
                width=[2, 5],
                pad_to_aspect_ratio=True,
                fill_value=[0.0, 1.5],
                data_format=FORMATS,
            ),
            "tags": [],
            "reference": as_large(resizing),
        },
    ],
    "CenterCrop": [
        {
            **augmented(L.CenterCrop, None, height=[1, 2, 5], width=[2, 4], data_format=FORMATS),
            "tags": [],
            "reference": as_large(centre),
        }
    ],
    "MaxNumBoundingBoxes": [
        {"layer": L.MaxNumBoundingBoxes, "configs": {"max_number": 3}, "inputs": images()}
    ],
    "RandomCrop": [
        {
            **augmented(
                L.RandomCrop,
                None,
                ["shared_draws"],
                height=[1, 2],
                width=[2, 3],
                data_format=FORMATS,
            ),
            "reference": as_large(crop, resized_in_the_middle),
        },
        {
            **augmented(L.RandomCrop, None, height=[5, 7], width=[2, 6], data_format=FORMATS),
            "tags": [],
            "reference": as_large(crop, resized_in_the_middle),
        },
    ],
    "RandomZoom": [
        augmented(
            L.RandomZoom,
            zoom,
            height_factor=[0.8, (-0.9, 0.0), (-0.5, 1.0)],
            width_factor=[None, 0.7],
            **BORDERS,
        )
    ],
    "RandomContrast": [
        augmented(
            L.RandomContrast,
            contrast,
            ["piecewise"],
            factor=[0.5, (0.0, 1.0)],
            value_range=[(-20.0, 20.0), (-1.2, 0.9)],
            data_format=FORMATS,
        )
    ],
    "RandomBrightness": [
        augmented(
            L.RandomBrightness,
            brightness,
            ["piecewise"],
            factor=[0.3, (0.1, 0.2)],
            value_range=[(-20.0, 20.0), (-1.2, 0.9)],
            data_format=FORMATS,
        )
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
    "ReversibleEmbedding": [
        {
            "layer": L.ReversibleEmbedding,
            "configs": {
                "input_dim": 5,
                "output_dim": [1, 3],
                "mask_zero": [False, True],
                "tie_weights": [False, True],
            },
            "inputs": tokens(5, masked=True),
            "tags": ["integer_input"],
            "reference": lambda x, embeddings: embeddings[x],
        }
    ],
    "Unembedding": [
        {
            "layer": lambda tied, cap: L.Unembedding(
                L.ReversibleEmbedding(
                    5, 3, tied, "random_normal", reverse_dtype="float64", logit_soft_cap=cap
                )
            ),
            "configs": {"tied": [True, False], "cap": [None, 2.0]},
            "inputs": shapes(1, 2, min_side=3, max_side=3),
            "reference": unembedding,
        },
        {
            "layer": lambda: L.Unembedding(L.ReversibleEmbedding(5, 3)),
            "inputs": sequences(features=3, masked=True),
        },
    ],
    "CategoryEncoding": [
        {
            "layer": L.CategoryEncoding,
            "configs": {"num_tokens": 5, "output_mode": ["one_hot", "multi_hot", "count"]},
            "inputs": tokens(5),
            "tags": ["integer_input"],
            "reference": rows_by_hand,
        },
        {
            "layer": lambda: L.CategoryEncoding(4, output_mode="count"),
            "inputs": (st.just(np.array([[0, 3, 3], [1, 0, 2]])), arrays(st.just((2, 3)))),
            "reference": lambda x, weights: np.array(
                [[w[row == k].sum() for k in range(4)] for row, w in zip(x, weights, strict=True)]
            ),
        },
    ],
    "Discretization": [
        {
            "layer": lambda output_mode: L.Discretization(BOUNDARIES, output_mode=output_mode),
            "configs": {"output_mode": ["int", "one_hot", "multi_hot", "count"]},
            "inputs": shapes(1, 3),
            "tags": ["piecewise"],
            "reference": lambda x, output_mode: rows_by_hand(
                np.sum([x >= b for b in BOUNDARIES], axis=0), 4, output_mode
            ),
        }
    ],
    "HashedCrossing": [
        {
            "layer": lambda output_mode: L.HashedCrossing(5, output_mode=output_mode),
            "configs": {"output_mode": ["int", "one_hot"]},
            "inputs": (st.just(np.array([[3], [1], [3]])), st.just(np.array([[2], [0], [2]]))),
            "tags": ["integer_input"],
        }
    ],
    "Hashing": [
        {
            "layer": lambda **options: L.Hashing(5, **options),
            "configs": {
                "mask_value": [None, 2],
                "salt": [None, 7],
                "output_mode": ["int", "one_hot", "multi_hot", "count"],
            },
            "inputs": tokens(9),
            "tags": ["integer_input"],
        }
    ],
    "IntegerLookup": [
        {
            "layer": lambda output_mode: L.IntegerLookup(
                vocabulary=[3, 1, 4], output_mode=output_mode
            ),
            "configs": {"output_mode": ["int", "one_hot", "multi_hot", "count"]},
            "inputs": tokens(6),
            "tags": ["integer_input"],
            "reference": lambda x, output_mode: rows_by_hand(
                np.array([0, 2, 0, 1, 3, 0])[x], 4, output_mode
            ),
        }
    ],
    "StringLookup": [
        {
            "layer": lambda output_mode: L.StringLookup(
                vocabulary=["a", "b"], output_mode=output_mode
            ),
            "configs": {"output_mode": ["int", "one_hot", "multi_hot", "count"]},
            "inputs": np.array([["a", "b"], ["c", "a"], ["b", "b"]]),
            "tags": ["integer_input"],
            "reference": lambda x, output_mode: rows_by_hand(
                np.array([[1, 2], [0, 1], [2, 2]])[: len(x)], 3, output_mode
            ),
        }
    ],
    "TextVectorization": [
        {
            "layer": lambda output_mode: L.TextVectorization(
                vocabulary=["a", "b"],
                output_mode=output_mode,
                output_sequence_length=3 if output_mode == "int" else None,
            ),
            "configs": {"output_mode": ["int", "multi_hot", "count"]},
            "inputs": np.array([["a b"], ["c"], ["b B"]]),
            "tags": ["integer_input"],
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
    "ZeroPadding1D": [
        resized(L.ZeroPadding1D, reference.padded, "padding", "sides", 1, PADDINGS[1]),
        masked(
            L.ZeroPadding1D,
            lambda x, mask, layer: reference.padded(np.where(mask[..., None], x, 0), layer.sides),
            {"padding": PADDINGS[1]},
            least=1,
        ),
    ],
    "ZeroPadding2D": [
        resized(L.ZeroPadding2D, reference.padded, "padding", "sides", 2, PADDINGS[2])
    ],
    "ZeroPadding3D": [
        resized(L.ZeroPadding3D, reference.padded, "padding", "sides", 3, PADDINGS[3])
    ],
    "Cropping1D": [
        resized(L.Cropping1D, reference.cropped, "cropping", "sides", 1, PADDINGS[1], least=4),
        {
            "layer": L.Cropping1D,
            "configs": {"cropping": PADDINGS[1]},
            "inputs": sequences(steps=(4, 6), masked=True, allow_empty=True),
        },
    ],
    "Cropping2D": [
        resized(L.Cropping2D, reference.cropped, "cropping", "sides", 2, PADDINGS[2], least=5)
    ],
    "Cropping3D": [
        resized(L.Cropping3D, reference.cropped, "cropping", "sides", 3, PADDINGS[3], least=5)
    ],
    "UpSampling1D": [
        resized(L.UpSampling1D, reference.repeated, "size", "size", 1, SIZES[1]),
        {
            "layer": L.UpSampling1D,
            "inputs": sequences(steps=(1, 3), masked=True, allow_empty=True),
        },
    ],
    "UpSampling2D": [
        resized(L.UpSampling2D, reference.repeated, "size", "size", 2, SIZES[2]),
        resized(
            lambda **config: L.UpSampling2D(**config, interpolation="bilinear"),
            reference.bilinear,
            "size",
            "size",
            2,
            SIZES[2],
        ),
    ],
    "UpSampling3D": [resized(L.UpSampling3D, reference.repeated, "size", "size", 3, SIZES[3])],
    "SimpleRNN": recurrent(L.SimpleRNN, reference.simple_rnn),
    "LSTM": recurrent(L.LSTM, reference.lstm),
    "GRU": recurrent(L.GRU, reference.gru, reset_after=[True, False]),
    "ConvLSTM1D": conv_lstm(L.ConvLSTM1D, 1),
    "ConvLSTM2D": conv_lstm(L.ConvLSTM2D, 2),
    "ConvLSTM3D": conv_lstm(L.ConvLSTM3D, 3)[:2],
    "SimpleRNNCell": cell(lambda **options: L.SimpleRNNCell(2, **options), 1),
    "LSTMCell": cell(lambda **options: L.LSTMCell(2, **options), 2),
    "GRUCell": cell(lambda **options: L.GRUCell(2, **options), 1, reset_after=[True, False]),
    "StackedRNNCells": cell(
        lambda **options: L.StackedRNNCells(
            [L.LSTMCell(2, **options), L.SimpleRNNCell(2, **options)]
        ),
        3,
    ),
    "RNN": [
        {
            "layer": lambda **options: L.RNN(L.LSTMCell(2), **options),
            "configs": {
                "return_sequences": [False, True],
                "go_backwards": [False, True],
                "zero_output_for_mask": [False, True],
            },
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
        },
        {
            "layer": lambda **options: L.RNN([L.GRUCell(2), L.SimpleRNNCell(2)], **options),
            "configs": {"return_state": True, "return_sequences": [False, True]},
            "inputs": (sequences(steps=(1, 4), masked=True, allow_empty=True), STATE, STATE),
        },
        {
            "layer": lambda: L.RNN(L.GRUCell(2, dropout=0.3, recurrent_dropout=0.3)),
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stochastic"],
        },
        {
            "layer": lambda: L.RNN([L.LSTMCell(2), L.GRUCell(3)], stateful=True),
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stateful"],
        },
    ],
    "Bidirectional": [
        {
            "layer": lambda sequences, merge_mode: L.Bidirectional(
                L.GRU(2, return_sequences=sequences, return_state=True), merge_mode
            ),
            "configs": {"sequences": [False, True], "merge_mode": ["concat", "mul", None]},
            "inputs": (sequences(steps=(1, 4), masked=True, allow_empty=True), STATE, STATE),
        },
        {
            "layer": lambda units, sequences, merge_mode: L.Bidirectional(
                L.GRU(units, return_sequences=sequences), merge_mode
            ),
            "configs": {
                "units": [1, 2],
                "sequences": [False, True],
                "merge_mode": ["concat", "sum", "ave", "mul"],
            },
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": both_directions,
        },
        {
            "layer": lambda units: L.Bidirectional(
                L.LSTM(units, dropout=0.3),
                backward_layer=L.SimpleRNN(2, go_backwards=True, recurrent_dropout=0.3),
            ),
            "configs": {"units": [1, 2]},
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stochastic"],
        },
        {
            "layer": lambda: L.Bidirectional(L.LSTM(2, stateful=True)),
            "inputs": sequences(steps=(1, 3)),
            "tags": ["stateful"],
        },
    ],
    "TimeDistributed": [
        {
            "layer": lambda units: L.TimeDistributed(L.Dense(units, "tanh")),
            "configs": {"units": [1, 3]},
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": lambda x, kernel, bias: np.stack(
                [np.tanh(x[:, t] @ kernel + bias) for t in range(x.shape[1])], axis=1
            ),
        },
        {
            "layer": lambda: L.TimeDistributed(L.Conv1D(2, 2)),
            "inputs": shapes(3, 3, min_side=2, max_side=3, batch=(1, 2)),
        },
        {
            "layer": lambda: L.TimeDistributed(L.Chain([L.Masking(), L.GRU(2)])),
            "inputs": shapes(3, 3, max_side=3, batch=(1, 2)),
            "tags": ["piecewise"],
        },
        {
            "layer": lambda: L.TimeDistributed(L.BatchNormalization()),
            "inputs": sequences(steps=(1, 3), batch=(2, 4), masked=True),
            "tags": ["couples_rows"],
        },
        {
            "layer": lambda: L.TimeDistributed(L.Chain([L.Dense(2, activity_regularizer="l2")])),
            "inputs": sequences(steps=(1, 3)),
        },
    ],
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
        {
            "layer": lambda **options: L.MultiHeadAttention(2, 2, **options),
            "configs": {
                "use_gate": [True, False],
                "sliding_window": [None, 1, 2],
                "rotary": [False, True],
            },
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": attention,
        },
        {
            "layer": lambda **options: L.MultiHeadAttention(2, 2, **options),
            "configs": {
                "return_attention_scores": [True, False],
                "value_dim": [None, 3],
                "use_causal_mask": [False, True],
            },
            "inputs": (QUERY, VALUE),
            "reference": reference.attention_between,
        },
        {
            "layer": lambda **options: L.MultiHeadAttention(2, 2, **options),
            "configs": {"use_gate": [False, True], "sliding_window": [None, 2]},
            "inputs": (QUERY, VALUE, KEY),
            "reference": reference.attention_between,
        },
        {
            "layer": lambda: L.MultiHeadAttention(2, 2, return_attention_scores=True),
            "inputs": (QUERY, VALUE, None, PAIRS),
            "reference": reference.attention_between,
        },
        {
            "layer": lambda: L.MultiHeadAttention(
                2, 2, dropout=0.4, use_bias=False, return_attention_scores=True
            ),
            "inputs": (QUERY, VALUE),
            "tags": ["stochastic"],
        },
    ],
    "GroupQueryAttention": [
        {
            "layer": lambda heads, **options: L.GroupQueryAttention(2, *heads, **options),
            "configs": {
                "heads": [(1, 1), (2, 1), (3, 3), (4, 2)],
                "use_causal_mask": [False, True],
                "use_gate": [False, True],
                "rotary": [False, True],
            },
            "inputs": sequences(steps=(1, 4), masked=True, allow_empty=True),
            "reference": attention,
        },
        {
            "layer": lambda: L.GroupQueryAttention(2, 4, 2, dropout=0.4, use_bias=False),
            "inputs": sequences(steps=(2, 4), masked=True),
            "tags": ["stochastic"],
        },
        {
            "layer": lambda heads, **options: L.GroupQueryAttention(2, *heads, **options),
            "configs": {
                "heads": [(2, 1), (4, 2)],
                "use_causal_mask": [False, True],
                "return_attention_scores": [False, True],
            },
            "inputs": (QUERY, VALUE, KEY),
            "reference": reference.attention_between,
        },
    ],
    "Attention": [
        {
            "layer": L.Attention,
            "configs": {
                "use_scale": [False, True],
                "score_mode": ["dot", "concat"],
                "use_causal_mask": [False, True],
                "return_attention_scores": [False, True],
            },
            "inputs": (some_seen("n", "t", "d"), some_seen("n", "s", "d")),
            "reference": unprojected,
        },
        {
            "layer": lambda **options: L.Attention(dropout=0.4, **options),
            "configs": {"return_attention_scores": [False, True]},
            "inputs": (
                some_seen("n", "t", "d"),
                some_seen("n", "s", "v"),
                arrays(axes("n", "s", "d")),
            ),
            "tags": ["stochastic"],
        },
    ],
    "AdditiveAttention": [
        {
            "layer": L.AdditiveAttention,
            "configs": {"use_scale": [False, True], "return_attention_scores": [False, True]},
            "inputs": (
                some_seen("n", "t", "d"),
                some_seen("n", "s", "v"),
                arrays(axes("n", "s", "d")),
            ),
            "reference": unprojected,
        },
        {
            "layer": lambda: L.AdditiveAttention(dropout=0.4),
            "inputs": (some_seen("n", "t", "d"), some_seen("n", "s", "d")),
            "tags": ["stochastic"],
        },
    ],
    "SinePositionEncoding": [
        {
            "layer": L.SinePositionEncoding,
            "configs": {"max_wavelength": [10000, 7.5]},
            "inputs": shapes(2, 2),
            "reference": lambda x, layer: (
                x + reference.sine_positions(*x.shape[1:], layer.max_wavelength)
            ),
        }
    ],
    "PositionEmbedding": [
        {
            "layer": L.PositionEmbedding,
            "configs": {"sequence_length": [4, 7]},
            "inputs": sequences(steps=(1, 4), allow_empty=True),
            "reference": learned_positions,
        }
    ],
    "RotaryEmbedding": [
        {
            "layer": L.RotaryEmbedding,
            "configs": {"max_wavelength": [10000, 7.5], "scaling_factor": [1.0, 3.0]},
            "inputs": arrays(
                st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 4, 6]))
            ),
            "reference": lambda x, layer: np.array(
                [
                    [
                        reference.turned_vector(v, t / layer.scaling_factor, layer.max_wavelength)
                        for t, v in enumerate(sequence)
                    ]
                    for sequence in x
                ]
            ),
        },
        {
            "layer": L.RotaryEmbedding,
            "configs": {"sequence_axis": [1, 2]},
            "inputs": arrays(st.tuples(*[st.integers(1, 3)] * 3, st.sampled_from([2, 4]))),
        },
    ],
    "TransformerBlock": [
        {
            "layer": lambda **options: L.TransformerBlock(3, 2, activation="tanh", **options),
            "configs": {
                "normalize_first": [False, True],
                "num_key_value_heads": [None, 1],
                "use_causal_mask": [False, True],
            },
            "inputs": arrays(st.tuples(st.integers(1, 3), st.integers(1, 3), st.just(4))),
        },
        {
            "layer": lambda: L.TransformerBlock(3, 1, 0.3, "tanh", rotary=True),
            "inputs": arrays(st.tuples(st.integers(1, 3), st.integers(2, 3), st.just(4))),
            "tags": ["stochastic"],
        },
    ],
    "TransformerDecoder": [
        {
            "layer": lambda **options: L.TransformerDecoder(3, 2, activation="tanh", **options),
            "configs": {
                "normalize_first": [False, True],
                "num_key_value_heads": [None, 1],
                "use_causal_mask": [False, True],
            },
            "inputs": (with_mask("n", "t", 4), with_mask("n", "s", "d")),
        },
        {
            "layer": lambda: L.TransformerDecoder(3, 1, 0.3, "tanh", rotary=True),
            "inputs": (with_mask("n", "t", 4), with_mask("n", "s", "d")),
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
    "Pipeline": [
        {
            "layer": lambda rate: L.Pipeline([L.Rescaling(0.5), L.Dropout(rate), L.Dense(2)]),
            "configs": {"rate": [0.2, 0.5]},
            "inputs": FEATURES,
            "tags": ["stochastic"],
        }
    ],
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
            "configs": {"join": ["concat", "add", "multiply", "average", "maximum", "minimum"]},
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


def twofold(given):
    """Twice as many predictions as targets, along the last axis."""
    y_true, y_pred, *more = given
    return y_true, np.concatenate([y_pred, 0.3 - 0.7 * y_pred], -1), *more


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
    "Dice": [
        loss(losses.Dice, "binary", "probabilities", configs={"axis": [-1, (-1,)]}),
        loss(losses.Dice, "probabilities", "probabilities", tags=["couples_rows"]),
        along_axes(losses.Dice, "binary", "probabilities"),
    ],
    "Tversky": [
        loss(
            losses.Tversky,
            "binary",
            "probabilities",
            configs={"axis": [-1], "alpha": [0.5, 0.2], "beta": [0.5, 1.5]},
        ),
        loss(
            losses.Tversky,
            "binary",
            "probabilities",
            configs={"alpha": [0.5, 0.2]},
            tags=["couples_rows"],
        ),
    ],
    "Circle": [
        {
            "layer": losses.Circle,
            "configs": MEAN | {"gamma": [1.0], "remove_diagonal": [True, False]},
            "inputs": pairs("labels", shape=shapes(1, 1, min_side=2, batch=(2, 5))),
            "tags": ["piecewise", "couples_rows"],
        }
    ],
    "GaussianNLL": [
        {
            "layer": losses.GaussianNLL,
            "configs": MEAN | {"full": [False, True]},
            "inputs": pairs().map(twofold),
        },
        {
            "layer": losses.GaussianNLL,
            "configs": MEAN | {"spread": ["variance"], "eps": [0.25]},
            "inputs": pairs().map(twofold),
            "tags": ["piecewise"],
        },
    ],
    "Quantile": [loss(losses.Quantile, configs={"quantile": [0.2, 0.5]}, tags=["piecewise"])],
    "CTC": [
        {
            "layer": losses.CTC,
            "configs": MEAN | {"zero_infinity": [False, True]},
            "inputs": label_sequences(),
        },
        {
            "layer": lambda: losses.CTC(reduction="none"),
            "inputs": label_sequences(),
            "reference": reference.ctc,
        },
        {
            "layer": lambda: losses.CTC(zero_infinity=True),
            "inputs": label_sequences(spellable=False),
        },
    ],
}

# -------------------------------------------------------------------------------- arithmetic


def cut(x, index):
    return eval(f"x[{index}]", {"x": x})


CONSTANT = {"value": [2, -1.5]}
ARITHMETIC = {
    "Absolute": [elementwise(L.Absolute, np.abs, **KINKED)],
    "AddConstant": [
        elementwise(L.AddConstant, lambda x, value: x + value, configs=CONSTANT),
        {
            "layer": lambda: L.AddConstant([[0.5, -1.0], [1.5, 2.0], [0.0, 1.0]]),
            "inputs": [(2, 3, 2), (3, 1, 2), (1, 3, 1), (2, 2, 3, 2)],
            "reference": lambda x: np.add(x, [[0.5, -1.0], [1.5, 2.0], [0.0, 1.0]]),
        },
    ],
    "SubtractFrom": [elementwise(L.SubtractFrom, lambda x, value: value - x, configs=CONSTANT)],
    "MultiplyBy": [elementwise(L.MultiplyBy, lambda x, value: value * x, configs=CONSTANT)],
    "DivideBy": [elementwise(L.DivideBy, lambda x, value: x / value, configs=CONSTANT)],
    "DivideInto": [
        {
            "layer": lambda value: L.Chain([L.Softplus(), L.AddConstant(0.5), L.DivideInto(value)]),
            "configs": CONSTANT,
            "inputs": FEATURES,
        }
    ],
    "RaiseTo": [
        elementwise(L.RaiseTo, lambda x, value: x**value, configs={"value": [0, 1, 2, 3]}),
        {
            "layer": lambda value: L.Chain([L.Softplus(), L.AddConstant(0.5), L.RaiseTo(value)]),
            "configs": {"value": [-1, 0.5, 2.5]},
            "inputs": FEATURES,
        },
    ],
    "PowerOf": [
        elementwise(
            L.PowerOf,
            lambda x, value: value**x,
            configs={"value": [2.0, 0.5, 1]},
            **overflows("2 to the 10,000 is too large"),
        )
    ],
    "Slice": [
        {
            "layer": L.Slice,
            "configs": {"index": [":, 0", ":, -1, None", "..., ::-1", ":, 1:", ":, None, :, :1"]},
            "inputs": shapes(2, 3),
            "reference": cut,
        },
        {
            "layer": L.Slice,
            "configs": {"index": [":, 1:", ":, ::2", "..., 0"]},
            "inputs": sequences(masked=True),
        },
    ],
    "Identity": [elementwise(L.Identity, lambda x: x)],
    "Remainder": [
        {  # where it does not jump
            "layer": lambda: L.Chain([L.Sigmoid(), L.Remainder(1.5)]),
            "inputs": FEATURES,
            "reference": reference.sigmoid,
        },
        {  # nor where sigmoid is 0 or 1
            "layer": lambda: L.Chain([L.Sigmoid(), L.AddConstant(-4.25), L.Remainder(1.5)]),
            "inputs": FEATURES,
            "reference": lambda x: reference.sigmoid(x) + 0.25,
        },
    ],
    "MatmulConstant": [
        {
            "layer": lambda: L.MatmulConstant([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]),
            "inputs": [(3, 2), (2, 4, 2), (1, 2, 3, 2)],
            "reference": lambda x: x @ [[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]],
        },
        {
            "layer": lambda: L.MatmulConstant([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], first=True),
            "inputs": [(3, 3, 1), (2, 3, 4), (1, 2, 3, 2)],
            "reference": lambda x: np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]) @ x,
        },
        {
            "layer": lambda: L.MatmulConstant([[1.0, -2.0], [0.5, 3.0]]),
            "inputs": sequences(features=2, masked=True, allow_empty=True),
        },
    ],
}


SAME = axes("batch", ..., "n")
STEPS, ROW, ONE = axes("batch", "t", "n"), axes("batch", "n"), axes("batch", "t", 1)


def level(x):
    """Arrays of as many axes, new ones behind the batch, stretched to one shape."""
    ndim = max(map(np.ndim, x))
    return np.broadcast_arrays(
        *(a.reshape(len(a), *(1,) * (ndim - a.ndim), *a.shape[1:]) for a in x)
    )


PADDED = sequences(steps=3, features=2, masked=True)


def merged(make, f, *tags, count=3):
    """Arrays of one shape, of shapes that meet, and sequences with padding."""
    rows = [(SAME,) * count, (STEPS, ROW), (ONE, STEPS), (PADDED, PADDED)]
    return [
        {
            "layer": make,
            "inputs": inputs,
            "reference": lambda *x: f(*level(x)),
            "tags": ["per_sample", *tags],
        }
        for inputs in rows
    ]


def above_zero(shape):
    return arrays(shape).map(lambda a: np.abs(a) + 0.5)


MERGING = {
    "Add": merged(L.Add, lambda *x: sum(x), "piecewise", "symmetric"),
    "Average": merged(L.Average, lambda *x: sum(x) / len(x), "piecewise", "symmetric"),
    "Multiply": merged(L.Multiply, lambda *x: np.prod(x, axis=0), "piecewise", "symmetric"),
    "Maximum": merged(L.Maximum, lambda *x: np.max(x, axis=0), "piecewise", "symmetric"),
    "Minimum": merged(L.Minimum, lambda *x: np.min(x, axis=0), "piecewise", "symmetric"),
    "Subtract": merged(L.Subtract, np.subtract, "piecewise", count=2),
    "Divide": [
        {
            "layer": L.Divide,
            "inputs": (above_zero(a), above_zero(b)),
            "reference": lambda *x: np.divide(*level(x)),
            "tags": ["per_sample"],
            "expected_failures": {
                "extreme_input_gives_finite_results": "a number divided by 0 is not finite"
            },
        }
        for a, b in [(SAME, SAME), (STEPS, ROW), (ONE, STEPS)]
    ],
    "Concatenate": [
        {
            "layer": L.Concatenate,
            "configs": {"axis": [-1, 2]},
            "inputs": (STEPS, axes("batch", "t", "m"), ONE),
            "reference": lambda a, b, c, axis: np.concatenate([a, b, c], axis),
        },
        {"layer": lambda: L.Concatenate(1), "inputs": (PADDED, PADDED)},
    ],
    "Matmul": [
        {
            "layer": L.Matmul,
            "inputs": inputs,
            "reference": lambda a, b: np.einsum("...ik,...kj->...ij", a, b),
        }
        for inputs in (
            (axes("batch", "i", "k"), axes("batch", "k", "j")),
            (axes("batch", "t", "i", "k"), axes("batch", "t", "k", "j")),
            (axes("batch", "t", "i", "k"), axes("batch", 1, "k", "j")),
        )
    ]
    + [
        {
            "layer": L.Matmul,
            "inputs": (
                sequences(steps=2, features=3, masked=True),
                sequences(steps=3, features=2, masked=True),
            ),
        }
    ],
    "Dot": [
        {
            "layer": L.Dot,
            "configs": {"axes": [1, -1], "normalize": [False, True]},
            "inputs": (ROW, ROW),
            "tags": ["symmetric"],
        },
        {
            "layer": L.Dot,
            "configs": {"axes": [-1, (2, 2)]},
            "inputs": (STEPS, axes("batch", "j", "n")),
            "reference": lambda a, b, axes: np.einsum("ntk,njk->ntj", a, b),
        },
        {
            "layer": lambda: L.Dot((1, -1), normalize=True),
            "inputs": (STEPS, axes("batch", "j", "t")),
        },
        {
            "layer": lambda: L.Dot((2, 1)),
            "inputs": (STEPS, ROW),
            "reference": lambda a, b: np.einsum("ntk,nk->nt", a, b),
        },
        {"layer": lambda: L.Dot(2), "inputs": (PADDED, PADDED)},
    ],
}


def two_ended(units):
    """A graph of two inputs and three outputs, with a layer in two places."""
    a, b = L.Input((3,)), L.Input((3,))
    tower = L.Dense(units, "tanh")
    one, two = tower(a), tower(b)
    return L.Graph([a, b], [L.Dense(2)(L.Subtract()([one, two])), one, L.Concatenate()([one, b])])


GRAPHS = {
    "Graph": [
        {
            "layer": two_ended,
            "configs": {"units": [1, 3]},
            "inputs": (shapes(1, 1, min_side=3, max_side=3),) * 2,
        }
    ]
}

SIGNALS = shapes(2, 2, min_side=9, max_side=14, batch=(1, 3))


def spectrogram(x, layer):
    """Frame by frame, in the form in which images have it."""
    kernels = [k for k in (layer.real_kernel, layer.imag_kernel) if k is not None]
    y = reference.spectrogram(x, kernels, layer.mode, layer._step, layer.padding)
    return y if layer.expand_dims else y.swapaxes(2, 3).reshape(*y.shape[:2], -1)


SPECTROGRAMS = {
    "STFTSpectrogram": [
        {
            "layer": L.STFTSpectrogram,
            "configs": {
                "mode": modes,
                "frame_length": [4, 5],
                "frame_step": [None, 3],
                "fft_length": [None, 8],
                "window": ["hann", "hamming", None],
                "scaling": ["density", "spectrum", None],
                "padding": paddings(),
                "expand_dims": [False, True],
            },
            "inputs": SIGNALS,
            "reference": spectrogram,
            "tags": ["piecewise"],
        }
        for modes in (["real", "imag", "stft", "psd"], ["log", "magnitude"])
    ]
    + [
        {
            "layer": lambda: L.STFTSpectrogram("psd", 4, data_format="channels_first"),
            "inputs": shapes(2, 2, min_side=5, max_side=9),
        }
    ],
    "MelSpectrogram": [
        {
            "layer": lambda **options: L.MelSpectrogram(
                8, num_mel_bins=4, sampling_rate=1000, **options
            ),
            "configs": {
                "sequence_stride": [2, 5],
                "sequence_length": [None, 6],
                "window": ["hann", "hamming", None],
                "mag_exp": [2.0, 1.5],
                "power_to_db": [False, True],
                "top_db": [3.0, 80.0, None],
            },
            "inputs": shapes(1, 1, min_side=9, max_side=14),
            "reference": reference.mel_spectrogram,
            "tags": ["couples_rows", "piecewise"],
        }
    ],
}

FAMILIES = (
    GRAPHS,
    ACTIVATIONS,
    LAYERS,
    CONTAINERS,
    ARITHMETIC,
    MERGING,
    SPECTROGRAMS,
    COLOURS,
    LOSSES,
)
TABLE = {name: cases for family in FAMILIES for name, cases in family.items()}
