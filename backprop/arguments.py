"""Arguments declared once: the constructor of a class is written as the attributes that it takes.

    class Scaled(Layer):
        factor: float = 2.0
        units: Positive | None = None

        def __post_init__(self):
            self.half = self.factor / 2

takes ``Scaled(factor=2.0, units=None, *, trainable=True, dtype=None, name=None, ...)``. Its
`help`, `repr`, `get_config` and the error about a misspelt argument come from the same lines.

`construction.py` says what happens when.

What is an argument
-------------------
An annotated attribute, as in a dataclass, but for one that begins with ``_``, is a `ClassVar`, is
an array without a value (a parameter, which `build` makes) or sets a flag of a base class, such as
`integer_input`. One of type bool, int, float or str takes nothing else; a type may say more of how
a value is checked and converted, ``Annotated[int, Convert(integer)]``. Its default stands behind
it, bare or in an `argument(default=...)` that says more of it.

Their order is Keras': those of the class, then those of its base classes. One that is declared
again with a bare default keeps its place; `argument(...)` puts it where it is written, or behind
another. One that is assigned a value without a type has another default, and is otherwise what it
was. What stands behind ``_: KW_ONLY``, the inherited ones too, is given by keyword alone, as in a
dataclass; so are those of a class that is made with `kw_only=True`, as type checkers demand of base
classes. A group of arguments that belongs into the middle adds `by_position=True`, and is given by
position too.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import numbers
import operator
import sys
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, replace
from itertools import takewhile
from typing import (
    Annotated,
    Any,
    ClassVar,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import numpy as np

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


def resolved(annotation: Any, cls: Any) -> Any:
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
    if mark is None and set(choices) <= {*PLAIN, types.NoneType}:
        kinds = [c for c in choices if c in PLAIN]
        mark = Convert(of_kinds, kinds=kinds)
    if mark is None:
        return None
    function, options = mark.function, mark.options
    lenient = not mark.none and (default is None or types.NoneType in choices)

    def convert(value, who, name):
        return None if lenient and value is None else function(value, who, name, **options)

    vars(convert)["keeps_none"] = lenient
    return convert


P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function, so that an argument whose annotation says `Convert`, or bool, is
    checked and converted as one of a class: ``def f(x: ArrayLike, k: Positive, fast: bool)``."""

    @functools.cache
    def known() -> tuple[list[str], dict[str, Callable[[Any, str, str], Any]]]:
        parameters = inspect.signature(function).parameters
        found = {}
        for p in parameters.values():
            hint = resolved(p.annotation, function)
            convert = converter(hint, p.default)
            if convert is not None and not {int, float, str} & set(members(hint)):
                found[p.name] = convert
        by_position = takewhile(lambda p: p.kind == BY_POSITION, parameters.values())
        return [p.name for p in by_position], found

    who = f"{function.__name__}()"

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> R:
        names, converters = known()
        named = zip(names, args, strict=False)
        # the function says itself what is too much, or takes it for one of its *args
        args = (
            *[converters[n](v, who, n) if n in converters else v for n, v in named],
            *args[len(names) :],
        )
        for name in kwargs.keys() & converters.keys():
            kwargs[name] = converters[name](kwargs[name], who, name)
        return function(*args, **kwargs)

    return run


def truth(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def number(value: Any) -> Any:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return value
    raise TypeError


def whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


# what a type that is no more than one of these takes, and what it is called in a message
PLAIN: dict[Any, tuple[Callable[[Any], Any], str]] = {
    bool: (truth, "True or False"),
    int: (whole, "an integer"),
    float: (number, "a number"),
    str: (text, "text"),
}


def of_kinds(value: Any, who: str, name: str, kinds: list[type]) -> Any:
    """The value as the first of these types that takes it."""
    for kind in kinds:
        with contextlib.suppress(TypeError):
            return PLAIN[kind][0](value)
    expected = " or ".join(PLAIN[kind][1] for kind in kinds)
    raise TypeError(f"{who} expects {name} to be {expected}, got {value!r}")


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
