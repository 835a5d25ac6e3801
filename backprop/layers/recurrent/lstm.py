"""The LSTM: a state that gates keep, write and show."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import one_of
from backprop.layers.activations import layer_of
from backprop.layers.recurrent.inplace import InPlace, InPlaceSigmoid, InPlaceTanh, in_place
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

# Keras' order of the gates is i f g o. Within the loop it is o i f g: those of one activation lie
# side by side, and so do those that dc reaches.
FROM_KERAS, TO_KERAS = [3, 0, 1, 2], [1, 2, 3, 0]


class LSTM(Recurrent):
    """c = f c₋ + i g and h = o activation(c), step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, 4 units)    recurrent_kernel: (units, 4 units)
        bias: (4 units,)    i, f, g, o, c, h: (N, units)    y: (N, units) or (N, T, units)

        z = [zi zf zg zo] = x kernel + h₋ recurrent_kernel + bias
        i, f, o = recurrent_activation(zi), ...(zf), ...(zo)        g = activation(zg)

    y is the last h, or all of them. A step receives dh from y and from the step after, dc from the
    step after. By the product rule, going back through h, then c:

        do = dh activation(c)        dc += activation'(c) (dh o)
        di = dc g        df = dc c₋        dg = dc i        dc₋ = dc f

    The activations' derivatives turn di, df, dg, do into dz, and

        dh₋ = dz recurrent_kernelᵀ        dx = dz kernelᵀ
        dkernel = Σ_t xᵀ dz        drecurrent_kernel = Σ_t h₋ᵀ dz        dbias = Σ_t dz

    where the sums over time (and batch) are one product each, after the loop. At a masked step
    h = h₋ and c = c₋: dh and dc pass it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g and of c on its way to h. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of the gates i, f, o.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    unit_forget_bias : bool, default True
        Start with 1 as the bias of f, so that c is kept at first.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float, default 0.0
        Fractions of x and h₋ that are dropped in training, the same ones at all steps of a
        sequence. With recurrent dropout each gate has its own draw of both.
    seed : int, optional
    return_sequences : bool, default False
        Whether y is h at all steps.
    return_state : bool, default False
        Only False: a layer gives one array.
    go_backwards : bool, default False
        Go from the last step to the first; with `return_sequences` the outputs stand in that order.
    stateful : bool, default False
        Start each batch with the states that the one before ended with, sequence by sequence; no
        gradient flows between batches. The states are no weights: a checkpoint of a run has them, a
        saved model starts from zeros, as after `reset_state`. Needs batches of one size, known when
        the layer is built.
    unroll : bool, default False
    use_cudnn : {"auto", True, False}
        Both choose among implementations in Keras; here there is one, so neither changes anything.
    **kwargs
        `zero_output_for_mask` (default False): with `return_sequences` y is 0 at masked steps, and
        not what it was before. `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a value outside of what is said above.

    Notes
    -----
    A mask is passed on with `return_sequences`, in the order of x even when going backwards, as in
    Keras.

    References
    ----------
    Hochreiter, Schmidhuber: Long short-term memory, 1997; with the forget gate of Gers,
    Schmidhuber, Cummins, 2000. Dropout: Gal, Ghahramani, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LSTM
    >>> x = np.zeros((2, 5, 3))
    >>> LSTM(4)(x).shape, LSTM(4, return_sequences=True)(x).shape
    ((2, 4), (2, 5, 4))
    """

    gates = blocks = 4
    state_count = 2

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
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
        self.unit_forget_bias = unit_forget_bias
        self.use_cudnn = one_of(use_cudnn, ("auto", True, False), "LSTM", "use_cudnn")

    def build(self, input_shape):
        super().build(input_shape)
        self._gate: InPlace = in_place(self.recurrent_activation)
        kinds = type(self._gate), type(self._squash)
        self._tanh_and_sigmoid = kinds == (InPlaceSigmoid, InPlaceTanh)
        if self.use_bias and self.unit_forget_bias:
            self.bias[self.units : 2 * self.units] = 1

    def _takes_one_tanh(self, dtype: np.dtype) -> bool:
        """σ(z) = (1 + tanh(z / 2)) / 2: with kernels that give z / 2, one tanh does for all gates;
        not in float64, as `InPlaceSigmoid` says."""
        return self._tanh_and_sigmoid and dtype != np.float64

    def prepare(self, tape: Tape):
        tape.of_x = stacked([self.kernel, self.bias_row()], FROM_KERAS)
        tape.of_h = stacked([self.recurrent_kernel], FROM_KERAS)
        tape.back = in_stripes(gates_of(self.recurrent_kernel, FROM_KERAS), tape.v.shape[-1])
        if tape.drop is not None:
            tape.drop = tape.drop[FROM_KERAS]
            tape.drop_in = tape.drop[:, : -self.units]
        if self._takes_one_tanh(tape.z.dtype):
            tape.of_x[:3] *= 0.5
            tape.of_h[:3] *= 0.5
        tape.kept = np.empty_like(tape.z[:, 0])  # activation(c)
        tape.room = np.empty(tape.z.shape[1:], tape.z.dtype)

    def advance(self, t, tape):
        z, s = tape.z[t % len(tape.z)], tape.kept[t % len(tape.z)]
        c_before, c = tape.states[1][t], tape.states[1][t + 1]
        z += seen(tape.of_h, tape.h[t], tape.drop_of_h, out=tape.room)
        o, i, f, g = z
        a_gates, a_g = self._squash_gates(z)
        np.multiply(f, c_before, out=c)
        c += np.multiply(i, g, out=s)
        a_s = self._squash.value(c, out=s)
        np.multiply(o, s, out=tape.h[t + 1])
        return a_gates, a_g, a_s

    def _squash_gates(self, z):
        gates, g = z[:3], z[3]
        if not self._takes_one_tanh(z.dtype):
            return self._gate.value(gates, out=gates), self._squash.value(g, out=g)
        np.tanh(z, out=z)
        gates *= 0.5
        gates += 0.5
        return None, None

    def look_back(self, at, tape, dz):
        """The part of dz that does not depend on dh and dc, and of what dh adds to dc."""
        o, i, _, g = z = tape.z[at].swapaxes(0, 1)
        s, c_before, dz = tape.kept[at], tape.states[1][at], dz.swapaxes(0, 1)
        self._gate.slope(z[:3], out=dz[:3])
        self._squash.slope(g, out=dz[3])
        for slope, factor in zip(dz, (s, g, c_before, i), strict=True):
            slope *= factor
        tape.ready, tape.first = np.empty_like(s), at.start
        self._squash.slope(s, out=tape.ready)
        tape.ready *= o

    def reverse(self, t, tape, dstates, dz):
        dh, dc = dstates
        a_gates, a_g, a_s = tape.caches[t]
        through_h = dh * tape.ready[t - tape.first]
        self._squash.rest(through_h, a_s)
        dc += through_h
        np.multiply(dz[0], dh, out=dz[0])
        np.multiply(dz[1:], dc, out=dz[1:])
        self._gate.rest(dz[:3], a_gates)
        self._squash.rest(dz[3], a_g)
        dc *= tape.z[t, 2]
        return [multiply_back(tape.back, dz, tape.drop_of_h), dc]

    def sums(self, tape, dz):
        return [sum_over_time(tape.v[:-1], dz, tape.drop)]

    def set_gradients(self, sums):
        d, n = sums[0][:, TO_KERAS].reshape(-1, 4 * self.units), len(self.kernel)
        self.dkernel, self.drecurrent_kernel = d[:n], d[n + 1 :]
        if self.use_bias:
            self.dbias = d[n]

    def input_gradients(self, tape, dz):
        return multiply_back(gates_of(self.kernel, FROM_KERAS), dz, tape.drop_of_x)
