"""One layer at every step of time."""

from __future__ import annotations

import numpy as np

from backprop.layer import Array, Layer, show_shape
from backprop.layers.containers import Container
from backprop.layers.recurrent.time import OverTime


class TimeDistributed(Container):
    """y[:, t] = f(x[:, t]): the same layer at every step.

        x: (N, T, ...)    y: (N, T, ...), as f has it

    The steps share the weights of f, a copy each, so that their gradients add up:

        dx[:, t] = f'(dy[:, t])        dkernel = Σ_t of what f sets at step t

    Where f treats each row of a batch by itself, the steps are rows like any others, and f runs
    once, on (N T, ...). A layer that couples rows runs step by step, as in Keras: so a
    `BatchNormalization` has the statistics of each step, and moves its averages T times.

    Parameters
    ----------
    layer : Layer
        f, for inputs of one step. One of the user's own runs step by step.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    TypeError
        If `layer` is none.
    ValueError
        For an input without axes besides the batch and time.

    Notes
    -----
    A mask is passed on. A layer inside that takes the mask into account is given that of its step,
    where a step is a row of numbers; inside of images and sequences nothing is masked.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2D, TimeDistributed
    >>> film = np.zeros((2, 10, 28, 28, 1))
    >>> TimeDistributed(Conv2D(8, 5))(film).shape
    (2, 10, 24, 24, 8)
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise TypeError(
                f"TimeDistributed expects a layer for one step of time, got {layer!r}: "
                "TimeDistributed(Dense(8))"
            )
        self.layer = layer
        # the sum over all steps is the penalty on y: a container puts it behind this layer
        if self.activity_regularizer is None:
            self.activity_regularizer = layer.activity_regularizer
        self.integer_input = layer.integer_input
        self.changes_mask = False
        self._folded = False

    def build(self, input_shape):
        self.check_rank(input_shape)
        self.build_part(self.layer, 0, (input_shape[0], *input_shape[2:]))
        self._folded = treats_rows_alike(self.layer)

    def check_rank(self, shape) -> None:
        if len(shape) < 3:
            raise ValueError(
                f"{self!r} expects inputs of shape (time, ...) with at least two axes and got "
                f"{show_shape(shape[1:])}"
            )

    def check_input(self, shape):
        self.check_rank(shape)
        self.layer.check_input((shape[0], *shape[2:]))

    def compute_output_shape(self, input_shape):
        self.check_rank(input_shape)
        n, *rest = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (n, input_shape[1], *rest)

    def compute_mask(self, x, mask):
        return mask

    def propagate(self, x, ctx):
        if ctx.mask is not None and np.shape(ctx.mask) != x.shape[:2]:
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, got "
                f"{np.shape(ctx.mask)}"
            )
        if self._folded:
            y, cache = self.forward_of(self.layer, folded(x), ctx.with_mask(None))
            return y.reshape(*x.shape[:2], *y.shape[1:]), (cache, x.shape), ctx.mask
        y = np.empty(self.compute_output_shape(x.shape), x.dtype)
        caches = []
        for t in range(x.shape[1]):
            mask = None if ctx.mask is None or x.ndim > 3 else ctx.mask[:, t]
            y[:, t], cache = self.forward_of(self.layer, x[:, t], ctx.with_mask(mask))
            caches.append(cache if ctx.backward else None)
        return y, (caches, x.shape), ctx.mask

    def backward(self, dy, cache):
        caches, shape = cache
        if self._folded:
            steps = (None, *shape[2:])
            return self.backward_of(self.layer, folded(dy), caches, steps).reshape(shape)
        dx = np.zeros(shape, dy.dtype)
        trained = [p for p in self.layer.arrays() if p.gradient is not None]
        sums = [np.zeros_like(p.gradient) for p in trained]
        for t in range(shape[1]):
            dx[:, t] = self.backward_of(self.layer, dy[:, t], caches[t], (None, *shape[2:]))
            for p, total in zip(trained, sums, strict=True):
                total += p.gradient
        for p, total in zip(trained, sums, strict=True):
            p.gradient[...] = total
        return dx

    def backward_params(self, dy, cache):
        if self._folded:
            self.layer.backward_params(folded(dy), cache[0])
        else:
            self.backward(dy, cache)

    @property
    def ends_in_softmax(self):
        return self._folded and self.layer.ends_in_softmax

    def backward_logits(self, dz, cache, *, dx=True):
        caches, shape = cache
        found = self.layer.backward_logits(folded(dz), caches, dx=dx)
        return found.reshape(shape) if dx else None

    @property
    def can_step(self):
        return not any(isinstance(part, OverTime) and part.stateful for part in self.layer.walk())

    def step(self, x, memory):
        return self(x), None


def folded(x: Array) -> Array:
    """(N, T, ...) → (N·T, ...)."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def treats_rows_alike(layer: Layer) -> bool:
    """Whether each row of a batch goes through the layer by itself, whatever stands beside it.

    A layer with statistics or states does not, nor one whose draws or penalties are for a batch.
    """
    for part in layer.walk():
        ours = type(part).__module__.partition(".")[0] == __name__.partition(".")[0]
        kept = part.states_kept() or any(p.gradient is None for p in part.arrays())
        drawn_for_all = getattr(part, "noise_shape", None) is not None
        if not ours or kept or drawn_for_all or (part.penalises and part is not layer):
            return False
    return True
