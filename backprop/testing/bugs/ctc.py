"""Mistakes in CTC: which states follow one another, where alignments end, masks, the gradient."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np

from backprop.losses.ctc import CTC
from backprop.testing.bugs.bank import bug, given, normal
from backprop.testing.bugs.shared import RecallingLoss

# repeated labels, a label that comes twice with another between, padding, no labels
spelt = partial(
    bug,
    x=normal(4, 6, 4),
    y_true=given([[1, 2, 1, 0], [2, 2, 3, 0], [3, 1, 2, 3], [0, 0, 0, 0]], int),
    inputs="labels",
)
twice = partial(spelt, x=normal(3, 5, 3), y_true=given([[1, 1, 0], [2, 1, 2], [2, 2, 0]], int))


# ------------------------------------------------------------------------------------ the states


@twice("L", reference=True)
class CTCSkipsTheBlankBetweenRepeats(CTC):
    """An alignment may go from a label to an equal one without the blank between: a a spells a a,
    and a too.
    """

    def repeated(self, y_true):
        return np.zeros(y_true.shape, bool)


@spelt("L", reference=True, config={"zero_infinity": True})
class CTCNeverSkipsABlank(CTC):
    """There has to be a blank between any two labels."""

    def repeated(self, y_true):
        always = np.ones(y_true.shape, bool)
        always[:, :1] = False
        return always


@twice("C")
class CTCSkipsTheBlankBetweenRepeatsBackwards(CTC):
    """Read from the end, equal labels may follow one another without a blank."""

    def read(self, logq, y_true, real):
        states, n = super().read(logq, y_true, real), len(y_true)
        plain = CTCSkipsTheBlankBetweenRepeats().read(logq, y_true, real)
        states.A[..., n:], states.B[..., n:] = plain.A[..., n:], plain.B[..., n:]
        return states


@spelt("V")
class CTCEndsInItsLastLabel(CTC):
    """The blank behind the last label is not counted as an end."""

    def total(self, states, y_true):
        lengths, at = np.count_nonzero(y_true, axis=1), np.arange(len(y_true))
        label = states.A[-1, lengths - 1, at]
        return np.where(lengths > 0, label, states.B[-1, lengths, at])


@spelt("V")
class CTCEndsInABlank(CTC):
    """The last label itself is not counted as an end: the last step has to be a blank."""

    def total(self, states, y_true):
        return states.B[-1, np.count_nonzero(y_true, axis=1), np.arange(len(y_true))]


@spelt("C")
class CTCEndsBehindThePadding(CTC):
    """An alignment ends behind the whole row of y_true, zeros included, whatever its length."""

    def total(self, states, y_true):
        n = len(y_true)
        return np.logaddexp(states.A[-1, -1, :n], states.B[-1, -1, :n])


@spelt("P")
class CTCSumsProbabilities(CTC):
    """The sum over alignments leaves the logarithms: it is 0 where logits are large."""

    def total(self, states, y_true):
        return np.log(np.exp(super().total(states, y_true)))


# -------------------------------------------------------------------------------- masks, weights


@spelt("L", reference=True)
class CTCReadsMaskedSteps(CTC):
    """Steps behind the end of a sequence are read like the others."""

    def measure(self, y_true, y_pred, mask):
        return *self.values(y_true, y_pred), None


@spelt("C")
class CTCReadsMaskedStepsBackwards(CTC):
    """The mask holds for what came before, and not for what can follow."""

    def read(self, logq, y_true, real):
        states, n = super().read(logq, y_true, real), len(y_true)
        plain = super().read(logq, y_true, None)
        states.A[..., n:], states.B[..., n:] = plain.A[..., n:], plain.B[..., n:]
        return states


@spelt("C", source="TensorFlow 41280")
class CTCTrainsMaskedSteps(RecallingLoss, CTC):
    """A step that was left out gets q as its gradient."""

    def recalled(self, *cache):
        return *cache[:-1], None


@spelt("C", source="PyTorch 11750")
class CTCForgetsTheWeightsGoingBack(CTC):
    """Each sample gets the mean of dvalues."""

    def gradient(self, dvalues, cache):
        return super().gradient(np.full_like(dvalues, dvalues.mean() if dvalues.size else 0), cache)


@spelt("V")
class CTCDividesByTheLabelsGoingForth(CTC):
    """The value is one a label, the gradient one a sequence."""

    def values(self, y_true, y_pred, real=None):
        values, cache = super().values(y_true, y_pred, real)
        return values / np.maximum(np.count_nonzero(y_true, axis=1), 1).astype(values.dtype), cache


@spelt("C", config={"zero_infinity": True}, options={"spellable": False}, source="RETURNN 1835")
class CTCTrainsWhatCannotBeSpelt(RecallingLoss, CTC):
    """A sample with too few steps for its labels costs nothing, and gets q as its gradient."""

    def recalled(self, *cache):
        *rest, possible, real = cache
        return *rest, np.ones_like(possible), real


# ----------------------------------------------------------------------------------- the gradient


@spelt("V")
class CTCForgetsWhatWasSpelt(CTC):
    """dy_pred = q: the probability of the states is not taken away."""

    def gradient(self, dvalues, cache):
        e, s, *_, real = cache
        dy_pred = e / s[..., None] * dvalues[:, None, None]
        return dy_pred if real is None else dy_pred * real[..., None]


@spelt("V")
class CTCTakesLogitsForLogProbabilities(RecallingLoss, CTC):
    """dy_pred = -γ, which is the derivative by log q: the softmax is not reversed."""

    def recalled(self, e, *rest):
        return np.zeros_like(e), *rest


def without_q(states):
    """The states with the probability of each step as 1."""
    states = copy.copy(states)
    states.logq, states.logblank = 0 * states.logq, 0 * states.logblank
    return states


@spelt("V")
class CTCCountsEachStepTwice(RecallingLoss, CTC):
    """What came before and what can follow both hold q of the step, which is divided out by
    neither.
    """

    def recalled(self, e, s, chosen, states, *rest):
        return e, s, chosen, without_q(states), *rest


@spelt("C")
class CTCKeepsTheLastOfEqualLabels(RecallingLoss, CTC):
    """γ of a class that is spelt twice is assigned, not added up: one place of it remains."""

    def recalled(self, e, s, chosen, *rest):
        last = chosen.copy()
        last[:, 1:] *= np.cumsum(last[:, :0:-1], axis=1)[:, ::-1] == 1
        return e, s, last, *rest


@spelt("V")
class CTCForgetsTheBlank(RecallingLoss, CTC):
    """γ is taken away for labels alone."""

    def recalled(self, e, s, chosen, *rest):
        labels = chosen.copy()
        labels[:, 0] = 0
        return e, s, labels, *rest


@spelt("V")
class CTCLooksBackOnly(RecallingLoss, CTC):
    """γ is the probability to be in a state after what came before, whatever has to follow."""

    def recalled(self, e, s, chosen, states, *rest):
        n, states = states.n, without_q(states)
        states.A, states.B = states.A.copy(), states.B.copy()
        states.A[1:, :, n:], states.B[1:, :, n:] = 0, 0
        return e, s, chosen, states, *rest


@spelt("V", verdict="equivalent")
class CTCAddsUpOneLabelAfterTheOther(CTC):
    """γ is added up label by label, where the product with rows of 0 and 1 does it for all."""

    def gradient(self, dvalues, cache):
        e, s, chosen, states, logp, possible, real = cache
        share = states.shares(np.where(possible, logp, 0))
        dy_pred = e / s[..., None]
        at, classes = np.arange(len(chosen)), chosen.argmax(-1)
        for u in range(share.shape[-1]):
            dy_pred[at, :, classes[:, u]] -= share[..., u]
        dy_pred *= (dvalues * possible)[:, None, None]
        return dy_pred if real is None else dy_pred * real[..., None]
