"""What a library costs beside the time of a step: memory, disk, and waiting for the first step.

    python benchmarks/footprint.py [--rows mlp-mnist cnn-cifar] [--peers backprop torch ...]
                                   [--quick] [--json FILE]

Each number is of a fresh interpreter of its own:

    import       seconds until NumPy and the library are imported, with the part that trains
    first step   seconds from the same start until one step of mlp-digits is done
    installed    MB of the files of the library's distribution and of what it requires
    own          MB of resident memory when it is imported, before it has built anything

and, for each row, after some steps of training:

    peak         the process' largest resident memory, in MB, also over that of the loop by hand
    training     what the row has added at its largest: weights, optimizer, batches, and what a step
                 makes; the pages of the library's files, which are read as they are needed, do not
                 count. Also over PyTorch's.

Where Numba is installed, also what compiling costs: the first step of a row with an empty folder
of compiled loops, with a full one, and without Numba; the size of that folder, and the import of
Numba. And what `backprop warmup` takes for all loops, how many forms these have, and their size
(not with --quick, as it is a minute and a half).

`by-hand` is a loop of NumPy calls that does a perceptron's arithmetic with nothing in between: one
vector of values, one of gradients, two of Adam's means (SGD: one of velocities), one to work in.
PyTorch trains with its default form of the optimizer.
"""

from __future__ import annotations

import time

START = time.perf_counter()  # before NumPy, which the modules below import

import argparse  # noqa: E402 - the clock comes first, here and in all that follows
import importlib.util  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from importlib import metadata  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from shared.machine import limit_threads, processor, unset_blas_limits, version  # noqa: E402

unset_blas_limits()

from shared.peers import OURS, PEERS, PLAIN, NotOffered, peers_for  # noqa: E402 - the environment comes first
from shared.rows import ROWS  # noqa: E402

FIRST = "mlp-digits"
MEMORY = ["mlp-mnist", "mlp-large", "cnn-mnist", "cnn-cifar"]  # rows whose memory is shown


def memory() -> dict[str, float]:
    """MB that this process holds, and has held at most; on Linux also how much of it is no file's.

    What getrusage tells includes the parent's at the time of the fork.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"peak": found / (1024 * 1024 if sys.platform == "darwin" else 1024)}
    names = {"VmRSS": "now", "VmHWM": "peak", "RssFile": "files"}
    fields = (line.split() for line in lines)
    return {names[f[0][:-1]]: int(f[1]) / 1024 for f in fields if f[0][:-1] in names}


def child(name: str, row: str, steps: int) -> None:
    """Train, and print what it took as JSON. `main` runs this in an interpreter of its own."""
    import warnings

    warnings.simplefilter("ignore")
    PEERS[name].prepare()
    try:
        variants = PEERS[name].variants(ROWS[row])
    except NotOffered as why:
        print(json.dumps({"absent": str(why)}))
        return
    imported, before = time.perf_counter() - START, memory()
    variant = next(iter(variants.values()))()
    variant.run(1)
    first = time.perf_counter() - START
    if steps > 1:
        variant.run(steps - 1)
    after = memory()
    found = {"import": imported, "first": first, "peak": after["peak"]}
    if "files" in after:  # a file's pages stay, so that what was the most is without them the most
        found["own"] = before["now"]
        found["training"] = after["peak"] - after["files"] - (before["now"] - before["files"])
    print(json.dumps(found))


def run(name: str, row: str, steps: int, **environment: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, row, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"absent": lines[-1][:120]}
    return json.loads(done.stdout.splitlines()[-1])


def compiling(row: str, rounds: int) -> dict[str, float]:
    """Seconds from the start to the end of a row's first step, and MB of what was compiled."""
    times: dict[str, list[float]] = {"empty": [], "full": [], "none": []}
    size = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("empty", "full"):
                times[name].append(run(OURS, row, 1, NUMBA_CACHE_DIR=folder)["first"])
            files = (f for f in Path(folder).rglob("*") if f.is_file())
            size = sum(f.stat().st_size for f in files)
        times["none"].append(run(PLAIN, row, 1)["first"])
    return {name: statistics.median(found) for name, found in times.items()} | {"mb": size / 1e6}


def warmup() -> dict[str, float]:
    """Seconds, forms and MB of all loops, by `backprop warmup` with an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "backprop", "warmup"]
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    numbers = re.search(r"forms: (\d+).*?([\d.]+) s\n.*?: ([\d.]+) MB", done.stdout, re.DOTALL)
    assert numbers, done.stdout
    return dict(zip(("forms", "seconds", "mb"), map(float, numbers.groups()), strict=True))


def import_of_numba() -> float:
    """Seconds, behind NumPy's own."""
    code = (
        "import time, numpy; start = time.perf_counter(); import numba; "
        "print(time.perf_counter() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def report_compiling(options: argparse.Namespace) -> dict[str, Any]:
    """Print what compiling costs, where there is something to compile."""
    if importlib.util.find_spec("numba") is None:
        print("\nNumba is not installed: nothing is compiled")
        return {}
    seconds = statistics.median(import_of_numba() for _ in range(options.rounds))
    print(
        f"\nfirst step s; the import of Numba, which is in it where it runs, takes {seconds:.2f} s"
    )
    print(f"{'':18}{'empty folder':>14}{'full folder':>14}{'without Numba':>16}{'compiled MB':>14}")
    table: dict[str, Any] = {"import_of_numba_s": seconds}
    for row in dict.fromkeys([FIRST, *options.rows]):
        found = table[row] = compiling(row, options.rounds)
        print(
            f"{row:18}{found['empty']:14.2f}{found['full']:14.2f}{found['none']:16.2f}"
            f"{found['mb']:14.1f}"
        )
    if not options.quick:
        found = table["all"] = warmup()
        print(
            f"all loops: {found['forms']:.0f} forms, {found['seconds']:.1f} s, {found['mb']:.1f} MB"
        )
    return table


def requirements(distribution: str) -> set[str]:
    """A distribution and all it requires that is installed, extras left out."""
    found: set[str] = set()
    todo = [distribution]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # not needed on this system, or it could not have been imported
        if name in found:
            continue
        found.add(name)
        wanted = [r for r in required if "extra ==" not in r.replace("extra==", "extra ==")]
        todo += [re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0] for r in wanted]
    return found


def installed(distributions: tuple[str, ...]) -> float:
    """MB of the files that belong to the distributions and to what they require."""
    names = set().union(*(requirements(name) for name in distributions))
    total = 0
    for name in names:
        for file in metadata.files(name) or []:
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.is_file() else 0
    return total / 1e6


def own_size() -> float:
    """MB of this library, whether it is installed or runs from its repository, and of the
    distributions that it requires."""
    import backprop

    folder = Path(backprop.__file__).parent
    files = (f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return sum(f.stat().st_size for f in files) / 1e6 + installed(
        ("numpy", "scipy", "threadpoolctl")
    )


def size(name: str) -> float:
    return (
        own_size() if PEERS[name].arithmetic == "backprop" else installed(PEERS[name].distributions)
    )


def middle(found: list[dict[str, Any]], what: str) -> float:
    return statistics.median(f[what] for f in found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [name for name in peers_for("variants") if name != "torch.compile"]
    parser.add_argument("--rows", nargs="+", default=MEMORY, choices=ROWS)
    parser.add_argument("--peers", nargs="+", default=names, choices=peers_for("variants"))
    parser.add_argument("--rounds", type=int, default=5, help="interpreters of each side")
    parser.add_argument("--steps", type=int, default=20, help="of training, where memory is read")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one of each: does it run?")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, row, steps = options.child
        child(name, row, int(steps))
        return
    if options.quick:
        options.rounds, options.steps = 1, 2

    limit_threads(options.threads)
    peers = dict.fromkeys(["by-hand", OURS, *options.peers])
    starts: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    if not options.quick:
        for name in peers:
            run(name, FIRST, 1)  # fills the system's cache of files, and writes byte code
    for _ in range(options.rounds):
        for name, found in starts.items():
            if works(found):
                found.append(run(name, FIRST, 1))
    memory = {
        row: {name: [run(name, row, options.steps)] for name in peers if works(starts[name])}
        for row in options.rows
    }
    table = report(options, starts, memory)
    table["compiling"] = report_compiling(options)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(table, file, indent=1)


def works(found: list[dict[str, Any]]) -> bool:
    return all("absent" not in f for f in found)


def report(
    options: argparse.Namespace,
    starts: dict[str, list[dict[str, Any]]],
    memory: dict[str, dict[str, list[dict[str, Any]]]],
) -> dict[str, Any]:
    versions = dict.fromkeys(d for name in starts for d in PEERS[name].distributions)
    print(
        f"{processor()}, {options.threads} threads, Python {sys.version.split()[0]}, "
        + ", ".join(f"{d} {version(d)}" for d in versions)
    )
    print(f"medians of {options.rounds} fresh interpreters; memory after {options.steps} steps")
    print(f"{'':18}{'import s':>10}{'first step s':>14}{'installed MB':>14}{'own MB':>9}")
    table: dict[str, dict[str, Any]] = {}
    for name, found in starts.items():
        if not works(found):
            print(f"{name:18}  absent: {found[-1]['absent']}")
            table[name] = {"absent": found[-1]["absent"]}
            continue
        line = table[name] = {
            "import_s": middle(found, "import"),
            "first_step_s": middle(found, "first"),
            "installed_mb": size(name),
        }
        text = (
            f"{name:18}{line['import_s']:10.2f}{line['first_step_s']:14.2f}"
            f"{line['installed_mb']:14.0f}"
        )
        if "own" in found[0]:
            line["own_mb"] = middle(found, "own")
            text += f"{line['own_mb']:9.0f}"
        print(text)
    for row, sides in memory.items():
        print(f"\n{row:18}{'peak MB':>10}{'by hand':>11}{'training MB':>14}{'torch':>11}")
        for name, found in sides.items():
            if not works(found):
                print(f"{name:18}  absent: {found[-1]['absent']}")
                continue
            line = table[name][row] = {}
            text = f"{name:18}"
            for what, other, width in (("peak", "by-hand", 10), ("training", "torch", 14)):
                if what in found[0]:
                    line[what] = middle(found, what)
                    text += f"{line[what]:{width}.0f}"
                    than = sides.get(other, [{}])[0].get(what)
                    text += f"{f'({line[what] / than:.2f}x)' if than else '':>11}"
            print(text)
    return table


if __name__ == "__main__":
    main()
