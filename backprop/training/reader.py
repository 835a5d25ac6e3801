"""What a user gives, as numeric arrays of a model's dtype and rank; what cannot be is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.defaults import floatx
from backprop.layer import Array, Shape
from backprop.nest import any_rows, each, is_nest, row_shapes, shapes
from backprop.training.class_weight import (
    ClassWeight,
    balanced,
    read_class_weight,
    sample_weights,
)
from backprop.training.ends import Ends, ends_of


def is_sparse(x: Any) -> bool:
    """Whether `x` is a SciPy sparse matrix or array, without importing SciPy."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def is_mapped(x: Any) -> bool:
    """Whether `x` is a memory map, or a view of one, as `np.asarray` makes it."""
    while isinstance(x, np.ndarray):
        if isinstance(x, np.memmap):
            return True
        x = x.base
    return False


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") or hasattr(x, "to_numpy") or is_sparse(x)


def one_array(
    given: Any,
    name: str,
    declared: Shape | None,
    rows: int | None = None,
    who: str = "a Sequential",
) -> Any:
    """What is given for the one input or output of a model.

    A list of one array is that array, a list of several or a dict an error; a list of rows stays.

    Parameters
    ----------
    given
    name : {"x", "y"}
    declared : tuple, optional
        The shape of a batch: arrays of as many axes are no rows of it.
    rows : int, optional
        How many rows there are, where that is known: as many entries may be rows, and arrays that
        have as many rows are none.
    who : str
        The model, for errors.
    """
    if type(given) is np.ndarray:
        return given
    if isinstance(given, Mapping):
        raise TypeError(several(f"a dict of {', '.join(map(repr, given))}", name, who))
    if not isinstance(given, list | tuple) or not all(is_array(a) and a.shape for a in given):
        return given
    if rows is not None and len(given) != rows and all(a.shape[0] == rows for a in given):
        whole = True
    elif declared is None and rows is not None:
        whole = False
    else:
        whole = any(is_batch_of(declared, a.shape) for a in given)
    if whole and len(given) > 1:
        raise ValueError(several(f"a list of {len(given)} arrays", name, who))
    return next(iter(given)) if whole else given


def is_batch_of(declared: Shape | None, shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape holds many rows, and is not itself one of them."""
    if declared is None:
        return len(shape) > 1
    column = len(shape) == len(declared) and shape[-1] == 1 and shape[:-1] == declared[1:]
    return len(shape) >= len(declared) and not column


def several(what: str, name: str, who: str) -> str:
    kind, advice = SEVERAL[name]
    return f"{name} is {what}, which stands for several {kind}s, and {who} has one {kind}: {advice}"


SEVERAL = {
    "x": (
        "input",
        "join them into one array, such as np.concatenate([a, b], axis=-1); a list of batches "
        "holds tuples, [(x, y), (x, y)]",
    ),
    "y": ("output", "give the targets of that one alone"),
}


def numbers(x: Any, name: str, strings: bool = False) -> Any:
    """`x` as an array of real numbers, a CSR matrix, or where the model takes them an array of
    strings; anything else is an error that names it."""
    if is_sparse(x):
        x = x.tocsr()
        if x.ndim != 2:
            raise ValueError(
                f"{name} expected a sparse matrix of two axes, got one of shape {x.shape}"
            )
    elif not is_mapped(x):
        x = as_array(x, name)
    text = strings and is_text(x, name)
    if x.dtype.kind == "O" and not text:
        x = from_objects(x, name)
    if x.dtype.kind not in "fiub" and not text:
        raise TypeError(
            f"{name} expected real numbers and got an array of dtype {x.dtype}; encode it as "
            f"numbers first{NUMBERED if name == 'y' and x.dtype.kind in 'US' else ''}"
        )
    if x.ndim == 0:
        raise ValueError(
            f"{name} expected an array with a row per sample and got the single number {x}"
        )
    return x


NUMBERED = ": classes, y = np.unique(y, return_inverse=True)"


def as_array(x: Any, name: str) -> Array:
    """`x` as a plain ndarray of any dtype."""
    if hasattr(x, "mask") and hasattr(x, "filled") and np.any(x.mask):  # of numpy.ma
        raise ValueError(
            f"{name} is a masked array with {np.count_nonzero(x.mask)} masked entries, which have "
            "no value: fill them first"
        )
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"{name} is ragged: its entries have different lengths; pad them first"
        ) from error
    except (TypeError, RuntimeError) as error:  # such as a tensor that still requires a gradient
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def is_text(x: Any, name: str) -> bool:
    """Whether an array holds strings and nothing else; raises where some are missing."""
    if x.dtype.kind != "O":
        return x.dtype.kind in "US"
    kinds = {type(v) for v in x.flat}
    others = sorted(kind.__name__ for kind in kinds if not issubclass(kind, str | bytes))
    if len(others) == len(kinds):
        return False
    if others:
        raise TypeError(
            f"{name} expected strings and has {' and '.join(others)} among them: fill or drop such "
            "rows first"
        )
    return True


def from_objects(x: Array, name: str) -> Array:
    """An array of Python's numbers as one of float64; None becomes NaN. A string is no number,
    though it may spell one."""
    kinds = {type(v) for v in x.flat}
    try:
        if not any(issubclass(kind, str | bytes) for kind in kinds):
            return x.astype(np.float64)
    except (TypeError, ValueError):
        pass
    kind = next((type(v).__name__ for v in x.flat if not is_number(v)), "numbers and others")
    if kind in ("NAType", "NaTType"):
        raise ValueError(f"{name} has missing values ({kind}): fill or drop such rows first")
    labels = name == "y" and kind in ("str", "bytes")
    raise TypeError(
        f"{name} expected numbers and got an array of objects ({kind}); "
        f"encode them as numbers first{NUMBERED if labels else ''}"
    )


def is_number(v: Any) -> bool:
    try:
        float(v)
    except (TypeError, ValueError):
        return False
    return not isinstance(v, str | bytes)


def check_finite(x: Any, name: str) -> None:
    """Raise where NaN or infinity is in the data; says in which row it is first."""
    values = x.data if is_sparse(x) else x
    if values.dtype.kind != "f" or not values.size:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        # one pass without a temporary; a sum may overflow where no entry is infinite. That of
        # squares is BLAS' own
        if np.isfinite(np.vdot(values, values) if values.flags.c_contiguous else values.sum()):
            return
    finite = np.isfinite(values)
    if finite.all():
        return
    first = tuple(np.argwhere(~finite)[0])
    what = "NaN" if np.isnan(values[first]) else "infinity"
    row = np.searchsorted(x.indptr, first[0], side="right") - 1 if is_sparse(x) else first[0]
    count = np.size(finite) - np.count_nonzero(finite)
    raise ValueError(
        f"{name} holds {what}, first in row {row} ({count} values are not finite): "
        "clean the data first"
    )


def fits(shape: tuple[int, ...], declared: Shape) -> bool:
    """Whether a shape is one that was declared; None is free."""
    return len(shape) == len(declared) and all(
        want in (None, have) for have, want in zip(shape, declared, strict=True)
    )


def late(x: Any, whole: bool) -> bool:
    """Whether an array is read batch by batch, and not now: a memory map that is given whole."""
    return whole and is_mapped(x)


class Reader:
    """Turns what a user gives into what a model takes: dtype, rank, finiteness.

    Several inputs, targets or weights are a tuple, in the model's order.

    Parameters
    ----------
    model : Chain or Graph
    loss : Loss, optional
        Checks the targets, and knows the classes that `class_weight` speaks of.
    any_targets : bool, default False
        Leave the targets to the model: it has a step of its own that may need none, or others than
        the loss.
    """

    def __init__(self, model: Any, loss: Any = None, any_targets: bool = False):
        self.model = model
        self.loss = loss
        self.any_targets = any_targets
        self.inputs, self.outputs = ends_of(model)
        self.forget()

    @property
    def declared(self) -> Any:
        """The shape of a batch of x, where it is known; of each of several."""
        return self.model.build_shape or self.model.declared_shape

    @property
    def fixed_rows(self) -> int | None:
        """How many rows every batch must have, where a layer keeps a state for each of them."""
        return next((layer.fixed_rows for layer in self.model.walk() if layer.fixed_rows), None)

    # ------------------------------------------------------------------ inputs

    def x(self, x: Any, whole: bool = True, rows: int | None = None) -> Any:
        """The inputs, of the model's dtype and rank. A whole memory map is left as it is."""
        declared, kept = self.declared, self.model.integer_input
        strings = self.model.string_input
        if not self.inputs.several:
            x = self._only(x, "x", self.inputs, declared, rows)
            x = self._input(x, "x", declared, kept, whole, strings)
        else:
            named = self.inputs.labelled("x", tuple(self.inputs.ordered(x, "x")))
            x = tuple(
                self._input(a, name, shape, whole_numbers, whole, text)
                for (name, a), shape, whole_numbers, text in zip(
                    named, declared, kept, strings, strict=True
                )
            )
        if kept:
            values = each(lambda a: None if late(a, whole) else a.data if is_sparse(a) else a, x)
            if values is not None:
                self.model.check_values(values)
        return x

    def _only(self, given: Any, what: str, ends: Ends, declared: Any, rows: int | None) -> Any:
        """The array of the only input or output, which a graph knows by its name."""
        if isinstance(given, Mapping) and ends.structure is not None:
            given = ends.ordered(given, what)[0]
        return one_array(given, what, declared, rows, ends.who)

    def _input(
        self, x: Any, name: str, declared: Any, kept: bool, whole: bool, strings: bool
    ) -> Any:
        """One of the inputs; integers and `strings` are `kept` where a layer takes them."""
        if x is None:
            raise ValueError(f"{name} is missing: it is None")
        x = self.fit_rank(numbers(x, name, strings), name, declared, kept)
        if late(x, whole):
            return x
        if kept:
            check_finite(x, name)
            return x
        return self.cast(x, name)

    def cast(self, x: Any, name: str) -> Any:
        """Finite numbers in the model's dtype, and still finite there."""
        check_finite(x, name)
        dtype = self.model.dtype or np.dtype(floatx())
        if x.dtype == dtype:
            return x
        with np.errstate(over="ignore"):
            y = np.ascontiguousarray(x, dtype) if isinstance(x, np.ndarray) else x.astype(dtype)
        if x.dtype.kind == "f" and x.dtype.itemsize > dtype.itemsize:
            try:
                check_finite(y, name)
            except ValueError:
                raise ValueError(
                    f"{name} holds numbers beyond the range of {dtype}: scale the data, or give "
                    "the model dtype='float64'"
                ) from None
        return y

    def fit_rank(self, x: Any, name: str, declared: Shape | None, kept: bool) -> Any:
        """A missing or additional last axis of length one, added or taken as Keras does."""
        if is_sparse(x):
            return x
        if declared is None:
            return x[:, None] if x.ndim == 1 and not kept else x
        if x.ndim == len(declared) - 1:
            if declared[-1] == 1 and fits(x.shape[1:], declared[1:-1]):
                return x[..., None]
            if fits(x.shape, declared[1:]):
                raise ValueError(
                    f"{self.model.name} takes batches, with a row for each sample, and got {name} "
                    f"of shape {x.shape}, which is a single sample: give {name}[np.newaxis]"
                )
        if x.ndim == len(declared) + 1 and x.shape[-1] == 1:
            return x[..., 0]
        return x

    def dense(self, x: Any) -> Any:
        """A batch as the layers that read it take it: sparse only where these multiply."""
        if type(x) is not tuple:
            return x.toarray() if is_sparse(x) and not self.model.sparse_input else x
        return tuple(
            a.toarray() if is_sparse(a) and not kept else a
            for a, kept in zip(x, self.model.sparse_input, strict=True)
        )

    # ------------------------------------------------------------------ targets and weights

    def y(self, y: Any, whole: bool = True, rows: int | None = None) -> Any:
        """The targets: integers stay what they are, other numbers get the model's dtype. Those of
        an output without a loss may be None."""
        if y is None:
            return None
        if not self.outputs.several:
            return self._target(self._only(y, "y", self.outputs, None, rows), "y", whole)
        if self.any_targets and not is_nest(y):
            return self._target(y, "y", whole)
        named = self.outputs.labelled("y", tuple(self._given_targets(y)))
        return tuple(None if a is None else self._target(a, name, whole) for name, a in named)

    def _given_targets(self, y: Any) -> list:
        """The targets of each output: a list may leave out those that have no loss."""
        found: list[Any] = [None] * len(self.outputs.names)
        places = getattr(self.loss, "places", [])
        if not isinstance(y, list | tuple) or not len(y) == len(places) < len(found):
            return self.outputs.ordered(y, "y", partly=True)
        for place, a in zip(places, y, strict=True):
            found[place] = a
        return found

    def _target(self, y: Any, name: str, whole: bool) -> Any:
        y = numbers(y, name)
        if late(y, whole):
            return y
        if is_sparse(y):
            y = y.toarray()
        return self.cast(y, name) if y.dtype.kind == "f" else y

    def weight(self, w: Any, n: int, name: str = "sample_weight", whole: bool = False) -> Any:
        """Weights of the rows; for several outputs a tuple, as one array weighs the rows of all."""
        if w is None:
            return None
        if not self.outputs.several:
            if isinstance(w, Mapping) and self.outputs.structure is not None:
                w = self.outputs.ordered(w, name)[0]
            return self._weight(w, n, name, whole)
        if not is_nest(w) or (not isinstance(w, Mapping) and all(map(np.isscalar, w))):
            return (self._weight(w, n, name, whole),) * len(self.outputs.names)
        given = tuple(self.outputs.ordered(w, name, partly=True))
        return tuple(
            None if a is None else self._weight(a, n, label, whole)
            for label, a in self.outputs.labelled(name, given)
        )

    def _weight(self, w: Any, n: int, name: str, whole: bool) -> Array:
        w = numbers(w, name)
        if len(w) != n:
            raise ValueError(f"{name} has {len(w)} rows where x has {n}")
        return w if late(w, whole) else self.cast(w, name)

    def rows(self, x: Any, y: Any) -> int:
        """How many rows there are: as many in each array."""
        named = [*self.inputs.labelled("x", x), *self.outputs.labelled("y", y)]
        first, n = named[0][0], named[0][1].shape[0]
        for name, a in named:
            if a is not None and a.shape[0] != n:
                raise ValueError(
                    f"{first} has {n} rows and {name} has {a.shape[0]}; they must have a row for "
                    "each sample"
                )
        return n

    # ------------------------------------------------------------------ with the model and the loss

    def check(self, x: Any, y: Any) -> None:
        """Raise unless a batch fits the model, which is built, and its targets fit the loss."""
        rows = row_shapes(x)
        if rows != self._checked:
            found = shapes(x)
            self.model.check_input(found)
            self._output_shape = self.model.compute_output_shape(any_rows(found))
            self._checked = rows
        if y is not None and self.loss is not None and not self.any_targets:
            self.loss.check(y, self._output_shape)

    def class_weight(self, given: Any) -> ClassWeight:
        """The weights of the classes, of a model of one output."""
        if given is not None and self.outputs.several:
            raise ValueError(
                f"class_weight goes with one output, and {self.model.name} has "
                f"{len(self.outputs.names)}: give sample_weight, a list or a dict by their names, "
                f"{', '.join(self.outputs.names)}"
            )
        return read_class_weight(given)

    def classes(self, y: Any) -> tuple[Array, list[int] | None]:
        """The class of each sample, or of each step, as the loss sees the targets."""
        if y is None:
            raise ValueError("class_weight needs y")
        if self.loss is None:
            raise ValueError("class_weight needs a loss over classes, and compile() got none")
        if self.any_targets:
            self.loss.check(y, self._output_shape)
        return self.loss.classes(np.asarray(y), self._output_shape)

    def balanced(self, y: Any) -> dict[int, float]:
        """The class weights under which each class of `y` counts as much as another."""
        numbers, _ = self.classes(y)
        counted = self.loss.valid(numbers)
        return balanced(numbers if counted is None else numbers[counted])

    def weigh(self, y: Any, class_weight: dict[int, float]) -> tuple[Array, Array]:
        """The targets, and class weights as weights of samples or of their steps; after `check`."""
        numbers, known = self.classes(y)
        weights = sample_weights(
            numbers, known, class_weight, self.model.dtype or np.dtype(np.float32)
        )
        if y.shape == numbers.shape and y.ndim > 1 and self._output_shape[-1] == 1:
            y = y[..., None]  # as the outputs, lest a loss take the mean over the steps first
        return y, weights

    def forget(self) -> None:
        """Take note that the model may have changed."""
        self._checked = None
        self._output_shape: Shape = ()
