"""Attention of arrays as they are: no projections, one head."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Fraction, choice
from backprop.counts import Count, plus, times
from backprop.initializers.draws import Seed
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Context, InputSpec
from backprop.layers.attention.common import AnyAttention
from backprop.linalg import softmax, softmax_backward
from backprop.masks import cleaned, only_real
from backprop.nest import as_tuple, several
from backprop.promises import short_for


class Unprojected(AnyAttention, kw_only=True):
    """y = softmax(s) value, where a subclass says in `score` what s is, and in `backward_score`
    what comes back to query and key."""

    changeable = ("dropout",)
    several_inputs = True
    input_spec = InputSpec(ndim=3)

    def score(self, q: Array, k: Array) -> tuple[Array, Any]:
        """s: (N, T, S), and what `backward_score` will need."""
        raise TypeError(f"{type(self).__name__} has no score(self, q, k): write one")

    def backward_score(self, ds: Array, cache: Any) -> tuple[Array, Array]:
        """dL/ds → dq, dk; sets the gradient of every parameter."""
        raise TypeError(f"{type(self).__name__} has no backward_score(self, ds, cache): write one")

    def compute_output_shape(self, input_shape) -> Any:
        query, value = input_shape[:2]
        y = (*query[:-1], value[-1])
        return (y, (*query[:2], value[1])) if self.return_attention_scores else y

    # ------------------------------------------------------------------------- forward and backward

    def forward(self, x, ctx=INFERENCE) -> Any:
        return self.attend(x, ctx)

    def backward(self, dy, cache) -> Any:
        v, has_key, scored, p, kept, blind, of_query = cache
        dy, dw = dy if type(dy) is tuple else (dy, None)
        dy = only_real(dy, of_query)
        dv = (p if kept is None else p * kept).swapaxes(-1, -2) @ dy
        dp = dy @ v.swapaxes(-1, -2)
        if dw is not None:
            dp += dw
        if kept is not None:
            dp *= kept
        ds = softmax_backward(dp, p)
        if blind is not None:
            ds *= ~blind
        dq, dk = self.backward_score(ds, scored)
        return (dq, dv, dk) if has_key else (dq, dv + dk)

    def attend(self, x, ctx, start: int = 0) -> Any:
        """`forward` of the queries from step `start` on."""
        of_query, of_value = self.real(x, ctx.mask)
        masks = of_query, of_value, of_value
        q, v, *k = (cleaned(a, m) for a, m in zip(x, masks, strict=False))
        s, scored = self.score(q, *(k or [v]))
        seen = self.seen(s, of_value, start)
        blind = None
        if seen is not None:
            s = np.where(seen, s, s.dtype.type(-np.inf))
            blind = ~seen.any(-1, keepdims=True)
            blind = blind if blind.any() else None
            if blind is not None:
                s = np.where(blind, s.dtype.type(0), s)  # the mean of all values
        p = softmax(s)
        kept = self.kept(p, ctx)
        w = p if kept is None else p * kept
        y = only_real(w @ v, of_query)
        cache = v, bool(k), scored, p, kept, blind, of_query
        return ((y, w) if self.return_attention_scores else y), cache

    def real(self, x, mask) -> tuple[Array | None, Array | None]:
        """Which queries are real and which values, None where all are. The key's mask is not
        asked, as in Keras."""
        if mask is None:
            return None, None
        found = zip(x[:2], mask[:2], strict=True)
        of_query, of_value = (None if m is None else self.real_steps(a, m) for a, m in found)
        return of_query, of_value

    def seen(self, s, of_value, start) -> Array | None:
        """Which keys count, broadcasting to s; None where all do."""
        seen = None if of_value is None else of_value[:, None]
        if not self.use_causal_mask:
            return seen
        before = np.tri(s.shape[1], s.shape[2], start, dtype=bool)
        return before if seen is None else seen & before

    # --------------------------------------------------------------------------- further time steps

    can_step_query = True  # where value and key are those of a sequence that is there as a whole

    def remember(self, *others, mask=None) -> Any:
        """What `step` begins with: value and key, which of the values are real, and how many
        queries there were."""
        return others, as_tuple(mask)[0], 0

    def step(self, x, memory) -> Any:
        """`x` is queries; or a tuple as in `forward`, of which the rest is read at the first
        step."""
        query, *others = as_tuple(x)
        others, real, start = memory or self.remember(*others)
        ctx = INFERENCE if real is None else Context(mask=(None, real, None)[: 1 + len(others)])
        y, _ = self.attend((query, *others), ctx, start)
        return y, (others, real, start + query.shape[1])

    # ------------------------------------------------------------------------------- at the border

    def check_input(self, shape):
        if not several(shape) or not 2 <= len(shape) <= 3 or any(s is None for s in shape):
            got = f"{len(shape)} arrays" if several(shape) else "one array"
            raise ValueError(
                f"{self!r} is called on a list, [query, value] or [query, value, key], got {got}"
            )
        query, value, key = (*shape, shape[1])[:3]
        size = self.build_shape[0][2] if self.built and self.build_shape else key[-1]
        fit = all(len(s) == 3 for s in shape) and query[2] == key[2] == size
        if not fit or query[0] != value[0] or value[:2] != key[:2]:
            raise ValueError(
                f"{self!r} expects a query (batch, T, {size}), a value (batch, S, n) and a key "
                f"(batch, S, {size}), which is the value where there is none; got "
                + " and ".join(map(show_shape, shape))
            )


class Attention(Unprojected):
    """y = softmax(s) value, with s = scale query keyᵀ: each query takes the values whose keys are
    like it.

        query: (N, T, d)    value: (N, S, n)    key: (N, S, d), default value    s, p: (N, T, S)
        y: (N, T, n)

        dot       s[t, r] = scale Σ_f query[t, f] key[r, f]
        concat    s[t, r] = c Σ_f h[t, r, f]        h[t, r] = tanh(scale (query[t] + key[r]))

    y = p value is a product and the softmax p has its derivative row by row:

        dvalue = pᵀ dy        dp = dy valueᵀ        ds = p (dp - Σ_keys dp p)

    A dot is a product again:

        dquery = scale ds key        dkey = scale dsᵀ query        dscale = Σ ds query keyᵀ

    and of concat, with da = c ds (1 - h²), what comes back to scale (query + key):

        dquery[t] = scale Σ_r da[t, r]        dkey[r] = scale Σ_t da[t, r]
        dscale = Σ da (query + key)           dc = Σ ds Σ_f h

    Without a key the value is its own, and dvalue is the sum of the two.

    In training, dropout multiplies p by a random 0 or 1 / (1 - dropout), and dp likewise. Scores
    that are an output have that factor too, and what comes back to them is added to dy valueᵀ.

    Parameters
    ----------
    use_scale : bool, default False
        Train `scale`, a number that begins as 1; it is 1 otherwise.
    score_mode : {"dot", "concat"}, default "dot"
        With "concat" c, `concat_score_weight`, is trained; it begins as 1.
    dropout : float, default 0.0
        Fraction of p that is dropped in training.
    seed : int, optional
    use_causal_mask : bool, default False
        Whether a query sees only the keys up to its own place. The call may say it, as in Keras.
    return_attention_scores : bool, default False
        Whether p is a second output. The call may say it, as in Keras.
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For a value outside of what is said above, and for arrays that do not go together.

    Notes
    -----
    It is called on a list, ``layer([query, value])`` or ``layer([query, value, key])``, its mask a
    list of that of the query and that of the value: y is 0 at masked queries, and no query sees a
    masked value, or sees all alike, whatever their scores are, where all are masked. y has the mask
    of the query.

    References
    ----------
    Luong et al.: Effective approaches to attention-based neural machine translation, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Attention
    >>> query, value = np.array([[[20.0, 0.0]]]), np.array([[[20.0, 0.0], [0.0, 20.0]]])
    >>> Attention()([query, value])
    array([[[20.,  0.]]], dtype=float32)
    """

    use_scale: bool = False
    score_mode: Annotated[str, choice("dot", "concat")] = "dot"
    dropout: Fraction = 0.0
    seed: Seed = None

    def build(self, input_shape):
        if self.use_scale:
            self.scale, self.dscale = self.param("scale", (), "ones")
        if self.score_mode == "concat":
            weight = self.param("concat_score_weight", (), "ones")
            self.concat_score_weight, self.dconcat_score_weight = weight

    @short_for("forward", "attend", "score")
    def multiply_adds(self, input_shape) -> Count:
        query, value, *_ = input_shape
        pairs = times(query[1], value[1])
        summed = query[-1] if self.score_mode == "dot" else 0
        return plus((times(pairs, summed), times(pairs, value[-1])))

    def score(self, q, k):
        scale = self.scale if self.use_scale else 1
        if self.score_mode == "dot":
            s = q @ k.swapaxes(-1, -2)
            return s * scale, (q, k, s)
        h = np.tanh(scale * (q[:, :, None] + k[:, None]))
        s = h.sum(-1)
        return self.concat_score_weight * s, (q, k, s, h)

    def backward_score(self, ds, cache):
        q, k, s, *h = cache
        if h:
            self.dconcat_score_weight = (ds * s).sum()
            da = (self.concat_score_weight * ds)[..., None] * (1 - h[0] * h[0])
            dq, dk = da.sum(2), da.sum(1)
            dscale = (dq * q).sum() + (dk * k).sum()
        else:
            dq, dk = ds @ k, ds.swapaxes(-1, -2) @ q
            dscale = (ds * s).sum()
        if self.use_scale:
            self.dscale = dscale
            dq, dk = dq * self.scale, dk * self.scale
        return dq, dk


class AdditiveAttention(Unprojected):
    """y = softmax(s) value, with s = Σ_f scale_f tanh(query + key)_f: a layer of tanh says how well
    a query and a key go together.

        query: (N, T, d)    value: (N, S, n)    key: (N, S, d), default value    scale: (d,)
        h: (N, T, S, d)     s, p: (N, T, S)     y: (N, T, n)

        h[t, r] = tanh(query[t] + key[r])        s[t, r] = Σ_f scale[f] h[t, r, f]

    The softmax and the values are those of `Attention`. With da = ds scale (1 - h²), what comes
    back to query + key,

        dquery[t] = Σ_r da[t, r]        dkey[r] = Σ_t da[t, r]        dscale = Σ ds h

    Without a key the value is its own, and dvalue is the sum of the two.

    Parameters
    ----------
    use_scale : bool, default True
        Train `scale`; it is 1 otherwise.
    dropout, seed, use_causal_mask, return_attention_scores, **kwargs
        As in `Attention`.

    Raises
    ------
    ValueError
        For arrays that do not go together.

    Notes
    -----
    Calls and masks are those of `Attention`. h has an entry for each feature of each pair: for
    long sequences it is the larger part of what a pass keeps.

    References
    ----------
    Bahdanau, Cho, Bengio: Neural machine translation by jointly learning to align and translate,
    2014.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdditiveAttention
    >>> layer = AdditiveAttention()
    >>> layer([np.zeros((1, 5, 8)), np.zeros((1, 7, 8))]).shape, layer.scale.shape
    ((1, 5, 8), (8,))
    """

    use_scale: bool = True
    dropout: Fraction = 0.0
    seed: Seed = argument(default=None, kw_only=True)

    def build(self, input_shape):
        if self.use_scale:
            self.scale, self.dscale = self.param("scale", input_shape[0][2:])

    @short_for("forward", "attend", "score")
    def multiply_adds(self, input_shape) -> Count:
        query, value, *_ = input_shape
        pairs = times(query[1], value[1])
        summed = query[-1] if self.use_scale else 0
        return plus((times(pairs, summed), times(pairs, value[-1])))

    def score(self, q, k):
        h = np.tanh(q[:, :, None] + k[:, None])
        return h @ self.scale if self.use_scale else h.sum(-1), h

    def backward_score(self, ds, cache):
        h = cache
        da = ds[..., None] * (1 - h * h)
        if self.use_scale:
            da *= self.scale
            self.dscale = ds.reshape(-1) @ h.reshape(-1, h.shape[-1])
        return da.sum(2), da.sum(1)
