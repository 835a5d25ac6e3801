"""Sequences continued token by token."""

import numpy as np
import pytest

import backprop as bp
from backprop import generation
from backprop.generation import Continuation, choose
from backprop.layers import (
    GRU,
    LSTM,
    Chain,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    GroupQueryAttention,
    LayerNormalization,
    MultiHeadAttention,
    Parallel,
    PositionEmbedding,
    Residual,
    SinePositionEncoding,
    TransformerBlock,
)
from backprop.models import Sequential

V = 11


def model_of(*layers, inputs=(None,), units=V, last=None):
    bp.utils.set_random_seed(0)
    embedding = Embedding(V, 8, embeddings_initializer="normal")
    return Sequential([bp.Input(inputs), embedding, *layers, Dense(units, last)])


def block(**options):
    return TransformerBlock(12, 4, use_causal_mask=True, activation="gelu", **options)


STEPWISE = {
    "post-norm": lambda: [PositionEmbedding(40), block(), block(dropout=0.2)],
    "pre-norm": lambda: [
        SinePositionEncoding(),
        block(normalize_first=True),
        LayerNormalization(),
    ],
    "rotary": lambda: [block(rotary=True), block(rotary=True)],
    "grouped": lambda: [block(num_key_value_heads=2, rotary=True), block(sliding_window=3)],
    "by hand": lambda: [
        Residual(
            [MultiHeadAttention(2, 3, use_causal_mask=True, use_gate=True)], activation="tanh"
        ),
        GroupQueryAttention(4, 2, 1, use_causal_mask=True, sliding_window=4),
        Parallel([Dense(3, "relu"), [Dense(2), Dropout(0.3)]], activity_regularizer="l2"),
    ],
    "recurrent": lambda: [LSTM(8, return_sequences=True), GRU(6, return_sequences=True)],
    "no time at all": lambda: [Dense(6, "tanh")],
}
RECOMPUTED = {
    "convolution": lambda: [Conv1D(8, 3, padding="causal")],
    "attention to all": lambda: [TransformerBlock(12, 2)],
}


# ---------------------------------------------------------------------------------- step by step


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("name", STEPWISE)
def test_steps_are_the_whole(name, last):
    model = model_of(*STEPWISE[name](), last=last)
    remembered, recomputed = Continuation(model), Continuation(model, step_by_step=False)
    tokens = np.random.default_rng(0).integers(0, V, (3, 20))

    assert remembered.step_by_step
    for start, stop in [(0, 1), (1, 2), (2, 7), (7, 19), (19, 20)]:
        y = remembered.feed(tokens[:, start:stop])
        np.testing.assert_allclose(y, recomputed.feed(tokens[:, start:stop]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_what_is_remembered_changes_no_token(name, temperature, monkeypatch):
    model = model_of(*STEPWISE[name]())
    prompt = np.array([[3, 1, 4], [1, 5, 9]])
    remembered = model.generate(prompt, 15, temperature=temperature, seed=0)
    monkeypatch.setattr(generation, "Continuation", lambda model: Continuation(model, False))

    np.testing.assert_array_equal(
        model.generate(prompt, 15, temperature=temperature, seed=0), remembered
    )


@pytest.mark.parametrize("name", RECOMPUTED)
def test_other_models_compute_the_whole_again(name):
    model = model_of(*RECOMPUTED[name]())
    y = model.generate([1, 2, 3], 5, temperature=0)
    greedy = [1, 2, 3]
    for _ in range(5):
        greedy.append(int(model(np.array([greedy]))[0, -1].argmax()))

    assert not model.can_step
    assert y.tolist() == greedy


def test_a_new_token_costs_one_row(monkeypatch):
    model = model_of(*STEPWISE["pre-norm"]())
    rows = []
    forward = Dense.forward

    def counted(self, x, ctx):
        rows.append(x.shape[1])
        return forward(self, x, ctx)

    monkeypatch.setattr(Dense, "forward", counted)
    model.generate([1, 2, 3, 4], 6)

    assert rows[:3] == [4, 4, 4]  # the prompt at once
    assert rows[3:] == [1] * 15


def test_a_memory_is_not_changed_by_going_on():
    model = model_of(*STEPWISE["grouped"]())
    _, memory = model.step(np.array([[1, 2, 3]]), None)
    first, _ = model.step(np.array([[4, 5]]), memory)
    model.step(np.array([[9, 9]]), memory)
    again, _ = model.step(np.array([[4, 5]]), memory)

    np.testing.assert_array_equal(first, again)


def test_nothing_is_kept_on_the_model():
    model = model_of(*STEPWISE["rotary"]())
    x = np.array([[1, 2, 3]])
    y = model(x)
    model.generate([5, 4, 3], 7)

    np.testing.assert_array_equal(model(x), y)
    np.testing.assert_array_equal(
        model.generate([1, 2], 5, seed=1), model.generate([1, 2], 5, seed=1)
    )


@pytest.mark.parametrize(
    "layer",
    [
        LSTM(4, return_sequences=True, go_backwards=True),
        MultiHeadAttention(2, 3),
        Conv1D(4, 2, padding="causal"),
        LayerNormalization(axis=(1, 2)),
        Parallel([Dense(3), Dense(3)], axis=1),
        Residual([Dense(8)], shortcut=MultiHeadAttention(1, 2)),
        Chain([Embedding(3, 8, mask_zero=True)]),
        GlobalAveragePooling1D(),
    ],
    ids=repr,
)
def test_what_couples_the_steps_says_so(layer):
    layer.build((None, 4) if layer.integer_input else (None, 4, 8))

    assert not layer.can_step


def test_a_layer_that_cannot_go_step_by_step_refuses_to():
    layer = Conv1D(2, 2)
    layer.build((None, 4, 3))
    with pytest.raises(TypeError, match=r"Conv1D.* cannot go step by step"):
        layer.step(np.zeros((1, 1, 3)), None)


def test_a_subclass_with_a_forward_of_its_own_is_not_trusted():
    class Mixing(Dense):
        def forward(self, x, ctx):
            return super().forward(np.cumsum(x, axis=1), ctx)

    layer = Mixing(3)
    layer.build((None, 4, 3))

    assert not layer.can_step


# ---------------------------------------------------------------------------------- the choice


def test_temperature_zero_takes_the_likeliest():
    model = model_of(Dense(8, "tanh"))
    greedy = model.generate([[1], [2]], 6, temperature=0)

    np.testing.assert_array_equal(model.generate([[1], [2]], 6, top_k=1), greedy)
    np.testing.assert_array_equal(model.generate([[1], [2]], 6, top_p=1e-9), greedy)
    np.testing.assert_array_equal(model.generate([[1], [2]], 6, temperature=1e-9), greedy)


def test_tokens_come_as_often_as_they_are_likely():
    logits = np.log([0.1, 0.6, 0.25, 0.05])
    many = np.tile(logits, (40000, 1))
    rng = np.random.default_rng(0)

    def shares(*options):
        return np.bincount(choose(many, *options, rng), minlength=4) / len(many)

    error = 0.012  # five standard deviations
    np.testing.assert_allclose(shares(1.0, None, None), np.exp(logits), atol=error)
    flat = np.sqrt(np.exp(logits)) / np.sqrt(np.exp(logits)).sum()
    np.testing.assert_allclose(shares(2.0, None, None), flat, atol=error)
    np.testing.assert_allclose(shares(1.0, 2, None), [0, 0.6 / 0.85, 0.25 / 0.85, 0], atol=error)
    np.testing.assert_allclose(shares(1.0, None, 0.61), [0, 0.6 / 0.85, 0.25 / 0.85, 0], atol=error)
    np.testing.assert_allclose(shares(1.0, None, 0.59), [0, 1, 0, 0])
    np.testing.assert_allclose(
        shares(1.0, 3, 0.9), [0.1 / 0.95, 0.6 / 0.95, 0.25 / 0.95, 0], atol=error
    )


def test_impossible_tokens_are_never_chosen():
    logits = np.array([[-np.inf, 0.0, -np.inf, -1.0]] * 1000)
    chosen = choose(logits, 1.0, None, None, np.random.default_rng(0))

    assert set(chosen) == {1, 3}


def test_logits_and_probabilities_are_told_apart():
    logits, softmax = model_of(Dense(8)), model_of(Dense(8), last="softmax")
    softmax.set_weights(logits.get_weights())

    np.testing.assert_array_equal(
        logits.generate([1, 2], 20, seed=3), softmax.generate([1, 2], 20, seed=3)
    )


def test_the_seed_decides():
    model = model_of(Dense(8))
    first, same, other = (model.generate([1], 20, seed=s) for s in (5, 5, 6))

    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_the_prompt_comes_first_and_keeps_its_shape():
    model = model_of(Dense(8))

    assert model.generate([3, 1], 4).shape == (6,)
    assert model.generate([[3, 1], [4, 1], [5, 9]], 4).shape == (3, 6)
    assert model.generate([3, 1], 4)[:2].tolist() == [3, 1]
    assert model.generate(np.array([3, 1], np.uint8), 0).tolist() == [3, 1]
    assert model.generate([3, 1], 4).dtype == np.int64


def test_a_declared_length_is_not_the_longest():
    model = model_of(LSTM(4, return_sequences=True), inputs=(6,))

    assert model.generate([1, 2], 9).shape == (11,)


def test_padding_in_the_prompt_is_masked():
    bp.utils.set_random_seed(0)
    attention = MultiHeadAttention(2, 4, use_causal_mask=True)
    embedding = Embedding(V, 8, mask_zero=True, embeddings_initializer="normal")
    model = Sequential([bp.Input((None,)), embedding, attention, Dense(V)])
    padded, bare = model.generate([0, 0, 4, 5], 1, 0), model.generate([4, 5], 1, 0)

    assert padded[-1] == bare[-1]


def test_a_learnt_sequence_goes_on():
    """A cycle of tokens that a model has learnt is continued as it was learnt."""
    model = model_of(PositionEmbedding(32), block(normalize_first=True))
    cycle = np.resize([1, 4, 2, 8, 5, 7, 10], 32 * 7)
    x = np.stack([cycle[i : i + 16] for i in range(14)])
    y = np.stack([cycle[i + 1 : i + 17] for i in range(14)])
    model.compile(
        bp.optimizers.Adam(0.01), bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(x, y, epochs=60, verbose=0)

    assert model.generate([1, 4, 2], 13, temperature=0).tolist() == cycle[:16].tolist()


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "a prompt of integers.*dtype float64"),
        (["a"], TypeError, "a prompt of integers"),
        ([True], TypeError, "a prompt of integers.*dtype bool"),
        ([], ValueError, r"at least one token, got \(0,\)"),
        ([[], []], ValueError, r"at least one token, got \(2, 0\)"),
        (3, ValueError, r"shape \(time,\) or \(batch, time\)"),
        ([[[1]]], ValueError, r"shape \(time,\) or \(batch, time\)"),
        ([1, 11], ValueError, "tokens from 0 to 10, .* with 1 to 11"),
        ([-1, 2], ValueError, "tokens from 0 to 10, .* with -1 to 2"),
    ],
)
def test_prompts_that_are_none_are_refused(prompt, error, message):
    with pytest.raises(error, match=message):
        model_of(Dense(8)).generate(prompt, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "n to be an integer that is not negative, got -1"),
        ({"n": 2.0}, "n to be an integer"),
        ({"temperature": -0.1}, "temperature to be a number that is not negative, .*got -0.1"),
        ({"temperature": np.nan}, "temperature to be a number"),
        ({"temperature": np.inf}, "temperature to be a number"),
        ({"temperature": None}, "temperature to be a number"),
        ({"top_k": 0}, "top_k to be a positive integer, got 0"),
        ({"top_k": 12}, "top_k to be at most 11, the vocabulary, got 12"),
        ({"top_p": 0.0}, "top_p to be a share above 0 and at most 1, got 0.0"),
        ({"top_p": 1.1}, "top_p to be a share above 0 and at most 1, got 1.1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        model_of(Dense(8)).generate(**({"prompt": [1], "n": 3} | options))


def test_more_steps_than_learnt_places_are_refused():
    model = model_of(PositionEmbedding(6), Dense(8))

    assert model.generate([1, 2], 5).shape == (7,)  # nothing follows the last token
    with pytest.raises(ValueError, match=r"2 tokens and 6 new ones need 7 places, .* has learnt 6"):
        model.generate([1, 2], 6)
    with pytest.raises(ValueError, match="has learnt 6 places"):
        model.generate(np.ones(9, int), 0)


def test_models_that_do_not_predict_a_token_for_each_step_are_refused():
    with pytest.raises(ValueError, match=r"return_sequences=True"):
        model_of(LSTM(4)).generate([1, 2], 3)
    with pytest.raises(ValueError, match="needs a model that is built"):
        Sequential([Embedding(4, 3), Dense(4)]).generate([1], 3)
    with pytest.raises(ValueError, match="predicts 12 tokens and its Embedding knows 11"):
        model_of(Dense(8), units=12).generate([1], 3)
