"""Who looks at whom: the weights of attention for one example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.checks import integer, sequence
from backprop.diagnostics.pictures.given import one_example, within
from backprop.diagnostics.pictures.look import (
    AMOUNT,
    axes_for,
    colour_bar,
    named_ticks,
    plain,
    room,
    show,
    tidy,
)
from backprop.layer import INFERENCE, Array, Layer
from backprop.layers import AdditiveAttention, Attention, AttentionInHeads
from backprop.nest import as_tuple
from backprop.taps import leave, listen

Kinds = AttentionInHeads | Attention | AdditiveAttention


def attention_weights(model: Any, x: Any, *, layer: Any = None) -> Array:
    """p[h, t, s]: how much query t takes of key s in head h, for one example.

    Parameters
    ----------
    model : Sequential or Model
        With an attention, or a block that has one, among its layers.
    x : array_like, or a tuple of them
        One example: a row for each input of the model, with or without an axis for the batch where
        there is one input.
    layer : str or Layer, optional
        An attention, or the first layer around one, by itself or by name. Default: the first
        attention of the model.

    Returns
    -------
    ndarray, (heads, T, S)
        In inference, of rows that add up to 1. Of a layer that is called several times the weights
        of the last call.

    Raises
    ------
    ValueError
        Where there is no such layer, and for several examples.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((5, 8)), bp.layers.TransformerBlock(16, 2)])
    >>> bp.diagnostics.attention_weights(model, np.zeros((5, 8))).shape
    (2, 5, 5)
    """
    weights, _ = weights_of(model, x, layer, "attention_weights()")
    return weights


def plot_attention(
    model: Any,
    x: Any,
    *,
    layer: Any = None,
    head: int | None = None,
    tokens: Sequence[Any] | None = None,
    keys: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how much each query of one example takes of each key.

    Parameters
    ----------
    model, x, layer
        As in `attention_weights`.
    head : int, optional
        Which head; the default is the mean of all.
    tokens : sequence of str, optional
        What the steps of the queries are called. Default: their numbers.
    keys : sequence of str, optional
        What those of the keys are. Default: `tokens`, where there are as many.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        A row for each query, a column for each key.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For a head that is not there, names that do not fit, and as `attention_weights`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3, 8)), bp.layers.TransformerBlock(16, 2)])
    >>> ax = bp.diagnostics.plot_attention(model, np.ones((3, 8)), tokens=["the", "cat", "sat"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['the', 'cat', 'sat']
    >>> plt.close()
    """
    who = "plot_attention()"
    weights, found = weights_of(model, x, layer, who)
    heads, queries, steps = weights.shape
    if head is not None and integer(head, who, "head", 0) >= heads:
        raise ValueError(f"{who} expects a head from 0 to {heads - 1} of {found.name}, got {head}")
    which = f"mean of {heads} heads" if head is None else f"head {head}"
    p = weights.mean(0) if head is None else weights[head]
    keys = tokens if keys is None and queries == steps else keys
    down = steps_named(tokens, queries, "tokens", who)
    across = steps_named(keys, steps, "keys", who)
    ax = axes_for(ax, who, 4.4 + room(down), 3.6 + room(across))
    image = show(ax, p, cmap=AMOUNT, vmin=0, vmax=max(float(np.nanmax(p, initial=0)), 1e-12))
    colour_bar(ax, image, f"weight in {plain(found.name)}: {which}")
    named_ticks(ax.xaxis, across)
    named_ticks(ax.yaxis, down)
    tidy(ax, title, "key (looked at)", "query (looks)", grid=False)
    ax.spines[:].set_visible(False)
    return ax


def steps_named(names: Any, n: int, name: str, who: str) -> list[str]:
    if names is None:
        return list(map(str, range(n)))
    found = list(map(str, sequence(names, who, name)))
    if len(found) != n:
        raise ValueError(f"{who} expects {name} to name {n} steps, got {len(found)}")
    return found


def weights_of(model: Any, x: Any, layer: Any, who: str) -> tuple[Array, Layer]:
    """The weights, (heads, T, S), and the attention that they are of."""
    if not hasattr(model, "activations"):
        raise TypeError(f"{who} expects a Sequential or a Model, got {model!r}")
    place: Any = model if layer is None else layer
    if isinstance(place, str):
        place = within(model, place)
    if not isinstance(place, Layer):
        raise TypeError(
            f"{who} expects layer to be a layer of the model or its name, got {place!r}"
        )
    found = next((part for part in place.walk() if isinstance(part, Kinds)), None)
    if found is None:
        raise ValueError(
            f"{who} finds no attention in {place.name}"
            f"{'' if model.built else ': the model is not built, call it on data first'}"
        )
    n = len(model.inputs) if model.built else 1
    if n > 1:
        x = tuple(np.asarray(part) for part in x) if isinstance(x, list | tuple) else ()
        if len(x) != n or any(part.shape[:1] != (1,) for part in x):
            got = ", ".join(str(part.shape) for part in x) or "something else"
            raise ValueError(
                f"{who} expects x to be a tuple of {n} arrays, of one row each, as {model.name} "
                f"has {n} inputs; got {got}"
            )
    else:
        x = one_example(model, x, who)
    with seen(found) as calls:
        model(x)
    if not calls:
        raise ValueError(f"{who}: {found.name} is no part of what {model.name} computes")
    given, mask = calls[-1]
    weights = call_again(found, given, mask)
    return np.asarray(weights[0] if weights.ndim == 4 else weights), found


@contextmanager
def seen(layer: Layer) -> Iterator[list[tuple[Any, Any]]]:
    """Within the block what the layer's forward is given, and under which mask, is kept."""
    calls: list[tuple[Any, Any]] = []

    def note(_: Layer, arguments: tuple, __: Any) -> None:
        x, ctx = (*arguments, INFERENCE)[:2]
        calls.append((x, ctx.mask))

    listen(layer, "forward", note)
    try:
        yield calls
    finally:
        leave(layer, "forward", note)


def call_again(layer: Any, x: Any, mask: Any) -> Array:
    if isinstance(layer, AttentionInHeads):
        return layer.scores(x, mask)
    return layer(list(as_tuple(x)), mask=mask, return_attention_scores=True)[1]
