"""Penalties on parameters or activities: loss = loss + penalty(w), so dw = dw + dpenalty/dw.

Each regularizer returns its penalty when called and the penalty's derivative from `gradient`,
derived in its docstring. The snake-case names (`regularizers.l2`) are the classes themselves, as in
Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from backprop.absent import face
from backprop.arguments import Convert
from backprop.checks import choice, is_real, where
from backprop.config import Configurable, Registry

Array = np.ndarray


class Regularizer(Configurable):
    """penalty = f(w), a number; gradient = df/dw, an array like w. The base of all regularizers.

    A subclass writes both; there is no automatic differentiation that could derive the second from
    the first.

    Examples
    --------
    >>> import numpy as np
    >>> class Cubic(Regularizer):
    ...     def __call__(self, w):
    ...         return float(np.sum(w**3))
    ...     def gradient(self, w):
    ...         return 3 * w**2
    >>> Cubic().gradient(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """

    def __call__(self, w: Array) -> float:
        """The penalty on `w`, an array of any shape."""
        raise TypeError(
            f"{type(self).__name__} has no __call__(self, w): write one that returns the penalty"
        )

    def gradient(self, w: Array) -> Array:
        """dpenalty/dw, a fresh array of the shape and dtype of `w`."""
        raise TypeError(
            f"{type(self).__name__} cannot be trained with: it has no derivative. Write "
            "gradient(self, w), which returns dpenalty/dw as an array of the shape of w"
        )


class FromFunction(Regularizer):
    """penalty = fn(w), for a function of the user's.

    It has no derivative, so that it serves for evaluation only.
    """

    fn: Annotated[Callable, where(callable, "{name} to be a function")]

    def __call__(self, w: Array) -> float:
        return float(self.fn(w))

    def gradient(self, w: Array) -> Array:
        raise TypeError(
            f"the regularizer {getattr(self.fn, '__name__', self.fn)} is a function and has no "
            "derivative; to train with it, write a subclass of Regularizer with __call__(self, w) "
            "and gradient(self, w), which returns dpenalty/dw"
        )


def factor(value: Any, who: str, name: str, default: float) -> float:
    if value is None:
        return default
    if not is_real(value):
        raise TypeError(f"{who} expects {name} to be a number, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{who} expects {name} to be finite and not negative, got {value!r}")
    return float(value)


Factor = Annotated[float, Convert(factor, none=True, default=0.01)]
FactorOrZero = Annotated[float, Convert(factor, none=True, default=0.0)]


def sum_squares(w: Array) -> float:
    # a product with itself is one pass without a temporary
    flat = w.reshape(-1)
    return float(flat @ flat)


class L1(Regularizer):
    """penalty = l1 Σ |w|.

    Each weight is a term of its own, and |w| has the slope sign(w); at the kink w = 0 we take 0,
    the middle of its subgradients:

        gradient = l1 sign(w)

    Parameters
    ----------
    l1 : float, default 0.01
        Finite, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([-3.0, 0.0, 1.0])
    >>> L1(0.5)(w), L1(0.5).gradient(w)
    (2.0, array([-0.5,  0. ,  0.5]))
    """

    l1: Factor = 0.01

    def __call__(self, w: Array) -> float:
        return self.l1 * float(np.abs(w).sum())

    def gradient(self, w: Array) -> Array:
        dw = np.sign(w)
        dw *= self.l1
        return dw


class L2(Regularizer):
    """penalty = l2 Σ w².

    Each weight is a term of its own, and w² has the slope 2w:

        gradient = 2 l2 w

    Parameters
    ----------
    l2 : float, default 0.01
        Finite, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([-3.0, 0.0, 1.0])
    >>> L2(0.5)(w), L2(0.5).gradient(w)
    (5.0, array([-3.,  0.,  1.]))
    """

    l2: Factor = 0.01

    def __call__(self, w: Array) -> float:
        return self.l2 * sum_squares(w)

    def gradient(self, w: Array) -> Array:
        return 2 * self.l2 * w


class L1L2(Regularizer):
    """penalty = l1 Σ |w| + l2 Σ w².

    The two penalties' slopes add up:

        gradient = l1 sign(w) + 2 l2 w

    The name ``"l1_l2"`` stands for ``L1L2(0.01, 0.01)``.

    Parameters
    ----------
    l1, l2 : float, default 0.0
        Finite, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([-3.0, 0.0, 1.0])
    >>> L1L2(1.0, 0.5)(w), L1L2(1.0, 0.5).gradient(w)
    (9.0, array([-4.,  0.,  2.]))
    """

    l1: FactorOrZero = 0.0
    l2: FactorOrZero = 0.0

    def __call__(self, w: Array) -> float:
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.abs(w).sum())
        if self.l2:
            penalty += self.l2 * sum_squares(w)
        return penalty

    def gradient(self, w: Array) -> Array:
        dw = 2 * self.l2 * w
        if self.l1:
            dw += self.l1 * np.sign(w)
        return dw


class OrthogonalRegularizer(Regularizer):
    """penalty = factor * mean over pairs i < j of |x̂_i · x̂_j|, with x̂_i = x_i / |x_i|, w's rows.

        w, x̂: (n, m)    P = x̂ x̂ᵀ: (n, n)    pairs = n (n - 1) / 2

    P is symmetric, so half the sum of |P| beside the diagonal runs over the pairs. With S = sign(P)
    and zeros on S's diagonal, each x̂_i meets every pair that it is in once, and dividing by the
    length then takes away what lies along x̂:

        dx̂ = factor / pairs * S x̂        gradient = (dx̂ - x̂ (dx̂ · x̂)) / |x|    row by row

    A row of zeros has no direction; it is left a row of zeros and its gradient is 0. A single row
    has no pair and no penalty.

    Parameters
    ----------
    factor : float, default 0.01
        Finite, not negative.
    mode : {'rows', 'columns'}, default 'rows'
        Which of w's vectors shall be orthogonal.

    Raises
    ------
    ValueError
        When w is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[2.0, 0.0], [0.0, 3.0]])
    >>> OrthogonalRegularizer(1.0)(w), round(OrthogonalRegularizer(1.0)(w + 1), 4)
    (0.0, 0.5369)
    """

    factor: Factor = 0.01
    mode: Annotated[str, choice("rows", "columns")] = "rows"

    def __call__(self, w: Array) -> float:
        xhat, _ = self.directions(w)
        return self.weight(len(xhat)) * float(np.abs(np.triu(xhat @ xhat.T, 1)).sum())

    def gradient(self, w: Array) -> Array:
        xhat, length = self.directions(w)
        s = np.sign(xhat @ xhat.T)
        np.fill_diagonal(s, 0)
        dxhat = self.weight(len(xhat)) * (s @ xhat)
        dxhat -= xhat * (dxhat * xhat).sum(1, keepdims=True)
        dxhat /= length
        return dxhat if self.mode == "rows" else np.ascontiguousarray(dxhat.T)

    def weight(self, n: int) -> float:
        return self.factor / (n * (n - 1) / 2) if n > 1 else 0.0

    def directions(self, w: Array) -> tuple[Array, Array]:
        if w.ndim != 2:
            raise ValueError(
                f"{self!r} expects a matrix and got an array of shape {w.shape}; "
                "leave it out where a layer's kernel has more axes"
            )
        x = w if self.mode == "rows" else w.T
        length = np.sqrt((x * x).sum(1, keepdims=True))
        length[length == 0] = 1
        return x / length, length


# ---------------------------------------------------------------------------- names

l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

registry = Registry(
    "regularizers",
    [L1, L2, L1L2, OrthogonalRegularizer],
    {"l1_l2": lambda: L1L2(0.01, 0.01)},
    base=Regularizer,
    inputs=(1,),
)


def get(identifier: Any) -> Any:
    """The regularizer for a name, a config, a class, an object or a function; None stays None.

    Parameters
    ----------
    identifier : str, mapping, type, Regularizer or callable
        A function has no derivative: it serves for evaluation, and training with it raises an
        error. The other errors are those of `constraints.get`.

    Examples
    --------
    >>> get("l2")
    L2()
    """
    found = registry.get(identifier)
    if found is None or (callable(found) and hasattr(found, "gradient")):
        return found
    if callable(found):
        return FromFunction(found)
    raise TypeError(
        f"a regularizer is a name or a Regularizer, such as L2(0.01); got {identifier!r}"
    )


RegularizerLike = Annotated[Any, Convert(lambda value, who, name: get(value))]


serialize, deserialize = registry.functions("regularizer")


__getattr__ = face(__name__, ())[0]
