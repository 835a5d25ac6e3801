"""Layers for PyTorch's convolutions, pooling, padding and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import images
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
from backprop.interop.live.torch_reading import ModuleReader, Seen, lying, reads_module, weights_of
from backprop.symbols import Symbol

# layers whose outputs are never negative, and those that let such inputs be so
NEVER_NEGATIVE = (L.ReLU, L.ReLU6, L.Sigmoid, L.HardSigmoid, L.Softmax, L.Softplus, L.Exponential)
KEEP = (*MAXIMA, *AVERAGES, *PADDINGS, L.Dropout, L.UpSampling2D)


def as_images(symbol: Symbol) -> Seen:
    return lying(symbol, images(symbol).order)


def per_axis(value: Any, count: int) -> tuple[int, ...]:
    """A number for each axis, of one for all or a tuple."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * count


def pads(m: Any, count: int) -> Sides:
    if m.padding == "same":
        totals = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
        return [(t // 2, t - t // 2) for t in totals]
    given = (0,) * count if m.padding == "valid" else per_axis(m.padding, count)
    return [(p, p) for p in given]


@reads_module("Conv1d", "Conv2d", "Conv3d")
def convolution(r: ModuleReader, m: Any, x: Any) -> Seen:
    if m.padding_mode != "zeros":
        raise r.refused(f"its padding_mode is {m.padding_mode!r}: zeros are read")
    x = with_channels_behind(r, x)
    kernel, *bias = weights_of(m.weight, m.bias)
    return as_images(
        convolve(
            r,
            x,
            kernel,
            bias[0] if bias else None,
            strides=m.stride,
            dilations=m.dilation,
            groups=m.groups,
            sides=pads(m, len(m.kernel_size)),
        )
    )


@reads_module("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
def transposed(r: ModuleReader, m: Any, x: Any) -> Seen:
    if m.groups != 1:
        raise r.refused("it has groups")
    kernel, *bias = weights_of(m.weight, m.bias)
    return as_images(
        convolve_back(
            r,
            with_channels_behind(r, x),
            kernel,
            bias[0] if bias else None,
            strides=m.stride,
            dilations=m.dilation,
            sides=pads(m, len(m.kernel_size)),
            more=m.output_padding,
        )
    )


# ----------------------------------------------------------------------------------- pooling


class Windows:
    """Where the windows of a pooling module lie.

    Attributes
    ----------
    size, strides : tuple of int
    sides : list of (int, int)
        What is put around, with what the last windows of ceil_mode need.
    """

    def __init__(self, r: ModuleReader, m: Any, x: Symbol):
        self.count = len(x.shape) - 2
        self.size = per_axis(m.kernel_size, self.count)
        self.strides = self.size if m.stride is None else per_axis(m.stride, self.count)
        self.before = per_axis(m.padding, self.count)
        self.out = r.shape()[2:]
        self.sides: Sides = [(p, p) for p in self.before]
        if m.ceil_mode:
            if None in x.shape[1:-1]:
                raise r.refused("ceil_mode needs sizes that are known")
            needed = zip(self.out, self.size, self.strides, self.before, x.shape[1:-1], strict=True)
            ends = [(n - 1) * s + k - p - size for n, k, s, p, size in needed]
            self.sides = [(p, max(p, end)) for p, end in zip(self.before, ends, strict=True)]


@reads_module("MaxPool1d", "MaxPool2d", "MaxPool3d")
def maximum(r: ModuleReader, m: Any, x: Any) -> Seen:
    if m.return_indices or set(per_axis(m.dilation, 1)) != {1}:
        raise r.refused("it returns places too, or its windows have gaps")
    x = with_channels_behind(r, x)
    w = Windows(r, m, x)
    kind: Any = MAXIMA[w.count - 1]
    padding = padding_for(kind(w.size, strides=w.strides), w.sides, x.shape[1:-1], False)
    if padding is not None:
        return as_images(r.once(kind(w.size, strides=w.strides, padding=padding))(x))
    if never_negative(x):  # then zeros change no maximum
        x = r.once(PADDINGS[w.count - 1](sized(w.sides)))(x)
        return as_images(r.once(kind(w.size, strides=w.strides))(x))
    # windows at every place, of which those are taken that begin where PyTorch's do
    firsts = [(k - 1) // 2 - p for k, p in zip(w.size, w.before, strict=True)]
    if min(firsts) < 0:
        raise r.refused(f"its padding is {m.padding}, more than half of its windows")
    if None in x.shape[1:-1]:
        raise r.refused("its padding needs sizes that are known")
    parts = [*zip(firsts, w.strides, w.out, strict=True)]
    lasts = [f + s * (n - 1) for f, s, n in parts]
    if any(last >= size for last, size in zip(lasts, x.shape[1:-1], strict=True)):
        raise r.refused("its last windows, of ceil_mode, have their middle outside of the image")
    every = r.once(kind(w.size, strides=1, padding="same"))(x)
    index = ", ".join(f"{f}:{last + 1}:{s}" for (f, s, _), last in zip(parts, lasts, strict=True))
    return as_images(r.once(L.Slice(f":, {index}"))(every))


def never_negative(x: Symbol) -> bool:
    """Whether all numbers of an array are known to be 0 or more."""
    while isinstance(x.layer, KEEP) and not isinstance(x.layer, NEVER_NEGATIVE):
        x = x.call.reads[0]
    return isinstance(x.layer, NEVER_NEGATIVE) and not getattr(x.layer, "negative_slope", 0)


@reads_module("AvgPool1d", "AvgPool2d", "AvgPool3d")
def average(r: ModuleReader, m: Any, x: Any) -> Seen:
    if getattr(m, "divisor_override", None) is not None:
        raise r.refused("it names its divisor")
    x = with_channels_behind(r, x)
    w = Windows(r, m, x)
    kind: Any = AVERAGES[w.count - 1]
    if not any(map(any, w.sides)):
        return as_images(r.once(kind(w.size, strides=w.strides))(x))
    layer = kind(w.size, strides=w.strides)
    if not m.count_include_pad and (padding_for(layer, w.sides, x.shape[1:-1], False) == "same"):
        return as_images(r.once(kind(w.size, strides=w.strides, padding="same"))(x))
    if None in x.shape[1:-1]:
        raise r.refused("its padding needs sizes that are known")
    share = shares(w, x.shape[1:-1], m.count_include_pad)
    x = r.once(PADDINGS[w.count - 1](sized(w.sides)))(x)
    y = r.once(layer)(x)
    if (share != 1).any():
        y = r.once(L.MultiplyBy(share[..., None]))(y)
    return as_images(y)


def shares(w: Windows, sizes: Any, counted: bool) -> np.ndarray:
    """How many numbers a window has, divided by how many PyTorch counts, window by window."""
    found = np.ones(())
    for size, k, s, p, n in zip(sizes, w.size, w.strides, w.before, w.out, strict=True):
        first = np.arange(n) * s - p
        low, high = (-p, size + p) if counted else (0, size)
        inside = np.minimum(first + k, high) - np.maximum(first, low)
        found = found[..., None] * (k / inside)
    return found


WHOLE = {
    "Avg": (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D),
    "Max": (L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D),
}
ADAPTIVE = {
    "Avg": (L.AdaptiveAveragePooling1D, L.AdaptiveAveragePooling2D, L.AdaptiveAveragePooling3D),
    "Max": (L.AdaptiveMaxPooling1D, L.AdaptiveMaxPooling2D, L.AdaptiveMaxPooling3D),
}


@reads_module(*(f"Adaptive{way}Pool{d}d" for way in WHOLE for d in (1, 2, 3)))
def adaptive(r: ModuleReader, m: Any, x: Any) -> Seen:
    if getattr(m, "return_indices", False):
        raise r.refused("it returns places too")
    x = with_channels_behind(r, x)
    way, count = type(m).__name__[8:11], len(x.shape) - 2
    out = r.shape()[2:]
    if set(out) == {1}:
        return as_images(r.once(WHOLE[way][count - 1](keepdims=True))(x))
    if out == x.shape[1:-1]:
        return as_images(x)
    return as_images(r.once(ADAPTIVE[way][count - 1](sized(list(out))))(x))


# ----------------------------------------------------------------------------------- sizes


@reads_module(
    *(f"{kind}Pad{d}d" for kind in ("Zero", "Constant") for d in (1, 2, 3)),
)
def padded(r: ModuleReader, m: Any, x: Any) -> Seen:
    return pad(r, x, m.padding, getattr(m, "value", 0))


def pad(r: ModuleReader, x: Any, given: Any, value: float) -> Seen:
    """Zeros around the last axes, of which the last comes first."""
    x = with_channels_behind(r, x)
    count = len(x.shape) - 2
    given = list(given) + [0] * (2 * count - len(given))
    if value or len(given) > 2 * count or min(given) < 0:
        raise r.refused(f"it puts {value} around by {given}: zeros around pixels are read")
    sides = [tuple(given[i : i + 2]) for i in range(0, 2 * count, 2)][::-1]
    return as_images(r.once(PADDINGS[count - 1](sized(sides)))(x))


@reads_module("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
def resized(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = with_channels_behind(r, x)
    kinds = (L.UpSampling1D, L.UpSampling2D, L.UpSampling3D)
    if None in x.shape[1:-1]:
        raise r.refused("sizes that are None are not known when it resizes")
    pairs = [divmod(n, size) for n, size in zip(r.shape()[2:], x.shape[1:-1], strict=True)]
    if any(rest for _, rest in pairs) or min(times for times, _ in pairs) < 1:
        raise r.refused("it makes images larger by other than whole numbers")
    factors = sized([times for times, _ in pairs])
    if m.mode == "nearest":
        return as_images(r.once(kinds[len(pairs) - 1](factors))(x))
    if m.mode == "bilinear" and not m.align_corners:
        return as_images(r.once(L.UpSampling2D(factors, interpolation="bilinear"))(x))
    raise r.refused(f"its mode is {m.mode!r}, or it aligns corners: nearest and bilinear are read")
