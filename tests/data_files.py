"""Data sets on the disk for tests: the same rows as arrays and in files of each format."""

import numpy as np
import pytest

import backprop as bp

N = 101
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype("float32")
Y = (X[:, :1] - X[:, 1:2] * X[:, 2:]).astype("float32")
W = RNG.uniform(0.5, 2, N).astype("float32")
KINDS = ["hdf5", "parquet", "npy"]


def written(kind, folder, x=X, y=Y, w=W, rows=10):
    """The arguments of a data set of these rows, in blocks of some rows, and its class."""
    folder.mkdir(exist_ok=True)
    if kind == "npy":
        for name, a in (("x", x), ("y", y), ("w", w)):
            (folder / name).mkdir()
            for i in range(0, max(len(a), 1), rows):
                np.save(folder / name / f"part-{i // rows}.npy", a[i : i + rows])
        return bp.data.NpyDataset, [folder / name for name in "xyw"]
    if kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "rows.h5", "w") as file:
            chunks = (rows, *x.shape[1:]) if len(x) else None
            file.create_dataset("in/x", data=x, chunks=chunks, compression=chunks and "gzip")
            file["y"], file["w"] = y, w
        return bp.data.HDF5Dataset, [folder / "rows.h5", "in/x", "y", "w"]
    columns = {f"x{i}": x[:, i] for i in range(x.shape[1])} | {"y": list(y) or y[:, 0], "w": w}
    parquet(folder / "rows.parquet", columns, rows)
    names = [f"x{i}" for i in range(x.shape[1])]
    return bp.data.ParquetDataset, [folder / "rows.parquet", names, "y", "w"]


def parquet(path, columns, rows=None, **options):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, row_group_size=rows, **options)


def dataset(kind, folder, **options):
    """`N` rows in batches of 8, with windows of about 30 rows."""
    cls, arguments = written(kind, folder)
    return cls(*arguments, **{"batch_size": 8, "buffer_size": 30} | options)


def model(*layers, **settings):
    bp.utils.set_random_seed(3)
    made = bp.Sequential([bp.Input((3,)), bp.layers.Dense(4, "tanh"), *layers, bp.layers.Dense(1)])
    made.compile(**{"optimizer": bp.optimizers.Adam(0.02), "loss": "mse"} | settings)
    return made


def joined(batches):
    """x, y and the weights of all batches."""
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]
