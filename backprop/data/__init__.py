"""Data sets larger than memory: HDF5, Parquet and ``.npy`` files, read window by window.

    data = bp.data.HDF5Dataset("train.h5", x="images", y="labels", batch_size=64)
    model.fit(data, epochs=10)

Nothing is read whole, and no file stays open between two reads. A thread reads in advance. The
order of an epoch is a function of the seed and the epoch, so a run goes on in the middle of one.
h5py and pyarrow are imported by what needs them: ``pip install "backprop[data]"``.
"""

from __future__ import annotations

from backprop.data.hdf5 import HDF5Dataset
from backprop.data.npy import NpyDataset
from backprop.data.parquet import ParquetDataset
from backprop.data.rows import RowDataset
from backprop.data.table import Table

__all__ = ["HDF5Dataset", "NpyDataset", "ParquetDataset", "RowDataset", "Table"]


def __dir__() -> list[str]:
    return sorted(__all__)
