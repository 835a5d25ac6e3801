"""Layers beside Keras': y in inference, and the gradients of x and of every weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from convolution_cases import AXES, options_of, shapes_for
from hypothesis import strategies as st

import backprop
from backprop import layers
from backprop.layer import Context
from differential import images as images_and_columns
from differential.harness import Draw, Family, dtypes, generator, options
from differential.on_jax import Of, Question, ask


@dataclass
class Case:
    """A drawn case.

    Parameters
    ----------
    options : dict
        Of the constructor.
    shapes : tuple of tuple of int
        Of the inputs.
    form : str or tuple of int
        How Keras' layer is called, see `Question`.
    call : dict
        What Keras takes in the call, and we in the constructor.
    theirs : Of
        The layer of Keras, where its name is another.
    masks : bool
        Whether the inputs have masks.
    values : callable
        ``values(rng, shape)`` of an input.
    """

    options: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    form: str | tuple[int, ...] = "one"
    call: dict[str, Any] = field(default_factory=dict)
    theirs: Of | None = None
    masks: bool = False
    values: Callable = lambda rng, shape: rng.standard_normal(shape)


def layer(name: str, case: Callable[[Draw], Case]):
    def compare(draw: Draw):
        drawn, dtype, rng = case(draw), draw(dtypes), generator(draw)
        given = Of(name, drawn.options | drawn.call)
        inputs = [in_dtype(drawn.values(rng, shape), dtype) for shape in drawn.shapes]
        x = inputs[0] if drawn.form == "one" else tuple(inputs)
        masks = padding(rng, drawn) if drawn.masks else None

        ours = given.make(backprop, dtype=dtype)
        with_batch = tuple((None, *shape[1:]) for shape in drawn.shapes)
        ours.build(with_batch[0] if drawn.form == "one" else with_batch)
        ours.set_weights([generic(rng, p).astype(dtype) for p in ours.arrays()])
        y, cache = ours.forward(x, Context(mask=None if masks is None else as_given(drawn, masks)))
        outputs = y if isinstance(y, tuple) else (y,)
        dy = [np.cos(np.arange(part.size)).reshape(part.shape).astype(dtype) for part in outputs]
        dx = ours.backward(tuple(dy) if isinstance(y, tuple) else dy[0], cache)
        dx = dx if isinstance(dx, tuple) else (dx,)

        call = dict(drawn.call)
        if masks is not None:
            call["mask"] = masks[0] if drawn.form == "one" else masks
        theirs = drawn.theirs or Of(name, drawn.options)
        weights = [np.array(p.value) for p in ours.arrays()]
        wanted = ask(Question(theirs, dtype, drawn.form, inputs, call, weights, dy))

        assert all(part.dtype == dtype for part in outputs)
        for found, peer in zip(outputs, wanted.y, strict=True):
            yield dtype, found, peer
        for found, peer in zip(dx, wanted.dx, strict=False):
            if peer is not None and found is not None:
                yield dtype, found, peer
        for p, peer in zip(ours.arrays(), wanted.dweights, strict=True):
            if peer is not None:
                yield dtype, p.gradient, peer

    return compare


def in_dtype(x, dtype):
    return x if x.dtype.kind in "iu" else x.astype(dtype)


def as_given(drawn, masks):
    return masks[0] if drawn.form == "one" else tuple(masks)


def padding(rng, drawn):
    """Masks of sequences of at least one step, padded behind."""
    lengths = [rng.integers(1, shape[1] + 1, (shape[0], 1)) for shape in drawn.shapes]
    return [np.arange(shape[1]) < n for shape, n in zip(drawn.shapes, lengths, strict=True)]


def generic(rng, p):
    """Values of a weight; those of a buffer may be variances."""
    values = 0.6 * rng.standard_normal(p.shape)
    return np.abs(values) + 0.3 if p.gradient is None else values


# ---------------------------------------------------------------------------- what is drawn

few = st.integers(1, 4)
yes = st.booleans()
activations = st.sampled_from([None, "tanh", "relu", "sigmoid"])
formats = st.sampled_from(["channels_last", "channels_first"])


def sizes(rank: int, least: int = 1, most: int = 4) -> st.SearchStrategy:
    return st.tuples(*[st.integers(least, most)] * rank)


def simple(strategies: dict, shapes: st.SearchStrategy = st.integers(2, 4).flatmap(sizes), **more):  # noqa: B008
    """Options that fit every shape."""
    masked = more.pop("masked", False)

    def case(draw):
        return Case(options(draw, strategies), (draw(shapes),), masks=masked and draw(yes), **more)

    return case


def as_activation(name, **strategies):
    """A layer for which Keras has a function."""

    def case(draw):
        given = options(draw, strategies)
        theirs = Of("Activation", {"activation": Of(name, given, "activations")})
        return Case(given, (draw(sizes(3)),), theirs=theirs)

    return case


def several(strategies: dict | None = None, least: int = 2, most: int = 4):
    """Inputs of one shape, some of whose axes may be 1."""

    def case(draw):
        shape = draw(sizes(3))
        n = draw(st.integers(least, most))
        narrow = draw(st.lists(st.booleans(), min_size=n, max_size=n))
        shapes = tuple((*shape[:-1], 1) if one else shape for one in narrow)
        return Case(options(draw, strategies or {}), shapes, "list")

    return case


def concatenate(draw):
    shape, axis = draw(sizes(3)), draw(st.sampled_from([1, 2, -1, -2]))
    lengths = draw(st.lists(few, min_size=2, max_size=4))
    shapes = [list(shape) for _ in lengths]
    for found, n in zip(shapes, lengths, strict=True):
        found[axis] = n
    return Case({"axis": axis}, tuple(map(tuple, shapes)), "list")


def dot(draw):
    batch, common, m, n = draw(sizes(4))
    one, other = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2), (2, -2)]))
    a = (batch, common, m) if one == 1 else (batch, m, common)
    b = (batch, common, n) if other in (1, -2) else (batch, n, common)
    return Case({"axes": (one, other), "normalize": draw(yes)}, (a, b), "list")


def convolution(name):
    def case(draw):
        given = draw(options_of(name))
        return Case(given | {"activation": draw(activations)}, (draw(shapes_for(name, given)),))

    return case


def images(axes, least=3, most=6, data_format=None, channels=3):
    """Shapes with that many axes between the batch and the channels."""
    n, k = st.integers(1, 2), st.integers(1, channels)
    inner = sizes(axes, least, most if axes < 3 else least + 1)
    if data_format == "channels_first":
        return st.tuples(n, k, inner).map(lambda s: (s[0], s[1], *s[2]))
    return st.tuples(n, inner, k).map(lambda s: (s[0], *s[1], s[2]))


def windows(axes, strategies, **more):
    """Options that take a data format, with images of it."""

    def case(draw):
        data_format = draw(formats)
        given = options(draw, strategies) | {"data_format": data_format}
        return Case(given, (draw(images(axes, data_format=data_format, **more)),))

    return case


def pooling(axes):
    return windows(
        axes,
        {
            "pool_size": st.integers(1, 3) | sizes(axes, 1, 3),
            "strides": st.none() | st.integers(1, 2),
            "padding": st.sampled_from(["valid", "same"]),
        },
    )


def of_axes(axes, name, one):
    """An option that is one number, or one for each of the axes."""
    if axes == 1:
        return {name: one}
    return {name: one | st.tuples(*[one] * axes)}


def pairs(axes):
    end = st.integers(0, 1)
    both = st.tuples(end, end)
    return end | (both if axes == 1 else st.tuples(*[both] * axes))


def on_axis(strategies, several_axes=False):
    """An axis that is not that of the batch."""

    def case(draw):
        shape = draw(st.integers(2, 4).flatmap(lambda rank: sizes(rank, 2)))
        axis = st.integers(1, len(shape) - 1) | st.just(-1)
        if several_axes:
            axis |= st.lists(
                st.integers(1, len(shape) - 1), min_size=1, max_size=3, unique=True
            ).map(sorted)
        return Case(options(draw, strategies) | {"axis": draw(axis)}, (shape,))

    return case


def group_normalization(draw):
    groups, shape = draw(st.sampled_from([1, 2, 3, -1])), list(draw(sizes(3)))
    axis = draw(st.sampled_from([-1, 1, 2]))
    shape[axis] *= max(groups, 1)
    given = {"groups": groups, "axis": axis, "center": draw(yes), "scale": draw(yes)}
    return Case(given, (tuple(shape),))


def normalization(draw):
    shape = draw(sizes(3))
    rng = generator(draw)
    given = {"axis": -1, "mean": rng.standard_normal(shape[-1]).tolist()}
    given["variance"] = rng.uniform(0.1, 2, shape[-1]).tolist()
    return Case(given | {"invert": draw(yes)}, (shape,))


def p_relu(draw):
    shape = draw(sizes(3))
    axes = st.none() | st.lists(st.integers(1, 2), min_size=1, max_size=2, unique=True)
    return Case({"shared_axes": draw(axes)}, (shape,))


def reshape(draw):
    shape = draw(sizes(3))
    targets = [(-1,), (shape[2], shape[1]), (shape[1] * shape[2], 1), (1, -1)]
    return Case({"target_shape": draw(st.sampled_from(targets))}, (shape,))


def permute(draw):
    shape = draw(st.integers(2, 4).flatmap(sizes))
    return Case({"dims": tuple(draw(st.permutations(range(1, len(shape)))))}, (shape,))


def einsum_dense(draw):
    a, b, c = draw(sizes(3))
    forms = [("ab,bc->ac", c, "c"), ("abc,cd->abd", (None, a), "d"), ("...x,xy->...y", c, "y")]
    equation, output_shape, axes = draw(st.sampled_from(forms))
    shape = (a, b) if equation.startswith("ab,") else (a, b, c)
    given = {"equation": equation, "output_shape": output_shape, "activation": draw(activations)}
    return Case(given | {"bias_axes": draw(st.none() | st.just(axes))}, (shape,))


def embedding(draw):
    n = draw(st.integers(2, 6))
    given = {"input_dim": n, "output_dim": draw(few), "mask_zero": draw(yes)}
    return Case(given, (draw(sizes(2)),), values=lambda rng, shape: rng.integers(n, size=shape))


def reversible_embedding(draw):
    case = embedding(draw)
    case.options["tie_weights"] = draw(yes)
    return case


def spectrogram(draw):
    """Without the angle, where a turn is nothing, and the log, which has a pole."""
    data_format = draw(formats)
    given = {
        "mode": draw(st.sampled_from(["magnitude", "psd", "real", "imag", "stft"])),
        "frame_length": draw(st.integers(4, 9)),
        "frame_step": draw(st.none() | few),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "expand_dims": draw(yes),
        "data_format": data_format,
    }
    return Case(given, (draw(images(1, 12, 20, data_format=data_format)),))


def masking(draw):
    def values(rng, shape):
        x = rng.standard_normal(shape)
        x[rng.random(shape[:2]) < 0.4] = 2.0
        return x

    return Case({"mask_value": 2.0}, (draw(sizes(3)),), values=values)


# recurrent layers

recurrent = {
    "units": few,
    "activation": st.sampled_from(["tanh", "relu"]),
    "use_bias": yes,
}
gated = recurrent | {"recurrent_activation": st.sampled_from(["sigmoid", "hard_sigmoid"])}
CELLS = {"SimpleRNN": recurrent, "LSTM": gated, "GRU": gated | {"reset_after": yes}}
ends = {
    "return_sequences": yes,
    "return_state": yes,
    "go_backwards": yes,
    "zero_output_for_mask": yes,
}


def sequences(draw, given):
    masked = draw(yes)
    if masked and not given.get("return_sequences"):
        given |= {"zero_output_for_mask": False}  # Keras returns 0 where the last step is padding
    return Case(given, (draw(sizes(3)),), masks=masked)


def recurrent_layer(name):
    return lambda draw: sequences(draw, options(draw, CELLS[name] | ends))


def a_cell(draw, name):
    return Of(f"{name}Cell", options(draw, CELLS[name]))


def states_of(name, units):
    return [units, units] if name == "LSTM" else [units]


def cell(name):
    def case(draw):
        given, (n, k) = options(draw, CELLS[name]), draw(sizes(2))
        states = [(n, m) for m in states_of(name, given["units"])]
        return Case(given, ((n, k), *states), "cell")

    return case


def some_cells(draw):
    names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=2))
    return names, [a_cell(draw, name) for name in names]


def stacked(draw):
    names, cells = some_cells(draw)
    n, k = draw(sizes(2))
    states = [
        [(n, m) for m in states_of(name, one.options["units"])]
        for name, one in zip(names, cells, strict=True)
    ]
    form = tuple(map(len, states))
    return Case({"cells": cells}, ((n, k), *(s for part in states for s in part)), form)


def rnn(draw):
    _, cells = some_cells(draw)
    given = options(draw, ends) | {"cell": cells[0] if len(cells) == 1 else cells}
    return sequences(draw, given)


def bidirectional(draw):
    name = draw(st.sampled_from(sorted(CELLS)))
    within = Of(name, options(draw, CELLS[name]) | {"return_sequences": draw(yes)})
    merge = st.sampled_from(["concat", "sum", "mul", "ave"])
    return Case({"layer": within, "merge_mode": draw(merge)}, (draw(sizes(3)),), masks=draw(yes))


def time_distributed(draw):
    within = Of("Dense", {"units": draw(few), "activation": "tanh"})
    return Case({"layer": within}, (draw(sizes(4)),))


def conv_lstm(axes):
    return windows(
        axes,
        {
            "filters": st.integers(1, 2),
            "kernel_size": st.integers(1, 2),
            "padding": st.sampled_from(["valid", "same"]),
            "return_sequences": yes,
            "use_bias": yes,
        },
    )


def images_in_time(axes):
    """Shapes of ConvLSTM: the time comes before the image, whatever the format."""
    within = conv_lstm(axes)

    def case(draw):
        found = within(draw)
        n, *rest = found.shapes[0]
        return Case(found.options, ((n, draw(st.integers(1, 2)), *rest),))

    return case


# attention


def scores(strategies):
    def case(draw):
        n, t, s, k = draw(sizes(4))
        shapes = ((n, t, k), (n, s, k), (n, s, k))[: draw(st.integers(2, 3))]
        call = {"use_causal_mask": draw(yes), "return_attention_scores": draw(yes)}
        return Case(options(draw, strategies), shapes, "list", call)

    return case


def heads(strategies):
    def case(draw):
        given = options(draw, strategies)
        n, t, s, k = draw(sizes(4))
        call = {"use_causal_mask": draw(yes), "return_attention_scores": draw(yes)}
        if grouped := "num_query_heads" in given:
            given["num_query_heads"] *= given["num_key_value_heads"]
        elif call["return_attention_scores"]:  # without them Keras on JAX knows one depth alone
            given["value_dim"] = draw(few)
        deep = st.just(k) if grouped else few
        shapes = ((n, t, k), (n, s, draw(deep)), (n, s, draw(deep)))[: draw(st.integers(2, 3))]
        return Case(given, shapes, "each", call)

    return case


anything = simple({})
rate = {"rate": st.floats(0, 0.9)}
fractions = st.floats(0, 0.5)
share = st.floats(0.05, 0.95)
rgb = sizes(2, 3, 6).map(lambda size: (2, *size, 3))
# from Keras' default on: below it, values that are near each other have a deviation so small that
# dividing by it shows the rounding of both libraries
norms = {"epsilon": st.floats(1e-3, 1e-1), "center": yes, "scale": yes}
LAYERS: dict[str, Callable[[Draw], Case]] = {
    # elementwise
    "Activation": simple({"activation": st.sampled_from(["tanh", "gelu", "silu", "softmax"])}),
    "ActivityRegularization": simple({"l1": st.floats(0, 1), "l2": st.floats(0, 1)}),
    "Identity": anything,
    "ELU": simple({"alpha": st.floats(0.1, 3)}),
    "LeakyReLU": simple({"negative_slope": st.floats(0, 1)}),
    "PReLU": p_relu,
    "ReLU": simple(
        {
            "max_value": st.none() | st.floats(0.5, 3),
            "negative_slope": st.floats(0, 1),
            "threshold": st.floats(0, 1),
        }
    ),
    "Softmax": on_axis({}),
    "CELU": as_activation("celu", alpha=st.floats(0.1, 3)),
    "Exponential": as_activation("exponential"),
    "GELU": as_activation("gelu", approximate=yes),
    "GLU": lambda draw: Case({}, ((2, 3, 4),), theirs=Of("Activation", {"activation": "glu"})),
    "HardShrink": as_activation("hard_shrink", threshold=st.floats(0, 1)),
    "HardSiLU": as_activation("hard_silu"),
    "HardSigmoid": as_activation("hard_sigmoid"),
    "HardTanh": as_activation("hard_tanh"),
    "Linear": as_activation("linear"),
    "LogSigmoid": as_activation("log_sigmoid"),
    "LogSoftmax": as_activation("log_softmax", axis=st.sampled_from([-1, 1])),
    "Mish": as_activation("mish"),
    "ReLU6": as_activation("relu6"),
    "SELU": as_activation("selu"),
    "SiLU": as_activation("silu"),
    "Sigmoid": as_activation("sigmoid"),
    "SoftShrink": as_activation("soft_shrink", threshold=st.floats(0, 1)),
    "Softplus": as_activation("softplus"),
    "Softsign": as_activation("softsign"),
    "SparsePlus": as_activation("sparse_plus"),
    "SparseSigmoid": as_activation("sparse_sigmoid"),
    "Squareplus": as_activation("squareplus", b=st.floats(0.1, 5)),
    "Tanh": as_activation("tanh"),
    "TanhShrink": as_activation("tanh_shrink"),
    "Threshold": as_activation(
        "threshold", threshold=st.floats(0, 1), default_value=st.floats(-1, 1)
    ),
    # dense, and tables
    "Dense": simple({"units": few, "activation": activations, "use_bias": yes}),
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    "ReversibleEmbedding": reversible_embedding,
    "Rescaling": simple({"scale": st.floats(-2, 2), "offset": st.floats(-2, 2)}),
    "STFTSpectrogram": spectrogram,
    # merging
    "Add": several(),
    "Average": several(),
    "Maximum": several(),
    "Minimum": several(),
    "Multiply": several(),
    "Subtract": several(most=2),
    "Concatenate": concatenate,
    "Dot": dot,
    # shapes
    "Flatten": windows(2, {}),
    "Permute": permute,
    "RepeatVector": simple({"n": few}, sizes(2)),
    "Reshape": reshape,
    "Masking": masking,
    "Cropping1D": simple({"cropping": pairs(1)}, images(1)),
    "Cropping2D": windows(2, {"cropping": pairs(2)}),
    "Cropping3D": windows(3, {"cropping": pairs(3)}),
    "ZeroPadding1D": windows(1, {"padding": pairs(1)}),
    "ZeroPadding2D": windows(2, {"padding": pairs(2)}),
    "ZeroPadding3D": windows(3, {"padding": pairs(3)}),
    "UpSampling1D": simple({"size": few}, images(1)),
    "UpSampling2D": windows(
        2,
        {
            "size": st.integers(1, 3) | sizes(2, 1, 3),
            "interpolation": st.sampled_from(["nearest", "bilinear"]),
        },
    ),
    "UpSampling3D": windows(3, {"size": st.integers(1, 2) | sizes(3, 1, 2)}),
    # normalization
    "BatchNormalization": on_axis(norms),
    "GroupNormalization": group_normalization,
    "LayerNormalization": on_axis(norms, several_axes=True),
    "RMSNormalization": simple({"epsilon": st.floats(1e-5, 1e-1)}, sizes(3, 2)),
    "UnitNormalization": on_axis({}, several_axes=True),
    "Normalization": normalization,
    # windows
    **{name: convolution(name) for name in AXES},
    **{f"{kind}Pooling{n}D": pooling(n) for kind in ("Average", "Max") for n in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{n}D": windows(n, {"keepdims": yes})
        for kind in ("Average", "Max")
        for n in (1, 2, 3)
    },
    **{
        f"Adaptive{kind}Pooling{n}D": windows(n, of_axes(n, "output_size", st.integers(1, 3)))
        for kind in ("Average", "Max")
        for n in (1, 2, 3)
    },
    # recurrent
    **{name: recurrent_layer(name) for name in CELLS},
    **{f"{name}Cell": cell(name) for name in CELLS},
    "StackedRNNCells": stacked,
    "RNN": rnn,
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
    **{f"ConvLSTM{n}D": images_in_time(n) for n in (1, 2, 3)},
    # attention
    "Attention": scores({"use_scale": yes, "score_mode": st.sampled_from(["dot", "concat"])}),
    "AdditiveAttention": scores({"use_scale": yes}),
    "MultiHeadAttention": heads({"num_heads": few, "key_dim": few, "use_bias": yes}),
    "GroupQueryAttention": heads(
        {"num_query_heads": few, "num_key_value_heads": few, "head_dim": few, "use_bias": yes}
    ),
    # what is random in training alone
    "AlphaDropout": simple(rate),
    "Dropout": simple(rate),
    "GaussianDropout": simple(rate),
    "GaussianNoise": simple({"stddev": fractions}),
    "SpatialDropout1D": simple(rate, images(1)),
    "SpatialDropout2D": windows(2, rate),
    "SpatialDropout3D": windows(3, rate),
    "RandomBrightness": simple({"factor": fractions}, images(2)),
    "RandomContrast": simple({"factor": fractions}, images(2)),
    "RandomFlip": simple({}, images(2)),
    "RandomRotation": simple({"factor": fractions}, images(2)),
    "RandomTranslation": simple({"height_factor": fractions, "width_factor": fractions}, images(2)),
    "RandomZoom": simple({"height_factor": fractions}, images(2)),
    "RandomShear": simple({"x_factor": fractions, "y_factor": fractions}, images(2)),
    "RandomPerspective": simple({"scale": share}, images(2)),
    "RandomElasticTransform": simple({"scale": share}, images(2)),
    "RandomErasing": simple({"factor": share}, images(2)),
    "CutMix": simple({"factor": share}, images(2)),
    "RandAugment": simple({"factor": share}, rgb),
    "AugMix": simple({"factor": share}, rgb),
    "RandomColorJitter": simple({"hue_factor": share, "contrast_factor": share}, rgb),
}
OPERATORS = "an operator of symbolic arrays; test_arithmetic.py and test_small_things.py have it"
OWN = "Keras has none"
TENSORFLOW = "Keras' needs TensorFlow; its numbers are in "
CONTAINER = "a container; tests/training/test_keras_fit.py compares models"
APART = {
    **dict.fromkeys(["Absolute", "AddConstant", "Divide", "DivideBy", "DivideInto"], OPERATORS),
    **dict.fromkeys(["MultiplyBy", "PowerOf", "RaiseTo", "Slice", "SubtractFrom"], OPERATORS),
    **dict.fromkeys(["Matmul", "MatmulConstant", "Remainder"], OPERATORS),
    **dict.fromkeys(["Chain", "Graph", "InputLayer"], CONTAINER),
    **dict.fromkeys(["Parallel", "Residual"], OWN),
    **dict.fromkeys(["TransformerBlock", "TransformerDecoder"], OWN + " (KerasHub has)"),
    **dict.fromkeys(["PositionEmbedding", "RotaryEmbedding"], OWN + " (KerasHub has)"),
    "SinePositionEncoding": OWN + " (KerasHub has)",
    **dict.fromkeys(["Hashing", "HashedCrossing"], TENSORFLOW + "tests/layers/test_columns.py"),
    **dict.fromkeys(["IntegerLookup", "StringLookup"], TENSORFLOW + "tests/layers/test_text.py"),
    "TextVectorization": TENSORFLOW + "tests/layers/test_text.py",
    "RandomCrop": "draws a window; tests/layers/test_image_sizes.py compares it",
    "MaxNumBoundingBoxes": "changes boxes alone; tests/layers/test_image_boxes.py has it",
    "Unembedding": "what a ReversibleEmbedding is called with reverse=True for",
    "Pipeline": CONTAINER,
    "SpectralNormalization": "divides in inference too; test_normalization_kinds.py has training",
    "Sparsemax": "what Keras returns sums to less than 1 for most inputs",
}

FAMILY = Family(
    "Layers, y and all gradients",
    set(layers.registry.classes),
    {name: layer(name, case) for name, case in LAYERS.items()} | images_and_columns.COMPARE,
    APART,
    draws=(3, 15),
    shrinks=False,
)
