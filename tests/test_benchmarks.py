"""Every benchmark runs: a short run of each, without a word about its times."""

import dataclasses
import gzip
import os
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

# how to run each in a few seconds, and what it must print
QUICK = {
    "activations.py": (["--quick"], "relu"),
    "convergence.py": (["--quick", "--peers", "sklearn"], "apart"),
    "convolution.py": (["--quick"], "largest error"),
    "digits.py": (["--epochs", "1", "--seeds", "1", "--libraries", "backprop"], "mean"),
    "footprint.py": (["--quick", "--rows", "mlp-digits", "--peers", "autograd"], "installed mb"),
    "gradcheck.py": (["--quick"], "undecided"),
    "import_time.py": (["--rounds", "2"], "import backprop"),
    "optimizers.py": (["--quick"], "adam"),
    "overhead.py": (["--quick", "--growth"], "its own"),
    "train_step.py": (
        ["--quick", "--rows", "mlp-tiny", "autoencoder", "--peers", "by-hand", "autograd"],
        "ratios",
    ),
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


@pytest.fixture
def shared(monkeypatch):
    """The modules that the scripts share, under the name that they have there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shared"]:
        del sys.modules[name]


def first(peer, row):
    from shared.peers import PEERS

    return next(iter(PEERS[peer].variants(row).values()))().first(3)


@pytest.mark.parametrize("name", ["mlp-tiny", "autoencoder"])
def test_the_hand_written_loop_does_our_work(shared, name):
    from shared.agreement import GRADIENT, compare
    from shared.peers import PEERS
    from shared.rows import ROWS

    loss, gradient = compare(first("by-hand", ROWS[name]), first("backprop", ROWS[name]))

    assert loss < PEERS["by-hand"].tolerance
    assert gradient < GRADIENT


def test_other_work_is_told_from_ours(shared):
    from shared.agreement import GRADIENT, compare
    from shared.peers import PEERS
    from shared.rows import ROWS, SGD, Adam

    row = ROWS["mlp-tiny"]
    ours = first("backprop", row)
    other_rate = first("by-hand", dataclasses.replace(row, optimizer=Adam(lr=1.5e-3)))
    other_update = first("by-hand", dataclasses.replace(row, optimizer=SGD()))
    losses, gradients = first("by-hand", row)
    lost = [*gradients[:-1], np.zeros_like(gradients[-1])]

    assert compare(other_rate, ours)[0] > PEERS["by-hand"].tolerance
    assert compare(other_update, ours)[0] > PEERS["by-hand"].tolerance
    assert compare((losses, lost), ours)[1] > GRADIENT


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_from_its_own_files(tmp_path, monkeypatch, shared, packed):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # the script unsets them: undo that
        monkeypatch.setenv(name, os.environ.get(name, ""))
    script = runpy.run_path(str(BENCHMARKS / "convergence.py"))
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    raw = struct.pack(">HBB3I", 0, 8, 3, *images.shape) + images.tobytes()
    end = ".gz" if packed else ""
    path = tmp_path / f"train-images-idx3-ubyte{end}"
    path.write_bytes(gzip.compress(raw) if packed else raw)

    found = script["read_idx"](tmp_path, "train-images-idx3")

    np.testing.assert_array_equal(found, images)
    with pytest.raises(SystemExit, match="expects train-labels-idx1"):
        script["read_idx"](tmp_path, "train-labels-idx1")
