import inspect

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, settings, strategies as st
from inputs import drawn
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in
from passes import passes_that_only_read

from backprop import Sequential
from backprop.initializers import HeNormal
from backprop.layers import Dense, EinsumDense, Embedding, Input
from backprop.models import Model

# an equation, the sizes of y, the letters of the bias, and the shape of an x
CASES = {
    "as Dense": ("ab,bc->ac", 4, "c", (3, 5)),
    "kernel turned": ("ab,cb->ac", 4, None, (3, 5)),
    "number by number": ("ab,b->ab", None, "b", (3, 5)),
    "over the last of three": ("abc,cd->abd", (None, 4), "d", (3, 2, 5)),
    "a kernel for each step": ("abc,bcd->abd", (2, 4), "bd", (3, 2, 5)),
    "one axis summed alone": ("abc,cd->ad", 4, "d", (3, 2, 5)),
    "heads": ("abc,cde->abde", (None, 2, 4), "de", (3, 2, 5)),
    "from heads": ("abcd,cde->abe", (None, 3), "e", (3, 2, 4, 5)),
    "axes exchanged": ("abcd,dce->aebc", (2, None, None), "b", (3, 2, 4, 5)),
    "ellipsis ahead": ("...x,xy->...y", 3, "y", (3, 2, 4, 5)),
    "ellipsis of the batch": ("...x,xy->...y", 3, "y", (3, 5)),
    "ellipsis of nothing": ("...ab,bc->...ac", 3, "c", (3, 5)),
    "ellipsis behind": ("ab...,bc->ac...", 3, "c", (3, 5, 2, 4)),
    "no rows": ("abc,cd->abd", (None, 4), "d", (0, 2, 5)),
    "axes of one": ("abc,cd->abd", (None, 1), "d", (1, 1, 1)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SOLVED = {"ab,b->ab": (5,), "abcd,dce->aebc": (2, 2, 4)}  # sizes that Keras wants to be told


def layer_for(case, **more):
    equation, sizes, bias_axes, shape = case
    options = {"bias_axes": bias_axes, "bias_initializer": "random_normal"} | more
    return EinsumDense(equation, sizes, **options), drawn(shape)


def test_einsum_dense_by_hand():
    layer = EinsumDense("abc,dc->abd", (None, 1), bias_axes="d", dtype="float64")
    layer.build((None, 2, 2))
    layer.set_weights([np.array([[1.0, -2.0]]), np.array([10.0])])
    y, cache = layer.forward(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    dx = layer.backward(np.array([[[1.0], [2.0]]]), cache)

    np.testing.assert_array_equal(y, [[[7.0], [5.0]]])
    np.testing.assert_array_equal(dx, [[[1.0, -2.0], [2.0, -4.0]]])
    np.testing.assert_array_equal(layer.dkernel, [[7.0, 10.0]])
    np.testing.assert_array_equal(layer.dbias, [3.0])


@each_case
def test_it_is_the_sum_that_the_equation_says(case):
    layer, x = layer_for(case, dtype="float64")
    y = layer(x)
    bias = 0 if layer.bias is None else layer.bias

    wanted = reference.einsum(x, layer.kernel, layer.equation) + bias
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-13)
    assert y.shape == layer.compute_output_shape(x.shape)


@each_case
@pytest.mark.parametrize("activation", [None, "tanh", "softmax"])
def test_gradients(case, activation):
    layer, x = layer_for(case, activation=activation)
    assert_gradients(layer, x)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(case, dtype):
    layer, x = layer_for(case, dtype=dtype)
    layer(x)
    y, dx = passes_that_only_read(layer, x.astype(dtype))

    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_keras(case, dtype):
    equation, sizes, bias_axes, shape = case
    layer, x = layer_for(case, activation="elu", dtype=dtype)
    x = x.astype(dtype)
    y = layer(x)
    with keras_in(dtype) as keras:
        theirs = keras.layers.EinsumDense(
            equation, SOLVED.get(equation, sizes), "elu", bias_axes, dtype=dtype
        )
        theirs.build(shape)
        assert [w.shape for w in layer.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    np.testing.assert_allclose(y, wanted, **close(dtype))


def test_arguments_and_defaults_are_those_of_keras():
    with keras_in("float32") as keras:
        theirs = by_position(keras.layers.EinsumDense)
    engines = ["lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config"]

    assert by_position(EinsumDense) == [(n, d) for n, d in theirs if n not in engines]


def by_position(cls):
    found = inspect.signature(cls).parameters.values()
    return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]


@needs_keras_on_jax
def test_gradients_are_those_of_keras(tmp_path):
    asked, ours = {}, {}
    for name, case in CASES.items():
        equation, sizes, bias_axes, shape = case
        if 0 in shape:
            continue
        layer, x = layer_for(case, activation="tanh", dtype="float64")
        layer(x)
        given = SOLVED.get(equation, sizes)
        made = f"keras.layers.EinsumDense({equation!r}, {given}, 'tanh', {bias_axes!r})"
        run = (
            f"(lambda layer: (layer.build({shape}), lambda x: layer.stateless_call("
            "x[1:], [], x[0])[0])[1])"
        )
        asked[name] = f"{run}({made})", [x, *layer.get_weights()]
        ours[name] = layer, x
    found = run_in_keras(asked, tmp_path)
    for name, (layer, x) in ours.items():
        y, cache = layer.forward(x)
        dx = layer.backward(gradient_from_above(y), cache)
        gradients = [dx, *(p.gradient for p in layer.arrays())]

        np.testing.assert_allclose(y, found[f"{name} float64 y"], **close("float64"))
        for i, d in enumerate(gradients):
            np.testing.assert_allclose(d, found[f"{name} float64 dx{i}"], rtol=1e-6, atol=1e-10)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=10)
def test_the_fans_are_those_of_the_letters(a, b, c):
    layer = EinsumDense("nab,cab->nc", c, kernel_initializer="glorot_uniform")
    layer.build((None, a, b))

    assert abs(layer.kernel).max() <= (6 / (a * b + c)) ** 0.5


def test_the_draws_are_those_of_keras_for_a_seed():
    with keras_in("float32") as keras:
        theirs = keras.layers.EinsumDense(
            "nab,cab->nc", 4, kernel_initializer=keras.initializers.HeNormal(3)
        )
        theirs.build((None, 2, 5))
        wanted = np.asarray(theirs.kernel)
    layer = EinsumDense("nab,cab->nc", 4, kernel_initializer=HeNormal(3))
    layer.build((None, 2, 5))

    np.testing.assert_allclose(layer.kernel, wanted, rtol=1e-6)


def test_it_is_dense_where_the_equation_says_so():
    one, two = Dense(4, "tanh"), EinsumDense("...b,bc->...c", 4, "tanh", "c")
    x = drawn((3, 2, 5), dtype=np.float32)
    one(x)
    two.build(x.shape)
    two.set_weights(one.get_weights())

    np.testing.assert_allclose(one(x), two(x), rtol=1e-6, atol=1e-6)


def test_an_ellipsis_takes_any_number_of_axes_but_one_layer_only_one():
    layer = EinsumDense("...b,bc->...c", 4)
    layer.build((None, 2, 5))

    with pytest.raises(ValueError, match="expects inputs of 2 axes besides the batch"):
        layer(np.ones((3, 5)))
    with pytest.raises(ValueError, match="5 along axis 2 and got"):
        layer(np.ones((3, 2, 4)))


def test_steps_by_themselves_hand_the_mask_on():
    x = Input((None,), dtype="int32")
    h = Embedding(7, 5, mask_zero=True)(x)
    keeps = EinsumDense("abc,cd->abd", (None, 3), bias_axes="d")
    model = Model(x, keeps(h))
    tokens = np.array([[1, 2, 0], [3, 0, 0]])

    assert keeps.time_local
    np.testing.assert_array_equal(keeps.compute_mask(np.ones((2, 3, 5)), tokens != 0), tokens != 0)
    assert model.predict(tokens, verbose=0).shape == (2, 3, 3)


def test_a_sum_over_the_time_ends_the_mask_and_says_so():
    layer = EinsumDense("abc,bcd->ad", 3)
    x, mask = np.ones((2, 3, 5), np.float32), np.array([[1, 1, 0], [1, 0, 0]], bool)

    assert layer.compute_mask(x, mask) is None and not layer.obeys_mask(x, mask)
    with pytest.warns(UserWarning, match="does not use it"):
        layer(x, mask=mask)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EinsumDense("ab,bc", 3), "an equation of the form"),
        (lambda: EinsumDense("ab,bc->ac extra", 3), "an equation of the form"),
        (lambda: EinsumDense(7, 3), "an equation of the form"),
        (lambda: EinsumDense("...ab,bc->ac...", 3), "on the same side"),
        (lambda: EinsumDense("...ab...,bc->...ac...", 3), "on the same side"),
        (lambda: EinsumDense("ab,bc->ad", 3), "output has 'd'"),
        (lambda: EinsumDense("ab,bcd->ac", 3), "kernel has 'd'"),
        (lambda: EinsumDense("aab,bc->ac", 3), "'a' stands twice"),
        (lambda: EinsumDense("ab,bc->ca", 3), "first letter 'a' is the batch"),
        (lambda: EinsumDense("ab,abc->ac", 3), "first letter 'a' is the batch"),
        (lambda: EinsumDense("ab,bc->ac", 3, bias_axes="d"), "bias_axes to be letters"),
        (lambda: EinsumDense("ab,bc->ac", 3, bias_axes=""), "bias_axes to be letters"),
        (lambda: EinsumDense("ab,bc->ac", 0), "every size in output_shape"),
        (lambda: EinsumDense("ab,bc->ac", (3, 2)).build((None, 4)), "1 sizes, of c"),
        (lambda: EinsumDense("ab,bc->ac", 3).build((None, 4, 5)), "with 2 axes"),
        (lambda: EinsumDense("abc,cd->abd", 3).build((None, 4)), "with 3 axes"),
        (lambda: EinsumDense("...abc,cd->...abd", 3).build((None, 4)), "at least 3 axes"),
        (lambda: EinsumDense("abc,cd->abd", (5, 3)).build((None, 4, 2)), "output_shape says 5"),
        (lambda: EinsumDense("ab,bc->ac", None).build((None, 4)), "shape must be known"),
        (lambda: EinsumDense("ab,bc->ac", 3, bias_axes="a").build((None, 4)), "must be known"),
        (lambda: EinsumDense("abc,cd->abd", (None, 3)).build((None, 4, None)), "must be known"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_it_is_copied_and_configured():
    layer = EinsumDense("abc,cd->abd", (None, 4), "tanh", "d", kernel_regularizer="l2")
    twin = EinsumDense.from_config(layer.get_config())

    assert twin.get_config() == layer.get_config() and twin.output_shape == (None, 4)
    assert repr(layer) == (
        "EinsumDense('abc,cd->abd', (None, 4), activation='tanh', bias_axes='d', "
        "kernel_regularizer='l2')"
    )


def test_it_trains_in_a_model():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3, 4)).astype(np.float32)
    y = np.einsum("abc,cb->a", x, rng.standard_normal((4, 3)))[:, None]
    model = Sequential([Input((3, 4)), EinsumDense("abc,bcd->ad", 1)])
    model.compile("adam", "mse")
    before = model.evaluate(x, y, verbose=0)
    model.optimizer.learning_rate = 0.05
    model.fit(x, y, epochs=60, verbose=0)

    assert model.evaluate(x, y, verbose=0) < before / 50


@pytest.mark.parametrize(
    ("equation", "shape", "bias_axes"),
    [
        ("abc,bcd->abd", (None, 2), "d"),
        ("abc,cd->abd", (None, 2), "bd"),
        ("abc,cbd->abd", (None, 2), None),
    ],
)
def test_steps_with_weights_of_their_own_do_not_go_alone(equation, shape, bias_axes):
    layer = EinsumDense(equation, shape, bias_axes=bias_axes)

    layer.build((None, 4, 3))

    assert not layer.time_local
