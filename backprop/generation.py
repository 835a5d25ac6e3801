"""Continuing a sequence: a model says how likely each next token is, one is chosen, and so on; or
several beginnings are kept, those that are likeliest so far.

A model whose layers can go step by step (`Layer.step`) computes one row for each token. Of any
other, such as a causal convolution, the whole sequence is computed again for each. What a model
makes of its other inputs, which do not grow, is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop import random
from backprop.checks import integer, number
from backprop.layer import PREDICT, Array
from backprop.layers import Chain, Embedding, Graph, PositionEmbedding
from backprop.layers.given import Given, of_rows
from backprop.nest import matched, several

WHO = "generate()"


def generate(
    model: Any,
    prompt: Any,
    n: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | np.random.Generator | None = None,
    *,
    source: Any = None,
    beams: int | None = None,
    length_penalty: float = 1.0,
    end: int | None = None,
) -> Array:
    """`prompt` and n further tokens; see `Sequential.generate`."""
    n = integer(n, WHO, "n", 0)
    if not model.built:
        raise ValueError(f"{WHO} needs a model that is built and trained: {model.name} is not")
    tokens, single = as_tokens(prompt)
    decoder, rows = decoder_of(model, source, None if single else len(tokens))
    if single and source is not None:
        tokens, single = np.repeat(tokens, rows, axis=0), False
    vocabulary = check_model(model, decoder, tokens, n)
    choice = check_choice(vocabulary, temperature, top_k, top_p)
    if end is not None and integer(end, WHO, "end", 0) >= vocabulary:
        raise ValueError(f"{WHO} expects end to be a token below {vocabulary}, got {end}")
    continuation = Continuation(decoder)
    if beams is None:
        new = sampled(continuation, tokens, n, *choice, random.generator(seed), end)
    else:
        beams, length_penalty = check_search(beams, length_penalty, choice)
        new = searched(continuation, tokens, n, beams, length_penalty, end)
    tokens = np.concatenate((tokens, new), axis=1)
    return tokens[0] if single else tokens


def sampled(
    continuation: Continuation,
    tokens: Array,
    n: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator,
    end: int | None,
) -> Array:
    """n tokens behind each row of `tokens`, each chosen by `choose`: (N, n)."""
    new = np.full((len(tokens), n), 0 if end is None else end)
    ended = np.zeros(len(tokens), bool)
    for t in range(n):
        logits = continuation.feed(tokens if t == 0 else new[:, t - 1 : t])
        new[:, t] = np.where(ended, new[:, t], choose(logits, temperature, top_k, top_p, rng))
        if end is not None and (ended := ended | (new[:, t] == end)).all():
            break
    return new


def searched(
    continuation: Continuation,
    tokens: Array,
    n: int,
    beams: int,
    length_penalty: float,
    end: int | None,
) -> Array:
    """The likeliest n tokens behind each row of `tokens` that a search with so many beams finds:
    (N, n).

    A beam is a beginning and log p, the sum over its tokens. All continuations of a row's beams by
    one token are compared, and the likeliest `beams` of them are the next beams. What ends leaves
    the search with the score log p / length^length_penalty, and so does at last what has not
    ended; the best score wins. The search is over where no beam can come to a better one.
    """
    rows = len(tokens)
    best, best_score = np.full((rows, n), 0 if end is None else end), np.full(rows, -np.inf)
    begun, log_p = np.empty((rows, 1, 0), int), np.zeros((rows, 1))
    for t in range(n):
        last = tokens if t == 0 else begun[:, :, -1].reshape(-1, 1)
        total = log_p[..., None] + log_softmax(continuation.feed(last)).reshape(*log_p.shape, -1)
        if end is not None:
            keep_better(best, best_score, begun, total[..., end] / (t + 1) ** length_penalty)
            total[..., end] = -np.inf
        beam, token, log_p = likeliest(total, beams)
        begun = np.concatenate((np.take_along_axis(begun, beam[..., None], 1), token[..., None]), 2)
        # log p only falls, so no score beats that of today's at the length that flatters it most
        longest = max((t + 2) ** length_penalty, n**length_penalty)
        if (best_score >= log_p.max(1) / longest).all():
            return best
        of_beams = np.arange(rows)[:, None] * total.shape[1] + beam
        continuation.keep(of_beams.ravel())
    keep_better(best, best_score, begun, log_p / max(n, 1) ** length_penalty)
    return best


def likeliest(total: Array, beams: int) -> tuple[Array, Array, Array]:
    """Of log p (N, beams, vocabulary) the largest of each row: of which beam, which token, and what
    it is, each (N, beams)."""
    flat = total.reshape(len(total), -1)
    found = np.argsort(-flat, axis=1, kind="stable")[:, :beams]
    return *np.divmod(found, total.shape[2]), np.take_along_axis(flat, found, 1)


def keep_better(best: Array, best_score: Array, begun: Array, score: Array) -> None:
    """Write the beginnings (N, beams, length) with better scores (N, beams) than so far into
    `best`, where they are the longer ones."""
    k = score.argmax(1)
    for row in np.flatnonzero(score.max(1) > best_score):
        best_score[row] = score[row, k[row]]
        best[row, : begun.shape[2]] = begun[row, k[row]]


def log_softmax(z: Array) -> Array:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


class Continuation:
    """What a model says about the token behind a sequence that grows.

    Parameters
    ----------
    decoder : Chain or Given
        Integers (N, T) → (N, T, vocabulary), logits or a softmax.
    step_by_step : bool, optional
        Whether to remember what the layers need of the earlier steps. Default: where all of them
        can.
    """

    def __init__(self, decoder: Any, step_by_step: bool | None = None):
        self.decoder = decoder
        self.step_by_step = decoder.can_step if step_by_step is None else step_by_step
        self.memory: Any = None

    def feed(self, tokens: Array) -> Array:
        """Append tokens (N, S) to the sequence → logits of the next one: (N, vocabulary)."""
        if self.step_by_step:
            y, self.memory = self.decoder.step(tokens, self.memory)
        else:
            before = [] if self.memory is None else [self.memory]
            self.memory = np.concatenate([*before, tokens], axis=1)
            y, _, _ = self.decoder.propagate(self.memory, PREDICT)
        last = y[:, -1].astype(np.float64)
        if self.decoder.ends_in_softmax:
            with np.errstate(divide="ignore"):  # a probability of 0 is never chosen
                last = np.log(last)
        return last

    def keep(self, rows: Array) -> None:
        """Go on with these of the sequences, each as often as it is named."""
        self.memory = of_rows(self.memory, rows)
        if not self.step_by_step and isinstance(self.decoder, Given):
            self.decoder = self.decoder.of_rows(rows)


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


def decoder_of(model: Any, source: Any, prompts: int | None) -> tuple[Any, int]:
    """The model as a function of the prompt alone, and how many rows there are; see
    `Sequential.generate`.

    `prompts` is how many of them there are, None where one stands for all rows.
    """
    if not isinstance(model, Graph) or len(model.doors) == 1:
        if source is not None:
            raise ValueError(f"{WHO}: {model.name} has one input, and source would be for another")
        decoder = Given(model) if isinstance(model, Graph) else model
        return decoder, prompts or 1
    names = model.input_names
    grows = place_of_prompt(names, source)
    others = [name for i, name in enumerate(names) if i != grows]
    if source is None:
        raise ValueError(
            f"{WHO}: {model.name} has {len(names)} inputs: the prompt is for {names[grows]}, so "
            f"give source= for {', '.join(others)}"
        )
    given = sources(source, others)
    rows = {a.shape[:1] for a in given}
    if len(rows) > 1 or (prompts is not None and rows != {(prompts,)}):
        shapes = " and ".join(f"{n} of shape {a.shape}" for n, a in zip(others, given, strict=True))
        raise ValueError(
            f"{WHO} expects a row of {', '.join(others)} for each prompt, and got "
            f"{'one prompt' if prompts is None else f'{prompts} prompts'} and {shapes}"
        )
    x = model.cast((*given[:grows], np.zeros(()), *given[grows:]))
    door = model.doors[grows].batch_shape
    model.check_input(tuple([door if i == grows else a.shape for i, a in enumerate(x)]))
    return Given(model, (grows,), (*x[:grows], *x[grows + 1 :])), len(given[0])


def sources(source: Any, names: list[str]) -> list[Array]:
    """What is given for each of the other inputs."""
    if len(names) == 1 and not isinstance(source, Mapping):
        alone = isinstance(source, list | tuple) and len(source) == 1 and np.ndim(source[0]) > 1
        return [np.asarray(source[0] if alone else source)]
    return [np.asarray(a) for a in matched(source, names, names, f"{WHO}: source", "input")]


def place_of_prompt(names: list[str], source: Any) -> int:
    """Which input the prompt is for: the one that source does not name, else the last."""
    left = [i for i, name in enumerate(names) if isinstance(source, Mapping) and name not in source]
    return (left or [len(names) - 1])[-1]


def check_model(model: Any, decoder: Any, tokens: Array, n: int) -> int:
    """Raise unless the model can continue the prompt by n tokens; returns the vocabulary's size."""
    reached = list(decoder.walk())
    for layer in reached:
        needed = tokens.shape[1] + n - 1  # nothing follows the last token
        if isinstance(layer, PositionEmbedding) and n and needed > layer.sequence_length:
            raise ValueError(
                f"{WHO}: a prompt of {tokens.shape[1]} tokens and {n} new ones need {needed} "
                f"places, and {layer!r} has learnt {layer.sequence_length}; ask for fewer, or cut "
                "the prompt"
            )
    # the layers, and not the length that an Input declares: a sequence that grows has many
    if isinstance(decoder, Chain):
        Chain.check_input(decoder, tokens.shape)
        shape = Chain.compute_output_shape(decoder, (None, tokens.shape[1]))
    else:
        shape = decoder.compute_output_shape((None, tokens.shape[1]))
    if several(shape):
        raise ValueError(
            f"{WHO} needs a model of one output, and {model.name} has {len(shape)}: make a Model "
            "of the same inputs and that output"
        )
    if len(shape) != 3 or shape[1] != tokens.shape[1] or shape[2] is None:
        raise ValueError(
            f"{WHO} needs a model that predicts the token behind each step, (batch, time, "
            f"vocabulary), and {model.name} gives {shape} for (batch, {tokens.shape[1]}); with a "
            "recurrent layer, return_sequences=True"
        )
    known = next((f.input_dim for f in reached if isinstance(f, Embedding)), shape[2])
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


def check_search(beams: Any, length_penalty: Any, choice: tuple) -> tuple[int, float]:
    """The options of `searched`; those of `choose` mean nothing beside them."""
    if choice != (1.0, None, None):
        raise ValueError(
            f"{WHO} takes beams, and finds what is likeliest, or temperature, top_k and top_p, and "
            "draws: leave out one or the other"
        )
    return integer(beams, WHO, "beams"), number(length_penalty, WHO, "length_penalty")


def real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
