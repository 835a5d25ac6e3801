"""Pictures of models: what they show, and that nothing lies over anything else."""

import inspect
import itertools
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from graphs_to_save import GRAPHS, images, nested, recursive, shared, states

import backprop as bp
from backprop import layers
from backprop.layered import APART, NARROW, layered
from backprop.utils.plotting import LINE, PADDING, Picture, width_of

SVG = "{http://www.w3.org/2000/svg}"
ALL = {
    "show_shapes": True,
    "show_dtype": True,
    "show_layer_names": True,
    "show_layer_activations": True,
    "show_trainable": True,
}


def picture(model, **options):
    return bp.utils.plot_model(model, to_file=None, **options)


def texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_every_graph_is_drawn_in_every_direction(make, direction):
    model = make()
    svg = picture(model, rankdir=direction, expand_nested=True, **ALL)

    shown = texts(svg)
    for layer in model.layers:
        assert type(layer).__name__ in shown
        assert layer.name in shown
    assert picture(model, rankdir=direction, expand_nested=True, **ALL) == svg
    assert "nan" not in svg.lower().replace("name", "")


def test_boxes_say_what_is_asked_for():
    x = bp.Input((3,), name="x")
    model = bp.Model(x, layers.Dense(2, activation="relu", name="a<b>&c", trainable=False)(x))

    assert texts(picture(model)) == ["InputLayer", "Dense"]
    assert texts(picture(model, show_layer_names=True)) == ["InputLayer", "x", "Dense", "a<b>&c"]
    assert texts(picture(model, show_shapes=True))[-2:] == ["in: (None, 3)", "out: (None, 2)"]
    assert texts(picture(model, show_layer_activations=True))[-1] == "activation: relu"
    assert texts(picture(model, show_dtype=True))[-1] == "dtype: float32"
    assert texts(picture(model, show_trainable=True))[-1] == "not trainable"


def test_several_shapes_are_a_line_each_unless_equal():
    shown = texts(picture(states(), show_shapes=True))

    assert shown.count("out: (None, 5, 4)") == 2
    assert "out: 2 × (None, 4)" in shown
    assert "in: 2 × (None, 4)" in shown


def test_text_stays_within_its_box():
    svg = ET.fromstring(picture(nested(), expand_nested=True, **ALL))

    for group in svg.iter(f"{SVG}g"):
        box, lines = group.find(f"{SVG}rect"), group.findall(f"{SVG}text")
        if box is not None:
            width, height = float(box.get("width")), float(box.get("height"))
            assert height >= LINE * len(lines) + PADDING
            assert all(width_of(line.text) <= width for line in lines)


def test_models_within_are_boxes_of_boxes_if_asked():
    closed, open_ = (texts(picture(nested(), expand_nested=e)) for e in (False, True))

    assert "BatchNormalization" not in closed
    assert "BatchNormalization" in open_
    assert open_.count("Add") == 1


def test_a_layer_in_several_places_is_one_box_with_all_its_arrows():
    assert texts(picture(shared(), show_layer_names=True)).count("tower") == 1
    assert texts(picture(recursive())).count("Dense") == 1
    assert picture(recursive()).count("marker-end") == 4  # in, its loop, out, and the skip


def test_a_chain_is_drawn_with_what_goes_in():
    model = bp.Sequential([bp.Input((3,)), layers.Dense(2), layers.ReLU()])

    assert texts(picture(model)) == ["InputLayer", "Dense", "ReLU"]
    assert picture(model).count("marker-end") == 2


def test_the_picture_is_written_and_shown(tmp_path):
    file = tmp_path / "model.svg"
    svg = bp.utils.plot_model(images(), file)

    assert file.read_text(encoding="utf-8") == svg == svg._repr_svg_()
    assert isinstance(svg, Picture)
    width, large = (
        float(ET.fromstring(bp.utils.plot_model(images(), None, dpi=dpi)).get("width"))
        for dpi in (96, 192)
    )
    assert large == pytest.approx(2 * width, abs=0.2)


def test_what_cannot_be_drawn_is_said_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="rankdir to be one of 'TB', 'BT', 'LR', 'RL', got 'XY'"):
        picture(shared(), rankdir="XY")
    with pytest.raises(ValueError, match="splines to be one of 'ortho', 'curved'"):
        picture(shared(), splines="round")
    with pytest.raises(ValueError, match="dpi to be a finite number above 0"):
        picture(shared(), dpi=0)
    with pytest.raises(ValueError, match="is not built yet"):
        picture(bp.Sequential([layers.Dense(2)]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["png", "pdf", "PNG", "jpg"])
def test_other_files_are_painted(tmp_path, ending):
    pytest.importorskip("matplotlib", reason="it paints")
    file = tmp_path / f"model.{ending}"

    svg = bp.utils.plot_model(shared(), file, expand_nested=True, show_layer_names=True, dpi=96)

    start = {"png": b"\x89PNG", "pdf": b"%PDF", "jpg": b"\xff\xd8"}[ending.lower()]
    assert file.read_bytes().startswith(start)
    assert svg.startswith("<svg")


def test_a_painted_picture_has_the_size_and_the_boxes_of_the_svg(tmp_path):
    pytest.importorskip("matplotlib", reason="it paints")
    from matplotlib.image import imread

    svg = bp.utils.plot_model(shared(), tmp_path / "model.png", dpi=192)

    image = imread(tmp_path / "model.png")
    size = [float(ET.fromstring(svg).get(name)) for name in ("height", "width")]
    assert image.shape[:2] == pytest.approx(size, abs=2)
    for x, y, w, h, colour in boxes_of(svg):
        inside = image[int(2 * (y + h - 3)), int(2 * (x + w / 4)), :3]
        wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(inside, wanted, atol=0.01)


def boxes_of(svg):
    """The place, the size and the colour of each box, where no box is in another."""
    found = re.findall(
        r'translate\(([-\d.]+),([-\d.]+)\)">\n<rect width="([-\d.]+)" height="([-\d.]+)" '
        r'rx="5" fill="(#\w+)"',
        svg,
    )
    assert found
    return [
        (*(float(n) + m for n, m in zip(f[:4], (16, 16, 0, 0), strict=True)), f[4]) for f in found
    ]


def test_a_format_that_nobody_writes_is_refused_before_anything_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="it paints")

    with pytest.raises(ValueError, match=r"to end in \.svg or in a format of matplotlib"):
        bp.utils.plot_model(shared(), tmp_path / "model.docx")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_an_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r'pip install "backprop\[plot\]", or name the file'):
        bp.utils.plot_model(shared(), tmp_path / "model.png")
    bp.utils.plot_model(shared(), tmp_path / "model.svg")


def test_arrows_turn_bend_or_go_straight():
    assert " C" not in picture(shared()) and " C" not in picture(shared(), splines="line")
    assert " C" in picture(shared(), splines="curved")
    assert picture(shared(), splines="curved") == picture(shared(), splines="spline")
    _tip, *ways = re.findall(r'<path d="(M[^"]+)" fill', picture(shared(), splines="ortho"))
    for way in ways:
        points = [tuple(map(float, p.split(","))) for p in re.findall(r"[-\d.]+,[-\d.]+", way)]
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(points))


def test_the_arguments_and_defaults_are_those_of_keras():
    keras = pytest.importorskip("keras", reason="parity needs Keras")
    theirs, ours = (
        {n: p.default for n, p in inspect.signature(f).parameters.items() if n != "kwargs"}
        for f in (keras.utils.plot_model, bp.utils.plot_model)
    )

    assert list(ours.items()) == list(theirs.items())


# ---------------------------------------------------------------------- where nodes are


def ladder(n):
    return [(i, i + 1) for i in range(n - 1)] + [(i, i + 4) for i in range(0, n - 4, 4)]


@pytest.mark.parametrize(
    ("widths", "edges"),
    [
        ([60.0] * 40, ladder(40)),
        ([80.0, 30.0, 50.0, 70.0, 40.0], [(0, 2), (0, 3), (1, 2), (1, 3), (2, 4), (3, 4), (0, 4)]),
        ([50.0] * 12, [(i, j) for i in range(12) for j in range(i + 1, 12) if (i * j) % 3 == 1]),
        ([10.0], []),
    ],
)
def test_nothing_lies_over_anything_else(widths, edges):
    layout = layered(widths, edges)

    assert all(layout.rows[a] < layout.rows[b] for a, b in edges)
    spans = [(layout.rows[i], layout.across[i], widths[i]) for i in range(len(widths))]
    spans += [(row, x, NARROW) for way in layout.ways.values() for x, row in way]
    for (row, x, width), (other, z, wide) in itertools.combinations(spans, 2):
        assert row != other or abs(x - z) >= (width + wide) / 2 + APART - 1e-6
    assert min(x - w / 2 for _, x, w in spans) == pytest.approx(0)
    assert max(x + w / 2 for _, x, w in spans) == pytest.approx(layout.width)


def test_edges_cross_no_more_than_they_must():
    layout = layered([20.0] * 6, [(0, 5), (1, 4), (2, 3)])  # crossed as they are given
    across = layout.across

    assert [across[b] for b in (5, 4, 3)] == sorted(across[b] for b in (5, 4, 3)) or (
        sorted((0, 1, 2), key=across.__getitem__)
        == [{5: 0, 4: 1, 3: 2}[n] for n in sorted((3, 4, 5), key=across.__getitem__)]
    )


def test_a_chain_beside_a_skip_is_straight():
    layout = layered([50.0] * 5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)])

    assert max(layout.across) - min(layout.across) < 1


def test_edges_of_a_picture_end_at_boxes():
    svg = picture(images(), show_shapes=True)
    ends = [re.findall(r"[-\d.]+,[-\d.]+", path) for path in re.findall(r'<path d="(M[^"]+)"', svg)]
    boxes = re.findall(
        r'translate\(([-\d.]+),([-\d.]+)\)">\n<rect width="([-\d.]+)" height="([-\d.]+)"', svg
    )
    boxes = [tuple(map(float, box)) for box in boxes]

    for points in ends[1:]:
        for point in (points[0], points[-1]):
            x, y = map(float, point.split(","))
            assert any(
                left - 0.2 <= x <= left + width + 0.2
                and min(abs(y - top), abs(y - top - height)) < 0.3
                for left, top, width, height in boxes
            )
