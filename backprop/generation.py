"""Continuing a sequence: a model says how likely each next token is, one is chosen, and so on.

A model whose layers can go step by step (`Layer.step`) computes one row for each token. Of any
other, such as a causal convolution, the whole sequence is computed again for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import random
from backprop.checks import integer
from backprop.layer import PREDICT, Array
from backprop.layers import Embedding, PositionEmbedding
from backprop.layers.chain import Chain

WHO = "generate()"


def generate(
    model: Chain,
    prompt: Any,
    n: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | np.random.Generator | None = None,
) -> Array:
    """`prompt` and n further tokens; see `Sequential.generate`."""
    n = integer(n, WHO, "n", 0)
    tokens, single = as_tokens(prompt)
    vocabulary = check_model(model, tokens, n)
    temperature, top_k, top_p = check_choice(vocabulary, temperature, top_k, top_p)
    rng = random.generator(seed)
    continuation, new = Continuation(model), tokens
    for _ in range(n):
        logits = continuation.feed(new)
        new = choose(logits, temperature, top_k, top_p, rng)[:, None]
        tokens = np.concatenate((tokens, new), axis=1)
    return tokens[0] if single else tokens


class Continuation:
    """What a model says about the token behind a sequence that grows.

    Parameters
    ----------
    model : Chain
        Integers (N, T) → (N, T, vocabulary).
    step_by_step : bool, optional
        Whether to remember what the layers need of the earlier steps. Default: where all of them
        can.
    """

    def __init__(self, model: Chain, step_by_step: bool | None = None):
        self.model = model
        self.step_by_step = model.can_step if step_by_step is None else step_by_step
        self.memory: Any = None

    def feed(self, tokens: Array) -> Array:
        """Append tokens (N, S) to the sequence → logits of the next one: (N, vocabulary)."""
        if self.step_by_step:
            y, self.memory = self.model.step(tokens, self.memory)
        else:
            before = [] if self.memory is None else [self.memory]
            self.memory = np.concatenate([*before, tokens], axis=1)
            y, _, _ = self.model.propagate(self.memory, PREDICT)
        last = y[:, -1].astype(np.float64)
        if self.model.ends_in_softmax:
            with np.errstate(divide="ignore"):  # a probability of 0 is never chosen
                last = np.log(last)
        return last


def choose(
    logits: Array,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator,
) -> Array:
    """A token for each row of logits (N, vocabulary): (N,).

    With the probabilities p = softmax(logits / temperature), of which the `top_k` largest are left,
    and of these the fewest that hold the share `top_p`. The most likely token is always left.
    """
    if temperature == 0:
        return logits.argmax(-1)
    order = np.argsort(-logits, axis=-1, kind="stable")  # the likeliest first
    z = np.take_along_axis(logits, order, -1)[:, :top_k]
    p = np.exp((z - z[:, :1]) / temperature)
    p /= p.sum(-1, keepdims=True)
    if top_p is not None:
        before = np.cumsum(p, axis=-1) - p
        p *= before < top_p
    edges = np.cumsum(p, axis=-1)
    u = rng.random((len(p), 1)) * edges[:, -1:]
    place = (edges <= u).sum(-1, keepdims=True)
    return np.take_along_axis(order, place, -1)[:, 0]


# --------------------------------------------------------------------------------------- the border


def as_tokens(prompt: Any) -> tuple[Array, bool]:
    """The prompt as (N, T), and whether it was a single sequence (T,)."""
    tokens = np.asarray(prompt)
    if tokens.dtype.kind not in "iu" and tokens.size:
        raise TypeError(
            f"{WHO} expects a prompt of integers, tokens as the model was trained on, and got "
            f"an array of dtype {tokens.dtype}"
        )
    if tokens.ndim not in (1, 2) or not tokens.size:
        raise ValueError(
            f"{WHO} expects a prompt of shape (time,) or (batch, time) with at least one token, "
            f"got {tokens.shape}"
        )
    return np.atleast_2d(tokens).astype(np.int64), tokens.ndim == 1


def check_model(model: Any, tokens: Array, n: int) -> int:
    """Raise unless the model can continue the prompt by n tokens; returns the vocabulary's size."""
    if not model.built:
        raise ValueError(f"{WHO} needs a model that is built and trained: {model.name} is not")
    for layer in model.walk():
        needed = tokens.shape[1] + n - 1  # nothing follows the last token
        if isinstance(layer, PositionEmbedding) and n and needed > layer.sequence_length:
            raise ValueError(
                f"{WHO}: a prompt of {tokens.shape[1]} tokens and {n} new ones need {needed} "
                f"places, and {layer!r} has learnt {layer.sequence_length}; ask for fewer, or cut "
                "the prompt"
            )
    # the layers, and not the length that an Input declares: a sequence that grows has many
    Chain.check_input(model, tokens.shape)
    shape = Chain.compute_output_shape(model, (None, tokens.shape[1]))
    if len(shape) != 3 or shape[1] != tokens.shape[1] or shape[2] is None:
        raise ValueError(
            f"{WHO} needs a model that predicts the token behind each step, (batch, time, "
            f"vocabulary), and {model.name} gives {shape} for (batch, {tokens.shape[1]}); with a "
            "recurrent layer, return_sequences=True"
        )
    known = next((f.input_dim for f in model.walk() if isinstance(f, Embedding)), shape[2])
    if tokens.min() < 0 or tokens.max() >= known:
        raise ValueError(
            f"{WHO} expects tokens from 0 to {known - 1}, the model's vocabulary, and got a prompt "
            f"with {tokens.min()} to {tokens.max()}"
        )
    if known < shape[2]:
        raise ValueError(
            f"{WHO}: {model.name} predicts {shape[2]} tokens and its Embedding knows {known}: it "
            "could not read what it writes"
        )
    return shape[2]


def check_choice(vocabulary: int, temperature: Any, top_k: Any, top_p: Any):
    """The options of `choose`, as numbers in their ranges."""
    if not real(temperature) or not 0 <= temperature < np.inf:
        raise ValueError(
            f"{WHO} expects temperature to be a number that is not negative, and 0 for the "
            f"likeliest token, got {temperature!r}"
        )
    if top_k is not None and integer(top_k, WHO, "top_k") > vocabulary:
        raise ValueError(
            f"{WHO} expects top_k to be at most {vocabulary}, the vocabulary, got {top_k}"
        )
    if top_p is not None and not (real(top_p) and 0 < top_p <= 1):
        raise ValueError(f"{WHO} expects top_p to be a share above 0 and at most 1, got {top_p!r}")
    return float(temperature), top_k, top_p


def real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
