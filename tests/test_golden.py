"""What former versions wrote is read as it was meant: constructors, configurations, files.

The files are in ``tests/golden/``, a folder for each version; ``tests/golden/make.py`` made them.
"""

import importlib
import inspect
import json
from functools import cache
from inspect import Parameter
from pathlib import Path

import numpy as np
import pytest
from configurables import constructor, public_classes

FOLDERS = sorted(p.parent for p in Path(__file__).parent.glob("golden/*/configs.json"))


@cache
def read(folder, name):
    return json.loads((folder / name).read_text())


def entries(name):
    """The keys of a file in every folder, as parameters of a test."""
    return [
        pytest.param(folder, key, id=f"{folder.name}-{key}")
        for folder in FOLDERS
        for key in read(folder, name)
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
