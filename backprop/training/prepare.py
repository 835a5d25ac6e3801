"""Before a loop begins: data and model fit each other, the loss and the metrics.

What does not fit is an error here, before anything is changed; a step checks nothing.
"""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.defaults import floatx
from backprop.layer import PREDICT, Array, Shape
from backprop.losses.loss import Loss
from backprop.losses.several import WeightedSum
from backprop.nest import any_rows, as_tuple, each_shape, row_shapes, several, shapes
from backprop.training.batches import Batch
from backprop.training.data import ArrayData, Data
from backprop.training.loop import Loop
from backprop.training.memory import keep_freed_memory
from backprop.training.reader import Reader
from backprop.tuning import PREDICTION_NUMBERS, PREDICTION_ROWS, PREDICTION_VECTORS


@dataclass
class Asked:
    """What a prediction has found out about a model and rows of one shape.

    Attributes
    ----------
    fixed_rows : int or None
        How many every batch must have.
    rows : int
        How many it takes at a time, where nobody says.
    divides : bool
        Whether layers have threads of their own.
    """

    fixed_rows: int | None
    rows: int
    divides: bool


def rows_at_once(model: Any, shape: Any) -> int:
    """How many rows a prediction takes at a time: no array between two layers then has much more
    than a million numbers, which still lie in a cache. Vectors are more at a time: there is little
    but products, of which each ends where BLAS' threads meet."""
    found = model.shapes_within(shape)
    widest = max(math.prod(n or 1 for n in one[1:]) for one in found)
    numbers = PREDICTION_NUMBERS if max(map(len, found)) > 2 else PREDICTION_VECTORS
    least, most = PREDICTION_ROWS
    return min(max(numbers // max(widest, 1), least), most)


def evenly(n: int, most: int) -> int:
    """The size of the fewest pieces of n rows that have at most so many, all about as large."""
    return -(-n // -(-n // most))


class Prepared(Loop):
    """A loop that readies its model for data, and data for its model."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.reader = Reader(self.model, self.loss)
        self._after_softmax = self._short_loss()
        self._rehearsed: tuple | None = None
        self._prepared: Any = None  # the model's vector at that time; a new one when a layer is

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_prepared": None}

    def prepare(self, data: Data, who: str, *, training: bool) -> Batch:
        """Build the model for the data and check that they fit it, the loss and the metrics, before
        anything is changed. Returns the first batch as it is trained on."""
        x, y, w = batch = data.first()
        free = data.reader.any_targets
        if y is None and not free:
            raise ValueError(f"{who} needs y: give it beside x, or batches of (x, y)")
        seen = (
            row_shapes(x),
            None if y is None else row_shapes(y),
            data.class_weight is None if w is None else row_shapes(w),
            free,
        )
        known = self.model.built and self.model.parameters is self._prepared
        if not known or seen != self._rehearsed:
            data.reader.forget()
            self.model.build(any_rows(shapes(x)))
        batch = data.check(batch)
        if seen != self._rehearsed:
            if not free:
                self.rehearse(*batch)
            self._rehearsed = seen
        parameters = self.model.parameters
        if not known:
            self.settle()
            self._prepared = parameters
            self.know_penalties()
            self._warn_of_softmax(shapes(x))
        self._fused = self._shorter(self.model.ends_in_softmax)
        if training:
            parameters.refresh()
            if not self.optimizer.built:
                (self.across or self.optimizer).build(parameters)
            if not parameters.segments():
                warnings.warn(
                    f"{self.model.name} has no trainable weights: training will not change it",
                    stacklevel=4,
                )
        return batch

    def rehearse(self, x: Any, y: Array, w: Array | None) -> None:
        """Compute the loss and the metrics of made-up predictions: what does not fit is an error
        now, and not after a step."""
        shape = self.model.compute_output_shape(shapes(x))
        with np.errstate(all="ignore"):
            y_pred = each_shape(self._made_up, shape)
            known = None not in (sum(shape, ()) if several(shape) else shape)
            if known and self.loss is not None:
                self.loss.forward(y, y_pred, w)
            self.metrics.build(shapes(y), shape, (y, y_pred, w) if known else None)

    def _made_up(self, shape: Shape) -> Array:
        return np.full([1 if n is None else n for n in shape], 0.5, self.model.dtype or floatx())

    def know_penalties(self) -> None:
        """Find out what is added to the loss."""
        parameters = self.model.parameters.parameters
        self._regularized = [p for p in parameters if p.regularizer is not None]
        self._penalised = any(layer.penalises for layer in self.model.walk())

    def of_copy(self, model: Any, *, shortcuts: bool = True) -> Any:
        """This loop for a built copy of its model, in whatever dtype: it finds the loss and the
        gradients as this one does, with or without the short way behind a softmax, and takes no
        step. Nothing of this one is changed."""
        loop = copy.copy(self)
        loop.model, loop.loss = model, copy.deepcopy(self.loss)
        if loop.loss is not None:
            loop.loss.dtype = None  # that of y_pred
        loop._after_softmax = loop._short_loss()
        loop.know_penalties()
        loop._fused = loop._shorter(model.ends_in_softmax) if shortcuts else None
        return loop

    def _short_loss(self) -> Loss | None:
        return self.loss.after_softmax() if isinstance(self.loss, Loss) else None

    def _shorter(self, ends: Any) -> Any:
        """The loss of a softmax that gives dL/dz, where the model ends in one, or in some."""
        if type(ends) is not tuple:
            return self._after_softmax if ends else None
        return None if self.loss is None else self.loss.after_softmax(ends)

    def settle(self) -> None:
        """Have freed memory kept, and find out whether layers have threads of their own."""
        keep_freed_memory()
        self._divides = any(layer.divides_batches for layer in self.model.walk())

    def prepare_batch(
        self,
        reader: Reader,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any = None,
        *,
        who: str,
        training: bool,
    ) -> Batch:
        """All rows that a user gives, as one batch."""
        data = ArrayData(
            reader, x, y, sample_weight, who=who, class_weight=class_weight, batch_size=1
        )
        data.batch_size = max(data.n, 1)
        return self.prepare(data, who, training=training)

    def get_ready(self, x: Any) -> Asked:
        """Build the model for predictions from x and check that x fits. What is found out about
        rows of this shape is kept until the model is built anew."""
        model, row = self.model, row_shapes(x)
        known = model._asked.get(row) if model.built else None
        if known is None:
            shape = shapes(x)
            model.build(any_rows(shape))
            model.check_input(shape)
            self.settle()
            rows = self.reader.fixed_rows
            known = Asked(rows, rows or rows_at_once(model, shape), self._divides)
            model._asked = {row: known}
        self._divides = known.divides
        return known

    def input_batch(self, x: Any) -> Any:
        """x as one batch, checked and cast; the model is built for it."""
        x = self.reader.dense(self.reader.x(x, whole=False))
        self.get_ready(x)
        return x

    def forward_batch(self, x: Any) -> Array:
        """y for x, which is checked and cast, as one batch."""
        x = self.input_batch(x)
        with self._threads(x):
            return self.model.forward(x, PREDICT)[0]

    def check_sizes(self, data: Data, who: str, epochs: range, steps: int | None) -> None:
        """Raise where a batch that will be read has not the rows that a stateful layer needs."""
        wanted = self.reader.fixed_rows
        for i, rows in data.sizes(epochs, steps) if wanted else ():
            if rows != wanted:
                raise ValueError(
                    f"{self.model.name} is stateful and keeps the states of {wanted} sequences, so "
                    f"that every batch has {wanted} rows, and batch {i + 1} of {who} would "
                    f"have {rows}: give batch_size={wanted}, and as many rows as fill all batches"
                )

    def _warn_of_softmax(self, shape: Any) -> None:
        """Say where a model ends in a softmax that cannot be meant."""
        ends = as_tuple(self.model.ends_in_softmax)
        if not any(ends):
            return
        found = self.model.compute_output_shape(shape)
        losses: list[Any] = [self.loss] * len(ends)
        if isinstance(self.loss, WeightedSum):
            losses = self.loss.losses
        found = found if several(found) else [found]
        for i, (end, one) in enumerate(zip(ends, found, strict=True)):
            advice = ""
            if end and one[-1] == 1:
                advice = (
                    "over a single unit, which is 1 whatever x is, so it cannot learn: take "
                    "'sigmoid', or one unit for each class"
                )
            elif end and getattr(losses[i], "from_logits", False):
                advice = (
                    "and the loss has from_logits=True, which takes another softmax of it: leave "
                    "one of the two out"
                )
            if advice:
                outputs = self.reader.outputs
                where = f" at its output {outputs.names[i]!r}" if outputs.several else ""
                warnings.warn(f"{self.model.name} ends in a softmax{where} {advice}", stacklevel=5)
