"""What layers that change images share: in training each image gets a draw of its own, in inference
y = x; a call takes one image as well as a batch, and a dict of images with what belongs to them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from backprop.arguments import argument
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.images.boxes import NO_BOX, BoxFormat, around, edges, written
from backprop.layers.images.companions import changed
from backprop.layers.windows import DataFormat


class ImageLayer(Layer, kw_only=True, by_position=True):
    """y = x in inference; in training, and at a call that does not say which, y is x changed by a
    draw, as Keras' layers do it.

        x, y: (N, H, W, C)    or one image, (H, W, C), at a call

    A subclass writes `draw`, which makes all random numbers, `change`, which is a function of x and
    of what was drawn, and `reverse`, the way back of `change`. Where labels, segmentation masks or
    bounding boxes change with the images it writes `change_labels`, `change_masks` and
    `move_points` as well.

    A call on a dict ``{"images": x, "labels": ..., "segmentation_masks": ..., "bounding_boxes":
    {"boxes": ..., "labels": ...}}`` changes all of them by one draw and returns a new dict.
    """

    data_format: DataFormat = None
    bounding_box_format: BoxFormat = argument(default=None, kw_only=True)

    input_spec = InputSpec(ndim=4)
    # arguments of which Keras reads one number otherwise: a configuration says them in pairs
    said_in_pairs: ClassVar[tuple[str, ...]] = ()

    def draw(self, x) -> Any:
        """The random numbers for a batch: anything but None."""
        raise TypeError(f"{type(self).__name__} has no draw(self, x): write one")

    def change(self, x, drawn, /) -> tuple[Any, Any]:
        """y, and what `reverse` needs, which is not None. Must not draw."""
        raise TypeError(f"{type(self).__name__} has no change(self, x, drawn): write one")

    def reverse(self, dy, kept, /) -> Any:
        """dx."""
        raise TypeError(f"{type(self).__name__} has no reverse(self, dy, kept): write one")

    def change_labels(self, labels, drawn, /) -> Any:
        """The labels of changed images. Default: they stay."""
        return labels

    def change_masks(self, masks, drawn, /) -> Any:
        """Segmentation masks (N, H, W, C), which hold a class for each pixel, as the images are
        changed. Default, where no pixel moves: they stay."""
        return masks

    def move_points(self, points, drawn, height: int, width: int, /) -> np.ndarray:
        """Where places (N, K, 2) of images of this height and width are in the changed images: rows
        and columns, pixel i between i and i + 1. Default: they stay."""
        return points

    @property
    def moves_points(self) -> bool:
        return type(self).move_points is not ImageLayer.move_points

    @property
    def takes_boxes(self) -> bool:
        """Whether it is known where boxes are in the changed images: they stay with all else, or
        move with points, or in a way of their own."""
        cls, base = type(self), ImageLayer
        all_stay = (cls.change_masks, cls.change_labels) == (base.change_masks, base.change_labels)
        return all_stay or self.moves_points or cls.change_boxes is not base.change_boxes

    def change_boxes(self, boxes, labels, drawn, x, y, /) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, M, 4) and labels (N, M) of x as those of the changed images y."""
        if not self.moves_points:
            return boxes, labels
        form = self.bounding_box_format or ""  # which is not None here: `boxes_of` has looked
        before, after = (np.array([a.shape[axis] for axis in self.sides]) for a in (x, y))
        none = (boxes == NO_BOX).all(-1)
        first, last = edges(boxes.astype(np.float64), form, before)
        first, last = around(first, last, lambda points: self.move_points(points, drawn, *before))
        first, last = first.clip(0, after), last.clip(0, after)
        empty = none | (first >= last).any(-1)
        boxes = written(first, last, form, after)
        labels = np.where(empty.reshape(*empty.shape, *[1] * (labels.ndim - 2)), NO_BOX, labels)
        return np.where(none[..., None], NO_BOX, boxes).astype(x.dtype), labels

    def plan(self, x, training: bool | None) -> Any:
        """What is done to a batch: what was drawn for it, or None for nothing."""
        return None if training is False else self.draw(x)

    def forward(self, x, ctx=INFERENCE):
        drawn = self.plan(x, ctx.training)
        return (x, None) if drawn is None else self.change(x, drawn)

    def backward(self, dy, kept, /):
        return dy if kept is None else self.reverse(dy, kept)

    def obeys_mask(self, x, mask):
        return mask.ndim == 1  # no pixel is a step that a mask could hide

    @property
    def sides(self) -> tuple[int, int]:
        """The axes of height and width."""
        return (2, 3) if self.channels_first else (1, 2)

    @property
    def channel_axis(self) -> int:
        return 1 if self.channels_first else 3

    def _argument(self, name, value):
        return getattr(self, name) if name in self.said_in_pairs else super()._argument(name, value)

    # ------------------------------------------------------------------------- what a call may give

    def __call__(self, *inputs: Any, training: Any = None, **named: Any) -> Any:
        """y for images, as for every layer; for one image; for a dict of images and what belongs to
        them. Changed unless ``training=False`` is said.

        Boxes are cut at the border of the image; of one that is outside of it the label becomes -1.
        """
        if inputs and isinstance(inputs[0], dict):
            given = inputs if training is None else (*inputs, training)
            return self._of_dict(*given, **named)
        if inputs and is_one_image(inputs[0]):
            alone = np.asarray(inputs[0])[None]
            return super().__call__(alone, *inputs[1:], training=training, **named)[0]
        return super().__call__(*inputs, training=training, **named)

    def _of_dict(self, data: dict[str, Any], training: Any = None) -> dict[str, Any]:
        return changed(self, data, None if training is None else bool(training))


def is_one_image(x: Any) -> bool:
    """Whether x is an image without a batch: an array of three axes, or lists as deep."""
    return isinstance(x, np.ndarray | list) and np.ndim(x) == 3
