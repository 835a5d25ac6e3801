"""What every initializer is: w = f(shape), in a dtype, of a generator where it draws."""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.config import Configurable
from backprop.defaults import floatx

Array = np.ndarray


class Initializer(Configurable):
    """w = f(shape): the base of all initializers.

    A subclass writes `__call__(self, shape, dtype=None, rng=None)`. One written for Keras, without
    `rng`, works too.

    Examples
    --------
    >>> import numpy as np
    >>> class Halves(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype)
    >>> Halves()((2,), dtype="float32", rng=np.random.default_rng(0))
    array([0.5, 0.5], dtype=float32)
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = accepting_rng(cls.__call__)

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        """Make an array.

        Parameters
        ----------
        shape : tuple of int
        dtype : str or dtype, default `config.floatx`
        rng : numpy.random.Generator, optional
            Where to draw from when the initializer has no seed of its own. Default: a generator of
            its own, which `backprop.utils.set_random_seed` makes reproducible.

        Returns
        -------
        ndarray
            Fresh, of the given shape and dtype.
        """
        raise TypeError(
            f"{type(self).__name__} has no __call__(self, shape, dtype=None, rng=None): write one"
        )

    def clone(self) -> Any:
        """Another one like it."""
        return type(self).from_config(self.get_config())


def accepting_rng(call: Callable) -> Callable:
    """`call`, or, where it has no `rng`, a function that takes one and leaves it unused."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a function of C code tells nothing
        parameters = ()
    if any(p.name == "rng" or p.kind is p.VAR_KEYWORD for p in parameters):
        return call

    @functools.wraps(call)
    def wrapper(*args, rng=None, **kwargs):
        return call(*args, **kwargs)

    return wrapper


def real(value: Any, who: Any, dtype: Any) -> Array:
    """What an initializer made, in a dtype, unless half of it would be lost there."""
    value = np.asarray(value, order="C")  # 0-d stays 0-d
    if value.dtype.kind == "c":
        raise TypeError(
            f"the initializer {who!r} made complex numbers, and a parameter holds real ones: "
            "declare two parameters, the real part and the imaginary part"
        )
    return value.astype(float_or(dtype), copy=False)


def float_or(dtype) -> np.dtype:
    try:
        return np.dtype(floatx() if dtype is None else dtype)
    except (TypeError, ValueError):
        raise TypeError(
            f"an initializer expects dtype to be that of an array, got {reprlib.repr(dtype)}"
        ) from None
