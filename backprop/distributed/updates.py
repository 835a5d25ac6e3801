"""From the gradients of all ranks to one update: summed by one all-reduce.

Under ``gradient_accumulation_steps`` the ranks' gradients are gathered by each for itself, in
`pending`, and summed when an update is due. The optimizer counts the steps in between with a
gradient of zeros: what it has accumulated is always the sum of all ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.optimizers.slots import ACCUMULATOR
from backprop.vector import ParameterVector, Segment

Array = np.ndarray


class Updates:
    """How the gradients of a step become an update.

    Attributes
    ----------
    pending : list of ndarray
        For each stretch of the model what this rank has gathered and the others do not know.
    """

    def __init__(self, ranks: Any):
        self.ranks = ranks
        self.optimizer = ranks.trainer.optimizer
        self.pending: list[Array] = []

    # ------------------------------------------------------------------ what a subclass writes

    def build(self, parameters: ParameterVector) -> None:
        """Build the optimizer."""
        raise NotImplementedError

    def update(self, parameters: ParameterVector, segments: list[Segment]) -> None:
        """Sum the gradients and step."""
        raise NotImplementedError

    def add(self, sums: Sequence[Array], segments: list[Segment]) -> None:
        """Add up `sums` over the ranks, and to what the optimizer has accumulated."""
        raise NotImplementedError

    def begin(self) -> None:
        """Make rank 0's optimizer that of all."""

    def gather(self) -> None:
        """Put together what the ranks have of the optimizer, on each of them."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within the block the optimizer of rank 0 tells the state of all of it."""
        self.flush()
        yield

    @contextmanager
    def in_parts(self) -> Iterator[None]:
        """Within the block the optimizer takes up the state of all of it."""
        yield

    def release(self) -> None:
        """The run is over, or has failed."""

    # ------------------------------------------------------------------ steps

    def step(self, parameters: ParameterVector) -> None:
        """One step of the optimizer."""
        segments, every = parameters.segments(), self.optimizer._accumulates
        if every is None:
            self.update(parameters, segments)
            return
        if [p.size for p in self.pending] != [s.size for s in segments]:
            self.flush()
            self.pending = [np.zeros_like(s.gradients) for s in segments]
        due = (self.optimizer._steps + 1) % every == 0
        for gathered, s in zip(self.pending, segments, strict=True):
            gathered += s.gradients
            s.gradients[...] = gathered if due else 0
            if due:
                gathered[...] = 0
        if due:
            self.update(parameters, segments)
        else:
            self.count(parameters)

    def count(self, parameters: ParameterVector) -> None:
        """A step without an update, whose gradients are zeros on all ranks."""
        self.optimizer.step(parameters)

    def flush(self) -> None:
        """Tell the others what is pending, before the optimizer's state is asked for."""
        if self.pending:
            self.add(self.pending, self.ranks.trainer.model.parameters.segments())
            self.forget()

    def forget(self) -> None:
        """Nothing is pending any more."""
        for gathered in self.pending:
            gathered[...] = 0

    def end(self) -> None:
        """The last step is done."""
        self.flush()
        self.pending = []
        self.gather()


class WholeUpdates(Updates):
    """Every rank has the whole optimizer, and makes the same update."""

    def build(self, parameters: ParameterVector) -> None:
        self.optimizer.build(parameters)

    def begin(self) -> None:
        comm = self.ranks.comm
        state = comm.bcast(self.optimizer.get_state() if self.ranks.is_main else None)
        if not self.ranks.is_main:
            self.optimizer.set_state(state)

    def update(self, parameters: ParameterVector, segments: list[Segment]) -> None:
        for s in segments:
            self.ranks.sum(s.gradients)
        self.optimizer.step(parameters)

    def add(self, sums: Sequence[Array], segments: list[Segment]) -> None:
        for gathered, s in zip(sums, segments, strict=True):
            self.ranks.sum(gathered)
            start = 0
            for p in s.parameters:
                part = self.optimizer._slots.of(ACCUMULATOR, p)
                part += gathered[start : start + p.size].reshape(p.shape)
                start += p.size
