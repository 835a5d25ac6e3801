"""`GradientFlow`: how large gradients and updates are, layer by layer, and what is wrong with them.

Of each layer with trained weights w, |dL/dw| and |Δw| / |w|, the update of a step beside the
weights, of which about a thousandth is usual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from backprop.callbacks.callback import Logs
from backprop.callbacks.gradient_faults import GradientFaults
from backprop.callbacks.kinds import TABLE, count, each, named, number, text
from backprop.callbacks.looks import LOOKED, Array, entrances, root_mean_square, size_of
from backprop.nest import as_tuple
from backprop.parameters import Parameter


class GradientFlow(GradientFaults):
    """Gradient norm and ratio of update to weight, by layer, at some steps; and a warning, one
    sentence, when the gradients of a network vanish, explode or die.

    A warning says where it begins, with the figure that gives it away, and what usually helps.
    Training is not changed: the weights are, bit for bit, those of a run without the callback.

    Parameters
    ----------
    every : int or "auto", default "auto"
        From how many steps one is looked at. ``"auto"``: steps 0, 1, 2, 4, ..., 128, then
        every two hundredth, which costs less than 3 % of the training (``benchmarks/looks.py``).

    Attributes
    ----------
    steps : list of int
        Which steps were looked at, counted from 0 over all epochs.
    layers : list of str
        The layers with weights that are trained when the run begins, from input to output; those
        of a model within the model as ``"inner/dense"``.
    gradient_norms : list of list of float
        For each look, of each layer sqrt(Σ g²), g = dL/dw over all its weights, before clipping and
        without the part of the regularizers.
    update_ratios : list of list of float
        For each look, of each layer |w' - w| / |w|, with w' the weights after the step; where w = 0
        beside |w'|.
    warnings : list of str
        What it has said. Each kind of trouble is told of once in a run, as a `UserWarning`.

    Raises
    ------
    TypeError, ValueError
        If `every` is neither "auto" nor a positive integer.

    Notes
    -----
    Deep layers: Glorot and Bengio (2010), "Understanding the difficulty of training deep
    feedforward neural networks". Time: Pascanu, Mikolov and Bengio (2013), "On the difficulty of
    training recurrent neural networks". With `gradient_accumulation_steps` a step that only
    gathers is not looked at; the next that moves the weights is. An optimizer that takes all data
    at once, `LBFGS`, makes no steps of batches, and nothing is seen of it.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(8, "tanh"), bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> flow = bp.callbacks.GradientFlow()
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> history = model.fit(x, x[:, :1], epochs=2, batch_size=8, verbose=0, callbacks=[flow])
    >>> flow.steps, flow.layers, flow.warnings
    ([0, 1, 2, 4, 8], ['dense', 'dense_1'], [])
    >>> len(flow.gradient_norms), len(flow.update_ratios[0])
    (5, 2)
    """

    added: ClassVar = {
        "_inputs": named(number),
        "_given_last": number,
        "_alike": each(each(text)),
        "_forgets": named(count),
    }
    tables = ("gradient_norms", "update_ratios")
    remembers: ClassVar = LOOKED | dict.fromkeys(tables, TABLE) | added

    def set_state(self, state: Mapping[str, Any]) -> None:
        layers = self.layers
        super().set_state(state)
        rows = [*self.gradient_norms, *self.update_ratios]
        if self.layers != layers or any(len(row) != len(layers) for row in rows):
            raise ValueError(f"it looked at {', '.join(self.layers)}, and not at {layers}")

    def forget(self) -> None:
        super().forget()
        self._before: list[list[Array]] = []

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_weights": [], "_before": []}

    def ready(self) -> bool:
        optimizer = self.model.optimizer  # one that gathers gradients moves nothing in between
        n = optimizer.gradient_accumulation_steps or 1
        return (optimizer._steps + 1) % n == 0

    # ------------------------------------------------------------------ looking

    def arrange(self) -> None:
        found = {
            name: [p for p in layer.arrays() if p.trainable] for name, layer in self._parts.items()
        }
        found = {name: arrays for name, arrays in found.items() if arrays}
        self.layers, self._weights = list(found), list(found.values())

    def begin(self) -> None:
        self._before = [[p.value.copy() for p in arrays] for arrays in self._weights]
        if not self.steps:
            for layer in entrances(self.model):
                self.attend(layer, "forward", self._meet)
        if self.gradient_norms and self.gradient_norms[-1][-1:] == [0.0]:
            self.attend(self._parts[self.layers[-1]], "forward", self._meet_last)
        self._over_time = {}
        for name, layer in self._recurrent:
            self._follow(name, layer)

    def _meet(self, layer: Any, arguments: tuple, _: Any) -> None:
        x = as_tuple(arguments[0])[0]
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and arguments[-1].training:
            self._inputs.setdefault(layer.name, root_mean_square(x))

    def _meet_last(self, layer: Any, arguments: tuple, _: Any) -> None:
        self._given_last = root_mean_square(as_tuple(arguments[0])[0])

    def _follow(self, name: str, layer: Any) -> None:
        """See what comes back through a recurrent layer to its first step, also where it is the
        first of the model and nobody asks for its dx."""

        def back(_: Any, __: Any, found: Any) -> None:
            slopes = sizes_over_time(found[0], layer.go_backwards)
            if len(slopes) > 1 and slopes[-1] > 0:
                self._over_time[name] = slopes[0] / slopes[-1]

        def again(_: Any, arguments: tuple, __: Any) -> None:
            kept = [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
            layer.backward(*arguments)
            own = (p for p in layer.arrays() if p.gradient is not None)
            for p, gradient in zip(own, kept, strict=True):
                p.gradient[...] = gradient

        self.attend(layer, "run_back", back)
        self.attend(layer, "backward_params", again)

    def end(self) -> None:
        norms, ratios, alike = [], [], []
        for name, arrays, before in zip(self.layers, self._weights, self._before, strict=True):
            slopes = [own_gradient(p, w) for p, w in zip(arrays, before, strict=True)]
            norms.append(math.hypot(*map(size_of, slopes)))
            if any(is_symmetric(p, w) for p, w in zip(arrays, before, strict=True)):
                alike.append(name)
            size = math.hypot(*map(size_of, before))
            for p, w in zip(arrays, before, strict=True):
                np.subtract(p.value, w, out=w)
            moved = math.hypot(*map(size_of, before))
            ratios.append(moved and moved / (size or moved))
        self.gradient_norms.append(norms)
        self.update_ratios.append(ratios)
        self._alike.append(alike)
        self._before = []
        self._judge()

    def on_train_end(self, logs: Logs | None = None) -> None:
        super().on_train_end(logs)
        self._before = []


# ------------------------------------------------------------------------------------- helpers


def own_gradient(p: Parameter, before: Array) -> Array:
    """dL/dw without the part of the regularizer, which lives on in a dead layer."""
    if p.regularizer is None:
        return p.gradient
    return p.gradient - p.regularizer.gradient(before)


def is_symmetric(p: Parameter, w: Array) -> bool:
    """Whether all units have the same weights, before a step and in their gradient."""
    if p.name != "kernel" or w.ndim < 2 or w.shape[-1] < 2 or w.shape[-2] < 2:
        return False
    some = w[(0,) * (w.ndim - 1)]
    if abs(some[0] - some[1]) > 1e-4 * abs(some[0]):  # nearly always enough
        return False
    return all(
        float(np.ptp(a, axis=-1).max()) <= 1e-4 * float(np.abs(a).max()) for a in (w, p.gradient)
    )


def sizes_over_time(dx: Array, backwards: bool) -> Sequence[float]:
    """|dL/dx| of each time step of dx (N, T, ...), in the order in which they were run."""
    sizes = [size_of(np.ascontiguousarray(dx[:, t])) for t in (0, dx.shape[1] - 1)]
    return sizes[::-1] if backwards else sizes
