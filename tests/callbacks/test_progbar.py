"""The progress bar on a terminal, in a notebook and in a pipe."""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import tty
from contextlib import suppress

import pytest

from backprop import Input, Sequential, config
from backprop.callbacks import CallbackList, ModelCheckpoint, Progbar, ProgbarLogger, progbar
from backprop.callbacks.console import say
from backprop.layers import Dense


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progbar, "perf_counter", clock)
    return clock


class Terminal:
    """A pseudo-terminal of some width, and what stands on it."""

    def __init__(self, monkeypatch, width=80, encoding="utf-8"):
        self.master, slave = pty.openpty()
        tty.setraw(slave)  # bytes arrive as they were written
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.set_blocking(self.master, False)
        self.encoding = encoding
        self.stream = os.fdopen(slave, "w", encoding=encoding)
        self.written = ""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", self.stream)

    def read(self):
        """What was written since the last time."""
        new = b""
        with suppress(BlockingIOError):
            while True:
                new += os.read(self.master, 1 << 16)
        new = new.decode(self.encoding)
        self.written += new
        return new

    def screen(self):
        """The lines as a reader sees them."""
        self.read()
        return on_screen(self.written)

    def close(self):
        self.stream.close()
        os.close(self.master)


def on_screen(written):
    """Play carriage returns and line feeds."""
    lines, column = [[]], 0
    for character in written:
        if character == "\r":
            column = 0
        elif character == "\n":
            lines.append([])
            column = 0
        else:
            lines[-1][column : column + 1] = character
            column += 1
    return ["".join(line).rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch):
    opened = []

    def open_terminal(**options):
        opened.append(Terminal(monkeypatch, **options))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def notebook(monkeypatch):
    """Output as Jupyter's kernel has it: known by its class' module."""
    kind = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    stream = kind()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def train(clock, epochs=2, steps=4, seconds=0.5, known=True, verbose=1, callbacks=(), model=None):
    run = CallbackList(
        list(callbacks),
        add_progbar=True,
        model=model,
        epochs=epochs,
        steps=steps if known else None,
        verbose=verbose,
    )
    run.on_train_begin()
    for epoch in range(epochs):
        run.on_epoch_begin(epoch)
        for batch in range(steps):
            run.on_train_batch_begin(batch)
            clock.now += seconds
            run.on_train_batch_end(batch, lambda n=batch: {"loss": 1 / (n + 1), "accuracy": 0.5})
        run.on_epoch_end(epoch, {"loss": 0.25, "accuracy": 0.5, "val_loss": 2.0})
    run.on_train_end()


# ---------------------------------------------------------------------------------------- terminal


def test_a_terminal_shows_a_line_an_epoch_rewritten_in_place(clock, terminal):
    screen = terminal(width=100)
    train(clock)

    bar = "━" * 20
    assert screen.screen() == [
        "Epoch 1/2",
        f"4/4 {bar} 2s 500ms/step - accuracy: 0.5000 - loss: 0.2500 - val_loss: 2.0000",
        "Epoch 2/2",
        f"4/4 {bar} 2s 500ms/step - accuracy: 0.5000 - loss: 0.2500 - val_loss: 2.0000",
        "",
    ]


def test_while_it_runs_it_shows_the_time_left_and_the_rate(clock, terminal):
    screen, bar = terminal(), Progbar(200, stateless_metrics=())
    clock.now += 3.0
    bar.update(2, [("loss", 0.5)])

    assert screen.screen() == ["  2/200 ──────────────────── 4:57 2s/step - loss: 0.5000"]

    clock.now += 30
    bar.update(100, [("loss", 1e-5)])
    assert screen.screen() == ["100/200 ━━━━━━━━━━────────── 33s 330ms/step - loss: 1.0000e-05"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0s"), (59.9, "59s"), (60, "1:00"), (3599, "59:59"), (3661, "1:01:01")],
)
def test_times_are_read_like_a_clock(seconds, shown):
    assert progbar.clock(seconds) == shown


def test_it_draws_no_more_often_than_the_interval(clock, terminal):
    screen, bar = terminal(), Progbar(1000, interval=0.05)
    drawn = []
    for step in range(20):
        clock.now += 0.02
        bar.update(step + 1)
        drawn.append(bool(screen.read()))

    assert drawn == [False, False, True] * 6 + [False, False]


def test_the_logs_are_computed_only_when_they_are_drawn(clock, terminal):
    screen = terminal()
    computed = []
    run = CallbackList([ProgbarLogger()], epochs=1, steps=100, verbose=1)
    run.on_epoch_begin(0)
    for batch in range(50):
        clock.now += 0.01
        run.on_train_batch_end(batch, lambda: computed.append(1) or {"loss": 1.0})

    assert 8 <= len(computed) <= 10
    assert screen.screen()[-1].startswith(" ")


def test_a_shorter_line_leaves_nothing_of_a_longer_one(clock, terminal):
    screen, bar = terminal(), Progbar(10, stateless_metrics=())
    clock.now += 1
    bar.update(1, [("loss", 123456.0)])
    clock.now += 1
    bar.update(2, [("loss", 1.0)])

    assert screen.screen() == [" 2/10 ━━━━──────────────── 8s 1s/step - loss: 1.0000"]


@pytest.mark.parametrize("width", [10, 20, 34, 40, 50, 60, 200])
def test_a_line_never_reaches_the_end_of_a_narrow_terminal(clock, terminal, width):
    screen, bar = terminal(width=width), Progbar(10, stateless_metrics=())
    clock.now += 1
    bar.update(5, [("loss", 1.0), ("accuracy", 0.5)])
    (line,) = screen.screen()

    assert len(line) < width
    assert ("━" in line) == (width >= 60)
    assert len(line) <= 74
    assert line.endswith("accuracy: 0.5000" if width >= 60 else "...")


def test_the_last_line_is_whole_even_on_a_narrow_terminal(clock, terminal):
    screen, bar = terminal(width=20), Progbar(10, stateless_metrics=())
    clock.now += 1
    bar.update(10, [("loss", 1.0), ("accuracy", 0.5)])

    assert screen.screen() == ["10/10 1s 100ms/step - loss: 1.0000 - accuracy: 0.5000", ""]


def test_an_unknown_number_of_steps_is_known_in_the_second_epoch(clock, terminal):
    screen = terminal()
    train(clock, known=False, epochs=2)
    first, second = screen.written.split("Epoch 2/2") if screen.read() else ("", "")

    assert "      2/Unknown 1s 500ms/step" in first
    assert "4/4 ━" in first
    assert "2/4 ━" in second


def test_the_rate_counts_the_steps_and_not_the_validation_after_them(clock, terminal):
    screen = terminal()
    run = CallbackList(add_progbar=True, epochs=1, steps=2, verbose=1)
    run.on_train_begin()
    run.on_epoch_begin(0)
    for batch in range(2):
        clock.now += 1
        run.on_train_batch_end(batch, {})
    run.on_test_begin()
    run.on_test_batch_end(0, {})
    clock.now += 8
    run.on_test_end({})
    run.on_epoch_end(0, {})

    assert screen.screen()[0].endswith(" 10s 1s/step")


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_counts_its_own_steps(clock, terminal):
    screen = terminal()
    run = CallbackList(add_progbar=True, epochs=1, steps=1000, verbose=1)
    run.on_epoch_begin(0)
    clock.now += 1
    run.on_train_batch_end(900)

    assert screen.screen()[-1].endswith(" 1:39 1s/step")


def test_an_epoch_that_is_stopped_shows_how_far_it_came(clock, terminal):
    screen = terminal()
    run = CallbackList(add_progbar=True, epochs=1, steps=10, verbose=1)
    run.on_epoch_begin(0)
    clock.now += 1
    run.on_train_batch_end(0, {})
    run.on_epoch_end(0, {})

    assert screen.screen()[0].startswith(" 1/10 ━━──")


def test_a_message_of_another_callback_does_not_run_into_the_bar(
    clock, terminal, tmp_path, fake_model
):
    screen = terminal(width=200)
    saving = ModelCheckpoint(tmp_path / "m.npz", verbose=1)
    train(clock, epochs=1, callbacks=[saving], model=fake_model())
    lines = screen.screen()

    assert lines[1] == f"Epoch 1: saving model to {tmp_path}/m.npz"
    assert lines[2].startswith("4/4 ━")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_a_terminal_that_cannot_show_the_bar_gets_one_in_ascii(clock, terminal, encoding):
    screen, bar = terminal(encoding=encoding), Progbar(4)
    clock.now += 1
    bar.update(1, [("µ→", 1.0)])

    assert screen.screen() == ["1/4 =====............... 3s 1s/step - ??: 1.0000"]


def test_a_dumb_terminal_is_treated_as_a_pipe(clock, terminal, monkeypatch):
    screen = terminal()
    monkeypatch.setenv("TERM", "dumb")
    train(clock, epochs=1)

    assert len(screen.screen()) == 2
    assert "\r" not in screen.written


# ---------------------------------------------------------------------------------------- pipe


def test_a_pipe_gets_one_line_an_epoch_without_control_characters(clock, capsys):
    train(clock)

    line = "4/4 - 2s - 500ms/step - accuracy: 0.5000 - loss: 0.2500 - val_loss: 2.0000"
    assert capsys.readouterr().out == f"Epoch 1/2 - {line}\nEpoch 2/2 - {line}\n"


def test_a_pipe_gets_nothing_before_the_epoch_ends(clock, capsys):
    run = CallbackList(add_progbar=True, epochs=2, steps=100, verbose=1)
    run.on_epoch_begin(0)
    for batch in range(99):
        clock.now += 10
        run.on_train_batch_end(batch, lambda: pytest.fail("nothing is shown, so nothing is due"))

    assert capsys.readouterr().out == ""


def test_a_message_in_a_pipe_has_no_empty_line_before_it(clock, capsys, tmp_path, fake_model):
    saving = ModelCheckpoint(tmp_path / "m.npz", verbose=1)
    train(clock, epochs=1, callbacks=[saving], model=fake_model())

    assert capsys.readouterr().out.startswith("Epoch 1: saving model to")


@pytest.mark.parametrize("on", ["pipe", "terminal"])
def test_verbose_2_is_one_line_an_epoch(clock, capsys, terminal, on):
    screen = terminal() if on == "terminal" else None
    train(clock, epochs=2, verbose=2)
    text = screen.read() if screen else capsys.readouterr().out

    assert re.findall("[^ -~\n]", text) == []
    assert len(text.splitlines()) == 2


def test_verbose_0_is_silent(clock, capsys):
    train(clock, verbose=0)
    Progbar(1, verbose=0).update(1)

    assert capsys.readouterr().out == ""


def test_verbose_auto_is_a_bar(clock, terminal):
    screen = terminal()
    train(clock, epochs=1, verbose="auto")

    assert screen.screen()[0].startswith("4/4 ━")


def test_a_program_without_stdout_trains(clock, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    began = clock.now

    train(clock, epochs=2, steps=4, seconds=0.5)

    assert clock.now == began + 4.0


# ---------------------------------------------------------------------------------------- notebook


def test_a_notebook_gets_a_rewritten_line_at_a_limited_rate(clock, monkeypatch):
    stream = notebook(monkeypatch)
    train(clock, epochs=1, steps=100, seconds=0.01)

    # one second: a drawing each quarter, and the last one
    assert 4 <= stream.getvalue().count("\r") <= 5
    assert on_screen(stream.getvalue())[0].startswith("100/100 ━")
    assert "\b" not in stream.getvalue()


def test_a_file_in_a_notebook_is_a_file(clock, monkeypatch):
    notebook(monkeypatch)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    train(clock, epochs=1)

    assert "\r" not in sys.stdout.getvalue()


# ---------------------------------------------------------------------------------------- values


def test_values_are_averaged_over_the_steps_unless_named(clock, capsys):
    bar = Progbar(4, verbose=2, stateful_metrics=["lr"])
    bar.update(1, [("loss", 4.0), ("lr", 0.5)])
    bar.add(2, [("loss", 1.0), ("lr", 0.25)])
    bar.add(1, [("loss", 2.0), ("lr", 0.125)])

    # (4 + 2 * 1 + 2) / 4
    assert capsys.readouterr().out.endswith("- loss: 2.0000 - lr: 0.1250\n")


def test_with_stateless_metrics_only_those_are_averaged(clock, capsys):
    bar = Progbar(2, verbose=2, stateless_metrics=["loss"])
    bar.update(1, [("loss", 4.0), ("lr", 0.5)])
    bar.update(2, [("loss", 2.0), ("lr", 0.25)])

    assert capsys.readouterr().out.endswith("- loss: 3.0000 - lr: 0.2500\n")


def test_both_kinds_of_metrics_cannot_be_named():
    with pytest.raises(ValueError, match="not both"):
        Progbar(2, stateful_metrics=[], stateless_metrics=[])


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_line_is_that_of_keras(clock, terminal, verbose):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    logs = {"accuracy": 0.98, "loss": 1234.5, "val_accuracy": 0.5, "val_loss": 1e-4, "zero": 0.0}

    def line_of(logger):
        screen = terminal(width=200)
        logger.set_params({"epochs": 1, "steps": 45, "verbose": verbose})
        logger.on_train_begin()
        logger.on_epoch_begin(0)
        for batch in range(45):
            logger.on_train_batch_end(batch, {"accuracy": 0.1, "loss": 1.0})
        logger.on_epoch_end(0, logs)
        text = re.sub("\x1b\\[\\d+m|\b", "", screen.read())
        return re.sub(r"\d+s - \d+\w+/|\d+s \d+\w+/", "TIMES ", on_screen(text)[0])

    ours, theirs = line_of(ProgbarLogger()), line_of(keras.callbacks.ProgbarLogger())

    assert ours == theirs
    assert "TIMES step - accuracy: 0.9800 - loss: 1234.5000 - val_accuracy: 0.5000" in ours


# ---------------------------------------------------------------------------------------- runs


def test_an_evaluation_and_a_prediction_have_bars_of_their_own(clock, capsys):
    for run_name in ("test", "predict"):
        run = CallbackList(add_progbar=True, epochs=1, steps=2, verbose=1)
        getattr(run, f"on_{run_name}_begin")()
        for batch in range(2):
            clock.now += 1
            getattr(run, f"on_{run_name}_batch_end")(batch, {"loss": 1.0})
        getattr(run, f"on_{run_name}_end")({"loss": 1.0})

    assert capsys.readouterr().out == "2/2 - 2s - 1s/step - loss: 1.0000\n2/2 - 2s - 1s/step\n"


# ---------------------------------------------------------------------------------------- a logger


@pytest.fixture
def logged(caplog):
    caplog.set_level("INFO", logger="backprop")
    config.disable_interactive_logging()
    yield caplog
    config.enable_interactive_logging()


def test_without_interactive_logging_a_logger_gets_a_line_an_epoch(clock, terminal, logged):
    screen = terminal(width=100)

    train(clock)

    assert screen.read() == ""
    assert logged.messages == [
        "Epoch 1/2 - 4/4 - 2s - 500ms/step - accuracy: 0.5000 - loss: 0.2500 - val_loss: 2.0000",
        "Epoch 2/2 - 4/4 - 2s - 500ms/step - accuracy: 0.5000 - loss: 0.2500 - val_loss: 2.0000",
    ]


def test_without_interactive_logging_callbacks_and_summaries_are_logged_too(logged, capsys):
    say("stopped", after_bar=True)
    Sequential([Input((2,)), Dense(1)], name="small").summary()

    assert logged.messages[0] == "stopped"  # no new line before it: no bar stands there
    assert "small" in logged.messages[1]
    assert capsys.readouterr().out == ""
