"""Which entries of x an output depends on: by its derivative, and by taking them away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backprop.checks import integer, number, sequence
from backprop.diagnostics.pictures.given import (
    ROWS,
    as_pixels,
    batch,
    one_example,
    one_output,
    outputs,
)
from backprop.diagnostics.pictures.look import (
    AMOUNT,
    COLOURS,
    IMAGE,
    NOT_FINITE,
    SIGNED,
    axes_for,
    colour_bar,
    limits,
    named_ticks,
    show,
    tidy,
    without_frame,
)
from backprop.layer import Array

FEATURES = 20  # that have a bar
Output = int | Sequence[int] | None


def saliency(model: Any, x: Any, *, output: Output = None) -> Array:
    """dy_k/dx for each row: which entries of x move an output, and which way.

    Parameters
    ----------
    model : Sequential or Model
        Of one input and one output.
    x : array_like, (n, ...)
        A batch.
    output : int or tuple of int, optional
        Which entry k of a row's output. Default: the largest of each row.

    Returns
    -------
    ndarray
        Of the shape of x, by the model's own backward pass; the model is left as it was.

    Raises
    ------
    ValueError
        For an output that is not there, and a model that takes integers: there is no derivative.

    References
    ----------
    Simonyan et al.: Deep inside convolutional networks, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    >>> found = bp.diagnostics.saliency(model, np.ones((4, 3)), output=1)
    >>> np.allclose(found, model.layers[0].kernel[:, 1])
    True
    """
    who = "saliency()"
    x = batch(model, x, who)
    y = outputs(model, x, who)
    return model.gradients(x, dy=one_output(y, output, who), wrt="inputs")


def plot_saliency(
    model: Any,
    x: Any,
    *,
    output: Output = None,
    image_shape: Sequence[int] | None = None,
    features: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how much an output of one example moves with each entry of x, beside x itself.

    Parameters
    ----------
    model, output
        As in `saliency`.
    x : array_like
        One example, with or without an axis for the batch.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of an image that the model has as a row of
        numbers.
    features : sequence of str, optional
        The names of the numbers of a row. Default: their places.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        Of an image |dy/dx|, the largest of its channels, beside the image, or beside the mean of
        its channels where these are no colours; of a row of numbers a
        bar with its sign for each, of many for the 20 largest.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For several examples, and as `saliency`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    >>> ax = bp.diagnostics.plot_saliency(model, [1.0, 2.0], features=["size", "age"])
    >>> sorted(label.get_text() for label in ax.get_yticklabels())
    ['age', 'size']
    >>> plt.close()
    """
    who = "plot_saliency()"
    x = one_example(model, x, who)
    slope = saliency(model, x, output=output)
    if x.ndim == 2 and image_shape is None:
        return draw_bars(ax, slope[0], features, "dy / dx", title, who)
    given = pictured(x, features, image_shape, who)
    found = np.abs(as_pixels(slope, image_shape, who))[0]
    found = found.max(-1) if found.ndim == 3 else found
    return draw_beside(ax, given, found, False, "|dy / dx|", title, who)


def occlusion(
    model: Any,
    x: Any,
    *,
    size: int | None = None,
    stride: int = 1,
    value: float = 0.0,
    output: Output = None,
    image_shape: Sequence[int] | None = None,
) -> Array:
    """How much an output of one example falls where a part of it is covered.

    Each square patch of an image, in all channels, is replaced by `value`, and the mean over all
    patches that cover a pixel of y_k(x) - y_k(covered x) is its share; of a row of numbers each
    number by itself is.

    Parameters
    ----------
    model : Sequential or Model
        Of one input and one output.
    x : array_like
        One example, with or without an axis for the batch.
    size : int, optional
        Side of the patch in pixels. Default: a quarter of the image's shorter side.
    stride : int, default 1
        Pixels from one patch to the next; the last ones end with the image.
    value : float, default 0.0
        What is put in the place of what is covered.
    output : int or tuple of int, optional
        Which entry k of the output. Default: the largest.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of an image that the model has as a row of
        numbers.

    Returns
    -------
    ndarray, (height, width) or (features,)
        Above 0 where what is there speaks for the output. NaN at pixels that a stride above the
        size leaves out.

    Raises
    ------
    ValueError
        For several examples, a patch larger than the image, and an output that is not there.

    Notes
    -----
    It takes a prediction for each patch.

    References
    ----------
    Zeiler, Fergus: Visualizing and understanding convolutional networks, 2014.

    Examples
    --------
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1, kernel_initializer="ones")])
    >>> bp.diagnostics.occlusion(model, [1.0, 2.0])
    array([1., 2.])
    """
    who = "occlusion()"
    x = one_example(model, x, who).astype(float)
    value, stride = number(value, who, "value"), integer(stride, who, "stride")
    y = outputs(model, x, who)
    chosen = one_output(y, output, who).astype(bool)
    if x.ndim > 2 or image_shape is not None:
        # the numbers of x by their places, so that an image is covered in all of its channels
        places = as_pixels(np.arange(x.size).reshape(x.shape), image_shape, who)[0]
        corners = patches(places.shape[0], places.shape[1], size, stride, who)
    elif size is not None or stride != 1:
        raise ValueError(f"{who} covers each number of a row: size and stride are of images")
    else:
        places = np.arange(x.size)
        corners = [(slice(i, i + 1),) for i in range(x.size)]
    total, count = np.zeros(places.shape[:2]), np.zeros(places.shape[:2])
    start = 0
    for covered in copies(x, places, corners, value):
        fall = float(y[chosen][0]) - outputs(model, covered, who)[:, chosen[0]][:, 0]
        for corner, d in zip(corners[start:], fall.tolist(), strict=False):
            total[corner] += d
            count[corner] += 1
        start += len(covered)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def patches(height: int, width: int, size: int | None, stride: int, who: str) -> list[tuple]:
    """Squares within an image, of which the last ones end with it."""
    side = max(min(height, width) // 4, 1) if size is None else integer(size, who, "size")
    if side > min(height, width):
        raise ValueError(f"{who}: a patch of {side} is larger than {height} × {width} pixels")
    tops, lefts = (sorted(set(range(0, n - side, stride)) | {n - side}) for n in (height, width))
    return [(slice(i, i + side), slice(j, j + side)) for i in tops for j in lefts]


def copies(x: Array, places: Array, corners: list[tuple], value: float) -> Iterator[Array]:
    """Batches of x, in each row of which one patch is covered."""
    for start in range(0, len(corners), ROWS):
        some = corners[start : start + ROWS]
        rows = np.repeat(x.reshape(1, -1), len(some), 0)
        for row, corner in zip(rows, some, strict=True):
            row[places[corner].ravel()] = value
        yield rows.reshape(len(some), *x.shape[1:])


def plot_occlusion(
    model: Any,
    x: Any,
    *,
    size: int | None = None,
    stride: int = 1,
    value: float = 0.0,
    output: Output = None,
    image_shape: Sequence[int] | None = None,
    features: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how much an output of one example falls where a part of it is covered, beside x.

    Parameters
    ----------
    model, x, size, stride, value, output, image_shape
        As in `occlusion`.
    features : sequence of str, optional
        The names of the numbers of a row. Default: their places.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        Red where what is there speaks for the output, blue where against it; of a row of numbers
        bars, of many the 20 largest.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        As `occlusion`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((4, 4)), bp.layers.Flatten(), bp.layers.Dense(2)])
    >>> ax = bp.diagnostics.plot_occlusion(model, np.ones((4, 4)))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['input', 'fall of the output']
    >>> plt.close()
    """
    who = "plot_occlusion()"
    x = one_example(model, x, who)
    options = {"size": size, "stride": stride, "value": value, "output": output}
    fall = occlusion(model, x, image_shape=image_shape, **options)
    if fall.ndim == 1:
        return draw_bars(ax, fall, features, "fall of the output without it", title, who)
    given = pictured(x, features, image_shape, who)
    return draw_beside(ax, given, fall, True, "fall of the output", title, who)


# ---------------------------------------------------------------------------------- how it is drawn


def pictured(x: Array, features: Any, image_shape: Any, who: str) -> Array:
    """The image that x is; of other channels than colours their mean."""
    if features is not None:
        raise ValueError(f"{who} takes features of rows of numbers, and x is an image")
    image = as_pixels(x, image_shape, who)[0].astype(float)
    return image.mean(-1) if image.ndim == 3 and image.shape[-1] != 3 else image


def draw_bars(ax: Any, values: Array, features: Any, label: str, title: str, who: str) -> Any:
    """A bar for each number of a row, the largest on top; of many the largest alone."""
    n = len(values)
    names = [f"x[{i}]" for i in range(n)]
    if features is not None:
        names = list(map(str, sequence(features, who, "features")))
        if len(names) != n:
            raise ValueError(f"{who} expects features to name {n} numbers, got {len(names)}")
    # what is not finite comes first: nothing else matters then
    size = np.where(np.isfinite(values), np.abs(values), np.inf)
    order = np.argsort(-size, kind="stable")[:FEATURES][::-1]
    ax = axes_for(ax, who, height=max(2.0, 0.26 * len(order) + 1.0))
    shown = np.where(np.isfinite(values), values, 0.0)[order]
    ax.barh(np.arange(len(order)), shown, color=[COLOURS[int(v < 0)] for v in shown], height=0.7)
    for k, i in enumerate(order):
        if not np.isfinite(values[i]):
            ax.text(0, k, f" {values[i]}", color=NOT_FINITE, va="center", fontsize=9)
    ax.axvline(0, color="0.5", linewidth=1)
    named_ticks(ax.yaxis, [names[i] for i in order])
    ax.set_ylim(-0.7, len(order) - 0.3)
    ax.locator_params(axis="x", nbins=5)
    what = f"{len(order)} of {n} features" if n > len(order) else "feature"
    return tidy(ax, title, label, what)


def draw_beside(
    ax: Any, given: Array, found: Array, signed: bool, label: str, title: str, who: str
) -> Any:
    """Two images of one size beside each other."""
    height, width = found.shape
    step = width * 1.08
    ax = axes_for(ax, who, 5.4, min(max(2.0, 2.3 * height / width + 0.6), 6.0))
    low, high = limits(given, signed=False)
    place = {"extent": (0, width, height, 0)}
    given = np.clip((given - low) / (high - low), 0, 1) if given.ndim == 3 else given
    show(ax, given, cmap=IMAGE, vmin=low, vmax=high, **place)
    least, most = limits(found, signed)
    place = {"extent": (step, step + width, height, 0)}
    colours = {"cmap": SIGNED if signed else AMOUNT, "vmin": least if signed else 0.0}
    image = show(ax, found, vmax=most, **colours, **place)
    without_frame(ax)
    ax.set_xlim(0, step + width)
    ax.set_ylim(height, 0)
    ax.set_xticks([width / 2, step + width / 2], ["input", label])
    ax.tick_params(length=0)
    colour_bar(ax, image, "")
    return tidy(ax, title, grid=False)
