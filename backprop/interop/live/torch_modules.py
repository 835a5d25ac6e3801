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
    """A recurrent module in both directions, whose outputs become one.

    Parameters
    ----------
    rnn : torch.nn.RNNBase
        Of one layer and two directions, with the batch in front.
    sequences : bool
        Whether the outputs of all steps are wanted, or of each direction its last one.
    merge : str
        "concat", "sum", "mul" or "ave".
    """

    def __init__(self, rnn: Any, sequences: bool, merge: str):
        super().__init__()
        self.rnn, self.sequences, self.merge = rnn, sequences, merge

    def forward(self, x):
        out, last = self.rnn(x)
        if self.sequences:
            if self.merge == "concat":
                return out
            a, b = out.chunk(2, dim=-1)
        else:
            h = last[0] if isinstance(self.rnn, nn.LSTM) else last
            a, b = h[0], h[1]
        if self.merge == "concat":
            return torch.cat((a, b), dim=-1)
        if self.merge == "mul":
            return a * b
        return a + b if self.merge == "sum" else (a + b) / 2


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
