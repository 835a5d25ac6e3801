"""MultiHeadAttention and GroupQueryAttention."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import with_weights

from backprop.kernels.attention import exponentials
from backprop.layer import TRAINING, Context
from backprop.layers.attention import GroupQueryAttention, MultiHeadAttention
from backprop.random import own_seeds


@st.composite
def sequences(draw):
    """x (N, T, d), and a mask or None; some masks leave a sequence nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.integers(0, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    mask = rng.random(shape[:2]) < 0.6 if draw(st.booleans()) else None
    return rng.standard_normal(shape), mask


def options():
    return st.fixed_dictionaries(
        {
            "num_heads": st.integers(1, 3),
            "key_dim": st.integers(1, 3),
            "value_dim": st.none() | st.integers(1, 3),
            "output_shape": st.none() | st.integers(1, 3),
            "use_causal_mask": st.booleans(),
        }
    )


# ---------------------------------------------------------------------------------- values


def test_attention_by_hand():
    layer = MultiHeadAttention(1, 1, use_bias=False, dtype="float64")
    layer.build((None, 2, 1))
    layer.set_weights([[[[1.0]]], [[[1.0]]], [[[10.0]]], [[[1.0]]]])

    y = layer(np.array([[[0.0], [np.log(3)]]]))

    # the first query is 0 and sees both evenly; the second is ln 3, its scores are 0 and (ln 3)²
    p = 1 / (1 + 3 ** -np.log(3))
    np.testing.assert_allclose(y[0, :, 0], [5 * np.log(3), 10 * p * np.log(3)], rtol=1e-14)


@given(sequences(), options())
def test_values_are_the_loops(data, options):
    x, mask = data
    layer = with_weights(MultiHeadAttention(**options, dtype="float64"), x)
    before = x.copy()

    y = layer(x, mask=mask)

    wanted = reference.self_attention(x, *layer.weights, mask, options["use_causal_mask"])
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(x, before)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *y.shape[1:])


def test_weights_are_in_keras_order():
    layer = MultiHeadAttention(2, 3, value_dim=4, output_shape=6)
    layer.build((None, 7, 5))

    shapes = [w.shape for w in layer.weights]
    assert layer.arrays()[0].path == "multi_head_attention/query/kernel"
    assert shapes == [(5, 2, 3), (2, 3), (5, 2, 3), (2, 3), (5, 2, 4), (2, 4), (2, 4, 6), (6,)]


def test_a_step_sees_no_masked_key():
    x = np.random.default_rng(0).standard_normal((1, 4, 3))
    changed = x.copy()
    changed[0, 2] = 50.0
    mask = np.array([[True, True, False, True]])
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), x)

    np.testing.assert_array_equal(layer(x, mask=mask)[mask], layer(changed, mask=mask)[mask])
    np.testing.assert_allclose(layer(x, mask=mask)[mask], layer(x[:, [0, 1, 3]])[0], rtol=1e-12)


def test_a_step_sees_no_later_key():
    x = np.random.default_rng(0).standard_normal((1, 4, 3))
    layer = with_weights(MultiHeadAttention(2, 3, use_causal_mask=True, dtype="float64"), x)

    for t in range(1, 5):
        np.testing.assert_allclose(layer(x[:, :t]), layer(x)[:, :t], rtol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_nothing_to_see_is_finite(dropout):
    x = np.full((1, 3, 2), 1e4, np.float32)
    layer = MultiHeadAttention(2, 3, dropout=dropout)
    layer.build((None, 3, 2))
    y, cache = layer.forward(x, Context(mask=np.zeros((1, 3), bool)))

    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(y, cache)).all()


def test_large_scores_do_not_overflow():
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 1e8

    assert np.isfinite(MultiHeadAttention(2, 3)(x)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", [0.0, 29.0, 31.0, -29.0, -40.0, -200.0, 1e4, -1e4])
def test_scores_of_every_size_have_the_same_softmax(shift, dtype):
    s = np.random.default_rng(0).uniform(-1, 1, (2, 1, 1, 3, 4))
    wanted = np.exp(s) / np.exp(s).sum(-1, keepdims=True)
    s = (s + shift).astype(dtype)
    before = s.copy()

    e, total = exponentials(s)

    tol = 1e-11 if dtype == "float64" else 1e-5 + 1e-7 * abs(shift)
    np.testing.assert_allclose(e / total, wanted, rtol=tol)
    np.testing.assert_array_equal(s, before)


@pytest.mark.parametrize("large", [0.0, 500.0])
def test_rows_differ_in_size_and_keys_may_be_unseen(large):
    s = np.array([[0.5, -np.inf, -0.5], [large, 0.0, -np.inf], [-large, -large, -large]])
    s = np.concatenate([s, np.full((1, 3), -np.inf)])[None, None, None]
    e, total = exponentials(s)

    for i, row in enumerate(s[0, 0, 0, :3]):
        weights = np.exp(row - row.max())
        np.testing.assert_allclose(e[0, 0, 0, i] / total[0, 0, 0, i], weights / weights.sum())
    assert not e[0, 0, 0, 3].any()
    assert total[0, 0, 0, 3] == 0  # nothing is seen


def test_scores_on_request_are_the_weights_of_the_values():
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    layer = with_weights(MultiHeadAttention(2, 3, use_causal_mask=True, dtype="float64"), x)
    y, p = layer(x, return_attention_scores=True)
    v = layer.value.forward(x)[0]
    o = np.einsum("nhts,nshk->nthk", p, v)

    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-13)
    assert not np.triu(p, 1).any()
    np.testing.assert_allclose(layer.output.forward(o)[0], y, rtol=1e-12)


@pytest.mark.parametrize("kind", ["multi-head", "grouped"])
@pytest.mark.parametrize("options", [{}, {"sliding_window": 2}, {"rotary": True, "use_gate": True}])
def test_steps_are_the_whole(kind, options):
    x = np.random.default_rng(0).standard_normal((2, 6, 4))
    options = {"use_causal_mask": True, "dropout": 0.3, "dtype": "float64"} | options
    if kind == "grouped":
        layer = with_weights(GroupQueryAttention(2, 4, 2, **options), x)
    else:
        layer = with_weights(MultiHeadAttention(2, 4, value_dim=3, **options), x)
    parts, memory = [], None
    for start, stop in [(0, 1), (1, 4), (4, 6)]:
        y, memory = layer.step(x[:, start:stop], memory)
        parts.append(y)

    assert layer.can_step
    np.testing.assert_allclose(np.concatenate(parts, axis=1), layer(x), rtol=1e-12, atol=1e-12)


def test_as_many_groups_as_heads_are_multi_head_attention():
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    many = with_weights(MultiHeadAttention(3, 2, dtype="float64"), x)
    grouped = with_weights(GroupQueryAttention(2, 3, 3, dtype="float64"), x)

    np.testing.assert_array_equal(grouped(x), many(x))


def test_a_group_is_multi_head_attention_with_its_key_repeated():
    x, dy = np.random.default_rng(0).standard_normal((2, 2, 5, 4))
    grouped = with_weights(GroupQueryAttention(2, 6, 2, dtype="float64"), x)
    many = MultiHeadAttention(6, 2, dtype="float64")
    many.build((None, 5, 4))
    weights = grouped.get_weights()
    for i in (2, 4):  # the kernels of key and value, and their biases
        weights[i], weights[i + 1] = weights[i].repeat(3, 1), weights[i + 1].repeat(3, 0)
    many.set_weights(weights)
    y, cache = grouped.forward(x)
    wanted, peer = many.forward(x)
    np.testing.assert_allclose(y, wanted, rtol=1e-13)
    np.testing.assert_allclose(grouped.backward(dy, cache), many.backward(dy, peer), rtol=1e-11)
    for name in ("key", "value"):
        ours, theirs = getattr(grouped, name).dkernel, getattr(many, name).dkernel
        np.testing.assert_allclose(ours, theirs.reshape(4, 2, 3, 2).sum(2), rtol=1e-11)


# ---------------------------------------------------------------------------------- gradients


@given(sequences(), options(), st.booleans(), st.sampled_from([0.0, 0.4, 1.0]))
def test_gradients(data, options, use_bias, dropout):
    x, mask = data
    layer = MultiHeadAttention(**options, use_bias=use_bias, dropout=dropout)
    assert_gradients(layer, x, mask=mask)


def test_gradients_with_an_output_of_two_axes():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert_gradients(MultiHeadAttention(2, 3, output_shape=(2, 5)), x)


def test_gradients_of_a_sequence_without_steps():
    assert_gradients(MultiHeadAttention(2, 3), np.zeros((2, 0, 4)))


def test_the_key_bias_has_no_gradient():
    """It adds the same to all scores of a query, which softmax does not see."""
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), x)
    y, cache = layer.forward(x)
    layer.backward(np.random.default_rng(1).standard_normal(y.shape), cache)

    np.testing.assert_allclose(layer.key.dbias, 0, atol=1e-12)
    assert np.abs(layer.query.dbias).min() > 1e-3


# ---------------------------------------------------------------------------------- the rest


def test_dropout_is_for_training_only_and_keeps_the_mean():
    x = np.random.default_rng(0).standard_normal((1, 6, 4))
    layer = with_weights(MultiHeadAttention(2, 3, dropout=0.3, seed=0, dtype="float64"), x)
    y = layer(x)
    many = layer(np.repeat(x, 20000, axis=0), training=True)
    error = many.std(0) / np.sqrt(20000)

    np.testing.assert_array_equal(layer(x), y)
    assert (np.abs(many.mean(0) - y[0]) < 5 * error).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype):
    layer = MultiHeadAttention(2, 3, dropout=0.5, use_causal_mask=True, dtype=dtype)
    x = np.ones((2, 3, 4), dtype)
    layer.build((None, 3, 4))
    y, cache = layer.forward(x, Context(training=True, mask=np.ones((2, 3), bool)))

    assert y.dtype == dtype
    assert layer.backward(np.ones_like(y), cache).dtype == dtype
    assert {p.value.dtype for p in layer.arrays()} == {np.dtype(dtype)}


def test_nothing_given_is_written_into():
    x = np.random.default_rng(0).standard_normal((2, 3, 2))
    dy = np.ones((2, 3, 2))
    mask = np.array([[True, False, True]] * 2)
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64", dropout=0.5), x)
    for array in (x, dy, mask):
        array.setflags(write=False)

    y, cache = layer.forward(x, Context(training=True, mask=mask))
    kept = y.copy()
    first, second = layer.backward(dy, cache), layer.backward(dy, cache)

    np.testing.assert_array_equal(first, second)  # the cache is as it was
    np.testing.assert_array_equal(y, kept)


def test_gradients_are_set_and_not_added():
    x = np.random.default_rng(0).standard_normal((2, 3, 2))
    layer = with_weights(MultiHeadAttention(2, 3, dtype="float64"), x)
    y, cache = layer.forward(x, TRAINING)
    layer.backward(y, cache)
    once = [p.gradient.copy() for p in layer.arrays()]
    layer.backward(y, cache)

    for p, gradient in zip(layer.arrays(), once, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)


def test_freezing_freezes_every_weight():
    layer = MultiHeadAttention(2, 3, trainable=False)
    layer.build((None, 3, 4))

    assert not layer.trainable_weights
    assert len(layer.non_trainable_weights) == 8


def test_configuration_comes_back():
    layer = MultiHeadAttention(2, 3, value_dim=4, use_causal_mask=True, kernel_regularizer="l2")
    twin = MultiHeadAttention.from_config(layer.get_config())

    assert twin.get_config() == layer.get_config()
    assert repr(layer) == (
        "MultiHeadAttention(2, 3, value_dim=4, kernel_regularizer='l2', use_causal_mask=True)"
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_heads": 0}, "num_heads to be a positive integer, got 0"),
        ({"key_dim": 2.0}, "key_dim to be a positive integer, got 2.0"),
        ({"value_dim": -1}, "value_dim to be a positive integer, got -1"),
        ({"output_shape": (2, 0)}, "output_shape to be a positive integer, got 0"),
        ({"dropout": 2}, "dropout to be a number from 0 to 1, got 2"),
        ({"attention_axes": 2}, "attends along the time, axis 1 .* attention_axes is 2"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 1, "key_dim": 2} | options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupQueryAttention(0, 2, 1), "head_dim to be a positive integer, got 0"),
        (lambda: GroupQueryAttention(2, 0, 1), "num_query_heads to be a positive integer, got 0"),
        (lambda: GroupQueryAttention(2, 2, 0), "num_key_value_heads to be a positive integer"),
        (lambda: GroupQueryAttention(2, 4, 3), "to divide num_query_heads, .* got 3 and 4"),
        (lambda: GroupQueryAttention(2, 2, 1, sliding_window=0), "sliding_window to be a pos"),
        (lambda: GroupQueryAttention(2, 2, 1, flash_attention=True), "names a kernel of Keras"),
    ],
)
def test_groups_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_keras_has_and_this_layer_has_not_is_named():
    with pytest.raises(ValueError, match="names a kernel of Keras"):
        MultiHeadAttention(1, 2, flash_attention=True)


def test_shapes_that_do_not_fit_are_refused():
    layer = MultiHeadAttention(1, 2)
    layer(np.zeros((1, 3, 2)))

    with pytest.raises(ValueError, match=r"expects inputs of .* and got"):
        layer(np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match=r"expects a mask of shape \(1, 3\), batch and time, got"):
        layer(np.zeros((1, 3, 2)), mask=np.ones((1, 4), bool))


# ------------------------------------------------------------------------------ where it saturates


def exact_dquery(layer, x, dy, hidden=None):
    """dL/d(query kernel) with ds_i = Σ_j p_i p_j (dp_i - dp_j), in float64: nothing cancels but
    what is given.
    """
    q, k, v, out = (
        f.kernel.astype(np.float64) for f in (layer.query, layer.key, layer.value, layer.output)
    )
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    group = q.shape[1] // k.shape[1]
    dq = np.zeros_like(q)
    for h in range(q.shape[1]):
        keys, values = x @ k[:, h // group], x @ v[:, h // group]
        s = (x @ q[:, h]) @ keys.swapaxes(1, 2) * q.shape[2] ** -0.5
        if hidden is not None:
            s = np.where(hidden, -np.inf, s)
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        dp = (dy @ out[h].T) @ values.swapaxes(1, 2)
        pairs = p[..., :, None] * p[..., None, :] * (dp[..., :, None] - dp[..., None, :])
        dq[:, h] = np.einsum("ntd,ntk->dk", x, pairs.sum(-1) @ keys) * q.shape[2] ** -0.5
    return dq


SATURATED = [
    MultiHeadAttention(2, 4),
    MultiHeadAttention(2, 4, use_causal_mask=True),
    MultiHeadAttention(3, 2, value_dim=5, use_bias=False),
    GroupQueryAttention(4, 4, 2),
    GroupQueryAttention(4, 4, 1),
]


@pytest.mark.parametrize("scale", [1e-4, 1, 10, 30, 100, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", SATURATED, ids=repr)
def test_a_saturated_softmax_passes_no_more_on_than_it_should(layer, dtype, scale):
    layer = type(layer).from_config({**layer.get_config(), "dtype": dtype})
    rng = np.random.default_rng(0)
    x, dy = scale * rng.standard_normal((2, 6, 8)), rng.standard_normal((2, 6, 8))
    x, dy = x.astype(dtype), dy.astype(dtype)
    with own_seeds(0):
        layer.build((None, None, 8))
    hidden = np.triu(np.ones((6, 6), bool), 1) if layer.use_causal_mask else None
    exact = exact_dquery(layer, x, dy, hidden)
    top = np.abs(exact).max()

    _, cache = layer.forward(x, TRAINING)
    layer.backward(dy, cache)

    # a score's rounding, scale² eps, is what p and so all of it may be off by; and p may underflow
    info = np.finfo(dtype)
    few = 10 * info.eps * (1 + 2 * scale**2) * top + info.tiny * (1 + scale) ** 3
    assert np.abs(layer.query.dkernel - exact).max() <= few


@pytest.mark.parametrize("layer", SATURATED, ids=repr)
def test_backward_is_linear_in_dy_where_the_softmax_saturates(layer):
    layer = type(layer).from_config(layer.get_config())
    rng = np.random.default_rng(0)
    x = (100 * rng.standard_normal((2, 6, 8))).astype(np.float32)
    first, second = rng.standard_normal((2, 2, 6, 8)).astype(np.float32)
    with own_seeds(0):
        layer.build((None, None, 8))
    found = []
    for dy in (first, second, first + second):
        _, cache = layer.forward(x, TRAINING)
        layer.backward(dy, cache)
        found.append(layer.query.dkernel.astype(np.float64))

    np.testing.assert_allclose(
        found[0] + found[1], found[2], rtol=1e-3, atol=1e-3 * abs(found[2]).max()
    )
