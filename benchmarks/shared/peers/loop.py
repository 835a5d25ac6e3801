"""The loop that all the libraries without a loop of their own are timed in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from shared.rows import Array


class Calls:
    """`predict(x)` of the inputs, again and again.

    Parameters
    ----------
    predict : callable
        x → y, in whatever type it comes.
    inputs : iterable
        In the library's own type.
    wait : callable, optional
        Given the last y, waits until it is there.
    read : callable, default numpy.array
        y → the array as Keras has it.
    """

    def __init__(
        self,
        predict: Callable[[Any], Any],
        inputs: Iterable[Any],
        wait: Callable[[Any], Any] = lambda y: None,
        read: Callable[[Any], Array] = np.array,
    ):
        self.predict = predict
        self.read = read
        self.inputs = itertools.cycle(inputs)
        self.wait = wait

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        return [], [self.read(self.predict(next(self.inputs))) for _ in range(2)]

    def run(self, steps: int) -> tuple[float, int]:
        predict, y = self.predict, None
        start = time.perf_counter()
        for x in itertools.islice(self.inputs, steps):
            y = predict(x)
        self.wait(y)
        return time.perf_counter() - start, steps


class Loop:
    """`step(x, y)` over the batches, again and again.

    Parameters
    ----------
    step : callable
        (x, y) → the loss, in whatever type it comes.
    batches : iterable of (x, y)
        In the library's own type.
    gradients : callable
        () → those of the last step, asked for after the first one only.
    wait : callable, optional
        Given the last loss, waits until the last step is done.
    before : callable, optional
        Given 1, 2, 3 ..., is called before each of the first steps, and with 0 after them.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        batches: Iterable[tuple[Any, Any]],
        gradients: Callable[[], list[Array]],
        wait: Callable[[Any], Any] = lambda loss: None,
        before: Callable[[int], None] = lambda t: None,
    ):
        self.step = step
        self.batches = itertools.cycle(batches)
        self.gradients = gradients
        self.wait = wait
        self.before = before

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        losses, gradients = [], []
        for t in range(1, steps + 1):
            self.before(t)
            losses.append(float(self.step(*next(self.batches))))
            gradients = gradients or [g.copy() for g in self.gradients()]
        self.before(0)
        return losses, gradients

    def run(self, steps: int) -> tuple[float, int]:
        step, loss = self.step, None
        start = time.perf_counter()
        for x, y in itertools.islice(self.batches, steps):
            loss = step(x, y)
        self.wait(loss)
        return time.perf_counter() - start, steps
