"""Laws for anyone's layer: one line, and pytest knows whether its hand-derived backward pass is
right.

    test_scale = layer_laws(lambda: Scale(), inputs=shapes(min_dims=1, max_dims=3))

gives one test a law, on shapes and configurations that Hypothesis draws and shrinks to the smallest
that fails. `check_layer` does it without pytest and returns a report. It needs Hypothesis, and
`layer_laws` pytest: ``pip install 'backprop[test]'``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backprop.testing.examining import LawBroken
    from backprop.testing.kit import check_law, check_layer, layer_laws
    from backprop.testing.made_numbers import numbers
    from backprop.testing.objects.functions import (
        check_constraint,
        check_regularizer,
        constraint_laws,
        regularizer_laws,
    )
    from backprop.testing.objects.initializers import check_initializer, initializer_laws
    from backprop.testing.objects.metrics import check_metric, metric_laws
    from backprop.testing.objects.optimizers import check_optimizer, optimizer_laws
    from backprop.testing.plan import LAWS, PROFILES, TAGS
    from backprop.testing.report import LawReport, LawResult
    from backprop.testing.strategies import (
        arrays,
        axes,
        configurations,
        images,
        label_sequences,
        masks,
        paddings,
        pairs,
        sequences,
        shapes,
        strides,
        together,
        tokens,
    )

__all__ = [
    "LAWS",
    "PROFILES",
    "TAGS",
    "LawBroken",
    "LawReport",
    "LawResult",
    "arrays",
    "axes",
    "check_constraint",
    "check_initializer",
    "check_law",
    "check_layer",
    "check_metric",
    "check_optimizer",
    "check_regularizer",
    "configurations",
    "constraint_laws",
    "images",
    "initializer_laws",
    "label_sequences",
    "layer_laws",
    "masks",
    "metric_laws",
    "numbers",
    "optimizer_laws",
    "paddings",
    "pairs",
    "regularizer_laws",
    "sequences",
    "shapes",
    "strides",
    "together",
    "tokens",
]

HOMES = {
    "examining": ("LawBroken",),
    "kit": ("check_law", "check_layer", "layer_laws"),
    "made_numbers": ("numbers",),
    "objects.functions": (
        "check_constraint",
        "check_regularizer",
        "constraint_laws",
        "regularizer_laws",
    ),
    "objects.initializers": ("check_initializer", "initializer_laws"),
    "objects.metrics": ("check_metric", "metric_laws"),
    "objects.optimizers": ("check_optimizer", "optimizer_laws"),
    "plan": ("LAWS", "PROFILES", "TAGS"),
    "report": ("LawReport", "LawResult"),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: the bank of bugs, which lives here too, does not need Hypothesis."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in HOMES.items() if name in names), "strategies")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
