"""Configuration for free: an object remembers its constructor call, and what became of it.

Every configurable thing of the library (layers, losses, optimizers, initializers ...) is a
`Configurable`. Its `get_config`, `from_config` and `repr` come from the arguments of its
constructor, so that no class writes its own and none can forget an argument.
"""

from __future__ import annotations

import functools
import inspect
import re
import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from backprop.absent import face
from backprop.arguments import (
    EMPTY,
    ConstructorSignature,
    argument,
    declared,
    defaults_of,
    managed,
    parameters_of,
    positions,
    writes_its_own,
)
from backprop.construction import Promise, bind, prepare
from backprop.defaults import (
    backend,
    disable_interactive_logging,
    enable_interactive_logging,
    epsilon,
    floatx,
    image_data_format,
    is_interactive_logging_enabled,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from backprop.kernels.switch import kernels, set_kernels
from backprop.old_arguments import Legacy
from backprop.registry import (
    Registry,
    Serializable,
    as_one,
    being_written,
    custom_object_scope,
    deserialize,
    get_custom_objects,
    is_foreign,
    reading,
    register_keras_serializable,
    serialize,
)
from backprop.seeds import own_seeds
from backprop.spelling import snake_case

__all__ = [
    "Configurable",
    "Registry",
    "backend",
    "custom_object_scope",
    "deserialize",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "epsilon",
    "floatx",
    "get_custom_objects",
    "image_data_format",
    "is_interactive_logging_enabled",
    "kernels",
    "register_keras_serializable",
    "serialize",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_kernels",
]


@dataclass_transform(field_specifiers=(argument, managed))
class Configurable(Serializable):
    """Remembers the arguments of its constructor call, and what became of them since.

    A constructor may take `**kwargs` for its base class; they are checked against the base classes'
    arguments, so that a misspelt one is an error that names the nearest known argument.

    Assigning to an argument of a made object is a constructor call with that argument changed: it
    refuses what the constructor refuses, and whatever the constructor derives from the argument
    follows. So configuration, `repr`, files and copies say what is. What the object has been built
    with cannot change any more, but for the arguments in `changeable`; those in `fixed` never do.
    Arguments that a class outside the library takes are its own: there an assignment is an
    assignment, and the configuration follows it.
    """

    __signature__ = ConstructorSignature()
    declares_arguments = True
    _arguments: dict[str, Any]
    _made = False  # whether the constructor is through
    _changed = False  # whether an argument was assigned to since
    changeable = ()  # arguments that are only read when they are needed
    fixed = ()  # arguments that others have taken note of
    unsaved = ()  # arguments that are values to start with
    decides = ()  # arguments of a base class that this one gives itself
    legacy: ClassVar[Legacy] = ()  # arguments of older scripts, which Keras still takes

    def __init_subclass__(cls, *, kw_only: bool = False, by_position: bool = False, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.by_keyword_alone = kw_only and not by_position
        if "__init__" not in vars(cls):
            cls.__init__ = Promise(cls)  # type: ignore[assignment] - it gives one

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        # copying and unpickling come without arguments; __setstate__ brings them
        object.__setattr__(self, "_arguments", bind(cls, args, kwargs))
        prepare(cls)
        return self

    @as_one(being_written)
    def get_config(self) -> dict[str, Any]:
        """All arguments with the values that they have now, as JSON can hold them: `from_config`
        makes an equal object of them."""
        defaults = {n: d for n, d in defaults_of(type(self)).items() if d is not EMPTY}
        known = self._arguments
        ordered = {n: known.get(n, defaults.get(n)) for n in parameters_of(type(self))}
        given = {n: v for n, v in ordered.items() if n in known or n in defaults}
        return {
            name: serialize(self._argument(name, value))
            for name, value in (given | known).items()
            if name not in self.unsaved
        }

    @classmethod
    @reading
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ):
        """Build an object from what `get_config` returned."""
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            raise TypeError(
                f"{cls.__name__}.from_config() expects what get_config() returned, a dict, got "
                f"{reprlib.repr(config)}"
            )
        with custom_object_scope(custom_objects):
            defaults = defaults_of(cls)
            known = {name: deserialize(value) for name, value in config.items()}
            known = {n: v for n, v in known.items() if not same(v, defaults.get(n, cls))}
            made = called(cls, known)
        if is_automatic(known.get("name"), cls):
            made._arguments.pop("name")  # nobody chose it, so it may give way to another
        return made

    def __repr__(self) -> str:
        now = {n: self._argument(n, value) for n, value in self._arguments.items()}
        return constructor_call(type(self), now)

    # ------------------------------------------------------------ arguments as they are now

    def _argument(self, name: str, value: Any) -> Any:
        """What an argument is now that was given as `value`."""
        if name == "name" and value is None:
            return self.__dict__.get("name")
        found = self.__dict__.get(name)  # such as the layer that "leaky_relu" stands for
        if not isinstance(found, Configurable):
            return value
        users = is_foreign(type(found)) and isinstance(value, str)  # a name that had its scope
        return found if users or found._changed else value

    def _keep_the_rest(self) -> None:
        """Arguments that the constructor kept under no attribute of their name can be read too."""
        for name, default in defaults_of(type(self)).items():
            if not hasattr(self, name):
                self.__dict__[name] = self._arguments.get(name, default)

    def __setattr__(self, name: str, value: Any) -> None:
        # what begins with _ is no argument, and is assigned to in the hot path of an optimizer
        if name[0] != "_" and self._made and name in parameters_of(type(self)):
            self._change(name, value)
        else:
            self._store(name, value)

    def _store(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def _settled(self) -> bool:
        """Whether something was built with the arguments."""
        return False

    def _change(self, name: str, value: Any) -> None:
        """Assign to an argument after the constructor."""
        cls = type(self)
        told = None if name in class_defaults(cls) else getattr(cls, name, None)
        if hasattr(told, "__set__") and getattr(told, "fset", told) is not None:
            self._store(name, value)  # a property says itself what assigning does
        elif not is_ours(cls, name):
            self._store(name, value)
        elif value is getattr(self, name, cls):
            return
        elif told or self._fixes(name) or (self._settled and name not in listed(cls, "changeable")):
            raise self._refusal(name, value)
        else:
            self._take_over(name, value)
        self._arguments[name] = value
        if name != "trainable":  # which a container hands on to all that is in it
            self.__dict__["_changed"] = True

    def _take_over(self, name: str, value: Any) -> None:
        """Become what the constructor makes of the new value, and of nothing else."""
        cls = type(self)
        with own_seeds(0):  # nothing is taken from the process' seeds
            before, after = (
                called(cls, self._arguments | changed) for changed in ({}, {name: value})
            )
        for key in before.__dict__.keys() - after.__dict__.keys():
            self.__dict__.pop(key, None)
        for key, new in after.__dict__.items():
            if key != "_arguments" and not alike(new, before.__dict__.get(key, cls)):
                self._store(key, new)

    def _fixes(self, name: str) -> bool:
        return name in listed(type(self), "fixed") or name in self.__dict__.get("fixed", ())

    def _refusal(self, name: str, value: Any) -> AttributeError:
        cls = type(self).__name__
        since = "made" if self._fixes(name) or not self._settled else "built"
        return AttributeError(
            f"{name} of {self!r} is fixed once it is {since}. Make a new one: "
            f"{cls}.from_config(old.get_config() | {{{name!r}: {show(value)}}})",
            name=name,
            obj=self,
        )


@functools.cache
def listed(cls: type, attribute: str) -> frozenset[str]:
    """What a class and its bases list under an attribute."""
    return frozenset(name for c in cls.__mro__ for name in c.__dict__.get(attribute, ()))


@functools.cache
def is_ours(cls: type, name: str) -> bool:
    """Whether a class of the library takes this argument, by name."""
    library = __name__.partition(".")[0]
    return any(
        name in declared(c)
        or (writes_its_own(c) and name in inspect.signature(c.__dict__["__init__"]).parameters)
        for c in cls.__mro__
        if c.__module__.partition(".")[0] == library
    )


def called(cls: type, arguments: Mapping[str, Any]) -> Any:
    """A call of the constructor with arguments by name."""
    variadic = positions(cls)[1]
    by_name = {name: value for name, value in arguments.items() if name != variadic}
    return cls(*arguments.get(variadic or "", ()), **by_name)


@functools.cache
def class_defaults(cls: type) -> frozenset[str]:
    """The arguments whose default is an attribute of the class."""
    latest = {n: a for c in reversed(cls.__mro__) for n, a in declared(c).items()}
    return frozenset(
        n for n, a in latest.items() if inspect.getattr_static(cls, n, None) is a.default
    )


def is_automatic(name: Any, cls: type) -> bool:
    """Whether a name is one that objects of a class get where nobody chooses one."""
    return (
        isinstance(name, str)
        and re.fullmatch(rf"{snake_case(cls.__name__)}(_\d+)?", name) is not None
    )


def constructor_call(cls: type, arguments: Mapping[str, Any]) -> str:
    places, variadic = positions(cls)
    parts = []
    for i, (name, default) in enumerate(defaults_of(cls).items()):
        if name not in arguments:
            continue
        value = arguments[name]
        if name == variadic:
            parts += [show(item) for item in value]
        elif same(value, default):
            continue
        elif len(parts) == i < len(places) and (i == 0 or default is EMPTY):
            parts.append(show(value))
        else:
            parts.append(f"{name}={show(value)}")
    return f"{cls.__name__}({', '.join(parts)})"


def show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array(shape={value.shape})"
    return getattr(value, "__name__", None) or repr(value)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is b
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):  # JSON has no tuples
        return len(a) == len(b) and all(map(same, a, b))
    return a is b or (type(a) is type(b) and a == b)


def alike(a: Any, b: Any) -> bool:
    """Whether two constructors have made the same."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, Configurable):
        return alike(a._arguments, b._arguments)
    return a is b or bool(a == b)


__getattr__, __dir__ = face(__name__, __all__)
