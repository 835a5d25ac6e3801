"""Which law finds which bug: the bank of planted mistakes against the checker and the laws.

    python -m backprop.testing.selftest                     everything; some minutes
    python -m backprop.testing.selftest --family pooling    one family
    python -m backprop.testing.selftest lstm-forgets-its-forget-gate
    python -m backprop.testing.selftest --objects           what is no layer
    python -m backprop.testing.selftest --alarms --seeds 20     all that ships, without a mistake

Each bug meets `gradcheck` at its own fixed input, then every law on drawn ones. The exit status is
1 if a mistake passes all the laws, or if one of them complains about what is right.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backprop import testing
from backprop.gradcheck import gradcheck
from backprop.layer import Context
from backprop.testing import (
    PROFILES,
    arrays,
    axes,
    examining,
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
from backprop.testing.objects.bugs import MISTAKES, Mistake
from backprop.testing.plan import LAWS, understood
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
            # at lattice points there are grey colours, which have another slope in each direction
            report = gradcheck(made, x, lattice=bug.inputs != "photos")
            return str(report.verdict).lower()
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
    names = [law.__name__ for law in LAWS["v4"]] if laws is None else list(laws)
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

    plan = understood(
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
        results = [examining.examine(law, plan, seed, shrink=False)[0] for law in plan.laws]
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
    if bug.inputs == "photos":
        return images(channels=3, kinds=("generic",), **options).map(bright)
    if bug.inputs == "volumes":
        return shapes(4, 4, **options)
    if bug.inputs == "sequences":
        return sequences(**options)
    if bug.inputs == "padded":
        return sequences(masked=True, **options)
    if bug.inputs == "holes":
        return sequences(features=(2, 3), kinds=("generic",)).map(with_a_hole)
    if bug.inputs == "exact":
        return pairs(*bug.pair, weighted=False, **options).map(exact)
    if bug.inputs == "tied":
        return pairs(*bug.pair, weighted=False, **options).map(tied)
    if bug.inputs == "twofold":
        return pairs(*bug.pair, **options).map(twofold)
    if bug.inputs == "embedded":
        return pairs("labels", shape=shapes(1, 1, min_side=2, batch=(2, 5)), **options)
    if bug.inputs == "labels":
        return label_sequences(**options)
    if bug.inputs == "two":
        return (axes("batch", "n", **options),) * 2
    if bug.inputs == "attended":
        return axes("batch", "t", "n"), axes("batch", "s", "k"), axes("batch", "s", "n")
    if bug.inputs == "weighed":
        return axes("batch", "n", **options).map(categories), axes("batch", "n", **options)
    if bug.inputs == "tokens":
        return tokens(5, **options)
    if bug.inputs == "thousand":
        return tokens(1000, **options)
    if bug.inputs == "words":
        return tokens(300, shapes(1, 1, min_side=20, max_side=60), **options)
    return pairs(*bug.pair, **options)


def categories(shape: tuple[int, ...]) -> np.ndarray:
    """Integers below 4, with duplicates in most rows."""
    return np.arange(np.prod(shape)).reshape(shape) ** 2 % 4


def bright(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


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


def twofold(given: tuple) -> tuple:
    """Twice as many predictions as targets, along the last axis."""
    y_true, y_pred, *more = given
    return y_true, np.concatenate([y_pred, 0.3 - 0.7 * y_pred], -1), *more


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
    for law in LAWS["v4"]:
        name = law.__name__
        lines.append(f"{name:46} {breaks[name]:9} {only[name]:6}")
    lost = [f.name for f in findings if not f.good]
    lines += ["", *(f"not as it should be: {name}" for name in lost)]
    lines.append(f"{sum(f.seconds for f in findings):.0f} s of work")
    return "\n".join(lines)


def of_objects(profile: str | None = None, seed: int = 0) -> int:
    """Which law finds which of the mistakes in regularizers, metrics and the like."""
    lost = 0
    for mistake in MISTAKES:
        laws = laws_that_find(mistake, profile, seed)
        lost += not laws
        found = ", ".join(laws) or "-  <-- SURVIVES"
        print(f"{mistake.name:45} {mistake.kind:12} {found}", flush=True)
    print(f"\n{len(MISTAKES)} mistakes: {len(MISTAKES) - lost} caught by the laws")
    return int(lost > 0)


def laws_that_find(
    mistake: Mistake, profile: str | None = None, seed: int = 0, laws: str | None = None
) -> tuple[str, ...]:
    """The laws that a mistake in what is no layer breaks: of all of them, or of these."""
    check = getattr(testing, f"check_{mistake.kind}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = dict(mistake.options) | ({} if laws is None else {"laws": laws})
        report = check(mistake.make, profile=profile, seed=seed, **given)
    return tuple(result.law for result in report.results if result.outcome == BROKEN)


def shipped_alarms(options: argparse.Namespace) -> int:
    """Put what ships to the laws, by seed, and print each that is broken; 1 if there is one."""
    rows = [
        (f"{name} {number}" if number else name, row)
        for name, those in table_of(options.table).items()
        for number, row in enumerate(those)
        if options.names in ([], [name])
    ]
    part, parts = map(int, options.part.split("/"))
    runs = cases = broken = undecided = 0
    for name, row in rows[part - 1 :: parts]:
        for seed in range(options.seed, options.seed + options.seeds):
            given = row | {"profile": options.profile}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = kit.check_layer(given.pop("layer"), **given, seed=seed)
            runs, cases = runs + 1, cases + report.counts["cases"]
            undecided += report.counts["undecided"]
            broken += len(report.failures)
            for failure in report.failures:
                print(f"{name}, seed {seed}: {failure.reason}\n", flush=True)
    print(
        f"{len(rows[part - 1 :: parts])} rows, {options.seeds} seeds, {options.profile}: {cases} "
        f"cases, {undecided} undecided, {broken} false alarms"
    )
    return int(broken > 0)


def table_of(path: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a file, by the class that they are of; it may import what lies beside it, and
    in the folder above."""
    place = Path(path).resolve()
    if not place.is_file():
        raise SystemExit(f"there is no {path}: run this in the repository, or give --table")
    sys.path[:0] = [str(place.parent), str(place.parent.parent)]
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None and spec.loader is not None
    module = sys.modules[place.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLE


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
    parser.add_argument(
        "--objects", action="store_true", help="mistakes in what is no layer, such as optimizers"
    )
    parser.add_argument(
        "--alarms",
        action="store_true",
        help="all layers and losses that ship, by a table of rows for layer_laws: nothing may be "
        "found",
    )
    parser.add_argument("--seeds", type=int, default=1, help="of --alarms: from --seed on")
    parser.add_argument(
        "--table",
        default="tests/testing/own_layers.py",
        help="of --alarms: a file with a TABLE of rows; default: %(default)s",
    )
    parser.add_argument("--part", default="1/1", help="of --alarms: a share of the rows, as 2/8")
    options = parser.parse_args(arguments)
    if options.alarms:
        return shipped_alarms(options)
    if options.objects:
        return of_objects(options.profile, options.seed)
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
