"""A layer with one parameter, as correct as it is small, for tests that spoil it."""

from backprop.layer import INFERENCE, Layer
from backprop.linalg import sum_rows


class Scale(Layer):
    """y = gamma * x."""

    def build(self, input_shape):
        self.gamma, self.dgamma = self.param("gamma", input_shape[-1:], "ones")

    def forward(self, x, ctx=INFERENCE):
        return self.gamma * x, x

    def backward(self, dy, x):
        self.dgamma = sum_rows(dy * x)
        return self.gamma * dy
