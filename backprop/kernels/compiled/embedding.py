"""Rows of a table, and what comes back to them."""

from backprop.kernels.compiled.compiler import Matrix, given, loop, of_integers


@loop(given(of_integers(1)), given(Matrix), Matrix)
def sum_at(ids, dy, out):
    out[:] = 0
    each = ids.size // max(len(dy), 1)
    for t in range(len(dy)):
        d = dy[t]
        for k in ids[t * each : (t + 1) * each]:
            row = out[k]
            for j in range(row.size):
                row[j] += d[j]
