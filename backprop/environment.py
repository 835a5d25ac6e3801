"""What decides the last digits of a run beside its arguments: the machine, NumPy, BLAS, threads.

A product is a sum, and the kernel that BLAS has chosen for the processor says in which order; so
do the number of its threads, and whether loops are compiled.
"""

from __future__ import annotations

import platform
import reprlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from backprop.kernels.switch import SWITCH
from backprop.parallel import blas
from backprop.spelling import printable


def environment() -> dict[str, str]:
    """What runs are saved with: as much as must agree for the same bits.

    Examples
    --------
    >>> from backprop.environment import environment
    >>> [*environment()][-2:]
    ['kernels', 'threads']
    """
    runs = SWITCH.found()
    kernels = f"Numba {version('numba')}" if runs == "numba" else "NumPy's"
    return {**built(), "kernels": kernels, "threads": str(blas().threads)}


@cache
def built() -> dict[str, str]:
    """The part that a process cannot change."""
    config = np.show_config(mode="dicts")
    compiler = config["Compilers"]["c"]
    return {
        "backprop": version("backprop"),
        "processor": f"{processor()}, {instructions()}",
        "NumPy": np.__version__,
        "build of NumPy": f"{compiler['name']} {compiler['version']}",
        "SciPy": version("scipy"),
        "BLAS": ", ".join(blas().kernels) or config["Build Dependencies"]["blas"]["name"],
    }


def changes(saved: Any, now: Mapping[str, str]) -> list[str]:
    """What of an environment that a file holds is another now; a file of before it was kept has
    None.

    Raises
    ------
    ValueError
        It is no environment.
    """
    if saved is None:
        return []
    if not isinstance(saved, Mapping) or not all(isinstance(v, str) for v in saved.values()):
        raise ValueError(f"its environment is {reprlib.repr(saved)}")
    return [
        f"{name}: {printable(reprlib.repr(saved[name]))} then, {now[name]!r} now"
        for name in now
        if name in saved and saved[name] != now[name]
    ]


def version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def instructions() -> str:
    """The newest class of instructions that NumPy finds: what a matrix product takes depends on
    it."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    found = [*extensions.get("baseline", ()), *extensions.get("found", ())]
    for name, marks in CLASSES.items():
        if any(one.startswith(marks) for one in found):
            return name
    return ", ".join(found[-1:]) or "no instructions for several numbers at once"


CLASSES = {"AVX-512": ("AVX512", "X86_V4"), "AVX2": ("AVX2", "X86_V3"), "SVE": ("SVE",)}
