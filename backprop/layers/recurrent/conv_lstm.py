"""LSTMs whose products are convolutions: their states are images, volumes or sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop.checks import integer, integers
from backprop.input_spec import show_shape
from backprop.layer import Array, InputSpec
from backprop.layers.activations import layer_of
from backprop.layers.convolution.products import correlate, input_gradient, kernel_gradient
from backprop.layers.recurrent.inplace import InPlace, in_place
from backprop.layers.recurrent.time import OverTime
from backprop.layers.windows import (
    Windows,
    channels_back,
    channels_last,
    shape_back,
    shape_last,
    standard_format,
    standard_padding,
)
from backprop.linalg import sum_rows
from backprop.masks import only_real


class ConvLSTM(OverTime):
    """c = f c₋ + i g and h = o activation(c), where the gates come from convolutions of x and h₋.

        x: (N, T, sizes ..., C)    kernel: (size ..., C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (size ..., filters, 4 filters)
        i, f, g, o, c, h: (N, counts ..., filters)

    For any number of axes; `ConvLSTM2D` has the parameters, `LSTM` the derivation of a step.
    """

    axes = 2
    gates = 4
    state_count = 2

    def __init__(
        self,
        filters,
        kernel_size,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs,
    ):
        super().__init__(
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            **kwargs,
        )
        who = type(self).__name__
        self.filters = integer(filters, who, "filters")
        self.kernel_size = integers(kernel_size, self.axes, who, "kernel_size")
        self.strides = integers(strides, self.axes, who, "strides")
        self.padding = standard_padding(padding, who, ("valid", "same"))
        self.data_format = standard_format(data_format, who)
        self.dilation_rate = integers(dilation_rate, self.axes, who, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who} expects strides or dilation_rate to be 1, as Keras does, got "
                f"strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.recurrent_activation = layer_of(recurrent_activation or "linear")
        self.unit_forget_bias = unit_forget_bias
        ones = (1,) * self.axes
        self.windows = Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.own_windows = Windows(self.kernel_size, ones, "same", ones)  # of h₋: it keeps its size
        self.input_spec = InputSpec(ndim=self.axes + 3)

    def build(self, input_shape):
        self.check_input(input_shape)
        *sizes, channels = shape_last(self._one_step(input_shape), self.data_format)[1:]
        if None in sizes:
            raise ValueError(
                f"{self!r} keeps states as large as its images, so their sizes must be known; got "
                f"an input of {show_shape(input_shape[1:])}"
            )
        width = 4 * self.filters
        self.make_weights(
            (*self.kernel_size, channels, width),
            (*self.kernel_size, self.filters, width),
            (width,),
        )
        if self.use_bias and self.unit_forget_bias:
            self.bias[self.filters : 2 * self.filters] = 1
        self._counts = self.windows.counts(tuple(sizes))
        self.make_carry(input_shape, self.state_shape())
        for function in self.sublayers():
            self.build_activation(function, (None, *self.state_shape()))
        self._squash: InPlace = in_place(self.activation, axis=-1)
        self._gate: InPlace = in_place(self.recurrent_activation, axis=-1)
        axes = range(2, self.axes + 3)
        self.input_spec = InputSpec(
            ndim=self.axes + 3, axes={axis: input_shape[axis] for axis in axes}
        )

    def compute_output_shape(self, input_shape):
        n, *sizes, _ = shape_last(self._one_step(input_shape), self.data_format)
        y = shape_back((n, *self.windows.counts(tuple(sizes)), self.filters), self.data_format)
        return (n, input_shape[1], *y[1:]) if self.return_sequences else tuple(y)

    def check_input(self, shape):
        super().check_input(shape)
        sizes = shape_last(self._one_step(shape), self.data_format)[1:-1]
        if any(count is not None and count < 1 for count in self.windows.counts(tuple(sizes))):
            raise ValueError(
                f"{self!r} has a window larger than its input of {show_shape(shape[1:])}; take "
                "padding='same' or a smaller kernel_size"
            )

    def state_shape(self):
        return (*self._counts, self.filters)

    def run(self, x, ctx, states):
        n, steps, held = len(x), x.shape[1], self.masked_steps(x, ctx)
        if held is not None:
            x = only_real(x, ctx.mask)  # else dz = 0 there would meet whatever x is
        x = channels_last(by_step(self.in_order(x)), self.data_format)
        drop = self._drop(self.dropout, (n, *x.shape[1:]), x.dtype, ctx)
        recurrent_drop = self._drop(self.recurrent_dropout, states[0].shape, x.dtype, ctx)
        z = convolve(x, self.kernel, self.windows, drop)
        if self.use_bias:
            z += self.bias
        z = z.reshape(steps, n, *z.shape[1:])
        h, c = (np.empty((steps + 1, *state.shape), x.dtype) for state in states)
        h[0], c[0] = states
        s, caches = np.empty_like(c[1:]), []
        for t in range(steps):
            z[t] += convolve(h[t], self.recurrent_kernel, self.own_windows, recurrent_drop)
            i, f, g, o = self.parts_of(z[t])
            a_if = self._gate.value(z[t][..., : 2 * self.filters], z[t][..., : 2 * self.filters])
            a_g, a_o = self._squash.value(g, out=g), self._gate.value(o, out=o)
            np.multiply(f, c[t], out=c[t + 1])
            c[t + 1] += i * g
            a_s = self._squash.value(c[t + 1], out=s[t])
            np.multiply(o, s[t], out=h[t + 1])
            if held is not None:
                here = along(held[:, t], h[t])
                np.copyto(h[t + 1], h[t], where=here)
                np.copyto(c[t + 1], c[t], where=here)
            caches.append((a_if, a_g, a_o, a_s) if ctx.backward else None)
        if self.stateful:
            self.carry = np.stack([h[-1], c[-1]])
        cache = x, z, h, c, s, held, drop, recurrent_drop, caches
        return self._output(h, held), cache

    def _output(self, h, held):
        if not self.return_sequences:
            return channels_back(h[-1], self.data_format).copy()
        y = h[1:].swapaxes(0, 1).copy()
        if self.zero_output_for_mask and held is not None:
            y[held] = 0
        y = self.outputs_in_order(y)
        return y if self.data_format == "channels_last" else np.moveaxis(y, -1, 2)

    def through_time(self, dy: Array, cache: Any) -> Array:
        """dz of all steps: (T, N, counts ..., 4 filters)."""
        _, z, h, c, s, held, _, drop, caches = cache
        dz = np.empty_like(z)
        dh, dc = np.zeros_like(h[0]), np.zeros_like(h[0])
        dys = np.zeros_like(h[1:])
        if self.return_sequences:
            dy = dy if self.data_format == "channels_last" else np.moveaxis(dy, 2, -1)
            dys[...] = self.outputs_in_order(dy).swapaxes(0, 1)
            if self.zero_output_for_mask and held is not None:
                dys[held.T] = 0
        else:
            dh += channels_last(dy, self.data_format)
        for t in reversed(range(len(z))):
            dh += dys[t]
            real = None if held is None else ~along(held[:, t], dh)
            passing = None if real is None else (dh * ~real, dc * ~real)
            if real is not None:
                dh, dc = dh * real, dc * real
            i, f, g, o = self.parts_of(z[t])
            di, df, dg, do = self.parts_of(dz[t])
            a_if, a_g, a_o, a_s = caches[t]
            through_h = dh * o
            self._squash.back(through_h, s[t], a_s)
            dc += through_h
            np.multiply(dc, g, out=di)
            np.multiply(dc, c[t], out=df)
            np.multiply(dc, i, out=dg)
            np.multiply(dh, s[t], out=do)
            both = slice(0, 2 * self.filters)
            self._gate.back(dz[t][..., both], z[t][..., both], a_if)
            self._squash.back(dg, g, a_g)
            self._gate.back(do, o, a_o)
            dc *= f
            dh = convolve_back(dz[t], self.recurrent_kernel, self.own_windows, h.shape[2:-1], drop)
            if passing is not None:
                dh, dc = dh + passing[0], dc + passing[1]
        return dz

    def backward_params(self, dy, cache):
        self._gradients(dy, cache)

    def _gradients(self, dy, cache):
        """Set the gradients, and return dz of all steps as one batch."""
        x, _, h, _, _, _, drop, recurrent_drop, _ = cache
        dz = self.through_time(dy, cache)
        flat, before = rows_of(dz), rows_of(h[:-1])
        sum_over_time(x, flat, self.windows, drop, self.dkernel)
        sum_over_time(before, flat, self.own_windows, recurrent_drop, self.drecurrent_kernel)
        if self.use_bias:
            self.dbias = sum_rows(dz)
        return flat

    def backward(self, dy, cache):
        x, z, drop = cache[0], cache[1], cache[6]
        steps, n = z.shape[:2]
        dz = self._gradients(dy, cache)
        dx = convolve_back(dz, self.kernel, self.windows, x.shape[1:-1], drop)
        dx = channels_back(dx, self.data_format)
        return self.in_order(dx.reshape(steps, n, *dx.shape[1:]).swapaxes(0, 1))

    def parts_of(self, z: Array) -> Iterator[Array]:
        """The four parts of z, as views."""
        return (z[..., k * self.filters : (k + 1) * self.filters] for k in range(4))

    def _drop(self, rate, shape, dtype, ctx):
        """For each gate, as Keras does here with x too: (4, *shape)."""
        if not ctx.training or not rate:
            return None
        kept = (self.rng.random((4, *shape)) >= rate).astype(dtype)
        if rate < 1:
            kept /= dtype.type(1 - rate)
        return kept

    def _one_step(self, shape):
        return (shape[0], *shape[2:])


class ConvLSTM1D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), place by place; ₋ marks the step before.

        x: (N, T, L, C)    kernel: (k, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (k, filters, 4 filters)    y: (N, I, filters) or (N, T, I, filters)

    As `ConvLSTM2D`, with one axis in the place of two: dz of a step as in `LSTM`, and from it the
    derivatives of the convolutions.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
    **kwargs
        All others as of `ConvLSTM2D`, in the same order.

    Raises
    ------
    ValueError
        As `ConvLSTM2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM1D
    >>> ConvLSTM1D(4, 3, return_sequences=True)(np.zeros((2, 5, 8, 3))).shape
    (2, 5, 6, 4)
    """

    axes = 1


class ConvLSTM2D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), pixel by pixel; ₋ marks the step before.

        x: (N, T, H, W, C)    kernel: (h, w, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (h, w, filters, 4 filters)    i, f, g, o, c, h: (N, I, J, filters)
        y: (N, I, J, filters) or (N, T, I, J, filters)

        [zi zf zg zo] = x ⋆ kernel + h₋ ⋆ recurrent_kernel + bias
        i, f, o = recurrent_activation(zi), ...(zf), ...(zo)        g = activation(zg)

    ⋆ is a convolution: that of x as in `Conv2D`, that of h₋ with stride 1 and padding that keeps
    the size of a state. One step goes back as in `LSTM`, pixel by pixel, and what were products
    with the kernels there are the convolutions' derivatives here: with dz = dL/dz of all steps,
    which are images like any others,

        dkernel, dx: as in `Conv2D`        dbias = Σ_rows dz
        drecurrent_kernel likewise of h₋ and dz        dh₋ = dz[t] through the recurrent kernel

    Parameters
    ----------
    filters : int
        Number of channels of y.
    kernel_size : int or two ints
        Of both kernels.
    strides, padding, data_format, dilation_rate
        Of the convolution of x, as in `Conv2D`.
    activation : str, function or Layer, default "tanh"
        Of g and of c on its way to h.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of i, f and o.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    unit_forget_bias : bool, default True
        Start with 1 as the bias of f.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float, default 0.0
        Fractions of x and h₋ that are dropped in training, the same ones at all steps, with a draw
        for each gate.
    seed, return_sequences, return_state, go_backwards, stateful
        As in `LSTM`.
    **kwargs
        `zero_output_for_mask` as in `LSTM`; `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a value outside of what is said above, a window larger than the image, or images whose
        size is not known when the layer is built.

    References
    ----------
    Shi et al.: Convolutional LSTM network, 2015 (without its peepholes, as in Keras).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM2D
    >>> film = np.zeros((2, 5, 8, 8, 3))
    >>> ConvLSTM2D(4, 3)(film).shape
    (2, 6, 6, 4)
    """

    axes = 2


class ConvLSTM3D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), voxel by voxel; ₋ marks the step before.

        x: (N, T, D, H, W, C)    kernel: (d, h, w, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (d, h, w, filters, 4 filters)
        y: (N, I, J, K, filters) or (N, T, I, J, K, filters)

    As `ConvLSTM2D`, with three axes in the place of two: dz of a step as in `LSTM`, and from it the
    derivatives of the convolutions.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or three ints
    **kwargs
        All others as of `ConvLSTM2D`, in the same order.

    Raises
    ------
    ValueError
        As `ConvLSTM2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM3D
    >>> ConvLSTM3D(4, 2, return_sequences=True)(np.zeros((1, 2, 3, 3, 3, 1))).shape
    (1, 2, 2, 2, 2, 4)
    """

    axes = 3


def by_step(x: Array) -> Array:
    """(N, T, ...) → (T·N, ...)."""
    return rows_of(x.swapaxes(0, 1))


def rows_of(x: Array) -> Array:
    """(T, N, ...) → (T·N, ...)."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def along(held: Array, like: Array) -> Array:
    """(N,) as (N, 1 ...), with as many axes as `like` has."""
    return held.reshape(len(held), *(1,) * (like.ndim - 1))


def dropped(x: Array, drop: Array) -> Array:
    """(T·N, ...) times (N, ...), the same at each step."""
    n = len(drop)
    return (x.reshape(len(x) // n if n else 0, *drop.shape) * drop).reshape(x.shape)


def convolve(x: Array, kernel: Array, windows: Windows, drop: Array | None) -> Array:
    """z; with dropout, of the x that each gate sees."""
    if drop is None:
        return correlate(x, kernel, windows)
    kernels = np.split(kernel, 4, axis=-1)
    parts = [correlate(dropped(x, d), k, windows) for d, k in zip(drop, kernels, strict=True)]
    return np.concatenate(parts, axis=-1)


def convolve_back(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...], drop: Array | None
) -> Array:
    """dx of `convolve`, a sum over the gates with dropout."""
    if drop is None:
        return input_gradient(dz, kernel, windows, sizes)
    dx = np.zeros((len(dz), *sizes, kernel.shape[-2]), dz.dtype)
    parts = zip(np.split(dz, 4, axis=-1), np.split(kernel, 4, axis=-1), drop, strict=True)
    for part, k, d in parts:
        dx += dropped(input_gradient(np.ascontiguousarray(part), k, windows, sizes), d)
    return dx


def sum_over_time(x: Array, dz: Array, windows: Windows, drop: Array | None, out: Array) -> None:
    """The kernel's gradient over all steps, written to `out`."""
    if drop is None:
        kernel_gradient(x, dz, windows, out)
        return
    parts = zip(np.split(dz, 4, axis=-1), np.split(out, 4, axis=-1), drop, strict=True)
    for part, o, d in parts:
        found = np.empty(o.shape, o.dtype)
        kernel_gradient(dropped(x, d), np.ascontiguousarray(part), windows, found)
        o[...] = found
