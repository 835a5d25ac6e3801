"""Functions of one number that a loop around them can be vectorised with.

Calls of the system's library are made number by number; these are arithmetic alone, and eight or
sixteen go side by side. Each has a form for float32 and one for float64, and takes the one of its
argument. NaN stays NaN, infinity goes where it goes in NumPy.
"""

import numpy as np
from numba import types
from numba.extending import overload

from backprop.kernels.compiled.compiler import helper, inlined

f32, i32, i64 = np.float32, np.int32, np.int64


def by_dtype(name: str, of_float32, of_float64):
    """A function for loops that takes the form of its argument's dtype, or of the one with as many
    bits."""

    def function(x):
        raise NotImplementedError(name)

    @overload(function)
    def choose(x):
        if x in (types.float32, types.int32):
            return lambda x: of_float32(x)
        if x in (types.float64, types.int64):
            return lambda x: of_float64(x)

    return function


@inlined
def exp_float32(x):
    """2^n e^r with n = rint(x / log 2), so |r| ≤ log(2) / 2, where a polynomial is near. log 2 in
    two parts, so that no digit of r is lost. Error: 1 unit in the last place."""
    c = min(max(x, f32(-104)), f32(89)) if x == x else x
    n = np.rint(c * f32(1.44269504))
    r = c - n * f32(0.693359375) + n * f32(2.12194440e-4)
    p = f32(1 / 5040) * r + f32(1 / 720)
    p = p * r + f32(1 / 120)
    p = p * r + f32(1 / 24)
    p = p * r + f32(1 / 6)
    p = p * r + f32(0.5)
    p = p * (r * r) + (r + f32(1))
    # in two steps, as 2^n may be no normal number where the result is one
    k = i32(n)
    half = i32(k >> i32(1))
    a = i32(i32(half + i32(127)) << i32(23)).view(f32)
    b = i32(i32(i32(k - half) + i32(127)) << i32(23)).view(f32)
    return p * a * b


@inlined
def exp_float64(x):
    """The same, with more terms. Error: 1 unit in the last place."""
    c = min(max(x, -746.0), 710.0) if x == x else x
    n = np.rint(c * 1.4426950408889634)
    r = c - n * 6.93147180369123816490e-01 - n * 1.90821492927058770002e-10
    p = 1 / 6227020800 * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * (r * r) + (r + 1)
    k = i64(n)
    half = k >> 1
    a = i64((half + 1023) << 52).view(np.float64)
    b = i64((k - half + 1023) << 52).view(np.float64)
    return p * a * b


exp = by_dtype("exp", exp_float32, exp_float64)


@inlined
def sigmoid(x):
    """1 / (1 + e^-x) as e / (1 + e) with e = e^x, which is as near far below 0 as elsewhere. From
    40 on it is 1 in every digit, and e need not grow further."""
    e = exp(min(x, f32(40)) if x == x else x)
    return e / (f32(1) + e)


@inlined
def tanh_float32(x):
    """1 - 2 / (e^2x + 1) for x > 0, of which -x has the opposite; near 0, where that would cancel,
    x + x³ P(x²). Error: 2 units in the last place, half of one from 2 on."""
    s, a = x * x, abs(x)
    p = f32(-5.716981058e-3) * s + f32(2.065053278e-2)
    p = p * s + f32(-5.374348230e-2)
    p = p * s + f32(1.333149111e-1)
    p = p * s + f32(-3.333328392e-1)
    near = x + x * (s * p)
    # e^2x as in exp, but for 0 to 20, from where on the result is 1
    c = min(a, f32(10)) if x == x else x
    n = np.rint(c * f32(2.88539008))
    r = f32(2) * c - n * f32(0.693359375) + n * f32(2.12194440e-4)
    e = f32(1 / 720) * r + f32(1 / 120)
    e = e * r + f32(1 / 24)
    e = e * r + f32(1 / 6)
    e = e * r + f32(0.5)
    e = e * (r * r) + (r + f32(1))
    e *= i32(i32(i32(n) + i32(127)) << i32(23)).view(f32)
    far = f32(1) - f32(2) / (e + f32(1))
    return near if a < f32(0.625) else np.copysign(far, x)


@inlined
def tanh_float64(x):
    """The same with P(x²) / Q(x²). Error: 2 units in the last place, half of one from 2 on."""
    s, a = x * x, abs(x)
    p = (-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s - 1.61468768441708447952e3
    q = ((s + 1.12811678491631932402e2) * s + 2.23548839060100448583e3) * s
    near = x + x * s * (p / (q + 4.84406305325125486048e3))
    far = 1 - 2 / (exp_float64(2 * a) + 1)
    return near if a < 0.625 else np.copysign(far, x)


tanh = by_dtype("tanh", tanh_float32, tanh_float64)


@inlined
def tail_float32(a):
    """t P(u), where t = 1 / (1 + 0.35 a), and u goes from -1 to 1 where a float32 can tell the tail
    from 0. Error: 3 units in the last place."""
    t = f32(1) / (f32(1) + f32(0.35) * a)
    u = f32(1 / 0.425) * t - f32(0.575 / 0.425)
    p = f32(-3.173448617e-05) * u + f32(2.498371495e-05)
    p = p * u + f32(0.0003193331595)
    p = p * u - f32(0.0004678316676)
    p = p * u - f32(0.003221819157)
    p = p * u + f32(0.00419078484)
    p = p * u + f32(0.0541593695)
    p = p * u + f32(0.1644266986)
    p = p * u + f32(0.2806001965)
    return t * p


@inlined
def tail_float64(a):
    """The same with t = 1 / (1 + 0.2 a), and more terms. Error: 4 units in the last place."""
    t = 1 / (1 + 0.2 * a)
    u = 1 / 0.45 * t - 0.55 / 0.45
    p = -4.617228804750604e-11 * u + 6.975396848415303e-11
    p = p * u + 5.610963205630295e-10
    p = p * u - 1.0395063092801582e-09
    p = p * u - 4.587493493299523e-09
    p = p * u + 1.0044909407498924e-08
    p = p * u + 3.8016440564249816e-08
    p = p * u - 8.194197586461192e-08
    p = p * u - 3.6996390345917935e-07
    p = p * u + 5.204428697704006e-07
    p = p * u + 4.1254393394419886e-06
    p = p * u + 3.4664559087699074e-07
    p = p * u - 4.4442809943709695e-05
    p = p * u - 0.00011243978784950096
    p = p * u + 0.00020600812226004062
    p = p * u + 0.0024042660017213236
    p = p * u + 0.009704421618697978
    p = p * u + 0.02661107893839427
    p = p * u + 0.05640696577570323
    p = p * u + 0.09719834245036402
    p = p * u + 0.13941819531683955
    p = p * u + 0.16820302073286386
    return t * p


# Φ(-a) exp(a²/2) for a ≥ 0: the tail of the normal distribution in units of its bell
tail = by_dtype("tail", tail_float32, tail_float64)


@inlined
def place_float32(x):
    """An integer that is the greater the greater x is. The largest of integers is found side by
    side, which the largest of numbers that may be NaN is not."""
    return turned_float32(f32(x).view(i32))


@inlined
def place_float64(x):
    return turned_float64(np.float64(x).view(i64))


@inlined
def turned_float32(b):
    """The bits of a number, of which negative ones are turned around; or back again."""
    return i32(b ^ i32(i32(b >> i32(31)) & i32(0x7FFFFFFF)))


@inlined
def turned_float64(b):
    return i64(b ^ i64(i64(b >> i64(63)) & i64(0x7FFFFFFFFFFFFFFF)))


@inlined
def at_place_float32(k):
    return i32(turned_float32(k)).view(f32)


@inlined
def at_place_float64(k):
    return i64(turned_float64(k)).view(np.float64)


place = by_dtype("place", place_float32, place_float64)
at_place = by_dtype("at_place", at_place_float32, at_place_float64)


@helper
def largest(row):
    """max(row), or -inf of no numbers. NaN is passed over, or is the largest: by its sign."""
    top = place(row.dtype.type(-np.inf))
    for j in range(row.size):
        k = place(row[j])
        top = k if k > top else top
    return at_place(top)
