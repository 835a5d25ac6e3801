"""Metrics over the rows of all ranks.

A metric is a few running sums, and those of all rows are the sums of those of each rank. Where they
are no sums (`R2Score` keeps a mean) the metric says how two of its states become one: `merge`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.training.hooks import own

Array = np.ndarray


def collect_metrics(ranks: Any, metrics: Any) -> None:
    """Give rank 0 what each metric has seen on all ranks; the others have then seen nothing.

    Done twice, it changes nothing: sums may be collected whenever somebody wants to know.
    """
    for metric in counted(metrics):
        state = [np.array(v) for v in metric.variables]
        found = ranks.comm.gather(state)
        metric.reset_state()
        if ranks.is_main:
            for other in found:
                if other:  # of a rank that has seen no row of a metric that makes its sums then
                    metric.merge(other)


def counted(metrics: Any) -> list[Any]:
    """The metrics that each rank updates with its own rows: not the means of several losses, which
    are those of the whole batch already."""
    return [m for m in metrics._all() if not any(m is loss for loss in metrics.losses)]


def check_metrics(metrics: Any) -> None:
    """Raise for a metric of the user's whose states cannot be known to be sums."""
    for metric in counted(metrics):
        cls = type(metric)
        if own(cls, "update_state") and not own(cls, "merge"):
            raise ValueError(
                f"MPI() cannot put together what {cls.__name__} has seen on several ranks: write "
                "merge(self, state), which adds the variables of another such metric, a list of "
                "arrays, to its own"
            )
