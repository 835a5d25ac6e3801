"""Arrays merged number by number. Shapes meet as `Elementwise` says; that dxᵢ is summed over what
xᵢ was stretched to is left out of the equations."""

from __future__ import annotations

from functools import reduce

import numpy as np

from backprop.counts import no_products
from backprop.layer import INFERENCE
from backprop.layers.merging.shared import Elementwise
from backprop.linalg import total
from backprop.masks import only_real


class Add(Elementwise):
    """y = x₁ + x₂ + …

        xᵢ: (N, ...), of lengths that are equal or 1    y: (N, ...)

    Each xᵢ stands in y once: dxᵢ = dy.

    An array of fewer axes has them put in behind the batch: (N, n) and (N, T, n) give (N, T, n). A
    step of y is real where it is real in all arrays that have a mask.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Add
    >>> Add()([np.array([[1.0, 2.0]]), np.array([[10.0]])])
    array([[11., 12.]], dtype=float32)
    """

    def merge(self, x):
        return total(x), len(x)

    def split(self, dy, n):
        return [dy] * n


class Subtract(Elementwise):
    """y = a - b, of two arrays.

        a, b: (N, ...), of lengths that are equal or 1    y: (N, ...)

    da = dy, db = -dy. Shapes and masks meet as in `Add`.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list of two, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Subtract
    >>> Subtract()([np.array([[1.0, 2.0]]), np.array([[3.0, 3.0]])])
    array([[-2., -1.]], dtype=float32)
    """

    least = most = 2

    def merge(self, x):
        a, b = x
        return a - b, None

    def split(self, dy, cache):
        return [dy, -dy]


class Multiply(Elementwise):
    """y = x₁ x₂ …, number by number.

        xᵢ: (N, ...), of lengths that are equal or 1    y: (N, ...)

    The slope of y along xᵢ is the product of the others, which is never found as y / xᵢ:

        dxᵢ = dy Π_{j≠i} xⱼ

    Shapes and masks meet as in `Add`.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Multiply
    >>> Multiply()([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
    array([[3., 8.]], dtype=float32)
    """

    def merge(self, x):
        return reduce(np.multiply, x), x

    def split(self, dy, x):
        return [reduce(np.multiply, [dy, *x[:i], *x[i + 1 :]]) for i in range(len(x))]


class Divide(Elementwise):
    """y = a / b, of two arrays.

        a, b: (N, ...), of lengths that are equal or 1    y: (N, ...)

    With y = a b⁻¹, whose slope along b is -a b⁻² = -y / b:

        da = dy / b        db = -da y

    Where b is 0, y is infinite or NaN, as in NumPy. Shapes and masks meet as in `Add`, and a masked
    b counts as 1 and has no db.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list of two, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Divide
    >>> Divide()([np.array([[1.0, 2.0]]), np.array([[4.0]])])
    array([[0.25, 0.5 ]], dtype=float32)
    """

    least = most = 2

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        mask = ctx.mask and ctx.mask[1]
        y, cache = super().forward((a, only_real(b, mask, 1)), ctx)
        return y, (cache, mask)

    def backward(self, dy, cache):
        cache, mask = cache
        da, db = super().backward(dy, cache)
        return da, only_real(db, mask)

    def merge(self, x):
        a, b = x
        y = a / b
        return y, (y, b)

    def split(self, dy, cache):
        y, b = cache
        da = dy / b
        return [da, -da * y]


class Average(Elementwise):
    """y = (x₁ + x₂ + … + xₙ) / n.

        xᵢ: (N, ...), of lengths that are equal or 1    y: (N, ...)

    dxᵢ = dy / n. Shapes and masks meet as in `Add`.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Average
    >>> Average()([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
    array([[2., 3.]], dtype=float32)
    """

    def merge(self, x):
        return total(x) / len(x), len(x)

    def split(self, dy, n):
        return [dy / n] * n


class Best(Elementwise):
    """y = best(… best(best(x₁, x₂), x₃) …, xₙ), where best(a, b) is the better of two numbers.

    Written as steps y₁ = x₁, yᵢ = best(yᵢ₋₁, xᵢ), with sᵢ the share of xᵢ in its step, 1 where it
    is better than yᵢ₋₁, 1/2 where they are equal, and 0 else:

        dxᵢ = sᵢ dyᵢ        dyᵢ₋₁ = (1 - sᵢ) dyᵢ
    """

    _best, _better = np.maximum, np.greater

    def merge(self, x):
        y, shares = x[0], []
        for a in x[1:]:
            shares.append(self._better(a, y) + a.dtype.type(0.5) * (a == y))
            y = self._best(y, a)
        return y, shares

    def split(self, dy, shares):
        found = []
        for share in reversed(shares):
            found.append(share * dy)
            dy = (1 - share) * dy
        return [dy, *reversed(found)]


class Maximum(Best):
    """y = max(x₁, x₂, …), number by number.

        xᵢ: (N, ...), of lengths that are equal or 1    y: (N, ...)

    The largest receives dy, the others nothing:

        dxᵢ = dy where xᵢ is the largest, 0 else

    Of a tie each of two receives half. Of more the last receives half, and those before it share
    the rest in the same way, as in Keras with JAX: y is max(max(x₁, x₂), x₃) step by step.

    Shapes and masks meet as in `Add`.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Maximum
    >>> Maximum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])])
    array([[2., 5.]], dtype=float32)
    """


class Minimum(Best):
    """y = min(x₁, x₂, …), number by number.

        xᵢ: (N, ...), of lengths that are equal or 1    y: (N, ...)

    The smallest receives dy, the others nothing; ties are shared as in `Maximum`:

        dxᵢ = dy where xᵢ is the smallest, 0 else

    Shapes and masks meet as in `Add`.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, or lengths differ and neither is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Minimum
    >>> Minimum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])])
    array([[1., 3.]], dtype=float32)
    """

    _best, _better = np.minimum, np.less
