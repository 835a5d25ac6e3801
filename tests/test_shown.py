"""What objects say of themselves at a prompt: repr, HTML in a notebook, names behind a Tab."""

import importlib
import inspect
import math
import pydoc
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import backprop as bp
from backprop.callbacks import History
from backprop.gradcheck import gradcheck
from backprop.html import curve
from backprop.layers import Dense
from backprop.testing.report import BROKEN, HELD, LawReport, LawResult

EVIL = "<script>alert(1)</script>&\"'"


class Parsed(HTMLParser):
    """The texts of a piece of HTML, and whether its tags are closed as they were opened."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.texts = set(), [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def model_of(name="m"):
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((3,)), Dense(4, "relu"), Dense(2)], name=name)
    model.compile("adam", "mse", metrics=["mae"])
    return model


SHORT = [
    Dense(3, activation="relu"),
    bp.layers.LSTM(4, return_sequences=True),
    bp.losses.Huber(delta=0.5),
    bp.metrics.Precision(thresholds=0.25),
    bp.optimizers.Adam(0.01),
    bp.optimizers.schedules.CosineDecay(0.1, 10),
    bp.initializers.TruncatedNormal(stddev=0.1),
    bp.regularizers.L2(0.1),
    bp.constraints.MaxNorm(3),
    bp.callbacks.EarlyStopping(patience=3),
    bp.Sequential([bp.layers.Flatten(), Dense(2)]),
]


@pytest.mark.parametrize("thing", SHORT, ids=lambda thing: type(thing).__name__)
def test_a_repr_can_be_typed_back(thing):
    names = {}
    for room in (
        *(bp.layers, bp.losses, bp.metrics, bp.optimizers, bp.optimizers.schedules),
        *(bp.initializers, bp.regularizers, bp.constraints, bp.callbacks, bp.models),
    ):
        names |= {name: getattr(room, name) for name in dir(room)}

    again = eval(repr(thing), names)

    assert type(again) is type(thing) and repr(again) == repr(thing)
    assert len(repr(thing)) < 100 and "object at 0x" not in repr(thing)


def test_a_history_says_how_far_it_has_come():
    x = np.random.default_rng(0).normal(size=(8, 3))

    history = model_of().fit(x, x[:, :2], epochs=3, verbose=0)

    first, last = history.history["loss"][0], history.history["loss"][-1]
    assert f"loss {first:.4g} → {last:.4g}" in repr(history)
    assert repr(history).startswith("<History of 3 epochs: ")
    assert repr(History()) == "<History of 0 epochs>"


def test_a_history_is_a_table_of_ends_and_extremes():
    history = History()
    for epoch, loss in enumerate((0.5, math.nan, 0.125, 0.25)):
        history.on_epoch_end(epoch, {"loss": loss, EVIL: 1.0})
    history.on_epoch_end(4, {"lost": math.nan})

    shown = Parsed(history._repr_html_())

    at = shown.texts.index("loss")
    assert shown.texts[at : at + 5] == ["loss", "0.5", "0.25", "0.125 (epoch 3)", "0.5 (epoch 1)"]
    assert "".join(shown.texts).count(EVIL) == 1 and "script" not in shown.tags
    assert shown.tags >= {"svg", "polyline"} and "nan" in shown.texts
    assert EVIL in repr(history)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, math.nan], [math.inf, 1.0], [-1e308, 1e308], [math.nan] * 3]
)
def test_what_is_no_curve_is_none(values):
    assert curve(values) == ""


def test_a_curve_of_many_epochs_has_few_points():
    points = curve([math.sin(i) for i in range(100_000)]).split('points="')[1].split('"')[0]
    places = [tuple(map(float, point.split(","))) for point in points.split()]

    assert 150 < len(places) <= 300
    assert all(0 <= x <= 120 and 0 <= y <= 24 for x, y in places)
    assert curve([2.0, 2.0, 2.0]).count("22.0") == 3


def test_a_model_is_its_summary():
    a = bp.Input((3,), name="a")
    graph = bp.Model(a, Dense(2, name=EVIL)(a), name=EVIL)

    for model, name in ((model_of(), "m"), (graph, EVIL), (bp.Sequential([Dense(2)]), "Dense")):
        shown = Parsed(model._repr_html_())
        assert name in "".join(shown.texts)
        assert shown.tags == {"p", "table", "thead", "tbody", "tr", "th", "td"}
    shown = Parsed(model_of()._repr_html_())
    assert {"Layer (type)", "(None, 4)", "16", "12", "Total params: 26 (104.00 B)"} <= set(
        shown.texts
    )


def test_reports_are_tables_without_code():
    report = gradcheck(Dense(2, name=EVIL), np.ones((2, 3)))
    laws = LawReport(
        EVIL, "v1", "dev", [LawResult(EVIL, HELD, 3), LawResult("b", BROKEN, reason=EVIL)]
    )

    assert "pass" in Parsed(report._repr_html_()).texts
    shown = Parsed(laws._repr_html_())
    assert "3 cases" in shown.texts and "1 held, 1 broken" in "".join(shown.texts)
    assert "script" not in shown.tags and "pre" in shown.tags
    assert str(laws).splitlines()[1].endswith("held: 3 cases")


# ---------------------------------------------------------------------------- names behind a Tab

ROOMS = (
    *("backend", "callbacks", "data", "datasets", "diagnostics", "distributed", "gradcheck"),
    *("initializers", "interop", "layers", "losses", "metrics", "models", "optimizers"),
    *("preprocessing", "random", "saving", "serving", "testing", "utils"),
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_lists_its_names_and_no_others(room):
    module = importlib.import_module(f"backprop.{room}")

    names = [name for name in dir(module) if not name.startswith("_")]

    assert set(module.__all__) <= set(names)
    assert len(names) <= len(module.__all__) + 1
    assert [name for name in names if not hasattr(module, name)] == []


def test_the_face_lists_names_before_they_are_loaded():
    script = (
        "import backprop, sys; print(len(dir(backprop))); "
        "print({'Sequential', 'layers', 'serving'} <= set(dir(backprop))); "
        "print('backprop.layers' in sys.modules)"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    count, found, loaded = run.stdout.split()
    assert int(count) > 40 and (found, loaded) == ("True", "False")


def test_ipython_completes_names_and_keys():
    completer = pytest.importorskip("IPython.core.completer")
    history = model_of().fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    ipython = completer.IPCompleter(namespace={"bp": bp, "history": history}, use_jedi=False)

    def completed(text):
        with completer.provisionalcompleter():
            return {c.text for c in ipython.completions(text, len(text))}

    assert any(c.endswith("Dense") for c in completed("bp.layers.Den"))
    assert any(c.endswith("Sequential") for c in completed("bp.Seq"))
    assert any("mae" in c for c in completed("history.history["))
    assert not any(c.endswith("annotations") for c in completed("bp.layers.ann"))


# ---------------------------------------------------------------------------- help


@pytest.mark.parametrize(
    "cls",
    [Dense, bp.layers.LSTM, bp.layers.MultiHeadAttention, bp.losses.Huber, bp.optimizers.Adam],
)
def test_help_begins_with_a_signature_and_the_formula(cls):
    text = pydoc.plain(pydoc.render_doc(cls)).splitlines()

    signature, formula = text[3], text[5]
    assert signature.startswith(f" |  {cls.__name__}(") and "kwargs" not in signature
    assert "=" in formula and formula.strip(" |") in inspect.getdoc(cls)
