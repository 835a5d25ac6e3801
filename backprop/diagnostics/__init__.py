"""Pictures of training; needs ``backprop[plot]``."""

from backprop.diagnostics.pictures import learning_curve

__all__ = ["learning_curve"]
