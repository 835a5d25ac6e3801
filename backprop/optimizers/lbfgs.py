"""L-BFGS: whole-batch steps along H g, where H is built from the last few changes of w and g.

    w ← w - a H g,    H ≈ (d²L/dw²)^-1 from history_size pairs (Δw, Δg),    a from a line search

A model's values are one vector already, so this is `scipy.optimize.minimize` with no packing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from backprop import checks
from backprop.checks import name_of
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array
from backprop.vector import ParameterVector

NO_STEPS = (
    "LBFGS takes no single steps: it needs the loss of all the data as often as its line search "
    "asks for it. Call fit(), or minimize(parameters, closure, iterations)"
)


class LBFGS(Optimizer):
    """w ← w - a H g, with the loss and gradient of all the data: for small data and smooth losses.

    `fit` runs one iteration an epoch. There is no learning rate: the line search finds the length
    of every step, at the price of one or a few evaluations of all the data.

    Every `fit` starts from the values that the last one reached, but learns the curvature anew: its
    first iteration is one of steepest descent. One `fit` of 100 epochs gets further than ten of 10.

    Parameters
    ----------
    history_size : int, default 10
        Pairs of changes that the curvature is estimated from (SciPy's ``maxcor``).
    maxls : int, default 20
        Evaluations that one line search may take.
    ftol : float, default 2.220446049250313e-09
        Stop when the loss falls by less than this fraction of max(|loss|, 1) in an iteration.
    gtol : float, default 1e-5
        Stop when no number of the gradient is larger than this.
    maxfun : int, optional
        Evaluations that one call of `minimize` may take. Default: what the line searches need.
    name : str, optional

    Attributes
    ----------
    converged : bool
        Whether the last run of `minimize` ended because the loss fell no more (`ftol`, `gtol`), and
        not by its callback or for want of iterations or evaluations. False before.

    Notes
    -----
    Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained optimization",
    1995, in SciPy's implementation ("L-BFGS-B", without bounds). It computes in float64; a model in
    float32 is evaluated in float32, and cannot be minimized further than to the noise of that.

    Examples
    --------
    >>> LBFGS(history_size=20)
    LBFGS(20)
    """

    full_batch = True
    scratch = 0
    converged = False

    def __init__(
        self,
        history_size: int = 10,
        maxls: int = 20,
        ftol: float = 2.220446049250313e-09,
        gtol: float = 1e-5,
        maxfun: int | None = None,
        name: str | None = None,
    ):
        self.name = name_of(name, type(self).__name__, "name")
        self.history_size = checks.integer(history_size, "LBFGS", "history_size")
        self.maxls = checks.integer(maxls, "LBFGS", "maxls")
        self.ftol = checks.number(ftol, "LBFGS", "ftol", least=0)
        self.gtol = checks.number(gtol, "LBFGS", "gtol", least=0)
        self.maxfun = None if maxfun is None else checks.integer(maxfun, "LBFGS", "maxfun")

    @property
    def learning_rate(self) -> float:
        raise AttributeError(
            "LBFGS has no learning_rate: its line search finds the length of every step. Leave out "
            "callbacks and schedules that change it, or use another optimizer"
        )

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        LBFGS.learning_rate.__get__(self)

    def step(self, parameters: ParameterVector) -> None:
        raise TypeError(NO_STEPS)

    def apply(self, grads: Iterable[Array | None], trainable_variables: Any = None) -> None:
        raise TypeError(NO_STEPS)

    def minimize(
        self,
        parameters: ParameterVector,
        closure: Callable[[], float],
        iterations: int,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Any:
        """Minimize the loss over the trainable parameters.

        Parameters
        ----------
        parameters : ParameterVector
            Where `closure` reads the values and sets the gradients.
        closure : callable
            Returns the loss at the present values, and sets all gradients.
        iterations : int
            At most.
        callback : callable, optional
            ``callback(iteration, loss)`` is called after each iteration, from 0, when the accepted
            values are in place; the gradients need not be theirs. Something true ends the run.

        Returns
        -------
        scipy.optimize.OptimizeResult
            ``message`` says why it ended, ``nit`` after how many iterations, ``fun`` is the loss.

        Raises
        ------
        ValueError
            If the loss is not finite at the start, or a trainable parameter has a constraint.

        Notes
        -----
        The run ends at the best accepted values, also where it is interrupted by the keyboard or by
        an exception in `callback`. An exception in `closure` puts back the values from before.
        """
        iterations = checks.integer(iterations, "LBFGS", "iterations")
        self.converged = False
        result = Run(parameters, closure).minimize(self, iterations, callback)
        self.converged = result.status == 0
        return result


class Run:
    """One minimization: moves values between SciPy's float64 vector and the model's segments."""

    def __init__(self, parameters: ParameterVector, closure: Callable[[], float]):
        self.segments = parameters.segments()
        for p in (p for s in self.segments for p in s.parameters):
            if p.constraint is not None:
                raise ValueError(
                    f"LBFGS cannot keep {p.path} within {p.constraint!r}: its line search needs a "
                    "smooth loss. Remove the constraint, or use another optimizer"
                )
        if not self.segments:
            raise ValueError("LBFGS found no trainable parameters; set layer.trainable = True")
        self.closure = closure
        self.before = [s.values.copy() for s in self.segments]
        self.accepted = self.gather("values")
        self.loss: float | None = None  # at the accepted values
        self.on_trial = False  # whether the segments hold other values than the accepted ones

    def gather(self, kind: str) -> Array:
        return np.concatenate([getattr(s, kind) for s in self.segments], dtype=np.float64)

    def put(self, x: Array) -> None:
        offset = 0
        for s in self.segments:
            s.values[...] = x[offset : offset + s.size]
            offset += s.size

    def evaluate(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient at `x`, for SciPy."""
        self.on_trial = True
        self.put(x)
        try:
            loss = float(self.closure())
            if self.loss is None and not math.isfinite(loss):
                raise ValueError(f"LBFGS cannot start from values whose loss is {loss}")
        except Exception:
            self.on_trial = False
            for s, values in zip(self.segments, self.before, strict=True):
                s.values[...] = values
            raise
        if self.loss is None:
            self.loss = loss
        if not math.isfinite(loss):
            # a step too far becomes a wall that the line search turns back from; its own arithmetic
            # would not survive an infinity
            return self.loss + max(abs(self.loss), 1.0), np.zeros(x.size)
        return loss, self.gather("gradients")

    def accept(self, x: Array, loss: float) -> None:
        self.accepted = x.copy()
        self.loss = loss
        self.put(x)
        self.on_trial = False

    def minimize(self, optimizer: LBFGS, iterations: int, callback: Callable | None) -> Any:
        from scipy.optimize import (
            minimize,
        )  # not on import: SciPy's optimizers take a while to load

        start = optimizer._steps

        def accepted(intermediate_result):  # SciPy looks at the argument's name
            self.accept(intermediate_result.x, float(intermediate_result.fun))
            optimizer._steps += 1
            if callback is not None and callback(optimizer._steps - start - 1, self.loss):
                raise StopIteration

        options = {
            "maxcor": optimizer.history_size,
            "maxls": optimizer.maxls,
            "ftol": optimizer.ftol,
            "gtol": optimizer.gtol,
            "maxiter": iterations,
            "maxfun": optimizer.maxfun or (iterations + 1) * (optimizer.maxls + 1),
        }
        try:
            return minimize(
                self.evaluate,
                self.accepted,
                jac=True,
                method="L-BFGS-B",
                options=options,
                callback=accepted,
            )
        finally:
            if self.on_trial:
                self.put(self.accepted)
