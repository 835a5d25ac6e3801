import numpy as np
import pytest
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layers import Dense, Input, ReversibleEmbedding, Unembedding
from backprop.models import Model

OPTIONS = {
    "tied": {},
    "apart": {"tie_weights": False},
    "capped": {"logit_soft_cap": 0.5},
    "both": {"tie_weights": False, "logit_soft_cap": 0.5},
}
IDS = np.random.default_rng(0).integers(0, 7, (5, 4))


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def layer_for(name, dtype="float64", **more):
    layer = ReversibleEmbedding(
        7, 3, embeddings_initializer="normal", dtype=dtype, **OPTIONS[name], **more
    )
    layer.build((None, 4))
    layer.set_weights([drawn(w.shape, i) for i, w in enumerate(layer.weights)])
    return layer


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_ways_agree_with_keras(name, dtype):
    layer, h = layer_for(name, dtype), drawn((5, 4, 3), 9, dtype)
    with keras_in(dtype) as keras:
        theirs = keras.layers.ReversibleEmbedding(7, 3, dtype=dtype, **OPTIONS[name])
        theirs.build((None, 4))
        assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in layer.weights]
        theirs.set_weights(layer.get_weights())
        wanted, scores = np.asarray(theirs(IDS)), np.asarray(theirs(h, reverse=True))

    np.testing.assert_allclose(layer(IDS), wanted, **close(dtype))
    np.testing.assert_allclose(layer(h, reverse=True), scores, **close(dtype))
    np.testing.assert_allclose(layer(h, True), scores, **close(dtype))


@needs_keras_on_jax
def test_the_gradients_of_a_table_that_goes_both_ways_are_those_of_keras(tmp_path):
    asked, ours = {}, {}
    looked_up = f"layer.stateless_call(w, [], jax.numpy.array({IDS.tolist()}))[0]"
    run = (
        "(lambda layer: (layer.build((None, 4)), lambda w: layer.stateless_call(w, [], "
        f"{looked_up} ** 2, reverse=True)[0])[1])"
    )
    for name, options in OPTIONS.items():
        layer = layer_for(name)
        x = Input((4,), dtype="int32")
        square = bp.layers.RaiseTo(2)
        ours[name] = layer, Model(x, layer(square(layer(x)), reverse=True))
        given = "".join(f", {k}={v!r}" for k, v in options.items())
        made = f"keras.layers.ReversibleEmbedding(7, 3{given})"
        asked[name] = f"{run}({made})", layer.get_weights()
    found = run_in_keras(asked, tmp_path)
    for name, (layer, model) in ours.items():
        y, cache = model.forward(IDS)
        model.backward_params(gradient_from_above(y), cache)

        np.testing.assert_allclose(y, found[f"{name} float64 y"], **close("float64"))
        for i, p in enumerate(layer.arrays()):
            np.testing.assert_allclose(p.gradient, found[f"{name} float64 dx{i}"], rtol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_language_model_is_certified_and_saved(name, tmp_path):
    x = Input((4,), dtype="int32")
    layer = ReversibleEmbedding(7, 3, **OPTIONS[name])
    model = Model(x, layer(Dense(3, "tanh")(layer(x)), reverse=True))
    model.compile("sgd", bp.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IDS, IDS, verbose=0)
    model.save(tmp_path / "model.npz")
    read = bp.models.load_model(tmp_path / "model.npz")
    clone = bp.models.clone_model(model)

    assert gradcheck(model, IDS)
    assert len(read.weights) == len(clone.weights) == len(model.weights)
    for twin in (model, read):
        twin.fit(IDS, IDS, shuffle=False, verbose=0)
    np.testing.assert_array_equal(read.predict(IDS, verbose=0), model.predict(IDS, verbose=0))


def test_one_layer_stands_for_all_calls_in_reverse():
    layer = ReversibleEmbedding(7, 3)

    assert layer.in_reverse is layer.in_reverse and isinstance(layer.in_reverse, Unembedding)
    assert layer(np.ones((2, 3)), reverse=True).shape == (2, 7)  # it is built by either call
    assert layer(np.array([[1]])).shape == (1, 1, 3)


def test_padding_is_masked_up_to_the_loss():
    """In Keras the mask ends before, and padding counts in the loss."""
    x, layer = Input((None,), dtype="int32"), ReversibleEmbedding(7, 3, mask_zero=True)
    model = Model(x, layer(layer(x), reverse=True))
    model.compile("sgd", bp.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids, padded = np.array([[1, 2, 3, 4]]), np.array([[1, 2, 3, 4, 0, 0]])

    alone = model.evaluate(ids, ids, verbose=0)
    np.testing.assert_allclose(model.evaluate(padded, padded, verbose=0), alone, rtol=1e-6)


def test_it_may_score_in_another_precision():
    layer = layer_for("capped", "float32", reverse_dtype="float64")
    h = drawn((5, 3), 1, np.float32)
    z = h.astype(float) @ layer.embeddings.astype(float).T
    y = layer(h, reverse=True)

    assert y.dtype == np.float32
    np.testing.assert_allclose(y, 0.5 * np.tanh(z / 0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReversibleEmbedding(0, 3), "input_dim to be a positive integer"),
        (lambda: ReversibleEmbedding(7, 3, logit_soft_cap=0), "above 0, got 0"),
        (lambda: ReversibleEmbedding(7, 3, reverse_dtype="float16"), "float16"),
        (lambda: Unembedding(Dense(3)), "expects layer to be a ReversibleEmbedding, got Dense(3)"),
        (lambda: ReversibleEmbedding(7, 3)(np.ones((2, 4)), reverse=True), "3 along axis -1"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()

    assert message in str(error.value)
