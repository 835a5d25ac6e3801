"""Steps on arrays that belong to no model, as users of Keras make them: `apply(grads, arrays)`.

An optimizer knows an array by its identity, and has a stretch of its own for each.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backprop import checks
from backprop.optimizers.bookkeeping import Bookkeeping
from backprop.optimizers.readings import Count, reading
from backprop.optimizers.slots import Array, Entry, Stretch


class OfArrays(Bookkeeping):
    """Steps on lists of arrays."""

    if TYPE_CHECKING:  # what `Optimizer` adds
        _advance: ClassVar[Callable[..., None]]

    @property
    def iterations(self) -> int:
        return reading(Count, self.updates, self, "iterations")

    @iterations.setter
    def iterations(self, iterations: int) -> None:
        iterations = checks.integer(iterations, type(self).__name__, "iterations", least=0)
        self._steps = iterations * (self._accumulates or 1)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "update_step" in cls.__dict__:
            raise TypeError(
                f"{cls.__name__}.update_step is Keras' way to write an optimizer; here, write "
                "update(self, w, g, lr, *slots, *scratch), which changes w in place, and slots(), "
                "which names what is remembered. See backprop.optimizers.Optimizer"
            )

    def apply(self, grads: Iterable[Array | None], trainable_variables: Any = None) -> None:
        """One step on a list of arrays, which are changed in place.

        Parameters
        ----------
        grads : list of ndarray
            One for each variable. None where a variable is to be left alone.
        trainable_variables : list of ndarray or Parameter, optional
            Default: those that `build` was given. The optimizer knows an array by its identity.

        Raises
        ------
        ValueError
            If a variable is unknown, a shape differs, or there is no gradient at all.
        """
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None:
            if self._slots is None:
                raise ValueError(
                    f"{self.name} knows no variables yet: call build(variables) first, or "
                    "apply(grads, variables)"
                )
            entries = self._slots.entries
        else:
            variables = list(trainable_variables)
            if self._slots is None:
                self.build(variables)
            entries = [self.entry_of(variable) for variable in variables]
        if len(grads) != len(entries):
            raise ValueError(f"{self.name} got {len(grads)} gradients for {len(entries)} variables")
        given = [(e, g) for e, g in zip(entries, grads, strict=True) if g is not None]
        if not given:
            raise ValueError(f"{self.name} got no gradient for any variable")
        if len(given) < len(grads):
            warnings.warn(
                f"{self.name} got gradients for {len(given)} of {len(grads)} variables; the others "
                "are left alone",
                stacklevel=2,
            )
        for _, g in given:
            if (dtype := np.asarray(g).dtype).kind not in "biuf":
                raise TypeError(f"{self.name} expects gradients of real numbers, got dtype {dtype}")
        gradients = [np.asarray(g, e.value.dtype) for e, g in given]
        for (entry, _), g in zip(given, gradients, strict=True):
            if g.shape != entry.shape:
                raise ValueError(
                    f"{self.name} got a gradient of shape {g.shape} for a variable of shape "
                    f"{entry.shape}"
                )
        stretches = [self._single(entry) for entry, _ in given]
        self._advance(stretches, gradients)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Array | None, Any]]) -> int:
        """`apply` for pairs of gradient and variable; returns `iterations`."""
        several = isinstance(grads_and_vars, Iterable)
        pairs = list(grads_and_vars) if several else [grads_and_vars]
        if not pairs:
            raise ValueError(f"{self.name} got no pairs of gradient and variable")
        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise TypeError(
                f"{self.name} expects grads_and_vars to be pairs of gradient and variable, got "
                f"{reprlib.repr(grads_and_vars)}"
            )
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def _single(self, entry: Entry) -> Stretch:
        """One array alone, for `apply`."""
        found = self._singles.get(id(entry))
        if found is None or found.values is not entry.value:
            assert self._slots is not None
            found = self._singles[id(entry)] = self._equip(self._slots.single(entry))
        return found
