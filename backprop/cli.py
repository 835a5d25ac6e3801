"""The command line: train, predict, check, summary.

A wrong option, file or table is one line on stderr and exit status 2, never a traceback.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backprop import archive, saving, tabular
from backprop.config import nearest
from backprop.tabular import Preprocessing, Table, learn_array, listing, parse_numbers, read_csv

Array = np.ndarray


class UsageError(Exception):
    """What the user can mend; its text is the line that they see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status.

    0: done; for `check` all gradients passed. 1: a gradient failed. 3: a gradient is undecided.
    2: wrong usage or unusable data, with a line on stderr that says what. 130: interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = False
    try:
        parser = build_parser()
        if not arguments:
            parser.print_help(sys.stderr)
            return 2
        options, rest = parser.parse_known_args(arguments)
        if rest:
            options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
        debug = options.debug
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.showwarning = show_warning
            return options.run(options)
    except KeyboardInterrupt:
        print("backprop: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            raise
        print(f"backprop: {one_line(error)}", file=sys.stderr)
        return 2


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {text}"
    if isinstance(error, UsageError | ValueError | TypeError | OSError | ImportError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning is one line too."""
    print(f"backprop: warning: {' '.join(str(message).split())}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known option or command."""

    def error(self, message: str):
        if message.startswith("unrecognized arguments: "):
            known = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
            message += nearest(message.split()[2].partition("=")[0], known)
        elif message.startswith("argument COMMAND: invalid choice: "):
            message = f"unknown command {message.split()[4]}" + nearest(
                message.split("'")[1], COMMANDS
            )
        self.exit(2, f"backprop: {message} (see {self.prog} --help)\n")


COMMANDS = ("train", "predict", "check", "summary")


def build_parser() -> argparse.ArgumentParser:
    from backprop import __version__

    parser = Parser(
        prog="backprop", description="Train neural networks, and certify their gradients."
    )
    parser.add_argument("--version", action="version", version=f"backprop {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Parser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        made.set_defaults(run=run, parser=made)
        return made

    train = command("train", run_train, "train a network on the digits, or on a CSV or NPZ file")
    train.add_argument(
        "data", nargs="?", help="a .csv or .npz file (default: the digits that come with backprop)"
    )
    train.add_argument("--target", help="column (CSV) or array (NPZ) to predict")
    train.add_argument(
        "--ignore", action="append", metavar="COLUMN", help="leave a column out; may be repeated"
    )
    train.add_argument(
        "--layers",
        metavar="SPEC",
        help='such as "dense 128 relu, dropout 0.2"; the output layer is added to it',
    )
    train.add_argument("--task", choices=("auto", "classification", "regression"))
    train.add_argument("--optimizer", default="adam", metavar="NAME", help="default adam")
    train.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="at its peak (default: the optimizer's own)",
    )
    train.add_argument(
        "--schedule",
        choices=tuple(SCHEDULES),
        help="cosine (the default): warm up for a fifth of the training, then fall to 0",
    )
    train.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help=f"default {DIGITS_EPOCHS} for the digits, 50 otherwise",
    )
    train.add_argument("--batch-size", type=int, metavar="N", help="default 32; for lbfgs all rows")
    train.add_argument(
        "--held-out", type=float, metavar="SHARE", help="of the rows, to test with (default 0.2)"
    )
    train.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    train.add_argument(
        "--output", metavar="FILE", help="model file (default: the data's name with .npz)"
    )
    train.add_argument(
        "--picture", metavar="FILE", help="learning curve (default: the model's name with .png)"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    predict = command("predict", run_predict, "apply a saved model to a CSV or NPZ file")
    predict.add_argument("model", help="what train saved")
    predict.add_argument("data", help="a .csv or .npz file; columns are found by their names")
    predict.add_argument(
        "--output", metavar="FILE", default="-", help="a .csv file (default: standard output)"
    )

    check = command("check", run_check, "certify gradients by finite differences")
    check.add_argument("subject", nargs="?", help="a model file, or package.module:Layer")
    check.add_argument(
        "--all", action="store_true", help="certify every layer and loss of backprop instead"
    )
    check.add_argument(
        "--input", metavar="SHAPE", help="shape of the input with the batch, such as 5,8"
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
    check.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")

    summary = command("summary", run_summary, "show the layers of a saved model")
    summary.add_argument("model")
    return parser


# ---------------------------------------------------------------------------- train


class Task:
    """Data that are ready for a network: rows to train on, rows held out, how answers are read."""

    def __init__(
        self, x: Array, y: Array, training: Array, held_out: Array, prepared: Preprocessing
    ):
        self.x, self.y = x, y
        self.training, self.held_out = training, held_out
        self.prepared = prepared

    @property
    def classes(self) -> int:
        return len(self.prepared.classes or ())

    @property
    def held(self) -> tuple[Array, Array]:
        return self.x[self.held_out], self.y[self.held_out]


DIGITS = (
    "conv2d 24 3 relu padding=same, batchnorm, conv2d 48 3 relu padding=same, batchnorm, "
    "maxpooling2d 2, dropout 0.4, flatten, dense 128 relu, batchnorm, dropout 0.5"
)
DIGITS_EPOCHS = 25
DIGITS_RATE = 0.01
TABLE = "dense 64 relu, dense 64 relu"


def run_train(options: argparse.Namespace) -> int:
    from backprop import Input, Sequential, utils
    from backprop.layers import Dense

    digits = options.data is None
    check_options(options)
    output, picture = output_paths(options)
    utils.set_random_seed(options.seed)
    task = load_digits() if digits else load_task(options)
    hidden = parse_layers(options.layers or (DIGITS if digits else default_layers(task)))
    last = Dense(task.classes, activation="softmax") if task.classes else Dense(1)
    model = Sequential([Input(task.x.shape[1:]), *hidden, last], name=output.stem)
    epochs = options.epochs or (DIGITS_EPOCHS if digits else 50)
    batch_size = compile_model(model, options, task, epochs)

    print(f"{describe(task)}; {model.count_params():,} parameters, {epochs} epochs")
    with blas_threads(model):
        history = model.fit(
            task.x[task.training],
            task.y[task.training],
            batch_size=batch_size,
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


SMALL = 1_000_000


def blas_threads(model: Any) -> Any:
    """One BLAS thread for a small network, where more gain little and, on a busy machine, spend
    several times the work on waiting for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if model.count_params() < SMALL else None, user_api="blas")


def output_paths(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where to write, checked before an hour is spent on training."""
    name = "digits" if options.data is None else Path(options.data).stem
    output = archive.npz_path(options.output or f"{name}.npz")
    if (
        not options.output
        and options.data is not None
        and output.resolve() == Path(options.data).resolve()
    ):
        output = output.with_name(f"{name}_model.npz")
    picture = Path(options.picture) if options.picture else output.with_suffix(".png")
    if picture.suffix not in PICTURES:
        raise UsageError(
            f"--picture expects a name that ends in {', '.join(PICTURES)}, got {str(picture)!r}"
        )
    for path in (output, picture):
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {str(path.parent)!r} to write {path.name} to")
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder, and a file is to be written")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"the folder {str(path.parent)!r} cannot be written to")
    if output.exists() and not archive.is_ours(output):
        raise UsageError(
            f"{str(output)!r} exists and is no model of backprop: choose another name with --output"
        )
    return output, picture


PICTURES = (".png", ".svg", ".pdf")


def check_options(options: argparse.Namespace) -> None:
    for name in ("target", "ignore", "task", "held_out"):
        if options.data is None and getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} needs a data file: backprop train data.csv ..."
            )
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} expects at least {least}, got {value}")
    if options.held_out is not None and not 0 < options.held_out < 1:
        raise UsageError(f"--held-out expects a share between 0 and 1, got {options.held_out}")
    if options.learning_rate is not None and not 0 < options.learning_rate < float("inf"):
        raise UsageError(f"--learning-rate expects a positive number, got {options.learning_rate}")


def load_digits() -> Task:
    """The digits in their own split: every fifth row is held out."""
    from backprop.datasets import digits

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    prepared = Preprocessing(target="digit", classes=list(range(10)), array_deviation=16.0)
    x = prepared.encode(np.concatenate([x_train, x_test])[..., None])
    y = np.concatenate([y_train, y_test]).astype(np.int64)
    n = len(x_train)
    return Task(x, y, np.arange(n), np.arange(n, len(x)), prepared)


def load_task(options: argparse.Namespace) -> Task:
    source, target, name = load_source(options.data, options.target)
    share = 0.2 if options.held_out is None else options.held_out
    training, held_out = tabular.hold_out(target, share, options.seed)
    prepared = Preprocessing()
    prepared.learn_target(target, training, options.task or "auto", name)
    ignored = options.ignore or []
    if isinstance(source, Table):
        source.require(ignored)
        wanted = [c for c in source.columns if c != name and c not in ignored]
        if not wanted:
            raise UsageError(f"{options.data} has no column to learn from beside {name!r}")
        prepared.order = source.columns
        prepared.columns = [tabular.Column.learn(source, c, training) for c in wanted]
    elif ignored:
        raise UsageError("--ignore is for the columns of a CSV file")
    else:
        prepared.array_mean, prepared.array_deviation = learn_array(source, training)
    return Task(
        prepared.encode(source), prepared.encode_target(target), training, held_out, prepared
    )


def load_source(path: str, target: str | None) -> tuple[Table | Array, list | Array, str]:
    """A table or an array of inputs, with the targets and their name."""
    exists(path)
    if path.endswith(".npz"):
        return load_arrays(path, target)
    table = read_csv(path)
    if target is None:
        raise UsageError(f"say which column to predict: --target, one of {listing(table.columns)}")
    cells = table.column(target)
    if any(not cell for cell in cells):
        raise UsageError(
            f"{path}: target {target!r} has an empty cell in data row {cells.index('') + 1}"
        )
    if 2 * sum(map(tabular.is_number, cells)) > len(cells):
        return table, parse_numbers(table, target), target
    return table, cells, target


def load_arrays(path: str, target: str | None) -> tuple[Array, Array, str]:
    arrays = read_arrays(path)
    name = target or "y"
    if name not in arrays:
        near = nearest(name, arrays)
        raise UsageError(
            f"{path} has no array {name!r}{near}; it has {listing(arrays)}: choose with --target"
        )
    others = [a for a in arrays if a != name]
    if "x" in others:
        others = ["x"]
    if len(others) != 1:
        raise UsageError(
            f"{path} should have one array beside {name!r}, or one named 'x'; it has "
            f"{listing(others) or 'none'}"
        )
    x, y = arrays[others[0]], arrays[name]
    y = y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
        raise UsageError(
            f"{path}: {others[0]!r} has shape {x.shape} and {name!r} {y.shape}; expected (n, ...) "
            "and (n,)"
        )
    if not x.size:
        raise UsageError(f"{path}: {others[0]!r} of shape {x.shape} is empty")
    return as_numbers(path, others[0], x), y, name


def as_numbers(path: str, name: str, x: Array) -> Array:
    if x.dtype.kind not in "fiub":
        raise UsageError(f"{path}: {name!r} has dtype {x.dtype}, and numbers were expected")
    if not np.isfinite(x).all():
        raise UsageError(f"{path}: {name!r} holds NaN or infinity")
    return x.astype(np.float64)


def exists(path: str) -> None:
    if not Path(path).exists():
        folder = Path(path).parent
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        raise UsageError(f"no file {path!r}{nearest(Path(path).name, names)}")


def read_arrays(path: str) -> dict[str, Array]:
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder, and an .npz file was expected")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError:
        raise
    except ValueError as error:
        raise UsageError(f"{path} cannot be read as arrays of numbers: {error}") from error
    except Exception as error:  # zipfile's and zlib's many, and a lone .npy array
        raise UsageError(f"{path} is no .npz file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiubU":
            raise UsageError(
                f"{path}: array {name!r} has dtype {array.dtype}, and numbers or text were expected"
            )
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
    """`"dense 128 relu, dropout 0.2"` → layers.

    A name, then arguments: in order, by name (``rate=0.2``), or an activation.
    """
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
            raise UsageError(
                f"--layers: unknown layer {words[0]!r}{nearest(name, [*known, *functions])}"
            )
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


def compile_model(model: Any, options: argparse.Namespace, task: Task, epochs: int) -> int | None:
    """Compile as the options say; returns the batch size."""
    from backprop import optimizers

    optimizer = optimizers.get(options.optimizer)
    batch_size = options.batch_size
    if optimizer.full_batch:
        if options.learning_rate or options.schedule:
            raise UsageError(
                f"--optimizer {options.optimizer} finds its own step: leave --learning-rate and "
                "--schedule out"
            )
    else:
        batch_size = batch_size or 32
        rate = options.learning_rate or (
            DIGITS_RATE if options.data is None else optimizer.learning_rate
        )
        steps = epochs * -(-len(task.training) // batch_size)
        optimizer.learning_rate = SCHEDULES[options.schedule or "cosine"](rate, steps)
    if task.classes:
        model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model.compile(optimizer, loss="mse", metrics=["mae"])
    return batch_size


def cosine(rate: float, steps: int) -> Any:
    """Up on a line for a fifth of the steps, down to 0 on half a cosine."""
    from backprop.optimizers.schedules import CosineDecay

    warmup = steps // 5
    return CosineDecay(rate / 10, max(steps - warmup, 1), warmup_target=rate, warmup_steps=warmup)


SCHEDULES: dict[str, Callable[[float, int], Any]] = {
    "cosine": cosine,
    "constant": lambda rate, steps: rate,
}


def describe(task: Task) -> str:
    kind = f"{task.classes} classes" if task.classes else f"regression of {task.prepared.target!r}"
    return f"{len(task.training):,} rows to train on, {len(task.held_out):,} held out, {kind}"


def held_out_line(model: Any, task: Task) -> str:
    x, y = task.held
    if task.classes:
        loss, accuracy = model.evaluate(x, y, verbose=0)
        wrong = round((1 - accuracy) * len(y))
        return f"test accuracy: {accuracy:.4f} ({wrong} of {len(y)} wrong), loss {loss:.4f}"
    error = (model.predict(x, verbose=0).reshape(len(y)) - y).astype(
        np.float64
    ) * task.prepared.deviation
    spread = (y - y.mean()).astype(np.float64) * task.prepared.deviation
    r2 = 1 - (error**2).sum() / max((spread**2).sum(), np.finfo(float).tiny)
    rmse, mae = np.sqrt((error**2).mean()), np.abs(error).mean()
    return f"held-out rows: RMSE {rmse:.4g}, MAE {mae:.4g}, R2 {r2:.4f}"


def certify(model: Any, task: Task, seed: int) -> bool:
    """Certify the gradients of the trained model on a few held-out rows, and say how it went."""
    from backprop.gradcheck import gradcheck

    x, y = task.held
    report = gradcheck(model, x[:8], y[:8], seed=seed)
    print(f"gradients of the trained model against finite differences:\n{report}")
    return report.verdict != "fail"


def draw(history: dict[str, list[float]], path: Path, title: str) -> None:
    from backprop.diagnostics import learning_curve

    try:
        learning_curve(history, path, title)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"learning curve: {path}")


# ---------------------------------------------------------------------------- predict


def load(path: str) -> tuple[Any, Preprocessing | None]:
    """A saved model with its preprocessing."""
    model, extra = saving.read_model(path, compile=False)
    return model, Preprocessing.from_json(
        extra["preprocessing"]
    ) if "preprocessing" in extra else None


def run_predict(options: argparse.Namespace) -> int:
    model, prepared = load(options.model)
    exists(options.data)
    check_answer_file(options)
    source = load_inputs(options.data, prepared, model.input_shape)
    x = source if prepared is None else prepared.encode(source)
    if isinstance(source, Table) and prepared is not None:
        for column in prepared.columns:
            strangers = column.strangers(source)
            if strangers:
                warnings.warn(
                    f"column {column.name!r} has texts that training never saw, which count as "
                    f"none of those it knows: {listing(strangers)}",
                    stacklevel=1,
                )
    write_csv(options.output, *answers(model.predict(x, verbose=0), prepared))
    return 0


def check_answer_file(options: argparse.Namespace) -> None:
    if options.output == "-":
        return
    output = Path(options.output)
    if output.resolve() in (Path(options.model).resolve(), Path(options.data).resolve()):
        raise UsageError(f"--output {options.output} would overwrite what is read")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {str(output.parent)!r} to write {output.name} to")


def load_inputs(path: str, prepared: Preprocessing | None, shape: tuple) -> Table | Array:
    """A table for a model that was trained on one, and an array of the model's shape otherwise."""
    if not path.endswith(".npz"):
        table = read_csv(path)
        if prepared is not None and prepared.columns:
            return table
        x = np.stack([parse_numbers(table, c) for c in table.columns], axis=1)
    else:
        arrays = read_arrays(path)
        name = "x" if "x" in arrays else next(iter(arrays), None)
        if name is None or not arrays[name].ndim:
            raise UsageError(f"{path} holds no array of rows")
        x = as_numbers(path, name, arrays[name])
    return x.reshape(len(x), *shape[1:]) if fits(x, shape) else x


def fits(source: Array, shape: tuple) -> bool:
    return None not in shape[1:] and source[:1].size == np.prod(shape[1:])


def answers(y: Array, prepared: Preprocessing | None) -> tuple[list[str], list[list[Any]]]:
    """The header and rows of the answer: predictions, and for classes the probability of each."""
    if prepared is None:
        y = y.reshape(len(y), -1)
        return [f"y{i}" for i in range(y.shape[1])], [
            [f"{value:.7g}" for value in row] for row in y
        ]
    decoded = prepared.decode(y)
    if prepared.classes is None:
        return [prepared.target], [[f"{value:.7g}"] for value in decoded]
    header = [prepared.target, *(f"p({label})" for label in prepared.classes)]
    return header, [
        [label, *(f"{p:.6f}" for p in row)] for label, row in zip(decoded, y, strict=True)
    ]


def write_csv(path: str, header: list[str], rows: list[list[Any]]) -> None:
    if path == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"predictions: {path} ({len(rows)} rows)")


# ---------------------------------------------------------------------------- check, summary


def run_check(options: argparse.Namespace) -> int:
    from backprop.gradcheck import gradcheck

    if options.seed < 0:
        raise UsageError(f"--seed expects at least 0, got {options.seed}")
    if options.all:
        return check_all(options)
    if options.subject is None:
        raise UsageError("check expects a model file, package.module:Layer, or --all")
    shape = None if options.input is None else parse_shape(options.input)
    if options.subject.endswith(".npz"):
        if options.config:
            raise UsageError("--config is for a layer: a model file has its configuration inside")
        subject: Any = saving.load_model(options.subject, compile=False)
        shape = shape or (4, *(n or 5 for n in subject.input_shape[1:]))
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


STATUS = {"pass": 0, "fail": 1, "inconclusive": 3}


def check_all(options: argparse.Namespace) -> int:
    """Certify every layer and loss of the library; the worst verdict decides."""
    from time import monotonic

    from backprop.gradcheck.catalogue import cases

    given = [options.subject, options.input, *options.config]
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


def show_progress(done: int | None, total: int, name: str) -> None:
    """A bar on a terminal, nothing elsewhere; None takes it away."""
    if not sys.stderr.isatty():
        return
    if done is None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return
    bar = ("=" * (24 * done // total)).ljust(24, ".")
    print(f"\r\x1b[K{bar} {done}/{total} {name[:48]}", end="", file=sys.stderr, flush=True)


def sample(subject: Any, shape: tuple[int, ...], seed: int) -> Array:
    """An input of a shape: normal, or integers where the subject begins with an embedding."""
    rng = np.random.default_rng(seed)
    if not subject.integer_input:
        return rng.standard_normal(shape)
    first = next((part for part in subject.walk() if hasattr(part, "input_dim")), None)
    return rng.integers(0, getattr(first, "input_dim", 2), shape)


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


def run_summary(options: argparse.Namespace) -> int:
    model, prepared = load(options.model)
    model.summary()
    if prepared is not None:
        kind = f"classes {json.dumps(prepared.classes)}" if prepared.classes else "a quantity"
        print(f"predicts {prepared.target!r}: {kind}")
        if prepared.columns:
            print(f"from {', '.join(column.name for column in prepared.columns)}")
    return 0
