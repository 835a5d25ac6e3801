"""Layers for PyTorch's dense modules, activations, normalization, dropout and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import images
from backprop.interop.live.torch_reading import (
    FEATUREWISE,
    ModuleReader,
    Seen,
    array,
    lying,
    reads_module,
    seen,
    weights_of,
)

Array = np.ndarray


@reads_module("Linear")
def linear(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    kernel, *bias = weights_of(m.weight, m.bias)
    layer = L.Dense(m.out_features, use_bias=bool(bias))
    if x.columns is not None:
        turned = np.empty_like(kernel.T)
        turned[x.columns] = kernel.T
        return seen(r.weighted(layer, x.symbol, turned, *bias))
    if x.order[-1] != x.ndim - 1:
        x = r.natural(x)
    return replace(x, symbol=r.weighted(layer, x.symbol, kernel.T, *bias))


# ----------------------------------------------------------------------------------- activations


def clipped(m: Any) -> Any:
    if (m.min_val, m.max_val) == (-1, 1):
        return L.HardTanh()
    if m.min_val == 0:
        return L.ReLU(max_value=m.max_val)
    raise ValueError(f"it clips at {m.min_val} and {m.max_val}: from -1 to 1, or from 0, is read")


def softplus(m: Any) -> Any:
    if m.beta == 1:
        return L.Softplus()
    return [L.MultiplyBy(float(m.beta)), L.Softplus(), L.MultiplyBy(1 / m.beta)]


# what works number by number: the module → a layer, or several
BY_NUMBER: dict[str, Callable[[Any], Any]] = {
    "AlphaDropout": lambda m: L.AlphaDropout(m.p),
    "CELU": lambda m: L.CELU(m.alpha),
    "Dropout": lambda m: L.Dropout(m.p),
    "ELU": lambda m: L.ELU(m.alpha),
    "GaussianDropout": lambda m: L.GaussianDropout(m.p),
    "GaussianNoise": lambda m: L.GaussianNoise(m.stddev),
    "Rectifier": lambda m: L.ReLU(m.top, m.slope, m.threshold),
    "GELU": lambda m: L.GELU(approximate=m.approximate == "tanh"),
    "Hardshrink": lambda m: L.HardShrink(m.lambd),
    "Hardsigmoid": lambda m: L.HardSigmoid(),
    "Hardswish": lambda m: L.HardSiLU(),
    "Hardtanh": clipped,
    "Identity": lambda m: [],
    "LeakyReLU": lambda m: L.LeakyReLU(m.negative_slope),
    "LogSigmoid": lambda m: L.LogSigmoid(),
    "Mish": lambda m: L.Mish(),
    "ReLU": lambda m: L.ReLU(),
    "ReLU6": lambda m: L.ReLU6(),
    "SELU": lambda m: L.SELU(),
    "SiLU": lambda m: L.SiLU(),
    "Sigmoid": lambda m: L.Sigmoid(),
    "Softplus": softplus,
    "Softshrink": lambda m: L.SoftShrink(m.lambd),
    "Softsign": lambda m: L.Softsign(),
    "Tanh": lambda m: L.Tanh(),
    "Tanhshrink": lambda m: L.TanhShrink(),
    "Threshold": lambda m: L.Threshold(m.threshold, m.value),
}
FEATUREWISE |= {*BY_NUMBER, "BatchNorm1d"}


@reads_module(*BY_NUMBER)
def by_number(r: ModuleReader, m: Any, x: Any) -> Seen:
    layers = BY_NUMBER[type(m).__name__](m)
    return r.through(x, *(layers if isinstance(layers, list) else [layers]))


@reads_module("Softmax", "LogSoftmax", "GLU", "Softmax2d", "Softmin")
def along_an_axis(r: ModuleReader, m: Any, x: Any) -> Seen:
    name = type(m).__name__
    if name == "Softmin":
        x = r.through(x, L.MultiplyBy(-1.0))
    kind = {"LogSoftmax": L.LogSoftmax, "GLU": L.GLU}.get(name, L.Softmax)
    return r.along(x, 1 if name == "Softmax2d" else m.dim, kind)


@reads_module("PReLU")
def learned_slope(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    own = x.order[1] if m.num_parameters > 1 else None
    shape = [m.num_parameters if axis == own else 1 for axis in range(1, x.ndim)]
    shared = [axis for axis in range(1, x.ndim) if axis != own]
    alpha = array(m.weight).reshape(shape)
    return replace(x, symbol=r.weighted(L.PReLU(shared_axes=shared or None), x.symbol, alpha))


@reads_module("Dropout1d", "Dropout2d", "Dropout3d")
def of_channels(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    kinds = L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D
    if not 3 <= x.ndim <= 5 or x.order[1] != x.ndim - 1:
        raise r.refused("it drops channels of what is no image")
    return r.through(x, kinds[x.ndim - 3](m.p))


# ----------------------------------------------------------------------------------- normalization


@reads_module("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
def of_batches(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    if not m.track_running_stats or m.momentum is None:
        raise r.refused("it keeps no moving statistics, or averages all that it has seen")
    layer = L.BatchNormalization(
        axis=channel_axis(r, x),
        momentum=1 - m.momentum,
        epsilon=m.eps,
        center=m.affine,
        scale=m.affine,
    )
    weights = weights_of(m.weight, m.bias, m.running_mean, m.running_var)
    if x.columns is not None:
        weights = [turned(w, x.columns) for w in weights]
    return replace(x, symbol=r.weighted(layer, x.symbol, *weights))


def turned(w: Array, columns: Array) -> Array:
    found = np.empty_like(w)
    found[columns] = w
    return found


def channel_axis(r: ModuleReader, x: Seen) -> int:
    axis = r.axis_of(x, 1)
    if axis == 0:
        raise r.refused("the batch stands where channels should")
    return -1 if axis == x.ndim - 1 else axis


@reads_module("GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")
def of_groups(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    if getattr(m, "track_running_stats", False):
        raise r.refused("it keeps moving statistics of each sample")
    groups = getattr(m, "num_groups", -1)
    layer = L.GroupNormalization(
        groups, channel_axis(r, x), epsilon=m.eps, center=m.affine, scale=m.affine
    )
    return replace(x, symbol=r.weighted(layer, x.symbol, *weights_of(m.weight, m.bias)))


@reads_module("LayerNorm", "RMSNorm")
def of_rows(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    last = range(x.ndim - len(m.normalized_shape), x.ndim)
    own = [x.order[i] for i in last]
    if 0 in own:
        raise r.refused("its rows go along the batch")
    axes = sorted(own)
    weights = [
        w.transpose([own.index(axis) for axis in axes])
        for w in weights_of(m.weight, getattr(m, "bias", None))
    ]
    axis: Any = -1 if axes == [x.ndim - 1] else axes
    if type(m).__name__ == "RMSNorm":
        if not weights:
            raise r.refused("it has no weight, which the layer here always has")
        eps = float(np.finfo(weights[0].dtype).eps) if m.eps is None else m.eps
        layer: Any = L.RMSNormalization(axis, epsilon=eps)
    else:
        layer = L.LayerNormalization(
            axis, epsilon=m.eps, scale=bool(weights), center=len(weights) > 1
        )
    return replace(x, symbol=r.weighted(layer, x.symbol, *weights))


# ----------------------------------------------------------------------------------- shapes


@reads_module("Flatten", "Unflatten")
def shape(r: ModuleReader, m: Any, x: Any) -> Seen:
    return r.reshaped(x, r.shape())


@reads_module("PixelShuffle")
def pixels_of_channels(r: ModuleReader, m: Any, x: Any) -> Seen:
    """(N, C s², H, W) → (N, C, H s, W s)"""
    x = r.natural(x)
    _, channels, height, width = x.symbol.shape
    s = m.upscale_factor
    y = L.Reshape((channels // s**2, s, s, height, width))(x.symbol)
    y = L.Permute((4, 2, 5, 3, 1))(y)  # rows, of each s; columns, of each s; channels
    y = L.Reshape((height * s, width * s, channels // s**2))(y)
    return lying(y, images(y).order)
