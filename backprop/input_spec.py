"""What a layer's input must look like, what goes in and comes out, and how a message shows a
shape."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

Shape = tuple[Any, ...]  # of integers, or None where a size is free


@dataclass(frozen=True)
class InputSpec:
    """What a layer's input must look like; None leaves a thing free.

    Parameters
    ----------
    shape : tuple, optional
        Whole shape with the batch axis; None in it is free.
    ndim, max_ndim, min_ndim : int, optional
    axes : mapping of int to int, optional
        Sizes of single axes, such as ``{-1: 784}``.
    allow_last_axis_squeeze : bool
        Accept a missing or additional last axis of length 1.
    dtype, name, optional
        Keras' arguments for models of several inputs and for engines that do not cast. Inputs are
        cast here and there is one of them, so only the defaults are taken.

    Raises
    ------
    ValueError
        If `dtype`, `name` or `optional` is given.
    """

    dtype: Any = None
    shape: Shape | None = None
    ndim: int | None = None
    max_ndim: int | None = None
    min_ndim: int | None = None
    axes: Mapping[int, int | None] | None = None
    allow_last_axis_squeeze: bool = False
    name: str | None = None
    optional: bool = False

    def __post_init__(self):
        for argument, default in (("dtype", None), ("name", None), ("optional", False)):
            if getattr(self, argument) != default:
                raise ValueError(
                    f"InputSpec({argument}={getattr(self, argument)!r}) says nothing here: a layer "
                    "has one input, which is cast to the model's dtype; leave it out"
                )

    def accepts(self, shape: Shape) -> bool:
        if (
            self.allow_last_axis_squeeze
            and self.shape is not None
            and len(shape) != len(self.shape)
        ):
            shape = shape[:-1] if shape[-1:] == (1,) else (*shape, 1)
        n = len(shape)
        wanted = dict(enumerate(self.shape)) if self.shape is not None else dict(self.axes or {})
        return (
            (self.ndim is None or n == self.ndim)
            and (self.min_ndim is None or n >= self.min_ndim)
            and (self.max_ndim is None or n <= self.max_ndim)
            and (self.shape is None or n == len(self.shape))
            and all(
                -n <= axis < n and (size is None or shape[axis] is None or shape[axis] == size)
                for axis, size in wanted.items()
            )
        )

    def __str__(self) -> str:
        parts = []
        if self.shape is not None:
            parts.append(f"shape {show_shape(self.shape[1:])}")
        if self.ndim is not None:
            parts.append(f"{self.ndim - 1} axes besides the batch")
        if self.min_ndim is not None:
            parts.append(f"at least {self.min_ndim - 1} axes besides the batch")
        if self.max_ndim is not None:
            parts.append(f"at most {self.max_ndim - 1} axes besides the batch")
        parts += [f"{size} along axis {axis}" for axis, size in (self.axes or {}).items()]
        return " and ".join(parts)


def as_shape(given: Any, who: str) -> Any:
    """A shape, or those of several inputs, as a tuple."""
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ("",)
    if not all(n is None or isinstance(n, Integral | tuple | list) for n in found):
        raise TypeError(
            f"{who} expects the shape of its input, such as (None, 784), got {reprlib.repr(given)}"
        )
    return found


def described(function: Callable[[Any], Any]) -> Any:
    """Decorate a method as a property that gives way to an attribute of the object: authors of
    layers may use its name for something of their own."""
    return Described(function)


class Described:
    """What `described` makes."""

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, item: Any, cls: type | None = None) -> Any:
        return self if item is None else self.function(item)


def fits(shape: Shape, declared: Shape) -> bool:
    """Whether a shape is one that was declared, the batch aside; None is free."""
    return len(shape) == len(declared) and all(
        want is None or have is None or want == have
        for have, want in zip(shape[1:], declared[1:], strict=True)
    )


def show_shape(shape: Iterable) -> str:
    return str(tuple(shape)).replace("None", "any")


def with_last_axis(x: Any, declared: Shape) -> Any:
    """An array with a last axis of length 1 that it lacks for a shape, or without one that it has
    too many; where that does not make it fit, as it is."""
    if x.ndim == len(declared) - 1 > 0 and declared[-1] == 1 and fits(x.shape, declared[:-1]):
        return x[..., None]
    if x.ndim == len(declared) + 1 and x.shape[-1] == 1 and fits(x.shape[:-1], declared):
        return x[..., 0]
    return x
