"""`backprop train`: a network for the digits, or for a CSV or NPZ file."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop import saving
from backprop.cli import report
from backprop.cli.keys import add_key, key_of
from backprop.cli.layers import parse_layers
from backprop.cli.outputs import draw, output_paths, replaced
from backprop.cli.task import Task, load_digits, load_task
from backprop.cli.usage import UsageError

if TYPE_CHECKING:
    from backprop.callbacks import Callback

Array = np.ndarray
WHAT = "train a network on the digits, or on a CSV or NPZ file"

DIGITS = (  # normalized before relu, the curve of the held-out rows rises from the first epoch
    "conv2d 24 3 padding=same use_bias=False, batchnorm momentum=0.9, relu, "
    "conv2d 48 3 padding=same use_bias=False, batchnorm momentum=0.9, relu, "
    "maxpooling2d 2, dropout 0.4, flatten, "
    "dense 128 use_bias=False, batchnorm momentum=0.9, relu, dropout 0.5"
)
DIGITS_EPOCHS = 25
DIGITS_RATE = 0.003
TABLE = "dense 64 relu, dense 64 relu"
EPOCHS = 100
STEPS = (1_000, 30_000)  # a small table is passed through more often, a large one less
DECAY = 0.5  # of weights, where the optimizer is not chosen
SMALL = 1_000_000


def add_options(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "data",
        nargs="?",
        help="a .csv, .npz or .npy file (default: the digits that come with backprop)",
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
    train.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="'.' or ',': decimal mark of a CSV file, where its columns leave open what 1,234 is",
    )
    train.add_argument(
        "--dates",
        choices=("dmy", "mdy"),
        help="order of day and month in a CSV file, where its dates leave that open",
    )
    train.add_argument(
        "--task",
        choices=("auto", "classification", "regression"),
        help="auto: text and few whole numbers are classes, other numbers quantities",
    )
    train.add_argument(
        "--optimizer",
        metavar="NAME",
        help="default adam for the digits, adamw with a weight decay of 0.5 otherwise",
    )
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
        help=f"default {DIGITS_EPOCHS} for the digits; otherwise {EPOCHS}, but more of few "
        f"rows and less of many, for {STEPS[0]:,} to {STEPS[1]:,} steps",
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
    train.add_argument(
        "--report",
        metavar="FILE",
        help="page about the run (default: the model's name with .html; none: no page)",
    )
    train.add_argument(
        "--backup",
        metavar="FOLDER",
        help="keep the run there after each epoch: the same command goes on with one that was "
        "interrupted",
    )
    add_key(train, "sign the model, and the backup, with this key")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.add_argument(
        "--strategy",
        choices=("single", "mpi"),
        default="single",
        help="mpi: share each batch among the processes of mpiexec -n N backprop train ...",
    )


def run(options: argparse.Namespace) -> int:
    strategy = strategy_of(options)
    if strategy.rank == 0:
        return train(options, strategy)
    # the first rank speaks for all
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train(options, strategy)


def strategy_of(options: argparse.Namespace) -> Any:
    from backprop import distributed

    return distributed.MPI() if options.strategy == "mpi" else distributed.SingleProcess()


def train(options: argparse.Namespace, strategy: Any) -> int:
    from backprop import Input, Sequential, utils
    from backprop.callbacks import BackupAndRestore, HTMLReport
    from backprop.layers import Dense

    digits = options.data is None
    check_options(options)
    key = key_of(options)
    output, picture, page = output_paths(options)
    utils.set_random_seed(options.seed)
    task = load_digits() if digits else load_task(options)
    hidden = parse_layers(options.layers or (DIGITS if digits else default_layers(task)))
    last = Dense(task.classes, activation="softmax") if task.classes else Dense(1)
    model = Sequential([Input(task.x.shape[1:]), *hidden, last], name=output.stem)
    epochs, batch_size = compile_model(model, options, task)

    print(f"{task.describe()}; {model.count_params():,} parameters, {epochs} epochs")
    for note in [*task.notes, *replaced(output, picture, page)]:
        print(f"note: {note}")
    told = None if page is None else HTMLReport(page, certify=False)
    callbacks: list[Callback] = [] if told is None else [told]
    if options.backup is not None:
        callbacks.append(BackupAndRestore(options.backup, key=key))
    with blas_threads(model):
        history = fit(model, task, epochs, batch_size, options.quiet, strategy, callbacks)
        for line in report.held_out(model, task):
            print(line)
        if strategy.rank:
            return 0
        certificate = report.certify(model, task, options.seed)
    extra = {"preprocessing": task.prepared.to_json()}
    saving.save_model(model, output, extra=extra, key=key)
    print(f"model: {output}")
    draw(history, picture, output.stem)
    if told is not None:
        told.show_certificate(certificate)
        print(f"report: {page}")
    return 1 if certificate.verdict == "fail" else 0


def fit(
    model: Any,
    task: Task,
    epochs: int,
    batch_size: int | None,
    quiet: bool,
    strategy: Any,
    callbacks: list[Callback],
) -> dict:
    """Train, and return the history. Of many short epochs every fifth look is printed."""
    from backprop.callbacks import LambdaCallback

    many = epochs > EPOCHS
    looks = epochs // EPOCHS if many else 1  # epochs from one look at the held-out rows to the next

    def say(epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % (5 * looks) == 0:
            numbers = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
            print(f"Epoch {epoch + 1}/{epochs}: {numbers}", flush=True)

    if many and not quiet:
        callbacks = [*callbacks, LambdaCallback(on_epoch_end=say)]
    history = model.fit(
        task.x[task.training],
        task.y[task.training],
        batch_size=batch_size,
        epochs=epochs,
        validation_data=task.held,
        validation_freq=looks,
        callbacks=callbacks,
        verbose=0 if many or quiet else "auto",
        strategy=strategy,
    )
    return history.history


def blas_threads(model: Any) -> Any:
    """One BLAS thread for a small network, where more gain little and, on a busy machine, spend
    several times the work on waiting for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if model.count_params() < SMALL else None, user_api="blas")


def check_options(options: argparse.Namespace) -> None:
    for name in ("target", "ignore", "task", "held_out", "decimal", "dates"):
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


def default_layers(task: Task) -> str:
    return TABLE if task.x.ndim == 2 else f"flatten, {TABLE}"


# ---------------------------------------------------------------------------- how to train


def compile_model(model: Any, options: argparse.Namespace, task: Task) -> tuple[int, int | None]:
    """Compile as the options say; returns the number of epochs and the batch size."""
    from backprop import optimizers

    digits = options.data is None
    if options.optimizer is None and not digits:
        optimizer: Any = optimizers.AdamW(weight_decay=DECAY)
    else:
        optimizer = optimizers.get(options.optimizer or "adam")
    if optimizer.full_batch:
        if options.learning_rate or options.schedule:
            raise UsageError(
                f"--optimizer {options.optimizer} finds its own step: leave --learning-rate and "
                "--schedule out"
            )
        batch_size, epochs = options.batch_size, options.epochs or EPOCHS
    else:
        batch_size = options.batch_size or 32
        batches = -(-len(task.training) // batch_size)
        epochs = options.epochs or (DIGITS_EPOCHS if digits else default_epochs(batches))
        rate = options.learning_rate or (DIGITS_RATE if digits else optimizer.learning_rate)
        optimizer.learning_rate = SCHEDULES[options.schedule or "cosine"](rate, epochs * batches)
    if task.classes:
        model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model.compile(optimizer, loss="mse", metrics=["mae"])
    return epochs, batch_size


def default_epochs(batches: int) -> int:
    """EPOCHS, but more where that makes too few steps and fewer where it makes too many.

    >>> [default_epochs(batches) for batches in (4, 50, 1_000, 100_000)]
    [250, 100, 30, 5]
    """
    least, most = STEPS
    return max(min(EPOCHS, most // batches), -(-least // batches), 5)


def cosine(rate: float, steps: int) -> Any:
    """Up on a line for a fifth of the steps, down to 0 on half a cosine."""
    from backprop.optimizers.schedules import CosineDecay

    warmup = steps // 5
    return CosineDecay(rate / 10, max(steps - warmup, 1), warmup_target=rate, warmup_steps=warmup)


SCHEDULES: dict[str, Callable[[float, int], Any]] = {
    "cosine": cosine,
    "constant": lambda rate, steps: rate,
}
