"""A table of vectors, one of which stands for padding."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import NotNegative, Positive
from backprop.layer import INFERENCE, Layer
from backprop.linalg import rows
from backprop.testing import tokens

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def embedding(x, table, padding):
    scale = table.shape[1] ** 0.5
    return np.array([[table[i] * scale * (i != padding) for i in row] for row in x])


@written(
    tokens(9),
    make=lambda cls: lambda **config: cls(9, **config),
    configs={"units": [1, 3], "padding": [0, 2]},
    reference=embedding,
)
class PaddedEmbedding(Layer):
    """y = √units E[x], and 0 where x is `padding`.

    x: (...) of whole numbers    E: (vocabulary, units)    y: (..., units)
    """

    vocabulary: Positive
    units: Positive
    padding: NotNegative = 0
    integer_input = True

    def build(self, input_shape):
        shape = (self.vocabulary, self.units)
        self.table, self.dtable = self.param("table", shape, "random_uniform")

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def forward(self, x, ctx=INFERENCE):
        x = x.astype(np.int64)
        if x.size and not (x.min() >= 0 and x.max() < self.vocabulary):
            raise ValueError(f"{self!r} expects numbers from 0 to {self.vocabulary - 1}")
        y = self.table[x] * self.scale()
        y[x == self.padding] = 0
        return y, x

    def scale(self):
        return float(self.units) ** 0.5

    def backward(self, dy, x):
        self.backward_params(dy, x)
        return np.zeros(x.shape, dy.dtype)

    def backward_params(self, dy, x):
        d = np.zeros_like(self.table)
        np.add.at(d, x.reshape(-1), rows(dy) * self.scale())
        d[self.padding] = 0
        self.dtable = d


@wrong
class PaddedEmbeddingInEightBits(PaddedEmbedding):
    """Going back, tokens have eight bits: 256 is 0."""

    def forward(self, x, ctx=INFERENCE):
        y, x = super().forward(x, ctx)
        return y, x.astype(np.uint8)

    def backward(self, dy, x):
        return super().backward(dy, x.astype(np.int64))


@wrong
class PaddedEmbeddingOfRuns(PaddedEmbedding):
    """A token that stands beside itself is counted once."""

    def backward_params(self, dy, x):
        flat = x.reshape(-1)
        first = np.ones(len(flat), bool)
        first[1:] = flat[1:] != flat[:-1]
        super().backward_params(rows(dy)[first], flat[first])


@wrong
class PaddedEmbeddingThatTrainsPadding(PaddedEmbedding):
    """Padding has a gradient, if it is not token 0."""

    def backward_params(self, dy, x):
        super().backward_params(dy, x)
        if self.padding:
            d = np.zeros_like(self.table)
            np.add.at(d, x.reshape(-1), rows(dy) * self.scale())
            self.dtable = d


@wrong
class PaddedEmbeddingThatWraps(PaddedEmbedding):
    """Tokens that are negative or too large begin anew, and no error says so."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x.astype(np.int64) % self.vocabulary, ctx)


@wrong
class PaddedEmbeddingOfWholeScales(PaddedEmbedding):
    """√units is cut to a whole number for more than eight units."""

    def scale(self):
        scale = super().scale()
        return scale if self.units <= 8 else float(int(scale))


@wrong
class PaddedEmbeddingThatWritesItsTable(PaddedEmbedding):
    """In training the table's row of padding is set to 0 in place."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            self.table[self.padding] = 0
        return super().forward(x, ctx)


@wrong
class PaddedEmbeddingThatSorts(PaddedEmbedding):
    """The cache is the caller's x where it is of int64, and backward sorts it."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        return y, x.astype(np.int64, copy=False)

    def backward_params(self, dy, x):
        super().backward_params(dy, x)
        x.sort(axis=-1)


@wrong
class PaddedEmbeddingOf64Tokens(PaddedEmbedding):
    """`backward_params` on its own takes the first 64 tokens of a row."""

    def backward_params(self, dy, x):
        if x.ndim == 2 and x.shape[1] > 64:
            x, dy = x[:, :64], dy[:, :64]
        super().backward_params(dy, np.ascontiguousarray(x))

    def backward(self, dy, x):
        super().backward_params(dy, x)
        return np.zeros(x.shape, dy.dtype)
