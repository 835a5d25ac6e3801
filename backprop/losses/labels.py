"""Labels: smoothed, as indices, and checked at the border against the model's output."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert
from backprop.checks import Fraction
from backprop.input_spec import show_shape
from backprop.losses.axes import agree, last
from backprop.losses.loss import Loss, ReductionFirst
from backprop.losses.targets import FLATTEN

Array = np.ndarray
Shape = tuple[int | None, ...]


def smooth(t: Array, label_smoothing: float, classes: int) -> Array:
    """Labels drawn to 1 / classes."""
    return t * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else t


def class_numbers(y_true: Array, ndim: int, axis: int) -> Array:
    """Labels as indices, without an axis of length 1 in the classes' place."""
    if y_true.ndim == ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    return y_true if y_true.dtype == np.intp else y_true.astype(np.intp)


def axis_number(value: Any, who: str, name: str) -> int:
    """An integer; Keras refuses booleans here too."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{who} expects an integer as {name}, got {value!r}")
    return int(value)


Axis = Annotated[int, Convert(axis_number)]


# ------------------------------------------------------------------------ losses by their labels


class ClassNumbers(ReductionFirst):
    """A loss of targets that are class numbers, (n, ...) or (n, ..., 1)."""

    axis = -1  # along which the outputs' classes lie
    ignore_class = None

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        return class_numbers(y_true, y_pred.ndim, self.axis), y_pred

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        self.check_numbers(y_true)
        check_class_numbers(self, y_true, output_shape, self.axis, self.ignore_class)

    def classes(self, y_true, output_shape):
        k = output_shape[self.axis]
        numbers = class_numbers(y_true, len(output_shape), self.axis)
        return numbers, None if k is None else list(range(k))


class Smoothed(ReductionFirst, kw_only=True, by_position=True):
    """A loss of probabilities, or of logits, against labels that may be smoothed."""

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: Axis = -1


class OneHotLabels(ReductionFirst):
    """A loss of targets that are one-hot, or soft: the likeliest is their class."""

    axis = -1

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        check_one_hot(self, y_true, output_shape, self.axis)
        super().check_targets(y_true, output_shape)

    def check_labels(self, y_true: Array, output_shape: Shape) -> None:
        check_several(self, output_shape, self.axis)

    def classes(self, y_true, output_shape):
        return one_hot_numbers(y_true, self.axis)


class BinaryLabels(ReductionFirst):
    """A loss of one output a value, whose labels are its classes. Several outputs may stand for
    one-hot classes."""

    axis = -1
    known: ClassVar[tuple[int, ...]] = (0, 1)

    def classes(self, y_true, output_shape):
        if y_true.ndim < len(output_shape):
            return np.rint(y_true).astype(np.intp), list(self.known)
        if y_true.shape[self.axis] == 1:
            return np.rint(y_true.squeeze(self.axis)).astype(np.intp), list(self.known)
        labels = last(y_true, self.axis)
        ones = np.count_nonzero(np.rint(labels) == 1, axis=-1)
        if not (ones == 1).all():
            place = tuple(np.argwhere(ones != 1)[0].tolist())
            raise ValueError(
                f"class_weight needs one class a sample, and y holds {ones[place]} in row "
                f"{place[0]}: {type(self).__name__} of several outputs has labels of their own for "
                "them; give sample_weight, a weight for each row"
            )
        return one_hot_numbers(labels, -1)


def one_hot_numbers(y_true: Array, axis: int) -> tuple[Array, list[int]]:
    return y_true.argmax(axis), list(range(y_true.shape[axis]))


# ------------------------------------------------------------------------ checks at the border


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
