"""Mistakes where sequences begin and end: first and last states of recurrent layers, cells, stacks
of them, and both directions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE, Layer
from backprop.layers.chain import Chain
from backprop.layers.embedding import Embedding
from backprop.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM1D,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)
from backprop.layers.recurrent.sums import Sums
from backprop.testing.bugs.bank import Layers, bug, integers, normal
from backprop.testing.bugs.shared import Mixin, Recalling


class InTwoParts(Layer):
    """y = [y₁ y₂ states]: a layer reads half of a sequence from states that are learnt, and the
    other half from the states that the first one ends with.

    Going back, the second half passes its dstates to the first, and that its own to the start.
    """

    layer: Any

    def build(self, input_shape):
        self.layer.build(input_shape)
        size = sum(self._sizes(self._outputs(input_shape)[1]))
        self.start, self.dstart = self.param("start", (size,), "random_normal")

    def compute_output_shape(self, input_shape):
        shapes, states = [], ()
        for at in self._halves(input_shape[1]):
            steps = len(range(*at.indices(input_shape[1])))
            y, states = self._outputs((input_shape[0], steps, *input_shape[2:]))
            shapes += y
        return (input_shape[0], sum(self._sizes([*shapes, *states])))

    def check_input(self, shape):
        self.layer.check_input(shape)

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        shapes = self._outputs(x.shape)[1]
        start = np.broadcast_to(self.start.astype(x.dtype), (len(x), len(self.start)))
        states, found, caches = self._parted(start, shapes), [], []
        for at in self._halves(x.shape[1]):
            mask = None if ctx.mask is None else self.real_steps(x, ctx.mask)[:, at]
            y, cache = self.layer.forward((x[:, at], *states), ctx.with_mask(mask))
            k = len(y) - self.layer.state_count
            found, states = [*found, *y[:k]], y[k:]
            caches.append(cache)
        found = [*found, *states]
        shapes = [a.shape for a in found]
        sizes = self._sizes(shapes)
        y = [a.reshape(len(x), size) for a, size in zip(found, sizes, strict=True)]
        return np.concatenate(y, axis=1), (caches, shapes)

    def backward(self, dy, cache):
        caches, shapes = cache
        parts, count = self._parted(dy, shapes), self.layer.state_count
        k = (len(parts) - count) // 2
        dstates, found, sums = parts[-count:], [], Sums(self.layer)
        for d, its in zip((parts[k : 2 * k], parts[:k]), reversed(caches), strict=True):
            dx, *dstates = self.layer.backward((*d, *dstates), its)
            found.append(dx)
            sums.add()
        sums.put()
        self.dstart = np.concatenate([d.sum(0).ravel() for d in dstates])
        return np.concatenate(found[::-1], axis=1)

    def _outputs(self, shape):
        """The shapes of y and of the states for a sequence of this shape."""
        found = self.layer.compute_output_shape(shape)
        k = len(found) - self.layer.state_count
        return found[:k], found[k:]

    def _halves(self, steps):
        return slice(0, steps // 2), slice(steps // 2, None)

    def _sizes(self, shapes):
        return [int(np.prod(shape[1:])) for shape in shapes]

    def _parted(self, a, shapes):
        ends = np.cumsum(self._sizes(shapes))
        parts = np.split(a, ends[:-1], axis=1)
        return [part.reshape(len(a), *s[1:]) for part, s in zip(parts, shapes, strict=True)]


def behind_padding(layer):
    """Read in two parts, with padding among what is looked up."""
    return Chain([Embedding(5, 3, mask_zero=True), InTwoParts(layer)])


CONFIG = {"units": 2, "bias_initializer": "uniform", "return_state": True}
parted = partial(
    bug,
    x=normal(3, 4, 3),
    inputs="sequences",
    config=CONFIG,
    inside=InTwoParts,
    options={"steps": (2, 4)},
)
padded = partial(parted, x=integers(3, 4, 5), inputs="tokens", inside=behind_padding, options={})


class GoesBackWith(Mixin):
    """The way back of a run with the dy and dstates that `arriving` makes of those that came, and
    with what `leaving` makes of the gradients of the first states.
    """

    def run_back(self, dy, dstates, cache, /):
        dy, dstates = self.arriving(dy, dstates)
        dx, dstates = super().run_back(dy, dstates, cache)
        return dx, self.leaving(dstates)

    def arriving(self, dy, dstates):
        return dy, dstates

    def leaving(self, dstates):
        return dstates


# ---------------------------------------------------------------------------- first and last states


@parted("V", varies={"return_sequences": (False, True)})
class LstmForgetsTheGradientsOfItsLastStates(GoesBackWith, LSTM):
    """What comes back for the states that are returned is dropped."""

    def arriving(self, dy, dstates):
        return dy, []


@parted("V")
class LstmForgetsTheGradientOfItsLastCell(GoesBackWith, LSTM):
    """Of the states that are returned only h gets its gradient, and dc begins with 0."""

    def arriving(self, dy, dstates):
        return dy, dstates[:1]


@parted("V")
class RnnCountsItsLastStateOnlyOnce(GoesBackWith, SimpleRNN):
    """y is the last state too, and the gradient of the one replaces that of the other."""

    def arriving(self, dy, dstates):
        return np.zeros_like(dy), dstates


@parted("V")
class LstmAddsTheGradientsOfItsLastStatesAtTheOtherEnd(GoesBackWith, LSTM):
    """dstates of the last states are added to those of the first, behind the loop."""

    def run_back(self, dy, dstates, cache, /):
        dx, found = super().run_back(dy, [], cache)
        return dx, [a + b for a, b in zip(found, dstates, strict=True)]


@parted("V")
class GruTakesItsFirstStateForAConstant(GoesBackWith, GRU):
    """dh of a state that was given is 0, as that of the zeros that a sequence starts from."""

    def leaving(self, dstates):
        return [np.zeros_like(d) for d in dstates]


@parted("V")
class LstmSwapsTheGradientsOfItsFirstStates(GoesBackWith, LSTM):
    """dh and dc of the first states are exchanged."""

    def leaving(self, dstates):
        return dstates[::-1]


@parted("V")
class GruTakesZerosForItsFirstStateGoingBack(GRU):
    """Going back h₋ of the first step is 0, where it was given."""

    def run_back(self, dy, dstates, tape, /):
        [h] = tape.states
        return super().run_back(dy, dstates, replace(tape, states=[without_first(h)]))


def without_first(state):
    state = state.copy()
    state[0] = 0
    return state


@padded("C", config=CONFIG)
class LstmScalesItsCellAtMaskedSteps(LSTM):
    """At a masked step dc passes through the forget gate of a step that did not happen."""

    def through_time(self, dy, dstates, tape, dz):
        for t in super().through_time(dy, dstates, tape, dz):
            if tape.held is not None:
                dstates[1] = dstates[1] * np.where(tape.held[t], tape.z[t, 2], 1)
            yield t


@padded("C", config=CONFIG)
class RnnDropsTheGradientOfAStateThatPaddingPassedOn(GoesBackWith, SimpleRNN):
    """dstates of the last states do not pass the padding at the end of a sequence."""

    def run_back(self, dy, dstates, tape, /):
        if tape.held is not None:
            dstates = [np.where(tape.held[-1].T, 0, d) for d in dstates]
        return super().run_back(dy, dstates, tape)


@parted("C", varies={"go_backwards": (False, True)})
class LstmReturnsItsStatesFromTheWrongEnd(LSTM):
    """Going backwards the states that are returned are those of the last step of x, which is the
    first that was processed.
    """

    def _last_states(self, tape):
        if not self.go_backwards:
            return super()._last_states(tape)
        return [self.from_loop(state[1:2])[:, 0] for state in tape.states]


@parted(
    "V",
    x=normal(2, 4, 3, 2),
    inputs="images",
    options={"min_side": 2},
    config={"filters": 2, "kernel_size": 1, "bias_initializer": "uniform", "return_state": True},
)
class ConvLstmForgetsTheGradientsOfItsLastStates(GoesBackWith, ConvLSTM1D):
    """What comes back for the images that are returned as states is dropped."""

    def arriving(self, dy, dstates):
        return dy, []


# -------------------------------------------------------------------------------------------- cells

repeated = partial(
    bug,
    x=normal(3, 4, 3),
    inputs="sequences",
    config={"units": 2, "bias_initializer": "uniform"},
    inside=partial(RNN, return_sequences=True),
    options={"steps": (2, 4)},
)


@repeated("V")
class CellForgetsWhatTheNextStepPassesBack(SimpleRNNCell):
    """dh is that of y alone, without what comes back for the state."""

    def backward(self, dy, cache):
        return super().backward((dy[0], np.zeros_like(dy[1])), cache)


@repeated("V")
class CellForgetsItsOutput(SimpleRNNCell):
    """dh is that of the state alone, without what comes back for y."""

    def backward(self, dy, cache):
        return super().backward((np.zeros_like(dy[0]), dy[1]), cache)


@repeated("V")
class LstmCellForgetsItsForgetGate(LSTMCell):
    """dc passes to the step before without the factor f."""

    def backward(self, dy, cache):
        dx, dh, dc = super().backward(dy, cache)
        return dx, dh, dc / cache[1][1]


@repeated("V")
class LstmCellReturnsItsGradientsInAnotherOrder(LSTMCell):
    """dc₋ stands where dh₋ belongs, and the other way round."""

    def backward(self, dy, cache):
        dx, dh, dc = super().backward(dy, cache)
        return dx, dc, dh


@repeated("V")
class LstmCellTakesTheCellBehindTheStep(Recalling, LSTMCell):
    """df is taken with c, where it is taken with c₋."""

    def recalled(self, before, gates, caches):
        (x, h, c, *drop), (i, f, g, *_) = before, gates
        return (x, h, f * c + i * g, *drop), gates, caches


@repeated("V")
class GruCellForgetsTheWayThatKeepsItsState(GRUCell):
    """dh₋ is that of the products alone, without dh u."""

    def backward(self, dy, cache):
        dx, dh = super().backward(dy, cache)
        return dx, dh - (dy[0] + dy[1]) * cache[2][0]


@repeated("C", varies={"recurrent_dropout": (0.5,)}, tags=("stochastic",))
class CellForgetsRecurrentDropoutGoingBack(Recalling, SimpleRNNCell):
    """dh₋ is not multiplied by what h₋ was, nor h₋ in drecurrent_kernel."""

    def recalled(self, x, h, drop_x, drop_h, a):
        return x, h, drop_x, None, a


stack = Layers(lambda: [SimpleRNNCell(2), GRUCell(2, bias_initializer="uniform")])
stacked = partial(repeated, config={"cells": stack})


@stacked("V")
class StackSwapsTheGradientsOfItsStates(StackedRNNCells):
    """dstates of the first cell are given to the second one, and the other way round."""

    def backward(self, dy, caches):
        dx, *dstates = super().backward(dy, caches)
        return dx, *dstates[::-1]


@stacked("V")
class StackForgetsTheStatesOfItsFirstCell(StackedRNNCells):
    """Only the last cell hears what the step after passes back."""

    def backward(self, dy, caches):
        dy, first, second = dy
        return super().backward((dy, np.zeros_like(first), second), caches)


@stacked("C", reference=True)
class StackStartsItsCellsFromEachOthersStates(StackedRNNCells):
    """Each cell goes on from the state that the other one has left; the gradients agree."""

    def advance(self, x, ctx, drawn):
        x, first, second = x
        return super().advance((x, second, first), ctx, drawn)

    def backward(self, dy, caches):
        dx, *dstates = super().backward(dy, caches)
        return dx, *dstates[::-1]


cell = Layers(lambda: LSTMCell(2, bias_initializer="uniform"))
of_cells = partial(parted, config={"cell": cell, "return_state": True, "return_sequences": True})


@of_cells("V")
class RnnAveragesTheGradientsOfItsCell(RNN):
    """dkernel is the mean over the steps, where it is their sum."""

    def run_back(self, dy, dstates, cache, /):
        found = super().run_back(dy, dstates, cache)
        for p in self.cell.arrays():
            p.gradient[...] /= max(len(cache[0]), 1)
        return found


@of_cells("V")
class RnnStartsItsWayBackFromZeros(RNN):
    """What comes back for the states that are returned is dropped."""

    def run_back(self, dy, dstates, cache, /):
        return super().run_back(dy, [np.zeros_like(d) for d in dstates], cache)


@partial(of_cells, x=integers(3, 4, 5), inputs="tokens", inside=behind_padding, options={})("C")
class RnnDropsWhatMaskedStepsRepeat(RNN):
    """dy of a masked step is dropped, where y repeats that of the step before."""

    def _dy_of_steps(self, dy, held):
        return dy if held is None else np.where(held[..., None], 0, dy)


@of_cells("C", varies={"go_backwards": (False, True)})
class RnnReturnsItsGradientInTheOrderOfProcessing(RNN):
    """With go_backwards dx is not turned round."""

    def run_back(self, dy, dstates, cache, /):
        dx, dstates = super().run_back(dy, dstates, cache)
        return self.in_order(dx), dstates


# ---------------------------------------------------------------------------------- both directions

pattern = Layers(lambda: GRU(2, bias_initializer="uniform", return_state=True))
both = partial(parted, config={"layer": pattern})


@both("V")
class BidirectionalSwapsTheGradientsOfItsLastStates(Bidirectional):
    """What comes back for the state of one direction goes to the other."""

    def _reverse(self, dy, cache, call):
        *y, f, b = dy
        return super()._reverse((*y, b, f), cache, call)


@both("V")
class BidirectionalGivesItsFirstStatesOneGradient(Bidirectional):
    """Both first states receive the gradient of that of the forward layer."""

    def backward(self, dy, cache):
        dx, f, _ = super().backward(dy, cache)
        return dx, f, f


@both("V", config={"layer": pattern, "merge_mode": None})
class BidirectionalForgetsItsSecondOutput(Bidirectional):
    """With merge_mode=None what comes back for the output of the backward layer is dropped."""

    def _reverse(self, dy, cache, call):
        f, b, *states = dy
        return super()._reverse((f, np.zeros_like(b), *states), cache, call)
