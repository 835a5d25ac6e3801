"""How mistakes in what is no layer are planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backprop.config import Configurable
from backprop.constraints import Constraint
from backprop.initializers import (
    Initializer,
)
from backprop.metrics import (
    Metric,
)
from backprop.optimizers import Optimizer
from backprop.regularizers import Regularizer
from backprop.testing.bugs.bank import slug

BASES = {
    Regularizer: "regularizer",
    Constraint: "constraint",
    Initializer: "initializer",
    Metric: "metric",
    Optimizer: "optimizer",
}


class Elsewhere(Configurable):
    """As a class outside of the library: what is assigned to an argument is stored, no more."""

    def _change(self, name: str, value: Any) -> None:
        self._store(name, value)
        self._arguments[name] = value


@dataclass(frozen=True)
class Mistake:
    """One planted mistake.

    Attributes
    ----------
    name : str
    kind : str
        Such as "metric": `check_metric` has to find it.
    make : function
    wrong : str
        One line: what is wrong.
    options : mapping
        Further arguments of the check.
    """

    name: str
    kind: str
    make: Callable[..., Any]
    wrong: str
    options: Mapping[str, Any] = field(default_factory=dict)


def planted(arguments: Mapping[str, Any] | None = None, **options: Any) -> Callable[[Any], Any]:
    """Decorate the class that holds a mistake."""
    given = dict(arguments or {})

    def plant(cls: Any) -> Any:
        kind = next(kind for base, kind in BASES.items() if issubclass(cls, base))
        wrong = " ".join((cls.__doc__ or "").partition("\n\n")[0].split())
        cls.planted = Mistake(
            slug(cls.__name__), kind, lambda **more: cls(**given | more), wrong, options
        )
        return cls

    return plant
