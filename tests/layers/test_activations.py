"""Every activation, as a layer and by name: values, derivatives, kinks, extremes."""

import inspect
import math

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import close, keras_in

from backprop import Input, Model, activations, layers
from backprop.layer import PREDICT, Context, Layer
from backprop.layers import activations as family
from backprop.layers.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Activation,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    Sparsemax,
    SparsePlus,
    SparseSigmoid,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
    layer_of,
)
from backprop.linalg import CLIPPED_NUMBERS, positive

# Each class with its options; kinks and jumps are the points where the slope is not unique.
SMOOTH = [
    Linear(),
    Sigmoid(),
    LogSigmoid(),
    Tanh(),
    TanhShrink(),
    Softsign(),
    Softplus(),
    Squareplus(),
    Squareplus(b=0.25),
    SparsePlus(),
    SiLU(),
    Mish(),
    GELU(),
    GELU(approximate=True),
    Exponential(),
    CELU(),
    CELU(alpha=0.5),
    ELU(),
    Activation("tanh"),
    Activation(None),
    SoftShrink(threshold=0.0),
    HardShrink(threshold=0.0),
]
KINKED = [  # layer, {kink: the slope there}
    (ReLU(), {0: 0}),
    (ReLU(max_value=2), {0: 0, 2: 0}),
    (ReLU(max_value=6.0), {0: 0, 6: 0}),
    (ReLU(negative_slope=0.3), {0: 1}),
    (ReLU(negative_slope=2.0), {0: 1}),
    (LeakyReLU(), {0: 1}),
    (LeakyReLU(1.5), {0: 1}),
    (LeakyReLU(0.0), {0: 1}),
    (ReLU6(), {0: 0, 6: 0}),
    (ELU(alpha=2.0), {0: 2}),
    (ELU(alpha=0.0), {0: 0}),
    (SELU(), {0: SELU.scale * SELU.alpha}),
    (HardSigmoid(), {-3: 0, 3: 0}),
    (HardSiLU(), {-3: 0, 3: 1}),
    (HardTanh(), {-1: 1, 1: 1}),
    (SparseSigmoid(), {-1: 0, 1: 0}),
    (SoftShrink(), {-0.5: 0, 0.5: 0}),
    (Threshold(1.0, 1.0), {1: 0}),
    (PReLU(), {0: 0}),
    (Activation(LeakyReLU(0.1)), {0: 1}),
]
JUMPING = [
    (ReLU(threshold=1.5), {1.5: 0}),
    (ReLU(max_value=2.5, negative_slope=0.3, threshold=0.7), {0.7: 0, 2.5: 0}),
    (ReLU(max_value=1.0, negative_slope=0.3), {0: 0, 1: 0}),
    (HardShrink(), {-0.5: 0, 0.5: 0}),
    (HardShrink(threshold=1.0), {-1: 0, 1: 0}),
    (Threshold(0.5, -2.0), {0.5: 0}),
]
COUPLED = [
    Softmax(),
    Softmax(axis=1),
    Softmax(axis=(1, -1)),
    LogSoftmax(),
    LogSoftmax(axis=1),
    Sparsemax(),
    Sparsemax(axis=1),
    GLU(),
    GLU(axis=1),
]
KINKS = {id(layer): points for layer, points in KINKED + JUMPING}
ELEMENTWISE = SMOOTH + [layer for layer, _ in KINKED + JUMPING]
ALL = ELEMENTWISE + COUPLED
CLASSES = [
    c
    for c in vars(family).values()
    if isinstance(c, type) and issubclass(c, Layer) and c is not Layer
]


@pytest.fixture
def keras():
    with keras_in("float32") as keras:
        yield keras


EXTREME = np.array([[-1e30, -1e4, -90.0, -1e-30], [0.0, 90.0, 1e4, 1e30]], np.float32)

each = pytest.mark.parametrize("layer", ALL, ids=repr)
each_elementwise = pytest.mark.parametrize("layer", ELEMENTWISE, ids=repr)


def generic(rng, shape, layer, margin=0.02):
    """Numbers that keep their distance from the layer's kinks."""
    x = 2.5 * rng.standard_normal(shape)
    for kink in KINKS.get(id(layer), ()):
        x = np.where(np.abs(x - kink) < margin, kink + 2 * margin, x)
    return x


def fresh(layer, dtype="float64"):
    """An unbuilt copy that computes in `dtype`."""
    twin = type(layer).from_config(layer.get_config())
    twin.dtype = np.dtype(dtype)
    return twin


def slope_at(layer, x):
    """dy/dx of an elementwise layer at each x by itself."""
    layer = fresh(layer)
    x = np.asarray(x, np.float64).reshape(-1, 1)
    layer.build((None, 1))
    y, cache = layer.forward(x)
    return layer.backward(np.ones_like(y), cache)[:, 0]


def function_name(layer):
    """The name of the function with the layer's formula, whose arguments are the layer's."""
    made_by = {make: name for name, make in reversed(family.registry.names.items())}
    made_by |= {LeakyReLU: "leaky_relu", Threshold: "threshold"}
    return made_by.get(type(layer))


def with_defaults(layer):
    """All arguments of the layer's function, as this layer has them."""
    wanted = inspect.signature(getattr(activations, function_name(layer))).parameters
    return {name: getattr(layer, name) for name in wanted if name != "x"}


# -------------------------------------------------------------------------------- the list is whole


def test_every_activation_layer_is_among_the_cases():
    assert {type(layer) for layer in ALL} == set(CLASSES)


def test_every_activation_is_in_the_public_face():
    for cls in CLASSES:
        assert getattr(layers, cls.__name__) is cls


def test_every_function_of_keras_is_here_with_its_signature(keras):
    names = [n for n, f in vars(keras.activations).items() if inspect.isfunction(f)]

    assert len(names) > 30
    for name in names:
        ours = inspect.signature(getattr(activations, name)).parameters
        theirs = inspect.signature(getattr(keras.activations, name)).parameters
        assert [(p.name, p.default) for p in ours.values()] == [
            (p.name, p.default) for p in theirs.values()
        ], name


# ------------------------------------------------------------------------------------------- values

BY_HAND = [
    (Linear(), [-2, 3], [-2, 3]),
    (ReLU(), [-2, 3], [0, 3]),
    (ReLU(8, 0.5, 0), [-10, -5, 0, 5, 10], [-5, -2.5, 0, 5, 8]),
    (ReLU(threshold=5), [6, 7, 0, 5, 10], [6, 7, 0, 0, 10]),
    (ReLU(negative_slope=0.5, threshold=5), [3, 5, 6], [-1, 0, 6]),
    (LeakyReLU(), [-10, 5], [-3, 5]),
    (LeakyReLU(2), [-10, 5], [-20, 5]),
    (ReLU6(), [-1, 5, 9], [0, 5, 6]),
    (PReLU("ones"), [-2, 3], [-2, 3]),
    (ELU(2), [-math.log(2), 3], [-1, 3]),
    (SELU(), [-math.log(2), 1], [-1.0507009873554805 * 1.6732632423543772 / 2, 1.0507009873554805]),
    (CELU(2), [-2 * math.log(2), 3], [-1, 3]),
    (Sigmoid(), [0, math.log(3)], [0.5, 0.75]),
    (HardSigmoid(), [-4, 1.5, 4], [0, 0.75, 1]),
    (LogSigmoid(), [0, -math.log(3)], [-math.log(2), -math.log(4)]),
    (Tanh(), [0, math.log(3) / 2], [0, 0.5]),
    (HardTanh(), [-3, 0.5, 3], [-1, 0.5, 1]),
    (TanhShrink(), [0, math.log(3) / 2], [0, math.log(3) / 2 - 0.5]),
    (Softplus(), [0, math.log(3)], [math.log(2), math.log(4)]),
    (Softsign(), [-1, 3], [-0.5, 0.75]),
    (SiLU(), [0, math.log(3)], [0, 0.75 * math.log(3)]),
    (HardSiLU(), [-4, 1.5, 4], [0, 1.125, 4]),
    (Mish(), [0, math.log(2)], [0, 0.8 * math.log(2)]),
    (GELU(), [0, 1], [0, 0.8413447460685429]),
    (GELU(True), [0, 1], [0, 0.8411919906082768]),
    (Exponential(), [0, math.log(3)], [1, 3]),
    (GLU(), [4, 8, 0, math.log(3)], [2, 6]),
    (Squareplus(), [0, 1.5, -1.5], [1, 2, 0.5]),
    (SparsePlus(), [-2, 0, 0.5, 3], [0, 0.25, 0.5625, 3]),
    (SparseSigmoid(), [-2, 0.5, 3], [0, 0.75, 1]),
    (SoftShrink(), [-2, 0.25, 2], [-1.5, 0, 1.5]),
    (HardShrink(), [-2, 0.5, 2], [-2, 0, 2]),
    (Threshold(1, -5), [0, 1, 2], [-5, -5, 2]),
    (Softmax(), [0, math.log(3)], [0.25, 0.75]),
    (LogSoftmax(), [0, math.log(3)], [-math.log(4), math.log(0.75)]),
    (Sparsemax(), [1, 0.5, -1], [0.75, 0.25, 0]),
    (Activation("relu"), [-2, 3], [0, 3]),
]


@pytest.mark.parametrize(("layer", "x", "y"), BY_HAND, ids=lambda v: repr(v)[:60])
def test_values_worked_out_by_hand(layer, x, y):
    assert fresh(layer)(np.array([x])) == pytest.approx(np.array([y]), rel=1e-12, abs=1e-15)


def test_every_class_has_a_value_by_hand():
    assert {type(layer) for layer, _, _ in BY_HAND} == set(CLASSES)


def keras_values(keras, layer, x):
    if getattr(layer, "negative_slope", 0) > 1:
        # Keras' backends differ: NumPy's takes a maximum, which is another function for such slopes
        return np.where(x < 0, layer.negative_slope * x, x)
    if isinstance(layer, PReLU):
        return keras.layers.PReLU(dtype=x.dtype.name)(x)
    if isinstance(layer, Softmax):
        return keras.layers.Softmax(layer.axis, dtype=x.dtype.name)(x)
    if isinstance(layer, Activation):
        leaky = isinstance(layer.activation, LeakyReLU) and keras.layers.LeakyReLU(0.1)
        activation = leaky or layer.get_config()["activation"]
        return keras.layers.Activation(activation, dtype=x.dtype.name)(x)
    return getattr(keras.activations, function_name(layer))(x, **with_defaults(layer))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layer", [a for a in ALL if not isinstance(a, Sparsemax)], ids=repr)
def test_values_agree_with_keras(layer, dtype):
    rng = np.random.default_rng(0)
    x = 2.5 * rng.standard_normal((9, 6, 4))
    x = np.concatenate([x, np.zeros((1, 6, 4)), np.full((1, 6, 4), 6.0)]).astype(dtype)
    with keras_in(dtype) as keras:
        theirs = np.asarray(keras_values(keras, layer, x))

    y = fresh(layer, dtype)(x)

    assert y.dtype == dtype
    np.testing.assert_allclose(y, theirs, **close(dtype))


@pytest.mark.parametrize("axis", [-1, 1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis):
    # Keras 3.15's own is not: its values do not sum to 1 (keras-team/keras issue 23425)
    x = np.random.default_rng(0).standard_normal((5, 6, 4))
    low, high = x.min() - 1, x.max(axis, keepdims=True)
    for _ in range(60):  # bisect on the τ for which the values sum to 1
        tau = (low + high) / 2
        heavy = np.maximum(x - tau, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(heavy, tau, low), np.where(heavy, high, tau)

    y, _ = Sparsemax(axis).forward(x)

    np.testing.assert_allclose(y, np.maximum(x - low, 0), atol=1e-12)
    assert y.sum(axis) == pytest.approx(np.ones(y.sum(axis).shape))


@pytest.mark.parametrize(
    "layer", [a for a in ALL if not isinstance(a, PReLU | Activation)], ids=repr
)
def test_the_function_is_the_layers_forward_pass(layer):
    x = 2 * np.random.default_rng(1).standard_normal((3, 4, 6))

    y = getattr(activations, function_name(layer))(x, **with_defaults(layer))

    np.testing.assert_array_equal(y, fresh(layer)(x))


def test_defaults_of_layers_are_those_of_keras(keras):
    for name in ("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"):
        ours, theirs = (
            {
                p.name: p.default
                for p in inspect.signature(getattr(home, name)).parameters.values()
                if p.kind is p.POSITIONAL_OR_KEYWORD
            }
            for home in (layers, keras.layers)
        )
        assert list(ours.values()) == list(theirs.values()), name
        assert list(ours) == list(theirs), name


# -------------------------------------------------------------------------------------- derivatives


@given(
    seed=st.integers(0, 999),
    batch=st.integers(0, 4),
    tail=st.lists(st.integers(1, 4), min_size=2, max_size=3),
)
@each
def test_gradients_agree_with_central_differences(layer, seed, batch, tail):
    rng = np.random.default_rng(seed)
    shape = (batch, 2 * tail[0], *tail[1:-1], 2 * tail[-1])  # even where a GLU halves
    x = generic(rng, shape, layer)
    if isinstance(layer, Sparsemax):
        x = off_the_edge(x, layer)

    assert_gradients(fresh(layer), x, seed=seed)


@each_elementwise
def test_the_slope_is_the_derivative_at_every_point(layer):
    # every kink, and every jump of the curvature, is at a multiple of 0.02: none is within 2 h
    x, h = np.arange(-12, 12, 0.02) + 0.005, 1e-3
    y = fresh(layer)((x + h * np.array([[-2], [-1], [1], [2]])).reshape(-1, 1)).reshape(4, -1)

    derivative = (y[0] - 8 * y[1] + 8 * y[2] - y[3]) / (12 * h)

    np.testing.assert_allclose(slope_at(layer, x), derivative, rtol=1e-9, atol=2e-11)


@each
def test_float32_gradients_agree_with_those_in_float64(layer):
    rng = np.random.default_rng(0)
    x = 4 * generic(rng, (4, 6, 8), layer)
    results = []
    for dtype in ("float32", "float64"):
        twin = fresh(layer, dtype)
        twin.build((None, *x.shape[1:]))
        y, cache = twin.forward(x.astype(np.float32).astype(dtype))
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
        results.append((y, twin.backward(dy, cache)))

    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, rtol=2e-5, atol=5e-6)


def off_the_edge(x, layer):
    """x moved so far that none is about to enter or leave the support of a sparsemax."""
    for _ in range(100):
        y = layer.forward(x)[0]
        tau = (x - y).max(layer.axis, keepdims=True, where=y > 0, initial=-np.inf)
        near = np.abs(x - tau) < 0.05
        if not near.any():
            return x
        x = x + 0.2 * near * np.random.default_rng(0).uniform(0.5, 1.5, x.shape)
    raise AssertionError("no generic point found")


@pytest.mark.parametrize(("layer", "kinks"), KINKED + JUMPING, ids=lambda v: repr(v))
def test_the_slope_at_a_kink_is_the_stated_one(layer, kinks):
    assert slope_at(layer, list(kinks)) == pytest.approx(list(kinks.values()), rel=1e-12, abs=0)


@pytest.mark.parametrize(("layer", "kinks"), KINKED, ids=lambda v: repr(v))
def test_the_slope_at_a_kink_lies_between_the_one_sided_slopes(layer, kinks):
    layer, h = fresh(layer), 1e-6
    for kink in kinks:
        left, middle, right = layer(np.array([[kink - h], [float(kink)], [kink + h]]))[:, 0]
        low, high = sorted([(middle - left) / h, (right - middle) / h])
        assert high - low > 0.01, "no kink here"
        assert low - 1e-5 <= slope_at(layer, kink)[0] <= high + 1e-5


@pytest.mark.parametrize("layer", [layer for layer, _ in JUMPING], ids=repr)
def test_a_jump_has_the_slope_of_one_of_its_sides(layer):
    for kink in KINKS[id(layer)]:
        left, middle, right = slope_at(layer, [kink - 1e-9, kink, kink + 1e-9])
        assert middle in (left, right) or (left > 0 and right > 0 and middle == 0)


JAX = {
    ReLU: "relu",
    ReLU6: "relu6",
    LeakyReLU: "leaky_relu",
    ELU: "elu",
    SELU: "selu",
    CELU: "celu",
    Sigmoid: "sigmoid",
    HardSigmoid: "hard_sigmoid",
    LogSigmoid: "log_sigmoid",
    Tanh: "tanh",
    HardTanh: "hard_tanh",
    Softplus: "softplus",
    Softsign: "soft_sign",
    Squareplus: "squareplus",
    SparsePlus: "sparse_plus",
    SiLU: "silu",
    HardSiLU: "hard_silu",
    GELU: "gelu",
    Mish: "mish",
    GLU: "glu",
    Softmax: "softmax",
    LogSoftmax: "log_softmax",
}


@pytest.mark.parametrize("cls", JAX, ids=lambda cls: cls.__name__)
def test_gradients_agree_with_automatic_differentiation(cls):
    jax = pytest.importorskip("jax", reason="needs JAX' automatic differentiation")
    if getattr(jax.nn, JAX[cls], None) is None:
        pytest.skip(f"this JAX has no {JAX[cls]}")
    layer = cls()
    options = {k: v for k, v in with_defaults(layer).items() if cls is not ReLU}
    # where the slope is not unique, JAX' choice is ours too
    x = np.concatenate([np.linspace(-9, 9, 36), [-3, -1, 0, 0, 1, 3]]).reshape(7, 6)
    dy = np.random.default_rng(0).standard_normal(x.shape)[:, : 3 if cls is GLU else 6]
    with jax.enable_x64(True):
        y, vjp = jax.vjp(lambda v: getattr(jax.nn, JAX[cls])(v, **options), jax.numpy.asarray(x))
        theirs = np.asarray(vjp(jax.numpy.asarray(dy))[0])

    ours, cache = layer.forward(x)

    np.testing.assert_allclose(ours, np.asarray(y), 1e-12, 1e-15)
    np.testing.assert_allclose(layer.backward(dy, cache), theirs, 1e-9, 1e-12)


# --------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each
def test_dtype_is_kept_and_nothing_given_is_written_into(layer, dtype):
    layer = fresh(layer, dtype)
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(dtype)
    kept = x.copy()
    x.flags.writeable = False
    layer.build((None, 4, 6))

    y, cache = layer.forward(x)
    y_kept = y.copy()
    dy = np.ones_like(y)
    dy.flags.writeable = False
    first = layer.backward(dy, cache)
    again = layer.backward(dy, cache)

    assert y.dtype == first.dtype == dtype
    assert y.shape == layer.compute_output_shape((3, 4, 6))
    assert first.shape == x.shape
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(y, y_kept)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("layer", [a for a in ALL if not isinstance(a, Exponential)], ids=repr)
def test_extreme_inputs_give_finite_values_and_gradients_without_a_warning(layer):
    layer = fresh(layer, "float32")
    layer.build((None, 2, 4))

    y, cache = layer.forward(EXTREME[None])
    dx = layer.backward(np.ones_like(y), cache)

    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


def test_exponential_overflows_to_infinity_without_a_warning():
    y, cache = Exponential().forward(EXTREME)

    assert y[0, 0] == 0
    assert np.isinf(y[1, 1:]).all()
    assert np.isinf(Exponential().backward(np.ones_like(y), cache)[1, 1:]).all()


@each_elementwise
def test_empty_batches_and_single_numbers_pass(layer):
    layer = fresh(layer, "float32")
    layer.build((None, 3))
    y, cache = layer.forward(np.zeros((0, 3), np.float32))
    assert y.shape == layer.backward(y, cache).shape == (0, 3)

    if not isinstance(layer, PReLU):
        assert fresh(layer)(1.25).shape == ()


@each
def test_a_layer_comes_back_from_its_configuration(layer):
    twin = type(layer).from_config(layer.get_config())

    assert twin.get_config() == layer.get_config()


@pytest.mark.parametrize("layer", [GELU(), GELU(True), Mish(), Squareplus()], ids=repr)
def test_inference_does_not_compute_a_slope(layer):
    x = np.linspace(-3, 3, 7)

    y, cache = layer.forward(x, PREDICT)

    assert cache is None
    np.testing.assert_array_equal(y, layer.forward(x)[0])


@pytest.mark.parametrize("size", [1, CLIPPED_NUMBERS - 1, CLIPPED_NUMBERS, 2 * CLIPPED_NUMBERS])
def test_positive_part_is_the_same_at_every_size(size):
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    x[0] = np.nan

    np.testing.assert_array_equal(positive(x), np.maximum(x, 0))


# ----------------------------------------------------------------------------------------- accuracy


def test_gelu_in_float32_is_accurate_also_in_its_left_tail():
    special = pytest.importorskip("scipy.special", reason="the reference is SciPy's")
    x = np.linspace(-12, 12, 4001).astype(np.float32)

    y, slope = GELU().forward(x)

    z = x.astype(np.float64)
    np.testing.assert_allclose(y, z * special.ndtr(z), rtol=1e-5, atol=1e-37)
    bell = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(slope, special.ndtr(z) + z * bell, rtol=0, atol=5e-7)


@pytest.mark.parametrize(("layer", "x", "y"), [
    (Softplus(), -40.0, math.exp(-40)),
    (LogSigmoid(), 40.0, -math.exp(-40)),
    (Squareplus(), -1e6, 1e-6),
    (Mish(), -40.0, -40 * math.exp(-40)),
])  # fmt: skip
def test_small_values_keep_their_relative_accuracy(layer, x, y):
    assert layer.forward(np.array([x]))[0] == pytest.approx(np.array([y]), rel=1e-9)


def test_log_softmax_keeps_its_digits_beside_a_large_offset():
    y = LogSoftmax()(np.array([[20000.0, 20000.0, 19999.0]], np.float32))

    assert y == pytest.approx(LogSoftmax()(np.array([[1.0, 1.0, 0.0]], np.float32)), rel=1e-6)


def test_sparsemax_sums_to_one_beside_a_large_offset():
    y = Sparsemax()(np.array([[1e6, 1e6 + 0.5, 3.0]], np.float32))

    assert y == pytest.approx(np.array([[0.25, 0.75, 0.0]]))


# -------------------------------------------------------------------------------------------- PReLU


def test_prelu_has_alphas_slope_at_zero():
    layer = PReLU(alpha_initializer=np.array([0.0, 0.25, 1.0, -2.0]), dtype="float64")

    layer.build((None, 4))
    _, cache = layer.forward(np.zeros((2, 4)))

    assert np.array_equal(layer.backward(np.ones((2, 4)), cache), [[0, 0.25, 1, -2]] * 2)


@pytest.mark.parametrize("shared, shape", [
    (None, (4, 3, 2)), ([1], (1, 3, 2)), ([1, 2], (1, 1, 2)), (3, (4, 3, 1)), ([-1], (4, 3, 1)),
])  # fmt: skip
def test_prelu_sums_alphas_gradient_over_the_batch_and_the_shared_axes(shared, shape):
    layer = PReLU("ones", shared_axes=shared, dtype="float64")
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 5, 4, 3, 2))
    layer.build(x.shape)
    layer.alpha = rng.standard_normal(shape)

    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)

    wanted = np.zeros(shape)
    for n, i, j, c in np.ndindex(x.shape):
        place = tuple(k if size > 1 else 0 for k, size in zip((i, j, c), shape, strict=True))
        wanted[place] += dy[n, i, j, c] * min(x[n, i, j, c], 0)
    alpha = np.broadcast_to(layer.alpha, x.shape)
    np.testing.assert_allclose(layer.dalpha, wanted, 1e-12)
    np.testing.assert_allclose(y, np.where(x > 0, x, alpha * x), 1e-12)
    np.testing.assert_allclose(dx, np.where(x > 0, dy, alpha * dy), 1e-12)


def test_prelu_agrees_with_keras_for_the_same_alpha(keras):
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    ours, theirs = PReLU(shared_axes=[1]), keras.layers.PReLU(shared_axes=[1])
    ours(x), theirs(x)
    alpha = np.array([[0.1, -0.2, 0.3]], np.float32)
    ours.set_weights([alpha])
    theirs.set_weights([alpha])

    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), 2e-5)


@pytest.mark.parametrize("axis", [0, 4, -4])
def test_prelu_refuses_an_axis_that_cannot_be_shared(axis):
    with pytest.raises(ValueError, match="cannot share axis"):
        PReLU(shared_axes=[axis]).build((None, 4, 3, 2))


def test_prelu_refuses_an_input_of_another_shape():
    layer = PReLU(shared_axes=[1])
    layer.build((None, 4, 3))
    assert layer(np.ones((2, 7, 3))).shape == (2, 7, 3)

    with pytest.raises(ValueError, match="expects inputs of"):
        layer(np.ones((2, 4, 5)))


def test_prelu_regularizer_and_constraint_reach_alpha():
    layer = PReLU("ones", alpha_regularizer="l2", alpha_constraint="non_neg")
    layer.build((None, 3))
    (alpha,) = layer.arrays()

    assert alpha.constraint is not None
    assert layer.losses == [pytest.approx(0.03)]


# ----------------------------------------------------------------------------- softmax and its axis


@pytest.mark.parametrize("axis", [0, 1, -1, (1, 2), [0, 2]])
def test_softmax_sums_to_one_along_its_axes(axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    layer = Softmax(axis, dtype="float64")

    y = layer(x)

    axes = tuple(axis) if isinstance(axis, list) else axis
    assert y.sum(axes) == pytest.approx(np.ones(y.sum(axes).shape))
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axes, keepdims=True))


@pytest.mark.parametrize("layer", [Softmax(3), LogSoftmax(-4), Sparsemax(3), Softmax((1, 5))])
def test_an_axis_that_does_not_exist_is_refused(layer):
    with pytest.raises(ValueError, match="has no axis"):
        layer.build((None, 3, 4))


def test_sparsemax_refuses_two_axes():
    with pytest.raises(ValueError, match="one axis"):
        Sparsemax(axis=(0, 1))


MASK = np.array([[True, True, False], [False, False, False], [True, True, True]])


def test_softmax_over_time_gives_masked_steps_no_probability():
    x = np.random.default_rng(0).standard_normal((3, 3))
    with keras_in("float64") as keras:
        theirs = keras.layers.Softmax(dtype="float64")(x, mask=MASK)

    y, _ = Softmax().forward(x, Context(mask=MASK))

    np.testing.assert_allclose(y, np.asarray(theirs), 1e-6, 1e-12)
    assert not y[1].any()
    assert y[0, 2] == 0


def test_softmax_over_time_of_sequences_follows_the_mask_too():
    x = np.random.default_rng(0).standard_normal((3, 3, 2))

    y, _ = Softmax(axis=1).forward(x, Context(mask=MASK))

    np.testing.assert_allclose(y[0, :2], Softmax(0, dtype="float64")(x[0, :2]))
    assert not y[0, 2].any()


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3, 3)), (1, (3, 3, 2)), ((1, 2), (3, 3, 2))])
def test_masked_softmax_has_the_right_gradient(axis, shape):
    x = np.random.default_rng(0).standard_normal(shape)

    assert_gradients(Softmax(axis), x, mask=MASK)


def test_softmax_over_features_takes_no_notice_of_a_mask_over_time():
    x = np.random.default_rng(0).standard_normal((3, 3, 2))

    y, _ = Softmax().forward(x, Context(mask=MASK))

    np.testing.assert_array_equal(y, Softmax().forward(x)[0])


def test_masked_softmax_survives_extreme_values():
    y, _ = Softmax().forward(
        EXTREME, Context(mask=np.array([[True] * 4, [True, True, False, False]]))
    )

    assert np.isfinite(y).all()
    assert y.sum(-1) == pytest.approx([1, 1])


# ---------------------------------------------------------------------------------------------- GLU


def test_glu_halves_its_axis():
    assert GLU().compute_output_shape((None, 4, 6)) == (None, 4, 3)
    assert GLU(axis=1).compute_output_shape((None, 4, 6)) == (None, 2, 6)
    assert GLU(axis=1).compute_output_shape((None, None, 6)) == (None, None, 6)


@pytest.mark.parametrize("axis", [-1, 3])
def test_glu_refuses_an_odd_or_a_missing_axis(axis):
    with pytest.raises(ValueError, match="even length"):
        GLU(axis)(np.ones((2, 4, 5)))


# ------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize("make", [
    lambda: ReLU(max_value=-1),
    lambda: ReLU(negative_slope=None),
    lambda: ReLU(negative_slope=-0.1),
    lambda: ReLU(threshold=-1),
    lambda: ReLU(threshold="1"),
    lambda: LeakyReLU(None),
    lambda: LeakyReLU(-0.1),
    lambda: LeakyReLU(float("nan")),
    lambda: ELU(-1),
    lambda: CELU(0),
    lambda: Squareplus(0),
    lambda: SoftShrink(-0.5),
    lambda: HardShrink(-0.5),
    lambda: Threshold(float("inf"), 0),
])  # fmt: skip
def test_senseless_options_are_refused_with_their_name_and_value(make):
    with pytest.raises(ValueError, match=r"expects \w+ to be a finite number.*got"):
        make()


def test_options_may_be_numpy_numbers_and_do_not_change_the_dtype():
    for layer in (
        LeakyReLU(np.float64(0.1)),
        ReLU(np.float64(1)),
        ELU(np.float64(2)),
        Threshold(1, np.float64(2)),
    ):
        assert layer(np.ones((1, 2), np.float32)).dtype == np.float32


# -------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", sorted(set(activations.FUNCTIONS) - {"threshold"}))
def test_a_name_and_its_function_give_the_same_layer_and_values(name):
    x = np.random.default_rng(0).standard_normal((3, 4))
    function = activations.get(name)

    by_name, by_function = layer_of(name), layer_of(function)

    assert repr(by_name) == repr(by_function)
    np.testing.assert_array_equal(by_name.forward(x)[0], function(x))
    assert layer_of(name) is not by_name
    assert activations.get(activations.serialize(function)) is function


@pytest.mark.parametrize("name", sorted(set(activations.FUNCTIONS) - {"threshold"}))
def test_a_function_of_a_symbolic_array_is_a_call_of_its_layer(name):
    x = Input((4,))
    function = activations.get(name)

    y = function(x)

    given = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    np.testing.assert_array_equal(Model(x, y)(given), function(given))
    assert type(y.layer) is type(layer_of(name))


def test_options_of_a_function_are_those_of_the_layer_in_a_drawing():
    x = Input((2,))

    model = Model(x, activations.leaky_relu(x, negative_slope=0.5))

    np.testing.assert_array_equal(model(np.array([[-2.0, 2.0]])), [[-1, 2]])


def test_aliases_are_the_same_functions():
    assert activations.swish is activations.silu
    assert activations.hard_swish is activations.hard_silu
    assert activations.get("swish") is activations.silu


def test_none_is_linear():
    assert activations.get(None) is activations.linear
    assert layer_of(None) is None


def test_a_layer_is_taken_as_it_is():
    layer = PReLU()

    assert layer_of(layer) is layer
    assert activations.get(layer) is layer


@pytest.mark.parametrize("find", [activations.get, layer_of, Activation])
def test_a_misspelt_name_is_answered_with_the_nearest(find):
    with pytest.raises(
        ValueError, match=r"unknown activation 'rellu'; did you mean 'relu'\?.*known: celu"
    ):
        find("rellu")


def test_threshold_by_name_says_that_it_needs_arguments():
    with pytest.raises(ValueError, match=r"layers\.Threshold"):
        layer_of("threshold")


def test_a_plain_function_is_refused_because_nobody_wrote_its_derivative():
    def cube(x):
        return x**3

    with pytest.raises(TypeError, match=r"'cube'.*write a Layer with forward.*and backward"):
        layer_of(cube)


def test_the_refusal_of_a_known_function_from_elsewhere_names_ours():
    with pytest.raises(TypeError, match="pass the name 'tanh'"):
        layer_of(np.tanh)


@pytest.mark.parametrize("thing", [ReLU, 3, np.ones(2), ["relu"]])
@pytest.mark.parametrize("find", [activations.get, layer_of])
def test_what_is_no_activation_is_refused(find, thing):
    with pytest.raises(TypeError, match="activation got"):
        find(thing)


def test_a_class_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"pass an object of it, ReLU\(\.\.\.\)"):
        layer_of(ReLU)


@pytest.mark.parametrize(
    "activation", ["relu", activations.relu, ReLU()], ids=["name", "function", "layer"]
)
def test_dense_takes_a_name_a_function_or_a_layer_and_writes_it_into_its_configuration(activation):
    dense = layers.Dense(4, activation=activation)
    twin = layers.Dense.from_config(dense.get_config())

    assert type(twin.activation) is ReLU
    assert repr(twin.activation) == repr(dense.activation)


def test_dense_with_a_function_has_the_functions_name_in_its_configuration():
    assert (
        layers.Dense(4, activation=activations.leaky_relu).get_config()["activation"]
        == "leaky_relu"
    )


def test_a_layer_with_options_survives_serialization():
    layer = LeakyReLU(0.1)
    config = activations.serialize(layer)

    assert repr(activations.deserialize(config)) == repr(layer_of(config)) == "LeakyReLU(0.1)"
    assert repr(activations.get(config)) == "LeakyReLU(0.1)"


class Cube(Layer):
    """y = x³, so dx = 3 x² dy."""

    def forward(self, x, ctx=PREDICT):
        return x**3, x

    def backward(self, dy, cache):
        return 3 * cache**2 * dy


def test_ones_own_activation_is_found_by_its_name():
    from backprop.config import custom_object_scope

    with custom_object_scope({"cube": Cube}):
        assert isinstance(layer_of("cube"), Cube)
        assert isinstance(activations.get("cube"), Cube)
    assert isinstance(activations.deserialize("cube", {"cube": Cube}), Cube)
    with pytest.raises(ValueError, match="unknown activation 'cube'"):
        layer_of("cube")


def test_ones_own_function_without_a_derivative_is_refused_by_name_too():
    from backprop.config import custom_object_scope

    written_by_keras = {
        "module": "builtins",
        "class_name": "function",
        "config": "cube",
        "registered_name": "function",
    }
    with custom_object_scope({"cube": lambda x: x**3}):
        for identifier in ("cube", written_by_keras):
            with pytest.raises(TypeError, match="whose derivative is not known"):
                layer_of(identifier)
        assert activations.deserialize(written_by_keras)(2) == 8


def test_a_function_that_has_no_name_cannot_be_serialized():
    with pytest.raises(ValueError, match="write it as a Layer"):
        activations.serialize(lambda x: x)


def test_activation_runs_a_layer_with_weights():
    layer = Activation(PReLU("ones"))
    layer.build((None, 3))
    x = np.array([[-2.0, 1.0, -3.0]], np.float32)

    y, cache = layer.forward(x)
    layer.backward_params(np.ones_like(y), cache)

    assert layer.count_params() == 3
    np.testing.assert_array_equal(layer.activation.dalpha, [-2, 0, -3])
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    assert Activation("glu").compute_output_shape((None, 6)) == (None, 3)


# ---------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize(("x", "dtype"), [
    ([-1, 2], "float32"),
    ([-1.0, 2.0], "float32"),
    (np.array([-1, 2]), "float32"),
    (np.array([True, False]), "float32"),
    (np.array([-1, 2], np.float16), "float16"),
    (np.array([-1, 2], np.float32), "float32"),
    (np.array([-1, 2], np.float64), "float64"),
    (np.float64(2), "float64"),
    (2, "float32"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["relu", "gelu", "sigmoid", "mish", "leaky_relu", "linear"])
def test_a_function_returns_an_array_of_the_dtype_of_x(name, x, dtype):
    y = activations.get(name)(x)

    assert type(y) is np.ndarray
    assert y.dtype == dtype
    assert y.shape == np.shape(x)


def test_a_function_refuses_what_is_not_numbers():
    with pytest.raises(TypeError, match="expected numbers"):
        activations.relu(["a"])
