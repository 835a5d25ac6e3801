"""Naive versions of layers, in loops that follow the formula; the fast ones must agree."""

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
    else:
        windows, before = (n - dilation * (size - 1) - 1) // stride + 1, 0
    found = []
    for i in range(windows):
        at = [(u, i * stride + u * dilation - before) for u in range(size)]
        found.append([(u, p) for u, p in at if 0 <= p < n])
    return found


def conv2d(x, kernel, bias, strides, padding, dilation, groups):
    """Channels last."""
    h, w, c, filters = kernel.shape
    tall = places(x.shape[1], h, strides[0], padding, dilation[0])
    wide = places(x.shape[2], w, strides[1], padding, dilation[1])
    y = np.zeros((len(x), len(tall), len(wide), filters))
    for n in range(len(x)):
        for i, column in enumerate(tall):
            for j, row in enumerate(wide):
                for f in range(filters):
                    group = f // (filters // groups)
                    y[n, i, j, f] = bias[f]
                    for u, p in column:
                        for v, q in row:
                            for k in range(c):
                                y[n, i, j, f] += x[n, p, q, group * c + k] * kernel[u, v, k, f]
    return y


def pool2d(x, size, strides, padding, of_window):
    """`of_window` makes one number of the list of a window's pixels. Channels last."""
    tall = places(x.shape[1], size[0], strides[0], padding)
    wide = places(x.shape[2], size[1], strides[1], padding)
    y = np.zeros((len(x), len(tall), len(wide), x.shape[3]))
    for n in range(len(x)):
        for i, column in enumerate(tall):
            for j, row in enumerate(wide):
                for c in range(x.shape[3]):
                    y[n, i, j, c] = of_window([x[n, p, q, c] for _, p in column for _, q in row])
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


def lstm(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False):
    """All h of an LSTM, in the order of processing: one sequence, step and unit at a time."""
    units = len(recurrent_kernel)
    y = np.zeros((len(x), x.shape[1], units))
    for n in range(len(x)):
        h, c = np.zeros(units), np.zeros(units)
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


def gru(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False):
    """All h of a GRU with reset_after, in the order of processing."""
    units = len(recurrent_kernel)
    y = np.zeros((len(x), x.shape[1], units))
    for n in range(len(x)):
        h = np.zeros(units)
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


def simple_rnn(x, kernel, recurrent_kernel, bias, mask=None, go_backwards=False):
    """All h of a recurrent layer with tanh, in the order of processing."""
    y = np.zeros((len(x), x.shape[1], len(recurrent_kernel)))
    for n in range(len(x)):
        h = np.zeros(len(recurrent_kernel))
        for k, t in enumerate(order_of_time(x.shape[1], go_backwards)):
            if mask is None or mask[n, t]:
                h = np.tanh(x[n, t] @ kernel + h @ recurrent_kernel + bias)
            y[n, k] = h
    return y


def self_attention(x, query, bq, key, bk, value, bv, output, bo, mask=None, causal=False):
    """Attention of one query at a time; a query that sees no key sees them all evenly."""
    y = np.zeros((*x.shape[:2], output.shape[-1]))
    for n in range(len(x)):
        for t in range(x.shape[1]):
            y[n, t] = bo
            for h in range(query.shape[1]):
                q = x[n, t] @ query[:, h] + bq[h]
                weights, values = [], []
                for s in range(x.shape[1]):
                    k = x[n, s] @ key[:, h] + bk[h]
                    hidden = mask is not None and not (mask[n, t] and mask[n, s])
                    hidden = hidden or (causal and s > t)
                    weights.append(0.0 if hidden else np.exp(q @ k / np.sqrt(len(q))))
                    values.append(x[n, s] @ value[:, h] + bv[h])
                if not any(weights):
                    weights = [1.0] * len(weights)
                o = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
                y[n, t] += o @ output[h]
    return y
