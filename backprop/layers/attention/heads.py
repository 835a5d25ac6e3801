"""What both kinds of attention share: products of queries and keys, and the softmax of them."""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from backprop.counts import Count, plus, times
from backprop.kernels.attention import blind, softmax_of_seen, softmax_of_seen_backward
from backprop.layer import INFERENCE, Array
from backprop.layers.attention.projecting import Inputs, Joined, Projecting, named, named_shapes
from backprop.layers.attention.rotary import turned
from backprop.layers.attention.scores import (
    Attended,
    Sight,
    all_keys,
    by_query,
    pairs_seen,
    sum_into,
)
from backprop.linalg import sigmoid
from backprop.masks import both, cleaned
from backprop.nest import as_tuple
from backprop.promises import short_for

PAIRS = Inputs._fields.index("attention_mask")  # its place; it has no derivative


class Memory(NamedTuple):
    """What further steps of the queries need.

    Attributes
    ----------
    k, v : ndarray, optional
        The keys and values so far; all of them, where they are of another sequence.
    joined : Joined
        The projections of what comes with a step.
    start : int
        How many steps there were.
    real : ndarray of bool, (N, S), optional
        Which of another sequence's keys are real.
    """

    k: Any
    v: Any
    joined: Joined
    start: int = 0
    real: Array | None = None

    @property
    def grows(self) -> bool:
        return "key" in self.joined.names


class AttentionInHeads(Projecting):
    """o = softmax(q kᵀ / √key_dim) v in several heads, y = o · output + bias.

    A subclass is `MultiHeadAttention` or `GroupQueryAttention`.
    """

    call_inputs = Inputs._fields

    # ------------------------------------------------------------------------- forward and backward

    @short_for("forward", "attend")
    def multiply_adds(self, input_shape) -> Count:
        shapes = named_shapes(input_shape)
        value = shapes.query if shapes.value is None else shapes.value
        queries, keys = shapes.query[1], value[1]
        of_query = [self.query, self.output, *([self.gate] if self.use_gate else [])]
        projected = (
            times(queries, sum(part.kernel.size for part in of_query)),
            times(keys, self.key.kernel.size + self.value.kernel.size),
        )
        return plus((*projected, times(queries, keys, self.heads, sum(self.sizes))))

    def forward(self, x, ctx=INFERENCE) -> Any:
        given = named(x)
        of_query, of_keys = self.real(given, ctx.mask)
        sources = [
            (cleaned(array, of_query if names[0] == "query" else of_keys), self.join(names))
            for array, names in self.ways(given)
        ]  # p = 0 would not hide what is infinite
        z: dict[str, Array] = {}
        for array, joined in sources:
            z |= self.project(array, joined)
        q, k, v, gate = z["query"], z["key"], z["value"], z.get("gate")
        if self.rotary is not None:
            q, k = self.turn(q, 0, False), self.turn(k, 0, False)
        seen = pairs_seen(of_query, of_keys, self.pairs(given.attention_mask))
        found = self.attend(q, k, v, self.sight(q, k, seen), ctx)
        gate = None if gate is None else sigmoid(gate)
        o = found.o if gate is None else found.o * gate
        y, _ = self.output.forward(o)
        cache = x, sources, q, k, v, gate, found, o
        return ((y, self.weights_of(found)) if self.return_attention_scores else y), cache

    def backward(self, dy, cache):
        x, sources, q, k, v, gate, found, o = cache
        dy, dp = dy if type(dy) is tuple else (dy, None)
        do = self.output.backward(dy, o)
        d: dict[str, Array] = {}
        dzs = []
        for array, joined in sources:
            dz = np.empty((array.shape[0] * array.shape[1], joined.w.shape[1]), dy.dtype)
            d |= self.columns(dz, array.shape, joined.names)
            dzs.append(dz)
        if gate is not None:
            np.multiply(do * found.o, gate * (1 - gate), out=d["gate"])
            do = do * gate
        dq, dk = d["query"], d["key"]
        self.backward_attend(do, dp, q, k, v, found, (dq, dk, d["value"]))
        if self.rotary is not None:
            dq[...], dk[...] = self.turn(dq, 0, True), self.turn(dk, 0, True)
        ways = zip(dzs, sources, strict=True)
        dx = [self.backward_project(dz, *source) for dz, source in ways]
        return self.placed(dx, x)

    def attend(self, q, k, v, sight, ctx) -> Attended:
        """o = p v, where p = softmax(q kᵀ) and q has the scale already. Where a query sees no key
        it sees all evenly, as in Keras, and none where there is dropout."""
        p = q @ np.ascontiguousarray(k.swapaxes(-1, -2))  # twice as fast as with a view
        even = 0 if self.dropout else 1 / max(p.shape[-1], 1)
        some_blind = softmax_of_seen(p, sight.seen, sight.first, sight.last, even)
        drop = self.kept(p, ctx)
        n, groups, queries, steps, keys = p.shape
        o = np.empty((n, steps, groups, queries, v.shape[-1]), q.dtype)
        np.matmul(p if drop is None else p * drop, v, out=o.transpose(0, 2, 3, 1, 4))
        found = blind(sight.seen, steps, keys, sight.first, sight.last) if some_blind else None
        return Attended(o.reshape(n, steps, self.heads, v.shape[-1]), p, drop, found)

    def backward_attend(self, do, dp, q, k, v, found, into) -> None:
        """Write dq, dk and dv for do: (N, T, heads, value_dim), and for dp: (N, heads, T, S), what
        came back to the scores themselves, or None."""
        dq, dk, dv = into
        p, drop = found.p, found.drop
        do = self.by_head(do)
        sum_into(dv, (p if drop is None else p * drop).swapaxes(-1, -2), do)
        ds = do @ np.ascontiguousarray(v.swapaxes(-1, -2))
        if drop is not None:
            ds *= drop
        if dp is not None:
            ds += dp.reshape(ds.shape)
        softmax_of_seen_backward(by_query(ds), by_query(p))
        if found.blind is not None:
            ds *= ~found.blind
        np.matmul(ds, k, out=dq)
        sum_into(dk, ds.swapaxes(-1, -2), q)

    def placed(self, dx: list[Array], x: Any) -> Any:
        """dx of what is derived, at the places of x; None at those of the others."""
        if type(x) is not tuple:
            return dx[0]
        found = iter(dx)
        return tuple([None if a is None or i == PAIRS else next(found) for i, a in enumerate(x)])

    def weights_of(self, found: Attended) -> Array:
        """p, before dropout: (N, heads, T, S)."""
        p = found.p
        return p.reshape(p.shape[0], self.heads, *p.shape[3:])

    def turn(self, x, start, back):
        """x: (N, groups, queries, T, k) with its rotary positions."""
        assert self.rotary is not None
        y = np.empty(x.shape, x.dtype)
        cos, sin = self.rotary.angles(x.shape, start, x.dtype)
        turned(x, cos, sin, back, y)
        return y

    # --------------------------------------------------------------------------------------- masks

    def real(self, x: Inputs, mask: Any) -> tuple[Array | None, Array | None]:
        """Which queries are real, and which keys: (N, T) and (N, S), None where all are. A key is
        where both key and value are."""
        if mask is None:
            return None, None
        found = [
            None if a is None or m is None else self.real_steps(a, m)
            for a, m in zip(x[:PAIRS], named(mask)[:PAIRS], strict=True)
        ]
        return found[0], found[0] if x.value is None else both(found[1], found[2])

    def pairs(self, mask: Any) -> Any:
        """An attention mask, (T, S), (N, T, S) or (N, heads, T, S), as booleans of five axes."""
        if mask is None:
            return None
        mask = mask != 0
        if mask.ndim < 4:
            return mask[..., None, None, :, :]
        n, heads, *rest = mask.shape
        groups = self.groups if heads > 1 else 1
        return mask.reshape(n, groups, heads // groups, *rest)

    def sight(self, q, k, seen, start=0) -> Sight:
        """Which keys the queries from step `start` on see, of those that are `seen`."""
        steps, keys = q.shape[-2], k.shape[-2]
        window = self.sliding_window
        first, last = -steps, keys
        if window is not None:
            first, last = start - window + 1, start + window
        if self.use_causal_mask:
            last = start + 1
        if seen is None:
            return Sight(all_keys(keys), first, last)
        seen = np.broadcast_to(seen, (*(1,) * (5 - seen.ndim), *seen.shape[:-1], keys))
        return Sight(np.ascontiguousarray(seen), first, last)

    # --------------------------------------------------------------------------- further time steps

    @property
    def crosses(self) -> bool:
        """Whether it was built for queries of one sequence and values of another."""
        return self.built and named_shapes(self.build_shape).value is not None

    @property
    def can_step(self):
        return self.use_causal_mask and not self.crosses  # else new steps change the earlier ones

    @property
    def can_step_query(self) -> bool:
        """Whether y of all queries is that of one `step` after the other, where value and key are
        those of a sequence that is there as a whole."""
        return self.crosses and named_shapes(self.build_shape).attention_mask is None

    def remember(self, value, key=None, mask=None) -> Memory:
        """What `step` begins with for queries to another sequence: its keys and values, once.

        Parameters
        ----------
        value, key : ndarray, (N, S, features)
            The key defaults to the value.
        mask : ndarray of bool, (N, S), or a tuple of two, optional
            Which of its steps are real; which values, and which keys.
        """
        mask = reduce(both, as_tuple(mask))
        other = Inputs(None, value, key)
        (_, of_query), *rest = self.ways(other)
        z: dict[str, Array] = {}
        for array, names in rest:
            z |= self.project(cleaned(array, mask), self.join(names))
        return Memory(z["key"], z["value"], self.join(of_query), 0, mask)

    def step(self, x, memory) -> Any:
        """`x` is an array of further steps, which attend to each other and to those before; or a
        tuple as in `forward`, whose value and key, always the same, are read at the first step, and
        whose attention mask is that of these queries."""
        x = named(x)
        if memory is None and x.value is not None:
            memory = self.remember(x.value, x.key)
        elif memory is None:
            memory = Memory(None, None, self.join(self.ways(x)[0][1]))
        z = self.project(x.query, memory.joined)
        q, start = z["query"], memory.start
        k, v = (z["key"], z["value"]) if memory.grows else (memory.k, memory.v)
        if self.rotary is not None:
            q, k = self.turn(q, start, False), self.turn(k, start, False)
        if memory.grows and memory.k is not None:
            k, v = np.concatenate((memory.k, k), axis=-2), np.concatenate((memory.v, v), axis=-2)
        seen = pairs_seen(None, memory.real, self.pairs(x.attention_mask))
        found = self.attend(q, k, v, self.sight(q, k, seen, start), INFERENCE)
        y, _ = self.output.forward(found.o * sigmoid(z["gate"]) if self.use_gate else found.o)
        memory = memory._replace(k=k, v=v, start=start + x.query.shape[1])
        return ((y, self.weights_of(found)) if self.return_attention_scores else y), memory

    # ------------------------------------------------------------------------------- at the border

    def gather(self, *inputs, mask=None, **named):
        """A value that is the query itself, and its own key, is self-attention."""
        x, mask, options = super().gather(*inputs, mask=mask, **named)
        query, value, key, pairs = Inputs(*as_tuple(x))
        if mask is None and value is query and (key is None or key is query):
            x = query if pairs is None else (query, None, None, pairs)
        elif type(x) is not tuple and type(mask) is tuple:
            (mask,) = mask
        return x, mask, options

    def scores(self, x, mask=None):
        """p = softmax(q kᵀ / √key_dim): (N, heads, T, S), what each query takes of each key.

        Parameters
        ----------
        x : array_like, (N, T, d), or a tuple of query, value, key and attention_mask
        mask : array_like of bool, (N, T), optional
            A tuple, where x is one.
        """
        return self(*as_tuple(x), mask=mask, return_attention_scores=True)[1]
