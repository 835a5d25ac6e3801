"""What all pictures have in common: Axes in and out, one look, nothing cut off, and the gallery."""

import inspect
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drawn_axes import outside
from matplotlib import pyplot as plt

import backprop as bp
from backprop import diagnostics
from backprop.diagnostics.pictures.look import COLOURS, NOT_FINITE, limits, line_style, plain
from backprop.layers import Conv2D, Dense, Flatten, TransformerBlock

ROOT = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(0)
Y, P = RNG.integers(0, 3, 30), RNG.dirichlet(np.ones(3), 30)
IMAGE = RNG.random((6, 6, 1))
FLOW = SimpleNamespace(steps=[0, 1], layers=["a"], gradient_norms=[[1.0], [2.0]])


def conv():
    return bp.Sequential([bp.Input((6, 6, 1)), Conv2D(2, 3), Flatten(), Dense(3)])


def block():
    return bp.Sequential([bp.Input((3, 4)), TransformerBlock(8, 2)])


DRAWN = {
    "plot_learning_curve": lambda f, **o: f({"loss": [2.0, 1.0]}, **o),
    "plot_gradient_flow": lambda f, **o: f(FLOW, **o),
    "plot_activation_histograms": lambda f, **o: f(conv(), IMAGE[None], **o),
    "plot_confusion_matrix": lambda f, **o: f(Y, P, **o),
    "plot_roc_curve": lambda f, **o: f(Y, P, **o),
    "plot_precision_recall_curve": lambda f, **o: f(Y, P, **o),
    "plot_calibration_curve": lambda f, **o: f(Y, P, **o),
    "plot_decision_boundary": lambda f, **o: f(lambda x: x[:, :1], P, Y % 2, steps=9, **o),
    "plot_filters": lambda f, **o: f(conv(), **o),
    "plot_feature_maps": lambda f, **o: f(conv(), IMAGE, **o),
    "plot_saliency": lambda f, **o: f(conv(), IMAGE, **o),
    "plot_occlusion": lambda f, **o: f(conv(), IMAGE, **o),
    "plot_attention": lambda f, **o: f(block(), np.ones((3, 4)), **o),
    "plot_embedding": lambda f, **o: f(P, Y, **o),
    "plot_reconstructions": lambda f, **o: f(
        bp.Sequential([bp.Input((6, 6)), bp.layers.Rescaling(0.5)]), IMAGE[None, ..., 0], **o
    ),
}


@pytest.fixture(params=DRAWN)
def draw(request):
    """Draws one of the pictures."""
    return lambda **options: DRAWN[request.param](getattr(diagnostics, request.param), **options)


def test_every_picture_is_here():
    assert [name for name in diagnostics.__all__ if name.startswith("plot_")] == sorted(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_axes_and_title_are_given_by_name_to_all(name):
    parameters = inspect.signature(getattr(diagnostics, name)).parameters

    *_, ax, title = parameters.values()
    assert (ax.name, ax.default, title.name, title.default) == ("ax", None, "title", "")
    assert ax.kind is title.kind is inspect.Parameter.KEYWORD_ONLY


def test_a_picture_is_drawn_in_the_axes_that_are_given(draw):
    figure, (left, right) = plt.subplots(1, 2)

    found = draw(ax=left, title="one of $two$")

    assert found is left and left.get_title("left") == r"one of \$two\$"
    assert not right.has_data() and plt.get_fignums() == [figure.number]


def test_without_axes_a_figure_is_made(draw):
    ax = draw()

    assert ax.has_data() and ax.get_title("left") == ""
    assert ax.figure is plt.gcf() and outside(ax.figure) == []


def test_several_axes_are_refused(draw):
    _, several = plt.subplots(1, 2)

    with pytest.raises(TypeError, match="expects ax to be one Axes of matplotlib, got an array"):
        draw(ax=several)
    assert not several[0].has_data()


def test_without_matplotlib_it_is_said_what_to_install(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(ImportError, match=r'pip install "backprop\[plot\]"'):
        draw()


def test_text_has_the_colours_of_the_style_sheet(draw):
    with plt.style.context("dark_background"):
        ax = draw(title="dark")
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()]
        legend = ax.get_legend()
        texts += [] if legend is None else legend.get_texts()

    assert {text.get_color() for text in texts} == {"white"}


def test_the_picture_can_be_saved_as_a_drawing(draw, tmp_path):
    draw(title="a < b & c").figure.savefig(tmp_path / "x.svg")

    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


# ------------------------------------------------------------------------------------ one look


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("colour", [*COLOURS, NOT_FINITE])
def test_colours_stand_out_from_white_and_from_black(colour):
    luminance = linear(colour) @ [0.2126, 0.7152, 0.0722]

    assert 1.05 / (luminance + 0.05) >= 3
    assert (luminance + 0.05) / 0.05 >= 3


# Machado, Oliveira, Fernandes 2009: what is seen without one of the three cones
SIGHT = {
    "all": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb):
    """CIE L*a*b* of linear sRGB."""
    xyz = np.clip(rgb, 0, 1) @ np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ).T / [0.9505, 1, 1.089]  # fmt: skip
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def nearest(colours, sight):
    seen = lab(np.array([linear(c) for c in colours]) @ np.array(SIGHT[sight]).T)
    distances = np.linalg.norm(seen[:, None] - seen, axis=-1)
    return distances[np.triu_indices(len(colours), 1)].min()


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart(sight):
    assert nearest(COLOURS, sight) > 10


def test_colours_that_are_not_told_apart_are_found():
    assert nearest(["#c8501e", "#3a8a4d", "#8a6d1f"], "protanopia") < 10


def test_no_two_of_many_lines_are_alike():
    assert len({tuple(line_style(k).items()) for k in range(24)}) == 24


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "short"),
        ("two\nlines", "two lines"),
        ("a $x$", r"a \$x\$"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmno…stuvwxyz"),
        (3, "3"),
    ],
)
def test_texts_are_one_line_that_fits(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("values", "signed", "expected"),
    [
        ([1.0, np.nan, 3.0, np.inf], False, (1, 3)),
        ([-1.0, 3.0], True, (-3, 3)),
        ([np.nan], False, (0, 1)),
        ([2.0, 2.0], False, (2, 3)),
        ([0.0], True, (-1, 1)),
    ],
)
def test_the_range_of_colours_is_that_of_what_is_finite(values, signed, expected):
    assert limits(np.array(values), signed) == expected


# --------------------------------------------------------------------------------- the gallery


def test_the_gallery_is_drawn_by_its_script(tmp_path, monkeypatch):
    script = ROOT / "docs" / "images" / "pictures.py"
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path), "--short"])

    runpy.run_path(str(script), run_name="__main__")

    gallery = script.with_suffix("")
    drawn = {file.name for file in tmp_path.iterdir()}
    assert drawn == {file.name for file in gallery.iterdir()} and len(drawn) >= len(DRAWN)
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in drawn)
    page = (ROOT / "docs" / "pictures.md").read_text()
    assert drawn == set(re.findall(r"\(images/pictures/(\w+\.png)\)", page))
    assert max(file.stat().st_size for file in gallery.iterdir()) < 60_000
    assert [name for name in DRAWN if f"`{name}(" not in page] == []
