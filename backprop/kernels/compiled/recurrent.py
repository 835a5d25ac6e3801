"""Many steps of a recurrent layer, one after the other, without Python between them.

The products are those of SciPy's BLAS, which `np.dot` calls. What is done to their results is cut
into passes over few arrays, which the compiler can tell apart: they stay in the cache.
"""

import numpy as np

from backprop.kernels.compiled.compiler import (
    Cube,
    Integer,
    Matrix,
    Vector,
    given,
    helper,
    loop,
    of_bools,
    optional,
)
from backprop.kernels.compiled.maths import sigmoid, tanh

Held, Dys = optional(given(of_bools(2))), optional(given(Matrix))


@helper
def multiply(w, v, out):
    """out = w v, a stripe of w after the other. w: (stripes, rows, m)    v: (m·N,)"""
    stripes, rows, m = w.shape
    columns = v.reshape(m, v.size // m)
    n = out.size // stripes
    for i in range(stripes):
        np.dot(w[i], columns, out[i * n : (i + 1) * n].reshape(rows, columns.shape[1]))


@helper
def mix_rows(w, v, out):
    """out = v w, which reads w row by row, four at a time. w: (m, rows)    v: (m,)"""
    out[:] = 0
    whole = v.size // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = w[k], w[k + 1], w[k + 2], w[k + 3]
        p, q, r, s = v[k], v[k + 1], v[k + 2], v[k + 3]
        for j in range(out.size):
            out[j] += p * a[j] + q * b[j] + r * c[j] + s * d[j]
    for k in range(whole, v.size):
        a, p = w[k], v[k]
        for j in range(out.size):
            out[j] += p * a[j]


@helper
def see(w, v, out):
    """What v adds to z: w v, or of one sequence, whose w has a column for each number of z, v w."""
    if w.shape[2] == out.size:
        mix_rows(w[0], v, out)
    else:
        multiply(w, v, out)


@helper
def hold(held, new, old):
    """new = old where a step is masked. held: (N,)    new, old: (units·N,)"""
    n = held.size
    for begin in range(0, new.size, n):
        a, b = new[begin : begin + n], old[begin : begin + n]
        for j in range(n):
            if held[j]:
                a[j] = b[j]


@helper
def clear(held, a):
    """a = 0 where a step is masked."""
    n = held.size
    for begin in range(0, a.size, n):
        row = a[begin : begin + n]
        for j in range(n):
            if held[j]:
                row[j] = 0


@helper
def add(a, b):
    for j in range(a.size):
        a[j] += b[j]


@helper
def gates(z, by_h):
    """z = σ(z + by_h)"""
    for j in range(z.size):
        z[j] = sigmoid(z[j] + by_h[j])


@helper
def squash(z, by_h):
    """z = tanh(z + by_h)"""
    for j in range(z.size):
        z[j] = tanh(z[j] + by_h[j])


@helper
def remember(c, f, c_before, i, g):
    """c = f c₋ + i g"""
    for j in range(c.size):
        c[j] = f[j] * c_before[j] + i[j] * g[j]


@helper
def show(h, s, o, c):
    """s = tanh(c), h = o s"""
    for j in range(c.size):
        s[j] = tanh(c[j])
        h[j] = o[j] * s[j]


@loop(Cube, Matrix, Matrix, Matrix, given(Cube), Held, Vector, Integer, Integer)
def lstm(z, v, c, s, w, held, room, start, stop):
    n = c.shape[1]
    first = v.shape[1] - n
    for t in range(start, stop):
        k = t % len(z)
        h = v[t + 1][first:]
        see(w, v[t][first:], room)
        gates(z[k, :3].reshape(3 * n), room[: 3 * n])
        squash(z[k, 3], room[3 * n :])
        remember(c[t + 1], z[k, 2], c[t], z[k, 1], z[k, 3])
        show(h, s[k], z[k, 0], c[t + 1])
        if held is not None:
            hold(held[t], h, v[t][first:])
            hold(held[t], c[t + 1], c[t])
    return True


@helper
def back_to_c(do, dc, dh, s, o):
    """do = dh s σ'        dc += dh o tanh'"""
    for j in range(do.size):
        a, b, d = s[j], o[j], dh[j]
        dc[j] += d * b * (1 - a * a)
        do[j] = d * a * (b * (1 - b))


@helper
def back_to_gate(dgate, dc, other, gate):
    """dgate = dc other σ'"""
    for j in range(dgate.size):
        a = gate[j]
        dgate[j] = dc[j] * other[j] * (a * (1 - a))


@helper
def back_to_g(dg, dc, i, g):
    """dg = dc i tanh'"""
    for j in range(dg.size):
        a = g[j]
        dg[j] = dc[j] * i[j] * (1 - a * a)


@helper
def scale(a, b):
    for j in range(a.size):
        a[j] *= b[j]


@loop(Cube, Cube, Matrix, Matrix, given(Cube), Held, Dys, Vector, Vector, Integer, Integer)
def lstm_back(z, dz, c, s, kernel, held, dys, dh, dc, start, stop):
    passing_h, passing_c = np.empty_like(dh), np.empty_like(dc)
    for t in range(stop - 1, start - 1, -1):
        if dys is not None:
            add(dh, dys[t])
        if held is not None:
            passing_h[:] = dh
            passing_c[:] = dc
            clear(held[t], dh)
            clear(held[t], dc)
        back_to_c(dz[t, 0], dc, dh, s[t], z[t, 0])
        back_to_gate(dz[t, 1], dc, z[t, 3], z[t, 1])
        back_to_gate(dz[t, 2], dc, c[t], z[t, 2])
        back_to_g(dz[t, 3], dc, z[t, 1], z[t, 3])
        scale(dc, z[t, 2])
        multiply(kernel, dz[t].reshape(dz[t].size), dh)
        if held is not None:
            hold(held[t], dh, passing_h)
            hold(held[t], dc, passing_c)
    return True


@helper
def reset(g, r, w):
    """g = tanh(g + r w)"""
    for j in range(g.size):
        g[j] = tanh(g[j] + r[j] * w[j])


@helper
def mix(h, h_before, u, g):
    """h = u h₋ + (1 - u) g = g + u (h₋ - g)"""
    for j in range(h.size):
        h[j] = g[j] + u[j] * (h_before[j] - g[j])


@loop(Cube, Matrix, given(Cube), Held, Vector, Integer, Integer)
def gru(z, v, w, held, room, start, stop):
    n = z.shape[2]
    first = v.shape[1] - n
    batch = 3 * n // (w.shape[0] * w.shape[1])
    m = w.shape[1] if w.shape[2] == room.size else w.shape[2] * batch
    seen = v.shape[1] - m  # where the 1 for the bias stands
    for t in range(start, stop):
        k = t % len(z)
        h, h_before = v[t + 1][first:], v[t][first:]
        see(w, v[t][seen:], room)
        gates(z[k, 1:3].reshape(2 * n), room[: 2 * n])
        z[k, 3][:] = room[2 * n :]
        reset(z[k, 0], z[k, 2], z[k, 3])
        mix(h, h_before, z[k, 1], z[k, 0])
        if held is not None:
            hold(held[t], h, h_before)
    return True


@helper
def back_to_mix(dg, du, dh, h_before, g, u):
    """dg = dh (1 - u) tanh'        du = dh (h₋ - g) σ'"""
    for j in range(dg.size):
        a, b, d = g[j], u[j], dh[j]
        dg[j] = d * (1 - b) * (1 - a * a)
        du[j] = d * (h_before[j] - a) * (b * (1 - b))


@helper
def back_to_reset(dr, dw, dg, r, w):
    """dr = dg w σ'        dw = dg r"""
    for j in range(dr.size):
        a, d = r[j], dg[j]
        dr[j] = d * w[j] * (a * (1 - a))
        dw[j] = d * a


@loop(Cube, Cube, Matrix, given(Cube), Held, Dys, Vector, Vector, Integer, Integer)
def gru_back(z, dz, v, kernel, held, dys, dh, room, start, stop):
    n = dh.size
    first = v.shape[1] - n
    passing = np.empty_like(dh)
    for t in range(stop - 1, start - 1, -1):
        if dys is not None:
            add(dh, dys[t])
        if held is not None:
            passing[:] = dh
            clear(held[t], dh)
        back_to_mix(dz[t, 0], dz[t, 1], dh, v[t][first:], z[t, 0], z[t, 1])
        back_to_reset(dz[t, 2], dz[t, 3], dz[t, 0], z[t, 2], z[t, 3])
        multiply(kernel, dz[t, 1:].reshape(3 * n), room)
        scale(dh, z[t, 1])
        add(dh, room)
        if held is not None:
            hold(held[t], dh, passing)
    return True
