"""What stands around the sums of every convolution: the format of the channels, the bias, the
activation, and the checks of arguments and shapes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from backprop.checks import integers
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Context, InputSpec, Layer
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.convolution.finish import Finish
from backprop.layers.windows import (
    Shape,
    Windows,
    channels_back,
    channels_last,
    in_order,
    put_back,
    shape_back,
    shape_last,
    standard_padding,
)
from backprop.linalg import and_sum
from backprop.masks import only_real
from backprop.tuning import BIAS_ROW

Array = np.ndarray


class Convolutional(Layer, kw_only=True, by_position=True):
    """y = activation(z + bias), where z is a sum over windows of x that a subclass writes.

        x: (N, sizes ..., C)    z, y: (N, sizes ..., filters)    bias: (filters,)

    Here are the parts that do not depend on it: dz comes from dy through the activation, and

        dbias = Σ_rows dz

    Under a mask of the steps of a sequence, x is 0 at the masked ones, whatever stands there; so
    is dx, as none of it reaches y. With strides a sequence moves forward by what the padding in
    front of it exceeds a number of strides, so that its windows are those that it has without
    padding. Images have no steps: a mask ends there.

    A subclass makes its kernels in `build_kernels`, knows the sizes of z by `sizes_of_z` and the
    channels of z by `channels_of_z`, and computes in `linear` and `linear_backward`.
    It declares `kernel_size`, `strides`, `padding`, `data_format` and `dilation_rate` itself, in
    the order in which they may be given by position.
    """

    makes_masks = False
    activation: ActivationLike = None
    use_bias: bool = True

    divides_batches = True
    axes = 2  # how many lie between the batch and the channels
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    changeable = ("activation",)

    def __post_init__(self):
        who = type(self).__name__
        self.kernel_size = integers(self.kernel_size, self.axes, who, "kernel_size")
        self.strides = integers(self.strides, self.axes, who, "strides")
        self.padding = standard_padding(self.padding, who, self.paddings)
        self.dilation_rate = integers(self.dilation_rate, self.axes, who, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who} expects strides or dilation_rate to be 1, as Keras does, got "
                f"strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.windows = Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.input_spec = InputSpec(ndim=self.axes + 2)

    def build(self, input_shape):
        channels = shape_last(input_shape, self.data_format)[-1]
        self.build_kernels(channels)
        if self.use_bias:
            self.bias, self.dbias = self.declared_param("bias", (self.channels_of_z(channels),))
        build_activation(self.activation, self._shape_of_z(input_shape))
        axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = InputSpec(ndim=self.axes + 2, axes={axis: channels})

    def compute_output_shape(self, input_shape):
        return self.activation.compute_output_shape(self._shape_of_z(input_shape))

    def check_input(self, shape):
        super().check_input(shape)
        self._shape_of_z(shape)

    def obeys_mask(self, x, mask):
        return self.axes == 1 or mask.ndim == 1

    @property
    def mask_caveat(self):
        return "" if self.axes > 1 or self.windows.anchored else self.windows.caveat

    def compute_mask(self, x, mask=None):
        if mask is None or mask.ndim == 1:
            return mask
        return self.mask_of_z(mask) if self.axes == 1 else None

    def forward(self, x, ctx=INFERENCE):
        x, real = channels_last(x, self.data_format), None
        if ctx.mask is not None and self.axes == 1:
            steps = self.real_steps(x, ctx.mask)
            ctx = ctx.with_mask(self.mask_of_z(steps))
            real = steps, self.windows.aligned(steps)[1]
            x = in_order(only_real(x, steps), real[1], 1)
        z, cache = self.linear(x, ctx, self.finish_sums)
        z = channels_back(z, self.data_format)
        if self.activation.finishes_parts:  # which `finish_sums` has done
            return z, (cache, z, real)
        y, a = self.activation.finish(z, ctx)
        return y, (cache, a, real)

    def finish_sums(self, z: Array) -> None:
        """Turn some of the sums, channels last, into z + bias, and into y where the activation can
        be applied part by part."""
        bias = None
        if self.use_bias:
            z, bias = with_long_rows(z, self.bias)
        if self.activation.finishes_parts:
            self.activation.finish(z, INFERENCE, bias)
        elif bias is not None:
            z += bias

    def backward_params(self, dy, cache):
        self.linear_backward(self._dz(dy, cache[1]), cache[0], False)

    def backward(self, dy, cache):
        linear, a, real = cache
        dx = self.linear_backward(self._dz(dy, a), linear, True)
        if real is not None:
            steps, order = real
            dx = only_real(put_back(dx, order, 1), steps)
        return channels_back(dx, self.data_format)

    def _dz(self, dy, a):
        """dz, channels last; sets dbias."""
        dbias = self.dbias if self.use_bias else None
        if self.data_format == "channels_last":
            return self.activation.backward_finish(dy, a, dbias)
        return and_sum(channels_last(self.activation.backward(dy, a), self.data_format), dbias)

    def _shape_of_z(self, input_shape):
        n, *sizes, channels = shape_last(input_shape, self.data_format)
        found = self.sizes_of_z(tuple(sizes))
        if any(size is not None and size < 1 for size in found):
            given = f"{self!r} has {{}} its input of {show_shape(input_shape[1:])}"
            if 0 in sizes:
                raise ValueError(given.format("no window to lay on") + ", which is empty")
            raise ValueError(self._too_small(given))
        return shape_back((n, *found, self.channels_of_z(channels)), self.data_format)

    def places_of_z(self, input_shape: Shape) -> Shape:
        """How many sums there are along each axis."""
        return shape_last(self._shape_of_z(input_shape), self.data_format)[1:-1]

    def _too_small(self, given: str) -> str:
        """What to say about an input that gives no output; `given` has a place for the fault."""
        advice = "; take padding='same' or a smaller kernel_size"
        return given.format("a window larger than") + advice

    def advice(self, shape) -> str:
        missing = len(shape) == self.axes + 1
        return "; add the axis of the channels: x[..., None]" if missing else ""

    # ----------------------------------------------------------------------- what a subclass writes

    def build_kernels(self, channels: int | None) -> None:
        """Make the kernels for an input of so many channels."""
        raise TypeError(f"{type(self).__name__} has no build_kernels(self, channels): write one")

    def sizes_of_z(self, sizes: Shape) -> Shape:
        """Of x: (N, sizes ..., C) → of z. Default: the number of windows along each axis."""
        return self.windows.counts(sizes)

    def mask_of_z(self, real: Array) -> Array:
        """Along one axis: of x: (N, T) → of z. Default: the windows that are real."""
        return self.windows.mask(real)

    def channels_of_z(self, channels: int | None) -> int | None:
        """Channels of x → channels of z."""
        raise TypeError(f"{type(self).__name__} has no channels_of_z(self, channels): write one")

    def linear(self, x: Array, ctx: Context, finish: Finish) -> tuple[Array, Any]:
        """The sums, channels last like x, and what `linear_backward` needs.

        `finish` must be given each number of the sums once, in arrays (..., channels); other
        numbers may be beside them.
        """
        raise TypeError(f"{type(self).__name__} has no linear(self, x, ctx, finish): write one")

    def linear_backward(self, dz: Array, cache: Any, dx: bool) -> Any:
        """Set the gradients of the kernels; dL/dx if `dx`."""
        raise TypeError(
            f"{type(self).__name__} has no linear_backward(self, dz, cache, dx): write one"
        )


def with_long_rows(z: Array, bias: Array) -> tuple[Array, Array]:
    """z: (..., n, filters) with its last two axes as one, and the bias n times, as far as rows are
    short: NumPy adds row by row, and is slow then."""
    n = z.shape[-2]
    if n * bias.size > BIAS_ROW or not z.flags.c_contiguous:
        return z, bias
    return z.reshape(*z.shape[:-2], n * bias.size), bias[None].repeat(n, 0).ravel()
