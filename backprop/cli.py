"""The command line: train, predict, check, summary.

A wrong option, file or table is one line on stderr and exit status 2, never a traceback.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backprop import archive, saving
from backprop.config import nearest
from backprop.tabular import Preprocessing, Table, learn_array, parse_numbers, read_csv
from backprop.tabular import Column as TableColumn

Array = np.ndarray


class UsageError(Exception):
    """What the user can mend; its text is the line that they see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status.

    0: done; for `check` all gradients passed. 1: a gradient failed. 3: a gradient is undecided.
    2: wrong usage or unusable data, with a line on stderr that says what.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            return options.run(options)
    except (UsageError, ValueError, TypeError, OSError, ImportError, AttributeError) as error:
        if options.debug:
            raise
        print(f"backprop: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("backprop: interrupted", file=sys.stderr)
        return 130


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning is one line too."""
    print(f"backprop: warning: {message}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known option."""

    def error(self, message: str):
        if message.startswith("unrecognized arguments: "):
            option = message.split()[2]
            message += nearest(option, [o for a in self._actions for o in a.option_strings])
        self.exit(2, f"backprop: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="backprop", description="Train neural networks, and certify their gradients.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train a network on the digits, or on a CSV or NPZ file")
    train.add_argument("data", nargs="?", help="a .csv or .npz file (default: the digits that come with backprop)")
    train.add_argument("--target", help="column (CSV) or array (NPZ) to predict")
    train.add_argument("--ignore", action="append", default=[], metavar="COLUMN", help="leave a column out")
    train.add_argument(
        "--layers", metavar="SPEC", help='such as "dense 128 relu, dropout 0.2"; the output layer is added to it'
    )
    train.add_argument("--task", choices=("auto", "classification", "regression"), default="auto")
    train.add_argument("--optimizer", default="adam")
    train.add_argument("--learning-rate", type=float)
    train.add_argument("--epochs", type=int, help="default 12 for the digits, 50 otherwise")
    train.add_argument("--batch-size", type=int, default=32)
    train.add_argument("--held-out", type=float, default=0.2, metavar="SHARE", help="of the rows (default 0.2)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--output", metavar="FILE", help="model file (default: the data's name with .npz)")
    train.add_argument("--picture", metavar="FILE", help="learning curve (default: the model's name with .png)")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=run_train)

    predict = commands.add_parser("predict", help="apply a saved model to a CSV or NPZ file")
    predict.add_argument("model")
    predict.add_argument("data")
    predict.add_argument("--output", metavar="FILE", default="-", help="a .csv file (default: standard output)")
    predict.set_defaults(run=run_predict)

    check = commands.add_parser("check", help="certify gradients by finite differences")
    check.add_argument("subject", help="a model file, or package.module:Layer")
    check.add_argument("--input", metavar="SHAPE", help="shape of a layer's input with the batch, such as 5,8")
    check.add_argument("--config", nargs="*", default=[], metavar="NAME=VALUE", help="arguments of the layer")
    check.add_argument("--seed", type=int, default=0)
    check.set_defaults(run=run_check)

    summary = commands.add_parser("summary", help="show the layers of a saved model")
    summary.add_argument("model")
    summary.set_defaults(run=run_summary)
    return parser


# ---------------------------------------------------------------------------------------------- train


class Task:
    """Data that are ready for a network: rows to train on, rows held out, and how answers are read."""

    def __init__(self, x: Array, y: Array, training: Array, held_out: Array, prepared: Preprocessing):
        self.x, self.y = x, y
        self.training, self.held_out = training, held_out
        self.prepared = prepared

    @property
    def classes(self) -> int:
        return len(self.prepared.classes or ())

    @property
    def held(self) -> tuple[Array, Array]:
        return self.x[self.held_out], self.y[self.held_out]


DIGITS = "conv2d 32 3 relu, conv2d 64 3 relu, maxpooling2d 2, dropout 0.25, flatten, dense 128 relu, dropout 0.5"
TABLE = "dense 64 relu, dense 64 relu"


def run_train(options: argparse.Namespace) -> int:
    from backprop import Input, Sequential, utils
    from backprop.layers import Dense

    output, picture = output_paths(options)
    check_numbers(options)
    utils.set_random_seed(options.seed)
    task = load_digits() if options.data is None else load_task(options)
    hidden = parse_layers(options.layers or (DIGITS if options.data is None else default_layers(task)))
    last = Dense(task.classes, activation="softmax") if task.classes else Dense(1)
    model = Sequential([Input(task.x.shape[1:]), *hidden, last], name=output.stem)
    compile_model(model, options, task)

    epochs = options.epochs or (12 if options.data is None else 50)
    print(f"{describe(task)}; {model.count_params():,} parameters, {epochs} epochs")
    history = model.fit(
        task.x[task.training],
        task.y[task.training],
        batch_size=options.batch_size,
        epochs=epochs,
        validation_data=task.held,
        verbose=0 if options.quiet else "auto",
    )
    print(held_out_line(model, task))
    certified = certify(model, task, options.seed)
    saving.save_model(model, output, extra={"preprocessing": task.prepared.to_json()})
    print(f"model: {output}")
    draw(history.history, picture, output.stem)
    return 0 if certified else 1


def output_paths(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where to write, checked before an hour is spent on training."""
    name = "digits" if options.data is None else Path(options.data).stem
    output = archive.npz_path(options.output or f"{name}.npz")
    picture = Path(options.picture) if options.picture else output.with_suffix(".png")
    if options.data is not None and output.resolve() == Path(options.data).resolve():
        output = output.with_name(f"{name}_model.npz")
    for path in (output, picture):
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {str(path.parent)!r} to write {path.name} to")
    return output, picture


def check_numbers(options: argparse.Namespace) -> None:
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} expects at least {least}, got {value}")
    if not 0 < options.held_out < 1:
        raise UsageError(f"--held-out expects a share between 0 and 1, got {options.held_out}")
    if options.learning_rate is not None and not options.learning_rate > 0:
        raise UsageError(f"--learning-rate expects a positive number, got {options.learning_rate}")


def load_digits() -> Task:
    """The digits in their own split: every fifth row is held out."""
    from backprop.datasets import digits

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x = np.concatenate([x_train, x_test]).astype(np.float32)[..., None] / 16
    y = np.concatenate([y_train, y_test]).astype(np.int64)
    prepared = Preprocessing(target="digit", classes=list(range(10)), array_deviation=16.0)
    n = len(x_train)
    return Task(x, y, np.arange(n), np.arange(n, len(x)), prepared)


def load_task(options: argparse.Namespace) -> Task:
    source, target, name = load_source(options.data, options.target)
    n = len(target)
    order = np.random.default_rng(options.seed).permutation(n)
    count = round(n * options.held_out)
    if not 0 < count < n:
        raise UsageError(f"{options.data} has {n} rows: too few to hold out {options.held_out:g} of them")
    training, held_out = np.sort(order[count:]), np.sort(order[:count])
    prepared = Preprocessing()
    prepared.learn_target(target, training, options.task, name)
    if isinstance(source, Table):
        for column in options.ignore:
            source.index(column)
        wanted = [c for c in source.columns if c != name and c not in options.ignore]
        if not wanted:
            raise UsageError(f"{options.data} has no column to learn from beside {name!r}")
        prepared.columns = [TableColumn.learn(source, c, training) for c in wanted]
    else:
        prepared.array_mean, prepared.array_deviation = learn_array(source, training)
    return Task(prepared.encode(source), prepared.encode_target(target), training, held_out, prepared)


def load_source(path: str, target: str | None) -> tuple[Table | Array, list | Array, str]:
    """A table or an array of inputs, with the targets and their name."""
    if not Path(path).exists():
        raise UsageError(f"no file {path!r}")
    if path.endswith(".npz"):
        arrays = read_arrays(path)
        name = target or "y"
        if name not in arrays:
            raise UsageError(f"{path} has no array {name!r}; it has {', '.join(arrays)}: choose with --target")
        others = [a for a in arrays if a != name]
        if "x" in others:
            others = ["x"]
        if len(others) != 1:
            raise UsageError(f"{path} should have one array beside {name!r} (or one named 'x'), it has {', '.join(others)}")
        x, y = arrays[others[0]], arrays[name]
        y = y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y
        if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
            raise UsageError(f"{path}: {others[0]!r} has shape {x.shape} and {name!r} {y.shape}; expected (n, ...) and (n,)")
        if not np.isfinite(x).all():
            raise UsageError(f"{path}: {others[0]!r} holds NaN or infinity")
        return x.astype(np.float64), y, name
    table = read_csv(path)
    if target is None:
        raise UsageError(f"say which column to predict: --target, one of {', '.join(table.columns)}")
    cells = table.column(target)
    try:
        return table, parse_numbers(table, target), target
    except ValueError:
        if "" in cells:
            raise
        return table, cells, target


def read_arrays(path: str) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise UsageError(f"{path} cannot be read as arrays of numbers: {error}") from error
    except Exception as error:  # zipfile's and zlib's many
        raise UsageError(f"{path} is no .npz file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiubU":
            raise UsageError(f"{path}: array {name!r} has dtype {array.dtype}")
    return arrays


def default_layers(task: Task) -> str:
    return TABLE if task.x.ndim == 2 else f"flatten, {TABLE}"


SHORT = {
    "conv": "Conv2D",
    "maxpool": "MaxPooling2D",
    "avgpool": "AveragePooling2D",
    "batchnorm": "BatchNormalization",
    "layernorm": "LayerNormalization",
    "attention": "MultiHeadAttention",
}


def parse_layers(spec: str) -> list[Any]:
    """`"dense 128 relu, dropout 0.2"` → layers: a name, then arguments in order, by name (rate=0.2), or an activation."""
    from backprop import activations, layers

    known = {name.lower().replace("_", ""): cls for name, cls in layers.registry.classes.items()}
    known |= {short: layers.registry.classes[name] for short, name in SHORT.items()}
    functions = set(activations.registry.names)
    made = []
    for part in spec.split(","):
        words = part.split()
        if not words:
            raise UsageError(f"--layers has an empty entry in {spec!r}")
        name = words[0].lower().replace("_", "")
        if name not in known and name in functions:
            made.append(layers.Activation(name))
            continue
        if name not in known:
            raise UsageError(f"--layers: unknown layer {words[0]!r}{nearest(name, [*known, *functions])}")
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if equals:
                kwargs[key] = literal(value)
            elif word in functions:
                kwargs["activation"] = word
            else:
                args.append(literal(word))
        try:
            made.append(known[name](*args, **kwargs))
        except (TypeError, ValueError) as error:
            raise UsageError(f"--layers: {part.strip()!r}: {error}") from error
    return made


def literal(text: str) -> Any:
    """A number, true, false, none, 3x3 as a pair, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if "x" in text and all(part.isdigit() for part in text.split("x")):
        return tuple(map(int, text.split("x")))
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def compile_model(model: Any, options: argparse.Namespace, task: Task) -> None:
    from backprop import optimizers

    optimizer = optimizers.get(options.optimizer)
    if options.learning_rate is not None:
        optimizer.learning_rate = options.learning_rate
    if task.classes:
        model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model.compile(optimizer, loss="mse", metrics=["mae"])


def describe(task: Task) -> str:
    kind = f"{task.classes} classes" if task.classes else f"regression of {task.prepared.target!r}"
    return f"{len(task.training):,} rows to train on, {len(task.held_out):,} held out, {kind}"


def held_out_line(model: Any, task: Task) -> str:
    x, y = task.held
    if task.classes:
        loss, accuracy = model.evaluate(x, y, verbose=0)
        return f"test accuracy: {accuracy:.4f} ({round((1 - accuracy) * len(y))} of {len(y)} wrong), loss {loss:.4f}"
    error = (model.predict(x, verbose=0).reshape(len(y)) - y).astype(np.float64) * task.prepared.deviation
    spread = (y - y.mean()).astype(np.float64) * task.prepared.deviation
    r2 = 1 - (error**2).sum() / max((spread**2).sum(), np.finfo(float).tiny)
    return f"held-out rows: RMSE {np.sqrt((error**2).mean()):.4g}, MAE {np.abs(error).mean():.4g}, R2 {r2:.4f}"


def certify(model: Any, task: Task, seed: int) -> bool:
    """Certify the gradients of the trained model on a few held-out rows, and say how it went."""
    from backprop.gradcheck import gradcheck

    x, y = task.held
    report = gradcheck(model, x[:8], y[:8], seed=seed)
    print(f"gradients of the trained model against finite differences:\n{report}")
    return report.verdict != "FAIL"


def draw(history: dict[str, list[float]], path: Path, title: str) -> None:
    from backprop.diagnostics import learning_curve

    try:
        learning_curve(history, path, title)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"learning curve: {path}")


# ---------------------------------------------------------------------------------------------- predict


def load(path: str) -> tuple[Any, Preprocessing | None]:
    """A saved model with its preprocessing."""
    model = saving.load_model(path, compile=False)
    header, _ = archive.read(path, ("model",))
    extra = header.get("extra") or {}
    return model, Preprocessing.from_json(extra["preprocessing"]) if "preprocessing" in extra else None


def run_predict(options: argparse.Namespace) -> int:
    model, prepared = load(options.model)
    if not Path(options.data).exists():
        raise UsageError(f"no file {options.data!r}")
    if options.data.endswith(".npz"):
        arrays = read_arrays(options.data)
        name = "x" if "x" in arrays else next(iter(arrays), None)
        if name is None:
            raise UsageError(f"{options.data} holds no array")
        source: Table | Array = arrays[name]
    else:
        source = read_csv(options.data)
        if prepared is None or not prepared.columns:
            source = np.stack([parse_numbers(source, c) for c in source.columns], axis=1)
    if isinstance(source, np.ndarray):
        source = source.reshape(len(source), *model.input_shape[1:]) if fits(source, model.input_shape) else source
    x = source if prepared is None else prepared.encode(source)
    y = model.predict(x, verbose=0)
    write_csv(options.output, *answers(y, prepared))
    return 0


def fits(source: Array, shape: tuple) -> bool:
    return None not in shape[1:] and source[:1].size == np.prod(shape[1:])


def answers(y: Array, prepared: Preprocessing | None) -> tuple[list[str], list[list[Any]]]:
    """The header and rows of the answer: the prediction, and for classes the probability of each."""
    if prepared is None:
        y = y.reshape(len(y), -1)
        return [f"y{i}" for i in range(y.shape[1])], y.tolist()
    decoded = prepared.decode(y)
    if prepared.classes is None:
        return [prepared.target], [[value] for value in decoded]
    header = [prepared.target, *(f"p({label})" for label in prepared.classes)]
    return header, [[label, *(f"{p:.6f}" for p in row)] for label, row in zip(decoded, y, strict=True)]


def write_csv(path: str, header: list[str], rows: list[list[Any]]) -> None:
    if path == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"predictions: {path} ({len(rows)} rows)")


# ---------------------------------------------------------------------------------------------- check, summary


def run_check(options: argparse.Namespace) -> int:
    from backprop.gradcheck import gradcheck

    if options.subject.endswith(".npz"):
        subject: Any = saving.load_model(options.subject, compile=False)
        shape: tuple[int, ...] = (4, *(n or 5 for n in subject.input_shape[1:]))
    else:
        subject = make_layer(options.subject, options.config)
        if options.input is None:
            raise UsageError("a layer needs --input, its input's shape with the batch, such as --input 5,8")
        shape = parse_shape(options.input)
    report = gradcheck(subject, sample(subject, shape, options.seed), seed=options.seed)
    print(report)
    return {"pass": 0, "FAIL": 1}.get(report.verdict, 3)


def sample(subject: Any, shape: tuple[int, ...], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    first = next((part for part in subject.walk() if hasattr(part, "input_dim")), None)
    if subject.integer_input or (first is not None and first.integer_input):
        return rng.integers(0, getattr(first, "input_dim", 2), shape)
    return rng.standard_normal(shape)


def make_layer(name: str, config: list[str]) -> Any:
    from backprop.layer import Layer

    module, colon, attribute = name.partition(":")
    if not colon:
        raise UsageError(f"expected a model file (.npz) or package.module:Layer, got {name!r}")
    sys.path.insert(0, "")  # a module of the user's, beside them
    try:
        found: Callable = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UsageError(f"cannot import {module!r}: {error}") from error
    arguments = {}
    for item in config:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--config expects NAME=VALUE, got {item!r}")
        arguments[key] = literal(value)
    made = found(**arguments)
    if not isinstance(made, Layer):
        raise UsageError(f"{name} makes a {type(made).__name__}, which is no Layer")
    return made


def parse_shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(f"--input expects positive integers with commas, such as 5,8; got {text!r}")
    return shape


def run_summary(options: argparse.Namespace) -> int:
    model, prepared = load(options.model)
    model.summary()
    if prepared is not None:
        kind = f"classes {json.dumps(prepared.classes)}" if prepared.classes else "a quantity"
        print(f"predicts {prepared.target!r}: {kind}")
        if prepared.columns:
            print(f"from {', '.join(column.name for column in prepared.columns)}")
    return 0
