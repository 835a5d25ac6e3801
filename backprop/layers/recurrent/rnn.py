"""A cell, repeated over time."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.counts import Count, times
from backprop.input_spec import Shape, show_shape
from backprop.layer import Array, Context
from backprop.layers.recurrent.cell import Cell
from backprop.layers.recurrent.stacked import StackedRNNCells
from backprop.layers.recurrent.sums import Sums
from backprop.layers.recurrent.time import OverTime, sequence_shape
from backprop.masks import only_real
from backprop.nest import leaves
from backprop.promises import came_back, kept, short_for


def as_cell(value: Any, who: str, name: str) -> Any:
    """A cell, or a list of cells as one."""
    if isinstance(value, list | tuple):
        return StackedRNNCells(list(value))
    if not isinstance(value, Cell):
        raise TypeError(
            f"{who} expects a cell, such as LSTMCell(8), a list of cells, or one of your own, a "
            f"class that extends backprop.layers.recurrent.Cell; got {value!r}"
        )
    return value


class RNN(OverTime, kw_only=True, by_position=True):
    """y[t], s[t] = cell(x[t], s[t-1]), with all states s; y is the last of these, or all.

        x: (N, T, n), or with the first states (x, *states)    each state: (N, its size)
        y: (N, output_size) or (N, T, output_size), or with return_state (y, *states)

    The loop runs the cell forwards, and its own `backward` from the last step to the first:

        (dy[t], *dstates[t]) → (dx[t], *dstates[t-1])        dkernel = Σ_t of what the cell sets

    dstates[T] is what comes back for the states that are returned, else 0; dstates[0] is that of
    the first states, where they were given. dy[t] is 0 but at the last step, or with
    `return_sequences` that of each. At a masked step states and y stay what they were, so dstates
    and dy pass it by unchanged to the step before, and x has none.

    Parameters
    ----------
    cell : Cell or list of Cell
        What a step does: `LSTMCell`, `GRUCell`, `SimpleRNNCell`, or one of your own, see
        `backprop.layers.recurrent.Cell`. A list is a `StackedRNNCells`.
    return_sequences, return_state, go_backwards, stateful
        As in `LSTM`.
    unroll : bool, default False
        Chooses among implementations in Keras; here there is one.
    zero_output_for_mask : bool, default False
        With `return_sequences` y is 0 at masked steps, and not what it was before.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        If `cell` is none.
    ValueError
        For a cell that says no `state_size`, or has a penalty on its y: it stands behind the layer.

    Notes
    -----
    `LSTM`, `GRU` and `SimpleRNN` compute the same as an RNN of their cells, and are several times
    as fast. Before the first real step y is the first state of the (last) cell, where it has y's
    shape, and else 0.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RNN, GRUCell, LSTMCell
    >>> x = np.zeros((2, 5, 3))
    >>> RNN(LSTMCell(4))(x).shape
    (2, 4)
    >>> y, first, second = RNN([LSTMCell(4), GRUCell(2)], return_state=True)(x)
    >>> y.shape, len(first), len(second)
    ((2, 2), 2, 1)
    """

    cell: Annotated[Any, Convert(as_cell)] = argument(kw_only=False)
    unroll: bool = argument(default=False, after="stateful")

    def __post_init__(self):
        if self.cell.state_size is None:
            raise ValueError(
                f"RNN needs the state_size of its cell, a number for each state, and {self.cell!r} "
                "says none"
            )
        if self.cell.activity_regularizer is not None:
            raise ValueError(
                "RNN puts a penalty on y behind itself: give activity_regularizer to RNN, and not "
                f"to {self.cell!r}"
            )
        self.state_count = len(self.cell.sizes)
        self._at = 0  # of the state that is y: the first one, and of a stack that of the last cell
        if isinstance(self.cell, StackedRNNCells):
            self._at = self.state_count - len(self.cell.cells[-1].sizes)

    def build(self, input_shape):
        self.check_input(input_shape)
        shape = sequence_shape(input_shape)
        one = (shape[0], *shape[2:])
        self.cell.build((one, *self.state_shapes(shape)))
        self.cell.take_seeds()
        self.make_carry(shape)

    def check_input(self, shape):
        x = sequence_shape(shape)
        if len(x) < 3:
            raise ValueError(
                f"{self!r} expects inputs of shape (time, ...) with at least two axes and got "
                f"{show_shape(x[1:])}"
            )
        super().check_input(shape)
        self.cell.check_input((x[0], *x[2:]))

    def step_shape(self, input_shape):
        one = (input_shape[0], *input_shape[2:])
        return tuple(self.cell.compute_output_shape((one, *self.state_shapes(input_shape)))[0])

    def state_shapes(self, input_shape):
        return [(input_shape[0], size) for size in self.cell.sizes]

    def carry_shape(self, shapes):
        return (shapes[0][0], sum(self.cell.sizes))

    def kept_states(self):
        return np.split(self.carry, np.cumsum(self.cell.sizes)[:-1], axis=1)

    def keep(self, states):
        self.carry = np.concatenate(states, axis=1)

    def get_initial_state(self, batch_size):
        found = self.cell.get_initial_state(batch_size)
        return list(found) if isinstance(found, list | tuple) else [found]

    def fresh_states(self, x):
        return [np.asarray(state, x.dtype) for state in leaves(self.get_initial_state(len(x)))]

    def arranged(self, y):
        """With the states of a stack of cells as a list for each, as Keras returns them."""
        if not self.return_state:
            return y
        return (y[0], *self.cell.as_states(y[1:]))

    # ------------------------------------------------------------------ the loop

    @short_for("forward", "run")
    def multiply_adds(self, input_shape) -> Count:
        n, time, *rest = sequence_shape(input_shape)
        one = ((n, *rest), *self.state_shapes(sequence_shape(input_shape)))
        return times(time, self.cell.multiply_adds(one))

    def run(self, x, ctx, states):
        held = self.masked_steps(x, ctx)
        if held is not None:
            x = only_real(x, ctx.mask)
        x, ctx = self.in_order(x), ctx.with_mask(None)
        y, caches = self._before(x, states), []
        ys = np.empty((len(x), x.shape[1], *y.shape[1:]), x.dtype)
        shapes = ((len(x), *x.shape[2:]), *(state.shape for state in states))
        drawn = self.cell.draw_once(shapes, x.dtype, ctx)
        for t in range(x.shape[1]):
            (now, *after), cache = self._advance((x[:, t], *states), ctx, drawn)
            if held is not None:
                at = held[:, t, None]
                now = np.where(at, y, now)
                after = [np.where(at, old, new) for old, new in zip(states, after, strict=True)]
            ys[:, t] = y = now
            states = after
            if ctx.backward:
                caches.append(cache)
        if self.stateful:
            self.keep(states)
        if not self.return_sequences:
            return y.copy(), states, (caches, x.shape, held)
        if held is not None and self.zero_output_for_mask:
            ys[held] = 0
        return self.outputs_in_order(ys), states, (caches, x.shape, held)

    def _before(self, x: Array, states: list[Array]) -> Array:
        """y before the first step, which is what it is at masked steps there."""
        state, shape = states[self._at], self.step_shape(x.shape)
        return state if state.shape == shape else np.zeros(shape, x.dtype)

    def _advance(self, x: tuple[Array, ...], ctx: Context, drawn: Any) -> tuple[tuple, Any]:
        """A step of the cell; raises the first time unless y and states are as promised."""
        found = self.cell.advance(x, ctx, drawn)
        if ctx.training not in self._tried:
            found = kept(self.cell, x, found)
            self._tried |= {ctx.training}
        return found

    # ------------------------------------------------------------------ and back

    def run_back(self, dy, dstates, cache, /):
        caches, shape, held = cache
        n, steps = shape[:2]
        dx = np.zeros(shape, dy.dtype)
        states = dstates or [np.zeros(s, dy.dtype) for s in self.state_shapes(shape)]
        dys = self._dy_of_steps(dy, held) if self.return_sequences else None
        d = dy if dys is None else np.zeros((n, *dys.shape[2:]), dy.dtype)
        sums = Sums(self.cell)
        for t in reversed(range(steps)):
            arriving = [d if dys is None else d + dys[:, t], *states]
            passing = [np.zeros_like(a) for a in arriving]
            if held is not None:
                at = held[:, t, None]
                passing = [np.where(at, a, 0) for a in arriving]
                arriving = [np.where(at, 0, a) for a in arriving]
            dx[:, t], *before = self._reverse(tuple(arriving), caches[t], shape)
            sums.add()
            d, *states = passing
            states = [a + b for a, b in zip(states, before, strict=True)]
        sums.put()
        if states[self._at].shape == d.shape:
            states[self._at] = states[self._at] + d
        return self.in_order(dx), states

    def _dy_of_steps(self, dy: Array, held: Array | None) -> Array:
        dys = self.outputs_in_order(dy)
        if held is None or not self.zero_output_for_mask:
            return dys
        return np.where(held[..., None], 0, dys)

    def _reverse(self, dy: tuple[Array, ...], cache: Any, shape: Shape) -> tuple[Array, ...]:
        """The way back of the cell; raises the first time unless the gradients are as promised."""
        found = self.cell.backward(dy, cache)
        if not self._reversed:
            one = (shape[0], *shape[2:])
            came_back(self.cell, found, (one, *self.state_shapes(shape)))
            self._reversed = True
        return found
