"""The weights of recurrent layers and cells, and what dropout draws for them."""

from __future__ import annotations

from collections.abc import Sequence

from backprop.arguments import argument
from backprop.checks import Fraction
from backprop.constraints import ConstraintLike
from backprop.initializers import InitializerLike
from backprop.initializers.draws import Seed
from backprop.layer import Array, Context, Layer
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.kernels import KernelAndBias
from backprop.regularizers import RegularizerLike


class Weighted(KernelAndBias, kw_only=True, by_position=True):
    """A kernel for x, one for the state, and a bias, each for all gates side by side."""

    activation: ActivationLike = "tanh"
    use_bias: bool = True
    recurrent_initializer: InitializerLike = argument(
        default="orthogonal", after="kernel_initializer"
    )
    recurrent_regularizer: RegularizerLike = argument(default=None, after="kernel_regularizer")
    recurrent_constraint: ConstraintLike = argument(default=None, after="kernel_constraint")

    gates = 1

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


class FourGates(Weighted, kw_only=True, by_position=True):
    """The weights of an LSTM, whatever its states are."""

    recurrent_activation: ActivationLike = argument(default="sigmoid", after="activation")
    unit_forget_bias: bool = argument(default=True, after="bias_initializer")

    gates = 4

    def make_weights(self, kernel, recurrent, bias):
        super().make_weights(kernel, recurrent, bias)
        if self.use_bias and self.unit_forget_bias:
            self.bias.reshape(4, -1)[1] = 1


class Dropping(Layer, kw_only=True, by_position=True):
    """What is dropped of x and of the state, the same at all steps of a sequence."""

    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Seed = None

    def drops(self, rate: float, shape: tuple[int, ...], dtype, ctx: Context) -> Array | None:
        """What multiplies x or h₋ of this shape, at all steps; None for nothing."""
        if not ctx.training or not rate:
            return None
        kept = (self.rng.random(shape) >= rate).astype(dtype)
        if rate < 1:  # at 1 nothing is left that could be scaled up
            kept /= dtype.type(1 - rate)
        return kept
