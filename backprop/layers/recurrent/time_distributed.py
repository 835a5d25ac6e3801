"""One layer at every step of time."""

from __future__ import annotations

import numpy as np

from backprop.counts import Count, times
from backprop.input_spec import show_shape
from backprop.layer import Array, Layer
from backprop.layers.chain import Chain
from backprop.layers.containers import Container
from backprop.layers.recurrent.sums import Sums
from backprop.layers.recurrent.time import OverTime
from backprop.layers.wrapper import Wrapper
from backprop.masks import both
from backprop.promises import short_for


class TimeDistributed(Container, Wrapper):
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
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        If `layer` is none.
    ValueError
        For an input without axes besides the batch and time.

    Notes
    -----
    A mask (batch, time) is passed on, and says to a layer inside that couples rows which of them
    are real. A mask of steps within steps, (batch, time, ...), as an `Embedding` makes it of
    sentences of words, is that of the sequences that f gets: it comes out as f leaves it, and where
    f ends it, a step is real that has any real step within. So it is where f itself begins with the
    layer that makes the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2D, TimeDistributed
    >>> film = np.zeros((2, 10, 28, 28, 1))
    >>> TimeDistributed(Conv2D(8, 5))(film).shape
    (2, 10, 24, 24, 8)
    """

    wraps = "a layer for one step of time"
    _folded = False
    _ours = False

    def build(self, input_shape):
        self.check_rank(input_shape)
        self.build_part(self.layer, 0, (input_shape[0], *input_shape[2:]))
        self._folded = treats_rows_alike(self.layer)
        self._ours = all(map(is_ours, self.layer.walk()))

    def check_rank(self, shape) -> None:
        if len(shape) < 3:
            raise ValueError(
                f"{self!r} expects inputs of shape (time, ...) with at least two axes and got "
                f"{show_shape(shape[1:])}"
            )

    def check_input(self, shape):
        self.check_rank(shape)
        self.layer.check_input((shape[0], *shape[2:]))

    @property
    def mask_caveat(self):
        return ""

    def obeys_mask(self, x, mask):
        return True  # as far as the layer does, which is asked for each step

    def compute_output_shape(self, input_shape):
        self.check_rank(input_shape)
        n, *rest = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (n, input_shape[1], *rest)

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        inner = self.layer.multiply_adds((input_shape[0], *input_shape[2:]))
        return times(input_shape[1], inner)

    def propagate(self, x, ctx):
        mask = ctx.mask
        if mask is not None and mask.ndim < 3:
            mask = self.real_steps(x, mask)
        elif mask is not None and mask.shape != x.shape[: mask.ndim]:
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[: mask.ndim]}, batch, time and the "
                f"steps of each of its steps, got {mask.shape}"
            )
        if self._folded:
            inner = None if mask is None or mask.ndim < 3 else folded(mask)
            y, cache, found = self.propagate_of(self.layer, folded(x), ctx.with_mask(inner))
            y, caches = y.reshape(*x.shape[:2], *y.shape[1:]), cache
            found = None if found is None else found.reshape(*x.shape[:2], *found.shape[1:])
        else:
            dtype = x.dtype if x.dtype.kind == "f" else self.dtype or np.float32
            y = np.empty(self.compute_output_shape(x.shape), dtype)
            caches, each = [], []
            # a layer of the user's may know no mask of rows alone, where its input has steps
            deep = mask is not None and mask.ndim > 2
            heard = mask if self._ours or deep or x.ndim == 3 else None
            for t in range(x.shape[1]):
                inner = None if heard is None else heard[:, t]
                y[:, t], cache, found = self.propagate_of(self.layer, x[:, t], ctx.with_mask(inner))
                caches.append(cache if ctx.backward else None)
                each.append(found)
            found = None if not each or each[0] is None else np.stack(each, axis=1)
        return y, (caches, x.shape), self._mask_of_y(x, mask, found)

    def _mask_of_y(self, x, mask, found):
        """The mask that f leaves of its own steps, or else which steps of x have any real one."""
        made = made_by(self.layer, folded(x))
        for inner in (mask, None if made is None else made.reshape(*x.shape[:2], *made.shape[1:])):
            if inner is not None:
                found = both(found, np.asarray(inner.any(tuple(range(2, inner.ndim)))))
        return found

    def backward(self, dy, cache):
        caches, shape = cache
        if self._folded:
            steps = (None, *shape[2:])
            return self.backward_of(self.layer, folded(dy), caches, steps).reshape(shape)
        dx = np.zeros(shape, dy.dtype)
        sums = Sums(self.layer)
        for t in range(shape[1]):
            dx[:, t] = self.backward_of(self.layer, dy[:, t], caches[t], (None, *shape[2:]))
            sums.add()
        sums.put()
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


def made_by(layer: Layer, x: Array) -> Array | None:
    """The mask that a layer makes of its input, or the first of a chain; None where none does."""
    while isinstance(layer, Chain) and layer.layers:
        layer = layer.layers[0]
    if layer.sublayers() or not layer.changes_mask:
        return None
    return layer.compute_mask(x, None)


def is_ours(layer: Layer) -> bool:
    return type(layer).__module__.partition(".")[0] == __name__.partition(".")[0]


def treats_rows_alike(layer: Layer) -> bool:
    """Whether each row of a batch goes through the layer by itself, whatever stands beside it.

    A layer with statistics or states does not, nor one whose draws or penalties are for a batch.
    """
    for part in layer.walk():
        kept = part.states_kept() or any(p.gradient is None for p in part.arrays())
        drawn_for_all = getattr(part, "noise_shape", None) is not None
        if not is_ours(part) or kept or drawn_for_all or (part.penalises and part is not layer):
            return False
    return True
