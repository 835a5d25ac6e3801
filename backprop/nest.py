"""Several arrays where there could be one.

Within the library several arrays are a tuple, and their shapes and masks likewise; a layer of one
input and one output sees none. Users give lists and dicts, of lists and dicts: here is where the
one becomes the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def each(f: Callable[[Any], Any], x: Any) -> Any:
    """f of each of several arrays, or of the one; what is None stays None.

    Examples
    --------
    >>> each(len, ("ab", None, "c")), each(len, "ab")
    ((2, None, 1), 2)
    """
    return tuple([a if a is None else f(a) for a in x]) if type(x) is tuple else f(x)


def as_tuple(x: Any) -> tuple:
    """Several arrays as they are, and one as the one of a tuple."""
    return x if type(x) is tuple else (x,)


def as_one(items: Any) -> Any:
    """Several as a tuple, and the one of a list by itself."""
    return items[0] if len(items) == 1 else tuple(items)


def several(shape: Any) -> bool:
    """Whether these are the shapes of several arrays, and not the shape of one.

    Examples
    --------
    >>> several(((None, 3), (None, 5))), several((None, 3)), several((None,))
    (True, False, False)
    """
    return isinstance(shape, tuple | list) and any(isinstance(s, tuple | list) for s in shape)


def each_shape(f: Callable[[Any], Any], shape: Any) -> Any:
    """f of each of several shapes, or of the one."""
    return tuple([s if s is None else f(s) for s in shape]) if several(shape) else f(shape)


def shapes(x: Any) -> Any:
    """The shape of an array, or those of several."""
    return tuple([None if a is None else a.shape for a in x]) if type(x) is tuple else x.shape


def row_count(x: Any) -> int:
    """How many rows a batch has."""
    return (x[0] if type(x) is tuple else x).shape[0]


# ---------------------------------------------------------------------- lists and dicts of users


def is_nest(x: Any) -> bool:
    return isinstance(x, list | tuple | Mapping)


def leaves(structure: Any) -> list:
    """What lists, tuples and dicts hold, in order; the entries of a dict by their keys.

    Examples
    --------
    >>> leaves({"b": 1, "a": [2, (3,)]})
    [2, 3, 1]
    """
    return [leaf for _, leaf in paths(structure)]


def paths(structure: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Each leaf, and the keys on the way to it."""
    if not is_nest(structure):
        yield path, structure
        return
    for key in keys(structure):
        yield from paths(structure[key], (*path, key))


def keys(structure: Any) -> Iterable:
    """The keys of a dict in order, or the places of a list."""
    return sorted(structure) if isinstance(structure, Mapping) else range(len(structure))


def packed(structure: Any, values: Iterable) -> Any:
    """The same lists and dicts with other leaves.

    Examples
    --------
    >>> packed({"b": None, "a": [None, None]}, [1, 2, 3])
    {'a': [1, 2], 'b': 3}
    """
    return _pack(structure, iter(values))


def _pack(structure: Any, values: Iterator) -> Any:
    if not is_nest(structure):
        return next(values)
    if isinstance(structure, Mapping):
        return {key: _pack(structure[key], values) for key in keys(structure)}
    return type(structure)([_pack(item, values) for item in structure])
