"""How long axes and how large numbers are drawn: most are small, and some are not.

A small case shows most mistakes and is read at a glance. Some begin further out: a loop over blocks
of 32 that forgets what is left over, an index in eight bits, exp beyond 30. So in a share of draws
one axis is long, or the numbers are of another scale; never where an author gave bounds. The laws
that meet such mistakes also look at each of `FOCI` by itself, so that none is left to chance. All
of it shrinks to what is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

try:
    import hypothesis as hypothesis  # the kit's too, which would not say what to install
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException as HypothesisException
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "backprop.testing draws its examples with Hypothesis, which is not installed: "
        "pip install 'backprop[test]'"
    ) from error

USUAL = 4  # how long an axis of most draws is at most
KINDS = ("generic", "lattice")
SCALES = ("large", "tiny", "columns", "constant", "repeated")
LENGTHS = (9, 31, 32, 33, 64, 65, 128, 129, 257)
AXES = ("rows", "second", "between", "last")
ALL = "all"  # axes at once: how long each of two, of three ... is, some 20,000 numbers together
LENGTHS_OF_ALL = {1: 33, 2: 130, 3: 33, 4: 12, 5: 7}
RARELY = 12  # one draw in so many has a long axis, and one has numbers of another scale


@dataclass
class Focus:
    """What a case is to have that most have not.

    Attributes
    ----------
    axis : str
        The axis that is to be long: a name of `AXES`, or `ALL`, or empty.
    lengths : tuple of int
        How long it may be.
    kind : str
        The kind that numbers are to be of, a name of `SCALES`, or empty.
    exact : bool
        Whether it is to be the first of these lengths, and no shorter one.
    seen : bool
        Whether the case that was drawn last has it; reset for each.
    """

    axis: str = ""
    lengths: tuple[int, ...] = LENGTHS
    kind: str = ""
    exact: bool = False
    seen: bool = False

    def __str__(self) -> str:
        return self.kind or f"{self.axis} {self.lengths}"


LONG = [Focus(axis, (65,)) for axis in AXES]
NEAR_BLOCKS = [Focus(axis, (9, 31, 32, 33, 64, 128)) for axis in AXES]
# which an index of seven or eight bits does not reach: few, as references are loops
BEYOND_BITS = [Focus("second", (130,)), Focus("last", (130,)), Focus("last", (260,))]
BEYOND_EIGHT_BITS = [Focus(axis, (257,)) for axis in AXES]
OF_SCALES = [Focus(kind=kind) for kind in SCALES]
FOCI = (*LONG, *NEAR_BLOCKS, *BEYOND_EIGHT_BITS, *OF_SCALES)
MAIN_FOCI = (*LONG, *OF_SCALES[:3])

CURRENT: ContextVar[Focus | None] = ContextVar("focus", default=None)


@contextmanager
def focused(focus: Focus) -> Iterator[None]:
    """Let strategies draw what a focus asks for, mostly."""
    token = CURRENT.set(focus)
    try:
        yield
    finally:
        CURRENT.reset(token)


def reset_focus() -> None:
    """A new case has nothing yet of what is asked for."""
    focus = CURRENT.get()
    if focus is not None:
        focus.seen = False


def chance(draw: Any, asked: bool) -> bool:
    """True once in a while, and mostly where it was asked for; False is the smaller one."""
    share = (False, *[True] * 15) if asked else (*[False] * (RARELY - 1), True)
    return draw(st.sampled_from(share))


Bounds = tuple[int, int | None]  # the least length of an axis, and the most where there is one


def lengthened(
    draw: Any, shape: tuple[int, ...], bounds: Mapping[int, Bounds], roles: Sequence[str] = ()
) -> tuple[int, ...]:
    """The shape, or now and then one of which an axis is long. `bounds` says of what may change how
    long it may be: without an upper bound as long as you like. `roles` are names of `AXES`, one for
    each axis, and by default what stands at their places."""
    focus, roles = CURRENT.get(), roles or roles_of(len(shape))
    if focus is not None and focus.axis == ALL:
        return all_long(shape, bounds, focus)
    if focus is not None and (focus.kind or focus.seen):
        return shape  # one thing at a time
    free = [
        axis
        for axis, within in bounds.items()
        if (focus is None or roles[axis] == focus.axis) and may_be(within, focus)
    ]
    exact = focus is not None and focus.exact
    if not free or not (exact or chance(draw, focus is not None)):
        return shape
    axis = draw(st.sampled_from(free))
    if focus is not None and focus.exact:
        n = focus.lengths[0]
    else:
        n = draw(lengths_near(LENGTHS if focus is None else focus.lengths))
    if focus is not None:
        focus.seen = True
    return (*shape[:axis], max(n, bounds[axis][0]), *shape[axis + 1 :])


def all_long(shape: tuple[int, ...], bounds: Mapping[int, Bounds], focus: Focus) -> tuple[int, ...]:
    """The shape, with all axes long that may be."""
    n = LENGTHS_OF_ALL.get(len(shape), 4)
    long = Focus(ALL, (n,), exact=True)
    free = [axis for axis, within in bounds.items() if may_be(within, long)]
    focus.seen |= bool(free)
    return tuple([n if axis in free else size for axis, size in enumerate(shape)])


def may_be(within: Bounds, focus: Focus | None) -> bool:
    """Whether an axis may be as long as is asked for: exactly so, or longer than most."""
    least, most = within
    if focus is None or not focus.exact:
        return most is None
    return least <= focus.lengths[0] and (most is None or focus.lengths[0] <= most)


def bounds_for(given: int | Sequence[int] | None, least: int = 1) -> Bounds:
    """The bounds of an axis of which a length was given, or the least and the most, or nothing."""
    if given is None:
        return least, None
    return (given, given) if isinstance(given, int) else (given[0], given[1])


@cache
def lengths_near(lengths: tuple[int, ...]) -> st.SearchStrategy[int]:
    """One of the lengths, mostly; what it shrinks to is the smallest of all below them."""
    below = tuple(range(USUAL + 1, max(lengths)))
    often = max(-(-30 * len(below) // len(lengths)), 1)
    return st.sampled_from(below + lengths * often)


def roles_of(ndim: int) -> tuple[str, ...]:
    """What the axes of a shape are: names of `AXES`. Of two the second is the last."""
    behind = ("second", *["between"] * (ndim - 3)) if ndim > 2 else ()
    return ("rows", *behind, "last")[:ndim]


def kind_for(draw: Any, kinds: Sequence[str] | None = None, scales: Sequence[str] = SCALES) -> str:
    """The kind of numbers to draw: one of those that were given, or a common one, and now and then
    one of another scale."""
    if kinds is not None:
        return draw(st.sampled_from(kinds))
    focus = CURRENT.get()
    if focus is not None:
        scales = [kind for kind in scales if kind == focus.kind]
    if not scales or not chance(draw, focus is not None):
        return draw(st.sampled_from(KINDS))
    if focus is not None:
        focus.seen = True
    return draw(st.sampled_from(scales))
