"""Sequences continued by models that read something else as well, and by a search with beams."""

import itertools

import numpy as np
import pytest

import backprop as bp
from backprop.generation import Continuation, decoder_of, log_softmax
from backprop.layers import (
    GRU,
    Add,
    Attention,
    Concatenate,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    Input,
    LayerNormalization,
    MultiHeadAttention,
    PositionEmbedding,
    RepeatVector,
    SinePositionEncoding,
    TransformerBlock,
    TransformerDecoder,
)
from backprop.models import Model, Sequential

V, S = 7, 13  # tokens that are written, and that are read


def drawn(decode, *, mask_zero=False, last=None, order=("source", "target")):
    """A model of two inputs: `decode` makes a sequence of target and source, embedded."""
    bp.utils.set_random_seed(1)
    ends = {name: Input((None,), dtype="int32", name=name) for name in ("source", "target")}
    options = {"embeddings_initializer": "normal"}
    read = Embedding(S, 8, mask_zero=mask_zero, name="read", **options)(ends["source"])
    encoded = TransformerBlock(12, 2, name="encoder")(SinePositionEncoding()(read))
    said = Embedding(V, 8, name="said", **options)(ends["target"])
    y = Dense(V, last, kernel_initializer=bp.initializers.RandomNormal(stddev=1.0))
    return Model([ends[name] for name in order], y(decode(said, encoded)))


def look(said, encoded):
    """Causal attention and a look at the source, of single layers."""
    h = PositionEmbedding(40)(said)
    h = LayerNormalization()(Add()([h, MultiHeadAttention(2, 4, use_causal_mask=True)(h, h)]))
    h = LayerNormalization()(Add()([h, MultiHeadAttention(2, 4)(h, encoded)]))
    return Dropout(0.3)(Dense(8, "gelu")(h))


def blocks(said, encoded):
    h = SinePositionEncoding()(said)
    for _ in range(2):
        h = TransformerDecoder(12, 2, rotary=True, dropout=0.1)(h, encoded)
    return h


def recurrent(said, encoded):
    """A recurrent layer, and attention of what it puts out to the source."""
    h = GRU(8, return_sequences=True)(said)
    return Concatenate()([h, Attention()([h, encoded])])


def nested(said, encoded):
    """A decoder that is a model of its own."""
    h, other = Input((None, 8)), Input((None, 8))
    return Model([h, other], look(h, other), name="inner")([said, encoded])


def keyed(said, encoded):
    """Keys of their own, which have the mask of what they are made of."""
    return MultiHeadAttention(2, 4)(said, encoded, key=Dense(8, "tanh")(encoded))


STEPWISE = {
    "look": look,
    "blocks": blocks,
    "recurrent": recurrent,
    "nested": nested,
    "keyed": keyed,
}


def convolved(said, encoded):
    return Add()([Conv1D(8, 3, padding="causal")(said), MultiHeadAttention(1, 4)(said, encoded)])


SOURCE = np.random.default_rng(0).integers(1, S, (3, 5))


def naive(model, source, tokens, n, key=("source", "target")):
    """The likeliest tokens, one after the other, by running the whole model for each."""
    for _ in range(n):
        given = {"source": source, "target": tokens}
        logits = model({name: given[name] for name in key})
        tokens = np.concatenate((tokens, logits[:, -1].argmax(-1)[:, None]), axis=1)
    return tokens


# ------------------------------------------------------------------------------- what is given


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("name", STEPWISE)
def test_steps_are_the_whole(name, last, mask_zero):
    model = drawn(STEPWISE[name], mask_zero=mask_zero, last=last)
    source = SOURCE * (np.arange(5) < [[5], [3], [2]]) if mask_zero else SOURCE
    decoder, rows = decoder_of(model, source, 3)
    tokens = np.random.default_rng(0).integers(0, V, (3, 12))
    remembered, recomputed = Continuation(decoder), Continuation(decoder, step_by_step=False)

    assert remembered.step_by_step and rows == 3
    for start, stop in [(0, 1), (1, 2), (2, 7), (7, 12)]:
        y = remembered.feed(tokens[:, start:stop])
        np.testing.assert_allclose(y, recomputed.feed(tokens[:, start:stop]), 1e-4, 1e-5)
        whole = model([source, tokens[:, :stop]])[:, -1].astype("float64")
        np.testing.assert_allclose(y, np.log(whole) if last else whole, 1e-4, 1e-5)


@pytest.mark.parametrize("decode", [*STEPWISE.values(), convolved])
def test_the_likeliest_is_what_the_whole_model_says_each_time(decode):
    model = drawn(decode)
    prompt = np.array([[1, 2], [3, 4], [5, 6]])
    y = model.generate(prompt, 8, temperature=0, source=SOURCE)

    np.testing.assert_array_equal(y, naive(model, SOURCE, prompt, 8))
    np.testing.assert_array_equal(y, model.generate(prompt, 8, beams=1, source=SOURCE))


def test_what_couples_the_steps_is_computed_again():
    decoder, _ = decoder_of(drawn(convolved), SOURCE, 3)

    assert not decoder.can_step


def test_first_states_from_the_source():
    """The model that reads a sequence by a recurrent layer and goes on with its state."""
    bp.utils.set_random_seed(0)
    source, target = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    _, state = GRU(6, return_state=True)(Embedding(S, 4)(source))
    y = GRU(6, return_sequences=True)(Embedding(V, 4)(target), initial_state=state)
    model = Model([source, target], Dense(V, kernel_initializer="normal")(y))
    decoder, _ = decoder_of(model, SOURCE, 3)

    assert decoder.can_step
    prompt = np.array([[1]] * 3)
    tokens = prompt
    for _ in range(7):
        tokens = np.append(tokens, model([SOURCE, tokens])[:, -1].argmax(-1)[:, None], axis=1)
    np.testing.assert_array_equal(model.generate([1], 7, 0, source=SOURCE), tokens)
    np.testing.assert_array_equal(
        model.generate([1], 7, source=SOURCE, beams=3), searched_naively(model, [1], 7, 3)
    )


@pytest.mark.parametrize("decode", [look, convolved])
@pytest.mark.parametrize("options", [{"temperature": 0.8}, {"beams": 3}])
def test_the_encoder_runs_once(decode, options, monkeypatch):
    model = drawn(decode)
    seen = []
    forward = bp.layers.TransformerBlock.propagate

    def counted(self, x, ctx):
        seen.append(x.shape)
        return forward(self, x, ctx)

    monkeypatch.setattr(bp.layers.TransformerBlock, "propagate", counted)
    model.generate([1], 9, source=SOURCE, **options)

    assert seen == [(3, 5, 8)]


def test_a_new_token_costs_one_row(monkeypatch):
    model = drawn(look)
    rows = []
    forward = LayerNormalization.forward

    def counted(self, x, ctx):
        rows.append(x.shape[1])
        return forward(self, x, ctx)

    monkeypatch.setattr(LayerNormalization, "forward", counted)
    model.generate([1, 2, 3], 4, source=SOURCE)

    assert rows == [5, 5, 3, 3, *[1] * 6]  # the source, the prompt, and three further tokens


def test_source_comes_by_place_or_by_name():
    model = drawn(look)
    expected = model.generate([1], 6, 0, source=SOURCE)
    swapped = drawn(look, order=("target", "source"))
    swapped.set_weights(model.get_weights())

    np.testing.assert_array_equal(model.generate([1], 6, 0, source=[SOURCE]), expected)
    np.testing.assert_array_equal(model.generate([1], 6, 0, source={"source": SOURCE}), expected)
    np.testing.assert_array_equal(swapped.generate([1], 6, 0, source={"source": SOURCE}), expected)
    np.testing.assert_array_equal(model.generate([[1]] * 3, 6, 0, source=SOURCE.tolist()), expected)


def test_numbers_may_be_given_too():
    bp.utils.set_random_seed(0)
    picture, style, words = Input((6,)), Input((), dtype="int32"), Input((None,), dtype="int32")
    encoded = Add()([RepeatVector(2)(Dense(8)(picture)), RepeatVector(2)(Embedding(3, 8)(style))])
    model = Model([picture, style, words], Dense(V)(look(Embedding(V, 8)(words), encoded)))
    y = model.generate([1, 2], 5, source=[np.ones((4, 6)), np.array([0, 1, 2, 0])])

    assert y.shape == (4, 7)


def test_a_model_of_one_input_is_continued_like_a_chain():
    bp.utils.set_random_seed(0)
    layers = [Embedding(V, 8), TransformerBlock(12, 2, use_causal_mask=True), Dense(V)]
    chain = Sequential([Input((None,), dtype="int32"), *layers])
    x = y = Input((None,), dtype="int32")
    for layer in layers:
        y = layer(y)
    model = Model(x, y)

    assert decoder_of(model, None, 1)[0].can_step and model.can_step
    for options in ({"temperature": 0}, {"seed": 3}, {"beams": 3}):
        np.testing.assert_array_equal(
            model.generate([1, 2], 9, **options), chain.generate([1, 2], 9, **options)
        )


def test_nothing_is_kept_on_the_model():
    model = drawn(blocks)
    before = model([SOURCE, SOURCE % V])
    first = model.generate([1], 6, 0, source=SOURCE)
    model.generate([2], 6, beams=2, source=SOURCE[:1])

    np.testing.assert_array_equal(model([SOURCE, SOURCE % V]), before)
    np.testing.assert_array_equal(model.generate([1], 6, 0, source=SOURCE), first)


# ------------------------------------------------------------------------------------ the end


def test_a_sequence_is_over_at_its_end():
    model = drawn(look)
    free = model.generate([1], 12, 0, source=SOURCE)
    end = int(free[0, 4])
    y = model.generate([1], 12, 0, source=SOURCE, end=end)

    for row, was in zip(y[:, 1:], free[:, 1:], strict=True):
        length = was.tolist().index(end) + 1 if end in was else len(was)
        np.testing.assert_array_equal(row[:length], was[:length])
        assert (row[length:] == end).all()


def test_no_more_is_computed_when_all_have_ended(monkeypatch):
    model = drawn(look)
    end = int(model.generate([1], 1, 0, source=SOURCE[:1])[0, -1])
    calls = []
    feed = Continuation.feed
    monkeypatch.setattr(Continuation, "feed", lambda self, t: calls.append(t) or feed(self, t))

    assert model.generate([1], 9, 0, source=SOURCE[:1], end=end).tolist() == [[1, *[end] * 9]]
    assert len(calls) == 1


def test_an_end_in_the_prompt_is_none():
    model = drawn(look)

    assert model.generate([1, 3, 1], 0, source=SOURCE, end=3).shape == (3, 3)
    free = model.generate([1, 3, 1], 4, 0, source=SOURCE)
    end = next(t for t in range(V) if t not in free[:, 3:])
    prompted = model.generate([1, end, 1], 4, 0, source=SOURCE, end=end)
    np.testing.assert_array_equal(
        prompted[:, 3], model.generate([1, end, 1], 1, 0, source=SOURCE)[:, 3]
    )


# ----------------------------------------------------------------------------------- the search


def small(units=4, seed=0):
    bp.utils.set_random_seed(seed)
    normal = bp.initializers.RandomNormal(stddev=1.0)
    embedding = Embedding(units, 6, embeddings_initializer="normal")
    layers = [embedding, GRU(8, return_sequences=True), Dense(units, kernel_initializer=normal)]
    return Sequential([Input((None,), dtype="int32"), *layers], dtype="float64")


def log_p(model, prompt, new):
    """log p of each of the new tokens behind what comes before it."""
    whole = np.array([[*prompt, *new]])
    found = log_softmax(model(whole)[0])[len(prompt) - 1 : -1]
    return [row[token] for row, token in zip(found, new, strict=True)]


def best_of_all(model, prompt, n, length_penalty=1.0, end=None):
    """The best score among all sequences, and its tokens: each is tried."""
    best = -np.inf, ()
    for new in itertools.product(range(model.output_shape[-1]), repeat=n):
        length = new.index(end) + 1 if end in new else n
        if any(token != end for token in new[length:]):
            continue
        score = sum(log_p(model, prompt, new)[:length]) / length**length_penalty
        best = max(best, (score, new))
    return list(best[1])


def searched_naively(model, prompt, n, beams, source=None):
    """A search without ends, one row at a time, each beam by the whole model."""
    rows = []
    for row in SOURCE:
        found = [(0.0, list(prompt))]
        for _ in range(n):
            grown = []
            for score, tokens in found:
                logits = model([row[None], np.array([tokens])])[0, -1].astype(float)
                grown += [(score + p, [*tokens, k]) for k, p in enumerate(log_softmax(logits))]
            found = sorted(grown, key=lambda beam: -beam[0])[:beams]
        rows.append(found[0][1])
    return rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("end", [None, 2])
def test_with_beams_enough_it_is_the_best_of_all(seed, length_penalty, end):
    model = small(seed=seed)
    found = model.generate([1, 3], 4, beams=4**3, length_penalty=length_penalty, end=end)

    assert found[2:].tolist() == best_of_all(model, [1, 3], 4, length_penalty, end)


def test_few_beams_may_miss_it():
    model, found = small(seed=4), []
    for beams in (1, 16):
        y = model.generate([1], 4, beams=beams)
        found.append(sum(log_p(model, [1], y[1:])))

    best = sum(log_p(model, [1], best_of_all(model, [1], 4)))
    assert found[0] < found[1] == pytest.approx(best)


@pytest.mark.parametrize("decode", [look, recurrent, convolved])
@pytest.mark.parametrize("beams", [2, 4])
def test_a_search_is_that_of_single_rows_by_the_whole_model(decode, beams):
    model = drawn(decode)
    found = model.generate([1, 2], 5, beams=beams, source=SOURCE)

    assert found.tolist() == searched_naively(model, [1, 2], 5, beams)


def test_a_penalty_of_length_decides_between_short_and_long():
    model = small(seed=1)
    lengths = []
    for penalty in (-2.0, 0.0, 1.0, 4.0):
        y = model.generate([1], 6, beams=32, length_penalty=penalty, end=0)[1:].tolist()
        lengths.append(y.index(0) + 1 if 0 in y else 6)

    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]


def test_impossible_tokens_are_never_found():
    model = small()
    model.layers[-1].bias[3] = -np.inf
    model.layers[-1].bias[0] = -np.inf

    assert set(model.generate([1], 6, beams=8)[1:]) <= {1, 2}


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has 2 inputs: the prompt is for target, so give source= for source"),
        ({"source": SOURCE[:2]}, r"a row of source for each prompt, .* 3 prompts and source of"),
        ({"source": {"sorce": SOURCE}}, "'sorce'.*did you mean 'source'"),
        ({"source": [SOURCE, SOURCE]}, r"source of shape \(2, 3, 5\)"),
        ({"source": np.stack([SOURCE, SOURCE], -1)}, "its input 'source' to be of shape"),
        ({"source": SOURCE, "beams": 0}, "beams to be a positive integer, got 0"),
        ({"source": SOURCE, "beams": 2, "temperature": 0.5}, "leave out one or the other"),
        ({"source": SOURCE, "beams": 2, "top_k": 3}, "leave out one or the other"),
        ({"source": SOURCE, "beams": 2, "length_penalty": np.nan}, "length_penalty"),
        ({"source": SOURCE, "end": V}, "end to be a token below 7, got 7"),
        ({"source": SOURCE, "end": -1}, "end to be an integer that is not negative"),
    ],
)
def test_what_is_missing_or_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        drawn(look).generate([[1], [2], [3]], 4, **options)


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="has one input, and source would be for another"):
        small().generate([1], 3, source=SOURCE)
    a, b = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    h = Embedding(V, 4)(b)
    e = Embedding(S, 4)(a)
    pooled = GlobalAveragePooling1D()(MultiHeadAttention(1, 2)(h, e))
    with pytest.raises(ValueError, match=r"predicts the token behind each step.*gives \(None, 7\)"):
        Model([a, b], Dense(V)(pooled)).generate([1], 3, source=SOURCE)
    several = Model([a, b], [Dense(V)(MultiHeadAttention(1, 2)(h, e)), Dense(V)(h)])
    with pytest.raises(ValueError, match=r"needs a model of one output, and .* has 2"):
        several.generate([1], 3, source=SOURCE)
    with pytest.raises(ValueError, match="has learnt 40"):
        drawn(look).generate([1], 41, source=SOURCE)
    with pytest.raises(ValueError, match="tokens from 0 to 6, the model's vocabulary"):
        drawn(look).generate([7], 3, source=SOURCE)
