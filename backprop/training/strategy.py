"""Where the work of a run is done: in this process, or on the ranks of a job.

A strategy says who else takes part in a run. `SingleProcess`, the default, says nobody, and then
`Trainer.across` is None and no line of a step differs. `backprop.distributed.MPI` brings a `Ranks`
for the run's time, which the trainer asks at a few points: what a batch of theirs is, what the loss
of all rows is, how the gradients of all become one update, what the logs of an epoch are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class SingleProcess:
    """All the work of a run is done in this process: the default.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> from backprop.distributed import SingleProcess
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), strategy=SingleProcess(), verbose=0)
    """

    def __repr__(self) -> str:
        return "SingleProcess()"

    @property
    def rank(self) -> int:
        """Which of the processes that share the work this is."""
        return 0

    @property
    def size(self) -> int:
        """How many processes share the work."""
        return 1

    def across(self, trainer: Any) -> Any:
        """Those among whom the work of a run is shared; None where there are no others."""
        return None


def checked(strategy: Any) -> Any:
    """The strategy that a user gives, None for the default."""
    if strategy is None:
        return SingleProcess()
    if isinstance(strategy, SingleProcess):
        return strategy
    raise TypeError(
        "strategy is an object such as backprop.distributed.SingleProcess() or "
        f"backprop.distributed.MPI(), got {strategy!r}"
    )


def on_all_ranks(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of a trainer in which all ranks of its strategy take part.

    An exception in it that the other ranks do not raise too ends the job: they would wait for this
    one, each in another place.
    """

    @functools.wraps(method)
    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.across is not None:  # within a run, such as by a callback
            return method(self, *args, **kwargs)
        strategy: Any = kwargs.get("strategy")
        if strategy is not None:
            self.strategy = checked(strategy)
        self.across = across = self.strategy.across(self)
        if across is None:
            return method(self, *args, **kwargs)
        try:
            across.meet(method.__name__)
            return method(self, *args, **kwargs)
        except BaseException as error:
            across.fail(error)
            raise
        finally:
            self.across = None
            across.leave()

    return run


def alone(trainer: Any, who: str) -> None:
    """Raise where a step that is called by hand would train this rank's model and no other's."""
    if trainer.strategy.size > 1:
        raise RuntimeError(
            f"{who}() steps on this rank alone, and the models of {trainer.strategy!r} would come "
            "apart: use fit(), or compile() without a strategy"
        )
