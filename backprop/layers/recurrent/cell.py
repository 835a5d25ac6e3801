"""What a cell is: one step of a recurrent layer, as a layer of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.defaults import floatx
from backprop.input_spec import Shape
from backprop.layer import Context, Layer
from backprop.layers.recurrent.time import check_states, sequence_shape
from backprop.nest import as_tuple, leaves, packed


class Cell(Layer):
    """(y, *states) = f(x, *states₋), a step of time, which `RNN` repeats; ₋ marks the step before.

        x: (N, n)    each state: (N, its size)    y: (N, output_size)

    A cell is a layer of several inputs and outputs like any other. Its author says `state_size`, a
    number for each state, and writes

        build((shape of x, *shapes of states))
        forward((x, *states₋), ctx)       → (y, *states), cache
        backward((dy, *dstates), cache)   → (dx, *dstates₋)

    where dstates is what the step after has passed back, and dy what has come for y. Where y is a
    state too, its two gradients add up. The gradients that are set are those of one step; who
    repeats it adds them up.

    Attributes
    ----------
    state_size : int or sequence of int
        How many numbers each state has for a sequence.
    output_size : int, optional
        How many y has. Default: as many as the first state.

    Examples
    --------
    A running mean: s = s₋ + rate (x - s₋), and y = s. With the gradients of y and s added up,
    ds = dy + ds, that is dx = rate ds, ds₋ = (1 - rate) ds and drate = Σ ds (x - s₋).

    >>> import numpy as np
    >>> from backprop.layers import RNN
    >>> from backprop.layers.recurrent import Cell
    >>> class RunningMean(Cell):
    ...     size: int
    ...
    ...     def __post_init__(self):
    ...         self.state_size = self.size
    ...
    ...     def build(self, input_shape):
    ...         self.rate, self.drate = self.param("rate", (self.size,), "ones")
    ...
    ...     def forward(self, x, ctx):
    ...         x, before = x
    ...         s = before + self.rate * (x - before)
    ...         return (s, s), x - before
    ...
    ...     def backward(self, dy, difference):
    ...         dy, ds = dy
    ...         ds = dy + ds
    ...         self.drate = (ds * difference).sum(0)
    ...         return self.rate * ds, (1 - self.rate) * ds
    >>> RNN(RunningMean(3), return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 3)
    """

    makes_masks = False
    state_size = None
    output_size = None
    call_inputs = ("inputs", "states")

    @property
    def sizes(self) -> list[int]:
        """Of all states, one after the other."""
        return leaves(self.state_size)

    def compute_output_shape(self, input_shape):
        n = sequence_shape(input_shape)[0]
        size = self.sizes[0] if self.output_size is None else self.output_size
        return ((n, size), *((n, size) for size in self.sizes))

    def check_input(self, shape):
        x = sequence_shape(shape)
        super().check_input(x)
        if x is not shape:
            check_states(self, shape[1:], [(x[0], size) for size in self.sizes])

    def compute_mask(self, x, mask=None):
        return None

    # ------------------------------------------------------------------ a sequence of steps

    def draw_once(self, shapes: tuple[Shape, ...], dtype: np.dtype, ctx: Context) -> Any:
        """What is drawn once for all steps of a sequence, where x and the states of a step have
        these shapes; None for nothing, which is the default."""
        return None

    def advance(self, x: Any, ctx: Context, drawn: Any) -> Any:
        """`forward`, with what was drawn. Default: `forward`, for which nothing was."""
        return self.forward(x, ctx)

    def get_initial_state(self, batch_size: int) -> Any:
        """The states that a sequence starts from if it is given none: zeros."""
        zeros = [np.zeros((batch_size, size), self.dtype or floatx()) for size in self.sizes]
        return self.as_states(zeros)

    # ------------------------------------------------------------------ calls

    def gather(self, inputs=None, states=None, **named):
        """What a call gives: x of one step, and the states as a list, or the only one bare."""
        x, mask, options = super().gather(inputs, **named)
        return (*as_tuple(x), *([] if states is None else leaves(states))), mask, options

    def arranged(self, y):
        """(y, states): the states as a list, as a call returns them."""
        return y[0], self.as_states(y[1:])

    def as_states(self, found: Any) -> Any:
        """Of all states, one after the other: as lists in the manner of `state_size`."""
        sizes = self.state_size
        return packed(list(sizes) if isinstance(sizes, list | tuple) else [sizes], list(found))
