"""Each rank keeps 1/n of what the optimizer remembers, and updates 1/n of the weights.

    g_r = Σ over ranks of their gradients, of rank r's part        reduce-scatter
    w_r ← update(w_r, g_r)                                         the optimizer, as it is
    w   = w_0, w_1 ... w_(n-1)                                     all-gather

An optimizer is a function of vectors, so it need not know: it is given a `ParameterVector` that
consists of this rank's pieces. One that looks at whole parameters, at their norm or their rows, is
given whole ones. Two things are of all pieces: norms for clipping are summed over the ranks, and
constraints are applied to the whole parameters, by each rank.

Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter models", 2020:
this is its first stage, with the second's reduce-scatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from backprop.distributed.updates import Updates
from backprop.optimizers.optimizer import norm
from backprop.optimizers.slots import ACCUMULATOR
from backprop.parameters import Parameter
from backprop.vector import ParameterVector, Segment

Array = np.ndarray


class Piece(Parameter):
    """A part of a parameter that an optimizer takes for one."""

    def __init__(self, parameter: Parameter, part: slice, number: int):
        self.whole, self.part, self.number = parameter, part, number
        self._layer, self.name = parameter._layer, parameter.name
        self.constraint = self.regularizer = self.memory = None
        self.find()

    def find(self) -> None:
        """Take the values where the parameter has them now."""
        value, self.gradient = self.whole.value, self.whole.gradient
        if self.part != slice(0, value.size):
            value, self.gradient = (
                value.reshape(-1)[self.part],
                self.gradient.reshape(-1)[self.part],
            )
        self.value = value


class Shard(ParameterVector):
    """A rank's part of a model's parameters.

    Parameters
    ----------
    vector : ParameterVector
        Of the model.
    rank, size : int
    whole : bool
        Whether parameters are not to be divided.

    Attributes
    ----------
    parts : list of slice
        Of each rank, of all values in order.
    """

    def __init__(self, vector: ParameterVector, rank: int, size: int, whole: bool):
        self.vector, self.rank = vector, rank
        ends = np.cumsum([0, *(p.size for p in vector.parameters)]).tolist()
        self.starts = dict(zip(map(id, vector.parameters), ends[:-1], strict=True))
        cuts = [-(-k * ends[-1] // size) for k in range(size + 1)]
        if whole:  # at the next border
            cuts = [min(end for end in ends if end >= cut) for cut in cuts]
        self.parts = [slice(a, b) for a, b in pairwise(cuts)]
        mine = self.parts[rank]
        self.parameters: list[Any] = []
        for number, (p, start) in enumerate(zip(vector.parameters, ends, strict=False)):
            a, b = max(start, mine.start), min(start + p.size, mine.stop)
            if a < b:
                self.parameters.append(Piece(p, slice(a - start, b - start), number))
        self._of: list[Segment] | None = None

    def counts(self, segment: Segment) -> list[int]:
        """How many values of a stretch each rank has."""
        start = self.starts[id(segment.parameters[0])]
        stop = start + segment.size
        return [max(0, min(p.stop, stop) - max(p.start, start)) for p in self.parts]

    def own(self, segment: Segment) -> slice:
        """This rank's part of a stretch."""
        counts = self.counts(segment)
        start = sum(counts[: self.rank])
        return slice(start, start + counts[self.rank])

    def refresh(self) -> None:
        self.vector.refresh()

    def segments(self) -> list[Segment]:
        """This rank's part of the model's trainable stretches, without those of which it has none.
        Their gradients are arrays of their own."""
        segments = self.vector.segments()
        if segments is not self._of:
            self._of, self._segments = segments, []
            for piece in self.parameters:
                piece.find()
            for s in segments:
                here, found = self.own(s), Segment.__new__(Segment)
                if here.start < here.stop:
                    wholes = set(map(id, s.parameters))
                    found.memory, found.values = s.memory, s.values[here]
                    found.gradients = np.zeros_like(found.values)
                    found.parameters = [q for q in self.parameters if id(q.whole) in wholes]
                    found.start = self.starts[id(s.parameters[0])] + here.start
                    self._segments.append(found)
                    self._lend(found)
        return self._segments

    def _lend(self, segment: Segment) -> None:
        """Give the pieces their gradients in a stretch."""
        start = 0
        for piece in segment.parameters:
            part = segment.gradients[start : start + piece.size]
            piece.gradient = part.reshape(piece.shape)
            start += piece.size


class ShardedUpdates(Updates):
    """Every rank has its part of the optimizer."""

    shard: Shard | None = None
    _excluded: Any = None

    def build(self, parameters: ParameterVector) -> None:
        optimizer, ranks = self.optimizer, self.ranks
        self.shard = Shard(parameters, ranks.rank, ranks.size, optimizer.by_parameter)
        self._excluded = optimizer._excluded_values
        wholes = [p for p in parameters.parameters if optimizer._excludes(p)]
        optimizer._check_exclusions(parameters.parameters)
        optimizer._excluded_values = tuple(
            q for q in self.shard.parameters if any(q.whole is p for p in wholes)
        )
        with self.in_parts():  # what a file had for the optimizer
            optimizer.build(self.shard)

    def begin(self) -> None:
        """Take this rank's part of rank 0's optimizer, where there is one already."""
        optimizer = self.optimizer
        if self.shard is None:
            state = self.ranks.comm.bcast(optimizer.get_state() if self.ranks.is_main else None)
            optimizer._slots = optimizer._vector = optimizer._segments = None
            self.build(self.ranks.trainer.model.parameters)
            with self.in_parts():
                optimizer.set_state(state)

    # ------------------------------------------------------------------ steps

    def update(self, parameters: ParameterVector, segments: list[Segment]) -> None:
        optimizer, ranks, shard = self.optimizer, self.ranks, self.shard
        assert shard is not None
        own = shard.segments()
        self._scatter([s.gradients for s in segments], segments, [s.gradients for s in own])
        clips = optimizer._clips and not optimizer.clipvalue
        if clips:
            self._clip(own)
        try:
            if clips:
                optimizer.__dict__["_clips"] = False
            optimizer.step(shard)
        finally:
            if clips:
                optimizer.__dict__["_clips"] = True
        from mpi4py import MPI as mpi

        for s in segments:
            ranks.comm.Allgatherv(mpi.IN_PLACE, [s.values, shard.counts(s)])
            for p in s.parameters:
                if p.constraint is not None:
                    p.value[...] = p.constraint(p.value)

    def count(self, parameters: ParameterVector) -> None:
        assert self.shard is not None
        for s in self.shard.segments():
            s.gradients[...] = 0
        self.optimizer.step(self.shard)

    def add(self, sums: Sequence[Array], segments: list[Segment]) -> None:
        assert self.shard is not None
        own = self.shard.segments()
        found = [np.zeros_like(s.gradients) for s in own]
        self._scatter(sums, segments, found)
        for s, gathered in zip(own, found, strict=True):
            start = 0
            for piece in s.parameters:
                part = self.optimizer._slots.of(ACCUMULATOR, piece)
                part += gathered[start : start + piece.size].reshape(piece.shape)
                start += piece.size

    def _scatter(
        self, sums: Sequence[Array], segments: list[Segment], found: Sequence[Array]
    ) -> None:
        """Sum stretches over the ranks, each rank its part."""
        assert self.shard is not None
        left = iter(found)
        for whole, s in zip(sums, segments, strict=True):
            counts = self.shard.counts(s)
            part = next(left) if counts[self.ranks.rank] else np.zeros(0, whole.dtype)
            self.ranks.comm.Reduce_scatter(whole, part, counts)

    def _clip(self, own: list[Segment]) -> None:
        """Clip the gradients by norms over all ranks."""
        optimizer, ranks = self.optimizer, self.ranks
        every = optimizer._accumulates or 1
        pieces: list[Any] = [piece for s in own for piece in s.parameters]
        if every > 1:  # what was accumulated and told before counts too
            for piece in pieces:
                gathered = optimizer._slots.of(ACCUMULATOR, piece)
                piece.gradient += gathered
                gathered[...] = 0
        squares = np.zeros(len(ranks.trainer.model.parameters.parameters))
        for piece in pieces:
            squares[piece.number] = (norm(piece.gradient) / every) ** 2
        sizes = np.sqrt(ranks.sum(squares))
        limit = optimizer.global_clipnorm
        if limit:
            sizes[...] = np.sqrt(squares.sum())
        limit = limit or optimizer.clipnorm
        for piece in pieces:
            if limit < sizes[piece.number] < math.inf:
                piece.gradient *= limit / sizes[piece.number]

    # ------------------------------------------------------------------ the state

    def _joined(self) -> dict[str, Array]:
        """The state of the whole optimizer."""
        state = self.optimizer.get_state()
        names = self.optimizer._names()
        return state | {n: np.concatenate(self.ranks.comm.allgather(state[n])) for n in names}

    def _part(self, state: dict[str, Any]) -> dict[str, Any]:
        """This rank's part of such a state."""
        own = self.optimizer.get_state()
        found = dict(state)
        for name in self.optimizer._names():
            sizes = self.ranks.comm.allgather(own[name].size)
            start = sum(sizes[: self.ranks.rank])
            if name in state and np.size(state[name]) == sum(sizes):
                found[name] = np.asarray(state[name])[start : start + own[name].size]
        return found

    @contextmanager
    def whole(self) -> Iterator[None]:
        self.flush()
        state = self._joined()
        self.optimizer.__dict__["get_state"] = lambda: state
        try:
            yield
        finally:
            del self.optimizer.__dict__["get_state"]

    @contextmanager
    def in_parts(self) -> Iterator[None]:
        optimizer, take = self.optimizer, self.optimizer.set_state
        optimizer.__dict__["set_state"] = lambda state: take(
            state if optimizer._slots is None else self._part(dict(state))
        )
        try:
            yield
        finally:
            del optimizer.__dict__["set_state"]

    def gather(self) -> None:
        state, optimizer = self._joined(), self.optimizer
        self.release()
        optimizer.build(self.ranks.trainer.model.parameters)
        optimizer.set_state(state)

    def release(self) -> None:
        if self.shard is not None:
            self.shard = None
            optimizer = self.optimizer
            optimizer._excluded_values = self._excluded
            optimizer._slots = optimizer._vector = optimizer._segments = None
