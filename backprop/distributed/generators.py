"""Draws of layers, such as dropout's, that are other ones on each rank and the same in each run.

The draws of a step are a function of (seed, epoch, step, rank, layer), so that a run that was
interrupted goes on with those that it would have had, whatever number of rows each rank has drawn
for. Only layers that draw in a step are set for the next: which these are is looked up in the first
step of each epoch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STRIDE = 2**64  # draws of one step at most; a generator has 2^128


class Generators:
    """The generators of a model's layers, set step by step."""

    def __init__(self, trainer: Any, rank: int):
        self.trainer, self.rank = trainer, rank
        self.epoch: int | None = None
        self.starts: list[tuple[Any, Any]] = []  # bit generators, and their first states
        self.unknown = False  # whether it is still to be found out who draws

    def set(self, epoch: int, step: int) -> None:
        """Set all generators for a step."""
        if epoch != self.epoch:
            self._begin(epoch)
        elif self.unknown:
            self.starts = [(g, s) for g, s in self.starts if g.state != self.before[id(g)]]
            self.unknown = False
        for generator, start in self.starts:
            generator.state = start
            generator.advance(step * STRIDE)
        if self.unknown:
            self.before = {id(g): g.state for g, _ in self.starts}

    def _begin(self, epoch: int) -> None:
        self.epoch, self.unknown, self.starts = epoch, True, []
        for i, layer in enumerate(self.trainer.model.walk()):
            if layer._rng is not None:
                key = np.random.SeedSequence([self.trainer.seed, epoch, self.rank, i])
                layer._rng.bit_generator.state = start = np.random.PCG64(key).state
                self.starts.append((layer._rng.bit_generator, start))
