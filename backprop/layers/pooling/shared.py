"""What every pooling has in common: the axes that it goes over, and what is left of a mask."""

from __future__ import annotations

from backprop.layer import InputSpec, Layer, Shape
from backprop.layers.windows import shape_last


class Pooling(Layer):
    """y of the places in windows, for each channel by itself.

    A subclass declares `data_format` among its arguments. A mask of whole rows stays one; y has no
    other.
    """

    makes_masks = False
    places = 2  # the number of axes between batch and channels

    def __post_init__(self):
        self.input_spec = InputSpec(ndim=self.places + 2)

    def compute_mask(self, x, mask=None):
        return mask if mask is None or mask.ndim == 1 else None

    @property
    def first_axis(self) -> int:
        """Of the places."""
        return 1 if self.data_format == "channels_last" else 2

    def sizes(self, shape: Shape) -> Shape:
        """The lengths of the places' axes."""
        return shape_last(shape, self.data_format)[1:-1]
