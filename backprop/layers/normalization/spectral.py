"""Another layer with its kernel divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Positive
from backprop.context import constant
from backprop.counts import by_its
from backprop.initializers import TruncatedNormal
from backprop.layer import INFERENCE
from backprop.layers.wrapper import Wrapper

TINY = 1e-7  # a vector below this length is divided by it, as in Keras


class SpectralNormalization(Wrapper):
    """y = layer(x) with W / σ in the place of its kernel W, where σ is the largest singular value.

        W, as a matrix: (m, n), n the kernel's last axis    u: (1, n)    v: (1, m)

    σ comes from power iteration. A pass in training begins where the last one ended and repeats

        v = u Wᵀ / |u Wᵀ|        u = v W / |v W|        then σ = v W uᵀ

    and keeps u, a buffer. In inference u stays what it is, and v is computed from it. A kernel of
    zeros is left alone. The weights are u and then the layer's; Keras has u behind the kernel.

    u and v count as constants of σ, whose slope is then vᵀ u; they are, to first order, once the
    iteration has converged, and `gradcheck` holds them so. With dV the layer's own gradient, for
    the kernel V = W / σ,

        dW = (dV - vᵀ u Σ dV V) / σ

    Keras' gradient depends on its engine. Its code stops the gradient at u and v as this layer
    does, and under JAX it trains with the dW above. But it also writes V over the kernel, and under
    TensorFlow and PyTorch, where nothing is differentiated through an assignment, it takes dV for
    the gradient and the kernel that it has overwritten for the weight. Here the kernel is the
    optimizer's alone, and inference divides by σ as well.

    Parameters
    ----------
    layer : Layer
        One with a `kernel`, such as `Dense` and `Conv2D`, or with `embeddings`.
    power_iterations : int, default 1
        For each pass in training.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        Where `layer` is not a layer.
    ValueError
        Where it has neither a kernel nor embeddings.

    References
    ----------
    Miyato, Kataoka, Koyama, Yoshida: Spectral normalization for generative adversarial networks,
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense, SpectralNormalization
    >>> layer = SpectralNormalization(Dense(2, kernel_initializer="identity"))
    >>> layer.build((None, 2))
    >>> layer.set_weights([np.array([[1.0, 0.0]]), np.diag([5.0, 1.0]), np.zeros(2)])
    >>> layer(np.ones((1, 2)), training=True)
    array([[1. , 0.2]], dtype=float32)
    """

    power_iterations: Positive = argument(default=1, after="layer")

    wraps = "a layer to normalise"
    which = "kernel"
    changeable = ("power_iterations",)

    def build(self, input_shape):
        super().build(input_shape)
        held = self.layer.__dict__
        self.which = next((name for name in ("kernel", "embeddings") if name in held), "")
        if not self.which:
            raise ValueError(
                f"SpectralNormalization expects a layer with a kernel or embeddings, such as Dense "
                f"or Conv2D, and got {self.layer!r}"
            )
        width = held[self.which].shape[-1]
        self.vector_u = self.buffer("vector_u", (1, width), TruncatedNormal(stddev=0.02))

    multiply_adds = by_its("layer")

    def forward(self, x, ctx=INFERENCE):
        kernel = getattr(self.layer, self.which)
        v, u, sigma = self._singular(kernel.reshape(-1, kernel.shape[-1]), ctx.training)
        twin = self._with_kernel(kernel / sigma)
        y, cache, _ = self.propagate_of(twin, x, ctx)
        return y, (twin, cache, v, u, sigma)

    def backward(self, dy, cache):
        dx = self.backward_of(cache[0], dy, cache[1], self.build_shape)
        self._through_sigma(cache)
        return dx

    def backward_params(self, dy, cache):
        cache[0].backward_params(dy, cache[1])
        self._through_sigma(cache)

    def _through_sigma(self, cache):
        """From dV, which the layer has set, to dW in its place."""
        twin, _, v, u, sigma = cache
        d = getattr(twin, f"d{self.which}")
        along = (d * getattr(twin, self.which)).sum()
        d -= (along * v.T * u).reshape(d.shape)
        d /= sigma

    def _singular(self, w, training):
        """v, u and σ; in training u moves."""
        v, u = constant("u and v", lambda: self._vectors(w, training))
        sigma = (v @ w @ u.T)[0, 0]
        if not sigma:
            return v, u, w.dtype.type(1)
        if training:
            self.vector_u = u
        return v, u, sigma

    def _vectors(self, w, training):
        u = unit(self.vector_u)  # a copy: another pass may move the buffer before this is reversed
        v = unit(u @ w.T)
        if training:
            u = unit(v @ w)
            for _ in range(self.power_iterations - 1):
                v = unit(u @ w.T)
                u = unit(v @ w)
        return v, u

    def _with_kernel(self, kernel) -> Any:
        """The layer with another kernel: the same arrays otherwise, and the same gradients."""
        twin = object.__new__(type(self.layer))
        twin.__dict__ |= self.layer.__dict__ | {self.which: kernel}
        return twin


def unit(v):
    return v / np.maximum(np.sqrt((v * v).sum()), v.dtype.type(TINY))
