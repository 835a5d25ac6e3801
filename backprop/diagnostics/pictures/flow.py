"""Pictures of what flows through a network: gradients backwards, activations forwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.checks import integer, one_of
from backprop.diagnostics.pictures.look import (
    AMOUNT,
    COLOURS,
    axes_for,
    beside,
    line_style,
    named_ticks,
    plain,
    pyplot,
    tidy,
    whole_steps,
)

FEW = 8  # layers that have a line with a name of its own
USUAL = 1e-3  # of an update to the weight that it changes, of their norms
QUANTITIES = {
    "gradient_norms": "norm of the gradient",
    "update_ratios": "norm of the update / norm of the weight",
}


def plot_gradient_flow(
    flow: Any, *, quantity: str = "gradient_norms", ax: Any = None, title: str = ""
) -> Any:
    """Draw the size of each layer's gradient over the steps of a run.

    Gradients vanish where the lines of early layers lie decades below those of late ones, and
    explode where it is the other way round.

    Parameters
    ----------
    flow : callbacks.GradientFlow
        After `fit`; or any object with ``steps``, ``layers`` and, a list for each step of a number
        for each layer, ``gradient_norms`` and ``update_ratios``.
    quantity : {"gradient_norms", "update_ratios"}, default "gradient_norms"
        With "update_ratios" how large each update is beside the weight that it changes; the grey
        line at 1e-3 is where that often is.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        The scale is logarithmic where anything is above 0; a norm of 0 falls out of it.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        Where nothing was recorded, or lists do not fit.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> norms = [[0.1, 1.0], [0.05, 0.8]]
    >>> flow = SimpleNamespace(steps=[0, 10], layers=["dense", "dense_1"], gradient_norms=norms)
    >>> ax = bp.diagnostics.plot_gradient_flow(flow)
    >>> [str(line.get_label()) for line in ax.lines]
    ['dense', 'dense_1']
    >>> plt.close()
    """
    who = "plot_gradient_flow()"
    one_of(quantity, tuple(QUANTITIES), who, "quantity")
    steps, layers, values = recorded(flow, quantity, who)
    ax = axes_for(ax, who)
    colours = depth_colours(len(layers))
    marker = "o" if len(steps) <= 20 else None
    for k, layer in enumerate(layers):
        style = line_style(k) if colours is None else {"color": colours[k], "linewidth": 1.2}
        ax.plot(steps, values[:, k], label=plain(layer), marker=marker, markersize=3.5, **style)
    if (values > 0).any():
        ax.set_yscale("log", nonpositive="clip")
    if quantity == "update_ratios":
        ax.axhline(USUAL, color="0.5", linewidth=1, zorder=1)
    whole_steps(ax, steps)
    if colours is None:
        beside(ax)
    else:
        depth_bar(ax, layers)
    return tidy(ax, title, "step", QUANTITIES[quantity])


def recorded(flow: Any, quantity: str, who: str) -> tuple[list[int], list[str], np.ndarray]:
    """Steps, layers, and what was recorded: (steps, layers)."""
    missing = [name for name in ("steps", "layers", quantity) if not hasattr(flow, name)]
    if missing:
        raise TypeError(
            f"{who} expects a GradientFlow callback, or what has its steps, layers and {quantity}; "
            f"got {type(flow).__name__}, which has no {missing[0]}"
        )
    steps, layers, rows = list(flow.steps), list(flow.layers), list(getattr(flow, quantity))
    if not steps or not layers:
        raise ValueError(f"{who} got a run of which nothing was recorded: train with the callback")
    if len(rows) != len(steps) or any(len(row) != len(layers) for row in rows):
        raise ValueError(
            f"{who} expects {quantity} to hold a list for each of {len(steps)} steps, with a "
            f"number for each of {len(layers)} layers"
        )
    return steps, layers, np.array(rows, float)


def depth_colours(layers: int) -> Any:
    """From input to output through a colour map, where there are too many layers for names."""
    if layers <= FEW:
        return None
    return pyplot().get_cmap(AMOUNT)(np.linspace(0.12, 0.88, layers))


def depth_bar(ax: Any, layers: list[str]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ScalarMappable(Normalize(0, 1), ListedColormap(depth_colours(len(layers))))
    bar = ax.figure.colorbar(shades, ax=ax, fraction=0.05, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels([plain(layers[0]), plain(layers[-1])])
    bar.set_label(f"{len(layers)} layers, from input to output")
    bar.outline.set_visible(False)


# ------------------------------------------------------------------------------------ activations


def activation_histograms(
    model: Any, x: Any, *, layers: Any = None, bins: int = 50
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """How often each layer puts out which values, in inference.

    Parameters
    ----------
    model : Sequential or Model
    x
        A batch, as a call of the model takes it.
    layers : list of str or Layer, or one of them, optional
        Of which layers. Default: of all but the inputs.
    bins : int, default 50

    Returns
    -------
    dict of str to (ndarray, ndarray)
        By the names of the layers, from input to output, the counts, (bins,), and the edges,
        (bins + 1,), as `numpy.histogram` has them. Values that are not finite are in no bin.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.ReLU(name="relu")])
    >>> x = np.array([[-1.0, -2.0, 4.0]])
    >>> counts, edges = bp.diagnostics.activation_histograms(model, x, bins=2)["relu"]
    >>> counts, edges
    (array([2, 1]), array([0., 2., 4.]))
    """
    bins = integer(bins, "activation_histograms()", "bins")
    found = {}
    for name, y in model.activations(x, layers).items():
        parts = y if isinstance(y, list | tuple) else [y]
        values = np.concatenate([np.ravel(part) for part in parts]).astype(float)
        found[name] = np.histogram(values[np.isfinite(values)], bins)
    return found


def plot_activation_histograms(
    source: Any,
    x: Any = None,
    *,
    layers: Any = None,
    bins: int = 50,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how often each layer puts out which values, a row for each, the input on top.

    Heights are square roots of frequencies, so that a few far values are seen beside the many
    zeros of a ReLU; the highest bin of each layer is as high as its row.

    Parameters
    ----------
    source : Sequential, Model or callbacks.ActivationStatistics
        A model, together with `x`; or the callback after `fit`, or any object whose ``histograms``
        is a dict of (counts, edges) by layer.
    x, layers, bins
        As in `activation_histograms`, with a model; with a callback `layers` may be names.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    TypeError, ValueError
        For a model without x, a callback with one, and layers of which nothing is known.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(4, "relu", name="hidden")])
    >>> ax = bp.diagnostics.plot_activation_histograms(model, np.ones((5, 3)))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['hidden']
    >>> plt.close()
    """
    who = "plot_activation_histograms()"
    found = histograms_of(source, x, layers, bins, who)
    ax = axes_for(ax, who, height=min(max(2.2, 0.45 * len(found) + 1.2), 9.0))
    for k, (counts, edges) in enumerate(found.values()):
        top = max(float(np.max(counts, initial=0)), 1.0)
        height = np.sqrt(np.asarray(counts) / top) * 0.85
        bottom = len(found) - 1 - k
        ax.stairs(
            height + bottom,
            edges,
            baseline=bottom,
            fill=True,
            facecolor=COLOURS[0],
            edgecolor=COLOURS[0],  # of a narrow bin its edge is what is seen
            alpha=0.75,
            linewidth=0.8,
        )
        ax.axhline(bottom, color="0.5", linewidth=0.5)
    named_ticks(ax.yaxis, list(found)[::-1])
    ax.set_ylim(-0.15, len(found))
    return tidy(ax, title, "activation (height: root of its frequency)", "layer")


def histograms_of(source: Any, x: Any, layers: Any, bins: int, who: str) -> dict[str, Any]:
    kept = getattr(source, "histograms", None)
    if kept is None:
        if not hasattr(source, "activations"):
            raise TypeError(f"{who} expects a model and x, or ActivationStatistics, got {source!r}")
        if x is None:
            raise TypeError(f"{who} of a model needs x, a batch that goes through it")
        return activation_histograms(source, x, layers=layers, bins=bins)
    if x is not None:
        raise TypeError(f"{who} of recorded histograms takes no x")
    if not isinstance(kept, Mapping):
        kept = dict(zip(source.layers, kept, strict=True))
    wanted = list(kept) if layers is None else [layers] if isinstance(layers, str) else list(layers)
    unknown = [name for name in wanted if name not in kept]
    if unknown or not wanted:
        raise ValueError(
            f"{who} has no histogram of {unknown[0]!r}: only of {', '.join(kept)}"
            if unknown
            else f"{who} got a run of which nothing was recorded: train with the callback"
        )
    return {name: kept[name] for name in wanted}
