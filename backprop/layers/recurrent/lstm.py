"""The LSTM: a state that gates keep, write and show."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import choice
from backprop.kernels.recurrent import lstm, lstm_back
from backprop.layers.recurrent.inplace import InPlaceSigmoid, InPlaceTanh
from backprop.layers.recurrent.loop import STEPS, Recurrent, flat, held_of
from backprop.layers.recurrent.units import Units
from backprop.layers.recurrent.weights import FourGates
from backprop.old_arguments import Only
from backprop.promises import short_for


class Memory(FourGates, Recurrent, kw_only=True, by_position=True):
    """The step of an LSTM, whatever its states are: numbers for units, or images.

        c = f c₋ + i g        s = activation(c)        h = o s

    and back, where dh and dc are what the step receives,

        do = dh s        dc += dh ∂h/∂c, which is o activation'(c)
        di = dc g        df = dc c₋        dg = dc i        dc₋ = dc f

    each with the slope of its gate's activation. Within the loop the gates stand as o i f g, where
    Keras has i f g o: so those of one activation lie side by side, and those that dc reaches.
    """

    order = (3, 0, 1, 2)
    state_count = 2

    def advance(self, t, tape):
        (h, c), k = tape.states, t % len(tape.z)
        z, s, c_before, c_after = tape.z[k], tape.kept[k], c[t], c[t + 1]
        z += tape.of_h.forward(t)
        o, i, f, g = z
        a_gates, a_g = self._activate(z, tape)
        np.multiply(f, c_before, out=c_after)
        c_after += np.multiply(i, g, out=s)
        a_s = self._squash.value(c_after, out=s)
        np.multiply(o, s, out=h[t + 1])
        return a_gates, a_g, a_s

    def look_back(self, at, tape, dz):
        """What multiplies dh in do, and dc in di, df and dg, in their places in dz; and ∂h/∂c."""
        z, s, c_before = tape.z[at].swapaxes(0, 1), tape.kept[at], tape.states[1][at]
        o, i, _, g = z
        dz = do, di, df, dg = dz.swapaxes(0, 1)
        self._gate.slope(z[:3], out=dz[:3])
        self._squash.slope(g, out=dg)
        do *= s
        di *= g
        df *= c_before
        dg *= i
        slope = np.empty_like(s)
        self._squash.slope(s, out=slope)
        slope *= o
        return slope

    def reverse(self, t, tape, dstates, dz, slope):
        (dh, dc), do, d_ifg, dg = dstates, dz[0], dz[1:], dz[3]
        a_gates, a_g, a_s = tape.caches[t]
        of_h = dh * slope
        self._squash.rest(of_h, a_s)
        dc += of_h
        do *= dh
        d_ifg *= dc
        self._gate.rest(dz[:3], a_gates)
        self._squash.rest(dg, a_g)
        dc *= tape.z[t, 2]
        return [tape.of_h.backward(dz), dc]

    # ------------------------------------------------------------------ speed

    def lay_out(self, x, ctx, states):
        tape = super().lay_out(x, ctx, states)
        tape.kept = np.empty_like(tape.z[:, 0])  # s = activation(c)
        return tape

    def connect(self, tape):
        super().connect(tape)
        kinds = type(self._gate), type(self._squash)
        halves = kinds == (InPlaceSigmoid, InPlaceTanh) and tape.v.dtype != np.float64
        if halves and not tape.compiled:
            tape.of_x.halved = tape.of_h.halved = 3

    def _activate(self, z, tape):
        """σ(z) = (1 + tanh(z / 2)) / 2: where products give z / 2, one tanh does for all gates; not
        in float64, as `InPlaceSigmoid` says."""
        gates, g = z[:3], z[3]
        if not tape.of_h.halved:
            return self._gate.value(gates, out=gates), self._squash.value(g, out=g)
        np.tanh(z, out=z)
        gates *= 0.5
        gates += 0.5
        return None, None


class LSTM(Memory, Units, kw_only=True, by_position=True):
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

    Before the first step h and c are 0, or what is given: (x, h, c) in the place of x. The dh₋ and
    dc₋ of the first step are then dL/dh and dL/dc of these. With `return_state` y is (y, h, c), the
    h and c behind the last step, and what comes back for them is the dh and dc that the loop begins
    with: where y is the last h too, the two of its gradients add up.

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
        Whether the last h and c are outputs too, behind y.
    go_backwards : bool, default False
        Go from the last step to the first; with `return_sequences` the outputs stand in that order,
        and the last h and c are those at the first.
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
    >>> y, h, c = LSTM(4, return_state=True)(x)
    >>> LSTM(4, return_sequences=True)(np.zeros((2, 7, 1)), initial_state=[h, c]).shape
    (2, 7, 4)
    """

    weights_within = "lstm_cell"
    legacy = (Only("implementation", (1, 2)),)  # of the same numbers
    use_cudnn: Annotated[Any, choice("auto", True, False)] = argument(
        default="auto", after="unroll"
    )

    # ------------------------------------------------------------------ compiled

    @short_for(*STEPS)
    def has_loop(self, ctx):
        return self.fits_loop()

    def run_steps(self, at, tape):
        (_, c), batch = tape.states, tape.v.shape[-1]
        done = lstm(
            flat(tape.z, 2),
            flat(tape.v),
            flat(c),
            flat(tape.kept),
            tape.of_h.stripes,
            held_of(tape),
            np.empty(4 * self.units * batch, c.dtype),
            at.start,
            at.stop,
        )
        if done:
            tape.caches += [(None, None, None)] * (at.stop - at.start)
        return done

    def run_steps_back(self, at, tape, dstates, dys, dz):
        (_, c), (dh, dc) = tape.states, dstates
        return lstm_back(
            flat(tape.z, 2),
            flat(dz, 2),
            flat(c),
            flat(tape.kept),
            tape.of_h.stripes_back,
            held_of(tape),
            None if dys is None else flat(dys),
            flat(dh, 0),
            flat(dc, 0),
            at.start,
            at.stop,
        )
