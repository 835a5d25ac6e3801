"""Hours of use in one process: memory stays as it is, and a step takes as long as at the beginning.

``BACKPROP_SOAK`` is for how many seconds each of these runs: a few in CI, an hour in the nightly
command (``pytest -m slow``).
"""

import gc
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import backprop as bp
from backprop.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Embedding, Flatten

RNG = np.random.default_rng(0)
X, IMAGES = RNG.normal(size=(64, 8)), RNG.normal(size=(16, 8, 8, 1))
TOKENS = RNG.integers(0, 20, size=(16, 6))
Y = RNG.normal(size=(64, 1))
LONG = [pytest.param("3600", id="an_hour", marks=pytest.mark.slow)]
MEMORY, DRIFT = 0.02, 0.25  # of what there was: growth of memory, and of the time of a round


def resident():
    """Bytes of this process that are in memory now."""
    if not sys.platform.startswith("linux"):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def dense():
    return bp.Sequential(
        [bp.Input((8,)), Dense(16, "relu"), BatchNormalization(), Dropout(0.2), Dense(1)]
    )


def images():
    return bp.Sequential(
        [bp.Input((8, 8, 1)), Conv2D(4, 3, activation="relu"), Flatten(), Dense(1)]
    )


def tokens():
    return bp.Sequential([bp.Input((6,), dtype="int32"), Embedding(20, 4), LSTM(8), Dense(1)])


def a_life(make, x, path):
    """A model is made, trained, used, saved and read."""
    model = make()
    model.compile("adam", "mse", metrics=["mae"])
    stop = bp.callbacks.EarlyStopping("loss", restore_best_weights=True)
    model.fit(x, Y[: len(x)], batch_size=8, validation_split=0.25, verbose=0, callbacks=[stop])
    expected = model.predict(x, verbose=0)
    model.save(path)
    np.testing.assert_array_equal(bp.models.load_model(path).predict(x, verbose=0), expected)


def lives(path):
    while True:
        for make, x in ((dense, X), (images, IMAGES), (tokens, TOKENS)):
            a_life(make, x, path)
            yield


def one_long_run(path):
    model = dense()
    model.compile("adam", "mse", metrics=["mae"])
    while True:
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
        model.evaluate(X, Y, verbose=0)
        yield


def soak(use, seconds, rounds):
    """Run until the time is over, and for so many rounds at least: memory and the fastest round, in
    seconds of the processor, of parts of the run; the first is left out, as caches fill in it."""
    memory, times = [], []
    end = time.monotonic() + seconds
    part = max(rounds // 10, 1)
    while len(memory) < 10 or time.monotonic() < end:
        taken = []
        for _ in range(part):
            start = time.process_time()
            next(use)
            taken.append(time.process_time() - start)
        gc.collect()
        memory.append(resident())
        times.append(min(taken))
    return np.array(memory[1:], float), np.array(times[1:])


def assert_flat(memory, times, drift=DRIFT):
    third = max(len(memory) // 3, 1)
    before, after = memory[:third].max(), memory[-third:].min()
    assert after <= before * (1 + MEMORY), f"{before:,.0f} bytes have become {after:,.0f}"
    before, after = times[:third].min(), times[-third:].min()
    assert after <= before * (1 + drift), f"{before * 1e3:.3g} ms have become {after * 1e3:.3g}"


@pytest.mark.parametrize("seconds", [os.environ.get("BACKPROP_SOAK", "0"), *LONG])
@pytest.mark.parametrize("use", [one_long_run, lives])
def test_memory_and_time_stay_as_they_are(use, seconds, tmp_path):
    # what else a machine does says more of some seconds than what is measured in them
    drift = DRIFT if float(seconds) > 600 else np.inf
    assert_flat(*soak(use(tmp_path / "model.npz"), float(seconds), rounds=60), drift)


@pytest.mark.slow
def test_three_thousand_models_leave_nothing_behind(tmp_path):
    assert_flat(*soak(lives(tmp_path / "model.npz"), 0, rounds=3000))


def test_what_grows_is_found(tmp_path):
    kept = []

    def growing():
        while True:
            kept.append(np.ones(resident() // 1600))  # half a hundredth
            yield

    with pytest.raises(AssertionError, match="bytes have become"):
        assert_flat(*soak(growing(), 0, rounds=20))
