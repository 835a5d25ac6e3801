"""What laws are tried on: Hypothesis strategies of inputs and configurations that shrink to the
smallest that fails.

Hypothesis draws shapes, kinds and seeds; the numbers themselves are a function of those (see
`numbers`). That is a hundred times faster than drawing each number, and generic numbers are what a
derivative is to be checked at.
"""

from backprop.testing.strategies.inputs import arrays, images, masks, sequences, tokens
from backprop.testing.strategies.labelled import label_sequences, pairs
from backprop.testing.strategies.settings import configurations, paddings, strides
from backprop.testing.strategies.several import together
from backprop.testing.strategies.sizes import axes, shapes

__all__ = [
    "arrays",
    "axes",
    "configurations",
    "images",
    "label_sequences",
    "masks",
    "paddings",
    "pairs",
    "sequences",
    "shapes",
    "strides",
    "together",
    "tokens",
]
