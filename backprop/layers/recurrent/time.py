"""What every layer with a state shares: arguments, the order of the steps, masks, kept states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.defaults import floatx
from backprop.input_spec import Shape
from backprop.layer import INFERENCE, PREDICT, Array, Context, Layer
from backprop.nest import as_tuple, leaves, several, shapes


class FromStates(Layer):
    """A layer of a sequence, which a call may give the first states as well."""

    stateful = False
    call_inputs = ("sequences", "initial_state")

    def gather(self, sequences=None, initial_state=None, *, mask=None, **named):
        """What a call gives: x, and where it starts.

        Parameters
        ----------
        sequences : array_like of shape (N, T, ...)
            x; or a tuple of it and the first states.
        initial_state : array or list of arrays, optional
            The first states: one for each, such as (N, units), what a layer with `return_state`
            returned behind y, or `states` of a stateful one. Default: zeros, or with `stateful`
            those that were kept.
        training : bool, default False
        mask : array_like of bool, (N, T), optional
        """
        x, mask, options = super().gather(sequences, mask=mask, **named)
        if initial_state is not None:
            x = (*as_tuple(x), *leaves(initial_state))
        if type(x) is tuple and mask is not None:
            mask = (*as_tuple(mask), *[None] * (len(x) - len(as_tuple(mask))))
        return x, mask, options

    def _meet(self, x, given):
        if self.stateful and not self.built:
            self.build(shapes(x))  # with the size of the batch, whose states are kept
        super()._meet(x, given)


class Run(Layer, kw_only=True, by_position=True):
    """The arguments of a run through time, in Keras' order."""

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    _: KW_ONLY
    zero_output_for_mask: bool = False


class OverTime(Run, FromStates, kw_only=True, by_position=True):
    """states[t] = step(x[t], states[t-1]), and y is the first of the states, at the end or always.

        x: (N, T, ...), or with the first states (x, *states)    each state: (N, ...)
        y: (N, ...) or (N, T, ...), or with return_state (y, *states), the last ones

    At a masked step the states stay what they were, so their gradients pass it by unchanged. The
    mask of all outputs stands in their order: reversed, where going backwards reverses them. States
    have none.
    """

    makes_masks = False
    state_count = 1
    # of a `Bidirectional`, which sets it: with return_sequences y stands in the order of x even
    # when going backwards
    in_order_of_x = False

    changeable = ("zero_output_for_mask",)

    def compute_mask(self, x, mask=None):
        mask = as_tuple(mask)[0]
        if mask is not None and mask.ndim > 1:
            mask = self.outputs_in_order(self.in_order(mask)) if self.return_sequences else None
        return self.with_states(mask, [None] * self.state_count)

    def compute_output_shape(self, input_shape):
        shape = sequence_shape(input_shape)
        y = self.step_shape(shape)
        y = (y[0], shape[1], *y[1:]) if self.return_sequences else y
        return self.with_states(y, self.state_shapes(shape))

    def check_input(self, shape):
        shape, *states = shape if several(shape) else (shape,)
        super().check_input(shape)
        if states:
            check_states(self, states, self.state_shapes(shape))

    @property
    def channels_first(self):
        return False  # of each step perhaps; the steps are in front of them

    # ------------------------------------------------------------------ states

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """The states that a sequence starts from if it is given none: zeros, one for each."""
        around = sequence_shape(self.build_shape)[1:] if self.build_shape else ()
        shapes = self.state_shapes((batch_size, *around))
        return [np.zeros(shape, self.dtype or floatx()) for shape in shapes]

    def run(self, x: Array, ctx: Context, states: list[Array]) -> tuple[Array, list[Array], Any]:
        """y, the last states and a cache, from these states, each (N, ...); a subclass writes
        it."""
        raise TypeError(f"{type(self).__name__} has no run(self, x, ctx, states): write one")

    def run_back(self, dy: Any, dstates: list[Array], cache: Any, /) -> tuple[Array, list[Array]]:
        """dx and the gradients of the first states, from dy and those of the last ones, or from
        none of these; a subclass writes it."""
        raise TypeError(
            f"{type(self).__name__} has no run_back(self, dy, dstates, cache): write one"
        )

    def forward(self, x, ctx=INFERENCE) -> Any:
        x, *given = as_tuple(x)
        mask = as_tuple(ctx.mask)[0]
        ctx = ctx if mask is ctx.mask else ctx.with_mask(mask)
        y, states, cache = self.run(x, ctx, given or self.initial_states(x))
        y = self.with_states(y, [state.copy() for state in states]) if self.return_state else y
        return y, (cache, bool(given))

    def backward(self, dy, cache) -> Any:
        dy, *dstates = as_tuple(dy)
        cache, given = cache
        dx, dstates = self.run_back(dy, dstates, cache)
        return (dx, *dstates) if given else dx

    def with_states(self, y: Any, states: Sequence[Any]) -> Any:
        """What is said of y, and with `return_state` of the states too."""
        return (y, *states) if self.return_state else y

    @property
    def states(self) -> list[Array] | None:
        """What a stateful layer keeps, an array of (N, ...) for each state; None if nothing."""
        return self.kept_states() if self.stateful and self.built else None

    @property
    def fixed_rows(self) -> int | None:
        """The number of sequences whose states a stateful layer keeps."""
        return len(self.kept_states()[0]) if self.stateful and self.built else None

    def make_carry(self, input_shape: Shape) -> None:
        """Where a stateful layer keeps its states, for sequences of this shape."""
        if self.stateful:
            if input_shape[0] is None:
                raise ValueError(
                    f"{self!r} is stateful: the size of the batch must be known when it is built; "
                    "say it by Input(batch_shape=(batch, time, features))"
                )
            self.carry = self.state("carry", self.carry_shape(self.state_shapes(input_shape)))

    def initial_states(self, x: Array) -> list[Array]:
        """Those that were kept, or else those of a fresh sequence."""
        if not self.stateful:
            return self.fresh_states(x)
        kept = self.kept_states()
        if len(kept[0]) != len(x):
            raise ValueError(
                f"{self!r} is stateful: it keeps the states of {len(kept[0])} sequences and "
                f"got a batch of {len(x)}; give batches of one size"
            )
        return [state.copy() for state in kept]

    def fresh_states(self, x: Array) -> list[Array]:
        return [np.zeros(shape, x.dtype) for shape in self.state_shapes(x.shape)]

    def step_shape(self, input_shape: Shape) -> Shape:
        """Of y at one step, for a sequence of this shape. Default: that of the first state."""
        return self.state_shapes(input_shape)[0]

    def state_shapes(self, input_shape: Shape) -> list[Shape]:
        """Of each state for a sequence of this shape, both with the batch; a subclass writes it."""
        raise TypeError(f"{type(self).__name__} has no state_shapes(self, input_shape): write one")

    def carry_shape(self, shapes: list[Shape]) -> Shape:
        """Of the array that holds states of these shapes. Default: of one shape, side by side."""
        return (len(shapes), *shapes[0])

    def kept_states(self) -> list[Array]:
        """The states in `carry`: views."""
        return list(self.carry)

    def keep(self, states: list[Array]) -> None:
        """Write the states into `carry`."""
        self.carry = np.stack(states)

    # ------------------------------------------------------------------ time, masks, dropout

    def in_order(self, x: Array) -> Array:
        """(N, T, ...) in the order of processing; a view, and its own inverse."""
        return x[:, ::-1] if self.go_backwards else x

    def outputs_in_order(self, y: Array) -> Array:
        """All outputs from the order of processing to that in which they are given, or back."""
        return self.in_order(y) if self.in_order_of_x else y

    def masked_steps(self, x: Array, ctx: Context) -> Array | None:
        """(N, T), True where a step changes nothing, in the order of processing."""
        if ctx.mask is None:
            return None
        real = self.real_steps(x, ctx.mask)
        return None if real.all() else self.in_order(~real)

    # ------------------------------------------------------------------ a few steps at a time

    @property
    def can_step(self):
        return self.return_sequences and not self.go_backwards and not self.stateful

    @property
    def can_step_query(self) -> bool:
        """Whether it can go step by step from first states."""
        return self.can_step

    def remember(self, *states, mask=None) -> list[Array]:
        """What `step` begins with: first states."""
        return list(states)

    def step(self, x, memory):
        x, *given = as_tuple(x)
        y, states, _ = self.run(x, PREDICT, memory or given or self.initial_states(x))
        return self.with_states(y, states), states


def sequence_shape(shape: Shape) -> Shape:
    """Of a sequence, where it may stand alone or before its first states."""
    return shape[0] if several(shape) else shape


def check_states(layer: Layer, states: Sequence[Shape], wanted: Sequence[Shape]) -> None:
    """Raise unless the states that a layer is given have the shapes that it wants."""
    if len(states) != len(wanted) or not all(map(fits, states, wanted)):
        shapes = dict.fromkeys(map(str, wanted))  # each once
        raise ValueError(
            f"{layer!r} expects states, or an initial_state, of {len(wanted)} array"
            f"{'s' * (len(wanted) > 1)} of shape {' and '.join(shapes)}, got "
            f"{', '.join(map(str, states)) or 'none'}"
        )


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether two shapes agree where both are known."""
    return len(shape) == len(wanted) and all(
        None in (have, want) or have == want for have, want in zip(shape, wanted, strict=True)
    )
