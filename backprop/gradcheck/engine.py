"""Is a backward pass the derivative of its forward pass? Differences that bound their own error.

For one input or parameter θ and a random direction u, φ(h) = <v, F(θ + h u)> has the slope
φ'(0) = <gradient, u>, where v is a random upstream gradient. The verdict compares the slope that
differences see with the one that backward says, and with a bound made of three measured things:

    what is left of the extrapolation (`slopes`)
    8 σ / h, where σ is the noise of the forward pass (`noise`)
    4 times how far <gradient, u> moves when all numbers are moved by a unit in their last place,
    or 1000 eps max|gradient|: the round-off of the backward pass

The difference is above the bound: fail. Below, and the bound is small against the gradient: pass.
Below, and the bound says nothing: inconclusive, with what it mostly consists of. At a kink the
slopes on both sides bracket the right answers (`kinks`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backprop import random
from backprop.gradcheck import noise, precision, slopes
from backprop.gradcheck.kinks import bracket
from backprop.gradcheck.probe import Array, OutOfTime, Point, Probe, Run, moved
from backprop.gradcheck.report import Entry, Report, loosened
from backprop.layer import Layer
from backprop.losses.loss import Loss

EPS = float(np.finfo(np.float64).eps)
RETRIES = 3  # further directions for what did not pass: a mistake shows along all of them
WIDER = (2.0**-2, 2.0**2, 2.0**-8)  # first steps, where a function that hardly moves is undecided
FAINT = 0.05  # a bound that decides of a gradient that is next to nothing against the function
REVERSED = 3  # backward passes at moved points, which measure its round-off


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
        shared=check.shared,
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
        if isinstance(subject, Loss):
            x, y, weight = of_loss(subject, x, y)
        x = np.asarray(x)
        self.narrow = narrow(subject)
        if self.narrow and x.dtype.kind == "f":
            x = single(x)
        options: dict[str, Any] = {
            "sample_weight": weight,
            "mask": None if mask is None else np.asarray(mask, bool),
            "training": training,
        }
        self.probe = Probe(subject, x, y, deadline=deadline, **options)
        self.options, self.y = options, y
        self.entries: list[Entry] = []
        self.skipped: list[str] = []
        self.shared = self.others = self.others_reversed = 0
        self.sigma = 0.0
        if values == "random":
            self.leave_special_values()
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

    def leave_special_values(self) -> None:
        """Move parameters and buffers: at gamma = 1, bias = 0, variance = 1 mistakes hide."""
        for p in self.probe.parameters:
            rms = float(np.sqrt(np.mean(p.value**2))) if p.size else 0.0
            step = self.rng.choice([-1.0, 1.0], p.shape) * self.rng.uniform(0.1, 0.5, p.shape)
            p.value += step * (rms or 1.0)
        # upwards only: a variance stays one
        self.probe.set_buffers(
            [
                b * (1 + 0.5 * self.rng.random(b.shape)) + 0.25 * self.rng.random(b.shape)
                if b.dtype.kind == "f"
                else b
                for _, b in self.probe.buffers
            ]
        )

    # ------------------------------------------------------------------------------- the whole

    def certify(self, *, lattice: bool, full: bool, complex_step: bool) -> None:
        probe = self.probe
        if probe.is_loss:
            self.skipped.append("y_true: a loss has no gradient for it")
        elif not self.has_x:
            self.skipped.append("x: integers have no gradient")
        done = 0
        try:
            self.measure()
            if self.hopeless():
                return
            for i in range(len(probe.slots)):
                self.entries.append(self.examine(i))
                done += 1
            if complex_step:
                from backprop.gradcheck.complexstep import refine

                refine(self)
            if full:
                from backprop.gradcheck.entrywise import every_entry

                every_entry(self)
            precision.hold(self)
            if lattice and not any(e.verdict == "fail" for e in self.entries):
                self.visit_lattice()
        except OutOfTime:
            self.skipped.append("the time limit passed before everything was checked")
            for slot in probe.slots[done:]:
                self.entries.append(undecided(slot.name, slot.shape, "the time limit"))

    @property
    def has_x(self) -> bool:
        return any(slot.parameter is None for slot in self.probe.slots)

    def measure(self) -> None:
        """The point itself; the noise of the forward pass; the round-off of the backward pass."""
        probe, rng = self.probe, self.rng
        self.run = probe.run(self.point)
        self.v = probe.weights(self.run, rng)
        self.base = float(self.v @ self.run.y)
        self.terms = float(np.abs(self.v * self.run.y).sum())
        self.gradients = probe.reverse(self.run, self.v)
        self.roundoff: list[list[Array]] = [[] for _ in probe.slots]
        values = self.scatter(noise.STEP, self.roundoff)
        if np.isfinite(values).all() and noise.too_fine(values):
            coarse = self.scatter(noise.COARSE, None)
            if not noise.too_fine(coarse):  # a function of few digits
                values = coarse
        least = EPS * float(np.sqrt(((self.v * self.run.y) ** 2).sum()) + abs(self.base)) / 4
        self.sigma = max(noise.deviation(values), least)
        self.shared = probe.evaluations
        for g, changes in zip(self.gradients, self.roundoff, strict=True):
            # a tie or a kink at the point itself is no rounding; it has its own check
            if any(np.abs(c).max(initial=0) > 1e-6 * self.largest for c in changes):
                changes[:] = [np.zeros_like(g)]

    @property
    def largest(self) -> float:
        return max((float(np.abs(g).max(initial=0)) for g in self.gradients), default=0.0)

    @property
    def natural(self) -> float:
        """What a gradient that is next to nothing is compared with: the terms of φ, or v where
        the outputs are next to nothing as well."""
        return max(self.terms, float(np.abs(self.v).max(initial=0)))

    def scatter(self, step: float, roundoff: list[list[Array]] | None) -> Array:
        """φ at the point and at six points some units in the last place away, all in a line; the
        first of them are reversed as well, to see how far the gradients move."""
        rng = self.rng
        u = [np.abs(p) * signs(p.shape, rng) for p in self.point]
        values = [self.base]
        for k in range(1, noise.EVALUATIONS):
            run = self.probe.run(moved(self.point, u, k * step))
            values.append(float(self.v @ run.y))
            if roundoff is not None and k <= REVERSED:
                again = self.probe.reverse(run, self.v)
                for kept, new, g in zip(roundoff, again, self.gradients, strict=True):
                    kept.append(new - g)
        return np.array(values)

    def hopeless(self) -> bool:
        """Whether the forward pass is no function that could be differentiated."""
        cause = ""
        if not np.isfinite(self.base):
            cause = f"the forward pass gives {self.base}"
        elif self.sigma > 1e-6 * max(self.terms, 1e-300) and not np.array_equal(
            self.probe.run(self.point).y, self.run.y
        ):
            cause = "the forward pass gives another result each time"
        if cause:
            self.entries = [undecided(s.name, s.shape, cause) for s in self.probe.slots]
        return bool(cause)

    # ------------------------------------------------------------------------------- one gradient

    def examine(self, i: int) -> Entry:
        """The verdict on one input or parameter: along one direction, and others if in doubt."""
        slot, spent = self.probe.slots[i], self.probe.evaluations
        g = self.gradients[i]
        if not np.isfinite(g).all():
            bad = np.argwhere(~np.isfinite(g))[0]
            reason = f"backward gives {g[tuple(bad)]} for entry {tuple(map(int, bad))}"
            return Entry(slot.name, slot.shape, "fail", reason, np.nan, np.nan, 0.0, 0.0)
        tried = [self.compare(i, signs(slot.shape, self.rng))]
        if tried[0].verdict == "inconclusive" and tried[0].jump:
            kink = self.at_kink(i, tried[0])
            if kink is not None:
                return replace(kink, evaluations=self.probe.evaluations - spent)
        if tried[0].verdict != "pass":
            starts = WIDER if tried[0].verdict == "inconclusive" else (self.start,) * RETRIES
            tried += [self.compare(i, signs(slot.shape, self.rng), start) for start in starts]
        entry = self.settle(i, tried)
        return replace(entry, evaluations=self.probe.evaluations - spent)

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

    def expected(self, i: int, u: Array) -> slopes.Expected:
        """What the slope along u should be, by the backward pass, and what rounding does to it."""
        g = self.gradients[i]
        terms = g * u
        roundoff = max(
            (
                max(abs(float((c * u).sum())), float(np.sqrt(((c * u) ** 2).sum())))
                for c in self.roundoff[i]
            ),
            default=0.0,
        )
        top = float(np.abs(terms).max(initial=0))
        return slopes.Expected(
            slope=float(terms.sum()),
            size=float(np.abs(terms).sum()),
            terms=self.natural,
            allowance=4 * roundoff
            + EPS**2 * self.natural  # below, numbers run out of digits
            + 1e3 * EPS * top
            + 16 * EPS * float(np.sqrt((terms**2).sum())),
            noise=self.sigma,
        )

    def phi(self, i: int, u: Array):
        direction: list[Array | None] = [None] * len(self.point)
        direction[i] = u
        return lambda h: float(self.v @ self.probe.run(moved(self.point, direction, h)).y)

    def compare(self, i: int, u: Array, start: float | None = None) -> Entry:
        """<gradient, u> against the slope of φ along u."""
        slot, expected = self.probe.slots[i], self.expected(i, u)
        found = slopes.slope(self.phi(i, u), self.base, expected, start or self.start)
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
            slot.name,
            slot.shape,
            verdict,
            reason,
            expected.slope,
            found.value,
            found.bound,
            size,
            found.jump,
            found.evaluations,
        )

    # ------------------------------------------------------------------------------- kinks

    def at_kink(self, i: int, entry: Entry) -> Entry | None:
        """The verdict where there is a kink at the point; None if there is none, or no telling."""
        direction: list[Array | None] = [None] * len(self.point)
        direction[i] = signs(self.point[i].shape, self.rng)
        seen = bracket(self.probe, self.point, self.run, self.v, direction, self.rng)
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

    def visit_lattice(self) -> None:
        """Check all inputs and parameters together at multiples of 1/2."""
        leaves = [part for part in self.probe.layer.walk() if not part.sublayers()]
        if self.composite:
            self.skipped.append("lattice points: kinks of several layers would meet there")
        elif any(makes_mask(part, self.probe.x) for part in leaves):
            self.skipped.append("lattice points: some numbers stand for a mask")
        else:
            kept = self.point, self.run, self.gradients, self.base, self.terms, self.roundoff
            y, spent = self.probe.y, self.probe.evaluations
            if self.probe.is_loss and np.asarray(y).dtype.kind == "f":
                self.probe.y = lattice_of(np.asarray(y))  # so that predictions may be exact
            try:
                entry = self.on_lattice()
            finally:
                self.point, self.run, self.gradients, self.base, self.terms, self.roundoff = kept
                self.probe.y = y
            if entry is not None:
                spent = self.probe.evaluations - spent
                self.entries.append(
                    replace(entry, name="all, at lattice points", shape=(), evaluations=spent)
                )

    def lattice_point(self) -> tuple[Point, Run] | None:
        """Multiples of 1/2, and a sample of zeros where there are others; without it where the
        function has no value there."""
        for zeros in (True, False):
            point = [lattice_of(p) for p in self.point]
            for p, slot in zip(point, self.probe.slots, strict=True):
                if zeros and slot.parameter is None and len(p) > 1:
                    p[-1] = 0.0
            run = self.probe.run(point)
            if np.isfinite(run.y).all():
                return point, run
        return None

    def on_lattice(self) -> Entry | None:
        found = self.lattice_point()
        if found is None:
            self.skipped.append("lattice points: the forward pass is not finite there")
            return None
        point, run = self.point, self.run = found
        self.gradients = self.probe.reverse(run, self.v)
        self.base = float(self.v @ run.y)
        self.terms = float(np.abs(self.v * run.y).sum())
        self.roundoff = [[np.zeros_like(g)] for g in self.gradients]
        direction: list[Array | None] = [signs(p.shape, self.rng) for p in point]
        if not all(np.isfinite(g).all() for g in self.gradients):
            return self.not_finite(direction)
        tried: list[Entry] = []
        for i in range(len(point)):
            # on the lattice every slot has a direction
            found = self.compare(i, direction[i])  # type: ignore[arg-type]
            if found.verdict != "pass":
                found = self.lattice_kink(i, direction[i], found)
                if found is None:
                    slot = self.probe.slots[i]
                    self.skipped.append(f"{slot.name} at lattice points: no telling there")
                    continue
            tried.append(found)
        if not tried:
            return None
        worst = next((e for e in tried if e.verdict != "pass"), None)
        return worst or max(tried, key=lambda e: e.bound / (e.size or 1))

    def lattice_kink(self, i: int, u: Any, found: Entry) -> Entry | None:
        """The verdict of the two sides, where differences alone do not agree."""
        name = self.probe.slots[i].name
        # what ties may get adds up, along a direction of one sign, to more than any of them gets
        for way in (u, np.abs(u)):
            direction: list[Array | None] = [None] * len(self.point)
            direction[i] = way
            seen = bracket(self.probe, self.point, self.run, self.v, direction, self.rng)
            if seen.violation:
                reason = f"{name}: {seen.violation}"
                return replace(found, verdict="fail", reason=reason, method="kinks")
            if seen.unsettled:
                return None
            if seen.difference > seen.bound:
                if seen.difference > 100 * seen.bound and found.verdict == "fail":
                    return replace(found, reason=f"{name}: {found.reason}")
                return None
        return replace(
            found,
            verdict="pass",
            reason="",
            method="kinks",
            analytic=seen.difference,
            numeric=0.0,
            bound=seen.bound,
        )

    def not_finite(self, direction: list[Array | None]) -> Entry | None:
        """A gradient that is NaN where the function has slopes."""
        seen = bracket(self.probe, self.point, self.run, self.v, direction, self.rng)
        i, bad = next((i, g) for i, g in enumerate(self.gradients) if not np.isfinite(g).all())
        slot = self.probe.slots[i]
        if seen.unsettled:
            self.skipped.append("lattice points: the slope is infinite there")
            return None
        at = tuple(map(int, np.argwhere(~np.isfinite(bad))[0]))
        reason = f"{slot.name}: backward gives {bad[at]} for entry {at}, where there is a slope"
        return Entry("", (), "fail", reason, np.nan, np.nan, 0.0, 0.0)

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


def signs(shape: Sequence[int], rng: np.random.Generator) -> Array:
    """A direction in which no entry is small: ±1 times 0.5 to 1.5."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)


def makes_mask(layer: Layer, x: Array) -> bool:
    """Whether some numbers mean something else than their neighbours do."""
    try:
        return layer.changes_mask and layer.compute_mask(x, None) is not None
    except (TypeError, ValueError, AttributeError):  # a layer within another, of another input
        return False


def single(a: Array) -> Array:
    """The same numbers as float32 holds them, in float64; as they are where float32 cannot."""
    if a.dtype.kind != "f":
        return a
    rounded = a.astype(np.float32).astype(np.float64)
    return rounded if np.isfinite(rounded).all() else a.astype(np.float64)


def lattice_of(p: Array) -> Array:
    """Multiples of 1/2; of half their size for numbers that are all small."""
    rms = float(np.sqrt(np.mean(p * p))) if p.size else 0.0
    unit = 0.5 if rms >= 0.5 or not rms else rms / 2
    return np.round(p / unit) * unit


def narrow(subject: Any) -> bool:
    """Whether the subject computes in float32."""
    return subject.dtype is None or np.dtype(subject.dtype) == np.float32


def of_loss(loss: Any, x: Any, y: Any) -> tuple[Array, Array, Array | None]:
    """(y_pred, y_true, sample_weight) of what was given for a loss."""
    if y is not None or not isinstance(x, tuple | list) or len(x) not in (2, 3):
        raise ValueError(
            f"gradcheck() of a loss expects (y_true, y_pred) or (y_true, y_pred, sample_weight) "
            f"as x and no y: gradcheck({loss!r}, (y_true, y_pred))"
        )
    weight = np.asarray(x[2]) if len(x) == 3 and x[2] is not None else None
    return np.asarray(x[1], np.float64), np.asarray(x[0]), weight


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
