"""How many calls of NumPy and of kernels a step of a small network makes: each takes a third of a
microsecond or more, whatever it does."""

import sys
from collections import Counter

import numpy as np
import pytest

import backprop as bp
from backprop.kernels import activations, losses, updates
from backprop.training.data import as_data


class Counted:
    """A module or a function that counts its calls, and those of what is looked up in it."""

    def __init__(self, of, name, calls):
        self._of, self._name, self._calls = of, name, calls

    def __getattr__(self, name):
        found = getattr(self._of, name)
        if isinstance(found, type) or not callable(found):  # np.ndarray, np.inf
            return found
        return Counted(found, name, self._calls)

    def __call__(self, *args, **kwargs):
        self._calls[self._name] += 1
        return self._of(*args, **kwargs)


def count_calls(monkeypatch):
    """Counts NumPy's functions and the kernels that the library calls from here on."""
    calls = Counter()
    rooms = (activations, losses, updates)
    compiled = {id(f) for room in rooms for f in vars(room).values() if hasattr(f, "__wrapped__")}
    for module in [m for name, m in sys.modules.items() if name.startswith("backprop.")]:
        for name, value in list(vars(module).items()):
            if id(value) in compiled or (value is np and module not in rooms):
                monkeypatch.setattr(module, name, Counted(value, name, calls))
    return calls


@pytest.mark.parametrize(("sizes", "most"), [((20, 32, 32, 3), 19), ((64, 128, 10), 13)])
def test_a_step_of_a_small_perceptron_makes_few_calls(sizes, most, monkeypatch):
    if bp.config.kernels() == "numpy":
        pytest.skip("the kernels are not compiled")
    n, *hidden, k = sizes
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, n)).astype("float32"), rng.integers(0, k, 32)
    layers = [bp.layers.Dense(units, activation="relu") for units in hidden]
    model = bp.Sequential([bp.Input((n,)), *layers, bp.layers.Dense(k, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    trainer = model.trainer
    trainer.prepare(as_data(trainer.reader, x, y, who="test"), "test", training=True)
    trainer.train_step(x, y)
    calls = count_calls(monkeypatch)

    def count(frame, event, function):
        if event == "c_call" and isinstance(getattr(function, "__self__", None), np.ndarray):
            calls[function.__name__] += 1  # a method of an array

    sys.setprofile(count)
    try:
        trainer.train_step(x, y)
    finally:
        sys.setprofile(None)

    assert calls["relu"] == calls["relu_backward"] == len(layers)
    assert calls["softmax"] == calls["sparse_after_softmax"] == calls["adam"] == 1
    assert calls["dot"] == 3 * (len(layers) + 1)  # y, dkernel, and dx or the last dbias
    assert sum(calls.values()) <= most, calls
