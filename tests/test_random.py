"""The draws of `keras.random`."""

import numpy as np
import pytest
from scipy import stats

import backprop as bp
from backprop import random

DRAWS = {
    "normal": lambda seed: random.normal((4000,), 1.0, 2.0, seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((4000,), 1.0, 2.0, seed=seed),
    "uniform": lambda seed: random.uniform((4000,), -1.0, 3.0, seed=seed),
    "randint": lambda seed: random.randint((4000,), 2, 7, seed=seed),
    "categorical": lambda seed: random.categorical([[0.0, 1.0]], 4000, seed=seed)[0],
    "shuffle": lambda seed: random.shuffle(np.arange(4000), seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_makes_the_same_draw(name):
    draw = DRAWS[name]
    bp.utils.set_random_seed(1)
    first, second = draw(None), draw(None)
    bp.utils.set_random_seed(1)

    np.testing.assert_array_equal(draw(7), draw(7))
    np.testing.assert_array_equal(draw(None), first)
    assert not np.array_equal(first, second)
    assert not np.array_equal(draw(7), draw(8))


def test_the_distributions_are_those_that_are_named():
    uniform = (DRAWS["uniform"](0) + 1) / 4
    truncated = (DRAWS["truncated_normal"](0) - 1) / 2

    assert stats.kstest((DRAWS["normal"](0) - 1) / 2, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(truncated, stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    assert set(DRAWS["randint"](0).tolist()) == {2, 3, 4, 5, 6}
    assert abs(DRAWS["categorical"](0).mean() - 1 / (1 + np.exp(-1))) < 0.03
    assert sorted(DRAWS["shuffle"](0).tolist()) == list(range(4000))


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal"])
def test_dtypes_are_keras_defaults(name):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    mine, peer = getattr(random, name), getattr(keras.random, name)

    assert mine((2, 3)).dtype == np.asarray(peer((2, 3))).dtype == np.float32
    assert mine((), dtype="float64").shape == () and mine((2,), dtype="float64").dtype == np.float64
    assert random.randint((2,), 0, 4).dtype == np.asarray(keras.random.randint((2,), 0, 4)).dtype


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"randint\(\) draws integers"):
        random.uniform((3,), 0, 9, dtype="int32")
    with pytest.raises(ValueError, match=r"expects logits \(N, classes\)"):
        random.categorical([0.0, 1.0], 3)
    with pytest.raises(ValueError, match="num_samples"):
        random.categorical([[0.0, 1.0]], 0)


def test_shuffling_along_an_axis_leaves_the_others():
    x = np.arange(12).reshape(3, 4)

    shuffled = random.shuffle(x, axis=1, seed=0)

    assert (np.sort(shuffled, axis=1) == x).all() and not (shuffled == x).all()
    assert (np.diff(shuffled, axis=0) == 4).all()
