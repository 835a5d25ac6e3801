"""Mistakes in recurrent layers: paths through time that are lost, gates mixed up, masks and dropout
forgotten.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.recurrent import GRU, LSTM, SimpleRNN, project_backward
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal

CONFIG = {"units": 2, "bias_initializer": "uniform"}
recurrent = partial(bug, x=normal(3, 4, 3), inputs="sequences", config=CONFIG)
masked = partial(recurrent, x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)


class Stepping(LSTM):
    """The way back through one step by parts that a mistake can replace."""

    def through_h(self, dh, cache):
        """What dh passes to c."""
        _, _, _, o, _, _, _, _, a_s = cache
        return self.activation.backward(dh * o, a_s)

    def through_c(self, dc, cache):
        """What dc passes to the c before."""
        return dc * cache[1]

    def step_backward(self, dstates, cache, drop):
        dh, dc = dstates
        i, _, g, _, s, c_before, a_gates, a_g, _ = cache
        dc = dc + self.through_h(dh, cache)
        dgates = np.stack([dc * g, dc * c_before, dh * s], axis=1)
        dgates = self.recurrent_activation.backward(dgates, a_gates)
        dg = self.activation.backward(dc * i, a_g)
        dz = np.concatenate([dgates[:, 0], dgates[:, 1], dg, dgates[:, 2]], axis=1)
        return dz, [project_backward(dz, self.recurrent_kernel, drop), self.through_c(dc, cache)]


# ----------------------------------------------------------------------------------------- LSTM


@recurrent("V")
class LstmForgetsTheCellGradientOfTheNextStep(LSTM):
    """dc starts from 0 at every step."""

    def step_backward(self, dstates, cache, drop):
        dh, dc = dstates
        return super().step_backward([dh, np.zeros_like(dc)], cache, drop)


@recurrent("V", source="AiDotNet 722")
class LstmForgetsTheHiddenGradientOfTheNextStep(LSTM):
    """dh of the step before is 0: what went through the recurrent kernel is lost; one step hides
    it.
    """

    def step_backward(self, dstates, cache, drop):
        dz, (dh, dc) = super().step_backward(dstates, cache, drop)
        return dz, [np.zeros_like(dh), dc]


@recurrent("V")
class LstmForgetsItsForgetGate(Stepping):
    """dc passes to the step before without the factor f."""

    def through_c(self, dc, cache):
        return dc


@recurrent("V")
class LstmTakesTheDerivativeAtTheStateBefore(Stepping):
    """The derivative of tanh on the way from h to c is taken at c₋, where it is at c."""

    def through_h(self, dh, cache):
        _, _, _, o, _, c_before, _, _, _ = cache
        return dh * o * (1 - np.tanh(c_before) ** 2)


@recurrent("V")
class LstmForgetsItsOutputGate(Stepping):
    """dh passes to c without the factor o."""

    def through_h(self, dh, cache):
        return self.activation.backward(dh, cache[8])


@recurrent("V", verdict="equivalent")
class LstmConcatenatesItsGates(Stepping):
    """dz is put together from its four parts, where it is filled in place."""


@recurrent("V")
class LstmSwapsInputAndForgetGate(LSTM):
    """The parts of dz that belong to i and f are exchanged."""

    def step_backward(self, dstates, cache, drop):
        i, f, g, o, s, c_before, *activations = cache
        dz, before = super().step_backward(dstates, (i, f, g, o, s, c_before, *activations), drop)
        dz = dz.reshape(len(dz), 4, self.units)[:, [1, 0, 2, 3]]
        return dz.reshape(len(dz), 4 * self.units), before


@recurrent("V")
class LstmAssignsItsWeightGradientsAtEachStep(LSTM):
    """drecurrent_kernel and dbias are those of the step reversed last, where they are sums over
    time.
    """

    def recurrent_gradients(self, hs, dz, drop, caches):
        super().recurrent_gradients(hs[:1], dz[:1], drop, caches[:1])


@recurrent("V")
class LstmPairsItsGradientWithTheStateAfter(LSTM):
    """drecurrent_kernel = Σ hᵀ dz, where it is Σ h₋ᵀ dz: shifted by one step."""

    def recurrent_gradients(self, hs, dz, drop, caches):
        after = np.concatenate([hs[1:], hs[-1:]])
        super().recurrent_gradients(after, dz, drop, caches)


@recurrent("C", varies={"return_sequences": (False, True)})
class LstmCountsOnlyTheLastStepOfASequence(LSTM):
    """With return_sequences the gradients of all outputs but the last are dropped."""

    def _through_time(self, dy, cache):
        if self.return_sequences:
            last = np.zeros(dy.shape, dy.dtype)
            last[:, -1:] = dy[:, -1:]
            dy = last
        return super()._through_time(dy, cache)


@recurrent("C", varies={"go_backwards": (False, True)})
class LstmReturnsItsGradientInTheOrderOfProcessing(LSTM):
    """With go_backwards dx is not turned round."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx[:, ::-1] if self.go_backwards else dx


@recurrent(
    "C", varies={"recurrent_dropout": (0.5,)}, options={"steps": (2, 4)}, tags=("stochastic",)
)
class LstmForgetsRecurrentDropoutGoingBack(LSTM):
    """dh₋ is not multiplied by what h₋ was."""

    def step_backward(self, dstates, cache, drop):
        return super().step_backward(dstates, cache, None)


@recurrent("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class LstmForgetsDropoutGoingBack(LSTM):
    """dx is not multiplied by what x was."""

    def backward(self, dy, cache):
        dz = self._through_time(dy, cache)
        return self._in_order(project_backward(dz, self.kernel, None), back=True)


@masked("C")
class LstmTrainsAtMaskedSteps(LSTM):
    """Going back, a masked step counts like any other."""

    def _through_time(self, dy, cache):
        xs, hs, _, drop, recurrent_drop, caches = cache
        return super()._through_time(dy, (xs, hs, None, drop, recurrent_drop, caches))


@masked("C", config=CONFIG)
class RnnLosesItsGradientAtMaskedSteps(SimpleRNN):
    """At a masked step the state's gradient is set to 0, where it passes by unchanged."""

    def step_backward(self, dstates, cache, drop):
        return super().step_backward(dstates, cache, drop)

    def _through_time(self, dy, cache):
        xs, hs, held, drop, recurrent_drop, caches = cache
        if held is None or self.return_sequences:
            return super()._through_time(dy, cache)
        gone = np.logical_or.accumulate(held[::-1])[
            ::-1
        ]  # from the last masked step back, nothing arrives
        return super()._through_time(
            np.where(gone[-1], 0, dy), (xs, hs, held, drop, recurrent_drop, caches)
        )


# ------------------------------------------------------------------------------------------ GRU


@recurrent("V")
class GruForgetsTheStateThatWasCarriedOn(GRU):
    """dh₋ lacks dh u, the part of h₋ that went through unchanged."""

    def step_backward(self, dstates, cache, drop):
        dz, (dh,) = super().step_backward(dstates, cache, drop)
        return dz, [dh - dstates[0] * cache[1]]


@recurrent("V")
class GruUpdateGateHasTheOppositeSign(GRU):
    """du = dh (g - h₋), as in papers whose gate is 1 - u."""

    def step_backward(self, dstates, cache, drop):
        dz, before = super().step_backward(dstates, cache, drop)
        dz = dz.copy()
        dz[:, : self.units] *= -1
        return dz, before


@recurrent("V")
class GruForgetsItsResetGateInTheRecurrentGradient(GRU):
    """drecurrent_kernel takes dzg for dwg: the factor r is left out."""

    def recurrent_gradients(self, hs, dz, drop, caches):
        if not self.reset_after:
            return super().recurrent_gradients(hs, dz, drop, caches)
        caches = [(h, u, np.ones_like(r), *rest) for h, u, r, *rest in caches]
        return super().recurrent_gradients(hs, dz, drop, caches)


@recurrent("V")
class GruSwapsTheGradientsOfItsTwoBiases(GRU):
    """The bias of x kernel receives the gradient of the recurrent one, and the other way round."""

    def recurrent_gradients(self, hs, dz, drop, caches):
        super().recurrent_gradients(hs, dz, drop, caches)
        if self.use_bias and self.reset_after:
            self.dbias = self.dbias[::-1].copy()


@recurrent("C", varies={"reset_after": (True, False)})
class GruForgetsWhatTheResetGateDoesBefore(GRU):
    """Without reset_after the gate r gets no gradient."""

    def step_backward(self, dstates, cache, drop):
        dz, before = super().step_backward(dstates, cache, drop)
        if not self.reset_after:
            dz = dz.copy()
            dz[:, self.units : 2 * self.units] = 0
        return dz, before


# ------------------------------------------------------------------------------------- SimpleRNN


@recurrent("V")
class RnnGoesBackOneStepOnly(SimpleRNN):
    """dh₋ = 0: backpropagation through time is cut off after one step."""

    def step_backward(self, dstates, cache, drop):
        dz, (dh,) = super().step_backward(dstates, cache, drop)
        return dz, [np.zeros_like(dh)]


@recurrent("V")
class RnnPassesBackThroughItsKernelUntransposed(SimpleRNN):
    """dh₋ = dz recurrent_kernel, which always fits, as that kernel is square."""

    def step_backward(self, dstates, cache, drop):
        dz = self.activation.backward(dstates[0], cache)
        return dz, [project_backward(dz, self.recurrent_kernel.T, drop)]


@recurrent("V")
class RnnForgetsItsActivation(SimpleRNN):
    """dz = dh: the derivative of the activation is left out at every step."""

    def step_backward(self, dstates, cache, drop):
        dz = dstates[0]
        return dz, [project_backward(dz, self.recurrent_kernel, drop)]


@recurrent("V")
class RnnKernelGradientIsAveragedOverTime(SimpleRNN):
    """dkernel is the mean over the steps, where it is their sum."""

    def _through_time(self, dy, cache):
        dz = super()._through_time(dy, cache)
        self.dkernel /= max(len(dz), 1)
        return dz
