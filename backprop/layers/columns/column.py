"""What the layers of categories share: what they take, what they give, and that none has a
derivative."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop.counts import no_products
from backprop.defaults import floatx
from backprop.layer import INFERENCE, Layer
from backprop.layers.columns.rows import row_shape
from backprop.nest import as_tuple, each_shape, shapes
from backprop.symbols import Symbol

Array = np.ndarray


class Column(Layer):
    """y = the numbers of x, or rows of counts of them: what layers of categories have in common.

        x: (...) of strings or integers    y: (...) of int, or rows

    A category has no derivative; for the sake of the containers dx is 0, of the shape of x. A
    subclass writes `depth` and `rows_of`. Called by itself a layer takes lists too, single entries
    and arrays without a batch, and gives sparse rows where `sparse` says so.
    """

    integer_input = True
    string_input = True
    makes_masks = False

    @property
    def output_kind(self) -> Any:
        return "i" if self.output_mode == "int" else "f"

    @property
    def depth(self) -> Any:
        """How many entries a row has."""
        raise TypeError(f"{type(self).__name__} has no depth: write one")

    def rows_of(self, x: Any) -> Any:
        """y for x: numbers, or what has rows of them: `Rows`, or a CSR array."""
        raise TypeError(f"{type(self).__name__} has no rows_of(self, x): write one")

    def compute_output_shape(self, input_shape):
        counted = self.output_mode != "int"
        if tuple(input_shape) == (None,) and self.output_mode not in STEP_BY_STEP:
            raise ValueError(
                f"{self!r} counts what is in a row, and expects batches of rows, such as of "
                "Input((1,)), where a batch of single entries came"
            )
        return row_shape(tuple(input_shape), self.output_mode, self.depth if counted else None)

    def compute_mask(self, x, mask=None):
        return mask if self.output_mode in STEP_BY_STEP else None

    def obeys_mask(self, x, mask):
        return self.output_mode in STEP_BY_STEP

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if self.sparse:
            raise ValueError(
                f"{self!r} gives sparse rows, which stand before a model and not in it: "
                "fit(layer(x), y), or leave sparse out"
            )
        return self._dense(x), shapes(x)

    def backward(self, dy, cache):
        return each_shape(lambda shape: np.zeros(shape, self.dtype or floatx()), cache)

    def gather(self, *inputs, mask=None, **named):
        named = {k: as_array(v) if k in self.call_inputs else v for k, v in named.items()}
        return super().gather(*map(as_array, inputs), mask=mask, **named)

    @property
    def in_a_model(self) -> bool:
        """Whether other layers were built for what comes from here."""
        return bool(self._drawn) or self._within is not None

    def _compute(self, x, training, mask):
        if not self.sparse:
            return self._dense(x)
        shape = as_tuple(x)[0].shape
        if len(row_shape(shape, self.output_mode, 1)) > 2:
            raise ValueError(
                f"{self!r} with sparse=True makes one row after the other, and got an array of "
                f"shape {shape}: leave sparse out"
            )
        return self.rows_of(x).tocsr()

    def _dense(self, x: Any) -> Any:
        y = self.rows_of(x)
        if self.output_mode == "int":
            return y
        return y.toarray().reshape(row_shape(as_tuple(x)[0].shape, self.output_mode, y.shape[-1]))


STEP_BY_STEP = "int", "one_hot"


def as_array(x: Any) -> Any:
    """Lists as an array, whose strings and numbers stay what they are."""
    if not isinstance(x, list | tuple) or any(isinstance(item, Symbol) for item in x):
        return x
    return as_entries(np.array(x, dtype=object))


def as_entries(x: Array) -> Array:
    """An array of numbers where these were given as objects."""
    if x.dtype.kind != "O" or any(isinstance(v, str | bytes | list) for v in x.ravel()[:1]):
        return x
    return np.array(x.tolist())


def strings(x: Any, who: str, encoding: str = "utf-8") -> Array:
    """An array of objects, each a str."""
    x = np.asarray(x)
    if x.dtype.kind == "U":
        return x.astype(object)
    x = np.array(x, dtype=object)  # a copy: bytes are replaced in it
    flat = x.reshape(-1)
    for i, text in enumerate(flat):
        if isinstance(text, bytes):
            flat[i] = text.decode(encoding)
        elif not isinstance(text, str):
            raise TypeError(
                f"{who} expects strings in rows of one length, and got {type(text).__name__} "
                f"{text!r} among them"
            )
    return x


def categories(x: Any, who: str) -> Array:
    """An array of strings or integers; numbers with fractions lose these, as in Keras."""
    x = as_entries(np.asarray(x))
    if x.dtype.kind == "f":
        if not np.isfinite(x).all():
            raise ValueError(f"{who} expects strings or integers, and got NaN or infinity")
        return x.astype(np.int64)
    if x.dtype.kind in "iubSU":
        return x
    return strings(x, who)


def batches(data: Any, steps: int | None) -> Iterator[Any]:
    """The batches of what `adapt` was given; without the labels that came with one."""
    if isinstance(data, str | bytes) or not hasattr(data, "__iter__"):
        raise TypeError(f"adapt() expects many texts, as a list or an array, got {data!r}")
    if isinstance(data, list | tuple) or hasattr(data, "__array__"):
        data = [data]
    for i, batch in enumerate(data):
        if i == steps:
            break
        labelled = isinstance(batch, tuple) and batch and np.ndim(batch[0]) > 0
        yield batch[0] if labelled else batch
