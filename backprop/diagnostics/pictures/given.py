"""What pictures are given: models that are asked, examples, and rows that are images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.checks import integers
from backprop.layer import Array

ROWS = 1024  # that go through a model at a time


def outputs(model: Callable[[Array], Any], x: Array, who: str) -> Array:
    """What a model puts out for rows, as one array."""
    found = []
    for start in range(0, len(x), ROWS):
        y = model(x[start : start + ROWS])
        if isinstance(y, list | tuple | dict):
            raise ValueError(f"{who} expects a model of one output, this one has several")
        found.append(np.asarray(y))
    return np.concatenate(found)


def batch(model: Any, x: Any, who: str) -> Array:
    """Some examples for a model of one input."""
    shape = input_shape(model, who)
    x = np.asarray(x)
    if x.ndim != len(shape) or not len(x):
        raise ValueError(f"{who} expects x of the shape {shown(shape)}, got {x.shape}")
    return x


def one_example(model: Any, x: Any, who: str) -> Array:
    """An example as a batch of one, whether it came as one or not."""
    shape = input_shape(model, who)
    x = np.asarray(x)
    if x.ndim == len(shape) - 1:
        x = x[None]
    if x.ndim != len(shape) or len(x) != 1:
        one = shape[1:]
        raise ValueError(
            f"{who} expects one example, x of the shape {shown(one)} or {shown((1, *one))}, "
            f"got {x.shape}"
        )
    return x


def input_shape(model: Any, who: str) -> tuple:
    if not hasattr(model, "activations"):
        raise TypeError(f"{who} expects a Sequential or a Model, got {model!r}")
    if not model.built:
        raise ValueError(f"{who} of a model that is not built: call it on data, or fit it, first")
    if len(model.inputs) != 1:
        raise ValueError(
            f"{who} expects a model of one input, {model.name} has {len(model.inputs)}"
        )
    return tuple(model.inputs[0].shape)


def within(model: Any, name: str) -> Any:
    """The layer of that name, however deep it is."""
    parts = list(model.walk())
    found = next((part for part in parts if part.name == name), None)
    if found is None and not hasattr(model, "get_layer"):
        raise ValueError(f"{model.name} has no layer {name!r} within")
    return model.get_layer(name) if found is None else found  # which says what there is


def shown(shape: tuple) -> str:
    inner = ", ".join("n" if size is None else str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def one_output(y: Array, output: int | Sequence[int] | None, who: str) -> Array:
    """An array like y, with a 1 where the asked output of each row is: the derivative of their sum.

    Without `output` it is the largest of each row.
    """
    d = np.zeros(y.shape, y.dtype)
    if output is None:
        if y.ndim != 2:
            raise ValueError(f"{who} expects output to say which entry of {shown(y.shape[1:])}")
        d[np.arange(len(y)), y.argmax(1)] = 1
        return d
    place = tuple(output) if isinstance(output, tuple | list) else (output,)
    known = [isinstance(i, int | np.integer) and not isinstance(i, bool) for i in place]
    if not all(known) or len(place) != y.ndim - 1:
        raise ValueError(
            f"{who} expects output to be {y.ndim - 1} whole numbers, a place in an output of the "
            f"shape {shown(y.shape[1:])}, got {output!r}"
        )
    for i, size in zip(place, y.shape[1:], strict=True):
        if not -size <= i < size:
            raise ValueError(f"{who}: output {output!r} is outside of {shown(y.shape[1:])}")
    d[(slice(None), *place)] = 1
    return d


def as_pixels(rows: Array, image_shape: Any, who: str) -> Array:
    """Rows as images (n, height, width), or with several channels (n, height, width, channels)."""
    if image_shape is not None:
        length = len(image_shape) if isinstance(image_shape, list | tuple) else 2
        shape = integers(image_shape, length, who, "image_shape")
        if int(np.prod(shape)) != int(np.prod(rows.shape[1:])) or length not in (2, 3):
            raise ValueError(
                f"{who} expects image_shape to be (height, width) or (height, width, channels) of "
                f"{int(np.prod(rows.shape[1:]))} numbers, got {image_shape!r}"
            )
        rows = rows.reshape(len(rows), *shape)
    if rows.ndim not in (3, 4):
        hint = "; say image_shape=(height, width)" if rows.ndim == 2 else ""
        raise ValueError(
            f"{who} draws images, (height, width) or (height, width, channels), got "
            f"{shown(rows.shape[1:])}{hint}"
        )
    if rows.ndim == 4 and rows.shape[-1] not in (1, 3) and rows.shape[1] in (1, 3):
        rows = np.moveaxis(rows, 1, -1)  # channels first
    return rows[..., 0] if rows.ndim == 4 and rows.shape[-1] == 1 else rows


def as_images(rows: Array, image_shape: Any, who: str) -> Array:
    """Rows as images to be shown: (n, height, width) or, in colours, (n, height, width, 3)."""
    rows = as_pixels(rows, image_shape, who)
    if rows.ndim == 4 and rows.shape[-1] != 3:
        raise ValueError(f"{who} draws images of 1 or 3 channels, got {shown(rows.shape[1:])}")
    return rows


def as_colours(images: Array, low: float, high: float) -> Array:
    """Colours from 0 to 1 where the numbers go from `low` to `high`."""
    return np.clip((images - low) / ((high - low) or 1.0), 0, 1)
