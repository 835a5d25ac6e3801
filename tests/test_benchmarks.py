"""Every benchmark runs: a short run of each, without a word about its times."""

import dataclasses
import gzip
import json
import os
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import jobs
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

# how to run each in a few seconds, and what it must print
QUICK = {
    "activations.py": (["--quick"], "relu"),
    "convergence.py": (["--quick", "--peers", "sklearn"], "apart"),
    "convolution.py": (["--quick"], "largest error"),
    "digits.py": (["--epochs", "1", "--seeds", "1", "--libraries", "backprop"], "mean"),
    "embedding.py": (["--quick"], "add.at"),
    "estimators.py": (["--seeds", "1", "--folds", "2", "--tables", "iris"], "scikit-learn"),
    "footprint.py": (["--quick", "--rows", "mlp-digits", "--peers", "autograd"], "installed mb"),
    "gradcheck.py": (["--quick"], "undecided"),
    "gradcheck_floor.py": (["1"], "found at twice the floor"),
    "import_time.py": (["--rounds", "1"], "import backprop"),
    "looks.py": (["--quick"], "in all"),
    "new_face.py": (
        ["--quick", "--peers", "--only", "columns", "metrics", "losses", "small", "RandomHue"],
        "RandomHue",
    ),
    "nonfinite.py": (["--quick"], "mlp-tiny"),
    "optimizers.py": (["--quick"], "adam"),
    "overhead.py": (["--quick", "--growth"], "its own"),
    "predict.py": (
        ["--quick", "--rows", "mlp-tiny", "embed-bag", "--sizes", "one", "--peers"],
        "NumPy alone",
    ),
    "ranks.py": (["--quick", "--no-torch"], "mlp-tiny"),
    "recurrent.py": (["--quick"], "LSTM"),
    "scaling.py": (["--quick"], "weak above 80%"),
    "tables.py": (["--seeds", "1", "--tables", "iris"], "scikit-learn"),
    "trust.py": (["--quick"], "undecided"),
    "train_step.py": (
        [
            "--quick",
            *("--rows", "mlp-tiny", "autoencoder", "cnn-mnist", "transformer", "embed-bag"),
            *("--peers", "by-hand", "autograd"),
        ],
        "ratios",
    ),
}


NEEDS_MPI = ("ranks.py", "scaling.py")
LONGER = ("footprint.py", "gradcheck.py", "tables.py", "train_step.py", "trust.py")


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)},
    )


def quick(name, *arguments):
    return script(name, "--quick", *arguments)


def test_every_benchmark_has_a_quick_run():
    assert {path.name for path in BENCHMARKS.glob("*.py")} == set(QUICK)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONGER else ()) for n in QUICK]
)
def test_the_benchmark_runs(name):
    arguments, expected = QUICK[name]
    if name in NEEDS_MPI and jobs.MISSING:
        pytest.skip(f"no {' and no '.join(jobs.MISSING)} here")

    run = script(name, *arguments)

    assert run.returncode == 0, run.stderr
    assert expected in run.stdout.lower() or expected in run.stdout


@pytest.fixture
def shared(monkeypatch):
    """The modules that the scripts share, under the name that they have there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the scripts set it
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shared"]:
        del sys.modules[name]


def first(peer, row):
    from shared.peers import PEERS

    return next(iter(PEERS[peer].variants(row).values()))().first(3)


@pytest.mark.parametrize("name", ["mlp-tiny", "autoencoder"])
def test_the_hand_written_loop_does_our_work(shared, name):
    from shared.agreement import allowed, compare
    from shared.peers import PEERS
    from shared.rows import ROWS

    loss, gradient = compare(first("by-hand", ROWS[name]), first("backprop", ROWS[name]))

    assert loss < allowed(ROWS[name], PEERS["by-hand"])[0]
    assert gradient < allowed(ROWS[name], PEERS["by-hand"])[1]


def test_other_work_is_told_from_ours(shared):
    from shared.agreement import allowed, compare
    from shared.peers import PEERS
    from shared.rows import ROWS, SGD, Adam

    row = ROWS["mlp-tiny"]
    ours = first("backprop", row)
    other_rate = first("by-hand", dataclasses.replace(row, optimizer=Adam(lr=1.5e-3)))
    other_update = first("by-hand", dataclasses.replace(row, optimizer=SGD()))
    losses, gradients = first("by-hand", row)
    lost = [*gradients[:-1], np.zeros_like(gradients[-1])]

    most = allowed(row, PEERS["by-hand"])
    assert compare(other_rate, ours)[0] > most[0]
    assert compare(other_update, ours)[0] > most[0]
    assert compare((losses, lost), ours)[1] > most[1]


# of each kind of layer one row
KINDS = [
    "mlp-tiny",
    "cnn-mnist",
    "cnn-cifar",
    "conv-stride2",
    "depthwise",
    "lstm",
    "gru",
    "transformer",
    "embed-bag",
]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("peer", ["autograd", pytest.param("jax", marks=pytest.mark.slow), "torch"])
@pytest.mark.filterwarnings("ignore")  # what libraries say about each other
def test_another_library_does_our_work_in_each_of_its_ways(shared, peer, name):
    from shared.agreement import allowed, compare
    from shared.peers import PEERS, NotOffered
    from shared.rows import ROWS

    pytest.importorskip(peer, reason="the peer is not installed")
    row = ROWS[name].small()
    try:
        ways = PEERS[peer].variants(row)
    except NotOffered as why:
        pytest.skip(str(why))
    ours = first("backprop", row)

    for way, make in ways.items():
        loss, gradient = compare(make().first(3), ours)

        assert loss < allowed(row, PEERS[peer])[0], way
        assert gradient < allowed(row, PEERS[peer])[1], way


@pytest.mark.slow
def test_keras_does_our_work_where_layers_are_passed_by():
    pytest.importorskip("keras", reason="the peer is not installed")
    pytest.importorskip("jax", reason="the engine is not installed")

    run = quick("train_step.py", "--rows", "transformer", "--peers", "keras-jax")

    assert run.returncode == 0, run.stderr
    assert "keras-jax, fit" in run.stdout, run.stdout
    assert "absent:" not in run.stdout and "REFUSED" not in run.stdout


@pytest.mark.parametrize(
    "peer, library", [("by-hand", "numpy"), ("sklearn", "sklearn"), ("autograd", "autograd")]
)
def test_what_a_library_lacks_is_the_reason_for_its_absence(shared, peer, library):
    from shared.peers import PEERS, NotOffered
    from shared.rows import ROWS

    pytest.importorskip(library)
    with pytest.raises(NotOffered, match="no such layer: Conv2D, Flatten, MaxPooling2D"):
        PEERS[peer].variants(ROWS["cnn-mnist"])


def test_weights_have_the_shapes_of_the_models(shared):
    from shared.peers.keras_like import compiled
    from shared.rows import ROWS, trained, weights

    import backprop

    for row in ROWS.values():
        if row.name.startswith("mlp-") and row.name != "mlp-tiny":
            continue
        model = compiled(backprop, row.small())

        assert [w.shape for w in model.get_weights()] == [w.shape for w in weights(row)]
        assert len(trained(row, weights(row))) == len(model.parameters.parameters)
        assert model.output_shape[1:] == row.output_shape()


def test_other_work_shows_although_rounding_may_decide_a_pixel(shared):
    from shared.agreement import allowed, compare
    from shared.peers import PEERS
    from shared.rows import ROWS, Adam

    row = ROWS["cnn-cifar"].small()
    ours = first("backprop", row)
    loss_allowed, gradient_allowed = allowed(row, PEERS["backprop"])
    other_rate = first("backprop", dataclasses.replace(row, optimizer=Adam(lr=1.5e-3)))
    losses, gradients = ours
    doubled = [2 * gradients[0], *gradients[1:]]

    assert compare(other_rate, ours)[0] > loss_allowed
    assert compare((losses, doubled), ours)[1] > gradient_allowed


def test_a_gradient_that_is_nothing_but_rounding_is_not_compared_by_its_digits(shared):
    from shared.agreement import compare

    large = np.ones(100, np.float32)
    ours = [1.0], [large, np.full(3, 1e-9, np.float32)]

    assert compare(([1.0], [large, np.full(3, -2e-9, np.float32)]), ours)[1] < 1e-5
    assert compare(([1.0], [large, np.full(3, 1e-5, np.float32)]), ours)[1] > 1e-3


def test_a_run_leaves_its_numbers_and_its_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="draws")
    numbers, picture = tmp_path / "step.json", tmp_path / "step.png"

    run = quick(
        "train_step.py",
        *("--rows", "mlp-tiny", "embed-bag", "--peers", "by-hand"),
        *("--json", str(numbers), "--plot", str(picture)),
    )

    assert run.returncode == 0, run.stderr
    found = json.loads(numbers.read_text())["rows"]
    assert len(json.loads(numbers.read_text())["runs"]["mlp-tiny"]) == 1
    assert found["mlp-tiny"]["ratios"]["by hand"]["median"] > 0
    assert found["embed-bag"]["absent"] == {
        "by-hand": "no such layer: Embedding, GlobalAveragePooling1D"
    }
    assert picture.stat().st_size > 5000

    shown = script("train_step.py", "--show", str(numbers), str(numbers))

    assert shown.returncode == 0, shown.stderr
    assert "medians of 2 runs" in shown.stdout


def found_of(ratio, ours=1.0):
    """One run of a row, as a file has it."""
    sides = {"backprop: train_step": ours, "jax: jit": ratio * ours}
    step = {"median": ratio, "low": ratio, "high": ratio, "least": ratio}
    return {
        "row": "a row",
        "microseconds": {side: {"median": time} for side, time in sides.items()},
        "ratios": {"step": step | {"peer": "jax", "variant": "jit", "ours": "train_step"}},
        "absent": {},
        "refused": {},
    }


def test_of_several_runs_the_median_counts_and_what_is_below_1_is_marked(shared, capsys):
    from shared.results import Record

    record = Record("step", {})
    for slow, fast in ((0.5, 3.0), (0.9, 2.0), (1.2, 2.5)):
        record.add("slow", found_of(slow))
        record.add("fast", found_of(fast, ours=4.0))

    record.summary("µs a step")

    assert record.rows()["slow"]["ratios"]["step"]["median"] == 0.9
    assert record.rows()["fast"]["ours"] == 4.0
    lines = capsys.readouterr().out.splitlines()
    slow, fast, mean = lines[3:6]
    assert "0.90 (0.50-1.20, least 0.90) to jax, jit BELOW" in slow
    assert "2.50 (2.00-3.00, least 2.50) to jax, jit" in fast and "BELOW" not in fast
    assert "geometric mean of 2 rows: 1.50; below 1: slow" in mean


def test_a_library_is_held_to_older_instructions():
    run = quick("train_step.py", "--isa", "avx2", "--rows", "mlp-tiny", "--peers", "by-hand")

    assert run.returncode == 0, run.stderr
    with_ours = next(x for x in run.stdout.splitlines() if x.startswith("with backprop "))
    if "openblas" in with_ours and "x86_64" in run.stdout:
        assert "with its Haswell kernel" in with_ours
    assert "AVX512" not in with_ours and "X86_V4" not in with_ours and "512 bits" not in with_ours


PREDICTED = ["mlp-tiny", "cnn-cifar", "gru", "transformer", "u-net"]


@pytest.mark.parametrize("name", PREDICTED)
@pytest.mark.parametrize("peer", ["jax", "torch", "onnxruntime"])
@pytest.mark.filterwarnings("ignore")  # what libraries say about each other
def test_another_library_predicts_what_ours_predicts(shared, peer, name):
    from shared.agreement import compare
    from shared.peers import PEERS
    from shared.rows import ROWS

    for module in {"onnxruntime": ("onnxruntime", "onnxscript")}.get(peer, (peer,)):
        pytest.importorskip(module, reason="the peer is not installed")
    row = ROWS[name].small()
    ours = predicted(PEERS["backprop"], row)["predict"]

    for way, found in predicted(PEERS[peer], row).items():
        assert compare(found, ours)[1] < 1e-5, way


def predicted(peer, row):
    return {way: make().first(1) for way, make in peer.predictions(row).items()}


def test_other_predictions_are_told_from_ours(shared):
    from shared.agreement import compare
    from shared.peers import PEERS
    from shared.rows import ROWS

    row = ROWS["mlp-tiny"].small()
    _, arrays = ours = predicted(PEERS["backprop"], row)["predict"]
    logits = predicted(PEERS["backprop"], dataclasses.replace(row, from_logits=True))["predict"]

    assert compare(([], [a[::-1] for a in arrays]), ours)[1] > row.gradient_tolerance
    assert compare(logits, ours)[1] > row.gradient_tolerance


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
