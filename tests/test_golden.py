"""What former versions wrote is read as it was meant: constructors, configurations, files.

The files are in ``tests/golden/``, a folder for each version; ``tests/golden/make.py`` made them.
"""

import importlib
import inspect
import json
import tarfile
from functools import cache, reduce
from inspect import Parameter
from pathlib import Path

import numpy as np
import pytest
from configurables import constructor, public_classes, shows

import backprop as bp
from backprop import cli

FOLDERS = sorted(p.parent for p in Path(__file__).parent.glob("golden/*/configs.json"))


@cache
def read(folder, name):
    return json.loads((folder / name).read_text())


def entries(name, *part):
    """The keys of a file in every folder, or of a part of it, as parameters of a test."""
    return [
        pytest.param(folder, key, id=f"{folder.name}-{key}")
        for folder in FOLDERS
        for key in reduce(dict.get, part, read(folder, name))
    ]


def found(key):
    """The class that a key such as "layers.Dense" means."""
    home, _, name = key.rpartition(".")
    return getattr(importlib.import_module(f"backprop.{home}"), name)


@cache
def namespace():
    """What a constructor call in a file may name."""
    return vars(np) | {cls.__name__: cls for _, cls in public_classes()}


def test_there_are_golden_files():
    assert FOLDERS


# ------------------------------------------------------------------ constructors


@pytest.mark.parametrize(("folder", "key"), entries("signatures.json"))
def test_a_constructor_takes_what_it_took(folder, key):
    """The same arguments in the same order, with the same defaults, by position where they were."""
    assert constructor(found(key)) == read(folder, "signatures.json")[key]


@pytest.mark.parametrize(("folder", "key"), entries("signatures.json"))
def test_help_shows_the_constructor(folder, key):
    """`inspect.signature` may say `**kwargs` for the arguments of base classes, and nothing else
    than what there is."""
    cls = found(key)
    if cls.__init__ is object.__init__:
        return  # it says (*args, **kwargs)
    shown = list(inspect.signature(cls).parameters.values())
    wanted = read(folder, "signatures.json")[key]
    kwargs = [p for p in shown if p.kind is Parameter.VAR_KEYWORD]
    text = str(inspect.Signature([p.replace(annotation=p.empty) for p in shown if p not in kwargs]))

    assert wanted.startswith(text[:-1]) if kwargs else text == wanted


# ------------------------------------------------------------------ configurations


@pytest.mark.parametrize(("folder", "key"), entries("configs.json"))
def test_a_configuration_makes_the_object_that_it_made(folder, key):
    for entry in read(folder, "configs.json")[key]:
        made = found(key).from_config(entry["config"])

        assert said(made, entry["config"]) == entry["config"]
        assert repr(made) == entry.get("copy", entry["call"])


@pytest.mark.parametrize(("folder", "key"), entries("configs.json"))
def test_an_object_of_a_configuration_does_what_it_did(folder, key):
    for entry in read(folder, "configs.json")[key]:
        if "shows" in entry:
            shown = shows(key.rpartition(".")[0], found(key), entry["config"])

            # sums of up to some thousands of terms of the size of 1, most of them of float32
            np.testing.assert_allclose(shown, entry["shows"], 1e-4, 1e-4, err_msg=entry["call"])


@pytest.mark.parametrize(("folder", "key"), entries("configs.json"))
def test_a_call_makes_the_object_that_it_made(folder, key):
    names = namespace() | {
        found(key).__name__: found(key),
        "array": np.array,
        "float32": np.float32,
    }
    for entry in read(folder, "configs.json")[key]:
        if "array(shape=" in entry["call"]:
            continue  # which is no call
        made = eval(entry["call"], dict(names))

        assert said(made, entry["config"]) == entry["config"]
        assert repr(made) == entry["call"]


def said(item, before):
    """What the item's configuration says today of that which it said before: there may be more."""
    return common(json.loads(json.dumps(item.get_config())), before)


def common(now, before):
    if isinstance(now, dict) and isinstance(before, dict):
        return {key: common(now[key], before[key]) for key in before if key in now}
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        return [common(*pair) for pair in zip(now, before, strict=True)]
    return now


# ------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with the files of a version."""

    @cache
    def unpack(folder):
        place = tmp_path_factory.mktemp(folder.name)
        with tarfile.open(folder / "files.tar.xz") as archive:
            archive.extractall(place, filter="data")
        return place

    return unpack


@cache
def arrays(place):
    return dict(np.load(place / "arrays.npz"))


def data_of(place, name):
    return [arrays(place)[f"{name}/{part}"] for part in ("x", "y", "output")]


def assert_close(found, expected):
    """Equal but for the order in which a machine's BLAS adds up, which shows in the last digits;
    a few steps of training let it grow tenfold."""
    expected = np.asarray(expected)
    rtol, atol = (1e-4, 1e-5) if expected.dtype == np.float32 else (1e-8, 1e-10)
    np.testing.assert_allclose(found, expected, rtol, atol)


def assert_same_history(history, expected, dtype):
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        assert_close(history[name], np.array(values, dtype))


@pytest.mark.parametrize(("folder", "name"), entries("expected.json", "models"))
@pytest.mark.filterwarnings("ignore:sequential.* has no trainable weights")
def test_a_model_is_what_it_was_and_trains_on_as_it_did(unpacked, folder, name):
    expected = read(folder, "expected.json")["models"][name]
    x, y, output = data_of(unpacked(folder), name)

    model = bp.models.load_model(unpacked(folder) / f"{name}.npz")

    assert_close(model.predict(x, verbose=0), output)
    assert model.optimizer.iterations == expected["iterations"]
    history = model.fit(x, y, **expected["fit"]).history
    assert_same_history(history, expected["history"], output.dtype)


def further_files():
    for case in entries("expected.json", "models"):
        folder, name = case.values
        for file in read(folder, "expected.json")["models"][name]["also"]:
            yield pytest.param(folder, name, file, id=f"{folder.name}-{file}")


@pytest.mark.parametrize(("folder", "name", "file"), [*further_files()])
def test_other_files_of_a_model_hold_the_same(unpacked, folder, name, file):
    if not file.endswith(".npz"):
        pytest.importorskip("h5py")
    x, _, output = data_of(unpacked(folder), name)
    model = bp.models.load_model(unpacked(folder) / f"{name}.npz")

    if file.endswith(".keras"):
        other = bp.models.load_model(unpacked(folder) / file)
        assert len(model.optimizer.variables) == len(other.optimizer.variables) > 2
        for mine, its in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
            # Keras' moments are ours times a factor
            np.testing.assert_allclose(its, mine, 1e-5, 1e-9)
    else:
        other = bp.models.clone_model(model)
        assert not np.allclose(other.predict(x, verbose=0), output)
        other.load_weights(unpacked(folder) / file)

    assert_close(other.predict(x, verbose=0), output)


@pytest.mark.parametrize(("folder", "name"), entries("expected.json", "interrupted"))
def test_an_interrupted_run_ends_as_it_would_have(unpacked, tmp_path, folder, name):
    expected = read(folder, "expected.json")["interrupted"][name]
    x, y, output = data_of(unpacked(folder), name)
    backup = unpacked(folder) / f"interrupted/{name} in the middle.npz"
    (tmp_path / "latest.npz").write_bytes(backup.read_bytes())
    model = bp.models.load_model(unpacked(folder) / f"interrupted/{name}.npz")
    callbacks = [getattr(bp.callbacks, c).from_config(a) for c, a in expected["callbacks"]]

    history = model.fit(
        x, y, callbacks=[*callbacks, bp.callbacks.BackupAndRestore(tmp_path)], **expected["fit"]
    ).history

    assert_same_history(history, expected["history"], output.dtype)
    assert_close(model.predict(x, expected["fit"]["batch_size"], 0), output)


@pytest.mark.parametrize(("folder", "target"), entries("expected.json", "tables", "targets"))
def test_the_command_line_predicts_what_it_predicted(unpacked, tmp_path, capsys, folder, target):
    tables = unpacked(folder) / "tables"
    answer = tmp_path / "answer.csv"

    files = [str(tables / name) for name in (f"{target}.npz", "homes.csv")]
    status = cli.main(["predict", *files, "--output", str(answer)])

    assert status == 0
    found, expected = (p.read_text().split() for p in (answer, tables / f"{target}.csv"))
    assert len(found) == len(expected)
    for line, before in zip(found, expected, strict=True):
        for cell, earlier in zip(line.split(","), before.split(","), strict=True):
            assert cell == earlier or float(cell) == pytest.approx(float(earlier), 1e-4, 1e-5)
