"""What an optimizer remembers, to read and to set: by name, and as Keras' list of variables."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from backprop.config import Configurable
from backprop.optimizers.shown import Remembered, Shown, labels, number
from backprop.optimizers.slots import ACCUMULATOR, AVERAGE, Array, Entry, Slots


class Remembering(Configurable):
    """The part of `Optimizer` whose numbers outlive it: in a file, in a copy, in Keras."""

    scalars: ClassVar[tuple[str, ...]] = ()  # attributes that are state: numbers that steps change
    squares: ClassVar[tuple[str, ...]] = ()  # slots of squares and magnitudes: never negative

    _steps = 0
    _slots = cast("Slots | None", None)  # once it is built
    _pending = None  # what a file had for an optimizer that was not built yet
    _estranged = False  # whether all layers of its slots have left the model

    if TYPE_CHECKING:  # what `Optimizer` and `Bookkeeping` declare
        name: ClassVar[Any]

        def _names(self) -> list[str]: ...

    def slots(self) -> list[tuple[str, ...]]:
        """Names of the vectors to keep, in groups: a group's are interleaved in `variables`."""
        return []

    def unit(self, slot: str) -> float:
        """What a slot is multiplied with to be Keras' variable."""
        return 1.0

    @property
    def built(self) -> bool:
        return self._slots is not None

    @property
    def remembers(self) -> bool:
        """Whether it has been built, or will be what a file had for it."""
        return self._slots is not None or self._pending is not None

    def get_state(self) -> dict[str, Array]:
        """All that a run needs to go on bit for bit: arrays by name.

        ``"steps"``, ``"learning_rate"`` unless it is a schedule, and each slot as one vector in the
        order of the model's parameters. Hyper-parameters are part of `get_config` instead.
        """
        if self._slots is None and self._pending is not None:
            return dict(self._pending)
        return self._state()

    def _state(self) -> dict[str, Array]:
        """Its state, whatever a file had for it."""
        state: dict[str, Array] = {"steps": np.array(self._steps, np.int64)}
        rate = self.__dict__.get("_learning_rate")
        if isinstance(rate, float):
            state["learning_rate"] = np.array(rate)
        for name in self.scalars:
            state[name] = np.array(getattr(self, name), np.float64)
        if self._slots is not None:
            state |= {name: self._slots.whole(name) for name in self._names()}
        return state

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Go on from what `get_state` or `save_own_variables` returned.

        An optimizer that is not built yet takes it up when it is.

        Raises
        ------
        ValueError
            If the state is not one of this optimizer on these parameters; nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"{self.name} expects state to be a dict of arrays, got {state!r}")
        if "0" in state:
            return self.load_own_variables(state)
        state = {name: np.asarray(value) for name, value in state.items()}
        if self._slots is None and state.keys() - self._empty_state():
            self._await(state)
            return
        expected = self._state()
        rate = expected.pop("learning_rate", None)
        found = {name: value for name, value in state.items() if name != "learning_rate"}
        if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in found.items()}:
            raise ValueError(
                f"{self.name} cannot take up this state: it expects {shapes(expected)} "
                f"and got {shapes(found)}"
            )
        self._check_numbers(state, expected, state["steps"], {*self.squares, *self.scalars})
        if rate is not None and "learning_rate" in state:
            if state["learning_rate"].shape != ():
                raise ValueError(
                    f"{self.name} expects the learning_rate of its state to be one number, got an "
                    f"array of shape {state['learning_rate'].shape}"
                )
            self.learning_rate = float(state["learning_rate"])
        self._steps = int(state["steps"])
        for name in self.scalars:
            setattr(self, name, float(state[name]))
        if self._slots is None:
            self._await(None)
            return
        for name in self._names():
            self._slots.load(name, state[name])

    def _await(self, state: Mapping[str, Array] | None) -> None:
        """Take up this when it is built, or nothing, whatever was to be taken up before."""
        self._pending, self._estranged = state, False

    def _check_numbers(
        self,
        found: Mapping[str, Array],
        expected: Mapping[str, Array],
        steps: Array,
        never_negative: Container[str],
    ) -> None:
        """Raise unless a run can go on from the numbers that were found for the expected ones."""
        if steps.dtype.kind not in "iu" or not 0 <= steps < 2**53:  # which float64 counts exactly
            raise ValueError(
                f"{self.name} expects the steps of its state to be an integer that is not "
                f"negative, got {steps!r}"
            )
        for name, value in found.items():
            dtype = expected.get(name, value).dtype
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there
                fits = value.dtype.kind in "fiu" and np.isfinite(value.astype(dtype)).all()
            if not fits:
                raise ValueError(f"{name} of the state of {self.name} is not finite")
            if name in never_negative and (value < 0).any():
                raise ValueError(f"{name} of the state of {self.name} is negative")

    def is_sound(self) -> bool:
        """Whether `set_state` would take up its state."""
        state = self.get_state()
        try:
            self._check_numbers(state, state, state["steps"], {*self.squares, *self.scalars})
        except ValueError:
            return False
        return True

    def _empty_state(self) -> set[str]:
        return {"steps", "learning_rate", *self.scalars}

    @property
    def variables(self) -> list[Shown]:
        """Keras' variables in Keras' order: iterations, learning rate, slots.

        Each has a `name` (``"dense_kernel_momentum"``), a `path` with the optimizer's name before
        it, `numpy()` and `assign(value)`.
        """
        return [Shown.showing(self.name, *remembered) for remembered in self._remembered()]

    def _remembered(self) -> list[Remembered]:
        """What `variables` shows: the name of each, and how it is read and put back."""
        found: list[Remembered] = [("iteration", *number(self, "_steps", np.int64))]
        if isinstance(self.__dict__.get("_learning_rate"), float):
            found.append(("learning_rate", *number(self, "learning_rate", np.float64)))
        return found + [(name, *self._slot(slot, e)) for name, slot, e in self._named_slots()]

    def _named_slots(self) -> list[tuple[str, str, Entry]]:
        """The name of each variable that is part of a slot, the slot, and whose part it is."""
        if self._slots is None:
            return []
        entries = self._slots.entries
        label = dict(zip(map(id, entries), labels(entries), strict=True))
        return [(f"{label[id(e)]}_{slot}", slot, e) for slot, e in self._order()]

    def _slot(self, name: str, entry: Entry) -> tuple[Callable[[], Array], Callable]:
        def place() -> Array:
            assert self._slots is not None
            return self._slots.of(name, entry)

        def read() -> Array:
            return place() * self.unit(name)

        def put(value: Array) -> None:
            place()[...] = value / self.unit(name)

        return read, put

    def get_weights(self) -> list[Array]:
        """Copies of the numbers of `variables`."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Go on from what `get_weights` returned.

        Raises
        ------
        ValueError
            If the optimizer is not built, or numbers or shapes differ; nothing is changed.
        """
        if not self.built:
            raise ValueError(
                f"{self.name} has nothing to set yet: call build(model.trainable_variables) first"
            )
        self.load_own_variables({str(i): w for i, w in enumerate(weights)})

    def _order(self) -> list[tuple[str, Entry]]:
        if self._slots is None:
            return []
        kept = [(name,) for name in (AVERAGE, ACCUMULATOR) if name in self._slots.vectors]
        entries = self._slots.entries
        groups = [*kept, *self.slots()]
        has = self._slots.has
        return [(n, e) for group in groups for e in entries for n in group if has(n, e)]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put `variables` into `store`, as Keras does: under "0", "1", "2" ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take up what `save_own_variables`, ours or Keras', put into `store`.

        Raises
        ------
        ValueError
            If numbers or shapes of the variables differ, or one is not finite; nothing is changed.
        """
        arrays = [np.asarray(store[key]) for key in sorted(store, key=int)]
        expected = self.variables
        if self._slots is None and len(arrays) > len(expected):
            self._await({str(i): array for i, array in enumerate(arrays)})
            return
        if [a.shape for a in arrays] != [v.shape for v in expected]:
            raise ValueError(
                f"{self.name} has {len(expected)} variables of shapes "
                f"{[v.shape for v in expected]} and was given {[a.shape for a in arrays]}"
            )
        names = [f"variable {i}, {v.name}," for i, v in enumerate(expected)]
        given, own = (dict(zip(names, found, strict=True)) for found in (arrays, expected))
        squares = {name for name, slot, _ in self._named_slots() if slot in self.squares}
        never_negative = {n for n, v in zip(names, expected, strict=True) if v.name in squares}
        self._check_numbers(given, own, arrays[0], never_negative)
        found = list(zip(self._remembered(), arrays, strict=True))
        # the learning rate is first, as it alone may be refused
        for (_, _, put), array in sorted(found, key=lambda item: item[0][0] != "learning_rate"):
            put(array)
        if self._slots is None:
            self._await(None)

    def __getstate__(self) -> dict[str, Any]:
        # a copy belongs to a copy of the model: it finds its parameters at its first step
        model = ("_vector", "_segments", "_slots", "_stretches", "_gradients", "_singles", "_known")
        kept = {name: value for name, value in self.__dict__.items() if name not in model}
        if self._slots is not None:
            kept["_pending"] = self.get_state()
        return kept


def shapes(state: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {value.shape}" for name, value in state.items())
