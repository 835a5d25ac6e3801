"""Layers for ONNX' convolutions, pooling and normalization: images with their channels behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Known, as_is, images
from backprop.interop.drawing_images import (
    AVERAGES,
    MAXIMA,
    PADDINGS,
    Sides,
    convolve,
    convolve_back,
    padding_for,
    sized,
    with_channels_behind,
)
from backprop.interop.onnx_building import Builder, reads
from backprop.interop.onnx_reading import Node
from backprop.layers.activations import ReLU


def per_axis(r: Builder, node: Node, name: str, count: int) -> tuple[int, ...]:
    """An attribute with a number above 0 for each axis."""
    found = node.get(name, [1] * count)
    if not isinstance(found, list) or len(found) != count or any(n < 1 for n in found):
        raise r.refused(f"its {name} are {found}")
    return tuple(found)


def sides_of(r: Builder, node: Node, count: int) -> Sides | str:
    """What is put around the image along each axis; or "same", where its sizes say it."""
    auto = node.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        return "same"
    found = node.get("pads", [0] * 2 * count)
    if auto not in ("NOTSET", "VALID") or len(found) != 2 * count or any(n < 0 for n in found):
        raise r.refused(f"its pads are {found}, and its auto_pad is {auto!r}")
    return list(zip(found[:count], found[count:], strict=True))


@reads("Conv")
def convolution(r: Builder, node: Node, x: Any, w: Any, b: Any = None) -> Known:
    x, kernel = with_channels_behind(r, x), r.constant(w, "kernel")
    count, groups = len(x.shape) - 2, node.get("group", 1)
    if kernel.ndim != count + 2:
        raise r.refused(f"its kernel has shape {kernel.shape}")
    filters, _, *size = kernel.shape
    if node.get("kernel_shape", size) != size or min(kernel.shape) < 1 or groups < 1:
        raise r.refused(f"its kernel_shape is {node.get('kernel_shape')}, and the kernel's {size}")
    bias, add = (None, None) if b is None else (r.constant(b, "bias"), None)
    if b is None:
        bias, add = r.bias_behind(filters, count + 1)
    y = convolve(
        r,
        x,
        kernel,
        bias,
        strides=per_axis(r, node, "strides", count),
        dilations=per_axis(r, node, "dilations", count),
        groups=groups,
        sides=sides_of(r, node, count),
    )
    return r.with_bias(images(y), add)


@reads("ConvTranspose")
def transposed(r: Builder, node: Node, x: Any, w: Any, b: Any = None) -> Known:
    x, kernel = with_channels_behind(r, x), r.constant(w, "kernel")
    count = len(x.shape) - 2
    if kernel.ndim != count + 2 or min(kernel.shape) < 1 or node.get("group", 1) != 1:
        raise r.refused(f"its kernel has shape {kernel.shape}, or groups")
    if "output_shape" in node.attributes:
        raise r.refused("it names an output_shape: pads are read")
    sides = sides_of(r, node, count)
    if isinstance(sides, str):
        raise r.refused("its auto_pad is SAME_UPPER: pads are read")
    more = node.get("output_padding", [0] * count)
    y = convolve_back(
        r,
        x,
        kernel,
        None if b is None else r.constant(b, "bias"),
        strides=per_axis(r, node, "strides", count),
        dilations=per_axis(r, node, "dilations", count),
        sides=sides,
        more=more,
    )
    return images(y)


@reads("MaxPool", "AveragePool")
def pooled(r: Builder, node: Node, x: Any) -> Known:
    x = with_channels_behind(r, x)
    count = len(x.shape) - 2
    if node.get("ceil_mode", 0) or max(node.get("dilations", [1])) > 1:
        raise r.refused("it rounds up, or its windows have gaps")
    kinds = MAXIMA if node.op == "MaxPool" else AVERAGES
    size = per_axis(r, node, "kernel_shape", count)
    strides = per_axis(r, node, "strides", count)
    layer = kinds[count - 1](size, strides=strides)
    sides = sides_of(r, node, count)
    padding = padding_for(layer, sides, x.shape[1:-1], False)
    counted = node.op == "AveragePool" and node.get("count_include_pad", 0)
    if padding is None or (counted and padding == "same"):
        # zeros change no maximum where nothing is negative, and an average that counts them
        rectified = node.op == "MaxPool" and isinstance(x.layer, ReLU)
        if not (rectified or counted) or isinstance(sides, str):
            raise r.refused(f"its pads are {sides}")
        x, padding = PADDINGS[count - 1](sized(sides))(x), "valid"
    return images(kinds[count - 1](size, strides=strides, padding=padding)(x))


WHOLE = {
    "GlobalAveragePool": (
        L.GlobalAveragePooling1D,
        L.GlobalAveragePooling2D,
        L.GlobalAveragePooling3D,
    ),
    "GlobalMaxPool": (L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D),
}


@reads(*WHOLE)
def whole(r: Builder, node: Node, x: Any) -> Known:
    x = with_channels_behind(r, x)
    return images(WHOLE[node.op][len(x.shape) - 3](keepdims=True)(x))


@reads("Pad")
def pad(
    r: Builder, node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None
) -> Known:
    x = r.known(x)
    given = node.get("pads", []) if pads is None else r.numbers(pads, "pads")
    filled = 0.0 if value is None else r.scalar(value, "value")
    if node.get("mode", "constant") != "constant" or filled or axes is not None:
        raise r.refused("it puts other than zeros around, or names axes")
    if len(given) != 2 * x.ndim or any(n < 0 for n in given) or not 3 <= x.ndim <= 5:
        raise r.refused(f"its pads are {given}")
    sides = [(0, 0)] * x.ndim
    for axis, pair in enumerate(zip(given[: x.ndim], given[x.ndim :], strict=True)):
        sides[x.order[axis]] = pair
    if any(sides[0]) or (any(sides[1]) and any(sides[-1])):
        raise r.refused("it puts zeros around the batch, or around channels")
    last = any(sides[-1]) is False
    where = "channels_last" if last else "channels_first"
    kept = sides[1:-1] if last else sides[2:]
    return r.on(x, PADDINGS[x.ndim - 3](sized(kept), data_format=where))


@reads("Resize", "Upsample")
def resize(r: Builder, node: Node, x: Any, *given: Any) -> Known:
    x = with_channels_behind(r, x)
    # behind x: scales, or since version 11 a region, scales and sizes
    scales, *more = [a for a in given if a is not None and np.size(a)] or [None]
    if scales is None or more or len(given) > 2:
        raise r.refused("it names sizes: scales are read")
    found = r.constant(scales, "scales")
    if found.shape != (len(x.shape),) or any(found != np.round(found)) or any(found[:2] != 1):
        raise r.refused(f"its scales are {found.tolist()[:8]}")
    factors: list[int] = [int(n) for n in found[2:]]
    mode = node.get("mode", "nearest")
    how = node.get("coordinate_transformation_mode", "half_pixel")
    kinds = (L.UpSampling1D, L.UpSampling2D, L.UpSampling3D)
    if mode == "nearest" and min(factors) > 0:
        # a pixel is repeated, however its place is reckoned, unless ends are aligned
        if how not in ("asymmetric", "half_pixel") or (
            how == "asymmetric" and node.get("nearest_mode", "floor") != "floor"
        ):
            raise r.refused(f"its places are reckoned as {how!r}")
        return images(kinds[len(factors) - 1](sized(factors))(x))
    if mode == "linear" and len(factors) == 2 and how == "half_pixel" and min(factors) > 0:
        return images(L.UpSampling2D(tuple(factors), interpolation="bilinear")(x))
    raise r.refused(f"its mode is {mode!r}, by {how!r}")


# ----------------------------------------------------------------------------------- normalization


@reads("BatchNormalization")
def batch(r: Builder, node: Node, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Known:
    x = r.known(x)
    if node.get("training_mode", 0) or x.ndim < 2:
        raise r.refused("it is one of training")
    layer = L.BatchNormalization(
        axis=channels_of(r, x),
        epsilon=node.get("epsilon", 1e-5),
        momentum=node.get("momentum", 0.9),
    )
    weights = [r.constant(w, "weights") for w in (gamma, beta, mean, variance)]
    return Known(r.weighted(layer, x.symbol, *weights), x.order)


def channels_of(r: Builder, x: Known) -> int:
    """Which axis of the symbol the channels are."""
    axis = x.order[1]
    if axis == 0:
        raise r.refused("the batch stands where channels should")
    return -1 if axis == x.ndim - 1 else axis


@reads("InstanceNormalization")
def instance(r: Builder, node: Node, x: Any, gamma: Any, beta: Any) -> Known:
    x = r.known(x)
    layer = L.GroupNormalization(-1, channels_of(r, x), epsilon=node.get("epsilon", 1e-5))
    weights = [r.constant(w, "weights") for w in (gamma, beta)]
    return Known(r.weighted(layer, x.symbol, *weights), x.order)


@reads("LayerNormalization")
def by_row(r: Builder, node: Node, x: Any, gamma: Any, beta: Any = None) -> Known:
    x = r.plain(x)
    n = len(x.shape)
    first = r.axis(node.get("axis", -1), n)
    if first == 0:
        raise r.refused("its rows go over the batch")
    layer = L.LayerNormalization(
        axis=list(range(first, n)), epsilon=node.get("epsilon", 1e-5), center=beta is not None
    )
    weights = [r.constant(w, "weights") for w in (gamma, beta) if w is not None]
    return as_is(r.weighted(layer, x, *weights))


@reads("RMSNormalization")
def by_root_mean_square(r: Builder, node: Node, x: Any, scale: Any) -> Known:
    x = r.plain(x)
    n = len(x.shape)
    first = r.axis(node.get("axis", -1), n)
    if first == 0:
        raise r.refused("its rows go over the batch")
    layer = L.RMSNormalization(axis=list(range(first, n)), epsilon=node.get("epsilon", 1e-5))
    return as_is(r.weighted(layer, x, r.constant(scale, "scale")))
