"""What an optimizer knows: the parameters, and the slots that belong to them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from backprop.absent import advice, explain_attribute
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.remembering import Remembering
from backprop.optimizers.slots import (
    ACCUMULATOR,
    AVERAGE,
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


class Bookkeeping(Remembering):
    """The half of `Optimizer` that has no mathematics in it."""

    scratch = 1  # arrays for intermediate results that `update` is given; at least 1
    by_parameter = False  # whether `update` is given each parameter alone, in its shape
    copies: ClassVar[tuple[str, ...]] = ()  # slots that start as copies of the values

    _accumulates = None  # how many steps make an update
    _vector = None  # the ParameterVector that steps are made on
    _segments = None  # what of it is trained
    _excluded_values = ()
    _excluded_names = ()

    if TYPE_CHECKING:  # what `Optimizer` declares
        use_ema: ClassVar[Any]

    def initial(self, slot: str) -> float:
        """What a slot is filled with at first."""
        return 0.0

    def slot_shape(self, slot: str, entry: Entry) -> tuple[int, ...] | None:
        """The shape of a slot beside a parameter, of an optimizer that is `by_parameter`; None
        where this parameter has none, which `update` is then not given."""
        return entry.shape

    def count_in(self, **units: float) -> None:
        """Change numbers that `unit` rests on: the slots hold others, and mean what they meant."""
        assert self._slots is not None
        before = {name: self.unit(name) for group in self.slots() for name in group}
        self.__dict__ |= units
        for name, unit in before.items():
            for vector in self._slots.vectors[name].values():
                vector *= unit / self.unit(name)

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

    def follow(self, parameters: ParameterVector) -> None:
        """Know a model that gains or loses layers. Where none is left that it was built for, the
        next step is refused: not that of other layers goes on, in the model or in a copy of it."""
        if not self.remembers:
            return
        try:
            self.build(parameters)
            self._estranged = False
        except ValueError:
            self._estranged = self._estranged or self.built

    def _lay_out(self, entries: list[Entry]) -> None:
        self._check_exclusions(entries)
        slots = self._slots
        if self._estranged if slots is None else not any(map(slots.knows, entries)):
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
