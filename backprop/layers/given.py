"""A graph step by step: some of its inputs are sequences that grow, the others are there as a
whole."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from backprop.layer import PREDICT, Array, Context
from backprop.layers.slots import Places, clean, put, put_masks, take, take_masks
from backprop.nest import as_one, as_tuple
from backprop.promises import declared_shape


class Given:
    """A graph as a function of some of its inputs, sequences that grow, where the others are given.

        y[t] = f(x[0], ..., x[t]; others)

    What depends on the others alone, an encoder, is computed once. What x reaches, a decoder, goes
    step by step where each of its layers can: along all arrays that it reads (`can_step`), or
    along the first where the others are whole (`can_step_query`), as attention to another sequence
    and recurrent layers with first states do. A layer of the second kind begins with what its
    ``remember(*others, mask=)`` makes of them, and `step` then gets the first array alone.

    Parameters
    ----------
    graph : Graph
    grows : iterable of int, default the first
        Which of its inputs grow.
    others : tuple of array, optional
        The other inputs, in order. Without them it can say whether it steps, and no more.
    masks : tuple of array, optional
        Theirs.

    Attributes
    ----------
    can_step : bool
        Whether y of whole sequences is that of one `step` after the other.
    """

    def __init__(
        self,
        graph: Any,
        grows: Iterable[int] = (0,),
        others: tuple | None = None,
        masks: tuple | None = None,
    ):
        places = dict(enumerate(graph._into))
        self.ends_in_softmax = graph.ends_in_softmax
        self.x = as_one([places.pop(i) for i in grows])
        self.y = as_one(graph._out)
        whole, self.steps, self.can_step = sorted_out(graph._steps, as_tuple(self.x))
        self.values: list[Any] = [None] * graph._size
        self.masks: list[Any] = [None] * graph._size
        if others is not None:
            put(self.values, tuple(places.values()), clean(others, masks))
            put_masks(self.masks, tuple(places.values()), masks)
            run(whole, self.values, self.masks, PREDICT)
            needed = {place for step in self.steps for place in as_tuple(step.reads)}
            for place in {*range(graph._size)} - needed:
                self.values[place] = self.masks[place] = None

    def step(self, x: Any, memory: Any) -> tuple[Any, list[Any]]:
        """y at further steps x of what grows, and the memory for those behind; see `Layer.step`."""
        values: list[Any] = [None] * len(self.values)
        put(values, self.x, x)
        after = []
        for step, before in zip(self.steps, memory or self.remember(), strict=True):
            y, found = step.layer.step(take(values, step.grows), before)
            put(values, step.writes, y)
            after.append(found)
        return take(values, self.y), after

    def remember(self) -> list[Any]:
        """What `step` begins with: what each layer makes of the arrays that are whole."""
        return [self._remember(step) if step.others else None for step in self.steps]

    def _remember(self, step: Growing) -> Any:
        mask = take_masks(self.masks, step.others)
        mask = mask if mask is None else as_one(mask)
        return step.layer.remember(*take(self.values, step.others), mask=mask)

    def propagate(self, x: Any, ctx: Context) -> tuple[Any, None, Any]:
        """y at all steps of what grows, and its mask."""
        values, masks = list(self.values), list(self.masks)
        put(values, self.x, clean(x, ctx.mask))
        put_masks(masks, self.x, ctx.mask)
        run(self.steps, values, masks, ctx)
        return take(values, self.y), None, take_masks(masks, self.y)

    def walk(self) -> Iterator[Any]:
        """The layers that what grows reaches."""
        for step in self.steps:
            yield from step.layer.walk()

    def compute_output_shape(self, shape: Any) -> Any:
        """Of y, for a shape of what grows."""
        known = [None if a is None else a.shape for a in self.values]
        put(known, self.x, shape)
        for step in self.steps:
            put(known, step.writes, declared_shape(step.layer, take(known, step.reads)))
        return take(known, self.y)

    def of_rows(self, rows: Array) -> Given:
        """The same for other rows of what is given, each as often as it is named."""
        twin = copy.copy(self)
        twin.values, twin.masks = of_rows(self.values, rows), of_rows(self.masks, rows)
        return twin


class Growing(NamedTuple):
    """A step of a graph that what grows reaches.

    Attributes
    ----------
    layer, reads, writes, training
        As in `wiring.Step`.
    grows : places
        Of what it reads, that which grows.
    others : tuple of int or None
        The rest, where that is whole.
    """

    layer: Any
    reads: Places
    writes: Places
    training: bool | None
    grows: Places
    others: tuple


def sorted_out(steps: list[Any], x: tuple[int, ...]) -> tuple[list[Any], list[Growing], bool]:
    """The steps that need nothing of what grows, those that do, and whether all of these can go
    step by step."""
    growing, ends = set(x), set()
    whole, found, can_step = [], [], True
    for step in steps:
        reads = as_tuple(step.reads)
        if growing.isdisjoint(reads):
            whole.append(step)
            continue
        along = [place in growing or place is None for place in reads]
        beside = not all(along)
        if beside:
            able = along[0] and not any(along[1:]) and getattr(step.layer, "can_step_query", False)
        else:
            able = step.layer.can_step
        can_step = can_step and able and not step.training and ends.isdisjoint(reads)
        first, *rest = as_tuple(step.writes)
        growing |= {first, *rest}
        ends |= {*rest}  # last states and the like: of a step, they are not those of the whole
        grows, others = (reads[0], reads[1:]) if beside else (step.reads, ())
        found.append(Growing(step.layer, step.reads, step.writes, step.training, grows, others))
    return whole, found, can_step


def run(steps: Iterable[Any], values: list, masks: list, ctx: Context) -> None:
    """Forward, of some steps of a graph."""
    for step in steps:
        own = ctx if step.training is None else ctx.with_training(step.training)
        own = own.with_mask(take_masks(masks, step.reads))
        y, _, mask = step.layer.propagate(take(values, step.reads), own)
        put(values, step.writes, y if mask is own.mask else clean(y, mask))
        put_masks(masks, step.writes, mask)


def of_rows(memory: Any, rows: Array) -> Any:
    """What was remembered, of other rows of a batch: arrays, whose first axis is the batch, in
    lists and tuples; what is none of these, or has a method `of_rows`, says itself what it is."""
    if hasattr(memory, "of_rows"):
        return memory.of_rows(rows)
    if isinstance(memory, list | tuple):
        make = getattr(memory, "_make", type(memory))  # a named tuple's
        return make([of_rows(item, rows) for item in memory])
    return memory[rows] if isinstance(memory, np.ndarray) else memory
