"""Whole runs on data that no memory holds: how much they take, and where they go on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from data_files import KINDS, dataset, model

import backprop as bp
from backprop.callbacks import BackupAndRestore, Callback

ROOT = Path(bp.__file__).parents[1]


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


# ------------------------------------------------------------------ a run that goes on


class Stops(Callback):
    """Ends the run, as a machine may, behind so many batches."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore:the data ended after")  # where a pass ends within an epoch
@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 5}, {"shuffle": False}], ids=str)
def test_a_run_goes_on_in_the_middle_of_an_epoch_bit_for_bit(options, kind, tmp_path):
    def fit(*callbacks):
        made = model(bp.layers.Dropout(0.2))
        data = dataset(kind, tmp_path / str(len(os.listdir(tmp_path))))
        given = {"epochs": 4, "verbose": 0, "validation_data": data} | options
        made.fit(data, callbacks=[*callbacks], **given)
        return made

    whole = fit()
    backup = tmp_path / "backup"
    with pytest.raises(ZeroDivisionError):
        fit(BackupAndRestore(backup, save_freq=4), Stops(17))

    resumed = fit(BackupAndRestore(backup, save_freq=4))

    np.testing.assert_equal(resumed.get_weights(), whole.get_weights())
    np.testing.assert_equal(resumed.optimizer.get_state(), whole.optimizer.get_state())
    assert resumed.history.history == whole.history.history


def test_a_run_that_goes_on_reads_nothing_that_lies_before(tmp_path):
    made = model()
    with pytest.raises(ZeroDivisionError):
        made.fit(
            dataset("npy", tmp_path / "a", prefetch=False),
            epochs=2,
            verbose=0,
            callbacks=[BackupAndRestore(tmp_path / "backup", save_freq=10), Stops(24)],
        )
    data = dataset("npy", tmp_path / "b", prefetch=False)
    read, parts = [], data.table.parts
    data.table.parts = lambda ranges: read.append(sum(b - a for a, b in ranges)) or parts(ranges)

    model().fit(
        data, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", save_freq=10)]
    )

    assert read[0] == 8  # to look at the first batch
    assert 101 - 8 * 7 <= sum(read[1:]) < 101


@pytest.fixture
def plain_handler():
    """That of a plain process, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_the_thread_reads_ends_a_run_that_goes_on_bit_for_bit(plain_handler, tmp_path):
    def fit(folder, interrupted=False):
        data, made = dataset("npy", folder), model()
        parts, left = data.table.parts, [6]

        def heard(ranges):
            left[0] -= 1
            if interrupted and left[0] == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return parts(ranges)

        data.table.parts = heard
        made.fit(data, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup")])
        return made

    whole = fit(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "b", interrupted=True)
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]

    resumed = fit(tmp_path / "c")

    np.testing.assert_equal(resumed.get_weights(), whole.get_weights())


# ------------------------------------------------------------------ less memory than data

WRITE = {
    "npy": """
for i in range(3):  # holes, which take no room on the disk
    a = np.lib.format.open_memmap(f"x/{i}.npy", "w+", "f4", (50_000, 1024))
    np.save(f"y/{i}.npy", np.zeros(50_000, "f4"))
""",
    "hdf5": """
import h5py
with h5py.File("rows.h5", "w") as file:
    file.create_dataset("x", (150_000, 1024), "f4", chunks=(250, 1024))
    file["y"] = np.zeros(150_000, "f4")
""",
    "parquet": """
import pyarrow as pa, pyarrow.parquet as pq
zeros = np.zeros(1_000_000, "f4")
columns = {"x": pa.FixedSizeListArray.from_arrays(zeros, 1000), "y": zeros[:1000]}
pq.write_table(pa.table(columns), "rows.parquet", row_group_size=1000)
""",
    "memory map": """
a = np.lib.format.open_memmap("x.npy", "w+", "f4", (150_000, 1024))
np.save("y.npy", np.zeros(150_000, "f4"))
""",
}
READ = {
    "npy": 'bp.data.NpyDataset("x", "y", batch_size=1000, buffer_size=5000)',
    "hdf5": 'bp.data.HDF5Dataset("rows.h5", "x", "y", batch_size=1000, buffer_size=5000)',
    "parquet": 'bp.data.ParquetDataset(["rows.parquet"] * 200, "x", "y", '
    "batch_size=1000, buffer_size=5000)",
}
RUN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
import numpy as np, backprop as bp

data = {data}
try:
    np.ones({size}, "u1")
    raise SystemExit("all data would fit into the memory")
except MemoryError:
    pass
model = bp.Sequential([bp.Input(data[0][0].shape[1:]), bp.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(data, epochs=1, verbose=0)
train, held_out = data.split(0.1)
assert model.evaluate(held_out, verbose=0) >= 0
assert len(model.predict(held_out, verbose=0)) == held_out.count
"""
MAPPED = """
import resource
import numpy as np, backprop as bp

x, y = (np.load(name, mmap_mode="r") for name in ("x.npy", "y.npy"))
# a map takes addresses and no memory: what is limited is all else
resource.setrlimit(resource.RLIMIT_DATA, ({limit}, {limit}))
try:
    np.array(x)
    raise SystemExit("all data would fit into the memory")
except MemoryError:
    pass
model = bp.Sequential([bp.Input((1024,)), bp.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, batch_size=1000, epochs=1, verbose=0, validation_split=0.1)
assert model.evaluate(x[-5000:], y[-5000:], batch_size=1000, verbose=0) >= 0
assert len(model.predict(x[-5000:], batch_size=1000, verbose=0)) == 5000
"""
SIZE = {"parquet": 800_000_000}  # the package alone takes addresses of 300 MB


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@pytest.mark.parametrize("kind", [*KINDS, "memory map"])
def test_a_run_takes_less_memory_than_its_data(kind, tmp_path):
    if kind in ("hdf5", "parquet"):
        pytest.importorskip({"hdf5": "h5py", "parquet": "pyarrow"}[kind])
    for name in "xy":
        (tmp_path / name).mkdir()
    size = SIZE.get(kind, 614_400_000)
    limit = size - 20_000_000
    script = MAPPED if kind == "memory map" else RUN
    settings = {"OPENBLAS_NUM_THREADS": "1", "BACKPROP_KERNELS": "numpy"}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    for source in (
        f"import numpy as np\n{WRITE[kind]}",
        script.format(limit=limit, size=size, data=READ.get(kind)),
    ):
        found = subprocess.run(
            [sys.executable, "-c", source],
            cwd=tmp_path,
            env=os.environ | settings | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

        assert found.returncode == 0, found.stderr
