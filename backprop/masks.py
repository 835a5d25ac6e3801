"""What a mask is, and the arithmetic of masks that layers, losses and metrics share.

A mask is an array of booleans over the leading axes of an array, True where something is real and
False where it is padding: (batch, time) as a rule, (batch, time, ...) for sequences of sequences,
and (batch,) where whole rows are padding.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

Array = np.ndarray
Shape = tuple[Any, ...]


def flags(mask: Any, who: str) -> Array:
    """A mask as booleans, from True and False or from the numbers 1 and 0.

    Examples
    --------
    >>> flags([[1.0, 0.0]], "mask")
    array([[ True, False]])
    """
    try:
        found = np.asarray(mask)
    except ValueError:
        raise ValueError(f"{who} expects a mask with rows of one length, got {mask!r}") from None
    if found.dtype == bool:
        return found
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{who} expects a mask of True and False, got one of dtype {found.dtype}")
    other = found[(found != 0) & (found != 1)]
    if other.size:
        raise ValueError(
            f"{who} expects a mask of True and False, or of 1 and 0, and found {other.flat[0]} in "
            "it; what is to count in part has a sample_weight"
        )
    return found.astype(bool)


def fitted(mask: Any, shape: Shape, who: str) -> Array:
    """The mask that a user gives beside an input of this shape, over leading axes of it.

    It may have 1 instead of a length, or broadcast to all of the input as in NumPy; one axis alone
    is that of the time, and where it does not fit that of the batch.

    Examples
    --------
    >>> fitted([[1, 0, 1]], (2, 3, 5), "layer")
    array([[ True, False,  True],
           [ True, False,  True]])
    """
    m = flags(mask, who)
    while m.ndim > 2 and m.shape[-1] == 1:
        m = m[..., 0]
    if m.ndim == 1 and len(shape) > 2 and len(m) == shape[1]:
        m = m[None]
    if fits(m.shape, shape[: m.ndim]):
        return np.broadcast_to(m, shape[: m.ndim])
    if fits(m.shape, shape[len(shape) - m.ndim :]):
        return np.broadcast_to(m, shape)
    raise ValueError(
        f"{who} expects a mask of shape {tuple(shape[:2])}, batch and time, got {m.shape}, which "
        f"broadcasts neither to it nor to the whole input of {tuple(shape)}"
    )


def fits(small: Shape, large: Shape) -> bool:
    return len(small) == len(large) and all(k in (1, n) for k, n in zip(small, large, strict=True))


def beside(mask: Array, ndim: int) -> Array:
    """The mask with axes of length one behind its own, as it meets an array of `ndim` axes."""
    return mask.reshape(mask.shape + (1,) * (ndim - mask.ndim))


def only_real(x: Array, mask: Array | None, fill: int = 0) -> Array:
    """x at real steps and 0, or `fill`, at masked ones, whatever stands there; x itself without a
    mask."""
    return x if mask is None else np.where(beside(mask, x.ndim), x, x.dtype.type(fill))


def cleaned(x: Array, mask: Array | None) -> Array:
    """x without the infinities and NaN of masked steps, which times 0 would not be 0; x itself
    where there are none."""
    if mask is None or x.dtype.kind != "f" or mask.shape != x.shape[: mask.ndim]:
        return x
    if np.isfinite(x).all():
        return x
    return np.where(beside(mask, x.ndim) | np.isfinite(x), x, x.dtype.type(0))


def mixes(axes: Any, ndim: int, mask: Array) -> bool:
    """Whether a sum along one of these axes meets both real and masked entries: whether it is one
    of the mask's, behind the batch."""
    axes = axes if isinstance(axes, tuple) else (axes,)
    return any(0 < axis % ndim < mask.ndim for axis in axes)


def both(a: Array | None, b: Array | None) -> Array | None:
    """Where both are real; None leaves the other as it is."""
    if a is None or b is None:
        return b if a is None else a
    ndim = max(a.ndim, b.ndim)
    return beside(a, ndim) & beside(b, ndim)


def spread(shape: Shape, ndim: int) -> Shape:
    """A shape of `ndim` axes, new ones of length 1 behind the batch: so arrays of fewer axes meet
    those of more."""
    return (*shape[:1], *(1,) * (ndim - len(shape)), *shape[1:])


def everywhere(found: Any, shapes: Any) -> Array | None:
    """Where all of several arrays are real that meet number by number; None, for an array without a
    mask, leaves the others as they are.

    Parameters
    ----------
    found : sequence of ndarray or None
    shapes : sequence of tuple
        Of the arrays, whose lengths are equal or 1 once they are `spread`.
    """
    ndim = max(map(len, shapes))
    joint = reduce(
        both,
        [
            m if m is None or m.ndim == 1 else m.reshape(spread(m.shape, m.ndim + ndim - len(s)))
            for m, s in zip(found, shapes, strict=True)
        ],
    )
    if joint is None:
        return None
    y = np.broadcast_shapes(*(spread(shape, ndim) for shape in shapes))
    return np.broadcast_to(joint, y[: joint.ndim])


def between(mask: Array) -> Array:
    """True from the first real step of each sequence to the last: what lies between is a hole, and
    what lies outside is not there without the padding."""
    begun = np.logical_or.accumulate(mask, axis=1)
    return begun & np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
