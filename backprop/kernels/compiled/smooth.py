"""Activations that need an exponential, with their slopes.

Values are made by functions that are exact as written, so that they are the same, with a slope
beside them or without.
"""

import math

from backprop.kernels.compiled.compiler import Matrix, Vector, given, inlined, loop, optional
from backprop.kernels.compiled.maths import exp, tail

BELL = 1 / math.sqrt(2 * math.pi)
K = math.sqrt(8 / math.pi)


@inlined
def of_gelu(x, of):
    """y, q = Φ(-|x|) and |x| φ(x)."""
    a = min(abs(x), of(40)) if x == x else x
    bell = exp(of(-0.5) * (a * a))
    q = tail(a) * bell
    return (of(0) if x < of(0) else x) - a * q, q, of(BELL) * (a * bell)


@loop(given(Matrix), optional(given(Vector)), Matrix, optional(Matrix))
def gelu(z, bias, y, slope):
    of = z.dtype.type
    for i in range(len(z)):
        row, out = z[i], y[i]
        for j in range(row.size):
            x = row[j] if bias is None else row[j] + bias[j]
            out[j], q, bend = of_gelu(x, of)
            if slope is not None:
                slope[i][j] = of(1) - q + bend if x > of(0) else q - bend


@inlined
def of_gelu_by_tanh(x, of):
    """y, h and x h (1 - h) v'(x)."""
    c = min(max(x, of(-22)), of(9)) if x == x else x
    c2 = c * c
    e = exp(c * (of(K) + of(K * 0.044715) * c2))
    r = of(1) / (of(1) + e)
    h = e * r
    return max(x, c) * h, h, c * (of(K) + of(3 * K * 0.044715) * c2) * (h * r)


@loop(given(Matrix), optional(given(Vector)), Matrix, optional(Matrix))
def gelu_by_tanh(z, bias, y, slope):
    of = z.dtype.type
    for i in range(len(z)):
        row, out = z[i], y[i]
        for j in range(row.size):
            x = row[j] if bias is None else row[j] + bias[j]
            out[j], h, bend = of_gelu_by_tanh(x, of)
            if slope is not None:
                slope[i][j] = h + bend


@loop(given(Matrix), given(Matrix), Matrix, optional(Vector))
def along_slope(slope, dy, dz, dbias):
    if dbias is not None:
        dbias[:] = 0
    for i in range(len(dy)):
        s, d, out = slope[i], dy[i], dz[i]
        for j in range(out.size):
            out[j] = s[j] * d[j]
            if dbias is not None:
                dbias[j] += out[j]
