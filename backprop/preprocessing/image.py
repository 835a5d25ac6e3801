"""Images as files and as arrays, of `utils`."""

from backprop.absent import face
from backprop.utils import array_to_img, img_to_array, load_img, save_img

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]

__getattr__, __dir__ = face(__name__, __all__)
