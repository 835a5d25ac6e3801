"""Is a backward pass the derivative of its forward pass? Differences that bound their own error.

For one input or parameter θ and a random direction u, φ(h) = <v, F(θ + h u)> has the slope
φ'(0) = <gradient, u>, where v is a random upstream gradient. The verdict compares the slope that
differences see with the one that backward says, and with a bound made of three measured things:

    what is left of the extrapolation (`slopes`)
    8 σ / h, where σ is the noise of the forward pass (`rounding`)
    4 times how far <gradient, u> moves when all numbers are moved by a unit in their last place,
    or 1000 eps max|gradient|: the round-off of the backward pass

The difference is above the bound: fail. Below, and the bound is small against the gradient: pass.
Below, and the bound says nothing: inconclusive, with what it mostly consists of. At a kink the
slopes on both sides bracket the right answers (`kinks`); they are looked for at `lattice` points.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backprop import random
from backprop.gradcheck import lattice as lattice_points
from backprop.gradcheck import precision, slopes
from backprop.gradcheck.kinks import bracket
from backprop.gradcheck.point import (
    leave_special_values,
    narrow,
    of_loss,
    signs,
    single,
    standing_still,
)
from backprop.gradcheck.probe import Array, OutOfTime, Probe, Run, largest
from backprop.gradcheck.report import Entry, Report, loosened
from backprop.gradcheck.rounding import Rounding
from backprop.layer import Layer
from backprop.masks import flags

EPS = float(np.finfo(np.float64).eps)
RETRIES = 3  # further directions for what did not pass: a mistake shows along all of them
WIDER = (2.0**-2, 2.0**2, 2.0**-8)  # first steps, where a function that hardly moves is undecided
FAINT = 0.05  # a bound that decides of a gradient that is next to nothing against the function


def gradcheck(
    subject: Any,
    x: Any,
    y: Any = None,
    *,
    seed: int = 0,
    training: bool = True,
    mask: Any = None,
    values: str = "auto",
    lattice: bool = True,
    tol: float | None = None,
    full: bool = False,
    complex_step: bool = False,
    time_limit: float | None = None,
) -> Report:
    """Certify every gradient of a layer, a container, a loss or a compiled model.

    The check runs on a copy in float64: the subject is not touched. A layer is checked on
    L = <v, f(x)> with random v, a compiled model on its loss for (x, y), penalties included. Draws
    of dropout are the same in every evaluation.

    Parameters
    ----------
    subject : Layer, Loss or Sequential
        A layer that is not built is built for `x`.
    x : array_like, or tuple of array_like for a loss
        An input, with the batch axis. For a loss ``(y_true, y_pred)`` or ``(y_true, y_pred,
        sample_weight)``.
    y : array_like, optional
        Targets, for the loss of a compiled model.
    seed : int, default 0
        Of the directions, of v, and of the random values.
    training : bool, default True
        Whether dropout drops and batch normalization takes the batch's statistics.
    mask : array_like of bool, optional
        (batch, time), True at a real step; of a loss, True where a value counts.
    values : {"auto", "random", "own"}
        Where in the space of parameters to check. ``"random"`` moves every parameter away from
        what is special (gamma = 1, bias = 0), where mistakes hide; ``"own"`` takes them as they
        are. ``"auto"``: random for a layer, a model's own.
    lattice : bool, default True
        Check a layer at multiples of 1/2 as well, where kinks and ties are. Not done for what is
        made of several layers, whose kinks meet there.
    tol : float, optional
        Loosen every bound to this share of the gradient's size. It cannot tighten one.
    full : bool, default False
        Difference every entry, one by one, and name the worst.
    complex_step : bool, default False
        Take the slope from a complex step where the layer is analytic; it is believed only where
        it agrees with the differences, and is then exact to rounding.
    time_limit : float, optional
        Seconds; what is not decided by then is inconclusive. Default: none. The number of steps
        and retries is bounded without it.

    Returns
    -------
    Report
        True in a condition if every gradient passed; printing it shows the table. A gradient is
        ``"inconclusive"`` where the differences are too inexact to tell, because of a kink at
        this point or of rounding.

    Raises
    ------
    TypeError
        If `subject` is no layer.
    ValueError
        If there are targets and no loss, or `x` is empty or does not fit, or an option is wrong.

    References
    ----------
    Romberg's extrapolation as in Ridders: Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng.
    Software 4, 1982. Moré and Wild: Estimating computational noise, SIAM J. Sci. Comput. 33, 2011.
    Squire and Trapp: Using complex variables to estimate derivatives of real functions, SIAM Rev.
    40, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck import gradcheck
    >>> from backprop.layers import Dense
    >>> bool(gradcheck(Dense(3, "tanh"), np.linspace(-1, 1, 8).reshape(2, 4)))
    True
    """
    if not isinstance(subject, Layer):
        raise TypeError(f"gradcheck() expects a layer or a model, got {subject!r}")
    if values not in ("auto", "random", "own"):
        raise ValueError(f"values must be 'auto', 'random' or 'own', got {values!r}")
    if tol is not None and not tol > 0:
        raise ValueError(f"tol must be a positive share of the gradient's size, got {tol!r}")
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}")
    if values == "auto":
        values = "own" if hasattr(type(subject), "compile") else "random"
    # a key of its own: whoever draws x from default_rng(seed) would get x again for v
    sequence = np.random.SeedSequence(seed, spawn_key=(1,))
    # a step may leave a function's domain; what comes out of it then is not used
    with random.own_seeds(sequence.spawn(1)[0]), np.errstate(all="ignore"):
        check = Check(
            subject,
            x,
            y,
            np.random.default_rng(sequence),
            training=training,
            mask=mask,
            values=values,
            deadline=None if time_limit is None else time.monotonic() + time_limit,
        )
        check.certify(lattice=lattice, full=full, complex_step=complex_step)
    entries = check.entries if tol is None else [loosened(e, tol) for e in check.entries]
    return Report(
        subject=repr(subject),
        entries=entries,
        skipped=check.skipped,
        evaluations=check.evaluations,
        reversals=check.reversals,
        shared=check.rounding.spent,
        noise=check.sigma,
        seed=seed,
        tol=tol,
        values=values,
        check=check,
    )


class Check:
    """One check: the point, what was measured there, and what was found so far."""

    def __init__(self, subject, x, y, rng, *, training, mask, values, deadline):
        self.subject, self.rng = subject, rng
        weight = None
        if subject.takes_targets:
            x, y, weight = of_loss(subject, x, y)
        x = np.asarray(x)
        self.narrow = narrow(subject)
        if self.narrow and x.dtype.kind == "f":
            x = single(x)
        options: dict[str, Any] = {
            "sample_weight": weight,
            "mask": None if mask is None else flags(mask, "gradcheck"),
            "training": training,
        }
        self.probe = Probe(subject, x, y, deadline=deadline, **options)
        self.options, self.y = options, y
        self.entries: list[Entry] = []
        self.skipped: list[str] = []
        self.others = self.others_reversed = 0
        self.still = standing_still(self.probe)
        for still in self.still:
            if still is not None:
                count = f"{int(still.sum())} of {still.size} numbers"
                self.skipped.append(f"x: {count}, which stand for a mask")
        self.rounding = Rounding(self)
        self.roundoff = self.rounding.moves
        if values == "random":
            leave_special_values(self.probe, rng)
        self.point = self.probe.point
        if self.narrow:
            self.point = [single(p) for p in self.point]
        self.start = slopes.LARGEST

    @property
    def evaluations(self) -> int:
        return self.probe.evaluations + self.others

    @property
    def reversals(self) -> int:
        return self.probe.reversals + self.others_reversed

    @property
    def spent(self) -> int:
        """Forward passes in float64, without those that the whole check shares."""
        return self.probe.evaluations - self.rounding.spent

    @property
    def sigma(self) -> float:
        return self.rounding.sigma

    # ------------------------------------------------------------------------------- the whole

    def certify(self, *, lattice: bool, full: bool, complex_step: bool) -> None:
        probe = self.probe
        if probe.is_loss:
            self.skipped.append("y_true: a loss has no gradient for it")
        elif not self.has_x:
            self.skipped.append("x: integers have no gradient")
        done = 0
        try:
            self.run = probe.run(self.point)
            self.v = probe.weights(self.run, self.rng)
            self.look(self.run)
            self.rounding.start()
            for i in range(len(probe.slots)):
                if not self.rounding.trouble:
                    self.entries.append(self.examine(i))
                    done += 1
            if self.rounding.trouble:
                cause = self.rounding.trouble
                self.entries = [undecided(s.name, s.shape, cause) for s in probe.slots]
                return
            if complex_step:
                from backprop.gradcheck.complexstep import refine

                refine(self)
            if full:
                from backprop.gradcheck.entrywise import every_entry

                every_entry(self)
            self.rounding.doubt()
            precision.hold(self)
            if lattice and not any(e.verdict == "fail" for e in self.entries):
                lattice_points.visit(self)
        except OutOfTime:
            self.skipped.append("the time limit passed before everything was checked")
            for slot in probe.slots[done:]:
                self.entries.append(undecided(slot.name, slot.shape, "the time limit"))

    @property
    def has_x(self) -> bool:
        return any(slot.parameter is None for slot in self.probe.slots)

    def look(self, run: Run) -> None:
        """Take what a forward pass and its backward pass say about a point."""
        self.run = run
        self.base = float(self.v @ run.y)
        self.terms = float(np.abs(self.v * run.y).sum())
        self.gradients = self.probe.reverse(run, self.v)

    @property
    def largest(self) -> float:
        return max((largest(g) for g in self.gradients), default=0.0)

    @property
    def natural(self) -> float:
        """What a gradient that is next to nothing is compared with: the terms of φ, or v where
        the outputs are next to nothing as well."""
        return max(self.terms, largest(self.v))

    # ------------------------------------------------------------------------------- one gradient

    def examine(self, i: int) -> Entry:
        """The verdict on one input or parameter: along one direction, and others if in doubt."""
        slot, spent = self.probe.slots[i], self.spent
        g = self.gradients[i]
        if not np.isfinite(g).all():
            bad = np.argwhere(~np.isfinite(g))[0]
            reason = f"backward gives {g[tuple(bad)]} for entry {tuple(map(int, bad))}"
            return Entry(slot.name, slot.shape, "fail", reason, np.nan, np.nan, 0.0, 0.0)
        tried = [self.compare(self.alone(i))]
        if self.rounding.trouble:
            return tried[0]
        if tried[0].verdict == "inconclusive" and tried[0].jump:
            kink = self.at_kink(i, tried[0])
            if kink is not None:
                return replace(kink, evaluations=self.spent - spent)
        if tried[0].verdict != "pass":
            starts = WIDER if tried[0].verdict == "inconclusive" else (self.start,) * RETRIES
            tried += [self.compare(self.alone(i), start) for start in starts]
        entry = self.settle(i, tried)
        return replace(entry, evaluations=self.spent - spent)

    def settle(self, i: int, tried: list[Entry]) -> Entry:
        """What several directions say together."""
        failed = [e for e in tried if e.verdict == "fail"]
        passed = [e for e in tried if e.verdict == "pass"]
        if passed and not failed:
            return min(passed, key=lambda e: e.bound)
        # jumps of many kinks may cancel where the slopes do not
        found = self.at_kink(i, tried[0]) if any(e.jump for e in tried) else None
        if found is not None:
            return found
        if 2 * len(failed) > len(tried):  # a mistake shows along all directions, an accident on one
            return min(failed, key=lambda e: e.bound)
        if 2 * len(passed) > len(tried):
            return min(passed, key=lambda e: e.bound)
        best = min((e for e in tried if e.verdict != "fail"), key=lambda e: e.bound)
        if not failed and best.bound <= min(slopes.ZERO * self.natural, FAINT * best.size):
            reason = f"to {best.bound / best.size:.0e} of its size, which rounding hides"
            return replace(best, verdict="pass", reason=reason)
        return best

    def alone(self, i: int, u: Array | None = None) -> list[Array | None]:
        """A direction for one input or parameter, the others stand still."""
        direction: list[Array | None] = [None] * len(self.point)
        direction[i] = self.signs(i) if u is None else u
        return direction

    def signs(self, i: int) -> Array:
        """A direction for one input or parameter."""
        u = signs(self.point[i].shape, self.rng)
        still = self.still[i]
        if still is not None:
            u[still] = 0.0
        return u

    def shaken(self, width: float, point: Sequence[Array] | None = None) -> list[Array]:
        """The point, or another, in float32, every number moved by up to a share of its size."""
        found = []
        for p, still in zip(point or self.point, self.still, strict=True):
            move = width * self.rng.uniform(-1, 1, p.shape)
            if still is not None:
                move[still] = 0.0
            found.append((p * (1 + move)).astype(np.float32))
        return found

    def expected(self, direction: Sequence[Array | None]) -> slopes.Expected:
        """What the slope should be, by the backward pass, and what rounding does to it."""
        slope = size = roundoff = top = squares = 0.0
        for g, u, moves in zip(self.gradients, direction, self.roundoff, strict=True):
            if u is None:
                continue
            for c in moves:
                product = (c * u).ravel()
                moved = max(abs(float(product.sum())), float(np.sqrt(product @ product)))
                roundoff = max(roundoff, moved)
            terms = (g * u).ravel()
            slope += float(terms.sum())
            squares += float(terms @ terms)
            np.abs(terms, out=terms)
            size += float(terms.sum())
            top = max(top, float(terms.max(initial=0)))
        return slopes.Expected(
            slope=slope,
            size=size,
            terms=self.natural,
            allowance=4 * roundoff
            + EPS**2 * self.natural  # below, numbers run out of digits
            + 1e3 * EPS * top
            + 16 * EPS * float(np.sqrt(squares)),
            noise=self.sigma,
        )

    def compare(self, direction: Sequence[Array | None], start: float | None = None) -> Entry:
        """<gradient, u> against the slope of φ along u."""
        known: dict[float, float] = {}

        def phi(h: float) -> float:
            if h not in known:
                known[h] = float(self.v @ self.probe.run(self.point, direction, h).y)
            return known[h]

        slots = [s for s, u in zip(self.probe.slots, direction, strict=True) if u is not None]
        name, shape = (slots[0].name, slots[0].shape) if len(slots) == 1 else ("all", ())
        expected = self.expected(direction)
        found = slopes.slope(phi, self.base, expected, start or self.start)
        if not found.agreed and not self.rounding.measured:
            self.rounding.measure()
            if self.rounding.trouble:
                return undecided(name, shape, self.rounding.trouble)
            expected = self.expected(direction)
            found = slopes.slope(phi, self.base, expected, start or self.start)
        if found.settled and start is None:
            self.start = min(slopes.LARGEST, 16 * found.step)
        difference = abs(found.value - expected.slope)
        size = max(expected.size, abs(found.value))
        sure = replace(expected, size=size).decisive(found.bound)
        if difference <= found.bound and sure:
            verdict, reason = "pass", ""
        elif difference > found.bound and found.cause != "nan":
            verdict = "fail"
            reason = f"backward says {expected.slope:.6g}, differences say {found.value:.6g}"
        else:
            verdict, reason = "inconclusive", f"undecided because of {because(found)}"
        return Entry(
            name,
            shape,
            verdict,
            reason,
            expected.slope,
            found.value,
            found.bound,
            size,
            found.jump,
            len(known),
        )

    # ------------------------------------------------------------------------------- kinks

    def at_kink(self, i: int, entry: Entry) -> Entry | None:
        """The verdict where there is a kink at the point; None if there is none, or no telling."""
        seen = bracket(self.probe, self.point, self.run, self.v, self.alone(i), self.rng)
        if seen.unsettled or not seen.kinked or seen.difference > seen.bound:
            return None
        if seen.violation and self.composite:
            return undecided(entry.name, entry.shape, "kinks of several layers that meet here")
        if seen.violation:
            return replace(entry, verdict="fail", reason=seen.violation, method="kinks")
        reason = f"{seen.kinked} outputs at a kink, slopes within those on both sides"
        return replace(
            entry,
            verdict="pass",
            reason=reason,
            method="kinks",
            bound=seen.bound,
            analytic=seen.difference,
            numeric=0.0,
        )

    @property
    def composite(self) -> bool:
        """Whether kinks of several layers may meet: then a slope outside their bracket may be
        right."""
        leaves = [part for part in self.probe.layer.walk() if not part.sublayers()]
        return len(leaves) > 1 or hasattr(self.probe.layer, "compile")

    # ------------------------------------------------------------------------------- a closer look

    def looking(self):
        """The context in which the probe may run again, after the check."""
        self.probe.deadline = None
        return np.errstate(all="ignore")

    def locate(self, name: str, limit: int, evaluations: int):
        from backprop.gradcheck.locate import locate

        with self.looking():
            return locate(self, self.index(name), limit, evaluations)

    def index(self, name: str) -> int:
        for i, slot in enumerate(self.probe.slots):
            if slot.name == name.partition(" (")[0]:
                return i
        raise ValueError(f"{name!r} has no entries to look at")

    def diagnose(self, report: Report) -> str | None:
        from backprop.gradcheck.diagnosis import diagnose

        with self.looking():
            return diagnose(self, report)


def because(found: slopes.Slope) -> str:
    if found.cause == "a kink":
        return f"a kink: the slopes on its two sides differ by {found.jump:.2g}"
    if found.cause == "curvature":
        return "curvature: the slope changes too much with the step"
    if found.cause == "nan":
        return "steps that leave the function's domain"
    return found.cause


def undecided(name: str, shape: tuple[int, ...], cause: str) -> Entry:
    return Entry(
        name, shape, "inconclusive", f"undecided because of {cause}", np.nan, np.nan, np.inf, 0.0
    )
