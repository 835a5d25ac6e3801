"""What `import backprop` costs beside `import numpy`: CPU seconds in fresh interpreters.

    python benchmarks/import_time.py

The sides take turns, and the least of each counts: whatever else the machine does only adds. All
find their byte code in one fresh folder, as after the first run of an installed package.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
NUMPY, BACKPROP = "import numpy", "import backprop"


def seconds(statement: str, cache: str) -> float:
    """CPU seconds that one fresh interpreter spends on a statement."""
    command = [sys.executable, "-c", SCRIPT.format(statement)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = cache
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    return float(run.stdout)


def measure(statements: list[str], rounds: int = 10) -> list[float]:
    """The least CPU seconds for each statement."""
    with tempfile.TemporaryDirectory() as cache:
        for statement in statements:
            seconds(statement, cache)  # writes the byte code
        turns = [[seconds(s, cache) for s in statements] for _ in range(rounds)]
    return [min(times) for times in zip(*turns, strict=True)]


def main() -> None:
    import numpy

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="turns of each side")
    rounds = parser.parse_args().rounds
    statements = [NUMPY, BACKPROP, f"{BACKPROP}; backprop.Sequential"]
    times = measure(statements, rounds)
    version = f"Python {platform.python_version()}, NumPy {numpy.__version__}"
    print(f"{version}, least of {rounds} turns each")
    for statement, t in zip(statements, times, strict=True):
        print(f"{statement:40s} {1e3 * t:7.1f} ms  {t / times[0]:5.2f}x")


if __name__ == "__main__":
    main()
