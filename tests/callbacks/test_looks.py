"""GradientFlow and ActivationStatistics: right about broken networks, silent about sound ones, and
without a trace in training."""

import copy
import math
import pickle
import re
import warnings

import numpy as np
import pytest
from sound_and_broken import BROKEN, SOUND, classifier, sequences, table

import backprop as bp
from backprop.callbacks import ActivationStatistics, GradientFlow
from backprop.layers import LSTM, Dense, SimpleRNN
from backprop.taps import Tap, leave, listen


def fitted(make, callbacks, epochs=4, seed=1):
    bp.utils.set_random_seed(seed)
    model, data = make()
    model.fit(*data, epochs=epochs, batch_size=32, verbose=0, callbacks=callbacks)
    return model


def looked_at(make, **options):
    looks = GradientFlow(), ActivationStatistics()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted(make, [*looks], **options)
    return looks


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_a_sound_network(name):
    flow, statistics = looked_at(SOUND[name])

    assert flow.warnings + statistics.warnings == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_a_sound_network_in_a_longer_run(name, seed):
    flow, statistics = looked_at(SOUND[name], epochs=40, seed=seed)

    assert flow.warnings + statistics.warnings == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_and_nothing_else(name):
    make, *expected = BROKEN[name]

    for look, pattern in zip(looked_at(make), expected, strict=True):
        if pattern is None:
            assert look.warnings == []
        else:
            (said,) = look.warnings
            assert re.search(pattern, said), said
            assert re.search(r"\d", said), "the figure that gives it away"
            assert "helps" in said or "scale the inputs" in said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_first_whatever_the_seed(name, seed):
    make, *expected = BROKEN[name]

    for look, pattern in zip(looked_at(make, seed=seed, epochs=8), expected, strict=True):
        said = [*look.warnings, ""][0]
        assert re.search(pattern, said) if pattern else said == ""


def test_a_sentence_is_a_warning_and_comes_once():
    make, pattern, _ = BROKEN["equal units"]
    with pytest.warns(UserWarning, match=f"GradientFlow: .*{pattern}") as found:
        fitted(make, [GradientFlow(every=1)])

    assert len(found) == 1


@pytest.mark.parametrize("name", SOUND)
def test_training_is_the_same_bit_for_bit(name):
    seen = fitted(SOUND[name], [GradientFlow(every=1), ActivationStatistics(every=1)], epochs=1)
    alone = fitted(SOUND[name], [], epochs=1)

    for a, b in zip(seen.get_weights(), alone.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert not [v for part in seen.walk() for v in vars(part).values() if isinstance(v, Tap)]


def test_the_figures_are_those_of_the_step():
    x, y = table()
    bp.utils.set_random_seed(0)
    model = classifier(Dense(8, "relu", kernel_regularizer="l2"), optimizer=bp.optimizers.SGD(0.5))
    before = [layer.kernel.copy() for layer in model.layers]
    biases = [layer.bias.copy() for layer in model.layers]
    twin = copy.deepcopy(model)
    flow, statistics = GradientFlow(), ActivationStatistics()
    model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[flow, statistics], shuffle=False)

    slopes = twin.gradients(x, y)
    hidden = np.maximum(x @ before[0], 0)
    for i, layer in enumerate(model.layers):
        penalty = 0.02 * before[0] if i == 0 else 0.0
        own = slopes[layer.name]["kernel"] - penalty
        norm = math.hypot(np.linalg.norm(own), np.linalg.norm(slopes[layer.name]["bias"]))
        moved = math.hypot(
            np.linalg.norm(layer.kernel - before[i]), np.linalg.norm(layer.bias - biases[i])
        )
        assert flow.gradient_norms[0][i] == pytest.approx(norm, rel=1e-5)
        assert flow.update_ratios[0][i] == pytest.approx(
            moved / np.linalg.norm(before[i]), rel=1e-5
        )
    assert statistics.means[0][0] == pytest.approx(hidden.mean(), rel=1e-5)
    assert statistics.deviations[0][0] == pytest.approx(hidden.std(), rel=1e-5)
    assert statistics.dead[0][0] == (hidden == 0).all(0).mean()
    assert math.isnan(statistics.saturated[0][0])
    counts, edges = statistics.histograms["dense"]
    assert counts.sum() == hidden.size
    assert edges[[0, -1]] == pytest.approx([hidden.min(), hidden.max()])


def test_the_states_of_a_recurrent_layer_are_seen_step_by_step():
    look = ActivationStatistics()
    loop = SimpleRNN(8, return_sequences=True, name="loop")
    model = classifier(loop, bp.layers.GlobalAveragePooling1D(), classes=2, shape=(24, 4))
    x, y = sequences()
    states = loop(x)
    model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[look], shuffle=False)

    expected = np.sqrt((states**2).mean((0, 2)))
    np.testing.assert_allclose(look.states["loop"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("every", "steps"), [("auto", [0, 1, 2, 4, 8, 16, 32, 64, 128, 200]), (70, [0, 70, 140, 210])]
)
@pytest.mark.parametrize("cls", [GradientFlow, ActivationStatistics])
def test_few_steps_are_looked_at(cls, every, steps):
    look = cls(every=every)
    fitted(SOUND["linear regression"], [look], epochs=27)

    assert look.steps == steps


def test_a_step_that_only_gathers_is_not_looked_at():
    flow = GradientFlow()
    fitted(SOUND["gradients accumulated"], [flow])

    assert flow.steps == [3, 7, 11, 19]
    assert np.min(flow.update_ratios) > 0


def test_layers_are_named_from_input_to_output():
    flow, statistics = looked_at(SOUND["a model within"])
    assert flow.layers == ["inner/dense", "inner/dense_1", "out"]
    assert statistics.layers == ["inner/dense", "inner/dense_1", "activation", "out"]

    flow, _ = looked_at(SOUND["frozen"])
    assert flow.layers == ["dense_1", "out"]


@pytest.mark.parametrize("every", [0, -1, "often", 1.5])
def test_an_interval_is_auto_or_a_number_of_steps(every):
    with pytest.raises((TypeError, ValueError), match="every"):
        GradientFlow(every=every)


def test_it_can_be_copied_and_pickled_after_a_run():
    for look in looked_at(SOUND["SimpleRNN"]):
        look.model = None
        for twin in (copy.deepcopy(look), pickle.loads(pickle.dumps(look))):
            assert repr(twin.get_state()) == repr(look.get_state())


def test_after_an_exception_nobody_listens():
    class Stop(bp.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise KeyError

    bp.utils.set_random_seed(0)
    model, data = SOUND["LSTM"]()
    with pytest.raises(KeyError):
        model.fit(*data, verbose=0, callbacks=[GradientFlow(), ActivationStatistics(), Stop()])

    assert not [v for part in model.walk() for v in vars(part).values() if isinstance(v, Tap)]


def test_an_interrupted_run_goes_on_counting(tmp_path):
    def made():
        flow, statistics = GradientFlow(), ActivationStatistics()
        return flow, statistics, bp.callbacks.BackupAndRestore(tmp_path / "backup")

    class Break(bp.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyError

    whole = GradientFlow(), ActivationStatistics()
    fitted(SOUND["dense"], [*whole])
    with pytest.raises(KeyError):
        fitted(SOUND["dense"], [*made(), Break()])
    *again, backup = made()
    fitted(SOUND["dense"], [*again, backup])

    for one, other in zip(again, whole, strict=True):
        assert one.steps == other.steps == [0, 1, 2, 4, 8, 16]
        assert repr(one.get_state()) == repr(other.get_state())


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_after_an_interruption_is_what_would_have_been_said(name, tmp_path):
    make, *_ = BROKEN[name]

    class Saves(bp.callbacks.Callback):
        runs_last = True

        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 2:
                self.model.trainer.save_state(tmp_path / "run.npz")

    def run(*more, at=None):
        looks = GradientFlow(), ActivationStatistics()
        bp.utils.set_random_seed(1)
        model, data = make()
        if at is not None:
            model.trainer.restore_state(at)
        model.fit(*data, epochs=1, batch_size=32, verbose=0, callbacks=[*looks, *more])
        return [repr(look.get_state()) for look in looks]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = run(Saves())
        found = run(at=tmp_path / "run.npz")

    assert found == wanted


def test_what_was_told_is_not_told_again_when_a_run_goes_on(tmp_path):
    class Break(bp.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyError

    make, pattern, _ = BROKEN["equal units"]
    backup = bp.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.warns(UserWarning, match=pattern), pytest.raises(KeyError):
        fitted(make, [GradientFlow(), backup, Break()])
    flow = GradientFlow()
    fitted(make, [flow, bp.callbacks.BackupAndRestore(tmp_path / "backup")])

    assert len(flow.warnings) == 1


def test_of_two_who_listen_one_may_leave():
    layer, heard = Dense(2), []

    def first(*_):
        heard.append("first")

    def second(*_):
        heard.append("second")

    listen(layer, "forward", first)
    listen(layer, "forward", second)
    leave(layer, "forward", first)
    layer(np.ones((1, 3)))
    leave(layer, "forward", second)
    leave(layer, "forward", second)
    layer(np.ones((1, 3)))

    assert heard == ["second"]
    assert "forward" not in vars(layer)


def test_a_method_of_ones_own_is_there_again():
    layer = LSTM(2)
    layer.__dict__["forward"] = own = layer.forward
    listen(layer, "forward", print)
    leave(layer, "forward", print)

    assert layer.forward is own


def test_a_copy_that_is_made_while_somebody_listens_tells_nobody():
    layer, heard = Dense(2), []
    listen(layer, "forward", lambda *_: heard.append(1))
    twin = copy.deepcopy(layer)
    twin(np.ones((1, 3)))

    assert heard == []
