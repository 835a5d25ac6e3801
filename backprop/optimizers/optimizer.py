"""An optimizer is a function of vectors: w ← update(w, dL/dw), in place.

One step, on each trainable stretch of a model's values (usually there is one: the whole model):

    g = dL/dw, averaged over `gradient_accumulation_steps` batches, then clipped
    w ← w - learning_rate * weight_decay * w
    w ← update(w, g)
    average ← ema_momentum * average + (1 - ema_momentum) * w
    w ← constraint(w)

A new optimizer writes `update`, and `slots` if it remembers anything:

    class SignMomentum(Optimizer):
        def slots(self):
            return [("momentum",)]

        def update(self, w, g, lr, m, t):
            m *= 0.9
            m += g
            np.sign(m, out=t)
            t *= lr
            w -= t

All lines but that of `update` are done around it. An `update` that also takes a keyword argument
`around` does them itself, in the same pass over memory, all but the mean and the constraint: it
hands that on to a kernel of `backprop.kernels.updates`, as those of this package do.
"""

from __future__ import annotations

import math
from typing import Any, dataclass_transform

import numpy as np

from backprop.arguments import argument, managed
from backprop.checks import Name, Positive
from backprop.old_arguments import Ignored
from backprop.optimizers.arrays import OfArrays
from backprop.optimizers.hyperparameters import (
    Clip,
    Flag,
    HalfPrecision,
    Hyperparameter,
    LearningRate,
    accumulate_over,
    accumulates,
)
from backprop.optimizers.slots import ACCUMULATOR, AVERAGE, Array, Block, Stretch
from backprop.vector import ParameterVector


@dataclass_transform(field_specifiers=(argument, managed, Hyperparameter, LearningRate, Clip, Flag))
class Optimizer(OfArrays, kw_only=True, by_position=True):
    """w ← update(w, g): the base class of optimizers.

    Any of the numbers may be a `schedules.LearningRateSchedule` or another function of the step.
    They, and the other options, may be set later; only a schedule is not replaced by a number.

    Parameters
    ----------
    learning_rate : float or schedule
    weight_decay : float or schedule, optional
        Decoupled: w ← w - learning_rate * weight_decay * w before the update.
    clipnorm : float or schedule, optional
        Scale the gradient of each parameter whose norm is larger down to this norm.
    clipvalue : float or schedule, optional
        Clip each number of the gradient to [-clipvalue, clipvalue].
    global_clipnorm : float or schedule, optional
        Scale all gradients together, if their common norm is larger, down to this norm.
    use_ema : bool, default False
        Keep an exponential moving average of the values.
    ema_momentum : float or schedule, default 0.99
        Of the average, where one is kept.
    ema_overwrite_frequency : int, optional
        With an average, overwrite the values by their average every so many steps. Default: only in
        `finalize_variable_values`.
    loss_scale_factor : None
        Keras' argument for half precision, which this library does not compute in.
    gradient_accumulation_steps : int, optional
        Update once in so many steps, with the mean of their gradients; at least 2.
    name : str, optional
        Default: the class' name in snake case.

    Attributes
    ----------
    learning_rate, iterations
        A float and an int that also have ``assign`` and ``numpy``, as Keras' variables do; `lr` is
        an older name of the first. The second is the number of updates. Schedules are given the
        number of steps, which differs from it under `gradient_accumulation_steps`.
    built : bool
    full_batch : bool
        Whether it has `minimize` instead of `step`, as `LBFGS` has.

    Raises
    ------
    TypeError
        If a hyper-parameter is neither a number nor a function; if a number is assigned where there
        is a schedule.
    ValueError
        If one is out of its range, or several ways to clip are asked for at once.

    Examples
    --------
    >>> class SignDescent(Optimizer):
    ...     def update(self, w, g, lr, t):
    ...         np.sign(g, out=t)
    ...         t *= lr
    ...         w -= t
    >>> w = np.array([1.0, 2.0])
    >>> SignDescent(learning_rate=0.5).apply([np.array([-3.0, 4.0])], [w])
    >>> w
    array([1.5, 1.5])
    """

    full_batch = False
    _use_ema = _clips = False

    learning_rate: Any = LearningRate("[0, inf)")
    weight_decay: Any = Hyperparameter("[0, inf)", optional=True, default=None)
    clipnorm: Any = Clip("(0, inf)", "clipvalue", "global_clipnorm", default=None)
    clipvalue: Any = Clip("(0, inf)", "clipnorm", "global_clipnorm", default=None)
    global_clipnorm: Any = Clip("(0, inf)", "clipnorm", "clipvalue", default=None)
    use_ema: Any = Flag(default=False)
    ema_momentum: Any = Hyperparameter("[0, 1]", default=0.99)
    ema_overwrite_frequency: Positive | None = None
    loss_scale_factor: HalfPrecision = None
    gradient_accumulation_steps: Any = managed(default=None, fget=accumulates, fset=accumulate_over)
    name: Name = None

    changeable = ("ema_overwrite_frequency", "name")
    legacy = (Ignored("decay", (None,)),)

    # ----------------------------------------------------------- what the author of one writes

    def begin(self, lr: float) -> None:
        """Called once a step, before the updates: the place for numbers that they share."""

    def update(self, w: Array, g: Array, lr: float, *work: Array) -> None:
        """Change `w` in place; called once for each block of a large model's vector.

        Parameters
        ----------
        w, g : ndarray
            Values and gradient of one shape: everything must be elementwise, unless the class says
            `by_parameter` and is given each parameter alone, in its shape. `g` is read only.
        lr : float
            The learning rate of this step.
        *work : ndarray
            The slots in order, which `update` changes in place, then as many scratch vectors as
            the class attribute `scratch` says.

        Where it has a keyword argument `around`, that is what else there is to do, as kernels of
        `backprop.kernels.updates` take it, and `update` sees to it. Then vectors are flat, and as
        long as the model's where kernels are compiled.
        """
        raise TypeError(f"{type(self).__name__} has no update(self, w, g, lr, ...): write one")

    # ----------------------------------------------------------------------------------- steps

    @property
    def lr(self) -> float:
        """An older name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, learning_rate: Any) -> None:
        self.learning_rate = learning_rate

    def step(self, parameters: ParameterVector) -> None:
        """One step from the gradients in `parameters`, which are left as they are."""
        segments = parameters.segments()
        if segments is not self._segments:
            self._arrange(parameters, segments)
        # the stretches of a model have gradients, those of a list of arrays none
        self._advance(self._stretches, self._gradients)  # type: ignore[arg-type]

    def _advance(self, stretches: list[Stretch], gradients: list[Array]) -> None:
        if self._accumulates is not None:
            gradients = self._accumulate(stretches, gradients)
        ema = self.ema_momentum if self._use_ema and self.updates else 0.0
        if gradients:
            factor, limit = 1.0, math.inf
            if self._clips:
                gradients, factor, limit = self._clip(stretches, gradients)
            lr = LEARNING_RATE.now(self)
            rate = self._decay_rate(lr)
            self.begin(lr)
            for s, g in zip(stretches, gradients, strict=True):
                for block in s.blocks:
                    block.change(self, g, lr, rate, factor, limit, ema)
        else:
            for block in (block for s in stretches for block in s.blocks):
                block.move_average(ema)
        if self._use_ema:
            self._overwrite(stretches)
        for s in stretches:
            for entry in s.constrained:
                # those in s.constrained have one
                entry.value[...] = entry.constraint(entry.value)  # type: ignore[misc]
        self.__dict__["_steps"] = self._steps + 1  # no argument, so nobody need be asked

    def _accumulate(self, stretches: list[Stretch], gradients: list[Array]) -> list[Array]:
        """The mean gradients if enough have been gathered, else none."""
        n = self._accumulates
        assert n is not None and self._slots is not None
        for s, g in zip(stretches, gradients, strict=True):
            s.slots[ACCUMULATOR] += g
        if (self._steps + 1) % n:
            return []
        gradients = [np.asarray(s.slots[ACCUMULATOR] / n) for s in stretches]
        self._slots.clear(ACCUMULATOR)
        return gradients

    def _clip(self, stretches: list[Stretch], gradients: list[Array]) -> Any:
        """Gradients, what they are all multiplied with, and what each number is clipped to."""
        limit = self.clipvalue
        if limit:
            return gradients, 1.0, limit
        limit = self.global_clipnorm
        if limit:
            size = math.hypot(*(norm(g) for g in gradients))
            return gradients, limit / size if limit < size < math.inf else 1.0, math.inf
        limit = self.clipnorm
        clipped = []
        for s, g in zip(stretches, gradients, strict=True):
            sizes = [norm(g[part]) for part in s.parts]
            if max(sizes) > limit:
                g = g.copy()
                for part, size in zip(s.parts, sizes, strict=True):
                    if limit < size < math.inf:
                        g[part] *= limit / size
            clipped.append(g)
        return clipped, 1.0, math.inf

    def _decay_rate(self, lr: float) -> Any:
        decay = self.weight_decay
        return lr * decay if decay else 0.0

    def _decay(self, block: Block, rate: float) -> None:
        block.decay(rate)

    def _overwrite(self, stretches: list[Stretch]) -> None:
        every = self.ema_overwrite_frequency
        if every is not None and (self.updates + 1) % every == 0:
            for s in stretches:
                s.values[...] = s.slots[AVERAGE]


LEARNING_RATE: Hyperparameter = Optimizer.__dict__["learning_rate"]


def norm(g: Array) -> float:
    """sqrt(Σ g²), also where g² overflows."""
    g = g.reshape(-1)
    with np.errstate(over="ignore"):
        squares = float(np.dot(g, g))
    if math.isfinite(squares):
        return math.sqrt(squares)
    top = float(np.abs(g).max())
    if not math.isfinite(top):
        return top
    g = g / top
    return top * math.sqrt(float(np.dot(g, g)))
