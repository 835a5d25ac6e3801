"""States that are a number for each unit: how the loop over time lays them out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from backprop.arguments import argument
from backprop.checks import Positive, choice
from backprop.kernels.recurrent import ready
from backprop.layer import Array, Context, InputSpec
from backprop.layers.recurrent.beside import stretch, stretches
from backprop.layers.recurrent.inplace import InPlaceSigmoid, InPlaceTanh
from backprop.layers.recurrent.loop import Recurrent, Tape
from backprop.layers.recurrent.products import BIAS, KERNEL, RECURRENT, Name, Product
from backprop.layers.recurrent.time import sequence_shape
from backprop.tuning import STRETCH


class Unrolled(Recurrent, kw_only=True, by_position=True):
    """The argument that the layers of units have beside those of all."""

    unroll: Annotated[bool, choice(False, True)] = argument(default=False, after="stateful")


class Units(Unrolled):
    """states[t] = step(v[t], states[t-1]), where v = [x; 1; h₋]: kernels and bias share products.

        x: (N, T, n)    kernel: (n, gates·units)    recurrent_kernel: (units, gates·units)
        bias: (gates·units,)    y: (N, units), or (N, T, units)

        in the loop    v: (T + 1, n + 1 + units, N)    each state: (T + 1, units, N)

    Without a bias v has no row of 1. The last entry of v has the h of the last step.

    Dropout: one mask for all steps of a sequence; where there is recurrent dropout, each gate has
    masks of its own, as in Keras.
    """

    units: Positive
    axis_of_units = -2
    input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        input_shape = sequence_shape(input_shape)
        n, width = input_shape[-1], self.gates * self.units
        self.make_weights((n, width), (self.units, width), self.bias_shape())
        self.make_carry(input_shape)
        self.build_activations((None, self.units))
        begin = n + bool(self.use_bias)
        self.rows_of_h = slice(begin, begin + self.units)  # of v
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def state_shape(self, input_shape):
        return (input_shape[0], self.units)

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    # ------------------------------------------------------------------ compiled

    def fits_loop(self) -> bool:
        """Whether the activations are those that compiled loops have, tanh and σ."""
        kinds = type(self._gate), type(self._squash)
        return kinds == (InPlaceSigmoid, InPlaceTanh) and ready()

    # ------------------------------------------------------------------ the layout

    def to_loop(self, a):
        return a.transpose(1, 2, 0)

    def from_loop(self, a):
        return a.transpose(2, 0, 1)

    def room(self, steps, batch, dtype):
        return np.empty((steps, len(self.order), self.units, batch), dtype)

    def stretch(self, batch: int) -> int:
        """How many steps are one piece of work, where none of it is on a second thread."""
        return stretch(len(self.order) * self.units * batch)

    def lay_out(self, x: Array, ctx: Context, states: list[Array]) -> Tape:
        (steps, _, batch), dtype, h = x.shape, x.dtype, self.rows_of_h
        v = np.empty((steps + 1, h.stop, batch), dtype)
        shape = (steps + 1, self.units, batch)
        found = [v[:, h], *(np.empty(shape, dtype) for _ in states[1:])]
        for state, start in zip(found, states, strict=True):
            state[0] = start
        kept = steps if ctx.backward else min(steps, self.stretch(batch))
        z = self.room(kept, batch, dtype)
        tape = Tape(found, z, v, *self._drop(batch, dtype, ctx))
        tape.compiled = tape.drop is None and z.size > 0 and self.has_loop(ctx)
        self.connect(tape)
        return tape

    def _drop(self, batch: int, dtype: np.dtype, ctx: Context) -> tuple:
        """What multiplies x before the steps, (n, N), and what multiplies v within them, for each
        block: (blocks, rows of v, N)."""
        n, h = len(self.kernel), self.rows_of_h
        count = self.gates if self.recurrent_dropout else 1
        of_x = self.drops(self.dropout, (count, batch, n), dtype, ctx)
        of_h = self.drops(self.recurrent_dropout, (count, batch, self.units), dtype, ctx)
        if of_h is None:
            return None if of_x is None else of_x[0].T, None
        of_v = np.ones((self.gates, h.stop, batch), dtype)
        of_v[:, h] = of_h.swapaxes(1, 2)
        if of_x is not None:
            of_v[:, :n] = of_x.swapaxes(1, 2)
        return None, of_v[list(self.order)]

    def connect(self, tape):
        h = self.rows_of_h
        tape.of_x = self.product(tape, [KERNEL, BIAS], slice(0, h.start))
        tape.of_h = self.product(tape, [RECURRENT], h)
        # [dkernel; dbias; drecurrent_kernel] = Σ_t v dzᵀ
        tape.sums = [self.product(tape, [KERNEL, BIAS, RECURRENT], slice(None))]

    def product(
        self, tape: Tape, names: list[Name], rows: slice, blocks: slice = slice(None)
    ) -> Product:
        """What these weights make of some rows of v, in some blocks of z."""
        drop = None if tape.drop is None else tape.drop[blocks, rows]
        order, v = self.order[blocks], tape.v[:-1, rows]
        return Product(self, names, self.units, order, blocks, v=v, drop=drop)

    def see(self, tape: Tape, x: Array, *, beside: bool) -> Iterator[slice]:
        """x: (T, n, N) and 1 into v, and z's part that comes from them, stretch by stretch."""
        n, end = x.shape[1], self.rows_of_h.start
        length = STRETCH if beside else self.stretch(x.shape[2])
        for at in stretches(len(x), length=length, beside=beside):
            v = tape.v[at]
            v[:, :n] = x[at]
            v[:, n:end] = 1
            if tape.drop_x is not None:
                v[:, :n] *= tape.drop_x
            begin = at.start % len(tape.z)
            tape.of_x.forward(at, tape.z[begin : begin + at.stop - at.start, tape.of_x.blocks])
            yield at

    def input_gradient(self, tape, dz):
        dx = super().input_gradient(tape, dz)
        if tape.drop_x is not None:
            dx *= tape.drop_x
        return dx
