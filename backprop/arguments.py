"""Arguments declared once: the constructor of a class is written as the attributes that it takes.

    class Scaled(Layer):
        factor: float = 2.0
        units: Positive | None = None

        def __post_init__(self):
            self.half = self.factor / 2

takes ``Scaled(factor=2.0, units=None, *, trainable=True, dtype=None, name=None, ...)``. Its
`help`, `repr`, `get_config` and the error about a misspelt argument come from the same lines.

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

What is an argument
-------------------
An annotated attribute, as in a dataclass, but for one that begins with ``_``, is a `ClassVar`, is
an array without a value (a parameter, which `build` makes) or sets a flag of a base class, such as
`integer_input`. A type may say how a value is checked and converted, ``Annotated[int,
Convert(integer)]``. Its default stands behind it, bare or in an `argument(default=...)` that says
more of it.

Their order is Keras': those of the class, then those of its base classes. One that is declared
again with a bare default keeps its place; `argument(...)` puts it where it is written, or behind
another. One that is assigned a value without a type has another default, and is otherwise what it
was. What stands behind ``_: KW_ONLY``, the inherited ones too, is given by keyword alone, as in a
dataclass; so are those of a class that is made with `kw_only=True`, as type checkers demand of base
classes. A group of arguments that belongs into the middle adds `by_position=True`, and is given by
position too.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, replace
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import numpy as np

from backprop.absent import advice
from backprop.spelling import nearest

EMPTY = inspect.Parameter.empty
BY_POSITION, KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


class Argument:
    """What is said of an argument beside its type.

    Parameters
    ----------
    default : object, optional
        Without one the argument must be given.
    after : str, optional
        The inherited argument behind which this one stands.
    kw_only : bool, optional
        Whether it is given by keyword alone. Default: as the class says.
    """

    def __init__(
        self, *, default: Any = EMPTY, after: str | None = None, kw_only: bool | None = None
    ):
        self.default, self.after, self.kw_only = default, after, kw_only

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "an argument" if self.default is EMPTY else repr(self.default)


class Managed(Argument):
    """An argument that a function reads and another one assigns, as a property of the class. What a
    fresh object has without any assignment must be the default."""

    def __init__(self, *, default: Any, fget: Callable, fset: Callable):
        super().__init__(default=default)
        self.fget, self.fset, self.__doc__ = fget, fset, fget.__doc__

    def __get__(self, item: Any, cls: type | None = None) -> Any:
        return self if item is None else self.fget(item)

    def __set__(self, item: Any, value: Any) -> None:
        self.fset(item, value)


def argument(*, default: Any = EMPTY, after: str | None = None, kw_only: bool | None = None) -> Any:
    """An `Argument`, as type checkers want to see it: of any type."""
    return Argument(default=default, after=after, kw_only=kw_only)


def managed(*, default: Any, fget: Callable, fset: Callable) -> Any:
    """A `Managed`, as type checkers want to see it: of any type."""
    return Managed(default=default, fget=fget, fset=fset)


class Convert:
    """In the type of an argument: how its value is checked and converted.

    Parameters
    ----------
    function : callable
        Called as ``function(value, who, name, **options)``, where `who` is the name of the class;
        returns the value to keep, or raises an error that says what was expected.
    none : bool, default False
        Whether None is converted too. Where not, it is kept if the type or the default allows it.
    **options
    """

    def __init__(self, function: Callable[..., Any], *, none: bool = False, **options: Any):
        self.function, self.none, self.options = function, none, options


@dataclass(frozen=True)
class Declared:
    """One argument, as a class declares it."""

    name: str
    default: Any
    says: Argument | None
    convert: Callable[[Any, str, str], Any] | None
    type: Any


# ------------------------------------------------------------------------------- reading a class


@functools.cache
def declared(cls: type) -> dict[str, Declared]:
    """The arguments that a class itself declares."""
    found = {}
    if getattr(cls, "declares_arguments", False) and not writes_its_own(cls):
        for name, annotation in annotations_of(cls).items():
            value = value_of(cls, name)
            hint = resolved(annotation, cls)
            if is_argument(cls, name, hint, value):
                says = value if isinstance(value, Argument) else None
                default = value if says is None else says.default
                found[name] = Declared(name, default, says, converter(hint, default), plain(hint))
        found |= redefaulted(cls)
    return found


def annotations_of(cls: type) -> dict[str, Any]:
    if sys.version_info < (3, 14):
        return inspect.get_annotations(cls)
    from annotationlib import Format  # a name that is not there yet is no error then

    return inspect.get_annotations(cls, format=Format.FORWARDREF)


def value_of(cls: type, name: str) -> Any:
    """What a class assigns to an annotated attribute; of a dataclass' `field` the default."""
    value = vars(cls).get(name, EMPTY)
    field = vars(cls).get("__dataclass_fields__", {}).get(name, value)
    if not isinstance(field, Field):
        return value
    if field.default_factory is not MISSING:
        return field.default_factory()
    return EMPTY if field.default is MISSING else field.default


def redefaulted(cls: type) -> dict[str, Declared]:
    """The inherited arguments of which a class says another default alone: ``name = "ctc"``."""
    known, found = {*annotations_of(cls), *decided(cls)}, {}
    for name, value in vars(cls).items():
        if name[0] != "_" and name not in known and not hasattr(value, "__get__"):
            above = next((a[name] for a in map(declared, cls.__mro__[1:]) if name in a), None)
            if above is not None:
                found[name] = replace(above, default=value, says=None)
    return found


def resolved(annotation: Any, cls: type) -> Any:
    """The type that an annotation means; what cannot be known here, such as a name that is imported
    for type checkers alone, may be anything."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, vars(sys.modules[cls.__module__]))
    except Exception:
        return ClassVar if "ClassVar" in annotation.partition("[")[0] else Any


def is_argument(cls: type, name: str, hint: Any, value: Any) -> bool:
    if name[0] == "_" or ClassVar in (hint, get_origin(hint)):
        return False
    if isinstance(value, Argument):
        return True
    if value is EMPTY and hint is np.ndarray:
        return False
    above = cls.__mro__[1:]
    if any(name in declared(c) for c in above):
        return True
    found = next((vars(c)[name] for c in above if name in vars(c)), EMPTY)
    return found is EMPTY or hasattr(found, "__get__")  # a method gives way, a flag stays one


def converter(hint: Any, default: Any) -> Callable[[Any, str, str], Any] | None:
    """How a type wants its values, if it says so."""
    choices = members(hint)
    marks = [m for c in choices if get_origin(c) is Annotated for m in c.__metadata__]
    mark = next((m for m in marks if isinstance(m, Convert)), None)
    if mark is None:
        return None
    function, options = mark.function, mark.options
    lenient = not mark.none and (default is None or types.NoneType in choices)

    def convert(value, who, name):
        return None if lenient and value is None else function(value, who, name, **options)

    vars(convert)["keeps_none"] = lenient
    return convert


def members(hint: Any) -> tuple:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def plain(hint: Any) -> Any:
    """A type as `help` shows it."""
    kinds = [c.__origin__ if get_origin(c) is Annotated else c for c in members(hint)]
    return EMPTY if Any in kinds else functools.reduce(lambda a, b: a | b, kinds)


@functools.cache
def decided(cls: type) -> frozenset[str]:
    """The inherited arguments that a class, or one of those it extends, gives itself."""
    return frozenset(name for c in cls.__mro__ for name in vars(c).get("decides", ()))


def writes_its_own(cls: type) -> bool:
    """Whether a class has a constructor that somebody wrote."""
    init = vars(cls).get("__init__")
    return init is not None and not hasattr(init, "declared_by")


def placed(cls: type, base: dict[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """The arguments of a class among those of its base classes."""
    annotations = list(annotations_of(cls))
    alone = annotations[annotations.index("_") :] if "_" in annotations else []
    whole = vars(cls).get("by_keyword_alone", False)
    rest = {n: p for n, p in base.items() if n not in decided(cls)}
    if alone:
        rest = {n: p.replace(kind=KEYWORD) for n, p in rest.items()}
    own: dict[str, inspect.Parameter] = {}
    behind: list[tuple[str, inspect.Parameter]] = []
    for name, a in declared(cls).items():
        by_keyword = whole or name in alone or (a.says is not None and a.says.kw_only)
        kind = KEYWORD if by_keyword else BY_POSITION
        p = inspect.Parameter(name, kind, default=a.default, annotation=a.type)
        if a.says is None and name in rest:  # declared again
            rest[name] = p.replace(kind=KEYWORD if name in alone else base[name].kind)
            continue
        rest.pop(name, None)
        if a.says is not None and a.says.after is not None:
            behind.append((a.says.after, p))
        else:
            own[name] = p
    found = list((own | rest).values())
    last: dict[str, str] = {}  # those behind the same one stand as they are written
    for before, p in behind:
        at = [q.name for q in found].index(last.get(before, before)) + 1
        found.insert(at, p.replace(kind=found[at - 1].kind))
        last[before] = p.name
    return {p.name: p for p in found}


@functools.cache
def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """What a constructor takes, in order; also what it hands on to base classes by `**kwargs`."""
    found: dict[str, inspect.Parameter] = {}
    for c in reversed(cls.__mro__[:-1]):
        if writes_its_own(c):
            written = list(inspect.signature(vars(c)["__init__"]).parameters.values())[1:]
            own = {p.name: p for p in written if p.kind is not p.VAR_KEYWORD}
            onward = {
                n: p.replace(kind=KEYWORD)
                for n, p in found.items()
                if n not in own and n not in decided(c) and p.kind is not p.VAR_POSITIONAL
            }
            found = own | (onward if len(own) < len(written) else {})
        else:
            found = placed(c, found)
    return dict(sorted(found.items(), key=lambda item: item[1].kind))


class ConstructorSignature:
    """The signature of a class, which `__new__` hides."""

    def __get__(self, instance: Any, cls: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")  # a callable object has that of its __call__
        return inspect.Signature(list(parameters_of(cls).values()), __validate_parameters__=False)


# -------------------------------------------------------------------------------- making an object


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


@functools.cache
def positions(cls: type) -> tuple[tuple[str, ...], str | None]:
    """The names that may be given by position, and that of `*args`."""
    kinds = parameters_of(cls).values()
    rest = next((p.name for p in kinds if p.kind is p.VAR_POSITIONAL), None)
    return tuple(p.name for p in kinds if p.kind < p.VAR_POSITIONAL), rest


@functools.cache
def defaults_of(cls: type) -> dict[str, Any]:
    """The arguments of a constructor with their defaults, `EMPTY` where there is none."""
    return {
        p.name: () if p.kind is p.VAR_POSITIONAL else p.default for p in parameters_of(cls).values()
    }


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
        if a.convert is not None:
            value = a.convert(value, kind, name)
        setattr(self, name, value)
    for complete in todo.afterwards:
        complete(self)


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

    __init__.declared_by = cls  # type: ignore[attr-defined]
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


def raise_for_missing(cls: type, self: Any) -> None:
    """Raise where a written constructor has left out that of the class which it extends."""
    needed = [a.name for c in cls.__mro__ for a in declared(c).values() if a.default is EMPTY]
    missing = [n for n in needed if n not in self.__dict__ and not hasattr(cls, n)]
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

    wrapper.notes_the_end = True  # type: ignore[attr-defined]
    return wrapper
