"""What every attention has: options that a call may give as well, the mask of y, and dropout."""

from __future__ import annotations

from typing import Any

from backprop.layer import Array, Layer
from backprop.nest import as_tuple


class AnyAttention(Layer, kw_only=True):
    """Whether queries see later keys, and whether the scores are a second output.

    A subclass has the argument `dropout`, at a place of its own.
    """

    use_causal_mask: bool = False
    return_attention_scores: bool = False

    makes_masks = False
    changeable = ("use_causal_mask", "return_attention_scores")
    call_options = ("use_causal_mask", "return_attention_scores")

    def compute_mask(self, x, mask=None) -> Any:
        """That of the query; the scores have none."""
        of_query = as_tuple(mask)[0]
        scores = self.return_attention_scores and of_query is not None
        return (of_query, None) if scores else of_query

    def kept(self, p, ctx) -> Array | None:
        """What multiplies p in training: 0 or 1 / (1 - dropout)."""
        if not ctx.training or not self.dropout:
            return None
        kept = (self.rng.random(p.shape) >= self.dropout).astype(p.dtype)
        if self.dropout < 1:  # at 1 nothing is left that could be scaled up
            kept /= p.dtype.type(1 - self.dropout)
        return kept
