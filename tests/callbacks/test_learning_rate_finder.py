"""LearningRateFinder: a suggestion that trains, and a model that is as it was before."""

import copy
import warnings

import numpy as np
import pytest

import backprop as bp
from backprop.callbacks import LearningRateFinder
from backprop.layers import LSTM, BatchNormalization, Dense, Dropout
from backprop.optimizers import SGD, Adam


def data(rows=512):
    x = np.random.default_rng(0).normal(size=(rows, 8)).astype("float32")
    return x, (x[:, :1] * x[:, 1:2] + x[:, 2:3]).astype("float32")


def network(optimizer, *layers):
    bp.utils.set_random_seed(0)
    layers = layers or (Dense(16, "tanh"), BatchNormalization(), Dropout(0.2), Dense(1))
    model = bp.Sequential([bp.Input((8,)), *layers])
    model.compile(optimizer, "mse")
    return model


def everything(model):
    """All that a run could have moved."""
    header, arrays = copy.deepcopy(bp.run_state.model_state(model))
    return header, {name: a.tobytes() for name, a in arrays.items()}


@pytest.mark.parametrize(("optimizer", "low", "high"), [(SGD(), 0.01, 1), (Adam(), 1e-3, 0.5)])
def test_the_suggestion_trains_better_than_far_smaller_and_larger_rates(optimizer, low, high):
    x, y = data()
    found = LearningRateFinder(end=100).find(network(optimizer), x, y)
    assert low < found < high

    def after(rate):
        model = network(type(optimizer)(rate))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what overflows
            loss = model.fit(x, y, epochs=5, verbose=0).history["loss"][-1]
        return loss if np.isfinite(loss) else np.inf

    assert after(found) < min(after(found / 300), after(found * 3000))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "optimizer", [SGD(0.05, momentum=0.9), Adam(), Adam(use_ema=True, clipnorm=1.0)]
)
def test_a_run_after_it_is_bit_for_bit_the_run_without_it(optimizer, trained):
    x, y = data()
    asked, not_asked = (network(copy.deepcopy(optimizer)) for _ in "ab")
    for model in (asked, not_asked):
        if trained:
            model.fit(x, y, verbose=0)
    finder = LearningRateFinder()
    rate = asked.optimizer.learning_rate
    finder.find(asked, x, y, batch_size=32)
    assert asked.optimizer.learning_rate == rate
    assert len(finder.rates) > 30

    seed = asked.trainer.seed
    for model in (asked, not_asked):
        model.trainer.seed = seed
        model.fit(x, y, epochs=2, verbose=0)
    assert everything(asked) == everything(not_asked)


class Fails(bp.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 7:
            raise KeyError


def test_an_exception_leaves_the_model_as_it_was():
    x, y = data()
    model = network(Adam(0.002))
    model.fit(x, y, verbose=0)
    before = everything(model)
    with pytest.raises(KeyError):
        LearningRateFinder().find(model, x, y, callbacks=[Fails()])

    assert everything(model) == before
    assert model.optimizer.learning_rate == 0.002


def test_states_that_layers_carry_on_are_put_back():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input(batch_shape=(16, 4, 2)), LSTM(3, stateful=True), Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4, 2))
    model.predict(x, batch_size=16)
    before = [state.value.copy() for state in model.states_kept()]
    LearningRateFinder().find(model, x, x[:, 0, :1], batch_size=16, shuffle=False)

    for state, value in zip(model.states_kept(), before, strict=True):
        np.testing.assert_array_equal(state.value, value)


def test_the_rates_rise_by_a_factor_and_the_losses_are_those_of_single_batches():
    x, y = data(96)
    model = network(SGD(), Dense(1, kernel_initializer="zeros"))
    finder = LearningRateFinder(start=1e-9, end=1e-7, steps=10)
    finder.find(model, x, y, batch_size=32, shuffle=False)

    assert finder.rates == pytest.approx(np.geomspace(1e-9, 1e-7, 10))
    batches = [float((y[k : k + 32] ** 2).mean()) for k in (0, 32, 64)]
    assert finder.losses == pytest.approx((batches * 4)[:10], rel=1e-4)


def test_it_stops_where_the_loss_bursts():
    x, y = data()
    finder = LearningRateFinder(end=1e6)
    finder.find(network(SGD()), x, y)

    assert len(finder.losses) < 100
    assert finder.losses[-1] > 4 * min(finder.losses)


def test_where_the_loss_never_falls_nothing_is_suggested():
    x, y = data()
    finder = LearningRateFinder(start=1e-12, end=1e-11)
    model = network(SGD(), Dense(1, kernel_initializer="zeros"))
    finder.find(model, x[:32], y[:32], batch_size=32, shuffle=False)
    assert max(finder.losses) - min(finder.losses) < 1e-6

    rising = LearningRateFinder(start=10, end=1000)
    assert rising.find(network(SGD()), x, y) is None


def test_it_draws_its_curve():
    axes = pytest.importorskip("matplotlib.axes")
    finder = LearningRateFinder()
    with pytest.raises(ValueError, match="nothing to draw"):
        finder.plot()
    finder.find(network(SGD()), *data())
    drawn = finder.plot()

    assert isinstance(drawn, axes.Axes)
    assert finder.plot(drawn) is drawn
    assert drawn.get_xscale() == "log"
    assert any("suggestion" in text.get_text() for text in drawn.get_legend().get_texts())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"start": 0}, "start"),
        ({"end": -1.0}, "end"),
        ({"start": 1.0, "end": 0.1}, "end to be above start"),
        ({"steps": 3}, "steps"),
        ({"diverge": "much"}, "diverge"),
        ({"smoothing": 1.0}, "smoothing"),
    ],
)
def test_an_argument_out_of_its_range_is_named(options, name):
    with pytest.raises((TypeError, ValueError), match=name):
        LearningRateFinder(**options)


def test_a_schedule_and_a_full_batch_are_refused():
    schedule = bp.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(TypeError, match="schedule"):
        LearningRateFinder().find(network(SGD(schedule)), *data())
    with pytest.raises(ValueError, match="all data at once"):
        LearningRateFinder().find(network(bp.optimizers.LBFGS()), *data())
