"""What an optimizer knows: the parameters, the slots that belong to them, a run's state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backprop.config import Configurable
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.slots import (
    ACCUMULATOR,
    AVERAGE,
    Array,
    Entry,
    Slots,
    Stretch,
    Variable,
)
from backprop.parameters import Parameter
from backprop.variable import record
from backprop.vector import ParameterVector, Segment


class Bookkeeping(Configurable):
    """The half of `Optimizer` that has no mathematics in it."""

    scratch = 1  # arrays for intermediate results that `update` is given; at least 1
    scalars: ClassVar[tuple[str, ...]] = ()  # attributes that are state: numbers that steps change

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
        elif self._slots is None:
            records = map(record, var_list)
            self._lay_out([v if isinstance(v, Parameter) else Variable(v) for v in records])
        else:
            for variable in var_list:
                self.entry_of(variable)

    def _lay_out(self, entries: list[Entry]) -> None:
        self._check_exclusions(entries)
        before = self._slots
        if before is not None and not any(id(entry) in before.places for entry in entries):
            raise ValueError(
                f"{self.name} was built for other parameters, and what it remembers is theirs; "
                "make a new optimizer for this model"
            )
        slots = Slots(entries, {name: self.initial(name) for name in self._names()})
        if self.use_ema:
            for entry in entries:
                slots.of(AVERAGE, entry)[...] = entry.value
        if before is not None:
            slots.take_over(before)
        self._slots = slots
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

    def _refit(self) -> None:
        """Have the slots that the options ask for now; one of them may have changed."""
        if self._slots is not None and self._slots.vectors.keys() != set(self._names()):
            self._lay_out(self._slots.entries)

    def _names(self) -> list[str]:
        own = [name for group in self.slots() for name in group]
        averages = [AVERAGE] if self.use_ema else []
        return averages + ([ACCUMULATOR] if self._accumulates else []) + own

    def _arrange(self, parameters: ParameterVector, segments: list[Segment]) -> None:
        """What `step` goes over, until layers are frozen, unfrozen or added."""
        if parameters is not self._vector:
            self.build(parameters)
        assert self._slots is not None
        self._stretches = [self._equip(self._slots.stretch(segment)) for segment in segments]
        self._gradients = [s.gradients for s in self._stretches]
        self._segments = segments

    def _equip(self, s: Stretch) -> Stretch:
        """Add what the options of this optimizer need."""
        s.constrained = [entry for entry in s.entries if entry.constraint is not None]
        kept = [p for entry, p in zip(s.entries, s.parts, strict=True) if not self._excludes(entry)]
        names = [name for group in self.slots() for name in group]
        s.cut(names, [...] if len(kept) == len(s.entries) else kept, self.scratch)
        return s

    def entry_of(self, variable: Any) -> Entry:
        """The entry of a variable that the optimizer was built with."""
        assert self._slots is not None
        variable = record(variable)
        if isinstance(variable, Parameter):
            if id(variable) in self._slots.places:
                return variable
        else:
            found = self._known.get(id(variable))
            if found is None or found.value is not variable:  # arrays move when a model is rebuilt
                self._known = {id(entry.value): entry for entry in self._slots.entries}
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
        self._excluded_names = tuple(var_names or ())
        self._segments = None
        self._singles = {}
        if self._slots is not None:
            self._check_exclusions(self._slots.entries)

    def _excludes(self, entry: Entry) -> bool:
        return any(v is entry or v is entry.value for v in self._excluded_values) or any(
            re.search(name, entry.path if "/" in name else entry.name)
            for name in self._excluded_names
        )

    def _check_exclusions(self, entries: list[Entry]) -> None:
        for v in self._excluded_values:
            if not any(v is entry or v is entry.value for entry in entries):
                raise ValueError(
                    f"{self.name}.exclude_from_weight_decay was given a variable of shape "
                    f"{np.shape(getattr(v, 'value', v))} that is not among those it optimizes; "
                    "name it in var_names, or pass the array that the built model has"
                )
        if self._excluded_names and entries and all(isinstance(e, Variable) for e in entries):
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
                f"{type(self).__name__} cannot take up this state: it expects {shapes(expected)} "
                f"and got {shapes(found)}"
            )
        if rate is not None and "learning_rate" in state:
            self.learning_rate = float(state["learning_rate"])
        self._steps = int(state["steps"])
        for name in self.scalars:
            setattr(self, name, float(state[name]))
        if self._slots is not None:
            for name in self._names():
                self._slots.load(name, state[name])

    def _empty_state(self) -> set[str]:
        return {"steps", "learning_rate", *self.scalars}

    @property
    def variables(self) -> list[Array]:
        """Copies of Keras' variables in Keras' order: iterations, learning rate, slots."""
        rate = self.__dict__.get("_learning_rate")
        found: list[Array] = [np.array(self._steps, np.int64)]
        found += [np.array(rate)] if isinstance(rate, float) else []
        # without slots there is no order to walk through
        found += [self._slots.of(n, e) * self.unit(n) for n, e in self._order()]  # type: ignore[union-attr]
        return found

    def _order(self) -> list[tuple[str, Entry]]:
        if self._slots is None:
            return []
        kept = [(name,) for name in (AVERAGE, ACCUMULATOR) if name in self._slots.vectors]
        entries = self._slots.entries
        return [(n, e) for group in [*kept, *self.slots()] for e in entries for n in group]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put `variables` into `store`, as Keras does: under "0", "1", "2" ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take up what `save_own_variables`, ours or Keras', put into `store`.

        Raises
        ------
        ValueError
            If numbers or shapes of the variables differ; nothing is changed.
        """
        arrays = [np.asarray(store[key]) for key in sorted(store, key=int)]
        expected = self.variables
        if self._slots is None and len(arrays) > len(expected):
            self._pending = {str(i): array for i, array in enumerate(arrays)}
            return
        if [a.shape for a in arrays] != [v.shape for v in expected]:
            raise ValueError(
                f"{type(self).__name__} has {len(expected)} variables of shapes "
                f"{[v.shape for v in expected]} and was given {[a.shape for a in arrays]}"
            )
        self._load_variables(arrays)

    def _load_variables(self, arrays: list[Array]) -> None:
        first = 1
        if isinstance(self.__dict__.get("_learning_rate"), float):
            self.learning_rate = float(arrays[1])
            first = 2
        self._steps = int(arrays[0])
        for (name, entry), array in zip(self._order(), arrays[first:], strict=False):
            assert self._slots is not None
            self._slots.of(name, entry)[...] = array / self.unit(name)

    def __getstate__(self) -> dict[str, Any]:
        # a copy belongs to a copy of the model: it finds its parameters at its first step
        model = ("_vector", "_segments", "_slots", "_stretches", "_gradients", "_singles", "_known")
        kept = {name: value for name, value in self.__dict__.items() if name not in model}
        if self._slots is not None:
            kept["_pending"] = self.get_state()
        return kept


def shapes(state: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {value.shape}" for name, value in state.items())
