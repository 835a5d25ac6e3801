import subprocess
import sys

import pytest

from benchmarks.import_time import BACKPROP, NUMPY, ROOT, measure

HEAVY = [
    "h5py",
    "jax",
    "keras",
    "matplotlib",
    "mpi4py",
    "onnx",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
]


def test_importing_backprop_costs_little_more_than_importing_numpy():
    ratios = []
    for _ in range(3):  # a busy machine can spoil a round, but not make slow imports fast
        numpy, backprop = measure([NUMPY, BACKPROP], rounds=8)
        ratios.append(backprop / numpy)
        if ratios[-1] <= 1.3:
            break

    assert min(ratios) <= 1.3, f"{BACKPROP} takes {ratios} times the CPU time of {NUMPY}"


@pytest.mark.parametrize("use", ["backprop.__version__", "backprop.Sequential([]).compile()"])
def test_importing_backprop_loads_no_extra_and_no_scipy(use):
    script = f"import sys; import backprop; {use}; print(*sys.modules)"

    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )

    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "backprop" in loaded
    assert sorted(loaded & set(HEAVY)) == []
