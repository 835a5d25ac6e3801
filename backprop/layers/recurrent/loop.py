"""The loop over time, forwards and back, of any layer that goes from state to state.

A kind of states is laid out by a subclass: `units.Units` for a number for each unit, `ConvLSTM` for
images. A layer writes its step. The loop does the rest: masks, the order of the steps, what is kept
between batches, sums over time, and the second thread that is `beside` it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop.input_spec import Shape
from backprop.layer import Array, Context
from backprop.layers.recurrent.beside import follow, pays
from backprop.layers.recurrent.inplace import InPlace, in_place
from backprop.layers.recurrent.time import OverTime
from backprop.layers.recurrent.weights import Dropping, Weighted
from backprop.linalg import rows_of
from backprop.masks import only_real
from backprop.nest import as_tuple
from backprop.tuning import LOOK_BACK, STRETCH


@dataclass
class Tape:
    """What the steps read and write, one entry for each step in the order of processing.

    Attributes
    ----------
    states : list of ndarray (T + 1, *state)
        Before each step and after the last. The first is h.
    z : ndarray (T, blocks, *state)
        What a step computes from x and h₋, and then the gates in its place. In inference the room
        of a few steps serves all: that of step t is ``z[t % len(z)]``.
    v : ndarray
        What `of_x` multiplies, as its kind has it.
    drop_x : ndarray, optional
        What has multiplied all of x.
    drop : optional
        What multiplies v for each block, as its kind has it.
    held : ndarray of bool (T, *broadcast to a state), optional
        Where a step is masked.
    kept : ndarray
        What else a kind of layer keeps of each step.
    caches : list
        What the activations keep of each step.
    of_x, of_h : Product or Convolution
        z of x and 1, and of h₋.
    of_rh : Product
        Of a GRU, where the gate r comes before the product: z of r h₋.
    sums : list
        The products whose sums over time are the gradients.
    """

    states: list[Array]
    z: Array
    v: Array
    drop_x: Array | None = None
    drop: Any = None
    held: Array | None = None
    kept: Any = None
    caches: list[Any] = field(default_factory=list)
    of_x: Any = None
    of_h: Any = None
    of_rh: Any = None
    sums: list[Any] = field(default_factory=list)


class Recurrent(Weighted, Dropping, OverTime, kw_only=True, by_position=True):
    """states[t] = step(x[t], states[t-1]), and y is the first of the states, at the end or always.

    A layer says the `order` in which the blocks of its z are Keras' gates, and writes

        advance(t, tape)                           states[t + 1] from z[t] and states[t]
        look_back(at, tape, dz)                    the slopes of several steps, at once
        reverse(t, tape, dstates, dz, slope)       dz of a step, and dstates of the step before

    On the way back a step is linear: what dh is multiplied with is known before the loop starts.
    So `look_back` has the slopes of several steps at once, some in the places of dz, and one that
    it returns, which `reverse` gets as that of its step.

    The kind of states adds

        to_loop(a), from_loop(a)    (N, T, ...) to the loop's order of axes, and back
        lay_out(x, ctx, states)     the tape
        connect(tape)               its products: what sees x and h₋, and sums over time
        see(tape, x, beside)        write x's part of z piece by piece, and yield the pieces
        room(steps, batch, dtype)   memory for z

    At a masked step the states stay what they were, so their gradients pass it by unchanged and
    its dz is 0.
    """

    changeable = ("dropout", "recurrent_dropout", "zero_output_for_mask")
    order = (0,)
    threads = True  # whether to use a second one; not where the products do so themselves
    axis_of_units = -1

    def build_activations(self, shape: Shape) -> None:
        """Refuse activations that do not fit a state of this shape, and have the others in their
        fast forms."""
        for function in self.sublayers():
            self.build_activation(function, shape)
        self._squash: InPlace = in_place(self.activation, self.axis_of_units)
        if self.gates > 1:
            self._gate: InPlace = in_place(self.recurrent_activation, self.axis_of_units)

    def advance(self, t: int, tape: Tape) -> Any:
        """Write one step to the tape; returns what the activations keep."""
        raise TypeError(f"{type(self).__name__} has no advance(self, t, tape): write one")

    def look_back(self, at: slice, tape: Tape, dz: Array) -> Array:
        raise TypeError(f"{type(self).__name__} has no look_back(self, at, tape, dz): write one")

    def reverse(
        self, t: int, tape: Tape, dstates: list[Array], dz: Array, slope: Array
    ) -> list[Array]:
        raise TypeError(
            f"{type(self).__name__} has no reverse(self, t, tape, dstates, dz, slope): write one"
        )

    def lay_out(self, x: Array, ctx: Context, states: list[Array]) -> Tape:
        raise TypeError(f"{type(self).__name__} has no lay_out(self, x, ctx, states): write one")

    def connect(self, tape: Tape) -> None:
        raise TypeError(f"{type(self).__name__} has no connect(self, tape): write one")

    def state_shapes(self, input_shape):
        return [self.state_shape(input_shape)] * self.state_count

    def state_shape(self, input_shape: Shape) -> Shape:
        """Of each state for a sequence of this shape, both with the batch; a subclass writes it."""
        raise TypeError(f"{type(self).__name__} has no state_shape(self, input_shape): write one")

    # ------------------------------------------------------------------ forwards

    def run(self, x, ctx, states):
        held = self.masked_steps(x, ctx)
        if held is not None:
            x = only_real(x, ctx.mask)  # else dz = 0 there would meet whatever x is
        x = self.to_loop(self.in_order(x))
        tape = self.lay_out(x, ctx, [self.to_loop(state[:, None])[0] for state in states])
        if held is not None:
            held = held.reshape(*held.shape, *(1,) * (tape.states[0].ndim - 2))
            tape.held = np.ascontiguousarray(self.to_loop(held))
        beside = ctx.backward and self.threads and pays(tape.z.size, len(x), STRETCH + 1)
        follow(
            self.see(tape, x, beside=beside), lambda at: self._walk(tape, at, ctx), beside=beside
        )
        last = self._last_states(tape)
        if self.stateful:
            self.keep(last)
        return self._output(tape), last, tape

    def _walk(self, tape: Tape, at: slice, ctx: Context) -> None:
        """Some steps, one after the other."""
        for t in range(at.start, at.stop):
            cache = self.advance(t, tape)
            if tape.held is not None:
                for state in tape.states:
                    np.copyto(state[t + 1], state[t], where=tape.held[t])
            if ctx.backward:
                tape.caches.append(cache)

    def _last_states(self, tape: Tape) -> list[Array]:
        return [self.from_loop(state[-1:])[:, 0] for state in tape.states]

    def _output(self, tape: Tape) -> Array:
        h = tape.states[0]
        if not self.return_sequences:
            return self.from_loop(h[-1:])[:, 0].copy()
        y = self.from_loop(h[1:]).copy()
        if self.zero_output_for_mask and tape.held is not None:
            np.copyto(y, 0, where=self.from_loop(tape.held))
        return self.outputs_in_order(y)

    # ------------------------------------------------------------------ back

    def through_time(self, dy: Array, dstates: list[Array], tape: Tape, dz: Array) -> Iterator[int]:
        """Write dz of all steps, from the last to the first, each of which it yields when it is
        done; dy is that of the last h, or of all. In `dstates` are the gradients of the last states
        and, when it is through, those of the first.
        """
        steps, held = len(dz), tape.held
        dys = self._dy_of_steps(dy, held) if self.return_sequences else None
        if dys is None:
            dstates[0] += self.to_loop(dy[:, None])[0]
        passing: list[Array] = []
        together, first = rows_of(dz, LOOK_BACK), steps
        slopes = dz
        for t in reversed(range(steps)):
            if t < first:
                at = slice(max(t + 1 - together, 0), t + 1)
                slopes, first = self.look_back(at, tape, dz[at]), at.start
            if dys is not None:
                dstates[0] += dys[t]
            if held is not None:
                passing = [np.where(held[t], d, 0) for d in dstates]
                dstates[:] = [np.where(held[t], 0, d) for d in dstates]
            dstates[:] = self.reverse(t, tape, dstates, dz[t], slopes[t - first])
            if held is not None:
                dstates[:] = old_where_masked(held[t], passing, dstates)
            yield t

    def _dy_of_steps(self, dy: Array, held: Array | None) -> Array:
        dys = self.to_loop(self.outputs_in_order(dy)).copy()
        if self.zero_output_for_mask and held is not None:
            np.copyto(dys, 0, where=held)
        return dys

    def _gradients(self, dy: Array, dlast: list[Array], tape: Tape) -> tuple[Array, list[Array]]:
        """Set the gradients, and return dz of all steps and those of the first states: sums over
        steps that are done may go on beside the loop, and it has the last of them left, when it has
        nothing else to do."""
        steps = len(tape.states[0]) - 1
        dstates = [np.zeros(state.shape[1:], dy.dtype) for state in tape.states]
        for d, more in zip(dstates, dlast, strict=False):
            d += self.to_loop(more[:, None])[0]
        dz = self.room(steps, len(dy), dy.dtype)
        beside = self.threads and pays(dz.size, steps, 2 * STRETCH)
        before: list[Array] = []
        last: list[Array] = []

        def add(at: slice) -> None:
            found = self.sums(at, tape, dz)
            before[:] = [a + b for a, b in zip(before, found, strict=True)] if before else found

        def done() -> Iterator[slice]:
            end = steps
            for t in self.through_time(dy, dstates, tape, dz):
                if beside and end - t >= STRETCH and t > 0:
                    yield slice(t, end)
                    end = t
            last[:] = self.sums(slice(0, end), tape, dz)

        follow(done(), add, beside=beside)
        for i, product in enumerate(tape.sums):
            product.put(last[i] + before[i] if before else last[i])
        return dz, dstates

    def sums(self, at: slice, tape: Tape, dz: Array) -> list[Array]:
        """What each product has as sum over some steps, of which the gradients consist."""
        return [product.sum(at, dz[at, product.blocks]) for product in tape.sums]

    def backward_params(self, dy, cache):
        dy, *dlast = as_tuple(dy)
        self._gradients(dy, dlast, cache[0])

    def run_back(self, dy, dstates, tape, /):
        dz, dstates = self._gradients(dy, dstates, tape)
        dx = self.in_order(self.from_loop(self.input_gradient(tape, dz)))
        return dx, [self.from_loop(d[None])[:, 0] for d in dstates]

    def input_gradient(self, tape: Tape, dz: Array) -> Array:
        return tape.of_x.backward(dz[:, tape.of_x.blocks])


def old_where_masked(held: Array, old: list[Array], new: list[Array]) -> list[Array]:
    """The old where a step is masked, the new elsewhere."""
    return [np.where(held, o, n) for o, n in zip(old, new, strict=True)]
