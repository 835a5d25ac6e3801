"""Initializers: distributions, fans, seeds, names, and Keras' numbers."""

import inspect
import os
import pickle

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from backprop import initializers, layers, utils
from backprop.initializers import compute_fans
from backprop.initializers.draws import TRUNCATED_STDDEV

FAMILY = {  # name: (scale, mode, distribution)
    "glorot_uniform": (1, "fan_avg", "uniform"),
    "glorot_normal": (1, "fan_avg", "truncated_normal"),
    "he_uniform": (2, "fan_in", "uniform"),
    "he_normal": (2, "fan_in", "truncated_normal"),
    "lecun_uniform": (1, "fan_in", "uniform"),
    "lecun_normal": (1, "fan_in", "truncated_normal"),
}
RANDOM = [*FAMILY, "random_normal", "random_uniform", "truncated_normal", "variance_scaling"]
ALL = [*RANDOM, "orthogonal", "zeros", "ones", "constant", "identity"]

shapes = st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple)


def make(name, **arguments):
    return getattr(initializers, name)(**arguments)


# ---------------------------------------------------------------------------- distributions


@pytest.mark.parametrize("name", FAMILY)
def test_variance_is_scale_over_fan(name):
    scale, mode, _ = FAMILY[name]
    shape = (3, 3, 40, 60)
    fan_in, fan_out = 360, 540

    w = make(name, seed=1)(shape, dtype="float64")

    n = {"fan_in": fan_in, "fan_avg": (fan_in + fan_out) / 2}[mode]
    # the relative standard error of a variance of N numbers is at most sqrt(2 / N)
    assert w.var() == pytest.approx(scale / n, rel=5 * np.sqrt(2 / w.size))
    assert w.mean() == pytest.approx(0, abs=5 * np.sqrt(scale / n / w.size))


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (initializers.RandomNormal(1, 2, seed=3), stats.norm(1, 2)),
        (initializers.RandomUniform(-1, 3, seed=3), stats.uniform(-1, 4)),
        (initializers.TruncatedNormal(1, 2, seed=3), stats.truncnorm(-2, 2, loc=1, scale=2)),
        (
            initializers.VarianceScaling(3, "fan_out", "untruncated_normal", seed=3),
            stats.norm(0, np.sqrt(3 / 100)),
        ),
        (
            initializers.HeNormal(seed=3),
            stats.truncnorm(-2, 2, scale=np.sqrt(2 / 200) / TRUNCATED_STDDEV),
        ),
        (
            initializers.GlorotUniform(seed=3),
            stats.uniform(-np.sqrt(6 / 300), 2 * np.sqrt(6 / 300)),
        ),
    ],
    ids=lambda p: repr(p) if isinstance(p, initializers.Initializer) else p.dist.name,
)
def test_draws_follow_their_distribution(initializer, distribution):
    w = initializer((200, 100), dtype="float64")

    assert stats.kstest(w.ravel(), distribution.cdf).pvalue > 1e-3


def test_truncated_normal_stays_within_two_sigma_and_has_the_known_deviation():
    w = initializers.TruncatedNormal(5, 2, seed=0)((500, 400), dtype="float64")

    assert np.abs(w - 5).max() < 4
    assert np.abs(w - 5).max() > 3.99
    assert w.std() == pytest.approx(2 * TRUNCATED_STDDEV, rel=0.01)
    assert pytest.approx(stats.truncnorm(-2, 2).std()) == TRUNCATED_STDDEV


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2)])
def test_truncated_normal_serves_tiny_and_empty_shapes(shape):
    assert initializers.TruncatedNormal()(shape).shape == shape


@given(shapes, st.floats(0.1, 3), st.integers(0, 1000))
def test_orthogonal_has_orthonormal_rows_or_columns(shape, gain, seed):
    w = initializers.Orthogonal(gain, seed=seed)(shape, dtype="float64")

    assert w.shape == shape
    w = w.reshape(-1, shape[-1]) / gain
    w = w if w.shape[0] >= w.shape[1] else w.T
    np.testing.assert_allclose(w.T @ w, np.eye(w.shape[1]), atol=1e-12)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    rng = np.random.default_rng(0)
    corner = [initializers.Orthogonal()((2, 2), "float64", rng)[0, 0] for _ in range(2000)]

    # the first entry of a uniform direction in the plane is the cosine of a uniform angle
    assert stats.kstest(np.arccos(corner), stats.uniform(0, np.pi).cdf).pvalue > 1e-3


def test_constants_are_what_they_say():
    np.testing.assert_array_equal(make("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(make("ones")((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(make("constant", value=-2.5)((2, 3)), np.full((2, 3), -2.5))
    np.testing.assert_array_equal(make("constant", value=[1, 2, 3])((2, 3)), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(make("identity", gain=3)((2, 3)), 3 * np.eye(2, 3))


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((5,), (5, 5)),
        ((4, 6), (4, 6)),
        ((3, 4, 6), (12, 18)),
        ((2, 3, 4, 6), (24, 36)),
    ],
)
def test_fans_count_the_terms_of_the_sums(shape, fans):
    assert compute_fans(shape) == fans


def test_fans_along_named_axes():
    shape = (4, 8, 16)  # attention: (features, heads, size)

    assert compute_fans(shape, [0], [1, 2]) == (4, 128)
    w = initializers.GlorotUniform(seed=0, input_axes=[0], output_axes=[1, 2])(shape)
    assert np.abs(w).max() == pytest.approx(np.sqrt(6 / 132), rel=0.02)


# ---------------------------------------------------------------------------- dtype and seeds


@pytest.mark.parametrize("name", ALL)
def test_float32_is_the_default_and_the_rounded_float64(name):
    initializer = make(name, **({"seed": 4} if name in [*RANDOM, "orthogonal"] else {}))

    single, double = initializer((5, 4)), initializer((5, 4), dtype="float64")

    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single, double.astype(np.float32))
    assert initializer((5, 4), dtype=np.float16).dtype == np.float16


@pytest.mark.parametrize("name", [*RANDOM, "orthogonal"])
def test_a_seed_makes_every_call_the_same_draw_whatever_the_generator(name):
    initializer, rng = make(name, seed=9), np.random.default_rng(0)

    first, second = initializer((3, 4)), initializer((3, 4), rng=rng)

    np.testing.assert_array_equal(first, second)
    assert first is not second
    np.testing.assert_array_equal(make(name)((3, 4), rng=np.random.default_rng(9)), first)
    assert not np.array_equal(first, make(name, seed=8)((3, 4)))


@pytest.mark.parametrize("name", [*RANDOM, "orthogonal"])
def test_without_a_seed_draws_come_from_the_generator_and_move_on(name):
    rng = np.random.default_rng(0)

    first, second = make(name)((3, 4), rng=rng), make(name)((3, 4), rng=rng)

    assert not np.array_equal(first, second)


def test_without_seed_and_generator_the_global_seed_decides():
    draws = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        draws.append(initializers.GlorotUniform()((3,)))

    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


# ---------------------------------------------------------------------------- names and configs


def test_snake_case_names_are_the_classes():
    for cls in initializers.registry.classes.values():
        name = next(n for n, c in vars(initializers).items() if c is cls and n.islower())
        assert type(initializers.get(name)) is cls
        assert type(initializers.get(cls.__name__)) is cls
    assert initializers.IdentityInitializer is initializers.Identity
    assert initializers.OrthogonalInitializer is initializers.Orthogonal


@pytest.mark.parametrize(
    ("name", "cls"),
    [("zero", "Zeros"), ("one", "Ones"), ("normal", "RandomNormal"), ("uniform", "RandomUniform")],
)
def test_short_names(name, cls):
    assert type(initializers.get(name)).__name__ == cls


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Constant(3),
        initializers.Constant(np.array([1.0, 2.0])),
        initializers.Identity(2),
        initializers.TruncatedNormal(stddev=0.3, seed=2),
        initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=5),
        initializers.HeNormal(seed=1, input_axes=[0], output_axes=[1]),
        initializers.Orthogonal(0.5, seed=6),
    ],
    ids=repr,
)
def test_config_and_pickle_make_the_same_draws(initializer):
    config = initializers.serialize(initializer)

    for twin in (
        initializers.deserialize(config),
        initializers.get(config),
        pickle.loads(pickle.dumps(initializer)),
    ):
        assert type(twin) is type(initializer)
        np.testing.assert_array_equal(twin((2, 2)), initializer((2, 2)))


def test_repr_makes_the_same_initializer():
    initializer = initializers.TruncatedNormal(0.5, 0.1, seed=3)

    twin = eval(repr(initializer), vars(initializers))

    np.testing.assert_array_equal(twin((3,)), initializer((3,)))


# ---------------------------------------------------------------------------- the user's own


def test_a_function_of_shape_and_dtype_serves():
    def halves(shape, dtype=None):
        return np.full(shape, 0.5, dtype)

    w = initializers.get(halves)((2, 3), dtype="float32", rng=np.random.default_rng(0))

    np.testing.assert_array_equal(w, np.full((2, 3), 0.5))
    assert w.dtype == np.float32


def test_a_function_that_takes_rng_is_given_the_generator():
    def draw(shape, dtype=None, rng=None):
        return rng.uniform(size=shape)

    w = initializers.get(draw)((2,), rng=np.random.default_rng(3))

    np.testing.assert_array_equal(w, np.random.default_rng(3).uniform(size=2).astype(np.float32))


def test_a_function_of_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"asked for shape \(2,\) and returned \(3,\)"):
        initializers.get(lambda shape, dtype=None: np.zeros(3))((2,))


def test_a_subclass_written_for_keras_serves():
    class Ramp(initializers.Initializer):
        def __init__(self, slope=1.0):
            self.slope = slope

        def __call__(self, shape, dtype=None):
            return self.slope * np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    ramp = initializers.get(Ramp(2.0))

    np.testing.assert_array_equal(ramp((2, 2), dtype="float64", rng=None), [[0, 2], [4, 6]])
    twin = initializers.deserialize(initializers.serialize(ramp), {"Ramp": Ramp})
    assert twin.slope == 2


def test_an_array_is_the_initial_value():
    value = np.arange(6.0).reshape(2, 3)
    initializer = initializers.get(value)

    w = initializer((2, 3))

    np.testing.assert_array_equal(w, value)
    w[:] = 0
    assert value[0, 1] == 1  # a copy
    with pytest.raises(ValueError, match=r"shape \(2, 3\) was given .* \(3, 2\) is needed"):
        initializer((3, 2))


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.get("glorot_unifrom"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: initializers.get(3), TypeError, "got 3"),
        (
            lambda: initializers.HeNormal(sede=1),
            TypeError,
            "no argument 'sede'; did you mean 'seed'",
        ),
        (
            lambda: initializers.HeNormal(seed=1.5),
            TypeError,
            "integer or None, got 1.5",
        ),
        (lambda: initializers.HeNormal(seed=-1), ValueError, "not negative, got -1"),
        (
            lambda: initializers.VarianceScaling(0),
            ValueError,
            "scale to be a finite number above 0, got 0",
        ),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "'fan_in'.* got 'fan'"),
        (
            lambda: initializers.VarianceScaling(distribution="no"),
            ValueError,
            "'uniform'.* got 'no'",
        ),
        (lambda: initializers.HeNormal(input_axes=[0]), ValueError, "together or not at all"),
        (lambda: initializers.Identity()((3,)), ValueError, r"makes matrices .* shape \(3,\)"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, r"at least two axes .* shape \(3,\)"),
        (lambda: initializers.Initializer()((3,)), TypeError, "has no __call__"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(40, 30), (3, 3, 4, 8), (7,)])
@pytest.mark.parametrize("name", RANDOM)
def test_the_same_seed_gives_the_numbers_of_keras_on_numpy(name, shape, dtype):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")

    mine = make(name, seed=11)(shape, dtype=dtype)
    theirs = getattr(keras.initializers, name)(seed=11)(shape, dtype=dtype)

    if keras.backend.backend() == "numpy":
        np.testing.assert_allclose(mine, theirs, rtol=1e-6 if dtype == "float64" else 2e-5)
    else:  # another engine draws other numbers
        assert np.std(mine) == pytest.approx(np.std(theirs), rel=0.5)


@pytest.mark.parametrize("name", ALL)
def test_arguments_and_defaults_are_those_of_keras(name):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")

    def arguments(library):
        cls = getattr(library, name)
        if cls.__init__ is object.__init__:
            return {}
        return {n: p.default for n, p in inspect.signature(cls).parameters.items()}

    assert arguments(initializers) == arguments(keras.initializers)


def test_a_clone_is_another_one_like_it():
    one = initializers.RandomNormal(stddev=0.5, seed=3)
    twin = one.clone()

    assert twin is not one and twin.get_config() == one.get_config()
    np.testing.assert_array_equal(twin((2, 3)), one((2, 3)))


def test_none_is_what_keras_draws():
    layer = layers.Dense(400, bias_initializer=None)
    layer.build((None, 3))

    assert 0.9 < np.abs(layer.bias).max() / np.sqrt(6 / 800) <= 1  # glorot_uniform
    assert type(layer.bias_initializer) is initializers.GlorotUniform
