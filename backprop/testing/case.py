"""One case of a law: a layer's configuration, its input, a seed, and how to run it.

A `Case` is what a law is tried on. It holds no layer: it makes as many as a law needs, each with
the same values, so that what one run does cannot hide in what the next one sees. A `Subject` is a
layer (or a loss) that was made for a case, with one way to run both kinds:

    y, cache = subject.forward()        dx = subject.backward(dy, cache)

Everything that is random (weights, dy, the layer's own draws) is a function of the case's seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backprop.gradcheck.point import allowed, both_signs, settle
from backprop.gradcheck.probe import built_in
from backprop.layer import Context, Layer
from backprop.layers import Graph
from backprop.nest import any_rows, as_one, as_tuple, each, each_shape, row_count, shapes
from backprop.promises import came_back, pair
from backprop.random import own_seeds
from backprop.testing.results import DoesNotApply, Results, copies, named, unique

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """A configuration and an input on which a law is tried.

    Parameters
    ----------
    make : function without arguments
        Makes a fresh layer or loss.
    x : ndarray, or tuple of ndarray or None
        The input, or the inputs; of a loss, the prediction.
    mask : ndarray of bool, or tuple of them or None, optional
    y_true, sample_weight : ndarray, optional
        Of a loss.
    training : bool, default True
    seed : int, default 0
        Of the weights, of dy and of the layer's own draws.
    tags : set of str
        What the author says about the layer, see `layer_laws`.
    reference : function, optional
        A naive forward pass.
    config : mapping
        What was drawn for the factory.
    guessed : bool, default False
        Whether nobody said what x is like.
    """

    make: Callable[[], Any]
    x: Any
    mask: Any = None
    y_true: Array | None = None
    sample_weight: Array | None = None
    training: bool = True
    seed: int = 0
    tags: frozenset[str] = frozenset()
    reference: Callable | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    guessed: bool = False

    @property
    def is_loss(self) -> bool:
        return self.y_true is not None

    @property
    def rows(self) -> int:
        return row_count(self.x)

    @property
    def floats(self) -> list[Array]:
        """The inputs that hold numbers with a derivative, and not integers or flags."""
        return [a for a in as_tuple(self.x) if a is not None and a.dtype.kind == "f"]

    @property
    def empty(self) -> bool:
        """Whether the first input has no numbers in it."""
        return not as_tuple(self.x)[0].size

    @property
    def batch_shape(self) -> tuple[Any, ...]:
        """What a layer is built for."""
        n = self.rows if "stateful" in self.tags else None
        return each_shape(lambda shape: (n, *shape[1:]), shapes(self.x))

    @property
    def sample_shape(self) -> tuple[Any, ...]:
        """The shape of x for any number of rows."""
        return any_rows(shapes(self.x))

    def rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])

    def dy(self, y: Any, stream: int = 1) -> Any:
        """An upstream gradient for `y`, or for each of several: both signs, none of it small."""
        rng = self.rng(stream)

        def one(y: Any) -> Array:
            y = np.asarray(y)
            signs = rng.choice([-1.0, 1.0], y.shape)
            return np.asarray(signs * rng.uniform(0.5, 1.5, y.shape)).astype(y.dtype)

        return each(one, y)

    def take(self, rows: Any) -> Case:
        """The case with some of its rows: a slice or an array of numbers."""

        def taken(a: Any) -> Any:
            return None if a is None else each(lambda a: a[rows], a)

        return replace(
            self,
            x=taken(self.x),
            mask=taken(self.mask),
            y_true=taken(self.y_true),
            sample_weight=taken(self.sample_weight),
        )

    def with_x(self, x: Any) -> Case:
        return replace(self, x=x)

    def changed(self, f: Callable[[Array], Array]) -> Case:
        """The case with f of each input that holds numbers."""
        return self.with_x(each(lambda a: f(a) if a.dtype.kind == "f" else a, self.x))

    def other(self) -> Case:
        """Another input of the same domain: its numbers differ, mask and targets are in another
        order, and it has one row more."""

        def one(x: Array) -> Array:
            if x.dtype.kind != "f":
                x = x.reshape(-1)[::-1].reshape(x.shape)
            elif x.size:
                x = 0.75 * x[::-1] + 0.25 * x.mean()
            return np.ascontiguousarray(x)

        changed, n = self.take(slice(None, None, -1)).with_x(each(one, self.x)), self.rows
        if "stateful" in self.tags or not n:
            return changed
        return changed.take(np.arange(n + 1) % n)

    def subject(self, dtype: Any = np.float64) -> Subject:
        """A fresh layer for this case, built and with generic values."""
        return Subject(self, dtype)


class Subject:
    """A layer or loss that was made for a case.

    Parameters
    ----------
    case : Case
    dtype : dtype, default float64
    layer : Layer, optional
        An object to run as it is. Default: a fresh one.
    generic : bool, default True
        Move a fresh layer's parameters as one of `MOODS` says, which the case's seed chooses, and
        its buffers by one pass in training on another batch.
    """

    def __init__(
        self, case: Case, dtype: Any = np.float64, *, layer: Any = None, generic: bool = True
    ):
        self.case = case
        self.dtype = np.dtype(dtype)
        with own_seeds(case.seed):
            self.layer: Any = built(case, self.dtype) if layer is None else layer
            self.generators = [part.rng.bit_generator for part in self.layer.walk()]
        weights = self.layer.arrays()
        self.parameters = [p for p in weights if p.gradient is not None]
        self.arrays = [*weights, *self.layer.states_kept()]
        # what passes move: buffers, and what the layer carries on
        self.buffers = [p for p in self.arrays if p.gradient is None]
        self.note()
        self.mood = "initial"
        if layer is None and generic:
            self.leave_special_values()

    def leave_special_values(self) -> None:
        rng = self.case.rng(0)
        mood = str(rng.choice([name for name, often in MOODS.items() for _ in range(often)]))
        moved = [
            allowed(p, p.value + rng.choice([-1.0, 1.0], p.shape) * rng.uniform(0.1, 0.5, p.shape))
            for p in self.parameters
        ]
        if mood == "moved":
            wanted = moved
        elif mood == "initial":
            wanted = [p.value.copy() for p in self.parameters]
        else:
            wanted = [
                allowed(p, in_mood(mood, value, rng))
                for p, value in zip(self.parameters, moved, strict=True)
            ]
        settle(self.parameters, moved, wanted, self.computable)
        self.mood = mood
        if self.buffers and self.case.rows:
            # by another batch: an average that stands at what x gives is moved by x no more
            self.forward(replace(self.case.other(), training=True))
            self.note()

    def computable(self) -> bool:
        """Whether y and all gradients are finite with the parameters as they are: a scale inside
        a root or a logarithm has but one sign."""
        try:
            with np.errstate(all="ignore"):
                return all(np.isfinite(a).all() for a in self.results().values())
        except Exception:  # whatever a layer says to a number that it does not expect
            return False
        finally:
            self.rewind()

    def note(self) -> None:
        """Remember the state that `rewind` goes back to."""
        self.state = [p.value.copy() for p in self.buffers], [g.state for g in self.generators]

    def rewind(self) -> None:
        """Put back buffers and generators, so that the next run is the same function again."""
        for p, value in zip(self.buffers, self.state[0], strict=True):
            p.value[...] = value
        for generator, state in zip(self.generators, self.state[1], strict=True):
            generator.state = state

    def resume(self, other: Subject) -> None:
        """Go on from the state that another subject of the same layer is in now."""
        other.note()
        self.state = other.state

    def cast(self, x: Any) -> Any:
        return each(lambda a: a.astype(self.dtype, copy=False) if a.dtype.kind == "f" else a, x)

    def given(self, x: Any, of: Any) -> Any:
        """x, or its mask, as the layer takes it: a graph has no input where there is none."""
        if type(of) is not tuple or x is None or not isinstance(self.layer, Graph):
            return x
        return present(x, of)

    def forward(
        self, case: Case | None = None, *, rewind: bool = True, asked: bool = True
    ) -> tuple[Any, Any]:
        """`(y, cache)` for the case's input, or for that of another case; what it adds to the loss,
        if it is asked to, is in `penalties` then."""
        case = self.case if case is None else case
        if rewind:
            self.rewind()
        x = self.given(self.cast(case.x), case.x)
        if case.is_loss:
            return self.layer.forward(case.y_true, x, case.sample_weight, case.mask)
        self.penalties: list | None = [] if asked else None
        mask = self.given(case.mask, case.x)
        ctx = Context(case.training, mask, penalties=self.penalties)
        return pair(self.layer, self.layer.forward(x, ctx))

    def backward(self, dy: Any, cache: Any) -> Any:
        """dx; for a loss, dy is dL/d(what `forward` returned)."""
        return backward(self.layer, dy, cache)

    def defined(self) -> None:
        """Raise unless all results are finite: what has no value cannot be compared."""
        for name, a in self.results().items():
            if not np.isfinite(a).all():
                raise DoesNotApply(f"{name} is not finite at this x")

    def results(self, case: Case | None = None, dy: Any = None) -> Results:
        """Everything that one pass forward and back computes, as copies."""
        case = self.case if case is None else case
        y, cache = self.forward(case)
        dx = self.backward(case.dy(y) if dy is None else dy, cache)
        return copies(named("y", y)) | self.reversed(dx)

    def reversed(self, dx: Any) -> Results:
        """What a backward pass computed, as copies; without dx where the input is integers."""
        return copies(self.of_inputs(dx)) | self.gradients()

    def of_inputs(self, dx: Any) -> Results:
        """dx as it is, of each input that holds numbers."""
        x = self.given(self.case.x, self.case.x)
        if type(x) is not tuple:
            return {"dx": came_back(self.layer, dx)} if x.dtype.kind == "f" else {}
        came_back(self.layer, dx, shapes(x))
        return {
            f"dx of {self.layer.input_name(k)}": d
            for k, (a, d) in enumerate(zip(x, dx, strict=True))
            if a is not None and d is not None and a.dtype.kind == "f"
        }

    def gradients(self) -> Results:
        single = len({p.layer.name for p in self.parameters}) <= 1
        names = unique(f"d{p.name}" if single else f"d{p.path}" for p in self.parameters)
        return {name: p.gradient.copy() for name, p in zip(names, self.parameters, strict=True)}

    def buffers_at_start(self) -> Results:
        """Copies of the buffers, as `rewind` puts them back."""
        names = unique(p.path for p in self.buffers)
        return {name: v.copy() for name, v in zip(names, self.state[0], strict=True)}

    def buffers_now(self) -> Results:
        """Copies of the buffers, as the last pass left them."""
        names = unique(p.path for p in self.buffers)
        return {name: p.value.copy() for name, p in zip(names, self.buffers, strict=True)}

    def poison_gradients(self, value: float = np.nan) -> None:
        for p in self.parameters:
            p.gradient[...] = value

    def adopt(self, other: Subject) -> None:
        """Take the values and buffers of a subject of another dtype."""
        for mine, its in zip(self.arrays, other.arrays, strict=True):
            mine.value[...] = its.value
        self.note()


# how parameters are drawn, and how often; each within its constraint, and only where the layer
# can be computed there
MOODS = {
    "moved": 2,  # by a tenth to a half: neither gamma = 1 nor bias = 0
    "both signs": 2,
    "large": 2,  # every third several times as large, and larger than 1, of both signs
    "tiny": 2,  # every third a thousandth of it, of both signs
    "zeros": 2,  # every third is 0, but for one that is alone
    "initial": 1,  # as a new layer has them
}


def in_mood(mood: str, value: Array, rng: np.random.Generator) -> Array:
    """Numbers of both signs, and every third of them as the mood says."""
    value = both_signs(value, rng)
    if mood == "both signs" or (mood == "zeros" and value.size == 1):
        return value
    chosen = rng.permutation(np.arange(value.size) % 3 == 0).reshape(value.shape)
    instead = {
        "large": np.copysign(
            rng.uniform(2, 6, value.shape) * np.maximum(np.abs(value), 0.5), value
        ),
        "tiny": 2.0**-10 * value,
        "zeros": np.zeros_like(value),
    }
    return np.where(chosen, instead[mood], value)


def built(case: Case, dtype: np.dtype) -> Any:
    """A fresh layer in a dtype, built for the case's input."""
    layer = case.make()
    if layer.takes_targets:
        layer.dtype = None  # that of y_pred
        return layer
    return built_in(layer, case.batch_shape, dtype)


def backward(layer: Any, dy: Array, cache: Any) -> Any:
    """dx, of a layer or of a loss, whose backward takes the two in another order."""
    return layer.backward(cache, dy) if layer.takes_targets else layer.backward(dy, cache)


class OfInputs(Layer):
    """y = f(x), where mask, targets and weights are those of a case: what a gradient check
    takes."""

    def __init__(self, inner: Layer, case: Case):
        super().__init__(dtype=np.float64)
        self.inner = inner
        self.case = case
        self.integer_input = inner.integer_input
        self.several_inputs = type(case.x) is tuple
        self.input_name = inner.input_name
        self.built = True

    def compute_output_shape(self, input_shape):
        return () if self.case.is_loss else self.inner.compute_output_shape(input_shape)

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=None):
        case = self.case
        if self.inner.takes_targets:
            # a loss is drawn with its targets
            y, cache = self.inner.forward(case.y_true, x, case.sample_weight, case.mask)  # type: ignore[arg-type]
            return np.asarray(y), cache
        return self.inner.forward(x, (ctx or Context()).with_mask(case.mask))

    def backward(self, dy, cache):
        return backward(self.inner, dy, cache)

    def __repr__(self) -> str:
        return repr(self.inner)


def present(x: tuple, of: tuple) -> Any:
    """Several arrays, or the one, without those that are not given."""
    return as_one([a for a, there in zip(x, of, strict=True) if there is not None])
