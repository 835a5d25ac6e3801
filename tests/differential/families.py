"""All that is compared."""

from differential import functions, layers, optimizers
from differential.values import LOSS_FAMILY, METRIC_FAMILY

FAMILIES = [
    LOSS_FAMILY,
    METRIC_FAMILY,
    functions.ACTIVATION_FAMILY,
    functions.SCHEDULE_FAMILY,
    functions.INITIALIZER_FAMILY,
    functions.REGULARIZER_FAMILY,
    functions.CONSTRAINT_FAMILY,
    optimizers.FAMILY,
    layers.FAMILY,
]
