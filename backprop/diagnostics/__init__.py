"""Pictures of training; needs ``backprop[plot]``."""

from backprop.diagnostics.pictures import is_ours, learning_curve

__all__ = ["is_ours", "learning_curve"]


def __dir__() -> list[str]:
    return sorted(__all__)
