"""The loop over time of the layers whose states are a number for each unit.

Within the loop every array is a matrix with a row for each unit and a column for each sequence of
the batch: so a gate is a stretch of memory of its own, and all that is done to it is one pass.
`benchmarks/recurrent.py` shows what this and the rest of the arrangement are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any

import numpy as np

from backprop import parallel
from backprop.checks import integer, one_of
from backprop.layer import PREDICT, Array, InputSpec
from backprop.layers.recurrent.inplace import InPlace, in_place
from backprop.layers.recurrent.time import OverTime
from backprop.linalg import rows_of
from backprop.masks import only_real
from backprop.tuning import FIRST_STRETCH, LARGE_LOOP, LOOK_BACK, STRETCH, UNCOPIED


@dataclass
class Tape:
    """What the steps read and write, one entry for each step in the order of processing.

    Attributes
    ----------
    v : ndarray (T + 1, n + 1 + units, N)
        x, 1 and h₋ of each step side by side; the last entry has the h of the last step.
    states : list of ndarray (T + 1, units, N)
        Before each step and after the last. The first is h, a view into v.
    z : ndarray (T, blocks, units, N)
        What a step computes from v, and then the gates in its place.
    of_x : ndarray (blocks that see x, units, n + 1)
        The kernel and the bias, as steps multiply x and 1 with them.
    of_h, back : ndarray
        The recurrent kernel as steps multiply with it, and as they do on the way back.
    kept : ndarray
        What else a kind of layer writes.
    drop : ndarray (blocks, n + 1 + units, N), optional
        What multiplies v, for each block; with recurrent dropout.
    drop_in : ndarray (blocks that see x, n + 1, N), optional
        The part of it that multiplies x and 1.
    drop_x : ndarray (n, N), optional
        What has multiplied x; with dropout of x alone.
    held : ndarray of bool (T, 1, N), optional
        Where a step is masked.
    room : ndarray
        Where a step puts its products.
    caches : list
        What the activations keep of each step.
    ready : ndarray
        What `look_back` leaves for some steps, from the step `first` on.
    first : int
    """

    v: Array
    states: list[Array]
    z: Array
    of_x: Any = None
    of_h: Any = None
    back: Any = None
    kept: Any = None
    drop: Any = None
    drop_in: Array | None = None
    drop_x: Array | None = None
    held: Array | None = None
    room: Any = None
    caches: list[Any] = field(default_factory=list)
    ready: Any = None
    first: int = 0

    def __post_init__(self):
        self.h = self.states[0]

    def part(self, at: slice) -> Tape:
        """The entries of some steps."""
        return replace(self, v=self.v[at.start : at.stop + 1], z=self.z[at])

    @property
    def drop_of_x(self) -> Array | None:
        return None if self.drop is None else self.drop[:, : -1 - self.h.shape[1]]

    @property
    def drop_of_h(self) -> Array | None:
        return None if self.drop is None else self.drop[:, -self.h.shape[1] :]


class Recurrent(OverTime):
    """states[t] = step(v[t], states[t-1]), where v = [x; 1; h₋], and y is the first of the states.

        x: (N, T, n)    kernel: (n, gates·units)    recurrent_kernel: (units, gates·units)
        bias: (gates·units,)    each state: (units, N)    y: (N, units), or (N, T, units)

    A subclass says how many `gates` and states it has, how many `blocks` of units its steps
    compute, and writes

        prepare(tape)                          the kernels as its steps multiply with them
        advance(t, tape)                       states[t + 1] from states[t]
        look_back(at, tape, dz)                what several steps need for it, perhaps nothing
        reverse(t, tape, dstates, dz)          dz of the step, and dstates of the step before
        sums(tape, dz)                         what the gradients need: sums over time, one product
        set_gradients(sums)                    the gradients
        input_gradients(tape, dz)              dx of all steps

    At a masked step the states stay what they were, so their gradients pass it by unchanged and
    its dz is 0.

    Dropout: one mask for all steps of a sequence; where there is recurrent dropout, each gate has
    masks of its own, as in Keras.
    """

    blocks = 1

    def __init__(self, units: int, *, unroll: bool, **kwargs):
        super().__init__(**kwargs)
        who = type(self).__name__
        self.units = integer(units, who, "units")
        self.unroll = one_of(unroll, (False, True), who, "unroll")
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        self.check_input(input_shape)
        n, width = input_shape[-1], self.gates * self.units
        self.make_weights((n, width), (self.units, width), self.bias_shape())
        self.make_carry(input_shape, (self.units,))
        for function in self.sublayers():
            self.build_activation(function, (None, self.units))
        self._squash: InPlace = in_place(self.activation)
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[: 2 if self.return_sequences else 1], self.units)

    def state_shape(self):
        return (self.units,)

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def bias_row(self) -> Array:
        """The bias, or zeros, as a matrix with a row for each of its vectors."""
        bias = self.bias if self.use_bias else np.zeros(self.bias_shape(), self.kernel.dtype)
        return np.atleast_2d(bias)

    # ------------------------------------------------------------------ what a subclass writes

    def prepare(self, tape: Tape) -> None:
        raise TypeError(f"{type(self).__name__} has no prepare(self, tape): write one")

    def advance(self, t: int, tape: Tape) -> Any:
        raise TypeError(f"{type(self).__name__} has no advance(self, t, tape): write one")

    def look_back(self, at: slice, tape: Tape, dz: Array) -> None:
        """What can be done for some steps together before they are reversed one by one. What this
        leaves in dz is there when `reverse` is called."""

    def reverse(self, t: int, tape: Tape, dstates: list[Array], dz: Array) -> list[Array]:
        raise TypeError(f"{type(self).__name__} has no reverse(self, t, tape, dstates, dz)")

    def sums(self, tape: Tape, dz: Array) -> list[Array]:
        raise TypeError(f"{type(self).__name__} has no sums(self, tape, dz): write one")

    def set_gradients(self, sums: list[Array]) -> None:
        raise TypeError(f"{type(self).__name__} has no set_gradients(self, sums): write one")

    def input_gradients(self, tape: Tape, dz: Array) -> Array:
        raise TypeError(f"{type(self).__name__} has no input_gradients(self, tape, dz)")

    # ------------------------------------------------------------------ the loop

    def run(self, x, ctx, states):
        tape = self._tape(x, ctx, states)
        if tape.held is not None:
            x = only_real(x, ctx.mask)  # else dz = 0 there would meet whatever x is
        steps, x = x.shape[1], self.in_order(x).transpose(1, 2, 0)
        stretches = [slice(t, min(t + STRETCH, steps)) for t in range(0, steps, STRETCH)]
        seen: SimpleQueue[slice | None] = SimpleQueue()

        def look():
            try:
                for at in [slice(0, FIRST_STRETCH), slice(FIRST_STRETCH, STRETCH), *stretches[1:]]:
                    self._see_inputs(tape, at, x)
                    seen.put(at)
            finally:
                seen.put(None)

        def loop():
            for at in iter(seen.get, None):
                self._walk(tape, at, ctx)

        if ctx.backward and steps > STRETCH and tape.z.size >= LARGE_LOOP and parallel.pays():
            parallel.run([loop, look])
        else:
            for at in stretches:
                self._see_inputs(tape, at, x)
                self._walk(tape, at, ctx)
        if self.stateful:
            self.carry = np.stack([state[-1].T for state in tape.states])
        return self._output(tape), tape

    def _see_inputs(self, tape, at, x):
        """x: (T, n, N) and 1 of some steps into v, and z's part that comes from them."""
        v = tape.v[at, : tape.of_x.shape[2]]
        v[:, :-1] = x[at]
        v[:, -1] = 1
        if tape.drop_x is not None:
            v[:, :-1] *= tape.drop_x
        begin = at.start % len(tape.z)
        out = tape.z[begin : begin + at.stop - at.start, : len(tape.of_x)]
        v = v[:, None]
        np.matmul(tape.of_x, v if tape.drop_in is None else v * tape.drop_in, out=out)

    def _walk(self, tape, at, ctx):
        """Some steps, one after the other."""
        for t in range(at.start, at.stop):
            cache = self.advance(t, tape)
            if tape.held is not None:
                for state in tape.states:
                    np.copyto(state[t + 1], state[t], where=tape.held[t])
            if ctx.backward:
                tape.caches.append(cache)

    def _tape(self, x, ctx, states):
        (batch, steps, n), dtype = x.shape, x.dtype
        v = np.empty((steps + 1, n + 1 + self.units, batch), dtype)
        shape = (steps + 1, self.units, batch)
        found = [v[:, n + 1 :], *(np.empty(shape, dtype) for _ in states[1:])]
        for state, start in zip(found, states, strict=True):
            state[0] = start.T
        # in inference the room of a few steps serves all
        count = steps if ctx.backward else min(steps, STRETCH)
        room = (count, self.blocks, self.units, batch)
        tape = Tape(v, found, np.empty(room, dtype))
        held = self.masked_steps(x, ctx)
        tape.held = None if held is None else np.ascontiguousarray(held.T)[:, None]
        self._drop(tape, n, ctx)
        self.prepare(tape)
        return tape

    def _drop(self, tape, n, ctx):
        """Dropout of x alone is done before the steps; the rest is left to them."""
        v, batch, dtype = tape.v, tape.v.shape[-1], tape.v.dtype
        drop = self.draw(self.dropout, (batch, n), dtype, ctx)
        recurrent = self.draw(self.recurrent_dropout, (batch, self.units), dtype, ctx)
        if recurrent is not None:
            tape.drop = np.ones((self.gates, *v.shape[1:]), dtype)
            tape.drop[:, n + 1 :] = recurrent.swapaxes(1, 2)
            if drop is not None:
                tape.drop[:, :n] = drop.swapaxes(1, 2)
        elif drop is not None:
            tape.drop_x = drop[0].T

    def _output(self, tape):
        if not self.return_sequences:
            return tape.h[-1].T.copy()
        y = tape.h[1:].transpose(2, 0, 1).copy()
        if self.zero_output_for_mask and tape.held is not None:
            y *= ~tape.held.transpose(2, 0, 1)
        return self.outputs_in_order(y)

    def through_time(self, dy: Array, tape: Tape, dz: Array) -> Iterator[int]:
        """Write dz of all steps, from the last to the first, each of which it yields when it is
        done; dy is that of the last h, or of all.
        """
        tape = copy(tape)  # what `look_back` leaves on it is of this pass alone
        steps, batch = len(dz), dz.shape[-1]
        dstates = [np.zeros((self.units, batch), dy.dtype) for _ in range(self.state_count)]
        dys = None
        if not self.return_sequences:
            dstates[0] += dy.T
        else:
            dys = self.outputs_in_order(dy).transpose(1, 2, 0).copy()
            if self.zero_output_for_mask and tape.held is not None:
                dys *= ~tape.held
        passing: list[Array] = []
        together, end = rows_of(dz, LOOK_BACK), steps
        for t in reversed(range(steps)):
            if t + 1 == end:
                end = max(t + 1 - together, 0)
                self.look_back(slice(end, t + 1), tape, dz[end : t + 1])
            if dys is not None:
                dstates[0] += dys[t]
            if tape.held is not None:
                passing = [np.where(tape.held[t], d, 0) for d in dstates]
                dstates = [np.where(tape.held[t], 0, d) for d in dstates]
            dstates = self.reverse(t, tape, dstates, dz[t])
            if tape.held is not None:
                dstates = hold(tape.held[t], passing, dstates)
            yield t

    def backward_params(self, dy, tape):
        self._gradients(dy, tape)

    def _gradients(self, dy, tape):
        """Set the gradients, and return dz of all steps."""
        steps, batch = len(tape.v) - 1, tape.v.shape[-1]
        dz = np.empty((steps, self.blocks, self.units, batch), dy.dtype)
        if steps < 2 * STRETCH or dz.size < LARGE_LOOP or not parallel.pays():
            for _ in self.through_time(dy, tape, dz):
                pass
            self.set_gradients(self.sums(tape, dz))
        else:
            self._beside_the_loop(dy, tape, dz)
        return dz

    def _beside_the_loop(self, dy, tape, dz):
        """The same on two threads: sums over steps that are done, while the loop goes on.

        The loop cannot be shared out, as a step waits for the one before, and its products are
        too small for two threads. The sums can, and cost nearly as much.
        """
        done: SimpleQueue[slice | None] = SimpleQueue()

        def loop():
            try:
                end = len(dz)
                for t in self.through_time(dy, tape, dz):
                    if end - t >= STRETCH and t > 0:
                        done.put(slice(t, end))
                        end = t
            finally:
                done.put(None)
            return sums(slice(0, end))

        def add_up():
            total = sums(done.get())
            for at in iter(done.get, None):
                total = [a + b for a, b in zip(total, sums(at), strict=True)]
            return total

        def sums(at):
            return self.sums(tape.part(at), dz[at])

        tasks: list[Callable[[], Any]] = [loop, add_up]
        parts = parallel.run(tasks)
        self.set_gradients([a + b for a, b in zip(*parts, strict=True)])

    def backward(self, dy, tape):
        dz = self._gradients(dy, tape)
        dx = self.input_gradients(tape, dz)
        if tape.drop_x is not None:
            dx *= tape.drop_x
        return self.in_order(dx.transpose(2, 0, 1))

    # ------------------------------------------------------------------ a few steps at a time

    @property
    def can_step(self):
        return self.return_sequences and not self.go_backwards and not self.stateful

    def step(self, x, memory):
        states = self._initial_states(x) if memory is None else memory
        y, tape = self.run(x, PREDICT, states)
        return y, [state[-1].T for state in tape.states]


def hold(held: Array, old: list[Array], new: list[Array]) -> list[Array]:
    """The old where a step is masked, the new elsewhere."""
    return [np.where(held, o, n) for o, n in zip(old, new, strict=True)]


# ---------------------------------------------------------------------------------- products


def stacked(parts: list[Array], order: list[int]) -> Array:
    """Matrices (m, gates·units), one above the other → (gates, units, m): the transpose, with a
    matrix for each gate, in this order.
    """
    units = parts[0].shape[1] // len(order)
    out = np.empty((len(order), units, sum(len(k) for k in parts)), parts[0].dtype)
    for block, gate in zip(out, order, strict=True):
        np.concatenate([k[:, gate * units : (gate + 1) * units].T for k in parts], 1, out=block)
    return out


def gates_of(kernel: Array, order: list[int]) -> Array:
    """(m, gates·units) with the gates in this order, contiguous."""
    return kernel.reshape(len(kernel), len(order), -1)[:, order].reshape(kernel.shape)


def seen(weights: Array, v: Array, drop: Array | None, out: Array | None = None) -> Array:
    """weights[g] v of each gate: (gates, units, m) · (m, N); with dropout, of the v that each
    sees."""
    return np.matmul(weights, v if drop is None else v * drop, out=out)


def multiply_back(kernel: Array, dz: Array, drop: Array | None) -> Array:
    """dv = Σ_g kernel_g dz[g], for a kernel: (m, gates·units), perhaps `in_stripes`, and dz:
    (..., gates, units, N).
    """
    *steps, gates, units, batch = dz.shape
    m = kernel.size // (gates * units)
    if drop is None:
        dv = kernel @ dz.reshape(*steps, gates * units, batch)
        return dv.reshape(*steps, m, batch)
    parts = kernel.reshape(m, gates, units).swapaxes(0, 1)
    return ((parts @ dz) * drop).sum(-3)


def in_stripes(kernel: Array, batch: int) -> Array:
    """(m, width) → (stripes, m / stripes, width): a view, for products with (width, batch).

    OpenBLAS runs a product of at most a million terms as it stands, and copies the factors of a
    larger one first, which at these sizes takes a quarter of the time.
    """
    m, width = kernel.shape
    stripes = 1
    while m // stripes * width * batch > UNCOPIED and m % (2 * stripes) == 0:
        stripes *= 2
    return kernel.reshape(stripes, m // stripes, width)


def sum_over_time(v: Array, dz: Array, drop: Array | None) -> Array:
    """Σ_t v dzᵀ, a kernel's gradient: (m, gates, units) from (T, m, N) and (T, gates, units, N)."""
    steps, gates, units, batch = dz.shape
    if drop is not None:
        seen = [by_row(v * drop[g]) @ by_row(dz[:, g]).T for g in range(gates)]
        return np.stack(seen, axis=1)
    d = by_row(v) @ by_row(dz.reshape(steps, gates * units, batch)).T
    return d.reshape(len(d), gates, units)


def by_row(v: Array) -> Array:
    """(T, m, N) → (m, T·N)."""
    return v.swapaxes(0, 1).reshape(v.shape[1], v.shape[0] * v.shape[2])
