"""Pictures of many small images: filters, what they find, what an autoencoder gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop.checks import integer
from backprop.diagnostics.pictures.given import (
    as_colours,
    as_images,
    batch,
    one_example,
    outputs,
    within,
)
from backprop.diagnostics.pictures.look import (
    AMOUNT,
    IMAGE,
    SIGNED,
    axes_for,
    colour_bar,
    limits,
    show,
    tidy,
    without_frame,
)
from backprop.layer import Array, Layer

MOST = 64  # tiles
KERNELS = ("kernel", "depthwise_kernel")


def filters(model: Any, *, layer: Any = None) -> Array:
    """The filters of a convolution as images.

    Parameters
    ----------
    model : Sequential, Model or Layer
        A model with a convolution, or the convolution itself.
    layer : str or Layer, optional
        Which layer of the model. Default: the first that convolves along one or two axes.

    Returns
    -------
    ndarray, (n, height, width) or (n, height, width, 3)
        With three channels as an image in colours, else an image for each pair of a filter and a
        channel, those of a filter side by side in order. Along one axis the height is the
        number of channels.

    Raises
    ------
    ValueError
        Where there is no such layer, or it is not built, or convolves along three axes.

    Examples
    --------
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((8, 8, 1)), bp.layers.Conv2D(4, 3)])
    >>> bp.diagnostics.filters(model).shape
    (4, 3, 3)
    """
    images, _ = filters_of(model, layer, "filters()")
    return images


def plot_filters(
    model: Any, *, layer: Any = None, most: int = MOST, ax: Any = None, title: str = ""
) -> Any:
    """Draw the filters of a convolution: red above 0, blue below, or in colours where the input has
    three channels.

    Parameters
    ----------
    model, layer
        As in `filters`.
    most : int, default 64
        How many images are drawn; of more the first.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        As `filters`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((8, 8, 1)), bp.layers.Conv2D(4, 3, name="conv")])
    >>> ax = bp.diagnostics.plot_filters(model)
    >>> ax.get_xlabel()
    '4 filters of conv, 3 × 3'
    >>> plt.close()
    """
    who = "plot_filters()"
    most = integer(most, who, "most")
    images, found = filters_of(model, layer, who)
    coloured = images.ndim == 4
    low, high = limits(images, signed=True)
    height, width = images.shape[1:3]
    size = f"{height} × {width}"
    if kernel_of(found).ndim == 3:
        size = f"{height} channel{'s' * (height > 1)} × {width} steps"
    label = f"{counted(len(images), most, 'filters')} of {found.name}, {size}"
    if coloured:
        images = as_colours(images, low, high)
    ax = axes_for(ax, who, 4.6, 4.2)
    image = draw_tiles(ax, images[:most], cmap=SIGNED, vmin=low, vmax=high)
    if not coloured:
        colour_bar(ax, image, "weight")
    return tidy(ax, title, label, grid=False)


def filters_of(model: Any, layer: Any, who: str) -> tuple[Array, Layer]:
    """The filters as images, and the layer that they are of."""
    if not isinstance(model, Layer):
        raise TypeError(f"{who} expects a model, or a layer that convolves, got {model!r}")
    if layer is None:
        known = [part for part in model.walk() if convolves(part)]
        if not known:
            raise ValueError(
                f"{who} finds no convolution along one or two axes in {model.name}"
                f"{'' if model.built else ', which is not built: call it on data first'}"
            )
        found = known[0]
    else:
        found = within(model, layer) if isinstance(layer, str) else layer
        if not isinstance(found, Layer) or not convolves(found):
            built = not isinstance(found, Layer) or found.built
            raise ValueError(
                f"{who} expects a layer with a kernel along one or two axes, got {found!r}"
                f"{'' if built else ', which is not built: call the model on data first'}"
            )
    kernel = np.asarray(kernel_of(found))
    # (height, width, channels, filters), or with both exchanged, as (filters, channels, ...)
    order = (0, 1) if "Transpose" in type(found).__name__ else (1, 0)
    kernel = np.moveaxis(kernel, (-2, -1), order)
    if kernel.ndim == 3:
        return kernel, found  # an image of channels and steps
    if kernel.shape[1] == 3 and "Depthwise" not in type(found).__name__:
        return np.moveaxis(kernel, 1, -1), found
    return kernel.reshape(-1, *kernel.shape[2:]), found


def kernel_of(layer: Layer) -> Any:
    return next((getattr(layer, name) for name in KERNELS if hasattr(layer, name)), None)


def convolves(layer: Layer) -> bool:
    kernel = kernel_of(layer)
    return "Conv" in type(layer).__name__ and getattr(kernel, "ndim", 0) in (3, 4)


def plot_feature_maps(
    model: Any,
    x: Any,
    *,
    layer: Any = None,
    most: int = MOST,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw what a layer puts out for one image, a tile for each of its channels.

    Parameters
    ----------
    model : Sequential or Model
        Of one input.
    x : array_like
        One example, with or without an axis for the batch.
    layer : str or Layer, optional
        A layer that puts out (batch, height, width, channels), or (batch, steps, channels), which
        is one tile. Default: the first convolution of the model.
    most : int, default 64
        How many channels are drawn; of more the first.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For several examples, and a layer whose output is no image.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((8, 8, 1)), bp.layers.Conv2D(4, 3, name="conv")])
    >>> ax = bp.diagnostics.plot_feature_maps(model, np.zeros((8, 8, 1)))
    >>> ax.get_xlabel()
    '4 channels of conv, 6 × 6'
    >>> plt.close()
    """
    who = "plot_feature_maps()"
    most = integer(most, who, "most")
    x = one_example(model, x, who)
    if layer is None:
        known = [part for part in model.layers if "Conv" in type(part).__name__]
        if not known:
            raise ValueError(f"{who} finds no convolution in {model.name}: name a layer")
        layer = known[0]
    ((name, y),) = model.activations(x, layer).items()
    shape = getattr(y, "shape", ())
    if len(shape) not in (3, 4):
        raise ValueError(
            f"{who} draws layers that put out images, (batch, height, width, channels), or steps; "
            f"{name} puts out {shape or f'{len(y)} arrays'}"
        )
    first = getattr(model.get_layer(name), "data_format", None) == "channels_first"
    maps = y[0] if first or len(shape) == 3 else np.moveaxis(y[0], -1, 0)
    if len(shape) == 3:
        maps = (maps if first else maps.T)[None]
        label = f"step ({maps.shape[1]} channels of {name}, top to bottom)"
    else:
        size = " × ".join(map(str, maps.shape[1:]))
        label = f"{counted(len(maps), most, 'channels')} of {name}, {size}"
    ax = axes_for(ax, who, 4.6, 4.2)
    low, high = limits(maps[:most], signed=False)
    image = draw_tiles(ax, maps[:most], cmap=AMOUNT, vmin=low, vmax=high)
    colour_bar(ax, image, "activation")
    return tidy(ax, title, label, grid=False)


def plot_reconstructions(
    model: Any,
    x: Any,
    *,
    image_shape: Sequence[int] | None = None,
    most: int = 10,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw images and, below them, what an autoencoder makes of them.

    Parameters
    ----------
    model : Sequential or Model
        Of one input and an output of the same shape.
    x : array_like, (n, ...)
        Images, or rows of numbers together with `image_shape`.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of what the model has as rows of numbers.
    most : int, default 10
        How many are drawn; of more the first.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        Both rows on one scale, that of the inputs.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For what is no image, and an output of another shape.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((6,)), bp.layers.Dense(2), bp.layers.Dense(6)])
    >>> ax = bp.diagnostics.plot_reconstructions(model, np.ones((3, 6)), image_shape=(2, 3))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['input', 'output']
    >>> plt.close()
    """
    who = "plot_reconstructions()"
    most = integer(most, who, "most")
    x = batch(model, x, who)[:most]
    y = outputs(model, x, who)
    if y.shape != x.shape:
        raise ValueError(f"{who} expects outputs of the shape of x, {x.shape}, got {y.shape}")
    given = as_images(x, image_shape, who).astype(float)
    images = np.concatenate([given, as_images(y, image_shape, who)])
    low, high = limits(given, signed=False)
    if images.ndim == 4:
        images = as_colours(images, low, high)
    ax = axes_for(ax, who, min(max(3.0, 0.8 * len(x) + 0.6), 12.0), 2.0)
    draw_tiles(ax, images, len(x), cmap=IMAGE, vmin=low, vmax=high)
    height = images.shape[1] + gap_of(images)
    ax.set_yticks([(height - 1) / 2 - 0.5, height + (height - 1) / 2 - 0.5], ["input", "output"])
    ax.tick_params(length=0)
    return tidy(ax, title, f"{len(x)} example{'s' * (len(x) > 1)}", grid=False)


# --------------------------------------------------------------------------------------- one image


def counted(n: int, most: int, what: str) -> str:
    return (
        f"{n} {what if n != 1 else what.rstrip('s')}"
        if n <= most
        else f"first {most} of {n} {what}"
    )


def gap_of(images: Array) -> int:
    """Pixels between tiles: an eighth of one, as it looks the same in all sizes."""
    return max(1, round(min(images.shape[1:3]) / 8))


def mosaic(images: Array, columns: int | None = None) -> tuple[Array, Array]:
    """Images beside and below each other as one, and where in it there are images: between them is
    nothing."""
    n, height, width = images.shape[:3]
    columns = columns or int(np.ceil(np.sqrt(n * height / width)))
    columns = min(columns, n)
    rows, gap = -(-n // columns), gap_of(images)
    shape = rows * (height + gap) - gap, columns * (width + gap) - gap
    whole = np.full((*shape, *images.shape[3:]), np.nan)
    inside = np.zeros(shape, bool)
    for k, image in enumerate(images):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        place = slice(top, top + height), slice(left, left + width)
        whole[place], inside[place] = image, True
    return whole, inside


def draw_tiles(ax: Any, images: Array, columns: int | None = None, **options: Any) -> Any:
    """Draw images as one, without a frame; returns the image."""
    whole, inside = mosaic(images, columns)
    image = show(ax, whole, inside, **options)
    without_frame(ax)
    return image
