"""A subject in float64 as one function of its input and its parameters.

    F: (x, parameters) → y, a vector        backward: v → ⟨v, dF⟩ for each of them

Of several inputs each is a variable of its own, and several outputs stand one behind the other in
y, so that each has a v of its own. A penalty on weights or activity, or what else a layer adds to
the loss, is one more entry of y, of weight 1. Every run starts from the same buffers and the same
states of the generators, so that F is a function: draws of dropout are the same in every run. The
subject itself is never touched, a copy is.

Entries of the input that stand for a mask are no numbers, and what happens when a step turns from a
padded into a real one is no slope: a slot says which of its entries stand still.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.context import Constants
from backprop.gradcheck.passes import Passes, Refused
from backprop.gradcheck.places import Direction, Place, Point, Run, Slot
from backprop.layer import Array, Context, Layer
from backprop.layers import Chain, Graph, InputLayer
from backprop.nest import any_rows, as_tuple, each, shapes
from backprop.parameters import Parameter
from backprop.promises import came_back, pair
from backprop.training.ends import ends_of
from backprop.training.hooks import is_model


def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
    """A pass of a probe whose errors are the user's at the given point alone."""

    @functools.wraps(method)
    def guarded(probe: Probe, at: Place | Run, *arguments: Any) -> Any:
        try:
            return method(probe, at, *arguments)
        except Exception as error:
            place = at.place if isinstance(at, Run) else at
            if probe.home is None or (place.point is probe.home and not place.h):
                raise
            raise Refused from error

    return guarded


class Probe:
    """A copy of a subject as a function of a point.

    Parameters
    ----------
    subject : Layer
        A layer, container, loss or model. One that is not built is built for `x`.
    x : ndarray, or tuple of ndarray or None
        The input, or the inputs; y_pred of a loss.
    y : ndarray, or tuple of ndarray or None, optional
        Targets of a compiled model, in order for several outputs, or of a loss.
    sample_weight : ndarray, optional
        Of a loss.
    mask : ndarray of bool, or tuple of them or None, optional
    training : bool
    dtype : dtype, default float64
    passes : Passes, optional
        Where passes are counted.
    """

    def __init__(
        self,
        subject: Any,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Array | None = None,
        mask: Any = None,
        training: bool = True,
        dtype: Any = np.float64,
        passes: Passes | None = None,
    ):
        for a in as_tuple(x):
            if a is not None and not (a.ndim and a.size):
                raise ValueError(f"gradcheck() expects rows to check on, got x of shape {a.shape}")
        self.subject, self.dtype = subject, np.dtype(dtype)
        self.mask, self.training = mask, training
        self.y, self.sample_weight = y, sample_weight
        self.passes = passes or Passes()
        self.layer: Any
        self.loss: Any = None  # of a compiled model: the loop that computes it
        if subject.takes_targets:
            self.layer = copy.deepcopy(subject)
            self.layer.dtype = None  # that of y_pred
            self.layer.check_targets(y, x.shape)
            self.layer.check_labels(y, x.shape)
        else:
            trainer: Any = getattr(subject, "trainer", None)
            if y is not None and (trainer is None or not trainer.has_loss):
                raise ValueError(
                    f"{subject!r} has no loss for y: compile it, or check it on x alone"
                )
            own = copy.deepcopy(subject, {id(trainer): None})
            self.layer = built_in(own, shapes(x), self.dtype)
            self.layer.check_input(shapes(x))
            if y is not None:
                y = ends_of(subject)[1].in_order(y, "y", partly=True)
                self.y = each(np.asarray, y)
                self.loss = self.layer.trainer = trainer.of_copy(self.layer, shortcuts=False)
        self.given = x
        self.home: Sequence[Array] | None = None  # the given point, once it was run
        self.rounded = False  # whether x is other than it was given
        self.constants: dict[int, tuple[Sequence[Array], Constants]] = {}  # of each point
        self.x = taken(self.layer, x, self.dtype)
        arrays = [*self.layer.arrays(), *self.layer.states_kept()]
        self.parameters: list[Parameter] = [p for p in arrays if p.gradient is not None]
        self.buffers = [(p, p.value.copy()) for p in arrays if p.gradient is None]
        self.generators = [
            (part.rng.bit_generator, copy.deepcopy(part.rng.bit_generator.state))
            for part in parts(self.layer)
        ]
        paths = names(self.parameters)
        self.slots = [Slot(n, p.shape, p) for n, p in zip(paths, self.parameters, strict=True)]
        for k, a in enumerate(as_tuple(self.x)):
            if a is not None and self.has_slope(k):
                still = standing_still(self.layer, a, k)
                self.slots.append(Slot(self.input_name(k), a.shape, still=still, k=k))

    @property
    def is_loss(self) -> bool:
        return self.layer.takes_targets

    @property
    def has_x(self) -> bool:
        return any(slot.parameter is None for slot in self.slots)

    @property
    def without_slope(self) -> dict[str, str]:
        """The inputs that were given and hold no numbers to differentiate, and what they hold."""
        return {
            self.input_name(k): "flags" if a.dtype == bool else "integers"
            for k, a in enumerate(as_tuple(self.given))
            if a is not None and not self.has_slope(k)
        }

    def has_slope(self, k: int) -> bool:
        """Whether the k-th input holds numbers to differentiate: no integers for a layer that takes
        such, and no flags among other inputs."""
        flags = type(self.given) is tuple and self.given[k].dtype == bool
        return not flags and not takes_integers(self.layer, k)

    def input_name(self, k: int) -> str:
        """What the k-th input is called."""
        if self.is_loss:
            return "y_pred"
        if type(self.x) is not tuple:
            return "x"
        return self.layer.input_name(k)

    @property
    def composite(self) -> bool:
        """Whether kinks of several layers may meet: then a slope outside their bracket may be
        right."""
        leaves = [part for part in self.layer.walk() if not part.sublayers()]
        return len(leaves) > 1 or is_model(self.layer)

    def index(self, name: str) -> int:
        """The slot of a name, with or without what an entry has behind it in brackets."""
        for i, slot in enumerate(self.slots):
            if slot.name == name.partition(" (")[0]:
                return i
        raise ValueError(f"{name!r} has no entries to look at")

    def with_targets(self, y: Any) -> Probe:
        """The same probe with other targets."""
        other = copy.copy(self)
        other.y = y
        return other

    def in_dtype(self, dtype: Any) -> Probe:
        """The same subject in another dtype, with the buffers and the draws of this one."""
        other = Probe(
            self.subject,
            self.given,
            self.y,
            sample_weight=self.sample_weight,
            mask=self.mask,
            training=self.training,
            dtype=dtype,
            passes=self.passes,
        )
        other.set_buffers([value for _, value in self.buffers])
        other.generators = [
            (mine, state)
            for (mine, _), (_, state) in zip(other.generators, self.generators, strict=True)
        ]
        return other

    @contextmanager
    def complex_in(self, slot: Slot) -> Iterator[None]:
        """A context in which a slot takes complex numbers."""
        p = slot.parameter
        if p is None:
            yield
            return
        real = p.value
        p.bind(real.astype(np.complex128), p.gradient)
        try:
            yield
        finally:
            p.bind(real, p.gradient)

    @property
    def point(self) -> Point:
        """Where the copy stands now."""
        x = as_tuple(self.x)
        return [(s.parameter.value if s.parameter else x[s.k]).copy() for s in self.slots]

    def set_buffers(self, values: Sequence[Array]) -> None:
        self.buffers = [
            (p, np.asarray(v, p.value.dtype))
            for (p, _), v in zip(self.buffers, values, strict=True)
        ]

    def stand(self, place: Place) -> None:
        """Write a place into the parameters, without an array of their size in between."""
        for slot, value, u in zip(self.slots, place.point, place.direction, strict=True):
            if slot.parameter is None:
                continue
            if u is None:
                slot.parameter.value[...] = value
            else:
                np.multiply(u, place.h, out=slot.parameter.value)
                slot.parameter.value += value

    def inputs(self, place: Place) -> Any:
        """x at a place: arrays of its own, as a layer may spoil them."""
        x = list(as_tuple(each(np.copy, self.x)))
        for slot, value, u in zip(self.slots, place.point, place.direction, strict=True):
            if slot.parameter is None:
                x[slot.k] = np.array(value) if u is None else value + place.h * u
        return tuple(x) if type(self.x) is tuple else x[0]

    def run(
        self, point: Sequence[Array], direction: Direction | None = None, h: float = 0.0
    ) -> Run:
        """One forward pass at point + h · direction, from the same buffers and generators as every
        other."""
        self.passes.check_time()
        place = Place(point, direction or [None] * len(point), h)
        with self.constants_at(point, direction):
            run = self.passed(place)
        if self.home is None:
            self.home = point
        return run

    @contextmanager
    def constants_at(self, point: Sequence[Array], direction: Direction | None) -> Iterator[None]:
        """What layers say to be constants is noted at a point, and given back around it."""
        known = self.constants.get(id(point))
        if direction is None:
            constants = Constants()
            with constants.noted():
                yield
            if constants.found:
                self.constants[id(point)] = point, constants
        elif known is not None and known[0] is point:
            with known[1].given_back():
                yield
        else:
            yield

    def called_constant(self) -> list[str]:
        """What layers have said to be constants."""
        return list(dict.fromkeys(w for _, c in self.constants.values() for w, _ in c.found))

    def outputs(self, point: Sequence[Array], direction: Direction, h: float, like: Run) -> Array:
        """y at point + h · direction; NaN, of the size of another run's, where it is refused."""
        try:
            return self.run(point, direction, h).y
        except Refused:
            return np.full(like.y.shape, np.nan)

    @refusing
    def passed(self, place: Place) -> Run:
        """`run`, at a place."""
        x = self.start(place)
        if self.is_loss:
            value, cache = self.layer.forward(self.y, x, self.sample_weight, self.mask)
            return Run(np.ravel(value).astype(np.float64), np.shape(value), cache, False, place)
        penalties: list = []
        ctx = Context(self.training, self.mask, penalties=penalties)
        out, cache, mask = propagate(self.layer, x, ctx)
        if self.loss is None:
            parts = [np.ravel(a) for a in as_tuple(out)]
            y = np.concatenate([*parts, [sum(penalties)]] if penalties else parts)
            return Run(y, shapes(out), cache, bool(penalties), place)
        if self.passes.forward == 1 and self.loss.loss is not None:
            self.loss.loss.check(self.y, shapes(out))
        value, dy, _ = self.loss._differentiate(x, self.y, out, None, mask)
        total = float(np.sum(value)) + sum(penalties) + sum(self.layer.losses)
        return Run(np.array([total]), (), (cache, dy), bool(penalties), place)

    def start(self, place: Place) -> Any:
        """x at a place, where parameters, buffers and generators are as every run begins."""
        for p, value in self.buffers:
            p.value[...] = value
        for generator, state in self.generators:
            generator.state = state
        self.stand(place)
        self.passes.forward += 1
        return self.inputs(place)

    def train(self, run: Run) -> tuple[float, list[Array]]:
        """The loss of a compiled model and its parameters' gradients, slot by slot, as a step of
        training finds them."""
        self.passes.check_time()
        loop = self.subject.trainer.of_copy(self.layer)
        x = self.start(run.place)
        for p in self.parameters:
            p.gradient[...] = np.nan  # what a step leaves as it was is not set
        self.passes.backward += 1
        value, _, _ = loop._gradients(x, self.y)
        return float(value), [s.parameter.gradient.copy() for s in self.slots if s.parameter]

    def weights(self, run: Run, rng: np.random.Generator) -> Array:
        """v: both signs, and sizes from 1/4 to 8, so that a gradient which is squared, clipped or
        ignored on its way is another one. A model's loss has weight 1, as in training."""
        if self.loss is not None:
            return np.ones(1)
        n = run.y.size - run.penalised
        v = rng.choice([-1.0, 1.0], n) * 2.0 ** rng.uniform(-2, 3, n)
        v = v.astype(np.float32).astype(np.float64)
        return np.append(v, 1.0) if run.penalised else v

    @refusing
    def reverse(self, run: Run, v: Array) -> list[Array]:
        """The gradient of <v, y> with respect to every slot, as copies."""
        self.passes.backward += 1
        self.stand(run.place)  # others may have run since
        if self.is_loss:
            dx = self.layer.backward(run.cache, run.upstream(v, self.dtype))
        elif self.loss is None:
            dx = self.layer.backward(run.upstream(v, self.dtype), run.cache)
        else:
            cache, dy = run.cache
            dx = self.layer.backward(dy, cache)
            for p in self.parameters:
                if p.regularizer is not None:
                    p.gradient += p.regularizer.gradient(p.value)
        if type(self.x) is tuple:
            came_back(self.layer, dx, shapes(self.x))
        elif not self.is_loss and self.has_x:
            came_back(self.layer, dx)
        found = []
        for slot in self.slots:
            g = slot.parameter.gradient if slot.parameter else as_tuple(dx)[slot.k]
            g = np.zeros(slot.shape, self.dtype) if g is None else np.array(g)
            if g.shape != slot.shape:
                raise ValueError(
                    f"{self.layer!r}: backward returned a gradient of shape {g.shape} for "
                    f"{slot.name} of shape {slot.shape}"
                )
            found.append(g)
        return found


def takes_integers(layer: Any, k: int) -> bool:
    """Whether a layer leaves the k-th input as it is: that of an embedding."""
    whole = layer.integer_input
    return whole[k] if isinstance(whole, tuple) else whole


def taken(layer: Any, x: Any, dtype: np.dtype) -> Any:
    """x as a layer of this dtype takes it."""
    found = [
        a if a is None or takes_integers(layer, k) else a.astype(dtype)
        for k, a in enumerate(as_tuple(x))
    ]
    return tuple(found) if type(x) is tuple else found[0]


def propagate(layer: Layer, x: Any, ctx: Context) -> tuple[Any, Any, Any]:
    """`layer.propagate`; what a forward returns that is no pair is named as such."""
    if type(layer).propagate is not Layer.propagate:
        return layer.propagate(x, ctx)
    y, cache = pair(layer, layer.forward(x, ctx))
    return y, cache, layer.compute_mask(x, ctx.mask)


def names(parameters: list[Parameter]) -> list[str]:
    """Paths, numbered where two are the same."""
    paths = [p.path for p in parameters]
    return [
        path if paths.count(path) == 1 else f"{path}#{1 + paths[:i].count(path)}"
        for i, path in enumerate(paths)
    ]


def built_in(layer: Layer, shape: tuple[Any, ...], dtype: np.dtype) -> Layer:
    """A layer that computes in a dtype and is built; one that was not is built itself, for batches
    of any size where it keeps nothing of each row."""
    if layer.built:
        return layer.astype(dtype)
    stateful = False
    for part in layer.walk():
        part.__dict__["dtype"] = dtype
        stateful |= getattr(part, "stateful", False)
    layer.build(shape if stateful else any_rows(shape))
    return layer


def parts(layer: Any) -> Iterator[Any]:
    """All layers in a layer; where one stands in several places, its replicas too."""
    for part in layer.walk():
        yield part
        replicas = {id(r.layer): r.layer for p in part._parameters.values() for r in p.replicas}
        yield from replicas.values()


def standing_still(layer: Any, x: Array, k: int = 0) -> Array | None:
    """Which entries of the k-th input stand for a mask; None if none does."""
    mask = mask_of(layer, x, k)
    if mask is None or mask.all():
        return None
    return np.broadcast_to(~mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)


def mask_of(layer: Any, x: Array, k: int = 0) -> Array | None:
    """The mask that a layer, or the first of a chain or of a graph, makes of its k-th input, x."""
    if isinstance(layer, Chain):
        first = next((part for part in layer.layers if not isinstance(part, InputLayer)), None)
        return None if first is None else mask_of(first, x)
    if isinstance(layer, Graph):
        found = (mask_of(part, x) for part in layer.readers(k))
        return next((mask for mask in found if mask is not None), None)
    if layer.sublayers() or layer.several_inputs or not getattr(layer, "changes_mask", False):
        return None
    mask = layer.compute_mask(x, None)
    return None if mask is None else np.asarray(mask, bool)


def largest(a: Array) -> float:
    """max|a|, without an array of its size; NaN if there is one."""
    return max(float(a.max(initial=0)), -float(a.min(initial=0)))
