"""What is wrong with the gradients of a network, by their sizes: what `GradientFlow` says."""

from __future__ import annotations

import math

import numpy as np

from backprop.callbacks.looks import (
    HELD,
    LARGE_INPUT,
    Array,
    Looks,
    called,
    kind_of,
    leading_to_loss,
    size_of,
)
from backprop.parameters import Parameter

VANISHED = 1e-4  # the gradient of the first layer beside the largest behind it
EXPLODED = 1e4  # the gradient of the first layer beside that of the last
FORGOTTEN = 1e-7  # what comes back to the first time step beside the last
BLOWN_UP = 1e3  # the root mean square of what the last layer is given
STEEP = 1e3  # the gradient of a layer beside its weights, at the first step
LARGE_UPDATE = 0.5  # the update of a step beside the weights
GROWN_UP = 8  # steps after which weights that began with 0 are judged by that
FEW = 8  # numbers of a layer that is not judged by the size of its updates


class GradientFaults(Looks):
    """Judges what a subclass has seen: `_judge` after each look."""

    def forget(self) -> None:
        super().forget()
        self.gradient_norms: list[list[float]] = []
        self.update_ratios: list[list[float]] = []
        self._weights: list[list[Parameter]] = []
        self._inputs: dict[str, float] = {}  # of layers that the inputs reach, how large these are
        self._given_last = 0.0  # how large what the last layer is given is, once it is asked for
        self._over_time: dict[str, float] = {}  # by layer, |dL/dx| at its first step over the last
        self._alike: list[list[str]] = []  # of each look, the layers whose units are copies
        self._forgets: dict[str, int] = {}

    def _judge(self) -> None:
        norms = self.gradient_norms[-1]
        if not norms:
            return
        if not all(map(math.isfinite, norms)):
            self._say_overflown()
            return
        self._judge_start()
        if len(self.steps) >= HELD:
            self._judge_symmetry()
            self._judge_rate()
            self._judge_death()
            self._judge_depth()
        self._judge_time()

    def _last(self, table: list[list[float]], count: int = HELD) -> Array:
        return np.array(table[-count:])

    def _name(self, i: int) -> str:
        name = self.layers[i]
        return called(name, self._parts[name])

    def _large_input(self) -> str:
        """That an input is large, if it is."""
        name, size = max(self._inputs.items(), key=lambda item: item[1], default=("", 0.0))
        if size <= LARGE_INPUT:
            return ""
        return (
            f"the inputs that {name} is given have a root mean square of {size:.3g}, where about 1 "
            "is usual"
        )

    def _say_overflown(self) -> None:
        norms, step = self.gradient_norms[-1], self.steps[-1]
        finite = [k for k, row in enumerate(self.gradient_norms) if all(map(math.isfinite, row))]
        if not finite:
            i = max(k for k, norm in enumerate(norms) if not math.isfinite(norm))
            figure = f"the gradient of {self._name(i)} is {norms[i]} at step {step}"
        else:
            first, last = self.gradient_norms[finite[0]], self.gradient_norms[finite[-1]]
            growth = [b / a if a else 0.0 for a, b in zip(first, last, strict=True)]
            i = int(np.argmax(growth))
            figure = (
                f"the gradient of {self._name(i)}, {first[i]:.2g} at step {self.steps[finite[0]]} "
                f"and {last[i]:.2g} at step {self.steps[finite[-1]]}, is no number at step {step}"
            )
        self._say_exploding(figure, rate=bool(finite) and "start" not in self.told)

    def _say_exploding(self, figure: str, rate: bool) -> None:
        implies = ("explodes", "rate", "dies", "vanishes", "grows", "start", "symmetric")
        if large := self._large_input():
            self.say(
                "inputs",
                f"the network explodes because {large}: {figure}; scale the inputs, by "
                "layers.Normalization or a BatchNormalization in front",
                *implies,
            )
            return
        advice = (
            "a smaller learning rate, clipping (clipnorm=1 of the optimizer) or normalisation"
            if rate
            else "He or Glorot initialisation, normalisation, scaled targets, or clipping"
        )
        why = "the learning rate is too large and the network" if rate else "the network"
        self.say("explodes", f"{why} explodes: {figure}; what usually helps: {advice}", *implies)

    def _judge_start(self) -> None:
        """Gradients that dwarf the weights before anything is learnt."""
        if len(self.steps) > 1:
            return
        sizes = [math.hypot(*(size_of(p.value) for p in arrays)) for arrays in self._weights]
        steep = [
            norm / size if size else 0.0
            for norm, size in zip(self.gradient_norms[0], sizes, strict=True)
        ]
        i = int(np.argmax(steep))
        if steep[i] > STEEP:
            self._say_exploding(
                f"before anything is learnt the gradient of {self._name(i)} is "
                f"{self.gradient_norms[0][i]:.2g}, {steep[i]:.2g} times its weights",
                rate=False,
            )

    def _judge_rate(self) -> None:
        """Updates as large as the weights, or gradients that grow from look to look."""
        large = self._last(self.update_ratios).min(axis=0)
        large[[sum(p.size for p in arrays) < FEW for arrays in self._weights]] = 0
        if self.steps[-HELD] < GROWN_UP:  # weights that began with 0 are small for some steps
            large[np.array(self.update_ratios[0]) == 1] = 0
        i = int(np.argmax(large))
        norms = self._last(self.gradient_norms)
        first = np.array(self.gradient_norms[0])
        grows = (norms[1:] > 3 * norms[:-1]).all(axis=0) & (norms[-1] > 1e3 * first) & (first > 0)
        if large[i] > LARGE_UPDATE:
            figure = (
                f"at each of the last {HELD} looks, up to step {self.steps[-1]}, a step changed "
                f"the weights of {self._name(i)} by more than {large[i]:.2g} of their size, where "
                "about 0.001 is usual"
            )
        elif grows.any():
            i = int(np.argmax(np.where(grows, norms[-1] / np.where(first > 0, first, 1), 0)))
            figure = (
                f"the gradient of {self._name(i)} grew from {first[i]:.2g} at step "
                f"{self.steps[0]} to {norms[-1, i]:.2g} at step {self.steps[-1]}"
            )
        else:
            return
        if self._large_input():
            self._say_exploding(figure, rate=True)
            return
        self.say(
            "rate",
            f"the learning rate is too large: {figure}; what usually helps: a smaller rate, "
            "a warm-up, clipping (clipnorm=1 of the optimizer)",
            *("explodes", "dies", "vanishes"),
        )

    def _judge_symmetry(self) -> None:
        held = set.intersection(*map(set, self._alike[-HELD:]))
        name = next((name for name in self.layers if name in held), None)
        if name is not None:
            self.say(
                "symmetric",
                f"the units of {called(name, self._parts[name])} are copies of each other: the "
                f"columns of its kernel were equal at the last {HELD} looks, up to step "
                f"{self.steps[-1]}, and as their gradients are equal too they stay so; what helps: "
                "a random initialisation (glorot_uniform, he_normal) of the kernel",
                *("dies", "vanishes", "rate"),
            )

    def _judge_death(self) -> None:
        """Layers whose gradients are exactly 0, look after look."""
        dead = (self._last(self.gradient_norms) == 0).all(axis=0)
        reached = leading_to_loss(self.model)
        if reached is not None:
            dead &= [
                any(id(p.layer) in reached for p in arrays) for arrays in self._weights
            ]  # an output without a loss teaches nothing, and is not dead
        if not dead.any():
            return
        i = int(np.flatnonzero(dead)[-1])  # the nearest to the output
        moved = [row[i] for row in self.update_ratios]
        k = int(np.argmax(moved))
        moved_much = (
            f"step {self.steps[k]} had changed its weights by {moved[k]:.2g} of their size"
            if moved[k] > LARGE_UPDATE
            else ""
        )
        held = f"exactly 0 at the last {HELD} looks, up to step {self.steps[-1]}"
        if i == len(dead) - 1:
            self._judge_flat(held, moved_much)
            return
        where = f"{self._name(i)}{' and what is before it' if dead[:i].any() else ''}"
        advice = (
            "a smaller learning rate, clipping, LeakyReLU in place of ReLU"
            if moved_much
            else "He initialisation with biases of 0, LeakyReLU in place of ReLU, a smaller rate"
        )
        self.say(
            "dies",
            f"the network is dead at {where}: no gradient comes there, it was {held}"
            f"{', after ' * bool(moved_much)}{moved_much}; what usually helps: {advice}",
            "vanishes",
        )

    def _judge_flat(self, held: str, moved_much: str) -> None:
        """The last layer has no gradient: its y is so far out that the loss is flat. A network that
        has learnt all there is may be there too."""
        last = self._name(-1)
        if moved_much:
            self.say(
                "rate",
                f"the learning rate is too large: the loss is flat where {last} is, its gradient "
                f"was {held}, after {moved_much}; what usually helps: a smaller rate, a warm-up, "
                "clipping (clipnorm=1 of the optimizer)",
                *("explodes", "dies", "vanishes"),
            )
        elif self._given_last > BLOWN_UP:
            self._say_exploding(
                f"what {last} is given has a root mean square of {self._given_last:.2g}, and its "
                f"gradient was {held}, as the loss is flat so far out",
                rate=False,
            )

    def _judge_depth(self) -> None:
        """The first layer beside those behind it."""
        norms = self._last(self.gradient_norms)
        if norms.shape[1] < 2 or (norms == 0).any():
            return
        behind = norms[:, 1:].max(axis=1)
        ratio = float((norms[:, 0] / behind).max())
        now = norms[-1]
        if ratio < VANISHED:
            small = np.flatnonzero(now < now[1:].max() / 100)
            begins = self._name(int(small[small < int(np.argmax(now))].max(initial=0)))
            advice = advice_against_vanishing({kind_of(layer) for layer in self._parts.values()})
            self.say(
                "vanishes",
                f"the gradient vanishes on its way back: in {self._name(0)} it is {now[0]:.2g}, "
                f"{now[0] / behind[-1]:.2g} of the largest behind it (step {self.steps[-1]}); it "
                f"has fallen below a hundredth at {begins}; what usually helps: {advice}",
            )
        growth = float((norms[:, 0] / norms[:, -1]).min())
        if growth > EXPLODED:
            large = np.flatnonzero(now > 100 * now[-1])
            self.say(
                "grows",
                f"the gradient explodes on its way back: in {self._name(0)} it is {now[0]:.2g}, "
                f"{growth:.2g} times that of {self._name(-1)} (step {self.steps[-1]}); it has "
                f"grown a hundredfold at {self._name(int(large.max()))}; what usually helps: a "
                "smaller initialisation (Glorot, He), normalisation, clipping",
            )

    def _judge_time(self) -> None:
        for name, ratio in self._over_time.items():
            beyond = ratio < FORGOTTEN or ratio > 1 / FORGOTTEN
            self._forgets[name] = self._forgets.get(name, 0) + 1 if beyond else 0
            if self._forgets[name] < HELD:
                continue
            layer = called(name, self._parts[name])
            step = self.steps[-1]
            if ratio < 1:
                gated = type(self._parts[name]).__name__ in ("LSTM", "GRU")
                other = "attention, a convolution in front" if gated else "LSTM or GRU"
                self.say(
                    "forgets",
                    f"the gradient vanishes over the time steps of {layer}: what comes back to the "
                    f"first is {ratio:.2g} of what the last gets (step {step}); what usually "
                    f"helps: {other}, an orthogonal recurrent_initializer, shorter sequences",
                )
            else:
                self.say(
                    "explodes over time",
                    f"the gradient explodes over the time steps of {layer}: what comes back to the "
                    f"first is {ratio:.2g} times what the last gets (step {step}); what usually "
                    "helps: clipping (clipnorm=1), an orthogonal recurrent_initializer, LSTM or "
                    "GRU",
                    *("explodes", "rate", "grows"),
                )


def advice_against_vanishing(kinds: set[str]) -> str:
    """What helps, beginning with the activations that are at fault."""
    narrow = sorted(kinds & {"Sigmoid", "HardSigmoid", "SparseSigmoid"})  # slopes of 1/4 at most
    advice = "He or Glorot initialisation, BatchNormalization, Residual connections"
    return f"relu or gelu in place of {' and '.join(narrow)}, {advice}" if narrow else advice
