"""Layers of several inputs and outputs, as correct as they are small, for tests that spoil them."""

import numpy as np

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import sum_rows


class Bilinear(Layer):
    """y_u = aᵀ kernel_u b + bias_u."""

    units: int
    call_inputs = ("a", "b")

    def build(self, input_shape):
        (_, n), (_, m) = input_shape
        self.kernel, self.dkernel = self.param("kernel", (self.units, n, m))
        self.bias, self.dbias = self.param("bias", (self.units,), "zeros")

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.units)

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        return np.einsum("ri,uij,rj->ru", a, self.kernel, b) + self.bias, x

    def backward(self, dy, x):
        a, b = x
        self.dkernel = np.einsum("ru,ri,rj->uij", dy, a, b)
        self.dbias = sum_rows(dy)
        return (
            np.einsum("ru,uij,rj->ri", dy, self.kernel, b),
            np.einsum("ru,uij,ri->rj", dy, self.kernel, a),
        )


class Chosen(Layer):
    """y = a where chosen, else b, and the sum over each row of relu(a); b and chosen are optional.

    One input holds flags, and there are two outputs.
    """

    call_inputs = ("a", "b", "chosen")
    integer_input = (False, False, True)

    def build(self, input_shape):
        self.input_spec = [InputSpec(shape=(None, *input_shape[0][1:]))] * 3

    def compute_output_shape(self, input_shape):
        return input_shape[0], (input_shape[0][0],)

    def forward(self, x, ctx=INFERENCE):
        a, b, chosen = (*x, None, None)[:3]
        y = a if chosen is None else np.where(chosen, a, 0.0 if b is None else b)
        return (y.astype(a.dtype), np.maximum(a, 0).sum(1)), (a, b, chosen, len(x))

    def backward(self, dy, cache):
        a, b, chosen, n = cache
        dy, dsum = dy
        real = np.ones(a.shape, bool) if chosen is None else chosen
        da = np.where(real, dy, 0) + dsum[:, None] * (a > 0)
        return (da, None if b is None else np.where(real, 0, dy), None)[:n]


class Divergence(Layer):
    """y = mean, and the loss grows by KL(N(mean, exp(log_var)) ‖ N(0, 1)) / batch size."""

    call_inputs = ("mean", "log_var")
    penalises = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        mean, log_var = x
        if ctx.penalties is not None:
            terms = mean**2 + np.exp(log_var) - 1 - log_var
            ctx.penalties.append(0.5 * terms.sum() / max(len(mean), 1))
        return mean, x

    def backward(self, dy, x):
        mean, log_var = x
        n = max(len(mean), 1)
        return dy + mean / n, 0.5 * (np.exp(log_var) - 1) / n
