"""Updates in blocks: a large vector is changed piece by piece, with the same result."""

import numpy as np
import pytest

from backprop import optimizers
from backprop.config import kernels
from backprop.layers import Chain, Dense
from backprop.optimizers import slots
from backprop.vector import ParameterVector

OPTIONS = {
    "adam": {},
    "adamw": {"weight_decay": 0.1},
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "nadam": {"use_ema": True, "ema_overwrite_frequency": 2},
    "lion": {"clipnorm": 0.5},
    "adadelta": {"gradient_accumulation_steps": 2},
    "adagrad": {"global_clipnorm": 1.0},
    "adamax": {"clipvalue": 0.1},
}


def trained(name, monkeypatch, block):
    monkeypatch.setattr(slots, "UPDATE_BLOCK", block)
    chain = Chain([Dense(5), Dense(4)])
    chain.build((None, 6))
    vector = ParameterVector(chain.arrays())
    rng = np.random.default_rng(0)
    vector.values[:] = rng.normal(size=vector.size)
    optimizer = optimizers.get({"class_name": name, "config": OPTIONS[name]})
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    for _ in range(5):
        vector.gradients[:] = rng.normal(size=vector.size)
        optimizer.step(vector)
    cut = optimizer._stretches[0].blocks
    return vector.values.copy(), optimizer.get_state(), len(cut)


@pytest.mark.parametrize("name", OPTIONS)
def test_blocks_change_nothing_in_the_result(name, monkeypatch):
    whole, state, one = trained(name, monkeypatch, 1000)
    cut, state_of_cut, several = trained(name, monkeypatch, 7)
    assert (one, several) == (1, 9 if kernels() == "numpy" else 1)
    assert np.array_equal(whole, cut)
    assert all(np.array_equal(state[key], state_of_cut[key]) for key in state)


def test_a_part_is_found_in_the_blocks_that_it_lies_in():
    part = slice(5, 12)
    found = [slots.within(part, slice(a, a + 4)) for a in range(0, 16, 4)]
    assert found == [None, slice(1, 4), slice(0, 4), None]
    assert slots.within(..., slice(0, 4)) is ...


@pytest.mark.parametrize("options", [{}, {"use_ema": True, "clipvalue": 0.1, "weight_decay": 0.1}])
def test_an_update_without_around_has_it_done_around(options):
    class Own(optimizers.Adam):
        def update(self, w, g, lr, *work):
            seen.append(w.shape)
            super().update(w, g, lr, *work)

    seen = []
    rng = np.random.default_rng(0)
    ours, theirs = Own(**options), optimizers.Adam(**options)
    w = rng.normal(size=(5, 4))
    arrays = w.copy(), w.copy()
    for _ in range(4):
        g = rng.normal(size=w.shape)
        for optimizer, array in zip((ours, theirs), arrays, strict=True):
            optimizer.apply([g], [array])

    assert seen == [(5, 4)] * 4
    np.testing.assert_allclose(*arrays, rtol=1e-12)
    for name, slot in ours.get_state().items():
        np.testing.assert_allclose(slot, theirs.get_state()[name], rtol=1e-12)
