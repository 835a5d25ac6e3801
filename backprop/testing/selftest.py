"""Which law finds which bug: the bank of planted mistakes against the checker and the laws.

    python -m backprop.testing.selftest                     everything; some minutes
    python -m backprop.testing.selftest --family pooling    one family
    python -m backprop.testing.selftest lstm-forgets-its-forget-gate

Each bug meets `gradcheck` at its own fixed input, then every law on drawn ones. The exit status is
1 if a mistake passes all the laws, or if one of them complains about what is right.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.gradcheck import gradcheck
from backprop.layer import Context
from backprop.testing import (
    PROFILES,
    arrays,
    axes,
    images,
    kit,
    label_sequences,
    pairs,
    sequences,
    shapes,
    tokens,
)
from backprop.testing.bugs import BANK, KINDS, Bug, find
from backprop.testing.case import Case, OfInputs
from backprop.testing.kit import LAWS
from backprop.testing.report import BROKEN, LawReport

PASS = "pass"


@dataclass(frozen=True)
class Finding:
    """What was found out about a bug.

    Attributes
    ----------
    name : str
        Of the bug.
    alone : str
        What `gradcheck` says at the bug's fixed input: "pass", "fail", "inconclusive", or the name
        of the error that was raised.
    laws : tuple of str
        Those that it breaks.
    seconds : float
    correct : bool
        Whether it was the layer without the mistake that was examined.
    """

    name: str
    alone: str
    laws: tuple[str, ...]
    seconds: float
    correct: bool = False

    @property
    def bug(self) -> Bug:
        return find(self.name)

    @property
    def caught_alone(self) -> bool:
        """Whether `gradcheck` found it; "inconclusive" finds nothing."""
        return self.alone not in (PASS, "inconclusive")

    @property
    def good(self) -> bool:
        """Whether the laws caught a mistake; or, if there is none, all passed."""
        if self.bug.to_be_found and not self.correct:
            return bool(self.laws)
        return self.alone == PASS and not self.laws


def alone(bug: Bug, correct: bool = False) -> str:
    """The verdict of `gradcheck` at the bug's fixed input."""
    x = bug.x()
    made = bug.make_correct() if correct else bug.make()
    if bug.y_true is not None:
        made = OfInputs(made, Case(lambda: made, x, y_true=bug.y_true()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(gradcheck(made, x).verdict).lower()
        except Exception as error:
            return type(error).__name__


def broken_laws(
    bug: Bug,
    profile: str | None = None,
    *,
    laws: Iterable[str] | None = None,
    first: bool = False,
    correct: bool = False,
    seed: int = 0,
) -> tuple[str, ...]:
    """The laws that a bug breaks; with `first`, the first one alone."""
    names = [law.__name__ for law in LAWS["v2"]] if laws is None else list(laws)
    names = [name for name in names if name not in bug.spared]
    found: list[str] = []
    for chosen in [[name] for name in names] if first else [names]:
        report = tried(bug, chosen, profile, correct, seed)
        found += [result.law for result in report.results if result.outcome == BROKEN]
        if first and found:
            break
    return tuple(found)


def tried(
    bug: Bug, laws: list[str], profile: str | None = None, correct: bool = False, seed: int = 0
) -> LawReport:
    """The report on some laws for a bug's layer, on inputs and configurations that suit it; what
    breaks a law is not shrunk."""

    def make(**config: Any) -> Any:
        return bug.make_correct(**config) if correct else bug.make(**config)

    plan = kit.understood(
        make,
        drawn_for(bug),
        configs={name: list(values) for name, values in bug.varies.items()} or None,
        reference=(ReferenceLoss if bug.is_loss else Reference)(bug) if bug.reference else None,
        tags=bug.tags,
        expected_failures=None,
        laws=laws,
        profile=profile,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow is found by what it leads to
        results = [kit.examine(law, plan, seed, shrink=False)[0] for law in plan.laws]
    return LawReport(plan.label, plan.version, plan.profile, results)


class Reference:
    """The forward pass of the layer without the mistake, with the values of the layer that has
    it, and what it leaves in the buffers."""

    def __init__(self, bug: Bug):
        self.bug = bug

    def __call__(self, x: Any, layer: Any, training: Any) -> Any:
        arguments = {name: getattr(layer, name) for name in self.bug.varies}
        correct = self.bug.make_correct(**arguments)
        correct.dtype = x.dtype if x.dtype.kind == "f" else layer.dtype
        correct.build((None, *x.shape[1:]))
        correct.set_weights(layer.get_weights())
        y, _ = correct.forward(x, Context(training))
        return y, {p.name: p.value for p in correct.arrays() if p.gradient is None}


class ReferenceLoss:
    """The value of the loss without the mistake."""

    def __init__(self, bug: Bug):
        self.bug = bug

    def __call__(self, y_true: Any, y_pred: Any, layer: Any, sample_weight: Any, mask: Any) -> Any:
        correct = self.bug.make_correct(**{name: getattr(layer, name) for name in self.bug.varies})
        return correct.forward(y_true, y_pred, sample_weight, mask)[0]


def drawn_for(bug: Bug) -> Any:
    """The strategy for a bug's inputs."""
    options = dict(bug.options)
    if bug.inputs == "rows":
        return shapes(1, 1, **options)
    if bug.inputs == "floats":
        return shapes(1, 3, **options)
    if bug.inputs == "wide":
        return arrays(shapes(1, 3, **options)).map(wide)
    if bug.inputs == "halves":
        return shapes(1, 3, **options).map(lambda shape: (*shape[:-1], 2 * shape[-1]))
    if bug.inputs == "images":
        return images(**options)
    if bug.inputs == "volumes":
        return shapes(4, 4, **options)
    if bug.inputs == "sequences":
        return sequences(**options)
    if bug.inputs == "holes":
        return sequences(features=(2, 3), kinds=("generic",)).map(with_a_hole)
    if bug.inputs == "exact":
        return pairs(*bug.pair, weighted=False, **options).map(exact)
    if bug.inputs == "tied":
        return pairs(*bug.pair, weighted=False, **options).map(tied)
    if bug.inputs == "labels":
        return label_sequences(**options)
    if bug.inputs == "two":
        return (axes("batch", "n", **options),) * 2
    if bug.inputs == "attended":
        return axes("batch", "t", "n"), axes("batch", "s", "k"), axes("batch", "s", "n")
    if bug.inputs == "tokens":
        return tokens(5, **options)
    return pairs(*bug.pair, **options)


def wide(x: np.ndarray) -> np.ndarray:
    return 8 * x


def with_a_hole(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[..., 0] = 0.3
    return x


def exact(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Targets of which every second one is what was predicted, on the lattice where kinks are."""
    y_true, y_pred = (np.round(2 * a) / 2 for a in pair)
    y_pred.reshape(-1)[::2] = y_true.reshape(-1)[::2]
    return y_true, y_pred


def tied(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of 0 and 1 alone, so that there are equals among any three."""
    y_true, y_pred = pair
    return y_true, (y_pred > 0).astype(y_pred.dtype)


def examine(name: str, profile: str | None = None, correct: bool = False, seed: int = 0) -> Finding:
    """Everything about one bug; with `correct`, about the same layer without it."""
    bug, began = find(name), time.perf_counter()
    verdict = alone(bug, correct)
    laws = broken_laws(bug, profile, correct=correct, seed=seed)
    return Finding(name, verdict, laws, time.perf_counter() - began, correct)


# -------------------------------------------------------------------------------- the table


def row(finding: Finding) -> str:
    bug = finding.bug
    expected = bug.to_be_found and not finding.correct
    mark = "" if finding.good else "  <-- " + ("SURVIVES" if expected else "FALSE ALARM")
    laws = ", ".join(finding.laws) or "-"
    kind = bug.kind if bug.to_be_found else "-"
    return f"{finding.name:62} {kind}  {finding.alone:12} {laws}{mark}"


def summary(findings: list[Finding]) -> str:
    """Counts by kind and by law, and who got away."""
    wrong = [f for f in findings if f.bug.to_be_found]
    right = [f for f in findings if not f.bug.to_be_found]
    layers = {f.bug.layer for f in wrong}
    lines = [
        "",
        f"{len(wrong)} mistakes in {len(layers)} layers and losses: "
        f"{sum(f.good for f in wrong)} caught by the laws, "
        f"{sum(f.caught_alone for f in wrong)} by gradcheck alone",
        f"{len(right)} that are right: {sum(f.good for f in right)} pass",
        "",
        "kind  by laws  by gradcheck alone",
    ]
    for kind, meaning in KINDS.items():
        those = [f for f in wrong if f.bug.kind == kind]
        if those:
            n = len(those)
            caught = f"{sum(f.good for f in those)}/{n}"
            checked = f"{sum(f.caught_alone for f in those)}/{n}"
            lines.append(f"{kind:4}  {caught:>8}  {checked:>18}  {meaning}")
    breaks = Counter(law for f in wrong for law in f.laws)
    only = Counter(f.laws[0] for f in wrong if len(f.laws) == 1)
    lines += ["", f"{'law':46} breaks it  alone"]
    for law in LAWS["v2"]:
        name = law.__name__
        lines.append(f"{name:46} {breaks[name]:9} {only[name]:6}")
    lost = [f.name for f in findings if not f.good]
    lines += ["", *(f"not as it should be: {name}" for name in lost)]
    lines.append(f"{sum(f.seconds for f in findings):.0f} s of work")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m backprop.testing.selftest", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", help="bugs; default: all")
    parser.add_argument("--family", choices=sorted({bug.family for bug in BANK}))
    parser.add_argument("--kinds", help="letters, such as VT", default="".join(KINDS))
    parser.add_argument("--profile", choices=list(PROFILES), default="default")
    parser.add_argument("--seed", type=int, default=0, help="of what the laws draw; default: 0")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--correct",
        action="store_true",
        help="the same layers without the mistakes: nothing may be found",
    )
    options = parser.parse_args(arguments)
    names = [
        bug.name
        for bug in ([find(name) for name in options.names] or BANK)
        if options.family in (None, bug.family) and bug.kind in options.kinds
    ]
    findings = []
    many = [[given] * len(names) for given in (options.profile, options.correct, options.seed)]
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            for finding in pool.map(examine, names, *many):
                findings.append(finding)
                print(row(finding), flush=True)
    else:
        for finding in map(examine, names, *many):
            findings.append(finding)
            print(row(finding), flush=True)
    if options.correct:
        alarms = sum(not f.good for f in findings)
        print(f"\n{len(findings)} layers without their mistake, {alarms} false alarms")
        return int(alarms > 0)
    print(summary(findings))
    return not all(f.good for f in findings)


if __name__ == "__main__":
    sys.exit(main())
