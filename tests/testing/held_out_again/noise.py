"""Dropout of whole features."""

from typing import ClassVar

import numpy as np
from testing.held_out import Authors

from backprop.checks import Fraction
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.testing import shapes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


@written(shapes(min_dims=1, max_dims=3), configs={"rate": [0.0, 0.3, 0.5]}, tags=("stochastic",))
class ChannelDropout(Layer):
    """y = x k, where k is 0 with probability rate and 1 / (1 - rate) else, one for all steps.

    x, y: (batch, ..., n)    k: (batch, 1, ..., n)

    In inference y = x.
    """

    rate: Fraction = 0.5
    seed: int | None = None

    def build(self, input_shape):
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or not self.rate:
            return x, None
        keep = self.rng.random(self.noise_shape(x)) >= self.rate
        k = keep.astype(x.dtype) / (1 - self.rate) if self.rate < 1 else keep.astype(x.dtype)
        return x * k, k

    def noise_shape(self, x):
        return (len(x), *[1] * (x.ndim - 2), x.shape[-1])

    def backward(self, dy, k):
        return dy if k is None else dy * k

    def draws(self, ctx):
        """Whether some are kept and some are not."""
        return ctx.training and 0 < self.rate < 1


@wrong
class ChannelDropoutForAllRows(ChannelDropout):
    """All rows of more than four have one draw."""

    def noise_shape(self, x):
        return (1 if len(x) > 4 else len(x), *[1] * (x.ndim - 2), x.shape[-1])


@wrong
class ChannelDropoutOfSinglePlaces(ChannelDropout):
    """For x of four axes each place has a draw of its own."""

    def noise_shape(self, x):
        return x.shape if x.ndim == 4 else super().noise_shape(x)


@wrong
class ChannelDropoutFoundByZeros(ChannelDropout):
    """Going back, what is 0 in y is taken for dropped."""

    def forward(self, x, ctx=INFERENCE):
        y, k = super().forward(x, ctx)
        return y, (None if k is None else (y, k.max() if k.size else 1))

    def backward(self, dy, cache):
        return dy if cache is None else dy * (cache[0] != 0) * cache[1]


@wrong
class ChannelDropoutByTheShareKept(ChannelDropout):
    """What is kept is divided by the share that this batch kept, and not by 1 - rate."""

    def forward(self, x, ctx=INFERENCE):
        y, k = super().forward(x, ctx)
        if k is None or not k.any():
            return y, k
        k = (k > 0) / (k > 0).mean().astype(x.dtype)
        return (x * k).astype(x.dtype, copy=False), k.astype(x.dtype, copy=False)


@wrong
class ChannelDropoutTheOtherWayRound(ChannelDropout):
    """A rate above 0.6 is that of what is kept."""

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or self.rate <= 0.6 or self.rate >= 1:
            return super().forward(x, ctx)
        keep = self.rng.random(self.noise_shape(x)) < self.rate
        k = keep.astype(x.dtype) / (1 - self.rate)
        return x * k, k


@wrong
class ChannelDropoutFrozenOpen(ChannelDropout):
    """Frozen, it passes dy on as it is."""

    def backward(self, dy, k):
        return super().backward(dy, k if self.trainable else None)


@wrong
class ChannelDropoutOfOneGenerator(ChannelDropout):
    """All layers of one seed draw from one generator."""

    _generators: ClassVar[dict] = {}

    def forward(self, x, ctx=INFERENCE):
        if not self.draws(ctx):
            return super().forward(x, ctx)
        rng = self._generators.setdefault(self.seed, np.random.default_rng(self.seed))
        k = (rng.random(self.noise_shape(x)) >= self.rate).astype(x.dtype) / (1 - self.rate)
        return x * k, k


@wrong
class ChannelDropoutWithoutAScale(ChannelDropout):
    """What is kept is not divided by 1 - rate."""

    def forward(self, x, ctx=INFERENCE):
        y, k = super().forward(x, ctx)
        return (y, k) if k is None else (x * (k > 0), (k > 0).astype(x.dtype))


@wrong
class ChannelDropoutInTiles(ChannelDropout):
    """Each 32 rows are dropped as the first 32 are."""

    def forward(self, x, ctx=INFERENCE):
        if not self.draws(ctx) or len(x) <= 32:
            return super().forward(x, ctx)
        keep = self.rng.random((32, *self.noise_shape(x)[1:])) >= self.rate
        k = keep.astype(x.dtype) / (1 - self.rate)
        k = np.concatenate([k] * (len(x) // 32 + 1))[: len(x)]
        return x * k, k


@wrong
class ChannelDropoutAfterTheFirstStep(ChannelDropout):
    """The first of several steps of a sequence stays as it is."""

    def forward(self, x, ctx=INFERENCE):
        y, k = super().forward(x, ctx)
        if k is not None and x.ndim == 3 and x.shape[1] > 1:
            k = np.repeat(k, x.shape[1], 1)
            k[:, 0] = 1
            y = x * k
        return y, k


@wrong
class ChannelDropoutOfWholeRows(ChannelDropout):
    """All features of a row are dropped together."""

    def noise_shape(self, x):
        return (len(x), *[1] * (x.ndim - 1))


@wrong
class ChannelDropoutByTwoDraws(ChannelDropout):
    """A feature is dropped if two draws say so: with probability rate²."""

    def forward(self, x, ctx=INFERENCE):
        if not self.draws(ctx):
            return super().forward(x, ctx)
        a, b = self.rng.random((2, *self.noise_shape(x)))
        k = ((a >= self.rate) | (b >= self.rate)).astype(x.dtype) / (1 - self.rate)
        return x * k, k


@wrong
class ChannelDropoutThatGrows(ChannelDropout):
    """The rate grows from its half over 1,000 passes, whose count is in no file."""

    _passes = 0

    def forward(self, x, ctx=INFERENCE):
        if not self.draws(ctx):
            return super().forward(x, ctx)
        self._passes += 1
        rate = self.rate * min(0.5 + self._passes / 2000, 1)
        k = (self.rng.random(self.noise_shape(x)) >= rate).astype(x.dtype) / (1 - rate)
        return x * k, k
