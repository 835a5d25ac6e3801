"""The ranks of a run: what the trainer asks them, step by step.

One step of n ranks is that of one process on the whole batch. With v_i the values of the loss, w_i
their weights, N what the mean divides by, and rank r's share of each:

    L = Σ_r Σ_(i of r) w_i v_i / N = Σ_r (N_r / N) L_r        N = Σ_r N_r

Rank r finds L_r and N_r on its rows. One small sum over the ranks gives N and L; with dL_r times
N_r / N as its gradient of the loss, the sum of all ranks' gradients is that of L: no rank need have
as many rows, unmasked steps or as much weight as another. A loss that is itself a sum has
N_r / N = 1.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.distributed.agreement import check_alike, check_rows_apart, check_run
from backprop.distributed.callbacks import SharedCallbacks, SharedSignals
from backprop.distributed.generators import Generators
from backprop.distributed.metrics import collect_metrics
from backprop.distributed.rows import ShardedData, SharedRows
from backprop.distributed.shards import ShardedUpdates
from backprop.distributed.updates import Updates, WholeUpdates
from backprop.layer import TRAINING, Array, Context
from backprop.losses.at_once import divisor
from backprop.losses.several import Total, WeightedSum
from backprop.training.data import Data
from backprop.training.loop import Logs, logs_of
from backprop.vector import ParameterVector

# what a rank has to say between two steps, as the bits of one number
STOPS, SAVES, GOES_ON = 1, 2, 4
SIGNALS: dict[int, int] = {signal.SIGINT: 8, signal.SIGTERM: 16}
TOLD_WITH_LOSSES = (STOPS, *SIGNALS.values())


class Ranks:
    """The processes that share the work of one run, as one of them sees them.

    Attributes
    ----------
    rank, size : int
    is_main : bool
        Whether this is rank 0, which writes files.
    rows : int
        How many rows the batch in hand has on all ranks.
    idle : bool
        Whether none of them is here: then this rank computes with a row that does not count,
        because the others wait for its sums.
    """

    def __init__(self, strategy: Any, trainer: Any, job: Any):
        from mpi4py import MPI

        self.strategy, self.trainer, self.job, self.mpi = strategy, trainer, job, MPI
        self.comm, self.rank, self.size = job.comm, job.rank, job.size
        self.is_main = job.rank == 0
        self.rows, self.idle = 0, False
        self._checked = False  # whether the loss takes each row for itself
        self._wishes_to_stop = False  # which the others have not heard yet
        self._told = 0  # what the last sum over the ranks has brought
        self.updates: Updates = (ShardedUpdates if strategy.shard_optimizer else WholeUpdates)(self)

    # ------------------------------------------------------------------ a run

    def meet(self, who: str) -> None:
        """Wait until all ranks have come."""
        self.job.meet(who)
        check_run(self.trainer, who)

    def fail(self, error: BaseException) -> None:
        self.job.fail(error)

    def leave(self) -> None:
        """The run is over, or has failed: the trainer is as it was."""
        self.trainer._training = TRAINING
        self.updates.release()

    def build(self, parameters: ParameterVector) -> None:
        """Build the optimizer for the parameters, or for this rank's part of them."""
        self.updates.build(parameters)

    def begin(self, data: Data, validation: Any, epochs: int) -> Any:
        """Make all ranks alike, with rank 0's weights and seed, and share the data out."""
        trainer, model = self.trainer, self.trainer.model
        check_alike(self, data, validation, epochs)
        for p in [*model.arrays(), *model.states_kept()]:
            self.broadcast(p.value)
        trainer.seed = data.seed = self.comm.bcast(trainer.seed)
        self.updates.begin()
        self.generators = Generators(trainer, self.rank)
        trainer._training = Context(training=True, ranks=self)
        if validation is not None:
            validation.data = self.share(validation.data)
        return self.share(data, self.generators)

    def end(self) -> None:
        """The last step is done: every rank has the whole optimizer."""
        self.updates.end()

    def share(self, data: Data, generators: Any = None) -> Any:
        """Data of which this rank reads its rows of each batch."""
        kind = ShardedData if self.strategy.data == "sharded" else SharedRows
        return kind(self, data, generators)

    def callbacks(self, callbacks: Any, **options: Any) -> SharedCallbacks:
        return SharedCallbacks(self, callbacks, **options)

    def signals(self) -> SharedSignals:
        return SharedSignals()

    # ------------------------------------------------------------------ a step

    def weigh(self, loss: Any, y: Any, y_pred: Any, value: Any, cache: Any) -> tuple[Any, Any]:
        """The loss of the whole batch, and what this rank's gradient counts in it; of a sum of
        losses for each of them."""
        if not self._checked and not self.idle:
            self._checked = check_rows_apart(loss, y, y_pred)
        if not isinstance(loss, WeightedSum):
            found, shares = self._weigh_each([divisor(loss, cache)], [value])
            return found[0], shares[0]
        divisors = [divisor(*part) for part in cache]
        found, shares = self._weigh_each(divisors, value.parts)
        weights = [loss.weights[i] for i in loss.places]
        return Total(sum(w * v for w, v in zip(weights, found, strict=True)), found), shares

    def _weigh_each(
        self, divisors: list[float | None], losses: list[Any]
    ) -> tuple[list[float], list[float]]:
        """L of each loss, and N_r / N, from N_r (None of a sum) and L_r. In numbers of Python, of
        which there are a few in every step."""
        own = [0.0 if self.idle else 1.0 if n is None else float(n) for n in divisors]
        values = [n * float(v) if n else 0.0 for n, v in zip(own, losses, strict=True)]
        said, k = self._said(), len(own)
        others = [float(said & bit > 0) for bit in TOLD_WITH_LOSSES]
        told = self.sum(np.array(own + values + others)).tolist()
        self._told = sum(bit for bit, n in zip(TOLD_WITH_LOSSES, told[2 * k :], strict=True) if n)
        N = [1.0 if n is None else m for n, m in zip(divisors, told, strict=False)]
        found = [v / m if m > 0 else v for v, m in zip(told[k : 2 * k], N, strict=True)]
        return found, [n / m if m > 0 else 0.0 for n, m in zip(own, N, strict=True)]

    def step(self, parameters: ParameterVector) -> None:
        """One step of the optimizer, from the gradients of all ranks."""
        self.updates.step(parameters)

    def sum(self, a: Array) -> Array:
        """The sum of an array over all ranks, in its place."""
        self.comm.Allreduce(self.mpi.IN_PLACE, a)
        return a

    def broadcast(self, a: Array) -> None:
        """Make an array rank 0's."""
        found = np.ascontiguousarray(a)
        self.comm.Bcast(found)
        if found is not a:
            a[...] = found

    # ------------------------------------------------------------------ between steps

    def agree(self) -> None:
        """Make it a decision of all ranks whether the run stops, for whichever wants to."""
        self._settle(self._all_say(self._said() | GOES_ON))

    def settle(self) -> None:
        """The same between two steps in which no rank's callbacks decide: what is sent to a rank
        from outside has been told with the losses of the step, or will be with those of the next.
        """
        self._wishes_to_stop = bool(self._said() & STOPS)
        self._settle(self._told)

    def _said(self) -> int:
        """Whether this rank wants to stop, and the signal that it was sent."""
        trainer = self.trainer
        stops = STOPS * bool(trainer.model.stop_training or self._wishes_to_stop)
        return stops | SIGNALS.get(getattr(trainer.signals, "heard", 0), 0)

    def _settle(self, told: int) -> None:
        model, signals = self.trainer.model, self.trainer.signals
        for number, bit in SIGNALS.items():
            if told & bit:
                signals.came = number
        model.stop_training = bool(told & ~(SAVES | GOES_ON))

    def _all_say(self, said: int) -> int:
        """What any rank has to say between two steps. A callback that saves on some of them alone
        would have them wait for the others, which come here."""
        told = np.array([said], np.int64)  # 8 bytes, which take one exchange
        self.comm.Allreduce(self.mpi.IN_PLACE, told, self.mpi.BOR)
        if told[0] & SAVES and told[0] & GOES_ON:
            raise RuntimeError(
                "some ranks save the state of the run and others do not: all of them call "
                "save_state(), as each has a part of the state, and rank 0 writes"
            )
        return int(told[0])

    def all(self, true: bool) -> bool:
        """Whether something is so on all ranks."""
        told = np.array([not true], np.int64)
        self.comm.Allreduce(self.mpi.IN_PLACE, told, self.mpi.BOR)
        return not told[0]

    def first_of(self, found: Any) -> tuple[int, Any]:
        """The first rank that has found something, and what; where none has, what rank 0 says."""
        every = self.comm.allgather(found)
        return next(((rank, one) for rank, one in enumerate(every) if one.tensor), (0, every[0]))

    def logs(self, so_far: Any) -> Logs:
        """The logs of an epoch: the loss and the metrics of all rows, alike on all ranks."""
        self.collect()
        return self.comm.bcast(logs_of(so_far) if self.is_main else None)

    def collect(self) -> None:
        """Give rank 0 what all metrics have seen; the others have then seen nothing."""
        collect_metrics(self, self.trainer.metrics)

    def on_main(self, work: Callable[[], Any]) -> Any:
        """What some work of rank 0 returns, or raises."""
        found: Any = None
        error: BaseException | None = None
        if self.is_main:
            try:
                found = work()
            except Exception as failed:
                error = failed
        found, error_there = self.comm.bcast((found, error))
        if error is not None:
            raise error
        if error_there is not None:
            raise error_there
        return found

    def saving(self, work: Callable[[], Any]) -> Any:
        """Have rank 0 save the state of the run, of which every rank has a part."""
        self._all_say(SAVES)
        self.collect()
        with self.updates.whole():
            return self.on_main(work)

    def restoring(self, work: Callable[[], Any]) -> Any:
        """Take a state that was saved up, on all ranks."""
        with self.updates.in_parts():
            found = work()
        if not self.is_main:
            zero(self.trainer.metrics)
        return found


def zero(metrics: Any) -> None:
    """Forget what metrics have seen, which rank 0 has."""
    for metric in metrics._all():
        if not any(metric is loss for loss in metrics.losses):
            metric.reset_state()
