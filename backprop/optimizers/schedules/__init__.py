"""Learning rates, and any other hyper-parameters, as functions of the step.

A schedule is called with the number of steps that were taken so far, and returns a float:

    schedule(step) -> float,    step = 0, 1, 2 ...

Of an array of steps, as one draws a curve, it returns the array of their values.

Every optimizer accepts one (or any function of the step) wherever it accepts a number. Names,
arguments and defaults are Keras'; `OneCycle` and `WarmUp` are additions.
"""

from backprop.config import Registry
from backprop.optimizers.schedules.cosines import CosineDecay, CosineDecayRestarts, OneCycle
from backprop.optimizers.schedules.decays import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from backprop.optimizers.schedules.schedule import LearningRateSchedule
from backprop.optimizers.schedules.warm_up import WarmUp

registry = Registry(
    "optimizers.schedules",
    [
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
        OneCycle,
        WarmUp,
    ],
    base=LearningRateSchedule,
    inputs=(0, 1),
)


serialize, deserialize = registry.functions("learning_rate_schedule")
