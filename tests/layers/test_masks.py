"""Padding moves nothing: every layer obeys a mask, or says by name that it does not."""

import copy
import re

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients, restore, snapshot
from inputs import normal
from keras_parity import keras_in
from layer_examples import CATEGORIES, DRAWN, arguments, forked

import backprop as bp
from backprop import layers, losses
from backprop.layer import Context, Layer
from backprop.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Chain,
    Conv1D,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    LayerNormalization,
    Masking,
    MaxPooling1D,
    Parallel,
    ReLU,
    Residual,
    SpectralNormalization,
    TimeDistributed,
    TransformerBlock,
)
from backprop.layers.images.base import ImageLayer
from backprop.layers.windows import Windows
from backprop.masks import beside
from backprop.nest import several
from backprop.testing.bugs.between import Between
from backprop.training.tracking import MetricSet

STEPS = 8
PADDING = {"front": (0, 3), "middle": (3, 5), "end": (5, 8)}
CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")
NEVER_MASKED = {
    "Embedding": "takes numbers of tokens",
    "Discretization": "gives numbers of bins",
    **dict.fromkeys(CATEGORIES, "takes categories"),
    "ReversibleEmbedding": "takes numbers of tokens",
    "InputLayer": "computes nothing",
    "Matmul": "takes arrays of two shapes; test_small_things.py has its masks",
    **dict.fromkeys(CELLS, "is one step, and RNN passes masked ones over"),
}
SEQUENCE = (3, STEPS, 6)

# what a layer of the registry is not tried with by itself: other arguments, and layers in layers
MORE = {
    "Conv1D, causal and dilated": (lambda: Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "Conv1D, same": lambda: Conv1D(4, 3, padding="same", activation="tanh"),
    "Conv1D, two steps at a time": lambda: Conv1D(4, 2, strides=2),
    "Conv1D, softmax over time": lambda: Conv1D(4, 3, activation=layers.Softmax(axis=1)),
    "Conv1DTranspose, same": lambda: layers.Conv1DTranspose(4, 3, 2, padding="same"),
    "MaxPooling1D, overlapping": lambda: MaxPooling1D(3, 1, padding="same"),
    "AveragePooling1D, overlapping": lambda: layers.AveragePooling1D(3, 2),
    "Dense, softmax over time": lambda: Dense(4, layers.Softmax(axis=1)),
    "GLU over time": lambda: layers.GLU(axis=1),
    "GroupNormalization": lambda: layers.GroupNormalization(3),
    "LayerNormalization over time": lambda: LayerNormalization(axis=(1, 2)),
    "LayerNormalization over time alone": lambda: LayerNormalization(axis=1, rms_scaling=True),
    "LogSoftmax over time": lambda: layers.LogSoftmax(axis=1),
    "RMSNormalization over time": lambda: layers.RMSNormalization(axis=(1, 2)),
    "Softmax over time": lambda: layers.Softmax(axis=1),
    "Softmax over everything": lambda: layers.Softmax(axis=(1, 2)),
    "Sparsemax over time": lambda: layers.Sparsemax(axis=1),
    "UnitNormalization over time": lambda: layers.UnitNormalization(axis=1),
    "BatchNormalization of steps": lambda: BatchNormalization(axis=1),
    "LSTM, backwards": lambda: LSTM(4, return_sequences=True, go_backwards=True),
    "SimpleRNN, zeros": lambda: layers.SimpleRNN(
        4, return_sequences=True, zero_output_for_mask=True
    ),
    "RNN of a stack, backwards": lambda: layers.RNN(
        [layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True, go_backwards=True
    ),
    "RNN, zeros": lambda: layers.RNN(
        layers.SimpleRNNCell(4), return_sequences=True, zero_output_for_mask=True
    ),
    "ConvLSTM1D": lambda: Chain(
        [layers.Reshape((-1, 6, 1)), layers.ConvLSTM1D(2, 2, return_sequences=True)]
    ),
    "Permute, features": lambda: Chain([layers.Reshape((-1, 3, 2)), layers.Permute((1, 3, 2))]),
    "Reshape, steps kept": lambda: layers.Reshape((STEPS, 2, 3)),
    "stacked, backwards": lambda: Chain(
        [GRU(4, return_sequences=True, go_backwards=True), LSTM(3, go_backwards=True)]
    ),
    "Chain in a chain": lambda: Chain([Dense(4), Chain([Conv1D(3, 2), GRU(3)])]),
    "Chain with a penalty": lambda: Chain([Dense(4, activity_regularizer="l2")]),
    "Residual of a convolution": lambda: Residual([Conv1D(6, 3, padding="same")]),
    "Residual, softmax over time": lambda: Residual([Dense(6)], activation=layers.Softmax(axis=1)),
    "Parallel, side by side": lambda: Parallel(
        [GRU(3, return_sequences=True), Conv1D(2, 3, padding="same")]
    ),
    "Parallel, one behind the other": lambda: Parallel([Dense(3), Conv1D(3, 2)], axis=1),
    "Concatenate over time": lambda: Between(layers.Concatenate(1), [Dense(3), Conv1D(3, 2)]),
    "Bidirectional, the end": lambda: Bidirectional(LSTM(3)),
    "SpectralNormalization of a convolution": lambda: SpectralNormalization(Conv1D(3, 2)),
    "TimeDistributed, statistics": lambda: TimeDistributed(BatchNormalization()),
    "TransformerBlock, pre-norm": lambda: TransformerBlock(5, 2, normalize_first=True),
    "attention with dropout": lambda: layers.MultiHeadAttention(2, 3, dropout=0.3, seed=1),
    "Dropout": lambda: layers.Dropout(0.5, seed=1),
}


def subjects() -> dict[str, tuple]:
    """A maker of each layer, and the shape of its input: a sequence where it takes one."""
    found = {}
    for name, cls in layers.registry.classes.items():
        if name in NEVER_MASKED:
            continue
        args, shape = arguments(name)
        if name == "PositionEmbedding":
            args = (STEPS,)
        if name == "Dot":  # along features it has a mask for every number, which no loss takes
            args = (1, True)

        def make(cls=cls, args=args, name=name, shape=shape):
            if name in DRAWN:
                return forked(cls, (3, None, 6)).astype("float64")
            layer = cls(*copy.deepcopy(args))
            return Between(layer, [layers.Linear(), Dense(6)]) if several(shape) else layer

        if several(shape) or len(shape) < 4:
            try:
                make().build((None, *SEQUENCE[1:]))
                shape = SEQUENCE
            except ValueError:
                shape = shape if len(shape) < 3 else (3, STEPS, shape[-1])
        else:
            shape = (3, STEPS, *shape[2:])
        found[name] = make, shape
    return found | {name: (make, SEQUENCE) for name, make in MORE.items()}


SUBJECTS = subjects()


class Gives(Layer):
    """y = x, and the mask that it was made with."""

    def __init__(self, mask, **kwargs):
        super().__init__(**kwargs)
        self.given = mask

    def compute_mask(self, x, mask):
        return self.given

    def forward(self, x, ctx=None):
        return x, None

    def backward(self, dy, cache):
        return dy


def masked(shape, kind):
    """The padding of one kind in all sequences but the first."""
    mask = np.ones(shape[:2], bool)
    begin, end = PADDING[kind] if len(shape) > 2 else (0, 2)
    mask[1:, begin:end] = False
    return mask


def built(make, x, mask):
    """The layer with generic weights, behind one that gives the mask."""
    bp.utils.set_random_seed(0)
    chain = Chain([Gives(mask), make()], dtype="float64")
    chain.build((None, *x.shape[1:]))
    rng = np.random.default_rng(1)
    for p in chain.arrays():
        if p.gradient is not None:
            p.value[...] += 0.3 * rng.standard_normal(p.shape)
    return chain


def run(chain, x, mask, training):
    """Everything that padding could move: results, the loss, metrics, gradients, statistics."""
    penalties = []
    y, cache, left = chain.propagate(x, Context(training, penalties=penalties))
    loss, metrics = losses.MeanSquaredError(), MetricSet(["mae"], None, "mse")
    t = np.cos(y)
    value, loss_cache = loss.forward(t, y, None, left)
    metrics.build(t.shape, y.shape)
    metrics.update(t, y, None, left)
    dx = chain.backward(loss.backward(loss_cache), cache)
    return {
        "y": y if left is None else y[left],
        "mask": np.zeros(0) if left is None else left,
        "loss": value + sum(penalties),
        "metric": metrics.items[0][1].result(),
        "dx": dx[mask],
        "dx of padding": dx[~mask] * 0,
    } | {p.path: (p.value if p.gradient is None else p.gradient).copy() for p in chain.arrays()}


NOISE = (7.0, -30.0, np.nan, np.inf, -np.inf)
SAYS_SO = {  # in one dimension; those of images and volumes as well
    "AdaptiveAveragePooling1D",
    "AdaptiveMaxPooling1D",
    "Flatten",
    "GLU over time",
    "LogSoftmax over time",
    "Permute",
    "MelSpectrogram",
    "RepeatVector",
    "Reshape",
    "STFTSpectrogram",
    "Sparsemax over time",
}
OF_IMAGES = re.compile("(Conv|Pooling|Padding|Cropping|UpSampling)(2D|3D)")


def says_so(name):
    images = OF_IMAGES.search(name) and not name.startswith("Global")
    cls = layers.registry.classes.get(name, object)
    return name in SAYS_SO or bool(images) or issubclass(cls, ImageLayer)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("kind", PADDING)
@pytest.mark.parametrize("name", [name for name in SUBJECTS if not says_so(name)])
def test_what_stands_at_a_masked_step_moves_nothing(name, kind, training):
    make, shape = SUBJECTS[name]
    mask = masked(shape, kind)
    x = np.random.default_rng(0).standard_normal(shape)
    others = [np.where(beside(mask, x.ndim), x, noise) for noise in NOISE]
    chain = built(make, x, mask)
    before = snapshot(chain)

    wanted = run(chain, x, mask, training)
    for other in others:
        restore(before)
        assert_same(run(chain, other, mask, training), wanted)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if says_so(name)])
def test_a_layer_that_cannot_use_a_mask_says_so_once_by_name_and_ends_it(name):
    make, shape = SUBJECTS[name]
    x, mask = np.ones(shape), masked(shape, "end")
    layer = make()
    layer.build((None, *shape[1:]))

    layer.propagate(x, Context(mask=None))
    layer.propagate(x, Context(mask=np.ones_like(mask)))  # no padding, nothing to say
    with pytest.warns(UserWarning, match=rf"{type(layer).__name__}.* with a mask and does not use"):
        _, _, left = layer.propagate(x, Context(mask=mask))
    layer.propagate(x, Context(mask=mask))

    assert left is None


# Layers with a weight for each step, or for whole sequences, have no other length.
OF_ONE_LENGTH = {
    "BatchNormalization of steps",
    "LayerNormalization over time",
    "LayerNormalization over time alone",
    "PReLU",
    "PositionEmbedding",
    "RMSNormalization over time",
    "Reshape, steps kept",
}
POSITIONS = {
    "RotaryEmbedding",
    "SinePositionEncoding",
    "Slice",
}  # padding in front counts as steps before


@pytest.mark.parametrize("more", [1, 2, 3, 5])
@pytest.mark.parametrize("where", ["front", "end"])
@pytest.mark.parametrize(
    "name",
    [n for n, (_, shape) in SUBJECTS.items() if not says_so(n) and len(shape) > 2],
)
def test_a_padded_sequence_is_the_sequence(name, where, more):
    make, shape = SUBJECTS[name]
    if name in OF_ONE_LENGTH or (where == "front" and name in POSITIONS):
        pytest.skip("what it does depends on places")
    x = np.random.default_rng(0).standard_normal((2, 5, *shape[2:]))
    pad = [(0, 0), (more, 0) if where == "front" else (0, more), *[(0, 0)] * (x.ndim - 2)]
    longer, mask = (np.pad(a, pad[: a.ndim], constant_values=0) for a in (x, np.ones((2, 5), bool)))
    longer[~mask] = 3.0
    training = "BatchNormalization" in name or "statistics" in name

    real = np.ones((2, 5), bool)

    wanted = run(built(make, x, real), x, real, training)
    found = run(built(make, longer, mask), longer, mask, training)

    assert_same(found, wanted, leave_out=("mask", "dx of padding"))


def assert_same(found, wanted, leave_out=()):
    for what in wanted.keys() - set(leave_out):
        np.testing.assert_allclose(found[what], wanted[what], rtol=1e-9, atol=1e-12, err_msg=what)


# ------------------------------------------------------------------------------ masks as users give


STEPS_OF = np.array([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    "given",
    [
        STEPS_OF.astype(float),
        STEPS_OF.astype("float32"),
        STEPS_OF.astype(int),
        STEPS_OF.tolist(),
        STEPS_OF.astype(float).tolist(),
        STEPS_OF[..., None],
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: LSTM(2, return_sequences=True),
        lambda: Conv1D(2, 2, padding="same"),
        GlobalAveragePooling1D,
        lambda: layers.MultiHeadAttention(2, 2),
        lambda: Bidirectional(GRU(2)),
        lambda: layers.Softmax(axis=1),
        lambda: Chain([Dense(3), BatchNormalization(), LSTM(2)]),
    ],
)
def test_ones_and_zeros_are_a_mask(make, given):
    layer, x = make(), normal(2, 3, 4)
    wanted = layer(x, mask=STEPS_OF)

    np.testing.assert_array_equal(layer(x, mask=given), wanted)
    if np.ndim(given) == 2:
        y, _ = layer.forward(layer.cast(x), Context(mask=given))
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([[1.0, 0.5, 0.0]] * 2, ValueError, "or of 1 and 0, and found 0.5"),
        ([[2, 1, 0]] * 2, ValueError, "found 2 in it"),
        ([[np.nan, 1, 0]] * 2, ValueError, "found nan"),
        ([["a", "b", "c"]] * 2, TypeError, "True and False, got one of dtype"),
        ([[True, False], [True]], ValueError, "rows of one length"),
        (np.ones((2, 4)), ValueError, r"shape \(2, 3\), batch and time, got \(2, 4\)"),
        (np.ones((3, 3)), ValueError, r"got \(3, 3\), which broadcasts .* input of \(2, 3, 4\)"),
        (np.ones(5), ValueError, r"got \(5,\)"),
        (np.ones((2, 3, 5)), ValueError, r"got \(2, 3, 5\)"),
    ],
)
@pytest.mark.parametrize("make", [GlobalAveragePooling1D, lambda: Dense(2), lambda: LSTM(2)])
def test_what_is_no_mask_is_refused_by_name(make, mask, error, message):
    layer = make()

    with pytest.raises(error, match=rf"{type(layer).__name__}.* expects a mask .*{message}"):
        layer(normal(2, 3, 4), mask=mask)


def test_a_mask_in_a_context_is_checked_as_well():
    with pytest.raises(ValueError, match="Context expects a mask of True and False"):
        Context(mask=[[0.5, 1.0]])
    with pytest.raises(ValueError, match=r"Conv1D.* mask of shape \(2, 3\).*got \(2, 4\)"):
        layer = Conv1D(2, 2)
        layer.build((None, 3, 4))
        layer.forward(normal(2, 3, 4), Context(mask=np.ones((2, 4))))


@pytest.mark.parametrize("mask", [[[1, 1, 0]], [1, 1, 0], [[1], [0]], [1, 0], 1])
def test_a_mask_broadcasts_over_batch_and_time(mask):
    x, layer = normal(2, 3, 4), GlobalAveragePooling1D()
    whole = {(2,): lambda m: np.repeat(np.array(m)[:, None], 3, 1)}
    wide = whole.get(np.shape(mask), lambda m: np.broadcast_to(m, (2, 3)))(mask)

    np.testing.assert_array_equal(layer(x, mask=mask), layer(x, mask=wide))


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        (-1, (2, 3, 4)),
        (-1, (4,)),
        (-1, (3, 4)),
        (-1, (1, 4)),
        (-1, (2, 1, 4)),
        (1, (2, 3, 4)),
        (1, (3, 1)),
        ((1, 2), (3, 4)),
    ],
)
def test_a_softmax_obeys_any_mask_that_broadcasts_as_in_keras(axis, shape):
    x = normal(2, 3, 4).astype("float32")
    mask = np.random.default_rng(1).random(shape) < 0.6
    mask.reshape(-1)[0] = True
    with keras_in("float32") as keras:
        theirs = np.asarray(keras.layers.Softmax(axis)(x, mask=mask))
    ours = layers.Softmax(axis)(x, mask=mask)
    some = np.broadcast_to(mask, x.shape).any(axis, keepdims=True)  # else Keras' are all alike

    np.testing.assert_allclose(ours, np.where(some, theirs, 0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_global_mean_under_a_mask_is_keras(data_format):
    x, mask = normal(3, 4, 5).astype("float32"), np.arange(4) < np.array([[1], [4], [2]])
    x = x if data_format == "channels_last" else x.swapaxes(1, 2)
    with keras_in("float32") as keras:
        wanted = np.asarray(keras.layers.GlobalAveragePooling1D(data_format)(x, mask=mask))

    for given in (mask, mask.astype(float)):
        found = GlobalAveragePooling1D(data_format)(x, mask=given)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize("axes", [2, 3])
def test_whole_images_are_pooled_over_the_places_that_a_mask_leaves(kind, axes):
    layer = getattr(layers, f"Global{kind}Pooling2D")(dtype="float64")
    x = normal(2, 3, 4, 5)
    mask = np.random.default_rng(0).random((2, 3, 4)[:axes]) < 0.6
    by = {"Average": np.mean, "Max": np.max}[kind]
    wanted = [by(x[n][mask[n]].reshape(-1, 5), axis=0) for n in range(2)]

    np.testing.assert_allclose(layer(x, mask=mask), wanted)
    assert_gradients(layer, x, mask=mask)


# ------------------------------------------------------------------------------ windows


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_real_windows_lie_within_the_sequence_and_see_a_step(size, stride, dilation):
    mask = np.random.default_rng(size).random((20, 8)) < 0.5
    windows = Windows((size,), (stride,), "valid", (dilation,))
    places = [
        [i + k * dilation for k in range(size)] for i in range(0, 8 - (size - 1) * dilation, stride)
    ]

    moved = reference.moved_forward(mask, mask, stride)

    np.testing.assert_array_equal(windows.mask(mask), reference.real_windows(moved, places))


def test_the_mask_of_windows_by_hand():
    real = np.array([[0, 1, 1, 0, 1, 1, 1, 0]], bool)

    def mask(size, stride, padding):
        return Windows((size,), (stride,), padding).mask(real)[0].astype(int).tolist()

    assert mask(3, 1, "same") == real[0].astype(int).tolist()
    assert mask(2, 1, "causal") == real[0].astype(int).tolist()
    assert mask(2, 1, "valid") == [0, 1, 1, 1, 1, 1, 0]
    assert mask(2, 2, "same") == mask(2, 2, "valid") == [1, 1, 1, 0]  # from the first real step on
    assert mask(1, 3, "same") == [1, 1, 0]


@pytest.mark.parametrize(
    "layer",
    [
        Conv1D(2, 3, strides=2, padding="same"),
        layers.SeparableConv1D(2, 3, strides=2, padding="same"),
        MaxPooling1D(3, padding="same"),
        layers.AveragePooling1D(3, 2, padding="same"),
        SpectralNormalization(Conv1D(2, 3, strides=2, padding="same")),
    ],
)
def test_windows_that_padding_shifts_are_warned_of_and_the_mask_goes_on(layer):
    x, mask = normal(2, 5, 4).astype("float32"), np.arange(5) < np.array([[5], [3]])
    layer.build((None, 5, 4))

    with pytest.warns(UserWarning, match="mask and lays its windows by the length"):
        _, _, left = layer.propagate(x, Context(mask=mask))
    assert left.any(1).all() and left[0].all()


HOLES = np.array(
    [[0, 1, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]], bool
)


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: Conv1D(2, 3, strides=2, padding="causal", activation="tanh", **o),
        lambda **o: Conv1D(2, 2, data_format="channels_first", **o),
        lambda **o: layers.Conv1DTranspose(2, 3, strides=2, **o),
        lambda **o: layers.DepthwiseConv1D(2, padding="same", depth_multiplier=2, **o),
        lambda **o: layers.SeparableConv1D(2, 2, strides=2, **o),
        lambda **o: MaxPooling1D(2, **o),
        lambda **o: MaxPooling1D(3, 1, "same", data_format="channels_first", **o),
        lambda **o: layers.AveragePooling1D(3, 2, **o),
        lambda **o: layers.AveragePooling1D(2, 1, "same", data_format="channels_first", **o),
        lambda **o: layers.GlobalMaxPooling1D("channels_first", **o),
        lambda **o: layers.ZeroPadding1D((1, 2), **o),
        lambda **o: layers.ZeroPadding1D(1, data_format="channels_first", **o),
        lambda **o: layers.Cropping1D((1, 0), **o),
        lambda **o: layers.UpSampling1D(3, **o),
        lambda **o: layers.GroupNormalization(2, **o),
        lambda **o: layers.GroupNormalization(2, axis=1, **o),
        lambda **o: LayerNormalization(axis=(1, 2), **o),
        lambda **o: LayerNormalization(axis=1, rms_scaling=True, **o),
        lambda **o: layers.RMSNormalization(axis=1, **o),
        lambda **o: layers.UnitNormalization(axis=(1, 2), **o),
        lambda **o: layers.Softmax(axis=(1, 2), **o),
        lambda **o: Parallel([Conv1D(2, 2, padding="same"), Dense(2)], axis=1, **o),
        lambda **o: TimeDistributed(BatchNormalization(), **o),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_the_gradient_under_a_mask_is_that_of_differences(make):
    layer = make(dtype="float64")
    x = normal(4, 6, 4)

    assert_gradients(layer, x.swapaxes(1, 2) if layer.channels_first else x, mask=HOLES)


def test_zeros_are_put_beside_the_real_steps_and_borders_cut_from_them():
    x = np.arange(1.0, 7).reshape(1, 6, 1).repeat(4, 0)
    pad, crop = layers.ZeroPadding1D((1, 2)), layers.Cropping1D((1, 1))
    padded, cut = (layer(x, mask=HOLES)[..., 0].astype(int).tolist() for layer in (pad, crop))

    assert padded[0] == [0, 0, 2, 3, 0, 5, 0, 0, 0]
    assert padded[3] == [0, 1, 2, 3, 0, 0, 0, 0, 0]
    assert pad.compute_mask(x, HOLES).astype(int).tolist() == [
        [0, 1, 1, 1, 0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0],
    ]
    assert cut[0] == [2, 3, 4, 5]
    assert crop.compute_mask(x, HOLES).astype(int).tolist() == [
        [0, 1, 0, 0],
        [1, 1, 1, 1],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_pooling_by_hand():
    x = np.array([5.0, 1.0, 3.0, 9.0, 2.0, 8.0]).reshape(1, 6, 1).repeat(4, 0)
    largest, mean = MaxPooling1D(2), layers.AveragePooling1D(2)

    # the first sequence begins at its second step: 1 3, 9 2, 8 5, of which 1, 3 and 2 are real
    assert largest(x, mask=HOLES)[..., 0].tolist() == [[3, 2, 0], [5, 9, 8], [0, 0, 0], [5, 3, 0]]
    assert mean(x, mask=HOLES)[..., 0].tolist() == [[2, 2, 0], [3, 6, 5], [0, 0, 0], [3, 3, 0]]
    assert mean.compute_mask(x, HOLES).tolist() == [
        [True, True, False],
        [True, True, True],
        [False, False, False],
        [True, False, False],  # its third step alone makes no window
    ]


# ------------------------------------------------------------------------------ recurrent layers


BACKWARDS = [
    lambda **more: layers.SimpleRNN(3, return_sequences=True, **more),
    lambda **more: GRU(3, return_sequences=True, **more),
    lambda **more: LSTM(3, return_sequences=True, **more),
    lambda **more: TimeDistributedIn(layers.ConvLSTM1D(2, 2, return_sequences=True, **more)),
]


def TimeDistributedIn(layer):
    """A recurrent layer of sequences, put to rows of numbers."""
    return Chain([layers.Reshape((-1, 4, 1)), layer])


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("make", BACKWARDS)
def test_going_backwards_the_mask_of_all_outputs_is_reversed_with_them(make, zeros):
    layer = make(go_backwards=True, zero_output_for_mask=zeros, dtype="float64")
    x = normal(1, 5, 4)
    mask = np.array([[True, True, True, False, False]])
    layer.build((None, None, 4))
    y, _, left = layer.propagate(x, Context(mask=mask))
    alone, _, _ = layer.propagate(x[:, :3], Context())

    np.testing.assert_array_equal(left, mask[:, ::-1])
    np.testing.assert_allclose(y[left], alone[0], rtol=1e-12)
    assert not y[~left].any()  # nothing is read yet: the state is 0, and with zeros so is y


def test_films_with_their_channels_first_have_steps_in_front_of_them():
    mask, x = np.array([[1, 1, 0], [1, 0, 0]]), normal(2, 3, 2, 4, 4)
    layer = layers.ConvLSTM2D(2, 2, data_format="channels_first")

    np.testing.assert_allclose(layer(x, mask=mask)[0], layer(x[:1, :2])[0], rtol=1e-5)


# ------------------------------------------------------------------------------ steps within steps


WORDS = np.array([[[3, 4, 0], [5, 0, 0], [0, 0, 0]], [[1, 2, 3], [4, 4, 0], [6, 0, 0]]])


@pytest.mark.parametrize(
    "reader",
    [
        lambda: [TimeDistributed(GRU(3))],
        lambda: [TimeDistributed(LSTM(3, return_sequences=True)), TimeDistributed(GRU(2))],
        lambda: [TimeDistributed(Dense(3)), TimeDistributed(GlobalAveragePooling1D())],
        lambda: [TimeDistributed(Bidirectional(GRU(2)))],
        lambda: [TimeDistributed(Conv1D(3, 2)), TimeDistributed(layers.GlobalMaxPooling1D())],
        lambda: [Dense(3), TimeDistributed(TransformerBlock(4, 1)), TimeDistributed(LSTM(2))],
        lambda: [TimeDistributed(Chain([Dense(3), BatchNormalization(), GRU(2)]))],
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["embedding before", "embedding inside"])
def test_sentences_of_words_are_read_without_their_padding(reader, inside):
    def made():
        first, *rest = reader()
        if not inside:
            return [Embedding(9, 4, mask_zero=True), first, *rest]
        if not isinstance(first, TimeDistributed):
            pytest.skip("the first layer is no layer of words")
        return [TimeDistributed(Chain([Embedding(9, 4, mask_zero=True), first.layer])), *rest]

    def model():
        bp.utils.set_random_seed(0)
        return bp.Sequential([bp.Input((None, None), dtype="int32"), *made(), GRU(2)])

    padded, wider = WORDS[:1], np.pad(WORDS[:1], [(0, 0), (0, 2), (0, 4)])
    short = WORDS[:1, :2, :2]
    found = [model().predict(words, verbose=0) for words in (short, padded, wider)]

    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "mask"),
    [
        (TimeDistributed(GRU(2)), (2, 3), [[1, 1, 0], [1, 1, 1]]),
        (TimeDistributed(LSTM(2, return_sequences=True)), (2, 3, 3), WORDS != 0),
        (TimeDistributed(Dense(2)), (2, 3, 3), WORDS != 0),
        (TimeDistributed(layers.UpSampling1D(2)), (2, 3, 6), (WORDS != 0).repeat(2, 2)),
    ],
)
def test_the_mask_that_comes_out_of_every_step(layer, shape, mask):
    x = normal(2, 3, 3, 4)
    layer.build((None, *x.shape[1:]))
    _, _, left = layer.propagate(x, Context(mask=WORDS != 0))

    assert left.shape == shape
    np.testing.assert_array_equal(left, np.array(mask, bool))


def test_a_mask_of_sentences_and_one_of_their_words_meet():
    layer = TimeDistributed(Embedding(9, 2, mask_zero=True))
    layer.build((None, 3, 3))
    _, _, left = layer.propagate(WORDS, Context(mask=[[1, 0, 1], [1, 1, 0]]))

    wanted = (WORDS != 0) & np.array([[1, 0, 1], [1, 1, 0]], bool)[:, :, None]
    np.testing.assert_array_equal(left, wanted)


def test_a_mask_that_does_not_fit_the_steps_within_is_refused():
    layer = TimeDistributed(GRU(2))
    layer.build((None, 3, 4, 2))

    with pytest.raises(ValueError, match=r"mask of shape \(2, 3, 4\).* got \(2, 3, 5\)"):
        layer.propagate(normal(2, 3, 4, 2), Context(mask=np.ones((2, 3, 5))))


def test_a_batch_of_films_is_normalised_without_the_images_that_pad_it():
    mask = np.array([[True, True, False], [True, True, True]])
    x = normal(2, 3, 4, 4, 2)
    layer = TimeDistributed(Chain([layers.Conv2D(2, 2), BatchNormalization()]), dtype="float64")
    layer.build((None, *x.shape[1:]))
    y, _, _ = layer.propagate(x, Context(True, mask))
    other = np.where(mask[..., None, None, None], x, 7.0)
    z, _, _ = layer.propagate(other, Context(True, mask))

    np.testing.assert_array_equal(y[mask], z[mask])


# ------------------------------------------------------------------------------ whole models


IDS = np.array([[3, 4, 5, 0, 0, 0], [5, 1, 0, 0, 0, 0], [2, 2, 2, 7, 0, 0]])

MODELS = {
    "sequence": lambda: [Conv1D(4, 3, padding="same"), Dense(2)],
    "branches": lambda: [
        Residual([Conv1D(4, 3, padding="causal"), ReLU()]),
        Parallel([GRU(2, return_sequences=True), Dense(3)]),
        GlobalAveragePooling1D(),
        Dense(2),
    ],
    "block": lambda: [TransformerBlock(6, 2), MaxPooling1D(2), LSTM(3), Dense(2)],
    "statistics": lambda: [
        BatchNormalization(),
        layers.GroupNormalization(2),
        Bidirectional(LSTM(2, return_sequences=True)),
        layers.GlobalMaxPooling1D(),
        Dense(2),
    ],
    "penalty": lambda: [Dense(3, activity_regularizer="l2"), layers.GlobalMaxPooling1D(), Dense(2)],
}


def trained(kind, ids, made_within=False):
    """Weights, history and predictions after two epochs of batches of two."""
    bp.utils.set_random_seed(0)
    first = [Embedding(9, 4, mask_zero=True)]
    if made_within:  # behind zeros, by which padding is known again
        first = [Embedding(9, 4, embeddings_initializer=zero_row), Parallel([Masking()])]
    model = bp.Sequential([bp.Input((None,), dtype="int32"), *first, *MODELS[kind]()])
    model.compile("sgd", "mse", metrics=["mae"])
    y = np.cos(np.arange(6.0)).reshape(3, 2)
    if kind == "sequence":
        y = np.cos(np.arange(ids.size * 2.0)).reshape(*ids.shape, 2)
        y[ids == 0] = 99
        y[ids != 0] = np.cos(np.arange(2 * (ids != 0).sum())).reshape(-1, 2)
    history = model.fit(ids, y, epochs=2, batch_size=2, shuffle=False, verbose=0).history
    real = ids != 0 if kind == "sequence" else np.ones(len(ids), bool)
    predicted = model.predict(ids, verbose=0)[real]
    return [*history.values(), model.evaluate(ids, y, verbose=0), predicted, *model.get_weights()]


def zero_row(shape, dtype=None, rng=None):
    values = np.sin(np.arange(np.prod(shape))).reshape(shape).astype(dtype)
    values[0] = 0
    return values


@pytest.mark.parametrize("more", [1, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_trains_the_same_however_long_the_padding_is(kind, more):
    longer = np.pad(IDS, [(0, 0), (0, 2 * more)])

    for found, wanted in zip(trained(kind, longer), trained(kind, IDS), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "within",
    [
        lambda: Residual([Masking(), LSTM(4, return_sequences=True)]),
        lambda: Parallel([Masking(), Dense(3)]),
        lambda: Parallel([Chain([Masking(), Conv1D(3, 3, padding="same")]), Dense(2)]),
        lambda: TimeDistributed(Masking()),
    ],
)
def test_a_mask_made_within_a_container_comes_out(within):
    def predict(x):
        bp.utils.set_random_seed(0)
        model = bp.Sequential([bp.Input((None, 4)), within(), GRU(3), Dense(1)])
        return model.predict(x, verbose=0)

    x = normal(2, 3, 4)

    np.testing.assert_allclose(predict(np.pad(x, [(0, 0), (0, 3), (0, 0)])), predict(x), rtol=1e-5)


def test_branches_one_behind_the_other_keep_their_masks():
    layer = Parallel([Masking(), Chain([Dense(2), Conv1D(2, 2, padding="same")])], axis=1)
    x = normal(1, 3, 2)
    x[:, 2] = 0
    layer.build((None, 3, 2))
    _, _, left = layer.propagate(x, Context())

    assert left.tolist() == [[True, True, False, True, True, True]]


def test_what_was_masked_stays_masked():
    mask = np.array([[True, False, True]])
    chain = Chain([Gives(mask), Masking(), LayerNormalization(), Masking(1e9), Embedding4()])
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]])
    chain.build((None, 3, 2))
    _, _, left = chain.propagate(x.astype("float32"), Context())

    assert left.tolist() == [[True, False, False]]
    assert Embedding(5, 2, mask_zero=True).compute_mask(np.array([[0, 1, 2]]), mask).tolist() == [
        [False, False, True]
    ]
    assert Embedding(5, 2).compute_mask(np.array([[0, 1, 2]]), mask) is mask


class Embedding4(Layer):
    """A layer of a user's, whose mask is of numbers."""

    def compute_mask(self, x, mask):
        return mask.astype("float32")

    def forward(self, x, ctx=None):
        return x, None


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "huber", "poisson"])
def test_targets_and_predictions_that_are_masked_may_be_anything(loss):
    mask = np.array([[True, True, False], [True, False, False]])
    y, p = (np.random.default_rng(k).uniform(0.1, 0.9, (2, 3, 2)) for k in (0, 1))
    loss = losses.get(loss)

    def run(y, p, mask):
        value, cache = loss.forward(y, p, None, mask)
        metrics = MetricSet(["mae", "mse"], None, loss)
        metrics.build(y.shape, p.shape)
        metrics.update(y, p, None, mask.astype(bool))
        return [value, loss.backward(cache), *(metric.result() for _, metric, _ in metrics.items)]

    wanted = run(y, p, mask)
    bad = mask[..., None]
    for noise in (np.nan, np.inf, -np.inf):
        for given in (mask, mask.astype(float)):
            found = run(np.where(bad, y, noise), np.where(bad, p, noise), given)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_row_of_nan_in_an_embedding_reaches_no_gradient():
    chain = Chain([Embedding(9, 4, mask_zero=True), Dense(3), LSTM(2)], dtype="float64")
    chain.build((None, 3))
    chain.layers[0].embeddings[0] = np.nan
    _, caches, _ = chain.propagate(np.array([[3, 4, 0]]), Context())
    chain.backward(np.ones((1, 2)), caches)

    assert all(np.isfinite(p.gradient).all() for p in chain.arrays())


def test_a_step_that_is_masked_in_every_sequence_moves_no_statistic():
    norm = BatchNormalization(momentum=0.5)
    norm.build((None, 2, 3))
    before = norm.get_weights()
    norm.forward(normal(2, 2, 3).astype("float32"), Context(True, np.zeros((2, 2), bool)))

    for now, then in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_model_says_once_that_a_mask_ends_and_where():
    model = bp.Sequential(
        [bp.Input((6,), dtype="int32"), Embedding(9, 4, mask_zero=True), layers.Flatten(), Dense(1)]
    )
    model.compile("sgd", "mse")

    with pytest.warns(UserWarning, match=r"flatten, Flatten\(\), was passed .* a mask") as caught:
        model.fit(IDS, np.zeros(3), epochs=2, batch_size=1, verbose=0)
    assert len(caught) == 1
    model.predict(IDS, verbose=0)
