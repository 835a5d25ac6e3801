"""The learning curve as a picture."""

import sys

import pytest

import backprop as bp
from backprop.diagnostics import learning_curve, plot_learning_curve

figure = pytest.importorskip("matplotlib.figure", reason="pictures need backprop[plot]")
pyplot = pytest.importorskip("matplotlib.pyplot")

HISTORY = {
    "accuracy": [0.5, 0.8, 0.9],
    "loss": [1.0, 0.5, 0.3],
    "val_accuracy": [0.4, 0.7, 0.8],
    "val_loss": [1.1, 0.7, 0.6],
    "learning_rate": [0.1, 0.1, 0.1],
}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and returns the axes that were drawn."""
    figures = []

    class Kept(figure.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(figure, "Figure", Kept)

    def draw(history, name="curve.png", **kwargs):
        learning_curve(history, tmp_path / name, **kwargs)
        return figures[-1].axes

    return draw


@pytest.mark.parametrize(
    ("name", "begins"), [("curve.png", b"\x89PNG"), ("curve.svg", b"<?xml"), ("curve.pdf", b"%PDF")]
)
def test_the_picture_is_of_the_kind_that_its_name_says(tmp_path, name, begins):
    learning_curve(HISTORY, tmp_path / name, title="digits")

    assert (tmp_path / name).read_bytes().startswith(begins)


def test_each_quantity_has_a_panel_with_training_and_held_out_rows(drawn):
    loss, accuracy = drawn(HISTORY)

    assert (loss.get_title("left"), accuracy.get_title("left")) == ("loss", "accuracy")
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        solid, dashed = axes.lines
        assert list(solid.get_ydata()) == HISTORY[name]
        assert list(dashed.get_ydata()) == HISTORY[f"val_{name}"]
        assert list(solid.get_xdata()) == list(dashed.get_xdata()) == [1, 2, 3]
        assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
        assert [t.get_text() for t in axes.get_legend().get_texts()] == ["training", "held out"]
    assert loss.get_yscale() == "log" and accuracy.get_yscale() == "linear"


def test_one_epoch_is_visible(drawn):
    (axes,) = drawn({"loss": [0.5]})

    assert axes.lines[0].get_marker() == "o"


def test_a_loss_below_zero_is_drawn_on_a_plain_scale(drawn):
    (axes,) = drawn({"loss": [0.5, -0.5]})

    assert axes.get_yscale() == "linear"


def test_a_loss_that_is_nan_is_drawn(drawn):
    (axes,) = drawn(
        {"loss": [0.5, float("nan"), float("inf")], "val_loss": [1.0, 2.0, float("nan")]}
    )

    assert len(axes.lines) == 2


def test_validation_every_few_epochs_stands_where_it_was(drawn):
    (axes,) = drawn({"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [3.5, 1.5]})

    assert list(axes.lines[1].get_xdata()) == [2, 4]


def test_many_metrics_take_several_rows(drawn):
    axes = drawn({name: [1.0, 2.0] for name in ("loss", "a", "b", "c", "d")})

    assert len(axes) == 5
    assert len({a.get_subplotspec().rowspan.start for a in axes}) == 2


def test_what_fit_returns_is_taken_as_it_is(drawn):
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse")

    (axes,) = drawn(model.fit([[1.0, 2.0]], [[1.0]], epochs=2, verbose=0))

    assert len(axes.lines[0].get_xdata()) == 2


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"learning_rate": [0.1]}])
def test_a_history_without_an_epoch_is_refused(tmp_path, history):
    with pytest.raises(ValueError, match="history without an epoch: train first"):
        learning_curve(history, tmp_path / "curve.png")


def test_without_matplotlib_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r'pip install "backprop\[plot\]"'):
        learning_curve(HISTORY, tmp_path / "curve.png")


# -------------------------------------------------------------------------------- Axes of one's own


def test_one_quantity_is_drawn_in_axes_of_ones_own():
    ax = pyplot.figure().subplots()

    found = plot_learning_curve(HISTORY, metric="accuracy", ax=ax, title="digits")

    solid, dashed = found.lines
    assert found is ax and ax.get_title("left") == "digits"
    assert list(solid.get_ydata()) == HISTORY["accuracy"]
    assert list(dashed.get_ydata()) == HISTORY["val_accuracy"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "accuracy")


def test_the_rate_of_a_schedule_is_a_quantity():
    ax = plot_learning_curve(HISTORY, metric="learning_rate")

    assert len(ax.lines) == 1 and ax.get_ylabel() == "learning rate"


def test_one_epoch_has_one_tick():
    assert list(plot_learning_curve({"loss": [0.5]}).get_xticks()) == [1]


@pytest.mark.parametrize(
    ("history", "metric", "error", "match"),
    [
        ({}, "loss", ValueError, "without an epoch: train first"),
        (HISTORY, "acuracy", ValueError, "did you mean 'accuracy'"),
        ([1.0, 0.5], "loss", TypeError, "expects what fit"),
    ],
)
def test_what_is_not_in_a_history_is_refused(history, metric, error, match):
    with pytest.raises(error, match=match):
        plot_learning_curve(history, metric=metric)
