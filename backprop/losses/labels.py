"""Labels: smoothed, as indices, and checked at the border against the model's output."""

from __future__ import annotations

import numpy as np

from backprop.input_spec import show_shape
from backprop.losses.axes import agree, last
from backprop.losses.loss import FLATTEN, Loss

Array = np.ndarray
Shape = tuple[int | None, ...]


def smooth(t: Array, label_smoothing: float, classes: int) -> Array:
    """Labels drawn to 1 / classes."""
    return t * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else t


def class_numbers(y_true: Array, ndim: int, axis: int) -> Array:
    """Labels as indices, without an axis of length 1 in the classes' place."""
    if y_true.ndim == ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    return y_true.astype(np.intp, copy=False)


def numbered(y_true: Array, output_shape: Shape, axis: int) -> tuple[Array, list[int] | None]:
    """The classes of targets that are class numbers; see `Loss.classes`."""
    k = output_shape[axis]
    numbers = class_numbers(y_true, len(output_shape), axis)
    return numbers, None if k is None else list(range(k))


def one_hot_numbers(y_true: Array, axis: int) -> tuple[Array, list[int]]:
    """The classes of targets that are one-hot, or soft: the likeliest; see `Loss.classes`."""
    return y_true.argmax(axis), list(range(y_true.shape[axis]))


def binary_numbers(
    loss: Loss, y_true: Array, output_shape: Shape, axis: int, known: list[int]
) -> tuple[Array, list[int]]:
    """The classes of targets of one output a value: the labels themselves. Several outputs may
    stand for one-hot classes; see `Loss.classes`."""
    if y_true.ndim < len(output_shape):
        return np.rint(y_true).astype(np.intp), known
    if y_true.shape[axis] == 1:
        return np.rint(y_true.squeeze(axis)).astype(np.intp), known
    labels = last(y_true, axis)
    ones = np.count_nonzero(np.rint(labels) == 1, axis=-1)
    if not (ones == 1).all():
        place = tuple(np.argwhere(ones != 1)[0].tolist())
        raise ValueError(
            f"class_weight needs one class a sample, and y holds {ones[place]} in row {place[0]}: "
            f"{type(loss).__name__} of several outputs has labels of their own for them; give "
            "sample_weight, a weight for each row"
        )
    return one_hot_numbers(labels, -1)


def axis_number(loss: Loss, axis: int) -> int:
    """`axis`, if it is an integer; Keras refuses booleans here too."""
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise ValueError(f"{type(loss).__name__} expects an integer as axis, got {axis!r}")
    return int(axis)


def check_probabilities(loss: Loss, y_true: Array, advice: str) -> None:
    """Raise unless all labels are in [0, 1]."""
    if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
        raise ValueError(
            f"{type(loss).__name__} expects labels from 0 to 1 and got {y_true.min()} to "
            f"{y_true.max()}; {advice}"
        )


def check_one_hot(loss: Loss, y_true: Array, output_shape: Shape, axis: int) -> None:
    """Raise if the targets are class numbers."""
    loss.check_numbers(y_true)
    name = type(loss).__name__
    classes, numbers, column = split(loss, output_shape, axis)
    if classes not in (None, 1) and (agree(y_true.shape, numbers) or agree(y_true.shape, column)):
        raise ValueError(
            f"{name} expects one-hot labels of shape {show_shape(output_shape)} and got class "
            f"numbers of shape {show_shape(y_true.shape)}; use SparseCategoricalCrossentropy, or "
            f"utils.to_categorical(y, {classes})"
        )


def check_several(loss: Loss, output_shape: Shape, axis: int) -> None:
    """Raise if there is only one class to choose from."""
    if output_shape[axis] == 1:
        raise ValueError(
            f"{type(loss).__name__} compares classes and the output has a single one; use "
            "BinaryCrossentropy for two classes, or one unit a class"
        )


def check_class_numbers(
    loss: Loss, y_true: Array, output_shape: Shape, axis: int, ignore_class: int | None = None
) -> None:
    """Raise unless the targets are whole numbers from 0 to k - 1, one for each k outputs."""
    loss.check_numbers(y_true)
    name = type(loss).__name__
    classes, numbers, column = split(loss, output_shape, axis)
    if not (agree(y_true.shape, numbers) or agree(y_true.shape, column)):
        one_hot = agree(y_true.shape, output_shape)
        advice = "give one a position"
        if y_true.ndim < len(numbers):
            advice += f", {FLATTEN}"
        if one_hot:
            advice = "use CategoricalCrossentropy, or y.argmax(-1)"
        raise ValueError(
            f"{name} expects class numbers of shape {show_shape(numbers)} for outputs of shape "
            f"{show_shape(output_shape)} and got {'one-hot labels' if one_hot else 'an array'} of "
            f"shape {show_shape(y_true.shape)}; {advice}"
        )
    labels = y_true if ignore_class is None else y_true[y_true != ignore_class]
    whole = np.isfinite(labels) & (np.floor(labels) == labels) if labels.dtype.kind == "f" else None
    if whole is not None and not whole.all():
        wrong = labels[~whole].flat[0]
        raise ValueError(
            f"{name} expects whole numbers as labels and got {wrong}; for numbers as targets use "
            "MeanSquaredError"
        )
    top = np.inf if classes is None else classes - 1
    if labels.size and (labels.min() < 0 or labels.max() > top):
        wrong = int(labels[(labels < 0) | (labels > top)].flat[0])
        advice = "labels count from 0"
        if classes == 1:
            advice = "use BinaryCrossentropy for a single output, or one unit a class"
        elif wrong < 0:
            advice = f"for positions that should not count pass ignore_class={wrong}"
        raise ValueError(
            f"{name} expects labels from 0 to {top} for {classes} classes and got {wrong}; {advice}"
        )


def split(loss: Loss, output_shape: Shape, axis: int) -> tuple[int | None, Shape, Shape]:
    """The number of classes, and the output's shape without their axis and with 1 in its place."""
    ndim = len(output_shape)
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{type(loss).__name__} has its classes along axis {axis} and got outputs of shape "
            f"{show_shape(output_shape)}; choose another axis"
        )
    axis %= ndim
    before, after = output_shape[:axis], output_shape[axis + 1 :]
    return output_shape[axis], before + after, (*before, 1, *after)
