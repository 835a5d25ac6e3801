"""L = Σ_k weight_k L_k(y_k, ŷ_k): the losses of several outputs as one."""

from __future__ import annotations

from typing import Any

from backprop.context import Logits
from backprop.losses.loss import Array
from backprop.nest import as_one, entries


class Total(float):
    """A sum that remembers what it was made of, also when something is added to it.

    Examples
    --------
    >>> total = Total(3.0, [1.0, 2.0]) + 0.5
    >>> total, total.parts
    (3.5, [1.0, 2.0])
    """

    parts: list[float]

    def __new__(cls, value: float, parts: list[float]):
        total = super().__new__(cls, value)
        total.parts = parts
        return total

    def __add__(self, other: Any) -> Total:
        return Total(float(self) + float(other), self.parts)

    def __mul__(self, factor: Any) -> Total:
        return Total(float(self) * float(factor), self.parts)


class WeightedSum:
    """value = Σ_k weight_k L_k(y_k, ŷ_k): a loss of several outputs, with `Loss`' own interface.

        dy_k = weight_k dL_k/dŷ_k, and None where output k has no loss

    Parameters
    ----------
    names : list of str
        Of the outputs.
    losses : list of Loss or None
    weights : list of float
    shorter : list of Loss or None, optional
        Losses of a softmax's output whose `backward` gives dL/dz, z the softmax' input, where there
        are such: where no mask is in the way dy_k is then `Logits(dz)`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import MeanSquaredError
    >>> loss = WeightedSum(["a", "b"], [MeanSquaredError(), None], [2.0, 1.0])
    >>> value, cache = loss.forward((np.ones((4, 1)), None), (np.zeros((4, 1)), np.zeros((4, 3))))
    >>> value, value.parts
    (2.0, [1.0])
    >>> da, db = loss.backward(cache)
    >>> da.shape, db
    ((4, 1), None)
    """

    def __init__(
        self,
        names: list[str],
        losses: list[Any],
        weights: list[float],
        shorter: list[Any] | None = None,
    ):
        self.names, self.losses, self.weights = names, losses, weights
        self.shorter = shorter or [None] * len(losses)
        self.places = [i for i, loss in enumerate(losses) if loss is not None]
        self._shortened: dict[tuple[bool, ...], WeightedSum | None] = {}

    def __repr__(self) -> str:
        shown = [f"{self.names[i]}: {self.weights[i]:g} {self.losses[i]!r}" for i in self.places]
        return f"<{' + '.join(shown)}>"

    @property
    def reduction(self) -> str:
        """Whether the sum is a mean over samples, as each of the losses is."""
        means = ("mean", "sum_over_batch_size")
        every = all(self.losses[i].reduction in means for i in self.places)
        return "sum_over_batch_size" if every else "sum"

    @property
    def dtype(self) -> Any:
        """What the losses compute in; None for that of y_pred."""
        return as_one([loss and loss.dtype for loss in self.losses])

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        for i in self.places:
            self.losses[i].dtype = dtype
        self._shortened = {}

    def forward(
        self, y_true: tuple, y_pred: tuple, sample_weight: tuple | None = None, mask: Any = None
    ) -> tuple[Total, list]:
        """`(value, cache)`; of each output its targets, predictions, weights and mask."""
        value, parts, caches = 0.0, [], []
        i = 0
        try:
            for i in self.places:
                given = entries((y_true, y_pred, sample_weight, mask), i)
                loss = (self.shorter[i] if given[-1] is None else None) or self.losses[i]
                part, cache = loss.forward(*given)
                parts.append(float(part))
                caches.append((loss, cache))
                value += self.weights[i] * parts[-1]
        except (ValueError, TypeError) as error:
            raise self.located(error, i) from error
        return Total(value, parts), caches

    def backward(self, caches: list, dvalues: list[float] | None = None) -> tuple:
        """dL/dŷ of each output, None where it has no loss; `dvalues` holds a further factor for
        each loss."""
        dy: list[Any] = [None] * len(self.losses)
        factors = dvalues or [1.0] * len(caches)
        for i, (loss, cache), factor in zip(self.places, caches, factors, strict=True):
            factor *= self.weights[i]
            d = loss.backward(cache, None if factor == 1 else factor)
            dy[i] = Logits(d) if loss is self.shorter[i] else d
        return tuple(dy)

    def after_softmax(self, ends: tuple[bool, ...]) -> WeightedSum | None:
        """This loss of outputs some of which end in a softmax. None where it knows no shorter way
        than through the derivative of each of them."""
        if ends not in self._shortened:
            shorter = [
                loss.after_softmax() if end and loss is not None else None
                for loss, end in zip(self.losses, ends, strict=True)
            ]
            found = WeightedSum(self.names, self.losses, self.weights, shorter)
            self._shortened[ends] = found if any(shorter) else None
        return self._shortened[ends]

    def check(self, y_true: tuple, output_shape: tuple) -> None:
        """Raise unless the targets suit their losses and the model's outputs."""
        for i in self.places:
            if y_true[i] is None:
                name = self.names[i]
                raise ValueError(f"output {name!r} has a loss and no targets: give y[{name!r}]")
            try:
                self.losses[i].check(y_true[i], output_shape[i])
            except (ValueError, TypeError) as error:
                raise self.located(error, i) from error

    def as_arrays(self, y_true: tuple, y_pred: tuple) -> tuple[tuple, tuple]:
        pairs: list[tuple[Array | None, Any]] = list(zip(y_true, y_pred, strict=True))
        for i in self.places:
            pairs[i] = self.losses[i].as_arrays(*pairs[i])
        return tuple(y for y, _ in pairs), tuple(y for _, y in pairs)

    def located(self, error: Exception, i: int) -> Exception:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        return kind(f"output {self.names[i]!r}: {error}")
