"""Slices through a loss, along random directions whose size follows that of the weights.

    L(w + a d),  or  L(w + a d + b e)

Random directions as they are would say more of the size of the weights than of the loss: a network
with ReLUs is the same function where a layer is doubled and the next halved. So each filter of a
direction has the length of the same filter of the weights (Li, Xu, Taylor, Studer and Goldstein
2018, "Visualizing the loss landscape of neural nets", section 4); biases, and the scales of
normalization, stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.checks import flag, integer, number, one_of
from backprop.inspection.batches import LossOfWeights
from backprop.parameters import Parameter

Array = np.ndarray

WHO = "loss_landscape()"


@dataclass(frozen=True)
class Landscape:
    """The loss on a line or a plane through the weights.

    Attributes
    ----------
    a : ndarray (points,)
        How far along the first direction; the weights stand at 0.
    b : ndarray (points,) or None
        Along the second one.
    values : ndarray (points,) or (points, points)
        The loss at ``a[i]``, or at ``a[i], b[j]``.
    loss : float
        At the weights.
    directions : list of ndarray (n,)
        Over all trained weights in the model's order.
    """

    a: Array
    b: Array | None
    values: Array
    loss: float
    directions: list[Array]

    def __repr__(self) -> str:
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        shape = " x ".join(map(str, self.values.shape))
        return f"Landscape of {shape} points: {self.loss:.4g} here, from {low:.4g} to {high:.4g}"

    def plot(self, ax: Any = None) -> Any:
        """Draw it, a line or contours, and return the matplotlib `Axes`; needs ``backprop[plot]``.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        """
        ax = axes(ax)
        if self.b is None:
            ax.plot(self.a, self.values, linewidth=1.7)
            ax.plot([0], [self.loss], "o", color="black", markersize=5, label="the weights")
            ax.set_ylabel("loss")
        else:
            finite = np.where(np.isfinite(self.values), self.values, np.nan)
            lines = ax.contourf(self.a, self.b, finite.T, levels=20, cmap="viridis")
            ax.figure.colorbar(lines, ax=ax, label="loss")
            ax.plot([0], [0], "o", color="white", markeredgecolor="black", label="the weights")
            ax.set_ylabel("along the second direction")
        ax.set_xlabel("along a random direction, in lengths of the weights")
        ax.legend(frameon=self.b is not None)  # else it is not read before the colours
        return ax


def axes(ax: Any) -> Any:
    """Where to draw: what was given, or a new figure's."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a picture needs matplotlib: pip install "backprop[plot]"') from error
    return Figure(figsize=(5.2, 3.9), layout="constrained", dpi=120).subplots()


def loss_landscape(
    model: Any,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    dimensions: int = 2,
    points: int = 21,
    span: float = 1.0,
    training: bool = False,
    seed: int = 0,
) -> Landscape:
    """Slices through the loss of a batch; see `model.loss_landscape`."""
    one_of(dimensions, (1, 2), WHO, "dimensions")
    points = integer(points, WHO, "points", 2)
    span = number(span, WHO, "span", least=0, above=True)
    rng = np.random.default_rng(integer(seed, WHO, "seed", 0))
    loss = LossOfWeights(model, x, y, sample_weight, WHO, flag(training, WHO, "training"))
    directions = [normalised(loss, rng) for _ in range(dimensions)]
    a = np.linspace(-span, span, points)
    with np.errstate(all="ignore"):  # a network may overflow far from its weights
        if dimensions == 1:
            values = [loss.value(loss.start + s * directions[0]) for s in a]
        else:
            d, e = directions
            values = [[loss.value(loss.start + s * d + t * e) for t in a] for s in a]
    here = loss.value(loss.start)
    return Landscape(a, a if dimensions == 2 else None, np.array(values), here, directions)


def normalised(loss: LossOfWeights, rng: np.random.Generator) -> Array:
    """A random direction, each filter as long as the same filter of the weights."""
    draws = loss.split(rng.normal(size=loss.start.size))
    for p, w, d in zip(loss.parameters, loss.split(loss.start), draws, strict=True):
        if w.ndim < 2:
            d[...] = 0
            continue
        within = filter_axes(p)
        length = np.sqrt((w**2).sum(within, keepdims=True))
        d *= length / np.sqrt((d**2).sum(within, keepdims=True))
    return np.concatenate([d.ravel() for d in draws])


def filter_axes(p: Parameter) -> tuple[int, ...]:
    """The axes over which one filter extends: what reaches one unit; of a table of vectors, one of
    these."""
    last = len(p.shape) - 1
    return (last,) if p.name == "embeddings" else tuple(range(last))
