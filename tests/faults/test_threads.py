"""What threads of one process must not change for each other."""

import copy
import os
import signal
import sys
import threading

import numpy as np
import pytest

import backprop as bp
from backprop.layers import Dense


class Mine(Dense):
    """A layer that only a file's `custom_objects` know."""


def side_by_side(*jobs):
    """Run jobs in a thread each; what one raises is raised here."""
    errors = []
    start = threading.Barrier(len(jobs))

    def run(job):
        try:
            start.wait()
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_reading_models_in_threads_leaves_seeds_and_names_of_the_process_alone(tmp_path):
    path = tmp_path / "mine.npz"
    bp.Sequential([bp.Input((4,)), *(Mine(4) for _ in range(10))]).save(path)
    bp.utils.set_random_seed(1)
    expected = Dense(2)(np.ones((1, 3)))
    bp.utils.set_random_seed(1)

    def read():
        for _ in range(20):
            bp.models.load_model(path, custom_objects={"Mine": Mine})

    side_by_side(read, read, read)

    assert np.array_equal(Dense(2)(np.ones((1, 3))), expected)
    try:
        bp.models.load_model(path)
    except ValueError as error:
        assert "unknown layer 'Mine'" in str(error)
    else:
        raise AssertionError("a file that names Mine loads without custom_objects")


X = np.random.default_rng(0).normal(size=(256, 4))
Y = X[:, :1]


def compiled():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((4,)), Dense(8, "relu"), bp.layers.Dropout(0.3), Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


class Meanwhile(bp.callbacks.Callback):
    """Has a job done in another thread after a batch, and waits for it."""

    def __init__(self, job):
        self.job, self.at = job, 5

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            side_by_side(self.job)


def test_an_evaluation_in_another_thread_leaves_the_history_of_a_fit_alone():
    alone = compiled().fit(X, Y, epochs=2, verbose=0).history
    model, seen = compiled(), []
    evaluate = Meanwhile(lambda: seen.append(model.evaluate(X, Y, verbose=0, return_dict=True)))

    found = model.fit(X, Y, epochs=2, verbose=0, callbacks=[evaluate]).history

    assert found == alone
    assert set(seen[0]) == {"loss", "mae"}


def test_an_evaluation_that_ends_in_a_later_step_of_a_fit_leaves_its_sums_alone():
    alone = compiled().fit(X, Y, verbose=0).history
    model, begun, goes_on = compiled(), threading.Event(), threading.Event()

    class Waits(bp.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            begun.set()
            assert goes_on.wait(30)

    class Around(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.thread = threading.Thread(
                    target=lambda: model.evaluate(X, Y, verbose=0, callbacks=[Waits()])
                )
                self.thread.start()
                assert begun.wait(30)
            elif batch == 5:
                goes_on.set()
                self.thread.join()

    assert model.fit(X, Y, verbose=0, callbacks=[Around()]).history == alone


@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_two_runs_of_one_model_at_once_are_refused(call):
    alone = compiled().fit(X, Y, verbose=0).history
    model = compiled()

    def train():
        with pytest.raises(RuntimeError, match=f"{call}.. would change .* in another thread"):
            getattr(model, call)(X, Y)

    assert model.fit(X, Y, verbose=0, callbacks=[Meanwhile(train)]).history == alone
    model.fit(X, Y, verbose=0)  # its turn again


def test_a_fit_that_is_refused_leaves_the_run_as_it_is():
    model, seen = compiled(), []

    def train():
        with pytest.raises(RuntimeError, match="fit"):
            model.fit(X, Y, verbose=0)
        seen.append((model.trainer.validates, model.history.params["epochs"]))

    model.fit(X, Y, epochs=7, validation_split=0.2, verbose=0, callbacks=[Meanwhile(train)])

    assert seen == [(True, 7)] * 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.* was called:RuntimeWarning")  # by JAX, of other tests
def test_a_process_that_is_forked_in_a_run_of_another_thread_may_train():
    model, states = compiled(), []

    class Forks(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                thread = threading.Thread(target=fork)
                thread.start()
                thread.join()

    def fork():
        child = os.fork()
        if not child:
            status = 1
            try:
                signal.alarm(60)
                model.predict(X[:8], verbose=0)
                model.fit(X[:8], Y[:8], verbose=0)
                status = 0
            finally:
                os._exit(status)
        states.append(os.waitpid(child, 0)[1])

    model.fit(X, Y, verbose=0, callbacks=[Forks()])

    assert states == [0]


def test_a_fit_within_a_fit_is_refused():
    model = compiled()
    within = bp.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: model.fit(X, Y, verbose=0))

    with pytest.raises(RuntimeError, match="around this call"):
        model.fit(X, Y, verbose=0, callbacks=[within])

    copy_in_run = bp.callbacks.LambdaCallback(
        on_epoch_end=lambda e, logs: copy.deepcopy(model).fit(X, Y, verbose=0)
    )
    model.fit(X, Y, verbose=0, callbacks=[copy_in_run])


def test_eight_threads_predict_what_one_does():
    model = bp.Sequential(
        [bp.Input((12, 12, 3)), bp.layers.Conv2D(8, 3, activation="relu"), bp.layers.Flatten()]
    )
    x = np.random.default_rng(0).normal(size=(40, 12, 12, 3)).astype(np.float32)
    expected, found = model.predict(x, verbose=0), []

    side_by_side(*[lambda: found.append(model.predict(x, verbose=0))] * 8)

    assert all(np.array_equal(y, expected) for y in found)


@pytest.fixture
def eager():
    """Threads that take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


FIRST = {
    "predict": lambda model: model.predict(X, verbose=0),
    "predict_on_batch": lambda model: model.predict_on_batch(X),
    "call": lambda model: model(X),
    "evaluate": lambda model: np.array(model.evaluate(X, Y, verbose=0)),
}


@pytest.mark.parametrize("what", FIRST)
@pytest.mark.usefixtures("eager")
def test_eight_threads_may_be_the_first_to_use_a_model(what):
    for _ in range(10):
        model = bp.Sequential(
            [Dense(8, "relu"), bp.layers.BatchNormalization(), Dense(4), Dense(1)]
        )
        model.compile("sgd", "mse", metrics=["mae"])
        found = []

        side_by_side(*[lambda m=model, f=found: f.append(FIRST[what](m))] * 8)

        assert all(np.array_equal(y, FIRST[what](model)) for y in found)


def test_two_models_that_are_trained_at_once_are_those_that_were_trained_alone():
    def convolving():
        bp.utils.set_random_seed(0)
        model = bp.Sequential(
            [bp.Input((16, 16, 8)), bp.layers.Conv2D(16, 3), bp.layers.Flatten(), Dense(4)]
        )
        model.compile("adam", "mse")
        return model

    def multiplying():
        bp.utils.set_random_seed(0)
        model = bp.Sequential([bp.Input((300,)), Dense(500, "tanh"), Dense(4)])
        model.compile("adam", "mse")
        return model

    rng = np.random.default_rng(0)
    y = rng.normal(size=(128, 4))
    images, rows = rng.normal(size=(128, 16, 16, 8)), rng.normal(size=(128, 300))
    pairs = [(convolving, images), (multiplying, rows), (multiplying, rows)]

    def train(model, x):
        model.fit(x, y, epochs=3, batch_size=64, verbose=0)
        return model.get_weights()

    alone = [train(make(), x) for make, x in pairs]
    models, found = [make() for make, _ in pairs], {}

    def job(i):
        found[i] = train(models[i], pairs[i][1])

    side_by_side(*[lambda i=i: job(i) for i in range(3)])

    for i, weights in enumerate(alone):
        assert all(np.array_equal(a, b) for a, b in zip(found[i], weights, strict=True))
