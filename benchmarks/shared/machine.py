"""The machine and the libraries that a benchmark ran on, and how its environment is made even."""

from __future__ import annotations

import multiprocessing
import os
import platform
from collections.abc import Iterable

HOLD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def unset_blas_limits() -> None:
    """Call it before NumPy is imported: these variables hold a current OpenBLAS to an older
    kernel. The processes that a script starts, which import it again, keep what it has set since.
    """
    if multiprocessing.current_process().name != "MainProcess":
        return
    for name in HOLD_BACK:
        os.environ.pop(name, None)


def limit_threads(threads: int) -> None:
    """Call it before any library is imported: this process and its children use that many threads
    on as many cores, whatever each library would choose by itself."""
    for name in THREADS:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # Linux: libraries without an option count these cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def processor() -> str:
    """The processor's name, where the system tells it."""
    from backprop import environment  # which loads NumPy, before which threads are limited

    return environment.processor()


def blas() -> str:
    """The BLAS that NumPy has loaded, the kernel it runs and its threads.

    SciPy's wheel brings a BLAS of its own; NumPy's is the one in its folder, or the only one.
    """
    import numpy  # noqa: F401 - loads the BLAS that is asked for
    from threadpoolctl import threadpool_info

    found = [i for i in threadpool_info() if i["user_api"] == "blas"]
    found.sort(key=lambda i: "numpy" not in i["filepath"])
    if not found:
        return "an unknown BLAS"
    i = found[0]
    return (
        f"{i['internal_api']} {i['version']} with its {i.get('architecture')} kernel, "
        f"{i['num_threads']} threads"
    )


def version(distribution: str) -> str:
    from backprop import environment

    return environment.version(distribution)


def describe(distributions: Iterable[str] = ()) -> dict[str, str]:
    """Processor, system, Python, BLAS and versions."""
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "blas": blas(),
        **{name: version(name) for name in distributions},
    }
