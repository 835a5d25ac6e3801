"""What a step of training computes is held to what was certified.

The way back is certified as `backward` goes it: through the loss, then through every layer, to x.
Training takes shorter ways. It begins behind a softmax (`backward_logits`), ends at the first layer
that learns (`backward_params`), and asks for penalties only where layers say that they have some.
So the very step runs once, at the same point; its loss and its gradients have to be those:

    |step - backward| ≤ 1e-9 max|backward| + 1e-12 |L| + 8 r

where L is the loss, at least 1, and r is how far the gradient moves when all numbers are moved by a
unit in the last place.
"""

from __future__ import annotations

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry, place_of
from backprop.gradcheck.probe import largest

ROUNDING = 1e-9  # two ways to sum differ by less
TINY = 1e-12  # of the loss: all that a gradient which cancels is made of


def as_in_training(compare: Comparison) -> list[Entry]:
    """An entry for what a step of training finds otherwise than the way back that was certified:
    the loss, or a gradient. None where there is no step: for a layer, in inference, and under a
    mask, which a step is never given."""
    here, probe = compare.here, compare.probe
    if probe.loss is None or not probe.training or probe.mask is not None:
        return []
    value, gradients = probe.train(here.run)
    found = []
    if not abs(value - here.base) <= ROUNDING * here.natural:
        reason = f"a step of training says that it is {value:.6g}, forward and loss {here.base:.6g}"
        found.append(disagrees("loss", (), value, here.base, ROUNDING * here.natural, reason))
    for i, (got, wanted) in enumerate(zip(gradients, here.gradients, strict=False)):
        bound = ROUNDING * largest(wanted) + TINY * here.natural
        off = np.abs(got - wanted)
        if not largest(off) <= bound:
            compare.rounding.measure()
            bound += 8 * max(map(largest, compare.rounding.moves[i]), default=0.0)
        if largest(off) <= bound:
            continue
        at = place_of(int(np.argmax(off)), off.shape)  # of a NaN, if there is one
        slot, a, n = probe.slots[i], float(got[at]), float(wanted[at])
        reason = (
            f"a step of training says {a:.6g} for entry {at} and backward {n:.6g}: look at "
            "backward_params of the first layer and backward_logits of the last"
        )
        found.append(disagrees(slot.name, slot.shape, a, n, bound, reason))
    return found


def disagrees(
    name: str, shape: tuple[int, ...], a: float, n: float, bound: float, reason: str
) -> Entry:
    name = f"{name} (in training)"
    return Entry(name, shape, "fail", reason, a, n, bound, abs(n), evaluations=1, method="a step")
