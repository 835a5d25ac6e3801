"""Ctrl-C and SIGTERM: a run ends between two steps, and goes on as if it had not."""

import os
import signal

import numpy as np
import pytest

import backprop as bp
from backprop import callbacks
from backprop.layers import Dense, Dropout

X = np.random.default_rng(0).normal(size=(256, 4))
Y = X[:, :1]


class Sent(callbacks.Callback):
    """Sends this process a signal after so many calls of a hook."""

    def __init__(self, hook, count, number):
        setattr(self, hook, self.count_down)
        self.left, self.number = count, number

    def count_down(self, number, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True)
def handlers():
    """Those of a plain process, whatever runs the tests."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield plain
    assert all(signal.getsignal(number) is handler for number, handler in plain.items())
    for number, handler in before.items():
        signal.signal(number, handler)


def fit(*more, optimizer="adam", epochs=4):
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((4,)), Dense(8, "relu"), Dropout(0.3), Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    settings = {"batch_size": 32, "validation_split": 0.25, "verbose": 0, "callbacks": [*more]}
    try:
        model.fit(X, Y, epochs=epochs, **settings)
    except (KeyboardInterrupt, SystemExit) as error:
        return model, error
    return model, None


@pytest.mark.parametrize(
    ("hook", "count", "number", "expected", "epochs"),
    [
        ("on_train_batch_end", 9, signal.SIGINT, KeyboardInterrupt, [0]),
        ("on_train_batch_begin", 1, signal.SIGTERM, SystemExit, []),
        ("on_test_batch_end", 3, signal.SIGINT, KeyboardInterrupt, [0]),
        ("on_train_batch_end", 24, signal.SIGTERM, SystemExit, [0, 1, 2]),
        ("on_epoch_end", 2, signal.SIGINT, KeyboardInterrupt, [0, 1]),
    ],
)
def test_a_signal_ends_a_run_between_steps_and_it_goes_on_bit_for_bit(
    tmp_path, hook, count, number, expected, epochs
):
    whole, _ = fit()

    model, error = fit(callbacks.BackupAndRestore(tmp_path), Sent(hook, count, number))

    assert type(error) is expected
    assert model.history.epoch == epochs
    assert all(len(values) == len(epochs) for values in model.history.history.values())
    assert (tmp_path / "latest.npz").exists()
    resumed, error = fit(callbacks.BackupAndRestore(tmp_path))
    assert error is None
    assert resumed.history.history == whole.history.history
    assert resumed.history.epoch == [0, 1, 2, 3]
    for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_callbacks_are_told_in_order():
    said = []
    hooks = ("on_train_interrupt", "on_train_end", "on_exception")
    listener = callbacks.LambdaCallback(
        **{hook: lambda *a, hook=hook: said.append((hook, *a)) for hook in hooks}
    )

    fit(listener, Sent("on_train_batch_end", 2, signal.SIGINT))

    assert [hook for hook, *_ in said] == ["on_train_interrupt", "on_train_end"]
    assert said[0][1:] == (0, 2)


def test_a_second_signal_ends_a_run_at_once():
    class Twice(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the second signal was kept")

    assert type(fit(Twice())[1]) is KeyboardInterrupt


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_ends_a_run_within_a_run_and_then_the_outer_one(tmp_path, number, expected):
    inner, said = [], []

    class Fits(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            sent = [Sent("on_train_batch_end", 2, number)] if epoch == 1 else []
            inner.append(bp.Sequential([bp.Input((4,)), Dense(1)]))
            inner[-1].compile("sgd", "mse")
            inner[-1].fit(X, Y, epochs=3, verbose=0, callbacks=sent)

        def on_exception(self, error, logs=None):
            said.append(type(error))

    outer, error = fit(Fits(), callbacks.BackupAndRestore(tmp_path))

    assert type(error) is expected
    assert [len(model.history.epoch) for model in inner] == [3, 0]
    assert said == [expected]
    assert outer.history.epoch == [0]
    resumed, error = fit(callbacks.BackupAndRestore(tmp_path))
    assert (error, resumed.history.epoch) == (None, [0, 1, 2, 3])


def test_a_users_own_handler_stays_in_place(handlers):
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        _, error = fit(Sent("on_train_batch_end", 2, signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, handlers[signal.SIGINT])

    assert (error, seen) == (None, [signal.SIGINT])


def test_weights_that_an_evaluation_borrowed_are_back_after_an_exception():
    class Fails(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.trained = self.model.get_weights()

        def on_test_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    fails, swap = Fails(), callbacks.SwapEMAWeights()

    model, _ = fit(fails, swap, optimizer=bp.optimizers.Adam(0.05, use_ema=True))

    for a, b in zip(model.get_weights(), fails.trained, strict=True):
        assert np.array_equal(a, b)
    other, _ = fit(swap, optimizer=bp.optimizers.Adam(0.05, use_ema=True), epochs=1)
    for a, b in zip(model.get_weights(), fails.trained, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(other.get_weights()[0], fails.trained[0])
