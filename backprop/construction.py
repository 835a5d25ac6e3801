"""How an object is made of the arguments that its class declares.

What happens when
-----------------
* **The class is defined.** A class that does not write its own `__init__` gets a `Promise` of one;
  one that does is left as it is, and its annotations are annotations.
* **The first object is made**, or somebody asks for the constructor (`prepare`). Each class of the
  chain that declares arguments, has a `__post_init__` or joins several bases, is given one
  (`constructor`); the others inherit theirs. Types are looked up now, when all names are there.
* **Every object.** `Configurable.__new__` binds the call to names (`bind`), and the constructor

  1. calls the nearest written `__init__` of a base class, if there is one, with what is its own,
  2. sets the arguments, those of the base classes first, each converted as its type says,
  3. calls `__post_init__` of each class that has one, base classes first: no `super()` is needed.
"""

from __future__ import annotations

import copy
import functools
import inspect
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backprop.absent import advice
from backprop.arguments import (
    EMPTY,
    Argument,
    Declared,
    Managed,
    decided,
    declared,
    parameters_of,
    positions,
    writes_its_own,
)
from backprop.spelling import nearest


def bind(cls: type, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name."""
    known = parameters_of(cls)
    places, rest = positions(cls)
    found = dict(zip(places, args, strict=False))
    if len(args) > len(places):
        if rest is None:
            raise TypeError(
                f"{cls.__name__}() takes {len(places)} arguments by position, {', '.join(places)}, "
                f"and got {len(args)}"
            )
        found[rest] = args[len(places) :]
    for name in kwargs:
        if name not in known:
            raise unknown_argument(cls, name, known)
        if name in found:
            raise TypeError(f"{cls.__name__}() got {name} twice, by position and by name")
    return found | kwargs


def unknown_argument(cls: type, name: str, known: Iterable[str]) -> TypeError:
    places = [f"{c.__name__}()" for c in cls.__mro__]
    found = (advice(place).get(name, "") for place in places)
    advised = next((a for a in found if any(k in a for k in known)), advice("arguments").get(name))
    instead = f": {advised}" if advised else nearest(name, known)
    return TypeError(
        f"{cls.__name__}() has no argument {name!r}{instead}; it takes {', '.join(known)}"
    )


@dataclass(frozen=True)
class Plan:
    """What a constructor does: see "What happens when"."""

    base: type | None  # whose written constructor is called first
    arguments: tuple[Declared, ...]
    standing: frozenset[str]  # arguments for which nothing need be done where none is given
    afterwards: tuple[Callable[[Any], None], ...]


@functools.cache
def plan(cls: type, kind: type) -> Plan:
    """What the constructor of a class does to an object of this kind, of it or of a subclass."""
    base = next((c for c in cls.__mro__[:-1] if writes_its_own(c)), None)
    chain = cls.__mro__[: cls.__mro__.index(base) if base else -1]
    latest = {
        n: a for c in reversed(chain) for n, a in declared(c).items() if n not in decided(cls)
    }
    return Plan(
        base,
        tuple(latest.values()),
        frozenset(n for n, a in latest.items() if is_kept(a) and stands(a, kind)),
        tuple(vars(c)["__post_init__"] for c in reversed(chain) if "__post_init__" in vars(c)),
    )


def is_kept(a: Declared) -> bool:
    """Whether the default is kept as it is."""
    return a.convert is None or (a.default is None and vars(a.convert)["keeps_none"])


def stands(a: Declared, kind: type) -> bool:
    """Whether a property or an attribute of the class is the default already."""
    found = inspect.getattr_static(kind, a.name, EMPTY)
    if isinstance(found, Managed):
        return found.default is a.default
    if isinstance(found, property):
        return True
    return found is a.default is not EMPTY and not isinstance(found, list | dict | set)


def construct(cls: type, self: Any, given: Mapping[str, Any]) -> None:
    """The constructor that the declarations of a class mean."""
    todo, kind = plan(cls, type(self)), type(self).__name__
    if todo.base is not None:
        theirs = {n: v for n, v in given.items() if n in parameters_of(todo.base)}
        several = theirs.pop(positions(todo.base)[1] or "", ())
        todo.base.__init__(self, *several, **theirs)
    for a in todo.arguments:
        name = a.name
        if name in given:
            value = given[name]
        elif name in todo.standing:
            continue
        elif a.default is EMPTY:
            raise TypeError(f"{kind}() needs {name}; it takes {', '.join(parameters_of(cls))}")
        else:
            value = copy.copy(a.default)  # a list of one's own
        try:
            setattr(self, name, value if a.convert is None else a.convert(value, kind, name))
        except Exception as error:  # of what the value does when it is looked at
            if names(error, name):
                raise
            raise naming(error, kind, name, value) from error
    for complete in todo.afterwards:
        complete(self)


def named(function: Callable[[Any], Any], value: Any, kind: str, name: str) -> Any:
    """What a function makes of an argument, for a constructor that is written."""
    try:
        return function(value)
    except Exception as error:
        if names(error, name):
            raise
        raise naming(error, kind, name, value) from error


def names(error: Exception, name: str) -> bool:
    """Whether an error is of a kind that callers expect, and says which argument is wrong."""
    return isinstance(error, AttributeError | OSError | TypeError | ValueError) and (
        name in str(error)
    )


def naming(error: Exception, kind: str, name: str, value: Any) -> Exception:
    """An error about an argument that names it, whoever raised it."""
    known = TypeError if isinstance(error, TypeError) else ValueError
    return known(f"{kind} got {name}={reprlib.repr(value)}: {error}")


class Promise:
    """The constructor of a class, made when it is asked for."""

    def __init__(self, cls: type):
        self.declared_by = cls

    def __get__(self, instance: Any, owner: type) -> Any:
        prepare(self.declared_by)
        init = self.declared_by.__init__
        return init if instance is None else types.MethodType(init, instance)


def constructor(cls: type) -> Callable[..., None]:
    def __init__(self, *args, **kwargs):
        if type(self).__init__ is not __init__ or self._made:
            construct(cls, self, bind(cls, args, kwargs))
            return
        construct(cls, self, self._arguments)  # which __new__ has bound
        self.__dict__["_made"] = True

    __init__.declared_by = cls  # type: ignore[attr-defined] - a function's own attribute
    __init__.__qualname__, __init__.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    __init__.__signature__ = cls.__signature__
    return __init__


@functools.cache
def prepare(cls: type) -> None:
    """Give a class, and those that it extends, their constructors; called for the first object."""
    for c in reversed(cls.__mro__[:-1]):
        own = declared(c)
        for name in own:
            settle_default(c, name)
        if writes_its_own(c):
            c.__init__ = noting_the_end(vars(c)["__init__"])
        elif isinstance(vars(c).get("__init__"), Promise):
            if own or adds(c):
                c.__init__ = constructor(c)
            else:
                del c.__init__


def adds(cls: type) -> bool:
    """Whether a class without arguments constructs something else than its first base class."""
    return bool({"__post_init__", "decides"} & vars(cls).keys()) or len(cls.__bases__) > 1


def settle_default(cls: type, name: str) -> None:
    """Leave the default of an argument as the class' attribute, unless there is a property."""
    value = vars(cls).get(name, EMPTY)
    if value is EMPTY or (isinstance(value, Argument) and hasattr(value, "__set__")):
        return
    above = (vars(c)[name] for c in cls.__mro__[1:] if name in vars(c))
    if hasattr(next(above, None), "__set__") or declared(cls)[name].default is EMPTY:
        delattr(cls, name)
    else:
        setattr(cls, name, declared(cls)[name].default)


@functools.cache
def needed(cls: type) -> tuple[str, ...]:
    """The arguments without a default that only a constructor sets."""
    found = (a for c in cls.__mro__ for a in declared(c).values() if a.default is EMPTY)
    return tuple(a.name for a in found if not hasattr(cls, a.name))


def raise_for_missing(cls: type, self: Any) -> None:
    """Raise where a written constructor has left out that of the class which it extends."""
    missing = [name for name in needed(cls) if name not in self.__dict__]
    if missing:
        raise TypeError(
            f"{cls.__name__}.__init__ has to call super().__init__(...), or nothing sets "
            f"{', '.join(missing)}"
        )


def noting_the_end(init: Callable[..., None]) -> Callable[..., None]:
    """A written constructor that says, where it is the outermost, when it is through."""
    if hasattr(init, "notes_the_end"):
        return init

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs):
        outermost = type(self).__init__ is wrapper
        if outermost:
            self.__dict__["_made"] = False
        init(self, *args, **kwargs)
        if outermost:
            raise_for_missing(type(self), self)
            self._keep_the_rest()
            self.__dict__["_made"] = True

    wrapper.notes_the_end = True  # type: ignore[attr-defined] - a function's own attribute
    return wrapper
