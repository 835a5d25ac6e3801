"""Mistakes of shipped layers that small cases hide: they begin behind a block, or at |x| = 30."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations import SiLU, Softplus
from backprop.layers.attention import Attention
from backprop.layers.dense import Dense
from backprop.layers.normalization import LayerNormalization
from backprop.layers.pooling import GlobalMaxPooling1D, MaxPooling1D
from backprop.layers.recurrent import GRU, LSTM, SimpleRNN
from backprop.testing.bugs.bank import bug, each_of, normal
from backprop.testing.bugs.shared import Mixin, Spoiling

dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3})
floats = partial(bug, x=normal(4, 5), inputs="floats")
recurrent = partial(
    bug, x=normal(2, 4, 3), inputs="sequences", config={"units": 2, "return_sequences": True}
)


class ChangesItsOwn(Mixin):
    """dx is right, until `change` is given a copy of it."""

    def backward(self, dy, cache):
        dx = np.array(super().backward(dy, cache))
        self.change(dx)
        return dx


@dense("C")
class DenseForgetsWhatIsLeftOfItsBlocks(ChangesItsOwn, Dense):
    """dx is computed in blocks of 32 rows, and the last ones get none."""

    def change(self, dx):
        if len(dx) > 32:
            dx[len(dx) // 32 * 32 :] = 0


@dense("C")
class DenseSumsWholeBlocksAlone(Spoiling, Dense):
    """dbias is the sum over blocks of 16 rows, without what is left over."""

    def spoil(self, dy, cache):
        whole = len(dy) if len(dy) < 16 else len(dy) // 16 * 16
        self.dbias = self.dbias - dy[whole:].reshape(-1, dy.shape[-1]).sum(0)


@floats("C")
class LayerNormHasEightLanes(ChangesItsOwn, LayerNormalization):
    """dx of features behind the eighth is a hundredth too large."""

    def change(self, dx):
        dx[..., 8:] *= 1.01


@floats("C")
class LayerNormHasSixtyFourLanes(ChangesItsOwn, LayerNormalization):
    """dx of features behind the 64th is that of one further left."""

    def change(self, dx):
        dx[..., 64:] = dx[..., 63:-1]


@recurrent("C")
class GruGoesBackEightSteps(ChangesItsOwn, GRU):
    """dx of all steps but the last eight is 0: truncated, and nobody asked for it."""

    def change(self, dx):
        dx[:, : max(dx.shape[1] - 8, 0)] = 0


@recurrent("C")
class LstmUnrollsSixteenSteps(ChangesItsOwn, LSTM):
    """dx of the steps behind the 16th is that of the one before."""

    def change(self, dx):
        dx[:, 16:] = dx[:, 15:-1]


@recurrent("C")
class SimpleRnnClipsWhatGoesBackFar(Spoiling, SimpleRNN):
    """drecurrent_kernel of more than 32 steps is scaled as if there were 32."""

    def spoil(self, dy, cache):
        if dy.shape[1] > 32:
            self.drecurrent_kernel = self.drecurrent_kernel * (32 / dy.shape[1])


@bug("C", x=normal(2, 4, 3), inputs="sequences", tags=("piecewise",))
class GlobalMaxPoolingKeepsPlacesInEightBits(ChangesItsOwn, GlobalMaxPooling1D):
    """The place of a maximum is kept in eight bits with a sign, and 128 becomes -128."""

    def change(self, dx):
        far = dx[:, 128:].sum(1)
        dx[:, 128:] = 0
        if dx.shape[1] > 128:
            dx[:, 0] += far


@bug(
    "C",
    x=normal(2, 6, 2),
    inputs="sequences",
    config={"pool_size": 2, "padding": "same"},
    varies={"pool_size": (2, 3, 7)},
    tags=("piecewise",),
)
class MaxPoolingHalvesWideWindows(ChangesItsOwn, MaxPooling1D):
    """dx of windows wider than six is half of what it should be."""

    def change(self, dx):
        if self.pool_size[0] > 6:
            dx *= 0.5


@bug(
    "C",
    x=each_of(normal(2, 3, 4), normal(2, 2, 4), normal(2, 2, 4)),
    inputs="attended",
)
class AttentionForgetsQueriesBehindABlock(Attention):
    """dquery behind the 32nd query is 0."""

    def backward(self, dy, cache):
        dquery, *others = super().backward(dy, cache)
        dquery = np.array(dquery)
        dquery[:, 32:] = 0
        return dquery, *others


@floats("P")
class SoftplusEndsAtThirty(Softplus):
    """dx beyond 30 is 0, where it is dy."""

    def backward(self, dy, cache):
        dx = np.array(super().backward(dy, cache))
        dx[np.isclose(dx, dy, rtol=1e-13, atol=0)] = 0
        return dx


@floats("P")
class SiluIsFlatNearZero(SiLU):
    """dx of a tiny x is 0, where it is dy / 2."""

    def backward(self, dy, cache):
        dx = np.array(super().backward(dy, cache))
        dx[np.isclose(dx, dy / 2, rtol=3e-4, atol=0)] = 0
        return dx


@floats("P")
class LayerNormTakesNothingBackFromAConstant(LayerNormalization):
    """dx of a row of equal numbers is dy r, without what goes through the mean."""

    def backward(self, dy, cache):
        xhat, *_ = cache
        dx = super().backward(dy, cache)
        flat = ~xhat.reshape(dy.shape).any(-1, keepdims=True)
        return np.where(flat, self.gamma * dy / np.sqrt(self.epsilon), dx)
