"""What a loss accepts: checked once, before training."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import array_like, axis_of
from backprop.defaults import floatx
from backprop.input_spec import show_shape
from backprop.layer import Layer
from backprop.losses.axes import agree
from backprop.nest import as_tuple

Array = np.ndarray
FLATTEN = "or add Flatten() or a pooling layer before the last one"


class WithTargets(Layer):
    """A layer of outputs and targets, as a loss is."""

    takes_targets = True

    def as_arrays(self, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
        who = type(self).__name__
        y_true, y_pred = array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred")
        if y_pred.dtype.kind not in "fiub":
            raise TypeError(f"{who} expects numbers as y_pred and got an array of {y_pred.dtype}")
        self.check_targets(y_true, y_pred.shape)
        self.check_axes(y_pred.ndim)
        return y_true, y_pred

    def cast(self, x: Array) -> Array:
        """`y_pred` in the dtype to compute in: its own where that is float32 or float64."""
        if self.dtype is None and x.dtype.char in "fd":
            return x
        return x.astype(self.dtype or floatx(), copy=False)

    def check(self, y_true: Any, output_shape: tuple[int | None, ...]) -> None:
        """Raise unless the targets suit the loss and the model's output; once, before training.

        Parameters
        ----------
        y_true : array_like, (n, ...)
        output_shape : tuple
            Of the model's output, with the batch axis: ``(None, 10)``.

        Raises
        ------
        TypeError
            If the targets are not numbers.
        ValueError
            If their shape or a label does not fit.
        """
        y_true = array_like(y_true, type(self).__name__, "y_true")
        self.check_targets(y_true, tuple(output_shape))
        self.check_axes(len(output_shape))
        self.check_labels(y_true, tuple(output_shape))

    def check_axes(self, ndim: int) -> None:
        """Raise unless the axes that the loss was given are some of the outputs'. This is
        done in every batch, so first what nearly all losses have."""
        axis = self.__dict__.get("axis")  # where it is an argument
        if axis is None or not ndim or (type(axis) is int and -ndim <= axis < ndim):
            return
        who, axes = type(self).__name__, as_tuple(axis)
        if len({axis_of(one, ndim, who) % ndim for one in axes}) < len(axes):
            raise ValueError(f"{who} expects axis to name each axis once, got {axis}")

    def check_targets(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        """Raise unless `values` can be computed."""
        self.check_numbers(y_true)
        if not output_shape:
            raise ValueError(
                f"{type(self).__name__} expects outputs with at least one axis and got a single "
                "number"
            )
        shape = y_true.shape
        if not (
            agree(shape, output_shape)
            or agree((*shape, 1), output_shape)
            or agree(shape, (*output_shape, 1))
        ):
            advice = self.advice((*shape,))
            if len(output_shape) > max(len(shape), 2):
                advice = f"; give targets of as many axes, {FLATTEN}"
            raise ValueError(
                f"{type(self).__name__} expects targets of the outputs' shape "
                f"{show_shape(output_shape)} and got {show_shape(shape)}{advice}"
            )

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        """Raise where a target is outside the range that the loss is defined on."""

    def classes(
        self, y_true: Array, output_shape: tuple[int | None, ...]
    ) -> tuple[Array, list[int] | None]:
        """The class of each value, and which classes there are: what `class_weight` goes by.

        A loss over classes overrides it. By default whole numbers of one output are taken for class
        numbers, and rows of 0 with one 1 for one-hot classes: networks that tell classes apart are
        trained by squared errors too.

        Parameters
        ----------
        y_true : ndarray, (n, ...)
            As `check` has accepted it.
        output_shape : tuple
            Of the model's output, with the batch axis.

        Returns
        -------
        numbers : ndarray of int
            Of the shape of `values`.
        known : list of int or None
            All classes, where the loss or the output's shape tells.

        Raises
        ------
        ValueError
            If there is no class for each value.
        """
        several = y_true.ndim == len(output_shape) > 1 and y_true.shape[-1] > 1
        if several and ((y_true == 0).sum(-1) == y_true.shape[-1] - 1).all() and y_true.max() == 1:
            return y_true.argmax(-1), list(range(y_true.shape[-1]))
        single = y_true[..., 0] if y_true.ndim == len(output_shape) > 1 else y_true
        if several or not ((single == np.rint(single)) & (single >= 0)).all():
            raise ValueError(
                f"class_weight needs a class for each row, and {type(self).__name__} was given "
                "targets that are no class numbers: give sample_weight, a weight for each row"
            )
        return np.rint(single).astype(np.intp), None

    def check_numbers(self, y_true: Array) -> None:
        if y_true.dtype.kind not in "fiub":
            raise TypeError(
                f"{type(self).__name__} expects numbers as targets and got an array of "
                f"{y_true.dtype}; encode classes as integers first"
            )

    def advice(self, shape: tuple[int | None, ...]) -> str:
        units = shape[-1] if len(shape) > 1 else 1
        return f"; give the last layer {units} unit(s), or reshape the targets"
