"""The training loop: what a step, an epoch and a run do, and what they report."""

import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import backprop as bp
from backprop.callbacks import BackupAndRestore, Callback, LambdaCallback
from backprop.gradcheck import gradcheck
from backprop.layer import Layer
from backprop.layers import (
    LSTM,
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Residual,
)
from backprop.parallel import blas
from backprop.run_state import load_checkpoint, save_checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = np.sin(X @ np.array([[1.0], [2.0], [-1.0]]))
LABELS = (np.arange(24) % 3 == 0).astype(int)


def make(layers=None, optimizer="adam", loss="mse", metrics=("mae",), seed=1, **options):
    """A compiled model in float64, the same whenever it is made with the same seed."""
    bp.utils.set_random_seed(seed)
    layers = [Dense(6, "tanh"), Dropout(0.3), Dense(1)] if layers is None else layers
    model = bp.Sequential([bp.Input((3,)), *layers], dtype="float64")
    model.compile(optimizer, loss, metrics=list(metrics), **options)
    return model


def linear(optimizer="sgd", **options):
    return make([Dense(1)], optimizer, **options)


def assert_same(a, b):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_close(a, b, rtol=1e-12):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol, rtol)


# ------------------------------------------------------------------ reproducibility


def test_a_run_is_a_function_of_its_seed():
    a, b, other = make(), make(), make(seed=2)
    runs = [
        m.fit(X, Y, 5, epochs=3, verbose=0, validation_split=0.2).history for m in (a, b, other)
    ]

    assert runs[0] == runs[1] != runs[2]
    assert_same(a, b)


def test_nothing_draws_from_the_global_generator():
    model = make()  # which seeds it
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    model.fit(X, Y, epochs=1, verbose=0)

    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]


def test_a_run_in_two_parts_is_the_run_in_one():
    whole, parts = make(), make()
    expected = whole.fit(X, Y, 5, epochs=5, verbose=0).history["loss"]
    first = parts.fit(X, Y, 5, epochs=2, verbose=0)
    second = parts.fit(X, Y, 5, epochs=5, initial_epoch=2, verbose=0)

    assert first.history["loss"] + second.history["loss"] == expected
    assert second.epoch == [2, 3, 4]
    assert_same(parts, whole)


def test_each_epoch_has_an_order_of_its_own():
    class Note:
        """A loss that notes what it is asked for."""

    seen = []

    class Noted(bp.losses.MeanSquaredError):
        def values(self, y_true, y_pred):
            seen.append(y_true[:, 0].tolist())
            return super().values(y_true, y_pred)

    y = np.arange(24.0)[:, None]
    model = make(loss=Noted(), metrics=())
    model.fit(X, y, 8, epochs=3, verbose=0)
    seen = seen[1:]  # before the run the loss is tried out
    epochs = [list(itertools.chain(*seen[3 * e : 3 * e + 3])) for e in range(3)]

    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert all(sorted(epoch) == y[:, 0].tolist() for epoch in epochs)


def test_without_shuffling_fit_is_a_loop_of_train_on_batch():
    model, by_hand = make(), make()
    history = model.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0).history
    for epoch in range(2):
        rows = [slice(i, i + 8) for i in range(0, 24, 8)]
        logs = [by_hand.train_on_batch(X[r], Y[r]) for r in rows]

        expected = [values[epoch] for values in history.values()]
        np.testing.assert_allclose(np.mean(logs, axis=0), expected, rtol=1e-12)
    assert_same(model, by_hand)


# ------------------------------------------------------------------ arguments of fit


def test_no_epochs_train_nothing():
    model = make()
    before = model.get_weights()

    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    assert model.fit(X, Y, epochs=2, initial_epoch=2, verbose=0).history == {}
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    "freq, epochs", [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), (7, []), ([1, 5], [1, 5]), ((3,), [3])]
)
def test_validation_happens_after_the_epochs_that_are_asked_for(freq, epochs):
    model, validated, present = make(), [], []
    notes = [
        LambdaCallback(on_epoch_begin=lambda epoch, logs: present.append(epoch + 1)),
        type(
            "Test",
            (Callback,),
            {"on_test_end": lambda self, logs=None: validated.append(present[-1])},
        )(),
    ]
    history = model.fit(
        X,
        Y,
        epochs=5,
        verbose=0,
        validation_data=(X[:4], Y[:4]),
        validation_freq=freq,
        callbacks=notes,
    ).history

    assert validated == epochs
    assert len(history.get("val_loss", [])) == len(epochs)
    assert len(history["loss"]) == 5


def test_the_loss_of_a_validation_is_that_of_evaluate():
    model = make()
    w = RNG.uniform(0.5, 2, 24)
    history = model.fit(
        X, Y, 7, epochs=2, verbose=0, sample_weight=w, validation_split=0.25
    ).history
    loss, mae = model.evaluate(X[18:], Y[18:], sample_weight=w[18:], batch_size=7, verbose=0)

    assert (history["val_loss"][-1], history["val_mae"][-1]) == (loss, mae)


def test_validation_data_have_batches_of_their_own_size():
    model = make()
    sizes = []
    note = LambdaCallback(on_test_batch_end=lambda batch, logs: sizes.append(batch))
    options = {"verbose": 0, "validation_data": (X, Y), "callbacks": [note]}
    model.fit(X, Y, 8, **options)
    assert sizes == [0, 1, 2]
    model.fit(X, Y, 8, validation_batch_size=12, **options)

    assert sizes[3:] == [0, 1]


def test_class_weights_weigh_the_loss_and_the_weighted_metrics():
    model = make(
        [Dense(1, "sigmoid")],
        "sgd",
        "binary_crossentropy",
        ["accuracy"],
        weighted_metrics=["accuracy"],
    )
    p = model.predict(X, verbose=0)[:, 0]
    history = model.fit(
        X, LABELS, 24, epochs=1, verbose=0, shuffle=False, class_weight={0: 0.5, 1: 3.0}
    ).history

    w = np.where(LABELS == 1, 3.0, 0.5)
    values = -np.log(np.where(LABELS == 1, p, 1 - p))
    right = (p > 0.5) == LABELS
    np.testing.assert_allclose(history["loss"], np.mean(w * values))
    np.testing.assert_allclose(history["accuracy"], np.mean(right))
    np.testing.assert_allclose(history["weighted_accuracy"], np.sum(w * right) / np.sum(w))


def test_a_sample_of_weight_two_is_two_samples():
    weighted, doubled = linear(), linear()
    w = np.where(np.arange(24) < 12, 2.0, 1.0)
    weighted.fit(X, Y, 24, epochs=3, verbose=0, sample_weight=w * 24 / 36)
    twice = np.r_[np.arange(24), np.arange(12)]
    doubled.fit(X[twice], Y[twice], 36, epochs=3, verbose=0)

    assert_close(weighted, doubled)


def test_a_run_of_some_steps_an_epoch_goes_through_the_data():
    model, expected = make(), make()
    history = model.fit(X, Y, 6, epochs=4, steps_per_epoch=2, shuffle=False, verbose=0)
    expected.fit(X, Y, 6, epochs=2, shuffle=False, verbose=0)

    assert_same(model, expected)
    assert history.params["steps"] == 2
    assert len(history.history["loss"]) == 4


def test_a_factor_on_the_loss_leaves_penalties_alone():
    regularized = {"kernel_regularizer": bp.regularizers.L2(0.1)}
    model = make([Dense(1, **regularized)], "sgd", loss_weights=0.25)
    plain = make([Dense(1, **regularized)], "sgd")
    penalty = 0.1 * np.sum(model.layers[0].kernel ** 2)
    expected = plain.evaluate(X, Y, verbose=0)[0] - penalty

    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0)[0], 0.25 * expected + penalty)
    np.testing.assert_allclose(model.train_on_batch(X, Y)[0], 0.25 * expected + penalty)


@pytest.mark.parametrize("verbose, lines", [(0, 0), (1, 2), (2, 2), ("auto", 2)])
def test_verbosity_in_a_pipe(capsys, verbose, lines):
    make().fit(X, Y, epochs=2, verbose=verbose)
    out = capsys.readouterr().out

    assert len(out.splitlines()) == lines
    assert out.count("loss") == (0 if verbose == 0 else 2)


def test_a_callback_stops_a_run_and_the_next_goes_on():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = make()
    history = model.fit(X, Y, 4, epochs=9, verbose=0, validation_split=0.25, callbacks=[Stop()])

    assert model.optimizer.iterations == 2
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_frozen_layers_stay_and_thawed_ones_train():
    model = make([Dense(4), Dense(1)])
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    frozen = model.get_weights()
    model.layers[0].trainable = True
    model.train_on_batch(X, Y)

    np.testing.assert_array_equal(frozen[0], before[0])
    assert not np.array_equal(frozen[2], before[2])
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_a_model_that_cannot_learn_says_so():
    model = make([Activation("relu"), Flatten()])
    with pytest.warns(UserWarning, match="has no trainable weights: training will not change it"):
        model.fit(X, X, verbose=0)


# ------------------------------------------------------------------ evaluate and predict


def test_evaluate_returns_what_it_is_asked_for():
    model, plain = make(), make(metrics=())
    loss, mae = model.evaluate(X, Y, verbose=0)

    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss, "mae": mae}
    assert plain.evaluate(X, Y, verbose=0) == loss
    assert plain.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss}
    assert model.metrics_names == ["loss", "mae"]
    np.testing.assert_allclose(loss, np.mean((model.predict(X, verbose=0) - Y) ** 2))
    np.testing.assert_allclose(mae, np.mean(np.abs(model.predict(X, verbose=0) - Y)))


def test_evaluate_changes_nothing():
    model = make([Dense(4), BatchNormalization(), Dropout(0.5), Dense(1)])
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    state = model.layers[2].rng.bit_generator.state
    model.evaluate(X, Y, verbose=0)
    model.test_on_batch(X, Y)
    model.predict(X, verbose=0)

    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.layers[2].rng.bit_generator.state == state


def test_the_mean_over_batches_counts_samples():
    model = make(metrics=["mae"])

    for size in (1, 5, 24, 99):
        np.testing.assert_allclose(
            model.evaluate(X, Y, batch_size=size, verbose=0), model.evaluate(X, Y, verbose=0)
        )


def test_some_steps_of_an_evaluation_are_the_first():
    model = make()

    assert model.evaluate(X, Y, batch_size=4, steps=2, verbose=0) == model.evaluate(
        X[:8], Y[:8], batch_size=4, verbose=0
    )
    np.testing.assert_array_equal(
        model.predict(X, batch_size=4, steps=2, verbose=0),
        model.predict(X[:8], batch_size=4, verbose=0),
    )


STACKS = {
    "dense": ((3,), lambda: [Dense(4, "relu"), BatchNormalization(), Dropout(0.5), Dense(2)]),
    "convolution": ((6, 6, 1), lambda: [Conv2D(3, 3, activation="relu"), Flatten(), Dense(2)]),
    "sequence": ((5, 2), lambda: [LSTM(3, return_sequences=True), GlobalAveragePooling1D()]),
    "residual": ((3,), lambda: [Residual([Dense(3)]), Dense(1)]),
}


@pytest.mark.parametrize("shape, layers", STACKS.values(), ids=STACKS)
def test_a_prediction_does_not_depend_on_the_batches(shape, layers):
    model = bp.Sequential(layers(), dtype="float64")
    x = RNG.normal(size=(11, *shape))
    at_once = model.predict_on_batch(x)

    for size in (1, 4, 11, 50):
        np.testing.assert_allclose(
            model.predict(x, batch_size=size, verbose=0), at_once, 1e-12, 1e-12
        )
    none = model.predict(x[:0], verbose=0)
    assert none.shape == (0, *at_once.shape[1:])
    assert none.dtype == at_once.dtype == np.float64
    assert model.predict_on_batch(x[:0]).shape == none.shape


def test_predict_needs_no_compile_and_no_loss():
    model = bp.Sequential([Dense(2)])

    assert model.predict(X, verbose=0).shape == (24, 2)
    assert model.trainer is None


# ------------------------------------------------------------------ single batches


def test_train_on_batch_takes_a_step_and_reports_the_loss_before_it():
    model = linear(bp.optimizers.SGD(0.1))
    kernel, bias = model.get_weights()
    error = X @ kernel + bias - Y
    loss, mae = model.train_on_batch(X, Y)

    np.testing.assert_allclose(loss, np.mean(error**2))
    np.testing.assert_allclose(mae, np.mean(np.abs(error)))
    np.testing.assert_allclose(model.layers[0].kernel, kernel - 0.1 * X.T @ error * 2 / 24)
    np.testing.assert_allclose(model.layers[0].bias, bias - 0.1 * 2 * error.mean(0))


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_a_batch_is_reported_alone(method):
    model = make([Dense(1)], "sgd")
    getattr(model, method)(X[:8], Y[:8])
    error = model.predict(X[8:12], verbose=0) - Y[8:12]
    second = getattr(model, method)(X[8:12], Y[8:12], return_dict=True)

    np.testing.assert_allclose(second["loss"], np.mean(error**2))
    np.testing.assert_allclose(second["mae"], np.mean(np.abs(error)))
    assert model.get_metrics_result() == second
    model.reset_metrics()
    assert model.get_metrics_result() == {"loss": 0.0, "mae": 0.0}


@pytest.mark.parametrize("before", ["fit", "evaluate", "train_on_batch", "compute_metrics"])
def test_sums_of_what_came_before_do_not_leak_into_a_batch(before):
    def compute_metrics(model):
        model.test_on_batch(X[:8], Y[:8])
        model.compute_metrics(X, Y, Y + 100)

    model = make([Dense(1)], "sgd")
    {
        "fit": lambda: model.fit(X, Y, 8, verbose=0),
        "evaluate": lambda: model.evaluate(X, Y + 100, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(X, Y + 100),
        "compute_metrics": lambda: compute_metrics(model),
    }[before]()

    np.testing.assert_allclose(
        model.test_on_batch(X[:8], Y[:8]), model.evaluate(X[:8], Y[:8], verbose=0)
    )


def test_a_batch_within_a_run_leaves_the_sums_of_the_epoch_alone():
    class Probe(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.test_on_batch(X, Y + 100)

    alone, probed = linear(), linear()
    expected = alone.fit(X, Y, 8, epochs=2, verbose=0).history

    assert probed.fit(X, Y, 8, epochs=2, verbose=0, callbacks=[Probe()]).history == expected


def test_metrics_keep_what_the_last_evaluation_has_found():
    model = make([Dense(1)])
    model.test_on_batch(X[:8], Y[:8])
    found = model.evaluate(X, Y, verbose=0, return_dict=True)

    assert model.get_metrics_result() == found


def test_weights_of_a_batch_count():
    model = linear()
    w = np.where(np.arange(24) < 6, 1.0, 0.0)
    loss = model.test_on_batch(X, Y, sample_weight=w)[0]

    np.testing.assert_allclose(loss, np.mean(w * (model.predict(X, verbose=0) - Y)[:, 0] ** 2))


# ------------------------------------------------------------------ masks


def tokens(rng=RNG):
    x = rng.integers(1, 9, size=(6, 5))
    for row, length in zip(x, (5, 3, 1, 4, 5, 2), strict=True):
        row[length:] = 0
    return x


def sequence_model(head, **options):
    bp.utils.set_random_seed(4)
    model = bp.Sequential(
        [bp.Input((5,), dtype="int32"), Embedding(9, 4, mask_zero=True), *head], dtype="float64"
    )
    model.compile("sgd", "mse", metrics=["mae"], **options)
    return model


def test_padding_counts_neither_in_the_loss_nor_in_metrics():
    model = sequence_model([LSTM(3, return_sequences=True), Dense(1)])
    x, y = tokens(), RNG.normal(size=(6, 5, 1))
    real = x != 0
    error = (model.predict(x, verbose=0) - y)[..., 0]
    loss, mae = model.evaluate(x, y, verbose=0)

    np.testing.assert_allclose(loss, np.mean(error[real] ** 2))
    np.testing.assert_allclose(mae, np.mean(np.abs(error[real])))


def test_targets_of_padding_do_not_move_the_weights():
    x, y = tokens(), RNG.normal(size=(6, 5, 1))
    other = np.where((x != 0)[..., None], y, 1e3)
    models = [sequence_model([LSTM(3, return_sequences=True), Dense(1)]) for _ in range(2)]
    runs = [
        m.fit(x, t, 3, epochs=2, verbose=0).history for m, t in zip(models, (y, other), strict=True)
    ]

    assert runs[0] == runs[1]
    assert_same(*models)


def test_masks_reach_the_last_step_of_a_recurrent_layer():
    model = sequence_model([LSTM(3), Dense(1)])
    x = tokens()
    y = model.predict(x, verbose=0)
    for row, expected in zip(x, y, strict=True):
        alone = model.predict(np.pad(row[row != 0], (0, 5))[None, :5], verbose=0)

        np.testing.assert_allclose(alone[0], expected, rtol=1e-12)
    longer = sequence_model([LSTM(3), Dense(1)])
    assert longer.predict(np.where(x == 0, 0, x), verbose=0).shape == (6, 1)


def test_a_masked_model_is_certified():
    model = sequence_model([LSTM(3, return_sequences=True), Dense(1)])
    report = gradcheck(model, tokens(), RNG.normal(size=(6, 5, 1)))

    assert report, str(report)


# ------------------------------------------------------------------ penalties


def penalised():
    return [
        Dense(5, "tanh", kernel_regularizer=bp.regularizers.L2(0.3), bias_regularizer="l1"),
        Dense(4, "tanh", activity_regularizer=bp.regularizers.L2(0.2)),
        Dense(1, kernel_regularizer=bp.regularizers.L1L2(0.05, 0.1)),
    ]


def test_penalties_are_part_of_the_reported_loss():
    model = make(penalised(), "sgd")
    first, second, last = model.layers
    first.bias = [0.1, -0.2, 0.3, -0.4, 0.5]
    hidden = second(first(X))
    expected = (
        np.mean((last(hidden) - Y) ** 2)
        + 0.3 * np.sum(first.kernel**2)
        + 0.01 * 1.5
        + 0.2 * np.sum(hidden**2) / 24
        + 0.05 * np.sum(np.abs(last.kernel))
        + 0.1 * np.sum(last.kernel**2)
    )

    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0)[0], expected)
    np.testing.assert_allclose(model.test_on_batch(X, Y)[0], expected)
    np.testing.assert_allclose(model.fit(X, Y, 24, verbose=0).history["loss"], expected)


def test_gradients_of_penalties_are_certified():
    model = make([*penalised()[:2], Dropout(0.2), BatchNormalization(), penalised()[2]], "sgd")
    model.layers[0].bias = [0.1, -0.2, 0.3, -0.4, 0.5]  # an l1 penalty has a kink at 0
    report = gradcheck(model, X, Y)

    assert report, str(report)
    assert len(report.entries) == 9  # kernels, biases, gamma, beta and x


def test_the_trainer_sets_the_gradients_that_are_certified():
    model = make(penalised(), "sgd")
    model.layers[0].bias = [0.1, -0.2, 0.3, -0.4, 0.5]
    model.test_on_batch(X, Y)
    model.trainer.gradients(X, Y)
    values, gradient = model.parameters.values, model.parameters.gradients.copy()
    v = RNG.normal(size=values.size)
    losses = []
    for h in (1e-5, -1e-5):
        values += h * v
        losses.append(model.evaluate(X, Y, batch_size=24, verbose=0)[0])
        values -= h * v

    np.testing.assert_allclose((losses[0] - losses[1]) / 2e-5, gradient @ v, rtol=1e-7)


# ------------------------------------------------------------------ optimizers in the loop


def test_accumulated_batches_are_one_large_batch():
    accumulated = linear(bp.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3))
    large = linear(bp.optimizers.SGD(0.1, momentum=0.9))
    accumulated.fit(X, Y, 4, epochs=3, shuffle=False, verbose=0)
    large.fit(X, Y, 12, epochs=3, shuffle=False, verbose=0)

    assert_close(accumulated, large)
    assert accumulated.optimizer.iterations == large.optimizer.iterations == 6


def test_a_run_ends_with_the_averages():
    model = linear(bp.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8))
    seen = []
    note = LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0])
    )
    model.fit(X, Y, 8, epochs=2, verbose=0, callbacks=[note])

    average = seen[0]
    for kernel in seen[1:]:
        average = 0.8 * average + 0.2 * kernel
    np.testing.assert_allclose(model.layers[0].kernel, average)
    assert not np.allclose(average, seen[-1])


# ------------------------------------------------------------------ L-BFGS


def smooth(optimizer, **options):
    return make([Dense(8, "tanh"), Dense(1)], optimizer, **options)


def test_lbfgs_gets_far_in_a_few_epochs():
    model, sgd = smooth("lbfgs"), smooth("sgd")
    history = model.fit(X, Y, epochs=30, verbose=0).history
    plain = sgd.fit(X, Y, epochs=30, verbose=0).history

    assert history["loss"][-1] < 0.05 * plain["loss"][-1]
    assert all(a >= b for a, b in itertools.pairwise(history["loss"]))
    loss, mae = model.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose([history["loss"][-1], history["mae"][-1]], [loss, mae])


@pytest.mark.parametrize("size", [1, 5, 24])
def test_lbfgs_adds_up_batches_to_the_whole(size):
    model = smooth("lbfgs")
    history = model.fit(
        X, Y, size, epochs=5, verbose=0, sample_weight=np.linspace(0, 2, 24)
    ).history
    expected = smooth("lbfgs")
    whole = expected.fit(X, Y, epochs=5, verbose=0, sample_weight=np.linspace(0, 2, 24)).history

    assert_close(model, expected, 1e-8)
    np.testing.assert_allclose(history["loss"], whole["loss"], rtol=1e-8)


def test_lbfgs_takes_batches_penalties_and_validation():
    layers = penalised()
    model = make(layers, "lbfgs")
    batches = [(X[:10], Y[:10]), (X[10:], Y[10:])]
    history = model.fit(batches, epochs=4, verbose=0, validation_data=(X[:5], Y[:5])).history

    assert history.keys() == {"loss", "mae", "val_loss", "val_mae"}
    np.testing.assert_allclose(history["loss"][-1], model.evaluate(batches, verbose=0)[0])


def test_lbfgs_calls_the_hooks_of_an_epoch_in_pairs_and_stops_when_told():
    events = []

    class Note(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            events.append(("begin", epoch))

        def on_epoch_end(self, epoch, logs=None):
            events.append(("end", epoch))
            self.model.stop_training = epoch == stop

    stop = 2
    history = smooth("lbfgs").fit(X, Y, epochs=9, verbose=0, callbacks=[Note()])
    pairs = [(what, epoch) for epoch in range(3) for what in ("begin", "end")]
    assert events == pairs
    assert history.epoch == [0, 1, 2]

    events.clear()
    stop = None
    exact = make([Dense(1)], "lbfgs")  # a parabola: its floor is reached long before
    history = exact.fit(X, X @ np.ones((3, 1)), epochs=500, verbose=0)
    assert len(history.epoch) < 50
    assert events == [] or events[-1][0] == "end"


def test_lbfgs_starts_no_epoch_where_nothing_is_left_to_do():
    events = []
    note = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: events.append("begin"),
        on_epoch_end=lambda epoch, logs: events.append("end"),
    )
    model = make([Dense(1)], "lbfgs")
    model.fit(X, X @ np.ones((3, 1)), epochs=100, verbose=0, callbacks=[note])

    assert events.count("begin") == events.count("end") > 0


@pytest.mark.parametrize(
    "arguments, loss, message",
    [
        ((X, Y, None, {"steps_per_epoch": 2}), "mse", "leave out steps_per_epoch=2"),
        ((iter([(X, Y)]), None, None, {}), "mse", "an iterator is read once: give arrays"),
        ((X, Y, 5, {}), bp.losses.MeanSquaredError(reduction="sum"), "give all data as one batch"),
    ],
)
def test_lbfgs_refuses_what_it_cannot_do(arguments, loss, message):
    x, y, size, options = arguments
    model = smooth("lbfgs", loss=loss)
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, size, verbose=0, **options)
    with pytest.raises(ValueError, match=r"needs all data at once: use fit\(\)"):
        model.train_on_batch(X, Y)


# ------------------------------------------------------------------ numbers that go bad


def test_a_bad_loss_names_the_first_bad_tensor_once():
    model = make([Dense(4, "tanh"), Dropout(0.5), Dense(1)])
    model.layers[2].kernel[1] = np.nan
    with pytest.warns(RuntimeWarning) as caught:
        model.fit(X, Y, 8, epochs=2, verbose=0)

    assert len(caught) == 1
    assert re.fullmatch(
        "the loss became nan in step 1 of epoch 1: the weight dense_1/kernel holds NaN or infinity "
        r"\(1 NaN of 4, the others from -?0\.\d+ to 0\.\d+\); a smaller learning rate or clipnorm "
        "may help",
        str(caught[0].message),
    )


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_an_overflow_is_found_in_the_layer_that_has_it():
    model = make(
        [Dense(4, "tanh"), Activation("exponential"), Dense(1), Activation("exponential"), Dense(1)]
    )
    model.layers[2].kernel[...] = 500.0
    with pytest.warns(RuntimeWarning, match="the loss became (nan|inf) in step 1") as caught:
        model.train_on_batch(X, Y)

    messages = [str(w.message) for w in caught if "the loss" in str(w.message)]
    assert "the output of layer 3, Activation('exponential'), is the first" in messages[0]


def test_looking_for_a_bad_tensor_changes_nothing():
    """Generators and running means go on as they would have."""
    models = [make([Dense(4), BatchNormalization(), Dropout(0.5), Dense(1)]) for _ in range(2)]
    models[0].trainer._warned = True  # does not look
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for model in models:
            model.layers[3].kernel[...] = 1e308  # finite, and what it makes is not
            model.train_on_batch(X, Y)

    assert sum("the output of layer 3" in str(w.message) for w in caught) == 1
    states = [model.layers[2].rng.bit_generator.state for model in models]
    assert states[0] == states[1]
    np.testing.assert_array_equal(models[0].layers[1].moving_mean, models[1].layers[1].moving_mean)


# ------------------------------------------------------------------ interrupted runs


class Interrupted(Exception):
    pass


def interrupt_after(batches):
    left = itertools.count(1)

    def count(batch, logs):
        if next(left) == batches:
            raise Interrupted

    return LambdaCallback(on_train_batch_end=count)


OPTIMIZERS = {
    "sgd": lambda: bp.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: bp.optimizers.Adam(0.05, amsgrad=True),
    "adam with a schedule": lambda: bp.optimizers.Adam(
        bp.optimizers.schedules.ExponentialDecay(0.05, 3, 0.7)
    ),
    "averages": lambda: bp.optimizers.Nadam(0.05, use_ema=True, ema_overwrite_frequency=4),
    "accumulation": lambda: bp.optimizers.RMSprop(0.05, gradient_accumulation_steps=3),
    "adadelta": lambda: bp.optimizers.Adadelta(),
    "lion": lambda: bp.optimizers.Lion(0.01),
}


def noisy():
    shared = Dense(6, "tanh")
    return [
        Dense(6),
        BatchNormalization(),
        Dropout(0.3),
        shared,
        Dropout(0.2, seed=7),
        shared,
        Dense(1),
    ]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("batches", [5, 9, 11])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, optimizer, batches):
    """Whether it ended in the middle of an epoch (of 4 batches) or after its last batch."""

    def fit(model, *callbacks):
        return model.fit(
            X, Y, 5, epochs=4, verbose=0, validation_split=0.2, callbacks=list(callbacks),
            sample_weight=np.where(Y[:, 0] > 0, 1.0, 2.0),
        )  # fmt: skip

    whole = make(noisy(), optimizer(), weighted_metrics=["mse"])
    expected = fit(whole)
    with pytest.raises(Interrupted):
        fit(
            make(noisy(), optimizer(), weighted_metrics=["mse"]),
            interrupt_after(batches),
            BackupAndRestore(tmp_path / "b", save_freq=1),
        )
    resumed = make(
        noisy(), optimizer(), weighted_metrics=["mse"], seed=99
    )  # nothing of its own is left
    history = fit(resumed, BackupAndRestore(tmp_path / "b", save_freq=1))

    assert_same(resumed, whole)
    assert history.history == expected.history
    assert resumed.optimizer.iterations == whole.optimizer.iterations
    # and what comes after goes on alike
    assert fit(resumed).history == fit(whole).history
    assert_same(resumed, whole)


@pytest.mark.parametrize("kind", ["sequence", "some steps", "an index", "a loader"])
def test_other_models_and_data_resume_too(tmp_path, kind):
    def fit(*callbacks):
        options, x, y = {"batch_size": 4}, X, Y
        model = make(noisy())
        if kind == "sequence":
            model = sequence_model(
                [LSTM(3, dropout=0.3, recurrent_dropout=0.3), Dropout(0.2), Dense(1)]
            )
            x, y = np.tile(tokens(np.random.default_rng(3)), (4, 1)), Y
        elif kind == "some steps":
            options |= {"steps_per_epoch": 2}
        else:
            batches = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 24, 4)]
            x, y, options = batches, None, {}
            if kind == "a loader":
                x = type("Loader", (), {"__iter__": lambda self: iter(batches)})()
        history = model.fit(x, y, epochs=4, verbose=0, callbacks=list(callbacks), **options)
        return model, history.history

    whole, expected = fit()
    with pytest.raises(Interrupted):
        fit(interrupt_after(5), BackupAndRestore(tmp_path / "b", save_freq=1))
    resumed, history = fit(BackupAndRestore(tmp_path / "b"))

    assert_same(resumed, whole)
    assert history == expected


SCRIPT = """
    import os, signal, sys
    import numpy as np
    import backprop as bp
    from backprop.callbacks import BackupAndRestore, Callback

    folder, kill = sys.argv[1], sys.argv[2]
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, size=40)
    model = bp.Sequential([
        bp.layers.Dense(8, "relu"), bp.layers.BatchNormalization(), bp.layers.Dropout(0.4),
        bp.layers.Dense(3),
    ])
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])

    class Kill(Callback):
        runs_last = True

        def on_train_batch_end(self, batch, logs=None):
            if kill == "batch" and (self.model.optimizer.iterations, batch) == (13, 2):
                os.kill(os.getpid(), signal.SIGKILL)

        def on_epoch_end(self, epoch, logs=None):
            if kill == "epoch" and epoch == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    history = model.fit(
        x, y, batch_size=8, epochs=5, verbose=0, validation_split=0.1,
        callbacks=[BackupAndRestore(folder, save_freq="epoch" if kill == "epoch" else 4), Kill()],
    )
    np.savez(folder + ".npz", *model.get_weights(), **history.history)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("moment", ["batch", "epoch"])
def test_a_killed_process_resumes_bit_for_bit(tmp_path, moment):
    script = textwrap.dedent(SCRIPT)

    def run(folder, kill):
        command = [sys.executable, "-c", script, str(tmp_path / folder), kill]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    assert run("whole", "never").returncode == 0
    assert run("killed", moment).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    again = run("killed", "never")
    assert again.returncode == 0, again.stderr

    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as resumed:
        assert sorted(whole) == sorted(resumed)
        for name in whole:
            np.testing.assert_array_equal(resumed[name], whole[name])
    assert not (tmp_path / "killed").exists()


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path):
    model, other = make(noisy()), make([Dense(2), Dense(1)])
    for m in (model, other):
        m.fit(X, Y, verbose=0)
    save_checkpoint(other, tmp_path / "c.npz", 3, 2)
    before, results = model.get_weights(), model.trainer.results()

    with pytest.raises(ValueError, match="weights of"):
        load_checkpoint(model, tmp_path / "c.npz")

    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.trainer.results() == results


def test_a_checkpoint_of_another_optimizer_or_other_metrics_changes_nothing(tmp_path):
    def trained(optimizer, metrics):
        model = make([Dense(1)], optimizer, metrics=metrics)
        model.fit(X, Y, verbose=0)
        return model

    save_checkpoint(trained("adam", ["mae"]), tmp_path / "c.npz", 1, 0)
    for model in (trained("sgd", ["mae"]), trained("adam", ["mae", "mse"]), trained("adam", [])):
        before, results = model.get_weights(), model.trainer.results()
        moments = {k: np.copy(v) for k, v in model.optimizer.get_state().items()}
        with pytest.raises(ValueError, match=r"cannot take up this state|run with the metrics"):
            load_checkpoint(model, tmp_path / "c.npz")

        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        assert model.trainer.results() == results
        np.testing.assert_equal(model.optimizer.get_state(), moments)


class Looking(Layer):
    """y = x; notes whether BLAS is held meanwhile, and fails on a large number."""

    def __init__(self, divides_batches):
        super().__init__()
        self.divides_batches = divides_batches
        self.seen = set()

    def forward(self, x, ctx=None):
        self.seen.add(blas().is_held)
        if x.max() > 1e6:
            raise ArithmeticError("too large")
        return x, None

    def backward(self, dy, cache):
        self.seen.add(blas().is_held)
        return dy


@pytest.mark.parametrize("divides", [False, True])
def test_blas_is_held_for_whole_steps_where_a_layer_has_threads(divides):
    look = Looking(divides)
    model = make([look, Dense(1)])

    for run in (model.fit, model.evaluate, lambda x, y, verbose: model.predict(x, verbose=verbose)):
        look.seen.clear()
        run(X, Y, verbose=0)
        assert look.seen == {divides}

    with pytest.raises(ArithmeticError):
        model.predict(np.full_like(X, 1e7), verbose=0)
    assert not blas().is_held


def test_blas_has_its_threads_where_there_is_nothing_to_divide():
    look = Looking(True)
    model = make([look, Dense(1)])
    for ask in (model.predict_on_batch, lambda x: model.predict(x, verbose=0)):
        for rows in (1, 1, 2):  # the second time of rows that are known
            look.seen.clear()
            ask(X[:rows])
            assert look.seen == {rows > 1}


# ------------------------------------------------------------------ stateful models


def series(n):
    return np.ones((n, 2, 1)), np.ones((n, 2))


def stateful(layer=None):
    bp.utils.set_random_seed(0)
    layer = layer or LSTM(2, stateful=True)
    model = bp.Sequential([bp.Input(batch_shape=(2, None, 1)), layer])
    model.compile("sgd", "mse")
    return model


INCOMPLETE = {
    "fit": (lambda m: m.fit(*series(5), batch_size=2, verbose=0), "batch 3 of fit"),
    "too large": (lambda m: m.fit(*series(6), batch_size=3, verbose=0), "batch 1 of fit"),
    "some steps": (
        lambda m: m.fit(*series(5), steps_per_epoch=2, epochs=2, verbose=0),
        "batch 3 of fit",
    ),
    "validation": (
        lambda m: m.fit(*series(4), validation_data=series(3), verbose=0),
        "validation_data: .* batch 2 of",
    ),
    "a split": (
        lambda m: m.fit(*series(7), validation_split=0.4, verbose=0),
        "validation_data: .* batch 2 of",
    ),
    "a list": (lambda m: m.fit([series(2), series(1)], verbose=0), "batch 2 of fit"),
    "a list to validate": (
        lambda m: m.fit([series(2)], validation_data=[series(2), series(3)], verbose=0),
        "validation_data: .* batch 2 of",
    ),
    "evaluate": (lambda m: m.evaluate(*series(5), verbose=0), "batch 3 of evaluate"),
    "predict": (lambda m: m.predict(series(5)[0], verbose=0), "batch 3 of predict"),
    "predict in fours": (
        lambda m: m.predict(series(4)[0], batch_size=4, verbose=0),
        "batch 1 of predict",
    ),
}


@pytest.mark.parametrize("case", INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_batch_of_a_stateful_model_is_found_before_the_first_step(case):
    use, where = case
    model = stateful()
    before = model.get_weights()
    carry = model.layers[0].carry.copy()
    with pytest.raises(ValueError, match=f"{where}.* would have . *: give batch_size=2"):
        use(model)

    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.layers[0].carry, carry)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("layer", ["Bidirectional", "GRU", "chain"])
def test_stateful_layers_are_found_wherever_they_are(layer):
    made = {
        "Bidirectional": lambda: bp.layers.Bidirectional(LSTM(1, stateful=True)),
        "GRU": lambda: bp.layers.GRU(2, stateful=True),
        "chain": lambda: bp.layers.Chain([LSTM(2, stateful=True)]),
    }[layer]()
    with pytest.raises(ValueError, match="every batch has 2 rows, and batch 3 of fit"):
        stateful(made).fit(*series(5), batch_size=2, verbose=0)


def test_batches_of_a_stateful_model_have_its_size_unless_told_otherwise():
    x, y = series(6)
    model, told = stateful(), stateful()
    model.fit(x, y, shuffle=False, verbose=0)
    told.fit(x, y, batch_size=2, shuffle=False, verbose=0)

    assert_same(model, told)
    assert model.predict(x, verbose=0).shape == (6, 2)
    assert model.evaluate(x, y, verbose=0) > 0
    assert model.fit(*series(5), steps_per_epoch=2, verbose=0).history["loss"]
    assert model.predict(series(5)[0], steps=2, batch_size=2, verbose=0).shape == (4, 2)


# ------------------------------------------------------------------ no argument is ignored


@pytest.mark.parametrize(
    "option", [{"validation_steps": 2}, {"validation_batch_size": 4}, {"validation_freq": 2}]
)
def test_options_of_a_validation_without_one_are_warned_of(option):
    (name,) = option
    with pytest.warns(UserWarning, match=f"{name}=. does nothing: give fit\\(\\) validation_data"):
        linear().fit(X, Y, verbose=0, **option)


def test_callbacks_of_a_trainer_hear_of_every_run():
    heard = []
    model = linear()
    model.trainer.callbacks = [
        LambdaCallback(on_train_begin=lambda logs: heard.append("train")),
    ]
    model.trainer.callbacks[0].on_test_begin = lambda logs=None: heard.append("test")
    model.trainer.callbacks[0].on_predict_begin = lambda logs=None: heard.append("predict")
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)

    assert heard == ["train", "test", "predict"]


def small_model():
    return bp.Sequential([bp.Input((3,)), bp.layers.Dense(4, "relu"), bp.layers.Dense(2)])


def test_a_second_prediction_of_such_rows_is_the_first_ones_equal():
    model, x = small_model(), np.random.default_rng(0).standard_normal((5, 3)).astype("float32")

    first = model.predict(x, verbose=0)

    np.testing.assert_array_equal(model.predict(x, verbose=0), first)
    np.testing.assert_array_equal(model.predict(x[:2], verbose=0), model.predict_on_batch(x[:2]))
    np.testing.assert_array_equal(model.predict(x, batch_size=5, verbose=0), first)


def test_what_was_found_out_about_rows_is_forgotten_with_the_model_that_it_was_of():
    model, x = small_model(), np.ones((2, 3), "float32")
    model.predict(x, verbose=0)

    model.add(bp.layers.Dense(7))

    assert model.predict(x, verbose=0).shape == (2, 7)
    model.pop()
    assert model.predict(x, verbose=0).shape == (2, 2)


def test_a_known_model_still_refuses_what_does_not_fit():
    model, x = small_model(), np.ones((2, 3), "float32")
    for _ in range(2):
        model.predict(x, verbose=0)

        with pytest.raises(ValueError, match=r"built for inputs of shape"):
            model.predict(np.ones((2, 4), "float32"), verbose=0)
        with pytest.raises(ValueError, match="NaN"):
            model.predict(np.full((2, 3), np.nan, "float32"), verbose=0)


def test_callbacks_hear_of_a_prediction_of_known_rows():
    model, x, heard = small_model(), np.ones((2, 3), "float32"), []
    model.predict(x, verbose=0)
    listener = bp.callbacks.LambdaCallback()
    listener.on_predict_batch_end = lambda batch, logs=None: heard.append(batch)

    model.predict(x, verbose=0, callbacks=[listener])

    assert heard == [0]


def test_a_prediction_is_in_pieces_of_one_size():
    model, sizes = small_model(), []
    listener = bp.callbacks.LambdaCallback()
    listener.on_predict_batch_end = lambda batch, logs: sizes.append(len(logs["outputs"]))
    x = np.ones((10_001, 3), "float32")

    y = model.predict(x, verbose=0, callbacks=[listener])

    assert sizes == [3334, 3334, 3333]
    assert len(y) == len(x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("order", ["C", "F"])
def test_one_bad_number_among_many_is_found(bad, order):
    x = np.full((300, 3), 3e30, "float32", order=order)  # whose squares are infinite, and they not
    model = small_model()
    model.predict(x, verbose=0)
    x[200, 1] = bad

    with pytest.raises(ValueError, match="in row 200"):
        model.predict(x, verbose=0)


def test_a_stateful_model_counts_the_rows_of_each_prediction():
    model = bp.Sequential([bp.Input(batch_shape=(2, 4, 3)), bp.layers.GRU(5, stateful=True)])
    model.predict(np.ones((2, 4, 3), "float32"), verbose=0)

    with pytest.raises(ValueError, match="every batch has 2 rows"):
        model.predict(np.ones((1, 4, 3), "float32"), verbose=0)
