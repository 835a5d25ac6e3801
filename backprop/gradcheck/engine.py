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
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from backprop import checks, random
from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.complexstep import by_complex_step
from backprop.gradcheck.entry import Entry, undecided
from backprop.gradcheck.entrywise import entry_by_entry
from backprop.gradcheck.lattice import at_lattice_points
from backprop.gradcheck.measured import measured
from backprop.gradcheck.passes import NotFinite, OutOfTime, Refused
from backprop.gradcheck.places import Point
from backprop.gradcheck.point import prepared
from backprop.gradcheck.precision import in_float32
from backprop.gradcheck.probe import Probe
from backprop.gradcheck.report import Report, loosened
from backprop.gradcheck.rounding import Rounding
from backprop.gradcheck.steps import as_in_training
from backprop.gradcheck.verdict import verdict_on
from backprop.layer import Layer
from backprop.training.hooks import is_model


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
    L = <v, f(x)> with random v, of several outputs on the sum of <v, y> over them, and a penalty
    that it adds to the loss is a part of L; a compiled model on its loss for (x, y), penalties
    included, and what a step of training computes is held to that. Draws of dropout are the same
    in every evaluation.

    Parameters
    ----------
    subject : Layer, Loss or Sequential
        A layer that is not built is built for `x`.
    x : array_like, or tuple or list of array_like
        An input, with the batch axis. For a layer of several inputs all of them in order, None
        where one is not given; each has an entry of its own, but for integers and flags. For a
        loss ``(y_true, y_pred)`` or ``(y_true, y_pred, sample_weight)``.
    y : array_like, optional
        Targets, for the loss of a compiled model; for several outputs as `fit` takes them.
    seed : int, default 0
        Of the directions, of v, and of the random values.
    training : bool, default True
        Whether dropout drops and batch normalization takes the batch's statistics.
    mask : array_like of bool, optional
        (batch, time), True at a real step; of a loss, True where a value counts. For several inputs
        a tuple with one, or None, for each.
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
    Exception
        What the subject raises at the point that was given. What it raises at others is reported
        under `skipped`, or is a step that has left the function's domain.

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
    who = "gradcheck()"
    seed = checks.integer(seed, who, "seed", least=0)
    training = checks.flag(training, who, "training")
    if tol is not None and not (checks.is_real(tol) and tol > 0):
        raise ValueError(f"tol must be a positive share of the gradient's size, got {tol!r}")
    if time_limit is not None and not (checks.is_real(time_limit) and time_limit > 0):
        raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}")
    if values == "auto":
        values = "own" if is_model(subject) else "random"
    # a key of its own: whoever draws x from default_rng(seed) would get x again for v
    sequence = np.random.SeedSequence(seed, spawn_key=(1,))
    # a step may leave a function's domain; what comes out of it then is not used
    with random.own_seeds(sequence.spawn(1)[0]), np.errstate(all="ignore"):
        rng = np.random.default_rng(sequence)
        deadline = None if time_limit is None else time.monotonic() + time_limit
        placed = partial(
            prepared, subject, x, y, rng, training=training, mask=mask, deadline=deadline
        )
        options = {"lattice": lattice, "full": full, "complex_step": complex_step}
        values, probe, entries, skipped, compare = where_accepted(placed, values, rng, options)
    probe.passes.deadline = None  # the report may look closer
    return Report(
        subject=repr(subject),
        entries=entries if tol is None else [loosened(e, tol) for e in entries],
        skipped=skipped,
        evaluations=probe.passes.forward,
        reversals=probe.passes.backward,
        shared=compare.rounding.spent if compare else 0,
        noise=compare.rounding.sigma if compare else 0.0,
        seed=seed,
        tol=tol,
        values=values,
        check=compare,
    )


def where_accepted(
    placed: Callable[..., tuple[Probe, Point]],
    values: str,
    rng: np.random.Generator,
    options: dict[str, bool],
) -> tuple[str, Probe, list[Entry], list[str], Comparison | None]:
    """What is found at the values that were asked for; where a subject refuses numbers that nobody
    gave it, at those that it was given. Errors there are the user's."""
    passed_by: list[str] = []
    rounded = True
    while True:
        probe, point = placed(values=values, rounded=rounded)
        try:
            entries, skipped, compare = certify(probe, point, values, rng, **options)
        except Refused as error:
            infinite = isinstance(error, NotFinite)  # at numbers as float32 rounds them
            drawn = values == "random" and bool(probe.parameters) and not infinite
            what = "random values of parameters" if drawn else "numbers as float32 rounds them"
            passed_by.append(f"{what}: the subject {error} there")
            values, rounded = ("own", rounded) if drawn else (values, False)
        else:
            return values, probe, entries, [*passed_by, *skipped], compare


def certify(
    probe: Probe,
    point: Point,
    values: str,
    rng: np.random.Generator,
    *,
    lattice: bool,
    full: bool,
    complex_step: bool,
) -> tuple[list[Entry], list[str], Comparison | None]:
    """Every entry, what was not checked and why, and what was measured; out of time, what there
    is by then."""
    slots, entries, skipped = probe.slots, [], not_checked(probe)
    compare: Comparison | None = None
    try:
        run = probe.run(point)
        skipped += [
            f"{what}: held constant, as backward says it is" for what in probe.called_constant()
        ]
        here = measured(probe, run, probe.weights(run, rng), rng)
        if probe.rounded and not here.finite:
            raise NotFinite
        rounding = Rounding(here)
        compare = Comparison(here, rounding)

        for i in range(len(slots)):
            if not rounding.trouble:
                entries.append(verdict_on(i, compare))
        if rounding.trouble:
            entries = [undecided(s.name, s.shape, rounding.trouble) for s in slots]
            return entries, skipped, compare

        if complex_step:
            for i, entry in enumerate(entries):
                found = by_complex_step(i, entry, compare)
                if isinstance(found, str):
                    skipped.append(f"complex step of {entry.name}: {found}")
                else:
                    entries[i] = found
        if full:
            for i, entry in enumerate(entries):
                entries[i] = entry_by_entry(i, entry, compare)
        entries = rounding.doubted(entries) + as_in_training(compare)

        more, reasons = in_float32(entries, compare)
        entries, skipped = entries + more, skipped + reasons
        if lattice and not any(e.verdict == "fail" for e in entries):
            more, reasons = at_lattice_points(compare, values)
            entries, skipped = entries + more, skipped + reasons
    except OutOfTime:
        skipped.append("the time limit passed before everything was checked")
        entries += [undecided(s.name, s.shape, "the time limit") for s in slots[len(entries) :]]
    return entries, skipped, compare


def not_checked(probe: Probe) -> list[str]:
    """What has no gradient."""
    found = []
    for slot in probe.slots:
        if slot.still is not None:
            count = f"{int(slot.still.sum())} of {slot.size} numbers"
            found.append(f"{slot.name}: {count}, which stand for a mask")
    if probe.is_loss:
        found.append("y_true: a loss has no gradient for it")
    return found + [
        f"{name}: {what} have no gradient" for name, what in probe.without_slope.items()
    ]
