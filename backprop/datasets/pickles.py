"""Python's pickles read as data: numbers, strings, lists, dicts and arrays, and nothing is run.

A pickle is a program for a machine with a stack. Here that machine knows the instructions that
make such values, and of the functions that a pickle may call by name those by which NumPy writes
an array or one number of it, which are done by hand. Any other instruction and any other name is
an error before anything has happened.

The old files of CIFAR, and those of IMDB and Reuters, are pickles.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from backprop.spelling import printable

Array = np.ndarray
DEPTH = 256  # of marks, and so of values that are not there as a whole

# the functions and classes that may be named: the module that was NumPy's, the one that is, and the
# one by which bytes are written in pickles for Python 2
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
NAMES = {
    **{(module, "_reconstruct"): "array" for module in NUMPY},
    **{(module, "scalar"): "scalar" for module in NUMPY},
    **{(module, "_frombuffer"): "from buffer" for module in NUMERIC},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "bytes",
    ("__builtin__", "bytes"): "no bytes",
}
KINDS = "biufO"  # of the elements of arrays, as NumPy names them
NUMBER_CODES = frozenset(b"KM")
# instructions for numbers of one byte and of two; so many at a time, to bound what is copied
NUMBERS = re.compile(rb"(?:K.|M..){1,10000}", re.DOTALL)
NUMBER = re.compile(rb"[KM]((?<=K).|..)", re.DOTALL)


class Name:
    """A function or class that stands on the stack: its meaning here, and never the thing."""

    def __init__(self, meaning: str):
        self.meaning = meaning


class Dtype:
    """A dtype whose byte order comes later."""

    def __init__(self, code: str):
        self.code = code
        self.order = "="

    def made(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[call-overload] - a letter of three


class Unfilled:
    """An array whose shape and values come later."""

    place: Any = None  # in the memory of the machine


def read_pickle(data: bytes, what: str) -> Any:
    """The value that a pickle describes.

    Parameters
    ----------
    data : bytes
    what : str
        For errors.

    Returns
    -------
    int, float, bool, None, bytes, str, list, tuple, dict, ndarray or number of NumPy
        Within each other. Strings that Python 2 wrote are bytes. Arrays are of numbers, or of such
        objects.

    Raises
    ------
    ValueError
        If it is damaged, or has an instruction or a name beside those of such values.

    Examples
    --------
    >>> import pickle
    >>> read_pickle(pickle.dumps({"a": [1, 2.5, b"x"]}), "it")
    {'a': [1, 2.5, b'x']}
    >>> read_pickle(pickle.dumps(print), "it")
    Traceback (most recent call last):
        ...
    ValueError: it is not read: it names builtins.print, and only arrays and plain values are read
    """
    try:
        return Machine(data, what).run()
    except Refused as error:
        raise ValueError(printable(str(error))) from None
    except (LookupError, struct.error, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{what} is damaged: its pickle cannot be read") from error


class Refused(ValueError):
    """A pickle wants what makes neither an array nor a plain value."""


class Machine:
    """The stack, the memory, and the place in the program."""

    def __init__(self, data: bytes, what: str):
        self.data = data
        self.what = what
        self.at = 0
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # stacks under marks
        self.memory: dict[int, Any] = {}

    def run(self) -> Any:
        data = self.data
        while True:
            code = data[self.at]
            self.at += 1
            if code in NUMBER_CODES:
                self.numbers()
            elif code == 0x2E:  # .: the end
                return self.end()
            else:
                step = STEPS.get(code)
                if step is None:
                    self.refuse(f"it has the instruction {bytes([code])!r}")
                step(self)

    def end(self) -> Any:
        value = self.stack.pop()
        if self.stack or self.below or isinstance(value, Name | Dtype | Unfilled):
            raise IndexError("something is left")
        return value

    def refuse(self, why: str) -> NoReturn:
        raise Refused(f"{self.what} is not read: {why}, and only arrays and plain values are read")

    # ------------------------------------------------------------------ what stands in the program

    def numbers(self) -> None:
        """Push small numbers, of which lists of words consist: millions, one behind the other."""
        self.at -= 1
        found = NUMBERS.match(self.data, self.at)
        if found is None:
            raise IndexError("the program ends too early")
        self.at = found.end()
        self.stack += [int.from_bytes(n, "little") for n in NUMBER.findall(found.group())]

    def take(self, count: int) -> bytes:
        """The next bytes, of which there must be so many."""
        if count < 0 or self.at + count > len(self.data):
            raise IndexError("the program ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        """The next number, in the notation of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        line = self.take(end - self.at)
        self.at += 1
        return line.decode("ascii")

    # ------------------------------------------------------------------ the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        if len(self.below) >= DEPTH:
            self.refuse(f"its values are nested {DEPTH} deep")
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def into_tuple(self, count: int | None) -> None:
        if count is None:
            self.push(tuple(self.since_mark()))
            return
        if len(self.stack) < count:
            raise IndexError("the stack is too low")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.push(items)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("only a list is appended to")
        target += items

    def put_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or not all(isinstance(k, str | bytes) for k in items[::2]):
            raise TypeError("only a dict gets items, under strings")
        target.update(zip(items[::2], items[1::2], strict=True))

    def remember(self, place: int) -> None:
        value = self.memory[place] = self.stack[-1]
        if type(value) is Unfilled:
            value.place = place

    # ------------------------------------------------------------------ names, and what they make

    def name(self, module: Any, name: Any) -> None:
        meaning = NAMES.get((module, name))
        if meaning is None:
            self.refuse(f"it names {module}.{name}")
        self.push(Name(meaning))

    def named_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise TypeError("only what has a name is called")
        match function.meaning, *arguments:
            case "array", Name(meaning="ndarray"), (0,), (b"b" | "b"):
                self.push(Unfilled())
            case "dtype", (str() | bytes()) as code, _, _:
                self.push(self.dtype(text(code)))
            case "bytes", str() as characters, "latin1":
                self.push(characters.encode("latin1"))
            case ("no bytes",):
                self.push(b"")
            case "from buffer", (bytes() | bytearray()) as values, Dtype() as dtype, shape, order:
                self.push(self.array(shape, dtype, order == "F", bytes(values)))
            case "scalar", Dtype() as dtype, bytes() as value:
                self.push(self.array((), dtype, False, value)[()])
            case _:
                self.refuse(f"it calls {function.meaning!r} in a way that makes no array")

    def dtype(self, code: str) -> Dtype:
        if code[:1] not in KINDS or code[1:] not in ("1", "2", "4", "8"):
            self.refuse(f"it has values of dtype {code!r}")
        return Dtype(code)

    def build(self) -> None:
        """Give the value on the stack what was missing."""
        state, value = self.stack.pop(), self.stack[-1]
        match value, state:
            case Dtype(), (
                _,
                (b"<" | b">" | b"|" | "<" | ">" | "|") as order,
                None,
                None,
                None,
                *_,
            ):
                value.order = text(order)
            case Unfilled(), (_, shape, Dtype() as dtype, fortran, values):
                array = self.array(shape, dtype, bool(fortran), values)
                self.stack[-1] = array
                if value.place is not None:
                    self.memory[value.place] = array
            case _:
                self.refuse("it gives a state to what is no array")

    def array(self, shape: Any, dtype: Dtype, fortran: bool, values: Any) -> Array:
        """An array of the values that are there, and of no others."""
        if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
            raise TypeError("a shape is a tuple of sizes")
        made, order = dtype.made(), "F" if fortran else "C"
        if made.kind != "O":
            if type(values) is not bytes or len(values) != math.prod(shape) * made.itemsize:
                raise TypeError("the values of an array are as many bytes as its shape says")
            return np.frombuffer(values, made).reshape(shape, order=order)
        if type(values) is not list or len(values) != math.prod(shape):
            raise TypeError("the objects of an array are as many as its shape says")
        # a list takes a byte for each entry, unless it is the same one again and again
        if sum(len(value) for value in values if isinstance(value, list)) > len(self.data):
            self.refuse("its lists stand in it again and again")
        array = np.empty(len(values), object)
        for i, value in enumerate(values):  # as a whole, NumPy would look into the objects
            array[i] = value
        return array.reshape(shape, order=order)


def text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value


def steps() -> dict[int, Callable[[Machine], None]]:
    """The instructions that are known, by their bytes."""
    one = {
        b"\x80": lambda m: m.take(1),  # the version of the language
        b"\x95": lambda m: m.take(8),  # a hint how much is read at once
        b"(": Machine.mark,
        b"N": lambda m: m.push(None),
        b"\x88": lambda m: m.push(True),
        b"\x89": lambda m: m.push(False),
        b"J": lambda m: m.push(m.number("<i")),
        b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
        b"G": lambda m: m.push(m.number(">d")),
        b"}": lambda m: m.push({}),
        b"]": lambda m: m.push([]),
        b")": lambda m: m.push(()),
        b"t": lambda m: m.into_tuple(None),
        b"\x85": lambda m: m.into_tuple(1),
        b"\x86": lambda m: m.into_tuple(2),
        b"\x87": lambda m: m.into_tuple(3),
        b"a": lambda m: m.extend([m.stack.pop()]),
        b"e": lambda m: m.extend(m.since_mark()),
        b"s": lambda m: m.put_items([m.stack.pop(), m.stack.pop()][::-1]),
        b"u": lambda m: m.put_items(m.since_mark()),
        b"q": lambda m: m.remember(m.number("<B")),
        b"r": lambda m: m.remember(m.number("<I")),
        b"\x94": lambda m: m.remember(len(m.memory)),
        b"h": lambda m: m.push(m.memory[m.number("<B")]),
        b"j": lambda m: m.push(m.memory[m.number("<I")]),
        b"c": lambda m: m.name(m.line(), m.line()),
        b"\x93": Machine.named_on_stack,
        b"R": Machine.call,
        b"b": Machine.build,
    }
    for codes, convert in (
        ({b"U": "<B", b"T": "<i", b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q"}, bytes),
        ({b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}, bytes.decode),
    ):
        for code, form in codes.items():
            one[code] = lambda m, f=form, c=convert: m.push(c(m.take(m.number(f))))
    return {code[0]: step for code, step in one.items()}


STEPS = steps()
