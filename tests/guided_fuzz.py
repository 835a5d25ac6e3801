"""Hostile files that coverage leads: those that take a reader where no file has been before.

    pip install atheris
    python -m tests.guided_fuzz keras -runs=1000000

It takes the names of formats of `tests.hostile_files`, and libFuzzer's options. Half of the files
are edits of what a file says, with its checksums, half are damaged bytes. A failure ends the run,
with what is wrong, and leaves the file that shows it in the working directory.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import tracemalloc
from pathlib import Path


def main(kind: str, options: list[str]) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("this needs atheris: pip install atheris (Linux; up to Python 3.13 or so)")
    with atheris.instrument_imports(include=["backprop"]):  # before anything else imports them
        import backprop.cli
        import backprop.interop.keras_files  # noqa: F401
        from tests import hostile_files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of = hostile_files.formats(folder)[kind]
        real = of.path.read_bytes()
        corpus = folder / "corpus"
        corpus.mkdir()
        (corpus / "real").write_bytes(real)
        hostile_files.honest(kind, of) if of.sums and of.read(of.path) is not None else None
        signal.signal(signal.SIGVTALRM, hostile_files.too_long)
        tracemalloc.start()

        def read(data: bytes) -> None:
            found = hostile_files.reading(kind, of, data, True, folder)
            if found:
                raise AssertionError(f"{kind}: {found}")

        def mutated(data: bytes, most: int, seed: int) -> bytes:
            rng = random.Random(seed)
            if of.edit is not None and rng.random() < 0.5:
                try:
                    return of.edit(data, rng)[:most]
                except Exception:  # it is damaged too much to be edited
                    return of.edit(real, rng)[:most]
            return atheris.Mutate(data, most)

        longest = f"-max_len={3 * len(real)}"
        argv = [sys.argv[0], str(corpus), longest, "-print_final_stats=1", *options]
        atheris.Setup(argv, read, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
