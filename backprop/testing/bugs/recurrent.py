"""Mistakes in recurrent layers: paths through time that are lost, gates mixed up, masks and dropout
forgotten.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np

from backprop.layers.dense import Dense
from backprop.layers.normalization import BatchNormalization
from backprop.layers.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    ConvLSTM1D,
    SimpleRNN,
    TimeDistributed,
)
from backprop.testing.bugs.bank import Layers, behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import Mixin, Spoiling

CONFIG = {"units": 2, "bias_initializer": "uniform"}
recurrent = partial(bug, x=normal(3, 4, 3), inputs="sequences", config=CONFIG)
masked = partial(recurrent, x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)


def back(f, d, y, kept):
    """d *= f'(z), for an activation within the loop."""
    slope = np.empty_like(y)
    f.slope(y, slope)
    d *= slope
    f.rest(d, kept)


def summing(tape, v):
    """The tape with sums over time of another v, in the place of [x; 1; h₋] or of h₋."""
    product = copy(tape.sums[-1])
    product.v = v
    return replace(tape, sums=[*tape.sums[:-1], product])


class Stepping(LSTM):
    """The way back through one step by parts that a mistake can replace."""

    def through_h(self, t, tape, dh):
        """What dh passes to c."""
        d = dh * tape.z[t, 0]
        back(self._squash, d, tape.kept[t], tape.caches[t][2])
        return d

    def through_c(self, t, tape, dc):
        """What dc passes to the c before."""
        return dc * tape.z[t, 2]

    def reverse(self, t, tape, dstates, dz, slope):
        dh, dc = dstates
        z, (a_gates, a_g, _) = tape.z[t], tape.caches[t]
        _, i, _, g = z
        dc = dc + self.through_h(t, tape, dh)
        d = np.concatenate([dh * tape.kept[t], dc * g, dc * tape.states[1][t], dc * i])
        dz[...] = d.reshape(dz.shape)
        back(self._gate, dz[:3], z[:3], a_gates)
        back(self._squash, dz[3], g, a_g)
        return [tape.of_h.backward(dz), self.through_c(t, tape, dc)]


class SpoilingStep(Mixin):
    """The way back through a step is right, until `spoil` changes dz or what passes to the states
    before.
    """

    def reverse(self, t, tape, dstates, dz, slope):
        before = super().reverse(t, tape, dstates, dz, slope)
        self.spoil(before, dz, tape)
        return before


class EndsAtEachStep(SpoilingStep):
    """dh of the step before is 0."""

    def spoil(self, before, dz, tape):
        before[0][...] = 0


class InOrderOfProcessing(Mixin):
    """dx is turned round once more where the layer goes backwards."""

    def run_back(self, dy, dstates, tape, /):
        dx, dstates = super().run_back(dy, dstates, tape)
        return self.in_order(dx), dstates


# ----------------------------------------------------------------------------------------- LSTM


@recurrent("V")
class LstmForgetsTheCellGradientOfTheNextStep(LSTM):
    """dc starts from 0 at every step."""

    def reverse(self, t, tape, dstates, dz, slope):
        return super().reverse(t, tape, [dstates[0], np.zeros_like(dstates[1])], dz, slope)


@recurrent("V", source="AiDotNet 722")
class LstmForgetsTheHiddenGradientOfTheNextStep(EndsAtEachStep, LSTM):
    """dh of the step before is 0: what went through the recurrent kernel is lost; one step hides
    it.
    """


@recurrent("V")
class LstmForgetsItsForgetGate(Stepping):
    """dc passes to the step before without the factor f."""

    def through_c(self, t, tape, dc):
        return dc


@recurrent("V")
class LstmTakesTheDerivativeAtTheStateBefore(Stepping):
    """The derivative of tanh on the way from h to c is taken at c₋, where it is at c."""

    def through_h(self, t, tape, dh):
        return dh * tape.z[t, 0] * (1 - np.tanh(tape.states[1][t]) ** 2)


@recurrent("V")
class LstmForgetsItsOutputGate(Stepping):
    """dh passes to c without the factor o."""

    def through_h(self, t, tape, dh):
        d = dh.copy()
        back(self._squash, d, tape.kept[t], tape.caches[t][2])
        return d


@recurrent("V", verdict="equivalent")
class LstmConcatenatesItsGates(Stepping):
    """dz is put together from its four parts, where it is filled in place."""


@recurrent("V")
class LstmSwapsInputAndForgetGate(SpoilingStep, LSTM):
    """The parts of dz that belong to i and f are exchanged."""

    def spoil(self, before, dz, tape):
        dz[1:3] = dz[2:0:-1].copy()


@recurrent("V")
class LstmAssignsItsWeightGradientsAtEachStep(LSTM):
    """drecurrent_kernel and dbias are those of the step reversed last, where they are sums over
    time.
    """

    def sums(self, at, tape, dz):
        [d], n = super().sums(at, tape, dz), len(self.kernel)
        d[n:] = super().sums(slice(0, 1), tape, dz)[0][n:]
        return [d]


@recurrent("V")
class LstmPairsItsGradientWithTheStateAfter(LSTM):
    """drecurrent_kernel = Σ hᵀ dz, where it is Σ h₋ᵀ dz: shifted by one step."""

    def sums(self, at, tape, dz):
        v = tape.v[:-1].copy()
        v[:, -self.units :] = tape.states[0][1:]
        return super().sums(at, summing(tape, v), dz)


@recurrent("C", varies={"return_sequences": (False, True)})
class LstmCountsOnlyTheLastStepOfASequence(LSTM):
    """With return_sequences the gradients of all outputs but the last are dropped."""

    def through_time(self, dy, dstates, tape, dz):
        if self.return_sequences:
            last = np.arange(dy.shape[1])[:, None] == dy.shape[1] - 1
            dy = np.where(last, dy, dy.dtype.type(0))
        return super().through_time(dy, dstates, tape, dz)


@recurrent("C", varies={"go_backwards": (False, True)})
class LstmReturnsItsGradientInTheOrderOfProcessing(InOrderOfProcessing, LSTM):
    """With go_backwards dx is not turned round."""


@recurrent(
    "C", varies={"recurrent_dropout": (0.5,)}, options={"steps": (2, 4)}, tags=("stochastic",)
)
class LstmForgetsRecurrentDropoutGoingBack(SpoilingStep, LSTM):
    """dh₋ is not multiplied by what h₋ was."""

    def spoil(self, before, dz, tape):
        of_h = copy(tape.of_h)
        of_h.drop = None
        before[0] = of_h.backward(dz)


@recurrent("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class LstmForgetsDropoutGoingBack(LSTM):
    """dx is not multiplied by what x was."""

    def run_back(self, dy, dstates, tape, /):
        return super().run_back(dy, dstates, replace(tape, drop_x=None))


@masked("C")
class LstmTrainsAtMaskedSteps(LSTM):
    """Going back, a masked step counts like any other."""

    def through_time(self, dy, dstates, tape, dz):
        return super().through_time(dy, dstates, replace(tape, held=None), dz)


@masked("C", config=CONFIG)
class RnnLosesItsGradientAtMaskedSteps(SimpleRNN):
    """At a masked step the state's gradient is set to 0, where it passes by unchanged."""

    def through_time(self, dy, dstates, tape, dz):
        if tape.held is not None and not self.return_sequences:
            dy = np.where(tape.held[-1].T, 0, dy)
        return super().through_time(dy, dstates, tape, dz)


@recurrent("C", varies={"stateful": (True,)}, tags=("stateful",), inputs="sequences")
class RnnStartsFromZeroWhenItGoesBack(SimpleRNN):
    """The state that the batch before left takes part in forward and not in drecurrent_kernel."""

    def sums(self, at, tape, dz):
        v = tape.v[:-1].copy()
        v[:1, -self.units :] = 0
        return super().sums(at, summing(tape, v), dz)


# ------------------------------------------------------------------------------------------ GRU


@recurrent("V")
class GruForgetsTheStateThatWasCarriedOn(GRU):
    """dh₋ lacks dh u, the part of h₋ that went through unchanged."""

    def reverse(self, t, tape, dstates, dz, slope):
        carried = dstates[0] * tape.z[t, 1]
        return [super().reverse(t, tape, dstates, dz, slope)[0] - carried]


@recurrent("V")
class GruUpdateGateHasTheOppositeSign(SpoilingStep, GRU):
    """du = dh (g - h₋), as in papers whose gate is 1 - u."""

    def spoil(self, before, dz, tape):
        dz[1] *= -1


@recurrent("V")
class GruForgetsItsResetGateInTheRecurrentGradient(GRU):
    """drecurrent_kernel takes dzg for dwg: the factor r is left out."""

    def sums(self, at, tape, dz):
        if self.reset_after:
            dz = dz.copy()
            dz[:, 3] = dz[:, 0]
        return super().sums(at, tape, dz)


@recurrent("V")
class GruSwapsTheGradientsOfItsTwoBiases(GRU):
    """The bias of x kernel receives the gradient of the recurrent one, and the other way round."""

    def _gradients(self, dy, dlast, tape):
        found = super()._gradients(dy, dlast, tape)
        if self.use_bias and self.reset_after:
            self.dbias = self.dbias[::-1].copy()
        return found


@recurrent("C", varies={"reset_after": (True, False)})
class GruForgetsWhatTheResetGateDoesBefore(SpoilingStep, GRU):
    """Without reset_after the gate r gets no gradient."""

    def spoil(self, before, dz, tape):
        if not self.reset_after:
            dz[2] = 0


# ------------------------------------------------------------------------------------- SimpleRNN


@recurrent("V")
class RnnGoesBackOneStepOnly(EndsAtEachStep, SimpleRNN):
    """dh₋ = 0: backpropagation through time is cut off after one step."""


@recurrent("V")
class RnnPassesBackThroughItsKernelUntransposed(SpoilingStep, SimpleRNN):
    """dh₋ = dz recurrent_kernel, which always fits, as that kernel is square."""

    def spoil(self, before, dz, tape):
        before[0] = self.recurrent_kernel.T @ dz[0]


@recurrent("V")
class RnnForgetsItsActivation(SimpleRNN):
    """dz = dh: the derivative of the activation is left out at every step."""

    def reverse(self, t, tape, dstates, dz, slope):
        dz[0] = dstates[0]
        return [tape.of_h.backward(dz)]


@recurrent("V")
class RnnKernelGradientIsAveragedOverTime(SimpleRNN):
    """dkernel is the mean over the steps, where it is their sum."""

    def sums(self, at, tape, dz):
        [d] = super().sums(at, tape, dz)
        d[: len(self.kernel)] /= max(len(dz), 1)
        return [d]


# ------------------------------------------------------------------------------------ containers

pattern = Layers(lambda: GRU(2, return_sequences=True, bias_initializer="uniform"))
both = partial(bug, x=normal(3, 4, 3), inputs="sequences", config={"layer": pattern})


@both("C", reference=True, options={"steps": (2, 4)})
class BidirectionalTurnsNothingRound(Bidirectional):
    """The outputs of the layer that goes backwards stand in the order of processing; its gradient
    agrees.
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(layer, merge_mode, weights, backward_layer, **kwargs)
        self.backward_layer.in_order_of_x = False


@both("V", options={"steps": (2, 4)})
class BidirectionalDoesNotTurnItsGradientRound(Bidirectional):
    """The layer that goes backwards receives dy in the order of x, where its outputs had been
    turned round.
    """

    def _reverse(self, dy, cache, call):
        dy = dy.copy()
        half = dy.shape[-1] // 2
        dy[..., half:] = dy[:, ::-1, half:]
        return super()._reverse(dy, cache, call)


@both("V")
class BidirectionalPassesBackOneDirection(Bidirectional):
    """dx is what the forward layer passes back, where it is the sum of both."""

    def backward(self, dy, cache):
        return self._reverse(dy, cache, "backward")[0]


at_every_step = partial(bug, x=normal(3, 4, 3), inputs="sequences")


@at_every_step("V", config={"layer": Layers(lambda: Dense(2, "tanh"))}, options={"steps": (2, 4)})
class TimeDistributedTakesStepsForSequences(TimeDistributed):
    """dx comes back with the axes of batch and time exchanged."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx.reshape(dx.swapaxes(0, 1).shape).swapaxes(0, 1)


@at_every_step(
    "C",
    config={"layer": Layers(BatchNormalization)},
    options={"steps": (2, 4), "batch": (2, 3)},
    tags=("couples_rows",),
)
class TimeDistributedKeepsTheGradientOfTheLastStep(Spoiling, TimeDistributed):
    """Step by step each call sets the gradients, and those of the last call stay."""

    def spoil(self, dy, cache):
        if not self._folded and dy.shape[1]:
            self.layer.backward(dy[:, -1], cache[0][-1])


# -------------------------------------------------------------------------------------- ConvLSTM

film = partial(
    bug,
    x=normal(2, 3, 4, 2),
    inputs="images",
    config={"filters": 2, "kernel_size": 1, "bias_initializer": "uniform"},
    options={"min_side": 2},
)


@film("V")
class ConvLstmPairsItsGradientWithTheStateAfter(ConvLSTM1D):
    """drecurrent_kernel is taken from h, where it is from h₋: shifted by one step."""

    def sums(self, at, tape, dz):
        return super().sums(at, summing(tape, tape.states[0][1:]), dz)


@film("V")
class ConvLstmForgetsItsMemoryGoingBack(ConvLSTM1D):
    """df is 0: c₋ is taken for the 0 at the beginning of the sequence."""

    def through_time(self, dy, dstates, tape, dz):
        h, c = tape.states
        return super().through_time(dy, dstates, replace(tape, states=[h, np.zeros_like(c)]), dz)


@film("C", varies={"go_backwards": (False, True)})
class ConvLstmReturnsItsGradientInTheOrderOfProcessing(InOrderOfProcessing, ConvLSTM1D):
    """With go_backwards dx is not turned round."""
