"""Layers that are as correct as they are small, for tests that spoil them."""

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import sum_rows


class OfAMatrix(Layer):
    """A number of each matrix, in float64; `wrong` is a factor of its gradient."""

    def __init__(self, wrong=1.0):
        super().__init__(dtype="float64")
        self.wrong = wrong

    def compute_output_shape(self, input_shape):
        return input_shape[:1]


class Scale(Layer):
    """y = gamma * x."""

    def build(self, input_shape):
        self.gamma, self.dgamma = self.param("gamma", input_shape[-1:], "ones")
        self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    def forward(self, x, ctx=INFERENCE):
        return self.gamma * x, x

    def backward(self, dy, x):
        self.dgamma = sum_rows(dy * x)
        return self.gamma * dy
