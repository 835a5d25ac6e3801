"""The names of each family: what a string, a file or a configuration may mean, and how a value of
a configuration is written and read.

A `Registry` is the allow-list that names are resolved against, and it knows the nearest name when
one is misspelt. The user's own classes and functions are in `custom_object_scope`, or registered.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import numpy as np

from backprop.arguments import BY_POSITION, EMPTY, defaults_of
from backprop.bounds import PLAIN, SHARED, bounded
from backprop.spelling import nearest, snake_case

# what one configuration has met so far: while it is written {id: (object, its dict)}, while it is
# read {number: object}
being_written: ContextVar[dict | None] = ContextVar("written", default=None)
being_read: ContextVar[dict | None] = ContextVar("read", default=None)


def as_one(scope: ContextVar[dict | None]):
    """Decorate what writes or reads a configuration: what it calls belongs to the same
    configuration."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            if scope.get() is not None:
                return function(*args, **kwargs)
            token = scope.set({})
            try:
                return function(*args, **kwargs)
            finally:
                scope.reset(token)

        return wrapper

    return decorate


def reading(function):
    """Decorate what reads a configuration: what it calls belongs to the same one, and nothing in it
    asks for more than `backprop.bounds` has."""
    together = as_one(being_read)(function)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if being_read.get() is not None:
            return function(*args, **kwargs)
        with bounded([*args, *kwargs.values()]):
            return together(*args, **kwargs)

    return wrapper


class Serializable:
    """What has a configuration of its own: `Configurable`'s base."""

    has_identity = False  # a layer's: one object in two places is not the same as two equal ones

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError


FAMILIES: dict[str, Registry] = {}
# what a config may have imported, and nothing else: a file is read before any family is in use
HOMES = (
    *("activations", "callbacks", "constraints", "initializers", "layers", "losses", "metrics"),
    *("models", "optimizers", "optimizers.schedules", "regularizers"),
)
_custom_objects: dict[str, Any] = {}  # registered under "package>name"
_registered: dict[str, Any] = {}  # the same by the bare name, which the library's own go before
# what was handed over for a block, in this thread and what that calls
_handed: ContextVar[Mapping[str, Any]] = ContextVar("handed", default=MappingProxyType({}))


class Registry:
    """The names of one family: the strings that users write and the classes that files may name.

    Parameters
    ----------
    family : str
        The module's name in the public face, such as ``"initializers"``.
    classes : iterable of type
        Known under their own name and in snake case.
    aliases : mapping, optional
        Further names, each of a class or of a function without arguments that makes the object.
    base : type, optional
        The class that all of them extend.
    inputs : tuple of int, optional
        Of a function that serves here: how many it may have.
    kin : str, optional
        The family of the classes that serve here. Default: this one.
    """

    def __init__(
        self,
        family: str,
        classes: Iterable[type] = (),
        aliases: Mapping[str, Callable] | None = None,
        *,
        base: type = object,
        inputs: tuple[int, ...] = (),
        kin: str | None = None,
    ):
        self.family, self.base, self.inputs, self.kin = family, base, inputs, kin or family
        self.classes: dict[str, type] = {}
        self.names: dict[str, Callable] = {}
        for cls in classes:
            self.add(cls)
        self.names |= aliases or {}
        FAMILIES[family] = self

    @property
    def kind(self) -> str:
        return {"losses": "loss"}.get(self.family, self.family.rpartition(".")[2].removesuffix("s"))

    def add(self, cls: type) -> type:
        """Register a class of the library; usable as a decorator."""
        self.classes[cls.__name__] = cls
        self.names[cls.__name__] = cls
        self.names.setdefault(snake_case(cls.__name__), cls)
        return cls

    def lookup(self, name: str) -> Callable:
        """The class or maker known as `name`: the user's where there is one that serves here."""
        found = self.users(name) or self.names.get(name) or users_own(name)
        if found is None:
            raise ValueError(
                f"unknown {self.kind} {name!r}{nearest(name, self.names)}; known: "
                f"{', '.join(sorted(self.classes or self.names))}"
            )
        return found

    def users(self, name: str) -> Any:
        """What the user means by a name, if it serves here: the loss "mse" is not replaced by a
        metric that somebody calls so, and no registration by any of the library's names."""
        found = known_as(name)
        if found is None and name not in self.names:
            found = _registered.get(name)
        return found if found is not None and self.fits(found) else None

    def fits(self, item: Any) -> bool:
        """Whether something of the user's can serve in this family."""
        family = family_of(item if isinstance(item, type) else type(item))
        if family is not None:
            return family == self.kin
        return callable(item) and any(takes(item, n) for n in self.inputs)

    def get(self, identifier: Any) -> Any:
        """None, a name, a config, a class or an object → None or the object."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = self.lookup(identifier)
            # a class, or a maker of the library; a function of the user's is the thing itself
            if isinstance(found, type):
                return self._made(identifier, found)
            return found() if found is self.names.get(identifier) else found
        if isinstance(identifier, Mapping):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return self._made(identifier.__name__, identifier)
        return identifier

    def _made(self, name: str, cls: type) -> Any:
        """An object of a class that was given without arguments."""
        try:
            return cls()
        except TypeError as error:
            needed = [n for n, default in defaults_of(cls).items() if default is EMPTY]
            if not needed:
                raise
            raise TypeError(
                f"the {self.kind} {name!r} needs {', '.join(needed)}: give an object, "
                f"{cls.__name__}({', '.join(f'{n}=...' for n in needed)})"
            ) from error

    @reading
    def deserialize(self, config: Mapping[str, Any] | str) -> Any:
        if isinstance(config, str):
            return self.get(config)
        if not isinstance(config, Mapping):
            raise TypeError(
                f"{self.family}.deserialize() expects config to be a mapping or a name, got "
                f"{reprlib.repr(config)}"
            )
        name = config.get("class_name")
        if not isinstance(name, str):
            raise ValueError(
                f"a config of a {self.kind} needs 'class_name', got {reprlib.repr(list(config))}"
            )
        if name == "__shared__":
            return read_before(config)
        registered = config.get("registered_name")
        cls = users_own(registered) or self.users(name)
        if cls is None and not registered:  # else it is not the class of the library
            cls = self.names.get(name) or users_own(name)
        if cls is None:
            hint = "" if registered else nearest(name, self.names)
            raise unknown_class(self.kind, name, hint)
        if not isinstance(cls, type):
            return cls
        check_kind(cls)
        make = getattr(cls, "from_config", None)
        arguments = config.get("config") or {}
        return remembered(config, make(arguments) if make else cls(**arguments))

    def serialize(self, item: Any) -> Any:
        """The name or config from which `get` makes `item` again."""
        return serialize(item)

    def functions(self, item: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """`serialize` and `deserialize` of the family for users, the first with an argument that is
        called `item`."""
        named = inspect.Signature([inspect.Parameter(item, BY_POSITION)])

        def serialize(*args, **kwargs):
            return self.serialize(*named.bind(*args, **kwargs).args)

        def deserialize(config, custom_objects=None):
            with custom_object_scope(custom_objects):
                return self.deserialize(config)

        serialize.__dict__["__signature__"] = named
        serialize.__doc__ = (
            f"The config from which `deserialize` makes the {self.kind} again, as JSON can hold it."
        )
        deserialize.__doc__ = f"""The {self.kind} that `serialize` turned into a config.

        Parameters
        ----------
        config : mapping or str
            With ``"class_name"`` and ``"config"``, or a name.
        custom_objects : mapping, optional
            Classes and functions of one's own, by the names that the config uses.

        Raises
        ------
        ValueError
            For a class that is unknown.
        """
        for function in (serialize, deserialize):
            function.__module__ = f"backprop.{self.family}"
            function.__qualname__ = function.__name__
        return serialize, deserialize


def classes_in(
    namespace: Mapping[str, Any], base: type
) -> tuple[list[type], dict[str, Callable[..., Any]]]:
    """The classes of a family that a module offers in `__all__`, and those under another name."""
    offered = {name: namespace.get(name) for name in namespace["__all__"]}
    found = {
        name: item
        for name, item in offered.items()
        if isinstance(item, type) and issubclass(item, base) and item is not base
    }
    aliases = {name: item for name, item in found.items() if name != item.__name__}
    return [item for name, item in found.items() if name not in aliases], aliases


def in_capitals_too(**aliases: Any) -> dict[str, Any]:
    return aliases | {name.upper(): item for name, item in aliases.items()}


def known_as(name: str) -> Any:
    """What was handed over under a name, or registered under all of it; None for nothing."""
    return _handed.get().get(name) or _custom_objects.get(name)


def users_own(name: str | None) -> Any:
    """What is in scope or registered under a name, of whatever family; None for nothing."""
    return known_as(name) or _registered.get(name) if name else None


def takes(function: Callable, count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a function of C code tells nothing
        return True
    return True


def unknown_class(kind: str, name: str, hint: str = "") -> ValueError:
    return ValueError(
        f"unknown {kind} {name!r}{hint}. If it is your own, hand it over, custom_objects="
        f"{{{name!r}: {name}}}, or decorate it with "
        "@backprop.saving.register_keras_serializable() and import it before loading"
    )


def is_foreign(item: Any) -> bool:
    """Whether a class or function is the user's."""
    module = getattr(item, "__module__", None) or ""
    return module.partition(".")[0] != __name__.partition(".")[0]


def family_of(cls: type) -> str | None:
    """The family that knows a class by name, or failing that the one whose base class it
    extends."""
    for family, registry in FAMILIES.items():
        if registry.classes.get(cls.__name__) is cls:
            return family
    bases = {
        registry.base: family
        for family, registry in FAMILIES.items()
        if registry.base is not object
    }
    return next(
        (bases[base] for base in cls.__mro__ if base in bases), None
    )  # a Loss is a Layer too: the nearest


@as_one(being_written)
def serialize(value: Any) -> Any:
    """A value of a configuration as JSON can hold it."""
    if isinstance(value, Serializable):
        return serialize_object(value)
    if isinstance(value, Mapping):
        return {str(k): serialize(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [serialize(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {
            "module": None,
            "class_name": "__array__",
            "config": {"value": value.tolist(), "dtype": value.dtype.name},
        }
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value).name
    if callable(value):
        return registered_name(value) or own_function(value) or name_of(value)
    return value


def own_function(value: Callable) -> dict[str, Any] | None:
    """A function of the user's that has a name of the library, as Keras writes functions."""
    name = getattr(value, "__name__", None)
    if not is_foreign(value) or not any(name in family.names for family in FAMILIES.values()):
        return None
    return {"module": None, "class_name": "function", "config": name, "registered_name": name}


def name_of(function: Callable) -> str:
    """The name by which a file can refer to a function."""
    name = getattr(function, "__name__", "<no name>")
    if "<" in name:
        raise ValueError(
            f"{function!r} has no name that a configuration could hold: define it with def, or as "
            "a class with get_config, and decorate it with "
            "@backprop.saving.register_keras_serializable()"
        )
    return name


def serialize_object(item: Serializable) -> dict[str, Any]:
    """Class and arguments; where a layer was written before, a reference to its number there."""
    met = being_written.get()
    assert met is not None
    if item.has_identity and id(item) in met:
        first = met[id(item)][1]
        number = first.setdefault(SHARED, sum(SHARED in other for _, other in met.values()))
        return {"class_name": "__shared__", "config": {SHARED: number}}
    cls = type(item)
    found = {
        "module": family_of(cls),
        "class_name": cls.__name__,
        "config": item.get_config(),
        "registered_name": registered_name(cls) or (cls.__name__ if is_foreign(cls) else None),
    }
    met[id(item)] = item, found
    return found


@reading
def deserialize(value: Any) -> Any:
    """The value that `serialize` turned into JSON."""
    if isinstance(value, list | tuple):
        return [v if isinstance(v, PLAIN) else deserialize(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {k: deserialize(v) for k, v in value.items()}
    if value["class_name"] == "__shared__":
        return read_before(value)
    if value["class_name"] == "__array__":
        dtype = np.dtype(value["config"]["dtype"])
        if dtype.kind not in "fiub":
            raise ValueError(f"the config holds an array of dtype {dtype} where numbers belong")
        return np.array(value["config"]["value"], dtype=dtype)
    family = (value.get("module") or "").removeprefix("keras.").removeprefix("backprop.")
    if family in HOMES and family not in FAMILIES:
        importlib.import_module(f"backprop.{family}")  # its registry enters itself
    if family in FAMILIES:
        return FAMILIES[family].deserialize(value)
    if value["class_name"] == "function":
        function = users_own(value["config"])
        if function is None:
            raise unknown_class("function", value["config"])
        return function
    cls = users_own(value.get("registered_name")) or users_own(value["class_name"])
    if cls is None:
        raise unknown_class("class", value["class_name"])
    check_kind(cls)
    return remembered(value, cls.from_config(value.get("config") or {}))


def check_kind(cls: Any) -> None:
    """Raise unless a class is of a kind that configurations are of: one that only happens to be
    registered may do anything with a stranger's arguments."""
    if not (isinstance(cls, type) and (issubclass(cls, Serializable) or family_of(cls))):
        raise ValueError(
            f"{getattr(cls, '__name__', cls)!r} is no layer and of no other kind of this library, "
            "so no configuration makes one"
        )


def remembered(config: Mapping[str, Any], made: Any) -> Any:
    """`made`; kept for the references to it that follow in the same configuration."""
    read = being_read.get()
    if SHARED in config and read is not None:
        read[config[SHARED]] = made
    return made


def read_before(reference: Mapping[str, Any]) -> Any:
    """The object that a reference names."""
    number = (reference.get("config") or {}).get(SHARED)
    read = being_read.get() or {}
    if number not in read:
        raise ValueError(
            f"the config refers to shared object {number!r}, which does not stand before it"
        )
    return read[number]


def register_keras_serializable(package: str = "Custom", name: str | None = None):
    """Decorate a class or function of one's own, so that saved models may name it.

    Parameters
    ----------
    package : str, default "Custom"
        Prefix of the registered name, ``"package>name"``.
    name : str, optional
        Default: the object's own name.
    """

    def decorate(item):
        registered = f"{package}>{name or item.__name__}"
        _custom_objects[registered] = item
        _registered[name or item.__name__] = item
        return item

    return decorate


def registered_name(item: Any) -> str | None:
    known = [*_handed.get().items(), *_custom_objects.items()]
    return next((name for name, own in known if own is item and ">" in name), None)


def get_custom_objects() -> dict[str, Any]:
    """The registered classes and functions that are not part of the library, by name."""
    return _custom_objects


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None):
    """Within the block, the given names may be used in configs, files and strings: by the thread
    that is in it, and no other."""
    if not isinstance(custom_objects, Mapping | None):
        raise TypeError(
            f"custom_objects are a dict of names and objects, got {reprlib.repr(custom_objects)}"
        )
    token = _handed.set({**_handed.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _handed.reset(token)
