"""The blocks of transformers: attention and a perceptron, each with a way around it."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from backprop import initializers
from backprop.arguments import Convert
from backprop.checks import Fraction, NumberFromZero, Positive
from backprop.counts import Count
from backprop.input_spec import show_shape
from backprop.layer import InputSpec, Layer
from backprop.layers.activations import layer_of
from backprop.layers.attention import GroupQueryAttention, MultiHeadAttention
from backprop.layers.attention.projecting import rotation
from backprop.layers.branches import Residual
from backprop.layers.chain import Chain
from backprop.layers.containers import Container
from backprop.layers.dense import Dense
from backprop.layers.graph import Graph
from backprop.layers.inputs import Input
from backprop.layers.merging import Add
from backprop.layers.noise import Dropout
from backprop.layers.normalization import LayerNormalization
from backprop.nest import as_tuple, several
from backprop.parallel import pays, run
from backprop.promises import short_for
from backprop.tuning import FORK_SIZE


class Halves(NamedTuple):
    """The caches of the two halves of a batch."""

    first: Any
    second: Any


# each part of a block makes its own of these, so they are kept as they were given


def an_activation(value: Any, who: str, name: str) -> Any:
    layer_of(value)
    return value


def an_initializer(value: Any, who: str, name: str) -> Any:
    initializers.get(value)
    return value


def a_rotation(value: Any, who: str, name: str) -> Any:
    rotation(value, who, name)
    return value


class Transformer(Container):
    """What the blocks of an encoder and of a decoder have in common: their arguments, and the parts
    that these make."""

    intermediate_dim: Positive
    num_heads: Positive
    dropout: Fraction = 0.0
    activation: Annotated[Any, Convert(an_activation)] = "relu"
    layer_norm_epsilon: NumberFromZero = 1e-5
    kernel_initializer: Annotated[Any, Convert(an_initializer)] = "glorot_uniform"
    bias_initializer: Annotated[Any, Convert(an_initializer)] = "zeros"
    normalize_first: bool = False
    _: KW_ONLY
    num_key_value_heads: Positive | None = None
    use_causal_mask: bool = False
    sliding_window: Positive | None = None
    use_bias: bool = True
    rotary: Annotated[Any, Convert(a_rotation)] = False

    def __post_init__(self):
        self.divides_batches = not self.dropout
        groups = self.num_key_value_heads
        if groups is not None and self.num_heads % groups:
            raise ValueError(
                f"{type(self).__name__} expects num_key_value_heads to divide num_heads, got "
                f"{groups} and {self.num_heads}"
            )

    def size_of(self, shape) -> int:
        """The features of x, which the heads share among them."""
        d = shape[-1]
        if d is None or d % self.num_heads:
            raise ValueError(
                f"{self!r} gives each of its {self.num_heads} heads as many features, so it "
                f"expects a multiple of {self.num_heads} of them and got {d}"
            )
        return d

    def self_attention(self, d: int) -> Any:
        return self.any_attention(
            d,
            use_causal_mask=self.use_causal_mask,
            sliding_window=self.sliding_window,
            rotary=self.rotary,
        )

    def any_attention(self, d: int, **options: Any) -> Any:
        options |= {"dropout": self.dropout, **self._dense()}
        size, groups = d // self.num_heads, self.num_key_value_heads
        if groups is None:
            return MultiHeadAttention(self.num_heads, size, **options)
        return GroupQueryAttention(size, self.num_heads, groups, **options)

    def perceptron(self, d: int) -> list[Layer]:
        return self.with_a_way_around(
            Dense(self.intermediate_dim, self.activation, **self._dense()),
            Dense(d, **self._dense()),
        )

    def with_a_way_around(self, *part: Layer) -> list[Layer]:
        """x + part(norm(x)), or norm(x + part(x))."""
        norm, part = self.norm(), (*part, *self.dropping())
        return [Residual([norm, *part])] if self.normalize_first else [Residual([*part]), norm]

    def norm(self) -> Layer:
        return LayerNormalization(epsilon=self.layer_norm_epsilon)

    def dropping(self) -> list[Layer]:
        return [Dropout(self.dropout)] if self.dropout else []

    def _dense(self) -> dict[str, Any]:
        return {
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
        }


class TransformerBlock(Transformer):
    """y = norm(h + perceptron(h)), where h = norm(x + attention(x)): the post-norm block; pre-norm:
    y = h + perceptron(norm(h)), where h = x + attention(norm(x)).

        x, h, y: (N, T, d)

        perceptron(h) = activation(h · kernel₁ + bias₁) · kernel₂ + bias₂, of intermediate_dim units

    Nothing is derived here: the block is a `Chain` of `Residual` and the layers in them. In the
    pre-norm block x reaches y unchanged, and so does dy dx, however many blocks there are; the
    chain ends in a sum that a `LayerNormalization` behind the last block brings back to scale.

    Parameters
    ----------
    intermediate_dim : int
        Units of the perceptron's first layer; often 4 d.
    num_heads : int
        Divides d: each head has d / num_heads features.
    dropout : float, default 0.0
        Fraction that is dropped in training: of the attention's weights, and of what attention and
        perceptron add.
    activation : str, function or Layer, default "relu"
    layer_norm_epsilon : float, default 1e-5
    kernel_initializer, bias_initializer : str or Initializer
        Of attention and perceptron. Defaults: Glorot uniform and zeros.
    normalize_first : bool, default False
        Pre-norm instead of post-norm.
    num_key_value_heads : int, optional
        Fewer keys and values than queries, see `GroupQueryAttention`. Default: `num_heads`.
    use_causal_mask : bool, default False
        Whether a step sees only itself and the steps before.
    sliding_window : int, optional
        A query sees only the keys less than so many steps away. Default: all.
    use_bias : bool, default True
        Whether attention and perceptron have biases.
    rotary : bool or RotaryEmbedding, default False
        Turn queries and keys by their positions.
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Attributes
    ----------
    attention : MultiHeadAttention or GroupQueryAttention
        Once the block is built.

    Raises
    ------
    ValueError
        Where `num_heads` does not divide d, or `num_key_value_heads` does not divide `num_heads`.

    Notes
    -----
    The first arguments, their defaults and the numbers are those of
    keras_hub.layers.TransformerEncoder, and of its TransformerDecoder with `use_causal_mask`.

    Where BLAS has more than one thread, the halves of a large batch run on two: the samples of a
    batch do not meet in the block. Not so in training with dropout, whose draws have an order.

    References
    ----------
    Vaswani et al.: Attention is all you need, 2017, section 3.1. Pre-norm: Xiong et al.: On layer
    normalization in the transformer architecture, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import TransformerBlock
    >>> block = TransformerBlock(32, num_heads=2, normalize_first=True, use_causal_mask=True)
    >>> block(np.zeros((1, 5, 8))).shape
    (1, 5, 8)
    """

    input_spec = InputSpec(ndim=3)
    _twin: Chain | None = None

    def build(self, input_shape):
        d = self.size_of(input_shape)
        attention = self.self_attention(d)
        self.chain = Chain([*self.with_a_way_around(attention), *self.perceptron(d)])
        self.attention = attention  # behind the chain, in whose order the weights are
        self.build_part(self.chain, 0, input_shape)
        for part in self.chain.walk():
            self.speak_for(part)
        self.input_spec = InputSpec(ndim=3, axes={-1: d})

    def parts(self) -> tuple[str, list[Layer]]:
        return "part", [self.chain]

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        return self.chain.multiply_adds(input_shape)

    def propagate(self, x, ctx):
        if not self._forks(x, ctx):
            return self.chain.propagate(x, ctx)
        half, ctxs = len(x) // 2, [ctx, ctx]
        if ctx.mask is not None:
            ctxs = [ctx.with_mask(ctx.mask[:half]), ctx.with_mask(ctx.mask[half:])]
        (y, first, _), (z, second, _) = run(
            [
                lambda: self.chain.propagate(x[:half], ctxs[0]),
                lambda: self.chain.propagate(x[half:], ctxs[1]),
            ]
        )
        return np.concatenate((y, z)), Halves(first, second), ctx.mask

    def backward(self, dy, cache):
        if not isinstance(cache, Halves):
            return self.chain.backward(dy, cache)
        twin, half = self._replica(), len(dy) // 2
        dx = run(
            [
                lambda: self.chain.backward(dy[:half], cache.first),
                lambda: twin.backward(dy[half:], cache.second),
            ]
        )
        self.chain.add_gradients(twin)
        return np.concatenate(dx)

    def backward_params(self, dy, cache):
        if not isinstance(cache, Halves):
            self.chain.backward_params(dy, cache)
        else:
            self.backward(dy, cache)

    def _forks(self, x, ctx) -> bool:
        """Whether the halves of the batch run on two threads. Dropout would draw in an order that
        depends on them, and a penalty counts the rows of its batch."""
        drops = ctx.training and self.dropout
        return x.size >= FORK_SIZE and len(x) > 1 and not drops and ctx.penalties is None and pays()

    def _replica(self) -> Chain:
        """The chain with gradients of its own, made for the first batch that is run in halves."""
        twin = self._twin or self.chain.replica()
        self._twin = twin
        return twin

    def __getstate__(self):
        return super().__getstate__() | {"_twin": None}

    def replica(self, memo=None):
        twin = super().replica(memo)
        twin._twin = None
        return twin

    @property
    def can_step(self):
        return self.built and self.chain.can_step

    def step(self, x, memory):
        return self.chain.step(x, memory)


class TransformerDecoder(Transformer):
    """y = norm(g + perceptron(g)), where g = norm(h + look(h, encoded)) and h = norm(x +
    attention(x)): the block of a decoder, which looks back at what it has written and over at what
    an encoder has read. Pre-norm: y = g + perceptron(norm(g)), g = h + look(norm(h), encoded), h =
    x + attention(norm(x)).

        x, h, g, y: (N, T, d)    encoded: (N, S, n)

    Nothing is derived here: the block is a `Graph` of the parts of a `TransformerBlock` and one
    layer that reads two arrays, the attention `look`. Its queries are of h, its keys and values of
    encoded, so with ds for what came back to the sum h + look(h, encoded)

        dh = ds + dq Qᵀ, in pre-norm ds + norm'(dq Qᵀ)        dencoded = dk Kᵀ + dv Vᵀ

    What several blocks read of one encoder receives the sum of what each passes back.

    Parameters
    ----------
    intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon
    kernel_initializer, bias_initializer, normalize_first, num_key_value_heads, use_bias
        As in `TransformerBlock`, of both attentions.
    use_causal_mask : bool, default True
        Whether a step of x sees only itself and the steps before.
    sliding_window, rotary
        As in `TransformerBlock`, of the attention of x to itself.
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Attributes
    ----------
    attention, look : MultiHeadAttention or GroupQueryAttention
        Of x to itself and to encoded, once the block is built.

    Raises
    ------
    ValueError
        Where `num_heads` does not divide d, or `num_key_value_heads` does not divide `num_heads`,
        and when it is not called on two sequences.

    Notes
    -----
    The first arguments, their defaults and the numbers are those of
    keras_hub.layers.TransformerDecoder, which is called as this one, ``layer(decoder_sequence,
    encoder_sequence)``. Without an encoder it is a `TransformerBlock` with a causal mask.

    Masks come with the two sequences: no step sees a masked one of either. y has that of x.

    References
    ----------
    Vaswani et al.: Attention is all you need, 2017, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import TransformerDecoder
    >>> block = TransformerDecoder(32, num_heads=2)
    >>> block(np.zeros((1, 5, 8)), np.zeros((1, 7, 6))).shape
    (1, 5, 8)
    """

    call_inputs = ("decoder_sequence", "encoder_sequence")

    use_causal_mask = True
    input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        d = self.size_of(input_shape[0])
        attention = self.self_attention(d)
        look, norm = self.any_attention(d), self.norm()
        before, after = Chain(self.with_a_way_around(attention)), Chain(self.perceptron(d))
        parts = [before, look, norm, *(drop := self.dropping()), after]
        for part in parts:
            part.adopt_dtype(self.dtype)
        x, encoded = (Input(batch_shape=shape) for shape in input_shape)
        h = before(x)
        a = look(norm(h) if self.normalize_first else h, encoded)
        for layer in drop:
            a = layer(a)
        g = Add()([h, a])
        y = after(g if self.normalize_first else norm(g))
        self.graph = Graph([x, encoded], y)
        self.attention, self.look = (
            attention,
            look,
        )  # behind the graph, whose order the weights have
        self.build_part(self.graph, 0, input_shape)
        for part in self.graph.walk():
            self.speak_for(part)

    def check_input(self, shape):
        if not several(shape) or len(shape) != 2 or any(s is None for s in shape):
            raise ValueError(
                f"{self!r} is called on two sequences, a decoder's and what an encoder made of "
                "another; a block without the other is TransformerBlock(..., use_causal_mask=True)"
            )
        built: Any = self.build_shape if self.built else ((None,), (None,))
        for name, given, known in zip(self.call_inputs, shape, built, strict=True):
            spec = InputSpec(ndim=3, axes=None if known[-1] is None else {-1: known[-1]})
            if not spec.accepts(tuple(given)):
                raise ValueError(
                    f"{self!r} expects {name} of {spec} and got {show_shape(given[1:])}"
                )
        n, m = shape[0][0], shape[1][0]
        if None not in (n, m) and n != m:
            raise ValueError(f"{self!r} expects as many sequences of both, got {n} and {m}")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def parts(self) -> tuple[str, list[Layer]]:
        return "part", [self.graph]

    def compute_mask(self, x, mask=None):
        return as_tuple(mask)[0]

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        return self.graph.multiply_adds(input_shape)

    def propagate(self, x, ctx):
        return self.graph.propagate(x, ctx)

    def backward(self, dy, cache):
        return self.graph.backward(dy, cache)

    def backward_params(self, dy, cache):
        self.graph.backward_params(dy, cache)

    @property
    def can_step_query(self) -> bool:
        """Whether y of the whole x is that of one `step` after the other, encoded being whole."""
        return self.built and self.graph.can_step_query

    def remember(self, encoded, mask=None) -> Any:
        """What `step` begins with: the keys and values of encoded, once. `mask`, (N, S): which of
        its steps are real."""
        return self.graph.remember(encoded, mask=mask)

    def step(self, x, memory):
        """`x` is steps of x; or a tuple with all of encoded, which is read at the first step."""
        x, *encoded = as_tuple(x)
        return self.graph.step(x, memory or self.remember(*encoded))
