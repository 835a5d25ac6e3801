"""Convolution layers of every kind with inputs that they accept, and their naive versions."""

import numpy as np
import reference
from hypothesis import strategies as st

from backprop import layers

AXES = {
    "Conv1D": 1,
    "Conv2D": 2,
    "Conv3D": 3,
    "Conv1DTranspose": 1,
    "Conv2DTranspose": 2,
    "Conv3DTranspose": 3,
    "DepthwiseConv1D": 1,
    "DepthwiseConv2D": 2,
    "SeparableConv1D": 1,
    "SeparableConv2D": 2,
}
RANDOM_BIAS = {"bias_initializer": "random_normal"}


def make(name, options, **more):
    return getattr(layers, name)(**options, **more)


# ----------------------------------------------------------------------------------- what is drawn


@st.composite
def options_of(draw, name):
    """Arguments for a layer; at most one of strides and dilation_rate is above 1."""
    axes = AXES[name]

    def numbers(highest, least=1):
        """One for each axis, or one for all of them."""
        one = st.integers(least, highest)
        return one | st.tuples(*[one] * axes)

    options = {
        "kernel_size": draw(numbers(2 if axes == 3 else 4)),
        "padding": draw(st.sampled_from(getattr(layers, name).paddings)),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
        "use_bias": draw(st.booleans()),
    }
    spread = draw(st.sampled_from(["strides", "dilation_rate"]))
    options[spread] = draw(numbers(3 if spread == "strides" else 2))
    if name in ("Conv1D", "Conv2D", "Conv3D"):
        options["groups"] = draw(st.integers(1, 3))
    if not name.startswith("Depthwise"):
        options["filters"] = options.get("groups", 1) * draw(st.integers(1, 2))
    if name.startswith(("Depthwise", "Separable")):
        options["depth_multiplier"] = draw(st.integers(1, 3))
    if name.endswith("Transpose"):
        strides = make(name, options).strides
        less = st.tuples(*[st.integers(0, s - 1) for s in strides])
        options["output_padding"] = draw(st.none() | less)
    return options


@st.composite
def shapes_for(draw, name, options):
    """Shapes of inputs for these arguments, from the smallest that gives any output."""
    layer = make(name, options)
    least, found = [1] * AXES[name], ()
    while min(found := layer.sizes_of_z(tuple(least))) < 1:
        least = [n + (size < 1) for n, size in zip(least, found, strict=True)]
    more = 1 if AXES[name] == 3 else 3
    image = [draw(st.integers(n, n + more)) for n in least]
    batch, channels = draw(st.integers(1, 3)), options.get("groups", 1) * draw(st.integers(1, 2))
    last = layer.data_format == "channels_last"
    return (batch, *image, channels) if last else (batch, channels, *image)


@st.composite
def convolutions(draw, names=tuple(AXES)):
    """The name of a layer, its arguments, and the shape of an input that it accepts."""
    name = draw(st.sampled_from(names))
    options = draw(options_of(name))
    return name, options, draw(shapes_for(name, options))


# ------------------------------------------------------------------------------------- naive loops


def naive(x, layer):
    """The forward pass of a convolution layer, without its activation, in loops."""
    weights = layer.get_weights()
    last = layer.data_format == "channels_last"
    x = x if last else np.moveaxis(x, 1, -1)
    bias = weights.pop() if layer.use_bias else np.zeros(layer.channels_of_z(x.shape[-1]))
    weights += [bias, layer.strides, layer.padding]
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D):
        y = reference.convolution(x, *weights, layer.dilation_rate, layer.groups)
    elif type(layer).__name__.endswith("Transpose"):
        weights.append(layer.output_padding)
        y = reference.transposed_convolution(x, *weights, layer.dilation_rate)
    elif isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        y = reference.depthwise_convolution(x, *weights, layer.dilation_rate)
    else:
        y = reference.separable_convolution(x, *weights, layer.dilation_rate)
    return y if last else np.moveaxis(y, -1, 1)


def rows(name):
    """How a convolution is put to the laws: with naive loops to compare with, and with activations
    between.
    """
    config = {"kernel_size": 2, "padding": ["valid", "same"], "activation": ["tanh", "relu"]}
    if not name.startswith("Depthwise"):
        config["filters"] = 2

    def inputs(options):
        return shapes_for(name, options)

    layer = getattr(layers, name)
    return [
        {"layer": layer, "configs": options_of(name), "inputs": inputs, "reference": naive},
        {"layer": layer, "configs": config, "inputs": inputs, "tags": ["piecewise"]},
    ]
