"""`ActivationStatistics`: what the layers put out while a network trains, and what is wrong with
it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from backprop.callbacks.kinds import TABLE, array, count, each, named, number
from backprop.callbacks.looks import (
    HELD,
    LARGE_INPUT,
    LOOKED,
    Array,
    Looks,
    called,
    entrances,
    kind_of,
    root_mean_square,
    runs,
    sampled,
    size_of,
)
from backprop.nest import as_tuple

DEAD = 0.5  # share of a layer's units that are 0 whatever the input
SATURATED = 0.6  # share of its numbers at the ends of a bounded activation
GROWN = 1e4  # the root mean square of an output beside that of the input
SHRUNK = 1e-5
EXPLODED = 1e4  # a state at the last time step beside the first
MARGIN = 0.01  # of the ends of an activation's range, that count as saturated
FEW_ROWS = 8  # of a batch that is not judged
BINS = 40

RECTIFIERS = frozenset({"ReLU", "ReLU6"})
RANGES = {  # of bounded activations
    "Sigmoid": (0.0, 1.0),
    "HardSigmoid": (0.0, 1.0),
    "SparseSigmoid": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "HardTanh": (-1.0, 1.0),
    "Softsign": (-1.0, 1.0),
}


class ActivationStatistics(Looks):
    """Mean, deviation, dead units and saturation of what each layer puts out, at some steps; and a
    warning, one sentence, when activations explode, vanish, die or saturate.

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
        The layers, from input to output; those of a model within the model as ``"inner/dense"``.
        A layer of several outputs is there with its first.
    means, deviations : list of list of float
        For each look, of each layer the mean and the standard deviation of y, in training.
    dead : list of list of float
        For each look, of each layer that ends in a ReLU the share of units that are 0 in every row
        of the batch; of others NaN.
    saturated : list of list of float
        For each look, of each layer that ends in a sigmoid, tanh or the like the share of y within
        a hundredth of the ends of its range; of others NaN.
    histograms : dict of str to (ndarray, ndarray)
        Of the last look, for each layer the counts and the edges of 40 bins of y.
    states : dict of str to ndarray
        Of the last look, for each recurrent layer the root mean square of its state at each time
        step, in the order in which they are run.
    warnings : list of str
        What it has said. Each kind of trouble is told of once in a run, as a `UserWarning`.

    Raises
    ------
    TypeError, ValueError
        If `every` is neither "auto" nor a positive integer.

    Notes
    -----
    Of large arrays some rows are looked at, evenly chosen over the batch.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(8, "relu"), bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> look = bp.callbacks.ActivationStatistics(every=4)
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> history = model.fit(x, x[:, :1], batch_size=8, verbose=0, callbacks=[look])
    >>> look.steps, look.layers, look.dead[0]
    ([0, 4], ['dense', 'dense_1'], [0.0, nan])
    >>> counts, edges = look.histograms["dense"]
    >>> int(counts.sum()), len(edges)
    (64, 41)
    """

    tables = ("means", "deviations", "dead", "saturated")
    added: ClassVar = {
        "histograms": named(lambda pair: each(array)(pair) and len(pair) == 2),
        "states": named(array),
        "_silent": named(each(array)),
        "_sizes": TABLE,
        "_inputs": named(number),
        "_rows": count,
    }
    remembers: ClassVar = LOOKED | dict.fromkeys(tables, TABLE) | added

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        looks = list(zip(self.means, self.deviations, self.dead, self.saturated, strict=True))
        if any(len({len(row) for row in rows}) != 1 for rows in looks):
            raise ValueError("what it has seen is not of as many layers in each table")
        if looks and len(looks[-1][0]) != len(self.layers):
            raise ValueError(f"it looked last at {', '.join(self.layers)}, and saw other layers")

    def forget(self) -> None:
        super().forget()
        self.means: list[list[float]] = []
        self.deviations: list[list[float]] = []
        self.dead: list[list[float]] = []
        self.saturated: list[list[float]] = []
        self._samples: dict[str, Array] = {}  # of the last look
        self._counted: dict[str, tuple[Array, Array]] = {}  # of a last look before an interruption
        self._of_now: dict[str, Array] = {}
        self._states_now: dict[str, Array] = {}
        self.states: dict[str, Array] = {}
        self._now: dict[str, tuple[float, float, float, float, float]] = {}
        self._silent: dict[str, list[Array]] = {}  # of each look, which units were 0
        self._sizes: list[list[float]] = []
        self._inputs: dict[str, float] = {}
        self._rows = 0
        self._kinds: dict[str, str] = {}
        self._listeners: list[tuple[Any, str, Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_listeners": []}

    @property
    def histograms(self) -> dict[str, tuple[Array, Array]]:
        """Of the last look, for each layer counts and edges."""
        return self._counted | {name: histogram(y) for name, y in self._samples.items()}

    @histograms.setter
    def histograms(self, found: Mapping[str, Sequence[Array]]) -> None:
        self._samples, self._counted = {}, {name: (a, b) for name, (a, b) in found.items()}

    # ------------------------------------------------------------------ looking

    def arrange(self) -> None:
        self._kinds = {name: kind_of(layer) for name, layer in self._parts.items()}
        self._listeners = [
            (layer, runs(layer), self._listener(name)) for name, layer in self._parts.items()
        ]
        self._listeners += [(part, "run", self._of_states(name)) for name, part in self._recurrent]

    def begin(self) -> None:
        self._now, self._of_now, self._states_now = {}, {}, {}
        for layer, name, listener in self._listeners:
            self.attend(layer, name, listener)
        if not self.steps:
            for layer in entrances(self.model):
                self.attend(layer, runs(layer), self._meet)

    def _meet(self, layer: Any, arguments: tuple, _: Any) -> None:
        x = as_tuple(arguments[0])[0]
        if is_measured(x, arguments):
            self._inputs.setdefault(layer.name, root_mean_square(x))

    def _listener(self, name: str) -> Any:
        def look(layer: Any, arguments: tuple, found: Any) -> None:
            y = as_tuple(found[0])[0]
            if name not in self._now and is_measured(y, arguments):
                self._measure(name, layer, y)

        return look

    def _of_states(self, name: str) -> Any:
        def look(layer: Any, arguments: tuple, found: Any) -> None:
            if arguments[1].training:
                self._states_now[name] = states_over_time(layer, found)

        return look

    def _measure(self, name: str, layer: Any, y: Array) -> None:
        y, kind, self._rows = sampled(y), self._kinds[name], len(y)
        with np.errstate(all="ignore"):
            mean = float(y.mean(dtype=np.float64))
            deviation = size_of(y - y.dtype.type(mean)) / max(y.size, 1) ** 0.5
        dead = saturated = math.nan
        if kind in RECTIFIERS and y.ndim > 1:
            axis = 1 if getattr(layer, "data_format", "") == "channels_first" else -1
            silent = ~y.any(axis=tuple(k for k in range(y.ndim) if k != axis % y.ndim))
            dead = float(silent.mean())
            self._silent[name] = [*self._silent.get(name, [])[1 - HELD :], np.asarray(silent)]
        if kind in RANGES:
            low, high = RANGES[kind]
            margin = MARGIN * (high - low) / 2
            saturated = float(((y < low + margin) | (y > high - margin)).mean())
        self._now[name] = mean, deviation, dead, saturated, math.hypot(mean, deviation)
        self._of_now[name] = y

    def end(self) -> None:
        self._samples, self._counted, self.states = self._of_now, {}, self._states_now
        self.layers = [name for name in self._parts if name in self._now]
        rows = [self._now[name] for name in self.layers]
        for k, table in enumerate(
            (self.means, self.deviations, self.dead, self.saturated, self._sizes)
        ):
            table.append([row[k] for row in rows])
        self._judge()

    # ------------------------------------------------------------------ judging

    def _name(self, i: int) -> str:
        return called(self.layers[i], self._parts[self.layers[i]])

    def _judge(self) -> None:
        if not self.layers:
            return
        self._judge_inputs()
        self._judge_states()
        self._judge_sizes()
        if len(self._sizes) >= HELD and len({len(row) for row in self._sizes[-HELD:]}) == 1:
            self._judge_dead()
            self._judge_saturation()

    def _judge_inputs(self) -> None:
        name, size = max(self._inputs.items(), key=lambda item: item[1], default=("", 0.0))
        if size > LARGE_INPUT:
            self.say(
                "inputs",
                f"the inputs are not scaled: what {name} is given has a root mean square of "
                f"{size:.3g} (step {self.steps[0]}), where about 1 is usual; what usually helps: "
                "layers.Normalization or a BatchNormalization in front, or to divide by the "
                "largest",
                *("explodes", "shrinks", "saturates", "dies", "states"),
            )

    def _judge_sizes(self) -> None:
        """The size of what each layer puts out, beside that of the first."""
        sizes, step = np.array(self._sizes[-1]), self.steps[-1]
        if not np.isfinite(sizes).all():
            i = int(np.flatnonzero(~np.isfinite(sizes))[0])
            before = self._sizes[-2] if len(self._sizes) > 1 else []
            figure = f"what {self._name(i)} puts out is {sizes[i]} at step {step}"
            if len(before) == len(sizes):
                figure += f", and was {before[i]:.2g} at step {self.steps[-2]}"
            self._say_exploding(figure, i)
            return
        inner = sizes[:-1]  # what comes out may be of any size, as the targets are
        start = max(self._inputs.values(), default=float(sizes[0]))
        if not len(inner) or not start:
            return
        i = int(np.argmax(inner))
        if inner[i] > GROWN * max(start, 1.0):
            first = i
            while first and sizes[first] > 1.5 * sizes[first - 1]:
                first -= 1
            self._say_exploding(
                f"the root mean square of what {self._name(i)} puts out is {inner[i]:.2g} at step "
                f"{step}, that of the input is {start:.2g}",
                first,
            )
        small = (inner > 0) & (inner < SHRUNK * start)
        if small.any() and len(self._sizes) >= HELD:
            falling = np.flatnonzero((inner > 0) & (inner < start / 100))
            last = int(np.flatnonzero(small)[-1])
            self.say(
                "shrinks",
                f"the signal vanishes: the root mean square of what {self._name(last)} puts out is "
                f"{inner[last]:.2g} at step {step}, that of the input is {start:.2g}; it has "
                f"fallen below a hundredth at {self._name(int(falling[0]))}; what usually helps: "
                "He or Glorot initialisation, BatchNormalization, Residual connections",
            )

    def _say_exploding(self, figure: str, i: int) -> None:
        at_start = len(self.steps) == 1
        advice = (
            "He or Glorot initialisation, normalisation"
            if at_start
            else ("a smaller learning rate, clipping (clipnorm=1 of the optimizer), normalisation")
        )
        self.say(
            "explodes",
            f"the activations explode{' before anything is learnt' * at_start}, beginning at "
            f"{self._name(i)}: {figure}; what usually helps: {advice}",
            *("saturates", "dies", "shrinks", "states"),
        )

    def _judge_states(self) -> None:
        for name, sizes in self.states.items():
            if len(sizes) < 2 or not sizes[0] > 0:
                continue
            growth = sizes[-1] / sizes[0]
            if growth > EXPLODED or not math.isfinite(growth):
                steep = int(np.argmax(~(sizes < 100 * sizes[0])))
                self.say(
                    "states",
                    f"the state of {called(name, self._parts[name])} explodes over time: its root "
                    f"mean square grows from {sizes[0]:.2g} at the first of {len(sizes)} time "
                    f"steps to {sizes[-1]:.2g} at the last, a hundredfold by step {steep + 1}; "
                    "what usually helps: an orthogonal recurrent_initializer, tanh as activation, "
                    "LSTM or GRU, clipping (clipnorm=1)",
                    *("explodes", "saturates"),
                )

    def _judge_dead(self) -> None:
        for i, name in enumerate(self.layers):
            looks = self._silent.get(name, [])
            if len(looks) < HELD or self._rows < FEW_ROWS:
                continue
            share = float(np.logical_and.reduce(looks).mean())
            if share >= DEAD:
                count = round(share * len(looks[0]))
                advice = ["He initialisation with biases of 0", "LeakyReLU", "BatchNormalization"]
                self.say(
                    "dies",
                    f"{count} of {len(looks[0])} units of {self._name(i)} are dead: they put out "
                    f"0 for every row at the last {HELD} looks, up to step {self.steps[-1]}"
                    f"{self._at_first(self.dead, i)}, and learn nothing; what usually helps: "
                    f"{self._with_rate(self.dead, i, advice)}",
                )
                return

    def _judge_saturation(self) -> None:
        shares = [min(column) for column in zip(*self.saturated[-HELD:], strict=True)]
        full = [i for i, share in enumerate(shares[:-1]) if share >= SATURATED]  # an output may be
        if full:
            i = full[0]
            low, high = RANGES[self._kinds[self.layers[i]]]
            advice = ["a smaller initialisation (Glorot)", "scaled inputs", "normalisation"]
            self.say(
                "saturates",
                f"{self._name(i)} is saturated: {100 * shares[i]:.0f} % of what it puts out is "
                f"within a hundredth of {low:g} or {high:g} at the last {HELD} looks, up to step "
                f"{self.steps[-1]}{self._at_first(self.saturated, i)}, where its slope is almost "
                f"0; what usually helps: {self._with_rate(self.saturated, i, advice)}",
            )

    def _at_first(self, shares: list[list[float]], i: int) -> str:
        """What a share was when the run began."""
        return f" ({100 * shares[0][i]:.0f} % at step {self.steps[0]})"

    def _with_rate(self, shares: list[list[float]], i: int, advice: list[str]) -> str:
        """The learning rate is the first to suspect where training has made it so, and else the
        last."""
        rate = ["a smaller learning rate"]
        made = shares[0][i] < shares[-1][i] / 2
        return ", ".join([*rate, *advice] if made else [*advice, *rate])


# ------------------------------------------------------------------------------------- helpers


def is_measured(a: Any, arguments: tuple) -> bool:
    """Whether an array of a pass in training is one of numbers."""
    return arguments[1].training and isinstance(a, np.ndarray) and a.dtype.kind == "f"


def histogram(y: Array) -> tuple[Array, Array]:
    """Counts and edges of its finite numbers; of an array of one value too."""
    y = y[np.isfinite(y)]
    low, high = (float(y.min()), float(y.max())) if y.size else (0.0, 1.0)
    if not low < high:
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    return np.histogram(y.astype(np.float64), BINS, (low, high))


def states_over_time(layer: Any, found: Any) -> Array:
    """The root mean square of the state after each step that was run; of what `run` returned."""
    y, states, tape = found
    parts = [part.tape for part in tape] if isinstance(tape, list) else [tape]
    if all(hasattr(part, "states") for part in parts):
        kept = [state for part in parts[:1] for state in part.states]
        sizes = [[root_mean_square(state[t]) for t in range(1, len(state))] for state in kept]
        return np.max(sizes, axis=0)
    if layer.return_sequences:
        sizes = [root_mean_square(y[:, t]) for t in range(y.shape[1])]
        return np.array(sizes[::-1] if layer.go_backwards else sizes)
    return np.array([root_mean_square(state) for state in states[:1]])
