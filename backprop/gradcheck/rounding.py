"""What rounding does to a forward and a backward pass, measured when it is first needed.

φ is computed at seven points some units in the last place apart (`noise`), which gives σ, and
three of them are reversed as well: how far the gradients move there, where nothing but rounding
should move them, is their round-off. A gradient that agrees with the differences as well as the
least rounding there is allows needs none of this: noise that were larger would have shown.

Rounding in float64 moves φ by some units of

    eps (Σ|v y| + Σ|gradient · θ| + Σ|v| rms(θ))

as every number that φ is made of, θ among them, is rounded once, and what cancels may have been as
large as θ, like x - tanh(x) for small x. A φ that scatters 2^15 times as
much, which is half the way to float32 in digits, comes out of a computation with fewer digits than
those of float64. Its slopes are too uncertain for a verdict, however well they agree. Steps of a
few units in the last place move nothing in what was rounded to float32, so φ is looked at over
steps of 2^-26 too: they are a fraction of what float32 tells apart, and a smooth function is still
straight there to rounding. Nor do such small steps move sigmoid(8) by one unit, and 1 - sigmoid(8)
is rounded to a few thousand of its own: what scatters φ more over the coarse steps is its noise
too. Kinks, near ties and waves that lie between such steps scatter φ as well, but by more over
wider ones, or only until they are passed, or φ moves by its slope over finer ones.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backprop.gradcheck import noise
from backprop.gradcheck.entry import Entry, wrong_outright
from backprop.gradcheck.measured import Measured, drew_otherwise
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.passes import Refused
from backprop.gradcheck.places import Direction, Run, paired
from backprop.gradcheck.probe import Array, largest

REVERSED = 3  # backward passes at moved points, which measure its round-off
HIDDEN = 16.0  # times what fine steps show: noise of what does not move over these
ROUGH = 2.0**15  # times what rounding explains
EPS32 = float(np.finfo(np.float32).eps)
LARGEST32 = float(np.finfo(np.float32).max)
WIDER = 2.0**4  # times the coarse steps: what rounding scatters by is the same over these
GROWS = WIDER / 2  # times: by what kinks between the steps make φ scatter more there,
BEYOND = 2  # or less from here on, where it has passed them
BETWEEN, RESOLVED = 2.0**-34, 1e-4  # a step between fine and coarse ones, and how well it does
FINER, STEADY = 2.0**-42, 2e-3  # one over which hidden noise steps, and a wave does not
ALL = 0.1  # of y: what is off by more in float32 has no digit left there
JUMP = 1e-5  # of φ: what moves more is no rounding of float32, but a jump of the function


class Rounding:
    """The noise of the forward pass and the round-off of the backward pass at a point.

    Attributes
    ----------
    here : Measured
    sigma : float
        Deviation of φ: the least there can be, or what was measured.
    moves : list of list of ndarray
        By how much each gradient moved.
    measured : bool
    spent : int
        Forward passes that no gradient took for itself: the point, and these.
    units : float
        How noisy φ is, in units of what rounding in float64 explains; 0 where it was not measured.
    trouble : str
        Why the forward pass is no function that could be differentiated.
    digits : int
        With how many φ is computed where those are not the 16 of float64; 0 otherwise.
    single : bool
        Whether all outputs are float32 numbers.
    """

    def __init__(self, here: Measured):
        self.here = here
        y = here.v * here.run.y
        self.sigma = EPS * float(np.sqrt(y @ y) + abs(here.base)) / 4  # the least there can be
        self.moves: list[list[Array]] = [[] for _ in here.gradients]
        self.measured = self.single = False
        self.lost: float | None = None
        self.digitless = np.zeros(here.run.y.shape, bool)
        self.spent, self.digits, self.units = here.probe.passes.forward, 0, 0.0
        finite = np.isfinite(here.base)
        self.trouble = "" if finite else f"the forward pass gives {here.base}"

    def measure(self) -> None:
        """Find all of it, at the cost of 12 forward passes; once."""
        if self.measured:
            return
        self.measured = True
        here = self.here
        fine, coarse = self.scatter(noise.STEP, REVERSED), self.scatter(noise.COARSE, 0)
        # a function of few digits does not move at all over fine steps
        unmoved = np.isfinite(fine).all() and noise.too_fine(fine) and not noise.too_fine(coarse)
        self.sigma = max(self.sigma, noise.deviation(coarse if unmoved else fine))
        unit = self.unit()
        self.look_for_few_digits(noise.deviation(coarse), unit)
        hidden = noise.believed(coarse)
        if HIDDEN * self.sigma < hidden <= ROUGH * unit and not self.moves_as_told():
            self.sigma = self.sigma if self.is_of_kinks(hidden) else hidden
        if self.sigma > 1e-6 * max(here.terms, 1e-300) and not np.array_equal(
            self.run([None] * len(here.point), 0.0).y, here.run.y
        ):
            self.trouble = "the forward pass gives another result each time"
        top = max((largest(g) for g in here.gradients), default=0.0)
        for changes in self.moves:
            # a tie or a kink at the point itself is no rounding; it has its own check
            if any(largest(c) > 1e-6 * top for c in changes):
                changes[:] = []

    def moves_at(self, point: Measured) -> list[list[Array]]:
        """By how much each gradient moves at a point: nothing is known of another than this."""
        return self.moves if point is self.here else [[] for _ in point.gradients]

    def run(self, direction: Direction, h: float) -> Run:
        self.spent += 1
        return self.here.probe.run(self.here.point, direction, h)

    def scatter(self, step: float, reversals: int) -> Array:
        """φ at the point and at six points in a line, `step` of each number's size apart."""
        here = self.here
        u = [np.abs(p) * here.drawn(i) for i, p in enumerate(here.point)]
        values = [here.base]
        run = here.run
        for k in range(1, noise.EVALUATIONS):
            try:
                run = self.run(u, k * step)
            except Refused:
                values.append(np.nan)
                continue
            values.append(float(here.v @ run.y))
            if k <= reversals:
                self.move(run, step)
        self.single = is_single(run.y[: run.y.size - run.penalised])
        seen = np.array(values)
        return seen[np.isfinite(seen)]

    def move(self, run: Run, step: float) -> None:
        """Note by how much the gradients moved, dy having moved too."""
        here = self.here
        v = here.v * (1 + step * here.rng.uniform(-1, 1, here.v.shape))
        try:
            again = here.probe.reverse(run, v)
        except Refused:
            return
        for kept, new, g in zip(self.moves, again, here.gradients, strict=True):
            kept.append(new - g)

    def share(self) -> float:
        """How much of y rounding in float64 may cost beyond what a move of the numbers shows, as an
        ill-conditioned constant of the layer does: by what float32 costs it. Measured
        once; where float32 keeps no digit, it is only known to be as much at the least."""
        if self.lost is None:
            self.lost = self.lost_in_float32()
        return EPS / EPS32 * self.lost

    @property
    def blind(self) -> bool:
        """Whether float32 keeps no digit of y."""
        self.share()
        return self.lost is not None and self.lost > ALL

    @property
    def without_digits(self) -> Array:
        """Of which outputs float32 keeps no digit."""
        self.share()
        return self.digitless

    def lost_in_float32(self) -> float:
        here = self.here
        try:
            twin = here.probe.in_dtype(np.float32)
            run = twin.run([p.astype(np.float32) for p in here.point])
            if drew_otherwise(here, twin):
                return 0.0
        except Exception:  # whatever a layer does in another dtype than its own
            return 0.0
        self.spent += 1
        y, off = np.abs(here.run.y), np.abs(run.y - here.run.y)
        self.digitless = ~(off <= ALL * y) & (y < LARGEST32)
        scale, most = float(y.max(initial=0)), float(off.max(initial=0))
        return most / scale if scale and np.isfinite(most) else 0.0

    def unit(self) -> float:
        """What rounding in float64 moves φ by."""
        here = self.here
        moving = sum(
            float(np.abs(g * p).sum()) for g, p in zip(here.gradients, here.point, strict=True)
        )
        rms = max(float(np.sqrt(np.mean(p * p))) for p in here.point if p.size)
        cancelling = float(np.abs(here.v).sum()) * rms
        return EPS * (here.terms + moving + cancelling)

    def look_for_few_digits(self, coarse: float, unit: float) -> None:
        here = self.here
        rough = max(s for s in (0.0, self.sigma, coarse) if not s > JUMP * here.terms)
        if rough > max(self.sigma, ROUGH * unit) and not self.has_all_digits():
            rough = self.sigma if self.is_of_kinks(rough) else rough
        elif rough > ROUGH * unit:
            rough = self.sigma
        self.units = rough / unit if rough else 0.0
        if self.units > ROUGH:
            self.sigma = max(self.sigma, rough)
            self.digits = round(-math.log10(rough / here.terms))

    def is_of_kinks(self, coarse: float) -> bool:
        """Whether what scatters φ over coarse steps is no rounding, which is the same over wider
        ones."""
        wider = self.scatter(WIDER * noise.COARSE, 0)
        bent = noise.deviation(wider) > GROWS * coarse
        straight = noise.deviation(wider[BEYOND:]) < coarse / GROWS
        return bent or straight

    def has_all_digits(self) -> bool:
        """Whether φ moves as backward says over steps that few digits do not hold: many numbers
        that nearly tie scatter it over larger ones."""
        here = self.here
        u = [np.abs(p) * here.drawn(i) for i, p in enumerate(here.point)]
        terms = [(g * w).ravel() for g, w in zip(here.gradients, u, strict=True)]
        try:
            up = float(here.v @ self.run(u, BETWEEN).y) - here.base
        except Refused:
            return False
        off = abs(up / BETWEEN - sum(float(t.sum()) for t in terms))
        return off <= RESOLVED * max(float(np.linalg.norm(t)) for t in terms)

    def moves_as_told(self) -> bool:
        """Whether φ moves as backward says over finer steps along each slot alone: then waves
        scatter it over coarse ones."""
        here = self.here
        for i, (p, g) in enumerate(zip(here.point, here.gradients, strict=True)):
            u = here.alone(i, np.abs(p) * here.drawn(i))
            try:
                up, down = (float(here.v @ self.run(u, h).y) for h in (FINER, -FINER))
            except Refused:
                return False
            off = abs((up - down) / (2 * FINER) - paired(here.gradients, u))
            if off > STEADY * float(np.linalg.norm(g * u[i])):
                return False
        return True

    def doubted(self, entries: list[Entry]) -> list[Entry]:
        """No verdict for gradients that only agree within the digits of float32."""
        if not self.digits:
            return entries
        cause = (
            f"a forward pass that computes with about {self.digits} digits, not the 16 of float64"
        )
        reason = f"undecided because of {cause}; look for a cast, or for a cancellation"
        found = [
            e if e.verdict == "fail" else replace(e, verdict="inconclusive", reason=reason)
            for e in entries
        ]
        if self.single:
            reason = "all outputs are float32 numbers where all else is float64: look for a cast"
            found.append(wrong_outright("y", self.here.run.shape, reason, method="float32"))
        return found


def is_single(y: Array) -> bool:
    """Whether all numbers are float32 ones, and some of these need its digits.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck.rounding import is_single
    >>> x = np.array([0.1, 0.5])
    >>> is_single(x), is_single(x.astype(np.float32)), is_single(np.array([0.5, 3.0]))
    (False, True, False)
    """
    if not np.isfinite(y).all() or not (y.astype(np.float32) == y).all():
        return False
    mantissa = np.frexp(y)[0] * 2.0**16
    return bool((mantissa != np.round(mantissa)).any())
