"""A dense layer whose sum is written as an equation of indices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import integer
from backprop.counts import Count, times
from backprop.initializers import VarianceScaling
from backprop.layer import INFERENCE, InputSpec, Shape
from backprop.layers.activations import ActivationLike, build_activation
from backprop.layers.kernels import KernelAndBias
from backprop.linalg import unbroadcast
from backprop.old_arguments import NOT_QUANTIZED, Only
from backprop.promises import short_for
from backprop.regularizers import RegularizerLike

Array = np.ndarray
Labels = tuple[Any, ...]  # letters, and numbers for the axes that an ellipsis stands for
FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


@dataclass(frozen=True)
class Product:
    """y = Σ x k over the labels that y has not: how to lay out its arrays as stacks of matrices.

    The labels of x fall into those that k and y have (`both`), those that only y has (`rows`), only
    k (`summed`) and none (`alone`); what y and k have and x has not are the `units`.
    """

    x: Labels
    k: Labels
    y: Labels

    @property
    def both(self) -> Labels:
        return tuple([a for a in self.x if a in self.k and a in self.y])

    @property
    def rows(self) -> Labels:
        return tuple([a for a in self.x if a not in self.k and a in self.y])

    @property
    def summed(self) -> Labels:
        return tuple([a for a in self.x if a in self.k and a not in self.y])

    @property
    def alone(self) -> Labels:
        return tuple([a for a in self.x if a not in self.k and a not in self.y])

    @property
    def units(self) -> Labels:
        return tuple([a for a in self.k if a not in self.x])

    def left(self, x: Array) -> Array:
        """x as (both, rows, summed); what stands alone is added up."""
        x = x.sum(tuple([self.x.index(a) for a in self.alone])) if self.alone else x
        return stacked(x, without(self.x, self.alone), self.both, self.rows, self.summed)

    def right(self, k: Array) -> Array:
        """k as (both, summed, units)."""
        return stacked(k, self.k, self.both, self.summed, self.units)

    def out(self, y: Array) -> Array:
        """y as (both, rows, units)."""
        return stacked(y, self.y, self.both, self.rows, self.units)

    def left_back(self, x: Array, shape: Shape) -> Array:
        """dx as (both, rows, summed) → as x was, where what stands alone receives the same."""
        sizes = dict(zip(self.x, shape, strict=True))
        if not self.alone:
            return unstacked(x, self.x, sizes, self.both, self.rows, self.summed)
        kept = without(self.x, self.alone)
        found = unstacked(x, kept, sizes, self.both, self.rows, self.summed)
        stretched = [i for i, a in enumerate(self.x) if a in self.alone]
        return np.broadcast_to(np.expand_dims(found, stretched), shape).copy()

    def right_back(self, k: Array, shape: Shape) -> Array:
        sizes = dict(zip(self.k, shape, strict=True))
        return unstacked(k, self.k, sizes, self.both, self.summed, self.units)

    def out_back(self, y: Array, x: Shape, k: Shape) -> Array:
        sizes = dict(zip((*self.x, *self.k), (*x, *k), strict=True))
        return unstacked(y, self.y, sizes, self.both, self.rows, self.units)


def without(labels: Labels, gone: Labels) -> Labels:
    return tuple([a for a in labels if a not in gone])


def stacked(a: Array, labels: Labels, *groups: Labels) -> Array:
    """a with the axes of each group as one: a view where memory allows."""
    sizes = dict(zip(labels, a.shape, strict=True))
    order = [labels.index(label) for group in groups for label in group]
    return a.transpose(order).reshape([prod([sizes[label] for label in g]) for g in groups])


def unstacked(a: Array, labels: Labels, sizes: dict[Any, int], *groups: Labels) -> Array:
    """The inverse of `stacked`."""
    order = [label for group in groups for label in group]
    a = a.reshape([sizes[label] for label in order])
    return a.transpose([order.index(label) for label in labels])


@dataclass(frozen=True)
class Equation:
    """An equation as it was written, taken apart."""

    text: str
    x: str
    k: str
    y: str
    ahead: bool  # whether an ellipsis stands before the letters of x and y
    behind: bool

    def product(self, ndim: int) -> Product:
        """With labels for the axes that the ellipsis stands for, where x has so many axes."""
        elided = tuple(range(ndim - len(self.x)))
        ahead, behind = elided if self.ahead else (), elided if self.behind else ()
        return Product((*ahead, *self.x, *behind), tuple(self.k), (*ahead, *self.y, *behind))


def taken_apart(value: Any, who: str, name: str) -> str:
    equation(value, who)
    return value


def equation(value: Any, who: str = "EinsumDense") -> Equation:
    """An equation, checked as far as it can be without a shape."""
    found = FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f"{who} expects an equation of the form 'ab,bc->ac', '...b,bc->...c' or "
            f"'ab...,bc->ac...', got {value!r}"
        )
    before, x, behind, k, before_y, y, behind_y = found.groups()
    if (before, behind) != (before_y, behind_y) or (before and behind):
        raise ValueError(
            f"{who} expects an ellipsis on the same side of x and y, or none, got {value!r}"
        )
    made = Equation(value, x, k, y, bool(before), bool(behind))
    fault = fault_of(made)
    if fault:
        raise ValueError(f"{who} got the equation {value!r}, {fault}")
    return made


def fault_of(e: Equation) -> str:
    """What is wrong with the letters, as the end of a sentence; empty where nothing is."""
    for labels in (e.x, e.k, e.y):
        twice = [a for a in labels if labels.count(a) > 1]
        if twice:
            return f"where {twice[0]!r} stands twice in {labels!r}"
    for a in e.y:
        if a not in e.x and a not in e.k:
            return f"whose output has {a!r}, which neither the input nor the kernel has"
    for a in e.k:
        if a not in e.x and a not in e.y:
            return f"whose kernel has {a!r}, which neither the input nor the output has"
    if not e.ahead and (e.x[0] != e.y[0] or e.x[0] in e.k):
        return (
            f"whose first letter {e.x[0]!r} is the batch: it stands first in the output too, and "
            "not in the kernel"
        )
    return ""


def sizes(value: Any, who: str, name: str) -> tuple[int | None, ...]:
    given = value if isinstance(value, list | tuple) else (value,)
    return tuple([n if n is None else integer(n, who, f"every size in {name}") for n in given])


class EinsumDense(KernelAndBias):
    """y = activation(einsum(equation, x, kernel) + bias).

        x: (N, ...)    kernel, bias, y: as the equation says, such as, for 'abc,cd->abd',
        x: (a, b, c)    kernel: (c, d)    y: (a, b, d)    z[a, b, d] = Σ_c x[a, b, c] kernel[c, d]

    z is the sum of x kernel over the letters that it has not. Each entry of it is linear in x and
    in the kernel, so with dz = dL/dz behind the activation the three arrays exchange their places:
    what a product is weighed by comes to it from dz, and is summed over the letters that are not
    its own.

        dx = einsum('abd,cd->abc', dz, kernel)        dkernel = einsum('abc,abd->cd', x, dz)
        dbias = Σ dz over the letters that bias_axes has not

    All three are stacks of matrix products: the letters of all three arrays number the matrices,
    and the others are, together, rows and columns. A letter that x alone has is summed first, and
    each of its places receives the same dx.

    Parameters
    ----------
    equation : str
        Input, kernel and output: ``"ab,bc->ac"``. ``...`` stands for any number of axes before the
        letters of input and output, ``"...b,bc->...c"``, or behind them, ``"ab...,bc->ac..."``. The
        first axis is the batch.
    output_shape : int or tuple of int or None
        Sizes of y's axes without the batch and those of the ellipsis. None: that of x.
    activation : str, function or Layer, optional
        Default: none.
    bias_axes : str, optional
        The letters of y that the bias has. Default: no bias.
    kernel_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform and zeros. One that looks at fans counts the letters that are
        summed as fan in, those of y as fan out.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the equation is of another form, a letter has no size or two, or the bias has a letter
        that y has not.

    Notes
    -----
    Where x and y have the same letter, or an ellipsis, along the time, each step goes by itself,
    and a mask goes on; else it ends here.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import EinsumDense
    >>> EinsumDense("abc,cd->abd", (None, 2), kernel_initializer="ones")(np.ones((1, 2, 3)))
    array([[[3., 3.],
            [3., 3.]]], dtype=float32)
    """

    equation: Annotated[str, Convert(taken_apart)]
    output_shape: Annotated[Any, Convert(sizes)]
    activation: ActivationLike = None
    bias_axes: str | None = None
    activity_regularizer: RegularizerLike = argument(default=None, kw_only=True)

    changeable = ("activation",)
    legacy = (*NOT_QUANTIZED, Only("gptq_unpacked_column_size", (None,)))
    bias = dbias = None

    def __post_init__(self):
        y = equation(self.equation).y
        axes = self.bias_axes
        if axes is not None and (not axes or any(a not in y for a in axes)):
            raise ValueError(
                f"EinsumDense expects bias_axes to be letters of the output {y!r}, got {axes!r}"
            )

    def build(self, input_shape):
        product, found = self._sized(input_shape)
        self._declare_kernel(product, found)
        if self.bias_axes is not None:
            self.bias, self.dbias = self.declared_param("bias", self._shape_of_bias(found))
        build_activation(self.activation, tuple([found[a] for a in product.y]))
        # weights of their own at each step are a matter of all of them
        time = {*product.x[1:2]}
        own = not time.isdisjoint((*product.k, *(self.bias_axes or "")))
        self.time_local = self.activation.time_local and by_steps(product) and not own
        given = (*product.k, *equation(self.equation).y)
        axes = {i: found[a] for i, a in enumerate(product.x) if a in given and i}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def compute_output_shape(self, input_shape):
        product, found = self._sized(input_shape)
        return self.activation.compute_output_shape(tuple([found[a] for a in product.y]))

    def compute_mask(self, x, mask=None):
        return mask if mask is None or mask.ndim == 1 or self._by_steps(x) else None

    def obeys_mask(self, x, mask):
        goes_on = mask.ndim == 1 or self._by_steps(x)
        return goes_on and self.activation.obeys_mask(x, mask)

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        product, sizes = self._sized(input_shape)
        kept = {*product.x[1:], *product.k} - {*product.alone}
        return times(*(sizes[a] for a in kept))

    def forward(self, x, ctx=INFERENCE):
        product = equation(self.equation).product(x.ndim)
        left, right = product.left(x), product.right(self.kernel)
        z = product.out_back(np.matmul(left, right), x.shape, self.kernel.shape)
        if self.bias is not None:
            z += self.bias
        y, a = self.activation.finish(z, ctx)
        return y, (left, x.shape, a)

    def backward(self, dy, cache):
        left, shape, a = cache
        product, dz = self._set_gradients(self.activation.backward(dy, a), left, shape)
        right = product.right(self.kernel)
        return product.left_back(np.matmul(dz, right.swapaxes(1, 2)), shape)

    def backward_params(self, dy, cache):
        left, shape, a = cache
        self._set_gradients(self.activation.backward(dy, a), left, shape)

    def _set_gradients(self, dz: Array, left: Array, shape: Shape) -> tuple[Product, Array]:
        """The equation for x of this shape, and dz as (both, rows, units)."""
        product = equation(self.equation).product(len(shape))
        if self.bias is not None:
            self.dbias = unbroadcast(dz, self.bias.shape)
        dz = product.out(dz)
        dright = np.matmul(left.swapaxes(1, 2), dz)
        self.dkernel = product.right_back(dright, self.kernel.shape)
        return product, dz

    # ---------------------------------------------------------------------------- sizes

    def _sized(self, input_shape: Shape) -> tuple[Product, dict[Any, int | None]]:
        """The equation for an x of this shape, and the size of each of its labels."""
        written, n = equation(self.equation), len(input_shape)
        elided = n - len(written.x)
        if elided < 0 or (elided and not (written.ahead or written.behind)):
            raise ValueError(
                f"{self!r} expects an input with {'at least ' * (written.ahead or written.behind)}"
                f"{len(written.x)} axes, the batch among them, and got one of shape "
                f"{tuple(input_shape)}"
            )
        product = written.product(n)
        found = dict(zip(product.x, input_shape, strict=True))
        for label, size in zip(self._told(written, elided), self.output_shape, strict=True):
            known = found.get(label)
            if size is not None and known is not None and size != known:
                raise ValueError(
                    f"{self!r} has {label!r} in the input, where it is {known}, and in the output, "
                    f"where output_shape says {size}"
                )
            found[label] = known if size is None else size
        return product, found

    def _told(self, written: Equation, elided: int) -> Sequence[str]:
        """The letters of y whose sizes `output_shape` says: not the batch."""
        letters = written.y if written.ahead and elided else written.y[1:]
        if len(letters) != len(self.output_shape):
            raise ValueError(
                f"{self!r} expects output_shape to have {len(letters)} sizes, of "
                f"{', '.join(letters) or 'none'}, got {self.output_shape}"
            )
        return letters

    def _declare_kernel(self, product: Product, found: dict[Any, int | None]) -> None:
        """A kernel whose initializer knows which of its axes are summed."""
        start = self.kernel_initializer
        if isinstance(start, VarianceScaling) and start.input_axes is None:
            of_y = [i for i, a in enumerate(product.k) if a in product.y]
            others = [i for i in range(len(product.k)) if i not in of_y]
            start = type(start).from_config(
                start.get_config() | {"input_axes": others, "output_axes": of_y}
            )
        self.kernel, self.dkernel = self.param(
            "kernel",
            [found[a] for a in product.k],
            start,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def _shape_of_bias(self, found: dict[Any, int | None]) -> Shape:
        """From the first letter that the bias has to the end of y, with 1 for those it has not."""
        written = equation(self.equation)
        assert self.bias_axes is not None
        first = min(written.y.index(a) for a in self.bias_axes)
        letters = [found[a] if a in self.bias_axes else 1 for a in written.y[first:]]
        elided = sum(not isinstance(a, str) for a in found) if written.behind else 0
        return (*letters, *(1,) * elided)

    def _by_steps(self, x: Array) -> bool:
        return by_steps(equation(self.equation).product(x.ndim))


def by_steps(product: Product) -> bool:
    """Whether y at a time step, along axis 1, is that of x at this step alone."""
    return product.x[1:2] == product.y[1:2]
