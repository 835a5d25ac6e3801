"""Vectors in the plane in which they differ most."""

import numpy as np
import pytest
from drawn_axes import legend_of, outside

from backprop.diagnostics import plot_embedding, principal_components

VECTORS = np.random.default_rng(0).normal(size=(40, 6)) * [5, 1, 3, 1, 1, 1]


@pytest.mark.parametrize("n", [1, 2, 6])
def test_components_are_those_of_scikit_learn(n):
    peer = pytest.importorskip("sklearn.decomposition").PCA(n)
    theirs = peer.fit_transform(VECTORS)

    z, share = principal_components(VECTORS, n)

    signs = np.sign((z * theirs).sum(0))
    np.testing.assert_allclose(z, theirs * signs, atol=1e-10)
    np.testing.assert_allclose(share, peer.explained_variance_ratio_, rtol=1e-10)


def test_the_sign_is_that_of_the_largest_entry():
    z, _ = principal_components(VECTORS)
    turned, _ = principal_components(-VECTORS)

    assert np.allclose(z, -turned)


def test_components_beyond_the_rank_are_0():
    z, share = principal_components([[1.0], [2.0]], 3)

    assert np.allclose(z, [[-0.5, 0, 0], [0.5, 0, 0]]) and np.allclose(share, [1, 0, 0])


def test_points_are_drawn_by_class():
    y = np.arange(40) % 3

    ax = plot_embedding(VECTORS, y, labels=["a", "b", "c"])

    z, share = principal_components(VECTORS)
    for k, points in enumerate(ax.collections):
        assert np.allclose(points.get_offsets(), z[y == k])
    assert legend_of(ax) == ["a", "b", "c"]
    assert ax.get_xlabel() == f"first component ({100 * share[0]:.0f} % of the variance)"
    assert ax.get_ylabel() == f"second component ({100 * share[1]:.0f} %)"


def test_without_classes_there_is_one_colour():
    ax = plot_embedding(VECTORS)

    assert len(ax.collections) == 1 and ax.get_legend() is None


def test_no_two_of_twenty_classes_look_alike():
    ax = plot_embedding(VECTORS, np.arange(40) % 20)

    looks = {
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections
    }
    assert len(looks) == 20 == len(legend_of(ax))
    assert outside(ax.figure) == []


def test_a_hundred_classes_are_counted_and_not_named():
    ax = plot_embedding(np.tile(VECTORS, (5, 1)), np.arange(200) % 100)

    assert ax.get_title("right") == "100 classes" and legend_of(ax) == []


def test_texts_cover_neither_each_other_nor_other_points():
    ax = plot_embedding(VECTORS, texts=[f"word number {i} of many" for i in range(40)])

    renderer = ax.figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    assert 3 < len(boxes) < 40
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    points = ax.transData.transform(principal_components(VECTORS)[0])
    inside = [[box.contains(*point) for point in points] for box in boxes]
    assert not np.any(inside)
    assert all(text.xy[0] in principal_components(VECTORS)[0][:, 0] for text in ax.texts)


def test_each_text_stands_at_its_point():
    ax = plot_embedding(np.eye(4), texts=["a", "b", "c", "$d$"])

    z, _ = principal_components(np.eye(4))
    found = {text.get_text(): text.xy for text in ax.texts}
    assert found.keys() == {"a", "b", "c", r"\$d\$"}
    assert all(np.allclose(found[name], z[i]) for i, name in enumerate(found) if name == "abcd"[i])


def test_a_single_point_is_drawn():
    ax = plot_embedding([[1.0, 2.0]], [0], texts=["alone"])

    assert ax.collections[0].get_offsets().tolist() == [[0, 0]]
    assert [text.get_text() for text in ax.texts] == ["alone"]
    assert outside(ax.figure) == []


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((np.ones(3),), {}, r"\(n, d\), got \(3,\)"),
        ((np.ones((0, 3)),), {}, r"got \(0, 3\)"),
        ((np.array([[1.0, 2.0], [1.0, np.nan]]),), {}, "finite: row 1 is not"),
        ((VECTORS, [0, 1]), {}, "y for each of 40 rows, got 2"),
        ((VECTORS, [-1] * 40), {}, "got -1"),
        ((VECTORS, np.arange(40)), {"labels": ["a"]}, "knows 1 classes"),
        ((VECTORS,), {"labels": ["a"]}, "together with y"),
        ((VECTORS,), {"texts": ["a"]}, "texts to name 40 vectors, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, match):
    with pytest.raises(ValueError, match=match):
        plot_embedding(*arguments, **options)


def test_as_many_components_as_asked_for():
    with pytest.raises(ValueError, match="n_components"):
        principal_components(VECTORS, 0)
