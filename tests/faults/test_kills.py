"""Runs that are killed (-9) anywhere end as if they had not been; see `tests/killed_runs.py`."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import killed_runs
import numpy as np
import pytest
from killed_runs import KINDS, bits, differing, unreadable

import backprop as bp

ROOT = Path(killed_runs.__file__).parents[1]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def killed(*arguments):
    """What a process of its own finds, which is warm and has no threads."""
    found = subprocess.run(
        [sys.executable, killed_runs.__file__, *map(str, arguments)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def seed():
    return 0 if os.environ.get("CI") else random.randrange(2**32)


def test_200_kills_leave_every_file_readable_and_every_end_the_same_to_the_bit():
    number = seed()
    found = killed(200, number)

    assert found["faults"] == [], f"seed {number}"
    assert found["kills"] == 200
    assert all(found["by kind"][kind] > 5 for kind in KINDS)


@pytest.mark.slow
def test_2000_kills_leave_every_file_readable_and_every_end_the_same_to_the_bit():
    number = random.randrange(2**32)
    found = killed(2000, number)

    assert found["faults"] == [], f"seed {number}"
    assert found["kills"] == 2000


def test_a_callback_that_forgets_is_found():
    found = killed(8, 0, "forgetful")

    assert "forgetful: another end: weights" in found["faults"]


def test_an_end_that_differs_in_a_bit_differs():
    one = {"weights": [np.float32([1, -0.0])], "history": {"loss": [0.1, float("nan")]}}
    other = {"weights": [np.float32([1, 0.0])], "history": {"loss": [0.1, float("nan")]}}

    assert differing(one, one) == []
    assert differing(one, other) == ["weights"]
    assert bits(0.1) != bits(float(np.nextafter(0.1, 1)))


def test_a_file_that_is_cut_short_is_unreadable(tmp_path):
    path = tmp_path / "m.npz"
    bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]).save(path)
    assert unreadable(tmp_path) == []

    path.write_bytes(path.read_bytes()[:-1])

    assert [found.partition(":")[0] for found in unreadable(tmp_path)] == ["m.npz"]
