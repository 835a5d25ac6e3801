"""What the callbacks share that look into a network while it trains: when to look, at which layers,
and how to say what is wrong.

A look costs as much as some steps of a small network, so there are few: at first often, then every
two hundredth step.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert
from backprop.callbacks.callback import Callback, Logs, lazy
from backprop.callbacks.kinds import Kind, count, each, text
from backprop.checks import integer
from backprop.config import Configurable
from backprop.layer import Layer
from backprop.layers.activations import Activation
from backprop.layers.containers import Listed
from backprop.layers.graph import Graph
from backprop.layers.recurrent.time import OverTime
from backprop.nest import as_tuple
from backprop.taps import Listener, leave, listen

Array = np.ndarray

EVERY = 200  # steps from one look to the next, in the long run
HELD = 3  # looks in a row that must agree, where one alone may be chance
LARGE_INPUT = 20.0  # the root mean square of an input; about 1 is usual, pixels as bytes have 100

# what all of them remember
LOOKED: dict[str, Kind] = {
    "seen": count,
    "steps": each(count),
    "layers": each(text),
    "warnings": each(text),
    "told": each(text),
}


def interval(value: Any, who: str, name: str) -> Any:
    return value if isinstance(value, str) and value == "auto" else integer(value, who, name)


class Looks(Configurable, Callback):
    """A callback that looks at some steps of a run, and says in a sentence what is wrong.

    A subclass writes `begin`, which is called before a step that is looked at, and `end`, which is
    called behind it; `attend` has it told of calls of layers in between.
    """

    writes_only = True
    remembers: ClassVar = LOOKED
    tables: ClassVar[tuple[str, ...]] = ()  # a row for each look, a number a layer
    added: ClassVar[dict[str, Kind]] = {}  # what files of before may lack

    every: Annotated[int | str, Convert(interval)] = "auto"

    def __post_init__(self):
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.seen = 0  # steps of the run
        self.steps: list[int] = []
        self.layers: list[str] = []
        self.warnings: list[str] = []
        self.told: list[str] = []  # the kinds of trouble of which nothing is said any more
        self._taps: list[tuple[Any, str, Listener]] = []
        self._parts: dict[str, Any] = {}
        self._recurrent: list[tuple[str, Any]] = []
        self._looking = False
        self._next = 0

    def set_state(self, state: Mapping[str, Any]) -> None:
        mine = self.get_state()
        state = {name: mine[name] for name in self.added} | dict(state)
        if isinstance(names := state.get("layers"), list) and not set(names) <= set(self._parts):
            raise ValueError(
                f"it looked at {', '.join(map(str, names))}, and there is "
                f"{', '.join(self._parts)} now"
            )
        for name in self.tables:
            rows = state.get(name)
            if isinstance(rows, list) and len(rows) != len(state.get("steps") or ()):
                raise ValueError(f"its {name} are not those of its steps")
        super().set_state(state)
        self._next = self._after(self.steps[-1]) if self.steps else 0

    def arrange(self) -> None:
        """Before the first step, when the parts of the model are known."""

    def begin(self) -> None:
        """Before a step that is looked at."""

    def end(self) -> None:
        """Behind it."""

    def attend(self, layer: Any, name: str, listener: Listener) -> None:
        """Be told of the calls of a method of a layer, until the step is over."""
        listen(layer, name, listener)
        self._taps.append((layer, name, listener))

    def say(self, kind: str, sentence: str, *implies: str) -> None:
        """Warn, once for each kind of trouble; of what it `implies` nothing is said any more."""
        if kind not in self.told:
            self.told += [kind, *implies]
            self.warnings.append(sentence)
            warnings.warn(f"{type(self).__name__}: {sentence}", stacklevel=2)

    # ------------------------------------------------------------------ the hooks

    def ready(self) -> bool:
        """Whether the step that comes, which is due, shows what there is to see; else the next
        is."""
        return True

    def _after(self, step: int) -> int:
        """The step to look at next."""
        if isinstance(self.every, int):
            return step - step % self.every + self.every
        if step < EVERY // 2:
            return 1 << step.bit_length()  # 1, 2, 4, ... 128
        return step - step % EVERY + EVERY

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.forget()
        self._parts = parts_of(self.model)
        self._recurrent = [
            (name, part)
            for name, layer in self._parts.items()
            for part in layer.walk()
            if isinstance(part, OverTime)
        ]
        self.arrange()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._stop()  # whoever had a turn behind an epoch may have changed the weights
        self._prepare()

    @lazy
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._looking:
            self._stop()
            self.steps.append(self.seen)
            self._next = self._after(self.seen)
            self.end()
        self.__dict__["seen"] = seen = self.seen + 1  # no argument, so nobody need be asked
        if seen >= self._next:
            self._prepare()

    def _prepare(self) -> None:
        """For the step that comes; a hook before each step would cost more than the looks."""
        if self.seen >= self._next and self.ready():
            self._looking = True
            self.begin()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._stop()

    def on_exception(self, error: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        self._looking = False
        for layer, name, listener in self._taps:
            leave(layer, name, listener)
        self._taps = []

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {
            "_taps": [],
            "_parts": {},
            "_recurrent": [],
            "_looking": False,
        }


# -------------------------------------------------------------------------------- which layers


def parts_of(model: Any, path: str = "") -> dict[str, Any]:
    """The layers of a model by name, from input to output, those of models within it too, as
    ``"inner/dense"``; what another layer runs is a part of that."""
    found: dict[str, Any] = {}
    for layer in in_order(model):
        if isinstance(layer, Listed):
            found |= parts_of(layer, f"{path}{layer.name}/")
        else:
            found[path + layer.name] = layer
    return found


def in_order(container: Any) -> list[Any]:
    """The layers of a chain or a graph in the order in which they run, each once."""
    if not isinstance(container, Graph):
        return list(container.layers)
    helpers = {id(layer) for layer in container.helpers}
    layers = [step.layer for step in container._steps if id(step.layer) not in helpers]
    return list({id(layer): layer for layer in layers}.values())


def entrances(model: Any) -> Iterator[Any]:
    """The layers with weights that the inputs reach through layers without."""
    if not isinstance(model, Graph):
        first = next((layer for layer in model.layers if layer.arrays()), None)
        found = [] if first is None else [first]
    else:
        raw, found = set(model._into), []
        for step in model._steps:
            if raw.issuperset(as_tuple(step.reads)):
                if step.layer.arrays():
                    found.append(step.layer)
                else:
                    raw |= set(as_tuple(step.writes))
    for layer in found:
        if isinstance(layer, Listed):
            yield from entrances(layer)
        elif not (layer.integer_input or is_normalization(layer)):
            yield layer


def is_normalization(layer: Any) -> bool:
    """Whether what it puts out is of the same size, whatever the size of its input."""
    families = ("backprop.layers.normalization", "backprop.layers.preprocessing")
    return type(layer).__module__.startswith(families)


def leading_to_loss(model: Any) -> set[int] | None:
    """The layers, by identity, from which a path leads to an output with a loss; None for all."""
    places = getattr(model.trainer.loss, "places", None)
    if places is None or not isinstance(model, Graph):
        return None
    wanted = {model._out[place] for place in places}
    found: set[int] = set()
    for step in reversed(model._steps):
        if not wanted.isdisjoint(as_tuple(step.writes)):
            wanted |= set(as_tuple(step.reads))
            found |= {id(part) for part in step.layer.walk()}
    return found


def runs(layer: Any) -> str:
    """The method by which a container runs a layer."""
    return "forward" if type(layer).propagate is Layer.propagate else "propagate"


def kind_of(layer: Any) -> str:
    """The class of the activation that a layer ends in, or of the layer."""
    own = layer._parameters
    while isinstance(getattr(layer, "activation", None), Layer) and (
        isinstance(layer, Activation) or any(name.endswith("kernel") for name in own)
    ):
        layer = layer.activation
    return type(layer).__name__


def called(name: str, layer: Any) -> str:
    """A layer in a sentence: its name, its class, and its activation."""
    own, kind = type(layer).__name__, kind_of(layer)
    return f"{name} ({own})" if kind in (own, "Linear") else f"{name} ({own}, {kind})"


# --------------------------------------------------------------------------------- how large


def size_of(a: Array) -> float:
    """sqrt(Σ a²) in float64, whatever overflows or underflows in the array's own dtype."""
    a = a.reshape(-1)
    with np.errstate(all="ignore"):
        squares = float(np.dot(a, a))
    if 1e-30 < squares < 1e30 or squares != squares:
        return squares**0.5
    wide = a.astype(np.float64)
    top = float(np.abs(wide).max(initial=0.0))
    if top == 0 or not np.isfinite(top):
        return top
    wide /= top
    return top * float(np.dot(wide, wide)) ** 0.5


def root_mean_square(a: Array) -> float:
    """sqrt(⟨a²⟩), of a large array that of a sample."""
    a = sampled(a)
    return size_of(a) / max(a.size, 1) ** 0.5


def sampled(a: Array, most: int = 32768, rows: int = 16) -> Array:
    """A part of an array, evenly chosen, of about `most` numbers: of its rows and, where these are
    fewer than `rows` then, of what comes next, places or time steps."""
    if a.size <= most or not len(a):
        return a
    wanted = max(most // max(a[0].size, 1), rows)
    a = a[:: max(len(a) // wanted, 1)]
    if a.ndim > 2 and a.size > 2 * most:
        a = a[:, :: min(a.size // most, max(a.shape[1] // 4, 1))]
    return a.copy()
