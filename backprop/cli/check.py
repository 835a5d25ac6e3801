"""`backprop check`: gradients certified by finite differences."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

import numpy as np

from backprop import saving
from backprop.cli.keys import add_key, key_of
from backprop.cli.layers import literal
from backprop.cli.usage import UsageError, show_progress
from backprop.nest import as_one, each_shape, several
from backprop.spelling import nearest

Array = np.ndarray
WHAT = "certify gradients by finite differences"
STATUS = {"pass": 0, "fail": 1, "inconclusive": 3}


def add_options(check: argparse.ArgumentParser) -> None:
    check.add_argument("subject", nargs="?", help="a model file, or package.module:Layer")
    check.add_argument(
        "--all", action="store_true", help="certify every layer and loss of backprop instead"
    )
    check.add_argument(
        "--input",
        metavar="SHAPE",
        action="append",
        help="shape of the input with the batch, such as 5,8; once for each of several inputs",
    )
    check.add_argument(
        "--config", nargs="*", default=[], metavar="NAME=VALUE", help="arguments of the layer"
    )
    check.add_argument(
        "--full", action="store_true", help="difference every entry, and name the worst"
    )
    check.add_argument(
        "--locate", action="store_true", help="list the wrong entries of a gradient that failed"
    )
    check.add_argument(
        "--json", action="store_true", help="print the report as JSON instead of a table"
    )
    check.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="what is not decided by then is undecided",
    )
    add_key(check, "the key that a model file must be signed with")
    check.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")


def run(options: argparse.Namespace) -> int:
    from backprop.gradcheck import gradcheck

    if options.seed < 0:
        raise UsageError(f"--seed expects at least 0, got {options.seed}")
    if options.all:
        return check_all(options)
    if options.subject is None:
        raise UsageError("check expects a model file, package.module:Layer, or --all")
    shape: Any = as_one(list(map(parse_shape, options.input))) if options.input else None
    if options.subject.endswith(".npz"):
        if options.config:
            raise UsageError("--config is for a layer: a model file has its configuration inside")
        subject: Any = saving.load_model(options.subject, compile=False, key=key_of(options))
        shape = shape or each_shape(
            lambda shape: (4, *(n or 5 for n in shape[1:])), subject.input_shape
        )
    else:
        subject = make_layer(options.subject, options.config)
        if shape is None:
            raise UsageError(
                "a layer needs --input, its input's shape with the batch, such as --input 5,8"
            )
    report = gradcheck(
        subject,
        sample(subject, shape, options.seed),
        seed=options.seed,
        full=options.full,
        time_limit=options.time_limit,
    )
    print(json.dumps(report.to_json()) if options.json else report)
    if options.locate and report.failed and not options.json:
        print(report.locate())
    return STATUS[report.verdict]


def check_all(options: argparse.Namespace) -> int:
    """Certify every layer and loss of the library; the worst verdict decides."""
    from time import monotonic

    from backprop.gradcheck.catalogue import cases

    given = [options.subject, *(options.input or []), *options.config]
    if any(given) or options.full or options.locate or options.json:
        raise UsageError("--all takes no other argument than --seed")
    started, todo = monotonic(), cases()
    verdicts: list[str] = []
    forwards = gradients = 0
    for done, case in enumerate(todo):
        show_progress(done, len(todo), case.name)
        report = case.check(options.seed)
        verdicts.append(report.verdict)
        forwards += report.evaluations
        gradients += sum(not entry.name.startswith("all, ") for entry in report.entries)
        if not report:
            show_progress(None, 0, "")
            print(f"{case.name}, {case.options}\n{report}")
    show_progress(None, 0, "")
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in STATUS if v in verdicts)
    print(
        f"{len(todo)} checks of all layers and losses: {counts}; {gradients:,} gradients, "
        f"{forwards:,} forward passes, {monotonic() - started:.1f} s"
    )
    return next((STATUS[v] for v in ("fail", "inconclusive") if v in verdicts), 0)


def sample(subject: Any, shape: tuple, seed: int) -> Any:
    """An input of a shape, or one of each: normal, or integers where the subject begins with an
    embedding."""
    rng = np.random.default_rng(seed)
    shapes, whole = shape if several(shape) else (shape,), subject.integer_input
    flags = whole if isinstance(whole, tuple) else (whole,) * len(shapes)
    tables = [p.input_dim for p in subject.walk() if p.integer_input and not p.sublayers()]
    below = min((n for n in tables if n), default=2)
    found = [
        rng.integers(0, below, shape) if whole else rng.standard_normal(shape)
        for shape, whole in zip(shapes, flags, strict=False)
    ]
    return tuple(found) if several(shape) else found[0]


def make_layer(name: str, config: list[str]) -> Any:
    from backprop.layer import Layer

    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise UsageError(f"expected a model file (.npz) or package.module:Layer, got {name!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a module of the user's, beside them
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"cannot import {module!r}: {error}") from error
    if not hasattr(found, attribute):
        raise UsageError(f"{module} has no {attribute!r}{nearest(attribute, dir(found))}")
    arguments = {}
    for item in config:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--config expects NAME=VALUE, got {item!r}")
        arguments[key] = literal(value)
    make = getattr(found, attribute)
    made = make(**arguments) if callable(make) else make
    if not isinstance(made, Layer):
        raise UsageError(f"{name} makes a {type(made).__name__}, which is no Layer")
    return made


def parse_shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(
            f"--input expects positive integers with commas, such as 5,8; got {text!r}"
        )
    return shape
