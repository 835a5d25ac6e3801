"""The softmax of attention's scores, and its way back."""

import numpy as np

from backprop.kernels.compiled.compiler import (
    Array5,
    Integer,
    Matrix,
    Number,
    given,
    helper,
    loop,
    of_bools,
)
from backprop.kernels.compiled.maths import exp, largest

AT_ONCE = 64  # numbers that go side by side: what is left of a row is computed one by one


@loop(Array5, given(of_bools(5)), Integer, Integer, Number)
def softmax_of_seen(s, seen, first, last, even):
    some_blind = False
    n, groups, queries = s.shape[:3]
    masked = not seen.all()
    for a in range(n):
        for b in range(groups):
            for c in range(queries):
                i = a if seen.shape[0] > 1 else 0
                j = b if seen.shape[1] > 1 else 0
                k = c if seen.shape[2] > 1 else 0
                mask = seen[i, j, k]
                some_blind |= softmax_of_head(s[a, b, c], mask, masked, first, last, even)
    return some_blind


@helper
def softmax_of_head(s, seen, masked, first, last, even):
    some_blind = False
    steps, keys = s.shape
    least = s.dtype.type(0.9 * np.log(np.finfo(s.dtype).tiny))  # what is less is 0: see `softmax`
    for t in range(steps):
        row, mask = s[t], seen[t if len(seen) > 1 else 0]
        start = min(max(t + first, 0), keys)
        stop = max(min(t + last, keys), start)
        begin = start // AT_ONCE * AT_ONCE
        end = min((stop + AT_ONCE - 1) // AT_ONCE * AT_ONCE, keys)
        near = row[begin:end]
        if start > begin or stop < end:
            hide_ends(near, start - begin, stop - begin)
        if masked:
            hide(near, mask[begin:end])
        if largest(near) == -np.inf and not mask[start:stop].any():
            row[:] = even
            some_blind = True
        else:
            nothing = softmax(near, least)
            for j in range(begin):
                row[j] = nothing
            for j in range(end, keys):
                row[j] = nothing
    return some_blind


@helper
def hide_ends(s, start, stop):
    """-inf in front of start and from stop on, in one loop, whose length does not change from row
    to row."""
    nothing = s.dtype.type(-np.inf)
    a, b = np.int32(start), np.int32(stop)
    for j in range(s.size):
        i = np.int32(j)
        s[j] = s[j] if a <= i and i < b else nothing


@helper
def hide(s, seen):
    nothing = s.dtype.type(-np.inf)
    for j in range(s.size):
        s[j] = s[j] if seen[j] else nothing


@helper
def softmax(s, least):
    """s ← softmax(s), where what is more than -least below the largest is 0: processors are slow
    at numbers near the end of their range. Returns what keys have that are not seen: 0, or NaN
    where all are NaN."""
    of = s.dtype.type
    top = largest(s)
    total = of(0)
    for j in range(s.size):
        z = s[j] - top
        e = exp(least if z < least else z)
        e = of(0) if z < least else e
        s[j] = e
        total += e
    r = of(1) / total
    for j in range(s.size):
        s[j] *= r
    return of(0) * r


@loop(Matrix, given(Matrix))
def softmax_of_seen_backward(d, p):
    for i in range(len(d)):
        row, weights = d[i], p[i]
        for _ in range(2):
            mean = d.dtype.type(0)
            for j in range(row.size):
                mean += weights[j] * row[j]
            for j in range(row.size):
                row[j] -= mean
        for j in range(row.size):
            row[j] *= weights[j]
