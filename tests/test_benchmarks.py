"""Every benchmark runs: a short run of each, without a word about its times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

# how to run each in a few seconds, and what it must print
QUICK = {
    "activations.py": (["--quick"], "relu"),
    "digits.py": (["--epochs", "1", "--seeds", "1", "--libraries", "backprop"], "mean"),
    "gradcheck.py": (["--quick"], "undecided"),
    "import_time.py": (["--rounds", "2"], "import backprop"),
    "optimizers.py": (["--quick"], "adam"),
    "overhead.py": (["--steps", "2", "--rounds", "3"], "library's own"),
}


def test_every_benchmark_has_a_quick_run():
    assert {path.name for path in BENCHMARKS.glob("*.py")} == set(QUICK)


@pytest.mark.parametrize("name", QUICK)
def test_the_benchmark_runs(name):
    arguments, expected = QUICK[name]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}

    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )

    assert run.returncode == 0, run.stderr
    assert expected in run.stdout.lower() or expected in run.stdout
