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
    from backprop.testing.case import numbers
    from backprop.testing.kit import (
        LAWS,
        PROFILES,
        TAGS,
        LawBroken,
        check_law,
        check_layer,
        layer_laws,
    )
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
    "check_law",
    "check_layer",
    "configurations",
    "images",
    "label_sequences",
    "layer_laws",
    "masks",
    "numbers",
    "paddings",
    "pairs",
    "sequences",
    "shapes",
    "strides",
    "together",
    "tokens",
]

HOMES = {
    "case": ("numbers",),
    "kit": ("LAWS", "PROFILES", "TAGS", "LawBroken", "check_law", "check_layer", "layer_laws"),
    "report": ("LawReport", "LawResult"),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: the bank of bugs, which lives here too, does not need Hypothesis."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in HOMES.items() if name in names), "strategies")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
