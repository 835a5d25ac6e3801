"""The GRU: one state, which one gate keeps or replaces, and another hides from what replaces it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import choice
from backprop.kernels.recurrent import gru, gru_back
from backprop.layers.activations import ActivationLike
from backprop.layers.recurrent.loop import STEPS, flat, held_of
from backprop.layers.recurrent.products import BIAS, KERNEL, RECURRENT, Product
from backprop.layers.recurrent.units import Units
from backprop.old_arguments import Only
from backprop.promises import short_for

# The blocks of z within the loop are g u r, and a fourth, w: what r multiplies, or its product. So
# x is seen by the first three, h₋ by the last three or by u and r, and the gates lie side by side.
OF_X, OF_H, OF_GATES = slice(0, 3), slice(1, 4), slice(1, 3)


class GRU(Units, kw_only=True, by_position=True):
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
    it unchanged, and its dz is 0. The first h may be given, (x, h), and has the dh₋ of the first
    step; with `return_state` the last one is returned, and its gradient is added to the first dh.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of u and r.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer
    kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer
    kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed
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

    weights_within = "gru_cell"
    legacy = (Only("implementation", (1, 2)),)  # of the same numbers
    gates = 3
    order = (2, 0, 1, 2)

    recurrent_activation: ActivationLike = argument(default="sigmoid", after="activation")
    reset_after: bool = argument(default=True, after="unroll")
    use_cudnn: Annotated[Any, choice("auto", True, False)] = argument(
        default="auto", after="reset_after"
    )

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def connect(self, tape):
        n, h, of_rh = len(self.kernel), self.rows_of_h, slice(0, 1)
        if self.reset_after:
            tape.of_x = self.product(tape, [KERNEL, ("bias", 0)], slice(0, h.start), OF_X)
            tape.of_h = self.product(tape, [("bias", 1), RECURRENT], slice(n, h.stop), OF_H)
            tape.sums = [tape.of_x, tape.of_h]
        else:
            tape.of_x = self.product(tape, [KERNEL, BIAS], slice(0, h.start), OF_X)
            tape.of_h = self.product(tape, [RECURRENT], h, OF_GATES)
            v = tape.z[:, 3]
            tape.of_rh = Product(self, [RECURRENT], self.units, self.order[of_rh], of_rh, v=v)
            tape.sums = [tape.of_x, tape.of_h, tape.of_rh]

    def advance(self, t, tape):
        [h], k = tape.states, t % len(tape.z)
        h_before, h_after, z = h[t], h[t + 1], tape.z[k]
        g, u, r, w = z
        gates, by_h = z[OF_GATES], tape.of_h.forward(t)
        gates += by_h[:2]
        a_gates = self._gate.value(gates, out=gates)
        if self.reset_after:
            w[...] = by_h[2]
            g += r * w
        else:
            np.multiply(r, self._seen_by_g(h_before, tape), out=w)
            g += tape.of_rh.forward(k)[0]
        a_g = self._squash.value(g, out=g)
        np.subtract(h_before, g, out=h_after)  # u h₋ + (1 - u) g = g + u (h₋ - g)
        h_after *= u
        h_after += g
        return a_gates, a_g

    def look_back(self, at, tape, dz):
        """The slopes of the activations, in the places of dg, du and dr; and ∂h/∂u."""
        z, dz = tape.z[at].swapaxes(0, 1), dz.swapaxes(0, 1)
        self._squash.slope(z[0], out=dz[0])
        self._gate.slope(z[OF_GATES], out=dz[OF_GATES])
        return tape.states[0][at] - z[0]

    def reverse(self, t, tape, dstates, dz, slope):
        [dh] = dstates
        _, u, r, w = tape.z[t]
        dg, du, dr, dw = dz
        a_gates, a_g = tape.caches[t]
        dh_before = dh * u
        dg *= dh - dh_before
        self._squash.rest(dg, a_g)
        du *= dh * slope
        if self.reset_after:
            dr *= dg * w
            np.multiply(dg, r, out=dw)
        else:
            dv = tape.of_rh.backward(dz[:1])
            dr *= dv * self._seen_by_g(tape.states[0][t], tape)
            dh_before += self._seen_by_g(dv * r, tape)
        self._gate.rest(dz[OF_GATES], a_gates)
        dh_before += tape.of_h.backward(dz[tape.of_h.blocks])
        return [dh_before]

    def _seen_by_g(self, h, tape):
        """What dropout leaves of h for g, where r comes before the product."""
        return h if tape.drop is None else h * tape.drop[3, -self.units :]

    # ------------------------------------------------------------------ compiled

    @short_for(*STEPS)
    def has_loop(self, ctx):
        return self.reset_after and self.fits_loop()

    def run_steps(self, at, tape):
        v, batch = tape.v, tape.v.shape[-1]
        done = gru(
            flat(tape.z, 2),
            flat(v),
            tape.of_h.stripes,
            held_of(tape),
            np.empty(3 * self.units * batch, v.dtype),
            at.start,
            at.stop,
        )
        if done:
            tape.caches += [(None, None)] * (at.stop - at.start)
        return done

    def run_steps_back(self, at, tape, dstates, dys, dz):
        [dh] = dstates
        return gru_back(
            flat(tape.z, 2),
            flat(dz, 2),
            flat(tape.v),
            tape.of_h.stripes_back,
            held_of(tape),
            None if dys is None else flat(dys),
            flat(dh, 0),
            np.empty(dh.size, dh.dtype),
            at.start,
            at.stop,
        )
