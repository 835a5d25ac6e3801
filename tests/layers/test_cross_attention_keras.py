"""Attention between sequences beside Keras': weights, values, scores and every gradient."""

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from keras_parity import close, keras_in

from backprop import layers
from backprop.layer import Context

KINDS = ["MultiHeadAttention", "GroupQueryAttention"]
NAMES = ["query", "value", "key"]


@st.composite
def cases(draw, name):
    """Options, the inputs by name, their masks by name, and what the call says."""
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
        heads, groups = draw(st.sampled_from([(1, 1), (4, 2), (3, 3), (6, 2)]))
        options |= {"head_dim": 2, "num_query_heads": heads, "num_key_value_heads": groups}
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    n, steps, keys = draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(2, 5))
    inputs = {
        "query": rng.standard_normal((n, steps, 3)),
        "value": rng.standard_normal((n, keys, draw(st.integers(1, 4)))),
    }
    if draw(st.booleans()):
        inputs["key"] = rng.standard_normal((n, keys, 2))
    masks = {m: first(rng, a.shape[:2]) for m, a in inputs.items() if draw(st.booleans())}
    call = {"use_causal_mask": draw(st.booleans())}
    if draw(st.booleans()):
        call["attention_mask"] = first(rng, (n, steps, keys))
    return options, inputs, masks, call


def first(rng, shape):
    """A mask that always shows the first key, so that every real query sees one."""
    mask = rng.random(shape) < 0.7
    mask[..., 0] = True
    return mask


def attention_mask(inputs, masks, call):
    """What Keras derives from the masks of its inputs by itself, as an attention mask: what a call
    says of the query's mask is read by one of its two layers only."""
    seen = np.ones((len(inputs["query"]), inputs["query"].shape[1], inputs["value"].shape[1]), bool)
    for name, mask in masks.items():
        seen &= mask[:, :, None] if name == "query" else mask[:, None, :]
    return seen & call.get("attention_mask", True)


def shape(inputs):
    return tuple(a.shape for a in inputs.values())


def beside_keras(keras, name, options, inputs, dtype):
    ours = getattr(layers, name)(**options, dtype=dtype)
    ours.build(shape(inputs))
    theirs = getattr(keras.layers, name)(**options, dtype=dtype)
    theirs.build(*shape(inputs))
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    rng = np.random.default_rng(0)
    ours.set_weights([0.7 * rng.standard_normal(w.shape) for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def by_name(masks):
    return {f"{name}_mask": mask for name, mask in masks.items()}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(st.data())
def test_values_and_scores_are_those_of_keras(name, dtype, data):
    options, inputs, masks, call = data.draw(cases(name))
    inputs = {n: a.astype(dtype) for n, a in inputs.items()}
    with keras_in(dtype) as keras:
        ours, theirs = beside_keras(keras, name, options, inputs, dtype)
        given_ = {"use_causal_mask": call["use_causal_mask"], "return_attention_scores": True}
        mask = attention_mask(inputs, masks, call)
        y, p = theirs(**inputs, **given_, attention_mask=mask)
        y, p = np.asarray(y), np.asarray(p)
    found, weights = ours(**inputs, **by_name(masks), **call, return_attention_scores=True)

    seen = np.broadcast_to(p.sum(-1, keepdims=True) > 0, p.shape)  # who sees nothing is moot
    np.testing.assert_allclose(weights[seen], p[seen], **close(dtype))
    real = seen[:, 0, :, 0]
    np.testing.assert_allclose(found[real], y[real], **close(dtype))


@pytest.mark.filterwarnings("ignore:.*destroy the mask information")  # of Keras' own layers within
@pytest.mark.parametrize("name", KINDS)
@given(st.data())
def test_a_graph_combines_its_masks_as_keras_does(name, data):
    """Masks that come with the inputs: a key's counts where there is a key."""
    options, inputs, masks, call = data.draw(cases(name))
    options |= {"dropout": 0.5}  # one of Keras' two implementations, that of any dtype
    with keras_in("float64") as keras:
        ours, theirs = beside_keras(keras, name, options, inputs, "float64")
        tensors = {n: keras.ops.convert_to_tensor(a) for n, a in inputs.items()}
        for n, mask in masks.items():
            keras.src.backend.set_keras_mask(tensors[n], keras.ops.convert_to_tensor(mask))
        wanted = theirs(**tensors, **call)
        left = keras.src.backend.get_keras_mask(wanted)
        wanted = np.asarray(wanted)
    x = (*inputs.values(), *[None] * (3 - len(inputs)), call.get("attention_mask"))
    given_ = tuple(masks.get(n) for n in (*NAMES, ""))
    ours.use_causal_mask = call["use_causal_mask"]
    y, _, mask = ours.propagate(x, Context(mask=given_ if masks else None))

    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-9)
    if name == "MultiHeadAttention":
        assert (mask is None) == (left is None)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("scores", [False, True])
@settings(max_examples=8)
@given(st.data())
def test_gradients_are_those_of_keras(name, scores, data):
    """The slopes of Keras' y and p along a change of each input and of each weight, by differences
    of two widths that cancel each other's error."""
    options, inputs, masks, call = data.draw(cases(name))
    options["dropout"] = 0.5
    rng = np.random.default_rng(1)
    mask = attention_mask(inputs, masks, call)
    causal = np.tri(*mask.shape[1:], dtype=bool) if call["use_causal_mask"] else True
    assume((mask & causal).any(-1).all() and options["sliding_window"] is None)
    with keras_in("float64") as keras:
        ours, theirs = beside_keras(keras, name, options, inputs, "float64")
        ours.use_causal_mask, ours.return_attention_scores = call["use_causal_mask"], True
        x = (*inputs.values(), *[None] * (3 - len(inputs)), mask)
        (y, p), cache = ours.forward(x)
        dy, dp = rng.standard_normal(y.shape), scores * rng.standard_normal(p.shape)
        dx = [d for d in ours.backward((dy, dp), cache) if d is not None]
        weights = ours.get_weights()

        def slope(along, place):
            def loss(t):
                moved = [w + t * along if i == place else w for i, w in enumerate(weights)]
                theirs.set_weights(moved)
                at = {n: a + t * along if n == place else a for n, a in inputs.items()}
                y, p = theirs(
                    **at, attention_mask=mask, return_attention_scores=True,
                    use_causal_mask=call["use_causal_mask"],
                )  # fmt: skip
                return (dy * np.asarray(y)).sum() + (dp * np.asarray(p)).sum()

            wide, near = ((loss(h) - loss(-h)) / (2 * h) for h in (2e-3, 1e-3))
            return (4 * near - wide) / 3

        found, slopes = [], []
        gradients = [p.gradient for p in ours.arrays()]
        for place, d in [*zip(inputs, dx, strict=True), *enumerate(gradients)]:
            along = rng.standard_normal(d.shape)
            found.append((d * along).sum())
            slopes.append(slope(along, place))

    np.testing.assert_allclose(found, slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("with_key", [False, True])
def test_every_gradient_is_that_of_keras_on_jax(name, with_key, dtype):
    rng = np.random.default_rng(0)
    inputs = {"query": rng.standard_normal((2, 4, 3)), "value": rng.standard_normal((2, 5, 6))}
    inputs |= {"key": rng.standard_normal((2, 5, 2))} if with_key else {}
    inputs = {n: a.astype(dtype) for n, a in inputs.items()}
    sizes = (2, 3) if name == "MultiHeadAttention" else (3, 4, 2)
    options = dict(zip(["num_heads", "key_dim"], sizes, strict=False))
    if name == "GroupQueryAttention":
        options = dict(
            zip(["head_dim", "num_query_heads", "num_key_value_heads"], sizes, strict=True)
        )
    options |= {"use_gate": True, "dropout": 0.5}
    mask = first(rng, (2, 4, 5))
    with keras_in(dtype) as keras:
        if keras.backend.backend() != "jax":
            pytest.skip("Keras differentiates with an engine that does")
        import jax

        ours, theirs = beside_keras(keras, name, options, inputs, dtype)
        ours.return_attention_scores = True
        (y, p), cache = ours.forward((*inputs.values(), *[None] * (3 - len(inputs)), mask))
        dy, dp = (rng.standard_normal(a.shape).astype(dtype) for a in (y, p))

        def loss(weights, inputs):
            call = {"attention_mask": mask, "return_attention_scores": True, "training": False}
            held = [v.value for v in theirs.non_trainable_variables]
            (y, p), _ = theirs.stateless_call(weights, held, **inputs, **call)
            return (dy * y).sum() + (dp * p).sum()

        weights = [v.value for v in theirs.trainable_variables]
        of_weights, of_inputs = jax.grad(loss, argnums=(0, 1))(weights, inputs)
    dx = [d for d in ours.backward((dy, dp), cache) if d is not None]

    tol = close(dtype) if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-5}
    for name_, d in zip(inputs, dx, strict=True):
        np.testing.assert_allclose(d, of_inputs[name_], **tol)
    for p, d in zip(ours.arrays(), of_weights, strict=True):
        np.testing.assert_allclose(p.gradient, d, **tol)
