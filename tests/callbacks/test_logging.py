"""CSVLogger, TerminateOnNaN and LambdaCallback."""

import csv
import math
import os

import numpy as np
import pytest

from backprop.callbacks import CallbackList, CSVLogger, LambdaCallback, TerminateOnNaN

RUNS = {
    "no validation": [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.75}],
    "with validation": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.5}],
    "validation later": [{"loss": 1.0}, {"loss": 0.5, "val_loss": 1.5}],
    "a missing value": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5}],
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


def lines(path):
    return path.read_text().split()


def test_appending_goes_on_in_the_columns_of_the_file(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    path.write_text("epoch,val_loss,loss\n0,2.0,1.0\n")
    fake_model().train([CSVLogger(path, append=True)], [{"loss": 0.5, "val_loss": 1.5}])

    assert lines(path) == ["epoch,val_loss,loss", "0,2.0,1.0", "0,1.5,0.5"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_the_file_has_no_column_for_becomes_one(separator, tmp_path, fake_model):
    path = tmp_path / "log.csv"
    fake_model().train([CSVLogger(path, separator)], [{"loss": 1.0, "val_loss": 2.0}] * 2)
    second = [{"loss": 0.5, "note": 'a "b", c', "val_loss": 1.0}, {"loss": 0.4, "val_loss": 0.9}]
    fake_model().train([CSVLogger(path, separator, append=True)], second)
    third = [{"accuracy": 0.5, "loss": 0.25, "note": "d", "val_loss": 0.5}]
    fake_model().train([CSVLogger(path, separator, append=True)], third)

    with open(path, newline="") as file:
        assert list(csv.reader(file, delimiter=separator)) == [
            ["epoch", "loss", "val_loss", "note", "accuracy"],
            ["0", "1.0", "2.0", "NA", "NA"],
            ["1", "1.0", "2.0", "NA", "NA"],
            ["0", "0.5", "1.0", 'a "b", c', "NA"],
            ["1", "0.4", "0.9", "NA", "NA"],
            ["0", "0.25", "0.5", "d", "0.5"],
        ]
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_what_comes_later_in_a_run_is_a_column_too(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    logs = [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.0, "new": 3.0}]
    fake_model().train([CSVLogger(path)], logs)

    assert lines(path) == ["epoch,loss,val_loss,new", "0,1.0,2.0,NA", "1,0.5,1.0,3.0"]


def test_a_column_that_an_appended_run_never_fills_is_named(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    fake_model().train([CSVLogger(path)], [{"loss": 1.0, "mae": 3.0, "val_loss": 2.0}])
    logs = [{"loss": 0.5}, {"loss": 0.5, "val_loss": 1.0}]

    with pytest.warns(UserWarning, match=r"this run had no value for mae, of which .*log.csv"):
        fake_model().train([CSVLogger(path, append=True)], logs)

    assert lines(path)[2:] == ["0,0.5,NA,NA", "1,0.5,NA,1.0"]


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "epoch;loss\n0;1.0\n", "0,1.0\n", "epoch,loss,loss\n0,1,1\n", "\n\n"],
)
def test_a_file_of_another_kind_is_not_appended_to(text, tmp_path, fake_model):
    path = tmp_path / "log.csv"
    path.write_text(text)
    logger = CSVLogger(path, append=True)

    with pytest.raises(ValueError, match=r"cannot go on with .*log.csv.*choose another file"):
        fake_model().train([logger], [{"loss": 1.0}])

    assert path.read_text() == text


def test_an_empty_file_is_begun(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    path.touch()
    fake_model().train([CSVLogger(path, append=True)], [{"loss": 1.0, "val_loss": 2.0}])

    assert lines(path) == ["epoch,loss,val_loss", "0,1.0,2.0"]


def test_a_last_line_without_its_end_is_not_continued(tmp_path, fake_model):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.0")
    fake_model().train([CSVLogger(path, append=True)], [{"loss": 0.5}])

    assert lines(path) == ["epoch,loss", "0,1.0", "0,0.5"]


def test_a_run_that_begins_no_epoch_leaves_the_file_alone(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.0\n")
    CSVLogger(path).on_train_begin()

    assert lines(path) == ["epoch,loss", "0,1.0"]


def test_without_append_the_file_is_overwritten(tmp_path, fake_model):
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_that_nobody_reads_is_an_error_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log.csv")

    with pytest.raises(OSError, match=r"log\.csv"):
        CSVLogger(tmp_path / "log.csv").on_train_begin()


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
