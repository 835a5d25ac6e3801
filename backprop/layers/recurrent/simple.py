"""The simple recurrent layer: one state, and no gates."""

from __future__ import annotations

import numpy as np

from backprop.arguments import argument
from backprop.initializers.draws import Seed
from backprop.layers.recurrent.units import Units


class SimpleRNN(Units, kw_only=True, by_position=True):
    """h = activation(x kernel + h₋ recurrent_kernel + bias), step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
        h: (N, units)    y: (N, units) or (N, T, units)

    y is the last h, or all of them. A step receives dh from y and from the step after; behind the
    activation that is dz, and

        dh₋ = dz recurrent_kernelᵀ        dx = dz kernelᵀ
        dkernel = Σ_t xᵀ dz        drecurrent_kernel = Σ_t h₋ᵀ dz        dbias = Σ_t dz

    At a masked step h = h₋: dh passes it unchanged, and its dz is 0. The first h may be given,
    (x, h), and has the dh₋ of the first step; with `return_state` the last one is returned, and its
    gradient is added to the first dh.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        It keeps the shape and has no parameters.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer
    recurrent_regularizer, bias_regularizer, activity_regularizer, kernel_constraint
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed
    return_sequences, return_state, go_backwards, stateful, unroll, **kwargs
        As in `LSTM`.

    References
    ----------
    Elman: Finding structure in time, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SimpleRNN
    >>> layer = SimpleRNN(1, activation=None, kernel_initializer="ones", return_sequences=True,
    ...                   recurrent_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0], [3.0]]]))[0, :, 0]
    array([1., 3., 6.], dtype=float32)
    """

    weights_within = "simple_rnn_cell"
    seed: Seed = argument(default=None, after="unroll")

    def advance(self, t, tape):
        h, z = tape.states[0], tape.z[t % len(tape.z)]
        z += tape.of_h.forward(t)
        return self._squash.value(z[0], out=h[t + 1])

    def look_back(self, at, tape, dz):
        """activation'(z)."""
        h = tape.states[0][1:][at]
        slopes = np.empty_like(h)
        self._squash.slope(h, out=slopes)
        return slopes

    def reverse(self, t, tape, dstates, dz, slope):
        [dh] = dstates
        np.multiply(dh, slope, out=dz[0])
        self._squash.rest(dz[0], tape.caches[t])
        return [tape.of_h.backward(dz)]
