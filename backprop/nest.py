"""Several arrays where there could be one.

Within the library several arrays are a tuple, and their shapes and masks likewise; a layer of one
input and one output sees none. Users give lists and dicts, of lists and dicts: here is where the
one becomes the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from backprop.spelling import nearest

SEQUENCES = tuple, list


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
    if isinstance(shape, SEQUENCES):
        for s in shape:  # the first that is known: it is asked for every layer at every border
            if s is not None:
                return isinstance(s, SEQUENCES)
    return False


def each_shape(f: Callable[[Any], Any], shape: Any) -> Any:
    """f of each of several shapes, or of the one."""
    return tuple([s if s is None else f(s) for s in shape]) if several(shape) else f(shape)


def shapes(x: Any) -> Any:
    """The shape of an array, or those of several."""
    return tuple([None if a is None else a.shape for a in x]) if type(x) is tuple else x.shape


def entries(several: tuple, i: int) -> tuple:
    """Of some tuples each one's entry i; None stays None.

    Examples
    --------
    >>> entries((("a", "b"), None, (1, 2)), 1)
    ('b', None, 2)
    """
    return tuple([None if one is None else one[i] for one in several])


def any_rows(shape: Any) -> Any:
    """The shape of an array, or of several, for batches of any size.

    Examples
    --------
    >>> any_rows((32, 3)), any_rows(((32, 3), (32, 5)))
    ((None, 3), ((None, 3), (None, 5)))
    """
    return each_shape(lambda one: (None, *one[1:]), shape)


def row_shapes(x: Any) -> Any:
    """The shape of a row of an array, or those of several."""
    if type(x) is tuple:
        return tuple([None if a is None else a.shape[1:] for a in x])
    return x.shape[1:]


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


def matched(given: Any, structure: Any, names: list[str], who: str, what: str) -> list:
    """What was given for each of several named things, in their order.

    Parameters
    ----------
    given
        A dict by `names`, lists and dicts as in `structure`, or the only one.
    structure
        Lists and dicts with a leaf for each name.
    names : list of str
    who, what : str
        For errors, such as "model" and "input".

    Examples
    --------
    >>> matched({"b": 1, "a": 2}, [None, None], ["a", "b"], "model", "input")
    [2, 1]
    """
    expected = f"{who} has {len(names)} {what}{'s' * (len(names) > 1)}, {', '.join(names)}"
    if isinstance(given, Mapping) and not (
        isinstance(structure, Mapping) and set(structure) == set(given)
    ):
        for name in given:
            if name not in names:
                raise ValueError(f"{expected}, and got {name!r}{nearest(name, names)}")
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"{expected}, and got none for {', '.join(missing)}")
        return [given[name] for name in names]
    found = _like(given, structure)
    if found is None or len(found) != len(names):
        count = f"{len(given)}" if is_nest(given) else f"one {type(given).__name__}"
        raise ValueError(
            f"{expected}, and got {count}: give a list in this order, or a dict by these names"
        )
    return found


def _like(given: Any, structure: Any) -> list | None:
    """The leaves of `given` where those of `structure` are; None where it is built otherwise. What
    stands at a leaf may itself be a list: of rows."""
    if not is_nest(structure):
        return [given]
    if isinstance(structure, Mapping) != isinstance(given, Mapping) or not is_nest(given):
        return [given] if len(leaves(structure)) == 1 and not is_nest(given) else None
    if len(given) != len(structure):
        return None
    if isinstance(structure, Mapping) and set(given) != set(structure):
        return None
    found: list = []
    for key in keys(structure):
        part = _like(given[key], structure[key])
        if part is None:
            return None
        found += part
    return found


def _pack(structure: Any, values: Iterator) -> Any:
    if not is_nest(structure):
        return next(values)
    if isinstance(structure, Mapping):
        return {key: _pack(structure[key], values) for key in keys(structure)}
    return type(structure)([_pack(item, values) for item in structure])
