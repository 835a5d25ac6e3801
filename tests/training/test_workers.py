"""Batches that threads and processes make in advance: the same ones, in order, and nobody stays."""

import os
import threading
import time
import traceback

import numpy as np
import pytest

import backprop as bp
from backprop.training.workers import in_advance

# a program with threads of its own, such as one that has loaded JAX, is told about forks
FORKS = "ignore:.*fork:"

KINDS = [
    pytest.param({"workers": 3}, id="threads"),
    pytest.param(
        {"workers": 2, "use_multiprocessing": True},
        id="processes",
        marks=pytest.mark.filterwarnings(FORKS),
    ),
]


class Squares(bp.utils.PyDataset):
    """x is the number of the batch, y its square; early batches take longest."""

    count = 6

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        time.sleep(0.01 * (index % 3 == 0))
        x = np.full((2, 3), float(index))
        return x, x[:, :1] ** 2


def model():
    bp.utils.set_random_seed(1)
    made = bp.Sequential([bp.Input((3,)), bp.layers.Dense(1)])
    made.compile(bp.optimizers.SGD(0.01), "mse")
    return made


def workers_left():
    return [t.name for t in threading.enumerate() if t.name.startswith(("batches", "Executor"))]


@pytest.fixture(autouse=True)
def nobody_stays():
    yield
    assert workers_left() == []


# ------------------------------------------------------------------------------------- in_advance


def test_results_come_in_order_however_long_each_takes():
    def slowly(i):
        time.sleep(0.02 / (i + 1))
        return -i

    assert list(in_advance(slowly, range(9), workers=4)) == [(i, -i) for i in range(9)]


def test_no_more_results_wait_than_were_allowed():
    begun = []
    results = in_advance(begun.append, iter(range(100)), workers=2, ahead=3)

    next(results)
    time.sleep(0.05)

    assert begun == [0, 1, 2, 3]
    results.close()


def test_an_endless_iterable_can_be_left():
    from itertools import count

    results = in_advance(lambda i: i, count(), workers=2)

    assert [next(results)[0] for _ in range(50)] == list(range(50))
    results.close()


# ------------------------------------------------------------------------------------------- fit


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_change_no_number(how, shuffle):
    alone, helped = model(), model()

    expected = alone.fit(Squares(), epochs=2, shuffle=shuffle, verbose=0)
    found = helped.fit(Squares(**how), epochs=2, shuffle=shuffle, verbose=0)

    assert found.history == expected.history
    assert helped.evaluate(Squares(**how), verbose=0) == alone.evaluate(Squares(), verbose=0)
    np.testing.assert_array_equal(
        helped.predict(Squares(**how), verbose=0), alone.predict(Squares(), verbose=0)
    )


def test_threads_make_batches_while_the_model_computes():
    names = set()

    class Told(Squares):
        def __getitem__(self, index):
            names.add(threading.current_thread().name)
            return super().__getitem__(index)

    model().fit(Told(workers=2, max_queue_size=2), verbose=0)

    assert any(name.startswith("batches") for name in names)


@pytest.mark.filterwarnings(FORKS)
def test_processes_make_batches():
    class Told(Squares):
        def __getitem__(self, index):
            return np.full((2, 3), float(os.getpid())), np.zeros((2, 1))

    made = bp.Sequential([bp.Input((3,)), bp.layers.Identity()], dtype="float64")

    found = made.predict(Told(workers=1, use_multiprocessing=True), verbose=0)

    assert os.getpid() not in found and len(np.unique(found)) == 1


@pytest.mark.parametrize("how", KINDS)
def test_an_error_of_a_worker_reaches_the_user_with_its_traceback(how):
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 4:
                raise LookupError("the disk is gone")
            return super().__getitem__(index)

    with pytest.raises(LookupError, match="the disk is gone") as caught:
        model().fit(Broken(**how), shuffle=False, verbose=0)

    assert workers_left() == []  # although the traceback is still there
    assert 'raise LookupError("the disk is gone")' in "".join(
        traceback.format_exception(caught.value)
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("where", ["train", "validation", "evaluate", "predict"])
def test_nobody_stays_behind_after_an_error_in_between(error, where):
    class Stopped(bp.callbacks.Callback):
        def stop(self, batch, logs=None):
            raise error

        if where == "train":
            on_train_batch_end = stop
        elif where == "predict":
            on_predict_batch_end = stop
        else:
            on_test_batch_end = stop

    made, data = model(), Squares(workers=2)

    with pytest.raises(error) as caught:
        if where in ("train", "validation"):
            made.fit(data, validation_data=data, verbose=0, callbacks=[Stopped()])
        else:
            getattr(made, where)(data, verbose=0, callbacks=[Stopped()])

    assert workers_left() == []
    assert caught.value.__traceback__ is not None


def test_nobody_stays_behind_a_run_that_was_stopped():
    class Enough(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    model().fit(Squares(workers=2), verbose=0, callbacks=[Enough()])

    assert workers_left() == []


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_data_set_without_an_end_goes_on_from_epoch_to_epoch(workers):
    asked = []

    class Endless(bp.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            asked.append(index)
            return np.zeros((2, 3)), np.full((2, 1), index)

    seen = []

    class See(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    made = model()
    made.set_weights([np.zeros_like(w) for w in made.get_weights()])
    made.optimizer.learning_rate = 0.0
    made.fit(Endless(workers=workers), steps_per_epoch=3, epochs=2, verbose=0, callbacks=[See()])

    np.testing.assert_allclose(seen, [0, 1 / 2, 5 / 3, 9, (9 + 16) / 2, (9 + 16 + 25) / 3])
    assert workers_left() == []


@pytest.mark.parametrize("how", [{}, {"workers": 2}])
def test_a_data_set_may_say_how_many_it_has_by_num_batches(how):
    class Two(bp.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, index):
            return np.full((1, 3), float(index))

    assert model().predict(Two(**how), verbose=0).shape == (2, 1)
    assert [batch[0, 0] for batch in Two()] == [0, 1]


def test_a_data_set_may_change_between_epochs():
    class Growing(Squares):
        def __init__(self, **how):
            super().__init__(**how)
            self.count, self.events = 2, []

        def on_epoch_begin(self):
            self.events.append("begin")

        def on_epoch_end(self):
            self.events.append("end")
            self.count += 1

    data = Growing(workers=2)
    with pytest.warns(UserWarning, match="the data have 3 batches now"):
        model().fit(data, epochs=2, verbose=0)

    assert data.events == ["begin", "end"] * 2


def test_batches_may_be_nested():
    class Named(Squares):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return {"a": x, "b": 2 * x}, y

    a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    made = bp.Model({"a": a, "b": b}, bp.layers.Dense(1)(bp.layers.Add()([a, b])))
    made.compile("sgd", "mse")

    assert made.predict(Named(workers=2), verbose=0).shape == (12, 1)


def test_a_subclass_need_not_call_the_base_class():
    class Short(Squares):
        def __init__(self):
            pass

    assert model().predict(Short(), verbose=0).shape == (12, 1)
    assert Short().max_queue_size == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": -1}, "Squares expects workers"),
        ({"workers": 1.5}, "Squares expects workers"),
        ({"max_queue_size": 0}, "Squares expects max_queue_size to be a positive integer"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Squares(**arguments)


def test_what_a_subclass_needs_is_said():
    class Nothing(bp.utils.PyDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"needs __len__\(self\)"):
        list(Nothing())
    with pytest.raises(NotImplementedError, match=r"needs __getitem__\(self, index\)"):
        Nothing()[0]


def test_batches_of_arrays_can_be_read_in_advance():
    windows = bp.utils.timeseries_dataset_from_array(
        np.arange(20.0), np.arange(20.0), 3, batch_size=4, shuffle=True, seed=1
    )

    found = list(windows.prefetch(2))

    for (x, y), (x_expected, y_expected) in zip(found, windows, strict=True):
        np.testing.assert_array_equal(x, x_expected)
        np.testing.assert_array_equal(y, y_expected)


def test_nobody_stays_behind_batches_that_were_read_in_advance():
    windows = bp.utils.timeseries_dataset_from_array(np.zeros((9, 3)), np.zeros(9), 1, batch_size=1)
    made = bp.Sequential([bp.layers.Flatten(), bp.layers.Dense(1)])
    made.compile("sgd", "mse")

    class Broken(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        made.fit(windows.prefetch(3), verbose=0, callbacks=[Broken()])

    assert workers_left() == []
    assert caught.value.__traceback__ is not None
