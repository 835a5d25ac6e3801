"""A layer, and a way around it."""

import copy

import numpy as np
from testing.held_out import Authors

from backprop.arguments import argument
from backprop.layer import INFERENCE
from backprop.layers import Dense, Wrapper
from backprop.testing import axes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


@written(
    axes("batch", 4),
    make=lambda cls: lambda start: cls(Dense(4, activation="tanh"), start),
    configs={"start": [0.5, 1.0]},
)
class ReZero(Wrapper):
    """y = x + alpha f(x), where f is a layer, and alpha a number that begins at `start`.

    x, y: (..., n)    alpha: (1,)

    dalpha = Σ dy f(x), and f gets alpha dy.
    """

    start: float = argument(default=0.5, after="layer")

    def build(self, input_shape):
        super().build(input_shape)
        if self.layer.compute_output_shape(input_shape) != input_shape:
            raise ValueError(f"{self!r} expects a layer that keeps the shape {input_shape}")
        self.alpha, self.dalpha = self.param("alpha", (1,), "zeros")
        self.alpha[...] = self.start

    def forward(self, x, ctx=INFERENCE):
        f, inner = super().forward(x, ctx)
        return x + self.alpha * f, (f, inner)

    def backward(self, dy, cache):
        f, inner = cache
        self.dalpha = (dy * f).sum().reshape(1)
        return dy + super().backward(self.inside() * dy, inner)

    def backward_params(self, dy, cache):
        f, inner = cache
        self.dalpha = (dy * f).sum().reshape(1)
        super().backward_params(self.alpha * dy, inner)

    def inside(self):
        return self.alpha


@wrong
class ReZeroThatStaysAtZero(ReZero):
    """dalpha is 0 where alpha is."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.alpha[0] == 0:
            self.dalpha = np.zeros(1)
        return dx


@wrong
class ReZeroWithoutAlphaInside(ReZero):
    """`backward_params` gives f dy, and not alpha dy."""

    def backward_params(self, dy, cache):
        f, inner = cache
        self.dalpha = (dy * f).sum().reshape(1)
        self.layer.backward_params(dy, inner)


@wrong
class ReZeroOfAHalf(ReZero):
    """alpha begins at 0.5 where it is to begin at 1."""

    def build(self, input_shape):
        super().build(input_shape)
        self.alpha[...] = 0.5 if self.start == 1.0 else self.start


@wrong
class ReZeroThatNeverTrains(ReZero):
    """f always runs in inference, and without a mask."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, INFERENCE)


@wrong
class ReZeroOfPositiveAlphas(ReZero):
    """Going back, alpha counts by its absolute value."""

    def inside(self):
        return np.abs(self.alpha)


@wrong
class ReZeroOfOneLayer(ReZero):
    """A copy has the same f, and not a copy of it."""

    def __deepcopy__(self, memo):
        memo[id(self.layer)] = self.layer
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new


@wrong
class ReZeroFrozenWithoutItsLayer(ReZero):
    """Frozen, it leaves f out of dx."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx if self.trainable else dy


@wrong
class ReZeroInPlace(ReZero):
    """y is written into f(x), which the cache of f may hold."""

    def forward(self, x, ctx=INFERENCE):
        y, inner = Wrapper.forward(self, x, ctx)
        f = y.copy()
        y *= self.alpha
        y += x
        return y, (f, inner)


@wrong
class ReZeroWithAPlainAlpha(ReZero):
    """alpha is an array that the layer has not declared: it is not trained, and in no file."""

    def build(self, input_shape):
        Wrapper.build(self, input_shape)
        self.alpha = np.full((1,), self.start)

    def forward(self, x, ctx=INFERENCE):
        f, inner = Wrapper.forward(self, x, ctx)
        return x + self.alpha.astype(x.dtype) * f, (f, inner)

    def backward(self, dy, cache):
        _, inner = cache
        return dy + Wrapper.backward(self, self.alpha.astype(dy.dtype) * dy, inner)

    def backward_params(self, dy, cache):
        _, inner = cache
        Wrapper.backward_params(self, self.alpha.astype(dy.dtype) * dy, inner)
