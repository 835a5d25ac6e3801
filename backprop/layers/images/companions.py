"""What comes with images in a dict, and is changed as they are: labels, segmentation masks and
bounding boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layers.images.boxes import FORMATS, dense
from backprop.symbols import Symbol

Array = np.ndarray

ARRAYS = ("images", "segmentation_masks", "labels")


def changed(layer: Any, data: dict[str, Any], training: bool | None) -> dict[str, Any]:
    """A new dict, of which all that comes with images was changed by the layer as they were; what
    has other names is passed on."""
    given, one = batch(layer, data)
    x = given["images"]
    drawn = layer.plan(x, training)
    if drawn is not None:
        given["images"] = y = layer.change(x, drawn)[0]
        if "labels" in given:
            given["labels"] = layer.change_labels(given["labels"], drawn)
        if "segmentation_masks" in given:
            given["segmentation_masks"] = changed_masks(layer, given["segmentation_masks"], drawn)
        if "boxes" in given:
            boxes = layer.change_boxes(given["boxes"], given["box labels"], drawn, x, y)
            given["boxes"], given["box labels"] = boxes
    return data | given_back(data, {name: a[0] if one else a for name, a in given.items()})


def batch(layer: Any, data: dict[str, Any]) -> tuple[dict[str, Array], bool]:
    """The arrays of a dict, each with an axis for the batch, and whether it was one image."""
    if "images" not in data:
        raise ValueError(f"{layer!r} was called on a dict without 'images'; it has {sorted(data)}")
    if isinstance(data["images"], Symbol):
        raise TypeError(f"{layer!r} takes dicts of arrays; call it on the symbolic images alone")
    given = {name: np.asarray(data[name]) for name in ARRAYS if name in data}
    one = given["images"].ndim == 3
    if one:
        given = {name: array[None] for name, array in given.items()}
    given["images"] = x = layer.cast(given["images"])
    layer._meet(x, x)
    if "bounding_boxes" in data:
        given["boxes"], given["box labels"] = boxes_of(layer, data["bounding_boxes"], one)
    for name, array in given.items():
        if array.ndim == 0 or len(array) != len(x):
            raise ValueError(
                f"{layer!r} expects {name!r} for each of {len(x)} images, got an array of shape "
                f"{array.shape}"
            )
    masks = given.get("segmentation_masks")
    if masks is not None and places(layer, masks) != places(layer, x):
        raise ValueError(
            f"{layer!r} expects segmentation masks of the height and width of the images, whose "
            f"shape is {x.shape[1:]}, got {masks.shape[1:]}"
        )
    return given, one


def boxes_of(layer: Any, given: Any, one: bool) -> tuple[Array, Array]:
    """Boxes (N, M, 4) and their labels (N, M); raises where the layer cannot change them."""
    if not layer.takes_boxes:
        raise ValueError(
            f"{layer!r} does not move bounding boxes: leave 'bounding_boxes' out of the dict, or "
            "mark the objects in 'segmentation_masks', which are moved with the images"
        )
    if layer.moves_points and layer.bounding_box_format is None:
        raise ValueError(
            f"{layer!r} was given bounding boxes and does not know what their numbers mean: make "
            f"it with bounding_box_format='xyxy', or another of {', '.join(FORMATS)}"
        )
    if one and isinstance(given, dict):
        given = given | {name: [array] for name, array in given.items()}
    return dense(given, repr(layer))


def places(layer: Any, a: Array) -> tuple[int, ...]:
    """Height and width of images, and of masks with a channel axis or without."""
    return tuple(a.shape[axis] for axis in layer.sides) if a.ndim == 4 else a.shape[1:]


def changed_masks(layer: Any, masks: Array, drawn: Any) -> Array:
    if masks.ndim == 4:
        return layer.change_masks(masks, drawn)
    channels = layer.channel_axis
    return layer.change_masks(np.expand_dims(masks, channels), drawn).squeeze(channels)


def given_back(data: dict[str, Any], arrays: dict[str, Array]) -> dict[str, Any]:
    """Arrays in the places of the dict that they came from."""
    found: dict[str, Any] = {name: arrays[name] for name in ARRAYS if name in arrays}
    if "boxes" in arrays:
        boxes = {"boxes": arrays["boxes"], "labels": arrays["box labels"]}
        found["bounding_boxes"] = data["bounding_boxes"] | boxes
    return found
