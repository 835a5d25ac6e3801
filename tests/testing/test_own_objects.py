"""Our own regularizers, constraints, initializers, metrics and optimizers keep the laws of their
kinds: found in the registries, so that none is forgotten."""

import importlib.util
from pathlib import Path

import pytest

from backprop import constraints, initializers, metrics, optimizers, regularizers, testing
from backprop.spelling import snake_case

spec = importlib.util.spec_from_file_location(
    "own_objects", Path(__file__).parent / "own_objects.py"
)
own = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own)

FAMILIES = {
    "regularizer": regularizers,
    "constraint": constraints,
    "initializer": initializers,
    "metric": metrics,
    "optimizer": optimizers,
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_class_of_the_registries_is_in_the_tables(kind):
    assert set(AT_LENGTH) <= {name for table in own.ALL.values() for name in table}
    classes = set(FAMILIES[kind].registry.classes) - set(own.TAKES_NO_STEPS)

    assert classes == set(own.ALL[kind])


# one or two of each kind are tried at length, all others at fewer draws: CI tries the same in every
# run. The nightly command tries all of them at greater length than either.
AT_LENGTH = (
    *("L1L2", "MaxNorm", "UnitNorm", "GlorotUniform", "Orthogonal"),
    *("MeanSquaredError", "CategoricalAccuracy", "F1Score", "R2Score", "SGD", "Adam", "Adafactor"),
)


def profile_of(name, number, row):
    """How long a row is tried; what is said to break has to be found."""
    at_length = name in AT_LENGTH and not number
    return "default" if at_length or "expected_failures" in row else "quick"


for kind, table in own.ALL.items():
    laws = getattr(testing, f"{kind}_laws")
    for name, rows in table.items():
        for number, row in enumerate(rows):
            place = f"{kind}_{snake_case(name)}{number or ''}"
            globals()[f"test_{place}"] = laws(**row, profile=profile_of(name, number, row))
            globals()[f"test_thoroughly_{place}"] = pytest.mark.slow(
                laws(**row, profile="thorough")
            )
