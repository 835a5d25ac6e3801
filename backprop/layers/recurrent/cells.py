"""The cells of SimpleRNN, LSTM and GRU: a step, and its way back, as they stand in a book.

`loop.Recurrent` has the same steps for speed: laid out so that a gate is a stretch of memory, and
with sums over time as one product. These are what it is compared with, and what a step of one's own
is put together from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Positive
from backprop.counts import Count
from backprop.layer import INFERENCE, Array, InputSpec
from backprop.layers.activations import ActivationLike
from backprop.layers.recurrent.cell import Cell
from backprop.layers.recurrent.time import sequence_shape
from backprop.layers.recurrent.weights import Dropping, FourGates, Weighted
from backprop.linalg import sum_rows
from backprop.old_arguments import Only
from backprop.promises import short_for
from backprop.regularizers import RegularizerLike


class UnitCell(Weighted, Dropping, Cell):
    """A cell whose states are a number for each unit.

        x: (N, n)    kernel: (n, gates·units)    recurrent_kernel: (units, gates·units)
        bias: (gates·units,)    y and each state: (N, units)

    Dropout: one mask of x and one of h₋ for all steps; where there is recurrent dropout, each gate
    has masks of its own, as in Keras.
    """

    units: Positive
    activity_regularizer: RegularizerLike = argument(default=None, kw_only=True)

    state_count = 1
    changeable = ("dropout", "recurrent_dropout")
    input_spec = InputSpec(ndim=2)

    def __post_init__(self):
        self.state_size = [self.units] * self.state_count
        self.output_size = self.units

    def build(self, input_shape):
        n, width = sequence_shape(input_shape)[-1], self.gates * self.units
        self.make_weights((n, width), (self.units, width), self.bias_shape())
        for function in self.sublayers():
            self.build_activation(function, (None, self.units))
        self.input_spec = InputSpec(ndim=2, axes={-1: n})

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def draw_once(self, shapes, dtype, ctx):
        """What multiplies x, and what h₋: (1 or gates, N, ...), or None."""
        count = self.gates if self.recurrent_dropout else 1
        return (
            self.drops(self.dropout, (count, *shapes[0]), dtype, ctx),
            self.drops(self.recurrent_dropout, (count, *shapes[1]), dtype, ctx),
        )

    def forward(self, x, ctx=INFERENCE) -> Any:
        drawn = self.draw_once(tuple(a.shape for a in x), x[0].dtype, ctx)
        return self.advance(x, ctx, drawn)

    def set_bias(self, dz: Array) -> None:
        if self.use_bias:
            self.dbias = sum_rows(dz)


class SimpleRNNCell(UnitCell, kw_only=True, by_position=True):
    """y = h = activation(x kernel + h₋ recurrent_kernel + bias).

        x: (N, n)    kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
        y, h, h₋: (N, units)

    h goes out twice, as y and as the state, so dh is the sum of what comes back for the two. Behind
    the activation that is dz, and

        dx = dz kernelᵀ        dh₋ = dz recurrent_kernelᵀ
        dkernel = xᵀ dz        drecurrent_kernel = h₋ᵀ dz        dbias = Σ_rows dz

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        It keeps the shape and has no parameters.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float, default 0.0
        Fractions of x and h₋ that are dropped in training: within an `RNN` the same ones at all
        steps of a sequence, in a call of the cell alone anew.
    seed : int, optional
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Elman: Finding structure in time, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SimpleRNNCell
    >>> cell = SimpleRNNCell(1, activation=None, kernel_initializer="ones")
    >>> cell(np.array([[2.0]]), [np.zeros((1, 1))])
    (array([[2.]], dtype=float32), [array([[2.]], dtype=float32)])
    """

    @short_for("forward", "advance")
    def multiply_adds(self, input_shape) -> Count:
        return self.kernel.size + self.recurrent_kernel.size

    def advance(self, x, ctx, drawn):
        (x, h), (drop_x, drop_h) = x, drawn
        z = times(x, self.kernel, drop_x)
        z += times(h, self.recurrent_kernel, drop_h)
        if self.use_bias:
            z += self.bias
        h_new, a = self.activation.forward(z)
        return (h_new, h_new), (x, h, drop_x, drop_h, a)

    def backward(self, dy, cache) -> Any:
        (dy, dh), (x, h, drop_x, drop_h, a) = dy, cache
        dz = self.activation.backward(dy + dh, a)
        dx, self.dkernel = times_back(dz, x, self.kernel, drop_x)
        dh, self.drecurrent_kernel = times_back(dz, h, self.recurrent_kernel, drop_h)
        self.set_bias(dz)
        return dx, dh


class LSTMCell(FourGates, UnitCell, kw_only=True, by_position=True):
    """c = f c₋ + i g and y = h = o activation(c), one step of an `LSTM`.

        x: (N, n)    kernel: (n, 4 units)    recurrent_kernel: (units, 4 units)
        bias: (4 units,)    i, f, g, o, c, h, y: (N, units)    states: h, c

        z = [zi zf zg zo] = x kernel + h₋ recurrent_kernel + bias
        i, f, o = recurrent_activation(zi), ...(zf), ...(zo)        g = activation(zg)

    h goes out twice, as y and as a state: dh is the sum of what comes back for the two. By the
    product rule, through h and then through c, whose dc has come from the step after:

        do = dh activation(c)        dc += activation'(c) (dh o)
        di = dc g        df = dc c₋        dg = dc i        dc₋ = dc f

    The activations' derivatives turn di, df, dg, do into dz, and

        dx = dz kernelᵀ        dh₋ = dz recurrent_kernelᵀ
        dkernel = xᵀ dz        drecurrent_kernel = h₋ᵀ dz        dbias = Σ_rows dz

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g and of c on its way to h. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of the gates i, f, o.
    use_bias, kernel_initializer, recurrent_initializer, bias_initializer
        As in `SimpleRNNCell`.
    unit_forget_bias : bool, default True
        Start with 1 as the bias of f.
    kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs
        As in `SimpleRNNCell`.

    References
    ----------
    As of `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RNN, LSTMCell
    >>> RNN(LSTMCell(4))(np.zeros((2, 5, 3))).shape
    (2, 4)
    """

    state_count = 2
    legacy = (Only("implementation", (1, 2)),)  # of the same numbers

    @short_for("forward", "advance")
    def multiply_adds(self, input_shape) -> Count:
        return self.kernel.size + self.recurrent_kernel.size

    def advance(self, x, ctx, drawn):
        (x, h, c), (drop_x, drop_h) = x, drawn
        z = times(x, self.kernel, drop_x)
        z += times(h, self.recurrent_kernel, drop_h)
        if self.use_bias:
            z += self.bias
        zi, zf, zg, zo = parts(z, 4)
        (i, a_i), (f, a_f), (o, a_o) = (self.recurrent_activation.forward(u) for u in (zi, zf, zo))
        g, a_g = self.activation.forward(zg)
        c_new = f * c + i * g
        s, a_s = self.activation.forward(c_new)
        h_new = o * s
        return (h_new, h_new, c_new), (
            (x, h, c, drop_x, drop_h), (i, f, g, o, s), (a_i, a_f, a_g, a_o, a_s)
        )  # fmt: skip

    def backward(self, dy, cache) -> Any:
        (dy, dh, dc), ((x, h, c, drop_x, drop_h), gates, caches) = dy, cache
        (i, f, g, o, s), (a_i, a_f, a_g, a_o, a_s) = gates, caches
        dh = dy + dh
        dc = dc + self.activation.backward(dh * o, a_s)
        dz = np.concatenate(
            [
                self.recurrent_activation.backward(dc * g, a_i),
                self.recurrent_activation.backward(dc * c, a_f),
                self.activation.backward(dc * i, a_g),
                self.recurrent_activation.backward(dh * s, a_o),
            ],
            axis=-1,
        )
        dx, self.dkernel = times_back(dz, x, self.kernel, drop_x)
        dh, self.drecurrent_kernel = times_back(dz, h, self.recurrent_kernel, drop_h)
        self.set_bias(dz)
        return dx, dh, dc * f


class GRUCell(UnitCell, kw_only=True, by_position=True):
    """y = h = u h₋ + (1 - u) g, one step of a `GRU`.

        x: (N, n)    kernel: (n, 3 units)    recurrent_kernel: (units, 3 units)
        bias: (3 units,), or (2, 3 units) with reset_after: of x kernel and of h₋ recurrent_kernel
        u, r, g, h, y: (N, units)

        [zu zr zg] = x kernel + bias        [wu wr wg] = h₋ recurrent_kernel + recurrent bias
        u, r = recurrent_activation(zu + wu), ...(zr + wr)        the gates update and reset
        g = activation(zg + r wg)                                 with reset_after, else
        g = activation(zg + (r h₋) recurrent_kernel_g)

    h goes out twice, as y and as the state: dh is the sum of what comes back for the two, and

        du = dh (h₋ - g)        dg = dh (1 - u)        dh₋ = dh u, and more from the products

    Behind the activations these are dzu and dzg, and with reset_after

        dwg = dzg r        dr = dzg wg, behind its activation dzr
        dh₋ += [dzu dzr dwg] recurrent_kernelᵀ        drecurrent_kernel = h₋ᵀ [dzu dzr dwg]

    else, with v = r h₋, which is what recurrent_kernel_g multiplies,

        dv = dzg recurrent_kernel_gᵀ        dr = dv h₋        drecurrent_kernel_g = vᵀ dzg
        dh₋ += dv r + [dzu dzr] recurrent_kernel_urᵀ

    and in both cases dx = dz kernelᵀ, dkernel = xᵀ dz and dbias = Σ_rows dz, and of [dzu dzr dwg].

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of u and r.
    use_bias, kernel_initializer, recurrent_initializer, bias_initializer
    kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout
        As in `SimpleRNNCell`.
    reset_after : bool, default True
        Whether r multiplies behind or before the product with the recurrent kernel.
    seed, **kwargs
        As in `SimpleRNNCell`.

    References
    ----------
    As of `GRU`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RNN, GRUCell
    >>> RNN(GRUCell(4), return_sequences=True)(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    gates = 3
    legacy = (Only("implementation", (1, 2)),)  # of the same numbers

    recurrent_activation: ActivationLike = argument(default="sigmoid", after="activation")
    reset_after: bool = argument(default=True, after="recurrent_dropout")

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @short_for("forward", "advance")
    def multiply_adds(self, input_shape) -> Count:
        return self.kernel.size + self.recurrent_kernel.size

    def advance(self, x, ctx, drawn):
        (x, h), (drop_x, drop_h), n = x, drawn, 2 * self.units
        drop_ur, drop_g = apart(drop_h)
        bias, recurrent_bias = self._biases()
        zu, zr, zg = parts(times(x, self.kernel, drop_x) + bias, 3)
        wu, wr = parts(times(h, self.recurrent_kernel[:, :n], drop_ur) + recurrent_bias[:n], 2)
        u, a_u = self.recurrent_activation.forward(zu + wu)
        r, a_r = self.recurrent_activation.forward(zr + wr)
        v = h if self.reset_after else r * h
        wg = times(v, self.recurrent_kernel[:, n:], drop_g) + recurrent_bias[n:]
        g, a_g = self.activation.forward(zg + (r * wg if self.reset_after else wg))
        h_new = u * h + (1 - u) * g
        return (h_new, h_new), ((x, h, v), drawn, (u, r, g, wg), (a_u, a_r, a_g))

    def backward(self, dy, cache) -> Any:
        (dy, dh), ((x, h, v), drawn, (u, r, g, wg), (a_u, a_r, a_g)) = dy, cache
        (drop_x, drop_h), n = drawn, 2 * self.units
        drop_ur, drop_g = apart(drop_h)
        dh = dy + dh
        dzu = self.recurrent_activation.backward(dh * (h - g), a_u)
        dzg = self.activation.backward(dh * (1 - u), a_g)
        dwg = dzg * r if self.reset_after else dzg
        dv, self.drecurrent_kernel[:, n:] = times_back(dwg, v, self.recurrent_kernel[:, n:], drop_g)
        dr = dzg * wg if self.reset_after else dv * h
        dzr = self.recurrent_activation.backward(dr, a_r)
        dw = np.concatenate([dzu, dzr], axis=-1)
        dh_before, self.drecurrent_kernel[:, :n] = times_back(
            dw, h, self.recurrent_kernel[:, :n], drop_ur
        )
        dh_before += dh * u
        dh_before += dv if self.reset_after else dv * r
        dz = np.concatenate([dw, dzg], axis=-1)
        dx, self.dkernel = times_back(dz, x, self.kernel, drop_x)
        if self.reset_after and self.use_bias:
            self.dbias = np.stack([sum_rows(dz), sum_rows(np.concatenate([dw, dwg], axis=-1))])
        else:
            self.set_bias(dz)
        return dx, dh_before

    def _biases(self) -> Any:
        """Those of the products with x and with h₋."""
        zeros = np.zeros(3 * self.units, self.kernel.dtype)
        if not self.use_bias:
            return zeros, zeros
        return self.bias if self.reset_after else (self.bias, zeros)


def parts(z: Array, count: int) -> list[Array]:
    """Of each gate, (N, units)."""
    return np.split(z, count, axis=-1)


def apart(drop: Array | None) -> tuple[Array | None, Array | None]:
    """What the gates u and r see of h₋, and what g does."""
    return (None, None) if drop is None else (drop[:2], drop[2:])


def times(x: Array, kernel: Array, drop: Array | None) -> Array:
    """x kernel, where each of `drop` multiplies what its share of the columns sees of x."""
    if drop is None:
        return x @ kernel
    kernels = parts(kernel, len(drop))
    return np.concatenate([(x * d) @ k for d, k in zip(drop, kernels, strict=True)], axis=-1)


def times_back(dz: Array, x: Array, kernel: Array, drop: Array | None) -> tuple[Array, Array]:
    """dx and dkernel of `times`."""
    if drop is None:
        return dz @ kernel.T, x.T @ dz
    dx, dkernels = np.zeros_like(x), []
    for d, k, part in zip(drop, parts(kernel, len(drop)), parts(dz, len(drop)), strict=True):
        dx += (part @ k.T) * d
        dkernels.append((x * d).T @ part)
    return dx, np.concatenate(dkernels, axis=-1)
