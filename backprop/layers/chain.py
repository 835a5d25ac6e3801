"""The chain rule, as a loop: layers one behind the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from backprop.counts import in_a_row
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Layer, Shape
from backprop.layer_arrays import NOT_BUILT
from backprop.layers.containers import Row
from backprop.masks import cleaned, only_real
from backprop.parameters import Parameter
from backprop.promises import came_back


class Chain(Row):
    """y = fₖ(… f₂(f₁(x))): layers one behind the other.

        x: (N, ...)    y: (N, ...), as fₖ has it

    By the chain rule dL/dx of a layer is dL/dy of the one before it, so `backward` walks the
    layers in reverse and hands each its cache. A layer that stands in two places has
    one set of values; its gradient is the sum over the places.

    Parameters
    ----------
    layers : list of Layer, optional
        An `Input` at the front declares the input's shape.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Chain, Dense, ReLU
    >>> Chain([Dense(8), ReLU(), Dense(2)])(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, layers: Iterable[Any] | None = None, **kwargs):
        super().__init__(**kwargs)
        self._steps: list[Layer] = []  # what runs: the layers, and penalties on their activity
        self._places: list[int] = []  # of each step, the index of its layer
        self._shapes: list[Shape] = []  # of each step, that of its input
        self._again: list[list[Parameter]] = []  # of each, what stands elsewhere too
        self._first = 0  # the first step that changes a gradient
        self.take(layers)

    def build(self, input_shape):
        steps: list[Layer] = []
        places, shapes = [], []
        ends = [tuple(input_shape)]
        for i, layer in enumerate(self.layers):
            ends.append(self.build_part(layer, i, ends[-1]))
        for i, (layer, casts) in enumerate(zip(self.layers, self.casts(), strict=True)):
            penalty = layer.activity_regularizer
            after = [] if penalty is None else [ActivityPenalty(penalty)]
            steps += [*casts, layer, *after]
            places += [i] * (len(steps) - len(places))
            shapes += [ends[i]] * (len(casts) + 1) + [ends[i + 1]] * len(after)
        self._steps, self._places, self._again = steps, places, repeated(steps)
        self._shapes, self._tried, self._reversed = shapes, frozenset(), False
        self._first = next(
            (i for i, s in enumerate(steps) if s.arrays() or isinstance(s, ActivityPenalty)),
            len(steps),
        )

    multiply_adds = in_a_row

    def propagate(self, x, ctx):
        if not self.built:
            raise ValueError(f"{self.name} cannot run{NOT_BUILT}")
        caches = []
        i = 0
        tried = ctx.training in self._tried
        try:
            if tried and ctx.mask is None and not self.makes_masks:
                for i, step in enumerate(self._steps):  # noqa: B007 - the handler says where
                    if ctx.backward:
                        x, cache = step.forward(x, ctx)
                        caches.append(cache)
                    else:  # nothing outlives its layer
                        x = step.forward(x, ctx)[0]
                return x, caches, None
            x = cleaned(x, ctx.mask)  # and wherever a mask comes up
            for i, step in enumerate(self._steps):  # noqa: B007 - the handler says where
                x, cache, mask = step.propagate(x, ctx) if tried else step.try_out(x, ctx)
                if mask is not ctx.mask:
                    ctx = ctx.with_mask(mask)
                    x = cleaned(x, ctx.mask)
                if ctx.backward:
                    caches.append(cache)
                cache = None  # in inference nothing outlives its layer
        except Exception as error:
            i = max(i, len(caches))
            given = f"{show_shape(x.shape[1:])} {x.dtype}"
            raise self.located(error, self._places[i], given) from error
        if not tried:
            self._tried |= {ctx.training}
        return x, caches, ctx.mask

    def backward(self, dy, caches):
        return self._reverse(dy, caches, True, False)

    def backward_params(self, dy, caches):
        self._reverse(dy, caches, False, False)

    @property
    def ends_in_softmax(self):
        return bool(self._steps) and self._steps[-1].ends_in_softmax

    def backward_logits(self, dz, caches, *, dx=True):
        return self._reverse(dz, caches, dx, True)

    def _reverse(self, dy, caches, dx: bool, logits: bool) -> Any:
        """Walk back, to the first step where dL/dx is wanted, else to the first with parameters."""
        again: list[tuple[Parameter, Array]] = []
        first = 0 if dx else self._first
        known, i = self._reversed, 0
        try:
            for i in range(len(self._steps) - 1, first - 1, -1):
                step: Any = self._steps[i]
                wanted = dx or i > first
                if logits:
                    found = step.backward_logits(dy, caches[i], dx=wanted)
                    logits = False
                elif wanted:
                    found = step.backward(dy, caches[i])
                else:
                    found = step.backward_params(dy, caches[i])
                if wanted:
                    dy = found if known else came_back(step, found, self._shapes[i])
                if self._again[i]:
                    again += [(p, p.gradient.copy()) for p in self._again[i]]
        except Exception as error:
            raise self.located_back(error, self._places[i], dy) from error
        if not known:
            self._reversed = True
        if again:
            add_up(again)
        return dy

    @property
    def can_step(self):
        return self.built and all(step.can_step for step in self._steps)

    def step(self, x, memory):
        after = []
        for step, before in zip(self._steps, memory or [None] * len(self._steps), strict=True):
            x, found = step.step(x, before)
            after.append(found)
        return x, after


def repeated(steps: list[Layer]) -> list[list[Parameter]]:
    """For each step, the parameters with a gradient that stand in another step too."""
    trained = [[p for p in step.arrays() if p.gradient is not None] for step in steps]
    count = Counter(id(p) for parameters in trained for p in parameters)
    return [[p for p in parameters if count[id(p)] > 1] for parameters in trained]


def add_up(places: list[tuple[Parameter, Array]]) -> None:
    """Set each gradient to the sum of those that it had in its places."""
    begun = set()
    for p, gradient in places:
        if id(p) in begun:
            p.gradient += gradient
        else:
            p.gradient[...] = gradient
            begun.add(id(p))


class ActivityPenalty(Layer):
    """y = x, and the loss grows by penalty(x) / batch size.

        dx = dy + penalty'(x) / batch size

    Under a mask x counts as 0 at masked steps, where dx is dy.

    A container puts it behind a layer that has an `activity_regularizer`.
    """

    time_local = True
    penalises = True  # type: ignore[assignment] - whatever it is given

    def __init__(self, regularizer, **kwargs):
        super().__init__(**kwargs)
        self.regularizer = regularizer

    def forward(self, x, ctx=INFERENCE):
        counted = only_real(x, ctx.mask)
        if ctx.penalties is not None and len(x):
            ctx.penalties.append(self.regularizer(counted) / len(x))
        return x, (counted, ctx.mask)

    def backward(self, dy, cache):
        counted, mask = cache
        slope = only_real(self.regularizer.gradient(counted), mask)
        return dy + slope / max(len(counted), 1)


def as_layer(item) -> Layer:
    """A layer, or a list of layers as a `Chain`; a chain too where an activity is penalised."""
    if isinstance(item, Layer):
        return item if item.activity_regularizer is None else Chain([item])
    return Chain(item)
