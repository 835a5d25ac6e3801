"""Configuration for free: an object remembers its constructor call, and names resolve in one place
per family.

Every configurable thing of the library (layers, losses, optimizers, initializers ...) is a
`Configurable`. Its `get_config`, `from_config` and `repr` come from the signature of its
constructor, so that no class writes its own and none can forget an argument. A `Registry` holds the
names of one family: it is the allow-list that files and strings are resolved against, and it knows
the nearest name when one is misspelt.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from backprop.absent import advice, face
from backprop.defaults import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)

__all__ = [
    "Configurable",
    "Registry",
    "backend",
    "custom_object_scope",
    "deserialize",
    "epsilon",
    "floatx",
    "get_custom_objects",
    "image_data_format",
    "register_keras_serializable",
    "serialize",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

# what one configuration has met so far: while it is written {id: (object, its dict)}, while it is
# read {number: object}
_written: ContextVar[dict | None] = ContextVar("written", default=None)
_read: ContextVar[dict | None] = ContextVar("read", default=None)


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


class ConstructorSignature:
    """What `help` shows for a class: the arguments of `__init__`, which `__new__` hides."""

    def __get__(self, instance: Any, cls: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")  # a callable object has that of its __call__
        signature = inspect.signature(cls.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Configurable:
    """Remembers the arguments of its constructor call.

    A constructor may take `**kwargs` for its base class; they are checked against the base classes'
    arguments, so that a misspelt one is an error that names the nearest known argument.
    """

    __signature__ = ConstructorSignature()
    _arguments: dict[str, Any]
    has_identity = False  # a layer's: one object in two places is not the same as two equal ones

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        # copying and unpickling come without arguments; __setstate__ brings them
        object.__setattr__(self, "_arguments", bind_arguments(cls, args, kwargs))
        return self

    @as_one(_written)
    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this object with `from_config`, as JSON can hold them."""
        return {name: serialize(value) for name, value in self._arguments.items()}

    @classmethod
    @as_one(_read)
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ):
        """Build an object from what `get_config` returned."""
        with custom_object_scope(custom_objects or {}):
            known = {name: deserialize(value) for name, value in config.items()}
            names, positional, _ = signature_of(cls)
            args = [item for name in names if name == positional for item in known.pop(name, ())]
            return cls(*args, **known)

    def __repr__(self) -> str:
        return constructor_call(type(self), self._arguments)


@functools.cache
def signature_of(cls: type) -> tuple[dict[str, Any], str | None, int]:
    """What a constructor takes: its arguments with their defaults (of base classes too, where it
    takes `**kwargs`), the name of its `*args`, and how many arguments may be given by position."""
    names: dict[str, Any] = {}
    variadic, by_position = None, 0
    for depth, klass in enumerate(
        c for c in cls.__mro__ if "__init__" in c.__dict__ and c is not object
    ):
        parameters = list(inspect.signature(klass.__init__).parameters.values())[1:]
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                variadic = variadic or p.name
                names.setdefault(p.name, ())
            elif p.kind is not p.VAR_KEYWORD:
                names.setdefault(p.name, p.default)
                by_position += depth == 0 and p.kind is not p.KEYWORD_ONLY
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names, variadic, by_position


def bind_arguments(cls: type, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    names, variadic, by_position = signature_of(cls)
    for name in kwargs:
        if name not in names:
            raise TypeError(
                f"{cls.__name__}() has no argument {name!r}{other_argument(name, names)}; it takes "
                f"{', '.join(names)}"
            )
    arguments = dict(zip(names, args[:by_position], strict=False)) | kwargs
    if variadic and len(args) > by_position:
        arguments[variadic] = args[by_position:]
    return arguments


def other_argument(name: str, names: Iterable[str]) -> str:
    """What to write for an argument that Keras has, or had; failing that the nearest one."""
    known = advice("arguments").get(name)
    return f": {known}" if known else nearest(name, names)


def constructor_call(cls: type, arguments: Mapping[str, Any]) -> str:
    names, variadic, by_position = signature_of(cls)
    parts = []
    for i, (name, default) in enumerate(names.items()):
        if name not in arguments:
            continue
        value = arguments[name]
        if name == variadic:
            parts += [show(item) for item in value]
        elif same(value, default):
            continue
        elif len(parts) == i < by_position and (i == 0 or default is inspect.Parameter.empty):
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
    return a is b or (type(a) is type(b) and a == b)


def nearest(name: Any, known: Iterable[str]) -> str:
    """`"; did you mean 'relu'?"`, or nothing where no known name is near.

    Near is a name of which this one is the beginning, the initials or several of the words, and one
    from which it differs by a slip of the pen: in a third of its letters, three at most, whatever
    capitals and underscores there are.

    Examples
    --------
    >>> nearest("precision", ["poisson"]), nearest("lr", ["learning_rate"])
    ('', "; did you mean 'learning_rate'?")
    """
    name = str(name)
    ranked = [(unlike(name, k), slips(name, k), k) for k in known]
    found = min(ranked, default=(1.0, 0, ""))
    return f"; did you mean {found[2]!r}?" if found[0] < 1 else ""


def unlike(name: str, known: str) -> float:
    """How far a name is from a known one: 0 is the same, 1 and more are others."""
    words, other_words = ([w for w in n.lower().split("_") if w] for n in (name, known))
    a, b = "".join(words), "".join(other_words)
    if a == b:
        return 0.0
    slip = slips(a, b) / (1 + min(max(len(a), len(b)) // 3, 3))
    if len(a) < 4 and len(a) == len(b) and sorted(a) != sorted(b):
        slip = 1.0  # three letters with another one are another name: auc, acc
    digits, letters = (
        [sorted(filter(kind, n)) for n in (a, b)] for kind in (str.isdigit, str.isalpha)
    )
    if digits[0] != digits[1] and letters[0] != letters[1]:
        slip = 1.0  # so are f1 and r2
    if slip < 1:
        return slip
    initials = len(a) > 1 and a == "".join(w[0] for w in other_words)
    beginning = min(len(a), len(b)) > 2 and (b.startswith(a) or a.startswith(b))
    several = len(words) > 1 and set(words) <= set(other_words)
    if not (initials or beginning or several):
        return 1.0
    return 1 - 0.2 / (1 + abs(len(a) - len(b)))


def slips(a: str, b: str) -> int:
    """Letters to insert, drop, change, or swap with the next one, to make `b` of `a`."""
    rows = [list(range(len(b) + 1))]
    for i, c in enumerate(a, start=1):
        row = [i]
        for j, d in enumerate(b, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (c != d))
            if i > 1 and j > 1 and c == b[j - 2] and a[i - 2] == d:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def snake_case(name: str) -> str:
    """`BatchNormalization` → `batch_normalization`, `Conv2D` → `conv2d`, as Keras names layers."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# ----------------------------------------------------------------------------------------------
# registries

FAMILIES: dict[str, Registry] = {}
# what a config may have imported, and nothing else: a file is read before any family is in use
HOMES = (
    *("activations", "callbacks", "constraints", "initializers", "layers", "losses", "metrics"),
    *("models", "optimizers", "optimizers.schedules", "regularizers"),
)
_custom_objects: dict[str, Any] = {}
SHARED = "shared_object_id"


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
    """

    def __init__(
        self,
        family: str,
        classes: Iterable[type] = (),
        aliases: Mapping[str, Callable] | None = None,
    ):
        self.family = family
        self.base: type = object
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
        """The class or maker known as `name`."""
        for names in (_custom_objects, self.names):
            if name in names:
                return names[name]
        raise ValueError(
            f"unknown {self.kind} {name!r}{nearest(name, self.names)}; known: "
            f"{', '.join(sorted(self.classes or self.names))}"
        )

    def get(self, identifier: Any) -> Any:
        """None, a name, a config, a class or an object → None or the object."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = self.lookup(identifier)
            # a class, or a maker of the library; a function of the user's is the thing itself
            return found() if isinstance(found, type) or identifier in self.names else found
        if isinstance(identifier, Mapping):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        return identifier

    @as_one(_read)
    def deserialize(self, config: Mapping[str, Any] | str) -> Any:
        if isinstance(config, str):
            return self.get(config)
        name = config.get("class_name")
        if not isinstance(name, str):
            raise ValueError(f"a config of a {self.kind} needs 'class_name', got {sorted(config)}")
        if name == "__shared__":
            return read_before(config)
        cls = self.lookup(config.get("registered_name") or name)
        if not isinstance(cls, type):
            return cls
        make = getattr(cls, "from_config", None)
        arguments = config.get("config") or {}
        return remembered(config, make(arguments) if make else cls(**arguments))

    def serialize(self, item: Any) -> Any:
        """The name or config from which `get` makes `item` again."""
        return serialize(item)


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


@as_one(_written)
def serialize(value: Any) -> Any:
    """A value of a configuration as JSON can hold it."""
    if isinstance(value, Configurable):
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
        return registered_name(value) or name_of(value)
    return value


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


def serialize_object(item: Configurable) -> dict[str, Any]:
    """Class and arguments; where a layer was written before, a reference to its number there."""
    met = _written.get()
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
        "registered_name": registered_name(cls),
    }
    met[id(item)] = item, found
    return found


@as_one(_read)
def deserialize(value: Any) -> Any:
    """The value that `serialize` turned into JSON."""
    if isinstance(value, list | tuple):
        return [deserialize(v) for v in value]
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
    cls = _custom_objects.get(value.get("registered_name") or value["class_name"])
    if cls is None:
        raise ValueError(
            f"the config names {value['class_name']!r}, which is not a class of backprop; pass it "
            "in custom_objects={...} or decorate it with "
            "@backprop.saving.register_keras_serializable()"
        )
    return remembered(value, cls.from_config(value.get("config") or {}))


def remembered(config: Mapping[str, Any], made: Any) -> Any:
    """`made`; kept for the references to it that follow in the same configuration."""
    read = _read.get()
    if SHARED in config and read is not None:
        read[config[SHARED]] = made
    return made


def read_before(reference: Mapping[str, Any]) -> Any:
    """The object that a reference names."""
    number = (reference.get("config") or {}).get(SHARED)
    read = _read.get() or {}
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
        _custom_objects.setdefault(name or item.__name__, item)
        return item

    return decorate


def registered_name(item: Any) -> str | None:
    for name, known in _custom_objects.items():
        if known is item and ">" in name:
            return name
    return None


def get_custom_objects() -> dict[str, Any]:
    """The registered classes and functions that are not part of the library, by name."""
    return _custom_objects


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]):
    """Within the block, the given names may be used in configs, files and strings."""
    before = dict(_custom_objects)
    _custom_objects.update(custom_objects)
    try:
        yield
    finally:
        _custom_objects.clear()
        _custom_objects.update(before)


__getattr__ = face(__name__)
