"""The bar of a run in a notebook: IPython's display, told what to show, and a real kernel."""

import io
import itertools
import json
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest

import backprop as bp
from backprop import config
from backprop.callbacks import CallbackList, Progbar, progbar
from backprop.callbacks.cell import MOST_LINES
from backprop.callbacks.console import VOICE, say

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert(1)</script>"


class Display:
    """IPython's, and what stands in the cell."""

    def __init__(self):
        self.cells, self.updates = [], 0

    def __call__(self, data, raw, display_id):
        assert raw and display_id
        self.cells.append(data)
        place = len(self.cells) - 1

        def update(data, raw):
            assert raw
            self.cells[place] = data
            self.updates += 1

        return types.SimpleNamespace(update=update)

    @property
    def texts(self):
        return [data["text/plain"] for data in self.cells]


def notebook_of(monkeypatch):
    """A kernel's stdout and its IPython; not as a fixture, whose stdout pytest would replace."""
    display = Display()
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = types.SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    kind = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    display.stdout, display.shell = kind(), shell
    monkeypatch.setattr(sys, "stdout", display.stdout)
    return display


def model_of():
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


DATA = np.ones((12, 2)), np.ones((12, 1))


def test_a_run_is_one_table_with_a_line_for_each_epoch(monkeypatch):
    notebook = notebook_of(monkeypatch)
    model_of().fit(*DATA, epochs=3, batch_size=4)

    (text,) = notebook.texts
    assert [line.split(" - ")[:2] for line in text.splitlines()] == [
        [f"Epoch {i}/3", "3/3"] for i in (1, 2, 3)
    ]
    assert "mae: " in text and "<progress" not in notebook.cells[0]["text/html"]
    assert notebook.cells[0]["text/html"].count("<tr>") == 3
    assert notebook.stdout.getvalue() == ""


def test_the_bar_moves_at_a_limited_rate_and_is_html(monkeypatch):
    notebook = notebook_of(monkeypatch)
    now = [100.0]
    monkeypatch.setattr(progbar, "perf_counter", lambda: now[0])
    run = CallbackList(add_progbar=True, epochs=2, steps=100, verbose=1)
    run.on_train_begin()
    run.on_epoch_begin(0)
    for batch in range(60):
        now[0] += 0.01
        run.on_train_batch_end(batch, lambda: {EVIL: 0.5})

    html = notebook.cells[0]["text/html"]
    assert '<progress max="100" value="50"></progress>' in html
    assert EVIL not in html and "&lt;script&gt;" in html and "Epoch 1/2" in html
    assert len(notebook.cells) == 1 and notebook.updates == 1  # at 0.25 and 0.5 seconds


def test_each_evaluation_has_a_bar_of_its_own(monkeypatch):
    notebook = notebook_of(monkeypatch)
    model = model_of()
    model.fit(*DATA, epochs=2, verbose=1, validation_data=DATA)
    model.evaluate(*DATA)
    model.predict(DATA[0], verbose=1)

    assert [len(text.splitlines()) for text in notebook.texts] == [2, 1, 1]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_breaks_off_leaves_a_line_that_says_so(error, monkeypatch):
    notebook = notebook_of(monkeypatch)
    monkeypatch.setattr(progbar, "perf_counter", itertools.count(100.0).__next__)

    class Stops(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise error

    with pytest.raises(error):
        model_of().fit(*DATA, batch_size=4, callbacks=[Stops()])

    (text,) = notebook.texts
    assert text.endswith(" - stopped") and "\n" not in text
    assert "<progress" not in notebook.cells[0]["text/html"]


def test_a_long_run_keeps_the_last_lines(monkeypatch):
    notebook = notebook_of(monkeypatch)
    model_of().fit(*DATA, epochs=MOST_LINES + 5)

    lines = notebook.texts[0].splitlines()
    assert lines[0] == "5 lines before" and len(lines) == MOST_LINES + 1
    assert lines[1].startswith("Epoch 6/")


def test_a_message_has_no_empty_line_before_it(monkeypatch):
    notebook = notebook_of(monkeypatch)
    say("a message", after_bar=True)

    assert notebook.stdout.getvalue() == "a message\n"


def test_lines_are_written_where_nothing_can_be_shown(monkeypatch):
    notebook = notebook_of(monkeypatch)
    notebook.shell.kernel = None  # a terminal's IPython
    bar = Progbar(2)
    bar.update(2, [("loss", 1.0)])
    assert notebook.cells == [] and notebook.stdout.getvalue().endswith("loss: 1.0000\n")

    notebook.shell.kernel = object()
    Progbar(2, verbose=2).update(2)
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # a cell's output that is caught
    Progbar(2).update(2)
    monkeypatch.setattr(VOICE, "muted", True)
    monkeypatch.setattr(sys, "stdout", notebook.stdout)
    Progbar(2).update(2)
    assert notebook.cells == []


def test_a_logger_gets_lines_and_the_notebook_nothing(monkeypatch, caplog):
    notebook = notebook_of(monkeypatch)
    config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", "backprop"):
            model_of().fit(*DATA, epochs=2)
    finally:
        config.enable_interactive_logging()

    assert len(caplog.messages) == 2 and notebook.cells == []


def test_ipython_is_not_imported_for_a_bar():
    script = """
        import sys, numpy as np, backprop as bp
        model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)))
        assert "IPython" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=ROOT)


@pytest.mark.slow
def test_a_real_kernel_shows_one_table_for_a_run():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    source = """
        import time, numpy as np, backprop as bp
        model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
        model.compile("sgd", "mse")
        slow = bp.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.01))
        model.fit(np.ones((320, 2)), np.ones((320, 1)), epochs=3, batch_size=8, callbacks=[slow])
    """
    cell = nbformat.v4.new_code_cell(textwrap.dedent(source))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    }

    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=env)

    bar, history = cell.outputs
    assert bar.output_type == "display_data" and history.output_type == "execute_result"
    lines = bar.data["text/plain"].splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert bar.data["text/html"].count("<tr>") == 3 and "<progress" not in bar.data["text/html"]
    assert history.data["text/plain"].startswith("<History of 3 epochs: loss ")
    assert json.dumps(cell.outputs).count("Epoch 1/3") == 2
