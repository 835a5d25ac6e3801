"""What every layer with a state shares: arguments, the order of the steps, masks, kept states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Fraction
from backprop.constraints import ConstraintLike
from backprop.defaults import floatx
from backprop.initializers import InitializerLike
from backprop.input_spec import Shape
from backprop.layer import INFERENCE, Array, Context, Layer
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.kernels import KernelAndBias
from backprop.nest import as_tuple, each, several
from backprop.regularizers import RegularizerLike


class Run(Layer, kw_only=True, by_position=True):
    """The arguments of a run through time, in Keras' order."""

    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Any = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    _: KW_ONLY
    zero_output_for_mask: bool = False


class OverTime(KernelAndBias, Run, kw_only=True, by_position=True):
    """states[t] = step(x[t], states[t-1]), and y is the first of the states, at the end or always.

        x: (N, T, ...), or with the first states (x, *states)    each state: (N, ...)
        y: (N, ...) or (N, T, ...), or with return_state (y, *states), the last ones

    At a masked step the states stay what they were, so their gradients pass it by unchanged. The
    mask of all outputs stands in their order: reversed, where going backwards reverses them. States
    have none.
    """

    activation: ActivationLike = "tanh"
    use_bias: bool = True
    recurrent_initializer: InitializerLike = argument(
        default="orthogonal", after="kernel_initializer"
    )
    recurrent_regularizer: RegularizerLike = argument(default=None, after="kernel_regularizer")
    recurrent_constraint: ConstraintLike = argument(default=None, after="kernel_constraint")

    gates = 1
    state_count = 1
    # of a `Bidirectional`, which sets it: with return_sequences y stands in the order of x even
    # when going backwards
    in_order_of_x = False

    changeable = ("dropout", "recurrent_dropout", "zero_output_for_mask")
    call_inputs = ("sequences", "initial_state")

    def compute_mask(self, x, mask):
        mask = as_tuple(mask)[0]
        if mask is not None and mask.ndim > 1:
            mask = self.outputs_in_order(self.in_order(mask)) if self.return_sequences else None
        return self.with_states(mask, [None] * self.state_count)

    def compute_output_shape(self, input_shape):
        shape = sequence_shape(input_shape)
        state = self.state_shape(shape)
        y = (shape[0], shape[1], *state[1:]) if self.return_sequences else state
        return self.with_states(y, [state] * self.state_count)

    def check_input(self, shape):
        shape, *states = shape if several(shape) else (shape,)
        super().check_input(shape)
        if states:
            self.check_states(shape, states)

    @property
    def channels_first(self):
        return False  # of each step perhaps; the steps are in front of them

    # ------------------------------------------------------------------ weights

    def make_weights(
        self, kernel: Sequence[int | None], recurrent: Sequence[int], bias: Sequence[int]
    ) -> None:
        """The three arrays, of these shapes."""
        self.kernel, self.dkernel = self.declared_param("kernel", kernel)
        self.recurrent_kernel, self.drecurrent_kernel = self.param(
            "recurrent_kernel",
            recurrent,
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias, self.dbias = self.declared_param("bias", bias)

    def build_activation(self, function: Layer, shape: tuple[int | None, ...]) -> None:
        """Build one for a state of this shape, and refuse what does not fit into every step."""
        build_activation(function, shape, within=type(self).__name__)
        if function.arrays():
            raise ValueError(
                f"{type(self).__name__} applies {function!r} at every step, so it may not have "
                "parameters"
            )

    # ------------------------------------------------------------------ states

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
            x = (*as_tuple(x), *states_in(initial_state))
        if type(x) is tuple and mask is not None:
            mask = (*as_tuple(mask), *[None] * (len(x) - len(as_tuple(mask))))
        return x, mask, options

    def compute(self, x, training, mask):
        if self.stateful and not self.built:
            self.build(each(np.shape, x))  # with the size of the batch, whose states are kept
        return super().compute(x, training, mask)

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """The states that a sequence starts from if it is given none: zeros, one for each."""
        around = sequence_shape(self.build_shape)[1:] if self.built else ()
        shape = self.state_shape((batch_size, *around))
        return [np.zeros(shape, self.dtype or floatx()) for _ in range(self.state_count)]

    def run(self, x: Array, ctx: Context, states: list[Array]) -> tuple[Array, list[Array], Any]:
        """y, the last states and a cache, from these states, each (N, ...); a subclass writes
        it."""
        raise TypeError(f"{type(self).__name__} has no run(self, x, ctx, states): write one")

    def run_back(self, dy: Array, dstates: list[Array], cache: Any) -> tuple[Array, list[Array]]:
        """dx and the gradients of the first states, from dy and those of the last ones, or from
        none of these; a subclass writes it."""
        raise TypeError(
            f"{type(self).__name__} has no run_back(self, dy, dstates, cache): write one"
        )

    def forward(self, x, ctx=INFERENCE):
        x, *given = as_tuple(x)
        mask = as_tuple(ctx.mask)[0]
        ctx = ctx if mask is ctx.mask else ctx.with_mask(mask)
        y, states, cache = self.run(x, ctx, given or self._initial_states(x))
        return self.with_states(y, states), (cache, bool(given))

    def backward(self, dy, cache):
        dy, *dstates = as_tuple(dy)
        cache, given = cache
        dx, dstates = self.run_back(dy, dstates, cache)
        return (dx, *dstates) if given else dx

    def with_states(self, y: Any, states: Sequence[Any]) -> Any:
        """What is said of y, and with `return_state` of the states too."""
        return (y, *states) if self.return_state else y

    def check_states(self, shape: Shape, states: Sequence[Shape]) -> None:
        """Raise unless these are the shapes of the states for a sequence of this shape."""
        wanted = self.state_shape(shape)
        if len(states) != self.state_count or not all(fits(s, wanted) for s in states):
            raise ValueError(
                f"{self!r} expects an initial_state of {self.state_count} array"
                f"{'s' * (self.state_count > 1)} of shape {wanted}, got "
                f"{', '.join(map(str, states))}"
            )

    @property
    def states(self) -> list[Array] | None:
        """What a stateful layer keeps, an array of (N, ...) for each state; None if nothing."""
        return list(self.carry) if self.stateful and self.built else None

    @property
    def fixed_rows(self) -> int | None:
        """The number of sequences whose states a stateful layer keeps."""
        return self.carry.shape[1] if self.stateful and self.built else None

    def make_carry(self, input_shape: Shape) -> None:
        """Where a stateful layer keeps its states, for sequences of this shape."""
        if self.stateful:
            if input_shape[0] is None:
                raise ValueError(
                    f"{self!r} is stateful: the size of the batch must be known when it is built; "
                    "say it by Input(batch_shape=(batch, time, features))"
                )
            self.carry = self.state("carry", (self.state_count, *self.state_shape(input_shape)))

    def state_shape(self, input_shape: Shape) -> Shape:
        """Of each state for a sequence of this shape, both with the batch; a subclass writes it."""
        raise TypeError(f"{type(self).__name__} has no state_shape(self, input_shape): write one")

    def _initial_states(self, x):
        if not self.stateful:
            shape = self.state_shape(x.shape)
            return [np.zeros(shape, x.dtype) for _ in range(self.state_count)]
        if self.carry.shape[1] != len(x):
            raise ValueError(
                f"{self!r} is stateful: it keeps the states of {self.carry.shape[1]} sequences and "
                f"got a batch of {len(x)}; give batches of one size"
            )
        return list(self.carry.copy())

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

    def draw(self, rate: float, shape: tuple[int, ...], dtype, ctx: Context) -> Array | None:
        """What multiplies x or h₋ of this shape, at all steps; None for nothing."""
        if not ctx.training or not rate:
            return None
        kept = (self.rng.random(shape) >= rate).astype(dtype)
        if rate < 1:  # at 1 nothing is left that could be scaled up
            kept /= dtype.type(1 - rate)
        return kept


def sequence_shape(shape: Shape) -> Shape:
    """Of a sequence, where it may stand alone or before its first states."""
    return shape[0] if several(shape) else shape


def states_in(given: Any) -> list[Any]:
    """An `initial_state` as a list; a single state may be given bare."""
    return list(given) if isinstance(given, list | tuple) else [given]


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether two shapes agree where both are known."""
    return len(shape) == len(wanted) and all(
        None in (have, want) or have == want for have, want in zip(shape, wanted, strict=True)
    )
