"""What the pictures of gradients and activations show."""

from types import SimpleNamespace

import numpy as np
import pytest
from drawn_axes import legend_of, outside, ticks_of

import backprop as bp
from backprop.diagnostics import (
    activation_histograms,
    plot_activation_histograms,
    plot_gradient_flow,
)


def flow(layers=3, looks=5):
    values = 10.0 ** (np.arange(layers) - np.arange(looks)[:, None] / 10)
    return SimpleNamespace(
        steps=list(range(0, 10 * looks, 10)),
        layers=[f"dense_{k}" for k in range(layers)],
        gradient_norms=values.tolist(),
        update_ratios=(values / 1000).tolist(),
    )


@pytest.fixture(scope="module")
def model():
    bp.utils.set_random_seed(0)
    return bp.Sequential(
        [
            bp.Input((3,)),
            bp.layers.Dense(4, "relu", name="hidden"),
            bp.layers.Dense(2, "tanh", name="end"),
        ]
    )


X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


@pytest.mark.parametrize("quantity", ["gradient_norms", "update_ratios"])
def test_each_layer_has_a_line_over_the_steps(quantity):
    given = flow()

    ax = plot_gradient_flow(given, quantity=quantity)

    lines = ax.lines[:3]
    for k, line in enumerate(lines):
        assert list(line.get_xdata()) == given.steps
        assert list(line.get_ydata()) == [row[k] for row in getattr(given, quantity)]
    assert legend_of(ax) == given.layers
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "step"
    assert len(ax.lines) == (4 if quantity == "update_ratios" else 3)  # where 1e-3 is


def test_many_layers_have_colours_from_input_to_output():
    ax = plot_gradient_flow(flow(100))

    brightness = [np.dot(line.get_color()[:3], [0.2126, 0.7152, 0.0722]) for line in ax.lines]
    assert len(brightness) == 100 and np.all(np.diff(brightness) > 0)
    assert legend_of(ax) == []
    bar = ax.figure.axes[1]
    assert ticks_of(bar.yaxis) == ["dense_0", "dense_99"]
    assert bar.get_ylabel() == "100 layers, from input to output"
    assert outside(ax.figure) == []


def test_gradients_that_are_nan_or_0_are_drawn():
    given = flow()
    given.gradient_norms[1] = [0.0, 0.0, float("nan")]

    ax = plot_gradient_flow(given)
    ax.figure.draw_without_rendering()

    assert np.isnan(ax.lines[2].get_ydata()[1]) and ax.get_yscale() == "log"
    assert plot_gradient_flow(
        SimpleNamespace(steps=[0], layers=["a"], gradient_norms=[[0.0]])
    ).get_yscale() == "linear"  # fmt: skip


def test_one_look_is_visible():
    ax = plot_gradient_flow(flow(1, 1))

    assert ax.lines[0].get_marker() == "o" and list(ax.get_xticks()) == [0]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"steps": [], "gradient_norms": []}, ValueError, "nothing was recorded"),
        ({"steps": [0]}, ValueError, "a list for each of 1 steps"),
        ({"layers": ["a"]}, ValueError, "a number for each of 1 layers"),
    ],
)
def test_records_that_do_not_fit_are_refused(change, error, match):
    given = flow()
    vars(given).update(change)

    with pytest.raises(error, match=match):
        plot_gradient_flow(given)


def test_what_is_no_record_is_refused():
    with pytest.raises(TypeError, match="got dict, which has no steps"):
        plot_gradient_flow({})
    with pytest.raises(ValueError, match="quantity to be one of 'gradient_norms'"):
        plot_gradient_flow(flow(), quantity="norms")


def test_the_callbacks_are_taken_as_they_are(model):
    model.compile("sgd", "mse")
    gradients = bp.callbacks.GradientFlow(every=1)
    activations = bp.callbacks.ActivationStatistics(every=1)
    model.fit(X, X[:, :2], batch_size=10, verbose=0, callbacks=[gradients, activations])

    ax = plot_gradient_flow(gradients)
    assert legend_of(ax) == ["hidden", "end"]
    assert list(ax.lines[0].get_ydata()) == [row[0] for row in gradients.gradient_norms]
    assert ticks_of(plot_activation_histograms(activations).yaxis) == ["end", "hidden"]


# ------------------------------------------------------------------------------------- activations


def test_histograms_are_numpys_of_what_layers_put_out(model):
    found = activation_histograms(model, X, bins=7)

    assert list(found) == ["hidden", "end"]
    for name, y in model.activations(X).items():
        counts, edges = np.histogram(y.astype(float), 7)
        assert np.array_equal(found[name][0], counts) and np.array_equal(found[name][1], edges)


def test_values_that_are_not_finite_are_in_no_bin():
    layer = bp.layers.Lambda(lambda x: np.log(np.abs(x)) * np.where(x > 5, np.nan, 1), name="log")
    lost = bp.Sequential([bp.Input((3,)), layer])

    with np.errstate(all="ignore"):
        counts, _ = activation_histograms(lost, [[0.0, 6.0, 1.0]], layers="log")["log"]

    assert counts.sum() == 1


def test_each_layer_has_a_row_with_roots_of_its_counts(model):
    ax = plot_activation_histograms(model, X, bins=5)

    found = list(activation_histograms(model, X, bins=5).values())
    for k, (patch, (counts, edges)) in enumerate(zip(ax.patches, found, strict=True)):
        heights, drawn, bottom = patch.get_data()
        assert np.array_equal(drawn, edges) and bottom == 1 - k
        assert np.allclose(heights - bottom, 0.85 * np.sqrt(counts / counts.max()))
    assert ticks_of(ax.yaxis) == ["end", "hidden"]  # from the bottom up
    assert ax.get_xlabel() == "activation (height: root of its frequency)"


def test_layers_may_be_chosen(model):
    kept = SimpleNamespace(histograms=activation_histograms(model, X))

    assert ticks_of(plot_activation_histograms(model, X, layers="end").yaxis) == ["end"]
    assert ticks_of(plot_activation_histograms(kept, layers=["end"]).yaxis) == ["end"]


def test_a_layer_of_zeros_and_many_layers_are_drawn():
    zeros = {f"layer {k}": np.histogram(np.zeros(9), 4) for k in range(100)}

    ax = plot_activation_histograms(SimpleNamespace(histograms=zeros))

    assert len(ax.patches) == 100 and len(ticks_of(ax.yaxis)) == 25
    assert outside(ax.figure) == []


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: plot_activation_histograms(m), TypeError, "needs x"),
        (lambda m: plot_activation_histograms("m", X), TypeError, "expects a model and x"),
        (lambda m: activation_histograms(m, X, bins=0), ValueError, "bins"),
        (
            lambda m: plot_activation_histograms(SimpleNamespace(histograms={}), X),
            TypeError,
            "takes no x",
        ),
        (
            lambda m: plot_activation_histograms(SimpleNamespace(histograms={})),
            ValueError,
            "nothing was recorded",
        ),
        (
            lambda m: plot_activation_histograms(
                SimpleNamespace(histograms={"a": ([1], [0, 1])}), layers="b"
            ),
            ValueError,
            "no histogram of 'b': only of a",
        ),
    ],
)
def test_what_has_no_histogram_is_refused(model, call, error, match):
    with pytest.raises(error, match=match):
        call(model)
