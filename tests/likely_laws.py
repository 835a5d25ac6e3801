"""Which law to try first on a mistake of the bank: any order finds the same, and one of forty takes
less time than all.

`python -m tests.likely_laws` writes down again which law finds what, into testing/finders.json; it
takes some minutes. What is out of date there costs time and hides nothing.
"""

import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from hypothesis import settings

from backprop.testing import selftest
from backprop.testing.bugs import bugs, find
from backprop.testing.plan import LAWS

NAMES = [law.__name__ for law in LAWS["v4"]]
FINDERS = Path(__file__).parent / "testing" / "finders.json"

# where a mistake of a kind is likely to show, what shows most and costs least first
LIKELY = {
    "P": ["extreme_input_gives_finite_results"],
    "C": ["gradients_match_finite_differences"],
    "L": [
        "agrees_with_the_reference",
        "rows_are_independent",
        "two_forwards_do_not_interfere",
        "inputs_are_untouched",
        "training_moves_buffers_alike",
        "memory_layout_does_not_matter",
        "parameters_stay_views",
        "params_only_backward_agrees",
        "backward_sets_and_can_be_repeated",
        "inference_is_deterministic",
        "kept_results_never_change",
        "survives_copy_pickle_config_and_save",
        "a_wrong_rank_or_width_raises_a_clear_error",
    ],
    "D": ["shape_and_dtype_are_as_declared", "float32_agrees_with_float64"],
}


@cache
def found_by():
    """The law that finds a mistake, by its name, where that is not the first that is likely."""
    return {name: law for law, names in json.loads(FINDERS.read_text()).items() for name in names}


def most_likely_first(bug):
    """The names of all laws; the one that is known to find the mistake before all others."""
    known = found_by().get(bug.name)
    return others_behind([known] if known else LIKELY.get(bug.kind, []))


def others_behind(likely):
    return [*likely, *(name for name in NAMES if name not in likely)]


def finder(name):
    """The law that finds a mistake, or None where nothing has to be known of it."""
    bug = find(name)
    if selftest.alone(bug) not in ("pass", "inconclusive"):
        return None
    laws = others_behind(LIKELY.get(bug.kind, []))
    found = selftest.broken_laws(bug, laws=laws, first=True)
    return found[0] if found and found[0] != laws[0] else None


def main():
    settings.register_profile("as in CI", max_examples=25, derandomize=True, database=None)
    settings.load_profile("as in CI")
    names = [bug.name for bug in bugs()]
    finders = defaultdict(list)
    with ProcessPoolExecutor() as pool:
        for name, law in zip(names, pool.map(finder, names), strict=True):
            if law is not None:
                finders[law].append(name)
    text = json.dumps({law: sorted(finders[law]) for law in sorted(finders)}, indent=1)
    FINDERS.write_text(text + "\n")


if __name__ == "__main__":
    main()
