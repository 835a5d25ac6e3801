"""What an optimizer knows: the parameters, the slots that belong to them, a run's state."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Container, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from backprop.absent import advice, explain_attribute
from backprop.config import Configurable
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.shown import Remembered, Shown, labels, number
from backprop.optimizers.slots import (
    ACCUMULATOR,
    AVERAGE,
    Array,
    Entry,
    Slots,
    Stretch,
    Variable,
    given,
    takes_around,
)
from backprop.parameters import Parameter
from backprop.variable import record
from backprop.vector import ParameterVector, Segment


class Bookkeeping(Configurable):
    """The half of `Optimizer` that has no mathematics in it."""

    scratch = 1  # arrays for intermediate results that `update` is given; at least 1
    scalars: ClassVar[tuple[str, ...]] = ()  # attributes that are state: numbers that steps change
    by_parameter = False  # whether `update` is given each parameter alone, in its shape
    copies: ClassVar[tuple[str, ...]] = ()  # slots that start as copies of the values

    squares: ClassVar[tuple[str, ...]] = ()  # slots of squares and magnitudes: never negative

    _accumulates = None  # how many steps make an update
    _steps = 0
    _vector = None  # the ParameterVector that steps are made on
    _segments = None  # what of it is trained
    _slots = None  # once it is built
    _pending = None  # what a file had for an optimizer that was not built yet
    _excluded_values = ()
    _excluded_names = ()

    if TYPE_CHECKING:  # what `Optimizer` declares
        name: ClassVar[Any]
        use_ema: ClassVar[Any]

    def slots(self) -> list[tuple[str, ...]]:
        """Names of the vectors to keep, in groups: a group's are interleaved in `variables`."""
        return []

    def initial(self, slot: str) -> float:
        """What a slot is filled with at first."""
        return 0.0

    def slot_shape(self, slot: str, entry: Entry) -> tuple[int, ...] | None:
        """The shape of a slot beside a parameter, of an optimizer that is `by_parameter`; None
        where this parameter has none, which `update` is then not given."""
        return entry.shape

    def unit(self, slot: str) -> float:
        """What a slot is multiplied with to be Keras' variable."""
        return 1.0

    def count_in(self, **units: float) -> None:
        """Change numbers that `unit` rests on: the slots hold others, and mean what they meant."""
        assert self._slots is not None
        before = {name: self.unit(name) for group in self.slots() for name in group}
        self.__dict__ |= units
        for name, unit in before.items():
            for vector in self._slots.vectors[name].values():
                vector *= unit / self.unit(name)

    @property
    def built(self) -> bool:
        return self._slots is not None

    @property
    def _settled(self) -> bool:
        return self.built

    @property
    def updates(self) -> int:
        """`iterations`, as a plain int."""
        return self._steps // (self._accumulates or 1)

    def _change(self, name: str, value: Any) -> None:
        before, given = dict(self.__dict__), dict(self._arguments)
        hyperparameter = getattr(type(self), name, None)
        try:
            if isinstance(hyperparameter, Hyperparameter):
                hyperparameter.__set__(self, value)
            else:
                super()._change(name, value)
            self.check_together()
            wanted = set() if self._slots is None else set(self._names()) - set(self._slots.vectors)
        except Exception:
            self.__dict__.update(before | {"_arguments": given})
            raise
        if wanted:  # such as a momentum where there was none
            self.__dict__.update(before | {"_arguments": given})
            raise self._refusal(name, value)

    def check_together(self) -> None:
        """Raise where arguments contradict each other."""

    def build(self, var_list: Any) -> None:
        """Make the slots for a model's parameters; a step does it where it was not done.

        Parameters
        ----------
        var_list : ParameterVector, or list of ndarray or Parameter
            A model that gained or lost layers may be given again: the slots of the parameters that
            stay are kept.

        Raises
        ------
        ValueError
            If the optimizer was built for other parameters.
        """
        if isinstance(var_list, ParameterVector):
            self._lay_out(list(var_list.parameters))
            self._vector = var_list
        elif isinstance(var_list, str) or not isinstance(var_list, Iterable):
            raise TypeError(
                f"{self.name} expects var_list to be a list of arrays, got {var_list!r}"
            )
        elif self._slots is None:
            records = map(record, var_list)
            self._lay_out([v if isinstance(v, Parameter) else Variable(v) for v in records])
        else:
            for variable in var_list:
                self.entry_of(variable)

    def _lay_out(self, entries: list[Entry]) -> None:
        self._check_exclusions(entries)
        if self._slots is not None and not any(map(self._slots.knows, entries)):
            raise ValueError(
                f"{self.name} was built for other parameters, and what it remembers is theirs; "
                "make a new optimizer for this model"
            )
        self._slots = self._slots_of(entries)
        self._segments = self._vector = None
        self._singles: dict[int, Stretch] = {}
        self._known: dict[int, Entry] = {}
        if self._pending is not None:
            pending, self._pending = self._pending, None
            try:
                self.set_state(pending)
            except ValueError:
                self._slots, self._pending = None, pending
                raise

    def _slots_of(self, entries: list[Entry]) -> Slots:
        """Slots for these parameters, with what is remembered of those that are known."""
        slots = Slots(entries, {name: self.initial(name) for name in self._names()}, self._shape)
        for name in ([AVERAGE] if self.use_ema else []) + list(self.copies):
            for entry in entries:
                slots.of(name, entry)[...] = entry.value
        if self._slots is not None:
            slots.take_over(self._slots)
        return slots

    def for_now(self, parameters: ParameterVector) -> Self:
        """This optimizer or, where a model has gained or lost layers since the last step, one with
        the slots that the next step would make. It is not built where none is known, as that step
        is refused."""
        slots, entries = self._slots, parameters.parameters
        if slots is None and self._pending is not None:  # of a copy
            found = copy.copy(self)
            try:
                found.build(parameters)
            except ValueError:
                found._slots = found._pending = None
            return found
        if slots is None or same(slots.entries, entries):
            return self
        if not any(isinstance(entry, Parameter) for entry in slots.entries):
            return self  # of somebody's own arrays
        found = copy.copy(self)
        found._pending = None
        if any(map(slots.knows, entries)):
            found._slots = self._slots_of(list(entries))
        return found

    def _refit(self) -> None:
        """Have the slots that the options ask for now; one of them may have changed."""
        if self._slots is not None and self._slots.vectors.keys() != set(self._names()):
            self._lay_out(self._slots.entries)

    def _shape(self, name: str, entry: Entry) -> tuple[int, ...] | None:
        return entry.shape if name in (AVERAGE, ACCUMULATOR) else self.slot_shape(name, entry)

    def _names(self) -> list[str]:
        own = [name for group in self.slots() for name in group]
        averages = [AVERAGE] if self.use_ema else []
        return averages + ([ACCUMULATOR] if self._accumulates else []) + own

    def _arrange(self, parameters: ParameterVector, segments: list[Segment]) -> None:
        """What `step` goes over, until layers are frozen, unfrozen or added."""
        if parameters is not self._vector:
            self.build(parameters)
        slots = self._slots
        assert slots is not None
        if self.by_parameter:
            found = [slots.single(p, p.gradient) for s in segments for p in s.parameters if p.size]
        else:
            found = [slots.stretch(segment) for segment in segments]
        self._stretches = [self._equip(s) for s in found]
        self._gradients = [s.gradients for s in self._stretches]
        self._segments = segments

    def _equip(self, s: Stretch) -> Stretch:
        """Add what the options of this optimizer need."""
        s.constrained = [entry for entry in s.entries if entry.constraint is not None]
        kept = [p for entry, p in zip(s.entries, s.parts, strict=True) if not self._excludes(entry)]
        names = [name for group in self.slots() for name in group]
        decayed = [...] if len(kept) == len(s.entries) else kept
        assert self._slots is not None
        spare = self._slots.spare
        update = self.update  # type: ignore[attr-defined] - `Optimizer` has it
        joins = not self.by_parameter and takes_around(update)
        s.cut(names, decayed, lambda w: spare(w, self.scratch), self.by_parameter, joins)
        return s

    def entry_of(self, variable: Any) -> Entry:
        """The entry of a variable that the optimizer was built with."""
        assert self._slots is not None
        variable = record(variable)
        if isinstance(variable, Parameter):
            if self._slots.knows(variable):
                return variable
        else:
            found = self._known.get(id(variable))
            if found is None or given(found) is not variable:  # arrays move with a rebuilt model
                self._known = {id(given(entry)): entry for entry in self._slots.entries}
                found = self._known.get(id(variable))
            if found is not None:
                return found
        raise ValueError(
            f"{self.name} was built without the variable of shape {np.shape(variable)} that it "
            "got; use one optimizer for each set of variables, and pass the arrays themselves, "
            "not copies"
        )

    def exclude_from_weight_decay(
        self, var_list: Iterable[Any] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave parameters out of the weight decay. Replaces earlier exclusions.

        Parameters
        ----------
        var_list : list of ndarray or Parameter, optional
        var_names : list of str, optional
            Regular expressions: a parameter in whose name one is found (``"bias"``) is left out.
            One with a slash is looked for in the path (``"dense_1/bias"``).

        Raises
        ------
        ValueError
            From the next step or `build`, if an array of `var_list` is not a parameter's.
        """
        self._excluded_values = tuple(map(record, var_list or ()))
        self._excluded_names = (
            (var_names,) if isinstance(var_names, str) else tuple(var_names or ())
        )
        self._segments = None
        self._singles = {}
        if self._slots is not None:
            self._check_exclusions(self._slots.entries)

    def _excludes(self, entry: Entry) -> bool:
        return any(v is entry or v is given(entry) for v in self._excluded_values) or any(
            re.search(name, entry.full_path if "/" in name else entry.name)
            for name in self._excluded_names
        )

    def _check_exclusions(self, entries: list[Entry]) -> None:
        for v in self._excluded_values:
            if not any(v is entry or v is given(entry) for entry in entries):
                raise ValueError(
                    f"{self.name}.exclude_from_weight_decay was given a variable of shape "
                    f"{np.shape(getattr(v, 'value', v))} that is not among those it optimizes; "
                    "name it in var_names, or pass the array that the built model has"
                )
        if self._excluded_names and entries and not any(e.name for e in entries):
            raise ValueError(
                f"{self.name}.exclude_from_weight_decay(var_names=...) needs parameters with "
                "names, and plain arrays have none; pass the arrays themselves in var_list"
            )

    def finalize_variable_values(self, var_list: Any) -> None:
        """Overwrite values by their moving averages, if there are any: the end of a training.

        Parameters
        ----------
        var_list : ParameterVector, or list of ndarray or Parameter
        """
        if not self.use_ema or self._slots is None:
            return
        if isinstance(var_list, ParameterVector):
            var_list = [p for segment in var_list.segments() for p in segment.parameters]
        for entry in [self.entry_of(variable) for variable in var_list]:
            entry.value[...] = self._slots.of(AVERAGE, entry)

    # ----------------------------------------------------------------------------------- state

    def get_state(self) -> dict[str, Array]:
        """All that a run needs to go on bit for bit: arrays by name.

        ``"steps"``, ``"learning_rate"`` unless it is a schedule, and each slot as one vector in the
        order of the model's parameters. Hyper-parameters are part of `get_config` instead.
        """
        if self._slots is None and self._pending is not None:
            return dict(self._pending)
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
            self._pending = state
            return
        expected = self.get_state()
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
        if self._slots is not None:
            for name in self._names():
                self._slots.load(name, state[name])

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
            self._pending = {str(i): array for i, array in enumerate(arrays)}
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

    def __getstate__(self) -> dict[str, Any]:
        # a copy belongs to a copy of the model: it finds its parameters at its first step
        model = ("_vector", "_segments", "_slots", "_stretches", "_gradients", "_singles", "_known")
        kept = {name: value for name, value in self.__dict__.items() if name not in model}
        if self._slots is not None:
            kept["_pending"] = self.get_state()
        return kept


class Absent:
    """An attribute of Keras' optimizers that is not here. With a `__getattr__` in its place each
    look at any attribute would take longer, and a small model's step is made of such looks."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self
        raise AttributeError(
            f"{owner.__name__} has no {self.name}: {explain_attribute(optimizer, self.name)}"
        )


for _name in advice("Optimizer"):
    setattr(Bookkeeping, _name, Absent(_name))


def same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two lists hold the same objects."""
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))


def shapes(state: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {value.shape}" for name, value in state.items())
