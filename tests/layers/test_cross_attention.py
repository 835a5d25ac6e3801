"""MultiHeadAttention and GroupQueryAttention on a query, a value and a key."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st

from backprop.layer import Context
from backprop.layers import Dense, Embedding, GroupQueryAttention, Input, MultiHeadAttention
from backprop.models import Model
from backprop.nest import each_shape, shapes


def with_weights(layer, x, seed=0):
    layer.build(each_shape(lambda s: (None, *s[1:]), shapes(x)))
    rng = np.random.default_rng(seed)
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.weights])
    return layer


@st.composite
def cases(draw):
    """A layer, x as a tuple, and masks of its inputs, or None."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    n, steps, keys = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    x = [
        rng.standard_normal((n, steps, 3)),
        rng.standard_normal((n, keys, draw(st.integers(1, 4)))),
    ]
    if draw(st.booleans()):
        x.append(rng.standard_normal((n, keys, 2)))
    masks = [rng.random(a.shape[:2]) < 0.7 if draw(st.booleans()) else None for a in x]
    options = {
        "use_gate": draw(st.booleans()),
        "sliding_window": draw(st.sampled_from([None, None, 1, 2])),
        "use_causal_mask": draw(st.booleans()),
        "use_bias": True,
    }
    if draw(st.booleans()):
        layer = MultiHeadAttention(2, 3, value_dim=draw(st.sampled_from([None, 2])), **options)
    else:
        layer = GroupQueryAttention(2, 4, draw(st.sampled_from([1, 2, 4])), **options)
    around = draw(st.sampled_from([None, (), (n,), (n, 1), (n, layer.heads), (1, 1)]))
    if around is not None:
        pairs = rng.random((*around, steps, keys)) < 0.7
        x = [*x, *[None] * (3 - len(x)), pairs]
        masks += [None] * (4 - len(masks))
    return layer, tuple(x), tuple(masks) if any(m is not None for m in masks) else None


def by_loops(layer, x, masks):
    return reference.attention_between(*x, layer=layer, mask=masks)


# ---------------------------------------------------------------------------------- values


def test_a_query_of_one_sequence_takes_the_values_of_another_by_hand():
    layer = MultiHeadAttention(1, 1, use_bias=False, dtype="float64")
    query, value, key = (
        np.array([[[1.0]]]),
        np.array([[[5.0], [9.0]]]),
        np.array([[[0.0], [np.log(3)]]]),
    )
    layer.build((query.shape, value.shape, key.shape))
    layer.set_weights([np.ones((1, 1, 1))] * 4)

    y, p = layer(query, value, key, return_attention_scores=True)

    np.testing.assert_allclose(p[0, 0, 0], [0.25, 0.75], rtol=1e-14)
    np.testing.assert_allclose(y[0, 0], [8.0], rtol=1e-14)


@given(cases())
def test_values_and_scores_are_the_loops(case):
    layer, x, masks = case
    layer = with_weights(layer.from_config(layer.get_config() | {"dtype": "float64"}), x)
    layer.return_attention_scores = True
    y, p = layer.forward(x, Context(mask=masks))[0]
    wanted, weights = by_loops(layer, x, masks)

    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(p, weights, rtol=1e-11, atol=1e-11)
    assert layer.compute_output_shape(shapes(x)) == (y.shape, p.shape)


def test_the_call_is_keras_and_names_the_masks():
    rng = np.random.default_rng(0)
    query, value, key = (rng.standard_normal((2, n, 3)) for n in (4, 5, 5))
    pairs, of_value = rng.random((2, 4, 5)) < 0.7, np.arange(5) < [[3], [5]]
    pairs[..., 0] = True  # no query sees nothing
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), (query, value, key))

    y, p = layer(
        query, key=key, value=value, attention_mask=pairs, value_mask=of_value,
        use_causal_mask=True, return_attention_scores=True,
    )  # fmt: skip

    assert not p[~np.broadcast_to((pairs & of_value[:, None])[:, None], p.shape)].any()
    assert not np.triu(p[0, 0], 1).any()
    assert not layer.use_causal_mask
    assert y.shape == layer(query, value, key).shape == (2, 4, 3)


def test_a_sequence_that_is_its_own_value_is_self_attention():
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), x)
    pairs = np.tri(4, dtype=bool)

    np.testing.assert_array_equal(layer(x, x), layer(x))
    np.testing.assert_allclose(layer(x, x.copy()), layer(x), rtol=1e-12)
    causal = MultiHeadAttention.from_config(layer.get_config() | {"use_causal_mask": True})
    causal.build(x.shape)
    causal.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x, x, attention_mask=pairs), causal(x))
    np.testing.assert_array_equal(layer(x, x, use_causal_mask=True), causal(x))


def test_what_is_masked_may_be_anything():
    rng = np.random.default_rng(0)
    query, value, key = (rng.standard_normal((2, n, 3)) for n in (4, 5, 5))
    masks = (np.arange(4) < [[4], [2]], np.arange(5) < [[3], [5]], np.arange(5) > [[0], [1]])
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), (query, value, key))
    found = []
    for filled in (0.0, np.nan, np.inf):
        inputs = zip((query, value, key), masks, strict=True)
        x = tuple(np.where(m[..., None], a, filled) for a, m in inputs)
        y, cache = layer.forward(x, Context(mask=masks))
        dx = layer.backward(np.where(masks[0][..., None], 1.0, 0.0) * np.ones_like(y), cache)
        found.append((y[masks[0]], *(d[m] for d, m in zip(dx, masks, strict=True))))

    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------------- gradients


@given(cases(), st.booleans(), st.sampled_from([0.0, 0.4]))
def test_gradients(case, scores, dropout):
    layer, x, masks = case
    changed = {"return_attention_scores": scores, "dropout": dropout}
    assert_gradients(layer.from_config(layer.get_config() | changed), x, mask=masks)


def test_what_is_not_given_gets_nothing_back():
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), (x, x))
    pairs = np.ones((4, 4), bool)

    for given_, places in [
        ((x, x), "dd"),
        ((x, x, None, pairs), "dd--"),
        ((x, x, x, pairs), "ddd-"),
    ]:
        y, cache = layer.forward(given_)
        dx = layer.backward(np.ones_like(y), cache)
        assert "".join("-" if d is None else "d" for d in dx) == places
        np.testing.assert_allclose(
            sum(d for d in dx if d is not None),
            layer.backward(np.ones_like(y), layer.forward(x)[1]),
            rtol=1e-11,
            atol=1e-12,
        )


def test_an_unused_output_changes_nothing():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5, 2))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), x)
    y, cache = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    wanted = layer.backward(dy, cache)
    layer.return_attention_scores = True
    (y, p), cache = layer.forward(x)
    found = layer.backward((dy, np.broadcast_to(np.zeros(()), p.shape)), cache)

    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------------- steps


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("options", [{}, {"use_causal_mask": True, "use_gate": True}])
@pytest.mark.parametrize("with_key", [False, True])
def test_steps_of_a_query_are_the_whole(grouped, options, with_key):
    rng = np.random.default_rng(0)
    query, value, key = (rng.standard_normal((2, n, 3)) for n in (6, 5, 5))
    real = np.arange(5) < [[3], [5]]
    others = (value, key) if with_key else (value,)
    make = (
        GroupQueryAttention(2, 4, 2, **options) if grouped else MultiHeadAttention(2, 3, **options)
    )
    layer = with_weights(make.astype("float64"), (query, *others))

    assert layer.can_step_query
    assert not layer.can_step  # a value that grows with the query is no memory
    for memory, mask in [(None, None), (layer.remember(*others, mask=real), (None, real, None))]:
        parts = []
        for start, stop in [(0, 1), (1, 4), (4, 6)]:
            part = query[:, start:stop]
            y, memory = layer.step(part if mask else (part, *others), memory)
            parts.append(y)
        mask = mask and mask[: 1 + len(others)]
        whole, _ = layer.forward((query, *others), Context(mask=mask))
        np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-12, atol=1e-12)


def test_a_memory_can_be_continued_in_two_ways():
    rng = np.random.default_rng(0)
    query, value = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 5, 3))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), (query, value))
    _, memory = layer.step((query[:, :1], value), None)
    kept = memory.k.copy()
    first, second = layer.step(query[:, 1:2], memory), layer.step(query[:, 1:2], memory)

    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(memory.k, kept)
    assert first[1].k is memory.k  # computed once


# ---------------------------------------------------------------------------------- in a graph


def test_a_graph_of_two_sequences_passes_masks_and_gradients():
    tokens, other = Input((None,), dtype="int64"), Input((None,), dtype="int64")
    a, b = Embedding(7, 4, mask_zero=True)(tokens), Embedding(7, 3, mask_zero=True)(other)
    y, p = MultiHeadAttention(2, 3)(a, b, use_causal_mask=True, return_attention_scores=True)
    model = Model([tokens, other], [Dense(2)(y), p])
    words, seen = np.array([[1, 2, 3, 0]]), np.array([[4, 5, 0, 0, 0]])

    y, p = model([words, seen])

    assert y.shape == (1, 4, 2)
    assert p.shape == (1, 2, 4, 5)
    assert not p[..., :3, 2:].any()
    assert np.isfinite(y).all()


def test_a_symbolic_value_that_is_the_query_is_self_attention():
    x = Input((4, 3))
    layer = MultiHeadAttention(2, 3)
    model = Model(x, layer(x, x, use_causal_mask=True))

    assert layer.use_causal_mask
    assert model.can_step
    assert layer.build_shape == (None, 4, 3)


# ---------------------------------------------------------------------------------- errors

X, V = np.zeros((2, 4, 3)), np.zeros((2, 5, 3))


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ((X, V[:, :, 0]), {}, "expects value of 2 axes besides the batch and got"),
        ((X, V[:1]), {}, "expects as many queries, values and keys"),
        ((X, V, V[:, :4]), {}, "a value for each step of the key; got"),
        ((X, V, None, np.ones((2, 5, 4))), {}, r"expects an attention_mask of shape"),
        ((X, V, None, np.ones(5)), {}, r"expects an attention_mask of shape"),
        ((X, V, None, np.ones((2, 3, 4, 5))), {}, r"expects an attention_mask of shape"),
        ((X, V), {"rotary": True}, "turns queries and keys by their positions in one sequence"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(2, 4, **options)(*inputs)


def test_a_built_layer_keeps_to_its_sizes():
    layer = MultiHeadAttention(2, 4)
    layer(X, np.zeros((2, 5, 6)))

    with pytest.raises(ValueError, match=r"expects value of .* 6 along axis -1 and got"):
        layer(X, V)
    with pytest.raises(ValueError, match=r"expects inputs of .* 6 along axis -1 and got"):
        layer(X)
    with pytest.raises(TypeError, match="cannot be called with 'values'"):
        layer(X, values=V)
