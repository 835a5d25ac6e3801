"""Layers whose weights are made of their parameters."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Positive
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import rows, sum_rows
from backprop.regularizers import RegularizerLike
from backprop.testing import shapes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def weight_norm(x, kernel, g, bias):
    return x @ (kernel * g / np.linalg.norm(kernel, axis=0)) + bias


@written(
    shapes(min_dims=1, max_dims=3),
    configs={"units": [1, 3], "kernel_regularizer": [None, "l2"]},
    reference=weight_norm,
)
class WeightNorm(Layer):
    """y = x · W + b, where W[:, j] = g[j] U[:, j] and U[:, j] = V[:, j] / |V[:, j]|.

    x: (..., n)    V: (n, units)    g, b: (units,)    y: (..., units)

    With dW = xᵀ · dy: dg = Σ_i dW U, and dV = g / |V| (dW - U dg).
    """

    units: Positive
    kernel_initializer: InitializerLike = "glorot_uniform"
    kernel_regularizer: RegularizerLike = None

    def build(self, input_shape):
        n = input_shape[-1]
        self.kernel, self.dkernel = self.declared_param("kernel", (n, self.units))
        self.g, self.dg = self.param("g", (self.units,), "ones")
        self.bias, self.dbias = self.param("bias", (self.units,), "zeros")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, ctx=INFERENCE):
        length = self.norm()
        u = self.kernel / length
        w = self.g * u
        return x @ w + self.bias, (x, u, w, self.g / length)

    def norm(self):
        return np.sqrt((self.kernel**2).sum(0))

    def backward(self, dy, cache):
        self.backward_params(dy, cache)
        return dy @ cache[2].T

    def backward_params(self, dy, cache):
        x, u, _, scale = cache
        dw = rows(x).T @ rows(dy)
        dg = (dw * u).sum(0)
        self.dg = dg
        self.dkernel = scale * (dw - u * dg)
        self.dbias = sum_rows(dy)


@wrong
class WeightNormOfPositiveScales(WeightNorm):
    """dV takes the absolute value of g."""

    def backward_params(self, dy, cache):
        x, u, w, scale = cache
        super().backward_params(dy, (x, u, w, np.abs(scale)))


@wrong
class WeightNormOfASingleRow(WeightNorm):
    """The part of dV that lies along V is left in where there is one row."""

    def backward_params(self, dy, cache):
        x, _, _, scale = cache
        super().backward_params(dy, cache)
        if len(rows(x)) == 1:
            self.dkernel = scale * (rows(x).T @ rows(dy))


@wrong
class WeightNormOfTwoBlocks(WeightNorm):
    """The norm is summed in blocks of 64 inputs, of which only the first two are taken."""

    def norm(self):
        return np.sqrt((self.kernel[:128] ** 2).sum(0))


@wrong
class WeightNormHeldAboveAHundredth(WeightNorm):
    """Norms below 0.01 count as 0.01, and the gradient does not know."""

    def norm(self):
        return np.maximum(super().norm(), 1e-2)


@wrong
class WeightNormOfSquareKernels(WeightNorm):
    """dV of a square kernel is transposed."""

    def backward_params(self, dy, cache):
        x, u, _, scale = cache
        super().backward_params(dy, cache)
        if self.kernel.shape[0] == self.kernel.shape[1]:
            self.dkernel = (scale * (rows(x).T @ rows(dy) - u * self.dg)).T


@wrong
class WeightNormInBlocksOfRows(WeightNorm):
    """db of more than 32 rows counts whole blocks of 32 alone."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        d = rows(dy)
        if len(d) > 32:
            self.dbias = d[: len(d) // 32 * 32].sum(0)


@wrong
class WeightNormThatKeepsItsWeights(WeightNorm):
    """Inference takes W as the last pass in training made it, or the first of all passes."""

    _kept = None

    def forward(self, x, ctx=INFERENCE):
        if ctx.training or self._kept is None or self._kept[1].shape != self.kernel.shape:
            y, cache = super().forward(x, ctx)
            self._kept = cache
            return y, cache
        _, u, w, scale = self._kept
        return x @ w + self.bias, (x, u, w, scale)


@wrong
class WeightNormWithoutItsRegularizer(WeightNorm):
    """The kernel does not get its regularizer."""

    def build(self, input_shape):
        n = input_shape[-1]
        self.kernel, self.dkernel = self.param("kernel", (n, self.units), self.kernel_initializer)
        self.g, self.dg = self.param("g", (self.units,), "ones")
        self.bias, self.dbias = self.param("bias", (self.units,), "zeros")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})


@wrong
class WeightNormWithTwiceTheBias(WeightNorm):
    """db of more than 32 rows is twice as large where some g is negative."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        if (self.g < 0).any() and len(rows(dy)) > 32:
            self.dbias = 2 * self.dbias


@wrong
class WeightNormThatCountsTwice(WeightNorm):
    """`multiply_adds` counts the kernel twice."""

    def multiply_adds(self, input_shape):
        return 2 * input_shape[-1] * self.units


@wrong
class WeightNormWithACeiling(WeightNorm):
    """Squares of norms stop at 60,000, as if float16 were to hold them."""

    def norm(self):
        return np.sqrt(np.minimum((self.kernel**2).sum(0), 6e4)).astype(self.kernel.dtype)


@wrong
class WeightNormOfSixteenSteps(WeightNorm):
    """`backward_params` on its own takes the first 16 steps of a sequence."""

    def backward_params(self, dy, cache):
        x, u, w, scale = cache
        if x.ndim == 3 and x.shape[1] > 16:
            x, dy = x[:, :16], dy[:, :16]
        super().backward_params(dy, (x, u, w, scale))

    def backward(self, dy, cache):
        super().backward_params(dy, cache)
        return dy @ cache[2].T


@wrong
class WeightNormInPlace(WeightNorm):
    """In training the columns of the kernel are brought to norm 1 in place."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            self.kernel[...] = self.kernel / self.norm()
        return super().forward(x, ctx)


def cayley(x, kernel):
    a = kernel - kernel.T
    e = np.eye(len(a))
    return x @ np.linalg.inv(e + a) @ (e - a)


@written(shapes(min_dims=1, max_dims=3), reference=cayley)
class Cayley(Layer):
    """y = x · Q, where Q = (I + A)⁻¹ (I - A) and A = W - Wᵀ: orthogonal.

    x, y: (..., n)    W: (n, n)

    (I + A) Q = I - A, hence dA Q + (I + A) dQ = -dA and dQ = -(I + A)⁻¹ dA (I + Q). With
    G = dL/dQ = xᵀ · dy: dL/dA = -(I + A)⁻ᵀ G (I + Q)ᵀ, and dW = dA - dAᵀ.
    """

    kernel_initializer: InitializerLike = "glorot_uniform"

    def build(self, input_shape):
        n = input_shape[-1]
        self.kernel, self.dkernel = self.declared_param("kernel", (n, n))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def forward(self, x, ctx=INFERENCE):
        a = self.kernel - self.kernel.T
        eye = np.eye(len(a), dtype=a.dtype)
        q = np.linalg.solve(eye + a, eye - a)
        return x @ q, (x, q, eye + a)

    def backward(self, dy, cache):
        x, q, m = cache
        g = rows(x).T @ rows(dy)
        eye = np.eye(len(q), dtype=q.dtype)
        da = -np.linalg.solve(m.T, g @ (eye + q).T)
        self.dkernel = da - da.T
        return dy @ q.T


@wrong
class CayleyKeptByASum(Cayley):
    """Q is kept for as long as the sum of the kernel stays the same."""

    _kept = None

    def forward(self, x, ctx=INFERENCE):
        key = (float(self.kernel.sum()), self.kernel.dtype, self.kernel.shape)
        _, (_, q, m) = super().forward(x, ctx)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, q, m)
        _, q, m = self._kept
        return x @ q, (x, q, m)


@wrong
class CayleyByASeries(Cayley):
    """Where |A| is small, (I + A)⁻¹ is the first seven terms of its series."""

    def forward(self, x, ctx=INFERENCE):
        a = self.kernel - self.kernel.T
        if a.size == 0 or np.abs(a).sum(0).max() > 0.1:
            return super().forward(x, ctx)
        eye = np.eye(len(a), dtype=a.dtype)
        inverse, term = eye.copy(), eye
        for _ in range(6):
            term = term @ -a
            inverse = inverse + term
        q = inverse @ (eye - a)
        return x @ q, (x, q, eye + a)


@wrong
class CayleyWithoutATranspose(Cayley):
    """For more than four features dA is solved with I + A, and not with its transpose."""

    def backward(self, dy, cache):
        x, q, m = cache
        dx = super().backward(dy, cache)
        if len(q) > 4:
            g = rows(x).T @ rows(dy)
            da = -np.linalg.solve(m, g @ (np.eye(len(q), dtype=q.dtype) + q).T)
            self.dkernel = da - da.T
        return dx


@wrong
class CayleyInSinglePrecision(Cayley):
    """Q is rounded to float32."""

    def forward(self, x, ctx=INFERENCE):
        _, (x, q, m) = super().forward(x, ctx)
        q = q.astype(np.float32).astype(x.dtype)
        return x @ q, (x, q, m)


@wrong
class CayleyOfTheUpperHalf(Cayley):
    """For x of four axes dW is twice its upper half, and 0 below."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.ndim == 4:
            self.dkernel = np.triu(self.dkernel) * 2
        return dx


@wrong
class CayleyOfBoundedRows(Cayley):
    """Rows of x longer than 1,000 are brought to that length, and dx does not know."""

    def forward(self, x, ctx=INFERENCE):
        n = np.sqrt((x * x).sum(-1, keepdims=True))
        x = np.where(n > 1e3, x * (1e3 / np.maximum(n, 1)), x).astype(x.dtype)
        return super().forward(x, ctx)


@wrong
class CayleyOfAHundredRows(Cayley):
    """For more than 100 rows dW is a hundred times their mean."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        n = len(rows(dy))
        if n > 100:
            self.dkernel = self.dkernel * (100 / n)
        return dx


@wrong
class CayleyOfAnyWidth(Cayley):
    """Input that is wider than the kernel is cut to its width, and no error says so."""

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=2)

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x[..., : len(self.kernel)], ctx)
