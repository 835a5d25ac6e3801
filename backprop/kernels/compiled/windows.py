"""Windows side by side, and the way back.

What a window sees of a row of x lies there in one piece, if its columns lie next to each other."""

import numpy as np

from backprop.kernels.compiled.compiler import (
    EXACT,
    Array4,
    Cube,
    Integer,
    Kind,
    given,
    helper,
    inlined,
    loop,
)

Patches = Kind(6)
PLACES = (Integer,) * 6


@helper
def stretches(w, dilation):
    """How many pieces a row of a window is, and of how many pixels each."""
    return (1, w) if dilation == 1 else (w, 1)


@helper
def seen(first, pixels, width):
    """From which of its pixels on a piece lies within a row, and up to which."""
    low = min(max(-first, 0), pixels)
    return low, max(min(width - first, pixels), low)


@loop(given(Array4), Patches, *PLACES, flags=EXACT)
def gather(x, P, first_row, first_column, row_stride, column_stride, row_dilation, column_dilation):
    n, height, width, c = x.shape
    _, rows, columns, h, w, _ = P.shape
    from_, to_ = x.reshape(-1), P.reshape(-1)
    pieces, pixels = stretches(w, column_dilation)
    to = 0
    for image in range(n):
        for i in range(rows):
            for j in range(columns):
                for u in range(h):
                    row = first_row + i * row_stride + u * row_dilation
                    for v in range(pieces):
                        column = first_column + j * column_stride + v * column_dilation
                        low, high = seen(column, pixels, width)
                        if not 0 <= row < height:
                            low = high = pixels
                        at = ((image * height + row) * width + column) * c
                        start, stop, end = low * c, high * c, pixels * c
                        if start:
                            to_[to : to + start] = 0
                        a, b = from_[at + start : at + stop], to_[to + start : to + stop]
                        for k in range(b.size):
                            b[k] = a[k]
                        if stop < end:
                            to_[to + stop : to + end] = 0
                        to += end


@loop(given(Patches), Array4, *PLACES, flags=EXACT)
def scatter(
    P, x, first_row, first_column, row_stride, column_stride, row_dilation, column_dilation
):
    n, height, width, c = x.shape
    _, rows, columns, h, w, _ = P.shape
    from_, to_ = P.reshape(-1), x.reshape(-1)
    pieces, pixels = stretches(w, column_dilation)
    at, size = 0, height * width * c
    for image in range(n):
        to_[image * size : (image + 1) * size] = 0
        for i in range(rows):
            for j in range(columns):
                for u in range(h):
                    row = first_row + i * row_stride + u * row_dilation
                    for v in range(pieces):
                        column = first_column + j * column_stride + v * column_dilation
                        low, high = seen(column, pixels, width)
                        if 0 <= row < height:
                            to = ((image * height + row) * width + column) * c
                            a = from_[at + low * c : at + high * c]
                            b = to_[to + low * c : to + high * c]
                            for k in range(b.size):
                                b[k] += a[k]
                        at += pixels * c


# ---------------------------------------------------------------------------- a kernel per channel
#
# The sums go over stretches of a row, some pixels with all of their channels, so that few channels
# are no short loop. For that the weights stand in a row once for each of the pixels, and what a
# window sees of a row of x is copied to a line: with zeros around it, and with every stride-th
# pixel next to each other.

STRETCH = 1024  # numbers; all weights of them stay in the nearest cache


@helper
def pixels_at_once(z):
    return max(min(STRETCH // z.shape[3], z.shape[2]), 1)


@helper
def repeated(K, pixels):
    """(h, w, C) → (places, pixels * C)"""
    h, w, c = K.shape
    weights = np.empty((h * w, pixels * c), K.dtype)
    for place in range(h * w):
        for k in range(pixels * c):
            weights[place, k] = K[place // w, place % w, k % c]
    return weights


@helper
def lines(x, h, w, columns, row_dilation, column_stride, column_dilation):
    """Memory for the lines that a row of windows sees; none of them is filled."""
    span = max((columns - 1) * column_stride + (w - 1) * column_dilation + 1, 0)
    length = -(-span // column_stride) * column_stride * x.shape[3]
    count = (h - 1) * row_dilation + 1
    return np.empty((count, length), x.dtype), np.full(count, -1, np.int64)


@helper
def place_of(pixel, stride, line, c):
    """Where a pixel lies in a line."""
    return (pixel % stride * (line // c // stride) + pixel // stride) * c


@helper
def offsets(w, dilation, stride, line, c):
    """Where the pixels begin in a line that the first, second ... place of each window sees."""
    return np.array([place_of(v * dilation, stride, line, c) for v in range(w)])


@helper
def fill(line, x, inside, first, stride, c):
    """line ← a row of x from its pixel `first` on; zeros beside it, and if it is not inside."""
    width, pixels = x.size // c, line.size // c
    if stride == 1:
        low, high = seen(first, pixels, width if inside else -pixels)
        line[: low * c] = 0
        line[high * c :] = 0
        if low < high:
            copy(x[(first + low) * c : (first + high) * c], line[low * c : high * c])
        return
    for pixel in range(pixels):
        to = place_of(pixel, stride, line.size, c)
        at = first + pixel
        if inside and 0 <= at < width:
            copy(x[at * c : at * c + c], line[to : to + c])
        else:
            line[to : to + c] = 0


@helper
def see(line, x, image, row, first_column, stride):
    """line ← a row of an image, or zeros for a row outside of it."""
    _, height, width, c = x.shape
    inside = 0 <= row < height
    start = (image * height + (row if inside else 0)) * width * c
    fill(line, x.reshape(-1)[start : start + width * c], inside, first_column, stride, c)


@helper
def drain(line, x, first, stride, c):
    """The way back of `fill`, for a row inside of x."""
    x[:] = 0
    for pixel in range(line.size // c):
        at, to = place_of(pixel, stride, line.size, c), first + pixel
        if 0 <= to < x.size // c:
            copy(line[at : at + c], x[to * c : to * c + c])


@inlined
def copy(x, y):
    for k in range(y.size):
        y[k] = x[k]


@inlined
def add_one(x, w, y):
    for k in range(y.size):
        y[k] += w[k] * x[k]


@inlined
def add_three(x0, x1, x2, w0, w1, w2, y):
    for k in range(y.size):
        y[k] += w0[k] * x0[k] + w1[k] * x1[k] + w2[k] * x2[k]


@inlined
def add_to_three(x0, x1, x2, d, t0, t1, t2):
    for k in range(d.size):
        t0[k] += x0[k] * d[k]
        t1[k] += x1[k] * d[k]
        t2[k] += x2[k] * d[k]


@loop(given(Array4), given(Cube), Array4, *PLACES, flags=EXACT)
def depthwise(
    x, K, z, first_row, first_column, row_stride, column_stride, row_dilation, column_dilation
):
    (h, w, c), (n, rows, columns, _) = K.shape, z.shape
    weights = repeated(K, pixels_at_once(z))
    step, size, sums = weights.shape[1], columns * c, z.reshape(-1)
    held, known = lines(x, h, w, columns, row_dilation, column_stride, column_dilation)
    begin = offsets(w, column_dilation, column_stride, held.shape[1], c)
    for image in range(n):
        known[:] = -1
        for i in range(rows):
            to = (image * rows + i) * size
            sums[to : to + size] = 0
            for u in range(h):
                at = i * row_stride + u * row_dilation
                line = held[at % len(held)]
                if known[at % len(held)] != at:
                    known[at % len(held)] = at
                    see(line, x, image, first_row + at, first_column, column_stride)
                for start in range(0, size, step):
                    m = min(step, size - start)
                    y = sums[to + start : to + start + m]
                    v = 0
                    while v < w:
                        x0, w0 = line[start + begin[v] :][:m], weights[u * w + v][:m]
                        if v + 3 > w:
                            add_one(x0, w0, y)
                            v += 1
                            continue
                        x1, w1 = line[start + begin[v + 1] :][:m], weights[u * w + v + 1][:m]
                        x2, w2 = line[start + begin[v + 2] :][:m], weights[u * w + v + 2][:m]
                        add_three(x0, x1, x2, w0, w1, w2, y)
                        v += 3


@loop(given(Array4), given(Array4), Cube, *PLACES, flags=EXACT)
def depthwise_kernel(
    x, dz, dK, first_row, first_column, row_stride, column_stride, row_dilation, column_dilation
):
    (h, w, c), (n, rows, columns, _) = dK.shape, dz.shape
    totals = np.zeros((h * w, pixels_at_once(dz) * c), x.dtype)
    step, size, sums = totals.shape[1], columns * c, dz.reshape(-1)
    held, known = lines(x, h, w, columns, row_dilation, column_stride, column_dilation)
    begin = offsets(w, column_dilation, column_stride, held.shape[1], c)
    for image in range(n):
        known[:] = -1
        for i in range(rows):
            to = (image * rows + i) * size
            for u in range(h):
                at = i * row_stride + u * row_dilation
                line = held[at % len(held)]
                if known[at % len(held)] != at:
                    known[at % len(held)] = at
                    see(line, x, image, first_row + at, first_column, column_stride)
                for start in range(0, size, step):
                    m = min(step, size - start)
                    d = sums[to + start : to + start + m]
                    v = 0
                    while v < w:
                        x0, t0 = line[start + begin[v] :][:m], totals[u * w + v][:m]
                        if v + 3 > w:
                            add_one(x0, d, t0)
                            v += 1
                            continue
                        x1, t1 = line[start + begin[v + 1] :][:m], totals[u * w + v + 1][:m]
                        x2, t2 = line[start + begin[v + 2] :][:m], totals[u * w + v + 2][:m]
                        add_to_three(x0, x1, x2, d, t0, t1, t2)
                        v += 3
    dK[...] = 0
    for place in range(h * w):
        for k in range(step):
            dK[place // w, place % w, k % c] += totals[place, k]


@loop(given(Array4), given(Cube), Array4, *PLACES, flags=EXACT)
def depthwise_input(
    dz, K, dx, first_row, first_column, row_stride, column_stride, row_dilation, column_dilation
):
    (h, w, c), (n, height, width, _) = K.shape, dx.shape
    _, rows, columns, _ = dz.shape
    weights = repeated(K, pixels_at_once(dz))
    step, size = weights.shape[1], columns * c
    one_line, _ = lines(dx, 1, w, columns, 1, column_stride, column_dilation)
    line, sums, pixels = one_line[0], dz.reshape(-1), dx.reshape(-1)
    begin = offsets(w, column_dilation, column_stride, line.size, c)
    for image in range(n):
        for row in range(height):
            line[:] = 0
            for u in range(h):
                at = row - first_row - u * row_dilation
                if at % row_stride == 0 and 0 <= at // row_stride < rows:
                    start_of_row = (image * rows + at // row_stride) * size
                    for start in range(0, size, step):
                        m = min(step, size - start)
                        d = sums[start_of_row + start : start_of_row + start + m]
                        for v in range(w):
                            add_one(weights[u * w + v][:m], d, line[start + begin[v] :][:m])
            to = (image * height + row) * width * c
            drain(line, pixels[to : to + width * c], first_column, column_stride, c)
