"""What a network puts out, as the rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.tabular.preparation import Preprocessing

Array = np.ndarray


def answers(y: Array, prepared: Preprocessing | None) -> tuple[list[str], list[list[Any]]]:
    """The header and rows of the answer: predictions, and for classes the probability of each."""
    if prepared is None:
        y = y.reshape(len(y), -1)
        return [f"y{i}" for i in range(y.shape[1])], [
            [f"{value:.7g}" for value in row] for row in y
        ]
    decoded = prepared.decode(y)
    if prepared.classes is None:
        return [prepared.target], [[f"{value:.7g}"] for value in decoded]
    header = [prepared.target, *(f"p({label})" for label in prepared.classes)]
    return header, [
        [label, *(f"{p:.6f}" for p in row)] for label, row in zip(decoded, y, strict=True)
    ]
