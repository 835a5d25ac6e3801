"""Where Keras' older scripts look for what is in `utils`."""

from backprop.absent import face
from backprop.preprocessing import image as image, sequence as sequence
from backprop.utils import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]

__getattr__, __dir__ = face(__name__, __all__)
