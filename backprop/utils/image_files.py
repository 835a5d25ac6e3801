"""Directories of images as batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.utils import resizing
from backprop.utils.directories import Kind, files_of
from backprop.utils.images import COLOUR_MODES, layout, opened, pillow

Array = np.ndarray

KIND = Kind("image_dataset_from_directory()", "image", (".bmp", ".gif", ".jpeg", ".jpg", ".png"))


@checked
def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of the images in a directory, of one size, read as they are wanted.

    Parameters
    ----------
    directory : str or path-like
        With a directory for each class, in which images lie at any depth; without classes, images
        at any depth.
    labels : "inferred", None, or list of numbers
        From the names of the directories; none; or one for each file, in the order of their paths.
    label_mode : {"int", "categorical", "binary", None}
        Labels are int32 of shape (n,), rows of the identity in float32, float32 of shape (n, 1) for
        two classes, or none.
    class_names : list of str, optional
        Which directories, and in which order they are numbered. Default: all, by name.
    color_mode : {"rgb", "grayscale", "rgba"}
        3 channels, 1 or 4.
    batch_size : int or None, default 32
        None yields single images.
    image_size : int or (int, int), default (256, 256)
        Height and width.
    shuffle : bool, default True
        Otherwise the files are read in the order of their paths.
    seed : int, optional
        Of the order. Default: drawn from what `set_random_seed` was given.
    validation_split : float, optional
        The share, from the end of the (shuffled) files, that is for validation.
    subset : {"training", "validation", "both"}, optional
        Which part is wanted, where there is a split; "both" gives two.
    interpolation : {"bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", \
"mitchellcubic"}
        TensorFlow's way to another size.
    follow_links : bool, default False
        Whether links to directories are followed.
    crop_to_aspect_ratio : bool, default False
        Take the largest part from the middle that has the ratio of `image_size`.
    pad_to_aspect_ratio : bool, default False
        Keep the ratio, and put black on two sides. The two exclude each other.
    data_format : {"channels_last", "channels_first"}, optional
    format : {"tf", "grain"}
        Keras' container; both give the same batches, and here both give NumPy arrays.
    verbose : bool, default True
        Say how many files there are.

    Returns
    -------
    Files, or two of them
        Batches x or (x, y) of float32 from 0 to 255, (n, height, width, channels). They can be gone
        through any number of times, and `fit`, `evaluate` and `predict` take them. `class_names`
        and `file_paths` are attributes; `Batches` has the methods, among them `map`, `take` and
        `prefetch`.

    Raises
    ------
    ImportError
        Without Pillow.
    FileNotFoundError
        If there is no such directory.
    ValueError
        If there is no image, or an argument is none of those above.

    Notes
    -----
    Files are in Keras' order, also with a seed; of the passes over a shuffled set each has an order
    of its own. Pixels are those of Pillow: a JPEG file's differ from TensorFlow's by its rounding,
    and gray is 0.299 red + 0.587 green + 0.114 blue. Of 16 bits the higher 8 are kept.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from backprop import utils
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     utils.save_img(folder / name / "1.png", np.eye(4)[..., None])
    >>> images = utils.image_dataset_from_directory(folder, image_size=(8, 8), shuffle=False)
    Found 2 files belonging to 2 classes.
    >>> x, y = images[0]
    >>> x.shape, y.tolist(), images.class_names
    ((2, 8, 8, 3), [0, 1], ['cat', 'dog'])
    """
    who = KIND.who
    checks.one_of(color_mode, tuple(COLOUR_MODES), who, "color_mode")
    height, width = checks.integers(image_size, 2, who, "image_size")
    size = (height, width)
    method = checks.one_of(str(interpolation).lower(), resizing.METHODS, who, "interpolation")
    checks.one_of(format, ("tf", "grain"), who, "format")
    first = layout(data_format, who) == "channels_first"
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(f"{who} expects crop_to_aspect_ratio or pad_to_aspect_ratio, not both")

    way = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    return files_of(
        KIND,
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        read=partial(
            of_size, color_mode=color_mode, size=size, method=method, way=way, first=first
        ),
        join=np.stack,
    )


def of_size(
    path: str, color_mode: str, size: tuple[int, int], method: str, way: str, first: bool
) -> Array:
    """The pixels of a file, of another size; `first`: with the channels first."""
    x = pixels(path, color_mode)
    if way == "pad":
        x = resizing.padded(x, size, method)
    else:
        x = resizing.resize(resizing.cropped(x, size) if way == "crop" else x, size, method)
    return x.transpose(2, 0, 1) if first else x


def pixels(path: str, color_mode: str) -> Array:
    """The pixels of a file, of 8 bits, with an axis of channels."""
    try:
        image = opened(path, KIND.who)
    except OSError as error:
        raise OSError(f"{KIND.who} cannot read the image {path}: {error}") from error
    if image.mode.startswith("I"):  # of 16 bits
        image = pillow().fromarray((np.asarray(image, np.int64) >> 8).astype(np.uint8))
    x = np.asarray(image.convert(COLOUR_MODES[color_mode]))
    return x[..., None] if x.ndim == 2 else x
