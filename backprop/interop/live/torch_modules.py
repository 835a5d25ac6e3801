"""What a converted model needs and `torch.nn` does not have: modules for single operations.

This file alone imports torch where it is imported; `to_torch` does so when it is called.
"""

from __future__ import annotations

import importlib
from typing import Any

torch: Any = importlib.import_module("torch")
nn: Any = torch.nn


class Permute(nn.Module):
    """Axes in another order, the batch among them."""

    def __init__(self, *order: int):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(*self.order)

    def extra_repr(self):
        return ", ".join(map(str, self.order))


class Part(nn.Module):
    """x[index], of slices and places."""

    def __init__(self, *index: Any):
        super().__init__()
        self.index = index

    def forward(self, x):
        return x[self.index]

    def extra_repr(self):
        return repr(self.index)


class Backwards(nn.Module):
    """The steps in reverse."""

    def forward(self, x):
        return x.flip(1)


class Repeat(nn.Module):
    """(N, n) → (N, times, n)"""

    def __init__(self, times: int):
        super().__init__()
        self.times = times

    def forward(self, x):
        return x.unsqueeze(1).expand(-1, self.times, -1)


class Function(nn.Module):
    """A function of torch on one array."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def forward(self, x):
        return getattr(torch, self.name)(x)

    def extra_repr(self):
        return repr(self.name)


class Rectifier(nn.Module):
    """min(x, top) above the threshold, slope (x - threshold) below."""

    def __init__(self, threshold: float, slope: float, top: float | None):
        super().__init__()
        self.threshold, self.slope, self.top = threshold, slope, top

    def forward(self, x):
        above = x if self.top is None else x.clamp(max=self.top)
        return torch.where(x > self.threshold, above, self.slope * (x - self.threshold))


class GaussianNoise(nn.Module):
    """x + noise, in training."""

    def __init__(self, stddev: float):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        return x + self.stddev * torch.randn_like(x) if self.training else x


class GaussianDropout(nn.Module):
    """x times noise around 1, in training; its variance is that of dropout."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        return x * (1 + (self.p / (1 - self.p)) ** 0.5 * torch.randn_like(x))


class AsFloat(nn.Module):
    """Integers as floating point numbers."""

    def forward(self, x):
        return x.float()


class Merge(nn.Module):
    """Several arrays become one: an operator of torch between one and the next."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def forward(self, x, *others):
        for other in others:
            x = getattr(torch, self.name)(x, other)
        return x

    def extra_repr(self):
        return repr(self.name)


class Average(nn.Module):
    """The mean of several arrays."""

    def forward(self, x, *others):
        for other in others:
            x = x + other
        return x / (1 + len(others))


class Concatenate(nn.Module):
    """Arrays one behind the other."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, *xs):
        return torch.cat(xs, dim=self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Arithmetic(nn.Module):
    """An operator of torch between an array and a constant."""

    def __init__(self, name: str, value: Any, first: bool = False):
        super().__init__()
        self.name, self.first = name, first
        self.register_buffer("value", torch.tensor(value))

    def forward(self, x):
        operator = getattr(torch, self.name)
        return operator(self.value, x) if self.first else operator(x, self.value)

    def extra_repr(self):
        return f"{self.name!r}, first={self.first}"


class Positions(nn.Module):
    """x + weight, of the steps that there are."""

    def __init__(self, steps: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(steps, size))

    def forward(self, x):
        return x + self.weight


class Recurrent(nn.Module):
    """A recurrent module, of which the outputs of all steps, the last one or states are wanted.

    Parameters
    ----------
    rnn : torch.nn.RNNBase
        Of one layer, with the batch in front.
    sequences, states : bool
        Whether the outputs of all steps are wanted, or the last ones; and the last states too.
    backwards : bool
        Whether it begins with the last step.
    """

    def __init__(self, rnn: Any, sequences: bool, states: bool, backwards: bool):
        super().__init__()
        self.rnn, self.sequences, self.states, self.backwards = rnn, sequences, states, backwards

    def forward(self, x, *first):
        if self.backwards:
            x = x.flip(1)
        given = [state.unsqueeze(0) for state in first]
        if len(given) == 2:
            out, last = self.rnn(x, (given[0], given[1]))
        else:
            out, last = self.rnn(x, *given)
        y = out if self.sequences else out[:, -1]
        if not self.states:
            return y
        if isinstance(self.rnn, nn.LSTM):
            return y, last[0].squeeze(0), last[1].squeeze(0)
        return y, last.squeeze(0)


class BothWays(nn.Module):
    """A recurrent module in both directions.

    Parameters
    ----------
    rnn : torch.nn.RNNBase
        Of one layer and two directions, with the batch in front.
    sequences, states : bool
        Whether the outputs of all steps are wanted, or of each direction its last one; and the last
        states too, those of the first direction before those of the other.
    merge : str or None
        How the outputs of both become one: "concat", "sum", "mul" or "ave". None keeps both.
    """

    def __init__(self, rnn: Any, sequences: bool, states: bool, merge: str | None):
        super().__init__()
        self.rnn, self.sequences, self.states, self.merge = rnn, sequences, states, merge

    def forward(self, x):
        out, last = self.rnn(x)
        h = self.each(last)[0]
        if self.sequences and self.merge == "concat":
            found = [out]
        elif self.sequences:
            found = self.merged(*out.chunk(2, dim=-1))
        else:
            found = self.merged(h[0], h[1])
        if self.states:
            found += [state[i] for i in (0, 1) for state in self.each(last)]
        return tuple(found) if len(found) > 1 else found[0]

    def each(self, last):
        """h and c of an LSTM, which are the one h of others."""
        return (last[0], last[1]) if isinstance(self.rnn, nn.LSTM) else (last,)

    def merged(self, a, b):
        if self.merge is None:
            return [a, b]
        if self.merge == "concat":
            return [torch.cat((a, b), dim=-1)]
        if self.merge == "mul":
            return [a * b]
        return [a + b] if self.merge == "sum" else [(a + b) / 2]


class Attention(nn.Module):
    """Attention in heads, of which the weights are not wanted.

    Parameters
    ----------
    heads : torch.nn.MultiheadAttention
        With the batch in front.
    causal : bool
        Whether a step sees only itself and what is before.
    steps : (int, int), optional
        Of the query and of the keys, where they are known.
    """

    def __init__(self, heads: Any, causal: bool, steps: tuple[int, int] | None = None):
        super().__init__()
        self.heads, self.causal = heads, causal
        hidden = torch.ones(steps, dtype=torch.bool).triu(1) if causal and steps else None
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, query, value=None, key=None):
        value = query if value is None else value
        key = value if key is None else key
        hidden = self.hidden
        if self.causal and hidden is None:
            steps = query.shape[1], key.shape[1]
            hidden = torch.ones(steps, dtype=torch.bool, device=query.device).triu(1)
        return self.heads(query, key, value, need_weights=False, attn_mask=hidden)[0]


class Heads(nn.Module):
    """Attention in heads of any size, of which some may share their keys and values.

    Parameters
    ----------
    sizes : tuple of (int, int)
        Features in and out of query, key, value and output.
    heads : int
        Of the query.
    groups : int
        Heads of keys and values.
    bias, causal : bool
    dropout : float
    """

    def __init__(self, sizes, heads, groups, bias, causal, dropout):
        super().__init__()
        self.query, self.key, self.value, self.output = (
            nn.Linear(n, m, bias=bias) for n, m in sizes
        )
        self.heads, self.groups, self.causal, self.dropout = heads, groups, causal, dropout

    def forward(self, query, value=None, key=None):
        value = query if value is None else value
        key = value if key is None else key
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (
            p(x).unflatten(-1, (self.groups, -1)).transpose(1, 2)
            for p, x in ((self.key, key), (self.value, value))
        )
        if self.groups < self.heads:
            times = self.heads // self.groups
            k, v = k.repeat_interleave(times, dim=1), v.repeat_interleave(times, dim=1)
        y = nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=self.causal, dropout_p=self.dropout if self.training else 0.0
        )
        return self.output(y.transpose(1, 2).flatten(2))


class Normalize(nn.Module):
    """Rows along some axes, divided by their lengths."""

    def __init__(self, dim: Any):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return nn.functional.normalize(x, dim=self.dim)


class Einsum(nn.Module):
    """A sum of products of two arrays."""

    def __init__(self, equation: str):
        super().__init__()
        self.equation = equation

    def forward(self, a, b):
        return torch.einsum(self.equation, a, b)

    def extra_repr(self):
        return repr(self.equation)


class Rows(nn.Module):
    """(N, steps, sizes ...) → (N steps, sizes ...)"""

    def forward(self, x):
        return x.flatten(0, 1)


class Steps(nn.Module):
    """(N steps, sizes ...) → (N, steps, sizes ...)"""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def forward(self, x):
        return x.unflatten(0, (-1, self.steps))
