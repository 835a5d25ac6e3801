"""What Keras keeps in `keras.backend`, as far as it means something here.

The functions on arrays that once were here (``K.mean``, ``K.square`` ...) are NumPy's own.
"""

from backprop.absent import face
from backprop.defaults import (
    backend,
    clear_session,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    standardize_dtype,
)

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

__getattr__, __dir__ = face(__name__, __all__)
