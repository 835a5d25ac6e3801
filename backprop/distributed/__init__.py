"""Training on several processes, of one machine or of many: the same script under ``mpiexec``.

    model.fit(x, y, batch_size=1024, strategy=bp.distributed.MPI())

    mpiexec -n 4 python train.py

The script, the model and the layers do not change, and neither do the numbers: a step on n ranks is
the step of one process on the same batch, up to rounding.
"""

from __future__ import annotations

from backprop.distributed.mpi import MPI
from backprop.training.strategy import SingleProcess

__all__ = ["MPI", "SingleProcess"]


def __dir__() -> list[str]:
    return sorted(__all__)
