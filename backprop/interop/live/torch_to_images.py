"""Modules for convolution, pooling, normalization and what changes the size of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_to_plain import activated, computed, inverted
from backprop.interop.live.torch_writing import ModuleWriter, NotInTorch, emits
from backprop.interop.onnx_images import LAST, bias_of, by_channel, sizes, to_front
from backprop.interop.onnx_writing import Value, first_channel, last_channel

Sides = list[tuple[int, int]]


def in_front(w: ModuleWriter, layer: Any, x: Value) -> str:
    """The images with their channels in front."""
    return w.arranged(x, first_channel(x.ndim)) if layer.data_format == LAST else w.plain(x)


def margins(layer: Any, x: Value) -> Sides:
    """What is put around an image along each axis."""
    windows, known = layer.windows, sizes(layer, x)
    if windows.padding == "valid":
        return [(0, 0)] * len(known)
    if None in known and windows.padding == "same" and max(windows.strides) > 1:
        raise NotInTorch("with padding='same' and strides it needs sizes that are known")
    return windows.margins(tuple(n or 2**20 for n in known))


def padded(w: ModuleWriter, name: str, sides: Sides, value: float = 0.0) -> str:
    """Numbers around an image, where there are any to put."""
    if not any(map(any, sides)):
        return name
    flat = [n for pair in reversed(sides) for n in pair]
    kind = "ConstantPad" if value else "ZeroPad"
    given = (tuple(flat), value) if value else (tuple(flat),)
    return w.call(getattr(w.nn, f"{kind}{len(sides)}d")(*given), name)


def alike(sides: Sides) -> bool:
    """Whether as much is before as behind."""
    return all(before == after for before, after in sides)


def named(w: ModuleWriter, kind: str, layer: Any, x: Value) -> Any:
    return getattr(w.nn, f"{kind}{x.ndim - 2}d")


# ------------------------------------------------------------------------------------ convolution


def convolved(
    w: ModuleWriter, layer: Any, x: Value, name: str, kernel: Any, bias: Any, groups: int
) -> str:
    sides = margins(layer, x)
    if not alike(sides):
        name, sides = padded(w, name, sides), [(0, 0)] * len(sides)
    module = named(w, "Conv", layer, x)(
        kernel.shape[1] * groups,
        kernel.shape[0],
        tuple(kernel.shape[2:]),
        stride=tuple(layer.strides),
        padding=tuple(before for before, _ in sides),
        dilation=tuple(layer.dilation_rate),
        groups=groups,
        bias=bias is not None,
    )
    return w.call(w.filled(module, layer, weight=kernel, bias=bias), name)


@emits(L.Conv1D, L.Conv2D, L.Conv3D)
def convolution(w: ModuleWriter, layer: Any, x: Value) -> Value:
    front, kernel = in_front(w, layer, x), to_front(layer.kernel)
    y = convolved(w, layer, x, front, kernel, bias_of(layer), layer.groups)
    return activated(w, layer.activation, as_images(layer, x, y))


def as_images(layer: Any, x: Value, name: str) -> Value:
    order = last_channel(x.ndim) if layer.data_format == LAST else None
    return Value(name, layer.compute_output_shape(x.shape), order)


@emits(L.DepthwiseConv1D, L.DepthwiseConv2D)
def depthwise(w: ModuleWriter, layer: Any, x: Value) -> Value:
    kernel = layer.own_arrays()[0].value
    front, groups = in_front(w, layer, x), kernel.shape[-2]
    y = convolved(w, layer, x, front, by_channel(kernel), bias_of(layer), groups)
    return activated(w, layer.activation, as_images(layer, x, y))


@emits(L.SeparableConv1D, L.SeparableConv2D)
def separable(w: ModuleWriter, layer: Any, x: Value) -> Value:
    each, across = (p.value for p in layer.own_arrays()[:2])
    front = in_front(w, layer, x)
    h = convolved(w, layer, x, front, by_channel(each), None, each.shape[-2])
    kernel, bias = to_front(across), bias_of(layer)
    module = named(w, "Conv", layer, x)(kernel.shape[1], kernel.shape[0], 1, bias=bias is not None)
    y = w.call(w.filled(module, layer, weight=kernel, bias=bias), h)
    return activated(w, layer.activation, as_images(layer, x, y))


@emits(L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
def transposed(w: ModuleWriter, layer: Any, x: Value) -> Value:
    windows = layer.windows
    painted = windows.sizes(tuple(n or 2**10 for n in sizes(layer, x)))
    ends = [
        # (n - 1) stride + span is painted, and (n - 1) stride + tail of it is wanted
        (before, span - tail - before)
        for (before, _), span, tail in zip(
            windows.margins(painted), windows.spans, windows.tail, strict=True
        )
    ]
    cut = [max(0, min(pair)) for pair in ends]  # by the module itself, on both sides
    more = [max(0, -after) for _, after in ends]
    kernel, bias = to_front(layer.kernel), bias_of(layer)  # (channels of x, filters, sizes ...)
    module = named(w, "ConvTranspose", layer, x)(
        kernel.shape[0],
        kernel.shape[1],
        tuple(layer.kernel_size),
        stride=tuple(layer.strides),
        padding=tuple(cut),
        output_padding=tuple(more),
        dilation=tuple(layer.dilation_rate),
        bias=bias is not None,
    )
    y = w.call(w.filled(module, layer, weight=kernel, bias=bias), in_front(w, layer, x))
    rest = [(b - c, max(0, a) - c) for (b, a), c in zip(ends, cut, strict=True)]
    if any(map(any, rest)):
        y = w.call(
            w.own.Part(slice(None), slice(None), *(slice(b, -a or None) for b, a in rest)), y
        )
    return activated(w, layer.activation, as_images(layer, x, y))


# ------------------------------------------------------------------------------------- pooling


def halves(layer: Any, sides: Sides) -> bool:
    """Whether a pooling module takes these pads itself: at most half of a window, on both sides."""
    fits = zip(sides, layer.pool_size, strict=True)
    return alike(sides) and all(2 * before <= size for (before, _), size in fits)


@emits(L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D)
def max_pooling(w: ModuleWriter, layer: Any, x: Value) -> Value:
    name, sides = in_front(w, layer, x), margins(layer, x)
    if not halves(layer, sides):
        name, sides = padded(w, name, sides, -np.inf), [(0, 0)] * len(sides)
    pads = tuple(before for before, _ in sides)
    module = named(w, "MaxPool", layer, x)(tuple(layer.pool_size), tuple(layer.strides), pads)
    return as_images(layer, x, w.call(module, name))


@emits(L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D)
def average_pooling(w: ModuleWriter, layer: Any, x: Value) -> Value:
    name, sides = in_front(w, layer, x), margins(layer, x)
    kind = named(w, "AvgPool", layer, x)
    size, strides = tuple(layer.pool_size), tuple(layer.strides)
    if halves(layer, sides):
        pads = tuple(before for before, _ in sides)
        module = kind(size, strides, pads, count_include_pad=not any(pads))
        return as_images(layer, x, w.call(module, name))
    y = w.call(kind(size, strides), padded(w, name, sides))
    return as_images(layer, x, computed(w, "mul", shares(layer, x, sides), y))


def shares(layer: Any, x: Value, sides: Sides) -> np.ndarray:
    """How many numbers a window has, divided by how many of them are of the image."""
    found = np.ones(())
    for n, k, s, (before, after) in zip(
        sizes(layer, x), layer.pool_size, layer.strides, sides, strict=True
    ):
        if n is None:
            raise NotInTorch("with padding='same' it needs sizes that are known")
        first = np.arange((n + before + after - k) // s + 1) * s - before
        inside = np.minimum(first + k, n) - np.maximum(first, 0)
        found = found[..., None] * (k / inside)
    return found


GLOBAL = {
    "Avg": (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D),
    "Max": (L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D),
}
ADAPTIVE = {
    "Avg": (L.AdaptiveAveragePooling1D, L.AdaptiveAveragePooling2D, L.AdaptiveAveragePooling3D),
    "Max": (L.AdaptiveMaxPooling1D, L.AdaptiveMaxPooling2D, L.AdaptiveMaxPooling3D),
}


def way_of(layer: Any) -> str:
    return "Avg" if "Average" in type(layer).__name__ else "Max"


@emits(*GLOBAL["Avg"], *GLOBAL["Max"])
def whole(w: ModuleWriter, layer: Any, x: Value) -> Value:
    module = named(w, f"Adaptive{way_of(layer)}Pool", layer, x)(1)
    y = w.call(module, in_front(w, layer, x))
    if layer.keepdims:
        return as_images(layer, x, y)
    return Value(w.call(w.nn.Flatten(), y), layer.compute_output_shape(x.shape))


@emits(*ADAPTIVE["Avg"], *ADAPTIVE["Max"])
def adaptive(w: ModuleWriter, layer: Any, x: Value) -> Value:
    out = layer.compute_output_shape(x.shape)
    size = out[1:-1] if layer.data_format == LAST else out[2:]
    module = named(w, f"Adaptive{way_of(layer)}Pool", layer, x)(size if len(size) > 1 else size[0])
    return as_images(layer, x, w.call(module, in_front(w, layer, x)))


# ------------------------------------------------------------------------------- other sizes


@emits(L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
def zero_padding(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return as_images(layer, x, padded(w, in_front(w, layer, x), layer.sides))


@emits(L.Cropping1D, L.Cropping2D, L.Cropping3D)
def cropping(w: ModuleWriter, layer: Any, x: Value) -> Value:
    parts = [slice(front, -back or None) for front, back in layer.sides]
    y = w.call(w.own.Part(slice(None), slice(None), *parts), in_front(w, layer, x))
    return as_images(layer, x, y)


@emits(L.UpSampling1D, L.UpSampling2D, L.UpSampling3D)
def upsampling(w: ModuleWriter, layer: Any, x: Value) -> Value:
    mode = getattr(layer, "interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise NotInTorch(f"interpolation={mode!r} is another in PyTorch")
    size = np.atleast_1d(layer.size).tolist()
    factors = tuple(float(n) for n in size) if len(size) > 1 else float(size[0])
    module = w.nn.Upsample(scale_factor=factors, mode=mode)
    return as_images(layer, x, w.call(module, in_front(w, layer, x)))


@emits(L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D)
def of_channels(w: ModuleWriter, layer: Any, x: Value) -> Value:
    module = named(w, "Dropout", layer, x)(layer.rate)
    if getattr(layer, "data_format", LAST) == LAST:
        name, order = w.arranged(x, first_channel(x.ndim)), last_channel(x.ndim)
    else:
        name, order = w.plain(x), None
    return x.but(name=w.call(module, name), order=order)


# ----------------------------------------------------------------------------------- normalization


def affine(w: ModuleWriter, module: Any, layer: Any, shape: Any, **more: Any) -> Any:
    """The module with gamma and beta; what the layer has not stays as it is, 1 or 0."""
    gamma = layer.gamma.reshape(shape) if layer.scale else None
    beta = layer.beta.reshape(shape) if layer.center else None
    w.filled(module, layer, weight=gamma, bias=beta, **more)
    for name, given in (("weight", layer.scale), ("bias", layer.center)):
        if getattr(module, name, None) is not None and not given:
            getattr(module, name).requires_grad_(False)
    return module


@emits(L.BatchNormalization)
def of_batches(w: ModuleWriter, layer: Any, x: Value) -> Value:
    if layer.renorm or x.ndim > 5:
        raise NotInTorch("it has renorm, or more than five axes")
    axis = layer.axis % x.ndim
    order = (0, axis, *(i for i in range(1, x.ndim) if i != axis))
    kind = getattr(w.nn, f"BatchNorm{max(x.ndim - 2, 1)}d")
    n = layer.moving_mean.size
    module = kind(
        n, eps=layer.epsilon, momentum=1 - layer.momentum, affine=layer.scale or layer.center
    )
    statistics = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
    module = affine(w, module, layer, (n,), **statistics)
    return x.but(name=w.call(module, w.arranged(x, order)), order=inverted(order))


@emits(L.GroupNormalization)
def of_groups(w: ModuleWriter, layer: Any, x: Value) -> Value:
    axis = layer.axis % x.ndim
    order = (0, axis, *(i for i in range(1, x.ndim) if i != axis))
    n = x.shape[axis]
    given = layer.scale or layer.center
    module = w.nn.GroupNorm(layer.count, n, eps=layer.epsilon, affine=given)
    y = w.call(affine(w, module, layer, (n,)), w.arranged(x, order))
    return x.but(name=y, order=inverted(order))


@emits(L.LayerNormalization)
def of_rows(w: ModuleWriter, layer: Any, x: Value) -> Value:
    if layer.rms_scaling:
        raise NotInTorch("it has rms_scaling: RMSNormalization is written")
    order, shape = rows_last(layer, x)
    module = w.nn.LayerNorm(
        shape,
        eps=layer.epsilon,
        elementwise_affine=layer.scale or layer.center,
        bias=layer.center,
    )
    y = w.call(affine(w, module, layer, shape), w.arranged(x, order))
    return x.but(name=y, order=inverted(order))


def rows_last(layer: Any, x: Value) -> tuple[tuple[int, ...], list[Any]]:
    """The order that has the axes of rows at the end, where PyTorch has them, and their sizes."""
    axes = sorted(axis % x.ndim for axis in layer.axes)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    return order, [x.shape[axis] for axis in axes]


@emits(L.RMSNormalization)
def by_root_mean_square(w: ModuleWriter, layer: Any, x: Value) -> Value:
    order, shape = rows_last(layer, x)
    module = w.nn.RMSNorm(shape, eps=layer.epsilon)
    module = w.filled(module, layer, weight=layer.scale.reshape(shape))
    return x.but(name=w.call(module, w.arranged(x, order)), order=inverted(order))


@emits(L.UnitNormalization)
def to_length_one(w: ModuleWriter, layer: Any, x: Value) -> Value:
    axes = tuple(layer.axes)
    return x.but(name=w.call(w.own.Normalize(axes), w.plain(x)), order=None)
