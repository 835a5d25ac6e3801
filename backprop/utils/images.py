"""Images on disk as arrays, and arrays as images, by Pillow: the extra `images`."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.checks import ArrayLike, array, array_like
from backprop.defaults import floatx, image_data_format, standardize_dtype
from backprop.old_arguments import levels_up

Array = np.ndarray

COLOUR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}  # Keras' name → Pillow's
GRAY = ("L", "I;16", "I")  # Pillow's modes of 8, 16 and 32 bits
RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
LAYOUTS = ("channels_last", "channels_first")


def pillow() -> Any:
    """The module `PIL.Image`, or an error that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'images are read and written by Pillow: pip install "backprop[images]"'
        ) from error
    return Image


def layout(data_format: str | None, who: str) -> str:
    """Where the channels are: what was said, else the default of all images."""
    if data_format is None:
        return image_data_format()
    return checks.one_of(data_format, LAYOUTS, who, "data_format")


@checked
def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """An image file, as a Pillow image of one kind of colours and one size.

    Parameters
    ----------
    path : str, bytes, path-like or io.BytesIO
    color_mode : {"rgb", "grayscale", "rgba"}
        Grayscale images of 16 and 32 bits keep these.
    target_size : (int, int), optional
        Height and width. Default: those of the file.
    interpolation : {"nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"}
        Pillow's way to another size.
    keep_aspect_ratio : bool, default False
        Take the largest part from the middle that has the ratio of `target_size`, rather than
        stretch the whole.

    Returns
    -------
    PIL.Image.Image
        `img_to_array` makes an array of it.

    Raises
    ------
    ImportError
        Without Pillow.
    OSError
        If there is no such file, or it is no image.
    TypeError, ValueError
        For an argument that is none of those above.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from backprop import utils
    >>> file = io.BytesIO()
    >>> utils.save_img(file, np.eye(4)[..., None], file_format="png")
    >>> utils.load_img(file, target_size=(2, 3)).size
    (3, 2)
    """
    who = "load_img()"
    wanted = COLOUR_MODES[checks.one_of(color_mode, tuple(COLOUR_MODES), who, "color_mode")]
    image = opened(path, who)
    if not (wanted == "L" and image.mode in GRAY) and image.mode != wanted:
        image = image.convert(wanted)
    if target_size is None:
        return image
    height, width = checks.integers(target_size, 2, who, "target_size")
    if image.size == (width, height):
        return image
    method = pillow().Resampling[
        checks.one_of(interpolation, RESAMPLING, who, "interpolation").upper()
    ]
    box = middle(image.size, (width, height)) if keep_aspect_ratio else None
    return image.resize((width, height), method, box=box)


def opened(path: Any, who: str) -> Any:
    """The first picture of a file as a Pillow image in memory, so that no file stays open."""
    images = pillow()
    if not isinstance(path, str | bytes | os.PathLike | io.BytesIO):
        raise TypeError(
            f"{who} expects path to be the path of a file or an io.BytesIO, got {path!r}"
        )
    if isinstance(path, str | os.PathLike):
        path = checks.as_path(path, who, "path")
    try:
        with images.open(path) as image:
            return image.copy()
    except Exception as error:  # whatever a stranger's picture does to Pillow
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OSError(f"{who} finds no whole picture that Pillow can read in {path!r}") from error


def middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box in the middle that has the ratio of the target: left, top, right, bottom.

    Examples
    --------
    >>> middle((40, 20), (10, 10))
    (10, 0, 30, 20)
    """
    width, height = size
    wide, high = target
    kept_height = min(height, width * high // wide)
    kept_width = min(width, height * wide // high)
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return left, top, left + kept_width, top + kept_height


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """The pixels of an image, with an axis of channels.

    Parameters
    ----------
    img : PIL.Image.Image or array-like, (height, width) or (height, width, channels)
    data_format : {"channels_last", "channels_first"}, optional
        Of the result.
    dtype : dtype, optional
        Default: `config.floatx()`.

    Returns
    -------
    ndarray, (height, width, channels), or (channels, height, width)

    Raises
    ------
    ValueError
        If the image has neither two nor three axes.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop import utils
    >>> utils.img_to_array(np.arange(6).reshape(2, 3)).shape
    (2, 3, 1)
    """
    first = layout(data_format, "img_to_array()") == "channels_first"
    x = array_like(img, "img_to_array()", "img")
    if x.dtype.kind not in "biuf":
        raise TypeError(f"img_to_array() expects numbers and got an array of dtype {x.dtype}")
    x = x.astype(floatx() if dtype is None else standardize_dtype(dtype), copy=False)
    if x.ndim not in (2, 3):
        raise ValueError(
            "img_to_array() expects an image of two axes, or of three with its channels last, got "
            f"the shape {x.shape}"
        )
    if x.ndim == 2:
        x = x[..., None]
    return x.transpose(2, 0, 1) if first else x


@checked
def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Any:
    """An array as a Pillow image.

    Parameters
    ----------
    x : array-like, (height, width, channels), or (channels, height, width)
        One channel is grayscale, three are RGB, four RGBA.
    data_format : {"channels_last", "channels_first"}, optional
        Of `x`.
    scale : bool, default True
        Stretch the values so that the smallest becomes 0 and the largest 255. Otherwise they are
        bytes already, and fractions are cut off.
    dtype : dtype, optional
        In which it is scaled. Default: `config.floatx()`.

    Returns
    -------
    PIL.Image.Image
        Of 8 bits; of 32 bits where one channel that is not scaled goes beyond 255.

    Raises
    ------
    ImportError
        Without Pillow.
    ValueError
        If `x` is no single image, or has two channels or more than four.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop import utils
    >>> image = utils.array_to_img(np.linspace(0, 1, 24).reshape(2, 4, 3))
    >>> image.mode, image.size
    ('RGB', (4, 2))
    """
    who = "array_to_img()"
    first = layout(data_format, who) == "channels_first"
    images = pillow()
    x = array(x, who, "x").astype(
        floatx() if dtype is None else standardize_dtype(dtype), copy=False
    )
    if x.ndim != 3:
        raise ValueError(
            f"{who} expects one image of three axes, its channels among them, got the shape "
            f"{x.shape}"
        )
    if first:
        x = x.transpose(1, 2, 0)
    if x.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"{who} expects 1 channel, 3 or 4 ({'first' if first else 'last'} in the shape), got "
            f"{x.shape[-1]}"
        )
    if scale:
        x = stretched(x)
    if x.shape[-1] > 1:
        return images.fromarray(np.ascontiguousarray(x, np.uint8))
    x = x[..., 0]
    return images.fromarray(x.astype(np.int32 if x.max(initial=0) > 255 else np.uint8))


def stretched(x: Array) -> Array:
    """The values of an image from 0 to 255; those of one value alone are 0."""
    x = x - x.min()
    largest = x.max()
    return x / (largest if largest != 0 else 1) * 255


@checked
def save_img(
    path: Any,
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Parameters
    ----------
    path : str, path-like or file object
    x : array-like, (height, width, channels), or (channels, height, width)
    data_format : {"channels_last", "channels_first"}, optional
        Of `x`.
    file_format : str, optional
        Such as "png". Default: what the path ends in.
    scale : bool, default True
        See `array_to_img`.
    **kwargs
        Given to `PIL.Image.Image.save`, such as ``quality=90``.

    Raises
    ------
    ImportError
        Without Pillow.
    ValueError
        If `x` is no image, or the format is unknown.

    Warns
    -----
    UserWarning
        If a JPEG file is written of four channels: the last one is left out.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from backprop import utils
    >>> file = io.BytesIO()
    >>> utils.save_img(file, np.zeros((2, 2, 3)), file_format="png")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    if not isinstance(path, str | os.PathLike | io.IOBase):
        raise TypeError(f"save_img() expects path to be a path or an open file, got {path!r}")
    image = array_to_img(x, data_format=layout(data_format, "save_img()"), scale=scale)
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = Path(path).suffix[1:]
    file_format = (file_format or "").lower() or None
    if file_format == "jpg":
        file_format = "jpeg"
    if file_format == "jpeg" and image.mode == "RGBA":
        warnings.warn(
            "save_img(): a JPEG file has no alpha channel, it is left out", stacklevel=levels_up()
        )
        image = image.convert("RGB")
    try:
        image.save(path, format=file_format, **kwargs)
    except KeyError:  # what Pillow raises for a format that it does not know
        raise ValueError(f"save_img() cannot write {file_format!r}: say 'png' or 'jpg'") from None
