"""Which form of a kernel runs, and what happens where Numba is missing, broken or cannot write."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from side_by_side import loop_of

import backprop as bp
from backprop import kernels
from backprop.kernels import switch, updates

ROOT = Path(kernels.__path__[0]).parents[1]
FILES = [
    m.name for m in pkgutil.iter_modules(kernels.__path__) if m.name not in ("switch", "compiled")
]
KERNELS = [
    (file, name)
    for file in FILES
    for name, value in vars(importlib.import_module(f"backprop.kernels.{file}")).items()
    if inspect.isfunction(value)
    and hasattr(value, "__wrapped__")
    and value.__module__.endswith(file)
]


@pytest.mark.parametrize(("file", "name"), KERNELS)
def test_a_kernel_has_a_loop_with_the_same_arguments(file, name):
    pytest.importorskip("numba")
    twin = getattr(importlib.import_module(f"backprop.kernels.{file}"), name)
    loop = getattr(importlib.import_module(f"backprop.kernels.compiled.{file}"), name)
    names = list(inspect.signature(loop.dispatcher.py_func).parameters)
    taken = inspect.signature(twin).parameters.values()
    told = [p.name for p in taken if p.kind is not p.VAR_POSITIONAL]

    # a twin for any number of axes has *place, where the loop names those of its own
    assert names == told or (len(told) < len(taken) and names[: len(told)] == told)
    assert len(loop.kinds) == len(names)
    assert twin.__doc__


@pytest.mark.parametrize("file", FILES)
def test_a_loop_has_a_kernel(file):
    pytest.importorskip("numba")
    from backprop.kernels.compiled.compiler import Loop

    module = importlib.import_module(f"backprop.kernels.compiled.{file}")
    loops = {name for name, value in vars(module).items() if isinstance(value, Loop)}

    assert loops == {name for f, name in KERNELS if f == file}


def imported_from(file):
    tree = ast.parse(file.read_text())
    return {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


@pytest.mark.parametrize("file", FILES)
def test_a_loop_calls_what_its_digest_covers(file):
    pytest.importorskip("numba")
    path = Path(kernels.__path__[0]) / "compiled" / f"{file}.py"
    own = {m for m in imported_from(path) if m.startswith("backprop")}

    cache = importlib.import_module(f"{switch.COMPILED}.cache")
    assert own <= {f"{switch.COMPILED}.{name}" for name in cache.SHARED}


# ------------------------------------------------------------------------------- the switch

ADAM = "import numpy as np; from backprop.kernels.updates import NOTHING, adam; n = np.zeros; " + (
    "f = np.float32; w, g, m, v, t = (n(3, f) for _ in range(5)); "
    "adam(w, g, m, v, None, t, 0.9, 0.999, 1e-7, 1e-3, *NOTHING); "
)


def without_choice(**environment):
    """The environment, where nobody has chosen a form."""
    return {k: v for k, v in os.environ.items() if k != switch.VARIABLE} | environment


def run(code, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=without_choice(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("word", ["fast", "NUMBA"])
def test_another_word_is_an_error(word, monkeypatch, chosen):
    with pytest.raises(
        ValueError, match=r"set_kernels\(\) expects one of 'auto', 'numba', 'numpy'"
    ):
        bp.config.set_kernels(word)
    monkeypatch.setenv(switch.VARIABLE, word)
    switch.SWITCH.use(None)
    with pytest.raises(ValueError, match="BACKPROP_KERNELS expects one of"):
        bp.config.kernels()


def test_an_empty_variable_says_nothing(monkeypatch, chosen):
    monkeypatch.setenv(switch.VARIABLE, "")
    switch.SWITCH.use(None)

    assert bp.config.kernels() in ("numba", "numpy")


def test_the_form_may_change_at_any_time(chosen):
    pytest.importorskip("numba")
    for word in ("numpy", "numba", "numpy", "numba", "auto"):
        bp.config.set_kernels(word)
        assert bp.config.kernels() == ("numba" if word == "auto" else word)
        w, g, m, v, t = (np.ones(3) for _ in range(5))
        updates.adam(w, g, m, v, None, t, 0.9, 0.999, 1e-7, 1e-3, *updates.NOTHING)
        assert (t == 1).all() == (word != "numpy")  # what the loop needs no room for


def test_the_environment_chooses():
    show = "import backprop as bp; print(bp.config.kernels())"

    assert run(show, BACKPROP_KERNELS="numpy")[0] == "numpy"
    code = ADAM + "import sys; print('numba' in sys.modules)"
    assert run(code, BACKPROP_KERNELS="numpy")[0] == "False"


def test_numba_is_imported_at_the_first_call():
    pytest.importorskip("numba")
    first = "import sys, backprop as bp; m = bp.Sequential([bp.Input((2,)), bp.layers.Dense(2)]); "
    code = first + "print('numba' in sys.modules); " + ADAM + "print('numba' in sys.modules)"

    assert run(code)[0].split() == ["False", "True"]


MISSING = "import sys; sys.modules['numba'] = None; "


def test_without_numba_numpy_runs():
    out, err = run(MISSING + ADAM + "import backprop as bp; print(bp.config.kernels())")

    assert (out, err) == ("numpy", "")


def test_numba_that_is_asked_for_must_be_there():
    code = MISSING + "import backprop as bp\ntry:\n bp.config.set_kernels('numba')\n"
    code += "except ImportError as error: print(error)\nprint(bp.config.kernels())"

    assert run(code)[0].splitlines() == [
        'compiled kernels need Numba: pip install "backprop[fast]"',
        "numpy",
    ]


@pytest.mark.parametrize(
    "spoilt",
    [
        "raise ImportError('Numba needs NumPy 2.3 or less')",
        "raise SystemError('initialization of _internal failed')",
        "__version__ = '0.59.1'",
    ],
)
def test_a_broken_numba_gives_one_warning_and_numpy_runs(tmp_path, spoilt):
    (tmp_path / "numba").mkdir()
    for name in ("__init__", "types", "extending"):
        (tmp_path / "numba" / f"{name}.py").write_text(spoilt if name == "__init__" else "")
    code = ADAM + ADAM + "import backprop as bp; print(bp.config.kernels())"
    out, err = run(code, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")

    assert out == "numpy"
    assert err.count("RuntimeWarning: Numba cannot compile the kernels, so NumPy runs") == 1


def test_a_compiler_that_fails_gives_one_warning(chosen, monkeypatch):
    loop = loop_of(updates.adam)
    monkeypatch.setattr(loop, "known", set())
    monkeypatch.setattr(loop, "compile", lambda dtypes: 1 / 0)
    args = *np.ones((4, 3)), None, np.ones(3), 0.9, 0.999, 1e-7, 1e-3, *updates.NOTHING
    monkeypatch.setenv(switch.VARIABLE, "auto")
    switch.SWITCH.use(None)
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError"):
        updates.adam(*args)
    assert args[0][0] < 1
    assert bp.config.kernels() == "numpy"

    bp.config.set_kernels("numba")
    with pytest.raises(ZeroDivisionError):
        updates.adam(*args)


def test_a_function_elsewhere_runs_as_it_stands(chosen):
    pytest.importorskip("numba")
    bp.config.set_kernels("numba")
    twice = switch.kernel(lambda x: 2 * x)

    assert twice(3) == 6
    assert bp.config.kernels() == "numba"


# ------------------------------------------------------------------------------- what is kept

HITS = ADAM + ("from backprop.kernels.compiled.updates import adam as loop; print(loop.cache_hits)")


@pytest.fixture
def numba():
    return pytest.importorskip("numba")


def test_a_loop_is_compiled_once_for_an_installation(numba, tmp_path):
    assert run(HITS, NUMBA_CACHE_DIR=str(tmp_path))[0] == "0"
    assert list(tmp_path.glob("backprop/*.nbc"))
    assert run(HITS, NUMBA_CACHE_DIR=str(tmp_path))[0] == "1"


def test_a_damaged_file_is_written_anew(numba, tmp_path):
    run(HITS, NUMBA_CACHE_DIR=str(tmp_path))
    for file in tmp_path.glob("backprop/*.nb?"):
        file.write_bytes(file.read_bytes()[:40])

    assert run(HITS, NUMBA_CACHE_DIR=str(tmp_path))[0] == "0"
    assert run(HITS, NUMBA_CACHE_DIR=str(tmp_path))[0] == "1"


def test_a_folder_that_cannot_be_made_is_no_error(numba, tmp_path):
    (tmp_path / "file").touch()

    assert run(HITS, NUMBA_CACHE_DIR=str(tmp_path / "file")) == ("0", "")


def test_a_folder_that_cannot_be_written_to_is_read(numba, tmp_path):
    run(HITS, NUMBA_CACHE_DIR=str(tmp_path))
    refuse = "import builtins; o = builtins.open\n"
    refuse += "def f(p, m='r', *a, **k):\n"
    refuse += "    if 'w' in m: raise PermissionError(13, 'read-only')\n"
    refuse += "    return o(p, m, *a, **k)\n"
    refuse += "builtins.open = f\n"

    assert run(refuse + HITS, NUMBA_CACHE_DIR=str(tmp_path)) == ("1", "")
    other = HITS.replace("float32", "float64")
    assert run(refuse + other, NUMBA_CACHE_DIR=str(tmp_path)) == ("0", "")


def test_processes_that_compile_at_once_lose_nothing(numba, tmp_path):
    codes = [ADAM, ADAM.replace("float32", "float64")]
    env = without_choice(NUMBA_CACHE_DIR=str(tmp_path))
    together = [subprocess.Popen([sys.executable, "-c", code], env=env) for code in codes]
    assert [process.wait(120) for process in together] == [0, 0]

    for code in codes:
        hits = HITS.replace(ADAM, code)
        assert run(hits, NUMBA_CACHE_DIR=str(tmp_path))[0] == "1"


def test_threads_that_need_a_loop_at_once_all_run_it(monkeypatch):
    pytest.importorskip("numba")
    from numba.core.caching import NullCache

    from backprop.kernels.compiled import compiler

    monkeypatch.setattr(compiler, "LOOPS", [])
    monkeypatch.setattr(compiler, "Cache", lambda function: NullCache())

    @compiler.loop(compiler.Vector)
    def double(x):
        for i in range(x.size):
            x[i] *= 2

    def not_this(x):
        raise AssertionError("NumPy ran")

    monkeypatch.setattr(switch.SWITCH, "loop_of", lambda twin: double)
    run, ready = switch.kernel(not_this), threading.Barrier(4)

    def work(dtype):
        x = np.ones(3, dtype)
        ready.wait()
        run(x)
        return x[0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, ["float32", "float64"] * 2))

    assert found == [2, 2, 2, 2]
