"""Bounding boxes: read from the formats that Keras names and written into them, and moved with an
image.

A box is known by its edges, the places (row, column) of its first and last corner, where pixel i
of an image is what lies between i and i + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import one_of

Array = np.ndarray

FORMATS = (
    *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
    *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
)
NO_BOX = -1  # all four numbers, and the label, of a place in an array that holds no box


def format_of(value: Any, who: str, name: str) -> str:
    return one_of(value.lower() if isinstance(value, str) else value, FORMATS, who, name)


BoxFormat = Annotated[str | None, Convert(format_of)]


def edges(boxes: Array, form: str, size: Array) -> tuple[Array, Array]:
    """First and last corner, (..., 2) each, of boxes (..., 4) in an image of this size."""
    first, last = boxes[..., :2], boxes[..., 2:]
    if "center" in form:
        first, last = first - last / 2, first + last / 2
    elif form.endswith("wh"):
        last = first + last
    if "_x" in f"_{form}":  # columns before rows
        first, last = first[..., ::-1], last[..., ::-1]
    return (first * size, last * size) if form.startswith("rel_") else (first, last)


def written(first: Array, last: Array, form: str, size: Array) -> Array:
    """The boxes of these edges: the other way round."""
    if form.startswith("rel_"):
        first, last = first / size, last / size
    if "_x" in f"_{form}":
        first, last = first[..., ::-1], last[..., ::-1]
    if "center" in form:
        first, last = (first + last) / 2, last - first
    elif form.endswith("wh"):
        last = last - first
    return np.concatenate([first, last], -1)


def around(first: Array, last: Array, move: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The edges of the smallest boxes around boxes (N, M, 2) whose corners were moved."""
    others = [np.stack([a[..., 0], b[..., 1]], -1) for a, b in ((first, last), (last, first))]
    corners = np.stack([first, last, *others], 2)
    moved = move(corners.reshape(len(corners), -1, 2)).reshape(corners.shape)
    return moved.min(2), moved.max(2)


def dense(given: Any, who: str) -> tuple[Array, Array]:
    """Boxes (N, M, 4) and their labels (N, M) from a dict of arrays, or of lists of different
    lengths, which are filled up with `NO_BOX`."""
    if not isinstance(given, dict) or not {"boxes", "labels"} <= set(given):
        raise ValueError(
            f"{who} expects 'bounding_boxes' to be a dict with 'boxes' and 'labels', got "
            f"{sorted(given) if isinstance(given, dict) else type(given).__name__}"
        )
    boxes, labels = [
        a if isinstance(a, np.ndarray) else filled(list(a), tail)
        for a, tail in ((given["boxes"], (4,)), (given["labels"], ()))
    ]
    if boxes.ndim != 3 or boxes.shape[2] != 4 or labels.shape[:2] != boxes.shape[:2]:
        raise ValueError(
            f"{who} expects boxes (N, M, 4) and labels (N, M), without N for one image, got "
            f"{boxes.shape} and {labels.shape}"
        )
    return boxes, labels


def filled(rows: list, tail: tuple[int, ...]) -> Array:
    """Lists of different lengths as one array."""
    arrays = [np.asarray(row).reshape(-1, *tail) for row in rows]
    dtype = np.result_type(*arrays) if arrays else np.float64
    y = np.full((len(arrays), max(map(len, arrays), default=0), *tail), NO_BOX, dtype)
    for row, array in zip(y, arrays, strict=True):
        row[: len(array)] = array
    return y
