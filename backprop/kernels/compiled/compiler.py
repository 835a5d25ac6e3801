"""How a loop is compiled, and for which arguments.

A loop says what stands in each place, for instance

    @loop(Vector, given(Vector), Vector, Number)
    def momentum(w, g, m, rate):

and is compiled once for float32 and once for float64, when each is first needed. Arrays are
contiguous where it does not say `strided`. So a loop is never compiled for one odd array:
that goes to the twin.

What makes loops fast:

* ``error_model="numpy"``: with Python's, a division may raise, and a loop that may raise is not
  vectorised.
* Rows as slices of one dimension (``row = x[i]``) and not ``x[i, j]``, which looks at the sign of
  each index.
* `FAST` lets the compiler regroup sums and fuse products into them. It never assumes that there is
  no NaN or infinity; but what it regroups may make NaN of infinity, and differ from one place of a
  vector to another. `EXACT` only fuses, and is as fast where nothing is summed up.
* Functions of `maths`, because calls of the system's library are not vectorised.
* Numbers of the array's own dtype: a Python float makes the arithmetic double.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numba
import numpy as np
from numba import types

from backprop.kernels.compiled.cache import Cache

LEAST = (0, 61)
if tuple(int(part) for part in numba.__version__.split(".")[:2]) < LEAST:
    raise ImportError(
        f"the kernels need Numba {'.'.join(map(str, LEAST))} or newer, and {numba.__version__} is "
        "installed"
    )

FAST = {"contract", "reassoc", "nsz", "arcp"}
EXACT = {"contract"}
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

# ------------------------------------------------------------------------------ what a loop takes


@dataclass(frozen=True)
class Kind:
    """What may stand in the place of one argument.

    Attributes
    ----------
    ndim : int
        Of the array; 0 for a number.
    dtypes : tuple of str
        The first is the one that `warmup` takes. "float" is the dtype of the whole loop.
    layout : {"C", "A"}
        Contiguous, or with any strides.
    written : bool
        Whether the loop writes to the array, which must not be read-only then.
    optional : bool
        Whether None may stand there.
    """

    ndim: int
    dtypes: tuple[str, ...] = ("float",)
    layout: str = "C"
    written: bool = True
    optional: bool = False

    def type_for(self, dtype: str, number: np.dtype) -> Any:
        """Numba's type of an argument, where "float" is `number`."""
        scalar = numba.from_dtype(np.dtype(number if dtype == "float" else dtype))
        if self.ndim == 0:
            return scalar
        return types.Array(scalar, self.ndim, self.layout, readonly=not self.written)

    def dtype_of(self, arg: Any, number: np.dtype) -> str | None:
        """Which of the dtypes an argument has; None if it does not fit."""
        if self.ndim == 0:
            return self.dtypes[0] if isinstance(arg, int | float | np.generic) else None
        if type(arg) is not np.ndarray or arg.ndim != self.ndim or not arg.flags.aligned:
            return None
        if (self.layout == "C" and not arg.flags.c_contiguous) or (
            self.written and not arg.flags.writeable
        ):
            return None
        name = "float" if arg.dtype == number else arg.dtype.name
        return name if name in self.dtypes else None


Number = Kind(0)
Integer = Kind(0, ("int64",))
Flag = Kind(0, ("bool",))
Vector, Matrix, Cube, Array4, Array5 = (Kind(ndim) for ndim in range(1, 6))


def optional(kind: Kind) -> Kind:
    """The same, or None: a form of the loop for each."""
    return replace(kind, optional=True)


def given(kind: Kind) -> Kind:
    """The same, of which the loop only reads: it may be read-only."""
    return replace(kind, written=False)


def strided(kind: Kind) -> Kind:
    """The same with any strides, and only read. Where rows are long, contiguous ones are faster."""
    return replace(kind, layout="A", written=False)


def of_integers(ndim: int) -> Kind:
    return Kind(ndim, ("int64", "int32"))


def of_bools(ndim: int) -> Kind:
    return Kind(ndim, ("bool",))


# ------------------------------------------------------------------------------------------- loops

LOCK = threading.RLock()
LOOPS: list["Loop"] = []


class Loop:
    """A function that Numba compiles for arguments of these kinds.

    Attributes
    ----------
    dispatcher : callable
        Runs it; raises a TypeError for arguments for which it was not compiled.
    """

    def __init__(self, function: Callable, kinds: tuple[Kind, ...], flags: set[str]):
        self.kinds = kinds
        self.dispatcher: Any = jit(function, flags)
        # the one that compiles: the other never may, as calls of other threads reach it meanwhile
        self._compiling: Any = jit(function, flags)
        self._compiling._cache = Cache(function)
        self.known: set[tuple[str | None, ...]] = set()
        LOOPS.append(self)

    def dtypes_of(self, args: tuple[Any, ...]) -> tuple[str | None, ...] | None:
        """What stands in each place, with the loop's own dtype in front; None if it does not
        fit."""
        if len(args) != len(self.kinds):
            return None
        floats = (a.dtype for a in args if type(a) is np.ndarray and a.dtype in FLOATS)
        number = next(floats, FLOATS[1])
        found: list[str | None] = [number.name]
        for kind, arg in zip(self.kinds, args, strict=True):
            dtype = None if arg is None else kind.dtype_of(arg, number)
            if dtype is None and not (arg is None and kind.optional):
                return None
            found.append(dtype)
        return tuple(found)

    def takes(self, args: tuple[Any, ...]) -> bool:
        """Whether it can be compiled for these arguments, or was."""
        return self.dtypes_of(args) is not None

    def learn(self, args: tuple[Any, ...]) -> None:
        """Compile it for these arguments, or read what was compiled; nothing, if it was done."""
        dtypes = self.dtypes_of(args)
        assert dtypes is not None
        self.compile(dtypes)

    def compile(self, dtypes: tuple[str | None, ...]) -> None:
        number = np.dtype(dtypes[0])
        signature = tuple(
            types.none if dtype is None else kind.type_for(dtype, number)
            for kind, dtype in zip(self.kinds, dtypes[1:], strict=True)
        )
        with LOCK:
            if dtypes in self.known:
                return
            self._compiling.compile(signature)
            self.dispatcher.add_overload(self._compiling.overloads[signature])
            self.dispatcher.disable_compile()
            self.known.add(dtypes)

    @property
    def cache_hits(self) -> int:
        """How often it was read, and not compiled."""
        return sum(self._compiling.stats.cache_hits.values())

    def usual(self) -> Iterator[tuple[str | None, ...]]:
        """What `warmup` compiles it for: both dtypes, with each optional argument and without."""
        choices = [(k.dtypes[0], None) if k.optional else (k.dtypes[0],) for k in self.kinds]
        for number in FLOATS:
            for dtypes in product(*choices):
                yield (number.name, *dtypes)


def loop(*kinds: Kind, flags: set[str] = FAST) -> Callable[[Callable], Loop]:
    """Mark a function as the loop of the kernel of its name, and say what its arguments are."""
    return lambda function: Loop(function, kinds, flags)


def jit(function: Callable, flags: set[str], **more: Any) -> Any:
    return numba.njit(error_model="numpy", nogil=True, fastmath=flags, **more)(function)


def helper(function: Callable, flags: set[str] = FAST) -> Any:
    """Mark a part of loops that is written once.

    It becomes a part of each loop that calls it. Were it called, the process that compiles would
    run a copy of its own, and those that read what was compiled the one beside the loop: a compiler
    may regroup the sums of the two otherwise.
    """
    return jit(function, flags, forceinline=True)


def inlined(function: Callable) -> Any:
    """Mark a part of loops that is exact as it is written, but for fused products, whatever the
    loop around it allows."""
    return helper(function, EXACT)
