"""Where numbers lie, for parts of loops that are called every few nanoseconds.

A view of an array, or an array that a function is handed, is counted, by instructions that other
cores must see: ten or twenty times the work on a row of 64 numbers. A place is not. Nor does it
keep its array alive: a loop takes the place where it uses it, of an array from before the loop.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

Place = types.CPointer
emitted: Any = intrinsic  # a function that says itself which instructions stand for it


@emitted
def place(typingctx, x, i):
    """Where the number i of a contiguous array lies."""

    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.gep(array.data, [args[1]])

    return Place(x.dtype)(x, types.int64), code


@emitted
def read(typingctx, p, i):
    """The number that lies i numbers behind p."""

    def code(context, builder, signature, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return p.dtype(p, types.int64), code


@emitted
def write(typingctx, p, i, value):
    """Put a number there."""

    def code(context, builder, signature, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(p, types.int64, p.dtype), code
