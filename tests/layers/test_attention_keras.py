"""Both kinds of attention beside Keras': arguments, weights, values, scores and gradients."""

import inspect

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from keras_parity import close, keras_in

from backprop import layers
from backprop.layer import Context

# but for rotary they are arguments of the call there
OURS_ALONE = ["use_causal_mask", "rotary", "return_attention_scores"]
KINDS = ["MultiHeadAttention", "GroupQueryAttention"]


@pytest.mark.parametrize("name", KINDS)
def test_arguments_and_defaults_are_those_of_keras(name):
    with keras_in("float32") as keras:
        theirs = inspect.signature(getattr(keras.layers, name)).parameters
    ours = inspect.signature(getattr(layers, name)).parameters
    of_every_layer = inspect.signature(layers.Layer).parameters

    own = [n for n in ours if n not in OURS_ALONE and n not in of_every_layer.keys() - theirs]
    assert own == [n for n in theirs if n != "kwargs"]
    assert [ours[n].default for n in own] == [theirs[n].default for n in own]


@st.composite
def cases(draw, name):
    """Options, x (N, T, d), and a mask or None."""
    options = {"use_bias": draw(st.booleans()), "use_gate": draw(st.booleans())}
    options["sliding_window"] = draw(st.sampled_from([None, None, 1, 2]))
    if name == "MultiHeadAttention":
        options |= {
            "num_heads": draw(st.integers(1, 3)),
            "key_dim": draw(st.integers(1, 3)),
            "value_dim": draw(st.sampled_from([None, 1, 3])),
            "output_shape": draw(st.sampled_from([None, 2])),
        }
    else:
        heads, groups = draw(st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3), (6, 2)]))
        options |= {
            "head_dim": draw(st.integers(1, 3)),
            "num_query_heads": heads,
            "num_key_value_heads": groups,
        }
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = rng.standard_normal((draw(st.integers(1, 3)), draw(st.integers(1, 4)), 3))
    mask = draw(st.sampled_from([None, "some", "left", "right", "none", "all"]))
    return options, x, None if mask is None else masks(mask, x.shape[:2], rng)


def masks(kind, shape, rng):
    lengths, places = rng.integers(1, shape[1] + 1, (shape[0], 1)), np.arange(shape[1])
    return {
        "some": rng.random(shape) < 0.6,
        "right": places < lengths,
        "left": places >= shape[1] - lengths,
        "none": np.ones(shape, bool),
        "all": np.zeros(shape, bool),
    }[kind]


def beside_keras(keras, name, options, x, dtype, **ours_alone):
    ours = getattr(layers, name)(**options, **ours_alone, dtype=dtype)
    ours.build((None, *x.shape[1:]))
    theirs = getattr(keras.layers, name)(**options, dtype=dtype)
    theirs.build(x.shape, x.shape)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    rng = np.random.default_rng(0)
    ours.set_weights([0.7 * rng.standard_normal(w.shape) for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def keras_mask(mask):
    """What Keras derives by itself from the masks of query and value, as an attention mask."""
    return {} if mask is None else {"attention_mask": mask[:, :, None] & mask[:, None, :]}


@pytest.mark.parametrize("name", KINDS)
@given(st.data(), st.sampled_from(["float32", "float64"]), st.booleans(), st.booleans())
def test_agrees_with_keras(name, data, dtype, causal, dropout):
    """Keras has two implementations; where there is no dropout, its softmax is of float32."""
    options, x, mask = data.draw(cases(name))
    x = x.astype(dtype)
    if dropout:
        assume(x.shape[1] > 1)  # Keras warns of a softmax over one score
        options["dropout"] = 0.5
    with keras_in(dtype) as keras:
        if keras.backend.backend() == "jax" and not dropout:  # where Keras fails on others
            assume(options.get("value_dim") in (None, options.get("key_dim")))
        ours, theirs = beside_keras(keras, name, options, x, dtype, use_causal_mask=causal)
        wanted = np.asarray(theirs(x, x, use_causal_mask=causal, **keras_mask(mask)))

    np.testing.assert_allclose(ours(x, mask=mask), wanted, **close(dtype if dropout else "float32"))


@pytest.mark.parametrize("name", KINDS)
@given(st.data(), st.booleans())
def test_scores_are_those_of_keras(name, data, causal):
    options, x, mask = data.draw(cases(name))
    with keras_in("float64") as keras:
        assume(x.shape[1] > 1)  # Keras warns of a softmax over one score
        ours, theirs = beside_keras(keras, name, options, x, "float64", use_causal_mask=causal)
        _, wanted = theirs(
            x, x, use_causal_mask=causal, return_attention_scores=True, **keras_mask(mask)
        )
        wanted = np.asarray(wanted)
    y, p = ours(x, mask=mask, return_attention_scores=True)

    real = np.ones(x.shape[:2], bool) if mask is None else mask
    shown = np.broadcast_to(real[:, None, :, None], p.shape)  # what a masked query takes is moot
    np.testing.assert_allclose(p[shown], wanted[shown], rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(y, ours(x, mask=mask))


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=10)
@given(st.data(), st.booleans())
def test_gradients_are_those_of_keras(name, data, causal):
    """The slopes of Keras' y along a change of x and of each array, by differences of two widths
    that cancel each other's error. Where there is dropout, Keras computes in float64 throughout."""
    options, x, mask = data.draw(cases(name))
    assume(x.shape[1] > 1)  # Keras warns of a softmax over one score
    options["dropout"] = 0.5
    rng = np.random.default_rng(1)
    with keras_in("float64") as keras:
        ours, theirs = beside_keras(keras, name, options, x, "float64", use_causal_mask=causal)
        y, cache = ours.forward(x, Context(mask=mask))
        dy = rng.standard_normal(y.shape)
        dx = ours.backward(dy, cache)
        weights = ours.get_weights()

        def slope(along, i=None):
            def loss(t):
                moved = [w + t * along if i == j else w for j, w in enumerate(weights)]
                theirs.set_weights(moved)
                at = x + t * along if i is None else x
                y = theirs(at, at, use_causal_mask=causal, **keras_mask(mask))
                return (dy * np.asarray(y)).sum()

            wide, near = ((loss(h) - loss(-h)) / (2 * h) for h in (2e-3, 1e-3))
            return (4 * near - wide) / 3

        along = rng.standard_normal(x.shape)
        found, slopes = [(dx * along).sum()], [slope(along)]
        for i, p in enumerate(ours.arrays()):
            along = rng.standard_normal(p.shape)
            found.append((p.gradient * along).sum())
            slopes.append(slope(along, i))

    np.testing.assert_allclose(found, slopes, rtol=1e-7, atol=1e-8)
