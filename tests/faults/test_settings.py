"""Settings that cannot be meant are errors at once, and not in the middle of a run."""

import re

import numpy as np
import pytest

import backprop as bp
from backprop import callbacks, optimizers
from backprop.layers import Dense


def compiled(**options):
    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | options)
    return model


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: compiled(optimizer=None), ValueError, "compile.. expects an optimizer"),
        (lambda: compiled(metrics=[Dense(2)]), TypeError, "metrics to be names"),
        (lambda: compiled(loss_weights=float("nan")), ValueError, "a number as loss_weights"),
        (lambda: compiled(loss_weights=True), ValueError, "a number as loss_weights"),
        (lambda: optimizers.SGD(-0.1), ValueError, r"learning_rate to be in \[0, inf\)"),
        (lambda: Dense(2, use_bias="False"), TypeError, "use_bias to be True or False"),
        (lambda: callbacks.EarlyStopping(baseline="0.5"), TypeError, "baseline to be a number"),
        (lambda: callbacks.EarlyStopping(patience=np.nan), ValueError, "patience of at least 0"),
        (lambda: callbacks.EarlyStopping(min_delta=np.nan), ValueError, "min_delta to be a finite"),
        (lambda: callbacks.ReduceLROnPlateau(patience="1"), ValueError, "patience of at least 0"),
        (lambda: callbacks.CSVLogger("l.csv", append="no"), TypeError, "append to be True or"),
        (
            lambda: callbacks.ModelCheckpoint("c.npz", initial_value_threshold="x"),
            TypeError,
            "initial_value_threshold to be a number",
        ),
        (lambda: callbacks.ModelCheckpoint("c.npz", monitor=3), TypeError, "monitor to be text"),
    ],
)
def test_what_cannot_be_meant_is_an_error_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("found", ["a", None, float("nan"), -1.0])
def test_a_schedule_that_gives_no_rate_is_named(found):
    model = compiled(optimizer=optimizers.SGD(lambda step: found))
    weights = model.get_weights()

    with pytest.raises(ValueError, match=r"learning_rate to be a number in .* its schedule gave"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)

    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))


def test_weights_that_do_not_all_fit_change_nothing():
    model = compiled()
    before = model.get_weights()

    for wrong, error in (("a", TypeError), (2 + 3j, TypeError), ([1.0, 2.0], ValueError)):
        with pytest.raises(error, match=r"dense.*/bias"):
            model.set_weights([before[0] + 1, np.atleast_1d(wrong)])

    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (bp.layers.UpSampling2D(10**9), (8, 8, 1)),
        (bp.layers.ZeroPadding2D(10**9), (8, 8, 1)),
        (bp.layers.Resizing(10**9, 10**9), (8, 8, 1)),
        (bp.layers.RepeatVector(10**15), (8,)),
    ],
)
def test_what_no_memory_holds_is_an_error_before_anything_is_made(layer, shape):
    name = re.escape(repr(layer))
    with pytest.raises(ValueError, match=rf"{name} makes [\d,]+ numbers of one row, an output of"):
        layer(np.ones((1, *shape), np.float32))
    assert not layer.built
    with pytest.raises(ValueError, match=f"{name} makes"):
        bp.Sequential([bp.Input(shape), layer])


def test_names_do_not_steer_a_terminal(capsys):
    name = "\x1b[31mred\r\n"
    model = bp.Sequential([bp.Input((2,)), Dense(1, name="one")])
    metric = bp.metrics.MeanAbsoluteError(name=name)
    model.compile("sgd", "mse", metrics=[metric])

    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=2)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=1)
    bp.callbacks.console.say("\x1b[2J")

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count(r"\x1b[31mred\r\n: ") == 3


def test_a_misspelt_field_of_a_checkpoint_is_found_before_the_first_step(tmp_path):
    model = compiled()
    before = model.get_weights()

    with pytest.raises(KeyError, match=r"cannot fill {epoh}.*did you mean 'epoch'"):
        model.fit(
            np.ones((4, 2)),
            np.ones((4, 1)),
            verbose=0,
            callbacks=[callbacks.ModelCheckpoint(tmp_path / "{epoh}.npz")],
        )

    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
