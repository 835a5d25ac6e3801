"""Gradients certified by finite differences that bound their own error.

A file knows those above it and none below:

    entry         what is said of one gradient
    noise         how far a function scatters by rounding
    slopes        φ'(0) by differences, with its bound
    passes, places     how many passes there were and what stops them, where a subject is looked at
    probe         a subject as a function F of its input and its parameters
    point         the point at which a check looks, and directions from it
    measured      the record of what a forward and a backward pass say at a point
    kinks         two slopes at one point, and what backward may say there
    poles         whether there is a slope where backward gives none that is finite
    rounding      what rounding does to both passes at a point
    comparison    <gradient, u> against the slope along u: an entry
    verdict       one gradient, along as many directions as it takes
    steps         a step of training, held to what was certified
    complexstep, entrywise, precision, lattice     slopes by complex steps, entry by entry, the pass
                  in float32, a second point where kinks and ties are
    locate, diagnosis, pictures     which entries are wrong, what that looks like, drawn
    report        all entries, and the way to a closer look
    engine        `gradcheck`, the whole
    catalogue     what ships with the library, each with inputs on which to certify it
"""

from backprop.gradcheck.engine import gradcheck
from backprop.gradcheck.report import Entry, Report

__all__ = ["Entry", "Report", "gradcheck"]


def __dir__() -> list[str]:
    return sorted(__all__)
