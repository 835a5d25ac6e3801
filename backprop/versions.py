"""What a report of a problem needs: versions, the processor, the BLAS, and which kernels run."""

from __future__ import annotations

import importlib
import os
import platform
from importlib import util

from backprop import __version__
from backprop.environment import instructions, processor, version
from backprop.kernels.switch import SWITCH, VARIABLE, from_environment
from backprop.parallel import blas

# what it needs, then what its extras bring
DISTRIBUTIONS = (
    *("numpy", "scipy", "threadpoolctl"),
    *("numba", "llvmlite", "h5py", "pyarrow", "matplotlib", "pillow"),
    *("tensorboardX", "mpi4py", "starlette", "uvicorn"),
)
MISSING = 'not installed: pip install "backprop[fast]"'


def show_versions() -> None:
    """Print what a report of a problem needs.

    Versions of backprop, Python and what it is built on; the processor and its instructions; each
    BLAS with the kernel that it runs; how many threads there are; which form of the kernels runs
    and why, and where compiled ones are kept.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.show_versions()
    backprop       ...
    Python         3...
    numpy          ...
    kernels        ...
    """
    for name, found in versions().items():
        print(f"{name:14} {found}")


def versions() -> dict[str, str]:
    """What `show_versions` prints, by name."""
    found = {"backprop": __version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in DISTRIBUTIONS}
    found["system"] = f"{platform.system()} {platform.release()}, {platform.machine()}"
    found["processor"] = f"{processor()}, {cores()}, {instructions()}"
    for i, one in enumerate(libraries()):
        found["BLAS" if i == 0 else f"BLAS {i + 1}"] = one
    found["threads"] = str(blas().threads)
    found["environment"] = variables()
    found["kernels"] = kernels()
    if SWITCH.runs == "numba":
        found["compiled"] = compiled()
    return found


def cores() -> str:
    """As many as the process may run on."""
    allowed = getattr(os, "sched_getaffinity", None)
    count = len(allowed(0)) if allowed else os.cpu_count() or 1
    return "1 core" if count == 1 else f"{count} cores"


def libraries() -> list[str]:
    """Each BLAS that is loaded: SciPy brings one beside NumPy's."""
    from threadpoolctl import threadpool_info

    importlib.import_module("scipy.linalg")
    found = [one for one in threadpool_info() if one["user_api"] == "blas"]
    found.sort(key=lambda one: "numpy" not in one["filepath"])
    return [
        f"{one['internal_api']} {one['version']}, {one.get('architecture', 'unknown')} kernel, "
        f"{one['num_threads']} threads, {one['filepath']}"
        for one in found
    ]


def variables() -> str:
    """The variables that say how products are made, and by how many threads."""
    marks = "OPENBLAS_", "OMP_", "MKL_", "BLIS_", "VECLIB_", "NUMBA_", "BACKPROP_"
    found = [f"{name}={value}" for name, value in sorted(os.environ.items())]
    return " ".join(one for one in found if one.startswith(marks)) or "says nothing about threads"


def kernels() -> str:
    """Which form runs, and why."""
    try:
        runs = SWITCH.found()
    except Exception as error:  # Numba is asked for and missing or broken, or it is another word
        return f"none: by {VARIABLE}={from_environment()}: {type(error).__name__}: {error}"
    if SWITCH.failed:
        return f"numpy: Numba does not work here: {SWITCH.failed}"
    if SWITCH.asked in ("numba", "numpy"):
        return f"{runs}: by set_kernels({SWITCH.asked!r})"
    asked = "auto" if SWITCH.asked else from_environment()
    if asked != "auto":
        return f"{runs}: by {VARIABLE}={asked}"
    return f"{runs}: Numba is {'installed' if util.find_spec('numba') else MISSING}"


def compiled() -> str:
    """Where compiled loops are kept, and how much is there."""
    place = importlib.import_module("backprop.kernels.compiled.cache").folder()
    files = list(place.glob("*.nbc")) if place.is_dir() else []
    size = sum(file.stat().st_size for file in files) / 1e6
    return f"{place}, {len(files)} forms of loops, {size:.1f} MB"
