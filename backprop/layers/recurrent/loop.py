"""The loop over time, forwards and back, of any layer that goes from state to state.

A kind of states is laid out by a subclass: `units.Units` for a number for each unit, `ConvLSTM` for
images. A layer writes its step. The loop does the rest: masks, the order of the steps, what is kept
between batches, sums over time, and the second thread that is `beside` it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from backprop import parallel
from backprop.counts import Count, times
from backprop.input_spec import Shape
from backprop.layer import Array, Context
from backprop.layers.recurrent.beside import follow, pays
from backprop.layers.recurrent.inplace import InPlace, in_place
from backprop.layers.recurrent.time import OverTime, sequence_shape
from backprop.layers.recurrent.weights import Dropping, Weighted
from backprop.linalg import rows_of
from backprop.masks import only_real
from backprop.nest import as_tuple
from backprop.promises import short_for
from backprop.tuning import LARGE_LOOP, LEAST_PART, LOOK_BACK, STRETCH

# what a compiled loop over the steps is short for
STEPS = (
    "advance", "look_back", "reverse", "run", "run_back", "lay_out", "connect", "see", "room",
    "through_time", "sums", "input_gradient", "_walk", "_gradients", "_last_states", "_output",
)  # fmt: skip


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
    compiled : bool
        Whether `run_steps` and `run_steps_back` may do the steps.
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
    compiled: bool = False


@dataclass
class Part:
    """Some sequences of a batch, and their tape."""

    at: slice
    tape: Tape


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

    Where kernels are compiled a layer may have more: `has_loop`, and the loops for it.

        run_steps(at, tape)                   `advance` at several steps; whether it was done
        run_steps_back(at, tape, dstates, dys, dz) `look_back` and `reverse`, the same

    These let go of Python's lock, so half of a batch runs on each of two threads.
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

    def has_loop(self, ctx: Context) -> bool:
        """Whether there is a compiled loop for the steps; a subclass that writes steps of its own
        has none. A step that is exchanged on the class itself, once that is made, is not seen:
        write a subclass, or `bp.config.set_kernels("numpy")`."""
        return False

    def run_steps(self, at: slice, tape: Tape) -> bool:
        return False

    def run_steps_back(
        self, at: slice, tape: Tape, dstates: list[Array], dys: Array | None, dz: Array
    ) -> bool:
        return False

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

    @short_for("forward", "run")
    def multiply_adds(self, input_shape) -> Count:
        weights = self.kernel.size + self.recurrent_kernel.size
        return times(sequence_shape(input_shape)[1], weights)

    def run(self, x, ctx, states):
        held = self.masked_steps(x, ctx)
        if held is not None:
            x = only_real(x, ctx.mask)  # else dz = 0 there would meet whatever x is
        parts = self._parts(x, ctx)
        if len(parts) == 1:
            tape = self._record(x, held, ctx, states)
            y, last = self._output(tape), self._last_states(tape)
        else:
            tape, y, last = self._record_parts(parts, x, held, ctx, states)
        if self.stateful:
            self.keep(last)
        return y, last, tape

    def _record(self, x: Array, held: Array | None, ctx: Context, states: list[Array]) -> Tape:
        """The tape of all steps."""
        x = self.to_loop(self.in_order(x))
        tape = self.lay_out(x, ctx, [self.to_loop(state[:, None])[0] for state in states])
        if held is not None:
            held = held.reshape(*held.shape, *(1,) * (tape.states[0].ndim - 2))
            tape.held = np.ascontiguousarray(self.to_loop(held))
        beside = ctx.backward and self.threads and pays(tape.z.size, len(x), STRETCH + 1)
        follow(
            self.see(tape, x, beside=beside), lambda at: self._walk(tape, at, ctx), beside=beside
        )
        return tape

    def _parts(self, x: Array, ctx: Context) -> list[slice]:
        """The batch in as many parts as threads are worth it: those of compiled loops do not meet
        at Python's lock. What is dropped is drawn for the whole batch."""
        batch, steps = x.shape[:2]
        numbers = batch * steps * self.kernel.shape[-1]
        drops = ctx.training and (self.dropout or self.recurrent_dropout)
        whole = drops or numbers < LARGE_LOOP or batch < 2 * LEAST_PART
        if whole or not self.has_loop(ctx) or not parallel.pays():
            return [slice(0, batch)]
        return [slice(0, batch // 2), slice(batch // 2, batch)]

    def _record_parts(self, parts, x, held, ctx, states) -> tuple[list[Part], Array, list[Array]]:
        """The tapes of the parts, side by side, with y and the last states of all."""

        def record(at: slice) -> tuple[Part, Array, list[Array]]:
            masked = None if held is None else held[at]
            tape = self._record(x[at], masked, ctx, [state[at] for state in states])
            return Part(at, tape), self._output(tape), self._last_states(tape)

        found = parallel.run([lambda at=at: record(at) for at in parts])
        recorded, ys, last = zip(*found, strict=True)
        together = [np.concatenate(each) for each in zip(*last, strict=True)]
        return list(recorded), np.concatenate(ys), together

    def _walk(self, tape: Tape, at: slice, ctx: Context) -> None:
        """Some steps, one after the other."""
        if tape.compiled and self.run_steps(at, tape):
            return
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
        if tape.compiled and steps:
            for end in range(steps, 0, -STRETCH):
                at = slice(max(end - STRETCH, 0), end)
                if not self.run_steps_back(at, tape, dstates, dys, dz):
                    break
                yield at.start
            else:
                return
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
        """Set the gradients, and return dz of all steps and those of the first states."""
        dz, dstates, sums = self._go_back(dy, dlast, tape)
        self._put(tape, sums)
        return dz, dstates

    def _put(self, tape: Tape, sums: list[Array]) -> None:
        for product, found in zip(tape.sums, sums, strict=True):
            product.put(found)

    def _go_back(
        self, dy: Array, dlast: list[Array], tape: Tape
    ) -> tuple[Array, list[Array], list[Array]]:
        """dz of all steps, the gradients of the first states, and the sums over time: those over
        steps that are done may go on beside the loop, and it has the last of them left, when it has
        nothing else to do."""
        steps = len(tape.states[0]) - 1
        dstates = [np.zeros(state.shape[1:], dy.dtype) for state in tape.states]
        for d, more in zip(dstates, dlast, strict=False):
            d += self.to_loop(more[:, None])[0]
        dz = self.room(steps, len(dy), dy.dtype)
        beside = self.threads and pays(dz.size, steps, 2 * STRETCH)
        in_pieces = beside or tape.compiled  # whose dz is in the cache yet
        before: list[Array] = []
        last: list[Array] = []

        def add(at: slice) -> None:
            before[:] = added(before, self.sums(at, tape, dz))

        def done() -> Iterator[slice]:
            end = steps
            for t in self.through_time(dy, dstates, tape, dz):
                if in_pieces and end - t >= STRETCH and t > 0:
                    yield slice(t, end)
                    end = t
            last[:] = self.sums(slice(0, end), tape, dz)

        follow(done(), add, beside=beside)
        return dz, dstates, added(before, last)

    def _gradients_of_parts(
        self, dy: Array, dlast: list[Array], parts: list[Part], *, dx: bool
    ) -> list[tuple[Any, list[Array]]]:
        """The same for a batch in parts, side by side: dx, where it is asked for, and the gradients
        of the first states, of each part."""

        def back(part: Part) -> tuple[Any, list[Array], list[Array]]:
            dz, dstates, sums = self._go_back(dy[part.at], [d[part.at] for d in dlast], part.tape)
            return self._outside(part.tape, dz) if dx else None, dstates, sums

        found = parallel.run([lambda part=part: back(part) for part in parts])
        self._put(parts[0].tape, reduce(added, (sums for *_, sums in found)))
        return [(d, dstates) for d, dstates, _ in found]

    def sums(self, at: slice, tape: Tape, dz: Array) -> list[Array]:
        """What each product has as sum over some steps, of which the gradients consist."""
        return [product.sum(at, dz[at, product.blocks]) for product in tape.sums]

    def backward_params(self, dy, cache):
        dy, *dlast = as_tuple(dy)
        tape = cache[0]
        if isinstance(tape, list):
            self._gradients_of_parts(dy, dlast, tape, dx=False)
        else:
            self._gradients(dy, dlast, tape)

    def run_back(self, dy, dstates, tape, /):
        if isinstance(tape, list):
            found = self._gradients_of_parts(dy, dstates, tape, dx=True)
            dx = np.concatenate([dx for dx, _ in found])
            each = zip(*(dstates for _, dstates in found), strict=True)
            return dx, [self._first_state(np.concatenate(d, axis=-1)) for d in each]
        dz, dstates = self._gradients(dy, dstates, tape)
        return self._outside(tape, dz), [self._first_state(d) for d in dstates]

    def _outside(self, tape: Tape, dz: Array) -> Array:
        """dx of all steps, as x stands outside of the loop."""
        return self.in_order(self.from_loop(self.input_gradient(tape, dz)))

    def _first_state(self, d: Array) -> Array:
        return self.from_loop(d[None])[:, 0]

    def input_gradient(self, tape: Tape, dz: Array) -> Array:
        return tape.of_x.backward(dz[:, tape.of_x.blocks])


def old_where_masked(held: Array, old: list[Array], new: list[Array]) -> list[Array]:
    """The old where a step is masked, the new elsewhere."""
    return [np.where(held, o, n) for o, n in zip(old, new, strict=True)]


def added(sums: list[Array], more: list[Array]) -> list[Array]:
    """`more` added to the sums, if there are any yet, in their memory."""
    for a, b in zip(sums, more, strict=True) if sums else ():
        a += b
    return sums or more


def flat(a: Array, before: int = 1) -> Array:
    """(..., units, N) → (..., units·N): a view, with so many axes before."""
    return a.reshape(*a.shape[:before], -1)


def held_of(tape: Tape) -> Array | None:
    """(T, N), where a step is masked."""
    return None if tape.held is None else tape.held.reshape(len(tape.held), -1)
