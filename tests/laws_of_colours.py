"""Rows of the table of the laws: layers that change colours, each with a naive loop beside it
that is given what the layer draws."""

import colorsys

import numpy as np

from backprop import layers as L
from backprop.testing import images

FORMATS = ["channels_last", "channels_first"]
UNIT, WIDE, NARROW = (0.0, 1.0), (-20.0, 20.0), (-1.3, 0.9)


def coloured(make, naive, tags=("piecewise", "stochastic"), shown=np.copy, **configs):
    return {
        "layer": make,
        "configs": {"data_format": FORMATS} | configs,
        "inputs": lambda config: images(
            4, 5, 3, data_format=config["data_format"], kinds=("generic",)
        ).map(shown),
        "tags": list(tags),
        "reference": in_order(naive),
    }


def bright(x):
    """Between 0 and 1. There no colours are rounded until they are grey: at grey hue has no slopes
    on two sides, but one in each direction."""
    return 1 / (1 + np.exp(-x))


def in_order(naive):
    """A naive function of an image with its channels last, for a batch in either order."""

    def reference(x, layer, training):
        drawn = layer.plan(x, training)
        if drawn is None:
            return x
        first = layer.data_format == "channels_first"
        if isinstance(drawn, tuple):
            drawn = list(zip(*drawn, strict=True)) or [()] * len(x)
        y = [
            naive(np.moveaxis(image, 0, -1) if first else image, numbers, layer)
            for image, numbers in zip(x, drawn, strict=True)
        ]
        return np.moveaxis(y, -1, 1) if first else np.array(y)

    return reference


def by_pixel(function):
    """A function of one pixel and what was drawn for its image, for all pixels."""

    def naive(image, number, layer):
        y = np.empty(image.shape)
        for i, j in np.ndindex(image.shape[:2]):
            y[i, j] = function(image[i, j], number, layer)
        return y

    return naive


@by_pixel
def hue(pixel, turn, layer):
    low, high = layer.value_range
    h, s, v = colorsys.rgb_to_hsv(*(pixel - low) / (high - low))
    return low + (high - low) * np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v))


@by_pixel
def saturation(pixel, times, layer):
    low, high = layer.value_range
    h, s, v = colorsys.rgb_to_hsv(*(pixel - low) / (high - low))
    return low + (high - low) * np.array(colorsys.hsv_to_rgb(h, min(s * times, 1), v))


def grey_of(pixel):
    return 0.2989 * pixel[0] + 0.5870 * pixel[1] + 0.1140 * pixel[2]


@by_pixel
def degeneration(pixel, f, layer):
    low, high = layer.value_range
    return [min(max((1 - f) * c + f * grey_of(pixel), low), high) for c in pixel]


@by_pixel
def grayscale(pixel, grey, layer):
    return [grey_of(pixel) if grey else c for c in pixel]


@by_pixel
def negative(pixel, inverted, layer):
    return [sum(layer.value_range) - c if inverted else c for c in pixel]


@by_pixel
def few_tones(pixel, bits, layer):
    low, high = layer.value_range
    step = 2 ** (8 - bits)
    tones = [min(max((c - low) / (high - low) * 255, 0), 255) // step * step for c in pixel]
    return [low + (high - low) * tone / 255 for tone in tones]


@by_pixel
def solarized(pixel, drawn, layer):
    low, high = layer.value_range
    added, threshold = (part * (high - low) for part in drawn)
    z = [min(max(c + added, low), high) for c in pixel]
    return [c if c < low + threshold else low + high - c for c in z]


def by_channel(function):
    """A function of one channel of an image and what was drawn for it, for all channels."""

    def naive(image, numbers, layer):
        return np.stack([function(c, numbers, layer) for c in np.moveaxis(image, -1, 0)], -1)

    return naive


@by_channel
def stretched(channel, _, layer):
    low, high = layer.value_range
    least, largest = min(channel.ravel()), max(channel.ravel())
    if least == largest:
        return channel
    return low + (high - low) * (channel - least) / (largest - least)


@by_channel
def equalized(channel, _, layer):
    low, high = layer.value_range
    last = layer.bins - 1
    bins = [
        [min(max(int((c - low) / (high - low) * last), 0), last) for c in row] for row in channel
    ]
    flat = sorted(b for row in bins for b in row)
    if flat[0] == flat[-1]:
        return channel
    least = flat.count(flat[0])
    share = [
        [(sum(k <= b for k in flat) - least) / (len(flat) - least) for b in row] for row in bins
    ]
    return low + (high - low) * np.round(255 * np.array(share)) / 255


@by_channel
def by_tiles(channel, _, layer):
    low, high = layer.value_range
    tones = ((channel - low) / (high - low) * 255).clip(0, 255).astype(int)
    (rows, columns), (height, width) = layer.tile_grid_size, channel.shape
    h, w = -(-height // rows), -(-width // columns)
    wide = np.pad(tones, ((0, rows * h - height), (0, columns * w - width)), "symmetric")
    curves = {}
    for r, c in np.ndindex(rows, columns):
        tile = list(wide[r * h : (r + 1) * h, c * w : (c + 1) * w].ravel())
        counts = [float(tile.count(tone)) for tone in range(256)]
        if layer.clip_limit > 0:
            limit = layer.clip_limit * len(tile) / 256
            more = sum(max(n - limit, 0) for n in counts) / 256
            counts = [min(n, limit) + more for n in counts]
        total = [sum(counts[: tone + 1]) for tone in range(256)]
        rest = (len(tile) - total[0]) or 1
        curves[r, c] = [min((t - total[0]) * 255 / rest, 255) for t in total]
    y = np.zeros(channel.shape)
    for i, j in np.ndindex(height, width):
        a, b = (i - h / 2) / h, (j - w / 2) / w
        for r, c in np.ndindex(2, 2):
            p, q = int(np.floor(a)) + r, int(np.floor(b)) + c
            near = (1 - abs(a - p)) * (1 - abs(b - q))
            tile = min(max(p, 0), rows - 1), min(max(q, 0), columns - 1)
            y[i, j] += near * curves[tile][tones[i, j]]
    return low + (high - low) * y / 255


def around(channel, i, j, weight):
    """The sum of the pixels around one, weighted by how far down and across they are."""
    return sum(channel[p, q] * weight(p - i, q - j) for p, q in np.ndindex(channel.shape))


@by_channel
def sharper(channel, f, layer):
    y = channel.copy()
    for i, j in np.ndindex(channel.shape):
        soft = around(
            channel,
            i,
            j,
            lambda p, q: 5 / 13 if p == q == 0 else max(abs(p), abs(q)) < 2 and 1 / 13,
        )
        y[i, j] = (2 * f) * channel[i, j] + (1 - 2 * f) * soft
    return np.minimum(np.maximum(y, layer.value_range[0]), layer.value_range[1])


@by_channel
def softer(channel, drawn, layer):
    chosen, (across, down) = drawn

    def bell(size, sigma):
        g = {i: np.exp(-0.5 * (i / sigma) ** 2) for i in range(-(size // 2), size // 2 + 1)}
        return lambda i: g.get(i, 0) / sum(g.values())

    y = channel.copy()
    wide, high = bell(layer.kernel_size[0], across), bell(layer.kernel_size[1], down)
    for i, j in np.ndindex(channel.shape):
        if chosen:
            y[i, j] = around(channel, i, j, lambda p, q: high(p) * wide(q))
    return np.minimum(np.maximum(y, layer.value_range[0]), layer.value_range[1])


def jittered(x, layer, training):
    """Brightness, contrast, saturation and hue, image by image."""
    if not training:
        return x
    drawn = [np.ravel(numbers) for _, numbers in layer.draw(x)]
    y = x
    for change, numbers in zip((brighter, contrasted, saturation, hue), drawn, strict=True):
        y = in_order(change)(y, Given(layer, numbers), True)
    return y


class Given:
    """A layer's value range and data format, and numbers as its draw."""

    def __init__(self, layer, numbers):
        self.value_range, self.data_format = layer.value_range, layer.data_format
        self.plan = lambda x, training: numbers


@by_channel
def brighter(channel, b, layer):
    return np.minimum(np.maximum(channel + b, layer.value_range[0]), layer.value_range[1])


@by_channel
def contrasted(channel, f, layer):
    y = f * channel + (1 - f) * sum(channel.ravel()) / channel.size
    return np.minimum(np.maximum(y, layer.value_range[0]), layer.value_range[1])


def policy(make, **configs):
    row = coloured(make, None, **configs)
    return {k: v for k, v in row.items() if k != "reference"}


def mixed(x, layer, training):
    """MixUp and CutMix, image by image: a share of another, or a box of it."""
    if not training:
        return x
    order, *inside, w = layer.draw(x)
    y = np.empty(x.shape)
    for n, other in enumerate(order):
        part = inside[0][n] if inside else 1 - w[n]
        y[n] = x[n] * (1 - part) + x[other] * part
    return y


def mixing(make, **configs):
    return {
        "layer": make,
        "configs": {"data_format": FORMATS} | configs,
        "inputs": lambda config: images(
            4, 5, batch=(2, 3), data_format=config["data_format"], kinds=("generic",)
        ),
        "tags": ["stochastic", "couples_rows"],
        "reference": mixed,
    }


STEPS = {"tags": ("piecewise",)}
RANGES = [WIDE, NARROW]
COLOURS = {
    "RandomHue": [
        coloured(L.RandomHue, hue, shown=bright, factor=[0.3, (0.5, 1.0)], value_range=[UNIT]),
    ],
    "RandomSaturation": [
        coloured(
            L.RandomSaturation,
            saturation,
            shown=bright,
            factor=[0.5, (0.5, 0.99)],
            value_range=[UNIT, (-0.5, 1.5)],
        ),
    ],
    "RandomColorDegeneration": [
        coloured(
            L.RandomColorDegeneration,
            degeneration,
            factor=[0.3, (0.5, 1.0)],
            value_range=[WIDE, NARROW],
        ),
    ],
    "RandomGrayscale": [
        coloured(L.RandomGrayscale, grayscale, ("stochastic",), factor=[0.2, 0.5]),
    ],
    "RandomInvert": [
        coloured(L.RandomInvert, negative, ("stochastic",), factor=[1.0], value_range=RANGES)
    ],
    "RandomPosterization": [
        coloured(L.RandomPosterization, few_tones, factor=[(1, 5)], value_range=RANGES)
    ],
    "Solarization": [
        coloured(
            L.Solarization,
            solarized,
            addition_factor=[0.0, 0.3],
            threshold_factor=[0.8, (0.3, 0.9)],
            value_range=RANGES,
        )
    ],
    "AutoContrast": [coloured(L.AutoContrast, stretched, **STEPS, value_range=RANGES)],
    "Equalization": [
        coloured(L.Equalization, equalized, **STEPS, value_range=RANGES, bins=[256, 10])
    ],
    "ContrastLimitedAdaptiveHistogramEqualization": [
        coloured(
            L.ContrastLimitedAdaptiveHistogramEqualization,
            by_tiles,
            **STEPS,
            value_range=[NARROW],
            clip_limit=[4.0, 50.0, 0.0],
            tile_grid_size=[(2, 3), (1, 1), (8, 8)],
        )
    ],
    "RandomSharpness": [
        coloured(L.RandomSharpness, sharper, factor=[1.0, (0.6, 0.9)], value_range=RANGES)
    ],
    "RandomGaussianBlur": [
        coloured(
            L.RandomGaussianBlur,
            softer,
            factor=[1.0, (0.5, 1.0)],
            kernel_size=[3, (5, 1)],
            sigma=[1.0, (0.4, 0.6)],
            value_range=RANGES,
        )
    ],
    "RandomColorJitter": [
        coloured(
            L.RandomColorJitter,
            None,
            shown=bright,
            value_range=[UNIT],
            brightness_factor=[0.1],
            contrast_factor=[0.4],
            saturation_factor=[0.8],
            hue_factor=[0.4],
        )
        | {"reference": jittered}
    ],
    "RandAugment": [policy(L.RandAugment, value_range=[WIDE], num_ops=[1, 3])],
    "AugMix": [policy(L.AugMix, value_range=[WIDE], all_ops=[True, False])],
    "MixUp": [mixing(L.MixUp, alpha=[0.2, 1.0])],
    "CutMix": [mixing(L.CutMix, factor=[1.0, (0.3, 0.9)])],
}
