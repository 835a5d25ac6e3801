"""Compare everything on many draws, and write the tables into docs/beside_keras.md.

PYTHONPATH=.:tests python -m differential --few takes as few draws as the tests.
"""

import sys

from hypothesis import settings

from differential.families import FAMILIES
from differential.harness import Record
from differential.table import PAGE, written


def main() -> None:
    settings.register_profile("table", derandomize=True)
    settings.load_profile("table")
    record, failed = Record(), []
    for family in FAMILIES:
        for name in sorted(family.compare):
            try:
                family.run(name, record, many="--few" not in sys.argv)
            except Exception as error:
                failed.append(f"{family.title}, {name}: {error}\n{getattr(error, '__notes__', '')}")
                print(failed[-1], flush=True)
        print(family.title, flush=True)
    if failed:
        sys.exit(f"{len(failed)} differ: nothing is written")
    PAGE.write_text(written(PAGE.read_text(), FAMILIES, record))


if __name__ == "__main__":
    main()
