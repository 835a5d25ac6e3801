"""Mistakes that no law was made for: layers of authors who never saw the bank, each with what one
gets wrong.

They were written after the laws and run once: `benchmarks/trust.py` says how many are caught. Each
`Author` has a layer that is right, and subclasses that are not. `held_out_again` has another set.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import rows, sigmoid, softmax, sum_rows
from backprop.losses import Loss
from backprop.testing import LawReport, axes, check_layer, images, pairs, sequences, shapes


@dataclass(frozen=True)
class Author:
    """What is right, what it takes and what is known of it, and the mistakes in it."""

    right: type
    mistakes: tuple[type, ...]
    inputs: Any = None
    tags: tuple[str, ...] = ()
    configs: Any = None
    reference: Callable | None = None
    check: Callable[..., LawReport] = check_layer
    make: Callable[[type], Any] | None = None  # what is checked of a class; default: the class

    def report(self, cls: type, **options: Any) -> LawReport:
        """What the laws say of the right class, or of one with a mistake."""
        known = {name: getattr(self, name) for name in ("inputs", "tags", "configs", "reference")}
        given = {name: value for name, value in known.items() if value is not None}
        return self.check(cls if self.make is None else self.make(cls), **given, **options)


class Authors(list[Author]):
    """A set of authors, in the order in which they wrote."""

    def written(self, inputs: Any = None, **known: Any) -> Callable[[type], type]:
        """Decorate what is right; `wrong` adds its mistakes."""

        def note(cls: type) -> type:
            self.append(Author(cls, (), inputs, **known))
            return cls

        return note

    def wrong(self, cls: type) -> type:
        """A mistake in what was written last."""
        self[-1] = replace(self[-1], mistakes=(*self[-1].mistakes, cls))
        return cls

    def mistakes(self) -> Iterator[tuple[type, Author]]:
        for author in self:
            for cls in author.mistakes:
                yield cls, author


AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


# ---------------------------------------------------------------------------- gates and mixtures


@written(shapes(1, 2))
class Highway(Layer):
    """y = s x + (1 - s) tanh(a x), where s = sigmoid(b x + c): all of them of the width of x."""

    def build(self, input_shape):
        n = input_shape[-1:]
        self.a, self.da = self.param("a", n, "ones")
        self.b, self.db = self.param("b", n, "ones")
        self.c, self.dc = self.param("c", n, "zeros")
        self.input_spec = InputSpec(axes={-1: n[0]})

    def forward(self, x, ctx=INFERENCE):
        s, t = sigmoid(self.b * x + self.c), np.tanh(self.a * x)
        return s * x + (1 - s) * t, (x, s, t)

    def backward(self, dy, cache):
        x, s, t = cache
        dz = dy * (x - t) * s * (1 - s)
        dt = dy * (1 - s) * (1 - t * t)
        self.da, self.db, self.dc = sum_rows(dt * x), sum_rows(dz * x), sum_rows(dz)
        return self.to_x(dy, dz, dt, s)

    def to_x(self, dy, dz, dt, s):
        return dy * s + dz * self.b + dt * self.a


@wrong
class HighwayWithAnOpenGate(Highway):
    """A gate above 0.95 is taken for open: what went through tanh gets nothing."""

    def to_x(self, dy, dz, dt, s):
        return np.where(s > 0.95, dy, super().to_x(dy, dz, dt, s))


@wrong
class HighwayOfOnes(Highway):
    """dx lacks the factor a."""

    def to_x(self, dy, dz, dt, s):
        return dy * s + dz * self.b + dt


@wrong
class HighwayOfPositiveGates(Highway):
    """b is squared and its root taken going back."""

    def to_x(self, dy, dz, dt, s):
        return dy * s + dz * np.sqrt(self.b * self.b) + dt * self.a


@written(shapes(1, 1), configs={"experts": [1, 2, 3]})
class Experts(Layer):
    """y = Σ_k p[k] x · W[k], where p = softmax(x · G)."""

    experts: int = 2

    def build(self, input_shape):
        n = input_shape[-1]
        self.w, self.dw = self.param("w", (self.experts, n, 2))
        self.g, self.dg = self.param("g", (n, self.experts))
        self.input_spec = InputSpec(ndim=2, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)

    def forward(self, x, ctx=INFERENCE):
        p, each = softmax(x @ self.g), np.einsum("ri,kij->rkj", x, self.w)
        return np.einsum("rk,rkj->rj", p, each), (x, p, each)

    def backward(self, dy, cache):
        x, p, each = cache
        self.dw = self.of_weights(x, p, dy)
        dp = np.einsum("rj,rkj->rk", dy, each)
        dz = self.of_gate(p, dp)
        self.dg = x.T @ dz
        return dz @ self.g.T + np.einsum("rk,rj,kij->ri", p, dy, self.w)

    def of_weights(self, x, p, dy):
        return np.einsum("rk,ri,rj->kij", p, x, dy)

    def of_gate(self, p, dp):
        return p * (dp - (p * dp).sum(-1, keepdims=True))


@wrong
class ExpertsThatWinTakeAll(Experts):
    """Only the expert with the largest share is trained, for each row."""

    def of_weights(self, x, p, dy):
        return super().of_weights(x, p * (p == p.max(-1, keepdims=True)), dy)


@wrong
class ExpertsWithoutAChoice(Experts):
    """The gate of a single row is not trained."""

    def of_gate(self, p, dp):
        return super().of_gate(p, dp) * (len(p) > 1)


@wrong
class ExpertsBeyondTwo(Experts):
    """Softmax's derivative for two, p (1 - p) dp, is used for any number."""

    def of_gate(self, p, dp):
        if p.shape[-1] == 2:
            return super().of_gate(p, dp)
        return p * (1 - p) * dp


# ----------------------------------------------------------------------- polynomials and products


@written(shapes(1, 1))
class Factorization(Layer):
    """y = ½ Σ_f ((x · V)² - x² · V²): all pairs of features, in linear time."""

    def build(self, input_shape):
        self.v, self.dv = self.param("v", (input_shape[-1], 3), "random_normal")
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return input_shape[:1]

    def forward(self, x, ctx=INFERENCE):
        s = x @ self.v
        return 0.5 * (s * s - (x * x) @ (self.v * self.v)).sum(-1), (x, s)

    def backward(self, dy, cache):
        x, s = cache
        d = dy[:, None]
        self.dv = x.T @ (d * s) - self.own(x, d)
        return d * (s @ self.v.T - x * (self.v * self.v).sum(-1))

    def own(self, x, d):
        return self.v * (d * x * x).sum(0)[:, None]


@wrong
class FactorizationCountsItself(Factorization):
    """dV has the pairs of a feature with itself."""

    def own(self, x, d):
        return 0


@wrong
class FactorizationForOneSign(Factorization):
    """Where x is negative x² is taken as x |x|."""

    def own(self, x, d):
        return self.v * (d * x * np.abs(x)).sum(0)[:, None]


@written((axes("batch", "n", 2), axes("batch", "n", 2)), tags=("symmetric",))
class ComplexProduct(Layer):
    """y = a b of complex numbers, of which the last axis holds both parts."""

    call_inputs = ("a", "b")

    def build(self, input_shape):
        self.input_spec = [InputSpec(ndim=3, axes={1: s[1], 2: 2}) for s in input_shape]

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        return self.product(*x), x

    def backward(self, dy, cache):
        a, b = cache
        return self.product(dy, self.conjugate(b)), self.product(dy, self.conjugate(a))

    def product(self, a, b):
        real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
        return np.stack([real, a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]], -1)

    def conjugate(self, a):
        return a * np.array([1, -1], a.dtype)


@wrong
class ComplexProductOfRealNumbers(ComplexProduct):
    """Nothing is conjugated, which is right for real numbers."""

    def conjugate(self, a):
        return a


@wrong
class ComplexProductInPlace(ComplexProduct):
    """b is conjugated in place, if that is allowed."""

    def conjugate(self, a):
        if a.flags.writeable:
            a[..., 1] *= -1
            return a
        return super().conjugate(a)


@written(shapes(1, 2, min_side=1))
class Householder(Layer):
    """y = x - 2 u (u · x), where u = v / |v|: a mirror image."""

    def build(self, input_shape):
        self.v, self.dv = self.param("v", input_shape[-1:], "ones")
        self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        u, length = self.unit()
        return x - 2 * u * (x @ u)[..., None], (x, u, length)

    def unit(self):
        length = np.sqrt((self.v**2).sum())
        return self.v / length, length

    def backward(self, dy, cache):
        x, u, length = cache
        d, p = rows(dy), rows(x)
        du = -2 * (d.T @ (p @ u) + p.T @ (d @ u))
        self.dv = self.through_length(du, u) / length
        return dy - 2 * u * (dy @ u)[..., None]

    def through_length(self, du, u):
        return du - u * (u @ du)


@wrong
class HouseholderOfUnitLength(Householder):
    """v is taken to have length one: du is passed on as it is."""

    def through_length(self, du, u):
        return du


@wrong
class HouseholderOfEqualParts(Householder):
    """As u begins with equal parts, the mean of du is taken off."""

    def through_length(self, du, u):
        return du - du.mean()


# ------------------------------------------------------------------------------ channels and images


@written(images())
class SqueezeExcite(Layer):
    """y = x s, where s = sigmoid(m · W) and m is the mean over all places."""

    def build(self, input_shape):
        c = input_shape[-1]
        self.w, self.dw = self.param("w", (c, c))
        self.input_spec = InputSpec(ndim=4, axes={-1: c})

    def forward(self, x, ctx=INFERENCE):
        m = x.mean((1, 2))
        s = sigmoid(m @ self.w)
        return x * s[:, None, None], (x, m, s)

    def backward(self, dy, cache):
        x, m, s = cache
        dz = (dy * x).sum((1, 2)) * s * (1 - s)
        self.dw = m.T @ dz
        return dy * s[:, None, None] + self.through_mean(dz @ self.w.T, x.shape)[:, None, None]

    def through_mean(self, dm, shape):
        return dm / (shape[1] * shape[2])


@wrong
class SqueezeExciteOfSquares(SqueezeExcite):
    """The number of places is the square of the height."""

    def through_mean(self, dm, shape):
        return dm / shape[1] ** 2


@wrong
class SqueezeExciteOfBytes(SqueezeExcite):
    """The number of places is a byte: from 16 x 16 on it begins anew."""

    def through_mean(self, dm, shape):
        return dm / max(shape[1] * shape[2] % 256, 1)


@wrong
class SqueezeExciteOfLargeImages(SqueezeExcite):
    """Images of more than 30 places are taken for large, and the mean's path left out."""

    def through_mean(self, dm, shape):
        return super().through_mean(dm, shape) * (shape[1] * shape[2] <= 30)


@written(sequences(), configs={"width": [1, 2, 3]})
class LocalResponse(Layer):
    """y = x / (1 + mean of x² over a window of channels)."""

    width: int = 3

    def build(self, input_shape):
        n = input_shape[-1]
        near = np.abs(np.arange(n)[:, None] - np.arange(n)) < self.width
        self.__dict__["_near"] = near / near.sum(0)
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def forward(self, x, ctx=INFERENCE):
        near = self._near.astype(x.dtype)
        q = 1 / (1 + (x * x) @ near)
        return x * q, (x, q, near)

    def backward(self, dy, cache):
        x, q, near = cache
        return dy * q - 2 * x * ((dy * x * q * q) @ self.turned(near))

    def turned(self, near):
        return near.T


@wrong
class LocalResponseOfSymmetricWindows(LocalResponse):
    """The windows' matrix is not transposed: it is symmetric but for the ends."""

    def turned(self, near):
        return near


@wrong
class LocalResponseOfFewChannels(LocalResponse):
    """Of more than ten channels the last gets nothing from its neighbours."""

    def turned(self, near):
        near = near.T.copy()
        near[:, 10:] = 0
        return near


# --------------------------------------------------------------------------- sequences and states


@written(sequences(masked=True, allow_empty=True))
class Pooled(Layer):
    """y = Σ_t p[t] x[t], where p = softmax over real steps of x · w."""

    def build(self, input_shape):
        self.w, self.dw = self.param("w", input_shape[-1:], "ones")
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])

    def compute_mask(self, x, mask):
        return None

    def forward(self, x, ctx=INFERENCE):
        real = np.ones(x.shape[:2], bool) if ctx.mask is None else ctx.mask
        x = np.where(real[..., None], x, 0)
        z = np.where(real, x @ self.w, -np.inf)
        top = np.where(real.any(1), z.max(1, initial=-np.inf), 0)
        e = np.exp(z - top[:, None])
        p = (e / np.maximum(e.sum(1, keepdims=True), 1e-30)).astype(x.dtype)
        return np.einsum("bt,btn->bn", p, x), (x, p)

    def backward(self, dy, cache):
        x, p = cache
        dz = self.of_scores(np.einsum("btn,bn->bt", x, dy), p)
        self.dw = np.einsum("bt,btn->n", dz, x)
        return p[..., None] * dy[:, None] + dz[..., None] * self.w

    def of_scores(self, dp, p):
        return p * (dp - (p * dp).sum(1, keepdims=True))


@wrong
class PooledByTheFirstRow(Pooled):
    """All rows of a batch are taken to have the shares of real steps of the first."""

    def of_scores(self, dp, p):
        return super().of_scores(dp, p) * (p[:1] > 0)


@wrong
class PooledOverPadding(Pooled):
    """The mean that is taken off counts steps of padding."""

    def of_scores(self, dp, p):
        return p * (dp - dp.mean(1, keepdims=True)) if (p == 0).any() else super().of_scores(dp, p)


@wrong
class PooledOverFewSteps(Pooled):
    """Of more than ten steps only the first ten are in the sum that is taken off."""

    def of_scores(self, dp, p):
        return p * (dp - (p * dp)[:, :10].sum(1, keepdims=True))


@written(sequences())
class Chained(Layer):
    """y[t] = log Σ_ij exp(y[t-1, i] + A[i, j] + x[t, j]): scores of all paths up to each step."""

    def build(self, input_shape):
        n = input_shape[-1]
        self.a, self.da = self.param("a", (n, n), "zeros")
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def forward(self, x, ctx=INFERENCE):
        y, shares = np.zeros_like(x), []
        before = np.zeros_like(x[:, 0]) if x.shape[1] else None
        for t in range(x.shape[1]):
            z = before[:, :, None] + self.a
            top = z.max(1, keepdims=True)
            e = np.exp(z - top)
            shares.append(e / e.sum(1, keepdims=True))
            before = y[:, t] = x[:, t] + (top + np.log(e.sum(1, keepdims=True)))[:, 0]
        return y, shares

    def backward(self, dy, shares):
        dx, da = np.zeros_like(dy), np.zeros_like(self.a)
        d = np.zeros_like(dy[:, 0]) if dy.shape[1] else None
        for t in reversed(range(dy.shape[1])):
            d = dx[:, t] = d + dy[:, t]
            each = shares[t] * d[:, None]
            da += self.counted(each, t)
            d = self.on(each, t)
        self.da = da
        return dx

    def counted(self, each, t):
        return each.sum(0)

    def on(self, each, t):
        return each.sum(2)


@wrong
class ChainedWithoutABeginning(Chained):
    """The transitions at the first step are not counted."""

    def counted(self, each, t):
        return each.sum(0) * (t > 0)


@wrong
class ChainedThroughTheColumns(Chained):
    """d is summed over where paths come from: at A = 0 all shares are alike."""

    def on(self, each, t):
        return each.sum(2).mean(1, keepdims=True) * np.ones_like(each[:, 0])


@wrong
class ChainedInBlocks(Chained):
    """Every twelfth step begins a block, and nothing goes on from it."""

    def on(self, each, t):
        return each.sum(2) * (t % 12 != 0)


@written(sequences())
class Differences(Layer):
    """y[t] = x[t] - x[t-1], and y[0] = x[0]."""

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3)

    def forward(self, x, ctx=INFERENCE):
        y = x.copy()
        y[:, 1:] -= x[:, :-1]
        return y, None

    def backward(self, dy, cache):
        dx = dy.copy()
        dx[:, :-1] -= dy[:, 1:]
        return dx


@wrong
class DifferencesOfOverlappingViews(Differences):
    """dx is found in place from the end, so that each step takes off what the next has become."""

    def backward(self, dy, cache):
        dx = dy.copy()
        for t in reversed(range(dy.shape[1] - 1)):
            dx[:, t] -= dx[:, t + 1]
        return dx


@wrong
class DifferencesOfAnEvenGradient(Differences):
    """Where all of dy is one number dx is 0: the last step keeps it, in truth."""

    def backward(self, dy, cache):
        if dy.size > 1 and dy.max() == dy.min():
            return np.zeros_like(dy)
        return super().backward(dy, cache)


# ------------------------------------------------------------------------------ kernels, distances


@written(shapes(1, 1), configs={"units": [1, 3]})
class Radial(Layer):
    """y[u] = exp(-g[u] |x - c[u]|²)."""

    units: int = 3

    def build(self, input_shape):
        n = input_shape[-1]
        self.c, self.dc = self.param("c", (self.units, n), "random_normal")
        self.g, self.dg = self.param("g", (self.units,), "ones")
        self.input_spec = InputSpec(ndim=2, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def forward(self, x, ctx=INFERENCE):
        d = x[:, None] - self.c
        square = (d * d).sum(-1)
        y = np.exp(np.minimum(-self.g * square, 50))
        return y, (d, square, y)

    def backward(self, dy, cache):
        d, square, y = cache
        dz = -dy * y * (-self.g * square < 50)
        self.dg = self.of_width(dz * square)
        each = 2 * self.g[:, None] * dz[..., None] * d
        self.dc = -each.sum(0)
        return self.of_x(each, y)

    def of_width(self, each):
        return each.sum(0)

    def of_x(self, each, y):
        return each.sum(1)


@wrong
class RadialOfNearCentres(Radial):
    """Centres that give less than 1e-3 are left out of dx."""

    def of_x(self, each, y):
        return (each * (y > 1e-3)[..., None]).sum(1)


@wrong
class RadialOfManyRows(Radial):
    """The sum over rows goes over the first 50."""

    def of_width(self, each):
        return each[:50].sum(0)


@wrong
class RadialOfNegativeWidths(Radial):
    """Where a width is negative dx has the other sign."""

    def of_x(self, each, y):
        return (each * np.sign(self.g)[:, None]).sum(1)


@written(shapes(1, 1, min_side=2))
class Angles(Layer):
    """y = w · x / (|w| |x|), of which both lengths are held above 1e-3."""

    def build(self, input_shape):
        self.w, self.dw = self.param("w", input_shape[-1:], "ones")
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return input_shape[:1]

    def forward(self, x, ctx=INFERENCE):
        u, length = self.unit(self.w[None])
        v, lengths = self.unit(x)
        return v @ u[0], (u, length, v, lengths)

    def unit(self, x):
        length = np.sqrt((x * x).sum(-1, keepdims=True))
        return x / np.maximum(length, x.dtype.type(1e-3)), length

    def through(self, d, u, length):
        along = u * (u * d).sum(-1, keepdims=True) * (length > 1e-3)
        return (d - along) / np.maximum(length, d.dtype.type(1e-3))

    def backward(self, dy, cache):
        u, length, v, lengths = cache
        self.dw = self.through(dy[None] @ v, u, length)[0]
        return self.through(dy[:, None] * u, v, lengths)


@wrong
class AnglesOfShortVectors(Angles):
    """A vector shorter than 1e-3 is treated as one of any length, by the clamped length."""

    def through(self, d, u, length):
        return (d - u * (u * d).sum(-1, keepdims=True)) / np.maximum(length, d.dtype.type(1e-3))


@wrong
class AnglesOfLongVectors(Angles):
    """A vector longer than 40 is divided by 40."""

    def through(self, d, u, length):
        return super().through(d, u, length) * np.maximum(length / 40, 1).astype(d.dtype)


# ------------------------------------------------------------------------------------ permutations


@written(sequences(), configs={"groups": [1, 2, 3]})
class Shuffle(Layer):
    """The channels of g groups are dealt like cards, if g divides their number."""

    groups: int = 2

    def build(self, input_shape):
        n = input_shape[-1]
        order = np.arange(n)
        if n % self.groups == 0:
            order = order.reshape(self.groups, -1).T.ravel()
        self.__dict__["_order"] = order
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def forward(self, x, ctx=INFERENCE):
        return x[..., self._order], None

    def backward(self, dy, cache):
        return dy[..., self.inverse(self._order)]

    def inverse(self, order):
        return np.argsort(order)


@wrong
class ShuffleTwice(Shuffle):
    """dy is dealt once more: right for up to four channels in two groups."""

    def inverse(self, order):
        return order


@written(shapes(1, 1, min_side=1), tags=("piecewise",))
class Runs(Layer):
    """y[k] = the largest of x[0..k], less the smallest."""

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=2)

    def forward(self, x, ctx=INFERENCE):
        places = np.arange(x.shape[1])
        top, low = np.maximum.accumulate(x, 1), np.minimum.accumulate(x, 1)
        up, down = np.ones(x.shape, bool), np.ones(x.shape, bool)
        up[:, 1:], down[:, 1:] = x[:, 1:] > top[:, :-1], x[:, 1:] < low[:, :-1]
        last = [np.maximum.accumulate(np.where(new, places, 0), 1) for new in (up, down)]
        return top - low, last

    def backward(self, dy, last):
        dx, row = np.zeros_like(dy), np.arange(len(dy))[:, None]
        for k, sign in zip(last, (1, -1), strict=True):
            self.pay(dx, (row, k), sign * dy)
        return dx

    def pay(self, dx, at, d):
        np.add.at(dx, at, d)


@wrong
class RunsPaidOnce(Runs):
    """A number that stays the largest for several places is paid for the last of them."""

    def pay(self, dx, at, d):
        dx[at] += d


@wrong
class RunsOfManyNumbers(Runs):
    """Beyond 15 numbers what comes later is not paid."""

    def pay(self, dx, at, d):
        super().pay(dx, (at[0], at[1][:, :15]), d[:, :15])


# --------------------------------------------------------------------------------------- randomness


@written(shapes(1, 2), tags=("stochastic",), configs={"spread": [0.1, 0.5]})
class Blurred(Layer):
    """y = x exp(s n) in training, with n standard normal; s is a parameter."""

    spread: float = 0.1
    seed: int | None = None

    def build(self, input_shape):
        self.s, self.ds = self.param("s", (), "zeros")

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training:
            return x.copy(), None
        n = self.rng.standard_normal(x.shape).astype(x.dtype) * x.dtype.type(self.spread)
        return x * np.exp((1 + self.s) * n), (x, n)

    def backward(self, dy, cache):
        self.ds = np.zeros_like(self.s)
        if cache is None:
            return dy.copy()
        x, n = cache
        k = np.exp((1 + self.s) * n)
        self.ds = self.of_spread(dy * x * k, n)
        return dy * k

    def of_spread(self, d, n):
        return (d * n).sum()


@wrong
class BlurredWhereItGrew(Blurred):
    """Draws below 0 are left out of the sum."""

    def of_spread(self, d, n):
        return (d * np.maximum(n, 0)).sum()


@wrong
class BlurredButInInference(Blurred):
    """In inference the gradient of s is left as it was."""

    def backward(self, dy, cache):
        return dy.copy() if cache is None else super().backward(dy, cache)


# ------------------------------------------------------------------------------- features, matrices


@written(shapes(1, 2), configs={"k": [1, 2]})
class Waves(Layer):
    """y = [sin(f x), cos(f x)] of k frequencies for each number of x."""

    k: int = 2

    def build(self, input_shape):
        self.f, self.df = self.param("f", (input_shape[-1], self.k), "ones")
        self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.k * input_shape[-1])

    def forward(self, x, ctx=INFERENCE):
        z = x[..., None] * self.f
        y = np.concatenate([np.sin(z), np.cos(z)], -1)
        return y.reshape(*x.shape[:-1], 2 * self.k * x.shape[-1]), (x, z)

    def backward(self, dy, cache):
        x, z = cache
        dy = dy.reshape(*z.shape[:-1], 2 * self.k)
        dz = self.turned(dy[..., : self.k], dy[..., self.k :], z)
        self.df = (dz * x[..., None]).sum(tuple(range(x.ndim - 1)))
        return (dz * self.f).sum(-1)

    def turned(self, of_sin, of_cos, z):
        return of_sin * np.cos(z) - of_cos * np.sin(z)


@wrong
class WavesOfSmallAngles(Waves):
    """Angles below 1e-3 have the slopes of angle 0 and half of the sine's."""

    def turned(self, of_sin, of_cos, z):
        return super().turned(of_sin * np.where(np.abs(z) < 1e-3, 0.5, 1), of_cos, z)


@wrong
class WavesOfOneTurn(Waves):
    """Angles beyond 20 are taken for 20."""

    def turned(self, of_sin, of_cos, z):
        return super().turned(of_sin, of_cos, np.clip(z, -20, 20))


@wrong
class WavesInSingle(Waves):
    """Cosines of more than 100 angles are found in float32."""

    def turned(self, of_sin, of_cos, z):
        if z.size > 100:
            z = z.astype(np.float32).astype(z.dtype)
        return super().turned(of_sin, of_cos, z)


@written(shapes(1, 1), tags=("couples_rows",))
class Whitened(Layer):
    """y = g (x - m) / d, where m is the mean and d = 0.1 + mean |x - m| over the batch."""

    def build(self, input_shape):
        self.g, self.dg = self.param("g", input_shape[-1:], "ones")
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        c = x - x.sum(0) / max(len(x), 1)
        d = 0.1 + np.abs(c).sum(0) / max(len(x), 1)
        return self.g * c / d, (c, d)

    def backward(self, dy, cache):
        c, d = cache
        self.dg = (dy * c / d).sum(0)
        dc = self.g * dy / d
        dc -= self.through(self.g, (dy * c).sum(0) / d**2, c) * np.sign(c) / max(len(c), 1)
        return dc - dc.sum(0) / max(len(c), 1)

    def through(self, g, total, c):
        return g * total


@wrong
class WhitenedByPositiveGains(Whitened):
    """The path through d has |g|."""

    def through(self, g, total, c):
        return np.abs(g) * total


@wrong
class WhitenedPairs(Whitened):
    """Two rows have no path through d, as of numbers that become 1 and -1."""

    def through(self, g, total, c):
        return g * total * (len(c) != 2)


@wrong
class WhitenedCrowds(Whitened):
    """More than 60 rows have no path through d: each is too small."""

    def through(self, g, total, c):
        return g * total * (len(c) <= 60)


@wrong
class WhitenedWhenItIsFrozen(Whitened):
    """A frozen layer takes its statistics for constants, which they are not."""

    def through(self, g, total, c):
        return g * total * self.trainable


@written(shapes(1, 1))
class Lower(Layer):
    """y = L x, where L is the lower triangle of W with exp on its diagonal."""

    def build(self, input_shape):
        n = input_shape[-1]
        self.w, self.dw = self.param("w", (n, n), "zeros")
        self.input_spec = InputSpec(ndim=2, axes={-1: n})

    def triangle(self):
        return np.tril(self.w, -1) + np.diag(np.exp(np.diag(self.w)))

    def forward(self, x, ctx=INFERENCE):
        return x @ self.triangle().T, x

    def backward(self, dy, x):
        full = dy.T @ x
        self.dw = self.of_triangle(full)
        return dy @ self.triangle()

    def of_triangle(self, full):
        return np.tril(full, -1) + np.diag(np.diag(full) * np.exp(np.diag(self.w)))


@wrong
class LowerWithAFreeDiagonal(Lower):
    """The diagonal lacks the factor exp(w), which is 1 where w begins."""

    def of_triangle(self, full):
        return np.tril(full)


@wrong
class LowerThatNeverLeavesZero(Lower):
    """While all of W is 0 only the diagonal is trained."""

    def of_triangle(self, full):
        d = super().of_triangle(full)
        return d if self.w.any() else np.diag(np.diag(d))


@wrong
class LowerOfLargeSteps(Lower):
    """exp is held below e going back."""

    def of_triangle(self, full):
        held = np.exp(np.minimum(np.diag(self.w), 1))
        return np.tril(full, -1) + np.diag(np.diag(full) * held)


@wrong
class LowerWithAnOldTriangle(Lower):
    """dx takes the triangle that was put together in the first backward pass."""

    def backward(self, dy, x):
        super().backward(dy, x)
        return dy @ self.__dict__.setdefault("_kept", self.triangle())


@written(shapes(1, 1), tags=("piecewise",), configs={"k": [1, 2, 3]})
class Largest(Layer):
    """y = mean of the k largest numbers of a row, or of all if there are fewer."""

    k: int = 2

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return input_shape[:1]

    def forward(self, x, ctx=INFERENCE):
        k = min(self.k, x.shape[1])
        at = np.argsort(-x, -1, kind="stable")[:, :k]
        return np.take_along_axis(x, at, -1).sum(-1) / k, (at, x.shape)

    def backward(self, dy, cache):
        at, shape = cache
        dx = np.zeros(shape, dy.dtype)
        np.put_along_axis(dx, at, self.shared(dy, at, shape), -1)
        return dx

    def shared(self, dy, at, shape):
        return np.broadcast_to(dy[:, None] / at.shape[1], at.shape)


@wrong
class LargestOfFew(Largest):
    """The mean is over k, also where there are fewer numbers."""

    def shared(self, dy, at, shape):
        return np.broadcast_to(dy[:, None] / dy.dtype.type(self.k), at.shape)


@wrong
class LargestByValue(Largest):
    """All numbers that are as large as the k-th are paid in full."""

    def forward(self, x, ctx=INFERENCE):
        y, (at, shape) = super().forward(x, ctx)
        least = np.take_along_axis(x, at[:, -1:], -1)
        return y, (x >= least, shape, at.shape[1])

    def backward(self, dy, cache):
        chosen, _, k = cache
        return chosen * (dy[:, None] / dy.dtype.type(k))


@wrong
class LargestOfManyNumbers(Largest):
    """Among more than 40 numbers places are counted from the end of the first 40."""

    def shared(self, dy, at, shape):
        return super().shared(dy, at, shape) * (at < 40)


# ------------------------------------------------------------------------------------------- losses


@written(pairs("one_hot", "numbers"))
class Margin(Loss):
    """values = Σ_j softplus(p[j] - p[label] + 1) / k over the classes, t one-hot."""

    def values(self, y_true, y_pred):
        m = y_pred - (y_true * y_pred).sum(-1, keepdims=True) + 1
        return np.logaddexp(0, m).mean(-1), (y_true, sigmoid(m))

    def gradient(self, dvalues, cache):
        t, s = cache
        return self.both(s, t) * dvalues[..., None] / s.shape[-1]

    def both(self, s, t):
        return s - t * s.sum(-1, keepdims=True)


@wrong
class MarginWithoutTheLabel(Margin):
    """The label's own term is left out of what it pays."""

    def both(self, s, t):
        return s - t * (s * (1 - t)).sum(-1, keepdims=True)


@wrong
class MarginOfWhatIsKept(Margin):
    """Terms below a thousandth are taken for kept."""

    def both(self, s, t):
        return super().both(s * (s > 1e-3), t)


@wrong
class MarginOfEvenWeights(Margin):
    """All rows weigh what the first does."""

    def gradient(self, dvalues, cache):
        return super().gradient(np.broadcast_to(dvalues[:1], dvalues.shape), cache)


@written(pairs("positive", "positive"))
class Gamma(Loss):
    """values = mean of t / p + log p, with p held above 1e-6: the deviance of times and amounts."""

    def values(self, y_true, y_pred):
        p = np.maximum(y_pred, 1e-6).astype(y_pred.dtype)
        return (y_true / p + np.log(p)).mean(-1), (y_true, p, y_pred > 1e-6)

    def gradient(self, dvalues, cache):
        t, p, inside = cache
        return self.slope(t, p) * inside * dvalues[..., None] / p.shape[-1]

    def slope(self, t, p):
        return (p - t) / p**2


@wrong
class GammaOfFewRows(Gamma):
    """Rows from the 41st on have the slope of a squared error."""

    def slope(self, t, p):
        d = super().slope(t, p)
        d[40:] = (p - t)[40:]
        return d


@wrong
class GammaByTheLogarithm(Gamma):
    """The slope with respect to log p, which is the same at p = 1."""

    def slope(self, t, p):
        return (p - t) / p
