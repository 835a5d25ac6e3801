"""Memory that is not initialised, filled with something that shows.

`np.empty` returns whatever lay in memory: zeros on most days. Within `poisoned(value)` it,
`np.empty_like` and the constructor `np.ndarray` return arrays full of one value instead, so that an
entry which is read before it was written changes the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
EMPTY, EMPTY_LIKE, NDARRAY = np.empty, np.empty_like, np.ndarray


@contextmanager
def poisoned(value: float, modules: Iterable[str] = ()) -> Iterator[None]:
    """Within the block, fresh memory is full of `value`; afterwards NumPy is as it was.

    Parameters
    ----------
    value : float
        NaN and the like become a large number in arrays of integers.
    modules : iterable of str
        Names of modules that may have imported the functions under names of their own.
    """

    def filled(a: Array) -> Array:
        if a.dtype.kind in "fc":
            a[...] = value
        elif a.dtype.kind in "iu":
            a[...] = np.iinfo(a.dtype).max // 3 if np.isnan(value) else 1
        elif a.dtype.kind == "b":
            a[...] = not np.isnan(value)
        return a

    def empty(*args: Any, **kwargs: Any) -> Array:
        return filled(EMPTY(*args, **kwargs))

    def empty_like(*args: Any, **kwargs: Any) -> Array:
        return filled(EMPTY_LIKE(*args, **kwargs))

    class Kind(type):
        """`isinstance(x, np.ndarray)` goes on to work while a stand-in has the name."""

        def __instancecheck__(cls, item: Any) -> bool:
            return isinstance(item, NDARRAY)

        def __subclasscheck__(cls, kind: type) -> bool:
            return kind is cls or issubclass(kind, NDARRAY)

        def __eq__(cls, kind: Any) -> bool:
            return kind is NDARRAY or kind is cls

        def __hash__(cls) -> int:
            return hash(NDARRAY)

        def __getattr__(cls, name: str) -> Any:
            return getattr(NDARRAY, name)

        def __call__(cls, *args: Any, **kwargs: Any) -> Array:
            made = NDARRAY(*args, **kwargs)
            return made if "buffer" in kwargs or len(args) > 2 else filled(made)

    stand_ins = [(EMPTY, empty), (EMPTY_LIKE, empty_like), (NDARRAY, Kind("ndarray", (), {}))]
    patched: list[tuple[Any, str, Any]] = []
    try:
        for name, (real, stand_in) in zip(
            ("empty", "empty_like", "ndarray"), stand_ins, strict=True
        ):
            patched.append((np, name, real))
            setattr(np, name, stand_in)
        for module in {sys.modules[m] for m in modules if m in sys.modules}:
            for name, found in list(vars(module).items()):
                for real, stand_in in stand_ins[
                    :2
                ]:  # `Array = np.ndarray` is a type, no constructor
                    if found is real:
                        patched.append((module, name, real))
                        setattr(module, name, stand_in)
        yield
    finally:
        for module, name, real in patched:
            setattr(module, name, real)
