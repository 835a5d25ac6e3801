"""`HTMLReport`: what stands on its page, when it is written, and what it never does."""

import math
import os
import pickle
import signal
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pages_of_runs import Page

import backprop as bp
from backprop.callbacks import HTMLReport
from backprop.callbacks.html_report import callback, charts, is_ours
from backprop.callbacks.html_report.network import network
from backprop.layers import Activation, Add, BatchNormalization, Dense, Dropout, Embedding

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 3)).astype("float32"), RNG.normal(size=(64, 1)).astype("float32")


def small(*layers, name="small", optimizer="sgd"):
    bp.utils.set_random_seed(0)
    layers = layers or (Dense(4, "tanh"), Dropout(0.1))
    model = bp.Sequential([bp.Input((3,)), *layers, Dense(1)], name=name)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def fit(*callbacks, model=None, epochs=3, **options):
    model = model or small()
    options = {"validation_data": (X[:8], Y[:8]), "batch_size": 16, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "report.html"


# ---------------------------------------------------------------------------- what stands there


def test_the_numbers_are_those_of_the_history(path):
    model = small(optimizer=bp.optimizers.SGD(0.125))
    history = fit(HTMLReport(path), model=model).history

    found = Page(path).history()
    assert found.pop("seconds") and found.pop("learning_rate") == [0.125] * 3
    assert found == history
    assert Page(path).text("p", "state")[0].startswith("Trained for 3 epochs in ")


def test_epochs_without_a_validation_have_gaps(path):
    fit(HTMLReport(path), epochs=4, validation_freq=2)

    assert [value is None for value in Page(path).history()["val_mae"]] == [True, False] * 2


def test_it_says_the_gradients_that_are_certified_and_their_error(path):
    report = HTMLReport(path)
    fit(report)

    (verdict,) = Page(path).text("p", "verdict")
    assert verdict.startswith("PASS: 5 gradients agree with finite differences")
    largest = float(verdict.split()[-5])
    assert 0 < largest < 1e-7
    entries = [e for e in report.certificate.entries if e.method != "float32"]
    assert largest == pytest.approx(max(e.difference / e.size for e in entries), rel=0.1)
    assert [name for name in Page(path).text("th") if name in ("x", "dense/kernel")]


class Wrong(Activation):
    def backward(self, dy, cache):
        return 2 * super().backward(dy, cache)


def test_a_wrong_gradient_is_shown_as_such(path):
    fit(HTMLReport(path), model=small(Dense(4), Wrong("tanh")))

    (verdict,) = Page(path).text("p", "verdict")
    assert verdict.startswith("FAIL: of 5 gradients ")
    assert any(text.startswith("FAIL") for text in Page(path).text("span", "fail"))


def test_gradients_are_certified_on_rows_or_by_a_check_that_are_given_or_not_at_all(path):
    model = small()
    found = bp.gradcheck.gradcheck(model, X[:2], Y[:2])
    for certify in (found, (X[:2], Y[:2]), False):
        report = HTMLReport(path, certify=certify)
        fit(report, model=model)
        if certify is found:
            assert report.certificate is found
        assert bool(Page(path).text("p", "verdict")) == bool(certify)

    report.show_certificate(found)
    assert Page(path).text("p", "verdict")
    with pytest.raises(TypeError, match=r"certify to be True, False, rows \(x, y\) or a report"):
        HTMLReport(path, certify="yes")


def test_batches_that_are_read_but_once_need_rows_and_it_says_so(path):
    batches = ((X[i : i + 16], Y[i : i + 16]) for i in range(0, 64, 16))
    small().fit(batches, verbose=0, callbacks=[HTMLReport(path)])

    assert any("give HTMLReport(certify=(x, y))" in text for text in Page(path).text("p", "note"))


def test_what_looks_at_gradients_and_activations_is_shown(path):
    own = bp.callbacks.GradientFlow(every=2)
    fit(own, HTMLReport(path))

    page = Page(path)
    assert [look for look in page.text("p", "sound") if f"each of {len(own.steps)} looks" in look]
    kernels = [t for t in page.text("title") if t.startswith("dense, step ")]
    norms = [
        f"dense, step {s}: {charts.figure(v[0], 3)}"
        for s, v in zip(own.steps, own.gradient_norms, strict=True)
    ]
    assert kernels[: len(norms)] == norms
    assert len(page.all("svg", "spark")) == 3  # of Dense, Dropout, Dense: it looked itself


def test_it_looks_as_the_callbacks_themselves_do(path):
    report, flow = HTMLReport(path), bp.callbacks.GradientFlow()
    seen = bp.callbacks.ActivationStatistics()
    fit(report)
    fit(flow, seen)

    own, other = report._looks
    assert own.get_state() == flow.get_state()
    np.testing.assert_equal(other.get_state(), seen.get_state())


def test_without_looks_of_its_own_there_are_none(path):
    fit(HTMLReport(path, inside=False))

    assert not {"Gradient flow", "Activations"} & set(Page(path).text("h2"))


def test_warnings_stand_on_the_page(path):
    model = small(optimizer=bp.optimizers.SGD(1e3))
    with pytest.warns(UserWarning, match="learning rate"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "^(?!GradientFlow)")
        fit(HTMLReport(path), model=model, epochs=6)

    page = Page(path)
    assert any("the learning rate is too large" in text for text in page.text("li"))
    assert not page.text("p", "sound")


NASTY = "<script>alert('é & \"x\"')</script>"


def test_no_name_is_a_tag(path):
    model = small(Dense(4, name=NASTY), name=NASTY)
    fit(HTMLReport(path), model=model)

    page = Page(path)
    assert not page.all("script") and "<script" not in page.source
    assert page.text("h1") == [NASTY]
    assert f"Dense, {NASTY}, 4, 16" in page.text("title")


def test_a_title_may_be_given(path):
    fit(HTMLReport(path, title="Run 7"))

    assert Page(path).text("h1") == ["Run 7"]
    assert Page(path).text("title")[0] == "Run 7 · training report"


def test_settings_and_environment_are_named(path):
    fit(HTMLReport(path))

    page = Page(path)
    said = dict(zip(page.text("dt"), page.text("dd"), strict=True))
    assert said["Optimizer"] == "SGD()" and said["Loss"] == "MeanSquaredError()"
    assert said["Parameters"] == "21" and said["Batches"] == "4 an epoch"
    assert said["NumPy"] == np.__version__ and {"BLAS", "kernels", "threads"} <= said.keys()


# ---------------------------------------------------------------------------- when it is written


def watched(monkeypatch):
    """The states of the run at each writing."""
    states = []
    write = HTMLReport._write

    def writing(self):
        states.append((self._ended[0], len(self.rows)))
        write(self)

    monkeypatch.setattr(HTMLReport, "_write", writing)
    return states


def test_it_is_written_at_ends_of_epochs_but_not_too_often(path, monkeypatch):
    states = watched(monkeypatch)
    fit(HTMLReport(path))
    assert states == [("training", 0), ("finished", 3)]

    states.clear()
    monkeypatch.setattr(callback, "REST", 0)
    monkeypatch.setattr(callback, "SHARE", 1e9)
    fit(HTMLReport(path))
    assert states == [("training", n) for n in range(4)] + [("finished", 3)]

    states.clear()
    monkeypatch.setattr(callback, "SHARE", 1e-9)  # what it took is too much
    fit(HTMLReport(path))
    assert states == [("training", 0), ("finished", 3)]


def test_a_page_of_a_run_that_goes_on_loads_itself_anew(path):
    seen = []
    look = bp.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(Page(path)))
    fit(HTMLReport(path), look)

    refreshing = [a for a, _ in seen[0].all("meta") if a.get("http-equiv") == "refresh"]
    assert refreshing[0]["content"] == "5"
    assert seen[0].text("p", "state")[0].startswith("Training: epoch 0 of 3 is done")
    assert 'http-equiv="refresh"' not in path.read_text()


def test_a_run_that_a_signal_ends_is_interrupted(path):
    stop = bp.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: batch == 2 and signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(SystemExit):
        fit(HTMLReport(path), stop)

    (state,) = Page(path).text("p", "state")
    assert state.startswith("Interrupted after 0 epochs") and "a signal in epoch 1" in state
    assert any("were not certified" in text for text in Page(path).text("p", "note"))


def test_a_run_that_fails_says_by_what(path):
    def fail(epoch, logs):
        raise ArithmeticError("<b>two</b>")

    with pytest.raises(ArithmeticError):
        fit(HTMLReport(path), bp.callbacks.LambdaCallback(on_epoch_end=fail))

    (state,) = Page(path).text("p", "state")
    assert state.endswith(", by ArithmeticError: <b>two</b>")


def test_a_run_that_stops_early_says_how_far_it_came(path):
    stop = bp.callbacks.EarlyStopping("loss", patience=0, baseline=-1)
    fit(HTMLReport(path), stop, epochs=9)

    assert Page(path).text("p", "state")[0].endswith(", of 9 that were asked for")


class Unplugged(Exception):
    pass


def unplug(epoch, logs):
    if epoch == 2:
        raise Unplugged


def test_a_resumed_run_has_the_epochs_of_before(path, tmp_path):
    for callbacks in ([bp.callbacks.LambdaCallback(on_epoch_begin=unplug)], []):
        backup = bp.callbacks.BackupAndRestore(tmp_path / "backup")
        try:
            history = fit(HTMLReport(path), backup, *callbacks, epochs=4).history
        except Unplugged:
            assert len(Page(path).history()["loss"]) == 2

    found = Page(path).history()
    assert len(history["loss"]) == 4 and found["loss"] == history["loss"]
    looks = [text for text in Page(path).text("title") if text.startswith("dense, step 1:")]
    assert looks  # of the process before


def test_a_state_that_is_none_is_refused(path):
    for state in ({}, {"rows": [{"epoch": "0"}], "looks": {}}, {"rows": [], "looks": 3}):
        with pytest.raises(ValueError, match="remembers a list of epochs"):
            HTMLReport(path).set_state(state)


def test_a_run_that_goes_on_by_hand_keeps_what_was_before_and_a_new_one_does_not(path):
    report, model = HTMLReport(path), small()
    fit(report, model=model, epochs=2)
    fit(report, model=model, epochs=3, initial_epoch=2)
    assert len(Page(path).history()["loss"]) == 3

    fit(report, model=model, epochs=1)
    assert len(Page(path).history()["loss"]) == 1


# ---------------------------------------------------------------------------- what it never does


def test_the_run_is_the_same_bit_for_bit(path):
    plain, told = small(Dense(4), BatchNormalization(), Dropout(0.5)), None
    fit(model=plain)
    told = small(Dense(4), BatchNormalization(), Dropout(0.5))
    fit(HTMLReport(path), model=told)

    for a, b in zip(plain.get_weights(), told.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("there", [b"<html>mine", b"", b"\x00\xff"])
def test_a_file_of_somebody_elses_is_left_alone(path, there):
    path.write_bytes(there)

    with pytest.raises(FileExistsError, match="is no page of an HTMLReport: choose another path"):
        fit(HTMLReport(path))
    assert path.read_bytes() == there and not is_ours(path)


def test_its_own_page_is_replaced(path):
    for name in ("one", "two"):
        fit(HTMLReport(path), model=small(name=name), epochs=1)

    assert is_ours(path) and Page(path).text("h1") == ["two"]


def test_what_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        HTMLReport(tmp_path / "file/report.html")
    with pytest.raises(IsADirectoryError, match="is a folder: name a file"):
        HTMLReport(tmp_path)
    with pytest.raises(ValueError, match="expects path, the path of a file"):
        HTMLReport("")


def test_a_disk_that_refuses_the_first_page_ends_a_run_before_its_first_step(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    model = small()
    before = model.get_weights()
    with pytest.raises(PermissionError, match=r"nothing was written.*report\.html"):
        fit(HTMLReport(path), model=model)

    np.testing.assert_equal(model.get_weights(), before)


def test_missing_folders_are_made_and_the_path_is_that_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    move = bp.callbacks.LambdaCallback(on_epoch_end=lambda *_: os.chdir(tmp_path / "elsewhere"))
    fit(HTMLReport("runs/7/report.html"), move)

    assert Page(tmp_path / "runs/7/report.html").history()["loss"]


def test_a_full_disk_ends_no_training_and_is_told_once(path, monkeypatch):
    monkeypatch.setattr(callback, "REST", 0)
    monkeypatch.setattr(callback, "SHARE", 1e9)

    def full(*_):
        raise OSError(28, "No space left on device")

    fill = bp.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: monkeypatch.setattr(os, "replace", full)
    )
    with pytest.warns(UserWarning, match="No space left on device.*training goes on") as told:
        history = fit(HTMLReport(path), fill).history

    assert len(history["loss"]) == 3 and len(told) == 1
    assert Page(path).text("p", "state")[0].startswith("Training: epoch 0")  # as it was before


def test_a_metric_that_reports_an_array_is_left_out(path):
    class Counts(bp.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return np.arange(3.0)

    model = small()
    model.compile("sgd", "mse", metrics=[Counts()])
    fit(HTMLReport(path), model=model)

    assert not [name for name in Page(path).history() if "counts" in name]


def test_it_can_be_copied_and_says_its_arguments(path):
    report = HTMLReport(path, title="Run", inside=False)
    fit(report)

    assert pickle.loads(pickle.dumps(report)).rows == report.rows
    assert repr(HTMLReport("a.html", inside=False)) == "HTMLReport('a.html', inside=False)"


# ---------------------------------------------------------------------------- drawings


@given(
    st.lists(st.floats(width=64), min_size=1, max_size=30),
    st.lists(st.floats(0, 1e308), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_numbers_have_a_place_on_the_chart(values, held, log):
    lines = [
        charts.Line("a", "train", range(1, len(values) + 1), values),
        charts.Line("b", "held", range(1, len(held) + 1), held),
    ]
    drawn = charts.curves("loss", lines, log=log)

    root = parsed(drawn)
    for dot in root.iter("circle"):
        assert 0 <= float(dot.get("cx")) <= charts.WIDTH
        assert 0 <= float(dot.get("cy")) <= charts.HEIGHT
    assert "nan" not in drawn and "inf" not in drawn  # in a place


def parsed(svg):
    from xml.etree import ElementTree

    return ElementTree.fromstring(svg)


def test_a_line_is_where_its_values_are():
    values = [1.0, 3.0, 2.0, 5.0]
    root = parsed(charts.curves("a", [charts.Line("a", "train", [1, 2, 3, 4], values)]))

    ticks = [
        (float(t.get("y")) - 4, float(t.text))
        for t in root.iter("text")
        if t.get("class") == "tick y"
    ]
    (y0, v0), (y1, v1) = ticks[0], ticks[-1]
    line = next(p for p in root.iter("path") if p.get("class") == "line train").get("d")
    places = [float(point.split()[1]) for point in line[1:].split("L")]
    found = [v0 + (y - y0) / (y1 - y0) * (v1 - v0) for y in places]
    assert found == pytest.approx(values, abs=0.02)


def test_a_value_that_is_none_breaks_the_line():
    line = charts.Line("a", "train", range(5), [1.0, 2.0, math.nan, 3.0, math.inf])
    root = parsed(charts.curves("a", [line]))

    way = next(p for p in root.iter("path") if p.get("class") == "line train").get("d")
    assert way.count("M") == 2 and way.count("L") == 1
    assert "a NaN" in [t.text.splitlines()[1] for t in root.iter("title")][2]


def test_a_long_line_is_thinned_and_keeps_its_end():
    line = charts.Line("a", "train", range(10_001), [*range(10_001)])
    thin = charts.thinned(line)

    assert len(thin.at) <= charts.POINTS + 1
    assert thin.at[0] == 0 and thin.at[-1] == 10_000 and thin.at == thin.values
    assert len(charts.curves("a", [line])) < 60_000


@pytest.mark.parametrize("layers", [1, 7, 400])
def test_a_map_has_a_box_for_each_layer_and_look_but_not_too_many(layers):
    table = [[10.0 ** -(i + k) for k in range(layers)] for i in range(90)]
    table[-1][0], table[-2][0] = 0.0, math.nan
    names = [f"layer_of_a_long_name_{k}" for k in range(layers)]
    root = parsed(charts.levels("a", names, range(90), table, None))

    boxes = [r for r in root.iter("rect") if r.find("title") is not None]
    assert len(boxes) == layers * min(charts.LOOKS, max(charts.CELLS // layers, 2))
    assert {r.get("class") for r in boxes} >= {f"h{i}" for i in range(9)}
    assert f"{names[0]}, step 89: 0" in {r.find("title").text for r in boxes}


def branched():
    a, b = bp.Input((4,), name="a"), bp.Input((5,), name="b", dtype="int32")
    x = Dense(6, name="first")(a)
    y = Dense(6, name="side")(x)
    y = Dense(6, name="longer")(y)
    z = Add(name="sum")([x, y])
    e = bp.layers.Flatten(name="flat")(Embedding(9, 2, name="words")(b))
    out = bp.layers.Concatenate(name="both")([z, e])
    return bp.Model([a, b], [Dense(1, name="one")(out), Dense(2, name="two")(out)])


def test_a_graph_has_its_layers_shapes_parameters_and_ways():
    root = parsed(network(branched()).text)

    said = {t.text.split(", ")[1]: t.text for t in root.iter("title")}
    assert said["first"] == "Dense, first, 6, 30" and said["words"] == "Embedding, words, 5 × 2, 18"
    edges = [p for p in root.iter("path") if p.get("class") == "edge"]
    assert (
        len(said) == len(edges) == 11
    )  # `first` is read twice, and `both`; two ends are read by none


def test_boxes_of_a_graph_do_not_meet():
    drawing = network(branched())
    root = parsed(drawing.text)

    places = []
    for group in root.iter("g"):
        x, y = map(float, group.get("transform")[10:-1].split())
        width = float(group.find("rect").get("width"))
        assert x >= 0 and x + width <= drawing.width
        places.append((x, y, width))
    for i, (x, y, width) in enumerate(places):
        for u, v, _ in places[i + 1 :]:
            assert y != v or abs(x - u) > width


def test_a_chain_is_drawn_with_its_input_and_a_model_within_as_one_box():
    model = bp.Sequential([bp.Input((3,)), small(name="inner"), Dense(2)])
    said = [t.text for t in parsed(network(model).text).iter("title")]

    assert said == ["Input, 3", "Sequential, inner, 1, 21", "Dense, dense, 2, 4"]
