"""A layer with statistics of the batch."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Fraction
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import sum_rows
from backprop.testing import shapes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def rms(x, gamma, moving, training, momentum):
    if training:
        square = (x**2).reshape(-1, x.shape[-1]).mean(0)
        y = gamma * x / np.sqrt(square + 1e-3)
        return y, {"moving": momentum * moving + (1 - momentum) * square}
    return gamma * x / np.sqrt(moving + 1e-3), {"moving": moving}


@written(
    shapes(min_dims=1, max_dims=2),
    configs={"momentum": [0.5, 0.9]},
    reference=rms,
    tags=("couples_rows",),
)
class RunningRMS(Layer):
    """y = gamma x / s, where s² = q + epsilon: q the mean of x² over rows, in training.

    x, y: (..., n)    gamma, moving: (n,)

    In inference, or frozen, q is the moving average of those means. With x̂ = x / s and
    d = gamma dy: dx = (d - x̂ mean(d x̂)) / s, in inference d / s.
    """

    momentum: Fraction = 0.9
    epsilon: float = 1e-3

    def build(self, input_shape):
        n = input_shape[-1]
        self.gamma, self.dgamma = self.param("gamma", (n,), "ones")
        self.moving = self.buffer("moving", (n,), "ones")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def obeys_mask(self, x, mask):
        return False

    def forward(self, x, ctx=INFERENCE):
        count = x.size // x.shape[-1]
        batch = ctx.training and self.trainable and count > 0
        if batch:
            square = sum_rows(x * x) / count
            self.moving = self.momentum * self.moving + (1 - self.momentum) * square
        else:
            square = self.moving.copy()
        r = 1 / np.sqrt(square + self.epsilon)
        xhat = x * r
        return self.gamma * xhat, (xhat, r, batch)

    def backward(self, dy, cache):
        xhat, r, batch = cache
        dgamma = sum_rows(dy * xhat)
        self.dgamma = dgamma
        d = dy * self.gamma
        if batch:
            count = xhat.size // xhat.shape[-1]
            d = d - xhat * (self.gamma * dgamma / count)
        return d * r


@wrong
class RunningRMSOfASample(RunningRMS):
    """The moving average takes the sum of squares divided by the number of rows less 1."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        count = x.size // x.shape[-1]
        if batch and count > 1:
            more = sum_rows(x * x) / count / (count - 1)
            self.moving = self.moving + (1 - self.momentum) * more
        return y, (xhat, r, batch)


@wrong
class RunningRMSThatMovesFrozen(RunningRMS):
    """Frozen, it goes on moving its average in training."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.training and not self.trainable and x.size:
            square = sum_rows(x * x) / (x.size // x.shape[-1])
            self.moving = self.momentum * self.moving + (1 - self.momentum) * square
        return y, cache


@wrong
class RunningRMSOfNegativeGammas(RunningRMS):
    """dx has the wrong sign where all of gamma is negative."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx * np.sign(self.gamma) if (self.gamma < 0).all() else dx


@wrong
class RunningRMSOfALaterAverage(RunningRMS):
    """In inference backward takes the moving average as it is by then."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        return y, (xhat, r if batch else None, batch)

    def backward(self, dy, cache):
        xhat, r, batch = cache
        if r is None:
            r = 1 / np.sqrt(self.moving + self.epsilon)
        return super().backward(dy, (xhat, r, batch))


@wrong
class RunningRMSMovedByNothing(RunningRMS):
    """A batch without rows moves the average towards 0."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.training and self.trainable and not x.size:
            self.moving = self.momentum * self.moving
        return y, cache


@wrong
class RunningRMSOfTheFirstMomentum(RunningRMS):
    """momentum stays as it was when the layer was built."""

    def build(self, input_shape):
        super().build(input_shape)
        self._rest = 1 - self.momentum

    def forward(self, x, ctx=INFERENCE):
        before = self.moving.copy()
        y, (xhat, r, batch) = super().forward(x, ctx)
        if batch:
            square = sum_rows(x * x) / (x.size // x.shape[-1])
            self.moving = before + self._rest * (square - before)
        return y, (xhat, r, batch)


@wrong
class RunningRMSOfFourAxes(RunningRMS):
    """For x of four axes or more dx leaves out that s depends on x."""

    def backward(self, dy, cache):
        _, r, _ = cache
        dx = super().backward(dy, cache)
        return dy * self.gamma * r if dy.ndim > 3 else dx


@wrong
class RunningRMSOfASingleRow(RunningRMS):
    """In training a single row is divided by the moving average's root, and dx does not know."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        if batch and x.size == x.shape[-1]:
            r = 1 / np.sqrt(self.moving + self.epsilon)
            return self.gamma * x * r, (x * r, r, batch)
        return y, (xhat, r, batch)


@wrong
class RunningRMSOfEverySecondRow(RunningRMS):
    """In training the mean of more than 32 rows is that of every second, and dx does not know."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        if batch and len(x) > 32:
            square = sum_rows(x[::2] ** 2) / (x[::2].size // x.shape[-1])
            r = 1 / np.sqrt(square + self.epsilon)
            return self.gamma * x * r, (x * r, r, batch)
        return y, (xhat, r, batch)


@wrong
class RunningRMSOfPositiveGammas(RunningRMS):
    """In inference gamma counts by its absolute value where the moving average is below 0.001."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        if not batch:
            y = np.where(self.moving < 1e-3, np.abs(y) * np.sign(x), y)
        return y, (xhat, r, batch)


@wrong
class RunningRMSInSinglePrecision(RunningRMS):
    """The moving average is rounded to float32."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, batch) = super().forward(x, ctx)
        if batch:
            self.moving = self.moving.astype(np.float32)
        return y, (xhat, r, batch)


@wrong
class RunningRMSThatBeginsWithTheData(RunningRMS):
    """The first pass in training sets gamma to 1 / s of its batch; that it did is in no file."""

    _begun = False

    def forward(self, x, ctx=INFERENCE):
        if ctx.training and x.size and not self._begun:
            self._begun = True
            square = sum_rows(x * x) / (x.size // x.shape[-1])
            self.gamma[...] = 1 / np.sqrt(square + 1e-3)
        return super().forward(x, ctx)
