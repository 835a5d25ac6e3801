"""The simple recurrent layer: one state, and no gates."""

from __future__ import annotations

from typing import Any

from backprop.layers.recurrent.loop import (
    Recurrent,
    Tape,
    multiply_back,
    seen,
    stacked,
    sum_over_time,
)


class SimpleRNN(Recurrent):
    """h = activation(x kernel + h₋ recurrent_kernel + bias), step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
        h: (N, units)    y: (N, units) or (N, T, units)

    y is the last h, or all of them. A step receives dh from y and from the step after; behind the
    activation that is dz, and

        dh₋ = dz recurrent_kernelᵀ        dx = dz kernelᵀ
        dkernel = Σ_t xᵀ dz        drecurrent_kernel = Σ_t h₋ᵀ dz        dbias = Σ_t dz

    At a masked step h = h₋: dh passes it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        It keeps the shape and has no parameters.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout, seed
    return_sequences, return_state, go_backwards, stateful, unroll
        As in `LSTM`.
    **kwargs
        `zero_output_for_mask` (default False): with `return_sequences` y is 0 at masked steps, and
        not what it was before. `trainable`, `dtype`, `name` of every `Layer`.

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

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
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

    def prepare(self, tape: Tape):
        tape.of_x = stacked([self.kernel, self.bias_row()], [0])
        tape.of_h = stacked([self.recurrent_kernel], [0])
        tape.drop_in = None if tape.drop is None else tape.drop[:, : -self.units]

    def advance(self, t, tape):
        z = tape.z[t % len(tape.z)]
        z += seen(tape.of_h, tape.h[t], tape.drop_of_h)
        return self._squash.value(z[0], out=tape.h[t + 1])

    def reverse(self, t, tape, dstates, dz):
        dz[0] = dstates[0]
        self._squash.back(dz[0], tape.h[t + 1], tape.caches[t])
        return [multiply_back(self.recurrent_kernel, dz, tape.drop_of_h)]

    def sums(self, tape, dz):
        return [sum_over_time(tape.v[:-1], dz, tape.drop)]

    def set_gradients(self, sums):
        d, n = sums[0][:, 0], len(self.kernel)
        self.dkernel, self.drecurrent_kernel = d[:n], d[n + 1 :]
        if self.use_bias:
            self.dbias = d[n]

    def input_gradients(self, tape, dz):
        return multiply_back(self.kernel, dz, tape.drop_of_x)
