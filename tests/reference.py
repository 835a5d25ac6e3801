"""Naive versions of layers, in loops that follow the formula; the fast ones must agree."""

from itertools import product

import numpy as np


def margins(n, size, stride, dilation):
    """Pixels before and behind an axis of n pixels under padding="same"."""
    windows = -(-n // stride)
    total = max((windows - 1) * stride + dilation * (size - 1) + 1 - n, 0)
    return windows, total // 2


def places(n, size, stride, padding, dilation=1):
    """For each window along an axis, its pixels inside the image: (place in window, in image)."""
    if padding == "same":
        windows, before = margins(n, size, stride, dilation)
    elif padding == "causal":
        windows, before = -(-n // stride), dilation * (size - 1)
    else:
        windows, before = (n - dilation * (size - 1) - 1) // stride + 1, 0
    found = []
    for i in range(windows):
        at = [(u, i * stride + u * dilation - before) for u in range(size)]
        found.append([(u, p) for u, p in at if 0 <= p < n])
    return found


def windows_of(sizes, size, strides, padding, dilation):
    """Of each window its index and its pixels inside the image, as (place in window, in image)."""
    axes = [
        places(*numbers, padding, d)
        for *numbers, d in zip(sizes, size, strides, dilation, strict=True)
    ]
    for window in np.ndindex(*map(len, axes)):
        along = [axis[i] for axis, i in zip(axes, window, strict=True)]
        yield window, [tuple(zip(*pairs, strict=True)) for pairs in product(*along)]


def einsum(x, kernel, equation):
    """The sum that an equation says, number by number."""
    ins, out = equation.split("->")
    of_x, of_k = ins.split(",")
    more = "".join(chr(ord("A") + i) for i in range(x.ndim - len(of_x.replace("...", ""))))
    of_x, out = of_x.replace("...", more), out.replace("...", more)
    sizes = dict(zip(of_x + of_k, x.shape + kernel.shape, strict=True))
    letters = list(sizes)
    y = np.zeros([sizes[a] for a in out])
    for place in np.ndindex(*sizes.values()):
        at = dict(zip(letters, place, strict=True))
        i, j, k = (tuple(at[a] for a in labels) for labels in (of_x, of_k, out))
        y[k] += x[i] * kernel[j]
    return y


def convolution(x, kernel, bias, strides, padding, dilation, groups):
    """Channels last, along any number of axes."""
    *size, c, filters = kernel.shape
    windows = list(windows_of(x.shape[1:-1], size, strides, padding, dilation))
    y = np.zeros((len(x), *(i + 1 for i in windows[-1][0]), filters))
    for n in range(len(x)):
        for window, pixels in windows:
            for f in range(filters):
                group = f // (filters // groups)
                y[n][window][f] = bias[f]
                for place, pixel in pixels:
                    for k in range(c):
                        y[n][window][f] += x[n][pixel][group * c + k] * kernel[place][k, f]
    return y


def depthwise_convolution(x, kernel, bias, strides, padding, dilation):
    """Channels last, along any number of axes."""
    *size, channels, m = kernel.shape
    windows = list(windows_of(x.shape[1:-1], size, strides, padding, dilation))
    y = np.zeros((len(x), *(i + 1 for i in windows[-1][0]), channels * m))
    for n in range(len(x)):
        for window, pixels in windows:
            for c in range(channels):
                for j in range(m):
                    y[n][window][c * m + j] = bias[c * m + j] + sum(
                        x[n][pixel][c] * kernel[place][c, j] for place, pixel in pixels
                    )
    return y


def separable_convolution(x, depthwise, pointwise, bias, strides, padding, dilation):
    """Channels last, along any number of axes."""
    h = depthwise_convolution(x, depthwise, np.zeros(x.shape[-1] * depthwise.shape[-1]), strides,
                              padding, dilation)  # fmt: skip
    return dense(h, pointwise.reshape(pointwise.shape[-2:]), bias)


def transposed_convolution(x, kernel, bias, strides, padding, output_padding, dilation):
    """Channels last, along any number of axes: all windows in full, then what Keras keeps."""
    *size, filters, channels = kernel.shape
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    room = [
        (n - 1) * s + 2 * span + s for n, s, span in zip(x.shape[1:-1], strides, spans, strict=True)
    ]
    y = np.zeros((len(x), *room, filters))
    for n, *pixel in np.ndindex(x.shape[:-1]):
        for place in np.ndindex(*size):
            at = tuple(
                i * s + u * d for i, s, u, d in zip(pixel, strides, place, dilation, strict=True)
            )
            for f in range(filters):
                for c in range(channels):
                    y[n][at][f] += x[(n, *pixel)][c] * kernel[place][f, c]
    kept = []
    for axis, (n, s, span) in enumerate(zip(x.shape[1:-1], strides, spans, strict=True)):
        more = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            first, length = 0, (n - 1) * s + (max(span, s) if more is None else span + more)
        else:
            length = n * s if more is None else (n - 1) * s + span % 2 + more
            first = max((n - 1) * s + span - length, 0) // 2
        kept.append(slice(first, first + length))
    return y[:, *kept] + bias


def pool(x, windows, of_window):
    """`windows` has for each axis the pixels of every window along it, `of_window` makes one number
    of the list of a window's pixels, row by row. Channels last, any number of axes."""
    y = np.zeros((len(x), *map(len, windows), x.shape[-1]))
    for n in range(len(x)):
        for place in np.ndindex(y.shape[1:-1]):
            box = [along[i] for along, i in zip(windows, place, strict=True)]
            for c in range(x.shape[-1]):
                y[(n, *place, c)] = of_window([x[(n, *pixel, c)] for pixel in product(*box)])
    return y


def pool_real(x, mask, windows, of_window):
    """Of sequences: `of_window` of the real steps of each window, and 0 where it has none."""
    y = np.zeros((len(x), len(windows), x.shape[-1]))
    for n, i, c in np.ndindex(y.shape):
        real = [x[n, t, c] for t in windows[i] if mask[n, t]]
        y[n, i, c] = of_window(real) if real else 0
    return y


def moved_forward(x, mask, stride):
    """Each sequence moved forward, so that the padding in front of it is whole strides long."""
    return np.array(
        [np.roll(row, -(real.argmax() % stride), 0) for row, real in zip(x, mask, strict=True)]
    ).reshape(x.shape)


def real_windows(mask, windows):
    """Which windows lie between the first real step and the last, and see one."""
    y = np.zeros((len(mask), len(windows)), bool)
    for n, i in np.ndindex(y.shape):
        real = np.flatnonzero(mask[n])
        y[n, i] = len(real) and real[0] <= min(windows[i]) and max(windows[i]) <= real[-1]
        y[n, i] &= any(mask[n, t] for t in windows[i])
    return y


def sliding(sizes, pool_size, strides, padding):
    """The pixels of each window along each axis."""
    found = []
    for n, size, stride in zip(sizes, pool_size, strides, strict=True):
        found.append([[p for _, p in window] for window in places(n, size, stride, padding)])
    return found


def adaptive(sizes, counts):
    """The same for as many windows as are asked for."""
    return [
        [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(sizes, counts, strict=True)
    ]


def carried(x, shape, source):
    """y[n, place, c] = x[n, source(place), c], 0 where source says None. Channels last."""
    y = np.zeros((len(x), *shape, x.shape[-1]))
    for place in np.ndindex(shape):
        at = source(place)
        if at is not None:
            for n in range(len(x)):
                for c in range(x.shape[-1]):
                    y[(n, *place, c)] = x[(n, *at, c)]
    return y


def padded(x, sides):
    sizes = x.shape[1:-1]
    shape = [n + before + behind for n, (before, behind) in zip(sizes, sides, strict=True)]

    def source(place):
        at = [p - before for p, (before, _) in zip(place, sides, strict=True)]
        return at if all(0 <= a < n for a, n in zip(at, sizes, strict=True)) else None

    return carried(x, tuple(shape), source)


def cropped(x, sides):
    shape = [n - before - behind for n, (before, behind) in zip(x.shape[1:-1], sides, strict=True)]
    return carried(
        x,
        tuple(shape),
        lambda place: [p + before for p, (before, _) in zip(place, sides, strict=True)],
    )


def repeated(x, factors):
    shape = [n * f for n, f in zip(x.shape[1:-1], factors, strict=True)]
    return carried(
        x, tuple(shape), lambda place: [p // f for p, f in zip(place, factors, strict=True)]
    )


def bilinear(x, factors):
    """Each pixel of y from the four pixels of x around its centre."""
    n, h, w, channels = x.shape
    y = np.zeros((n, h * factors[0], w * factors[1], channels))
    for a in range(y.shape[1]):
        for b in range(y.shape[2]):
            p, q = (a + 0.5) / factors[0] - 0.5, (b + 0.5) / factors[1] - 0.5
            for i in (int(np.floor(p)), int(np.floor(p)) + 1):
                for j in (int(np.floor(q)), int(np.floor(q)) + 1):
                    share = (1 - abs(p - i)) * (1 - abs(q - j))
                    y[:, a, b] += share * x[:, min(max(i, 0), h - 1), min(max(j, 0), w - 1)]
    return y


def batch_norm(x, gamma, beta, epsilon, mask=None):
    """In training, channels last: y, mean and variance of the batch."""
    y, means, variances = np.zeros(x.shape), [], []
    rows = [r for r in np.ndindex(x.shape[:-1]) if mask is None or mask[r[: mask.ndim]]]
    for c in range(x.shape[-1]):
        mean = sum(x[r][c] for r in rows) / len(rows)
        var = sum((x[r][c] - mean) ** 2 for r in rows) / len(rows)
        for r in np.ndindex(x.shape[:-1]):
            y[r][c] = gamma[c] * (x[r][c] - mean) / (var + epsilon) ** 0.5 + beta[c]
        means.append(mean)
        variances.append(var)
    return y, np.array(means), np.array(variances)


def layer_norm(x, gamma, beta, epsilon):
    """Over the last axis."""
    y = np.zeros(x.shape)
    for r in np.ndindex(x.shape[:-1]):
        n = x.shape[-1]
        mean = sum(x[r]) / n
        var = sum((x[r][i] - mean) ** 2 for i in range(n)) / n
        for i in range(n):
            y[r][i] = gamma[i] * (x[r][i] - mean) / (var + epsilon) ** 0.5 + beta[i]
    return y


def dense(x, kernel, bias):
    y = np.zeros((*x.shape[:-1], kernel.shape[1]))
    for r in np.ndindex(x.shape[:-1]):
        for j in range(kernel.shape[1]):
            y[r][j] = bias[j] + sum(x[r][i] * kernel[i, j] for i in range(kernel.shape[0]))
    return y


# -------------------------------------------------------------------------------------------------
# sequences


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def embedding_gradient(ids, dy, input_dim):
    d = np.zeros((input_dim, dy.shape[-1]))
    for place in np.ndindex(ids.shape):
        d[int(ids[place])] += dy[place]
    return d


def order_of_time(steps, go_backwards):
    return reversed(range(steps)) if go_backwards else range(steps)


def lstm(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False, states=None):
    """All h of an LSTM, in the order of processing: one sequence, step and unit at a time. First
    states that are given become the last ones."""
    units = len(recurrent_kernel)
    y = np.zeros((len(x), x.shape[1], units))
    states = np.zeros((2, len(x), units)) if states is None else states
    for n in range(len(x)):
        h, c = states[0][n], states[1][n]
        for k, t in enumerate(order_of_time(x.shape[1], go_backwards)):
            if mask is None or mask[n, t]:
                h_before, c_before = h.copy(), c.copy()
                for u in range(units):
                    i, f, g, o = (
                        bias[u + part * units]
                        + sum(x[n, t, j] * kernel[j, u + part * units] for j in range(len(kernel)))
                        + sum(
                            h_before[j] * recurrent_kernel[j, u + part * units]
                            for j in range(units)
                        )
                        for part in range(4)
                    )
                    c[u] = sigmoid(f) * c_before[u] + sigmoid(i) * np.tanh(g)
                    h[u] = sigmoid(o) * np.tanh(c[u])
            y[n, k] = h
    return y


def gru(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False, states=None):
    """All h of a GRU with reset_after, in the order of processing."""
    units = len(recurrent_kernel)
    y = np.zeros((len(x), x.shape[1], units))
    states = np.zeros((1, len(x), units)) if states is None else states
    for n in range(len(x)):
        h = states[0][n]
        for k, t in enumerate(order_of_time(x.shape[1], go_backwards)):
            if mask is None or mask[n, t]:
                h_before = h.copy()
                for j in range(units):
                    zu, zr, zg = (
                        x[n, t] @ kernel[:, j + part * units] + bias[0, j + part * units]
                        for part in range(3)
                    )
                    wu, wr, wg = (
                        h_before @ recurrent_kernel[:, j + part * units] + bias[1, j + part * units]
                        for part in range(3)
                    )
                    u, g = sigmoid(zu + wu), np.tanh(zg + sigmoid(zr + wr) * wg)
                    h[j] = u * h_before[j] + (1 - u) * g
            y[n, k] = h
    return y


def bidirectional(loop, x, forward, backward, mask, sequences):
    """What a loop says of x read forwards and backwards; with all outputs 0 where x is masked."""
    f, b = loop(x, *forward, mask), loop(x, *backward, mask, True)
    if not sequences:
        return f[:, -1], b[:, -1]
    b = b[:, ::-1].copy()
    if mask is not None:
        f[~mask], b[~mask] = 0, 0
    return f, b


def conv_lstm(x, kernel, recurrent_kernel, bias, layer, mask=None, states=None):
    """All h of an LSTM of convolutions, in the order of processing."""
    no_bias, ones = np.zeros(len(bias)), (1,) * (x.ndim - 3)
    around = (layer.strides, layer.padding, layer.dilation_rate, 1)
    seen = [convolution(x[:, t], kernel, bias, *around) for t in range(x.shape[1])]
    shape = (*seen[0].shape[:-1], len(bias) // 4)
    h, c = np.zeros((2, *shape)) if states is None else states
    y = []
    for t in order_of_time(x.shape[1], layer.go_backwards):
        z = seen[t] + convolution(h, recurrent_kernel, no_bias, ones, "same", ones, 1)
        i, f, g, o = np.split(z, 4, axis=-1)
        c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        real = np.ones(len(x), bool) if mask is None else mask[:, t]
        for n in np.flatnonzero(real):
            c[n], h[n] = c_new[n], (sigmoid(o) * np.tanh(c_new))[n]
        y.append(h.copy())
    return np.stack(y, axis=1)


def simple_rnn(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False, states=None):
    """All h of a recurrent layer with tanh, in the order of processing."""
    y = np.zeros((len(x), x.shape[1], len(recurrent_kernel)))
    states = np.zeros((1, len(x), y.shape[2])) if states is None else states
    for n in range(len(x)):
        h = states[0][n]
        for k, t in enumerate(order_of_time(x.shape[1], go_backwards)):
            if mask is None or mask[n, t]:
                h[:] = np.tanh(x[n, t] @ kernel + h @ recurrent_kernel + bias)
            y[n, k] = h
    return y


def self_attention(
    x, query, bq, key, bk, value, bv, output, bo, mask=None, causal=False, window=None, gate=None,
    rotary=False,
):  # fmt: skip
    """Attention of a sequence to itself."""
    weights = query, bq, key, bk, value, bv, output, bo
    seen = pairs_seen(x, x, causal=causal, window=window, of_query=mask, of_value=mask)
    return attention(x, x, x, *weights, seen, gate, rotary)[0]


def pairs_seen(
    query, value, *, of_query=None, of_value=None, of_key=None, pairs=None, causal=False,
    window=None, heads=1,
):  # fmt: skip
    """Which query sees which key, (N, heads, T, S): nothing masked, later or too far."""
    seen = np.ones((len(query), heads, query.shape[1], value.shape[1]), bool)
    for n, h, t, s in np.ndindex(*seen.shape):
        hidden = of_query is not None and not of_query[n, t]
        hidden = hidden or (of_value is not None and not of_value[n, s])
        hidden = hidden or (of_key is not None and not of_key[n, s])
        hidden = hidden or (
            pairs is not None and not np.broadcast_to(pairs, seen.shape)[n, h, t, s]
        )
        hidden = hidden or (causal and s > t) or (window is not None and abs(s - t) >= window)
        seen[n, h, t, s] = not hidden
    return seen


def attention(
    q_in, v_in, k_in, query, bq, key, bk, value, bv, output, bo, seen, gate=None, rotary=False,
):  # fmt: skip
    """y and p of one query at a time; a query that sees no key sees them all evenly.

    Where there are fewer keys than queries, neighbours share one. `gate` is a kernel and a bias,
    `seen` is (N, heads or 1, T, S).
    """
    heads, steps = query.shape[1], q_in.shape[1]
    seen = np.broadcast_to(seen, (len(q_in), heads, steps, v_in.shape[1]))
    y, p = np.zeros((len(q_in), steps, output.shape[-1])), np.zeros(seen.shape)
    for n, t in np.ndindex(len(q_in), steps):
        y[n, t] = bo
        for h in range(heads):
            g = h * key.shape[1] // heads
            q = turned_vector(q_in[n, t] @ query[:, h] + bq[h], t if rotary else 0)
            scores, values = [], []
            for s in range(v_in.shape[1]):
                k = turned_vector(k_in[n, s] @ key[:, g] + bk[g], s if rotary else 0)
                scores.append(q @ k / np.sqrt(len(q)) if seen[n, h, t, s] else -np.inf)
                values.append(v_in[n, s] @ value[:, g] + bv[g])
            highest = max(scores, default=-np.inf)
            if highest == -np.inf:
                scores, highest = [0.0] * len(scores), 0.0
            weights = [np.exp(score - highest) for score in scores]
            p[n, h, t] = np.array(weights) / sum(weights)
            o = sum(w * v for w, v in zip(p[n, h, t], values, strict=True))
            if gate is not None:
                o = o * sigmoid(q_in[n, t] @ gate[0][:, h] + gate[1][h])
            y[n, t] += o @ output[h]
    return y, p


def attention_between(query, value=None, key=None, pairs=None, *, layer, mask):
    """y, and p where the layer returns it, of a layer that was built on several arrays."""
    value = query if value is None else value
    key = value if key is None else key
    of_query, of_value, of_key, _ = (*(mask or ()), *[None] * 4)[:4]
    if pairs is not None and pairs.ndim == 3:
        pairs = pairs[:, None]
    seen = pairs_seen(
        query, value, of_query=of_query, of_value=of_value, of_key=of_key, pairs=pairs,
        causal=layer.use_causal_mask, window=layer.sliding_window, heads=layer.heads,
    )  # fmt: skip
    parts = layer.query, layer.key, layer.value, layer.output
    weights = [
        w for f in parts for w in (f.kernel, f.bias if f.use_bias else np.zeros(f.sizes_out))
    ]
    gate = (layer.gate.kernel, layer.gate.bias) if layer.use_gate else None
    y, p = attention(query, value, key, *weights, seen, gate)
    return (y, p) if layer.return_attention_scores else y


def unprojected_attention(query, value, key=None, *, layer, mask):
    """y and p of `Attention` and `AdditiveAttention`, one query at a time."""
    key = value if key is None else key
    of_query, of_value = (mask or (None, None))[:2]
    scale = layer.scale if layer.use_scale else 1.0
    y = np.zeros((*query.shape[:2], value.shape[2]))
    p = np.zeros((*query.shape[:2], value.shape[1]))
    for n, t in np.ndindex(query.shape[:2]):
        scores = []
        for r in range(value.shape[1]):
            q, k = query[n, t], key[n, r]
            if not hasattr(layer, "score_mode"):
                scores.append(np.sum(scale * np.tanh(q + k)))
            elif layer.score_mode == "dot":
                scores.append(scale * np.dot(q, k))
            else:
                scores.append(layer.concat_score_weight * np.sum(np.tanh(scale * (q + k))))
            if (of_value is not None and not of_value[n, r]) or (layer.use_causal_mask and r > t):
                scores[-1] = -1e9
        weights = np.exp(np.array(scores) - max(scores))
        p[n, t] = weights / weights.sum()
        if of_query is None or of_query[n, t]:
            y[n, t] = sum(w * v for w, v in zip(p[n, t], value[n], strict=True))
    return y, p


def turned_vector(v, t, wavelength=10000):
    """Rotary positions: entries i and i + n/2 as a point of the plane, turned about the origin."""
    y, half = v.copy(), len(v) // 2
    for i in range(half):
        point = complex(v[i], v[i + half]) * np.exp(1j * t * wavelength ** (-2 * i / len(v)))
        y[i], y[i + half] = point.real, point.imag
    return y


def sine_positions(steps, d, wavelength=10000):
    e = np.zeros((steps, d))
    for t in range(steps):
        for i in range(d):
            a = t / wavelength ** ((i - i % 2) / d)
            e[t, i] = np.cos(a) if i % 2 else np.sin(a)
    return e


# -------------------------------------------------------------------------------------------------
# normalization by groups and lengths


def group_norm(x, gamma, beta, epsilon, groups, mask=None):
    """Channels last. Masked places are normalised, and do not count."""
    y, k = np.zeros(x.shape), x.shape[-1] // groups
    for n in range(len(x)):
        for g in range(groups):
            places = [(*p, c) for p in np.ndindex(x.shape[1:-1]) for c in range(g * k, g * k + k)]
            real = [p for p in places if mask is None or mask[n, p[0]]]
            mean = sum(x[n][p] for p in real) / max(len(real), 1)
            var = sum((x[n][p] - mean) ** 2 for p in real) / max(len(real), 1)
            for p in places:
                y[n][p] = gamma[p[-1]] * (x[n][p] - mean) / (var + epsilon) ** 0.5 + beta[p[-1]]
    return y


def rms_norm(x, scale, epsilon):
    """Over the last axis."""
    y = np.zeros(x.shape)
    for r in np.ndindex(x.shape[:-1]):
        square = sum(v * v for v in x[r]) / x.shape[-1]
        for i in range(x.shape[-1]):
            y[r][i] = scale[i] * x[r][i] / (square + epsilon) ** 0.5
    return y


def norm_along_time(x, mask, axes, epsilon, centred, rms):
    """x̂ of layer normalization over axes with the time among them, 1 or (1, 2); `rms` leaves
    the mean in, and squares are around it if `centred`."""
    y = np.zeros(x.shape)
    for n in range(len(x)):
        for columns in [[c] for c in range(x.shape[2])] if axes == 1 else [range(x.shape[2])]:
            real = [x[n, t, c] for t in np.flatnonzero(mask[n]) for c in columns]
            count = max(len(real), 1)
            mean = sum(real) / count if centred else 0
            r = (sum((v - mean) ** 2 for v in real) / count + epsilon) ** -0.5
            for c in columns:
                y[n, :, c] = (x[n, :, c] - (0 if rms else mean)) * r
    return y


def unit_norm(x):
    """Over the last axis."""
    y = np.zeros(x.shape)
    for r in np.ndindex(x.shape[:-1]):
        length = max(sum(v * v for v in x[r]) ** 0.5, 1e-12)
        for i in range(x.shape[-1]):
            y[r][i] = x[r][i] / length
    return y


def power_iteration(w, u, iterations):
    """σ of a matrix, and u behind the last step, entry by entry."""
    rows, columns = w.shape
    u = list(u)
    for _ in range(iterations):
        v = [sum(w[i, j] * u[j] for j in range(columns)) for i in range(rows)]
        v = [e / sum(f * f for f in v) ** 0.5 for e in v]
        u = [sum(v[i] * w[i, j] for i in range(rows)) for j in range(columns)]
        u = [e / sum(f * f for f in u) ** 0.5 for e in u]
    return sum(v[i] * w[i, j] * u[j] for i in range(rows) for j in range(columns)), np.array(u)


# -------------------------------------------------------------------------------------------------
# images that are moved and turned


def pixel_beyond(image, i, j, fill_mode, fill_value):
    """A pixel of an image, or what stands there beyond its border; found by walking back."""
    place = []
    for p, n in ((i, image.shape[0]), (j, image.shape[1])):
        while not 0 <= p < n:
            if fill_mode == "constant":
                return np.full(image.shape[2], fill_value)
            if fill_mode == "nearest":
                p = 0 if p < 0 else n - 1
            elif fill_mode == "wrap":
                p += n if p < 0 else -n
            elif fill_mode == "mirror":
                p = 0 if n == 1 else -p if p < 0 else 2 * n - 2 - p
            else:
                p = -1 - p if p < 0 else 2 * n - 1 - p
        place.append(p)
    return image[tuple(place)]


def sampled(image, i, j, interpolation, fill_mode, fill_value):
    """An image (H, W, C) at a place between its pixels."""
    if interpolation == "nearest":
        return pixel_beyond(
            image, int(np.floor(i + 0.5)), int(np.floor(j + 0.5)), fill_mode, fill_value
        )
    top, left = int(np.floor(i)), int(np.floor(j))
    value = np.zeros(image.shape[2])
    for p in (top, top + 1):
        for q in (left, left + 1):
            weight = (1 - abs(i - p)) * (1 - abs(j - q))
            value += weight * pixel_beyond(image, p, q, fill_mode, fill_value)
    return value


def moved(x, place, layer):
    """Channels last: y at (n, i, j) is x[n] at place(n, i, j)."""
    y = np.zeros(x.shape)
    for n, i, j in np.ndindex(x.shape[:3]):
        y[n, i, j] = sampled(
            x[n], *place(n, i, j), layer.interpolation, layer.fill_mode, layer.fill_value
        )
    return y


KERNELS = {
    "bilinear": lambda d: max(1 - d, 0),
    "bicubic": lambda d: (
        1.5 * d**3 - 2.5 * d**2 + 1
        if d < 1
        else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        if d < 2
        else 0
    ),
    "lanczos3": lambda d: np.sinc(d) * np.sinc(d / 3) if d < 3 else 0,
    "lanczos5": lambda d: np.sinc(d) * np.sinc(d / 5) if d < 5 else 0,
}


def line(x, m, interpolation, antialias=False):
    """m pixels made of the rows of x: (n, ...)."""
    n, y = len(x), np.zeros((m, *x.shape[1:]))
    for a in range(m):
        if interpolation == "nearest":
            y[a] = x[(2 * a + 1) * n // (2 * m)]
            continue
        place, total = (a + 0.5) * n / m - 0.5, 0.0
        for i in range(n):
            weight = KERNELS[interpolation](abs(place - i) / (max(n / m, 1) if antialias else 1))
            y[a] += weight * x[i]
            total += weight
        y[a] /= total
    return y


def framed(image, top, left, height, width, fill_value=0.0):
    """The window of an image (H, W, C), a constant where there is no pixel."""
    y = np.full((height, width, image.shape[2]), fill_value)
    for i, j in np.ndindex(height, width):
        if 0 <= top + i < image.shape[0] and 0 <= left + j < image.shape[1]:
            y[i, j] = image[top + i, left + j]
    return y


def sized(image, height, width, interpolation="bilinear", antialias=False):
    """An image (H, W, C) made as high and wide."""
    y = line(image, height, interpolation, antialias)
    return line(y.swapaxes(0, 1), width, interpolation, antialias).swapaxes(0, 1)


def in_the_middle(image, height, width):
    """The largest window that is shaped so: top, left, height, width."""
    h, w = image.shape[:2]
    tall = min(h, w * height // width) or 1
    wide = min(w, h * width // height) or 1
    return (h - tall) // 2, (w - wide) // 2, tall, wide


def ctc(y_true, y_pred, sample_weight=None, mask=None):
    """-log of the summed probability of all k^t alignments that spell y_true: step by step, those
    together that have spelled as many labels and ended in the same class."""
    values = []
    for i, labels in enumerate(y_true):
        z = y_pred[i] if mask is None else y_pred[i][mask[i]]
        q = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        wanted = [k for k in labels if k]
        sums = {(0, 0): 1.0}  # (labels spelled, class of the last step) → probability
        for step in q:
            found = {}
            for (n, last), p in sums.items():
                for k in range(len(step)):
                    spells = k not in (0, last)
                    if not spells or wanted[n : n + 1] == [k]:
                        end = n + spells, k
                        found[end] = found.get(end, 0.0) + p * step[k]
            sums = found
        values.append(-np.log(sum(p for (n, _), p in sums.items() if n == len(wanted))))
    return np.array(values) * (1 if sample_weight is None else sample_weight)


def circle(y_true, y_pred, gamma, margin, remove_diagonal):
    """log(1 + Σ exp(a) Σ exp(b)) for each sample, pair by pair."""
    values = []
    for i, p in enumerate(y_pred):
        own = foreign = 0.0
        for j, other in enumerate(y_pred):
            u = max(1 - float(p @ other), 0.0)
            if y_true[i] != y_true[j]:
                foreign += np.exp(gamma * max(1 + margin - u, 0) * (1 - margin - u))
            elif i != j or not remove_diagonal:
                own += np.exp(-gamma * max(margin + u, 0) * (margin - u))
        values.append(np.log1p(own * foreign))
    return np.array(values)


def spectrogram(x, kernels, mode, step, padding):
    """x: (N, T, C) → (N, frames, F, C), frame by frame."""
    length = kernels[0].shape[0]
    found = []
    for frame in places(x.shape[1], length, step, padding):
        sums = [
            sum((x[:, at, None] * k[u, 0, :, None] for u, at in frame), 0 * x[:, 0, None])
            for k in kernels
        ]
        found.append(sums)
    parts = [np.stack(part, axis=1) for part in zip(*found, strict=True)]
    if mode in ("real", "imag"):
        return parts[0]
    if mode == "stft":
        return np.concatenate(parts, axis=2)
    power = parts[0] ** 2 + parts[1] ** 2
    if mode == "psd":
        ends = np.isin(np.arange(power.shape[2]), [0, power.shape[2] - 1])
        return np.where(ends[:, None], power, 2 * power)
    loud = np.sqrt(np.maximum(power, 1e-7))
    return loud if mode == "magnitude" else np.log(loud)


def mel_spectrogram(x, layer):
    """Signal by signal and frequency by frequency."""
    n, length = layer.fft_length, layer.sequence_length
    win = {
        "hann": lambda u: 0.5 - 0.5 * np.cos(2 * np.pi * u / length),
        "hamming": lambda u: 0.54 - 0.46 * np.cos(2 * np.pi * u / length),
        None: lambda u: 1.0,
    }[layer.window]
    found = []
    for signal in x:
        p, columns = np.pad(signal, n // 2, mode="reflect"), []
        for first in range(0, len(p) - n + 1, layer.sequence_stride):
            inner = first + (n - length) // 2
            spectrum = [
                sum(win(u) * p[inner + u] * np.exp(-2j * np.pi * k * u / n) for u in range(length))
                for k in range(n // 2 + 1)
            ]
            columns.append(np.abs(spectrum) ** layer.mag_exp @ triangles(layer))
        found.append(np.array(columns).T)
    found = np.array(found)
    if not layer.power_to_db:
        return found
    found = 10 * np.log10(np.maximum(found, layer.min_power) / layer.ref_power)
    return found if layer.top_db is None else np.maximum(found, found.max() - layer.top_db)


def triangles(layer):
    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(layer.min_freq), mel(layer.max_freq), layer.num_mel_bins + 2)
    count = layer.fft_length // 2 + 1
    found = np.zeros((count, layer.num_mel_bins))
    for k in range(1, count):
        at = mel(layer.sampling_rate / 2 * k / (count - 1))
        for i in range(layer.num_mel_bins):
            low, peak, high = edges[i : i + 3]
            if low < at <= peak:
                found[k, i] = (at - low) / (peak - low)
            elif peak < at < high:
                found[k, i] = (high - at) / (high - peak)
    return found
