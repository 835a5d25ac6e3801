"""What the author of a layer has promised: checked when a layer is first used, never afterwards.

A slip of the author's (a forward that returns y alone, a forgotten `compute_output_shape`, a
backward without `return`) is not an error of NumPy's in most cases: two rows unpack as well as a
pair, and the next layer stumbles over what this one did. So each layer's first result, in training
and in inference, and its first dx are compared with what the contract says of them.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from backprop.bounds import allowed
from backprop.input_spec import Shape, show_shape
from backprop.nest import as_tuple, each_shape, several, shapes
from backprop.registry import is_foreign

Array = np.ndarray
Method = TypeVar("Method", bound=Callable[..., Any])

ROW, ROW_OF_A_FILE = 2**40, 2**30  # numbers that a layer makes of one row, at most
# what is called how: names of the arguments, as errors show them
CALLS = {
    "build": ("input_shape",),
    "compute_output_shape": ("input_shape",),
    "compute_mask": ("x", "mask"),
    "forward": ("x", "ctx"),
    "backward": ("dy", "cache"),
    "backward_params": ("dy", "cache"),
    "finish": ("z", "ctx", "bias"),
    "backward_finish": ("dy", "cache", "dbias"),
}
# names that say another order, or another meaning, at a place
ELSEWHERE = {
    "forward": ({"ctx", "context"}, {"x", "inputs", "training", "mask"}),
    "backward": ({"cache", "x", "ctx"}, {"dy", "grad", "grads"}),
}


def short_for(*methods: str) -> Callable[[Method], Method]:
    """Mark a method as a faster way to what these methods of its class do.

    A subclass that writes one of them anew has no use for it: see `leave_shortcuts`.
    """

    def mark(method: Method) -> Method:
        vars(method)["short_for"] = methods
        return method

    return mark


def leave_shortcuts(cls: Any) -> None:
    """Give a class that writes anew what a shortcut is short for, and not the shortcut itself, the
    plain way again: that of the first base class whose method is no shortcut. Called once, when the
    class is made."""
    bases = [c.shortcuts for c in cls.__bases__ if hasattr(c, "shortcuts")]
    cls.shortcuts = frozenset(n for n, m in vars(cls).items() if plain_ways(m)).union(*bases)
    for name in cls.shortcuts:
        owners = [c for c in cls.__mro__ if name in vars(c)]
        below = cls.__mro__[: cls.__mro__.index(owners[0])]
        ways = plain_ways(vars(owners[0])[name])
        if any(method in vars(c) for c in below for method in ways):
            found = (vars(c)[name] for c in owners)
            setattr(cls, name, next(m for m in found if not plain_ways(m)))


def plain_ways(method: Any) -> tuple[str, ...]:
    """What a method, or a property, is short for."""
    return getattr(getattr(method, "fget", method), "short_for", ())


@functools.cache
def check_methods(cls: type) -> None:
    """Raise unless the methods that a class of the user's has can be called as they will be."""
    for name, arguments in CALLS.items():
        method = getattr(cls, name)
        if inspect.isfunction(method) and is_foreign(method):
            check_arguments(f"{cls.__name__}.{name}", method, arguments, ELSEWHERE.get(name, ()))


def check_arguments(who: str, method: Callable, arguments: tuple[str, ...], others: tuple) -> None:
    """Raise unless a method can be called with these arguments, in this order."""
    wanted = f"write {who.rpartition('.')[2]}(self, {', '.join(arguments)})"
    signature = inspect.signature(method)
    try:
        signature.bind("self", *arguments)
    except TypeError as error:
        raise TypeError(
            f"{who}{signature} is called with {', '.join(arguments)}: {wanted}"
        ) from error
    named = list(signature.parameters)[1:]
    for name, argument, elsewhere in zip(named, arguments, others, strict=False):
        if name in elsewhere:
            hint = "; it knows ctx.training and ctx.mask" if argument == "ctx" else ""
            raise TypeError(f"{who} has {name!r} where {argument} comes: {wanted}{hint}")


def pair(layer: Any, result: Any) -> tuple[Any, Any]:
    """What a forward pass returned, if it is y and a cache."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"{layer!r}.forward returned {shown(result)}: return (y, cache), y and what backward "
            "will need, None for nothing"
        )
    for y in as_tuple(result[0]):
        if not isinstance(y, np.ndarray | np.generic):
            raise TypeError(
                f"{layer!r}.forward returned {shown(y)} as y: y is an array with the batch "
                "along its first axis, or for several outputs a tuple of such"
            )
    return result[0], result[1]


def kept(layer: Any, x: Any, result: Any) -> tuple[Any, Any]:
    """What a forward pass returned, if y has the shape and the dtype that were promised."""
    y, cache = pair(layer, result)
    first = next(a for a in as_tuple(x) if a is not None)
    if not first.ndim:  # a single number: no batch, and nothing is promised
        return y, cache
    given = shapes(x)
    declared = declared_shape(layer, given)
    wanted = declared if several(declared) else (declared,)
    if len(wanted) != len(as_tuple(y)):
        own = is_foreign(type(layer).compute_output_shape)
        source = (
            "its compute_output_shape says"
            if own
            else "without a compute_output_shape(self, input_shape) these are taken to be"
        )
        raise TypeError(
            f"{layer!r}.forward made {len(as_tuple(y))} output(s), and {source} {len(wanted)}: "
            "return a shape for one output, and for several a tuple of shapes, as many as y has "
            "arrays"
        )
    for array, shape in zip(as_tuple(y), wanted, strict=True):
        check_output(layer, first, given, array, shape)
    return y, cache


def check_row(layer: Any, input_shape: Any) -> None:
    """Raise where a layer makes more numbers of one row than any memory holds, or, of a file, than
    one that was trained would."""
    if is_foreign(type(layer)):
        return  # what it declares is compared with what it makes, when it makes it
    most = ROW_OF_A_FILE if allowed() else ROW
    try:
        found = layer.compute_output_shape(input_shape)
    # layers, and users' layers within, may take what they cannot declare the output of
    except (TypeError, ValueError, NotImplementedError):
        return
    for shape in found if several(found) else [found]:
        if shape is None:  # of an input that is not given
            continue
        numbers = math.prod(n for n in shape[1:] if n is not None)
        if numbers > most:
            raise ValueError(
                f"{layer!r} makes {numbers:,} numbers of one row, an output of shape "
                f"{tuple(shape)}; at most {most:,} are made"
            )


def check_output(layer: Any, x: Array, given: Any, y: Array, declared: Shape) -> None:
    """Raise unless an output has the shape that was declared, and the dtype of x."""
    if not agree(y.shape, declared):
        own = is_foreign(type(layer).compute_output_shape)
        here = f"(input_shape[0],{' ' if y.ndim > 1 else ''}{', '.join(map(str, y.shape[1:]))})"
        advice = (
            "its compute_output_shape says"
            if own
            else "without a compute_output_shape(self, input_shape), which would return "
            f"{here} here, it is taken to be"
        )
        batch = "" if y.shape[:1] == x.shape[:1] else "; the first axis of y is the batch, as in x"
        raise ValueError(
            f"{layer!r}.forward made y of shape {y.shape} from x of shape {given}, and {advice} "
            f"{show_shape(declared)}{batch}"
        )
    asked = x.dtype == (layer.dtype or x.dtype) and x.dtype.kind == "f"
    if asked and y.dtype.kind in "fc" and y.dtype != x.dtype:
        raise TypeError(
            f"{layer!r}.forward made {y.dtype} from {x.dtype}, and y has the dtype of x: constants "
            "of NumPy's such as np.sqrt(2) widen it, those of Python (2**0.5) do not, and "
            "x.dtype.type(c) or y.astype(x.dtype) see to the rest"
        )


def declared_shape(layer: Any, shape: Any) -> Any:
    """What `compute_output_shape` says, if it is a shape, or shapes of several outputs."""
    found = layer.compute_output_shape(tuple(shape))
    batch = next(s for s in shape if s is not None)[0] if several(shape) else shape[0]
    for one in found if several(found) else [found]:
        numbers = isinstance(one, tuple | list) and all(
            n is None or isinstance(n, int | np.integer) for n in one
        )
        if not numbers or not len(one) or one[0] != batch:
            raise TypeError(
                f"{layer!r}.compute_output_shape returned {found!r} for {show_shape(shape)}: "
                f"return a tuple that begins with the batch, as in (input_shape[0], 3)"
            )
    return each_shape(tuple, found)


def came_back(layer: Any, dx: Any, shape: Any = None) -> Any:
    """What a backward pass returned, if it is a dx for an x of this shape, None being any; for
    several inputs, a dx or None for each."""
    if not several(shape):
        return one_came_back(layer, dx, shape)
    if not isinstance(dx, tuple) or len(dx) != len(shape):
        raise TypeError(
            f"{layer!r}.backward returned {shown(dx)}: return a tuple with dx, or None, for each "
            f"of its {len(shape)} inputs"
        )
    for d, one in zip(dx, shape, strict=True):
        if d is not None:
            one_came_back(layer, d, one)
    return dx


def one_came_back(layer: Any, dx: Any, shape: Shape | None) -> Array:
    if not isinstance(dx, np.ndarray):
        raise TypeError(
            f"{layer!r}.backward returned {shown(dx)}: return dx, dL/dx of the shape of x"
        )
    if shape is not None and not agree(dx.shape, (None, *shape[1:])):
        raise ValueError(
            f"{layer!r}.backward returned a dx of shape {dx.shape} for an x of "
            f"{show_shape(shape)}: dx has the shape of x"
        )
    return dx


def agree(shape: tuple[int, ...], declared: tuple[int | None, ...]) -> bool:
    return len(shape) == len(declared) and all(
        want is None or have == want for have, want in zip(shape, declared, strict=True)
    )


def shown(result: Any) -> str:
    """What came, in a few words."""
    if result is None:
        return "None (is a return missing?)"
    if isinstance(result, np.ndarray):
        return f"one array of shape {result.shape}"
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    return f"a {type(result).__name__}"
