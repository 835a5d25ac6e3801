"""Integers to vectors, and the layers that say which steps of a sequence are real."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop import constraints, initializers, regularizers
from backprop.arguments import Convert
from backprop.checks import array, flag, integer, is_real, number
from backprop.construction import named
from backprop.counts import Count, no_products, times
from backprop.defaults import float_dtype
from backprop.kernels.embedding import sum_at
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import affine, rows
from backprop.masks import both
from backprop.old_arguments import NOT_QUANTIZED, Ignored
from backprop.promises import short_for


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
    legacy = (*NOT_QUANTIZED, Ignored("input_length", (None,)))

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
        for name, get, given in (
            ("embeddings_initializer", initializers.get, embeddings_initializer),
            ("embeddings_regularizer", regularizers.get, embeddings_regularizer),
            ("embeddings_constraint", constraints.get, embeddings_constraint),
        ):
            setattr(self, name, named(get, given, "Embedding", name))
        self.mask_zero = flag(mask_zero, "Embedding", "mask_zero")
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

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        ids = self._indices(x)
        return self.embeddings.take(ids, axis=0), (ids, x.shape)  # twice as fast as [ids]

    def backward_params(self, dy, cache):
        if dy.size and dy.ndim > 2 and dy.strides[-2] == 0:  # the same for all steps: a mean's
            dy = dy[..., 0, :]
        sum_at(cache[0].ravel(), rows(dy), self.dembeddings)

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
        given = array(weights, "Embedding", "weights").copy()
        if given.shape == (1, *shape):
            given = given[0]
        if given.shape != shape:
            raise ValueError(f"Embedding expects weights of shape {shape}, got {given.shape}")
        return given


class ReversibleEmbedding(Embedding):
    """y = embeddings[x], and z = h · embeddingsᵀ where it is called in reverse.

        x: (...) of integers    embeddings: (input_dim, output_dim)    y: (..., output_dim)

    One table says both what a word is like and how much a state h is like each word. It is called
    as in Keras: ``layer(x)`` looks up, ``layer(h, reverse=True)`` scores; the second is a layer
    `Unembedding`, which has the formula of the way back. Where a network has both, the table's
    gradient is the sum of theirs.

    Parameters
    ----------
    input_dim, output_dim : int
        As in `Embedding`.
    tie_weights : bool, default True
        Whether both ways share the table. Else there are `reverse_embeddings`, (output_dim,
        input_dim), for the way back, with the same initializer.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero, weights
        As in `Embedding`.
    reverse_dtype : str, optional
        What z is computed in, before it is cast to the layer's dtype. Default: that dtype.
    logit_soft_cap : float, optional
        Bounds z by c tanh(z / c), with c this number.
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Press and Wolf: Using the output embedding to improve language models, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ReversibleEmbedding
    >>> layer = ReversibleEmbedding(3, 2, weights=[[0, 0], [1, 2], [3, 4]])
    >>> h = layer(np.array([[2, 1]]))
    >>> h
    array([[[3., 4.],
            [1., 2.]]], dtype=float32)
    >>> layer(h, reverse=True)
    array([[[ 0., 11., 25.],
            [ 0.,  5., 11.]]], dtype=float32)
    """

    reverse_embeddings = dreverse_embeddings = None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero: bool = False,
        reverse_dtype=None,
        logit_soft_cap: float | None = None,
        **kwargs,
    ):
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        who = "ReversibleEmbedding"
        self.tie_weights = flag(tie_weights, who, "tie_weights")
        self.reverse_dtype = (
            None if reverse_dtype is None else float_dtype(reverse_dtype, "reverse_dtype").name
        )
        self.logit_soft_cap = (
            None
            if logit_soft_cap is None
            else number(logit_soft_cap, who, "logit_soft_cap", least=0, above=True)
        )

    def __call__(self, inputs, reverse=False, **named):
        return (self.in_reverse if reverse else super().__call__)(inputs, **named)

    @property
    def in_reverse(self) -> Unembedding:
        """The layer that a call with ``reverse=True`` calls: the same one every time."""
        if "_in_reverse" not in self.__dict__:
            self.__dict__["_in_reverse"] = Unembedding(self)
        return self.__dict__["_in_reverse"]

    def build(self, input_shape):
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings, self.dreverse_embeddings = self.param(
                "reverse_embeddings",
                (self.output_dim, self.input_dim),
                self.embeddings_initializer,
            )

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        if self.dreverse_embeddings is not None:  # a look-up does not meet them
            self.dreverse_embeddings = np.zeros_like(self.dreverse_embeddings)


class Unembedding(Layer):
    """y = z = x · embeddingsᵀ, or c tanh(z / c) where there is a soft cap c.

        x: (..., output_dim)    embeddings: (input_dim, output_dim)    y, z: (..., input_dim)

    The way back through a `ReversibleEmbedding`, whose table it shares. With dz = dy, or, as tanh'
    is 1 - tanh², dz = dy (1 - (y / c)²), and the leading axes as rows,

        dx = dz embeddings        dembeddings = dzᵀ x

    Without tied weights it is ``reverse_embeddings``, (output_dim, input_dim), that it multiplies
    by, and dreverse_embeddings = xᵀ dz.

    Parameters
    ----------
    layer : ReversibleEmbedding
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        Where `layer` is another one.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ReversibleEmbedding, Unembedding
    >>> table = ReversibleEmbedding(3, 2, weights=[[0, 0], [1, 2], [3, 4]], logit_soft_cap=5.0)
    >>> Unembedding(table)(np.array([[1.0, 0.0]])).round(2)
    array([[0.  , 0.99, 2.69]], dtype=float32)
    """

    layer: Any
    time_local = True

    def __post_init__(self):
        if not isinstance(self.layer, ReversibleEmbedding):
            raise TypeError(
                f"Unembedding expects layer to be a ReversibleEmbedding, got {self.layer!r}"
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: self.layer.output_dim})

    def build(self, input_shape):
        self.layer.build((None,))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.layer.input_dim)

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        return times(*input_shape[1:], self.layer.input_dim)

    def forward(self, x, ctx=INFERENCE):
        t = self.layer
        kernel, cap = self._kernel(), t.logit_soft_cap
        if t.reverse_dtype is None:
            y = affine(x, kernel)
        else:
            y = affine(x.astype(t.reverse_dtype), kernel.astype(t.reverse_dtype))
        if cap is not None:
            y = np.tanh(y / cap) * cap
        return y.astype(x.dtype, copy=False), (x, y if cap is not None else None)

    def backward(self, dy, cache):
        return affine(self._set_gradients(dy, cache), self._kernel().T)

    def backward_params(self, dy, cache):
        self._set_gradients(dy, cache)

    def _kernel(self):
        t = self.layer
        return t.embeddings.T if t.tie_weights else t.reverse_embeddings

    def _set_gradients(self, dy, cache):
        """dz; sets the gradients of both tables."""
        (x, y), t = cache, self.layer
        dz = dy if y is None else dy * (1 - (y / t.logit_soft_cap) ** 2).astype(dy.dtype)
        if t.tie_weights:
            t.dembeddings = rows(dz).T @ rows(x)
        else:
            t.dembeddings = np.zeros_like(t.dembeddings)
            t.dreverse_embeddings = rows(x).T @ rows(dz)
        return dz


def any_number(value: Any, who: str, name: str) -> Any:
    """Infinities too."""
    if not is_real(value):
        raise ValueError(f"{who} expects {name} to be a number, got {value!r}")
    return value


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

    mask_value: Annotated[float, Convert(any_number)] = 0.0

    changeable = ("mask_value",)

    def compute_mask(self, x, mask=None):
        return both(mask, (x != self.mask_value).any(-1))

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        real = (x != self.mask_value).any(-1, keepdims=True)
        return np.where(real, x, x.dtype.type(0)), real

    def backward(self, dy, cache):
        return np.where(cache, dy, dy.dtype.type(0))
