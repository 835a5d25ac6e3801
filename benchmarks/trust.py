"""How far the laws and the gradient check can be trusted: what they find, and what they accuse.

    python benchmarks/trust.py [--profile default] [--seed 0] [--jobs 1] [--parts bank cases]
    python benchmarks/trust.py --parts layers --seeds 20 --jobs 2

    bank       mistakes of `backprop.testing.bugs`: caught by the laws, by `gradcheck` alone
    held-out   mistakes that no law was made for (tests/testing/held_out.py), and those that
               were to get past the laws (tests/testing/held_out_again)
    right      the layers without them, which are to keep all laws
    layers     every layer and loss of the library, which are to keep all laws, from several seeds
               (--seeds, from --seed on)
    cases      functions, layers, losses and models that are right, at numbers that are unusual
               (tests/gradcheck/unusual_cases.py and hard_cases.py): accused, undecided

A mistake counts as caught if it breaks a law; what is right is accused if it does, or if
`gradcheck` says "fail" or raises. Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # the checkout; and no module is to be mistaken for this file
sys.path.append(str(ROOT / "tests"))

import numpy as np  # noqa: E402 - the paths come first
from gradcheck import hard_cases, unusual_cases  # noqa: E402
from testing.held_out import AUTHORS, Author  # noqa: E402
from testing.held_out_again import AUTHORS as AGAIN  # noqa: E402
from testing.own_layers import TABLE  # noqa: E402

from backprop.gradcheck import gradcheck  # noqa: E402
from backprop.testing import PROFILES, check_layer, selftest  # noqa: E402
from backprop.testing.bugs import BANK  # noqa: E402

Options = argparse.Namespace


def of_bank(name: str, options: Options) -> tuple[bool, bool]:
    """Whether the laws, and `gradcheck` alone, find a mistake of the bank."""
    found = selftest.examine(name, options.profile, seed=options.seed)
    return found.good, found.caught_alone


def of_right_layer(name: str, options: Options) -> bool:
    """Whether a layer of the bank keeps the laws without its mistake, or with what is none."""
    bug = selftest.find(name)
    return selftest.examine(name, options.profile, correct=bug.to_be_found, seed=options.seed).good


def broken(author: Author, cls: type, options: Options) -> list[str]:
    """The laws that a class of an author breaks."""
    report = author.report(cls, profile=options.profile, seed=options.seed)
    return [result.law for result in report.results if result.outcome == "broken"]


def of_author(place: tuple[str, int], options: Options) -> tuple[list[str], list[str]]:
    """Of an author of a set: mistakes that are missed, and laws that the right class breaks."""
    name, k = place
    author = SETS[name][k]
    missed = [cls.__name__ for cls in author.mistakes if not broken(author, cls, options)]
    return missed, broken(author, author.right, options)


def of_row(place: tuple[str, int, int], options: Options) -> list[str]:
    """The laws that a layer of the library breaks from one seed."""
    name, number, seed = place
    row = dict(TABLE[name][number])
    report = check_layer(row.pop("layer"), **row, profile=options.profile, seed=seed)
    return [result.law for result in report.results if result.outcome == "broken"]


def of_cases(kind: str, options: Options) -> list[tuple[str, str]]:
    """(name, verdict) of all cases of a kind."""
    found = []
    for case in islice(KINDS[kind](), 0, None, options.every):
        try:
            report = gradcheck(case.make(), case.x, **{"seed": options.seed} | case.options)
            found.append((case.name, str(report.verdict)))
        except Exception as error:  # which a check of what is right may not raise
            found.append((case.name, f"raises {type(error).__name__}"))
    return found


SETS = {"held out": AUTHORS, "held out again": AGAIN}
KINDS: dict[str, Callable[[], Iterator[Any]]] = {
    "numbers": unusual_cases.functions,
    "matrices": unusual_cases.matrices,
    "layers": lambda: unusual_cases.shipped(every=1),
    "losses": unusual_cases.losses,
    "models": unusual_cases.models,
    **hard_cases.KINDS,
}


# ------------------------------------------------------------------------------------ the report


def bank(each: Callable, options: Options) -> None:
    wrong = [bug.name for bug in BANK if bug.to_be_found][:: options.every]
    found = list(each(of_bank, wrong))
    laws, alone = (sum(column) for column in zip(*found, strict=True))
    print(f"bank: {len(wrong)} mistakes; {laws} break a law, {alone} fail gradcheck at one input")
    show("missed", [name for name, (caught, _) in zip(wrong, found, strict=True) if not caught])


def held_out(each: Callable, options: Options) -> None:
    for name, what in (("held out", "layers"), ("held out again", "layers and objects")):
        some = range(0, len(SETS[name]), options.every)
        authors = [SETS[name][k] for k in some]
        found = list(each(of_author, [(name, k) for k in some]))
        total = sum(len(author.mistakes) for author in authors)
        missed = [mistake for those, _ in found for mistake in those]
        caught = total - len(missed)
        print(f"{name}: {total} mistakes in {len(authors)} {what}; {caught} break a law")
        show("missed", missed)
        accused = [a.right.__name__ for a, (_, laws) in zip(authors, found, strict=True) if laws]
        print(f"{' ' * len(name)}  {len(accused)} of the {len(authors)} are accused where right")
        show("accused", accused)


def right(each: Callable, options: Options) -> None:
    names = [bug.name for bug in BANK][:: options.every]
    kept = list(each(of_right_layer, names))
    accused = len(names) - sum(kept)
    print(f"right: {len(names)} layers of the bank without their mistakes; {accused} accused")
    show("accused", [name for name, good in zip(names, kept, strict=True) if not good])


def layers(each: Callable, options: Options) -> None:
    rows = [(name, k) for name, those in TABLE.items() for k in range(len(those))]
    rows = rows[:: options.every]
    for seed in range(options.seed, options.seed + options.seeds):
        accused = 0
        found = each(of_row, [(*row, seed) for row in rows])
        for (name, k), laws in zip(rows, found, strict=True):
            if laws:  # said at once: a seed takes some twenty minutes
                accused += 1
                show("accused", [f"{name} {k}: {', '.join(laws)}"])
        print(f"layers: {len(rows)} rows from seed {seed}; {accused} accused", flush=True)


def cases(each: Callable, options: Options) -> None:
    found = [one for those in each(of_cases, list(KINDS)) for one in those]
    undecided = sum(verdict == "inconclusive" for _, verdict in found)
    accused = [f"{name}: {v}" for name, v in found if v not in ("pass", "inconclusive")]
    share = 100 * undecided / len(found)
    print(
        f"cases: {len(found)} that are right and unusual; {len(accused)} fail or raise, "
        f"{undecided} are undecided ({share:.1f} %)"
    )
    show("accused", accused)


def show(what: str, names: Iterable[str]) -> None:
    for name in names:
        print(f"    {what}: {name}", flush=True)


PARTS = {"bank": bank, "held-out": held_out, "right": right, "layers": layers, "cases": cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--profile", choices=list(PROFILES), default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="of the part `layers`")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--quick", action="store_true", help="a few of each: does it run?")
    options = parser.parse_args()
    options.every = 1
    if options.quick:
        options.every, options.profile = 150, "quick"
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    with ProcessPoolExecutor(options.jobs) as pool:

        def each(work: Callable, items: Any) -> Iterator[Any]:
            return pool.map(work, items, [options] * len(items))

        for part in options.parts:
            began = time.perf_counter()
            PARTS[part](each, options)
            print(f"    {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
