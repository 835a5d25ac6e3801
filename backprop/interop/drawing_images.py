"""Convolutions of another library as layers: kernels (filters, channels, size ...), images that are
seen with their channels in front, and pads on either side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Drawer, behind
from backprop.symbols import Symbol

Array = np.ndarray
CONVOLUTIONS = (L.Conv1D, L.Conv2D, L.Conv3D)
BY_CHANNEL = (L.DepthwiseConv1D, L.DepthwiseConv2D)
TRANSPOSED = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
MAXIMA = (L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D)
AVERAGES = (L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D)
PADDINGS = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
CROPPINGS = (L.Cropping1D, L.Cropping2D, L.Cropping3D)
Sides = list[tuple[int, int]]


def with_channels_behind(r: Drawer, x: Any) -> Symbol:
    x = r.known(x)
    if not 3 <= x.ndim <= 5:
        raise r.refused(f"it reads an array of {x.ndim} axes, and one to three sizes are read")
    return r.arranged(x, behind(x))


def sized(sides: list[Any]) -> Any:
    """What there is for each axis; of one axis, that."""
    return sides if len(sides) > 1 else sides[0]


def padding_for(layer: Any, sides: Sides | str, sizes: Any, causal: bool) -> str | None:
    """The padding of a layer's class that is these sides; None where it has none."""
    if sides == "same" or not any(map(any, sides)):
        return "same" if sides == "same" else "valid"
    windows = layer.windows
    if max(windows.strides) == 1 or None not in sizes:
        same = type(windows)(windows.size, windows.strides, "same", windows.dilation)
        if same.margins(tuple(n or 2**20 for n in sizes)) == sides:
            return "same"
    if causal and sides == [(windows.spans[0] - 1, 0)]:
        return "causal"
    return None


def convolve(
    r: Drawer,
    x: Symbol,
    kernel: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    sides: Sides | str,
) -> Symbol:
    """A convolution of x, (N, sizes ..., C)."""
    count, (filters, channels, *size) = len(x.shape) - 2, kernel.shape
    options: dict[str, Any] = {
        "strides": tuple(strides),
        "dilation_rate": tuple(dilations),
        "use_bias": bias is not None,
    }
    each = groups > 1 and channels == 1 and filters % groups == 0 and count < 3
    kind: Any
    first: tuple[Any, ...]
    if each and groups == x.shape[-1]:
        kind, first = BY_CHANNEL[count - 1], (tuple(size),)
        options["depth_multiplier"] = filters // groups
        turned = kernel.reshape(groups, filters // groups, *size)
        turned = turned.transpose(*range(2, count + 2), 0, 1)
    else:
        kind, first = CONVOLUTIONS[count - 1], (filters, tuple(size))
        options["groups"] = groups
        turned = kernel.transpose(*range(2, count + 2), 1, 0)
    causal = kind is L.Conv1D
    padding = padding_for(kind(*first, **options), sides, x.shape[1:-1], causal)
    if padding is None:
        assert not isinstance(sides, str)
        x, padding = PADDINGS[count - 1](sized(sides))(x), "valid"
    layer = kind(*first, padding=padding, **options)
    return r.weighted(layer, x, *((turned,) if bias is None else (turned, bias)))


def convolve_back(
    r: Drawer,
    x: Symbol,
    kernel: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    sides: Sides,
    more: Sequence[int],
) -> Symbol:
    """A transposed convolution of x, (N, sizes ..., C), by a kernel (C, filters, size ...): `sides`
    are cut off, and `more` numbers stay behind."""
    count = len(x.shape) - 2
    layer = TRANSPOSED[count - 1](
        kernel.shape[1],
        kernel.shape[2:],
        strides=tuple(strides),
        dilation_rate=tuple(dilations),
        use_bias=bias is not None,
    )
    spans = layer.windows.spans
    cropped = [
        (before, max(span, s) - span - extra + after)
        for (before, after), span, s, extra in zip(sides, spans, strides, more, strict=True)
    ]
    if any(after < 0 for _, after in cropped):
        raise r.refused(f"its output_padding is {list(more)}")
    turned = kernel.transpose(*range(2, count + 2), 1, 0)
    y = r.weighted(layer, x, *((turned,) if bias is None else (turned, bias)))
    if any(map(any, cropped)):
        y = CROPPINGS[count - 1](sized(cropped))(y)
    return y
