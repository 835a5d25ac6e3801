"""Convolution, pooling and what changes the size of images, in the words of ONNX.

Every one of them works on (N, C, sizes ...) there: `Value.order` says how that is turned.
"""

from __future__ import annotations

from typing import Any

from backprop import layers as L
from backprop.interop.onnx_activations import activated
from backprop.interop.onnx_plain import cut
from backprop.interop.onnx_writing import (
    NotInOnnx,
    Value,
    Writer,
    emits,
    first_channel,
    last_channel,
)

LAST = "channels_last"


def in_front(w: Writer, layer: Any, x: Value) -> str:
    """The images with their channels in front."""
    if layer.data_format == LAST:
        return w.arranged(x, first_channel(x.ndim))
    return w.plain(x)


def images(w: Writer, layer: Any, x: Value, name: str) -> Value:
    """The images that came out, with their channels in front."""
    order = last_channel(x.ndim) if layer.data_format == LAST else None
    return Value(name, layer.compute_output_shape(x.shape), order)


def sizes(layer: Any, x: Value) -> tuple[int | None, ...]:
    return x.shape[1:-1] if layer.data_format == LAST else x.shape[2:]


def margins(layer: Any, x: Value) -> dict[str, Any]:
    """The attribute that says what is put around an image."""
    windows = layer.windows
    if windows.padding == "valid":
        return {}
    known = sizes(layer, x)
    if None in known and windows.padding == "same" and max(windows.strides) > 1:
        return {"auto_pad": "SAME_UPPER"}
    before, after = zip(*windows.margins(tuple(n or 2**20 for n in known)), strict=True)
    return {"pads": [*before, *after]}


def to_front(kernel: Any) -> Any:
    """(sizes ..., C, filters) → (filters, C, sizes ...)"""
    n = kernel.ndim
    return kernel.transpose(n - 1, n - 2, *range(n - 2))


def by_channel(kernel: Any) -> Any:
    """(sizes ..., C, multiplier) → (C multiplier, 1, sizes ...)"""
    n = kernel.ndim
    turned = kernel.transpose(n - 2, n - 1, *range(n - 2))
    return turned.reshape(-1, 1, *kernel.shape[:-2])


def convolved(
    w: Writer, layer: Any, x: str, kernel: Any, bias: Any, groups: int, around: dict[str, Any]
) -> str:
    given = [x, w.weight(kernel, "kernel")]
    if bias is not None:
        given.append(w.weight(bias, "bias"))
    return w.node(
        "Conv",
        *given,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        **around,
    )


def bias_of(layer: Any) -> Any:
    return layer.bias if layer.use_bias else None


@emits(L.Conv1D, L.Conv2D, L.Conv3D)
def convolution(w: Writer, layer: Any, x: Value) -> Value:
    kernel = to_front(layer.kernel)
    y = convolved(
        w, layer, in_front(w, layer, x), kernel, bias_of(layer), layer.groups, margins(layer, x)
    )
    return activated(w, layer.activation, images(w, layer, x, y))


@emits(L.DepthwiseConv1D, L.DepthwiseConv2D)
def depthwise(w: Writer, layer: Any, x: Value) -> Value:
    kernel = layer.own_arrays()[0].value
    y = convolved(
        w,
        layer,
        in_front(w, layer, x),
        by_channel(kernel),
        bias_of(layer),
        kernel.shape[-2],
        margins(layer, x),
    )
    return activated(w, layer.activation, images(w, layer, x, y))


@emits(L.SeparableConv1D, L.SeparableConv2D)
def separable(w: Writer, layer: Any, x: Value) -> Value:
    each, across = (p.value for p in layer.own_arrays()[:2])
    h = convolved(
        w,
        layer,
        in_front(w, layer, x),
        by_channel(each),
        None,
        each.shape[-2],
        margins(layer, x),
    )
    given = [h, w.weight(to_front(across), "pointwise")]
    if layer.use_bias:
        given.append(w.weight(layer.bias, "bias"))
    return activated(w, layer.activation, images(w, layer, x, w.node("Conv", *given)))


@emits(L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
def transposed(w: Writer, layer: Any, x: Value) -> Value:
    windows, kernel = layer.windows, layer.kernel
    before, after, more = [], [], []
    painted = windows.sizes(tuple(n or 2**10 for n in sizes(layer, x)))
    for margin, span, tail in zip(
        windows.margins(painted), windows.spans, windows.tail, strict=True
    ):
        # (n - 1) stride + span is painted, and (n - 1) stride + tail of it is wanted
        rest = span - tail - margin[0]
        before.append(margin[0])
        after.append(max(rest, 0))
        more.append(max(-rest, 0))
    n = kernel.ndim
    given = [
        in_front(w, layer, x),
        w.weight(kernel.transpose(n - 1, n - 2, *range(n - 2)), "kernel"),
    ]
    if layer.use_bias:
        given.append(w.weight(layer.bias, "bias"))
    y = w.node(
        "ConvTranspose",
        *given,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=[*before, *after],
        output_padding=more if any(more) else None,
    )
    return activated(w, layer.activation, images(w, layer, x, y))


# ------------------------------------------------------------------------------------- pooling


def pooled(w: Writer, layer: Any, x: Value, op: str, **options: Any) -> Value:
    y = w.node(
        op,
        in_front(w, layer, x),
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **margins(layer, x),
        **options,
    )
    return images(w, layer, x, y)


@emits(L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D)
def max_pooling(w: Writer, layer: Any, x: Value) -> Value:
    return pooled(w, layer, x, "MaxPool")


@emits(L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D)
def average_pooling(w: Writer, layer: Any, x: Value) -> Value:
    return pooled(w, layer, x, "AveragePool", count_include_pad=0)


def whole(w: Writer, layer: Any, x: Value, op: str) -> Value:
    first = 1 if layer.data_format == LAST else 2
    laid = x.laid
    axes = sorted(laid[i] for i in range(first, first + x.ndim - 2))
    y = w.reduced(op, x.name, axes, layer.keepdims)
    return Value(
        y, layer.compute_output_shape(x.shape), x.order if layer.keepdims else None
    )  # without the sizes, batch and channels are in their order whichever it was


@emits(L.GlobalAveragePooling2D, L.GlobalAveragePooling3D)
def global_average(w: Writer, layer: Any, x: Value) -> Value:
    return whole(w, layer, x, "ReduceMean")


@emits(L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D)
def global_max(w: Writer, layer: Any, x: Value) -> Value:
    return whole(w, layer, x, "ReduceMax")


@emits(L.GlobalAveragePooling1D, masked=True)
def average_over_time(w: Writer, layer: Any, x: Value) -> Value:
    if x.mask is None:
        return whole(w, layer, x, "ReduceMean")
    if layer.data_format != LAST:
        raise NotInOnnx("a mask comes to it, and its steps are behind its channels")
    real = w.node("Cast", x.mask, to=w.onnx.TensorProto.FLOAT)
    beside = w.node("Unsqueeze", real, w.integers([2]))
    total = w.reduced("ReduceSum", w.node("Mul", w.plain(x), beside), [1], layer.keepdims)
    count = w.reduced("ReduceSum", beside, [1], layer.keepdims)
    y = w.node("Div", total, w.node("Max", count, w.constant(1.0)))
    return Value(y, layer.compute_output_shape(x.shape))


# ------------------------------------------------------------------------------- other sizes


@emits(L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
def zero_padding(w: Writer, layer: Any, x: Value) -> Value:
    first = 1 if layer.data_format == LAST else 2
    before, after = [0] * x.ndim, [0] * x.ndim
    for i, (front, back) in enumerate(layer.sides):
        at = x.laid[first + i]
        before[at], after[at] = front, back
    y = w.node("Pad", x.name, w.integers([*before, *after]))
    return Value(y, layer.compute_output_shape(x.shape), x.order)


@emits(L.Cropping1D, L.Cropping2D, L.Cropping3D)
def cropping(w: Writer, layer: Any, x: Value) -> Value:
    first = 1 if layer.data_format == LAST else 2
    parts = {
        x.laid[first + i]: slice(front, -back or None)
        for i, (front, back) in enumerate(layer.sides)
        if front or back
    }
    return Value(cut(w, x.name, parts), layer.compute_output_shape(x.shape), x.order)


def scaled(w: Writer, name: str, factors: Any, mode: str) -> str:
    scales = w.constant([1.0, 1.0, *factors])
    how: dict[str, Any] = {"mode": mode}
    if mode == "nearest":
        how |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return w.node("Resize", name, "", scales, **how)


@emits(L.UpSampling1D, L.UpSampling2D, L.UpSampling3D)
def upsampling(w: Writer, layer: Any, x: Value) -> Value:
    mode = getattr(layer, "interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise NotInOnnx(f"interpolation={mode!r} is not that of ONNX")
    mode = "nearest" if mode == "nearest" else "linear"
    y = scaled(w, in_front(w, layer, x), layer.size, mode)
    return images(w, layer, x, y)


@emits(L.Resizing)
def resizing(w: Writer, layer: Any, x: Value) -> Value:
    options = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    given = [name for name in options if getattr(layer, name)]
    if layer.interpolation != "bilinear" or given or x.ndim != 4:
        raise NotInOnnx(
            "of Resizing what is bilinear is written, without antialias, crop_to_aspect_ratio and "
            "pad_to_aspect_ratio"
        )
    front = in_front(w, layer, x)
    head = w.node("Slice", w.node("Shape", front), w.integers([0]), w.integers([2]))
    wanted = w.node("Concat", head, w.integers([layer.height, layer.width]), axis=0)
    return images(w, layer, x, w.node("Resize", front, "", "", wanted, mode="linear"))
