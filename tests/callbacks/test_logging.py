"""CSVLogger, TerminateOnNaN and LambdaCallback."""

import math

import numpy as np
import pytest

from backprop.callbacks import CallbackList, CSVLogger, LambdaCallback, TerminateOnNaN

RUNS = {
    "no validation": [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.75}],
    "with validation": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.5}],
    "validation later": [{"loss": 1.0}, {"loss": 0.5, "val_loss": 1.5}],
    "a missing value": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5}],
    "a new value": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.0, "new": 3.0}],
    "arrays": [{"loss": 1.0, "iou": np.array([0.25, 0.5]), "n": np.array(3.0)}],
    "text": [{"loss": 1.0, "note": 'a,"b"'}],
    "nothing": [{}, {}],
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("separator", [",", ";"])
def test_the_file_is_what_keras_writes(kind, separator, tmp_path, fake_model):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"

    fake_model().train([CSVLogger(ours, separator)], RUNS[kind])
    fake_model().train([keras.callbacks.CSVLogger(theirs, separator)], RUNS[kind])

    assert ours.read_bytes() == theirs.read_bytes()


def test_appending_goes_on_in_the_columns_of_the_file(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    fake_model().train([CSVLogger(path, append=True)], [{"loss": 1.0, "val_loss": 2.0}])
    fake_model().train([CSVLogger(path, append=True)], [{"accuracy": 0.5, "loss": 0.5}])

    assert path.read_text().split() == ["epoch,loss,val_loss", "0,1.0,2.0", "0,0.5,NA"]


def test_without_append_the_file_is_overwritten_when_training_begins(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    logger = CSVLogger(path)
    fake_model().train([logger], [{"loss": 1.0}] * 5)
    fake_model().train([logger], [{"other": 3.0}])

    assert path.read_text().split() == ["epoch,other,val_other", "0,3.0,NA"]


def test_each_row_is_in_the_file_when_its_epoch_ends(tmp_path):
    logger = CSVLogger(tmp_path / "a" / "log.csv")
    logger.on_train_begin()
    for epoch in range(3):
        logger.on_epoch_end(epoch, {"loss": 1.0})

        assert len((tmp_path / "a" / "log.csv").read_text().splitlines()) == epoch + 2


def test_a_file_that_cannot_be_written_is_an_error_before_training(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        CSVLogger(tmp_path).on_train_begin()


def test_a_separator_is_one_character():
    with pytest.raises(ValueError, match="one character and got '::'"):
        CSVLogger("log.csv", separator="::")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run(loss, fake_model, capsys):
    model = fake_model()
    run = CallbackList([TerminateOnNaN()], model=model, epochs=1, verbose=0)
    run.on_train_batch_end(2, {"loss": 1e300})
    assert not model.stop_training

    run.on_train_batch_end(3, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n"


def test_a_loss_that_is_no_number_raises_if_asked(fake_model):
    run = CallbackList([TerminateOnNaN(raise_error=True)], model=fake_model())

    with pytest.raises(RuntimeError, match="the loss is nan after batch 7"):
        run.on_train_batch_end(7, {"loss": math.nan})


def test_functions_of_every_hook_are_called():
    seen = []
    run = CallbackList(
        [
            LambdaCallback(
                on_epoch_begin=lambda epoch, logs: seen.append(("epoch", epoch)),
                on_train_begin=lambda logs: seen.append("begin"),
                on_train_batch_begin=lambda batch, logs: seen.append(("batch", batch)),
                on_train_batch_end=None,
                on_test_batch_end=lambda batch, logs: seen.append(("test", batch, logs)),
                on_predict_begin=lambda logs: seen.append("predict"),
            )
        ]
    )
    run.on_train_begin()
    run.on_epoch_begin(4)
    run.on_train_batch_begin(5)
    run.on_train_batch_end(5)
    run.on_test_batch_end(6, {"loss": 1.0})
    run.on_predict_begin()

    assert seen == ["begin", ("epoch", 4), ("batch", 5), ("test", 6, {"loss": 1.0}), "predict"]
    assert not run.listens_to("on_train_batch_end")


def test_a_misspelt_hook_names_the_nearest():
    with pytest.raises(TypeError, match="did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)


def test_a_hook_that_is_no_function_is_an_error():
    with pytest.raises(TypeError, match="expects a function for on_epoch_end and got 3"):
        LambdaCallback(on_epoch_end=3)
