"""The GRU: one state, which one gate keeps or replaces, and another hides from what replaces it."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import one_of
from backprop.layers.activations import layer_of
from backprop.layers.recurrent.inplace import InPlace, in_place
from backprop.layers.recurrent.loop import (
    Recurrent,
    Tape,
    gates_of,
    in_stripes,
    multiply_back,
    seen,
    stacked,
    sum_over_time,
)

# The blocks of z within the loop are g u r, and a fourth: what r multiplies, or its product. So x
# is seen by the first three, h₋ by the last three, and the gates lie side by side. Keras' order is
# u r g.
FROM_KERAS, TO_KERAS = [2, 0, 1], [1, 2, 0]


class GRU(Recurrent):
    """h = u h₋ + (1 - u) g, step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, 3 units)    recurrent_kernel: (units, 3 units)
        bias: (3 units,), or (2, 3 units) with reset_after: of x kernel and of h₋ recurrent_kernel
        u, r, g, h: (N, units)    y: (N, units) or (N, T, units)

        [zu zr zg] = x kernel + bias        [wu wr wg] = h₋ recurrent_kernel + recurrent bias
        u, r = recurrent_activation(zu + wu), ...(zr + wr)        the gates update and reset
        g = activation(zg + r wg)                                 with reset_after, else
        g = activation(zg + (r h₋) recurrent_kernel_g)

    y is the last h, or all of them. A step receives dh from y and from the step after, and

        du = dh (h₋ - g)        dg = dh (1 - u)        dh₋ = dh u, and more from the products

    Behind the activations these are dzu and dzg, and with reset_after

        dwg = dzg r        dr = dzg wg, behind its activation dzr
        dh₋ += [dzu dzr dwg] recurrent_kernelᵀ        drecurrent_kernel = Σ_t h₋ᵀ [dzu dzr dwg]

    else, with v = r h₋, which is what recurrent_kernel_g multiplies,

        dv = dzg recurrent_kernel_gᵀ        dr = dv h₋        drecurrent_kernel_g = Σ_t vᵀ dzg
        dh₋ += dv r + [dzu dzr] recurrent_kernel_urᵀ

    and in both cases dx = dz kernelᵀ and dkernel = Σ_t xᵀ dz. At a masked step h = h₋: dh passes
    it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of u and r.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout, seed
    return_sequences, return_state, go_backwards, stateful, unroll, use_cudnn
        As in `LSTM`.
    reset_after : bool, default True
        Whether r multiplies behind or before the product with the recurrent kernel.
    **kwargs
        `zero_output_for_mask` (default False): with `return_sequences` y is 0 at masked steps, and
        not what it was before. `trainable`, `dtype`, `name` of every `Layer`.

    References
    ----------
    Cho et al.: Learning phrase representations using RNN encoder-decoder, 2014 (reset before).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers.recurrent import GRU
    >>> GRU(4, return_sequences=True)(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    gates = 3
    blocks = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs,
    ):
        super().__init__(
            units,
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
            unroll=unroll,
            **kwargs,
        )
        self.recurrent_activation = layer_of(recurrent_activation or "linear")
        self.reset_after = reset_after
        self.use_cudnn = one_of(use_cudnn, ("auto", True, False), "GRU", "use_cudnn")

    def build(self, input_shape):
        super().build(input_shape)
        self._gate: InPlace = in_place(self.recurrent_activation)

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def prepare(self, tape: Tape):
        bias, kernel, n = self.bias_row(), self.recurrent_kernel, len(self.kernel)
        tape.of_x = stacked([self.kernel, bias[:1]], FROM_KERAS)
        if self.reset_after:
            tape.of_h = stacked([bias[1:], kernel], [0, 1, 2])
        else:
            kernel = kernel[:, : 2 * self.units]
            tape.of_h = stacked([kernel], [0, 1])
        tape.back = in_stripes(np.ascontiguousarray(kernel), tape.v.shape[-1])
        count, m = len(tape.of_h), tape.of_h.shape[2]
        drop = tape.drop
        tape.drop = (None, None, None)
        if drop is not None:  # of x, of h₋ by the gates, of h₋ by g where r comes before
            tape.drop_in = drop[FROM_KERAS, : n + 1]
            tape.drop = tape.drop_in, drop[:count, -m:], drop[2, n + 1 :]

    def advance(self, t, tape):
        z, h, m = tape.z[t % len(tape.z)], tape.h[t], 2 * self.units
        _, drop_h, drop_g = tape.drop
        of_h = seen(tape.of_h, tape.v[t, -tape.of_h.shape[2] :], drop_h)
        z[1:3] += of_h[:2]
        a_gates = self._gate.value(z[1:3], out=z[1:3])
        g, u, r, w = z
        if self.reset_after:
            w[...] = of_h[2]
            g += r * w
        else:
            np.multiply(r, h if drop_g is None else h * drop_g, out=w)
            g += self.recurrent_kernel[:, m:].T @ w
        a_g = self._squash.value(g, out=g)
        after = tape.h[t + 1]  # u h + (1 - u) g = g + u (h - g)
        np.subtract(h, g, out=after)
        after *= u
        after += g
        return a_gates, a_g

    def reverse(self, t, tape, dstates, dz):
        dh, h, z, m = dstates[0], tape.h[t], tape.z[t], 2 * self.units
        g, u, r, w = z
        a_gates, a_g = tape.caches[t]
        _, drop_h, drop_g = tape.drop
        through = dh * u
        np.subtract(dh, through, out=dz[0])
        self._squash.back(dz[0], g, a_g)
        np.subtract(h, g, out=dz[1])
        dz[1] *= dh
        if self.reset_after:
            np.multiply(dz[0], w, out=dz[2])
            np.multiply(dz[0], r, out=dz[3])
        else:
            dw = self.recurrent_kernel[:, m:] @ dz[0]
            np.multiply(dw, h if drop_g is None else h * drop_g, out=dz[2])
            dw *= r
            through += dw if drop_g is None else dw * drop_g
        self._gate.back(dz[1:3], z[1:3], a_gates)
        of_h = None if drop_h is None else drop_h[:, -self.units :]
        through += multiply_back(tape.back, dz[1 : 1 + len(tape.of_h)], of_h)
        return [through]

    def sums(self, tape, dz):
        n, v = len(self.kernel), tape.v[:-1]
        drop_x, drop_h, _ = tape.drop
        of_x = sum_over_time(v[:, : n + 1], dz[:, :3], drop_x)
        if self.reset_after:
            return [of_x, sum_over_time(v[:, n:], dz[:, 1:], drop_h)]
        by_gates = sum_over_time(v[:, n + 1 :], dz[:, 1:3], drop_h)
        return [of_x, by_gates, sum_over_time(tape.z[:, 3], dz[:, :1], None)]

    def set_gradients(self, sums):
        n, width = len(self.kernel), 3 * self.units
        of_x = sums[0][:, TO_KERAS].reshape(n + 1, width)
        of_h = np.concatenate(sums[1:], axis=1).reshape(-1, width)
        self.dkernel = of_x[:n]
        self.drecurrent_kernel = of_h[1:] if self.reset_after else of_h
        if self.use_bias:
            self.dbias = np.stack([of_x[n], of_h[0]]) if self.reset_after else of_x[n]

    def input_gradients(self, tape, dz):
        drop_x = tape.drop[0]
        of_x = None if drop_x is None else drop_x[:, :-1]
        return multiply_back(gates_of(self.kernel, FROM_KERAS), dz[:, :3], of_x)
