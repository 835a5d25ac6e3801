"""`MPI`: the strategy of a script that runs under ``mpiexec``."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from backprop.callbacks.console import VOICE
from backprop.checks import one_of
from backprop.distributed.failure import Job
from backprop.distributed.ranks import Ranks
from backprop.training.strategy import SingleProcess

# MPICH sends the parts of a long all-gather round in pieces of 32 KiB, of which each waits for the
# one before: over a link of 1 ms that takes four times as long as whole parts
WHOLE_PARTS = ("MPIR_CVAR_ALLGATHERV_PIPELINE_MSG_SIZE", str(2**31 - 1))


class MPI(SingleProcess):
    """Data parallel training on the ranks of an MPI job: each has some rows of every batch.

    All ranks run the same script. Rank 0's weights and seed count for all. `batch_size` is that of
    the whole batch: rank r of n takes rows ⌊r b / n⌋ to ⌊(r + 1) b / n⌋ of each batch of b rows, in
    an order that is a function of the seed and the epoch alone. The gradients of all ranks are
    summed by one all-reduce a step, or one an update under ``gradient_accumulation_steps``. Loss,
    metrics and the statistics of `BatchNormalization` are those of the whole batch, and what is
    decided from them (early stopping, plateaus, schedules) is decided alike. Rank 0 alone writes
    the files and the progress bar of the library's callbacks.

    Without ``mpiexec`` there is one rank, and the run is that of `SingleProcess`.

    Parameters
    ----------
    data : {"replicated", "sharded"}, default "replicated"
        ``"replicated"``: every rank is given the same data and takes its rows of each batch.
        ``"sharded"``: every rank is given data of its own, and a batch is that of all ranks
        together; `batch_size` is a rank's, and a rank whose data end before the others' waits for
        them.
    shard_optimizer : bool, default False
        Each rank keeps 1/n of what the optimizer remembers, and updates 1/n of the weights: the
        gradient is reduced and scattered, the weights are gathered. The numbers are the same.
        When the run is over every rank has all of it again, for `Model.save` and the next run.

    Attributes
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.

    Raises
    ------
    ImportError
        Without mpi4py: ``pip install backprop[mpi]``.
    ValueError
        From `fit`, for what cannot be the same on several ranks, by name: L-BFGS, stateful layers,
        penalties on activity, losses that compare the rows of a batch, steps and losses that a
        model has of its own; and where the ranks were given different models or data.

    Notes
    -----
    From the first `MPI` on, an exception that ends the script on one rank ends the whole job, and
    its traceback is the one that is printed.

    Examples
    --------
    >>> from backprop.distributed import MPI
    >>> MPI(shard_optimizer=True)  # doctest: +SKIP
    MPI(shard_optimizer=True)
    """

    def __init__(self, *, data: str = "replicated", shard_optimizer: bool = False):
        self.data = one_of(data, ("replicated", "sharded"), "MPI", "data")
        self.shard_optimizer = one_of(shard_optimizer, (True, False), "MPI", "shard_optimizer")
        if self.rank:
            VOICE.muted = True

    def __repr__(self) -> str:
        told = [] if self.data == "replicated" else [f"data={self.data!r}"]
        return f"MPI({', '.join(told + ['shard_optimizer=True'] * self.shard_optimizer)})"

    @property
    def rank(self) -> int:
        return job().rank

    @property
    def size(self) -> int:
        return job().size

    def across(self, trainer: Any) -> Ranks | None:
        return Ranks(self, trainer, job()) if self.size > 1 else None


@cache
def job() -> Job:
    """The job of this process: its communicators are made once, by all ranks together."""
    os.environ.setdefault(*WHOLE_PARTS)  # which MPICH reads when it begins
    try:
        from mpi4py import MPI as mpi
    except ImportError as error:
        raise ImportError(
            "MPI() needs mpi4py and an MPI library: pip install backprop[mpi]"
        ) from error
    return Job(mpi.COMM_WORLD)
