"""What goes into attention and what comes out: the arrays by name, and their projections.

Those of one array are one product, z = x w + b, and each is a view of z; going back, the gradients
of the projected arrays are written into views of dz.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from backprop.arguments import Convert, argument, declared
from backprop.checks import Fraction, Positive
from backprop.initializers.draws import Seed
from backprop.input_spec import show_shape
from backprop.layer import Array, InputSpec
from backprop.layers.attention.common import AnyAttention
from backprop.layers.attention.projection import Projection, flat
from backprop.layers.attention.rotary import RotaryEmbedding
from backprop.layers.kernels import KernelAndBias
from backprop.linalg import sum_rows
from backprop.nest import as_tuple, several

OF_PROJECTIONS = declared(KernelAndBias).keys() - {"activity_regularizer"}


class Inputs(NamedTuple):
    """What attention is given, or the masks or the shapes of it, by name. Without a value the query
    attends to itself, without a key the value is its own."""

    query: Any
    value: Any = None
    key: Any = None
    attention_mask: Any = None


def named(x: Any) -> Inputs:
    """One array (a mask, None) or a tuple of them."""
    return Inputs(*as_tuple(x))


def named_shapes(shape: Any) -> Inputs:
    return Inputs(*shape) if several(shape) else Inputs(shape)


class Joined(NamedTuple):
    """Projections of one array side by side: z = x w + b.

    Attributes
    ----------
    names : tuple of str
        Of the projections, in the order of their columns in w.
    w, b : ndarray, (d, columns) and (columns,)
        The query's columns have the scale, 1 / √key_dim. b is None without biases.
    """

    names: tuple[str, ...]
    w: Array
    b: Array | None

    def of_rows(self, rows: Array) -> Joined:
        """Itself, in the memory of other rows of a batch."""
        return self


def rotation(value: Any, who: str, name: str) -> RotaryEmbedding | None:
    if not isinstance(value, bool | RotaryEmbedding):
        raise TypeError(
            f"{who} expects {name} to be True, False or a RotaryEmbedding, got {value!r}"
        )
    return RotaryEmbedding() if value is True else value or None


class BesideKeras(AnyAttention, kw_only=True):
    """What attention is told of positions, and when it is called."""

    rotary: Annotated[Any, Convert(rotation)] = argument(default=False, after="use_causal_mask")


class Projecting(KernelAndBias, BesideKeras, kw_only=True, by_position=True):
    """Attention's arguments and its projections: all but the attention.

    A subclass says in `split` how many heads and groups there are, and of what size.
    """

    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: Positive | None = None
    flash_attention: bool | None = None
    use_gate: bool = argument(default=False, after="bias_constraint")
    seed: Seed = argument(default=None, after="use_gate")

    changeable = ("dropout", "sliding_window")
    input_spec = InputSpec(ndim=3)

    @property
    def sizes_out(self) -> tuple[int, ...] | None:
        """Of y behind (N, T); None for those of the query."""
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
        shapes, (key_dim, value_dim) = named_shapes(input_shape), self.sizes
        of_query = shapes.query[-1]
        of_value = of_query if shapes.value is None else shapes.value[-1]
        of_key = of_value if shapes.key is None else shapes.key[-1]
        self.query = self._projection((of_query,), (self.heads, key_dim), "query")
        self.key = self._projection((of_key,), (self.groups, key_dim), "key")
        if self.use_gate:
            self.gate = self._projection((of_query,), (self.heads, value_dim), "gate")
        self.value = self._projection((of_value,), (self.groups, value_dim), "value")
        sizes_out = self.sizes_out or (of_query,)
        self.output = self._projection((self.heads, value_dim), sizes_out, "attention_output")
        gate = [self.gate] if self.use_gate else []
        for projection in (self.query, self.key, self.value, *gate, self.output):
            projection.build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={-1: of_query})

    def compute_output_shape(self, input_shape):
        shapes = named_shapes(input_shape)
        query, value = shapes.query, shapes.query if shapes.value is None else shapes.value
        y = (*query[:2], *(self.sizes_out or query[2:]))
        return (
            (y, (query[0], self.heads, query[1], value[1])) if self.return_attention_scores else y
        )

    def check_input(self, shape):
        query, value, key, pairs = named_shapes(shape)
        if self.rotary is not None and value is not None:
            raise ValueError(
                f"{self!r} turns queries and keys by their positions in one sequence, and got a "
                "value of another: leave out rotary, or give the sequence alone, layer(x)"
            )
        value = query if value is None else value
        key = value if key is None else key
        for name, given in (("query", query), ("value", value), ("key", key)):
            axes = {-1: getattr(self, name).sizes_in[0]} if self.built else None
            spec = InputSpec(ndim=3, axes=axes)
            if not spec.accepts(given):
                who = name if several(shape) else "inputs"
                raise ValueError(
                    f"{self!r} expects {who} of {spec} and got {show_shape(given[1:])}"
                )
        if not (alike(query[:1], value[:1]) and alike(value[:2], key[:2])):
            raise ValueError(
                f"{self!r} expects as many queries, values and keys, and a value for each step of "
                f"the key; got {show_shape(query)}, {show_shape(value)} and {show_shape(key)}"
            )
        whole = (query[0], self.heads, query[1], value[1])
        if pairs is not None and not allows(tuple(pairs), whole):
            raise ValueError(
                f"{self!r} expects an attention_mask of shape {show_shape(whole)}, without the "
                f"heads or without the batch too, and got {show_shape(pairs)}"
            )

    # ---------------------------------------------------------------------------------- projections

    def ways(self, x: Inputs) -> list[tuple[Array, tuple[str, ...]]]:
        """Each array that is given, and what is made of it."""
        gate = ("gate",) if self.use_gate else ()
        if x.value is None:
            return [(x.query, ("query", "key", "value", *gate))]
        if x.key is None:
            return [(x.query, ("query", *gate)), (x.value, ("key", "value"))]
        return [(x.query, ("query", *gate)), (x.value, ("value",)), (x.key, ("key",))]

    def join(self, names: tuple[str, ...]) -> Joined:
        """Projections side by side; the query's has the scale."""
        found = [getattr(self, name) for name in names]
        w = np.concatenate([f.matrix for f in found], axis=1)
        b = np.concatenate([f.bias.reshape(-1) for f in found]) if self.use_bias else None
        self._scale(names, w, b)
        return Joined(names, w, b)

    def project(self, x, joined: Joined) -> dict[str, Array]:
        """The projections of (N, T, d), each by head."""
        z = flat(x, x.shape[2:]) @ joined.w
        if joined.b is not None:
            z += joined.b
        return self.columns(z, x.shape, joined.names)

    def backward_project(self, dz, x, joined: Joined):
        """dx, and the gradients of the projections."""
        rows_of_x = flat(x, x.shape[2:])
        dx = (dz @ joined.w.T).reshape(x.shape)
        dw = rows_of_x.T @ dz
        db = sum_rows(dz) if self.use_bias else None
        self._scale(joined.names, dw, db)
        stop = 0
        for f in (getattr(self, name) for name in joined.names):
            start, stop = stop, stop + f.matrix.shape[1]
            f.dkernel = dw[:, start:stop].reshape(f.kernel.shape)
            if db is not None:
                f.dbias = db[start:stop].reshape(f.bias.shape)
        return dx

    def columns(self, z, shape, names) -> dict[str, Array]:
        """The columns of z by head, (N, groups, queries, T, k), and the gate's as (N, T, heads, k):
        views."""
        n, steps = shape[:2]
        z = z.reshape(n, steps, z.shape[-1])
        found, stop = {}, 0
        for name in names:
            f = getattr(self, name)
            start, stop = stop, stop + f.matrix.shape[1]
            part = z[..., start:stop].reshape(n, steps, *f.sizes_out)
            found[name] = part if name == "gate" else self.by_head(part)
        return found

    def by_head(self, x):
        """(N, T, heads, k) → (N, groups, queries, T, k): a view. A key or a value has one query."""
        n, steps, heads, size = x.shape
        x = x.reshape(n, steps, self.groups, heads // self.groups, size)
        return x.transpose(0, 2, 3, 1, 4)

    def _scale(self, names, w, b) -> None:
        """The query's columns, the first, times 1 / √key_dim."""
        if names[0] != "query":
            return
        columns = self.query.matrix.shape[1]
        scale = w.dtype.type(self.sizes[0] ** -0.5)
        w[:, :columns] *= scale
        if b is not None:
            b[:columns] *= scale

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


def alike(a, b) -> bool:
    """Whether sizes are the same, as far as they are known."""
    return all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))


def allows(pairs, whole) -> bool:
    """Whether an attention mask broadcasts to (N, heads, T, S), where the heads are left out first
    and then the batch."""
    batch, heads, *rest = whole
    wanted = {2: rest, 3: [batch, *rest], 4: [batch, heads, *rest]}.get(len(pairs), ())
    return len(pairs) == len(wanted) and all(
        n in (None, 1) or m in (None, n) for n, m in zip(pairs, wanted, strict=True)
    )
