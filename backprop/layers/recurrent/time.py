"""What every layer with a state shares: arguments, the order of the steps, masks, kept states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Fraction
from backprop.constraints import ConstraintLike
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, Array, Context, Layer
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.kernels import KernelAndBias
from backprop.regularizers import RegularizerLike


def no_state(value: Any, who: str, name: str) -> Any:
    if value:
        raise ValueError(
            f"{who} gives one array: return_state=True is for graphs of layers, which backprop "
            "does not have. Use return_sequences=True for the outputs of all steps, or "
            "stateful=True, whose states are layer.carry"
        )
    return value


class Run(Layer, kw_only=True, by_position=True):
    """The arguments of a run through time, in Keras' order."""

    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Any = None
    return_sequences: bool = False
    return_state: Annotated[bool, Convert(no_state)] = False
    go_backwards: bool = False
    stateful: bool = False
    _: KW_ONLY
    zero_output_for_mask: bool = False


class OverTime(KernelAndBias, Run, kw_only=True, by_position=True):
    """states[t] = step(x[t], states[t-1]), and y is the first of the states, at the end or always.

        x: (N, T, ...)    y: (N, ...) or (N, T, ...)

    At a masked step the states stay what they were, so their gradients pass it by unchanged. The
    mask of all outputs stands in their order: reversed, where going backwards reverses them.
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

    def compute_mask(self, x, mask):
        if mask is None or mask.ndim == 1:
            return mask
        return self.outputs_in_order(self.in_order(mask)) if self.return_sequences else None

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

    def __call__(
        self,
        sequences,
        training: bool = False,
        mask: Array | None = None,
        initial_state: Any = None,
    ) -> Array:
        """y for x, from zeros, from the states that were kept, or from those that are given.

        Parameters
        ----------
        sequences : array_like of shape (N, T, ...)
            x.
        training : bool, default False
        mask : array_like of bool, (N, T), optional
        initial_state : array or list of arrays, optional
            One for each state, such as (N, units), or `carry` of a stateful layer. For a run by
            hand: inside a model, and for gradients, states start at zeros or are kept by
            ``stateful=True``.
        """
        if self.stateful and not self.built:
            self.build(np.shape(sequences))  # with the size of the batch, whose states are kept
        if initial_state is None:
            return super().__call__(sequences, training, mask)
        x = self.cast(np.asarray(sequences))
        self.build((None, *x.shape[1:]))
        self.check_input(x.shape)
        states = self._given_states(x, initial_state)
        mask = None if mask is None else self.fit_mask(mask, x.shape)
        return self.run(x, Context(training, mask, backward=False), states)[0]

    def run(self, x: Array, ctx: Context, states: list[Array]) -> tuple[Array, Any]:
        """`forward` from these states, each (N, ...); a subclass writes it."""
        raise TypeError(f"{type(self).__name__} has no run(self, x, ctx, states): write one")

    def forward(self, x, ctx=INFERENCE):
        return self.run(x, ctx, self._initial_states(x))

    @property
    def states(self) -> list[Array] | None:
        """What a stateful layer keeps, an array of (N, ...) for each state; None if nothing."""
        return list(self.carry) if self.stateful and self.built else None

    @property
    def fixed_rows(self) -> int | None:
        """The number of sequences whose states a stateful layer keeps."""
        return self.carry.shape[1] if self.stateful and self.built else None

    def make_carry(self, input_shape, shape: Sequence[int | None]) -> None:
        """Where a stateful layer keeps its states, each of this shape for each sequence."""
        if self.stateful:
            if input_shape[0] is None:
                raise ValueError(
                    f"{self!r} is stateful: the size of the batch must be known when it is built; "
                    "say it by Input(batch_shape=(batch, time, features))"
                )
            self.carry = self.state("carry", (self.state_count, input_shape[0], *shape))

    def state_shape(self) -> tuple[int, ...]:
        """Of a state of one sequence; a subclass writes it."""
        raise TypeError(f"{type(self).__name__} has no state_shape(self): write one")

    def _initial_states(self, x):
        if not self.stateful:
            shape = (len(x), *self.state_shape())
            return [np.zeros(shape, x.dtype) for _ in range(self.state_count)]
        if self.carry.shape[1] != len(x):
            raise ValueError(
                f"{self!r} is stateful: it keeps the states of {self.carry.shape[1]} sequences and "
                f"got a batch of {len(x)}; give batches of one size"
            )
        return list(self.carry.copy())

    def _given_states(self, x, given):
        shape = (len(x), *self.state_shape())
        one = isinstance(given, np.ndarray) and given.ndim == len(shape)
        states = [given] if one else list(given)
        states = [np.array(state, x.dtype) for state in states]
        if [state.shape for state in states] != [shape] * self.state_count:
            raise ValueError(
                f"{self!r} expects an initial_state of {self.state_count} array"
                f"{'s' * (self.state_count > 1)} of shape {shape}, got "
                f"{', '.join(str(state.shape) for state in states) or 'none'}"
            )
        return states

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
