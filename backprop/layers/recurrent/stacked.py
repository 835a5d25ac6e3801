"""Cells one behind the other, as one cell."""

from __future__ import annotations

from typing import Any

from backprop.counts import Count, plus
from backprop.layer import INFERENCE
from backprop.layers.chain import add_up, repeated
from backprop.layers.recurrent.cell import Cell
from backprop.layers.recurrent.time import sequence_shape
from backprop.nest import leaves
from backprop.promises import short_for


class StackedRNNCells(Cell):
    """y = f_k(... f₂(f₁(x))): within a step each cell sees the y of the one before.

        x: (N, n)    y: that of the last cell    states: those of the first cell, of the second, ...

    Back from the last cell to the first, each with the dy that the one behind it returned as dx,
    and with the dstates of its own:

        dyₖ, dstatesₖ → dxₖ, dstatesₖ₋        dyₖ₋₁ = dxₖ        dx = dx₁

    Parameters
    ----------
    cells : list of Cell
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Notes
    -----
    `state_size` holds a list for each cell, and so do the states in a call, as in Keras; within,
    all states are one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RNN, GRUCell, LSTMCell, StackedRNNCells
    >>> cells = StackedRNNCells([LSTMCell(4), GRUCell(2)])
    >>> cells.state_size, RNN(cells)(np.zeros((2, 5, 3))).shape
    ([[4, 4], [2]], (2, 2))
    """

    cells: Any

    def __post_init__(self):
        self.cells = list(self.cells) if isinstance(self.cells, list | tuple) else [self.cells]
        for cell in self.cells:
            if not isinstance(cell, Cell):
                raise TypeError(
                    "StackedRNNCells expects a list of cells, such as [LSTMCell(8), GRUCell(4)], "
                    f"got {cell!r} in it"
                )
        if not self.cells:
            raise ValueError("StackedRNNCells expects at least one of cells, got none")

    @property
    def state_size(self):
        return [leaves(cell.state_size) for cell in self.cells]

    @property
    def output_size(self):
        last = self.cells[-1]
        return last.sizes[0] if last.output_size is None else last.output_size

    def build(self, input_shape):
        x = sequence_shape(input_shape)
        for cell in self.cells:
            cell.build((x, *((x[0], size) for size in cell.sizes)))
            cell.take_seeds()
            x = (x[0], *cell.compute_output_shape(x)[0][1:])
        self._again = repeated(self.cells)

    def check_input(self, shape):
        super().check_input(shape)
        self.cells[0].check_input(sequence_shape(shape))

    def draw_once(self, shapes, dtype, ctx):
        x, *states = shapes
        found = []
        for cell, its in zip(self.cells, self._by_cell(states), strict=True):
            found.append(cell.draw_once((x, *its), dtype, ctx))
            x = cell.compute_output_shape(x)[0]
        return found

    def forward(self, x, ctx=INFERENCE) -> Any:
        drawn = self.draw_once(tuple(a.shape for a in x), x[0].dtype, ctx)
        return self.advance(x, ctx, drawn)

    @short_for("forward", "advance")
    def multiply_adds(self, input_shape) -> Count:
        x, found = sequence_shape(input_shape), []
        for cell in self.cells:
            one = (x, *((x[0], size) for size in cell.sizes))
            found.append(cell.multiply_adds(one))
            x = (x[0], *cell.compute_output_shape(x)[0][1:])
        return plus(found)

    def advance(self, x, ctx, drawn):
        y, *states = x
        found, caches = [], []
        for cell, before, its in zip(self.cells, self._by_cell(states), drawn, strict=True):
            (y, *after), cache = cell.advance((y, *before), ctx, its)
            found += after
            caches.append(cache)
        return (y, *found), caches

    def backward(self, dy, caches) -> Any:
        dy, *dstates = dy
        found: list = []
        again = []
        places = zip(self.cells, self._by_cell(dstates), caches, self._again, strict=True)
        for cell, its, cache, shared in reversed(list(places)):
            dy, *before = cell.backward((dy, *its), cache)
            found = before + found
            again += [(p, p.gradient.copy()) for p in shared]
        add_up(again)
        return (dy, *found)

    def get_initial_state(self, batch_size):
        return [cell.get_initial_state(batch_size) for cell in self.cells]

    def _by_cell(self, states: list) -> list[list]:
        rest = iter(states)
        return [[next(rest) for _ in cell.sizes] for cell in self.cells]
