"""What a planted bug is: a small subclass of a real layer or loss with one thing wrong.

    @bug("V", x=normal(5, 4), config={"units": 4})
    class DenseBiasGradientIsAveraged(Dense):
        '''dbias is the mean over the rows, where it is their sum.'''

        def _set_gradients(self, x, dz):
            ...

The class stays what it is, so it can be copied and pickled like any layer; its name is the bug's
name and its docstring says what is wrong. `bug` attaches a `Bug`, what is known about the mistake,
as the attribute `planted`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from backprop.layer import Layer
from backprop.layers.chain import Chain
from backprop.layers.embedding import Embedding

Array = np.ndarray
Make = Callable[[], Any]  # an array, or several, made when they are asked for

KINDS = {
    "V": "a value check at a generic point sees it",
    "T": "only a tight tolerance does",
    "P": "it needs a special point: a kink, a tie, a zero, a large number",
    "C": "it needs a certain shape or configuration",
    "L": "values are right in one pass: only a law sees it",
    "D": "only a check of dtypes does",
}

VERDICTS = {
    "wrong": "to be found",
    "equivalent": "right, only written in another way: a check that complains is wrong",
    "choice": (
        "at a kink another slope than the documented one, and as valid: a check that complains is "
        "wrong, and the layer's own tests hold its choice"
    ),
}

INPUTS = {
    "rows": "(N, n)",
    "floats": "(N, ...), of two to four axes",
    "wide": "(N, ...), of numbers up to 20 and more",
    "halves": "(N, ..., 2n), of two to four axes",
    "images": "(N, H, W, C)",
    "photos": "(N, H, W, 3), of numbers between 0 and 1",
    "volumes": "(N, D, H, W, C)",
    "sequences": "(N, T, n)",
    "padded": "(N, T, n), with masks",
    "holes": "(N, T, n), where the first of n numbers is 0.3",
    "two": "two of one shape (N, n)",
    "attended": "query (N, T, n), value (N, S, k) and key (N, S, n)",
    "tokens": "(N, T) of integers below 5, with duplicates; 0 may be padding",
    "words": "(N, T) of integers below 300, some long",
    "thousand": "(N, T) of integers below 1,000",
    "weighed": "(N, T) of integers below 4, and numbers (N, T)",
    "labels": "logits (N, T, k), and labels that they may spell, with weights and masks",
    "targets": "y_pred, and y_true to go with it, with weights and masks",
    "tied": "the same, with few different predictions",
    "exact": "the same, where every second prediction is right",
    "twofold": "the same, with two predictions for each target",
    "embedded": "labels (N,), and y_pred (N, n) of which each meets each, with weights and masks",
}


@dataclass(frozen=True)
class Layers:
    """An argument that holds layers, which are made afresh for each layer that takes it."""

    make: Callable[[], Any]


@dataclass(frozen=True)
class Bug:
    """One planted mistake.

    Attributes
    ----------
    name : str
        Says what happens, in words joined by hyphens.
    family : str
        The module that it stands in.
    broken, layer : type
        The subclass with the mistake, and the layer or loss that it breaks.
    wrong : str
        One line: what is wrong.
    kind : str
        What it takes to see it, a letter of `KINDS`.
    x : function
        Makes a fixed reasonable input (`y_pred` of a loss) for a gradient check on its own.
    inputs : str
        What the laws draw, a name of `INPUTS`.
    pair : pair of str
        Of a loss: what y_true and y_pred are, in the words of `backprop.testing.pairs`.
    options : mapping
        Further arguments of the strategy that draws.
    spared : tuple of str
        Laws that the layer without the mistake breaks as well, as its docstring says it does.
    tags : tuple of str
        What the laws are to know about the layer, see `backprop.testing.TAGS`.
    config : mapping
        Arguments of the constructor.
    varies : mapping of str to tuple
        Arguments that the laws draw; `config` holds a usual one.
    y_true : function, optional
        Makes the targets of a loss, to go with `x`.
    inside : function, optional
        Puts the layer where it is to be checked, such as behind a `Masking`.
    reference : bool
        Whether forward and backward agree on something wrong: then it takes a naive forward pass to
        see it, and the laws are given the layer without the mistake as their reference.
    source : str
        A public issue where it was seen: project and number.
    verdict : str
        A name of `VERDICTS`.
    """

    name: str
    family: str
    broken: type[Layer]
    layer: type[Layer]
    wrong: str
    kind: str
    x: Make
    inputs: str
    config: Mapping[str, Any] = field(default_factory=dict)
    varies: Mapping[str, tuple] = field(default_factory=dict)
    pair: tuple[str, str] = ("numbers", "numbers")
    options: Mapping[str, Any] = field(default_factory=dict)
    spared: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    y_true: Make | None = None
    inside: Callable[[Layer], Layer] | None = None
    reference: bool = False
    source: str = ""
    verdict: str = "wrong"

    @property
    def is_loss(self) -> bool:
        return self.broken.takes_targets

    @property
    def to_be_found(self) -> bool:
        return self.verdict == "wrong"

    def make(self, **config: Any) -> Any:
        """A fresh layer or loss with the mistake; arguments replace those of `config`."""
        return self._make(self.broken, config)

    def make_correct(self, **config: Any) -> Any:
        """The same without the mistake."""
        return self._make(self.layer, config)

    def _make(self, cls: type[Layer], config: Mapping[str, Any]) -> Any:
        arguments = {**self.config, **config}
        made = cls(
            **{name: v.make() if isinstance(v, Layers) else v for name, v in arguments.items()}
        )
        return made if self.inside is None else self.inside(made)


def bug(
    kind: str,
    *,
    x: Make,
    inputs: str,
    config: Mapping[str, Any] | None = None,
    varies: Mapping[str, tuple] | None = None,
    **known: Any,
) -> Callable[[Any], Any]:
    """Decorate the subclass that holds a mistake; see `Bug` for what the arguments mean."""

    def plant(cls: Any) -> Any:
        doc = cls.__doc__ or ""
        cls.planted = Bug(
            name=slug(cls.__name__),
            family=cls.__module__.rpartition(".")[2],
            broken=cls,
            layer=next(c for c in cls.__mro__[1:] if not c.__module__.startswith(__package__)),
            wrong=" ".join(doc.partition("\n\n")[0].split()),
            kind=kind,
            x=x,
            inputs=inputs,
            config=dict(config or {}),
            varies=dict(varies or {}),
            **known,
        )
        return cls

    return plant


def planted_in(namespace: Mapping[str, Any]) -> Iterable[Any]:
    """The mistakes of a module, in the order in which they stand there."""
    return (
        vars(cls)["planted"]
        for cls in namespace.values()
        if isinstance(cls, type) and "planted" in vars(cls)
    )


def slug(name: str) -> str:
    """`DenseForgetsTheBias` → `dense-forgets-the-bias`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


# -------------------------------------------------------------------------------- fixed inputs


def normal(*shape: int, scale: float = 1.0, shift: float = 0.0, seed: int = 0) -> Make:
    """Normal numbers."""
    return partial(_normal, shape, scale, shift, seed)


def probabilities(*shape: int, seed: int = 0) -> Make:
    """Positive numbers that sum to 1 along the last axis."""
    return partial(_probabilities, shape, seed)


def uniform(*shape: int, low: float = 0.1, high: float = 0.9, seed: int = 0) -> Make:
    return partial(_uniform, shape, low, high, seed)


def integers(below: int, *shape: int, seed: int = 0) -> Make:
    return partial(_integers, below, shape, seed)


def one_hot(rows: int, classes: int, seed: int = 0) -> Make:
    return partial(_one_hot, rows, classes, seed)


def each_of(*inputs: Make) -> Make:
    """An array for each of several inputs."""
    return partial(_each_of, inputs)


def given(values: Any, dtype: Any = np.float64) -> Make:
    return partial(np.array, values, dtype)


def behind_embedding(layer: Layer) -> Layer:
    """The layer behind a lookup in which token 0 is padding: it gets a mask, and numbers that can
    be moved.
    """
    return Chain([Embedding(5, 3, mask_zero=True), layer])


def _each_of(inputs):
    return tuple([make() for make in inputs])


def _normal(shape, scale, shift, seed):
    return scale * np.random.default_rng(seed).standard_normal(shape) + shift


def _probabilities(shape, seed):
    p = np.random.default_rng(seed).uniform(0.1, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


def _uniform(shape, low, high, seed):
    return np.random.default_rng(seed).uniform(low, high, shape)


def _integers(below, shape, seed):
    return np.random.default_rng(seed).integers(0, below, shape)


def _one_hot(rows, classes, seed):
    return np.eye(classes)[_integers(classes, rows, seed)]
