"""What both kinds of attention share: products of queries and keys, and the softmax of them.

The heads lie in groups, each of which shares one key and one value, so that the arrays have five
axes: (N, groups, queries of a group, T, features). All projections of x are one product, z = x W,
and q, k and v are views of z; going back, dq, dk and dv are written into views of dz.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import numpy as np

from backprop.arguments import Convert, argument, declared
from backprop.checks import Fraction, Positive
from backprop.layer import INFERENCE, Array, InputSpec, Layer
from backprop.layers.attention.projection import Projection, flat
from backprop.layers.attention.rotary import RotaryEmbedding, turned
from backprop.layers.kernels import KernelAndBias
from backprop.linalg import constant, sigmoid, softmax_backward, sum_last, sum_rows
from backprop.masks import cleaned

OF_PROJECTIONS = declared(KernelAndBias).keys() - {"activity_regularizer"}
SAFE = 30.0  # scores between -SAFE and SAFE have exponentials that can be summed as they are


class Attended(NamedTuple):
    """What one pass of attention leaves behind.

    Attributes
    ----------
    o : ndarray, (N, T, heads, value_dim)
    e, total : ndarray, (N, groups, queries, T, S) and (N, groups, queries, T, 1)
        p = e / total.
    drop : ndarray, optional
        What dropout multiplied p by.
    """

    o: Array
    e: Array
    total: Array
    drop: Array | None


def rotation(value: Any, who: str, name: str) -> RotaryEmbedding | None:
    if not isinstance(value, bool | RotaryEmbedding):
        raise TypeError(
            f"{who} expects {name} to be True, False or a RotaryEmbedding, got {value!r}"
        )
    return RotaryEmbedding() if value is True else value or None


class OrderOfSteps(Layer, kw_only=True):
    """What attention is told of the order of the steps, beside Keras' arguments."""

    use_causal_mask: bool = False
    rotary: Annotated[Any, Convert(rotation)] = False

    changeable = ("use_causal_mask",)


class SelfAttention(KernelAndBias, OrderOfSteps, kw_only=True, by_position=True):
    """o = softmax(q kᵀ / √key_dim) v in several heads, y = o · output + bias.

    A subclass is `MultiHeadAttention` or `GroupQueryAttention`: it says in `split` how many heads
    and groups there are, and of what size.
    """

    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: Positive | None = None
    flash_attention: bool | None = None
    use_gate: bool = argument(default=False, after="bias_constraint")
    seed: int | None = argument(default=None, after="use_gate")

    changeable = ("dropout", "sliding_window")
    input_spec = InputSpec(ndim=3)

    @property
    def sizes_out(self) -> tuple[int, ...] | None:
        """Of y behind (N, T); None for those of x."""
        return None

    def split(self) -> tuple[int, int, tuple[int, int]]:
        """The heads of queries, the groups of keys and values, and the sizes of a key and a value
        of a head."""
        raise TypeError(f"{type(self).__name__} has no split(self): write one")

    def __post_init__(self):
        who = type(self).__name__
        self.heads, self.groups, self.sizes = self.split()
        if self.flash_attention:
            raise ValueError(
                f"{who}: flash_attention=True names a kernel of Keras' engines; leave it out, the "
                "numbers are the same"
            )
        if self.rotary and self.sizes[0] % 2:
            raise ValueError(
                f"{who} with rotary turns pairs of features, so each head needs an even number of "
                f"them, got {self.sizes[0]}"
            )

    def build(self, input_shape):
        d, (key_dim, value_dim) = input_shape[-1], self.sizes
        self.query = self._projection((d,), (self.heads, key_dim), "query")
        self.key = self._projection((d,), (self.groups, key_dim), "key")
        if self.use_gate:
            self.gate = self._projection((d,), (self.heads, value_dim), "gate")
        self.value = self._projection((d,), (self.groups, value_dim), "value")
        sizes_out = self.sizes_out or (d,)
        self.output = self._projection((self.heads, value_dim), sizes_out, "attention_output")
        for projection in (*self.projections, self.output):
            projection.build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={-1: d})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], *(self.sizes_out or input_shape[2:]))

    @property
    def projections(self) -> list[Projection]:
        """Of x, in the order of their columns in z: query, key, value, and gate if there is one."""
        gate = [self.gate] if self.use_gate else []
        return [self.query, self.key, self.value, *gate]

    # ------------------------------------------------------------------------- forward and backward

    def forward(self, x, ctx=INFERENCE):
        joined, hidden = self.join(), self.hidden(x, ctx)
        x = cleaned(x, ctx.mask)  # p = 0 would not hide what is infinite
        q, k, v, gate = self.project(x, joined)
        if self.rotary is not None:
            q, k = self.turn(q, 0, False), self.turn(k, 0, False)
        unseen = self.unseen(x.shape[1], x.dtype, hidden)
        found = self.attend(q, k, v, unseen, hidden, ctx)
        o = found.o if gate is None else found.o * gate
        y, _ = self.output.forward(o)
        return y, (x, joined, q, k, v, gate, found, hidden, o)

    def backward(self, dy, cache):
        x, joined, q, k, v, gate, found, hidden, o = cache
        do = self.output.backward(dy, o)
        dz = np.empty((x.shape[0] * x.shape[1], joined[0].shape[1]), dy.dtype)
        dq, dk, dv, dgate = self.parts(dz, x.shape)
        if gate is not None:
            np.multiply(do * found.o, gate * (1 - gate), out=dgate)
            do = do * gate
        self.backward_attend(do, q, k, v, found, hidden, (dq, dk, dv))
        if self.rotary is not None:
            dq[...], dk[...] = self.turn(dq, 0, True), self.turn(dk, 0, True)
        return self.backward_project(dz, x, joined)

    def attend(self, q, k, v, unseen, hidden, ctx) -> Attended:
        """o = softmax(q kᵀ) v, where q has the scale already."""
        s = q @ np.ascontiguousarray(k.swapaxes(-1, -2))  # twice as fast as with a view
        if unseen is not None:
            s += unseen
        e, total = exponentials(s)
        if hidden is not None:
            total += hidden if self.dropout else hidden * e.shape[-1]
            if not self.dropout:  # a masked query sees all keys evenly, as in Keras
                e += hidden
        drop = self._draw(e, ctx)
        n, groups, queries, steps, _ = q.shape
        o = np.empty((n, steps, groups, queries, v.shape[-1]), q.dtype)
        by_head = o.transpose(0, 2, 3, 1, 4)
        np.matmul(e if drop is None else e * drop, v, out=by_head)
        by_head /= total
        return Attended(o.reshape(n, steps, self.heads, v.shape[-1]), e, total, drop)

    def backward_attend(self, do, q, k, v, found, hidden, into) -> None:
        """Write dq, dk and dv for do: (N, T, heads, value_dim)."""
        dq, dk, dv = into
        e, total, drop = found.e, found.total, found.drop
        do = self.by_head(do) / total
        sum_into(dv, (e if drop is None else e * drop).swapaxes(-1, -2), do)
        ds = do @ np.ascontiguousarray(v.swapaxes(-1, -2))
        if drop is not None:
            ds *= drop
        ds = softmax_backward(ds, e, total=total)
        if hidden is not None:
            ds *= 1 - hidden
        np.matmul(ds, k, out=dq)
        sum_into(dk, ds.swapaxes(-1, -2), q)

    # ---------------------------------------------------------------------------------- projections

    def join(self) -> tuple[Array, Array | None]:
        """W and b of z = x W + b, the projections side by side; those of q have the scale."""
        found = self.projections
        w = np.concatenate([f.matrix for f in found], axis=1)
        columns = self.query.matrix.shape[1]
        scale = w.dtype.type(self.sizes[0] ** -0.5)
        w[:, :columns] *= scale
        if not self.use_bias:
            return w, None
        b = np.concatenate([f.bias.reshape(-1) for f in found])
        b[:columns] *= scale
        return w, b

    def project(self, x, joined):
        """q, k, v by head and the gate, of (N, T, d)."""
        w, b = joined
        z = flat(x, x.shape[2:]) @ w
        if b is not None:
            z += b
        q, k, v, gate = self.parts(z, x.shape)
        return q, k, v, None if gate is None else sigmoid(gate)

    def backward_project(self, dz, x, joined):
        """dx, and the gradients of the projections."""
        w, _ = joined
        rows_of_x = flat(x, x.shape[2:])
        columns = self.query.matrix.shape[1]
        dx = (dz @ w.T).reshape(x.shape)
        dw = rows_of_x.T @ dz
        scale = w.dtype.type(self.sizes[0] ** -0.5)
        dw[:, :columns] *= scale
        ends = np.cumsum([f.matrix.shape[1] for f in self.projections])[:-1]
        for f, part in zip(self.projections, np.split(dw, ends, axis=1), strict=True):
            f.dkernel = part.reshape(f.kernel.shape)
        if self.use_bias:
            db = sum_rows(dz)
            db[:columns] *= scale
            for f, part in zip(self.projections, np.split(db, ends), strict=True):
                f.dbias = part.reshape(f.bias.shape)
        return dx

    def parts(self, z, shape):
        """The columns of z as q, k, v by head, and the gate's; views."""
        n, steps = shape[:2]
        key_dim, value_dim = self.sizes
        heads, groups = self.heads, self.groups
        ends = np.cumsum([heads * key_dim, groups * key_dim, groups * value_dim])
        z = z.reshape(n, steps, z.shape[-1])
        q = self.by_head(z[..., : ends[0]].reshape(n, steps, heads, key_dim))
        k = z[..., ends[0] : ends[1]].reshape(n, steps, groups, 1, key_dim)
        v = z[..., ends[1] : ends[2]].reshape(n, steps, groups, 1, value_dim)
        k, v = k.transpose(0, 2, 3, 1, 4), v.transpose(0, 2, 3, 1, 4)
        gate = z[..., ends[2] :].reshape(n, steps, heads, value_dim) if self.use_gate else None
        return q, k, v, gate

    def by_head(self, x):
        """(N, T, heads, k) → (N, groups, queries, T, k): a view."""
        n, steps, _, size = x.shape
        queries = self.heads // self.groups
        return x.reshape(n, steps, self.groups, queries, size).transpose(0, 2, 3, 1, 4)

    def turn(self, x, start, back):
        """x: (N, groups, queries, T, k) with its rotary positions."""
        assert self.rotary is not None
        y = np.empty(x.shape, x.dtype)
        cos, sin = self.rotary.angles(x.shape, start, x.dtype)
        turned(x, cos, sin, back, y)
        return y

    # ---------------------------------------------------------------------------- masks and dropout

    def hidden(self, x, ctx):
        """1 at a masked step, else 0: (N, 1, 1, T, 1); None without a mask."""
        if ctx.mask is None:
            return None
        real = self.real_steps(x, ctx.mask)
        return (~real).astype(x.dtype)[:, None, None, :, None]

    def unseen(self, steps, dtype, hidden=None, start=0):
        """-inf where a query does not see a key, else 0: (N or 1, 1, 1, T, S); None where all see
        all. The queries are the last `steps` of all, `start` keys lie before them.
        """
        far = None
        if self.use_causal_mask or self.sliding_window is not None:
            far = band(steps, start, self.use_causal_mask, self.sliding_window, np.dtype(dtype))
        if hidden is None:
            return far
        masked = np.where((hidden + hidden.swapaxes(-1, -2)) > 0, dtype.type(-np.inf), 0)
        return masked if far is None else masked + far

    def _draw(self, p, ctx):
        """What multiplies p: 0 or 1 / (1 - dropout)."""
        if not ctx.training or not self.dropout:
            return None
        kept = (self.rng.random(p.shape) >= self.dropout).astype(p.dtype)
        if self.dropout < 1:  # at 1 nothing is left that could be scaled up
            kept /= p.dtype.type(1 - self.dropout)
        return kept

    # --------------------------------------------------------------------------- further time steps

    @property
    def can_step(self):
        return self.use_causal_mask  # otherwise new steps change the earlier ones

    def step(self, x, memory):
        """`memory` holds the keys and values so far, and the joined projections."""
        before, joined = memory or (None, self.join())
        q, k, v, gate = self.project(x, joined)
        start = 0 if before is None else before[0].shape[-2]
        if self.rotary is not None:
            q, k = self.turn(q, start, False), self.turn(k, start, False)
        if before is not None:
            k, v = (np.concatenate(both, axis=-2) for both in zip(before, (k, v), strict=True))
        unseen = self.unseen(x.shape[1], x.dtype, None, start)
        o = self.attend(q, k, v, unseen, None, INFERENCE).o
        y, _ = self.output.forward(o if gate is None else o * gate)
        return y, ((k, v), joined)

    # ------------------------------------------------------------------------------- at the border

    def __call__(
        self, query, training: bool = False, mask=None, *, return_attention_scores: bool = False
    ) -> Any:
        """y for x, in inference unless told otherwise.

        With `return_attention_scores`, also p: (N, heads, T, T), before dropout.
        """
        if not isinstance(training, bool | np.bool_):
            raise TypeError(
                f"{self!r} takes one array, which is query, key and value at once: layer(x), with "
                "training and mask"
            )
        y = super().__call__(query, training, mask)
        return (y, self.scores(query, mask)) if return_attention_scores else y

    def scores(self, x, mask=None):
        """p = softmax(q kᵀ / √key_dim): (N, heads, T, T), what each query takes of each key.

        Parameters
        ----------
        x : array_like, (N, T, d)
        mask : array_like of bool, (N, T), optional
        """
        x = self.cast(np.asarray(x))
        mask = None if mask is None else self.fit_mask(mask, x.shape)
        _, cache = self.forward(x, INFERENCE.with_mask(mask))
        found = cache[6]
        p = found.e / found.total
        return p.reshape(p.shape[0], self.heads, *p.shape[3:])

    def _projection(self, sizes_in, sizes_out, name):
        return Projection(
            sizes_in,
            sizes_out,
            use_bias=self.use_bias,
            name=f"{self.name}/{name}",  # as in Keras' paths
            dtype=self.dtype,
            trainable=self.trainable,
            **{n: v for n, v in self._arguments.items() if n in OF_PROJECTIONS},
        )


def exponentials(s):
    """e = exp(s), up to a factor for each row, and Σ e along it, which is 0 only where all of a row
    is -inf.

    The factor that is always right is exp(-max s) of the row; where no sum can overflow or
    vanish it is left out, which is both faster and nearer.
    """
    if not s.size or s.max() <= SAFE:
        e = np.exp(s)
        total = sum_keys(e)
        if total.min(where=total > 0, initial=1.0) >= math.exp(-SAFE) and not lost(total, s):
            return e, total
    least = np.finfo(s.dtype).min  # where all is -inf, -inf is not subtracted from itself
    e = np.exp(s - s.max(-1, keepdims=True, initial=least))
    return e, sum_keys(e)


def lost(total, s):
    """Whether a sum is 0 by underflow."""
    zero = total == 0
    return zero.any() and np.isfinite(s[np.broadcast_to(zero, s.shape)]).any()


def sum_keys(e):
    """Σ over the last axis, which stays."""
    return sum_last(e.reshape(math.prod(e.shape[:-1]), e.shape[-1])).reshape(*e.shape[:-1], 1)


def sum_into(out, a, b) -> None:
    """out = Σ a b over the queries of a group; (N, groups, 1, S, k)."""
    if a.shape[2] == 1:
        np.matmul(a, b, out=out)
    else:
        np.sum(a @ b, axis=2, keepdims=True, out=out)


@lru_cache(maxsize=16)
def band(steps: int, start: int, causal: bool, window: int | None, dtype) -> Any:
    """-inf where a key is after a query or too far from it, else 0: (1, 1, 1, T, S)."""
    queries, keys = np.ogrid[start : start + steps, : start + steps]
    far = np.zeros((steps, start + steps), bool)
    if causal:
        far |= keys > queries
    if window is not None:
        far |= abs(queries - keys) >= window
    return constant(np.where(far, -np.inf, 0).astype(dtype)[None, None, None])
