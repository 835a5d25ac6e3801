"""What the layers that lengthen or shorten axes have in common."""

from __future__ import annotations

from backprop.layer import Array, InputSpec, Layer, Shape
from backprop.layers.windows import shape_back, shape_last


class Resizing(Layer):
    """What these layers have in common: they change the length of each axis by itself."""

    makes_masks = False
    places = 2  # the number of axes between batch and channels

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.input_spec = InputSpec(ndim=cls.places + 2)

    def resized(self, sizes: Shape) -> Shape:
        """The lengths of y's axes from those of x; for a subclass to say."""
        raise TypeError(f"{type(self).__name__} has no resized(self, sizes): write one")

    def compute_output_shape(self, input_shape):
        n, *sizes, channels = shape_last(input_shape, self.data_format)
        return shape_back((n, *self.resized(tuple(sizes)), channels), self.data_format)

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def obeys_mask(self, x, mask):
        return self.places == 1 or mask.ndim == 1

    def compute_mask(self, x, mask=None):
        if mask is None or mask.ndim == 1:
            return mask
        return self.resized_mask(mask) if self.places == 1 else None

    def resized_mask(self, real: Array) -> Array:
        """Along one axis: which steps of y are real, of those of x that are; a subclass says it."""
        raise TypeError(f"{type(self).__name__} has no resized_mask(self, real): write one")
