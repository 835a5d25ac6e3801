"""Integers to vectors, and the layers that say which steps of a sequence are real."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import integer
from backprop.layer import INFERENCE, Layer
from backprop.linalg import rows
from backprop.masks import both


class Embedding(Layer):
    """y = embeddings[x]: each integer is replaced by its row of a matrix.

        x: (...) of integers    embeddings: (input_dim, output_dim)    y: (..., output_dim)

    Row k reaches y at every place t where x[t] = k, so it collects the dy of all of them. With S
    the sparse matrix S[k, t] = 1 where x[t] = k, the places as columns, that is one product:

        dembeddings[k] = Σ_{t: x[t] = k} dy[t],    dembeddings = S dy

    An integer has no derivative; for the sake of the containers dx is 0, of the shape of x.

    Parameters
    ----------
    input_dim : int
        How many integers there are: x holds 0 to input_dim - 1.
    output_dim : int
    embeddings_initializer : str or Initializer, default "uniform"
    embeddings_regularizer : str or Regularizer, optional
    embeddings_constraint : str or Constraint, optional
    mask_zero : bool, default False
        Whether 0 is padding: the layers behind get the mask x != 0. What was masked stays so.
    weights : array_like of shape (input_dim, output_dim), optional
        The initial embeddings, instead of the initializer's; a list of that one array will do. They
        are not part of `get_config`.
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        Where an integer of x is negative or not below `input_dim`, or where x holds fractions.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Embedding
    >>> Embedding(3, 2, weights=[[0, 0], [1, 2], [3, 4]])(np.array([[2, 1, 1]]))
    array([[[3., 4.],
            [1., 2.],
            [1., 2.]]], dtype=float32)
    """

    integer_input = True

    unsaved = ("weights",)  # a configuration says how to build; values are saved as values

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero: bool = False,
        weights=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.input_dim = integer(input_dim, "Embedding", "input_dim")
        self.output_dim = integer(output_dim, "Embedding", "output_dim")
        self.embeddings_initializer = embeddings_initializer
        self.embeddings_regularizer = embeddings_regularizer
        self.embeddings_constraint = embeddings_constraint
        self.mask_zero = mask_zero
        self.changes_mask = mask_zero
        self.time_local = not mask_zero  # a mask concerns the steps of other layers
        self._given: Any = None if weights is None else self._one_matrix(weights)

    def build(self, input_shape):
        self.embeddings, self.dembeddings = self.param(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer if self._given is None else self._given,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self._given = None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)

    def compute_mask(self, x, mask=None):
        return both(mask, x != 0) if self.mask_zero else mask

    def forward(self, x, ctx=INFERENCE):
        ids = self._indices(x)
        return self.embeddings.take(ids, axis=0), (ids, x.shape)  # twice as fast as [ids]

    def backward_params(self, dy, cache):
        if dy.size and dy.ndim > 2 and dy.strides[-2] == 0:  # the same for all steps: a mean's
            dy = dy[..., 0, :]
        sum_at(cache[0].ravel(), rows(dy), out=self.dembeddings)

    def backward(self, dy, cache):
        self.backward_params(dy, cache)
        return np.zeros(cache[1], dy.dtype)

    def check_values(self, x):
        self._indices(x)

    def _indices(self, x):
        """x as array indices, checked. One look at the largest suffices: unsigned, -1 is huge."""
        if x.dtype.kind not in "iub":
            x = self._whole_numbers(x)
        ids = x.astype(np.intp, copy=False)
        if ids.view(np.uintp).max(initial=0) >= self.input_dim:
            raise ValueError(
                f"{self!r} expects integers from 0 to {self.input_dim - 1} and got "
                f"{ids.min()} to {ids.max()}"
            )
        return ids

    def _whole_numbers(self, x):
        if x.dtype.kind != "f":
            raise TypeError(f"{self!r} expects integers and got an array of dtype {x.dtype}")
        whole = np.isfinite(x) & (x == np.rint(x))
        if not whole.all():
            raise ValueError(f"{self!r} expects integers and got {x[~whole].flat[0]}")
        return x

    def _one_matrix(self, weights):
        shape = (self.input_dim, self.output_dim)
        given = np.array(weights)
        if given.shape == (1, *shape):
            given = given[0]
        if given.shape != shape:
            raise ValueError(f"Embedding expects weights of shape {shape}, got {given.shape}")
        return given


def sum_at(ids, dy, out) -> None:
    """out[k] = Σ dy[t] over the places t where ids[t] = k, for out: (V, D), ids: (T,), dy: (T, D);
    dy[t] may also count for several ids, which stand side by side.

    It is the product S dy. What SciPy runs for it adds to an array that it is given, and so needs
    neither a second array as large as the table nor a pass to copy it: benchmarks/embedding.py.
    """
    from scipy.sparse import csc_array  # here, because it takes longer to import than NumPy

    try:
        from scipy.sparse._sparsetools import csc_matvecs  # not public, so it may be gone one day
    except ImportError:
        csc_matvecs = None
    t = len(dy)
    ones, ends = np.ones(len(ids), dy.dtype), np.arange(t + 1) * (len(ids) // max(t, 1))
    if csc_matvecs is None or dy.dtype != out.dtype or not out.flags.c_contiguous:
        out[...] = csc_array((ones, ids, ends), shape=(len(out), t)) @ dy
        return
    out.fill(0)
    csc_matvecs(len(out), t, out.shape[1], ends, ids, ones, dy.ravel(), out.reshape(-1))


class Masking(Layer):
    """y = x, and 0 at each step whose features all equal mask_value; those steps are masked.

        x, y: (N, T, n)    real: (N, T), where any feature of the step differs from mask_value

    What is replaced by 0 has no influence:

        dx = dy at the real steps, else 0

    The layers behind get the mask `real`. What was masked before stays so.

    Parameters
    ----------
    mask_value : float, default 0.0
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Masking
    >>> layer, x = Masking(mask_value=-1.0), np.array([[[5.0, -1.0], [-1.0, -1.0]]])
    >>> layer(x)
    array([[[ 5., -1.],
            [ 0.,  0.]]], dtype=float32)
    >>> layer.compute_mask(x, None)
    array([[ True, False]])
    """

    mask_value: float = 0.0

    changeable = ("mask_value",)

    def compute_mask(self, x, mask=None):
        return both(mask, (x != self.mask_value).any(-1))

    def forward(self, x, ctx=INFERENCE):
        real = (x != self.mask_value).any(-1, keepdims=True)
        return np.where(real, x, x.dtype.type(0)), real

    def backward(self, dy, cache):
        return np.where(cache, dy, dy.dtype.type(0))
