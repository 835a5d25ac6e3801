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
from backprop.seeds import own_seeds

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
    _arguments: dict[str, Any]
    _made = False  # whether the constructor is through
    _changed = False  # whether an argument was assigned to since
    has_identity = False  # a layer's: one object in two places is not the same as two equal ones
    changeable: tuple[str, ...] = ()  # arguments that are only read when they are needed
    fixed: tuple[str, ...] = ()  # arguments that others have taken note of
    unsaved: tuple[str, ...] = ()  # arguments that are values to start with
    decides: tuple[str, ...] = ()  # arguments of a base class that this one gives itself

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        # copying and unpickling come without arguments; __setstate__ brings them
        object.__setattr__(self, "_arguments", bind_arguments(cls, args, kwargs))
        note_the_end(cls)
        return self

    @as_one(_written)
    def get_config(self) -> dict[str, Any]:
        """All arguments with the values that they have now, as JSON can hold them: `from_config`
        makes an equal object of them."""
        names = signature_of(type(self))[0]
        defaults = {n: d for n, d in names.items() if d is not inspect.Parameter.empty}
        known = self._arguments
        given = {n: known.get(n, defaults.get(n)) for n in names if n in known or n in defaults}
        return {
            name: serialize(self._argument(name, value))
            for name, value in (given | known).items()
            if name not in self.unsaved
        }

    @classmethod
    @as_one(_read)
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ):
        """Build an object from what `get_config` returned."""
        with custom_object_scope(custom_objects or {}):
            names, positional, _ = signature_of(cls)
            known = {name: deserialize(value) for name, value in config.items()}
            known = {n: v for n, v in known.items() if not same(v, names.get(n, cls))}
            args = [item for name in names if name == positional for item in known.pop(name, ())]
            made = cls(*args, **known)
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
        for name, default in signature_of(type(self))[0].items():
            if not hasattr(self, name):
                self.__dict__[name] = self._arguments.get(name, default)

    def __setattr__(self, name: str, value: Any) -> None:
        # what begins with _ is no argument, and is assigned to in the hot path of an optimizer
        if name[0] != "_" and self._made and name in signature_of(type(self))[0]:
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
        told = getattr(cls, name, None)
        if hasattr(told, "__set__") and getattr(told, "fset", told) is not None:
            self._store(name, value)  # a property says itself what assigning does
        elif not is_ours(cls, name):
            self._store(name, value)
        elif value is self.__dict__.get(name, cls):
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
def note_the_end(cls: type) -> None:
    """Have the outermost constructor of a class say when it is through. Not when the class is
    defined: a decorator (`dataclass`) may write the constructor later."""
    init = cls.__init__
    if init is object.__init__ or hasattr(init, "notes_the_end"):
        return

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs):
        outermost = type(self).__init__ is wrapper
        if outermost:
            self.__dict__["_made"] = False
        init(self, *args, **kwargs)
        if outermost:
            self._keep_the_rest()
            self.__dict__["_made"] = True

    wrapper.notes_the_end = True  # type: ignore[attr-defined]
    owner = next(c for c in cls.__mro__ if "__init__" in c.__dict__)
    owner.__init__ = wrapper


@functools.cache
def signature_of(cls: type) -> tuple[dict[str, Any], str | None, int]:
    """What a constructor takes: its arguments with their defaults (of base classes too, where it
    takes `**kwargs`), the name of its `*args`, and how many arguments may be given by position."""
    names: dict[str, Any] = {}
    decided: set[str] = set()
    variadic, by_position = None, 0
    for depth, klass in enumerate(
        c for c in cls.__mro__ if "__init__" in c.__dict__ and c is not object
    ):
        parameters = list(inspect.signature(klass.__init__).parameters.values())[1:]
        for p in parameters:
            if p.name in decided:
                continue
            if p.kind is p.VAR_POSITIONAL:
                variadic = variadic or p.name
                names.setdefault(p.name, ())
            elif p.kind is not p.VAR_KEYWORD:
                names.setdefault(p.name, p.default)
                by_position += depth == 0 and p.kind is not p.KEYWORD_ONLY
        decided |= set(klass.__dict__.get("decides", ()))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names, variadic, by_position


@functools.cache
def listed(cls: type, attribute: str) -> frozenset[str]:
    """What a class and its bases list under an attribute."""
    return frozenset(name for c in cls.__mro__ for name in c.__dict__.get(attribute, ()))


@functools.cache
def is_ours(cls: type, name: str) -> bool:
    """Whether a class of the library takes this argument, by name."""
    library = __name__.partition(".")[0]
    return any(
        name in inspect.signature(c.__dict__["__init__"]).parameters
        for c in cls.__mro__
        if "__init__" in c.__dict__ and c.__module__.partition(".")[0] == library
    )


def called(cls: type, arguments: Mapping[str, Any]) -> Any:
    """A call of the constructor with arguments by name."""
    positional = signature_of(cls)[1]
    by_name = {name: value for name, value in arguments.items() if name != positional}
    return cls(*arguments.get(positional or "", ()), **by_name)


def is_automatic(name: Any, cls: type) -> bool:
    """Whether a name is one that objects of a class get where nobody chooses one."""
    return (
        isinstance(name, str)
        and re.fullmatch(rf"{snake_case(cls.__name__)}(_\d+)?", name) is not None
    )


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
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):  # JSON has no tuples
        return len(a) == len(b) and all(map(same, a, b))
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
    long = min(len(a), len(b)) > 2 or bool(digits[0])  # f1 begins as few names do
    beginning = long and (b.startswith(a) or a.startswith(b))
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
_custom_objects: dict[str, Any] = {}  # of a scope, and registered under "package>name"
_registered: dict[str, Any] = {}  # the same by the bare name, which the library's own go before
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
        self.kin = family  # the family of the classes that serve here
        self.inputs: tuple[int, ...] = ()  # of a function that serves here: how many it may have
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
        found = _custom_objects.get(name)
        if found is None and name not in self.names:
            found = _registered.get(name)
        return found if self.fits(found) else None

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
            known = signature_of(cls)[0]
            needed = [n for n, default in known.items() if default is inspect.Parameter.empty]
            if not needed:
                raise
            raise TypeError(
                f"the {self.kind} {name!r} needs {', '.join(needed)}: give an object, "
                f"{cls.__name__}({', '.join(f'{n}=...' for n in needed)})"
            ) from error

    @as_one(_read)
    def deserialize(self, config: Mapping[str, Any] | str) -> Any:
        if isinstance(config, str):
            return self.get(config)
        name = config.get("class_name")
        if not isinstance(name, str):
            raise ValueError(f"a config of a {self.kind} needs 'class_name', got {sorted(config)}")
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
        make = getattr(cls, "from_config", None)
        arguments = config.get("config") or {}
        return remembered(config, make(arguments) if make else cls(**arguments))

    def serialize(self, item: Any) -> Any:
        """The name or config from which `get` makes `item` again."""
        return serialize(item)


def users_own(name: str | None) -> Any:
    """What is in scope or registered under a name, of whatever family; None for nothing."""
    return _custom_objects.get(name) or _registered.get(name) if name else None


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
        "registered_name": registered_name(cls) or (cls.__name__ if is_foreign(cls) else None),
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
    if value["class_name"] == "function":
        function = users_own(value["config"])
        if function is None:
            raise unknown_class("function", value["config"])
        return function
    cls = users_own(value.get("registered_name")) or users_own(value["class_name"])
    if cls is None:
        raise unknown_class("class", value["class_name"])
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
        _registered[name or item.__name__] = item
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
    before = [(names, dict(names)) for names in (_custom_objects, _registered)]
    _custom_objects.update(custom_objects)
    try:
        yield
    finally:
        for names, old in before:
            names.clear()
            names.update(old)


__getattr__ = face(__name__)
