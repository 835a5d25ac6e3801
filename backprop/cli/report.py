"""What `train` says about a trained network: held-out rows, classes, certified gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backprop.cli.task import Task

if TYPE_CHECKING:
    from backprop.gradcheck.report import Report

Array = np.ndarray
MOST_ACROSS = 12  # classes that a table of confusions has room for
UNDECIDED = (
    "inconclusive is no failure: no mistake was found, but where the table says so the differences "
    "are not exact enough, at these rows and weights, to rule one out; `backprop check` with the "
    "saved model looks at another point"
)


def held_out(model: Any, task: Task) -> list[str]:
    """How well the held-out rows are predicted, in lines."""
    x, y = task.held
    if task.classes:
        loss, accuracy = model.evaluate(x, y, verbose=0)
        found = model.predict(x, verbose=0).argmax(-1)
        wrong = int((found != y).sum())
        line = f"test accuracy: {accuracy:.4f} ({wrong} of {len(y)} wrong), loss {loss:.4f}"
        return [line, *by_class(y, found, task)]
    deviation = task.prepared.deviation
    answers = model.predict(x, verbose=0).reshape(len(y)).astype(np.float64)
    return [quantities(answers * deviation, y.astype(np.float64) * deviation)]


def quantities(found: Array, y: Array) -> str:
    """Errors of a regression. R2 compares them with those of the mean, which needs targets that
    differ."""
    error = found - y
    rmse, mae = np.sqrt((error**2).mean()), np.abs(error).mean()
    if len(y) == 1:
        r2 = "n/a (of one row)"
    elif np.ptp(y) == 0:
        r2 = "n/a (the targets are all the same)"
    else:
        value = 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum()
        r2 = f"{value:.4f}" if abs(value) < 1e4 else f"{value:.3g}"
    return f"held-out rows: RMSE {rmse:.4g}, MAE {mae:.4g}, R2 {r2}"


def by_class(y: Array, found: Array, task: Task) -> list[str]:
    """What naming the most frequent class would give, and which class was taken for which."""
    labels = [str(label) for label in task.prepared.classes or ()]
    trained = np.bincount(task.y[task.training], minlength=len(labels))
    most = int(trained.argmax())
    baseline = f"always naming the most frequent class, {labels[most]!r}: {(y == most).mean():.4f}"
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (y, found), 1)
    head = ["true class", "trained on", "held out", "right"]
    across = len(labels) <= MOST_ACROSS
    if across:
        head += [f"as {cut(label)}" for label in labels]
    rows = [head]
    for i, label in enumerate(labels):
        row = [cut(label, 24), f"{trained[i]:,}", f"{counts[i].sum():,}", f"{counts[i, i]:,}"]
        rows.append(row + ([str(n or ".") for n in counts[i]] if across else []))
    return [baseline, *aligned(rows)]


def cut(label: str, most: int = 12) -> str:
    label = " ".join(label.split())
    return label if len(label) <= most else f"{label[: most - 1]}…"


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"{row[0]:{widths[0]}}"]
            + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]


def certify(model: Any, task: Task, seed: int) -> Report:
    """Certify the gradients of the trained model on a few held-out rows, and say how it went."""
    from backprop.gradcheck import gradcheck

    x, y = task.held
    report = gradcheck(model, x[:8], y[:8], seed=seed)
    print(f"gradients of the trained model against finite differences:\n{report}")
    if report.verdict == "inconclusive":
        print(UNDECIDED)
    return report
