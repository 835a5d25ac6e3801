"""Everything that Keras has too is what it is in Keras, on a few draws."""

import numpy as np
import pytest

from differential.families import FAMILIES
from differential.harness import Record
from differential.table import PAGE, named

RECORD = Record()
CASES = [(family, name) for family in FAMILIES for name in sorted(family.compare)]


@pytest.mark.parametrize(("family", "name"), CASES, ids=[f"{f.title}-{n}" for f, n in CASES])
def test_it_is_what_it_is_in_keras(family, name):
    family.run(name, RECORD)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_everything_is_compared_or_says_why_not(family):
    assert family.names == family.compare.keys() | family.apart.keys()
    assert not family.compare.keys() & family.apart.keys()


def test_the_page_has_what_is_compared():
    assert named(PAGE.read_text()) == {family.title: family.names for family in FAMILIES}, (
        "PYTHONPATH=.:tests python -m differential writes docs/beside_keras.md"
    )


def test_a_difference_is_found():
    record = Record()
    record.compared("", "", "float64", [1.0, 2.0], [1.0, 2.0 + 1e-6])

    assert record.largest["", ""]["float64"] == pytest.approx(5e-7)
    for found in ([1.0, 2.1], [1.0, np.nan], [1.0]):
        with pytest.raises(AssertionError):
            record.compared("", "", "float64", found, [1.0, 2.0])
