"""Data that fail in the middle of an epoch: the run is where it was, and can go on."""

import numpy as np
import pytest

import backprop as bp
from backprop import layers


def good_batches():
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(8, 4)).astype("float32"), rng.integers(0, 3, 8)) for _ in range(6)]


def raises(at):
    for i, batch in enumerate(good_batches()):
        if i == at:
            raise OSError("the network is down")
        yield batch


def replaced(x=None, y=None):
    given = good_batches()
    old_x, old_y = given[3]
    given[3] = (old_x if x is None else x(old_x), old_y if y is None else y(old_y))
    return given


FAULTS = {
    "a batch that raises": (lambda: raises(3), OSError, "the network is down"),
    "a label out of range": (lambda: replaced(y=lambda y: y + 3), ValueError, "3"),
    "a row that is too short": (lambda: replaced(x=lambda x: x[:, :3]), ValueError, "shape"),
    "a NaN": (lambda: replaced(x=lambda x: x * np.nan), ValueError, "NaN"),
    "an infinity of half precision": (
        lambda: replaced(x=lambda x: (x * 1e6).astype("float16")),
        ValueError,
        "batch 4 of x: x holds infinity",
    ),
}


def classifier():
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [bp.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_a_batch_that_cannot_be_leaves_the_run_where_it_was(name):
    make, error, message = FAULTS[name]
    model, whole = classifier(), classifier()
    with pytest.raises(error, match=message):
        model.fit(make(), verbose=0, shuffle=False)
    whole.fit(good_batches()[:3], verbose=0, shuffle=False)

    assert model.trainer.step == 3 and model.optimizer.iterations == 3
    for batches in ([], good_batches()[3:]):
        if batches:
            found = model.fit(batches, verbose=0, shuffle=False).history
            assert found == whole.fit(batches, verbose=0, shuffle=False).history
        np.testing.assert_equal(model.optimizer.get_state(), whole.optimizer.get_state())
        np.testing.assert_equal(model.get_weights(), whole.get_weights())


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint16", "bool"])
def test_a_batch_of_another_kind_of_number_in_the_middle_is_cast(dtype):
    model, whole = classifier(), classifier()
    found = model.fit(replaced(lambda x: np.abs(x).astype(dtype)), verbose=0, shuffle=False)
    same = whole.fit(
        replaced(lambda x: np.abs(x).astype(dtype).astype("float32")), verbose=0, shuffle=False
    )

    assert found.history == same.history
    np.testing.assert_equal(model.get_weights(), whole.get_weights())


class Faulty(layers.Layer):
    """y = x, until it is told to raise on its way."""

    def __init__(self, **options):
        super().__init__(**options)
        self.fails = ""

    def forward(self, x, ctx=None):
        if self.fails == "forward":
            raise MemoryError
        return x, None

    def backward(self, dy, cache):
        if self.fails == "backward":
            raise MemoryError
        return dy


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_layer_that_raises_within_a_step_leaves_buffers_as_before_where_steps_are_guarded(way):
    bp.utils.set_random_seed(0)
    faulty = Faulty()
    inside = [layers.Dense(4), layers.BatchNormalization(), faulty, layers.Dense(1)]
    model = bp.Sequential([bp.Input((4,)), *inside])
    model.compile("adam", "mse", on_nonfinite="raise")
    x = np.random.default_rng(0).normal(size=(8, 4))
    model.train_on_batch(x, x[:, :1])
    before, faulty.fails = model.get_weights(), way
    with pytest.raises(MemoryError):
        model.train_on_batch(x, x[:, :1])

    np.testing.assert_equal(model.get_weights(), before)
