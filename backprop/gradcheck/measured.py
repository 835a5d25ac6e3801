"""The record of what is measured at a point, from which all verdicts are made.

    φ(h) = <v, F(θ + h u)>      base = φ(0)      gradients: dφ/dθ by the backward pass, slot by slot

where F is a subject as a function (`probe`), θ a point, v a random upstream gradient. Nobody
changes a record: another point has another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backprop.gradcheck.places import Direction, Run
from backprop.gradcheck.point import direction_of
from backprop.gradcheck.probe import Array, Probe, largest


@dataclass(frozen=True)
class Measured:
    """A point, and what one forward and one backward pass say there.

    Attributes
    ----------
    probe : Probe
        F, to be evaluated elsewhere too.
    run : Run
        The forward pass.
    v : ndarray
        The upstream gradient.
    gradients : list of ndarray
        What the backward pass says, for each slot.
    rng : Generator
        From which directions are drawn.
    """

    probe: Probe
    run: Run
    v: Array
    gradients: list[Array]
    rng: np.random.Generator

    @property
    def point(self) -> Sequence[Array]:
        """θ, a value for each slot."""
        return self.run.place.point

    @cached_property
    def base(self) -> float:
        """φ(0)."""
        return float(self.v @ self.run.y)

    @cached_property
    def terms(self) -> float:
        """Σ |v y|: size of the terms that φ sums up."""
        return float(np.abs(self.v * self.run.y).sum())

    @cached_property
    def natural(self) -> float:
        """What a gradient that is next to nothing is compared with: the terms of φ, or v where
        the outputs are next to nothing as well."""
        return max(self.terms, largest(self.v))

    @property
    def finite(self) -> bool:
        """Whether φ and all gradients are."""
        return bool(np.isfinite([self.base, *map(largest, self.gradients)]).all())

    @cached_property
    def spread(self) -> float:
        """The root of Σ (v y)²: what φ moves by where all outputs scatter by their own size."""
        return float(np.linalg.norm(self.v * self.run.y))

    def phi(self, direction: Direction, h: float) -> float:
        """φ(h) along a direction; NaN where the subject refuses."""
        return float(self.v @ self.probe.outputs(self.point, direction, h, self.run))

    def share(self, h: float, direction: Direction) -> float:
        """A step along a direction, as a share of the size of the numbers that it moves."""
        pairs = zip(self.point, direction, strict=True)
        moved = [p.ravel() if u.all() else p[u != 0] for p, u in pairs if u is not None]
        count = sum(p.size for p in moved)
        rms = float(np.sqrt(sum(p @ p for p in moved) / count)) if count else 0.0
        return h / (rms or 1.0)

    def drawn(self, i: int) -> Array:
        """A random direction for slot i."""
        return direction_of(self.probe.slots[i], self.rng)

    def alone(self, i: int, u: Array | None = None) -> list[Array | None]:
        """Along u, or a random direction, in slot i; the others stand still."""
        direction: list[Array | None] = [None] * len(self.point)
        direction[i] = self.drawn(i) if u is None else u
        return direction


def measured(probe: Probe, run: Run, v: Array, rng: np.random.Generator) -> Measured:
    """The record of a forward pass, and of the backward pass that belongs to it."""
    return Measured(probe, run, v, probe.reverse(run, v), rng)


def drew_otherwise(wide: Measured, twin: Probe) -> bool:
    """Whether the pass in float32 drew other numbers than that in float64, as a generator does that
    is asked for numbers of x.dtype: then the two are different functions."""
    twin.run([p.astype(np.float32) for p in wide.point])
    wide.probe.run(wide.point)
    states = [[str(g.state) for g, _ in p.generators] for p in (wide.probe, twin)]
    return states[0] != states[1]
