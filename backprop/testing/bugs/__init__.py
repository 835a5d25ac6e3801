"""The bank: mistakes that hand-written backward passes had, planted one by one in our own layers.

A checker that has never caught a bug is no evidence. Each `Bug` breaks one thing in a subclass of
a layer or a loss, says what and, where it is known, in whose issues it was seen.
`python -m backprop.testing.selftest` shows which law finds which. Some are no mistakes at all: the
same numbers written in another way, which a good checker lets pass.

Examples
--------
>>> from backprop.testing.bugs import BANK, find
>>> bug = find("dense-bias-gradient-is-averaged")
>>> bug.make()
DenseBiasGradientIsAveraged(4, activation='tanh')
>>> bug.wrong
'dbias is the mean over the rows, where it is their sum; one row hides it.'
"""

from __future__ import annotations

from backprop.spelling import nearest
from backprop.testing.bugs import (
    arithmetic,
    attention,
    audio,
    augmentation,
    batch_normalization,
    between,
    blocks,
    calls,
    colours,
    columns,
    containers,
    convolution,
    ctc,
    dtype,
    elementwise,
    embedding,
    keys,
    life,
    linear,
    losses,
    merging,
    noise,
    normalization,
    paths,
    points,
    pooling,
    preprocessing,
    recurrent,
    recurrent_states,
    regions,
    resizing,
    scales,
    several,
    signs,
    sizes,
    state,
    upstream,
    widths,
)
from backprop.testing.bugs.bank import INPUTS, KINDS, VERDICTS, Bug, planted_in

__all__ = ["BANK", "INPUTS", "KINDS", "VERDICTS", "Bug", "bugs", "find"]

FAMILIES = (
    linear,
    elementwise,
    losses,
    regions,
    ctc,
    batch_normalization,
    normalization,
    convolution,
    pooling,
    resizing,
    embedding,
    recurrent,
    recurrent_states,
    attention,
    between,
    noise,
    containers,
    merging,
    arithmetic,
    several,
    augmentation,
    colours,
    preprocessing,
    columns,
    audio,
    signs,
    blocks,
    state,
    calls,
    life,
    keys,
    sizes,
    widths,
    scales,
    paths,
    points,
    upstream,
    dtype,
)

BANK: tuple[Bug, ...] = tuple(bug for family in FAMILIES for bug in planted_in(vars(family)))


def bugs(
    *,
    family: str | None = None,
    kinds: str | None = None,
    layer: type | None = None,
    verdict: str | None = "wrong",
) -> list[Bug]:
    """The bugs of the bank that fit.

    Parameters
    ----------
    family : str, optional
        Such as ``"linear"``.
    kinds : str, optional
        Letters of `KINDS`, such as ``"VT"``.
    layer : type, optional
        The layer or loss that is broken.
    verdict : {"wrong", "equivalent", "choice", None}, default "wrong"
        Which of `VERDICTS`; None for all.
    """
    return [
        bug
        for bug in BANK
        if (family is None or bug.family == family)
        and (kinds is None or bug.kind in kinds)
        and (layer is None or bug.layer is layer)
        and (verdict is None or bug.verdict == verdict)
    ]


def find(name: str) -> Bug:
    """The bug of a name.

    Raises
    ------
    ValueError
        If there is none, with the nearest name.
    """
    for bug in BANK:
        if bug.name == name:
            return bug
    raise ValueError(
        f"the bank holds no bug named {name!r}{nearest(name, [bug.name for bug in BANK])}"
    )
