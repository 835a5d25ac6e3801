"""States that are images: how the loop over time lays them out."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import Positive, integers
from backprop.counts import Count, times
from backprop.input_spec import show_shape
from backprop.layer import InputSpec
from backprop.layers.recurrent.convolutions import Convolution
from backprop.layers.recurrent.loop import Recurrent, Tape
from backprop.layers.recurrent.products import BIAS, KERNEL, RECURRENT
from backprop.layers.recurrent.time import sequence_shape
from backprop.layers.windows import (
    Windows,
    shape_back,
    shape_last,
    standard_format,
    standard_padding,
)
from backprop.promises import short_for


class Images(Recurrent):
    """states[t] = step(x[t], states[t-1]), where products with kernels are convolutions.

        x: (N, T, sizes ..., C)    kernel: (size ..., C, gates·filters)    bias: (gates·filters,)
        recurrent_kernel: (size ..., filters, gates·filters)
        y: (N, counts ..., filters), or (N, T, counts ..., filters)

        in the loop    x: (T, N, sizes ..., C)    each state: (T + 1, N, counts ..., filters)

    For any number of `axes`. Dropout: one mask for all steps of a sequence and for each gate.
    """

    filters: Positive
    kernel_size: Any
    strides: Any = 1
    padding: str = "valid"
    data_format: Any = None
    dilation_rate: Any = 1

    axes = 2
    threads = False  # the convolutions have their own

    def __post_init__(self):
        who = type(self).__name__
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, integers(getattr(self, name), self.axes, who, name))
        self.padding = standard_padding(self.padding, who, ("valid", "same"))
        self.data_format = standard_format(self.data_format, who)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who} expects strides or dilation_rate to be 1, as Keras does, got "
                f"strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        ones = (1,) * self.axes
        self.windows = Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.own_windows = Windows(self.kernel_size, ones, "same", ones)  # of h₋: it keeps its size
        self.input_spec = InputSpec(ndim=self.axes + 3)

    def build(self, input_shape):
        input_shape = sequence_shape(input_shape)
        *sizes, channels = shape_last(self._one_step(input_shape), self.data_format)[1:]
        if None in sizes:
            raise ValueError(
                f"{self!r} keeps states as large as its images, so their sizes must be known; got "
                f"an input of {show_shape(input_shape[1:])}"
            )
        width = self.gates * self.filters
        self.make_weights(
            (*self.kernel_size, channels, width),
            (*self.kernel_size, self.filters, width),
            (width,),
        )
        self._counts = self.windows.counts(tuple(sizes))
        self.make_carry(input_shape)
        self.build_activations((None, *self._counts, self.filters))
        axes = range(2, self.axes + 3)
        self.input_spec = InputSpec(
            ndim=self.axes + 3, axes={axis: input_shape[axis] for axis in axes}
        )

    def state_shape(self, input_shape):
        n, *sizes, _ = shape_last(self._one_step(input_shape), self.data_format)
        counts = self.windows.counts(tuple(sizes))
        return tuple(shape_back((n, *counts, self.filters), self.data_format))

    @short_for("forward", "run")
    def multiply_adds(self, input_shape) -> Count:
        state = shape_last(self.state_shape(sequence_shape(input_shape)), self.data_format)
        return times(super().multiply_adds(input_shape), *state[1:-1])

    def check_input(self, shape):
        super().check_input(shape)
        sizes = shape_last(self._one_step(sequence_shape(shape)), self.data_format)[1:-1]
        if any(count is not None and count < 1 for count in self.windows.counts(tuple(sizes))):
            raise ValueError(
                f"{self!r} has a window larger than its input of {show_shape(shape[1:])}; take "
                "padding='same' or a smaller kernel_size"
            )

    # ------------------------------------------------------------------ the layout

    def to_loop(self, a):
        """(N, T, ...) in the format of the user → (T, N, ..., channels): a view."""
        a = a.swapaxes(0, 1)
        first = self.data_format == "channels_first"
        return np.moveaxis(a, -1 - self.axes, -1) if first else a

    def from_loop(self, a):
        a = a.swapaxes(0, 1)
        first = self.data_format == "channels_first"
        return np.moveaxis(a, -1, -1 - self.axes) if first else a

    def room(self, steps, batch, dtype):
        z = np.empty((steps, batch, *self._counts, self.gates, self.filters), dtype)
        return np.moveaxis(z, -2, 1)

    def lay_out(self, x, ctx, states):
        dtype = x.dtype
        found = [np.empty((len(x) + 1, *state.shape), dtype) for state in states]
        for state, start in zip(found, states, strict=True):
            state[0] = start
        drop = [  # for each gate, as Keras does here with x too
            self.drops(self.dropout, (self.gates, *x.shape[1:]), dtype, ctx),
            self.drops(self.recurrent_dropout, (self.gates, *states[0].shape), dtype, ctx),
        ]
        drop = [None if d is None else d[list(self.order)] for d in drop]
        tape = Tape(found, x, np.ascontiguousarray(x), drop=drop)
        self.connect(tape)
        tape.z = tape.of_x.forward(slice(None))
        return tape

    def connect(self, tape):
        drop_x, drop_h = tape.drop
        tape.of_x = self._convolution([KERNEL, BIAS], self.windows, tape.v, drop_x)
        tape.of_h = self._convolution([RECURRENT], self.own_windows, tape.states[0][:-1], drop_h)
        tape.sums = [tape.of_x, tape.of_h]

    def _convolution(self, names, windows, v, drop):
        return Convolution(self, names, self.filters, self.order, windows=windows, v=v, drop=drop)

    def see(self, tape, x, *, beside):
        yield slice(0, len(x))

    def _one_step(self, shape):
        return (shape[0], *shape[2:])
