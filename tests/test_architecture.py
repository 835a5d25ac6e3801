"""The rules that keep the house in order, read from the source itself."""

import ast
import fnmatch
import functools
import importlib
import inspect
import io
import re
import subprocess
import tokenize
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "backprop"
FILES = sorted(PACKAGE.rglob("*.py"))

# A file imports only from the lines above its own. `x` stands for x and everything in it.
LINES = [
    ["seeds", "spelling", "tuning", "atomic", "bounds", "signing", "layered"],
    ["absent", "nest", "html", "npy"],
    ["arguments"],
    ["old_arguments"],
    ["construction"],
    ["defaults", "registry", "kernels.switch"],
    ["config", "backend"],
    ["random", "linalg", "parallel", "checks", "input_spec", "masks", "hashes"],
    ["kernels"],
    ["context", "symbols"],
    ["initializers", "regularizers", "constraints", "archive", "environment", "run_checks"],
    ["variable"],
    ["parameters", "promises"],
    ["vector", "counts"],
    ["layer_arrays"],
    ["layer_calls"],
    ["layer_face"],
    ["layer"],
    ["activations", "layers", "losses", "metrics"],
    [
        "training.class_weight",
        "training.ends",
        "training.hooks",
        "training.workers",
        "training.batches",
        "run_state",
        "taps",
    ],
    [
        "optimizers",
        "gradcheck",
        "training.reader",
        "training.iterables",
        "training.data",
        "data",
        "datasets",
    ],
    ["callbacks"],
    ["training"],
    ["distributed"],
    ["interop"],
    ["saving", "summary", "generation", "inspection"],
    ["models", "utils"],
    ["preprocessing", "testing", "diagnostics", "tabular", "interop.estimators", "versions"],
    ["serving", "interop.live"],
    ["cli"],
    ["__main__"],
]

# What a line may import from itself, beside what each package or family does inside.
NEIGHBOURS = [
    ("training.data", "training.iterables"),
    ("training.iterables", "training.reader"),
    ("random", "checks"),
    ("linalg", "parallel"),
    ("losses", "activations"),
    ("metrics", "losses"),
    ("activations", "layers.activations"),
    ("layers.*", "layers.activations"),
    ("layers.*", "layers.windows"),
    ("layers.*", "layers.interpolation"),
    ("layers.*", "layers.kernels"),
    ("layers.*", "layers.wrapper"),
    ("layers.pipeline", "layers.chain"),
    ("layers.pipeline", "layers.images"),
    ("layers.recurrent", "layers.dense"),
    ("layers.recurrent", "layers.merging"),
    ("layers.recurrent", "layers.containers"),
    ("layers.recurrent", "layers.chain"),
    ("layers.recurrent", "layers.convolution"),
    ("layers.transformer", "layers.*"),
    ("layers.containers", "layers.inputs"),
    ("layers.chain", "layers.containers"),
    ("layers.branches", "layers.containers"),
    ("layers.wiring", "layers.containers"),
    ("layers.wiring", "layers.chain"),
    ("layers.wiring", "layers.inputs"),
    ("layers.wiring", "layers.slots"),
    ("layers.given", "layers.slots"),
    ("layers.graph", "layers.*"),
    ("layers.branches", "layers.chain"),
    ("layers.branches", "layers.merging"),
    ("layers.arithmetic", "layers.merging"),
    ("layers.columns", "layers.preprocessing"),
    ("layers.text", "layers.columns"),
    ("training.data", "training.reader"),
    ("utils.feature_space", "models"),
]


# ------------------------------------------------------------------------------- reading the source


def name_of(path):
    """backprop/layers/dense.py → layers.dense; a package's __init__ has the package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


@functools.cache
def tree_of(path):
    """The syntax tree of a file, parsed once for all rules; they only look at it."""
    return ast.parse(path.read_text())


def imports_of(tree, name, modules):
    """The package's modules that a source imports anywhere, by their names below `backprop`."""
    found = set()
    package = name if modules.get(name, Path()).name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = ["backprop", *package.split(".")] if package else ["backprop"]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            # `from package import module` imports the module, not the package's face
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= {i if i.removeprefix("backprop.") in modules else base for i in inner}
    return {f.partition(".")[2] for f in found if f.partition(".")[0] == "backprop"}


def inside(name, pattern):
    """Whether `name` is what the pattern says, or something in it."""
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"{pattern}.*")


def line_of(name):
    """The number of the line on which the longest pattern for `name` stands."""
    found = [(len(p), i) for i, line in enumerate(LINES) for p in line if inside(name, p)]
    assert found, f"backprop.{name} has no place in LINES: give it one"
    return max(found)[1]


def family_of(name):
    """The piece of the house within which files import each other freely."""
    parts = name.split(".")
    if parts[0] == "layers":
        return ".".join(parts[:2])
    return (
        name if line_of(name) == line_of("training.data") and parts[0] == "training" else parts[0]
    )


def allowed(name, imported):
    if name == "":
        return True  # the public face
    if imported == "":
        return line_of(name) > line_of("models")  # who stands behind the face uses it as users do
    if imported.startswith(f"{name}."):
        return True  # a package's face, which loads what is in it when it is used
    if line_of(imported) != line_of(name):
        return line_of(imported) < line_of(name)
    if family_of(imported) == family_of(name) or name == family_of(imported).partition(".")[0]:
        return True  # of one family, or a package's __init__ collecting its families
    return any(inside(name, a) and inside(imported, b) for a, b in NEIGHBOURS)


def against_the_arrow(tree, name, modules=MODULES):
    return sorted(i for i in imports_of(tree, name, modules) if not allowed(name, i))


def trees():
    return [(str(path.relative_to(ROOT)), tree_of(path)) for path in FILES]


# ------------------------------------------------------------------------------------------ imports


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    assert against_the_arrow(tree_of(MODULES[name]), name) == []


HOUSE = """
    config random linalg initializers parameters layer layers layers.dense layers.convolution
    layers.recurrent layers.activations losses losses.regression metrics optimizers optimizers.adam
    callbacks training training.data training.trainer saving models cli
"""


def house():
    """A package made up of a few rooms, of which two are folders."""
    folders = {"", "layers", "losses"}
    return {n: Path("__init__.py" if n in folders else f"{n}.py") for n in ["", *HOUSE.split()]}


@pytest.mark.parametrize(
    ("name", "source", "culprit"),
    [
        ("linalg", "from backprop.layer import Layer", "layer"),
        ("layer", "from backprop import models", "models"),
        ("layer", "def f():\n    from backprop.saving import save", "saving"),
        ("layer", "import backprop", ""),
        ("layer", "from backprop import Sequential", ""),
        ("parameters", "import backprop.layer as layer", "layer"),
        ("layers.dense", "from backprop.layers.convolution import Conv2D", "layers.convolution"),
        ("layers.dense", "from backprop.layers import Conv2D", "layers"),
        ("layers.dense", "from . import convolution", "layers.convolution"),
        ("layers.dense", "from .convolution import Conv2D", "layers.convolution"),
        ("layers.dense", "from ..losses.regression import Huber", "losses.regression"),
        ("layers.convolution", "from backprop.layers.dense import Dense", "layers.dense"),
        ("layers.activations", "from backprop.layers.dense import Dense", "layers.dense"),
        ("losses.regression", "from backprop.layers.dense import Dense", "layers.dense"),
        ("losses", "from backprop import metrics", "metrics"),
        ("optimizers.adam", "from backprop.training.data import as_data", "training.data"),
        ("training.data", "from backprop.training.trainer import Trainer", "training.trainer"),
        ("callbacks", "from backprop.training.trainer import Trainer", "training.trainer"),
        ("saving", "from backprop.models import Sequential", "models"),
        ("interop.keras_files", "from backprop.interop.estimators import A", "interop.estimators"),
        ("models", "from backprop import cli", "cli"),
    ],
)
def test_an_import_against_the_arrow_is_found(name, source, culprit):
    assert against_the_arrow(ast.parse(source), name, house()) == [culprit]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("", "from backprop.models import Sequential"),
        (
            "layer",
            "import numpy\nfrom backprop import initializers, random\nfrom . import parameters",
        ),
        ("layers", "from backprop.layers.dense import Dense\nfrom . import recurrent"),
        ("layers.dense", "from backprop.layers.activations import layer_of"),
        ("layers.recurrent", "from backprop.layers.dense import Dense"),
        ("metrics", "from backprop.losses.regression import Huber"),
        ("optimizers.adam", "from backprop.optimizers import schedules"),
        (
            "training.trainer",
            "from backprop.training.data import as_data\nfrom backprop import callbacks",
        ),
        ("cli", "import backprop\nfrom backprop.models import Sequential"),
        ("interop", "from backprop.interop.estimators import BackpropClassifier"),
    ],
)
def test_an_import_along_the_arrow_passes(name, source):
    assert against_the_arrow(ast.parse(source), name, house()) == []


def circles_of(imports):
    """Sets of files that reach each other by their imports, of a map from a file to what it
    imports."""
    reached = {name: set(found) & imports.keys() for name, found in imports.items()}
    for middle in imports:
        for name in imports:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    circles = []
    for name in sorted(imports):
        circle = {other for other in reached[name] if name in reached[other]}
        if len(circle) > 1 and circle not in circles:
            circles.append(circle)
    return circles


def test_no_files_import_each_other_in_a_circle():
    imports = {name: imports_of(tree_of(path), name, MODULES) for name, path in MODULES.items()}
    del imports[""]  # the public face loads its names when they are used

    assert circles_of(imports) == []


@pytest.mark.parametrize(
    ("source", "circle"),
    [
        ("from backprop.models import Sequential", {"layer", "saving", "models"}),
        ("def f():\n    from backprop import saving", {"layer", "saving"}),
        ("if TYPE_CHECKING:\n    from backprop.saving import save", {"layer", "saving"}),
        ("def f(x):\n    import backprop.models as models", {"layer", "saving", "models"}),
    ],
)
def test_a_circle_is_found(source, circle):
    sources = {
        "linalg": "import numpy",
        "layer": f"from backprop import linalg\n{source}",
        "saving": "from backprop.layer import Layer",
        "models": "from backprop import saving\nfrom backprop.layer import Layer",
    }
    modules = {name: Path(f"{name}.py") for name in sources}
    imports = {n: imports_of(ast.parse(text), n, modules) for n, text in sources.items()}

    assert circles_of(imports) == [circle]


def test_files_that_do_not_import_each_other_are_in_no_circle():
    assert circles_of({"layer": {"linalg"}, "models": {"layer", "linalg"}, "linalg": set()}) == []


# ----------------------------------------------------------------------------- state and randomness


def global_statements(tree):
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]


def global_draws(tree):
    """Lines that use NumPy's global generator or Python's `random`."""
    harmless = {"Generator", "SeedSequence", "default_rng", "BitGenerator", "PCG64"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in (
            "np.random",
            "numpy.random",
        ):
            found += [node.lineno] * (node.attr not in harmless)
        elif isinstance(node, ast.Import):
            found += [node.lineno for a in node.names if a.name in ("random", "numpy.random")]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {a.name for a in node.names}
            wrong = node.module == "random" or (node.module == "numpy" and "random" in names)
            wrong = wrong or (node.module == "numpy.random" and not names <= harmless)
            found += [node.lineno] * wrong
    return found


def test_only_the_seed_and_the_configuration_are_global():
    keepers = {"backprop/seeds.py", "backprop/config.py", "backprop/defaults.py"}

    assert {
        f: n for f, tree in trees() if f not in keepers and (n := global_statements(tree))
    } == {}


def test_nothing_draws_from_a_global_generator():
    known = {
        "backprop/random.py",  # `set_random_seed` seeds both for the user's script
        "backprop/testing/laws/memory.py",  # a law that no layer does watches them
        "backprop/testing/bugs/paths.py",  # and these layers do
    }

    assert {f: n for f, tree in trees() if f not in known and (n := global_draws(tree))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "np.random.rand(3)",
        "numpy.random.seed(0)",
        "rng = np.random.RandomState(0)",
        "import random",
        "from random import choice",
        "from numpy import random",
        "from numpy.random import normal",
    ],
)
def test_a_global_draw_is_found(source):
    assert global_draws(ast.parse(source)) == [1]


def test_a_generator_of_ones_own_is_no_global_draw():
    source = "from backprop import random\nrng = np.random.default_rng(0)\nrng.random(3)"

    assert global_draws(ast.parse(source)) == []


def test_a_global_statement_is_found():
    assert global_statements(ast.parse("def f():\n    global x\n    x = 1")) == [2]


# --------------------------------------------------------------------------------------- docstrings


def without_docstring(tree):
    """The module, if it has none, and its public classes."""
    wanted = [
        tree,
        *(n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")),
    ]
    return [getattr(n, "name", "the module") for n in wanted if not ast.get_docstring(n)]


def test_every_module_and_every_public_class_has_a_docstring():
    assert {f: names for f, tree in trees() if (names := without_docstring(tree))} == {}


def test_a_missing_docstring_is_found():
    assert without_docstring(ast.parse("class A:\n    pass\nclass _B:\n    pass")) == [
        "the module",
        "A",
    ]


# what imports a package of an extra where it is imported, and shows users nothing
BEHIND_EXTRAS = ("kernels.compiled", "interop.live.torch_modules")


def public_functions():
    """The functions that users see: those that a module lists in its `__all__`."""
    for name in MODULES:
        if name == "__main__" or name.startswith(BEHIND_EXTRAS):
            continue
        module = importlib.import_module(f"backprop.{name}" if name else "backprop")
        for attribute in getattr(module, "__all__", ()):
            item = getattr(module, attribute)
            if inspect.isfunction(item) and item.__module__.startswith("backprop"):
                yield f"{name or 'backprop'}.{attribute}", item


def test_every_public_function_has_a_docstring():
    functions = dict(public_functions())

    assert functions
    assert [name for name, function in functions.items() if not function.__doc__] == []


# --------------------------------------------------------------------------------------- extras


def missing_code(extras, trees):
    """Packages that users may ask for by an extra and that no file of the package imports."""
    imported = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").partition(".")[0])
    wanted = [name for needs in extras.values() for name in needs]
    packages = {re.match(r"[\w-]+", name)[0] for name in wanted}
    modules = {"pillow": "PIL", "scikit-learn": "sklearn"}  # where they have another name
    return sorted(p for p in packages if modules.get(p, p.replace("-", "_")) not in imported)


def test_an_extra_for_users_comes_with_its_code():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # dask is an engine that joblib finds by itself; torch is imported by its name
    others = ("test", "bench", "docs", "dask", "torch")
    for_users = {k: v for k, v in extras.items() if k not in others}

    assert "plot" in for_users
    assert missing_code(for_users, [tree for _, tree in trees()]) == []


def test_an_extra_without_code_is_found():
    tree = ast.parse("def f():\n    import matplotlib.pyplot as plt")

    assert missing_code({"mpi": ["mpi4py>=4"], "plot": ["matplotlib>=3.9"]}, [tree]) == ["mpi4py"]


# ------------------------------------------------------------------------------------------- sizes


def lines_of_code(path, name=None):
    """Lines that hold more than a comment or a docstring; of one class, where its name is given."""
    text = path.read_text()
    tree = ast.parse(text)
    of = next(n for n in tree.body if getattr(n, "name", None) == name) if name else tree
    described = {
        line
        for node in ast.walk(of)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    first, last = (of.lineno, of.end_lineno) if name else (1, text.count("\n") + 1)
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {
        line
        for token in tokens
        if token.type not in skipped | {tokenize.ENDMARKER}
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len({line for line in lines - described if first <= line <= last})


def test_the_core_is_read_in_an_afternoon():
    core = "layer layers.chain vector losses.loss optimizers.optimizer training.loop"

    assert sum(lines_of_code(MODULES[name]) for name in core.split()) < 900


@pytest.mark.parametrize(
    ("module", "name", "most"),
    [
        ("layers.dense", "Dense", 45),
        ("layers.recurrent.lstm", None, 130),
        ("layers.convolution.ordinary", None, 150),
        ("optimizers.adam", "Adam", 40),
    ],
)
def test_a_class_shows_its_mathematics_and_little_else(module, name, most):
    assert lines_of_code(MODULES[module], name) <= most


def test_lines_of_code_are_counted_without_what_explains_them(tmp_path):
    path = tmp_path / "some.py"
    path.write_text('"""What it is.\n\nAnd why."""\n\n# a remark\nx = (\n    1,\n)  # another\n')

    assert lines_of_code(path) == 3


# ---------------------------------------------------------------------------------------- top level


def test_the_top_level_holds_what_the_design_lists_and_nothing_else():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(
            "not a git repository: what belongs to the project cannot be told from what was built"
        )

    names = {
        file.partition("/")[0] for file in listed.split("\0") if (ROOT / file).exists() and file
    }

    assert {name for name in names if not name.startswith(".")} == {
        "pyproject.toml", "README.md", "LICENSE", "SECURITY.md", "backprop", "tests", "benchmarks",
        "docs",
    }  # fmt: skip
