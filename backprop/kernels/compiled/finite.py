"""Whether there is NaN or infinity in a vector."""

from backprop.kernels.compiled.compiler import Vector, given, loop


@loop(given(Vector))
def times_zero(g):
    zero = g.dtype.type(0)
    total = zero
    for i in range(g.size):
        total += zero * g[i]
    return total
